"""Blocks as users have them: what was reported of MXNet's, each kind a test."""

import copy
import gc
import pickle
import threading
import warnings

import numpy as np
import pytest

import mxtape as mx
from mxtape import autograd, gluon, nd
from mxtape.gluon import nn

BOTH = pytest.mark.parametrize("hybridize", [False, True], ids=["eager", "hybridized"])


class Net(gluon.HybridBlock):
    """A block that computes a function of its arguments and its parameters."""

    def __init__(self, function, constants=(), children=(), **shapes):
        super().__init__()
        self.function = function
        with self.name_scope():
            for name, shape in shapes.items():
                setattr(self, name, self.params.get(name, shape=shape, allow_deferred_init=True))
            for name, value in dict(constants).items():
                setattr(self, name, self.params.get_constant(name, value))
            for name, child in dict(children).items():
                setattr(self, name, child)

    def hybrid_forward(self, F, *args, **params):
        return self.function(F, *args, **params)


def made(function, hybridize, init=None, **kwargs):
    net = Net(function, **kwargs)
    net.initialize(init or mx.init.One())
    if hybridize:
        net.hybridize(static_alloc=True, static_shape=True)
    return net


def mlp(*sizes, **kwargs):
    net = nn.HybridSequential(**kwargs)
    with net.name_scope():
        net.add(*(nn.Dense(size, activation="tanh") for size in sizes))
    return net


def gradients(net, *args, loss=None):
    with autograd.record():
        out = net(*args)
        total = loss(out) if loss else out.sum()
    total.backward()
    return {
        key: p.grad().asnumpy() for key, p in net.collect_params().items() if p.grad_req != "null"
    }


# ---- outputs and parameters


@BOTH
def test_a_parameter_that_is_itself_the_output(hybridize):
    net = made(lambda F, x, w: w, hybridize, w=(2, 3))
    with autograd.record():
        y = net(nd.ones((1,)))
        (y * y * 3).sum().backward()
    assert y.shape == (2, 3)
    np.testing.assert_array_equal(net.w.grad().asnumpy(), np.full((2, 3), 6.0))


@BOTH
def test_a_parameter_beside_other_outputs(hybridize):
    net = made(lambda F, x, w: [w, F.broadcast_mul(x, w), x], hybridize, w=(1, 3))
    x = nd.ones((2, 3)) * 2
    x.attach_grad()
    with autograd.record():
        a, b, c = net(x)
        (a.sum() * 5 + b.sum() + c.sum() * 7).backward()
    np.testing.assert_array_equal(net.w.grad().asnumpy(), np.full((1, 3), 9.0))
    np.testing.assert_array_equal(x.grad.asnumpy(), np.full((2, 3), 8.0))


@BOTH
def test_a_loss_that_uses_some_of_the_outputs(hybridize):
    def forward(F, x, w, v):
        a, b = F.split(x, 2, axis=1)
        return F.broadcast_mul(a, w), [F.broadcast_mul(b, v), [a + b, F.exp(x)]]

    net = made(forward, hybridize, w=(1, 1), v=(1, 1))
    x = nd.array([[1, 2], [3, 4]])
    for _ in range(3):
        with autograd.record():
            _, (second, (third, _)) = net(x)
            (second.sum() + third.sum()).backward()
        assert net.w.grad().asscalar() == 0
        assert net.v.grad().asscalar() == 6
    net.collect_params().zero_grad()
    with autograd.record():
        first, _ = net(x)
        first.sum().backward()
    assert net.w.grad().asscalar() == 4
    assert net.v.grad().asscalar() == 0


def test_gradients_of_what_a_loss_does_not_use():
    """A hybridized block writes zeros, as MXNet's does: a Trainer finds no stale gradient."""
    for hybridize in (False, True):
        net = made(lambda F, x, w, v: (x * w, F.BlockGrad(x * v)), hybridize, w=(2,), v=(2,))
        trainer = gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": 1})
        for param in (net.w, net.v):
            param.grad()[:] = 9
        with autograd.record():
            first, _ = net(nd.ones((2,)))
            first.sum().backward()
        assert net.w.grad().asnumpy().tolist() == [1, 1]
        if hybridize:
            assert net.v.grad().asnumpy().tolist() == [0, 0]
            trainer.step(1)
        else:
            assert net.v.grad().asnumpy().tolist() == [9, 9]
            with pytest.raises(UserWarning, match=net.v.name):
                trainer.step(1)


