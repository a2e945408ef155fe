"""What tests/oracle/jax_transforms.py records of JAX, and test_jax_transforms.py computes.

The functions are written in the names that `mx.nd` and `jax.numpy` have in common: F is either. The
transforms have one name and one order of arguments in both, except where `results` says otherwise.
"""

import numpy as np


def mlp(F, params, x):
    h = F.tanh(F.dot(x, params["w0"]) + params["b0"])
    return F.dot(h, params["w1"]) + params["b1"]


def loss(F, params, x, y):
    return F.mean(F.square(mlp(F, params, x) - y))


def rosenbrock(F, x):
    return F.sum(100 * F.square(x[1:] - F.square(x[:-1])) + F.square(1 - x[:-1]))


def normalized(F, x):
    e = F.exp(x - F.max(x))
    return e / F.sum(e)


def wave(F, x, t):
    return F.sin(3 * x - t) * F.exp(-F.square(x) / 2)


def tree(F, pair):
    a, rest = pair
    return {"product": a * rest["b"], "more": [F.sqrt(a), (rest["b"] / a,)]}


def inputs():
    random = np.random.RandomState(42)

    def params():
        return {
            "w0": random.randn(3, 5) / 2,
            "b0": random.randn(5) / 2,
            "w1": random.randn(5, 2) / 2,
            "b1": random.randn(2) / 2,
        }

    return {
        "params": params(),
        "direction": params(),
        "x": random.randn(4, 3),
        "y": random.randn(4, 2),
        "dx": random.randn(4, 3),
        "u": random.randn(4, 2),
        "v": random.randn(6),
        "dv": random.randn(6),
        "pair": [random.uniform(1, 2, (2, 2)), {"b": random.uniform(1, 2, (2, 2))}],
        "dpair": [random.randn(2, 2), {"b": random.randn(2, 2)}],
    }


def results(F, T, given):
    """The answers of a library: its functions F, its transforms T, and the inputs as its arrays."""
    g = given
    x, y, v, dv = g["x"], g["y"], g["v"], g["dv"]

    def of_params(p):
        return loss(F, p, x, y)

    def rosen(v):
        return rosenbrock(F, v)

    def along(f, v):
        return T.jvp(f, (v,), (dv,))[1]

    found = {
        "jvp of an MLP": T.jvp(lambda p: mlp(F, p, x), (g["params"],), (g["direction"],)),
        "vjp of an MLP": T.vjp(lambda p, x: mlp(F, p, x), g["params"], x)[1](g["u"]),
        "value_and_grad": T.value_and_grad(of_params)(g["params"]),
        "linearize": T.linearize(lambda x: mlp(F, g["params"], x), x)[1](g["dx"]),
        "jvp of nested": T.jvp(lambda p: tree(F, p), (g["pair"],), (g["dpair"],)),
        "jacobian, forward": T.jacobian(lambda v: normalized(F, v), mode="forward")(v),
        "jacobian, reverse": T.jacobian(lambda v: normalized(F, v), mode="reverse")(v),
        "jacobian of nested": T.jacobian(lambda p: tree(F, p), mode="reverse")(g["pair"]),
        "hessian": T.hessian(rosen)(v),
        "hessian of nested": T.hessian(of_params)(g["params"]),
        "hvp": T.hvp(of_params, (g["params"],), (g["direction"],)),
        "third, forward": along(lambda v: along(lambda v: along(rosen, v), v), v),
        "third, mixed": along(T.hessian(rosen), v),
        "elementwise, twice": T.elementwise_grad(T.elementwise_grad(lambda v: wave(F, v, 0.5)))(v),
    }
    found["gradient of a penalty"] = T.value_and_grad(
        lambda p: F.sum(F.square(T.elementwise_grad(lambda x: F.sum(mlp(F, p, x)))(x)))
    )(g["params"])
    return {**found, **mapped(F, T, given), **recomputed(F, T, given)}


def mapped(F, T, given):
    """vmap: over other axes, nested, of gradients and Hessians, and differentiated."""
    x, y, v, dv = (given[name] for name in ("x", "y", "v", "dv"))
    params, rows = given["params"], x.reshape((4, 1, 3))

    def row_gradient(row, target):
        return T.value_and_grad(lambda p: loss(F, p, row, target))(params)

    def products(a, b):
        return F.tanh(a * b)

    def of_rows(x):
        return F.sum(F.square(T.vmap(lambda row: normalized(F, row))(x)))

    return {
        "vmap, columns": T.vmap(lambda column: normalized(F, column), in_axes=1, out_axes=1)(x),
        "vmap, nested": T.vmap(T.vmap(products, in_axes=(None, 0)), in_axes=(0, None))(v, dv),
        "vmap of gradients": T.vmap(row_gradient)(rows, y.reshape((4, 1, 2))),
        "vmap of Hessians": T.vmap(T.hessian(lambda row: rosenbrock(F, row)))(x),
        "vmap of jvp": T.vmap(lambda a, b: T.jvp(F.tanh, (a,), (b,)))(v, dv),
        "gradient of vmap": T.value_and_grad(of_rows)(x),
        "jvp of vmap": T.jvp(of_rows, (x,), (given["dx"],)),
    }


def recomputed(F, T, given):
    """checkpoint and custom_gradient."""
    g, v = given, given["v"]

    @T.custom_gradient
    def other(x):
        return F.square(x), lambda head: head * F.tanh(x)

    @T.checkpoint
    def again(p):
        return loss(F, p, g["x"], g["y"])

    return {
        "checkpoint": T.value_and_grad(again)(g["params"]),
        "checkpoint, Hessian": T.hessian(T.checkpoint(lambda v: rosenbrock(F, v)))(v),
        "custom_gradient": T.value_and_grad(lambda v: F.sum(other(v) * v))(v),
        "custom_gradient, twice": T.elementwise_grad(T.elementwise_grad(other))(v),
    }
