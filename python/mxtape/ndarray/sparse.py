"""Sparse arrays, csr and row_sparse: ``mx.nd.sparse``."""

import numpy as np

from .._loader import core as _core
from ..base import (
    MXNetError,
    NotSupportedForSparseNDArray,  # noqa: F401
    integer_types,
    numeric_types,
)
from ..context import Context, check_context, current_context  # noqa: F401
from . import ndarray as _dense
from . import register as _register
from .ndarray import NDArray, _dtype, _placed, is_scipy, py_slice

# Those of MXNet's names that are operators, where their own name is another.
_OPERATORS = {"retain": "_sparse_retain", "gs_retain": "_sparse_retain"} | {
    name: name
    for name in (
        "ElementWiseSum Embedding FullyConnected LinearRegressionOutput LogisticRegressionOutput "
        "MAERegressionOutput abs adagrad_update adam_update add_n arccos arccosh arcsin arcsinh "
        "arctan arctanh broadcast_add broadcast_div broadcast_minus broadcast_mul broadcast_plus "
        "broadcast_sub cast_storage cbrt ceil clip concat cos cosh degrees dot elemwise_add "
        "elemwise_div elemwise_mul elemwise_sub exp expm1 fix floor ftrl_update gamma gammaln log "
        "log10 log1p log2 make_loss mean negative norm radians relu rint round rsqrt "
        "sgd_mom_update sgd_update sigmoid sign sin sinh slice sqrt square stop_gradient sum tan "
        "tanh trunc where zeros_like"
    ).split()
}
_labels = set(_register.all_names())
for _name, _operator in _OPERATORS.items():
    _operator = f"_sparse_{_name}" if f"_sparse_{_name}" in _labels else _operator
    if _operator in _labels:
        globals()[_name] = _register.get(_operator)
del _name, _operator, _labels

_MINE = (
    "BaseSparseNDArray CSRNDArray Context NDArray NotSupportedForSparseNDArray RowSparseNDArray "
    "add array csr_matrix current_context divide empty from_scipy multiply row_sparse_array "
    "subtract zeros"
).split()
__all__ = sorted({*_MINE, *(name for name in _OPERATORS if name in globals())})


def __getattr__(name):
    raise AttributeError(_register.explain_missing(__name__, name))


