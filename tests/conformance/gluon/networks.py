"""Gluon networks that cross between MXNet 1.9.1 and mxtape, and what MXNet computes with them.

    oracle.sh tests/conformance/gluon/networks.py

writes each network as MXNet exports it, with ``results.json``: the outputs and the gradients of
their sum. The parameters follow from their names and shapes, so the files are the same whoever
writes them.
"""

import json
import os
import sys
import zlib

import numpy as np

FOLDER = os.path.dirname(os.path.abspath(__file__))


def numbers(shape, seed, dtype="float32"):
    """Multiples of 1/64 between -1 and 1, which every floating dtype has exactly."""
    raw = np.random.RandomState(seed % 2**31).random_sample(shape) * 2 - 1
    return (np.round(raw * 64) / 64).astype(dtype)


def _sequential(mx, *layers):
    net = mx.gluon.nn.HybridSequential(prefix="net_")
    with net.name_scope():
        net.add(*(layer() for layer in layers))
    return net


def _block(mx, function, parameters=(), constants=(), layers=None):
    """A block with these parameters, which computes `function`."""

    class Net(mx.gluon.HybridBlock):
        def __init__(self):
            super().__init__(prefix="net_")
            with self.name_scope():
                for name, options in dict(parameters).items():
                    setattr(self, name, self.params.get(name, **options))
                for name, value in dict(constants).items():
                    setattr(self, name, self.params.get_constant(name, value))
                for name, layer in (layers(mx.gluon.nn) if layers else {}).items():
                    setattr(self, name, layer)

        def hybrid_forward(self, F, *args, **params):
            return function(self, F, *args, **params)

    return Net()


def _mlp(mx):
    nn = mx.gluon.nn
    layers = [lambda: nn.Dense(3, activation="tanh"), lambda: nn.Dense(2, use_bias=False)]
    return _sequential(mx, *layers), [(4, 5)]


def _convolutional(mx):
    nn = mx.gluon.nn
    layers = [
        lambda: nn.Conv2D(3, 3, padding=1, activation="relu"),
        nn.BatchNorm,
        nn.MaxPool2D,
        nn.Flatten,
        lambda: nn.Dense(2),
    ]
    return _sequential(mx, *layers), [(2, 2, 6, 6)]


def _upsampling(mx):
    nn = mx.gluon.nn
    layers = [
        lambda: nn.Conv2DTranspose(2, 2, strides=2),
        nn.InstanceNorm,
        lambda: nn.LeakyReLU(0.2),
        nn.PReLU,
        nn.GlobalAvgPool2D,
    ]
    return _sequential(mx, *layers), [(2, 3, 3, 3)]


def _nested(mx):
    def forward(self, F, x, pair):
        a, (b, c) = x, pair
        left, right = F.split(a, 2, axis=1)
        return [left * b, [right + c]], F.split(a, 2, axis=0)

    return _block(mx, forward), [(2, 4), [(2, 2), (2, 2)]]


def _without_parameters(mx):
    return _block(mx, lambda self, F, x: F.log_softmax(x * 2 + 1)), [(3, 4)]


def _parameter_as_output(mx):
    def forward(self, F, x, w, k):
        return w, F.broadcast_add(x, k)

    return _block(mx, forward, {"w": {"shape": (2, 2)}}, {"k": [[1.0, 2.0]]}), [(3, 2)]


def _float16(mx):
    w = {"shape": (1, 3), "dtype": "float16"}
    net = _block(mx, lambda self, F, x, w: F.broadcast_mul(x, w) + 1, {"w": w})
    return net, [(2, 3)], "float16"


def _float64(mx):
    nn = mx.gluon.nn
    net = _sequential(
        mx,
        lambda: nn.Dense(3, activation="sigmoid", dtype="float64"),
        lambda: nn.Dense(2, dtype="float64"),
    )
    return net, [(4, 5)], "float64"


def _foreach(mx):
    def forward(self, F, x, state, w):
        def step(row, previous):
            new = F.tanh(F.FullyConnected(row, w, num_hidden=3, no_bias=True) + previous)
            return new, new

        return F.contrib.foreach(step, x, state)

    return _block(mx, forward, {"w": {"shape": (3, 2)}}), [(4, 2, 2), (2, 3)]


