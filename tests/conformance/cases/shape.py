"""Operators that move, join, cut and repeat: values, shapes, dtypes and gradients."""

from harness import array, data, gradients, integers, values


def arrays(mx):
    return {
        "x": array(mx, data((2, 3, 4), seed=51)),
        "y": array(mx, data((2, 3, 4), seed=52)),
        "m": array(mx, data((2, 3), seed=53)),
        "v": array(mx, data((4,), seed=54)),
    }


def one(mx):
    return {"x": array(mx, data((2, 3, 4), seed=51))}


def small(mx):
    return {"m": array(mx, data((2, 3), seed=53))}


RESHAPES = [
    "(24,)",
    "(4, 6)",
    "(-1,)",
    "(0, -1)",
    "(0, 0, -1)",
    "(-1, 0)",
    "(-2,)",
    "(0, -2)",
    "(-2, 1)",
    "(-3, 0)",
    "(0, -3)",
    "(-3, -2)",
    "(-4, 1, 2, -2)",
    "(-4, -1, 2, -2)",
    "(-4, 2, -1, 0, 0)",
    "(0, -4, 3, 1, 0)",
    "(0, 0, -4, 2, 2)",
    "(0, 0, -4, -1, 2)",
    "(2, 0, 0, 1)",
    "(4, 0, -1)",
    "(0, 0, 0)",
    "(-1, 1)",
    "(1, 24, 1)",
    "(0, -3, 1, 1)",
    "(-4, 1, -1, -3)",
]
BAD_RESHAPES = ["(0, 0, 0, 0)", "(-5,)", "(-4, 2, 2, -2)", "(-3, -3)", "(-4, -1, -1, -2)"]
WRONG_SIZES = ["(5,)", "(-1, 5)", "(25,)", "(2, 3)", "()", "(1, -2)"]
REVERSED = [
    "(-1, 0)",
    "(0, -1)",
    "(-1, 4)",
    "(-3, 0)",
    "(0, -3)",
    "(-1, 0, 0)",
    "(6, -1)",
    "(-2,)",
    "(0, 0, 0)",
    "(0, -4, 1, 2)",
    "(0, 0, -4, 1, 2)",
]
gradients(__name__, one, "\n".join(f"x.reshape({s})" for s in RESHAPES))
gradients(__name__, one, "\n".join(f"nd.reshape(x, shape={s})" for s in RESHAPES))
values(__name__, one, "\n".join(f"x.reshape({s})\nnd.reshape(x, shape={s})" for s in BAD_RESHAPES))
values(__name__, one, "\n".join(f"x.reshape({s})" for s in WRONG_SIZES))
# MXNet's operator does not check the size: it reads past the end, or aborts
values(__name__, one, "\n".join(f"nd.reshape(x, shape={s})" for s in WRONG_SIZES), unsafe=True)
values(__name__, one, "x.reshape((-1, -1))", unsafe=True)
values(__name__, one, "nd.reshape(x, shape=(-1, -1))")
values(
    __name__,
    one,
    "\n".join(
        f"x.reshape({s}, reverse=True)\nnd.reshape(x, shape={s}, reverse=True)" for s in REVERSED
    ),
)
gradients(
    __name__,
    one,
    """
    nd.Reshape(x, shape=(-1,))
    x.reshape(-1)
    x.reshape(4, 6)
    x.reshape(shape=(6, 4))
    x.reshape([3, 8])
    x.reshape(-1, 4, reverse=True)
    nd.reshape_like(x, nd.zeros((4, 6)))
    nd.reshape_like(x, nd.zeros((6, 5)), lhs_begin=0, lhs_end=2, rhs_begin=0, rhs_end=1)
    nd.reshape_like(x, nd.zeros((9, 2, 2)), lhs_begin=-1, lhs_end=None, rhs_begin=1, rhs_end=3)
    x.reshape_like(nd.zeros((24,)))
    nd.flatten(x)
    nd.Flatten(x)
    x.flatten()
    nd.Flatten(x.reshape((-1,)))
    nd.Reshape(x, target_shape=(4, 6))
    nd.Reshape(x, target_shape=(0, 12))
    nd.Reshape(x, target_shape=(4, 0), keep_highest=False)
    nd.Reshape(x, target_shape=(5, 0), keep_highest=True)
    """,
)
values(
    __name__,
    one,
    """
    x.reshape()
    x.reshape(2.5)
    x.reshape((2, 3, 4), shape=(6, 4))
    x.reshape((24,), nonsense=1)
    nd.reshape(x)
    nd.reshape_like(x, nd.zeros((5, 5)))
    x.reshape(2, 3, 2)
    """,
)

