"""Differences in how sparse arrays are made, indexed and assigned to: see difference.py."""

import numpy as np
from difference import _list, array, numpy_array, raises

F = "sparse_arrays::"
MATRIX = np.array([[0, 1, 0], [2, 0, 3], [0, 0, 0], [4, 0, 0]], "float64")


def csr(data, indices, indptr, shape, dtype="float64"):
    return {
        "sparse": "csr",
        "shape": list(shape),
        "data": array(data, dtype),
        "indices": array(indices, "int64"),
        "indptr": array(indptr, "int64"),
    }


def rows(data, indices, shape, dtype="float64"):
    return {
        "sparse": "row_sparse",
        "shape": list(shape),
        "data": array(data, dtype),
        "indices": array(indices, "int64"),
    }


_list(
    "MXNet does not look at indices before check_format, and then reads and writes past the parts",
    raises("MXNetError"),
    F + "s.csr_matrix(three, shape=(2, 2))",
    F + "s.csr_matrix(([1, 2, 3], [0, -2, 1], [0, 1, 3]), shape=(2, 4))",
    F + "s.csr_matrix(([1, 2, 3], [0, 2, 1], [0, 1, 4]), shape=(2, 4))",
    F + "s.csr_matrix(([1, 2, 3], [0, 2, 1], [0, 1, 2]), shape=(2, 4))",
    F + "s.csr_matrix(([1, 2, 3], [0, 2, 1], [1, 1, 3]), shape=(2, 4))",
    F + "s.csr_matrix(([1, 2, 3], [0, 2, 1], [0, 2, 1]), shape=(2, 4))",
    F + "s.row_sparse_array(two, shape=(2, 2))",
    F + "s.row_sparse_array(([[1, 2], [3, 4]], [1, -1]), shape=(4, 2))",
    F + "s.row_sparse_array(([[1, 2], [3, 4]], [1, 9]), shape=(4, 2))",
)
_list(
    "MXNet makes an array with too few row pointers",
    raises("ValueError"),
    F + "s.csr_matrix(three, shape=(3, 4))",
)
_list(
    "MXNet keeps a row that is there twice, and takes the last or their sum, as it comes",
    raises("MXNetError"),
    F + "s.row_sparse_array(([[1, 2], [3, 4]], [1, 1]), shape=(4, 2))",
)
_list(
    "MXNet keeps rows out of order, which its operators do not expect; mxtape sorts them",
    rows([[3, 4], [1, 2]], [0, 2], (4, 2), "float32"),
    F + "s.row_sparse_array(([[1, 2], [3, 4]], [2, 0]), shape=(4, 2))",
)
_list(
    "of equal columns, MXNet's asnumpy takes the last, its operators and SciPy the sum",
    numpy_array([[0, 3, 0, 0], [3, 0, 0, 0]]),
    F + "s.csr_matrix(([1, 2, 3], [1, 1, 0], [0, 2, 3]), shape=(2, 4)).asnumpy()",
)
_list(
    "MXNet cannot count with its own float32 indices when it infers a shape",
    csr([1, 2], [0, 2], [0, 1, 2], (2, 3), "float16"),
    F + "s.csr_matrix((nd.array([1, 2], dtype='float16'), nd.array([0, 2]), nd.array([0, 1, 2])))",
)
_list(
    "MXNet cannot count with its own float32 indices when it infers a shape",
    rows([[1, 2]], [2], (3, 2)),
    F + "s.row_sparse_array((nd.array([[1, 2]], dtype='float64'), nd.array([2])))",
)
_list(
    "an extent, not a number of C, is wrong",
    raises("ValueError"),
    F + "s.csr_matrix((-1, 3))",
    F + "s.row_sparse_array((-1, 3))",
)
_list(
    "the shape is refused as in all functions that make arrays",
    raises("MXNetError"),
    F + "s.csr_matrix((2.5, 3))",
)
_list("indices are no vector", raises("ValueError"), F + "s.row_sparse_array(([3], 2))")
_REASON = "MXNet refuses to reshape; mxtape computes with a dense copy, as its operator does"
_list(
    _REASON, array(MATRIX.reshape(3, 4), "float64"), F + "c.reshape((3, 4))", F + "c.reshape(3, 4)"
)
_list(_REASON, array(MATRIX.reshape(-1), "float64"), F + "r.reshape(-1)")
_list(_REASON, array(MATRIX.reshape(3, 4), "float64"), F + "r.reshape(shape=(3, 4))")
_list("MXNet does not say the size of a sparse array", 12, F + "c.size")
_list("as of a dense array", raises("ValueError"), F + "c.asscalar()")
_ROWS = rows(MATRIX[[0, 1, 3]], [0, 1, 3], (4, 3))
_CSR = csr([1, 2, 3, 4], [1, 0, 2, 0], [0, 1, 3, 3, 4], (4, 3))
_REASON = "MXNet cannot convert between csr and row_sparse"
_list(_REASON, _ROWS, F + "c.tostype('row_sparse')", F + "nd.cast_storage(c, 'row_sparse')")
_list(_REASON, _CSR, F + "r.tostype('csr')", F + "nd.cast_storage(r, 'csr')")
_list("MXNet makes only csr arrays of SciPy's", _ROWS, F + "s.row_sparse_array(m)")
_list(
    "MXNet gives an array without rows for a row that is not there, so a loop over rows never ends",
    raises("IndexError"),
    F + "c[4]",
    F + "c[-5]",
)
_list(
    "MXNet refuses NumPy's integers as rows",
    csr([2, 3], [0, 2], [0, 2], (1, 3)),
    F + "c[np.int64(1)]",
)
_list(
    "MXNet makes a float32 array of NumPy's and then refuses it",
    csr([1, 1, 1], [0, 1, 2], [0, 1, 2, 3, 3], (4, 3)),
    F + "c[:] = np.eye(4, 3)",
)
_list(
    "MXNet makes a float32 array of NumPy's and then refuses it",
    rows(np.eye(3), [0, 1, 2], (4, 3)),
    F + "r[:] = np.eye(4, 3)",
)
_list(
    "one class of errors for all indices that cannot be assigned to",
    raises("ValueError"),
    F + "c[...] = 2",
    F + "r[...] = 2",
    F + "r[0] = 2",
    F + "r[0, 1] = 2",
)
_list(
    "MXNet cannot write a sparse array into a dense one, but by copyto",
    array(MATRIX, "float64"),
    F + "n[:] = c",
    F + "n[:] = r",
)
_list("the shapes do not fit", raises("ValueError"), F + "n[1] = r")
with np.errstate(divide="ignore"):
    _QUOTIENT = 2 / MATRIX
_REASON = "MXNet's functions of nd.sparse compute with a number on the left as if it were the right"
_list(_REASON, numpy_array(_QUOTIENT, "float64"), F + "s.divide(2, c).asnumpy()")
_list(_REASON, numpy_array(2 - MATRIX, "float64"), F + "s.subtract(2, c).asnumpy()")