def _while_loop(mx):
    def forward(self, F, x, w):
        outputs, (_, last) = F.contrib.while_loop(
            lambda i, s: i < 3,
            lambda i, s: (s, (i + 1, F.broadcast_mul(s, w))),
            (F.zeros((1,)), x),
            max_iterations=3,
        )
        return outputs, last

    return _block(mx, forward, {"w": {"shape": (1, 3)}}), [(2, 3)]


def _cond(mx):
    def forward(self, F, x, w):
        return F.contrib.cond(
            F.sum(x) > 0, lambda: F.broadcast_mul(x, w), lambda: F.broadcast_add(x, w)
        )

    return _block(mx, forward, {"w": {"shape": (1, 3)}}), [(2, 3)]


def _attention(mx):
    def layers(nn):
        return {
            "words": nn.Embedding(7, 4),
            "query": nn.Dense(4, flatten=False, use_bias=False),
            "norm": nn.LayerNorm(),
            "drop": nn.Dropout(0.3),
        }

    def forward(self, F, x):
        e = self.words(F.round(F.abs(x) * 6))
        weights = F.softmax(F.batch_dot(self.query(e), e, transpose_b=True))
        return self.norm(e + self.drop(F.batch_dot(weights, e)))

    return _block(mx, forward, layers=layers), [(2, 3)]


def _shared(mx):
    def layers(nn):
        first = nn.Dense(4, in_units=4, activation="relu")
        return {"first": first, "second": nn.Dense(4, in_units=4, params=first.params)}

    return _block(mx, lambda self, F, x: self.second(self.first(x)) + x, layers=layers), [(3, 4)]


NETWORKS = {
    "mlp": _mlp,
    "convolutional": _convolutional,
    "upsampling": _upsampling,
    "nested": _nested,
    "without_parameters": _without_parameters,
    "parameter_as_output": _parameter_as_output,
    "float16": _float16,
    "float64": _float64,
    "foreach": _foreach,
    "while_loop": _while_loop,
    "cond": _cond,
    "attention": _attention,
    "shared": _shared,
}
RANDOM = ("attention",)  # in training mode


def flat(nested):
    """What is in nested lists, in order."""
    if isinstance(nested, (list, tuple)) and not (nested and isinstance(nested[0], int)):
        return [leaf for item in nested for leaf in flat(item)]
    return [nested]


def made(mx, name):
    """The network, with its parameters, and its arguments."""
    net, shapes, *dtype = NETWORKS[name](mx)
    dtype = dtype[0] if dtype else "float32"
    count = iter(range(9))

    def argument(shape):
        if isinstance(shape, list):
            return [argument(inner) for inner in shape]
        return mx.nd.array(numbers(shape, next(count) + 1, dtype), dtype=dtype)

    arguments = [argument(shape) for shape in shapes]
    net.initialize()
    net(*arguments)
    for key, param in net.collect_params().items():
        if type(param).__name__ != "Constant":
            values = numbers(param.shape, zlib.crc32(key.encode()), dtype)
            param.set_data(mx.nd.array(abs(values) if "var" in key else values, dtype=dtype))
    return net, arguments


def results(mx, name, net, arguments):
    """The outputs as lists, and the gradients of their sum: by argument, by parameter."""
    for argument in flat(arguments):
        argument.attach_grad()
    with mx.autograd.record(train_mode=name not in RANDOM):
        outputs = flat(net(*arguments))
        total = sum(output.astype("float64").sum() for output in outputs)
    total.backward()
    gradients = {
        key: param.grad().asnumpy().astype("float64").tolist()
        for key, param in net.collect_params().items()
        if param.grad_req != "null"
    }
    return {
        "outputs": [output.asnumpy().astype("float64").tolist() for output in outputs],
        "arguments": [x.grad.asnumpy().astype("float64").tolist() for x in flat(arguments)],
        "gradients": gradients,
    }


def export(mx, name, folder):
    """Writes the network's files, and returns the results."""
    net, arguments = made(mx, name)
    net.hybridize()
    net(*arguments)
    net.export(os.path.join(folder, name))
    return results(mx, name, net, arguments)


def main():
    import mxnet

    found = {name: export(mxnet, name, FOLDER) for name in NETWORKS}
    with open(os.path.join(FOLDER, "results.json"), "w") as file:
        json.dump(found, file, separators=(",", ":"))
        file.write("\n")


if __name__ == "__main__":
    sys.exit(main())
