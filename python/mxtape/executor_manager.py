"""What ``FeedForward`` trains with: executors on several contexts, by bucket."""

import logging

from .io import DataDesc
from .module.executor_group import DataParallelExecutorGroup, _split_input_slice
from .name import NameManager

__all__ = ["DataParallelExecutorGroup", "DataParallelExecutorManager", "_split_input_slice"]


def _check_arguments(symbol):
    """Requires that the names of a symbol's arguments, and of its auxiliary states, are unique."""
    for what, names in (
        ("argument", symbol.list_arguments()),
        ("auxiliary state", symbol.list_auxiliary_states()),
    ):
        seen = set()
        for name in names:
            if name in seen:
                raise ValueError(
                    f"two nodes are the {what} {name!r}: names must be unique. "
                    f"Please give each layer a name of its own; the {what}s are {names}"
                )
            seen.add(name)


def _described(shapes):
    return [desc if isinstance(desc, DataDesc) else DataDesc(*desc) for desc in shapes or []]


class DataParallelExecutorManager:
    """Executors on several contexts; with ``sym_gen`` a group of them for each bucket.

    Parameters
    ----------
    symbol : Symbol
        The network; of the default bucket where there are buckets.
    ctx : list of Context
        Where to run.
    train_data : DataIter
        The iterator whose ``provide_data`` and ``provide_label`` say what the inputs are.
    arg_names, param_names, aux_names : list of str, optional
        Names of arguments, parameters and auxiliary states; by default the symbol's.
    work_load_list : list of number, optional
        The share of each batch that each context gets.
    logger : logging.Logger, default logging
        Given to the group.
    sym_gen : callable, optional
        Gives the network for a bucket key.
    """

    def __init__(
        self,
        symbol,
        ctx,
        train_data,
        arg_names=None,
        param_names=None,
        aux_names=None,
        work_load_list=None,
        logger=None,
        sym_gen=None,
    ):
        self.symbol = symbol
        self.ctx = ctx
        self.logger = logging if logger is None else logger
        self.sym_gen = sym_gen
        self.work_load_list = [1] * len(ctx) if work_load_list is None else work_load_list
        if len(self.work_load_list) != len(ctx):
            raise ValueError(
                f"work_load_list has {len(self.work_load_list)} entries for {len(ctx)} contexts"
            )
        _check_arguments(symbol)
        self.arg_names = symbol.list_arguments() if arg_names is None else arg_names
        data, labels = _described(train_data.provide_data), _described(train_data.provide_label)
        inputs = {desc.name for desc in data + labels}
        if param_names is None:
            param_names = [name for name in self.arg_names if name not in inputs]
        self.param_names = param_names
        self.aux_names = symbol.list_auxiliary_states() if aux_names is None else aux_names
        self.execgrp = self._bind(symbol, data, labels)
        self.execgrp_bucket = {}
        if sym_gen is not None:
            self.execgrp_bucket[train_data.default_bucket_key] = self.execgrp
        self.curr_execgrp = self.execgrp
        self._batch = None
        self._monitors = []

    def _bind(self, symbol, data, labels, shared_group=None):
        return DataParallelExecutorGroup(
            symbol,
            self.ctx,
            self.work_load_list,
            data,
            labels,
            self.param_names,
            for_training=True,
            inputs_need_grad=False,
            shared_group=shared_group,
            logger=self.logger,
        )

    def install_monitor(self, monitor):
        """Lets a ``Monitor`` see what the executors compute."""
        self._monitors.append(monitor)
        for group in self.execgrp_bucket.values() or [self.execgrp]:
            group.install_monitor(monitor)

    def set_params(self, arg_params, aux_params):
        """Copies parameters and auxiliary states into the executors."""
        self.execgrp.set_params(arg_params, aux_params)

    def copy_to(self, arg_params, aux_params):
        """Copies parameters and auxiliary states into arrays, averaged over the contexts."""
        self.execgrp.get_params(arg_params, aux_params)

    @property
    def param_arrays(self):
        """The parameters: for each a list with one array for each context."""
        return self.execgrp.param_arrays

    @property
    def grad_arrays(self):
        """The parameters' gradients, as ``param_arrays``."""
        return self.execgrp.grad_arrays

    @property
    def aux_arrays(self):
        """The auxiliary states, as ``param_arrays``."""
        return self.execgrp.aux_arrays

    def load_data_batch(self, data_batch):
        """Takes a batch: chooses the group of its bucket, and gives it the batch's shapes."""
        if self.sym_gen is not None:
            key = data_batch.bucket_key
            if key not in self.execgrp_bucket:
                data = _described(data_batch.provide_data)
                labels = _described(data_batch.provide_label)
                with NameManager():
                    symbol = self.sym_gen(key)
                group = self._bind(symbol, data, labels, self.execgrp)
                for monitor in self._monitors:
                    group.install_monitor(monitor)
                self.execgrp_bucket[key] = group
            self.curr_execgrp = self.execgrp_bucket[key]
        group = self.curr_execgrp
        shapes = [
            [DataDesc(d.name, a.shape, d.dtype, d.layout) for d, a in zip(described, arrays or [])]
            for described, arrays in (
                (group.data_shapes, data_batch.data),
                (group.label_shapes, data_batch.label),
            )
        ]
        group.reshape(*shapes)
        self._batch = data_batch

    def forward(self, is_train=False):
        """Runs the batch forward."""
        self.curr_execgrp.forward(self._batch, is_train=is_train)

    def backward(self):
        """Computes the gradients of the parameters."""
        self.curr_execgrp.backward()

    def update_metric(self, metric, labels, pre_sliced=False):
        """Updates a metric with the outputs."""
        self.curr_execgrp.update_metric(metric, labels, pre_sliced)
