"""What happens at the events of a training: updates, metrics, validation, logs, checkpoints."""

import os
import time
import warnings
from typing import Any

import numpy as np

from .... import metric
from ....metric import EvalMetric
from .utils import _check_metrics

__all__ = [
    "BatchBegin",
    "BatchEnd",
    "CheckpointHandler",
    "EarlyStoppingHandler",
    "EpochBegin",
    "EpochEnd",
    "GradientUpdateHandler",
    "LoggingHandler",
    "MetricHandler",
    "StoppingHandler",
    "TrainBegin",
    "TrainEnd",
    "ValidationHandler",
]


class EventHandler:
    """The base of all handlers.

    Handlers of one event are called in the order of their `priority`, 0 for those that have none.
    """


def _check_event_handlers(handlers):
    """One handler, several or None, as a list."""
    if handlers is None:
        return []
    listed = [handlers] if isinstance(handlers, EventHandler) else list(handlers)
    if not all(isinstance(handler, EventHandler) for handler in listed):
        raise ValueError(f"event handlers must be EventHandler objects, got {handlers!r}")
    return listed


class TrainBegin(EventHandler):
    """Is called before the first epoch."""

    def train_begin(self, estimator, *args, **kwargs):
        """Does nothing; a subclass overrides it."""


class TrainEnd(EventHandler):
    """Is called after the last epoch."""

    def train_end(self, estimator, *args, **kwargs):
        """Does nothing; a subclass overrides it."""


class EpochBegin(EventHandler):
    """Is called before each epoch."""

    def epoch_begin(self, estimator, *args, **kwargs):
        """Does nothing; a subclass overrides it."""


class EpochEnd(EventHandler):
    """Is called after each epoch. What returns True ends the training."""

    def epoch_end(self, estimator, *args, **kwargs):
        """Returns False; a subclass overrides it."""
        return False


class BatchBegin(EventHandler):
    """Is called before each batch, with it as `batch`."""

    def batch_begin(self, estimator, *args, **kwargs):
        """Does nothing; a subclass overrides it."""


class BatchEnd(EventHandler):
    """Is called after each batch, with `batch`, `pred`, `label`, `loss`: lists of arrays.

    What returns True ends the epoch.
    """

    def batch_end(self, estimator, *args, **kwargs):
        """Returns False; a subclass overrides it."""
        return False


class StoppingHandler(TrainBegin, BatchEnd, EpochEnd):
    """Ends the training after the number of epochs or batches that ``fit`` is given.

    Parameters
    ----------
    max_epoch, max_batch : int, optional
        Replaced by ``fit``'s when the training begins.
    """

    def __init__(self, max_epoch=None, max_batch=None):
        self.max_epoch, self.max_batch = max_epoch, max_batch
        self._start()

    def _start(self):
        self.current_epoch = self.current_batch = 0
        self.stop_training = False

    def train_begin(self, estimator, *args, **kwargs):
        self.max_epoch, self.max_batch = estimator.max_epoch, estimator.max_batch
        self._start()

    def batch_end(self, estimator, *args, **kwargs):
        self.current_batch += 1
        self.stop_training = self.stop_training or self.current_batch == self.max_batch
        return self.stop_training

    def epoch_end(self, estimator, *args, **kwargs):
        self.current_epoch += 1
        self.stop_training = self.stop_training or self.current_epoch == self.max_epoch
        return self.stop_training


class MetricHandler(EpochBegin, BatchEnd):
    """Updates metrics after each batch, and has them begin anew with each epoch.

    Parameters
    ----------
    metrics : EvalMetric or list of EvalMetric
        A ``mx.metric.Loss`` is given the losses, others labels and predictions.
    priority : scalar, default -1000
        So that it is called before handlers that read the metrics.
    """

    def __init__(self, metrics, priority=-1000):
        self.metrics, self.priority = _check_metrics(metrics), priority

    def epoch_begin(self, estimator, *args, **kwargs):
        for each in self.metrics:
            each.reset()

    def batch_end(self, estimator, *args, **kwargs):
        pred, label, loss = (kwargs[name] for name in ("pred", "label", "loss"))
        for each in self.metrics:
            if isinstance(each, metric.Loss):
                each.update(0, loss)
            else:
                each.update(label, pred)


