"""Estimator: trains and evaluates a network; what happens between the batches, handlers say."""

import copy
import logging
import sys
import warnings
from typing import Any

from .... import initializer as _initializer
from ....context import Context, current_context
from ....metric import Loss as metric_loss
from ... import loss as gluon_loss
from ...data import DataLoader
from ...trainer import Trainer
from .batch_processor import BatchProcessor
from .event_handler import (
    GradientUpdateHandler,
    LoggingHandler,
    MetricHandler,
    StoppingHandler,
    ValidationHandler,
    _check_event_handlers,
)
from .utils import _check_handler_metric_ref, _check_metrics, _suggest_metric_for_loss

__all__ = ["Estimator"]

_EVENTS = ("train_begin", "epoch_begin", "batch_begin", "batch_end", "epoch_end", "train_end")


class Estimator:
    """Trains a network, and evaluates it.

    Parameters
    ----------
    net : Block
    loss : gluon.loss.Loss
    train_metrics : EvalMetric or list of EvalMetric, optional
        Default: what belongs to `loss`, and the mean of the losses.
    val_metrics : EvalMetric or list of EvalMetric, optional
        Default: as `train_metrics`.
    initializer : Initializer, optional
        For parameters that are not initialized. Default: ``Uniform``.
    trainer : Trainer, optional
        Default: SGD with a learning rate of 0.001, with a warning.
    context : Context or list of Context, optional
        Where batches are computed. Default: the current context.
    val_net : Block, optional
        What is evaluated. Default: `net`.
    val_loss : gluon.loss.Loss, optional
        Default: `loss`.
    batch_processor : BatchProcessor, optional
        What is done with a batch.

    Raises
    ------
    ValueError
        An argument is not of the type that it must have.

    Examples
    --------
    >>> import mxtape as mx
    >>> from mxtape.gluon.contrib.estimator import Estimator
    >>> net = mx.gluon.nn.Dense(2)
    >>> net.initialize()
    >>> x, y = mx.nd.random.normal(shape=(8, 3)), mx.nd.array([0, 1] * 4)
    >>> batches = mx.gluon.data.DataLoader(mx.gluon.data.ArrayDataset(x, y), batch_size=4)
    >>> loss = mx.gluon.loss.SoftmaxCrossEntropyLoss()
    >>> trainer = mx.gluon.Trainer(net.collect_params(), "adam")
    >>> estimator = Estimator(net, loss, trainer=trainer)
    >>> estimator.logger.setLevel("ERROR")
    >>> estimator.fit(batches, epochs=2)
    >>> [metric.name for metric in estimator.train_metrics]
    ['training accuracy', 'training softmaxcrossentropyloss']
    """

    logger = None

    def __init__(
        self,
        net,
        loss,
        train_metrics=None,
        val_metrics=None,
        initializer=None,
        trainer=None,
        context: Any = None,
        val_net=None,
        val_loss=None,
        batch_processor=None,
    ):
        self.net, self.loss = net, self._check_loss(loss)
        self.val_net = net if val_net is None else val_net
        self.val_loss = self.loss if val_loss is None else self._check_loss(val_loss)
        self.context = self._check_context(context)
        self._train_metrics = _check_metrics(train_metrics) or self._default_metrics()
        self._val_metrics = _check_metrics(val_metrics)
        self._name_metrics()
        self.batch_processor = self._check_batch_processor(batch_processor)
        self._initialize(initializer)
        self.trainer = self._check_trainer(trainer)
        # One for each estimator, not getLogger: a level or a handler that is set concerns it only.
        self.logger = logging.Logger(type(self).__name__, logging.INFO)
        self.logger.addHandler(logging.StreamHandler(sys.stdout))

    @staticmethod
    def _check_loss(loss):
        if not isinstance(loss, gluon_loss.Loss):
            raise ValueError(f"Estimator: loss must be a gluon.loss.Loss, got {loss!r}")
        return loss

    @staticmethod
    def _check_context(context):
        if context is None:
            return [current_context()]
        listed = list(context) if isinstance(context, (list, tuple)) else [context]
        if not listed or not all(isinstance(ctx, Context) for ctx in listed):
            raise ValueError(
                f"Estimator: context must be a Context or a list of Context, got {context!r}"
            )
        return listed

    @staticmethod
    def _check_batch_processor(processor):
        if processor is None:
            return BatchProcessor()
        methods = ("fit_batch", "evaluate_batch")
        if not all(callable(getattr(processor, name, None)) for name in methods):
            raise ValueError(
                "Estimator: batch_processor must have the methods fit_batch and evaluate_batch, "
                f"got {processor!r}"
            )
        return processor

    def _is_initialized(self):
        # A parameter whose initialization waits for its shape counts as initialized.
        return all(
            param._data is not None or param._deferred_init
            for param in self.net.collect_params().values()
        )

    def _initialize(self, initializer):
        if self._is_initialized():
            if initializer is not None:
                warnings.warn(
                    "Estimator: the network is initialized, so initializer is not used; "
                    "net.initialize(init=..., force_reinit=True) initializes it again",
                    stacklevel=3,
                )
            return
        init = _initializer.Uniform() if initializer is None else initializer
        for param in self.net.collect_params().values():
            if param._data is None and not param._deferred_init:
                param.initialize(default_init=init, ctx=self.context)

    def _check_trainer(self, trainer):
        if trainer is None:
            warnings.warn(
                "Estimator: no trainer is given; SGD with a learning rate of 0.001 is used",
                stacklevel=3,
            )
            return Trainer(self.net.collect_params(), "sgd", {"learning_rate": 0.001})
        if not isinstance(trainer, Trainer):
            raise ValueError(f"Estimator: trainer must be a gluon.Trainer, got {trainer!r}")
        return trainer

    def _default_metrics(self):
        suggested = _suggest_metric_for_loss(self.loss)
        # The name of the loss, without the number that tells it from others.
        losses = metric_loss(self.loss.name.rstrip("0123456789"))
        return [losses] if suggested is None else [suggested, losses]

    def _name_metrics(self):
        """Has the names say what the metrics are of. By default the validation has the same."""
        for metric in self._train_metrics:
            if "training" not in metric.name:
                metric.name = f"training {metric.name}"
        if not self._val_metrics:
            self._val_metrics = [copy.deepcopy(metric) for metric in self._train_metrics]
            for metric in self._val_metrics:
                metric.name = metric.name.replace("training", "validation")
        for metric in self._val_metrics:
            if "validation" not in metric.name:
                metric.name = f"validation {metric.name}"

    @property
    def train_metrics(self):
        """The metrics of the training data, a list; their names begin with 'training'."""
        return self._train_metrics

    @property
    def val_metrics(self):
        """The metrics of the validation data, a list; their names begin with 'validation'."""
        return self._val_metrics

    @staticmethod
    def _check_data(data, method):
        if not isinstance(data, DataLoader):
            raise ValueError(
                f"Estimator.{method}: data must be a gluon.data.DataLoader, got a "
                f"{type(data).__name__}"
            )

    def evaluate(self, val_data, batch_axis=0, event_handlers=None):
        """Runs the validation data through the network, and updates :attr:`val_metrics`.

        Parameters
        ----------
        val_data : DataLoader
            Batches of data and labels.
        batch_axis : int, default 0
            The axis along which a batch is shared out to the contexts.
        event_handlers : EventHandler or list of EventHandler, optional
            In the place of a MetricHandler and a LoggingHandler where there is one of these.
        """
        self._check_data(val_data, "evaluate")
        handlers = self._prepare_default_validation_handlers(event_handlers)
        _, epoch_begin, batch_begin, batch_end, epoch_end, _ = self._categorize_handlers(handlers)
        self.batch_axis = batch_axis
        for handler in epoch_begin:
            handler.epoch_begin(self)
        for batch in val_data:
            for handler in batch_begin:
                handler.batch_begin(self, batch=batch)
            _, label, pred, loss = self.batch_processor.evaluate_batch(self, batch, batch_axis)
            for handler in batch_end:
                handler.batch_end(self, batch=batch, pred=pred, label=label, loss=loss)
        for handler in epoch_end:
            handler.epoch_end(self)

    def fit(
        self,
        train_data,
        val_data=None,
        epochs=None,
        event_handlers=None,
        batches=None,
        batch_axis=0,
    ):
        """Trains the network.

        Parameters
        ----------
        train_data : DataLoader
            Batches of data and labels.
        val_data : DataLoader, optional
            The network is evaluated on it after each epoch.
        epochs : int, optional
            How often the data are used. Either this or `batches` is given.
        event_handlers : EventHandler or list of EventHandler, optional
            Called besides those that stop the training, update parameters and metrics, evaluate
            and log; in the place of one of these where there is one of its class.
        batches : int, optional
            How many batches are used.
        batch_axis : int, default 0
            The axis along which a batch is shared out to the contexts.
        """
        self._check_data(train_data, "fit")
        if val_data is not None:
            self._check_data(val_data, "fit")
        if bool(epochs) == bool(batches):
            raise ValueError(
                f"Estimator.fit: give epochs or batches, and not both; got epochs={epochs}, "
                f"batches={batches}"
            )
        self.max_epoch, self.max_batch, self.batch_axis = epochs, batches, batch_axis
        handlers = self._prepare_default_handlers(val_data, event_handlers)
        train_begin, epoch_begin, _, _, epoch_end, train_end = by_event = self._categorize_handlers(
            handlers
        )
        for handler in train_begin:
            handler.train_begin(self)
        stopped = False
        while not stopped:
            for handler in epoch_begin:
                handler.epoch_begin(self)
            self._fit_epoch(train_data, by_event, batch_axis)
            # All of them see the end of the epoch, whoever ends the training.
            answers = [handler.epoch_end(self) for handler in epoch_end]
            stopped = any(answers)
        for handler in train_end:
            handler.train_end(self)

    def _fit_epoch(self, train_data, by_event, batch_axis):
        _, _, batch_begin, batch_end, _, _ = by_event
        for batch in train_data:
            for handler in batch_begin:
                handler.batch_begin(self, batch=batch)
            _, label, pred, loss = self.batch_processor.fit_batch(self, batch, batch_axis)
            results = {"batch": batch, "pred": pred, "label": label, "loss": loss}
            answers = [handler.batch_end(self, **results) for handler in batch_end]
            if any(answers):
                return

    def _prepare_default_handlers(self, val_data, event_handlers):
        given = _check_event_handlers(event_handlers)
        # Those that are given may change how long the training is: the stopping handler follows.
        handlers = [*given, StoppingHandler(self.max_epoch, self.max_batch)]

        def lacks(kind):
            return not any(isinstance(handler, kind) for handler in given)

        if lacks(GradientUpdateHandler):
            handlers.append(GradientUpdateHandler())
        if lacks(MetricHandler):
            handlers.append(MetricHandler(self.train_metrics))
        if lacks(ValidationHandler) and val_data is not None:
            handlers.append(ValidationHandler(val_data=val_data, eval_fn=self.evaluate))
        if lacks(LoggingHandler):
            handlers.append(LoggingHandler(metrics=self.train_metrics))
        self._check_metrics_of(handlers, self.train_metrics + self.val_metrics)
        return self._by_priority(handlers)

    def _prepare_default_validation_handlers(self, event_handlers):
        handlers = list(_check_event_handlers(event_handlers))
        if not any(isinstance(handler, MetricHandler) for handler in handlers):
            handlers.append(MetricHandler(self.val_metrics))
        if not any(isinstance(handler, LoggingHandler) for handler in handlers):
            handlers.append(LoggingHandler(metrics=self.val_metrics))
        self._check_metrics_of(handlers, self.val_metrics)
        return self._by_priority(handlers)

    @staticmethod
    def _check_metrics_of(handlers, known):
        for handler in handlers:
            _check_handler_metric_ref(handler, known)

    @staticmethod
    def _by_priority(handlers):
        return sorted(handlers, key=lambda handler: getattr(handler, "priority", 0))

    @staticmethod
    def _categorize_handlers(event_handlers):
        """Of each event, the handlers that have its method, in their order."""
        return tuple(
            [handler for handler in event_handlers if hasattr(handler, event)] for event in _EVENTS
        )
