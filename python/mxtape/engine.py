"""Bulks of operations, which MXNet's engine hands to its threads together.

mxtape decides by itself which calls run together, so that sizes change nothing here but what these
functions return.
"""

from . import _borrowed
from .base import integer_types

__all__ = ["bulk", "set_bulk_size"]

_size = 0


def set_bulk_size(size):
    """Sets the number of operations in a bulk; returns the number before.

    Raises
    ------
    TypeError
        For a size that is not an integer.

    >>> import mxtape as mx
    >>> mx.engine.set_bulk_size(16), mx.engine.set_bulk_size(0)
    (0, 16)
    """
    global _size
    if not isinstance(size, integer_types):
        raise TypeError(f"set_bulk_size: the size must be an integer, got {size!r}")
    before, _size = _size, int(size)
    return before


class _Bulk:
    def __init__(self, size):
        self._size, self._before = size, None

    def __enter__(self):
        self._before = set_bulk_size(self._size)
        return self

    def __exit__(self, ptype, value, trace):
        set_bulk_size(self._before)


def bulk(size):
    """A ``with`` block in which the number of operations in a bulk is `size`.

    >>> import mxtape as mx
    >>> with mx.engine.bulk(10):
    ...     x = mx.nd.ones((2,)) + 1
    >>> x.asnumpy().tolist()
    [2.0, 2.0]
    """
    return _Bulk(size)


__getattr__ = _borrowed.borrow(__name__, "ctypes", {".base": "check_call"})
