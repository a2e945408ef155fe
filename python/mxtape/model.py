"""Checkpoints, what modules use of key-value stores, and the older interface ``FeedForward``."""

import logging
import os
import time
from collections import namedtuple
from typing import Any

import numpy as np

from . import _borrowed, io, metric
from . import kvstore as kvs
from . import ndarray as nd
from . import optimizer as opt
from . import symbol as sym
from .callback import LogValidationMetricsCallback
from .context import Context, cpu, current_context
from .initializer import InitDesc, Uniform
from .io import DataDesc
from .name import NameManager
from .optimizer import get_updater

__all__ = [
    "BASE_ESTIMATOR",
    "SKLEARN_INSTALLED",
    "BatchEndParam",
    "Context",
    "DataDesc",
    "FeedForward",
    "LogValidationMetricsCallback",
    "Uniform",
    "cpu",
    "get_updater",
    "io",
    "kvs",
    "load_checkpoint",
    "load_params",
    "logging",
    "namedtuple",
    "nd",
    "np",
    "opt",
    "os",
    "save_checkpoint",
    "sym",
    "time",
]

# FeedForward is no estimator of scikit-learn here: importing that takes longer than mxtape.
BASE_ESTIMATOR = object
SKLEARN_INSTALLED = False

# The defaults of arguments.
_UNIFORM = Uniform(0.01)
_LOG_METRICS = LogValidationMetricsCallback()

BatchEndParam = namedtuple(  # type: ignore[name-match]  # MXNet's name is in the plural
    "BatchEndParams", ["epoch", "nbatch", "eval_metric", "locals"]
)
BatchEndParam.__doc__ = "What callbacks are given; ``locals`` has the caller's variables by name."


def save_checkpoint(prefix, epoch, symbol, arg_params, aux_params, remove_amp_cast=True):
    """Saves a network and its parameters.

    Writes ``prefix-symbol.json`` and ``prefix-NNNN.params``, where NNNN is the epoch. MXNet reads
    both.

    Parameters
    ----------
    prefix : str
        What the files' names begin with.
    epoch : int
        The epoch.
    symbol : Symbol
        The network; None writes no JSON.
    arg_params, aux_params : dict of str to NDArray
        Parameters and auxiliary states.
    remove_amp_cast : bool, default True
        Whether to leave out the casts that automatic mixed precision put in.

    Examples
    --------
    >>> import os, tempfile, mxtape as mx
    >>> prefix = os.path.join(tempfile.mkdtemp(), "model")
    >>> network = mx.sym.FullyConnected(mx.sym.Variable("data"), num_hidden=2, name="fc")
    >>> weights = {"fc_weight": mx.nd.ones((2, 3)), "fc_bias": mx.nd.zeros((2,))}
    >>> mx.model.save_checkpoint(prefix, 7, network, weights, {})
    >>> symbol, arg_params, aux_params = mx.model.load_checkpoint(prefix, 7)
    >>> sorted(os.listdir(os.path.dirname(prefix))), symbol.list_outputs(), sorted(arg_params)
    (['model-0007.params', 'model-symbol.json'], ['fc_output'], ['fc_bias', 'fc_weight'])
    """
    if symbol is not None:
        symbol.save(f"{prefix}-symbol.json", remove_amp_cast=remove_amp_cast)
    named = {f"arg:{name}": value.as_in_context(cpu()) for name, value in arg_params.items()}
    named.update((f"aux:{name}", v.as_in_context(cpu())) for name, v in aux_params.items())
    fname = f"{prefix}-{epoch:04d}.params"
    nd.save(fname, named)
    logging.info('Saved checkpoint to "%s"', fname)


def _split_params(saved, fname, strict=True):
    """What a ``.params`` file had, as parameters and auxiliary states.

    Raises a ValueError for arrays without names, and for names of neither; where it is not
    ``strict``, the latter are left out, with a warning.
    """
    params: dict = {"arg": {}, "aux": {}}
    named = saved.items() if isinstance(saved, dict) else [(str(i), a) for i, a in enumerate(saved)]
    for key, value in named:
        kind, colon, name = key.partition(":")
        if colon and kind in params:
            params[kind][name] = value
            continue
        message = f"names of parameters begin with 'arg:' or 'aux:', but {fname!r} has {key!r}"
        if strict or not colon:
            raise ValueError(message)
        logging.warning("%s; it is left out", message)
    return params["arg"], params["aux"]


