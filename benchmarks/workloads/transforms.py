"""Transforms of functions: forward mode, a Jacobian, a Hessian.

JAX runs eagerly here, without jax.jit, as the others do.
"""

import numpy as np

from .declaration import MX, OfPeers, Program, Workload
from .support import double, generator, normal

NOT_IN_MXNET = {"mxnet": "has no transforms"}
WEIGHTS = ("w0", "b0", "w1", "b1")


def weights(random, width):
    """The weights of a perceptron with one hidden layer, all of one width."""
    scale = width**-0.5
    return {
        "w0": normal(random, width, width, scale=scale),
        "b0": normal(random, width),
        "w1": normal(random, width, width, scale=scale),
        "b1": normal(random, width),
    }


def perceptron(np, w0, b0, w1, b1, x):
    return np.dot(np.tanh(np.dot(x, w0.T) + b0), w1.T) + b1


def mx_perceptron(mx, width):
    nd = mx.nd

    def f(w0, b0, w1, b1, x):
        h = nd.tanh(nd.FullyConnected(x, w0, b0, num_hidden=width))
        return nd.FullyConnected(h, w1, b1, num_hidden=width)

    return f


def torch_perceptron(torch):
    linear = torch.nn.functional.linear

    def f(w0, b0, w1, b1, x):
        return linear(torch.tanh(linear(x, w0, b0)), w1, b1)

    return f


# ---- jvp_mlp


def jvp_inputs(sizes):
    random, width = generator(), sizes["width"]
    given = {**weights(random, width), "x": normal(random, sizes["batch"], width)}
    moves = {f"v_{name}": normal(random, *value.shape) for name, value in given.items()}
    return {**given, **moves}


def primals_and_tangents(given, convert):
    names = (*WEIGHTS, "x")
    return tuple(convert(given[n]) for n in names), tuple(convert(given[f"v_{n}"]) for n in names)


def jvp_reference(sizes, given):
    primals, tangents = primals_and_tangents(double(given), lambda a: a)
    moved = [p + 1e-30j * t for p, t in zip(primals, tangents)]
    return {"tangent": perceptron(np, *moved).imag / 1e-30}


def jvp_mx(mx, sizes, given):
    primals, tangents = primals_and_tangents(given, mx.nd.array)
    f, last = mx_perceptron(mx, sizes["width"]), {}

    def step():
        last["tangent"] = mx.autograd.jvp(f, primals, tangents)[1]
        mx.nd.waitall()

    return Program(step, lambda: {"tangent": last["tangent"].asnumpy()})


def jvp_torch(torch, sizes, given):
    primals, tangents = primals_and_tangents(given, torch.tensor)
    f, last = torch_perceptron(torch), {}

    def step():
        last["tangent"] = torch.func.jvp(f, primals, tangents)[1]

    return Program(step, lambda: {"tangent": last["tangent"].numpy()})


def jvp_jax(jax, sizes, given):
    primals, tangents = primals_and_tangents(given, jax.numpy.asarray)
    last = {}

    def f(*args):
        return perceptron(jax.numpy, *args)

    def step():
        last["tangent"] = jax.block_until_ready(jax.jvp(f, primals, tangents)[1])

    return Program(step, lambda: last)


def jvp_autograd(autograd, sizes, given):
    primals, tangents = primals_and_tangents(given, lambda a: a)
    pushed = autograd.make_jvp(lambda args: perceptron(autograd.numpy, *args))
    last = {}

    def step():
        last["tangent"] = pushed(primals)(tangents)[1]

    return Program(step, lambda: last)


# ---- jacobian_mlp


def jacobian_inputs(sizes):
    random, width = generator(), sizes["width"]
    return {**weights(random, width), "x": normal(random, width)}


def jacobian_reference(sizes, given):
    given = double(given)
    h = np.tanh(given["w0"] @ given["x"] + given["b0"])
    return {"jacobian": given["w1"] * (1 - h * h) @ given["w0"]}


def jacobian_mx(mx, sizes, given):
    f, width, last = mx_perceptron(mx, sizes["width"]), sizes["width"], {}
    values, x = [mx.nd.array(given[name]) for name in WEIGHTS], mx.nd.array(given["x"])
    transformed = mx.autograd.jacobian(
        lambda x: f(*values, x.reshape((1, width))).reshape((width,))
    )

    def step():
        last["jacobian"] = transformed(x)
        mx.nd.waitall()

    return Program(step, lambda: {"jacobian": last["jacobian"].asnumpy()})


def jacobian_torch(torch, sizes, given):
    f, last = torch_perceptron(torch), {}
    values, x = [torch.tensor(given[name]) for name in WEIGHTS], torch.tensor(given["x"])
    transformed = torch.func.jacrev(lambda x: f(*values, x))

    def step():
        last["jacobian"] = transformed(x)

    return Program(step, lambda: {"jacobian": last["jacobian"].detach().numpy()})


def jacobian_jax(jax, sizes, given):
    values, x = [jax.numpy.asarray(given[n]) for n in WEIGHTS], jax.numpy.asarray(given["x"])
    transformed, last = jax.jacrev(lambda x: perceptron(jax.numpy, *values, x)), {}

    def step():
        last["jacobian"] = jax.block_until_ready(transformed(x))

    return Program(step, lambda: last)


