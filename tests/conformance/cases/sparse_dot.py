"""Products, lookups, sums of squares, slices and casts of sparse arrays, and their gradients."""

from itertools import product

import numpy as np
from harness import case, head_like, values

STYPES = ("default", "csr", "row_sparse")

DENSE = np.array([[0, 1, 0, 2], [0, 0, 0, 0], [3, 0, 0, 4]], "float32")
TALL = np.array([[0, 1, 0, 2], [0, 0, 0, 0], [3, 0, 0, 4], [0, 5, 6, 0]], "float32")
WEIGHT = np.arange(10, dtype="float32").reshape(5, 2)


def matrices(mx):
    """csr, row_sparse and dense operands of every kind, and the tools that the lines use."""
    nd = mx.nd
    csr_matrix, row_sparse = nd.sparse.csr_matrix, nd.sparse.row_sparse_array

    def stored(values, stype="default", dtype="float32"):
        return nd.array(values, dtype=dtype).tostype(stype)

    def double(values, stype="default"):
        return stored(values.asnumpy(), stype, "float64")

    def embed(ids, w, **options):
        return nd.Embedding(ids, w, input_dim=5, output_dim=2, **options)

    def embed_twice(ids, others, w):
        return embed(ids, w, sparse_grad=True) + embed(others, w, sparse_grad=True)

    def csr_of(data, columns, starts, shape=(3, 4)):
        return csr_matrix((np.array(data, "float32"), columns, starts), shape=shape)

    def gradient(x, function, stype="default", head=True):
        """The value of function(x) and the gradient of x in storage of the type ``stype``."""
        x.attach_grad(stype=stype)
        with mx.autograd.record():
            y = function(x)
        mx.autograd.backward([y], [head_like(mx, y) if head else None])
        return {"out": y, "grad": x.grad}

    def returned(x, function):
        """What ``autograd.grad`` returns for the sum of function(x)."""
        x.attach_grad()
        with mx.autograd.record():
            y = function(x)
        return mx.autograd.grad([y], [x])[0]

    def twice(x, function, stype):
        """The gradient of two calls in a buffer that adds."""
        x.attach_grad(stype=stype, grad_req="add")
        for _ in range(2):
            with mx.autograd.record():
                y = function(x)
            y.backward(head_like(mx, y))
        return x.grad

    def written(out, function, *args, **kwargs):
        function(*args, out=out, **kwargs)
        return out

    return {
        "stored": stored,
        "double": double,
        "gradient": gradient,
        "returned": returned,
        "twice": twice,
        "written": written,
        "A": stored(DENSE, "csr"),
        "S": stored(TALL, "csr"),
        "B": nd.array(np.arange(8).reshape(4, 2) + 1),
        "C": nd.array(np.arange(6).reshape(3, 2) - 2),
        "L": nd.array([[1, 0, -1], [2, 5, 3]]),
        "M": nd.array(np.arange(8).reshape(2, 4) - 3),
        "zero": nd.sparse.zeros("csr", (3, 4)),
        "explicit": csr_of([0, 1, 0], [0, 1, 3], [0, 2, 2, 3]),
        "repeated": csr_of([1, 2, 3], [1, 1, 3], [0, 2, 2, 3]),
        "unsorted": csr_of([1, 2, 3], [3, 1, 0], [0, 2, 2, 3]),
        "first_row": row_sparse((np.array([[1, 2]], "float32"), [0]), shape=(3, 2)),
        "last_row": row_sparse((np.array([[1, 2]], "float32"), [3]), shape=(4, 2)),
        "no_rows": nd.sparse.zeros("row_sparse", (4, 2)),
        "no_rows3": nd.sparse.zeros("row_sparse", (3, 2)),
        "with_nan": nd.array([[0, 1, 0], [0, 0, 0], [2, 0, np.nan], [0, -0.0, 0]]),
        "D": stored(DENSE),
        "W": nd.array(WEIGHT),
        "V": stored(WEIGHT + 1, "row_sparse"),
        "R": row_sparse((np.array([[1, 2], [3, 4], [5, 6]], "float32"), [0, 2, 4]), shape=(5, 2)),
        "ids": nd.array([3, 1, 3, 0]),
        "zeros": nd.sparse.zeros,
        "embed": embed,
        "embed_twice": embed_twice,
        "sparse_embed": lambda ids, w: nd.contrib.SparseEmbedding(
            ids, w, input_dim=5, output_dim=2
        ),
        "square_sum": nd._internal._square_sum,
        "retain": nd.sparse.retain,
    }


