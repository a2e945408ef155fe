"""``x[key]`` and ``x[key] = value`` beyond what the engine's own slots do."""

import numpy as np

from .._loader import core as _core
from ..base import integer_types, numeric_types
from . import register

NDArray = _core.NDArray


def _is_basic(key):
    return isinstance(key, (slice, integer_types)) or key is None or key is Ellipsis


def _plain_index(item):
    """An index as NumPy accepts it. Booleans are masks when they are arrays, numbers otherwise."""
    if isinstance(item, NDArray):
        item = _core.as_numpy(item, True)
    if isinstance(item, (list, tuple, range)):
        # A list of truth values is a list of zeros and ones, as in MXNet.
        return _checked_numbers(np.array(_nested_values(item))).astype(np.int64)
    if isinstance(item, (np.ndarray, np.generic)):
        if item.dtype == np.bool_ and item.ndim:
            return item
        return _checked_numbers(item).astype(np.int64)
    if isinstance(item, bool):
        return int(item)
    if _is_basic(item):
        return item
    raise ValueError(f"indexing: an NDArray cannot be indexed with {item!r} of type {type(item)}")


def _nested_values(item):
    if isinstance(item, NDArray):
        return _core.as_numpy(item, True)
    return [_nested_values(i) for i in item] if isinstance(item, (list, tuple, range)) else item


def _checked_numbers(values):
    if values.dtype.kind not in "iufb":
        raise ValueError(f"indexing: cannot index with an array of dtype {values.dtype}")
    return values


def _index_error(x, error):
    """NumPy's complaint about a key, as MXNet's type of error."""
    kind = ValueError if "broadcast" in str(error) else IndexError
    return kind(f"indexing an array of shape {x.shape}: {error}")


def _normalize(key):
    key = key if isinstance(key, tuple) else (key,)
    return tuple(_plain_index(item) for item in key)


def _axes_of(item):
    """How many axes of the array an index stands for."""
    if item is None or item is Ellipsis:
        return 0
    return item.ndim if isinstance(item, np.ndarray) and item.dtype == np.bool_ else 1


def _expand(key, ndim):
    """`key` with its ellipsis written out and a slice for every axis that it leaves out."""
    used = sum(_axes_of(item) for item in key)
    if used > ndim:
        raise IndexError(f"indexing: too many indices: {used} for an array of {ndim} dimensions")
    ellipses = sum(item is Ellipsis for item in key)
    if ellipses > 1:
        raise IndexError("indexing: only one ellipsis is allowed")
    rest = (slice(None),) * (ndim - used)
    if not ellipses:
        return key + rest
    at = next(i for i, item in enumerate(key) if item is Ellipsis)
    return key[:at] + rest + key[at + 1 :]


def indexing_key_expand_implicit_axes(key, shape):
    """The key of ``x[key]`` with an index for every axis of `shape`, and -1.

    MXNet gives the place of a lone boolean as the second value; here booleans are numbers.

    >>> import mxtape as mx
    >>> mx.nd.indexing_key_expand_implicit_axes((0, Ellipsis), (2, 3))
    ((0, slice(None, None, None)), -1)
    """
    return _expand(key if isinstance(key, tuple) else (key,), len(shape)), -1


def get_indexing_dispatch_code(key):
    """0 when the key of ``x[key]``, a tuple, is basic, and 1 when it has a list or an array in it.

    Raises
    ------
    AssertionError
        When key is not a tuple.
    ValueError
        For an index that is none of these.

    >>> from mxtape.nd import get_indexing_dispatch_code
    >>> get_indexing_dispatch_code((0, slice(1, 2), None)), get_indexing_dispatch_code(([0, 1],))
    (0, 1)
    """
    if not isinstance(key, tuple):
        raise AssertionError(f"get_indexing_dispatch_code: key must be a tuple, got {key!r}")
    advanced = False
    for item in key:
        if isinstance(item, (NDArray, np.ndarray, list, tuple, range)):
            advanced = True
        elif not _is_basic(item) or item is Ellipsis:
            raise ValueError(f"indexing: {item!r} of type {type(item)} is not an index here")
    return int(advanced)


