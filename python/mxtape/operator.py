"""Operators written in Python: ``mx.operator``, called through ``mx.nd.Custom``."""

from collections import namedtuple
from typing import Any

import numpy as np

from . import _borrowed
from ._loader import core as _core
from .autograd import Function, is_training
from .base import MXNetError, integer_types
from .ndarray import register as _registry
from .ndarray.ndarray import _placed, zeros

__all__ = [
    "CustomOp",
    "CustomOpProp",
    "OperatorArguments",
    "get_all_registered_operators",
    "get_operator_arguments",
    "register",
]

_NDArray = _core.NDArray
_registered: dict = {}

OperatorArguments = namedtuple("OperatorArguments", ["narg", "names", "types"])


class CustomOp:
    """Base class of what computes a custom operator.

    ``forward`` and ``backward`` get lists of NDArrays and put their results into the arrays that
    they are given, with :meth:`assign`. Neither is recorded. When the gradient itself is recorded
    (``create_graph=True``), what ``backward`` computes with ``mx.nd`` operators and assigns can be
    differentiated again; what it computes by NumPy counts as a constant.

    See :func:`register` for an example.
    """

    def __init__(self):
        pass

    def forward(self, is_train, req, in_data, out_data, aux):
        """Computes the outputs. To be overridden.

        Parameters
        ----------
        is_train : bool
            Whether training mode is on.
        req : list of str
            For each output 'write'.
        in_data, out_data, aux : list of NDArray
            Inputs, arrays of zeros for the outputs, of the storage types that
            ``infer_storage_type`` says, and auxiliary states, which may be changed in place.
        """

    def backward(self, req, out_grad, in_data, out_data, in_grad, aux):
        """Computes the gradients of the inputs. To be overridden.

        Parameters
        ----------
        req : list of str
            For each input 'write', or 'null' when nobody wants its gradient.
        out_grad, in_data, out_data : list of NDArray
            Head gradients, inputs and outputs of the call.
        in_grad : list of NDArray
            Arrays of zeros for the gradients, of the storage types that
            ``infer_storage_type_backward`` says.
        aux : list of NDArray
            Auxiliary states.
        """

    def assign(self, dst, req, src):
        """Puts `src` into `dst` as `req` says.

        Parameters
        ----------
        dst : NDArray
            Where to.
        req : {'null', 'write', 'inplace', 'add'}
            'null' leaves dst as it is, 'add' adds to it, the others replace its values.
        src : NDArray or number
            The values; of dst's shape.

        Examples
        --------
        >>> import mxtape as mx
        >>> dst = mx.nd.ones((2,))
        >>> mx.operator.CustomOp().assign(dst, "add", mx.nd.array([1, 2]))
        >>> dst.asnumpy().tolist()
        [2.0, 3.0]
        """
        if req == "null":
            return
        if req not in ("write", "inplace", "add"):
            raise ValueError(
                f"assign: req must be 'null', 'write', 'inplace' or 'add', got {req!r}"
            )
        if req == "add":
            src = dst + src
        if isinstance(src, _NDArray) and src.shape == dst.shape and src.dtype == dst.dtype:
            # Recorded when the gradient is.
            _registry.get("_copy")(src, out=dst)
        else:
            dst[:] = src


