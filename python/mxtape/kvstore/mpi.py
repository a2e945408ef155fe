"""The processes of a program that ``mpirun`` has started, and calls that all of them make together.

A process that ends, by an error or early, ends the others: none waits for it for ever.
"""

import atexit
import collections
import contextlib
import hashlib
import os
import sys
import time
from typing import Any

import numpy as np

from ..base import MXNetError
from . import shared
from .buckets import Memory

__all__: list = []

_INSTALL = "pip install mxtape[mpi]"

# What launchers tell each process about their number: if MPI then sees one, it is another MPI.
_LAUNCHERS = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE", "PMIX_SIZE")

# A wait of this many seconds polls without a pause; a longer one looks now and then, and whether
# the others are still there.
_SPIN = 0.1
_PAUSE = 1e-4

_TEXT = 4096  # bytes of what each process says when they disagree
_SHOWN = 100  # and of these, from a little before the first difference
_world = None


def world():
    """The :class:`World` of this process, made at the first call, which all processes make.

    Raises
    ------
    MXNetError
        mpi4py is not installed, or the processes were not started by its MPI.
    """
    global _world
    if _world is None:
        _world = World(_import_mpi())
    return _world


def _import_mpi():
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        raise MXNetError(
            f"training on several processes needs mpi4py and an MPI library: {_INSTALL}, or use "
            f"those of your cluster ({error})"
        ) from error
    size = MPI.COMM_WORLD.Get_size()
    for name in _LAUNCHERS:
        if size == 1 and int(os.environ.get(name, "1")) > 1:
            raise MXNetError(
                f"{name} is {os.environ[name]}, but mpi4py sees one process: mpirun belongs to "
                f"another MPI than mpi4py uses ({MPI.Get_library_version().splitlines()[0]})"
            )
    if size == 1 and int(os.environ.get("DMLC_NUM_WORKER", "1")) > 1:
        raise MXNetError(
            "DMLC_NUM_WORKER is set, as MXNet's launcher does: mxtape has no servers and no "
            "scheduler. Start the program with mpirun -n WORKERS python PROGRAM.py"
        )
    return MPI


class Started:
    """A call that all processes make, under way.

    Attributes
    ----------
    number : int
        How many calls this process had started, with this one.
    what : str
        What it is, for messages.
    requests : list
        What has to be complete: of the check, and of the data if there are some. They are MPI's, or
        have a method ``Test`` as these.
    """

    def __init__(self, number, what, check, request):
        self.number = number
        self.what = what
        self.check = check
        self.requests = [request]

    def is_agreed(self):
        """Whether it is known already that all processes make this call."""
        return self.requests[0].Test() and self.check[0] == -self.check[1]

    def is_done(self):
        """Whether :meth:`World.wait` would not wait."""
        return all(request.Test() for request in self.requests)


