"""Symbols compared with expected results, with each other, and across data types."""

import json

import numpy as np

from .. import ndarray as nd
from ..context import current_context
from ..ndarray import NDArray
from ..symbol import Symbol
from .arrays import _normal, _uniform
from .comparison import assert_almost_equal, get_tols

__all__ = [
    "check_consistency",
    "check_symbolic_backward",
    "check_symbolic_forward",
    "same_symbol_structure",
    "simple_forward",
]


def _array(value, ctx, dtype):
    if isinstance(value, NDArray):
        return value.as_in_context(ctx).copy()
    return nd.array(np.asarray(value), ctx=ctx, dtype=dtype)


def _located(what, symbol, location, ctx, dtype):
    """The arguments as arrays by name."""
    names = symbol.list_arguments()
    if not isinstance(location, dict):
        if len(location) != len(names):
            raise ValueError(f"{what}: {len(location)} arrays for the arguments {names}")
        location = dict(zip(names, location))
    elif set(location) != set(names):
        raise ValueError(f"{what}: arrays for {sorted(location)}, the arguments are {names}")
    return {name: _array(location[name], ctx, dtype) for name in names}


def _states(symbol, aux_states, ctx, dtype):
    if aux_states is None:
        return None
    if not isinstance(aux_states, dict):
        aux_states = dict(zip(symbol.list_auxiliary_states(), aux_states))
    return {name: _array(value, ctx, dtype) for name, value in aux_states.items()}


def _by_name(given, names):
    """Values in a dict or list by name; a list may end early."""
    return dict(given) if isinstance(given, dict) else dict(zip(names, given))


def check_symbolic_forward(
    sym,
    location,
    expected,
    rtol=None,
    atol=None,
    aux_states=None,
    ctx=None,
    equal_nan=False,
    dtype=np.float32,
):
    """Raises an ``AssertionError`` unless a symbol's outputs are what is expected.

    Parameters
    ----------
    sym : Symbol
        The symbol, run in predict mode.
    location : list or dict
        The arguments: NumPy arrays, which are converted to `dtype`, or NDArrays.
    expected : list or dict
        The outputs, in their order or by name.
    rtol, atol : float, optional
        Tolerances of :func:`assert_almost_equal`.
    aux_states : list or dict, optional
        The auxiliary states.
    ctx : Context, default the current one
    equal_nan : bool, default False
        Whether NaN equals NaN.
    dtype : default float32

    Returns
    -------
    list of NDArray
        The outputs.

    Examples
    --------
    >>> import numpy as np
    >>> import mxtape as mx
    >>> symbol = mx.sym.Variable('a') * mx.sym.Variable('b')
    >>> a, b = np.array([1.0, 2.0]), np.array([3.0, 4.0])
    >>> mx.test_utils.check_symbolic_forward(symbol, [a, b], [a * b])[0].asnumpy().tolist()
    [3.0, 8.0]
    """
    ctx = current_context() if ctx is None else ctx
    arguments = _located("check_symbolic_forward", sym, location, ctx, dtype)
    executor = sym.bind(ctx, arguments, aux_states=_states(sym, aux_states, ctx, dtype))
    outputs = executor.forward(is_train=False)
    names = sym.list_outputs()
    expected = _by_name(expected, names)
    for name, output in zip(names, outputs):
        if name in expected:
            labels = (f"EXPECTED_{name}", f"FORWARD_{name}")
            assert_almost_equal(expected[name], output.asnumpy(), rtol, atol, labels, equal_nan)
    return executor.outputs


