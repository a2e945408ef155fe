"""Loaders: the batches of a data set, made here, in threads or in worker processes."""

import itertools
import os
import pickle
import random
import zlib
from multiprocessing import TimeoutError
from multiprocessing.pool import ThreadPool
from multiprocessing.reduction import ForkingPickler
from typing import Any

import numpy as np

from ..._loader import core as _core
from ...base import MXNetError
from ...context import cpu_pinned
from ...ndarray import NDArray
from ...ndarray import random as _mx_random
from . import _batchify
from . import sampler as _sampler
from ._worker import make_batch
from ._worker import stacks as _stacks
from ._workers import WorkerPool

__all__ = ["DataLoader"]


def default_batchify_fn(data):
    """A batch of items: what the items have in their places, stacked.

    Parameters
    ----------
    data : list
        Items: NDArrays, NumPy arrays, numbers, or tuples of these.

    Returns
    -------
    NDArray or list
        One dimension more than an item, of the item's dtype; of tuples, a list.

    Examples
    --------
    >>> from mxtape.gluon.data.dataloader import default_batchify_fn
    >>> x, y = default_batchify_fn([(1.0, 2), (3.0, 4)])
    >>> x.asnumpy().tolist(), y.asnumpy().tolist()
    ([1.0, 3.0], [2, 4])
    """
    return _batchify.stacked(data)


def default_mp_batchify_fn(data):
    """As :func:`default_batchify_fn`; in a worker, in memory that the loader's process sees.

    Examples
    --------
    >>> from mxtape.gluon.data.dataloader import default_mp_batchify_fn
    >>> default_mp_batchify_fn([1, 2, 3]).shape
    (3,)
    """
    return _batchify.stacked(data)


# Their batches are new arrays, and may be taken from others by one call.
default_batchify_fn.stacks = default_mp_batchify_fn.stacks = True  # type: ignore[attr-defined]


def _as_in_context(data, ctx):
    """The arrays of a batch on a context; what is not an array stays as it is."""
    if isinstance(data, NDArray):
        return data.as_in_context(ctx)
    if isinstance(data, (list, tuple)):
        return [_as_in_context(part, ctx) for part in data]
    return data


def _pinned(data, number, fresh):
    """A batch on the context ``cpu_pinned(number)``: itself, where nothing else has its arrays."""
    ctx = cpu_pinned(number)
    if not fresh:
        return _as_in_context(data, ctx)
    if isinstance(data, (list, tuple)):
        return [_pinned(part, number, True) for part in data]
    if isinstance(data, NDArray):
        _core.set_device(data, ctx.device_typeid, ctx.device_id)
    return data


# The data set of a worker in a pool that a program has made itself.
_worker_dataset = None


def _worker_initializer(dataset, active_shape=False, active_array=False):
    """Keeps the data set for :func:`_worker_fn`, in a worker of a program's own pool."""
    del active_shape, active_array
    global _worker_dataset
    _worker_dataset = dataset


def _worker_fn(samples, batchify_fn, dataset=None):
    """The batch of some items, pickled: for a program's own pool of processes."""
    dataset = _worker_dataset if dataset is None else dataset
    return bytes(ForkingPickler.dumps(make_batch(dataset, samples, batchify_fn)))


def _thread_worker_fn(samples, batchify_fn, dataset):
    """The batch of some items, in a thread."""
    try:
        return make_batch(dataset, samples, batchify_fn)
    except Exception:
        raise
    except BaseException as error:
        # It would end the thread of the pool without a word, and nobody would get the batch.
        raise MXNetError(f"DataLoader: a data set ended its thread by {error!r}") from error


_epochs = itertools.count()


class _Seeds:
    """Seeds for the batches of one epoch: for numpy.random, random and mx.random.

    They follow from the states of these in the process that reads the batches, so what workers
    draw is the same for any number of workers, and new in each epoch.
    """

    def __init__(self):
        epoch = next(_epochs)
        state: Any = np.random.get_state()  # noqa: NPY002 (what programs seed)
        words, position = state[1:3]
        self._numpy = zlib.crc32(words.tobytes(), epoch + position)
        self._python = zlib.crc32(repr(random.getstate()[1]).encode(), epoch)
        self._mx = int(_mx_random.randint(0, 2**31 - 1, shape=(1,)).asscalar())

    def of(self, number):
        """The seeds for a batch."""
        return tuple(
            (base + number * 0x9E3779B1) % 2**32 for base in (self._numpy, self._python, self._mx)
        )


