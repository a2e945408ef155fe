"""Hooks: functions of yours that run while gradients are computed."""

from collections.abc import Callable
from typing import Any

from .._loader import core as _core

__all__ = ["HookHandle", "saved_arrays_hooks"]


class HookHandle:
    """What registering a hook returns: :meth:`remove` takes the hook away.

    It holds neither the array nor the function. As a ``with`` block it removes the hook at the end.
    """

    def __init__(self, number: int):
        self._number: int | None = number

    def remove(self) -> None:
        """Removes the hook. To call it again has no effect."""
        number, self._number = self._number, None
        if number is not None:
            _core.remove_hook(number)

    def __enter__(self) -> "HookHandle":
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()


class saved_arrays_hooks:
    """A ``with`` block in which what is saved for gradients goes through your functions.

    Parameters
    ----------
    pack : callable
        Called with each array that a recorded operator saves, as it is saved. What it returns, of
        any type, is kept in the place of the array: a NumPy array, an array of float16, the name
        of a file. It must not write into the array.
    unpack : callable
        Called with what `pack` returned, when a gradient reads the array. It must return an
        NDArray of the shape and dtype of the one that was packed.

    Only the block's own thread is concerned. Of nested blocks the innermost counts. Neither
    function is recorded. `pack` sees everything that is saved: results, data and variables. An
    array that one operator saves soon after another is packed once, and may live until the block
    has saved four others; one that operators save at different times is packed each time. `unpack`
    runs once in the gradient of each operator that reads the array, and again in another backward
    pass.

    Inside the block a hybridized block records its operators one by one, so that their arrays are
    packed too. What a :class:`~mxtape.autograd.Function` keeps is not packed, nor what an executor
    (``bind``) keeps.

    An array that `pack` returns as it is, or as a view, still warns if it is changed in place
    before its gradient reads it (:class:`~mxtape.base.StaleArrayWarning`).

    Raises
    ------
    MXNetError
        In backward: `unpack` returned an array of another shape or dtype.
    TypeError
        In backward: `unpack` returned no NDArray. Here: a function is not callable.

    What is saved as float16 takes half the memory:

    >>> from mxtape import autograd, nd
    >>> x = nd.array([1.0, 2.0, 3.0])
    >>> x.attach_grad()
    >>> with autograd.saved_arrays_hooks(lambda a: a.astype('float16'),
    ...                                  lambda packed: packed.astype('float32')):
    ...     with autograd.record():
    ...         y = (x * x).sum()
    >>> y.backward()
    >>> x.grad.asnumpy().tolist()
    [2.0, 4.0, 6.0]
    """

    def __init__(self, pack: Callable[[Any], Any], unpack: Callable[[Any], Any]):
        for name, function in (("pack", pack), ("unpack", unpack)):
            if not callable(function):
                raise TypeError(f"saved_arrays_hooks: {name} must be callable, got {function!r}")
        self._pack, self._unpack = pack, unpack

    def __enter__(self) -> "saved_arrays_hooks":
        _core.push_saved_hooks(self._pack, self._unpack)
        return self

    def __exit__(self, *error: object) -> None:
        _core.pop_saved_hooks()
