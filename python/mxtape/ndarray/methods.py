"""The methods of NDArray that are not operators as they stand.

They are written as a class so that a reader finds them together, and are put on the engine's type
by :func:`install`; the methods that are operators follow from the operators' declarations.
"""

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from .._loader import core as _core
from .._missing import elsewhere, see
from ..base import MXNetError, integer_types
from ..context import Context, check_context
from . import dlpack as _dlpack
from . import indexing as _indexing  # noqa: F401 (installs the hooks)
from . import register
from .files import from_pickled
from .ndarray import _dtype

NDArray = _core.NDArray


def _rebuild(values, ctx_type, ctx_id, dtype=None):
    made = _core.from_numpy_copy(values)
    if dtype is not None:
        made = made.astype(dtype)
    _core.set_device(made, ctx_type, ctx_id)
    return made


if TYPE_CHECKING:

    class _Native:
        """What the engine's type has by itself, for the type checker."""

        shape: tuple[int, ...]
        dtype: type
        size: int
        ndim: int

        def __getitem__(self, key: object) -> Any: ...

else:
    _Native = object


# Functions of NumPy's that are methods here, with the parameters that the two share.
_SHARED = {
    "sum": ("sum", ("axis", "keepdims")),
    "prod": ("prod", ("axis", "keepdims")),
    "max": ("max", ("axis", "keepdims")),
    "amax": ("max", ("axis", "keepdims")),
    "min": ("min", ("axis", "keepdims")),
    "amin": ("min", ("axis", "keepdims")),
    "argmax": ("argmax", ("axis",)),
    "argmin": ("argmin", ("axis",)),
    "squeeze": ("squeeze", ("axis",)),
    "clip": ("clip", ("a_min", "a_max")),
    "repeat": ("repeat", ("repeats", "axis")),
    "round": ("round", ()),
    "around": ("round", ()),
    "round_": ("round", ()),  # what np.round is called in NumPy 1
}
# Functions of NumPy's that write into their first argument.
_WRITERS = {"copyto", "fill_diagonal", "place", "put", "put_along_axis", "putmask"}


def _as_numpy(value):
    """`value` with the NDArrays in it, also in nested lists, turned into NumPy's."""
    if isinstance(value, NDArray):
        return value.asnumpy()
    if type(value) in (list, tuple):
        converted = [_as_numpy(item) for item in value]
        if any(a is not b for a, b in zip(value, converted)):
            return type(value)(converted)
    return value


def _gradient_buffer(array, stype):
    """Zeros for the gradient of an array."""
    if _core.is_batched(array):
        buffer = register.get("zeros_like")(array)
    elif stype != "default":
        buffer = _core.empty_sparse(stype, array.shape, array.dtype)
    else:
        buffer = _core.full(list(array.shape), 0.0, array.dtype)
    _core.set_device(buffer, *_core.device(array))
    return buffer


