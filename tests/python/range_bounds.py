"""How far pointwise functions may be off, in units in the last place: of every floating dtype.

For each function: its value, its first and its second derivatives. The range matrix
(test_range.py) holds every operator to it at about two hundred points that span each dtype, and
docs/operators.md lists it.
"""

from dataclasses import dataclass
from typing import Callable

BOUNDS = {}


def bounds_of(family):
    """The largest errors of value, first and second order."""
    return BOUNDS.get(family, (2, 4, 8))


@dataclass(frozen=True)
class Exception_:
    """Points at which a function is worse than its bound, and why."""

    covers: Callable
    reason: str


EXCEPTIONS: dict = {}