class CustomOpProp:
    """Base class of what describes a custom operator: its inputs, outputs and shapes.

    The keyword arguments of ``mx.nd.Custom`` come to the constructor as strings.

    Parameters
    ----------
    need_top_grad : bool, default True
        Whether ``backward`` reads the head gradients; a loss says False.
    """

    def __init__(self, need_top_grad=True):
        self.need_top_grad_ = need_top_grad

    def list_arguments(self):
        """Names of the inputs; ``['data']`` unless overridden."""
        return ["data"]

    def list_outputs(self):
        """Names of the outputs; ``['output']`` unless overridden."""
        return ["output"]

    def list_auxiliary_states(self):
        """Names of the auxiliary states, which follow the inputs in a call; none by default."""
        return []

    def infer_shape(self, in_shape):
        """Shapes of the inputs, the outputs and the auxiliary states from those of the inputs.

        By default every output has the first input's shape. The states may be left out.
        """
        return in_shape, (in_shape[0],) * len(self.list_outputs()), ()

    def infer_type(self, in_type):
        """Data types of the inputs, the outputs and the states; by default the first input's."""
        return (
            in_type,
            [in_type[0]] * len(self.list_outputs()),
            [in_type[0]] * len(self.list_auxiliary_states()),
        )

    def infer_storage_type(self, in_stype):
        """Storage types of the inputs, the outputs and the states; all 'default' unless overridden.

        Called only where it is overridden. An operator that does not override it accepts no sparse
        arrays.

        Parameters
        ----------
        in_stype : list of str
            Those of the inputs: 'default', 'row_sparse' or 'csr'.

        Raises
        ------
        AssertionError
            An input is sparse.
        """
        for i, stype in enumerate(in_stype):
            if stype != "default":
                raise AssertionError(
                    f"input {i} has storage type {stype!r}: override infer_storage_type() to "
                    "accept it"
                )
        return (
            list(in_stype),
            ["default"] * len(self.list_outputs()),
            ["default"] * len(self.list_auxiliary_states()),
        )

    def infer_storage_type_backward(self, ograd_stype, in_stype, out_stype, igrad_stype, aux_stype):
        """Storage types of the arrays that ``backward`` gets; all 'default' unless overridden.

        Called only where it is overridden. An operator with sparse inputs or outputs must override
        it to have a gradient.

        Parameters
        ----------
        ograd_stype, in_stype, out_stype, igrad_stype, aux_stype : list of str
            Those of the head gradients, the inputs, the outputs, the gradients of the inputs and
            the auxiliary states. Of the head gradients and the gradients it says which they shall
            be: head gradients are converted.

        Returns
        -------
        tuple of five lists of str

        Raises
        ------
        AssertionError
            One of them is not 'default'.
        """
        given = (ograd_stype, in_stype, out_stype, igrad_stype, aux_stype)
        for stypes in given:
            for stype in stypes:
                if stype != "default":
                    raise AssertionError(
                        f"got storage type {stype!r}: override infer_storage_type_backward() to "
                        "accept it"
                    )
        return tuple(["default"] * len(stypes) for stypes in given)

    def declare_backward_dependency(self, out_grad, in_data, out_data):
        """Which arrays ``backward`` reads, as a list of the numbers given. All are kept."""
        return [*(out_grad if self.need_top_grad_ else ()), *in_data, *out_data]

    def create_operator(self, ctx, in_shapes, in_dtypes):
        """The :class:`CustomOp` for a call. To be overridden.

        Parameters
        ----------
        ctx : Context
            Where the inputs are.
        in_shapes : list of list of int
        in_dtypes : list of numpy type
        """
        return CustomOp()


def register(reg_name):
    """A decorator that makes a :class:`CustomOpProp` known as ``op_type=reg_name``.

    Registering a name again replaces it.

    Parameters
    ----------
    reg_name : str
        What calls name the operator by.

    Examples
    --------
    >>> import mxtape as mx
    >>> class Scale(mx.operator.CustomOp):
    ...     def __init__(self, factor):
    ...         self.factor = factor
    ...     def forward(self, is_train, req, in_data, out_data, aux):
    ...         self.assign(out_data[0], req[0], in_data[0] * self.factor)
    ...     def backward(self, req, out_grad, in_data, out_data, in_grad, aux):
    ...         self.assign(in_grad[0], req[0], out_grad[0] * self.factor)
    >>> @mx.operator.register("docs_scale")
    ... class ScaleProp(mx.operator.CustomOpProp):
    ...     def __init__(self, factor="1"):
    ...         super().__init__()
    ...         self.factor = float(factor)
    ...     def create_operator(self, ctx, in_shapes, in_dtypes):
    ...         return Scale(self.factor)
    >>> x = mx.nd.array([1, 2])
    >>> x.attach_grad()
    >>> with mx.autograd.record():
    ...     y = mx.nd.Custom(x, op_type="docs_scale", factor=3)
    >>> y.backward()
    >>> y.asnumpy().tolist(), x.grad.asnumpy().tolist()
    ([3.0, 6.0], [3.0, 3.0])
    """

    def do_register(prop_cls):
        if not (isinstance(prop_cls, type) and issubclass(prop_cls, CustomOpProp)):
            raise TypeError(f"register: expected a subclass of CustomOpProp, got {prop_cls!r}")
        _registered[reg_name] = prop_cls
        return prop_cls

    return do_register


def get_all_registered_operators():
    """Names of all operators of the engine, aliases included.

    >>> import mxtape as mx
    >>> "FullyConnected" in mx.operator.get_all_registered_operators()
    True
    """
    return sorted(_registry.all_names())


