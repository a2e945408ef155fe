"""Pad, Crop and the sequence operators."""

import numpy as np

from gradient_row import Row

WIDTHS = (0, 0, 0, 0, 1, 1, 2, 1)
LENGTHS = np.array([2.0, 4.0])
ROWS = [
    Row("Pad", [(1, 2, 3, 3)], {"mode": mode, "pad_width": WIDTHS, "constant_value": 1.5})
    for mode in ("constant", "edge", "reflect")
]
ROWS += [
    Row(
        "_backward_Pad",
        [(1, 2, 5, 6)],
        {"shape": (1, 2, 3, 3), "mode": mode, "pad_width": WIDTHS},
    )
    for mode in ("constant", "edge", "reflect")
]
ROWS += [
    Row("Pad", [(1, 1, 2, 3, 2)], {"mode": "edge", "pad_width": (0, 0, 0, 0, 1, 0, 1, 1, 0, 2)}),
    Row("Pad", [(1, 1, 3, 4)], {"mode": "constant", "pad_width": (0, 0, 0, 0, -1, 1, 0, -2)}),
    Row("Crop", [(1, 2, 4, 5)], {"h_w": (2, 3), "offset": (1, 2)}),
    Row("Crop", [(1, 2, 4, 5)], {"h_w": (3, 2), "center_crop": True}),
    Row("Crop", [(1, 2, 4, 5), (1, 1, 2, 3)], {"offset": (1, 1)}),
    Row("SequenceMask", [(4, 2, 3)]),
    Row("SequenceMask", [(4, 2, 3), LENGTHS], {"use_sequence_length": True, "value": -7.0}),
    Row("SequenceMask", [(2, 4), LENGTHS], {"use_sequence_length": True, "axis": 1}),
    Row("SequenceLast", [(4, 2, 3)]),
    Row("SequenceLast", [(4, 2, 3), LENGTHS], {"use_sequence_length": True}),
    Row("SequenceLast", [(2, 4, 3), LENGTHS], {"use_sequence_length": True, "axis": 1}),
    Row("_backward_SequenceLast", [(2, 3)], {"steps": 4, "axis": 1}),
    Row("_backward_SequenceLast", [(2, 3), LENGTHS], {"steps": 4, "use_sequence_length": True}),
    Row("SequenceReverse", [(4, 2, 3)]),
    Row("SequenceReverse", [(4, 2), LENGTHS], {"use_sequence_length": True}),
]