def jacobian_autograd(autograd, sizes, given):
    values, last = [given[name] for name in WEIGHTS], {}
    transformed = autograd.jacobian(lambda x: perceptron(autograd.numpy, *values, x))

    def step():
        last["jacobian"] = transformed(given["x"])

    return Program(step, lambda: last)


# ---- hessian_small


def hessian_inputs(sizes):
    random, features, hidden = generator(), sizes["features"], sizes["hidden"]
    return {
        "p": normal(random, hidden * (features + 2)),
        "x": normal(random, sizes["batch"], features),
        "target": normal(random, sizes["batch"]),
    }


def small_loss(np, sizes, p, x, target):
    """The loss of a perceptron whose weights are one vector: hidden * (features + 2) numbers."""
    features, hidden = sizes["features"], sizes["hidden"]
    split = features * hidden
    w0 = p[:split].reshape((features, hidden))
    h = np.tanh(np.dot(x, w0) + p[split : split + hidden])
    residual = np.dot(h, p[split + hidden :]) - target
    return (residual * residual).mean()


def small_gradient(sizes, p, x, target):
    features, hidden = sizes["features"], sizes["hidden"]
    split = features * hidden
    w0, w1 = p[:split].reshape((features, hidden)), p[split + hidden :]
    h = np.tanh(x @ w0 + p[split : split + hidden])
    dy = 2 * (h @ w1 - target) / len(x)
    dz = dy[:, None] * w1 * (1 - h * h)
    return np.concatenate([(x.T @ dz).ravel(), dz.sum(0), h.T @ dy])


def hessian_reference(sizes, given):
    given = double(given)
    p, data = given["p"], (given["x"], given["target"])
    columns = [
        small_gradient(sizes, p + 1e-30j * unit, *data).imag / 1e-30 for unit in np.eye(len(p))
    ]
    return {"hessian": np.stack(columns)}


def hessian_mx(mx, sizes, given):
    p, x, target = (mx.nd.array(given[name]) for name in ("p", "x", "target"))
    transformed = mx.autograd.hessian(lambda p: small_loss(mx.nd, sizes, p, x, target))
    last = {}

    def step():
        last["hessian"] = transformed(p)
        mx.nd.waitall()

    return Program(step, lambda: {"hessian": last["hessian"].asnumpy()})


def hessian_torch(torch, sizes, given):
    p, x, target = (torch.tensor(given[name]) for name in ("p", "x", "target"))

    class Functions:
        tanh, dot = torch.tanh, torch.matmul

    transformed = torch.func.hessian(lambda p: small_loss(Functions, sizes, p, x, target))
    last = {}

    def step():
        last["hessian"] = transformed(p)

    return Program(step, lambda: {"hessian": last["hessian"].detach().numpy()})


def hessian_jax(jax, sizes, given):
    p, x, target = (jax.numpy.asarray(given[name]) for name in ("p", "x", "target"))
    transformed = jax.hessian(lambda p: small_loss(jax.numpy, sizes, p, x, target))
    last = {}

    def step():
        last["hessian"] = jax.block_until_ready(transformed(p))

    return Program(step, lambda: last)


def hessian_autograd(autograd, sizes, given):
    x, target, last = given["x"], given["target"], {}
    transformed = autograd.hessian(lambda p: small_loss(autograd.numpy, sizes, p, x, target))

    def step():
        last["hessian"] = transformed(given["p"])

    return Program(step, lambda: last)


WORKLOADS = {
    "jvp_mlp": Workload(
        title="jvp of a 64-64-64 tanh MLP by its weights and data, batch 32",
        full={"batch": 32, "width": 64},
        small={"batch": 3, "width": 4},
        inputs=jvp_inputs,
        reference=jvp_reference,
        programs={MX: jvp_mx, "torch": jvp_torch, "jax": jvp_jax, "autograd": jvp_autograd},
        absent=NOT_IN_MXNET,
        goals=(OfPeers(0.5, ("torch",)),),
    ),
    "jacobian_mlp": Workload(
        title="Jacobian of a 64-64-64 tanh MLP by its data, one example",
        full={"width": 64},
        small={"width": 4},
        inputs=jacobian_inputs,
        reference=jacobian_reference,
        programs={
            MX: jacobian_mx,
            "torch": jacobian_torch,
            "jax": jacobian_jax,
            "autograd": jacobian_autograd,
        },
        absent=NOT_IN_MXNET,
        goals=(OfPeers(0.5, ("torch",)),),
    ),
    "hessian_small": Workload(
        title="Hessian of the loss of a 3-10-1 tanh MLP of 50 parameters, batch 16",
        full={"batch": 16, "features": 3, "hidden": 10},
        small={"batch": 3, "features": 2, "hidden": 2},
        inputs=hessian_inputs,
        reference=hessian_reference,
        programs={
            MX: hessian_mx,
            "torch": hessian_torch,
            "jax": hessian_jax,
            "autograd": hessian_autograd,
        },
        absent=NOT_IN_MXNET,
        goals=(OfPeers(0.5, ("torch",)),),
    ),
}
