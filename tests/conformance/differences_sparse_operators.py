"""Differences in operators on sparse arrays: see difference.py."""

import numpy as np
from difference import _list, array, numpy_array


def csr(data, columns, pointers, shape=(3, 4)):
    """A csr array as the cases of ``sparse_operators`` return it."""
    numbers = [numpy_array(columns, "int64"), numpy_array(pointers, "int64")]
    return ["csr", str(shape), numpy_array(data), *numbers]


def rows(data, indices, shape=(3, 4)):
    data, indices = array(data), array(indices, "int64")
    return {"sparse": "row_sparse", "shape": list(shape), "data": data, "indices": indices}


BOTH = (
    "MXNet's operators that broadcast make dense arrays of two sparse ones; those of one shape, "
    "and + - * between the arrays, make sparse ones, and here all do"
)
SUM = [[0, 2, 5, 2], [0, 0, 0, -1.5]]
DIFFERENCE = [[0, 0, -5, 2], [6, 0, 0, -1.5]]
PRODUCT = [[0, 1, 0, 0], [-9, 0, 0, 0]]
_list(
    BOTH,
    csr([2, 5, 2, -1.5], [1, 2, 3, 3], [0, 3, 3, 4]),
    "sparse_operators::nd.broadcast_add(c, f)",
)
_list(
    BOTH,
    csr([-5, 2, 6, -1.5], [2, 3, 0, 3], [0, 2, 2, 4]),
    "sparse_operators::nd.broadcast_sub(c, f)",
)
_list(BOTH, csr([1, -9], [1, 0], [0, 1, 1, 2]), "sparse_operators::nd.broadcast_mul(c, f)")
_list(BOTH, rows(SUM, [0, 2]), "sparse_operators::nd.broadcast_add(r, s)")
_list(BOTH, rows(DIFFERENCE, [0, 2]), "sparse_operators::nd.broadcast_sub(r, s)")
_list(
    BOTH,
    rows(PRODUCT, [0, 2]),
    "sparse_operators::nd.broadcast_mul(r, s)",
    "sparse_operators::nd.broadcast_mul(r, e)",
)

ROWS = "MXNet makes a dense array of a row_sparse one and a dense one that broadcasts"
for factor, product in (
    ("v", [[0, 2, 0, 8], [3, 0, 0, -6]]),
    ("v.reshape((1, 4))", [[0, 2, 0, 8], [3, 0, 0, -6]]),
    ("w", [[0, 1, 0, 2], [12, 0, 0, -6]]),
    ("one", [[0, 2, 0, 4], [6, 0, 0, -3]]),
    ("one.reshape((1, 1))", [[0, 2, 0, 4], [6, 0, 0, -3]]),
):
    _list(ROWS, rows(product, [0, 2]), f"sparse_operators::nd.broadcast_mul(r, {factor})")

_list(
    "MXNet's broadcast_div refuses a csr array and a dense one of its shape",
    csr([1, np.inf, -1, -np.inf], [1, 3, 0, 3], [0, 2, 2, 4]),
    "sparse_operators::nd.broadcast_div(c, e)",
)
REFUSED = "MXNet refuses bounds that do not have 0 between them, for sparse arrays"
_list(REFUSED, array([[1, 1, 1, 2], [1] * 4, [2, 1, 1, 1]]), "sparse_operators::nd.clip(c, 1, 2)")
_list(
    REFUSED,
    array([[-1] * 4, [-1] * 4, [-1, -1, -1, -1.5]]),
    "sparse_operators::nd.clip(r, -2, -1)",
)
_list(
    "MXNet does not count the elements of each column",
    array([1, 1, 0, 2], "int64"),
    "sparse_operators::attempt(lambda: nd.contrib.getnnz(c, axis=0))",
)
