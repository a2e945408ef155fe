"""The helpers of test_utils for symbols. What is expected was asked of MXNet 1.9.1."""

import numpy as np
import pytest

import mxtape as mx
from mxtape import nd, sym
from mxtape import test_utils as tu

A, B = sym.Variable("a"), sym.Variable("b")
X, Y = np.array([1, 2.0]), np.array([3, 4.0])
ONES = np.ones(2)


def product():
    return sym.elemwise_mul(A, B, name="mul")


def test_simple_forward():
    np.testing.assert_array_equal(tu.simple_forward(product(), a=X, b=Y), [3, 8])
    results = tu.simple_forward(sym.Group([product(), A + B]), a=X, b=Y)
    assert [r.tolist() for r in results] == [[3, 8], [4, 6]]
    assert tu.simple_forward(sym.Dropout(A, p=0.5), is_train=True, a=ONES).max() in (0, 2)
    with pytest.raises(ValueError, match="'b'"):
        tu.simple_forward(product(), a=X)


def test_check_symbolic_forward():
    check = tu.check_symbolic_forward
    assert check(product(), [X, Y], [X * Y])[0].dtype == np.float32
    assert check(product(), {"a": X, "b": nd.array(Y)}, {"mul_output": X * Y})
    assert check(product(), [X, Y], [X * Y], dtype="float64")[0].dtype == np.float64
    layer = sym.BatchNorm(A, name="bn", fix_gamma=False, eps=0)
    data = np.ones((2, 2))
    args = {"a": data, "bn_gamma": ONES, "bn_beta": 0 * ONES}
    for states in ([ONES, 4 * ONES], {"bn_moving_mean": ONES, "bn_moving_var": 4 * ONES}):
        check(layer, args, [data * 0], aux_states=states)
    with pytest.raises(AssertionError, match="EXPECTED_mul_output"):
        check(product(), [X, Y], [X * Y + 1])
    for location in ([X], {"a": X, "q": Y}):
        with pytest.raises(ValueError, match="check_symbolic_forward"):
            check(product(), location, [X * Y])


@pytest.mark.parametrize(
    "request_", ["write", "add", "null", ["write", "null"], {"a": "add", "b": "write"}]
)
def test_check_symbolic_backward(request_):
    grads = tu.check_symbolic_backward(product(), [X, Y], [ONES], [Y, X], grad_req=request_)
    assert sorted(grads) == ["a", "b"]
    if request_ != "null":
        with pytest.raises(AssertionError, match="EXPECTED_a"):
            tu.check_symbolic_backward(product(), [X, Y], [ONES], [Y + 1, X], grad_req=request_)


def test_check_symbolic_backward_by_name():
    grads = tu.check_symbolic_backward(product(), [X, Y], {"mul_output": 2 * ONES}, {"a": 2 * Y})
    assert list(grads) == ["a"]
    tu.check_symbolic_backward(sym.make_loss(product()), [X, Y], None, [Y, X])


def test_numeric_gradients():
    tu.check_numeric_gradient(product(), [X, Y])
    tu.check_numeric_gradient(sym.Group([product(), A + B]), {"a": X, "b": Y}, dtype="float64")
    tu.check_numeric_gradient(sym.BlockGrad(A) * B, [X, Y], grad_nodes=["b"])
    with pytest.raises(AssertionError, match="NUMERICAL_a"):
        tu.check_numeric_gradient(sym.BlockGrad(A) * B, [X, Y])
    with pytest.raises(ValueError, match="needed"):
        tu.check_numeric_gradient(product(), {"a": X})
    layer = sym.BatchNorm(A, name="bn", fix_gamma=False)
    tu.check_numeric_gradient(
        layer,
        [np.random.RandomState(2).uniform(size=(4, 2)), ONES, ONES],
        [0 * ONES, ONES],
        dtype="float64",
    )
    executor = product().bind(mx.cpu(), [nd.array(X), nd.array(Y)])
    found = tu.numeric_grad(executor, {"a": X, "b": Y}, eps=1e-2)
    np.testing.assert_allclose(found["a"], Y, rtol=1e-3)


def settings(**shapes):
    kinds = ("float32", "float64", "float16")
    return [{"ctx": mx.cpu(), "type_dict": dict.fromkeys(shapes, k), **shapes} for k in kinds]


def test_check_consistency():
    both = settings(a=(2, 3), b=(2, 3))
    truth = tu.check_consistency(product(), both)
    assert sorted(truth) == ["a", "b", "mul_output"]
    assert truth["a"].dtype == np.float64
    assert list(tu.check_consistency(product(), both, grad_req="null")) == ["mul_output"]
    assert sorted(tu.check_consistency([product()] * 3, both, use_uniform=True)) == sorted(truth)
    given = {"a": np.ones((2, 3)), "b": np.full((2, 3), 2.0)}
    truth = tu.check_consistency(product(), both, arg_params=given, grad_req="null")
    assert (truth["mul_output"].asnumpy() == 2).all()
    with pytest.raises(AssertionError, match="mul_output"):
        tu.check_consistency(product(), both, ground_truth=truth, grad_req="null", scale=9)
    others = [product(), product(), sym.elemwise_add(A, B, name="mul")]
    with pytest.raises(AssertionError):
        tu.check_consistency(others, both)
    with pytest.raises(AssertionError, match="two settings"):
        tu.check_consistency(product(), both[:1])
    with pytest.raises(AssertionError, match="outputs"):
        tu.check_consistency([product(), A + B, A + B], both)


def test_same_symbol_structure():
    same = tu.same_symbol_structure
    assert same(A * B, sym.Variable("p") * sym.Variable("q"))
    assert same(sym.FullyConnected(A, num_hidden=3), sym.FullyConnected(B, num_hidden=4))
    assert not same(A * B, A + B)
    assert not same(A * A, A * B)
    assert not same(A, sym.Group([A, B]))


def test_check_speed():
    layer = sym.BatchNorm(sym.FullyConnected(A, num_hidden=3), name="bn")
    assert tu.check_speed(layer, N=2, a=(2, 3)) > 0
    assert tu.check_speed(product(), {"a": X, "b": Y}, N=2, typ="forward") > 0
    with pytest.raises(ValueError, match="typ"):
        tu.check_speed(product(), {"a": X, "b": Y}, typ="x")
