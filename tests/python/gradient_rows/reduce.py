"""Reductions, and the scans that the gradient of a product is made of."""

import numpy as np

from gradient_row import Row

WITH_ZEROS = np.array([[0.0, 2.0, 3.0], [0.0, 0.0, -4.0], [1.5, -2.0, 0.5]])
AXES = [{}, {"axis": 1}, {"axis": (0, 2), "keepdims": True}, {"axis": 1, "exclude": True}]

ROWS = [Row(op, [(2, 3, 4)], params) for op in ("sum", "mean", "prod", "nansum") for params in AXES]
ROWS += [Row(op, [(2, 3, 4)], params) for op in ("max", "min", "nanprod") for params in AXES[:3]]
ROWS += [
    Row("norm", [(2, 3, 4)]),
    Row("norm", [(2, 3, 4)], {"axis": (0, 2), "keepdims": True}),
    Row("norm", [(2, 3, 4)], {"ord": 1}),
    Row("norm", [(2, 3, 4)], {"ord": 1, "axis": -1}),
    Row("argmax", [(3, 4)], {"axis": 1}),
    Row("argmin", [(3, 4)], {"axis": 0, "keepdims": True}),
    Row("argmax_channel", [(3, 4)]),
    Row("_backward_prod_cumulate", [(2, 3, 4)], {"axis": (1,)}),
    Row("_backward_prod_cumulate", [(2, 3, 4)], {"axis": (0, 2), "reverse": True}),
    Row("_backward_prod_scan", [(2, 3, 4), (2, 3, 4)], {"axis": (2,)}),
    Row("_backward_prod_scan", [(2, 3, 4), (2, 3, 4)], {"axis": (0, 1), "reverse": True}),
    Row("_backward_prod_scan", [(3, 3), WITH_ZEROS], {"axis": (0,)}),
]
