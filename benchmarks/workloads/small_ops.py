"""200 recorded operators on 4-element arrays, forward and backward: what a call costs."""

import numpy as np

from .declaration import MX, OfPeers, Workload
from .gradients import autograd_of, jax_of, mx_of, torch_of
from .support import double


def inputs(sizes):
    # Chosen so that neither values nor gradients vanish over the rounds.
    return {
        "x": np.array([-0.3, -0.2, -0.1, 0.02], "float32"),
        "a": np.array([0.98, 0.97, 0.96, 0.95], "float32"),
        "b": np.array([-0.001, 0.001, -0.002, 0.001], "float32"),
        "c": np.array([1.0, 1.001, 0.999, 1.0], "float32"),
        "head": np.ones(4, "float32"),
    }


def rounds(library, sizes, y, a, b, c):
    tanh, exp = library.tanh, library.exp
    for _ in range(sizes["rounds"]):
        y = exp(tanh(y * a + b)) - c
    return y


def reference(sizes, given):
    given = double(given)
    # Every operator is analytic: a tiny imaginary step gives the exact derivative.
    y = rounds(np, sizes, given["x"] + 1e-30j, given["a"], given["b"], given["c"])
    return {"y": y.real, "x": y.imag / 1e-30}


WORKLOADS = {
    "small_ops": Workload(
        title="200 recorded operators on (4,) arrays, forward + backward",
        full={"rounds": 40},
        small={"rounds": 40},
        inputs=inputs,
        reference=reference,
        programs={
            MX: mx_of(rounds, ["x"], "abc"),
            "torch": torch_of(rounds, ["x"], "abc"),
            "jax": jax_of(lambda jax, *rest: rounds(jax.numpy, *rest), ["x"], "abc"),
            "autograd": autograd_of(lambda hips, *rest: rounds(hips.numpy, *rest), ["x"], "abc"),
        },
        goals=(OfPeers(0.35, ("torch",)),),
    )
}
