"""Operators in Python as programs wrote them before :class:`~mxtape.operator.CustomOp`."""

import warnings
from typing import ClassVar

from .base import MXNetError

__all__ = ["NDArrayOp", "NumpyOp", "PythonOp"]


def _deprecated(cls):
    warnings.warn(f"{cls} is deprecated; use mx.operator.CustomOp", UserWarning, stacklevel=4)


class PythonOp:
    """Base class of the two kinds of operator below. New programs use CustomOp.

    Parameters
    ----------
    need_top_grad : bool, default True
        Whether ``backward`` reads the head gradients; a loss says False.
    """

    _ref_holder: ClassVar[list] = []

    def __init__(self, need_top_grad=True):
        self.info_ = None
        self.need_top_grad_ = need_top_grad
        _deprecated("PythonOp")

    def __call__(self, *args, **kwargs):
        """The symbol of :meth:`get_symbol`."""
        return self.get_symbol(*args, **kwargs)

    def get_symbol(self, *args, **kwargs):
        """A symbol of the operator applied to symbols. To be overridden."""
        raise NotImplementedError(f"{type(self).__name__} must override get_symbol")

    def forward(self, in_data, out_data):
        """Computes the outputs, in place; unless overridden, copies the first input."""
        out_data[0][:] = in_data[0]

    def backward(self, out_grad, in_data, out_data, in_grad):
        """Computes the gradients of the inputs, in place; unless overridden, 1 for the first."""
        in_grad[0][:] = 1.0

    def infer_shape(self, in_shape):
        """Shapes of the inputs and the outputs; unless overridden, the first input's."""
        return in_shape, [in_shape[0]]

    def list_outputs(self):
        """Names of the outputs; ``['output']`` unless overridden."""
        return ["output"]

    def list_arguments(self):
        """Names of the inputs; ``['data']`` unless overridden."""
        return ["data"]

    def need_top_grad(self):
        """Whether ``backward`` reads the head gradients."""
        return self.need_top_grad_


class NumpyOp(PythonOp):
    """An operator whose ``forward`` and ``backward`` work on NumPy arrays.

    It can only be applied to symbols, which cannot be composed yet: the call is an MXNetError.
    """

    def __init__(self, need_top_grad=True):
        super().__init__(need_top_grad)
        _deprecated("NumpyOp")

    def get_symbol(self, *args, **kwargs):
        """Raises MXNetError: symbols cannot be composed yet."""
        _refuse(self)


class NDArrayOp(PythonOp):
    """An operator whose ``forward`` and ``backward`` work on NDArrays.

    It can only be applied to symbols, which cannot be composed yet: the call is an MXNetError.
    """

    def __init__(self, need_top_grad=True):
        super().__init__(need_top_grad)
        _deprecated("NDArrayOp")

    def get_symbol(self, *args, **kwargs):
        """Raises MXNetError: symbols cannot be composed yet."""
        _refuse(self)

    def declare_backward_dependency(self, out_grad, in_data, out_data):
        """Which arrays ``backward`` reads, as a list of the numbers given."""
        return [*(out_grad if self.need_top_grad_ else ()), *in_data, *out_data]


def _refuse(op):
    raise MXNetError(
        f"{type(op).__name__}: symbols cannot be composed in mxtape yet; derive from "
        "mx.operator.CustomOp and call it by mx.nd.Custom; see docs/differences.md"
    )
