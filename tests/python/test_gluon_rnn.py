"""``gluon.rnn`` and ``gluon.contrib.rnn``: hybridized and eager, fused and not, masks, lengths."""

import numpy as np
import pytest

import mxtape as mx
from mxtape import autograd, gluon, nd
from mxtape.gluon import rnn
from mxtape.gluon.contrib import rnn as contrib


@pytest.fixture(autouse=True)
def _seed():
    mx.random.seed(7)


def close(left, right):
    """Equal but for rounding, of sums as large as the largest element."""
    left, right = left.asnumpy(), right.asnumpy()
    np.testing.assert_allclose(left, right, rtol=2e-5, atol=4e-6 * max(1, np.abs(right).max()))


def uniform(*shape):
    return nd.array(np.random.RandomState(5).uniform(-1, 1, shape))


def stack(kind=rnn.HybridSequentialRNNCell):
    cells = kind()
    with cells.name_scope():
        cells.add(rnn.LSTMCell(3))
        cells.add(rnn.DropoutCell(0.3))
        cells.add(rnn.ZoneoutCell(rnn.GRUCell(4), 0.1, 0.1))
        cells.add(rnn.ResidualCell(rnn.RNNCell(4)))
    return cells


CELLS = {
    "rnn": lambda: rnn.RNNCell(3),
    "block": lambda: rnn.RNNCell(3, gluon.nn.Activation("relu")),
    "leaky": lambda: rnn.LSTMCell(3, activation=gluon.nn.LeakyReLU(0.1)),
    "lstm": lambda: rnn.LSTMCell(3),
    "gru": lambda: rnn.GRUCell(3),
    "zoneout": lambda: rnn.ZoneoutCell(rnn.LSTMCell(3), 0.5, 0.5),
    "residual": lambda: rnn.ResidualCell(rnn.GRUCell(2)),
    "stack": stack,
    "variational": lambda: contrib.VariationalDropoutCell(rnn.LSTMCell(3), 0.5, 0.5, 0.5),
    "lstmp": lambda: contrib.LSTMPCell(4, 3),
}


class Unrolled(gluon.HybridBlock):
    """A cell over a sequence, as a block."""

    def __init__(self, cell, steps, with_lengths):
        super().__init__()
        self.cell, self.steps, self.with_lengths = cell, steps, with_lengths

    def hybrid_forward(self, F, x, lengths):
        options = {"valid_length": lengths} if self.with_lengths else {}
        return self.cell.unroll(self.steps, x, merge_outputs=True, **options)


@pytest.mark.parametrize("with_lengths", [False, True])
@pytest.mark.parametrize("name", [*CELLS, "bidirectional"])
def test_hybridized_unrolling_is_the_eager_one(name, with_lengths):
    make = CELLS.get(name, lambda: rnn.BidirectionalCell(rnn.LSTMCell(3), rnn.GRUCell(2)))
    block = Unrolled(make(), 4, with_lengths)
    block.initialize()
    x, lengths = uniform(2, 4, 2), nd.array([1, 3])
    x.attach_grad()
    found = []
    for active in (False, True):
        block.hybridize(active)
        # Outside of train mode, so that nothing is drawn.
        with autograd.record(train_mode=False):
            output, states = block(x, lengths)
            total = output.square().sum() + sum(state.sum() for state in states)
        total.backward(train_mode=False)
        params = block.collect_params().values()
        found.append([output, *states, x.grad.copy(), *(p.grad().copy() for p in params)])
    for eager, hybridized in zip(*found):
        close(eager, hybridized)


@pytest.mark.parametrize("name", CELLS)
def test_hybridized_steps_are_the_eager_ones(name):
    cell = CELLS[name]()
    cell.initialize()
    x, found = uniform(3, 2, 2), []
    for active in (False, True):
        cell.hybridize(active)
        cell.reset()
        states, outputs = cell.begin_state(batch_size=2, func=nd.zeros), []
        for step in x:
            output, states = cell(step, states)
            outputs.append(output)
        found.append([*outputs, *states])
    for eager, hybridized in zip(*found):
        close(eager, hybridized)


def test_a_cast_cell_is_traced_again():
    cell = contrib.VariationalDropoutCell(rnn.ZoneoutCell(rnn.RNNCell(3), 0.5), 0.5)
    cell.initialize()
    cell.hybridize()
    for dtype in ("float32", "float64"):
        cell.cast(dtype)
        states = cell.begin_state(batch_size=2, func=nd.zeros, dtype=dtype)
        assert cell(nd.ones((2, 2), dtype=dtype), states)[0].dtype == np.dtype(dtype)


LAYERS = {
    "rnn": lambda **options: rnn.RNN(3, 2, activation="tanh", **options),
    "lstm": lambda **options: rnn.LSTM(3, 2, **options),
    "gru": lambda **options: rnn.GRU(3, 2, **options),
}


