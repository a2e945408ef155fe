"""Interfaces that MXNet kept under ``contrib``."""

from .. import _borrowed
from . import autograd, ndarray
from . import ndarray as nd

__all__ = ["autograd", "nd", "ndarray"]

__getattr__ = _borrowed.borrow(
    __name__,
    "amp=.contrib.amp io=.contrib.io sym=.contrib.symbol symbol=.contrib.symbol "
    "tensorboard=.contrib.tensorboard text=.contrib.text",
)
