"""What MXNet keeps out of ``mx.sym``: scalar forms, assignment, samplers."""

from ..attribute import AttrScope  # noqa: F401 (MXNet's module has these too)
from ..base import _Null  # noqa: F401
from ..name import NameManager  # noqa: F401
from . import register
from .symbol import Symbol as SymbolBase  # noqa: F401

register.publish_internal(globals())


def __getattr__(name):
    raise AttributeError(register.explain_missing(__name__, name))
