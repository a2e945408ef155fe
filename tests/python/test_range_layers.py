"""Layers, reductions, losses and linear algebra far from 1: large constants, long sums, scores far
apart, badly scaled matrices. Against exact sums, float64 and closed forms."""

import numpy as np
import pytest

import mxtape as mx
from mxtape import autograd, nd
from mxtape.base import MXNetError
from support import variable

nan, inf = float("nan"), float("inf")

# A sum in float32 keeps none of the ones beside 1e8.
LOST = np.array([1e8] + [1] * 1000 + [-1e8], dtype="float32")


def gradient(f, x, head=None, dtype="float32"):
    x = variable(x, dtype=dtype)
    with autograd.record():
        y = f(x)
    y.backward(None if head is None else nd.array(head, dtype=dtype))
    return x.grad.asnumpy()


def second(f, x, head, weight, dtype="float32"):
    """The gradient of sum(weight * gradient) with respect to x."""
    x = variable(x, dtype=dtype)
    with autograd.record():
        g = autograd.grad(f(x), [x], nd.array(head, dtype=dtype), create_graph=True)[0]
    g.backward(nd.array(weight, dtype=dtype))
    return x.grad.asnumpy()


# ---- sums


def columns(n):
    return np.stack([LOST] * n, axis=1)


@pytest.mark.parametrize(("name", "scale"), [("sum", 1), ("nansum", 1), ("mean", 1002)])
def test_small_elements_beside_large_ones_count(name, scale):
    reduce = getattr(nd, name)
    np.testing.assert_allclose(reduce(nd.array(LOST)).asnumpy() * scale, [1000], rtol=1e-6)
    for n in (1, 2, 7, 40, 300, 2000):
        down = reduce(nd.array(columns(n)), axis=0).asnumpy() * scale
        np.testing.assert_allclose(down, [1000] * n, rtol=1e-6)
        along = reduce(nd.array(columns(n).T), axis=1).asnumpy() * scale
        np.testing.assert_allclose(along, [1000] * n, rtol=1e-6)
    parts = reduce(nd.array(columns(6).reshape(1002, 2, 3)), axis=(0, 2)).asnumpy() * scale
    np.testing.assert_allclose(parts, [1000 if name == "mean" else 3000] * 2, rtol=1e-6)


def test_sums_of_arrays_that_wait():
    x = nd.array(np.tile(LOST, 200))
    assert (x * 1).sum().asnumpy().tolist() == [200000]
    assert (x.reshape((200, 1002)) * 1).sum(axis=1).asnumpy().tolist() == [1000] * 200
    assert (x.reshape((200, 1002)).T * 1).sum(axis=0).asnumpy().tolist() == [1000] * 200


def test_mean_of_many_equal_numbers_is_that_number():
    for n in (37, 1000, 1000000):
        assert nd.full((n,), 1234567).mean().asnumpy().tolist() == [1234567]
    assert nd.full((100000, 3), 1234567).mean(axis=0).asnumpy().tolist() == [1234567] * 3


def test_moments_of_numbers_far_from_zero():
    x = (1e7 + np.random.RandomState(0).randint(-2, 3, (3, 1000))).astype("float32")
    for axes, data in (((1,), x), ((0,), x.T)):
        mean, variance = nd.moments(nd.array(data), axes=axes)
        np.testing.assert_allclose(mean.asnumpy(), x.astype("float64").mean(1), rtol=1e-7)
        np.testing.assert_allclose(variance.asnumpy(), x.astype("float64").var(1), rtol=1e-6)
    assert nd.moments(nd.full((37,), 1234567.1), axes=(0,))[1].asnumpy().tolist() == [0]


def test_sum_of_random_numbers_is_rounded_once():
    rng = np.random.RandomState(1)
    for n in (33, 1000, 70001, 200003):
        x = (rng.randn(n) * 10.0 ** rng.randint(-6, 7, n)).astype("float32")
        exact = x.astype("float64").sum()
        assert nd.array(x).sum().asnumpy()[0] == np.float32(exact)


@pytest.mark.parametrize(("shape", "reduced"), [((1,), (1002,)), ((1, 40), (1002, 40))])
def test_gradient_of_broadcasting(shape, reduced):
    head = LOST if len(reduced) == 1 else columns(reduced[1])
    g = gradient(lambda x: nd.broadcast_add(x, nd.zeros(reduced)), np.zeros(shape), head)
    assert (g == 1000).all()


