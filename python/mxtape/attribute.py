"""Attributes for symbols that are made in a ``with`` block: ``mx.AttrScope``."""

import threading
from typing import Any

from . import _borrowed
from .base import ClassPropertyMeta, classproperty, string_types

__all__ = ["AttrScope"]


class _Thread(threading.local):
    """The scope that one thread is in; each thread begins with an empty one of its own."""

    def __init__(self):
        self.value = AttrScope()


class AttrScope(metaclass=ClassPropertyMeta):
    """A ``with`` block that gives attributes to the symbols made in it.

    Blocks add up: an inner one has the attributes of the outer ones, and its own go first.

    Parameters
    ----------
    **kwargs : str
        The attributes.

    Raises
    ------
    ValueError
        For a value that is not a str.

    Examples
    --------
    >>> import mxtape as mx
    >>> with mx.AttrScope(ctx_group="stage1"), mx.AttrScope(lr_mult="2"):
    ...     mx.AttrScope.current.get({"lr_mult": "3"})
    {'ctx_group': 'stage1', 'lr_mult': '3'}
    """

    _current: _Thread

    def __init__(self, **kwargs):
        for name, value in kwargs.items():
            if not isinstance(value, string_types):
                raise ValueError(f"AttrScope: attribute {name} must be a str, got {value!r}")
        self._old_scope: Any = None
        self._attr = kwargs

    def get(self, attr):
        """The scope's attributes with those of `attr`, a dict or None, which go first."""
        return {**self._attr, **attr} if attr else dict(self._attr)

    def __enter__(self):
        self._old_scope = AttrScope._current.value
        self._attr = {**self._old_scope._attr, **self._attr}
        AttrScope._current.value = self
        return self

    def __exit__(self, ptype, value, trace):
        AttrScope._current.value = self._old_scope

    def _set_current(cls, value):
        AttrScope._current.value = value

    # The scope that this thread is in.
    current = classproperty(lambda cls: AttrScope._current.value, _set_current)


AttrScope._current = _Thread()

__getattr__ = _borrowed.borrow(
    __name__,
    "threading warnings",
    {"collections": "defaultdict", ".base": "classproperty string_types with_metaclass"},
)