def _every_storage_type(lhs, rhs, transpose_a, transpose_b, forward_stype):
    def run(mx):
        right = (np.arange(6) - 2 if transpose_a else np.arange(8) + 1).reshape(-1, 2)
        a = mx.nd.array(DENSE).tostype(lhs)
        b = mx.nd.array(right.T if transpose_b else right).tostype(rhs)
        options = {"transpose_a": transpose_a, "transpose_b": transpose_b}
        return mx.nd.dot(a, b, forward_stype=forward_stype, **options)

    name = f"dot {lhs} {rhs} {transpose_a:d}{transpose_b:d} {forward_stype}"
    case(run, name=name)


for _combination in product(
    STYPES, STYPES, (False, True), (False, True), (None, "default", "csr", "row_sparse")
):
    _every_storage_type(*_combination)

values(
    __name__,
    matrices,
    """
    nd.dot(double(A, 'csr'), double(B))
    nd.dot(double(A, 'csr'), double(C), transpose_a=True)
    nd.dot(double(L), double(A, 'csr'))
    nd.dot(stored(A.asnumpy(), 'csr', 'float16'), stored(B.asnumpy(), dtype='float16'))
    nd.dot(stored(A.asnumpy(), 'csr', 'int32'), stored(B.asnumpy(), dtype='int32'))
    nd.dot(A, B.astype('float64'))
    nd.dot(A.astype('float64'), B)
    nd.dot(A, nd.array([1, 2, 3, 4]))
    nd.dot(nd.array([1, 2, 3]), A)
    nd.dot(A, nd.ones((4, 2, 2)))
    nd.dot(nd.ones((2, 2, 3)), A)
    nd.dot(A, nd.ones((4, 1)))
    nd.dot(A, C)
    nd.dot(A, B, transpose_a=True)
    nd.dot(zero, B)
    nd.dot(zero, C, transpose_a=True)
    nd.dot(zero, C, transpose_a=True, forward_stype='default')
    nd.dot(L, zero)
    nd.dot(L, zero, forward_stype='default')
    nd.dot(M, zero, transpose_b=True, forward_stype='default')
    nd.dot(A, no_rows)
    nd.dot(A, last_row)
    nd.dot(A, no_rows3, transpose_a=True)
    nd.dot(A, first_row, transpose_a=True)
    nd.dot(A, first_row, transpose_a=True, forward_stype='default')
    nd.dot(explicit, B)
    nd.dot(explicit, C, transpose_a=True)
    nd.dot(L, explicit)
    nd.dot(repeated, B)
    nd.dot(repeated, C, transpose_a=True)
    nd.dot(repeated, C, transpose_a=True, forward_stype='default')
    nd.dot(L, repeated)
    nd.dot(L, repeated, forward_stype='default')
    nd.dot(M, repeated, transpose_b=True, forward_stype='default')
    nd.dot(unsorted, B)
    nd.dot(unsorted, C, transpose_a=True)
    nd.dot(L, unsorted)
    nd.dot(L, unsorted, forward_stype='default')
    nd.dot(M, unsorted, transpose_b=True, forward_stype='default')
    nd.dot(A, nd.array([[1, 2], [3, 4], [np.nan, np.inf], [5, 6]]))
    nd.dot(nd.array([[0, 0, 1], [0, 1, 0]]), A)
    written(nd.zeros((3, 2)), nd.dot, A, B)
    written(zeros('csr', (3, 2)), nd.dot, A, B)
    written(zeros('row_sparse', (3, 2)), nd.dot, A, B)
    written(nd.zeros((4, 2)), nd.dot, A, C, transpose_a=True)
    written(zeros('row_sparse', (4, 2)), nd.dot, A, C, transpose_a=True)
    written(zeros('csr', (2, 4)), nd.dot, L, A)
    nd.sparse.dot(A, B)
    nd.sparse.dot(A, C, transpose_a=True)
    nd.dot(A, B, forward_stype='sparse')
    A.dot(B)
    gradient(B, lambda b: nd.dot(A, b), 'default')
    gradient(B, lambda b: nd.dot(A, b), 'row_sparse')
    gradient(B, lambda b: nd.dot(A, b), 'csr')
    gradient(C, lambda c: nd.dot(A, c, transpose_a=True, forward_stype='default'), 'default')
    gradient(C, lambda c: nd.dot(A, c, transpose_a=True, forward_stype='default'), 'row_sparse')
    gradient(C, lambda c: nd.dot(A, c, transpose_a=True), 'default', head=False)
    gradient(C, lambda c: nd.dot(A, c, transpose_a=True), 'row_sparse', head=False)
    gradient(B.T, lambda b: nd.dot(A, b, transpose_b=True), 'default')
    gradient(B.T, lambda b: nd.dot(A, b, transpose_b=True), 'row_sparse')
    gradient(last_row, lambda b: nd.dot(A, b), 'default')
    gradient(last_row, lambda b: nd.dot(A, b), 'row_sparse')
    gradient(first_row, lambda c: nd.dot(A, c, transpose_a=True), 'row_sparse', head=False)
    gradient(L, lambda x: nd.dot(x, A), 'default', head=False)
    gradient(L, lambda x: nd.dot(x, A), 'default')
    gradient(L, lambda x: nd.dot(x, A, forward_stype='default'), 'default')
    gradient(M, lambda x: nd.dot(x, A, transpose_b=True, forward_stype='default'), 'default')
    gradient(A, lambda a: nd.dot(a, B), 'default')
    gradient(A, lambda a: nd.dot(a, B), 'csr')
    gradient(A, lambda a: nd.dot(a, B), 'row_sparse')
    gradient(A, lambda a: nd.dot(a, C, transpose_a=True), 'csr', head=False)
    gradient(A, lambda a: nd.dot(L, a, forward_stype='default'), 'csr')
    gradient(zero, lambda a: nd.dot(a, B), 'csr')
    gradient(B, lambda b: nd.dot(zero, b), 'row_sparse')
    gradient(B, lambda b: nd.dot(explicit, b), 'row_sparse')
    gradient(B, lambda b: nd.dot(repeated, b), 'row_sparse')
    gradient(B, lambda b: nd.dot(unsorted, b), 'row_sparse')
    gradient(B, lambda b: nd.dot(A, b) + nd.dot(repeated, b), 'row_sparse')
    returned(B, lambda b: nd.dot(A, b))
    returned(C, lambda c: nd.dot(A, c, transpose_a=True))
    twice(B, lambda b: nd.dot(A, b), 'default')
    twice(B, lambda b: nd.dot(A, b), 'row_sparse')
    """,
)

