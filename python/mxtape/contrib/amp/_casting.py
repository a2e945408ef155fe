"""Has the operators of mx.nd and mx.sym cast their inputs: what ``amp.init`` installs.

The functions in the namespaces, and the methods and operators of NDArray and Symbol, are replaced
by ones that cast first. :func:`remove` puts them back.
"""

import functools
import logging
from typing import Any

from ... import ndarray, symbol
from ...ndarray import NDArray, register
from ...symbol import Symbol
from ...symbol import operators as _arithmetic
from ...symbol import register as _symbols
from ._operators import CONDITIONAL, FLOAT32, TARGET, WIDEST, table_of

_log = logging.getLogger(__name__)

_FLOATS = ("float16", "bfloat16", "float32")
# Inputs that are numbers to count with, and stay as they are.
_KEPT = {"RNN": {"sequence_length"}, "CTCLoss": {"data_lengths", "label_lengths"}}
# NDArray's operators, by the operators for two arrays and for an array and a number.
_SLOTS = {
    "__add__": "broadcast_add _plus_scalar",
    "__radd__": "broadcast_add _plus_scalar",
    "__sub__": "broadcast_sub _minus_scalar",
    "__rsub__": "broadcast_sub _rminus_scalar",
    "__mul__": "broadcast_mul _mul_scalar",
    "__rmul__": "broadcast_mul _mul_scalar",
    "__truediv__": "broadcast_div _div_scalar",
    "__rtruediv__": "broadcast_div _rdiv_scalar",
    "__mod__": "broadcast_mod _mod_scalar",
    "__rmod__": "broadcast_mod _rmod_scalar",
    "__pow__": "broadcast_power _power_scalar",
    "__rpow__": "broadcast_power _rpower_scalar",
    "__eq__": "broadcast_equal _equal_scalar",
    "__ne__": "broadcast_not_equal _not_equal_scalar",
    "__gt__": "broadcast_greater _greater_scalar",
    "__ge__": "broadcast_greater_equal _greater_equal_scalar",
    "__lt__": "broadcast_lesser _lesser_scalar",
    "__le__": "broadcast_lesser_equal _lesser_equal_scalar",
}
_IN_PLACE = ("__iadd__", "__isub__", "__imul__", "__itruediv__", "__imod__")
# Functions of mx.nd in Python, by the operators for two arrays and for an array and a number.
_FUNCTIONS = {
    "add": "broadcast_add _plus_scalar",
    "subtract": "broadcast_sub _minus_scalar",
    "multiply": "broadcast_mul _mul_scalar",
    "divide": "broadcast_div _div_scalar",
    "true_divide": "broadcast_div _div_scalar",
    "modulo": "broadcast_mod _mod_scalar",
    "power": "broadcast_power _power_scalar",
    "maximum": "broadcast_maximum _maximum_scalar",
    "minimum": "broadcast_minimum _minimum_scalar",
    "equal": "broadcast_equal _equal_scalar",
    "not_equal": "broadcast_not_equal _not_equal_scalar",
    "greater": "broadcast_greater _greater_scalar",
    "greater_equal": "broadcast_greater_equal _greater_equal_scalar",
    "lesser": "broadcast_lesser _lesser_scalar",
    "lesser_equal": "broadcast_lesser_equal _lesser_equal_scalar",
}

_amp_cast: Any = register.get("amp_cast")
_amp_multicast: Any = register.get("amp_multicast")
_cast_symbol = _symbols.get("amp_cast")
_multicast_symbol = _symbols.get("amp_multicast")


def cast(array, dtype):
    """The array in float32 or a low precision; as it is where it has another kind of dtype."""
    own = array.dtype.__name__
    return array if own == dtype or own not in _FLOATS else _amp_cast(array, dtype=dtype)


def _cast_all(arrays, kind, target_dtype):
    """Arrays as an operator needs them."""
    if kind == WIDEST:
        if len({x.dtype.__name__ for x in arrays if x.dtype.__name__ in (*_FLOATS, "float64")}) < 2:
            return arrays
        cast_arrays = _amp_multicast(*arrays, num_outputs=len(arrays))
        return [cast_arrays] if len(arrays) == 1 else cast_arrays
    dtype = target_dtype if kind == TARGET else "float32"
    return [cast(x, dtype) for x in arrays]


