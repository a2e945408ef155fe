"""Graphs of blocks: contexts of what they make, wrong arguments, files of recurrent layers."""

import numpy as np
import pytest

import mxtape as mx
from mxtape import autograd, gluon, nd
from mxtape.gluon import nn, rnn

FIRST, SECOND = mx.cpu(0), mx.cpu(1)


class Net(gluon.HybridBlock):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def hybrid_forward(self, F, x, *args):
        return self.function(F, x, *args)


MADE = {
    "zeros": lambda F, x: [F.zeros((2,)), x * 2],
    "alone": lambda F, x: F.zeros((2,)),
    "random": lambda F, x: [F.random.uniform(shape=(2,)), x + 1],
    "pointwise": lambda F, x: [F.exp(F.ones((3,))) * 2 + 1, x],
    "broadcast": lambda F, x: F.broadcast_add(x, F.arange(3)),
    "in a loop": lambda F, x: F.contrib.foreach(
        lambda d, s: (F.ones((3,)), d + s), x, F.zeros((3,))
    ),
}


@pytest.mark.parametrize("name", MADE)
@pytest.mark.parametrize("train", [False, True])
def test_arrays_that_a_graph_makes_are_on_the_context_of_its_arguments(name, train):
    for hybrid in (False, True):
        net = Net(MADE[name])
        net.hybridize(hybrid)
        for context in (SECOND, FIRST):
            x = nd.ones((2, 3), ctx=context)
            x.attach_grad()
            with autograd.record() if train else autograd.pause():
                result = net(x)
            flat = [result] if isinstance(result, nd.NDArray) else result
            assert [array.context for array in flat] == [context] * len(flat), (name, hybrid)


def test_outputs_of_an_executor_are_on_its_context():
    x = mx.sym.var("x")
    outputs = mx.sym.Group([x * 2, mx.sym.zeros((1,)), mx.sym.ones_like(x), mx.sym.sum(x)])
    executor = outputs.bind(SECOND, {"x": nd.ones((2,), ctx=SECOND)})
    for _ in range(2):
        assert [array.context for array in executor.forward()] == [SECOND] * 4
    executor = outputs.simple_bind(SECOND, x=(3,))
    executor.forward(is_train=True)
    assert [array.context for array in executor.outputs] == [SECOND] * 4
    assert outputs.eval(ctx=SECOND, x=nd.ones((2,), ctx=SECOND))[1].context == SECOND


def test_gradients_that_are_returned_are_on_the_context_of_the_variables():
    x = nd.ones((2, 4), ctx=SECOND)
    dense = nn.Dense(1)
    dense.initialize(ctx=SECOND)
    dense.hybridize()
    x.attach_grad()
    with autograd.record():
        y = (dense(x) * 2).sum() + (x * x).sum()
        found = autograd.grad(y, [x, dense.weight.data()], create_graph=True)
    assert [gradient.context for gradient in found] == [SECOND] * 2


def test_a_hybridized_block_that_does_not_use_an_argument_warns_and_runs():
    x = nd.array([1, 2])
    for function, number, expected in [
        (lambda F, x, y: x + 1, 1, [2, 3]),
        (lambda F, x, y: y * 3, 0, [6, 12]),
        (lambda F, x, y: F.zeros((1,)), 0, [0]),
    ]:
        net = Net(function)
        net.hybridize()
        with pytest.warns(UserWarning, match=f"no computation uses argument {number} of the 2"):
            assert net(x, x * 2).asnumpy().tolist() == expected
        assert net(x, x * 2).asnumpy().tolist() == expected


LAYERS = {
    "lstm": lambda: rnn.LSTM(3),
    "gru": lambda: rnn.GRU(3, layout="NTC"),
    "rnn": lambda: rnn.RNN(3, num_layers=2, bidirectional=True),
}


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("hybrid", [False, True])
def test_hooks_of_a_recurrent_layer_see_what_the_call_returns(name, hybrid):
    layer, seen = LAYERS[name](), []
    layer.initialize()
    layer.register_forward_hook(lambda block, inputs, output: seen.append((inputs, output)))
    if hybrid:
        with pytest.warns(UserWarning, match="hook"):
            layer.hybridize()
    x = nd.ones((2, 2, 4))
    states = layer.begin_state(2)
    for _ in range(2):
        output = layer(x)
        assert seen[-1][1] is output
        assert isinstance(seen[-1][0][1], list)
        both = layer(x, states)
        assert seen[-1][1] is both
        np.testing.assert_array_equal(both[0].asnumpy(), output.asnumpy())


