"""sum(tanh(a x + b) sigmoid(x) - c x^2), forward and backward: memory traffic of pointwise work."""

import numpy as np

from .declaration import MX, OfPeers, Workload
from .gradients import autograd_of, jax_of, mx_of, torch_of
from .support import double, generator, normal, sigmoid

A, B, C = 1.5, 0.25, 0.125


def inputs(sizes):
    return {"x": normal(generator(), sizes["elements"])}


def expression(library, sizes, x):
    """The expression in MXNet's and in PyTorch's words."""
    inside = library.tanh(A * x + B) * library.sigmoid(x) - C * library.square(x)
    return inside.sum()


def jax_expression(jax, sizes, x):
    inside = jax.numpy.tanh(A * x + B) * jax.nn.sigmoid(x) - C * jax.numpy.square(x)
    return inside.sum()


def autograd_expression(autograd, sizes, x):
    np = autograd.numpy
    return np.sum(np.tanh(A * x + B) * sigmoid_of(np, x) - C * np.square(x))


def sigmoid_of(np, x):
    return 0.5 * (np.tanh(0.5 * x) + 1)


def reference(sizes, given):
    x = double(given)["x"]
    t, s = np.tanh(A * x + B), sigmoid(x)
    return {
        "y": np.array(np.sum(t * s - C * x * x)),
        "x": A * (1 - t * t) * s + t * s * (1 - s) - 2 * C * x,
    }


WORKLOADS = {
    "elementwise": Workload(
        title="sum(tanh(a·x+b)·sigmoid(x) − c·x²), 8M float32, forward + backward",
        full={"elements": 8_000_000},
        small={"elements": 5000},
        inputs=inputs,
        reference=reference,
        programs={
            MX: mx_of(expression, ["x"]),
            "torch": torch_of(expression, ["x"]),
            "jax": jax_of(jax_expression, ["x"]),
            "autograd": autograd_of(autograd_expression, ["x"]),
        },
        goals=(OfPeers(0.6, ("torch",)), OfPeers(1.0, ("jax",))),
    )
}
