"""Record files: byte strings, one after the other in a file: ``mx.recordio``.

A file that is written here has the bytes that MXNet writes, and each reads the other's.

>>> import mxtape as mx
>>> import os, tempfile
>>> folder = tempfile.TemporaryDirectory()
>>> path = os.path.join(folder.name, "words.rec")
>>> with mx.recordio.MXRecordIO(path, "w") as record:
...     record.write(b"one")
...     record.write(b"two")
>>> with mx.recordio.MXRecordIO(path, "r") as record:
...     [record.read() for _ in range(3)]
[b'one', b'two', None]
>>> folder.cleanup()
"""

import numbers
import os
import stat
import struct
import threading
from collections import namedtuple
from multiprocessing import current_process
from typing import Any

import numpy as np

from . import _borrowed, _codec
from .base import MXNetError

__all__ = [
    "IRHeader",
    "MXIndexedRecordIO",
    "MXRecordIO",
    "pack",
    "pack_img",
    "unpack",
    "unpack_img",
]

# ---- The format. A record is one part or several: a magic word, a word that has the length and the
# kind of the part, the bytes, and zeros up to a multiple of 4. A record that has the magic word in
# it, at a multiple of 4, is cut there: the word itself is left out and the parts say that they
# belong together. So whoever finds the magic word in a file has found the begin of a part.

_MAGIC = struct.pack("<I", 0xCED7230A)
_WORDS = struct.Struct("<4sI")
_WHOLE, _FIRST, _MIDDLE, _LAST = range(4)
_LENGTH_BITS = 29


def _encoded(data):
    """The bytes in the file that stand for a record."""
    if len(data) >> _LENGTH_BITS:
        raise MXNetError(
            f"MXRecordIO.write: a record of {len(data)} bytes; it must have less than 2**29"
        )
    pieces, begin, at = [], 0, data.find(_MAGIC)
    while at >= 0:
        if at % 4:
            at = data.find(_MAGIC, at + 1)
            continue
        pieces.append(data[begin:at])
        begin = at + 4
        at = data.find(_MAGIC, begin)
    pieces.append(data[begin:])
    coded = []
    for i, piece in enumerate(pieces):
        kind = _MIDDLE
        if i == 0:
            kind = _WHOLE if len(pieces) == 1 else _FIRST
        elif i == len(pieces) - 1:
            kind = _LAST
        coded += [_WORDS.pack(_MAGIC, kind << _LENGTH_BITS | len(piece)), piece]
    # Only the last part can end off a multiple of 4.
    coded.append(bytes(-len(pieces[-1]) % 4))
    return b"".join(coded)


def _fail(file, at, what):
    raise MXNetError(f"{file.name}: no record file, or a damaged one: at byte {at}, {what}")


def _part(file):
    """The kind, length and begin of the part that comes next; the kind is None at the end."""
    words = file.read(8)
    if not words:
        return None, 0, 0
    at = file.tell()
    if len(words) < 8:
        _fail(file, at - len(words), f"the file ends after {len(words)} bytes of a record's head")
    magic, kind_and_length = _WORDS.unpack(words)
    if magic != _MAGIC:
        _fail(file, at - 8, f"a record should begin with {_MAGIC.hex()}, not {magic.hex()}")
    kind, length = kind_and_length >> _LENGTH_BITS, kind_and_length & ((1 << _LENGTH_BITS) - 1)
    if kind > _LAST:
        _fail(file, at - 8, f"a part of a record is of kind {kind}")
    return kind, length, at


def _check_order(file, kind, at, inside):
    if inside != (kind in (_MIDDLE, _LAST)):
        what = "begins inside another one" if inside else "goes on that has not begun"
        _fail(file, at - 8, f"a record {what}")


def _read_record(file):
    """The next record of a file, None at its end."""
    pieces: list = []
    while True:
        kind, length, at = _part(file)
        if kind is None:
            if pieces:
                _fail(file, file.tell(), "the file ends in the middle of a record")
            return None
        _check_order(file, kind, at, bool(pieces))
        padded = length + -length % 4
        # A damaged length should not be the size of an allocation.
        if padded > 1 << 20:
            left = _size(file) - at
            if padded > left:
                _fail(file, at - 8, f"a part of {length} bytes, and {max(left, 0)} are left")
        data = file.read(padded)
        if len(data) < padded:
            _fail(file, at - 8, f"a part of {length} bytes, and {len(data)} are left")
        if length < padded:
            data = data[:length]
        if kind == _WHOLE:
            return data
        pieces.append(data)
        if kind == _LAST:
            return _MAGIC.join(pieces)