BIASES = {
    "FullyConnected": lambda b: nd.FullyConnected(
        nd.zeros((1002, 3)), nd.zeros((4, 3)), b, num_hidden=4
    ),
    "Convolution": lambda b: nd.Convolution(
        nd.zeros((1002, 3, 1, 1)), nd.zeros((4, 3, 1, 1)), b, kernel=(1, 1), num_filter=4
    ).reshape((1002, 4)),
    "LayerNorm": lambda b: nd.LayerNorm(nd.zeros((1002, 4)), nd.ones(4), b),
    "BatchNorm, rows": lambda b: nd.BatchNorm(
        nd.zeros((1002, 4)), nd.ones(4), b, nd.zeros(4), nd.ones(4)
    ),
    "BatchNorm, planes": lambda b: (
        nd.BatchNorm(nd.zeros((1, 4, 1002)), nd.ones(4), b, nd.zeros(4), nd.ones(4))[0].T
    ),
    "InstanceNorm": lambda b: nd.InstanceNorm(nd.zeros((1, 4, 1002)), nd.ones(4), b)[0].T,
}


@pytest.mark.parametrize("layer", BIASES)
def test_gradient_of_a_bias(layer):
    assert gradient(BIASES[layer], np.zeros(4), columns(4)).tolist() == [1000] * 4


def test_gradient_of_a_lookup():
    zeros = nd.zeros(1002)
    for f in (
        lambda w: nd.Embedding(zeros, w, input_dim=4, output_dim=3),
        lambda w: nd.take(w, zeros),
        lambda w: nd.gather_nd(w, zeros.reshape((1, 1002))),
    ):
        g = gradient(f, np.zeros((4, 3)), columns(3))
        assert g.tolist() == [[1000] * 3] + [[0] * 3] * 3


@pytest.mark.parametrize("n", [37, 768, 1000, 100001])
def test_global_pooling_of_equal_numbers(n):
    for shape in ((1, 2, n, 1), (1, 2, 1, n)):
        x = nd.full(shape, 1234567)
        y = nd.Pooling(x, kernel=(1, 1), pool_type="avg", global_pool=True)
        assert (y.asnumpy() == 1234567).all()
        assert (nd.contrib.AdaptiveAvgPooling2D(x, output_size=1).asnumpy() == 1234567).all()
    total = nd.Pooling(
        nd.array(LOST).reshape((1, 1, -1, 1)), kernel=(1, 1), pool_type="sum", global_pool=True
    )
    assert total.asnumpy().ravel().tolist() == [1000]


# ---- normalizations


def batch_norm(x, axis=1, eps=1e-3):
    c = x.shape[axis]
    with autograd.train_mode():
        return nd.BatchNorm(x, nd.ones(c), nd.zeros(c), nd.zeros(c), nd.ones(c), axis=axis, eps=eps)


NORMALIZATIONS = {
    "LayerNorm": lambda x: nd.LayerNorm(x, nd.ones(x.shape[-1]), nd.zeros(x.shape[-1])),
    "GroupNorm": lambda x: nd.GroupNorm(x, nd.ones(1), nd.zeros(1), num_groups=1),
    "InstanceNorm": lambda x: nd.InstanceNorm(x, nd.ones(x.shape[1]), nd.zeros(x.shape[1])),
    "BatchNorm": batch_norm,
    "BatchNorm of columns": lambda x: batch_norm(x, axis=2),
}


@pytest.mark.parametrize("layer", NORMALIZATIONS)
@pytest.mark.parametrize("value", [1234567, 1e10, -3.3e20])
def test_a_constant_is_normalized_to_zero(layer, value):
    for shape in ((2, 3, 37), (1, 2, 1000), (40, 3, 5), (1, 1, 9999)):
        assert (NORMALIZATIONS[layer](nd.full(shape, value)).asnumpy() == 0).all()


@pytest.mark.parametrize("layer", NORMALIZATIONS)
def test_normalization_far_from_zero(layer):
    x = (1e7 + np.random.RandomState(2).randint(-3, 4, (4, 3, 200))).astype("float32")
    axes = {"LayerNorm": 2, "InstanceNorm": 2, "GroupNorm": (1, 2), "BatchNorm": (0, 2)}
    axis = axes.get(layer, (0, 1))
    wide = x.astype("float64")
    eps = 1e-5 if layer in ("LayerNorm", "GroupNorm") else 1e-3
    expected = (wide - wide.mean(axis, keepdims=True)) / np.sqrt(
        wide.var(axis, keepdims=True) + eps
    )
    y = NORMALIZATIONS[layer](nd.array(x)).asnumpy()
    np.testing.assert_allclose(y, expected, rtol=2e-6, atol=2e-6)


