"""Metrics of probabilities that are given to the true classes, and of losses."""

import math

import numpy

from ..ndarray import NDArray, pick
from .base import EvalMetric, alias, lists, register, values

__all__ = ["Caffe", "CrossEntropy", "Loss", "NegativeLogLikelihood", "Perplexity", "Torch"]


class _LogLikelihood(EvalMetric):
    """The mean of ``-log(p + eps)`` for the probability p of the true class."""

    def __init__(self, eps, name, output_names, label_names):
        super().__init__(name, output_names, label_names, eps=eps, has_global_stats=True)
        self.eps = eps

    def update(self, labels, preds):
        for label, pred in zip(*lists(labels, preds)):
            label = values(label).ravel().astype("int64")
            if len(pred.shape) != 2 or len(label) != pred.shape[0]:
                raise AssertionError(
                    f"{self.name}: {len(label)} labels need predictions of shape "
                    f"({len(label)}, classes); got {tuple(pred.shape)}"
                )
            p = values(pred)[numpy.arange(len(label)), label].astype("float64")
            self._add(float(-numpy.log(p + self.eps).sum()), len(label))


@register
@alias("ce")
class CrossEntropy(_LogLikelihood):
    """The cross-entropy of probabilities: the mean of ``-log(p + eps)`` for the true class.

    Parameters
    ----------
    eps : float, default 1e-12
        Keeps the logarithm of 0 finite.
    name : str, default 'cross-entropy'
    output_names, label_names : list of str, optional

    Predictions are probabilities of shape ``(n, classes)``, labels n classes in any shape.

    Raises
    ------
    IndexError
        For a label that is not a class.

    Examples
    --------
    >>> import mxtape as mx
    >>> metric = mx.metric.CrossEntropy()
    >>> metric.update([mx.nd.array([0, 1])], [mx.nd.array([[0.5, 0.5], [0.75, 0.25]])])
    >>> round(metric.get()[1], 4)
    1.0397
    """

    def __init__(self, eps=1e-12, name="cross-entropy", output_names=None, label_names=None):
        super().__init__(eps, name, output_names, label_names)


@register
@alias("nll_loss")
class NegativeLogLikelihood(_LogLikelihood):
    """The negative log-likelihood: what :class:`CrossEntropy` is, under another name.

    Parameters
    ----------
    eps : float, default 1e-12
    name : str, default 'nll-loss'
    output_names, label_names : list of str, optional

    Examples
    --------
    >>> import mxtape as mx
    >>> metric = mx.metric.NegativeLogLikelihood()
    >>> metric.update([mx.nd.array([0])], [mx.nd.array([[0.5, 0.5]])])
    >>> round(metric.get()[1], 4)
    0.6931
    """

    def __init__(self, eps=1e-12, name="nll-loss", output_names=None, label_names=None):
        super().__init__(eps, name, output_names, label_names)


@register
class Perplexity(EvalMetric):
    """The exponential of the mean of ``-log(p)`` for the probability p of the true class.

    Parameters
    ----------
    ignore_label : int or None
        Examples with this label do not count.
    axis : int, default -1
        The axis of the classes.
    name : str, default 'perplexity'
    output_names, label_names : list of str, optional

    Probabilities below 1e-10 count as that. A label that is not a class counts as the nearest one.

    Examples
    --------
    >>> import mxtape as mx
    >>> metric = mx.metric.Perplexity(ignore_label=None)
    >>> metric.update([mx.nd.array([0, 1])], [mx.nd.array([[0.5, 0.5], [0.75, 0.25]])])
    >>> round(metric.get()[1], 4)
    2.8284
    """

    def __init__(
        self, ignore_label, axis=-1, name="perplexity", output_names=None, label_names=None
    ):
        super().__init__(
            name, output_names, label_names, ignore_label=ignore_label, has_global_stats=True
        )
        self.ignore_label = ignore_label
        self.axis = axis

    def get_config(self):
        config = super().get_config()
        return config if self.axis == -1 else {**config, "axis": self.axis}

    def update(self, labels, preds):
        loss, count = 0.0, 0
        for label, pred in zip(*lists(labels, preds)):
            p, label = self._of_the_label(pred, label)
            p = p.ravel().astype("float64")
            if self.ignore_label is not None:
                p = p[label.ravel().astype(p.dtype) != self.ignore_label]
            loss -= float(numpy.log(numpy.maximum(p, 1e-10)).sum())
            count += len(p)
        self._add(loss, count)

    def _of_the_label(self, pred, label):
        """The probabilities of the labels, and the labels, as NumPy arrays of one size."""
        shape = list(pred.shape)
        axis = range(len(shape))[self.axis]
        del shape[axis]
        if math.prod(label.shape) != math.prod(shape):
            raise AssertionError(
                f"perplexity: predictions of shape {tuple(pred.shape)} with the classes on axis "
                f"{self.axis} need {math.prod(shape)} labels; got shape {tuple(label.shape)}"
            )
        if isinstance(pred, NDArray) and isinstance(label, NDArray):
            return pick(pred, label.reshape(shape), axis=axis).asnumpy(), label.asnumpy()
        pred, label = values(pred), values(label).reshape(shape)
        index = label.astype("int64").clip(0, pred.shape[axis] - 1)
        return numpy.take_along_axis(pred, numpy.expand_dims(index, axis), axis), label

    def _result(self, total, count):
        return math.exp(total / count) if count else float("nan")


@register
class Loss(EvalMetric):
    """The mean of all elements of the outputs: for networks whose output is a loss.

    Parameters
    ----------
    name : str, default 'loss'
    output_names, label_names : list of str, optional

    The labels are not looked at.

    Examples
    --------
    >>> import mxtape as mx
    >>> metric = mx.metric.Loss()
    >>> metric.update(None, [mx.nd.array([1, 2])])
    >>> metric.get()
    ('loss', 1.5)
    """

    def __init__(self, name="loss", output_names=None, label_names=None):
        super().__init__(name, output_names, label_names, has_global_stats=True)

    def update(self, _, preds):
        for pred in [preds] if isinstance(preds, (NDArray, numpy.ndarray)) else preds:
            self._add(_total(pred), math.prod(pred.shape))


def _total(array):
    """The sum, which may be more than float16 holds."""
    if not isinstance(array, NDArray):
        return float(numpy.asarray(array).sum(dtype="float64"))
    if array.dtype not in (numpy.float32, numpy.float64):
        array = array.astype("float32")
    return float(array.sum().asscalar())


@register
class Torch(Loss):
    """:class:`Loss` by the name 'torch', for outputs of criteria of that library."""

    def __init__(self, name="torch", output_names=None, label_names=None):
        super().__init__(name, output_names, label_names)


@register
class Caffe(Loss):
    """:class:`Loss` by the name 'caffe', for outputs of criteria of that library."""

    def __init__(self, name="caffe", output_names=None, label_names=None):
        super().__init__(name, output_names, label_names)
