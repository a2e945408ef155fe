"""Sorting beyond what MXNet can tell: ties in long lines, NaN, every dtype, empty arrays."""

import numpy as np
import pytest

import mxtape as mx
from mxtape import autograd, nd
from mxtape._loader import core

DTYPES = ["float16", "float32", "float64", "uint8", "int8", "int32", "int64"]
# Below and above the length from which digits are counted.
LENGTHS = [1, 7, 1023, 5000]


def drawn(shape, dtype, seed=0):
    """Numbers with many ties."""
    return np.random.RandomState(seed).randint(0, 100, shape).astype(dtype)


def stable_order(values, ascending=True, axis=-1):
    keys = values.astype("float64")
    return np.argsort(keys if ascending else -keys, axis=axis, kind="stable")


@pytest.mark.parametrize("n", LENGTHS)
@pytest.mark.parametrize("ascending", [True, False])
@pytest.mark.parametrize("dtype", DTYPES)
def test_argsort_is_stable(dtype, ascending, n):
    values = drawn((3, n), dtype)
    x = nd.array(values, dtype=dtype)
    expected = stable_order(values, ascending)
    found = nd.argsort(x, is_ascend=ascending, dtype="int32")
    np.testing.assert_array_equal(found.asnumpy(), expected)
    ordered = nd.sort(x, is_ascend=ascending)
    np.testing.assert_array_equal(ordered.asnumpy(), np.take_along_axis(values, expected, -1))
    assert ordered.dtype == np.dtype(dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64"])
def test_values_of_all_sizes(dtype):
    random = np.random.RandomState(3)
    values = (random.standard_normal(4000) * 10.0 ** random.randint(-30, 9, 4000)).astype(dtype)
    np.testing.assert_array_equal(nd.sort(nd.array(values, dtype=dtype)).asnumpy(), np.sort(values))


def test_ends_of_the_integers():
    low, high = np.iinfo("int64").min, np.iinfo("int64").max
    x = nd.array(np.array([5, high, low, -1, 0]), dtype="int64")
    assert nd.sort(x).asnumpy().tolist() == [low, -1, 0, 5, high]


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_nan_is_larger_than_every_number(dtype):
    nan, inf = float("nan"), float("inf")
    x = nd.array([2, nan, -inf, inf, nan, -1], dtype=dtype)
    assert nd.argsort(x).asnumpy().tolist() == [2, 5, 0, 3, 1, 4]
    assert nd.argsort(x, is_ascend=False).asnumpy().tolist() == [1, 4, 3, 0, 5, 2]
    np.testing.assert_array_equal(nd.sort(x).asnumpy(), np.sort(x.asnumpy()))
    assert nd.topk(x, k=3).asnumpy().tolist() == [1, 4, 3]
    long = np.arange(3000, dtype=dtype) % 1000
    long[[17, 2000]] = nan
    assert nd.topk(nd.array(long, dtype=dtype), k=3).asnumpy().tolist()[:2] == [17, 2000]


def test_negative_zero_is_zero():
    x = nd.array([0.0, -0.0, 0.0, -0.0])
    assert nd.argsort(x).asnumpy().tolist() == [0, 1, 2, 3]
    assert np.signbit(nd.sort(x).asnumpy()).tolist() == [False, True, False, True]


@pytest.mark.parametrize("k", [1, 5, 130, 4999, 5000])
@pytest.mark.parametrize("ascending", [True, False])
@pytest.mark.parametrize(("shape", "axis"), [((5000,), 0), ((3, 5000), 1), ((5000, 3), 0)])
def test_topk_is_the_head_of_the_order(shape, axis, ascending, k):
    values = drawn(shape, "float32", seed=k)
    expected = np.take(stable_order(values, ascending, axis), range(k), axis)
    args = {"axis": axis, "k": k, "is_ascend": ascending}
    found, where = nd.topk(nd.array(values), ret_typ="both", dtype="int64", **args)
    np.testing.assert_array_equal(where.asnumpy(), expected)
    np.testing.assert_array_equal(found.asnumpy(), np.take_along_axis(values, expected, axis))
    marks = np.zeros(shape)
    np.put_along_axis(marks, expected, 1, axis)
    mask = nd.topk(nd.array(values), ret_typ="mask", **args)
    np.testing.assert_array_equal(mask.asnumpy(), marks)


@pytest.mark.parametrize("falling", [True, False])
def test_topk_of_what_is_in_order_already(falling):
    """Every element passes the limit, or none."""
    values = np.arange(20000)[:: -1 if falling else 1]
    found = nd.topk(nd.array(values), k=3, ret_typ="value").asnumpy()
    assert found.tolist() == [19999, 19998, 19997]


def test_middle_axis():
    values = drawn((2, 40, 600), "float32", seed=9)
    expected = stable_order(values, axis=1)
    x = nd.array(values)
    np.testing.assert_array_equal(nd.argsort(x, axis=1).asnumpy(), expected)
    np.testing.assert_array_equal(nd.sort(x, axis=1).asnumpy(), np.sort(values, axis=1))


def test_gradient_goes_where_the_elements_came_from():
    values = drawn((2, 3000, 3), "float64", seed=4)
    x = nd.array(values, dtype="float64")
    x.attach_grad()
    with autograd.record():
        y = nd.sort(x, axis=1)
    weights = np.random.RandomState(5).uniform(size=values.shape)
    y.backward(nd.array(weights, dtype="float64"))
    expected = np.zeros(values.shape)
    np.put_along_axis(expected, stable_order(values, axis=1), weights, 1)
    np.testing.assert_array_equal(x.grad.asnumpy(), expected)


def test_any_number_of_threads():
    x = nd.array(drawn((64, 3000), "float32", seed=6))
    many = core.thread_count()
    results = []
    try:
        for count in (1, 4):
            core.set_thread_count(count)
            found = nd.argsort(x, axis=0), nd.cumsum(x, axis=1), nd.topk(x, k=9, axis=1)
            counts = nd.histogram(x, bins=50, range=(0, 100))[0]
            results.append([r.asnumpy().tobytes() for r in (*found, counts)])
    finally:
        core.set_thread_count(many)
    assert results[0] == results[1]


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0)])
def test_nothing_to_sort(shape):
    x = nd.zeros(shape)
    assert nd.sort(x).shape == nd.argsort(x).shape == shape
    assert nd.sort(x, axis=None).shape == (0,)
    values, indices = nd.topk(x, k=0, ret_typ="both")
    assert values.shape == indices.shape == shape
    assert nd.topk(x, k=0, ret_typ="mask").shape == shape
    assert nd.cumsum(x, axis=0).shape == shape


