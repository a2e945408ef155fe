"""Derivatives of functions: forward and backward, nested, composed, recorded."""

import gc
import math
from collections import namedtuple

import numpy as np
import pytest

import mxtape as mx
from mxtape import autograd, gluon, nd
from mxtape.base import MXNetError

X = np.array([[0.3, -1.2, 0.7], [1.1, 0.4, -0.6]])


def array(values):
    return nd.array(values, dtype="float64")


def network(x, w1, b1, w2):
    h = nd.tanh(nd.FullyConnected(x, w1, b1, num_hidden=4))
    return nd.softmax(nd.dot(h, w2))


def network_inputs(seed=3):
    random = np.random.RandomState(seed)
    return tuple(array(random.randn(*shape)) for shape in ((2, 3), (4, 3), (4,), (4, 5)))


def test_vjp_and_jvp_agree_on_a_network():
    primals, tangents = network_inputs(), network_inputs(4)
    value, pullback = autograd.vjp(network, *primals)
    other, tangent = autograd.jvp(network, primals, tangents)
    weights = array(np.random.RandomState(5).randn(*value.shape))
    forward = (tangent * weights).sum().item()
    backward = sum((g * t).sum().item() for g, t in zip(pullback(weights), tangents))
    assert np.array_equal(value.asnumpy(), other.asnumpy())
    assert forward == pytest.approx(backward, rel=1e-12)
    eps = 1e-6
    ahead = network(*(x + eps * t for x, t in zip(primals, tangents))).asnumpy()
    behind = network(*(x - eps * t for x, t in zip(primals, tangents))).asnumpy()
    np.testing.assert_allclose(tangent.asnumpy(), (ahead - behind) / (2 * eps), atol=1e-8)


def test_jvp_runs_the_function_once():
    calls = []

    def f(x):
        calls.append(autograd.is_recording())
        return x * x

    autograd.jvp(f, (array([1.0]),), (array([1.0]),))
    assert calls == [True]
    _, push = autograd.linearize(f, array([3.0]))
    assert [push(array([t])).item() for t in (1.0, 2.0, -1.0)] == [6.0, 12.0, -6.0]
    assert len(calls) == 2


def test_results_outside_record_are_off_the_tape():
    x = array([1.0])
    x.attach_grad()
    value, tangent = autograd.jvp(nd.sin, (x,), (array([1.0]),))
    pulled = autograd.vjp(nd.sin, x)[1](array([1.0]))[0]
    for result in (value, tangent, pulled, autograd.elementwise_grad(nd.sin)(x)):
        assert not mx._core.on_tape(result)
    assert not autograd.is_recording()


def test_results_while_recording_are_functions_of_the_variables():
    x, w = array([0.5]), array([2.0])
    x.attach_grad()
    w.attach_grad()
    with autograd.record():
        inner = x * 3
        _, tangent = autograd.jvp(lambda a: w * nd.sin(a), (inner,), (x,))
        # w cos(3x) x
    tangent.backward()
    assert tangent.item() == pytest.approx(2 * math.cos(1.5) * 0.5)
    assert x.grad.item() == pytest.approx(2 * (math.cos(1.5) - 3 * math.sin(1.5) * 0.5))
    assert w.grad.item() == pytest.approx(math.cos(1.5) * 0.5)


def test_what_a_function_captures_does_not_move_with_its_argument():
    """d/dx [x * d/dy (x + y)] = 1: the inner derivative does not see the outer variable."""

    def outer(x):
        captured = x * 1
        return x * autograd.jvp(lambda y: captured + x + y, (x,), (nd.ones_like(x),))[1]

    one = array([1.0])
    assert autograd.jvp(outer, (array([3.0]),), (one,))[1].item() == 1.0
    assert autograd.elementwise_grad(outer)(array([3.0])).item() == 1.0

    def outer_backward(x):
        captured = x * 1
        return x * autograd.elementwise_grad(lambda y: (captured + x + y).sum())(x)

    assert autograd.jvp(outer_backward, (array([3.0]),), (one,))[1].item() == 1.0
    assert autograd.elementwise_grad(outer_backward)(array([3.0])).item() == 1.0


