"""``mx.rnn``: names and graphs of cells and unrolled networks, values, gradients, weights."""

import hashlib
import json
import random

import numpy as np
from harness import attempt, case, data


def nodes(symbol, full=True):
    """The graph as lines, one for each node, if `full`; and a digest of the whole JSON."""
    text = symbol.tojson()
    digest = hashlib.sha256(text.encode()).hexdigest()
    if not full:
        return digest
    tree = json.loads(text)
    names = [node["name"] for node in tree["nodes"]]
    lines = []
    for node in tree["nodes"]:
        inputs = ", ".join(f"{names[i]}[{k}]" for i, k, _ in node["inputs"])
        attributes = json.dumps(node.get("attrs", {}), sort_keys=True)
        lines.append(f"{node['op']} {node['name']}({inputs}) {attributes}")
    heads = " ".join(f"{names[i]}[{k}]" for i, k, *_ in tree["heads"])
    return [*lines, "heads " + heads, digest]


def flat(states):
    return [s for state in states for s in (flat(state) if isinstance(state, list) else [state])]


def unrolled(mx, cell, inputs=None, length=3, full=False, **options):
    """What unroll makes: whether it is a list, and the graph of outputs and states."""
    with mx.name.NameManager():
        outputs, states = cell(mx).unroll(
            length, mx.sym.var("data") if inputs is None else inputs(mx), **options
        )
    listed = isinstance(outputs, list)
    both = mx.sym.Group([*(outputs if listed else [outputs]), *flat(states)])
    return {"listed": listed, "states": [s.name for s in flat(states)], "graph": nodes(both, full)}


def stack(mx, *cells):
    whole = mx.rnn.SequentialRNNCell()
    for cell in cells:
        whole.add(cell)
    return whole


def variables(*names):
    return lambda mx: [mx.sym.var(name) for name in names]


CELLS = {
    "rnn": lambda mx: mx.rnn.RNNCell(3),
    "rnn relu": lambda mx: mx.rnn.RNNCell(3, activation="relu", prefix="r_"),
    "rnn function": lambda mx: mx.rnn.RNNCell(3, activation=mx.sym.sin),
    "lstm": lambda mx: mx.rnn.LSTMCell(3),
    "lstm bias": lambda mx: mx.rnn.LSTMCell(3, prefix="l_", forget_bias=2.0),
    "gru": lambda mx: mx.rnn.GRUCell(3),
    "zoneout": lambda mx: mx.rnn.ZoneoutCell(mx.rnn.LSTMCell(3), 0.1, 0.2),
    "zoneout outputs": lambda mx: mx.rnn.ZoneoutCell(mx.rnn.RNNCell(3), 0.1),
    "zoneout states": lambda mx: mx.rnn.ZoneoutCell(mx.rnn.GRUCell(3), 0.0, 0.2),
    "residual": lambda mx: mx.rnn.ResidualCell(mx.rnn.GRUCell(4)),
    "conv rnn": lambda mx: mx.rnn.ConvRNNCell((1, 2, 4, 4), 3),
    "conv lstm": lambda mx: mx.rnn.ConvLSTMCell(
        (1, 2, 4, 4), 3, i2h_weight_initializer=mx.init.One(), h2h_weight_initializer="zeros"
    ),
    "conv gru": lambda mx: mx.rnn.ConvGRUCell(
        (1, 2, 4, 4), 3, activation="tanh", h2h_kernel=(3, 5), h2h_dilate=(2, 1), prefix="g_"
    ),
    "stack": lambda mx: stack(
        mx, mx.rnn.LSTMCell(3, prefix="a_"), mx.rnn.DropoutCell(0.5), mx.rnn.GRUCell(4, prefix="b_")
    ),
    "stack of modifiers": lambda mx: stack(
        mx,
        mx.rnn.ZoneoutCell(mx.rnn.RNNCell(4), 0.1, 0.1),
        mx.rnn.ResidualCell(mx.rnn.RNNCell(4, prefix="k_")),
    ),
    "dropout": lambda mx: mx.rnn.DropoutCell(0.3),
    "no dropout": lambda mx: mx.rnn.DropoutCell(0.0),
}
WHOLE = {
    "bidirectional": lambda mx: mx.rnn.BidirectionalCell(
        mx.rnn.RNNCell(3, prefix="l_"), mx.rnn.LSTMCell(3, prefix="r_"), output_prefix="both_"
    ),
    "bidirectional in a residual": lambda mx: mx.rnn.ResidualCell(
        mx.rnn.BidirectionalCell(mx.rnn.GRUCell(2, prefix="l_"), mx.rnn.GRUCell(2, prefix="r_"))
    ),
    "bidirectional fused": lambda mx: mx.rnn.BidirectionalCell(
        mx.rnn.FusedRNNCell(3, prefix="l_"), mx.rnn.FusedRNNCell(3, mode="gru", prefix="r_")
    ),
    "fused and not": lambda mx: mx.rnn.BidirectionalCell(
        mx.rnn.FusedRNNCell(3, prefix="l_"), mx.rnn.GRUCell(3, prefix="r_")
    ),
    "fused lstm": lambda mx: mx.rnn.FusedRNNCell(
        3, num_layers=2, bidirectional=True, dropout=0.2, get_next_state=True
    ),
    "fused gru": lambda mx: mx.rnn.FusedRNNCell(3, mode="gru", prefix="g_", get_next_state=True),
    "fused relu": lambda mx: mx.rnn.FusedRNNCell(3, mode="rnn_relu", forget_bias=2.0),
    "residual fused": lambda mx: mx.rnn.ResidualCell(mx.rnn.FusedRNNCell(4, mode="rnn_tanh")),
    "unfused lstm": lambda mx: mx.rnn.FusedRNNCell(3, num_layers=2, dropout=0.2).unfuse(),
    "unfused gru": lambda mx: mx.rnn.FusedRNNCell(
        3, num_layers=2, mode="gru", bidirectional=True, prefix="g_"
    ).unfuse(),
    "unfused relu": lambda mx: mx.rnn.FusedRNNCell(3, mode="rnn_relu").unfuse(),
}

