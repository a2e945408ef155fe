"""The gradients of a small tanh perceptron, one for each example of a batch, by vmap."""

import numpy as np

from .declaration import MX, OfPeers, Program, Workload
from .support import double, generator, mx_variable, normal

WEIGHTS = ("w0", "b0", "w1", "b1")


def inputs(sizes):
    random, width, outputs = generator(), sizes["width"], sizes["outputs"]
    shapes = {"w0": (width, width), "b0": (width,), "w1": (outputs, width), "b1": (outputs,)}
    given = {
        "x": normal(random, sizes["batch"], width),
        "target": normal(random, sizes["batch"], outputs),
    }
    for name, shape in shapes.items():
        given[name] = normal(random, *shape, scale=width**-0.5)
    return given


def reference(sizes, given):
    given = double(given)
    x, w1 = given["x"], given["w1"]
    h = np.tanh(x @ given["w0"].T + given["b0"])
    dy = 2 * (h @ w1.T + given["b1"] - given["target"])
    dz = dy @ w1 * (1 - h * h)
    gradients = (dz[:, :, None] * x[:, None], dz, dy[:, :, None] * h[:, None], dy)
    return dict(zip(WEIGHTS, gradients))


def mx(mx, sizes, given):
    nd, record, grad = mx.nd, mx.autograd.record, mx.autograd.grad
    x, target = nd.array(given["x"]), nd.array(given["target"])
    weights, last = [mx_variable(mx, given[name]) for name in WEIGHTS], {}
    w0, b0, w1, b1 = weights

    def gradients(x, target):
        with record():
            x = x.reshape((1, -1))
            h = nd.tanh(nd.FullyConnected(x, w0, b0, num_hidden=sizes["width"]))
            y = nd.FullyConnected(h, w1, b1, num_hidden=sizes["outputs"])
            loss = nd.square(y.reshape((-1,)) - target).sum()
        return grad(loss, weights)

    def one_by_one(x, target):  # MXNet has no vmap
        rows = [gradients(x[i], target[i]) for i in range(x.shape[0])]
        return [nd.stack(*column) for column in zip(*rows)]

    of_all = mx.autograd.vmap(gradients) if hasattr(mx.autograd, "vmap") else one_by_one

    def step():
        last["gradients"] = of_all(x, target)
        nd.waitall()

    return Program(step, lambda: {n: g.asnumpy() for n, g in zip(WEIGHTS, last["gradients"])})


def torch(torch, sizes, given):
    weights = tuple(torch.tensor(given[name]) for name in WEIGHTS)
    x, target, last = torch.tensor(given["x"]), torch.tensor(given["target"]), {}
    linear = torch.nn.functional.linear

    def loss(weights, x, target):
        w0, b0, w1, b1 = weights
        y = linear(torch.tanh(linear(x, w0, b0)), w1, b1)
        return torch.square(y - target).sum()

    of_all = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0, 0))

    def step():
        last["gradients"] = of_all(weights, x, target)

    return Program(step, lambda: {n: g.numpy() for n, g in zip(WEIGHTS, last["gradients"])})


def jax(jax, sizes, given):
    numpy, last = jax.numpy, {}
    weights = tuple(numpy.asarray(given[name]) for name in WEIGHTS)
    x, target = numpy.asarray(given["x"]), numpy.asarray(given["target"])

    def loss(weights, x, target):
        w0, b0, w1, b1 = weights
        y = numpy.dot(w1, numpy.tanh(numpy.dot(w0, x) + b0)) + b1
        return numpy.sum((y - target) ** 2)

    of_all = jax.jit(jax.vmap(jax.grad(loss), in_axes=(None, 0, 0)))

    def step():
        last["gradients"] = jax.block_until_ready(of_all(weights, x, target))

    return Program(step, lambda: dict(zip(WEIGHTS, last["gradients"])))


WORKLOADS = {
    "per_example_gradients": Workload(
        title="Gradients of a 64-64-10 tanh MLP for each of 32 examples, by vmap",
        full={"batch": 32, "width": 64, "outputs": 10},
        small={"batch": 3, "width": 4, "outputs": 2},
        inputs=inputs,
        reference=reference,
        programs={MX: mx, "torch": torch, "jax": jax},
        absent={"autograd": "has no vmap"},
        goals=(OfPeers(0.5, ("torch",)),),
    )
}
