"""What ``test_dist_shared.py`` runs in several processes, with how and a file for what they find.

`how` is 'one machine', 'two machines', which the processes take their machine for, or 'none', where
one of them wants no shared memory.
"""

import contextlib
import gc
import hashlib
import json
import os
import sys
import time
from pathlib import Path

import numpy as np

import mxtape as mx
from mxtape import nd
from mxtape.kvstore import buckets, shared

DTYPES = ("float32", "float64", "float16", "bfloat16", "int8", "uint8", "int32", "int64")
SIZES = (1, 63, 64, 65, 1000, 4097, 100_003, (1 << 18) + 130)
LARGE = 50_000  # elements: a bucket of its own


def world():
    from mpi4py import MPI  # which starts MPI: not in the test that imports this file

    return MPI.COMM_WORLD


def values(dtype, size, rank):
    """Of magnitudes for which the order of adding shows; whole numbers whose sums fit."""
    rng = np.random.RandomState(100 * rank + size % 97)
    if np.dtype(dtype).kind in "iu":
        info = np.iinfo(dtype)
        return rng.randint(info.min // 4, info.max // 4, size, dtype)
    return (rng.normal(size=size) * 10.0 ** rng.randint(-3, 4, size)).astype(dtype)


def pushed(store, key, array):
    store.push(key, array)
    out = nd.zeros(array.shape, dtype=array.dtype)
    store.pull(key, out=out)
    return out


def digest(array):
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:16]


def sums(store):
    found = {}
    for dtype in DTYPES:
        for size in SIZES:
            given = values("float32" if dtype == "bfloat16" else dtype, size, store.rank)
            key = f"{dtype} {size}"
            store.init(key, nd.zeros((size,), dtype=dtype))
            out = pushed(store, key, nd.array(given, dtype=dtype))
            out = out.astype("float32") if dtype == "bfloat16" else out
            found[key] = digest(out.asnumpy())
    return found


def many_under_way(store):
    """Sums of several sizes that are begun before the first of them is waited for."""
    keys = [f"many {i}" for i in range(12)]
    sizes = [SIZES[i % len(SIZES)] for i in range(12)]
    store.init(keys, [nd.zeros(size) for size in sizes])
    for _ in range(3):
        for i, (key, size) in enumerate(zip(keys, sizes)):
            store.push(key, nd.array(values("float32", size + i, store.rank)[:size]))
    outs = [nd.zeros(size) for size in sizes]
    # Each process asks for them in an order of its own.
    for i in np.random.RandomState(store.rank).permutation(12):
        store.pull(keys[i], out=outs[i])
    return [digest(out.asnumpy()) for out in outs]


def lent(store):
    """Arrays that are not copied whole, beside others that are, in buckets of several stripes."""
    sizes = [SIZES[i % len(SIZES)] for i in range(16)]
    keys = [f"lent {i}" for i in range(16)]
    store.init(keys, [nd.zeros(size) for size in sizes])
    found = []
    for _ in range(2):  # the second time in memory that has sums of the first
        given = [nd.array(values("float32", n + i, store.rank)[:n]) for i, n in enumerate(sizes)]
        before = [array.asnumpy() for array in given]
        for i in range(0, 16, 4):
            store.push(keys[i], given[i])
            store._lend(keys[i + 1 : i + 4], given[i + 1 : i + 4])
        outs = [nd.zeros(size) for size in sizes]
        store.pull(keys, out=outs)
        assert all((a == b.asnumpy()).all() for a, b in zip(before, given))
        found.append([digest(out.asnumpy()) for out in outs])
    return found


def late_reader(store):
    """Process 0 fills its next bucket before the others have read the sum that lies in the last."""
    machine = store._world._machine
    store.init("late", nd.zeros(LARGE))
    store.push("late", nd.ones(LARGE) * (store.rank + 1))
    if store.rank == 0:
        first = pull_ends(store, "late")
        store.push("late", nd.ones(LARGE) * 7)
    while store.rank and machine and machine._under_way:
        store._world.progress()
    world().Barrier()
    if store.rank:
        first = pull_ends(store, "late")
        store.push("late", nd.ones(LARGE) * 7)
    return [first, pull_ends(store, "late")]


