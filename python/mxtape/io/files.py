"""Iterators over files: CSV, MNIST."""

import ast
import contextlib
import gzip
import logging
import os
import struct
import warnings
import zlib
from typing import Any

import numpy as np

from ..base import MXNetError
from ..ndarray import NDArray, array
from .io import DataBatch, DataDesc, DataIter
from .utils import rows

__all__ = [
    "CSVIter",
    "MNISTIter",
    "MXDataIter",
]


class _Examples:
    """Examples of a file in their order, by batches: NumPy arrays, or csr arrays.

    `last` says what the last batch is, when there are too few examples for it: 'round' begins with
    the first ones again, and the next epoch goes on behind those; 'repeat' fills it up with what
    the batch before had in these places; 'discard' leaves it out.
    """

    def __init__(self, data, label, batch_size, last):
        self.data, self.label, self.batch_size, self.last = data, label, batch_size, last
        self.begin = 0
        self.reset()

    def reset(self):
        self.cursor, self.begin = self.begin, 0
        self.index: Any = None
        self.pad = 0

    def iter_next(self):
        count = self.data.shape[0]
        left = count - self.cursor
        if left <= 0 or (left < self.batch_size and self.last == "discard"):
            return False
        before = self.index
        self.index = np.arange(self.cursor, self.cursor + self.batch_size) % count
        self.pad = max(self.batch_size - left, 0)
        if self.pad and self.last == "repeat" and before is not None:
            self.index[left:] = before[left:]
        if self.pad and self.last == "round":
            self.begin = self.pad % count
        self.cursor += self.batch_size
        return True

    def described(self):
        """Shapes and dtypes of data and labels."""
        return [
            ((self.batch_size, *values.shape[1:]), np.dtype(values.dtype).type)
            for values in (self.data, self.label)
        ]

    def _rows(self, values):
        if self.index is None:
            raise MXNetError("there is no batch yet: iter_next() moves to the first one")
        if isinstance(values, NDArray):
            return rows(values, self.index)
        taken = values[self.index]
        return array(taken, dtype=taken.dtype)

    def getdata(self):
        return self._rows(self.data)

    def getlabel(self):
        return self._rows(self.label)

    def getindex(self):
        return self.index.astype("uint64")


class MXDataIter(DataIter):
    """What :func:`CSVIter`, :func:`LibSVMIter`, :func:`ImageRecordIter` and their kin return.

    Parameters
    ----------
    handle
        The examples; those functions make it.
    data_name : str, default 'data'
    label_name : str, default 'softmax_label'

    Attributes
    ----------
    provide_data, provide_label : list of DataDesc
    """

    def __init__(self, handle, data_name="data", label_name="softmax_label", **_):
        super().__init__(handle.batch_size)
        self.handle = handle
        self._debug_skip_load = False
        self._first_batch = None
        data, label = handle.described()
        self.provide_data = [DataDesc(data_name, *data)]
        self.provide_label = [DataDesc(label_name, *label)]

    def debug_skip_load(self):
        """Lets :meth:`next` return the first batch always, to time a program without its data."""
        self._debug_skip_load = True
        logging.info("debug_skip_load: the iterator returns the first batch from here on")

    def reset(self):
        self.handle.reset()

    def iter_next(self):
        return self.handle.iter_next()

    def next(self):
        if self._debug_skip_load and self._first_batch is not None:
            return self._first_batch
        if not self.iter_next():
            raise StopIteration
        batch = DataBatch(
            data=[self.getdata()],
            label=[self.getlabel()],
            pad=self.getpad(),
            index=self.getindex(),
        )
        if self._debug_skip_load:
            self._first_batch = batch
        return batch

    def getdata(self):
        """The batch's data: an NDArray, not a list of them."""
        return self.handle.getdata()

    def getlabel(self):
        """The batch's labels: an NDArray, not a list of them."""
        return self.handle.getlabel()

    def getindex(self):
        """The positions of the batch's examples in the file, of dtype uint64."""
        return self.handle.getindex()

    def getpad(self):
        return self.handle.pad


# ---- arguments, which may be text as well


def flag(value):
    """A bool, of True, False, 1, 0 or the text of these; a ValueError for anything else."""
    text = str(value).lower()
    if text not in ("1", "true", "0", "false"):
        raise ValueError("it is True or False")
    return text in ("1", "true")


def integer(value):
    """An int, of a whole number or the text of one; a ValueError for anything else."""
    found = int(value)
    if not isinstance(value, str) and found != value:
        raise ValueError("it is a whole number")
    return found


def _flag(function, name, value):
    try:
        return flag(value)
    except ValueError as error:
        raise MXNetError(f"{function}: {name}={value!r}: {error}") from None


