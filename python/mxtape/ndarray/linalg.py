"""Linear algebra on the matrices in the last two axes of arrays: ``mx.nd.linalg``."""

from . import register

__all__ = register.publish_prefixed(globals(), "_linalg_")


def __getattr__(name):
    raise AttributeError(register.explain_missing(__name__, name))