@pytest.mark.parametrize(("dtype", "fits"), [("uint8", 256), ("float16", 2048)])
def test_indices_must_fit_their_dtype(dtype, fits):
    assert nd.argsort(nd.zeros((fits,)), dtype=dtype).asnumpy()[-1] == fits - 1
    with pytest.raises(mx.MXNetError, match="do not fit dtype"):
        nd.argsort(nd.zeros((fits + 1,)), dtype=dtype)
    with pytest.raises(mx.MXNetError, match="do not fit dtype"):
        nd.topk(nd.zeros((fits + 1,)), ret_typ="both", dtype=dtype)
    assert nd.topk(nd.zeros((fits + 1,)), ret_typ="value", dtype=dtype).shape == (1,)


def test_gradient_places_out_of_range_are_clipped():
    x = nd.array([[1.0, 2.0, 3.0]])
    far = nd.array([[7, -4]])
    assert nd._internal._gather_along(x, far, axis=1).asnumpy().tolist() == [[3, 1]]


# ---- the rest of the family


@pytest.mark.parametrize("axis", [None, 0, 1, 2])
@pytest.mark.parametrize("dtype", DTYPES)
def test_cumsum(dtype, axis):
    values = drawn((5, 7, 300), dtype, seed=7) if dtype != "float16" else drawn((5, 7, 3), dtype)
    exact = values.astype("float64" if dtype.startswith("float") else dtype)
    expected = np.cumsum(exact, axis=axis, dtype=exact.dtype)
    found = nd.cumsum(nd.array(values, dtype=dtype), axis=axis)
    assert found.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(found.asnumpy(), expected.astype(dtype))