def _shape(function, name, value):
    try:
        found = ast.literal_eval(value) if isinstance(value, str) else value
        found = tuple(map(int, found if isinstance(found, (tuple, list)) else (found,)))
    except (ValueError, TypeError, SyntaxError):
        found = ()
    if not found or min(found) < 1:
        raise MXNetError(f"{function}: {name} is a tuple of positive int; got {value!r}")
    return found


def _need(function, **given):
    for name, value in given.items():
        if value is None:
            raise MXNetError(f"{function}: the argument {name} is missing")


def _part(count, num_parts, part_index):
    """The slice that is one of `num_parts` parts of about the same size."""
    parts, part = int(num_parts), int(part_index)
    if not 0 <= part < parts:
        raise MXNetError(f"part_index {part} of {parts} parts")
    return slice(count * part // parts, count * (part + 1) // parts)


@contextlib.contextmanager
def _opened(function, path):
    """The file, which may be packed; that it cannot be read is an MXNetError."""
    try:
        with open(path, "rb") as f:
            packed = f.read(2) == b"\x1f\x8b"
        with gzip.open(path, "rb") if packed else open(path, "rb") as f:
            yield f
    except (OSError, EOFError, zlib.error) as error:
        raise MXNetError(f"{function}: {path}: {getattr(error, 'strerror', 0) or error}") from error


def _as(dtype):
    return np.dtype("float32" if dtype in (None, "None") else dtype)


def _batch_size(function, value):
    try:
        found = integer(value)
    except (ValueError, TypeError):
        found = 0
    if found < 1:
        raise MXNetError(f"{function}: batch_size is at least 1, and whole; got {value!r}")
    return found


# ---- CSV


def _read_csv(path, shape, dtype):
    # NumPy does not read bfloat16.
    readable = dtype if dtype.kind in "fiu" else np.dtype("float32")
    with _opened("CSVIter", path) as f, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of an empty file
        try:
            table = np.loadtxt(f, readable, delimiter=",", comments=None, ndmin=2, encoding="utf-8")
        except ValueError as error:
            raise MXNetError(f"CSVIter: {path}: {error}") from error
    if not table.size:
        raise MXNetError(f"CSVIter: {path} is empty")
    table = table.astype(dtype, copy=False)
    size = int(np.prod(shape))
    if table.shape[1] != size:
        raise MXNetError(
            f"CSVIter: {path} has {table.shape[1]} numbers in a line; shape {shape} needs {size}"
        )
    return table.reshape((len(table), *shape))


def CSVIter(
    *,
    data_csv=None,
    data_shape=None,
    label_csv=None,
    label_shape=(1,),
    batch_size=None,
    round_batch=True,
    dtype=None,
    data_name="data",
    label_name="softmax_label",
    prefetch_buffer=4,
    ctx=None,
    **_,
):
    """Batches of the lines of a file of numbers with commas between them.

    The files are read when the iterator is made, and kept in memory.

    Parameters
    ----------
    data_csv : str
        The file of the data, an example a line; it may be packed by gzip.
    data_shape : tuple of int
        The shape of an example.
    label_csv : str, optional
        The file of the labels, as many lines. Labels are 0 by default.
    label_shape : tuple of int, default (1,)
        The shape of a label; of ``(1,)`` come batches of shape ``(batch_size,)``.
    batch_size : int
    round_batch : bool, default True
        If the last batch is not full, fill it up with the first lines, and begin the next epoch
        behind those. Otherwise it is filled up with lines of the batch before. ``batch.pad`` is how
        many.
    dtype : dtype, default 'float32'
        Of data and labels.
    data_name, label_name : str, default 'data' and 'softmax_label'
    prefetch_buffer, ctx
        Accepted, and without effect.

    Raises
    ------
    MXNetError
        When a file cannot be read, or a line has not the numbers that the shape needs.

    Examples
    --------
    >>> import mxtape as mx
    >>> import tempfile, os
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = os.path.join(folder.name, "data.csv")
    >>> with open(path, "w") as f:
    ...     print("1,2\\n3,4\\n5,6", file=f)
    >>> batches = mx.io.CSVIter(data_csv=path, data_shape=(2,), batch_size=2)
    >>> [(batch.data[0].asnumpy().tolist(), batch.pad) for batch in batches]
    [([[1.0, 2.0], [3.0, 4.0]], 0), ([[5.0, 6.0], [1.0, 2.0]], 1)]
    >>> folder.cleanup()
    """
    _need("CSVIter", data_csv=data_csv, data_shape=data_shape, batch_size=batch_size)
    batch_size = _batch_size("CSVIter", batch_size)
    dtype, label_shape = _as(dtype), _shape("CSVIter", "label_shape", label_shape)
    data = _read_csv(data_csv, _shape("CSVIter", "data_shape", data_shape), dtype)
    if label_csv in (None, "NULL"):
        label = np.zeros((len(data), *label_shape), dtype)
    else:
        label = _read_csv(label_csv, label_shape, dtype)
        if len(label) != len(data):
            raise MXNetError(
                f"CSVIter: {data_csv} has {len(data)} lines, and {label_csv} {len(label)}"
            )
    label = label.reshape(len(label)) if label_shape == (1,) else label
    last = "round" if _flag("CSVIter", "round_batch", round_batch) else "repeat"
    return MXDataIter(_Examples(data, label, batch_size, last), data_name, label_name)


# ---- MNIST


def _read_mnist(path, axes):
    """The numbers of a file of MNIST's form, with `axes` axes."""
    with _opened("MNISTIter", path) as f:
        content = f.read()
    header = 4 + 4 * axes
    if len(content) < header or content[:4] != bytes((0, 0, 8, axes)):
        raise MXNetError(f"MNISTIter: {path} does not begin as a file of {axes} axes of bytes does")
    shape = struct.unpack(f">{axes}I", content[4:header])
    values = np.frombuffer(content, "uint8", offset=header)
    if values.size != np.prod(shape, dtype="int64"):
        raise MXNetError(f"MNISTIter: {path} has {values.size} bytes for the shape {shape}")
    return values.reshape(shape)


def MNISTIter(
    *,
    image="./train-images-idx3-ubyte",
    label="./train-labels-idx1-ubyte",
    batch_size=128,
    shuffle=True,
    flat=False,
    seed=0,
    silent=False,
    num_parts=1,
    part_index=0,
    dtype=None,
    data_name="data",
    label_name="softmax_label",
    prefetch_buffer=4,
    ctx=None,
    **_,
):
    """Batches of images from the files of MNIST, which are not downloaded.

    Parameters
    ----------
    image, label : str
        The files, which may be packed by gzip.
    batch_size : int, default 128
        What is left at the end, less than a batch, is not given.
    shuffle : bool, default True
        Put the images in another order when the iterator is made; it is the same in each epoch.
    flat : bool, default False
        Give rows, of shape ``(batch_size, 784)``, where images are ``(batch_size, 1, 28, 28)``.
    seed : int, default 0
        What the order depends on.
    silent : bool, default False
        Do not log how many images there are.
    num_parts, part_index : int, default 1 and 0
        Give only one of several parts of the images.
    dtype : dtype, default 'float32'
    data_name, label_name : str, default 'data' and 'softmax_label'
    prefetch_buffer, ctx
        Accepted, and without effect.

    Pixels are from 0 up to, but not including, 1: bytes divided by 256.

    Raises
    ------
    MXNetError
        When a file cannot be read, or is no such file.

    Examples
    --------
    >>> from mxtape.io import MNISTIter
    >>> import os, struct, tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> image, label = (os.path.join(folder.name, name) for name in ("image", "label"))
    >>> with open(image, "wb") as f:
    ...     _ = f.write(struct.pack(">4I", 0x803, 2, 1, 2) + bytes((0, 64, 128, 255)))
    >>> with open(label, "wb") as f:
    ...     _ = f.write(struct.pack(">2I", 0x801, 2) + bytes((7, 9)))
    >>> batch = MNISTIter(image=image, label=label, batch_size=2, flat=True, shuffle=False).next()
    >>> batch.data[0].asnumpy().tolist(), batch.label[0].asnumpy().tolist()
    ([[0.0, 0.25], [0.5, 0.99609375]], [7.0, 9.0])
    >>> folder.cleanup()
    """
    batch_size = _batch_size("MNISTIter", batch_size)
    images, labels = _read_mnist(image, 3), _read_mnist(label, 1)
    if len(images) != len(labels):
        raise MXNetError(f"MNISTIter: {len(images)} images and {len(labels)} labels")
    part = _part(len(images), num_parts, part_index)
    if len(images[part]) < batch_size:
        raise MXNetError(
            f"MNISTIter: {len(images[part])} images are fewer than a batch of {batch_size}"
        )
    dtype = _as(dtype)
    images = images[part].astype("float32") * np.float32(1 / 256)
    images, labels = images.astype(dtype, copy=False), labels[part].astype(dtype)
    if _flag("MNISTIter", "shuffle", shuffle):
        order = np.random.RandomState(int(seed)).permutation(len(images))
        images, labels = images[order], labels[order]
    images = (
        images.reshape(len(images), -1) if _flag("MNISTIter", "flat", flat) else images[:, None]
    )
    if not _flag("MNISTIter", "silent", silent):
        logging.info("MNISTIter: %d images from %s", len(images), os.fspath(image))
    return MXDataIter(_Examples(images, labels, batch_size, "discard"), data_name, label_name)
