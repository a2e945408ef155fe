"""Gradients where a step of a formula overflows, underflows, cancels, or is cut off.

test_range.py has every pointwise operator; here are cases with a name.
"""

import math

import numpy as np
import pytest

from mxtape import autograd, nd


def gradients(function, *values, dtype="float32", order=1):
    """The gradients of a function of arrays, each `order` times by the first."""
    xs = [nd.array(v, dtype="float64").astype(dtype) for v in values]
    for x in xs:
        x.attach_grad()
    with autograd.record():
        y = function(*xs)
        for _ in range(order - 1):
            y = autograd.grad(y, xs[0], create_graph=True)[0]
    y.backward()
    found = [x.grad.astype("float64").asnumpy() for x in xs]
    return found[0] if len(xs) == 1 else found


def close(found, expected, dtype="float32", units=4):
    np.testing.assert_allclose(found, expected, rtol=units * float(np.finfo(dtype).eps), atol=0)


# ---- quotients

DIVIDE = {
    "a / b": lambda a, b: a / b,
    "elemwise_div": nd.elemwise_div,
    "broadcast_div": lambda a, b: nd.broadcast_div(a, b.reshape((1, 1))),
}


@pytest.mark.parametrize("name", DIVIDE)
@pytest.mark.parametrize("size", [1e26, 1e-25, 1e30, 3e37])
def test_quotient_of_large_and_small_numbers(name, size):
    a, b = gradients(DIVIDE[name], [size], [size])
    size = float(np.float32(size))
    close(a, [1 / size])
    close(b, [-1 / size])


def test_quotient_in_float16():
    close(gradients(lambda b: 30000 / b, [300.0], dtype="float16"), [-1 / 3], "float16")
    close(
        gradients(lambda a, b: a / b, [30000.0], [300.0], dtype="float16")[1], [-1 / 3], "float16"
    )


@pytest.mark.parametrize(("a", "b"), [(1e-38, 1e-20), (1e38, 1e25), (1e20, 1e10)])
def test_quotient_differentiated_twice(a, b):
    x = nd.array([b])
    x.attach_grad()
    top = nd.array([a])
    with autograd.record():
        slope = autograd.grad(top / x, x, create_graph=True)[0]
    slope.backward()
    top, b = float(np.float32(a)), float(np.float32(b))
    expected = 2 * (top / b) / b / b
    close(x.grad.asnumpy(), [expected if expected > 1e-45 else 0.0])


def test_quotient_in_a_composition():
    # The mean of large numbers over a large count, and a normalization of tiny ones.
    def normalized(x):
        return x / x.sum()

    found = gradients(lambda x: normalized(x)[0:1], [1e26, 2e26])
    close(found, [2 / 9 * 1e-26, -1 / 9 * 1e-26], units=16)


# ---- powers at 0


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_powers_whose_exponent_runs_out(dtype):
    assert gradients(lambda x: x**0, [0.0], dtype=dtype) == [0]
    assert gradients(lambda x: x**1, [0.0], dtype=dtype) == [1]
    assert gradients(lambda x: x**1, [0.0], dtype=dtype, order=2) == [0]
    for n in (1, 2, 3):
        exponent = nd.array([n], dtype=dtype)
        for order in range(1, n + 3):
            found = gradients(
                lambda x, e=exponent: nd.broadcast_power(x, e), [0.0], dtype=dtype, order=order
            )
            assert found == [math.factorial(n) if order == n else 0], (n, order)
            found = gradients(lambda x, n=n: x**n, [0.0], dtype=dtype, order=order)
            assert found == [math.factorial(n) if order == n else 0], (n, order)


def test_zero_to_a_power():
    assert gradients(lambda b: nd.power(0.0, b), [2.0, 0.5]).tolist() == [0, 0]
    zero = nd.zeros((1,))
    assert gradients(lambda b: nd.broadcast_power(zero, b), [2.0, 0.5]).tolist() == [0, 0]
    assert np.isneginf(gradients(lambda b: nd.power(0.0, b), [0.0])).all()


