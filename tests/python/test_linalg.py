"""nd.linalg beyond its gradient rows and recorded cases: sizes, errors, awkward matrices."""

import itertools

import numpy as np
import pytest

from mxtape import autograd, nd
from mxtape.base import MXNetError
from support import output_of

RANDOM = np.random.RandomState(17)


def float64(values):
    return nd.array(values, dtype="float64")


def definite(*shape):
    a = RANDOM.randn(*shape)
    return a @ np.swapaxes(a, -1, -2) + shape[-1] * np.eye(shape[-1])


def test_the_namespace_is_the_reference_one():
    names = """det extractdiag extracttrian gelqf gemm gemm2 inverse makediag maketrian potrf potri
        slogdet sumlogdiag syevd syrk trmm trsm"""
    assert nd.linalg.__all__ == sorted(names.split())
    assert sorted(n for n in dir(nd.linalg) if not n.startswith("_")) == nd.linalg.__all__
    assert nd.linalg.potrf is nd.linalg_potrf
    assert not hasattr(nd, "linalg_syevd")  # nor has MXNet
    with pytest.raises(AttributeError, match="has no attribute 'svd'"):
        _ = nd.linalg.svd


@pytest.mark.parametrize("shape", [(1, 1), (65, 65), (300, 300), (3, 40, 40), (500, 3, 3)], ids=str)
def test_factors_and_inverses_of_many_sizes(shape):
    a = definite(*shape)
    n = shape[-1]
    factor = nd.linalg.potrf(float64(a)).asnumpy()
    np.testing.assert_allclose(factor, np.linalg.cholesky(a), rtol=1e-9, atol=1e-9)
    inverse = np.linalg.inv(a)
    np.testing.assert_allclose(nd.linalg.potri(float64(factor)).asnumpy(), inverse, atol=1e-9)
    np.testing.assert_allclose(nd.linalg.inverse(float64(a)).asnumpy(), inverse, atol=1e-9)
    vectors, values = (x.asnumpy() for x in nd.linalg.syevd(float64(a)))
    np.testing.assert_allclose(values, np.linalg.eigvalsh(a), rtol=1e-9)
    turned = np.swapaxes(vectors, -1, -2)
    np.testing.assert_allclose(turned @ (values[..., None] * vectors), a, atol=1e-8 * n)
    wide = RANDOM.randn(*shape[:-1], n + 7)
    q, lower = (x.asnumpy() for x in nd.linalg.gelqf(float64(wide)))
    np.testing.assert_allclose(lower @ q, wide, atol=1e-10 * n)
    np.testing.assert_allclose(q @ np.swapaxes(q, -1, -2), np.eye(n) + 0 * a, atol=1e-10)
    assert np.array_equal(lower, np.tril(lower))
    sign, log = (x.asnumpy() for x in nd.linalg.slogdet(float64(a - 1.5 * n * np.eye(n))))
    expected = np.linalg.slogdet(a - 1.5 * n * np.eye(n))
    np.testing.assert_allclose(sign, np.reshape(expected[0], sign.shape))
    np.testing.assert_allclose(log, np.reshape(expected[1], log.shape), rtol=1e-9)


@pytest.mark.parametrize("width", [1, 127, 128, 300])
@pytest.mark.parametrize("flags", list(itertools.product((False, True), repeat=3)), ids=str)
def test_triangular_operators_in_pieces(width, flags):
    transpose, rightside, lower = flags
    a = RANDOM.randn(50, 50) / 10 + 3 * np.eye(50)
    b = RANDOM.randn(width, 50) if rightside else RANDOM.randn(50, width)
    triangle = np.tril(a) if lower else np.triu(a)
    triangle = triangle.T if transpose else triangle
    product = 0.5 * (b @ triangle if rightside else triangle @ b)
    options = {"transpose": transpose, "rightside": rightside, "lower": lower}
    got = nd.linalg.trmm(float64(a), float64(b), alpha=0.5, **options).asnumpy()
    np.testing.assert_allclose(got, product, atol=1e-12)
    back = nd.linalg.trsm(float64(a), float64(product), alpha=2, **options).asnumpy()
    np.testing.assert_allclose(back, b, atol=1e-10)


