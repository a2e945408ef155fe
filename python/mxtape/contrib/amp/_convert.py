"""Networks that exist, in mixed precision: symbols, models, blocks and bucketing modules."""

import json
import warnings

from ... import symbol
from ...base import MXNetError
from ...context import cpu
from ...module import BucketingModule
from ...ndarray import NDArray
from ...symbol import Symbol
from . import _operators
from ._operators import CONDITIONAL, FLOAT32, TARGET, WIDEST

_CPU = cpu()
_FLOATS = ("float16", "bfloat16", "float32")
# MXNet's numbers of dtypes, as the attribute __dtype__ of variables has them.
_NUMBERS = {"float32": 0, "float64": 1, "float16": 2, "bfloat16": 12}
_NAMES = {
    **{str(number): name for name, number in _NUMBERS.items()},
    "3": "uint8",
    "4": "int32",
    "5": "int8",
    "6": "int64",
    "7": "bool",
}


class _Converter:
    """Makes the nodes of a graph again, with casts between them.

    Nodes are as in a graph's JSON text; an entry is the number of a node and of its output.
    Variables that say nothing of their dtype count as float32.
    """

    def __init__(self, graph, kinds, excluded, casts_parameters):
        self.graph = graph
        self.kinds = kinds
        self.excluded = excluded
        self.casts_parameters = casts_parameters  # which variables become low precision themselves
        self.nodes: list = []
        self.entries: dict = {}  # from the old graph to the new one
        self.dtypes: dict = {}  # of entries of the new graph; None where it is not known
        self.casts: dict = {}
        self.outputs_read = _outputs_read(graph)
        self.low_variables = self._low_variables() if casts_parameters else set()

    def _kind(self, node):
        if node["name"] in self.excluded:
            return FLOAT32
        kind = self.kinds.of(node["op"])
        if kind == CONDITIONAL:
            return FLOAT32 if self.kinds.is_conditional(node["op"], _attributes(node)) else None
        return kind

    def _low_variables(self):
        """Parameters that only operators in low precision read."""
        low: set = set()
        others: set = set()
        for node in self.graph["nodes"]:
            is_low = node["op"] != "null" and self._kind(node) == TARGET
            for i, *_ in node["inputs"]:
                (low if is_low else others).add(i)
        others.update(i for i, *_ in self.graph["heads"])
        names = {i: node["name"] for i, node in enumerate(self.graph["nodes"])}
        return {i for i in low - others if names[i] in self.casts_parameters}

    def converted(self):
        """The new graph's JSON."""
        for i, node in enumerate(self.graph["nodes"]):
            if node["op"] == "null":
                self._copy_variable(i, node)
            else:
                self._copy_operator(i, node)
        heads = []
        for i, output, *_ in self.graph["heads"]:
            entry = self.entries[i, output]
            heads.append(self._cast(entry, "float32") if self._is_low(entry) else entry)
        return {
            **self.graph,
            "nodes": self.nodes,
            "heads": [[*entry, 0] for entry in heads],
            "arg_nodes": [i for i, node in enumerate(self.nodes) if node["op"] == "null"],
            "node_row_ptr": list(range(len(self.nodes) + 1)),
        }

    def _is_low(self, entry):
        return self.dtypes.get(entry) in ("float16", "bfloat16", None)

    def _copy_variable(self, i, node):
        attributes = dict(_attributes(node))
        if i in self.low_variables:
            attributes["__dtype__"] = str(_NUMBERS[self.kinds.target_dtype])
        self.nodes.append({**node, "attrs": attributes})
        entry = self.entries[i, 0] = (len(self.nodes) - 1, 0)
        self.dtypes[entry] = _NAMES.get(attributes.get("__dtype__", "0"))

    def _copy_operator(self, i, node):
        given = [self.entries[source, output] for source, output, *_ in node["inputs"]]
        kind = self._kind(node)
        inputs = list(given)
        if kind == WIDEST:
            inputs = self._widened(given)
        elif kind is not None:
            dtype = self.kinds.target_dtype if kind == TARGET else "float32"
            inputs = [self._cast_float(entry, dtype) for entry in given]
        outputs = self._output_dtypes(node, inputs)
        if outputs is None and kind is None:
            # The operator needs one dtype for all of its inputs.
            inputs = [self._cast_float(entry, "float32") for entry in given]
            outputs = self._output_dtypes(node, inputs)
        number = len(self.nodes)
        marks = [tuple(rest) for *_, rest in (_split(item) for item in node["inputs"])]
        self.nodes.append(
            {**node, "inputs": [[*entry, *mark] for entry, mark in zip(inputs, marks)]}
        )
        for output in range(max(len(outputs or ()), self.outputs_read.get(i, 0))):
            entry = self.entries[i, output] = (number, output)
            self.dtypes[entry] = outputs[output] if outputs and output < len(outputs) else None

    def _widened(self, given):
        dtypes = {self.dtypes[entry] for entry in given}
        if None in dtypes:
            node: dict = {
                "op": "amp_multicast",
                "name": f"{self._name(given[0])}_amp_multicast",
                "attrs": {"num_outputs": str(len(given))},
                "inputs": [[*entry, 0] for entry in given],
            }
            self.nodes.append(node)
            made = [(len(self.nodes) - 1, i) for i in range(len(given))]
            self.dtypes.update(dict.fromkeys(made))
            return made
        floats = [name for name in ("float64", "float32") if name in dtypes]
        low = dtypes & {"float16", "bfloat16"}
        if not low or (not floats and len(low) == 1):
            return given
        widest = floats[0] if floats else "float32"
        return [self._cast(e, widest) if self.dtypes[e] in _FLOATS else e for e in given]

    def _cast_float(self, entry, dtype):
        """An entry in a dtype; as it is where it is not of a kind that is cast."""
        known = self.dtypes[entry]
        return entry if known not in (*_FLOATS, None) else self._cast(entry, dtype)

    def _cast(self, entry, dtype):
        if self.dtypes[entry] == dtype:
            return entry
        if (entry, dtype) not in self.casts:
            node = {
                "op": "amp_cast",
                "name": f"{self._name(entry)}_amp_cast_{dtype}",
                "attrs": {"dtype": dtype},
                "inputs": [[*entry, 0]],
            }
            self.nodes.append(node)
            made = self.casts[entry, dtype] = (len(self.nodes) - 1, 0)
            self.dtypes[made] = dtype
        return self.casts[entry, dtype]

    def _name(self, entry):
        node = self.nodes[entry[0]]
        if node["op"] == "null":
            return node["name"]
        several = (entry[0], 1) in self.dtypes
        return f"{node['name']}_output{entry[1] if several else ''}"

    def _output_dtypes(self, node, inputs):
        """Names of the dtypes of a node's outputs, by the operator's own inference, or None."""
        alone: list = [
            {"op": "null", "name": f"x{i}", "attrs": {}, "inputs": []} for i in range(len(inputs))
        ]
        arguments = [[i, 0, *_split(item)[2]] for i, item in enumerate(node["inputs"])]
        alone.append({**node, "inputs": arguments})
        count = len(inputs)
        text = json.dumps(
            {
                "nodes": alone,
                "arg_nodes": list(range(count)),
                "node_row_ptr": list(range(count + 2)),
                "heads": [[count, 0, 0]],
                "attrs": self.graph.get("attrs", {}),
            }
        )
        known = {f"x{i}": self.dtypes[entry] for i, entry in enumerate(inputs)}
        try:
            whole = symbol.load_json(text).get_internals()
            given = {name: dtype for name, dtype in known.items() if dtype is not None}
            states = set(whole.list_auxiliary_states())
            given = {name: dtype for name, dtype in given.items() if name not in states}
            found = whole.infer_type_partial(**given)[1]
        except MXNetError:
            return None
        return [None if dtype is None else dtype.__name__ for dtype in found[count:]]


