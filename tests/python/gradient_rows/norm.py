"""Normalizing layers, LeakyReLU and local response normalization."""

from gradient_row import Row

ROWS = [
    Row("LayerNorm", [(2, 3, 4), (4,), (4,)]),
    Row("LayerNorm", [(2, 3, 4), (3,), (3,)], {"axis": 1, "eps": 0.1}),
    Row("LayerNorm", [(5,), (5,), (5,)], {"axis": 0}),
    Row("LayerNorm", [(2, 3, 4), (4,), (4,)], {"output_mean_var": True, "eps": 0.1}),
    Row("LayerNorm", [(3, 2), (3,), (3,)], {"axis": 0, "output_mean_var": True, "eps": 0.1}),
    Row("_backward_LayerNorm", [(2, 3, 4), (2, 3, 4), (4,)], {"eps": 0.1}),
    Row("_backward_LayerNorm", [(2, 3, 4), (2, 3, 4), (3,)], {"axis": 1, "eps": 0.1}),
    Row("GroupNorm", [(2, 4, 3), (2,), (2,)], {"num_groups": 2}),
    Row("GroupNorm", [(2, 2, 2, 2), (1,), (1,)], {"eps": 0.1}),
    Row("GroupNorm", [(2, 4, 3), (2,), (2,)], {"num_groups": 2, "output_mean_var": True}),
    Row("_backward_GroupNorm", [(2, 4, 2), (2, 4, 2), (2,)], {"num_groups": 2, "eps": 0.1}),
    Row("InstanceNorm", [(2, 3, 4), (3,), (3,)]),
    Row("InstanceNorm", [(2, 2, 2, 2), (2,), (2,)], {"eps": 0.1}),
]
ROWS += [
    Row(op, [(2, 3, 4)] * (2 if op.startswith("_") else 1), {"mode": mode, "eps": 0.1})
    for op in ("L2Normalization", "_backward_L2Normalization")
    for mode in ("instance", "channel", "spatial")
]
ROWS += [
    Row("L2Normalization", [(3, 4)]),
    Row("L2Normalization", [(4,)], {"eps": 0.5}),
    Row("LRN", [(2, 5, 3)], {"nsize": 3, "alpha": 0.5, "beta": 0.6, "knorm": 1.0}),
    Row("LRN", [(1, 4, 2, 2)], {"nsize": 4, "alpha": 1.5}),
    Row("LRN", [(2, 3)], {"nsize": 9, "alpha": 0.7}),
    Row("_channel_window_sum", [(2, 5, 3)], {"half": 1}),
    Row("_channel_window_sum", [(2, 3)], {"half": 0}),
    Row("moments", [(2, 3, 4)], {"axes": (0, 2)}),
    Row("moments", [(2, 3, 4)], {"axes": (1, 2), "keepdims": True}),
    Row("moments", [(2, 3)], {"axes": (0, 1)}),
    Row("LeakyReLU", [(2, 3, 2), (3,)], {"act_type": "prelu"}),
    Row("LeakyReLU", [(2, 3, 2), (2,)], {"act_type": "prelu"}),
    Row("LeakyReLU", [(2, 3, 2), (2, 3)], {"act_type": "prelu"}),
    Row("LeakyReLU", [(2, 3), (1,)], {"act_type": "prelu"}),
]
ROWS += [
    Row(op, [(3, 4)] * (2 if op.startswith("_") else 1), params)
    for op in ("LeakyReLU", "_backward_LeakyReLU")
    for params in (
        {},
        {"slope": -0.5},
        {"act_type": "elu", "slope": 0.7},
        {"act_type": "selu"},
        {"act_type": "gelu"},
    )
]