class _Periodic(TrainBegin, BatchEnd, EpochEnd):
    """Counts batches and epochs, and acts after each so many of them."""

    # Numbers, or None.
    epoch_period: Any
    batch_period: Any

    def train_begin(self, estimator, *args, **kwargs):
        self.current_batch = self.current_epoch = 0

    def _due(self, count, period):
        return period is not None and count % period == 0

    def _act(self, estimator):
        raise NotImplementedError

    def batch_end(self, estimator, *args, **kwargs):
        self.current_batch += 1
        if self._due(self.current_batch, self.batch_period):
            self._act(estimator)

    def epoch_end(self, estimator, *args, **kwargs):
        self.current_epoch += 1
        if self._due(self.current_epoch, self.epoch_period):
            self._act(estimator)


class ValidationHandler(_Periodic):
    """Evaluates on validation data after each so many epochs or batches.

    Parameters
    ----------
    val_data : DataLoader
    eval_fn : callable
        Called with `val_data`, the ``batch_axis`` of ``fit`` and `event_handlers`:
        ``estimator.evaluate``.
    epoch_period : int or None, default 1
    batch_period : int or None, default None
    priority : scalar, default -1000
    event_handlers : list of EventHandler, optional
        Of the evaluation.
    """

    def __init__(
        self,
        val_data,
        eval_fn,
        epoch_period: Any = 1,
        batch_period=None,
        priority=-1000,
        event_handlers=None,
    ):
        self.val_data, self.eval_fn = val_data, eval_fn
        self.epoch_period, self.batch_period = epoch_period, batch_period
        self.current_batch = self.current_epoch = 0
        self.priority, self.event_handlers = priority, event_handlers

    def _act(self, estimator):
        self.eval_fn(
            val_data=self.val_data,
            batch_axis=estimator.batch_axis,
            event_handlers=self.event_handlers,
        )


class GradientUpdateHandler(BatchEnd):
    """Updates the parameters after each batch, by ``trainer.step`` with the size of the batch.

    Parameters
    ----------
    priority : scalar, default -2000
        So that it is called before all other handlers.
    """

    def __init__(self, priority=-2000):
        self.priority = priority

    def batch_end(self, estimator, *args, **kwargs):
        loss = kwargs["loss"]
        losses = loss if isinstance(loss, (list, tuple)) else [loss]
        estimator.trainer.step(sum(len(part) for part in losses))


def _values(metrics):
    return ", ".join(f"{name}: {value:.4f}" for name, value in (m.get() for m in metrics))


class LoggingHandler(TrainBegin, TrainEnd, EpochBegin, EpochEnd, BatchBegin, BatchEnd):
    """Writes times and the values of metrics to ``estimator.logger``.

    Parameters
    ----------
    log_interval : int or str, default 'epoch'
        'epoch': after each epoch; a number: also after each so many batches.
    metrics : EvalMetric or list of EvalMetric, optional
        Some of ``estimator.train_metrics`` and ``estimator.val_metrics``.
    priority : scalar, default infinity
        So that it is called after all other handlers.
    """

    def __init__(self, log_interval="epoch", metrics=None, priority=np.inf):
        if log_interval != "epoch" and not isinstance(log_interval, int):
            raise ValueError(
                f"log_interval must be a number of batches or 'epoch', got {log_interval!r}"
            )
        self.metrics = _check_metrics(metrics)
        self.batch_index = self.current_epoch = self.processed_samples = 0
        self.priority, self.log_interval = priority, log_interval
        self.log_interval_time = 0.0

    def train_begin(self, estimator, *args, **kwargs):
        self.train_start = time.time()
        optimizer = estimator.trainer.optimizer
        rate = estimator.trainer.learning_rate
        estimator.logger.info(
            "Training begin: using optimizer %s with current learning rate %.4f ",
            type(optimizer).__name__,
            rate,
        )
        if estimator.max_epoch:
            estimator.logger.info("Train for %d epochs.", estimator.max_epoch)
        else:
            estimator.logger.info("Train for %d batches.", estimator.max_batch)
        self.current_epoch = self.batch_index = self.processed_samples = 0
        self.log_interval_time = 0.0

    def train_end(self, estimator, *args, **kwargs):
        seconds = time.time() - self.train_start
        text = f"Train finished using total {int(seconds)}s with {self.current_epoch} epochs."
        estimator.logger.info(" ".join([text, *filter(None, [_values(self.metrics)])]))

    def batch_begin(self, estimator, *args, **kwargs):
        self.batch_start = time.time()

    def batch_end(self, estimator, *args, **kwargs):
        if isinstance(self.log_interval, int):
            self.log_interval_time += time.time() - self.batch_start
            self.processed_samples += kwargs["batch"][0].shape[estimator.batch_axis]
            if self.batch_index % self.log_interval == 0:
                where = f"[Epoch {self.current_epoch}][Batch {self.batch_index}]"
                text = (
                    f"{where}[Samples {self.processed_samples}] "
                    f"time/interval: {self.log_interval_time:.3f}s"
                )
                self.log_interval_time = 0.0
                estimator.logger.info(" ".join([text, *filter(None, [_values(self.metrics)])]))
        self.batch_index += 1

    def epoch_begin(self, estimator, *args, **kwargs):
        self.epoch_start = time.time()
        if any("training" in each.name for each in self.metrics):
            rate = estimator.trainer.learning_rate
            estimator.logger.info(
                "[Epoch %d] Begin, current learning rate: %.4f", self.current_epoch, rate
            )
        else:
            estimator.logger.info("Validation Begin")

    def epoch_end(self, estimator, *args, **kwargs):
        seconds = time.time() - self.epoch_start
        text = f"[Epoch {self.current_epoch}] Finished in {seconds:.3f}s"
        estimator.logger.info(", ".join([text, *filter(None, [_values(self.metrics)])]))
        self.batch_index = 0
        self.current_epoch += 1


