"""Sparse arrays: ``mx.nd.sparse``."""

from .._loader import core as _core
from ..context import check_context
from .ndarray import NDArray, _dtype, _placed
from .ndarray import array as _dense_array


class BaseSparseNDArray(NDArray):
    """What csr and row_sparse arrays have in common."""

    __slots__ = ()

    @property
    def stype(self):
        """Storage type: 'csr' or 'row_sparse'."""
        return _core.storage_type(self)

    @property
    def data(self):
        """A copy of the values that are there."""
        return _core.sparse_parts(self)[0].copy()

    @property
    def indices(self):
        """A copy of the indices of what is there, of dtype int64."""
        return _core.sparse_parts(self)[1].copy()


class CSRNDArray(BaseSparseNDArray):
    """A matrix of which each row has some elements; the others are 0."""

    __slots__ = ()

    @property
    def indptr(self):
        """A copy of the row pointers, of dtype int64."""
        return _core.sparse_parts(self)[2].copy()


class RowSparseNDArray(BaseSparseNDArray):
    """An array that has some rows; the elements of the others are 0."""

    __slots__ = ()


_core.set_sparse_types(RowSparseNDArray, CSRNDArray)


def csr_matrix(arg1, shape=None, ctx=None, dtype=None):
    """A csr array from ``(data, indices, indptr)``, or from values."""
    ctx = check_context(ctx, "csr_matrix")
    if not (isinstance(arg1, tuple) and len(arg1) == 3):
        return _placed(_dense_array(arg1, dtype=dtype).tostype("csr"), ctx)
    data, indices, indptr = arg1
    parts = (
        _dense_array(data, dtype=dtype),
        _dense_array(indices, dtype="int64"),
        _dense_array(indptr, dtype="int64"),
    )
    return _placed(_core.make_sparse("csr_matrix", "csr", shape, *parts), ctx)


def row_sparse_array(arg1, shape=None, ctx=None, dtype=None):
    """A row_sparse array from ``(data, indices)``, or from values."""
    ctx = check_context(ctx, "row_sparse_array")
    if not (isinstance(arg1, tuple) and len(arg1) == 2):
        return _placed(_dense_array(arg1, dtype=dtype).tostype("row_sparse"), ctx)
    parts = _dense_array(arg1[0], dtype=dtype), _dense_array(arg1[1], dtype="int64")
    return _placed(_core.make_sparse("row_sparse_array", "row_sparse", shape, *parts, None), ctx)


def zeros(stype, shape, ctx=None, dtype=None, **kwargs):
    """An array of zeros of this storage type."""
    if stype == "default":
        from .ndarray import zeros as dense_zeros

        return dense_zeros(shape, ctx, dtype, **kwargs)
    shape = (shape,) if isinstance(shape, int) else shape
    made = _core.empty_sparse(stype, shape, _dtype("float32" if dtype is None else dtype))
    return _placed(made, check_context(ctx, "zeros"))
