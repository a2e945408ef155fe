"""``mx.contrib.sym``: what ``mx.sym.contrib`` has, under its older name."""

from ..symbol import contrib as _contrib

__all__ = _contrib.__all__


def __getattr__(name):
    return getattr(_contrib, name)


def __dir__():
    return __all__
