"""nd.linalg: products, triangular systems, factors, inverses, determinants, with gradients."""

import numpy as np
from harness import array, case, data, gradients, values


def _definite(seed, batch=()):
    a = data((*batch, 3, 3), seed=seed, dtype="float64")
    return a + np.swapaxes(a, -1, -2) + 9 * np.eye(3)


def _regular(seed, batch=()):
    return data((*batch, 3, 3), seed=seed, dtype="float64") + 4 * np.eye(3)


def products(mx):
    return {
        "m": array(mx, data((3, 2), seed=205, dtype="float64")),
        "n": array(mx, data((3, 2), seed=206, dtype="float64")),
        "q": array(mx, data((2, 2), seed=207, dtype="float64")),
        "b": array(mx, data((2, 3, 2), seed=208, dtype="float64")),
    }


gradients(
    __name__,
    products,
    """
    nd.linalg.gemm2(m, q)
    nd.linalg.gemm2(m, n, transpose_a=True)
    nd.linalg.gemm2(m, n, transpose_b=True, alpha=1.5)
    nd.linalg.gemm2(q, m, transpose_a=True, transpose_b=True)
    nd.linalg.gemm2(q, m, False, True, 2.0, -2)
    nd.linalg.gemm2(b, b, transpose_b=True)
    nd.linalg.gemm2(b, b, transpose_b=True, axis=0)
    nd.linalg.gemm2(b, b, transpose_a=True, axis=-3)
    nd.linalg.gemm2(b, b, transpose_b=True, axis=1)
    nd.linalg.gemm(m, q, n)
    nd.linalg.gemm(m, n, q, transpose_a=True, alpha=0.5, beta=-2)
    nd.linalg.gemm(m, q, n, beta=0)
    nd.linalg.gemm(m, q, n, alpha=0)
    nd.linalg.syrk(m)
    nd.linalg.syrk(m, transpose=True, alpha=1.5)
    nd.linalg.syrk(b)
    nd.linalg_gemm2(m, q)
    """,
)
values(
    __name__,
    products,
    """
    nd.linalg.gemm2(m, n)
    nd.linalg.gemm2(m[0], q)
    nd.linalg.gemm2(b, q)
    nd.linalg.gemm2(b, b[:1], transpose_b=True)
    nd.linalg.gemm2(b, b, transpose_b=True, axis=2)
    nd.linalg.gemm2(b, b, transpose_b=True, axis=-1)
    nd.linalg.gemm2(b, b, transpose_b=True, axis=-4)
    nd.linalg.gemm2(m, q.astype('float32'))
    nd.linalg.gemm2(m.astype('int32'), q.astype('int32'))
    nd.linalg.gemm2(m, q, alpha='x')
    nd.linalg.gemm2(m)
    nd.linalg.gemm(m, q, q)
    nd.linalg.gemm(m, q)
    nd.linalg.gemm(m, q, n * np.nan, beta=0)
    nd.linalg.syrk(m[0])
    nd.linalg.syrk(m.astype('int32'))
    nd.linalg.gemm2(m.astype('float32'), q.astype('float32'))
    sorted(name for name in dir(nd.linalg) if name[0] != '_')
    sorted(name for name in dir(nd) if name.startswith('linalg_'))
    """,
)


def triangular(mx):
    return {
        "a": array(mx, _regular(211)),
        "k": array(mx, _regular(212, (2,))),
        "m": array(mx, data((3, 2), seed=213, dtype="float64")),
        "w": array(mx, data((2, 3), seed=214, dtype="float64")),
        "b": array(mx, data((2, 3, 2), seed=215, dtype="float64")),
        "c": array(mx, data((2, 2, 3), seed=216, dtype="float64")),
    }


