"""Differences in mx.rnn, mx.viz and samplers: see difference.py."""

from difference import _list, raises

_list(
    "MXNet gives each unknown word a new number, and changes that of the unknown token",
    [
        {"tuple": [[[1, 2, 2]], {"dict": {"a": 1, "b": 2}}]},
        {"tuple": [[[0, 0]], {"dict": {"a": 1, "?": 0}}]},
    ],
    "rnn_cells::encoded_with_an_unknown_token",
)
_list(
    "MXNet passes input_prefix on to a method that does not accept it",
    [
        "in_t0_data",
        "rnn_i2h_weight",
        "rnn_i2h_bias",
        "rnn_h2h_weight",
        "rnn_h2h_bias",
        "in_t1_data",
    ],
    "rnn_cells::rnn_unroll",
)


def _table(*rows):
    """What print_summary prints, for rows of name, shape, parameters and input; then the total."""
    *rows, total = rows
    columns = [52, 24, 12, 32]
    lines = ["_" * 120]
    rows = [("Layer (type)", "Output Shape", "Param #", "Previous Layer"), *rows]
    for number, row in enumerate(rows):
        lines.append("".join(str(text).ljust(width) for text, width in zip(row, columns)))
        lines.append(("=" if number in (0, len(rows) - 1) else "_") * 120)
    return "\n".join([*lines, f"Total params: {total}", "_" * 120, ""])


_list(
    "MXNet counts parameters by the operator, knows few, and counts shared ones at each use",
    _table(
        ("data(null)", "3", 0, ""),
        ("embed(Embedding)", "3x4", 28, "data"),
        ("norm(LayerNorm)", "3x4", 8, "embed"),
        ("fc_a(FullyConnected)", "3x4", 16, "norm"),
        ("fc_b(FullyConnected)", "3x4", 0, "fc_a"),
        52,
    ),
    "visualization::parameters_that_mxnet_does_not_count",
)

_list(
    "a sampler refuses a batch size of 0 when it is made, and not when it is used",
    raises("ValueError"),
    "gluon_data::list(D.BatchSampler(seq(10), 0))",
    "gluon_data::len(D.BatchSampler(seq(10), 0))",
)
