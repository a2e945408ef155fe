"""Random arrays and shapes, matrices with known properties, and small helpers on arrays.

Random numbers come from NumPy's global generator: after ``numpy.random.seed`` arrays and shapes get
the numbers that MXNet gives them.
"""

import numpy as np

from .. import ndarray as nd
from ..base import MXNetError
from ..context import Context, current_context
from ..ndarray import NDArray

__all__ = [
    "assign_each",
    "assign_each2",
    "collapse_sum_like",
    "create_2d_tensor",
    "create_vector",
    "default_context",
    "default_dtype",
    "get_identity_mat",
    "get_identity_mat_batch",
    "new_matrix_with_real_eigvals_2d",
    "new_matrix_with_real_eigvals_nd",
    "new_orthonormal_matrix_2d",
    "new_sym_matrix_with_real_eigvals_2d",
    "new_sym_matrix_with_real_eigvals_nd",
    "np_reduce",
    "rand_coord_2d",
    "rand_ndarray",
    "rand_shape_2d",
    "rand_shape_3d",
    "rand_shape_nd",
    "random_arrays",
    "random_sample",
    "random_uniform_arrays",
    "set_default_context",
]


def default_context():
    """The context that arrays are made on when none is given.

    >>> import mxtape as mx
    >>> mx.test_utils.default_context()
    cpu(0)
    """
    return current_context()


def set_default_context(ctx):
    """Sets the context that this thread makes arrays on; within ``with ctx:``, until its end.

    >>> import mxtape as mx
    >>> mx.test_utils.set_default_context(mx.cpu(1))
    >>> mx.nd.zeros((2,)).context
    cpu(1)
    >>> mx.test_utils.set_default_context(mx.cpu(0))
    """
    if not isinstance(ctx, Context):
        raise TypeError(f"set_default_context: a Context is needed, got {ctx!r}")
    if ctx.device_type == "gpu":
        raise MXNetError(f"set_default_context: {ctx}: mxtape computes only on the CPU")
    Context._thread.context = ctx


def default_dtype():
    """The data type of arrays made without one.

    >>> import mxtape as mx
    >>> mx.test_utils.default_dtype().__name__
    'float32'
    """
    return np.float32


# Through these alone: the generator that numpy.random.seed() seeds.
def _normal(shape):
    return np.asarray(np.random.standard_normal(shape))  # noqa: NPY002


def _uniform(low, high, shape):
    return np.asarray(np.random.uniform(low, high, shape))  # noqa: NPY002


def _between(low, high):
    """An integer from `low` up to and without `high`."""
    return int(np.random.randint(low, high))  # noqa: NPY002


def random_arrays(*shapes):
    """NumPy arrays of normally distributed numbers, float32: one, or a list for several shapes.

    >>> from mxtape.test_utils import random_arrays
    >>> random_arrays((2, 3)).shape, [a.shape for a in random_arrays((2,), (4, 1))]
    ((2, 3), [(2,), (4, 1)])
    """
    arrays = [_normal(tuple(shape)).astype(default_dtype()) for shape in shapes]
    return arrays[0] if len(arrays) == 1 else arrays


def random_uniform_arrays(*shapes, **kwargs):
    """A list of NumPy arrays of uniformly distributed numbers, one for each shape.

    Parameters
    ----------
    *shapes : tuple of int
        Shapes.
    low, high : float, default 0 and 1
        Bounds.
    dtype : default float32
        Data type.

    Examples
    --------
    >>> import mxtape as mx
    >>> array, = mx.test_utils.random_uniform_arrays((100,), low=3, high=4)
    >>> array.dtype.name, bool((array >= 3).all() and (array <= 4).all())
    ('float32', True)
    """
    low, high = kwargs.pop("low", 0.0), kwargs.pop("high", 1.0)
    dtype = kwargs.pop("dtype", default_dtype())
    if kwargs:
        raise TypeError(f"random_uniform_arrays: unknown arguments {', '.join(kwargs)}")
    return [_uniform(low, high, shape).astype(dtype) for shape in shapes]


def random_sample(population, k):
    """A list of `k` different members of a sequence, in random order.

    >>> import mxtape as mx
    >>> sorted(mx.test_utils.random_sample([7, 8, 9], 3))
    [7, 8, 9]
    """
    if not 0 <= k <= len(population):
        raise AssertionError(f"random_sample: {k} of {len(population)} members")
    return [population[i] for i in np.random.permutation(len(population))[:k]]  # noqa: NPY002


