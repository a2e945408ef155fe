"""What ``test_dist.py`` runs in several processes, with a case and a file for what they find."""

import contextlib
import json
import os
import signal
import sys
import time

import numpy as np

import mxtape as mx
from mxtape import nd


def pulled(store, key, shape=(2,), dtype="float32"):
    out = nd.zeros(shape, dtype=dtype)
    store.pull(key, out=out)
    return out.asnumpy()


def message(call):
    try:
        call()
    except mx.MXNetError as error:
        return str(error)
    return None


def values(store):
    """Sums of all kinds; what each key has is a function of the number of processes alone."""
    rank, found = store.rank, {}
    store.init(["first", "second"], [nd.ones(2) * (rank + 5), nd.ones((2, 3))])
    found["init is of rank 0"] = pulled(store, "first").tolist()
    store.push("first", [nd.ones(2) * rank, nd.ones(2, ctx=mx.cpu(1))])
    found["two contexts"] = pulled(store, "first").tolist()
    for dtype in ("float16", "bfloat16", "float64", "int32", "uint8"):
        store.init(dtype, nd.zeros((3,), dtype=dtype))
        store.push(dtype, nd.array([1, 2, rank], dtype=dtype))
        out = nd.zeros((3,), dtype=dtype)
        store.pull(dtype, out=out)
        found[dtype] = [np.dtype(out.dtype).name, out.astype("float32").asnumpy().tolist()]
    grads = [nd.array([rank, 1.0]), nd.ones((2, 3)) * rank]
    store.pushpull(["first", "second"], grads)
    found["pushpull"] = [g.asnumpy().tolist() for g in grads]
    store.broadcast("late", nd.ones(1) * rank, out=grads[0][:1])
    found["broadcast"] = grads[0].asnumpy().tolist()
    store._barrier()
    return found


def many(store, monkeypatched_bytes):
    """Arrays of many sizes, pushed twice before they are pulled: in buckets of several kinds."""
    from mxtape.kvstore import buckets

    buckets.BYTES = monkeypatched_bytes
    rng = np.random.RandomState(store.rank)
    shapes = [(n,) for n in (1, 0, 3, 700, 1, 64, 1024, 5000)] * 2
    keys = list(range(len(shapes)))
    dtypes = ["float32", "float16", "float64"]
    store.init(keys, [nd.zeros(s, dtype=dtypes[k % 3]) for k, s in zip(keys, shapes)])
    store._set_updater(lambda key, total, value: value.__iadd__(total))
    for _ in range(2):
        for k, s in zip(keys, shapes):
            store.push(k, nd.array(rng.randint(-4, 5, s), dtype=dtypes[k % 3]))
    messages = store._world._calls
    return {
        "arrays": [pulled(store, k, s, dtypes[k % 3]).tolist() for k, s in zip(keys, shapes)],
        "messages": messages,
    }


def sparse(values, stype="row_sparse"):
    return nd.array(values).tostype(stype)


def parts(array):
    return [array.stype, array.indices.asnumpy().tolist(), array.data.asnumpy().tolist()]


