"""Pointwise functions and their derivatives by mpmath, for the range matrix.

A reference gets numbers and gives one. NaN: the function is not defined there. Infinite: it has a
pole. None: nothing is asked for, as where a derivative jumps. A pair (number, size): the number is
a sum of terms that cancel, of which the larger has that size.
"""

from fractions import Fraction

import mpmath
from mpmath import mp, mpf

mp.prec = 160

PI = +mp.pi
ROOT_PI = mp.sqrt(mp.pi)
NAN, INF = mp.nan, mp.inf


def real(x):
    """The number, or NaN where mpmath went into the complex plane."""
    return NAN if isinstance(x, mpmath.mpc) else x


def sign(x):
    return mpf(0) if x == 0 else (mpf(1) if x > 0 else mpf(-1))


def zero(*_):
    return mpf(0)


def one(*_):
    return mpf(1)


def kink(f, *where):
    """f, and None at the numbers where its derivative jumps."""
    return lambda x: None if x in where else f(x)


def ended(f, low, high, below, above):
    """f inside, and what it is for all that mpmath should not have to compute."""
    return lambda x: below if x < low else above if x > high else f(x)


def e(x):
    """exp, of which the far ends are beyond every dtype."""
    return mpf("1e-9999") if x < -20000 else mpf("1e9999") if x > 20000 else mp.exp(x)


def sigmoid(x):
    return 1 / (1 + e(-x))


def sigmoid_slope(x):
    return e(-abs(x)) / (1 + e(-abs(x))) ** 2


def tanh(x):
    return sign(x) if abs(x) > 2000 else mp.tanh(x)


def tanh_slope(x):
    return 4 * sigmoid_slope(2 * x)


def sinh(x):
    return (e(x) - e(-x)) / 2 if abs(x) > 1 else mp.sinh(x)


def cosh(x):
    return (e(x) + e(-x)) / 2


def gaussian(x):
    return e(-x * x)


def erfc(x):
    if x > 60:
        return mpf("1e-2000")
    return mpf(2) if x < -60 else mp.erfc(x)


def erfinv_slope(x):
    if abs(x) == 1:
        return INF
    return ROOT_PI / 2 * mp.exp(mp.erfinv(x) ** 2)


def round_away(x):
    return sign(x) * mp.floor(abs(x) + mpf(0.5))


def rint(x):
    return mp.floor(x) if x - mp.floor(x) <= mp.ceil(x) - x else mp.ceil(x)


def trunc(x):
    return sign(x) * mp.floor(abs(x))


def is_pole(x):
    return x <= 0 and x == mp.floor(x)


def cotangent(n, x):
    """The n-th derivative of pi * cot(pi * x)."""
    cot, square = mp.cot(PI * x), mp.csc(PI * x) ** 2
    return (
        PI * cot,
        -(PI**2) * square,
        2 * PI**3 * cot * square,
        -2 * PI**4 * square * (square + 2 * cot**2),
    )[n]


def psi_terms(n, x):
    """The polygamma function, and the size of the larger of its terms."""
    if is_pole(x):
        return NAN, 0
    if x < 0:
        with mp.workprec(300):
            mirrored, rest = (-1) ** n * psi_terms(n, 1 - x)[0], cotangent(n, x)
            return mirrored - rest, max(abs(mirrored), abs(rest))
    if x > mpf(10) ** 20:  # the series' first terms; mpmath takes long
        tail = mp.log(x) if n == 0 else (-1) ** (n + 1) * mp.factorial(n - 1) / x**n
        value = tail - (1 / (2 * x) if n == 0 else 0)
    else:
        value = mp.psi(n, x)
    return value, abs(value)


def psi(n):
    return lambda x: psi_terms(n, x)


def gamma(x):
    if is_pole(x):
        return INF if x == 0 else NAN
    if x > 2000:
        return mpf("1e9999")
    return mpf("1e-9999") if x < -2000 else mp.gamma(x)


def gammaln(x):
    if is_pole(x):
        return INF
    if x < 0:
        with mp.workprec(300):
            parts = mp.log(PI / abs(mp.sin(PI * x))), gammaln(1 - x)
            return parts[0] - parts[1]
    if x > mpf(10) ** 20:
        return x * (mp.log(x) - 1) - mp.log(x) / 2 + mp.log(2 * PI) / 2
    return mp.loggamma(x)


def gamma_slope(x):
    value, size = psi_terms(0, x)
    return gamma(x) * value, abs(gamma(x)) * size


def gamma_second(x):
    if is_pole(x):
        return NAN
    return gamma(x) * (psi_terms(0, x)[0] ** 2 + psi_terms(1, x)[0])


