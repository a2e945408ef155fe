"""Metrics of numbers: absolute and squared errors, and Pearson's correlation."""

import math

import numpy

from .base import EvalMetric, alias, check_label_shapes, lists, register, values

__all__ = ["MAE", "MSE", "RMSE", "PearsonCorrelation"]


def _numbers(array):
    """The values, in float32 at least."""
    array = values(array)
    return array.astype(numpy.result_type(array.dtype, "float32"), copy=False)


class _Error(EvalMetric):
    """The mean, over all updates, of a number that is made of the differences."""

    def __init__(self, name, output_names, label_names):
        super().__init__(name, output_names, label_names, has_global_stats=True)

    def _number(self, difference):
        raise NotImplementedError

    def update(self, labels, preds):
        for label, pred in zip(*lists(labels, preds)):
            label, pred = _numbers(label), _numbers(pred)
            label = label[:, None] if label.ndim == 1 else label
            pred = pred[:, None] if pred.ndim == 1 else pred
            difference = label - pred
            if difference.size:
                self._add(float(self._number(difference)), 1)


@register
class MAE(_Error):
    """The mean absolute error.

    Parameters
    ----------
    name : str, default 'mae'
    output_names, label_names : list of str, optional

    An array of one axis is a column. The mean over updates counts each of them once, whatever its
    size.

    Examples
    --------
    >>> import mxtape as mx
    >>> metric = mx.metric.MAE()
    >>> metric.update([mx.nd.array([1, 2])], [mx.nd.array([2, 4])])
    >>> metric.get()
    ('mae', 1.5)
    """

    def __init__(self, name="mae", output_names=None, label_names=None):
        super().__init__(name, output_names, label_names)

    def _number(self, difference):
        return numpy.abs(difference).mean()


@register
class MSE(_Error):
    """The mean squared error, as :class:`MAE` is the mean absolute one.

    Parameters
    ----------
    name : str, default 'mse'
    output_names, label_names : list of str, optional

    Examples
    --------
    >>> import mxtape as mx
    >>> metric = mx.metric.MSE()
    >>> metric.update([mx.nd.array([1, 2])], [mx.nd.array([2, 4])])
    >>> metric.get()
    ('mse', 2.5)
    """

    def __init__(self, name="mse", output_names=None, label_names=None):
        super().__init__(name, output_names, label_names)

    def _number(self, difference):
        return numpy.square(difference).mean()


@register
class RMSE(_Error):
    """The mean, over all updates, of the square root of the mean squared error.

    Parameters
    ----------
    name : str, default 'rmse'
    output_names, label_names : list of str, optional

    Examples
    --------
    >>> import mxtape as mx
    >>> metric = mx.metric.RMSE()
    >>> metric.update([mx.nd.array([1, 2])], [mx.nd.array([4, 5])])
    >>> metric.get()
    ('rmse', 3.0)
    """

    def __init__(self, name="rmse", output_names=None, label_names=None):
        super().__init__(name, output_names, label_names)

    def _number(self, difference):
        return math.sqrt(numpy.square(difference).mean())


class _Moments:
    """Means, and sums of squared deviations, of pairs of numbers that come in batches."""

    def __init__(self):
        self.n = 0
        self.mean = numpy.zeros(2)
        self.scatter = numpy.zeros((2, 2))

    def add(self, x, y):
        pairs = numpy.stack([x.ravel(), y.ravel()]).astype("float64")
        n = pairs.shape[1]
        if not n:
            return
        mean = pairs.mean(axis=1)
        deviation = pairs - mean[:, None]
        shift = mean - self.mean
        total = self.n + n
        self.scatter += deviation @ deviation.T + numpy.outer(shift, shift) * self.n * n / total
        self.mean += shift * n / total
        self.n = total

    def correlation(self):
        """NaN where one of them does not vary."""
        spread = self.scatter[0, 0] * self.scatter[1, 1]
        return float(self.scatter[0, 1] / math.sqrt(spread)) if spread else float("nan")


@register
@alias("pearsonr")
class PearsonCorrelation(EvalMetric):
    """Pearson's correlation of labels and predictions.

    Parameters
    ----------
    name : str, default 'pearsonr'
    output_names, label_names : list of str, optional
    average : {'macro', 'micro'}, default 'macro'
        The mean of the correlations of all updates, or the correlation of all elements together.

    Examples
    --------
    >>> import mxtape as mx
    >>> metric = mx.metric.PearsonCorrelation()
    >>> metric.update([mx.nd.array([1, 2, 3])], [mx.nd.array([2, 4, 6])])
    >>> round(metric.get()[1], 6)
    1.0
    """

    def __init__(self, name="pearsonr", output_names=None, label_names=None, average="macro"):
        if average not in ("macro", "micro"):
            raise ValueError(f"average is 'macro' or 'micro'; got {average!r}")
        self.average = average
        super().__init__(name, output_names, label_names, has_global_stats=True)

    def get_config(self):
        config = super().get_config()
        return config if self.average == "macro" else {**config, "average": self.average}

    def update(self, labels, preds):
        for label, pred in zip(*lists(labels, preds)):
            label, pred = check_label_shapes(values(label), values(pred), shape=True)
            if self.average == "micro":
                self._local.add(label, pred)
                self._all.add(label, pred)
                self._correlate()
            elif label.size:
                moments = _Moments()
                moments.add(label, pred)
                self._add(moments.correlation(), 1)

    def _correlate(self):
        self.num_inst, self.global_num_inst = self._local.n, self._all.n
        self.sum_metric = self._local.correlation() * self.num_inst
        self.global_sum_metric = self._all.correlation() * self.global_num_inst

    def reset(self):
        super().reset()
        self._local, self._all = _Moments(), _Moments()

    def reset_local(self):
        super().reset_local()
        self._local = _Moments()

    def reset_micro(self):
        """:meth:`reset_local` of average 'micro'."""
        self.reset_local()

    def update_variance(self, new_values, *aggregate):
        """Count, mean and sum of squared deviations with more numbers, after Welford.

        Parameters
        ----------
        new_values : numpy.ndarray or NDArray
            Of one axis.
        *aggregate : int, float, float
            The three without them: 0, 0, 0 at first.

        Returns
        -------
        tuple of int, float, float

        Examples
        --------
        >>> import mxtape as mx
        >>> metric = mx.metric.PearsonCorrelation(average="micro")
        >>> metric.update_variance(mx.nd.array([1, 2, 6]), 0, 0, 0)
        (3, 3.0, 14.0)
        """
        count, mean, scatter = aggregate
        for value in values(new_values).tolist():
            count += 1
            shift = value - mean
            mean += shift / count
            scatter += shift * (value - mean)
        return count, mean, scatter

    def update_cov(self, label, pred):
        """Adds products of deviations from the present means to the covariance of 'micro'.

        Parameters
        ----------
        label, pred : numpy.ndarray or NDArray
            Of one axis and equal lengths.
        """
        pair = check_label_shapes(values(label), values(pred), shape=True)
        x, y = (array.astype("float64") for array in pair)
        mean = self._local.mean
        more = float(((x - mean[0]) * (y - mean[1])).sum())
        self._local.scatter[[0, 1], [1, 0]] += more
        self._correlate()
