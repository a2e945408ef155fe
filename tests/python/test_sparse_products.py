"""Products of sparse matrices, lookups of rows: against dense arrays, for any number of threads."""

import itertools

import numpy as np
import pytest

import mxtape as mx
from mxtape import autograd, nd
from mxtape._loader import core
from mxtape.base import MXNetError
from mxtape.ndarray import register

retain = register.get("_sparse_retain")
square_sum = register.get("_square_sum")
STYPES = ("default", "csr", "row_sparse")
TOLERANCE = {"float16": 4e-3, "float32": 2e-5, "float64": 1e-12}


def values(shape, density=0.3, dtype="float64", seed=0):
    rng = np.random.RandomState(seed)
    dense = rng.uniform(-2, 2, shape) * (rng.rand(*shape) < density)
    if shape[0] > 3:
        dense[shape[0] // 3] = 0
    return dense.astype(dtype)


def array(dense, stype="default"):
    return nd.array(dense, dtype=dense.dtype).tostype(stype)


def close(got, want, dtype="float64"):
    got = got.asnumpy() if hasattr(got, "asnumpy") else got
    scale = max(1.0, np.abs(want).max(initial=0))
    np.testing.assert_allclose(
        got.astype("float64"), want, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype] * scale
    )


def random_csr(rows, columns, each, dtype="float32", seed=0):
    """A csr matrix of any size, with columns in order and not, and some rows empty."""
    rng = np.random.RandomState(seed)
    counts = rng.randint(0, 2 * each + 1, rows)
    starts = np.concatenate([[0], np.cumsum(counts)])
    indices = rng.randint(0, columns, starts[-1])
    data = rng.uniform(-1, 1, starts[-1]).astype(dtype)
    return nd.sparse.csr_matrix((data, indices, starts), shape=(rows, columns), dtype=dtype)


@pytest.fixture(autouse=True)
def _threads():
    before = core.thread_count()
    yield
    core.set_thread_count(before)


@pytest.fixture
def no_fallback(monkeypatch, recwarn):
    """Fails a test in which a call went through dense arrays."""
    monkeypatch.setenv("MXNET_STORAGE_FALLBACK_LOG_VERBOSE", "1")
    yield
    assert [str(w.message) for w in recwarn.list if "dense arrays" in str(w.message)] == []


COMBINATIONS = [
    (lhs, rhs, a, b, wanted)
    for lhs, rhs, a, b, wanted in itertools.product(
        STYPES, STYPES, (False, True), (False, True), (None, "default", "csr", "row_sparse")
    )
    if (lhs, rhs) != ("default", "default")
]


@pytest.mark.parametrize(("lhs", "rhs", "transpose_a", "transpose_b", "wanted"), COMBINATIONS)
def test_dot_is_that_of_dense_arrays(lhs, rhs, transpose_a, transpose_b, wanted):
    a, b = values((7, 9), seed=1), values((9, 5), 0.6, seed=2)
    x = array(a.T.copy() if transpose_a else a, lhs)
    y = array(b.T.copy() if transpose_b else b, rhs)
    x.attach_grad(stype="default")
    y.attach_grad(stype="default")
    options = {"transpose_a": transpose_a, "transpose_b": transpose_b, "forward_stype": wanted}
    with autograd.record():
        z = nd.dot(x, y, **options)
    assert z.shape == (7, 5)
    if wanted is not None:
        assert z.stype == wanted
    close(z, a @ b)
    head = values((7, 5), 1.0, seed=3)
    z.backward(nd.array(head, dtype="float64"))
    close(x.grad, (b @ head.T if transpose_a else head @ b.T))
    close(y.grad, (head.T @ a if transpose_b else a.T @ head))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("width", [1, 2, 3, 5, 8, 11, 16, 17, 40, 64, 100, 129])
def test_dot_of_any_width(width, dtype, no_fallback):
    a, b = values((23, 31), dtype=dtype), values((31, width), 1.0, dtype)
    head = values((23, width), 1.0, dtype, seed=4)
    x, y = array(a, "csr"), array(b)
    y.attach_grad(stype="row_sparse")
    with autograd.record():
        z = nd.dot(x, y)
    z.backward(array(head))
    wide = [m.astype("float64") for m in (a, b, head)]
    close(z, wide[0] @ wide[1], dtype)
    assert y.grad.stype == "row_sparse"
    assert np.array_equal(y.grad.indices.asnumpy(), np.flatnonzero(a.any(0)))
    close(y.grad, wide[0].T @ wide[2], dtype)


