"""Operators on csr and row_sparse arrays against the same calls on dense ones."""

import zlib
from dataclasses import replace

import numpy as np
import pytest

import mxtape as mx
from gradient_matrix import all_rows, as_arrays, call, draw, row_id
from mxtape import autograd, nd
from mxtape._loader import core
from mxtape.base import MXNetError
from mxtape.ndarray import register

STYPES = ("csr", "row_sparse")
DTYPES = ("float32", "float64", "float16", "int32", "int64", "uint8", "int8")

# Functions of one array that give an array of its kind, as in MXNet.
KEEP_ZEROS = (
    "abs arcsin arcsinh arctan arctanh BlockGrad cbrt ceil degrees expm1 fix floor log1p make_loss "
    "negative radians relu rint round sign sin sinh sqrt square tan tanh trunc _copy zeros_like "
    "_contrib_gradientmultiplier _contrib_round_ste _contrib_sign_ste _mul_scalar _div_scalar "
    "_scatter_plus_scalar _scatter_minus_scalar"
).split()
# Those that do so where their parameters keep zeros.
MAY_KEEP_ZEROS = (
    "_plus_scalar _minus_scalar _equal_scalar _not_equal_scalar _greater_scalar "
    "_greater_equal_scalar _lesser_scalar _lesser_equal_scalar clip _contrib_quadratic"
).split()
# Operators of which other calls give sparse arrays.
OF_MANY = (
    "elemwise_add elemwise_sub elemwise_mul broadcast_add broadcast_sub broadcast_mul "
    "broadcast_div _maximum _minimum _hypot _masked_product _masked_quotient "
    "_scatter_elemwise_div _identity_with_attr_like_rhs add_n Concat cast_storage dot "
    "sparse_retain _sparse_retain slice take square_sum _square_sum _backward_square_sum "
    "_backward_take_rows"
).split()


# ---- every operator of the gradient matrix, one input of it sparse


def with_zeros(values):
    """Every third element 0, and the second of the rows."""
    values = values.copy()
    values.reshape(-1)[::3] = 0
    if values.ndim and values.shape[0] > 2:
        values[1] = 0
    return values


def outcome(row, values, floating, which, stype):
    """Outputs and gradients of the row's call, input `which` of it sparse, or what it raised."""
    inputs = as_arrays(values)
    inputs[which] = inputs[which].tostype(stype)
    variables = [x for x, is_float in zip(inputs, floating) if is_float]
    for x in variables:
        x.attach_grad()
    random = np.random.RandomState(5)
    try:
        with autograd.record():
            outputs = call(row, inputs)
        heads = [nd.array(random.uniform(0.5, 1.5, y.shape), dtype=y.dtype) for y in outputs]
        autograd.backward(outputs, heads)
    except (MXNetError, ValueError) as error:
        return type(error), [], []
    stypes = [y.stype for y in outputs]
    return stypes, [y.asnumpy() for y in outputs], [x.grad.asnumpy() for x in variables]


def sparse_calls(row):
    """Which inputs of a row can be which kind of array."""
    values, floating = draw(row)
    for i, (x, is_float) in enumerate(zip(values, floating)):
        if is_float and x.ndim:
            yield from ((i, stype) for stype in STYPES if stype == "row_sparse" or x.ndim == 2)


ROWS = [row for row in all_rows() if not row.stypes]
# Scalars that keep zeros, where 1.5 does not.
ROWS += [
    replace(row, params={**row.params, "scalar": 0.0})
    for row in ROWS
    if row.op in ("_plus_scalar", "_minus_scalar")
]


