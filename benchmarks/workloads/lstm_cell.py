"""An LSTM cell written with elementary operators, over a sequence, forward and backward."""

import numpy as np

from .declaration import MX, OfPeers, Workload
from .gradients import autograd_of, jax_of, mx_of, torch_of
from .support import double, generator, normal, sigmoid

VARIABLES = ("wx", "wh", "b")


def inputs(sizes):
    random, width = generator(), sizes["hidden"]
    return {
        "x": normal(random, sizes["steps"], sizes["batch"], width),
        "wx": normal(random, width, 4 * width, scale=width**-0.5),
        "wh": normal(random, width, 4 * width, scale=width**-0.5),
        "b": normal(random, 4 * width, scale=0.1),
        "head": normal(random, sizes["batch"], width),
    }


def reference(sizes, given):
    given = double(given)
    x, wx, wh = given["x"], given["wx"], given["wh"]
    h = c = np.zeros((x.shape[1], wh.shape[0]))
    kept = []
    for x_t in x:
        i, f, g, o = np.split(x_t @ wx + h @ wh + given["b"], 4, axis=1)
        i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
        before = h, c
        c = f * c + i * g
        h = o * np.tanh(c)
        kept.append((x_t, *before, i, f, g, o, c))
    answer = {"y": h, **{name: np.zeros_like(given[name]) for name in VARIABLES}}
    dh, dc = given["head"], 0
    for x_t, h_before, c_before, i, f, g, o, c in reversed(kept):
        t = np.tanh(c)
        dc = dc + dh * o * (1 - t * t)
        gates = np.concatenate(
            [
                dc * g * i * (1 - i),
                dc * c_before * f * (1 - f),
                dc * i * (1 - g * g),
                dh * t * o * (1 - o),
            ],
            axis=1,
        )
        answer["wx"] += x_t.T @ gates
        answer["wh"] += h_before.T @ gates
        answer["b"] += gates.sum(0)
        dh, dc = gates @ wh.T, dc * f
    return answer


def mx(nd, sizes, wx, wh, b, x):
    h = c = nd.zeros((sizes["batch"], sizes["hidden"]))
    for t in range(sizes["steps"]):
        gates = nd.dot(x[t], wx) + nd.dot(h, wh) + b
        i, f, g, o = nd.split(gates, num_outputs=4, axis=1)
        c = nd.sigmoid(f) * c + nd.sigmoid(i) * nd.tanh(g)
        h = nd.sigmoid(o) * nd.tanh(c)
    return h


def torch(torch, sizes, wx, wh, b, x):
    h = c = torch.zeros(sizes["batch"], sizes["hidden"])
    for x_t in x:
        i, f, g, o = (x_t @ wx + h @ wh + b).chunk(4, 1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
    return h


def jax(jax, sizes, wx, wh, b, x):
    def cell(state, x_t):
        h, c = state
        i, f, g, o = jax.numpy.split(x_t @ wx + h @ wh + b, 4, axis=1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jax.numpy.tanh(g)
        return (jax.nn.sigmoid(o) * jax.numpy.tanh(c), c), None

    zeros = jax.numpy.zeros((sizes["batch"], sizes["hidden"]))
    (h, _), _ = jax.lax.scan(cell, (zeros, zeros), x)
    return h


def autograd(autograd, sizes, wx, wh, b, x):
    np = autograd.numpy

    def squash(z):
        return 0.5 * (np.tanh(0.5 * z) + 1)

    h = c = np.zeros((sizes["batch"], sizes["hidden"]), "float32")
    for x_t in x:
        i, f, g, o = np.split(np.dot(x_t, wx) + np.dot(h, wh) + b, 4, axis=1)
        c = squash(f) * c + squash(i) * np.tanh(g)
        h = squash(o) * np.tanh(c)
    return h


WORKLOADS = {
    "lstm_cell": Workload(
        title="LSTM cell from elementary operators, T 64, batch 16, hidden 64, forward + backward",
        full={"steps": 64, "batch": 16, "hidden": 64},
        small={"steps": 5, "batch": 2, "hidden": 3},
        inputs=inputs,
        reference=reference,
        programs={
            MX: mx_of(mx, VARIABLES, ["x"]),
            "torch": torch_of(torch, VARIABLES, ["x"]),
            "jax": jax_of(jax, VARIABLES, ["x"]),
            "autograd": autograd_of(autograd, VARIABLES, ["x"]),
        },
        goals=(OfPeers(0.4, ("torch",)),),
    )
}
