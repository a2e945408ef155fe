"""``mx.gluon.rnn`` and ``gluon.contrib.rnn``: names, states, values, gradients, files, errors."""

import functools
import json
import os
import tempfile

import numpy as np
from harness import array, attempt, case, data, head_like


def fill(mx, block):
    """Values for the parameters that do not depend on a random generator."""
    for i, parameter in enumerate(block.collect_params().values()):
        values = data(parameter.shape, -1, 1, seed=800 + i)
        parameter.set_data(array(mx, values.astype(np.dtype(parameter.dtype).name)))


def flat(x):
    return [z for y in x for z in flat(y)] if isinstance(x, (list, tuple)) else [x]


def parameters(block):
    """Name, shape, initializer and dtype of each parameter."""
    return [
        [name, p.shape, p.init if isinstance(p.init, str) else None, np.dtype(p.dtype)]
        for name, p in block.collect_params().items()
    ]


def learnt(mx, block, x, call, train_mode=True):
    """What ``call(x)`` gives once the block is filled, and the gradients."""
    x.attach_grad()
    with mx.autograd.record(train_mode=train_mode):
        # An output that is a state too is one head for MXNet, and two here.
        result = [y * 1 for y in flat(call(x))]
    mx.autograd.backward(result, [head_like(mx, y) for y in result], train_mode=train_mode)
    grads = [p.grad() for p in block.collect_params().values()]
    return {"out": result, "grad": [x.grad, *grads]}


def stack(mx, kind):
    rnn = mx.gluon.rnn
    whole = kind(prefix="stack_")
    with whole.name_scope():
        whole.add(rnn.LSTMCell(3))
        whole.add(rnn.DropoutCell(0.3))
        whole.add(rnn.ZoneoutCell(rnn.GRUCell(2), 0.1, 0.1))
        whole.add(rnn.ResidualCell(rnn.RNNCell(2)))
    return whole


# By name: the cell, and the shape of a step's input.
CELLS = {
    "rnn": lambda mx: mx.gluon.rnn.RNNCell(3),
    "rnn relu": lambda mx: mx.gluon.rnn.RNNCell(3, activation="relu", prefix="r_"),
    "rnn softrelu": lambda mx: mx.gluon.rnn.RNNCell(3, "softrelu", input_size=2),
    "lstm": lambda mx: mx.gluon.rnn.LSTMCell(3, h2h_bias_initializer="ones"),
    "lstm activations": lambda mx: mx.gluon.rnn.LSTMCell(
        3, activation="softsign", recurrent_activation="relu"
    ),
    "gru": lambda mx: mx.gluon.rnn.GRUCell(3, prefix="g_"),
    "dropout": lambda mx: mx.gluon.rnn.DropoutCell(0.3, axes=(1,)),
    "zoneout": lambda mx: mx.gluon.rnn.ZoneoutCell(mx.gluon.rnn.LSTMCell(3), 0.1, 0.2),
    "residual": lambda mx: mx.gluon.rnn.ResidualCell(mx.gluon.rnn.GRUCell(2)),
    "bidirectional": lambda mx: mx.gluon.rnn.BidirectionalCell(
        mx.gluon.rnn.LSTMCell(3), mx.gluon.rnn.GRUCell(2)
    ),
    "stack": lambda mx: stack(mx, mx.gluon.rnn.SequentialRNNCell),
    "hybrid stack": lambda mx: stack(mx, mx.gluon.rnn.HybridSequentialRNNCell),
    "lstmp": lambda mx: mx.gluon.contrib.rnn.LSTMPCell(4, 3),
    "variational": lambda mx: mx.gluon.contrib.rnn.VariationalDropoutCell(
        mx.gluon.rnn.LSTMCell(3), 0.1, 0.2, 0.3
    ),
    "variational outputs": lambda mx: mx.gluon.contrib.rnn.VariationalDropoutCell(
        mx.gluon.rnn.RNNCell(3), 0.1, 0.0, 0.3
    ),
    "conv1d rnn": lambda mx: mx.gluon.contrib.rnn.Conv1DRNNCell((2, 5), 3, 3, 3),
    "conv2d lstm, dilated": lambda mx: mx.gluon.contrib.rnn.Conv2DLSTMCell(
        (2, 3, 3), 2, 3, 3, i2h_pad=2, i2h_dilate=2, h2h_dilate=2
    ),
    "conv2d rnn": lambda mx: mx.gluon.contrib.rnn.Conv2DRNNCell((2, 3, 4), 2, (3, 1), (1, 3)),
    "conv2d lstm": lambda mx: mx.gluon.contrib.rnn.Conv2DLSTMCell((2, 3, 3), 2, 3, 3, (1, 1)),
    "conv2d gru": lambda mx: mx.gluon.contrib.rnn.Conv2DGRUCell((2, 3, 3), 2, 3, 3, 1),
    "conv3d rnn": lambda mx: mx.gluon.contrib.rnn.Conv3DRNNCell((1, 2, 2, 2), 1, 1, 3),
}
STEPS = {"conv1d": (2, 5), "conv2d rnn": (2, 3, 4), "conv2d": (2, 3, 3), "conv3d": (1, 2, 2, 2)}
# Cells that draw numbers in training.
RANDOM = ("dropout", "zoneout", "stack", "hybrid stack", "variational", "variational outputs")


