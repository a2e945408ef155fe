"""Interfaces that MXNet kept under ``contrib``."""

from . import autograd, ndarray
from . import ndarray as nd

__all__ = ["autograd", "nd", "ndarray"]
