"""What is called after batches and epochs: speed, progress, checkpoints, metrics.

A batch callback is called with a ``BatchEndParam`` (``epoch``, ``nbatch``, ``eval_metric``,
``locals``), an epoch callback with ``(epoch, symbol, arg_params, aux_params)``.
"""

import logging
import math
import time

from . import _borrowed

__all__ = [
    "LogValidationMetricsCallback",
    "ProgressBar",
    "Speedometer",
    "do_checkpoint",
    "log_train_metric",
    "logging",
    "math",
    "module_checkpoint",
    "time",
]


def module_checkpoint(mod, prefix, period=1, save_optimizer_states=False):
    """An epoch callback that saves a module every ``period`` epochs.

    Parameters
    ----------
    mod : Module
        The module.
    prefix : str
        What the files' names begin with.
    period : int, default 1
        How many epochs lie between two checkpoints.
    save_optimizer_states : bool, default False
        Whether to save what training needs to go on.
    """
    period = int(max(1, period))

    def callback(iter_no, sym=None, arg=None, aux=None):
        if (iter_no + 1) % period == 0:
            mod.save_checkpoint(prefix, iter_no + 1, save_optimizer_states)

    return callback


def do_checkpoint(prefix, period=1):
    """An epoch callback that saves network and parameters every ``period`` epochs.

    Parameters
    ----------
    prefix : str
        What the files' names begin with. The first epoch gives ``prefix-0001.params``.
    period : int, default 1
        How many epochs lie between two checkpoints.
    """
    period = int(max(1, period))

    def callback(iter_no, sym, arg, aux):
        from .model import save_checkpoint

        if (iter_no + 1) % period == 0:
            save_checkpoint(prefix, iter_no + 1, sym, arg, aux)

    return callback


def log_train_metric(period, auto_reset=False):
    """A batch callback that logs the metric every ``period`` batches.

    Parameters
    ----------
    period : int
        How many batches lie between two lines.
    auto_reset : bool, default False
        Whether the metric starts anew after each line.
    """

    def callback(param):
        if param.nbatch % period == 0 and param.eval_metric is not None:
            for name, value in param.eval_metric.get_name_value():
                logging.info(
                    "Iter[%d] Batch[%d] Train-%s=%f", param.epoch, param.nbatch, name, value
                )
            if auto_reset:
                param.eval_metric.reset_local()

    return callback


class Speedometer:
    """A batch callback that logs the speed, and the metric, every ``frequent`` batches.

    Parameters
    ----------
    batch_size : int
        The number of samples in a batch.
    frequent : int, default 50
        How many batches lie between two lines.
    auto_reset : bool, default True
        Whether the metric starts anew after each line, so that a line is about its batches only.

    Examples
    --------
    >>> import mxtape as mx
    >>> speed = mx.callback.Speedometer(batch_size=32, frequent=100)
    """

    def __init__(self, batch_size, frequent=50, auto_reset=True):
        self.batch_size, self.frequent, self.auto_reset = batch_size, frequent, auto_reset
        self.last_count, self.tic = 0, 0.0
        self.init = False

    def __call__(self, param):
        count = param.nbatch
        # A smaller number than before: an epoch has begun.
        goes_on = self.init and count >= self.last_count
        self.last_count, self.init = count, True
        if not goes_on:
            self.tic = time.time()
            return
        if count % self.frequent:
            return
        passed = time.time() - self.tic
        speed = self.frequent * self.batch_size / passed if passed > 0 else math.inf
        if param.eval_metric is None:
            logging.info("Iter[%d] Batch [%d]\tSpeed: %.2f samples/sec", param.epoch, count, speed)
        else:
            name_value = param.eval_metric.get_name_value()
            first = count - self.frequent if self.auto_reset else 0
            if self.auto_reset:
                param.eval_metric.reset_local()
            text = "Epoch[%d] Batch [%d-%d]\tSpeed: %.2f samples/sec" + "\t%s=%f" * len(name_value)
            values = [part for pair in name_value for part in pair]
            logging.info(text, param.epoch, first, count, speed, *values)
        self.tic = time.time()


class ProgressBar:
    """A batch callback that logs a bar: how far the epoch is.

    Parameters
    ----------
    total : int
        The number of batches in an epoch.
    length : int, default 80
        The bar's number of characters.
    """

    def __init__(self, total, length=80):
        self.total, self.bar_len = total, length

    def __call__(self, param):
        share = param.nbatch / self.total
        filled = round(self.bar_len * share)
        bar = "=" * filled + "-" * (self.bar_len - filled)
        logging.info("[%s] %s%s\r", bar, math.ceil(100.0 * share), "%")


class LogValidationMetricsCallback:
    """A callback for the end of an evaluation: logs the metric."""

    def __call__(self, param):
        if param.eval_metric is not None:
            for name, value in param.eval_metric.get_name_value():
                logging.info("Epoch[%d] Validation-%s=%f", param.epoch, name, value)


__getattr__ = _borrowed.borrow(__name__, parts={".model": "save_checkpoint"})