def get_operator_arguments(op_name):
    """Names and types of an operator's inputs and parameters.

    Parameters
    ----------
    op_name : str
        An operator of :func:`get_all_registered_operators`.

    Returns
    -------
    OperatorArguments
        ``narg``, ``names`` and ``types``.

    >>> import mxtape as mx
    >>> mx.operator.get_operator_arguments("FullyConnected").names
    ['data', 'weight', 'bias', 'num_hidden', 'no_bias', 'flatten']
    """
    names, types = _registry.arguments_of(op_name)
    return OperatorArguments(len(names), names, types)


class _Call(Function):
    """One call of a custom operator: a Function on the tape."""

    def __init__(self, op_type, prop, op, inferred, aux):
        super().__init__()
        self._label = f"Custom({op_type})"
        self.prop, self.op, self.aux = prop, op, aux
        shapes, types, stypes = inferred
        self.outputs = list(zip(stypes, shapes[1], types[1]))
        self.in_data: list = []
        self.out_data: list = []
        self.wanted: list = []

    def _received(self, output_grads):
        return output_grads  # in storage types that infer_storage_type_backward says

    def _owners(self):
        return [self, self.op] if hasattr(self.op, "__dict__") else [self]

    def forward(self, *inputs):
        self.in_data = list(inputs)
        self.wanted = [_core.on_tape(x) for x in inputs]
        # Zeros, so that what forward leaves alone is not what was in memory.
        made = [
            _zeros(stype, tuple(shape), inputs[0].context if inputs else None, dtype)
            for stype, shape, dtype in self.outputs
        ]
        if type(self.op).forward is CustomOp.forward:
            raise MXNetError(f"{self._label}: {type(self.op).__name__} does not define forward")
        given = list(made)
        self.op.forward(
            is_train=is_training(),
            req=["write"] * len(made),
            in_data=list(inputs),
            out_data=given,
            aux=self.aux,
        )
        self._take("out_data", made, given)
        self.out_data = made
        return made

    def _take(self, name, made, given):
        """What was put into a list in place of its arrays goes into the arrays."""
        for i, (array, value) in enumerate(zip(made, given)):
            if value is array:
                continue
            if np.shape(value) != array.shape:
                raise MXNetError(
                    f"{self._label}: {name}[{i}] = value: expected shape {array.shape}, got "
                    f"{np.shape(value)}; self.assign({name}[{i}], req[{i}], value) broadcasts"
                )
            CustomOp.assign(self.op, array, "write", value)

    def backward(self, *heads):
        if type(self.op).backward is CustomOp.backward:
            raise MXNetError(
                f"{self._label}: {type(self.op).__name__} does not define backward, and an input "
                "needs a gradient; define it, or give x.detach() as the input"
            )
        head_stypes, grad_stypes = self._backward_stypes(heads)
        out_grad = [h if h.stype == s else h.tostype(s) for h, s in zip(heads, head_stypes)]
        in_grad = [
            _zeros(stype, x.shape, x.context, x.dtype)
            for stype, x in zip(grad_stypes, self.in_data)
        ]
        given = list(in_grad)
        self.op.backward(
            req=["write" if wanted else "null" for wanted in self.wanted],
            out_grad=out_grad,
            in_data=list(self.in_data),
            out_data=list(self.out_data),
            in_grad=given,
            aux=self.aux,
        )
        self._take("in_grad", in_grad, given)
        return in_grad

    def _backward_stypes(self, heads):
        """Storage types of the head gradients that backward gets, and of the gradients."""
        stypes = [
            [x.stype for x in arrays]
            for arrays in (heads, self.in_data, self.out_data, self.in_data, self.aux)
        ]
        if _overrides(self.prop, "infer_storage_type_backward"):
            given = self.prop.infer_storage_type_backward(*map(list, stypes))
            if not _is_list(given) or len(given) != 5 or not all(map(_is_list, given)):
                raise MXNetError(
                    f"{self._label}: infer_storage_type_backward must return five lists, "
                    f"got {given!r}"
                )
            for what, wanted, like in (
                ("head gradients", given[0], heads),
                ("gradients", given[3], self.in_data),
            ):
                _check_stypes(
                    f"{self._label}: infer_storage_type_backward", what, wanted, len(like)
                )
            return given[0], given[3]
        for what, arrays in (("input", self.in_data), ("output", self.out_data)):
            for i, x in enumerate(arrays):
                if x.stype != "default":
                    raise MXNetError(
                        f"{self._label}: {what} {i} has storage type {x.stype!r}, and an input "
                        "needs a gradient: override infer_storage_type_backward() of the "
                        "CustomOpProp to say which storage types backward gets"
                    )
        return ["default"] * len(heads), ["default"] * len(self.in_data)


