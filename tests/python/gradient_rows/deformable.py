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
for op, mask in (("_contrib_DeformableConvolution", []), ("_contrib_ModulatedDeformableConvolution", [1])):
    for shapes, params in (
        ([(1, 2, 3, 4), (1, 8, 2, 3), (1, 4, 2, 3), (3, 2, 2, 2), (3,)], {"num_filter": 3, **WINDOW}),
        (
            [(2, 4, 3, 2), (2, 8, 2, 2), (2, 4, 2, 2), (2, 2, 2, 1)],
            {"num_filter": 2, "num_group": 2, "no_bias": True, **GROUPS, **SPARSE},
        ),
        (
            [(1, 2, 3, 3), (1, 4, 3, 3), (1, 2, 3, 3), (1, 2, 1, 1)],
            {"kernel": (1, 1), "num_filter": 1, "no_bias": True, **GROUPS},
        ),
    ):
        if not mask:
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
