"""Gradients compared with numeric differentiation, and the time that a function takes.

They accept a Symbol, or an executor, as MXNet's do, and a Python function of NDArrays too.
"""

import inspect
import time

import numpy as np

from .. import autograd
from .. import ndarray as nd
from ..base import MXNetError
from ..context import current_context
from ..executor import Executor
from ..ndarray import NDArray
from ..ndarray.cached_op import CachedOp
from ..symbol import Symbol
from .arrays import _normal, _uniform
from .comparison import assert_almost_equal, default_numeric_eps

__all__ = ["check_numeric_gradient", "check_speed", "numeric_grad"]


def _floating(array):
    return np.dtype(array.dtype).kind == "f"


class _Call:
    """A function, what to call it with, and which of that is differentiated."""

    def __init__(self, what, function, location, aux_states, ctx, dtype):
        if isinstance(function, (Symbol, Executor)):
            symbol = function if isinstance(function, Symbol) else function._symbol[0]
            location = _named(what, symbol.list_arguments(), location)
            if aux_states is not None:
                aux_states = _named(what, symbol.list_auxiliary_states(), aux_states)
            function = _function_of(symbol)
        if not callable(function):
            raise TypeError(
                f"{what}: a Symbol, or a function of NDArrays, is needed, got {function!r}"
            )
        if dtype is not None and np.dtype(dtype).kind != "f":
            raise ValueError(f"{what}: dtype must be a float type, got {np.dtype(dtype)}")
        self.function = function
        self.ctx = current_context() if ctx is None else ctx
        self.by_name = isinstance(location, dict)
        names = list(location) if self.by_name else _names(function, len(location))
        given = list(location.values()) if self.by_name else location
        self.arrays = {n: self._array(v, dtype) for n, v in zip(names, given)}
        aux = {} if aux_states is None else aux_states
        if isinstance(aux, dict):
            self.aux, self.named_aux = [], {n: self._array(v, dtype) for n, v in aux.items()}
        else:
            self.aux, self.named_aux = [self._array(v, dtype) for v in aux], {}

    def _array(self, value, dtype):
        if isinstance(value, NDArray):
            # Integer arrays are indices or counts: what they are is part of the program.
            keep = dtype is None or not _floating(value)
            value = value.detach().as_in_context(self.ctx)
            return value.astype(value.dtype if keep else dtype)
        return nd.array(np.asarray(value), dtype=dtype, ctx=self.ctx)

    def __call__(self, arrays):
        """What the function gives, as a list. It gets copies of the auxiliary arrays."""
        named = {name: array.copy() for name, array in self.named_aux.items()}
        aux = [array.copy() for array in self.aux]
        if self.by_name:
            result = self.function(*aux, **arrays, **named)
        else:
            result = self.function(*arrays.values(), *aux, **named)
        outputs = list(result) if isinstance(result, (list, tuple)) else [result]
        for output in outputs:
            if not isinstance(output, NDArray):
                raise TypeError(f"the function must give NDArrays, it gave {output!r}")
        return outputs

    def copies(self):
        return {name: array.copy() for name, array in self.arrays.items()}


def _named(what, names, given):
    """The arrays by the names of a symbol's arguments or states."""
    if not isinstance(given, dict):
        if len(given) != len(names):
            raise ValueError(f"{what}: {len(given)} arrays are given for {names}")
        given = dict(zip(names, given))
    if set(given) != set(names):
        raise ValueError(
            f"{what}: arrays for {sorted(given)} are given, for {names} they are needed"
        )
    return {name: given[name] for name in names}


def _function_of(symbol):
    """A symbol as a function of NDArrays, by name."""
    call, names = CachedOp(symbol), symbol.list_inputs()
    return lambda **arrays: call(*[arrays[name] for name in names])


def _names(function, count):
    """Names for positional arguments: the function's own where it has them."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # some built-in functions have no signature
        parameters = []
    names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return [names[i] if i < len(names) else f"arg{i}" for i in range(count)]


def _numeric(call, names, weights, eps, use_forward_train):
    """Central differences of the outputs' sum, weighted, with respect to some of the arrays."""

    def total(changed, values):
        # Each call gets arrays of its own, so that a function may write into them.
        arrays = call.copies()
        arrays[changed] = nd.array(values, dtype=call.arrays[changed].dtype, ctx=call.ctx)
        with autograd.pause(train_mode=use_forward_train):
            outputs = [output for output in call(arrays) if _floating(output)]
        # In double precision, or adding up would lose what the difference is about.
        sums = [
            np.sum(output.asnumpy().astype(np.float64) * w) for output, w in zip(outputs, weights)
        ]
        return float(np.sum(sums))

    gradients = {}
    for name in names:
        values = call.arrays[name].asnumpy()
        gradient = np.zeros(values.shape, values.dtype)
        for place in np.ndindex(*values.shape):
            at = values[place]
            values[place] = high = at + values.dtype.type(eps / 2)
            above = total(name, values)
            values[place] = low = at - values.dtype.type(eps / 2)
            below = total(name, values)
            values[place] = at
            # The step that was taken: not quite eps, where it was rounded.
            step = float(high) - float(low)
            if not step > 0:
                raise ValueError(f"{name}: a step of {eps} is none from {at} in {values.dtype}")
            gradient[place] = (above - below) / step
        gradients[name] = gradient
    return gradients