class _MultiWorkerIter:
    """The batches of an epoch, in order, as workers make them.

    Parameters
    ----------
    worker_pool : pool
        Of processes or threads: what has ``apply_async``.
    batchify_fn : callable
    batch_sampler : iterable of lists of int
    pin_memory : bool, default False
    pin_device_id : int, default 0
    worker_fn : callable
        What a worker calls, with the positions, `batchify_fn` and the data set.
    prefetch : int, default 0
        How many batches are asked for before the first is wanted.
    dataset : Dataset, optional
        For `worker_fn`; None where the worker has it.
    data_loader : DataLoader, optional
        Kept, so that its workers do not end before the epoch.
    timeout : float, default 120
        Seconds that a batch may take.
    """

    def __init__(
        self,
        worker_pool,
        batchify_fn,
        batch_sampler,
        pin_memory=False,
        pin_device_id=0,
        worker_fn=_worker_fn,
        prefetch=0,
        dataset=None,
        data_loader=None,
        timeout=120,
    ):
        self._data_loader, self._worker_pool = data_loader, worker_pool
        self._dataset, self._batchify_fn, self._worker_fn = dataset, batchify_fn, worker_fn
        self._batch_sampler, self._iter = batch_sampler, iter(batch_sampler)
        self._pin_memory, self._pin_device_id = pin_memory, pin_device_id
        self._timeout = timeout
        self._data_buffer = {}  # what has been asked for, by its number
        self._sent_idx = self._rcvd_idx = 0
        self._process = os.getpid()
        # Our own processes have the data set and the function, and are told only what to make.
        self._direct = (
            worker_fn is _worker_fn
            and isinstance(worker_pool, WorkerPool)
            and worker_pool.makes(dataset, batchify_fn)
        )
        if self._direct:
            self._seeds = _Seeds()
            worker_pool.begin_epoch()
        for _ in range(prefetch):
            self._push_next()

    def __len__(self):
        return len(self._batch_sampler)

    def __iter__(self):
        return self

    def _push_next(self):
        """Asks for one more batch, where there is one."""
        samples = next(self._iter, None)
        if samples is not None:
            self._data_buffer[self._sent_idx] = self._asked(samples)
            self._sent_idx += 1

    def _asked(self, samples):
        if not self._direct:
            arguments = (samples, self._batchify_fn, self._dataset)
            return self._worker_pool.apply_async(self._worker_fn, arguments)
        positions = _batchify.positions_of(samples)
        what = samples if positions is None else positions
        return self._worker_pool.submit("batch", what, self._seeds.of(self._sent_idx))

    def __next__(self):
        if self._process != os.getpid():
            raise MXNetError("DataLoader: this iterator belongs to the process that made it")
        self._push_next()
        if self._rcvd_idx == self._sent_idx:
            raise StopIteration
        try:
            batch = self._data_buffer.pop(self._rcvd_idx).get(self._timeout)
        except BaseException as error:
            self.close()
            if isinstance(error, TimeoutError):
                if self._direct:
                    self._worker_pool.terminate()  # its workers may be late for ever
                elif not error.args:  # a pool of the standard library does not say what was late
                    error.args = (
                        f"DataLoader: a batch did not come within {self._timeout} seconds",
                    )
            elif isinstance(error, StopIteration):
                # From an iterator it would be the end of the epoch, without the batches to come.
                raise RuntimeError("DataLoader: the data set raised StopIteration") from error
            raise
        self._rcvd_idx += 1
        if (
            isinstance(batch, bytes)
            and not self._direct
            and self._worker_fn is not _thread_worker_fn
        ):
            batch = pickle.loads(batch)
        if self._pin_memory:
            fresh = self._direct or _stacks(self._batchify_fn)
            batch = _pinned(batch, self._pin_device_id, fresh)
        return batch

    next = __next__

    def close(self):
        """Gives up what is left of the epoch."""
        self._iter = iter(())
        if isinstance(self._worker_pool, WorkerPool) and self._data_buffer:
            self._worker_pool.cancel(self._data_buffer.values())
        self._data_buffer = {}
        self._rcvd_idx = self._sent_idx

    def __del__(self):
        # An __init__ that failed, or one that a subclass has not called, leaves nothing to close.
        if getattr(self, "_data_buffer", None):
            self.close()