for name in ("trmm", "trsm"):
    gradients(
        __name__,
        triangular,
        f"""
        nd.linalg.{name}(a, m)
        nd.linalg.{name}(a, m, transpose=True)
        nd.linalg.{name}(a, m, lower=False, alpha=1.5)
        nd.linalg.{name}(a, m, transpose=True, lower=False)
        nd.linalg.{name}(a, w, rightside=True)
        nd.linalg.{name}(a, w, True, True, True, 2.0)
        nd.linalg.{name}(a, w, rightside=True, lower=False)
        nd.linalg.{name}(a, w, rightside=True, lower=False, transpose=True, alpha=-0.5)
        nd.linalg.{name}(k, b)
        nd.linalg.{name}(k, c, rightside=True, lower=False)
        """,
    )
    values(
        __name__,
        triangular,
        f"""
        nd.linalg.{name}(a, w)
        nd.linalg.{name}(m, m)
        nd.linalg.{name}(a, m[0])
        nd.linalg.{name}(k, m)
        nd.linalg.{name}(a, m, rightside=True)
        nd.linalg.{name}(a, m.astype('float32'))
        nd.linalg.{name}(a.astype('float16'), m.astype('float16'))
        nd.linalg.{name}(a.astype('float32'), m.astype('float32'))
        nd.linalg.{name}(a)
        """,
    )


def definite(mx):
    return {"s": array(mx, _definite(221)), "t": array(mx, _definite(222, (2,)))}


def lower(mx):
    return {"l": array(mx, _regular(223)), "k": array(mx, _regular(224, (2,)))}


def wide(mx):
    return {
        "w": array(mx, data((2, 3), seed=225, dtype="float64")),
        "c": array(mx, data((2, 2, 4), seed=226, dtype="float64")),
    }


gradients(
    __name__,
    definite,
    """
    nd.linalg.potrf(s)
    nd.linalg.potrf(t)
    nd.linalg.syevd(s)
    nd.linalg.syevd(t)
    nd.linalg.syevd(s)[1]
    nd.linalg.syevd(t)[0]
    nd.linalg.sumlogdiag(s)
    nd.linalg.sumlogdiag(t)
    nd.linalg.sumlogdiag(nd.linalg.potrf(t))
    """,
)
gradients(
    __name__,
    lower,
    """
    nd.linalg.potri(l)
    nd.linalg.potri(k)
    nd.linalg.potri(nd.linalg.potrf(nd.linalg.syrk(l)))
    nd.linalg.potrf(l)
    nd.linalg.syevd(l)
    nd.linalg.inverse(l)
    nd.linalg.inverse(k)
    nd.linalg.det(l)
    nd.linalg.det(k)
    nd.linalg.slogdet(l)
    nd.linalg.slogdet(k)
    nd.linalg.slogdet(-k)
    nd.linalg.slogdet(-l)[1]
    nd.linalg.gelqf(l)
    """,
)
gradients(
    __name__,
    wide,
    """
    nd.linalg.gelqf(w)
    nd.linalg.gelqf(c)
    nd.linalg.gelqf(w)[0]
    nd.linalg.gelqf(w)[1]
    """,
)


def awkward(mx):
    return {
        "indefinite": mx.nd.array([[1, 2], [2, 1]]),
        "singular": mx.nd.array([[1, 2], [2, 4]]),
        "zero": mx.nd.zeros((2, 2)),
        "one": mx.nd.array([[[4, 1], [1, 3]], [[1, 2], [2, 4]]]),
        "w": mx.nd.array([[1, 2, 3], [4, 5, 7]]),
        "f": mx.nd.array([[4, 2, 9], [2, 5, 9], [1, 3, 6]]),
    }


