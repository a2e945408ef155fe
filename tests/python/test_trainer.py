"""gluon.Trainer beyond the recorded trajectories of tests/conformance/cases/trainer.py."""

import numpy as np
import pytest

import mxtape as mx
from mxtape import autograd, gluon
from mxtape._loader import core as _core


def parameters(contexts=1, count=2):
    made = []
    for i in range(count):
        p = gluon.Parameter(f"p{i}_weight", shape=(2,), init=mx.init.Constant(i + 1))
        p.initialize(ctx=[mx.cpu(j) for j in range(contexts)])
        made.append(p)
    return made


def backward(params, factor=1.0):
    with mx.autograd.record():
        losses = [(value * value * factor).sum() for p in params for value in p.list_data()]
    mx.autograd.backward(losses)


def values(params):
    return [value.asnumpy().tolist() for p in params for value in p.list_data()]


def test_a_stale_gradient_changes_nothing_and_the_fresh_ones_stay_fresh():
    params = parameters(count=3)
    trainer = gluon.Trainer(params, "sgd", {"learning_rate": 0.5})
    before = values(params)
    backward(params[:1] + params[2:])
    with pytest.raises(UserWarning, match="p1_weight on cpu"):
        trainer.step(1)
    assert values(params) == before
    trainer.step(1, ignore_stale_grad=True)
    assert values(params) == [[0, 0], [2, 2], [0, 0]]
    assert trainer.optimizer._index_update_count == {0: 1, 2: 1}


@pytest.mark.parametrize("ignore", [False, True])
def test_a_parameter_of_unknown_shape_is_named(ignore):
    """Not the bias of its layer, which has a gradient, and a stale one."""
    net = gluon.nn.Dense(2)
    net.initialize()
    trainer = gluon.Trainer(net.collect_params(), "sgd")
    for step in (trainer.step, trainer.update):
        with pytest.raises(gluon.DeferredInitializationError, match=net.weight.name):
            step(1, ignore_stale_grad=ignore)


def test_a_stale_gradient_is_not_pushed_to_the_store():
    params = parameters(2)
    trainer = gluon.Trainer(params, "sgd")
    backward(params)
    trainer.step(1)
    before = values(params)
    params[1].list_data()[1]._fresh_grad = False
    with pytest.raises(UserWarning, match=r"p1_weight on cpu\(1\)"):
        trainer.step(1)
    assert values(params) == before


def test_update_on_kvstore_without_a_store_updates_here():
    params = parameters()
    trainer = gluon.Trainer(params, "sgd", {"learning_rate": 0.5}, update_on_kvstore=True)
    backward(params)
    trainer.step(1)
    assert values(params) == [[0, 0], [0, 0]]
    assert trainer._kvstore is None


@pytest.mark.parametrize("contexts", [1, 2])
def test_states_load_while_parameters_wait_for_their_shape(tmp_path, contexts):
    options = {"momentum": 0.5, "learning_rate": 0.25}
    known = parameters(contexts)
    trainer = gluon.Trainer(known, "sgd", options, update_on_kvstore=False)
    backward(known)
    trainer.step(1)
    trainer.save_states(tmp_path / "states")
    waiting = [
        gluon.Parameter(p.name, shape=(0,), allow_deferred_init=True, init=mx.init.One())
        for p in known
    ]
    for p in waiting:
        p.initialize(ctx=known[0].list_ctx())
    later = gluon.Trainer(waiting, "sgd", update_on_kvstore=False)
    later.load_states(tmp_path / "states")
    assert (later.learning_rate, len(later._params_to_init)) == (0.25, 2)
    for p, q in zip(waiting, known):
        p.shape = q.shape
        p._finish_deferred_init()
        p.set_data(q.list_data()[0])
    for params, one in ((known, trainer), (waiting, later)):
        backward(params)
        one.step(1)
    assert values(waiting) == values(known) != values(parameters(contexts))


def test_states_of_another_optimizer_take_its_place(tmp_path):
    adam = gluon.Trainer(parameters(), "adam", {"learning_rate": 0.5})
    adam.save_states(tmp_path / "states")
    params = parameters()
    trainer = gluon.Trainer(params, "sgd", {"momentum": 0.9})
    trainer.load_states(tmp_path / "states")
    backward(params)
    trainer.step(1)
    assert isinstance(trainer.optimizer, mx.optimizer.Adam)
    assert np.allclose(values(params), [[0.5, 0.5], [1.5, 1.5]])


def test_a_failed_save_leaves_the_file(tmp_path):
    path = tmp_path / "states"
    params = parameters()
    trainer = gluon.Trainer(params, "sgd")
    trainer.save_states(path)
    before = path.read_bytes()
    trainer.optimizer.lr_scheduler = lambda updates: 0.1
    with pytest.raises(Exception, match="pickle"):
        trainer.save_states(path)
    assert path.read_bytes() == before