class DataLoader:
    """The batches of a data set, epoch by epoch.

    Parameters
    ----------
    dataset : Dataset
        Or anything else with a length and items: a list, a NumPy array, an NDArray.
    batch_size : int, optional
        How many items a batch has. Needed without `batch_sampler`.
    shuffle : bool, default False
        Whether the items come in random order. Not with `sampler`.
    sampler : Sampler, optional
        The order of the items.
    last_batch : {'keep', 'discard', 'rollover'}, default 'keep'
        As of :class:`BatchSampler`.
    batch_sampler : Sampler, optional
        Gives the positions of each batch, as a list. Not with the four before it.
    batchify_fn : callable, optional
        Makes a batch of a list of items; :func:`default_batchify_fn` where it is not given.
    num_workers : int, default 0
        How many processes make batches. With 0 they are made when they are asked for.
    pin_memory : bool, default False
        Whether arrays are on the context ``cpu_pinned``, which is the same memory here.
    pin_device_id : int, default 0
        The number of that context.
    prefetch : int, optional
        How many batches are made ahead, with workers; by default two for each.
    thread_pool : bool, default False
        Whether the workers are threads. For data sets that spend their time outside Python.
    timeout : float, default 120
        Seconds that one batch may take a worker.
    auto_reload : bool, default False
        Whether the batches of the next epoch are asked for when one ends, before ``iter()``.

    Workers start by ``fork`` if the program has not chosen another way by
    ``multiprocessing.set_start_method``. They have the data set as it was when the loader was made.
    Arrays of a batch are in memory that they share with this process: nothing is copied. Each
    batch is made with seeds of its own for ``random``, ``numpy.random`` and ``mx.random``, which
    follow from their states here; they do not depend on the number of workers.

    Raises
    ------
    ValueError
        For arguments that do not go together.
    AssertionError
        For a `timeout` that is not positive.
    multiprocessing.TimeoutError
        While iterating: a batch took too long. The message says where its worker is.
    MXNetError
        While iterating: a worker ended. The message says how and where.
    Exception
        While iterating: what the data set raised, with the worker's traceback as its cause.

    Examples
    --------
    >>> import mxtape as mx
    >>> dataset = mx.gluon.data.ArrayDataset(mx.nd.ones((5, 2)), [0, 1, 2, 3, 4])
    >>> for x, y in mx.gluon.data.DataLoader(dataset, batch_size=2):
    ...     print(x.shape, y.asnumpy().tolist())
    (2, 2) [0, 1]
    (2, 2) [2, 3]
    (1, 2) [4]
    """

    def __init__(
        self,
        dataset,
        batch_size=None,
        shuffle=False,
        sampler=None,
        last_batch=None,
        batch_sampler=None,
        batchify_fn=None,
        num_workers=0,
        pin_memory=False,
        pin_device_id=0,
        prefetch=None,
        thread_pool=False,
        timeout=120,
        auto_reload=False,
    ):
        if not timeout > 0:
            raise AssertionError(f"DataLoader: timeout is a positive number, got {timeout}")
        self._dataset, self._timeout, self._thread_pool = dataset, timeout, thread_pool
        self._pin_memory, self._pin_device_id = pin_memory, pin_device_id
        self._batch_sampler = _batches(
            dataset, batch_size, shuffle, sampler, last_batch, batch_sampler
        )
        self._num_workers = max(num_workers, 0)
        ahead = 2 * self._num_workers if prefetch is None else prefetch
        self._prefetch = max(ahead, 0) if self._num_workers else 0
        processes = self._num_workers and not thread_pool
        default = default_mp_batchify_fn if processes else default_batchify_fn
        self._batchify_fn = default if batchify_fn is None else batchify_fn
        self._worker_pool: Any = None
        if processes:
            self._worker_pool = WorkerPool(self._num_workers, dataset, self._batchify_fn)
        elif self._num_workers:
            self._worker_pool = ThreadPool(self._num_workers)
        self._iter = None
        self.auto_reload = auto_reload
        if auto_reload:
            self.refresh()

    def __iter__(self):
        if self._iter is None:
            self.refresh()
        epoch, self._iter = self._iter, None
        return self._run(epoch)

    def _run(self, epoch):
        yield from epoch
        if self.auto_reload:
            self.refresh()

    def _prefetch_iter(self):
        """An iterator over an epoch, whose first batches are asked for now."""
        if self._num_workers == 0:
            return self._made_here()
        return _MultiWorkerIter(
            self._worker_pool,
            self._batchify_fn,
            self._batch_sampler,
            pin_memory=self._pin_memory,
            pin_device_id=self._pin_device_id,
            worker_fn=_thread_worker_fn if self._thread_pool else _worker_fn,
            prefetch=self._prefetch,
            dataset=self._dataset if self._thread_pool else None,
            data_loader=self,
            timeout=self._timeout,
        )

    def _made_here(self):
        for indices in self._batch_sampler:
            batch = make_batch(self._dataset, indices, self._batchify_fn)
            if self._pin_memory:
                batch = _pinned(batch, self._pin_device_id, _stacks(self._batchify_fn))
            yield batch

    def __len__(self):
        return len(self._batch_sampler)

    def __del__(self):
        # Threads end by themselves only when the pool is told to.
        if isinstance(getattr(self, "_worker_pool", None), ThreadPool):
            self._worker_pool.terminate()

    def refresh(self):
        """Begins a new epoch: with workers, its first batches are asked for now."""
        self._iter = self._prefetch_iter()

    def clean(self):
        """Gives up an epoch that :meth:`refresh` has begun."""
        self._iter = None


def _batches(dataset, batch_size, shuffle, sampler, last_batch, batch_sampler):
    """The sampler that a loader's arguments describe."""
    if batch_sampler is not None:
        if batch_size is not None or shuffle or sampler is not None or last_batch is not None:
            raise ValueError(
                "DataLoader: batch_size, shuffle, sampler and last_batch are not accepted beside "
                "batch_sampler"
            )
        return batch_sampler
    if batch_size is None:
        raise ValueError("DataLoader: give batch_size or batch_sampler")
    if sampler is None:
        make = _sampler.RandomSampler if shuffle else _sampler.SequentialSampler
        sampler = make(len(dataset))
    elif shuffle:
        raise ValueError("DataLoader: shuffle is not accepted beside sampler")
    return _sampler.BatchSampler(sampler, batch_size, last_batch or "keep")
