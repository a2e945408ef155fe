"""Arithmetic of symbols and numbers: Symbol's operators, and functions of two arguments."""

from numbers import Number
from typing import Any

import numpy as np

from . import register

_NUMBERS = {int, float}  # for which isinstance(value, Number) takes long


def _forms(names):
    """The functions for two symbols, and for a symbol and a number, by their names."""
    return tuple(register.get(name) for name in names.split())


_ADD = _forms("_Plus _PlusScalar")
_SUB = _forms("_Minus _MinusScalar")
_RSUB = register.get("_RMinusScalar")
_MUL = _forms("_Mul _MulScalar")
_TRUEDIV = _forms("_Div _DivScalar")
_RTRUEDIV = register.get("_RDivScalar")
_MOD = _forms("_Mod _ModScalar")
_RMOD = register.get("_RModScalar")
_POW = _forms("_Power _PowerScalar")
_RPOW = register.get("_rpower_scalar")
_EQ = _forms("_equal _equal_scalar")
_NE = _forms("_not_equal _not_equal_scalar")
_GT = _forms("_greater _greater_scalar")
_GE = _forms("_greater_equal _greater_equal_scalar")
_LT = _forms("_lesser _lesser_scalar")
_LE = _forms("_lesser_equal _lesser_equal_scalar")


def _scalar(value):
    return int(value) if isinstance(value, (bool, np.bool_)) else value


def _apply(forms, symbol, other):
    if isinstance(other, Arithmetic):
        return forms[0](symbol, other)
    if type(other) in _NUMBERS or isinstance(other, Number):
        return forms[1](symbol, scalar=_scalar(other))
    raise TypeError(f"a Symbol and {type(other)} have no such operator")


def _apply_reversed(function, symbol, number):
    if isinstance(number, Number):
        return function(symbol, scalar=_scalar(number))
    raise TypeError(f"{type(number)} and a Symbol have no such operator")


class Arithmetic:
    """The operators of Symbol, with symbols of the same shape and with numbers."""

    __slots__ = ()
    # NumPy's arrays leave `array * symbol` to the symbol, which refuses.
    __array_priority__ = 1000.0
    __hash__ = None  # type: ignore[assignment]  # symbols are compared element by element

    def __add__(self, other) -> Any:
        return _apply(_ADD, self, other)

    def __sub__(self, other) -> Any:
        return _apply(_SUB, self, other)

    def __mul__(self, other) -> Any:
        return _apply(_MUL, self, other)

    def __truediv__(self, other) -> Any:
        return _apply(_TRUEDIV, self, other)

    def __mod__(self, other) -> Any:
        return _apply(_MOD, self, other)

    def __pow__(self, other) -> Any:
        return _apply(_POW, self, other)

    def __radd__(self, other) -> Any:
        return _apply_reversed(_ADD[1], self, other)

    def __rsub__(self, other) -> Any:
        return _apply_reversed(_RSUB, self, other)

    def __rmul__(self, other) -> Any:
        return _apply_reversed(_MUL[1], self, other)

    def __rtruediv__(self, other) -> Any:
        return _apply_reversed(_RTRUEDIV, self, other)

    def __rmod__(self, other) -> Any:
        return _apply_reversed(_RMOD, self, other)

    def __rpow__(self, other) -> Any:
        return _apply_reversed(_RPOW, self, other)

    def __eq__(self, other) -> Any:
        return _apply(_EQ, self, other)

    def __ne__(self, other) -> Any:
        return _apply(_NE, self, other)

    def __gt__(self, other) -> Any:
        return _apply(_GT, self, other)

    def __ge__(self, other) -> Any:
        return _apply(_GE, self, other)

    def __lt__(self, other) -> Any:
        return _apply(_LT, self, other)

    def __le__(self, other) -> Any:
        return _apply(_LE, self, other)

    def __neg__(self) -> Any:
        return _MUL[1](self, scalar=-1.0)

    def __abs__(self) -> Any:
        return register.get("abs")(self)

    __div__, __rdiv__ = __truediv__, __rtruediv__


def _of_two(left, right, names, numbers):
    two, number, reversed_number = _forms(names)
    if isinstance(left, Arithmetic):
        if isinstance(right, Arithmetic):
            return two(left, right)
        if isinstance(right, Number):
            return number(left, scalar=_scalar(right))
    elif isinstance(left, Number):
        if isinstance(right, Arithmetic):
            return reversed_number(right, scalar=_scalar(left))
        if isinstance(right, Number):
            return numbers(left, right)
    raise TypeError(f"expected symbols and numbers, got {type(left)} and {type(right)}")


def maximum(left, right):
    """The larger of two elements. Each is a symbol or a number; symbols have one shape.

    >>> import mxtape as mx
    >>> mx.sym.maximum(mx.sym.Variable("x"), 2).eval(x=mx.nd.array([1, 3]))[0].asnumpy().tolist()
    [2.0, 3.0]
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
