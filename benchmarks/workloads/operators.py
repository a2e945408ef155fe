"""Single operators, forward and backward, over any number of elements: how their cost grows."""

import numpy as np

from .declaration import MX, Workload
from .gradients import jax_of, mx_of, torch_of
from .support import double, generator, normal

# The longest row of softmax, and the length of the rows that are taken from a table.
SOFTMAX_ROW, TAKEN_ROW = 1000, 10


def numbers(seed, *shape):
    """Return normal numbers, the same million over and over where there are more."""
    count = int(np.prod(shape))
    random = np.random.RandomState(seed)
    return np.resize(normal(random, min(count, 1 << 20)), count).reshape(shape)


def flat_inputs(*names):
    def inputs(sizes):
        return {name: numbers(i, sizes["elements"]) for i, name in enumerate((*names, "head"))}

    return inputs


def sum_inputs(sizes):
    return {"x": numbers(1, sizes["elements"])}


def row_inputs(sizes):
    columns = min(sizes["elements"], SOFTMAX_ROW)
    shape = (sizes["elements"] // columns, columns)
    return {"x": numbers(1, *shape), "head": numbers(2, *shape)}


def take_inputs(sizes):
    rows = max(1, sizes["elements"] // TAKEN_ROW)
    return {
        "table": numbers(1, rows, TAKEN_ROW),
        "ids": generator().randint(0, rows, rows).astype("int32"),
        "head": numbers(2, rows, TAKEN_ROW),
    }


def multiply_reference(sizes, given):
    x, y, head = (double(given)[name] for name in ("x", "w", "head"))
    return {"y": x * y, "x": head * y, "w": head * x}


def exp_reference(sizes, given):
    given = double(given)
    y = np.exp(given["x"])
    return {"y": y, "x": given["head"] * y}


def sum_reference(sizes, given):
    x = double(given)["x"]
    return {"y": np.sum(x), "x": np.ones_like(x)}


def softmax_reference(sizes, given):
    given = double(given)
    y = np.exp(given["x"] - given["x"].max(1, keepdims=True))
    y /= y.sum(1, keepdims=True)
    head = given["head"]
    return {"y": y, "x": y * (head - (head * y).sum(1, keepdims=True))}


def take_reference(sizes, given):
    given = double(given)
    gradient = np.zeros_like(given["table"])
    np.add.at(gradient, given["ids"], given["head"])
    return {"y": given["table"][given["ids"]], "table": gradient}


def operator(title, inputs, reference, variables, constants, mx, torch, jax):
    return Workload(
        title=title,
        full={"elements": 1_000_000},
        small={"elements": 2000},
        inputs=inputs,
        reference=reference,
        programs={
            MX: mx_of(mx, variables, constants),
            "torch": torch_of(torch, variables, constants),
            "jax": jax_of(jax, variables, constants),
        },
        absent={"autograd": "is not measured for its growth"},
    )


def times(library, sizes, x, w):
    return x * w


def total(library, sizes, x):
    return x.sum()


WORKLOADS = {
    "operator_multiply": operator(
        "x * w", flat_inputs("x", "w"), multiply_reference, "xw", (), times, times, times
    ),
    "operator_exp": operator(
        "exp",
        flat_inputs("x"),
        exp_reference,
        "x",
        (),
        lambda nd, sizes, x: nd.exp(x),
        lambda torch, sizes, x: torch.exp(x),
        lambda jax, sizes, x: jax.numpy.exp(x),
    ),
    "operator_sum": operator("sum", sum_inputs, sum_reference, "x", (), total, total, total),
    "operator_softmax": operator(
        f"softmax of rows of {SOFTMAX_ROW}",
        row_inputs,
        softmax_reference,
        "x",
        (),
        lambda nd, sizes, x: nd.softmax(x),
        lambda torch, sizes, x: torch.softmax(x, 1),
        lambda jax, sizes, x: jax.nn.softmax(x),
    ),
    "operator_take": operator(
        f"take of rows of {TAKEN_ROW}",
        take_inputs,
        take_reference,
        ["table"],
        ["ids"],
        lambda nd, sizes, table, ids: nd.take(table, ids),
        lambda torch, sizes, table, ids: torch.nn.functional.embedding(ids, table),
        lambda jax, sizes, table, ids: jax.numpy.take(table, ids, axis=0, mode="clip"),
    ),
}