def load_params(prefix, epoch):
    """Loads the parameters of a checkpoint: ``prefix-NNNN.params``.

    Returns
    -------
    arg_params, aux_params : dict of str to NDArray
        Parameters and auxiliary states.

    Raises
    ------
    ValueError
        When the file has arrays without such names.
    """
    fname = f"{prefix}-{epoch:04d}.params"
    saved = nd.load(fname)
    if not saved:
        logging.warning("Params file '%s' is empty", fname)
    return _split_params(saved, fname, strict=False)


def load_checkpoint(prefix, epoch):
    """Loads a network and its parameters, which :func:`save_checkpoint` or MXNet saved.

    Parameters
    ----------
    prefix : str
        What the files' names begin with.
    epoch : int
        The epoch.

    Returns
    -------
    symbol : Symbol
        The network, from ``prefix-symbol.json``.
    arg_params, aux_params : dict of str to NDArray
        Parameters and auxiliary states, from ``prefix-NNNN.params``.
    """
    symbol = sym.load(f"{prefix}-symbol.json")
    arg_params, aux_params = load_params(prefix, epoch)
    return symbol, arg_params, aux_params


def _create_kvstore(kvstore, num_device, arg_params):
    """The store for a name, and whether the optimizer runs in it.

    One device needs none, unless its gradients are to be added with those of other machines.
    """
    update_on_kvstore = os.environ.get("MXNET_UPDATE_ON_KVSTORE", "1") != "0"
    if kvstore is None:
        store = None
    elif isinstance(kvstore, kvs.KVStoreBase):
        store = kvstore
    elif not isinstance(kvstore, str):
        raise TypeError(f"kvstore must be KVStore, str or None, not {type(kvstore).__name__}")
    elif num_device == 1 and "dist" not in kvstore:
        store = None
    else:
        store = kvs.create(kvstore)
        largest = max((array.size for array in (arg_params or {}).values()), default=0)
        if kvstore == "local" and largest > 1024 * 1024 * 16:
            # The store would be one more copy of the large parameters.
            update_on_kvstore = False
    return store, store is not None and update_on_kvstore


def _initialize_kvstore(kvstore, param_arrays, arg_params, param_names, update_on_kvstore):
    """Puts the parameters into the store; several processes begin with those of the first."""
    for index, (name, on_devices) in enumerate(zip(param_names, param_arrays)):
        kvstore.init(name, arg_params[name])
        if update_on_kvstore or "dist" in kvstore.type:
            kvstore.pull(name, on_devices, priority=-index, ignore_sparse=False)


def _update_params_on_kvstore(param_arrays, grad_arrays, kvstore, param_names, ignore_sparse=True):
    """Gives the gradients to the store, whose optimizer moves the parameters, and fetches these."""
    moved = [i for i, grads in enumerate(grad_arrays) if grads[0] is not None]
    wanted = {
        i: [x for x in param_arrays[i] if x.stype == "default" or not ignore_sparse] for i in moved
    }
    wanted = {i: arrays for i, arrays in wanted.items() if arrays}
    # All are pushed before one is pulled: a store of several processes adds them up together.
    if isinstance(kvstore, kvs.KVStore):
        kvstore._lend([param_names[i] for i in moved], [grad_arrays[i] for i in moved])
        keys = [param_names[i] for i in wanted]
        kvstore.pull(keys, list(wanted.values()), ignore_sparse=ignore_sparse)
        return
    # A store of the program's own need not know lists of keys.
    for index in moved:
        kvstore.push(param_names[index], grad_arrays[index], priority=-index)
    for index, arrays in wanted.items():
        kvstore.pull(param_names[index], arrays, priority=-index, ignore_sparse=ignore_sparse)


def _update_params(param_arrays, grad_arrays, updater, num_device, kvstore=None, param_names=None):
    """Moves the parameters of every device by the updater; a store only adds the gradients."""
    updates: list[list] = [[] for _ in range(num_device)]
    if kvstore is not None:
        _update_params_on_kvstore(grad_arrays, grad_arrays, kvstore, param_names, False)
    for index, (arrays, grads) in enumerate(zip(param_arrays, grad_arrays)):
        if grads[0] is None:
            continue
        for k, (array, grad) in enumerate(zip(arrays, grads)):
            updates[k].append((index * num_device + k, grad, array))
    for on_device in updates:
        if on_device:
            # All at once: an optimizer may move several parameters by one call of an operator.
            updater(*zip(*on_device))


