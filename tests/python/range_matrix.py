"""The range matrix: pointwise operators over a dtype's whole range, against mpmath.

The error of a result is counted in units in the last place (ulp) of the truth, in the array's
dtype; among numbers below the smallest normal one, in units of the smallest number.

- Truth a number: the error is at most the bound in range_bounds.py. So NaN, infinity and 0 fail.
  Where the truth is subnormal, the error may be larger than that by a hundredth of the truth.
- Truth beyond the largest number: infinity of its sign, or a number that is off by no more than the
  bound from the largest one.
- Truth infinite, at a pole: a value of the function is infinite, of either sign; a derivative is
  infinite or NaN.
- Not defined: a value is NaN; a derivative may be anything.
- The argument is NaN: a value is NaN, except of functions that ask a question. Derivatives may be
  anything.
- The argument is infinite: a value is the limit where there is one, else NaN. A derivative is the
  limit, or NaN.
"""

import math
import warnings
from dataclasses import dataclass, field
from typing import Any, Callable

import numpy as np
from mpmath import mpf

import mxtape as mx
import range_references as references
from mxtape import autograd
from mxtape._loader import core
from mxtape.ndarray import register

# Digits, smallest and largest exponent of the normal numbers.
FORMATS = {
    "float16": (11, -14, 15),
    "bfloat16": (8, -126, 127),
    "float32": (24, -126, 127),
    "float64": (53, -1022, 1023),
}
# NaN ** 0 and 1 ** NaN are 1, and NaN % 0 is 0.
QUESTIONS = ("equal", "not_equal", "greater", "lesser", "logical", "sign", "power", "modulo")


@dataclass(frozen=True)
class Row:
    """One function as the engine calls it. `family`: its name among the references."""

    label: str
    family: str
    call: Callable[..., Any]
    numbers: tuple = field(default=())  # the constant operand, on the left or on the right
    left: bool = False
    arity: int = 1


PARAMETERS = {
    "clip": {"a_min": -1.5, "a_max": 0.75},
    "smooth_l1": {"scalar": 2.0},
    "hard_sigmoid": {"alpha": 0.25},
    "_contrib_quadratic": {"a": 2.0, "b": 0.5, "c": 1.0},
    "_polygamma": {"n": 1},
}
LAYERS = {
    "softrelu": ("Activation", {"act_type": "softrelu"}),
    "elu": ("LeakyReLU", {"act_type": "elu"}),
    "gelu": ("LeakyReLU", {"act_type": "gelu"}),
}
LAYER_NAMES = {"relu": "relu", "sigmoid": "sigmoid", "tanh": "tanh", "softsign": "softsign"}
# The other operand of operators of one array and a number: held by every dtype.
NUMBERS = {"power": (2.0, 0.0, 1.0, 3.0, 0.5, -1.0, -2.5), "divide": (3.0, 0.0078125)}


def same_shape_names():
    """The operators of two arrays of one shape: name -> family."""
    names = {}
    for family in references.BINARY:
        broadcast = core.binary_forms(family)[0]
        stem = broadcast[len("broadcast_") :]
        names[f"elemwise_{stem}"] = names[f"_{stem}"] = family
    return names


def call_of(name, params=None):
    return lambda *arrays: register.get(name)(*arrays, **(params or {}))


def scalar_rows(family):
    _, scalar, reversed_scalar = core.binary_forms(family)
    rows = []
    for name, left in ((scalar, False), (reversed_scalar, True)):
        if left and (name == scalar or not name.startswith("_r")):
            continue
        for number in NUMBERS.get(family, (1.5, -0.75)):
            if left and family == "power" and number < 0:
                continue
            call = call_of(name, {"scalar": number})
            rows.append(Row(f"{name}({number})", family, call, (number,), left))
    return rows


def all_rows():
    """A row for every pointwise operator of the registry that is not only used in gradients."""
    rows = [
        Row(name, name, call_of(name, PARAMETERS.get(name)))
        for name in references.UNARY
        if name not in LAYERS
    ]
    rows += [
        Row(f"{op} {name}", name, call_of(op, params)) for name, (op, params) in LAYERS.items()
    ]
    rows += [
        Row(f"Activation {name}", name, call_of("Activation", {"act_type": name}))
        for name in LAYER_NAMES
    ]
    pointwise = set(core.op_names())
    for family in references.BINARY:
        broadcast = core.binary_forms(family)[0]
        rows.append(Row(broadcast, family, call_of(broadcast), arity=2))
        rows += scalar_rows(family)
    rows += [
        Row(name, family, call_of(name), arity=2)
        for name, family in same_shape_names().items()
        if name in pointwise
    ]
    return rows


def covered(rows):
    return {row.label.split("(")[0] for row in rows}


# ---- points