class _Methods(_Native):
    # NumPy's arrays leave `array * x` to x, which refuses: what NumPy computes, no tape sees.
    __array_priority__ = 1000.0

    @property
    def context(self):
        """The context that the array is on."""
        return Context(Context.devtype2str[_core.device(self)[0]], _core.device(self)[1])

    ctx = context

    @property
    def stype(self):
        """Storage type: 'default'."""
        return "default"

    @property
    def writable(self):
        """Whether the array may be changed: always."""
        return True

    @property
    def handle(self):
        """Address of the array's memory, which two views of it share."""
        return _core.address(self)

    @property
    def T(self):
        """The array with its axes in reverse order, a copy; itself when it has fewer than two."""
        return self if self.ndim < 2 else register.get("transpose")(self)

    def asnumpy(self):
        """A NumPy array with a copy of the values.

        NumPy has bfloat16 where the package ml_dtypes is installed; elsewhere that is an
        ``MXNetError``, and ``astype('float32')`` the way.

        >>> import mxtape as mx
        >>> mx.nd.ones((2,)).asnumpy()
        array([1., 1.], dtype=float32)
        """
        return _core.as_numpy(self)

    def __array__(self, dtype=None, copy=None):
        if copy is False:
            raise ValueError(
                "an NDArray is copied to become a NumPy array; copy=False is not supported"
            )
        values = _core.as_numpy(self)
        return values if dtype is None else values.astype(dtype, copy=False)

    def __array_function__(self, func, types, args, kwargs):
        """As in MXNet, np.sum(x) and the like are x.sum(): NDArrays, on the tape.

        All other functions compute with a copy of the values and give NumPy's arrays.
        """
        if func.__name__ in _SHARED and args and args[0] is self:
            method, parameters = _SHARED[func.__name__]
            given = dict(zip(parameters, args[1:]), **kwargs)
            if len(args) - 1 <= len(parameters) and given.keys() <= set(parameters):
                return getattr(self, method)(**given)
        writes = func.__name__ in _WRITERS and args and isinstance(args[0], NDArray)
        if writes or isinstance(kwargs.get("out"), NDArray):
            raise TypeError(
                f"numpy.{func.__name__} cannot write into an NDArray; assign its result with "
                "x[:] = ..."
            )
        plain = [_as_numpy(value) for value in args]
        named = {name: _as_numpy(value) for name, value in kwargs.items()}
        if all(a is b for a, b in zip((*args, *kwargs.values()), (*plain, *named.values()))):
            return NotImplemented  # an NDArray where NumPy alone looks
        return func(*plain, **named)

    def asscalar(self):
        """The only element, as a NumPy scalar; ValueError when there are more or fewer.

        Of a bfloat16 array, a float32.
        """
        return self._number("asscalar", ValueError)

    def item(self):
        """The only element, as a Python number."""
        return self._number("item", ValueError).item()

    def tolist(self):
        """The elements as nested lists of Python numbers."""
        return _core.as_numpy(self, True).tolist()

    def __dir__(self):
        return [name for name in object.__dir__(self) if f"\n    {name}: " not in _ELSEWHERE]

    def __float__(self):
        return float(self._number("float"))

    def __int__(self):
        return int(self._number("int"))

    def __index__(self):
        if np.dtype(self.dtype).kind not in "iu":
            raise TypeError("only an integer array of one element can be used as an index")
        return int(self._number("index"))

    def _number(self, what, error=TypeError):
        if self.size != 1:
            raise error(
                f"{what}: expected an array of one element, got shape {self.shape}; reduce it "
                "first, as x.sum() or x[0] do, or get all values by x.asnumpy()"
            )
        return _core.as_numpy(self, True).reshape(-1)[0]

    def __repr__(self):
        shape = "x".join(str(extent) for extent in self.shape)
        if _core.is_batched(self):
            return f"<batched NDArray {shape} @{self.context}>"
        return f"\n{_core.as_numpy(self, True)!s}\n<NDArray {shape} @{self.context}>"

    def __iter__(self):
        if self.ndim == 0:
            raise IndexError("an array of no dimensions cannot be iterated over")
        return (self[i] for i in range(self.shape[0]))

    def __reduce__(self):
        values = _core.as_numpy(self, True)
        dtype = () if values.dtype == self.dtype else (_core.dtype_name(self.dtype),)
        return _rebuild, (values, *_core.device(self), *dtype)

    def __setstate__(self, state):
        """Has the array become that of a pickle of MXNet's, which begins with NDArray(None)."""
        array = from_pickled(state)
        if array is not None:
            _core.become(self, array)

    def __copy__(self):
        return self.detach().copy()  # a constant, as in MXNet: only copy() is recorded

    def __deepcopy__(self, memo):
        return self.detach().copy()

    def astype(self, dtype, copy=True):
        """The array in another data type.

        Parameters
        ----------
        dtype : str or numpy type
            Data type of the result.
        copy : bool, default True
            Whether an array that has the type already is copied.

        >>> import mxtape as mx
        >>> mx.nd.array([1.7, -1.7]).astype('int32').asnumpy().tolist()
        [1, -1]
        """
        dtype = _dtype(dtype)
        if not copy and _core.dtype_name(dtype) == _core.dtype_name(self.dtype):
            return self
        return register.get("Cast")(self, dtype)

    def copy(self):
        """A copy of the array; recorded."""
        return register.get("_copy")(self)

    def copyto(self, other):
        """Copies the values to an array, converted to its dtype, or to a context.

        Parameters
        ----------
        other : NDArray or Context
            An array of the same shape, or where to put a new one.

        Returns
        -------
        NDArray
            `other`, or the new array; False, with a warning, when `other` is the array itself.
        """
        if isinstance(other, NDArray):
            if other is self:
                warnings.warn("copyto: source and target are one array", RuntimeWarning, 2)
                return False
            if other.shape != self.shape:
                raise MXNetError(f"copyto: shapes {self.shape} and {other.shape} differ")
            return register.get("Cast")(self, other.dtype, out=other)
        if isinstance(other, Context):
            return self._placed(check_context(other, "copyto"))
        raise TypeError(f"copyto: expected an NDArray or a Context, got {type(other)}")

    def _placed(self, ctx):
        made = register.get("_copy")(self)
        _core.set_device(made, ctx.device_typeid, ctx.device_id)
        return made

    def as_in_context(self, context):
        """The array itself when it is on `context`, else a copy there."""
        if self.context == context:
            return self
        return self._placed(check_context(context, "as_in_context"))

    as_in_ctx = as_in_context

    def as_nd_ndarray(self):
        """The array itself."""
        return self

    def as_np_ndarray(self):
        """Not supported: the mx.np interface is not in mxtape."""
        raise MXNetError(f"as_np_ndarray: mx.np is not in mxtape yet; {see('as_np_ndarray')}")

    def tostype(self, stype):
        """A copy of the array in a storage type: 'default', 'row_sparse' or 'csr'.

        >>> import mxtape as mx
        >>> mx.nd.array([[0, 2], [0, 0]]).tostype("csr").data.asnumpy().tolist()
        [2.0]
        """
        if stype == "csr" and self.ndim != 2:
            raise ValueError(f"tostype: a csr array has 2 dimensions, got shape {self.shape}")
        return register.get("cast_storage")(self, stype)

    def wait_to_read(self):
        """Computes the values now, if a pointwise call on large arrays has left them for later."""
        _core.wait_to_read(self)

    def detach(self):
        """The same memory, off the recorded graph."""
        return _core.detach(self)

    def attach_grad(self, grad_req="write", stype=None):
        """Makes the array a variable, with a gradient buffer of zeros.

        Parameters
        ----------
        grad_req : {'write', 'add', 'null'}, default 'write'
            What backward does with the buffer.
        stype : str, optional
            Storage type of the buffer: 'default', 'row_sparse' or 'csr'. Without it, that of the
            array.

        An array that was computed while recording is cut off from what it was computed from.
        """
        if grad_req not in ("write", "add", "null"):
            raise KeyError(
                f"attach_grad: grad_req must be 'write', 'add' or 'null', got {grad_req!r}"
            )
        buffer = _gradient_buffer(self, stype or self.stype)
        _core.mark_variables([self], [buffer], [grad_req])

    def register_gradient_hook(self, hook):
        """Has `hook` called with the array's gradient in each backward pass.

        Parameters
        ----------
        hook : callable
            Called with the gradient as an NDArray, when all of it has arrived. Returns None, or an
            array of the same shape and dtype: that takes its place, for what comes further back
            and for the gradient buffer. To write into the gradient has the same effect.

        Returns
        -------
        HookHandle
            ``handle.remove()`` takes the hook away.

        The array is a variable, or computed from one while recording. Hooks run in the order in
        which they were registered, in ``autograd.grad`` too. Under ``create_graph=True`` what they
        compute is recorded. A backward pass that frees the graph drops the hooks of what it has
        freed; a variable keeps them, also when ``attach_grad`` is called again. A hook that holds
        its own array keeps it alive until it is removed: there is a cycle that Python cannot see.

        A hook that raises ends the pass: no buffer has been written.

        Raises
        ------
        MXNetError
            An array without a gradient. In backward: a result of another shape or dtype.
        TypeError
            A hook that is not callable. In backward: another result.

        >>> import mxtape as mx
        >>> x = mx.nd.array([1.0, 2.0])
        >>> x.attach_grad()
        >>> handle = x.register_gradient_hook(lambda grad: grad.clip(-1, 1))
        >>> with mx.autograd.record():
        ...     y = 0.25 * x ** 4
        >>> y.backward()
        >>> x.grad.asnumpy().tolist()
        [1.0, 1.0]
        >>> handle.remove()
        """
        from ..autograd.hooks import HookHandle  # few programs have hooks

        return HookHandle(_core.add_hook(self, hook, False))

    def register_complete_hook(self, hook):
        """Has `hook` called as soon as the gradient of the variable is complete.

        Parameters
        ----------
        hook : callable
            Called with the gradient of this backward pass as an NDArray, after the hooks of
            ``register_gradient_hook``. Returns None.

        Returns
        -------
        HookHandle
            ``handle.remove()`` takes the hook away.

        The pass goes on meanwhile through what is left of the graph, so that for instance a sum
        over processes can start. The buffer ``x.grad`` is written after the pass. The variables of
        a hybridized block are complete together, when the pass has gone through the block.
        ``autograd.grad`` does not call these hooks.

        Raises
        ------
        MXNetError
            The array is not a variable. In backward: the hook returned an array.

        >>> import mxtape as mx
        >>> x = mx.nd.array([1.0, 2.0])
        >>> x.attach_grad()
        >>> handle = x.register_complete_hook(lambda grad: print('complete:', grad.sum().item()))
        >>> with mx.autograd.record():
        ...     y = x * x
        >>> y.backward()
        complete: 6.0
        """
        from ..autograd.hooks import HookHandle

        return HookHandle(_core.add_hook(self, hook, True))

    def retain_grad(self, grad_req="write"):
        """Keeps the gradient of an intermediate result: ``x.grad`` has it after backward.

        Parameters
        ----------
        grad_req : {'write', 'add'}, default 'write'
            Whether each backward pass overwrites the gradient or adds to it.

        The array stays a part of the graph, where ``attach_grad`` would cut it off. Of a variable
        there is nothing to do.

        Raises
        ------
        MXNetError
            The array is neither a variable nor computed from one while recording.
        ValueError
            Another `grad_req`.

        >>> import mxtape as mx
        >>> x = mx.nd.array([1.0, 2.0])
        >>> x.attach_grad()
        >>> with mx.autograd.record():
        ...     h = x * x
        ...     h.retain_grad()
        ...     y = 3 * h
        >>> y.backward()
        >>> h.grad.asnumpy().tolist(), x.grad.asnumpy().tolist()
        ([3.0, 3.0], [6.0, 12.0])
        """
        if grad_req not in ("write", "add"):
            raise ValueError(f"retain_grad: grad_req must be 'write' or 'add', got {grad_req!r}")
        buffer = _gradient_buffer(self, self.stype)
        _core.retain_grad(self, buffer, grad_req == "add")

    @property
    def _fresh_grad(self):
        """1 when backward has written the gradient since this was last set to False, else 0.

        Of a variable it can be set; a trainer does so when it has used the gradient.
        """
        return int(_core.fresh_grad(self))

    @_fresh_grad.setter
    def _fresh_grad(self, fresh):
        _core.set_fresh_grad(self, bool(fresh))

    def backward(self, out_grad=None, retain_graph=False, train_mode=True):
        """Computes the gradients of the array with respect to the variables it came from.

        Parameters
        ----------
        out_grad : NDArray, optional
            Weight of each element; ones by default.
        retain_graph : bool, default False
            Whether the graph stays, for another pass.
        train_mode : bool, default True
            Whether gradients are computed in training mode.
        """
        if out_grad is not None and not isinstance(out_grad, NDArray):
            raise TypeError(f"backward: out_grad must be an NDArray, got {out_grad!r}")
        grads = None if out_grad is None else [out_grad]
        _core.backward([self], grads, bool(retain_graph), bool(train_mode))

    def reshape(self, *shape, **kwargs):
        """A view of the array in another shape of the same size.

        Parameters
        ----------
        *shape : int or tuple of int
            Extents. 0 copies the extent at its place, -1 becomes what is left, -2 copies all the
            remaining extents, -3 merges two, -4 splits one into the two numbers that follow.
        reverse : bool, default False
            Whether the special values are matched from the right.

        >>> import mxtape as mx
        >>> mx.nd.zeros((2, 3, 4)).reshape((-3, 0)).shape
        (6, 4)
        """
        extents: Any = shape
        if len(shape) == 1 and isinstance(shape[0], (tuple, list)):
            extents = shape[0]
        elif not shape:
            extents = kwargs.get("shape")
            if extents is None:
                raise AssertionError("reshape: no shape was given")
            if isinstance(extents, integer_types):
                extents = (extents,)
        for name in kwargs:
            if name not in ("shape", "reverse"):
                raise TypeError(f"reshape: unknown argument {name!r}; it accepts shape and reverse")
        for extent in extents:
            if not isinstance(extent, integer_types):
                raise TypeError(f"reshape: the extents must be integers, got {extent!r}")
        extents = [int(extent) for extent in extents]
        return _core.reshape_view(self, extents, bool(kwargs.get("reverse", False)))

    def flatten(self, inplace=False):
        """The array as a matrix: all axes but the first in one."""
        if not inplace:
            return register.get("Flatten")(self)
        return self.reshape((0, -1) if self.ndim > 1 else (-1, 1))

    def expand_dims(self, axis, inplace=False):
        """The array with a new axis of extent 1 before `axis`."""
        if not inplace:
            return register.get("expand_dims")(self, axis=axis)
        position = axis + self.ndim + 1 if axis < 0 else axis
        return _core.reshape_to(self, [*self.shape[:position], 1, *self.shape[position:]])

    def squeeze(self, axis=None, inplace=False):
        """The array without its axes of extent 1, or without those in `axis`."""
        squeezed = register.get("squeeze")(self, axis=axis)
        return self.reshape(squeezed.shape) if inplace else squeezed

    def broadcast_to(self, shape):
        """The array repeated along axes of extent 1, and along new leading ones, to `shape`."""
        shape = (shape,) if isinstance(shape, integer_types) else tuple(shape)
        own = (1,) * (len(shape) - self.ndim) + self.shape
        if len(own) != len(shape) or any(a not in (1, b) and b != 0 for a, b in zip(own, shape)):
            raise ValueError(f"broadcast_to: shape {self.shape} does not broadcast to {shape}")
        view = self if own == self.shape else _core.reshape_to(self, list(own))
        return register.get("broadcast_to")(view, shape)

    def broadcast_like(self, other):
        """The array repeated to the shape of `other`."""
        return self.broadcast_to(other.shape)

    def slice_assign(self, rhs, begin, end, step):
        """Assigns `rhs` to ``self[begin:end:step]``, in place."""
        return register.get("_slice_assign")(self, rhs, begin=begin, end=end, step=step, out=self)

    def slice_assign_scalar(self, value, begin, end, step):
        """Assigns a number to ``self[begin:end:step]``, in place."""
        return register.get("_slice_assign_scalar")(
            self, value, begin=begin, end=end, step=step, out=self
        )

    def split_v2(self, *args, **kwargs):
        """See :func:`mxtape.nd.split_v2`."""
        from .ndarray import split_v2

        return split_v2(self, *args, **kwargs)


