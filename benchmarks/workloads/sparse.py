"""A csr matrix times a dense one, and the gradient of the dense one.

The gradient is row_sparse where a library has such arrays; what is checked of it is its product
with a vector. The dense matrix is large: each program makes its own out of a few numbers.
"""

import numpy as np

from .declaration import MX, OfPeers, Program, Workload
from .support import generator, normal

REPEATED = 65_537


def table(sizes, given):
    return np.resize(given["values"], (sizes["columns"], sizes["width"]))


def probe(sizes):
    return np.cos(np.arange(sizes["width"], dtype="float32"))


def inputs(sizes):
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


def reference(sizes, given):
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


def mx(mx, sizes, given):
    shape = (sizes["rows"], sizes["columns"])
    parts = given["data"], given["indices"], starts(sizes)
    matrix = mx.nd.sparse.csr_matrix(parts, shape=shape)
    dense, head = mx.nd.array(table(sizes, given)), mx.nd.array(given["head"])
    dense.attach_grad(stype="row_sparse")
    last = {}

    def step():
        last.clear()
        with mx.autograd.record():
            y = mx.nd.dot(matrix, dense)
        y.backward(head)
        mx.nd.waitall()
        last["y"] = y

    return Program(step, lambda: row_sparse_answer(sizes, last["y"].asnumpy(), dense.grad))


def torch(torch, sizes, given):
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


def scipy(scipy, sizes, given):
    shape = (sizes["rows"], sizes["columns"])
    # SciPy is faster with indices of 32 bits.
    parts = given["data"], given["indices"].astype("int32"), starts(sizes).astype("int32")
    matrix, dense, last = scipy.sparse.csr_matrix(parts, shape=shape), table(sizes, given), {}

    def step():
        last.clear()
        last["result"] = matrix @ dense, matrix.T @ given["head"]

    return Program(step, lambda: dense_answer(sizes, *last["result"]))


def workload(title, full, peers, absent=()):
    return Workload(
        title=title,
        full=full,
        small={"rows": 30, "columns": 50, "each": 4, "width": 7},
        inputs=inputs,
        reference=reference,
        programs={MX: mx, "torch": torch, "scipy": scipy},
        absent={
            "jax": "its sparse arrays are experimental",
            "autograd": "has no sparse arrays",
            **dict(absent),
        },
        goals=peers,
    )


WORKLOADS = {
    "csr_dot": workload(
        "csr 100k×1M, 40 a row, by dense 1M×64, forward + row_sparse backward",
        {"rows": 100_000, "columns": 1_000_000, "each": 40, "width": 64},
        (OfPeers(0.8, ("scipy", "torch")),),
        absent={"mxnet": "has no arrays of 2^31 elements, of which few need be there"},
    ),
    "csr_dot_100k": workload(
        "csr 20k×100k, 40 a row, by dense 100k×64, forward + row_sparse backward",
        {"rows": 20_000, "columns": 100_000, "each": 40, "width": 64},
        (OfPeers(0.5, ("mxnet",)), OfPeers(0.8, ("scipy", "torch"))),
    ),
}