# ---- hypot


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_hypot_at_the_origin(dtype):
    hypot = nd.broadcast_hypot
    for order in (1, 2):
        found = gradients(hypot, [0.0, 3.0], [0.0, 4.0], dtype=dtype, order=order)
        assert [g[0] for g in found] == [0, 0]
        assert np.isfinite(found).all()


def test_hypot_differentiated_twice():
    b = [300.0]
    found = gradients(nd.broadcast_hypot, [300.0], b, dtype="float16", order=2)
    close(found[0], [0.5 / 300 / math.sqrt(2)], "float16")
    # b * b / h ** 3, which is left of 1 - a * a / h ** 2
    found = gradients(nd.broadcast_hypot, [1e6], [1.0], order=2)
    close(found[0], [1e-18])
    found = gradients(nd.broadcast_hypot, [1e30], [1e30], order=2)
    close(found[0], [0.5e-30 / math.sqrt(2)])


# ---- what is cut off

POISON = {
    "exp": (nd.exp, 200.0),
    "expm1": (nd.expm1, 200.0),
    "sinh": (nd.sinh, 200.0),
    "cosh": (nd.cosh, 200.0),
    "gamma": (nd.gamma, 200.0),
    "gamma at a pole": (nd.gamma, -1.0),
    "gammaln": (nd.gammaln, 0.0),
    "erfinv": (nd.erfinv, 1.0),
    "modulo": (lambda x: 3 % x, 0.0),
    "power": (lambda x: x**-1, 0.0),
    "product": (lambda x: x * nd.exp(x), 200.0),
    "quotient": (lambda x: 1 / x, 0.0),
    "hypot": (lambda x: nd.broadcast_hypot(x, x), np.inf),
    "tan": (nd.tan, np.inf),
    "sigmoid": (nd.sigmoid, np.nan),
    "tanh": (nd.tanh, np.nan),
    "relu": (nd.relu, np.nan),
    "gelu": (lambda x: nd.LeakyReLU(x, act_type="gelu"), np.nan),
    "softsign": (nd.softsign, np.nan),
    "arctanh": (nd.arctanh, 1.0),
    "smooth_l1": (nd.smooth_l1, np.inf),
    "log": (nd.log, 0.0),
}


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("name", POISON)
def test_what_is_cut_off_gets_zero(name, dtype):
    function, point = POISON[name]
    fine = 0.25
    point = 800.0 if point == 200.0 and dtype == "float64" else point
    for cut in (
        lambda x: function(x)[1:],
        lambda x: nd.where(nd.array([0, 1], dtype=dtype), function(x), nd.zeros_like(x)),
    ):
        for order in (1, 2):
            found = gradients(cut, [point, fine], dtype=dtype, order=order)
            alone = gradients(function, [fine], dtype=dtype, order=order)
            assert found[0] == 0
            assert found[1] == alone[0]


def test_a_slice_does_not_poison_what_is_left_out():
    assert gradients(lambda x: nd.exp(x)[1:], [200.0, 0.0]).tolist() == [0, 1]
    mask = nd.array([0.0, 1.0])
    found = gradients(lambda x: nd.where(mask, nd.exp(x) * nd.exp(x), x), [200.0, 0.0])
    assert found.tolist() == [1, 2]


# ---- formulas that overflow inside


