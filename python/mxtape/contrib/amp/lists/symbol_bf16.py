"""What mixed precision does with each operator where the low precision is bfloat16.

Fewer operators than in float16 compute in it: nearly all others have their inputs cast to float32.
"""

from . import symbol_fp16
from .symbol_fp16 import CONDITIONAL_FP32_FUNCS, LOSS_OUTPUT_FUNCTIONS

__all__ = [
    "BF16_FP32_FUNCS",
    "BF16_FUNCS",
    "BF16_USE_FP32_PARAMS",
    "CONDITIONAL_FP32_FUNCS",
    "FP32_FUNCS",
    "LOSS_OUTPUT_FUNCTIONS",
    "WIDEST_TYPE_CASTS",
]

# Those whose inputs are cast to bfloat16.
BF16_FUNCS = ["Convolution", "FullyConnected"]

# Those that compute in whatever precision their inputs have.
BF16_FP32_FUNCS = (
    "abs _add BatchNorm BatchNormWithReLU clip Concat concat LRN Pooling relu shuffle _shuffle "
    "sqrt square tanh".split()
)

# Inputs that stay in float32 beside data in bfloat16.
BF16_USE_FP32_PARAMS = {
    name: ["", "gamma", "beta", "moving_mean", "moving_var"]
    for name in ("BatchNorm", "BatchNormWithReLU")
}

_BOXES = [f"_contrib_MultiBox{part}" for part in ("Detection", "Prior", "Target")]
_ELSEWHERE = {
    *BF16_FUNCS,
    *BF16_FP32_FUNCS,
    *_BOXES,
    *("amp_cast", "amp_multicast", "CuDNNBatchNorm", "_TensorRT"),
}

# Those whose inputs are cast to float32.
FP32_FUNCS = [
    name
    for name in (
        *("broadcast_mul", "Deconvolution", "RNN"),
        *symbol_fp16.FP16_FP32_FUNCS,
        *symbol_fp16.FP32_FUNCS,
    )
    if name not in _ELSEWHERE
]

# Those whose inputs are cast to the widest dtype among them.
WIDEST_TYPE_CASTS = [
    name
    for name in symbol_fp16.WIDEST_TYPE_CASTS
    if name not in ("broadcast_mul", "Concat", "concat")
    and not name.startswith("_contrib_interleaved")
] + _BOXES