def rows(store):
    """Sums of rows: of those that few processes have, and of those that all have."""
    rank, found = store.rank, {}
    whole = np.zeros((9, 2), "float32")
    store.init("few", sparse(whole + 5 * (rank + 1)))
    out = sparse(whole)
    store.pull("few", out=out, ignore_sparse=False)
    found["init is of rank 0"] = parts(out)
    store.init("empty", sparse(whole))
    store.pull("empty", out=out, ignore_sparse=False)
    found["init without rows"] = parts(out)
    store.init("csr", sparse(np.eye(3) if rank == 0 else np.zeros((3, 3)), "csr"))
    of_csr = sparse(np.zeros((3, 3)), "csr")
    store.pull("csr", out=of_csr, ignore_sparse=False)
    found["csr"] = of_csr.asnumpy().tolist()
    store.init(
        ["all", "half", "dense"], [sparse(whole), sparse(whole.astype("float16")), nd.array(whole)]
    )
    few, every = whole.copy(), whole.copy()
    few[rank], few[7], every[[2, 4]] = 1 + rank, 1, rank + 1
    keys = ["few", "all", "half", "dense"]
    pushed = [sparse(few), sparse(every), sparse(few).astype("float16"), sparse(few)]
    store.push(keys, pushed)
    for key, value in zip(keys, pushed):
        out = nd.sparse.zeros("row_sparse", (9, 2), dtype=value.dtype)
        store.row_sparse_pull(key, out=out, row_ids=nd.array([7, 2, 0, 8]))
        found[f"rows of {key}"] = parts(out)
        store.pull(key, out=out, ignore_sparse=False)
        found[key] = parts(out)
    store.push("few", sparse(whole))
    store.pull("few", out=out, ignore_sparse=False)
    found["no rows"] = parts(out)
    same = whole.copy()  # of many processes, MPI adds up what all of them have
    same[[2, 4, 8]] = [[rank], [1], [0.5]]
    store.init(["same", "other"], [sparse(whole), sparse(whole.reshape(9, 2, 1))])
    store.push(["same", "other"], [sparse(same), sparse((same + same).reshape(9, 2, 1))])
    for key in ("same", "other"):
        array = sparse(whole if key == "same" else whole.reshape(9, 2, 1))
        store.pull(key, out=array, ignore_sparse=False)
        found[key] = array.asnumpy().reshape(9, 2)[:, 0].tolist()
    large = (1 << 40, 2)  # more than there is memory for
    store.init("large", nd.sparse.zeros("row_sparse", large))
    pushed = nd.sparse.row_sparse_array((np.ones((2, 2)), [rank, 1 << 39]), shape=large)
    store.push("large", pushed)
    out = nd.sparse.zeros("row_sparse", large)
    store.row_sparse_pull("large", out=out, row_ids=nd.array([1 << 39, 1], dtype="int64"))
    found["large"] = parts(out)
    random = np.random.RandomState(rank)
    store.init("bits", sparse(np.zeros((50, 3))))
    for _ in range(2):
        chosen = np.unique(random.randint(0, 50, 20))
        values = random.normal(size=(len(chosen), 3)).astype("float32")
        store.push("bits", nd.sparse.row_sparse_array((values, chosen), shape=(50, 3)))
    out = sparse(np.zeros((50, 3)))
    store.pull("bits", out=out, ignore_sparse=False)
    found["bits"] = parts(out)
    return found


def two_bits(store, gather_up_to):
    from mxtape.kvstore import buckets

    buckets.GATHER_UP_TO = gather_up_to
    store.set_gradient_compression({"type": "2bit", "threshold": 0.5})
    store.init("g", nd.zeros(7))
    rng, found = np.random.RandomState(store.rank), []
    for _ in range(4):
        store.push("g", nd.array(rng.normal(size=7).astype("float32")))
        found.append(pulled(store, "g", (7,)).tolist())
    return found


def samples():
    rng = np.random.RandomState(3)
    x = rng.normal(size=(64, 8)).astype("float32")
    return x, (x.sum(axis=1) > 0).astype("float32")


def module_weights(kvstore, rank, size, optimizer, steps=10):
    """The weights of a network after ten steps, each over its share of every batch of 16."""
    x, y = samples()
    share = 16 // size
    rows = np.arange(64).reshape(4, size, share)[:, rank].reshape(-1)
    data = mx.io.NDArrayIter(x[rows], y[rows], share)
    net = mx.sym.Variable("data")
    net = mx.sym.FullyConnected(net, num_hidden=9, name="fc1")
    net = mx.sym.Activation(net, act_type="tanh")
    net = mx.sym.FullyConnected(net, num_hidden=2, name="fc2")
    net = mx.sym.SoftmaxOutput(net, name="softmax")
    module = mx.mod.Module(net)
    module.bind(data.provide_data, data.provide_label)
    mx.random.seed(rank)  # the weights are those of rank 0
    module.init_params(mx.init.Normal(0.3))
    module.init_optimizer(kvstore, optimizer, {"learning_rate": 0.1})
    for _ in range(steps):
        try:
            batch = next(data)
        except StopIteration:
            data.reset()
            batch = next(data)
        module.forward_backward(batch)
        module.update()
    return {name: w.asnumpy().tolist() for name, w in sorted(module.get_params()[0].items())}


