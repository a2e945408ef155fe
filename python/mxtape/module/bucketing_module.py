"""``BucketingModule``: one set of parameters, and a module for each size of input."""

import logging
from typing import Any

from .. import context as ctx
from .. import ndarray as nd
from .. import symbol as sym
from ..model import load_params
from ..name import NameManager
from ._checks import _check_input_names, as_names, ignores_params, require, require_state
from .base_module import _UNIFORM, BaseModule
from .module import Module

__all__ = ["BucketingModule"]

_CPU = ctx.cpu()


class BucketingModule(BaseModule):
    """Modules for inputs of different sizes, for example lengths, that share their parameters.

    A batch has a ``bucket_key``. The first batch of a bucket makes its module, by ``sym_gen``.
    Parameters, gradients, running statistics and the optimizer are those of the default bucket's
    module.

    Parameters
    ----------
    sym_gen : callable
        Gives ``(symbol, data_names, label_names)`` for a bucket key.
    default_bucket_key : object
        The key of the bucket that has the parameters: every other bucket's must be among them.

    The other arguments are those of ``Module``.

    Examples
    --------
    >>> import mxtape as mx
    >>> def sym_gen(length):
    ...     words = mx.sym.Embedding(mx.sym.Variable("data"), input_dim=9, output_dim=4)
    ...     scores = mx.sym.FullyConnected(mx.sym.sum(words, axis=1), num_hidden=2, name="scores")
    ...     return mx.sym.SoftmaxOutput(scores, name="softmax"), ("data",), ("softmax_label",)
    >>> module = mx.mod.BucketingModule(sym_gen, default_bucket_key=5)
    >>> module.bind([("data", (2, 5))], [("softmax_label", (2,))])
    >>> module.init_params()
    >>> batch = mx.io.DataBatch(
    ...     [mx.nd.ones((2, 3))],
    ...     bucket_key=3,
    ...     provide_data=[("data", (2, 3))],
    ...     provide_label=[("softmax_label", (2,))],
    ... )
    >>> module.forward(batch, is_train=False)
    >>> module.get_outputs()[0].shape, module.data_shapes[0].shape
    ((2, 2), (2, 3))
    """

    def __init__(
        self,
        sym_gen,
        default_bucket_key=None,
        logger=logging,
        context=_CPU,
        work_load_list=None,
        fixed_param_names=None,
        state_names=None,
        group2ctxs=None,
        compression_params=None,
    ):
        super().__init__(logger=logger)
        require(default_bucket_key is not None, "BucketingModule needs default_bucket_key")
        self._default_bucket_key = default_bucket_key
        self._sym_gen = sym_gen
        self._context = context
        self._work_load_list = work_load_list
        self._fixed_param_names = as_names(fixed_param_names, "fixed_param_names")
        self._state_names = as_names(state_names, "state_names")
        self._group2ctxs = group2ctxs
        self._compression_params = compression_params
        symbol, data_names, label_names = self._call_sym_gen(default_bucket_key)
        _check_input_names(symbol, as_names(data_names, "data_names"), "data_names", True)
        _check_input_names(symbol, as_names(label_names, "label_names"), "label_names", False)
        _check_input_names(symbol, self._state_names, "state_names", True)
        _check_input_names(symbol, self._fixed_param_names, "fixed_param_names", True)
        self._buckets: dict = {}
        self._curr_module: Any = None
        self._curr_bucket_key: Any = None
        self._params_dirty = False
        self._monitor: Any = None
        self._grad_req: Any = None
        # Of a module that was loaded, until it is bound.
        self._loaded_params: Any = None

    def _call_sym_gen(self, *args, **kwargs):
        # Layers without names get the same ones in every bucket.
        with NameManager():
            generated = self._sym_gen(*args, **kwargs)
        if not isinstance(generated, tuple) or len(generated) != 3:
            raise ValueError(
                "sym_gen must give (symbol, data_names, label_names); "
                f"it gave {type(generated).__name__}"
            )
        return generated

    def _reset_bind(self):
        """Forgets what is bound."""
        self.binded = False
        self._curr_module = self._curr_bucket_key = None
        self._buckets = {}

    def _make_module(self, bucket_key):
        symbol, data_names, label_names = self._call_sym_gen(bucket_key)
        return Module(
            symbol,
            data_names,
            label_names,
            context=self._context,
            group2ctxs=self._group2ctxs,
            work_load_list=self._work_load_list,
            compression_params=self._compression_params,
            fixed_param_names=self._fixed_param_names,
            state_names=self._state_names,
            logger=self.logger,
        )

    @property
    def data_names(self):
        """The names of the data; before a bind, those of the default bucket."""
        if self.binded:
            return self._curr_module.data_names
        return self._call_sym_gen(self._default_bucket_key)[1]

    @property
    def output_names(self):
        """The names of the outputs; before a bind, those of the default bucket."""
        if self.binded:
            return self._curr_module.output_names
        return self._call_sym_gen(self._default_bucket_key)[0].list_outputs()

    @property
    def data_shapes(self):
        """The data's names and shapes, in the current bucket."""
        require_state(self, "binded")
        return self._curr_module.data_shapes

    @property
    def label_shapes(self):
        """The labels' names and shapes, in the current bucket."""
        require_state(self, "binded")
        return self._curr_module.label_shapes

    @property
    def output_shapes(self):
        """The outputs' names and shapes, in the current bucket."""
        require_state(self, "binded")
        return self._curr_module.output_shapes

    @property
    def symbol(self):
        """The symbol of the current bucket."""
        require_state(self, "binded")
        return self._curr_module.symbol

    def get_params(self):
        """The parameters and the auxiliary states, as two dictionaries of copies on the CPU."""
        require_state(self, "binded", "params_initialized")
        self._curr_module._params_dirty |= self._params_dirty
        params = self._curr_module.get_params()
        self._params_dirty = False
        return params

    def set_params(
        self, arg_params, aux_params, allow_missing=False, force_init=True, allow_extra=False
    ):
        """Sets parameters and auxiliary states: see ``Module.set_params``."""
        if not allow_missing:
            super().set_params(arg_params, aux_params, allow_missing, force_init, allow_extra)
            return
        if ignores_params(self, force_init):
            return
        require_state(self, "binded")
        self._curr_module.set_params(arg_params, aux_params, allow_missing, force_init, allow_extra)
        self._params_dirty = True
        self.params_initialized = True

    def init_params(
        self,
        initializer=_UNIFORM,
        arg_params=None,
        aux_params=None,
        allow_missing=False,
        force_init=False,
        allow_extra=False,
    ):
        """Initialises parameters and auxiliary states: see ``Module.init_params``."""
        if self.params_initialized and not force_init:
            return
        require(self.binded, "call bind before initializing the parameters")
        self._curr_module.init_params(
            initializer=initializer,
            arg_params=arg_params,
            aux_params=aux_params,
            allow_missing=allow_missing,
            force_init=force_init,
            allow_extra=allow_extra,
        )
        for module in self._buckets.values():
            module._arg_params = self._curr_module._arg_params
            module._aux_params = self._curr_module._aux_params
            module._params_dirty = False
            module.params_initialized = True
        self._params_dirty = False
        self.params_initialized = True

    def get_states(self, merge_multi_context=True):
        """The states of the current bucket: see ``Module.get_states``."""
        require_state(self, "binded", "params_initialized")
        return self._curr_module.get_states(merge_multi_context=merge_multi_context)

    def set_states(self, states=None, value=None):
        """Sets the states of the current bucket: see ``Module.set_states``."""
        require_state(self, "binded", "params_initialized")
        self._curr_module.set_states(states, value)

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
        """Makes the executors of the default bucket, which the shapes are for.

        See ``BaseModule.bind``. ``shared_module`` is not supported.
        """
        require(shared_module is None, "shared_module for BucketingModule is not supported")
        learnt, owner = None, self._curr_module
        if force_rebind:
            if self.binded and self.params_initialized:
                learnt = self.get_params()  # What was learnt is kept.
            self._reset_bind()
        if self.binded:
            self.logger.warning("Already bound, ignoring bind()")
            return
        module = self._make_module(self._default_bucket_key)
        module.bind(
            data_shapes,
            label_shapes,
            for_training,
            inputs_need_grad,
            force_rebind=False,
            grad_req=grad_req,
        )
        self.for_training = for_training
        self.inputs_need_grad = inputs_need_grad
        self._grad_req = grad_req
        self.binded = True
        self._curr_module = module
        self._curr_bucket_key = self._default_bucket_key
        self._buckets[self._default_bucket_key] = module
        if learnt is None and self._loaded_params is not None:
            learnt, self._loaded_params = self._loaded_params, None
        if learnt is not None:
            self.set_params(*learnt)
        if self.optimizer_initialized:
            module.borrow_optimizer(owner)  # A bind that is forced keeps the optimizer too.

    def switch_bucket(self, bucket_key, data_shapes, label_shapes=None):
        """Makes a bucket the current one; its first time makes its module.

        Parameters
        ----------
        bucket_key : object
            The key.
        data_shapes, label_shapes : list of DataDesc or (str, tuple)
            The shapes that its module is bound to, the first time.
        """
        require(self.binded, "call bind before switching bucket")
        if bucket_key not in self._buckets:
            module = self._make_module(bucket_key)
            module.bind(
                data_shapes,
                label_shapes,
                self._curr_module.for_training,
                self._curr_module.inputs_need_grad,
                force_rebind=False,
                shared_module=self._buckets[self._default_bucket_key],
                grad_req=self._grad_req,
            )
            if self._monitor is not None:
                module.install_monitor(self._monitor)
            self._buckets[bucket_key] = module
        self._curr_module = self._buckets[bucket_key]
        self._curr_bucket_key = bucket_key

    def init_optimizer(
        self,
        kvstore="local",
        optimizer="sgd",
        optimizer_params=(("learning_rate", 0.01),),
        force_init=False,
    ):
        """Makes the optimizer, for all buckets: see ``Module.init_optimizer``."""
        require_state(self, "binded", "params_initialized")
        if self.optimizer_initialized and not force_init:
            self.logger.warning("optimizer already initialized, ignoring.")
            return
        self._curr_module.init_optimizer(
            kvstore, optimizer, optimizer_params, force_init=force_init
        )
        for module in self._buckets.values():
            if module is not self._curr_module:
                module.borrow_optimizer(self._curr_module)
        self.optimizer_initialized = True

    def prepare(self, data_batch, sparse_row_id_fn=None):
        """Makes the module of a batch's bucket, before :meth:`forward` gets the batch."""
        require_state(self, "binded", "params_initialized")
        current = self._curr_bucket_key
        self._switch_to(data_batch)
        self._curr_module.prepare(data_batch, sparse_row_id_fn=sparse_row_id_fn)
        # The outputs that get_outputs gives are still those of the batch before.
        self._curr_module, self._curr_bucket_key = self._buckets[current], current

    def _switch_to(self, data_batch):
        self.switch_bucket(data_batch.bucket_key, data_batch.provide_data, data_batch.provide_label)

    def forward(self, data_batch, is_train=None):
        """Runs a batch forward, in the bucket of its ``bucket_key``."""
        require_state(self, "binded", "params_initialized")
        self._switch_to(data_batch)
        self._curr_module.forward(data_batch, is_train=is_train)
        self._params_dirty |= self._curr_module._params_dirty

    def backward(self, out_grads=None):
        """Computes the gradients: see ``BaseModule.backward``."""
        require_state(self, "binded", "params_initialized")
        self._curr_module.backward(out_grads=out_grads)

    def update(self):
        """Moves the parameters by the optimizer, along the gradients of the last backward."""
        require_state(self, "binded", "params_initialized", "optimizer_initialized")
        self._params_dirty = True
        self._curr_module.update()

    def get_outputs(self, merge_multi_context=True):
        """The outputs of the last forward: see ``BaseModule.get_outputs``."""
        require_state(self, "binded", "params_initialized")
        return self._curr_module.get_outputs(merge_multi_context=merge_multi_context)

    def get_input_grads(self, merge_multi_context=True):
        """The gradients of the data: see ``BaseModule.get_input_grads``."""
        require_state(self, "binded", "params_initialized")
        require(
            self.inputs_need_grad, "re-bind with inputs_need_grad=True to get gradients of inputs"
        )
        return self._curr_module.get_input_grads(merge_multi_context=merge_multi_context)

    def update_metric(self, eval_metric, labels, pre_sliced=False):
        """Updates a metric with the outputs of the last forward."""
        require_state(self, "binded", "params_initialized")
        self._curr_module.update_metric(eval_metric, labels, pre_sliced)

    def install_monitor(self, mon):
        """Lets a ``Monitor`` see what is computed, in buckets to come too."""
        require_state(self, "binded")
        self._monitor = mon
        for module in self._buckets.values():
            module.install_monitor(mon)

    def save_checkpoint(self, prefix, epoch, remove_amp_cast=False):
        """Saves the parameters, and the symbols of all buckets so far.

        Writes ``prefix-NNNN.params``, ``prefix-KEY-symbol.json`` for each bucket key, and, where
        the keys are numbers, ``prefix.buckets`` with them, which MXNet reads.
        """
        require_state(self, "binded", "params_initialized")
        for key, module in self._buckets.items():
            module.symbol.save(f"{prefix}-{key}-symbol.json", remove_amp_cast=remove_amp_cast)
        self.save_params(f"{prefix}-{epoch:04d}.params")
        if all(isinstance(key, int) for key in self._buckets):
            nd.save(f"{prefix}.buckets", [nd.array([k], dtype="int32") for k in self._buckets])

    @staticmethod
    def load(prefix, epoch, sym_gen=None, default_bucket_key=None, **kwargs):
        """A module from a checkpoint.

        Parameters
        ----------
        prefix : str
            What the files' names begin with.
        epoch : int
            The epoch.
        sym_gen : callable
            As for ``BucketingModule``.
        default_bucket_key : object
            As for ``BucketingModule``.
        kwargs
            Other arguments of ``BucketingModule``.

        Returns
        -------
        BucketingModule
            It gets its parameters when it is bound.
        """
        require(sym_gen is not None, "load: sym_gen is missing")
        require(
            default_bucket_key is not None,
            "load_dict: default_bucket_key is missing",
        )
        return BucketingModule._loaded(
            sym_gen, default_bucket_key, load_params(prefix, epoch), kwargs
        )

    @staticmethod
    def load_dict(
        sym_dict=None,
        sym_gen=None,
        default_bucket_key=None,
        arg_params=None,
        aux_params=None,
        **kwargs,
    ):
        """A module from symbols and parameters that are in memory.

        Parameters
        ----------
        sym_dict : dict
            Symbols, by bucket key; a key that it lacks asks ``sym_gen``. The inputs of the symbols
            have the names that end in ``data`` and ``label``, unless entries are what ``sym_gen``
            gives.
        sym_gen : callable, optional
            As for ``BucketingModule``.
        default_bucket_key : object
            As for ``BucketingModule``.
        arg_params, aux_params : dict of str to NDArray
            Parameters and auxiliary states.
        kwargs
            Other arguments of ``BucketingModule``.
        """
        require(sym_dict is not None, "load_dict: sym_dict is missing")
        require(arg_params is not None, "load_dict: arg_params is missing")
        require(aux_params is not None, "load_dict: aux_params is missing")
        require(
            default_bucket_key is not None,
            "load_dict: default_bucket_key is missing",
        )

        def generate(key):
            if key not in sym_dict:
                require(sym_gen is not None, f"sym_dict has no bucket {key!r}, and no sym_gen")
                return sym_gen(key)
            entry = sym_dict[key]
            if not isinstance(entry, sym.Symbol):
                return entry
            names = entry.list_arguments()
            data = tuple(name for name in names if name.endswith("data"))
            return entry, data, tuple(name for name in names if name.endswith("label"))

        return BucketingModule._loaded(
            generate, default_bucket_key, (arg_params, aux_params), kwargs
        )

    @staticmethod
    def _loaded(sym_gen, default_bucket_key, params, kwargs):
        module = BucketingModule(sym_gen, default_bucket_key, **kwargs)
        module._loaded_params = params
        module.params_initialized = True
        return module
