"""Layers of ``mx.gluon.nn`` and ``gluon.contrib``: names, graphs, values, gradients and errors."""

import json

import numpy as np
from harness import array, attempt, case, data, head_like, integers


def graph(mx, net):
    """What the layer makes of a symbol: a line for each operator."""
    tree = json.loads(net(mx.sym.var("data")).tojson())
    names = [node["name"] for node in tree["nodes"]]
    lines = []
    for node in tree["nodes"]:
        if node["op"] != "null":
            inputs = ", ".join(names[i] for i, *_ in node["inputs"])
            attributes = json.dumps(node.get("attrs", {}), sort_keys=True)
            lines.append(f"{node['op']} {node['name']}({inputs}) {attributes}")
    return lines


def fill(mx, net):
    """Values for the parameters that do not depend on a random generator."""
    for i, (name, param) in enumerate(net.collect_params().items()):
        low, high = (0.5, 1.5) if name.endswith("var") else (-1, 1)
        values = data(param.shape, low, high, seed=700 + i)
        param.set_data(array(mx, values.astype(np.dtype(param.dtype).name)))


def trained(mx, net, x, train_mode=True):
    """What a layer computes, and the gradients of the input and of the parameters.

    The input of an embedding is numbers, which have no gradient.
    """
    net.initialize()
    before = repr(net)
    attempt(net, x)  # tells the shapes
    fill(mx, net)
    numbers = isinstance(net, mx.gluon.nn.Embedding)
    if not numbers:
        x.attach_grad()
    with mx.autograd.record(train_mode=train_mode):
        y = net(x)
    y.backward(head_like(mx, y), train_mode=train_mode)
    learnt = {k: p for k, p in net.collect_params().items() if p.grad_req != "null"}
    states = {k: p.data() for k, p in net.collect_params().items() if p.grad_req == "null"}
    return {
        "name": net.name,
        "repr": [before, repr(net)],
        "out": y,
        "grad": [x.grad, {k: p.grad() for k, p in learnt.items()}],
        "states": states,
    }


def namespace(mx):
    contrib = mx.gluon.contrib
    return {"mx": mx, "nn": mx.gluon.nn, "cnn": contrib.nn, "cc": contrib.cnn, "np": np}


LAYERS = []  # what layers() has declared: a layer's text, the shape and where numbers come from


def layers(text, shape, prefix="", dtype="float32", train_mode=True, source=data, **options):
    """A case for each line of `text`, a layer, called with an array of this shape."""
    for line in filter(None, map(str.strip, text.splitlines())):
        LAYERS.append((line, shape, source))

        def run(mx, line=line):
            x = array(mx, source(shape, seed=71, dtype=dtype))
            net = eval(line, namespace(mx))
            result = trained(mx, cast(net, dtype), x, train_mode)
            return {**result, "graph": graph(mx, net)}

        case(run, name=prefix + line, **options)


def cast(net, dtype):
    if dtype != "float32":
        net.cast(dtype)
    return net


def row_numbers(shape, seed, dtype):
    return integers(shape, 0, 5, seed=seed).astype(dtype)


ACTIVATIONS = """
    nn.Activation('relu')
    nn.Activation('sigmoid')
    nn.Activation('tanh', prefix='squash_')
    nn.Activation('softrelu')
    nn.Activation('softsign')
    nn.LeakyReLU(0.2)
    nn.LeakyReLU(0)
    nn.PReLU()
    nn.PReLU(in_channels=3)
    nn.PReLU(alpha_initializer='zeros', prefix='p_')
    nn.ELU()
    nn.ELU(0.5)
    nn.GELU()
    nn.Swish()
    nn.Swish(2)
    nn.Dropout(0)
    nn.Flatten()
    cnn.Identity()
"""
layers(ACTIVATIONS, (2, 3))
layers("nn.Activation('tanh')\nnn.PReLU()\nnn.Swish(2)", (2, 3), "float64 ", "float64")
layers("nn.Dropout(0.5)\nnn.Dropout(0.5, axes=(1,))", (2, 3), "predict ", train_mode=False)

