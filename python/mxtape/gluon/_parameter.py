"""Parameter and Constant: named arrays with their values on every context."""

import itertools
import warnings
from typing import Any

import numpy as np

from .. import autograd, initializer, ndarray, registry, symbol
from .._loader import core as _core
from ..base import MXNetError, numeric_types
from ..context import Context, check_context, cpu, current_context
from ..util import is_np_shape
from .utils import shape_is_known

# What blocks accept and return.
tensor_types = (symbol.Symbol, ndarray.NDArray)

_numbers = itertools.count()  # of the constants that were made
_generations = itertools.count(1)
_GRAD_REQS = ("write", "add", "null")
_STORAGE_TYPES = ("default", "row_sparse", "csr")


class DeferredInitializationError(MXNetError):
    """A parameter has no values yet: it waits for its shape, which the first forward pass tells."""


def _context_list(ctx):
    """Contexts as a list: the current one for None."""
    if ctx is None:
        return [current_context()]
    return [ctx] if isinstance(ctx, Context) else list(ctx)


def _same_dtype(one, other):
    return _core.dtype_name(one) == _core.dtype_name(other)


def _is_unknown(extent):
    return extent == (-1 if is_np_shape() else 0)


class _Arrays(list):
    """A parameter's arrays, one for each context. Blocks notice a change."""

    def __setitem__(self, key, value):
        super().__setitem__(key, value)
        Parameter._generation = next(_generations)


