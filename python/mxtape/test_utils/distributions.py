"""Whether random numbers have the distribution that they should have."""

import math

import numpy as np

__all__ = [
    "chi_square_check",
    "gen_buckets_probs_with_ppf",
    "mean_check",
    "var_check",
    "verify_generator",
]


def _samples(generator, nsamples):
    drawn = generator(nsamples)
    return (drawn.asnumpy() if hasattr(drawn, "asnumpy") else np.asarray(drawn)).ravel()


def mean_check(generator, mu, sigma, nsamples=1000000):
    """Whether the mean of samples is within three standard errors of what it should be.

    Parameters
    ----------
    generator : callable
        Gives as many samples as it is asked for, as an array.
    mu, sigma : float
        Mean and standard deviation that the samples should have.
    nsamples : int, default 1000000
        How many to draw. Of right generators, 3 in 1000 fail.

    Examples
    --------
    >>> import mxtape as mx
    >>> import numpy as np
    >>> mx.test_utils.mean_check(lambda n: np.arange(n) % 2, 0.5, 0.5, nsamples=1000)
    True
    """
    samples = _samples(generator, nsamples).astype(np.float64)
    return bool(abs(samples.mean() - mu) < 3 * sigma / math.sqrt(nsamples))


def var_check(generator, sigma, nsamples=1000000):
    """Whether the variance of samples of a normal distribution is near what it should be.

    That is, within three standard errors of ``sigma ** 2``. Parameters as of :func:`mean_check`.

    >>> import mxtape as mx
    >>> import numpy as np
    >>> mx.test_utils.var_check(lambda n: 2.0 * (np.arange(n) % 2), 1.0, nsamples=1000)
    True
    """
    samples = _samples(generator, nsamples).astype(np.float64)
    error = math.sqrt(2.0 / (nsamples - 1)) * sigma**2
    return bool(abs(samples.var(ddof=1) - sigma**2) < 3 * error)


def gen_buckets_probs_with_ppf(ppf, nbuckets):
    """Intervals of equal probability, for :func:`chi_square_check`.

    Parameters
    ----------
    ppf : callable
        The inverse of the cumulative distribution function, such as ``scipy.stats.norm.ppf``.
    nbuckets : int
        How many intervals.

    Returns
    -------
    buckets : list of tuple
        Lower and upper ends.
    probs : list of float
        ``1 / nbuckets``, for each.

    Examples
    --------
    >>> import mxtape as mx
    >>> mx.test_utils.gen_buckets_probs_with_ppf(lambda p: 10 * p, 2)
    ([(0.0, 5.0), (5.0, 10.0)], [0.5, 0.5])
    """
    if nbuckets < 1:
        raise AssertionError(f"gen_buckets_probs_with_ppf: nbuckets is {nbuckets}")
    ends = [float(ppf(i / nbuckets)) for i in range(nbuckets + 1)]
    return list(zip(ends[:-1], ends[1:])), [1.0 / nbuckets] * nbuckets


def _upper_gamma(a, x):
    """The upper incomplete gamma function, as a part of the whole: Q(a, x)."""
    if x <= 0:
        return 1.0
    if math.isinf(x):
        return 0.0
    front = math.exp(a * math.log(x) - x - math.lgamma(a))
    if x < a + 1:  # the power series of the lower function
        term = total = 1.0 / a
        n = a
        while term > total * 1e-17:
            n += 1
            term *= x / n
            total += term
        return max(0.0, 1.0 - front * total)
    # The continued fraction x + 1 - a + (1 (a - 1)) / (x + 3 - a + (2 (a - 2)) / (x + 5 - a + ...
    # by its convergents' quotients (Lentz); x > a + 1 keeps all of them away from zero.
    b = x + 1 - a
    c, d = math.inf, 1.0 / b
    value, change, i = d, 0.0, 0
    while abs(change - 1.0) > 1e-15:
        i += 1
        an = i * (a - i)
        b += 2
        d = 1.0 / (an * d + b)
        c = b + an / c
        change = c * d
        value *= change
    return front * value