def check_symbolic_backward(
    sym,
    location,
    out_grads,
    expected,
    rtol=None,
    atol=None,
    aux_states=None,
    grad_req="write",
    ctx=None,
    grad_stypes=None,
    equal_nan=False,
    dtype=np.float32,
):
    """Raises an ``AssertionError`` unless a symbol's gradients are what is expected.

    Parameters
    ----------
    sym : Symbol
        The symbol, run in training mode.
    location : list or dict
        The arguments: NumPy arrays, which are converted to `dtype`, or NDArrays.
    out_grads : list or dict, optional
        Gradients of the outputs, in their order or by name; None where they are losses.
    expected : list or dict
        The gradients of arguments, in their order or by name.
    rtol, atol : float, optional
        Tolerances of :func:`assert_almost_equal`.
    aux_states : list or dict, optional
        The auxiliary states.
    grad_req : str, list or dict, default 'write'
        As of ``Symbol.bind``. 'add' is checked from random gradients on, 'null' to change nothing.
    ctx : Context, default the current one
    grad_stypes : list or dict, optional
        Storage types of the gradients of arguments, in their order or by name, by default
        'default'.
    equal_nan : bool, default False
        Whether NaN equals NaN.
    dtype : default float32

    Returns
    -------
    dict of str to NDArray
        The gradients by the arguments' names.

    Examples
    --------
    >>> import numpy as np
    >>> from mxtape.test_utils import check_symbolic_backward
    >>> import mxtape as mx
    >>> symbol = mx.sym.Variable('a') * mx.sym.Variable('b')
    >>> a, b = np.array([1.0, 2.0]), np.array([3.0, 4.0])
    >>> check_symbolic_backward(symbol, [a, b], [np.ones(2)], [b, a])['a'].asnumpy().tolist()
    [3.0, 4.0]
    """
    ctx = current_context() if ctx is None else ctx
    names = sym.list_arguments()
    arguments = _located("check_symbolic_backward", sym, location, ctx, dtype)
    expected = _by_name(expected, names)
    if isinstance(grad_req, (list, tuple)):
        grad_req = dict(zip(names, grad_req))
    elif isinstance(grad_req, str):
        grad_req = dict.fromkeys(names, grad_req)
    stypes = _by_name(grad_stypes or {}, names)
    before = {name: _normal(arguments[name].shape) for name in names if name in expected}
    grads = {
        name: nd.array(value, ctx=ctx, dtype=arguments[name].dtype).tostype(
            stypes.get(name) or "default"
        )
        for name, value in before.items()
    }
    before = {name: grads[name].asnumpy() for name in grads}
    executor = sym.bind(ctx, arguments, grads, grad_req, _states(sym, aux_states, ctx, dtype))
    outputs = executor.forward(is_train=True)
    if out_grads is not None:
        given = _by_name(out_grads, sym.list_outputs())
        heads = [
            None if name not in given else _array(given[name], ctx, output.dtype)
            for name, output in zip(sym.list_outputs(), outputs)
        ]
        executor.backward(heads)
    else:
        executor.backward()
    for name, wanted in expected.items():
        found, request = executor.grad_dict[name].asnumpy(), grad_req.get(name, "null")
        if request == "add":
            found = found - before[name]
        elif request == "null":
            wanted = before[name]
        labels = (f"EXPECTED_{name}", f"BACKWARD_{name}")
        assert_almost_equal(wanted, found, rtol, atol, labels, equal_nan)
    return {name: grads[name] for name in names if name in grads}


def simple_forward(sym, ctx=None, is_train=False, **inputs):
    """The outputs of a symbol as NumPy arrays: one, or a list of several.

    Parameters
    ----------
    sym : Symbol
    ctx : Context, default the current one
    is_train : bool, default False
    **inputs
        The arguments, by name: NumPy arrays, which are converted to float32.

    Examples
    --------
    >>> import numpy as np
    >>> import mxtape as mx
    >>> mx.test_utils.simple_forward(mx.sym.Variable('a') * 2, a=np.array([1.0, 2.0])).tolist()
    [2.0, 4.0]
    """
    ctx = current_context() if ctx is None else ctx
    arrays = {name: nd.array(value, ctx=ctx) for name, value in inputs.items()}
    executor = sym.bind(ctx, arrays)
    outputs = [output.asnumpy() for output in executor.forward(is_train=is_train)]
    return outputs[0] if len(outputs) == 1 else outputs


def same_symbol_structure(sym1, sym2):
    """Whether two symbols have the same operators joined in the same way.

    Names and parameters may differ.

    Examples
    --------
    >>> from mxtape.test_utils import same_symbol_structure
    >>> import mxtape as mx
    >>> a, b = mx.sym.Variable('a'), mx.sym.Variable('b')
    >>> same_symbol_structure(a * b, b * a), same_symbol_structure(a * a, a * b)
    (True, False)
    """

    def structure(symbol):
        graph = json.loads(symbol.tojson())
        nodes = [(n["op"], [i[:2] for i in n["inputs"]]) for n in graph["nodes"]]
        return nodes, [head[:2] for head in graph["heads"]]

    return structure(sym1) == structure(sym2)


def _parameters(executor, given, scale, use_uniform, kind):
    """Values for an executor's arrays: those given, random numbers for the others."""
    values = {}
    for name, array in executor.arg_dict.items():
        if name in given:
            values[name] = np.asarray(getattr(given[name], "asnumpy", lambda v=given[name]: v)())
        elif use_uniform:
            values[name] = _uniform(-0.92 * scale, 0.92 * scale, array.shape).astype(kind)
        else:
            values[name] = (_normal(array.shape) * scale).astype(kind)
    return values


