"""Batch normalisation: which statistics it uses, gamma, axes, and the statistics as outputs."""

import numpy as np

from gradient_row import Row

MEAN, VAR = np.array([0.25, -0.5, 1.0]), np.array([0.5, 1.5, 2.0])


def rows(op, **extra):
    channels = [(3,), (3,), MEAN, VAR]
    return [
        Row(op, [(2, 3, 4), *channels], {"fix_gamma": False, **extra}),
        Row(op, [(5, 3), *channels], {"fix_gamma": False, "eps": 0.1, **extra}),
        Row(op, [(2, 3, 4), *channels], extra),
        Row(op, [(2, 3, 4), *channels], {"fix_gamma": False, "use_global_stats": True, **extra}),
        Row(op, [(2, 3, 4), *channels], {"use_global_stats": True, **extra}),
    ]


CHANNELS = [(3,), (3,), MEAN, VAR]
# Statistics that are outputs carry gradients too.
SHOWN = {"fix_gamma": False, "output_mean_var": True}
ROWS = [
    *rows("BatchNorm"),
    Row("BatchNorm", [(2, 4, 3), *CHANNELS], {"fix_gamma": False, "axis": -1}),
    Row("BatchNorm", [(3, 4), *CHANNELS], {"fix_gamma": False, "axis": 0}),
    # Planes of 20 elements, and a matrix of more than one block.
    Row("BatchNorm", [(2, 3, 4, 5), *CHANNELS], {"fix_gamma": False}),
    Row("BatchNorm", [(70, 3), *CHANNELS], {"fix_gamma": False, "axis": 1}),
    Row("BatchNorm", [(2, 3, 4), *CHANNELS], SHOWN),
    Row("BatchNorm", [(2, 3, 4), *CHANNELS], {"output_mean_var": True, "use_global_stats": True}),
    Row("BatchNorm", [(4, 1, 6), (1,), (1,), MEAN[:1], VAR[:1]], {"fix_gamma": False}),
    *rows("BatchNorm_v1")[:1],
    *rows("_contrib_SyncBatchNorm", key="layer"),
    *rows("_contrib_BatchNormWithReLU"),
    Row("_contrib_BatchNormWithReLU", [(2, 4, 3), *CHANNELS], {"fix_gamma": False, "axis": 2}),
]
ROWS += [
    Row(
        "_backward_BatchNorm",
        [shape, shape, (3,), (3,), (3,)],
        {"axis": axis, "batch": batch},
        domain=((-2, 2), (-2, 2), (-2, 2), (-1, 1), (0.5, 2)),
    )
    for batch in (True, False)
    for shape, axis in (((2, 3, 4), 1), ((4, 3), 1), ((3, 18), 0))
]
