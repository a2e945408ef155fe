"""Rows of the gradient matrix: operators that repeat elements."""

from gradient_row import Row

ROWS = [
    Row("broadcast_to", [(1, 3, 1)], {"shape": (2, 3, 4)}),
    Row("broadcast_to", [(2, 1)], {"shape": (0, 3)}),
    Row("broadcast_axis", [(1, 3, 1)], {"axis": (0, 2), "size": (2, 4)}),
    Row("broadcast_axis", [(2, 1, 3)], {"axis": 1, "size": 2}),
    Row("broadcast_like", [(1, 3), (2, 3)]),
    Row("broadcast_like", [(1, 3, 1), (4, 2)], {"lhs_axes": (0, -1), "rhs_axes": (1, 0)}),
    Row("tile", [(2, 3)], {"reps": (2, 1)}),
    Row("tile", [(2, 3)], {"reps": (2, 1, 3)}),
    Row("tile", [(2, 1, 3)], {"reps": 2}),
    Row("repeat", [(2, 3)], {"repeats": 2}),
    Row("repeat", [(2, 3, 2)], {"repeats": 3, "axis": 1}),
    Row("repeat", [(2, 3)], {"repeats": 2, "axis": -1}),
]
