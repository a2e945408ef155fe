"""NumPy's shapes, environment variables, and what there is of GPUs: ``mx.util``."""

import functools
import os

import numpy as np

from . import _borrowed
from ._loader import core as _core
from ._missing import see
from .base import MXNetError, integer_types
from .context import num_gpus

__all__ = [
    "get_cuda_compute_capability",
    "get_gpu_count",
    "get_gpu_memory",
    "getenv",
    "is_np_array",
    "is_np_shape",
    "np_array",
    "np_shape",
    "np_ufunc_legal_option",
    "reset_np",
    "set_module",
    "set_np",
    "set_np_shape",
    "setenv",
    "use_np",
    "use_np_array",
    "use_np_shape",
    "wrap_np_binary_func",
    "wrap_np_unary_func",
]


def set_np_shape(active):
    """Turns NumPy's shapes on or off in this thread; returns whether they were on.

    When they are on, an element that is picked by numbers has no dimensions: ``x[0].shape`` of a
    vector is ``()``, not ``(1,)``. Arrays of no elements and of no dimensions work either way; in
    MXNet, only when they are on. What has been made keeps its shape.

    Parameters
    ----------
    active : bool

    Raises
    ------
    TypeError
        For what is neither a bool nor an integer.

    Examples
    --------
    >>> import mxtape as mx
    >>> x = mx.nd.array([1.0, 2.0])
    >>> x[0].shape
    (1,)
    >>> mx.set_np_shape(True)
    False
    >>> x[0].shape
    ()
    >>> mx.set_np_shape(False)
    True
    """
    if not isinstance(active, (bool, np.bool_, *integer_types)):
        raise TypeError(f"set_np_shape: active must be a bool, got {active!r}")
    return _core.set_np_shape(bool(active))


def is_np_shape():
    """Whether NumPy's shapes are on in this thread; off unless :func:`set_np_shape` says so."""
    return _core.is_np_shape()


class _ShapeScope:
    def __init__(self, active):
        self._active = active
        self._before = []

    def __enter__(self):
        self._before.append(set_np_shape(self._active))
        return self

    def __exit__(self, ptype, value, trace):
        set_np_shape(self._before.pop())


def np_shape(active=True):
    """A ``with`` block in which NumPy's shapes are on, or off; see :func:`set_np_shape`.

    >>> import mxtape as mx
    >>> with mx.np_shape():
    ...     mx.is_np_shape(), mx.nd.array([1.0, 2.0])[0].shape
    (True, ())
    """
    return _ShapeScope(active)


def _under_np_shape(func):
    @functools.wraps(func)
    def wrapped(*args, **kwargs):
        with np_shape(True):
            return func(*args, **kwargs)

    return wrapped


def use_np_shape(func):
    """A decorator: NumPy's shapes are on in a function, or in every method and property of a class.

    Raises
    ------
    TypeError
        For what is neither a class nor callable.

    Examples
    --------
    >>> import mxtape as mx
    >>> @mx.use_np_shape
    ... def first(x):
    ...     return x[0]
    >>> first(mx.nd.array([1.0, 2.0])).shape
    ()
    """
    if isinstance(func, type):
        for name, member in list(vars(func).items()):
            if isinstance(member, (staticmethod, classmethod)):
                setattr(func, name, type(member)(_under_np_shape(member.__func__)))
            elif isinstance(member, property):
                get, put, delete = (
                    part and _under_np_shape(part)
                    for part in (member.fget, member.fset, member.fdel)
                )
                setattr(func, name, property(get, put, delete, member.__doc__))
            elif callable(member) and not isinstance(member, type):
                setattr(func, name, _under_np_shape(member))
        return func
    if not callable(func):
        raise TypeError(
            f"use_np_shape: a class or a function is needed, got {func!r} of type {type(func)}"
        )
    return _under_np_shape(func)


def _no_np_arrays(what):
    raise MXNetError(f"{what}: mx.np arrays are not in mxtape yet; {see('mx.np')}")


def is_np_array():
    """Whether functions give arrays of ``mx.np``: never, as mxtape has none yet."""
    return False


class _ArrayScope:
    """A block in which there are no ``mx.np`` arrays, as outside of it."""

    def __enter__(self):
        return self

    def __exit__(self, ptype, value, trace):
        pass


def np_array(active=True):
    """Raises MXNetError unless `active` is False: mxtape has no arrays of ``mx.np`` yet.

    ``np_array(False)`` is a ``with`` block that changes nothing.
    """
    if active:
        _no_np_arrays("np_array")
    return _ArrayScope()


def use_np_array(func):
    """Raises MXNetError: mxtape has no arrays of ``mx.np`` yet."""
    _no_np_arrays("use_np_array")


def use_np(func):
    """Raises MXNetError: mxtape has no arrays of ``mx.np`` yet. See :func:`use_np_shape`."""
    _no_np_arrays("use_np")


def set_np(shape=True, array=True):
    """Turns NumPy's shapes and arrays on or off. Arrays of ``mx.np`` are an MXNetError so far.

    Parameters
    ----------
    shape : bool, default True
        As for :func:`set_np_shape`.
    array : bool, default True
        Whether functions give arrays of ``mx.np``; needs `shape`.

    Raises
    ------
    ValueError
        For `array` without `shape`.

    >>> import mxtape as mx
    >>> mx.util.set_np(array=False)
    >>> mx.is_np_shape()
    True
    >>> mx.util.reset_np()
    """
    if array and not shape:
        raise ValueError("set_np: NumPy's arrays need NumPy's shapes: array=True, shape=False")
    if array:
        _no_np_arrays("set_np")
    set_np_shape(shape)