for name, make in CELLS.items():

    @case(name=f"step {name}")
    def step(mx, make=make):
        with mx.name.NameManager():
            cell = make(mx)
            output, states = cell(mx.sym.var("data"), cell.begin_state())
        return {
            "graph": nodes(mx.sym.Group([output, *states])),
            "states": cell.state_info,
            "shapes": cell.state_shape,
            "gates": list(cell._gate_names),
        }


for name, make in {**CELLS, **WHOLE}.items():
    for layout in ("NTC", "TNC"):

        @case(name=f"unroll {name} {layout}")
        def unroll(mx, make=make, layout=layout):
            return unrolled(mx, make, layout=layout, full=layout == "NTC")

    for merge in (True, False):

        @case(name=f"unroll {name} merge_outputs={merge}")
        def unroll_merged(mx, make=make, merge=merge):
            return unrolled(mx, make, length=2, merge_outputs=merge)


for name in ("gru", "dropout", "residual", "stack", "bidirectional", "fused gru"):
    for options in ({}, {"merge_outputs": True}, {"layout": "TNC"}):

        @case(name=f"unroll a list {name} {options}")
        def unroll_list(mx, make={**CELLS, **WHOLE}[name], options=options):
            return unrolled(mx, make, variables("a", "b"), length=2, **options)


@case
def unroll_twice(mx):
    with mx.name.NameManager():
        cell = mx.rnn.LSTMCell(2)
        first, _ = cell.unroll(2, mx.sym.var("x"))
        second, _ = cell.unroll(3, mx.sym.var("x"))
    return [s.name for s in first + second], nodes(mx.sym.Group(first + second))


@case
def begin_states(mx):
    cell = mx.rnn.LSTMCell(2)
    whole = stack(mx, mx.rnn.GRUCell(3, prefix="a_"), mx.rnn.RNNCell(4, prefix="b_"))
    modified = mx.rnn.ZoneoutCell(mx.rnn.RNNCell(3, prefix="c_"), 0.1)
    states = [
        *cell.begin_state(),
        *cell.begin_state(func=mx.sym.Variable),
        *whole.begin_state(func=mx.sym.ones, dtype="float64"),
        *modified.begin_state(mx.sym.Variable),
    ]
    return nodes(mx.sym.Group(states))


