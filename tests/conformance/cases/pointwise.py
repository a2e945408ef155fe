"""Pointwise operators: unary, binary and scalar forms, dtypes, special values, gradients."""

import numpy as np
from harness import array, data, gradients, integers, values

# name: the interval on which the function is smooth and finite
UNARY = {
    "abs": (-2, 2),
    "arccos": (-0.9, 0.9),
    "arccosh": (1.1, 4),
    "arcsin": (-0.9, 0.9),
    "arcsinh": (-3, 3),
    "arctan": (-3, 3),
    "arctanh": (-0.9, 0.9),
    "cbrt": (0.2, 4),
    "ceil": (-3, 3),
    "cos": (-3, 3),
    "cosh": (-2, 2),
    "degrees": (-3, 3),
    "erf": (-2, 2),
    "erfinv": (-0.9, 0.9),
    "exp": (-2, 2),
    "expm1": (-2, 2),
    "fix": (-3, 3),
    "floor": (-3, 3),
    "gamma": (0.5, 4),
    "gammaln": (0.5, 6),
    "log": (0.2, 4),
    "log10": (0.2, 4),
    "log1p": (-0.5, 3),
    "log2": (0.2, 4),
    "logical_not": (-2, 2),
    "negative": (-2, 2),
    "radians": (-180, 180),
    "rcbrt": (0.3, 4),
    "reciprocal": (0.3, 3),
    "relu": (-2, 2),
    "rint": (-3, 3),
    "round": (-3, 3),
    "rsqrt": (0.3, 4),
    "sigmoid": (-4, 4),
    "sign": (-2, 2),
    "sin": (-3, 3),
    "sinh": (-2, 2),
    "softsign": (-3, 3),
    "sqrt": (0.2, 4),
    "square": (-2, 2),
    "tan": (-1.2, 1.2),
    "tanh": (-2, 2),
    "trunc": (-3, 3),
    "hard_sigmoid": (-4, 4),
    "identity": (-2, 2),
    "zeros_like": (-2, 2),
    "ones_like": (-2, 2),
    "stop_gradient": (-2, 2),
    "BlockGrad": (-2, 2),
    "make_loss": (-2, 2),
}
METHODS = (
    "abs arccos arccosh arcsin arcsinh arctan arctanh cbrt ceil cos cosh degrees exp "
    "expm1 fix floor log "
    "log10 log1p log2 ones_like radians rcbrt reciprocal relu rint round rsqrt sigmoid "
    "sign sin sinh sqrt "
    "square tan tanh trunc zeros_like"
).split()
HALF_ROUNDING = np.array(
    [-2.5, -1.5, -0.5, -0.25, -0.0, 0.0, 0.25, 0.5, 1.5, 2.5, 3.5, 1e10, -1e10]
)
SPECIAL = np.array([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 1e-30, 88.0, -100.0])


def unary_setup(low, high, dtype):
    def setup(mx):
        return {"x": array(mx, data((2, 5), low, high, seed=11, dtype=dtype))}

    return setup


def ints(dtype, low=-7, high=8):
    def setup(mx):
        low_end = 0 if dtype == "uint8" else low
        return {"x": array(mx, integers((7,), low_end, high, seed=3, dtype=dtype))}

    return setup


# MXNet rounds these operators' constants, or their whole derivative, to float32.
SINGLE = {"degrees", "radians", "erf", "erfinv", "gamma", "gammaln", "hard_sigmoid"}

# float16 results are the rounding of float32 arithmetic, so they may differ by a step
for name, (low, high) in UNARY.items():
    for dtype in ("float32", "float64", "float16"):
        options = {}
        if dtype == "float64" and name in SINGLE:
            options = {"rtol": 2e-5, "why": "MXNet computes it with numbers rounded to float32"}
        setup = unary_setup(low, high, dtype)
        gradients(__name__, setup, f"nd.{name}(x)", prefix=f"{dtype} ", **options)
    for dtype in ("int32", "int64", "int8", "uint8"):
        defined = (
            (1, 4) if low >= 0 else (0, 1) if high < 1 else (0, 4) if name == "log1p" else (-2, 4)
        )
        if dtype == "uint8" and name in ("negative", "arctanh"):
            defined = (0, 1)
        values(__name__, ints(dtype, *defined), f"nd.{name}(x)", prefix=f"{dtype} ")
    values(
        __name__,
        lambda mx: {"x": mx.nd.array([True, False], dtype="bool")},
        f"nd.{name}(x)",
        prefix="bool ",
    )
    values(
        __name__,
        lambda mx: {"x": array(mx, SPECIAL.astype("float32"))},
        f"nd.{name}(x)",
        prefix="special ",
    )

for name in METHODS:
    values(__name__, unary_setup(*UNARY[name], "float32"), f"x.{name}()", prefix="method ")