def test_the_other_triangle_is_not_read():
    a = definite(4, 4)
    junk = np.tril(a) + np.triu(np.full((4, 4), np.nan), 1)
    b = RANDOM.randn(4, 4)
    for call in (
        nd.linalg.potrf,
        nd.linalg.potri,
        lambda x: nd.linalg.syevd(x)[0],
        lambda x: nd.linalg.trmm(x, float64(b)),
        lambda x: nd.linalg.trsm(x, float64(b), rightside=True, transpose=True),
    ):
        got, expected = call(float64(junk)).asnumpy(), call(float64(np.tril(a))).asnumpy()
        assert np.array_equal(got, expected)


@pytest.mark.parametrize("call", [nd.linalg.potrf, nd.linalg.potri, nd.linalg.inverse])
def test_a_bad_matrix_is_named_and_nothing_is_changed(call):
    good = np.tril(definite(3, 3))
    out = nd.ones((3, 3, 3)) * 7
    with pytest.raises(MXNetError, match=r"matrix 1 of the batch .*\(3, 3, 3\)"):
        call(nd.array(np.stack([good, 0 * good, good])), out=out)
    assert (out.asnumpy() == 7).all()
    with pytest.raises(MXNetError, match=r"the matrix .*given A of shape"):
        call(nd.zeros((2, 2)))


def test_results_may_go_to_an_input():
    a = definite(5, 5)
    x = float64(a)
    nd.linalg.potrf(x, out=x)
    np.testing.assert_allclose(x.asnumpy(), np.linalg.cholesky(a), atol=1e-12)
    b = float64(np.eye(5))
    nd.linalg.trsm(x, b, out=b)
    np.testing.assert_allclose(b.asnumpy() @ x.asnumpy(), np.eye(5), atol=1e-12)


@pytest.mark.parametrize("shape", [(0, 3, 3), (0, 0), (2, 0, 0)], ids=str)
def test_zero_size(shape):
    x = nd.zeros(shape)
    for name in ("potrf", "potri", "inverse", "syrk"):
        assert getattr(nd.linalg, name)(x).shape == shape
    for name in ("gemm2", "trmm", "trsm"):
        assert getattr(nd.linalg, name)(x, x).shape == shape
    assert [y.shape for y in nd.linalg.gelqf(x)] == [shape, shape]
    assert [y.shape for y in nd.linalg.syevd(x)] == [shape, shape[:-1]]
    assert (nd.linalg.det(x).asnumpy() == 1).all()
    assert (nd.linalg.sumlogdiag(x).asnumpy() == 0).all()
    assert nd.linalg.extractdiag(x).shape == shape[:-1]
    assert nd.linalg.makediag(x).shape == (*shape, shape[-1])


def numeric_gradient(function, a, eps=1e-6):
    gradient = np.zeros_like(a)
    for at in np.ndindex(*a.shape):
        step = np.zeros_like(a)
        step[at] = eps
        gradient[at] = (function(a + step) - function(a - step)) / (2 * eps)
    return gradient


@pytest.mark.parametrize("rank", [0, 1, 2, 3])
def test_det_has_its_gradient_at_singular_matrices(rank):
    a = RANDOM.randint(-3, 4, (4, rank)) @ RANDOM.randint(-3, 4, (rank, 4)).astype("float64")
    if rank == 3:
        a[3] = a[0] + a[1]  # exactly singular, of rank 3
    x = float64(a)
    x.attach_grad()
    with autograd.record():
        y = nd.linalg.det(x)
    y.backward()
    np.testing.assert_allclose(x.grad.asnumpy(), numeric_gradient(np.linalg.det, a), atol=1e-6)


