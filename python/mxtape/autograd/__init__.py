"""Recording and differentiation of computations on arrays.

>>> from mxtape import autograd, nd
>>> x = nd.array([[1, 2], [3, 4]])
>>> x.attach_grad()
>>> with autograd.record():
...     y = 2 * x * x
>>> y.backward()
>>> x.grad.asnumpy().tolist()
[[4.0, 8.0], [12.0, 16.0]]
"""

from __future__ import annotations

import functools
import importlib
import weakref
from typing import TYPE_CHECKING, Any

from .. import _borrowed, _missing
from .._loader import core as _core
from ..base import MXNetError
from ..ndarray import NDArray, zeros_like

__all__ = [
    "Function",
    "backward",
    "compute_gradient",
    "get_symbol",
    "grad",
    "grad_and_loss",
    "is_recording",
    "is_training",
    "mark_variables",
    "pause",
    "predict_mode",
    "record",
    "set_is_recording",
    "set_is_training",
    "set_recording",
    "set_training",
    "test_section",
    "train_mode",
    "train_section",
]


if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager
    from typing import Callable, Optional, Union

    from ..symbol import Symbol

    _Arrays = Union[NDArray, Sequence[NDArray]]
    _Grads = Union[NDArray, Sequence[Optional[NDArray]], None]
    _Scope = AbstractContextManager[Any]

# Entered and left whole, whatever signal arrives: it is not Python.
_StateScope: Any = _core.StateScope


def is_recording() -> bool:
    """Whether computations in this thread are recorded."""
    return _core.is_recording()


def is_training() -> bool:
    """Whether this thread is in training mode."""
    return _core.is_training()


def set_recording(is_recording: bool) -> bool:
    """Turns recording in this thread on or off; returns whether it was on."""
    return _core.set_recording(bool(is_recording))


def set_training(train_mode: bool) -> bool:
    """Turns training mode in this thread on or off; returns whether it was on.

    Dropout and the like only act in training mode, and pass their input on otherwise.
    """
    return _core.set_training(bool(train_mode))


def record(train_mode: bool = True) -> _Scope:
    """A ``with`` block in which computations on variables are recorded.

    Parameters
    ----------
    train_mode : bool, default True
        Whether the block also runs in training mode: Dropout and the like act.

    A call is recorded if an array that it reads is a variable (see ``attach_grad``) or was computed
    from one. What its gradient will read is kept, until a backward pass has used it or the last
    array that came from it is gone. The flags are each thread's own; blocks may be nested.

    Inside the block an array in the recorded graph cannot be written in place: that is an
    MXNetError. Outside it can.

    >>> from mxtape import autograd, nd
    >>> x = nd.array([1.0, 2.0])
    >>> x.attach_grad()
    >>> with autograd.record():
    ...     y = (x * x).sum()
    >>> y.backward()
    >>> x.grad.asnumpy().tolist()
    [2.0, 4.0]
    """
    return _StateScope(True, bool(train_mode))


def pause(train_mode: bool = False) -> _Scope:
    """A ``with`` block inside a recorded one in which nothing is recorded.

    Parameters
    ----------
    train_mode : bool, default False
        Whether the block runs in training mode.

    What is computed in it is a constant to what is recorded afterwards. Nothing is kept for
    gradients.

    >>> from mxtape import autograd, nd
    >>> x = nd.array([3.0])
    >>> x.attach_grad()
    >>> with autograd.record():
    ...     with autograd.pause():
    ...         scale = x * 2       # a constant
    ...     y = x * scale
    >>> y.backward()
    >>> x.grad.item()
    6.0
    """
    return _StateScope(False, bool(train_mode))


def train_mode() -> _Scope:
    """A ``with`` block in training mode; recording stays as it is.

    >>> from mxtape import autograd
    >>> with autograd.train_mode():
    ...     print(autograd.is_training(), autograd.is_recording())
    True False
    """
    return _StateScope(None, True)


def predict_mode() -> _Scope:
    """A ``with`` block out of training mode; recording stays as it is.

    >>> from mxtape import autograd
    >>> with autograd.record():
    ...     with autograd.predict_mode():
    ...         print(autograd.is_training(), autograd.is_recording())
    False True
    """
    return _StateScope(None, False)


def _as_list(arrays):
    return [arrays] if isinstance(arrays, NDArray) else arrays


