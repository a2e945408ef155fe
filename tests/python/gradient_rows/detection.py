"""Rows of the gradient matrix: boxes and detectors. Most of them have MXNet's gradient: zero."""

import numpy as np

from gradient_row import Row


def nothing(mx, *inputs):
    """What an operator claims to be the gradient of that gives zeros."""
    return sum((x.sum() for x in inputs), mx.nd.zeros((1,), dtype=inputs[0].dtype)) * 0


NOTE = "as in MXNet, the gradient is zero"
ANCHORS = np.array([[[0.1, 0.1, 0.5, 0.5], [0.3, 0.2, 0.9, 0.8], [0.6, 0.5, 0.8, 0.95]]])
LABELS = np.array([[[1.0, 0.15, 0.1, 0.5, 0.6], [0.0, 0.6, 0.5, 0.8, 0.9]]])
SOURCE = np.array([[2, -1, 0], [4, 3, -1]])
TARGET = np.array([[2, -1, 0], [4, 3, -1]])

ROWS = [
    Row("_contrib_box_iou", [(3, 4), (2, 4)], domain=(0, 1), loss=nothing, note=NOTE),
    Row("_contrib_box_nms", [(6, 6)], {"overlap_thresh": 0.2}, domain=(0.1, 2)),
    Row(
        "_contrib_box_nms",
        [(2, 5, 5)],
        {"coord_start": 1, "score_index": 0, "in_format": "center", "out_format": "center"},
        domain=(0.1, 2),
    ),
    Row("_contrib_box_nms", [(3, 6)], {"topk": 0}),
    Row("_box_rows", [(2, 3, 4), SOURCE, TARGET]),
    Row(
        "_contrib_box_encode",
        [np.ones((1, 3)), np.zeros((1, 3)), ANCHORS, ANCHORS[:, :1], (4,), (4,)],
        domain=(0.5, 1),
        loss=nothing,
        note=NOTE,
    ),
    Row("_contrib_box_decode", [(2, 3, 4), (1, 3, 4)], domain=(0.1, 1), loss=nothing, note=NOTE),
    Row("_contrib_bipartite_matching", [(3, 4)], {"threshold": 0.1}),
    Row("_contrib_MultiBoxPrior", [(1, 2, 2, 3)], {"sizes": (0.5, 0.3)}),
    Row(
        "_contrib_MultiBoxTarget",
        [ANCHORS, LABELS, (1, 3, 3)],
        {"negative_mining_ratio": 1.0},
    ),
    Row(
        "_contrib_MultiBoxDetection",
        [(1, 3, 3), (1, 12), ANCHORS],
        domain=(0.1, 0.5),
        loss=nothing,
        note=NOTE,
    ),
]
