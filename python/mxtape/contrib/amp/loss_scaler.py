"""LossScaler: the factor that keeps gradients in low precision from vanishing."""

import logging

from ...ndarray import multi_all_finite

_log = logging.getLogger(__name__)


class LossScaler:
    """A factor for the loss, which follows the gradients: halved when they overflow.

    It begins at 2 ** 16. After 2,000 checks in a row without an overflow it is doubled, up to
    2 ** 24. As in MXNet, a change counts from the check after it on.

    Attributes
    ----------
    loss_scale : float
        The factor.

    Examples
    --------
    >>> import mxtape as mx
    >>> scaler = mx.contrib.amp.loss_scaler.LossScaler()
    >>> p = mx.gluon.Parameter("p", shape=(2,))
    >>> p.initialize()
    >>> p.grad()[:] = float("inf")
    >>> scaler.has_overflow([p]), scaler.has_overflow([p]), scaler.loss_scale
    (True, True, 32768.0)
    """

    def __init__(self):
        self._unskipped = 0  # checks since an overflow or a change
        self._scale_seq_len, self._max_loss_scale = 2000, 2.0**24
        self._loss_scale = self._next_loss_scale = 2.0**16

    @property
    def loss_scale(self):
        return self._loss_scale

    def has_overflow(self, params):
        """Whether a gradient has an infinity or NaN, and what follows for the factor.

        Parameters
        ----------
        params : list of Parameter

        Returns
        -------
        bool
        """
        grads = [g for param in params if param.grad_req != "null" for g in param.list_grad()]
        finite = not grads or bool(multi_all_finite(*grads, num_arrays=len(grads)).asscalar())
        self._loss_scale = self._next_loss_scale
        if not finite:
            self._next_loss_scale = self._loss_scale / 2
            self._unskipped = 0
            _log.info("amp: gradients overflow; the loss scale becomes %g", self._next_loss_scale)
            return True
        self._unskipped += 1
        if self._unskipped == self._scale_seq_len:
            self._unskipped = 0
            self._next_loss_scale = min(self._max_loss_scale, self._loss_scale * 2)
        return False