def _zeros(stype, shape, context, dtype):
    if stype == "default":
        return zeros(shape, context, dtype)
    made = _core.empty_sparse(stype, shape, np.dtype(dtype))
    return _placed(made, context)


def _overrides(prop, name):
    return getattr(type(prop), name, None) is not getattr(CustomOpProp, name)


def _check_stypes(where, what, stypes, count):
    if len(stypes) != count or not all(s in ("default", "row_sparse", "csr") for s in stypes):
        raise MXNetError(
            f"{where} returned {stypes!r} for the {count} {what}; storage types are 'default', "
            "'row_sparse' and 'csr'"
        )


def _inferred_stypes(op_type, prop, inputs, n_out):
    """The storage types of the outputs."""
    given = [x.stype for x in inputs]
    if not _overrides(prop, "infer_storage_type"):
        for name, stype in zip(prop.list_arguments(), given):
            if stype != "default":
                raise MXNetError(
                    f"Custom({op_type}): {name} has storage type {stype!r}: override "
                    "infer_storage_type() of the CustomOpProp to accept it, or pass "
                    f"{name}.tostype('default')"
                )
        return ["default"] * n_out
    stypes = prop.infer_storage_type(list(given))
    if not _is_list(stypes) or len(stypes) not in (2, 3) or not all(map(_is_list, stypes)):
        raise MXNetError(
            f"Custom({op_type}): infer_storage_type must return two or three lists, got {stypes!r}"
        )
    where = f"Custom({op_type}): infer_storage_type"
    _check_stypes(where, "inputs", stypes[0], len(given))
    _check_stypes(where, "outputs", stypes[1], n_out)
    for name, stype, wanted in zip(prop.list_arguments(), given, stypes[0]):
        if stype != wanted:
            raise MXNetError(
                f"Custom({op_type}): {name} has storage type {stype!r}, infer_storage_type "
                f"expects {wanted!r}"
            )
    return stypes[1]


def _inputs_by_name(op_type, names, args, named, expected, complete):
    """The inputs of a call by their names; `complete` when none may be left out."""
    inputs = dict(zip(names, args))
    for name, value in named.items():
        if name in inputs:
            raise TypeError(f"Custom({op_type}): got two values for argument {name}")
        inputs[name] = value
    unknown = [name for name in inputs if name not in names]
    missing = [name for name in names if name not in inputs] if complete else []
    if len(args) > len(names) or missing or unknown:
        raise MXNetError(
            f"Custom({op_type}): expected {expected} ({', '.join(names)}), got "
            f"{len(args) + len(named)}"
            + (f"; missing: {', '.join(missing)}" if missing else "")
            + (f"; unknown: {', '.join(unknown)}" if unknown else "")
        )
    return inputs


def _ordered(op_type, names, args, named):
    """The arrays of a call in the order of `names`."""
    for value in args:
        if not isinstance(value, _NDArray):
            raise AssertionError(f"Custom({op_type}): arguments must be NDArrays, got {value!r}")
    arrays = _inputs_by_name(op_type, names, args, named, f"{len(names)} arrays", complete=True)
    return [arrays[name] for name in names]


def _is_list(value):
    return isinstance(value, (list, tuple))


def _is_shape(value):
    return isinstance(value, (list, tuple, np.ndarray)) and all(
        isinstance(n, integer_types) and n >= 0 for n in value
    )


