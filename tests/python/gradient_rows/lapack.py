"""Rows of the gradient matrix: the linear algebra operators."""

import itertools

from gradient_row import Row


def _turned(nd, x):
    return nd.swapaxes(x, dim1=x.ndim - 2, dim2=x.ndim - 1)


def _eye(nd, x):
    return nd.eye(x.shape[-1], dtype=x.dtype)


def definite(nd, x):
    """Symmetric, with a diagonal that outweighs each row."""
    return [nd.broadcast_add((x + _turned(nd, x)) / 2, _eye(nd, x) * 9)]


def regular(nd, x, *others):
    """Square with a heavy diagonal: as a triangular matrix, well conditioned."""
    return [nd.broadcast_add(x, _eye(nd, x) * 3), *others]


def ranked(nd, x):
    """Rows that are far from linearly dependent."""
    return [nd.broadcast_add(x, 3 * nd.eye(x.shape[-2], x.shape[-1], dtype=x.dtype))]


def spread(nd, x):
    """Symmetric, with eigenvalues well apart."""
    n = x.shape[-1]
    steps = nd.arange(n, dtype=x.dtype) * 4
    return [nd.broadcast_add((x + _turned(nd, x)) / 2, _eye(nd, x) * steps)]


ROWS = []
for ta, tb in itertools.product((False, True), repeat=2):
    a, b = ((3, 2) if ta else (2, 3)), ((4, 3) if tb else (3, 4))
    flags = {"transpose_a": ta, "transpose_b": tb}
    ROWS += [
        Row("_linalg_gemm2", [a, b], {**flags, "alpha": 1.5}),
        Row("_linalg_gemm2", [(2, *a), (2, *b)], flags),
        # The rows of the matrices along axis 0: (row, batch, column).
        Row("_linalg_gemm2", [(a[0], 2, a[1]), (b[0], 2, b[1])], {**flags, "axis": 0}),
        Row("_linalg_gemm", [a, b, (2, 4)], {**flags, "alpha": 0.5, "beta": -2.0}),
        Row("_linalg_gemm", [(2, *a), (2, *b), (2, 2, 4)], flags),
    ]
ROWS += [
    Row("_linalg_gemm", [(2, 2, 3), (3, 2, 2), (2, 2, 2)], {"axis": -3}),
    Row("_linalg_gemm", [(2, 3), (3, 2), (2, 2)], {"beta": 0.0}),
    Row("_linalg_syrk", [(2, 3)]),
    Row("_linalg_syrk", [(2, 3)], {"transpose": True, "alpha": 0.5}),
    Row("_linalg_syrk", [(2, 3, 2)], {"alpha": -1.5}),
]
for transpose, rightside, lower in itertools.product((False, True), repeat=3):
    flags = {"transpose": transpose, "rightside": rightside, "lower": lower}
    b = (2, 3) if rightside else (3, 2)
    for op in ("_linalg_trmm", "_linalg_trsm"):
        ROWS += [
            Row(op, [(3, 3), b], {**flags, "alpha": 1.5}, prepare=regular),
            Row(op, [(2, 3, 3), (2, *b)], flags, prepare=regular),
        ]
for batch in ((), (2,)):
    ROWS += [
        Row("_linalg_potrf", [(*batch, 3, 3)], prepare=definite),
        Row("_linalg_potri", [(*batch, 3, 3)], prepare=regular),
        Row("_linalg_sumlogdiag", [(*batch, 3, 3)], domain=(0.5, 3)),
        Row("_linalg_gelqf", [(*batch, 2, 3)], prepare=ranked),
        Row("_linalg_gelqf", [(*batch, 3, 3)], prepare=ranked),
        Row("_linalg_syevd", [(*batch, 3, 3)], prepare=spread),
        Row("_linalg_inverse", [(*batch, 3, 3)], prepare=regular),
        Row("_linalg_det", [(*batch, 3, 3)]),
        Row("_linalg_slogdet", [(*batch, 3, 3)], prepare=regular),
        Row("_backward_linalg_cofactor", [(*batch, 3, 3)]),
        Row("_backward_linalg_cofactor_change", [(*batch, 3, 3)] * 2, prepare=regular),
    ]
for offset in (0, 1, -1):
    ROWS += [
        Row("_linalg_extractdiag", [(2, 3, 3)], {"offset": offset}),
        Row("_linalg_makediag", [(2, 3)], {"offset": offset}),
    ]
for offset, lower in ((0, True), (0, False), (1, True), (-1, False)):
    ROWS += [
        Row("_linalg_extracttrian", [(2, 3, 3)], {"offset": offset, "lower": lower}),
        Row("_linalg_maketrian", [(2, 6)], {"offset": offset, "lower": lower}),
    ]
ROWS += [
    Row("_backward_linalg_triangle", [(2, 3, 3)], {"diagonal": 0.5}),
    Row("_backward_linalg_triangle", [(3, 3)], {"lower": False}),
    Row("_linalg_det", [(1, 1)]),
    Row("_linalg_potrf", [(1, 1)], prepare=definite),
]