@pytest.mark.parametrize("width", [0, 1, 3, 8, 9])
@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_few_columns_of_many_elements(width, dtype, no_fallback):
    """Sums that are not sorted, in several parts."""
    x = random_csr(4000, 500, 40, dtype)
    dense, c = x.asnumpy().astype("float64"), values((4000, width), 1.0, dtype)
    want = dense.T @ c.astype("float64")
    gradient = nd.dot(x, array(c), transpose_a=True)
    assert gradient.stype == "row_sparse"
    close(gradient, want, dtype)
    close(nd.dot(x, array(c), transpose_a=True, forward_stype="default"), want, dtype)
    b = values((500, width), 1.0, dtype)
    close(nd.dot(x, array(b)), dense @ b.astype("float64"), dtype)


@pytest.mark.parametrize("shape", [(4,), (4, 2, 3), (4, 1)])
@pytest.mark.parametrize("stype", ["default", "row_sparse"])
def test_dot_of_csr_and_other_than_matrices(shape, stype):
    a, b = values((5, 4)), values(shape, 0.5)
    x, y = array(a, "csr"), array(b, stype)
    y.attach_grad()
    with autograd.record():
        z = nd.dot(x, y)
        of_transpose = nd.dot(array(a.T, "csr"), y, transpose_a=True)
    close(z, np.tensordot(a, b, 1))
    close(of_transpose, np.tensordot(a, b, 1))
    z.backward()
    close(y.grad, np.tensordot(a.T, np.ones(z.shape), 1))
    if stype == "default":
        last = np.moveaxis(b, 0, -1).copy()
        if len(shape) > 1:
            close(nd.dot(x, array(last), transpose_b=True), np.tensordot(a, b, 1))


@pytest.mark.parametrize("shape", [(0, 3, 2), (3, 0, 2), (3, 2, 0), (0, 0, 0), (1, 1, 1)])
def test_dot_of_empty_matrices(shape):
    m, k, n = shape
    a, b = np.zeros((m, k), "float32"), np.ones((k, n), "float32")
    for stype in STYPES:
        close(nd.dot(array(a, "csr"), array(b, stype)), a @ b)
        close(nd.dot(array(a.T, "csr"), array(b, stype), transpose_a=True), a @ b)
    close(nd.dot(array(b.T.copy()), array(a, "csr"), transpose_b=True), b.T @ a.T)


def test_columns_out_of_order_and_twice(no_fallback):
    x = random_csr(40, 60, 5, "float64")
    dense = x.asnumpy()
    b, c = values((60, 3), 1.0), values((40, 3), 1.0)
    close(nd.dot(x, array(b)), dense @ b)
    close(nd.dot(x, array(b, "row_sparse")), dense @ b)
    gradient = nd.dot(x, array(c), transpose_a=True)
    assert gradient.stype == "row_sparse"
    close(gradient, dense.T @ c)
    close(nd.dot(x, array(c), transpose_a=True, forward_stype="default"), dense.T @ c)
    few = np.where(np.arange(40)[:, None] % 7 == 0, c, 0)
    close(nd.dot(x, array(few, "row_sparse"), transpose_a=True), dense.T @ few)
    close(nd.dot(array(b.T.copy()), x, transpose_b=True, forward_stype="default"), b.T @ dense.T)
    product = nd.dot(array(c.T.copy()), x)
    assert product.stype == "csr"
    close(product, c.T @ dense)


def test_csr_by_csr_makes_the_smaller_one_dense():
    """The larger one would take 8 GB."""
    large = random_csr(2000, 1_000_000, 3)
    small = random_csr(3, 2000, 50, seed=1)
    product = nd.dot(small, large, forward_stype="default")
    assert product.shape == (3, 1_000_000)
    dense = nd.dot(small.tostype("default"), large, forward_stype="default")
    assert np.array_equal(product.asnumpy(), dense.asnumpy())