def sequence(mx, name, steps=3, batch=2):
    step = next((shape for key, shape in STEPS.items() if name.startswith(key)), (2,))
    return array(mx, data((batch, steps, *step), -1, 1, seed=81))


def unrolled(mx, name, **options):
    """A cell unrolled, filled and unrolled again."""
    cell = CELLS[name](mx)
    cell.initialize()
    x = sequence(mx, name)
    if options.get("layout", "")[:1] == "T":
        x = mx.nd.swapaxes(x, 0, 1)
    layout = options.pop("layout", "NTC")
    valid = options.pop("valid", None)
    if valid is not None:
        options["valid_length"] = mx.nd.array(valid)
    cell.unroll(3, x, layout=layout)
    fill(mx, cell)
    got = []

    def call(x):
        outputs, states = cell.unroll(3, x, layout=layout, **options)
        got.append(isinstance(outputs, list))
        return outputs, states

    result = learnt(mx, cell, x, call, train_mode=name not in RANDOM)
    return {"list": got[0], **result}


def facts(mx, name):
    cell = CELLS[name](mx)
    before = repr(cell)
    known = {
        "names": [cell.prefix, cell.name, list(cell._children)],
        "parameters": parameters(cell),
        "states": cell.state_info(4),
        "symbols": [s.name for s in cell.begin_state(func=mx.sym.zeros)],
        "begin": [[s.shape, s.dtype] for s in cell.begin_state(func=mx.nd.ones, batch_size=2)],
    }
    cell.initialize()
    cell.unroll(3, sequence(mx, name))
    step = attempt(lambda: arguments(mx, CELLS[name](mx)))
    return {**known, "repr": [before, repr(cell)], "step": step}


def arguments(mx, cell):
    output, states = cell(mx.sym.var("x"), cell.begin_state(func=mx.sym.Variable))
    return mx.sym.Group([output, *states]).list_arguments()


for cell in CELLS:
    case(lambda mx, name=cell: facts(mx, name), name=f"{cell}: names")
    case(lambda mx, name=cell: unrolled(mx, name), name=f"{cell}: unroll")
    if not cell.startswith("conv"):
        case(
            lambda mx, name=cell: unrolled(mx, name, layout="TNC", merge_outputs=True),
            name=f"{cell}: merged, TNC",
        )
        # MXNet cannot join both directions of samples that end at different steps, NTC.
        layout = "TNC" if cell == "bidirectional" else "NTC"
        case(
            lambda mx, name=cell, layout=layout: unrolled(mx, name, valid=[1, 3], layout=layout),
            name=f"{cell}: valid_length",
        )
        case(
            lambda mx, name=cell: unrolled(mx, name, valid=[2, 1], merge_outputs=False),
            name=f"{cell}: valid_length, a list",
        )