EMBEDDINGS = """
    nn.Embedding(5, 4)
    nn.Embedding(5, 4, sparse_grad=False, weight_initializer='ones', prefix='e_')
"""
layers(EMBEDDINGS, (2, 3), source=row_numbers)
layers("nn.Embedding(5, 4, dtype='float64')", (2, 3), "cast ", "float64", source=row_numbers)

NORMS = """
    nn.BatchNorm()
    nn.BatchNorm(axis=2, momentum=0.8, epsilon=1e-3)
    nn.BatchNorm(axis=-1, scale=False)
    nn.BatchNorm(center=False, in_channels=3)
    nn.BatchNorm(use_global_stats=True)
    nn.InstanceNorm()
    nn.InstanceNorm(axis=2, epsilon=1e-3, scale=True, center=False, in_channels=4)
    nn.LayerNorm()
    nn.LayerNorm(axis=1, epsilon=1e-3)
    nn.LayerNorm(center=False, scale=False, in_channels=5, prefix='n_')
    nn.GroupNorm()
    nn.GroupNorm(num_groups=3, epsilon=1e-3)
    nn.GroupNorm(center=False, scale=False)
    cnn.SyncBatchNorm(num_devices=1)
    cnn.SyncBatchNorm(in_channels=3, num_devices=1, momentum=0.8, epsilon=1e-3, scale=False)
"""
layers(NORMS, (2, 3, 4, 5))
layers("nn.BatchNorm()\nnn.BatchNorm(scale=False)", (2, 3, 4, 4), "predict ", train_mode=False)
layers("nn.LayerNorm()\nnn.GroupNorm(3)", (2, 3, 4), "float64 ", "float64")
NARROW = "MXNet's statistics of float64 are float32, and of float16 less precise"
layers("nn.BatchNorm()", (2, 3, 4), "float64 ", "float64", rtol=1e-6, why=NARROW)
layers("nn.BatchNorm()", (2, 3, 4), "float16 ", "float16", rtol=1e-3, why=NARROW)
layers("nn.BatchNormReLU()\nnn.BatchNormReLU(in_channels=3, epsilon=1e-3)", (2, 3, 4, 4))

layers(
    """
    nn.Conv1D(2, 3)
    nn.Conv1D(4, 2, strides=2, padding=1, dilation=2, activation='relu', use_bias=False)
    nn.Conv1DTranspose(2, 3)
    nn.Conv1DTranspose(2, 3, 2, 1, output_padding=1, in_channels=3)
    nn.MaxPool1D()
    nn.MaxPool1D(3, 2, 1, ceil_mode=True)
    nn.AvgPool1D()
    nn.AvgPool1D(3, strides=2, padding=1, count_include_pad=False)
    nn.GlobalMaxPool1D()
    nn.GlobalAvgPool1D()
    """,
    (2, 3, 6),
)
layers(
    """
    nn.Conv2D(2, 3)
    nn.Conv2D(2, [3, 2], in_channels=4, weight_initializer='ones', bias_initializer='ones')
    nn.Conv2D(6, (3, 2), (2, 1), 1, 1, 2, activation='tanh', prefix='first_')
    nn.Conv2D(4, kernel_size=1, groups=4, use_bias=False)
    nn.Conv2DTranspose(2, 3, strides=2, padding=1, output_padding=(1, 0))
    nn.Conv2DTranspose(4, (2, 3), groups=2, in_channels=4, use_bias=False, activation='relu')
    nn.MaxPool2D()
    nn.MaxPool2D((3, 2), 2, 1, ceil_mode=True)
    nn.MaxPool2D([2, 2], strides=[1, 2])
    nn.AvgPool2D()
    nn.AvgPool2D(3, 2, 1, True)
    nn.AvgPool2D(3, 2, 1, ceil_mode=True, count_include_pad=False)
    nn.GlobalMaxPool2D()
    nn.GlobalAvgPool2D()
    nn.ReflectionPad2D(2)
    nn.ReflectionPad2D((0, 0, 0, 0, 1, 2, 3, 0))
    cc.DeformableConvolution(2)
    cc.DeformableConvolution(2, (3, 3), strides=(2, 1), padding=(1, 1), activation='relu')
    cc.DeformableConvolution(2, (2, 2), use_bias=False, offset_use_bias=False)
    cc.DeformableConvolution(2, (2, 2), num_deformable_group=2, dilation=(2, 1))
    cnn.PixelShuffle2D(2)
    cnn.PixelShuffle2D((1, 4))
    """,
    (1, 4, 5, 5),
)
layers("nn.Conv2D(2, 3)\nnn.Conv2DTranspose(2, 3, 2)", (1, 3, 5, 5), "float64 ", "float64")
layers(
    """
    nn.Conv3D(2, 2)
    nn.Conv3D(2, (1, 2, 3), strides=2, padding=(0, 1, 1), in_channels=2, use_bias=False)
    nn.Conv3DTranspose(2, 2)
    nn.Conv3DTranspose(1, 2, 2, 1, output_padding=(1, 0, 1))
    nn.MaxPool3D()
    nn.MaxPool3D(2, 1, ceil_mode=True)
    nn.AvgPool3D()
    nn.AvgPool3D((1, 2, 2), padding=(0, 1, 1), count_include_pad=False)
    nn.GlobalMaxPool3D()
    nn.GlobalAvgPool3D()
    """,
    (1, 2, 3, 3, 4),
)
layers("cnn.PixelShuffle1D(2)", (2, 4, 3))
layers("cnn.PixelShuffle3D((2, 1, 3))\ncnn.PixelShuffle3D(1)", (1, 6, 2, 2, 2))


