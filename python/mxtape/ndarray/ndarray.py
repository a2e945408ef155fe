"""Creation of arrays, and functions of arrays and numbers alike."""

import itertools
import operator
import sys

import numpy as np

from .._loader import core as _core
from .._missing import argument_hint
from ..base import MXNetError, integer_types, mx_real_t, numeric_types
from ..context import check_context
from . import register

NDArray = _core.NDArray


def _shape(shape, what):
    if isinstance(shape, integer_types):
        return [int(shape)]
    try:
        return [operator.index(extent) for extent in shape]
    except TypeError:
        raise MXNetError(
            f"{what}: the shape must be an integer or a tuple of integers, got {shape!r}"
        ) from None


def _is_long(number):
    """Whether a float64 may not hold the number, and an int64 does."""
    return isinstance(number, integer_types) and 2**53 < abs(int(number)) < 2**63


def _dtype(dtype):
    if dtype is None:
        return mx_real_t
    if isinstance(dtype, type) and dtype in _DTYPE_NP_TO_MX:  # NumPy's own answer takes long
        return dtype
    if _is_bfloat16(dtype):
        return "bfloat16"
    if isinstance(dtype, str) or not isinstance(dtype, np.dtype):
        dtype = np.dtype(dtype)
    if dtype.name not in _DTYPES:
        raise KeyError(
            f"dtype {dtype.name} is not supported; there are bfloat16, {', '.join(sorted(_DTYPES))}"
        )
    return dtype.type


# MXNet's numbers of data types, as in its files, and of what grad_req says.
_NUMBERED = "float32 float64 float16 uint8 int32 int8 int64 bool_".split()
_DTYPE_MX_TO_NP = {-1: None, **{i: getattr(np, name) for i, name in enumerate(_NUMBERED)}}
_DTYPE_NP_TO_MX = {dtype: number for number, dtype in _DTYPE_MX_TO_NP.items()}
_GRAD_REQ_MAP = {"null": 0, "write": 1, "add": 3}

_DTYPES = {np.dtype(dtype).name for dtype in _DTYPE_NP_TO_MX if dtype is not None}

# Where `slice` is the operator, this is Python's.
py_slice = slice


def _is_bfloat16(dtype):
    """Whether `dtype` names bfloat16, of which NumPy knows nothing but what ml_dtypes tells it."""
    if isinstance(dtype, str):
        return dtype == "bfloat16"
    if isinstance(dtype, np.dtype):
        # The structure is what MXNet has for it.
        return dtype.name == "bfloat16" or dtype.names == ("bfloat16",)
    return getattr(dtype, "__name__", None) == "bfloat16"


def _sparse():
    from . import sparse  # few programs have sparse arrays

    return sparse


def is_scipy(source):
    """Whether `source` is sparse in SciPy's way. It cannot be where SciPy has not been imported."""
    scipy = sys.modules.get("scipy.sparse")
    return scipy is not None and scipy.issparse(source)


def _placed(array, ctx):
    _core.set_device(array, ctx.device_typeid, ctx.device_id)
    return array


def empty(shape, ctx=None, dtype=None, stype=None):
    """An array whose elements are whatever was in memory.

    Parameters
    ----------
    shape : int or tuple of int
        Extents.
    ctx : Context, default current_context()
        Where the array is.
    dtype : str or numpy type, default 'float32'
        Data type.
    stype : {'default', 'csr', 'row_sparse'}, optional
        Storage type. A sparse array has no elements.

    >>> import mxtape as mx
    >>> mx.nd.empty((2, 3)).shape
    (2, 3)
    """
    if stype not in (None, "default"):
        return _sparse().empty(stype, shape, ctx, dtype)
    ctx = check_context(ctx, "empty")
    return _placed(_core.empty(_shape(shape, "empty"), _dtype(dtype)), ctx)


