"""SymbolBlock: a block that is made of a symbol."""

from .. import symbol
from ..base import MXNetError
from ..ndarray import NDArray
from ..symbol import Symbol
from ._hybrid_block import HybridBlock
from ._nested import flatten, leaves, regroup, same_form
from .parameter import ParameterDict


class SymbolBlock(HybridBlock):
    """A block that computes symbols, such as a part of a network that was read from a file.

    Parameters
    ----------
    outputs : Symbol, or (nested) list of Symbol
        What a call returns.
    inputs : Symbol, or list of Symbol
        Variables: the arguments of a call. All other variables of `outputs` are parameters.
    params : ParameterDict, optional
        Where the block looks for its parameters before it makes them.

    Raises
    ------
    AssertionError
        An input is no variable, or the storage type of a parameter is 'row_sparse'.

    Examples
    --------
    >>> import mxtape as mx
    >>> data = mx.sym.Variable("data")
    >>> net = mx.sym.FullyConnected(data, num_hidden=4, name="fc")
    >>> block = mx.gluon.SymbolBlock(net, data)
    >>> block.initialize()
    >>> block(mx.nd.ones((2, 3))).shape, list(block.collect_params())
    ((2, 4), ['fc_weight', 'fc_bias'])
    """

    def __init__(self, outputs, inputs, params=None) -> None:
        super().__init__(prefix=None, params=None)
        self._prefix = ""
        self._params = ParameterDict("", params)
        if isinstance(inputs, Symbol) and len(inputs) == 1:
            inputs = [inputs]
        if isinstance(outputs, (list, tuple)) and len(outputs) == 1:
            outputs = outputs[0]
        variables, self._in_format = flatten(inputs, "input")
        flat, self._out_format = flatten(outputs, "output")
        for variable in variables:
            if variable.get_children() is not None or len(variable) != 1:
                raise AssertionError(f"SymbolBlock: the input {variable!r} must be a variable")
        output = flat[0] if len(flat) == 1 else symbol.Group(flat)
        self._cached_graph = variables, output
        self._make_parameters({variable.name for variable in variables}, output)

    def _make_parameters(self, inputs, output):
        states = output.list_auxiliary_states()
        dtypes = _known_dtypes(output)
        attributes = output.attr_dict()
        for name in [*output.list_arguments(), *states]:
            if name in inputs:
                continue
            if attributes.get(name, {}).get("__storage_type__") == "1":
                raise AssertionError(
                    f"SymbolBlock: the storage type of the parameter {name!r} is 'row_sparse', "
                    "which hybrid blocks do not support; use mx.mod.Module"
                )
            self._params.get(name, allow_deferred_init=True)
            if name in states:
                self._params[name].grad_req = "null"
            if dtypes.get(name) and self._params[name].shape is None:
                self._params[name].cast(dtypes[name])
        skipped = len(_common_prefix(list(self._params.keys())))
        self._reg_params = {name[skipped:]: param for name, param in self._params.items()}

    @staticmethod
    def imports(
        symbol_file, input_names, param_file=None, ctx=None, allow_missing=False, ignore_extra=False
    ):
        """A block from the files that :meth:`HybridBlock.export` or MXNet wrote.

        Parameters
        ----------
        symbol_file : str
        input_names : str or list of str
            Names of the arguments of a call: ``'data'`` for one.
        param_file : str, optional
            The parameters; without it they are to be initialized.
        ctx : Context or list of Context, optional
            Where the parameters are to be.
        allow_missing, ignore_extra : bool, default False
            Whether the file may lack parameters, and may have others.

        Returns
        -------
        SymbolBlock
        """
        output = symbol.load(symbol_file)
        names = [input_names] if isinstance(input_names, str) else input_names
        block = SymbolBlock(output, [symbol.var(name) for name in names])
        if param_file is not None:
            block.collect_params().load(
                param_file,
                ctx,
                allow_missing,
                ignore_extra,
                cast_dtype=True,
                dtype_source="saved",
            )
        return block

    def __repr__(self):
        inputs, output = self._cached_graph
        return f"{type(self).__name__}(\n{output!r} : {len(inputs)} -> {len(output)}\n)"

    def forward(self, x, *args):
        """Runs the graph on arrays, or puts symbols in the place of its inputs."""
        if isinstance(x, NDArray) or any(isinstance(item, NDArray) for item in leaves((x, *args))):
            if not self._active:
                self._active = True
            return super().forward(x, *args)
        flat = flatten((x, *args), "input")[0]
        inputs, output = self._cached_graph
        if len(flat) != len(inputs):
            raise ValueError(f"{self.name}: {len(inputs)} arguments are needed, got {len(flat)}")
        composed = output(**{v.name: item for v, item in zip(inputs, flat)})
        return regroup(iter(composed), self._out_format)

    def _get_graph(self, *args):
        """The graph of the block, for arguments that are nested as its inputs are."""
        form = flatten(args, "input")[1]
        if not same_form(form, self._in_format):
            names = ", ".join(variable.name for variable in self._cached_graph[0])
            raise ValueError(
                f"{self.name}: the arguments {names} are needed, nested as {self._in_format}; got "
                f"arguments nested as {form}"
            )
        return self._cached_graph

    def _clear_cached_op(self):
        graph = getattr(self, "_cached_graph", ())
        super()._clear_cached_op()
        self._cached_graph = graph

    def reset_ctx(self, ctx):
        """Moves the parameters to other contexts."""
        for param in self._params.values():
            param.reset_ctx(ctx)

    def hybrid_forward(self, F, x, *args, **kwargs):
        raise MXNetError("a SymbolBlock has a graph, and no hybrid_forward")


def _known_dtypes(output):
    """The data types that a graph tells its variables, by name."""
    try:
        arguments, _, states = output.infer_type_partial()
    except MXNetError:
        return {}  # what MXNet writes after cast() contradicts itself; the parameters' file knows
    names = [*output.list_arguments(), *output.list_auxiliary_states()]
    return dict(zip(names, [*arguments, *states]))


def _common_prefix(names):
    """What all names begin with.

    >>> from mxtape.gluon._symbol_block import _common_prefix
    >>> _common_prefix(["net_weight", "net_bias"])
    'net_'
    """
    if not names:
        return ""
    first, last = min(names), max(names)
    length = 0
    while length < min(len(first), len(last)) and first[length] == last[length]:
        length += 1
    return first[:length]
