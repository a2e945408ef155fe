"""Trainer: applies an optimizer to parameters, on one context or several, here or in a store."""

from typing import Any

from .. import kvstore as kvstores
from .. import optimizer as opt
from .._loader import core as _core
from .._missing import elsewhere
from ..autograd import is_recording
from ..base import MXNetError
from ..kvstore import KVStore
from ..model import _create_kvstore
from .parameter import Parameter, ParameterDict

__all__ = ["Trainer"]


class Trainer:
    """Updates parameters with an optimizer.

    With parameters on several contexts, or on several machines, it also adds up their gradients.
    That is the work of a store, ``mx.kv``; with one context in one process there is none, unless
    there are values of storage type 'row_sparse': the store has all their rows, and updates them.

    Parameters
    ----------
    params : ParameterDict, dict of str to Parameter, or list or tuple of Parameter
        Those of a dict are sorted by their names. All are on the same contexts. A parameter that
        is there twice counts once.
    optimizer : str or Optimizer
        A name, as of :func:`mxtape.optimizer.create`, or an optimizer.
    optimizer_params : dict, optional
        Arguments for an optimizer that is given by its name.
    kvstore : str, KVStore or None, default 'device'
        The store, or its type.
    compression_params : dict, optional
        For :meth:`mxtape.kvstore.KVStore.set_gradient_compression`, where there is a store.
    update_on_kvstore : bool, optional
        Whether the store updates the parameters. By default it does if it can and
        ``MXNET_UPDATE_ON_KVSTORE`` is not 0. :meth:`allreduce_grads` and :meth:`update` need it
        to be False. Without a store it has no effect.

    Examples
    --------
    >>> import mxtape as mx
    >>> net = mx.gluon.nn.Dense(1, in_units=2)
    >>> net.initialize(mx.init.One())
    >>> trainer = mx.gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": 0.5})
    >>> x = mx.nd.array([[1.0, 2.0], [3.0, 4.0]])
    >>> with mx.autograd.record():
    ...     loss = net(x).sum()
    >>> loss.backward()
    >>> trainer.step(batch_size=2)
    >>> net.weight.data().asnumpy().tolist()
    [[0.0, -0.5]]
    """

    def __init__(
        self,
        params,
        optimizer,
        optimizer_params=None,
        kvstore="device",
        compression_params=None,
        update_on_kvstore=None,
    ) -> None:
        self._params = _listed(params)
        self._param2idx = {param.name: index for index, param in enumerate(self._params)}
        self._contains_sparse_weight = any(param.stype != "default" for param in self._params)
        self._contains_sparse_grad = any(param.grad_stype != "default" for param in self._params)
        self._compression_params = compression_params
        self._contexts = self._check_contexts()
        self._watched: list = []
        self._init_optimizer(optimizer, optimizer_params)
        self._scale = self._optimizer.rescale_grad
        self._kvstore_params = {"kvstore": kvstore, "update_on_kvstore": update_on_kvstore}
        self._kvstore: Any = None
        self._reset_kvstore()
        for param in self._params:
            if param._trainer is not None:
                param._trainer._unwatch()
                param._trainer._give_back(param)
            param._set_trainer(self)

    def _check_contexts(self):
        """The contexts of the parameters, which are the same for all of them."""
        contexts = self._params[0].list_ctx()
        for param in self._params:
            if param.list_ctx() != contexts:
                raise AssertionError(
                    f"Trainer: all parameters must be on the same contexts; {param.name} is on "
                    f"{param.list_ctx()}, and {self._params[0].name} on {contexts}"
                )
        return contexts

    def _init_optimizer(self, optimizer, optimizer_params):
        by_index = dict(enumerate(self._params))
        if isinstance(optimizer, opt.Optimizer):
            if optimizer_params:
                raise AssertionError(
                    "Trainer: optimizer_params are for an optimizer given by its name; this one "
                    f"is a {type(optimizer).__name__} already"
                )
            optimizer.param_dict = by_index
            self._optimizer = optimizer
        else:
            options = optimizer_params or {}
            if not isinstance(options, dict):
                raise TypeError(
                    "Trainer: optimizer_params must be a dict such as {'learning_rate': 0.1}, got "
                    f"{options!r}"
                )
            self._optimizer = opt.create(optimizer, param_dict=by_index, **options)
        self._updaters = [opt.get_updater(self._optimizer) for _ in self._contexts]

    def _reset_kvstore(self):
        """Forgets the store; the next step makes it again."""
        self._unwatch()
        for param in self._params:
            self._give_back(param)
        self._kvstore = self._distributed = self._update_on_kvstore = None
        self._kv_initialized = False
        self._params_to_init = list(self._params)

    def _give_back(self, param):
        """Copies all rows to a row_sparse parameter, which has those of the last call only."""
        if self._kvstore is None or param.stype == "default" or param in self._params_to_init:
            return
        whole = param._whole()
        for array in param._list_arrays():
            whole.copyto(array)

    def _create_store(self):
        """The store, or None, and whether it should update."""
        name, wanted = self._kvstore_params["kvstore"], self._kvstore_params["update_on_kvstore"]
        if self._contains_sparse_weight:
            if not isinstance(name, (str, KVStore)):
                raise TypeError(
                    "Trainer: values of storage type 'row_sparse' need a store: kvstore must be a "
                    f"KVStore or str, got {name!r}"
                )
            if wanted is False:
                raise ValueError(
                    "Trainer: the store updates values of storage type 'row_sparse': "
                    "update_on_kvstore must not be False"
                )
            return (kvstores.create(name) if isinstance(name, str) else name), True
        known = {p.name: p.list_data()[0] for p in self._params if not p._deferred_init}
        store, on_store = _create_kvstore(name, len(self._contexts), known)
        # So that list_grad() has the sums, as with MXNet.
        return store, on_store and not self._contains_sparse_grad

    def _init_kvstore(self):
        """Makes the store, where one is needed, and decides who updates."""
        wanted = self._kvstore_params["update_on_kvstore"]
        store, on_store = self._create_store()
        if store is not None:
            able = store.is_capable("optimizer")
            if wanted and not able:
                raise ValueError(
                    f"Trainer: a store of type {store.type!r} does not update parameters; "
                    "update_on_kvstore must be False"
                )
            # Each process would decide for itself whether its gradients have overflowed.
            apart = "dist" in store.type and hasattr(self, "_amp_loss_scaler")
            if apart and (wanted or self._contains_sparse_weight):
                raise ValueError(
                    f"Trainer: mixed precision over a store of type {store.type!r} needs "
                    "update_on_kvstore=False"
                )
            on_store = able and not apart and (on_store if wanted is None else bool(wanted))
            if self._compression_params:
                store.set_gradient_compression(self._compression_params)
            if on_store:
                store.set_optimizer(self._optimizer)
        self._kvstore = store
        self._update_on_kvstore = on_store if store is not None else None
        self._distributed = store is not None and "dist" in store.type
        self._kv_initialized = True

    def _init_params(self):
        """Gives the store the parameters that have values and that it does not have yet."""
        if not self._params_to_init:
            return
        waiting = [param for param in self._params_to_init if param._deferred_init]
        ready = [param for param in self._params_to_init if not param._deferred_init]
        store = self._kvstore
        if store is not None and ready:
            keys = [self._param2idx[param.name] for param in ready]
            arrays = [param._list_arrays() for param in ready]
            if isinstance(store, KVStore):
                store.init(keys, [copies[0] for copies in arrays])
                self._pull(keys, arrays)
                if self._distributed and len(self._contexts) == 1:
                    self._join_store(keys, [copies[0] for copies in arrays])
            else:
                for key, copies in zip(keys, arrays):
                    store.broadcast(key, copies[0], copies)
        self._params_to_init = waiting

    def _join_store(self, keys, arrays):
        """Over processes: one memory for weights and values, sums while backward still runs."""
        store = self._kvstore
        if self._update_on_kvstore:
            dense = [(k, array) for k, array in zip(keys, arrays) if array.stype == "default"]
            store._share([k for k, _ in dense], [array for _, array in dense])
        if store.sum_during_backward:
            for key, array in zip(keys, arrays):
                param = self._params[key]
                if param.grad_req == "write" and param.grad_stype == "default":
                    self._watched.append(store._watch(key, array))

    def _unwatch(self):
        for watched in self._watched:
            watched.remove()
        self._watched = []

    def _prepare(self):
        """Makes the store and gives it parameters, where that is still to be done."""
        if not self._kv_initialized:
            self._init_kvstore()
        self._init_params()

    @property
    def optimizer(self) -> Any:
        """The optimizer; after :meth:`load_states`, the one that was loaded."""
        return self._optimizer

    @property
    def learning_rate(self) -> float:
        """The learning rate, before the parameters' multipliers."""
        return self._optimizer.learning_rate

    def set_learning_rate(self, lr) -> None:
        """Sets the learning rate of an optimizer that has no schedule.

        Parameters
        ----------
        lr : float

        Raises
        ------
        UserWarning
            The optimizer has an `lr_scheduler`.
        """
        self._optimizer.set_learning_rate(lr)

    def step(self, batch_size, ignore_stale_grad=False) -> None:
        """Adds up the gradients of all contexts and workers, and updates the parameters.

        Call it after ``backward``, outside ``record()``.

        Parameters
        ----------
        batch_size : int
            Gradients are divided by it. 1 if the loss is a mean already.
        ignore_stale_grad : bool, default False
            Leave parameters whose gradients ``backward`` has not written since the last step as
            they are, and raise no error.

        Raises
        ------
        UserWarning
            A gradient is stale: it has not been written since the last step. No parameter is
            changed then.
        DeferredInitializationError
            The shape of a parameter is not known: the layer has not been called.
        """
        if batch_size == 0:
            raise ZeroDivisionError("Trainer.step: batch_size must be above 0, got 0")
        self._check_and_rescale_grad(self._scale / batch_size)
        self._prepare()
        self._check_initialized()
        if self._kvstore is not None and not ignore_stale_grad:
            self._check_fresh()
        # Where the store updates, it must not get gradients that have overflowed.
        if self._update_on_kvstore and self._has_overflow():
            return
        self._allreduce_grads()
        if self._update_on_kvstore or not self._has_overflow():
            self._update(ignore_stale_grad)

    def allreduce_grads(self) -> None:
        """Adds up the gradients of all contexts and workers, without an update.

        To do something with the sums, such as clipping by their norm, before :meth:`update`.

        Raises
        ------
        AssertionError
            The store updates the parameters: give ``update_on_kvstore=False``.

        Examples
        --------
        >>> import mxtape as mx
        >>> net = mx.gluon.nn.Dense(1, in_units=2)
        >>> net.initialize()
        >>> trainer = mx.gluon.Trainer(net.collect_params(), "sgd", update_on_kvstore=False)
        >>> with mx.autograd.record():
        ...     loss = net(mx.nd.ones((4, 2))).sum()
        >>> loss.backward()
        >>> trainer.allreduce_grads()
        >>> grads = [p.grad() for p in net.collect_params().values()]
        >>> norm = mx.gluon.utils.clip_global_norm(grads, 1.0)
        >>> trainer.update(batch_size=4)
        """
        self._prepare()
        self._refuse_on_store("allreduce_grads")
        self._allreduce_grads()

    def update(self, batch_size, ignore_stale_grad=False) -> None:
        """Updates the parameters with the gradients as they are: :meth:`step` without the sums.

        Parameters
        ----------
        batch_size : int
            Gradients are divided by it.
        ignore_stale_grad : bool, default False
            As of :meth:`step`.

        Raises
        ------
        AssertionError
            The store updates the parameters: give ``update_on_kvstore=False``.
        UserWarning
            A gradient is stale.
        """
        self._prepare()
        self._check_initialized()
        self._refuse_on_store("update")
        self._check_and_rescale_grad(self._scale / batch_size)
        if not self._has_overflow():
            self._update(ignore_stale_grad)

    def _refuse_on_store(self, method):
        if self._update_on_kvstore:
            raise AssertionError(
                f"{method}: the store updates the parameters of this Trainer; make it with "
                "update_on_kvstore=False"
            )

    def _check_and_rescale_grad(self, scale):
        self._optimizer.rescale_grad = scale

    def _has_overflow(self):
        """Whether mixed precision has to leave this update out: see ``mx.contrib.amp``."""
        scaler = getattr(self, "_amp_loss_scaler", None)
        return scaler is not None and scaler.has_overflow(self._params)

    def _allreduce_grads(self):
        """Gives the gradients to the store, which adds them up, or updates the parameters too."""
        store = self._kvstore
        if store is None:
            return
        trained = [(i, p) for i, p in enumerate(self._params) if p.grad_req != "null"]
        if isinstance(store, KVStore):
            keys, grads = [i for i, _ in trained], [param.list_grad() for _, param in trained]
            store._lend(keys, grads)
            if self._update_on_kvstore:
                self._pull(keys, [param._list_arrays() for _, param in trained])
            else:
                store.pull(keys, grads, ignore_sparse=False)
            return
        # A store of the program's own need not know lists of keys.
        for i, param in trained:
            out = param.list_data() if self._update_on_kvstore else None
            store.pushpull(i, param.list_grad(), out=out, priority=-i)

    def _pull(self, keys, arrays):
        """Fetches the values of parameters, but the rows that a row_sparse one will need."""
        dense = [(k, copies) for k, copies in zip(keys, arrays) if copies[0].stype == "default"]
        if dense:
            self._kvstore.pull([k for k, _ in dense], [copies for _, copies in dense])

    def _check_initialized(self):
        """Whose shape is not known yet is named before others, which are then stale too."""
        if self._contains_sparse_weight:
            self._check_own_rows()
        for param in self._params_to_init:
            if param.grad_req != "null":
                param._list_arrays()

    def _check_own_rows(self):
        """Another trainer's store has the rows: what this one updates nobody would fetch."""
        for param in self._params:
            if param.stype != "default" and param._trainer is not self:
                raise RuntimeError(
                    f"Trainer: the values of parameter {param.name}, of storage type "
                    f"{param.stype!r}, are in the store of a Trainer that was made later; make "
                    "a new Trainer"
                )

    def _check_fresh(self):
        for param in self._params:
            if param.grad_req != "null":
                for data in param._list_arrays():
                    if not _core.fresh_grad(data):
                        _fail_stale(param, data)

    def _update(self, ignore_stale_grad=False):
        """Updates the parameters on each context, those with fresh gradients."""
        if self._update_on_kvstore:
            if not ignore_stale_grad:
                self._check_fresh()
            return
        rows: list = [([], [], []) for _ in self._updaters]
        is_fresh = _core.fresh_grad
        for index, param in enumerate(self._params):
            if param.grad_req == "null":
                continue
            datas = param.list_data()
            if len(datas) > len(rows):
                raise RuntimeError(
                    f"Trainer: parameter {param.name} is on {len(datas)} contexts now, and was on "
                    f"{len(rows)} when the Trainer was made: make a new one"
                )
            for (indices, grads, weights), data, grad in zip(rows, datas, param.list_grad()):
                if is_fresh(data):
                    indices.append(index)
                    grads.append(grad)
                    weights.append(data)
                elif not ignore_stale_grad:
                    _fail_stale(param, data)
        if rows[0][0] and is_recording():
            raise MXNetError(
                "Trainer: parameters cannot be updated inside record(); call step() after it"
            )
        for updater, (indices, grads, weights) in zip(self._updaters, rows):
            updater(indices, grads, weights)
            for weight in weights:
                _core.set_fresh_grad(weight, False)

    def _row_sparse_pull(self, parameter, out, row_id, full_idx=False):
        """Copies rows of a row_sparse parameter from the store to the arrays `out`."""
        self._prepare()
        key = self._param2idx[parameter.name]
        if full_idx:
            self._kvstore.pull(key, out, priority=-key, ignore_sparse=False)
        else:
            self._kvstore.row_sparse_pull(key, out=out, row_ids=row_id, priority=-key)

    def save_states(self, fname) -> None:
        """Writes the optimizer with its states, schedule and counts of updates to a file.

        :meth:`load_states` reads it, here and in MXNet 1.9.1.

        Parameters
        ----------
        fname : str

        Raises
        ------
        AssertionError
            The store updates the parameters, and some have no values yet.
        """
        self._prepare()
        if self._update_on_kvstore:
            if self._params_to_init:
                raise AssertionError(
                    "save_states: some parameters have no values yet, "
                    f"{self._params_to_init[0].name} among them: call the network once first"
                )
            self._kvstore.save_optimizer_states(fname, dump_optimizer=True)
            return
        states = self._updaters[0].get_states(dump_optimizer=True)
        with open(fname, "wb") as f:
            f.write(states)

    def load_states(self, fname) -> None:
        """Goes on from a file that :meth:`save_states` wrote, here or in MXNet.

        The optimizer, its settings, schedule and counts of updates become those of the file. It
        may have been written with another number of contexts.

        Parameters
        ----------
        fname : str
            The file is a pickle: do not load one from a source that you do not trust.
        """
        self._prepare()
        if self._update_on_kvstore:
            self._kvstore.load_optimizer_states(fname)
            updater = getattr(self._kvstore, "_updater", None)  # that of mx.kv has one
            self._optimizer = getattr(updater, "optimizer", self._optimizer)
        else:
            with open(fname, "rb") as file:
                saved = file.read()
            first, *others = self._updaters
            first.set_states(saved)
            self._optimizer = first.optimizer
            for updater in others:
                updater.set_states(saved)
                updater.optimizer = self._optimizer
        self._optimizer.param_dict = dict(enumerate(self._params))


elsewhere(
    Trainer,
    "zero_grad: backward() overwrites gradients by default; net.collect_params().zero_grad()",
)


def _fail_stale(param, data):
    raise UserWarning(
        f"the gradient of parameter {param.name} on {data.context} is stale: backward has not "
        "written it since the last step. If the loss depends on only some of the parameters on "
        "purpose, ignore_stale_grad=True leaves the others as they are"
    )


def _listed(params):
    """The parameters as a list."""
    if isinstance(params, (dict, ParameterDict)):
        params = [params[name] for name in sorted(params.keys())]
    if not isinstance(params, (list, tuple)):
        hint = "; did you mean net.collect_params()?" if hasattr(params, "collect_params") else ""
        raise ValueError(
            "Trainer: params must be a ParameterDict, a dict, or a list or tuple of Parameter; "
            f"got {type(params).__name__}{hint}"
        )
    for param in params:
        if not isinstance(param, Parameter):
            raise ValueError(
                f"Trainer: params must be of type Parameter; got a {type(param).__name__} "
                "among them"
            )
    if not params:
        raise ValueError("Trainer: there are no parameters to train")
    return list(dict.fromkeys(params))  # layers that share one may each have given it
