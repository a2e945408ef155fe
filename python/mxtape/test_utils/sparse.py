"""Random sparse arrays.

Random numbers come from NumPy's global generator, as those of :mod:`mxtape.test_utils.arrays` do:
after ``numpy.random.seed`` arrays have the numbers that MXNet gives them.
"""

import numpy as np

from ..ndarray import sparse
from .arrays import _uniform, default_dtype

__all__ = [
    "create_sparse_array",
    "create_sparse_array_zd",
    "rand_sparse_ndarray",
    "shuffle_csr_column_indices",
]


def shuffle_csr_column_indices(csr):
    """Shuffles the column indices within each row of a matrix, in place; the values stay.

    Parameters
    ----------
    csr : scipy.sparse.csr_matrix
        Any object with `indptr` and `indices` as NumPy arrays.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> import mxtape as mx
    >>> import numpy as np
    >>> matrix = SimpleNamespace(indptr=np.array([0, 3, 5]), indices=np.array([0, 1, 2, 0, 2]))
    >>> mx.test_utils.shuffle_csr_column_indices(matrix)
    >>> sorted(matrix.indices[:3].tolist()), sorted(matrix.indices[3:].tolist())
    ([0, 1, 2], [0, 2])
    """
    if hasattr(csr, "has_sorted_indices"):
        csr.has_sorted_indices = False
    _shuffle(csr.indptr, csr.indices)


def _shuffle(indptr, indices):
    for begin, end in zip(indptr[:-1], indptr[1:]):
        np.random.shuffle(indices[begin:end])  # noqa: NPY002


def _uniform_csr(rows, columns, density):
    """The parts of a matrix with elements at random places: SciPy's, from the same numbers."""
    count = round(density * rows * columns)
    places = np.random.choice(rows * columns, size=count, replace=False)  # noqa: NPY002
    values = _uniform(0.0, 1.0, count)
    column, row = np.divmod(places, rows) if rows else (places, places)
    order = np.lexsort((column, row))
    indptr = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=rows))])
    return values[order], column[order], indptr


def _powerlaw_csr(rows, columns, density):
    """The parts of a matrix whose row i has 2, 4, 8, ... elements, as long as there are any."""
    total = int(rows * columns * density)
    if total < 2 * rows:
        raise ValueError(
            f"rand_sparse_ndarray: a power law needs 2 elements a row at least; density {density} "
            f"of shape {(rows, columns)} gives {total} for {rows} rows"
        )
    left = total - rows
    values = [[value] for value in _uniform(1.001, 3.0, rows)]
    for i in range(rows):
        wanted = min(2 ** (i + 1), columns) - 1
        if 2 ** (i + 1) >= columns and left > columns:
            values[i] = [float(_uniform(1.001, 3.0, ()))] * columns
        else:
            wanted = min(wanted, left)
            values[i].extend(_uniform(1.001, 3.0, wanted))
        left -= wanted
    if left > 0:
        raise ValueError(
            f"rand_sparse_ndarray: rows of 2, 4, 8, ... elements are fewer than density {density} "
            f"of shape {(rows, columns)} wants"
        )
    counts = [len(row) for row in values]
    columns_of = np.concatenate([np.arange(count) for count in counts])
    return np.concatenate(values), columns_of, np.concatenate([[0], np.cumsum(counts)])


def _random_csr(shape, density, dtype, distribution, data_init, shuffle):
    if len(shape) != 2:
        raise AssertionError(f"rand_sparse_ndarray: a csr array has 2 dimensions, got {shape}")
    if distribution not in (None, "uniform", "powerlaw"):
        raise AssertionError(
            f"rand_sparse_ndarray: distribution is 'uniform' or 'powerlaw', got {distribution!r}"
        )
    make = _powerlaw_csr if distribution == "powerlaw" else _uniform_csr
    rows, columns = shape
    values, indices, indptr = make(rows, columns, density)
    if data_init is not None:
        values = np.full_like(values, data_init)
    if shuffle:
        _shuffle(indptr, indices)
    return sparse.csr_matrix((values, indices, indptr), shape=shape, dtype=dtype)


