"""Sums over the processes of one machine, in memory that they share.

Each process copies what others add up into memory of its own that they see. Each adds up its part
of every array, in the order of ranks, to where those of the first process lie, and there all read
the result. Or each also updates its part, and all read that. What is ready when, the processes tell
each other through MPI.
"""

import bisect
import mmap
import os
import secrets
import weakref

import numpy as np

from .. import autograd
from .. import ndarray as nd
from ..base import MXNetError
from .buckets import Memory

__all__: list = []

# Up to so many bytes, MPI is faster: it has one turn of messages, and this two.
SMALL = 1 << 18

_PAGE = mmap.ALLOCATIONGRANULARITY
_TOKEN = 16  # bytes at the beginning of an arena, by which others know it
_STRIPE = 1 << 16  # elements that are added up at a time, of many processes: they fit into a cache
_LINE = 64  # elements: parts of an array begin at multiples of it


def connect(mpi, comm):
    """The :class:`Machine` of this process, or None where sums are all MPI's.

    They are, on all processes, if one of them cannot share memory or wants not to, by the
    environment's MXTAPE_MPI_SHARED=0, or if each machine has one process. All processes call it.
    """
    local = processes_of_machine(mpi, comm)
    most = comm.allreduce(local.Get_size(), mpi.MAX)
    # All that have memory have it mapped when all are through here.
    arenas = _arenas(local) if most > 1 else None
    if comm.allreduce(arenas is not None, mpi.LAND):
        return Machine(mpi, comm, local, arenas)
    local.Free()
    return None


def processes_of_machine(mpi, comm):
    """A communicator of those that can share memory."""
    return comm.Split_type(mpi.COMM_TYPE_SHARED)


