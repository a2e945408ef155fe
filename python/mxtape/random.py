"""Random arrays: ``mx.random``, the same functions as ``mx.nd.random``."""

from . import _borrowed
from .ndarray import random as _functions
from .ndarray.random import *  # noqa: F403

__all__ = list(_functions.__all__)

__getattr__ = _borrowed.borrow(
    __name__, "ctypes", {".base": "check_call integer_types", ".context": "Context"}
)
