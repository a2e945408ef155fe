"""Samplers: the order in which a loader visits the items of a data set."""

import numpy as np

__all__ = ["BatchSampler", "FilterSampler", "RandomSampler", "Sampler", "SequentialSampler"]


class Sampler:
    """What gives the positions of items, one after the other; a base class.

    A subclass defines ``__iter__`` and ``__len__``.
    """

    def __len__(self):
        raise NotImplementedError(f"{type(self).__name__} does not define __len__")

    def __iter__(self):
        raise NotImplementedError(f"{type(self).__name__} does not define __iter__")


class SequentialSampler(Sampler):
    """The positions in their order.

    Parameters
    ----------
    length : int
        How many there are.
    start : int, default 0
        The first one.

    Examples
    --------
    >>> import mxtape as mx
    >>> list(mx.gluon.data.SequentialSampler(3, start=5))
    [5, 6, 7]
    """

    def __init__(self, length, start=0):
        self._start, self._length = start, length

    def __len__(self):
        return self._length

    def __iter__(self):
        end = self._start + self._length
        return iter(range(self._start, end))


class RandomSampler(Sampler):
    """The positions in random order, each once; another order in each epoch.

    Parameters
    ----------
    length : int
        How many there are. ``numpy.random.seed`` makes the order reproducible.

    Examples
    --------
    >>> import mxtape as mx
    >>> sorted(mx.gluon.data.RandomSampler(4)) == [0, 1, 2, 3]
    True
    """

    def __init__(self, length):
        self._length = length

    def __len__(self):
        return self._length

    def __iter__(self):
        order = np.arange(self._length)
        np.random.shuffle(order)  # noqa: NPY002 (the order that MXNet has after a seed)
        return iter(order)


class FilterSampler(Sampler):
    """The positions of the items of which a function is true, in their order.

    Parameters
    ----------
    fn : callable
        Called with each item, once, when the sampler is made.
    dataset : Dataset

    Examples
    --------
    >>> import mxtape as mx
    >>> list(mx.gluon.data.FilterSampler(lambda item: item > "b", ["a", "c", "b", "d"]))
    [1, 3]
    """

    def __init__(self, fn, dataset):
        self._dataset, self._fn = dataset, fn
        self._indices = [i for i in range(len(dataset)) if fn(dataset[i])]

    def __len__(self):
        return len(self._indices)

    def __iter__(self):
        return iter(self._indices)


class BatchSampler(Sampler):
    """The positions of another sampler in lists of one size.

    Parameters
    ----------
    sampler : Sampler
        Gives the positions.
    batch_size : int
        How many a list has.
    last_batch : {'keep', 'discard', 'rollover'}, default 'keep'
        What is done with positions that are too few for a list: they are a shorter list, are left
        out, or come first in the next epoch.

    Examples
    --------
    >>> import mxtape as mx
    >>> batches = mx.gluon.data.BatchSampler(mx.gluon.data.SequentialSampler(5), 2, "rollover")
    >>> list(batches), list(batches)
    ([[0, 1], [2, 3]], [[4, 0], [1, 2], [3, 4]])
    """

    def __init__(self, sampler, batch_size, last_batch="keep"):
        if isinstance(batch_size, str) or batch_size < 1 or batch_size != int(batch_size):
            raise ValueError(
                f"BatchSampler: batch_size must be a whole number of 1 or more, got {batch_size!r}"
            )
        self._prev = []  # positions that are left from the epoch before
        self._batch_size, self._last_batch = batch_size, last_batch
        self._sampler = sampler

    def __iter__(self):
        batch, self._prev = self._prev, []
        for position in self._sampler:
            batch.append(position)
            if len(batch) == self._batch_size:
                yield batch
                batch = []
        if not batch:
            return
        if self._last_batch == "rollover":
            self._prev = batch
        elif self._last_batch == "keep":
            yield batch
        else:
            self._check()

    def _check(self):
        if self._last_batch not in ("keep", "discard", "rollover"):
            raise ValueError(
                "BatchSampler: last_batch is 'keep', 'discard' or 'rollover', "
                f"got {self._last_batch!r}"
            )

    def __len__(self):
        self._check()
        count = len(self._sampler)
        if self._last_batch == "keep":
            return -(-count // self._batch_size)
        return (count + len(self._prev)) // self._batch_size
