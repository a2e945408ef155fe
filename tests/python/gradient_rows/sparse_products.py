"""Products, lookups and sums of squares of sparse arrays, made of dense ones."""

from gradient_row import Ints, Row


def first_csr(nd, x, *others):
    return [x.tostype("csr"), *others]


def second_csr(nd, x, y):
    return [x, y.tostype("csr")]


def csr_and_rows(nd, x, y):
    return [x.tostype("csr"), y.tostype("row_sparse")]


def first_rows(nd, x, *others):
    return [x.tostype("row_sparse"), *others]


def second_rows(nd, x, y):
    return [x, y.tostype("row_sparse")]


EMBEDDING = {"input_dim": 4, "output_dim": 3}
SPARSE_GRADIENT = {"sparse_grad": True, **EMBEDDING}
WORDS = [Ints((2, 3), below=4), (4, 3)]
BOTH = {"transpose_a": True, "transpose_b": True}

ROWS = [
    Row("dot", [(3, 4), (4, 2)], prepare=first_csr),
    Row("dot", [(3, 4), (3, 2)], {"transpose_a": True}, prepare=first_csr),
    Row("dot", [(3, 4), (2, 3)], BOTH, prepare=first_csr),
    Row("dot", [(3, 4), (4, 2)], prepare=csr_and_rows),
    Row("dot", [(3, 4), (3, 2)], {"transpose_a": True}, prepare=csr_and_rows),
    Row("dot", [(3, 4), (4, 2)], prepare=second_csr),
    Row("dot", [(3, 4), (2, 4)], {"transpose_b": True}, prepare=second_csr),
    Row("dot", [(3, 4), (4, 2)], {"forward_stype": "default"}, prepare=second_csr),
    Row("dot", [(3, 4), (4, 2)], {"forward_stype": "row_sparse"}, prepare=first_csr),
    Row("Embedding", WORDS, SPARSE_GRADIENT),
    Row("Embedding", WORDS, SPARSE_GRADIENT, prepare=second_rows),
    Row("_contrib_SparseEmbedding", WORDS, EMBEDDING),
    Row("take", [(4, 3), Ints((2, 3), below=4)], prepare=first_rows),
    Row("take", [(4, 3), Ints((5,), below=4)], prepare=first_csr),
    Row("_take_rows", [(4, 3), Ints((2, 3), below=4)], prepare=first_rows),
    Row("_backward_take_rows", [(5, 3), Ints((5,), below=4)], {"shape": (4, 3)}),
    Row("_sparse_retain", [(4, 3), Ints((3,), below=4)], prepare=first_rows),
    Row("_square_sum", [(4, 3)], {"axis": 0}, prepare=first_rows),
    Row("_square_sum", [(4, 3)], {"axis": 1}, prepare=first_rows),
    Row("_square_sum", [(4, 3)], {"axis": 1, "keepdims": True}, prepare=first_rows),
    Row("_backward_square_sum", [(3,), (4, 3)], prepare=second_rows),
    Row("_backward_square_sum", [(4,), (4, 3)], {"over_columns": True}, prepare=second_rows),
    Row("slice", [(4, 5)], {"begin": (1, 0), "end": (3, 4)}, prepare=first_csr),
]