def rand_sparse_ndarray(
    shape,
    stype,
    density=None,
    dtype=None,
    distribution=None,
    data_init=None,
    rsp_indices=None,
    modifier_func=None,
    shuffle_csr_indices=False,
    ctx=None,
):
    """A random sparse array, and its parts.

    Parameters
    ----------
    shape : tuple of int
        Shape; two extents for csr.
    stype : {'row_sparse', 'csr'}
        Storage type.
    density : float, optional
        The part of the elements that are there, or with 'row_sparse' the probability that a row
        is. By default a random one.
    dtype : default float32
        Data type.
    distribution : {'uniform', 'powerlaw'}, default 'uniform'
        Where the elements are; with 'powerlaw', of csr arrays only, the rows have 2, 4, 8, ... .
    data_init : float, optional
        A value for all elements that are there.
    rsp_indices : array_like, optional
        The rows that are there, instead of random ones.
    modifier_func : callable, optional
        Called with each value of a row_sparse array, gives the one to have.
    shuffle_csr_indices : bool, default False
        Shuffle the columns in each row of a csr array.
    ctx : Context, optional
        Context, by default the current one.

    Returns
    -------
    RowSparseNDArray or CSRNDArray
    tuple
        Values and indices of a row_sparse array, as NumPy arrays; `indptr`, indices and values of
        a csr array, as NDArrays.

    Examples
    --------
    >>> import mxtape as mx
    >>> x, (values, rows) = mx.test_utils.rand_sparse_ndarray((9, 2), 'row_sparse', density=1)
    >>> x.stype, values.shape, len(rows)
    ('row_sparse', (9, 2), 9)
    >>> x, (indptr, _, values) = mx.test_utils.rand_sparse_ndarray((4, 5), 'csr', density=0.5)
    >>> indptr.shape, values.shape
    ((5,), (10,))
    """
    shape = tuple(shape)
    if stype not in ("row_sparse", "csr"):
        raise AssertionError(f"rand_sparse_ndarray: stype is 'row_sparse' or 'csr', got {stype!r}")
    density = float(_uniform(0.0, 1.0, ())) if density is None else density
    dtype = default_dtype() if dtype is None else dtype
    if stype == "csr":
        array = _random_csr(shape, density, dtype, distribution, data_init, shuffle_csr_indices)
        if ctx is not None:
            array = array.as_in_context(ctx)
        return array, (array.indptr, array.indices, array.data)
    if distribution not in (None, "uniform"):
        raise AssertionError(
            f"rand_sparse_ndarray: distribution {distribution!r} is for csr arrays only"
        )
    if rsp_indices is not None:
        indices = np.sort(np.asarray(rsp_indices, np.int64))
    else:
        indices = np.argwhere(_uniform(0.0, 1.0, shape[0]) < density).ravel()
    values = _uniform(0.0, 1.0, (len(indices), *shape[1:])).astype(dtype)
    if data_init is not None:
        values.fill(data_init)
    if modifier_func is not None and values.size:
        changed = [modifier_func(value) for value in values.ravel()]
        values = np.array(changed, np.float64).reshape(values.shape)
    array = sparse.row_sparse_array((values, indices), shape=shape, dtype=dtype, ctx=ctx)
    return array, (values, indices)


def create_sparse_array(
    shape,
    stype,
    data_init=None,
    rsp_indices=None,
    dtype=None,
    modifier_func=None,
    density=0.5,
    shuffle_csr_indices=False,
):
    """A random sparse array; the parameters are those of :func:`rand_sparse_ndarray`.

    >>> import mxtape as mx
    >>> x = mx.test_utils.create_sparse_array((3, 2), 'row_sparse', data_init=5, rsp_indices=[1])
    >>> x.asnumpy().tolist()
    [[0.0, 0.0], [5.0, 5.0], [0.0, 0.0]]
    """
    if stype not in ("row_sparse", "csr"):
        raise AssertionError(f"create_sparse_array: stype is 'row_sparse' or 'csr', got {stype!r}")
    if stype == "csr":
        rsp_indices = modifier_func = None
    return rand_sparse_ndarray(
        shape,
        stype,
        density=density,
        dtype=dtype,
        data_init=data_init,
        rsp_indices=rsp_indices,
        modifier_func=modifier_func,
        shuffle_csr_indices=shuffle_csr_indices,
    )[0]


def create_sparse_array_zd(
    shape,
    stype,
    density,
    data_init=None,
    rsp_indices=None,
    dtype=None,
    modifier_func=None,
    shuffle_csr_indices=False,
):
    """As :func:`create_sparse_array`; a row_sparse array has the rows of `rsp_indices` alone.

    Without `rsp_indices` it has none.

    >>> import mxtape as mx
    >>> mx.test_utils.create_sparse_array_zd((3, 2), 'row_sparse', 0).asnumpy().any().item()
    False
    """
    if stype == "row_sparse" and rsp_indices is None:
        rsp_indices = []
    return create_sparse_array(
        shape, stype, data_init, rsp_indices, dtype, modifier_func, density, shuffle_csr_indices
    )
