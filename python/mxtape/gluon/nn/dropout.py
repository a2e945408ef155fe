"""Dropout."""

from ..block import HybridBlock

__all__ = ["Dropout"]


class Dropout(HybridBlock):
    """Sets elements to 0 at random in train mode, and divides the others by ``1 - rate``.

    Outside of train mode (``autograd.record()``, ``autograd.train_mode()``) it returns its input.

    Parameters
    ----------
    rate : float in [0, 1)
        The probability that an element becomes 0.
    axes : tuple of int, optional
        Axes along which all elements are kept or dropped together.

    Examples
    --------
    >>> import mxtape as mx
    >>> layer = mx.gluon.nn.Dropout(0.5)
    >>> layer(mx.nd.ones((2,))).asnumpy().tolist()
    [1.0, 1.0]
    >>> with mx.autograd.train_mode():
    ...     y = layer(mx.nd.ones((100,)))
    >>> sorted(set(y.asnumpy().tolist()))
    [0.0, 2.0]
    """

    def __init__(self, rate, axes=(), **kwargs) -> None:
        super().__init__(**kwargs)
        self._rate = rate
        self._axes = axes

    def __repr__(self):
        return f"{type(self).__name__}(p = {self._rate}, axes={self._axes})"

    def hybrid_forward(self, F, x):
        if self._rate <= 0:
            return F.identity(x)
        return F.Dropout(x, p=self._rate, axes=self._axes, cudnn_off=False, name="fwd")