class BaseSparseNDArray(NDArray):  # type: ignore[valid-type,misc]
    """What csr and row_sparse arrays have in common.

    A sparse array has the methods and operators of :class:`NDArray`. Those that have no way of
    their own for it compute with a dense copy, and give a dense array.
    """

    __slots__ = ()

    @property
    def stype(self):
        """Storage type: 'csr' or 'row_sparse'."""
        return _core.storage_type(self)

    @property
    def data(self):
        """A copy of the values that are there: a vector of csr, rows of row_sparse."""
        return self._part(0)

    @property
    def indices(self):
        """A copy of the indices of what is there, of dtype int64: columns of csr, rows of
        row_sparse.
        """
        return self._part(1)

    def _part(self, number):
        return _placed(_core.sparse_parts(self)[number].copy(), self.context)

    def __repr__(self):
        shape = "x".join(str(extent) for extent in self.shape)
        return f"\n<{type(self).__name__} {shape} @{self.context}>"

    def __bool__(self):
        return bool(self.asscalar()) if self.size == 1 else super().__bool__()

    def __reduce__(self):
        return _rebuild, (self.stype, self.shape, *_core.device(self), *_core.sparse_parts(self))

    def __setitem__(self, key, value):
        """``x[:] = value``: an array of the same shape, dense or of this storage type.

        A row_sparse array accepts a number too. Values are converted to the array's dtype.
        """
        name = type(self).__name__
        if not (isinstance(key, py_slice) and key == py_slice(None)):
            raise ValueError(f"{name}: only x[:] can be assigned to, got the index {key!r}")
        if isinstance(value, numeric_types):
            value = self._of_number(value)
        elif isinstance(value, np.ndarray):
            value = _dense.array(value, self.context, self.dtype)
        elif not isinstance(value, NDArray):
            raise TypeError(f"x[:] = value: an array was expected for a {name}, got {type(value)}")
        if value.shape != self.shape:
            raise MXNetError(
                f"x[:] = value: a {name} of shape {self.shape} was given values of shape "
                f"{value.shape}"
            )
        if value is not self:
            value.copyto(self)

    def _of_number(self, value):
        raise ValueError(
            f"x[:] = {value}: a number cannot be assigned to a {type(self).__name__}: it would "
            "have all elements"
        )

    def astype(self, dtype, copy=True):
        """The array in another data type, with the same elements.

        Parameters
        ----------
        dtype : str or numpy type
            Data type of the result.
        copy : bool, default True
            Whether an array that has the type already is copied.

        >>> import mxtape as mx
        >>> mx.nd.sparse.csr_matrix([[0, 1.5]]).astype("int32").data.asnumpy().tolist()
        [1]
        """
        dtype = _dtype(dtype)
        if _core.dtype_name(dtype) == _core.dtype_name(self.dtype):
            return self.copy() if copy else self
        if _core.is_recording() and _core.on_tape(self):
            return _register.get("Cast")(self, dtype)
        data, *others = _core.sparse_parts(self)
        return _made("astype", self.stype, self.shape, (data.astype(dtype), *others), self.context)

    def copyto(self, other):
        """Copies the values to an array, converted to its dtype, or to a context.

        Parameters
        ----------
        other : NDArray or Context
            An array of the same shape, dense or of this storage type, or where to put a new one.

        Returns
        -------
        NDArray
            `other`, or the new array; False, with a warning, when `other` is the array itself.

        >>> import mxtape as mx
        >>> x = mx.nd.zeros((2, 2))
        >>> mx.nd.sparse.csr_matrix([[0, 1], [0, 0]]).copyto(x).asnumpy().tolist()
        [[0.0, 1.0], [0.0, 0.0]]
        """
        if not isinstance(other, NDArray) or other is self:
            return super().copyto(other)
        if other.stype not in ("default", self.stype):
            raise TypeError(
                f"copyto: from storage type {self.stype!r} to {other.stype!r}; convert it first, "
                f"with tostype({other.stype!r})"
            )
        if other.shape != self.shape:
            raise MXNetError(
                f"copyto: an array of shape {self.shape} was to be copied to one of shape "
                f"{other.shape}"
            )
        values = self.astype(other.dtype, copy=False)
        if other.stype == "default":
            values = values.tostype("default")
        return _register.get("_copy")(values, out=other)

    def check_format(self, full_check=True):
        """Checks that the parts make up an array in canonical form.

        What would lead out of the array has been an error already when the array was made.

        Parameters
        ----------
        full_check : bool, default True
            Whether the columns in each row of a csr array must ascend, and none be there twice.

        Raises
        ------
        MXNetError
            They do not, and `full_check` is set.

        Examples
        --------
        >>> import mxtape as mx
        >>> x = mx.nd.sparse.csr_matrix(([1, 2], [1, 0], [0, 2]), shape=(1, 2))
        >>> x.check_format(full_check=False)
        >>> x.check_format()
        Traceback (most recent call last):
            ...
        mxtape.base.MXNetError: check_format: columns do not ascend in each row, or are there twice
        """
        if full_check and not _core.is_canonical(self):
            raise MXNetError("check_format: columns do not ascend in each row, or are there twice")