def _rescale(batch_size, kvstore):
    """What gradients are multiplied by: they are sums over the samples of all workers."""
    if kvstore is not None and "dist" in kvstore.type and "_sync" in kvstore.type:
        batch_size *= kvstore.num_workers
    return 1.0 / batch_size


def _index_names(param_names, num_device, update_on_kvstore):
    """The parameters' names by the index that the optimizer knows them by."""
    if update_on_kvstore:
        return dict(enumerate(param_names))
    return {
        i * num_device + k: name for k in range(num_device) for i, name in enumerate(param_names)
    }


def _call(callbacks, *args):
    """Calls a callback, or each of several."""
    if callbacks is not None:
        for callback in callbacks if isinstance(callbacks, (list, tuple)) else [callbacks]:
            callback(*args)


def _train_multi_device(
    symbol,
    ctx,
    arg_names,
    param_names,
    aux_names,
    arg_params,
    aux_params,
    begin_epoch,
    end_epoch,
    epoch_size,
    optimizer,
    kvstore,
    update_on_kvstore,
    train_data,
    eval_data=None,
    eval_metric=None,
    epoch_end_callback=None,
    batch_end_callback=None,
    logger=None,
    work_load_list=None,
    monitor=None,
    eval_end_callback=None,
    eval_batch_end_callback=None,
    sym_gen=None,
):
    """The training of ``FeedForward``; the parameters are written back into the dictionaries.

    ``epoch_size`` is the number of batches of an epoch; None stands for all that there are.
    """
    from .executor_manager import DataParallelExecutorManager

    logger = logging if logger is None else logger
    executor_manager = DataParallelExecutorManager(
        symbol,
        ctx,
        train_data,
        arg_names,
        param_names,
        aux_names,
        work_load_list=work_load_list,
        logger=logger,
        sym_gen=sym_gen,
    )
    if monitor is not None:
        executor_manager.install_monitor(monitor)
    executor_manager.set_params(arg_params, aux_params)
    updater = None if update_on_kvstore else get_updater(optimizer)
    if kvstore is not None:
        if update_on_kvstore:
            kvstore.set_optimizer(optimizer)
        _initialize_kvstore(
            kvstore, executor_manager.param_arrays, arg_params, param_names, update_on_kvstore
        )

    # Callbacks are given the local variables: their names are those that programs ask for.
    train_data.reset()
    for epoch in range(begin_epoch, end_epoch):
        tic, nbatch = time.time(), 0
        eval_metric.reset()
        complete = False
        while not complete:
            do_reset = True
            for data_batch in train_data:
                if monitor is not None:
                    monitor.tic()
                executor_manager.load_data_batch(data_batch)
                executor_manager.forward(is_train=True)
                executor_manager.backward()
                arrays, grads = executor_manager.param_arrays, executor_manager.grad_arrays
                if update_on_kvstore:
                    _update_params_on_kvstore(arrays, grads, kvstore, param_names)
                else:
                    _update_params(arrays, grads, updater, len(ctx), kvstore, param_names)
                if monitor is not None:
                    monitor.toc_print()
                nbatch += 1
                executor_manager.update_metric(eval_metric, data_batch.label)
                if batch_end_callback is not None:
                    _call(batch_end_callback, BatchEndParam(epoch, nbatch, eval_metric, locals()))
                if epoch_size is not None and nbatch >= epoch_size:
                    do_reset = False
                    break
            if do_reset:
                logger.info("Epoch[%d] Resetting Data Iterator", epoch)
                train_data.reset()
            complete = epoch_size is None or nbatch >= epoch_size
        logger.info("Epoch[%d] Time cost=%.3f", epoch, time.time() - tic)
        if epoch_end_callback is not None or epoch + 1 == end_epoch:
            executor_manager.copy_to(arg_params, aux_params)
        _call(epoch_end_callback, epoch, symbol, arg_params, aux_params)

        if eval_data is not None:
            total_num_batch = 0
            for each in (eval_data, eval_metric):
                each.reset()
            for i, eval_batch in enumerate(eval_data):
                executor_manager.load_data_batch(eval_batch)
                executor_manager.forward(is_train=False)
                total_num_batch += 1
                executor_manager.update_metric(eval_metric, eval_batch.label)
                if eval_batch_end_callback is not None:
                    _call(eval_batch_end_callback, BatchEndParam(epoch, i, eval_metric, locals()))
            if eval_end_callback is not None:
                _call(
                    eval_end_callback, BatchEndParam(epoch, total_num_batch, eval_metric, locals())
                )


