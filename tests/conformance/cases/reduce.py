"""Reductions: every axis form, keepdims, exclude, dtypes, ties, NaNs and gradients."""

import numpy as np
from harness import array, data, gradients, integers, values

SUMS = "sum mean prod max min nansum nanprod".split()
ARGUMENTS = [
    "",
    "axis=0",
    "axis=1",
    "axis=-1",
    "axis=(0, 2)",
    "axis=(-1, 0)",
    "axis=()",
    "axis=(0, 1, 2)",
    "axis=None",
    "axis=1, keepdims=True",
    "keepdims=True",
    "axis=(0, 2), keepdims=True",
    "axis=1, exclude=True",
    "axis=(0, 2), exclude=True",
    "axis=(), exclude=True",
    "axis=-1, exclude=True, keepdims=True",
    "exclude=True",
    "axis=[0, 1]",
]
BAD = [
    "axis=3",
    "axis=-4",
    "axis=(0, 0)",
    "axis=(1, -2)",
    "axis='a'",
    "axis=1.5",
    "keepdims=2",
    "nonsense=1",
]


def cube(dtype="float32"):
    def setup(mx):
        return {"x": array(mx, data((2, 3, 2), -2, 2, seed=41, dtype=dtype))}

    return setup


for name in SUMS:
    lines = "\n".join(f"nd.{name}(x{', ' + a if a else ''})" for a in ARGUMENTS)
    gradients(__name__, cube(), lines)
    values(__name__, cube(), "\n".join(f"nd.{name}(x, {a})" for a in BAD))
    for dtype in ("float64", "float16"):
        gradients(__name__, cube(dtype), f"nd.{name}(x, axis=1)\nnd.{name}(x)", prefix=f"{dtype} ")
    for dtype in ("int32", "int64", "int8", "uint8"):

        def whole(mx, dtype=dtype):
            return {
                "x": array(
                    mx, integers((2, 4), 0 if dtype == "uint8" else -7, 8, seed=42, dtype=dtype)
                )
            }

        values(__name__, whole, f"nd.{name}(x)\nnd.{name}(x, axis=1)", prefix=f"{dtype} ")
    values(
        __name__,
        lambda mx: {"x": mx.nd.array([[1, 0], [1, 1]], dtype="bool")},
        f"nd.{name}(x)\nnd.{name}(x, axis=0)",
        prefix="bool ",
    )
    gradients(
        __name__,
        cube(),
        f"x.{name}()\nx.{name}(axis=1)\nx.{name}(axis=(0, 1), keepdims=True)",
        prefix="method ",
    )
gradients(
    __name__,
    cube(),
    """
    nd.sum_axis(x, axis=1)
    nd.max_axis(x, axis=1)
    nd.min_axis(x, axis=1)
    x.sum(1)
    x.mean((0, 1))
    x.max(-1, True)
    nd.sum(x, 1, True)
    nd.sum(data=x, axis=0)
    """,
)

# int8 sums: the accumulator's and the result's width
values(
    __name__,
    lambda mx: {
        "x": mx.nd.array([100, 100, 100], dtype="int8"),
        "u": mx.nd.array([200, 200], dtype="uint8"),
        "i": mx.nd.array([2**31 - 1, 1], dtype="int32"),
        "h": mx.nd.array([60000, 60000], dtype="float16"),
        "n": mx.nd.array([-7, 2], dtype="int32"),
    },
    """
    nd.sum(x)
    nd.mean(x)
    nd.prod(x)
    nd.sum(u)
    nd.mean(u)
    nd.sum(i)
    nd.sum(h)
    nd.mean(h)
    nd.mean(n)
    nd.norm(n)
    nd.norm(n, ord=1)
    nd.norm(x)
    """,
    prefix="width ",
)

# ties and NaNs
gradients(
    __name__,
    lambda mx: {"x": mx.nd.array([[1, 3, 3, 0], [2, 2, 2, 2], [-1, -1, -5, -5]])},
    """
    nd.max(x)
    nd.max(x, axis=1)
    nd.min(x, axis=1)
    nd.min(x)
    nd.max(x, axis=1, keepdims=True)
    nd.argmax(x, axis=1)
    nd.argmin(x, axis=1)
    nd.prod(x, axis=1)
    nd.nanprod(x, axis=1)
    nd.norm(x, ord=1, axis=1)
    """,
    prefix="ties ",
)
NANS = [[1, np.nan, 2, -1], [np.nan] * 4, [np.inf, 1, -np.inf, 0]]
gradients(
    __name__,
    lambda mx: {"x": mx.nd.array(NANS)},
    "\n".join(f"nd.{n}(x, axis=1)" for n in SUMS) + "\nnd.max(x)\nnd.min(x)\nnd.nansum(x)",
    prefix="nan ",
)
values(
    __name__,
    lambda mx: {"x": mx.nd.array(NANS)},
    "nd.norm(x, axis=1)",
    prefix="nan ",
)

