"""Rows of the gradient matrix: operators that change the shape alone."""

from gradient_row import Row

ROWS = [
    Row("Flatten", [(2, 3, 2)]),
    Row("expand_dims", [(2, 3)], {"axis": 1}),
    Row("expand_dims", [(2, 3)], {"axis": -1}),
    Row("squeeze", [(1, 3, 1)]),
    Row("squeeze", [(1, 3, 1)], {"axis": -1}),
    Row("squeeze", [(1, 1)], {"axis": (0, 1)}),
    Row("reshape_like", [(2, 3), (3, 2)]),
    Row("_identity_with_attr_like_rhs", [(2, 3), (2, 3)]),
    Row("reshape_like", [(6, 2), (2, 3, 4)], {"lhs_begin": 0, "lhs_end": 1, "rhs_end": 2}),
    Row("shape_array", [(2, 3)]),
    Row("size_array", [(2, 3)]),
]
