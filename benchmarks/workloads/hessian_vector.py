"""A Hessian-vector product of a small tanh perceptron, through the gradient of a gradient."""

import numpy as np

from .declaration import MX, OfPeers, Program, Workload
from .support import double, generator, mx_variable, normal, torch_variable

WEIGHTS = ("w0", "b0", "w1", "b1")


def inputs(sizes):
    random, width = generator(), sizes["width"]
    shapes = {"w0": (width, width), "b0": (width,), "w1": (1, width), "b1": (1,)}
    given = {
        "x": normal(random, sizes["batch"], width),
        "target": normal(random, sizes["batch"], 1),
    }
    for name, shape in shapes.items():
        given[name] = normal(random, *shape, scale=width**-0.5)
        given[f"v_{name}"] = normal(random, *shape)
    return given


def gradient(x, target, w0, b0, w1, b1):
    """Return the gradient of mean((w1 tanh(w0 x + b0) + b1 - target)^2)."""
    h = np.tanh(x @ w0.T + b0)
    dy = 2 * (h @ w1.T + b1 - target) / len(x)
    dz = dy @ w1 * (1 - h * h)
    return dz.T @ x, dz.sum(0), dy.T @ h, dy.sum(0)


def reference(sizes, given):
    given = double(given)
    # The gradient is analytic: its derivative along v is exact with a tiny imaginary step.
    moved = [given[name] + 1e-30j * given[f"v_{name}"] for name in WEIGHTS]
    along = gradient(given["x"], given["target"], *moved)
    return {name: g.imag / 1e-30 for name, g in zip(WEIGHTS, along)}


def mx(mx, sizes, given):
    nd, record, grad = mx.nd, mx.autograd.record, mx.autograd.grad
    x, target = nd.array(given["x"]), nd.array(given["target"])
    weights = [mx_variable(mx, given[name]) for name in WEIGHTS]
    directions = [nd.array(given[f"v_{name}"]) for name in WEIGHTS]
    w0, b0, w1, b1 = weights

    def step():
        with record():
            h = nd.tanh(nd.FullyConnected(x, w0, b0, num_hidden=sizes["width"]))
            y = nd.FullyConnected(h, w1, b1, num_hidden=1)
            loss = nd.square(nd.elemwise_sub(y, target)).mean()
            first = grad(loss, weights, create_graph=True)
        mx.autograd.backward(first, directions)
        nd.waitall()

    return Program(step, lambda: {n: w.grad.asnumpy() for n, w in zip(WEIGHTS, weights)})


def torch(torch, sizes, given):
    x, target = torch.tensor(given["x"]), torch.tensor(given["target"])
    weights = [torch_variable(torch, given[name]) for name in WEIGHTS]
    directions = [torch.tensor(given[f"v_{name}"]) for name in WEIGHTS]
    w0, b0, w1, b1 = weights
    linear, grad, last = torch.nn.functional.linear, torch.autograd.grad, {}

    def step():
        y = linear(torch.tanh(linear(x, w0, b0)), w1, b1)
        loss = torch.nn.functional.mse_loss(y, target)
        first = grad(loss, weights, create_graph=True)
        last["second"] = grad(first, weights, directions)

    return Program(step, lambda: {n: g.numpy() for n, g in zip(WEIGHTS, last["second"])})


def loss_of(np, weights, x, target):
    w0, b0, w1, b1 = weights
    y = np.dot(np.tanh(np.dot(x, w0.T) + b0), w1.T) + b1
    return np.mean((y - target) ** 2)


def jax(jax, sizes, given):
    numpy, last = jax.numpy, {}
    x, target = numpy.asarray(given["x"]), numpy.asarray(given["target"])
    weights = [numpy.asarray(given[name]) for name in WEIGHTS]
    directions = [numpy.asarray(given[f"v_{name}"]) for name in WEIGHTS]

    @jax.jit
    def product(weights, directions):
        _, pull_back = jax.vjp(jax.grad(lambda w: loss_of(numpy, w, x, target)), weights)
        return pull_back(directions)[0]

    def step():
        last["second"] = jax.block_until_ready(product(weights, directions))

    return Program(step, lambda: dict(zip(WEIGHTS, last["second"])))


def autograd(autograd, sizes, given):
    weights = [given[name] for name in WEIGHTS]
    directions = [given[f"v_{name}"] for name in WEIGHTS]
    x, target, last = given["x"], given["target"], {}
    first = autograd.grad(lambda w: loss_of(autograd.numpy, w, x, target))

    def step():
        pull_back, _ = autograd.make_vjp(first)(weights)
        last["second"] = pull_back(directions)

    return Program(step, lambda: dict(zip(WEIGHTS, last["second"])))


WORKLOADS = {
    "hessian_vector": Workload(
        title="Hessian-vector product of a 64-64-1 tanh MLP, batch 32, grad of grad",
        full={"batch": 32, "width": 64},
        small={"batch": 3, "width": 4},
        inputs=inputs,
        reference=reference,
        programs={MX: mx, "torch": torch, "jax": jax, "autograd": autograd},
        goals=(OfPeers(0.5, ("torch",)),),
    )
}
