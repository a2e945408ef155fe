"""How far pointwise functions may be off, in units in the last place: of every floating dtype.

The range matrix (test_range.py) holds every operator to these bounds, at about two hundred points
that span each dtype, and docs/operators.md lists them.
"""

from dataclasses import dataclass
from typing import Callable

# Of the value, the first and the second derivatives.
BOUNDS = {
    "negative": (0, 0, 0),
    "abs": (0, 0, 0),
    "sign": (0, 0, 0),
    "square": (1.5, 0, 0),
    "reciprocal": (1.5, 3, 4),
    "round": (0, 0, 0),
    "rint": (0, 0, 0),
    "ceil": (0, 0, 0),
    "floor": (0, 0, 0),
    "trunc": (0, 0, 0),
    "fix": (0, 0, 0),
    "logical_not": (0, 0, 0),
    "clip": (0, 0, 0),
    "smooth_l1": (1.5, 0, 0),
    "exp": (1.5, 1.5, 1.5),
    "expm1": (2, 1.5, 1.5),
    "log": (1.5, 1.5, 2),
    "log2": (1.5, 1.5, 2),
    "log10": (3, 1.5, 2),
    "log1p": (1.5, 2, 4),
    "sqrt": (1.5, 2, 6),
    "rsqrt": (2, 2, 4),
    "cbrt": (4, 8, 24),
    "rcbrt": (4, 6, 6),
    "sigmoid": (2, 192, 192),
    "relu": (0, 0, 0),
    "softsign": (2, 4, 8),
    "hard_sigmoid": (1.5, 0, 0),
    "_contrib_quadratic": (1.5, 1.5, 0),
    "sin": (1.5, 1.5, 1.5),
    "cos": (1.5, 1.5, 1.5),
    "tan": (1.5, 3, 4),
    "arcsin": (1.5, 2, 6),
    "arccos": (1.5, 2, 6),
    "arctan": (1.5, 4, 6),
    "degrees": (1.5, 1, 0),
    "radians": (1.5, 1, 0),
    "sinh": (2, 1.5, 2),
    "cosh": (1.5, 2, 1.5),
    "tanh": (4, 512, 512),
    "arcsinh": (1.5, 2, 4),
    "arccosh": (1.5, 4, 3),
    "arctanh": (1.5, 2, 6),
    "erf": (1.5, 3, 8),
    "erfinv": (1.5, 48, 96),
    "gammaln": (4, 32, 4),
    "gamma": (4, 32, 16),
    "_polygamma": (4, 8, 8),
    "softrelu": (2, 2, 24),
    "elu": (2, 1.5, 1.5),
    "gelu": (4, 4, 12),
    "add": (1.5, 0, 0),
    "subtract": (1.5, 0, 0),
    "multiply": (1.5, 0, 0),
    "divide": (1.5, 2, 3),
    "modulo": (1.5, 1.5, 0),
    "power": (2, 192, 128),
    "maximum": (0, 0, 0),
    "minimum": (0, 0, 0),
    "hypot": (1.5, 2, 8),
    "equal": (0, 0, 0),
    "not_equal": (0, 0, 0),
    "greater": (0, 0, 0),
    "greater_equal": (0, 0, 0),
    "lesser": (0, 0, 0),
    "lesser_equal": (0, 0, 0),
    "logical_and": (0, 0, 0),
    "logical_or": (0, 0, 0),
    "logical_xor": (0, 0, 0),
}


@dataclass(frozen=True)
class Excuse:
    """Points at which a function is worse than its bound, and why: covers(dtype, *arguments)."""

    covers: Callable
    reason: str


SMALLEST = {"float16": 2.0**-14, "bfloat16": 2.0**-126, "float32": 2.0**-126, "float64": 2.0**-1022}

_flushed = Excuse(
    lambda dtype, x: x < (-708 if dtype == "float64" else -87),
    "0 at arguments so far below 0 that the truth is a subnormal number (-87 in float32)",
)
_steep = Excuse(
    lambda dtype, a, b: (abs(a) < 4 * SMALLEST[dtype]) & (abs(b) < 1),
    "infinite or NaN where the base is next to the smallest number and the exponent is between -1"
    " and 1: the power by the exponent less 1 is beyond the largest number",
)

# By family, order, and which of the derivatives of that order.
EXCEPTIONS = {
    ("sigmoid", 0, 0): (_flushed,),
    ("sigmoid", 1, 0): (_flushed,),
    ("sigmoid", 2, 0): (_flushed,),
    ("power", 1, 0): (_steep,),
    ("power", 2, 0): (_steep,),
    ("power", 2, 1): (_steep,),
}
