"""One small operator, unrecorded and recorded: nanoseconds from Python into the library and back.

The arithmetic itself is a few nanoseconds. Everything else is the way there, and the tape.
"""

import numpy as np

from .declaration import MX, AtMost, OfPeers, Program, Workload
from .support import mx_variable, torch_variable

REPEATS = 10_000


def inputs(sizes):
    return {
        "a": np.array([1, 2, 3, 4], "float32"),
        "b": np.array([5, 6, 7, 8], "float32"),
    }


def reference(sizes, given):
    return {"y": given["a"].astype("float64") * given["b"]}


def multiply_often(a, b):
    for _ in range(REPEATS):
        y = a * b
    return y


def program_of(scope, a, b, wait, values):
    last = {}

    def step():
        with scope():
            last["y"] = multiply_often(a, b)
        wait()

    return Program(step, lambda: {"y": values(last["y"])})


def mx(recorded):
    def program(mx, sizes, given):
        scope = mx.autograd.record if recorded else mx.autograd.pause
        a, b = mx_variable(mx, given["a"]), mx_variable(mx, given["b"])
        return program_of(scope, a, b, mx.nd.waitall, lambda y: y.asnumpy())

    return program


def torch(recorded):
    def program(torch, sizes, given):
        scope = torch.enable_grad if recorded else torch.no_grad
        a, b = torch_variable(torch, given["a"]), torch_variable(torch, given["b"])
        return program_of(scope, a, b, lambda: None, lambda y: y.detach().numpy())

    return program


def call(title, recorded, limit):
    return Workload(
        title=title,
        full={},
        small={},
        inputs=inputs,
        reference=reference,
        programs={MX: mx(recorded), "torch": torch(recorded)},
        absent={
            "jax": "compiles programs: a single call is not how it is used",
            "autograd": "records inside a function that it differentiates: no call stands alone",
        },
        goals=(AtMost("ns", limit, "ns"), OfPeers(0.5, ("torch",))),
        repeats=REPEATS,
        unit="ns",
    )


WORKLOADS = {
    "call": call("a * b on (4,) arrays, unrecorded", False, 250),
    "call_recorded": call("a * b on (4,) arrays, recorded", True, 400),
}