class CSRNDArray(BaseSparseNDArray):
    """A matrix of which each row has some elements; the others are 0.

    Made by :func:`csr_matrix`. Row i has the elements ``data[indptr[i]:indptr[i + 1]]``, in the
    columns ``indices[indptr[i]:indptr[i + 1]]``. A column that is there twice counts as the sum.

    >>> import mxtape as mx
    >>> x = mx.nd.sparse.csr_matrix([[0, 1, 0], [2, 0, 3]])
    >>> x.data.asnumpy().tolist(), x.indices.asnumpy().tolist(), x.indptr.asnumpy().tolist()
    ([1.0, 2.0, 3.0], [1, 0, 2], [0, 1, 3])
    """

    __slots__ = ()

    @property
    def indptr(self):
        """A copy of the row pointers, of dtype int64: one more than there are rows."""
        return self._part(2)

    def __getitem__(self, key):
        """Rows as another csr array: ``x[i]``, of shape (1, columns), and ``x[begin:end]``.

        ``x[:]`` is x itself. The elements are not copied.

        Raises
        ------
        IndexError
            A row that is not there.
        ValueError
            Any other index.

        >>> import mxtape as mx
        >>> x = mx.nd.sparse.csr_matrix([[0, 1], [2, 0], [0, 0]])
        >>> x[1:].asnumpy().tolist()
        [[2.0, 0.0], [0.0, 0.0]]
        """
        rows = self.shape[0]
        if isinstance(key, integer_types) and not isinstance(key, bool):
            if not -rows <= key < rows:
                raise IndexError(f"CSRNDArray: row {key} of an array of {rows} rows")
            begin = int(key) % rows
            return self._rows(begin, begin + 1)
        if isinstance(key, py_slice):
            if key == py_slice(None):
                return self
            begin, end, step = key.indices(rows)
            if step != 1:
                raise ValueError(f"CSRNDArray: rows come in steps of 1, got {key!r}")
            return self._rows(begin, max(begin, end))
        raise ValueError(
            f"CSRNDArray: the index must be a row or a slice of rows, got {key!r}; "
            "tostype('default') has all of NDArray's"
        )

    def _rows(self, begin, end):
        if _core.is_recording() and _core.on_tape(self):
            return _register.get("slice")(self, begin=(begin,), end=(end,))
        data, indices, indptr = _core.sparse_parts(self)
        first, last = int(indptr[begin].asscalar()), int(indptr[end].asscalar())
        parts = data[first:last], indices[first:last], indptr[begin : end + 1] - first
        return _made("slice", "csr", (end - begin, self.shape[1]), parts, self.context)

    def asscipy(self, copy=True):
        """The array as a ``scipy.sparse.csr_matrix``.

        Parameters
        ----------
        copy : bool, default True
            Whether the values are copied. Else the two share them, and SciPy's are read-only.
            Indices are always SciPy's own, of 32 bits where these suffice.
        """
        from scipy.sparse import csr_matrix as scipy_csr

        data, indices, indptr = _core.sparse_parts(self)
        values = data.asnumpy() if copy else _read_only(data)
        made = scipy_csr((values, _read_only(indices), _read_only(indptr)), shape=self.shape)
        # SciPy has made narrower ones, or has those that nobody but the engine may write to.
        for name in ("indices", "indptr"):
            if not getattr(made, name).flags.writeable:
                setattr(made, name, getattr(made, name).copy())
        return made


class RowSparseNDArray(BaseSparseNDArray):
    """An array that has some of its rows; the elements of the others are 0.

    Made by :func:`row_sparse_array`. Row ``indices[k]`` is ``data[k]``; indices ascend.

    >>> import mxtape as mx
    >>> x = mx.nd.sparse.row_sparse_array([[0, 0], [1, 2], [0, 0]])
    >>> x.data.asnumpy().tolist(), x.indices.asnumpy().tolist()
    ([[1.0, 2.0]], [1])
    """

    __slots__ = ()

    def __getitem__(self, key):
        """``x[:]`` is x itself; any other index is a ValueError."""
        if isinstance(key, py_slice) and key == py_slice(None):
            return self
        raise ValueError(
            f"RowSparseNDArray: the only index is [:], got {key!r}; tostype('default') has all of "
            "NDArray's"
        )

    def _of_number(self, value):
        """An array that has all rows, as in MXNet: also of a 0."""
        rows = _own(np.arange(self.shape[0]), "int64")
        parts = _dense.full(self.shape, value, dtype=self.dtype), rows
        return _made("x[:] = value", "row_sparse", self.shape, parts, self.context)

    def retain(self, indices):
        """The same array with only some of its rows; recorded.

        Parameters
        ----------
        indices : NDArray
            Rows to keep, in ascending order. Those that are not there become rows of zeros.

        >>> import mxtape as mx
        >>> x = mx.nd.sparse.row_sparse_array(([[1, 2], [3, 4]], [0, 2]), shape=(3, 2))
        >>> x.retain(mx.nd.array([1, 2])).asnumpy().tolist()
        [[0.0, 0.0], [0.0, 0.0], [3.0, 4.0]]
        """
        return _register.get("_sparse_retain")(self, indices)


