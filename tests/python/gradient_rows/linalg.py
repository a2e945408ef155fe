"""Rows of the gradient matrix: products of matrices, and random operators that take an array."""

from gradient_row import Row


def _dot(lhs, rhs, transpose_a=False, transpose_b=False, op="dot"):
    return Row(op, [lhs, rhs], {"transpose_a": transpose_a, "transpose_b": transpose_b})


ROWS = [
    # Matrices, in every transposition.
    _dot((3, 4), (4, 2)),
    _dot((4, 3), (4, 2), True),
    _dot((3, 4), (2, 4), False, True),
    _dot((4, 3), (2, 4), True, True),
    # Vectors, alone and with matrices.
    _dot((4,), (4,)),
    _dot((4,), (4, 3)),
    _dot((4,), (4, 3), True),
    _dot((4,), (3, 4), False, True),
    _dot((3, 4), (4,)),
    _dot((4, 3), (4,), True),
    _dot((3, 4), (4,), False, True),
    # More axes.
    _dot((2, 3, 4), (4, 2)),
    _dot((3, 4), (4, 2, 2)),
    _dot((2, 2, 3), (3, 2, 2)),
    _dot((3, 2, 2), (3, 2, 2), True),
    _dot((2, 2, 3), (2, 2, 3), False, True),
    _dot((3, 2, 2), (2, 2, 3), True, True),
    _dot((2, 3, 4), (4,)),
    _dot((4, 2, 3), (4,), True),
    _dot((4,), (4, 2, 3)),
    _dot((4,), (2, 3, 4), False, True),
    # One element along the axis that is summed over, and one row.
    _dot((3, 1), (1, 4)),
    _dot((1, 4), (4, 1)),
    Row("dot", [(2, 3), (3, 2)], {"forward_stype": "default"}),
    _dot((2, 3, 4), (2, 4, 2), op="batch_dot"),
    _dot((2, 4, 3), (2, 4, 2), True, op="batch_dot"),
    _dot((2, 3, 4), (2, 2, 4), False, True, op="batch_dot"),
    _dot((2, 4, 3), (2, 2, 4), True, True, op="batch_dot"),
    _dot((2, 2, 3, 1), (2, 2, 1, 2), op="batch_dot"),
    Row("FullyConnected", [(2, 3), (4, 3), (4,)], {"num_hidden": 4}),
    Row("FullyConnected", [(2, 3), (4, 3)], {"num_hidden": 4, "no_bias": True}),
    Row("FullyConnected", [(2, 3, 2), (4, 6), (4,)], {"num_hidden": 4}),
    Row("FullyConnected", [(2, 3, 2), (4, 2), (4,)], {"num_hidden": 4, "flatten": False}),
    Row("FullyConnected", [(3,), (4, 3), (4,)], {"num_hidden": 4, "flatten": False}),
    Row("FullyConnected", [(3,), (2, 1), (2, 1)], {"num_hidden": 2}),
]