@BOTH
@pytest.mark.parametrize(
    "constant",
    [2, 2.0, np.float32(2), np.float64(2), np.int64(2), True],
    ids=lambda c: type(c).__name__,
)
def test_constants_added_to_symbols(hybridize, constant):
    def forward(F, x, k):
        return F.broadcast_add(x * constant + constant, k) - constant / (x + 1) + (constant - x)

    net = made(forward, hybridize, constants={"k": [10.0]})
    c = float(constant)
    x = nd.array([1.0, 3.0])
    expected = x.asnumpy() * c + c + 10 - c / (x.asnumpy() + 1) + c - x.asnumpy()
    np.testing.assert_allclose(net(x).asnumpy(), expected, rtol=1e-6)
    with pytest.raises(RuntimeError, match="null"):
        net.k.grad()


@BOTH
def test_a_parameter_whose_shape_only_another_layer_tells(hybridize):
    net = made(
        lambda F, x, w: net.dense(x * w), hybridize, w=(3, 0), children={"dense": nn.Dense(2)}
    )
    assert net(nd.ones((3, 5))).shape == (3, 2)
    assert net.w.shape == (3, 5)


@BOTH
def test_an_empty_batch_tells_the_shapes_too(hybridize):
    net = mlp(4, 2)
    net.initialize()
    net.hybridize(hybridize)
    assert net(nd.ones((0, 3))).shape == (0, 2)
    assert net[0].weight.shape == (4, 3)


@BOTH
def test_shapes_that_do_not_follow_are_named(hybridize):
    net = made(lambda F, x, w: F.broadcast_mul(x, w), hybridize, w=(0, 3))
    with pytest.raises(ValueError, match=rf"{net.w.name}: \(0, 3\)"):
        net(nd.ones((2, 3)))


# ---- loops, for many steps


def _foreach(F, x, w):
    def step(row, state):
        state = F.tanh(F.broadcast_mul(row + state, w))
        return state, state

    return F.sum(F.contrib.foreach(step, x, F.zeros((2,)))[0])


def _while_loop(F, x, w):
    outputs, _ = F.contrib.while_loop(
        lambda i, s: i < 3,
        lambda i, s: (s, (i + 1, F.tanh(F.broadcast_mul(s, w)))),
        (F.zeros((1,)), x),
        max_iterations=3,
    )
    return F.sum(outputs)


def _cond(F, x, w):
    y = F.broadcast_mul(x, w)
    return F.sum(F.contrib.cond(F.sum(y) > 0, lambda: y * y, lambda: F.exp(y)))


@pytest.mark.parametrize("function", [_foreach, _while_loop, _cond])
def test_loops_trained_for_many_steps(function):
    """Eager and hybridized, weights stay the same and memory does not grow."""
    ends = []
    for hybridize in (False, True):
        net = made(function, hybridize, w=(1,))
        trainer = gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": 0.05})
        rng = np.random.RandomState(0)
        used = []
        for step in range(60):
            x = nd.array(rng.randn(4, 2))
            with autograd.record():
                loss = net(x)
            loss.backward()
            trainer.step(4)
            if step in (20, 59):
                loss.wait_to_read()
                gc.collect()
                used.append(mx.runtime.memory_stats()["bytes_in_use"])
        assert used[1] <= used[0] + 4096, used
        ends.append(net.w.data().asscalar())
    assert ends[0] == pytest.approx(ends[1], rel=1e-5)
    assert ends[0] != 1