def rand_ndarray(
    shape,
    stype="default",
    density=None,
    dtype=None,
    modifier_func=None,
    shuffle_csr_indices=False,
    distribution=None,
    ctx=None,
):
    """An NDArray of random numbers: a dense one's are distributed normally.

    Parameters
    ----------
    shape : tuple of int
        Shape.
    stype : {'default', 'row_sparse', 'csr'}
        Storage type. `density`, `modifier_func`, `shuffle_csr_indices` and `distribution` are for
        sparse arrays, and as of :func:`rand_sparse_ndarray`.
    dtype : default float32
        Data type.
    ctx : Context, optional
        Context, by default the current one.

    Examples
    --------
    >>> import mxtape as mx
    >>> mx.test_utils.rand_ndarray((2, 3), dtype='float64').shape
    (2, 3)
    """
    if stype != "default":
        from .sparse import rand_sparse_ndarray

        return rand_sparse_ndarray(
            shape,
            stype,
            density=density,
            dtype=dtype,
            distribution=distribution,
            modifier_func=modifier_func,
            shuffle_csr_indices=shuffle_csr_indices,
            ctx=ctx,
        )[0]
    return nd.array(_normal(tuple(shape)), dtype=dtype or default_dtype(), ctx=ctx)


def rand_shape_nd(num_dim, dim=10, allow_zero_size=False):
    """A random shape: each of its `num_dim` sizes is from 1, or 0, to `dim`.

    >>> import mxtape as mx
    >>> len(mx.test_utils.rand_shape_nd(4)), mx.test_utils.rand_shape_nd(2, dim=1)
    (4, (1, 1))
    """
    return _shape([dim] * num_dim, allow_zero_size)


def rand_shape_2d(dim0=10, dim1=10, allow_zero_size=False):
    """A random shape of two sizes from 1, or 0, to `dim0` and `dim1`.

    >>> import mxtape as mx
    >>> mx.test_utils.rand_shape_2d(1, 1)
    (1, 1)
    """
    return _shape([dim0, dim1], allow_zero_size)


def rand_shape_3d(dim0=10, dim1=10, dim2=10, allow_zero_size=False):
    """A random shape of three sizes from 1, or 0, to `dim0`, `dim1` and `dim2`.

    >>> import mxtape as mx
    >>> mx.test_utils.rand_shape_3d(1, 1, 1)
    (1, 1, 1)
    """
    return _shape([dim0, dim1, dim2], allow_zero_size)


def _shape(limits, allow_zero_size):
    return tuple(_between(0 if allow_zero_size else 1, limit + 1) for limit in limits)


def rand_coord_2d(x_low, x_high, y_low, y_high):
    """Two random integers, from `x_low` up to and without `x_high`, and likewise for y.

    >>> import mxtape as mx
    >>> mx.test_utils.rand_coord_2d(3, 4, 5, 6)
    (3, 5)
    """
    return _between(x_low, x_high), _between(y_low, y_high)


def create_vector(size, dtype=np.int64):
    """An NDArray of the numbers from 0 to ``size - 1``.

    >>> import mxtape as mx
    >>> mx.test_utils.create_vector(3).asnumpy().tolist()
    [0, 1, 2]
    """
    return nd.arange(0, size, dtype=dtype)


def create_2d_tensor(rows, columns, dtype=np.int64):
    """An NDArray each of whose elements is the number of its row.

    >>> import mxtape as mx
    >>> mx.test_utils.create_2d_tensor(2, 3).asnumpy().tolist()
    [[0, 0, 0], [1, 1, 1]]
    """
    return create_vector(rows, dtype).reshape((rows, 1)).broadcast_to((rows, columns))


def np_reduce(dat, axis, keepdims, numpy_reduce_func):
    """A NumPy reduction over some axes, one after the other, the last first.

    Parameters
    ----------
    dat : numpy.ndarray
        The array.
    axis : int, sequence of int, or None
        Axes; None stands for all.
    keepdims : bool
        Whether the axes stay, with size 1.
    numpy_reduce_func : callable
        Such as ``np.sum``; called with ``axis``.

    Examples
    --------
    >>> import mxtape as mx
    >>> import numpy as np
    >>> mx.test_utils.np_reduce(np.ones((2, 3, 4)), (0, -1), True, np.sum).tolist()
    [[[8.0], [8.0], [8.0]]]
    """
    axes = range(dat.ndim) if axis is None else [axis] if isinstance(axis, int) else axis
    axes = sorted(i % dat.ndim for i in axes)
    kept = [1 if i in axes else size for i, size in enumerate(dat.shape)]
    for i in reversed(axes):
        dat = numpy_reduce_func(dat, axis=i)
    return dat.reshape(kept) if keepdims else dat


def collapse_sum_like(a, shape):
    """`a` summed down to a shape that broadcasts to its own.

    >>> import mxtape as mx
    >>> import numpy as np
    >>> mx.test_utils.collapse_sum_like(np.ones((2, 3, 4)), (3, 1)).tolist()
    [[8.0], [8.0], [8.0]]
    """
    front = len(a.shape) - len(shape)
    if front < 0 or any(n not in (1, m) for n, m in zip(shape, a.shape[front:])):
        raise AssertionError(f"collapse_sum_like: {tuple(shape)} does not broadcast to {a.shape}")
    axes = [i for i, m in enumerate(a.shape) if i < front or shape[i - front] != m]
    return a.sum(axis=tuple(axes)).reshape(shape) if axes else a


