"""Rows of a large table by their numbers, and the table's whole gradient."""

import numpy as np

from .declaration import MX, OfPeers, Workload
from .gradients import autograd_of, jax_of, mx_of, torch_of
from .support import double, generator, normal


def inputs(sizes):
    random = generator()
    return {
        "table": normal(random, sizes["rows"], sizes["width"]),
        "ids": random.randint(0, sizes["rows"], sizes["ids"]).astype("int32"),
        "head": normal(random, sizes["ids"], sizes["width"]),
    }


def reference(sizes, given):
    given = double(given)
    gradient = np.zeros_like(given["table"])
    np.add.at(gradient, given["ids"], given["head"])
    return {"y": given["table"][given["ids"]], "table": gradient}


def mx(nd, sizes, table, ids):
    return nd.Embedding(ids, table, input_dim=sizes["rows"], output_dim=sizes["width"])


def torch(torch, sizes, table, ids):
    return torch.nn.functional.embedding(ids, table)


def indexed(library, sizes, table, ids):
    return table[ids]


WORKLOADS = {
    "embedding": Workload(
        title="Embedding 100k×128, 8,192 ids, forward + dense backward",
        full={"rows": 100_000, "width": 128, "ids": 8192},
        small={"rows": 30, "width": 4, "ids": 50},
        inputs=inputs,
        reference=reference,
        programs={
            MX: mx_of(mx, ["table"], ["ids"]),
            "torch": torch_of(torch, ["table"], ["ids"]),
            "jax": jax_of(indexed, ["table"], ["ids"]),
            "autograd": autograd_of(indexed, ["table"], ["ids"]),
        },
        goals=(OfPeers(0.8, ("torch", "mxnet")),),
    )
}
