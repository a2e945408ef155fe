"""DistKVStore: parameters that all processes of a program share."""

import collections
import functools
import itertools
import weakref
from typing import Any

import numpy as np

from .. import autograd, lr_scheduler
from .. import ndarray as nd
from .. import optimizer as opt
from .._loader import core as _core
from ..base import MXNetError
from . import compression, mpi
from .ahead import Ahead
from .buckets import Codes, Pool, Sums, sum_dtype
from .kvstore import KVStore, _by_key
from .rows import Rows
from .states import SharedStates, by_element

__all__ = ["DistKVStore"]

# They differ in where MXNet adds up what the GPUs of one machine push.
TYPES = ("dist", "dist_sync", "dist_device_sync", "dist_sync_device")


class DistKVStore(KVStore):
    """Parameters by key, which all processes that ``mpirun`` has started share.

    :func:`create` makes one. What all processes push is added up. Each process keeps the values,
    and updates them by its own optimizer: the sums have the same bits on all, and so do the values.

    All processes call the same methods with the same keys in the same order; :meth:`pull` is each
    one's own affair once the others have pulled too. Where the calls differ, or a process ends, the
    others end with a message.

    Of row_sparse arrays the processes exchange only the rows that they have. :meth:`push` of dense
    arrays does not wait for the other processes. Small arrays are added up together: with
    lists of keys, or pushes of all keys before the first pull, there are few and large messages.

    Parameters
    ----------
    handle : str
        The store's type.

    Examples
    --------
    With ``mpirun -n 2 python program.py``, both processes print 3:

    >>> import mxtape as mx
    >>> store = mx.kv.create("dist_sync")  # doctest: +SKIP
    >>> store.init("w", mx.nd.zeros(1))  # doctest: +SKIP
    >>> store.push("w", mx.nd.array([store.rank + 1]))  # doctest: +SKIP
    >>> w = mx.nd.zeros(1)
    >>> store.pull("w", out=w)  # doctest: +SKIP
    >>> w.asscalar()  # doctest: +SKIP
    3.0
    """

    def __init__(self, handle):
        super().__init__(handle)
        self._world = mpi.world()
        self._pool = Pool(self._world)
        self._filling: dict = {}  # the bucket of each kind that is not under way
        self._pending: collections.Counter = collections.Counter()  # sums to come, by key
        self._ahead = Ahead(self._world, self._pool)
        self._lent = False  # whether what is pushed now need not be copied
        self._states: Any = None  # of the updater, where processes update parts

    def __reduce__(self):
        raise TypeError(f"a store of type {self.type!r} cannot be pickled: it has connections")

    @property
    def rank(self):
        """The number of this process, from 0."""
        return self._world.rank

    @property
    def num_workers(self):
        """The number of processes."""
        return self._world.size

    def _barrier(self):
        """Waits until all processes have come here."""
        self._settle()
        self._world.agree("barrier")

    def init(self, key, value):
        """Sets the first value of keys, each of them once: that of process 0, for all.

        Parameters
        ----------
        key : str, int, or list of these
        value : NDArray, or list of these
            On the other processes, what says shape, dtype and context.
        """
        _check_dtypes(_by_key(key, value))
        self._settle()
        before = set(self._values)
        super().init(key, value)
        copies = []
        for one in self._values:
            if one in before:
                continue
            value = self._values[one]
            if value.stype != "default":
                self._values[one] = self._sparse_from_first(one, value)
                continue
            whole = value.astype(sum_dtype(value)).asnumpy()
            what = f"init of key {one!r}, shape {value.shape}, dtype {np.dtype(value.dtype).name}"
            copies.append((value, whole, self._world.copy_from_first(whole, what)))
        for value, whole, started in copies:
            self._world.wait(started)
            value[:] = whole

    def _sparse_from_first(self, key, value):
        """A sparse value of process 0, on all processes."""
        what = f"init of key {key!r}, {value.stype}, shape {value.shape}"
        dtype = sum_dtype(value)
        parts = [part for part in _core.sparse_parts(value) if part is not None]
        arrays = [
            parts[0].astype(dtype, copy=False).asnumpy(),
            *(part.asnumpy() for part in parts[1:]),
        ]
        sizes = np.array([len(array) for array in arrays], np.int64)
        self._world.wait(self._world.copy_from_first(sizes, "sizes, " + what))
        if self.rank:
            arrays = [np.empty((n, *a.shape[1:]), a.dtype) for n, a in zip(sizes, arrays)]
        for array in arrays:
            self._world.wait(self._world.copy_from_first(array, what))
        data, indices, *pointers = map(nd.from_numpy, arrays)
        indptr = pointers[0] if pointers else None
        made = _core.make_sparse("init", value.stype, value.shape, data, indices, indptr)
        return made.astype(value.dtype, copy=False).as_in_context(value.ctx)

    #: Whether a `Trainer` that is made afterwards has gradients added up while backward still runs.
    sum_during_backward = False

    def _watch(self, key, variable):
        """Has the gradients of a variable added up as soon as they are complete."""
        # A hook that held the variable would keep it for ever.
        hook = functools.partial(self._ahead.add, key, weakref.ref(variable))
        return variable.register_complete_hook(hook)

    def _lend(self, keys, values):
        self._lent = True
        try:
            self.push(keys, values)
        finally:
            self._lent = False

    def _check_pushed(self, by_key):
        super()._check_pushed(by_key)
        _check_dtypes(by_key)

    def _push(self, by_key):
        if self._ahead.has_any():
            self._take_until(len(self._world.queue))  # their updates come before those of `done`
        alone = {
            one: arrays
            for one, arrays in by_key.items()
            if len(arrays) == 1 and arrays[0].stype == "default"
        }
        done = self._ahead.take(alone)
        for one in done.keys:
            self._pending[one] += 1
        for one, arrays in by_key.items():
            if arrays and one not in done.keys:
                self._fill(one, self._local_sum(one, arrays))
        if self._states is not None:
            self._states.take_out(done.keys)
        for bucket in done.buckets:
            self._take(bucket)
        self._world.progress()

    def _fill(self, key, array):
        """Puts an array into the bucket of its kind."""
        rows = array.stype == "row_sparse"
        kind = "2bit" if self._compress is not None else (rows, sum_dtype(array))
        bucket = self._filling.get(kind)
        if bucket is not None and not bucket.fits(key, array.size):
            self._start(kind)
            bucket = None
        if bucket is None:
            if kind == "2bit":
                bucket = Codes(self._pool, self._compress, array.size)
            elif rows:
                bucket = Rows(self._world, kind[1])
            else:
                bucket = Sums(self._pool, kind[1], array.size)
            self._filling[kind] = bucket
        bucket.add(key, array, self._lent)
        self._pending[key] += 1
        if bucket.full():
            self._start(kind)

    def _start(self, kind):
        bucket = self._filling.pop(kind)
        bucket.update = self._update_of_parts(bucket)
        what = "push of " + " ".join(f"{key!r} {shape}" for key, _, shape in bucket.items)
        # Each process updates its own values: with another rate, they would drift apart.
        if isinstance(self._updater, opt.Updater):
            what += f", {_described(self._updater.optimizer)}"
        bucket.start(self._world, what)
        self._world.queue.append((self, bucket))

    def _update_of_parts(self, bucket):
        """What updates this process's parts of a bucket; None where each process updates all."""
        keys = [key for key, _, _ in bucket.items]
        values = [self._values[key] for key in keys]
        if (
            by_element(self._updater)
            and type(bucket) is Sums
            and bucket.is_lent
            and self._world.shares(bucket.used * bucket.dtype.itemsize)
            and all(v.stype == "default" and v.dtype == bucket.dtype for v in values)
        ):
            if self._states is None:
                self._states = SharedStates(self._world, self._updater)
            self._take_until(self._last_of(self._states.missing(keys)))
            if self._states.place(keys, values):
                return functools.partial(self._states.update, keys, values)
        if self._states is not None:
            self._take_until(self._last_of(self._states.placed(keys)))
            self._states.take_out(keys)
        return None

    def _settle(self, keys=None):
        """Waits until nothing is to come for some keys, or for all."""
        wanted = self._pending.keys() if keys is None else keys
        if not any(self._pending[key] for key in wanted):
            return
        self._world.check()  # what is to come may be lost
        while self._filling:
            self._start(next(iter(self._filling)))
        self._take_until(self._last_of(wanted))

    def _last_of(self, keys):
        """How many of the buckets under way there are up to the last one with any of these keys."""
        queue = self._world.queue
        for i in range(len(queue), 0, -1):
            store, bucket = queue[i - 1]
            if store is self and not bucket.keys.isdisjoint(keys):
                return i
        return 0

    def _take_until(self, count):
        """Takes so many of the buckets under way, which may be those of other stores.

        All processes update in the order in which buckets were started: where counts of updates
        differ, a schedule gives each the rate that it gives on the others.
        """
        queue, errors = self._world.queue, []
        for left in range(count, 0, -1):
            for _, bucket in itertools.islice(queue, left):
                if bucket.update is None:
                    break
                bucket.let_update()
            store, bucket = queue[0]
            self._world.wait(bucket.started)
            queue.popleft()
            try:
                with self._world.whole("taking sums"), autograd.pause():
                    store._take(bucket)
            except Exception as error:  # the arrays of the others are lent until now, not longer
                errors.append(error)
        if errors:
            raise errors[0]

    def _take(self, bucket):
        """Has the sums of a bucket become values, or update them, if they are not new values."""
        try:
            rows = [(key, self._as_value(key, total)) for key, total in bucket.sums()]
            for key, _ in rows:
                self._pending[key] -= 1
            if bucket.update is not None:
                for key, new in rows:
                    self._states.copy_others(new, self._values[key])
                bucket.raise_error()
            else:
                self._take_sums(rows)
        finally:
            bucket.release()

    def _take_sums(self, rows):
        if isinstance(self._updater, opt.Updater) and rows:
            keys, totals = zip(*rows)
            if not _only_reads(self._updater):
                totals = tuple(total.copy() for total in totals)
            # All at once: an optimizer may move several parameters by one call of an operator.
            self._updater(list(keys), list(totals), [self._values[key] for key in keys])
        elif self._updater is not None:
            for key, total in rows:
                self._updater(key, total.copy(), self._values[key])
        else:
            for key, total in rows:
                if total.stype == self._values[key].stype == "default":
                    total.copyto(self._values[key])
                else:
                    self._values[key] = total.copy()

    def _as_value(self, key, total):
        """A sum with the dtype and context of the value."""
        stored = self._values[key]
        return total.astype(stored.dtype, copy=False).as_in_context(stored.ctx)

    def pull(self, key, out=None, priority=0, ignore_sparse=True):
        """Copies the values of keys to arrays, when what was pushed has arrived."""
        if out is not None:
            by_key = _by_key(key, out)
            self._settle(by_key)
            # What lies in a value's own memory has it already.
            if all(self._is_value(one, arrays) for one, arrays in by_key.items()):
                return
        super().pull(key, out, priority, ignore_sparse)

    def row_sparse_pull(self, key, out=None, priority=0, row_ids=None):
        """Copies rows of values to arrays, when what was pushed has arrived."""
        if out is not None:
            self._settle(_by_key(key, out))
        super().row_sparse_pull(key, out, priority, row_ids)

    def _is_value(self, key, arrays):
        value = self._values.get(key)
        return value is not None and all(
            array.stype == value.stype == "default"
            and array.shape == value.shape
            and array.dtype == value.dtype
            and _core.address(array) == _core.address(value)
            for array in arrays
        )

    def _share(self, keys, arrays):
        """Has the values of keys lie in the memory of arrays that are equal to them."""
        self._settle(keys)
        self._values.update((key, array.detach()) for key, array in zip(keys, arrays))

    def set_gradient_compression(self, compression_params):
        """Has the sum of what a process pushes rounded to two bits an element.

        An element becomes ``threshold`` where it is at least that, ``-threshold`` where it is at
        most that, else 0. What is left is added to the next push of the key. Up to 8 processes send
        two bits an element, more send a byte.

        Parameters
        ----------
        compression_params : dict
            ``{'type': '2bit', 'threshold': 0.5}``; the threshold is 0.5 by default.
        """
        made = compression.from_params(compression_params)
        self._settle()
        self._world.agree(f"2bit compression with threshold {made.threshold}")
        self._compress = made

    def _set_updater(self, updater):
        self._settle()
        self._states = None
        super()._set_updater(updater)

    def set_optimizer(self, optimizer):
        """Has the values updated by an optimizer when gradients are pushed.

        Each process has its own. They must have the same class and settings.

        Parameters
        ----------
        optimizer : Optimizer
        """
        if isinstance(optimizer, opt.Optimizer):
            self._world.agree(_described(optimizer))
        super().set_optimizer(optimizer)

    def save_optimizer_states(self, fname, dump_optimizer=False):
        """Writes the states of the optimizer to a file; they are the same on all processes."""
        self._settle()
        super().save_optimizer_states(fname, dump_optimizer)

    def load_optimizer_states(self, fname):
        """Reads the states of the optimizer from a file, which is a pickle: use files you trust."""
        self._settle()
        super().load_optimizer_states(fname)


