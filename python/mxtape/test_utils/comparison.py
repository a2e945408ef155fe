"""Comparing arrays within tolerances, and what the tolerances are when none are given."""

import numpy as np

from .._loader import core as _core
from ..base import MXNetError
from ..ndarray import NDArray
from ..ndarray.ndarray import _is_bfloat16

__all__ = [
    "almost_equal",
    "assert_allclose",
    "assert_almost_equal",
    "assert_almost_equal_ignore_nan",
    "assert_almost_equal_with_err",
    "assert_exception",
    "checkShapes",
    "compare_ndarray_tuple",
    "default_atols",
    "default_numeric_eps",
    "default_rtols",
    "effective_dtype",
    "get_atol",
    "get_etol",
    "get_rtol",
    "get_tolerance",
    "get_tols",
    "locationError",
    "same",
    "same_array",
]

_FLOAT64 = np.dtype("float64")
_INTEGERS = ("bool", "int8", "uint8", "int32", "uint32", "int64", "uint64")


def _table(float16, float32, float64, integers):
    table = {np.dtype("float16"): float16, np.dtype("float32"): float32, _FLOAT64: float64}
    table.update((np.dtype(name), integers) for name in _INTEGERS)
    return table


def default_rtols():
    """Relative tolerances of :func:`assert_almost_equal`, by data type.

    >>> import mxtape as mx
    >>> import numpy as np
    >>> mx.test_utils.default_rtols()[np.dtype('float32')]
    0.0001
    """
    return _table(1e-2, 1e-4, 1e-5, 0)


def default_atols():
    """Absolute tolerances of :func:`assert_almost_equal`, by data type.

    >>> import mxtape as mx
    >>> import numpy as np
    >>> mx.test_utils.default_atols()[np.dtype('float32')]
    0.001
    """
    return _table(1e-1, 1e-3, 1e-20, 0)


def default_numeric_eps():
    """Steps of :func:`check_numeric_gradient`, by data type.

    >>> import mxtape as mx
    >>> import numpy as np
    >>> mx.test_utils.default_numeric_eps()[np.dtype('float32')] == 2 ** -9
    True
    """
    return {np.dtype("float16"): 2.0**-6, np.dtype("float32"): 2.0**-9, _FLOAT64: 2.0**-14}


def effective_dtype(dat):
    """The data type whose tolerances fit `dat`: its own.

    >>> from mxtape.test_utils import effective_dtype
    >>> import mxtape as mx
    >>> effective_dtype(mx.nd.ones((2,), dtype='float16')).name, effective_dtype(1.5).name
    ('float16', 'float64')
    """
    return np.dtype(dat.dtype) if hasattr(dat, "dtype") else np.asarray(dat).dtype


def _of_dtype(table, dtype):
    if _is_bfloat16(dtype):
        return 8 * table[np.dtype("float16")]  # it has three bits less
    if dtype not in table and dtype.kind in "iub":
        return 0  # integers that MXNet has no arrays of
    return table[dtype]


def get_rtol(rtol=None, dtype=_FLOAT64):
    """`rtol`, or the default relative tolerance of a data type for None.

    >>> import numpy as np
    >>> from mxtape.test_utils import get_rtol
    >>> get_rtol(), get_rtol(0.5), get_rtol(dtype=np.dtype('float16'))
    (1e-05, 0.5, 0.01)
    """
    return _of_dtype(default_rtols(), np.dtype(dtype)) if rtol is None else rtol


def get_atol(atol=None, dtype=_FLOAT64):
    """`atol`, or the default absolute tolerance of a data type for None.

    >>> import numpy as np
    >>> from mxtape.test_utils import get_atol
    >>> get_atol(), get_atol(0.5), get_atol(dtype=np.dtype('float16'))
    (1e-20, 0.5, 0.1)
    """
    return _of_dtype(default_atols(), np.dtype(dtype)) if atol is None else atol


def get_etol(etol=None):
    """`etol`, the part of the elements that may differ; 0 for None.

    >>> import mxtape as mx
    >>> mx.test_utils.get_etol(), mx.test_utils.get_etol(0.25)
    (0, 0.25)
    """
    return 0 if etol is None else etol


