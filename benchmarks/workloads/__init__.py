"""The workloads, by name, in the order of the report."""

from . import (
    adam,
    calls,
    chain,
    convolution,
    dot,
    elementwise,
    embedding,
    gluon_programs,
    hessian_vector,
    lstm_cell,
    normalization,
    operators,
    package,
    per_example_gradients,
    small_ops,
    sparse,
    training,
    transforms,
)

# What `make bench` runs unless told otherwise.
STANDARD = {
    **small_ops.WORKLOADS,
    **elementwise.WORKLOADS,
    **training.WORKLOADS,
    **gluon_programs.WORKLOADS,
    **convolution.BLOCK,
    **lstm_cell.WORKLOADS,
    **chain.BY_NUMBER,
    **normalization.WORKLOADS,
    **hessian_vector.WORKLOADS,
    **transforms.WORKLOADS,
    **per_example_gradients.WORKLOADS,
    **dot.WORKLOADS,
    **adam.WORKLOADS,
    **embedding.WORKLOADS,
    **sparse.WORKLOADS,
    **calls.WORKLOADS,
    **package.WORKLOADS,
}

WORKLOADS = {
    **STANDARD,
    **chain.BY_ARRAY,
    **convolution.LAYER_WORKLOADS,
    **operators.WORKLOADS,
}
