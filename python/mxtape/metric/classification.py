"""Metrics of classes: how often they are right, F1, and correlations of true and predicted ones."""

import math

import numpy

from ..ndarray import NDArray
from .base import EvalMetric, alias, check_label_shapes, lists, register, values

__all__ = ["F1", "MCC", "PCC", "Accuracy", "TopKAccuracy"]


def _classes(pred, axis):
    """The class with the largest score, along an axis."""
    if not -pred.ndim <= axis < pred.ndim:
        raise ValueError(f"predictions of shape {tuple(pred.shape)} have no axis {axis} of scores")
    if isinstance(pred, NDArray):
        return pred.argmax(axis=axis).asnumpy().astype("int32")
    return numpy.asarray(pred).argmax(axis=axis).astype("int32")


@register
@alias("acc")
class Accuracy(EvalMetric):
    """The part of predictions that are right.

    Parameters
    ----------
    axis : int, default 1
        The axis of the classes, in predictions that are scores.
    name : str, default 'accuracy'
    output_names, label_names : list of str, optional

    Predictions that have the shape of the labels are classes themselves. Both are cut to whole
    numbers.

    Examples
    --------
    >>> import mxtape as mx
    >>> metric = mx.metric.Accuracy()
    >>> metric.update([mx.nd.array([0, 1, 1])], [mx.nd.array([[0.3, 0.7], [0, 1], [0.4, 0.6]])])
    >>> round(metric.get()[1], 4)
    0.6667
    """

    def __init__(self, axis=1, name="accuracy", output_names=None, label_names=None):
        super().__init__(name, output_names, label_names, axis=axis, has_global_stats=True)
        self.axis = axis

    def update(self, labels, preds):
        for label, pred in zip(*lists(labels, preds)):
            if pred.shape != label.shape:
                pred = _classes(pred, self.axis)
            pred = values(pred).astype("int32", copy=False).ravel()
            label = values(label).astype("int32", copy=False).ravel()
            check_label_shapes(label, pred)
            self._add(int(numpy.count_nonzero(pred == label)), len(pred))


@register
@alias("top_k_accuracy", "top_k_acc")
class TopKAccuracy(EvalMetric):
    """The part of examples whose true class is among the `top_k` of the highest scores.

    Parameters
    ----------
    top_k : int
        At least 2; :class:`Accuracy` is for 1. At most the number of classes.
    name : str, default 'top_k_accuracy'
        ``_`` and `top_k` are appended.
    output_names, label_names : list of str, optional

    Of equal scores, those of the lower classes count as higher. Predictions of one axis are
    classes.

    Examples
    --------
    >>> import mxtape as mx
    >>> metric = mx.metric.TopKAccuracy(top_k=2)
    >>> metric.update([mx.nd.array([0, 1])], [mx.nd.array([[0.1, 0.3, 0.6], [0.2, 0.3, 0.5]])])
    >>> metric.get()
    ('top_k_accuracy_2', 0.5)
    """

    def __init__(self, top_k=1, name="top_k_accuracy", output_names=None, label_names=None):
        if top_k <= 1:
            raise AssertionError(f"top_k is {top_k}; for one, use Accuracy")
        super().__init__(name, output_names, label_names, top_k=top_k, has_global_stats=True)
        self.top_k = top_k
        if not self.name.endswith(f"_{top_k}"):
            self.name += f"_{top_k}"

    def update(self, labels, preds):
        for label, pred in zip(*lists(labels, preds)):
            if len(pred.shape) > 2:
                raise AssertionError(f"predictions are of one or two axes; got {pred.shape}")
            label = values(label).astype("int32", copy=False).ravel()
            check_label_shapes(label, pred)
            if len(pred.shape) == 1:
                right = values(pred).astype("int32", copy=False) == label
            else:
                right = self._among_the_highest(values(pred), label)
            self._add(int(numpy.count_nonzero(right)), len(label))

    def _among_the_highest(self, scores, label):
        """For each row of scores, whether fewer than `top_k` are before that of the label.

        Counting them is many times faster than sorting the row.
        """
        classes = numpy.arange(scores.shape[1])
        if len(classes) < self.top_k:
            raise ValueError(f"the highest {self.top_k} of {len(classes)} classes")
        column = label[:, None]
        known = (label >= 0) & (label < len(classes))
        own = numpy.take_along_axis(scores, numpy.where(known, label, 0)[:, None], axis=1)
        before = numpy.count_nonzero(scores > own, axis=1)
        before += numpy.count_nonzero((scores == own) & (classes < column), axis=1)
        return known & (before < self.top_k) & (own == own)[:, 0]  # a NaN is not high


