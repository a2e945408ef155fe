"""The range matrix: see range_matrix.py for what is counted, range_bounds.py for the bounds."""

import numpy as np
import pytest

import range_matrix
from mxtape._loader import core
from range_bounds import BOUNDS, EXCEPTIONS
from range_matrix import FORMATS, all_rows, errors, measure, truths

ROWS = all_rows()


def test_every_pointwise_operator_has_a_row():
    covered = {row.label.split("(")[0] for row in ROWS}
    pointwise = {
        name
        for name in core.op_names()
        if core.describe_op(name)["pointwise"] and core.describe_op(name)["has_gradient"]
    }
    # What gradients are computed with is tested by the gradients; the operators of sparse arrays
    # compute what the plain ones do.
    inner = ("_backward_", "_masked_", "_contrib_backward_", "_gaussian", "_one_minus_square")
    inner += ("_scatter_",)
    assert len(pointwise) > 100
    assert {name for name in pointwise - covered if not name.startswith(inner)} == set()
    assert set(BOUNDS) == {row.family for row in ROWS}


def describe(row, dtype, order, points, result, truth, error):
    worst = np.argsort(-error)[:5]
    lines = [
        f"{row.label} of {tuple(float(p[i]) for p in points)} in {dtype}: {result[i]!r}, "
        f"the truth is {truth.kind[i]} {truth.high[i]!r}, off by {error[i]:.3g} ulp"
        for i in worst
    ]
    return f"order {order}, allowed {BOUNDS[row.family][order]} ulp\n" + "\n".join(lines)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.label)
def test_range(row):
    for dtype in FORMATS:
        for order, i, points, result, truth, error in measure(row, dtype):
            for excuse in EXCEPTIONS.get((row.family, order, i), ()):
                error = np.where(excuse.covers(dtype, *points), 0.0, error)
            message = describe(row, dtype, order, points, result, truth, error)
            assert (error <= BOUNDS[row.family][order]).all(), message


def test_an_error_is_counted():
    """The check itself: what is wrong in each of the ways that it is there to find."""
    x = np.array([1e-3, 1.0, 3.0])
    truth = truths(range_matrix.references.UNARY["exp"][0], x)
    exact = np.exp(x)
    assert (errors(exact, truth, "float64", 0) <= 1).all()
    for wrong in (0.0, np.nan, np.inf, -exact[0]):
        found = errors(np.array([wrong, *exact[1:]]), truth, "float64", 1)
        assert found[0] > 1e10
        assert (found[1:] <= 1).all()
    off = errors(exact * (1 + 2.0**-20), truth, "float32", 0)
    assert ((off > 3) & (off < 17)).all()


def test_truths_that_are_no_numbers():
    value, first, _ = range_matrix.references.UNARY["log"]
    x = np.array([-1.0, 0.0, np.nan, np.inf])
    assert np.isfinite(
        errors(np.array([np.nan, -np.inf, np.nan, np.inf]), truths(value, x), "float32", 0)
    ).all()
    wrong = errors(np.array([0.0, 1.0, 1.0, 1.0]), truths(value, x), "float32", 0)
    assert np.isinf(wrong).all()
    assert np.isinf(
        errors(np.array([0.0, 0.0, 0.0, 1.0]), truths(first, x), "float32", 1)[[1, 3]]
    ).all()
