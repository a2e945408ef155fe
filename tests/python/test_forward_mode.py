"""Forward mode of every operator with a gradient, against reverse mode."""

import numpy as np
import pytest

import gradient_matrix as matrix
import mxtape as mx
from mxtape import autograd

ROWS = [row for row in matrix.all_rows() if row.loss is None]
# A sample.
SECOND = [row for i, row in enumerate(ROWS) if row.order > 1 and i % 7 == 0]


def directions(arrays, seed):
    random = np.random.RandomState(seed)
    return [mx.nd.array(random.uniform(-1, 1, a.shape), dtype=a.dtype) for a in arrays]


def function_of(row):
    """The row's call as a function of the inputs that are differentiated, and these."""
    values, floating = matrix.draw(row)
    inputs = matrix.as_arrays(values)
    chosen = [i for i, is_floating in enumerate(floating) if is_floating]

    def f(*arrays):
        everything = list(inputs)
        for i, array in zip(chosen, arrays):
            everything[i] = array
        return [y for y in matrix.call(row, everything) if np.dtype(y.dtype).kind == "f"]

    return f, [inputs[i] for i in chosen]


def inner(xs, ys):
    return sum((x * y).sum().item() for x, y in zip(xs, ys))


def scale(xs, ys):
    return sum(abs(x * y).sum().item() for x, y in zip(xs, ys))


def check_transposed(f, arrays):
    """<jvp(t), u> is <t, vjp(u)>."""
    if not f(*arrays):
        return  # whole numbers only
    tangents = directions(arrays, 1)
    outputs, pushed = autograd.jvp(f, tuple(arrays), tuple(tangents))
    weights = directions(outputs, 2)
    pulled = autograd.vjp(f, *arrays)[1](weights)
    for result, output in zip(pushed, outputs):
        assert (result.shape, result.dtype) == (output.shape, output.dtype)
    tolerance = 1e-10 * max(scale(pushed, weights), scale(pulled, tangents), 1e-30)
    assert inner(pushed, weights) == pytest.approx(inner(pulled, tangents), abs=tolerance)


@pytest.mark.parametrize("row", ROWS, ids=matrix.row_id)
def test_forward_is_reverse_transposed(row):
    f, arrays = function_of(row)
    if arrays:
        with autograd.train_mode():
            check_transposed(f, arrays)


def test_one_input_moves_alone():
    """Then a node may not know the shapes of the others."""
    seen = set()
    for row in ROWS:
        f, arrays = function_of(row)
        if row.op in seen or len(arrays) < 2:
            continue
        seen.add(row.op)
        with autograd.train_mode():
            for i, array in enumerate(arrays):
                before, after = arrays[:i], arrays[i + 1 :]
                check_transposed(lambda x, b=before, a=after, f=f: f(*b, x, *a), [array])


@pytest.mark.parametrize("row", SECOND, ids=matrix.row_id)
def test_tangents_have_derivatives(row):
    """jvp of vjp against vjp of vjp: the tangent of a gradient, forward and backward."""
    f, arrays = function_of(row)
    if not arrays or not f(*arrays):
        pytest.skip("nothing to differentiate")
    with autograd.train_mode():
        weights = directions(f(*arrays), 2)
        tangents = tuple(directions(arrays, 1))
        check_transposed(lambda *x: list(autograd.vjp(f, *x)[1](weights)), arrays)
        check_transposed(lambda *x: autograd.jvp(f, x, tangents)[1], arrays)


@pytest.mark.parametrize("mode", ["forward", "reverse"])
@pytest.mark.parametrize("row", SECOND[::3], ids=matrix.row_id)
def test_jacobians_by_vmap_equal_those_of_a_loop(row, mode, monkeypatch):
    f, arrays = function_of(row)
    if not arrays or not f(*arrays):
        pytest.skip("nothing to differentiate")
    transform = autograd.jacobian(lambda *x: f(*x), list(range(len(arrays))), mode)
    batched = transform(*arrays)

    def no_rule(image):
        raise mx.base.MXNetError

    monkeypatch.setattr(autograd.transforms, "vmap", no_rule)
    for got, expected in zip(batched, transform(*arrays)):
        for ours, theirs in zip(got, expected):
            np.testing.assert_allclose(ours.asnumpy(), theirs.asnumpy(), 1e-11, 1e-13)
