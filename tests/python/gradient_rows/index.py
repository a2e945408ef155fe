"""Rows of the gradient matrix: operators that look up, gather, scatter and select."""

import numpy as np

from gradient_row import Ints, Row

# Distinct places, so that what scatter_nd writes is differentiable; gathering may repeat them.
PLACES = np.array([[0, 2, 1], [1, 0, -1]])
REPEATED = np.array([[0, 2, 0, 2], [1, 0, 1, -1]])
OUTSIDE = np.array([-7, -1, 0, 5, 12])

ROWS = [
    Row("take", [(5, 3), Ints((2, 2), below=5)], {"axis": 0, "mode": "clip"}),
    Row("take", [(2, 4, 3), Ints((6,), below=4)], {"axis": 1, "mode": "raise"}),
    Row("take", [(2, 4), OUTSIDE], {"axis": -1, "mode": "wrap"}),
    Row("take", [(2, 4), OUTSIDE], {"axis": -1}),
    Row("_backward_take", [(2, 2, 3), Ints((2, 2), below=5)], {"shape": (5, 3)}),
    Row("_backward_take", [(2, 5), OUTSIDE], {"shape": (2, 4), "axis": 1, "mode": "wrap"}),
    Row("batch_take", [(4, 3), np.array([0, 2, 1, 7], dtype="int32")]),
    Row("pick", [(4, 3), Ints((4,), below=3)]),
    Row("pick", [(2, 3, 4), Ints((2, 1, 4), below=3)], {"axis": 1, "keepdims": True}),
    Row("pick", [(4, 5), OUTSIDE], {"axis": 0, "mode": "wrap"}),
    Row("Embedding", [Ints((2, 3), below=4), (4, 3)], {"input_dim": 4, "output_dim": 3}),
    Row("one_hot", [(3,)], {"depth": 4}, domain=(0.1, 3.7)),
    Row("gather_nd", [(3, 2, 2), REPEATED]),
    Row("gather_nd", [(3, 2), REPEATED]),
    Row("_backward_gather_nd", [(4, 2), REPEATED], {"shape": (3, 2, 2)}),
    Row("scatter_nd", [(3, 2), PLACES], {"shape": (3, 2, 2)}),
    Row("_scatter_set_nd", [(3, 2), (3,), PLACES], {"shape": (3, 2)}),
    Row("where", [np.array([[1.0, 0.0], [0.0, -2.0]]), (2, 2), (2, 2)]),
    Row("where", [np.array([1, 0, 3]), (3, 2), (3, 2)]),
]
