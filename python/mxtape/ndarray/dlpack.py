"""Sharing memory with other libraries through DLPack (https://dmlc.github.io/dlpack)."""

from typing import Any

from .._loader import core as _core
from ..base import MXNetError

__all__ = ["from_dlpack", "to_dlpack_for_read", "to_dlpack_for_write"]

_CPU = 1  # DLPack's number for it


def to_dlpack_for_read(data):
    """A DLPack capsule through which another library reads the array's memory.

    Parameters
    ----------
    data : NDArray
        The array. It is not copied, and its memory lives as long as the consumer needs it.

    Returns
    -------
    capsule
        To be consumed once, by ``from_dlpack`` of this or another library.

    Examples
    --------
    >>> import mxtape as mx
    >>> mx.nd.from_dlpack(mx.nd.to_dlpack_for_read(mx.nd.ones((2,)))).asnumpy().tolist()
    [1.0, 1.0]
    """
    return _core.to_dlpack(data, False, False)


def to_dlpack_for_write(data):
    """A DLPack capsule through which another library reads and writes the array's memory.

    As :func:`to_dlpack_for_read`; the array counts as changed, so that a recorded graph which saved
    its values warns.

    Examples
    --------
    >>> import mxtape as mx
    >>> x = mx.nd.zeros((2,))
    >>> mx.nd.from_dlpack(mx.nd.to_dlpack_for_write(x))[:] = 7
    >>> x.asnumpy().tolist()
    [7.0, 7.0]
    """
    return _core.to_dlpack(data, True, False)


def from_dlpack(dlpack):
    """An array that shares the memory of another library's tensor.

    Parameters
    ----------
    dlpack : capsule, or object with ``__dlpack__``
        A NumPy array, a PyTorch tensor, or a capsule made by one. On the CPU, dense and row-major,
        of a data type that mxtape has. A read-only tensor is copied.

    Returns
    -------
    NDArray
        Writing to it writes to the tensor.

    Raises
    ------
    AssertionError
        For anything else, and for a capsule that has been consumed.
    MXNetError, TypeError
        For a tensor on another device, with strides, or of another data type; it is not consumed.

    Examples
    --------
    >>> import mxtape as mx
    >>> import numpy as np
    >>> source = np.arange(3.0)
    >>> mx.nd.from_dlpack(source)[0] = 9
    >>> source.tolist()
    [9.0, 1.0, 2.0]
    """
    if not hasattr(dlpack, "__dlpack__"):
        return _core.from_dlpack(dlpack)
    device = dlpack.__dlpack_device__()
    if int(device[0]) != _CPU:
        raise MXNetError(
            f"from_dlpack: the tensor is on a device of DLPack type {int(device[0])}, mxtape has "
            "only the CPU; copy it there first"
        )
    try:
        capsule = dlpack.__dlpack__(max_version=(1, 0))
    except TypeError:  # a library from before version 1.0
        capsule = dlpack.__dlpack__()
    return _core.from_dlpack(capsule)


class Methods:
    """What :func:`mxtape.ndarray.methods.install` puts on NDArray."""

    def to_dlpack_for_read(self):
        """See :func:`mxtape.nd.to_dlpack_for_read`."""
        return to_dlpack_for_read(self)

    def to_dlpack_for_write(self):
        """See :func:`mxtape.nd.to_dlpack_for_write`."""
        return to_dlpack_for_write(self)

    def __dlpack__(self: Any, *, stream=None, max_version=None, dl_device=None, copy=None):
        if stream is not None:
            raise BufferError(f"__dlpack__: the CPU has no streams, got stream={stream!r}")
        if dl_device is not None and tuple(map(int, dl_device)) != (_CPU, 0):
            raise BufferError(f"__dlpack__: mxtape has only the CPU, got dl_device={dl_device!r}")
        source = self.copy() if copy else self
        return _core.to_dlpack(source, False, max_version is not None and max_version[0] >= 1)

    def __dlpack_device__(self):
        return (_CPU, 0)
