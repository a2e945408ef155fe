"""topk, sort, argsort, cumsum, diag, blocks of pixels, ravelled indices, histogram, kin.

Lines of at most 16 elements: there MXNet keeps the order of equal ones.
"""

from harness import array, data, gradients, values


def distinct(mx):
    """Values without ties, in no order."""
    order = data((12,), seed=171).argsort()
    return {
        "x": array(mx, (order.reshape(3, 4) * 0.5 - 2).astype("float32")),
        "c": array(mx, data((2, 3, 4), seed=172)),
        "v": array(mx, data((5,), seed=173)),
    }


def pictures(mx):
    return {
        "p": array(mx, data((2, 8, 2, 3), seed=174)),
        "q": array(mx, data((1, 2, 4, 6), seed=175)),
    }


def tied(mx):
    return {
        "t": mx.nd.array([[3, 1, 2, 1], [0, 5, 5, 0]]),
        "m": mx.nd.array([[1, 0, 2], [2, 1, 9], [3, 3, 0]]),
        "i": mx.nd.array([3, 1, 2, 1], dtype="int32"),
        "b": mx.nd.array([1, 0, 1], dtype="bool"),
        "pairs": mx.nd.array([[3, 6, 6], [4, 5, 1]]),
        "flat": mx.nd.array([22, 41, 37]),
        "z": mx.nd.zeros((3, 4)),
    }