class World:
    """All processes, in one order of calls: each process makes the same calls.

    Each call carries a text; where the texts of the processes differ, all of them raise.

    Parameters
    ----------
    mpi : module
        ``mpi4py.MPI``.
    """

    def __init__(self, mpi):
        self._mpi = mpi
        self._comm = mpi.COMM_WORLD.Dup()
        # For what is out of the order of calls: farewells, and what to say about a disagreement.
        self._aside = mpi.COMM_WORLD.Dup()
        for comm in (self._comm, self._aside):
            comm.Set_errhandler(mpi.ERRORS_RETURN)
        self.rank = self._comm.Get_rank()
        self.size = self._comm.Get_size()
        self._calls = 0
        self._under_way: list = []
        #: Pairs of a store and a bucket whose sum it has started, but not taken: of all stores.
        self.queue: collections.deque = collections.deque()
        self._broken: Any = None  # why nothing can be called any more
        self.machine = shared.connect(mpi, self._comm)
        self._pid = os.getpid()
        if self.size > 1:
            self._previous_hook = sys.excepthook
            sys.excepthook = self._excepthook
            atexit.register(self._leave)

    def memory(self, size, dtype):
        """A :class:`Memory` for :meth:`sum_memory`."""
        if self.machine is None:
            return Memory(np.empty(size, dtype))
        return shared.SharedMemory(self.machine, size, dtype)

    # Calls.

    def sum(self, array, what):
        """Starts to add up an array of all processes, in its own memory. All get the same bits."""
        return self._start(
            f"{what} {array.dtype} {array.size}",
            lambda comm: comm.Iallreduce(self._mpi.IN_PLACE, array),
        )

    def sum_memory(self, memory, size, what, mine=(), update=None):
        """Starts to add up the first elements of a memory of all processes.

        Parameters
        ----------
        memory : Memory
        size : int
        what : str
        mine : list of tuple of int, int, NDArray or None
            The parts that ``memory.mine`` gave for ranges that make up those elements; with the
            elements, where they are not in the memory.
        update : callable, optional
            Where the sum lies in shared memory: replaces parts of the sum by what they update. It
            is given the arrays of the parts in `mine`, when they are added up, and writes to them.
            The result, of which each process has then written its parts, is for all.

        Returns
        -------
        Started, SharedSum or None
            The call, and if that is not None, what knows where the result lies, which all processes
            must say that they have read; else it lies in `memory`.
        """
        array = memory.numpy[:size]
        if not self.shares(array.nbytes):
            for begin, end, part in mine:
                if part is not None:
                    part.copyto(memory.part(begin, (end - begin,)))
            return self.sum(array, what), None
        started = self._start(f"{what} {array.dtype} {size}")
        total = shared.SharedSum(self.machine, memory, size, started.is_agreed, mine, update)
        started.requests.append(total)
        return started, total

    def shares(self, size):
        """Whether sums of so many bytes are added up in shared memory."""
        return self.machine is not None and size > shared.SMALL

    def common_block(self, size, what):
        """So many bytes that the processes of each machine share, as a :class:`CommonBlock`."""
        return shared.CommonBlock(
            self.machine,
            size,
            lambda begin: self.wait(self._start(f"{what} {size}", lambda _: begin())),
        )

    def gather(self, mine, everyone, what):
        """Starts to copy the array `mine` of each process into a row of `everyone`."""
        return self._start(f"{what} {mine.size}", lambda comm: comm.Iallgather(mine, everyone))

    def gather_parts(self, mine, everyone, counts, what):
        """Starts to copy arrays of `counts` elements by rank, one behind the other, to all."""
        return self._start(
            f"{what} {everyone.size}",
            lambda comm: comm.Iallgatherv(mine, [everyone, counts.tolist()]),
        )

    def copy_from_first(self, array, what):
        """Starts to copy an array of process 0 into those of the others."""
        return self._start(f"{what} {array.size}", lambda comm: comm.Ibcast(array, 0))

    def agree(self, what):
        """Returns when all processes have come here; raises where their texts differ."""
        self.wait(self._start(what))

    def _start(self, what, post=None):
        self.check()
        digest = hashlib.blake2b(what.encode(), digest_size=7).digest()
        number = int.from_bytes(digest, "little")
        check = np.array([number, -number], np.int64)
        self._calls += 1
        if self.machine is not None:
            self.machine.reap()
        request = self._comm.Iallreduce(self._mpi.IN_PLACE, check, self._mpi.MAX)
        started = Started(self._calls, what, check, request)
        if post is not None:
            started.requests.append(post(self._comm))
        self._under_way.append(started)
        return started

    def wait(self, started):
        """Returns when a call has ended.

        Raises
        ------
        MXNetError
            The processes made different calls, or MPI has failed.
        """
        self.check()
        with self.whole(started.what):
            self._poll(started.requests[0], started)
            if started.check[0] != -started.check[1]:
                message = self._disagreement(started)
                if len(started.requests) > 1:
                    self._broken = message
                else:
                    self._under_way.remove(started)
                raise MXNetError(message)
            for request in started.requests[1:]:
                self._poll(request, started)
        # Not before: until then MPI writes to its arrays.
        self._under_way.remove(started)

    def check(self):
        """Raises if nothing can be called any more."""
        if self._broken:
            raise MXNetError(self._broken)

    def progress(self):
        """Lets all that is under way go on: MPI does when it is called."""
        for started in self._under_way:
            with self.whole(started.what):
                for request in started.requests:
                    request.Test()

    @contextlib.contextmanager
    def whole(self, what):
        """What is done here is done whole, or no call can be made after it."""
        try:
            yield
        except self._mpi.Exception as error:
            text = error.Get_error_string()
            self._broken = f"{what}: MPI failed on rank {self.rank}: {text}"
            raise MXNetError(self._broken) from error
        except Exception:
            raise
        except BaseException as error:  # Ctrl-C, say: a sum or an update may be half done
            name = type(error).__name__
            self._broken = f"{what}: {name} on rank {self.rank}; its values may be others now"
            raise

    def _poll(self, request, started):
        begin = time.monotonic()
        while not request.Test():
            # Others may wait for what this process does of earlier calls.
            if self.machine is not None:
                self.machine.advance()
            if time.monotonic() - begin < _SPIN:
                os.sched_yield()
                continue
            time.sleep(_PAUSE)
            left = self._farewell()
            if left is not None and left < started.number:
                self._abort(
                    f"rank {self._before} has ended, and rank {self.rank} waits for it: "
                    f"{started.what}"
                )

    def _disagreement(self, started):
        mine = np.zeros(_TEXT, np.uint8)
        text = started.what.encode()[:_TEXT]
        mine[: len(text)] = np.frombuffer(text, np.uint8)
        everyone = np.empty((self.size, _TEXT), np.uint8)
        self._poll(self._aside.Iallgather(mine, everyone), started)
        texts = [row.tobytes().rstrip(b"\0").decode(errors="replace") for row in everyone]
        other = next(rank for rank in range(self.size) if texts[rank] != texts[0])
        pairs = zip(texts[0], texts[other])
        first = next((i for i, (a, b) in enumerate(pairs) if a != b), len(texts[0]))
        begin = max(0, first - _SHOWN // 2)
        shown = [
            ("..." if begin else "") + repr(texts[rank][begin : first + _SHOWN])
            for rank in (0, other)
        ]
        return (
            "the processes must make the same calls in the same order; they differ at call "
            f"{started.number}: rank 0 has {shown[0]}, rank {other} has {shown[1]}"
        )

    # The end of a process. Each tells the next how many calls it has made. Whoever waits for a call
    # that the one before will not make any more ends all of them.

    @property
    def _before(self):
        return (self.rank - 1) % self.size

    _calls_before: Any = None

    def _farewell(self):
        """How many calls the process before this one had made when it ended; None before that."""
        if self._calls_before is None and self._aside.Iprobe(source=self._before):
            count = np.empty(1, np.int64)
            self._aside.Recv(count, source=self._before)
            self._calls_before = int(count[0])
        return self._calls_before

    def _leave(self):
        if os.getpid() != self._pid or self._mpi.Is_finalized():
            return
        try:
            for _, bucket in self.queue:
                if bucket.update is not None:
                    bucket.let_update()  # nobody has asked for it: others may have
            while self._under_way and not self._broken:
                self.wait(self._under_way[0])
        except MXNetError as error:
            self._broken = error
        if self._broken:
            self._abort(str(self._broken))
        count = np.array([self._calls], np.int64)
        request = self._aside.Isend(count, dest=(self.rank + 1) % self.size)
        while self._farewell() is None or not request.Test():
            time.sleep(_PAUSE)
        if self._calls_before != self._calls:
            self._abort(
                f"rank {self._before} has ended after {self._calls_before} calls of stores, and "
                f"rank {self.rank} after {self._calls}"
            )

    def _excepthook(self, kind, error, traceback):
        self._previous_hook(kind, error, traceback)
        if os.getpid() == self._pid:
            self._abort(f"rank {self.rank} ended with {kind.__name__}")

    def _abort(self, why):
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        # One write: the lines of several processes do not mix.
        os.write(2, f"mxtape: {why}; all {self.size} processes end\n".encode())
        self._comm.Abort(1)
