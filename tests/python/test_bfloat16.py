"""bfloat16 through the operators: what a call changes in place, indices, random numbers, errors."""

import numpy as np
import pytest

import mxtape as mx
from mxtape import autograd, nd

EPS = 2.0**-8


def bfloat16(values):
    return nd.array(values, dtype="bfloat16")


def is_bfloat16(x):
    return x.astype("bfloat16", copy=False) is x


def test_states_are_changed_in_place():
    weight, grad, momentum = bfloat16([1, 2]), bfloat16([0.5, -0.5]), bfloat16([0.25, 0])
    result = nd.sgd_mom_update(weight, grad, momentum, lr=0.5, momentum=0.5, out=weight)
    assert result is weight
    assert momentum.tolist() == [-0.125, 0.25]
    assert weight.tolist() == [0.875, 2.25]


def test_a_float32_copy_keeps_what_bfloat16_cannot():
    weight, grad, copy = bfloat16([1]), bfloat16([1]), nd.array([1])
    for _ in range(4):
        nd.mp_sgd_update(weight, grad, copy, lr=2.0**-10, out=weight)
    assert copy.tolist() == [1 - 2.0**-8]
    assert weight.tolist() == [1 - 2.0**-8]


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_statistics_of_batch_norm(dtype):
    x = bfloat16([[1, 10], [3, 30]])
    gamma, beta = nd.full((2,), 4, dtype=dtype), nd.zeros((2,), dtype=dtype)
    mean, var = nd.zeros((2,), dtype=dtype), nd.ones((2,), dtype=dtype)
    with autograd.record():
        y = nd.BatchNorm(x, gamma, beta, mean, var, momentum=0.5, eps=2.0**-10)
    assert is_bfloat16(y)
    assert y.tolist() == [[-1, -1], [1, 1]]
    assert gamma.tolist() == [1, 1]  # fix_gamma
    assert mean.tolist() == [1, 10]
    assert var.tolist() == [1, 50.5]


def test_sums_are_not_kept_in_bfloat16():
    x = nd.ones((3000,), dtype="bfloat16")
    assert x.sum().tolist() == [3008]  # the nearest that it holds; counting would stop at 256
    assert nd.dot(x, x).tolist() == [3008]
    total = nd.array(np.full(1000, 0.1), dtype="bfloat16").mean().item()
    assert abs(total - 0.1) < EPS * 0.1


def test_out_and_in_place():
    x = bfloat16([1, 2])
    y = nd.zeros((2,), dtype="bfloat16")
    nd.exp(x, out=y)
    np.testing.assert_allclose(y.tolist(), np.exp([1, 2]), rtol=EPS)
    x += 1
    x *= x
    assert x.tolist() == [4, 9]
    nd.softmax(x, out=x)
    np.testing.assert_allclose(x.tolist(), [0.006693, 0.993307], rtol=EPS)


def test_indices_of_bfloat16():
    x, at = nd.array([[1, 2], [3, 4], [5, 6]]), bfloat16([2, 0])
    assert nd.take(x, at).tolist() == [[5, 6], [1, 2]]
    assert nd.Embedding(at, x, input_dim=3, output_dim=2).tolist() == [[5, 6], [1, 2]]
    assert nd.gather_nd(x, bfloat16([[2], [1]])).tolist() == [6]
    assert nd.pick(x, bfloat16([0, 1, 0])).tolist() == [1, 4, 5]
    assert nd.one_hot(at, 3).tolist() == [[0, 0, 1], [1, 0, 0]]
    assert x[at].tolist() == [[5, 6], [1, 2]]
    assert nd.where(bfloat16([1, 0]), nd.array([1, 2]), nd.array([3, 4])).tolist() == [1, 4]


def test_values_are_checked():
    with pytest.raises(mx.MXNetError, match=r"label\[0\] is 7"):
        nd.softmax_cross_entropy(bfloat16([[1, 2]]), bfloat16([7]))
    with pytest.raises(mx.MXNetError, match="one dtype"):
        nd.elemwise_add(bfloat16([1]), nd.array([1]))


def test_random_numbers_stay_below_the_upper_bound():
    mx.random.seed(3)
    for x in (
        nd.random.uniform(0, 1, shape=(20000,), dtype="bfloat16"),
        nd.random.uniform(nd.zeros((1,)), nd.ones((1,)), shape=(20000,), dtype="bfloat16"),
        nd.random.uniform_like(nd.zeros((20000,), dtype="bfloat16")),
    ):
        assert is_bfloat16(x)
        assert x.max().item() < 1
        assert x.min().item() >= 0
        assert abs(x.astype("float32").mean().item() - 0.5) < 0.02
    normal = nd.random.normal(2, 3, shape=(20000,), dtype="bfloat16").astype("float32")
    assert abs(normal.mean().item() - 2) < 0.1


def test_gradients_have_the_dtype():
    x = bfloat16([[1, 2], [3, 4]])
    x.attach_grad()
    with autograd.record():
        y = nd.FullyConnected(x, x, no_bias=True, num_hidden=2).astype("float32").sum()
    y.backward()
    assert is_bfloat16(x.grad)
    assert x.grad.tolist() == [[8, 12], [8, 12]]
    x.attach_grad("add")
    for _ in range(2):
        with autograd.record():
            y = (x * x).sum()
        y.backward()
    assert x.grad.tolist() == [[4, 8], [12, 16]]


def test_casts_of_mixed_precision():
    x = nd.array([1.5, 2])
    assert is_bfloat16(nd.amp_cast(x, dtype="bfloat16"))
    wide = nd.amp_multicast(x.astype("bfloat16"), x, num_outputs=2)
    assert [y.dtype for y in wide] == [np.float32, np.float32]
    assert nd.all_finite(x.astype("bfloat16")).tolist() == [1]
    assert nd.all_finite(bfloat16([np.inf])).tolist() == [0]