@BOTH
def test_layers_in_loops_learn_their_shapes(hybridize):
    def forward(F, x, h):
        def step(row, state):
            state = net.inner(row) + net.outer(state)
            return state, state

        rows, last = F.contrib.foreach(step, x, h)
        return F.contrib.cond(F.sum(last) > 0, lambda: net.outer(last), lambda: last), rows

    children = {"inner": nn.Dense(3, use_bias=False), "outer": nn.Dense(3, use_bias=False)}
    net = made(forward, hybridize, children=children)
    with autograd.record():
        out, rows = net(nd.ones((2, 4, 5)), nd.ones((4, 3)))
        out.sum().backward()
    assert rows.shape == (2, 4, 3)
    assert rows.asnumpy()[:, 0, 0].tolist() == [8, 29]  # 5 + 3 * 1, 5 + 3 * 8
    assert net.inner.weight.shape == (3, 5)
    # out = outer(last): the sum of 12 outputs of 3 * (x + 3 * (x + 3 * h)), x = 5 of each weight.
    assert net.inner.weight.grad().sum().asscalar() == 12 * (3 * 5 + 9 * 5)


# ---- modes


@BOTH
def test_gradients_in_predict_mode(hybridize):
    net = nn.HybridSequential()
    net.add(
        nn.Dense(4, in_units=3),
        nn.BatchNorm(in_channels=4),
        nn.Dropout(0.5),
        nn.Dense(1, in_units=4),
    )
    net.initialize(mx.init.Constant(0.5))
    if hybridize:
        net.hybridize(static_alloc=True, static_shape=True)
    x = nd.array(np.random.RandomState(0).randn(6, 3))
    x.attach_grad()
    for _ in range(2):
        with autograd.record(train_mode=False):
            y = net(x)
        y.backward()
        np.testing.assert_allclose(y.asnumpy(), net(x).asnumpy(), rtol=1e-6)
        np.testing.assert_allclose(x.grad.asnumpy(), np.full((6, 3), 1 / np.sqrt(1 + 1e-5)), 1e-5)
    assert net[1].running_mean.data().asnumpy().tolist() == [0] * 4
    with autograd.record():
        net(x)
    assert net[1].running_mean.data().asnumpy().any()


@BOTH
def test_gradients_of_gradients(hybridize):
    net = mlp(3, 2)
    net.initialize(mx.init.Constant(0.3))
    net(nd.ones((1, 2)))
    net.hybridize(hybridize)
    x = nd.array([[0.1, 0.2]])
    x.attach_grad()
    with autograd.record():
        (first,) = autograd.grad(net(x).sum(), [x], create_graph=True)
        (first * first).sum().backward()
    eager = mlp(3, 2)
    eager.initialize(mx.init.Constant(0.3))
    eps = 1e-2

    def penalty(value):
        z = nd.array(value)
        z.attach_grad()
        with autograd.record():
            y = eager(z).sum()
        y.backward()
        return float((z.grad.asnumpy() ** 2).sum())

    numeric = [
        (penalty([[0.1 + eps, 0.2]]) - penalty([[0.1 - eps, 0.2]])) / (2 * eps),
        (penalty([[0.1, 0.2 + eps]]) - penalty([[0.1, 0.2 - eps]])) / (2 * eps),
    ]
    np.testing.assert_allclose(x.grad.asnumpy()[0], numeric, rtol=2e-2)


# ---- calls after hybridize()


def test_other_shapes_and_numbers_of_arguments_after_hybridize():
    net = made(lambda F, x, *more: F.sum(F.add_n(x, *more), axis=-1), True)
    one = nd.ones((2, 3))
    assert net(one, one).asnumpy().tolist() == [6, 6]
    for shape in [(4, 3), (2, 2, 2), (1, 7)]:
        assert net(nd.ones(shape), nd.ones(shape)).shape == shape[:-1]
    for dtype in ("float64", "float16", "int32"):
        y = nd.ones((2, 3), dtype=dtype)
        assert net(y, y).dtype == np.dtype(dtype)
    for args in [(one,), (one, one, one), (one, [one]), ([one, one],)]:
        with pytest.raises(ValueError, match="hybridize"):
            net(*args)
    net.hybridize()
    assert net(one, one, one).asnumpy().tolist() == [9, 9]


def test_a_child_that_changes_after_hybridize():
    net = mlp(2, 2)
    net.initialize(mx.init.One())
    net.hybridize()
    before = net(nd.ones((1, 2)))
    net.add(nn.Dense(1, in_units=2))
    net[2].initialize(mx.init.One())
    assert net(nd.ones((1, 2))).shape == (1, 1)
    net.cast("float64")
    assert net(nd.ones((1, 2), dtype="float64")).dtype == np.float64
    assert before.shape == (1, 2)