def _named_as(function):
    # Docstrings are made when they are read: all of them would take a second.
    return functools.wraps(function, ("__module__", "__name__", "__qualname__"), ())


def _arguments_of(label):
    """The names of an operator's arguments, and of those that keep their dtype."""
    arguments = [] if label == "Custom" else register.arguments_of(label)[0]
    return arguments, _KEPT.get(register.canonical(label), ())


def _kind_of_call(label, kinds, kind, arguments, args, kwargs):
    """What is done with a call's arrays: it may depend on its arguments. None: nothing."""
    if kind != CONDITIONAL:
        return kind
    given = {**dict(zip(arguments, args)), **kwargs}
    return FLOAT32 if kinds.is_conditional(label, given) else None


def _wrapped_array_function(function, label, kinds, kind):
    arguments, kept = _arguments_of(label)

    @_named_as(function)
    def call(*args, **kwargs):
        applied = _kind_of_call(label, kinds, kind, arguments, args, kwargs)
        if applied is None:
            return function(*args, **kwargs)
        places: list = [i for i, x in enumerate(args) if isinstance(x, NDArray)]
        names = [k for k, x in kwargs.items() if isinstance(x, NDArray) and k != "out"]
        if kept:
            places = [i for i in places if i >= len(arguments) or arguments[i] not in kept]
            names = [name for name in names if name not in kept]
        arrays = [args[i] for i in places] + [kwargs[name] for name in names]
        out = kwargs.get("out")
        if isinstance(out, NDArray) and out.dtype.__name__ in _FLOATS:
            arrays = [cast(x, out.dtype.__name__) for x in arrays]  # `out` decides
        else:
            arrays = _cast_all(arrays, applied, kinds.target_dtype)
        new = list(args)
        for i, x in zip(places, arrays):
            new[i] = x
        return function(*new, **{**kwargs, **dict(zip(names, arrays[len(places) :]))})

    return call


def _wrapped_loss(function, scaler):
    """A loss whose gradient is multiplied by the loss scale."""

    @_named_as(function)
    def call(*args, **kwargs):
        scale = float(kwargs.pop("grad_scale", 1.0)) * scaler.loss_scale
        return function(*args, grad_scale=scale, **kwargs)

    return call


def _wrapped_symbol_loss(function, label):
    @_named_as(function)
    def call(*args, **kwargs):
        _log.warning("amp: the gradient of the symbol %s does not follow the loss scale", label)
        return function(*args, **kwargs)

    return call


def _wrapped_symbol_function(function, label, kinds, kind):
    arguments, kept = _arguments_of(label)

    @_named_as(function)
    def call(*args, **kwargs):
        applied = _kind_of_call(label, kinds, kind, arguments, args, kwargs)
        if applied is None:
            return function(*args, **kwargs)
        given = [x for x in (*args, *kwargs.values()) if isinstance(x, Symbol)]
        if any(len(x) != 1 for x in given):
            return function(*args, **kwargs)
        # The node is made of variables first: it makes those that are not given. Then what is cast
        # takes the place of them all.
        stand_ins: dict = {}

        def stand_in(x):
            if not isinstance(x, Symbol):
                return x
            name = f"_amp_input{len(stand_ins)}"
            stand_ins[name] = x
            return symbol.var(name)

        node = function(
            *(stand_in(x) for x in args), **{key: stand_in(x) for key, x in kwargs.items()}
        )
        states = set(node.list_auxiliary_states())
        children = node.get_children()
        inputs = [] if children is None else [x for x in children if x.name not in states]
        inputs = [child for i, child in enumerate(inputs) if _input_name(arguments, i) not in kept]
        names = [child.name for child in inputs]
        sources = [stand_ins.pop(name, child) for name, child in zip(names, inputs)]
        if applied == WIDEST and len(sources) > 1:
            sources = list(_multicast_symbol(*sources, num_outputs=len(sources)))
        elif applied != WIDEST:
            dtype = kinds.target_dtype if applied == TARGET else "float32"
            sources = [_cast_symbol(source, dtype=dtype) for source in sources]
        return node(**dict(zip(names, sources)), **stand_ins)

    return call


def _input_name(arguments, i):
    return arguments[i] if i < len(arguments) else None