def _size(file):
    found = os.fstat(file.fileno())
    return found.st_size if stat.S_ISREG(found.st_mode) else float("inf")


def _offsets(uri):
    """Where the records of a file begin. Of each record only the head is read."""
    found: list = []
    with _opened(uri, "r") as file:
        size, inside = _size(file), False
        while True:
            kind, length, at = _part(file)
            if kind is None:
                if inside:
                    _fail(file, file.tell(), "the file ends in the middle of a record")
                return found
            _check_order(file, kind, at, inside)
            inside = kind in (_FIRST, _MIDDLE)
            if kind in (_WHOLE, _FIRST):
                found.append(at - 8)
            end = at + length + -length % 4
            if end > size:
                _fail(file, at - 8, f"a part of {length} bytes, and {size - at} are left")
            file.seek(end)


def _opened(uri, flag):
    path = os.fspath(uri)
    path = path[len("file://") :] if path.startswith("file://") else path
    try:
        # Without a buffer, a process that is forked has nothing to write once more.
        return open(path, "wb", buffering=0) if flag == "w" else open(path, "rb")
    except OSError as error:
        raise MXNetError(f"MXRecordIO: {path}: {error.strerror}") from error


class MXRecordIO:
    """A file of records, to be read or written from its begin to its end.

    Parameters
    ----------
    uri : str or os.PathLike
        The file, or ``file://`` and the file.
    flag : {'r', 'w'}
        Whether to read, or to write a new file.

    One that reads can be pickled, and opens the file again where it is unpickled, at its begin. In
    a process that was forked, reading where the parent has stopped and writing to its file are a
    RuntimeError; :meth:`reset` makes the file the process's own.

    Raises
    ------
    ValueError
        For another `flag`.
    MXNetError
        When the file cannot be opened, read or written, or is not a file of records.
    """

    def __init__(self, uri, flag):
        self.uri = os.fspath(uri)
        self.flag = flag
        self.handle: Any = None
        self.is_open, self.pid = False, None
        self.open()

    def open(self):
        """Opens the file: to be read from its begin, or empty, to be written."""
        if self.flag not in ("r", "w"):
            raise ValueError(f"MXRecordIO: flag is 'r' or 'w'; got {self.flag!r}")
        self.writable = self.flag == "w"
        self.handle = _opened(self.uri, self.flag)
        self.pid = current_process().pid
        self.is_open = True
        self._lock = threading.RLock()

    def close(self):
        """Closes the file. What was written is then complete. Nothing happens a second time."""
        if not self.is_open:
            return
        self.handle.close()
        self.is_open = False
        self.pid = None

    def reset(self):
        """Closes the file and opens it again: reads from the begin, or writes an empty file."""
        self.close()
        self.open()

    def __del__(self):
        if getattr(self, "is_open", False):
            self.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def __getstate__(self):
        if self.writable and self.is_open:
            raise TypeError(
                f"{type(self).__name__} of {self.uri}, open to be written, cannot be pickled: "
                "the copy would write over the file"
            )
        state = dict(self.__dict__)
        for name in ("handle", "_lock", "pid"):
            state[name] = None
        return state

    def __setstate__(self, d):
        self.__dict__ = d
        was_open, self.is_open = d["is_open"], False
        if was_open:
            self.open()

    def _check_pid(self, allow_reset=False):
        """What a forked process may do with the parent's file: open it anew, or nothing."""
        if self.is_open and self.pid == current_process().pid:
            return
        if not self.is_open and (not allow_reset or self.writable):
            raise MXNetError(f"{type(self).__name__} of {self.uri} is closed")
        if not allow_reset:
            raise RuntimeError(
                f"{type(self).__name__} of {self.uri} was opened by another process: "
                "call reset() in this one first"
            )
        self.reset()

    def _check_flag(self, writable):
        if writable != self.writable:
            what = "read" if self.writable else "written"
            raise AssertionError(
                f"{type(self).__name__} of {self.uri} was opened with flag {self.flag!r}: "
                f"it cannot be {what}"
            )

    def write(self, buf):
        """Writes a record.

        Parameters
        ----------
        buf : bytes
            Less than 2**29 bytes.

        Examples
        --------
        >>> import mxtape as mx
        >>> import os, tempfile
        >>> folder = tempfile.TemporaryDirectory()
        >>> path = os.path.join(folder.name, "words.rec")
        >>> with mx.recordio.MXRecordIO(path, "w") as record:
        ...     record.write(b"seven")
        >>> open(path, "rb").read().hex(" ", 4)
        '0a23d7ce 05000000 73657665 6e000000'
        >>> folder.cleanup()
        """
        self._check_flag(True)
        self._check_pid()
        if not isinstance(buf, (bytes, bytearray, memoryview)):
            raise TypeError(f"MXRecordIO.write: a record is bytes; got {type(buf).__name__}")
        coded = memoryview(_encoded(bytes(buf)))
        try:
            while coded:
                coded = coded[self.handle.write(coded) :]
        except OSError as error:
            raise MXNetError(f"MXRecordIO.write: {self.uri}: {error.strerror}") from error

    def read(self):
        """The next record, bytes; None after the last."""
        self._check_flag(False)
        self._check_pid()
        return _read_record(self.handle)