def _resolve(item, extent, axis):
    """(start, stop, step, length) of an int or a slice along an axis."""
    if isinstance(item, slice):
        start, stop, step = item.indices(extent)
        return start, stop, step, len(range(start, stop, step))
    index = int(item)
    if not -extent <= index < extent:
        raise IndexError(f"index {index} is out of bounds for axis {axis} with size {extent}")
    index %= extent
    return index, index + 1, 1, 1


def _basic_layout(key, shape):
    """What a basic key selects along each axis, and the shape of the result."""
    selections, result = [], []
    axis = 0
    for item in key:
        if item is None:
            result.append(1)
            continue
        selections.append(_resolve(item, shape[axis], axis))
        if isinstance(item, slice):
            result.append(selections[-1][3])
        axis += 1
    return selections, tuple(result) or _element_shape()


def _element_shape():
    """The shape of a single element that is picked by numbers."""
    return () if _core.is_np_shape() else (1,)


def _contiguous(selections, shape):
    """Whether the selected elements lie side by side in memory."""
    first = next((i for i, s in enumerate(selections) if s[3] != 1), len(selections))
    if first < len(selections) and selections[first][2] != 1:
        return False
    return all(
        s[3] == extent and (s[2] == 1 or extent == 1)
        for s, extent in zip(selections[first + 1 :], shape[first + 1 :])
    )


def _get_basic(x, key):
    shape = x.shape
    selections, result = _basic_layout(key, shape)
    if 0 not in result and _contiguous(selections, shape):
        view = x
        for start, stop, _, length in selections:
            if length != 1:
                view = view[start:stop]
                break
            if view.ndim == 1:
                view = view[start : start + 1]
                break
            view = view[start]
        return view if view.shape == result else _core.reshape_to(view, list(result))
    part = register.get("slice")(x, *_slice_parameters(selections))
    return part if part.shape == result else _core.reshape_to(part, list(result))


def _slice_parameters(selections):
    """begin, end and step of the operators that slice."""
    begin, end, step = [], [], []
    for start, stop, stride, length in selections:
        begin.append(start if length else 0)
        end.append(None if stop < 0 and length else stop if length else 0)
        step.append(stride if length else 1)
    return tuple(begin), tuple(end), tuple(step)


def _flat_positions(x, key):
    """The indexed leading axes as one axis: their extents, and the positions that `key` selects.

    The indices alone are looked at: what this takes depends on what is selected, not on `x`.
    """
    last = max(i for i, item in enumerate(key) if item is None or not _is_full(item))
    lead = x.shape[: sum(_axes_of(item) for item in key[: last + 1])]
    steps = _steps(lead)
    along, joined, axis = [], [], 0  # what each slice and None adds to a position; each index
    places = []  # of the indices
    for place, item in enumerate(key[: last + 1]):
        axes = _axes_of(item)
        if item is None:
            along.append(np.zeros(1, dtype=np.int64))
        elif isinstance(item, slice):
            along.append(np.arange(*item.indices(lead[axis]), dtype=np.int64) * steps[axis])
        else:
            joined.append(_index_numbers(x, item, axis) * steps[axis + axes - 1])
            places.append(place)
        axis += axes
    try:
        together = sum(joined[1:], joined[0])
    except ValueError:
        shapes = " ".join(str(numbers.shape) for numbers in joined)
        raise ValueError(
            f"indexing an array of shape {x.shape}: the indices of shapes {shapes} do not "
            "broadcast together"
        ) from None
    # As in NumPy: the axes of indices that stand side by side stay there, others come first.
    at = places[0] if places[-1] - places[0] + 1 == len(places) else 0
    positions = np.zeros((), dtype=np.int64)
    for numbers in (*along[:at], together, *along[at:]):
        positions = positions.reshape(positions.shape + (1,) * numbers.ndim) + numbers
    return lead, np.ascontiguousarray(positions)