# Metrics whose smaller values are better.
_ERRORS = (
    metric.Loss,
    metric.MAE,
    metric.MSE,
    metric.RMSE,
    metric.CrossEntropy,
    metric.NegativeLogLikelihood,
    metric.Perplexity,
)


def _comparison(mode, monitor, what):
    """``np.less`` or ``np.greater``: whether a new value of the monitor is better than another."""
    if mode not in ("auto", "min", "max"):
        warnings.warn(
            f"{what}: mode {mode!r} is none of 'auto', 'min', 'max'; 'auto' is used",
            RuntimeWarning,
            stacklevel=3,
        )
        mode = "auto"
    if mode == "min":
        return np.less
    if mode == "max":
        return np.greater
    greater = not isinstance(monitor, _ERRORS)
    name = "greater" if greater else "less"
    warnings.warn(
        f"{what}: a value of {monitor.get()[0]} counts as better when it is {name}; mode='min' or "
        "'max' says so without a warning",
        stacklevel=3,
    )
    return np.greater if greater else np.less


def _worst(comparison):
    return np.inf if comparison is np.less else -np.inf


class CheckpointHandler(_Periodic):
    """Saves the network and the trainer's states after each so many epochs or batches.

    The files are ``<prefix>-epoch<E>batch<B>.params`` and ``.states``; of a hybridized network also
    ``<prefix>-symbol.json``. With `save_best`, the best ones are ``<prefix>-best.params`` and
    ``.states`` besides.

    Parameters
    ----------
    model_dir : str
        The folder; it is made if it does not exist.
    model_prefix : str, default 'model'
    monitor : EvalMetric, optional
        The metric that says which state is best: one of the estimator's.
    verbose : int, default 0
        Above 0, what is saved is logged.
    save_best : bool, default False
    mode : {'auto', 'min', 'max'}, default 'auto'
        Whether smaller or greater values of `monitor` are better. 'auto': smaller for losses and
        errors, greater for others; a warning says which.
    epoch_period : int or None, default 1
    batch_period : int or None, default None
    max_checkpoints : int, default 5
        The number of checkpoints that are kept; older ones are deleted.
    resume_from_checkpoint : bool, default False
        Whether the training goes on from the last checkpoint in the folder.
    """

    def __init__(
        self,
        model_dir,
        model_prefix="model",
        monitor=None,
        verbose=0,
        save_best=False,
        mode="auto",
        epoch_period=1,
        batch_period=None,
        max_checkpoints=5,
        resume_from_checkpoint=False,
    ):
        self.monitor, self.verbose = monitor, verbose
        self.model_dir, self.model_prefix = model_dir, model_prefix
        os.makedirs(model_dir, exist_ok=True)
        self.save_best, self.max_checkpoints = save_best, max_checkpoints
        self.epoch_period, self.batch_period = epoch_period, batch_period
        self.current_batch = self.current_epoch = 0
        self.resume_from_checkpoint = resume_from_checkpoint
        self.saved_checkpoints = []
        if save_best:
            if not isinstance(monitor, EvalMetric):
                raise ValueError(
                    "CheckpointHandler: save_best needs a monitor, one of estimator.train_metrics "
                    f"and estimator.val_metrics; got {monitor!r}"
                )
            self.monitor_op = _comparison(mode, monitor, "CheckpointHandler")
            self.best = _worst(self.monitor_op)

    def train_begin(self, estimator, *args, **kwargs):
        self.trained_epoch = self.trained_batch = -1
        self._batches_before = 0
        super().train_begin(estimator, *args, **kwargs)
        if self.save_best:
            self.best = _worst(self.monitor_op)
        if self.resume_from_checkpoint:
            self._check_one_period(estimator)
            self._resume_from_checkpoint(estimator)

    def _check_one_period(self, estimator):
        unfit = self.batch_period if estimator.max_epoch else self.epoch_period
        if unfit:
            kind, other = ("epoch", "batch") if estimator.max_epoch else ("batch", "epoch")
            raise AssertionError(
                f"CheckpointHandler: to resume a training for a number of {kind}s, {other}_period "
                "must be None"
            )

    # Checkpoints are numbered before the batch or epoch is counted.
    def batch_end(self, estimator, *args, **kwargs):
        if self._due(self.current_batch + 1, self.batch_period):
            self._save_checkpoint(estimator)
        self.current_batch += 1

    def epoch_end(self, estimator, *args, **kwargs):
        if self._due(self.current_epoch + 1, self.epoch_period):
            self._save_checkpoint(estimator)
        self.current_epoch += 1

    def _save_checkpoint(self, estimator):
        epoch = self.current_epoch + self.trained_epoch + 1
        batch = self.current_batch + self._batches_before
        prefix = f"{self.model_prefix}-epoch{epoch}batch{batch}"
        if not self.saved_checkpoints:
            self._save_symbol(estimator)
        self._save_params_and_trainer(estimator, prefix)
        self._log(estimator, f"saved {prefix} in {self.model_dir}")
        self.saved_checkpoints.append(prefix)
        while len(self.saved_checkpoints) > self.max_checkpoints:
            self._delete(self.saved_checkpoints.pop(0))
        if self.save_best:
            self._save_if_best(estimator)

    def _save_if_best(self, estimator):
        name, value = self.monitor.get()
        if not self.monitor_op(value, self.best):
            self._log(estimator, f"{name} is {value:.5f}, not better than {self.best:.5f}")
            return
        prefix = f"{self.model_prefix}-best"
        self._save_params_and_trainer(estimator, prefix)
        self._log(
            estimator,
            f"{name} improved from {self.best:.5f} to {value:.5f}, saved {prefix} in "
            f"{self.model_dir}",
        )
        self.best = value

    def _log(self, estimator, text):
        if self.verbose > 0:
            estimator.logger.info("[Epoch %d] CheckpointHandler: %s", self.current_epoch, text)

    def _path(self, name):
        return os.path.join(self.model_dir, name)

    def _delete(self, prefix):
        for suffix in (".params", ".states"):
            path = self._path(prefix + suffix)
            if os.path.exists(path):
                os.remove(path)

    def _save_symbol(self, estimator):
        graph = getattr(estimator.net, "_cached_graph", None)
        path = self._path(f"{self.model_prefix}-symbol.json")
        if graph:
            graph[1].save(path)
        else:
            estimator.logger.info(
                "CheckpointHandler: there is no %s, as the network is not a HybridBlock that was "
                "hybridized",
                path,
            )

    def _save_params_and_trainer(self, estimator, file_prefix):
        estimator.net.save_parameters(self._path(f"{file_prefix}.params"))
        estimator.trainer.save_states(self._path(f"{file_prefix}.states"))

    def _find_checkpoints(self):
        """(epoch, batch, prefix) of each checkpoint in the folder, the oldest first."""
        begin, found = f"{self.model_prefix}-epoch", []
        for name in os.listdir(self.model_dir):
            stem, suffix = os.path.splitext(name)
            epoch, _, batch = stem[len(begin) :].partition("batch")
            if stem.startswith(begin) and suffix == ".params" and (epoch + batch).isdigit():
                found.append((int(epoch), int(batch), stem))
        return sorted(found)

    def _resume_from_checkpoint(self, estimator):
        found = self._find_checkpoints()
        if not found:
            estimator.logger.info(
                "CheckpointHandler: no checkpoint %s-epoch... in %s, training begins anew",
                self.model_prefix,
                self.model_dir,
            )
            return
        self.trained_epoch, self.trained_batch, prefix = found[-1]
        if estimator.max_epoch:
            kind, done, wanted = "epoch", self.trained_epoch, estimator.max_epoch - 1
        else:
            kind, done, wanted = "batch", self.trained_batch, estimator.max_batch - 1
        if done >= wanted:
            raise ValueError(
                f"CheckpointHandler: the checkpoint {prefix} already has all the {kind}s; give "
                "resume_from_checkpoint=False to train anew"
            )
        # After an epoch a checkpoint has the number of the batches, else that of the last one.
        if estimator.max_epoch:
            estimator.max_epoch -= self.trained_epoch + 1
            self._batches_before = self.trained_batch
        else:
            estimator.max_batch -= self.trained_batch + 1
            self._batches_before = self.trained_batch + 1
        estimator.net.load_parameters(self._path(f"{prefix}.params"), ctx=estimator.context)
        states = self._path(f"{prefix}.states")
        if os.path.exists(states):
            estimator.trainer.load_states(states)
        estimator.logger.warning(
            "CheckpointHandler: resumed from epoch %d batch %d, continue to train for %d %ss ",
            self.trained_epoch,
            self.trained_batch,
            wanted - done,
            kind,
        )