def gluon_weights(kvstore, rank, size, update_on_kvstore, disturbed=False):
    """The same of a network of Gluon, whose last batches are smaller.

    `disturbed`: gradients are computed twice, and one is written to before the step.
    """
    x, y = samples()
    net = mx.gluon.nn.HybridSequential(prefix="net_")
    net.add(mx.gluon.nn.Dense(9, activation="tanh", in_units=8), mx.gluon.nn.Dense(1, in_units=9))
    mx.random.seed(rank)  # the weights are those of rank 0
    net.initialize(mx.init.Normal(0.3))
    net.hybridize()
    trainer = mx.gluon.Trainer(
        net.collect_params(),
        "adam",
        {"learning_rate": 0.1},
        kvstore=kvstore,
        update_on_kvstore=update_on_kvstore,
    )
    trainer._prepare()  # before there are gradients
    for step in range(10):
        rows = np.arange(64)[8 * (step % 4) :][: 16 if step < 8 else 8][rank::size]
        with mx.autograd.record():
            loss = (net(nd.array(x[rows])).reshape(-1) - nd.array(y[rows])) ** 2
        if disturbed:
            loss.backward(retain_graph=True)
        loss.backward()
        if disturbed:
            net[1].bias.grad()[:] *= 1 + step % 2
        trainer.step(16 if step < 8 else 8)
    params = net.collect_params().values()
    return {str(i): param.data().asnumpy().tolist() for i, param in enumerate(params)}


def sparse_weights(kvstore, rank, size, layer, optimizer, update_on_kvstore=None):
    """The vectors of an embedding after ten steps, of which each uses few."""
    if layer == "SparseEmbedding":
        net = mx.gluon.contrib.nn.SparseEmbedding(20, 3)
    else:
        net = mx.gluon.nn.Embedding(20, 3, sparse_grad=True)
    mx.random.seed(rank)  # the weights are those of rank 0
    net.initialize(mx.init.Normal(0.3))
    trainer = mx.gluon.Trainer(
        net.collect_params(),
        optimizer,
        {"learning_rate": 0.1},
        kvstore=kvstore,
        update_on_kvstore=update_on_kvstore,
    )
    trainer._prepare()  # before there are gradients
    rng = np.random.RandomState(4)
    for _ in range(10):
        ids, target = rng.randint(0, 18, 8), rng.normal(size=(8, 3))
        with mx.autograd.record():
            loss = (net(nd.array(ids[rank::size])) - nd.array(target[rank::size])) ** 2
        loss.backward()
        trainer.step(8)
    return net.weight._reduce().tostype("default").asnumpy().tolist()


def weights_of_both_kinds(kvstore, rank, size):
    """The weights of a network with an embedding, whose gradient is sparse, and a dense layer."""
    net = mx.gluon.nn.HybridSequential()
    net.add(
        mx.gluon.nn.Embedding(20, 3, sparse_grad=True),
        mx.gluon.nn.Dense(2, in_units=3, flatten=False),
    )
    mx.random.seed(rank)  # the weights are those of rank 0
    net.initialize(mx.init.Normal(0.3))
    params = [net[0].weight, net[1].weight, net[1].bias]
    trainer = mx.gluon.Trainer(params, "sgd", {"learning_rate": 0.1}, kvstore=kvstore)
    trainer._prepare()  # before there are gradients
    rng = np.random.RandomState(4)
    for _ in range(10):
        ids = rng.randint(0, 18, 8)
        with mx.autograd.record():
            loss = (net(nd.array(ids[rank::size])) - 1) ** 2
        loss.backward()
        trainer.step(8)
    return [param.data().asnumpy().tolist() for param in params]


def sparse_training(store):
    rank, size = store.rank, store.num_workers
    early = mx.kv.create("dist_sync")
    early.sum_during_backward = True
    return {
        "both": weights_of_both_kinds("dist_sync", rank, size),
        "both during backward": weights_of_both_kinds(early, rank, size),
        "sums during backward": early._ahead.taken,
        "SparseEmbedding sgd": sparse_weights("dist_sync", rank, size, "SparseEmbedding", "sgd"),
        "SparseEmbedding adam": sparse_weights("dist_sync", rank, size, "SparseEmbedding", "adam"),
        "Embedding sgd": sparse_weights("dist_sync", rank, size, "Embedding", "sgd"),
        "Embedding adam": sparse_weights("dist_sync", rank, size, "Embedding", "adam"),
        "Embedding on the store": sparse_weights(
            "dist_sync", rank, size, "Embedding", "adam", True
        ),
    }