@pytest.mark.parametrize("modes", ["fff", "rrr", "frf", "rfr", "ffr", "rrf", "frr", "rff"])
def test_third_derivatives_in_any_order_of_modes(modes):
    def derivative(f, mode):
        if mode == "r":
            return autograd.elementwise_grad(f)
        return lambda x: autograd.jvp(f, (x,), (nd.ones_like(x),))[1]

    def f(x):
        return nd.sin(2 * x) * x / nd.exp(x)

    for mode in modes:
        f = derivative(f, mode)
    x = np.array([0.3, 1.2])
    got = f(array(x)).asnumpy()
    # sin(2x) = Im exp(2ix): with c = 2i - 1, (x exp(cx))''' = (c^3 x + 3 c^2) exp(cx).
    c = 2j - 1
    np.testing.assert_allclose(got, ((c**3 * x + 3 * c**2) * np.exp(c * x)).imag, rtol=1e-11)


def test_nested_arguments_and_values():
    Pair = namedtuple("Pair", "left right")

    def f(tree, scale):
        return {"sum": tree["w"] + tree["rest"][0], "pair": Pair(scale * tree["w"], [tree["w"]])}

    tree = {"w": array([1.0, 2.0]), "rest": [array([3.0, 4.0]), "text", None]}
    value, pullback = autograd.vjp(f, tree, array([2.0]))
    assert isinstance(value["pair"], Pair)
    cotangent = {"sum": array([1, 1]), "pair": Pair(array([10, 10]), [array([100, 100])])}
    gradient, scale = pullback(cotangent)
    assert gradient["w"].asnumpy().tolist() == [121.0, 121.0]
    assert gradient["rest"][1:] == ["text", None]
    assert scale.asnumpy().tolist() == [30.0]
    jacobian = autograd.jacobian(f)(tree, array([2.0]))
    assert jacobian["pair"].left["w"].asnumpy().tolist() == [[2.0, 0.0], [0.0, 2.0]]
    assert jacobian["sum"]["rest"][0].asnumpy().tolist() == [[1.0, 0.0], [0.0, 1.0]]


def test_value_and_grad_with_auxiliary_results_and_argnums():
    def loss(x, y, power=2):
        z = x * y
        return (z**power).sum(), {"z": z}

    transformed = autograd.value_and_grad(loss, argnums=(0, -1), has_aux=True)
    (value, aux), (dx, dy) = transformed(array([1.0, 2.0]), array([3.0, 4.0]), power=1)
    assert value.item() == 11.0
    assert aux["z"].asnumpy().tolist() == [3.0, 8.0]
    assert (dx.asnumpy().tolist(), dy.asnumpy().tolist()) == ([3.0, 4.0], [1.0, 2.0])


@pytest.mark.parametrize("mode", ["forward", "reverse", None])
def test_jacobian(mode):
    def f(x):
        return nd.dot(x, nd.tanh(x.T)) + x.sum()

    got = autograd.jacobian(f, mode=mode)(array(X)).asnumpy()
    assert got.shape == (2, 2, 2, 3)
    eps = 1e-6
    for at in np.ndindex(X.shape):
        step = np.zeros(X.shape)
        step[at] = eps
        slope = (f(array(X + step)) - f(array(X - step))).asnumpy() / (2 * eps)
        np.testing.assert_allclose(got[(..., *at)], slope, atol=1e-8)


def test_hessian_and_its_product_with_a_vector():
    def f(x):
        return nd.log(nd.exp(x).sum())

    x = np.array([0.1, 0.7, -0.4])
    p = np.exp(x) / np.exp(x).sum()
    expected = np.diag(p) - np.outer(p, p)
    np.testing.assert_allclose(autograd.hessian(f)(array(x)).asnumpy(), expected, atol=1e-14)
    v = np.array([1.0, -2.0, 0.5])
    (product,) = autograd.hvp(f, (array(x),), (array(v),))
    np.testing.assert_allclose(product.asnumpy(), expected @ v, atol=1e-14)


def test_hessian_of_several_arguments():
    def f(w, b):
        return (w * w * b.sum()).sum()

    blocks = autograd.hessian(f, argnums=(0, 1))(array([1.0, 2.0]), array([3.0]))
    assert blocks[0][0].asnumpy().tolist() == [[6.0, 0.0], [0.0, 6.0]]
    assert blocks[0][1].asnumpy().tolist() == [[2.0], [4.0]]
    assert blocks[1][0].asnumpy().tolist() == [[2.0, 4.0]]
    assert blocks[1][1].asnumpy().tolist() == [[0.0]]


