"""NDArrays beside NumPy's arrays: conversion, NumPy's functions, operators of both."""

import operator
import subprocess
import sys

import numpy as np
import pytest

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


STRUCTURE = np.dtype([("bfloat16", np.uint16)])  # what MXNet names it by


def test_bfloat16_in_and_out():
    ml_dtypes = pytest.importorskip("ml_dtypes")
    values = np.array([1.5, -2, 3e38, np.inf, np.nan], dtype=ml_dtypes.bfloat16)
    assert nd.array(values).dtype == np.float32  # the default, as of other arrays
    for x in (nd.array(values, dtype="bfloat16"), nd.from_numpy(values, zero_copy=False)):
        assert x.dtype is ml_dtypes.bfloat16
        got = x.asnumpy()
        assert got.dtype == ml_dtypes.bfloat16
        assert got.tobytes() == values.tobytes()
    x[1:3] = 7
    assert x.tolist()[:3] == [1.5, 7, 7]


@pytest.mark.parametrize("dtype", ["bfloat16", STRUCTURE, "ml_dtypes"])
def test_names_of_bfloat16(dtype):
    if dtype == "ml_dtypes":
        dtype = pytest.importorskip("ml_dtypes").bfloat16
    x = nd.array([1, 2, 3.140625], dtype=dtype)
    for y in (
        x.astype("float32").astype(dtype),
        nd.cast(x, dtype=dtype),
        nd.ones((3,), dtype=dtype) * x,
        nd.full((3,), 1, dtype=dtype) * x,
        nd.zeros((3,), dtype=dtype) + x,
    ):
        assert y.astype(dtype, copy=False) is y
        assert y.tolist() == [1, 2, 3.140625]
    assert nd.empty((3,), dtype=dtype).dtype == x.dtype
    assert nd.arange(3, dtype=dtype).tolist() == [0, 1, 2]
    assert nd.eye(2, dtype=dtype).tolist() == [[1, 0], [0, 1]]


def test_bfloat16_rounds_to_nearest_even():
    values = [1 + 2.0**-8, 1 + 3 * 2.0**-8, 1 + 2.0**-8 + 2.0**-20, 3.4e38, -(1 + 2.0**-8)]
    rounded = [1, 1 + 2.0**-6, 1 + 2.0**-7, np.inf, -1]
    for dtype in ("float32", "float64"):
        assert nd.array(values, dtype=dtype).astype("bfloat16").tolist() == rounded
    assert np.isnan(nd.array([np.nan]).astype("bfloat16").item())
    assert nd.array([257, 259], dtype="int32").astype("bfloat16").tolist() == [256, 260]
    assert nd.array([2.5, -1.5]).astype("bfloat16").astype("int32").tolist() == [2, -1]


def test_bfloat16_without_ml_dtypes():
    """What works without the package, and what says that it is needed."""
    program = """
import sys
sys.modules["ml_dtypes"] = None
import pickle, numpy as np, mxtape as mx
x = mx.nd.array([1, 2.5], dtype="bfloat16")
assert x.dtype == np.dtype([("bfloat16", np.uint16)])
y = mx.nd.zeros((2,), dtype=x.dtype) + x
assert "[1.  2.5]" in repr(y) and y.tolist() == [1, 2.5] and float(y[1]) == 2.5
assert pickle.loads(pickle.dumps(y)).astype("bfloat16", copy=False).tolist() == [1, 2.5]
for call in (x.asnumpy, lambda: x.__setitem__(0, 3)):
    try:
        call()
    except mx.MXNetError as error:
        assert "ml_dtypes" in str(error), error
    else:
        raise AssertionError("no error")
"""
    subprocess.run([sys.executable, "-c", program], check=True)
