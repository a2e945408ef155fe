"""The CTC loss: both places of the blank, padding, lengths, repeated labels."""

import numpy as np

from gradient_row import Row


def ints(values):
    return np.array(values, dtype="int32")


ROWS = [
    Row("CTCLoss", [(4, 2, 3), ints([[1, 2], [2, 0]])]),
    Row("CTCLoss", [(5, 2, 3), ints([[1, 1, 2], [0, 0, 0]])]),
    Row("CTCLoss", [(4, 2, 3), ints([[0, 1], [1, -1]])], {"blank_label": "last"}),
    # The first sequence has too few steps for its labels: its loss is 0.
    Row("CTCLoss", [(3, 2, 3), ints([[1, 1, 1], [2, 2, 0]])]),
    Row(
        "CTCLoss",
        [(4, 3, 3), ints([[1, 2], [2, 1], [1, 1]]), ints([2, 3, 0]), ints([1, 2, 0])],
        {"use_data_lengths": True, "use_label_lengths": True},
    ),
    Row("CTCLoss", [(4, 2, 3), ints([[1, 2], [2, 0]]), ints([2, 4])], {"use_data_lengths": True}),
    Row("CTCLoss", [(4, 2, 3), ints([[1, 0], [2, 1]]), ints([2, 1])], {"use_label_lengths": True}),
]