def test_gradient_of_a_hessian():
    x = array([1.0, 2.0])
    x.attach_grad()
    with autograd.record():
        trace = sum(autograd.hessian(lambda x: (x**4).sum())(x)[i, i] for i in range(2))
    trace.backward()
    assert x.grad.asnumpy().tolist() == [24.0, 48.0]


def test_outputs_that_do_not_depend_on_the_arguments():
    constant = array([5.0])
    _, tangent = autograd.jvp(lambda x: (constant, x), (array([1.0]),), (array([2.0]),))
    assert [t.item() for t in tangent] == [0.0, 2.0]
    assert autograd.jacobian(lambda x: constant)(array([1.0])).asnumpy().tolist() == [[0.0]]
    assert autograd.hessian(lambda x: x.sum())(array([1.0, 2.0])).asnumpy().tolist() == [[0, 0]] * 2
    x = array([1.0])
    x.attach_grad()
    with autograd.record():
        slope = autograd.elementwise_grad(lambda x: 3 * x)(x)
    slope.backward()
    assert (slope.item(), x.grad.item()) == (3.0, 0.0)


def test_results_have_memory_of_their_own():
    t = array([1.0])
    _, tangent = autograd.jvp(lambda x: x, (array([5.0]),), (t,))
    (pulled,) = autograd.vjp(lambda x: x, array([5.0]))[1](t)
    tangent[:] = 7
    pulled[:] = 8
    assert t.item() == 1.0


def test_functions_and_hybridized_blocks_have_tangents():
    class Cube(autograd.Function):
        def forward(self, x):
            self.save_for_backward(x)
            return x**3

        def backward(self, dy):
            (x,) = self.saved_tensors
            return 3 * x * x * dy

    x, t = array([2.0]), array([0.5])
    assert autograd.jvp(lambda x: Cube()(x), (x,), (t,))[1].item() == 6.0
    second = autograd.jvp(
        lambda x: autograd.jvp(lambda x: Cube()(x), (x,), (array([1.0]),))[1], (x,), (t,)
    )[1]
    assert second.item() == 6.0

    net = gluon.nn.HybridSequential()
    net.add(gluon.nn.Dense(4, activation="tanh"), gluon.nn.Dense(2))
    net.initialize()
    net.cast("float64")
    x, t = array(X), array(X[::-1].copy())
    eager = autograd.jvp(net, (x,), (t,))[1].asnumpy()
    net.hybridize()
    np.testing.assert_allclose(autograd.jvp(net, (x,), (t,))[1].asnumpy(), eager, rtol=1e-12)


def test_training_mode_is_that_of_the_thread():
    seen = []

    def f(x):
        seen.append(autograd.is_training())
        return x * 2

    autograd.jvp(f, (array([1.0]),), (array([1.0]),))
    with autograd.record():
        autograd.vjp(f, array([1.0]))
    with autograd.train_mode():
        autograd.vjp(f, array([1.0]))
    assert seen == [False, True, True]


def test_a_long_chain_needs_no_stack():
    def f(x):
        for _ in range(20_000):
            x = x * 1.0001
        return x

    _, tangent = autograd.jvp(f, (array([1.0]),), (array([1.0]),))
    assert tangent.item() == pytest.approx(1.0001**20_000)


def test_nothing_is_kept_after_a_transform():
    x = array(X)

    def step():
        autograd.hessian(lambda x: nd.tanh(x).sum())(x)
        autograd.jvp(nd.softmax, (x,), (x,))

    step()
    gc.collect()
    before = mx.runtime.memory_stats()
    for _ in range(20):
        step()
    gc.collect()
    assert mx.runtime.memory_stats()["used"] <= before["used"] if "used" in before else True


# ---- errors


def test_tangents_that_do_not_fit():
    x = array([1.0, 2.0])
    with pytest.raises(ValueError, match=r"jvp: tangents\[0\] must have shape \(2,\) and dtype"):
        autograd.jvp(nd.sin, (x,), (array([1.0]),))
    with pytest.raises(ValueError, match=r"float64, got .* float32"):
        autograd.jvp(nd.sin, (x,), (nd.array([1.0, 2.0]),))
    with pytest.raises(ValueError, match="tangents must be nested like the primals"):
        autograd.jvp(nd.sin, (x,), ([x],))
    with pytest.raises(TypeError, match="primals must be a tuple"):
        autograd.jvp(nd.sin, x, x)
    with pytest.raises(ValueError, match="cotangents must be nested like the outputs"):
        autograd.vjp(nd.sin, x)[1]((x,))


