"""Arrays that are added up together, over all processes."""

from typing import Any

import numpy as np

from .. import ndarray as nd
from ..base import MXNetError

__all__: list = []

# Of a bucket: large enough that bandwidth and not latency is what it costs, small enough that the
# first is under way while the next one is filled.
BYTES = 4 << 20

# Up to so many processes, each sends its two bits to all others; more add up bytes.
GATHER_UP_TO = 8

# What sums are computed in. MPI has no half precision, and a sum should not have.
_SUMS = {
    "float32": np.float32,
    "float64": np.float64,
    "float16": np.float32,
    "bfloat16": np.float32,
    "int8": np.int8,
    "uint8": np.uint8,
    "int32": np.int32,
    "int64": np.int64,
}


def sum_dtype(array):
    """The NumPy dtype in which arrays of this one's dtype are added up."""
    name = np.dtype(array.dtype).name
    if name not in _SUMS:
        raise MXNetError(f"push: arrays of dtype {name} are not added up over processes")
    return np.dtype(_SUMS[name])


class Memory:
    """An array that MPI or other processes write to, seen by NumPy and mxtape.

    Parameters
    ----------
    array : numpy.ndarray
    same : NDArray, optional
        The same memory.
    """

    def __init__(self, array, same=None):
        self.numpy = array
        # Its own view: from_numpy makes what it is given read-only.
        self._all = nd.from_numpy(array[:], zero_copy=True) if same is None else same

    def is_free(self):
        """Whether no other process needs what it was used for last."""
        return True

    def mine(self, start, stop):
        """Begin and end of the part of a range of elements that other processes do not read.

        It need not be in this memory if :meth:`World.sum_memory` is told where it is.
        """
        return start, start

    def part(self, start, shape):
        """The NDArray of a shape that begins at an element."""
        size = int(np.prod(shape, dtype=np.int64))
        return shaped(self._all[start : start + size], shape)


def shaped(flat, shape):
    """The same elements in a shape. To `reshape`, an axis of length 0 means something else."""
    return flat.reshape(shape) if flat.size else nd.zeros(shape, dtype=flat.dtype)


