"""Data sets: what has a length and items by their positions."""

import os
from typing import Any

from ... import ndarray
from . import _batchify
from .sampler import FilterSampler, Sampler, SequentialSampler

__all__ = ["ArrayDataset", "Dataset", "RecordFileDataset", "SimpleDataset"]


class Dataset:
    """Items that are found by their positions; a base class.

    A subclass defines ``__getitem__`` and ``__len__``. All methods return a new data set, which
    reads from this one.
    """

    def __getitem__(self, idx):
        raise NotImplementedError(f"{type(self).__name__} does not define __getitem__")

    def __len__(self):
        raise NotImplementedError(f"{type(self).__name__} does not define __len__")

    def filter(self, fn):
        """The items of which a function is true.

        Parameters
        ----------
        fn : callable
            Called with each item, now.

        Examples
        --------
        >>> import mxtape as mx
        >>> list(mx.gluon.data.SimpleDataset([1, 2, 3, 4]).filter(lambda item: item % 2))
        [1, 3]
        """
        return _SampledDataset(self, FilterSampler(fn, self))

    def shard(self, num_shards, index):
        """One of several parts: items in a row, at most one more than in another part.

        Parameters
        ----------
        num_shards : int
            How many parts there are.
        index : int
            Which one, from 0.

        Raises
        ------
        AssertionError
            When `index` is not below `num_shards`, or negative.

        Examples
        --------
        >>> import mxtape as mx
        >>> [list(mx.gluon.data.SimpleDataset("abcde").shard(2, i)) for i in range(2)]
        [['a', 'b', 'c'], ['d', 'e']]
        """
        if index >= num_shards:
            raise AssertionError(f"shard: index {index} is not below num_shards={num_shards}")
        if index < 0:
            raise AssertionError(f"shard: index {index} is negative")
        size, longer = divmod(len(self), num_shards)
        start = index * size + min(index, longer)
        return _SampledDataset(self, SequentialSampler(size + (index < longer), start))

    def take(self, count):
        """The first items.

        Parameters
        ----------
        count : int or None
            How many; all, if it is None or there are fewer.

        Examples
        --------
        >>> import mxtape as mx
        >>> list(mx.gluon.data.SimpleDataset("abc").take(2))
        ['a', 'b']
        """
        length = len(self)
        return _SampledDataset(
            self, SequentialSampler(length if count is None else min(count, length))
        )

    def sample(self, sampler):
        """The items that a sampler gives, in its order.

        Parameters
        ----------
        sampler : Sampler
            Read once, now.

        Raises
        ------
        TypeError
            For what is not a Sampler.

        Examples
        --------
        >>> from mxtape.gluon.data import SequentialSampler
        >>> from mxtape.gluon.data import SimpleDataset
        >>> list(SimpleDataset("abc").sample(SequentialSampler(2, start=1)))
        ['b', 'c']
        """
        if not isinstance(sampler, Sampler):
            raise TypeError(f"sample: expected a gluon.data.Sampler, got {type(sampler)}")
        return _SampledDataset(self, sampler)

    def transform(self, fn, lazy=True):
        """The items after a function.

        Parameters
        ----------
        fn : callable
            Called with an item, or with the parts of an item that is a tuple.
        lazy : bool, default True
            Whether it is called each time that an item is read, so that it may give random
            results; if False, once for each item, now.

        Examples
        --------
        >>> import mxtape as mx
        >>> mx.gluon.data.ArrayDataset([1, 2], [10, 20]).transform(lambda x, y: x + y)[1]
        22
        """
        later = _LazyTransformDataset(self, fn)
        return later if lazy else SimpleDataset([later[i] for i in range(len(later))])

    def transform_first(self, fn, lazy=True):
        """The items after a function of their first part: of the data, not of the label.

        Parameters
        ----------
        fn : callable
            Called with an item, or with the first part of an item that is a tuple.
        lazy : bool, default True
            As in :meth:`transform`.

        Examples
        --------
        >>> import mxtape as mx
        >>> mx.gluon.data.ArrayDataset([1, 2], [10, 20]).transform_first(lambda x: -x)[1]
        (-2, 20)
        """
        return self.transform(_TransformFirstClosure(fn), lazy)

    def _gather(self, indices):
        """The batch of items by one call, or None where they have to be read one by one.

        It has the values that ``default_batchify_fn`` makes of the items.
        """
        return


class SimpleDataset(Dataset):
    """A data set of a list, or of anything else with a length and items.

    Parameters
    ----------
    data : sequence
        The items.

    Examples
    --------
    >>> import mxtape as mx
    >>> mx.gluon.data.SimpleDataset(["a", "b"])[1]
    'b'
    """

    def __init__(self, data):
        self._data = data

    def __getitem__(self, idx):
        return self._data[idx]

    def __len__(self):
        return len(self._data)

    def _gather(self, indices):
        if type(self).__getitem__ is SimpleDataset.__getitem__:
            return _batchify.rows(self._data, indices)
        return None