def crossed(store):
    """Process 0 waits for a sum, the others for a call after it; both need each other."""
    store.init("crossed", nd.zeros(LARGE))
    store.push("crossed", nd.ones(LARGE))
    found = [pull_ends(store, "crossed")] if store.rank == 0 else []
    store._world.agree("a call that does not wait for sums")
    return found or [pull_ends(store, "crossed")]


def pull_ends(store, key):
    out = nd.zeros(LARGE)
    store.pull(key, out=out)
    out = out.asnumpy()
    return [float(out[0]), float(out[-1]), float(np.ptp(out))]


class Careless(mx.optimizer.Optimizer):
    """Writes to the gradient."""

    def update(self, index, weight, grad, state):
        grad *= -self.lr
        weight += grad


def careless(store):
    store.init("careless", nd.zeros(LARGE))
    store.set_optimizer(Careless(learning_rate=0.5))
    for _ in range(5):
        store.push("careless", nd.ones(LARGE))
    return pull_ends(store, "careless")


def descriptors():
    """The files of buckets that are open: one of each process of the machine."""
    found = []
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # that of the folder itself
            found += [link] if "mxtape-buckets" in os.readlink(link) else []
    return found


def allocated():
    """Bytes of the machine's memory that buckets take, of all its processes."""
    return sum(512 * os.stat(link).st_blocks for link in descriptors())


def settled():
    """Lets go of what is not needed, on all processes."""
    gc.collect()
    store = mx.kv.create("dist_sync")
    store._barrier()
    store._barrier()  # what others read before the first has been freed
    world().Barrier()


def survives_a_fork(store):
    """A process that is forked, as of a DataLoader, frees nothing when it lets go."""
    bucket = store._world.memory(LARGE, np.dtype("float32"))
    bucket.numpy[:] = 1
    child = os.fork()
    if child == 0:
        del bucket
        gc.collect()
        os._exit(0)
    os.waitpid(child, 0)
    return bool(bucket.numpy.all())


def memory():
    """What buckets take while a store trains, and when it is gone."""
    settled()
    before, most = allocated(), 0
    world().Barrier()
    store = mx.kv.create("dist_sync")
    keys = list(range(6))
    store.init(keys, [nd.zeros(LARGE) for _ in keys])
    for step in range(12):
        if step % 3 == store.rank:
            time.sleep(0.02)  # the processes take turns in being late
        for key in keys:
            store.push(key, nd.ones(LARGE))
        outs = [nd.zeros(LARGE) for _ in keys]
        store.pull(keys, out=outs)
        most = max(most, allocated() - before)
    right = all((out == store.num_workers).asnumpy().all() for out in outs)
    del store
    settled()
    found = {"right": right, "most": most, "after": allocated() - before}
    world().Barrier()  # no process goes on before all have looked
    return found


def main(how, path):
    rank = world().Get_rank()
    if how == "two machines":
        size = world().Get_size()
        shared.processes_of_machine = lambda mpi, comm: comm.Split(rank * 2 // size)
    if how == "none" and rank == 1:
        os.environ["MXTAPE_MPI_SHARED"] = "0"
    store = mx.kv.create("dist_sync")
    shared.SMALL = 0
    buckets.BYTES = 1 << 16
    found = {
        "is shared": store._world._machine is not None,
        "sums": sums(store),
        "under way": many_under_way(store),
        "lent": lent(store),
        "late": late_reader(store),
        "crossed": crossed(store),
        "careless": careless(mx.kv.create("dist_sync")),
        "fork": survives_a_fork(store),
        "memory": memory(),
        "descriptors": len(descriptors()),
    }
    with open(f"{path}.{rank}", "w") as f:
        json.dump(found, f)


if __name__ == "__main__":
    main(*sys.argv[1:])