_DOC = """An array of numbers of one type, which :func:`mxtape.nd.array` makes.

It has a shape, a dtype and a context, and lies in memory in the order of its indices.

Operators are methods and functions: ``x.sum(axis=0)`` is ``nd.sum(x, axis=0)``. Arithmetic
broadcasts: ``x + y`` of the shapes (2, 3) and (1, 3) has the shape (2, 3). Both arrays must have
one dtype. ``x[i:j]`` and ``x[i]`` are views, which share memory. ``x[[0, 2]]``, ``x[mask]`` and
steps other than 1 are copies. ``x[key] = value`` and ``x += y`` write in place.

Attributes
----------
shape : tuple of int
dtype : type
    Such as ``numpy.float32``.
size, ndim : int
    The numbers of elements and of axes.
context, ctx : Context
T : NDArray
    Its axes in reverse order.
grad : NDArray or None
    The gradient buffer that :meth:`attach_grad` makes, and ``backward()`` writes.
stype : str
    ``'default'``.

Examples
--------
>>> import mxtape as mx
>>> x = mx.nd.array([[1, 2], [3, 4]])
>>> x.attach_grad()
>>> with mx.autograd.record():
...     y = (x * x).sum()
>>> y.backward()
>>> x.grad
<BLANKLINE>
[[2. 4.]
 [6. 8.]]
<NDArray 2x2 @cpu(0)>
>>> x.shape, x[0].asnumpy().tolist(), float(y)
((2, 2), [1.0, 2.0], 30.0)
"""

