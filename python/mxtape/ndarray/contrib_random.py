"""Random numbers of ``mx.nd.contrib``."""

import math

from .._loader import core as _core
from ..base import MXNetError
from .random import uniform

NDArray = _core.NDArray


def rand_zipfian(true_classes, num_sampled, range_max, ctx=None):
    """Classes drawn from a distribution like Zipf's, and how often classes are expected in a draw.

    Class c of [0, range_max) has the probability ``log((c + 2) / (c + 1)) / log(range_max + 1)``.

    Parameters
    ----------
    true_classes : NDArray
        Classes whose expected counts are wanted.
    num_sampled : int
        How many classes are drawn.
    range_max : int
        Number of classes.
    ctx : Context, default current_context()
        Where the arrays are.

    Returns
    -------
    samples : NDArray, int64, (num_sampled,)
        The drawn classes; one may come several times.
    expected_count_true : NDArray, float64
        Of each of `true_classes`, how often it is expected.
    expected_count_sample : NDArray, float64, (num_sampled,)
        The same of the samples.

    >>> import mxtape as mx
    >>> from mxtape import nd
    >>> samples, true, sampled = mx.nd.contrib.rand_zipfian(nd.array([3]), 4, 5)
    >>> samples.shape, round(true.asscalar().item(), 4)
    ((4,), 0.4982)
    """
    if not isinstance(true_classes, NDArray):
        raise TypeError(f"rand_zipfian: true_classes must be an NDArray, got {true_classes!r}")
    if not range_max > 0:
        raise MXNetError(f"rand_zipfian: range_max must be positive, got {range_max!r}")
    log_range = math.log(range_max + 1)
    drawn = uniform(0, log_range, shape=(num_sampled,), dtype="float64", ctx=ctx)
    # Rounding may give range_max itself.
    samples = (drawn.exp() - 1).astype("int64") % range_max

    def expected_count(classes):
        classes = classes.astype("float64")
        return ((classes + 2) / (classes + 1)).log() * (num_sampled / log_range)

    return samples, expected_count(true_classes), expected_count(samples)


__all__ = ["rand_zipfian"]
