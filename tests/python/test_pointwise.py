"""Values of pointwise functions where they are special: infinities, NaN, tiny numbers, -0."""

import math

import numpy as np
import pytest

import mxtape as mx

FUNCTIONS = {
    "log1p": (mx.nd.log1p, np.log1p),
    "expm1": (mx.nd.expm1, np.expm1),
    "erf": (mx.nd.erf, np.vectorize(math.erf)),
    "softrelu": (
        lambda x: mx.nd.Activation(x, act_type="softrelu"),
        lambda x: np.logaddexp(0.0, x),
    ),
    "abs": (mx.nd.abs, np.abs),
    "sign": (mx.nd.sign, lambda x: np.where(np.isnan(x), 0.0, np.sign(x))),
    "relu": (mx.nd.relu, lambda x: np.where(np.isnan(x), x, np.maximum(x, 0.0))),
}


def special(dtype):
    info = np.finfo(dtype)
    numbers = [0, 0.1, 0.5, 0.99, 1, 1.5, 4, 20, 100, 1000, np.inf]
    numbers += [float(info.tiny), float(info.tiny) / 4, float(info.eps), float(info.max)]
    return np.array([*numbers, *(-x for x in numbers), np.nan], dtype)


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_special_values(name, dtype):
    function, reference = FUNCTIONS[name]
    x = special(dtype)
    with np.errstate(all="ignore"):
        right = reference(x.astype("float64")).astype(dtype)
    got = function(mx.nd.array(x, dtype=dtype)).asnumpy()
    assert got.dtype == dtype
    np.testing.assert_array_equal(np.isnan(got), np.isnan(right))
    finite = np.isfinite(right)
    np.testing.assert_array_equal(got[~finite], right[~finite])
    eps = 3 * np.finfo(dtype).eps
    np.testing.assert_allclose(got[finite], right[finite], rtol=eps, atol=0)


@pytest.mark.parametrize("name", ["log1p", "expm1", "erf", "abs", "relu"])
def test_zero_keeps_its_sign(name):
    y = FUNCTIONS[name][0](mx.nd.array([0.0, -0.0], dtype="float64")).asnumpy()
    assert (y == 0).all()
    assert np.signbit(y).tolist() == [False, name in ("log1p", "expm1", "erf")]


@pytest.mark.parametrize("size", [1, 7, 8, 15, 16, 17, 65, 1000])
def test_an_element_is_the_same_in_every_place(size):
    numbers = np.linspace(-3, 3, size).astype("float32")
    for function, _ in FUNCTIONS.values():
        together = function(mx.nd.array(numbers)).asnumpy()
        for at in {0, size // 2, size - 1}:
            alone = function(mx.nd.array(numbers[at : at + 1])).asnumpy()
            np.testing.assert_array_equal(alone[0], together[at])


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int32", "int64"])
def test_integers(dtype):
    x = np.array([0, 1, 5, 100, *([-1, -7, -128] if dtype != "uint8" else [])], dtype)
    array = mx.nd.array(x, dtype=dtype)
    for function, reference in (
        (mx.nd.abs, np.abs),
        (mx.nd.sign, np.sign),
        (mx.nd.relu, lambda v: np.maximum(v, 0)),
        (mx.nd.logical_not, lambda v: (v == 0).astype(dtype)),
    ):
        result = function(array).asnumpy()
        assert result.dtype == dtype
        np.testing.assert_array_equal(result, reference(x))
