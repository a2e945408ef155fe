"""Differences in products, lookups and slices of sparse arrays: see difference.py."""

import numpy as np
from difference import _list, array, raises

F = "sparse_dot::"


def csr(values):
    """A csr result of float32 that has the elements of a matrix that are not 0."""
    values = np.asarray(values, "float32")
    rows, columns = np.nonzero(values)
    pointers = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(values)))])
    return {
        "sparse": "csr",
        "shape": list(values.shape),
        "data": array(values[rows, columns]),
        "indices": array(columns, "int64"),
        "indptr": array(pointers, "int64"),
    }


def rows(values, indices, shape):
    """A row_sparse result of float32."""
    return {
        "sparse": "row_sparse",
        "shape": list(shape),
        "data": array(values),
        "indices": array(indices, "int64"),
    }


def with_gradient(out, grad):
    return {"dict": {"out": out, "grad": grad}}


PRODUCT = [[17, 20], [0, 0], [31, 38]]
BY_TRANSPOSE = [[6, 9], [-2, -1], [0, 0], [4, 10]]
EMBEDDED = [[6, 7], [2, 3], [6, 7], [0, 1]]
ROWS = [[-0.75, 1], [0.5, -0.5], [1, 1.75]]
WHOLE = [[-0.75, 1], [0.5, -0.5], [0, 0], [1, 1.75], [0, 0]]
GRADIENT_OF_LEFT = [[2.75, 5.25, 7.75, 10.25], [-0.5] * 4, [1.75, 4.75, 7.75, 10.75]]

_list(
    "the product of dense arrays is dense, and is converted with tostype()",
    raises("MXNetError"),
    *(
        F + f"dot default default {transposed} {stype}"
        for transposed in ("00", "01", "10", "11")
        for stype in ("csr", "row_sparse")
    ),
)
_list(
    "MXNet multiplies float32 and float64 only",
    array(PRODUCT, "float16"),
    F + "nd.dot(stored(A.asnumpy(), 'csr', 'float16'), stored(B.asnumpy(), dtype='float16'))",
)
_list(
    "MXNet multiplies a csr array by a matrix only",
    array([10, 0, 19]),
    F + "nd.dot(A, nd.array([1, 2, 3, 4]))",
)
_list(
    "MXNet multiplies a csr array by a matrix only",
    array([[[3, 3], [3, 3]], [[0, 0], [0, 0]], [[7, 7], [7, 7]]]),
    F + "nd.dot(A, nd.ones((4, 2, 2)))",
)
_list(
    "MXNet has no kernel for this product",
    array([[0, 0], [1, 2], [0, 0], [2, 4]]),
    F + "nd.dot(A, first_row, transpose_a=True, forward_stype='default')",
)
for _case, _result in (
    ("written(zeros('csr', (3, 2)), nd.dot, A, B)", csr(PRODUCT)),
    ("written(zeros('row_sparse', (3, 2)), nd.dot, A, B)", rows(PRODUCT[::2], [0, 2], (3, 2))),
    ("written(nd.zeros((4, 2)), nd.dot, A, C, transpose_a=True)", array(BY_TRANSPOSE)),
):
    _list("MXNet does not write a product into another storage type", _result, F + _case)
_list(
    "MXNet leaves a dense gradient of a csr array as it was",
    with_gradient(array(PRODUCT), array(GRADIENT_OF_LEFT)),
    F + "gradient(A, lambda a: nd.dot(a, B), 'default')",
)
_list(
    "MXNet gives back memory that nothing has been written to",
    array([[3, 7, 11, 15]] * 3),
    F + "returned(A, lambda a: nd.dot(a, B))",
)
_list(
    "MXNet does not add to row_sparse gradients",
    rows([[7.5, 1.5], [-0.5, 3], [9, 8]], [0, 1, 3], (4, 2)),
    F + "twice(B, lambda b: nd.dot(A, b), 'row_sparse')",
)
_list(
    "MXNet does not add to row_sparse gradients",
    rows(2 * np.array(ROWS), [0, 1, 3], (5, 2)),
    F + "twice(W, lambda w: embed(ids, w, sparse_grad=True), 'row_sparse')",
)
_list("MXNet has no kernel for a csr weight", array(EMBEDDED), F + "embed(ids, W.tostype('csr'))")
_list(
    "MXNet has no kernel for sparse indices",
    array([[[6, 7], [0, 1]], [[0, 1], [2, 3]]]),
    F + "embed(nd.array([[3, 0], [0, 1]]).tostype('csr'), W)",
)
# A gradient goes into a buffer of either type.
_list(
    "MXNet needs a row_sparse gradient exactly where sparse_grad is set",
    with_gradient(array(EMBEDDED), rows(ROWS, [0, 1, 3], (5, 2))),
    F + "gradient(W, lambda w: embed(ids, w), 'row_sparse')",
)
_list(
    "MXNet needs a row_sparse gradient exactly where sparse_grad is set",
    with_gradient(array(np.array(EMBEDDED) + 1), rows(ROWS, [0, 1, 3], (5, 2))),
    F + "gradient(V, lambda w: embed(ids, w), 'row_sparse')",
)
_list(
    "MXNet needs a row_sparse gradient exactly where sparse_grad is set",
    with_gradient(array(EMBEDDED), array(WHOLE)),
    F + "gradient(W, lambda w: embed(ids, w, sparse_grad=True), 'default')",
    F + "gradient(W, lambda w: sparse_embed(ids, w), 'default')",
)
_list(
    "MXNet looks up a row that it cannot differentiate: the index is out of range",
    with_gradient(array([[8, 9], [0, 1]]), rows([[0.5, -0.5], [-0.25, 1.5]], [0, 4], (5, 2))),
    F + "gradient(W, lambda w: embed(nd.array([5, 0]), w, sparse_grad=True), 'row_sparse')",
)
_list(
    "MXNet's gradient of a row_sparse array is dense",
    rows([[1, 1], [2, 2]], [1, 3], (5, 2)),
    F + "returned(V, lambda w: nd.take(w, nd.array([1, 3, 3])))",
)

