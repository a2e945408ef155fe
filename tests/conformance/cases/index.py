"""Operators that look values up by index: take, pick, gather_nd, one_hot, Embedding, kin."""

from harness import array, data, gradients, values


def tables(mx):
    return {
        "x": array(mx, data((3, 4), seed=61)),
        "c": array(mx, data((2, 3, 4), seed=62)),
        "i": mx.nd.array([0, 2, 1], dtype="int32"),
        "d": mx.nd.array([0, 3, 3, 1], dtype="int32"),
        "k": mx.nd.array([[0, 2], [1, 1]], dtype="int64"),
        "far": mx.nd.array([-1, 0, 5, -7, 3], dtype="int32"),
        "w": mx.nd.array([-1, 7, 2], dtype="int32"),
    }


gradients(
    __name__,
    tables,
    """
    nd.take(x, i)
    nd.take(x, i, axis=1)
    nd.take(x, d, axis=1)
    nd.take(x, i, axis=-1)
    nd.take(c, i, axis=1)
    nd.take(c, k, axis=1)
    nd.take(c, k, axis=2)
    nd.take(x, k)
    nd.take(x, k, axis=1)
    nd.take(x, far)
    nd.take(x, far, mode='clip')
    nd.take(x, far, mode='wrap')
    nd.take(x, far, axis=1, mode='wrap')
    nd.take(c, far, axis=2, mode='wrap')
    nd.take(c, far, axis=-2, mode='clip')
    nd.take(x, i, mode='raise')
    x.take(i)
    x.take(i, axis=1, mode='wrap')
    nd.take(x[0], i)
    nd.batch_take(x, i)
    nd.batch_take(x, w)
    nd.pick(x, i)
    nd.pick(x, i, axis=1)
    nd.pick(x, i, axis=-1)
    nd.pick(x, d % 3, axis=0)
    nd.pick(x, i, keepdims=True)
    nd.pick(x, i, axis=1, keepdims=True)
    nd.pick(x, w)
    nd.pick(x, w, mode='clip')
    nd.pick(x, w, mode='wrap')
    nd.pick(x, i.expand_dims(1), axis=1)
    nd.pick(x, i.expand_dims(1), axis=1, keepdims=True)
    nd.pick(c, nd.array([[0, 1, 2], [3, 2, 1]]))
    nd.pick(c, nd.array([[0, 1, 2, 0], [1, 1, 0, 2]]), axis=1)
    nd.pick(c, nd.array([[0, 1, 1, 0], [1, 1, 0, 0], [0, 0, 0, 1]]), axis=0)
    nd.pick(x.reshape((-1,)), nd.array([5]), axis=0)
    nd.pick(x, nd.array([0.9, 2.9, 1.2]))
    x.pick(i)
    x.pick(i, axis=1, keepdims=True)
    nd.choose_element_0index(x, i)
    nd.gather_nd(x, nd.array([[0, 2], [1, 3]]))
    nd.gather_nd(x, nd.array([[0, 2, 2]]))
    nd.gather_nd(c, nd.array([[0, 1], [2, 0], [3, 3]], dtype='int32'))
    nd.gather_nd(c, nd.array([[0, 1, 1, 0]], dtype='int64'))
    nd.gather_nd(c, nd.array([[[0, 1]], [[2, 0]]]))
    nd.gather_nd(x, nd.array([[0, 0, 0], [1, 1, 1]]))
    nd.Embedding(i, x, input_dim=3, output_dim=4)
    nd.Embedding(k, x, input_dim=3, output_dim=4)
    nd.Embedding(far, x, input_dim=3, output_dim=4)
    nd.Embedding(nd.array([0, 1, 1]), x, input_dim=3, output_dim=4)
    nd.Embedding(nd.array([0.9, 1.9]), x, input_dim=3, output_dim=4)
    nd.Embedding(i, x, 3, 4)
    nd.Embedding(data=i, weight=x, input_dim=3, output_dim=4, dtype='float32')
    nd.take(x, nd.array([0, 1.9, 2]))
    nd.scatter_nd(x[:, 0], nd.array([[0, 3, 1]]), shape=(5,))
    """,
)
values(
    __name__,
    tables,
    """
    nd.take(x, i, axis=2)
    nd.take(x, i, axis=-3)
    nd.take(x, i, mode='nonsense')
    nd.take(i, i)
    nd.take(x, i.astype('uint8'))
    nd.take(x, i.astype('int8'))
    nd.take(x.astype('float64'), i)
    nd.take(x.astype('float16'), i)
    nd.take(x.astype('int32'), nd.array([0, 2]))
    nd.take(x, nd.array([0, 2], dtype='float64'))
    nd.batch_take(x, k)
    nd.pick(x, d)
    nd.pick(x, i, axis=2)
    nd.pick(x, i, mode='raise')
    nd.pick(x.astype('float64'), i)
    nd.pick(x.astype('int32'), nd.array([0, 1, 2]))
    nd.pick(x.astype('float16'), i)
    nd.pick(x, None)
    nd.pick(x, i, axis=None)
    nd.one_hot(i, 3)
    nd.one_hot(i, depth=4)
    nd.one_hot(i, depth=2)
    nd.one_hot(far, depth=4)
    nd.one_hot(i, 3, on_value=5, off_value=-1)
    nd.one_hot(i, 3, on_value=2.5, off_value=0.5, dtype='float64')
    nd.one_hot(i, 3, dtype='int32')
    nd.one_hot(i, 3, dtype='uint8')
    nd.one_hot(i, 3, dtype='float16')
    nd.one_hot(i, 3, on_value=2.7, dtype='int32')
    nd.one_hot(k, 3)
    nd.one_hot(nd.array([0, 1.9, 2]), 3)
    nd.one_hot(nd.array([[[1]]]), 2)
    nd.one_hot(i, 0)
    nd.one_hot(i, -1)
    nd.one_hot(i)
    nd.one_hot(i, 3, dtype='bool')
    i.one_hot(depth=3)
    i.one_hot(3)
    nd.one_hot(i.astype('uint8'), 3)
    nd.Embedding(i, x, input_dim=4, output_dim=4)
    nd.Embedding(i, x, input_dim=3, output_dim=5)
    nd.Embedding(i, x)
    nd.Embedding(i, x.astype('float64'), input_dim=3, output_dim=4)
    nd.Embedding(i, x.astype('float64'), input_dim=3, output_dim=4, dtype='float64')
    nd.Embedding(i.astype('uint8'), x, input_dim=3, output_dim=4)
    nd.gather_nd(x, nd.array([[0], [1], [2]]))
    nd.gather_nd(i, nd.array([[0, 2]]))
    nd.gather_nd(x, nd.array([[-1, -2]]))
    nd.gather_nd(x.astype('float64'), nd.array([[0, 2], [1, 3]]))
    nd.gather_nd(x, nd.array([[0.9, 1.5]]))
    nd.scatter_nd(nd.array([2, 3]), nd.array([[1, 1]]), shape=(3,))
    nd.scatter_nd(nd.array([2, 3, 0]), nd.array([[1, 1, 0], [0, 1, 0]]), shape=(2, 2))
    nd.ravel_multi_index(nd.array([[0, 1], [2, 0]]), shape=(2, 3))
    nd.unravel_index(nd.array([2, 3]), shape=(2, 3))
    """,
)
values(__name__, tables, "nd.take(x, far, mode='raise')", prefix="raise ")
