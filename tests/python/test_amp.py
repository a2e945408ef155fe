"""Mixed precision of what runs: amp.init, Trainers, and converted networks against float32."""

import numpy as np
import pytest

import mxtape as mx
from mxtape import gluon, nd
from mxtape.contrib import amp
from mxtape.contrib.amp import _casting
from mxtape.gluon import nn

amp_module = amp.amp


@pytest.fixture(params=["float16", "bfloat16"])
def low(request):
    """Operators that cast, until the test ends."""
    amp.init(request.param)
    yield request.param
    _casting.remove()
    amp_module._amp_initialized = amp_module._amp_loss_scale_initialized = False
    amp_module._loss_scaler = amp_module._target_dtype = None


@pytest.fixture
def half():
    amp.init()
    yield
    _casting.remove()
    amp_module._amp_initialized = amp_module._amp_loss_scale_initialized = False
    amp_module._loss_scaler = amp_module._target_dtype = None


def dense(x, out=3):
    return nd.FullyConnected(x, nd.ones((out, x.shape[1])), num_hidden=out, no_bias=True)


def test_operators_cast_their_arrays(low):
    y = dense(nd.ones((2, 3)))
    wide = nd.ones((2, 3))
    dtypes = {
        "the low precision": y,
        "float32, function": nd.exp(y),
        "float32, method": y.exp(),
        "the low precision, function": nd.relu(y),
        "float32, widest": y + wide,
        "float32, reflected": wide - y,
        "float32, add_n": nd.add_n(y, wide),
        "float32, concat": nd.concat(y, wide, dim=0),
        "float32, attention": nd.contrib.interleaved_matmul_selfatt_valatt(
            nd.ones((1, 1, 3), dtype=low), nd.ones((1, 1, 1)), heads=1
        ),
        "float32, where": nd.where(y > 1, y, wide),
        "float32, Python": nd.maximum(y, wide),
        "float32, power": y**2,
        "float32, number / array": 1 / y,
        "float32, softrelu": nd.Activation(y, act_type="softrelu"),
        "float32, position": nd.Activation(y, "softrelu"),
        "the low precision, relu": nd.Activation(y, act_type="relu"),
        "float32, loss": nd.softmax(y),
    }
    for label, array in dtypes.items():
        expected = low if label.startswith("the low") else "float32"
        assert array.dtype.__name__ == expected, label
    whole = nd.ones((2, 3), dtype="float64")
    assert dense(nd.ones((2, 3), dtype="int32").astype("float32")).dtype.__name__ == low
    assert nd.exp(whole).dtype == np.float64
    assert nd.exp(y, out=nd.zeros((2, 3), dtype=low)).dtype.__name__ == low
    y += wide
    assert y.dtype.__name__ == low
    assert y.asnumpy().tolist() == [[4.0] * 3] * 2


def test_operators_cast_their_symbols(low):
    with mx.name.NameManager():
        net = mx.sym.FullyConnected(mx.sym.Variable("data"), num_hidden=3, name="fc")
    casts = [f"amp_cast{i}_output" for i in range(3)]  # named as in MXNet
    found = net.get_internals().list_outputs()
    assert found == [*("data", casts[0], "fc_weight", casts[1], "fc_bias", casts[2], "fc_output")]
    net = mx.sym.BatchNorm(mx.sym.exp(net) + mx.sym.relu(net, name="r"), name="bn")
    assert net.list_auxiliary_states() == ["bn_moving_mean", "bn_moving_var"]
    internals = net.get_internals()
    shapes = {"data": (2, 4)}
    executor = internals.simple_bind(mx.cpu(), **shapes)
    for array in executor.arg_arrays:
        array[:] = 0.5
    outputs = dict(zip(internals.list_outputs(), executor.forward()))
    assert outputs["fc_output"].dtype.__name__ == low
    assert outputs["r_output"].dtype.__name__ == low
    assert outputs["bn_output"].dtype == np.float32


def test_removed_functions_are_the_operators_again():
    before = nd.exp, nd.NDArray.__add__, nd.NDArray.exp, mx.sym.exp, mx.sym.Symbol.exp, nd.Custom
    amp.init()
    assert nd.exp is not before[0]
    assert nd.exp.__name__ == before[0].__name__
    _casting.remove()
    amp_module._amp_initialized = False
    after = nd.exp, nd.NDArray.__add__, nd.NDArray.exp, mx.sym.exp, mx.sym.Symbol.exp, nd.Custom
    assert after == before