def test_few_rows_of_many(no_fallback):
    """A row_sparse matrix so long that its rows are looked for by bisection."""
    rows = nd.sparse.row_sparse_array(
        (np.arange(6).reshape(3, 2) + 1, [5, 7_000_000, 99_999_999]),
        shape=(100_000_000, 2),
        dtype="float32",
    )
    x = nd.sparse.csr_matrix(
        ([1, 2, 3], [7_000_000, 4, 99_999_999], [0, 2, 3]), shape=(2, 100_000_000), dtype="float32"
    )
    assert nd.dot(x, rows).asnumpy().tolist() == [[3, 4], [15, 18]]
    head = nd.array([[1, 2], [3, 4]])
    gradient = nd.dot(x, head, transpose_a=True)
    assert gradient.indices.asnumpy().tolist() == [4, 7_000_000, 99_999_999]
    assert gradient.data.asnumpy().tolist() == [[2, 4], [1, 2], [9, 12]]
    taken = nd.take(rows, nd.array([7_000_000, 8, 5], dtype="int64"))
    assert taken.asnumpy().tolist() == [[3, 4], [0, 0], [1, 2]]
    kept = retain(rows, nd.array([99_999_999, 6], dtype="int64"))
    assert kept.indices.asnumpy().tolist() == [6, 99_999_999]
    assert kept.data.asnumpy().tolist() == [[0, 0], [5, 6]]


@pytest.mark.parametrize("extent", [1, 2, 100, 70_000, 1 << 33, 1 << 45])
@pytest.mark.parametrize("count", [0, 1, 63, 64, 3000, 300_000])
def test_sums_of_rows_among_any_number(extent, count):
    rng = np.random.RandomState(count)
    ids = rng.randint(0, extent, count) >> rng.randint(0, 9, count)
    heads = rng.randint(-9, 9, (count, 2)).astype("float32")
    sums = register.get("_backward_take_rows")(
        nd.array(heads), nd.array(ids, dtype="int64"), shape=(extent, 2)
    )
    rows, places = np.unique(ids, return_inverse=True)
    want = np.zeros((len(rows), 2), "float32")
    np.add.at(want, places.ravel(), heads)
    assert np.array_equal(sums.indices.asnumpy(), rows)
    assert np.array_equal(sums.data.asnumpy(), want)


def bits(threads, function):
    core.set_thread_count(threads)
    return [part.asnumpy().tobytes() for part in function()]