def step(cell, states, x):
    return cell(x, states)


@case
def step_of_cells(mx):
    """One step from given states; the block as an activation."""
    cells = {
        "leaky": mx.gluon.rnn.RNNCell(3, mx.gluon.nn.LeakyReLU(0.1), input_size=2),
        "function": mx.gluon.rnn.RNNCell(3, lambda x, name: mx.nd.sin(x), input_size=2),
        "lstm": mx.gluon.rnn.LSTMCell(3, input_size=2),
        "gru": mx.gluon.rnn.GRUCell(3, input_size=2),
    }
    results = {}
    for name, cell in cells.items():
        cell.initialize()
        fill(mx, cell)
        infos = cell.state_info(2)
        states = [array(mx, data(info["shape"], seed=90 + i)) for i, info in enumerate(infos)]
        x = array(mx, data((2, 2), seed=91))
        results[name] = learnt(mx, cell, x, functools.partial(step, cell, states))
    return results


@case
def unroll_of_lists(mx):
    """Steps in a list, one step, states that are given."""
    cell = mx.gluon.rnn.RNNCell(3, input_size=2)
    cell.initialize()
    fill(mx, cell)
    steps = [array(mx, data((2, 2), seed=92 + i)) for i in range(3)]
    begin = [array(mx, data((2, 3), seed=95))]
    return [
        cell.unroll(3, steps),
        cell.unroll(3, steps, begin_state=begin, merge_outputs=True),
        cell.unroll(1, mx.nd.ones((2, 1, 2))),
        cell.unroll(3, steps, layout="TNC", merge_outputs=True),
    ]


@case
def dynamic_unroll(mx):
    cell = mx.gluon.rnn.LSTMCell(3, input_size=2)
    cell.initialize()
    fill(mx, cell)
    unroll = mx.gluon.contrib.rnn.rnn_cell.dynamic_unroll
    x = array(mx, data((4, 2, 2), seed=93))
    results = []
    for layout, valid in (("TNC", None), ("TNC", [1, 4]), ("TNC", [0, 2]), ("NTC", [2, 3])):
        inputs = x if layout == "TNC" else mx.nd.swapaxes(x, 0, 1)
        lengths = None if valid is None else mx.nd.array(valid)
        outputs, states = unroll(
            cell, inputs, cell.begin_state(batch_size=2), layout=layout, valid_length=lengths
        )
        results.append([outputs, list(states)])
    return results


# ---- layers. MXNet's do not clip states, nor end at different steps, except on GPUs.

LAYERS = {
    "rnn": lambda rnn: rnn.RNN(3),
    "rnn tanh": lambda rnn: rnn.RNN(2, 2, "tanh", bidirectional=True, dropout=0.2, input_size=2),
    "lstm": lambda rnn: rnn.LSTM(3, 2, prefix="l_", i2h_bias_initializer="ones"),
    "lstm NTC": lambda rnn: rnn.LSTM(2, layout="NTC", bidirectional=True),
    "lstm float64": lambda rnn: rnn.LSTM(3, dtype="float64"),
    "gru": lambda rnn: rnn.GRU(3, 2, bidirectional=True),
    "gru NTC": lambda rnn: rnn.GRU(3, layout="NTC", input_size=2),
}


def sequence_for(mx, layer):
    shape = (4, 2, 2) if layer._layout == "TNC" else (2, 4, 2)
    return array(mx, data(shape, -1, 1, seed=82, dtype=str(np.dtype(layer._dtype).name)))