@pytest.mark.parametrize("name", LAYERS)
def test_a_file_of_a_recurrent_layer_has_the_outputs_of_its_calls(name, tmp_path):
    layer = LAYERS[name]()
    layer.initialize()
    layer.hybridize()
    x, states = nd.ones((2, 2, 4)), layer.begin_state(2)
    inputs = ["data0", *(f"data{i + 1}" for i in range(len(states)))]

    def imported():
        layer.export(str(tmp_path / "layer"))
        block = gluon.SymbolBlock.imports(
            str(tmp_path / "layer-symbol.json"), inputs, str(tmp_path / "layer-0000.params")
        )
        return block(x, *states)

    output = layer(x)
    np.testing.assert_array_equal(imported().asnumpy(), output.asnumpy())
    output, after = layer(x, states)
    for one, other in zip(imported(), [output, *after], strict=True):
        np.testing.assert_array_equal(one.asnumpy(), other.asnumpy())


def test_a_symbol_block_called_with_other_arguments_says_what_its_inputs_are():
    a, b, c = (mx.sym.var(name) for name in "abc")
    x = nd.ones((2,))
    flat, nested = gluon.SymbolBlock(a + b, [a, b]), gluon.SymbolBlock(a + b * c, [a, [b, c]])
    for block, args in [(flat, (x,)), (flat, (x, x, x)), (flat, (x, [x])), (nested, (x, x, x))]:
        with pytest.raises(ValueError, match=r"the arguments a, b(, c)? are needed, nested as"):
            block(*args)
    assert flat(x, x).asnumpy().tolist() == [2, 2]
    assert nested(x, [x, x]).asnumpy().tolist() == [2, 2]
    with pytest.raises(ValueError, match="nested as"):
        nested(x, x, x)


def test_a_file_with_a_parameter_too_many_is_an_assertion_error_of_dictionaries(tmp_path):
    dense = nn.Dense(2, in_units=2, prefix="fc_")
    arrays = {"fc_weight": nd.ones((2, 2)), "fc_bias": nd.ones((2,)), "more": nd.ones((1,))}
    file = str(tmp_path / "more.params")
    nd.save(file, arrays)
    for load in (
        lambda: dense.collect_params().load(file),
        lambda: dense.collect_params().load_dict(arrays),
    ):
        with pytest.raises(AssertionError, match=r"'more' .*ignore_extra"):
            load()
    assert dense.weight._data is None


def test_values_and_gradients_of_a_parameter_can_be_dropped_in_any_order():
    for order in (("_data", "_grad"), ("_grad", "_data")):
        parameter = gluon.Parameter("w", shape=(2,))
        parameter.initialize()
        for name in order:
            setattr(parameter, name, None)
        assert parameter._data is None
        assert parameter._grad is None
        parameter.initialize(mx.init.One())
        assert parameter.grad().asnumpy().tolist() == [0, 0]
        with pytest.raises(TypeError, match=r"Parameter w: expected an initializer .* got None"):
            parameter.initialize(default_init=None, force_reinit=True)
        assert parameter.data().asnumpy().tolist() == [1, 1]


def test_blocks_of_a_residual_block_are_called_in_the_order_of_mxnet():
    block = gluon.model_zoo.vision.BasicBlockV1(4, 2, downsample=True, in_channels=2)
    block.initialize()
    called = []
    for part in (block.body, block.downsample):
        part.register_forward_hook(lambda part, inputs, output: called.append(part))
    block(nd.ones((1, 2, 4, 4)))
    assert called == [block.body, block.downsample]


INITIAL = {
    "one": (mx.init.One(), 1),
    "constant": (mx.init.Constant(2), 2),
    "uniform": (mx.init.Uniform(), None),
    "normal": (mx.init.Normal(), None),
}


@pytest.mark.parametrize("name", INITIAL)
def test_a_parameter_without_axes_under_numpy_shapes(name, tmp_path):
    """Each way to write all of an array without axes is used here."""
    initializer, value = INITIAL[name]
    with mx.np_shape(True):
        net = Scaled()
        net.initialize(initializer)
        start = float(net.w.data())
        assert start == value or (value is None and start != 0)
        trainer = gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": 0.5})
        for hybrid in (False, True):
            net.hybridize(hybrid)
            with autograd.record():
                loss = net(nd.array([1, 2])).sum()
            loss.backward()
            assert net.w.grad().shape == ()
            assert float(net.w.grad()) == 3
            trainer.step(1)
        np.testing.assert_allclose(float(net.w.data()), start - 3, rtol=1e-6)
        file = str(tmp_path / "scaled.params")
        net.save_parameters(file)
        net.w.set_data(nd.array(5))
        net.w.zero_grad()
        assert (float(net.w.data()), float(net.w.grad())) == (5, 0)
        net.load_parameters(file)
        np.testing.assert_allclose(float(net.w.data()), start - 3, rtol=1e-6)
        x = net.w.data()
        assert x[:] is x
        with pytest.raises(IndexError):
            x[0:1] = 3


class Scaled(gluon.HybridBlock):
    def __init__(self):
        super().__init__()
        self.w = self.params.get("w", shape=())

    def hybrid_forward(self, F, x, w):
        return F.broadcast_mul(x, w)