def test_bits_do_not_depend_on_threads():
    x = random_csr(3000, 5000, 90)
    crowded = x.indices.asnumpy() ** 2 // 5000
    skewed = nd.sparse.csr_matrix((x.data, crowded, x.indptr), shape=(3000, 5000))
    b, c = nd.random.normal(shape=(5000, 24)), nd.random.normal(shape=(3000, 24))
    ids = nd.array(np.random.RandomState(5).randint(0, 4000, 100_000) ** 2 // 4000)
    heads = nd.random.normal(shape=(100_000, 9))
    weight = nd.zeros((4000, 9))

    def run():
        for matrix in (x, skewed):
            yield nd.dot(matrix, b)
            gradient = nd.dot(matrix, c, transpose_a=True)
            yield from (gradient.indices, gradient.data)
            yield nd.dot(c.T, matrix, forward_stype="default")
            narrow = nd.dot(matrix, c[:, :3], transpose_a=True)
            yield from (narrow.indices, narrow.data, nd.dot(matrix, b[:, :1]))
        for stype in ("row_sparse", "default"):
            weight.attach_grad(stype=stype)
            with autograd.record():
                y = nd.Embedding(
                    ids, weight, input_dim=4000, output_dim=9, sparse_grad=stype == "row_sparse"
                )
            y.backward(heads)
            yield weight.grad.tostype("default")
        rows = heads.tostype("row_sparse")
        yield from (square_sum(rows, axis=axis) for axis in (0, 1))

    one = bits(1, run)
    assert bits(2, run) == one
    assert bits(5, run) == one
    assert one[-3] == one[-4]  # the sparse gradient of an embedding has the bits of the dense one


def peak_of(function):
    """Return how many bytes a call needs at most, beyond what arrays hold before it."""
    function()
    mx.runtime.empty_cache()
    before = mx.runtime.memory_stats()["bytes_reserved"]
    function()
    # What the call has freed is kept: it held as much at most.
    return mx.runtime.memory_stats()["bytes_reserved"] - before


def test_nothing_of_the_dense_size_is_allocated():
    """The matrix would take 40 GB, the weight takes 12.8 MB."""
    x = random_csr(10_000, 1_000_000, 3)
    b = nd.ones((1_000_000, 4))
    b.attach_grad(stype="row_sparse")

    def product():
        with autograd.record():
            y = nd.dot(x, b)
        y.backward()

    elements = x.data.size
    assert peak_of(product) < 60 * elements + 3 * 16 * 10_000 + (1 << 21)

    weight = nd.ones((100_000, 32))
    weight.attach_grad(stype="row_sparse")
    ids = nd.arange(500)

    def lookup():
        with autograd.record():
            y = nd.Embedding(ids, weight, input_dim=100_000, output_dim=32, sparse_grad=True)
        y.backward()

    assert peak_of(lookup) < 10 * 500 * 32 * 4 + (1 << 20)


def numeric(function, x, epsilon=1e-5):
    """The gradient of a number by central differences."""
    gradient = np.zeros_like(x)
    for place in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[place] = epsilon
        gradient[place] = (function(x + step) - function(x - step)) / (2 * epsilon)
    return gradient


IDS = np.array([3, 1, 3, 0])
SECOND_ORDER = {
    "csr by dense": lambda x: nd.dot(array(values((5, 4), seed=1), "csr"), x),
    "csr by dense, transposed": lambda x: nd.dot(
        array(values((4, 5), seed=1), "csr"), x, transpose_a=True
    ).tostype("default"),
    "dense by csr": lambda x: nd.dot(x.T, array(values((4, 5), seed=1), "csr")).tostype("default"),
    "embedding": lambda x: nd.Embedding(
        nd.array(IDS), x, input_dim=4, output_dim=3, sparse_grad=True
    ),
    "sparse embedding": lambda x: nd.contrib.SparseEmbedding(
        nd.array(IDS), x, input_dim=4, output_dim=3
    ),
    "rows": lambda x: nd.take(x.tostype("row_sparse"), nd.array(IDS)),
    "retain": lambda x: retain(x.tostype("row_sparse"), nd.array([0, 3])).tostype("default"),
    "squares of rows": lambda x: square_sum(x.tostype("row_sparse"), axis=1),
    "squares of columns": lambda x: square_sum(x.tostype("row_sparse"), axis=0, keepdims=True),
    "squares, row_sparse": lambda x: square_sum(
        x.tostype("row_sparse"), axis=1, keepdims=True
    ).tostype("default"),
    "part of csr": lambda x: nd.slice(x.tostype("csr"), begin=(1, 1), end=(4, 3)).tostype(
        "default"
    ),
}


@pytest.mark.parametrize("name", SECOND_ORDER)
@pytest.mark.parametrize("stype", ["default", "row_sparse"])
def test_gradients_of_both_orders(name, stype):
    function = SECOND_ORDER[name]
    start = values((4, 3), 1.0, seed=7)
    x = nd.array(start, dtype="float64")
    x.attach_grad(stype=stype)

    def loss(x):
        y = function(x)
        return (y * y * y).sum()

    with autograd.record():
        first = autograd.grad(loss(x), [x], create_graph=True)[0].tostype("default")
        second = (first * first).sum()
    second.backward()

    def gradient(values):
        x = nd.array(values, dtype="float64")
        x.attach_grad()
        with autograd.record():
            y = loss(x)
        y.backward()
        return x.grad.asnumpy()

    of_loss = numeric(lambda v: loss(nd.array(v, dtype="float64")).asscalar(), start)
    np.testing.assert_allclose(first.asnumpy(), of_loss, rtol=1e-6, atol=1e-6)
    of_first = numeric(lambda v: (gradient(v) ** 2).sum(), start)
    assert x.grad.stype == stype
    np.testing.assert_allclose(x.grad.asnumpy(), of_first, rtol=1e-6, atol=1e-4)


def test_gradient_of_a_row_sparse_weight(no_fallback):
    weight = array(values((6, 3)) + 1, "row_sparse")
    for look_up in (
        lambda ids: nd.Embedding(ids, weight, input_dim=6, output_dim=3, sparse_grad=True),
        lambda ids: nd.contrib.SparseEmbedding(ids, weight, input_dim=6, output_dim=3),
        lambda ids: nd.take(weight, ids),
    ):
        weight.attach_grad()
        with autograd.record():
            y = look_up(nd.array([[4, 1], [4, 4]]))
        assert np.array_equal(y.asnumpy(), weight.asnumpy()[[[4, 1], [4, 4]]])
        y.backward()
        assert weight.grad.stype == "row_sparse"
        assert weight.grad.indices.asnumpy().tolist() == [1, 4]
        assert weight.grad.data.asnumpy().tolist() == [[1] * 3, [3] * 3]


@pytest.mark.parametrize(
    "dtype", ["float16", "float32", "float64", "int8", "uint8", "int32", "int64"]
)
def test_sums_of_squares(dtype, no_fallback):
    # Of float16 so small that no sum overflows.
    dense = (values((300, 130)) * (1 if dtype == "float16" else 50)).astype(dtype)
    x = array(dense, "row_sparse")
    for axis, keepdims in itertools.product((0, 1), (False, True)):
        got = square_sum(x, axis=axis, keepdims=keepdims)
        assert got.stype == ("row_sparse" if axis == 1 and keepdims else "default")
        if np.dtype(dtype).kind == "f":
            want = (dense.astype("float64") ** 2).sum(axis=axis, keepdims=keepdims)
            np.testing.assert_allclose(got.asnumpy(), want, rtol=TOLERANCE[dtype])
        else:
            want = (dense.astype("int64") ** 2).sum(axis=axis, keepdims=keepdims)
            assert np.array_equal(got.asnumpy(), want.astype(dtype))


def test_indices_out_of_range():
    weight = array(values((5, 2)) + 1, "row_sparse")
    for bad in ([0, 5], [-1, 2], [np.nan]):
        with pytest.raises(MXNetError, match="out of range for a row_sparse weight of 5 rows"):
            nd.Embedding(nd.array(bad), weight, input_dim=5, output_dim=2)
        with pytest.raises(MXNetError, match="out of range for an array of 5 rows"):
            retain(weight, nd.array(bad))
    with pytest.raises(MXNetError, match="index 5 is out of range"):
        nd.take(weight, nd.array([5]), mode="raise")
    with pytest.raises(MXNetError, match="a csr array has 2 dimensions"):
        nd.take(weight.tostype("csr"), nd.array([[1]]))
    with pytest.raises(MXNetError, match="indices must have 1 dimension"):
        nd.take(weight.tostype("csr"), nd.array([[1]]), mode="raise")


def test_errors_say_what_was_given():
    x = array(values((3, 4)), "csr")
    with pytest.raises(MXNetError, match="lhs must be a matrix where rhs is csr"):
        nd.dot(nd.ones((3,), dtype="float64"), x)
    with pytest.raises(MXNetError, match="dtype"):
        nd.dot(x, nd.ones((4, 2)))
    with pytest.raises(MXNetError, match="product of dense arrays is dense"):
        nd.dot(nd.ones((2, 2)), nd.ones((2, 2)), forward_stype="csr")
    with pytest.raises(MXNetError, match="row_sparse array"):
        retain(nd.ones((2, 2)), nd.array([0]))
    with pytest.raises(MXNetError, match="row_sparse matrix"):
        square_sum(nd.ones((2, 2)), axis=1)
    with pytest.raises(MXNetError, match="axis must be 0 or 1"):
        square_sum(nd.ones((2, 2)).tostype("row_sparse"))


def test_parts_of_a_result_are_its_own():
    """A slice shares the elements with the array that it was made of, which may change."""
    x = array(values((6, 5)), "csr")
    part, before = nd.slice(x, begin=(1,), end=(4,)), x.asnumpy()[1:4]
    x *= 2
    assert np.array_equal(part.asnumpy(), before)


@pytest.mark.parametrize("dtype", ["float16", "float32", "int32", "int64", "uint8"])
def test_slices_of_csr(dtype, no_fallback):
    dense = (np.abs(values((8, 9))) * 9).astype(dtype)
    x = array(dense, "csr")
    for rows, columns in itertools.product([(0, 8), (2, 7), (3, 3), (-3, -1)], repeat=2):
        part = nd.slice(x, begin=(rows[0], columns[0]), end=(rows[1], columns[1]))
        assert part.stype == "csr"
        want = dense[rows[0] : rows[1], columns[0] : columns[1]]
        assert part.shape == want.shape
        assert np.array_equal(part.asnumpy(), want)