def rounded(values, dtype):
    """The values as numbers of the dtype, in float64."""
    with np.errstate(all="ignore"):
        if dtype == "bfloat16":
            digits, low, _ = FORMATS[dtype]
            values = np.asarray(values, "float64")
            fraction, exponent = np.frexp(values)
            keep = np.minimum(digits, exponent - (low + 1) + digits)
            scale = np.ldexp(1.0, np.maximum(keep, 0))
            held = np.ldexp(np.round(fraction * scale) / scale, exponent)
            return np.where(np.isfinite(values), held, values)
        return np.asarray(values, dtype).astype("float64")


def next_to(dtype, value):
    """The numbers on both sides of one."""
    digits = FORMATS[dtype][0]
    step = math.ldexp(1.0, math.frexp(value)[1] - digits)
    return [value - step, value - step / 2, value + step]


def ends(dtype):
    digits, low, high = FORMATS[dtype]
    tiny = math.ldexp(1.0, low)
    largest = math.ldexp(2.0 - math.ldexp(1.0, 1 - digits), high)
    return math.ldexp(1.0, low - digits + 1), tiny, largest


def unary_points(dtype):
    """About two hundred numbers of both signs: of all exponents, more where functions bend."""
    smallest, tiny, largest = ends(dtype)
    _, low, high = FORMATS[dtype]
    numbers = [0.0, smallest, 3 * smallest, tiny - smallest, tiny, 1.5 * tiny, largest, largest / 2]
    numbers += [math.sqrt(largest) * s for s in (0.7, 1.0, 1.5)]
    numbers += [math.sqrt(tiny) * s for s in (0.7, 1.4)]
    numbers += [largest ** (1 / 3), tiny ** (1 / 3)]
    numbers += [1.3 * math.ldexp(1.0, round(e)) for e in np.linspace(low, high, 24)]
    numbers += list(np.linspace(0.03, 4.4, 24)) + list(np.linspace(5, 40, 12))
    numbers += [0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 9.01, 20.0, 88.0, 100.0, 300.0, 700.0]
    numbers += next_to(dtype, 1.0) + next_to(dtype, 2.0) + [1 - 2**-5, 1 - 2**-7, 1 + 2**-6]
    held = np.unique(rounded([n for n in numbers if n <= largest], dtype))
    return np.concatenate([held, -held, [np.inf, -np.inf, np.nan]])


def binary_points(dtype):
    """Pairs of numbers over all exponents."""
    smallest, tiny, largest = ends(dtype)
    sizes = [0.0, 5 * smallest, tiny, math.sqrt(tiny), tiny ** (1 / 4), 0.0123, 0.75, 1.0, 1.5]
    sizes += [3.0, 7.0, 300.0, largest ** (1 / 4), math.sqrt(largest) * 1.5, largest / 2.5]
    sizes = np.unique(rounded(sizes, dtype))
    numbers = np.concatenate([sizes, -sizes[1::3], [np.nan]])
    a, b = np.meshgrid(numbers, numbers)
    return a.ravel(), b.ravel()


# ---- references, as pairs of float64 whose sum has about a hundred bits


class Truths:
    """What the references say at some points."""

    def __init__(self, values):
        self.kind = np.array([kind for kind, *_ in values])
        self.high, self.low, self.size = np.array([v for _, *v in values], "float64").T


def split(truth):
    """('number', high, low, size), where the size is what the error is measured by."""
    if truth is None:
        return "any", 0.0, 0.0, 0.0
    truth, size = truth if isinstance(truth, tuple) else (truth, truth)
    truth = references.real(mpf(truth))
    if truth != truth:
        return "undefined", 0.0, 0.0, 0.0
    if abs(truth) == references.INF:
        return "pole", float(truth), 0.0, 0.0
    high = to_float(truth)
    low = to_float(truth - mpf(high)) if math.isfinite(high) else 0.0
    return "number", high, low, abs(to_float(size))


def to_float(x):
    if abs(x) > mpf(2) ** 1024:
        return math.copysign(math.inf, x)
    return float(x) if abs(x) > mpf(2) ** -1080 else 0.0


_cache: dict = {}


def truth_at(function, arguments):
    key = (function, arguments)
    if key not in _cache:
        if any(map(math.isnan, arguments)):
            _cache[key] = ("nan", 0.0, 0.0, 0.0)
        elif any(map(math.isinf, arguments)):
            _cache[key] = ("infinite", limit(function, *arguments), 0.0, 0.0)
        else:
            _cache[key] = split(function(*map(mpf, arguments)))
    return _cache[key]


def limit(function, *arguments):
    """The limit at an infinite argument; NaN where there is none, or no function."""
    if function in (references.modulo, references.BINARY["modulo"][1][1]):
        return math.nan
    values = []
    for size in (400, 600, 1000):
        far = [x if math.isfinite(x) else mpf(10) ** size * (1 if x > 0 else -1) for x in arguments]
        kind, high, low, _ = split(function(*map(mpf, far)))
        values.append(high + low if kind == "number" else math.nan)
    first, second, third = values
    if math.isfinite(third) and math.isclose(second, third, rel_tol=1e-9, abs_tol=1e-100):
        return third
    if abs(first) < abs(second) < abs(third) or math.isinf(third):
        return math.copysign(math.inf, third)
    return math.nan


