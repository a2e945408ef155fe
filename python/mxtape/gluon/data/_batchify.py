"""Batches: items stacked, or taken from arrays by one call."""

import numpy as np

from ..._loader import core as _core
from ...ndarray import NDArray, array, stack, take
from . import _shared_memory


def stacked(items):
    """The batch of items: NDArrays and numbers stacked, tuples part by part, as a list.

    In a worker of a loader its memory is shared with the process that reads it.
    """
    first = items[0]
    if isinstance(first, tuple):
        return [stacked(part) for part in zip(*items)]
    if isinstance(first, NDArray):
        if np.dtype(first.dtype) not in _shared_memory.DTYPES:
            return stack(*items)
        return stack(*items, out=_shared_memory.empty((len(items), *first.shape), first.dtype))
    if isinstance(first, np.ndarray) and first.dtype in _shared_memory.DTYPES and _alike(items):
        shape = (len(items), *first.shape)
        return _filled(shape, first.dtype, lambda memory: np.stack(items, out=memory))
    values = np.asarray(items)
    if values.dtype not in _shared_memory.DTYPES:
        return array(values, dtype=values.dtype)  # an error, with its reason
    return _filled(values.shape, values.dtype, lambda memory: np.copyto(memory, values))


def _alike(items):
    shape, dtype = items[0].shape, items[0].dtype
    return all(
        isinstance(item, np.ndarray) and item.shape == shape and item.dtype == dtype
        for item in items
    )


def rows(data, indices):
    """The batch of ``data[i]`` for each index, with the values that stacking them has.

    Parameters
    ----------
    data : NDArray, numpy.ndarray, Dataset or any sequence
    indices : list of int

    Returns
    -------
    NDArray, list or None
        None where the items have to be read one by one: then that says what is wrong, too.
    """
    kind = type(data)
    if kind is not NDArray and kind is not np.ndarray and kind is not np.memmap:
        gather = getattr(kind, "_gather", None)
        return None if gather is None else gather(data, indices)
    # An element of an NDArray of one dimension has shape (1,), not ().
    if data.ndim < 1 + (kind is NDArray) or np.dtype(data.dtype) not in _shared_memory.DTYPES:
        return None
    positions = _positions(indices, len(data))
    if positions is None:
        return None
    shape = (len(positions), *data.shape[1:])
    if kind is NDArray:
        if data.dtype is np.bool_:  # NumPy reads booleans through no capsule
            result = _shared_memory.empty(shape, data.dtype)
            return take(data, _core.from_numpy_copy(positions), 0, "clip", out=result)
        # A batch is too small a copy to be shared out to threads.
        data = np.from_dlpack(data)
    return _filled(
        shape, data.dtype, lambda memory: np.take(data, positions, 0, out=memory, mode="clip")
    )


def columns(arrays, indices):
    """The batches of arrays side by side, as a list, or the only one; None as in :func:`rows`."""
    batches = []
    for data in arrays:
        batch = rows(data, indices)
        if batch is None:
            batch = stacked([data[i] for i in indices])
        batches.append(batch)
    return batches if len(batches) > 1 else batches[0]


def _filled(shape, dtype, fill):
    """An array that ``fill`` writes, given NumPy's view of it."""
    result = _shared_memory.empty(shape, dtype)
    _core.write(result, fill, lambda: [(0, result.size, 1, 1)])
    return result


def positions_of(indices):
    """A list of integers as one array, which is quickly sent and used; None for anything else."""
    if isinstance(indices, np.ndarray):
        return indices if indices.ndim == 1 and indices.dtype == np.int64 else None
    try:
        positions = np.asarray(indices)
    except ValueError:  # lists of several lengths
        return None
    if positions.ndim != 1 or positions.dtype.kind not in "iu":
        return None
    return positions.astype(np.int64, copy=False)


def _positions(indices, length):
    positions = positions_of(indices)
    if positions is None or not len(positions):
        return None
    if positions.min() < 0 or positions.max() >= length:
        return None
    return positions
