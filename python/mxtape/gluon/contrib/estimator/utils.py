"""Metrics of an estimator: what is given, what is known, what a loss suggests."""

from .... import metric as _metric
from ... import loss as _loss

__all__: list = []


def _check_metrics(metrics):
    """Metrics, one or several or None, as a list.

    Raises
    ------
    ValueError
        Something is not a metric.
    """
    if isinstance(metrics, _metric.CompositeEvalMetric):
        metrics = metrics.metrics
    listed = list(metrics) if isinstance(metrics, (list, tuple)) else [metrics]
    if metrics is None:
        return []
    if not all(isinstance(metric, _metric.EvalMetric) for metric in listed):
        raise ValueError(
            f"metrics must be an mx.metric.EvalMetric or a list of them, got {metrics!r}"
        )
    return listed


def _check_handler_metric_ref(handler, known_metrics):
    """Refuses an event handler with a metric that nobody updates.

    Raises
    ------
    ValueError
        An attribute of the handler is a metric that is not one of `known_metrics`, or its `metrics`
        have one.
    """
    for metric in [*vars(handler).values(), *getattr(handler, "metrics", ())]:
        if isinstance(metric, _metric.EvalMetric) and not any(
            metric is known for known in known_metrics
        ):
            raise ValueError(
                f"{type(handler).__name__} refers to {metric}, which is none of "
                "estimator.train_metrics and estimator.val_metrics; use one of those"
            )


def _suggest_metric_for_loss(loss):
    """The metric that belongs to a loss, or None."""
    if isinstance(loss, _loss.SoftmaxCrossEntropyLoss):
        return _metric.Accuracy()
    return None
