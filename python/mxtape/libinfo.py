"""Where the library's files are, and the version of MXNet whose interface mxtape has."""

import os

from . import _borrowed
from ._loader import core as _core
from .base import MXNetError

__all__ = ["find_include_path", "find_lib_path"]

# The one place that says it: `mxnet.__version__` is this.
__version__ = "1.9.1"


def find_lib_path(prefix="libmxnet"):
    """The compiled module of mxtape, as a list of one path.

    It is a Python module and has no C interface to link with.

    >>> import mxtape as mx
    >>> len(mx.libinfo.find_lib_path())
    1
    """
    return [os.path.abspath(str(_core.__file__))]


def find_include_path():
    """Raises MXNetError: mxtape has no C interface, and so no headers for one."""
    raise MXNetError("find_include_path: mxtape has no C interface, and no headers for one")


__getattr__ = _borrowed.borrow(__name__, "os platform logging")