def _wrapped_slot(original, labels, kinds):
    two, number = (kinds.of(label) for label in labels.split())
    target = kinds.target_dtype

    @_named_as(original)
    def call(self, other):
        if isinstance(other, NDArray):
            if two is not None and isinstance(self, NDArray):
                self, other = _cast_all([self, other], two, target)
        elif number is not None and isinstance(self, NDArray):
            (self,) = _cast_all([self], number, target)
        return original(self, other)

    return call


def _wrapped_in_place(original):
    @_named_as(original)
    def call(self, other):
        if isinstance(other, NDArray):
            other = cast(other, self.dtype.__name__)
        return original(self, other)

    return call


_replaced: list = []


def _put(owner, name, value):
    if isinstance(owner, dict):
        owner[name] = value
    else:
        setattr(owner, name, value)


def _members(owner):
    return owner if isinstance(owner, dict) else vars(owner)


def _replace(owner, name, new):
    _replaced.append((owner, name, _members(owner)[name]))
    _put(owner, name, new)


def _replace_everywhere(owners, wrapper_of):
    """Puts wrappers in the place of operators' functions, one for each function."""
    made: dict = {}
    for owner in owners:
        for name, function in list(_members(owner).items()):
            if id(function) not in made:
                made[id(function)] = wrapper_of(function)
            if made[id(function)] is not None:
                _replace(owner, name, made[id(function)])


def _wrapper_of(labels, kinds, wrapped, wrapped_loss):
    """The function that gives the wrapper of an operator's function, or None."""
    losses = {register.canonical(n) for n in table_of(kinds.target_dtype).LOSS_OUTPUT_FUNCTIONS}

    def wrapper_of(function):
        label = labels.get(id(function))
        kind = None if label is None else kinds.of(label)
        # Updates change their inputs, which a cast would leave behind.
        if kind is None or label.endswith("_update"):
            return None
        wrapper = wrapped(function, label, kinds, kind)
        is_loss = register.canonical(label) in losses
        return wrapped_loss(wrapper, label) if is_loss else wrapper

    return wrapper_of


def install(kinds, scaler):
    """Replaces the functions.

    Parameters
    ----------
    kinds : Kinds
    scaler : LossScaler
        Its factor goes into the gradients of losses such as SoftmaxOutput, which read no other.
    """
    _install_for_arrays(kinds, scaler)
    _install_for_symbols(kinds)


def _install_for_arrays(kinds, scaler):
    nd = ndarray
    labels = {id(function): name for name, function in register.operators.items()}
    labels[id(nd.Custom)] = "Custom"
    wrapper_of = _wrapper_of(
        labels, kinds, _wrapped_array_function, lambda function, _: _wrapped_loss(function, scaler)
    )
    namespaces = (nd, nd.op, nd._internal, nd.contrib, nd.linalg, nd.image, NDArray)
    _replace_everywhere(namespaces, wrapper_of)
    for name, pair in _SLOTS.items():
        _replace(NDArray, name, _wrapped_slot(vars(NDArray)[name], pair, kinds))
    for name in _IN_PLACE:
        _replace(NDArray, name, _wrapped_in_place(vars(NDArray)[name]))
    for name, pair in _FUNCTIONS.items():
        _replace(nd, name, _wrapped_slot(vars(nd)[name], pair, kinds))


def _install_for_symbols(kinds):
    sym = symbol
    functions = _symbols._functions
    labels = {id(function): key[0] for key, function in functions.items()}
    labels[id(sym.Custom)] = "Custom"
    wrapper_of = _wrapper_of(labels, kinds, _wrapped_symbol_function, _wrapped_symbol_loss)
    namespaces = (sym, sym.op, sym._internal, sym.contrib, sym.linalg, sym.image, Symbol)
    _replace_everywhere((*namespaces, functions), wrapper_of)
    for name, value in list(vars(_arithmetic).items()):
        if isinstance(value, tuple) and value and all(id(f) in labels for f in value):
            _replace(_arithmetic, name, tuple(wrapper_of(f) or f for f in value))
        elif id(value) in labels:
            _replace(_arithmetic, name, wrapper_of(value) or value)


def remove():
    """Puts the functions back that :func:`install` replaced."""
    while _replaced:
        owner, name, function = _replaced.pop()
        _put(owner, name, function)