@BOTH
def test_values_are_found_where_they_are_now(hybridize):
    """Whatever way a parameter gets other arrays, the next call uses them."""
    net = nn.Dense(1, in_units=1, use_bias=False)
    net.initialize(mx.init.One())
    net.hybridize(hybridize)
    x = nd.ones((1, 1))

    def now():
        values = [net(x).asscalar() for _ in range(2)]
        assert values[0] == values[1]
        return values[0]

    assert now() == 1
    for active in (not hybridize, hybridize):
        net._active = active  # programs do this
        assert now() == 1
    net.weight.set_data(nd.ones((1, 1)) * 2)
    assert now() == 2
    net.initialize(mx.init.Constant(3), force_reinit=True)
    assert now() == 3
    net.weight._data[0] = nd.ones((1, 1)) * 4
    assert now() == 4
    net.weight._data = [nd.ones((1, 1)) * 5]
    assert now() == 5
    net.weight.grad_req = "null"
    net.weight.data()[:] = 6
    assert now() == 6
    net.weight.reset_ctx(mx.cpu(1))
    with pytest.raises(RuntimeError, match=r"cpu\(0\)"):
        net(x)
    assert net(x.as_in_context(mx.cpu(1))).context == mx.cpu(1)


@BOTH
def test_several_contexts(hybridize):
    contexts = [mx.cpu(0), mx.cpu(1)]
    net = made(lambda F, x, w: F.broadcast_add(x * 0, w) + F.zeros((2,)), hybridize, w=(1,))
    net.initialize(mx.init.One(), ctx=contexts, force_reinit=True)
    net.w.data(contexts[1])[:] = 2
    for _ in range(3):
        for number, ctx in enumerate(contexts):
            y = net(nd.ones((2,), ctx=ctx))
            assert y.context == ctx
            assert y.asnumpy().tolist() == [number + 1] * 2
        with mx.cpu(1):
            assert net(nd.ones((2,), ctx=mx.cpu(0))).context == mx.cpu(0)
    with pytest.raises(RuntimeError, match=r"cpu\(2\)"):
        net(nd.ones((2,), ctx=mx.cpu(2)))


def test_scopes_of_threads_are_their_own():
    net = nn.HybridSequential(prefix="net_")
    inside, left = threading.Event(), threading.Event()
    names = []

    def other():
        with mx.name.Prefix("mine_"), net.name_scope():
            inside.set()
            left.wait(10)
        names.append(mx.name.NameManager.current.get(None, "x"))
        with mx.name.Prefix("mine_"):
            names.append(nn.Dense(1).prefix.startswith("mine_dense"))

    thread = threading.Thread(target=other)
    before = mx.name.NameManager.current
    with net.name_scope():
        thread.start()
        inside.wait(10)
        names.append(nn.Dense(1).prefix)
    assert mx.name.NameManager.current is before
    left.set()
    thread.join()
    assert names == ["net_dense0_", "x0", True]


def test_calls_from_threads():
    net = mlp(8, 4)
    net.initialize()
    net.hybridize()
    expected = net(nd.ones((2, 3))).asnumpy()
    wrong = []

    def call():
        with net.name_scope():
            for _ in range(200):
                if not (net(nd.ones((2, 3))).asnumpy() == expected).all():
                    wrong.append(1)
        if nn.Dense(1).prefix.startswith(net.prefix):
            wrong.append("scope")

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


# ---- blocks that are not registered, shared parameters, frozen ones