# ---- argmax and argmin

ARG = [
    "",
    "axis=0",
    "axis=1",
    "axis=-1",
    "axis=1, keepdims=True",
    "keepdims=True",
    "axis=None",
    "axis=3",
    "axis=-4",
    "axis=(0, 1)",
]
for name in ("argmax", "argmin"):
    values(__name__, cube(), "\n".join(f"nd.{name}(x{', ' + a if a else ''})" for a in ARG))
    values(
        __name__,
        cube(),
        f"x.{name}()\nx.{name}(axis=1)\nx.{name}(1)\nx.{name}(axis=0, keepdims=True)",
        prefix="method ",
    )
    for dtype in ("float64", "float16", "int32", "int64", "uint8", "int8"):
        values(
            __name__,
            lambda mx, dtype=dtype: {"x": mx.nd.array([[3, 9, 9], [4, 1, 1]], dtype=dtype)},
            f"nd.{name}(x, axis=1)\nnd.{name}(x)\nnd.{name}(x, axis=0)",
            prefix=f"{dtype} ",
        )
values(
    __name__,
    cube(),
    "nd.argmax_channel(x)\n"
    "nd.argmax_channel(x[0])\n"
    "nd.argmax_channel(x[0, 0])\n"
    "x[0].argmax_channel()",
)
values(__name__, cube("float16"), "nd.argmax(nd.arange(3000, dtype='float16'), axis=0)")

# ---- norm

NORM = [
    "",
    "ord=1",
    "ord=2",
    "ord=1, axis=1",
    "ord=2, axis=1",
    "axis=(0, 2)",
    "ord=1, axis=(0, 1)",
    "axis=-1, keepdims=True",
    "keepdims=True",
    "ord=1, keepdims=True",
    "axis=()",
    "ord=2, axis=0",
]
gradients(__name__, cube(), "\n".join(f"nd.norm(x{', ' + a if a else ''})" for a in NORM))
gradients(
    __name__, cube(), "x.norm()\nx.norm(axis=1)\nx.norm(ord=1, axis=0)\nx.norm(1)", prefix="method "
)
for dtype in ("float64", "float16"):
    gradients(__name__, cube(dtype), "nd.norm(x)\nnd.norm(x, ord=1, axis=1)", prefix=f"{dtype} ")
values(
    __name__,
    cube(),
    "nd.norm(x, ord=3)\n"
    "nd.norm(x, ord=0)\n"
    "nd.norm(x, axis=5)\n"
    "nd.norm(x, axis=(0, 1, 2))\n"
    "nd.norm(x, ord=1, axis=(0, 1, 2))",
)
gradients(
    __name__,
    lambda mx: {"x": mx.nd.zeros((2, 2))},
    "nd.norm(x)\nnd.norm(x, axis=1)\nnd.norm(x, ord=1)",
    prefix="zeros ",
)
OUT_DTYPES = "float16 float32 float64".split()
values(__name__, cube(), "\n".join(f"nd.norm(x, out_dtype='{t}')" for t in OUT_DTYPES))
values(
    __name__, cube(), "\n".join(f"nd.norm(x, ord=1, axis=1, out_dtype='{t}')" for t in OUT_DTYPES)
)
for dtype in ("int32", "int64", "int8"):
    values(
        __name__,
        lambda mx, dtype=dtype: {"x": mx.nd.array([[3, -4], [1, 2]], dtype=dtype)},
        "nd.norm(x)\n"
        "nd.norm(x, ord=1)\n"
        "nd.norm(x, axis=1)\n"
        "nd.norm(x, out_dtype='float32')\n"
        "nd.norm(x, ord=1, axis=1)",
        prefix=f"{dtype} ",
    )

# ---- one element, one axis, out=

values(
    __name__,
    lambda mx: {
        "x": mx.nd.array([3.0]),
        "s": mx.nd.array(3.0),
        "o": mx.nd.zeros((2,)),
        "z": mx.nd.zeros((1,)),
    },
    """
    nd.sum(x)
    nd.sum(x, axis=0)
    nd.sum(x, axis=0, keepdims=True)
    nd.max(x, axis=0)
    nd.argmax(x, axis=0)
    nd.argmax(x)
    nd.norm(x)
    [nd.sum(x, out=z), z]
    nd.sum(nd.ones((2, 3)), axis=1, out=o)
    nd.sum(nd.ones((2, 3)), axis=0, out=o)
    nd.sum(nd.ones((2, 3), dtype='float64'), axis=1, out=o)
    nd.sum(nd.ones((1, 1)), axis=(0, 1))
    nd.mean(nd.ones((1, 1)), axis=1)
    """,
    prefix="single ",
)
