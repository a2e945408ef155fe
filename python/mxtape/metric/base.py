"""What metrics have in common, several as one, and metrics from functions."""

import numpy

from .. import registry
from ..ndarray import NDArray

__all__ = [
    "CompositeEvalMetric",
    "CustomMetric",
    "EvalMetric",
    "alias",
    "check_label_shapes",
    "create",
    "np",
    "register",
]


def check_label_shapes(labels, preds, wrap=False, shape=False):
    """Refuses labels and predictions that do not belong together.

    Parameters
    ----------
    labels, preds : list of NDArray, or NDArray
    wrap : bool, default False
        Put a bare array into a list, as :meth:`EvalMetric.update` needs it.
    shape : bool, default False
        Compare the shapes of two arrays, and not only how long they are.

    Returns
    -------
    tuple
        Labels and predictions.

    Raises
    ------
    ValueError
        When lengths or shapes differ.

    Examples
    --------
    >>> import mxtape as mx
    >>> labels, preds = mx.metric.check_label_shapes(mx.nd.ones(2), mx.nd.ones(2), wrap=True)
    >>> len(labels), labels[0].shape
    (1, (2,))
    """
    found = (labels.shape, preds.shape) if shape else (len(labels), len(preds))
    if found[0] != found[1]:
        what = "shapes" if shape else "numbers"
        raise ValueError(f"the {what} of labels and predictions differ: {found[0]} and {found[1]}")
    if wrap:
        labels = [labels] if _is_array(labels) else labels
        preds = [preds] if _is_array(preds) else preds
    return labels, preds


def _is_array(x):
    return isinstance(x, (NDArray, numpy.ndarray))


def lists(labels, preds):
    """Labels and predictions as lists of one length: an array by itself is a list of one."""
    labels = [labels] if _is_array(labels) else labels
    preds = [preds] if _is_array(preds) else preds
    return check_label_shapes(labels, preds)


def values(array):
    """The values of an NDArray, or of what NumPy makes an array of."""
    return array.asnumpy() if isinstance(array, NDArray) else numpy.asarray(array)


def _listed(x):
    return list(x) if isinstance(x, (list, tuple)) else [x]


