"""Modules that are written in Python, without a symbol."""

import logging
from typing import Any

from .. import ndarray as nd
from ._checks import require
from .base_module import _UNIFORM, BaseModule

__all__ = ["PythonLossModule", "PythonModule"]


class PythonModule(BaseModule):
    """A module without parameters, written in Python.

    A class of its own has ``_compute_output_shapes``, ``forward`` and ``get_outputs``, and to be
    trained through ``backward`` and ``get_input_grads``.

    Parameters
    ----------
    data_names, label_names, output_names : list of str
        The names of data, labels and outputs; ``label_names`` may be None.
    logger : logging.Logger, default logging
        Where :meth:`fit` writes.
    """

    def __init__(self, data_names, label_names, output_names, logger=logging):
        super().__init__(logger=logger)
        names = data_names, label_names, output_names
        self._data_names, self._label_names, self._output_names = (
            list(some) if isinstance(some, tuple) else some for some in names
        )
        self._data_shapes: Any = None
        self._label_shapes: Any = None
        self._output_shapes: Any = None

    @property
    def data_names(self):
        """The names of the data."""
        return self._data_names

    @property
    def output_names(self):
        """The names of the outputs."""
        return self._output_names

    @property
    def data_shapes(self):
        """The data's names and shapes."""
        return self._data_shapes

    @property
    def label_shapes(self):
        """The labels' names and shapes."""
        return self._label_shapes

    @property
    def output_shapes(self):
        """The outputs' names and shapes."""
        return self._output_shapes

    def get_params(self):
        """No parameters: two empty dictionaries."""
        return {}, {}

    def init_params(
        self,
        initializer=_UNIFORM,
        arg_params=None,
        aux_params=None,
        allow_missing=False,
        force_init=False,
        allow_extra=False,
    ):
        """Does nothing: there are no parameters."""
        self.params_initialized = True

    def update(self):
        """Does nothing: there are no parameters."""

    def update_metric(self, eval_metric, labels, pre_sliced=False):
        """Updates a metric with the outputs; does nothing for a module without labels."""
        if self._label_shapes is None:
            return
        require(not pre_sliced, "PythonModule does not support pre_sliced labels")
        eval_metric.update(labels, self.get_outputs())

    def bind(
        self,
        data_shapes,
        label_shapes=None,
        for_training=True,
        inputs_need_grad=False,
        force_rebind=False,
        shared_module=None,
        grad_req="write",
    ):
        """Takes the shapes: see ``BaseModule.bind``. ``grad_req`` must be ``'write'``."""
        if self.binded and not force_rebind:
            self.logger.warning("Already bound, ignoring bind()")
            return
        require(grad_req == "write", "bind: grad_req must be 'write'")
        for what, names, shapes in (
            ("data", self._data_names, data_shapes),
            ("label", self._label_names, label_shapes),
        ):
            if shapes is None:
                continue
            given = [shape[0] for shape in shapes]
            require(
                given == (names or []),
                f"bind() got {what}_shapes for {given}, but the {what}_names are {names}",
            )
        self.for_training = for_training
        self.inputs_need_grad = inputs_need_grad
        self._data_shapes = data_shapes
        self._label_shapes = label_shapes
        self._output_shapes = self._compute_output_shapes()
        self.binded = True

    def _compute_output_shapes(self):
        """The outputs' names and shapes, from ``_data_shapes`` and ``_label_shapes``."""
        raise NotImplementedError

    def init_optimizer(
        self,
        kvstore="local",
        optimizer="sgd",
        optimizer_params=(("learning_rate", 0.01),),
        force_init=False,
    ):
        """Does nothing: there are no parameters."""
        self.optimizer_initialized = True


class PythonLossModule(PythonModule):
    """A loss in Python: hands on the scores that it is given, and computes their gradient.

    Parameters
    ----------
    name : str, default 'pyloss'
        The name; the output is ``name_output``.
    data_names : list of str, default ('data',)
        The name of the scores: only one.
    label_names : list of str, default ('softmax_label',)
        The name of the labels: only one.
    logger : logging.Logger, default logging
        Where :meth:`fit` writes.
    grad_func : callable, optional
        Gives the gradient of the scores, as an NDArray or numpy.ndarray, for scores and labels.
        Otherwise a class of its own has ``_backward_impl``.

    Examples
    --------
    >>> import mxtape as mx
    >>> loss = mx.mod.PythonLossModule(grad_func=lambda scores, labels: scores - labels)
    >>> loss.bind([("data", (2,))], [("softmax_label", (2,))])
    >>> batch = mx.io.DataBatch([mx.nd.array([1.0, 3.0])], [mx.nd.array([0.0, 2.5])])
    >>> loss.forward(batch, is_train=True)
    >>> loss.backward()
    >>> loss.get_input_grads()[0].asnumpy().tolist()
    [1.0, 0.5]
    """

    def __init__(
        self,
        name="pyloss",
        data_names=("data",),
        label_names=("softmax_label",),
        logger=logging,
        grad_func=None,
    ):
        super().__init__(data_names, label_names, [f"{name}_output"], logger=logger)
        require(len(self._data_names) == 1, f"PythonLossModule has one data, not {data_names}")
        require(len(self._label_names) == 1, f"PythonLossModule has one label, not {label_names}")
        require(
            grad_func is None or callable(grad_func),
            f"grad_func must be callable, not {type(grad_func).__name__}",
        )
        self._name = name
        self._scores = None
        self._labels = None
        self._scores_grad = None
        self._grad_func = grad_func

    def _compute_output_shapes(self):
        return [(f"{self._name}_output", self._data_shapes[0][1])]

    def forward(self, data_batch, is_train=None):
        """Takes the scores, and in training the labels."""
        self._scores = data_batch.data[0]
        if is_train or (is_train is None and self.for_training):
            self._labels = data_batch.label[0]

    def get_outputs(self, merge_multi_context=True):
        """The scores; ``merge_multi_context`` must be True."""
        require(merge_multi_context, "PythonLossModule needs merge_multi_context=True")
        return [self._scores]

    def backward(self, out_grads=None):
        """Computes the gradient of the scores; ``out_grads`` must be None."""
        require(
            out_grads is None,
            "backward: a loss has no gradient from outside: out_grads must be None",
        )
        require(self.for_training, "re-bind with for_training=True to run backward")
        self._backward_impl()

    def _backward_impl(self):
        """Sets ``_scores_grad`` from ``_scores`` and ``_labels``."""
        if self._grad_func is None:
            raise NotImplementedError("give grad_func, or override _backward_impl")
        grad = self._grad_func(self._scores, self._labels)
        self._scores_grad = grad if isinstance(grad, nd.NDArray) else nd.array(grad)

    def get_input_grads(self, merge_multi_context=True):
        """The gradient of the scores; ``merge_multi_context`` must be True."""
        require(merge_multi_context, "PythonLossModule needs merge_multi_context=True")
        return [self._scores_grad]

    def install_monitor(self, mon):
        """Not supported: there is no executor."""
        raise NotImplementedError(f"{type(self).__name__} has no executor to watch")
