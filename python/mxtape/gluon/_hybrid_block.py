"""HybridBlock: a block whose computation is written once, for arrays and for symbols."""

import warnings
from typing import Any

from .. import ndarray, symbol
from .._loader import core as _core
from ..base import MXNetError
from ..context import Context
from ..ndarray import CachedOp, NDArray
from ..symbol import Symbol
from ._base_block import Block
from ._nested import flatten, leaves, regroup
from .parameter import DeferredInitializationError, Parameter

_device = _core.device
_thread = Context._thread


def _is_current(device):
    """Whether new arrays are made on a device, given as its type and number."""
    ctx = _thread.context or Context.default_ctx
    return ctx.device_id == device[1] and ctx.device_typeid == device[0]


def _is_plain(param):
    """Whether a parameter's values are found as those of every other."""
    return type(param).data is Parameter.data


class HybridBlock(Block):
    """A block that runs operator by operator, or as one graph after :meth:`hybridize`.

    A subclass defines ``hybrid_forward(F, x, *args, **params)``. `F` is ``mx.nd`` when it is called
    with arrays, and ``mx.sym`` when the graph is made. The parameters that are attributes of the
    block come as keywords, under the names of the attributes. All blocks in it must be hybrid ones.

    The parameters are as of :class:`Block`.

    Examples
    --------
    >>> import mxtape as mx
    >>> from mxtape.gluon import HybridBlock
    >>> class Scale(HybridBlock):
    ...     def __init__(self, **kwargs):
    ...         super().__init__(**kwargs)
    ...         self.factor = self.params.get("factor", shape=(1,), init="ones")
    ...     def hybrid_forward(self, F, x, factor):
    ...         return F.broadcast_mul(x, factor)
    >>> block = Scale()
    >>> block.initialize()
    >>> block(mx.nd.array([1, 2])).asnumpy().tolist()
    [1.0, 2.0]
    >>> block.hybridize()
    >>> block(mx.nd.array([1, 2])).asnumpy().tolist()
    [1.0, 2.0]
    """

    def __init__(self, prefix=None, params=None):
        super().__init__(prefix=prefix, params=params)
        self._active = False
        self._flags: list = []
        self._backend = None
        self._backend_opts: dict = {}
        self._callback = None
        self._monitor_all = False
        self._in_format: Any = None
        self._out_format: Any = None
        self._clear_cached_op()

    def __setattr__(self, name, value):
        super().__setattr__(name, value)
        if isinstance(value, HybridBlock):
            self._clear_cached_op()
        elif isinstance(value, Parameter):
            self._placed = -1

    def register_child(self, block, name=None):
        """Makes a hybrid block belong to this one, under a name or the next number.

        Raises
        ------
        ValueError
            The block is no HybridBlock.
        """
        if not isinstance(block, HybridBlock):
            raise ValueError(
                f"a block in a HybridBlock must be a HybridBlock, and {block!r} has the type "
                f"{type(block)}; for Sequential there is HybridSequential"
            )
        super().register_child(block, name)
        self._clear_cached_op()

    def hybridize(
        self,
        active=True,
        backend=None,
        clear=True,
        static_alloc=False,
        static_shape=False,
        inline_limit=2,
        forward_bulk_size=None,
        backward_bulk_size=None,
        **kwargs,
    ):
        """Has the block run as one graph, which the next call makes; and those inside too.

        Parameters
        ----------
        active : bool, default True
            False goes back to operator by operator.
        backend : None
            Another is an error: graphs run on mxtape's own engine only.
        clear : bool, default True
            Whether a graph that was made is made anew.
        static_alloc, static_shape, inline_limit, forward_bulk_size, backward_bulk_size
            Accepted, and change nothing; ``static_shape`` needs ``static_alloc``.
        **kwargs
            Options of a backend, which have no effect.
        """
        if backend:
            raise MXNetError(f"hybridize: there is no backend {backend!r}")
        flags = {
            "static_alloc": static_alloc,
            "static_shape": static_shape,
            "inline_limit": inline_limit,
            "forward_bulk_size": forward_bulk_size,
            "backward_bulk_size": backward_bulk_size,
        }
        self._active = bool(active)
        self._flags = [(key, value) for key, value in flags.items() if value is not None]
        if clear:
            self._clear_cached_op()
        if self._active and (self._forward_hooks or self._forward_pre_hooks):
            warnings.warn(
                f"{self!r} has forward hooks; they are not called where it is part of a block that "
                "runs as a graph",
                stacklevel=2,
            )
        super().hybridize(active, **flags)

    def _clear_cached_op(self):
        """Forgets the graph, and where the parameters are."""
        self._cached_graph: tuple = ()
        self._cached_op: Any = None
        self._cached_params: Any = None
        self._placed = -1  # Parameter._placements when the parameters were looked up
        self._placed_on: Any = None

    def cast(self, dtype):
        """Casts all parameters to another data type; the graph is made anew."""
        self._clear_cached_op()
        super().cast(dtype)

    def register_op_hook(self, callback, monitor_all=False):
        """Has ``callback(name, operator, array)`` called for each result, once hybridized.

        Parameters
        ----------
        callback : callable
            It is given the name of the result, the name of the operator, and the values.
        monitor_all : bool, default False
            Whether inputs are shown too.
        """
        self._callback, self._monitor_all = callback, monitor_all
        if self._cached_op is not None:
            self._cached_op._register_op_hook(callback, monitor_all)
        super().register_op_hook(callback, monitor_all)

    # ---- calls

    def forward(self, x, *args):
        """Calls ``hybrid_forward`` with the parameters, or the graph.

        Parameters
        ----------
        x, *args : NDArray or Symbol, or (nested) list of them
            Either arrays, all on one context, or symbols. Some may be None.

        Raises
        ------
        ValueError
            There are arrays and symbols, or neither; or arrays on several contexts.
        """
        if isinstance(x, NDArray) and self._placed == Parameter._placements:
            device = _device(x)
            if device == self._placed_on and _is_current(device):
                # The usual call: all is where it was the last time.
                if not self._active:
                    params = {key: param._data[0] for key, param in self._reg_params.items()}
                    return self.hybrid_forward(ndarray, x, *args, **params)
                if not args and self._cached_single:
                    return self._cached_op(x, *[param._data[0] for param in self._cached_params])
        return self._forward(x, *args)

    def _forward(self, *args):
        """A call that has to look what its arguments are and where the parameters are."""
        items = list(leaves(args))
        arrays = [item for item in items if isinstance(item, NDArray)]
        has_symbol = any(isinstance(item, Symbol) for item in items)
        if has_symbol and arrays:
            raise ValueError(f"{self.name}: the arguments are arrays and symbols, not one of both")
        if has_symbol:
            return self._compose(*args)
        if not arrays:
            raise ValueError(
                f"{self.name}: there is neither an array nor a symbol among the arguments, of "
                f"types {[type(arg) for arg in args]}"
            )
        devices = {_device(array) for array in arrays}
        ctx = arrays[0].context
        if len(devices) > 1:
            contexts = sorted({str(array.context) for array in arrays})
            raise ValueError(f"{self.name}: the arguments are on several contexts: {contexts}")
        if _is_current(_device(arrays[0])):
            return self._run(ctx, args)
        with ctx:
            return self._run(ctx, args)

    def _run(self, ctx, args):
        if self._active:
            return self._call_cached_op(*args)
        own = self._reg_params
        try:
            params = {key: param.data(ctx) for key, param in own.items()}
        except DeferredInitializationError:
            self._deferred_infer_shape(*args)
            for param in own.values():
                param._finish_deferred_init()
            params = {key: param.data(ctx) for key, param in own.items()}
        self._remember_places(own.values(), ctx)
        return self.hybrid_forward(ndarray, *args, **params)

    def _remember_places(self, params, ctx):
        """Notes that the parameters are on one context only, so that calls need not look."""
        if all(_is_plain(param) and len(param._data) == 1 for param in params):
            self._placed = Parameter._placements
            self._placed_on = (ctx.device_typeid, ctx.device_id)

    def _compose(self, *args):
        params = {key: param.var() for key, param in self._reg_params.items()}
        with self.name_scope():
            return self.hybrid_forward(symbol, *args, **params)

    def hybrid_forward(self, F, x, *args, **kwargs):
        """What the block computes; a subclass defines it.

        Parameters
        ----------
        F : module
            ``mx.nd`` for arrays, ``mx.sym`` for symbols.
        x, *args : NDArray or Symbol
        **kwargs
            The parameters.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define hybrid_forward")

    # ---- the graph

    def _get_graph(self, *args):
        """The symbols of the inputs, and of what the block makes of them."""
        flat, form = flatten(args, "input")
        if self._cached_graph and _same_form(form, self._in_format):
            return self._cached_graph
        given = [i for i, item in enumerate(flat) if item is not None]
        names = ["data"] if len(given) == 1 else [f"data{i}" for i in range(len(given))]
        inputs = [symbol.var(name) for name in names]
        items: list = [None] * len(flat)
        for i, variable in zip(given, inputs):
            items[i] = variable
        output = self._compose(*regroup(iter(items), _single(form)))
        outputs, self._out_format = flatten(output, "output")
        self._in_format = form
        self._cached_graph = inputs, outputs[0] if len(outputs) == 1 else symbol.Group(outputs)
        return self._cached_graph

    def _build_cache(self, *args):
        """Makes the CachedOp, and finds the parameter or the argument that each input is."""
        inputs, output = self._get_graph(*args)
        positions = {variable.name: i for i, variable in enumerate(inputs)}
        params = dict(self.collect_params().items())
        names = output.list_inputs()
        unknown = [name for name in names if name not in positions and name not in params]
        if unknown:
            raise MXNetError(
                f"{self.name}: the graph has inputs that are neither arguments nor parameters of "
                f"the block: {', '.join(unknown)}"
            )
        op = CachedOp(output, self._flags)
        if self._callback:
            op._register_op_hook(self._callback, self._monitor_all)
        self._cached_params = [params[name] for name in names if name not in positions]
        # Which argument is the input of which number.
        self._cached_slots = [(i, positions[n]) for i, n in enumerate(names) if n in positions]
        self._cached_single = (
            self._cached_slots == [(0, 0)] and self._in_format == [0] and self._out_format == 0
        )
        self._cached_op = op

    def _call_cached_op(self, *args):
        flat, form = flatten(args, "input")
        if self._cached_op is None:
            self._build_cache(*args)
        if not _same_form(form, self._in_format):
            raise ValueError(
                f"{self.name}: the arguments are nested as {form}, and the block was hybridized "
                f"for {self._in_format}; hybridize() has it made for others"
            )
        flat = [item for item in flat if item is not None]
        ctx = flat[0].context
        params = self._cached_params
        try:
            arrays = [param.data(ctx) for param in params]
        except DeferredInitializationError:
            self._deferred_infer_shape(*args)
            for param in params:
                param._finish_deferred_init()
            arrays = [param.data(ctx) for param in params]
        self._remember_places(params, ctx)
        for number, position in self._cached_slots:
            arrays.insert(number, flat[position])
        out = self._cached_op(*arrays)
        return regroup(iter([out] if isinstance(out, NDArray) else out), self._out_format)

    def _deferred_infer_shape(self, *args):
        try:
            self.infer_shape(*args)
        except Exception as error:
            raise ValueError(
                f"{self.name}: the shapes of its parameters do not follow from those of the "
                f"arguments: {error}"
            ) from error

    def infer_shape(self, *args):
        """Tells the parameters their shapes, from the shapes of the arguments."""
        self._infer_attributes("infer_shape", "shape", args)

    def infer_type(self, *args):
        """Tells the parameters their data types, from those of the arguments."""
        self._infer_attributes("infer_type", "dtype", args)

    def _infer_attributes(self, infer, attribute, args):
        inputs, output = self._get_graph(*args)
        flat = [item for item in flatten(args, "input")[0] if item is not None]
        known = {v.name: getattr(item, attribute) for v, item in zip(inputs, flat)}
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            arguments, _, states = getattr(output, infer)(**known)
        if arguments is None:
            raise ValueError(str(caught[0].message) if caught else f"{infer}: not all is known")
        found = dict(zip(output.list_arguments(), arguments))
        found.update(zip(output.list_auxiliary_states(), states))
        for param in self.collect_params().values():
            if param.name in found:
                setattr(param, attribute, found[param.name])

    def export(self, path, epoch=0, remove_amp_cast=True):
        """Writes the graph and the parameters to files that need no Python to be read.

        ``path-symbol.json`` and ``path-0000.params`` are read by :meth:`SymbolBlock.imports`,
        ``mx.model.load_checkpoint`` and MXNet.

        Parameters
        ----------
        path : str
            What the names of the files begin with.
        epoch : int, default 0
            The number in the name of the parameters' file.
        remove_amp_cast : bool, default True
            Leave out the casts that automatic mixed precision put in.

        Raises
        ------
        RuntimeError
            The block has not been called since it was hybridized.
        """
        if not self._cached_graph:
            raise RuntimeError(
                f"export: {self.name} has no graph yet; call hybridize(), and the block once"
            )
        graph = self._cached_graph[1]
        graph.save(f"{path}-symbol.json", remove_amp_cast=remove_amp_cast)
        states = set(graph.list_auxiliary_states())
        used = states.union(graph.list_arguments())
        arrays = {
            f"{'aux' if name in states else 'arg'}:{name}": param._reduce()
            for name, param in self.collect_params().items()
            if name in used
        }
        ndarray.save(f"{path}-{epoch:04d}.params", arrays)

    def optimize_for(
        self,
        x,
        *args,
        backend=None,
        clear=False,
        static_alloc=False,
        static_shape=False,
        inline_limit=2,
        forward_bulk_size=None,
        backward_bulk_size=None,
        **kwargs,
    ):
        """Graphs run on mxtape's own engine only: an MXNetError."""
        if not backend:
            raise ValueError("optimize_for: backend must be given")
        raise MXNetError(f"optimize_for: there is no backend {backend!r}")


def _single(form):
    """The form of variables in the place of what has this form: each has one output."""
    if isinstance(form, list):
        return [_single(inner) for inner in form]
    return min(form, 0)


def _same_form(form, other):
    """Whether two lists of arguments are nested in one way; Nones at the end do not count."""

    def stripped(forms):
        forms = list(forms)
        while forms and forms[-1] == -1:
            forms.pop()
        return forms

    return form == other or stripped(form) == stripped(other)
