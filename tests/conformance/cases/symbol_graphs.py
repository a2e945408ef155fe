"""Networks of every kind of layer, composed, written, read again and run: text and outputs.

The text is the same byte for byte in both, so what either writes, the other reads and computes.
"""

import json
import os

from harness import HERE, array, case, data, integers


def lenet(s, x):
    for i, filters in enumerate((4, 6)):
        x = s.Convolution(x, kernel=(3, 3), num_filter=filters, name=f"c{i}")
        x = s.Activation(x, act_type="tanh")
        x = s.Pooling(x, kernel=(2, 2), stride=(2, 2), pool_type="max")
    x = s.FullyConnected(s.Flatten(x), num_hidden=5, name="fc")
    return s.SoftmaxOutput(x, name="softmax")


def residual(s, x):
    def unit(x, filters, stride, name):
        a = s.Activation(s.BatchNorm(x, fix_gamma=False, name=name + "b1"), act_type="relu")
        y = s.Convolution(
            a,
            kernel=(3, 3),
            pad=(1, 1),
            stride=stride,
            num_filter=filters,
            no_bias=True,
            name=name + "c1",
        )
        y = s.Activation(s.BatchNorm(y, name=name + "b2"), act_type="relu")
        y = s.Convolution(
            y, kernel=(3, 3), pad=(1, 1), num_filter=filters, no_bias=True, name=name + "c2"
        )
        return y + s.Convolution(
            a, kernel=(1, 1), stride=stride, num_filter=filters, no_bias=True, name=name + "s"
        )

    x = unit(unit(x, 4, (1, 1), "u1"), 8, (2, 2), "u2")
    return s.Pooling(x, global_pool=True, kernel=(1, 1), pool_type="avg")


def lstm(s, x):
    """Two steps of a cell with weights in common, begun with zeros of an open batch."""
    i2h, h2h, b = s.var("i2h"), s.var("h2h"), s.var("bias")
    h, c = s.zeros((0, 4)), s.zeros((0, 4))
    for step in s.SliceChannel(x, num_outputs=2, axis=1, squeeze_axis=True):
        gates = s.FullyConnected(step, i2h, b, num_hidden=16)
        gates = gates + s.FullyConnected(h, h2h, num_hidden=16, no_bias=True)
        i, f, g, o = s.SliceChannel(gates, num_outputs=4, axis=1)
        c = s.sigmoid(f) * c + s.sigmoid(i) * s.tanh(g)
        h = s.sigmoid(o) * s.tanh(c)
    return s.Group([h, c])


def autoencoder(s, x):
    code = s.LeakyReLU(s.FullyConnected(x, num_hidden=3, name="e"), act_type="prelu", name="p")
    return s.LinearRegressionOutput(s.FullyConnected(code, num_hidden=6, name="d"), name="out")


def inception(s, x):
    parts = [
        s.Convolution(x, kernel=(1, 1), num_filter=2, name="a"),
        s.Convolution(x, kernel=(3, 3), pad=(1, 1), num_filter=3, name="b"),
        s.Pooling(x, kernel=(3, 3), pad=(1, 1), stride=(1, 1), pool_type="avg"),
    ]
    return s.Concat(*parts, dim=1)


def attention(s, x):
    q, k, v = (s.FullyConnected(x, num_hidden=4, flatten=False, name=n) for n in "qkv")
    weights = s.softmax(s.batch_dot(q, k, transpose_b=True) / 2, axis=-1)
    return s.batch_dot(weights, v)


def unet(s, x):
    down = s.Convolution(x, kernel=(2, 2), stride=(2, 2), num_filter=4, name="down")
    up = s.Deconvolution(down, kernel=(2, 2), stride=(2, 2), num_filter=3, name="up")
    return s.Concat(s.Crop(s.UpSampling(down, scale=2, sample_type="nearest"), up), up, dim=1)