@pytest.mark.parametrize("row", ROWS, ids=row_id)
def test_operators_take_sparse_arrays(row):
    for which, stype in sparse_calls(row):
        values, floating = draw(row)
        values[which] = with_zeros(values[which])
        with np.errstate(all="ignore"):
            want = outcome(row, values, floating, which, "default")
            got = outcome(row, values, floating, which, stype)
        label = f"input {which} {stype}"
        if isinstance(want[0], type):
            assert got[0] is want[0], label
            continue
        for a, b in zip(want[1] + want[2], got[1] + got[2]):
            assert a.dtype == b.dtype, label
            if row.op in ELSEWHERE_ZERO and a.ndim:
                a = np.where(b == 0, 0, a)
            scale = np.abs(a[np.isfinite(a)]).max(initial=1) if a.dtype.kind == "f" else 1
            np.testing.assert_allclose(b, a, rtol=1e-12, atol=1e-13 * scale, err_msg=label)
        if row.op not in OF_MANY and not row.op.startswith("_backward_"):
            check_stypes(row, stype, got[0])


# Operators that leave 0 where a sparse array has nothing, whatever the function is of 0.
ELSEWHERE_ZERO = (
    "_scatter_plus_scalar _scatter_minus_scalar _scatter_elemwise_div broadcast_div "
    "_masked_product _masked_quotient"
).split()


def check_stypes(row, stype, stypes):
    if row.op in KEEP_ZEROS:
        assert stypes == [stype]
    elif row.op in MAY_KEEP_ZEROS:
        of_zero = call(row, [nd.zeros((1, 1), dtype="float64")])[0].asscalar()
        kept = of_zero == 0 and (stype == "csr" or row.op != "_contrib_quadratic")
        assert stypes == [stype if kept else "default"]
    else:
        assert set(stypes) <= {"default"}


def test_functions_that_keep_zeros_do():
    for name in KEEP_ZEROS:
        params = {"scalar": 2.0} if "_scalar" in name else {}
        if "_scatter" not in name:
            assert register.get(name)(nd.zeros((2,)), **params).asnumpy().tolist() == [0, 0], name
    assert set(KEEP_ZEROS + MAY_KEEP_ZEROS + OF_MANY) & set(core.op_names())


# ---- functions of two arrays


def some(shape, density, dtype="float32", seed=0):
    """Random values, most of them 0, and empty rows."""
    rng = np.random.RandomState(zlib.crc32(repr((shape, density, seed)).encode()) % 2**31)
    values = rng.randint(1, 9, shape) * (rng.rand(*shape) < density)
    values = values * (rng.rand(shape[0]) < 0.7).reshape((-1,) + (1,) * (len(shape) - 1))
    if np.dtype(dtype).kind in "fi":
        values = values * np.where(rng.rand(*shape) < 0.5, -1, 1)
    return values.astype(dtype)


def arrays_of(values, stype):
    return nd.array(values, dtype=values.dtype).tostype(stype)


PAIRS = [
    (name, left, right)
    for name in ("elemwise_add", "elemwise_sub", "elemwise_mul", "broadcast_add", "broadcast_mul")
    for left in ("default", *STYPES)
    for right in ("default", *STYPES)
    if (left, right) != ("default", "default")
]
SHAPES = [(7, 5), (1, 1), (300, 40), (0, 4), (4, 0)]


@pytest.mark.parametrize(("name", "left", "right"), PAIRS)
def test_pairs(name, left, right):
    function = getattr(nd, name)
    for shape in SHAPES:
        for dtype in DTYPES if shape == (7, 5) else ("float32", "int32"):
            for density in (0.0, 0.3):
                a, b = some(shape, density, dtype, 1), some(shape, 0.2, dtype, 2)
                got = function(arrays_of(a, left), arrays_of(b, right))
                want = function(nd.array(a, dtype=dtype), nd.array(b, dtype=dtype))
                assert got.dtype == want.dtype
                np.testing.assert_array_equal(got.asnumpy(), want.asnumpy())


@pytest.mark.parametrize("name", ["_maximum", "_minimum", "_hypot", "elemwise_add"])
@pytest.mark.parametrize("stype", STYPES)
def test_unions(name, stype):
    function = register.get(name)
    for shape in SHAPES:
        a, b = some(shape, 0.3, seed=1), some(shape, 0.3, seed=2)
        got = function(arrays_of(a, stype), arrays_of(b, stype))
        assert got.stype == stype
        np.testing.assert_allclose(got.asnumpy(), function(nd.array(a), nd.array(b)).asnumpy())


