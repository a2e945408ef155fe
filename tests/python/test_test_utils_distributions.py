"""mx.test_utils: checks of random numbers' distributions."""

import numpy as np
import pytest

import mxtape as mx
from mxtape import nd
from mxtape import test_utils as tu

INF = np.inf


def test_means_and_variances():
    n = 10000
    wave = np.tile([-1.0, 1.0], n // 2)
    for k, expected in ((2.9, True), (-2.9, True), (3.1, False), (-3.1, False)):
        assert tu.mean_check(lambda _, k=k: wave + 1 + k / np.sqrt(n), 1, 1, n) is expected
        size = np.sqrt(1 + k * np.sqrt(2 / (n - 1)))
        assert tu.var_check(lambda _, size=size: wave * size, 1, n) is expected
    assert tu.mean_check(lambda m: nd.random.normal(1, 2, shape=(m,)), 1, 2, n)


# p of the chi-square distribution with so many degrees of freedom, from SciPy 1.11.
@pytest.mark.parametrize(
    ("statistic", "freedom", "p"),
    [
        (0.5, 1, 0.47950012218695337),
        (3.84, 1, 0.05004352124870519),
        (4.0, 1, 0.04550026389635857),
        (2.0, 2, 0.36787944117144245),
        (1e-3, 3, 0.9999915920809419),
        (20.0, 5, 0.0012497305630313773),
        (100.0, 99, 0.4529585113209314),
        (300.0, 99, 4.2266534644194534e-22),
        (700.0, 999, 0.9999999999999654),
        (2000.0, 999, 2.9249231493034897e-69),
        (0.0, 4, 1.0),
        (np.inf, 4, 0.0),
    ],
)
def test_the_chi_square_distribution(statistic, freedom, p):
    from mxtape.test_utils.distributions import _upper_gamma

    assert _upper_gamma(freedom / 2, statistic / 2) == pytest.approx(p, rel=1e-11)


def test_buckets_of_equal_probability():
    buckets, probs = tu.gen_buckets_probs_with_ppf(lambda p: np.float32(p * 8 - 4), 4)
    assert buckets == [(-4.0, -2.0), (-2.0, 0.0), (0.0, 2.0), (2.0, 4.0)]
    assert probs == [0.25] * 4
    with pytest.raises(AssertionError):
        tu.gen_buckets_probs_with_ppf(abs, 0)


def test_chi_square_of_intervals():
    def edges(_):
        return nd.array([[1.0, 0.5], [0.0, 1.0]])

    p, found, expected = tu.chi_square_check(edges, [(0, 1), (1, 2)], [0.5, 0.5], 4)
    assert (p, found.tolist(), expected.tolist()) == (1.0, [2, 2], [2, 2])
    p, found, expected = tu.chi_square_check(edges, ((-INF, 1), (1, INF)), [0.25, 0.75], 4)
    assert (found.tolist(), expected.tolist()) == ([2, 2], [1, 3])
    assert p == pytest.approx(0.2482130789899235)  # statistic 4 / 3, from SciPy
    assert tu.chi_square_check(edges, [(0, 1), (1, 2)], [0, 1], 4)[0] == 0
    assert tu.chi_square_check(edges, [(0, 2)], [1], 4)[0] == 1


def test_chi_square_of_values():
    def values(_):
        return np.array([3, 0, 0, 3, 3, 3, 1, 3])

    p, found, expected = tu.chi_square_check(values, [0, 1, 3], [0.25, 0.25, 0.5], 8)
    assert (found.tolist(), expected.tolist()) == ([2, 1, 5], [2, 2, 4])
    assert p == pytest.approx(np.exp(-0.75 / 2))


@pytest.mark.parametrize(
    ("buckets", "probs", "error", "message"),
    [
        ([(0, 1), (1, 2)], [0.5, 0.5], ValueError, "1 of 3 samples are in no bucket"),
        ([(-1, 0.5), (1, 3)], [0.5, 0.5], ValueError, "2 of 3 samples are in no bucket"),
        ([(1, 3), (-1, 1)], [0.5, 0.5], AssertionError, "rising order"),
        ([(-1, 2), (1, 3)], [0.5, 0.5], AssertionError, "rising order"),
        ([0, 1], [0.5, 0.5], ValueError, "3 of 3 samples"),
        ([(-1, 1), (1, 3)], [0.5, 0.4], ValueError, "add up to 0.9"),
        ([(-1, 1), (1, 3)], [1.0], AssertionError, "2 buckets and 1 prob"),
        ([], [], AssertionError, "0 buckets"),
    ],
)
def test_chi_square_refuses(buckets, probs, error, message):
    with pytest.raises(error, match=message):
        tu.chi_square_check(lambda _: np.array([0.5, 2.0, 0.5]), buckets, probs, 3)


def test_verifying_a_generator():
    attempts = []

    def every_other_is_right(n):
        attempts.append(n)
        return np.arange(n) % 2 if len(attempts) % 2 else np.zeros(n)

    chances = tu.verify_generator(every_other_is_right, [0, 1], [0.5, 0.5], 100, 4, 0.5)
    assert attempts == [100] * 4
    assert chances[::2] == [1.0, 1.0]
    assert max(chances[1::2]) < 1e-20
    with pytest.raises(AssertionError, match="2 of 4 tests succeeded"):
        tu.verify_generator(every_other_is_right, [0, 1], [0.5, 0.5], 100, 4, 0.51)


def test_verifying_mxtapes_generators():
    mx.random.seed(4)
    uniform, probs = tu.gen_buckets_probs_with_ppf(lambda p: 2 * p - 1, 5)
    tu.verify_generator(lambda n: nd.random.uniform(-1, 1, shape=(n,)), uniform, probs, 20000)
    with pytest.raises(AssertionError):
        tu.verify_generator(lambda n: nd.random.normal(0, 0.2, shape=(n,)), uniform, probs, 20000)