class Sums:
    """Arrays of one dtype, side by side in one array that MPI adds up.

    Attributes
    ----------
    update : callable or None
        What replaces parts of the sums, as of :meth:`World.sum_memory`.
    """

    update: Any = None

    def __init__(self, pool, dtype, size):
        self._pool = pool
        self.dtype = dtype
        self.memory = pool.take(max(size, BYTES // dtype.itemsize), dtype)
        self.items: list = []  # key, first element, shape
        self.keys: set = set()
        self.used = 0
        self._mine: list = []  # by item: begin, end, the array if it has not been copied
        self.is_lent = True  # whether all arrays are
        self.started = None
        self._total: Any = None  # where the sum lies, if not in `memory`

    def fits(self, key, size):
        """Whether there is room for an array, and none of that key yet."""
        return key not in self.keys and self.used + size <= len(self.memory.numpy)

    def add(self, key, array, lent=False):
        """Copies an array to its place.

        Parameters
        ----------
        key : str or int
        array : NDArray
        lent : bool, default False
            Whether it stays as it is until the sums are there. What other processes do not read of
            it is not copied then.
        """
        start, stop = self.used, self.used + array.size
        begin, end = self.memory.mine(start, stop)
        if lent and begin < end and array.dtype == self.dtype:
            flat = array.reshape(-1)
            for a, b in ((start, begin), (end, stop)):
                if a < b:
                    flat[a - start : b - start].copyto(self.memory.part(a, (b - a,)))
            self._mine.append((begin, end, flat[begin - start : end - start]))
        else:
            array.copyto(self.memory.part(start, array.shape))
            self._mine.append((begin, end, None))
        self.is_lent = self.is_lent and lent
        self._place(key, array)

    def _place(self, key, array):
        self.items.append((key, self.used, array.shape))
        self.keys.add(key)
        self.used += array.size

    def full(self):
        """Whether it should not wait for more."""
        return self.used * 16 >= len(self.memory.numpy) * 15

    def start(self, world, what):
        """Starts to add up, as the call `what`."""
        mine, self._mine = self._mine, []
        self.started, self._total = world.sum_memory(
            self.memory, self.used, what, mine, self.update
        )

    def let_update(self):
        """Has parts of the sums replaced when they are there: the program waits for them."""
        self._total.may_update = True

    def raise_error(self):
        """Raises what has been raised by :attr:`update`, if something has."""
        if self._total.error is not None:
            raise self._total.error

    def drop(self, key):
        """Leaves an array out of :meth:`sums`."""
        self.items = [item for item in self.items if item[0] != key]

    def sums(self):
        """Key and sum of each array, in memory that :meth:`release` gives back.

        Other processes may read the same memory: nobody may write to it.
        """
        memory = self.memory if self._total is None else self._total.memory_of_result()
        for key, start, shape in self.items:
            yield key, memory.part(start, shape)

    def release(self):
        """Gives its memory back."""
        if self._total is not None:
            self._total.set_read()
        self._pool.give(self.memory)


class Codes(Sums):
    """The two bits of elements: what :class:`TwoBit` makes of arrays."""

    def __init__(self, pool, compression, size):
        super().__init__(pool, np.dtype(np.int8), size)
        self._compression = compression
        self._everyone: Any = None

    def add(self, key, array, lent=False):
        codes = self._compression.codes(key, array).astype("int8")
        codes.copyto(self.memory.part(self.used, array.shape))
        self._place(key, array)

    def start(self, world, what):
        codes = self.memory.numpy[: self.used]
        if world.size > GATHER_UP_TO:
            dtype = np.int8 if world.size < 128 else np.int16 if world.size < 2**15 else np.int32
            self._everyone = codes.astype(dtype)
            self.started = world.sum(self._everyone, what)
            return
        self._mine = pack(codes)
        self._everyone = np.empty((world.size, len(self._mine)), np.uint8)
        self.started = world.gather(self._mine, self._everyone, what)

    def sums(self):
        found = self._everyone
        if found.ndim == 2:
            found = unpacked_sum(found)[: self.used]
        values = nd.array(found, dtype="float32") * self._compression.threshold
        for key, start, shape in self.items:
            size = int(np.prod(shape, dtype=np.int64))
            yield key, shaped(values[start : start + size], shape)


def pack(codes):
    """Elements -1, 0 and 1, four to a byte.

    >>> from mxtape.kvstore.buckets import pack
    >>> import numpy as np
    >>> pack(np.array([1, 0, -1, 0, 1], np.int8)).tolist()
    [70, 86]
    """
    padded = np.zeros(-(-len(codes) // 4) * 4, np.uint8)
    padded[: len(codes)] = codes.view(np.uint8)
    padded += 1  # -1 is 255
    four = padded.reshape(-1, 4)
    return four[:, 0] | four[:, 1] << 2 | four[:, 2] << 4 | four[:, 3] << 6


def unpacked_sum(rows):
    """What the packed elements of all rows add up to; the last ones fill up a byte.

    >>> from mxtape.kvstore.buckets import unpacked_sum
    >>> import numpy as np
    >>> unpacked_sum(np.array([[70, 86], [70, 86]], np.uint8)).tolist()
    [2, 0, -2, 0, 2, 0, 0, 0]
    """
    total = np.zeros((rows.shape[1], 4), np.int8)
    for row in rows:
        for i in range(4):
            total[:, i] += (row >> 2 * i & 3).view(np.int8)
    return (total - np.int8(len(rows))).reshape(-1)


class Pool:
    """Memory of buckets that are done, for those to come."""

    def __init__(self, world):
        self._world = world
        self._given: dict = {}

    def take(self, size, dtype):
        """A :class:`Memory` of that size."""
        given = self._given.get((size, dtype), [])
        free = next((i for i, memory in enumerate(given) if memory.is_free()), None)
        return self._world.memory(size, dtype) if free is None else given.pop(free)

    def give(self, memory):
        """Keeps a memory that nobody uses any more."""
        self._given.setdefault((len(memory.numpy), memory.numpy.dtype), []).append(memory)
