"""Metrics of a training written for TensorBoard."""

import importlib

from .. import _borrowed

__all__ = ["LogMetricsCallback"]

# What writes TensorBoard's files, in the order in which they are looked for.
_WRITERS = ("mxboard", "tensorboardX", "torch.utils.tensorboard")


def _summary_writer():
    for module in _WRITERS:
        try:
            return importlib.import_module(module).SummaryWriter
        except ImportError:
            continue
    raise ImportError(f"LogMetricsCallback needs one of {', '.join(_WRITERS)}: none is installed")


class LogMetricsCallback:
    """A callback for the end of a batch or an epoch: writes the metric's values as scalars.

    Parameters
    ----------
    logging_dir : str
        Where the files go.
    prefix : str, optional
        What the scalars' names begin with, before a dash.

    Raises
    ------
    ImportError
        When no package that writes such files is installed: mxboard, tensorboardX, or PyTorch with
        tensorboard.

    A call is given an object with ``eval_metric``, whose ``get_name_value()`` gives pairs, and
    ``epoch``, the step that the values are written for.
    """

    def __init__(self, logging_dir, prefix=None):
        self.prefix = prefix
        self.summary_writer = _summary_writer()(logging_dir)

    def __call__(self, param):
        """Writes the values of `param.eval_metric`; nothing where that is None."""
        if param.eval_metric is None:
            return
        for name, value in param.eval_metric.get_name_value():
            label = name if self.prefix is None else f"{self.prefix}-{name}"
            self.summary_writer.add_scalar(label, value, global_step=param.epoch)


__getattr__ = _borrowed.borrow(__name__, "logging")
