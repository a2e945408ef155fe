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
    return found