def full(shape, val, ctx=None, dtype=mx_real_t, out=None):
    """An array of one value.

    Parameters
    ----------
    shape : int or tuple of int
        Extents.
    val : float or array_like
        The value, or values that broadcast to the shape.
    ctx : Context, default current_context()
        Where the array is.
    dtype : str or numpy type, default 'float32'
        Data type.
    out : NDArray, optional
        Array to write the result to.

    >>> import mxtape as mx
    >>> mx.nd.full((2,), 7, dtype='int32').asnumpy().tolist()
    [7, 7]
    """
    return _filled("full", shape, val, ctx, dtype, out)


def _filled(what, shape, val, ctx, dtype, out):
    if out is not None:
        if list(out.shape) != _shape(shape, what):
            raise MXNetError(f"{what}: out has shape {out.shape}, not {shape}")
        out[...] = val
        return out
    ctx = check_context(ctx, what)
    if isinstance(val, numeric_types) and not _is_long(val):
        return _placed(_core.full(_shape(shape, what), float(val), _dtype(dtype)), ctx)
    made = empty(shape, ctx, dtype)
    made[...] = val
    return made


def zeros(shape, ctx=None, dtype=None, stype=None, **kwargs):
    """An array of zeros. Parameters as of :func:`empty`, and ``out`` where it is dense.

    >>> import mxtape as mx
    >>> mx.nd.zeros((2,)).asnumpy().tolist()
    [0.0, 0.0]
    """
    return _constant("zeros", shape, 0, ctx, dtype, stype, kwargs)


def ones(shape, ctx=None, dtype=None, **kwargs):
    """An array of ones. Parameters as of :func:`empty`, and ``out``.

    >>> import mxtape as mx
    >>> mx.nd.ones((2,), dtype='int8').asnumpy().tolist()
    [1, 1]
    """
    return _constant("ones", shape, 1, ctx, dtype, kwargs.pop("stype", None), kwargs)


def _refuse_unknown(what, kwargs, known):
    """Refuses keywords, but for a name and for a symbol's attributes: these have no effect."""
    for key in kwargs:
        if key != "name" and not (key.startswith("__") and key.endswith("__")):
            raise MXNetError(
                f"{what}: unknown argument {key!r}; it accepts {known}{argument_hint(key, known)}"
            )


def _constant(what, shape, value, ctx, dtype, stype, kwargs):
    if stype not in (None, "default"):
        if what != "zeros":
            raise MXNetError(f"{what}: storage type {stype!r} is not supported, only 'default'")
        return _sparse().zeros(stype, shape, ctx, dtype, **kwargs)
    out = kwargs.pop("out", None)
    _refuse_unknown(what, kwargs, "shape, ctx, dtype, out")
    return _filled(what, shape, value, ctx, mx_real_t if dtype is None else dtype, out)


def array(source_array, ctx=None, dtype=None):
    """An array with a copy of some values; of a dense NDArray's, recorded.

    Parameters
    ----------
    source_array : NDArray, array_like or sparse matrix of SciPy's
        The values: anything that NumPy makes an array of. A sparse array stays sparse; SciPy's
        become csr.
    ctx : Context, default current_context()
        Where the array is.
    dtype : str or numpy type, optional
        Data type; the source's if it is an NDArray or sparse, else 'float32'.

    >>> import mxtape as mx
    >>> mx.nd.array([[1, 2], [3, 4]]).dtype.__name__
    'float32'
    """
    ctx = check_context(ctx, "array")
    if isinstance(source_array, NDArray):
        if _core.is_sparse(source_array):
            return _sparse().array(source_array, ctx, dtype)
        dtype = source_array.dtype if dtype is None else _dtype(dtype)
        return _placed(register.get("Cast")(source_array, dtype), ctx)
    if is_scipy(source_array):
        return _sparse().array(source_array, ctx, dtype)
    dtype = _dtype(dtype)
    if dtype == "bfloat16":
        if _is_bfloat16(getattr(source_array, "dtype", None)):
            values = np.array(source_array, order="C")  # copied bit by bit, also MXNet's structure
            return _placed(_core.from_numpy_copy(values), ctx)
        return array(source_array, ctx, mx_real_t).astype(dtype)
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            values = np.asarray(_plain(source_array), dtype=dtype, order="C")
    except (TypeError, ValueError) as error:
        raise TypeError(f"array: cannot make an array of {source_array!r:.200}: {error}") from None
    return _placed(_core.from_numpy_copy(values), ctx)


