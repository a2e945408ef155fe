"""Sequences of steps, as one array or symbol with an axis of time or as a list of one per step."""

from typing import Any

from ... import ndarray, symbol

tensor_types: Any = (symbol.Symbol, ndarray.NDArray)


def _namespace(x):
    """``mx.sym`` for a symbol or a list that begins with one, else ``mx.nd``."""
    if isinstance(x, (list, tuple)) and x:
        return _namespace(x[0])
    return symbol if isinstance(x, symbol.Symbol) else ndarray


def _split(F, whole, length, axis):
    """A sequence as a list of its steps."""
    parts = F.split(whole, axis=axis, num_outputs=length, squeeze_axis=1)
    return [parts] if isinstance(parts, ndarray.NDArray) else list(parts)


def _layout_axes(layout):
    time, batch = layout.find("T"), layout.find("N")
    if time < 0 or batch < 0:
        raise AssertionError(
            f"unroll: layout must name the axes of the batch, N, and of time, T; got {layout!r}"
        )
    return time, batch


def _steps_of_whole(length, inputs, axis):
    """The steps of a sequence that is one array or symbol, as a list."""
    if isinstance(inputs, symbol.Symbol):
        count = len(inputs.list_outputs())
        if count != 1:
            raise AssertionError(
                f"unroll: inputs is a symbol with {count} outputs. If they are the steps, give "
                "list(inputs); to split a sequence, give a symbol with one output"
            )
        if length is None:
            raise ValueError("unroll: length must be given for symbols")
        return _split(symbol, inputs, length, axis)
    return _split(ndarray, inputs, inputs.shape[axis], axis)


def _format_sequence(length, inputs, layout, merge, in_layout=None):
    """A sequence as one array or symbol (`merge` is True), as a list (False), or as it is (None).

    Parameters
    ----------
    length : int or None
        The number of steps that is expected.
    inputs : NDArray, Symbol, or a list of them
    layout : str
        What the axes of the result are: N the batch, T time, others as they come.
    merge : bool or None
    in_layout : str, optional
        What the axes of `inputs` are where it is whole. Default: `layout`.

    Returns
    -------
    tuple
        The sequence; the number of the axis of time; ``mx.nd`` or ``mx.sym``; the size of the
        batch, 0 for symbols.
    """
    if inputs is None:
        raise AssertionError("unroll: inputs is None; make the inputs first and give those")
    axis, batch_axis = _layout_axes(layout)
    F = _namespace(inputs)
    if isinstance(inputs, tensor_types):
        in_axis = axis if in_layout is None else in_layout.find("T")
        if F is ndarray:
            _check_length(length, inputs.shape[in_axis])
        size = inputs.shape[batch_axis] if F is ndarray else 0
        if merge is False:
            inputs = _steps_of_whole(length, inputs, in_axis)
        elif in_axis != axis:
            inputs = F.swapaxes(inputs, dim1=axis, dim2=in_axis)
        return inputs, axis, F, size
    _check_length(length, len(inputs))
    # A step has no axis of time.
    size = inputs[0].shape[batch_axis - (axis < batch_axis)] if F is ndarray else 0
    if merge is True:
        inputs = F.stack(*inputs, axis=axis)
    return inputs, axis, F, size


def _check_length(wanted, found):
    if wanted is not None and wanted != found:
        raise AssertionError(f"unroll: length is {wanted}, but inputs has {found} steps")


def _mask_sequence_variable_length(F, data, length, valid_length, time_axis, merge):
    """The sequence with zeros from step `valid_length` on; a list only if `merge` is False."""
    if not isinstance(data, tensor_types):
        data = F.stack(*data, axis=time_axis)
    masked = F.SequenceMask(
        data, sequence_length=valid_length, use_sequence_length=True, axis=time_axis
    )
    return _split(F, masked, length, time_axis) if merge is False else masked


def _reverse_sequences(sequences, unroll_step, valid_length=None):
    """A list of steps in reverse; of each sample only the first `valid_length` steps."""
    if valid_length is None:
        return list(reversed(sequences))
    F = _namespace(sequences)
    backward = F.SequenceReverse(
        F.stack(*sequences, axis=0), sequence_length=valid_length, use_sequence_length=True
    )
    return _split(F, backward, unroll_step, 0)


def _states_at(F, history, valid_length):
    """Of each sample the states after its `valid_length` steps; `history` begins before the first.

    `history` is a list, of the states at each time.
    """
    if not isinstance(valid_length, tensor_types):
        raise AssertionError(
            f"unroll: valid_length must be an NDArray or a Symbol, got {valid_length!r}"
        )
    return [
        F.SequenceLast(
            F.stack(*times, axis=0), sequence_length=valid_length + 1, use_sequence_length=True
        )
        for times in zip(*history)
    ]


def _get_begin_state(cell, F, begin_state, inputs, batch_size):
    """`begin_state`, or the cell's own where that is None, on the context of the inputs."""
    if begin_state is not None:
        return begin_state
    if F is symbol:
        return cell.begin_state(func=F.zeros, batch_size=batch_size)
    first = inputs if isinstance(inputs, tensor_types) else inputs[0]
    options = {"ctx": first.context}
    if first.dtype != "float32":
        options["dtype"] = first.dtype
    return cell.begin_state(func=F.zeros, batch_size=batch_size, **options)
