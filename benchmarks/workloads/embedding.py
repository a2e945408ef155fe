"""Rows of a large table by their numbers: the table's whole gradient; only its rows, and Adam."""

import numpy as np

from .adam import BETA1, BETA2, CHECKED_STEPS, EPSILON, RATE, corrected_rate
from .declaration import MX, OfPeers, Program, Workload
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


# ---- a step of lazy Adam, of the rows that are there


def lazy_inputs(sizes):
    """The table begins with zeros: it is large."""
    given = inputs({**sizes, "rows": 1})
    ids = generator().randint(0, sizes["rows"], sizes["ids"]).astype("int32")
    return {"ids": ids, "head": given["head"]}


def lazy_reference(sizes, given):
    ids, place = np.unique(given["ids"], return_inverse=True)
    gradient = np.zeros((len(ids), sizes["width"]))
    np.add.at(gradient, place.ravel(), double(given)["head"])
    w, mean, square = (np.zeros_like(gradient) for _ in range(3))
    for step in range(1, CHECKED_STEPS + 1):
        mean += (1 - BETA1) * (gradient - mean)
        square += (1 - BETA2) * (gradient**2 - square)
        w -= corrected_rate(step) * mean / (np.sqrt(square) + EPSILON)
    return {"rows": w[place.ravel()]}


def lazy_mx(mx, sizes, given):
    nd = mx.nd
    shape = sizes["rows"], sizes["width"]
    table, mean, square = (nd.zeros(shape) for _ in range(3))
    table.attach_grad(stype="row_sparse")
    ids, head, steps = nd.array(given["ids"]), nd.array(given["head"]), [0]
    options = {"input_dim": sizes["rows"], "output_dim": sizes["width"], "sparse_grad": True}

    def step():
        steps[0] += 1
        with mx.autograd.record():
            y = nd.Embedding(ids, table, **options)
        y.backward(head)
        rate = corrected_rate(steps[0])
        nd.adam_update(table, table.grad, mean, square, lr=rate, epsilon=EPSILON, out=table)
        table.wait_to_read()

    return Program(step, lambda: {"rows": nd.take(table, ids).asnumpy()})


def lazy_torch(torch, sizes, given):
    table = torch.zeros((sizes["rows"], sizes["width"]), requires_grad=True)
    ids, head = torch.tensor(given["ids"]), torch.tensor(given["head"])
    optimizer = torch.optim.SparseAdam([table], lr=RATE, betas=(BETA1, BETA2), eps=EPSILON)

    def step():
        table.grad = None
        torch.nn.functional.embedding(ids, table, sparse=True).backward(head)
        optimizer.step()

    return Program(step, lambda: {"rows": table.detach()[ids].numpy()})


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
    ),
    "embedding_adam": Workload(
        title="Embedding 1M×128, 8,192 ids, forward + sparse backward + lazy Adam",
        full={"rows": 1_000_000, "width": 128, "ids": 8192},
        small={"rows": 30, "width": 4, "ids": 50},
        inputs=lazy_inputs,
        reference=lazy_reference,
        programs={MX: lazy_mx, "torch": lazy_torch},
        absent={
            "jax": "has no sparse gradients that an optimizer takes",
            "autograd": "has no sparse gradients",
        },
        goals=(OfPeers(0.7, ("torch",)), OfPeers(0.7, ("mxnet",))),
        check_after=CHECKED_STEPS,
    ),
}