class MXIndexedRecordIO(MXRecordIO):
    """A file of records, with a second file that says where each begins, by keys.

    Parameters
    ----------
    idx_path : str or os.PathLike
        The file of keys: in each line a key, a tab, and the byte at which the record begins.
    uri, flag
        As in :class:`MXRecordIO`.
    key_type : callable, default int
        Makes a key of its text.

    Attributes
    ----------
    keys : list
        The keys in the order of the file.
    idx : dict
        Where the record of a key begins.

    Threads may call :meth:`read_idx` at once, and so may processes that were forked. After
    :meth:`close`, it opens the files again.

    Examples
    --------
    >>> import mxtape as mx
    >>> import os, tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> index, path = (os.path.join(folder.name, name) for name in ("words.idx", "words.rec"))
    >>> with mx.recordio.MXIndexedRecordIO(index, path, "w") as record:
    ...     for key, word in enumerate((b"zero", b"one", b"two")):
    ...         record.write_idx(key, word)
    >>> record = mx.recordio.MXIndexedRecordIO(index, path, "r")
    >>> record.keys, record.read_idx(2), record.read_idx(1)
    ([0, 1, 2], b'two', b'one')
    >>> record.close()
    >>> folder.cleanup()
    """

    def __init__(self, idx_path, uri, flag, key_type=int):
        self.idx_path = idx_path
        self.key_type = key_type
        self.idx = {}
        self.keys = []
        self.fidx: Any = None
        super().__init__(uri, flag)

    def open(self):
        super().open()
        self.idx = {}
        self.keys = []
        if self.writable:
            # Lines go to the file at once, as records do.
            self.fidx = open(self.idx_path, "w", buffering=1)  # noqa: SIM115 (close() does)
        else:
            self._read_index()

    def _read_index(self):
        with open(self.idx_path) as lines:
            for number, line in enumerate(lines, 1):
                if not line.strip():
                    continue
                try:
                    words = line.rstrip("\n").split("\t")
                    key, position = self.key_type(words[0]), int(words[1])
                except (ValueError, IndexError) as error:
                    raise ValueError(
                        f"{self.idx_path}, line {number}: {line.strip()!r} is not a key, a tab, "
                        "and the byte at which its record begins"
                    ) from error
                self.keys.append(key)
                self.idx[key] = position

    def close(self):
        """Closes both files."""
        if not self.is_open:
            return
        super().close()
        if self.fidx is not None:
            self.fidx.close()
            self.fidx = None

    def __getstate__(self):
        state = super().__getstate__()
        state["fidx"] = None
        return state

    def seek(self, idx):
        """Makes :meth:`read` go on with the record of the key `idx`; KeyError if there is none."""
        self._check_flag(False)
        self._check_pid(allow_reset=True)
        position = self.idx[idx]
        if position < 0:
            raise MXNetError(f"{self.idx_path}: the record of {idx!r} begins at byte {position}")
        self.handle.seek(position)

    def tell(self):
        """The byte at which the next record will begin, of a file that is written."""
        self._check_flag(True)
        self._check_pid()
        return self.handle.tell()

    def read_idx(self, idx):
        """The record of the key `idx`, bytes."""
        self._check_flag(False)
        self._check_pid(allow_reset=True)
        with self._lock:
            self.seek(idx)
            record = self.read()
        if record is None:
            raise MXNetError(
                f"{self.uri}: the record of {idx!r} should begin at byte {self.idx[idx]}, "
                "where the file ends"
            )
        return record

    def write_idx(self, idx, buf):
        """Writes a record and its key."""
        key = self.key_type(idx)
        position = self.tell()
        self.write(buf)
        self.fidx.write(f"{key}\t{position}\n")
        self.idx[key] = position
        self.keys.append(key)


# ---- what records of pictures hold

IRHeader = namedtuple("HEADER", ["flag", "label", "id", "id2"])  # type: ignore[name-match]
IRHeader.__doc__ = """What stands before the bytes of a labelled record.

Attributes
----------
flag : int
    The number of labels where `label` is an array; :func:`pack` sets it. 0 for one number.
label : float or array of float
id, id2 : int
    A number of your own, and the higher bits of it, from 0 to 2**64 - 1 each.
"""
_IR_FORMAT = "IfQQ"
_IR_SIZE = struct.calcsize(_IR_FORMAT)