def _inferred(op_type, prop, inputs, n_aux):
    """Shapes and types of the inputs and the outputs, and storage types of the outputs."""
    n_out = len(prop.list_outputs())
    shapes = prop.infer_shape([list(x.shape) for x in inputs])
    types = prop.infer_type([x.dtype for x in inputs])
    for what, given in (("infer_shape", shapes), ("infer_type", types)):
        if not _is_list(given) or len(given) not in (2, 3) or not all(map(_is_list, given)):
            raise MXNetError(
                f"Custom({op_type}): {what} must return two or three lists, got {given!r}"
            )
        if len(given[0]) != len(inputs) or len(given[1]) != n_out:
            raise MXNetError(
                f"Custom({op_type}): {what} returned {len(given[0])} inputs and {len(given[1])} "
                f"outputs, the operator has {len(inputs)} and {n_out}"
            )
        if len(given) == 3 and len(given[2]) not in (0, n_aux):
            raise MXNetError(
                f"Custom({op_type}): {what} returned {len(given[2])} auxiliary states of {n_aux}"
            )
    for shape in (*shapes[0], *shapes[1]):
        if not _is_shape(shape):
            raise MXNetError(f"Custom({op_type}): infer_shape returned {shape!r} for a shape")
    for x, shape, name in zip(inputs, shapes[0], prop.list_arguments()):
        if tuple(shape) != x.shape:
            raise MXNetError(
                f"Custom({op_type}): {name} has shape {x.shape}, infer_shape expects {tuple(shape)}"
            )
    return shapes, types, _inferred_stypes(op_type, prop, inputs, n_out)


def _prop_of(op_type, texts):
    """What describes the operator `op_type` with these parameters."""
    if op_type is None:
        raise MXNetError("Custom: required parameter op_type is missing")
    if op_type not in _registered:
        raise MXNetError(
            f"Custom: no operator {op_type!r} is registered; there are: {sorted(_registered)}"
        )
    return _registered[op_type](**texts)


def _created(op_type, prop, arrays):
    context = arrays[0].context if arrays else None
    op = prop.create_operator(context, [list(x.shape) for x in arrays], [x.dtype for x in arrays])
    if not isinstance(op, CustomOp):
        raise MXNetError(f"Custom({op_type}): create_operator returned {op!r}, not a CustomOp")
    return op


def _prop_of_node(attributes):
    """What describes a node of a graph; attributes such as ``__lr_mult__`` are not its own."""
    texts = {k: v for k, v in attributes.items() if not (k[:2] == "__" == k[-2:])}
    return _prop_of(texts.pop("op_type", None), texts)


def _describe(attributes):
    """Names of a node's arguments, states and outputs, and whether it needs a head gradient."""
    prop = _prop_of_node(attributes)
    names = prop.list_arguments(), prop.list_auxiliary_states(), prop.list_outputs()
    return (*map(list, names), bool(prop.need_top_grad_))


def _answer(op_type, what, ask, known, counts):
    """What infer_shape or infer_type says: of the inputs, states among them, and the outputs.

    The program's code need not bear what is not known yet: then nothing follows.
    """
    n_in, n_states, n_out = counts
    nothing = [None] * (n_in + n_states), [None] * n_out
    if known and not any(value is not None for value in known):
        return nothing
    try:
        given = ask()
    except Exception:
        if all(value is not None for value in known):
            raise
        return nothing
    given = [list(values) for values in given] + [[]] * (3 - len(given))
    if len(given[2]) != n_states:
        given[2] = [None] * n_states
    if [len(values) for values in given] != [n_in, n_out, n_states]:
        raise MXNetError(
            f"Custom({op_type}): {what} returned {len(given[0])} inputs and {len(given[1])} "
            f"outputs, the operator has {n_in} and {n_out}"
        )
    return given[0] + given[2], given[1]


def _infer(attributes, shapes, types):
    """Shapes of a node's inputs and outputs, and their types; None for what is not known."""
    prop, op_type = _prop_of_node(attributes), attributes.get("op_type")
    n_in = len(prop.list_arguments())
    counts = n_in, len(prop.list_auxiliary_states()), len(prop.list_outputs())
    asked = [[] if shape is None else list(shape) for shape in shapes[:n_in]]
    in_shapes, out_shapes = _answer(
        op_type, "infer_shape", lambda: prop.infer_shape(asked), shapes[:n_in], counts
    )
    if any(shape is None for shape in shapes[:n_in]):
        # A shape made of one that is not known is [], or contradicts one that is.
        in_shapes, out_shapes = (
            [None if given is None or len(given) == 0 else given for given in each]
            for each in (in_shapes, out_shapes)
        )
        if any(
            was is not None and given is not None and tuple(was) != tuple(given)
            for was, given in zip(shapes, in_shapes[:n_in])
        ):
            in_shapes, out_shapes = [None] * len(in_shapes), [None] * len(out_shapes)
    in_shapes, out_shapes = (
        [None if given is None else list(given) for given in each]
        for each in (in_shapes, out_shapes)
    )
    in_types, out_types = _answer(
        op_type, "infer_type", lambda: prop.infer_type(types[:n_in]), types[:n_in], counts
    )
    return in_shapes, out_shapes, in_types, out_types


