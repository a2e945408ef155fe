"""LibSVMIter: batches of sparse rows from a file."""

import numpy as np

from ..base import MXNetError
from ..ndarray import sparse
from .files import MXDataIter, _as, _batch_size, _Examples, _flag, _need, _opened, _part, _shape

__all__ = ["LibSVMIter"]

_LINES = 4096  # that are read at once


class _Lines:
    """What the lines of a file say, as the parts of a csr array and a label for each line."""

    def __init__(self, path, columns):
        self._path, self._columns = path, columns
        self._labels, self._counts, self._positions, self._values = [], [], [], []
        self._numbers: list = []  # of the lines that wait
        self._heads: list = []
        self._pairs: list = []

    def add(self, number, line):
        """Reads a line; `number` is for messages."""
        words = line.partition(b"#")[0].split(None, 1)
        if not words:
            return
        pairs = words[1].rstrip() if len(words) == 2 else b""
        if b"qid:" in pairs:
            pairs = b" ".join(word for word in pairs.split() if not word.startswith(b"qid:"))
        self._numbers.append(number)
        self._heads.append(words[0].partition(b":")[0])
        self._pairs.append(pairs)
        if len(self._numbers) == _LINES:
            self._read()

    def _read(self):
        """Reads the lines that wait: all at once, or one by one to say which is wrong."""
        try:
            found = self._parsed(self._heads, self._pairs)
        except (ValueError, OverflowError):
            for number, head, pairs in zip(self._numbers, self._heads, self._pairs):
                try:
                    self._parsed([head], [pairs])
                except (ValueError, OverflowError) as error:
                    raise MXNetError(f"LibSVMIter: {self._path}, line {number}: {error}") from error
            raise
        for whole, part in zip((self._labels, self._counts, self._positions, self._values), found):
            whole.append(part)
        self._numbers, self._heads, self._pairs = [], [], []

    def _parsed(self, heads, pairs):
        counts = np.array([text.count(b":") for text in pairs], np.int64)
        words = b" ".join(pairs).replace(b":", b" : ").split()
        total = int(counts.sum())
        if len(words) != 3 * total or words[1::3].count(b":") != total:
            shown = b" ".join(pairs).decode(errors="replace")
            raise ValueError(f"pairs of position:value are needed; got {shown!r}")
        positions = np.array(list(map(int, words[0::3])), np.int64)
        wrong = (positions < 0) | (positions >= self._columns)
        if wrong.any():
            raise ValueError(
                f"position {positions[wrong][0]} of a row of {self._columns}; the first is 0"
            )
        values = np.array(list(map(float, words[2::3])), np.float64)
        return np.array(list(map(float, heads)), np.float64), counts, positions, values

    def arrays(self, dtype):
        """Labels, as a NumPy array, and the rows, as a csr array."""
        if self._numbers:
            self._read()
        if not self._labels:
            raise MXNetError(f"LibSVMIter: {self._path} is empty")
        counts = np.concatenate(self._counts)
        rows = sparse.csr_matrix(
            (
                np.concatenate(self._values),
                np.concatenate(self._positions),
                np.concatenate([[0], np.cumsum(counts)]),
            ),
            shape=(len(counts), self._columns),
            dtype=dtype,
        )
        return np.concatenate(self._labels).astype(dtype), rows


def _read_libsvm(path, shape, dtype):
    """Labels, one a line, and the pairs of position and value behind them, as a csr array."""
    if len(shape) != 1:
        raise MXNetError(f"LibSVMIter: a line is one row; got the shape {shape}")
    lines = _Lines(path, shape[0])
    with _opened("LibSVMIter", path) as f:
        for number, line in enumerate(f, 1):
            lines.add(number, line)
    return lines.arrays(dtype)


def LibSVMIter(
    *,
    data_libsvm=None,
    data_shape=None,
    label_libsvm=None,
    label_shape=(1,),
    num_parts=1,
    part_index=0,
    batch_size=None,
    round_batch=True,
    dtype=None,
    data_name="data",
    label_name="softmax_label",
    prefetch_buffer=4,
    ctx=None,
    **_,
):
    """Batches of the lines of a file of sparse rows: ``label position:value position:value ...``.

    The batches are ``csr`` arrays. The file is read when the iterator is made, and kept in memory
    in that form.

    Parameters
    ----------
    data_libsvm : str
        The file, which may be packed by gzip. Positions begin with 0.
    data_shape : tuple of int
        The length of a row, as ``(length,)``.
    label_libsvm : str, optional
        A file of the same form whose rows are the labels: they are ``csr`` too. By default a label
        is the number that the line begins with, and the labels of a batch are dense.
    label_shape : tuple of int, default (1,)
        The length of a row of `label_libsvm`, at least 2.
    num_parts, part_index : int, default 1 and 0
        Give only one of several parts of the lines.
    batch_size : int
    round_batch : bool, default True
        If the last batch is not full, fill it up with the first lines, and begin the next epoch
        behind those. Only True is supported, as in MXNet.
    dtype : dtype, default 'float32'
    data_name, label_name : str, default 'data' and 'softmax_label'
    prefetch_buffer, ctx
        Accepted, and without effect.

    Raises
    ------
    MXNetError
        When a file cannot be read, or a line of it; for a position beyond the row.

    Examples
    --------
    >>> import mxtape as mx
    >>> import tempfile, os
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = os.path.join(folder.name, "data.svm")
    >>> with open(path, "w") as f:
    ...     print("1 0:0.5 2:1.5\\n-1 1:2", file=f)
    >>> batch = mx.io.LibSVMIter(data_libsvm=path, data_shape=(3,), batch_size=2).next()
    >>> batch.data[0].stype, batch.data[0].asnumpy().tolist(), batch.label[0].asnumpy().tolist()
    ('csr', [[0.5, 0.0, 1.5], [0.0, 2.0, 0.0]], [1.0, -1.0])
    >>> folder.cleanup()
    """
    _need("LibSVMIter", data_libsvm=data_libsvm, data_shape=data_shape, batch_size=batch_size)
    if not _flag("LibSVMIter", "round_batch", round_batch):
        raise MXNetError("LibSVMIter: round_batch=False is not supported")
    batch_size, dtype = _batch_size("LibSVMIter", batch_size), _as(dtype)
    data_shape = _shape("LibSVMIter", "data_shape", data_shape)
    label_shape = _shape("LibSVMIter", "label_shape", label_shape)
    with_file = label_libsvm not in (None, "NULL")
    if (np.prod(label_shape) > 1) != with_file:
        raise MXNetError(
            "LibSVMIter: label_shape is (1,) without label_libsvm, and the length of its rows, at "
            f"least 2, with it; got label_shape={label_shape}, label_libsvm={label_libsvm!r}"
        )
    label, data = _read_libsvm(data_libsvm, data_shape, dtype)
    if with_file:
        label = _read_libsvm(label_libsvm, label_shape, dtype)[1]
        if label.shape[0] != data.shape[0]:
            raise MXNetError(
                f"LibSVMIter: {data_libsvm} has {data.shape[0]} rows, and {label_libsvm} "
                f"{label.shape[0]}"
            )
    part = _part(data.shape[0], num_parts, part_index)
    examples = _Examples(_rows_of(data, part), _rows_of(label, part), batch_size, "round")
    return MXDataIter(examples, data_name, label_name)


def _rows_of(values, part):
    return values if part == slice(0, values.shape[0]) else values[part]
