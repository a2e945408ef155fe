"""Errors of operator calls: their types, and that they say which operator and what was given."""

import numpy as np
import pytest

import mxtape as mx
from mxtape import autograd, nd
from mxtape.base import MXNetError
from support import assert_same

BETTER = pytest.mark.differs("MXNet's message does not name the operator, or raises nothing")


def plain(text):
    return text.replace(" ", "").lower()


def test_error_type():
    assert issubclass(MXNetError, RuntimeError)
    assert mx.MXNetError is MXNetError is mx.base.MXNetError


# (call, type in MXNet, words that the message must hold)
CALLS = {
    "broadcast": (
        lambda: nd.broadcast_add(nd.ones((2, 3)), nd.ones((4, 5))),
        MXNetError,
        ["broadcast_add", "(2,3)", "(4,5)"],
    ),
    "plus": (
        lambda: nd.ones((2,)) + nd.ones((3,)),
        MXNetError,
        ["add", "(2,)", "(3,)"],
    ),
    "elemwise": (
        lambda: nd.elemwise_add(nd.ones((2, 3)), nd.ones((1, 3))),
        MXNetError,
        ["elemwise_add", "(2,3)", "(1,3)"],
    ),
    "dot": (
        lambda: nd.dot(nd.ones((2, 3)), nd.ones((4, 5))),
        MXNetError,
        ["dot", "(2,3)", "(4,5)"],
    ),
    "batch_dot": (
        lambda: nd.batch_dot(nd.ones((2, 3, 4)), nd.ones((2, 5, 4))),
        MXNetError,
        ["batch_dot", "(2,3,4)", "(2,5,4)"],
    ),
    "axis": (
        lambda: nd.sum(nd.ones((2, 3)), axis=5),
        MXNetError,
        ["sum", "5", "(2,3)"],
    ),
    "concat": (
        lambda: nd.concat(nd.ones((2, 3)), nd.ones((3, 2)), dim=0),
        MXNetError,
        ["concat", "(2,3)", "(3,2)"],
    ),
    "stack": (
        lambda: nd.stack(nd.ones((2, 3)), nd.ones((3, 2))),
        MXNetError,
        ["stack", "(2,3)", "(3,2)"],
    ),
    "split": (
        lambda: nd.split(nd.ones((2, 5)), num_outputs=2, axis=1),
        MXNetError,
        ["2", "5"],
    ),
    "choice": (
        lambda: nd.Activation(nd.ones((2,)), act_type="bogus"),
        MXNetError,
        ["Activation", "act_type", "bogus", "relu", "tanh"],
    ),
    "missing": (
        lambda: nd.Activation(nd.ones((2,))),
        MXNetError,
        ["Activation", "act_type"],
    ),
    "not a number": (
        lambda: nd.clip(nd.ones((2,)), a_min="low", a_max=1),
        MXNetError,
        ["clip", "a_min", "low"],
    ),
    "not an axis": (
        lambda: nd.sum(nd.ones((2, 3)), axis="first"),
        MXNetError,
        ["sum", "axis", "first"],
    ),
    "fully connected": (
        lambda: nd.FullyConnected(nd.ones((2, 3)), nd.ones((4, 5)), no_bias=True, num_hidden=4),
        MXNetError,
        ["FullyConnected", "(4,5)", "(4,3)"],
    ),
    "transpose": (
        lambda: nd.transpose(nd.ones((2, 3)), axes=(0, 0)),
        MXNetError,
        ["transpose", "(0,0)"],
    ),
    "broadcast_to": (
        lambda: nd.broadcast_to(nd.ones((2, 3)), shape=(4, 3)),
        MXNetError,
        ["broadcast_to", "(2,3)", "(4,3)"],
    ),
    "out shape": (
        lambda: nd.exp(nd.ones((2, 3)), out=nd.zeros((2, 2))),
        MXNetError,
        ["exp", "(2,3)", "(2,2)"],
    ),
    "out dtype": (
        lambda: nd.exp(nd.ones((2,)), out=nd.zeros((2,), dtype="float64")),
        MXNetError,
        ["exp", "float32", "float64"],
    ),
    "expand_dims": (
        lambda: nd.expand_dims(nd.ones((2, 3)), axis=7),
        MXNetError,
        ["expand_dims", "7"],
    ),
    "where": (
        lambda: nd.where(nd.ones((2,)), nd.ones((3,)), nd.ones((4,))),
        MXNetError,
        ["where", "(3,)", "(4,)"],
    ),
}


# MXNet computes something from these two, out of the array's bounds.
UNNOTICED = {"stack", "transpose"}
# These messages of MXNet name all that matters.
NAMED_BY_MXNET = {"choice", "missing", "split", "not a number", "out dtype"}


def names(better):
    """Each call; those where mxtape must do better than MXNet carry the mark that says so."""
    crash = pytest.mark.differs("MXNet does not notice, and may crash", run=False)
    return pytest.mark.parametrize(
        "name",
        [
            pytest.param(
                name, marks=crash if name in UNNOTICED else BETTER if name in better else ()
            )
            for name in CALLS
        ],
    )


@names(better=())
def test_type_of_the_error(name):
    call, error, _ = CALLS[name]
    with pytest.raises(error):
        call().asnumpy()


