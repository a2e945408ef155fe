"""The vocabulary of MXNet's C interface, by :mod:`ctypes`, which programs name.

mxtape has no C interface. What only turns values into C types works as in MXNet; what would call
the library is an error that says so.
"""

import ctypes

import numpy as np

from ._missing import see
from .base import MXNetError

mx_float, mx_int, mx_int64, mx_uint = ctypes.c_float, ctypes.c_int, ctypes.c_int64, ctypes.c_uint
mx_float_p, c_int_p = ctypes.POINTER(mx_float), ctypes.POINTER(mx_int)

# MXNet's names for pointers to what its library holds.
for _kind in (
    "CachedOp CudaKernel CudaModule DataIterCreator DataIter DLPack Executor Function KVStore "
    "NDArray Op Profile RecordIO Rtc Symbol".split()
):
    globals()[_kind + "Handle"] = ctypes.c_void_p


class MXCallbackList(ctypes.Structure):
    """Functions that a C library may call, with an argument for each."""

    _fields_ = (
        ("num_callbacks", ctypes.c_int),
        ("callbacks", ctypes.POINTER(ctypes.CFUNCTYPE(ctypes.c_int))),
        ("contexts", ctypes.POINTER(ctypes.c_void_p)),
    )


class _NoLibrary:
    """Stands for MXNet's shared library: every function of it is an AttributeError."""

    def __getattr__(self, name):
        raise AttributeError(f"_LIB.{name}: mxtape has no C interface; {see('_LIB')}")

    def __repr__(self):
        return "<no C library>"


_LIB = _NoLibrary()


def check_call(ret):
    """Raises an MXNetError unless `ret`, what a C function has returned, is 0.

    >>> import mxtape as mx
    >>> mx.autograd.check_call(0)
    """
    if ret != 0:
        raise MXNetError(f"check_call: a C function returned {ret!r}; mxtape has no C interface")


def c_str(string):
    """`string` as a ``char*``.

    >>> import mxtape as mx
    >>> mx.recordio.c_str("relu").value
    b'relu'
    """
    return ctypes.c_char_p(string.encode("utf-8"))


def c_str_array(strings):
    """A list of str as an array of ``char*``.

    >>> import mxtape as mx
    >>> list(mx.profiler.c_str_array(["data", "weight"]))
    [b'data', b'weight']
    """
    return (ctypes.c_char_p * len(strings))(*[s.encode("utf-8") for s in strings])


def c_array(ctype, values):
    """A list as a C array of the type `ctype`.

    >>> import mxtape as mx
    >>> list(mx.autograd.c_array(mx.autograd.mx_uint, [1, 2]))
    [1, 2]
    """
    return (ctype * len(values))(*values)


def c_array_buf(ctype, buf):
    """The memory of a writable buffer, such as an :class:`array.array`, as a C array.

    >>> import mxtape as mx
    >>> from array import array
    >>> list(mx.autograd.c_array_buf(mx.autograd.mx_uint, array("I", [1, 2])))
    [1, 2]
    """
    return (ctype * len(buf)).from_buffer(buf)


def c_handle_array(objs):
    """The handles of some objects as a C array. Those of mxtape's arrays are numbers without a use.

    >>> import mxtape as mx
    >>> mx.autograd.c_handle_array([])._length_
    0
    """
    for value in objs:
        if not hasattr(value, "handle"):
            raise MXNetError(
                f"c_handle_array: {type(value).__name__} has no handle: mxtape has no C interface"
            )
    return c_array(ctypes.c_void_p, [value.handle for value in objs])


def ctypes2buffer(cptr, length):
    """A bytearray with a copy of `length` bytes from a ``char*``.

    >>> import mxtape as mx
    >>> import ctypes
    >>> mx.base.ctypes2buffer(ctypes.pointer(ctypes.c_char(b"a")), 1)
    bytearray(b'a')
    """
    if not isinstance(cptr, ctypes.POINTER(ctypes.c_char)):
        raise TypeError(f"ctypes2buffer: expected a pointer to char, got {type(cptr).__name__}")
    return bytearray(ctypes.string_at(cptr, length))


def ctypes2numpy_shared(cptr, shape):
    """A NumPy array over memory that a ``float*`` points to; nothing is copied.

    >>> import mxtape as mx
    >>> import ctypes
    >>> memory = (mx.operator.mx_float * 4)(1, 2, 3, 4)
    >>> mx.operator.ctypes2numpy_shared(ctypes.cast(memory, mx.base.mx_float_p), (2, 2)).tolist()
    [[1.0, 2.0], [3.0, 4.0]]
    """
    if not isinstance(cptr, mx_float_p):
        raise RuntimeError(
            f"ctypes2numpy_shared: expected a pointer to float, got {type(cptr).__name__}"
        )
    return np.ctypeslib.as_array(cptr, tuple(shape))