def _attributes(node):
    return node.get("attrs", node.get("param", {})) or {}


def _split(entry):
    """The node, the output, and what else an input of a node in JSON has."""
    node, output, *rest = entry
    return node, output, rest


def _outputs_read(graph):
    """By node, one more than the largest of its outputs that something reads."""
    read: dict = {}
    for items in (*(node["inputs"] for node in graph["nodes"]), graph["heads"]):
        for source, output, *_ in items:
            read[source] = max(read.get(source, 0), output + 1)
    return read


def convert_symbol(
    sym,
    target_dtype="float16",
    target_dtype_ops=None,
    fp32_ops=None,
    conditional_fp32_ops=None,
    excluded_sym_names=None,
    data_names=None,
    cast_optional_params=False,
):
    """A symbol that computes in low precision where that is safe: its outputs are float32.

    Parameters
    ----------
    sym : Symbol
    target_dtype : {'float16', 'bfloat16'}, default 'float16'
        The low precision.
    target_dtype_ops, fp32_ops : list of str, optional
        Operators that compute in the low precision, and in float32, in the place of those of
        :func:`list_lp16_ops` and :func:`list_fp32_ops`.
    conditional_fp32_ops : list of (str, str, list of str), optional
        In the place of :func:`list_conditional_fp32_ops`.
    excluded_sym_names : list of str, optional
        Names of nodes that compute in float32.
    data_names : list of str, optional
        Variables that are data, and not parameters. By default those are parameters that say their
        dtype, as those of Gluon's layers do.
    cast_optional_params : bool, default False
        Have parameters that only operators in low precision read in it themselves.

    Examples
    --------
    >>> import mxtape as mx
    >>> net = mx.sym.FullyConnected(mx.sym.Variable("data"), num_hidden=4, name="fc")
    >>> low = mx.contrib.amp.convert_symbol(net)
    >>> low.list_arguments(), low.get_internals().list_outputs()[-2:]
    (['data', 'fc_weight', 'fc_bias'], ['fc_output', 'fc_output_amp_cast_float32_output'])
    """
    if not isinstance(sym, Symbol):
        raise AssertionError(f"convert_symbol: a Symbol is needed, got {type(sym).__name__}")
    kinds = _operators.Kinds(
        target_dtype,
        ("target_dtype_ops", target_dtype_ops),
        ("fp32_ops", fp32_ops),
        ("conditional_fp32_ops", conditional_fp32_ops),
        may_override=False,
    )
    graph = json.loads(sym.tojson(remove_amp_cast=False))
    excluded = set(excluded_sym_names or ())
    unknown = excluded - {node["name"] for node in graph["nodes"]}
    if unknown:
        warnings.warn(
            f"convert_symbol: the symbol has no nodes {sorted(unknown)}, of excluded_sym_names",
            stacklevel=2,
        )
    if data_names is None:
        parameters = {
            node["name"]
            for node in graph["nodes"]
            if node["op"] == "null" and "__dtype__" in _attributes(node)
        }
    else:
        parameters = set(sym.list_inputs()) - set(data_names)
        for node in graph["nodes"]:
            if node["op"] == "null" and node["name"] in parameters:
                node.setdefault("attrs", {}).setdefault("__dtype__", "0")
    low = parameters if cast_optional_params else set()
    return symbol.load_json(json.dumps(_Converter(graph, kinds, excluded, low).converted()))