class Parameter:
    """A named array that a block learns or keeps, with a copy on each context.

    Parameters
    ----------
    name : str
    grad_req : {'write', 'add', 'null'}, default 'write'
        What backward does with the gradient. With 'add', :meth:`zero_grad` begins a new sum.
    shape : int or tuple of int, optional
        Extents of 0 are unknown until the first forward pass.
    dtype : str or numpy type, default float32
    lr_mult, wd_mult : float, default 1
        Factors of the learning rate and of the weight decay.
    init : Initializer or str, optional
        How the values begin; by default as :meth:`initialize` says.
    allow_deferred_init : bool, default False
        Whether :meth:`initialize` waits for an unknown shape, where it would raise otherwise.
    differentiable : bool, default True
        False for states that have no gradient, whatever `grad_req` says.
    stype, grad_stype : {'default', 'row_sparse', 'csr'}
        Storage types of the values and of the gradient. Values that are 'row_sparse' are for
        matrices of which a step uses few rows: a :class:`mxtape.gluon.Trainer` has all rows in its
        store, and :meth:`row_sparse_data` fetches some.

    Attributes
    ----------
    name : str
    grad_req, shape, dtype
        May be assigned.
    lr_mult, wd_mult : float
        A Trainer reads them at each step.
    init
        The parameter's own initializer, or None.

    Examples
    --------
    >>> import mxtape as mx
    >>> weight = mx.gluon.Parameter("fc_weight", shape=(2, 3), init="ones")
    >>> weight.initialize()
    >>> weight
    Parameter fc_weight (shape=(2, 3), dtype=<class 'numpy.float32'>)
    >>> weight.data().asnumpy().tolist()
    [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]
    """

    # Another number whenever a parameter of the process gets other arrays. Blocks remember theirs.
    _generation = 0

    def __init__(
        self,
        name,
        grad_req="write",
        shape=None,
        dtype=np.float32,
        lr_mult=1.0,
        wd_mult=1.0,
        init=None,
        allow_deferred_init=False,
        differentiable=True,
        stype="default",
        grad_stype="default",
    ) -> None:
        for key, value in (("stype", stype), ("grad_stype", grad_stype)):
            if value not in _STORAGE_TYPES:
                raise AssertionError(
                    f"Parameter {name}: {key} must be one of {_STORAGE_TYPES}, got {value!r}"
                )
        if isinstance(init, numeric_types):
            initializer.require(init, f"Parameter {name}")
        self.name = name
        self.lr_mult = lr_mult
        self.wd_mult = wd_mult
        self.init = init
        self._shape = (shape,) if isinstance(shape, (int, np.integer)) else shape
        self._dtype = dtype
        self._stype = stype
        self._grad_stype = grad_stype
        self._allow_deferred_init = allow_deferred_init
        self._differentiable = differentiable
        self._arrays: Any = None
        self._ctx_list: Any = None
        # While it waits for its shape: initializer, contexts, default initializer, values.
        self._deferred_init: tuple = ()
        self._trainer: Any = None
        self._var: Any = None
        self._grad_req: Any = None
        self.grad_req = grad_req

    def __repr__(self):
        return f"{type(self).__name__} {self.name} (shape={self.shape}, dtype={self.dtype})"

    def __getstate__(self):
        return {**self.__dict__, "_trainer": None, "_grad": self._grad}

    def __setstate__(self, state):
        grads = state.pop("_grad")
        self.__dict__.update(state)
        if grads is not None:
            self._grad = grads

    @property
    def _data(self):
        """One array for each context, in the order of ``_ctx_list``; None without values."""
        return self._arrays

    @_data.setter
    def _data(self, arrays):
        self._arrays = None if arrays is None else _Arrays(arrays)
        Parameter._generation = next(_generations)

    @property
    def _grad(self):
        """The gradient of each of these arrays; None without.

        The variables alone hold them: a buffer that nobody else has takes what backward has made
        without a copy.
        """
        gradients = [array.grad for array in self._data or ()]
        return gradients if gradients and gradients[0] is not None else None

    @_grad.setter
    def _grad(self, gradients):
        if gradients is None:
            if self._data is not None:
                self._data = [array.detach() for array in self._data]
        else:
            autograd.mark_variables(self._data, gradients, self.grad_req)

    # ---- what it is

    @property
    def grad_req(self):
        """What backward does with the gradient: 'write', 'add' or 'null'.

        An assignment makes a new gradient of zeros, or drops it.
        """
        return self._grad_req

    @grad_req.setter
    def grad_req(self, req):
        if req not in _GRAD_REQS:
            raise AssertionError(
                f"Parameter {self.name}: grad_req must be one of {_GRAD_REQS}, got {req!r}"
            )
        if not self._differentiable:
            req = "null"
        if req == self._grad_req:
            return
        self._grad_req = req
        if self._data is None:
            return
        if req == "null":
            self._grad = None
        else:
            self._init_grad()

    @property
    def dtype(self):
        """The data type; an assignment casts the values, as :meth:`cast` does."""
        return self._dtype

    @dtype.setter
    def dtype(self, dtype):
        self.cast(dtype)

    @property
    def shape(self):
        """The shape, in which extents of 0 are unknown (-1 under NumPy's shapes); None at first.

        An assignment may only tell what is unknown.
        """
        if self._shape is None or not is_np_shape():
            return self._shape
        return tuple(extent or -1 for extent in self._shape)

    @shape.setter
    def shape(self, new_shape):
        if self._shape is not None:
            fits = len(self._shape) == len(new_shape) and all(
                old in (-1, 0, new) for old, new in zip(self._shape, new_shape)
            )
            if not fits:
                raise AssertionError(
                    f"Parameter {self.name} has shape {self.shape}, which does not fit the shape "
                    f"{new_shape} that is given"
                )
        self._shape = new_shape

    @property
    def stype(self):
        """The storage type of the values."""
        return self._stype

    @property
    def grad_stype(self):
        """The storage type of the gradient."""
        return self._grad_stype

    def var(self):
        """A symbol of the parameter: the same one at each call."""
        if self._var is None:
            self._var = symbol.var(
                self.name,
                shape=self.shape,
                dtype=self.dtype,
                lr_mult=self.lr_mult,
                wd_mult=self.wd_mult,
                init=self.init,
                stype=self._stype,
            )
        return self._var

    # ---- initial values

    def initialize(
        self,
        init=None,
        ctx=None,
        default_init=initializer.Uniform(),  # noqa: B008 (MXNet's default)
        force_reinit=False,
    ) -> None:
        """Gives the parameter its values on all contexts, or has it wait for its shape.

        Parameters
        ----------
        init : Initializer or str, optional
            How the values begin; before the parameter's own `init`.
        ctx : Context or list of Context, default current_context()
            One copy of the values is made on each.
        default_init : Initializer or str, default Uniform(0.07)
            Used where the parameter has no initializer of its own.
        force_reinit : bool, default False
            Whether values that it has already are replaced; otherwise they are kept, with a
            warning.

        Raises
        ------
        ValueError
            The shape is not known, and the parameter may not wait for it.
        AssertionError
            An initializer is a class, and not one of its objects.
        """
        if self._data is not None and not force_reinit:
            warnings.warn(
                f"Parameter {self.name} is already initialized and keeps its values; "
                "force_reinit=True replaces them",
                stacklevel=2,
            )
            return
        contexts = [check_context(c, f"Parameter {self.name}") for c in _context_list(ctx)]
        if self._stype == "csr":
            raise ValueError(
                f"Parameter {self.name}: values of storage type 'csr' have no initial values"
            )
        if init is None:
            init = default_init if self.init is None else self.init
        if init is None:
            raise TypeError(f"Parameter {self.name}: expected an initializer or its name, got None")
        for given in (init, default_init):
            initializer.require(given, f"Parameter {self.name}")
        known = shape_is_known(self.shape)
        if not known and not self._allow_deferred_init:
            raise ValueError(
                f"Parameter {self.name} cannot be initialized: its shape {self.shape} is not known"
            )
        self._data = None
        self._deferred_init = (init, contexts, default_init, None)
        if known:
            self._finish_deferred_init()

    def _finish_deferred_init(self):
        """Makes the values, once the shape is known."""
        if not self._deferred_init:
            return
        if not shape_is_known(self.shape):
            raise AssertionError(
                f"Parameter {self.name} cannot be initialized: its shape {self.shape} is not "
                "known; give the layer in_units, in_channels or the like"
            )
        init, contexts, default_init, data = self._deferred_init
        with autograd.pause():
            if data is None:
                data = ndarray.zeros(self.shape, dtype=self.dtype, ctx=cpu())
                self._write_initial(init, default_init, data)
            self._init_impl(data, contexts)
        self._deferred_init = ()

    def _write_initial(self, init, default_init, data):
        if not isinstance(init, (str, initializer.Initializer)):
            init(initializer.InitDesc(self.name), data)  # Mixed, Load, a function: by the name
            return
        own = isinstance(default_init, (str, initializer.Initializer))
        description = initializer.InitDesc(self.name, {"__init__": init})
        initializer.create(default_init if own else init)(description, data)

    def _init_impl(self, data, ctx_list):
        """Puts a copy of the values on each context."""
        self._ctx_list = list(ctx_list)
        if data.stype != self._stype:
            data = _in_storage(data, self._stype)
        self._data = [data.copyto(ctx) for ctx in self._ctx_list]
        self._init_grad()

    def _init_grad(self):
        """Makes gradients of zeros."""
        if self.grad_req != "null":
            self._grad = [self._zeros_like(x) for x in self._data]

    def _zeros_like(self, array):
        if self._grad_stype == "default":
            return ndarray.zeros(array.shape, dtype=array.dtype, ctx=array.context)
        return ndarray.sparse.zeros(
            self._grad_stype, array.shape, dtype=array.dtype, ctx=array.context
        )

    def _load_init(self, data, ctx, cast_dtype=False, dtype_source="current"):
        """Begins with values from a file, or replaces what there is by them."""
        contexts = self._check_loaded(data, ctx, cast_dtype, dtype_source)
        if self.dtype and not _same_dtype(self.dtype, data.dtype):
            if dtype_source == "current":
                data = data.astype(self.dtype)
            else:
                self.cast(data.dtype)
        if self._data is None:
            self._shape = data.shape
            self._init_impl(data, contexts)
        else:
            self.set_data(data)
        self._deferred_init = ()

    def _check_loaded(self, data, ctx, cast_dtype, dtype_source):
        """Refuses values from a file that do not fit; the contexts where they will be."""
        if self.shape:
            fits = len(self.shape) == len(data.shape) and all(
                _is_unknown(own) or own == new for own, new in zip(self.shape, data.shape)
            )
            if not fits:
                raise AssertionError(
                    f"Parameter {self.name} has shape {self.shape}; the shape that is loaded is "
                    f"{data.shape}"
                )
        if cast_dtype and dtype_source not in ("current", "saved"):
            raise AssertionError(f"dtype_source must be 'current' or 'saved', got {dtype_source!r}")
        if self.dtype and not cast_dtype and not _same_dtype(self.dtype, data.dtype):
            raise AssertionError(
                f"Parameter {self.name} has dtype {_core.dtype_name(self.dtype)}; the dtype that "
                f"is loaded is {_core.dtype_name(data.dtype)}; cast_dtype=True casts it"
            )
        contexts = None if ctx is None else _context_list(ctx)
        own = self.list_ctx() if self._data is not None or self._deferred_init else None
        if contexts is not None and own is not None and set(contexts) != set(own):
            raise AssertionError(
                f"Parameter {self.name} cannot be loaded on {contexts}: it is on {own} already"
            )
        return own or contexts or [cpu()]

    # ---- values and gradients

    def _check_and_get(self, arr_list, ctx):
        """The array on a context; all of them for ``ctx=list``."""
        if arr_list is None:
            self._fail_without_data()
        if ctx is list or (ctx is None and len(arr_list) == 1):
            return arr_list if ctx is list else arr_list[0]
        wanted = current_context() if ctx is None else ctx
        for own, array in zip(self._ctx_list, arr_list):
            if own == wanted:
                return array
        raise RuntimeError(
            f"Parameter {self.name} was not initialized on context {wanted}, only on "
            f"{self._ctx_list}"
        )

    def _fail_without_data(self):
        if self._deferred_init:
            raise DeferredInitializationError(
                f"Parameter {self.name} has no values yet: its shape is {self.shape}. The first "
                "forward pass tells the shape; run one, or give the layer in_units, in_channels or "
                "the like"
            )
        raise RuntimeError(
            f"Parameter {self.name} has not been initialized. Call initialize() of the block, and "
            "use block.collect_params(), which has the parameters of blocks inside, where "
            "block.params has not"
        )

    def data(self, ctx=None) -> ndarray.NDArray:
        """The values on one context: the array itself.

        Parameters
        ----------
        ctx : Context, optional
            By default the only context that the parameter is on, or the current one of several.

        Raises
        ------
        DeferredInitializationError
            The parameter waits for its shape.
        RuntimeError
            The parameter has not been initialized, or not on this context; or its storage type is
            'row_sparse': see :meth:`row_sparse_data`.
        """
        if self._stype != "default":
            self._refuse_sparse("data")
        return self._check_and_get(self._data, ctx)

    def list_data(self):
        """The values on all contexts, in the order of :meth:`list_ctx`."""
        if self._stype != "default":
            self._refuse_sparse("list_data")
        return self._list_arrays()

    def _list_arrays(self):
        """The arrays of all contexts, whatever their storage type."""
        return self._check_and_get(self._data, list)

    def _refuse_sparse(self, method):
        raise RuntimeError(
            f"Parameter {self.name}: {method}() is for storage type 'default', and this one has "
            f"{self._stype!r}; use row_sparse_data(row_id)"
        )

    def grad(self, ctx=None) -> ndarray.NDArray:
        """The gradient on one context; the parameter and the errors are as of :meth:`data`."""
        return self._check_and_get(self._gradients(), ctx)

    def list_grad(self):
        """The gradients on all contexts, in the order of :meth:`list_ctx`."""
        return self._check_and_get(self._gradients(), list)

    def _gradients(self):
        gradients = self._grad
        if self._data is not None and gradients is None:
            raise RuntimeError(
                f"Parameter {self.name} has no gradient: its grad_req is {self.grad_req!r}"
            )
        return gradients

    def list_ctx(self) -> list[Context]:
        """The contexts that the values are on, or will be."""
        if self._data is not None:
            return self._ctx_list
        if self._deferred_init:
            return self._deferred_init[1]
        raise RuntimeError(f"Parameter {self.name} has not been initialized")

    @property
    def _ctx_map(self):
        """The number of each context's array, by type and number of the device."""
        found: list = [[], []]
        for i, ctx in enumerate(self._ctx_list or ()):
            numbers = found[ctx.device_typeid & 1]
            numbers += [None] * (ctx.device_id + 1 - len(numbers))
            numbers[ctx.device_id] = i
        return found

    def set_data(self, data) -> None:
        """Writes values to the arrays of all contexts.

        A parameter that waits for its shape has it then, and begins with these values.
        """
        self.shape = data.shape
        if self._data is None:
            if not self._deferred_init:
                raise AssertionError(f"Parameter {self.name} has not been initialized")
            self._deferred_init = (*self._deferred_init[:3], data)
            return
        trainer = self._trainer
        # A store that updates the values has a copy of its own, which is to be made anew.
        on_store = trainer and trainer._kv_initialized and trainer._update_on_kvstore
        if on_store and self not in trainer._params_to_init:
            trainer._reset_kvstore()
        for array in self._data:
            array[:] = data

    def reset_ctx(self, ctx) -> None:
        """Moves the values to other contexts; where there are several copies, their mean."""
        contexts = [check_context(c, f"Parameter {self.name}") for c in _context_list(ctx)]
        if self._data is not None:
            data = self._reduce()
            with autograd.pause():
                self._init_impl(data, contexts)
        elif self._deferred_init:
            init, _, default_init, data = self._deferred_init
            self._deferred_init = (init, contexts, default_init, data)
        else:
            raise ValueError(
                f"Parameter {self.name} has not been initialized, so it cannot be moved"
            )

    def _reduce(self):
        """The mean of the values on all contexts, as an array on the CPU."""
        if self._stype == "row_sparse":
            return self._whole()
        copies = [array.as_in_context(cpu()) for array in self.list_data()]
        return ndarray.add_n(*copies) / len(copies) if len(copies) > 1 else copies[0].copy()

    def _whole(self):
        """All rows of row_sparse values, as the store of the Trainer has them."""
        arrays = self._list_arrays()
        whole = ndarray.sparse.zeros("row_sparse", arrays[0].shape, dtype=arrays[0].dtype)
        if self._trainer is None:
            # Without a Trainer nobody has fetched rows: what there is, is all.
            arrays[0].copyto(whole)
        else:
            self._trainer._row_sparse_pull(self, [whole], None, full_idx=True)
        return whole

    def zero_grad(self) -> None:
        """Fills the gradients with zeros; those that are sparse have no rows or elements then."""
        for gradient in self._grad or ():
            if gradient.stype == "default":
                gradient[:] = 0
            else:
                self._zeros_like(gradient).copyto(gradient)

    def cast(self, dtype) -> None:
        """Converts the values and makes gradients of the new type, which keep their values."""
        self._dtype = dtype
        self._var = None
        if self._data is None:
            return
        with autograd.pause():
            gradients = self._grad
            self._data = [array.astype(dtype) for array in self._data]
            if gradients is not None:
                self._grad = [array.astype(dtype) for array in gradients]

    # ---- some rows of the values

    def row_sparse_data(self, row_id) -> ndarray.NDArray:
        """Some rows of values of storage type 'row_sparse', on the context of `row_id`.

        The rows come from the store of the parameter's Trainer, which has all of them. The array is
        the parameter's own, so that gradients reach it; it has these rows until the next call.

        Parameters
        ----------
        row_id : NDArray
            Numbers of rows, of any shape, in any order; some may be there several times.

        Returns
        -------
        RowSparseNDArray

        Raises
        ------
        RuntimeError
            The storage type is another, no Trainer was made with the parameter, or it has not been
            initialized on the context.
        MXNetError
            There is no such row.

        Examples
        --------
        >>> import mxtape as mx
        >>> weight = mx.gluon.Parameter("w", shape=(9, 2), init="ones", stype="row_sparse")
        >>> weight.initialize()
        >>> trainer = mx.gluon.Trainer([weight], "sgd")
        >>> weight.row_sparse_data(mx.nd.array([7, 3])).indices.asnumpy().tolist()
        [3, 7]
        """
        self._check_row_sparse("row_sparse_data", "data", row_id)
        array = self._check_and_get(self._data, row_id.context)
        self._trainer._row_sparse_pull(self, [array], row_id)
        return array

    def list_row_sparse_data(self, row_id):
        """As :meth:`row_sparse_data`, the same rows on all contexts."""
        self._check_row_sparse("list_row_sparse_data", "list_data", row_id)
        arrays = self._list_arrays()
        self._trainer._row_sparse_pull(self, arrays, row_id)
        return arrays

    def _check_row_sparse(self, method, instead, row_id):
        if self._stype != "row_sparse":
            raise RuntimeError(
                f"Parameter {self.name}: {method} is for storage type 'row_sparse', and this one "
                f"has {self._stype!r}; use {instead}()"
            )
        if not isinstance(row_id, ndarray.NDArray):
            raise TypeError(
                f"Parameter {self.name}: row_id must be an NDArray, got {type(row_id).__name__}"
            )
        if self._trainer is None:
            raise RuntimeError(
                f"Parameter {self.name}: row_sparse values are in the store of a Trainer, and none "
                "was made with this parameter"
            )

    def _set_trainer(self, trainer):
        self._trainer = trainer


