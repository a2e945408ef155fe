"""foreach, while_loop and cond; isnan, isinf and isfinite."""

import numpy as np
import pytest

import mxtape as mx
from support import assert_same, variable

nd, autograd, contrib = mx.nd, mx.autograd, mx.nd.contrib


@pytest.fixture
def rows():
    return nd.arange(6).reshape((3, 2))


def test_foreach_stacks_outputs_and_passes_states_on(rows):
    outputs, state = contrib.foreach(lambda x, s: (x + s, x + s), rows, nd.zeros((2,)))
    assert_same(outputs, [[0, 1], [2, 4], [6, 9]])
    assert_same(state, [6, 9])


def test_foreach_keeps_the_form_of_lists(rows):
    zero = nd.zeros((2,))
    outputs, states = contrib.foreach(
        lambda x, s: ([x[0], [x[1] * 2]], [s[0] + x[0], s[1]]), [rows, rows], [zero, zero]
    )
    assert_same(outputs[0], rows.asnumpy())
    assert_same(outputs[1][0], rows.asnumpy() * 2)
    assert_same(states[0], [6, 9])
    assert_same(states[1], [0, 0])
    assert contrib.foreach(lambda x, s: (x, []), rows, [])[1] == []
    assert contrib.foreach(lambda x, s: ([], s), rows, zero)[0] == []


def test_foreach_passes_states_on_as_they_are(rows):
    seen = []

    def body(x, states):
        seen.append(type(states))
        return x, (states[0],) if isinstance(states, list) else [states[0]]

    assert type(contrib.foreach(body, rows, (nd.zeros((1,)),))[1]) is (
        list if len(seen) % 2 else tuple
    )
    assert seen == [tuple, list, tuple][: len(seen)]
    assert len(seen) == rows.shape[0]


def test_gradients_flow_through_all_steps():
    x, w = variable([[1.0], [2.0], [3.0]]), variable([2.0])

    def body(row, state):
        state = state * w + row
        return state, state

    with autograd.record():
        outputs, last = contrib.foreach(body, x, nd.zeros((1,)))
        loss = outputs.sum() + last
    loss.backward()
    # outputs: 1, 2w + ... : s1 = 1, s2 = w + 2, s3 = w^2 + 2w + 3, loss = s1 + s2 + 2 s3.
    assert_same(w.grad, [1 + 2 * (2 * 2 + 2)])
    assert_same(x.grad, [[1 + 2 + 2 * 4], [1 + 2 * 2], [2]])


def test_foreach_refuses_what_is_no_array_or_changes(rows):
    zero = nd.zeros((2,))
    with pytest.raises(AssertionError, match="data must be an NDArray"):
        contrib.foreach(lambda x, s: (x, s), 3, zero)
    with pytest.raises(AssertionError, match="init_states"):
        contrib.foreach(lambda x, s: (x, s), rows, [3])
    with pytest.raises(ValueError, match="one first extent"):
        contrib.foreach(lambda x, s: (x, s), [rows, nd.zeros((2, 2))], zero)
    with pytest.raises(ValueError, match="at least 1"):
        contrib.foreach(lambda x, s: (x, s), nd.zeros((0, 2)), zero)
    with pytest.raises(ValueError, match="states of the form"):
        contrib.foreach(lambda x, s: (x, [s, s]), rows, zero)
    count = iter(range(9))
    with pytest.raises(ValueError, match="outputs of one form"):
        contrib.foreach(lambda x, s: ([x] * next(count), s), rows, zero)


def steps(limit, maximum):
    return contrib.while_loop(
        lambda i, s: i <= limit,
        lambda i, s: ([i + s], [i + 1, s + i]),
        (nd.array([0]), nd.array([1])),
        max_iterations=maximum,
    )


def test_while_loop():
    outputs, variables = steps(5, 10)
    assert_same(outputs[0], np.array([[1, 2, 4, 7, 11, 16, 0, 0, 0, 0]]).T)
    assert_same(variables[0], [6])
    assert_same(variables[1], [16])
    outputs, variables = steps(5, 3)
    assert_same(outputs[0], [[1], [2], [4]])
    assert_same(variables[0], [3])
    assert steps(-1, 3)[0] == []


def test_while_loop_of_one_variable():
    outputs, i = contrib.while_loop(lambda i: i < 3, lambda i: (i * 2, i + 1), nd.array([0]), 5)
    assert_same(outputs, [[0], [2], [4], [0], [0]])
    assert_same(i, [3])
    assert contrib.while_loop(lambda i: i < 3, lambda i: (None, i + 1), nd.array([0]), 5)[0] == []


def test_gradients_flow_through_a_while_loop():
    x = variable([1.5])
    with autograd.record():
        _, (_, power) = contrib.while_loop(
            lambda i, p: i < 3, lambda i, p: ([], [i + 1, p * x]), [nd.array([0]), nd.ones((1,))], 9
        )
    power.backward()
    assert_same(x.grad, [3 * 1.5**2])


def test_while_loop_refuses_what_cannot_be():
    one, more = [nd.array([0])], lambda i: (i, [i + 1])
    cases = [
        (lambda i: i < 3, more, one, None, "max_iterations must be given"),
        (lambda i: i < 3, more, one, "a", "must be an integer"),
        (lambda i: i < 3, more, [], 2, "at least one"),
        (lambda i: i < 3, lambda i: (i, [i, i]), one, 2, "2 variables, it was given 1"),
        (lambda i: nd.ones((2,)), more, one, 2, r"scalar, got an array of shape \(2,\)"),
    ]
    for condition, func, variables, maximum, message in cases:
        with pytest.raises(ValueError, match=message):
            contrib.while_loop(condition, func, variables, maximum)


def test_cond_calls_one_function():
    x = nd.ones((2,))
    assert_same(contrib.cond(nd.array([1]), lambda: x + 1, lambda: x), [2, 2])
    assert_same(contrib.cond(nd.array([0]), lambda: [x], lambda: [x * 5])[0], [5, 5])
    assert contrib.cond(True, lambda: 3, lambda: pytest.fail("called both")) == 3
    with pytest.raises(ValueError, match="scalar"):
        contrib.cond(nd.ones((2,)), lambda: x, lambda: x)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_kinds_of_numbers(dtype):
    x = nd.array([1, np.inf, -np.inf, np.nan, 0], dtype=dtype)
    for name, expected in (("isinf", np.isinf), ("isnan", np.isnan), ("isfinite", np.isfinite)):
        result = getattr(contrib, name)(x)
        assert result.dtype == np.dtype(dtype)
        assert_same(result, expected(x.asnumpy()))


def test_whole_numbers_are_finite():
    x = nd.array([0, 127], dtype="int8")
    assert_same(contrib.isinf(x), [0, 0])
    assert_same(contrib.isnan(x), [0, 0])
    assert_same(contrib.isfinite(x), [1, 1])