for dtype in ("float32", "float64", "float16"):

    def half(mx, dtype=dtype):
        return {"x": array(mx, HALF_ROUNDING.astype(dtype))}

    values(
        __name__,
        half,
        "\n".join(f"nd.{n}(x)" for n in "round rint fix trunc floor ceil".split()),
        prefix=f"halves {dtype} ",
    )

# gradients where the function has a kink or a pole
gradients(
    __name__,
    lambda mx: {"x": mx.nd.array([-1, -0.0, 0.0, 1, 2, 3])},
    """
    nd.abs(x)
    nd.sign(x)
    nd.relu(x)
    nd.clip(x, 0, 2)
    nd.clip(x, 1, 1)
    nd.clip(x, 2, 0)
    nd.hard_sigmoid(x, alpha=0.5, beta=0.5)
    nd.smooth_l1(x, scalar=1)
    nd.smooth_l1(x, scalar=0.5)
    nd.smooth_l1(x, scalar=2.0)
    nd.maximum(x, 1)
    nd.minimum(x, 1)
    nd.maximum(1, x)
    nd.sqrt(x)
    nd.cbrt(x)
    nd.rsqrt(x)
    nd.reciprocal(x)
    nd.log(x)
    nd.arcsin(x)
    nd.arccosh(x)
    x ** 0
    x ** 1
    x ** 0.5
    x ** 3
    0 ** x
    2 ** x
    x % 2
    2 % x
    nd.softsign(x)
    nd.Activation(x, act_type='relu')
    x == 0
    x > 0
    """,
    prefix="kink ",
)

# ---- two arrays

BROADCAST = (
    "add plus sub minus mul div mod power maximum minimum hypot equal not_equal greater "
    "greater_equal lesser "
    "lesser_equal logical_and logical_or logical_xor"
).split()
ELEMWISE = "elemwise_add elemwise_sub elemwise_mul elemwise_div".split()
INTERNAL = "_maximum _minimum _power _mod _hypot _grad_add".split()
COMPARE = "_equal _not_equal _greater _greater_equal _lesser _lesser_equal".split()
LOGICAL = "_logical_and _logical_or _logical_xor".split()
FRONT = (
    "add subtract multiply divide true_divide modulo power maximum minimum equal "
    "not_equal greater greater_equal "
    "lesser lesser_equal logical_and logical_or logical_xor"
).split()
ALIASES = "_plus _Plus _add _sub _minus _Minus _mul _Mul _div _Div _grad_add ElementWiseSum".split()
SHAPES = {
    "same": ((2, 3), (2, 3)),
    "row": ((2, 3), (1, 3)),
    "column": ((2, 1), (2, 3)),
    "both": ((2, 1, 3), (1, 2, 1)),
}


def pair(shapes, dtype="float32", ties=False):
    def setup(mx):
        a = data(shapes[0], 0.25, 4, seed=21, dtype=dtype)
        b = data(shapes[1], 0.25, 4, seed=22, dtype=dtype)
        if ties:
            a, b = np.round(a), np.round(b)
        return {"a": array(mx, a), "b": array(mx, b)}

    return setup


for label, shapes in SHAPES.items():
    lines = "\n".join(f"nd.broadcast_{n}(a, b)" for n in BROADCAST)
    gradients(__name__, pair(shapes), lines, prefix=f"{label} ")
    lines = "\n".join(f"nd.{n}(a, b)" for n in FRONT)
    gradients(__name__, pair(shapes), lines, prefix=f"{label} ")
SAME = SHAPES["same"]
gradients(__name__, pair(SAME), "\n".join(f"nd.{n}(a, b)" for n in ELEMWISE))
for n in INTERNAL + COMPARE + LOGICAL:
    gradients(__name__, pair(SAME), f"nd._internal.{n}(a, b)")
for n in ALIASES[:-2]:
    values(__name__, pair(SAME), f"nd._internal.{n}(a, b)")
values(__name__, pair(SAME), "nd._internal._copy(a)")
TIES = "\n".join(
    f"nd.broadcast_{n}(a, b)" for n in "maximum minimum equal mod power hypot greater_equal".split()
)
gradients(__name__, pair(((2, 6), (2, 6)), ties=True), TIES, prefix="ties ")
for dtype in ("float16", "float64"):
    lines = "\n".join(f"nd.broadcast_{n}(a, b)" for n in BROADCAST if n not in ("plus", "minus"))
    gradients(__name__, pair(SHAPES["row"], dtype), lines, prefix=f"{dtype} ")


def int_pair(dtype):
    def setup(mx):
        low = 0 if dtype == "uint8" else -7
        a, b = (
            integers((8,), low, 8, seed=5, dtype=dtype),
            integers((8,), 1, 4, seed=6, dtype=dtype),
        )
        return {"a": array(mx, a), "b": array(mx, b)}

    return setup


