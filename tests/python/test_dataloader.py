"""Loaders with workers: what they give, and that nothing hangs or is left behind."""

import functools
import gc
import itertools
import multiprocessing
import os
import pickle
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest

import mxtape as mx
from mxtape import nd
from mxtape.gluon.data import ArrayDataset, DataLoader, Dataset, SimpleDataset, dataloader
from support import assert_same

pytestmark = pytest.mark.skipif(mx.__name__ == "mxnet", reason="about our own workers")

X = np.arange(10 * 3 * 400, dtype="float32").reshape(10, 3, 400)  # a batch is beyond 4 KiB
Y = np.arange(10)


class Squares(Dataset):
    """Numbers, and what a test wants to happen at number 5."""

    def __init__(self, at_five=None, length=12):
        self.at_five = at_five
        self.length = length

    def __len__(self):
        return self.length

    def __getitem__(self, i):
        if i == 5 and self.at_five is not None:
            self.at_five()
        return i * i


def numbers(loader):
    return [batch.asnumpy().tolist() for batch in loader]


def pids(loader):
    return [worker.process.pid for worker in loader._worker_pool._workers]


def is_running(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def ended(pid, seconds=20.0):
    deadline = time.monotonic() + seconds
    while is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not is_running(pid)


SQUARES = [[0, 1, 4, 9], [16, 25, 36, 49], [64, 81, 100, 121]]


# ---- what comes out


class Own(ArrayDataset):
    """Reads its items for itself, so they are stacked one by one."""

    def __getitem__(self, idx):
        return super().__getitem__(idx)


DATASETS = {
    "ndarray": lambda: ArrayDataset(nd.array(X), nd.array(Y, dtype="int32")),
    "numpy": lambda: ArrayDataset(X, Y.astype("int32")),
    "own": lambda: Own(nd.array(X), Y.astype("int32")),
    "list": lambda: ArrayDataset(list(X), [np.int32(y) for y in Y]),
    "simple": lambda: SimpleDataset([(nd.array(x), np.int32(y)) for x, y in zip(X, Y)]),
    "transformed": lambda: ArrayDataset(X - 1, Y.astype("int32")).transform_first(lambda x: x + 1),
    "sharded": lambda: ArrayDataset(np.tile(X, (2, 1, 1)), np.tile(Y, 2).astype("int32")).take(10),
}
WORKERS = {
    "none": {},
    "processes": {"num_workers": 2},
    "threads": {"num_workers": 2, "thread_pool": True},
}


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("dataset", DATASETS)
def test_batches(dataset, workers):
    loader = DataLoader(DATASETS[dataset](), 4, **WORKERS[workers])
    for _ in range(2):
        batches = list(loader)
        assert [type(batch) for batch in batches] == [list] * 3
        for i, (x, y) in enumerate(batches):
            assert_same(x, X[4 * i : 4 * i + 4], rtol=0, atol=0)
            assert_same(y, Y[4 * i : 4 * i + 4])
            assert (x.dtype, y.dtype, x.context) == (np.float32, np.int32, mx.cpu())
    assert len(loader) == 3


@pytest.mark.parametrize("dtype", ["float16", "float64", "uint8", "int8", "int64", "bool"])
@pytest.mark.parametrize("make", [np.asarray, lambda x: nd.array(x, dtype=x.dtype)])
def test_dtypes_and_memory(dtype, make):
    data = (np.arange(5 * 5000).reshape(5, 5000) % 7).astype(dtype)
    for num_workers in (0, 1):
        for dataset in (SimpleDataset(make(data)), SimpleDataset([make(row) for row in data])):
            batches = list(DataLoader(dataset, 2, num_workers=num_workers))
            assert {batch.dtype for batch in batches} == {np.dtype(dtype).type}
            np.testing.assert_array_equal(np.concatenate([b.asnumpy() for b in batches]), data)
            batches[0][:] = 1  # a batch is its reader's own
            assert data[0, 2] == np.dtype(dtype).type(2)


def nested(items):
    """A batch of many kinds of parts, not all of them in the memory that is shared."""
    x = nd.stack(*[item[0] for item in items])
    big = np.stack([item[0].asnumpy() for item in items])
    return {
        "x": x,
        "same": x,
        "part": x[1:],
        "numpy": big,
        "text": ["a", None, 2**70],
        "bfloat16": x.astype("bfloat16"),
        "bool": nd.array(big > 100, dtype="bool"),
        "shared": dataloader.default_mp_batchify_fn([item[0] for item in items]),
        "other": x.copyto(mx.cpu(2)),
    }


def test_any_batch_crosses():
    dataset = ArrayDataset(nd.array(X), Y)
    offset = 0  # a closure: by fork, functions need not be pickled
    loader = DataLoader(dataset, 5, num_workers=1, batchify_fn=lambda items: nested(items[offset:]))
    for i, batch in enumerate(loader):
        x = X[5 * i : 5 * i + 5]
        for key in ("x", "same", "shared", "other"):
            assert_same(batch[key], x)
        assert batch["same"] is batch["x"]
        assert batch["other"].context == mx.cpu(2)
        assert_same(batch["part"], x[1:])
        np.testing.assert_array_equal(batch["numpy"], x)
        batch["numpy"][0] = 3
        assert_same(batch["bfloat16"].astype("float32"), x, rtol=1e-2)
        assert_same(batch["bool"], x > 100)
        assert batch["text"] == ["a", None, 2**70]


def test_a_batch_that_is_kept_does_not_change():
    loader = DataLoader(ArrayDataset(X), 2, num_workers=2, prefetch=3)
    kept = []
    for _ in range(6):
        kept += [batch[1:] if i % 2 else batch for i, batch in enumerate(loader)]
    for i, batch in enumerate(kept):
        begin = i % 5 * 2 + i % 5 % 2
        assert_same(batch, X[begin : i % 5 * 2 + 2])
    del kept, batch
    gc.collect()
    known = [set(w.reader._maps) for w in loader._worker_pool._workers]
    for _ in range(6):
        list(map(id, loader))
    assert [set(w.reader._maps) for w in loader._worker_pool._workers] == known, "used again"


def test_with_few_descriptors_batches_are_copied(monkeypatch):
    monkeypatch.setattr("resource.getrlimit", lambda _: (64, 64))
    loader = DataLoader(ArrayDataset(X), 1, num_workers=1)
    kept = [batch for _ in range(5) for batch in loader]
    for i, batch in enumerate(kept):
        assert_same(batch, X[i % 10 : i % 10 + 1])
    assert len(loader._worker_pool._workers[0].reader._maps) < 25


def test_batches_of_different_sizes():
    loader = DataLoader(
        SimpleDataset([np.full(size * 500, size) for size in (1, 50, 3, 90, 2, 7, 120, 4) * 4]),
        1,
        num_workers=1,
    )
    for _ in range(2):
        for size, batch in zip((1, 50, 3, 90, 2, 7, 120, 4) * 4, loader):
            assert batch.shape == (1, size * 500)
            assert batch.min().asscalar() == size == batch.max().asscalar()


def test_where_python_has_no_memfd(monkeypatch):
    monkeypatch.delattr(os, "memfd_create")
    before = set(os.listdir("/dev/shm"))
    batches = list(DataLoader(ArrayDataset(X), 5, num_workers=1))
    assert_same(nd.concat(*batches, dim=0), X)
    assert set(os.listdir("/dev/shm")) <= before


def test_large_messages():
    text = "long" * 100_000
    loader = DataLoader(
        SimpleDataset([text]), batch_sampler=[[0] * 50_000], batchify_fn=set, num_workers=1
    )
    assert list(loader) == [{text}]


def test_pin_memory_and_refresh():
    for num_workers in (0, 1):
        loader = DataLoader(
            ArrayDataset(X, Y), 5, num_workers=num_workers, pin_memory=True, pin_device_id=1
        )
        loader.refresh()
        assert loader._iter is not None
        loader.clean()
        assert loader._iter is None
        assert {part.context for batch in loader for part in batch} == {mx.cpu_pinned(1)}
    given = nd.array(X)
    for batch in DataLoader([0], 1, batchify_fn=lambda items: [given, "x"], pin_memory=True):
        assert [batch[0].context, given.context, batch[1]] == [mx.cpu_pinned(), mx.cpu(), "x"]
    again = DataLoader(Squares(), 4, num_workers=1, auto_reload=True)
    for _ in range(3):
        assert again._iter is not None
        assert numbers(again) == SQUARES


def test_iterators_side_by_side():
    loader = DataLoader(Squares(), 4, num_workers=2)
    assert [a.asnumpy().tolist() for pair in zip(loader, loader) for a in pair] == [
        batch for batch in SQUARES for _ in range(2)
    ]
    found = {}

    def read(name):
        found[name] = [numbers(loader) for _ in range(5)]

    threads = [threading.Thread(target=read, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found == {name: [SQUARES] * 5 for name in "ab"}


class Draws(Dataset):
    def __len__(self):
        return 8

    def __getitem__(self, i):
        number = nd.random.uniform(shape=(1,)).asscalar()
        return np.array([i, np.random.rand(), random.random(), number])  # noqa: NPY002


def test_what_workers_draw_follows_from_the_seeds():
    def epochs(num_workers):
        np.random.seed(3)  # noqa: NPY002
        random.seed(4)
        mx.random.seed(5)
        monkey = dataloader._epochs
        dataloader._epochs = itertools.count()
        loader = DataLoader(Draws(), 2, num_workers=num_workers)
        found = [np.concatenate([batch.asnumpy() for batch in loader]) for _ in range(2)]
        dataloader._epochs = monkey
        return np.stack(found)

    one, three = epochs(1), epochs(3)
    np.testing.assert_array_equal(one, three)
    assert len(np.unique(one[:, :, 1:])) == one[:, :, 1:].size, "a number was drawn twice"


class Counting(Dataset):
    """Counts, in memory that is shared at first, how many items this process has read."""

    def __init__(self, lock=None):
        self.lock = lock
        self.counts = nd.zeros((3000,)), np.zeros(3000)

    def __len__(self):
        return 12

    def __getitem__(self, i):
        for count in self.counts:
            count += 1
        return os.getpid(), i, *(int(count[-1]) for count in self.counts)


@pytest.mark.parametrize(("method", "workers"), [("spawn", 2), ("forkserver", 1)])
def test_start_methods(method, workers):
    # A lock is given to a process, and not pickled for anything else.
    lock = multiprocessing.get_context(method).Lock() if workers == 1 else None
    multiprocessing.set_start_method(method, force=True)
    try:
        loader = DataLoader(Counting(lock), 1, num_workers=workers)
        batches = np.array([[part.asscalar() for part in batch] for batch in loader])
        with pytest.raises((AttributeError, pickle.PicklingError)):
            DataLoader(ArrayDataset(X), 4, num_workers=1, batchify_fn=lambda items: items)
    finally:
        multiprocessing.set_start_method(None, force=True)
    assert batches[:, 1].tolist() == list(range(12))
    for pid in set(batches[:, 0]):
        own = batches[batches[:, 0] == pid, 2:]
        assert own.tolist() == [[n, n] for n in range(1, len(own) + 1)]


# ---- what goes wrong


class Unreadable(Exception):
    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")


def fails(error):
    raise error


def sleeps(seconds):
    time.sleep(seconds)


def crashes():
    import ctypes

    ctypes.string_at(0)


FAILURES = {
    "ValueError": (functools.partial(fails, ValueError("five")), ValueError, "five"),
    "cannot be pickled": (
        functools.partial(fails, Unreadable(1, 2)),
        RuntimeError,
        "Unreadable: 1 and 2",
    ),
    "exit": (
        functools.partial(sys.exit, 3),
        mx.MXNetError,
        "exit status 3 while it made the batch",
    ),
    "killed": (
        lambda: os.kill(os.getpid(), signal.SIGKILL),
        mx.MXNetError,
        r"signal 9 \(SIGKILL\), as the system does when memory",
    ),
    "crash": (crashes, mx.MXNetError, r"(?s)SIGSEGV.*in crashes"),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_failures(failure):
    action, error, message = FAILURES[failure]
    loader = DataLoader(Squares(action), 4, num_workers=2)
    for _ in range(2):  # the second epoch is as the first
        batches = iter(loader)
        assert next(batches).asnumpy().tolist() == SQUARES[0]
        with pytest.raises(error, match=message) as caught:
            list(batches)
        if error is not mx.MXNetError:
            assert "in __getitem__" in str(caught.value.__cause__)
        assert list(batches) == []
    loader._dataset.at_five = None
    assert numbers(DataLoader(loader._dataset, 4, num_workers=1)) == SQUARES


@pytest.mark.parametrize(
    "workers", [{}, {"num_workers": 2}, {"num_workers": 2, "thread_pool": True}]
)
def test_stop_iteration_of_a_data_set_is_not_the_end_of_the_epoch(workers):
    loader = DataLoader(Squares(functools.partial(next, iter(()))), 4, **workers)
    for _ in range(2):
        batches = iter(loader)
        assert next(batches).asnumpy().tolist() == SQUARES[0]
        with pytest.raises(RuntimeError, match="raised StopIteration"):
            next(batches)


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt("five")])
def test_what_ends_a_thread_is_reported(error):
    loader = DataLoader(
        Squares(functools.partial(fails, error)), 4, num_workers=2, thread_pool=True, timeout=5
    )
    for _ in range(3):  # no thread is lost
        with pytest.raises(mx.MXNetError, match="ended its thread by ") as caught:
            list(loader)
        assert caught.value.__cause__ is error


def test_a_batch_that_cannot_be_pickled():
    loader = DataLoader(Squares(), 4, num_workers=1, batchify_fn=lambda items: lambda: items)
    with pytest.raises((AttributeError, pickle.PicklingError, TypeError), match="pickle"):
        list(loader)


def test_timeout_says_where_the_worker_is():
    loader = DataLoader(Squares(functools.partial(sleeps, 60)), 4, num_workers=1, timeout=1.5)
    workers = pids(loader)
    with pytest.raises(multiprocessing.TimeoutError, match=r"(?s)within 1.5 seconds.*in sleeps"):
        list(loader)
    assert all(map(ended, workers))
    threads = DataLoader(
        Squares(functools.partial(sleeps, 1)), 4, num_workers=1, timeout=0.1, thread_pool=True
    )
    with pytest.raises(multiprocessing.TimeoutError, match=r"within 0.1 seconds"):
        list(threads)


def test_a_worker_that_ends_between_epochs_is_replaced():
    loader = DataLoader(Squares(), 4, num_workers=2)
    assert numbers(loader) == SQUARES
    os.kill(pids(loader)[0], signal.SIGKILL)
    assert ended(pids(loader)[0])
    with pytest.warns(RuntimeWarning, match="SIGKILL.*start again"):
        assert numbers(loader) == SQUARES


def test_ctrl_c_while_waiting():
    def interrupt(*_):
        raise KeyboardInterrupt

    loader = DataLoader(Squares(functools.partial(sleeps, 30)), 4, num_workers=1)
    workers = pids(loader)
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(KeyboardInterrupt):
            list(loader)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert all(map(ended, workers))
    assert next(iter(loader)).asnumpy().tolist() == SQUARES[0]


# ---- what is left


def descriptors():
    return len(os.listdir("/proc/self/fd"))


def test_a_thousand_epochs_half_of_them_left_half_way():
    loader = DataLoader(ArrayDataset(X[:6], Y[:6]), 2, num_workers=1)
    workers, opened = pids(loader), None
    for epoch in range(1000):
        *_, batch = itertools.islice(loader, 1 if epoch % 2 else None)
        assert batch[1].asnumpy().tolist() == ([0, 1] if epoch % 2 else [4, 5])
        if epoch == 20:
            opened = descriptors()
    assert descriptors() <= opened + 4  # of segments, as many as batches can be on their way
    assert_same(batch[0], X[:2])
    assert pids(loader) == workers
    del loader
    assert all(map(ended, workers))


def test_batches_of_hundreds_of_megabytes():
    loader = DataLoader(
        SimpleDataset([0, 1]).transform(lambda i: nd.full((25_000_000,), i)), 2, num_workers=1
    )
    for _ in range(2):
        for batch in loader:
            assert batch.shape == (2, 25_000_000)
            assert batch[:, ::1_000_000].sum().asscalar() == 25


def in_process(work):
    """Runs work() in a process that multiprocessing forks; its exit code."""
    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    process.join(60)
    code = process.exitcode
    process.kill()
    return code


def test_in_another_process():
    loader = DataLoader(Squares(), 4, num_workers=2)
    half = iter(loader)
    next(half)
    reader, writer = os.pipe()

    def work():
        assert numbers(loader) == SQUARES  # workers of its own
        own = DataLoader(Squares(), 4, num_workers=1)
        assert numbers(own) == SQUARES
        os.write(writer, pickle.dumps(pids(loader) + pids(own)))
        with pytest.raises(mx.MXNetError, match="belongs to the process"):
            list(half)

    assert in_process(work) == 0
    workers = pickle.loads(os.read(reader, 1000))
    os.close(reader)
    os.close(writer)
    assert len(workers) == 3
    assert not set(workers) & set(pids(loader))
    assert all(map(ended, workers))
    assert [batch.asnumpy().tolist() for batch in half] == SQUARES[1:]


def test_a_fork_keeps_the_batches_that_it_has():
    order = [[0, 1], [0, 1]]
    loader = DataLoader(ArrayDataset(X), batch_sampler=order, num_workers=1)
    kept = list(loader)
    order[:] = [[2, 3]] * 5
    reader, writer = os.pipe()

    def work():
        kept.pop()
        gc.collect()
        os.read(reader, 1)
        assert_same(kept[0], X[:2])

    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    time.sleep(0.1)
    other = kept.pop()
    kept.clear()
    assert len(list(loader)) == 5
    assert_same(other, X[:2])
    os.write(writer, b"x")
    process.join(60)
    assert process.exitcode == 0
    os.close(reader)
    os.close(writer)


PROGRAM = """
import os, signal, sys, time
import numpy as np
from mxtape.gluon.data import ArrayDataset, DataLoader

class Slow(ArrayDataset):
    def __getitem__(self, i):
        time.sleep(0 if i < 4 else WAIT)
        return super().__getitem__(i)

# A shell ignores it for programs in the background, and they inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
loader = DataLoader(Slow(np.zeros((40, 2000))), 2, num_workers=2)
batches = iter(loader)
kept = [next(batches), next(batches)]
print(*[worker.process.pid for worker in loader._worker_pool._workers], flush=True)
ACTION
"""
ENDS = {
    "at its end": (0, ""),
    "while workers are busy": (30, ""),
    "by an exception": (0, "raise ValueError('left half way')"),
    "by os._exit": (0, "os._exit(0)"),
    "by SIGKILL": (0, "os.kill(os.getpid(), signal.SIGKILL)"),
    "by Ctrl-C": (30, "os.killpg(0, signal.SIGINT); next(batches)"),
}


def test_however_a_program_ends_its_workers_do():
    names = set(os.listdir("/dev/shm"))
    programs = {}
    for name, (wait, action) in ENDS.items():
        source = PROGRAM.replace("WAIT", str(wait)).replace("ACTION", action)
        programs[name] = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(source)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
    for name, program in programs.items():
        out, err = program.communicate(timeout=60)  # also when the workers close their ends
        workers = [int(word) for word in out.split()]
        assert len(workers) == 2, (name, err)
        assert all(map(ended, workers)), name
        if name == "by Ctrl-C":
            assert "KeyboardInterrupt" in err
        elif "by" not in name:
            assert (program.returncode, err) == (0, ""), name
    assert not [name for name in set(os.listdir("/dev/shm")) - names if "mxtape" in name]


# ---- what programs build on


class Pushing(dataloader._MultiWorkerIter):
    """Pushes by itself, to a pool that the program has made."""

    def _push_next(self):
        samples = next(self._iter, None)
        if samples is None:
            return
        self._data_buffer[self._sent_idx] = self._worker_pool.apply_async(
            self._worker_fn, (samples, self._batchify_fn)
        )
        self._sent_idx += 1


def doubled(samples, batchify_fn, dataset=None):
    dataset = dataloader._worker_dataset if dataset is None else dataset
    return pickle.dumps(batchify_fn([2 * dataset[i] for i in samples]))


@pytest.mark.parametrize("worker_fn", [dataloader._worker_fn, doubled])
def test_an_iterator_of_the_programs_own(worker_fn):
    loader = DataLoader(Squares(), 4)
    with multiprocessing.get_context("fork").Pool(
        1, dataloader._worker_initializer, (Squares(), False, False)
    ) as pool:
        batches = Pushing(
            pool, loader._batchify_fn, loader._batch_sampler, worker_fn=worker_fn, prefetch=1
        )
        assert len(batches) == 3
        factor = 2 if worker_fn is doubled else 1
        assert numbers(batches) == [[factor * i for i in batch] for batch in SQUARES]


def test_a_pool_that_another_thread_ends():
    loader = DataLoader(Squares(functools.partial(sleeps, 60)), 4, num_workers=1)
    batches = iter(loader)
    next(batches)
    timer = threading.Timer(0.2, loader._worker_pool.terminate)
    timer.start()
    with pytest.raises(mx.MXNetError, match=r"terminate\(\) was called"):
        next(batches)
    timer.join()
    assert next(iter(loader)).asnumpy().tolist() == SQUARES[0]


def test_the_pool_of_a_loader():
    loader = DataLoader(Squares(), 4, num_workers=2)
    pool = loader._worker_pool
    result = pool.apply_async(os.getpid)
    result.wait(10)
    assert result.ready()
    assert result.successful()
    assert result.get(10) in pids(loader)
    assert pool.apply(divmod, (7, 3)) == (2, 1)
    with pytest.raises(ZeroDivisionError):
        pool.apply(divmod, (7, 0))
    slow = pool.apply_async(time.sleep, (1,))
    slow.wait(0.01)
    with pytest.raises(multiprocessing.TimeoutError):
        slow.get(0.01)
    assert slow.get(10) is None
    workers = pids(loader)
    pool.terminate()
    assert all(map(ended, workers))
    assert numbers(loader) == SQUARES, "it starts again"
    pool.close()
    pool.join()
    with pytest.raises(ValueError, match="closed"):
        pool.apply_async(os.getpid)
