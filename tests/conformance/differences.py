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