gradients(
    __name__,
    distinct,
    """
    nd.topk(x)
    nd.topk(x, k=2)
    nd.topk(x, k=2, ret_typ='value')
    nd.topk(x, k=2, ret_typ='both')
    nd.topk(x, k=2, ret_typ='both', is_ascend=True)
    nd.topk(x, k=2, ret_typ='mask')
    nd.topk(x, axis=0, k=2, ret_typ='both')
    nd.topk(x, axis=-2, k=1, ret_typ='value')
    nd.topk(x, axis=None, k=5, ret_typ='both')
    nd.topk(x, axis=None, k=5, ret_typ='mask')
    nd.topk(c, axis=1, k=2, ret_typ='value')
    nd.topk(c, axis=0, k=1, ret_typ='both', dtype='int64')
    nd.topk(x, k=0, ret_typ='value')
    nd.topk(x, k=-1, ret_typ='both')
    x.topk(k=3, ret_typ='value')
    nd.topk(x, -1, 2, 'value', True)
    nd.sort(x)
    nd.sort(x, axis=0)
    nd.sort(x, axis=1, is_ascend=False)
    nd.sort(c, axis=1)
    nd.sort(x, axis=None)
    nd.sort(v, is_ascend=False)
    x.sort(axis=0)
    nd.argsort(x)
    nd.argsort(x, axis=0, is_ascend=False)
    nd.argsort(x, axis=None)
    x.argsort()
    nd.cumsum(x)
    nd.cumsum(x, axis=1)
    nd.cumsum(c, axis=0)
    nd.cumsum(x, axis=0, dtype='float64')
    nd.diag(x)
    nd.diag(x, k=1)
    nd.diag(x, k=-2)
    nd.diag(v)
    nd.diag(v, k=2)
    nd.diag(v, k=-1)
    nd.diag(c)
    nd.diag(c, k=1, axis1=0, axis2=2)
    nd.diag(c, k=-1, axis1=-1, axis2=-2)
    x.diag(k=1)
    nd.ravel_multi_index(nd.round(x), shape=(3, 4, 5))
    nd.unravel_index(v, shape=(2, 3))
    nd.cast_storage(x, 'default')
    nd.choose_element_0index(x, nd.array([0, 2, 1]))
    """,
)
gradients(
    __name__,
    pictures,
    """
    nd.depth_to_space(p, 2)
    nd.space_to_depth(q, block_size=2)
    p.depth_to_space(block_size=2)
    q.space_to_depth(block_size=2)
    nd.depth_to_space(p, block_size=1)
    """,
)
values(
    __name__,
    tied,
    """
    nd.topk(t, k=2, ret_typ='both')
    nd.topk(t, k=4, ret_typ='both')
    nd.topk(t, k=2, ret_typ='mask')
    nd.topk(t, k=4, is_ascend=True)
    nd.topk(t, axis=None, k=3, ret_typ='both')
    nd.topk(t, k=5)
    nd.topk(t, axis=2)
    nd.topk(t, k=2.5)
    nd.topk(t, ret_typ='nonsense')
    nd.topk(t, dtype='int8')
    nd.topk(t, dtype='uint8')
    nd.topk(t, dtype='float16')
    nd.topk(t, k=2, ret_typ='mask', dtype='int32')
    nd.topk(i, k=2, ret_typ='both')
    nd.topk(i, k=2, ret_typ='mask')
    nd.topk(i.astype('int64'), k=2, ret_typ='both')
    nd.topk(i.astype('uint8'), k=2, ret_typ='both')
    nd.topk(i.astype('int8') - 2, k=2, ret_typ='both')
    nd.topk(i.astype('float16') - 2, k=2, ret_typ='both')
    nd.topk(i.astype('float64') - 2, k=2, ret_typ='both')
    nd.topk(b)
    nd.topk(nd.array([float('inf'), 1, -float('inf'), -0.0, 0.0]), k=5)
    nd.sort(t)
    nd.sort(t, axis=None, is_ascend=False)
    nd.sort(t, axis=5)
    nd.sort(i)
    nd.sort(i.astype('int8') - 2)
    nd.sort(i.astype('float16'))
    nd.sort(i.astype('float64') - 2)
    nd.sort(b)
    nd.argsort(t)
    nd.argsort(t, is_ascend=False)
    nd.argsort(i, dtype='int32')
    nd.argsort(t, dtype='int8')
    nd.argsort(i.astype('float16'))
    nd.cumsum(i)
    nd.cumsum(nd.array([100, 100], dtype='int8'))
    nd.cumsum(i.astype('uint8'))
    nd.cumsum(i.astype('float16'))
    nd.cumsum(b)
    nd.cumsum(t, dtype='uint8')
    nd.cumsum(t, axis=2)
    nd.cumsum(t, axis=-1)
    nd.cumsum(t, nonsense=1)
    nd.cumsum(nd.array([1.5, 2.5]), dtype='int32')
    hasattr(t, 'cumsum')
    nd.diag(i)
    nd.diag(b)
    nd.diag(t, k=7)
    nd.diag(t, k=-3)
    nd.diag(t, k=4).shape
    nd.diag(t, axis1=1, axis2=1)
    nd.diag(t, axis1=0, axis2=2)
    nd.depth_to_space(t, 2)
    nd.depth_to_space(z.reshape((1, 4, 3, 1)), block_size=3)
    nd.depth_to_space(z.reshape((1, 4, 3, 1)), block_size=0)
    nd.depth_to_space(z.reshape((1, 4, 3, 1)))
    nd.space_to_depth(z.reshape((1, 1, 3, 4)), block_size=2)
    nd.space_to_depth(z.reshape((1, 1, 3, 4)), block_size=-1)
    nd.space_to_depth(i.reshape((1, 1, 2, 2)), block_size=2)
    nd.ravel_multi_index(pairs, shape=(7, 6))
    nd.ravel_multi_index(pairs, shape=(-1, 6))
    nd.ravel_multi_index(pairs, shape=(5, 5))
    nd.ravel_multi_index(-pairs, shape=(7, 6))
    nd.ravel_multi_index(pairs.astype('int32'), shape=(7, 6))
    nd.ravel_multi_index(pairs + 0.5, shape=(7, 6))
    nd.ravel_multi_index(pairs, shape=(5, 5, 5))
    nd.ravel_multi_index(pairs)
    nd.ravel_multi_index(flat, shape=(7, 6))
    nd.unravel_index(flat, shape=(7, 6))
    nd.unravel_index(flat.astype('int64'), shape=(7, 6))
    nd.unravel_index(flat, shape=(-1, 6))
    nd.unravel_index(flat, shape=(2, 6))
    nd.unravel_index(-flat, shape=(7, 6))
    nd.unravel_index(flat + 0.7, shape=(7, 6))
    nd.unravel_index(flat)
    nd.unravel_index(nd.array([[1, 2], [3, 4]]), shape=(7, 6))
    nd.histogram(m)
    nd.histogram(m, bins=3)
    nd.histogram(m, bins=3, range=(0, 4))
    nd.histogram(m, 3, (0, 4))
    nd.histogram(m, bins=2, range=(1, 1))
    nd.histogram(m, bins=2, range=(0.5, 2.5))
    nd.histogram(m, bins=3, range=(4, 0))
    nd.histogram(m, bins=-1, range=(0, 1))
    nd.histogram(m, bins=nd.array([0, 1, 2.5, 9]))
    nd.histogram(m, bins=nd.array([1, 1, 3]))
    nd.histogram(m, bins=nd.array([4, 3, 1]))
    nd.histogram(m, bins=nd.array([0]))
    nd.histogram(m, bins=nd.array([[1, 3], [4, 5]]))
    nd.histogram(m, bins=[0, 1, 2])
    nd.histogram(m, bins=3.5)
    nd.histogram([1, 2], bins=3)
    nd.histogram(m.astype('int32'), bins=2, range=(0, 5))
    nd.histogram(m.astype('uint8'), bins=3, range=(0, 5))
    nd.histogram(m.astype('float64'), bins=3, range=(0, 5))
    nd.histogram(m.astype('float16'), bins=3, range=(0, 5))
    nd.histogram(m.astype('int32'), bins=nd.array([0, 1, 3]))
    nd.histogram(nd.array([1, float('nan'), 2]), bins=3, range=(0, 4))
    nd.histogram(nd.zeros((2, 2)), bins=2)
    nd.fill_element_0index(z, nd.array([1, 2, 3]), nd.array([0, 2, 3]))
    nd.fill_element_0index(z, nd.array([1, 2, 3]), nd.array([0, 1.7, 1]))
    nd.fill_element_0index(z, nd.array([1, 2]), nd.array([0, 1]))
    nd.fill_element_0index(z.reshape((3, 2, 2)), nd.array([1, 2, 3]), nd.array([0, 1, 1]))
    nd.fill_element_0index(z, nd.array([1, 2, 3]), nd.array([0, 1, 2]), out=z)
    nd.choose_element_0index(m, nd.array([0, 2, 1]), axis=0, keepdims=True)
    nd.cast_storage(m, stype='default')
    nd.cast_storage(m, 'nonsense')
    nd.cast_storage(m)
    nd.cast_storage(b, 'default')
    nd.get_oshape_of_gather_nd_op((2, 3, 4), (2, 5))
    nd.get_oshape_of_gather_nd_op((2, 3, 4), (1, 5, 6))
    nd.get_oshape_of_gather_nd_op((), ())
    """,
)
