"""Errors, warnings and small types that the whole package shares."""

from typing import TYPE_CHECKING

import numpy as np

from ._loader import core as _core

if TYPE_CHECKING:

    class MXNetError(RuntimeError):
        """What an operator or the engine refuses to do."""

else:
    MXNetError = _core.MXNetError

numeric_types = (float, int, np.generic)
integer_types = (int, np.integer)
string_types = (str,)
mx_real_t = np.float32


class StaleArrayWarning(UserWarning):
    """An array that a gradient needs was changed in place between forward and backward.

    ``MXTAPE_STALE=error`` turns it into an :class:`MXNetError`, ``MXTAPE_STALE=off`` silences it.
    """


class NotImplementedForSymbol(MXNetError):
    """A function of arrays was called on a symbol."""

    def __init__(self, function, alias, *args):
        super().__init__()
        self.function = function.__name__
        self.alias = alias
        self.args = tuple(str(type(a)) for a in args)

    def __str__(self):
        alias = f" (namely operator '{self.alias}')" if self.alias else ""
        types = f" with arguments of type {', '.join(self.args)}" if self.args else ""
        return f"{self.function}{alias} is not implemented for Symbol{types}"


class _NullType:
    """Stands for an argument that is not given."""

    def __repr__(self):
        return "_Null"

    def __bool__(self):
        return False


_Null = _NullType()
_core.set_null(_Null)

__all__ = ["MXNetError", "NotImplementedForSymbol", "StaleArrayWarning"]