INT_LINES = "\n".join(f"nd.broadcast_{n}(a, b)" for n in BROADCAST if n not in ("plus", "minus"))
SIGNED = "\n".join(["nd.broadcast_mod(a, -b)", "nd.broadcast_div(a, -b)"])
for dtype in ("int32", "int64", "int8", "uint8"):
    values(__name__, int_pair(dtype), INT_LINES, prefix=f"{dtype} ")
    if dtype != "uint8":
        values(__name__, int_pair(dtype), SIGNED, prefix=f"{dtype} ")


def bools(mx):
    return {
        "a": mx.nd.array([1, 0, 1, 0], dtype="bool"),
        "b": mx.nd.array([1, 1, 0, 0], dtype="bool"),
    }


values(__name__, bools, INT_LINES, prefix="bool ")
values(
    __name__,
    lambda mx: {
        "a": mx.nd.array([-7.5, 7.5, -7.5, 7.5, 0, 5, -0.0]),
        "b": mx.nd.array([2, -2, -2, 2, 3, 0, 2]),
    },
    """
    a % b
    b % a
    a / b
    nd.broadcast_power(a, b)
    nd.broadcast_hypot(a, b)
    nd.broadcast_logical_and(a, b)
    nd.broadcast_logical_xor(a, b)
    """,
    prefix="signs ",
)
gradients(
    __name__,
    lambda mx: {
        "a": mx.nd.array([-7.5, 7.5, -7.5, 7.5, 0, 5]),
        "b": mx.nd.array([2, -2, -2, 2, 3, 2]),
    },
    "a % b\na / b\nnd.broadcast_power(a, b)\na % 2\na % -2\n7 % a",
    prefix="signs ",
)
NAN_PAIR = {"a": [np.nan, 1, np.nan, np.inf], "b": [1, np.nan, np.nan, -np.inf]}
values(
    __name__,
    lambda mx: {k: mx.nd.array(v) for k, v in NAN_PAIR.items()},
    "\n".join(
        f"nd.broadcast_{n}(a, b)"
        for n in "maximum minimum equal not_equal greater lesser_equal logical_and".split()
    ),
    prefix="nan ",
)

# ---- an array and a scalar

INTERNAL_SCALAR = (
    "_plus_scalar _minus_scalar _rminus_scalar _mul_scalar _div_scalar _rdiv_scalar "
    "_mod_scalar _rmod_scalar "
    "_power_scalar _rpower_scalar _maximum_scalar _minimum_scalar _hypot_scalar "
    "_equal_scalar _not_equal_scalar "
    "_greater_scalar _greater_equal_scalar _lesser_scalar _lesser_equal_scalar _logical_and_scalar "
    "_logical_or_scalar _logical_xor_scalar"
).split()
for dtype in ("float32", "float64", "float16"):
    lines = "\n".join(f"nd._internal.{n}(x, scalar=1.5)" for n in INTERNAL_SCALAR)
    gradients(__name__, unary_setup(0.25, 3, dtype), lines, prefix=f"{dtype} ")
FORMS = """
x + 2
x + 1.5
x - 1.5
x * 2.5
x / 2
x / 2.5
x % 3
x % 2.5
x ** 2
x ** 2.5
2.5 + x
2 - x
2.5 - x
3 * x
7 / x
7.5 / x
7 % x
7.5 % x
2 ** x
2.5 ** x
x == 2
x != 2
x > 1.5
x >= 2
x < 2.5
x <= 1.5
2 == x
2 > x
-x
abs(x)
x + True
x + np.float64(1.5)
x + np.int64(2)
nd.maximum(x, 2.5)
nd.minimum(2.5, x)
nd.add(x, 1)
nd.add(1.5, x)
nd.subtract(2.5, x)
nd.multiply(x, 2.5)
nd.divide(5, x)
nd.modulo(5, x)
nd.power(x, 2)
nd.power(2, x)
nd.equal(x, 2)
nd.greater(2, x)
nd.lesser(x, 1.5)
nd.logical_and(x, 1)
nd.logical_or(x, 0)
nd.logical_xor(x, 1)
"""
for dtype in ("float32", "float16", "float64", "int32", "int64", "int8", "uint8"):

    def one_up(mx, dtype=dtype):
        return {"x": mx.nd.array([1, 2, 3, 5], dtype=dtype)}

    values(__name__, one_up, FORMS, prefix=f"scalar {dtype} ")