values(
    __name__,
    matrices,
    """
    embed(ids, W)
    embed(ids, W, sparse_grad=True)
    embed(ids, V)
    embed(ids, V, sparse_grad=True)
    embed(ids, W.tostype('csr'))
    embed(nd.array([0, 4]), R)
    embed(nd.array([0, 1]), R)
    embed(nd.array([0, 1]), zeros('row_sparse', (5, 2)))
    embed(ids.reshape((2, 2)), W, sparse_grad=True)
    embed(ids.astype('int64'), V)
    embed(nd.array([-1, 5]), W, sparse_grad=True)
    embed(nd.array([-1, 5]), V)
    embed(nd.array([[3, 0], [0, 1]]).tostype('csr'), W)
    sparse_embed(ids, V)
    sparse_embed(ids, W)
    sparse_embed(nd.array([0, 7]), V)
    nd.sparse.Embedding(ids, V, input_dim=5, output_dim=2)
    gradient(W, lambda w: embed(ids, w), 'default')
    gradient(W, lambda w: embed(ids, w), 'row_sparse')
    gradient(W, lambda w: embed(ids, w, sparse_grad=True), 'default')
    gradient(W, lambda w: embed(ids, w, sparse_grad=True), 'row_sparse')
    gradient(V, lambda w: embed(ids, w, sparse_grad=True), 'row_sparse')
    gradient(R, lambda w: embed(ids, w, sparse_grad=True), 'row_sparse')
    gradient(V, lambda w: embed(ids, w), 'default')
    gradient(V, lambda w: embed(ids, w), 'row_sparse')
    gradient(W, lambda w: embed(ids.astype('int32'), w, sparse_grad=True), 'row_sparse')
    gradient(W, lambda w: embed(ids.astype('int64'), w, sparse_grad=True), 'row_sparse')
    gradient(W, lambda w: embed(ids.astype('uint8'), w, sparse_grad=True), 'row_sparse')
    gradient(W, lambda w: embed(ids.astype('float64'), w, sparse_grad=True), 'row_sparse')
    gradient(W, lambda w: embed(ids.reshape((2, 2)), w, sparse_grad=True), 'row_sparse')
    gradient(W, lambda w: embed(nd.array([4, 4, 4]), w, sparse_grad=True), 'row_sparse')
    gradient(W, lambda w: embed(nd.array([4, 1]), w, sparse_grad=True), 'row_sparse')
    gradient(W, lambda w: embed(nd.array([5, 0]), w, sparse_grad=True), 'row_sparse')
    gradient(V, lambda w: sparse_embed(ids, w), 'row_sparse')
    gradient(W, lambda w: sparse_embed(ids, w), 'row_sparse')
    gradient(W, lambda w: sparse_embed(ids, w), 'default')
    gradient(W, lambda w: embed_twice(ids, ids + 1, w), 'row_sparse')
    returned(W, lambda w: embed(ids, w, sparse_grad=True))
    returned(W, lambda w: embed(ids, w))
    returned(V, lambda w: embed(ids, w, sparse_grad=True))
    twice(W, lambda w: embed(ids, w, sparse_grad=True), 'row_sparse')
    nd.take(V, nd.array([1, 3, 3]))
    nd.take(V, nd.array([1, -3, 8]))
    nd.take(V, nd.array([1, -3, 8]), mode='wrap')
    nd.take(V, nd.array([1, 3]), mode='raise')
    nd.take(V, nd.array([0, 1]), axis=1)
    nd.take(V, nd.array([[0, 1], [4, 4]]))
    nd.take(R, nd.array([0, 2]))
    nd.take(R, nd.array([0, 1]))
    nd.take(A, nd.array([2, 0, 1, 2]))
    nd.take(A, nd.array([-1, 4]))
    nd.take(A, nd.array([-1, 4]), mode='wrap')
    nd.take(A, nd.array([-1, 4]), mode='raise')
    nd.take(A, nd.array([2, 0], dtype='int64'))
    nd.take(A, nd.array([[2, 0], [1, 2]]))
    nd.take(A, nd.array([2, 0]), axis=1)
    nd.take(explicit, nd.array([0, 0]))
    gradient(V, lambda w: nd.take(w, nd.array([1, 3, 3])), 'default')
    gradient(V, lambda w: nd.take(w, nd.array([1, 3, 3])), 'row_sparse')
    gradient(W, lambda w: nd.take(w, nd.array([1, 3, 3])), 'row_sparse')
    gradient(W, lambda w: nd.take(w, nd.array([1, 3, 3])), 'csr')
    gradient(A, lambda a: nd.take(a, nd.array([2, 0, 2])), 'csr', head=False)
    gradient(A, lambda a: nd.take(a, nd.array([2, 0, 2])), 'default', head=False)
    returned(V, lambda w: nd.take(w, nd.array([1, 3, 3])))
    returned(A, lambda a: nd.take(a, nd.array([2, 0, 2])))
    retain(R, nd.array([0, 4]))
    retain(R, nd.array([0, 1, 4]))
    retain(R, nd.array([0, 0, 4]))
    retain(R, nd.array([4, 0]))
    retain(R, nd.array([0, 9]))
    retain(R, nd.array([-1, 2]))
    retain(R, nd.array([0, 4], dtype='int64'))
    retain(R, nd.array([0, 4], dtype='int32'))
    retain(R, nd.array([[0, 4]]))
    retain(V, nd.array([2, 4]))
    retain(V, nd.array([4, 2]))
    retain(zeros('row_sparse', (5, 2)), nd.array([0, 4]))
    retain(W, nd.array([0, 4]))
    retain(W.tostype('csr'), nd.array([0, 4]))
    retain(stored([0, 1, 2], 'row_sparse'), nd.array([2, 0]))
    retain(stored(np.arange(12).reshape(3, 2, 2), 'row_sparse'), nd.array([2]))
    retain(R.astype('float64'), nd.array([0, 4]))
    retain(R.astype('float16'), nd.array([0, 4]))
    retain(R.astype('int32'), nd.array([0, 4]))
    retain(R.astype('uint8'), nd.array([0, 4]))
    nd.sparse._internal._sparse_retain(R, nd.array([0, 4]))
    gradient(R, lambda x: retain(x, nd.array([0, 1, 4])), 'row_sparse', head=False)
    gradient(V, lambda x: retain(x, nd.array([0, 1, 4])), 'row_sparse', head=False)
    gradient(R, lambda x: retain(x, nd.array([0, 1, 4])), 'default', head=False)
    returned(R, lambda x: retain(x, nd.array([0, 4])))
    """,
)