def pack(header, s):
    """A record: a header and bytes.

    Parameters
    ----------
    header : IRHeader
        Its label may be a number or an array of numbers, which is stored as float32.
    s : bytes

    Returns
    -------
    bytes

    Examples
    --------
    >>> import mxtape as mx
    >>> record = mx.recordio.pack(mx.recordio.IRHeader(0, [1.0, 2.5], 7, 0), b"picture")
    >>> header, s = mx.recordio.unpack(record)
    >>> header.flag, header.label.tolist(), header.id, s
    (2, [1.0, 2.5], 7, b'picture')
    """
    header = IRHeader(*header)
    if isinstance(header.label, numbers.Number):
        header, labels = header._replace(flag=0), b""
    else:
        values = np.asarray(header.label, dtype=np.float32)
        header, labels = header._replace(flag=values.size, label=0), values.tobytes()
    return struct.pack(_IR_FORMAT, *header) + labels + s


def unpack(s):
    """The header and the bytes of a record.

    Parameters
    ----------
    s : bytes
        What :func:`pack` has made.

    Returns
    -------
    IRHeader, bytes
        The label is a float where the flag is 0, else a numpy.ndarray of float32.

    Examples
    --------
    >>> import mxtape as mx
    >>> mx.recordio.unpack(mx.recordio.pack(mx.recordio.IRHeader(0, 3.0, 7, 0), b"picture"))
    (HEADER(flag=0, label=3.0, id=7, id2=0), b'picture')
    """
    if len(s) < _IR_SIZE:
        raise MXNetError(f"recordio.unpack: {len(s)} bytes; a header has {_IR_SIZE}")
    header, s = IRHeader(*struct.unpack(_IR_FORMAT, s[:_IR_SIZE])), s[_IR_SIZE:]
    if header.flag > 0:
        if len(s) < 4 * header.flag:
            raise MXNetError(
                f"recordio.unpack: {header.flag} labels should follow the header, and there are "
                f"{len(s)} bytes"
            )
        header = header._replace(label=np.frombuffer(s, np.float32, header.flag))
        s = s[4 * header.flag :]
    return header, s


def pack_img(header, img, quality=95, img_fmt=".jpg"):
    """A record: a header and a picture, which is encoded.

    Parameters
    ----------
    header : IRHeader
    img : numpy.ndarray or NDArray
        Of uint8: (height, width), (height, width, 1), or (height, width, 3) in the order blue,
        green, red; (height, width, 4) with opacity, as PNG.
    quality : int, default 95
        1 to 100 for JPEG; for PNG, how hard to compress, from 0 to 9.
    img_fmt : str, default '.jpg'
        ``'.jpg'``, ``'.png'``, or another suffix that Pillow knows.

    Returns
    -------
    bytes

    Pillow is needed: ``pip install mxtape[image]``.

    Examples
    --------
    >>> import mxtape as mx
    >>> from mxtape.recordio import pack_img
    >>> from mxtape.recordio import IRHeader
    >>> import numpy as np
    >>> picture = np.arange(12, dtype="uint8").reshape(2, 2, 3)
    >>> record = pack_img(IRHeader(0, 3.0, 7, 0), picture, quality=9, img_fmt=".png")
    >>> header, decoded = mx.recordio.unpack_img(record)
    >>> header.label, bool((decoded == picture).all())
    (3.0, True)
    """
    return pack(header, _codec.encode(img, img_fmt, quality))


def unpack_img(s, iscolor=-1):
    """The header and the decoded picture of a record.

    Parameters
    ----------
    s : bytes
        What :func:`pack_img` has made.
    iscolor : int, default -1
        1: three channels. 0: gray. -1: as it was stored.

    Returns
    -------
    IRHeader, numpy.ndarray
        The picture is (height, width) where it is gray, else (height, width, 3) in the order blue,
        green, red; where it is not changed, it may have opacity as a fourth channel, and uint16.

    Pillow is needed: ``pip install mxtape[image]``.
    """
    header, s = unpack(s)
    return header, _codec.decode(s, iscolor, to_rgb=False)


# What MXNet has in this module too; it imports this one.
__getattr__ = _borrowed.borrow(
    __name__,
    "ctypes np=numpy numbers struct",
    {
        "._c_types": "RecordIOHandle c_str check_call",
        "collections": "namedtuple",
        "multiprocessing": "current_process",
    },
    later="cv2=cv2",
)