def test_third_derivatives_of_det_at_a_singular_matrix_are_refused():
    x = float64([[1, 2], [2, 4]])
    x.attach_grad()
    with autograd.record():
        first = autograd.grad(nd.linalg.det(x), x, create_graph=True)[0]
        second = autograd.grad(first.sum(), x, create_graph=True)[0]
    np.testing.assert_allclose(second.asnumpy(), [[1, -1], [-1, 1]], atol=1e-12)
    with pytest.raises(MXNetError, match="singular"):
        second.backward()


def test_gradient_of_an_eigenspace_whose_eigenvalues_are_equal():
    """A projector does not depend on the choice of vectors in its space, nor does its gradient."""
    q = np.linalg.qr(RANDOM.randn(4, 4))[0]
    a = q @ np.diag([1.0, 2.0, 2.0, 5.0]) @ q.T
    weight = RANDOM.randn(4, 4)

    def reference(matrix):
        space = np.linalg.eigh((matrix + matrix.T) / 2)[1][:, 1:3]
        return (space @ space.T * weight).sum()

    x = float64((a + a.T) / 2)
    x.attach_grad()
    with autograd.record():
        space = nd.linalg.syevd(x)[0][1:3]
        y = (nd.linalg.gemm2(space, space, transpose_a=True) * float64(weight)).sum()
    y.backward()
    np.testing.assert_allclose(x.grad.asnumpy(), numeric_gradient(reference, a), atol=1e-8)


@pytest.mark.parametrize("matrix", [np.eye(3), np.zeros((3, 3))], ids=["one", "zero"])
def test_gradient_where_all_eigenvalues_are_equal(matrix):
    x = float64(matrix)
    x.attach_grad()
    with autograd.record():
        vectors, values = nd.linalg.syevd(x)
        y = values.sum() + (vectors * float64(np.arange(9).reshape(3, 3))).sum()
    y.backward()
    np.testing.assert_allclose(x.grad.asnumpy(), np.eye(3), atol=1e-12)


@pytest.mark.parametrize(
    "log_det",
    [
        lambda x: nd.linalg.slogdet(x)[1],
        lambda x: 2 * nd.linalg.sumlogdiag(nd.linalg.potrf(x)),
        lambda x: nd.log(nd.linalg.det(x)),
        lambda x: nd.log(nd.linalg.syevd(x)[1]).sum(),
        lambda x: -nd.log(nd.linalg.inverse(x)).sum(),
    ],
)
def test_third_derivative(log_det):
    x = float64([[2.0]])
    x.attach_grad()
    with autograd.record():
        y = log_det(x)
        for _ in range(2):
            y = autograd.grad(y, x, create_graph=True)[0]
    y.backward()
    np.testing.assert_allclose(x.grad.asnumpy(), [[2 / 8]], rtol=1e-12)


PROGRAM = """
import hashlib, json
import numpy as np
from mxtape import nd
random = np.random.RandomState(3)
a = random.randn(3, 200, 200)
s = nd.array(a @ a.transpose(0, 2, 1) + 200 * np.eye(200))
a = nd.array(a)
results = [
    nd.linalg.potrf(s), nd.linalg.potri(s), nd.linalg.inverse(a), nd.linalg.syrk(a),
    nd.linalg.trsm(s, a), nd.linalg.trmm(a, a, rightside=True), nd.linalg.gemm(a, a, a, beta=2),
    *nd.linalg.gelqf(a), *nd.linalg.syevd(s), *nd.linalg.slogdet(a), nd.linalg.sumlogdiag(s),
]
print(json.dumps([hashlib.sha1(r.asnumpy().tobytes()).hexdigest() for r in results]))
"""


def test_same_bits_for_any_number_of_threads():
    results = [output_of(PROGRAM, {"OMP_NUM_THREADS": str(count)}) for count in (1, 3)]
    assert results[0].count(",") == 13
    assert results[0] == results[1]