class _Counts:
    """How often each of two classes was taken for itself and for the other."""

    def __init__(self):
        self.true_positives = self.false_positives = 0
        self.true_negatives = self.false_negatives = 0

    def add(self, other):
        for name, count in vars(other).items():
            setattr(self, name, getattr(self, name) + count)

    def count(self, label, pred, who):
        """Counts one batch: `label` of classes 0 and 1, `pred` of scores."""
        label = values(label).astype("int32", copy=False).ravel()
        pred = _classes(pred, 1).ravel()
        check_label_shapes(label, pred)
        if len(numpy.unique(label)) > 2:
            raise ValueError(f"{who} is for two classes; labels are {numpy.unique(label)[:10]}")
        positive, true = pred == 1, label == 1
        self.true_positives += int(numpy.count_nonzero(positive & true))
        self.false_positives += int(numpy.count_nonzero(positive & ~true))
        self.false_negatives += int(numpy.count_nonzero(~positive & true))
        self.true_negatives += int(numpy.count_nonzero(~positive & ~true))

    @property
    def total(self):
        return sum(vars(self).values())

    def f1(self):
        """Twice the true positives over all that are, and all that are taken for, positive."""
        wrong = self.false_positives + self.false_negatives
        found = 2 * self.true_positives
        return found / (found + wrong) if found else 0.0

    def correlation(self):
        """Matthews' coefficient; a sum of 0 in its denominator counts as 1."""
        tp, fp, tn, fn = vars(self).values()
        sums = (tp + fp, tp + fn, tn + fp, tn + fn)
        return (tp * tn - fp * fn) / math.sqrt(math.prod(s or 1 for s in sums))


class _TwoClasses(EvalMetric):
    """A number made of the counts of two classes, for each update or for all of them."""

    def __init__(self, name, output_names, label_names, average):
        if average not in ("macro", "micro"):
            raise ValueError(f"average is 'macro' or 'micro'; got {average!r}")
        self.average = average
        super().__init__(name, output_names, label_names, has_global_stats=True)

    def get_config(self):
        config = super().get_config()
        return config if self.average == "macro" else {**config, "average": self.average}

    def _number(self, counts):
        raise NotImplementedError

    def update(self, labels, preds):
        counts = _Counts()
        for label, pred in zip(*lists(labels, preds)):
            counts.count(label, pred, type(self).__name__)
        if self.average == "macro":
            if counts.total:
                self._add(self._number(counts), 1)
            return
        self._counts.add(counts)
        self._global_counts.add(counts)
        self.num_inst, self.global_num_inst = self._counts.total, self._global_counts.total
        self.sum_metric = self._number(self._counts) * self.num_inst
        self.global_sum_metric = self._number(self._global_counts) * self.global_num_inst

    def reset(self):
        super().reset()
        self._counts, self._global_counts = _Counts(), _Counts()

    def reset_local(self):
        super().reset_local()
        self._counts = _Counts()


@register
class F1(_TwoClasses):
    """The F1 score of two classes: the harmonic mean of precision and recall.

    Parameters
    ----------
    name : str, default 'f1'
    output_names, label_names : list of str, optional
    average : {'macro', 'micro'}, default 'macro'
        The mean of the scores of all updates, or the score of all examples together.

    Labels are 0 and 1, and predictions are scores of shape ``(n, 2)``.

    Examples
    --------
    >>> import mxtape as mx
    >>> metric = mx.metric.F1()
    >>> metric.update([mx.nd.array([1, 1, 0])], [mx.nd.array([[0, 1], [1, 0], [0, 1]])])
    >>> metric.get()
    ('f1', 0.5)
    """

    def __init__(self, name="f1", output_names=None, label_names=None, average="macro"):
        super().__init__(name, output_names, label_names, average)

    def _number(self, counts):
        return counts.f1()