def test_rows_of_more_dimensions():
    a, b = some((9, 2, 3), 0.4, seed=1), some((9, 2, 3), 0.4, seed=2)
    x, y = arrays_of(a, "row_sparse"), arrays_of(b, "row_sparse")
    for got, want in (
        (x + y, a + b),
        (x * y, a * b),
        (x - nd.array(b), a - b),
        (x * nd.array(b), a * b),
        (nd.add_n(x, y, x), 2 * a + b),
        (nd.add_n(x, nd.array(b), y), a + 2 * b),
    ):
        np.testing.assert_array_equal(got.asnumpy(), want)


@pytest.mark.parametrize("stype", STYPES)
@pytest.mark.parametrize("other", [(5,), (7, 1), (1, 5), (1,), (1, 1), (7, 5)])
def test_broadcasting(stype, other):
    a, b = some((7, 5), 0.4), np.random.RandomState(3).uniform(1, 2, other).astype("float32")
    x, y = arrays_of(a, stype), nd.array(b)
    for function, want in (
        (nd.broadcast_mul, a * b),
        (nd.broadcast_div, a / b),
        (nd.broadcast_add, a + b),
        (nd.broadcast_sub, a - b),
    ):
        np.testing.assert_allclose(function(x, y).asnumpy(), want, rtol=1e-6)
    assert nd.broadcast_mul(x, y).stype == stype


@pytest.mark.parametrize("stype", STYPES)
def test_broadcasting_of_the_sparse_array(stype):
    row, a = some((1, 5), 0.9), some((7, 5), 0.4)
    x, y = arrays_of(row, stype), arrays_of(a, stype)
    for got, want in ((x * nd.array(a), row * a), (x + y, row + a), (nd.array(a) - x, a - row)):
        np.testing.assert_array_equal(got.asnumpy(), want)


def duplicates():
    """A csr array that has columns twice and out of order, and its values."""
    x = nd.sparse.csr_matrix(([1.0, 2, 3, 4, -4], [2, 0, 2, 1, 1], [0, 3, 3, 5]), shape=(3, 4))
    return x, np.array([[2, 0, 4, 0], [0] * 4, [0, 0, 0, 0]], "float32")


def test_csr_arrays_with_columns_twice():
    x, values = duplicates()
    e = np.arange(12, dtype="float32").reshape(3, 4)
    for got, want in (
        (nd.square(x), values**2),
        (x * x, values * values),
        (x + nd.array(e), values + e),
        (nd.array(e) - x, e - values),
        (x * nd.array(e), values * e),
        (x * 2, values * 2),
        (nd.where(x, nd.array(e), nd.array(-e)), np.where(values != 0, e, -e)),
        (nd.norm(x, axis=1), np.sqrt((values**2).sum(1))),
        (nd.sum(x, axis=0), values.sum(0)),
        (nd.concat(x, x, dim=0), np.concatenate([values, values])),
        (nd.add_n(x, nd.array(e)), values + e),
    ):
        np.testing.assert_allclose(got.asnumpy(), want, rtol=1e-6)


def test_sums_drop_zeros():
    x = arrays_of(some((20, 10), 0.5), "csr")
    assert (x - x).data.shape == (0,)
    assert (x + -x).indptr.asnumpy().tolist() == [0] * 21


def test_sums_into_dense_arrays_in_place():
    e, r = nd.ones((50, 4)), arrays_of(some((50, 4), 0.5), "row_sparse")
    want = 1 + r.asnumpy()
    view = e.reshape((200,))
    e += r
    np.testing.assert_array_equal(view.asnumpy().reshape(50, 4), want)
    nd.elemwise_add(r, e, out=e)
    np.testing.assert_array_equal(view.asnumpy().reshape(50, 4), want + r.asnumpy())
    e -= arrays_of(e.asnumpy(), "csr")
    assert not view.asnumpy().any()
    out = nd.zeros((50, 4))
    nd.elemwise_sub(r, nd.ones((50, 4)), out=out)
    np.testing.assert_array_equal(out.asnumpy(), r.asnumpy() - 1)


