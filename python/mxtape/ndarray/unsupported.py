"""What MXNet has in these namespaces and mxtape does not support: functions that say why."""

from .._missing import see
from ..base import MXNetError, _Null

_QUANTIZED = "quantized arrays are not in mxtape"
_GRAPHS = "sampling of graphs is not in mxtape"

# Inputs and parameters by name; `*` stands before a variadic input.
_CONTRIB = {
    _QUANTIZED: {
        "quantize": ("data min_range max_range", "out_type"),
        "quantize_v2": ("data", "out_type min_calib_range max_calib_range"),
        "quantize_asym": ("data", "min_calib_range max_calib_range"),
        "dequantize": ("data min_range max_range", "out_type"),
        "requantize": ("data min_range max_range", "out_type min_calib_range max_calib_range"),
        "intgemm_fully_connected": ("*data", ""),
        "intgemm_maxabsolute": ("*data", ""),
        "intgemm_prepare_data": ("*data", ""),
        "intgemm_prepare_weight": ("*data", ""),
        "intgemm_take_weight": ("*data", ""),
        "calibrate_entropy": ("hist hist_edges", "num_quantized_bins"),
        "quantized_act": ("data min_data max_data", "act_type"),
        "quantized_batch_norm": (
            "data gamma beta moving_mean moving_var min_data max_data",
            "eps momentum fix_gamma use_global_stats output_mean_var axis cudnn_off "
            "min_calib_range max_calib_range",
        ),
        "quantized_concat": ("*data", ""),
        "quantized_conv": (
            "data weight bias min_data max_data min_weight max_weight min_bias max_bias",
            "kernel stride dilate pad num_filter num_group workspace no_bias cudnn_tune cudnn_off "
            "layout",
        ),
        "quantized_elemwise_add": (
            "lhs rhs lhs_min lhs_max rhs_min rhs_max",
            "min_calib_range max_calib_range",
        ),
        "quantized_elemwise_mul": (
            "lhs rhs lhs_min lhs_max rhs_min rhs_max",
            "min_calib_range max_calib_range enable_float_output",
        ),
        "quantized_embedding": (
            "data weight min_weight max_weight",
            "input_dim output_dim dtype sparse_grad",
        ),
        "quantized_flatten": ("data min_data max_data", ""),
        "quantized_fully_connected": (
            "data weight bias min_data max_data min_weight max_weight min_bias max_bias",
            "num_hidden no_bias flatten",
        ),
        "quantized_pooling": (
            "data min_data max_data",
            "kernel pool_type global_pool cudnn_off pooling_convention stride pad p_value "
            "count_include_pad layout",
        ),
        "quantized_rnn": (
            "data parameters state state_cell data_scale data_shift",
            "state_size num_layers bidirectional mode p state_outputs projection_size "
            "lstm_state_clip_min lstm_state_clip_max lstm_state_clip_nan use_sequence_length",
        ),
    },
    _GRAPHS: {
        "dgl_adjacency": ("data", ""),
        "dgl_csr_neighbor_non_uniform_sample": ("*seed_arrays", ""),
        "dgl_csr_neighbor_uniform_sample": ("*seed_arrays", ""),
        "dgl_graph_compact": ("*graph_data", ""),
        "dgl_subgraph": ("*data", ""),
    },
}


# By name: why not, inputs, parameters.
CONTRIB = {
    name: (reason, *signature)
    for reason, table in _CONTRIB.items()
    for name, signature in table.items()
}


def contrib(name):
    """A function with MXNet's signature that raises, for a name in CONTRIB."""
    # Not at the top: hardly a program asks, and every program would wait for it.
    import inspect

    reason, inputs, params = CONTRIB[name]

    def refuse(*args, **kwargs):
        raise MXNetError(f"contrib.{name}: {reason}; {see('contrib.quantize')}")

    p = inspect.Parameter
    if inputs.startswith("*"):
        parameters = [p(inputs[1:], p.VAR_POSITIONAL)]
    else:
        kind = p.POSITIONAL_OR_KEYWORD
        parameters = [p(label, kind, default=None) for label in inputs.split()]
        parameters += [p(label, kind, default=_Null) for label in params.split()]
        parameters += [p(label, kind, default=None) for label in ("out", "name")]
    parameters.append(p("kwargs", p.VAR_KEYWORD))
    refuse.__name__ = refuse.__qualname__ = name
    refuse.__doc__ = f"Raises MXNetError: {reason}."
    refuse.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return refuse


def imdecode(str_img, clip_rect=(0, 0, 0, 0), out=None, index=0, channels=3, mean=None):
    """Raises MXNetError, as MXNet 1.9.1 always does: :func:`mxtape.image.imdecode` decodes."""
    raise MXNetError("imdecode: MXNet 1.9.1's always fails too; mx.image.imdecode decodes pictures")
