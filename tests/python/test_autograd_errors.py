"""backward() and grad() refuse what does not fit, and then nothing has changed."""

import numpy as np
import pytest

from mxtape import autograd, nd
from mxtape.base import MXNetError
from support import assert_same, variable


def recorded_pair():
    """Two variables with gradients that hold 7, and a head of each."""
    x, w = variable([1.0, 2.0]), variable([[1.0, 2.0, 3.0]])
    x.grad[:] = 7
    w.grad[:] = 7
    with autograd.record():
        y, z = x * 2, nd.exp(w)
    return x, w, y, z


def assert_untouched_and_usable(x, w, y, z):
    assert_same(x.grad, [7, 7])
    assert_same(w.grad, [[7, 7, 7]])
    autograd.backward([y, z])
    assert_same(x.grad, [2, 2])
    assert_same(w.grad, np.exp([[1.0, 2.0, 3.0]]))


@pytest.mark.parametrize(
    "make",
    [
        lambda: nd.ones((2,)),
        lambda: variable([1.0]) * 2,
        lambda: variable([1.0]).detach(),
        lambda: variable([1.0]).copy(),
    ],
    ids=["plain", "outside of record", "detached", "copy"],
)
def test_array_that_was_not_recorded(make):
    array = make()
    with pytest.raises(MXNetError, match="record"):
        array.backward()
    with pytest.raises(MXNetError):
        autograd.backward([array])
    with pytest.raises(MXNetError):
        autograd.grad([array], [variable([1.0])])


def test_recorded_from_constants_alone():
    with autograd.record():
        y = nd.ones((2,)) * 2
    with pytest.raises(MXNetError):
        y.backward()


def test_one_unrecorded_head_among_good_ones_changes_nothing():
    x, w, y, z = recorded_pair()
    with pytest.raises(MXNetError):
        autograd.backward([y, nd.ones((2,)), z])
    assert_untouched_and_usable(x, w, y, z)


WRONG_LENGTHS = [1, 3]


@pytest.mark.parametrize("count", WRONG_LENGTHS)
def test_number_of_head_gradients_must_fit(count):
    x, w, y, z = recorded_pair()
    with pytest.raises((AssertionError, MXNetError), match=r"length|2"):
        autograd.backward([y, z], [None] * count)
    assert_untouched_and_usable(x, w, y, z)


def test_bare_head_gradient_for_two_heads():
    x, w, y, z = recorded_pair()
    with pytest.raises((AssertionError, MXNetError)):
        autograd.backward([y, z], nd.ones((2,)))
    assert_untouched_and_usable(x, w, y, z)


@pytest.mark.differs("MXNet takes a head gradient of another shape for some operators")
@pytest.mark.parametrize("shape", [(3,), (1,), (1, 2), (2, 1), (0,), ()])
def test_shape_of_a_head_gradient_must_fit(shape):
    x, w, y, z = recorded_pair()
    head = nd.ones(shape) if shape != (0,) else nd.array([])
    with pytest.raises(MXNetError) as raised:
        autograd.backward([z, y], [None, head])
    assert "(2,)" in str(raised.value)
    assert_untouched_and_usable(x, w, y, z)


@pytest.mark.differs("MXNet finds it inside a kernel, later, in whatever reads next", run=False)
@pytest.mark.parametrize("dtype", ["float64", "float16", "int32"])
def test_dtype_of_a_head_gradient_must_fit(dtype):
    x, w, y, z = recorded_pair()
    with pytest.raises(MXNetError) as raised:
        autograd.backward([z, y], [None, nd.ones((2,), dtype=dtype)])
    assert dtype in str(raised.value)
    assert "float32" in str(raised.value)
    assert_untouched_and_usable(x, w, y, z)


@pytest.mark.differs("MXNet says that a str has no attribute `handle`")
@pytest.mark.parametrize("thing", ["text", 3, np.ones(2), [nd.ones((2,))]])
def test_what_is_no_array_is_refused(thing):
    x, w, y, z = recorded_pair()
    with pytest.raises((MXNetError, TypeError), match=type(thing).__name__):
        autograd.backward([y, z], [thing, None])
    with pytest.raises((MXNetError, TypeError), match=type(thing).__name__):
        autograd.backward([y, thing])
    assert_untouched_and_usable(x, w, y, z)


def test_no_heads_is_an_error():
    with pytest.raises((MXNetError, ValueError)):
        autograd.backward([])


def test_failed_grad_leaves_the_graph():
    x, w, y, z = recorded_pair()
    with pytest.raises(MXNetError):
        autograd.grad([y], [w])
    assert_untouched_and_usable(x, w, y, z)


@pytest.mark.differs("an error in Function.backward corrupts MXNet's process", run=False)
def test_failure_in_the_middle_writes_no_gradient():
    class FailsBackward(autograd.Function):
        def forward(self, a):
            return a * 2

        def backward(self, da):
            return da.reshape((1, 2))

    x, w = variable([1.0, 2.0]), variable([3.0, 4.0], grad_req="add")
    x.grad[:] = 7
    w.grad[:] = 7
    with autograd.record():
        # w's gradient is ready before the sweep reaches the older, failing node.
        y = FailsBackward()(x) * w
    with pytest.raises(MXNetError):
        y.backward()
    assert_same(x.grad, [7, 7])
    assert_same(w.grad, [7, 7])


@pytest.mark.differs("MXNet names no operator and no line of the program")
def test_error_in_backward_names_the_line_that_recorded():
    x = variable([1.0, 2.0])
    with autograd.record():
        y = nd.exp(x)
    y.backward()
    with pytest.raises(MXNetError) as raised:
        y.backward()
    assert "exp" in str(raised.value)
    assert "test_autograd_errors.py" in str(raised.value)
