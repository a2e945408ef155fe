"""A long tape: recorded multiplications of a one-element array, one after the other, and backward.

"chain" multiplies by a number: the tape keeps no array. "chain_arrays" multiplies by an array that
takes a gradient: the tape keeps every intermediate result.
"""

import numpy as np

from .declaration import MX, AtMost, OfPeers, Workload
from .gradients import autograd_of, mx_of, torch_of

FACTOR = 1 - 2.0**-20  # exact in float32; a product of a million of these is still far from 0
NO_TAPE = {"jax": "compiles a loop: there is no tape whose length could be measured"}


def inputs(sizes):
    return {"x": np.array([2.0], "float32"), "w": np.array([FACTOR], "float32")}


def by_number(library, sizes, y):
    for _ in range(sizes["length"]):
        y = y * FACTOR
    return y


def by_array(library, sizes, y, w):
    for _ in range(sizes["length"]):
        y = y * w
    return y


def reference_by_number(sizes, given):
    product = np.array([FACTOR ** sizes["length"]])
    return {"y": 2 * product, "x": product}


def reference_by_array(sizes, given):
    answer = reference_by_number(sizes, given)
    return {**answer, "w": sizes["length"] * answer["y"] / FACTOR}


def chain(title, forward, variables, reference, goals=()):
    return Workload(
        title=title,
        full={"length": 1_000_000},
        small={"length": 3000},
        inputs=inputs,
        reference=reference,
        programs={
            MX: mx_of(forward, variables),
            "torch": torch_of(forward, variables),
            "autograd": autograd_of(
                lambda hips, sizes, *leaves: hips.numpy.sum(forward(hips, sizes, *leaves)),
                variables,
            ),
        },
        absent=NO_TAPE,
        goals=goals,
        # Rounding errors of a million products do not cancel.
        tolerance=2e-2,
        memory_per="length",
    )


BY_NUMBER = {
    "chain": chain(
        "chain of 1,000,000 recorded multiplications by a number, forward + backward",
        by_number,
        ["x"],
        reference_by_number,
        (OfPeers(0.1, ("torch",)), AtMost("bytes_per_length", 450, "B/node")),
    )
}
BY_ARRAY = {
    "chain_arrays": chain(
        "chain of 1,000,000 recorded multiplications by an array, forward + backward",
        by_array,
        ["x", "w"],
        reference_by_array,
    )
}
