"""Recurrent layers: every mode, with layers, directions, lengths, clipping, projection, dropout."""

from typing import Any

import numpy as np

from gradient_row import Row

GATES = {"rnn_relu": 1, "rnn_tanh": 1, "gru": 3, "lstm": 4}


def row(
    mode: str, steps: int = 3, layers: int = 1, lengths: Any = None, project: int = 0, **params: Any
) -> Row:
    """A call with 2 sequences of 2 inputs and 2 hidden units."""
    directions = 2 if params.get("bidirectional") else 1
    out, gates = project or 2, GATES[mode] * 2
    size = 0
    for layer in range(layers):
        width = out * directions if layer else 2
        size += directions * (gates * (width + out) + 2 * gates + out * 2 * bool(project))
    lanes = layers * directions
    inputs = [(steps, 2, 2), (size,), (lanes, 2, out)]
    if mode == "lstm":
        inputs.append((lanes, 2, 2))
    if lengths is not None:
        inputs.append(np.array(lengths, dtype="int32"))
        params["use_sequence_length"] = True
    if project:
        params["projection_size"] = project
    return Row(
        "RNN",
        inputs,
        {"state_size": 2, "num_layers": layers, "mode": mode, **params},
        domain=(-1.3, 1.1),
    )


ROWS = []
for mode in GATES:
    ROWS += [
        row(mode),
        row(mode, state_outputs=True),
        row(mode, steps=2, layers=2, bidirectional=True, state_outputs=True),
        row(mode, layers=2, p=0.4, state_outputs=True),
        row(mode, lengths=[1, 3], bidirectional=True, state_outputs=True),
    ]
ROWS += [
    row("lstm", project=1, state_outputs=True),
    row("lstm", steps=2, project=3, layers=2, bidirectional=True),
    row("lstm", project=1, lengths=[2, 0], state_outputs=True),
    row("lstm", lstm_state_clip_min=-0.4, lstm_state_clip_max=0.3, state_outputs=True),
    row("lstm", lstm_state_clip_max=0.2, lstm_state_clip_nan=True, state_outputs=True),
]