@pytest.mark.parametrize("options", [{}, {"bidirectional": True, "layout": "NTC"}])
@pytest.mark.parametrize("name", LAYERS)
def test_layers_compute_what_their_cells_do(name, options):
    layer = LAYERS[name](**options)
    layer.initialize(mx.init.Uniform(0.7))
    layer.hybridize()
    x = uniform(4, 2, 5) if layer._layout == "TNC" else uniform(2, 4, 5)
    x.attach_grad()
    layer(x)
    cells = layer._unfuse()
    assert list(cells.collect_params()) == list(layer.collect_params())

    def unroll(x):
        return cells.unroll(4, x, layout=layer._layout, merge_outputs=True)[0]

    found = []
    for call in (layer, unroll):
        with autograd.record():
            output = call(x)
            total = (output * nd.arange(output.size).reshape(output.shape)).sum()
        total.backward()
        params = layer.collect_params().values()
        found.append([output, x.grad.copy(), *(p.grad().copy() for p in params)])
    for fused, unfused in zip(*found):
        close(fused, unfused)


@pytest.mark.parametrize("name", LAYERS)
def test_layers_end_at_the_length_of_each_sample(name):
    layer = LAYERS[name](use_sequence_length=True, bidirectional=True)
    layer.initialize(mx.init.Uniform(0.7))
    x, lengths = uniform(4, 3, 2), nd.array([1, 4, 2])
    output, states = layer(x, layer.begin_state(3), lengths)
    expected, cell_states = layer._unfuse().unroll(
        4, x, layout="TNC", merge_outputs=True, valid_length=lengths
    )
    close(output, expected)
    # The states of a layer are of all its cells: the first kind of each cell, then the second.
    kinds = len(states)
    for kind, state in enumerate(states):
        close(state, nd.stack(*cell_states[kind::kinds], axis=0))
    with pytest.raises(ValueError, match="sequence_length must be given"):
        layer(x)


def test_a_projected_layer_computes_what_its_cell_does():
    layer = rnn.LSTM(5, projection_size=3, input_size=2)
    cell = contrib.LSTMPCell(5, 3, input_size=2)
    layer.initialize(mx.init.Uniform(0.7))
    cell.initialize()
    for name, parameter in cell._reg_params.items():
        parameter.set_data(layer._reg_params[f"l0_{name}"].data())
    x = uniform(4, 2, 2)
    output, states = layer(x, layer.begin_state(2))
    expected, cell_states = cell.unroll(4, x, layout="TNC", merge_outputs=True)
    close(output, expected)
    for state, of_cell in zip(states, cell_states):
        close(state[0], of_cell)


def test_the_memory_is_clipped():
    layer = rnn.LSTM(3, state_clip_min=-0.01, state_clip_max=0.02, input_size=2)
    layer.initialize(mx.init.Uniform(0.7))
    memory = layer(uniform(4, 2, 2), layer.begin_state(2))[1][1]
    assert memory.min().item() >= -0.0101
    assert memory.max().item() <= 0.0201


def test_layers_learn_their_sizes_inside_of_a_graph():
    class Net(gluon.HybridBlock):
        def __init__(self):
            super().__init__()
            with self.name_scope():
                self.words = gluon.nn.Embedding(10, 6)
                self.layer = rnn.GRU(7, 2, bidirectional=True, layout="NTC")
                self.out = gluon.nn.Dense(3, flatten=False)

        def hybrid_forward(self, F, x):
            return self.out(self.layer(self.words(x)))

    net = Net()
    net.initialize()
    net.hybridize()
    assert net(nd.array([[1, 2, 3]])).shape == (1, 3, 3)
    shapes = [getattr(net.layer, f"{lane}_i2h_weight").shape for lane in ("l0", "r0", "l1")]
    assert shapes == [(21, 6), (21, 6), (21, 14)]


def test_files_of_layers_have_the_names_of_cells(tmp_path):
    net = gluon.nn.Sequential()
    net.add(rnn.LSTM(2, 2, input_size=2, dropout=0.5))
    net.initialize()
    path = str(tmp_path / "net.params")
    net.save_parameters(path)
    assert "0._unfused.1.h2h_bias" in nd.load(path)
    other = gluon.nn.Sequential()
    other.add(rnn.LSTM(2, 2, input_size=2))
    other.load_parameters(path)
    close(other(nd.ones((3, 1, 2))), net(nd.ones((3, 1, 2))))


def test_rates_of_zoneout_can_be_changed():
    cell = rnn.ZoneoutCell(rnn.RNNCell(50, activation=lambda x, **kwargs: x + 1, input_size=2))
    cell.initialize()
    cell.zoneout_outputs = cell.zoneout_states = 0.5
    with autograd.record():
        output, states = cell(nd.ones((1, 2)), [nd.zeros((1, 50))])
    for values in (output, states[0]):
        assert 0 < (values.asnumpy() == 0).mean() < 1


def test_a_state_at_length_0_is_the_first_one():
    cell = rnn.RNNCell(3, input_size=2)
    cell.initialize()
    begin = [uniform(2, 3)]
    states = cell.unroll(3, uniform(2, 3, 2), begin, valid_length=nd.array([0, 2]))[1]
    close(states[0][0], begin[0][0])


