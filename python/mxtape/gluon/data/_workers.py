"""Processes that make batches, and what the process that reads them sees of them."""

import collections
import contextlib
import errno
import itertools
import multiprocessing
import os
import resource
import select
import signal
import socket
import threading
import time
import warnings
import weakref

from ...base import MXNetError
from . import _shared_memory, _worker
from ._channel import Channel

_PATIENCE = 0.2  # seconds between asking workers to end, telling them to, and ending them


class RemoteTraceback(Exception):
    """The cause of an exception that a worker raised: its traceback there."""

    def __init__(self, text):
        super().__init__(text)
        self.text = text

    def __str__(self):
        return f'\n"""\n{self.text}"""'


class Result:
    """What a worker will have made; as of ``multiprocessing.pool.Pool.apply_async``."""

    def __init__(self, pool, task):
        self._pool = pool
        self.task = task
        self._done = False
        self._error = None
        self._value = None

    def ready(self):
        """Whether it is there."""
        if not self._done:
            self._pool.look()
        return self._done

    def wait(self, timeout=None):
        """Waits until it is there, or so many seconds."""
        if not self._done:
            self._pool.wait_for(self, timeout)

    def successful(self):
        """Whether no exception was raised; ValueError when it is not there yet."""
        if not self.ready():
            raise ValueError(f"the result of task {self.task} is not there yet")
        return self._error is None

    def get(self, timeout=None):
        """The result, when it is there.

        Raises
        ------
        multiprocessing.TimeoutError
            When it is not there after `timeout` seconds.
        MXNetError
            When the worker has ended.
        Exception
            What the worker raised; its ``__cause__`` has the traceback there.
        """
        if not self._done and not self._pool.wait_for(self, timeout):
            raise multiprocessing.TimeoutError(self._pool.why_late(self, timeout))
        if self._error is not None:
            raise self._error
        value, self._value = self._value, None
        return value

    def _set(self, value, error):
        if not self._done:
            self._value, self._error, self._done = value, error, True


class _Worker:
    """One process, as the process that started it sees it."""

    def __init__(self, context, number, limit, work):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.number = number
        self.channel = Channel(ours)
        self.reader = _shared_memory.Reader(limit)
        self.tasks = {}  # not answered yet: their numbers, and what they are
        self.report = None  # a file that gets its traceback when it is ended by a signal
        _channels.add(self.channel)
        try:
            self.process = context.Process(
                target=_worker.run,
                args=(Channel(theirs), work),
                name=f"DataLoaderWorker-{number}",
                daemon=True,
            )
            with warnings.catch_warnings():
                # Locks are in order after fork(): docs/architecture.md.
                warnings.filterwarnings("ignore", ".*multi-threaded.*fork", DeprecationWarning)
                self.process.start()
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()

    def traceback(self):
        """What it was doing when it was ended by a signal, or was asked for it."""
        if self.report is None:
            return ""
        return os.pread(self.report, 20_000, 0).decode("utf-8", "replace")

    def close(self):
        self.channel.close()
        if self.report is not None:
            os.close(self.report)
            self.report = None


# The ends of this process. A forked child closes them: a worker ends when the last one is closed.
_channels: "weakref.WeakSet[Channel]" = weakref.WeakSet()


def _close_channels():
    for channel in list(_channels):
        channel.close()
    _channels.clear()


os.register_at_fork(after_in_child=_close_channels)


def _stop(owner, workers):
    """Ends workers, surely; in the process that started them."""
    if owner != os.getpid():
        return
    for worker in workers:
        worker.channel.close()  # one that waits for tasks ends by itself
    for how in (None, "terminate", "kill"):
        deadline = time.monotonic() + _PATIENCE
        for worker in workers:
            if how is not None:
                getattr(worker.process, how)()
        for worker in workers:
            worker.process.join(max(0.0, deadline - time.monotonic()))
        if all(worker.process.exitcode is not None for worker in workers):
            break
    for worker in workers:
        worker.close()
    workers.clear()


def _start_method():
    """The one that the program has chosen; else fork, by which any data set gets to a worker."""
    return multiprocessing.get_start_method(allow_none=True) or "fork"


def _packed(work):
    """What a process that is not forked gets: arguments, or a message and descriptors.

    With the message, all workers have the arrays in the same memory, which each may write to, as
    after a fork.
    """
    try:
        body, places, news, _ = _shared_memory.Writer().dump(work)
    except RuntimeError:
        return work, None, []  # locks and their like are given to a process only as arguments
    sizes = [(number, size) for number, size, _ in news]
    return None, ("work", body, places, sizes), [descriptor for _, _, descriptor in news]