def test_sums_into_views():
    e, r = nd.ones((6, 4)), arrays_of(some((3, 4), 0.9), "row_sparse")
    part = e[2:5]
    part += r
    want = np.ones((6, 4), "float32")
    want[2:5] += r.asnumpy()
    np.testing.assert_array_equal(e.asnumpy(), want)
    # The result overlaps the dense operand, but is not the same view.
    nd.elemwise_add(e[1:4], r, out=e[2:5])
    want[2:5] = want[1:4] + r.asnumpy()
    np.testing.assert_array_equal(e.asnumpy(), want)


def test_shapes_and_dtypes_that_do_not_fit():
    c = arrays_of(some((3, 4), 0.5), "csr")
    for function, other in (
        (nd.elemwise_add, arrays_of(some((4, 4), 0.5), "csr")),
        (nd.elemwise_mul, nd.ones((3,))),
        (nd.broadcast_mul, nd.ones((3,))),
        (nd.elemwise_add, arrays_of(some((3, 4), 0.5, "float64"), "csr")),
        (nd.add_n, nd.ones((4, 3))),
    ):
        with pytest.raises(MXNetError, match=r"\(3, ?4\)"):
            function(c, other)


# ---- sums, means and norms


@pytest.mark.parametrize("stype", STYPES)
@pytest.mark.parametrize("name", ["sum", "mean", "norm"])
def test_reductions(name, stype):
    function = getattr(nd, name)
    for shape in [(7, 5), (300, 40), (0, 4), (1, 1)]:
        for dtype in DTYPES if shape == (7, 5) else ("float32",):
            values = some(shape, 0.4, dtype)
            x, y = arrays_of(values, stype), nd.array(values, dtype=dtype)
            for axis in (None, 0, 1, (0, 1), -1):
                for keepdims in (False, True):
                    got = function(x, axis=axis, keepdims=keepdims)
                    want = function(y, axis=axis, keepdims=keepdims)
                    assert got.shape == want.shape
                    assert got.dtype == want.dtype
                    rtol = 2e-3 if dtype == "float16" else 1e-6
                    np.testing.assert_allclose(got.asnumpy(), want.asnumpy(), rtol=rtol)
    cube = some((6, 2, 3), 0.5)
    for axis in (0, 1, (0, 2), (1, 2), None):
        got = function(arrays_of(cube, "row_sparse"), axis=axis)
        np.testing.assert_allclose(got.asnumpy(), function(nd.array(cube), axis=axis).asnumpy())


def test_sums_have_the_same_bits_for_any_number_of_threads():
    rng = np.random.RandomState(1)
    n, rows, columns = 400_000, 3000, 200
    pointers = np.linspace(0, n, rows + 1).astype("int64")
    data = rng.normal(size=n).astype("float32")
    x = nd.sparse.csr_matrix((data, rng.randint(0, columns, n), pointers), shape=(rows, columns))
    results = []
    before = mx.runtime.num_threads() if hasattr(mx.runtime, "num_threads") else 2
    try:
        for threads in (1, 2, 3):
            mx.runtime.set_num_threads(threads)
            ys = [nd.sum(x, axis=0), nd.mean(x), nd.norm(x, axis=1), (x + x).data, (x * x).data]
            results.append([y.asnumpy().tobytes() for y in ys])
    finally:
        mx.runtime.set_num_threads(before)
    assert results[0] == results[1] == results[2]


# ---- nothing of the dense size