def mark_variables(
    variables: _Arrays, gradients: _Arrays, grad_reqs: str | Sequence[str] = "write"
) -> None:
    """Makes arrays variables, with the given arrays as their gradient buffers.

    Parameters
    ----------
    variables : NDArray or list of NDArray
        Arrays to differentiate with respect to.
    gradients : NDArray or list of NDArray
        A buffer for each, of its shape and dtype.
    grad_reqs : str or list of str, default 'write'
        ``'write'`` overwrites the buffer in each backward pass, ``'add'`` adds to it, ``'null'``
        does not touch it.

    The buffers share memory with the arrays that are given, until backward puts other memory in
    their place: read ``variable.grad``. An array that was computed while recording is cut off from
    what it was computed from. A variable that is marked anew keeps its hooks.

    Raises
    ------
    AssertionError
        Lists of different lengths.
    KeyError
        Another `grad_reqs`.
    MXNetError
        A buffer that does not fit its variable. Nothing has been marked then.

    >>> from mxtape import autograd, nd
    >>> x, dx = nd.array([3.0]), nd.zeros((1,))
    >>> autograd.mark_variables(x, dx)
    >>> with autograd.record():
    ...     y = x * x
    >>> y.backward()
    >>> x.grad.item()
    6.0
    """
    variables, gradients = list(_as_list(variables)), list(_as_list(gradients))
    if isinstance(grad_reqs, str):
        grad_reqs = [grad_reqs] * len(variables)
    _core.mark_variables(variables, gradients, list(grad_reqs))


def _parse_heads(heads, head_grads, what):
    if isinstance(heads, NDArray):
        heads = [heads]
    elif not isinstance(heads, (list, tuple)):
        raise TypeError(f"{what}: heads must be an NDArray or a list of them, got {heads!r}")
    if head_grads is not None:
        head_grads = [head_grads] if isinstance(head_grads, NDArray) else list(head_grads)
        if len(heads) != len(head_grads):
            raise AssertionError(
                f"{what}: {len(heads)} heads but {len(head_grads)} head gradients were given"
            )
    return list(heads), head_grads


def backward(
    heads: _Arrays, head_grads: _Grads = None, retain_graph: bool = False, train_mode: bool = True
) -> None:
    """Computes the gradients of `heads` and stores them in the variables' buffers.

    Parameters
    ----------
    heads : NDArray or list of NDArray
        What to differentiate: arrays computed while recording.
    head_grads : NDArray, list of NDArray and None, or None
        Weights of the heads, each of its head's shape and dtype; None stands for ones.
    retain_graph : bool, default False
        Whether the recorded graph stays, for another backward pass. Without it, what the graph has
        saved is dropped as the pass goes through it.
    train_mode : bool, default True
        Whether gradients are computed in training mode.

    The gradients of several heads are summed. Hooks run on the way: see
    ``NDArray.register_gradient_hook``.

    Raises
    ------
    AssertionError
        Lists of different lengths.
    MXNetError
        A head that was not recorded, a graph that was freed, a head gradient that does not fit, an
        operator that fails. The message names the operator, the shapes of its inputs and the line
        that recorded it. The gradient buffers are then as they were; the graph may be freed as far
        as it was used.

    An exception of a ``Function``, a ``CustomOp`` or a hook keeps its type, and gets a note that
    says the same.

    >>> from mxtape import autograd, nd
    >>> x = nd.array([1.0, 2.0])
    >>> x.attach_grad()
    >>> with autograd.record():
    ...     y, z = x * x, 3 * x
    >>> autograd.backward([y, z], [nd.array([1.0, 10.0]), None])
    >>> x.grad.asnumpy().tolist()
    [5.0, 43.0]
    """
    heads, head_grads = _parse_heads(heads, head_grads, "backward")
    _core.backward(heads, head_grads, bool(retain_graph), bool(train_mode))