def test_init_again(half):
    function = nd.exp
    amp.init("float16")
    assert nd.exp is function
    with pytest.raises(RuntimeError, match="float16 already, and cannot to bfloat16"):
        amp.init("bfloat16")
    with pytest.raises(AssertionError, match="float64"):
        amp.init("float64")


def test_init_with_lists_of_ones_own():
    amp.init(
        target_precision_ops=["exp"], conditional_fp32_ops=[("Activation", "act_type", ["tanh"])]
    )
    try:
        x = nd.ones((2, 3))
        assert dense(x).dtype == np.float32
        low = nd.exp(x)
        assert low.dtype == np.float16
        assert nd.Activation(low, act_type="tanh").dtype == np.float32
        assert nd.Activation(low, act_type="softrelu").dtype == np.float16
    finally:
        _casting.remove()
        amp_module._amp_initialized = False


def network():
    mx.random.seed(3)
    net = nn.HybridSequential(prefix="net_")
    with net.name_scope():
        net.add(nn.Dense(8, activation="relu", in_units=4), nn.Dense(1, in_units=8))
    net.initialize(mx.init.Xavier())
    return net


def train(net, trainer, steps=30, scaled=True):
    x = nd.array(np.linspace(-1, 1, 32).reshape(8, 4))
    y = x.sum(axis=1, keepdims=True)
    losses = []
    for _ in range(steps):
        with mx.autograd.record():
            loss = ((net(x) - y) ** 2).mean()
            if scaled:
                with amp.scale_loss(loss, trainer) as scaled_loss:
                    scaled_loss.backward()
        if not scaled:
            loss.backward()
        trainer.step(1)
        losses.append(loss.asscalar())
    return losses


@pytest.mark.parametrize("hybrid", [False, True])
def test_training_follows_float32(low, hybrid):
    net = network()
    if hybrid:
        net.hybridize()
    trainer = gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": 0.1, "momentum": 0.9})
    amp.init_trainer(trainer)
    losses = train(net, trainer)
    assert net(nd.ones((1, 4))).dtype.__name__ == low
    assert all(p.data().dtype == np.float32 for p in net.collect_params().values())
    _casting.remove()
    net = network()
    trainer = gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": 0.1, "momentum": 0.9})
    expected = train(net, trainer, scaled=False)
    tolerance = 0.01 if low == "float16" else 0.1
    skipped = losses.count(losses[0]) - 1  # while the loss scale comes down
    losses, expected = losses[skipped:], expected[: len(losses) - skipped]
    assert (skipped > 0) == (low == "float16")
    assert np.allclose(losses, expected, rtol=tolerance, atol=tolerance * expected[0])
    assert losses[-1] < losses[0] / 10


@pytest.mark.parametrize(("contexts", "on_store"), [(1, None), (2, True), (2, False)])
def test_an_update_that_overflows_is_left_out(half, contexts, on_store):
    p = gluon.Parameter("p", shape=(2,), init=mx.init.One())
    p.initialize(ctx=[mx.cpu(i) for i in range(contexts)])
    trainer = gluon.Trainer([p], "sgd", {"learning_rate": 0.5}, update_on_kvstore=on_store)
    amp.init_trainer(trainer)
    found = []
    for factor in (1.0, 1e38, 1e38, 1.0):
        with mx.autograd.record():
            losses = [(value * factor).sum() for value in p.list_data()]
            with amp.scale_loss(losses, trainer) as scaled:
                mx.autograd.backward(scaled)
        trainer.step(contexts)
        found.append((p.list_data()[-1].asnumpy()[0], trainer._amp_loss_scaler.loss_scale))
    assert found == [(0.5, 65536), (0.5, 65536), (0.5, 32768), (0.0, 16384)]
    assert trainer.optimizer.num_update == 2


