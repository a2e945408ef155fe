"""Cases in which MXNet 1.9.1 is wrong, or cannot do what mxtape does, and mxtape differs on purpose.

Each entry says why and states the right result, so that a listed case is a test like any other.
"""

import numpy as np

import harness


class Difference:
    """``expected`` is the right result in the form that ``harness.encode`` gives."""

    def __init__(self, reason, expected):
        self.reason, self.expected = reason, expected


def array(values, dtype="float32"):
    """An array result."""
    return harness.encode_array("array", np.array(values, dtype=dtype))


def raises(name):
    """An error of this class, or of one derived from it, is the right result."""
    return {"error": [name]}


def gradient(out, **grads):
    """The result of a gradient case."""
    return {"dict": {"out": out, "grad": {"dict": grads}}}


DIFFERENCES = {}


def _list(reason, expected, *ids):
    for case_id in ids:
        DIFFERENCES[case_id] = Difference(reason, expected)


_list(
    "MXNet's reshape operator does not check the size and reads past the end or aborts",
    raises("MXNetError"),
    "shape::nd.reshape(x, shape=(5,))",
    "shape::nd.reshape(x, shape=(-1, 5))",
    "shape::nd.reshape(x, shape=(25,))",
    "shape::nd.reshape(x, shape=(2, 3))",
    "shape::nd.reshape(x, shape=())",
    "shape::nd.reshape(x, shape=(1, -2))",
    "shape::x.reshape((-1, -1))",
)

_list(
    "MXNet's random_randint divides by zero and kills the process when low equals high",
    raises("MXNetError"),
    "creation::random r.randint(5, 5, shape=(2,))",
)
_list(
    "MXNet's gradient of a negative advanced index writes before the start of the array",
    gradient(array([4]), v=array([0, 0, 0, 0, -0.25])),
    "indexing::grad v[[-1]]",
)
_CUBE = np.arange(24).reshape(2, 3, 4)
_list(
    "MXNet's assignment with a negative advanced index writes before the start of the array",
    array(np.concatenate([_CUBE[:1], np.full((1, 3, 4), 5)])),
    "indexing::x[[-1]] = 5",
)
_list(
    "MXNet's assignment with an advanced index out of range writes past the end of the array",
    raises("IndexError"),
    "indexing::x[[0, 2]] = 1",
)
_NORM = harness.data((2, 3, 2), -2, 2, seed=41).astype("float64")
_REASON = "MXNet accepts norm's out_dtype and then fails on the CPU for every other dtype than the input's"
for _dtype in ("float16", "float64"):
    _two, _one = np.sqrt((_NORM**2).sum()), np.abs(_NORM).sum(axis=1)
    _list(_REASON, array([_two], _dtype), f"reduce::nd.norm(x, out_dtype='{_dtype}')")
    _list(_REASON, array(_one, _dtype), f"reduce::nd.norm(x, ord=1, axis=1, out_dtype='{_dtype}')")
for _dtype in ("int32", "int64", "int8"):
    _list(_REASON, array([np.sqrt(30)]), f"reduce::{_dtype} nd.norm(x, out_dtype='float32')")
