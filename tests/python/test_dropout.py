"""Dropout draws its mask once: the gradient passes exactly what the forward pass passed."""

import numpy as np
import pytest

import mxtape as mx
from mxtape import autograd, nd


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("axes", [(), (0,), (1, 2)])
def test_gradient_is_the_mask(dtype, axes):
    x = nd.ones((30, 40, 20), dtype=dtype)
    x.attach_grad()
    with autograd.record():
        y = nd.Dropout(x, p=0.25, axes=axes)
    y.backward()
    mask = y.asnumpy()
    np.testing.assert_array_equal(x.grad.asnumpy(), mask)
    np.testing.assert_allclose(np.unique(mask), [0, 1 / 0.75], rtol=1e-3)
    for axis in axes:
        assert (mask == mask.take([0], axis=axis)).all()


def test_share_of_dropped_elements():
    mx.random.seed(3)
    y = nd.Dropout(nd.ones((1000, 1003)), p=0.3, mode="always").asnumpy()
    assert abs((y == 0).mean() - 0.3) < 0.003
    assert abs(y.mean() - 1) < 0.01


def test_seed_repeats_the_mask():
    x = nd.ones((77, 5))
    masks = []
    for _ in range(2):
        mx.random.seed(11)
        masks.append(nd.Dropout(x, mode="always").asnumpy())
    np.testing.assert_array_equal(*masks)
    assert (nd.Dropout(x, mode="always").asnumpy() != masks[0]).any()


def test_identity_outside_training_and_without_probability():
    x = nd.array([[1.0, np.nan, -np.inf]])
    x.attach_grad()
    with autograd.record(train_mode=False):
        y = nd.Dropout(x, p=0.9)
    y.backward()
    np.testing.assert_array_equal(y.asnumpy(), x.asnumpy())
    np.testing.assert_array_equal(x.grad.asnumpy(), np.ones((1, 3)))
    with autograd.train_mode():
        np.testing.assert_array_equal(nd.Dropout(x, p=0).asnumpy(), x.asnumpy())


def test_everything_dropped():
    with autograd.train_mode():
        assert (nd.Dropout(nd.ones((3, 4)), p=1).asnumpy() == 0).all()


@pytest.mark.parametrize("params", [{"p": 1.5}, {"p": -0.1}, {"axes": (2,)}, {"axes": (-1,)}])
def test_refused(params):
    with pytest.raises(mx.base.MXNetError, match="Dropout"):
        nd.Dropout(nd.ones((2, 3)), **params)
    with pytest.raises(mx.base.MXNetError, match="Dropout"):
        nd.Dropout(nd.ones((2, 3), dtype="int32"))