def _check_dtypes(by_key):
    """Raises an error for arrays that cannot be added up, before there is a value or a sum."""
    for arrays in by_key.values():
        for array in arrays:
            sum_dtype(array)


def _only_reads(updater):
    """Whether an updater is known not to write to gradients: other processes read the same ones."""
    ours = opt.Optimizer.__module__.rpartition(".")[0]
    return type(updater) is opt.Updater and type(updater.optimizer).__module__.startswith(ours)


def _described(optimizer):
    """The class and the numbers of an optimizer as a text."""
    numbers: dict = {
        name: value
        for name, value in sorted(vars(optimizer).items())
        if isinstance(value, (bool, int, float, str))
    }
    # Those of mxtape follow from the counts of updates; one of the program's may see more.
    schedule = optimizer.lr_scheduler
    if schedule is not None and type(schedule).__module__ != lr_scheduler.__name__:
        numbers["base_lr of lr_scheduler"] = getattr(schedule, "base_lr", None)
    return f"optimizer {type(optimizer).__name__} {numbers}"


def create(name):
    """The store for a name that has 'dist' in it."""
    if "async" in name:
        raise MXNetError(
            f"kvstore {name!r}: updates without waiting for the other processes need a server, "
            "which mxtape does not have; 'dist_sync' adds up the gradients of all processes"
        )
    if name not in TYPES:
        raise MXNetError(f"there is no kvstore {name!r}; on several processes: {', '.join(TYPES)}")
    return DistKVStore(name)