def inside(f, low, high, open_ends=False):
    """f on [low, high], NaN elsewhere; infinite at the ends where they are open."""

    def g(x):
        if x < low or x > high:
            return NAN
        return INF if open_ends and x in (low, high) else f(x)

    return g


def of_positive(f, at_zero=INF):
    return lambda x: NAN if x < 0 else at_zero if x == 0 else f(x)


def but_zero(f, at_zero=INF):
    return lambda x: at_zero if x == 0 else f(x)


def root3(x):
    return sign(x) * mp.cbrt(abs(x))


def arc_slope(x):
    return 1 / mp.sqrt((1 - x) * (1 + x))


# The function, its first and its second derivative.
UNARY = {
    "negative": (lambda x: -x, lambda x: mpf(-1), zero),
    "abs": (abs, kink(sign, 0), zero),
    "sign": (sign, zero, zero),
    "square": (lambda x: x * x, lambda x: 2 * x, lambda x: mpf(2)),
    "reciprocal": (
        but_zero(lambda x: 1 / x),
        but_zero(lambda x: -1 / x**2),
        but_zero(lambda x: 2 / x**3),
    ),
    "round": (round_away, zero, zero),
    "rint": (rint, zero, zero),
    "ceil": (mp.ceil, zero, zero),
    "floor": (mp.floor, zero, zero),
    "trunc": (trunc, zero, zero),
    "fix": (trunc, zero, zero),
    "logical_not": (lambda x: mpf(x == 0), zero, zero),
    "clip": (
        lambda x: min(max(x, mpf(-1.5)), mpf(0.75)),
        lambda x: mpf(-1.5 <= x <= 0.75),
        zero,
    ),
    "smooth_l1": (
        lambda x: 2 * x * x if abs(x) < 0.25 else abs(x) - mpf(0.125),
        lambda x: 4 * x if abs(x) < 0.25 else sign(x),
        kink(lambda x: mpf(4 if abs(x) < 0.25 else 0), 0.25, -0.25),
    ),
    "exp": (e, e, e),
    "expm1": (lambda x: mp.expm1(x) if abs(x) < 20000 else e(x) - 1, e, e),
    "log": (
        of_positive(mp.log, -INF),
        of_positive(lambda x: 1 / x),
        of_positive(lambda x: -1 / x**2),
    ),
    "log2": (
        of_positive(lambda x: mp.log(x) / mp.log(2), -INF),
        of_positive(lambda x: 1 / (x * mp.log(2))),
        of_positive(lambda x: -1 / (x**2 * mp.log(2))),
    ),
    "log10": (
        of_positive(lambda x: mp.log(x) / mp.log(10), -INF),
        of_positive(lambda x: 1 / (x * mp.log(10))),
        of_positive(lambda x: -1 / (x**2 * mp.log(10))),
    ),
    "log1p": (
        lambda x: NAN if x < -1 else -INF if x == -1 else mp.log1p(x),
        lambda x: NAN if x < -1 else INF if x == -1 else 1 / (1 + x),
        lambda x: NAN if x < -1 else INF if x == -1 else -1 / (1 + x) ** 2,
    ),
    "sqrt": (
        of_positive(mp.sqrt, mpf(0)),
        of_positive(lambda x: 1 / (2 * mp.sqrt(x))),
        of_positive(lambda x: -1 / (4 * x * mp.sqrt(x))),
    ),
    "rsqrt": (
        of_positive(lambda x: 1 / mp.sqrt(x)),
        of_positive(lambda x: -1 / (2 * x * mp.sqrt(x))),
        of_positive(lambda x: 3 / (4 * x**2 * mp.sqrt(x))),
    ),
    "cbrt": (
        root3,
        but_zero(lambda x: 1 / (3 * root3(x) ** 2)),
        but_zero(lambda x: -2 / (9 * root3(x) ** 5)),
    ),
    "rcbrt": (
        but_zero(lambda x: 1 / root3(x)),
        but_zero(lambda x: -1 / (3 * x * root3(x))),
        but_zero(lambda x: 4 / (9 * x**2 * root3(x))),
    ),
    "sigmoid": (
        sigmoid,
        sigmoid_slope,
        lambda x: -sigmoid_slope(x) * tanh(x / 2),
    ),
    "relu": (lambda x: max(x, mpf(0)), kink(lambda x: mpf(x > 0), 0), zero),
    "softsign": (
        lambda x: x / (1 + abs(x)),
        lambda x: 1 / (1 + abs(x)) ** 2,
        kink(lambda x: -2 * sign(x) / (1 + abs(x)) ** 3, 0),
    ),
    "hard_sigmoid": (
        lambda x: min(max(x / 4 + mpf(0.5), mpf(0)), mpf(1)),
        kink(lambda x: mpf(0.25 if abs(x) < 2 else 0), 2, -2),
        zero,
    ),
    "_contrib_quadratic": (
        lambda x: 2 * x * x + x / 2 + 1,
        lambda x: 4 * x + mpf(0.5),
        lambda x: mpf(4),
    ),
    "sin": (mp.sin, mp.cos, lambda x: -mp.sin(x)),
    "cos": (mp.cos, lambda x: -mp.sin(x), lambda x: -mp.cos(x)),
    "tan": (
        mp.tan,
        lambda x: 1 / mp.cos(x) ** 2,
        lambda x: 2 * mp.tan(x) / mp.cos(x) ** 2,
    ),
    "arcsin": (
        inside(mp.asin, -1, 1),
        inside(arc_slope, -1, 1, True),
        inside(lambda x: x * arc_slope(x) ** 3, -1, 1, True),
    ),
    "arccos": (
        inside(mp.acos, -1, 1),
        inside(lambda x: -arc_slope(x), -1, 1, True),
        inside(lambda x: -x * arc_slope(x) ** 3, -1, 1, True),
    ),
    "arctan": (mp.atan, lambda x: 1 / (1 + x * x), lambda x: -2 * x / (1 + x * x) ** 2),
    "degrees": (lambda x: x * 180 / PI, lambda x: 180 / PI, zero),
    "radians": (lambda x: x * PI / 180, lambda x: PI / 180, zero),
    "sinh": (sinh, cosh, sinh),
    "cosh": (cosh, sinh, cosh),
    "tanh": (tanh, tanh_slope, lambda x: -2 * tanh(x) * tanh_slope(x)),
    "arcsinh": (
        lambda x: sign(x) * mp.asinh(abs(x)),
        lambda x: 1 / mp.sqrt(1 + x * x),
        lambda x: -x / (1 + x * x) ** mpf(1.5),
    ),
    "arccosh": (
        lambda x: NAN if x < 1 else real(mp.acosh(x)),
        lambda x: NAN if x < 1 else INF if x == 1 else 1 / mp.sqrt((x - 1) * (x + 1)),
        lambda x: NAN if x < 1 else INF if x == 1 else -x / ((x - 1) * (x + 1)) ** mpf(1.5),
    ),
    "arctanh": (
        lambda x: NAN if abs(x) > 1 else sign(x) * INF if abs(x) == 1 else mp.atanh(x),
        lambda x: NAN if abs(x) > 1 else INF if abs(x) == 1 else 1 / ((1 - x) * (1 + x)),
        lambda x: NAN if abs(x) > 1 else INF if abs(x) == 1 else 2 * x / ((1 - x) * (1 + x)) ** 2,
    ),
    "erf": (
        lambda x: sign(x) if abs(x) > 60 else mp.erf(x),
        lambda x: 2 / ROOT_PI * gaussian(x),
        lambda x: -4 * x / ROOT_PI * gaussian(x),
    ),
    "erfinv": (
        lambda x: NAN if abs(x) > 1 else sign(x) * INF if abs(x) == 1 else mp.erfinv(x),
        lambda x: NAN if abs(x) > 1 else erfinv_slope(x),
        lambda x: (
            NAN if abs(x) > 1 else INF if abs(x) == 1 else 2 * mp.erfinv(x) * erfinv_slope(x) ** 2
        ),
    ),
    "gammaln": (gammaln, psi(0), psi(1)),
    "gamma": (gamma, gamma_slope, gamma_second),
    "_polygamma": (psi(1), psi(2), psi(3)),
    # Layers that are functions of each element.
    "softrelu": (
        lambda x: max(x, mpf(0)) + mp.log1p(e(-abs(x))),
        sigmoid,
        sigmoid_slope,
    ),
    "elu": (
        lambda x: x if x > 0 else mp.expm1(max(x, mpf(-20000))) / 4,
        kink(lambda x: mpf(1) if x > 0 else e(x) / 4, 0),
        kink(lambda x: mpf(0) if x > 0 else e(x) / 4, 0),
    ),
    "gelu": (
        lambda x: x / 2 * erfc(-x / mp.sqrt(2)),
        lambda x: (
            erfc(-x / mp.sqrt(2)) / 2 + x * gaussian(x / mp.sqrt(2)) / mp.sqrt(2 * PI),
            max(erfc(-x / mp.sqrt(2)) / 2, abs(x) * gaussian(x / mp.sqrt(2)) / mp.sqrt(2 * PI)),
        ),
        lambda x: (
            (2 - x * x) * gaussian(x / mp.sqrt(2)) / mp.sqrt(2 * PI),
            max(2, x * x) * gaussian(x / mp.sqrt(2)) / mp.sqrt(2 * PI),
        ),
    ),
}