def assign_each(the_input, function):
    """A NumPy array of the values of a function at each element; a copy for None.

    >>> import mxtape as mx
    >>> import numpy as np
    >>> mx.test_utils.assign_each(np.array([1, 2]), lambda v: v / 2).tolist()
    [0.5, 1.0]
    """
    values = _elements(the_input)
    if function is None:
        return values.copy()
    return np.array([function(v) for v in values.ravel()]).reshape(values.shape)


def assign_each2(input1, input2, function):
    """A NumPy array of a function of two arrays' elements; a copy of the first one for None.

    >>> import mxtape as mx
    >>> import numpy as np
    >>> mx.test_utils.assign_each2(np.array([1, 2]), np.array([3, 4]), lambda v, w: v * w).tolist()
    [3, 8]
    """
    first, second = _elements(input1), _elements(input2)
    if function is None:
        return first.copy()
    if first.shape != second.shape:
        raise AssertionError(f"assign_each2: the shapes differ: {first.shape} and {second.shape}")
    values = [function(v, w) for v, w in zip(first.ravel(), second.ravel())]
    return np.array(values).reshape(first.shape)


def _elements(array):
    return array.asnumpy() if isinstance(array, NDArray) else np.asarray(array)


def new_orthonormal_matrix_2d(n):
    """A random `n` by `n` matrix whose rows are orthonormal, float64.

    >>> import mxtape as mx
    >>> import numpy as np
    >>> q = mx.test_utils.new_orthonormal_matrix_2d(4)
    >>> bool(np.allclose(q @ q.T, np.eye(4)))
    True
    """
    q, r = np.linalg.qr(_normal((n, n)))
    # Which signs QR gives depends on the library; these make every rotation equally likely.
    return q * np.where(np.diagonal(r) < 0, -1.0, 1.0)


def _eigenvalues(n):
    """Numbers from -10 to 10 in random order, no two of them close."""
    places = (np.arange(n) + _uniform(0.25, 0.75, n)) * 20.0 / max(n, 1) - 10.0
    return np.array(random_sample(places, n))


def new_matrix_with_real_eigvals_2d(n):
    """A random `n` by `n` matrix with real eigenvalues between -10 and 10, float64.

    >>> import mxtape as mx
    >>> import numpy as np
    >>> bool(np.isreal(np.linalg.eigvals(mx.test_utils.new_matrix_with_real_eigvals_2d(3))).all())
    True
    """
    q = new_orthonormal_matrix_2d(n)
    return q @ (np.diag(_eigenvalues(n)) + np.triu(_uniform(-1.0, 1.0, (n, n)), 1)) @ q.T


def new_sym_matrix_with_real_eigvals_2d(n):
    """A random symmetric `n` by `n` matrix with eigenvalues between -10 and 10, float64.

    >>> import mxtape as mx
    >>> matrix = mx.test_utils.new_sym_matrix_with_real_eigvals_2d(3)
    >>> bool((matrix == matrix.T).all())
    True
    """
    q = new_orthonormal_matrix_2d(n)
    matrix = (q * _eigenvalues(n)) @ q.T
    return (matrix + matrix.T) / 2


def _matrices(shape, make):
    if len(shape) < 2 or shape[-1] != shape[-2]:
        raise ValueError(f"square matrices do not make an array of shape {tuple(shape)}")
    matrices = np.empty(shape)
    for place in np.ndindex(*shape[:-2]):
        matrices[place] = make(shape[-1])
    return matrices


def new_matrix_with_real_eigvals_nd(shape):
    """Matrices of :func:`new_matrix_with_real_eigvals_2d` along the last two axes.

    >>> import mxtape as mx
    >>> mx.test_utils.new_matrix_with_real_eigvals_nd((2, 3, 3)).shape
    (2, 3, 3)
    """
    return _matrices(shape, new_matrix_with_real_eigvals_2d)


def new_sym_matrix_with_real_eigvals_nd(shape):
    """Matrices of :func:`new_sym_matrix_with_real_eigvals_2d` along the last two axes.

    >>> import mxtape as mx
    >>> mx.test_utils.new_sym_matrix_with_real_eigvals_nd((2, 3, 3)).shape
    (2, 3, 3)
    """
    return _matrices(shape, new_sym_matrix_with_real_eigvals_2d)


def get_identity_mat(size):
    """The identity matrix, as an NDArray.

    >>> import mxtape as mx
    >>> mx.test_utils.get_identity_mat(2).asnumpy().tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    return nd.eye(size)


def get_identity_mat_batch(size):
    """Two identity matrices, as an NDArray of shape ``(2, size, size)``.

    >>> import mxtape as mx
    >>> mx.test_utils.get_identity_mat_batch(3).shape
    (2, 3, 3)
    """
    return nd.stack(nd.eye(size), nd.eye(size))
