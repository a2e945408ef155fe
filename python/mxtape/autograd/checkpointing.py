"""Parts of a computation that are computed again for their gradient instead of kept."""

from __future__ import annotations

import functools
from typing import Any, Callable, TypeVar, overload

from .._loader import core
from ..ndarray import NDArray
from . import _trees, is_recording

__all__ = ["checkpoint"]

_F = TypeVar("_F", bound=Callable[..., Any])


class _Part:
    """What the tape calls: a function of a list of arrays. It holds none itself.

    `places` says which of the arrays each argument is: one that is given twice is one array.
    """

    def __init__(self, f: Callable[..., Any], form: Any, places: list[int]) -> None:
        self.f = f
        self.form = form
        self.places = places
        self.result: Any = None

    def __call__(self, arrays: list[NDArray]) -> list[NDArray]:
        args, kwargs = _trees.unflatten(self.form, [arrays[place] for place in self.places])
        found, self.result = _trees.flatten(self.f(*args, **kwargs))
        return found


def _name(f: Any) -> str:
    return getattr(f, "__qualname__", None) or getattr(f, "name", None) or type(f).__name__


def _call(f: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    if not is_recording():
        return f(*args, **kwargs)
    given, form = _trees.flatten((args, kwargs))
    distinct = {id(array): array for array in given}
    order = {key: place for place, key in enumerate(distinct)}
    part = _Part(f, form, [order[id(array)] for array in given])
    results = core.checkpoint(part, f"checkpoint of {_name(f)}", list(distinct.values()))
    return _trees.unflatten(part.result, results)


@overload
def checkpoint(f: _F) -> _F: ...


@overload
def checkpoint(f: Callable[..., Any], *args: Any, **kwargs: Any) -> Any: ...


def checkpoint(f: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Calls `f` and keeps its arguments only; backward computes the rest again.

    This saves memory and costs a second forward computation of `f`. A chain of `n` layers in
    segments of about `sqrt(n)` needs memory for `2 * sqrt(n)` layers in place of `n`.

    Parameters
    ----------
    f : callable
        A function or a Gluon block. It may use variables that are not among its arguments, such as
        the parameters of a block; they get their gradients. Called the second time, it must do
        the same.
    *args, **kwargs
        What `f` accepts: arrays, nested lists, tuples and dicts of arrays, and anything else.
        Without any, `f` is not called: the result is a function that calls `f` in this way, so
        that ``@checkpoint`` is a decorator.

    Returns
    -------
    What `f` returns: nested lists, tuples and dicts of arrays and anything else.

    Raises
    ------
    MXNetError
        In backward: `f` raised an exception when it was computed again, returned other shapes,
        drew random numbers more or less often, or used other variables. The message names `f` and
        the line that called the checkpoint.

    Notes
    -----
    - Random operators (``Dropout``, ``nd.random``) give the same numbers again, and the program's
      later numbers are those without a checkpoint. Random numbers of other libraries are not
      repeated.
    - Running statistics, as of ``BatchNorm``, are updated once.
    - Training mode is that of the first call.
    - Checkpoints may be nested. Gradients of any order are supported: under ``create_graph=True``
      what is computed again stays on the tape.
    - Where nothing is recorded, `f` is just called.
    - Other effects of `f` happen twice: text that it prints, arrays that it writes into. An array
      that it uses and that the program changes in place before backward gives a
      ``StaleArrayWarning``.

    >>> from mxtape import autograd, nd
    >>> def segment(x, w):
    ...     for _ in range(3):
    ...         x = nd.tanh(x * w)
    ...     return x
    >>> x, w = nd.array([0.5, 1.0]), nd.array([1.0, 2.0])
    >>> w.attach_grad()
    >>> with autograd.record():
    ...     y = autograd.checkpoint(segment, x, w)
    >>> y.backward()
    >>> [round(g, 4) for g in w.grad.asnumpy().tolist()]
    [0.941, 0.0943]

    As a decorator:

    >>> @autograd.checkpoint
    ... def cube(x):
    ...     return x * x * x
    >>> w.attach_grad()
    >>> with autograd.record():
    ...     y = cube(w)
    >>> y.backward()
    >>> w.grad.asnumpy().tolist()
    [3.0, 12.0]
    """
    if not callable(f):
        raise TypeError(f"checkpoint: expected a function or a block, got {f!r}")
    if args or kwargs:
        return _call(f, args, kwargs)

    @functools.wraps(f, updated=())  # a block's attributes stay its own
    def checkpointed(*args: Any, **kwargs: Any) -> Any:
        return _call(f, args, kwargs)

    return checkpointed
