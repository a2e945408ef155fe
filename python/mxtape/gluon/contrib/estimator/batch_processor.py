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
        data, label = (split_and_load(part, ctx, batch_axis) for part in (batch[0], batch[1]))
        return data, label

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
        data, label = self._get_data_and_label(val_batch, estimator.context, batch_axis)
        pred = [estimator.val_net(x) for x in data]
        loss = [estimator.val_loss(y_hat, y) for y_hat, y in zip(pred, label)]
        return data, label, pred, loss

    def fit_batch(self, estimator, train_batch, batch_axis=0):
        """Runs a batch through ``estimator.net`` and ``loss``, and computes the gradients.

        Parameters and result are as of :meth:`evaluate_batch`. It updates no parameter:
        :class:`GradientUpdateHandler` does.
        """
        data, label = self._get_data_and_label(train_batch, estimator.context, batch_axis)
        with autograd.record():
            pred = [estimator.net(x) for x in data]
            loss = [estimator.loss(y_hat, y) for y_hat, y in zip(pred, label)]
        autograd.backward(loss)
        return data, label, pred, loss