@pytest.mark.parametrize("drop_states", [0, 0.5])
def test_variational_dropout_drops_the_same_in_all_steps(drop_states):
    ones = rnn.RNNCell(40, activation=lambda x, **kwargs: mx.nd.ones_like(x), input_size=40)
    cell = contrib.VariationalDropoutCell(ones, 0.5, drop_states, 0.5)
    cell.initialize()
    with autograd.record():
        outputs, _ = cell.unroll(3, nd.ones((2, 3, 40)), merge_outputs=True)
    steps = outputs.asnumpy()
    assert set(np.unique(steps)) == {0, 2}
    assert (steps == steps[:, :1]).all()
    assert (steps[0] != steps[1]).any()
    with autograd.record():
        again, _ = cell.unroll(3, nd.ones((2, 3, 40)), merge_outputs=True)
    assert (again.asnumpy() != steps).any()


@pytest.mark.parametrize("drops", [(0, 0, 0), (0.5, 0, 0), (0, 0, 0.5)])
def test_variational_dropout_of_whole_sequences_merges_by_default(drops):
    cell = contrib.VariationalDropoutCell(rnn.RNNCell(4, prefix="rnn_"), *drops)
    cell.initialize()
    for inputs in (nd.ones((2, 3, 5)), [nd.ones((2, 5))] * 3):
        assert cell.unroll(3, inputs)[0].shape == (2, 3, 4)
        assert len(cell.unroll(3, inputs, merge_outputs=False)[0]) == 3


def test_zoneout_keeps_the_last_output_and_state():
    count = rnn.RNNCell(200, activation=lambda x, **kwargs: mx.nd.ones_like(x), input_size=2)
    cell = rnn.ZoneoutCell(count, zoneout_outputs=0.25, zoneout_states=0.25)
    cell.initialize()
    with autograd.record():
        outputs, states = cell.unroll(1, nd.ones((50, 1, 2)))
    for values in (outputs[0].asnumpy(), states[0].asnumpy()):
        assert set(np.unique(values)) == {0, 1}
        assert abs((values == 0).mean() - 0.25) < 0.02


def test_dynamic_unrolling_as_one_node():
    cell = rnn.GRUCell(3, input_size=2)
    cell.initialize()
    unroll = contrib.rnn_cell.dynamic_unroll
    x, lengths = uniform(4, 2, 2), nd.array([1, 3])
    outputs, states = unroll(cell, x, cell.begin_state(2), valid_length=lengths)
    expected, last = cell.unroll(4, x, layout="TNC", merge_outputs=True, valid_length=lengths)
    close(outputs, expected)
    close(states[0], last[0])
    names = ("x", "begin", "lengths")
    x_, begin, lengths_ = map(mx.sym.var, names)
    graph = mx.sym.Group([*flat(unroll(cell, x_, [begin], valid_length=lengths_))])
    params = {name: p.data() for name, p in cell.collect_params().items()}
    values = dict(zip(names, (x, nd.zeros((2, 3)), lengths)))
    for value, want in zip(graph.eval(**values, **params), (outputs, *states)):
        close(value, want)


def flat(x):
    return [z for y in x for z in flat(y)] if isinstance(x, (list, tuple)) else [x]


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda: rnn.LSTM(3, layout="NCT"), AssertionError, "'TNC' or 'NTC'"),
        (lambda: rnn.RNN(3, activation="sigmoid"), ValueError, "'relu' or 'tanh'"),
        (lambda: rnn.LSTM(3, projection_size=2)._unfuse(), AssertionError, "projection"),
        (lambda: rnn.ZoneoutCell(rnn.ZoneoutCell(rnn.RNNCell(3)).base_cell), AssertionError, "mod"),
        (lambda: rnn.ZoneoutCell(both()), AssertionError, "no single steps"),
        (lambda: rnn.RNNCell(3).unroll(2, nd.ones((1, 3, 2))), AssertionError, "length is 2"),
        (lambda: rnn.RNNCell(3).unroll(2, [], layout="XY"), AssertionError, "layout"),
        (lambda: rnn.SequentialRNNCell().hybrid_forward(1), NotImplementedError, "Hybrid"),
        (lambda: contrib.Conv2DRNNCell((2, 5), 3, 3, 3), AssertionError, "3 extents"),
        (lambda: rnn.LSTM(3)(np.ones((3, 2, 4), "float32")), ValueError, "inputs must be"),
        (lambda: rnn.GRU(3)([nd.ones((2, 4))] * 3), ValueError, "inputs must be"),
        (
            lambda: initialized(rnn.GRUCell(3)).unroll(1, nd.ones((2, 1, 3)), valid_length=[1, 1]),
            AssertionError,
            "valid_length must be",
        ),
    ],
)
def test_errors(call, kind, words):
    with pytest.raises(kind, match=words):
        call()


def initialized(block):
    block.initialize()
    return block


def both():
    return rnn.BidirectionalCell(rnn.RNNCell(3), rnn.RNNCell(3))
