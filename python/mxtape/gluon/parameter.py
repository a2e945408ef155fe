"""Parameters of blocks, with their values on every context: ``mx.gluon.Parameter``."""

import itertools
import warnings
from collections import OrderedDict
from typing import Any

import numpy as np

from .. import autograd, initializer, ndarray, symbol
from .._loader import core as _core
from ..base import MXNetError
from ..context import Context, check_context, cpu, current_context
from ..util import is_np_shape
from .utils import _brief_print_list, _indent, shape_is_known

__all__ = [
    "Constant",
    "DeferredInitializationError",
    "Parameter",
    "ParameterDict",
    "tensor_types",
]

# What blocks accept and return.
tensor_types = (symbol.Symbol, ndarray.NDArray)

_numbers = itertools.count()  # of the constants that were made
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
    stype, grad_stype : str, default 'default'
        Storage types of the values and of the gradient. Values are an error with another than
        'default'; gradients are dense with any.

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

    # How often a parameter of the process was put on contexts: blocks remember where theirs are.
    _placements = 0

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
    ):
        for key, value in (("stype", stype), ("grad_stype", grad_stype)):
            if value not in _STORAGE_TYPES:
                raise AssertionError(
                    f"Parameter {name}: {key} must be one of {_STORAGE_TYPES}, got {value!r}"
                )
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
        # One array for each context, in the order of _ctx_list; None before initialization.
        self._data: Any = None
        self._grad: Any = None
        self._ctx_list: Any = None
        # While it waits for its shape: initializer, contexts, default initializer, values.
        self._deferred_init: tuple = ()
        self._trainer: Any = None
        self._var: Any = None
        self._grad_req: Any = None
        self.grad_req = grad_req

    def __repr__(self):
        return f"{type(self).__name__} {self.name} (shape={self.shape}, dtype={self.dtype})"

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
        if req != "null":
            if self._data is not None:
                self._init_grad()
        elif self._grad is not None:
            self._grad = None
            self._data = [array.detach() for array in self._data]

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
        """The storage type that was asked for the gradient, which is dense."""
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
    ):
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
        """
        if self._data is not None and not force_reinit:
            warnings.warn(
                f"Parameter {self.name} is already initialized and keeps its values; "
                "force_reinit=True replaces them",
                stacklevel=2,
            )
            return
        contexts = [check_context(c, f"Parameter {self.name}") for c in _context_list(ctx)]
        if self._stype != "default":
            raise MXNetError(
                f"Parameter {self.name}: values of storage type {self._stype!r} are not supported"
            )
        if init is None:
            init = default_init if self.init is None else self.init
        known = shape_is_known(self.shape)
        if not known and not self._allow_deferred_init:
            raise ValueError(
                f"Parameter {self.name} cannot be initialized: its shape {self.shape} is not known"
            )
        self._data = self._grad = None
        Parameter._placements += 1
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
        if isinstance(init, (str, initializer.Initializer)):
            description = initializer.InitDesc(self.name, {"__init__": init})
            initializer.create(default_init if init is default_init else init)(description, data)
        else:
            init(initializer.InitDesc(self.name), data)  # Mixed, Load or a function: by the name

    def _init_impl(self, data, ctx_list):
        """Puts a copy of the values on each context."""
        self._ctx_list = list(ctx_list)
        self._data = [data.copyto(ctx) for ctx in self._ctx_list]
        Parameter._placements += 1
        self._init_grad()

    def _init_grad(self):
        """Makes gradients of zeros."""
        if self.grad_req == "null":
            self._grad = None
            return
        self._grad = [ndarray.zeros(x.shape, dtype=x.dtype, ctx=x.context) for x in self._data]
        self._mark()

    def _mark(self):
        autograd.mark_variables(self._data, self._grad, self.grad_req)

    def _load_init(self, data, ctx, cast_dtype=False, dtype_source="current"):
        """Begins with values from a file, or replaces what there is by them."""
        if self.shape:
            fits = len(self.shape) == len(data.shape) and all(
                _is_unknown(own) or own == new for own, new in zip(self.shape, data.shape)
            )
            if not fits:
                raise AssertionError(
                    f"Parameter {self.name} has shape {self.shape}; the shape that is loaded is "
                    f"{data.shape}"
                )
        if self.dtype:
            data = self._loaded_dtype(data, cast_dtype, dtype_source)
        contexts = None if ctx is None else _context_list(ctx)
        if self._data is not None:
            own = self.list_ctx()
        else:
            own = self._deferred_init[1] if self._deferred_init else None
        if contexts is not None and own is not None and set(contexts) != set(own):
            raise AssertionError(
                f"Parameter {self.name} cannot be loaded on {contexts}: it is on {own} already"
            )
        if self._data is None:
            self._shape = data.shape
            self._init_impl(data, own or contexts or [cpu()])
        else:
            self.set_data(data)
        self._deferred_init = ()

    def _loaded_dtype(self, data, cast_dtype, dtype_source):
        if cast_dtype and dtype_source not in ("current", "saved"):
            raise AssertionError(f"dtype_source must be 'current' or 'saved', got {dtype_source!r}")
        if _same_dtype(self.dtype, data.dtype):
            return data
        if not cast_dtype:
            raise AssertionError(
                f"Parameter {self.name} has dtype {_core.dtype_name(self.dtype)}; the dtype that "
                f"is loaded is {_core.dtype_name(data.dtype)}; cast_dtype=True casts it"
            )
        if dtype_source == "current":
            return data.astype(self.dtype)
        self.cast(data.dtype)
        return data

    # ---- values and gradients

    def _check_and_get(self, arr_list, ctx):
        """The array on a context; all of them for ``ctx=list``."""
        if arr_list is None:
            self._fail_without_data()
        if ctx is list:
            return arr_list
        if ctx is None:
            if len(arr_list) == 1:
                return arr_list[0]
            ctx = current_context()
        if ctx in self._ctx_list:
            return arr_list[self._ctx_list.index(ctx)]
        raise RuntimeError(
            f"Parameter {self.name} was not initialized on context {ctx}, only on {self._ctx_list}"
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

    def data(self, ctx=None):
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
            The parameter has not been initialized, or not on this context.
        """
        return self._check_and_get(self._data, ctx)

    def list_data(self):
        """The values on all contexts, in the order of :meth:`list_ctx`."""
        return self._check_and_get(self._data, list)

    def grad(self, ctx=None):
        """The gradient on one context; the parameter and the errors are as of :meth:`data`."""
        self._check_grad()
        return self._check_and_get(self._grad, ctx)

    def list_grad(self):
        """The gradients on all contexts, in the order of :meth:`list_ctx`."""
        self._check_grad()
        return self._check_and_get(self._grad, list)

    def _check_grad(self):
        if self._data is not None and self._grad is None:
            raise RuntimeError(
                f"Parameter {self.name} has no gradient: its grad_req is {self.grad_req!r}"
            )

    def list_ctx(self):
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

    def set_data(self, data):
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

    def reset_ctx(self, ctx):
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
        copies = [array.as_in_context(cpu()) for array in self.list_data()]
        return ndarray.add_n(*copies) / len(copies) if len(copies) > 1 else copies[0].copy()

    def zero_grad(self):
        """Fills the gradients with zeros; they have no effect where `grad_req` is 'null'."""
        for gradient in self._grad or ():
            gradient[:] = 0

    def cast(self, dtype):
        """Converts the values and makes gradients of the new type, which keep their values."""
        self._dtype = dtype
        self._var = None
        if self._data is None:
            return
        with autograd.pause():
            self._data = [array.astype(dtype) for array in self._data]
            if self._grad is not None:
                self._grad = [array.astype(dtype) for array in self._grad]
                self._mark()

    # ---- what sparse arrays and trainers need

    def row_sparse_data(self, row_id):
        """Some rows of values of storage type 'row_sparse', which is not supported.

        Raises
        ------
        RuntimeError
            The storage type is 'default': :meth:`data` has the values.
        """
        self._refuse_rows("row_sparse_data", "data")

    def list_row_sparse_data(self, row_id):
        """As :meth:`row_sparse_data`, for all contexts."""
        self._refuse_rows("list_row_sparse_data", "list_data")

    def _refuse_rows(self, method, instead):
        if self._stype == "row_sparse":
            raise MXNetError(
                f"Parameter {self.name}: {method}: storage type 'row_sparse' is not supported"
            )
        raise RuntimeError(
            f"Parameter {self.name}: {method} is for storage type 'row_sparse', and this one has "
            f"{self._stype!r}; use {instead}()"
        )

    def _set_trainer(self, trainer):
        self._trainer = trainer


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

    def __init__(self, name, value):
        if not isinstance(value, ndarray.NDArray):
            value = ndarray.array(value)
        self.value = value
        # Under a name, so that a variable can have it as an attribute, which is text.
        own = f"Constant_{name}_{next(_numbers)}"
        initializer.alias(own)(type("Init", (_Copy,), {"value": value}))
        super().__init__(name, grad_req="null", shape=value.shape, dtype=value.dtype, init=own)

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

    _init_default = _init_bias = _init_gamma = _init_beta = _init_weight