def _plain(source):
    """`source` with the NDArrays in lists turned into NumPy's."""
    if isinstance(source, (list, tuple)):
        return [_plain(item) for item in source]
    return _core.as_numpy(source, True) if isinstance(source, NDArray) else source


def from_numpy(ndarray, zero_copy=True, array_cls=NDArray):
    """An array of a NumPy array's values and dtype.

    Parameters
    ----------
    ndarray : numpy.ndarray
        Of a dtype that mxtape has. To be shared it must be C-contiguous and of the processor's byte
        order.
    zero_copy : bool, default True
        Whether the two share memory. `ndarray` is then made read-only. Memory that may not be
        written to, such as that of ``bytes``, or that is not aligned, is copied.
    array_cls : type, default NDArray
        Accepted for compatibility.

    Raises
    ------
    ValueError
        With `zero_copy`: strides, another byte order, or a dtype that mxtape does not have.
    KeyError
        Without `zero_copy`: a dtype that mxtape does not have.

    >>> import mxtape as mx
    >>> import numpy as np
    >>> a = np.arange(3.0)
    >>> mx.nd.from_numpy(a).asnumpy().tolist()
    [0.0, 1.0, 2.0]
    >>> mx.nd.from_numpy(np.ones((2, 3)).T, zero_copy=False).shape
    (3, 2)
    """
    flags = ndarray.flags
    if not isinstance(ndarray, np.ndarray):
        raise ValueError(f"from_numpy: expected a numpy.ndarray, got {type(ndarray)}")
    if not zero_copy:
        return array(ndarray, dtype=ndarray.dtype)
    if not flags["C_CONTIGUOUS"]:
        raise ValueError(
            "from_numpy: only C-contiguous arrays can be shared; zero_copy=False copies"
        )
    if not ndarray.dtype.isnative:
        raise ValueError(
            f"from_numpy: memory in the byte order of dtype {ndarray.dtype} cannot be shared; "
            "zero_copy=False copies"
        )
    if ndarray.dtype.name not in _DTYPES and not _is_bfloat16(ndarray.dtype):
        raise ValueError(
            f"from_numpy: mxtape has no dtype {ndarray.dtype}, so memory of it cannot be shared; "
            "mx.nd.array() converts it to float32"
        )
    if not flags["ALIGNED"] or not _may_be_written(ndarray):
        return _core.from_numpy_copy(ndarray)
    shared = _core.from_numpy_shared(ndarray)
    flags["WRITEABLE"] = False
    return shared


def _may_be_written(ndarray):
    """Whether the memory may be written to: an array is also read-only because it says so."""
    if ndarray.flags["WRITEABLE"]:
        return True
    try:
        ndarray.flags["WRITEABLE"] = True
    except ValueError:
        return False
    return True


def arange(start, stop=None, step=1.0, repeat=1, infer_range=None, ctx=None, dtype=mx_real_t):
    """Numbers from `start` up to and without `stop`, each `repeat` times.

    Parameters
    ----------
    start : float
        First number; with `stop` left out, the end, and the first is 0.
    stop : float, optional
        End.
    step : float, default 1.0
        Difference between neighbours, not 0.
    repeat : int, default 1
        How many times each number is repeated.
    infer_range : bool, optional
        Accepted for compatibility.
    ctx : Context, default current_context()
        Where the array is.
    dtype : str or numpy type, default 'float32'
        Data type.

    Raises
    ------
    MXNetError
        A range without numbers.

    >>> import mxtape as mx
    >>> mx.nd.arange(2, 8, 2, repeat=2).asnumpy().tolist()
    [2.0, 2.0, 4.0, 4.0, 6.0, 6.0]
    """
    ctx = check_context(ctx, "arange")
    made = register.get("_arange")(
        start, stop, step, repeat, dtype=_dtype("float64" if dtype is None else dtype)
    )
    return _placed(made, ctx)


