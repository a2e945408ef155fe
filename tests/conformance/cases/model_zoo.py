"""``gluon.model_zoo.vision``: the structure of all networks, what one of each family computes."""

import hashlib

import numpy as np
from harness import case, data

NAMES = (
    "alexnet densenet121 densenet161 densenet169 densenet201 inceptionv3 mobilenet0.25 "
    "mobilenet0.5 mobilenet0.75 mobilenet1.0 mobilenetv2_0.25 mobilenetv2_0.5 mobilenetv2_0.75 "
    "mobilenetv2_1.0 resnet18_v1 resnet34_v1 resnet50_v1 resnet101_v1 resnet152_v1 resnet18_v2 "
    "resnet34_v2 resnet50_v2 resnet101_v2 resnet152_v2 squeezenet1.0 squeezenet1.1 vgg11 vgg11_bn "
    "vgg13 vgg13_bn vgg16 vgg16_bn vgg19 vgg19_bn"
).split()

# A network with few classes and the smallest image that it accepts, or one that is large enough to
# reach every kind of layer.
NETWORKS = {
    "alexnet": (lambda v: v.alexnet(classes=5, prefix="net_"), 63),
    "vgg": (lambda v: v.VGG([2, 1], [6, 8], 5, batch_norm=True, prefix="net_"), 4),
    "resnet v1 basic": (
        lambda v: v.ResNetV1(v.BasicBlockV1, [2, 1, 1], [6, 6, 8, 12], 5, prefix="net_"),
        33,
    ),
    "resnet v1 bottlenecks": (
        lambda v: v.ResNetV1(v.BottleneckV1, [2, 1], [6, 6, 16], 5, thumbnail=True, prefix="net_"),
        7,
    ),
    "resnet v2 basic": (
        lambda v: v.ResNetV2(v.BasicBlockV2, [2, 1, 1], [6, 6, 8, 12], 5, prefix="net_"),
        33,
    ),
    "resnet v2 bottlenecks": (
        lambda v: v.ResNetV2(v.BottleneckV2, [2, 1], [6, 6, 16], 5, thumbnail=True, prefix="net_"),
        7,
    ),
    "squeezenet1_1": (lambda v: v.squeezenet1_1(classes=5, prefix="net_"), 209),
    "densenet": (lambda v: v.DenseNet(6, 4, [2, 3], 2, 0, 5, prefix="net_"), 53),
    "inception_v3": (lambda v: v.inception_v3(classes=5, prefix="net_"), 299),
    "mobilenet0_25": (lambda v: v.mobilenet0_25(classes=5, prefix="net_"), 64),
    "mobilenet_v2_0_25": (lambda v: v.mobilenet_v2_0_25(classes=5, prefix="net_"), 64),
}

# In float32, so that they do not take seconds.
LARGE = ("alexnet", "vgg", "inception_v3")


def digest(*texts):
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]


def initializer(parameter):
    given = parameter.init
    return given.dumps() if hasattr(given, "dumps") else str(given)


def structure(mx, name):
    """How many parameters, and digests of what is known of them, of the blocks, of the graph."""
    network = mx.gluon.model_zoo.vision.get_model(name, prefix="net_")
    parameters = network.collect_params()
    lines = [
        f"{key} {p.shape} {initializer(p)} {p.grad_req} {np.dtype(p.dtype).name}"
        for key, p in parameters.items()
    ]
    return {
        "parameters": [len(lines), digest(*lines)],
        "in files": digest(*network._collect_params_with_prefix()),
        "blocks": digest(repr(network)),
        "graph": digest(network(mx.sym.var("data")).tojson()),
    }


for _name in NAMES:
    case(lambda mx, name=_name: structure(mx, name), name=f"structure {_name}")


def fill(mx, network):
    """Give parameters values that keep what flows through the network at about the same size."""
    for i, (name, parameter) in enumerate(network.collect_params().items()):
        shape = parameter.shape
        values = np.resize(data((9973,), -1, 1, seed=i, dtype="float64"), shape)
        if name.endswith("weight"):
            values = values * np.sqrt(6 / np.prod(shape[1:]))
        elif name.endswith(("gamma", "running_var")):
            values = 1 + values / 2
        else:
            values = values / 8
        parameter.set_data(mx.nd.array(values, dtype=parameter.dtype))


def in_training(network, x):
    """What the network computes in training, but for dropout, whose random numbers are its own."""
    for layer in network.features:
        if type(layer).__name__ != "Dropout":
            x = layer(x)
    return network.output(x)


def computed(mx, name):
    """Scores in prediction; scores, sizes of some gradients and moved statistics in training."""
    make, size = NETWORKS[name]
    network = make(mx.gluon.model_zoo.vision)
    network.initialize(mx.init.Zero())
    dtype = "float32" if name in LARGE else "float64"
    network.cast(dtype)
    # No two patches are alike, so that no two values tie for the largest of a window.
    images = np.random.RandomState(0).uniform(-2, 2, (2, 3, size, size))
    x = mx.nd.array(images, dtype=dtype)
    network(x[:1])  # the shapes are known from here on
    fill(mx, network)
    predicted = network(x[:1])
    if name == "inception_v3":  # training takes seconds
        return {"predicted": predicted}
    with mx.autograd.record():
        scores = in_training(network, x)
    scores.backward(mx.nd.array([[1, -0.5, 0.25, 0.5, -1], [2, 1, -1, 0.5, -2]], dtype=dtype))
    parameters = list(network.collect_params().values())
    weights = [p for p in parameters if p.name.endswith("weight")]
    moved = [p for p in parameters if "running" in p.name][-2:]
    return {
        "predicted": predicted,
        "scores": scores,
        "gradients": [weights[i].grad().norm() for i in (0, len(weights) // 2, -1)],
        "moved": [p.data().norm() for p in moved],
    }


for _name in NETWORKS:
    case(
        lambda mx, name=_name: computed(mx, name),
        name=f"computes {_name}",
        rtol=2e-4 if _name in LARGE else 1e-6,
        why="MXNet keeps the momentum of running statistics, 0.9, in float32",
    )