def test_blocks_in_a_list_are_named_in_a_warning():
    class Careless(gluon.Block):
        def __init__(self):
            super().__init__()
            self.layers = [nn.Dense(2)]

    net = Careless()
    with pytest.warns(UserWarning, match=r"Careless\.layers"):
        net.initialize()
    net.register_child(net.layers[0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(list(net.collect_params())) == 2


@BOTH
def test_shared_and_frozen_parameters(hybridize):
    first = nn.Dense(3, in_units=3)
    net = nn.HybridSequential()
    net.add(first, nn.Dense(3, in_units=3, params=first.params), nn.Dense(1, in_units=3))
    net.initialize(mx.init.Constant(0.5))
    net.hybridize(hybridize)
    assert len(list(net.collect_params())) == 4
    x = nd.ones((1, 3))
    # y = 0.5 * 3 * (w * 3 * (w * 3)): each of the two uses gives half of the gradient.
    assert gradients(net, x)[first.weight.name].sum() == pytest.approx(2 * 0.5 * 3 * 3 * 0.5 * 3)
    first.weight.grad_req = "null"
    assert first.weight.name not in gradients(net, x)
    trainer = gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": 0.1})
    before = [p.data().asnumpy() for p in net.collect_params().values()]
    for _ in range(2):
        gradients(net, x)
        trainer.step(1)
    after = [p.data().asnumpy() for p in net.collect_params().values()]
    assert [(a == b).all() for a, b in zip(before, after)] == [True, False, False, False]
    first.weight.grad_req = "write"
    assert gradients(net, x)[first.weight.name].any()


@BOTH
def test_a_bias_learns_where_the_weight_is_frozen(hybridize):
    net = nn.Dense(2, in_units=3)
    net.initialize()
    net.weight.grad_req = "null"
    net.hybridize(hybridize)
    assert gradients(net, nd.ones((4, 3)))[net.bias.name].tolist() == [4, 4]


@BOTH
def test_learning_rates_of_parameters(hybridize):
    net = nn.Dense(1, in_units=2)
    net.initialize(mx.init.One())
    net.hybridize(hybridize)
    net.weight.lr_mult = 2
    net.bias.lr_mult = 0
    trainer = gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": 0.25})
    gradients(net, nd.ones((1, 2)))
    trainer.step(1)
    assert net.weight.data().asnumpy().tolist() == [[0.5, 0.5]]
    assert net.bias.data().asscalar() == 0


# ---- saving


def test_saving_while_deferred(tmp_path):
    net = mlp(2)
    path = str(tmp_path / "net.params")
    with pytest.raises(RuntimeError, match="not been initialized"):
        net.save_parameters(path)
    net.initialize()
    with pytest.raises(gluon.DeferredInitializationError, match="first forward"):
        net.save_parameters(path)
    assert not list(tmp_path.iterdir())
    net(nd.ones((1, 3)))
    net.save_parameters(path)
    other = mlp(2)
    other.initialize(mx.init.One())
    other.load_parameters(path)
    np.testing.assert_array_equal(other(nd.ones((1, 3))).asnumpy(), net(nd.ones((1, 3))).asnumpy())


def test_files_that_do_not_fit_change_nothing(tmp_path):
    path = str(tmp_path / "net.params")
    net = mlp(2, 2)
    net.initialize(mx.init.One())
    net(nd.ones((1, 2)))
    net.save_parameters(path)
    for other in (mlp(2), mlp(2, 2, 2), mlp(2, 3)):
        other.initialize(mx.init.Zero())
        other(nd.ones((1, 2)))
        with pytest.raises((AssertionError, ValueError)):
            other.load_parameters(path)
        assert not any(p.data().asnumpy().any() for p in other.collect_params().values())


@BOTH
@pytest.mark.parametrize("dtype", ["float16", "float64", "bfloat16"])
def test_other_dtypes(hybridize, dtype, tmp_path):
    net = mlp(3)
    net.cast(dtype)
    net.initialize()
    net.hybridize(hybridize)
    x = nd.ones((2, 4)).astype(dtype)
    with autograd.record():
        y = net(x)
        y.sum().backward()
    weight = net[0].weight
    types = {str(nd.ones((1,)).astype(dtype).dtype)}
    assert {str(a.dtype) for a in (y, weight.data(), weight.grad())} == types
    net.save_parameters(str(tmp_path / "net.params"))
    other = mlp(3)
    other.load_parameters(str(tmp_path / "net.params"), cast_dtype=True, dtype_source="saved")
    assert (other(x) == y).astype("float32").asnumpy().all()


@BOTH
def test_copies_and_pickles(hybridize):
    net = mlp(3, 2)
    net.initialize()
    net.hybridize(hybridize)
    x = nd.ones((2, 4))
    expected = net(x).asnumpy()
    own = gradients(net, x)
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        np.testing.assert_array_equal(other(x).asnumpy(), expected)
        got = gradients(other, x)
        assert own.keys() == got.keys()
        for key in own:
            np.testing.assert_array_equal(got[key], own[key])
        other[0].weight.set_data(nd.zeros((3, 4)))
        assert not (other(x).asnumpy() == expected).all()
        np.testing.assert_array_equal(net(x).asnumpy(), expected)


# ---- forward that is overridden, and other things programs do


def test_forward_of_a_hybrid_block_is_overridden():
    class Branching(gluon.HybridBlock):
        def __init__(self):
            super().__init__()
            with self.name_scope():
                self.layer = nn.Dense(2, in_units=2)

        def forward(self, x):
            return self.layer(x) if x.sum().asscalar() > 0 else x * 0

    net = Branching()
    net.initialize(mx.init.One())
    for hybridize in (False, True):
        net.hybridize(hybridize)
        assert net(nd.ones((1, 2))).asnumpy().tolist() == [[2, 2]]
        assert net(-nd.ones((1, 2))).asnumpy().tolist() == [[0, 0]]
    assert net.layer._cached_op is not None


def test_operator_hooks():
    net = mlp(2)
    net.initialize(mx.init.One())
    net.hybridize()
    seen = []
    net.register_op_hook(lambda name, op, array: seen.append((name, op, array.shape)))
    net(nd.ones((1, 3)))
    name = net[0].name
    assert seen == [
        (f"{name}_fwd_output", "FullyConnected", (1, 2)),
        (f"{name}_tanh_fwd_output", "Activation", (1, 2)),
    ]
    seen.clear()
    net.register_op_hook(lambda name, *rest: seen.append(name), monitor_all=True)
    net(nd.ones((1, 3)))
    assert seen[:3] == [f"{name}_fwd_{part}" for part in ("data", "weight", "bias")]


def test_hooks_of_parts_of_a_graph_are_named_in_a_warning():
    net = nn.Dense(2)
    net.register_forward_hook(lambda *args: None)
    with pytest.warns(UserWarning, match="forward hooks"):
        net.hybridize()


def test_initializers_that_go_by_names():
    net = nn.HybridSequential()
    net.add(nn.Dense(2, prefix="a_", in_units=2), nn.Dense(1, prefix="b_", in_units=2))
    net.initialize(mx.init.Mixed(["b_.*", ".*"], [mx.init.Constant(3), mx.init.One()]))
    assert net(nd.ones((1, 2))).asnumpy().tolist() == [[12]]
    saved = {p.name: nd.ones(p.shape) for p in net.collect_params().values()}
    net[1].bias.init = None
    net.initialize(mx.init.Load(saved), force_reinit=True)
    assert net(nd.ones((1, 2))).asnumpy().tolist() == [[5]]


def test_a_parameter_with_a_method_of_its_own():
    """gluon.Parameter is subclassed, and data() overridden."""

    class Doubled(gluon.Parameter):
        def data(self, ctx=None):
            return super().data(ctx) * 2

    class Block(gluon.HybridBlock):
        def __init__(self):
            super().__init__()
            self.w = Doubled("w", shape=(1,), init="ones")
            self.params.update({"w": self.w})

        def hybrid_forward(self, F, x, w):
            return x * w

    net = Block()
    net.initialize()
    for hybridize in (False, True):
        net.hybridize(hybridize)
        assert [net(nd.ones((1,))).asscalar() for _ in range(2)] == [2, 2]


def test_backends_are_an_error():
    for call in (
        lambda net: net.hybridize(backend="mkldnn"),
        lambda net: net.optimize_for(nd.ones((1, 2)), backend="mkldnn"),
    ):
        with pytest.raises(mx.MXNetError, match="there is no backend 'mkldnn'"):
            call(nn.Dense(2))


def test_summary(capsys):
    net = nn.HybridSequential()
    net.add(nn.Dense(3, activation="relu"), nn.Dense(2, use_bias=False))
    net.initialize()
    net.summary(nd.ones((2, 5)))
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert rows[3:7] == [
        ["Input", "(2,", "5)", "0"],
        ["Activation-1", "(2,", "3)", "0"],
        ["Dense-2", "(2,", "3)", "18"],
        ["Dense-3", "(2,", "2)", "6"],
    ]
    assert "Total params: 24".split() in rows
    assert not net[0]._forward_hooks
    net.hybridize()
    with pytest.raises(AssertionError, match="hybridized"):
        net.summary(nd.ones((2, 5)))
    assert not net[0]._forward_hooks


# ---- utils


def test_norms_of_any_dtype_are_clipped():
    arrays = [
        nd.array([3.0, 4.0]),
        nd.ones((2, 2), dtype="float64") * 6,
        nd.ones((1,), dtype="float16"),
    ]
    assert gluon.utils.clip_global_norm(arrays, 1.0) == pytest.approx(13.0384, rel=1e-4)
    total = sum((a.astype("float64") ** 2).sum().asscalar() for a in arrays)
    assert total == pytest.approx(1, rel=1e-3)
    one = mx.nd.array([[3.0, 0.0], [0.0, 4.0]])  # not in a list: MXNet takes its rows
    assert gluon.utils.clip_global_norm(one, 1.0) == 5
    assert one.asnumpy().ravel().tolist() == pytest.approx([0.6, 0, 0, 0.8])
    norm = gluon.utils.clip_global_norm(arrays, 5.0, check_isfinite=False)
    assert norm.shape == (1,)


def test_nothing_is_downloaded(tmp_path):
    url = "https://example.com/files/weights.params"
    with pytest.raises(mx.MXNetError, match=r"weights\.params: there is no such file"):
        gluon.utils.download(url, str(tmp_path))
    file = tmp_path / "weights.params"
    file.write_bytes(b"abc")
    assert gluon.utils.download(url, str(tmp_path)) == str(file)
    assert gluon.utils.download(url, str(file)) == str(file)
    digest = "a9993e364706816aba3e25717850c26c9cd0d89d"
    assert gluon.utils.check_sha1(str(file), digest)
    assert gluon.utils.download(url, str(tmp_path), sha1_hash=digest) == str(file)
    with pytest.raises(mx.MXNetError, match="SHA-1"):
        gluon.utils.download(url, str(tmp_path), sha1_hash="0" * 40)
    gluon.utils.replace_file(str(file), str(tmp_path / "other"))
    assert (tmp_path / "other").read_bytes() == b"abc"


def test_handles_of_hooks():
    hooks = gluon.block.Block()._forward_hooks
    handle = gluon.utils.HookHandle()
    with handle:
        handle.attach(hooks, print)
        assert list(hooks.values()) == [print]
        with pytest.raises(AssertionError):
            handle.attach(hooks, print)
    assert not hooks
    handle.detach()


def test_names_that_programs_import_from_the_module_of_blocks():
    from mxtape.gluon.block import _BlockScope, _flatten, _regroup
    from mxtape.gluon.utils import _get_repo_file_url

    x, y = nd.ones((1,)), nd.ones((2,))
    flat, form = _flatten([x, (y, None)], "input")
    assert form == [0, [0, -1]]  # as MXNet 1.9.1 has it
    assert _regroup(flat, form) == [x, [y, None]]
    prefix, params = _BlockScope.create("my_", None, "hint")
    assert (prefix, params.prefix) == ("my_", "my_")
    assert _get_repo_file_url("gluon/dataset", "a.zip").endswith("/gluon/dataset/a.zip")


def test_messages_of_common_mistakes():
    class NoInit(gluon.Block):
        def __init__(self):
            self.dense = nn.Dense(2)

    with pytest.raises(AttributeError, match=r"NoInit\.dense .*super\(\).__init__\(\) comes first"):
        NoInit()
    net = Net(lambda F, x: x.reshape((x.shape[0], -1)))
    net(nd.ones((2, 3, 4)))
    net.hybridize()
    with pytest.raises(AttributeError, match=r"'shape': only arrays have it.*hybrid_forward"):
        net(nd.ones((2, 3, 4)))
    assert not hasattr(mx.sym.var("x"), "shape")
    with pytest.raises(ValueError, match=r"mx\.nd\.array"):
        net([1, 2])
    with pytest.raises(ValueError, match=r"\(height, width, channels\); got shape \(2, 2\)"):
        mx.image.center_crop(nd.ones((2, 2)), (1, 1))
