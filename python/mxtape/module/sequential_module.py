"""``SequentialModule``: modules in a row, each fed with the outputs of the one before."""

import copy
import logging

from ._checks import require, require_state
from .base_module import _UNIFORM, BaseModule

__all__ = ["SequentialModule", "copy"]


class SequentialModule(BaseModule):
    """Modules in a row, trained together.

    Parameters
    ----------
    logger : logging.Logger, default logging
        Where :meth:`fit` writes.

    Examples
    --------
    >>> import mxtape as mx
    >>> hidden = mx.sym.FullyConnected(mx.sym.Variable("data"), num_hidden=4, name="hidden")
    >>> scores = mx.sym.FullyConnected(mx.sym.Variable("data"), num_hidden=2, name="scores")
    >>> both = mx.mod.SequentialModule()
    >>> _ = both.add(mx.mod.Module(hidden, label_names=None))
    >>> last = mx.mod.Module(mx.sym.SoftmaxOutput(scores, name="softmax"))
    >>> _ = both.add(last, take_labels=True, auto_wiring=True)
    >>> both.bind([("data", (3, 5))], [("softmax_label", (3,))])
    >>> both.output_shapes
    [('softmax_output', (3, 2))]
    """

    META_TAKE_LABELS = "take_labels"
    META_AUTO_WIRING = "auto_wiring"

    def __init__(self, logger=logging):
        super().__init__(logger=logger)
        self._modules, self._metas = [], []
        self._data_shapes = self._label_shapes = None
        self._meta_keys = {self.META_TAKE_LABELS, self.META_AUTO_WIRING}

    def add(self, module, **kwargs):
        """Adds a module at the end, and returns this one, so that calls can be chained.

        Parameters
        ----------
        module : BaseModule
            The module.
        take_labels : bool, default False
            Whether the module is given the labels.
        auto_wiring : bool, default False
            Whether its data are the outputs of the module before, in their order, whatever the
            names are.
        """
        for key in kwargs:
            require(
                key in self._meta_keys,
                f'Unknown meta "{key}", a typo? There are {", ".join(sorted(self._meta_keys))}',
            )
        self._modules.append(module)
        self._metas.append(kwargs)
        # What was done with the modules so far does not count for all of them.
        self.binded = self.params_initialized = self.optimizer_initialized = False
        return self

    @property
    def data_names(self):
        """The names of the first module's data."""
        return self._modules[0].data_names if self._modules else []

    @property
    def output_names(self):
        """The names of the last module's outputs."""
        return self._modules[-1].output_names if self._modules else []

    @property
    def data_shapes(self):
        """The data's names and shapes."""
        require_state(self, "binded")
        return self._modules[0].data_shapes

    @property
    def label_shapes(self):
        """The labels' names and shapes; None where no module takes labels."""
        require_state(self, "binded")
        return self._label_shapes

    @property
    def output_shapes(self):
        """The outputs' names and shapes."""
        require_state(self, "binded")
        return self._modules[-1].output_shapes

    def get_params(self):
        """The parameters and auxiliary states of all modules, as two dictionaries."""
        require_state(self, "binded", "params_initialized")
        arg_params, aux_params = {}, {}
        for arguments, states in (module.get_params() for module in self._modules):
            arg_params.update(arguments)
            aux_params.update(states)
        return arg_params, aux_params

    def init_params(
        self,
        initializer=_UNIFORM,
        arg_params=None,
        aux_params=None,
        allow_missing=False,
        force_init=False,
        allow_extra=False,
    ):
        """Initialises all modules: see ``BaseModule.init_params``. Their names must differ."""
        if self.params_initialized and not force_init:
            return
        require(self.binded, "call bind before initializing the parameters")
        for module in self._modules:
            # Each is given all values: those of the others are no error.
            module.init_params(
                initializer=initializer,
                arg_params=arg_params,
                aux_params=aux_params,
                allow_missing=allow_missing,
                force_init=force_init,
                allow_extra=True,
            )
        owners: dict = {}
        for i, module in enumerate(self._modules):
            for name in [name for params in module.get_params() for name in params]:
                require(
                    name not in owners,
                    f'Duplicated parameter names: name "{name}" in layer {i} ({type(module)}) is '
                    f"already used in layer {owners.get(name)}",
                )
                owners[name] = i
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
        """Binds all modules, each to the output shapes of the one before.

        See ``BaseModule.bind``. ``shared_module`` is not supported.
        """
        if self.binded and not force_rebind:
            self.logger.warning("Already bound, ignoring bind()")
            return
        require(
            for_training or not inputs_need_grad,
            "bind(for_training=False, inputs_need_grad=True): gradients need for_training=True",
        )
        require(shared_module is None, "shared_module for SequentialModule is not supported")
        require(len(self._modules) > 0, "bind: no module was added")
        shapes, anybody_takes_labels = data_shapes, False
        for i, (meta, module) in enumerate(zip(self._metas, self._modules)):
            takes_labels = meta.get(self.META_TAKE_LABELS, False)
            anybody_takes_labels |= takes_labels
            if i > 0 and meta.get(self.META_AUTO_WIRING, False):
                names = module.data_names
                require(
                    len(names) == len(shapes),
                    f"layer {i} has the data {names}, but the layer before has "
                    f"{len(shapes)} outputs",
                )
                shapes = [(name, shape[1]) for name, shape in zip(names, shapes)]
            module.bind(
                data_shapes=shapes,
                label_shapes=label_shapes if takes_labels else None,
                for_training=for_training,
                # A gradient flows to the layer before; to the data only where it is asked for.
                inputs_need_grad=for_training and (inputs_need_grad or i > 0),
                force_rebind=force_rebind,
                shared_module=None,
                grad_req=grad_req,
            )
            shapes = module.output_shapes
        self.for_training = for_training
        self.inputs_need_grad = inputs_need_grad
        self._data_shapes = data_shapes
        self._label_shapes = label_shapes if anybody_takes_labels else None
        self.binded = True

    def init_optimizer(
        self,
        kvstore="local",
        optimizer="sgd",
        optimizer_params=(("learning_rate", 0.01),),
        force_init=False,
    ):
        """Makes an optimizer for each module: see ``Module.init_optimizer``."""
        require_state(self, "binded", "params_initialized")
        if self.optimizer_initialized and not force_init:
            self.logger.warning("optimizer already initialized, ignoring.")
            return
        for module in self._modules:
            module.init_optimizer(
                kvstore=kvstore,
                optimizer=optimizer,
                optimizer_params=optimizer_params,
                force_init=force_init,
            )
        self.optimizer_initialized = True

    def forward(self, data_batch, is_train=None):
        """Runs a batch forward, through one module after the other."""
        require_state(self, "binded", "params_initialized")
        batch = copy.copy(data_batch)
        for i, module in enumerate(self._modules):
            module.forward(batch, is_train=is_train)
            if i + 1 == len(self._modules):
                return
            batch.data = module.get_outputs()
            # The shapes that the batch came with are those of the first module's data.
            names = [name for name, _ in module.output_shapes]
            batch.provide_data = [(n, array.shape) for n, array in zip(names, batch.data)]

    def backward(self, out_grads=None):
        """Runs backward, through one module after the other, from the last."""
        require_state(self, "binded", "params_initialized")
        for i, module in reversed(list(enumerate(self._modules))):
            module.backward(out_grads=out_grads)
            if i > 0:
                out_grads = module.get_input_grads()

    def update(self):
        """Moves the parameters of all modules."""
        require_state(self, "binded", "params_initialized", "optimizer_initialized")
        for module in self._modules:
            module.update()

    def get_outputs(self, merge_multi_context=True):
        """The outputs of the last module."""
        require_state(self, "binded", "params_initialized")
        return self._modules[-1].get_outputs(merge_multi_context=merge_multi_context)

    def get_input_grads(self, merge_multi_context=True):
        """The gradients of the data: see ``BaseModule.get_input_grads``."""
        require_state(self, "binded", "params_initialized")
        require(
            self.inputs_need_grad, "re-bind with inputs_need_grad=True to get gradients of inputs"
        )
        return self._modules[0].get_input_grads(merge_multi_context=merge_multi_context)

    def update_metric(self, eval_metric, labels, pre_sliced=False):
        """Updates a metric with the outputs of the modules that take labels."""
        require_state(self, "binded", "params_initialized")
        for meta, module in zip(self._metas, self._modules):
            if meta.get(self.META_TAKE_LABELS, False):
                module.update_metric(eval_metric, labels, pre_sliced)

    def install_monitor(self, mon):
        """Lets a ``Monitor`` see what all modules compute."""
        require_state(self, "binded")
        for module in self._modules:
            module.install_monitor(mon)