CONSTANTS = {references.zero: 0.0, references.one: 1.0}


def truths(function, *arguments):
    if function in CONSTANTS:
        shape = arguments[0].shape
        nan = np.isnan(arguments[0]) | np.isnan(arguments[-1])
        made = Truths.__new__(Truths)
        made.kind = np.where(nan, "nan", "number")
        made.high = made.size = np.full(shape, CONSTANTS[function])
        made.low = np.zeros(shape)
        return made
    return Truths([truth_at(function, point) for point in zip(*(map(float, a) for a in arguments))])


# ---- results


def derivatives(call, arrays, dtype):
    """Values, first and second derivatives as float64: ([y], [by input], [by pairs of inputs])."""
    inputs = [mx.nd.array(a, dtype="float64").astype(dtype) for a in arrays]
    for x in inputs:
        x.attach_grad()
    with autograd.record():
        y = call(*inputs)
        first = autograd.grad(y, inputs, create_graph=True)
    second = []
    for i, gradient in enumerate(first):
        for x in inputs:
            x.grad[:] = 0
        gradient.backward(retain_graph=True)
        second += [x.grad.copy() for x in inputs[i:]]
    return [[r.astype("float64").asnumpy() for r in results] for results in ([y], first, second)]


def units(truth, dtype):
    """The unit in the last place of each size."""
    digits, low, _ = FORMATS[dtype]
    exponent = np.frexp(np.where(np.isfinite(truth.size), truth.size, 1.0))[1] - 1
    return np.ldexp(1.0, np.maximum(exponent, low) - digits + 1)


def errors(result, truth, dtype, order, asks=False):
    """The error at each point in ulp; infinite where the result is of the wrong kind."""
    largest = ends(dtype)[2]
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        unit = units(truth, dtype)
        error = np.abs((result - truth.high) - truth.low) / unit
        # Beyond the largest number, or about to be.
        top = math.ldexp(1.0, FORMATS[dtype][2] - FORMATS[dtype][0] + 1)
        same_side = np.sign(result) == np.sign(truth.high)
        over = np.abs(truth.high) > largest
        short = (largest - np.abs(np.where(np.isinf(result), truth.high, result))) / top
        error = np.where((over | np.isinf(result)) & same_side, np.maximum(short, 0.0), error)
        error = np.where(np.isnan(error), np.inf, error)
        # Steps among subnormal numbers lose digits.
        few = np.abs(truth.high) < math.ldexp(1.0, FORMATS[dtype][1])
        error = np.where(few, np.maximum(error - np.abs(truth.high) / (100 * unit), 0.0), error)
        fine = truth.kind == "any"
        if order == 0:
            fine |= (truth.kind == "pole") & np.isinf(result)
            fine |= (truth.kind == "undefined") & np.isnan(result)
            fine |= (truth.kind == "nan") & (np.isnan(result) | asks)
        else:
            fine |= (truth.kind == "pole") & ~np.isfinite(result)
            fine |= (truth.kind == "undefined") | (truth.kind == "nan")
        end = truth.kind == "infinite"
        close = np.isclose(
            result, truth.high, rtol=2.0 ** (3 - FORMATS[dtype][0]), atol=ends(dtype)[0]
        )
        big = np.isinf(result) & np.isinf(truth.high) & (result * truth.high > 0)
        fine |= end & (close | big | np.isnan(truth.high) | (np.isnan(result) & (order > 0)))
    counted = (truth.kind == "number") | fine
    return np.where(fine, 0.0, np.where(counted, error, np.inf))


def measure(row, dtype):
    """The errors of a row: for value, first and second order (what, points, results, errors)."""
    if row.arity == 2:
        arguments = binary_points(dtype)
        value, first, second = references.BINARY[row.family]
    elif row.numbers:
        points, number = unary_points(dtype), row.numbers[0]
        other = np.full(points.shape, number)
        arguments = (other, points) if row.left else (points, other)
        value, first, second = references.BINARY[row.family]
        first, second = first[row.left :][:1], second[2 * row.left :][:1]
    else:
        arguments = (unary_points(dtype),)
        value, *rest = references.UNARY[row.family]
        first, second = [rest[0]], [rest[1]]
    arrays = [a for a in arguments if not (row.numbers and (a == row.numbers[0]).all())]
    results = derivatives(row.call, arrays, dtype)
    asks = any(word in row.family for word in QUESTIONS)
    measured = []
    for order, functions in enumerate(([value], first, second)):
        for i, function in enumerate(functions):
            truth = truths(function, *arguments)
            error = errors(results[order][i], truth, dtype, order, asks)
            measured.append((order, i, arguments, results[order][i], truth, error))
    return measured