class _Prepared:
    """The operator of a node that runs: one object for all calls of one shape."""

    def __init__(self, attributes):
        self.op_type = attributes.get("op_type")
        self.prop = _prop_of_node(attributes)
        self.n_in = len(self.prop.list_arguments())
        self.op = None
        self.made_for = None

    def __call__(self, arrays):
        inputs, aux = arrays[: self.n_in], arrays[self.n_in :]
        inferred = _inferred(self.op_type, self.prop, inputs, len(aux))
        signature = [(x.shape, x.dtype) for x in arrays]
        if self.made_for != signature:
            self.op, self.made_for = _created(self.op_type, self.prop, arrays), signature
        results: Any = _Call(self.op_type, self.prop, self.op, inferred, aux)(*inputs)
        return results if isinstance(results, (list, tuple)) else [results]


_core.set_custom_hooks(_describe, _infer, _Prepared)


def Custom(*args, op_type=None, out=None, name=None, **kwargs):
    """Calls an operator that :func:`mxtape.operator.register` made known.

    Parameters
    ----------
    *args : NDArray
        The inputs in the order of ``list_arguments``, then the auxiliary states. They may be named
        instead.
    op_type : str
        The name that the operator was registered by.
    out : NDArray or list of NDArray, optional
        Arrays to write the results to.
    name : str, optional
        Accepted for compatibility.
    **kwargs
        Arguments of the operator's :class:`CustomOpProp`, which gets them as strings.

    Returns
    -------
    NDArray or list of NDArray
        A list when the operator has several outputs.

    Raises
    ------
    MXNetError
        When there is no such operator, or arrays are missing, too many or of other shapes than
        ``infer_shape`` says. What the operator's methods raise is passed on.

    Examples
    --------
    >>> import mxtape as mx
    >>> class Double(mx.operator.CustomOp):
    ...     def forward(self, is_train, req, in_data, out_data, aux):
    ...         self.assign(out_data[0], req[0], in_data[0] * 2)
    >>> @mx.operator.register("twice_as_much")
    ... class DoubleProp(mx.operator.CustomOpProp):
    ...     def create_operator(self, ctx, shapes, dtypes):
    ...         return Double()
    >>> mx.nd.Custom(mx.nd.array([1, 2]), op_type="twice_as_much").asnumpy().tolist()
    [2.0, 4.0]
    """
    named = {key: value for key, value in kwargs.items() if isinstance(value, _NDArray)}
    texts = {key: str(value) for key, value in kwargs.items() if key not in named}
    prop = _prop_of(op_type, texts)
    arguments, states = list(prop.list_arguments()), list(prop.list_auxiliary_states())
    arrays = _ordered(op_type, arguments + states, args, named)
    inputs, aux = arrays[: len(arguments)], arrays[len(arguments) :]
    inferred = _inferred(op_type, prop, inputs, len(states))
    op = _created(op_type, prop, arrays)
    results: Any = _Call(op_type, prop, op, inferred, aux)(*inputs)
    if out is not None:
        targets = [out] if isinstance(out, _NDArray) else list(out)
        if len(targets) != len(results):
            raise MXNetError(
                f"Custom({op_type}): {len(targets)} arrays given as out, the operator has "
                f"{len(results)} outputs"
            )
        for target, result in zip(targets, results):
            _registry.get("_copy")(result, out=target)
        return out
    return results[0] if len(results) == 1 else list(results)


__getattr__ = _borrowed.borrow(
    __name__,
    "collections context=.context ctypes symbol=.symbol traceback warnings",
    {
        "array": "array",
        "ctypes": "CFUNCTYPE POINTER Structure c_bool c_char c_char_p c_int c_void_p cast pointer",
        "threading": "Lock",
        ".base": "MXCallbackList NDArrayHandle OpHandle c_array c_array_buf c_int_p c_str "
        "check_call ctypes2numpy_shared mx_float mx_int mx_uint py_str",
        ".ndarray": "NDArray",
        ".python_op": "NDArrayOp NumpyOp PythonOp",
        ".util": "is_np_array",
    },
)