def of_layer(mx, name, given=True):
    layer = LAYERS[name](mx.gluon.rnn)
    before, infos = repr(layer), [layer.state_info(2), layer.state_info()]
    known = parameters(layer)
    layer.initialize()
    x = sequence_for(mx, layer)
    layer(x)
    fill(mx, layer)
    dtype = np.dtype(layer._dtype).name
    states = [
        array(mx, data(info["shape"], -1, 1, seed=83 + i, dtype=dtype))
        for i, info in enumerate(layer.state_info(2))
    ]
    # MXNet keeps the gradient only where training is recorded; dropout is off.
    result = learnt(
        mx,
        layer,
        x,
        (lambda x: layer(x, states)) if given else layer,
        train_mode=layer._dropout == 0,
    )
    return {
        "names": [layer.prefix, before, repr(layer)],
        "parameters": known,
        "states": infos,
        "begin": [[s.shape, s.dtype] for s in layer.begin_state(2)],
        "symbols": [s.name for s in layer.begin_state(2, func=mx.sym.zeros)],
        "files": list(layer._collect_params_with_prefix()),
        **result,
    }


for layer in LAYERS:
    case(lambda mx, name=layer: of_layer(mx, name), name=f"layer {layer}")
    case(lambda mx, name=layer: of_layer(mx, name, False)["out"], name=f"layer {layer}, no states")


def graph(outputs):
    """A line for each node, with its name, inputs and attributes."""
    tree = json.loads(outputs.tojson())
    names = [node["name"] for node in tree["nodes"]]
    lines = []
    for node in tree["nodes"]:
        inputs = " ".join(f"{names[i]}[{k}]" for i, k, _ in node["inputs"])
        attributes = json.dumps(node.get("attrs", {}), sort_keys=True)
        lines.append(f"{node['op']} {node['name']} ({inputs}) {attributes}")
    return lines


@case
def graphs(mx):
    """What layers and cells make of symbols, as files have it."""
    rnn, x = mx.gluon.rnn, mx.sym.var("x")
    cells = {name: CELLS[name](mx) for name in ("rnn", "lstm", "gru", "residual", "hybrid stack")}
    steps = {
        name: graph(mx.sym.Group(flat(cell(x, cell.begin_state(func=mx.sym.zeros)))))
        for name, cell in cells.items()
    }
    layers = {
        "lstm": rnn.LSTM(3, 2, bidirectional=True, dropout=0.2),
        "gru": rnn.GRU(3, layout="NTC"),
        "clip": rnn.LSTM(3, state_clip_min=-1, state_clip_max=1, projection_size=2),
    }
    unrolled = CELLS["rnn"](mx).unroll(2, x, merge_outputs=True)
    return {
        "steps": steps,
        "layers": {name: graph(layer(x)) for name, layer in layers.items()},
        "unrolled": graph(mx.sym.Group(flat(unrolled))),
    }


@case
def projection(mx):
    """Layers with a projection; MXNet does not train them on CPUs."""
    layer = mx.gluon.rnn.LSTM(4, 2, projection_size=3, bidirectional=True, prefix="p_")
    layer.initialize()
    known, infos = parameters(layer), layer.state_info(2)
    x = sequence_for(mx, layer)
    layer(x)
    fill(mx, layer)
    out, states = layer(x, layer.begin_state(2))
    return [known, infos, list(layer._collect_params_with_prefix()), repr(layer), out, states]


@case
def unfused(mx):
    """The cells of layers: names, files, values; a file of the cells has other names."""
    results = {}
    for name in ("rnn tanh", "lstm", "lstm NTC", "gru NTC"):
        layer = LAYERS[name](mx.gluon.rnn)
        layer.initialize()
        x = sequence_for(mx, layer)
        layer(x)
        fill(mx, layer)
        cells = layer._unfuse()
        outputs, states = cells.unroll(4, x, layout=layer._layout, merge_outputs=True)
        results[name] = [
            repr(cells),
            cells.prefix,
            list(cells.collect_params().keys()),
            list(cells._collect_params_with_prefix()),
            outputs,
            states,
        ]
    return results


@case
def files(mx):
    """A network with a layer, saved and loaded; by names of parameters too."""
    net = mx.gluon.nn.Sequential(prefix="net_")
    with net.name_scope():
        net.add(mx.gluon.rnn.LSTM(2, 2, bidirectional=True, input_size=2))
    net.initialize()
    fill(mx, net)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "net.params")
        net.save_parameters(path)
        saved = mx.nd.load(path)
        for parameter in net.collect_params().values():
            parameter.set_data(parameter.data() * 0)
        net.load_parameters(path)
        return [sorted(saved), net(mx.nd.ones((3, 1, 2)))]


