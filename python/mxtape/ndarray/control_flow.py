"""Loops and branches over arrays: ``foreach``, ``while_loop`` and ``cond`` of ``mx.nd.contrib``.

Imperative programs run their Python functions as they come; each step is recorded like any code.
"""

from typing import Any

from .._loader import core as _core
from . import register as _register
from .ndarray import zeros

__all__ = ["cond", "foreach", "while_loop"]

_NDArray = _core.NDArray


def _flatten(nested, what):
    """The arrays of a nested list in order, and its form: None for an array, else a list."""
    if isinstance(nested, _NDArray):
        return [nested], None
    if not isinstance(nested, (list, tuple)):
        raise AssertionError(
            f"{what} must be an NDArray or a (nested) list of them, got {type(nested).__name__}"
        )
    arrays, form = [], []
    for item in nested:
        inner, inner_form = _flatten(item, what)
        arrays += inner
        form.append((len(inner), inner_form))
    return arrays, form


def _nest(arrays, form):
    """The inverse of :func:`_flatten`, with lists for tuples."""
    if form is None:
        return arrays[0]
    nested, at = [], 0
    for count, inner in form:
        nested.append(_nest(arrays[at : at + count], inner))
        at += count
    return nested


def _stacked(steps, rows):
    """The steps' outputs one below the other, and rows of zeros up to `rows`."""
    stack, concat = _register.get("stack"), _register.get("concat")
    results = []
    for outputs in zip(*steps):
        result = stack(*outputs, axis=0)
        if len(outputs) < rows:
            shape = (rows - len(outputs), *result.shape[1:])
            padding = zeros(shape, outputs[0].context, dtype=result.dtype)
            result = concat(result, padding, dim=0)
        results.append(result)
    return results


def foreach(body, data, init_states):
    """Calls a function on the slices of arrays along their first axis, passing states on.

    Parameters
    ----------
    body : callable
        ``body(slices, states)`` returns ``(outputs, new_states)``: each an NDArray or a (nested)
        list of them, of the same form in every step.
    data : NDArray or (nested) list of NDArray
        What is sliced. All have the same first extent, at least 1.
    init_states : NDArray or (nested) list of NDArray
        The states of the first step. May be ``[]``.

    Returns
    -------
    tuple
        The outputs of all steps, stacked along a new first axis, and the last states.

    Raises
    ------
    AssertionError
        When data or states hold something else than NDArrays.
    ValueError
        When the first extents differ or are 0, or the form of outputs or states changes.

    Examples
    --------
    >>> import mxtape as mx
    >>> add = lambda x, total: (x + total, x + total)
    >>> outputs, total = mx.nd.contrib.foreach(add, mx.nd.array([[1], [2], [3]]), mx.nd.zeros((1,)))
    >>> outputs.asnumpy().ravel().tolist(), total.asscalar().item()
    ([1.0, 3.0, 6.0], 6.0)
    """
    arrays, form = _flatten(data, "foreach: data")
    states, state_form = init_states, _flatten(init_states, "foreach: init_states")[1]
    extents = {array.shape[0] if array.ndim else 0 for array in arrays}
    if len(extents) != 1 or 0 in extents:
        raise ValueError(
            "foreach: data must have one first extent, at least 1; got shapes "
            f"{[array.shape for array in arrays]}"
        )
    steps: list = []
    output_form = None
    for i in range(extents.pop()):
        outputs, states = body(_nest([array[i] for array in arrays], form), states)
        flat, this_form = _flatten(outputs, "foreach: the outputs of body")
        if _flatten(states, "foreach: the states of body")[1] != state_form:
            raise ValueError("foreach: body must return states of the form that it was given")
        if steps and this_form != output_form:
            raise ValueError("foreach: body must return outputs of one form in all steps")
        output_form = this_form
        steps.append(flat)
    return _nest(_stacked(steps, len(steps)), output_form), states


def _truth(value, what):
    """A condition as a bool; an array must have one element."""
    if isinstance(value, _NDArray):
        if value.size != 1:
            raise ValueError(f"{what} must be a scalar, got an array of shape {value.shape}")
        return bool(value.asscalar())
    return bool(value)


def while_loop(cond, func, loop_vars, max_iterations=None):
    """Calls a function as long as a condition on its variables holds.

    Parameters
    ----------
    cond : callable
        ``cond(*loop_vars)`` returns a scalar NDArray, a number or a bool.
    func : callable
        ``func(*loop_vars)`` returns ``(outputs, new_loop_vars)``. The outputs are an NDArray, a
        (nested) list of them or None; the variables keep their number.
    loop_vars : NDArray, or list or tuple of NDArray
        The variables of the first step; at least one.
    max_iterations : int
        The loop ends after so many steps, whatever the condition says.

    Returns
    -------
    tuple
        The outputs of all steps, stacked along a new first axis of extent max_iterations, in which
        the rows after the last step are zeros; and the last variables. Without a step the outputs
        are ``[]``.

    Raises
    ------
    ValueError
        Without max_iterations or variables, when the number of variables or the outputs' form
        changes, or when a condition is not a scalar.

    Examples
    --------
    >>> import mxtape as mx
    >>> outputs, i = mx.nd.contrib.while_loop(
    ...     lambda i: i < 3, lambda i: (i * 2, i + 1), mx.nd.array([0]), max_iterations=4
    ... )
    >>> outputs.asnumpy().ravel().tolist(), i.asscalar().item()
    ([0.0, 2.0, 4.0, 0.0], 3.0)
    """
    if max_iterations is None:
        raise ValueError("while_loop: max_iterations must be given")
    try:
        max_iterations = int(max_iterations)
    except (TypeError, ValueError):
        raise ValueError(
            f"while_loop: max_iterations must be an integer, got {max_iterations!r}"
        ) from None
    single = isinstance(loop_vars, _NDArray)
    variables = [loop_vars] if single else list(loop_vars)
    if not variables:
        raise ValueError("while_loop: loop_vars must have at least one element")
    steps: list = []
    form: Any = []
    while len(steps) < max_iterations and _truth(cond(*variables), "while_loop: the condition"):
        outputs, new_variables = func(*variables)
        new_variables = [new_variables] if isinstance(new_variables, _NDArray) else new_variables
        if len(new_variables or ()) != len(variables):
            raise ValueError(
                f"while_loop: func returned {len(new_variables or ())} variables, it was given "
                f"{len(variables)}"
            )
        flat, this_form = _flatten([] if outputs is None else outputs, "while_loop: the outputs")
        if steps and this_form != form:
            raise ValueError("while_loop: func must return outputs of one form in all steps")
        form, variables = this_form, list(new_variables)
        steps.append(flat)
    return _nest(_stacked(steps, max_iterations), form), variables[0] if single else variables


def cond(pred, then_func, else_func):
    """Calls one of two functions.

    Parameters
    ----------
    pred : NDArray, number or bool
        A scalar: whether the first is called.
    then_func, else_func : callable
        Functions without arguments.

    Returns
    -------
    NDArray or list of NDArray
        What the function returned.

    Raises
    ------
    ValueError
        When pred is an array of several elements.

    Examples
    --------
    >>> import mxtape as mx
    >>> x = mx.nd.array([4])
    >>> mx.nd.contrib.cond(x > 3, lambda: x * 10, lambda: x).asscalar().item()
    40.0
    """
    return then_func() if _truth(pred, "cond: pred") else else_func()