def numeric_grad(
    executor, location, aux_states=None, eps=0.0001, use_forward_train=True, dtype=np.float32
):
    """The gradient of the sum of a function's results, by central differences.

    Parameters
    ----------
    executor : Executor, Symbol or callable
        An executor, of which the first output counts; a symbol; or a function of NDArrays that
        gives an NDArray, or a list of them.
    location : list or dict
        The arguments: NDArrays or NumPy arrays, by position or by name. Those that hold floats are
        converted to `dtype`; so are NumPy's of integers.
    aux_states : list or dict, optional
        Further arguments, which are not differentiated. Every call gets copies.
    eps : float, default 1e-4
        The step. The default suits float64; float32 needs one of about 1e-2.
    use_forward_train : bool, default True
        Whether the function runs in training mode.
    dtype : default float32
        Data type to compute with.

    Returns
    -------
    dict or list of numpy.ndarray
        For each argument its gradient, in the form of `location`; None for NDArrays of integers.

    Examples
    --------
    >>> import numpy as np
    >>> from mxtape.test_utils import numeric_grad
    >>> gradient = numeric_grad(lambda x: x * x, {'x': np.array([1.0, 3.0])}, dtype='float64')
    >>> gradient['x'].round(6).tolist()
    [2.0, 6.0]
    """
    call = _Call("numeric_grad", executor, location, aux_states, None, dtype)
    names = [name for name, array in call.arrays.items() if _floating(array)]
    gradients = _numeric(call, names, _Ones(), eps, use_forward_train)
    if call.by_name:
        return {name: gradients.get(name) for name in call.arrays}
    return [gradients.get(name) for name in call.arrays]


class _Ones:
    """The weight 1, for any number of outputs."""

    def __getitem__(self, index):
        return 1.0


def _requests(call, grad_nodes):
    """By the names of arguments: what to do with their gradients."""
    if grad_nodes is None:
        return {name: "write" for name, array in call.arrays.items() if _floating(array)}
    requests = grad_nodes if isinstance(grad_nodes, dict) else dict.fromkeys(grad_nodes, "write")
    for name, request in requests.items():
        if name not in call.arrays:
            raise KeyError(f"grad_nodes: {name!r} is none of {', '.join(call.arrays)}")
        if request not in ("write", "add", "null"):
            raise ValueError(f"grad_nodes: {request!r} is none of 'write', 'add', 'null'")
    return requests