values(
    __name__,
    matrices,
    """
    square_sum(R, axis=0)
    square_sum(R, axis=1)
    square_sum(R, axis=0, keepdims=True)
    square_sum(R, axis=1, keepdims=True)
    square_sum(V, axis=0)
    square_sum(V, axis=1)
    square_sum(V, axis=1, keepdims=True)
    square_sum(R)
    square_sum(R, axis=-1)
    square_sum(R, axis=(0, 1))
    square_sum(W, axis=1)
    square_sum(A, axis=1)
    square_sum(zeros('row_sparse', (5, 2)), axis=0)
    square_sum(zeros('row_sparse', (5, 2)), axis=1)
    square_sum(zeros('row_sparse', (5, 2)), axis=1, keepdims=True)
    square_sum(R.astype('float64'), axis=1)
    square_sum(R.astype('float16'), axis=1)
    square_sum(R.astype('int32'), axis=1)
    square_sum(stored(np.arange(12).reshape(3, 2, 2), 'row_sparse'), axis=1)
    gradient(R, lambda x: square_sum(x, axis=0), 'row_sparse')
    gradient(R, lambda x: square_sum(x, axis=1), 'row_sparse')
    gradient(R, lambda x: square_sum(x, axis=0, keepdims=True), 'row_sparse')
    gradient(R, lambda x: square_sum(x, axis=1, keepdims=True), 'row_sparse', head=False)
    gradient(R, lambda x: square_sum(x, axis=1), 'default')
    returned(R, lambda x: square_sum(x, axis=1))
    nd.slice(S, begin=(1,), end=(3,))
    nd.slice(S, begin=(0,), end=(2,))
    nd.slice(S, begin=(-2,), end=(None,))
    nd.slice(S, begin=(None,), end=(None,))
    nd.slice(S, begin=(1, 1), end=(4, 3))
    nd.slice(S, begin=(None, 1), end=(None, 3))
    nd.slice(S, begin=(None, -2), end=(None, None))
    nd.slice(S, begin=(0,), end=(4,), step=(2,))
    nd.slice(S, begin=(0, 0), end=(4, 4), step=(1, 2))
    nd.slice(S, begin=(0, 0), end=(4, 4), step=(1, 1))
    nd.slice(S, begin=(3,), end=(0,), step=(-1,))
    nd.slice(S, begin=(1,), end=(1,))
    nd.slice(S, begin=(2,), end=(1,))
    nd.slice(S, begin=(0, 2), end=(2, 2))
    nd.slice(S, begin=(0,), end=(9,))
    nd.slice(S, begin=(1,), end=(2,))
    nd.slice(zero, begin=(1, 1), end=(3, 3))
    nd.slice(unsorted, begin=(0,), end=(2,))
    nd.slice(unsorted, begin=(0, 0), end=(2, 2))
    nd.slice(repeated, begin=(0, 1), end=(3, 4))
    nd.slice(explicit, begin=(0, 0), end=(3, 2))
    nd.slice(S.astype('float64'), begin=(1, 1), end=(4, 3))
    nd.slice(S.astype('float16'), begin=(1, 1), end=(4, 3))
    nd.slice(S.astype('int32'), begin=(1, 1), end=(4, 3))
    nd.slice(S.astype('int64'), begin=(1,), end=(4,))
    nd.slice(V, begin=(1,), end=(3,))
    nd.slice_axis(S, axis=0, begin=1, end=3)
    nd.slice_axis(S, axis=1, begin=1, end=3)
    gradient(S, lambda x: nd.slice(x, begin=(1,), end=(3,)), 'default', head=False)
    gradient(S, lambda x: nd.slice(x, begin=(1, 1), end=(3, 4)), 'default', head=False)
    gradient(S, lambda x: nd.slice(x, begin=(1,), end=(3,)), 'csr', head=False)
    gradient(S, lambda x: nd.slice(x, begin=(1, 1), end=(3, 4)), 'csr', head=False)
    nd.cast_storage(W, stype='csr')
    nd.cast_storage(W, stype='row_sparse')
    nd.cast_storage(with_nan, stype='csr')
    nd.cast_storage(with_nan, stype='row_sparse')
    nd.cast_storage(nd.zeros((3, 4)), stype='csr')
    nd.cast_storage(nd.zeros((3, 4)), stype='row_sparse')
    nd.cast_storage(nd.array([1, 0, 2]), stype='row_sparse')
    nd.cast_storage(nd.array([1, 0, 2]), stype='csr')
    nd.cast_storage(nd.ones((2, 2, 2)), stype='row_sparse')
    nd.cast_storage(nd.ones((2, 2, 2)), stype='csr')
    nd.cast_storage(A, stype='default')
    nd.cast_storage(A, stype='csr')
    nd.cast_storage(A, stype='row_sparse')
    nd.cast_storage(R, stype='default')
    nd.cast_storage(R, stype='row_sparse')
    nd.cast_storage(R, stype='csr')
    nd.cast_storage(explicit, stype='csr')
    nd.cast_storage(explicit, stype='default')
    nd.cast_storage(unsorted, stype='default')
    gradient(D, lambda x: nd.cast_storage(x, stype='csr'), 'default', head=False)
    gradient(D, lambda x: nd.cast_storage(x, stype='row_sparse'), 'default', head=False)
    gradient(A, lambda x: nd.cast_storage(x, stype='default'), 'csr')
    gradient(R, lambda x: nd.cast_storage(x, stype='default'), 'row_sparse')
    gradient(A, lambda x: nd.cast_storage(x, stype='default'), 'default')
    """,
)

for _dtype, _stype in product(
    ("float16", "float64", "int32", "int64", "uint8", "int8"), ("csr", "row_sparse")
):
    values(
        __name__,
        matrices,
        f"""
        nd.cast_storage(stored([[0, 1], [0, 0], [3, 4]], dtype='{_dtype}'), stype='{_stype}')
        nd.cast_storage(stored([[0, 1], [0, 0], [3, 4]], '{_stype}', '{_dtype}'), stype='default')
        """,
    )


# These read memory that is not theirs.
values(
    __name__,
    matrices,
    """
    retain(V, nd.array([2, 7]))
    returned(A, lambda a: nd.dot(a, B))
    square_sum(R, axis=0, exclude=True)
    nd.cast_storage(repeated, stype='default')
    nd.slice(S, begin=(-9,), end=(2,))
    """,
    unsafe=True,
)
