"""PrefetchingIter: the next batch is made while the program works on this one."""

import threading
from queue import SimpleQueue

from .io import BatchHolder, DataBatch, DataDesc

__all__ = ["PrefetchingIter"]


def _made(iterator):
    """The next batch, computed, or what was raised instead."""
    try:
        batch = iterator.next()
        for array in [*(batch.data or []), *(batch.label or [])]:
            if hasattr(array, "wait_to_read"):
                array.wait_to_read()
    except BaseException as error:
        return None, error
    return batch, None


def _produce(iterator, requests, replies):
    """In a thread: a reply to each request until one is None."""
    while requests.get() is not None:
        replies.put(_made(iterator))


class _Producer:
    """One iterator and the thread that makes its next batch.

    The thread knows the two queues and the iterator, not this object, so that this can be deleted.
    """

    def __init__(self, iterator):
        self.iterator = iterator
        self.requests: SimpleQueue = SimpleQueue()
        self.replies: SimpleQueue = SimpleQueue()
        self.thread = threading.Thread(
            target=_produce, args=(iterator, self.requests, self.replies), daemon=True
        )
        self.waiting = self.ended = False
        self.thread.start()
        self.request()

    def request(self):
        self.requests.put(True)
        self.waiting = True

    def take(self):
        """The batch that was made, None after the last one; what the iterator raised is raised."""
        if self.ended:
            return None
        if not self.waiting:
            self.request()
        batch, error = self.replies.get()
        self.waiting = False
        if isinstance(error, StopIteration):
            self.ended = True
            return None
        if error is not None:
            raise error
        self.request()
        return batch

    def reset(self):
        if self.waiting:
            self.replies.get()
        self.waiting = self.ended = False
        self.iterator.reset()
        self.request()

    def close(self):
        self.requests.put(None)


class PrefetchingIter(BatchHolder):
    """One iterator, or several side by side, whose next batches are made by other threads.

    Parameters
    ----------
    iters : DataIter or list of DataIter
        The inputs and labels of several are joined. They have batches of the same number and pad.
    rename_data, rename_label : list of dict of str to str, optional
        For each iterator, other names for its inputs and labels.

    What an iterator raises is raised by :meth:`next`. :meth:`reset` drops the batches that were
    made before.

    Examples
    --------
    >>> import mxtape as mx
    >>> x = mx.io.NDArrayIter(mx.nd.arange(4), batch_size=2)
    >>> y = mx.io.NDArrayIter(mx.nd.arange(4) * 10, batch_size=2)
    >>> both = mx.io.PrefetchingIter([x, y], rename_data=[{"data": "x"}, {"data": "y"}])
    >>> [name for name, _ in both.provide_data]
    ['x', 'y']
    >>> [[a.asnumpy().tolist() for a in batch.data] for batch in both]
    [[[0.0, 1.0], [0.0, 10.0]], [[2.0, 3.0], [20.0, 30.0]]]
    """

    def __init__(self, iters, rename_data=None, rename_label=None):
        self._producers = []
        iters = list(iters) if isinstance(iters, (list, tuple)) else [iters]
        if not iters:
            raise AssertionError("PrefetchingIter needs at least one iterator")
        for renames in (rename_data, rename_label):
            if renames is not None and len(renames) != len(iters):
                raise ValueError(f"{len(iters)} iterators, and new names for {len(renames)}")
        super().__init__()
        self.iters = iters
        self.n_iter = len(iters)
        self.rename_data = rename_data
        self.rename_label = rename_label
        self.batch_size = self.provide_data[0][1][0]
        if hasattr(iters[0], "default_bucket_key"):
            self.default_bucket_key = iters[0].default_bucket_key
        self.current_batch = None
        self._producers = [_Producer(iterator) for iterator in iters]

    def __del__(self):
        for producer in self._producers:
            producer.close()

    @staticmethod
    def _renamed(described, renames):
        """Descriptions of each iterator, in one list and under their new names."""
        found = []
        for i, one in enumerate(described):
            names = renames[i] if renames else {}
            for desc in one:
                desc = desc if isinstance(desc, DataDesc) else DataDesc(*desc)
                found.append(
                    DataDesc(names.get(desc.name, desc.name), desc.shape, desc.dtype, desc.layout)
                )
        return found

    @property
    def provide_data(self):
        """Names and shapes of the inputs of all iterators."""
        return self._renamed([x.provide_data for x in self.iters], self.rename_data)

    @property
    def provide_label(self):
        """Names and shapes of the labels of all iterators."""
        return self._renamed([x.provide_label for x in self.iters], self.rename_label)

    def reset(self):
        for producer in self._producers:
            producer.reset()

    def iter_next(self):
        batches = [producer.take() for producer in self._producers]
        if any(batch is None for batch in batches):
            if not all(batch is None for batch in batches):
                raise AssertionError("the iterators have different numbers of batches")
            return False
        if len({batch.pad for batch in batches}) > 1:
            pads = [batch.pad for batch in batches]
            raise AssertionError(f"the iterators have batches of different pads: {pads}")
        first = batches[0]
        data = [b.provide_data or x.provide_data for b, x in zip(batches, self.iters)]
        label = [b.provide_label or x.provide_label for b, x in zip(batches, self.iters)]
        self.current_batch = DataBatch(
            [array for batch in batches for array in batch.data],
            [array for batch in batches for array in batch.label or []],
            first.pad,
            first.index,
            bucket_key=first.bucket_key,
            provide_data=self._renamed(data, self.rename_data),
            provide_label=self._renamed(label, self.rename_label),
        )
        return True

    def next(self):
        if not self.iter_next():
            raise StopIteration
        return self.current_batch
