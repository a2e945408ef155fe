"""An update of many parameters by Adam: memory traffic of the optimizer."""

import math

import numpy as np

from .declaration import MX, OfPeers, Program, Workload
from .support import double, generator, normal

# So small an epsilon that it does not matter whether it is added before or after the correction of
# the averages: PyTorch does the latter.
RATE, BETA1, BETA2, EPSILON = 1e-3, 0.9, 0.999, 1e-12
CHECKED_STEPS = 3


def inputs(sizes):
    random, count = generator(), sizes["parameters"]
    return {"w": normal(random, count, scale=0.01), "gradient": normal(random, count, scale=0.1)}


def corrected_rate(step):
    """Return the learning rate that makes up for averages that started from zero."""
    return RATE * math.sqrt(1 - BETA2**step) / (1 - BETA1**step)


def reference(sizes, given):
    given = double(given)
    w, gradient = given["w"], given["gradient"]
    mean, square = np.zeros_like(w), np.zeros_like(w)
    for step in range(1, CHECKED_STEPS + 1):
        mean += (1 - BETA1) * (gradient - mean)
        square += (1 - BETA2) * (gradient**2 - square)
        w = w - corrected_rate(step) * mean / (np.sqrt(square) + EPSILON)
    return {"w": w}


def mx(mx, sizes, given):
    nd = mx.nd
    w, gradient = nd.array(given["w"]), nd.array(given["gradient"])
    mean, square, steps = nd.zeros_like(w), nd.zeros_like(w), [0]

    def step():
        steps[0] += 1
        rate = corrected_rate(steps[0])
        nd.adam_update(w, gradient, mean, square, lr=rate, epsilon=EPSILON, out=w)
        w.wait_to_read()

    return Program(step, lambda: {"w": w.asnumpy()})


def torch(torch, sizes, given):
    w = torch.tensor(given["w"], requires_grad=True)
    w.grad = torch.tensor(given["gradient"])
    optimizer = torch.optim.Adam([w], lr=RATE, betas=(BETA1, BETA2), eps=EPSILON, fused=True)
    return Program(optimizer.step, lambda: {"w": w.detach().numpy()})


def jax(jax, sizes, given):
    numpy = jax.numpy

    def update(state, gradient, rate):
        w, mean, square = state
        mean = mean + (1 - BETA1) * (gradient - mean)
        square = square + (1 - BETA2) * (numpy.square(gradient) - square)
        return w - rate * mean / (numpy.sqrt(square) + EPSILON), mean, square

    update = jax.jit(update, donate_argnums=0)
    gradient = numpy.asarray(given["gradient"])
    w = numpy.asarray(given["w"])
    now = {"state": (w, numpy.zeros_like(w), numpy.zeros_like(w)), "steps": 0}

    def step():
        now["steps"] += 1
        state = update(now["state"], gradient, corrected_rate(now["steps"]))
        now["state"] = jax.block_until_ready(state)

    return Program(step, lambda: {"w": now["state"][0]})


WORKLOADS = {
    "adam": Workload(
        title="Adam update of 10M parameters",
        full={"parameters": 10_000_000},
        small={"parameters": 1000},
        inputs=inputs,
        reference=reference,
        programs={MX: mx, "torch": torch, "jax": jax},
        absent={"autograd": "has no optimizer that works in place"},
        goals=(OfPeers(1.0, ("torch",)),),
        check_after=CHECKED_STEPS,
    )
}
