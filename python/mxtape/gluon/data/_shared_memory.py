"""Memory that a worker writes and the process that reads its batches sees, without a copy.

A worker makes files in memory and sends their descriptors. They have no name, so nothing is left
behind, however a process ends. Such a segment is used again for another batch when no array of
either process looks at it any more: a batch of the usual size costs no call of the system and
touches no new page.

A segment begins with marks, one byte for each message that refers to it. The worker sets a mark
when it sends the message; the reader clears it when the last array of that message is gone. When
the reader forks, the child has its arrays, too: the last mark says that the segment stays as it is.
"""

import io
import math
import mmap
import os
import pickle
import weakref
from multiprocessing.reduction import ForkingPickler
from typing import Any, Optional

import numpy as np

from ..._loader import core as _core
from ...ndarray import NDArray
from ._channel import memory_file

_MARKS = 64  # bytes; what follows is aligned to as many
_UNMARKED = bytes(_MARKS)
_FORKED = _MARKS - 1  # the place of the last mark
_SMALL = 4096  # bytes of an array that is pickled with the message
_SPARE = 8  # segments kept for other sizes

# What NumPy has, too.
DTYPES = frozenset(
    np.dtype(name)
    for name in ("float16", "float32", "float64", "int8", "uint8", "int32", "int64", "bool")
)


def _address(buffer):
    return np.frombuffer(buffer, np.uint8).__array_interface__["data"][0]