def linspace(start, stop, num, endpoint=True, ctx=None, dtype=mx_real_t):
    """`num` evenly spaced numbers from `start` to `stop`, which is left out without `endpoint`.

    >>> import mxtape as mx
    >>> mx.nd.linspace(0, 1, 5).asnumpy().tolist()
    [0.0, 0.25, 0.5, 0.75, 1.0]
    """
    ctx = check_context(ctx, "linspace")
    made = register.get("_linspace")(
        start, stop, num, endpoint, dtype=_dtype("float64" if dtype is None else dtype)
    )
    return _placed(made, ctx)


def eye(N, M=0, k=0, ctx=None, dtype=None, **kwargs):
    """A matrix with ones on a diagonal and zeros elsewhere.

    Parameters
    ----------
    N, M : int
        Rows and columns; M = 0 means N.
    k : int, default 0
        Which diagonal: above the main one for positive numbers.
    ctx : Context, default current_context()
        Where the array is.
    dtype : str or numpy type, default 'float32'
        Data type.

    >>> import mxtape as mx
    >>> mx.nd.eye(2, 3, 1).asnumpy().tolist()
    [[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    ctx = check_context(ctx, "eye")
    return _placed(register.get("_eye")(N, M, k, dtype=_dtype(dtype), **kwargs), ctx)


def moveaxis(tensor, source, destination):
    """The array with axes `source` moved to `destination`; ints or lists of ints, negative too.

    >>> import mxtape as mx
    >>> mx.nd.moveaxis(mx.nd.zeros((2, 3, 4)), 0, -1).shape
    (3, 4, 2)
    """

    def axes(positions, what):
        positions = [positions] if isinstance(positions, integer_types) else list(positions)
        wrapped = [p + tensor.ndim if p < 0 else p for p in positions]
        if any(not 0 <= p < tensor.ndim for p in wrapped):
            raise ValueError(f"moveaxis: {what} {positions} is out of range for {tensor.ndim} axes")
        if len(set(wrapped)) != len(wrapped):
            raise ValueError(f"moveaxis: {what} {positions} names an axis twice")
        return wrapped

    source, destination = axes(source, "source"), axes(destination, "destination")
    if len(source) != len(destination):
        raise ValueError("moveaxis: source and destination must be of one length")
    order = [axis for axis in range(tensor.ndim) if axis not in source]
    for to, axis in sorted(zip(destination, source)):
        order.insert(to, axis)
    return register.get("transpose")(tensor, axes=tuple(order))


def concatenate(arrays, axis=0, always_copy=True):
    """The arrays joined along an existing axis.

    Parameters
    ----------
    arrays : list of NDArray
        Of one dtype, and of one shape except along `axis`.
    axis : int, default 0
        The axis.
    always_copy : bool, default True
        Whether a single array is copied too.

    >>> import mxtape as mx
    >>> mx.nd.concatenate([mx.nd.ones((1, 2)), mx.nd.zeros((2, 2))]).shape
    (3, 2)
    """
    if not isinstance(arrays, (list, tuple)) or not arrays:
        raise AssertionError("concatenate: expected a list of at least one NDArray")
    for array in arrays:
        if not isinstance(array, NDArray):
            raise AssertionError(f"concatenate: expected NDArrays, got {type(array)}")
    if len(arrays) == 1 and not always_copy:
        return arrays[0]
    first = arrays[0]
    axis = axis if axis >= 0 else axis + first.ndim
    for array in arrays:
        if array.dtype != first.dtype or any(
            a != b
            for d, (a, b) in enumerate(itertools.zip_longest(array.shape, first.shape))
            if d != axis
        ):
            raise AssertionError(
                f"concatenate: an array of shape {array.shape} and dtype {array.dtype.__name__} "
                f"does not join one of {first.shape} and {first.dtype.__name__} along axis {axis}"
            )
    return register.get("Concat")(*arrays, dim=axis)


def split_v2(ary, indices_or_sections, axis=0, squeeze_axis=False):
    """The array cut along an axis.

    Parameters
    ----------
    ary : NDArray
        The array.
    indices_or_sections : int or tuple of int
        A number of equal parts, or where to cut.
    axis : int, default 0
        The axis.
    squeeze_axis : bool, default False
        Whether parts of extent 1 lose the axis.

    >>> import mxtape as mx
    >>> [part.shape for part in mx.nd.split_v2(mx.nd.zeros((5, 2)), (1, 3))]
    [(1, 2), (2, 2), (2, 2)]
    """
    if not -ary.ndim <= axis < ary.ndim:
        raise MXNetError(f"split_v2: axis {axis} is out of range for {ary.ndim} axes")
    axis = axis % ary.ndim
    split = register.get("_split_v2")
    if isinstance(indices_or_sections, integer_types):
        sections = int(indices_or_sections)
        if sections < 1 or ary.shape[axis] % sections:
            raise ValueError(
                f"split_v2: axis {axis} of extent {ary.shape[axis]} does not divide by {sections}"
            )
        return split(ary, (), axis, squeeze_axis, sections)
    if isinstance(indices_or_sections, (tuple, list, set)):
        return split(ary, (0, *indices_or_sections), axis, squeeze_axis)
    raise ValueError("split_v2: indices_or_sections must be an int or a tuple of ints")


def onehot_encode(indices, out):
    """Writes rows of zeros to `out`, each with a one at its element of `indices`.

    >>> import mxtape as mx
    >>> mx.nd.onehot_encode(mx.nd.array([1, 0]), mx.nd.zeros((2, 2))).asnumpy().tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    """
    out[...] = register.get("one_hot")(indices, depth=out.shape[1], dtype=out.dtype)
    return out


def histogram(a, bins=10, range=None):
    """How many elements lie between which bounds.

    Parameters
    ----------
    a : NDArray
        The values.
    bins : int or NDArray, default 10
        A number of bins of one width, or their bounds in order, of the dtype of `a`.
    range : (float, float), optional
        With a number of bins, the bounds of the first and the last; default is from the smallest
        element to the largest.

    Returns
    -------
    counts, bounds : NDArray
        Counts are int64; with `range` left out, float32, as are the bounds.

    >>> from mxtape.nd import histogram
    >>> from mxtape.nd import array
    >>> [r.asnumpy().tolist() for r in histogram(array([1, 2, 2, 4]), bins=3, range=(1, 4))]
    [[1, 2, 1], [1.0, 2.0, 3.0, 4.0]]
    """
    if not isinstance(a, NDArray):
        raise TypeError(f"histogram: a must be an NDArray, got {type(a)}")
    if isinstance(bins, NDArray):
        return register.get("_histogram")(a, bins)
    if not isinstance(bins, integer_types):
        raise ValueError(f"histogram: bins must be an int or an NDArray, got {type(bins)}")
    if range is not None:
        return register.get("_histogram")(a, bin_cnt=bins, range=range)
    counts, bounds = np.histogram(_core.as_numpy(a, True), bins=bins)
    return array(counts, ctx=a.context), array(bounds, ctx=a.context)


def get_oshape_of_gather_nd_op(dshape, ishape):
    """The shape of ``gather_nd(data, indices)`` for data of `dshape` and indices of `ishape`.

    >>> import mxtape as mx
    >>> mx.nd.get_oshape_of_gather_nd_op((2, 3, 4), (2, 5))
    (5, 4)
    """
    if not len(dshape) > 0 or not len(ishape) > 0:
        raise AssertionError("get_oshape_of_gather_nd_op: neither shape may be ()")
    return (*ishape[1:], *dshape[ishape[0] :])


def waitall():
    """Computes what pointwise calls on large arrays have left for later."""
    _core.waitall()


# ---- functions of two arrays, or of an array and a number


def _binary(name, on_numbers, doc, with_two):
    """`with_two`: what the function gives for the array [7, 2, 0] and the number 2."""
    arrays, scalar, reversed_scalar = map(register.get, _core.binary_forms(name))

    def function(lhs, rhs):
        if isinstance(lhs, NDArray):
            if isinstance(rhs, NDArray):
                return arrays(lhs, rhs)
            if isinstance(rhs, numeric_types):
                if lhs.dtype == np.int64 and _is_long(rhs):
                    return arrays(lhs, array(rhs, dtype="int64"))
                return scalar(lhs, float(rhs))
        elif isinstance(lhs, numeric_types):
            if isinstance(rhs, NDArray):
                if rhs.dtype == np.int64 and _is_long(lhs):
                    return arrays(array(lhs, dtype="int64"), rhs)
                return reversed_scalar(rhs, float(lhs))
            if isinstance(rhs, numeric_types):
                return on_numbers(lhs, rhs)
        odd = lhs if not isinstance(lhs, (NDArray, *numeric_types)) else rhs
        # MXNet's types: it sees what is wrong with one operand inside the call for the other.
        one_fits = isinstance(rhs, (NDArray, *numeric_types)) or isinstance(lhs, numeric_types)
        error = AssertionError if one_fits else TypeError
        raise error(f"{name}: expected arrays or numbers, got {type(odd)}")

    function.__name__ = function.__qualname__ = name
    names = ("base", "exp") if name == "power" else ("lhs", "rhs")
    if name == "power":
        inner = function

        def function(base, exp):
            return inner(base, exp)

        function.__name__ = function.__qualname__ = name
    function.__doc__ = (
        f"{doc}\n\nArrays broadcast against each other.\n\nParameters\n----------\n"
        f"{names[0]}, {names[1]} : NDArray or float\n    The operands.\n\n"
        "Examples\n--------\n>>> import mxtape as mx\n"
        f">>> mx.nd.{name}(mx.nd.array([7, 2, 0]), 2).asnumpy().tolist()\n"
        f"{[float(value) for value in with_two]}\n"
    )
    return function


def _logical(function):
    return lambda x, y: int(function(bool(x), bool(y)))


add = _binary(
    "add",
    lambda x, y: x + y,
    "lhs + rhs.",
    [9, 4, 2],
)
subtract = _binary(
    "subtract",
    lambda x, y: x - y,
    "lhs - rhs.",
    [5, 0, -2],
)
multiply = _binary(
    "multiply",
    lambda x, y: x * y,
    "lhs * rhs.",
    [14, 4, 0],
)
divide = _binary(
    "divide",
    lambda x, y: x / y,
    "lhs / rhs.",
    [3.5, 1, 0],
)
true_divide = divide
modulo = _binary(
    "modulo",
    lambda x, y: x % y,
    "lhs % rhs.",
    [1, 0, 0],
)
power = _binary(
    "power",
    pow,
    "base to the power exp.",
    [49, 4, 0],
)
maximum = _binary(
    "maximum",
    max,
    "The larger operand.",
    [7, 2, 2],
)
minimum = _binary(
    "minimum",
    min,
    "The lesser operand.",
    [2, 2, 0],
)
equal = _binary(
    "equal",
    lambda x, y: int(x == y),
    "1 where lhs == rhs, else 0.",
    [0, 1, 0],
)
not_equal = _binary(
    "not_equal",
    lambda x, y: int(x != y),
    "1 where lhs != rhs, else 0.",
    [1, 0, 1],
)
greater = _binary(
    "greater",
    lambda x, y: int(x > y),
    "1 where lhs > rhs, else 0.",
    [1, 0, 0],
)
greater_equal = _binary(
    "greater_equal",
    lambda x, y: int(x >= y),
    "1 where lhs >= rhs, else 0.",
    [1, 1, 0],
)
lesser = _binary(
    "lesser",
    lambda x, y: int(x < y),
    "1 where lhs < rhs, else 0.",
    [0, 0, 1],
)
lesser_equal = _binary(
    "lesser_equal",
    lambda x, y: int(x <= y),
    "1 where lhs <= rhs, else 0.",
    [0, 1, 1],
)
logical_and = _binary(
    "logical_and",
    _logical(lambda x, y: x and y),
    "1 where both are not 0, else 0.",
    [1, 1, 0],
)
logical_or = _binary(
    "logical_or",
    _logical(lambda x, y: x or y),
    "1 where one is not 0, else 0.",
    [1, 1, 1],
)
logical_xor = _binary(
    "logical_xor",
    _logical(lambda x, y: x != y),
    "1 where exactly one is not 0, else 0.",
    [0, 0, 1],
)