_core.set_sparse_types(RowSparseNDArray, CSRNDArray)


def _rebuild(stype, shape, ctx_type, ctx_id, *parts):
    made = _made("pickle", stype, shape, parts, None)
    _core.set_device(made, ctx_type, ctx_id)
    return made


def _made(what, stype, shape, parts, ctx):
    """An array of parts that nobody else writes to."""
    parts = parts if len(parts) == 3 else (*parts, None)
    made = _core.make_sparse(what, stype, shape, *parts)
    return made if ctx is None else _placed(made, ctx)


def _read_only(array):
    """The memory of an array of the engine's as an array of NumPy's."""
    if np.dtype(array.dtype).kind not in "iuf":
        return array.asnumpy()  # what DLPack has no type for
    view = np.from_dlpack(array)
    view.flags.writeable = False
    return view


def _own(values, dtype):
    """The values as an array of the engine's, in memory that nobody else has."""
    if isinstance(values, NDArray):
        values = values.detach()
        return (values.tostype("default") if _core.is_sparse(values) else values).astype(dtype)
    if isinstance(values, np.ndarray) and dtype != "bfloat16" and values.dtype != dtype:
        with np.errstate(over="ignore", invalid="ignore"):
            return _core.from_numpy_shared(values.astype(dtype, order="C"))
    return _dense.array(values, dtype=dtype)


def _data_type(source, dtype):
    """The dtype that is asked for, else the source's, else float32."""
    if dtype is None and (isinstance(source, (NDArray, np.ndarray)) or is_scipy(source)):
        dtype = source.dtype
    return _dtype(dtype)


def _check_shape(what, got, shape):
    if shape is not None and tuple(got) != tuple(shape):
        raise ValueError(f"{what}: the source has shape {tuple(got)}, asked for was {tuple(shape)}")


def _check_dimensions(what, expected, **vectors):
    for name, vector in vectors.items():
        if vector.ndim != expected:
            raise ValueError(
                f"{what}: {name} must have {expected} dimension{'s' * (expected != 1)}, got shape "
                f"{vector.shape}"
            )


def _known_shape(what, shape, infer):
    """The shape that is given, or inferred; its extents as integers."""
    if isinstance(shape, integer_types):
        raise TypeError(f"{what}: the shape must be a tuple, got {shape}")
    return tuple(_dense._shape(infer() if shape is None else shape, what))


def csr_matrix(arg1, shape=None, ctx=None, dtype=None):
    """A csr array.

    Parameters
    ----------
    arg1 : tuple or array_like
        - ``(data, indices, indptr)``: row i has ``data[indptr[i]:indptr[i + 1]]`` in the columns
          ``indices[indptr[i]:indptr[i + 1]]``. Columns need not ascend; equal ones count as their
          sum.
        - ``(data, (row, column))``: ``data[k]`` at ``(row[k], column[k])``, in any order; equal
          positions are added up.
        - ``(rows, columns)``: a matrix of zeros.
        - a csr array, a sparse matrix of SciPy's, or a dense matrix, whose zeros are left out.
    shape : tuple of int, optional
        Rows and columns. Without it, as many as the indices need.
    ctx : Context, default current_context()
        Where the array is.
    dtype : str or numpy type, optional
        Data type; the source's if it is an array, else 'float32'.

    Returns
    -------
    CSRNDArray

    Raises
    ------
    ValueError
        Parts or a source of another shape or number of dimensions.
    MXNetError
        Indices that are out of range, or do not fit each other.

    >>> import mxtape as mx
    >>> x = mx.nd.sparse.csr_matrix(([5.0, 6.0], ([1, 0], [2, 0])), shape=(2, 3))
    >>> x.asnumpy().tolist()
    [[6.0, 0.0, 0.0], [0.0, 0.0, 5.0]]
    """
    what = "csr_matrix"
    ctx = check_context(ctx, what)
    if isinstance(arg1, tuple):
        if len(arg1) == 3:
            return _csr_of_parts(what, arg1, shape, ctx, dtype)
        if len(arg1) != 2:
            raise ValueError(
                f"{what}: expected (data, indices, indptr), (data, (row, column)) or "
                f"(rows, columns), got a tuple of {len(arg1)}"
            )
        if isinstance(arg1[1], (tuple, list)) and len(arg1[1]) == 2:
            return _csr_of_coordinates(what, arg1[0], arg1[1], shape, ctx, dtype)
        _check_shape(what, arg1, shape)
        return zeros("csr", arg1, ctx, dtype)
    if isinstance(arg1, CSRNDArray) or is_scipy(arg1):
        _check_shape(what, arg1.shape, shape)
        return array(arg1, ctx, dtype)
    return _of_dense(what, "csr", arg1, shape, ctx, dtype)


