"""NDArrays beside NumPy's arrays: conversion, NumPy's functions, operators of both."""

import operator

import numpy as np
import pytest

import mxtape as mx
from mxtape import autograd, nd

NUMPY_2 = int(np.__version__.split(".")[0]) >= 2


def sample():
    return nd.array([[1, 2, 3], [4, 5, 6]])


VALUES = np.array([[1, 2, 3], [4, 5, 6]], dtype="float32")


# ---- conversion


def test_asarray_copies():
    x = sample()
    made = np.asarray(x)
    made[0, 0] = 9
    assert made.dtype == np.float32
    assert x[0, 0].asscalar() == 1


def test_array_takes_a_dtype():
    assert np.asarray(sample(), dtype="int64").tolist() == VALUES.tolist()
    assert np.array(sample(), dtype=np.float16).dtype == np.float16
    assert np.array([sample(), sample()]).shape == (2, 2, 3)


def test_array_without_a_copy_cannot_be():
    with pytest.raises(ValueError, match="copy"):
        sample().__array__(copy=False)
    if NUMPY_2:
        with pytest.raises(ValueError, match="copy"):
            np.array(sample(), copy=False)
        assert np.asarray(sample(), copy=True).tolist() == VALUES.tolist()


# ---- NumPy's functions give NumPy's arrays

FUNCTIONS = {
    "mean": lambda a: np.mean(a),
    "mean of an axis": lambda a: np.mean(a, axis=0, keepdims=True),
    "sum of a list": lambda a: np.sum([a, a], axis=0),
    "sum in a dtype": lambda a: np.sum(a, axis=0, dtype="float64"),
    "cumsum": lambda a: np.cumsum(a),
    "round to digits": lambda a: np.round(a, 1),
    "argsort": lambda a: np.argsort(a, axis=0),
    "sort": lambda a: np.sort(a),
    "transpose": lambda a: np.transpose(a),
    "reshape": lambda a: np.reshape(a, (3, 2)),
    "concatenate": lambda a: np.concatenate([a, a], axis=1),
    "stack": lambda a: np.stack((a, a)),
    "block": lambda a: np.block([[a, a], [a, a]]),
    "dot": lambda a: np.dot(a, np.ones(3)),
    "zeros_like": lambda a: np.zeros_like(a),
    "where": lambda a: np.where(np.asarray(a) > 2, a, 0),
    "add": lambda a: np.add(a, a),
    "exp": lambda a: np.exp(a),
    "maximum": lambda a: np.maximum(a, np.full((2, 3), 2.5, dtype="float32")),
    "allclose": lambda a: np.allclose(a, VALUES),
    "shape": lambda a: np.shape(a),
    "linalg.norm": lambda a: np.linalg.norm(a),
    "add.reduce": lambda a: np.add.reduce(a),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_compute_with_the_values(name):
    found, expected = FUNCTIONS[name](sample()), FUNCTIONS[name](VALUES)
    assert type(found) is type(expected)
    np.testing.assert_array_equal(found, expected)


SHARED = {
    "sum": (lambda a: np.sum(a), [21]),
    "sum of an axis": (lambda a: np.sum(a, 0), [5, 7, 9]),
    "prod": (lambda a: np.prod(a, axis=1, keepdims=True), [[6], [120]]),
    "max": (lambda a: np.max(a, axis=1), [3, 6]),
    "min": (lambda a: np.min(a), [1]),
    "amax": (lambda a: np.amax(a), [6]),
    "argmax": (lambda a: np.argmax(a, axis=0), [1, 1, 1]),
    "squeeze": (lambda a: np.squeeze(a[0:1]), [1, 2, 3]),
    "clip": (lambda a: np.clip(a, 2, 5), [[2, 2, 3], [4, 5, 5]]),
    "repeat": (lambda a: np.repeat(a, 2, axis=1)[0], [1, 1, 2, 2, 3, 3]),
    "round": (lambda a: np.round(a / 4), [[0, 1, 1], [1, 1, 2]]),
}


@pytest.mark.parametrize("name", SHARED)
def test_functions_that_are_methods_stay_ndarrays(name):
    """As in MXNet, where NumPy calls the method."""
    function, expected = SHARED[name]
    found = function(sample())
    assert isinstance(found, nd.NDArray)
    assert found.asnumpy().tolist() == expected


def test_functions_that_are_methods_are_recorded():
    x = sample()
    x.attach_grad()
    with autograd.record():
        y = np.sum(x * x)
    y.backward()
    assert x.grad.asnumpy().tolist() == (2 * VALUES).tolist()


def test_testing_functions():
    np.testing.assert_allclose(sample(), VALUES)
    with pytest.raises(AssertionError):
        np.testing.assert_array_equal(sample(), VALUES + 1)


@pytest.mark.parametrize(
    "write",
    [
        lambda x: np.copyto(x, 0),
        lambda x: np.put(x, [0], 9),
        lambda x: np.fill_diagonal(x, 9),
        lambda x: np.mean(VALUES, axis=0, out=x),
        lambda x: np.concatenate([VALUES, VALUES], out=x),
        lambda x: np.add(VALUES, 1, out=x),
    ],
)
def test_functions_do_not_write_into_it(write):
    x = sample()
    with pytest.raises(TypeError):
        write(x)
    assert x.asnumpy().tolist() == VALUES.tolist()


def test_copyto_reads_from_it():
    target = np.zeros((2, 3))
    np.copyto(target, sample())
    assert target.tolist() == VALUES.tolist()


# ---- operators


@pytest.mark.parametrize("name", ["add", "sub", "mul", "truediv", "mod", "pow", "lt", "eq", "ge"])
def test_operators_with_a_numpy_array_are_refused(name):
    """As in MXNet: neither kind of result would be what everybody expects."""
    function = getattr(operator, name)
    for pair in ((sample(), VALUES), (VALUES, sample())):
        with pytest.raises(TypeError, match=r"nd\.array\(\)"):
            function(*pair)


@pytest.mark.parametrize("scalar", [np.float32(2), np.float64(2), np.int64(2), np.float16(2)])
def test_operators_with_a_numpy_scalar(scalar):
    for found in (scalar * sample(), sample() * scalar):
        assert isinstance(found, nd.NDArray)
        assert found.dtype == np.float32
        assert found.asnumpy().tolist() == (VALUES * 2).tolist()
    assert (scalar / sample())[0, 0].asscalar() == 2
    assert (scalar < sample()).asnumpy().tolist() == [[0, 0, 1], [1, 1, 1]]


def test_a_numpy_scalar_is_recorded():
    x = sample()
    x.attach_grad()
    with autograd.record():
        y = np.float32(3) * x
    y.backward()
    assert (x.grad.asnumpy() == 3).all()


def test_in_place_into_a_numpy_array():
    target = VALUES.copy()
    with pytest.raises(TypeError):
        target += sample()
    assert target.tolist() == VALUES.tolist()


# ---- bfloat16


def test_bfloat16():
    ml_dtypes = pytest.importorskip("ml_dtypes")
    values = np.array([1.5, -2, 3e38], dtype=ml_dtypes.bfloat16)
    x = nd.array(values)
    assert x.dtype == np.float32
    np.testing.assert_array_equal(x.asnumpy(), values.astype("float32"))
    with pytest.raises(ValueError, match="converts it to float32"):
        nd.from_numpy(values)
    for make in (lambda: nd.array([1.0], dtype=ml_dtypes.bfloat16), lambda: x.astype(values.dtype)):
        with pytest.raises((KeyError, TypeError, mx.MXNetError), match="bfloat16"):
            make()
