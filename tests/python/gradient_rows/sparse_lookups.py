"""Lookups with row_sparse gradients, and operators of row_sparse arrays only."""

from gradient_row import Ints, Row


def first_rows(nd, x, *others):
    return [x.tostype("row_sparse"), *others]


def second_rows(nd, x, y):
    return [x, y.tostype("row_sparse")]


EMBEDDING = {"input_dim": 4, "output_dim": 3}
WORDS = [Ints((2, 3), below=4), (4, 3)]

ROWS = [
    Row("Embedding", WORDS, {"sparse_grad": True, **EMBEDDING}),
    Row("_contrib_SparseEmbedding", WORDS, EMBEDDING),
    Row("_take_rows", [(4, 3), Ints((2, 3), below=4)], prepare=first_rows),
    Row("_backward_take_rows", [(5, 3), Ints((5,), below=4)], {"shape": (4, 3)}),
    Row("_sparse_retain", [(4, 3), Ints((3,), below=4)], prepare=first_rows),
    Row("_square_sum", [(4, 3)], {"axis": 0}, prepare=first_rows),
    Row("_square_sum", [(4, 3)], {"axis": 1}, prepare=first_rows),
    Row("_square_sum", [(4, 3)], {"axis": 1, "keepdims": True}, prepare=first_rows),
    Row("_backward_square_sum", [(3,), (4, 3)], prepare=second_rows),
    Row("_backward_square_sum", [(4,), (4, 3)], {"over_columns": True}, prepare=second_rows),
]