def test_other_errors():
    x = array([1.0, 2.0])
    with pytest.raises(ValueError, match=r"value_and_grad: .* one number, .*\(2,\)"):
        autograd.value_and_grad(nd.sin)(x)
    with pytest.raises(ValueError, match="argnums has 3, the function was given 1"):
        autograd.jacobian(nd.sin, argnums=3)(x)
    with pytest.raises(ValueError, match="mode must be"):
        autograd.jacobian(nd.sin, mode="backward")(x)
    with pytest.raises(TypeError, match="no argument is or contains an NDArray"):
        autograd.vjp(nd.sin, 3)
    with pytest.raises(TypeError, match="must return NDArrays"):
        autograd.vjp(lambda x: 3, x)
    with pytest.raises(MXNetError, match="attach_grad"):
        autograd.vjp(lambda x: (x.attach_grad(), x * 2)[1], x)
    image = array(np.ones((2, 2, 3)))
    with pytest.raises(MXNetError, match=r"jvp of _image_to_tensor.*has no gradient"):
        autograd.jvp(nd.image.to_tensor, (image,), (image,))
    x, label = array([[1, 2]]), array([0.0])
    with pytest.raises(MXNetError, match=r"SoftmaxOutput.*loss"):
        autograd.jvp(lambda x: nd.SoftmaxOutput(x, label), (x,), (x,))


# ---- custom_gradient and check_grads


def test_custom_gradient_clips_and_nests():
    @autograd.custom_gradient
    def f(tree, factor=1.0):
        def pull(cotangents):
            doubled, total = cotangents
            return ({"a": nd.clip(doubled, -1, 1) * factor, "b": None or total},)

        return (tree["a"] * 2, tree["b"].sum()), pull

    a, b = array([1.0, 2.0]), array([3.0])
    a.attach_grad()
    b.attach_grad()
    with autograd.record():
        doubled, total = f({"a": a, "b": b}, factor=3.0)
        y = (doubled * 10).sum() + total
    y.backward()
    assert (doubled.asnumpy().tolist(), total.item()) == ([2.0, 4.0], 3.0)
    assert (a.grad.asnumpy().tolist(), b.grad.item()) == ([3.0, 3.0], 1.0)


def test_custom_gradient_to_higher_orders():
    @autograd.custom_gradient
    def exp(x):
        y = nd.exp(x)
        return y, lambda g: g * y

    autograd.check_grads(exp, (array([0.3, -0.4]),), order=3)


def test_custom_gradient_errors():
    x = array([1.0])
    with pytest.raises(TypeError, match="must return a pair"):
        autograd.custom_gradient(nd.sin)(x)
    wrong = autograd.custom_gradient(lambda x, y: (x * y, lambda g: g))
    with pytest.raises(ValueError, match="returned 1 gradients for 2 arguments"):
        autograd.vjp(wrong, x, x)[1](x)


def test_check_grads_accepts_what_is_right():
    labels = nd.array([0, 2], dtype="int32")
    autograd.check_grads(lambda x, i: nd.log_softmax(x).pick(i), (nd.array(X), labels))
    autograd.check_grads(lambda p: {"y": p["w"] ** 3}, ({"w": array([1.0])},), order=3)


def test_check_grads_says_what_is_wrong():
    @autograd.custom_gradient
    def wrong(x):
        return x**3, lambda g: g * nd.concat(3 * x[:1] ** 2, x[1:], dim=0)

    with pytest.raises(AssertionError) as caught:
        autograd.check_grads(wrong, (array([1.0, 2.0]),), modes=("reverse",))
    message = str(caught.value)
    assert "check_grads: wrong: vjp is wrong (order 1) at args[0][1]" in message
    with pytest.raises(AssertionError, match=r"jvp is wrong \(order 1\) at output 0\[1\]"):
        autograd.check_grads(wrong, (array([1.0, 2.0]),), modes=("forward",))

    @autograd.custom_gradient
    def constant_slope(x):
        slope = 3 * nd.square(x).detach()
        return x**3, lambda g: g * nd.BlockGrad(slope)

    autograd.check_grads(constant_slope, (array([1.0]),), order=1)
    with pytest.raises(AssertionError, match=r"order 2, of vjp of vjp"):
        autograd.check_grads(constant_slope, (array([1.0]),), modes=("reverse",))
    with pytest.raises(ValueError, match="float32 for arguments in float64"):
        autograd.check_grads(lambda x: x.astype("float32"), (array([1.0]),))