def test_parameters_on_more_contexts_than_before():
    params = parameters()
    trainer = gluon.Trainer(params, "sgd")
    for p in params:
        p.reset_ctx([mx.cpu(0), mx.cpu(1)])
    backward(params)
    with pytest.raises(RuntimeError, match="2 contexts now, and was on 1"):
        trainer.step(1)


def test_parameters_on_fewer_contexts_than_before():
    params = parameters(2)
    trainer = gluon.Trainer(params, "sgd", {"learning_rate": 0.5}, update_on_kvstore=False)
    for p in params:
        p.reset_ctx([mx.cpu(1)])
    backward(params)
    trainer.step(1)
    assert values(params) == [[0, 0], [0, 0]]


@pytest.mark.parametrize("contexts", [1, 2])
def test_a_parameter_that_is_there_twice_moves_once(contexts):
    params = parameters(contexts)
    trainer = gluon.Trainer([*params, params[0]], "sgd", {"learning_rate": 0.125})
    backward(params)
    trainer.step(1)
    moved = 1 - 0.125 * 2 * contexts
    assert values(params) == [[moved] * 2] * contexts + [[2 * moved] * 2] * contexts


@pytest.mark.parametrize(("first", "then"), [("float32", "float16"), ("float64", "float32")])
def test_a_store_goes_on_after_a_cast(first, then):
    """Its values keep their dtype, and so do the optimizer's states."""
    params = parameters(2, count=1)
    params[0].cast(first)
    trainer = gluon.Trainer(params, "sgd", {"learning_rate": 0.125, "momentum": 0.5})
    for dtype in (first, then):
        params[0].cast(dtype)
        backward(params)
        trainer.step(1)
    assert values(params) == [[0, 0], [0, 0]]
    assert params[0].data(mx.cpu(1)).dtype == np.dtype(then)


def test_a_store_of_the_programs_own():
    log = []

    class Store(mx.kv.KVStoreBase):
        type, rank, num_workers = "own", 0, 1

        def broadcast(self, key, value, out, priority=0):
            log.append(("broadcast", key, len(out)))

        def pushpull(self, key, value, out=None, priority=0):
            log.append(("pushpull", key, len(value), out, priority))

        def is_capable(self, capability):
            return False

    params = parameters(2)
    trainer = gluon.Trainer(params, "sgd", kvstore=Store())
    backward(params)
    trainer.step(1)
    assert log == [
        ("broadcast", 0, 2),
        ("broadcast", 1, 2),
        ("pushpull", 0, 2, None, 0),
        ("pushpull", 1, 2, None, -1),
    ]


def test_a_subclass_that_sums_gradients_itself():
    class Doubled(gluon.Trainer):
        def __init__(self, params, optimizer, optimizer_params=None):
            super().__init__(params, optimizer, optimizer_params, kvstore=None)
            self._scale /= 2

        def _allreduce_grads(self):
            for param in self._params:
                for grad in param.list_grad():
                    grad *= 4

    params = parameters()
    trainer = Doubled(params, "sgd", {"learning_rate": 0.25})
    backward(params)
    trainer.step(1)
    assert values(params) == [[0, 0], [0, 0]]


def test_no_parameters():
    with pytest.raises(ValueError, match="no parameters"):
        gluon.Trainer({}, "sgd")


def test_environment_decides_where_to_update(monkeypatch):
    monkeypatch.setenv("MXNET_UPDATE_ON_KVSTORE", "0")
    params = parameters(2)
    trainer = gluon.Trainer(params, "sgd")
    backward(params)
    trainer.step(1)
    assert trainer._update_on_kvstore is False


def test_a_step_inside_record_changes_nothing():
    params = parameters()
    trainer = gluon.Trainer(params, "sgd", {"learning_rate": 0.5})
    backward(params)
    with mx.autograd.record(), pytest.raises(mx.MXNetError, match=r"inside record\(\)"):
        trainer.step(1)
    assert trainer.optimizer.num_update == 0
    trainer.step(1)
    assert values(params) == [[0, 0], [0, 0]]


@pytest.mark.parametrize("hybrid", [False, True])
def test_backward_hands_its_memory_over_where_nobody_holds_the_gradient(hybrid):
    net = gluon.nn.Dense(8, in_units=16)
    net.initialize()
    if hybrid:
        net.hybridize()

    def backward(scale):
        with autograd.record():
            y = (net(mx.nd.ones((4, 16))) * scale).sum()
        y.backward()

    before = _core.address(net.weight.grad())
    backward(1)
    assert _core.address(net.weight.grad()) != before
    held = net.weight.grad()
    backward(2)
    assert _core.address(net.weight.grad()) == _core.address(held)
    assert (held.asnumpy() == 8).all()
