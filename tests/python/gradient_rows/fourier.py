"""Products of the columns of matrices, count sketches, Fourier transforms of every length."""

import numpy as np

from gradient_row import Row

HASHES, SIGNS = np.array([1.0, 3.0, 1.0]), np.array([1.0, -1.0, -1.0])

ROWS = [
    Row("khatri_rao", [(3, 2)]),
    Row("khatri_rao", [(2, 2), (3, 2)]),
    Row("khatri_rao", [(2, 2), (1, 2), (3, 2)]),
    Row("_contrib_count_sketch", [(2, 3), HASHES, SIGNS], {"out_dim": 4}),
    Row("_backward_contrib_count_sketch", [(2, 4), HASHES, SIGNS], {"out_dim": 4}),
]
for size in (1, 2, 3, 4, 7, 8):
    ROWS += [Row("_contrib_fft", [(2, size)]), Row("_contrib_ifft", [(2, 2 * size)])]
