"""Differences in symbols, executors and modules with sparse arrays: see difference.py."""

import copy

import harness
import numpy as np
from difference import _list, array, raises
from harness import data

S, M = "sparse_symbol::", "sparse_module::"
RECORDED = harness.load_recording("sparse_symbol")


def rows(values, at, shape):
    """A row_sparse result, from all rows of a matrix."""
    return {
        "sparse": "row_sparse",
        "shape": list(shape),
        "data": array(np.asarray(values)[list(at)]),
        "indices": array(at, "int64"),
    }


def csr(matrix):
    """A csr result."""
    i, j = np.nonzero(matrix)
    return {
        "sparse": "csr",
        "shape": list(matrix.shape),
        "data": array(matrix[i, j]),
        "indices": array(j, "int64"),
        "indptr": array(np.concatenate([[0], np.cumsum((matrix != 0).sum(axis=1))]), "int64"),
    }


def _stored(reason, names, stype, *expressions, outputs=None):
    """Gradients, by their names, that are stored otherwise than by MXNet."""
    for expression in expressions:
        case = f"types inferred({expression}"
        expected = copy.deepcopy(RECORDED[case])
        for name in names.split():
            expected["dict"]["gradients"]["dict"][name] = stype
        if outputs is not None:
            expected["dict"]["outputs"] = outputs
        _list(reason, expected, S + case)


_SPARSE = "MXNet has dense gradients here; mxtape's have the rows, or the elements, that there are"
_stored(_SPARSE, "w v", "row_sparse", "sparse.elemwise_mul(w, v))", "w * v)")
_stored(_SPARSE, "w d", "row_sparse", "sparse.elemwise_mul(w, d))")
_stored(_SPARSE, "x y", "csr", "sparse.elemwise_mul(x, y))", "sparse.concat(x, y, dim=0))")
_stored(_SPARSE, "x e", "csr", "sparse.elemwise_mul(x, e))")
_stored(_SPARSE, "w", "row_sparse", "sparse.sin(w))", "sparse.clip(w, 0, 1))")
_stored(_SPARSE, "w", "row_sparse", "sym.take(w, sym.var('ids')), ids=(2,))")
_stored(_SPARSE, "x", "csr", "sparse.sqrt(x))", "sparse.log1p(x))", "sparse.clip(x, -1, 1))")
_stored(_SPARSE, "x", "csr", "sparse.dot(sparse.square(x), lengths))")
for _call in ("mul(x, sym.var('z')), z=(1, 6))", "mul(x, sym.var('z')), z=(4, 1))"):
    _stored(_SPARSE, "x", "csr", f"sparse.broadcast_{_call}")
_stored(_SPARSE, "x", "csr", "sparse.broadcast_div(x, sym.var('z')), z=(1, 6))")
_stored(
    "MXNet makes a dense product of a row_sparse array and a column",
    "w",
    "row_sparse",
    "sym.broadcast_mul(w, sym.var('z')), z=(6, 1))",
    outputs=["row_sparse"],
)
_stored(_SPARSE, "w d", "row_sparse", "sym.Group([sparse.dot(x, w), sym.square(w), w * d]))")
_stored(_SPARSE, "y", "row_sparse", "sparse.dot(e, y, transpose_b=True), e=(3, 6))")
_stored(
    _SPARSE,
    "y",
    "row_sparse",
    "sparse.dot(e, y, transpose_b=True, forward_stype='csr'), e=(3, 6))",
)
_LABELS = "labels have no gradient: the zeros are stored as the labels are, not dense"
_stored(
    _LABELS,
    "z",
    "csr",
    "sparse.LinearRegressionOutput(d, sym.var('z', stype='csr')))",
    "sparse.MAERegressionOutput(d, sym.var('z', stype='csr')))",
    "sparse.LogisticRegressionOutput(sparse.dot(x, w), sym.var('z', stype='csr')))",
)


def _types(gradients, outputs, **arguments):
    return {
        "dict": {
            "arguments": {"dict": arguments},
            "gradients": {"dict": gradients},
            "outputs": outputs,
        }
    }


