"""grad(): gradients as values, and gradients of gradients to any order."""

import numpy as np
import pytest

from mxtape import autograd, nd
from mxtape.base import MXNetError
from support import assert_same, variable

ONLY_MXTAPE = pytest.mark.differs("few operators of MXNet 1.9.1 have a second-order gradient")


def sigmoid_of_twice(v):
    return 1 / (1 + np.exp(-2 * v))


def case(name, function, *derivatives, marks=ONLY_MXTAPE):
    """A function of one variable with its first three derivatives written in NumPy."""
    return pytest.param(function, derivatives, id=name, marks=marks)


s = sigmoid_of_twice
DERIVATIVES = [
    case("sin", nd.sin, np.cos, lambda v: -np.sin(v), lambda v: -np.cos(v), marks=()),
    case("cos", nd.cos, lambda v: -np.sin(v), lambda v: -np.cos(v), np.sin, marks=()),
    case("exp", nd.exp, np.exp, np.exp, np.exp),
    case("log", nd.log, lambda v: 1 / v, lambda v: -(v**-2.0), lambda v: 2 * v**-3.0, marks=()),
    case("x**4", lambda x: x**4, lambda v: 4 * v**3, lambda v: 12 * v**2, lambda v: 24 * v),
    case("x*x*x", lambda x: x * x * x, lambda v: 3 * v**2, lambda v: 6 * v, lambda v: 6 + 0 * v),
    case(
        "1/x",
        lambda x: 1 / x,
        lambda v: -(v**-2.0),
        lambda v: 2 * v**-3.0,
        lambda v: -6 * v**-4.0,
    ),
    case(
        "square(square)",
        lambda x: nd.square(nd.square(x)),
        lambda v: 4 * v**3,
        lambda v: 12 * v**2,
        lambda v: 24 * v,
        marks=(),
    ),
    case(
        "exp(sin)",
        lambda x: nd.exp(nd.sin(x)),
        lambda v: np.cos(v) * np.exp(np.sin(v)),
        lambda v: (np.cos(v) ** 2 - np.sin(v)) * np.exp(np.sin(v)),
        lambda v: np.cos(v) * (np.cos(v) ** 2 - 3 * np.sin(v) - 1) * np.exp(np.sin(v)),
    ),
    case(
        "sigmoid(2x)",
        lambda x: nd.sigmoid(2 * x),
        lambda v: 2 * s(v) * (1 - s(v)),
        lambda v: 4 * s(v) * (1 - s(v)) * (1 - 2 * s(v)),
        lambda v: 8 * s(v) * (1 - s(v)) * (1 - 6 * s(v) + 6 * s(v) ** 2),
    ),
]

VALUES = np.array([0.3, 0.7, 1.1, 1.9])


@pytest.mark.parametrize(("function", "derivatives"), DERIVATIVES)
def test_derivatives_to_third_order(function, derivatives):
    x = variable(VALUES, dtype="float64")
    with autograd.record():
        result = function(x)
        for derivative in derivatives:
            (result,) = autograd.grad(result, [x], create_graph=True, retain_graph=True)
            assert_same(result, derivative(VALUES), rtol=1e-9)
    assert_same(x.grad, np.zeros(4))


@pytest.mark.differs("exp to fifth order needs the gradient of MXNet's gradient operator")
def test_fifth_order():
    x = variable(VALUES, dtype="float64")
    with autograd.record():
        y = nd.exp(2 * x)
        for _ in range(5):
            (y,) = autograd.grad(y, [x], create_graph=True)
    assert_same(y, 2.0**5 * np.exp(2 * VALUES), rtol=1e-9)


@ONLY_MXTAPE
def test_backward_of_a_gradient():
    x = variable([1.0])
    with autograd.record():
        z = nd.exp(x) + x
        (dz_dx,) = autograd.grad(z, [x], create_graph=True)
    assert_same(dz_dx, [3.7182817])
    dz_dx.backward()
    assert_same(x.grad, [2.7182817])


@ONLY_MXTAPE
def test_gradient_penalty():
    x, w = variable([1.0, 2.0, 3.0]), variable([0.5, -1.0, 2.0])
    with autograd.record():
        y = (w * x * x).sum()
        (dy_dx,) = autograd.grad(y, [x], create_graph=True)
        penalty = (dy_dx * dy_dx).sum()
    penalty.backward()
    values_x, values_w = np.array([1.0, 2.0, 3.0]), np.array([0.5, -1.0, 2.0])
    assert_same(w.grad, 8 * values_w * values_x**2)
    assert_same(x.grad, 8 * values_w**2 * values_x)


@ONLY_MXTAPE
def test_mixed_partial_derivatives_agree():
    a, b = variable([2.0], dtype="float64"), variable([3.0], dtype="float64")
    with autograd.record():
        f = nd.sin(a * b) * b
        da, db = autograd.grad(f, [a, b], create_graph=True)
        (dab,) = autograd.grad(da, [b], retain_graph=True)
        (dba,) = autograd.grad(db, [a], retain_graph=True)
    expected = 2 * 3 * np.cos(6.0) - 2 * 9 * np.sin(6.0)
    assert_same(dab, [expected], rtol=1e-9)
    assert_same(dba, [expected], rtol=1e-9)