def check_consistency(
    sym,
    ctx_list,
    scale=1.0,
    grad_req="write",
    arg_params=None,
    aux_params=None,
    rtol=None,
    atol=None,
    raise_on_err=True,
    ground_truth=None,
    equal_nan=False,
    use_uniform=False,
    rand_type=np.float64,
):
    """Raises an ``AssertionError`` unless a symbol gives about the same under several settings.

    Parameters
    ----------
    sym : Symbol or list of Symbol
        The symbol, or one for each setting; they have the same arguments and outputs.
    ctx_list : list of dict
        At least two settings: arguments of ``Symbol.simple_bind``. That is ``'ctx'``, shapes by
        name, and ``'type_dict'``.
    scale : float, default 1
        The standard deviation of the random arguments.
    grad_req : str, list or dict, default 'write'
        As of ``Symbol.bind``; with 'null', gradients are not compared.
    arg_params, aux_params : dict, optional
        Values for arguments and auxiliary states; states that are not given are 0.
    rtol, atol : float, optional
        Tolerances; by default those of the less exact of two dtypes.
    raise_on_err : bool, default True
        Whether a difference raises; else it is printed.
    ground_truth : dict, optional
        What to compare with, as this function returns it. By default, the results of the most
        exact setting.
    equal_nan : bool, default False
        Whether NaN equals NaN.
    use_uniform : bool, default False
        Whether random arguments are uniform rather than normal.
    rand_type : default float64
        The dtype to which random numbers are rounded before they are used.

    Returns
    -------
    dict of str to NDArray
        The outputs and gradients that the others were compared with.

    Examples
    --------
    >>> from mxtape.test_utils import check_consistency
    >>> import mxtape as mx
    >>> settings = [{'ctx': mx.cpu(), 'a': (2, 3), 'type_dict': {'a': kind}}
    ...             for kind in ('float32', 'float64')]
    >>> sorted(check_consistency(mx.sym.tanh(mx.sym.Variable('a'), name='t'), settings))
    ['a', 't_output']
    """
    if len(ctx_list) < 2:
        raise AssertionError(f"check_consistency: two settings are needed, got {len(ctx_list)}")
    symbols = [sym] * len(ctx_list) if isinstance(sym, Symbol) else list(sym)
    if len(symbols) != len(ctx_list):
        raise AssertionError(f"check_consistency: {len(symbols)} symbols, {len(ctx_list)} settings")
    names, outputs = symbols[0].list_arguments(), symbols[0].list_outputs()
    for other in symbols[1:]:
        if other.list_arguments() != names or other.list_outputs() != outputs:
            raise AssertionError(
                f"check_consistency: {other!r} has the arguments {other.list_arguments()} and the "
                f"outputs {other.list_outputs()}, the first symbol {names} and {outputs}"
            )
    executors = [s.simple_bind(grad_req=grad_req, **given) for s, given in zip(symbols, ctx_list)]
    values = _parameters(executors[0], arg_params or {}, scale, use_uniform, rand_type)
    for executor in executors:
        for name, array in executor.arg_dict.items():
            array[:] = values[name]
        for name, array in executor.aux_dict.items():
            array[:] = (aux_params or {}).get(name, 0)
    kinds = [np.dtype(executor.outputs[0].dtype) for executor in executors]
    best = max(range(len(kinds)), key=lambda i: kinds[i].itemsize)

    def compare(found, truth, place):
        for name, result in found.items():
            wanted = truth[name]
            relative, absolute = get_tols(result, wanted, rtol, atol)
            labels = (f"setting {place}: {name}", f"truth: {name}")
            try:
                assert_almost_equal(result, wanted, relative, absolute, labels, equal_nan)
            except AssertionError as error:
                if raise_on_err:
                    raise
                print(error)

    def results(executor, gradients):
        found = dict(zip(outputs, [output.copy() for output in executor.outputs]))
        if gradients:
            found.update({n: g.copy() for n, g in executor.grad_dict.items() if g is not None})
        return found

    def run(gradients):
        found = []
        for executor in executors:
            executor.forward(is_train=gradients)
            if gradients:
                heads = [nd.array(h, dtype=o.dtype) for h, o in zip(weights, executor.outputs)]
                executor.backward(heads)
            found.append(results(executor, gradients))
        truth = found[best] if ground_truth is None else ground_truth
        for place, result in enumerate(found):
            if ground_truth is not None or place != best:
                compare(result, truth, place)
        return truth

    truth = run(False)
    if grad_req != "null":
        weights = [_normal(output.shape) for output in executors[0].outputs]
        truth = run(True)
    return truth
