"""Whole numbers beyond 2**53, which a float64 does not hold, in int64 arrays."""

import numpy as np
import pytest

import mxtape as mx
from mxtape import nd

BIG = 2**53 + 1
VALUES = [BIG, -BIG, BIG + 2, 2**62 + 1, 7]


def array():
    return nd.array(np.array(VALUES), dtype="int64")


@pytest.mark.parametrize("name", ["floor", "ceil", "round", "rint", "trunc", "fix"])
def test_rounding_leaves_whole_numbers(name):
    assert getattr(nd, name)(array()).asnumpy().tolist() == VALUES
    for dtype in ("int8", "uint8", "int32"):
        x = nd.array([0, 3, 100], dtype=dtype)
        y = getattr(nd, name)(x)
        assert y.dtype == x.dtype
        assert y.asnumpy().tolist() == [0, 3, 100]


@pytest.mark.parametrize("number", [BIG, -BIG, 2**62 + 1, np.int64(BIG)])
def test_arithmetic_with_a_number(number):
    x, n = array(), int(number)
    for result, expected in (
        (x + number, [v + n for v in VALUES]),
        (number + x, [v + n for v in VALUES]),
        (x - number, [v - n for v in VALUES]),
        (number - x, [n - v for v in VALUES]),
        (nd.maximum(x, number), [max(v, n) for v in VALUES]),
        (nd.minimum(number, x), [min(v, n) for v in VALUES]),
        (nd.subtract(number, x), [n - v for v in VALUES]),
    ):
        # Sums wrap around as int64 does.
        wrapped = [(v + 2**63) % 2**64 - 2**63 for v in expected]
        assert result.asnumpy().tolist() == wrapped
    x += number
    assert x.asnumpy()[-1] == 7 + n


@pytest.mark.parametrize("number", [BIG, BIG - 1, BIG + 1, -BIG])
def test_comparison_with_a_number(number):
    x = array()
    for result, expected in (
        (x == number, [v == number for v in VALUES]),
        (x != number, [v != number for v in VALUES]),
        (x < number, [v < number for v in VALUES]),
        (x >= number, [v >= number for v in VALUES]),
        (number < x, [number < v for v in VALUES]),
        (nd.greater(x, number), [v > number for v in VALUES]),
        (nd.lesser_equal(number, x), [number <= v for v in VALUES]),
    ):
        assert result.asnumpy().tolist() == [int(v) for v in expected]


def test_full():
    assert nd.full((2,), BIG, dtype="int64").asnumpy().tolist() == [BIG, BIG]
    assert nd.full((), BIG, dtype="int64").shape == ()
    assert nd.full((1,), BIG, dtype="float64").asnumpy().tolist() == [float(BIG)]


def test_a_number_without_an_array_of_that_type():
    assert (nd.array([1.0], dtype="float64") + BIG).asnumpy().tolist() == [float(BIG)]
    assert (nd.array(5, dtype="int64") + BIG).shape == ()
    assert nd.full((2,), 2**62, dtype="float32").asnumpy().tolist() == [2.0**62] * 2
    with pytest.raises(mx.MXNetError):
        nd.array([1], dtype="bool") + nd.array([BIG], dtype="int64")


def narrowed(values, source, target):
    return nd.array(np.array(values), dtype=source).astype(target).astype("float64").asnumpy()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1 + 2.0**-11 + 2.0**-40, 1 + 2.0**-10),
        (1 + 2.0**-11 - 2.0**-40, 1.0),
        (1 + 2.0**-11, 1.0),
        (1 + 3 * 2.0**-11, 1 + 2.0**-9),
        (-(1 + 2.0**-11 + 2.0**-40), -(1 + 2.0**-10)),
        (2.0**-25 + 2.0**-60, 2.0**-24),
        (2.0**-25, 0.0),
        (65520 - 2.0**-20, 65504.0),
        (65520.0, np.inf),
        (1e300, np.inf),
        (-np.inf, -np.inf),
        (1e-300, 0.0),
    ],
)
def test_float64_to_float16_rounds_once(value, expected):
    assert narrowed([value], "float64", "float16") == [expected]
    with np.errstate(over="ignore"):
        assert np.float16(value) == expected


def test_float64_to_float16_as_numpy():
    random = np.random.RandomState(5)
    values = random.standard_normal(200_000) * 2.0 ** random.randint(-26, 17, 200_000)
    with np.errstate(over="ignore"):
        # Half way between two neighbours, and a little beside.
        half = values.astype("float16").astype("float64")
        values = np.concatenate([values, half * (1 + 2.0**-11), half * (1 + 2.0**-11 + 2.0**-45)])
        np.testing.assert_array_equal(
            nd.array(values, dtype="float64").astype("float16").asnumpy(),
            values.astype("float16"),
        )
    assert np.isnan(narrowed([np.nan], "float64", "float16")).all()


@pytest.mark.parametrize("source", ["float64", "int64"])
def test_to_bfloat16_rounds_once(source):
    # Half way and a little: float32 would be half way, and the tie would go down.
    values = [2**40 + 2**32 + 1, 2**40 + 2**32, -(2**40 + 2**32 + 1), 2**40 + 2**32 - 1]
    expected = [2.0**40 + 2.0**33, 2.0**40, -(2.0**40 + 2.0**33), 2.0**40]
    assert narrowed(values, source, "bfloat16").tolist() == expected
    assert narrowed([2**24 + 2**16 + 1], "int32", "bfloat16").tolist() == [2.0**24 + 2.0**17]


def test_not_a_number_to_bfloat16():
    assert np.isnan(narrowed([np.nan], "float64", "bfloat16")).all()
    assert narrowed([np.inf, 1e300], "float64", "bfloat16").tolist() == [np.inf, np.inf]