IMAGE, ROWS = (1, 3, 6, 6), (4, 6)
# The network of a variable x, and the shape of x.
GRAPHS = {
    "lenet": (lenet, (1, 1, 10, 10)),
    "residual": (residual, IMAGE),
    "lstm cells": (lstm, (3, 2, 5)),
    "autoencoder": (autoencoder, ROWS),
    "inception": (inception, IMAGE),
    "attention": (attention, (2, 3, 6)),
    "grouped convolution": (
        lambda s, x: s.Convolution(x, kernel=(3, 3), num_filter=6, num_group=3, dilate=(2, 2)),
        IMAGE,
    ),
    "convolution along one axis": (
        lambda s, x: s.Convolution(x, kernel=(3,), num_filter=4, stride=(2,)),
        (2, 3, 9),
    ),
    "deconvolution": (
        lambda s, x: s.Deconvolution(x, kernel=(3, 3), stride=(2, 2), adj=(1, 1), num_filter=2),
        IMAGE,
    ),
    "batch norm of its own statistics": (lambda s, x: s.BatchNorm(x, fix_gamma=False), IMAGE),
    "batch norm with statistics shown": (
        lambda s, x: s.BatchNorm(x, use_global_stats=True, eps=1e-3),
        IMAGE,
    ),
    "instance norm": (lambda s, x: s.InstanceNorm(x, eps=1e-3), IMAGE),
    "layer norm": (lambda s, x: s.LayerNorm(x, axis=-1), ROWS),
    "group norm": (lambda s, x: s.GroupNorm(x, num_groups=1), IMAGE),
    "l2 normalization": (lambda s, x: s.L2Normalization(x, mode="channel"), IMAGE),
    "local response": (lambda s, x: s.LRN(x, nsize=3), IMAGE),
    "prelu": (lambda s, x: s.LeakyReLU(x, act_type="prelu"), IMAGE),
    "elu and selu": (
        lambda s, x: s.LeakyReLU(x, act_type="elu", slope=0.3) + s.LeakyReLU(x, act_type="selu"),
        ROWS,
    ),
    "pooling": (
        lambda s, x: s.Pooling(
            x,
            kernel=(3, 3),
            stride=(2, 2),
            pool_type="avg",
            pooling_convention="full",
            count_include_pad=False,
            pad=(1, 1),
        ),
        IMAGE,
    ),
    "dropout of a prediction": (lambda s, x: s.Dropout(x, p=0.5) * 2, ROWS),
    "rnn lstm": (
        lambda s, x: s.RNN(x, state_size=3, num_layers=2, mode="lstm", state_outputs=True),
        (4, 2, 3),
    ),
    "rnn gru both ways": (
        lambda s, x: s.RNN(x, state_size=3, num_layers=1, mode="gru", bidirectional=True),
        (4, 2, 3),
    ),
    "logistic": (lambda s, x: s.LogisticRegressionOutput(x), ROWS),
    "absolute error": (lambda s, x: s.MAERegressionOutput(s.tanh(x)), ROWS),
    "loss": (lambda s, x: s.MakeLoss(s.mean(s.square(x), axis=1), grad_scale=3), ROWS),
    "blocked": (lambda s, x: s.BlockGrad(x) * s.smooth_l1(x, scalar=2.0), ROWS),
    "unet": (unet, IMAGE),
    "bilinear upsampling": (
        lambda s, x: s.UpSampling(x, scale=2, sample_type="bilinear", num_filter=3, name="u"),
        IMAGE,
    ),
    "spatial transformer": (
        lambda s, x: s.SpatialTransformer(
            x,
            s.FullyConnected(x, num_hidden=6),
            target_shape=(4, 4),
            transform_type="affine",
            sampler_type="bilinear",
        ),
        IMAGE,
    ),
    "indexing": (
        lambda s, x: s.concat(
            s.slice(x, begin=(0, 1), end=(2, None), step=(1, 2)),
            s.slice_axis(s.reverse(x, axis=0), axis=1, begin=-3, end=None),
            dim=0,
        ),
        ROWS,
    ),
    "picking": (
        lambda s, x: s.Group(
            [
                s.pick(x, s.argmax(x, axis=1)),
                s.take(x, s.argsort(s.sum(x, axis=1))),
                s.topk(x, k=2, ret_typ="value"),
                s.one_hot(s.argmin(x, axis=1), depth=6),
            ]
        ),
        ROWS,
    ),
    "gathering": (
        lambda s, x: s.gather_nd(x, s.stack(s.arange(0, 3), s.arange(1, 4))),
        ROWS,
    ),
    "linalg": (
        lambda s, x: s.linalg.potrf(s.linalg.syrk(x, alpha=0.5) + s.eye(4)),
        ROWS,
    ),
    "products": (
        lambda s, x: s.linalg.gemm2(x, s.dot(x, x, transpose_b=True), transpose_a=True),
        ROWS,
    ),
    "shapes": (
        lambda s, x: s.reshape(
            s.transpose(s.expand_dims(s.tile(x, reps=(1, 2)), axis=1)), shape=(-4, 3, 4, -2)
        ),
        ROWS,
    ),
    "padding": (
        lambda s, x: s.Pad(x, mode="reflect", pad_width=(0, 0, 0, 0, 1, 2, 2, 1)),
        IMAGE,
    ),
    "broadcasting": (
        lambda s, x: (
            s.broadcast_sub(x, s.mean(x, axis=1, keepdims=True))
            / s.broadcast_to(s.sqrt(s.mean(x * x, axis=0, keepdims=True)) + 1, shape=(4, 6))
        ),
        ROWS,
    ),
    "numbers": (
        lambda s, x: (2 - x) / (abs(x) + 1.5) ** 2 + 3 % (x + 5) - (x > 0.5) * 1e-3 + 2**x,
        ROWS,
    ),
    "choices": (
        lambda s, x: s.where(x > 0, s.exp(x), s.maximum(x, -1)) + s.minimum(x, 0.25),
        ROWS,
    ),
    "casting": (
        lambda s, x: s.cast(s.cast(x, dtype="float16") * 2, dtype="float64"),
        ROWS,
    ),
    "sequences": (
        lambda s, x: s.SequenceReverse(
            s.SequenceMask(x, s.var("n", shape=(3,)), use_sequence_length=True, value=-1)
        ),
        (4, 3, 2),
    ),
    "embedding": (
        lambda s, x: s.sum(s.Embedding(s.round(s.abs(x)), input_dim=4, output_dim=3), axis=1),
        ROWS,
    ),
    "boxes": (
        lambda s, x: s.contrib.MultiBoxPrior(x, sizes=(0.5, 0.25), ratios=(1, 2)),
        IMAGE,
    ),
    "svm": (lambda s, x: s.SVMOutput(s.FullyConnected(x, num_hidden=4, name="fc")), ROWS),
    "a shared part": (
        lambda s, x: s.Group([s.relu(x), s.relu(x) + s.FullyConnected(s.relu(x), num_hidden=6)]),
        ROWS,
    ),
}