def get_tolerance(dat, tol, default_tol):
    """The tolerance for one array.

    Parameters
    ----------
    dat : array
        Its data type counts.
    tol : number, dict or None
        A tolerance for every type; tolerances by type; or None for the default.
    default_tol : dict
        The tolerance of types that `tol` says nothing about.

    Examples
    --------
    >>> import numpy as np
    >>> from mxtape.test_utils import get_tolerance
    >>> from mxtape.test_utils import default_rtols
    >>> single = np.ones(2, 'float32')
    >>> get_tolerance(single, None, default_rtols()), get_tolerance(single, 0.5, default_rtols())
    (0.0001, 0.5)
    >>> get_tolerance(single, {np.dtype('float32'): 0.25}, default_rtols())
    0.25
    """
    if isinstance(tol, (int, float, np.number)):
        return tol
    dtype = effective_dtype(dat)
    if tol and dtype in tol:
        return tol[dtype]
    return _of_dtype(default_tol, dtype)


def get_tols(x, y, rtol, atol):
    """Relative and absolute tolerance for two arrays: of each, the wider of the two arrays'.

    >>> import mxtape as mx
    >>> import numpy as np
    >>> mx.test_utils.get_tols(np.ones(2, 'float32'), np.ones(2, 'float16'), None, None)
    (0.01, 0.1)
    """
    return (
        max(get_tolerance(value, rtol, default_rtols()) for value in (x, y)),
        max(get_tolerance(value, atol, default_atols()) for value in (x, y)),
    )


def _numbers(value):
    values = _core.as_numpy(value, True) if isinstance(value, NDArray) else np.asarray(value)
    if values.dtype.kind not in "biufc":
        raise TypeError(f"numbers and arrays of numbers can be compared, not {value!r}")
    return values


def _compare(a, b, rtol, atol, equal_nan):
    """Which elements differ, by how much, and how many times what is allowed that is."""
    wide = np.result_type(a, b, np.float64)
    x, y = np.broadcast_arrays(a.astype(wide), b.astype(wide))
    # Infinities are equal, or infinitely far; subtracting them gives NaN, and should not warn.
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        difference = np.abs(x - y)
        allowed = atol + rtol * np.abs(y)
        equal = (difference <= allowed) & np.isfinite(y)
        if rtol == 0 and atol == 0:  # integers beyond 2**53 are not all doubles
            equal = np.equal(a, b)
        equal = equal | np.equal(a, b)
        if equal_nan:
            equal = equal | (np.isnan(x) & np.isnan(y))
        return ~equal, difference, difference / allowed


def almost_equal(a, b, rtol=None, atol=None, equal_nan=False, use_broadcast=True):
    """Whether `a` and `b` are equal within tolerances: ``|a - b| <= atol + rtol * |b|``.

    Parameters
    ----------
    a, b : NDArray, numpy.ndarray, number or list
        What to compare. Shapes that broadcast may differ.
    rtol, atol : float, optional
        Relative and absolute tolerance. The defaults are those of float64, for any data type:
        1e-5 and 1e-20; :func:`assert_almost_equal` has others.
    equal_nan : bool, default False
        Whether NaN equals NaN.
    use_broadcast : bool, default True
        False: different shapes are an ``AssertionError``.

    Examples
    --------
    >>> import numpy as np
    >>> import mxtape as mx
    >>> mx.test_utils.almost_equal(mx.nd.array([1.0, 2.0]), np.array([1.0, 2.00001]))
    True
    >>> mx.test_utils.almost_equal(mx.nd.array([1.0, 2.0]), np.array([1.0, 2.1]))
    False
    """
    if not use_broadcast:
        checkShapes(a, b)
    a, b = _numbers(a), _numbers(b)
    return not _compare(a, b, get_rtol(rtol), get_atol(atol), equal_nan)[0].any()


def locationError(a, b, index, names, maxError=False):
    """One line about the element at `index` of two arrays.

    >>> import numpy as np
    >>> from mxtape.test_utils import locationError
    >>> locationError(np.array([1.0, 2.0]), np.array([1.0, 3.0]), (1,), ('ours', 'theirs'))
    'element (1,): ours=2.0, theirs=3.0'
    """
    a, b = np.broadcast_arrays(_numbers(a), _numbers(b))
    which = "worst element" if maxError else "element"
    place = tuple(int(i) for i in index)
    return f"{which} {place}: {names[0]}={a[place]!s}, {names[1]}={b[place]!s}"


