"""Errors, warnings and small types that the whole package shares."""

import os
from typing import TYPE_CHECKING

import numpy as np

from ._loader import core as _core

if TYPE_CHECKING:

    class MXNetError(RuntimeError):
        """What an operator or the engine refuses to do."""

    class OutOfMemoryError(MXNetError, MemoryError):
        """Memory that the system does not have was asked for; the message says how much.

        It is an :class:`MXNetError`, as in MXNet, and Python's ``MemoryError``.
        """

else:
    MXNetError = _core.MXNetError
    OutOfMemoryError = _core.OutOfMemoryError

numeric_types = (float, int, np.generic)
integer_types = (int, np.integer)
string_types = (str,)
basestring = str
long = int
mx_real_t = np.float32


class StaleArrayWarning(UserWarning):
    """An array that a gradient needs was changed in place between forward and backward.

    ``MXTAPE_STALE=error`` turns it into an :class:`MXNetError`, ``MXTAPE_STALE=off`` silences it.
    """


class _NotFor(MXNetError):
    """A function was called on a kind of object that it is not for."""

    what = ""

    def __init__(self, function, alias, *args):
        super().__init__()
        self.function = function.__name__
        self.alias = alias
        self.args = tuple(str(type(a)) for a in args)

    def __str__(self):
        alias = f" (namely operator '{self.alias}')" if self.alias else ""
        types = f" with arguments of type {', '.join(self.args)}" if self.args else ""
        return f"{self.function}{alias} is not {self.what}{types}"


class NotImplementedForSymbol(_NotFor):
    """A function of arrays was called on a symbol."""

    what = "implemented for Symbol"

    def __str__(self):
        hint = "a symbol has no values; bind() or eval() compute arrays"
        if self.function == "__bool__":
            hint += ", and F.where or F.contrib.cond choose by a value"
        return f"{super().__str__()}: {hint}. A hybridized block gets symbols in hybrid_forward"


class NotSupportedForSparseNDArray(_NotFor):
    """A function of dense arrays was called on a sparse one."""

    what = "supported for sparse arrays"


class _NullType:
    """Stands for an argument that is not given."""

    def __repr__(self):
        return "_Null"

    def __bool__(self):
        return False


_Null = _NullType()
_core.set_null(_Null)


class classproperty:
    """A property of a class; with a setter, of classes whose metaclass is `ClassPropertyMeta`.

    >>> from mxtape.base import ClassPropertyMeta, classproperty
    >>> class Counter(metaclass=ClassPropertyMeta):
    ...     _count = 0
    ...     @classproperty
    ...     def count(cls):
    ...         return cls._count
    ...     @count.setter
    ...     def count(cls, value):
    ...         cls._count = value
    >>> Counter.count = 3
    >>> Counter.count
    3
    """

    def __init__(self, fget, fset=None):
        self.fget, self.fset = fget, fset
        self.__doc__ = fget.__doc__

    def __get__(self, instance, owner):
        return self.fget(owner)

    def setter(self, fset):
        """The same property with a setter."""
        return type(self)(self.fget, fset)


class ClassPropertyMeta(type):
    """Assigning to a `classproperty` of the class calls its setter."""

    def __setattr__(cls, name, value):
        own = next((vars(c)[name] for c in cls.__mro__ if name in vars(c)), None)
        if not isinstance(own, classproperty):
            super().__setattr__(name, value)
        elif own.fset is None:
            raise AttributeError(f"{cls.__name__}.{name} cannot be assigned")
        else:
            own.fset(cls, value)


_MXClassPropertyMetaClass = ClassPropertyMeta


def with_metaclass(meta, *bases):
    """A base class that gives its subclass the metaclass `meta` and the base classes `bases`.

    >>> from mxtape.base import ClassPropertyMeta, with_metaclass
    >>> class Point(with_metaclass(ClassPropertyMeta, dict)):
    ...     pass
    >>> type(Point).__name__, Point.__bases__
    ('ClassPropertyMeta', (<class 'dict'>,))
    """

    class Stand_in(type):
        def __new__(cls, name, _, namespace):
            return meta(name, bases, namespace)

    return type.__new__(Stand_in, "stand_in", (), {})


def py_str(x):
    """The text of some bytes in UTF-8.

    >>> import mxtape as mx
    >>> mx.base.py_str(b"relu")
    'relu'
    """
    return x.decode("utf-8")


def _as_list(obj):
    """`obj` when it is a list or a tuple, else a list with only it."""
    return obj if isinstance(obj, (list, tuple)) else [obj]


def data_dir_default():
    """Where files that belong to no program are kept: ``~/.mxnet``."""
    return os.path.join(os.path.expanduser("~"), ".mxnet")


def data_dir():
    """Where models and data sets are kept: ``MXNET_HOME`` of the environment, or the default."""
    return os.environ.get("MXNET_HOME", data_dir_default())


__all__ = ["MXNetError", "NotImplementedForSymbol", "OutOfMemoryError", "StaleArrayWarning"]


def __getattr__(name):
    if not name.startswith("__"):
        # Not at the top: ctypes is for programs that know MXNet's C interface.
        from . import _c_types

        if hasattr(_c_types, name):
            return getattr(_c_types, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
