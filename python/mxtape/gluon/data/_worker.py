"""What a worker process of a loader runs."""

import collections
import ctypes
import faulthandler
import gc
import os
import pickle
import random
import select
import signal
import traceback

import numpy as np

from ... import autograd, runtime
from ... import random as mx_random
from . import _batchify, _shared_memory
from ._channel import DESCRIPTORS, memory_file

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of malloc.h
_LOOK = 5000  # milliseconds after which a worker looks whether its parent is there


def stacks(batchify_fn):
    """Whether a batchify function is one of ours, and does nothing but to stack."""
    return getattr(batchify_fn, "stacks", False)


def make_batch(dataset, indices, batchify_fn, seeds=None):
    """The batch of some items. Where they are made one by one they may be random: seeds come first.

    Parameters
    ----------
    dataset : Dataset
    indices : list or numpy.ndarray of int
    batchify_fn : callable
    seeds : tuple of int, optional
        For numpy.random, random and mx.random.
    """
    if stacks(batchify_fn):
        batch = _batchify.rows(dataset, indices)
        if batch is not None:
            return batch
    if seeds is not None:
        np.random.seed(seeds[0])  # noqa: NPY002 (what programs draw from)
        random.seed(seeds[1])
        mx_random.seed(seeds[2])
    if isinstance(indices, np.ndarray):
        indices = indices.tolist()
    return batchify_fn([dataset[i] for i in indices])


def run(channel, work):
    """Makes batches until the other end of the channel is closed.

    `work` is a data set and a batchify function; None where they come with the first message.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent answers Ctrl-C
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.set_wakeup_fd(-1)
    report = memory_file()
    faulthandler.enable(report)
    faulthandler.register(signal.SIGUSR1, report)
    autograd.set_recording(False)
    autograd.set_training(False)
    runtime.set_num_threads(1)
    _keep_freed_memory()
    gc.freeze()  # what a forked process has of its parent is not looked at, so not copied
    _shared_memory.writer = writer = _shared_memory.Writer()
    try:
        channel.send(("hello",), [report])
        _Worker(channel, writer, work).loop()
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # the parent has ended, or does not need this process any more


def _keep_freed_memory():
    """Lets glibc keep what is freed: items are as large as those before, and new pages are slow."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, 32 << 20)
        mallopt(_M_TRIM_THRESHOLD, 256 << 20)


class _Worker:
    def __init__(self, channel, writer, work):
        self._channel = channel
        self._writer = writer
        self._work = work
        self._parent = os.getppid()
        self._tasks: collections.deque = collections.deque()
        self._cancelled = set()

    def loop(self):
        while True:
            self._fetch()
            number, *task = self._tasks.popleft()
            if number in self._cancelled:
                self._cancelled.discard(number)
                self._answer("made", number, None)
                continue
            try:
                kind, value = "made", self._do(*task)
            except Exception as error:
                kind, value = "raised", (_plain(error), traceback.format_exc())
            self._answer(kind, number, value)

    def _do(self, kind, *rest):
        if kind == "batch":
            indices, seeds = rest
            dataset, batchify_fn = self._work
            return make_batch(dataset, indices, batchify_fn, seeds)
        func, args, kwds = rest
        return func(*args, **kwds)

    def _fetch(self):
        """Takes all messages, and waits for one where there is no task."""
        while True:
            message, descriptors = self._channel.receive()
            if message is None:
                if self._tasks:
                    return
                self._wait(select.POLLIN)
            elif message[0] == "work":
                _, body, places, sizes = message
                reader = _shared_memory.Reader(len(sizes), private=True)
                reader.learn([(*new, fd) for new, fd in zip(sizes, descriptors)], [])
                self._work = reader.load(body, places)
            elif message[0] == "cancel":
                self._cancelled |= message[1] & {task[0] for task in self._tasks}
            else:
                self._tasks.append(message)

    def _send(self, message, descriptors=()):
        while not self._channel.send(message, descriptors):
            self._wait(select.POLLOUT)

    def _wait(self, event):
        """Waits for the channel, and looks now and then whether the parent is still there."""
        poll = select.poll()
        poll.register(self._channel, event)
        while not poll.poll(_LOOK):
            if os.getppid() != self._parent:
                raise EOFError("the parent has ended")

    def _answer(self, kind, number, value):
        try:
            body, places, news, dropped = self._writer.dump(value)
        except Exception as error:
            # The value cannot be pickled.
            value = _plain(error), traceback.format_exc()
            kind = "raised"
            body, places, news, dropped = self._writer.dump(value)
        while news or dropped:
            some, news = news[:DESCRIPTORS], news[DESCRIPTORS:]
            sizes = [(segment, size) for segment, size, _ in some]
            descriptors = [descriptor for _, _, descriptor in some]
            self._send(("segments", sizes, dropped), descriptors)
            dropped = []
            for descriptor in descriptors:
                os.close(descriptor)
        self._send((kind, number, body, places))


def _plain(error):
    """The exception where it can be pickled and read back, else one that says the same."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