@case
def modulated_deformable_convolution(mx):
    """MXNet has its gradient on GPUs only."""
    net = mx.gluon.contrib.cnn.ModulatedDeformableConvolution(
        2, (3, 3), strides=(2, 1), padding=(1, 1), activation="relu", num_deformable_group=2
    )
    net.initialize()
    x = array(mx, data((1, 4, 5, 5), seed=71))
    attempt(net, x)
    fill(mx, net)
    return {
        "name": net.name,
        "repr": repr(net),
        "split": net.offset_split_index,
        "shapes": {k: p.shape for k, p in net.collect_params().items()},
        "graph": graph(mx, net),
        "out": net(x),
    }


def side_by_side(mx, kind):
    nn, contrib = mx.gluon.nn, mx.gluon.contrib.nn
    net = getattr(contrib, kind)(axis=1)
    net.add(nn.Dense(2), contrib.Identity(), nn.Activation("tanh"))
    return trained(mx, net, array(mx, data((2, 3), seed=71)))


case(lambda mx: side_by_side(mx, "Concurrent"), name="Concurrent")
case(lambda mx: side_by_side(mx, "HybridConcurrent"), name="HybridConcurrent")


@case
def selu(mx):
    """MXNet's gradient is wrong."""
    net = mx.gluon.nn.SELU()
    return [repr(net), net(array(mx, data((2, 3), seed=71))), graph(mx, net)]


@case
def parameters(mx):
    """Shapes, dtypes and requests before the first call."""
    wanted = """
        nn.BatchNorm()
        nn.BatchNorm(center=False, scale=False)
        nn.BatchNormReLU(in_channels=3)
        nn.InstanceNorm()
        nn.LayerNorm(scale=False)
        nn.GroupNorm(2)
        nn.Embedding(5, 4, sparse_grad=True)
        nn.PReLU()
        nn.Conv1D(4, 3)
        nn.Conv2D(4, 3, in_channels=4, groups=2)
        nn.Conv2D(4, 3, layout='NHWC', in_channels=4, groups=2)
        nn.Conv3D(4, 3, layout='NDHWC')
        nn.Conv2DTranspose(4, 3)
        nn.Conv2DTranspose(4, 3, in_channels=6, groups=2)
        nn.Conv2DTranspose(4, 3, layout='NHWC', in_channels=6, groups=2)
        nn.Conv3DTranspose(4, 3, layout='NDHWC')
        cnn.SyncBatchNorm(num_devices=3)
    """
    result = {}
    for line in filter(None, map(str.strip, wanted.splitlines())):
        net = eval(line, namespace(mx))
        result[line] = [repr(net)] + [
            (k, p.shape, np.dtype(p.dtype).name, p.grad_req, p._differentiable, p._grad_stype)
            for k, p in net.collect_params().items()
        ]
    return result