def _of_dense(what, stype, source, shape, ctx, dtype):
    if isinstance(source, BaseSparseNDArray):
        raise ValueError(
            f"{what}: cannot be made of a {type(source).__name__}; convert it with "
            f"tostype({stype!r})"
        )
    values = _dense.array(source, ctx, _data_type(source, dtype))
    _check_shape(what, values.shape, shape)
    return values.tostype(stype)


def _csr_of_parts(what, parts, shape, ctx, dtype):
    data, indices, indptr = parts
    data = _own(data, _data_type(data, dtype))
    indices, indptr = _own(indices, "int64"), _own(indptr, "int64")
    _check_dimensions(what, 1, data=data, indices=indices, indptr=indptr)
    if data.size != indices.size:
        raise MXNetError(f"{what}: data must have shape {indices.shape}, got {data.shape}")

    def inferred():
        if indices.size == 0:
            raise ValueError(f"{what}: without indices, the shape must be given")
        return indptr.size - 1, int(indices.asnumpy().max()) + 1

    shape = _known_shape(what, shape, inferred)
    return _made(what, "csr", shape, (data, indices, indptr), ctx)


def _csr_of_coordinates(what, data, coordinates, shape, ctx, dtype):
    if dtype is None and not isinstance(data, NDArray):
        data = np.asarray(data)  # as in MXNet, whole numbers in a list stay whole numbers
    data = _own(data, _data_type(data, dtype))
    row, column = (_own(indices, "int64") for indices in coordinates)
    _check_dimensions(what, 1, data=data, row=row, column=column)
    if not data.size == row.size == column.size:
        raise ValueError(
            f"{what}: there are {data.size} data, {row.size} rows and {column.size} columns"
        )

    def inferred():
        if row.size == 0:
            raise ValueError(f"{what}: without indices, the shape must be given")
        return tuple(int(indices.asnumpy().max()) + 1 for indices in (row, column))

    shape = _known_shape(what, shape, inferred)
    return _placed(_core.csr_from_coordinates(what, shape, data, row, column), ctx)


def row_sparse_array(arg1, shape=None, ctx=None, dtype=None):
    """A row_sparse array.

    Parameters
    ----------
    arg1 : tuple or array_like
        - ``(data, indices)``: row ``indices[k]`` is ``data[k]``. Indices in another order are
          sorted; none may be there twice.
        - ``(rows, columns, ...)``: an array of zeros, of at least 2 dimensions.
        - a row_sparse array, or a dense array, whose rows of zeros are left out.
    shape : tuple of int, optional
        Shape of the array. Without it, there are as many rows as the indices need.
    ctx : Context, default current_context()
        Where the array is.
    dtype : str or numpy type, optional
        Data type; the source's if it is an array, else 'float32'.

    Returns
    -------
    RowSparseNDArray

    Raises
    ------
    ValueError
        Parts or a source of another shape or number of dimensions.
    MXNetError
        Indices that are out of range, or there twice.

    >>> import mxtape as mx
    >>> x = mx.nd.sparse.row_sparse_array(([[1, 2]], [1]), shape=(3, 2))
    >>> x.asnumpy().tolist()
    [[0.0, 0.0], [1.0, 2.0], [0.0, 0.0]]
    """
    what = "row_sparse_array"
    ctx = check_context(ctx, what)
    if isinstance(arg1, tuple):
        if len(arg1) < 2:
            raise ValueError(
                f"{what}: expected (data, indices) or a shape of at least 2 dimensions, got a "
                f"tuple of {len(arg1)}"
            )
        if len(arg1) == 2 and not isinstance(arg1[1], integer_types):
            return _rows_of_parts(what, arg1, shape, ctx, dtype)
        if not isinstance(arg1[0], integer_types):
            raise ValueError(f"{what}: indices must be a vector, got {arg1[1]!r}")
        _check_shape(what, arg1, shape)
        return zeros("row_sparse", arg1, ctx, dtype)
    if isinstance(arg1, RowSparseNDArray):
        _check_shape(what, arg1.shape, shape)
        return array(arg1, ctx, dtype)
    return _of_dense(what, "row_sparse", arg1, shape, ctx, dtype)