class ParameterDict:
    """Parameters by their names, in the order in which they came.

    Parameters
    ----------
    prefix : str, default ''
        What :meth:`get` puts before a name.
    shared : ParameterDict, optional
        Where :meth:`get` looks for a parameter before it makes one.

    Examples
    --------
    >>> import mxtape as mx
    >>> params = mx.gluon.ParameterDict("net_")
    >>> params.get("weight", shape=(2, 3))
    Parameter net_weight (shape=(2, 3), dtype=<class 'numpy.float32'>)
    >>> list(params.keys())
    ['net_weight']
    """

    def __init__(self, prefix="", shared=None):
        self._prefix = prefix
        self._params: OrderedDict = OrderedDict()
        self._shared = shared

    def __repr__(self):
        name = self._prefix + " " if self._prefix else ""
        lines = "\n".join(f"  {_indent(repr(param), 2)}" for param in self.values())
        return f"{name}(\n{lines}\n)"

    def __getitem__(self, key):
        return self._params[key]

    def __iter__(self):
        return iter(self._params)

    def items(self):
        """Names and parameters."""
        return self._params.items()

    def keys(self):
        """Names."""
        return self._params.keys()

    def values(self):
        """Parameters."""
        return self._params.values()

    @property
    def prefix(self):
        """What :meth:`get` puts before a name."""
        return self._prefix

    def _get_impl(self, name):
        """The parameter of this whole name, also of the shared ones; or None."""
        if name not in self._params and self._shared is not None and name in self._shared._params:
            self._params[name] = self._shared._params[name]
        return self._params.get(name)

    def get(self, name, **kwargs):
        """The parameter whose name is the prefix and `name`; it is made if there is none.

        Parameters
        ----------
        name : str
        **kwargs
            The arguments of :class:`Parameter`. One that exists must agree with them; what it does
            not know yet it learns.

        Raises
        ------
        AssertionError
            The parameter exists, and is another than the arguments say.
        """
        name = self._prefix + name
        param = self._get_impl(name)
        if param is None:
            param = self._params[name] = Parameter(name, **kwargs)
            return param
        for key, wanted in kwargs.items():
            _agree(param, key, wanted)
        return param

    def get_constant(self, name, value=None):
        """The constant whose name is the prefix and `name`; it is made of `value` if there is none.

        Raises
        ------
        KeyError
            There is no such constant, and no value.
        AssertionError
            There is one with another value, or a parameter of the name that is no constant.
        """
        name = self._prefix + name
        param = self._get_impl(name)
        if param is None:
            if value is None:
                raise KeyError(f"there is no constant {name!r}; give the value for a new one")
            param = self._params[name] = Constant(name, value)
            return param
        if value is None:
            return param
        if not isinstance(param, Constant):
            raise AssertionError(f"Parameter {name} exists and is no Constant")
        given = value.asnumpy() if isinstance(value, ndarray.NDArray) else np.asarray(value)
        own = param.value.asnumpy()
        if given.shape != own.shape or (given != own).any():
            raise AssertionError(f"Constant {name} exists with another value")
        return param

    def update(self, other):
        """Adds the parameters of another ParameterDict.

        Raises
        ------
        AssertionError
            There is another parameter of one name already.
        """
        for name, param in other.items():
            if self._params.setdefault(name, param) is not param:
                raise AssertionError(
                    f"update: there is another parameter of the name {name!r} already:\n"
                    f"{self._params[name]}\n{param}"
                )

    def initialize(
        self,
        init=initializer.Uniform(),  # noqa: B008 (MXNet's default)
        ctx=None,
        verbose=False,
        force_reinit=False,
    ):
        """Initializes all parameters; `init` is for those without an initializer of their own.

        The other parameters are as of :meth:`Parameter.initialize`; `verbose` has the initializer
        log what it does.
        """
        if verbose:
            init.set_verbosity(verbose=verbose)
        for param in self.values():
            param.initialize(None, ctx, init, force_reinit=force_reinit)

    def zero_grad(self):
        """Fills the gradients of all parameters with zeros."""
        for param in self.values():
            param.zero_grad()

    def list_ctx(self):
        """The contexts that a parameter is on, each once."""
        return list(dict.fromkeys(ctx for param in self.values() for ctx in param.list_ctx()))

    def reset_ctx(self, ctx):
        """Moves all parameters; see :meth:`Parameter.reset_ctx`."""
        for param in self.values():
            param.reset_ctx(ctx)

    def setattr(self, name, value):
        """Sets an attribute of all parameters.

        >>> import mxtape as mx
        >>> net = mx.gluon.nn.Dense(2, in_units=3)
        >>> net.collect_params().setattr("grad_req", "null")
        >>> net.weight.grad_req
        'null'
        """
        for param in self.values():
            setattr(param, name, value)

    def save(self, filename, strip_prefix=""):
        """Writes the values to a ``.params`` file, under the names without `strip_prefix`.

        Raises
        ------
        ValueError
            A name does not begin with `strip_prefix`.
        """
        arrays = {}
        for name, param in self.items():
            if not name.startswith(strip_prefix):
                raise ValueError(
                    f"save: parameter {name!r} does not begin with the prefix {strip_prefix!r} "
                    "that is to be left out; it may be shared with another block, or its block was "
                    "made outside of name_scope()"
                )
            arrays[name[len(strip_prefix) :]] = param._reduce()
        ndarray.save(filename, arrays)

    def load(
        self,
        filename,
        ctx=None,
        allow_missing=False,
        ignore_extra=False,
        restore_prefix="",
        cast_dtype=False,
        dtype_source="current",
    ):
        """Reads the values of the parameters from a file.

        Parameters
        ----------
        filename : str
            A ``.params`` file of :meth:`save`, ``mx.model.save_checkpoint`` or
            ``HybridBlock.export``.
        ctx : Context or list of Context, optional
            Where the parameters that have no values yet are to be.
        allow_missing, ignore_extra : bool, default False
            Whether the file may lack parameters, and may have others.
        restore_prefix : str, default ''
            Put before the names in the file.
        cast_dtype : bool, default False
            Whether a data type in the file that is another is no error.
        dtype_source : {'current', 'saved'}, default 'current'
            With `cast_dtype`: which of the two types the parameter has then.

        Raises
        ------
        AssertionError
            A parameter is missing in the file, or is of another shape or dtype there.
        ValueError
            The file has one that this has not.
        """
        loaded = ndarray.load(filename)
        if not isinstance(loaded, dict):
            raise ValueError(f"load: the arrays in {filename} have no names")
        self.load_dict(
            loaded,
            ctx,
            allow_missing,
            ignore_extra,
            restore_prefix,
            filename,
            cast_dtype,
            dtype_source,
        )

    def load_dict(
        self,
        param_dict,
        ctx=None,
        allow_missing=False,
        ignore_extra=False,
        restore_prefix="",
        filename=None,
        cast_dtype=False,
        dtype_source="current",
    ):
        """As :meth:`load`, with arrays by name in the place of a file, which `filename` is."""
        where = f"in file {filename!r}" if filename else "in param_dict"
        loaded = {}
        for key, array in param_dict.items():
            plain = key[4:] if key.startswith(("arg:", "aux:")) else key
            loaded[restore_prefix + plain] = array
        for name in () if allow_missing else self.keys():
            if not name.startswith(restore_prefix):
                raise AssertionError(
                    f"load: parameter {name!r} does not begin with restore_prefix "
                    f"{restore_prefix!r}"
                )
            if name not in loaded:
                raise AssertionError(
                    f"load: parameter {name[len(restore_prefix) :]!r} is missing {where}, which "
                    f"has {_brief_print_list(param_dict)}; allow_missing=True leaves it as it is"
                )
        for name in () if ignore_extra else loaded:
            if name not in self._params:
                raise ValueError(
                    f"load: {name[len(restore_prefix) :]!r} {where} is none of the parameters "
                    f"{_brief_print_list(self.keys())}; ignore_extra=True ignores it"
                )
        for name, array in loaded.items():
            if name in self._params:
                self._params[name]._load_init(array, ctx, cast_dtype, dtype_source)


def _agree(param, key, wanted):
    """Checks that a parameter is what a second caller of ``get`` wants, or completes it."""
    own = getattr(param, key, None)
    if own is None:
        setattr(param, key, wanted)
        return
    if wanted is None or wanted == own:
        return
    if key == "shape" and len(wanted) == len(own):
        pairs = list(zip(wanted, own))
        if all(a == b or _is_unknown(a) or _is_unknown(b) for a, b in pairs):
            param._shape = tuple(b if _is_unknown(a) else a for a, b in pairs)
            return
    if key == "dtype" and _same_dtype(wanted, own):
        return
    raise AssertionError(
        f"Parameter {param.name} exists already with {key}={own!r}, and is asked for with "
        f"{key}={wanted!r}"
    )