# What arrays of NumPy, PyTorch and others have, and what to write instead.
_ELSEWHERE = """
    all: x.min() of a comparison does it
    any: x.max() of a comparison does it
    clamp: x.clip(low, high)
    clone: x.copy()
    cpu: arrays are on the CPU already
    cuda: only the CPU is supported; arrays are on it already
    data_ptr: x.asnumpy() gives the values
    device: x.context
    dim: x.ndim
    double: x.astype("float64")
    float: x.astype("float32")
    grad_fn: autograd.get_symbol(x) shows what was recorded
    half: x.astype("float16")
    long: x.astype("int64")
    matmul: nd.dot(x, y)
    mm: nd.dot(x, y)
    numel: x.size
    numpy: x.asnumpy()
    permute: x.transpose(axes)
    repeat_interleave: x.repeat(repeats, axis)
    requires_grad: x.attach_grad() makes x a variable
    requires_grad_: x.attach_grad() makes x a variable
    std: nd.moments(x, axes=(0,)) gives mean and variance
    t: x.T
    to: x.as_in_context(ctx), or x.astype(dtype)
    unsqueeze: x.expand_dims(axis)
    var: nd.moments(x, axes=(0,)) gives mean and variance
    view: x.reshape(shape)
    zero_: x[:] = 0
"""


def install(cls):
    """Puts the methods on the array type."""
    for name, member in {**vars(_Methods), **vars(_dlpack.Methods)}.items():
        if name not in ("__module__", "__dict__", "__weakref__", "__doc__", "__qualname__"):
            setattr(cls, name, member)
    for name in register.method_names():
        if not hasattr(_Methods, name):
            setattr(cls, name, register.get(name))
    elsewhere(cls, _ELSEWHERE)
    cls.__doc__ = _DOC
    cls.__module__ = "mxtape.ndarray"
