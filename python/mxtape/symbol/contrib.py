"""Symbols of the operators that MXNet calls contributed: ``mx.sym.contrib``."""

import math

from ..attribute import AttrScope  # noqa: F401 (MXNet's module has it too)
from . import register as _register
from .control_flow import cond, foreach, while_loop
from .symbol import Symbol


def rand_zipfian(true_classes, num_sampled, range_max):
    """Candidate classes drawn by Zipf's law, and how often each class is expected among them.

    Parameters
    ----------
    true_classes : Symbol
        The classes that are right, of shape (n,).
    num_sampled : int
        How many candidates to draw.
    range_max : int
        Classes are 0 to `range_max` - 1.

    Returns
    -------
    tuple of Symbol
        The candidates, the expected counts of the right classes, and those of the candidates.
    """
    if not isinstance(true_classes, Symbol):
        raise TypeError(f"rand_zipfian: true_classes must be a Symbol, got {type(true_classes)}")
    span = math.log(range_max + 1)
    draw = _register.get("_random_uniform")(low=0, high=span, shape=(num_sampled,), dtype="float64")
    exp, cast, log = (_register.get(name) for name in ("exp", "cast", "log"))
    sampled = cast(exp(draw) - 1, dtype="int64") % range_max

    def expected(classes):
        classes = cast(classes, dtype="float64")
        return log((classes + 2.0) / (classes + 1.0)) / span * num_sampled

    return sampled, expected(true_classes), expected(sampled)


__all__ = [
    "cond",
    "foreach",
    "rand_zipfian",
    "while_loop",
    *_register.publish_prefixed(globals(), "_contrib_"),
]

uniform = _register.get("_random_uniform", "uniform")
__all__ += ["uniform"]


def __getattr__(name):
    raise AttributeError(_register.explain_missing(__name__, name))
