"""Rows of the gradient matrix: operators that put arrays together or take them apart."""

from gradient_row import Row

ROWS = [
    Row("Concat", [(2, 3), (2, 1), (2, 2)]),
    Row("Concat", [(1, 3, 2), (2, 3, 2)], {"dim": 0}),
    Row("Concat", [(2, 1, 2), (2, 1, 3)], {"dim": -1}),
    Row("_rnn_param_concat", [(3,), (2,)], {"dim": 0}),
    Row("stack", [(2, 3), (2, 3)]),
    Row("stack", [(2, 3), (2, 3), (2, 3)], {"axis": -1}),
    Row("SliceChannel", [(2, 4)], {"num_outputs": 2}),
    Row("SliceChannel", [(3, 2, 2)], {"num_outputs": 3, "axis": 0, "squeeze_axis": True}),
    Row("_split_v2", [(5, 2)], {"indices": (0, 1, 3), "axis": 0}),
    Row("_split_v2", [(2, 5)], {"indices": (), "axis": -1, "sections": 3}),
    Row("_split_v2", [(2, 2)], {"indices": (0, 1), "axis": 1, "squeeze_axis": True}),
]