@case
def casts(mx):
    """Batch normalization keeps float32 where float16 is asked for."""
    made = "nn.BatchNorm() nn.BatchNormReLU() cnn.SyncBatchNorm(num_devices=1) nn.LayerNorm()"
    result = {}
    for line in made.split():
        for dtype in ("float16", np.float16, "float64"):
            net = eval(line, namespace(mx))
            net.cast(dtype)
            result[f"{line} {np.dtype(dtype).name} {type(dtype).__name__}"] = [
                np.dtype(p.dtype).name for p in net.collect_params().values()
            ]
    return result


@case
def settings(mx):
    """``_kwargs``, which programs read and change."""
    made = """
        nn.Conv2D(4, 3, strides=2, padding=(1, 0), layout='NHWC')
        nn.Conv2DTranspose(4, 3, output_padding=1, strides=2)
        nn.MaxPool2D(3, layout='NHWC')
        nn.AvgPool1D(2, 1, layout='NWC')
        nn.GlobalAvgPool3D(layout='NDHWC')
        nn.AvgPool2D(count_include_pad=None)
        nn.BatchNorm(momentum=0.8)
        nn.LayerNorm()
        nn.Embedding(5, 4)
        cnn.SyncBatchNorm(num_devices=3, prefix='s_')
        nn.conv_layers._Conv(4, (3, 3), 1, 0, (1, 1), 1, 'NCHW')
        nn.conv_layers._Pooling((2, 2), None, (0, 0), False, False, 'lp', 'NCHW')
    """
    result = {}
    for line in filter(None, map(str.strip, made.splitlines())):
        net = eval(line, namespace(mx))
        result[line] = {k: repr(v) for k, v in net._kwargs.items()} | {"repr": repr(net)}
    return result


@case
def errors(mx):
    wrong = """
        nn.LeakyReLU(-1)
        nn.Activation('nothing')(mx.nd.ones((2,)))
        nn.Activation()
        nn.Conv2D(4, (3,))
        nn.Conv1D(4, (3, 3))
        nn.Conv3D(4, (3, 3))
        nn.Conv1DTranspose(4, (3, 3))
        nn.Conv2DTranspose(4, 3, output_padding=(1, 2, 3))
        nn.Conv1D(4, 3, layout='NWC')
        nn.Conv2D(4, 3, layout='X')
        nn.Conv3DTranspose(4, 3, layout='X')
        nn.Conv2D(0, 3)
        nn.Conv2D(4, 0)
        nn.Conv2D(4, 3.0)
        nn.Conv2D(4, 3, strides=0)
        nn.Conv2D(4, 3, dilation=0)
        nn.Conv2D(4, 3, in_channels=3, groups=3)
        nn.Conv2D(4, 3, in_channels=5, groups=2)
        nn.MaxPool2D((2,))
        nn.AvgPool3D((2, 2))
        nn.MaxPool1D((2, 2))
        nn.MaxPool1D(layout='X')
        nn.AvgPool2D(layout='X')
        nn.GlobalMaxPool3D(layout='X')
        nn.ReflectionPad2D('a')
        nn.ReflectionPad2D((1, 1))
        cnn.PixelShuffle2D((2,))
        cnn.PixelShuffle3D((2, 2))
        cnn.PixelShuffle1D((2,))
        nn.BatchNorm(wrong=1)
        nn.LayerNorm(wrong=1)
    """
    return {
        line: attempt(lambda line=line: repr(eval(line, namespace(mx))))
        for line in filter(None, map(str.strip, wrong.splitlines()))
    }


def updated(mx, net, rate=0.1):
    """A step of gradient descent."""
    for param in net.collect_params().values():
        if param.grad_req != "null":
            param.set_data(param.data() - rate * param.grad())


