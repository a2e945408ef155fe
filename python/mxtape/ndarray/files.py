"""Saving and loading arrays in MXNet's ``.params`` format."""

import os
import struct

from .._loader import core as _core

__all__ = ["load", "load_frombuffer", "save"]

_NDArray = _core.NDArray
_SCHEME = "file://"  # MXNet's names of local files may have it
# The beginning of a .params file with one array, and its end, without a name.
_LIST_HEAD, _LIST_TAIL = struct.pack("<3Q", 0x112, 0, 1), struct.pack("<Q", 0)


def _path(fname, what):
    if not isinstance(fname, (str, os.PathLike)):
        raise TypeError(f"{what}: fname must be a string, got {type(fname).__name__}")
    path = os.fsdecode(os.fspath(fname))
    return path[len(_SCHEME) :] if path.startswith(_SCHEME) else path


def _as_list_or_dict(loaded):
    arrays, names = loaded
    return dict(zip(names, arrays)) if names else arrays


def save(fname, data):
    """Writes arrays to a file, as MXNet 1.9.1 does, byte for byte.

    Parameters
    ----------
    fname : str or os.PathLike
        The file, which is replaced when it exists.
    data : NDArray, list of NDArray, or dict of str to NDArray
        What to write. One array is written as a list of one.

    Raises
    ------
    TypeError
        For a name that is not a string or an item that is not an NDArray; nothing is written then.
    ValueError
        When data is none of the three.
    MXNetError
        When the file cannot be written.

    Examples
    --------
    >>> import os
    >>> import tempfile, mxtape as mx
    >>> path = os.path.join(tempfile.mkdtemp(), "weights.params")
    >>> mx.nd.save(path, {"w": mx.nd.ones((2, 3))})
    >>> mx.nd.load(path)["w"].shape
    (2, 3)
    """
    if isinstance(data, _NDArray):
        data = [data]
    if not isinstance(data, (list, dict)):
        raise ValueError(
            "save: data must be an NDArray, a list of NDArrays or a dictionary from names to "
            f"NDArrays, got {type(data).__name__}"
        )
    names, arrays = (list(data), list(data.values())) if isinstance(data, dict) else ([], data)
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"save: names must be strings, got {name!r}")
    for i, array in enumerate(arrays):
        if not isinstance(array, _NDArray):
            where = repr(names[i]) if names else i
            raise TypeError(f"save: item {where} is not an NDArray but {type(array).__name__}")
    encoded = [name.encode("utf-8", "surrogateescape") for name in names]
    _core.save_file(_path(fname, "save"), list(arrays), encoded)


def load(fname):
    """Reads a file that :func:`save` or MXNet wrote, in any version of the format.

    Parameters
    ----------
    fname : str or os.PathLike
        The file. Reading it never takes more memory than its size calls for.

    Returns
    -------
    list of NDArray, or dict of str to NDArray
        A dictionary when the arrays have names. All are on ``cpu(0)``, whatever device they were
        saved from.

    Raises
    ------
    TypeError
        For a name that is not a string.
    MXNetError
        When the file cannot be read, is truncated or corrupt, or holds what is not supported:
        sparse arrays and other data types.

    Examples
    --------
    >>> import os
    >>> import tempfile, mxtape as mx
    >>> path = os.path.join(tempfile.mkdtemp(), "two.params")
    >>> mx.nd.save(path, [mx.nd.zeros((2,)), mx.nd.ones((1,), dtype="int32")])
    >>> [array.dtype.__name__ for array in mx.nd.load(path)]
    ['float32', 'int32']
    """
    return _as_list_or_dict(_core.load_file(_path(fname, "load")))


def from_pickled(state):
    """The array that a pickle of MXNet's has, None where it has none."""
    handle = state["handle"]
    if handle is None:
        return None
    (array,) = load_frombuffer(_LIST_HEAD + bytes(handle) + _LIST_TAIL)
    return array


def load_frombuffer(buf):
    """Reads arrays from the bytes of a ``.params`` file.

    Parameters
    ----------
    buf : bytes or str
        The file's content.

    Returns
    -------
    list of NDArray, or dict of str to NDArray
        As :func:`load` returns.

    Raises
    ------
    TypeError
        When buf is neither bytes nor str.
    MXNetError
        As :func:`load` raises.

    Examples
    --------
    >>> import mxtape as mx
    >>> mx.nd.load_frombuffer(bytes.fromhex("12010000000000000000000000000000" + "00" * 16))
    []
    """
    if isinstance(buf, str):
        buf = buf.encode("utf-8", "surrogateescape")
    if not isinstance(buf, bytes):
        raise TypeError(f"load_frombuffer: buf must be bytes, got {type(buf).__name__}")
    return _as_list_or_dict(_core.load_bytes(buf))