def _arenas(local):
    """The arenas of all processes of a machine, in the order of their ranks there; None if not."""
    offer, descriptor = None, None
    if os.environ.get("MXTAPE_MPI_SHARED", "1") != "0":
        try:
            # Takes addresses, and memory only where something is written.
            memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
            size = -(-2 * memory // local.Get_size() // _PAGE) * _PAGE
            descriptor = os.memfd_create("mxtape-buckets")
            os.ftruncate(descriptor, size)
            token = secrets.token_bytes(_TOKEN)
            os.pwrite(descriptor, token, 0)
            offer = (os.getpid(), descriptor, size, token)
        except (AttributeError, OSError, OverflowError, ValueError):
            pass  # another system than Linux, or one that does not allow it: None says so
    offers = local.allgather(offer)
    arenas = [_mapped(*one) for one in offers] if all(offers) else [None]
    local.Barrier()
    if descriptor is not None:
        os.close(descriptor)
    return None if any(arena is None for arena in arenas) else arenas


def _mapped(pid, descriptor, size, token):
    """The memory behind another process's descriptor; None if it cannot be had."""
    try:
        mine = os.open(f"/proc/{pid}/fd/{descriptor}", os.O_RDWR)
    except OSError:
        return None
    try:
        # In another container, the number may be that of another process.
        if os.pread(mine, _TOKEN, 0) != token:
            return None
        return mmap.mmap(mine, size)
    except (OSError, OverflowError):
        return None
    finally:
        os.close(mine)


class Space:
    """Which parts of a range of numbers are free.

    >>> from mxtape.kvstore.shared import Space
    >>> space = Space(0, 100)
    >>> space.take(60), space.take(40), space.take(1)
    (0, 60, None)
    >>> space.give(60, 40), space.give(0, 60), space.take(100)
    (None, None, 0)
    """

    def __init__(self, begin, end):
        self._free = [(begin, end)]

    def take(self, size):
        """Where so many are free, from now on taken; None if there are none."""
        for i, (begin, end) in enumerate(self._free):
            if end - begin >= size:
                self._free[i : i + 1] = [(begin + size, end)] if end - begin > size else []
                return begin
        return None

    def give(self, begin, size):
        """Takes back what :meth:`take` gave."""
        end = begin + size
        i = bisect.bisect(self._free, (begin, end))
        if i < len(self._free) and self._free[i][0] == end:
            end = self._free.pop(i)[1]
        if i and self._free[i - 1][1] == begin:
            i -= 1
            begin = self._free.pop(i)[0]
        self._free.insert(i, (begin, end))


class Block:
    """A part of this process's arena: a number for each process, and behind them the elements.

    Attributes
    ----------
    at, size : int
        Bytes; whole pages.
    sum : int
        The last sum whose result lies here. It may be written to when all have read it: the numbers
        at its beginning say which sum each process has read last.
    """

    def __init__(self, at, size, readers):
        self.at, self.size, self.sum = at, size, 0
        self._readers = readers
        readers[:] = 0

    def is_read(self):
        """Whether nobody needs what lies here."""
        return bool((self._readers >= self.sum).all())


class CommonBlock:
    """Memory of a machine's first process that all of them write to.

    It is free when none of them has this object any more.

    Parameters
    ----------
    machine : Machine
    size : int
        Bytes.
    wait : callable
        Is given a function that makes a request of MPI, which all processes make, and waits for it.
    """

    def __init__(self, machine, size, wait):
        at, block = np.zeros(1, np.int64), None
        if machine.rank == 0:
            block = machine.take(size)
            block.sum = 1
            at[0] = block.at
        wait(lambda: machine.tell_place(at))
        self._machine, self._at = machine, int(at[0])
        weakref.finalize(self, _let_go, machine, self._at, block).atexit = False

    def array(self, offset, size, dtype):
        """So many elements of a dtype, from a byte on."""
        return self._machine.arrays(0, self._at + offset, size, dtype)[1]


def _let_go(machine, at, block):
    if not machine.is_forked():
        machine.readers(0, at)[machine.rank] = 1
        if block is not None:
            machine.give(block)


class SharedMemory(Memory):
    """An array in this process's arena."""

    def __init__(self, machine, size, dtype):
        self.block = machine.take(size * dtype.itemsize)
        super().__init__(*machine.arrays(machine.rank, self.block.at, size, dtype))
        self._machine = machine
        # Not at the end of the process, when others may still read.
        weakref.finalize(self, machine.give, self.block).atexit = False

    def is_free(self):
        return self.block.is_read()

    def mine(self, start, stop):
        """Begin and end of the part of a range of elements that this process adds up."""
        return self._machine.part(start, stop)


class SharedSum:
    """A sum of the first elements of a memory, under way.

    Parameters
    ----------
    machine : Machine
    memory : SharedMemory
    size : int
    is_agreed : callable
        Whether all processes are known to compute it.
    mine, update
        As of :meth:`World.sum_memory`.
    """

    def __init__(self, machine, memory, size, is_agreed, mine, update):
        self._machine = machine
        self._mine = mine
        self._update = update
        self.may_update = update is None  # not before the program asks for the result
        self.error = None  # what `update` has raised
        self.memory, self.size, self.is_agreed = memory, size, is_agreed
        self.places = np.empty(machine.size, np.int64)  # of the blocks of all
        self.step = 0  # how many have begun
        self.done = False
        self.number, self.requests = machine.start(self)

    def Test(self):
        """Goes on as far as the other processes let it; whether it is done."""
        self._machine.advance()
        return self.done

    def arrays(self, rank):
        """The elements of a process, as arrays of NumPy and mxtape."""
        at = int(self.places[rank])
        return self._machine.arrays(rank, at, self.size, self.memory.numpy.dtype)

    def take_parts(self):
        """Begin, end and elements of each part that this process adds up."""
        own = self.arrays(self._machine.rank)[1]
        for i, (begin, end, array) in enumerate(self._mine):
            self._mine[i] = (begin, end, None)
            if begin < end:
                yield begin, end, own[begin:end] if array is None else array

    def has_update(self):
        """Whether the result is not the sum."""
        return self._update is not None

    def update(self):
        """Updates this process's parts of the sum."""
        if self.has_update():
            result = self.arrays(0)[1]
            try:
                self._update([result[begin:end] for begin, end, _ in self._mine])
            except Exception as error:  # for the program, when it is its turn; others go on
                self.error = error

    def memory_of_result(self):
        """Where the result lies when it is done: for all, with the first process."""
        return self.memory if self._machine.rank == 0 else Memory(*self.arrays(0))

    def set_read(self):
        """Says that this process does not need the result any more."""
        # Without MPI: in which order processes come here is their own affair. It is looked at
        # when the first process takes memory for a later bucket.
        self._machine.readers(0, int(self.places[0]))[self._machine.rank] = self.number


class Machine:
    """The processes of one machine, and the memory that they share.

    Attributes
    ----------
    rank : int
        Of this process, here; the order is that of all processes.
    """

    def __init__(self, mpi, comm, local, arenas):
        self._mpi, self._arenas = mpi, arenas
        self._whole: dict = {}  # by rank and dtype: a slice of it costs less than an array
        self.rank, self.size = local.Get_rank(), local.Get_size()
        # Where the results of the machines are added up, by the first process of each.
        among = comm.Split(0 if self.rank == 0 else mpi.UNDEFINED)
        self._leaders = among if self.rank == 0 and among.Get_size() > 1 else None
        self._alone = self.size == comm.Get_size()
        between = [] if self._alone else [self._add_machines, self._tell]
        self._steps = [self._add, *between, self._update]
        # Each step of a sum has its own communicator: there, all begin their calls in one order.
        self._places, self._added, self._told, self._updated = (local.Dup() for _ in range(4))
        for one in (self._places, self._added, self._told, self._updated, self._leaders):
            if one is not None:
                one.Set_errhandler(mpi.ERRORS_RETURN)
        self._begun = [0] * len(self._steps)
        self._count = 0
        self._under_way: list = []
        self._header = -(-8 * self.size // _PAGE) * _PAGE
        self._space = Space(_PAGE, len(arenas[self.rank]))
        self._given: list = []  # blocks that somebody still reads
        self._pid = os.getpid()

    # Memory.

    def arrays(self, rank, at, size, dtype):
        """The elements of a block of a process, as arrays of NumPy and mxtape."""
        arena = self._whole.get((rank, dtype))
        if arena is None:
            whole = np.frombuffer(self._arenas[rank], dtype)
            arena = self._whole[rank, dtype] = (whole, nd.from_numpy(whole[:]))
        begin = (at + self._header) // dtype.itemsize
        return [array[begin : begin + size] for array in arena]

    def readers(self, rank, at):
        """The numbers at the beginning of a block of a process."""
        return np.frombuffer(self._arenas[rank], np.int64, self.size, at)

    def part(self, start, stop):
        """Begin and end of the part of a range of elements that is this process's."""
        begin, end = (
            start + (stop - start) * rank // self.size // _LINE * _LINE
            for rank in (self.rank, self.rank + 1)
        )
        return begin, stop if self.rank + 1 == self.size else end

    def take(self, size):
        """A :class:`Block` for so many bytes."""
        self.reap()
        size = self._header + -(-size // _PAGE) * _PAGE
        at = self._space.take(size)
        if at is None:
            raise MXNetError(
                f"push: no memory for a bucket of {size} bytes; the buckets of this process may "
                f"have {len(self._arenas[self.rank])}"
            )
        return Block(at, size, self.readers(self.rank, at))

    def give(self, block):
        """Has the memory of a block freed by :meth:`reap`, when it is read."""
        # No more than this: the collector of garbage may call it anywhere, as within reap().
        if not self.is_forked():
            self._given.append(block)

    def is_forked(self):
        """Whether this is a fork of the process, which has the same memory and gives none back."""
        return os.getpid() != self._pid

    def reap(self):
        """Frees what has been given back, and read since."""
        if not self._given:
            return
        given, self._given = self._given, []
        for block in given:
            if block.is_read():
                self._arenas[self.rank].madvise(mmap.MADV_REMOVE, block.at, block.size)
                self._space.give(block.at, block.size)
            else:
                self._given.append(block)

    # Sums.

    def tell_place(self, at):
        """Starts to give the number in an array of the first process to the others."""
        return self._places.Ibcast(at)

    def start(self, total):
        """The number of a sum, and the requests of its first step: where does which block lie?"""
        self._count += 1
        block = total.memory.block
        if self.rank == 0:
            block.sum = self._count
        self._under_way.append(total)
        return self._count, [self._places.Iallgather(np.array([block.at], np.int64), total.places)]

    def advance(self):
        """Has all sums go on as far as the other processes let them."""
        for total in tuple(self._under_way):
            self._go_on(total)
            if total.done:
                self._under_way.remove(total)

    def _go_on(self, total):
        while all(request.Test() for request in total.requests):
            if total.step == len(self._steps):
                total.done = True
                return
            # Not before those that were started before it; nor what others do not compute.
            if self._begun[total.step] != total.number - 1 or not total.is_agreed():
                return
            if total.step == len(self._steps) - 1 and not total.may_update:
                return
            total.requests = self._steps[total.step](total)
            self._begun[total.step] += 1
            total.step += 1

    def _add(self, total):
        """Adds up this process's parts."""
        arrays = [total.arrays(rank)[1] for rank in range(self.size)]
        stripe = _STRIPE if self.size > 2 else total.size
        with autograd.pause():
            for begin, end, mine in total.take_parts():
                for a in range(begin, end, stripe):
                    b = min(a + stripe, end)
                    parts = [array[a:b] for array in arrays]
                    result, parts[self.rank] = parts[0], mine[a - begin : b - begin]
                    _add_up(parts, result)
        return [] if self._alone else [self._added.Ibarrier()]

    def _add_machines(self, total):
        if self._leaders is None:
            return []
        result = total.memory.numpy[: total.size]
        return [self._leaders.Iallreduce(self._mpi.IN_PLACE, result)]

    def _tell(self, _):
        return [self._told.Ibarrier()]

    def _update(self, total):
        """Updates this process's parts, where there is something to update."""
        total.update()
        return [self._updated.Ibarrier()] if self._alone or total.has_update() else []


def _add_up(arrays, result):
    """The sum of arrays, the first of which may be the result."""
    if len(arrays) == 1:
        arrays[0].copyto(result)
        return
    nd.elemwise_add(arrays[0], arrays[1], out=result)
    for other in arrays[2:]:
        result += other
