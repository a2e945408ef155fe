"""Rows of the gradient matrix: sorting, running sums, diagonals, blocks, ravelled indices."""

import numpy as np

from gradient_row import Row

# Distinct along axis 1, and along the flattened array.
PLACES = np.array([[2, 0], [1, 3], [3, 0]], dtype="int32")
FLAT = np.array([5, 0, 7], dtype="int64")
# Along axis 1 of (2, 4, 3).
INNER = np.array([[[0, 1, 3], [2, 0, 1]], [[3, 3, 0], [1, 2, 2]]], dtype="int32")

# Of (3, 4), wrapped around.
OUTSIDE = np.array([[-7, 2], [5, 0], [-1, 12]], dtype="int32")

ROWS = [
    Row("sort", [(3, 5)]),
    Row("sort", [(3, 4, 2)], {"axis": 1, "is_ascend": False}),
    Row("sort", [(3, 4)], {"axis": None}),
    Row("argsort", [(3, 4)]),
    Row("topk", [(3, 5)], {"k": 2, "ret_typ": "value"}),
    Row("topk", [(3, 4, 2)], {"k": 3, "ret_typ": "value", "axis": 1, "is_ascend": True}),
    Row("topk", [(3, 4)], {"k": 5, "ret_typ": "value", "axis": None}),
    Row("topk", [(3, 4)], {"k": 0, "ret_typ": "value", "axis": 0}),
    Row("topk", [(3, 4)], {"k": 2, "ret_typ": "mask"}),
    Row("topk", [(3, 4)], {"k": 2}),
    Row("_scatter_along", [(3, 2), PLACES], {"shape": (3, 4), "axis": 1}),
    Row("_scatter_along", [(2, 2, 3), INNER], {"shape": (2, 4, 3), "axis": -2}),
    Row("_scatter_along", [(3,), FLAT], {"shape": (2, 4)}),
    Row("_gather_along", [(3, 4), PLACES], {"axis": 1}),
    Row("_gather_along", [(2, 4, 3), INNER], {"axis": 1}),
    Row("_gather_along", [(2, 4), FLAT]),
    Row("_gather_along", [(3, 4), OUTSIDE], {"axis": 1, "mode": "wrap"}),
    Row("_scatter_along", [(3, 2), OUTSIDE], {"shape": (3, 4), "axis": 1, "mode": "wrap"}),
    Row("cumsum", [(2, 3)]),
    Row("cumsum", [(2, 3, 2)], {"axis": 1}),
    Row("cumsum", [(2, 3)], {"axis": -1}),
    Row("_backward_cumsum", [(2, 3)]),
    Row("_backward_cumsum", [(2, 3, 2)], {"axis": -2}),
    Row("diag", [(3, 4)]),
    Row("diag", [(4, 3)], {"k": -1}),
    Row("diag", [(3,)], {"k": 1}),
    Row("diag", [(3,)], {"k": -2}),
    Row("diag", [(2, 3, 4)], {"k": 1, "axis1": 2, "axis2": 0}),
    Row("_backward_diag", [(3,)], {"shape": (3, 4), "k": 1}),
    Row("_backward_diag", [(3, 2)], {"shape": (2, 3, 4), "k": -1, "axis1": 2, "axis2": 0}),
    Row("depth_to_space", [(2, 8, 1, 3)], {"block_size": 2}),
    Row("space_to_depth", [(1, 2, 3, 6)], {"block_size": 3}),
    Row("ravel_multi_index", [(2, 3)], {"shape": (4, 5)}, domain=(0.1, 3.7)),
    Row("unravel_index", [(4,)], {"shape": (4, 5)}, domain=(0.1, 17.7)),
    Row("cast_storage", [(2, 3)], {"stype": "default"}),
]