def _index_numbers(x, item, axis):
    """The positions along `axis` that an index selects; a mask's along its axes taken as one."""
    if isinstance(item, np.ndarray) and item.dtype == np.bool_:
        extents = x.shape[axis : axis + item.ndim]
        if item.shape != extents:
            raise IndexError(
                f"indexing an array of shape {x.shape}: a mask of shape {item.shape} does not "
                f"match the extents {extents} from axis {axis} on"
            )
        return np.flatnonzero(item)
    numbers, extent = np.asarray(item, dtype=np.int64), x.shape[axis]
    outside = (numbers < -extent) | (numbers >= extent)
    if outside.any():
        raise IndexError(
            f"indexing an array of shape {x.shape}: index {numbers[outside].flat[0]} is out of "
            f"bounds for axis {axis} with size {extent}"
        )
    return np.where(numbers < 0, numbers + extent, numbers)


def _steps(shape):
    """How many elements apart in memory neighbours along each axis are."""
    steps = [1]
    for extent in shape[:0:-1]:
        steps.append(steps[-1] * extent)
    return steps[::-1]


def _is_full(item):
    return isinstance(item, slice) and item == slice(None)


def getitem(x, key):
    """x[key]: a view where the elements lie side by side, else a copy; x[()] is x itself."""
    if (isinstance(key, tuple) and not key) or (x.ndim == 0 and _is_full(key)):
        return x
    if _core.is_batched(key) and np.dtype(key.dtype).kind in "iuf":
        # Inside vmap: another index for each example, which cannot be checked.
        return register.get("take")(x, key, 0, "wrap")
    if x.ndim == 0 and key is not Ellipsis:
        raise IndexError("indexing: the array has no dimensions")
    key = _expand(_normalize(key), x.ndim)
    if all(_is_basic(item) for item in key):
        return _get_basic(x, key) if x.ndim else _core.reshape_to(x, [])
    index = [axis for axis, item in enumerate(key) if item is None or not _is_full(item)]
    if len(index) == 1 and 0 not in x.shape and _is_list(key[index[0]]):
        axis = index[0]
        numbers = _index_numbers(x, key[axis], axis)
        if numbers.size:
            return register.get("take")(x, _core.from_numpy_copy(numbers), axis, "clip")
    lead, positions = _flat_positions(x, key)
    rest = x.shape[len(lead) :]
    shape = positions.shape + rest
    if 0 in shape or 0 in x.shape:
        return _core.empty(list(shape), x.dtype)
    rows = _core.reshape_to(x, [int(np.prod(lead, dtype=np.int64)), *rest])
    taken = register.get("take")(rows, _core.from_numpy_copy(positions), 0, "clip")
    return taken if shape else _core.reshape_to(taken, list(_element_shape()))


def _is_list(item):
    """Whether an index is an array of numbers along one axis."""
    return isinstance(item, np.ndarray) and item.dtype != np.bool_ and item.ndim > 0


def setitem(x, key, value):
    """x[key] = value, in place. Recorded when `value` is and `x` is not."""
    _core.check_writable(x, "x[key] = value")
    if x.ndim == 0 and _is_full(key):
        key = ()
    key = _expand(_normalize(key), x.ndim)
    if isinstance(value, NDArray) and _core.is_recording() and _core.on_tape(value):
        _record_setitem(x, key, value)
        return
    if _core.is_batched(x) or _core.is_batched(value):
        # Inside vmap: no memory to write to.
        _record_setitem(x, key, value if isinstance(value, NDArray) else _array_like(x, value))
        return
    _core.write(x, lambda target: _assign(target, key, value, x), lambda: _written(x, key))


