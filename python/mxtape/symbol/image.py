"""Symbols of the operators in ``mx.nd.image``: ``mx.sym.image``."""

from . import register as _register

__all__ = _register.publish_prefixed(globals(), "_image_")


def __getattr__(name):
    raise AttributeError(_register.explain_missing(__name__, name))
