"""Sums of gradients that begin while backward still runs."""

from typing import Any, NamedTuple

from .._loader import core as _core
from .buckets import Sums, sum_dtype

__all__: list = []


class Taken(NamedTuple):
    """Sums that were begun ahead and are wanted: buckets, and the keys in them."""

    keys: set
    buckets: list


class Ahead:
    """Gradients in the order in which backward completes them, added up over all processes.

    Whether a sum is wanted is known only when its gradient is pushed: it is, if the gradient is the
    one that was added up, and nobody has written to it since. The processes make the same calls, so
    that they find the same.
    """

    def __init__(self, world, pool):
        self._world, self._pool = world, pool
        self._filling: dict = {}  # by dtype
        self._started: list = []
        self._where: dict = {}  # by key, the bucket with its newest gradient
        self.taken = 0  # how many sums were wanted
        self._states: dict = {}  # by key, what its buffer's memory may be after backward

    def add(self, key, variable, grad):
        """Begins the sum of a gradient, which is copied.

        Parameters
        ----------
        key : str or int
        variable : weakref.ref of NDArray
        grad : NDArray
            What backward will write to the variable's buffer.
        """
        kind = sum_dtype(grad)
        bucket = self._filling.get(kind)
        if bucket is not None and not bucket.fits(key, grad.size):
            self._start(kind)
            bucket = None
        if bucket is None:
            bucket = self._filling[kind] = Sums(self._pool, kind, grad.size)
        bucket.add(key, grad)
        before: Any = self._where.get(key)
        self._where[key] = bucket
        if before is not None:
            before.drop(key)
        address, version = _core.state_of_memory(variable().grad)
        # Backward writes into the buffer once, or has the gradient become the buffer.
        self._states[key] = ((address, version + 1), _core.state_of_memory(grad))
        if bucket.full():
            self._start(kind)
        self._world.progress()
        self._forget()

    def _start(self, kind):
        bucket = self._filling.pop(kind)
        keys = " ".join(f"{key!r} {shape}" for key, _, shape in bucket.items)
        bucket.start(self._world, "sum during backward of " + keys)
        self._started.append(bucket)

    def has_any(self):
        """Whether sums have been begun that nobody has asked for."""
        return bool(self._where)

    def _forget(self):
        """Gives back the memory of sums that are there, and that newer ones have replaced."""
        for bucket in tuple(self._started):
            if not bucket.items and bucket.started.is_done():
                self._started.remove(bucket)
                self._world.wait(bucket.started)
                bucket.release()

    def take(self, by_key):
        """The :class:`Taken` of keys whose gradients are pushed, each as a list of one array.

        It waits for all that was begun.
        """
        if not self._where:
            return Taken(set(), [])
        for kind in list(self._filling):
            self._start(kind)
        keys = set()
        for key, bucket in self._where.items():
            pushed = by_key.get(key)
            if pushed and _core.state_of_memory(pushed[0]) in self._states[key]:
                keys.add(key)
            else:
                bucket.drop(key)
        buckets, self._started = self._started, []
        self._where, self._states = {}, {}
        for bucket in buckets:
            self._world.wait(bucket.started)
        self.taken += len(keys)
        return Taken(keys, buckets)
