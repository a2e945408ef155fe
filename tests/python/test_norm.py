"""Normalizing layers, LeakyReLU and their neighbours: what rows and recordings do not show."""

import numpy as np
import pytest

import mxtape as mx
from mxtape import autograd, nd
from mxtape._loader import core
from mxtape.ndarray import register


def uniform(*shape, seed=1):
    return nd.array(np.random.RandomState(seed).uniform(-2, 2, shape))


def layer_norm_gradients(x, gamma, beta):
    for array in (x, gamma, beta):
        array.attach_grad()
    with autograd.record():
        y = nd.LayerNorm(x, gamma, beta)
    y.backward(uniform(*x.shape, seed=5))
    return [y.asnumpy()] + [array.grad.asnumpy() for array in (x, gamma, beta)]


@pytest.mark.parametrize(("rows", "n"), [(1, 1), (3, 33), (700, 100), (5, 3000), (5000, 7)])
def test_layer_norm_and_its_gradients_against_numpy(rows, n):
    x, gamma, beta = uniform(rows, n), uniform(n, seed=2), uniform(n, seed=3)
    y, dx, dgamma, dbeta = layer_norm_gradients(x, gamma, beta)
    h = uniform(rows, n, seed=5).asnumpy().astype("float64")
    values, g = x.asnumpy().astype("float64"), gamma.asnumpy().astype("float64")
    s = np.sqrt(values.var(axis=1, keepdims=True) + 1e-5)
    hat = (values - values.mean(axis=1, keepdims=True)) / s
    w = h * g
    expected = w - w.mean(axis=1, keepdims=True) - hat * (w * hat).mean(axis=1, keepdims=True)
    np.testing.assert_allclose(y, hat * g + beta.asnumpy(), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(dx, expected / s, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(dgamma, (h * hat).sum(axis=0), rtol=1e-4, atol=2e-4)
    np.testing.assert_allclose(dbeta, h.sum(axis=0), rtol=1e-4, atol=2e-4)


def test_a_large_mean_costs_no_digits():
    x = uniform(4, 50) + 4096
    y = nd.LayerNorm(x, nd.ones((50,)), nd.zeros((50,)))
    values = x.asnumpy().astype("float64")
    d = values - values.mean(axis=1, keepdims=True)
    expected = d / np.sqrt((d * d).mean(axis=1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(y.asnumpy(), expected, rtol=1e-3, atol=1e-3)


def test_results_have_the_same_bits_for_any_number_of_threads():
    x, gamma, beta = uniform(3000, 65), uniform(65, seed=2), uniform(65, seed=3)
    before = core.thread_count()
    try:
        results = []
        for count in (1, 2, 5):
            core.set_thread_count(count)
            results.append([r.tobytes() for r in layer_norm_gradients(x, gamma, beta)])
    finally:
        core.set_thread_count(before)
    assert results[0] == results[1] == results[2]


def test_arrays_without_elements():
    one = nd.ones((3,))
    for shape in ((0, 3), (2, 0, 3)):
        x = nd.zeros(shape)
        x.attach_grad()
        one.attach_grad()
        with autograd.record():
            y = nd.LayerNorm(x, one, one)
        y.backward()
        assert y.shape == shape
        assert x.grad.shape == shape
        assert one.grad.asnumpy().tolist() == [0, 0, 0]
    assert nd.L2Normalization(nd.zeros((0, 3))).shape == (0, 3)
    assert nd.GroupNorm(nd.zeros((0, 2, 3)), nd.ones((2,)), nd.ones((2,)), num_groups=2).size == 0
    assert nd.InstanceNorm(nd.zeros((2, 3, 0)), one, one).shape == (2, 3, 0)
    assert nd.LRN(nd.zeros((0, 3)), nsize=3).shape == (0, 3)
    padded = nd.pad(nd.zeros((1, 1, 0, 2)), mode="constant", pad_width=(0,) * 4 + (1, 1, 0, 0))
    assert padded.shape == (1, 1, 2, 2)
    assert nd.SequenceMask(nd.zeros((0, 2))).shape == (0, 2)


def test_random_slopes_in_train_mode_and_the_mean_slope_else():
    x = nd.array(-np.ones((1000,)))
    y, slopes = nd.LeakyReLU(x, act_type="rrelu", lower_bound=0.2, upper_bound=0.6)
    assert np.allclose(y.asnumpy(), -0.4)
    assert np.allclose(slopes.asnumpy(), 0.4)
    x.attach_grad()
    with autograd.record():
        y, slopes = nd.LeakyReLU(x, act_type="rrelu", lower_bound=0.2, upper_bound=0.6)
    y.backward()
    drawn = slopes.asnumpy()
    assert drawn.min() >= 0.2
    assert drawn.max() <= 0.6
    assert drawn.std() > 0.1
    assert (y.asnumpy() == -drawn).all()
    assert (x.grad.asnumpy() == drawn).all()
    positive = nd.ones((4,))
    with autograd.train_mode():
        assert (nd.LeakyReLU(positive, act_type="rrelu")[0].asnumpy() == 1).all()


def test_random_slopes_under_create_graph():
    x = nd.array([-1.0, 2.0])
    x.attach_grad()
    with autograd.record():
        y = nd.LeakyReLU(x, act_type="rrelu")[0]
        dx = autograd.grad(y * y, x, create_graph=True)[0]
    dx.backward()
    slope = y.asnumpy()[0] / -1
    np.testing.assert_allclose(x.grad.asnumpy(), [2 * slope * slope, 2], rtol=1e-6)


def test_the_moving_average_of_sparse_activations():
    x, average = nd.array([[0.25, 0.5], [0.75, 0.25]]), nd.array([0.5, 0.5])
    y = nd.IdentityAttachKLSparseReg(x, average)
    assert average.asnumpy().tolist() == [0.5, 0.5]
    assert (y == x).asnumpy().all()
    x.attach_grad()
    with autograd.record():
        y = nd.IdentityAttachKLSparseReg(
            x, average, momentum=0.75, sparseness_target=0.25, penalty=2
        )
    mean = 0.75 * 0.5 + 0.25 * np.array([0.5, 0.375])
    np.testing.assert_allclose(average.asnumpy(), mean, rtol=1e-6)
    y.backward()
    pull = 2 * (0.75 / (1 - mean) - 0.25 / mean)
    np.testing.assert_allclose(x.grad.asnumpy(), np.tile(1 + pull, (2, 1)), rtol=1e-5)


def test_second_gradients_of_loss_layers():
    """The gradient of a loss layer is a function of its input, whose gradient is the curvature."""
    x = nd.array([[0.5, -1.5, 2.0]])
    label = nd.array([[1.0, 0.0, 0.5]])
    x.attach_grad()
    sigmoid = 1 / (1 + np.exp(-x.asnumpy()))
    for op, curvature in (
        (nd.LinearRegressionOutput, np.full((1, 3), 1 / 3)),
        (nd.LogisticRegressionOutput, sigmoid * (1 - sigmoid) / 3),
        (nd.MAERegressionOutput, np.zeros((1, 3))),
    ):
        with autograd.record():
            dx = autograd.grad(op(x, label), x, create_graph=True)[0]
        dx.backward()
        np.testing.assert_allclose(x.grad.asnumpy(), curvature, rtol=1e-5, atol=1e-7)
    with autograd.record():
        dx = autograd.grad(nd.SVMOutput(x, nd.array([2.0])), x, create_graph=True)[0]
    dx.backward()
    assert x.grad.asnumpy().tolist() == [[2.0, 0.0, 0.0]]


def test_what_does_not_fit_is_refused():
    x = nd.ones((2, 3, 4))
    for call in (
        lambda: nd.LayerNorm(x, nd.ones((3,)), nd.ones((4,))),
        lambda: nd.LRN(x, nsize=0),
        lambda: nd.LRN(x, nsize=-3),
        lambda: nd.GroupNorm(x, nd.ones((1,)), nd.ones((1,)), num_groups=0),
        lambda: nd.SequenceLast(x, nd.array([0, 1, 1]), use_sequence_length=True),
        lambda: nd.SequenceLast(x, nd.array([1, 1, 5]), use_sequence_length=True),
        lambda: nd.pad(nd.ones((1, 1, 2, 2)), mode="edge", pad_width=(0, 0, 0, 0, -2, -2, 0, 0)),
        lambda: register.get("_contrib_index_copy")(x, nd.array([2]), nd.ones((1, 3, 4))),
        lambda: register.get("_contrib_index_copy")(x, nd.array([-1]), nd.ones((1, 3, 4))),
        lambda: register.get("_contrib_interleaved_matmul_selfatt_qk")(x, heads=5),
        lambda: nd.reset_arrays(x, num_arrays=2),
    ):
        with pytest.raises(mx.MXNetError):
            call()


def test_padding_takes_integers():
    x = nd.array(np.arange(4).reshape(1, 1, 2, 2), dtype="int32")
    y = nd.pad(x, mode="constant", pad_width=(0,) * 5 + (1, 1, 0), constant_value=7)
    assert y.dtype == np.int32
    assert y.asnumpy()[0, 0].tolist() == [[7, 0, 1], [7, 2, 3], [7, 7, 7]]
