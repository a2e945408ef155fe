"""What every module does with a batch: fit, score, predict; built on a few methods of its own."""

import logging
import time
import warnings
from typing import Any

import numpy as np

from .. import metric
from .. import ndarray as nd
from ..base import _as_list
from ..context import cpu
from ..initializer import Uniform
from ..io import DataBatch, DataDesc, DataIter
from ..model import BatchEndParam, _call, _split_params
from ._checks import (
    _check_input_names,
    _check_names_match,
    _parse_data_desc,
    require,
    require_state,
)

__all__ = ["BaseModule", "BatchEndParam", "DataBatch", "DataDesc", "DataIter", "Uniform"]
__all__ += ["_as_list", "_check_input_names", "_check_names_match", "_parse_data_desc"]


def _without_pad(outputs, pad):
    """The outputs without the samples that only fill up the batch."""
    pad = pad or 0
    return [out[0 : out.shape[0] - pad].copy() for out in outputs]


# What parameters start from.
_UNIFORM = Uniform(0.01)


def _metric(eval_metric):
    if isinstance(eval_metric, metric.EvalMetric):
        return eval_metric
    return metric.create(eval_metric)


class BaseModule:
    """A network that can be trained: the interface, and what can be written with it.

    A module goes through states: ``binded``, after :meth:`bind`, ``params_initialized``, after
    :meth:`init_params`, ``optimizer_initialized``, after :meth:`init_optimizer`. Then a batch is
    learnt from by :meth:`forward`, :meth:`backward` and :meth:`update`. :meth:`fit` does it all.

    A class of its own has the properties ``data_names``, ``output_names``, ``data_shapes``,
    ``label_shapes`` and ``output_shapes`` and the methods that raise NotImplementedError here.

    Parameters
    ----------
    logger : logging.Logger, default logging
        Where :meth:`fit` writes.
    """

    def __init__(self, logger=logging):
        self.logger = logger
        self.binded = self.params_initialized = self.optimizer_initialized = False
        self.for_training = self.inputs_need_grad = False
        self._symbol: Any = None
        self._total_exec_bytes = 0

    def forward_backward(self, data_batch):
        """Runs a batch forward, in training mode, and backward."""
        self.forward(data_batch, is_train=True)
        self.backward()

    def score(
        self,
        eval_data,
        eval_metric,
        num_batch=None,
        batch_end_callback=None,
        score_end_callback=None,
        reset=True,
        epoch=0,
        sparse_row_id_fn=None,
    ):
        """Computes a metric over data.

        Parameters
        ----------
        eval_data : DataIter
            The data. Samples that fill up the last batch are counted, as MXNet counts them.
        eval_metric : EvalMetric, str, callable or list of these
            The metric.
        num_batch : int, optional
            How many batches to read; all by default.
        batch_end_callback, score_end_callback : callable or list of callables, optional
            Called with a ``BatchEndParam`` after each batch, and at the end.
        reset : bool, default True
            Whether to start ``eval_data`` from its beginning.
        epoch : int, default 0
            The epoch that the callbacks are told.
        sparse_row_id_fn : callable, optional
            Called with a batch, gives the row ids that it needs of row-sparse parameters.

        Returns
        -------
        list of (str, float)
            The names and values of the metric.
        """
        require_state(self, "binded", "params_initialized")
        if reset:
            eval_data.reset()
        eval_metric = _metric(eval_metric)
        eval_metric.reset()
        actual_num_batch = 0
        for nbatch, eval_batch in enumerate(eval_data):
            if nbatch == num_batch:
                break
            self.prepare(eval_batch, sparse_row_id_fn=sparse_row_id_fn)
            self.forward(eval_batch, is_train=False)
            self._update_metric(eval_metric, eval_batch)
            if batch_end_callback is not None:
                _call(batch_end_callback, BatchEndParam(epoch, nbatch, eval_metric, locals()))
            actual_num_batch += 1
        if score_end_callback is not None:
            _call(score_end_callback, BatchEndParam(epoch, actual_num_batch, eval_metric, locals()))
        return eval_metric.get_name_value()

    def _update_metric(self, eval_metric, batch):
        """Updates the metric with a batch's labels, or with those of one batch for each context."""
        if isinstance(batch, list):
            self.update_metric(eval_metric, [b.label for b in batch], pre_sliced=True)
        else:
            self.update_metric(eval_metric, batch.label)

    def iter_predict(self, eval_data, num_batch=None, reset=True, sparse_row_id_fn=None):
        """Predicts batch by batch.

        Yields ``(outputs, nbatch, batch)``: the list of outputs without padding, the batch's number
        and the batch itself. The arguments are those of :meth:`predict`.
        """
        require_state(self, "binded", "params_initialized")
        if reset:
            eval_data.reset()
        for nbatch, eval_batch in enumerate(eval_data):
            if nbatch == num_batch:
                break
            self.prepare(eval_batch, sparse_row_id_fn=sparse_row_id_fn)
            self.forward(eval_batch, is_train=False)
            yield _without_pad(self.get_outputs(), eval_batch.pad), nbatch, eval_batch

    def predict(
        self,
        eval_data,
        num_batch=None,
        merge_batches=True,
        reset=True,
        always_output_list=False,
        sparse_row_id_fn=None,
    ):
        """Predicts over data.

        Parameters
        ----------
        eval_data : DataIter, NDArray or numpy.ndarray
            The data. An array is one batch, of any size.
        num_batch : int, optional
            How many batches to read; all by default.
        merge_batches : bool, default True
            Whether to join the batches' outputs.
        reset : bool, default True
            Whether to start ``eval_data`` from its beginning.
        always_output_list : bool, default False
            Whether to return a list where there is one output too.
        sparse_row_id_fn : callable, optional
            As for :meth:`score`.

        Returns
        -------
        NDArray, list of NDArray or list of list of NDArray
            The output, or the list of outputs; without ``merge_batches`` a list for each batch.
            Padding is left out. For an array, the first output unless ``always_output_list``.
        """
        require_state(self, "binded", "params_initialized")
        if isinstance(eval_data, (nd.NDArray, np.ndarray)):
            if isinstance(eval_data, np.ndarray):
                eval_data = nd.array(eval_data)
            self.forward(DataBatch([eval_data]), is_train=False)
            outputs = self.get_outputs()
            return outputs if always_output_list else outputs[0]
        if not isinstance(eval_data, DataIter):
            raise ValueError(
                "eval_data must be of type NDArray, numpy.ndarray or DataIter; "
                f"got {type(eval_data).__name__}"
            )
        batches = self.iter_predict(eval_data, num_batch, reset, sparse_row_id_fn)
        output_list = [outputs for outputs, _, _ in batches]
        if not output_list or not merge_batches:
            return output_list
        num_outputs = len(output_list[0])
        require(
            all(len(outputs) == num_outputs for outputs in output_list),
            "cannot merge batches: they have different numbers of outputs "
            f"({sorted({len(outputs) for outputs in output_list})}). "
            "Use merge_batches=False, for example with buckets",
        )
        merged = [nd.concat(*parts, dim=0) for parts in zip(*output_list)]
        return merged[0] if num_outputs == 1 and not always_output_list else merged

    def fit(
        self,
        train_data,
        eval_data=None,
        eval_metric="acc",
        epoch_end_callback=None,
        batch_end_callback=None,
        kvstore="local",
        optimizer="sgd",
        optimizer_params=(("learning_rate", 0.01),),
        eval_end_callback=None,
        eval_batch_end_callback=None,
        initializer=_UNIFORM,
        arg_params=None,
        aux_params=None,
        allow_missing=False,
        force_rebind=False,
        force_init=False,
        begin_epoch=0,
        num_epoch=None,
        validation_metric=None,
        monitor=None,
        sparse_row_id_fn=None,
    ):
        """Trains the module.

        What is done already is kept: a module that is bound, initialised or has an optimizer is not
        bound or initialised again, unless ``force_rebind`` or ``force_init`` ask for it.

        Parameters
        ----------
        train_data : DataIter
            What to learn from.
        eval_data : DataIter, optional
            What to compute ``validation_metric`` over, after each epoch.
        eval_metric : EvalMetric, str, callable or list of these, default 'acc'
            The metric of the training.
        epoch_end_callback : callable or list of callables, optional
            Called with ``(epoch, symbol, arg_params, aux_params)`` after each epoch.
        batch_end_callback : callable or list of callables, optional
            Called with a ``BatchEndParam`` after each batch.
        kvstore : str or KVStore, default 'local'
            What adds the gradients of several contexts.
        optimizer : str or Optimizer, default 'sgd'
            The optimizer; ``optimizer_params`` are its arguments when it is a name. Gradients are
            divided by the batch size unless ``rescale_grad`` is among them.
        eval_end_callback, eval_batch_end_callback : callable or list of callables, optional
            Called with a ``BatchEndParam`` at the end of each evaluation, and after its batches.
        initializer : Initializer, default Uniform(0.01)
            What parameters start from.
        arg_params, aux_params : dict of str to NDArray, optional
            Parameters and auxiliary states to start from.
        allow_missing : bool, default False
            Whether the initializer may give the parameters that ``arg_params`` does not have.
        force_rebind, force_init : bool, default False
            Whether to bind again, and to initialise again.
        begin_epoch, num_epoch : int
            The first epoch (0), and the one to stop before.
        validation_metric : EvalMetric, str, callable or list of these, optional
            The metric of the evaluation; ``eval_metric`` by default.
        monitor : Monitor, optional
            A monitor to install.
        sparse_row_id_fn : callable, optional
            As for :meth:`score`.
        """
        require(num_epoch is not None, "please specify number of epochs: fit(..., num_epoch=...)")
        self.bind(
            data_shapes=train_data.provide_data,
            label_shapes=train_data.provide_label,
            for_training=True,
            force_rebind=force_rebind,
        )
        if monitor is not None:
            self.install_monitor(monitor)
        self.init_params(
            initializer=initializer,
            arg_params=arg_params,
            aux_params=aux_params,
            allow_missing=allow_missing,
            force_init=force_init,
        )
        self.init_optimizer(kvstore=kvstore, optimizer=optimizer, optimizer_params=optimizer_params)
        if validation_metric is None:
            validation_metric = eval_metric
        eval_metric = _metric(eval_metric)

        # Callbacks are given the local variables: their names are those that programs ask for.
        for epoch in range(begin_epoch, num_epoch):
            tic, nbatch = time.time(), 0
            eval_metric.reset()
            data_iter = iter(train_data)
            next_data_batch = next(data_iter, None)
            if next_data_batch is None:
                raise ValueError("train_data has no batch: it is empty, or needs a reset()")
            while next_data_batch is not None:
                if monitor is not None:
                    monitor.tic()
                data_batch = next_data_batch
                self.forward_backward(data_batch)
                self.update()
                self._update_metric(eval_metric, data_batch)
                next_data_batch = next(data_iter, None)
                if next_data_batch is None:
                    # Callbacks may reset the metric.
                    eval_name_vals = eval_metric.get_global_name_value()
                else:
                    self.prepare(next_data_batch, sparse_row_id_fn=sparse_row_id_fn)
                if monitor is not None:
                    monitor.toc_print()
                if batch_end_callback is not None:
                    _call(batch_end_callback, BatchEndParam(epoch, nbatch, eval_metric, locals()))
                nbatch += 1

            for name, val in eval_name_vals:
                self.logger.info("Epoch[%d] Train-%s=%f", epoch, name, val)
            self.logger.info("Epoch[%d] Time cost=%.3f", epoch, time.time() - tic)
            # The copies of several contexts become one.
            arg_params, aux_params = self.get_params()
            self.set_params(arg_params, aux_params)
            _call(epoch_end_callback, epoch, self.symbol, arg_params, aux_params)

            if eval_data is not None:
                res = self.score(
                    eval_data,
                    validation_metric,
                    score_end_callback=eval_end_callback,
                    batch_end_callback=eval_batch_end_callback,
                    epoch=epoch,
                )
                for name, val in res:
                    self.logger.info("Epoch[%d] Validation-%s=%f", epoch, name, val)
            train_data.reset()

    # What modules differ in.

    @property
    def data_names(self):
        """The names of the data, as a list."""
        raise NotImplementedError

    @property
    def output_names(self):
        """The names of the outputs, as a list."""
        raise NotImplementedError

    @property
    def data_shapes(self):
        """The data's names and shapes, as a list of ``DataDesc`` or pairs."""
        raise NotImplementedError

    @property
    def label_shapes(self):
        """The labels' names and shapes; None or empty where the module needs none."""
        raise NotImplementedError

    @property
    def output_shapes(self):
        """The outputs' names and shapes, as a list of pairs."""
        raise NotImplementedError

    def get_params(self):
        """The parameters and the auxiliary states, as two dictionaries of copies on the CPU."""
        raise NotImplementedError

    def init_params(
        self,
        initializer=_UNIFORM,
        arg_params=None,
        aux_params=None,
        allow_missing=False,
        force_init=False,
        allow_extra=False,
    ):
        """Initialises parameters and auxiliary states.

        Parameters
        ----------
        initializer : Initializer, default Uniform(0.01)
            What gives the values that the dictionaries do not.
        arg_params, aux_params : dict of str to NDArray, optional
            Values to copy.
        allow_missing : bool, default False
            Whether the dictionaries may lack names; the initializer is called for these.
        force_init : bool, default False
            Whether to initialise again what is initialised.
        allow_extra : bool, default False
            Whether the dictionaries may have names that the module does not have.
        """
        raise NotImplementedError

    def set_params(
        self, arg_params, aux_params, allow_missing=False, force_init=True, allow_extra=False
    ):
        """Sets parameters and auxiliary states; the arguments are those of :meth:`init_params`."""
        self.init_params(
            initializer=None,
            arg_params=arg_params,
            aux_params=aux_params,
            allow_missing=allow_missing,
            force_init=force_init,
            allow_extra=allow_extra,
        )

    def save_params(self, fname):
        """Saves parameters and auxiliary states to a ``.params`` file."""
        arg_params, aux_params = self.get_params()
        named = {f"arg:{name}": value.as_in_context(cpu()) for name, value in arg_params.items()}
        named.update((f"aux:{name}", v.as_in_context(cpu())) for name, v in aux_params.items())
        nd.save(fname, named)

    def load_params(self, fname):
        """Loads parameters and auxiliary states from a ``.params`` file."""
        arg_params, aux_params = _split_params(nd.load(fname), fname)
        self.set_params(arg_params, aux_params)

    def get_states(self, merge_multi_context=True):
        """The states, of a module that has some: here none."""
        require_state(self, "binded", "params_initialized")
        require(not merge_multi_context, "get_states needs merge_multi_context=False")
        return []

    def set_states(self, states=None, value=None):
        """Sets the states, of a module that has some: here none."""
        require_state(self, "binded", "params_initialized")
        require(not states and not value, f"{type(self).__name__} has no states to set")

    def install_monitor(self, mon):
        """Lets a ``Monitor`` see what the module computes."""
        raise NotImplementedError

    def prepare(self, data_batch, sparse_row_id_fn=None):
        """Prepares for a batch, before :meth:`forward` gets it."""
        if sparse_row_id_fn is not None:
            warnings.warn(
                "sparse_row_id_fn is not invoked by this module: it has no row-sparse parameters",
                stacklevel=2,
            )

    def forward(self, data_batch, is_train=None):
        """Runs a batch forward.

        Parameters
        ----------
        data_batch : DataBatch
            The batch. Its shapes may differ from those that the module was bound with.
        is_train : bool, optional
            Training or predicting; by default as the module was bound (``for_training``).
        """
        raise NotImplementedError

    def backward(self, out_grads=None):
        """Computes the gradients of the parameters for the last batch that went forward.

        Parameters
        ----------
        out_grads : NDArray or list of NDArray, optional
            The gradients of the outputs; not needed where all outputs are losses.
        """
        raise NotImplementedError

    def get_outputs(self, merge_multi_context=True):
        """The outputs of the last forward, as a list.

        Without ``merge_multi_context`` each is a list with one array for each context.
        """
        raise NotImplementedError

    def get_input_grads(self, merge_multi_context=True):
        """The gradients of the data, as a list; for modules bound with ``inputs_need_grad``."""
        raise NotImplementedError

    def update(self):
        """Moves the parameters by the optimizer, along the gradients of the last backward."""
        raise NotImplementedError

    def update_metric(self, eval_metric, labels, pre_sliced=False):
        """Updates a metric with the outputs of the last forward.

        Parameters
        ----------
        eval_metric : EvalMetric
            The metric.
        labels : list of NDArray
            The labels; with ``pre_sliced`` a list of such lists, one for each context.
        pre_sliced : bool, default False
            Whether the labels are sliced for the contexts.
        """
        raise NotImplementedError

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
        """Makes the arrays for inputs, parameters, gradients and outputs.

        Parameters
        ----------
        data_shapes : list of DataDesc or (str, tuple)
            The data's names and shapes, such as a ``DataIter`` has in ``provide_data``.
        label_shapes : list of DataDesc or (str, tuple), optional
            The labels' names and shapes (``provide_label``).
        for_training : bool, default True
            Whether there will be a backward.
        inputs_need_grad : bool, default False
            Whether the data get gradients too.
        force_rebind : bool, default False
            Whether to bind a module again that is bound. It keeps its parameters.
        shared_module : BaseModule, optional
            A module whose parameters this one uses, as buckets do.
        grad_req : str, list of str or dict of str to str, default 'write'
            What the backward does with gradients: ``'write'``, ``'add'``, ``'null'``.
        """
        raise NotImplementedError

    def init_optimizer(
        self,
        kvstore="local",
        optimizer="sgd",
        optimizer_params=(("learning_rate", 0.01),),
        force_init=False,
    ):
        """Makes the optimizer.

        Parameters
        ----------
        kvstore : str or KVStore, default 'local'
            What adds the gradients of several contexts.
        optimizer : str or Optimizer, default 'sgd'
            The optimizer.
        optimizer_params : dict or list of (str, object)
            Arguments for the optimizer, when it is a name.
        force_init : bool, default False
            Whether to replace an optimizer that is there.
        """
        raise NotImplementedError

    @property
    def symbol(self):
        """The symbol; None for modules without one."""
        return self._symbol
