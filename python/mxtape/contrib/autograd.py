"""The older interface to autograd, as ``mxnet.contrib.autograd`` had it."""

import functools

from .. import _borrowed
from .. import autograd as _autograd
from ..autograd import (
    TrainingStateScope,
    compute_gradient,
    grad_and_loss,
    mark_variables,
    set_is_training,
    test_section,
    train_section,
)
from ..ndarray import zeros_like

__all__ = [
    "TrainingStateScope",
    "backward",
    "compute_gradient",
    "grad",
    "grad_and_loss",
    "mark_variables",
    "set_is_training",
    "test_section",
    "train_section",
    "zeros_like",
]


def backward(outputs, out_grads=None, retain_graph=False):
    """Computes the gradients of `outputs`, weighted by `out_grads`, into the variables' buffers."""
    _autograd.backward(outputs, out_grads, retain_graph)


def grad(func, argnum=None):
    """A function that returns the gradients of `func`; see ``autograd.grad_and_loss``."""
    both = grad_and_loss(func, argnum)

    @functools.wraps(both)
    def wrapped(*args):
        return both(*args)[0]

    return wrapped


__getattr__ = _borrowed.borrow(
    __name__,
    "ctypes functools",
    {
        "array": "array",
        ".base": "NDArrayHandle c_array c_array_buf c_handle_array check_call mx_uint string_types",
        ".ndarray": "NDArray",
    },
)