_list(
    "MXNet refuses to bind what is computed with dense arrays",
    _types({"w": "default"}, ["default"], w="row_sparse"),
    S + "types inferred(sparse.clip(w, 1, 2))",
)
_list(
    "MXNet refuses a square_sum of dense arrays when it is bound, mxtape when it is computed",
    _types({"d": "default"}, ["default"], d="default"),
    S + "types inferred(sym._internal._square_sum(d, axis=1))",
)
_list(
    "MXNet does not infer how the gradient of retain is stored",
    _types({"w": "row_sparse", "ids": "default"}, ["row_sparse"], w="row_sparse", ids="default"),
    S + "types inferred(sparse.retain(w, sym.var('ids')), ids=(2,))",
)
_list(
    "MXNet binds the product of a csr array and a vector, and cannot compute it",
    raises("MXNetError"),
    S + "types inferred(sparse.dot(x, sym.var('z')), z=(6,))",
)
_list(
    "MXNet wants the storage type of each argument, or of none",
    ["csr", "default"],
    S + "simple_bind stypes(bound({'d': 'csr'}, sparse.dot(d, e), d=(2, 6), e=(6, 4)).arg_arrays)",
)


# ---- values


def _matrix(shape=(4, 6), seed=0):
    dense = data(shape, seed=seed).astype("float64")
    return dense * (np.random.RandomState(seed).random_sample(shape) < 0.5)


def _with_rows(at, seed=1):
    values = np.zeros((6, 3))
    values[list(at)] = data((len(at), 3), seed=seed)
    return values


THERE = [0, 2, 3, 5]  # the rows of w
X, W, V = _matrix(), _with_rows(THERE), _with_rows([1, 2], 7)
D, HEAD = data((6, 3), seed=3).astype("float64"), data((4, 3), seed=9).astype("float64")
WIDE, TALL = data((4, 6), seed=9).astype("float64"), data((6, 3), seed=9).astype("float64")
USED = np.flatnonzero(X.any(axis=0))  # the columns of x
DOT = X.T @ HEAD  # the gradient of dot(x, w)
LENGTHS = (W**2).sum(axis=1, keepdims=True)


def _trained(out, **grads):
    return [[out], {"dict": grads}]