# ---- transpose and its kin

gradients(
    __name__,
    one,
    """
    nd.transpose(x)
    nd.transpose(x, axes=(1, 0, 2))
    nd.transpose(x, axes=(2, 0, 1))
    nd.transpose(x, (0, 2, 1))
    nd.transpose(x, axes=())
    x.transpose()
    x.transpose((1, 2, 0))
    x.transpose(axes=(1, 2, 0))
    x.T
    nd.swapaxes(x, 0, 2)
    nd.swapaxes(x, dim1=1, dim2=2)
    nd.SwapAxis(x, dim1=0, dim2=1)
    x.swapaxes(0, 1)
    nd.swapaxes(x, 0, -1)
    nd.expand_dims(x, axis=0)
    nd.expand_dims(x, axis=1)
    nd.expand_dims(x, axis=3)
    nd.expand_dims(x, axis=-1)
    nd.expand_dims(x, axis=-4)
    x.expand_dims(1)
    x.expand_dims(axis=-2)
    nd.squeeze(x[:, :, 0:1])
    nd.squeeze(x[:1, :, :1])
    nd.squeeze(x[:1, :, :1], axis=0)
    nd.squeeze(x[:1, :, :1], axis=(0, 2))
    nd.squeeze(x[:1, :, :1], axis=-1)
    nd.squeeze(x[:1, :1, :1])
    x[:1].squeeze()
    x[:1].squeeze(axis=0)
    nd.flip(x, axis=0)
    nd.flip(x, axis=1)
    nd.flip(x, axis=(0, 2))
    nd.reverse(x, axis=1)
    x.flip(axis=2)
    nd.moveaxis(x, 0, 2)
    nd.moveaxis(x, [0, 1], [1, 2])
    nd.moveaxis(x, -1, 0)
    nd.tile(x, reps=2)
    nd.tile(x, reps=(2,))
    nd.tile(x, reps=(2, 1, 2))
    nd.tile(x, reps=(2, 1, 1, 2))
    nd.tile(x, reps=(1, 1, 1))
    x.tile(reps=(1, 2))
    nd.repeat(x, repeats=2)
    nd.repeat(x, repeats=2, axis=0)
    nd.repeat(x, repeats=3, axis=1)
    nd.repeat(x, repeats=2, axis=-1)
    nd.repeat(x, repeats=1, axis=1)
    x.repeat(repeats=2, axis=1)
    nd.broadcast_to(x[:1], shape=(3, 3, 4))
    nd.broadcast_to(x[:1], shape=(3, 0, 4))
    nd.broadcast_to(x[:, :1], shape=(0, 2, 0))
    x[:1].broadcast_to((2, 3, 4))
    nd.broadcast_axis(x[:1], axis=0, size=3)
    nd.broadcast_axis(x[:1, :, :1], axis=(0, 2), size=(2, 3))
    nd.broadcast_axes(x[:1], axis=0, size=2)
    x[:1].broadcast_axes(axis=0, size=2)
    nd.broadcast_axis(x)
    nd.broadcast_like(x[:1], nd.zeros((3, 3, 4)))
    nd.broadcast_like(x[:1], nd.zeros((7, 5)), lhs_axes=(0,), rhs_axes=(1,))
    nd.broadcast_like(x[:1], nd.zeros((7, 5)), lhs_axes=(-3,), rhs_axes=(-2,))
    x[:1].broadcast_like(nd.zeros((2, 3, 4)))
    nd.slice_like(x, nd.zeros((1, 2, 3)))
    nd.slice_like(x, nd.zeros((1, 2, 3)), axes=(0, 2))
    nd.slice_like(x, nd.zeros((1, 2)), axes=(-2,))
    """,
)
values(
    __name__,
    one,
    """
    nd.transpose(x, axes=(0, 1))
    nd.transpose(x, axes=(0, 1, 3))
    nd.swapaxes(x, 0, 3)
    nd.swapaxes(x, 0, 0)
    nd.expand_dims(x, axis=4)
    nd.expand_dims(x, axis=-5)
    nd.expand_dims(x)
    nd.squeeze(x)
    nd.squeeze(x, axis=0)
    nd.squeeze(x, axis=3)
    nd.squeeze(x[:1], axis=(0, 0))
    nd.flip(x, axis=3)
    nd.flip(x)
    nd.flip(x, axis=())
    nd.tile(x, reps=0)
    nd.tile(x, reps=())
    nd.tile(x, reps=-1)
    nd.repeat(x, repeats=0)
    nd.repeat(x, repeats=-1)
    nd.repeat(x, repeats=2, axis=3)
    nd.repeat(x)
    nd.broadcast_to(x, shape=(3, 3, 4))
    nd.broadcast_to(x, shape=(2, 2, 3, 4))
    nd.broadcast_to(x[0, 0], shape=(3, 4))
    x[0, 0].broadcast_to((3, 4))
    x.broadcast_to((3, 3, 4))
    nd.broadcast_axis(x, axis=0, size=3)
    nd.broadcast_axis(x[:1], axis=3, size=3)
    nd.broadcast_axis(x[:1], axis=(0, 0), size=(3, 3))
    nd.broadcast_axis(x[:1], axis=0, size=(3, 3))
    nd.broadcast_like(x, nd.zeros((3, 3, 4)))
    nd.broadcast_like(x[:1], nd.zeros((3, 3)))
    nd.slice_like(x, nd.zeros((3, 3, 4)))
    nd.slice_like(x, nd.zeros((1, 2)))
    nd.shape_array(x)
    nd.size_array(x)
    x.shape_array()
    x.size_array()
    nd.moveaxis(x, 0, 3)
    nd.moveaxis(x, [0, 1], [1])
    """,
)