@register
class MCC(_TwoClasses):
    """Matthews' correlation coefficient of two classes, from -1 to 1; 0 is no better than a guess.

    Parameters
    ----------
    name : str, default 'mcc'
    output_names, label_names : list of str, optional
    average : {'macro', 'micro'}, default 'macro'
        The mean of the coefficients of all updates, or that of all examples together.

    Labels are 0 and 1, and predictions are scores of shape ``(n, 2)``. :class:`PCC` is for more
    classes.

    Examples
    --------
    >>> import mxtape as mx
    >>> metric = mx.metric.MCC()
    >>> metric.update([mx.nd.array([1, 1, 0])], [mx.nd.array([[0, 1], [1, 0], [1, 0]])])
    >>> metric.get()
    ('mcc', 0.5)
    """

    def __init__(self, name="mcc", output_names=None, label_names=None, average="macro"):
        super().__init__(name, output_names, label_names, average)

    def _number(self, counts):
        return counts.correlation()


@register
class PCC(EvalMetric):
    """Pearson's correlation of true and predicted classes: :class:`MCC` for any number of them.

    Parameters
    ----------
    name : str, default 'pcc'
    output_names, label_names : list of str, optional
    has_global_stats : bool, default True

    Predictions are scores of shape ``(n, classes)``, or classes in the shape of the labels. The
    metric is NaN while all labels, or all predictions, are of one class.

    Examples
    --------
    >>> import mxtape as mx
    >>> metric = mx.metric.PCC()
    >>> metric.update([mx.nd.array([0, 1, 2])], [mx.nd.array([0, 1, 2])])
    >>> metric.get()
    ('pcc', 1.0)
    """

    _matrix: numpy.ndarray
    _global_matrix: numpy.ndarray

    def __init__(self, name="pcc", output_names=None, label_names=None, has_global_stats=True):
        super().__init__(name, output_names, label_names, has_global_stats=has_global_stats)

    def update(self, labels, preds):
        for label, pred in zip(*lists(labels, preds)):
            if pred.shape != label.shape:
                pred = _classes(pred, 1)
            pred = values(pred).astype("int32", copy=False).ravel()
            label = values(label).astype("int32", copy=False).ravel()
            check_label_shapes(label, pred)
            if not len(label):
                continue
            if min(label.min(), pred.min()) < 0:
                raise ValueError("PCC: classes are not negative")
            n = int(max(label.max(), pred.max())) + 1
            counts = numpy.bincount(pred * n + label, minlength=n * n).reshape(n, n)
            self._matrix = _sum(self._matrix, counts)
            self._global_matrix = _sum(self._global_matrix, counts)
        self.num_inst += 1
        self.global_num_inst += 1

    def reset(self):
        self.global_num_inst = 0
        self._global_matrix = numpy.zeros((0, 0), "int64")
        self.reset_local()

    def reset_local(self):
        self.num_inst = 0
        self._matrix = numpy.zeros((0, 0), "int64")

    @property
    def sum_metric(self):  # type: ignore[override]
        """The correlation since :meth:`reset_local`, times the number of updates."""
        return _correlation(self._matrix) * self.num_inst

    @property
    def global_sum_metric(self):  # type: ignore[override]
        """The correlation since :meth:`reset`, times the number of updates."""
        return _correlation(self._global_matrix) * self.global_num_inst


def _sum(a, b):
    """The sum of two square matrices, the smaller one filled up with zeros."""
    size = max(len(a), len(b))
    total = numpy.zeros((size, size), a.dtype)
    total[: len(a), : len(a)] += a
    total[: len(b), : len(b)] += b
    return total


def _correlation(matrix):
    """The correlation of rows and columns in a matrix of counts."""
    matrix = matrix.astype("float64")
    n, rows, columns = matrix.sum(), matrix.sum(axis=1), matrix.sum(axis=0)
    spread = (rows * (n - rows)).sum() * (columns * (n - columns)).sum()
    if not spread:
        return float("nan")
    return float((matrix.diagonal() * n - rows * columns).sum() / math.sqrt(spread))
