"""What an estimator does with a batch: the forward pass and the gradients."""

from .... import autograd
from ...utils import split_and_load

__all__ = ["BatchProcessor"]


class BatchProcessor:
    """Runs a batch. Derive from it where a batch is more than data and labels for one network.

    Examples
    --------
    >>> from mxtape.gluon.contrib.estimator import BatchProcessor
    >>> class Swapped(BatchProcessor):
    ...     def fit_batch(self, estimator, train_batch, batch_axis=0):
    ...         label, data = train_batch
    ...         return super().fit_batch(estimator, (data, label), batch_axis)
    """

    def __init__(self):
        pass

    def _get_data_and_label(self, batch, ctx, batch_axis=0):
        return tuple(split_and_load(part, ctx, batch_axis) for part in (batch[0], batch[1]))

    def _losses(self, net, loss, parts):
        """Data, labels, predictions and losses, from the first two."""
        pred = [net(x) for x in parts[0]]
        return (*parts, pred, [loss(*pair) for pair in zip(pred, parts[1])])

    def evaluate_batch(self, estimator, val_batch, batch_axis=0):
        """Runs a batch of validation data through ``estimator.val_net`` and ``val_loss``.

        Parameters
        ----------
        estimator : Estimator
        val_batch : sequence of NDArray
            Data and labels.
        batch_axis : int, default 0
            The axis along which the batch is shared out to the contexts.

        Returns
        -------
        tuple of list of NDArray
            Data, labels, predictions, losses: of each context.
        """
        parts = self._get_data_and_label(val_batch, estimator.context, batch_axis)
        return self._losses(estimator.val_net, estimator.val_loss, parts)

    def fit_batch(self, estimator, train_batch, batch_axis=0):
        """Runs a batch through ``estimator.net`` and ``loss``, and computes the gradients.

        Parameters and result are as of :meth:`evaluate_batch`. It updates no parameter:
        :class:`GradientUpdateHandler` does.
        """
        parts = self._get_data_and_label(train_batch, estimator.context, batch_axis)
        with autograd.record():
            results = self._losses(estimator.net, estimator.loss, parts)
        autograd.backward(results[-1])
        return results