class EarlyStoppingHandler(TrainBegin, EpochEnd, TrainEnd):
    """Ends the training when a metric stops to improve.

    Parameters
    ----------
    monitor : EvalMetric
        One of ``estimator.train_metrics`` and ``estimator.val_metrics``.
    min_delta : float, default 0
        By how much a value must be better to count as better.
    patience : int, default 0
        How many epochs without a better value are waited for.
    mode : {'auto', 'min', 'max'}, default 'auto'
        Whether smaller or greater values are better. 'auto': smaller for losses and errors, greater
        for others; a warning says which.
    baseline : float, optional
        A value that must be improved upon.
    """

    def __init__(self, monitor, min_delta=0, patience=0, mode="auto", baseline=None):
        if not isinstance(monitor, EvalMetric):
            raise ValueError(
                "EarlyStoppingHandler: monitor must be one of estimator.train_metrics and "
                f"estimator.val_metrics, got {monitor!r}"
            )
        self.monitor, self.baseline, self.patience = monitor, baseline, patience
        self.monitor_op = _comparison(mode, monitor, "EarlyStoppingHandler")
        self.min_delta = min_delta if self.monitor_op is np.greater else -min_delta
        self._start()

    def _start(self):
        self.wait = self.stopped_epoch = self.current_epoch = 0
        self.stop_training = False

    def train_begin(self, estimator, *args, **kwargs):
        self._start()
        self.best = _worst(self.monitor_op) if self.baseline is None else self.baseline

    def epoch_end(self, estimator, *args, **kwargs):
        name, value = self.monitor.get()
        if np.isnan(value):
            warnings.warn(f"EarlyStoppingHandler: {name} has no value yet", stacklevel=2)
        elif self.monitor_op(value - self.min_delta, self.best):
            self.best, self.wait = value, 0
        else:
            self.wait += 1
            if self.wait >= self.patience:
                self.stopped_epoch, self.stop_training = self.current_epoch, True
        self.current_epoch += 1
        return self.stop_training

    def train_end(self, estimator, *args, **kwargs):
        if self.stop_training:
            estimator.logger.info(
                "[Epoch %d] EarlyStoppingHandler: stopped, as %s does not improve",
                self.stopped_epoch,
                self.monitor.get()[0],
            )
