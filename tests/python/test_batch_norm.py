"""Batch normalisation beside what conformance cases can say: when statistics change, and errors."""

import numpy as np
import pytest

import mxtape as mx
from mxtape import autograd, nd
from mxtape._loader import core
from mxtape.ndarray import register

NAMES = ["gamma", "beta", "moving_mean", "moving_var"]


def layer(shape=(4, 3, 5), channels=3, dtype="float32", seed=0):
    random = np.random.RandomState(seed)
    x = nd.array(random.uniform(-2, 3, shape), dtype=dtype)
    rest = [nd.array(random.uniform(0.5, 2, channels), dtype=dtype) for _ in NAMES]
    return [x, *rest]


def reference(x, gamma, beta, eps=1e-3):
    axes = tuple(d for d in range(x.ndim) if d != 1)
    keep = {"axis": axes, "keepdims": True}
    shape = [1, -1] + [1] * (x.ndim - 2)
    normal = (x - x.mean(**keep)) / np.sqrt(x.var(**keep) + eps)
    return normal * gamma.reshape(shape) + beta.reshape(shape)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "shape",
    [(9000, 2), (4, 3, 5000), (3, 20, 70, 70), (200, 5, 3, 3), (2, 300), (1, 1, 7), (64, 40, 17)],
)
def test_values_of_every_schedule(shape, dtype):
    """Shapes that are cut into planes, parts of planes, and blocks of rows."""
    args = layer(shape, shape[1], dtype)
    with autograd.train_mode():
        y = nd.BatchNorm(*args, fix_gamma=False).asnumpy()
    expected = reference(*(a.asnumpy().astype("float64") for a in args[:3]))
    tolerance = 2e-5 if dtype == "float32" else 1e-11
    np.testing.assert_allclose(y, expected, rtol=tolerance, atol=tolerance)


def test_a_large_mean_costs_no_digits():
    x, gamma, beta, mean, var = layer((8, 3, 50))
    with autograd.train_mode():
        y = nd.BatchNorm(x + 10000, gamma, beta, mean, var, fix_gamma=False).asnumpy()
    shifted = (x + 10000).asnumpy().astype("float64")
    expected = reference(shifted, gamma.asnumpy(), beta.asnumpy())
    np.testing.assert_allclose(y, expected, rtol=1e-3, atol=1e-3)


def test_a_forward_call_in_training_moves_the_statistics():
    x, gamma, beta, mean, var = layer()
    before = mean.asnumpy(), var.asnumpy()
    with autograd.train_mode():
        nd.BatchNorm(x, gamma, beta, mean, var, momentum=0.75)
    data = x.asnumpy()
    np.testing.assert_allclose(
        mean.asnumpy(), 0.75 * before[0] + 0.25 * data.mean(axis=(0, 2)), rtol=1e-5
    )
    np.testing.assert_allclose(
        var.asnumpy(), 0.75 * before[1] + 0.25 * data.var(axis=(0, 2)), rtol=1e-5
    )


@pytest.mark.parametrize("params", [{}, {"use_global_stats": True}])
def test_other_calls_do_not(params):
    x, gamma, beta, mean, var = layer()
    before = mean.asnumpy(), var.asnumpy()
    with autograd.record(train_mode=bool(params)):
        nd.BatchNorm(x, gamma, beta, mean, var, **params)
    np.testing.assert_array_equal(mean.asnumpy(), before[0])
    np.testing.assert_array_equal(var.asnumpy(), before[1])


def test_backward_does_not_move_them_again():
    x, gamma, beta, mean, var = layer()
    x.attach_grad()
    with autograd.record():
        y = nd.BatchNorm(x, gamma, beta, mean, var)
    after = mean.asnumpy()
    y.backward()
    np.testing.assert_array_equal(mean.asnumpy(), after)


def test_the_gradient_of_inference_takes_the_statistics_as_given():
    x, gamma, beta, mean, var = layer()
    x.attach_grad()
    with autograd.record(train_mode=False):
        y = nd.BatchNorm(x, gamma, beta, mean, var, fix_gamma=False)
    y.backward()
    expected = (gamma / nd.sqrt(var + 1e-3)).asnumpy().reshape((1, 3, 1))
    np.testing.assert_allclose(x.grad.asnumpy(), np.broadcast_to(expected, x.shape), rtol=1e-5)


def test_fix_gamma_sets_gamma_and_gives_it_no_gradient():
    x, gamma, beta, mean, var = layer()
    gamma.attach_grad()
    with autograd.record():
        y = nd.BatchNorm(x, gamma, beta, mean, var)
    y.backward()
    np.testing.assert_array_equal(gamma.asnumpy(), np.ones(3))
    np.testing.assert_array_equal(gamma.grad.asnumpy(), np.zeros(3))


def test_setting_gamma_is_noticed_by_a_graph_that_saved_it():
    x, gamma, beta, mean, var = layer()
    gamma.attach_grad()
    with autograd.record():
        square = gamma * gamma
        loss = square.sum() + nd.BatchNorm(x, gamma, beta, mean, var).sum()
    with pytest.warns(UserWarning, match="changed"):
        loss.backward()


@pytest.mark.parametrize("which", range(4))
def test_a_wrong_number_of_channels_is_refused_before_anything_changes(which):
    args = layer()
    args[1 + which] = nd.ones((4,))
    before = [a.asnumpy() for a in args]
    with autograd.train_mode(), pytest.raises(mx.MXNetError, match=NAMES[which]):
        nd.BatchNorm(*args)
    for array, values in zip(args, before):
        np.testing.assert_array_equal(array.asnumpy(), values)


def test_no_elements():
    x, gamma, beta, mean, var = layer((0, 3, 5))
    before = mean.asnumpy()
    x.attach_grad()
    gamma.attach_grad()
    with autograd.record():
        y = nd.BatchNorm(x, gamma, beta, mean, var, fix_gamma=False)
    y.backward()
    assert y.shape == x.grad.shape == (0, 3, 5)
    np.testing.assert_array_equal(gamma.grad.asnumpy(), np.zeros(3))
    np.testing.assert_array_equal(mean.asnumpy(), before)


@pytest.fixture
def restored_threads():
    before = core.thread_count()
    yield
    core.set_thread_count(before)


@pytest.mark.usefixtures("restored_threads")
@pytest.mark.parametrize("shape", [(4096, 64), (8, 3, 100, 100), (16, 32, 30, 30), (40, 24, 3, 3)])
def test_threads_do_not_change_a_bit(shape):
    results = []
    for count in (1, 2, 3):
        core.set_thread_count(count)
        x, gamma, beta, mean, var = layer(shape, shape[1])
        for variable in (x, gamma, beta):
            variable.attach_grad()
        with autograd.record():
            y = nd.BatchNorm(x, gamma, beta, mean, var, fix_gamma=False)
            loss = (y * y * y).sum()
        loss.backward()
        results.append([a.asnumpy() for a in (y, x.grad, gamma.grad, beta.grad, mean, var)])
    for other in results[1:]:
        for a, b in zip(results[0], other):
            np.testing.assert_array_equal(a, b)


def test_relu_keeps_nan():
    x, gamma, beta, mean, var = layer()
    x[0, 0, 0] = float("nan")
    y = register.get("_contrib_BatchNormWithReLU")(x, gamma, beta, mean, var)
    assert np.isnan(y.asnumpy()[0, 0, 0])
    assert not np.isnan(y.asnumpy()[1:]).any()
