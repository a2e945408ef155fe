"""Layers and losses of the conformance cases: hybridized, they give the same bits as eager."""

import importlib
import os
import sys

import numpy as np
import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness

import mxtape as mx
from mxtape import autograd

harness.load_cases()
gluon_layers = importlib.import_module("cases.gluon_layers")
LAYERS = list(dict.fromkeys(gluon_layers.LAYERS))
LAYERS += [
    ("nn.SELU()", (2, 3), harness.data),
    ("nn.Dense(3, activation='tanh')", (2, 3), harness.data),
]
LAYERS += [("cc.ModulatedDeformableConvolution(2, (2, 2))", (1, 2, 4, 4), harness.data)]
LOSSES = [
    item
    for item in harness.REGISTRY.values()
    if item.family == "gluon_losses" and item.name.startswith("grad ")
    if not item.line.endswith(", 0.5)")  # a number is no input of a graph
]


def same(eager, hybrid):
    """Whether the arrays have the same bits, types and shapes."""
    for one, other in zip(eager, hybrid):
        assert one.dtype == other.dtype
        assert one.shape == other.shape
        assert one.tobytes() == other.tobytes()


def step(net, x, seed):
    """Outputs, gradients and states of a step; of the input too where it is no row number."""
    mx.random.seed(seed)
    numbers = isinstance(net, mx.gluon.nn.Embedding)
    if not numbers:
        x.attach_grad()
    with autograd.record():
        y = net(x)
    y.backward(harness.head_like(mx, y))
    params = net.collect_params().values()
    gradients = [p.grad() for p in params if p.grad_req != "null"] + ([] if numbers else [x.grad])
    with autograd.pause(train_mode=False):
        arrays = [y, *gradients, *(p.data() for p in params), net(x)]
    return [array.asnumpy() for array in arrays]


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
@pytest.mark.parametrize("layer", LAYERS, ids=[f"{line} {shape}" for line, shape, _ in LAYERS])
def test_layer(layer, dtype):
    line, shape, source = layer
    if "Embedding" in line:
        line = line.replace(", dtype='float64'", "")
    x = mx.nd.array(source(shape, seed=81, dtype=dtype), dtype=dtype)

    def results(**flags):
        net = eval(line, gluon_layers.namespace(mx))
        net.initialize()
        net.cast(dtype)
        net(x)
        gluon_layers.fill(mx, net)
        if flags:
            net.hybridize(**flags)
        return [array for seed in (3, 4) for array in step(net, x, seed)]

    eager = results()
    same(eager, results(active=True))
    same(eager, results(static_alloc=True, static_shape=True))


class Hybridized:
    """``gluon.loss`` whose losses are hybridized."""

    def __getattr__(self, name):
        def make(*args, **kwargs):
            loss = getattr(mx.gluon.loss, name)(*args, **kwargs)
            loss.hybridize()
            return loss

        return make


@pytest.mark.parametrize("item", LOSSES, ids=[item.name for item in LOSSES])
def test_loss(item):
    def results(losses):
        inputs = item.setup(mx)
        names = [k for k, v in inputs.items() if harness.is_float_array(v)]
        wanted = {k: inputs[k] for k in names if item.wrt is None or k in item.wrt.split()}
        for array in wanted.values():
            array.attach_grad()
        with autograd.record():
            y = eval(item.line, {"mx": mx, "nd": mx.nd, "np": np, **inputs, **losses})
        y.backward(harness.head_like(mx, y))
        return [y.asnumpy(), *(array.grad.asnumpy() for array in wanted.values())]

    eager, hybrid = results({}), results({"L": Hybridized()})
    same(eager[:1], hybrid[:1])
    # Gradients that meet in an array may be added in another order.
    for one, other in zip(eager[1:], hybrid[1:]):
        tolerance = 4 * np.finfo(one.dtype).eps
        np.testing.assert_allclose(other, one, rtol=tolerance, atol=tolerance)
