"""Libraries of operators compiled for MXNet, which mxtape cannot load."""

import os

from . import _borrowed
from ._missing import see
from .base import MXNetError

__all__ = ["load"]


def load(path, verbose=True):
    """Raises MXNetError: a library for MXNet calls functions that mxtape does not have.

    Write the operator with :class:`mxtape.operator.CustomOp`, or declare it in C++.
    """
    if not os.path.exists(path):
        raise MXNetError(f"library.load: there is no file {path!r}")
    raise MXNetError(
        f"library.load: {path!r}: mxtape cannot load libraries of operators for MXNet; "
        f"{see('library.load')}"
    )


__getattr__ = _borrowed.borrow(
    __name__, "ctypes os sys", {".base": "MXNetError check_call mx_uint"}
)