class EvalMetric:
    """The base of all metrics: sums that updates add to, and what they come to.

    A metric of your own derives from it and overrides :meth:`update`, which adds to
    ``self.sum_metric`` and ``self.num_inst``; often also :meth:`reset` and :meth:`get`.

    The metrics of this module keep two pairs of sums. :meth:`reset_local` starts one pair anew, so
    that :meth:`get` tells about the time since then; :meth:`get_global` tells about all the time
    since :meth:`reset`. Where a class does not keep the second pair, both tell the same.

    Parameters
    ----------
    name : str
        What the metric is called in logs.
    output_names, label_names : list of str, optional
        The outputs and labels that :meth:`update_dict` picks, in this order; all by default.
    **kwargs
        What :meth:`get_config` gives besides.

    Examples
    --------
    >>> import mxtape as mx
    >>> class Mean(mx.metric.EvalMetric):
    ...     def update(self, labels, preds):
    ...         for pred in preds:
    ...             self.sum_metric += pred.sum().item()
    ...             self.num_inst += pred.size
    >>> mean = Mean("mean")
    >>> mean.update([], [mx.nd.array([1, 2])])
    >>> print(mean)
    EvalMetric: {'mean': 1.5}
    """

    def __init__(self, name, output_names=None, label_names=None, **kwargs):
        self.name = str(name)
        self.output_names, self.label_names = output_names, label_names
        self._has_global_stats = kwargs.pop("has_global_stats", False)
        self._kwargs = kwargs
        self.reset()

    def __str__(self):
        return f"EvalMetric: {dict(self.get_name_value())}"

    def get_config(self):
        """The arguments to make such a metric of again, as a dict: see :func:`create`."""
        return {
            **self._kwargs,
            "metric": type(self).__name__,
            "name": self.name,
            "output_names": self.output_names,
            "label_names": self.label_names,
        }

    def update_dict(self, label, pred):
        """:meth:`update` with labels and predictions by name.

        Parameters
        ----------
        label, pred : dict of str to NDArray
            ``label_names`` and ``output_names`` pick from these; None picks all.
        """
        self.update(_picked(label, self.label_names), _picked(pred, self.output_names))

    def update(self, labels, preds):
        """Adds what a batch says.

        Parameters
        ----------
        labels, preds : list of NDArray
            As many labels as predictions. The metrics of this module accept NumPy arrays too, and
            an array by itself for a list of one.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define update(labels, preds)")

    def reset(self):
        """Forgets all updates."""
        self.num_inst = self.global_num_inst = 0
        self.sum_metric = self.global_sum_metric = 0.0

    def reset_local(self):
        """Forgets all updates, except for :meth:`get_global`."""
        self.num_inst = 0
        self.sum_metric = 0.0

    def _add(self, total, count):
        """Adds to both pairs of sums."""
        self.sum_metric += total
        self.num_inst += count
        self.global_sum_metric += total
        self.global_num_inst += count

    def _result(self, total, count):
        """The number that the sums stand for; NaN before the first update."""
        return total / count if count else float("nan")

    def get(self):
        """The name and the value since the last :meth:`reset` or :meth:`reset_local`.

        Returns
        -------
        tuple of str and float
            Or of two lists, when the metric has several values. NaN before the first update.
        """
        return self.name, self._result(self.sum_metric, self.num_inst)

    def get_global(self):
        """The name and the value since the last :meth:`reset`, as :meth:`get` gives them."""
        if not self._has_global_stats:
            return self.get()
        return self.name, self._result(self.global_sum_metric, self.global_num_inst)

    def get_name_value(self):
        """What :meth:`get` gives, as a list of (name, value)."""
        names, numbers = self.get()
        return list(zip(_listed(names), _listed(numbers)))

    def get_global_name_value(self):
        """What :meth:`get_global` gives, as a list of (name, value)."""
        names, numbers = self.get_global()
        return list(zip(_listed(names), _listed(numbers)))


def _picked(arrays, names):
    return list(arrays.values()) if names is None else [arrays[name] for name in names]


register = registry.get_register_func(EvalMetric, "metric")
alias = registry.get_alias_func(EvalMetric, "metric")
_create = registry.get_create_func(EvalMetric, "metric")


def create(metric, *args, **kwargs):
    """A metric from its name, from a function, or several of them as one.

    Parameters
    ----------
    metric : str, callable, list, dict or EvalMetric
        A registered name such as ``'acc'``; a function of label and prediction, as for
        :class:`CustomMetric`; a list of any of these, for a :class:`CompositeEvalMetric`; what
        :meth:`EvalMetric.get_config` gave; or a metric, which is returned.
    *args, **kwargs
        Arguments of the metric's class.

    Examples
    --------
    >>> import mxtape as mx
    >>> mx.metric.create("top_k_accuracy", top_k=5).name
    'top_k_accuracy_5'
    >>> mx.metric.create(["acc", "ce"]).get()[0]
    ['accuracy', 'cross-entropy']
    """
    if callable(metric):
        return CustomMetric(metric, *args, **kwargs)
    if isinstance(metric, list):
        composite = CompositeEvalMetric()
        for item in metric:
            composite.add(create(item, *args, **kwargs))
        return composite
    return _create(metric, *args, **kwargs)


@register
@alias("composite")
class CompositeEvalMetric(EvalMetric):
    """Several metrics as one, each of them updated with the same labels and predictions.

    Parameters
    ----------
    metrics : list, optional
        Metrics, or what :func:`create` makes them from.
    name : str, default 'composite'
    output_names, label_names : list of str, optional
        What :meth:`update_dict` hands on to the metrics; all by default.

    Examples
    --------
    >>> import mxtape as mx
    >>> both = mx.metric.CompositeEvalMetric(["acc", "loss"])
    >>> both.update([mx.nd.array([1])], [mx.nd.array([[0.25, 0.75]])])
    >>> both.get()
    (['accuracy', 'loss'], [1.0, 0.5])
    """

    def __init__(self, metrics=None, name="composite", output_names=None, label_names=None):
        self.metrics = [create(metric) for metric in metrics or []]
        super().__init__(name, output_names, label_names, has_global_stats=True)

    def add(self, metric):
        """Adds a metric, or what :func:`create` makes one from."""
        self.metrics.append(create(metric))

    def get_metric(self, index):
        """The metric at a position; a ValueError when there is none."""
        try:
            return self.metrics[index]
        except IndexError:
            raise ValueError(
                f"metric {index} of {len(self.metrics)} was asked for; there is none"
            ) from None

    def update_dict(self, labels, preds):
        if self.label_names is not None:
            labels = {name: labels[name] for name in labels if name in self.label_names}
        if self.output_names is not None:
            preds = {name: preds[name] for name in preds if name in self.output_names}
        for metric in self.metrics:
            metric.update_dict(labels, preds)

    def update(self, labels, preds):
        for metric in self.metrics:
            metric.update(labels, preds)

    def reset(self):
        for metric in self.metrics:
            metric.reset()

    def reset_local(self):
        for metric in self.metrics:
            metric.reset_local()

    @staticmethod
    def _joined(pairs):
        names, numbers = [], []
        for name, number in pairs:
            names += _listed(name)
            numbers += _listed(number)
        return names, numbers

    def get(self):
        return self._joined(metric.get() for metric in self.metrics)

    def get_global(self):
        return self._joined(metric.get_global() for metric in self.metrics)

    def get_config(self):
        return {**super().get_config(), "metrics": [m.get_config() for m in self.metrics]}


@register
class CustomMetric(EvalMetric):
    """A metric from a function of NumPy arrays.

    Parameters
    ----------
    feval : callable
        ``feval(label, pred)`` of a pair of numpy.ndarray returns a number, whose mean over all
        pairs is the metric, or a tuple of a sum and the number of examples in it.
    name : str, optional
        The function's name by default; ``custom(<lambda>)`` for a lambda.
    allow_extra_outputs : bool, default False
        Whether there may be more predictions than labels; those at the end are left out.
    output_names, label_names : list of str, optional

    Examples
    --------
    >>> import mxtape as mx
    >>> metric = mx.metric.CustomMetric(lambda label, pred: abs(label - pred).max(), name="worst")
    >>> metric.update([mx.nd.array([1, 2])], [mx.nd.array([1, 4])])
    >>> metric.get()[1].item()
    2.0
    """

    def __init__(
        self, feval, name=None, allow_extra_outputs=False, output_names=None, label_names=None
    ):
        if name is None:
            name = getattr(feval, "__name__", type(feval).__name__)
            if "<" in name:
                name = f"custom({name})"
        super().__init__(
            name,
            output_names,
            label_names,
            feval=feval,
            allow_extra_outputs=allow_extra_outputs,
            has_global_stats=True,
        )
        self._feval = feval
        self._allow_extra_outputs = allow_extra_outputs

    def update(self, labels, preds):
        if self._allow_extra_outputs:
            labels = [labels] if _is_array(labels) else labels
            preds = [preds] if _is_array(preds) else preds
        else:
            labels, preds = lists(labels, preds)
        for label, pred in zip(labels, preds):
            result = self._feval(values(label), values(pred))
            self._add(*(result if isinstance(result, tuple) else (result, 1)))

    def get_config(self):
        raise NotImplementedError(f"{self.name}: a metric made of a function has no configuration")


def np(numpy_feval, name=None, allow_extra_outputs=False):
    """A :class:`CustomMetric` from a function of NumPy arrays, called by the function's name.

    >>> import mxtape as mx
    >>> def largest(label, pred): return pred.max()
    >>> mx.metric.np(largest).name
    'largest'
    """

    def feval(label, pred):
        return numpy_feval(label, pred)

    feval.__name__ = getattr(numpy_feval, "__name__", type(numpy_feval).__name__)
    return CustomMetric(feval, name, allow_extra_outputs)