def _as_said(sym, arrays):
    """Arrays in the dtypes that the symbol's variables say."""
    attributes = sym.attr_dict()
    cast = {}
    for name, array in arrays.items():
        dtype = _NAMES.get(attributes.get(name, {}).get("__dtype__", "0"))
        is_float = array.dtype.__name__ in _FLOATS and dtype in _FLOATS
        cast[name] = array.astype(dtype) if is_float else array
    return cast


def convert_model(
    sym,
    arg_params,
    aux_params,
    target_dtype="float16",
    target_dtype_ops=None,
    fp32_ops=None,
    conditional_fp32_ops=None,
    excluded_sym_names=None,
    cast_optional_params=False,
):
    """A model, as :func:`mxtape.model.load_checkpoint` gives one, in mixed precision.

    Parameters
    ----------
    sym : Symbol
    arg_params, aux_params : dict of str to NDArray
        They are not changed.

    The other parameters are those of :func:`convert_symbol`.

    Returns
    -------
    tuple of Symbol, dict and dict
        As the arguments.
    """
    if not isinstance(sym, Symbol):
        raise AssertionError(f"convert_model: a Symbol is needed, got {type(sym).__name__}")
    for what, params in (("arg_params", arg_params), ("aux_params", aux_params)):
        arrays = isinstance(params, dict) and all(
            isinstance(array, NDArray) for array in params.values()
        )
        if not arrays:
            raise AssertionError(f"convert_model: {what} must be a dict of str to NDArray")
    converted = convert_symbol(
        sym,
        target_dtype,
        target_dtype_ops,
        fp32_ops,
        conditional_fp32_ops,
        excluded_sym_names,
        [name for name in sym.list_inputs() if name not in {**arg_params, **aux_params}],
        cast_optional_params,
    )
    return converted, _as_said(converted, arg_params), _as_said(converted, aux_params)


