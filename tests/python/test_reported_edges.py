"""Edges of gradients that users of MXNet reported: zeros, ties, masks, indices out of range."""

import numpy as np
import pytest

import mxtape as mx
from mxtape import autograd, nd


def gradient(f, *values, dtype="float64"):
    """The gradients of the sum of f's result."""
    xs = [nd.array(v, dtype=dtype) for v in values]
    for x in xs:
        x.attach_grad()
    with autograd.record():
        y = f(*xs)
    y.backward()
    grads = [x.grad.asnumpy() for x in xs]
    return grads[0] if len(grads) == 1 else grads


def second(f, values):
    """The second derivatives of f, element by element."""
    x = nd.array(values, dtype="float64")
    x.attach_grad()
    with autograd.record():
        first = autograd.grad(f(x), x, create_graph=True)[0]
    first.backward()
    return x.grad.asnumpy()


# ---- products with zeros


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([2, 3, 4], [12, 8, 6]),
        ([2, 0, 4], [0, 8, 0]),
        ([0, 3, 0], [0, 0, 0]),
        ([[2, 0], [0, 0], [3, 5]], [[0, 2], [0, 0], [5, 3]]),
    ],
)
def test_prod_with_zeros(values, expected):
    axis = 1 if np.ndim(values) > 1 else None
    assert gradient(lambda x: nd.prod(x, axis=axis), values).tolist() == expected


def test_prod_with_a_zero_differentiated_twice():
    x = nd.array([2, 0, 4], dtype="float64")
    x.attach_grad()
    with autograd.record():
        first = autograd.grad(nd.prod(x), x, create_graph=True)[0]
        picked = first[1]
    picked.backward()
    assert x.grad.asnumpy().tolist() == [4, 0, 2]


# ---- ties


@pytest.mark.parametrize("op", [nd.max, nd.min])
def test_every_tied_extreme_gets_the_gradient(op):
    assert gradient(lambda x: op(x, axis=1), [[1, 1, 1], [1, 1, 1]]).tolist() == [[1] * 3] * 2


def test_ties_of_two_arrays_go_to_the_first():
    for op in (nd.maximum, nd.minimum):
        assert [g.tolist() for g in gradient(op, [1, 2], [1, 2])] == [[1, 1], [0, 0]]


def test_sort_and_topk_give_a_tie_to_one_element():
    assert gradient(lambda x: nd.topk(x, k=1, ret_typ="value"), [3, 3, 1]).tolist() == [1, 0, 0]
    assert gradient(lambda x: nd.sort(x) * nd.array([1, 2, 3], dtype="float64"), [1, 1, 0]).tolist()
    weighted = gradient(lambda x: nd.sort(x) * nd.array([1, 2, 3], dtype="float64"), [1, 1, 0])
    assert weighted.tolist() == [2, 3, 1]


# ---- norms at the origin


@pytest.mark.parametrize("ord", [1, 2])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_norm_at_zero(ord, dtype):
    assert not gradient(lambda x: nd.norm(x, ord=ord), np.zeros((2, 3)), dtype=dtype).any()


def test_norm_of_a_row_of_zeros():
    found = gradient(lambda x: nd.norm(x, axis=1), [[0, 0], [3, 4]])
    np.testing.assert_allclose(found, [[0, 0], [0.6, 0.8]])


def test_norm_at_zero_differentiated_twice():
    assert np.isfinite(second(lambda x: nd.norm(x), [0.0, 0.0])).all()


# ---- a function without a finite gradient, where a mask cuts it off

SINGULAR = {
    "sqrt": (nd.sqrt, [0.25]),
    "rsqrt": (nd.rsqrt, [-4.0]),
    "cbrt": (nd.cbrt, [1 / 3]),
    "rcbrt": (nd.rcbrt, [-1 / 3]),
    "log": (nd.log, [1.0]),
    "log2": (nd.log2, [1 / np.log(2)]),
    "log10": (nd.log10, [1 / np.log(10)]),
    "reciprocal": (nd.reciprocal, [-1.0]),
    "1 / x": (lambda x: 1 / x, [-1.0]),
    "x / x": (lambda x: x / x, [0.0]),
    "x ** 0.5": (lambda x: x**0.5, [0.5]),
    "x ** -1": (lambda x: x**-1, [-1.0]),
    "x ** x": (lambda x: nd.broadcast_power(x, x), [1.0]),
}