CUT = {
    "LayerNorm": lambda x: nd.LayerNorm(x, nd.ones(3), nd.zeros(3), eps=0),
    "InstanceNorm": lambda x: nd.InstanceNorm(
        x.expand_dims(0), nd.ones(2), nd.zeros(2), eps=0
    ).reshape((2, 3)),
    "L2Normalization": lambda x: nd.L2Normalization(x * nd.array([[0], [1]]), eps=0),
    "BatchNorm": lambda x: batch_norm(x, axis=0, eps=0),
    "LRN": lambda x: nd.LRN(
        (x * nd.array([[0], [1]])).reshape((6, 1, 1, 1)), nsize=1, knorm=0
    ).reshape((2, 3)),
}


@pytest.mark.parametrize("layer", CUT)
def test_a_cut_off_gradient_through_a_run_without_deviation_is_zero(layer):
    x, head = [[5.0, 5, 5], [1, 2, 4]], [[0.0, 0, 0], [1, 0, 0]]
    g = gradient(CUT[layer], x, head)
    assert g[0].tolist() == [0, 0, 0]
    assert np.isfinite(g[1]).all()
    assert g[1].any()
    h = second(CUT[layer], x, head, [[0.0, 0, 0], [1, 1, 0]])
    assert h[0].tolist() == [0, 0, 0]
    assert np.isfinite(h[1]).all()
    assert h[1].any()


def test_batch_norm_with_fixed_statistics_and_no_deviation():
    def layer(x):
        one, zero = nd.ones(2), nd.zeros(2)
        return nd.BatchNorm(x, one, zero, zero, nd.array([0, 1]), eps=0, use_global_stats=True)

    assert gradient(layer, [[0.0, 1.0]], [[0.0, 1.0]]).tolist() == [[0, 1]]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_lrn_where_squares_leave_the_range(dtype):
    x = np.full((1, 4, 1, 1), 300.0)

    def layer(x):
        return nd.LRN(x, nsize=3, alpha=0.5)

    def in_double(f, *args):
        return f(layer, x, *args, dtype="float64").astype("float64")

    head = np.array([1.0, 0, 2, 0]).reshape(x.shape)
    for f, args in ((gradient, (head,)), (second, (head, head))):
        expected = in_double(f, *args)
        assert np.isfinite(expected).all()
        assert expected.all()
        got = nd.array(f(layer, x, *args, dtype=dtype)).asnumpy()
        np.testing.assert_allclose(got, expected, rtol=2e-2, atol=1e-6)


# ---- softmax

SCORES = [[20.0, 0.0], [0.0, 20.0], [20.0, 0.0, -1.0], [40.0, 0.0], [9.0, 9.0, -9.0], [60.0, 1.0]]


def probabilities(x):
    e = np.exp(np.longdouble(x) - max(x))
    return e / e.sum()


def softmax_jacobian(x):
    p = probabilities(x)
    j = -np.outer(p, p)
    for i in range(len(x)):
        j[i, i] = p[i] * (p[:i].sum() + p[i + 1 :].sum())
    return j


def wide(run, x, repeat):
    """The run as rows, or as the columns of a wide array."""
    return np.array([x] * 2) if run == "rows" else np.array([x] * repeat).T


@pytest.mark.parametrize("run", ["rows", "columns"])
@pytest.mark.parametrize("x", SCORES, ids=str)
def test_softmax_keeps_the_small_component(x, run):
    axis, n = (1, 2) if run == "rows" else (0, 40)
    j = softmax_jacobian(x)
    for k in range(len(x)):
        head = np.eye(len(x))[k]
        for f, sign in ((nd.softmax, 1), (nd.softmin, -1)):
            g = gradient(
                lambda z, f=f: f(z, axis=axis), wide(run, np.array(x) * sign, n), wide(run, head, n)
            )
            np.testing.assert_allclose(g, wide(run, sign * j[k], n), rtol=3e-6, atol=1e-44)
    np.testing.assert_allclose(
        gradient(nd.SoftmaxActivation, [x], [np.eye(len(x))[0]])[0], j[0], rtol=3e-6, atol=1e-44
    )