@names(better=set(CALLS) - NAMED_BY_MXNET)
def test_message_names_operator_and_what_was_given(name):
    call, error, words = CALLS[name]
    with pytest.raises(error) as raised:
        call()
    message = plain(str(raised.value))
    assert [word for word in words if plain(word) not in message] == [], str(raised.value)


@names(better=set(CALLS) - {"choice", "missing", "not a number", "not an axis", "fully connected"})
def test_message_is_short_and_has_no_stack_of_the_engine(name):
    call, error, _ = CALLS[name]
    with pytest.raises(error) as raised:
        call()
    message = str(raised.value)
    assert len(message) < 500
    for sign_of_the_engine in ("Traceback", "Stack trace", "../src", "../include"):
        assert sign_of_the_engine not in message


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda: nd.exp(nd.ones((2,)), bogus=3), marks=BETTER),
        pytest.param(lambda: nd.ones((2,)).exp(bogus=3), marks=BETTER),
        pytest.param(lambda: nd.broadcast_add(nd.ones((2,)), nd.ones((2,)), bogus=3), marks=BETTER),
        lambda: nd.sum(nd.ones((2,)), bogus=0),
        lambda: nd.FullyConnected(
            nd.ones((2, 3)), nd.ones((4, 3)), no_bias=True, num_hidden=4, bogus=1
        ),
    ],
    ids=["function", "method", "binary", "reduction", "layer"],
)
def test_unknown_keyword_is_named(call):
    with pytest.raises((TypeError, MXNetError), match="bogus"):
        call()


@pytest.mark.parametrize("thing", [3, np.ones((2,)), "text", [1, 2]])
def test_input_that_is_no_array(thing):
    with pytest.raises((AssertionError, TypeError)):
        nd.exp(thing)
    with pytest.raises((AssertionError, TypeError)):
        nd.dot(nd.ones((2,)), thing)


@pytest.mark.parametrize("call", [lambda: nd.exp(), lambda: nd.dot(nd.ones((2, 3)))])
def test_missing_input(call):
    with pytest.raises((MXNetError, TypeError)):
        call()


def test_error_changes_nothing():
    out = nd.array([1.0, 2.0])
    with pytest.raises(MXNetError):
        nd.broadcast_add(nd.ones((2, 3)), nd.ones((4, 5)), out=out)
    assert_same(out, [1, 2])
    x = nd.array([1.0, 2.0])
    x.attach_grad()
    with autograd.record():
        y = x * 2
        with pytest.raises(MXNetError):
            nd.dot(y.reshape((1, 2)), nd.ones((3, 3)))
        z = y * 3
    z.backward()
    assert_same(x.grad, [6, 6])


# out= and name=


def test_out_is_filled_and_returned():
    x, out = nd.array([0.0, 1.0]), nd.zeros((2,))
    assert nd.exp(x, out=out) is out
    assert_same(out, np.exp([0.0, 1.0]))
    assert nd.broadcast_add(x, x, out=out) is out
    assert_same(out, [0, 2])
    assert nd.sum(x, out=nd.zeros((1,))).asscalar() == 1


def test_out_may_be_an_input():
    x = nd.array([[1.0, 2.0], [3.0, 4.0]])
    nd.exp(x, out=x)
    assert_same(x, np.exp([[1.0, 2.0], [3.0, 4.0]]))
    y = nd.array([[1.0, 2.0], [3.0, 4.0]])
    nd.broadcast_mul(y, y, out=y)
    assert_same(y, [[1, 4], [9, 16]])


@pytest.mark.differs("MXNet transposes and multiplies matrices onto their own memory wrongly")
def test_out_may_be_an_input_that_is_read_out_of_order():
    x = nd.array([[1.0, 2.0], [3.0, 4.0]])
    nd.transpose(x, out=x)
    assert_same(x, [[1, 3], [2, 4]])
    nd.dot(x, x, out=x)
    assert_same(x, [[7, 15], [10, 22]])


def test_out_may_be_a_view():
    target = nd.zeros((3, 2))
    nd.exp(nd.zeros((2,)), out=target[1])
    assert_same(target, [[0, 0], [1, 1], [0, 0]])


def test_out_of_several_outputs():
    parts = [nd.zeros((2, 1)), nd.zeros((2, 1))]
    result = nd.split(nd.array([[1, 2], [3, 4]]), num_outputs=2, axis=1, out=parts)
    assert result[0] is parts[0]
    assert_same(parts[0], [[1], [3]])
    assert_same(parts[1], [[2], [4]])


@pytest.mark.parametrize("count", [1, 3])
def test_wrong_number_of_outs(count):
    with pytest.raises((MXNetError, ValueError)):
        nd.split(
            nd.ones((2, 2)), num_outputs=2, axis=1, out=[nd.zeros((2, 1)) for _ in range(count)]
        )


def test_name_is_taken():
    assert_same(nd.exp(nd.zeros((2,)), name="layer"), [1, 1])
    assert_same(nd.broadcast_add(nd.ones((2,)), nd.ones((2,)), name="sum"), [2, 2])
    assert_same(nd.sum(nd.ones((2,)), name="total"), [2])


def test_second_positional_argument_of_a_unary_operator_is_out():
    out = nd.zeros((2,))
    assert nd.exp(nd.zeros((2,)), out) is out
    assert_same(out, [1, 1])
