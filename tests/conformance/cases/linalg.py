"""dot, batch_dot and FullyConnected: every dimension rule, transposes, dtypes, gradients."""

from harness import array, data, gradients, values


def operands(mx):
    return {
        "v": array(mx, data((4,), seed=71)),
        "u": array(mx, data((4,), seed=72)),
        "m": array(mx, data((3, 4), seed=73)),
        "n": array(mx, data((4, 2), seed=74)),
        "p": array(mx, data((3, 2), seed=75)),
        "c": array(mx, data((2, 3, 4), seed=76)),
        "e": array(mx, data((4, 2, 3), seed=77)),
        "s": array(mx, data((1,), seed=78)),
    }


gradients(
    __name__,
    operands,
    """
    nd.dot(v, u)
    nd.dot(m, n)
    nd.dot(m, v)
    nd.dot(v, n)
    nd.dot(m, p, transpose_a=True)
    nd.dot(n, m.T, transpose_a=True)
    nd.dot(m, m, transpose_b=True)
    nd.dot(n, m, transpose_a=True, transpose_b=True)
    nd.dot(c, n)
    nd.dot(c, v)
    nd.dot(c, e)
    nd.dot(v, e)
    nd.dot(m, e)
    nd.dot(c, m, transpose_b=True)
    nd.dot(c, nd.ones((2, 5)), transpose_a=True)
    nd.dot(s, s)
    nd.dot(m, v, transpose_b=True)
    nd.dot(v, u, transpose_a=True)
    nd.dot(v, u, transpose_b=True)
    nd.dot(lhs=m, rhs=n)
    """,
)
values(
    __name__,
    operands,
    """
    nd.dot(m, m)
    nd.dot(v, m)
    nd.dot(n, v)
    nd.dot(v, s)
    nd.dot(m, n.astype('float64'))
    nd.dot(m.astype('float64'), n.astype('float64'))
    nd.dot(m.astype('int32'), n.astype('int32'))
    nd.dot(v.astype('int32'), v.astype('int32'))
    nd.dot(m)
    nd.dot(m, n, transpose_a='x')
    hasattr(m, 'dot')
    hasattr(m, '__matmul__')
    attempt(lambda: m @ n)
    """,
)


def batches(mx):
    return {
        "a": array(mx, data((2, 3, 4), seed=81)),
        "b": array(mx, data((2, 4, 2), seed=82)),
        "t": array(mx, data((2, 2, 4), seed=83)),
        "d": array(mx, data((2, 3, 2), seed=84)),
        "q": array(mx, data((2, 2, 3, 2), seed=85)),
    }


gradients(
    __name__,
    batches,
    """
    nd.batch_dot(a, b)
    nd.batch_dot(a, t, transpose_b=True)
    nd.batch_dot(a, d, transpose_a=True)
    nd.batch_dot(b, a, transpose_a=True, transpose_b=True)
    nd.batch_dot(q, q, transpose_b=True)
    nd.batch_dot(q, q, transpose_a=True)
    nd.batch_dot(lhs=a, rhs=b)
    """,
)
values(
    __name__,
    batches,
    """
    nd.batch_dot(a, a)
    nd.batch_dot(a, b[:1])
    nd.batch_dot(a[0], b[0])
    nd.batch_dot(a, b[0])
    nd.batch_dot(a.astype('float64'), b.astype('float64'))
    nd.batch_dot(a.astype('int32'), b.astype('int32'))
    nd.batch_dot(a, b.astype('float64'))
    """,
)


def dense(dtype="float32"):
    def setup(mx):
        return {
            "x": array(mx, data((2, 3, 4), seed=91, dtype=dtype)),
            "w12": array(mx, data((5, 12), seed=92, dtype=dtype)),
            "w4": array(mx, data((5, 4), seed=93, dtype=dtype)),
            "b": array(mx, data((5,), seed=94, dtype=dtype)),
        }

    return setup


DENSE = """
nd.FullyConnected(x, w12, b, num_hidden=5)
nd.FullyConnected(x, w12, no_bias=True, num_hidden=5)
nd.FullyConnected(x, w12, None, num_hidden=5, no_bias=True)
nd.FullyConnected(x, w4, b, num_hidden=5, flatten=False)
nd.FullyConnected(x, w4, num_hidden=5, flatten=False, no_bias=True)
nd.FullyConnected(x[0], w4, b, num_hidden=5)
nd.FullyConnected(x[0], w4, b, num_hidden=5, flatten=False)
nd.FullyConnected(data=x[0], weight=w4, bias=b, num_hidden=5)
"""
for dtype in ("float32", "float64"):
    gradients(__name__, dense(dtype), DENSE, prefix=f"{dtype} ")
values(
    __name__,
    dense(),
    """
    nd.FullyConnected(x, w4, b, num_hidden=5)
    nd.FullyConnected(x, w12, b, num_hidden=4)
    nd.FullyConnected(x, w12, num_hidden=5)
    nd.FullyConnected(x, w12, b)
    nd.FullyConnected(x, w12, b[:3], num_hidden=5)
    nd.FullyConnected(x, w12, b, num_hidden=0)
    nd.FullyConnected(x[0, 0], w4, b, num_hidden=5, flatten=False)
    nd.FullyConnected(x[:, 0, 0], nd.ones((5, 1)), b, num_hidden=5)
    nd.FullyConnected(x, w12.astype('float64'), b, num_hidden=5)
    """,
)