@case
def given_states(mx):
    with mx.name.NameManager():
        cell = mx.rnn.FusedRNNCell(3, get_next_state=True)
        outputs, states = cell.unroll(
            2, mx.sym.var("x"), begin_state=[mx.sym.var("h"), mx.sym.var("c")], layout="TNC"
        )
    return nodes(mx.sym.Group([outputs, *states]))


@case
def shared_parameters(mx):
    shared = mx.rnn.RNNParams("q_")
    first = mx.rnn.GRUCell(3, prefix="q_", params=shared)
    second = mx.rnn.GRUCell(3, prefix="p_", params=shared)
    with mx.name.NameManager():
        middle, _ = first.unroll(2, mx.sym.var("x"), merge_outputs=True)
        outputs, _ = second.unroll(2, middle, merge_outputs=True)
    return outputs.list_arguments(), sorted(first.params._params), nodes(outputs)


@case
def errors(mx):
    rnn = mx.rnn
    modified = rnn.RNNCell(2)
    rnn.ZoneoutCell(modified, 0.1)
    both = rnn.BidirectionalCell(rnn.RNNCell(2), rnn.RNNCell(2))
    x = mx.sym.var("x")
    return [
        attempt(rnn.RNNCell(2).unroll, 2, None),
        attempt(rnn.RNNCell(2).unroll, 2, [x]),
        attempt(rnn.RNNCell(2).unroll, 2, mx.sym.Group([x, x])),
        attempt(modified.begin_state),
        attempt(modified.unroll, 2, x),
        attempt(both, x, both.begin_state()),
        attempt(rnn.FusedRNNCell(2), x, []),
        attempt(rnn.ZoneoutCell, rnn.FusedRNNCell(2), 0.1),
        attempt(rnn.ZoneoutCell, both, 0.1),
        attempt(rnn.DropoutCell, "much"),
        attempt(rnn.ConvRNNCell, (1, 2, 4, 4), 3, h2h_kernel=(2, 2)),
        attempt(rnn.BaseRNNCell(), x, []),
        attempt(rnn.BaseRNNCell().begin_state),
        attempt(stack(mx, both), x, both.begin_state()),
        attempt(rnn.GRUCell(2).unpack_weights, {}),
        attempt(rnn.FusedRNNCell(2).unpack_weights, {}),
        attempt(rnn.FusedRNNCell(2).pack_weights, {}),
        attempt(rnn.SequentialRNNCell(rnn.RNNParams("s_")).add, rnn.RNNCell(2)),
    ]


# ---- weights


def packed(mx, cell, args):
    args = {name: mx.nd.array(data(shape, seed=7)) for name, shape in args.items()}
    before = {name: array.copy() for name, array in args.items()}
    parts = cell.unpack_weights(args)
    whole = cell.pack_weights(parts)
    same = all((args[name].asnumpy() == before[name].asnumpy()).all() for name in before)
    return {"parts": parts, "whole": whole, "unchanged": same}


def dense(prefix, gates, inputs, size):
    rows = gates * size
    return {
        f"{prefix}i2h_weight": (rows, inputs),
        f"{prefix}i2h_bias": (rows,),
        f"{prefix}h2h_weight": (rows, size),
        f"{prefix}h2h_bias": (rows,),
    }


@case
def weights_of_cells(mx):
    rnn = mx.rnn
    whole = stack(mx, rnn.LSTMCell(2, prefix="a_"), rnn.ResidualCell(rnn.GRUCell(2, prefix="b_")))
    both = rnn.BidirectionalCell(rnn.RNNCell(2, prefix="l_"), rnn.GRUCell(2, prefix="r_"))
    conv = rnn.ConvGRUCell((1, 3, 4, 4), 2, prefix="c_")
    return [
        packed(mx, rnn.RNNCell(2), {**dense("rnn_", 1, 3, 2), "other": (1,)}),
        packed(mx, rnn.LSTMCell(2), dense("lstm_", 4, 3, 2)),
        packed(mx, rnn.GRUCell(2), dense("gru_", 3, 3, 2)),
        packed(mx, whole, {**dense("a_", 4, 3, 2), **dense("b_", 3, 2, 2)}),
        packed(mx, both, {**dense("l_", 1, 3, 2), **dense("r_", 3, 3, 2)}),
        packed(mx, rnn.DropoutCell(0.1), {"other": (1,)}),
        packed(
            mx,
            conv,
            {
                "c_i2h_weight": (6, 3, 3, 3),
                "c_i2h_bias": (6,),
                "c_h2h_weight": (6, 2, 3, 3),
                "c_h2h_bias": (6,),
            },
        ),
    ]