def test_kernels_do_not_make_dense_arrays():
    rows, columns, n = 10**5, 10**9, 1000  # 400 TB of float32
    rng = np.random.RandomState(2)
    pointers = np.linspace(0, n, rows + 1).astype("int64")
    index = np.unique(rng.randint(0, columns, 2 * n))[:n]
    x = nd.sparse.csr_matrix((np.ones(n, "float32"), index, pointers), shape=(rows, columns))
    y = nd.sparse.csr_matrix((np.ones(n, "float32"), index[::-1], pointers), shape=(rows, columns))
    w = nd.ones((rows, 1))
    for made in (x + y, x * y, x - y, -x, x * 2, x / 2, nd.sin(x), nd.clip(x, -1, 1), x * w):
        assert made.stype == "csr"
    assert (x > 0).stype == "csr"
    assert nd.concat(x, y, dim=0).shape == (2 * rows, columns)
    assert nd.sum(x).asscalar() == nd.norm(x, ord=1).asscalar() == n
    assert nd.sum(x, axis=1).asnumpy().sum() == n
    assert nd.zeros_like(x).data.shape == (0,)
    x.attach_grad()
    with autograd.record():
        z = nd.square(x) * 3
    z.backward(x)
    assert x.grad.data.shape == (n,)
    r = nd.sparse.row_sparse_array(
        (np.ones((3, 10**6), "float32"), [1, 5, 9]), shape=(10**8, 10**6)
    )
    for made in (r + r, r * r, r - r, nd.tanh(r), r * nd.ones((10**6,)), nd.add_n(r, r)):
        assert made.data.shape == (3, 10**6)
    assert nd.sum(r, axis=0).shape == (10**6,)


# ---- gradients with sparse heads


@pytest.mark.parametrize("stype", STYPES)
def test_sparse_heads_give_sparse_gradients(stype):
    a, g = some((6, 5), 0.6, "float64", 1), some((6, 5), 0.5, "float64", 2)
    for function, slope in (
        (nd.square, 2 * a),
        (lambda x: x * 3, 3 + 0 * a),
        (lambda x: x / 2, 0.5 + 0 * a),
        (nd.identity, 1 + 0 * a),
        (nd.abs, np.sign(a)),
        (nd.negative, -1 + 0 * a),
        (lambda x: x + x, 2 + 0 * a),
        (lambda x: x * x * x, 3 * a * a),
        (nd.relu, (a > 0) * 1.0),
    ):
        x, head = arrays_of(a, stype), arrays_of(g, stype)
        x.attach_grad()
        with autograd.record():
            y = function(x)
        gradient = autograd.grad(y, x, head, retain_graph=True)[0]
        assert gradient.stype == stype
        np.testing.assert_allclose(gradient.asnumpy(), g * slope)
        y.backward(head)
        assert x.grad.stype == stype
        np.testing.assert_allclose(x.grad.asnumpy(), g * slope)


@pytest.mark.parametrize("stype", STYPES)
def test_second_order(stype):
    a = some((6, 5), 0.6, "float64", 1)
    x = arrays_of(a, stype)
    x.attach_grad()
    with autograd.record():
        y = x * x * x
        first = autograd.grad(y, x, create_graph=True)[0]
    first.backward()
    np.testing.assert_allclose(first.asnumpy(), 3 * a * a)
    np.testing.assert_allclose(x.grad.asnumpy(), 6 * a)


# ---- csr arrays as graphs


def test_getnnz_and_edge_id():
    x = nd.sparse.csr_matrix(([5.0, 0, 7], [1, 3, 0], [0, 2, 2, 3]), shape=(3, 4))
    assert nd.contrib.getnnz(x).asnumpy().tolist() == [3]
    assert nd.contrib.getnnz(x, axis=0).asnumpy().tolist() == [1, 1, 0, 1]
    assert nd.contrib.getnnz(x, axis=1).asnumpy().tolist() == [2, 0, 1]
    found = nd.contrib.edge_id(x, nd.array([0, 0, 1, 2]), nd.array([3, 0, 1, 0]))
    assert found.asnumpy().tolist() == [0, -1, -1, 7]
    for wrong in (nd.ones((3, 4)), nd.ones((3, 4)).tostype("row_sparse")):
        with pytest.raises(MXNetError, match="csr"):
            nd.contrib.getnnz(wrong)
        with pytest.raises(MXNetError, match="csr"):
            nd.contrib.edge_id(wrong, nd.array([0]), nd.array([0]))
    with pytest.raises(MXNetError, match="axis"):
        nd.contrib.getnnz(x, axis=2)
    with pytest.raises((MXNetError, IndexError)):
        nd.contrib.edge_id(x, nd.array([3]), nd.array([0]))
