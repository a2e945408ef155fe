"""The gradient matrix: every operator, first and second order, against numeric differentiation."""

import numpy as np
import pytest

import mxtape as mx
from gradient_matrix import (
    FLOATS,
    all_rows,
    as_arrays,
    call,
    draw,
    numeric_gradient,
    objective,
    output_weights,
    row_id,
)
from mxtape import autograd, nd
from mxtape._loader import core

ROWS = all_rows()
FIRST_EPS, SECOND_EPS = 1e-4, 1e-4
# Of what float64 gives, relative to the largest element.
TOLERANCES = {"float32": 2e-5, "float16": 3e-2, "bfloat16": 6e-2}


def held_by(dtype, values):
    """The values, rounded to `dtype`, in float64."""
    return nd.array(values, dtype="float64").astype(dtype).astype("float64").asnumpy()


def value_of(row, values, weights):
    with autograd.train_mode():
        inputs = as_arrays(values)
        if row.loss is not None:
            return float(row.loss(mx, *inputs).sum().asscalar())
        return float(objective(row, inputs, weights).asscalar())


def first_gradients(row, values, floating, weights, dtype="float64"):
    """The engine's gradients of the differentiated inputs, as NumPy arrays."""
    inputs = as_arrays(values, dtype)
    variables = [x for x, is_float in zip(inputs, floating) if is_float]
    for x in variables:
        x.attach_grad()
    with autograd.record():
        outputs = call(row, inputs) if row.loss else [objective(row, inputs, weights)]
    autograd.backward(outputs)
    return [x.grad.asnumpy() for x in variables]


def second_gradients(row, values, floating, weights, directions, dtype="float64"):
    """The engine's gradients of the contraction of the first gradients with `directions`."""
    inputs = as_arrays(values, dtype)
    variables = [x for x, is_float in zip(inputs, floating) if is_float]
    for x in variables:
        x.attach_grad()
    with autograd.record():
        gradients = autograd.grad(objective(row, inputs, weights), variables, create_graph=True)
        total = nd.zeros((1,), dtype=dtype)
        for gradient, direction in zip(gradients, directions):
            total = total + (gradient * nd.array(direction, dtype=dtype)).sum()
    total.backward()
    return [x.grad.asnumpy() for x in variables]


def assert_close(actual, expected, rtol, atol, what):
    scale = max(1.0, float(np.abs(expected).max(initial=0)))
    np.testing.assert_allclose(actual, expected, rtol=rtol, atol=atol * scale, err_msg=what)


def test_every_operator_has_a_row():
    covered = {row.op for row in ROWS}
    names = [n for n in core.op_names() if core.describe_op(n)["has_gradient"]]
    assert len(names) > 100
    assert [name for name in names if name not in covered] == []


def test_no_gradient_is_a_decision():
    for name in core.op_names():
        info = core.describe_op(name)
        assert info["has_gradient"] != bool(info["no_grad_reason"]), name


def test_a_wrong_gradient_is_noticed():
    """The check itself: a gradient that is off by a percent does not pass."""
    with pytest.raises(AssertionError):
        assert_close(np.array([1.01]), np.array([1.0]), 1e-6, 1e-7, "")


@pytest.mark.parametrize("row", ROWS, ids=row_id)
def test_first_order(row):
    values, floating = draw(row)
    weights = output_weights(row, as_arrays(values))
    actual = first_gradients(row, values, floating, weights)
    which = [i for i, is_float in enumerate(floating) if is_float]
    assert which, "the row differentiates nothing"
    for i, gradient in zip(which, actual):
        expected = numeric_gradient(lambda v: value_of(row, v, weights), values, i, FIRST_EPS)
        assert_close(gradient, expected, 1e-6, 1e-7, f"input {i}")


@pytest.mark.parametrize("row", [r for r in ROWS if r.order > 1 and r.loss is None], ids=row_id)
def test_second_order(row):
    """A random directional derivative of the first gradients, differentiated again."""
    values, floating = draw(row)
    weights = output_weights(row, as_arrays(values))
    which = [i for i, is_float in enumerate(floating) if is_float]
    random = np.random.RandomState(3)
    directions = [random.uniform(-1, 1, values[i].shape) for i in which]

    def contraction(arrays):
        gradients = first_gradients(row, arrays, floating, weights)
        return sum(float((g * d).sum()) for g, d in zip(gradients, directions))

    actual = second_gradients(row, values, floating, weights, directions)
    for k, i in enumerate(which):
        expected = numeric_gradient(contraction, values, i, SECOND_EPS)
        assert_close(actual[k], expected, 1e-5, 1e-6, f"input {i}")


@pytest.mark.parametrize("dtype", [d for d in FLOATS if d != "float64"])
@pytest.mark.parametrize("row", ROWS, ids=row_id)
def test_other_floats_agree(row, dtype):
    """The gradients of both orders in the other types are those of float64, rounded."""
    values, floating = draw(row)
    # Values that both types hold exactly.
    kept = "float16" if dtype == "float32" else dtype
    values = [held_by(kept, v) if f else v for v, f in zip(values, floating)]
    try:
        with autograd.pause(train_mode=True):
            call(row, as_arrays(values, dtype))
    except mx.MXNetError as error:
        pytest.skip(f"refuses {dtype}: {error}")
    exact = as_arrays(values)
    weights = output_weights(row, exact)
    weights = [w.astype(kept).astype("float64") for w in weights]
    expected = first_gradients(row, values, floating, weights)
    actual = first_gradients(row, values, floating, [w.astype(dtype) for w in weights], dtype)
    if row.order > 1 and row.loss is None:
        random = np.random.RandomState(3)
        shapes = [v.shape for v, is_float in zip(values, floating) if is_float]
        directions = [held_by(kept, random.uniform(-1, 1, shape)) for shape in shapes]
        for order_two, weighted, kind in ((expected, weights, "float64"), (actual, None, dtype)):
            weighted = weighted or [w.astype(dtype) for w in weights]
            order_two += second_gradients(row, values, floating, weighted, directions, kind)
    tolerance = TOLERANCES[dtype]
    for got, want in zip(actual, expected):
        assert got.dtype == np.dtype(dtype)
        assert_close(got.astype("float64"), want, tolerance, tolerance, dtype)