def test_cumsum_of_many_small_numbers():
    x = nd.full((1 << 20,), 0.1)
    total = nd.cumsum(x).asnumpy()[-1]
    np.testing.assert_allclose(total, np.float64(np.float32(0.1)) * (1 << 20), rtol=1e-7)


@pytest.mark.parametrize("k", [-4, -1, 0, 2, 5])
def test_diag_is_numpys(k):
    values = np.arange(20.0).reshape(4, 5)
    np.testing.assert_array_equal(nd.diag(nd.array(values), k=k).asnumpy(), np.diag(values, k))
    vector = np.arange(1.0, 4)
    np.testing.assert_array_equal(nd.diag(nd.array(vector), k=k).asnumpy(), np.diag(vector, k))
    assert nd.diag(nd.zeros((0,)), k=k).shape == (abs(k), abs(k))


def test_diag_of_three_axes_is_numpys():
    values = np.arange(60.0).reshape(3, 4, 5)
    for axis1, axis2, k in ((0, 1, 0), (2, 0, 1), (-1, -2, -2)):
        found = nd.diag(nd.array(values), k=k, axis1=axis1, axis2=axis2).asnumpy()
        np.testing.assert_array_equal(found, np.diagonal(values, k, axis1, axis2))


@pytest.mark.parametrize("block", [1, 2, 3])
def test_blocks_there_and_back(block):
    x = nd.array(np.random.RandomState(1).uniform(size=(2, 3, 4 * block, 2 * block)))
    packed = nd.space_to_depth(x, block)
    assert packed.shape == (2, 3 * block * block, 4, 2)
    np.testing.assert_array_equal(nd.depth_to_space(packed, block).asnumpy(), x.asnumpy())


def test_ravelled_indices_are_numpys():
    shape = (4, 5, 6)
    numbers = np.random.RandomState(2).randint(0, 120, (3, 50))
    places = nd.unravel_index(nd.array(numbers, dtype="int64"), shape=shape)
    assert places.shape == (3, 3, 50)
    np.testing.assert_array_equal(places.asnumpy(), np.stack(np.unravel_index(numbers, shape)))
    back = nd.ravel_multi_index(places.reshape((3, -1)), shape=shape)
    np.testing.assert_array_equal(back.asnumpy(), numbers.reshape(-1))


def test_unravel_index_of_a_huge_shape():
    big = nd.array([3], dtype="int64")
    found = nd.unravel_index(big, shape=(2, 2**40, 2**40))
    assert found.asnumpy().tolist() == [[0], [0], [3]]
    with pytest.raises(mx.MXNetError, match="must be positive"):
        nd.unravel_index(big, shape=(7, 0))


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32"])
@pytest.mark.parametrize("bins", [1, 10, 1000])
def test_histogram_is_numpys(bins, dtype):
    values = np.random.RandomState(8).standard_normal(200_000) * 100
    values = values.astype(dtype)
    counts, bounds = nd.histogram(nd.array(values, dtype=dtype), bins=bins, range=(-512, 512))
    assert counts.dtype == np.int64
    assert bounds.dtype == np.dtype(dtype)
    expected, _ = np.histogram(values.astype("float64"), bounds.asnumpy().astype("float64"))
    np.testing.assert_array_equal(counts.asnumpy(), expected)
    uneven = np.sort(np.unique(values[:bins]))
    uneven = np.append(uneven, uneven[-1] + 50).astype(dtype)
    counts, _ = nd.histogram(nd.array(values, dtype=dtype), bins=nd.array(uneven, dtype=dtype))
    np.testing.assert_array_equal(counts.asnumpy(), np.histogram(values, uneven)[0])


def test_histogram_has_no_gradient():
    x = nd.ones((3,))
    x.attach_grad()
    with autograd.record():
        counts = nd.histogram(x, bins=nd.array([0.0, 2.0]))[1]
    with pytest.raises(mx.MXNetError, match="_histogram"):
        counts.backward()


def test_fill_element_outside_writes_nothing():
    z, v = nd.zeros((3, 2)), nd.array([1, 2, 3])
    filled = nd.fill_element_0index(z, v, nd.array([-1, 1, 2]))
    assert filled.asnumpy().tolist() == [[0, 0], [0, 2], [0, 0]]
    assert not z.asnumpy().any()