def fused(mx, mode, bidirectional, layers=2, hidden=2, inputs=3, **options):
    """A fused cell, and the size of its vector of parameters."""
    gates = {"lstm": 4, "gru": 3}.get(mode, 1)
    directions = 2 if bidirectional else 1
    first = inputs + hidden + 2
    deeper = directions * hidden + hidden + 2
    size = directions * gates * hidden * (first + (layers - 1) * deeper)
    cell = mx.rnn.FusedRNNCell(
        hidden, layers, mode, bidirectional=bidirectional, prefix="f_", **options
    )
    return cell, size


MODES = [(mode, both) for mode in ("lstm", "gru", "rnn_tanh", "rnn_relu") for both in (False, True)]

for mode, bidirectional in MODES:

    @case(name=f"weights of a fused {mode} bidirectional={bidirectional}")
    def weights_of_fused(mx, mode=mode, bidirectional=bidirectional):
        cell, size = fused(mx, mode, bidirectional)
        return packed(mx, cell, {"f_parameters": (size,), "other": (2,)})


# ---- values


def run(mx, symbol, args):
    """Outputs and gradients under fixed head gradients, arguments in float64."""
    arrays = {name: mx.nd.array(value, dtype="float64") for name, value in args.items()}
    grads = {name: mx.nd.zeros_like(array) for name, array in arrays.items()}
    executor = symbol.bind(mx.cpu(), arrays, grads)
    outputs = executor.forward(is_train=True)
    executor.backward([mx.nd.array(data(o.shape, seed=5), dtype="float64") for o in outputs])
    return {"outputs": outputs, "gradients": grads}


def filled(symbol, seed=3, **shapes):
    """Values for all arguments, of the shapes that are inferred."""
    names = symbol.list_arguments()
    found = symbol.infer_shape(**shapes)[0]
    return {
        name: data(shape, -1, 1, seed=seed + k) for k, (name, shape) in enumerate(zip(names, found))
    }


def start_in_float64(mx, cell, batch):
    """States as constants in float64 that do not wait for the batch's extent."""

    def ones(name, shape, **_):
        extents = tuple(n or batch for n in shape)
        return mx.sym.ones(shape=extents, dtype="float64", name=name)

    if isinstance(cell, mx.rnn.ModifierCell):
        return cell.begin_state(ones)
    return cell.begin_state(func=ones)


RUN = {
    "rnn": CELLS["rnn"],
    "lstm": CELLS["lstm"],
    "gru": CELLS["gru"],
    "residual": CELLS["residual"],
    "bidirectional": WHOLE["bidirectional"],
    "stack": lambda mx: stack(mx, mx.rnn.LSTMCell(3, prefix="a_"), mx.rnn.GRUCell(4, prefix="b_")),
    "fused lstm": lambda mx: mx.rnn.FusedRNNCell(3, 2, bidirectional=True, get_next_state=True),
    "fused gru": WHOLE["fused gru"],
}

for name, make in RUN.items():
    for layout in ("NTC", "TNC"):

        @case(name=f"values {name} {layout}")
        def values_of(mx, make=make, layout=layout):
            cell = make(mx)
            options = {"layout": layout, "merge_outputs": True}
            outputs, _ = cell.unroll(3, mx.sym.var("data"), **options)
            values = filled(outputs, data=(2, 3, 4) if layout == "NTC" else (3, 2, 4))
            start = start_in_float64(mx, cell, 2)
            outputs, states = cell.unroll(3, mx.sym.var("data"), begin_state=start, **options)
            return run(mx, mx.sym.Group([outputs, *flat(states)]), values)


