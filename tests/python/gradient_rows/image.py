"""Rows of the gradient matrix: operators on images."""

from gradient_row import Row

FACTORS = {"min_factor": 0.5, "max_factor": 1.5}
CHANNELS = {"mean": (0.1, 0.2, 0.3), "std": (0.5, 0.25, 2.0)}

ROWS = [
    Row("_image_normalize", [(3, 2, 2)], CHANNELS),
    Row("_image_normalize", [(2, 1, 2, 3)], {"mean": (0.5,), "std": (0.25,)}),
    Row("_image_crop", [(3, 4, 1)], {"x": 1, "y": 0, "width": 2, "height": 2}),
    Row("_image_crop", [(2, 3, 3, 3)], {"x": 0, "y": 1, "width": 2, "height": 2}),
    Row("_image_flip_left_right", [(2, 3, 3)]),
    Row("_image_flip_top_bottom", [(3, 2, 1)]),
    Row("_image_random_flip_left_right", [(2, 3, 3)]),
    Row("_image_random_flip_top_bottom", [(3, 2, 1)]),
    Row("_image_random_brightness", [(2, 3, 3)], FACTORS),
    Row("_image_random_contrast", [(2, 3, 3)], FACTORS),
    Row("_image_random_contrast", [(2, 3, 1)], FACTORS),
    Row("_image_random_saturation", [(2, 3, 3)], FACTORS),
    Row("_image_random_saturation", [(2, 3, 1)], FACTORS),
    Row("_image_adjust_lighting", [(2, 2, 3)], {"alpha": (0.1, 0.2, 0.3)}),
    Row("_image_random_lighting", [(2, 2, 3)], {"alpha_std": 0.1}),
]