def _written(x, key):
    """What ``x[key] = value`` writes: a list of (begin, end, step, width) in elements of `x`.

    `width` elements from begin on, and again after every `step`, up to end; a step of 0 means all.
    """
    if all(_is_basic(item) for item in key):
        selections, _ = _basic_layout(key, x.shape)
        return _written_slice(selections, _steps(x.shape))
    lead, positions = _flat_positions(x, key)
    rest = int(np.prod(x.shape[len(lead) :], dtype=np.int64))
    positions = np.unique(positions) * rest
    if positions.size > _NOTED_ONE_BY_ONE:
        return [(int(positions[0]), int(positions[-1]) + rest, 0, 0)]
    return [(position, position + rest, 0, 0) for position in positions.tolist()]


_NOTED_ONE_BY_ONE = 16


def _written_slice(selections, steps):
    begin, width = 0, 1
    outer = outer_length = 0  # the first axis along which more than one element is written
    for (start, _, stride, length), step in zip(selections, steps):
        if length == 0:
            return []
        begin += min(start, start + (length - 1) * stride) * step
        if length > 1 and not outer:
            outer, outer_length = abs(stride) * step, length
        else:
            width += (length - 1) * abs(stride) * step
    end = begin + width + outer * max(outer_length - 1, 0)
    return [(begin, end, outer, width) if outer > width else (begin, end, 0, 0)]


def _assign(target, key, value, x):
    if isinstance(value, NDArray):
        value = _core.as_numpy(value, True)
    elif value is None:
        value = np.nan
    elif not isinstance(value, (*numeric_types, np.ndarray)):
        try:
            value = np.asarray(value)
            if value.dtype.kind not in "iufb":
                raise TypeError
        except (TypeError, ValueError):
            raise TypeError(
                f"x[key] = value: cannot assign {value!r} of type {type(value)} to an NDArray"
            ) from None
    elif isinstance(value, (complex, np.complexfloating)):
        raise TypeError("x[key] = value: an NDArray holds no complex numbers")
    if isinstance(value, np.ndarray) and value.size == 1:
        # MXNet's scalars have the shape (1,), which NumPy does not put into a single element.
        value = value.reshape(())
    try:
        with np.errstate(invalid="ignore", over="ignore"):
            if not isinstance(value, np.ndarray) and target.dtype.kind in "iu":
                value = np.asarray(value).astype(target.dtype)
            elif isinstance(value, np.ndarray) and value.dtype != target.dtype:
                value = value.astype(target.dtype)
            target[key] = value
    except IndexError as error:
        raise _index_error(x, error) from None
    except ValueError as error:
        raise ValueError(f"x[key] = value with x of shape {x.shape}: {error}") from None


def _array_like(x, value):
    """What is assigned to `x`, as an array of its dtype."""
    made = np.empty(np.shape(value), x.dtype)
    _assign(made, (Ellipsis,), value, x)
    return _core.from_numpy_copy(made)


def _record_setitem(x, key, value):
    """Assignment as an operator, so that gradients reach the assigned value."""
    value = value.astype(x.dtype, copy=False)
    if all(_is_full(item) for item in key):
        _broadcast(value, x.shape).copyto(x)
        return
    if all(_is_basic(item) for item in key):
        selections, shape = _basic_layout(key, x.shape)
        if 0 not in shape:
            lengths = [length for *_, length in selections]
            part = _core.reshape_to(_broadcast(value, shape), lengths)
            register.get("_slice_assign")(x, part, *_slice_parameters(selections), out=x)
        return
    lead, positions = _flat_positions(x, key)
    if positions.size == 0:
        return
    shape = positions.shape + x.shape[len(lead) :]
    indices = np.stack(np.unravel_index(positions.reshape(-1), lead)).astype(np.int64)
    rows = _core.reshape_to(_broadcast(value, shape), [positions.size, *x.shape[len(lead) :]])
    register.get("_scatter_set_nd")(
        x, rows, _core.from_numpy_copy(np.ascontiguousarray(indices)), x.shape, out=x
    )


def _broadcast(value, shape):
    while value.ndim > len(shape) and value.shape[0] == 1:
        value = value.reshape(value.shape[1:])
    return value if value.shape == shape else value.broadcast_to(shape)


_core.set_index_hooks(getitem, setitem)
