"""The older interface: mxtape.contrib.autograd, and the same names in mxtape.autograd."""

import pytest

import mxtape.contrib.autograd as contrib_autograd
from mxtape import autograd, nd
from support import assert_same

SOURCES = [
    pytest.param(contrib_autograd, id="contrib"),
    pytest.param(
        autograd,
        id="autograd",
        marks=pytest.mark.differs("MXNet 1.9.1 has these names in mxnet.contrib.autograd alone"),
    ),
]
each_source = pytest.mark.parametrize("source", SOURCES)


def marked(values):
    array = nd.array(values)
    gradient = nd.zeros(array.shape)
    contrib_autograd.mark_variables([array], [gradient])
    return array, gradient


@each_source
def test_train_section_and_compute_gradient(source):
    x, gradient = marked([1.0, 2.0])
    with source.train_section():
        y = x * x
    source.compute_gradient([y])
    assert_same(gradient, [2, 4])


@each_source
def test_test_section_records_nothing(source):
    x, gradient = marked([1.0, 2.0])
    with source.train_section():
        with source.test_section():
            constant = x * 10
        y = x * constant
    source.compute_gradient([y])
    assert_same(gradient, [10, 20])


def test_backward_takes_head_gradients():
    x, gradient = marked([1.0, 2.0])
    with contrib_autograd.train_section():
        y, z = x * 2, x * 3
    contrib_autograd.backward([y, z], out_grads=[nd.array([1.0, 10.0]), None], retain_graph=True)
    assert_same(gradient, [5, 23])
    contrib_autograd.backward([y])
    assert_same(gradient, [2, 2])


def product(x, y):
    return x * y


def product_and_sum(x, y):
    return x * y, x + y


@each_source
@pytest.mark.parametrize(
    ("argnum", "expected"), [(None, [3, 2]), (0, [3]), (1, [2]), ([0], [3]), ([1, 0], [2, 3])]
)
def test_grad_and_loss_argnum(source, argnum, expected):
    x, y = nd.array([2.0]), nd.array([3.0])
    gradients, loss = source.grad_and_loss(product, argnum)(x, y)
    assert [gradient.asscalar() for gradient in gradients] == expected
    assert_same(loss, [6])


@each_source
def test_grad_and_loss_of_several_outputs(source):
    x, y = nd.array([2.0]), nd.array([3.0])
    gradients, losses = source.grad_and_loss(product_and_sum)(x, y)
    assert [gradient.asscalar() for gradient in gradients] == [4, 3]
    assert [loss.asscalar() for loss in losses] == [6, 5]


def test_grad_returns_the_gradients_alone():
    x, y = nd.array([2.0, 1.0]), nd.array([3.0, 5.0])
    (only,) = contrib_autograd.grad(product, argnum=1)(x, y)
    assert_same(only, [2, 1])


def test_grad_and_loss_passes_control_flow():
    def doubles_until_large(x):
        while x.asscalar() < 100:
            x = x * 2
        return x

    gradients, loss = contrib_autograd.grad_and_loss(doubles_until_large)(nd.array([3.0]))
    assert_same(loss, [192])
    assert_same(gradients[0], [64])


def test_grad_and_loss_twice_gives_the_same():
    x, y = nd.array([2.0]), nd.array([3.0])
    function = contrib_autograd.grad_and_loss(product)
    for _ in range(2):
        gradients, _ = function(x, y)
        assert [gradient.asscalar() for gradient in gradients] == [3, 2]
    assert not autograd.is_recording()


def test_grad_and_loss_keeps_name_and_docstring():
    def documented(x):
        """Twice x."""
        return x * 2

    wrapped = contrib_autograd.grad_and_loss(documented)
    assert wrapped.__name__ == "documented"
    assert wrapped.__doc__ == "Twice x."


@pytest.mark.parametrize("bad", [3, 1.5, [1.0], None])
def test_grad_and_loss_refuses_what_is_no_array(bad):
    with pytest.raises((AssertionError, TypeError)):
        contrib_autograd.grad_and_loss(product)(bad, nd.ones((1,)))


def test_grad_and_loss_restores_the_flags_after_an_exception():
    def fails(x):
        raise KeyError("inside")

    with pytest.raises(KeyError):
        contrib_autograd.grad_and_loss(fails)(nd.ones((1,)))
    assert not autograd.is_recording()
    assert not autograd.is_training()


def test_argnum_out_of_range():
    with pytest.raises(IndexError):
        contrib_autograd.grad_and_loss(product, 5)(nd.ones((1,)), nd.ones((1,)))


@pytest.mark.differs("MXNet raises: the buffer that grad makes is recorded")
@each_source
def test_gradients_nest(source):
    def grad(f):
        return lambda *args: source.grad_and_loss(f)(*args)[0]

    def cube(y):
        return (y * y * y).sum()

    x = nd.array([1.0, 2.0])
    (second,) = grad(lambda x: grad(cube)(x)[0].sum())(x)
    assert_same(second, [6, 12])
    (third,) = grad(lambda x: grad(lambda x: grad(cube)(x)[0].sum())(x)[0].sum())(x)
    assert_same(third, [6, 6])
    # By an outer variable that the inner function uses.
    w = nd.array([3.0, 4.0])
    (mixed,) = grad(lambda w: grad(lambda y: (w * y * y).sum())(x)[0].sum())(w)
    assert_same(mixed, [2, 4])
