"""Rows with sparse inputs: the same operators, through their kernels for sparse arrays or not."""

from gradient_row import Ints, Row

CSR, ROWS_ONLY, DENSE = "csr", "row_sparse", "default"


def dots():
    for a, b in ((CSR, DENSE), (CSR, ROWS_ONLY), (ROWS_ONLY, DENSE), (CSR, CSR)):
        yield Row("dot", [(5, 4), (4, 2)], stypes=(a, b))
        for forward in (None, DENSE, ROWS_ONLY):
            params = {"transpose_a": True, **({"forward_stype": forward} if forward else {})}
            yield Row("dot", [(5, 4), (5, 2)], params, stypes=(a, b))
    for b in (CSR, ROWS_ONLY):
        yield Row("dot", [(2, 5), (5, 4)], stypes=(DENSE, b))
        yield Row("dot", [(2, 4), (5, 4)], {"transpose_b": True}, stypes=(DENSE, b))
        yield Row("dot", [(5, 2), (5, 4)], {"transpose_a": True}, stypes=(DENSE, b))
    yield Row("dot", [(5, 4), (4,)], stypes=(CSR, DENSE))


def lookups():
    table = {"input_dim": 6, "output_dim": 2}
    for weight in (DENSE, ROWS_ONLY):
        stypes = (DENSE, weight)
        yield Row(
            "Embedding", [Ints((2, 3), 6), (6, 2)], {**table, "sparse_grad": True}, stypes=stypes
        )
    yield Row("Embedding", [Ints((2, 3), 6), (6, 2)], table, stypes=(DENSE, ROWS_ONLY))
    yield Row("take", [(6, 2), Ints((4,), 6)], stypes=(ROWS_ONLY, DENSE))
    yield Row("_sparse_retain", [(6, 2), Ints((3,), 6)], stypes=(ROWS_ONLY, DENSE))


def pairs():
    kinds = [(a, b) for a in (CSR, ROWS_ONLY, DENSE) for b in (CSR, ROWS_ONLY, DENSE)]
    for op in ("elemwise_add", "elemwise_sub", "elemwise_mul"):
        for stypes in kinds[:-1]:
            yield Row(op, [(5, 4)] * 2, stypes=stypes)
    for a in (CSR, ROWS_ONLY):
        yield Row("elemwise_div", [(5, 4)] * 2, domain=((-2, 2), (1, 2)), stypes=(a, DENSE))
        for op in ("broadcast_add", "broadcast_sub", "broadcast_mul", "broadcast_div"):
            for shape in ((1, 4), (5, 1), (1, 1)):
                yield Row(op, [(5, 4), shape], domain=((-2, 2), (1, 2)), stypes=(a, DENSE))
        yield Row("broadcast_maximum", [(5, 4), (5, 4)], stypes=(a, DENSE))
        yield Row("add_n", [(5, 4)] * 3, stypes=(a, DENSE, a))
        yield Row("add_n", [(5, 4)] * 2, stypes=(a, a))
        condition = Ints((5, 4), 2)
        yield Row("where", [condition, (5, 4), (5, 4)], stypes=(a, DENSE, DENSE))
        yield Row("where", [condition, (5, 4), (5, 4)], stypes=(DENSE, a, DENSE))
        yield Row("Concat", [(5, 4), (2, 4)], {"dim": 0}, stypes=(a, a))


def single():
    for a in (CSR, ROWS_ONLY):
        for op in (
            "_copy negative square sin tan tanh arctan arcsinh expm1 log1p sinh relu cos exp "
            "softsign sigmoid zeros_like"
        ).split():
            yield Row(op, [(5, 4)], domain=(-0.9, 1.5), stypes=(a,))
        for op in ("_mul_scalar", "_div_scalar", "_plus_scalar", "_rminus_scalar"):
            yield Row(op, [(5, 4)], {"scalar": 1.5}, stypes=(a,))
        for op in ("sum", "mean"):
            for axis in (None, 0, 1):
                params = {} if axis is None else {"axis": axis}
                yield Row(op, [(5, 4)], params, stypes=(a,))
        yield Row("sum", [(5, 4)], {"axis": 1, "keepdims": True}, stypes=(a,))
        yield Row("norm", [(5, 4)], stypes=(a,))
        yield Row("clip", [(5, 4)], {"a_min": -1.1, "a_max": 0.9}, stypes=(a,))
        yield Row("slice", [(5, 4)], {"begin": (1,), "end": (4,)}, stypes=(a,))
        yield Row("slice", [(5, 4)], {"begin": (1, 1), "end": (4, 3)}, stypes=(a,))
        for stype in (CSR, ROWS_ONLY, DENSE):
            yield Row("cast_storage", [(5, 4)], {"stype": stype}, stypes=(a,))
        # No kernel for sparse arrays, here or in MXNet.
        yield Row("softmax", [(5, 4)], stypes=(a,))
        yield Row("transpose", [(5, 4)], stypes=(a,))
        yield Row("Reshape", [(5, 4)], {"shape": (4, 5)}, stypes=(a,))
        yield Row(
            "FullyConnected", [(5, 4), (2, 4), (2,)], {"num_hidden": 2}, stypes=(a, DENSE, DENSE)
        )
        yield Row("LayerNorm", [(5, 4), (4,), (4,)], stypes=(a, DENSE, DENSE))
    for axis in (0, 1):
        for keepdims in (False, True):
            params = {"axis": axis, "keepdims": keepdims}
            yield Row("_square_sum", [(5, 4)], params, stypes=(ROWS_ONLY,))
    for stype in (CSR, ROWS_ONLY):
        yield Row("cast_storage", [(5, 4)], {"stype": stype}, stypes=(DENSE,))


ROWS = [
    *dots(),
    *lookups(),
    *pairs(),
    *single(),
    Row("_scatter_elemwise_div", [(3, 4), (3, 4)], domain=(0.5, 2)),
]
