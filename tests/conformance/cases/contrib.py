"""Operators of nd.contrib: attention, small functions, masks and copies of rows."""

from harness import array, case, data, gradients, values


def small(mx):
    return {"x": array(mx, data((2, 3), -2, 2, seed=341))}


gradients(
    __name__,
    small,
    """
    nd.contrib.div_sqrt_dim(x)
    nd.contrib.quadratic(x)
    nd.contrib.quadratic(x, a=1.5, b=-2, c=0.25)
    nd.contrib.gradientmultiplier(x)
    nd.contrib.gradientmultiplier(x, scalar=-0.5)
    nd.contrib.gradientmultiplier(x, 2)
    nd.contrib.round_ste(x)
    """,
)
values(
    __name__,
    small,
    """
    nd.contrib.quadratic(nd.array([1, -2, 3], dtype='int32'), a=1.5, b=-2, c=0.25)
    nd.contrib.backward_gradientmultiplier(x, 2.5)
    nd.contrib.backward_gradientmultiplier(x, scalar=-1)
    nd.contrib.backward_quadratic(a=2)
    nd.contrib.quadratic(x.astype('float16'), a=1.5, b=-2, c=0.25)
    nd.contrib.div_sqrt_dim(x.astype('float16'))
    nd.contrib.round_ste(nd.array([-2.5, -1.5, -0.5, 0.4, 0.5, 1.5, 2.5]))
    nd.contrib.sign_ste(nd.array([-2.5, -1.5, 0, 0.4]))
    nd.contrib.sign_ste(nd.array([-2, 0, 3], dtype='int32'))
    nd.contrib.arange_like(x)
    nd.contrib.arange_like(x, start=2, step=0.5)
    nd.contrib.arange_like(x, axis=1)
    nd.contrib.arange_like(x, axis=-1)
    nd.contrib.arange_like(x, axis=2)
    nd.contrib.arange_like(x, repeat=2)
    nd.contrib.arange_like(x, repeat=3, axis=1)
    nd.contrib.arange_like(x.astype('int32'))
    nd.contrib.arange_like(x.astype('float16'))
    nd.contrib.arange_like(x.astype('float64'), axis=0)
    nd.contrib.index_array(x)
    nd.contrib.index_array(x, axes=(1,))
    nd.contrib.index_array(x, axes=(1, 0))
    nd.contrib.index_array(x, axes=(-1,))
    nd.contrib.index_array(x, axes=(0, 0))
    nd.contrib.allclose(x, x)
    nd.contrib.allclose(x, x + 1e-6)
    nd.contrib.allclose(x, x + 1)
    nd.contrib.allclose(x, x + 1, rtol=1, atol=2)
    nd.contrib.allclose(x, x[0])
    nd.contrib.allclose(x, x.astype('float64'))
    nd.contrib.allclose(x.astype('int32'), x.astype('int32'))
    """,
)
values(
    __name__,
    lambda mx: {"bad": mx.nd.array([1, float("nan")]), "inf": mx.nd.array([float("inf")])},
    """
    nd.contrib.allclose(bad, bad)
    nd.contrib.allclose(bad, bad, equal_nan=False)
    nd.contrib.allclose(inf, inf)
    nd.contrib.allclose(inf, -inf)
    nd.contrib.allclose(inf, nd.zeros((1,)))
    """,
)


@case(unsafe=True)
def index_array_axis_out_of_range(mx):
    return mx.nd.contrib.index_array(mx.nd.ones((2, 3)), axes=(2,))


@case(unsafe=True)
def arange_like_repeat_zero(mx):
    return mx.nd.contrib.arange_like(mx.nd.ones((2, 3)), repeat=0, axis=1)


# ---- attention: MXNet has it in float32 alone


def projections(mx):
    return {
        "p": array(mx, data((3, 2, 12), -2, 2, seed=342)),
        "a": array(mx, data((4, 3, 3), -2, 2, seed=343)),
    }


gradients(
    __name__,
    projections,
    "nd.contrib.interleaved_matmul_selfatt_qk(p, heads=2)\n"
    "nd.contrib.interleaved_matmul_selfatt_qk(p, heads=1)",
    wrt="p",
)
gradients(__name__, projections, "nd.contrib.interleaved_matmul_selfatt_valatt(p, a, heads=2)")
values(
    __name__,
    projections,
    """
    nd.contrib.interleaved_matmul_selfatt_qk(p)
    nd.contrib.interleaved_matmul_selfatt_qk(p[0], heads=2)
    """,
)


def two_projections(mx):
    return {
        "q": array(mx, data((3, 2, 4), -2, 2, seed=344)),
        "k": array(mx, data((5, 2, 8), -2, 2, seed=345)),
    }


def keys_attention(mx):
    return {
        "k": array(mx, data((5, 2, 8), -2, 2, seed=345)),
        "a": array(mx, data((4, 3, 5), -2, 2, seed=346)),
    }


gradients(__name__, two_projections, "nd.contrib.interleaved_matmul_encdec_qk(q, k, heads=2)")
gradients(__name__, keys_attention, "nd.contrib.interleaved_matmul_encdec_valatt(k, a, heads=2)")
values(
    __name__,
    keys_attention,
    """
    nd.contrib.interleaved_matmul_encdec_valatt(k, a, heads=1)
    nd.contrib.interleaved_matmul_encdec_valatt(k, a[:, :, :2], heads=2)
    nd.contrib.interleaved_matmul_encdec_qk(k, k, heads=2)
    """,
)

# ---- rows


def rows(mx):
    return {
        "o": array(mx, data((4, 2), -2, 2, seed=347)),
        "n": array(mx, data((2, 2), -2, 2, seed=348)),
    }


gradients(
    __name__,
    rows,
    """
    nd.contrib.index_copy(o, nd.array([2, 0]), n)
    nd.contrib.index_copy(o, nd.array([2, 0], dtype='int32'), n)
    nd.contrib.index_copy(o, nd.array([3, 1], dtype='int64'), n)
    """,
)
gradients(
    __name__,
    rows,
    """
    nd.contrib.boolean_mask(o, nd.array([1, 0, 0.5, 1]))
    nd.contrib.boolean_mask(o, nd.array([1, 0, -1, 1], dtype='int32'))
    nd.contrib.boolean_mask(o, nd.array([1, 1, 1, 1]))
    """,
    wrt="o",
)
values(
    __name__,
    rows,
    """
    nd.contrib.index_copy(o, nd.array([2]), n)
    nd.contrib.index_copy(o, nd.array([2, 1]), n[:, :1])
    nd.contrib.index_copy(o, nd.array([2, 1]), n.astype('float64'))
    nd.contrib.index_copy(o.astype('int32'), nd.array([2, 1]), n.astype('int32'))
    nd.contrib.index_copy(o[:, 0], nd.array([2, 1]), n[:, 0])
    nd.contrib.boolean_mask(o, nd.array([1, 0, 1]))
    nd.contrib.boolean_mask(o, nd.array([[1, 0, 1, 0]]))
    nd.contrib.boolean_mask(o, nd.array([1, 0]), axis=1)
    nd.contrib.boolean_mask(o.astype('int32'), nd.array([1, 0, 1, 1]))
    nd.contrib.boolean_mask(o[:, 0], nd.array([1, 0, 1, 1]))
    nd.contrib.boolean_mask(o, nd.array([1, 0, 1, 1], dtype='bool'))
    nd.contrib.boolean_mask(o, nd.array([0, 0, 0, 0]))
    """,
)
