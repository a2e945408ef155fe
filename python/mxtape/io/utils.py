"""Lists of named arrays from what programs give for data and labels."""

import numpy as np

from ..ndarray import NDArray, array, concat, slice_axis, sparse, take

__all__: list = []


class Lazy:
    """An array that stays in its file, such as an h5py.Dataset, and is read by batches.

    Its batches are float32, as those of NumPy arrays are.
    """

    def __init__(self, source):
        self.source = source
        self.shape = tuple(source.shape)
        self.dtype = np.float32

    def rows(self, index):
        """Rows by their positions, which may be a slice."""
        if isinstance(index, slice):
            return array(np.asarray(self.source[index]))
        # Such files want positions that increase.
        wanted, back = np.unique(index, return_inverse=True)
        return array(np.asarray(self.source[wanted])[back])


def _is_lazy(x):
    """Whether it has what is needed of an h5py.Dataset; NumPy's and our arrays are read at once.

    What pandas has looks like it, but is indexed by labels.
    """
    if isinstance(x, (NDArray, np.ndarray)) or hasattr(x, "iloc"):
        return False
    return all(hasattr(x, name) for name in ("shape", "dtype", "__getitem__"))


def _named(data, allow_empty, default_name):
    """(name, array) in order, of what may be None, an array, a list or a dict."""
    if data is None:
        data = []
    if isinstance(data, (np.ndarray, NDArray)) or _is_lazy(data) or hasattr(data, "tocsr"):
        data = [data]
    if isinstance(data, list):
        if not data and not allow_empty:
            raise AssertionError(f"{default_name} is empty: at least one array is needed")
        names = [
            f"_{i}_{default_name}" if len(data) > 1 else default_name for i in range(len(data))
        ]
        return list(zip(names, data))
    if isinstance(data, dict):
        return sorted(data.items())
    raise TypeError(
        f"{default_name} is an NDArray, a numpy.ndarray, a SciPy matrix, an h5py.Dataset, or a "
        f"list or dict of these; got {type(data).__name__}"
    )


def _init_data(data, allow_empty, default_name):
    """Data as a list of (name, NDArray), sorted by name where it was a dict.

    NumPy arrays and SciPy's sparse ones become float32. Several arrays of a list are called
    ``_0_data``, ``_1_data`` and so on, after `default_name`. An h5py.Dataset, and what is like it,
    stays in its file.
    """
    made = []
    for name, x in _named(data, allow_empty, default_name):
        if not isinstance(x, NDArray):
            try:
                x = _array_of(x)
            except (TypeError, ValueError) as error:
                raise TypeError(f"{name}: no array can be made of {type(x).__name__}") from error
        if not x.shape:
            raise TypeError(f"{name}: an array of examples is needed, got one number")
        made.append((name, x))
    return made


def _array_of(x):
    if hasattr(x, "tocsr"):
        return sparse.array(x.tocsr(), dtype="float32")
    return Lazy(x) if _is_lazy(x) else array(x)


def _has_instance(data, dtype):
    """Whether a list of (name, array) has an array of a type."""
    return any(isinstance(x, dtype) for _, x in data)


def _getdata_by_idx(data, idx):
    """A list of (name, array) with the rows at the positions `idx`, as NDArrays."""
    return [(name, rows(x, np.asarray(idx))) for name, x in data]


def rows(x, index):
    """A copy of rows of an NDArray or a :class:`Lazy`, by their positions or a slice.

    Those of a csr array are one, those of a row_sparse array are dense.
    """
    if isinstance(x, Lazy):
        return x.rows(index)
    if isinstance(index, slice):
        if x.stype == "csr":
            return x[index]
        return slice_axis(x, axis=0, begin=index.start, end=index.stop)
    return take(x, array(index, dtype="int64"), axis=0)


def joined(parts):
    """Arrays one below the other; one by itself is not copied."""
    return parts[0] if len(parts) == 1 else concat(*parts, dim=0)
