# ruff: noqa: F401 (what is imported here is what `mx.sym` offers)
"""Symbols, graphs of operators, and the functions that compose them: ``mx.sym``."""

from . import op, register
from .creation import arange, eye, full, histogram, linspace, ones, split_v2, zeros
from .custom import Custom
from .operators import hypot, maximum, minimum, pow, power
from .symbol import Group, Symbol, Variable, load, load_json, var

register.publish_operators(globals(), op.__dict__)

from . import _internal, contrib, image, linalg, random, sparse  # noqa: E402

__all__ = [name for name in globals() if not name.startswith("_")]


def __getattr__(name):
    raise AttributeError(register.explain_missing(__name__, name))