class ArrayDataset(Dataset):
    """Arrays of one length side by side: an item is a tuple of one element of each.

    Parameters
    ----------
    *args : sequences
        NDArrays, NumPy arrays, lists, data sets. An NDArray of one dimension is kept as a NumPy
        array: its elements are numbers.

    Raises
    ------
    AssertionError
        For no arrays, and for arrays of different lengths.

    Examples
    --------
    >>> import mxtape as mx
    >>> dataset = mx.gluon.data.ArrayDataset(mx.nd.ones((3, 2)), [7, 8, 9])
    >>> x, y = dataset[2]
    >>> x.shape, y
    ((2,), 9)
    """

    def __init__(self, *args):
        if not args:
            raise AssertionError("ArrayDataset: expected at least one array")
        self._length = len(args[0])
        self._data = []
        for number, data in enumerate(args):
            if len(data) != self._length:
                raise AssertionError(
                    f"ArrayDataset: array 0 has length {self._length}, "
                    f"array {number} has length {len(data)}"
                )
            flat = isinstance(data, ndarray.NDArray) and len(data.shape) == 1
            self._data.append(data.asnumpy() if flat else data)

    def __len__(self):
        return self._length

    def __getitem__(self, idx):
        first, *others = self._data
        return (first[idx], *(data[idx] for data in others)) if others else first[idx]

    def _gather(self, indices):
        if type(self).__getitem__ is not ArrayDataset.__getitem__:
            return None
        return _batchify.columns(self._data, indices)


class RecordFileDataset(Dataset):
    """The records of an indexed RecordIO file, as bytes.

    Parameters
    ----------
    filename : str
        The file, ``name.rec``. Its index ``name.idx`` is beside it.

    Each process that reads it opens the file for itself.
    """

    def __init__(self, filename):
        from ... import recordio

        self.idx_file = os.path.splitext(filename)[0] + ".idx"
        self.filename = filename
        self._record = recordio.MXIndexedRecordIO(self.idx_file, self.filename, "r")

    def __getitem__(self, idx):
        return self._record.read_idx(self._record.keys[idx])

    def __len__(self):
        return len(self._record.keys)


class _SampledDataset(Dataset):
    """Some items of another data set, in the order that a sampler gave."""

    def __init__(self, dataset, sampler):
        self._dataset = dataset
        self._sampler = sampler
        self._indices = list(sampler)
        len(sampler)  # a negative length is an error here, not in a loader

    def __len__(self):
        return len(self._sampler)

    def __getitem__(self, idx):
        return self._dataset[self._indices[idx]]

    def _gather(self, indices):
        own = self._indices
        count = len(own)
        if not all(0 <= i < count for i in indices):
            return None
        return _batchify.rows(self._dataset, [own[i] for i in indices])


class _FilteredDataset(_SampledDataset):
    """The items of another data set of which a function is true."""

    def __init__(self, dataset, fn):
        super().__init__(dataset, FilterSampler(fn, dataset))


class _LazyTransformDataset(Dataset):
    """The items of another data set after a function, called as they are read."""

    def __init__(self, data, fn):
        self._data, self._fn = data, fn

    def __getitem__(self, idx):
        item = self._data[idx]
        return self._fn(*item) if isinstance(item, tuple) else self._fn(item)

    def __len__(self):
        return len(self._data)


class _TransformFirstClosure:
    """A function of the first part of an item; an object that can be pickled."""

    def __init__(self, fn):
        self._fn = fn

    def __call__(self, x, *rest):
        first = self._fn(x)
        return (first, *rest) if rest else first


class _DownloadedDataset(Dataset):
    """Arrays that a subclass reads from files in a folder, for :mod:`vision`.

    Parameters
    ----------
    root : str
        The folder; made if there is none.
    transform : callable or None
        Called with the data and the label of an item as it is read.

    A subclass defines ``_get_data``, which sets ``_data`` and ``_label``.
    """

    def __init__(self, root, transform):
        self._transform = transform
        self._data: Any = None
        self._label: Any = None
        self._root = os.path.expanduser(root)
        os.makedirs(self._root, exist_ok=True)
        self._get_data()

    def __getitem__(self, idx):
        item = self._data[idx], self._label[idx]
        return item if self._transform is None else self._transform(*item)

    def __len__(self):
        return len(self._label)

    def _get_data(self):
        raise NotImplementedError(f"{type(self).__name__} does not define _get_data")

    def _gather(self, indices):
        if self._transform or type(self).__getitem__ is not _DownloadedDataset.__getitem__:
            return None
        return _batchify.columns([self._data, self._label], indices)