def check_numeric_gradient(
    sym,
    location,
    aux_states=None,
    numeric_eps=None,
    rtol=None,
    atol=None,
    grad_nodes=None,
    use_forward_train=True,
    ctx=None,
    grad_stype_dict=None,
    dtype=np.float32,
):
    """Raises an ``AssertionError`` unless a function's gradient is what central differences give.

    The results are multiplied by random numbers before they are added up, so that a mistake in one
    element's gradient is not made up for by another's.

    Parameters
    ----------
    sym : Symbol or callable
        A symbol, or a function of NDArrays that gives an NDArray, or a list of them. It must give
        the same for the same arguments.
    location : list or dict
        The arguments, by position or by name; see :func:`numeric_grad`.
    aux_states : list or dict, optional
        Further arguments, which are not differentiated. Every call gets copies.
    numeric_eps : float, optional
        The step, by default that of the data type (:func:`default_numeric_eps`).
    rtol, atol : float, optional
        Tolerances of :func:`assert_almost_equal`.
    grad_nodes : list or dict, optional
        Names of the arguments to check, or a dict of their ``grad_req``; all of them by default.
        Arguments given by position go by the names that the function has for them.
    use_forward_train : bool, default True
        Whether the function runs in training mode.
    ctx : Context, optional
        Context of the arrays, by default the current one.
    grad_stype_dict : dict, optional
        Storage types of the gradients by the names of arguments, by default 'default'.
    dtype : default float32
        Data type to compute with; float64 is the most exact.

    Examples
    --------
    >>> import numpy as np
    >>> from mxtape.test_utils import check_numeric_gradient
    >>> import mxtape as mx
    >>> x, w = np.array([[1.0, 2.0]]), np.array([[3.0], [4.0]])
    >>> check_numeric_gradient(lambda x, w: mx.nd.dot(x, w) ** 2, [x, w], dtype='float64')
    >>> mx.test_utils.check_numeric_gradient(lambda x: mx.nd.BlockGrad(x) * x, [x])
    Traceback (most recent call last):
        ...
    AssertionError: NUMERICAL_x and BACKWARD_x differ in 2 of 2 elements...
    """
    stypes = grad_stype_dict or {}
    call = _Call("check_numeric_gradient", sym, location, aux_states, ctx, dtype)
    requests = {n: r for n, r in _requests(call, grad_nodes).items() if r != "null"}
    eps = default_numeric_eps()[np.dtype(dtype)] if numeric_eps is None else numeric_eps

    arrays, before, gradients = call.copies(), {}, {}
    for name, request in requests.items():
        stype = stypes.get(name, "default")
        arrays[name].attach_grad(request, stype)
        before[name] = _normal(arrays[name].shape).astype(arrays[name].dtype)
        gradients[name] = arrays[name].grad
        start = nd.array(before[name], dtype=before[name].dtype, ctx=call.ctx)
        start.tostype(stype).copyto(gradients[name])
    with autograd.record(train_mode=use_forward_train):
        outputs = [output for output in call(arrays) if _floating(output)]
        weights = [_uniform(0.5, 1.5, output.shape).astype(output.dtype) for output in outputs]
        losses = [
            (output * nd.array(w, dtype=w.dtype, ctx=call.ctx)).sum().astype("float64")
            for output, w in zip(outputs, weights)
        ]
        loss = nd.add_n(*losses) if losses else None
    if loss is None:
        raise MXNetError("check_numeric_gradient: the function gives no array of floats")
    loss.backward(train_mode=use_forward_train)

    numeric = _numeric(call, requests, weights, eps, use_forward_train)
    for name, request in requests.items():
        found = gradients[name].asnumpy()
        if request == "add":
            found = found - before[name]
        names = (f"NUMERICAL_{name}", f"BACKWARD_{name}")
        assert_almost_equal(numeric[name], found, rtol, atol, names)


def check_speed(sym, location=None, ctx=None, N=20, grad_req=None, typ="whole", **kwargs):
    """The seconds that a call of a function takes, on average, after one that is not counted.

    Parameters
    ----------
    sym : Symbol or callable
        A symbol, or a function of NDArrays that gives an NDArray, or a list of them.
    location : dict or list, optional
        The arguments, by name or by position.
    ctx : Context, optional
        Context of the arrays, by default the current one.
    N : int, default 20
        How many calls are timed.
    grad_req : str, default 'write'
        For the gradients of all arguments.
    typ : str, default 'whole'
        ``'whole'`` times the function and the backward pass, ``'forward'`` only the function.
    **kwargs : tuple of int
        Without `location`: shapes, by the arguments' names, of random arrays.

    Examples
    --------
    >>> import numpy as np
    >>> import mxtape as mx
    >>> mx.test_utils.check_speed(mx.nd.dot, [np.ones((8, 8)), np.ones((8, 8))], N=3) > 0
    True
    """
    if typ not in ("whole", "forward"):
        raise ValueError(f"check_speed: typ is 'whole' or 'forward', got {typ!r}")
    if location is None:
        shapes = kwargs
        if isinstance(sym, Symbol):
            shapes = dict(zip(sym.list_arguments(), sym.infer_shape(**kwargs)[0]))
        location = {name: _normal(shape) for name, shape in shapes.items()}
    states = None
    if isinstance(sym, Symbol) and sym.list_auxiliary_states():
        location = _named("check_speed", sym.list_arguments(), location)
        given = {name: np.shape(value) for name, value in location.items()}
        shapes = sym.infer_shape(**given)[2]
        states = {n: np.ones(s) for n, s in zip(sym.list_auxiliary_states(), shapes)}
    call = _Call("check_speed", sym, location, states, ctx, None)
    arrays = call.copies()
    for array in arrays.values():
        if typ == "whole" and _floating(array):
            array.attach_grad("write" if grad_req is None else grad_req)

    def once():
        if typ == "forward":
            call(arrays)
            return
        with autograd.record():
            outputs = call(arrays)
        autograd.backward(outputs)

    once()
    nd.waitall()
    start = time.perf_counter()
    for _ in range(N):
        once()
    nd.waitall()
    return (time.perf_counter() - start) / N