def convert_hybrid_block(
    block,
    target_dtype="float16",
    target_dtype_ops=None,
    fp32_ops=None,
    conditional_fp32_ops=None,
    excluded_sym_names=None,
    ctx=_CPU,
    cast_optional_params=False,
):
    """A SymbolBlock that computes as a hybridized block does, in mixed precision.

    Parameters
    ----------
    block : HybridBlock
        Hybridized, and called once since then.
    ctx : Context or list of Context, default cpu(0)
        Where the new parameters are to be. They are copies.

    The other parameters are those of :func:`convert_symbol`.

    Raises
    ------
    RuntimeError
        The block has no graph yet.
    """
    from ...gluon import HybridBlock, SymbolBlock

    if not isinstance(block, HybridBlock):
        raise AssertionError(
            f"convert_hybrid_block: a HybridBlock is needed, got {type(block).__name__}"
        )
    if not block._cached_graph:
        raise RuntimeError(
            "convert_hybrid_block: the block has no graph yet; call hybridize(), then the block"
        )
    inputs, output = block._cached_graph
    names = [variable.name for variable in inputs]
    converted = convert_symbol(
        output,
        target_dtype,
        target_dtype_ops,
        fp32_ops,
        conditional_fp32_ops,
        excluded_sym_names,
        names,
        cast_optional_params,
    )
    made = SymbolBlock(list(converted), [symbol.var(name) for name in names])
    own = block.collect_params()
    values = {name: own[name].list_data()[0] for name in made.collect_params()}
    for name, array in _as_said(converted, values).items():
        param = made.collect_params()[name]
        param._load_init(array, ctx, cast_dtype=True, dtype_source="saved")
        param.grad_req = own[name].grad_req
    return made


def convert_bucketing_module(
    bucketing_mod,
    target_dtype="float16",
    target_dtype_ops=None,
    fp32_ops=None,
    conditional_fp32_ops=None,
    excluded_sym_names=None,
    cast_optional_params=False,
):
    """A BucketingModule in mixed precision, with the parameters of another. It is to be bound.

    Parameters
    ----------
    bucketing_mod : BucketingModule
        With parameters.

    The other parameters are those of :func:`convert_symbol`.
    """
    if not isinstance(bucketing_mod, BucketingModule):
        raise AssertionError(
            "convert_bucketing_module: a BucketingModule is needed, got "
            f"{type(bucketing_mod).__name__}"
        )
    if not bucketing_mod.params_initialized:
        raise AssertionError("convert_bucketing_module: the module has no parameters yet")
    options: dict = {
        "target_dtype": target_dtype,
        "target_dtype_ops": target_dtype_ops,
        "fp32_ops": fp32_ops,
        "conditional_fp32_ops": conditional_fp32_ops,
        "excluded_sym_names": excluded_sym_names,
        "cast_optional_params": cast_optional_params,
    }

    def sym_gen(bucket_key):
        sym, data_names, label_names = bucketing_mod._sym_gen(bucket_key)
        given = [*(data_names or ()), *(label_names or ()), *bucketing_mod._state_names]
        converted = convert_symbol(sym, data_names=given, **options)
        return converted, data_names, label_names

    made = BucketingModule(
        sym_gen,
        bucketing_mod._default_bucket_key,
        bucketing_mod.logger,
        bucketing_mod._context,
        bucketing_mod._work_load_list,
        bucketing_mod._fixed_param_names,
        bucketing_mod._state_names,
        bucketing_mod._group2ctxs,
        bucketing_mod._compression_params,
    )
    converted = sym_gen(made._default_bucket_key)[0]
    made._loaded_params = tuple(_as_said(converted, part) for part in bucketing_mod.get_params())
    made.params_initialized = True
    return made