# MXNet does not look for repeated axes and returns memory that it never wrote
values(__name__, one, "nd.transpose(x, axes=(0, 0, 1))", unsafe=True)
# errors of the worker thread
values(__name__, one, "nd.transpose(x, axes=(-1, 0, 1))\nnd.flip(x, axis=-1)")

# ---- joining and splitting

gradients(
    __name__,
    arrays,
    """
    nd.concat(x, y)
    nd.concat(x, y, dim=0)
    nd.concat(x, y, dim=1)
    nd.concat(x, y, dim=2)
    nd.concat(x, y, dim=-1)
    nd.concat(x, y, x, dim=-2)
    nd.concat(x, dim=0)
    nd.concat(x, y[:, :1], dim=1)
    nd.concat(*[x, y], dim=0)
    nd.Concat(x, y, num_args=2, dim=1)
    nd.concat(v, v, dim=0)
    nd.concatenate([x, y])
    nd.concatenate([x, y], axis=1)
    nd.concatenate([x], axis=1)
    nd.stack(x, y)
    nd.stack(x, y, axis=1)
    nd.stack(x, y, axis=3)
    nd.stack(x, y, axis=-1)
    nd.stack(x, y, axis=-4)
    nd.stack(v, v, v, axis=1)
    nd.stack(x)
    nd.split(x, num_outputs=3)
    nd.split(x, num_outputs=2, axis=0)
    nd.split(x, num_outputs=2, axis=2)
    nd.split(x, num_outputs=4, axis=-1)
    nd.split(x, 3, axis=1, squeeze_axis=True)
    nd.split(x, num_outputs=3, axis=1, squeeze_axis=1)
    nd.split(x, num_outputs=2, axis=0, squeeze_axis=True)
    nd.split(x, num_outputs=1, axis=0)
    nd.split(x[:1], num_outputs=1, axis=0, squeeze_axis=True)
    nd.SliceChannel(x, num_outputs=3)
    x.split(num_outputs=3, axis=1)
    nd.split_v2(x, 3, axis=1)
    nd.split_v2(x, 2)
    nd.split_v2(x, (1,), axis=1)
    nd.split_v2(x, (1, 3), axis=2)
    nd.split_v2(x, (1, 2), axis=1, squeeze_axis=True)
    nd.split_v2(x, 4, axis=2, squeeze_axis=True)
    nd.split_v2(x, (1, 3), axis=-1)
    x.split_v2(2, axis=0)
    nd.split_v2(x, 1, axis=0)
    """,
)
values(
    __name__,
    arrays,
    """
    nd.concat(x, m)
    nd.concat(x, y, dim=3)
    nd.concat(x, y, dim=-4)
    nd.concat(x, y[:, :2], dim=0)
    nd.concat(x, y.astype('float64'), dim=0)
    nd.concat(x, y.astype('int32'), dim=0)
    nd.concat()
    nd.concat(nd.array([1, 2], dtype='int32'), nd.array([3], dtype='int32'), dim=0)
    nd.concatenate([])
    nd.concatenate([x, m])
    nd.stack(x, m)
    nd.stack(x, y, axis=4)
    nd.stack()
    nd.stack(nd.array([1, 2], dtype='int32'), nd.array([3, 4], dtype='int32'))
    nd.split(x, num_outputs=2)
    nd.split(x, num_outputs=2, axis=3)
    nd.split(x)
    nd.split(x, num_outputs=0)
    nd.split(x, num_outputs=1, axis=0, squeeze_axis=True)
    type(nd.split(x, num_outputs=2, axis=0)).__name__
    type(nd.split(x, num_outputs=1, axis=0)).__name__
    nd.split_v2(x, 2, axis=1)
    nd.split_v2(x, (2, 1), axis=2)
    nd.split_v2(x, (5,), axis=2)
    nd.split_v2(x, (), axis=2)
    nd.split_v2(x, 1.5)
    nd.split_v2(x, (0, 2), axis=2)
    nd.onehot_encode(nd.array([1, 0]), nd.zeros((2, 3)))
    """,
)