class FeedForward:
    """A network with ``fit``, ``predict`` and ``score`` over NumPy arrays or data iterators.

    MXNet calls it deprecated: new programs use ``mx.mod.Module``.

    Parameters
    ----------
    symbol : Symbol or callable
        The network; or what gives one for a bucket key.
    ctx : Context or list of Context, optional
        Where to run; the current context by default.
    num_epoch : int, optional
        The epoch to stop before.
    epoch_size : int, optional
        The number of batches of an epoch; all by default.
    optimizer : str or Optimizer, default 'sgd'
        The optimizer; ``kwargs`` are its arguments when it is a name.
    initializer : Initializer, default Uniform(0.01)
        What parameters start from.
    numpy_batch_size : int, default 128
        The batch size for NumPy arrays.
    arg_params, aux_params : dict of str to NDArray, optional
        Parameters and auxiliary states to start from.
    allow_extra_params : bool, default False
        Whether these may have names that the network does not have.
    begin_epoch : int, default 0
        The first epoch.

    Examples
    --------
    >>> import numpy as np
    >>> import mxtape as mx
    >>> x = np.arange(8, dtype="float32").reshape((8, 1)) / 8
    >>> line = mx.sym.FullyConnected(mx.sym.Variable("data"), num_hidden=1)
    >>> line = mx.sym.LinearRegressionOutput(line, mx.sym.Variable("softmax_label"))
    >>> model = mx.model.FeedForward(line, num_epoch=60, learning_rate=0.5, numpy_batch_size=8)
    >>> model.fit(x, 3 * x[:, 0] + 1, eval_metric="mse")
    >>> np.round(model.predict(x)[[0, -1], 0]).tolist()
    [1.0, 4.0]
    """

    def __init__(
        self,
        symbol,
        ctx=None,
        num_epoch=None,
        epoch_size=None,
        optimizer="sgd",
        initializer=_UNIFORM,
        numpy_batch_size=128,
        arg_params=None,
        aux_params=None,
        allow_extra_params=False,
        begin_epoch=0,
        **kwargs,
    ):
        is_symbol = isinstance(symbol, sym.Symbol)
        if not is_symbol and not callable(symbol):
            raise TypeError(
                "symbol must be a Symbol, or callable with a bucket key; "
                f"got {type(symbol).__name__}"
            )
        self.symbol: Any = symbol if is_symbol else None
        self.sym_gen = None if is_symbol else symbol
        self.arg_params, self.aux_params = arg_params, aux_params
        self.argument_checked = False
        self.allow_extra_params = allow_extra_params
        if is_symbol:
            self._check_arguments()
        ctx = [current_context()] if ctx is None else ctx
        self.ctx = [ctx] if isinstance(ctx, Context) else list(ctx)
        self.num_epoch = num_epoch
        self.epoch_size = epoch_size
        self.kwargs = kwargs
        self.optimizer = optimizer
        self.initializer = initializer
        self.numpy_batch_size = numpy_batch_size
        self.begin_epoch = begin_epoch
        self._pred_exec: Any = None

    def _check_arguments(self):
        """Requires that names are unique; drops extra parameters where they are allowed."""
        if self.argument_checked:
            return
        from .executor_manager import _check_arguments

        _check_arguments(self.symbol)
        self.argument_checked = True
        if self.allow_extra_params:
            known = set(self.symbol.list_arguments()), set(self.symbol.list_auxiliary_states())
            if self.arg_params:
                self.arg_params = {n: v for n, v in self.arg_params.items() if n in known[0]}
            if self.aux_params:
                self.aux_params = {n: v for n, v in self.aux_params.items() if n in known[1]}

    @staticmethod
    def _is_data_arg(name):
        return name.endswith(("data", "label"))

    def _init_params(self, inputs, overwrite=False):
        """Initialises what is missing, for inputs described by ``DataDesc`` or pairs.

        Returns the names of arguments, parameters and auxiliary states.
        """
        described = [d if isinstance(d, DataDesc) else DataDesc(*d) for d in inputs]
        names = self.symbol.list_arguments()
        known = [desc for desc in described if desc.name in names]
        shapes = self.symbol.infer_shape(**{desc.name: tuple(desc.shape) for desc in known})
        dtypes = self.symbol.infer_type(**{desc.name: desc.dtype for desc in known})
        if shapes[0] is None or dtypes[0] is None:
            raise ValueError(f"the shapes and dtypes do not follow from the inputs {described}")
        given = {desc.name for desc in described}
        param_names = [name for name in names if name not in given]
        aux_names = self.symbol.list_auxiliary_states()
        attributes = self.symbol.attr_dict()

        def values(all_names, all_shapes, all_dtypes, wanted, current):
            made = {}
            for name, shape, dtype in zip(all_names, all_shapes, all_dtypes):
                if name not in wanted:
                    continue
                array = nd.zeros(shape, dtype=dtype)
                if current and name in current and not overwrite:
                    array[:] = current[name]
                else:
                    self.initializer(InitDesc(name, attributes.get(name)), array)
                made[name] = array
            return made

        self.arg_params = values(names, shapes[0], dtypes[0], param_names, self.arg_params)
        self.aux_params = values(aux_names, shapes[2], dtypes[2], aux_names, self.aux_params)
        return names, param_names, aux_names

    def __getstate__(self):
        return {**self.__dict__, "_pred_exec": None}

    def __setstate__(self, state):
        self.__dict__.update(state)

    def _init_predictor(self, input_shapes, type_dict=None):
        """Binds for predicting, unless that is done for the same shapes."""
        shapes = {name: tuple(shape) for name, shape in input_shapes}
        if self.arg_params is None:
            raise ValueError("FeedForward has no parameters: call fit, or give arg_params")
        bound = self._pred_exec
        if bound is not None and all(
            bound.arg_dict[name].shape == shape for name, shape in shapes.items()
        ):
            return
        executor = self.symbol.simple_bind(
            self.ctx[0], grad_req="null", type_dict=type_dict, **shapes
        )
        executor.copy_params_from(self.arg_params, self.aux_params or {})
        self._pred_exec = executor

    def _init_iter(self, X, y, is_train):
        """The data as an iterator."""
        if isinstance(X, (np.ndarray, nd.NDArray)):
            if y is None:
                if is_train:
                    raise ValueError("X is an array: fit needs y, its labels")
                y = np.zeros(X.shape[0])
            y = y.asnumpy() if isinstance(y, nd.NDArray) else np.asarray(y)
            if X.shape[0] != y.shape[0]:
                raise ValueError(f"X has {X.shape[0]} examples, and y {y.shape[0]} labels")
            if y.ndim == 2 and y.shape[1] == 1:
                y = y.flatten()
            if y.ndim != 1:
                raise ValueError(
                    "Label must be 1D or 2D (with 2nd dimension being 1); "
                    f"it has the shape {y.shape}"
                )
            return io.NDArrayIter(
                X,
                y,
                min(X.shape[0], self.numpy_batch_size),
                shuffle=is_train,
                last_batch_handle="roll_over" if is_train else "pad",
            )
        if not isinstance(X, io.DataIter):
            raise TypeError(f"X must be DataIter, NDArray or numpy.ndarray, not {type(X).__name__}")
        return X

    def _init_eval_iter(self, eval_data):
        """The data to evaluate with, as an iterator: it may be given as a pair of arrays."""
        if eval_data is None:
            return None
        if isinstance(eval_data, (tuple, list)) and len(eval_data) == 2:
            X, y = eval_data
            if X is None:
                raise ValueError("Eval data is NONE: the pair's first entry is the data")
            if y is None and isinstance(X, io.DataIter):
                return X
            X, y = (np.array(part) if isinstance(part, list) else part for part in (X, y))
            return self._init_iter(X, y, is_train=True)
        if not isinstance(eval_data, io.DataIter):
            raise TypeError(
                "eval_data must be a DataIter or a pair of arrays, data and labels, got "
                f"{type(eval_data).__name__}"
            )
        return eval_data

    def _predictions(self, data, num_batch, reset):
        """Runs an iterator's batches; yields each with the number of samples that count."""
        if reset:
            data.reset()
        types = {desc[0]: getattr(desc, "dtype", np.float32) for desc in data.provide_data}
        self._init_predictor([(desc[0], desc[1]) for desc in data.provide_data], types)
        names = [desc[0] for desc in data.provide_data]
        for i, batch in enumerate(data):
            if i == num_batch:
                break
            self._init_predictor([(n, a.shape) for n, a in zip(names, batch.data)], types)
            self._pred_exec.forward(is_train=False, **dict(zip(names, batch.data)))
            yield i, batch, batch.data[0].shape[0] - (batch.pad or 0)

    def predict(self, X, num_batch=None, return_data=False, reset=True):
        """Predicts over data.

        Parameters
        ----------
        X : DataIter, NDArray or numpy.ndarray
            The data.
        num_batch : int, optional
            How many batches to read; all by default.
        return_data : bool, default False
            Whether to return the data and the labels too.
        reset : bool, default True
            Whether to start the iterator from its beginning.

        Returns
        -------
        numpy.ndarray or list of numpy.ndarray
            The output, or the list of outputs; with ``return_data`` the outputs, data and labels.
        """
        parts: tuple = ([], [], [])
        for _, batch, count in self._predictions(self._init_iter(X, None, False), num_batch, reset):
            # A copy: the next forward may write where the outputs are.
            read = self._pred_exec.outputs, batch.data, (batch.label or []) if return_data else []
            for part, arrays in zip(parts, read if return_data else read[:1]):
                part.append([array[0:count].asnumpy() for array in arrays])
        joined: list = []
        for part in parts:
            arrays = [np.concatenate(batches) for batches in zip(*part)]
            joined.append(arrays[0] if len(arrays) == 1 else arrays)
        return tuple(joined) if return_data else joined[0]

    def score(self, X, eval_metric="acc", num_batch=None, batch_end_callback=None, reset=True):
        """Computes a metric over data; returns its value.

        The arguments are those of :meth:`predict` and of ``BaseModule.score``.
        """
        if not isinstance(eval_metric, metric.EvalMetric):
            eval_metric = metric.create(eval_metric)
        eval_metric.reset()
        for i, batch, _ in self._predictions(self._init_iter(X, None, False), num_batch, reset):
            eval_metric.update(batch.label, self._pred_exec.outputs)
            if batch_end_callback is not None:
                _call(batch_end_callback, BatchEndParam(0, i, eval_metric, locals()))
        return eval_metric.get()[1]

    def fit(
        self,
        X,
        y=None,
        eval_data=None,
        eval_metric="acc",
        epoch_end_callback=None,
        batch_end_callback=None,
        kvstore="local",
        logger=None,
        work_load_list=None,
        monitor=None,
        eval_end_callback=_LOG_METRICS,
        eval_batch_end_callback=None,
    ):
        """Trains the network.

        Parameters
        ----------
        X : DataIter, NDArray or numpy.ndarray
            The data. Arrays are shuffled.
        y : NDArray or numpy.ndarray, optional
            The labels, one number for each sample, when X is an array.
        eval_data : DataIter or pair of arrays, optional
            What to evaluate with after each epoch.
        logger : logging.Logger, default logging
            Where to write.
        work_load_list : list of number, optional
            The share of each batch that each context gets.

        The other arguments are those of ``BaseModule.fit``.
        """
        if self.num_epoch is None:
            raise ValueError("FeedForward has no num_epoch: give it to FeedForward(...)")
        data = self._init_iter(X, y, is_train=True)
        eval_data = self._init_eval_iter(eval_data)
        logger = logging if logger is None else logger
        if self.sym_gen is not None:
            with NameManager():
                self.symbol = self.sym_gen(data.default_bucket_key)
            self._check_arguments()
        inputs = [*data.provide_data, *data.provide_label]
        arg_names, param_names, aux_names = self._init_params(inputs)
        self._pred_exec = None
        if not isinstance(eval_metric, metric.EvalMetric):
            eval_metric = metric.create(eval_metric)
        store, update_on_kvstore = _create_kvstore(kvstore, len(self.ctx), self.arg_params)
        optimizer = self._make_optimizer(
            _rescale(data.batch_size, store),
            _index_names(param_names, len(self.ctx), update_on_kvstore),
        )
        logger.info("Start training with %s", str(self.ctx))
        _train_multi_device(
            self.symbol,
            self.ctx,
            arg_names,
            param_names,
            aux_names,
            self.arg_params,
            self.aux_params,
            begin_epoch=self.begin_epoch,
            end_epoch=self.num_epoch,
            epoch_size=self.epoch_size,
            optimizer=optimizer,
            kvstore=store,
            update_on_kvstore=update_on_kvstore,
            train_data=data,
            eval_data=eval_data,
            eval_metric=eval_metric,
            epoch_end_callback=epoch_end_callback,
            batch_end_callback=batch_end_callback,
            logger=logger,
            work_load_list=work_load_list,
            monitor=monitor,
            eval_end_callback=eval_end_callback,
            eval_batch_end_callback=eval_batch_end_callback,
            sym_gen=self.sym_gen,
        )

    def _make_optimizer(self, rescale_grad, idx2name):
        if isinstance(self.optimizer, str):
            arguments = {"rescale_grad": rescale_grad, **self.kwargs}
            return opt.create(self.optimizer, sym=self.symbol, param_idx2name=idx2name, **arguments)
        if not isinstance(self.optimizer, opt.Optimizer):
            raise TypeError(
                f"optimizer must be a name or an Optimizer, not {type(self.optimizer).__name__}"
            )
        if not self.optimizer.idx2name:
            self.optimizer.idx2name = idx2name
        return self.optimizer

    def save(self, prefix, epoch=None, remove_amp_cast=True):
        """Saves a checkpoint, as :func:`save_checkpoint`; ``epoch`` is ``num_epoch`` by default."""
        epoch = self.num_epoch if epoch is None else epoch
        if epoch is None:
            raise ValueError("FeedForward.save needs epoch: there is no num_epoch")
        save_checkpoint(
            prefix, epoch, self.symbol, self.arg_params, self.aux_params, remove_amp_cast
        )

    @staticmethod
    def load(prefix, epoch, ctx=None, **kwargs):
        """A ``FeedForward`` from a checkpoint, that trains from ``epoch`` on.

        The other arguments are those of ``FeedForward``.
        """
        symbol, arg_params, aux_params = load_checkpoint(prefix, epoch)
        return FeedForward(
            symbol,
            ctx=ctx,
            arg_params=arg_params,
            aux_params=aux_params,
            begin_epoch=epoch,
            **kwargs,
        )

    @staticmethod
    def create(
        symbol,
        X,
        y=None,
        ctx=None,
        num_epoch=None,
        epoch_size=None,
        optimizer="sgd",
        initializer=_UNIFORM,
        eval_data=None,
        eval_metric="acc",
        epoch_end_callback=None,
        batch_end_callback=None,
        kvstore="local",
        logger=None,
        work_load_list=None,
        eval_end_callback=_LOG_METRICS,
        eval_batch_end_callback=None,
        **kwargs,
    ):
        """Makes a ``FeedForward`` and trains it: the arguments are those of both, together."""
        model = FeedForward(
            symbol,
            ctx=ctx,
            num_epoch=num_epoch,
            epoch_size=epoch_size,
            optimizer=optimizer,
            initializer=initializer,
            **kwargs,
        )
        model.fit(
            X,
            y,
            kvstore=kvstore,
            work_load_list=work_load_list,
            logger=logger,
            eval_metric=eval_metric,
            eval_data=eval_data,
            batch_end_callback=batch_end_callback,
            epoch_end_callback=epoch_end_callback,
            eval_batch_end_callback=eval_batch_end_callback,
            eval_end_callback=eval_end_callback,
        )
        return model


# What `from mxtape.model import *` gives besides.
__getattr__ = _borrowed.borrow(
    __name__,
    "metric=.metric warnings",
    {".executor_manager": "DataParallelExecutorManager", ".base": "mx_real_t"},
)