def power(a, b):
    if a == 0:
        return mpf(1) if b == 0 else mpf(0) if b > 0 else INF
    if a < 0:
        if b != mp.floor(b):
            return NAN
        return abs_power(-a, b) * (1 if mp.fmod(b, 2) == 0 else -1)
    return abs_power(a, b)


def abs_power(a, b):
    return e(b * mp.log(a)) if abs(b * mp.log(a)) > 1000 else mp.power(a, b)


def power_a(a, b):
    # b - 1 is rounded, and so the sign of the power of a negative number.
    if a < 0 and abs(b) > 128:
        return None
    return mpf(0) if b == 0 else b * power(a, b - 1)


def power_b(a, b):
    if a < 0:
        return None
    if a == 0:
        return mpf(0) if b > 0 else INF
    return power(a, b) * mp.log(a)


def power_aa(a, b):
    if a < 0 and abs(b) > 128:
        return None
    return mpf(0) if b in (0, 1) else b * (b - 1) * power(a, b - 2)


def power_ab(a, b):
    if a <= 0:
        return None
    p = power(a, b - 1)
    return p * (1 + b * mp.log(a)), p * max(mpf(1), abs(b * mp.log(a)))


def power_bb(a, b):
    return None if a <= 0 else power(a, b) * mp.log(a) ** 2


