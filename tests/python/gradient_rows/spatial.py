"""Rows of the gradient matrix: grids, bilinear sampling, pooling of regions, correlation."""

import numpy as np

from gradient_row import Row

# Places in an image of 4 by 5, inside, at its rim and outside, none on the border of a cell.
PLACES = ((-2, 2), (-1.31, 1.37))
ROIS = np.array([[0, 0, 0, 4, 3], [1, 1.2, 0.7, 3.4, 5.1], [1, -3, -2, 2, 2]])
MAXIMA = np.array([3, 0, -1, 7, 3, 3, 1, 5] * 3).reshape(3, 2, 2, 2)
ALIGN = {"pooled_size": (2, 2), "spatial_scale": 0.8}
PARTS = {"spatial_scale": 0.8, "output_dim": 2, "pooled_size": 2}
AFFINE = {"transform_type": "affine", "sampler_type": "bilinear"}
# Elements of the two images of a correlation are nowhere equal, nor zero.
APART = ((0.3, 2), (-2, -0.2))
FIXED = [np.sin(k + np.arange(24.0)).reshape(1, 2, 3, 4) for k in (0.3, 1.7)]
PATCHES = {"kernel_size": 3, "max_displacement": 2, "stride1": 2, "stride2": 2, "pad_size": 3}

ROWS = [
    Row("GridGenerator", [(2, 6)], {"transform_type": "affine", "target_shape": (2, 3)}),
    Row("GridGenerator", [(2, 6)], {"transform_type": "affine", "target_shape": (1, 3)}),
    Row("GridGenerator", [(2, 2, 2, 3)], {"transform_type": "warp"}),
    Row("GridGenerator", [(1, 2, 3, 1)], {"transform_type": "warp"}),
    Row("BilinearSampler", [(2, 2, 4, 5), (2, 2, 2, 3)], domain=PLACES),
    Row("BilinearSampler", [(1, 1, 1, 3), (1, 2, 1, 3)], domain=PLACES),
    Row(
        "SpatialTransformer",
        [(2, 2, 4, 5), (2, 6)],
        {"target_shape": (3, 2), **AFFINE},
        domain=((-2, 2), (-0.9, 0.7)),
    ),
    Row("ROIPooling", [(2, 2, 5, 6), ROIS], {"pooled_size": (2, 2), "spatial_scale": 0.7}),
    Row("_roi_maxima", [(2, 2, 2, 4), ROIS, MAXIMA]),
    Row("_backward_ROIPooling", [(3, 2, 2, 2), ROIS, MAXIMA], {"shape": (2, 2, 2, 4)}),
    Row("_contrib_ROIAlign", [(2, 4, 4, 5), ROIS], ALIGN),
    Row("_contrib_ROIAlign", [(2, 4, 4, 5), ROIS], {"sample_ratio": 2, "aligned": True, **ALIGN}),
    Row("_contrib_ROIAlign", [(2, 8, 4, 5), ROIS], {"position_sensitive": True, **ALIGN}),
    Row("_backward_ROIAlign", [(3, 4, 2, 2), ROIS], {"shape": (2, 4, 4, 5), **ALIGN}),
    Row(
        "_backward_ROIAlign",
        [(3, 2, 2, 2), ROIS],
        {"shape": (2, 8, 4, 5), "position_sensitive": True, **ALIGN},
    ),
    Row("_contrib_PSROIPooling", [(2, 8, 5, 6), ROIS], PARTS),
    Row("_contrib_PSROIPooling", [(2, 2, 5, 6), ROIS], {**PARTS, "group_size": 1}),
    Row("_backward_PSROIPooling", [(3, 2, 2, 2), ROIS], {"shape": (2, 8, 5, 6), **PARTS}),
    Row("Correlation", [(2, 2, 3, 4)] * 2, {"pad_size": 1}),
    Row("Correlation", [(1, 2, 4, 5)] * 2, PATCHES),
    Row("Correlation", [(1, 2, 4, 5)] * 2, {"is_multiply": False, **PATCHES}, domain=APART),
]
for dx in (False, True):
    for dy in (False, True):
        which = {"dx": dx, "dy": dy}
        ROWS += [
            Row("_bilinear_sample", [(1, 2, 4, 5), (1, 2, 2, 2)], which, domain=PLACES),
            Row(
                "_backward_bilinear_data",
                [(1, 2, 2, 2), (1, 2, 2, 2)],
                {"height": 4, "width": 5, **which},
                domain=PLACES,
            ),
            Row(
                "_backward_bilinear_grid",
                [(1, 2, 2, 2), (1, 2, 4, 5), (1, 2, 2, 2)],
                which,
                domain=((-2, 2), *PLACES),
            ),
        ]
for image in (0, 1):
    for is_multiply in (True, False):
        which = {"image": image, "is_multiply": is_multiply, "pad_size": 1}
        ROWS.append(
            Row("_backward_Correlation", [(1, 9, 3, 4)] + [(1, 2, 3, 4)] * 2, which)
            if is_multiply
            else Row(
                "_backward_Correlation",
                [(1, 9, 3, 4)] + [(1, 2, 3, 4)] * 2,
                which,
                domain=((-2, 2), *APART),
            )
        )
    ROWS.append(Row("_correlation_signs", [(1, 2, 3, 4), *FIXED], {"image": image, "pad_size": 1}))
