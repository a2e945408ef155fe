"""Where the first value that is not finite comes from."""

from .._loader import core as _core

__all__ = ["detect_anomaly"]


class detect_anomaly:
    """A ``with`` block that stops at the first gradient that is not finite.

    Parameters
    ----------
    forward : bool, default False
        Whether to look at the results of recorded operators too. An operator whose result holds
        NaN or an infinity then raises as it is recorded.

    It holds for the thread that entered it, and for ``backward`` and ``grad`` inside the block: the
    computation may have been recorded before, unless `forward` is set. Every gradient is read once
    more and calls run one by one, so that a step takes longer. Without a block there is no cost.

    An infinity counts as an anomaly also where a program wants one, as in a mask of ``-inf``:
    record that part outside the block, or leave `forward` off.

    Raises
    ------
    MXNetError
        Names the operator, the line that recorded it, which input or output it is, and the array's
        statistics: shape, dtype, how many elements are NaN and infinite, and the range of the
        others. No gradient buffer has been written then.

    >>> from mxtape import autograd, nd
    >>> x = nd.array([0.0, 4.0])
    >>> x.attach_grad()
    >>> with autograd.record():
    ...     y = nd.sqrt(x)
    >>> with autograd.detect_anomaly():
    ...     y.backward()    # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    mxtape.base.MXNetError: detect_anomaly: the gradient for input 0 of sqrt is not finite: ...
    """

    def __init__(self, forward: bool = False):
        self._forward = bool(forward)
        self._before: list[tuple[bool, bool]] = []

    def __enter__(self) -> "detect_anomaly":
        before = _core.set_anomaly_mode(True, self._forward)
        self._before.append(before)
        if before[1] and not self._forward:  # of an outer block
            _core.set_anomaly_mode(True, True)
        return self

    def __exit__(self, *error: object) -> None:
        _core.set_anomaly_mode(*self._before.pop())