def test_unscale_and_clip(half):
    p = gluon.Parameter("p", shape=(2,), init=mx.init.One())
    p.initialize()
    trainer = gluon.Trainer([p], "sgd", {"learning_rate": 1.0})
    with pytest.raises(AttributeError, match="init_trainer"), amp.scale_loss(p.data(), trainer):
        pass
    amp.init_trainer(trainer)
    with mx.autograd.record():
        loss = (p.data() * nd.array([3.0, 4.0])).sum()
        with amp.scale_loss(loss, trainer) as scaled:
            scaled.backward()
    assert p.grad().asnumpy().tolist() == [3 * 65536, 4 * 65536]
    for _ in range(2):
        amp.unscale(trainer)
        assert p.grad().asnumpy().tolist() == [3, 4]
    p.grad()[:] /= 5
    trainer.step(1)
    assert np.allclose(p.data().asnumpy(), [0.4, 0.2])


def test_losses_that_read_no_head_gradient_follow_the_scale(half):
    x = nd.ones((1, 2))
    x.attach_grad()
    with mx.autograd.record():
        y = nd.SoftmaxOutput(x, nd.array([0]), grad_scale=2)
    y.backward()
    assert x.grad.asnumpy().tolist() == [[-65536, 65536]]


def test_a_custom_operator_gets_float32(half):
    class Square(mx.operator.CustomOp):
        def forward(self, is_train, req, in_data, out_data, aux):
            assert in_data[0].dtype == np.float32
            self.assign(out_data[0], req[0], in_data[0] * in_data[0])

    @mx.operator.register("square_in_float32")
    class SquareProp(mx.operator.CustomOpProp):
        def create_operator(self, ctx, shapes, dtypes):
            return Square()

    y = nd.Custom(dense(nd.ones((2, 3))), op_type="square_in_float32")
    assert y.asnumpy().tolist() == [[9.0] * 3] * 2


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("cast", [False, True])
def test_a_converted_block_computes_in_low_precision(dtype, cast):
    net = network()
    with pytest.raises(RuntimeError, match="no graph yet"):
        amp.convert_hybrid_block(net)
    net.hybridize()
    x = nd.array(np.linspace(-1, 1, 8).reshape(2, 4))
    expected = net(x).asnumpy()
    made = amp.convert_hybrid_block(net, dtype, cast_optional_params=cast)
    dtypes = {p.data().dtype.__name__ for p in made.collect_params().values()}
    assert dtypes == {dtype if cast else "float32"}
    found = made(x)
    assert found.dtype == np.float32
    error = np.abs(found.asnumpy() - expected).max()
    assert 0 < error < (0.002 if dtype == "float16" else 0.02)
    assert list(made.collect_params()) == list(net.collect_params())


def test_which_variables_are_parameters():
    """Without data_names those that say their dtype, as MXNet has it."""
    dense = gluon.nn.Dense(2, in_units=2, prefix="dense_")
    plain = mx.sym.FullyConnected(mx.sym.var("data"), num_hidden=2, name="dense")
    for net, low in ((dense(mx.sym.var("data")), "2"), (plain, None)):
        converted = amp.convert_symbol(net, cast_optional_params=True)
        said = converted.attr_dict()
        for name in ("dense_weight", "dense_bias"):
            assert said[name].get("__dtype__") == low
        assert "__dtype__" not in said.get("data", {})


def test_a_converted_bucketing_module():
    def sym_gen(length):
        x = mx.sym.Embedding(mx.sym.Variable("data"), input_dim=9, output_dim=4, name="embed")
        x = mx.sym.FullyConnected(mx.sym.sum(x, axis=1), num_hidden=2, name="fc")
        return mx.sym.SoftmaxOutput(x, name="softmax"), ("data",), ("softmax_label",)

    def outputs(module, length):
        batch = mx.io.DataBatch(
            [nd.ones((2, length))],
            bucket_key=length,
            provide_data=[("data", (2, length))],
            provide_label=[("softmax_label", (2,))],
        )
        module.forward(batch, is_train=False)
        return module.get_outputs()[0].asnumpy()

    module = mx.mod.BucketingModule(sym_gen, default_bucket_key=5)
    with pytest.raises(AssertionError, match="no parameters"):
        amp_module.convert_bucketing_module(module)
    module.bind([("data", (2, 5))], [("softmax_label", (2,))])
    module.init_params(mx.init.Uniform(1))
    made = amp_module.convert_bucketing_module(module, cast_optional_params=True)
    made.bind([("data", (2, 5))], [("softmax_label", (2,))])
    for length in (5, 3):
        error = np.abs(outputs(made, length) - outputs(module, length)).max()
        assert 0 < error < 0.003
    assert made.get_params()[0]["fc_weight"].dtype == np.float16