def quotient(f):
    return lambda a, b: None if b == 0 else f(a, b)


def of_hypot(f):
    return lambda a, b: mpf(0) if a == b == 0 else f(a, b, mp.sqrt(a * a + b * b))


def modulo(a, b):
    """Exactly, however large the quotient is."""
    if b == 0:
        return mpf(0)
    exact = Fraction(float(a)) % Fraction(float(b))
    return mpf(exact.numerator) / exact.denominator


def modulo_b(a, b):
    q = a / b
    near = mp.nint(q)
    # Where the rounded quotient may be a whole number that the quotient only comes near to.
    if q != near and abs(q - near) < abs(q) * mpf(2) ** -6:
        return None
    return -mp.floor(q)


def compare(f):
    return (lambda a, b: mpf(bool(f(a, b))), (zero, zero), (zero, zero, zero))


def tie(f):
    return lambda a, b: None if a == b else f(a, b)


LINEAR = (zero, zero, zero)
# The function, the derivatives by a and b, those by a twice, by a and b, and by b twice.
BINARY = {
    "add": (lambda a, b: a + b, (one, one), LINEAR),
    "subtract": (lambda a, b: a - b, (one, lambda a, b: mpf(-1)), LINEAR),
    "multiply": (lambda a, b: a * b, (lambda a, b: b, lambda a, b: a), (zero, one, zero)),
    "divide": (
        lambda a, b: a / b if b != 0 else NAN if a == 0 else INF,
        (quotient(lambda a, b: 1 / b), quotient(lambda a, b: -a / b**2)),
        (zero, quotient(lambda a, b: -1 / b**2), quotient(lambda a, b: 2 * a / b**3)),
    ),
    "modulo": (
        modulo,
        (one, quotient(modulo_b)),
        LINEAR,
    ),
    "power": (power, (power_a, power_b), (power_aa, power_ab, power_bb)),
    "maximum": (max, (tie(lambda a, b: mpf(a > b)), tie(lambda a, b: mpf(b > a))), LINEAR),
    "minimum": (min, (tie(lambda a, b: mpf(a < b)), tie(lambda a, b: mpf(b < a))), LINEAR),
    "hypot": (
        lambda a, b: mp.sqrt(a * a + b * b),
        (of_hypot(lambda a, b, h: a / h), of_hypot(lambda a, b, h: b / h)),
        (
            of_hypot(lambda a, b, h: b * b / h**3),
            of_hypot(lambda a, b, h: -a * b / h**3),
            of_hypot(lambda a, b, h: a * a / h**3),
        ),
    ),
    "equal": compare(lambda a, b: a == b),
    "not_equal": compare(lambda a, b: a != b),
    "greater": compare(lambda a, b: a > b),
    "greater_equal": compare(lambda a, b: a >= b),
    "lesser": compare(lambda a, b: a < b),
    "lesser_equal": compare(lambda a, b: a <= b),
    "logical_and": compare(lambda a, b: a != 0 and b != 0),
    "logical_or": compare(lambda a, b: a != 0 or b != 0),
    "logical_xor": compare(lambda a, b: (a != 0) != (b != 0)),
}
