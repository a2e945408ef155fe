"""Functions of one example applied to a batch of them: vmap."""

import functools
from collections.abc import Callable
from typing import Any

from .._loader import core as _core
from ..base import integer_types
from ..ndarray import NDArray
from ._trees import LEAF, like, unflatten

__all__ = ["vmap"]


def vmap(f: Callable[..., Any], in_axes: Any = 0, out_axes: Any = 0) -> Callable[..., Any]:
    """A function that applies `f` to every example of a batch, in calls over the whole batch.

    Inside `f` an array stands for one example: it has an example's shape, and no batch axis. Each
    call of an operator is one call over all examples, so that there is no loop.

    Parameters
    ----------
    f : callable
        A function of NDArrays, nested in tuples, lists and dicts as you like, that calls operators,
        methods of arrays and ``autograd``. It runs once. It cannot read values (``asnumpy()``,
        ``float()``, ``if``): they differ from example to example.
    in_axes : int, None, or tuple, list or dict of these, default 0
        The batch axis of each argument. A tuple has an entry for each argument. Where an argument
        is nested, an entry may be nested like it, or stands for all that is below it. None: the
        same for all examples.
    out_axes : int, None, or nested, default 0
        The place of the batch axis in each result, in the same way. None is for results that are
        the same for all examples.

    Returns
    -------
    callable
        Accepts what `f` accepts. Keyword arguments are the same for all examples. Results that are
        no arrays, such as numbers and None, are returned as they are.

    Raises
    ------
    ValueError
        No batch axis, batch axes of different extents, an empty batch, or `in_axes` and `out_axes`
        that do not fit what they are for.
    MXNetError
        An operator without a rule for batches (see docs/operators.md), or a value that is read.

    Notes
    -----
    Recording works inside and outside. ``vmap`` of a function that returns gradients gives those of
    each example; arrays that `f` captures from outside count as the same for all examples, and
    ``autograd.grad`` inside gives their gradient for each. Called while recording, the results are
    on the tape. Operators that draw random numbers draw different ones for each example if an
    argument differs from example to example, else the same ones for all.

    >>> from mxtape import autograd, nd
    >>> a, b = nd.array([[1, 2], [3, 4], [5, 6]]), nd.array([10, 1])
    >>> autograd.vmap(nd.dot, in_axes=(0, None))(a, b).asnumpy().ravel().tolist()
    [12.0, 34.0, 56.0]

    Gradients of a loss, one for each example:

    >>> w = nd.array([1.0, -1.0])
    >>> w.attach_grad()
    >>> def gradient(x):
    ...     with autograd.record():
    ...         loss = nd.square(nd.dot(w, x))
    ...     return autograd.grad(loss, w)[0]
    >>> autograd.vmap(gradient)(a).asnumpy().tolist()
    [[-2.0, -4.0], [-6.0, -8.0], [-10.0, -12.0]]
    """
    if not callable(f):
        raise TypeError(f"vmap: the first argument must be a function, got {f!r}")

    @functools.wraps(f)
    def mapped(*args, **kwargs):
        axes = list(in_axes) if isinstance(in_axes, (tuple, list)) else in_axes
        arrays: list = []
        structure = _flatten(list(args), axes, "in_axes", arrays)
        size = _batch_size(arrays)
        level = _core.vmap_enter(size)
        try:
            examples = [
                array if axis is None else _core.vmap_wrap(array, axis, level)
                for array, axis in arrays
            ]
            results = f(*unflatten(structure, examples), **kwargs)
            found: list = []
            structure = _flatten(results, out_axes, "out_axes", found)
            returned = [_core.vmap_unwrap(array, axis, level, size) for array, axis in found]
        finally:
            _core.vmap_leave(level)
        return unflatten(structure, returned)

    return mapped


def _flatten(tree, axes, what, arrays):
    """`tree` with places for its arrays, which go to the list `arrays` with their axes."""
    if isinstance(tree, NDArray):
        if axes is not None and not isinstance(axes, integer_types):
            raise ValueError(f"vmap: {what} has {axes!r} for an array; expected an integer or None")
        if axes is not None and what == "in_axes":
            if not -tree.ndim <= axes < tree.ndim:
                raise ValueError(
                    f"vmap: in_axes has axis {axes} for an array of shape {tree.shape}"
                )
            axes %= tree.ndim
        arrays.append((tree, axes))
        return LEAF
    if isinstance(tree, dict):
        below: Any = axes if isinstance(axes, dict) else dict.fromkeys(tree, axes)
        if isinstance(axes, (tuple, list)) or below.keys() != tree.keys():
            raise ValueError(f"vmap: {what} has {axes!r} for a dict with the keys {list(tree)}")
        return like(
            tree, {key: _flatten(item, below[key], what, arrays) for key, item in tree.items()}
        )
    if isinstance(tree, (tuple, list)):
        if isinstance(axes, dict) or (isinstance(axes, (tuple, list)) and len(axes) != len(tree)):
            kind = "arguments" if what == "in_axes" and type(tree) is list else "items"
            raise ValueError(f"vmap: {what} has {axes!r} for {len(tree)} {kind}")
        below = axes if isinstance(axes, (tuple, list)) else [axes] * len(tree)
        return like(tree, [_flatten(item, axis, what, arrays) for item, axis in zip(tree, below)])
    if what == "in_axes" and isinstance(axes, integer_types) and _is_foreign_array(tree):
        raise TypeError(
            f"vmap: arguments must be NDArrays, got a {type(tree).__name__}; convert it with "
            "nd.array()"
        )
    return tree


def _is_foreign_array(value):
    return hasattr(value, "__array__") and getattr(value, "ndim", 0) > 0


def _batch_size(arrays):
    sizes = {array.shape[axis] for array, axis in arrays if axis is not None}
    if not sizes:
        raise ValueError("vmap: no argument has a batch axis; in_axes is None for every array")
    if len(sizes) > 1:
        shapes = ", ".join(
            f"{array.shape} along axis {axis}" for array, axis in arrays if axis is not None
        )
        raise ValueError(f"vmap: the batch axes must have one extent, got the shapes {shapes}")
    (size,) = sizes
    if size == 0:
        raise ValueError("vmap: the batch is empty; it must have an example")
    return size