values(
    __name__,
    awkward,
    """
    nd.linalg.potrf(indefinite)
    nd.linalg.potrf(zero)
    nd.linalg.potrf(one - 3)
    nd.linalg.potrf(w)
    nd.linalg.potrf(w[0])
    nd.linalg.potrf(f)
    nd.linalg.potri(zero)
    nd.linalg.potri(w)
    nd.linalg.potri(f)
    nd.linalg.inverse(singular)
    nd.linalg.inverse(zero)
    nd.linalg.inverse(one)
    nd.linalg.inverse(w)
    nd.linalg.det(singular)
    nd.linalg.det(zero)
    nd.linalg.det(one)
    nd.linalg.det(w)
    nd.linalg.det(f[0])
    nd.linalg.slogdet(singular)
    nd.linalg.slogdet(zero)
    nd.linalg.slogdet(one)
    nd.linalg.slogdet(w)
    nd.linalg.sumlogdiag(zero)
    nd.linalg.sumlogdiag(-indefinite)
    nd.linalg.sumlogdiag(w)
    nd.linalg.gelqf(w)
    nd.linalg.gelqf(w.T)
    nd.linalg.gelqf(nd.zeros((2, 3)))
    nd.linalg.syevd(f)
    nd.linalg.syevd(zero * np.nan)
    nd.linalg.syevd(w)
    nd.linalg.trsm(nd.array([[1, 0], [1, 0]]), indefinite)
    nd.linalg.potrf(f.astype('float16'))
    nd.linalg.potri(f.astype('float16'))
    nd.linalg.inverse(f.astype('float16'))
    nd.linalg.det(f.astype('int32'))
    nd.linalg.slogdet(f.astype('float16'))
    nd.linalg.gelqf(f.astype('int32'))
    nd.linalg.syevd(f.astype('float16'))
    nd.linalg.sumlogdiag(f.astype('int32'))
    nd.linalg.potrf(A=f)
    nd.linalg.potrf()
    """,
)
gradients(__name__, lambda mx: {"x": awkward(mx)["singular"]}, "nd.linalg.det(x)", prefix="rank 1 ")
gradients(__name__, lambda mx: {"x": awkward(mx)["one"]}, "nd.linalg.slogdet(x)[1]")
gradients(__name__, lambda mx: {"x": awkward(mx)["zero"]}, "nd.linalg.det(x)", prefix="rank 0 ")


@case
def degenerate_eigenvalues(mx):
    """The gradient of the eigenvalues, two of which are equal."""
    x = mx.nd.array([[2, 0, 0], [0, 2, 0], [0, 0, 3]])
    x.attach_grad()
    with mx.autograd.record():
        values = mx.nd.linalg.syevd(x)[1]
    values.backward(mx.nd.array([1, 1, 5]))
    return x.grad


def parts(mx):
    return {
        "f": array(mx, data((3, 3), seed=231, dtype="float64")),
        "g": array(mx, data((2, 3, 3), seed=232, dtype="float64")),
        "v": array(mx, data((6,), seed=233, dtype="float64")),
        "u": array(mx, data((2, 3), seed=234, dtype="float64")),
    }


OFFSETS = "\n".join(
    f"nd.linalg.{name}({x}, offset={offset}{lower})"
    for offset in (0, 1, -1, 2, -2)
    for name, inputs, lowers in (
        ("extractdiag", "fg", ("",)),
        ("makediag", "vu", ("",)),
        ("extracttrian", "fg", ("", ", lower=False")),
        ("maketrian", "vu", ("", ", lower=False")),
    )
    for x in inputs
    for lower in lowers
)
gradients(__name__, parts, OFFSETS)
values(
    __name__,
    parts,
    """
    nd.linalg.extractdiag(f)
    nd.linalg.makediag(v)
    nd.linalg.extracttrian(f, 0, False)
    nd.linalg.maketrian(u, 1, False)
    nd.linalg.extractdiag(f, offset=3)
    nd.linalg.extractdiag(f, offset=-3)
    nd.linalg.extracttrian(f, offset=3)
    nd.linalg.extractdiag(u)
    nd.linalg.extracttrian(u)
    nd.linalg.maketrian(v[:5])
    nd.linalg.maketrian(v[:1])
    nd.linalg.makediag(v[:1], offset=-3)
    nd.linalg.extractdiag(v)
    nd.linalg_makediag(v, offset=1)
    """,
)