def chi_square_check(generator, buckets, probs, nsamples=1000000):
    """Pearson's chi-square test: how likely samples at least this far from `probs` are.

    Parameters
    ----------
    generator : callable
        Gives as many samples as it is asked for, as an array.
    buckets : list
        Intervals ``(low, high)`` in rising order, each without its upper end; or the values of a
        discrete distribution. Every sample must be in one of them.
    probs : list of float
        Their probabilities.
    nsamples : int, default 1000000
        How many to draw.

    Returns
    -------
    p : float
        The probability.
    obs_freq, expected_freq : numpy.ndarray
        How many samples there are in each bucket, and how many there should be.

    Examples
    --------
    >>> import numpy as np
    >>> from mxtape.test_utils import chi_square_check
    >>> p, found, expected = chi_square_check(lambda n: np.arange(n) % 2, [0, 1], [0.5, 0.5], 100)
    >>> p, found.tolist(), expected.tolist()
    (1.0, [50, 50], [50, 50])
    """
    if len(buckets) != len(probs) or not buckets:
        raise AssertionError(
            f"chi_square_check: {len(buckets)} buckets and {len(probs)} probabilities"
        )
    if abs(sum(probs) - 1) > 1e-6:
        raise ValueError(f"chi_square_check: the probabilities add up to {sum(probs)}")
    samples = np.sort(_samples(generator, nsamples))
    if isinstance(buckets[0], (tuple, list)):
        ends = np.array(buckets, dtype=np.float64)
        if (ends[:, 0] >= ends[:, 1]).any() or (ends[1:, 0] < ends[:-1, 1]).any():
            raise AssertionError(f"chi_square_check: not intervals in rising order: {buckets}")
        low, high = np.searchsorted(samples, ends[:, 0]), np.searchsorted(samples, ends[:, 1])
    else:
        low = np.searchsorted(samples, buckets, side="left")
        high = np.searchsorted(samples, buckets, side="right")
    found = high - low
    if found.sum() != samples.size:
        raise ValueError(
            f"chi_square_check: {samples.size - found.sum()} of {samples.size} samples are in no "
            f"bucket: they are from {samples[0]} to {samples[-1]}"
        )
    expected = np.array(probs, dtype=np.float64) * samples.size
    surplus = (found - expected) ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = float(np.where(surplus == 0, 0.0, surplus / expected).sum())
    p = _upper_gamma((len(probs) - 1) / 2, statistic / 2) if len(probs) > 1 else 1.0
    return p, found, expected.astype(np.int32)


def verify_generator(
    generator, buckets, probs, nsamples=1000000, nrepeat=5, success_rate=0.2, alpha=0.05
):
    """Raises an ``AssertionError`` when samples fail :func:`chi_square_check` too often.

    Parameters
    ----------
    generator, buckets, probs, nsamples
        As of :func:`chi_square_check`.
    nrepeat : int, default 5
        How many tests to make.
    success_rate : float, default 0.2
        The part of them that must succeed.
    alpha : float, default 0.05
        A test succeeds when its probability is larger than this.

    Returns
    -------
    list of float
        The probabilities.

    Examples
    --------
    >>> import numpy as np
    >>> from mxtape.test_utils import verify_generator
    >>> verify_generator(lambda n: np.arange(n) % 2, [0, 1], [0.5, 0.5], 100, nrepeat=2)
    [1.0, 1.0]
    """
    tests = [chi_square_check(generator, buckets, probs, nsamples) for _ in range(nrepeat)]
    chances = [test[0] for test in tests]
    successes = sum(p > alpha for p in chances)
    if successes < nrepeat * success_rate:
        raise AssertionError(
            f"verify_generator: {successes} of {nrepeat} tests succeeded: probabilities {chances}, "
            f"samples found {[t[1].tolist() for t in tests]}, expected {tests[0][2].tolist()}, in "
            f"buckets {buckets}"
        )
    return chances