def checkShapes(a, b):
    """Raises an ``AssertionError`` when two arrays have different shapes.

    >>> import mxtape as mx
    >>> import numpy as np
    >>> mx.test_utils.checkShapes(np.ones((2, 1)), np.ones((2,)))
    Traceback (most recent call last):
        ...
    AssertionError: the shapes differ: (2, 1) and (2,)
    """
    if np.shape(a) != np.shape(b):
        raise AssertionError(f"the shapes differ: {np.shape(a)} and {np.shape(b)}")


def _assert(a, b, rtol, atol, etol, names, equal_nan, shown):
    rtol, atol = get_tols(a, b, rtol, atol)
    if isinstance(a, NDArray) and isinstance(b, NDArray) and a.shape != b.shape:
        raise MXNetError(f"{names[0]} has shape {a.shape}, {names[1]} has shape {b.shape}")
    a, b = _numbers(a), _numbers(b)
    wrong, difference, ratio = _compare(a, b, rtol, atol, equal_nan)
    count = int(np.count_nonzero(wrong))
    if count <= etol * wrong.size:
        return
    # The worst first: NaN, then by the difference in terms of what is allowed, then as it is.
    places = np.argwhere(wrong)
    keys = [np.where(np.isnan(k), np.inf, k)[wrong] for k in (difference, ratio)]
    worst = places[np.lexsort([-k for k in keys])][:shown]
    lines = [
        f"{names[0]} and {names[1]} differ in {count} of {wrong.size} elements "
        f"({100 * count / wrong.size:.3g} %), with rtol={rtol:g} and atol={atol:g}"
        + (f"; {100 * etol:g} % may differ" if etol else "")
    ]
    for index, place in enumerate(map(tuple, worst)):
        line = locationError(a, b, place, names, maxError=index == 0)
        lines.append(f"  {line}; off by {difference[place]:.4g}")
        if np.isfinite(ratio[place]):
            lines[-1] += f", {ratio[place]:.4g} times the tolerance"
    for name, values in zip(names, (a, b)):
        lines.append(f"{name} = {np.array2string(values, threshold=100, prefix=name + ' = ')}")
    raise AssertionError("\n".join(lines))


def assert_almost_equal(
    a,
    b,
    rtol=None,
    atol=None,
    names=("a", "b"),
    equal_nan=False,
    use_broadcast=True,
    mismatches=(10, 10),
):
    """Raises an ``AssertionError`` unless ``|a - b| <= atol + rtol * |b|`` for every element.

    Parameters
    ----------
    a, b : NDArray, numpy.ndarray, number or list
        What to compare. Shapes that broadcast may differ where one is not an NDArray; NDArrays of
        different shapes are an ``MXNetError``.
    rtol, atol : float or dict, optional
        Relative and absolute tolerance, or a dict of tolerances by ``numpy.dtype``. By default the
        wider of those of the two data types (:func:`default_rtols`, :func:`default_atols`).
    names : tuple of str
        Names of the arrays in the message.
    equal_nan : bool, default False
        Whether NaN equals NaN.
    use_broadcast : bool, default True
        False: different shapes are an ``AssertionError``.
    mismatches : tuple of int
        The first says how many of the worst elements the message shows.

    Examples
    --------
    >>> import numpy as np
    >>> from mxtape.test_utils import assert_almost_equal
    >>> import mxtape as mx
    >>> mx.test_utils.assert_almost_equal(mx.nd.array([1.0, 2.0]), np.array([1.0, 2.0001]))
    >>> assert_almost_equal(np.array([1.0, 2.0, 4.0]), np.array([1.0, 2.5, 5.0]), rtol=0.1, atol=0)
    Traceback (most recent call last):
        ...
    AssertionError: a and b differ in 2 of 3 elements (66.7 %), with rtol=0.1 and atol=0
      worst element (2,): a=4.0, b=5.0; off by 1, 2 times the tolerance
      element (1,): a=2.0, b=2.5; off by 0.5, 2 times the tolerance
    a = [1. 2. 4.]
    b = [1.  2.5 5. ]
    """
    if not use_broadcast:
        checkShapes(a, b)
    _assert(a, b, rtol, atol, 0, names, equal_nan, mismatches[0])


