"""What ``test_dist_shared.py`` runs in several processes, with how and a file for what they find.

`how` is 'one machine', 'two machines', which the processes take their machine for, or 'none', where
one of them wants no shared memory.
"""

import contextlib
import functools
import gc
import hashlib
import json
import os
import pickle
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


def machines(how, size):
    """The machine of each rank."""
    return [rank * 2 // size if how == "two machines" else 0 for rank in range(size)]


def in_order(how, arrays):
    """The sum in the order of ranks; of two machines, the sum of the sums of each."""
    parts: dict = {}
    for machine, array in zip(machines(how, len(arrays)), arrays):
        parts[machine] = parts[machine] + array if machine in parts else array
    return functools.reduce(np.add, parts.values())


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


class Longer(mx.optimizer.SGD):
    """What it does depends on the whole gradient."""

    def update(self, index, weight, grad, state):
        weight -= self.lr * grad / grad.norm()


OPTIMIZERS = {
    "sgd": {"momentum": 0.9, "wd": 0.01},
    "nag": {"momentum": 0.9, "clip_gradient": 0.5},
    "signum": {},
    "dcasgd": {"momentum": 0.5},
    "adam": {"lr_scheduler": mx.lr_scheduler.FactorScheduler(2, 0.5, base_lr=0.01)},
    "adagrad": {},
    "rmsprop": {"centered": True},
    "adadelta": {},
    "ftrl": {},
    "adamax": {},
    "ftml": {},
    "ccsgd": {},
    "test": {},
    "nadam": {},
    "lamb": {},
    "longer": {},
    "mixed": {},
    "patched": {},
}
UPDATED = (10, 65, 20_001, 1, 9_000, 4097)  # elements


def updates(store, how, name, dtype):
    """What a store's optimizer makes of values, and whether one process alone makes the same.

    In the third step gradients are not lent. Before the fourth, states are read from a file that
    process 0 alone has written. The fifth leaves keys out, so that their counts differ.
    """

    def optimizer():
        own = {"longer": Longer, "mixed": Mixed, "patched": Patched}
        if name in own:
            return own[name]()
        return mx.optimizer.create(name, multi_precision=dtype == "float16", **OPTIMIZERS[name])

    def arrays(step, rank):
        given = [values("float32", n, 7 * step + rank)[:n] / 10 for n in UPDATED]
        return [nd.array(array, dtype=dtype) for array in given]

    keys = list(range(len(UPDATED)))
    store.init(keys, arrays(99, 0))
    store.set_optimizer(optimizer())
    alone, weights, outs = mx.optimizer.get_updater(optimizer()), arrays(99, 0), arrays(99, 1)
    shares, saved = [], f"{sys.argv[2]}.states"
    for step in range(6):
        used = keys[::2] if step == 4 else keys
        everyone = [arrays(step, rank) for rank in range(store.num_workers)]
        push = store.push if step == 2 else store._lend
        push(used, [everyone[store.rank][key] for key in used])
        store.pull(used, out=[outs[key] for key in used])
        kind = "float32" if dtype == "float16" else dtype
        totals = [
            nd.array(
                in_order(how, [one[key].astype(kind).asnumpy() for one in everyone]), dtype=kind
            )
            for key in used
        ]
        alone(used, [total.astype(dtype) for total in totals], [weights[key] for key in used])
        shares.append(len(store._states._placed) if store._states else 0)
        if step == 3:
            if store.rank == 0:
                store.save_optimizer_states(saved, dump_optimizer=True)
            world().Barrier()
            store.load_optimizer_states(saved)
            store._updater.optimizer.wd = alone.optimizer.wd = 0.02  # that of the file, not the old
    same = [a.asnumpy().tobytes() == b.asnumpy().tobytes() for a, b in zip(outs, weights)]
    states = [[pickle.dumps(one.states[key]) for key in keys] for one in (store._updater, alone)]
    world().Barrier()
    return {
        "same": same,
        "states": states[0] == states[1],
        "shares": shares,
        "bits": digest(outs[2].asnumpy()),
    }


class Half:
    """A base that has another update than the optimizer beside it."""

    def update(self, index, weight, grad, state):
        super().update(index, weight, grad / (1 + grad.abs().sum()), state)


class Mixed(Half, mx.optimizer.Adam):
    """It has no update in its own body."""


class Patched(mx.optimizer.SGD):
    """It gets another update once it is there."""


def by_length(self, index, weight, grad, state):
    for w, g in zip(weight, grad) if isinstance(index, (list, tuple)) else [(weight, grad)]:
        w -= self.lr * g / g.norm()


Patched.update_multi_precision = by_length


def sgd_store(sizes, **options):
    """A store with an optimizer, and ones of those sizes."""
    store = mx.kv.create("dist_sync")
    store.init(list(range(len(sizes))), [nd.ones(n) for n in sizes])
    store.set_optimizer(mx.optimizer.SGD(momentum=0.5, **options))
    return store


def both_ways(how):
    """Keys that are pushed several times before they are pulled, lent or not."""
    store = sgd_store(UPDATED)
    alone = mx.optimizer.get_updater(mx.optimizer.SGD(momentum=0.5))
    keys = list(range(len(UPDATED)))
    weights, outs = ([nd.ones(n) for n in UPDATED] for _ in range(2))
    for step, lent in enumerate((False, True, True, False, True, False, False, True)):
        everyone = [
            [nd.array(values("float32", n, 5 * step + rank)[:n]) for n in UPDATED]
            for rank in range(store.num_workers)
        ]
        (store._lend if lent else store.push)(keys, everyone[store.rank])
        totals = [in_order(how, [one[key].asnumpy() for one in everyone]) for key in keys]
        alone(keys, [nd.array(total) for total in totals], weights)
    store.pull(keys, out=outs)
    return [a.asnumpy().tobytes() == b.asnumpy().tobytes() for a, b in zip(outs, weights)]


def left_behind():
    """What two stores have under way, one of which goes: the other is not held up by it."""
    first, second = sgd_store([LARGE]), sgd_store([LARGE])
    for store in (first, second, first):
        store._lend(0, nd.ones(LARGE))
    found = [pull_ends(second, 0)]
    first._lend(0, nd.ones(LARGE))
    del first, store
    gc.collect()
    second._lend(0, nd.ones(LARGE))
    return [*found, pull_ends(second, 0), len(second._world.queue)]


class Counting(mx.lr_scheduler.LRScheduler):
    def __call__(self, num_update):
        return 1 / num_update


def counts_differ(store):
    """The rates of two keys, one of which was left out; on process 0 the sum of one comes late."""
    sizes, world = [100, LARGE], store._world
    mine = sgd_store(sizes, lr_scheduler=Counting())
    shared.SMALL, wait = 1000, world.wait  # MPI adds up what is smaller

    def late_wait(started):
        machine = world.machine
        while machine and any(total.may_update for total in machine._under_way):
            machine.advance()
        wait(started)

    if world.rank == 0:
        world.wait = late_wait
    for keys in ([0, 1], [1], [0, 1]):
        for key in keys:  # buckets of their own
            mine._lend(key, nd.ones(sizes[key], dtype="float32"))
            for kind in list(mine._filling):
                mine._start(kind)
        outs = [nd.zeros(sizes[key]) for key in keys]
        mine.pull(keys, out=outs)
    world.wait, shared.SMALL = wait, 0
    return [digest(out.asnumpy()) for out in outs]


class Ending(mx.lr_scheduler.LRScheduler):
    """Raises once."""

    def __call__(self, num_update):
        if num_update == 2 and not self.base_lr:
            self.base_lr = 1.0
            raise LookupError("no rate")
        return 0.5


def error_in_an_update():
    """All processes have it; the next step is one as before."""
    store, found = sgd_store([LARGE], lr_scheduler=Ending(base_lr=0)), []
    for _ in range(3):
        store._lend(0, nd.ones(LARGE))
        try:
            found.append(pull_ends(store, 0))
        except LookupError as error:
            found.append(str(error))
    return found


def failing_updater():
    """It fails for one key. What was lent of the others is read before that shows."""
    store, found = mx.kv.create("dist_sync"), []
    store.init([0, 1, 2], [nd.zeros(LARGE) for _ in range(3)])

    def update(key, total, value):
        if key == 0:
            raise LookupError("no update")
        value += total

    def message(call):
        try:
            call()
        except LookupError as error:
            found.append(str(error))

    store._set_updater(update)
    grads = [nd.ones(LARGE) for _ in range(3)]
    store._lend([0, 1, 2], grads)
    message(lambda: store.pull([0, 1, 2], out=[nd.zeros(LARGE) for _ in range(3)]))
    for grad in grads:
        grad[:] = 99
    found.append(pull_ends(store, 2))
    store.push(0, grads[0])
    message(lambda: store.init(3, nd.ones(LARGE) * store.rank))
    store.init(3, nd.ones(LARGE) * (store.rank + 1))
    return [*found, pull_ends(store, 3)]


def no_elements():
    """Parameters without elements, beside one that has some."""
    shapes = [(0,), (3, 0), (LARGE,)]
    store = mx.kv.create("dist_sync")
    outs = [nd.ones(shape) for shape in shapes]
    store.init([0, 1, 2], outs)
    store.set_optimizer(mx.optimizer.Adam())
    for keys in ([0, 1], [0, 1, 2], [1, 0]):
        store._lend(keys, [nd.ones(shapes[key]) for key in keys])
        store.pull(keys, out=[outs[key] for key in keys])
    return [list(out.shape) for out in outs]


def not_asked_for():
    """Sums during backward that no step asks for: how many are kept at most."""
    store = mx.kv.create("dist_sync")
    store.sum_during_backward = True
    net = mx.gluon.nn.Dense(10, in_units=1000)
    net.initialize()
    trainer = mx.gluon.Trainer(net.collect_params(), "sgd", kvstore=store)
    trainer._prepare()
    most = 0
    for _ in range(30):
        with mx.autograd.record():
            loss = net(nd.ones((2, 1000)))
        loss.backward()
        store._world._comm.Barrier()
        store._world.progress()
        most = max(most, len(store._ahead._started))
    trainer.step(1)
    return most


def late_reader(store):
    """Process 0 fills its next bucket before the others have read the sum that lies in the last."""
    machine = store._world.machine
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


def memory(updates):
    """What buckets, and states if it `updates`, take while a store trains, and when it is gone."""
    settled()
    before, most = allocated(), 0
    world().Barrier()
    store = mx.kv.create("dist_sync")
    keys = list(range(6))
    store.init(keys, [nd.zeros(LARGE) for _ in keys])
    if updates:
        store.set_optimizer(mx.optimizer.SGD(learning_rate=1.0, momentum=0.5))
    for step in range(12):
        if step % 3 == store.rank:
            time.sleep(0.02)  # the processes take turns in being late
        grads, outs = ([nd.ones(LARGE) for _ in keys] for _ in range(2))
        (store._lend if updates else store.push)(keys, grads)
        store.pull(keys, out=outs)
        most = max(most, allocated() - before)
    expected = store.num_workers * (-22 - 0.5**11 if updates else 1)
    right = all((abs(out - expected) <= 1e-6 * abs(expected)).asnumpy().all() for out in outs)
    del store
    settled()
    found = {"right": right, "most": most, "after": allocated() - before}
    world().Barrier()  # no process goes on before all have looked
    return found


def main(how, path):
    rank = world().Get_rank()
    if how == "two machines":
        mine = machines(how, world().Get_size())[rank]
        shared.processes_of_machine = lambda mpi, comm: comm.Split(mine)
    if how == "none" and rank == 1:
        os.environ["MXTAPE_MPI_SHARED"] = "0"
    store = mx.kv.create("dist_sync")
    shared.SMALL = 0
    buckets.BYTES = 1 << 16
    found = {
        "is shared": store._world.machine is not None,
        "sums": sums(store),
        "under way": many_under_way(store),
        "lent": lent(store),
        "updates": {
            f"{name} {dtype}": updates(mx.kv.create("dist_sync"), how, name, dtype)
            for name in OPTIMIZERS
            for dtype in ("float32", "float64", "float16")
            if dtype == "float32" or name in ("sgd", "adam")
        },
        "late": late_reader(store),
        "crossed": crossed(store),
        "careless": careless(mx.kv.create("dist_sync")),
        "both ways": both_ways(how),
        "left behind": left_behind(),
        "counts": counts_differ(store),
        "error": error_in_an_update(),
        "failing updater": failing_updater(),
        "no elements": no_elements(),
        "not asked for": not_asked_for(),
        "fork": survives_a_fork(store),
        "memory": [memory(updates=False), memory(updates=True)],
        "descriptors": len(descriptors()),
    }
    with open(f"{path}.{rank}", "w") as f:
        json.dump(found, f)


if __name__ == "__main__":
    main(*sys.argv[1:])