@pytest.mark.parametrize("name", SINGULAR)
def test_gradient_of_a_masked_singularity_is_zero(name):
    function, _ = SINGULAR[name]
    point = 4.0 if name == "sqrt" else 1.0
    values = [0.0, point]

    def masked(x):
        return nd.where(x > 0, function(x), nd.zeros_like(x))

    first = gradient(masked, values)
    assert first[0] == 0, first
    inside = gradient(function, [point])
    np.testing.assert_allclose(first[1], inside[0])
    expected = {"rsqrt": -0.5}.get(name, SINGULAR[name][1][0])
    np.testing.assert_allclose(first[1], expected, rtol=1e-12)


@pytest.mark.parametrize("name", SINGULAR)
def test_masked_singularity_differentiated_twice(name):
    function, _ = SINGULAR[name]

    def masked(x):
        return nd.where(x > 0, function(x), nd.zeros_like(x))

    twice = second(masked, [0.0, 1.5])
    assert twice[0] == 0
    np.testing.assert_allclose(twice[1], second(function, [1.5])[0], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("function", "edge"),
    [(nd.arcsin, 1), (nd.arccos, -1), (nd.arccosh, 1), (nd.arctanh, 1), (nd.log1p, -1)],
)
def test_masked_ends_of_a_domain(function, edge):
    x = nd.array([edge], dtype="float64")
    assert gradient(lambda x: nd.where(x > 5, function(x), x), x.asnumpy()).tolist() == [1]


def test_where_nothing_masks_the_gradient_is_infinite():
    assert np.isposinf(gradient(nd.sqrt, [0.0])).all()
    assert np.isposinf(gradient(nd.log, [0.0])).all()
    assert np.isneginf(gradient(nd.reciprocal, [0.0])).all()


def test_nan_is_not_hidden():
    assert np.isnan(gradient(nd.sqrt, [-1.0])).all()


# ---- lookups that repeat, or leave the array

TABLE = np.arange(8.0).reshape(4, 2)


@pytest.mark.parametrize(
    ("mode", "rows"), [("clip", [0, 0, 3, 3, 0]), ("wrap", [3, 0, 3, 0, 1]), ("clip", None)]
)
def test_take_repeated_and_out_of_range(mode, rows):
    indices = [-1, 0, 3, 4, -3] if rows else [1, 1, 1, 2, 1]
    rows = rows or indices
    picks = nd.array(indices)
    weights = nd.array(np.arange(1.0, 11).reshape(5, 2), dtype="float64")
    found = gradient(lambda x: nd.take(x, picks, mode=mode) * weights, TABLE)
    expected = np.zeros_like(TABLE)
    np.add.at(expected, rows, weights.asnumpy())
    np.testing.assert_array_equal(found, expected)
    taken = nd.take(nd.array(TABLE), picks, mode=mode)
    np.testing.assert_array_equal(taken.asnumpy(), TABLE[rows])


@pytest.mark.parametrize("bad", [-1, 4])
def test_take_raises_before_anything_changes(bad):
    x = nd.array(TABLE)
    x.attach_grad()
    x.grad[:] = 7
    with autograd.record():
        with pytest.raises(mx.MXNetError, match=f"index {bad} is out of range"):
            nd.take(x, nd.array([0, bad]), mode="raise")
        y = nd.take(x, nd.array([0, 0, 3]), mode="raise")
    assert (x.grad.asnumpy() == 7).all()
    y.backward()
    assert x.grad.asnumpy().tolist() == [[2, 2], [0, 0], [0, 0], [1, 1]]


# ---- split, and a graph that is used again


def test_split_with_retain_graph():
    x = nd.array([[1.0, 2.0, 3.0, 4.0]])
    x.attach_grad()
    with autograd.record():
        left, right = nd.split(x, num_outputs=2, axis=1)
        y, z = left * left, right * 3
    y.backward(retain_graph=True)
    assert x.grad.asnumpy().tolist() == [[2, 4, 0, 0]]
    z.backward(retain_graph=True)
    assert x.grad.asnumpy().tolist() == [[0, 0, 3, 3]]
    autograd.backward([y, z])
    assert x.grad.asnumpy().tolist() == [[2, 4, 3, 3]]
    with pytest.raises(mx.MXNetError):
        y.backward()