def grad(
    heads: _Arrays,
    variables: _Arrays,
    head_grads: _Grads = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    train_mode: bool = True,
) -> list[NDArray]:
    """Returns the gradients of `heads` with respect to `variables`, and stores nothing.

    Parameters
    ----------
    heads : NDArray or list of NDArray
        What to differentiate: arrays computed while recording.
    variables : NDArray or list of NDArray
        What to differentiate with respect to: variables (see :func:`mark_variables` and
        ``attach_grad``), or arrays computed from them while recording. The heads must depend on
        them.
    head_grads : NDArray, list of NDArray and None, or None
        Weights of the heads; None stands for ones.
    retain_graph : bool, default create_graph
        Whether the recorded graph stays, for another pass.
    create_graph : bool, default False
        Whether the gradients are themselves recorded, to be differentiated again.
    train_mode : bool, default True
        Whether gradients are computed in training mode.

    Returns
    -------
    list of NDArray
        The gradient for each variable, of its shape and dtype, in memory of its own. Without
        `create_graph` it is a constant.

    Raises
    ------
    AssertionError
        No variables, or lists of different lengths.
    MXNetError
        As in :func:`backward`; a variable that the heads do not depend on, or with
        ``grad_req='null'``.

    >>> from mxtape import autograd, nd
    >>> x = nd.array([2.0])
    >>> x.attach_grad()
    >>> with autograd.record():
    ...     y = x ** 3
    ...     dy = autograd.grad(y, x, create_graph=True)[0]
    >>> dy.backward()
    >>> dy.item(), x.grad.item()
    (12.0, 12.0)

    With respect to an intermediate result:

    >>> with autograd.record():
    ...     h = x * 5
    ...     y = h * h
    >>> autograd.grad(y, h)[0].item()
    20.0
    """
    heads, head_grads = _parse_heads(heads, head_grads, "grad")
    if isinstance(variables, NDArray):
        variables = [variables]
    elif not isinstance(variables, (list, tuple)):
        raise TypeError(f"grad: variables must be an NDArray or a list of them, got {variables!r}")
    if not variables:
        raise AssertionError("grad: no variables were given")
    retain = create_graph if retain_graph is None else retain_graph
    return _core.grad(
        heads, list(variables), head_grads, bool(retain), bool(create_graph), bool(train_mode)
    )


def get_symbol(x: NDArray) -> Symbol:
    """The :class:`Symbol` of the recorded computation that led to `x`.

    Its node names are ``node_N``; variables are called ``varN`` and other arrays ``nullN``.

    >>> from mxtape import autograd, nd
    >>> x = nd.array([2.0])
    >>> x.attach_grad()
    >>> with autograd.record():
    ...     y = nd.exp(x)
    >>> autograd.get_symbol(y).list_arguments()
    ['var0']
    """
    if not isinstance(x, NDArray):
        raise AssertionError(f"get_symbol: expected an NDArray, got {x!r}")
    from ..symbol import Symbol  # few programs ask for one

    return Symbol(_core.trace(x))