def arrays_for(mx, symbol, shape):
    """Values for every argument and state, by their place."""
    shapes, _, states = symbol.infer_shape(x=shape)
    arguments = {}
    for i, (name, extents) in enumerate(zip(symbol.list_arguments(), shapes)):
        if name == "n" or name.endswith("label"):
            arguments[name] = array(mx, integers(extents, 1, 4, seed=i).astype("float32"))
        else:
            arguments[name] = array(mx, data(extents, -1, 1, seed=i))
    names = symbol.list_auxiliary_states()
    auxiliary = {
        name: array(mx, data(extents, 0.5, 1.5, seed=i))
        for i, (name, extents) in enumerate(zip(names, states))
    }
    return arguments, auxiliary


for label, (network, shape) in GRAPHS.items():

    @case(name=label, rtol=2e-4, why="sums of many products, in another order")
    def runs(mx, network=network, shape=shape):
        with mx.name.NameManager():
            text = network(mx.sym, mx.sym.Variable("x")).tojson()
        symbol = mx.sym.load_json(text)
        arguments, auxiliary = arrays_for(mx, symbol, shape)
        executor = symbol.bind(mx.cpu(), arguments, aux_states=auxiliary)
        shapes = symbol.infer_shape(x=shape)
        return {
            "text": text,
            "shapes": [[tuple(s) for s in part] for part in shapes],
            "outputs": list(executor.forward(is_train=False)),
        }