for name in ("conv rnn", "conv lstm", "conv gru"):

    @case(name=f"values {name}", rtol=3e-5, why="MXNet keeps the slope of LeakyReLU in float32")
    def values_of_conv(mx, make=CELLS[name]):
        cell = make(mx)
        outputs, _ = cell.unroll(2, mx.sym.var("data"), merge_outputs=True)
        values = filled(outputs, data=(1, 2, 2, 4, 4))
        start = start_in_float64(mx, cell, 1)
        outputs, states = cell.unroll(2, mx.sym.var("data"), begin_state=start, merge_outputs=True)
        return run(mx, mx.sym.Group([outputs, *states]), values)


for mode, bidirectional in MODES:

    @case(name=f"fused and unfused {mode} bidirectional={bidirectional}")
    def fused_and_unfused(mx, mode=mode, bidirectional=bidirectional):
        """Both networks' outputs, from the same weights."""
        cell, size = fused(mx, mode, bidirectional)
        weights = {"f_parameters": mx.nd.array(data((size,), -1, 1, seed=11))}
        inputs = mx.nd.array(data((2, 3, 3), seed=12))
        cells = cell.unfuse()
        results = []
        for network, args in (
            (cell, weights),
            (cells, cells.pack_weights(cell.unpack_weights(weights))),
        ):
            outputs, _ = network.unroll(3, mx.sym.var("data"), merge_outputs=True)
            executor = outputs.bind(mx.cpu(), {**args, "data": inputs})
            results.append(executor.forward()[0])
        return results


# ---- sentences

WORDS = [["a", "b", "c"], ["b", "d"], [], ["a"]]
SENTENCES = [[1, 2, 3], [4, 5], [6, 7, 8, 9], [1, 2], [3, 4, 5], [2, 2], [7, 8], [3] * 7, [], [5]]


@case
def encoded(mx):
    encode = mx.rnn.encode_sentences
    vocabulary = {"a": 1}
    found = [
        encode(WORDS),
        encode(WORDS, invalid_label=0, start_label=1, invalid_key="<pad>"),
        encode(WORDS, invalid_label=0),
        encode(WORDS, invalid_label=2, start_label=1),
        encode([["b", "b"]], vocab={"a": 1, "b": 2}),
        encode([["a"]], vocab=vocabulary),
    ]
    return [
        [[sentences, sorted(vocab.items())] for sentences, vocab in found],
        found[-1][1] is vocabulary,
        attempt(encode, [["a", "z"]], vocab={"a": 1}),
        attempt(encode, [["a"]], vocab={}),
    ]


@case
def encoded_with_an_unknown_token(mx):
    return [
        mx.rnn.encode_sentences([["a", "z", "b"]], vocab={"a": 1, "b": 2}, unknown_token="b"),
        mx.rnn.encode_sentences([["z", "y"]], vocab={"a": 1}, unknown_token="?"),
    ]


def batches(mx, *args, **options):
    random.seed(3)
    np.random.seed(4)  # noqa: NPY002 - it decides the order
    iterator = mx.rnn.BucketSentenceIter(*args, **options)
    passes = []
    for _ in range(2):
        for batch in iterator:
            described = [
                [(d.name, tuple(d.shape), d.layout, np.dtype(d.dtype).name) for d in given]
                for given in (batch.provide_data, batch.provide_label)
            ]
            passes.append([batch.bucket_key, batch.pad, described, batch.data, batch.label])
        iterator.reset()
    given = [[d.name, tuple(d.shape), d.layout] for d in iterator.provide_data]
    return [
        passes,
        given,
        iterator.buckets,
        iterator.default_bucket_key,
        iterator.batch_size,
        iterator.major_axis,
        iterator.data_name,
        iterator.label_name,
        iterator.invalid_label,
    ]


@case
def bucket_iterators(mx):
    return [
        batches(mx, SENTENCES, 2, buckets=[2, 3, 5], invalid_label=0),
        batches(mx, SENTENCES, 2),
        batches(mx, SENTENCES, 3, buckets=[5, 3], layout="TN", dtype="int32", data_name="d"),
        attempt(mx.rnn.BucketSentenceIter, SENTENCES, 2, layout="CT"),
        attempt(mx.rnn.BucketSentenceIter, [], 2),
    ]


@case
def rnn_unroll(mx):
    outputs, _ = mx.rnn.rnn_unroll(mx.rnn.RNNCell(2), 2, input_prefix="in_")
    return mx.sym.Group(outputs).list_arguments()