class Function:
    """A computation with a gradient of your own.

    Subclass it with ``forward(self, *inputs)`` and ``backward(self, *output_grads)``; both accept
    and return NDArrays, one or several, and ``backward`` returns one gradient for each input of
    ``forward``. Neither is recorded, unless the gradient is itself differentiated
    (``create_graph=True``): inputs and outputs that ``backward`` uses then count as functions of
    the inputs. To differentiate through other arrays that ``forward`` computed and kept is an
    MXNetError: ``backward`` computes them again, or says ``nd.BlockGrad(...)`` of constants. A
    sweep inside ``backward`` is one too, unless it has ``create_graph=True``.

    Inputs, outputs and the gradients that ``backward`` returns may be sparse; the gradients that it
    gets are dense.

    The recorded graph keeps the object and its outputs, until a backward pass has used them. What
    ``backward`` raises keeps its type and gets a note: the class, the inputs' shapes and the line
    of the call. A gradient of another number, shape or dtype is an MXNetError.

    >>> from mxtape import autograd, nd
    >>> class Square(autograd.Function):
    ...     def forward(self, x):
    ...         self.save_for_backward(x)
    ...         return x * x
    ...     def backward(self, dy):
    ...         (x,) = self.saved_tensors
    ...         return 2 * x * dy
    >>> x = nd.array([3.0])
    >>> x.attach_grad()
    >>> with autograd.record():
    ...     y = Square()(x)
    >>> y.backward()
    >>> x.grad.item()
    6.0
    """

    # What errors call it, where that is not the class.
    _label = ""
    # Of the class: an __init__ need not call that of this one.
    _used = False
    __saved: tuple = ()
    __inputs: Any = ()
    __outputs: Any = ()
    __kept: Any = ()

    def __init__(self) -> None:
        """Nothing: a subclass may have a constructor that does not call this one."""

    def save_for_backward(self, *args: Any) -> None:
        """Keeps arrays for ``backward``, which finds them in ``saved_tensors``."""
        self.__saved = args

    @property
    def saved_tensors(self) -> tuple[NDArray, ...]:
        """What was saved, in order."""
        return tuple(self.__saved)

    # Several outputs are a tuple. Unpacking, indexing and len() check as of an array.
    def __call__(self, *inputs: NDArray) -> NDArray:
        if self._used:
            raise AssertionError("a Function can be called once; make a new object for each call")
        for array in inputs:
            if not isinstance(array, NDArray):
                raise TypeError(f"{type(self).__name__}: inputs must be NDArrays, got {array!r}")
        recording = is_recording()
        before = self._arrays() if recording else []
        with pause(train_mode=is_training()):
            outputs = self.forward(*inputs)
        single = isinstance(outputs, NDArray)
        results = [outputs] if single else self._checked("forward", outputs)
        if not recording:
            return outputs
        self._used = True
        known = {id(array) for array in (*inputs, *results, *before)}
        self.__kept = [weakref.ref(a) for a in self._arrays() if id(a) not in known]
        self.__inputs = [weakref.ref(array) for array in inputs]
        # What forward returned stays off the tape, which would own itself through this object.
        self.__outputs = [None if _core.on_tape(a) else weakref.ref(a) for a in results]
        label = self._label or type(self).__name__
        hung = _core.record_function(self._run_backward, label, list(inputs), results)
        returned: Any = hung[0] if single else tuple(hung)
        return returned

    def _run_backward(self, output_grads, outputs, inputs):
        # When the gradient is recorded, an input counts as what it was for forward, and an output
        # that was kept as a function of the inputs.
        hung = []

        def hang(array, how, like):
            hung.append((array, _core.place_of(array)))
            how(array, like)

        try:
            if is_recording():
                for reference, place in zip(self.__inputs, inputs):
                    if (array := reference()) is not None:
                        hang(array, _core.set_edge, place)
                for reference, output in zip(self.__outputs, outputs):
                    if reference and (array := reference()) is not None:
                        hang(array, _core.set_edge, output)
                for reference in self.__kept:
                    array = reference()
                    if array is not None and not _core.on_tape(array):
                        hang(array, _core.set_kept, outputs[0])
            grads = self.backward(*self._received(output_grads))
        finally:
            for array, before in reversed(hung):
                _core.set_edge(array, before)
        if isinstance(grads, NDArray) or grads is None:
            return [grads]
        return self._checked("backward", grads)

    def _received(self, output_grads):
        """The head gradients that backward gets: as in MXNet, dense ones."""
        return [g.tostype("default") if _core.is_sparse(g) else g for g in output_grads]

    def _checked(self, method, values):
        """What a method returned, as a list of arrays; `backward` may return None for some."""
        wrong = values
        if isinstance(values, (list, tuple)):
            kinds = (NDArray,) if method == "forward" else (NDArray, type(None))
            others = [value for value in values if not isinstance(value, kinds)]
            if not others:
                return list(values)
            wrong = others[0]
        hint = "; mx.nd.array(...) makes one" if hasattr(wrong, "__array__") else ""
        raise MXNetError(
            f"{self._label or type(self).__name__}: {method} must return an NDArray or a list of "
            f"them, got {'' if wrong is values else 'in a list '}an object of type "
            f"{type(wrong).__module__}.{type(wrong).__qualname__}{hint}"
        )

    def _owners(self):
        # The objects that keep arrays between forward and backward.
        return [self]

    def _arrays(self):
        found: list = []
        for owner in self._owners():
            for value in vars(owner).values():
                if isinstance(value, dict):
                    value = list(value.values())
                values = value if isinstance(value, (list, tuple)) else [value]
                found.extend(item for item in values if isinstance(item, NDArray))
        return found

    def forward(self, *inputs):
        """Computes the outputs. To be overridden."""
        raise NotImplementedError(f"{type(self).__name__} has no forward")

    def backward(self, *output_grads):
        """Computes the inputs' gradients from the outputs'. To be overridden."""
        raise NotImplementedError(f"{type(self).__name__} has no backward")


# ---- the older interface, which mxnet.contrib.autograd had


def set_is_training(is_train: bool) -> bool:
    """Turns both recording and training on or off; returns whether recording was on."""
    previous = set_recording(is_train)
    set_training(is_train)
    return previous


def set_is_recording(is_recording: bool) -> bool:
    """Older name of :func:`set_recording`."""
    return set_recording(is_recording)


class TrainingStateScope(_StateScope):
    """Sets recording and training together for a ``with`` block."""

    def __init__(self, enter_state: bool) -> None:
        super().__init__(bool(enter_state), bool(enter_state))


def train_section() -> TrainingStateScope:
    """A ``with`` block that records in training mode."""
    return TrainingStateScope(True)


def test_section() -> TrainingStateScope:
    """A ``with`` block, inside a recorded one, that neither records nor trains."""
    return TrainingStateScope(False)


