"""Normalizations: softmax and LayerNorm over rows, and mean and variance over columns."""

import numpy as np

from .declaration import MX, OfPeers, Workload
from .gradients import autograd_of, jax_of, mx_of, torch_of
from .support import double, generator, normal

EPSILON = 1e-5
ROW_VARIABLES = ("x", "gamma", "beta")


def row_inputs(sizes):
    random, shape = generator(), (sizes["rows"], sizes["columns"])
    return {
        "x": normal(random, *shape),
        "gamma": 1 + normal(random, shape[1], scale=0.1),
        "beta": normal(random, shape[1], scale=0.1),
        "head": normal(random, *shape),
    }


def normalized(x, axis):
    """Return (x - mean) / deviation, and the deviation."""
    deviation = np.sqrt(x.var(axis, keepdims=True) + EPSILON)
    return (x - x.mean(axis, keepdims=True)) / deviation, deviation


def normalized_backward(unit, deviation, head, axis):
    centred = head - head.mean(axis, keepdims=True)
    return (centred - unit * (head * unit).mean(axis, keepdims=True)) / deviation


def row_reference(sizes, given):
    given = double(given)
    head, gamma = given["head"], given["gamma"]
    share = np.exp(given["x"] - given["x"].max(1, keepdims=True))
    share /= share.sum(1, keepdims=True)
    unit, deviation = normalized(share, 1)
    ds = normalized_backward(unit, deviation, head * gamma, 1)
    return {
        "y": unit * gamma + given["beta"],
        "x": share * (ds - (ds * share).sum(1, keepdims=True)),
        "gamma": (head * unit).sum(0),
        "beta": head.sum(0),
    }


def row_mx(nd, sizes, x, gamma, beta):
    return nd.LayerNorm(nd.softmax(x), gamma, beta, eps=EPSILON)


def row_torch(torch, sizes, x, gamma, beta):
    return torch.nn.functional.layer_norm(x.softmax(1), gamma.shape, gamma, beta, EPSILON)


def row_jax(jax, sizes, x, gamma, beta):
    x = jax.nn.softmax(x)
    mean, variance = x.mean(1, keepdims=True), x.var(1, keepdims=True)
    return (x - mean) * jax.lax.rsqrt(variance + EPSILON) * gamma + beta


def row_autograd(autograd, sizes, x, gamma, beta):
    np = autograd.numpy
    x = np.exp(x - np.max(x, axis=1, keepdims=True))
    x = x / np.sum(x, axis=1, keepdims=True)
    mean, variance = np.mean(x, axis=1, keepdims=True), np.var(x, axis=1, keepdims=True)
    return (x - mean) / np.sqrt(variance + EPSILON) * gamma + beta


def column_inputs(sizes):
    random, shape = generator(), (sizes["rows"], sizes["columns"])
    return {"x": normal(random, *shape), "head": normal(random, *shape)}


def column_reference(sizes, given):
    given = double(given)
    unit, deviation = normalized(given["x"], 0)
    return {"y": unit, "x": normalized_backward(unit, deviation, given["head"], 0)}


# From elementary operators. This way is the fastest in PyTorch (var_mean takes half as long again)
# and in mxtape (before moments); a fused batch norm is measured in convolution.py.


def column_mx(nd, sizes, x):
    centred = x - x.mean(axis=0, keepdims=True)
    variance = nd.square(centred).mean(axis=0, keepdims=True)
    return centred * nd.rsqrt(variance + EPSILON)


def column_torch(torch, sizes, x):
    centred = x - x.mean(0)
    variance = torch.square(centred).mean(0)
    return centred * torch.rsqrt(variance + EPSILON)


def column_jax(jax, sizes, x):
    return (x - x.mean(0)) * jax.lax.rsqrt(x.var(0) + EPSILON)


def column_autograd(autograd, sizes, x):
    np = autograd.numpy
    return (x - np.mean(x, axis=0)) / np.sqrt(np.var(x, axis=0) + EPSILON)


WORKLOADS = {
    "softmax_layernorm": Workload(
        title="softmax + LayerNorm over (4096, 1024), forward + backward",
        full={"rows": 4096, "columns": 1024},
        small={"rows": 7, "columns": 50},
        inputs=row_inputs,
        reference=row_reference,
        programs={
            MX: mx_of(row_mx, ROW_VARIABLES),
            "torch": torch_of(row_torch, ROW_VARIABLES),
            "jax": jax_of(row_jax, ROW_VARIABLES),
            "autograd": autograd_of(row_autograd, ROW_VARIABLES),
        },
        goals=(OfPeers(1.0, ("torch",)),),
        tolerance=1e-3,
    ),
    "moments": Workload(
        title="mean/variance normalization over axis 0 of (8192, 1024), forward + backward",
        full={"rows": 8192, "columns": 1024},
        small={"rows": 40, "columns": 6},
        inputs=column_inputs,
        reference=column_reference,
        programs={
            MX: mx_of(column_mx, ["x"]),
            "torch": torch_of(column_torch, ["x"]),
            "jax": jax_of(column_jax, ["x"]),
            "autograd": autograd_of(column_autograd, ["x"]),
        },
        goals=(OfPeers(0.7, ("torch",)),),
    ),
}