def training(store):
    found = {
        "gluon": gluon_weights("dist_sync", store.rank, store.num_workers, None),
        "gluon off the store": gluon_weights(
            "dist_device_sync", store.rank, store.num_workers, False
        ),
    }
    for name, update_on_kvstore in (("on", True), ("off", False)):
        for disturbed in (False, True):
            early = mx.kv.create("dist_sync")
            early.sum_during_backward = True
            key = f"gluon during backward {name}{' disturbed' * disturbed}"
            found[key] = gluon_weights(
                early, store.rank, store.num_workers, update_on_kvstore, disturbed
            )
            found[key]["taken"] = early._ahead.taken
    for name in ("sgd", "adam"):
        fresh = mx.kv.create("dist_sync")
        found[name] = module_weights(fresh, store.rank, store.num_workers, name)
    os.environ["MXNET_UPDATE_ON_KVSTORE"] = "0"
    fresh = mx.kv.create("dist_device_sync")
    found["off the store"] = module_weights(fresh, store.rank, store.num_workers, "sgd")
    return found


class Plateau(mx.lr_scheduler.LRScheduler):
    """What the program lowers when it sees fit."""

    def __call__(self, num_update):
        return self.base_lr


def schedules_differ():
    store, schedule = mx.kv.create("dist_sync"), Plateau(base_lr=0.5)
    store.init("w", nd.ones(2))
    store.set_optimizer(mx.optimizer.SGD(lr_scheduler=schedule))
    store.push("w", nd.ones(2))
    pulled(store, "w")
    schedule.base_lr /= 1 + store.rank
    return message(lambda: store.set_optimizer(store._updater.optimizer))


def errors(store):
    store.init(["e", "e2"], [nd.zeros(2), nd.zeros(2)])
    bools = nd.ones(2, dtype="bool")
    return {
        "no such key": message(lambda: store.push("none", nd.zeros(2))),
        "bool": message(lambda: store.init(["a", "b"], [nd.zeros(2), bools])),
        "no key then": message(lambda: store.push("a", nd.zeros(2))),
        "bool pushed": message(lambda: store.push(["e", "e2"], [nd.ones(2), bools])),
        "value then": str(pulled(store, "e").tolist()),
        "threshold": message(
            lambda: store.set_gradient_compression({"type": "2bit", "threshold": store.rank + 1})
        ),
        "schedule": schedules_differ(),
        "optimizer": message(
            lambda: store.set_optimizer(mx.optimizer.SGD(learning_rate=0.1 + store.rank))
        ),
    }


def all_cases(path):
    store = mx.kv.create("dist_sync")
    found = {
        "rank": [store.rank, store.num_workers, store.type],
        "values": values(store),
        "rows": rows(mx.kv.create("dist_sync")),
        "many": many(mx.kv.create("dist_sync_device"), 4096),
        "two bits": two_bits(mx.kv.create("dist"), 8),
        "two bits, summed": two_bits(mx.kv.create("dist"), 1),
        "training": training(store),
        "sparse training": sparse_training(store),
        "errors": errors(mx.kv.create("dist_sync")),
    }
    with open(f"{path}.{store.rank}", "w") as f:
        json.dump(found, f)


def ends(how, size):
    """Rank 1 ends in the middle; rank 0 waits for it."""
    store = mx.kv.create("dist_sync")
    store.init("w", nd.zeros(size))
    if store.rank == 1:
        if how == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if how == "raises":
            raise ValueError("a bad sample")
        if how == "leaves":
            sys.exit(0)
        if how == "differs":
            store._barrier()
        if how == "interrupted":
            time.sleep(1)
        if how == "sparse":
            store.push("w", nd.ones(size).tostype("row_sparse"))
    elif how == "interrupted":
        signal.signal(signal.SIGALRM, signal.default_int_handler)
        signal.setitimer(signal.ITIMER_REAL, 0.3)
    store.push("w", nd.ones(size))
    with contextlib.suppress(KeyboardInterrupt):
        pulled(store, "w", (size,))
    time.sleep(0.2)
    pulled(store, "w", (size,))


if __name__ == "__main__":
    case, *rest = sys.argv[1:]
    all_cases(rest[0]) if case == "all" else ends(case, int(rest[0]))
