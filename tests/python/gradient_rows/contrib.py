"""Operators of MXNet's contrib, the products of attention, casts of mixed precision."""

import numpy as np

from gradient_row import Row


def identity(mx, x):
    return x


MASK = np.array([1.0, 0.0, 0.5, 1.0])
ROWS = [
    Row("_contrib_div_sqrt_dim", [(2, 3)]),
    Row("_contrib_gradientmultiplier", [(2, 3)], {"scalar": -0.5}, loss=lambda mx, x: -0.5 * x),
    Row("_contrib_round_ste", [(2, 3)], loss=identity),
    Row("_contrib_sign_ste", [(2, 3)], loss=identity),
    Row("_contrib_quadratic", [(2, 3)], {"a": 1.5, "b": -2.0, "c": 0.25}),
    Row("_contrib_backward_quadratic", [(2, 3)] * 2, {"a": 1.5, "b": -2.0}),
    Row("_contrib_interleaved_matmul_selfatt_qk", [(3, 2, 12)], {"heads": 2}),
    Row("_contrib_interleaved_matmul_selfatt_qk", [(2, 1, 9)], {"heads": 1}),
    Row("_contrib_interleaved_matmul_selfatt_valatt", [(3, 2, 6), (4, 3, 3)], {"heads": 2}),
    Row("_contrib_interleaved_matmul_encdec_qk", [(3, 2, 4), (2, 2, 8)], {"heads": 2}),
    Row("_contrib_interleaved_matmul_encdec_valatt", [(2, 2, 4), (4, 3, 2)], {"heads": 2}),
    Row("_attention_part", [(3, 2, 12)], {"heads": 2, "parts": 3, "which": 1}),
    Row("_attention_join", [(4, 3, 2)], {"heads": 2, "parts": 3, "which": 1}),
    Row("_attention_join", [(4, 3, 2)] * 2, {"heads": 2, "parts": 3, "which": 1, "count": 2}),
    Row("_contrib_arange_like", [(2, 3)], {"start": 2.0, "step": 0.5}),
    Row("_contrib_index_array", [(2, 3)]),
    Row("_contrib_index_copy", [(4, 2), np.array([2.0, 0.0]), (2, 2)]),
    Row("_contrib_boolean_mask", [(4, 2), MASK]),
    Row("_backward_boolean_mask", [(3, 2), MASK]),
    Row("amp_cast", [(2, 3)], {"dtype": "float64"}),
    Row("amp_multicast", [(2, 3), (4,)], {"num_outputs": 2}),
]