def _in_storage(data, stype):
    """Values in a storage type; of dense ones, row_sparse has all rows, also those of zeros."""
    if data.stype != "default" or stype != "row_sparse":
        return data.tostype(stype)
    rows = ndarray.arange(data.shape[0], dtype="int64")
    return ndarray.sparse.row_sparse_array((data, rows), shape=data.shape)


class Constant(Parameter):
    """A parameter that no update changes: it has no gradient.

    Parameters
    ----------
    name : str
    value : NDArray or array_like

    Examples
    --------
    A block gets one by :meth:`ParameterDict.get_constant`:

    >>> import mxtape as mx
    >>> class Twice(mx.gluon.HybridBlock):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.factor = self.params.get_constant("factor", [2.0])
    ...     def hybrid_forward(self, F, x, factor):
    ...         return F.broadcast_mul(x, factor)
    >>> block = Twice()
    >>> block.initialize()
    >>> block(mx.nd.array([1, 2])).asnumpy().tolist()
    [2.0, 4.0]
    """

    def __init__(self, name, value) -> None:
        if not isinstance(value, ndarray.NDArray):
            value = ndarray.array(value)
        self.value = value
        super().__init__(
            name,
            grad_req="null",
            shape=value.shape,
            dtype=value.dtype,
            init=f"Constant_{name}_{next(_numbers)}",
        )

    def var(self):
        """A symbol of the constant. An initializer of its own is registered under its name."""
        if self.init.lower() not in registry.get_registry(initializer.Initializer):
            initializer.alias(self.init)(type("Init", (_Copy,), {"value": self.value}))
        return super().var()

    def _write_initial(self, init, default_init, data):
        if init == self.init:
            self.value.copyto(data)
        else:
            super()._write_initial(init, default_init, data)

    @property
    def grad_req(self):
        """Always 'null'; another value that is assigned is ignored, with a warning."""
        return "null"

    @grad_req.setter
    def grad_req(self, req):
        self._grad_req = "null"
        if req != "null":
            warnings.warn(
                f"Constant {self.name} has no gradient: grad_req={req!r} has no effect",
                stacklevel=2,
            )


class _Copy(initializer.Initializer):
    """Initial values of a Constant."""

    value: Any = None

    def _init_weight(self, _, arr):
        self.value.copyto(arr)
