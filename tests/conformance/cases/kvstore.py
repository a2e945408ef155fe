"""KVStore: what is pulled after what was pushed, with updaters and without."""

import os
import tempfile

import numpy as np
from harness import array, attempt, case, data, values


def _fill(mx):
    def fill(value, shape=(2,), dtype="float32"):
        return mx.nd.full(shape, value, dtype=dtype)

    return fill


def _pulled(mx, store, *keys, shape=(2,), dtype="float32"):
    outs = [mx.nd.zeros(shape, dtype=dtype) for _ in keys]
    for key, out in zip(keys, outs):
        store.pull(key, out=out)
    return outs


def _setup(mx):
    fill = _fill(mx)
    store = mx.kv.create()
    store.init(["a", "b"], [fill(1), fill(2)])
    out = [fill(0), fill(0), fill(0)]

    def then(*_):
        return [_pulled(mx, store, "a", "b"), out]

    return {"kv": mx.kv, "s": store, "f": fill, "o": out, "then": then}


# `then` gives the values of both keys, and the arrays that were pulled to.
values(
    __name__,
    _setup,
    """
    then(s.push('a', f(5)))
    then(s.push('a', [f(5)]))
    then(s.push('a', [f(5), f(6), f(7)]))
    then(s.push('a', (f(5), f(6))))
    then(s.push('a', f(5), priority=-1), s.push('a', f(6), 3))
    then(s.push(['a', 'b'], [f(5), f(6)]))
    then(s.push(('a', 'b'), (f(5), f(6))))
    then(s.push(['a', 'b'], [[f(5), f(6)], [f(7), f(8)]]))
    then(s.push(['a', 'b'], [[f(5), f(6)], f(7)]))
    then(s.push(['a', 'a'], [f(5), f(6)]))
    then(s.push(['b', 'a', 'b'], [f(5), f(6), f(7)]))
    then(s.push('a', f(5, dtype='float64')))
    s.push(['a', 'b'], [f(5)])
    s.push('a', None)
    s.push(1.5, f(1))
    s.push(None, f(1))
    s.push(['a', 1], [f(1), f(1)])
    s.init('a', f(1))
    s.init('c', [f(1), f(2)])
    then(s.init('c', [f(1)]), s.pull('c', o[0]))
    then(s.init(['c', 'd'], [f(3), f(4)]), s.pull(['d', 'c'], o[:2]))
    then(s.pull('a', o[0]))
    then(s.pull('a', out=o))
    then(s.pull(['a', 'b'], out=[o[0], o[1]]))
    then(s.pull(['a', 'b'], out=[[o[0], o[2]], o[1]]))
    then(s.pull('a', out=o[0], priority=2, ignore_sparse=False))
    s.pull('a')
    s.pull('c', o[0])
    s.pull('a', f(1, (3,)))
    then(s.pushpull('a', [f(5), f(6)], out=o[0]))
    then(s.pushpull('a', [f(5), f(6)], out=o))
    then(s.pushpull('a', o[0]))
    then(s.pushpull(['a', 'b'], [f(5), f(6)], out=o[:2]))
    then(s.pushpull(['a', 'b'], [[f(5), f(6)], [f(7), f(8)]], out=o[:2]))
    s.pushpull('c', f(1), out=o[0])
    then(s.broadcast('c', f(9), o))
    then(s.broadcast(['c', 'd'], [f(9), f(8)], o[:2]))
    s.broadcast('a', f(9), o[0])
    [s.type, s.rank, s.num_workers]
    [kv.create(name).type for name in ('local', 'device', 'LOCAL', 'local_allreduce_device')]
    kv.create(None)
    kv.create(3)
    kv.create('nccl')
    [s.is_capable('optimizer'), s.is_capable('OPTIMIZER'), kv.KVStoreBase.OPTIMIZER]
    s.is_capable('other')
    s.save_optimizer_states('absent')
    s.load_optimizer_states('absent')
    s.row_sparse_pull('c', out=o[0], row_ids=f(0))
    kv.create('device').set_gradient_compression({'type': '2bit', 'threshold': 1})
    kv.create('device').set_gradient_compression({'type': '2bit', 'threshold': -1})
    kv.create('device').set_gradient_compression({'type': '1bit'})
    kv.create('device').set_gradient_compression({})
    kv.create('device').set_gradient_compression(3)
    [s._barrier(), s._send_command_to_servers(0, '')]
    type(kv.create('teststore')).__name__
    then(kv.create('teststore').broadcast('x', f(4), o))
    then(kv.create('teststore').pushpull('x', [f(4), f(5)], o))
    kv.create('teststore').is_capable('optimizer')
    kv.KVStoreBase().pushpull('x', f(1))
    kv.KVStoreBase().broadcast('x', f(1), o)
    kv.KVStoreBase().type
    kv.KVStoreBase().rank
    kv.KVStoreBase().num_workers
    kv.KVStoreBase().set_optimizer(None)
    kv.KVStoreBase().save_optimizer_states('x')
    kv.KVStoreBase().load_optimizer_states('x')
    kv.KVStoreBase().is_capable('optimizer')
    """,
)


