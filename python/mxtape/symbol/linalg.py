"""Symbols of the operators in ``mx.nd.linalg``: ``mx.sym.linalg``."""

from . import register as _register

__all__ = _register.publish_prefixed(globals(), "_linalg_")


def __getattr__(name):
    raise AttributeError(_register.explain_missing(__name__, name))
