"""Samplers."""

from ...data import Sampler

__all__ = ["IntervalSampler"]


class IntervalSampler(Sampler):
    """Every so many-th index: 0, `interval`, 2 `interval`, and so on.

    Parameters
    ----------
    length : int
        The number of indices.
    interval : int
        The distance between two.
    rollover : bool, default True
        Whether it goes on with 1, 1 + `interval` and so on, until all indices were given.

    Examples
    --------
    >>> from mxtape.gluon.contrib.data import IntervalSampler
    >>> list(IntervalSampler(7, interval=3))
    [0, 3, 6, 1, 4, 2, 5]
    >>> list(IntervalSampler(7, interval=3, rollover=False))
    [0, 3, 6]
    """

    def __init__(self, length, interval, rollover=True):
        if not 0 < interval <= length:
            raise AssertionError(
                f"IntervalSampler: interval must be from 1 to length, {length}; got {interval}"
            )
        self._length, self._interval, self._rollover = length, interval, rollover

    def __iter__(self):
        for start in range(self._interval if self._rollover else 1):
            yield from range(start, self._length, self._interval)

    def __len__(self):
        return len(range(0, self._length, self._interval)) if not self._rollover else self._length
