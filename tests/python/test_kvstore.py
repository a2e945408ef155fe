"""Stores of parameters where MXNet's crash or guess: the rest is in cases/kvstore.py."""

import pickle

import numpy as np
import pytest

import mxtape as mx
from mxtape import nd


def pulled(store, key, shape=(2,)):
    out = nd.zeros(shape)
    store.pull(key, out=out)
    return out.asnumpy().tolist()


@pytest.fixture
def store():
    made = mx.kv.create()
    made.init(["a", "b"], [nd.ones(2), nd.ones(3)])
    return made


def test_several_contexts():
    """Slices of a batch on several contexts, as with several GPUs."""
    store = mx.kv.create("device")
    contexts = [mx.cpu(i) for i in range(3)]
    store.init("w", nd.zeros(2, ctx=contexts[1]))
    store.push("w", [nd.ones(2, ctx=ctx) * i for i, ctx in enumerate(contexts)])
    outs = [nd.empty(2, ctx=ctx) for ctx in contexts]
    store.pull("w", out=outs)
    assert [out.ctx for out in outs] == contexts
    assert [out.asnumpy().tolist() for out in outs] == [[3, 3]] * 3


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda s: s.push("c", nd.ones(2)), mx.MXNetError, "push: there is no key 'c'"),
        (
            lambda s: s.push("a", nd.ones(3)),
            mx.MXNetError,
            r"has shape \(2,\), and the array \(3,\)",
        ),
        (lambda s: s.push(["a", "b"], [nd.ones(2), nd.ones(2)]), mx.MXNetError, "key 'b'"),
        (lambda s: s.push(["a", "b"], nd.ones(2)), AssertionError, "2 keys need a list of 2"),
        (lambda s: s.push(["a", "b"], [nd.ones(2)]), AssertionError, "list of 2 values; got 1"),
        (lambda s: s.push("a", np.ones(2)), TypeError, "an NDArray, or a list of them"),
        (lambda s: s.push("a", [np.ones(2)]), TypeError, "an NDArray, or a list of them"),
        (lambda s: s.pushpull("a", nd.ones(2), out=nd.ones(3)), mx.MXNetError, "pushpull: .*'a'"),
        (lambda s: s.pull(["a", "b"], [nd.ones(2), nd.ones(2)]), mx.MXNetError, "pull: .*'b'"),
        (lambda s: s.init(["c", "a"], [nd.ones(2)] * 2), mx.MXNetError, "'a' has a value already"),
        (lambda s: s.broadcast("c", nd.ones(2), nd.ones(3)), mx.MXNetError, "broadcast: .*'c'"),
        (lambda s: s.set_optimizer("sgd"), TypeError, "an Optimizer is needed; got 'sgd'"),
        (lambda s: s._set_updater(None), TypeError, "an updater is called"),
        (lambda s: s.set_gradient_compression({"type": "2bit"}), mx.MXNetError, "type 'local'"),
        (
            lambda s: s.row_sparse_pull("a", nd.ones(2), row_ids=nd.ones(1)),
            mx.MXNetError,
            "key 'a': the value must be row_sparse, and is 'default'",
        ),
    ],
)
def test_what_does_not_fit_changes_nothing(store, call, error, text):
    with pytest.raises(error, match=text):
        call(store)
    assert (pulled(store, "a"), pulled(store, "b", (3,))) == ([1, 1], [1, 1, 1])
    with pytest.raises(mx.MXNetError, match="no key 'c'"):
        pulled(store, "c")


def test_values_do_not_change_with_what_was_pushed(store):
    """In MXNet they do, after a push of one array."""
    pushed = nd.ones(2) * 5
    store.push("a", pushed)
    pushed[:] = 9
    assert pulled(store, "a") == [5, 5]


def test_while_recording(store):
    x = nd.ones(2)
    x.attach_grad()
    with mx.autograd.record():
        y = x * 2
        store.push("a", [y, x])
        store.pull("a", out=x)
    assert x.asnumpy().tolist() == [3, 3]
    y.backward()
    assert x.grad.asnumpy().tolist() == [2, 2]


def test_nothing_pushed(store):
    store.push("a", [])
    assert pulled(store, "a") == [1, 1]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("dist_async", "'dist_async': updates without waiting .* need a server"),
        ("dist_device_async", "need a server"),
        ("p3store_dist", "no kvstore 'p3store_dist'; on several processes: dist, dist_sync"),
    ],
)
def test_several_machines(name, text):
    with pytest.raises(mx.MXNetError, match=text):
        mx.kv.create(name)
    with pytest.raises(mx.MXNetError, match="no servers"):
        mx.kv.KVStoreServer(mx.kv.create()).run()


@pytest.mark.parametrize("name", ["", "foo", "horovod", "byteps"])
def test_names_that_are_not_known(name):
    """MXNet makes a local store of any name."""
    with pytest.raises(mx.MXNetError, match=f"no kvstore '{name}'; there are local, device"):
        mx.kv.create(name)


def test_updaters_see_keys_as_they_were_given(store):
    """In MXNet, names are bytes."""
    seen = []
    store._set_updater(lambda key, pushed, value: seen.append((key, pushed.asnumpy().tolist())))
    store.push("a", [nd.ones(2), nd.ones(2)])
    assert seen == [("a", [2, 2])]
    assert pulled(store, "a") == [1, 1]


def test_an_updater_that_fails():
    store = mx.kv.create()
    store.init(0, nd.ones(2))

    def fails(key, pushed, value):
        raise RuntimeError("not this time")

    store._set_updater(fails)
    with pytest.raises(RuntimeError, match="not this time"):
        store.push(0, nd.ones(2))
    assert pulled(store, 0) == [1, 1]


def test_two_bits_from_several_contexts_have_rests_of_their_own():
    store = mx.kv.create("device")
    store.set_gradient_compression({"type": "2bit", "threshold": 1})
    store.init("g", nd.zeros(2))
    found = []
    for _ in range(4):
        store.push("g", [nd.array([0.5, 1.0]), nd.array([0.25, -0.5])])
        found.append(pulled(store, "g"))
    assert found == [[0, 1], [1, 0], [0, 1], [2, 0]]


def test_two_bits_keep_the_dtype():
    store = mx.kv.create("device")
    store.set_gradient_compression({"type": "2bit", "threshold": 0.5})
    store.init("g", nd.zeros(2, dtype="float16"))
    out = nd.array([0.75, -0.25], dtype="float16")
    store.pushpull("g", out)
    assert out.dtype == np.float16
    assert out.asnumpy().tolist() == [0.5, 0]


def test_stores_are_pickled(store):
    store.set_optimizer(mx.optimizer.SGD(learning_rate=0.5))
    store.push("a", nd.ones(2))
    again = pickle.loads(pickle.dumps(store))
    again.push("a", nd.ones(2))
    assert (pulled(store, "a"), pulled(again, "a")) == ([0.5, 0.5], [0, 0])


def test_the_module_is_the_one_of_mxnet():
    assert mx.kv is mx.kvstore
    assert mx.kvstore.kvstore.KVStore is type(mx.kv.create())
    assert mx.kvstore.base.KVStoreBase is mx.kv.KVStoreBase