def assert_allclose(a, b, rtol=1e-07, atol=0, equal_nan=True):
    """As :func:`assert_almost_equal`, with the tolerances of ``numpy.testing.assert_allclose``.

    >>> import numpy as np
    >>> import mxtape as mx
    >>> mx.test_utils.assert_allclose(mx.nd.array([1.0, np.nan]), np.array([1.0, np.nan]))
    """
    assert_almost_equal(a, b, rtol=rtol, atol=atol, equal_nan=equal_nan)


def assert_almost_equal_ignore_nan(a, b, rtol=None, atol=None, names=("a", "b")):
    """As :func:`assert_almost_equal`, leaving out elements that are NaN in either array.

    >>> import mxtape as mx
    >>> import numpy as np
    >>> mx.test_utils.assert_almost_equal_ignore_nan(np.array([1.0, np.nan]), np.array([1.0, 7.0]))
    """
    a, b = np.broadcast_arrays(_numbers(a), _numbers(b))
    ignored = np.isnan(a) | np.isnan(b)
    a, b = np.where(ignored, a.dtype.type(0), a), np.where(ignored, b.dtype.type(0), b)
    assert_almost_equal(a, b, rtol=rtol, atol=atol, names=names)


def assert_almost_equal_with_err(
    a, b, rtol=None, atol=None, etol=None, names=("a", "b"), equal_nan=False, mismatches=(10, 10)
):
    """As :func:`assert_almost_equal`, but some of the elements may differ.

    Parameters
    ----------
    etol : float, default 0
        The part of the elements that may differ.

    Examples
    --------
    >>> import numpy as np
    >>> from mxtape.test_utils import assert_almost_equal_with_err
    >>> assert_almost_equal_with_err(np.array([1, 2, 3, 4]), np.array([1, 2, 3, 9]), etol=0.25)
    """
    _assert(a, b, rtol, atol, get_etol(etol), names, equal_nan, mismatches[0])


def compare_ndarray_tuple(t1, t2, rtol=None, atol=None):
    """:func:`assert_almost_equal` of the arrays of two tuples or lists, which may be nested.

    None in place of an array, or of a tuple, is left out.

    >>> import mxtape as mx
    >>> x = mx.nd.ones((2,))
    >>> mx.test_utils.compare_ndarray_tuple((x, (x, None)), (x, (x, None)))
    """
    if t1 is None or t2 is None:
        return
    if not isinstance(t1, (tuple, list)):
        assert_almost_equal(t1, t2, rtol=rtol, atol=atol)
        return
    if len(t1) != len(t2):
        raise AssertionError(f"there are {len(t1)} arrays in one, {len(t2)} in the other")
    for s1, s2 in zip(t1, t2):
        compare_ndarray_tuple(s1, s2, rtol, atol)


def same(a, b):
    """Whether two arrays have the same shape and equal elements.

    >>> import numpy as np
    >>> from mxtape.test_utils import same
    >>> import mxtape as mx
    >>> same(mx.nd.ones((2,)), np.ones(2)), same(np.ones(2), np.ones((2, 1)))
    (True, False)
    """
    a, b = (_core.as_numpy(x, True) if isinstance(x, NDArray) else x for x in (a, b))
    return bool(np.array_equal(a, b))


def same_array(array1, array2):
    """Whether two NDArrays are one: the same memory, shape and data type.

    >>> from mxtape.test_utils import same_array
    >>> import mxtape as mx
    >>> x = mx.nd.ones((2,))
    >>> same_array(x, x[:]), same_array(x, x.copy()), same_array(x, x[1:])
    (True, False, False)
    """
    return (
        array1.shape == array2.shape
        and array1.dtype == array2.dtype
        and bool(_core.shares_memory(array1, array2))
        and _core.address(array1) == _core.address(array2)
    )


def assert_exception(f, exception_type, *args, **kwargs):
    """Raises an ``AssertionError`` unless ``f(*args, **kwargs)`` raises `exception_type`.

    An exception of another type is passed on.

    >>> from mxtape.test_utils import assert_exception
    >>> import mxtape as mx
    >>> assert_exception(mx.nd.dot, mx.MXNetError, mx.nd.ones((2, 3)), mx.nd.ones((2, 3)))
    """
    try:
        f(*args, **kwargs)
    except exception_type:
        return
    raise AssertionError(f"{f!r} raised nothing; it should have raised {exception_type!r}")