def reset_np():
    """Turns NumPy's shapes off in this thread."""
    set_np(shape=False, array=False)


def set_module(module):
    """A decorator that sets the ``__module__`` of a function or class; None leaves it.

    >>> import mxtape as mx
    >>> @mx.util.set_module("mxtape")
    ... def f():
    ...     pass
    >>> f.__module__
    'mxtape'
    """

    def decorate(func):
        if module is not None:
            func.__module__ = module
        return func

    return decorate


# The keywords of NumPy's ufuncs that functions of mx.np may be given, with what changes nothing.
_UFUNC_DEFAULTS = {
    "where": True,
    "casting": "same_kind",
    "order": "K",
    "dtype": None,
    "subok": True,
}
_CASTINGS = ("no", "equiv", "safe", "same_kind", "unsafe")
_UFUNC_DTYPES = {np.int8, np.uint8, np.int32, np.int64, np.float16, np.float32, np.float64}
_UFUNC_DTYPE_NAMES = {dtype.__name__ for dtype in _UFUNC_DTYPES}


def np_ufunc_legal_option(key, value):
    """Whether NumPy's ufuncs have the keyword `key`, and `value` may be given for it.

    Values of ``where`` are not looked at, and those of ``order`` need only be a str.

    >>> from mxtape.util import np_ufunc_legal_option
    >>> np_ufunc_legal_option("casting", "safe"), np_ufunc_legal_option("casting", "never")
    (True, False)
    """
    if key == "where":
        return True
    if key == "casting":
        return isinstance(value, str) and value in _CASTINGS
    if key == "order":
        return isinstance(value, str)
    if key == "dtype":
        names = _UFUNC_DTYPE_NAMES if isinstance(value, str) else _UFUNC_DTYPES
        return isinstance(value, (str, type)) and value in names
    return key == "subok" and isinstance(value, bool)


def _check_ufunc_options(func, options):
    for key, value in options.items():
        if key not in _UFUNC_DEFAULTS:
            raise TypeError(f"{func.__name__}: unknown keyword {key!r}")
        default = _UFUNC_DEFAULTS[key]
        if value is not default and (isinstance(default, bool) or value != default):
            if np_ufunc_legal_option(key, value):
                raise NotImplementedError(f"{func.__name__}: {key}={value!r} is not supported")
            raise TypeError(f"{func.__name__}: {key}={value!r} is not a valid value")


def wrap_np_unary_func(func):
    """A decorator for functions of one array: checks and drops keywords of NumPy's ufuncs.

    Raises
    ------
    TypeError
        For another keyword, or a value that is none.
    NotImplementedError
        For a value that would change something.

    Examples
    --------
    >>> import mxtape as mx
    >>> @mx.util.wrap_np_unary_func
    ... def double(x, out=None):
    ...     return 2 * x
    >>> double(3, where=True)
    6
    """

    @functools.wraps(func)
    def wrapped(x, out=None, **options):
        _check_ufunc_options(func, options)
        return func(x, out=out)

    return wrapped


def wrap_np_binary_func(func):
    """A decorator for functions of two arrays; see :func:`wrap_np_unary_func`.

    >>> import mxtape as mx
    >>> @mx.util.wrap_np_binary_func
    ... def minus(x1, x2, out=None):
    ...     return x1 - x2
    >>> minus(3, 1, casting="same_kind")
    2
    """

    @functools.wraps(func)
    def wrapped(x1, x2, out=None, **options):
        _check_ufunc_options(func, options)
        return func(x1, x2, out=out)

    return wrapped


def getenv(name):
    """The value of an environment variable; None when it is not set.

    >>> import mxtape as mx
    >>> mx.test_utils.getenv('A_VARIABLE_THAT_IS_NOT_SET') is None
    True
    """
    return os.environ.get(name)


def setenv(name, value):
    """Sets an environment variable to a text, or removes it for None.

    >>> import mxtape as mx
    >>> mx.test_utils.setenv('MXTAPE_EXAMPLE', '1')
    >>> mx.test_utils.getenv('MXTAPE_EXAMPLE')
    '1'
    >>> mx.test_utils.setenv('MXTAPE_EXAMPLE', None)
    """
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value


def get_gpu_count():
    """The number of GPUs: 0."""
    return num_gpus()


def get_gpu_memory(gpu_dev_id):
    """Raises MXNetError, as there is no GPU."""
    raise MXNetError(f"get_gpu_memory({gpu_dev_id}): mxtape has no GPUs")


def get_cuda_compute_capability(ctx):
    """What a GPU is capable of: an error, as there is none.

    Raises
    ------
    ValueError
        For a context that is not a GPU.
    MXNetError
        For a GPU.
    """
    if ctx.device_type != "gpu":
        raise ValueError(f"get_cuda_compute_capability: {ctx} is not a GPU")
    raise MXNetError(f"get_cuda_compute_capability: {ctx}: mxtape has no GPUs")


__getattr__ = _borrowed.borrow(
    __name__,
    "ctypes functools inspect threading",
    {".base": "c_str check_call py_str"},
)