def _rows_of_parts(what, parts, shape, ctx, dtype):
    data, indices = parts
    data, indices = _own(data, _data_type(data, dtype)), _own(indices, "int64")
    _check_dimensions(what, 1, indices=indices)
    if data.ndim == 0:
        raise ValueError(f"{what}: data must have at least 1 dimension, got none")

    def inferred():
        if indices.size == 0:
            raise ValueError(f"{what}: without indices, the shape must be given")
        return int(indices.asnumpy().max()) + 1, *data.shape[1:]

    shape = _known_shape(what, shape, inferred)
    if data.ndim != len(shape):
        raise ValueError(
            f"{what}: data must have as many dimensions as the array, {len(shape)}, got shape "
            f"{data.shape}"
        )
    expected = (indices.size, *shape[1:])
    if data.shape != expected:
        raise MXNetError(f"{what}: data must have shape {expected}, got {data.shape}")
    numbers = indices.asnumpy()
    if (numbers[1:] < numbers[:-1]).any():
        order = np.argsort(numbers, kind="stable")
        indices = _own(numbers[order], "int64")
        data = _register.get("take")(data, _own(order, "int64"), 0, "clip")
    return _made(what, "row_sparse", shape, (data, indices), ctx)


def array(source_array, ctx=None, dtype=None):
    """A copy of a sparse array, ours or SciPy's.

    Parameters
    ----------
    source_array : CSRNDArray, RowSparseNDArray or sparse matrix of SciPy's
        SciPy's matrices of all formats become csr.
    ctx : Context, default current_context()
        Where the array is.
    dtype : str or numpy type, optional
        Data type; the source's without it.

    Raises
    ------
    ValueError
        A source that is dense, and none of mxtape's: ``mx.nd.array`` makes a dense array of it.
    AssertionError
        A dense NDArray: its ``tostype`` makes a sparse array.

    >>> import mxtape as mx
    >>> mx.nd.sparse.array(mx.nd.sparse.csr_matrix([[0, 2]]), dtype="int32").data.dtype.__name__
    'int32'
    """
    ctx = check_context(ctx, "array")
    if isinstance(source_array, BaseSparseNDArray):
        source_array = source_array.detach()
        return _placed(source_array.astype(_data_type(source_array, dtype)), ctx)
    if is_scipy(source_array):
        matrix = source_array.tocsr()
        values = _own(matrix.data[: matrix.indptr[-1]], _data_type(matrix, dtype))
        return _of_scipy("array", matrix, values, ctx)
    if isinstance(source_array, NDArray):
        raise AssertionError("array: the NDArray is dense; its tostype() makes a sparse array")
    raise ValueError(
        "array: the source must be a sparse array of mxtape's or SciPy's, got "
        f"{type(source_array)}; mx.nd.array makes dense arrays"
    )


def _of_scipy(what, matrix, values, ctx):
    count = matrix.indptr[-1]
    parts = values, _own(matrix.indices[:count], "int64"), _own(matrix.indptr, "int64")
    return _made(what, "csr", matrix.shape, parts, ctx)


