"""Transforms of functions: derivatives forward and backward, Jacobians and Hessians.

A function accepts and returns NDArrays, nested in tuples, lists and dicts as you like. Transforms
compose with each other and with :func:`record`. Called while recording, their results are on the
tape: they are functions of the variables that the arguments, and what the function captures, are
made of.

A function runs in the thread's mode: training inside ``record()``, else predicting. Names and
argument orders are those of JAX where it has them.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import ndarray as nd
from .._loader import core as _core
from ..base import MXNetError
from ..ndarray import NDArray
from . import Function, is_recording, is_training, pause, record
from ._trees import LEAF, flatten, paths, unflatten
from .batching import vmap

__all__ = [
    "custom_gradient",
    "elementwise_grad",
    "hessian",
    "hvp",
    "jacobian",
    "jvp",
    "linearize",
    "value_and_grad",
    "vjp",
]


class _Recorded:
    """One run of a function: its value, and its derivative as a linear map."""

    def __init__(self, what: str, f: Callable[..., Any], args: Sequence[Any], has_aux: bool):
        if not callable(f):
            raise TypeError(f"{what}: expected a function, got {f!r}")
        arrays, self.inputs = flatten(tuple(args))
        if not arrays:
            raise TypeError(f"{what}: no argument is or contains an NDArray")
        self.what = what
        nested = is_recording()
        starts = _core.begin_graph(arrays)
        with record(train_mode=is_training()):
            returned = f(*unflatten(self.inputs, starts))
        self.aux = None
        if has_aux:
            if not (isinstance(returned, tuple) and len(returned) == 2):
                raise TypeError(
                    f"{what}: with has_aux=True the function returns a pair, "
                    f"(value, auxiliary), got {type(returned).__name__}"
                )
            returned, aux = returned
            found, structure = flatten(aux)
            self.aux = aux if nested else unflatten(structure, map(_core.detach, found))
        heads, self.outputs = flatten(returned)
        if not heads:
            raise TypeError(
                f"{what}: the function must return NDArrays, it returned {type(returned).__name__}"
            )
        self.map = _core.Linearization(heads, starts)
        self.heads = heads if nested else [_core.detach(head) for head in heads]
        self.starts = arrays

    @property
    def value(self) -> Any:
        return unflatten(self.outputs, self.heads)

    def push(self, tangents: Any) -> Any:
        given = self._matched(tangents, self.inputs, self.starts, "tangents", "primals")
        return unflatten(self.outputs, self.map.push(given))

    def pull(self, cotangents: Any) -> Any:
        given = self._matched(cotangents, self.outputs, self.heads, "cotangents", "outputs")
        return unflatten(self.inputs, self.map.pull(given))

    def pull_ones(self) -> Any:
        return unflatten(self.inputs, self.map.pull([_ones(head) for head in self.heads]))

    def _matched(self, tree: Any, structure: Any, arrays: list, name: str, like: str) -> list:
        found, other = flatten(tree)
        if other != structure:
            raise ValueError(
                f"{self.what}: {name} must be nested like the {like}, {structure!r}; got {other!r}"
            )
        for place, given, array in zip(paths(structure, name), found, arrays):
            if given.shape != array.shape or given.dtype != array.dtype:
                raise ValueError(
                    f"{self.what}: {place} must have shape {array.shape} and dtype "
                    f"{_name(array)}, got {given.shape} and {_name(given)}"
                )
        return found


def _name(array: NDArray) -> str:
    return np.dtype(array.dtype).name


def _ones(array: NDArray) -> NDArray:
    return _core.full(list(array.shape), 1.0, array.dtype)


def _zeros(array: NDArray) -> NDArray:
    return _core.full(list(array.shape), 0.0, array.dtype)


def _arguments(what: str, primals: Any, name: str) -> tuple:
    if not isinstance(primals, (tuple, list)):
        raise TypeError(
            f"{what}: {name} must be a tuple, an entry for each argument of the "
            f"function, got {type(primals).__name__}"
        )
    return tuple(primals)


def vjp(f: Callable[..., Any], *primals: Any, has_aux: bool = False) -> Any:
    """The value of `f`, and the function that pulls gradients back through it.

    Parameters
    ----------
    f : callable
        Accepts `primals`; arrays may be nested in tuples, lists and dicts, as may what it returns.
    primals : NDArray or nested
        The point at which to differentiate.
    has_aux : bool, default False
        Whether `f` returns a pair, of which only the first part is differentiated.

    Returns
    -------
    tuple
        ``(value, pullback)``, or ``(value, pullback, aux)``. ``pullback(cotangents)`` accepts what
        is nested like the value, of its shapes and dtypes, and returns a tuple: a gradient for each
        of `primals`. It may be called any number of times.

    Raises
    ------
    ValueError
        Cotangents that do not fit the value.

    >>> from mxtape import autograd, nd
    >>> value, pullback = autograd.vjp(lambda x, y: x * nd.sin(y), nd.array([2.0]), nd.array([0.0]))
    >>> [gradient.item() for gradient in pullback(nd.array([10.0]))]
    [0.0, 20.0]
    """
    run = _Recorded("vjp", f, primals, has_aux)
    return (run.value, run.pull, run.aux) if has_aux else (run.value, run.pull)


def linearize(f: Callable[..., Any], *primals: Any, has_aux: bool = False) -> Any:
    """The value of `f`, and the linear function that its derivative at `primals` is.

    `f` runs once. Each call of the returned function is one sweep over what it recorded, in the
    order in which that ran.

    Parameters
    ----------
    f, primals, has_aux
        As in :func:`vjp`.

    Returns
    -------
    tuple
        ``(value, pushforward)``, or ``(value, pushforward, aux)``. ``pushforward(*tangents)``
        accepts what `f` accepts, and returns what is nested like the value.

    Raises
    ------
    ValueError
        Tangents that do not fit the primals.
    MXNetError
        A loss layer as ``SoftmaxOutput``: its gradient does not depend on what flows into it, so
        that it has no tangent.

    >>> from mxtape import autograd, nd
    >>> value, pushforward = autograd.linearize(lambda x: x ** 3, nd.array([2.0]))
    >>> value.item(), pushforward(nd.array([1.0])).item(), pushforward(nd.array([0.5])).item()
    (8.0, 12.0, 6.0)
    """
    run = _Recorded("linearize", f, primals, has_aux)

    def pushforward(*tangents: Any) -> Any:
        return run.push(tangents)

    return (run.value, pushforward, run.aux) if has_aux else (run.value, pushforward)


def jvp(f: Callable[..., Any], primals: Any, tangents: Any, has_aux: bool = False) -> Any:
    """The value of `f` and its derivative in one direction: forward mode.

    Parameters
    ----------
    f, has_aux
        As in :func:`vjp`.
    primals, tangents : tuple
        The arguments of `f`, and a direction for each, of the same shapes and dtypes.

    Returns
    -------
    tuple
        ``(value, tangent)``, or ``(value, tangent, aux)``; the tangent is nested like the value.

    Raises
    ------
    ValueError
        Tangents that do not fit the primals.
    MXNetError
        As in :func:`linearize`.

    >>> from mxtape import autograd, nd
    >>> x, t = nd.array([1.0, 2.0]), nd.array([1.0, 0.0])
    >>> value, tangent = autograd.jvp(lambda x: x * x.sum(), (x,), (t,))
    >>> value.asnumpy().tolist(), tangent.asnumpy().tolist()
    ([3.0, 6.0], [4.0, 2.0])

    A second derivative, forward over forward:

    >>> def slope(x):
    ...     return autograd.jvp(nd.exp, (x,), (nd.ones((1,)),))[1]
    >>> autograd.jvp(slope, (nd.zeros((1,)),), (nd.ones((1,)),))[1].item()
    1.0
    """
    run = _Recorded("jvp", f, _arguments("jvp", primals, "primals"), has_aux)
    tangent = run.push(_arguments("jvp", tangents, "tangents"))
    return (run.value, tangent, run.aux) if has_aux else (run.value, tangent)


def _argnums(what: str, argnums: Any, count: int) -> tuple[tuple[int, ...], bool]:
    single = not isinstance(argnums, (tuple, list))
    numbers = (argnums,) if single else tuple(argnums)
    for number in numbers:
        if not isinstance(number, (int, np.integer)) or isinstance(number, bool):
            raise TypeError(f"{what}: argnums must be an integer or several, got {argnums!r}")
        if not -count <= number < count:
            raise ValueError(
                f"{what}: argnums has {number}, the function was given {count} positional arguments"
            )
    return tuple(int(number) % count for number in numbers), single


def _of_arguments(
    f: Callable[..., Any], args: tuple, numbers: Sequence[int], kwargs: dict
) -> Callable[..., Any]:
    """`f` as a function of the arguments that are differentiated."""

    def partial(*chosen: Any) -> Any:
        all_args = list(args)
        for number, value in zip(numbers, chosen):
            all_args[number] = value
        return f(*all_args, **kwargs)

    return partial


def _run(
    what: str, f: Callable[..., Any], argnums: Any, args: tuple, kwargs: dict, has_aux: bool = False
) -> tuple[_Recorded, bool]:
    if not callable(f):
        raise TypeError(f"{what}: expected a function, got {f!r}")
    numbers, single = _argnums(what, argnums, len(args))
    chosen = [args[number] for number in numbers]
    return _Recorded(what, _of_arguments(f, args, numbers, kwargs), chosen, has_aux), single


def _expect_scalar(run: _Recorded) -> None:
    if len(run.heads) != 1 or run.heads[0].size != 1:
        shapes = [head.shape for head in run.heads]
        raise ValueError(
            f"{run.what}: the function must return one number, it returned arrays of "
            f"shapes {shapes}; use vjp, jacobian or elementwise_grad"
        )


def value_and_grad(
    f: Callable[..., Any], argnums: Any = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """A function that returns the value of `f`, which is one number, and its gradient.

    Parameters
    ----------
    f : callable
        Returns an array of one element.
    argnums : int or sequence of int, default 0
        Which positional arguments to differentiate with respect to. They may be nested.
    has_aux : bool, default False
        Whether `f` returns a pair, of which only the first part is differentiated.

    Returns
    -------
    callable
        ``(value, gradient)``, or ``((value, aux), gradient)``. The gradient is nested like the
        argument; with several `argnums` it is a tuple.

    Raises
    ------
    ValueError
        A value of more than one element, an `argnums` beyond the arguments.

    >>> from mxtape import autograd, nd
    >>> def loss(weights, x):
    ...     return nd.square(nd.dot(weights["w"], x) + weights["b"]).sum()
    >>> weights = {"w": nd.array([1.0, 2.0]), "b": nd.array([1.0])}
    >>> value, gradient = autograd.value_and_grad(loss)(weights, nd.array([3.0, 4.0]))
    >>> value.item(), gradient["w"].asnumpy().tolist(), gradient["b"].item()
    (144.0, [72.0, 96.0], 24.0)
    """

    @functools.wraps(f)
    def transformed(*args: Any, **kwargs: Any) -> Any:
        run, single = _run("value_and_grad", f, argnums, args, kwargs, has_aux)
        _expect_scalar(run)
        gradients = run.pull_ones()
        value = (run.value, run.aux) if has_aux else run.value
        return value, gradients[0] if single else gradients

    return transformed


def elementwise_grad(f: Callable[..., Any], argnums: Any = 0) -> Callable[..., Any]:
    """A function that returns the derivative of each element of `f` by the same of its argument.

    It is the gradient of the sum of all that `f` returns. So `f` must treat elements apart: where
    an output depends on several elements, its derivatives are summed.

    Parameters
    ----------
    f : callable
        Returns an array, or several.
    argnums : int or sequence of int, default 0
        As in :func:`value_and_grad`.

    Returns
    -------
    callable
        The derivative, nested like the argument; with several `argnums` a tuple.

    >>> from mxtape import autograd, nd
    >>> third = nd.sin
    >>> for _ in range(3):
    ...     third = autograd.elementwise_grad(third)
    >>> third(nd.zeros((2,))).asnumpy().tolist()
    [-1.0, -1.0]
    """

    @functools.wraps(f)
    def transformed(*args: Any, **kwargs: Any) -> Any:
        run, single = _run("elementwise_grad", f, argnums, args, kwargs)
        gradients = run.pull_ones()
        return gradients[0] if single else gradients

    return transformed


def _rows(move: Callable[[list], list], arrays: list, results: list) -> list[list[NDArray]]:
    """What a linear map makes of unit vectors: the only place that goes through a basis.

    `move` accepts a list with an array like each of `arrays`, or None for zeros, and returns arrays
    like `results`. Row k of the table has, for each result, its images of the basis of arrays[k],
    one behind the other along a new first axis.
    """
    table = []
    for k, array in enumerate(arrays):

        def image(unit: NDArray, k: int = k) -> list:
            given: list = [None] * len(arrays)
            given[k] = unit
            return move(given)

        if array.size == 0:
            table.append([_core.full([0, *like.shape], 0.0, like.dtype) for like in results])
            continue
        with pause(train_mode=is_training()):
            basis = _basis(array)
        parts = [_images(image, basis[j : j + _BATCH]) for j in range(0, array.size, _BATCH)]
        table.append([part[0] if not part[1:] else nd.concat(*part, dim=0) for part in zip(*parts)])
    return table


# So many unit vectors go through a map at once: what a step makes of them is in memory together.
_BATCH = 256


def _images(image: Callable[[NDArray], list], units: NDArray) -> list[NDArray]:
    if len(units) > 1:
        try:
            return vmap(image)(units)
        except MXNetError:
            pass  # an operator, or a Function, that has no rule for batches: one after the other
    rows = [image(units[j]) for j in range(len(units))]
    return [nd.stack(*row) for row in zip(*rows)]


def _basis(array: NDArray) -> NDArray:
    size = array.size
    return nd.eye(size, dtype=array.dtype).reshape((size, *array.shape))


def _blocks(run: _Recorded, mode: str) -> list[list[NDArray]]:
    """The Jacobian of a run: for each of its outputs and each of its inputs, an array."""
    inputs, outputs = run.starts, run.heads
    if mode == "reverse":
        table = _rows(run.map.pull, outputs, inputs)
        return [
            [_reshaped(images, (*output.shape, *array.shape)) for images, array in zip(row, inputs)]
            for row, output in zip(table, outputs)
        ]
    table = _rows(run.map.push, inputs, outputs)
    blocks: list[list[NDArray]] = [[] for _ in outputs]
    for row, array in zip(table, inputs):
        for i, (images, output) in enumerate(zip(row, outputs)):
            # The basis is along the first axis: it becomes the last.
            matrix = nd.transpose(_reshaped(images, (array.size, output.size)))
            blocks[i].append(_reshaped(matrix, (*output.shape, *array.shape)))
    return blocks


def _reshaped(array: NDArray, shape: tuple) -> NDArray:
    return array if array.shape == shape else array.reshape(shape)


def _nested(run: _Recorded, blocks: list[list[NDArray]], single: bool) -> Any:
    rows = [unflatten(run.inputs, row) for row in blocks]
    return unflatten(run.outputs, [row[0] if single else row for row in rows])


def _mode(what: str, mode: Any, run: _Recorded) -> str:
    if mode is None:
        columns = sum(array.size for array in run.starts)
        return "forward" if columns <= sum(head.size for head in run.heads) else "reverse"
    if mode not in ("forward", "reverse"):
        raise ValueError(f"{what}: mode must be 'forward', 'reverse' or None, got {mode!r}")
    return mode


def jacobian(
    f: Callable[..., Any], argnums: Any = 0, mode: str | None = None
) -> Callable[..., Any]:
    """A function that returns the Jacobian of `f`: each output's derivative by each input.

    `f` runs once.

    Parameters
    ----------
    f : callable
        Returns an array, or several, nested as you like.
    argnums : int or sequence of int, default 0
        Which positional arguments to differentiate with respect to.
    mode : {'forward', 'reverse'}, optional
        A sweep for each element of the inputs, or one for each element of the outputs. By default
        what is fewer.

    Returns
    -------
    callable
        For an output of shape `m` and an argument of shape `n`, an array of shape ``m + n``. Nested
        outputs and arguments give the argument's structure in each place of the output's.

    >>> from mxtape import autograd, nd
    >>> x = nd.array([1.0, 2.0, 3.0])
    >>> autograd.jacobian(lambda x: nd.stack(x.sum(), x[0] * x[2]).reshape((-1,)))(
    ...     x
    ... ).asnumpy().tolist()
    [[1.0, 1.0, 1.0], [3.0, 0.0, 1.0]]
    """

    @functools.wraps(f)
    def transformed(*args: Any, **kwargs: Any) -> Any:
        run, single = _run("jacobian", f, argnums, args, kwargs)
        return _nested(run, _blocks(run, _mode("jacobian", mode, run)), single)

    return transformed


def _gradient_run(what: str, f: Callable[..., Any], args: Sequence[Any]) -> _Recorded:
    """A run of the gradient of `f`, with respect to all of `args`."""

    def gradient(*chosen: Any) -> Any:
        inner = _Recorded(what, f, chosen, False)
        _expect_scalar(inner)
        return inner.pull_ones()

    return _Recorded(what, gradient, args, False)


def hessian(f: Callable[..., Any], argnums: Any = 0) -> Callable[..., Any]:
    """A function that returns the matrix of second derivatives of `f`, which is one number.

    The gradient is recorded once, and pushed forward for each element of the arguments.

    Parameters
    ----------
    f : callable
        Returns an array of one element.
    argnums : int or sequence of int, default 0
        Which positional arguments to differentiate with respect to.

    Returns
    -------
    callable
        For an argument of shape `n` an array of shape ``n + n``; nested arguments give their
        structure twice, one in the other.

    >>> from mxtape import autograd, nd
    >>> x = nd.array([2.0, 3.0])
    >>> autograd.hessian(lambda x: x[0] * x[0] * x[1])(x).asnumpy().tolist()
    [[6.0, 4.0], [4.0, 0.0]]
    """

    @functools.wraps(f)
    def transformed(*args: Any, **kwargs: Any) -> Any:
        numbers, single = _argnums("hessian", argnums, len(args))
        chosen = [args[number] for number in numbers]
        run = _gradient_run("hessian", _of_arguments(f, args, numbers, kwargs), chosen)
        result = _nested(run, _blocks(run, "forward"), single)
        return result[0] if single else result

    return transformed


def hvp(f: Callable[..., Any], primals: Any, tangents: Any) -> Any:
    """The product of the Hessian of `f` and a vector, without the Hessian.

    It is the derivative of the gradient in the direction of the vector, and costs a few times what
    `f` does.

    Parameters
    ----------
    f : callable
        Returns an array of one element.
    primals, tangents : tuple
        The arguments of `f`, and the vector: an entry for each, nested like it.

    Returns
    -------
    tuple
        The product: an entry for each of `primals`.

    >>> from mxtape import autograd, nd
    >>> x, v = nd.array([2.0, 3.0]), nd.array([1.0, 1.0])
    >>> autograd.hvp(lambda x: x[0] * x[0] * x[1], (x,), (v,))[0].asnumpy().tolist()
    [10.0, 4.0]
    """
    run = _gradient_run("hvp", f, _arguments("hvp", primals, "primals"))
    return run.push(_arguments("hvp", tangents, "tangents"))


class _Custom(Function):
    """One call of a function with a gradient of its own."""

    def __init__(self, call: Callable[..., Any], label: str, inputs: tuple):
        super().__init__()
        self._call, self._label, self._inputs = call, label, inputs
        self._rule: Any = None
        self._outputs: Any = None

    def forward(self, *inputs: NDArray) -> list[NDArray]:
        returned = self._call(inputs)
        if not (isinstance(returned, tuple) and len(returned) == 2 and callable(returned[1])):
            raise TypeError(
                f"{self._label}: a function with custom_gradient must return a pair, "
                "its value and a function that returns gradients"
            )
        value, self._rule = returned
        heads, self._outputs = flatten(value)
        if not heads:
            raise TypeError(f"{self._label}: the value must be or contain an NDArray")
        return heads

    def backward(self, *output_grads: NDArray) -> Any:
        returned = self._rule(unflatten(self._outputs, output_grads))
        if not isinstance(returned, (tuple, list)):
            returned = (returned,)
        if len(returned) != len(self._inputs):
            raise ValueError(
                f"{self._label}: its gradient function returned {len(returned)} "
                f"gradients for {len(self._inputs)} arguments"
            )
        gradients: list = []
        for i, (structure, given) in enumerate(zip(self._inputs, returned)):
            gradients += self._matched(i, structure, given)
        return gradients

    def _matched(self, i: int, structure: Any, given: Any) -> list:
        count = len(paths(structure))
        if given is None:
            return [None] * count
        if structure is LEAF and isinstance(given, NDArray):
            return [given]
        found, other = flatten(given)
        if other != structure:
            raise ValueError(
                f"{self._label}: the gradient of argument {i} must be nested like it, "
                f"{structure!r}; got {other!r}"
            )
        return found

    def _arrays(self) -> list:
        # What the rule has captured.
        found = super()._arrays()
        for cell in getattr(self._rule, "__closure__", None) or ():
            try:
                captured = cell.cell_contents
            except ValueError:  # not assigned yet
                continue
            found += flatten(captured)[0]
        return found


def custom_gradient(f: Callable[..., Any]) -> Callable[..., Any]:
    """Decorates a function that says what its gradient is.

    Parameters
    ----------
    f : callable
        Returns a pair: its value, which may be nested, and a function. That function accepts the
        gradients that flow into the value, nested like it, and returns those of the positional
        arguments: one for each, nested like it, or None for zeros. For one argument it may return
        the gradient itself. Keyword arguments have no gradient.

    Returns
    -------
    callable
        Returns the value.

    Notes
    -----
    What `f` computes is not recorded. The function that it returns is recorded when a gradient is
    differentiated again: arguments and results of `f` that it captures then count as what they are.
    Another array that `f` has computed cannot be differentiated through there; compute it again.

    >>> from mxtape import autograd, nd
    >>> @autograd.custom_gradient
    ... def log1pexp(x):
    ...     e = nd.exp(x)
    ...     return nd.log(1 + e), lambda g: g * (1 - 1 / (1 + nd.exp(x)))
    >>> x = nd.array([100.0, 0.0])
    >>> autograd.elementwise_grad(log1pexp)(x).asnumpy().tolist()
    [1.0, 0.5]
    """
    if not callable(f):
        raise TypeError(f"custom_gradient: expected a function, got {f!r}")

    label = getattr(f, "__name__", "custom_gradient")

    @functools.wraps(f)
    def decorated(*args: Any, **kwargs: Any) -> Any:
        arrays, structure = flatten(args)
        if not arrays:
            raise TypeError(f"{label}: no positional argument is or contains an NDArray")

        def call(inputs: Sequence[NDArray]) -> Any:
            return f(*unflatten(structure, inputs), **kwargs)

        function = _Custom(call, label, structure)
        results = function(*arrays)
        return unflatten(function._outputs, results)

    return decorated