class WorkerPool:
    """Processes that make batches of a data set.

    They start when it is made, and again when it is used after one of them ended, after a timeout,
    Ctrl-C or :meth:`terminate`, and in a process that was forked. They end with the object or the
    process that made it.

    Parameters
    ----------
    processes : int
    dataset : Dataset
    batchify_fn : callable
        Makes a batch of a list of items.
    """

    def __init__(self, processes, dataset=None, batchify_fn=None):
        self._processes = processes
        self._work = (dataset, batchify_fn)
        self._closed = False
        self._reset()
        self._start()

    def _reset(self):
        self._owner = os.getpid()
        self._workers: list[_Worker] = []
        self._by_descriptor = {}
        self._poll = select.poll()
        self._numbers = itertools.count()
        self._results: weakref.WeakValueDictionary[int, Result] = weakref.WeakValueDictionary()
        self._backlog: collections.deque = collections.deque()  # tasks that no channel had room for
        self._unwanted: collections.deque = collections.deque()  # numbers of tasks
        self._lock = threading.RLock()  # of all above, for a moment
        self._reading = threading.Lock()  # of the channels' reading end
        self._finalizer = weakref.finalize(self, _stop, self._owner, self._workers)

    def _start(self):
        context = multiprocessing.get_context(_start_method())
        descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        limit = max(8, descriptors // 4 // self._processes)
        work, message, memory = self._work, None, []
        if context.get_start_method() != "fork":
            work, message, memory = _packed(work)
        try:
            for number in range(self._processes):
                worker = _Worker(context, number, limit, work)
                self._workers.append(worker)
                if message is not None:
                    worker.channel.send(message, memory)
                for descriptor in (worker.channel.fileno(), worker.process.sentinel):
                    self._by_descriptor[descriptor] = worker
                    self._poll.register(descriptor, select.POLLIN)
        except BaseException:
            self._halt("a worker could not start")
            raise
        finally:
            for descriptor in memory:
                os.close(descriptor)

    def _halt(self, reason):
        """Ends the workers. What they have not made is lost."""
        with self._lock:
            for descriptor in self._by_descriptor:
                self._poll.unregister(descriptor)
            self._by_descriptor.clear()
            self._backlog.clear()
            lost, self._results = self._results, weakref.WeakValueDictionary()
            for result in list(lost.values()):
                result._set(None, MXNetError(f"DataLoader: the workers were stopped: {reason}"))
            _stop(self._owner, self._workers)

    def _own(self):
        """Begins anew in a process that was forked: the workers are its parent's."""
        if self._owner != os.getpid():
            self._finalizer.detach()
            self._reset()

    def _ensure_running(self):
        if self._closed:
            raise ValueError("DataLoader: the pool of workers is closed")
        ended = [worker for worker in self._workers if worker.process.exitcode is not None]
        if ended:
            warnings.warn(
                f"DataLoader: {_end_of(ended[0])}; the workers start again", RuntimeWarning, 3
            )
            self._halt("another one had ended")
        if not self._workers:
            self._start()

    def makes(self, dataset, batchify_fn):
        """Whether these are the workers' data set, or None for it, and their function."""
        return (dataset is None or dataset is self._work[0]) and batchify_fn is self._work[1]

    # ---- tasks

    def submit(self, *task):
        """Gives a task to the worker that has the fewest; returns its :class:`Result`.

        Parameters
        ----------
        *task
            ``'batch', indices, seeds`` or ``'call', func, args, kwds``.
        """
        self._own()
        with self._lock:
            if self._closed or not self._workers:
                self._ensure_running()
            self._tell_cancelled()
            number = next(self._numbers)
            result = Result(self, number)
            self._results[number] = result
            self._backlog.append((number, *task))
            self._send()
        return result

    def _send(self):
        while self._backlog:
            task = self._backlog[0]
            worker = min(self._workers, key=lambda each: len(each.tasks))
            try:
                if not worker.channel.send(task):
                    return
            except OSError:
                return  # it has ended: who waits finds out
            worker.tasks[task[0]] = task[1:]
            self._backlog.popleft()

    def cancel(self, results):
        """Notes that nobody waits for these any more; the workers are told with the next task.

        The garbage collector may call this in the middle of anything else.
        """
        if self._owner != os.getpid():
            return
        for result in results:
            number = result.task
            if self._results.get(number) is result:
                self._unwanted.append(number)

    def _tell_cancelled(self):
        unwanted = set()
        while self._unwanted:
            unwanted.add(self._unwanted.popleft())
        if not unwanted:
            return
        kept = [task for task in self._backlog if task[0] not in unwanted]
        self._backlog.clear()
        self._backlog.extend(kept)
        for number in unwanted:
            self._results.pop(number, None)
        for worker in self._workers:
            begun = unwanted & worker.tasks.keys()
            if begun:
                # Where there is no room, it makes them and they are thrown away.
                with contextlib.suppress(OSError):
                    worker.channel.send(("cancel", begun))

    def begin_epoch(self):
        """Starts workers again that have ended since the last one."""
        self._own()
        with self._lock:
            self._ensure_running()

    # ---- results

    def look(self):
        """Receives what is there."""
        if self._owner == os.getpid() and self._reading.acquire(blocking=False):
            try:
                self._receive(0)
            finally:
                self._reading.release()

    def wait_for(self, result, timeout=None):
        """Receives until a result is there; whether it came in time."""
        self._own()
        deadline = None if timeout is None else time.monotonic() + timeout
        left = timeout
        if not self._reading.acquire(timeout=-1 if timeout is None else timeout):
            return result._done
        try:
            if not result._done and self._results.get(result.task) is not result:
                raise MXNetError("DataLoader: the worker that was asked for this has been stopped")
            while not result._done:
                if deadline is not None:
                    left = max(0.0, deadline - time.monotonic())
                if not self._receive(left) and left == 0:
                    return False
            return True
        except OSError:
            if result._done:
                return True  # another thread has stopped the workers
            if not self._finalizer.alive:
                raise MXNetError("DataLoader: the process is ending") from None
            self._halt("what they had made could not be read")
            raise
        except BaseException:
            # Ctrl-C may have come between a message and its entry here.
            self._halt("waiting for a batch was interrupted")
            raise
        finally:
            self._reading.release()

    def _receive(self, timeout):
        """Waits for messages and takes them; whether there were any."""
        events = self._poll.poll(None if timeout is None else timeout * 1000)
        ended = None
        for descriptor, _ in events:
            worker = self._by_descriptor.get(descriptor)
            if worker is None:
                continue
            if not self._take(worker) or descriptor == worker.process.sentinel:
                ended = worker
        if ended is not None:
            error = MXNetError(f"DataLoader: {_end_of(ended)}")
            with self._lock:
                for lost in list(self._results.values()):
                    lost._set(None, error)
            self._halt("one of them had ended")
        elif events:
            with self._lock:
                self._send()
        return bool(events)

    def _take(self, worker):
        """Takes all messages of a worker; false when it has closed its end."""
        while True:
            try:
                message, descriptors = worker.channel.receive()
            except EOFError:
                return False
            if message is None:
                return True
            kind, *rest = message
            if kind == "hello":
                worker.report = descriptors[0]
                continue
            if kind == "segments":
                news, dropped = rest
                if len(descriptors) < len(news):
                    raise OSError(errno.EMFILE, "DataLoader: a batch needs more open files")
                worker.reader.learn([(*new, fd) for new, fd in zip(news, descriptors)], dropped)
                continue
            number, body, places = rest
            with self._lock:
                worker.tasks.pop(number, None)
                result = self._results.pop(number, None)
            if result is None:
                worker.reader.forget(places)
                continue
            self._give(worker, result, kind, body, places)

    @staticmethod
    def _give(worker, result, kind, body, places):
        try:
            value = worker.reader.load(body, places)
        except Exception as reason:
            result._set(None, reason)
            return
        if kind == "made":
            result._set(value, None)
            return
        error, text = value
        error.__cause__ = RemoteTraceback(text)
        result._set(None, error)

    def why_late(self, result, timeout):
        """Says what the worker of a task does that takes too long."""
        message = f"DataLoader: a batch did not come within {timeout} seconds"
        for worker in self._workers:
            if result.task in worker.tasks and worker.report is not None:
                os.kill(worker.process.pid, signal.SIGUSR1)
                deadline = time.monotonic() + 1
                while not worker.traceback() and time.monotonic() < deadline:
                    time.sleep(0.01)
                return (
                    f"{message}. Worker {worker.number} (process {worker.process.pid}) is here:\n"
                    f"{worker.traceback()}"
                )
        return message

    # ---- as of multiprocessing.pool.Pool

    def apply_async(self, func, args=(), kwds=None):
        """Lets a worker call a function; gives a :class:`Result`."""
        return self.submit("call", func, args, kwds or {})

    def apply(self, func, args=(), kwds=None):
        """What a worker's call of a function returns."""
        return self.apply_async(func, args, kwds).get()

    def close(self):
        """Accepts no more tasks."""
        self._closed = True

    def terminate(self):
        """Ends the workers."""
        if self._owner == os.getpid():
            self._halt("terminate() was called")

    def join(self):
        """Waits for the workers to end, after :meth:`close` or :meth:`terminate`."""
        if self._closed:
            self.terminate()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.terminate()

    def __repr__(self):
        return f"<WorkerPool of {self._processes} processes>"

    def __reduce__(self):
        raise TypeError("a pool of worker processes cannot be pickled")


def _end_of(worker):
    """How a worker ended, what it was doing, and its traceback where there is one."""
    worker.process.join(5)
    code = worker.process.exitcode
    if code is not None and code < 0:
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = "unknown"
        how = f"was ended by signal {-code} ({name})"
        if -code == signal.SIGKILL:
            how += ", as the system does when memory is short"
    else:
        how = f"ended with exit status {code}"
    text = f"worker {worker.number} (process {worker.process.pid}) {how}"
    task = next(iter(worker.tasks.values()), None)
    if task is not None:
        what = f"the batch of items {task[1]!r:.100}" if task[0] == "batch" else "a call"
        text += f" while it made {what}"
    trace = worker.traceback()
    return f"{text}\n{trace}" if trace else text
