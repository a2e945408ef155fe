"""Names for symbols that are given none: ``mx.name``."""

import threading
from typing import Any

from . import _borrowed
from .base import ClassPropertyMeta, classproperty

__all__ = ["NameManager", "Prefix"]


class _Thread(threading.local):
    """The manager that one thread uses; each thread begins with one of its own."""

    def __init__(self):
        self.value = NameManager()


class NameManager(metaclass=ClassPropertyMeta):
    """Makes names by counting: ``convolution0``, ``convolution1``, ...

    It is a ``with`` block, in which it is the thread's `current` manager. A subclass overrides
    :meth:`get`.

    Examples
    --------
    >>> import mxtape as mx
    >>> with mx.name.NameManager() as names:
    ...     names.get(None, "fc"), names.get(None, "fc"), names.get("output", "fc")
    ('fc0', 'fc1', 'output')
    """

    _current: _Thread

    def __init__(self):
        self._counter = {}
        self._old_manager: Any = None

    def get(self, name, hint):
        """A name for a symbol.

        Parameters
        ----------
        name : str or None
            The name that the program gives; it is returned when there is one.
        hint : str
            What the made name begins with: the operator's name in lower case. A number follows.
        """
        if name:
            return name
        number = self._counter.get(hint, 0)
        self._counter[hint] = number + 1
        return f"{hint}{number}"

    def __enter__(self):
        thread = NameManager._current
        self._old_manager, thread.value = thread.value, self
        return self

    def __exit__(self, ptype, value, trace):
        NameManager._current.value = self._old_manager

    def _set_current(cls, value):
        NameManager._current.value = value

    # The manager that this thread uses.
    current = classproperty(lambda cls: NameManager._current.value, _set_current)


class Prefix(NameManager):
    """Puts a prefix before every name, those that the program gives included.

    Parameters
    ----------
    prefix : str
        What names begin with.

    Examples
    --------
    >>> import mxtape as mx
    >>> with mx.name.Prefix("net_") as names:
    ...     names.get(None, "fc"), names.get("output", "fc")
    ('net_fc0', 'net_output')
    """

    def __init__(self, prefix):
        super().__init__()
        self._prefix = prefix

    def get(self, name, hint):
        """A name as :meth:`NameManager.get` makes it, after the prefix."""
        return self._prefix + super().get(name, hint)


NameManager._current = _Thread()

__getattr__ = _borrowed.borrow(
    __name__, "threading warnings", {".base": "classproperty with_metaclass"}
)