@pytest.mark.parametrize(
    ("function", "dtype", "point", "order", "expected"),
    [
        (nd.arcsinh, "float16", 300.0, 1, 1 / 300),
        (nd.arcsinh, "float32", 2e19, 1, 0.5e-19),
        (nd.arcsinh, "float64", 2e200, 1, 0.5e-200),
        (nd.arcsinh, "float32", 1e15, 2, -1e-30),
        (nd.arccosh, "float32", 2e19, 1, 0.5e-19),
        (nd.arctan, "float16", 20.0, 2, -40 / 401**2),
        (nd.arctan, "float32", 1e12, 2, -2e-36),
        (nd.softsign, "float16", 20.0, 2, -2 / 21**3),
        (nd.softsign, "float32", 1e12, 2, -2e-36),
        (lambda x: nd.LeakyReLU(x, act_type="gelu"), "float16", 300.0, 2, 0.0),
        (lambda x: nd.LeakyReLU(x, act_type="gelu"), "float32", 1e30, 2, 0.0),
        (lambda x: nd.Activation(x, act_type="softsign"), "float32", 1e12, 1, 1e-24),
        (nd.reciprocal, "float32", 1e-12, 2, 2e36),
        (nd.rsqrt, "float16", 30.0, 2, 0.75 * 30**-2.5),
    ],
)
def test_formulas_that_overflow_inside(function, dtype, point, order, expected):
    point = float(nd.array([point], dtype="float64").astype(dtype).astype("float64").asscalar())
    found = gradients(function, [point], dtype=dtype, order=order)
    np.testing.assert_allclose(found, [expected], rtol=4e-3 if dtype == "float16" else 1e-6)


# ---- saturated tails


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_tails_of_sigmoid_and_tanh(dtype):
    x = np.array([20.0, -20.0, 9.01, 36.0, 40.0, 0.5, 1e-10])
    exact = x.astype(dtype).astype("float64")
    slope = np.exp(-abs(exact)) / (1 + np.exp(-abs(exact))) ** 2
    for sigmoid in (nd.sigmoid, lambda a: nd.Activation(a, act_type="sigmoid")):
        close(gradients(sigmoid, x, dtype=dtype), slope, dtype)
        close(gradients(sigmoid, x, dtype=dtype, order=2), -slope * np.tanh(exact / 2), dtype, 8)
    slope = 4 * np.exp(-2 * abs(exact)) / (1 + np.exp(-2 * abs(exact))) ** 2
    for tanh in (nd.tanh, lambda a: nd.Activation(a, act_type="tanh")):
        close(gradients(tanh, x, dtype=dtype), slope, dtype)
        close(gradients(tanh, x, dtype=dtype, order=2), -2 * slope * np.tanh(exact), dtype, 8)


def test_tail_of_gelu():
    x = np.array([-12.0, -8.0, -5.0, -1.0, 0.5, 3.0])
    below = np.array([math.erfc(-v / math.sqrt(2)) / 2 for v in x])
    density = np.exp(-x * x / 2) / math.sqrt(2 * math.pi)
    for dtype in ("float32", "float64"):
        gelu = nd.LeakyReLU(nd.array(x, dtype=dtype), act_type="gelu")
        # math.erfc gets a rounded argument, which counts far out.
        close(gelu.asnumpy(), x * below, dtype, 200)
        found = gradients(lambda a: nd.LeakyReLU(a, act_type="gelu"), x, dtype=dtype)
        close(found, below + x * density, dtype, 200)


# ---- NaN, and the ends of erfinv


def test_relu_hands_a_nan_on():
    for relu in (nd.relu, lambda x: nd.Activation(x, act_type="relu")):
        found = gradients(relu, [np.nan, -1.0, 0.0, 2.0, np.inf, -np.inf])
        assert np.isnan(found[0])
        assert found[1:].tolist() == [0, 0, 1, 1, 0]


def test_erfinv_near_the_ends():
    for gap in (2.0**-53, 2.0**-52, 1e-14, 1e-12, 1e-9, 1e-7, 1e-5):
        y = 1 - gap
        x = float(nd.erfinv(nd.array([y], dtype="float64")).asscalar())
        assert math.erfc(x) == pytest.approx(1 - y, rel=1e-13)
        back = float(nd.erfinv(nd.array([-y], dtype="float64")).asscalar())
        assert back == -x
    ends = nd.erfinv(nd.array([1, -1, 1.5, np.nan], dtype="float64")).asnumpy()
    np.testing.assert_array_equal(ends, [np.inf, -np.inf, np.nan, np.nan])