# ---- slice, slice_axis

gradients(
    __name__,
    one,
    """
    nd.slice(x, begin=(0, 1), end=(2, 3))
    nd.slice(x, begin=(None, 1), end=(None, None))
    nd.slice(x, begin=(0, 0, 0), end=(2, 3, 4), step=(1, 2, 3))
    nd.slice(x, begin=(None, None, None), end=(None, None, None), step=(-1, -1, -1))
    nd.slice(x, begin=(1, 2), end=(None, None), step=(-1, -2))
    nd.slice(x, begin=(-1, -2), end=(None, -1))
    nd.slice(x, begin=(0,), end=(1,))
    nd.slice(x, begin=1, end=2)
    nd.slice(x, begin=(0, 3), end=(2, 0), step=(1, -1))
    nd.slice(x, begin=(0, 2), end=(2, 0), step=(None, -1))
    nd.slice(x, begin=(0, 1), end=(9, 9))
    x.slice(begin=(0, 1), end=(1, 3))
    x.slice((0, 1), (1, 3), (1, 2))
    nd.crop(x, begin=(0, 1), end=(1, 3))
    nd.slice_axis(x, axis=0, begin=0, end=1)
    nd.slice_axis(x, axis=1, begin=1, end=None)
    nd.slice_axis(x, axis=2, begin=-3, end=-1)
    nd.slice_axis(x, axis=-1, begin=0, end=2)
    nd.slice_axis(x, axis=1, begin=0, end=3)
    nd.slice_axis(x, 1, 0, 2)
    x.slice_axis(axis=1, begin=0, end=2)
    """,
)
values(
    __name__,
    one,
    """
    nd.slice(x, begin=(1,), end=(1,))
    nd.slice(x, begin=(2,), end=(1,))
    nd.slice(x, begin=(5,), end=(6,))
    nd.slice(x, begin=(0, 0, 0, 0), end=(1, 1, 1, 1))
    nd.slice(x, begin=(0,), end=(1, 1))
    nd.slice(x, begin=(0,), end=(1,), step=(0,))
    nd.slice(x, begin=(0,))
    nd.slice(x, begin=(), end=())
    nd.slice_axis(x, axis=3, begin=0, end=1)
    nd.slice_axis(x, axis=0, begin=1, end=1)
    nd.slice_axis(x, axis=0, begin=0, end=5)
    nd.slice_axis(x, axis=0, begin=2, end=None)
    nd.slice_axis(x, axis=0, begin=-5, end=None)
    nd.slice_axis(x, axis=0, begin=0)
    nd._internal._slice_assign(x, nd.ones((1, 3, 4)), begin=(0,), end=(1,))
    nd._internal._slice_assign_scalar(x, scalar=5, begin=(0, 1), end=(1, 3))
    x.slice_assign(nd.ones((1, 3, 4)), (0,), (1,), ())
    x.slice_assign_scalar(7, (0, 1), (2, 2), (1, 1))
    """,
)

MOVES = """
nd.transpose(m)
nd.flip(m, axis=1)
nd.tile(m, reps=(1, 2))
nd.repeat(m, repeats=2, axis=1)
nd.concat(m, m, dim=0)
nd.stack(m, m, axis=1)
nd.split(m, num_outputs=2, axis=0)
nd.slice(m, begin=(0, 1), end=(2, 3))
nd.slice_axis(m, axis=1, begin=0, end=2)
nd.expand_dims(m, axis=0)
nd.broadcast_to(m[:1], shape=(2, 3))
nd.broadcast_axis(m[:1], axis=0, size=2)
nd.swapaxes(m, 0, 1)
nd.squeeze(m[:1])
nd.reshape(m, shape=(3, 2))
nd.broadcast_like(m[:1], m)
"""
for dtype in ("float64", "float16", "int32", "int64", "uint8", "int8", "bool"):

    def typed(mx, dtype=dtype):
        return {"m": mx.nd.array(integers((2, 3), 0, 2, seed=55), dtype=dtype)}

    values(__name__, typed, MOVES, prefix=f"{dtype} ")
