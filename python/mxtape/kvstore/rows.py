"""Row_sparse arrays that are added up together, over all processes."""

from typing import Any

import numpy as np

from .. import ndarray as nd
from .._loader import core as _core
from .buckets import BYTES

__all__: list = []


class Rows:
    """Row_sparse arrays of one dtype: numbers of rows, and these rows.

    First all processes learn how many rows each has, then which. The sum of a key has the rows that
    one process has at least. Each process adds them up in the order of the ranks, or, where the
    same rows are on many processes, MPI does: either way all have the same bits.
    """

    update = None

    def __init__(self, world, dtype):
        self._world = world
        self.dtype = dtype
        self.items: list = []  # key, position in the bucket, shape
        self.keys: set = set()
        self._indices: list = []
        self._values: list = []
        self._size = 0
        self._everyone: Any = None  # the number of rows by rank and key
        self.started: Any = None

    def fits(self, key, size):
        """Whether there is room for an array, and none of that key yet."""
        return key not in self.keys and (not self.items or not self.full())

    def add(self, key, array, lent=False):
        """Copies the rows of an array."""
        values, indices = _core.sparse_parts(array)[:2]
        self.items.append((key, len(self.items), array.shape))
        self.keys.add(key)
        self._indices.append(indices.asnumpy())
        self._values.append(values.astype(self.dtype, copy=False).asnumpy().reshape(-1))
        self._size += self._values[-1].nbytes

    def full(self):
        """Whether it should not wait for more."""
        return self._size * 16 >= BYTES * 15

    def start(self, world, what):
        """Starts to add up, as the call `what`."""
        self._what = what
        mine = np.array([len(indices) for indices in self._indices], np.int64)
        self._everyone = np.empty((world.size, len(mine)), np.int64)
        self.started = world.gather(mine, self._everyone, "rows, " + what)

    def sums(self):
        """Key and sum of each array, as new row_sparse arrays, once :attr:`started` has ended."""
        counts = self._everyone
        indices = self._exchanged(np.concatenate(self._indices), counts)
        unions = [np.unique(np.concatenate(parts)) for parts in indices]
        widths = [int(np.prod(shape[1:], dtype=np.int64)) for _, _, shape in self.items]
        gathered = int((counts.sum(axis=0) * widths).sum())
        united = sum(len(union) * width for union, width in zip(unions, widths))
        if gathered > 2 * united:
            totals = self._reduced(unions, widths)
        else:
            totals = self._added(indices, unions, widths)
        for (key, _, shape), union, total in zip(self.items, unions, totals):
            rows = nd.from_numpy(total.reshape(len(union), *shape[1:]))
            numbers = nd.from_numpy(union)
            yield key, _core.make_sparse("push", "row_sparse", shape, rows, numbers, None)

    def _exchanged(self, mine, counts):
        """For each key, what each process has of it: `counts` elements by rank and key."""
        everyone = np.empty(int(counts.sum()), mine.dtype)
        by_rank = counts.sum(axis=1)
        self._world.wait(self._world.gather_parts(mine, everyone, by_rank, "rows of " + self._what))
        cuts = np.cumsum(counts.reshape(-1))[:-1]
        parts = np.split(everyone, cuts)
        keys = counts.shape[1]
        return [parts[k::keys] for k in range(keys)]

    def _added(self, indices, unions, widths):
        """The sums, of the rows of all processes."""
        values = self._exchanged(np.concatenate(self._values), self._everyone * widths)
        for numbers, parts, union, width in zip(indices, values, unions, widths):
            total = np.zeros((len(union), width), self.dtype)
            for rank_numbers, part in zip(numbers, parts):
                total[np.searchsorted(union, rank_numbers)] += part.reshape(-1, width)
            yield total

    def _reduced(self, unions, widths):
        """The sums, which MPI makes of the rows that any process has."""
        sizes = [len(union) * width for union, width in zip(unions, widths)]
        whole = np.zeros(sum(sizes), self.dtype)
        totals = [
            part.reshape(-1, width)
            for part, width in zip(np.split(whole, np.cumsum(sizes)[:-1]), widths)
        ]
        for total, numbers, values, union, width in zip(
            totals, self._indices, self._values, unions, widths
        ):
            total[np.searchsorted(union, numbers)] = values.reshape(-1, width)
        self._world.wait(self._world.sum(whole, "sum of " + self._what))
        return [total.copy() for total in totals]

    def release(self):
        """Nothing is kept."""