test_section.__test__ = False  # type: ignore[attr-defined]


def compute_gradient(outputs: Sequence[NDArray]) -> Any:
    """Runs :func:`backward` on `outputs` and returns the gradients.

    Returns
    -------
    list of NDArray
        The gradient of each variable that was reached, in the order in which they were marked. They
        are also in the variables' buffers.

    >>> from mxtape import autograd, nd
    >>> x, y = nd.array([2.0]), nd.array([5.0])
    >>> x.attach_grad()
    >>> y.attach_grad()
    >>> with autograd.record():
    ...     z = y * x
    >>> [gradient.item() for gradient in autograd.compute_gradient(z)]
    [5.0, 2.0]
    """
    return _core.compute_gradient(_parse_heads(outputs, None, "compute_gradient")[0])


def grad_and_loss(
    func: Callable[..., Any], argnum: int | Sequence[int] | None = None
) -> Callable[..., Any]:
    """A function that returns the gradients of `func` and its value.

    Parameters
    ----------
    func : callable
        Accepts NDArrays and returns one or several.
    argnum : int or list of int, optional
        Which arguments to differentiate with respect to; all of them by default.

    Returns
    -------
    callable
        ``(gradients, outputs)`` of the arguments, the gradients as a list. Called while recording,
        the gradients are recorded too, so that such functions can be nested.

    >>> from mxtape import autograd, nd
    >>> with_gradient = autograd.grad_and_loss(lambda x, y: x * y, argnum=0)
    >>> gradients, loss = with_gradient(nd.array([2.0]), nd.array([5.0]))
    >>> gradients[0].item(), loss.item()
    (5.0, 10.0)
    """

    @functools.wraps(func)
    def wrapped(*args):
        variables = list(args)
        if argnum is not None:
            numbers: Any = argnum if isinstance(argnum, (list, tuple)) else [argnum]
            variables = [args[i] for i in numbers]
        for variable in variables:
            if not isinstance(variable, NDArray):
                raise AssertionError(f"grad_and_loss: expected NDArrays, got {variable!r}")
        nested = is_recording()
        # What is being recorded outside stays a function of its variables.
        new = [variable for variable in variables if not (nested and _core.on_tape(variable))]
        with pause(train_mode=is_training()):
            gradients = [zeros_like(variable) for variable in new]
        mark_variables(new, gradients)
        with train_section():
            outputs = func(*args)
            heads = [outputs] if isinstance(outputs, NDArray) else list(outputs)
            if nested:
                return grad(heads, variables, create_graph=True), outputs
        compute_gradient(heads)
        return gradients, outputs

    return wrapped


# What MXNet did not have, by module. Imported on first use; `import *` gives MXNet's names only.
_EXTRAS = {
    "anomaly": "detect_anomaly",
    "batching": "vmap",
    "checking": "check_grads",
    "checkpointing": "checkpoint",
    "hooks": "HookHandle saved_arrays_hooks",
    "inspection": "memory_report plot_graph print_graph tape",
    "transforms": "custom_gradient elementwise_grad hessian hvp jacobian jvp linearize "
    "value_and_grad vjp",
}


if TYPE_CHECKING:
    from .anomaly import detect_anomaly as detect_anomaly
    from .checking import check_grads as check_grads
    from .hooks import HookHandle as HookHandle
    from .hooks import saved_arrays_hooks as saved_arrays_hooks
    from .transforms import custom_gradient as custom_gradient
    from .transforms import elementwise_grad as elementwise_grad
    from .transforms import hessian as hessian
    from .transforms import hvp as hvp
    from .transforms import jacobian as jacobian
    from .transforms import jvp as jvp
    from .transforms import linearize as linearize
    from .transforms import value_and_grad as value_and_grad
    from .transforms import vjp as vjp


def _extra(name):
    for module, names in _EXTRAS.items():
        if name == module:
            return importlib.import_module(f".{module}", __name__)
        if name in names.split():
            return getattr(importlib.import_module(f".{module}", __name__), name)
    return _missing.refuse(__name__, name)


__getattr__ = _borrowed.borrow(
    __name__,
    "ctypes traceback",
    {
        "array": "array",
        "ctypes": "CFUNCTYPE POINTER c_int c_void_p cast",
        "threading": "Lock",
        ".base": "MXCallbackList NDArrayHandle SymbolHandle c_array c_array_buf c_handle_array "
        "check_call mx_uint string_types",
        ".ndarray": "NDArray",
        ".symbol": "Symbol",
    },
    explain=_extra,
)
