"""Arithmetic of symbols and numbers: operators of Symbol, and functions of their names."""

from numbers import Number

import numpy as np

from . import register
from .symbol import Symbol


def _functions(names):
    """The functions for two symbols, a symbol and a number, and a number and a symbol."""
    return [name and register.get(name) for name in names.split()]


_NUMBERS = {int, float}  # for which isinstance(value, Number) takes long


def _scalar(value):
    return int(value) if isinstance(value, (bool, np.bool_)) else value


def _operator(names):
    """The methods `symbol OP other` and `other OP symbol`."""
    two, number, reversed_number = _functions(names)

    def method(self, other):
        if isinstance(other, Symbol):
            return two(self, other)
        if type(other) in _NUMBERS or isinstance(other, Number):
            return number(self, scalar=_scalar(other))
        raise TypeError(f"a Symbol and {type(other)} have no such operator")

    def reversed_method(self, other):
        if isinstance(other, Number):
            return reversed_number(self, scalar=_scalar(other))
        raise TypeError(f"{type(other)} and a Symbol have no such operator")

    return method, reversed_method


_OPERATORS = {
    "add": "_Plus _PlusScalar _PlusScalar",
    "sub": "_Minus _MinusScalar _RMinusScalar",
    "mul": "_Mul _MulScalar _MulScalar",
    "truediv": "_Div _DivScalar _RDivScalar",
    "mod": "_Mod _ModScalar _RModScalar",
    "pow": "_Power _PowerScalar _rpower_scalar",
}
_COMPARISONS = {
    "eq": "_equal _equal_scalar _equal_scalar",
    "ne": "_not_equal _not_equal_scalar _not_equal_scalar",
    "gt": "_greater _greater_scalar _lesser_scalar",
    "ge": "_greater_equal _greater_equal_scalar _lesser_equal_scalar",
    "lt": "_lesser _lesser_scalar _greater_scalar",
    "le": "_lesser_equal _lesser_equal_scalar _greater_equal_scalar",
}


def install():
    """Puts the operators on Symbol."""
    for name, functions in _OPERATORS.items():
        method, reversed_method = _operator(functions)
        setattr(Symbol, f"__{name}__", method)
        setattr(Symbol, f"__r{name}__", reversed_method)
    for name, functions in _COMPARISONS.items():
        setattr(Symbol, f"__{name}__", _operator(functions)[0])
    Symbol.__div__, Symbol.__rdiv__ = Symbol.__truediv__, Symbol.__rtruediv__
    Symbol.__neg__ = lambda self: register.get("_MulScalar")(self, scalar=-1.0)
    Symbol.__abs__ = lambda self: register.get("abs")(self)
    Symbol.__hash__ = None  # as symbols are compared element by element


def _of_two(left, right, names, numbers):
    two, number, reversed_number = _functions(names)
    if isinstance(left, Symbol):
        if isinstance(right, Symbol):
            return two(left, right)
        if isinstance(right, Number):
            return number(left, scalar=_scalar(right))
    elif isinstance(left, Number):
        if isinstance(right, Symbol):
            return reversed_number(right, scalar=_scalar(left))
        if isinstance(right, Number):
            return numbers(left, right)
    raise TypeError(f"expected symbols and numbers, got {type(left)} and {type(right)}")


def maximum(left, right):
    """The larger of two elements. Each is a symbol or a number; symbols have one shape.

    >>> import mxtape as mx
    >>> maximum(mx.sym.Variable("x"), 2)
    <Symbol _maximumscalar0>
    """
    names = "_Maximum _MaximumScalar _MaximumScalar"
    return _of_two(left, right, names, lambda a, b: a if a > b else b)


def minimum(left, right):
    """The smaller of two elements. Each is a symbol or a number; symbols have one shape."""
    names = "_Minimum _MinimumScalar _MinimumScalar"
    return _of_two(left, right, names, lambda a, b: a if a < b else b)


def power(base, exp):
    """`base` to the power of `exp`. Each is a symbol or a number; symbols have one shape."""
    return _of_two(base, exp, "_Power _PowerScalar _RPowerScalar", lambda a, b: a**b)


pow = power


def hypot(left, right):
    """The hypotenuse over two sides. Each is a symbol or a number; symbols have one shape."""
    return _of_two(left, right, "_Hypot _HypotScalar _HypotScalar", np.hypot)