def from_scipy(matrix, zero_copy=True):
    """A csr array of the values and dtype of a csr matrix of SciPy's.

    Parameters
    ----------
    matrix : scipy.sparse.csr_matrix or csr_array
        Of a dtype that mxtape has.
    zero_copy : bool, default True
        Whether the two share the values. These are then made read-only, as those of
        ``mx.nd.from_numpy`` are. Row pointers and indices are always copied.

    Raises
    ------
    TypeError
        Any other matrix.
    ValueError
        With `zero_copy`: a dtype that mxtape does not have.
    """
    if not is_scipy(matrix) or matrix.format != "csr":
        raise TypeError(f"from_scipy: expected a csr matrix of SciPy's, got {type(matrix)}")
    if not zero_copy:
        return array(matrix)
    values = _dense.from_numpy(matrix.data)
    return _of_scipy("from_scipy", matrix, values[: matrix.indptr[-1]], None)


def _check_type(what, stype):
    if stype not in ("default", "csr", "row_sparse"):
        raise ValueError(
            f"{what}: storage type must be 'default', 'csr' or 'row_sparse', got {stype!r}"
        )


def zeros(stype, shape, ctx=None, dtype=None, **kwargs):
    """An array of zeros: a sparse one has no elements.

    Parameters
    ----------
    stype : {'csr', 'row_sparse', 'default'}
        Storage type.
    shape : int or tuple of int
        Extents: two of csr, at least one of row_sparse.
    ctx : Context, default current_context()
        Where the array is.
    dtype : str or numpy type, default 'float32'
        Data type.

    >>> import mxtape as mx
    >>> mx.nd.sparse.zeros("csr", (2, 3)).indptr.asnumpy().tolist()
    [0, 0, 0]
    """
    _check_type("zeros", stype)
    if stype == "default":
        return _dense.zeros(shape, ctx, dtype, **kwargs)
    _dense._refuse_unknown("zeros", kwargs, "stype, shape, ctx, dtype")
    shape = _dense._shape(shape, "zeros")
    if any(extent < 0 for extent in shape):
        raise ValueError(f"zeros: extents must not be negative, got {tuple(shape)}")
    made = _core.empty_sparse(stype, shape, _dtype(dtype))
    return _placed(made, check_context(ctx, "zeros"))


def empty(stype, shape, ctx=None, dtype=None):
    """An array whose elements may have any value; a sparse one has none. Parameters as of
    :func:`zeros`.

    >>> import mxtape as mx
    >>> mx.nd.sparse.empty("row_sparse", (2, 3)).indices.shape
    (0,)
    """
    _check_type("empty", stype)
    if stype == "default":
        return _dense.empty(shape, ctx, dtype)
    return zeros(stype, shape, ctx, dtype)


def _arithmetic(name, with_two):
    on_any, on_same = getattr(_dense, name), _register.get(f"elemwise_{name[:3]}")

    def function(lhs, rhs):
        arrays = isinstance(lhs, NDArray) and isinstance(rhs, NDArray)
        if arrays and lhs.shape == rhs.shape:
            return on_same(lhs, rhs)
        for operand in (lhs, rhs):
            if not isinstance(operand, (NDArray, *numeric_types)):
                raise TypeError(f"{name}: expected arrays or numbers, got {type(operand)}")
        return on_any(lhs, rhs)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = (
        f"{on_any.__doc__.splitlines()[0]}\n\nArrays broadcast against each other. The result is "
        "sparse where the operands let it be\nso, as the product with a number is.\n\n"
        "Parameters\n----------\nlhs, rhs : NDArray or float\n    The operands.\n\n"
        "Examples\n--------\n>>> import mxtape as mx\n"
        f">>> mx.nd.sparse.{name}(mx.nd.sparse.csr_matrix([[7, 0]]), 2).asnumpy().tolist()\n"
        f"{[[float(value) for value in with_two]]}\n"
    )
    return function


add = _arithmetic("add", [9, 2])
subtract = _arithmetic("subtract", [5, -2])
multiply = _arithmetic("multiply", [14, 0])
divide = _arithmetic("divide", [3.5, 0])