@pytest.mark.parametrize("run", ["rows", "columns"])
@pytest.mark.parametrize("x", SCORES, ids=str)
def test_log_softmax_keeps_the_small_component(x, run):
    axis, n = (1, 2) if run == "rows" else (0, 40)
    p = probabilities(x)
    y = nd.log_softmax(nd.array(wide(run, x, n)), axis=axis).asnumpy()
    others = np.array([np.delete(p, k).sum() for k in range(len(x))])
    expected = [np.log1p(-q) if q < 0.5 else np.log(z) for q, z in zip(others, p)]
    np.testing.assert_allclose(y, wide(run, expected, n), rtol=3e-6)
    for k in range(len(x)):
        g = gradient(
            lambda z: nd.log_softmax(z, axis=axis), wide(run, x, n), wide(run, np.eye(len(x))[k], n)
        )
        expected = -p
        expected[k] = others[k]
        np.testing.assert_allclose(g, wide(run, expected, n), rtol=3e-6, atol=1e-44)


@pytest.mark.parametrize("x", SCORES, ids=str)
def test_losses_keep_the_small_component(x):
    p = probabilities(x)
    for k in range(len(x)):
        expected = np.array(p)
        expected[k] = -np.delete(p, k).sum()
        label, one_hot = nd.array([k]), nd.array(np.eye(len(x))[[k]])
        for f in (
            lambda z, label=label: nd.SoftmaxOutput(z, label),
            lambda z, one_hot=one_hot: nd.SoftmaxOutput(z, one_hot),
            lambda z, label=label: nd.softmax_cross_entropy(z, label),
            lambda z, k=k: -nd.log_softmax(z)[:, k],
        ):
            np.testing.assert_allclose(gradient(f, [x])[0], expected, rtol=3e-6, atol=1e-44)
        places = gradient(
            lambda z, k=k: nd.SoftmaxOutput(z, nd.full((1, 3), k), multi_output=True),
            np.array([[x] * 3]).transpose(0, 2, 1),
        )
        np.testing.assert_allclose(places[0] * 3, np.array([expected] * 3).T, rtol=3e-6, atol=1e-44)


def test_softmax_differentiated_twice_keeps_the_small_component():
    # p0 (1 - p0) (1 - 2 p0) of p0 = 1 / (1 + exp(-d))
    for d in (15.0, 20.0, 30.0):
        q = 1 / (1 + np.exp(np.longdouble(d)))
        expected = q * (1 - q) * (2 * q - 1)
        h = second(nd.softmax, [[d, 0.0]], [[1.0, 0]], [[1.0, 0]])[0]
        np.testing.assert_allclose(h, [expected, -expected], rtol=1e-5)
        g = second(nd.log_softmax, [[d, 0.0]], [[1.0, 0]], [[1.0, 0]])[0]
        np.testing.assert_allclose(g, [-q * (1 - q), q * (1 - q)], rtol=1e-5)


def test_log_softmax_of_infinite_scores():
    y = nd.log_softmax(nd.array([[0, -inf], [inf, 0], [nan, 0]])).asnumpy()
    assert y[0].tolist() == [0, -inf]
    assert np.isnan(y[1:]).all()


# ---- determinants


def cofactors(a):
    a = np.asarray(a, dtype="longdouble")
    n = len(a)

    def det(m):
        if len(m) == 0:
            return np.longdouble(1)
        rest = [np.delete(m[1:], j, 1) for j in range(len(m))]
        return sum((-1) ** j * m[0, j] * det(rest[j]) for j in range(len(m)))

    minor = [[np.delete(np.delete(a, i, 0), j, 1) for j in range(n)] for i in range(n)]
    return np.array([[(-1) ** (i + j) * det(minor[i][j]) for j in range(n)] for i in range(n)])


