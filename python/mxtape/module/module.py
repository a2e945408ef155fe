"""``Module``: a symbol with arrays, on one context or several, and an optimizer."""

import logging
import warnings
from typing import Any

from .. import context as ctx
from .. import ndarray as nd
from .. import optimizer as opt
from ..initializer import InitDesc
from ..initializer import require as require_initializer
from ..io import DataDesc
from ..model import (
    _create_kvstore,
    _index_names,
    _initialize_kvstore,
    _rescale,
    _update_params,
    _update_params_on_kvstore,
    load_checkpoint,
)
from ._checks import (
    _check_input_names,
    _parse_data_desc,
    as_names,
    ignores_params,
    require,
    require_state,
)
from .base_module import _UNIFORM, BaseModule
from .executor_group import DataParallelExecutorGroup

__all__ = ["DataParallelExecutorGroup", "Module", "load_checkpoint"]

_CPU = ctx.cpu()

# The key under which a file of optimizer states has the counts of updates.
_COUNTS = "__update_counts__"


class Module(BaseModule):
    """A symbol that can be trained and used.

    Parameters
    ----------
    symbol : Symbol
        The network.
    data_names : list of str, default ('data',)
        The arguments that are data.
    label_names : list of str, default ('softmax_label',)
        The arguments that are labels; None stands for no labels.
    logger : logging.Logger, default logging
        Where :meth:`fit` writes.
    context : Context or list of Context, default cpu()
        Where to run. Several share out each batch, and add their gradients.
    work_load_list : list of number, optional
        The share of a batch that each context gets; equal by default.
    fixed_param_names : list of str, optional
        Parameters that do not learn.
    state_names : list of str, optional
        Arguments that are states: set by :meth:`set_states`, neither data nor parameters.
    group2ctxs : dict or list of dict, optional
        Contexts for the symbol's ``ctx_group`` attributes. Accepted; all is on one CPU.
    compression_params : dict, optional
        Given to the store's ``set_gradient_compression``.

    Raises
    ------
    ValueError
        For names that are not arguments of the symbol, or that are given twice. Unknown labels are
        a warning: a symbol may not use them.

    Examples
    --------
    >>> import mxtape as mx
    >>> network = mx.sym.FullyConnected(mx.sym.Variable("data"), num_hidden=2, name="fc")
    >>> module = mx.mod.Module(mx.sym.SoftmaxOutput(network, name="softmax"))
    >>> x, y = mx.nd.array([[0.0], [1.0], [2.0], [3.0]]), mx.nd.array([0, 0, 1, 1])
    >>> data = mx.io.NDArrayIter(x, y, batch_size=2)
    >>> module.fit(data, num_epoch=100, optimizer_params={"learning_rate": 0.5})
    >>> module.score(data, "acc")
    [('accuracy', 1.0)]
    >>> module.predict(data).shape
    (4, 2)
    """

    def __init__(
        self,
        symbol,
        data_names=("data",),
        label_names=("softmax_label",),
        logger=logging,
        context=_CPU,
        work_load_list=None,
        fixed_param_names=None,
        state_names=None,
        group2ctxs=None,
        compression_params=None,
    ):
        super().__init__(logger=logger)
        contexts = context if isinstance(context, (list, tuple)) else [context]
        if not contexts or not all(isinstance(c, ctx.Context) for c in contexts):
            raise TypeError(f"context must be a Context or a list of Contexts; got {context!r}")
        self._context = list(contexts)
        self._work_load_list = work_load_list or [1] * len(self._context)
        require(
            len(self._work_load_list) == len(self._context),
            f"work_load_list has {len(self._work_load_list)} entries for "
            f"{len(self._context)} contexts",
        )
        self._group2ctxs = group2ctxs
        self._symbol = symbol
        self._data_names = as_names(data_names, "data_names")
        self._label_names = as_names(label_names, "label_names")
        self._state_names = as_names(state_names, "state_names")
        self._fixed_param_names = as_names(fixed_param_names, "fixed_param_names")
        _check_input_names(symbol, self._data_names, "data_names", True)
        _check_input_names(symbol, self._label_names, "label_names", False)
        _check_input_names(symbol, self._state_names, "state_names", True)
        _check_input_names(symbol, self._fixed_param_names, "fixed_param_names", True)
        inputs = {*self._data_names, *self._label_names, *self._state_names}
        self._param_names = [name for name in symbol.list_arguments() if name not in inputs]
        self._aux_names = symbol.list_auxiliary_states()
        self._output_names = symbol.list_outputs()
        self._arg_params: Any = None
        self._aux_params: Any = None
        # Whether the executors' parameters have changed since _arg_params was read from them.
        self._params_dirty = False
        self._optimizer: Any = None
        self._kvstore: Any = None
        self._update_on_kvstore: Any = None
        self._updater: Any = None
        self._preload_opt_states: Any = None
        self._compression_params = compression_params
        self._grad_req: Any = None
        self._exec_group: Any = None
        self._data_shapes: Any = None
        self._label_shapes: Any = None

    @staticmethod
    def load(prefix, epoch, load_optimizer_states=False, **kwargs):
        """A module from a checkpoint.

        Parameters
        ----------
        prefix : str
            What the files' names begin with.
        epoch : int
            The epoch.
        load_optimizer_states : bool, default False
            Whether to load what training needs to go on, which :meth:`save_checkpoint` saved.
        kwargs
            Arguments of ``Module``.

        Returns
        -------
        Module
            It has the parameters, and must be bound.
        """
        symbol, arg_params, aux_params = load_checkpoint(prefix, epoch)
        module = Module(symbol=symbol, **kwargs)
        module._arg_params = arg_params
        module._aux_params = aux_params
        module.params_initialized = True
        if load_optimizer_states:
            module._preload_opt_states = f"{prefix}-{epoch:04d}.states"
        return module

    def save_checkpoint(self, prefix, epoch, save_optimizer_states=False, remove_amp_cast=True):
        """Saves network and parameters, as ``mx.model.save_checkpoint``.

        Parameters
        ----------
        prefix : str
            What the files' names begin with.
        epoch : int
            The epoch.
        save_optimizer_states : bool, default False
            Whether to save what training needs to go on: ``prefix-NNNN.states``.
        remove_amp_cast : bool, default True
            Whether to leave out the casts that automatic mixed precision put in.
        """
        if save_optimizer_states:
            require_state(self, "optimizer_initialized")
        self._symbol.save(f"{prefix}-symbol.json", remove_amp_cast=remove_amp_cast)
        fname = f"{prefix}-{epoch:04d}.params"
        self.save_params(fname)
        logging.info('Saved checkpoint to "%s"', fname)
        if save_optimizer_states:
            fname = f"{prefix}-{epoch:04d}.states"
            self.save_optimizer_states(fname)
            logging.info('Saved optimizer state to "%s"', fname)

    def _reset_bind(self):
        """Forgets what is bound."""
        self._exec_group = self._data_shapes = self._label_shapes = None
        self.binded = False

    @property
    def data_names(self):
        """The names of the data."""
        return self._data_names

    @property
    def label_names(self):
        """The names of the labels."""
        return self._label_names

    @property
    def output_names(self):
        """The names of the outputs."""
        return self._output_names

    @property
    def data_shapes(self):
        """The data's names and shapes, as a list of ``DataDesc``."""
        require_state(self, "binded")
        return self._data_shapes

    @property
    def label_shapes(self):
        """The labels' names and shapes, as a list of ``DataDesc``; None where there are none."""
        require_state(self, "binded")
        return self._label_shapes

    @property
    def output_shapes(self):
        """The outputs' names and shapes, as a list of pairs."""
        require_state(self, "binded")
        return self._exec_group.get_output_shapes()

    def get_params(self):
        """The parameters and the auxiliary states, as two dictionaries of copies on the CPU."""
        require_state(self, "binded", "params_initialized")
        if self._params_dirty:
            self._sync_params_from_devices()
        return self._arg_params, self._aux_params

    def init_params(
        self,
        initializer=_UNIFORM,
        arg_params=None,
        aux_params=None,
        allow_missing=False,
        force_init=False,
        allow_extra=False,
    ):
        """Initialises parameters and auxiliary states: see ``BaseModule.init_params``.

        Raises
        ------
        RuntimeError
            When a dictionary lacks a parameter and ``allow_missing`` is not set.
        ValueError
            When a value has another shape than its parameter.
        """
        if self.params_initialized and not force_init:
            warnings.warn(
                "Parameters already initialized and force_init=False. init_params call ignored.",
                stacklevel=2,
            )
            return
        require(self.binded, "call bind before initializing the parameters")
        require_initializer(initializer, "init_params")
        group = self._exec_group
        parts = (
            (self._param_names, group.param_arrays, arg_params),
            (self._aux_names, group.aux_arrays, aux_params),
        )
        for names, arrays, given in parts:
            self._check_given(names, arrays, given, allow_missing)
            if given is None and names and initializer is None:
                raise TypeError(f"there is neither an initializer nor a dictionary for {names}")
        attributes = self._symbol.attr_dict()
        self._make_params()
        if self._params_dirty:
            self._sync_params_from_devices()  # What is neither given nor initialised stays.
        for values, given in ((self._arg_params, arg_params), (self._aux_params, aux_params)):
            for name in sorted(values):
                if given and name in given:
                    values[name][:] = given[name]
                elif initializer is not None:
                    initializer(InitDesc(name, attributes.get(name)), values[name])
        self.params_initialized = True
        self._params_dirty = False
        group.set_params(self._arg_params, self._aux_params, allow_extra=allow_extra)

    @staticmethod
    def _check_given(names, arrays, given, allow_missing):
        """Requires that dictionaries have what is needed, before anything is changed."""
        if given is None:
            return
        for name, (first, *_) in zip(names, arrays):
            if name not in given:
                if not allow_missing:
                    raise RuntimeError(
                        f"{name} is not presented: the dictionary has {sorted(given)}. "
                        "With allow_missing=True the initializer gives what is missing"
                    )
            elif tuple(given[name].shape) != tuple(first.shape):
                raise ValueError(
                    f"the parameter {name!r} has the shape {tuple(first.shape)}, "
                    f"but was given a value of the shape {tuple(given[name].shape)}"
                )

    def set_params(
        self, arg_params, aux_params, allow_missing=False, force_init=True, allow_extra=False
    ):
        """Sets parameters and auxiliary states.

        Parameters
        ----------
        arg_params, aux_params : dict of str to NDArray
            The values.
        allow_missing : bool, default False
            Whether these may lack names; what they lack stays as it is.
        force_init : bool, default True
            Whether to set what is set already.
        allow_extra : bool, default False
            Whether they may have names that the symbol does not have. Without ``allow_missing``
            such names are always allowed, as in MXNet.

        Raises
        ------
        RuntimeError, ValueError
            As ``init_params``; ValueError also for names that are not allowed.
        """
        if not allow_missing:
            super().set_params(arg_params, aux_params, allow_missing, force_init, allow_extra)
            return
        if ignores_params(self, force_init):
            return
        require_state(self, "binded")
        group = self._exec_group
        self._check_given(self._param_names, group.param_arrays, arg_params, True)
        self._check_given(self._aux_names, group.aux_arrays, aux_params, True)
        group.set_params(arg_params, aux_params or {}, allow_extra=allow_extra)
        # The executors have what _arg_params does not.
        self._params_dirty = True
        self.params_initialized = True

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
        """Makes the executors: see ``BaseModule.bind``."""
        if force_rebind:
            if self.binded and self.params_initialized and self._params_dirty:
                self._sync_params_from_devices()  # What was learnt is kept.
            self._reset_bind()
        if self.binded:
            self.logger.warning("Already bound, ignoring bind()")
            return
        require(
            for_training or not inputs_need_grad,
            "bind(for_training=False, inputs_need_grad=True): gradients need for_training=True",
        )
        data_shapes, label_shapes = _parse_data_desc(
            self._data_names, self._label_names, data_shapes, label_shapes
        )
        shared_group = None
        if shared_module is not None:
            require_state(shared_module, "binded", "params_initialized")
            shared_group = shared_module._exec_group
            require(
                len(shared_group.execs) >= len(self._context),
                f"shared_module has {len(shared_group.execs)} contexts, fewer than the "
                f"{len(self._context)} of this module",
            )
        self._exec_group = DataParallelExecutorGroup(
            self._symbol,
            self._context,
            self._work_load_list,
            data_shapes,
            label_shapes,
            self._param_names,
            for_training,
            inputs_need_grad,
            shared_group,
            logger=self.logger,
            fixed_param_names=self._fixed_param_names,
            grad_req=grad_req,
            state_names=self._state_names,
            group2ctxs=self._group2ctxs,
        )
        self.for_training = for_training
        self.inputs_need_grad = inputs_need_grad
        self._grad_req = grad_req
        self._data_shapes, self._label_shapes = data_shapes, label_shapes
        self._total_exec_bytes = self._exec_group._total_exec_bytes
        self.binded = True
        if shared_module is not None:
            self._arg_params = shared_module._arg_params
            self._aux_params = shared_module._aux_params
            self.params_initialized = True
        elif self.params_initialized:
            self._exec_group.set_params(self._arg_params, self._aux_params)
            # Labels count as parameters where label_names does not have them: nobody misses those.
            missing = [name for name in self._make_params() if not name.endswith("label")]
            if missing:
                warnings.warn(
                    f"the checkpoint has no {', '.join(missing)}: what is missing is zero now. "
                    "init_params(arg_params=..., aux_params=..., allow_missing=True, "
                    "force_init=True) initialises it",
                    stacklevel=2,
                )
        if shared_module is not None and shared_module.optimizer_initialized:
            self.borrow_optimizer(shared_module)

    def reshape(self, data_shapes, label_shapes=None):
        """Gives the module other shapes of data; what it learnt stays.

        Parameters
        ----------
        data_shapes, label_shapes : list of DataDesc or (str, tuple)
            As for ``bind``. The shapes of labels that it was bound with may be missing: they follow
            from the data's.
        """
        require_state(self, "binded")
        label_names = [] if label_shapes is None else self._label_names
        data_shapes, label_shapes = _parse_data_desc(
            self._data_names, label_names, data_shapes, label_shapes
        )
        if label_shapes is None and self._label_shapes:
            label_shapes = self._labels_for(data_shapes)
        self._exec_group.reshape(data_shapes, label_shapes)
        self._data_shapes, self._label_shapes = data_shapes, label_shapes

    def init_optimizer(
        self,
        kvstore="local",
        optimizer="sgd",
        optimizer_params=(("learning_rate", 0.01),),
        force_init=False,
    ):
        """Makes the optimizer: see ``BaseModule.init_optimizer``.

        Gradients are divided by the batch size, unless ``optimizer_params`` has ``rescale_grad``,
        or an ``Optimizer`` is given: it keeps what it has.
        """
        require_state(self, "binded", "params_initialized")
        if self.optimizer_initialized and not force_init:
            self.logger.warning("optimizer already initialized, ignoring...")
            return
        if self._params_dirty:
            self._sync_params_from_devices()
        store, update_on_kvstore = _create_kvstore(kvstore, len(self._context), self._arg_params)
        rescale_grad = _rescale(self._exec_group.batch_size, store)
        idx2name = _index_names(self._param_names, len(self._context), update_on_kvstore)
        if isinstance(optimizer, str):
            arguments = {"rescale_grad": rescale_grad, **dict(optimizer_params)}
            optimizer = opt.create(optimizer, sym=self.symbol, param_idx2name=idx2name, **arguments)
        else:
            require(
                isinstance(optimizer, opt.Optimizer),
                f"optimizer must be a name or an Optimizer, not {type(optimizer).__name__}",
            )
            if optimizer.rescale_grad != rescale_grad:
                warnings.warn(
                    "Optimizer created manually outside Module but rescale_grad is not normalized "
                    f"to 1.0/batch_size/num_workers ({optimizer.rescale_grad} vs. {rescale_grad}). "
                    "Is this intended?",
                    stacklevel=2,
                )
            if not optimizer.idx2name:
                optimizer.idx2name = idx2name
        self._optimizer = optimizer
        self._kvstore = store
        self._update_on_kvstore = update_on_kvstore
        self._updater = None if update_on_kvstore else opt.get_updater(optimizer)
        if store is not None:
            if self._compression_params:
                store.set_gradient_compression(self._compression_params)
            if update_on_kvstore:
                store.set_optimizer(optimizer)
            _initialize_kvstore(
                store,
                self._exec_group.param_arrays,
                self._arg_params,
                self._param_names,
                update_on_kvstore,
            )
        self.optimizer_initialized = True
        states, self._preload_opt_states = self._preload_opt_states, None
        if states is not None:
            self.load_optimizer_states(states)

    def borrow_optimizer(self, shared_module):
        """Uses the optimizer of another module, with its states."""
        require_state(shared_module, "optimizer_initialized")
        for name in ("_optimizer", "_updater", "_kvstore", "_update_on_kvstore"):
            setattr(self, name, getattr(shared_module, name))
        self.optimizer_initialized = True

    def forward(self, data_batch, is_train=None):
        """Runs a batch forward: see ``BaseModule.forward``.

        Parameters
        ----------
        data_batch : DataBatch or list of DataBatch
            The batch, or one for each context. The module takes on its shapes where they differ
            from those that it was bound with. Labels may be missing.
        is_train : bool, optional
            Training or predicting; by default as the module was bound.
        """
        require_state(self, "binded", "params_initialized")
        if isinstance(data_batch, nd.NDArray):
            raise TypeError("forward needs a DataBatch, such as mx.io.DataBatch([array])")
        training = self.for_training if is_train is None else is_train
        self._take_shapes(data_batch, training)
        self._exec_group.forward(data_batch, training)
        if training:
            self._params_dirty = True  # Running statistics move forward.

    def _take_shapes(self, data_batch, training):
        """Reshapes the module where a batch has other shapes than it is bound to.

        In training it learns from labels too that it was not bound with.
        """
        data, labels = self._batch_shapes(data_batch)
        if len(data) != len(self._data_shapes):
            raise ValueError(
                f"the batch has {len(data)} arrays of data, but the module has the data_names "
                f"{self._data_names}"
            )
        old_labels = self._label_shapes or []
        if training and labels and not old_labels and len(labels) == len(self._label_names):
            old_labels = [DataDesc(name, ()) for name in self._label_names]
        if labels and old_labels and len(labels) != len(old_labels):
            raise ValueError(
                f"the batch has {len(labels)} labels, but the module was bound with labels "
                f"{[desc.name for desc in old_labels]}"
            )
        same_data = all(new == old.shape for new, old in zip(data, self._data_shapes))
        if same_data and all(new == old.shape for new, old in zip(labels, old_labels)):
            return
        first = data_batch[0] if isinstance(data_batch, list) else data_batch
        data_shapes = _reshaped(self._data_shapes, data, getattr(first, "provide_data", None))
        if labels or not old_labels:
            described = getattr(first, "provide_label", None)
            label_shapes = _reshaped(old_labels, labels, described) if old_labels else None
        else:
            label_shapes = self._labels_for(data_shapes)
        self._exec_group.reshape(data_shapes, label_shapes)
        self._data_shapes, self._label_shapes = data_shapes, label_shapes

    def _batch_shapes(self, data_batch):
        """The shapes of a batch's data and labels; of several batches, joined along their axes."""
        if not isinstance(data_batch, list):
            return [tuple(a.shape) for a in data_batch.data], [
                tuple(a.shape) for a in getattr(data_batch, "label", None) or []
            ]
        group, joined = self._exec_group, []
        for which, axes in (("data", group.data_layouts), ("label", group.label_layouts)):
            parts = zip(*(getattr(batch, which, None) or [] for batch in data_batch))
            shapes = []
            for arrays, axis in zip(parts, axes):
                shape = list(arrays[0].shape)
                if axis >= 0:
                    shape[axis] = sum(a.shape[axis] for a in arrays)
                shapes.append(tuple(shape))
            joined.append(shapes)
        return joined

    def _labels_for(self, data_shapes):
        """The label shapes that go with data of other shapes, for a batch that has no labels."""
        shapes = {desc.name: tuple(desc.shape) for desc in data_shapes}
        inferred = self._symbol.infer_shape_partial(**shapes)[0]
        known = dict(zip(self._exec_group.arg_names, inferred))
        labels = []
        for desc in self._label_shapes:
            shape = known.get(desc.name)
            if not shape or min(shape) < 1:
                # It does not follow from the data: as before, but for the batch size.
                axis = DataDesc.get_batch_axis(desc.layout)
                first = data_shapes[0]
                shape = list(desc.shape)
                if axis >= 0:
                    shape[axis] = first.shape[DataDesc.get_batch_axis(first.layout)]
            labels.append(DataDesc(desc.name, tuple(shape), desc.dtype, desc.layout))
        return labels

    def backward(self, out_grads=None):
        """Computes the gradients: see ``BaseModule.backward``."""
        require_state(self, "binded", "params_initialized")
        self._exec_group.backward(out_grads=out_grads)

    def update(self):
        """Moves the parameters by the optimizer, along the gradients of the last backward."""
        require_state(self, "binded", "params_initialized", "optimizer_initialized")
        self._params_dirty = True
        group = self._exec_group
        if self._update_on_kvstore:
            _update_params_on_kvstore(
                group.param_arrays, group.grad_arrays, self._kvstore, group.param_names
            )
        else:
            _update_params(
                group.param_arrays,
                group.grad_arrays,
                updater=self._updater,
                num_device=len(self._context),
                kvstore=self._kvstore,
                param_names=group.param_names,
            )

    def get_outputs(self, merge_multi_context=True):
        """The outputs of the last forward: see ``BaseModule.get_outputs``."""
        require_state(self, "binded", "params_initialized")
        return self._exec_group.get_outputs(merge_multi_context=merge_multi_context)

    def get_input_grads(self, merge_multi_context=True):
        """The gradients of the data: see ``BaseModule.get_input_grads``."""
        require_state(self, "binded", "params_initialized")
        return self._exec_group.get_input_grads(merge_multi_context=merge_multi_context)

    def get_states(self, merge_multi_context=True):
        """The states, a list for each; ``merge_multi_context`` must be False."""
        require_state(self, "binded", "params_initialized")
        return self._exec_group.get_states(merge_multi_context=merge_multi_context)

    def set_states(self, states=None, value=None):
        """Sets the states: from lists such as :meth:`get_states` gives, or all to one number."""
        require_state(self, "binded", "params_initialized")
        self._exec_group.set_states(states, value)

    def update_metric(self, eval_metric, labels, pre_sliced=False):
        """Updates a metric with the last outputs: see ``BaseModule.update_metric``."""
        self._exec_group.update_metric(eval_metric, labels, pre_sliced)

    def _sync_params_from_devices(self):
        """Copies the executors' parameters into ``_arg_params`` and ``_aux_params``.

        Of row_sparse parameters that a store moves, the executors have only some rows.
        """
        self._make_params()
        self._exec_group.get_params(self._arg_params, self._aux_params)
        if self._kvstore is not None and self._update_on_kvstore:
            for name in self._param_names:
                value = self._arg_params[name]
                if value.stype == "row_sparse":
                    everything = nd.arange(value.shape[0], dtype="int64")
                    self._kvstore.row_sparse_pull(name, out=value, row_ids=everything)
        self._params_dirty = False

    def _make_params(self):
        """Lets ``_arg_params`` and ``_aux_params`` have every parameter; returns what they lacked.

        What they lacked, such as what a checkpoint does not have, is copied from the executors.
        """
        group = self._exec_group
        self._arg_params = {} if self._arg_params is None else self._arg_params
        self._aux_params = {} if self._aux_params is None else self._aux_params
        missing = []
        for values, names, arrays in (
            (self._arg_params, self._param_names, group.param_arrays),
            (self._aux_params, self._aux_names, group.aux_arrays),
        ):
            for name, (first, *_) in zip(names, arrays):
                if name not in values:
                    values[name] = first.copyto(ctx.cpu())
                    missing.append(name)
        return missing

    def save_optimizer_states(self, fname):
        """Saves the optimizer's states to a file, which MXNet's modules load too.

        The counts of updates are among them: the learning rate's schedule and the corrections that
        depend on counts go on from there.
        """
        require_state(self, "optimizer_initialized")
        updater = self._state_updater()
        if updater is None:
            self._kvstore.save_optimizer_states(fname)
            return
        optimizer = updater.optimizer
        counts = optimizer.num_update, optimizer._all_index_update_counts
        # One more entry, which MXNet does not look at.
        updater.states[_COUNTS] = counts
        try:
            states = updater.get_states()
        finally:
            del updater.states[_COUNTS]
        with open(fname, "wb") as file:
            file.write(states)

    def load_optimizer_states(self, fname):
        """Loads the optimizer's states from a file, which MXNet may have saved.

        Its counts of updates go on from those in the file, if they are in it, unless the optimizer
        was given ``begin_num_update``. The file is a pickle: use files that you trust.
        """
        require_state(self, "optimizer_initialized")
        updater = self._state_updater()
        if updater is None:
            self._kvstore.load_optimizer_states(fname)
            return
        with open(fname, "rb") as file:
            updater.set_states(file.read())
        updater.states_synced.pop(_COUNTS, None)
        counts = updater.states.pop(_COUNTS, None)
        optimizer = updater.optimizer
        if counts is not None and not optimizer.begin_num_update:
            optimizer.num_update, optimizer._all_index_update_counts = counts
            optimizer._set_current_context(0)

    def _state_updater(self):
        """What has the optimizer's states: the module's updater or the store's; None if neither."""
        updater = self._kvstore._updater if self._update_on_kvstore else self._updater
        return updater if isinstance(updater, opt.Updater) else None

    def install_monitor(self, mon):
        """Lets a ``Monitor`` see what the executors compute."""
        require_state(self, "binded")
        self._exec_group.install_monitor(mon)

    def prepare(self, data_batch, sparse_row_id_fn=None):
        """Prepares for a batch: fetches the rows of row-sparse parameters that it needs.

        Parameters
        ----------
        data_batch : DataBatch
            The batch.
        sparse_row_id_fn : callable, optional
            Gives the row ids, as NDArrays by the parameters' names, for a batch. The executors'
            parameters have these rows afterwards, and no others.

        Raises
        ------
        AssertionError
            The function gives no dict.
        ValueError
            A name is no parameter's.
        """
        require_state(self, "binded")
        if sparse_row_id_fn is None:
            return
        if not self._kvstore or not self._update_on_kvstore:
            warnings.warn(
                "prepare: sparse_row_id_fn has no effect: no KVStore updates the parameters",
                stacklevel=2,
            )
            return
        row_ids = sparse_row_id_fn(data_batch)
        require(
            isinstance(row_ids, dict),
            f"sparse_row_id_fn must give a dict, not {type(row_ids).__name__}",
        )
        unknown = [name for name in row_ids if name not in self._param_names]
        if unknown:
            raise ValueError(
                f"sparse_row_id_fn: there is no parameter {unknown[0]!r}; there are "
                f"{self._param_names}"
            )
        for name, ids in row_ids.items():
            index = self._param_names.index(name)
            arrays = self._exec_group.param_arrays[index]
            if arrays[0].stype != "row_sparse":
                warnings.warn(f"{name} is not row-sparse: its row ids are of no use", stacklevel=2)
            else:
                self._kvstore.row_sparse_pull(name, arrays, row_ids=ids, priority=-index)


def _reshaped(old, shapes, described):
    """A batch's descriptions of its arrays, where they fit, or the old ones with its shapes."""
    if described is not None and len(described) == len(shapes):
        described = [d if isinstance(d, DataDesc) else DataDesc(*d) for d in described]
        fit = all(tuple(d.shape) == shape for d, shape in zip(described, shapes))
        if fit and {d.name for d in described} == {d.name for d in old}:
            # The arrays may come in another order.
            return [DataDesc(d.name, tuple(d.shape), d.dtype, d.layout) for d in described]
    return [DataDesc(d.name, shape, d.dtype, d.layout) for d, shape in zip(old, shapes)]