_list(
    "MXNet gives csr data zeros for the gradient of dot",
    _trained(array(X @ W), x=array(HEAD @ W.T), w=None),
    S + "trained trained(sparse.dot(x, w), 'x', given=[head])",
)
_ADD = "MXNet cannot add to a row_sparse gradient"
_list(
    _ADD,
    _trained(array(X @ W), x=None, w=rows(2 * DOT, USED, (6, 3))),
    S + "trained trained(sparse.dot(x, w), {'w': 'add'}, 2, given=[head])",
)
_list(
    _ADD,
    _trained(array(X @ D), x=None, d=rows(2 * DOT, USED, (6, 3))),
    S + "trained trained(sparse.dot(x, d), {'d': 'add'}, 2, given=[head])",
)
_OLD = _with_rows([0, 1], 6)
_list(
    _ADD,
    [[array(X @ W)], rows(_OLD + DOT, sorted({0, 1, *USED}), (6, 3))],
    S + "bind trained('some', 'old', 'add')",
)
_list(
    _ADD,
    [[array(X @ W)], rows(2 * DOT, USED, (6, 3))],
    S + "bind trained('some', 'row_sparse', 'add', times=2)",
)
_LOOKED_UP = np.zeros((6, 3))
np.add.at(_LOOKED_UP, [3, 0, 3], 2 * TALL[:3])
_list(
    _ADD,
    _trained(array(D[[3, 0, 3]]), ids=None, d=rows(_LOOKED_UP, [0, 3], (6, 3))),
    S + "trained embedded(d, 'd', 'add', 2, sparse_grad=True)",
)
_list(
    "MXNet does not add to gradients of sums of row_sparse arrays, but writes them",
    _trained(
        rows(W + V, [0, 1, 2, 3, 5], (6, 3)),
        w=rows(2 * TALL, range(6), (6, 3)),
        v=rows(2 * TALL, range(6), (6, 3)),
    ),
    S + "trained trained(w + v, 'add', 2, given=[tall])",
)
_FEWER = "MXNet's gradient also has the rows that are not there in the argument, of zeros"
_list(
    _FEWER,
    _trained(
        rows(W * V, [0, 1, 2, 3, 5], (6, 3)),
        w=rows(TALL * V, [1, 2], (6, 3)),
        v=rows(TALL * W, THERE, (6, 3)),
    ),
    S + "trained trained(w * v, given=[tall])",
)
_list(
    _FEWER,
    _trained(rows(W**2, THERE, (6, 3)), w=rows(2 * W * TALL, THERE, (6, 3))),
    S + "trained trained(sparse.square(w), given=[tall])",
)
_ONE_HEAD = _with_rows([1, 2])
_list(
    _FEWER,
    _trained(rows(W**2, THERE, (6, 3)), w=rows(2 * W * _ONE_HEAD, [1, 2], (6, 3))),
    S + "trained trained(sparse.square(w), given=[rows(mx, at=(1, 2))])",
)
_list(
    "MXNet leaves what was in the memory in the gradient of a csr array, for a dense head",
    _trained(csr(X**2), x=csr(2 * X * WIDE)),
    S + "trained trained(sparse.square(x), given=[wide])",
)
_list(
    _FEWER,
    _trained(rows(abs(W), THERE, (6, 3)), w=rows(2 * np.sign(W) * TALL, THERE, (6, 3))),
    S + "trained trained(sparse.abs(w), 'add', 2, given=[tall])",
)
_list(
    _SPARSE,
    _trained(rows(W**2, THERE, (6, 3)), w=rows(2 * W, THERE, (6, 3))),
    S + "trained trained(sparse.make_loss(sparse.square(w)))",
)
_list(
    _FEWER,
    [
        [array(X @ W), rows(W**2, THERE, (6, 3))],
        {"dict": {"x": None, "w": rows(DOT + 2 * W * TALL, sorted({*THERE, *USED}), (6, 3))}},
    ],
    S
    + "trained trained(sym.Group([sparse.dot(x, w), sparse.square(w)]), 'w', given=[[head, tall]])",
)
_EQUAL = "MXNet wants the rows of square_sum's head gradient to be those of its argument"
_list(
    _EQUAL,
    _trained(rows(LENGTHS, THERE, (6, 1)), w=rows(2 * W * TALL[:, :1], THERE, (6, 3))),
    S + "trained trained(lengths, given=[tall[:, :1]])",
)
_list(
    _EQUAL,
    _trained(rows(LENGTHS, THERE, (6, 1)), w=rows(4 * W * TALL[:, :1], THERE, (6, 3))),
    S + "trained trained(lengths, 'add', 2, given=[tall[:, :1]])",
)
_SQUARES = (X**2).T @ HEAD[:, :1]
_list(
    _EQUAL,
    _trained(
        array(X**2 @ LENGTHS),
        x=None,
        w=rows(2 * W * _SQUARES, sorted({*THERE} & {*USED}), (6, 3)),
    ),
    S + "trained trained(sparse.dot(sparse.square(x), lengths), 'w', given=[head[:, :1]])",
)
_list(
    "MXNet does not infer how the gradient of retain is stored",
    _trained(rows(W, [0, 3], (6, 3)), w=rows(TALL, [0, 3], (6, 3)), ids=None),
    S + "trained trained(sparse.retain(w, sym.var('ids')), 'w', given=[tall], ids=ids)",
)
_list(
    "MXNet's executors with sparse arrays take no other shapes",
    [[array(_matrix((2, 6)) @ W)], "csr", "row_sparse"],
    S + "an_executor_takes_other_shapes",
)


# ---- modules


def _module_data():
    rng = np.random.RandomState(0)
    x = data((12, 10), seed=0) * (rng.random_sample((12, 10)) < 0.3)
    return x.astype("float64"), (x @ data((10,), seed=9) > 0).astype("float64")


def _everywhere(shape, seed):
    return data(shape, -0.5, 0.5, seed=seed).astype("float64") + 1 / 256


def _softmax(x):
    scores = x @ _everywhere((10, 2), 1) + data((2,), seed=2)
    scores = np.exp(scores)
    return scores / scores.sum(axis=1, keepdims=True)


MX, MY = _module_data()
_list(
    "MXNet's modules with sparse arrays take no batches of another size",
    [array(_softmax(MX[:2]))],
    M + "a_batch_of_another_size",
)
_ERRORS = _softmax(MX[:4]) - np.eye(2)[MY[:4].astype(int)]
_list(
    "MXNet gives csr data zeros for the gradient of dot",
    [array(_ERRORS @ _everywhere((10, 2), 1).T)],
    M + "inputs_need_gradients",
)
_ADDED = MX[:8].T @ (MX[:8] @ _everywhere((10, 1), 1) - MY[:8, None])
_list(
    _ADD,
    rows(_ADDED, np.flatnonzero(MX[:8].any(axis=0)), (10, 1)),
    M + "gradients_that_are_added",
)
_list(
    "MXNet reads past the end of a store's array for a row number out of range",
    [None, None, None, None, raises("MXNetError"), raises("ValueError"), raises("AssertionError")],
    M + "prepare_that_is_of_no_use",
)