SCALED = [
    [[2e19, 0], [0, 2e19]],
    [[1e20, 1], [1, 1e-3]],
    [[1e-25, 3e-25], [2e-25, 1e-25]],
    [[1e15, 2e15, 1e15], [1, 3, 1], [2e-10, 1e-10, 5e-10]],
    np.diag([1e30, 1e30, 1e-30, 1e-30]),
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("a", SCALED, ids=lambda a: str(a)[:40])
def test_gradient_of_det_of_a_badly_scaled_matrix(a, dtype):
    expected = cofactors(np.array(a, dtype=dtype))
    with np.errstate(over="ignore"):
        expected = expected.astype(dtype)
    g = gradient(nd.linalg.det, a, dtype=dtype)
    np.testing.assert_allclose(g, expected, rtol=1e-5)


def test_det_of_pivots_that_leave_the_range_on_the_way():
    x = nd.array(np.diag([1e30, 1e30, 1e-30, 1e-30]))
    np.testing.assert_allclose(nd.linalg.det(x).asnumpy(), [1], rtol=1e-6)
    y = nd.array(np.diag([1e200, 1e200, 1e-200, 1e-200]), dtype="float64")
    np.testing.assert_allclose(nd.linalg.det(y).asnumpy(), [1], rtol=1e-12)
    g = gradient(nd.linalg.det, y.asnumpy(), dtype="float64")
    np.testing.assert_allclose(np.diag(g), [1e-200, 1e-200, 1e200, 1e200], rtol=1e-12)


SINGULAR = [
    [[1.0, 2], [2, 4]],
    [[0.0, 0], [0, 0]],
    [[1.0, 2, 3], [2, 4, 6], [1, 0, 1]],
    [[1.0, 2, 3], [2, 4, 6], [3, 6, 9]],
    np.arange(16.0).reshape(4, 4),
    np.diag([2.0, 3, 0, 5]),
    [[1.0, 2], [3, 4]],
    [[2.0, 1, 0], [1, 3, 1], [0, 1, 4]],
]


@pytest.mark.parametrize(("dtype", "rtol"), [("float32", 1e-4), ("float64", 1e-9)])
@pytest.mark.parametrize("a", SINGULAR, ids=lambda a: str(a)[:40])
def test_det_differentiated_twice_at_any_matrix(a, dtype, rtol):
    a = np.array(a)
    direction = np.random.RandomState(3).randint(-3, 4, a.shape).astype("float64")
    # Cofactors are polynomials of degree below 4: five points give the derivative exactly.
    points = {t: cofactors(a + t * direction) for t in (-2, -1, 1, 2)}
    expected = (8 * (points[1] - points[-1]) - (points[2] - points[-2])) / 12
    h = second(nd.linalg.det, a, [1.0], direction, dtype=dtype)
    np.testing.assert_allclose(h, expected.astype("float64"), rtol=rtol, atol=rtol * 100)


def test_det_differentiated_three_times():
    a = variable([[2.0, 1, 0], [1, 3, 1], [0, 1, 4]], dtype="float64")
    e, f = (nd.array(np.random.RandomState(k).randn(3, 3), dtype="float64") for k in (4, 5))
    with autograd.record():
        (g,) = autograd.grad(nd.linalg.det(a), [a], create_graph=True)
        (h,) = autograd.grad(g, [a], e, create_graph=True)
    (third,) = autograd.grad(h, [a], f)
    step = 0.5
    down, up = (
        second(nd.linalg.det, a.asnumpy() + s * f.asnumpy(), [1.0], e.asnumpy(), dtype="float64")
        for s in (-step, step)
    )
    # The second derivative of a determinant of three rows is linear.
    np.testing.assert_allclose(third.asnumpy(), (up - down) / (2 * step), rtol=1e-9, atol=1e-9)


def test_slogdet_of_a_singular_matrix_has_gradients_of_zeros():
    for matrix in ([[-1.0, 0], [0, 0]], [[1.0, 2], [2, 4]], [[0.0, 0], [0, 0]]):
        batch = np.array([matrix, [[2.0, 0], [0, 4]]])
        g = gradient(lambda x: nd.linalg.slogdet(x)[1], batch, [1.0, 1.0])
        assert g[0].tolist() == [[0, 0], [0, 0]]
        assert g[1].tolist() == [[0.5, 0], [0, 0.25]]
        h = second(lambda x: nd.linalg.slogdet(x)[1], batch, [1.0, 1.0], np.ones_like(batch))
        assert h[0].tolist() == [[0, 0], [0, 0]]
        assert h[1, 0, 0] == -0.25


# ---- indices


@pytest.mark.parametrize("dtype", ["uint8", "int8", "float16", "bfloat16"])
@pytest.mark.parametrize("name", ["argmax", "argmin"])
def test_an_index_is_right_or_an_error(name, dtype):
    last = {"uint8": 255, "int8": 127, "float16": 2500, "bfloat16": 300}
    fits, lost = last[dtype], last[dtype] + 1
    for where in (fits, lost):
        data = np.full(3000, 0 if name == "argmax" else 1)
        data[where] = 1 - data[where]
        for values, axis in ((data, 0), (np.stack([data] * 2, 1)[None], 1)):
            x = nd.array(values).astype(dtype)
            if where == fits:
                y = getattr(nd, name)(x, axis=axis).astype("int32").asnumpy()
                assert (y == fits).all()
                continue
            out = nd.full((1,) if axis == 0 else (1, 2), 7).astype(dtype)
            with pytest.raises(MXNetError, match=f"index {lost} does not fit"):
                getattr(nd, name)(x, axis=axis, out=out)
            assert (out.astype("float32").asnumpy() == 7).all()


@pytest.mark.parametrize(
    "weights",
    [[-1, 2], [nan, 1], [0, 0], [inf, 1], [[1, 1], [0, 0]], [[0.5, 0.5], [2, -1]]],
    ids=str,
)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_multinomial_of_weights_that_are_none(weights, dtype):
    x = nd.array(weights).astype(dtype)
    out = nd.full((*x.shape[:-1], 5), 7, dtype="int32")
    with pytest.raises(MXNetError, match="weights"):
        nd.sample_multinomial(x, shape=5, out=out)
    assert (out.asnumpy() == 7).all()
    mx.random.seed(1)
    first = nd.random.uniform(shape=3).asnumpy()
    mx.random.seed(1)
    with pytest.raises(MXNetError):
        nd.random.multinomial(x)
    assert (nd.random.uniform(shape=3).asnumpy() == first).all()


M = np.arange(1.0, 10).reshape(3, 3)
NAN_IS_ZERO = {
    "take": lambda i: nd.take(nd.array(M), i),
    "take, wrap": lambda i: nd.take(nd.array(M), i, mode="wrap"),
    "Embedding": lambda i: nd.Embedding(i, nd.array(M), input_dim=3, output_dim=3),
    "pick": lambda i: nd.pick(nd.array(M), i),
    "pick, wrap": lambda i: nd.pick(nd.array(M), i, mode="wrap"),
}
NAN_IS_REFUSED = {
    "take, raise": lambda i: nd.take(nd.array(M), i, mode="raise"),
    "gather_nd": lambda i: nd.gather_nd(nd.array(M), i.reshape((1, 3))),
    "scatter_nd": lambda i: nd.scatter_nd(nd.array(M), i.reshape((1, 3)), shape=(4, 3)),
    "SequenceMask": lambda i: nd.SequenceMask(nd.array(M), i, use_sequence_length=True),
    "SequenceLast": lambda i: nd.SequenceLast(nd.array(M), i, use_sequence_length=True),
    "SequenceReverse": lambda i: nd.SequenceReverse(nd.array(M), i, use_sequence_length=True),
    "index_copy": lambda i: nd.contrib.index_copy(nd.array(M), i, nd.array(M)),
    "unravel_index": lambda i: nd.unravel_index(i, shape=(3, 3)),
    "ravel_multi_index": lambda i: nd.ravel_multi_index(i.reshape((3, 1)), shape=(3, 3, 3)),
    "softmax_cross_entropy": lambda i: nd.softmax_cross_entropy(nd.array(M), i),
}
NAN_IS_NONE = {
    "one_hot": lambda i: nd.one_hot(i, 3),
    "fill_element_0index": lambda i: nd.fill_element_0index(nd.zeros((3, 3)), nd.ones(3), i),
}


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_nan_as_an_index(dtype):
    bad = nd.array([nan, 1, 2], dtype="float32").astype(dtype)
    for f in NAN_IS_ZERO.values():
        np.testing.assert_array_equal(f(bad).asnumpy(), f(nd.array([0, 1, 2])).asnumpy())
    for f in NAN_IS_NONE.values():
        np.testing.assert_array_equal(f(bad).asnumpy(), f(nd.array([-1, 1, 2])).asnumpy())
    for name, f in NAN_IS_REFUSED.items():
        if dtype != "float32" and name == "softmax_cross_entropy":
            continue
        with pytest.raises((MXNetError, IndexError), match=r"(?i)nan"):
            f(bad)


def test_a_row_that_nan_chose_gets_the_gradient():
    g = gradient(lambda x: nd.take(x, nd.array([nan, 2, nan])), M)
    assert g.tolist() == [[2] * 3, [0] * 3, [1] * 3]