@case
def cast(mx):
    layer = mx.gluon.rnn.GRU(2, input_size=2)
    layer.initialize()
    fill(mx, layer)
    layer.cast("float64")
    states = layer.begin_state(1)
    out, states = layer(mx.nd.ones((2, 1, 2), dtype="float64"), states)
    cell = mx.gluon.rnn.GRUCell(2, input_size=2)
    cell.initialize()
    fill(mx, cell)
    cell.cast("float64")
    begin = cell.begin_state(1, dtype="float64")
    return [out, states, cell(mx.nd.ones((1, 2), dtype="float64"), begin)]


@case
def sharing(mx):
    """Cells and layers that are given the parameters of others."""
    rnn = mx.gluon.rnn
    first = rnn.LSTMCell(2, input_size=2, prefix="a_")
    second = rnn.LSTMCell(2, input_size=2, prefix="b_", params=first.params)
    layer = rnn.LSTM(2, input_size=2, prefix="c_")
    other = rnn.LSTM(2, input_size=2, prefix="d_", params=layer.params)
    return [
        list(second.collect_params().keys()),
        second.i2h_weight is first.i2h_weight,
        list(other.collect_params().keys()),
        other.l0_h2h_bias is layer.l0_h2h_bias,
    ]


@case
def initializers(mx):
    rnn = mx.gluon.rnn
    cells = [
        rnn.LSTMCell(2, "ones", "zeros", mx.init.LSTMBias(2.0), "ones", input_size=2),
        rnn.LSTM(
            2,
            input_size=2,
            i2h_weight_initializer="ones",
            h2h_weight_initializer=mx.init.Constant(3),
            i2h_bias_initializer=mx.init.LSTMBias(1.5),
        ),
    ]
    for cell in cells:
        cell.initialize(mx.init.Constant(7))
    return [[p.data() for p in cell.collect_params().values()] for cell in cells]


@case
def errors(mx):
    rnn, contrib = mx.gluon.rnn, mx.gluon.contrib.rnn
    gru = rnn.GRUCell(3, input_size=2)
    gru.initialize()
    x = mx.nd.ones((2, 4, 2))
    modified = rnn.LSTMCell(3)
    rnn.ZoneoutCell(modified)
    lstm = rnn.LSTM(3, input_size=2)
    lstm.initialize()

    def both():
        return rnn.BidirectionalCell(rnn.RNNCell(3), rnn.RNNCell(3))

    attempts = [
        lambda: gru.unroll(3, x),
        lambda: gru.unroll(4, [x]),
        lambda: gru.unroll(4, None),
        lambda: gru.unroll(2, mx.sym.split(mx.sym.var("x"), num_outputs=2)),
        lambda: gru(mx.nd.ones((2, 9)), gru.begin_state(2)),
        lambda: modified.begin_state(2),
        lambda: rnn.ZoneoutCell(both()),
        lambda: both()(mx.nd.ones((2, 2)), []),
        lambda: rnn.DropoutCell("x"),
        lambda: rnn.RecurrentCell().state_info(),
        lambda: rnn.HybridRecurrentCell()(mx.nd.ones((1,)), []),
        lambda: contrib.VariationalDropoutCell(both(), drop_states=0.2),
        lambda: contrib.Conv1DRNNCell((2, 5), 3, 3, 2),
        lambda: contrib.Conv1DRNNCell((2, 5), 3, (3, 3), 3),
        lambda: rnn.LSTM(3, layout="NCT"),
        lambda: lstm(mx.nd.ones((2, 4, 2)), lstm.begin_state(7)),
        lambda: lstm(mx.nd.ones((2, 4, 9))),
        lambda: rnn.LSTM(3, projection_size=2)._unfuse(),
    ]
    return [attempt(attempted) for attempted in attempts]
