"""Gradients of your own functions, held against differences of values."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import ndarray as nd
from ..ndarray import NDArray
from . import pause
from ._trees import flatten, paths, unflatten
from .transforms import jvp, vjp

__all__ = ["check_grads"]

# Central differences in float64: the error of rounding is about 1e-16 / eps, that of the method
# eps**2.
_EPS = 1e-5
_MAX_SEARCHED = 2000


def check_grads(
    f: Callable[..., Any],
    args: Sequence[Any],
    order: int = 2,
    modes: Sequence[str] = ("forward", "reverse"),
    rtol: float = 1e-4,
    atol: float = 1e-5,
    eps: float = _EPS,
) -> None:
    """Compares the derivatives of a function with differences of its values, in float64.

    Parameters
    ----------
    f : callable
        Accepts `args` and returns arrays; both may be nested in tuples, lists and dicts. It must be
        smooth around `args`, give the same result each time, and work in float64.
    args : tuple
        The point: its floating-point arrays are converted to float64 and differentiated, others
        (indices, labels) are passed on as they are.
    order : int, default 2
        Up to which order derivatives are checked.
    modes : sequence of {'forward', 'reverse'}, default both
        Which of :func:`jvp` and :func:`vjp` to check.
    rtol, atol : float, default 1e-4 and 1e-5
        The difference that is accepted: ``atol + rtol * abs(numeric)``.
    eps : float, default 1e-5
        The step of the differences.

    Raises
    ------
    AssertionError
        A derivative that is wrong: says of which order and mode, for which element of which
        argument, and both values.
    ValueError
        `order` is less than 1, a mode that is none, or no argument that can be differentiated.

    >>> from mxtape import autograd, nd
    >>> autograd.check_grads(lambda x, y: x * nd.tanh(y), (nd.array([1, 2]), nd.array([0.5])))

    A gradient that is wrong:

    >>> @autograd.custom_gradient
    ... def cube(x):
    ...     return x ** 3, lambda g: g * 2 * x
    >>> try:
    ...     autograd.check_grads(cube, (nd.array([2.0]),), order=1, modes=["reverse"])
    ... except AssertionError as error:
    ...     print(str(error).splitlines()[0])
    check_grads: cube: vjp is wrong (order 1) at args[0][0]
    """
    if order < 1:
        raise ValueError(f"check_grads: order must be at least 1, got {order}")
    for mode in modes:
        if mode not in ("forward", "reverse"):
            raise ValueError(f"check_grads: modes are 'forward' and 'reverse', got {mode!r}")
    arrays, structure = flatten(tuple(args))
    chosen = [i for i, array in enumerate(arrays) if np.dtype(array.dtype).kind == "f"]
    if not chosen:
        raise ValueError("check_grads: no argument is or contains a floating-point array")
    with pause():
        point = [arrays[i].astype("float64", copy=True) for i in chosen]

    def of_floats(*values: NDArray) -> list[NDArray]:
        everything = list(arrays)
        for i, value in zip(chosen, values):
            everything[i] = value
        outputs = flatten(f(*unflatten(structure, everything)))[0]
        floats = [output for output in outputs if np.dtype(output.dtype).kind == "f"]
        for output in floats:
            if np.dtype(output.dtype) != np.float64:
                raise ValueError(
                    f"check_grads: {_label(f)} returned {np.dtype(output.dtype).name} for "
                    "arguments in float64; differences need all of its digits"
                )
        return floats

    names = paths(structure, "args")
    _Check(_label(f), [names[i] for i in chosen], modes, rtol, atol, eps).run(
        of_floats, point, (), order
    )


def _label(f: Callable[..., Any]) -> str:
    return getattr(f, "__name__", type(f).__name__)


class _Check:
    def __init__(
        self,
        label: str,
        names: list[str],
        modes: Sequence[str],
        rtol: float,
        atol: float,
        eps: float,
    ):
        self.label, self.names, self.modes = label, names, modes
        self.rtol, self.atol, self.eps = rtol, atol, eps
        self.random = np.random.RandomState(0)

    def run(self, f: Callable[..., Any], point: list, done: tuple, order: int) -> None:
        with pause():
            outputs = f(*point)
        if "reverse" in self.modes:
            weights = self._draw(outputs)
            self._check_reverse(f, point, weights, (*done, "vjp"))
            if order > 1:
                self.run(lambda *x: list(vjp(f, *x)[1](weights)), point, (*done, "vjp"), order - 1)
        if "forward" in self.modes:
            direction = tuple(self._draw(point))
            self._check_forward(f, point, direction, (*done, "jvp"))
            if order > 1:
                self.run(lambda *x: jvp(f, x, direction)[1], point, (*done, "jvp"), order - 1)

    def _draw(self, arrays: Sequence[NDArray]) -> list[NDArray]:
        """For each array, numbers of either sign that are not near 0."""
        signs = [self.random.choice([-1.0, 1.0], array.shape) for array in arrays]
        return [
            nd.array(sign * self.random.uniform(0.5, 1.5, array.shape), dtype="float64").reshape(
                array.shape
            )
            for sign, array in zip(signs, arrays)
        ]

    def _values(self, f: Callable[..., Any], point: list) -> list[np.ndarray]:
        with pause():
            return [output.asnumpy() for output in f(*point)]

    def _differences(self, f: Callable[..., Any], point: list, direction: list) -> list[np.ndarray]:
        with pause():
            steps = [self.eps * each for each in direction]
            ahead = [x + step for x, step in zip(point, steps)]
            behind = [x - step for x, step in zip(point, steps)]
        pairs = zip(self._values(f, ahead), self._values(f, behind))
        return [(a - b) / (2 * self.eps) for a, b in pairs]

    def _wrong(self, analytic: Any, numeric: Any) -> np.ndarray:
        """Where two arrays differ; NaN agrees with NaN only."""
        return ~np.isclose(analytic, numeric, self.rtol, self.atol, equal_nan=True)

    def _check_forward(
        self, f: Callable[..., Any], point: list, direction: tuple, done: tuple
    ) -> None:
        tangents = [t.asnumpy() for t in jvp(f, tuple(point), direction)[1]]
        for i, (tangent, numeric) in enumerate(
            zip(tangents, self._differences(f, point, list(direction)))
        ):
            wrong = self._wrong(tangent, numeric)
            if wrong.any():
                at = tuple(np.argwhere(wrong)[0])
                self._fail(
                    done,
                    f"output {i}{_index(at)}, in a random direction",
                    tangent[at],
                    numeric[at],
                    int(wrong.sum()),
                    wrong.size,
                )

    def _check_reverse(
        self, f: Callable[..., Any], point: list, weights: list, done: tuple
    ) -> None:
        gradients = [g.asnumpy() for g in vjp(f, *point)[1](weights)]
        scales = [w.asnumpy() for w in weights]

        def slope(direction: list) -> float:
            moved = self._differences(f, point, direction)
            return float(sum((w * d).sum() for w, d in zip(scales, moved)))

        direction = self._draw(point)
        along = float(sum((g * d.asnumpy()).sum() for g, d in zip(gradients, direction)))
        numeric = slope(direction)
        if not self._wrong(along, numeric):
            return
        self._search(slope, point, gradients, done)
        self._fail(done, "a random direction", along, numeric, 1, 1)

    def _search(
        self, slope: Callable[[list], float], point: list, gradients: list, done: tuple
    ) -> None:
        """Names an element whose derivative is wrong."""
        for k, (name, gradient) in enumerate(zip(self.names, gradients)):
            for count, at in enumerate(np.ndindex(gradient.shape)):
                if count == _MAX_SEARCHED:
                    break
                unit = [np.zeros(g.shape) for g in gradients]
                unit[k][at] = 1
                numeric = slope([nd.array(u, dtype="float64").reshape(u.shape) for u in unit])
                if self._wrong(gradient[at], numeric):
                    self._fail(done, name + _index(at), gradient[at], numeric, 1, 1)

    def _fail(
        self, done: tuple, where: str, analytic: float, numeric: float, wrong: int, size: int
    ) -> None:
        order = f"order {len(done)}" + (f", of {' of '.join(reversed(done))}" if done[1:] else "")
        lines = [
            f"check_grads: {self.label}: {done[-1]} is wrong ({order}) at {where}",
            f"  by {done[-1]}: {analytic:.10g}",
            f"  by differences of values: {numeric:.10g}",
            f"  accepted: a difference of {self.atol + self.rtol * abs(numeric):.3g} "
            f"(rtol={self.rtol:g}, atol={self.atol:g}, eps={self.eps:g})",
        ]
        if done[-1] == "vjp":
            lines.append("  The outputs were weighted with random numbers and summed.")
        if size > 1:
            lines.append(f"  {wrong} of {size} elements of this output are wrong.")
        raise AssertionError("\n".join(lines))


def _index(at: tuple) -> str:
    return "[" + ", ".join(str(i) for i in at) + "]" if at else ""