def classifier(mx):
    nn, contrib = mx.gluon.nn, mx.gluon.contrib.nn
    branches = contrib.HybridConcurrent(axis=1)
    branches.add(nn.Conv2D(2, 3, padding=1), contrib.Identity(), nn.MaxPool2D(3, 1, 1))
    net = nn.HybridSequential(prefix="net_")
    with net.name_scope():
        net.add(nn.Conv2D(3, 3, activation="relu"), nn.BatchNorm(), branches, nn.ELU())
        net.add(
            nn.AvgPool2D(),
            nn.GroupNorm(8),
            nn.Swish(),
            nn.Flatten(),
            nn.Dense(4, activation="tanh"),
        )
        net.add(nn.LayerNorm(), nn.LeakyReLU(0.1), nn.Dropout(0), nn.Dense(3))
    return net


@case(rtol=1e-4, why="rounding grows from step to step")
def classifier_in_training(mx):
    """Four steps, eager and hybridized.

    Without PReLU, of which MXNet's gradients are wrong in a graph.
    """
    x = array(mx, data((4, 2, 6, 6), seed=781))
    label = mx.nd.array([0, 2, 1, 1])
    result = {}
    for hybrid in (False, True):
        net, criterion = classifier(mx), mx.gluon.loss.SoftmaxCELoss()
        net.initialize()
        net(x)
        fill(mx, net)
        if hybrid:
            net.hybridize()
            criterion.hybridize()
        losses = []
        for _ in range(4):
            with mx.autograd.record():
                loss = criterion(net(x), label)
            loss.backward()
            updated(mx, net, rate=0.02)
            losses.append(loss)
        result[f"hybrid {hybrid}"] = [losses, net(x), sorted(net._collect_params_with_prefix())]
    return result


@case
def adversaries_in_training(mx):
    """A generator and a discriminator, three steps each."""
    nn, criterion = mx.gluon.nn, mx.gluon.loss.SigmoidBCELoss()
    generator, critic = nn.HybridSequential(prefix="g_"), nn.HybridSequential(prefix="d_")
    with generator.name_scope():
        generator.add(
            nn.Conv2DTranspose(3, 3, use_bias=False), nn.BatchNorm(), nn.Activation("relu")
        )
        generator.add(nn.Conv2DTranspose(1, 4, 2, 1, activation="tanh"))
    with critic.name_scope():
        critic.add(nn.Conv2D(2, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2D(1, 3), nn.Flatten())
    noise, real = array(mx, data((4, 2, 1, 1), seed=782)), array(mx, data((4, 1, 6, 6), seed=783))
    for net, x in ((generator, noise), (critic, real)):
        net.initialize()
        net(x)
        fill(mx, net)
        net.hybridize()
    yes, no = mx.nd.ones((4, 1)), mx.nd.zeros((4, 1))
    losses = []
    for _ in range(3):
        with mx.autograd.record():
            fake = generator(noise)
            loss = criterion(critic(real), yes) + criterion(critic(fake.detach()), no)
        loss.backward()
        updated(mx, critic)
        losses.append(loss)
        with mx.autograd.record():
            loss = criterion(critic(generator(noise)), yes)
        loss.backward()
        updated(mx, generator)
        losses.append(loss)
    with mx.autograd.train_mode():  # running statistics move at different times
        return [losses, generator(noise)]


@case
def words_in_training(mx):
    """An embedding whose rows are used more than once, with weighted samples."""
    nn = mx.gluon.nn
    net = nn.HybridSequential(prefix="w_")
    with net.name_scope():
        net.add(nn.Embedding(6, 4), nn.LayerNorm(), nn.Dense(6, flatten=False))
    criterion = mx.gluon.loss.SoftmaxCELoss(axis=-1)
    words = mx.nd.array([[0, 1, 1, 5], [2, 2, 2, 3]])
    mask = mx.nd.array([[1, 1, 1, 0], [1, 1, 0, 0]]).reshape((2, 4, 1))
    net.initialize()
    net(words)
    fill(mx, net)
    losses = []
    for _ in range(3):
        with mx.autograd.record():
            loss = criterion(net(words), words.flip(axis=1), mask)
        loss.backward()
        updated(mx, net)
        losses.append(loss)
    return [losses, {name: p.data() for name, p in net.collect_params().items()}]