values(
    __name__,
    lambda mx: {"x": mx.nd.array([True, False], dtype="bool")},
    "\n".join(
        line
        for line in FORMS.split("\n")
        if " / x" not in line and "% x" not in line and "(5, x" not in line
    ),
    prefix="scalar bool ",
)
values(
    __name__,
    lambda mx: {
        "x": mx.nd.array([100, 200, 255], dtype="uint8"),
        "y": mx.nd.array([100, -128, 127], dtype="int8"),
    },
    "x + 100\nx * 3\nx - 101\n-x\ny + 100\ny * 2\n-y\nabs(y)\nx - 0.5\nx + 256\nnd.square(x)",
    prefix="wrap ",
)
values(
    __name__,
    lambda mx: {},
    "nd.add(1, 2)\nnd.divide(1, 2)\nnd.maximum(1, 2.5)\nnd.power(2, 3)\nnd.equal(1, 1)",
)

# ---- clip, where, smooth_l1, add_n, cast


def where_inputs(mx):
    return {
        "x": array(mx, data((3, 2), seed=31)),
        "y": array(mx, data((3, 2), seed=32)),
        "c": array(mx, integers((3, 2), 0, 2, seed=33, dtype="int32")),
        "c1": mx.nd.array([0, 1, -2], dtype="int32"),
        "cb": mx.nd.array([[1, 0], [0, 1], [1, 1]], dtype="bool"),
        "cf": mx.nd.array([[0.5, 0], [-1, -0.0], [np.nan, 1]]),
    }


gradients(
    __name__,
    where_inputs,
    """
    nd.where(c, x, y)
    nd.where(c1, x, y)
    nd.where(x > y, x, y)
    nd.where(cf, x, y)
    nd.where(cf[:, 0], x, y)
    nd.add_n(x, y)
    nd.add_n(x, y, x)
    nd.add_n(x)
    nd.ElementWiseSum(x, y)
    nd.clip(x, -1, 0.5)
    nd.clip(x, a_min=-1, a_max=1)
    x.clip(-0.5, 0.5)
    nd.smooth_l1(x, scalar=3.0)
    nd.smooth_l1(x)
    x + y * x / (y + 1) - x
    """,
)
values(
    __name__,
    where_inputs,
    """
    nd.where(cb, x, y)
    nd.where(c, c, c * 2)
    nd.where(c.astype('int64'), x, y)
    nd.where(c, x, y.astype('float64'))
    nd.where(c1[:2], x, y)
    nd.where(c, x, y[:2])
    nd.where(c, x, 1.0)
    nd.clip(x)
    nd.clip(x, 1)
    nd.add_n(x, c)
    nd.add_n(x, y[:2])
    nd.add_n()
    nd.where(x=x, y=y, condition=c)
    """,
)
values(
    __name__,
    lambda mx: {
        "i": mx.nd.array([-5, 0, 3, 9], dtype="int32"),
        "u": mx.nd.array([0, 3, 250], dtype="uint8"),
    },
    "nd.clip(i, -1.5, 2.5)\n"
    "nd.clip(i, -1, 4)\n"
    "nd.clip(u, 1, 200)\n"
    "nd.clip(u, -1, 300)\n"
    "nd.smooth_l1(i, scalar=1)\n"
    "nd.add_n(i, i)",
)

DTYPES = "float16 float32 float64 uint8 int8 int32 int64 bool".split()
CAST_SOURCE = {"float": [-7.9, -1.5, -0.5, 0.0, 0.5, 1.5, 7.9, 100.0], "int": [-7, -1, 0, 1, 100]}
for source in DTYPES:
    for target in DTYPES:

        def cast_input(mx, source=source):
            kind = "float" if source.startswith("float") else "int"
            numbers = (
                [abs(v) for v in CAST_SOURCE[kind]] if source == "uint8" else CAST_SOURCE[kind]
            )
            return {"x": mx.nd.array(numbers, dtype=source)}

        values(__name__, cast_input, f"nd.Cast(x, dtype='{target}')", prefix=f"{source} ")
gradients(
    __name__,
    lambda mx: {"x": mx.nd.array([1.5, -2.5]), "d": mx.nd.array([1.5, -2.5], dtype="float64")},
    """
    nd.cast(x, dtype='float64') * d
    nd.cast(d, dtype='float32') * x
    nd.cast(x, dtype='float16')
    x.astype('float64') * d
    d.astype(np.float32)
    x.astype('float32')
    nd.cast(x, dtype='int32').astype('float32') * x
    nd.amp_cast(x, dtype='float16')
    """,
)
values(
    __name__,
    lambda mx: {
        "x": mx.nd.array([300.0, -129, 256, 2e9]),
        "i": mx.nd.array([300, -129, 256, 70000], dtype="int32"),
    },
    """
    x.astype('int64')
    x.astype('float16')
    i.astype('uint8')
    i.astype('int8')
    i.astype('float16')
    x.astype('nonsense')
    nd.cast(x, dtype='complex64')
    nd.cast(x)
    x.astype(float)
    x.astype(int)
    x.astype(bool)
    x.astype('double')
    """,
    prefix="wide ",
)