# Rows ascend, and none is there twice.
_list(
    "MXNet keeps a row twice",
    rows([[1, 2], [5, 6]], [0, 4], (5, 2)),
    F + "retain(R, nd.array([0, 0, 4]))",
)
_list(
    "MXNet keeps rows out of order, and takes them for others later",
    rows([[1, 2], [5, 6]], [0, 4], (5, 2)),
    F + "retain(R, nd.array([4, 0]))",
)
_list(
    "MXNet keeps rows out of order, and takes them for others later",
    rows([[5, 6], [9, 10]], [2, 4], (5, 2)),
    F + "retain(V, nd.array([4, 2]))",
)
_list(
    "MXNet keeps rows out of order, and takes them for others later",
    rows([0, 2], [0, 2], (3,)),
    F + "retain(stored([0, 1, 2], 'row_sparse'), nd.array([2, 0]))",
)
_list(
    "MXNet keeps rows that the array does not have",
    raises("MXNetError"),
    F + "retain(R, nd.array([0, 9]))",
    F + "retain(R, nd.array([-1, 2]))",
    F + "retain(V, nd.array([2, 7]))",
)
_list(
    "MXNet has no dense gradient of retain",
    with_gradient(
        rows([[1, 2], [0, 0], [5, 6]], [0, 1, 4], (5, 2)),
        array([[1, 1], [1, 1], [0, 0], [0, 0], [1, 1]]),
    ),
    F + "gradient(R, lambda x: retain(x, nd.array([0, 1, 4])), 'default', head=False)",
)
_list(
    "MXNet does not count axes from the end here",
    array([5, 0, 25, 0, 61]),
    F + "square_sum(R, axis=-1)",
)
_list(
    "MXNet takes no notice of exclude, and leaves elements as they were",
    array([5, 0, 25, 0, 61]),
    F + "square_sum(R, axis=0, exclude=True)",
)
_list(
    "MXNet has no dense gradient of _square_sum",
    with_gradient(
        array([5, 0, 25, 0, 61]),
        array([[-0.5, -1], [0, 0], [3, 4], [0, 0], [12.5, 15]]),
    ),
    F + "gradient(R, lambda x: square_sum(x, axis=1), 'default')",
)
_list(
    "MXNet computes a step of 1 with dense arrays",
    csr([[0, 1, 0, 2], [0, 0, 0, 0], [3, 0, 0, 4], [0, 5, 6, 0]]),
    F + "nd.slice(S, begin=(0, 0), end=(4, 4), step=(1, 1))",
)
_list(
    "MXNet takes the columns of a row for ascending",
    csr([[0, 2], [0, 0]]),
    F + "nd.slice(unsorted, begin=(0, 0), end=(2, 2))",
)
_list(
    "MXNet begins before the first row",
    csr([[0, 1, 0, 2], [0, 0, 0, 0]]),
    F + "nd.slice(S, begin=(-9,), end=(2,))",
)
_list(
    "MXNet has no conversion between csr and row_sparse",
    rows([[0, 1, 0, 2], [3, 0, 0, 4]], [0, 2], (3, 4)),
    F + "nd.cast_storage(A, stype='row_sparse')",
)
_list(
    "MXNet has no conversion between csr and row_sparse",
    csr([[1, 2], [0, 0], [3, 4], [0, 0], [5, 6]]),
    F + "nd.cast_storage(R, stype='csr')",
)
_list(
    "MXNet takes one of the elements that are in one place, by chance",
    array([[0, 3, 0, 0], [0, 0, 0, 0], [0, 0, 0, 3]]),
    F + "nd.cast_storage(repeated, stype='default')",
)
