"""Sparse arrays: a csr matrix times a dense one, and an embedding of which few rows are used.

Gradients are row_sparse where a library has such arrays, and what is checked of one is its product
with a vector. The tables are large: each program makes its own out of a few numbers.
"""

import numpy as np

from .declaration import MX, OfPeers, Program, Workload
from .support import generator, normal

CHECKED_STEPS = 3
RATE, BETA1, BETA2, EPSILON = 1e-3, 0.9, 0.999, 1e-8
REPEATED = 65_537


def table(sizes, given):
    return np.resize(given["values"], (sizes["columns"], sizes["width"]))


def probe(sizes):
    return np.cos(np.arange(sizes["width"], dtype="float32"))


# ---- csr times dense, and the gradient of the dense matrix


def product_inputs(sizes):
    random = generator()
    rows, columns, each = sizes["rows"], sizes["columns"], sizes["each"]
    return {
        "values": normal(random, REPEATED),
        "data": normal(random, rows * each),
        "indices": np.sort(random.randint(0, columns, (rows, each)), 1).ravel().astype("int64"),
        "head": normal(random, rows, sizes["width"]),
    }


def starts(sizes):
    return np.arange(sizes["rows"] + 1, dtype="int64") * sizes["each"]


def product_reference(sizes, given):
    dense = table(sizes, given)
    data = given["data"].reshape(sizes["rows"], -1).astype("float64")
    indices = given["indices"].reshape(sizes["rows"], -1)
    y = np.zeros((sizes["rows"], sizes["width"]))
    for k in range(sizes["each"]):
        y += data[:, k, None] * dense[indices[:, k]]
    weights = data * (given["head"] @ probe(sizes))[:, None]
    gradient = np.bincount(given["indices"], weights.ravel(), minlength=sizes["columns"])
    return {"y": y, "gradient": gradient}


def dense_answer(sizes, y, gradient):
    return {"y": y, "gradient": gradient @ probe(sizes)}


def row_sparse_answer(sizes, y, gradient):
    whole = np.zeros(sizes["columns"], "float32")
    whole[gradient.indices.asnumpy()] = gradient.data.asnumpy() @ probe(sizes)
    return {"y": y, "gradient": whole}


def product_mx(mx, sizes, given):
    shape = (sizes["rows"], sizes["columns"])
    parts = given["data"], given["indices"], starts(sizes)
    matrix = mx.nd.sparse.csr_matrix(parts, shape=shape)
    dense, head = mx.nd.array(table(sizes, given)), mx.nd.array(given["head"])
    dense.attach_grad(stype="row_sparse")
    last = {}

    def step():
        last.clear()
        with mx.autograd.record():
            y = mx.nd.sparse.dot(matrix, dense)
        y.backward(head)
        mx.nd.waitall()
        last["y"] = y

    return Program(step, lambda: row_sparse_answer(sizes, last["y"].asnumpy(), dense.grad))


def product_torch(torch, sizes, given):
    parts = (torch.tensor(part) for part in (starts(sizes), given["indices"], given["data"]))
    shape = (sizes["rows"], sizes["columns"])
    matrix = torch.sparse_csr_tensor(*parts, size=shape)
    dense = torch.tensor(table(sizes, given), requires_grad=True)
    head, last = torch.tensor(given["head"]), {}

    def step():
        last.clear()
        dense.grad = None
        y = matrix @ dense
        y.backward(head)
        last["y"] = y

    return Program(
        step, lambda: dense_answer(sizes, last["y"].detach().numpy(), dense.grad.numpy())
    )


def product_scipy(scipy, sizes, given):
    shape = (sizes["rows"], sizes["columns"])
    # SciPy is faster with indices of 32 bits.
    parts = given["data"], given["indices"].astype("int32"), starts(sizes).astype("int32")
    matrix, dense, last = scipy.sparse.csr_matrix(parts, shape=shape), table(sizes, given), {}

    def step():
        last.clear()
        last["result"] = matrix @ dense, matrix.T @ given["head"]

    return Program(step, lambda: dense_answer(sizes, *last["result"]))