@case
def integer_keys(mx):
    fill, store = _fill(mx), mx.kv.create("device")
    store.init(3, fill(1))
    store.init([4, 5], [fill(2), fill(3)])
    store.push([3, 5], [[fill(1), fill(7)], fill(9)])
    return [_pulled(mx, store, 3, 4, 5), attempt(store.init, 3, fill(1))]


@case
def values_of_any_dtype(mx):
    fill = _fill(mx)
    found = []
    for dtype in ("float16", "float32", "float64", "int32", "int64", "uint8"):
        store = mx.kv.create()
        store.init("a", fill(1, (2, 3), dtype))
        store.push("a", [fill(i, (2, 3), dtype) for i in range(5)])
        found.append(_pulled(mx, store, "a", shape=(2, 3), dtype=dtype))
        found.append(_pulled(mx, store, "a", shape=(2, 3)))
    return found


@case
def sums_of_many(mx):
    arrays = [array(mx, data((3, 4), seed=i)) for i in range(9)]
    found = []
    for kind in ("local", "device"):
        store = mx.kv.create(kind)
        store.init("a", arrays[0])
        store.push("a", arrays)
        found.append(_pulled(mx, store, "a", shape=(3, 4)))
    return found


@case
def a_first_value_is_a_copy(mx):
    fill, store = _fill(mx), mx.kv.create()
    first = fill(1)
    store.init("a", first)
    first[:] = 7
    return _pulled(mx, store, "a")


@case
def updaters(mx):
    fill, seen = _fill(mx), []

    def updater(key, pushed, value):
        seen.append([key, pushed.asnumpy()])
        value += pushed * 2

    store = mx.kv.create()
    store.init([3, 4], [fill(1), fill(10)])
    store._set_updater(updater)
    store.push(3, [fill(1), fill(2)])
    found = [_pulled(mx, store, 3, 4)]
    store.push([3, 4], [[fill(1), fill(1)], fill(1)])
    found.append(_pulled(mx, store, 3, 4))
    out = fill(0)
    store.pushpull(3, fill(1), out=out)
    return [found, out, _pulled(mx, store, 3), seen]


def _optimizer_of(mx, keys, optimizer, rounds=4):
    fill, store = _fill(mx), mx.kv.create()
    store.init(keys, [fill(1), fill(2)])
    store.set_optimizer(optimizer)
    found = []
    for i in range(rounds):
        store.push(keys, [[fill(i + 1), fill(0.5)], [fill(-1), fill(i)]])
        found.append(_pulled(mx, store, *keys))
    return store, found


@case
def optimizers(mx):
    found = []
    for keys in ([0, 1], ["w", "v"]):
        for optimizer in (
            mx.optimizer.SGD(learning_rate=0.1, momentum=0.9, wd=0.01),
            mx.optimizer.Adam(learning_rate=0.1),
            mx.optimizer.RMSProp(learning_rate=0.01),
        ):
            store, steps = _optimizer_of(mx, keys, optimizer)
            found.append([steps, sorted(store._updater.states)])
    return found


@case
def multipliers_by_name_and_number(mx):
    optimizer = mx.optimizer.SGD(learning_rate=0.1, param_idx2name={0: "w_weight", 1: "v_bias"})
    optimizer.set_lr_mult({"v_bias": 0.0, 0: 2.0})
    return _optimizer_of(mx, [0, 1], optimizer)[1]


@case
def states_saved_and_loaded(mx):
    found = []
    for dump in (False, True):
        first, _ = _optimizer_of(mx, [0, 1], mx.optimizer.SGD(learning_rate=0.1, momentum=0.9))
        second, _ = _optimizer_of(mx, [0, 1], mx.optimizer.SGD(learning_rate=0.3, momentum=0.5), 1)
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "states")
            first.save_optimizer_states(path, dump_optimizer=dump)
            second.load_optimizer_states(path)
        fill = _fill(mx)
        second.push([0, 1], [fill(1), fill(1)])
        found.append([_pulled(mx, second, 0, 1), second._updater.optimizer.learning_rate])
    return found


@case
def compressed(mx):
    fill = np.array([0.3, 0.6, -0.6, -0.3, 0.5, -0.5, 2.0, 0.0], "float32")
    store = mx.kv.create("device")
    store.set_gradient_compression({"type": "2bit", "threshold": 0.5})
    store.init("a", mx.nd.zeros((8,)))
    found = []
    for scale in (1, 1, 1, -1, 0.5, 0):
        store.push("a", mx.nd.array(fill * scale))
        found += _pulled(mx, store, "a", shape=(8,))
    return found


@case
def registered(mx):
    @mx.kv.KVStoreBase.register
    class Registered(mx.kv.KVStoreBase):
        @property
        def type(self):
            return "mine"

    return [mx.kv.create("Registered").type, "registered" in mx.kv.KVStoreBase.kv_registry]
