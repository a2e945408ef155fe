"""Cases where MXNet 1.9.1 is wrong, or cannot do what mxtape does: mxtape differs on purpose.

Each entry says why and states the right result, so that a listed case is a test like any other.
"""

import harness
import numpy as np


class Difference:
    """``expected`` is the right result in the form that ``harness.encode`` gives."""

    def __init__(self, reason, expected):
        self.reason, self.expected = reason, expected


def array(values, dtype="float32"):
    """An array result."""
    return harness.encode_array("array", np.array(values, dtype=dtype))


def numpy_array(values, dtype="float32"):
    """A NumPy array result."""
    return harness.encode_array("numpy", np.array(values, dtype=dtype))


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
