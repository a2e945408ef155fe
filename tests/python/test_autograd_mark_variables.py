"""mark_variables and attach_grad: what makes an array a variable."""

import numpy as np
import pytest

import mxtape as mx
from mxtape import autograd, nd
from mxtape.base import MXNetError
from support import assert_same, variable


def test_lists_of_arrays_and_requests():
    x, w = nd.array([1.0, 2.0]), nd.array([3.0, 4.0])
    gradients = [nd.zeros((2,)), nd.ones((2,))]
    autograd.mark_variables([x, w], gradients, ["write", "add"])
    with autograd.record():
        y = x * w
    y.backward()
    assert_same(gradients[0], [3, 4])
    assert_same(gradients[1], [2, 3])


def test_one_request_serves_all():
    x, w = nd.array([1.0]), nd.array([3.0])
    gradients = [nd.ones((1,)), nd.ones((1,))]
    autograd.mark_variables([x, w], gradients, "add")
    with autograd.record():
        y = x * w
    y.backward()
    assert_same(gradients[0], [4])
    assert_same(gradients[1], [2])


def test_bare_arrays_are_lists_of_one():
    x, gradient = nd.array([1.0, 2.0]), nd.zeros((2,))
    autograd.mark_variables(x, gradient)
    with autograd.record():
        y = x * 3
    y.backward()
    assert_same(gradient, [3, 3])
    assert_same(x.grad, [3, 3])


def test_tuples_are_lists():
    x, gradient = nd.array([1.0, 2.0]), nd.zeros((2,))
    autograd.mark_variables((x,), (gradient,), ("write",))
    with autograd.record():
        y = x * 3
    y.backward()
    assert_same(gradient, [3, 3])


def test_marking_again_moves_to_the_new_buffer():
    x, old, new = nd.array([1.0]), nd.zeros((1,)), nd.zeros((1,))
    autograd.mark_variables([x], [old])
    autograd.mark_variables([x], [new])
    with autograd.record():
        y = x * 3
    y.backward()
    assert_same(old, [0])
    assert_same(new, [3])


def test_marking_an_intermediate_cuts_there():
    x = variable([2.0])
    gradient = nd.zeros((1,))
    with autograd.record():
        y = x * x
        autograd.mark_variables([y], [gradient])
        z = y * 5
    z.backward()
    assert_same(gradient, [5])
    assert_same(x.grad, [0])


@pytest.mark.differs(
    "MXNet crashes in the process: a bare array reaches a list of handles", run=False
)
def test_bare_arrays_through_contrib():
    x, gradient = nd.array([1.0, 2.0]), nd.zeros((2,))
    mx.contrib.autograd.mark_variables(x, gradient)
    with mx.contrib.autograd.train_section():
        y = x * 3
    mx.contrib.autograd.backward(y)
    assert_same(gradient, [3, 3])


@pytest.mark.differs("MXNet reads past the end of the shorter list", run=False)
@pytest.mark.parametrize(
    ("variables", "gradients", "requests"),
    [(1, 2, "write"), (2, 1, "write"), (2, 2, ["write"]), (1, 1, ["write", "add"])],
)
def test_lengths_that_do_not_fit_are_refused(variables, gradients, requests):
    arrays = [nd.ones((2,)) for _ in range(variables)]
    buffers = [nd.zeros((2,)) for _ in range(gradients)]
    with pytest.raises((MXNetError, ValueError, AssertionError)):
        autograd.mark_variables(arrays, buffers, requests)
    assert all(array.grad is None for array in arrays)


@pytest.mark.differs("MXNet finds the wrong shape in backward only, and a wrong dtype never")
@pytest.mark.parametrize(
    "gradient",
    [nd.zeros((3,)), nd.zeros((2, 1)), nd.zeros((2,), dtype="float64")],
    ids=["length", "rank", "dtype"],
)
def test_buffer_that_does_not_fit_is_refused(gradient):
    x = nd.ones((2,))
    with pytest.raises((MXNetError, ValueError)):
        autograd.mark_variables([x], [gradient])
    assert x.grad is None


@pytest.mark.parametrize("request_name", ["bogus", "Write", ""])
def test_unknown_request_is_refused(request_name):
    x = nd.ones((2,))
    with pytest.raises((KeyError, ValueError), match=repr(request_name)):
        x.attach_grad(request_name)
    with pytest.raises((KeyError, ValueError), match=repr(request_name)):
        autograd.mark_variables([x], [nd.zeros((2,))], request_name)
    assert x.grad is None


def test_gradient_attribute_cannot_be_set():
    x = variable([1.0])
    with pytest.raises(AttributeError):
        x.grad = nd.ones((1,))


def test_gradient_is_readable_and_writable_in_place():
    x = variable([1.0, 2.0])
    x.grad[:] = [5, 6]
    assert_same(x.grad, [5, 6])
    x.grad[0] = 1
    assert_same(x.grad, [1, 6])


@pytest.mark.parametrize("derive", [lambda x: x.detach(), lambda x: x.copy(), lambda x: x[0:1]])
def test_derived_arrays_are_no_variables(derive):
    assert derive(variable([1.0, 2.0])).grad is None


def test_attach_grad_takes_a_request_and_a_storage_type():
    x = nd.array([1.0, 2.0])
    x.attach_grad(grad_req="add", stype="default")
    for _ in range(2):
        with autograd.record():
            y = x * 2
        y.backward()
    assert_same(x.grad, [4, 4])
    assert x.grad.stype == "default"


def test_integer_variable_gets_an_integer_gradient():
    x = variable([1, 2], dtype="int32")
    with autograd.record():
        y = x * 2
    y.backward()
    assert x.grad.dtype == np.int32
    assert x.grad.asnumpy().tolist() == [2, 2]
