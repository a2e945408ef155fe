"""Optimizers of ``mx.optimizer.contrib``."""

from .. import ndarray as nd
from .base import Optimizer, register, zeros_of

__all__ = ["GroupAdaGrad"]


@register
class GroupAdaGrad(Optimizer):
    """AdaGrad with one history for each row of a weight, as for a table of embeddings.

    ::

        g = clip(rescale_grad * grad)
        history = history + mean(g**2, of each row)
        weight = weight - lr * g / sqrt(history + eps)

    Of a row_sparse gradient only the rows that it has are read and written.

    Parameters
    ----------
    eps : float, default 1e-5
        Added under the root.
    kwargs
        As of :class:`Optimizer`; weight decay is not supported.

    Raises
    ------
    AssertionError
        In an update, when the weight decay is not 0, or the weight does not have 2 dimensions.

    Examples
    --------
    >>> import mxtape as mx
    >>> adagrad = mx.optimizer.contrib.GroupAdaGrad(learning_rate=0.5)
    >>> w = mx.nd.array([[1.0, 1.0], [1.0, 1.0]])
    >>> state = adagrad.create_state(0, w)
    >>> adagrad.update(0, w, mx.nd.array([[3.0, 3.0], [0.0, 0.0]]), state)
    >>> w.asnumpy().round(3).tolist(), state.shape
    ([[0.5, 0.5], [1.0, 1.0]], (2, 1))
    """

    def __init__(self, eps=1e-5, **kwargs):
        super().__init__(**kwargs)
        self.float_stable_eps = eps

    def create_state(self, index, weight):
        if len(weight.shape) != 2:
            raise AssertionError(f"GroupAdaGrad: a weight has 2 dimensions, got {weight.shape}")
        return zeros_of(weight, shape=(weight.shape[0], 1), stype=weight.stype)

    def update(self, index, weight, grad, state):
        lr, wd = self._begin(index)
        if wd != 0:
            raise AssertionError(f"GroupAdaGrad does not support weight decay, got wd={wd}")
        if grad.stype == "row_sparse":
            options = self._options(lr=lr, epsilon=self.float_stable_eps)
            nd.contrib.group_adagrad_update(weight, grad, state, out=weight, **options)
            return
        g = self._clipped(grad * self.rescale_grad)
        state += nd.mean(g * g, axis=1, keepdims=True)
        weight -= lr * g / nd.sqrt(state + self.float_stable_eps)
