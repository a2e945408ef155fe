"""Rows of the gradient matrix: operators that reorder elements."""

from gradient_row import Row

ROWS = [
    Row("transpose", [(2, 3, 4)]),
    Row("transpose", [(2, 3, 4)], {"axes": (1, 2, 0)}),
    Row("transpose", [(2, 3, 1, 4)], {"axes": (0, 3, 2, 1)}),
    Row("SwapAxis", [(2, 3, 4)], {"dim1": 0, "dim2": 2}),
    Row("SwapAxis", [(2, 3, 4)], {"dim1": -1, "dim2": 1}),
    Row("reverse", [(2, 3, 4)], {"axis": 1}),
    Row("reverse", [(2, 3, 4)], {"axis": (0, 2)}),
]
