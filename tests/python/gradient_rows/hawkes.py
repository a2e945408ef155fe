"""The likelihood of self-exciting processes, with sequences of different lengths."""

import numpy as np

from gradient_row import Row

MARKS = np.array([[0, 1, 0], [1, 1, 0]], dtype="int32")


def row(events, ends):
    lags = np.array([[0.4, 0.25, 0.125], [0.5, 0.75, 0.25]])
    return Row(
        "_contrib_hawkesll",
        [(2, 2), (2,), (2,), (2, 2), lags, MARKS, np.array(events), np.array(ends)],
        domain=(0.5, 1.5),
    )


ROWS = [row([3.0, 2.0], [2.0, 1.5]), row([0.0, 3.0], [1.0, 2.5])]