def product(title, full, peers, **options):
    return Workload(
        title=title,
        full=full,
        small={"rows": 30, "columns": 50, "each": 4, "width": 7},
        inputs=product_inputs,
        reference=product_reference,
        programs={MX: product_mx, "torch": product_torch, "scipy": product_scipy},
        goals=peers,
        **options,
    )


# ---- an embedding


def embedding_inputs(sizes):
    random = generator()
    return {
        "values": normal(random, REPEATED),
        "ids": random.randint(0, sizes["columns"], sizes["ids"]).astype("int64"),
        "head": normal(random, sizes["ids"], sizes["width"]),
    }


def embedding_reference(sizes, given):
    """The rows that are used after some steps of Adam, which leaves all others as they are."""
    rows, places = np.unique(given["ids"], return_inverse=True)
    weight = table(sizes, given)[rows].astype("float64")
    gradient = np.zeros_like(weight)
    np.add.at(gradient, places, given["head"])
    mean, square = np.zeros_like(weight), np.zeros_like(weight)
    for step in range(1, CHECKED_STEPS + 1):
        mean += (1 - BETA1) * (gradient - mean)
        square += (1 - BETA2) * (gradient**2 - square)
        rate = RATE * np.sqrt(1 - BETA2**step) / (1 - BETA1**step)
        weight -= rate * mean / (np.sqrt(square) + EPSILON)
    return {"rows": weight}


def embedding_mx(mx, sizes, given):
    weight = mx.nd.array(table(sizes, given))
    weight.attach_grad(stype="row_sparse")
    ids, head = mx.nd.array(given["ids"], dtype="int64"), mx.nd.array(given["head"])
    options = {"learning_rate": RATE, "beta1": BETA1, "beta2": BETA2, "epsilon": EPSILON, "wd": 0.0}
    optimizer = mx.optimizer.Adam(lazy_update=True, **options)
    state = optimizer.create_state(0, weight)
    shape = {"input_dim": sizes["columns"], "output_dim": sizes["width"]}

    def step():
        with mx.autograd.record():
            y = mx.nd.Embedding(ids, weight, sparse_grad=True, **shape)
        y.backward(head)
        optimizer.update(0, weight, weight.grad, state)
        mx.nd.waitall()

    rows = np.unique(given["ids"])
    return Program(step, lambda: {"rows": mx.nd.take(weight, mx.nd.array(rows)).asnumpy()})


def embedding_torch(torch, sizes, given):
    weight = torch.tensor(table(sizes, given), requires_grad=True)
    ids, head = torch.tensor(given["ids"]), torch.tensor(given["head"])
    optimizer = torch.optim.SparseAdam([weight], lr=RATE, betas=(BETA1, BETA2), eps=EPSILON)

    def step():
        weight.grad = None
        torch.nn.functional.embedding(ids, weight, sparse=True).backward(head)
        optimizer.step()

    rows = torch.tensor(np.unique(given["ids"]))
    return Program(step, lambda: {"rows": weight.detach()[rows].numpy()})


WORKLOADS = {
    "csr_dot": product(
        "csr 100k×1M, 40 a row, by dense 1M×64, forward + row_sparse backward",
        {"rows": 100_000, "columns": 1_000_000, "each": 40, "width": 64},
        (OfPeers(0.8, ("scipy", "torch")),),
        absent={"mxnet": "has no arrays of 2^31 elements, of which few need be there"},
    ),
    "csr_dot_100k": product(
        "csr 20k×100k, 40 a row, by dense 100k×64, forward + row_sparse backward",
        {"rows": 20_000, "columns": 100_000, "each": 40, "width": 64},
        (OfPeers(0.5, ("mxnet",)), OfPeers(0.8, ("scipy", "torch"))),
    ),
    "sparse_embedding": Workload(
        title="Embedding 1M×128, 8,192 ids, row_sparse backward, lazy Adam",
        full={"columns": 1_000_000, "width": 128, "ids": 8192},
        small={"columns": 40, "width": 5, "ids": 60},
        inputs=embedding_inputs,
        reference=embedding_reference,
        programs={MX: embedding_mx, "torch": embedding_torch},
        goals=(OfPeers(0.7, ("mxnet", "torch")),),
        check_after=CHECKED_STEPS,
    ),
}