# Programs on arrays: the symbol of what was recorded, bound to the same arrays, gives the same.
# Each names the arrays in the order in which the symbol has them.
RECORDED = {
    "x w": """
        x * w
        x + w * 2
        (x - w) / (w * w + 1)
        nd.dot(x, w, transpose_b=True)
        nd.FullyConnected(x, w, num_hidden=4, no_bias=True)
        nd.concat(x, w, dim=1)
        nd.stack(x, w, axis=1)
        nd.broadcast_maximum(x, w)
        nd.maximum(x, w) ** 2
        nd.linalg.gemm2(x, w, transpose_b=True)
        nd.add_n(x, w, x)
        nd.elemwise_mul(x, nd.tanh(w))
        (x + w) * (x + w)
        nd.batch_dot(x.expand_dims(0), w.expand_dims(0), transpose_b=True)
        nd.broadcast_sub(x, w.mean(axis=1, keepdims=True))
        nd.dot(x, w.T)
    """,
    "x": """
        nd.exp(x) + 1
        x.sum(axis=1)
        x.mean()
        x.reshape((6, 4)) * 2
        x[1] * 2
        x[:, 1:3] * 2
        x.T * 1
        nd.softmax(x, axis=0)
        nd.Activation(x, act_type='softrelu')
        nd.LeakyReLU(x, act_type='elu')
        nd.split(x, num_outputs=3, axis=1)[1]
        nd.clip(x, -0.5, 0.5)
        nd.L2Normalization(x)
        nd.topk(x, k=2, ret_typ='value')
        nd.tile(x, reps=(1, 2))
        nd.norm(x, axis=1)
        x.expand_dims(0).broadcast_to((3, 4, 6))
        1 / (x * x + 1)
        2 - x % 0.7
        nd.relu(-x)
        nd.max(x, axis=1) - nd.min(x, axis=1)
    """,
}
for names, programs in RECORDED.items():
    for line in map(str.strip, programs.strip().splitlines()):

        @case(name=f"recorded {line}")
        def recorded(mx, line=line, names=names):
            x, w = (array(mx, data(ROWS, -1, 1, seed=i)) for i in range(2))
            arrays = {"x": x, "w": w, "nd": mx.nd}
            x.attach_grad()
            w.attach_grad()
            with mx.autograd.record():
                y = eval(line, dict(arrays))
            symbol = mx.sym.load_json(mx.autograd.get_symbol(y).tojson())
            bound = [arrays[name] for name in names.split()]
            executor = symbol.bind(mx.cpu(), dict(zip(symbol.list_arguments(), bound)))
            again = executor.forward()[0]
            return [len(symbol.list_arguments()), bool((again == y).min().asscalar()), again]


# The same programs as mxtape records them, in a file that it wrote (test_symbols.py checks it):
# MXNet reads and computes them.
def traced():
    with open(os.path.join(HERE, "symbols", "traced.jsonl"), encoding="utf-8") as f:
        return [json.loads(line) for line in f]


for names, line, text in traced():

    @case(name=f"file of {line}")
    def read_again(mx, names=names, text=text):
        x, w = (array(mx, data(ROWS, -1, 1, seed=i)) for i in range(2))
        bound = [{"x": x, "w": w}[name] for name in names.split()]
        symbol = mx.sym.load_json(text)
        executor = symbol.bind(mx.cpu(), dict(zip(symbol.list_arguments(), bound)))
        return executor.forward()[0]
