"""Rows of the gradient matrix: deformable convolutions and their columns."""

import numpy as np

from gradient_row import Row


def displace(which):
    """Offsets are drawn between pixels; this takes them up to two pixels away, also outside."""

    def prepare(nd, *inputs):
        shape = inputs[which].shape
        pixels = (np.arange(np.prod(shape)) * 7 % 5 - 2).reshape(shape)
        moved = inputs[which] + nd.array(pixels, dtype=inputs[which].dtype)
        return [*inputs[:which], moved, *inputs[which + 1 :]]

    return prepare


ANY, BETWEEN = (-2, 2), (0.15, 0.85)
WINDOW = {"kernel": (2, 2)}
GROUPS = {"num_deformable_group": 2}
SPARSE = {"kernel": (2, 1), "stride": (2, 1), "dilate": (1, 2), "pad": (1, 0)}

ROWS = []
for masked in (False, True):
    op = f"_contrib_{'Modulated' if masked else ''}DeformableConvolution"
    for shapes, params in (
        (
            [(1, 2, 3, 4), (1, 8, 2, 3), (1, 4, 2, 3), (3, 2, 2, 2), (3,)],
            {"num_filter": 3, **WINDOW},
        ),
        (
            [(2, 4, 3, 2), (2, 8, 2, 2), (2, 4, 2, 2), (2, 2, 2, 1)],
            {"num_filter": 2, "num_group": 2, "no_bias": True, **GROUPS, **SPARSE},
        ),
        (
            [(1, 2, 3, 3), (1, 4, 3, 3), (1, 2, 3, 3), (1, 2, 1, 1)],
            {"kernel": (1, 1), "num_filter": 1, "no_bias": True, **GROUPS},
        ),
    ):
        if not masked:
            del shapes[2]
        domain = tuple(BETWEEN if i == 1 else ANY for i in range(len(shapes)))
        ROWS.append(Row(op, shapes, params, domain=domain, prepare=displace(1)))
for extend in (False, True):
    for dy in (False, True):
        for dx in (False, True):
            which = {"extend": extend, "dy": dy, "dx": dx}
            for data, columns, offset, params in (
                ((1, 2, 3, 3), (1, 8, 4), (1, 8, 2, 2), {**WINDOW, **which}),
                ((1, 2, 3, 2), (1, 4, 4), (1, 8, 2, 2), {**SPARSE, **GROUPS, **which}),
            ):
                ROWS += [
                    Row(
                        "_deformable_columns",
                        [data, offset],
                        params,
                        domain=(ANY, BETWEEN),
                        prepare=displace(1),
                    ),
                    Row(
                        "_backward_deformable_data",
                        [columns, offset],
                        {"shape": data, **params},
                        domain=(ANY, BETWEEN),
                        prepare=displace(1),
                    ),
                    Row(
                        "_backward_deformable_offset",
                        [columns, data, offset],
                        params,
                        domain=(ANY, ANY, BETWEEN),
                        prepare=displace(2),
                    ),
                ]

# Proposals have a gradient of zeros, as MXNet's.
PROPOSALS = {"scales": (1, 2), "ratios": (1,), "rpn_post_nms_top_n": 5, "output_score": True}
INFO = np.array([[32.0, 48.0, 1.0]])
for op in ("_contrib_Proposal", "_contrib_MultiProposal"):
    ROWS.append(
        Row(
            op,
            [(1, 4, 2, 3), (1, 8, 2, 3), INFO],
            PROPOSALS,
            loss=lambda mx, scores, moves, info: scores.sum() * 0,
        )
    )

# Regions inside of the image, whose samples lie between pixels and stay there.
ROIS = np.array([[0, 1, 1, 4, 4], [0, 0.6, 1, 3.4, 3]])
SIZES = {"spatial_scale": 0.9, "pooled_size": 2}
PARTS = {"output_dim": 2, "group_size": 2, "trans_std": 0.01, **SIZES}
HALVES = {**PARTS, "part_size": 1, "sample_per_part": 2}
STILL = {"output_dim": 1, "group_size": 1, "no_trans": True, **SIZES}
DATA, HEAD = (1, 8, 6, 6), (2, 2, 2, 2)
ROWS.append(Row("_contrib_DeformablePSROIPooling", [(1, 1, 6, 6), ROIS], STILL))
ROWS.append(Row("_displaced_pooling", [(1, 1, 6, 6), ROIS], STILL))
ROWS.append(Row("_backward_displaced_data", [(2, 1, 2, 2), ROIS], {"shape": (1, 1, 6, 6), **STILL}))
for trans, parts in (((2, 4, 2, 2), PARTS), ((2, 2, 1, 1), HALVES)):
    ROWS.append(Row("_contrib_DeformablePSROIPooling", [DATA, ROIS, trans], parts))
    for dy in (False, True):
        for dx in (False, True):
            which = {"dy": dy, "dx": dx, **parts, "trans_std": 0.02}
            ROWS += [
                Row("_displaced_pooling", [DATA, ROIS, trans], which),
                Row("_backward_displaced_data", [HEAD, ROIS, trans], {"shape": DATA, **which}),
                Row("_backward_displaced_trans", [HEAD, DATA, ROIS, trans], which),
            ]
