"""What a row of the gradient matrix says of an operator."""

from dataclasses import dataclass, field
from typing import Any, Callable, Optional


@dataclass(frozen=True)
class Ints:
    """An input of whole numbers below `below`: an index or a label, not differentiated."""

    shape: tuple
    below: int


@dataclass(frozen=True)
class Row:
    """One call whose gradients are checked.

    inputs: for each input a shape (values drawn evenly from `domain`, well apart from each other),
        an Ints, or a fixed numpy array.
    domain: (low, high), or one such pair for each input.
    order: how often the call is differentiated, 1 only with a reason in `note`.
    prepare: a function (nd, *inputs) that returns the operator's inputs, where these must be of a
        kind: symmetric, or positive definite. It is differentiated with the operator.
    stypes: the storage types of the inputs, of which some are sparse. Some elements, or rows, of
        those are then made 0.
    loss: for an operator that ignores its head gradient, the function (mx, *inputs) whose gradient
        it claims to give.
    """

    op: str
    inputs: list
    params: dict = field(default_factory=dict)
    domain: tuple = (-2, 2)
    order: int = 2
    prepare: Optional[Callable[..., Any]] = None
    loss: Optional[Callable[..., Any]] = None
    stypes: tuple = ()
    note: str = ""
