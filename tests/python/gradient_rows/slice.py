"""Rows of the gradient matrix: operators that read or write a regular part of an array."""

from gradient_row import Row

ROWS = [
    Row("slice", [(4, 5)], {"begin": (1, None), "end": (3, None)}),
    Row("slice", [(4, 5)], {"begin": (None, 4), "end": (None, 0), "step": (2, -2)}),
    Row("slice", [(3, 4, 2)], {"begin": (-2,), "end": (None,)}),
    Row(
        "_backward_slice",
        [(2, 2)],
        {"shape": (4, 5), "begin": (None, 4), "end": (None, 0), "step": (2, -2)},
    ),
    Row("slice_axis", [(3, 4)], {"axis": 1, "begin": 1, "end": -1}),
    Row("slice_axis", [(3, 4)], {"axis": -2, "begin": -2, "end": None}),
    Row("slice_like", [(3, 4), (2, 3)]),
    Row("slice_like", [(3, 4, 2), (2, 3)], {"axes": (0, -2)}),
    Row("_slice_assign", [(4, 3), (2, 3)], {"begin": (1,), "end": (3,)}),
    Row(
        "_slice_assign",
        [(4, 5), (4, 2)],
        {"begin": (None, 4), "end": (None, 0), "step": (-1, -2)},
    ),
    Row("_slice_assign_scalar", [(4, 3)], {"scalar": 2.5, "begin": (1, 0), "end": (3, 2)}),
]
