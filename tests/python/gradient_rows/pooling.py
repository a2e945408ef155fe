"""Pooling, adaptive pooling, resizing: every parameter that changes which elements meet."""

import numpy as np

from gradient_row import Row

FULL = {"pooling_convention": "full"}
WINDOWS = [
    ((2, 2, 7), {"kernel": (3,)}),
    ((2, 2, 5, 6), {"kernel": (2, 3)}),
    ((2, 2, 5, 6), {"kernel": (3, 2), "stride": (2, 3), "pad": (1, 1)}),
    ((1, 2, 5, 6), {"kernel": (3, 3), "stride": (2, 3), **FULL}),
    ((1, 1, 4, 7), {"kernel": (3, 3), "stride": (2, 3), "pad": (1, 1), **FULL}),
    ((1, 2, 3, 4, 3), {"kernel": (2, 3, 2), "stride": (1, 2, 1), "pad": (1, 1, 0)}),
    ((2, 2, 3, 4), {"global_pool": True}),
    ((2, 4, 5, 3), {"kernel": (2, 3), "stride": (2, 2), "pad": (1, 1), "layout": "NHWC"}),
    ((2, 5, 3), {"kernel": (3,), "layout": "NWC"}),
    ((1, 3, 4, 3, 2), {"kernel": (2, 2, 2), "layout": "NDHWC"}),
    # More windows than are handled one by one.
    ((1, 2, 4, 21), {"kernel": (2, 3), "stride": (2, 1)}),
    ((1, 2, 4, 21), {"kernel": (2, 3), "stride": (2, 2), "pad": (0, 1)}),
    ((1, 2, 4, 31), {"kernel": (2, 3), "stride": (2, 3)}),
]
KINDS = [
    {},
    {"pool_type": "avg"},
    {"pool_type": "avg", "count_include_pad": False},
    {"pool_type": "sum"},
    {"pool_type": "lp", "p_value": 1},
    {"pool_type": "lp", "p_value": 2},
    {"pool_type": "lp", "p_value": 3},
]


def domain(kind):
    """Cube roots of sums need sums well away from 0."""
    return (0.5, 2) if kind.get("pool_type") == "lp" else (-2, 2)


ROWS = [
    Row("Pooling", [shape], {**window, **kind}, domain=domain(kind))
    for shape, window in WINDOWS
    for kind in KINDS
]
ROWS.append(
    Row("Pooling", [(2, 2, 8)], {"kernel": (2,), "stride": (3,), "pooling_convention": "same"})
)
ROWS += [
    Row("Pooling_v1", [shape], {**window, "pool_type": kind})
    for shape, window in WINDOWS[1:5] + WINDOWS[6:7]
    for kind in ("max", "avg", "sum")
]

GEOMETRY = {
    "data_shape": (1, 2, 4, 5),
    "out_shape": (1, 2, 2, 3),
    "kernel": (3, 2),
    "stride": (2, 2),
    "pad": (1, 1),
}
LAST = {
    "data_shape": (1, 4, 5, 2),
    "out_shape": (1, 2, 2, 2),
    "channels_last": True,
}
POSITIONS = np.array([[[[0, 2, 2], [12, 19, -1]], [[5, 5, 5], [7, 8, 9]]]], dtype="int32")
for divisor in ("one", "kernel", "padded", "inside"):
    ROWS += [
        Row("_pool_sum", [(1, 2, 4, 5)], {**GEOMETRY, "divisor": divisor}),
        Row("_backward_pool_sum", [(1, 2, 2, 3)], {**GEOMETRY, "divisor": divisor}),
    ]
ROWS += [
    Row("_pool_sum", [(1, 4, 5, 2)], LAST),
    Row("_backward_pool_sum", [(1, 2, 2, 2)], LAST),
    Row("_backward_pool_max", [(1, 2, 2, 3), POSITIONS], GEOMETRY),
    Row("_pool_max_gather", [(1, 2, 4, 5), POSITIONS], GEOMETRY),
    Row("_backward_pool_max", [(1, 2, 2, 2), POSITIONS[:, :, :, 1:]], LAST),
    Row("_pool_max_gather", [(1, 4, 5, 2), POSITIONS[:, :, :, 1:]], LAST),
]

ROWS += [
    Row("_contrib_AdaptiveAvgPooling2D", [(2, 2, 5, 4)], {"output_size": size})
    for size in ((), (1,), (3,), (2, 4), (7, 3), (5, 4))
]

ROWS += [
    Row("_contrib_BilinearResize2D", [(1, 2, 3, 4)], {"height": h, "width": w, "align_corners": c})
    for h, w in ((5, 7), (2, 2), (1, 3), (3, 4))
    for c in (True, False)
]
ROWS += [
    Row("_contrib_BilinearResize2D", [(1, 2, 3, 4)], params)
    for params in (
        {"scale_height": 1.7, "scale_width": 0.6},
        {"scale_height": 2.0, "scale_width": 1.5, "mode": "odd_scale"},
        *({"mode": f"to_{kind}"} for kind in ("even_down", "even_up", "odd_down", "odd_up")),
    )
]
ROWS.append(
    Row("_contrib_BilinearResize2D", [(1, 2, 3, 4), np.zeros((1, 1, 6, 5))], {"mode": "like"})
)
SIZES = {"from_size": (3, 4), "to_size": (5, 2)}
ROWS += [
    Row("_resize_bilinear", [(2, 1, 3, 4)], SIZES),
    Row("_backward_resize_bilinear", [(2, 1, 5, 2)], {**SIZES, "align_corners": False}),
]

NEAREST = {"sample_type": "nearest"}
ROWS += [
    Row("UpSampling", [(2, 2, 2, 3)], {"scale": 3, "num_args": 1, **NEAREST}),
    Row("UpSampling", [(1, 2, 2, 4), (1, 1, 1, 2)], {"scale": 2, "num_args": 2, **NEAREST}),
    Row(
        "UpSampling",
        [(1, 2, 2, 2), (1, 2, 4, 1)],
        {"scale": 2, "num_args": 2, "multi_input_mode": "sum", **NEAREST},
    ),
]
ROWS += [
    Row(
        "UpSampling",
        [(2, 2, 3, 2), (2, 1, k, k)],
        {"scale": scale, "num_args": 2, "num_filter": 2, "sample_type": "bilinear"},
    )
    for scale, k in ((1, 1), (2, 4), (3, 5))
]
SPREAD = {"small": (2, 2, 3, 2), "large": (2, 2, 6, 4), "scale": 2}
ROWS += [
    Row("_spread", [(2, 2, 3, 2), (2, 1, 4, 4)], SPREAD),
    Row("_backward_spread_data", [(2, 2, 6, 4), (2, 1, 4, 4)], SPREAD),
    Row("_backward_spread_weight", [(2, 2, 6, 4), (2, 2, 3, 2)], SPREAD),
]