def test_one_part_of_a_split_that_adds_up():
    x = nd.array([1.0, 2.0, 3.0])
    x.attach_grad(grad_req="add")
    with autograd.record():
        parts = nd.split(x, num_outputs=3, axis=0)
        y = parts[1] * 5
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.asnumpy().tolist() == [0, 10, 0]


# ---- second derivatives whose sign 1.9.1 has wrong


def test_arcsinh_twice():
    x = np.array([-2.0, -0.5, 0.0, 0.7, 3.0])
    np.testing.assert_allclose(second(nd.arcsinh, x), -x / (x**2 + 1) ** 1.5, rtol=1e-12)


def test_arccosh_twice():
    x = np.array([1.1, 1.5, 4.0])
    np.testing.assert_allclose(second(nd.arccosh, x), -x / (x**2 - 1) ** 1.5, rtol=1e-10)


# ---- exponentials where numbers end, in the vectorised part of an array and in its tail


@pytest.mark.parametrize("count", [1, 7, 16, 33])
@pytest.mark.parametrize(
    ("dtype", "points"),
    [
        ("float32", [-np.inf, -1e30, -104.5, -100, -90, -87, 88.5, 89, 1e30, np.inf, np.nan]),
        ("float64", [-np.inf, -1e30, -746, -740, -720, -700, 709.5, 710, 1e30, np.inf, np.nan]),
    ],
)
def test_exponentials_of_extremes(dtype, points, count):
    for point in points:
        x = np.full(count, point, dtype)
        with np.errstate(over="ignore"):
            exact = np.exp(x)
        # Subnormal numbers have few digits, of which the last may differ.
        least = np.finfo(dtype).smallest_subnormal
        np.testing.assert_allclose(nd.exp(nd.array(x, dtype=dtype)).asnumpy(), exact, 1e-6, least)
        with np.errstate(over="ignore"):
            exact = 1 / (1 + np.exp(-x))
        result = nd.sigmoid(nd.array(x, dtype=dtype)).asnumpy()
        np.testing.assert_allclose(result, exact, 1e-6, least)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_logarithms_of_the_smallest_numbers(dtype):
    info = np.finfo(dtype)
    x = np.array([info.tiny, info.tiny / 3, info.smallest_subnormal, 0, 1, np.inf] * 5, dtype)
    with np.errstate(divide="ignore"):
        np.testing.assert_allclose(nd.log(nd.array(x, dtype=dtype)).asnumpy(), np.log(x), 1e-6)


def test_softmax_of_what_is_cut_off_is_zero():
    x = np.zeros((2, 40), "float32")
    x[:, 5:33] = -np.inf
    y = nd.softmax(nd.array(x)).asnumpy()
    assert (y[:, 5:33] == 0).all()
    np.testing.assert_allclose(y.sum(axis=1), 1, rtol=1e-6)


def test_exponentials_do_not_depend_on_the_place_in_the_array():
    x = np.linspace(-30, 30, 1001).astype("float32")
    for function in (nd.exp, nd.sigmoid):
        whole = function(nd.array(x)).asnumpy()
        for start in (1, 3, 990):
            np.testing.assert_array_equal(function(nd.array(x[start:])).asnumpy(), whole[start:])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sigmoid_everywhere(dtype):
    low = -87 if dtype == "float32" else -708  # below, it is not a normal number
    x = np.concatenate([np.linspace(low, 60, 100_003), np.linspace(-20, 20, 100_003)]).astype(dtype)
    exact = 1 / (1 + np.exp(-x.astype(np.longdouble)))
    error = np.abs(nd.sigmoid(nd.array(x, dtype=dtype)).asnumpy() - exact)
    assert (error <= 2.6 * np.spacing(exact.astype(dtype))).all()
    ends = nd.array([np.inf, -np.inf, np.nan, -0.0, 1e30, -1e30, low - 60], dtype=dtype)
    values = nd.sigmoid(ends).asnumpy()
    np.testing.assert_array_equal(values, np.array([1, 0, np.nan, 0.5, 1, 0, 0], dtype))
