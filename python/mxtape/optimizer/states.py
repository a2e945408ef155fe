"""The pickles of optimizers' states, which MXNet 1.9.1 and mxtape write alike and both read.

Classes are written by the names that they have in MXNet, and an array as MXNet pickles it: a dict
with its part of a ``.params`` file. Neither needs the other to be installed.
"""

import importlib
import io
import pickle
import struct
from typing import Any

from ..ndarray import NDArray
from ..ndarray.ndarray import _DTYPE_NP_TO_MX, _is_bfloat16
from .base import Optimizer

_OWN, _OTHER = __package__.split(".", 1)[0], "mxnet"
# The numbers of storage types in files.
_STORAGE = {"default": 0, "row_sparse": 1, "csr": 2}
_DENSE, _DENSE_WITH_SCALARS = 0xF993FAC9, 0xF993FACA
_CPU, _BFLOAT16, _INT64 = 1, 12, 6


def _shape_bytes(shape):
    return struct.pack(f"<i{len(shape)}q", len(shape), *shape)


def _array_bytes(array):
    """The array as it stands in a .params file."""
    shape, stype = array.shape, array.stype
    dense = stype == "default"
    magic = _DENSE if not dense or (shape and all(shape)) else _DENSE_WITH_SCALARS
    dtype = _BFLOAT16 if _is_bfloat16(array.dtype) else _DTYPE_NP_TO_MX[array.dtype]
    head = struct.pack("<2I", magic, _STORAGE[stype])
    values, indices = array, []
    if not dense:
        values, indices = array.data, [array.indices]
        if stype == "csr":
            indices.insert(0, array.indptr)
        head += _shape_bytes(values.shape)
    head += _shape_bytes(shape) + struct.pack("<3i", _CPU, 0, dtype)
    for part in indices:
        head += struct.pack("<i", _INT64) + _shape_bytes(part.shape)
    return bytearray(head + b"".join(part.asnumpy().tobytes() for part in (values, *indices)))


# That in Python: the one in C imports the modules whose names it writes.
_PythonPickler: Any = pickle._Pickler


class _Pickler(_PythonPickler):
    """Writes names under mxtape as MXNet's."""

    def reducer_override(self, obj):
        if isinstance(obj, NDArray):
            return type(obj), (None,), {"handle": _array_bytes(obj)}
        return NotImplemented

    def save_global(self, obj, name=None):
        module = getattr(obj, "__module__", None) or ""
        name = name or getattr(obj, "__qualname__", None)
        if obj is NDArray:
            module = f"{_OTHER}.ndarray.ndarray"
        elif module.startswith(f"{_OWN}.optimizer.") and not module.endswith(".contrib"):
            module = f"{_OTHER}.optimizer.optimizer"
        elif module.startswith(f"{_OWN}."):
            module = _OTHER + module[len(_OWN) :]
        else:
            super().save_global(obj, name)
            return
        self.save(module)
        self.save(name)
        self.write(pickle.STACK_GLOBAL)
        self.memoize(obj)


class _Unpickler(pickle.Unpickler):
    """Reads names of MXNet's modules as mxtape's."""

    def find_class(self, module, name):
        if module == _OTHER or module.startswith(f"{_OTHER}."):
            found = importlib.import_module(_OWN + module[len(_OTHER) :])
            return getattr(found, name)
        return super().find_class(module, name)


def dumps(value):
    """States as bytes, or a pair of states and optimizer."""
    buffer = io.BytesIO()
    _Pickler(buffer, protocol=4).dump(value)
    return buffer.getvalue()


def loads(data):
    """What :func:`dumps` or MXNet's ``Updater.get_states`` wrote: the states, and None or the
    optimizer.
    """
    try:
        value = _Unpickler(io.BytesIO(data)).load()
    except (IndexError, KeyError, ValueError, pickle.UnpicklingError, struct.error) as error:
        raise pickle.UnpicklingError(
            "these are not states of an optimizer, as Trainer.save_states or Updater.get_states "
            f"write them, or not the whole of them: {type(error).__name__}: {error}"
        ) from error
    value, optimizer = value if isinstance(value, tuple) and len(value) == 2 else (value, None)
    if not isinstance(value, dict) or not isinstance(optimizer, (Optimizer, type(None))):
        raise TypeError(
            "a pickle of states is a dict, or a pair of a dict and an optimizer; this one is "
            f"{type(value).__name__}, {type(optimizer).__name__}"
        )
    return value, optimizer