@ONLY_MXTAPE
def test_second_order_through_dot_and_softmax():
    rng = np.random.default_rng(5)
    values = rng.normal(size=(3, 4))
    w = nd.array(rng.normal(size=(4, 2)), dtype="float64")
    direction = rng.normal(size=(3, 4))

    def gradient_at(point, create_graph=False):
        x = variable(point, dtype="float64")
        with autograd.record():
            y = nd.log_softmax(nd.dot(x, w), axis=1)[:, 0].sum()
            (g,) = autograd.grad(y, [x], create_graph=create_graph)
            if create_graph:
                projected = (g * nd.array(direction, dtype="float64")).sum()
        return (x, projected) if create_graph else g.asnumpy()

    step = 1e-5
    expected = (gradient_at(values + step * direction) - gradient_at(values - step * direction)) / (
        2 * step
    )
    x, projected = gradient_at(values, create_graph=True)
    projected.backward()
    assert_same(x.grad, expected, rtol=1e-6, atol=1e-8)


def test_grad_returns_new_arrays_and_leaves_the_buffers():
    x = variable([1.0, 2.0])
    x.grad[:] = 9
    with autograd.record():
        y = x * x
    gradients = autograd.grad(y, [x])
    assert isinstance(gradients, list)
    assert len(gradients) == 1
    assert_same(gradients[0], [2, 4])
    assert_same(x.grad, [9, 9])
    gradients[0][:] = 0
    assert_same(x, [1, 2])


def test_grad_of_bare_arrays_and_lists():
    x, w = variable([1.0, 2.0]), variable([3.0, 4.0])
    with autograd.record():
        y = x * w
        z = x + w
    (gradient,) = autograd.grad(y, x, retain_graph=True)
    assert_same(gradient, [3, 4])
    both = autograd.grad([y, z], [w, x], [nd.array([10.0, 1.0]), None], retain_graph=True)
    assert_same(both[0], [11, 3])
    assert_same(both[1], [31, 5])


def test_grad_frees_the_graph_unless_retained():
    x = variable([1.0, 2.0])
    with autograd.record():
        y = x * x
    autograd.grad(y, [x], retain_graph=True)
    autograd.grad(y, [x])
    with pytest.raises(MXNetError, match="retain_graph"):
        autograd.grad(y, [x])


def test_create_graph_retains_by_itself():
    x = variable([1.0, 2.0])
    with autograd.record():
        y = nd.sin(x)
        autograd.grad(y, [x], create_graph=True)
    y.backward()
    assert_same(x.grad, np.cos([1.0, 2.0]))


def test_grad_respects_add_of_another_run():
    x = variable([1.0, 2.0], grad_req="add")
    x.grad[:] = 5
    with autograd.record():
        y = x * 3
    (gradient,) = autograd.grad(y, [x], retain_graph=True)
    assert_same(gradient, [3, 3])
    y.backward()
    assert_same(x.grad, [8, 8])


@pytest.mark.differs("MXNet fails to place the second gradient")
def test_same_variable_listed_twice():
    x = variable([1.0, 2.0])
    with autograd.record():
        y = x * x
    first, second = autograd.grad(y, [x, x])
    assert_same(first, [2, 4])
    assert_same(second, [2, 4])


def test_grad_without_a_graph_cannot_be_differentiated():
    x = variable([1.0, 2.0])
    with autograd.record():
        y = nd.sin(x)
        (gradient,) = autograd.grad(y, [x])
    with pytest.raises(MXNetError):
        gradient.backward()


def test_unreachable_variable_is_an_error():
    x, w = variable([1.0]), variable([1.0])
    with autograd.record():
        y = x * x
    with pytest.raises(MXNetError, match=r"unreachable|not reach|does not depend"):
        autograd.grad(y, [x, w])


def test_differentiating_for_a_non_variable_is_an_error():
    x = variable([1.0])
    with autograd.record():
        not_variable = nd.ones((1,))
        y = x * not_variable
    with pytest.raises(MXNetError, match=r"require|variable|attach_grad"):
        autograd.grad(y, [not_variable])


def test_no_variables_is_an_error():
    x = variable([1.0])
    with autograd.record():
        y = x * x
    with pytest.raises((AssertionError, ValueError)):
        autograd.grad(y, [])


def test_variable_of_request_null_is_an_error():
    x = variable([1.0], grad_req="null")
    with autograd.record():
        y = x * x
    with pytest.raises(MXNetError):
        autograd.grad(y, [x])


@ONLY_MXTAPE
def test_head_gradient_is_part_of_the_recorded_gradient():
    x, head = variable([2.0]), variable([5.0])
    with autograd.record():
        y = x * x * x
        (gradient,) = autograd.grad(y, [x], head_grads=[head], create_graph=True)
    assert_same(gradient, [60])
    gradient.backward()
    assert_same(x.grad, [6 * 2 * 5])
    assert_same(head.grad, [12])