def _aligned(nbytes):
    return -(-nbytes // _MARKS) * _MARKS


class _Segment:
    """A worker's memory for batches; `number` tells it apart in messages."""

    def __init__(self, number, nbytes):
        self.number = number
        self.capacity = nbytes
        self.descriptor = memory_file()
        try:
            # Whether there is as much memory is found out here, and not by a signal later.
            os.posix_fallocate(self.descriptor, 0, _MARKS + nbytes)
            self.map = mmap.mmap(self.descriptor, _MARKS + nbytes)
        except BaseException:
            os.close(self.descriptor)
            raise
        self.address = _address(self.map) + _MARKS
        self._view = None

    def view(self):
        """The bytes. While an array here looks at them, the segment is not free."""
        # Not a view of another array: NumPy would let that one stand for it.
        view = np.frombuffer(self.map, np.uint8, self.capacity, _MARKS)
        self._view = weakref.ref(view)
        return view

    def is_seen(self):
        """Whether an array here looks at it."""
        return self._view is not None and self._view() is not None

    def is_free(self):
        return not self.is_seen() and self.map[:_MARKS] == _UNMARKED

    def is_given_away(self):
        """Whether it belongs to arrays of a process that the reader has forked."""
        return not self.is_seen() and self.map[_FORKED]

    def mark(self):
        """Sets a mark and returns its place; None when all are set."""
        place = self.map[:_FORKED].find(0)
        if place < 0:
            return None
        self.map[place] = 1
        return place


class Writer:
    """The segments of a worker, and how its batches become messages."""

    def __init__(self):
        self._segments = {}
        self._made = 0
        self._news = []
        self._dropped = []
        self._dispatch_table = ForkingPickler(io.BytesIO()).dispatch_table

    def empty(self, shape, dtype):
        """An NDArray in shared memory, of a dtype that NumPy has."""
        nbytes = math.prod(shape) * dtype.itemsize
        memory = self._take(nbytes).view()[:nbytes]
        return _core.from_numpy_shared(memory.view(dtype).reshape(shape))

    def _take(self, nbytes):
        best = None
        for segment in self._segments.values():
            fits = nbytes <= segment.capacity <= 4 * nbytes
            if fits and (best is None or segment.capacity < best.capacity) and segment.is_free():
                best = segment
        if best is not None:
            return best
        spare = sorted(
            (segment for segment in self._segments.values() if segment.is_free()),
            key=lambda each: each.capacity,
        )
        lost = [segment for segment in self._segments.values() if segment.is_given_away()]
        for segment in spare[: max(0, len(spare) - _SPARE)] + lost:
            del self._segments[segment.number]
            self._dropped.append(segment.number)
        self._made += 1
        # A little more than is needed: the next batch may be a little larger.
        room = nbytes + min(nbytes // 8, 1 << 20)
        made = _Segment(self._made, -(-(room + _MARKS) // mmap.PAGESIZE) * mmap.PAGESIZE - _MARKS)
        self._segments[made.number] = made
        self._news.append(made)
        return made

    def dump(self, batch):
        """What the reader needs to see the batch.

        Returns
        -------
        body : bytes
            The batch, pickled without the memory of its large arrays.
        places : list of (segment, mark, offset, size)
            Where that is.
        news : list of (number, size, descriptor)
            Segments that the reader does not know yet. The descriptors are to be closed.
        dropped : list of int
            Segments that will not be used again.
        """
        buffers: list[pickle.PickleBuffer] = []
        body = io.BytesIO()
        pickler = _Pickler(body, buffers, self._dispatch_table)
        pickler.dump(batch)
        places = self._places([buffer.raw() for buffer in buffers])
        news = [(each.number, each.capacity, each.descriptor) for each in self._news]
        dropped, self._news, self._dropped = self._dropped, [], []
        return body.getvalue(), places, news, dropped

    def _places(self, buffers):
        marks: dict[int, Optional[int]] = {}  # of this message, by segment
        places = [self._place(buffer, marks) for buffer in buffers]
        total = sum(
            _aligned(buffer.nbytes) for buffer, place in zip(buffers, places) if place is None
        )
        if total:
            segment = self._take(total)
            mark, offset, memory = segment.mark(), 0, segment.view()
            for i, buffer in enumerate(buffers):
                if places[i] is None:
                    size = buffer.nbytes
                    memory[offset : offset + size] = np.frombuffer(buffer, np.uint8)
                    places[i] = (segment.number, mark, offset, size)
                    offset += _aligned(size)
        return places

    def _place(self, buffer, marks):
        """Where a buffer that lies in a segment is, which gets a mark; None for others."""
        address = _address(buffer)
        for segment in self._segments.values():
            offset = address - segment.address
            if offset >= 0 and offset + buffer.nbytes <= segment.capacity:
                if segment.number not in marks:
                    marks[segment.number] = segment.mark()
                mark = marks[segment.number]
                return None if mark is None else (segment.number, mark, offset, buffer.nbytes)
        return None


class _Pickler(pickle.Pickler):
    """Pickles a batch, and leaves the memory of large arrays where it is."""

    def __init__(self, file, buffers, dispatch_table):
        def keep(buffer):
            """Takes a buffer; true when it is to be pickled like anything else."""
            if buffer.raw().nbytes < _SMALL:
                return True
            buffers.append(buffer)
            return False

        # No method: the batch would live on in a cycle of references.
        super().__init__(file, 5, buffer_callback=keep)
        self.dispatch_table = dispatch_table

    def reducer_override(self, item):
        if type(item) is not NDArray or np.dtype(item.dtype) not in DTYPES:
            return NotImplemented
        dtype = np.dtype(item.dtype)
        if item.size * dtype.itemsize < _SMALL:
            return NotImplemented
        # Its own way to be pickled is a copy. NumPy reads booleans through no capsule.
        memory: Any = item.asnumpy() if dtype.kind == "b" else np.from_dlpack(item)
        buffer = pickle.PickleBuffer(memory)
        return _array, (buffer, dtype.name, item.shape, _core.device(item))


def _array(buffer, dtype, shape, device):
    """The array that :class:`_Pickler` has sent."""
    array = _core.from_numpy_shared(np.frombuffer(buffer, dtype).reshape(shape))
    if device != (1, 0):
        _core.set_device(array, *device)
    return array


class _Seen(np.ndarray):
    """Bytes of a segment that a message refers to. When it is gone, so is the mark."""

    _map: Optional[mmap.mmap] = None
    _mark = 0

    def __del__(self):
        if self._map is not None:
            self._map[self._mark] = 0


class Reader:
    """The segments of one worker, as the process that reads its batches sees them.

    Parameters
    ----------
    limit : int
        With more segments than that, batches are copied: each needs a descriptor.
    private : bool
        Whether what is written to the memory is seen only here.
    """

    def __init__(self, limit, private=False):
        self._limit = limit
        self._flags = mmap.MAP_PRIVATE if private else mmap.MAP_SHARED
        self._maps = {}
        if not private:
            _readers.add(self)

    def keep(self):
        """Has the workers leave what arrays look at now as it is: this process is about to fork."""
        for memory in list(self._maps.values()):
            if memory[:_MARKS] != _UNMARKED:
                memory[_FORKED] = 1

    def learn(self, news, dropped):
        """Maps new segments, whose descriptors it closes, and forgets others."""
        for number, size, descriptor in news:
            try:
                self._maps[number] = mmap.mmap(descriptor, _MARKS + size, self._flags)
            finally:
                os.close(descriptor)
        for number in dropped:
            self._maps.pop(number, None)

    def load(self, body, places):
        """The batch of a message."""
        # One for each mark: the first that is gone clears it.
        seen = {key: self._see(*key) for key in {place[:2] for place in places}}
        buffers = []
        for number, mark, offset, size in places:
            memory = seen[number, mark][_MARKS + offset :][:size]
            copied = len(self._maps) > self._limit
            buffers.append(bytearray(memory) if copied else memoryview(memory))
        return pickle.loads(body, buffers=buffers)

    def forget(self, places):
        """Gives the memory of a message back, that nobody wants."""
        for number, mark, _, _ in places:
            self._maps[number][mark] = 0

    def _see(self, number, mark):
        memory = self._maps[number]
        seen = np.ndarray.__new__(_Seen, len(memory), np.uint8, memory)
        seen._map, seen._mark = memory, mark
        return seen.view(np.ndarray)


_readers: "weakref.WeakSet[Reader]" = weakref.WeakSet()


def _keep():
    for reader in list(_readers):
        reader.keep()


os.register_at_fork(before=_keep)

# In a worker, what its batches are made in.
writer: Optional[Writer] = None


def empty(shape, dtype):
    """An array for a batch; in a worker, in memory that is shared."""
    dtype = np.dtype(dtype)
    if writer is not None and math.prod(shape) * dtype.itemsize >= _SMALL:
        return writer.empty(shape, dtype)
    return _core.empty(list(shape), dtype)
