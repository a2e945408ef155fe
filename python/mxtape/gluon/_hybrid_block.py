"""HybridBlock: a block whose computation is written once, for arrays and for symbols."""

import itertools
import operator
import warnings
from typing import Any

from .. import ndarray, symbol
from .._loader import core as _core
from ..base import MXNetError
from ..context import Context, current_context
from ..ndarray import NDArray
from ..ndarray.cached_op import CachedOp
from ..symbol import Symbol
from ._base_block import Block
from ._nested import flatten, leaves, regroup, same_form, without_outputs
from .parameter import DeferredInitializationError, Parameter
from .utils import shape_is_known

_device = _core.device
_thread = Context._thread
_NOT_READY = None, None
_NEVER: tuple = (-1, {})


def _all_on(device, items):
    """Whether all items are arrays on a device, which is given as its type and number."""
    for item in items:  # noqa: SIM110 (all() would cost each call of a block a generator)
        if not isinstance(item, NDArray) or _device(item) != device:
            return False
    return True


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

    def __init__(self, prefix=None, params=None, **kwargs) -> None:
        super().__init__(prefix=prefix, params=params, **kwargs)
        self._active = False
        self._flags: list = []
        self._backend = None
        self._backend_opts: dict = {}
        self._callback: Any = None
        self._monitor_all = False
        self._in_format: Any = None
        self._out_format: Any = None
        self._clear_cached_op()

    def __setattr__(self, name, value):
        super().__setattr__(name, value)
        if isinstance(value, HybridBlock):
            self._clear_cached_op()
        elif isinstance(value, Parameter) or name == "_active":
            self._ready = _NEVER

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
        self, active=True, backend=None, clear=True, static_alloc=False, static_shape=False,
        inline_limit=2, forward_bulk_size=None, backward_bulk_size=None, **kwargs
    ):  # fmt: skip
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
        self._cached_extra = -1  # how many arguments follow the first, where all are arrays
        # Puts arguments and parameters in the order of the graph's inputs; None where they are.
        self._cached_order: Any = None
        # Parameter._generation, and what holds until it is another: by device, the current context
        # and the parameters as a call needs them. One attribute, so that threads see both or none.
        self._ready = _NEVER

    def __getstate__(self):
        return {**self.__dict__, "_cached_op": None, "_ready": _NEVER}

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
        generation, ready = self._ready
        if generation == Parameter._generation and isinstance(x, NDArray):
            # The usual call: all is where it was the last time.
            device = _device(x)
            context, params = ready.get(device, _NOT_READY)
            if context is (_thread.context or Context.default_ctx):
                if not self._active:
                    return self.hybrid_forward(ndarray, x, *args, **params)
                if len(args) == self._cached_extra and _all_on(device, args):
                    order = self._cached_order
                    if order is None:
                        out = self._cached_op(x, *args, *params)
                    else:
                        out = self._cached_op(*order((x, *args, *params)))
                    return out if self._out_format == 0 else self._regrouped(out)
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
                f"types {[type(arg) for arg in args]}; mx.nd.array makes an array of a list or of "
                "NumPy's"
            )
        ctx = arrays[0].context
        if self._active and not _all_on(_device(arrays[0]), arrays):
            contexts = sorted({str(array.context) for array in arrays})
            raise ValueError(f"{self.name}: the arguments are on several contexts: {contexts}")
        current = current_context()
        if current == ctx:
            return self._run(current, args)
        with ctx:
            return self._run(ctx, args)

    def _run(self, ctx, args):
        if self._active:
            return self._call_cached_op(ctx, *args)
        generation, own = Parameter._generation, self._reg_params
        try:
            params = {key: param.data(ctx) for key, param in own.items()}
        except DeferredInitializationError:
            self._deferred_infer_shape(*args)
            for param in own.values():
                param._finish_deferred_init()
            params = {key: param.data(ctx) for key, param in own.items()}
        self._remember(generation, ctx, own.values(), params)
        return self.hybrid_forward(ndarray, *args, **params)

    def _remember(self, generation, ctx, params, arrays):
        """Notes the arrays of the parameters on a context, so that calls need not look for them.

        `generation` is from before they were looked up.
        """
        # What overrides data() is asked at each call.
        if all(type(param).data is Parameter.data for param in params):
            known, ready = self._ready
            if known != generation:
                ready = {}
            ready[ctx.device_typeid, ctx.device_id] = ctx, arrays
            self._ready = generation, ready

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
        if self._cached_graph and same_form(form, self._in_format):
            return self._cached_graph
        names = ["data"] if len(flat) == 1 else [f"data{i}" for i in range(len(flat))]
        inputs = [symbol.var(name) for name in names]
        output = self._compose(*regroup(iter(inputs), without_outputs(form)))
        outputs, self._out_format = flatten(output, "output")
        if not outputs:
            raise ValueError(f"{self.name}: hybrid_forward returns no symbol, but {output!r}")
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
            raise AssertionError(
                f"{self.name}: the graph has inputs that are neither arguments nor parameters of "
                f"the block: {', '.join(unknown)}"
            )
        unused = params.keys() - set(names)
        if unused:
            listed = ", ".join(name for name in params if name in unused)
            warnings.warn(f"{self.name}: no computation uses the parameters {listed}", stacklevel=7)
        for name, position in positions.items():
            if name not in names:
                warnings.warn(
                    f"{self.name}: no computation uses argument {position} of the {len(inputs)} "
                    "arrays that it is called with",
                    stacklevel=7,
                )
        op = CachedOp(output, self._flags)
        if self._callback:
            op._register_op_hook(self._callback, self._monitor_all)
        self._cached_params = [params[name] for name in names if name not in positions]
        # Which argument is the input of which number.
        self._cached_slots = [(i, positions[n]) for i, n in enumerate(names) if n in positions]
        count = len(inputs)
        numbers = itertools.count(count)
        order = [positions[n] if n in positions else next(numbers) for n in names]
        # itemgetter gives a tuple of two items and more.
        in_order = order[:count] == list(range(count))
        self._cached_order = None if in_order or not order else operator.itemgetter(*order)
        usable = (in_order or len(order) > 1) and self._in_format == [0] * count
        self._cached_extra = count - 1 if usable else -1
        self._cached_op = op

    def _call_cached_op(self, ctx, *args):
        flat, form = flatten(args, "input")
        if self._cached_op is None:
            self._build_cache(*args)
        if not same_form(form, self._in_format):
            raise ValueError(
                f"{self.name}: the arguments are nested as {form}, and the block was hybridized "
                f"for {self._in_format}; hybridize() has it made for others"
            )
        generation, params = Parameter._generation, self._cached_params
        try:
            arrays = [param.data(ctx) for param in params]
        except DeferredInitializationError:
            self._deferred_infer_shape(*args)
            for param in params:
                param._finish_deferred_init()
            arrays = [param.data(ctx) for param in params]
        self._remember(generation, ctx, params, tuple(arrays))
        for number, position in self._cached_slots:
            arrays.insert(number, flat[position])
        out = self._cached_op(*arrays)
        if not arrays:  # no array tells the graph where it runs
            made = [out] if isinstance(out, NDArray) else out
            out = [array.as_in_context(ctx) for array in made]
        return self._regrouped(out)

    def _regrouped(self, out):
        return regroup(iter([out] if isinstance(out, NDArray) else out), self._out_format)

    def _deferred_infer_shape(self, *args):
        try:
            self.infer_shape(*args)
        except Exception as error:
            raise ValueError(
                f"{self.name}: the shapes of its parameters do not follow from those of the "
                f"arguments, {[getattr(item, 'shape', item) for item in leaves(args)]}: {error}"
            ) from error

    def infer_shape(self, *args):
        """Tells the parameters their shapes, from the shapes of the arguments."""
        self._infer_attributes("infer_shape", "shape", args)

    def infer_type(self, *args):
        """Tells the parameters their data types, from those of the arguments."""
        self._infer_attributes("infer_type", "dtype", args)

    def _infer_attributes(self, infer, attribute, args):
        inputs, output = self._get_graph(*args)
        flat = flatten(args, "input")[0]
        known = {v.name: getattr(item, attribute) for v, item in zip(inputs, flat)}
        arguments, _, states = getattr(output, infer + "_partial")(**known)
        found = dict(zip(output.list_arguments(), arguments))
        found.update(zip(output.list_auxiliary_states(), states))
        params = [(found[key], p) for key, p in self.collect_params().items() if key in found]
        is_known = shape_is_known if attribute == "shape" else bool
        unknown = [f"{p.name}: {value}" for value, p in params if not is_known(value)]
        if unknown:
            raise ValueError(f"{infer}: of these parameters not all is known: {', '.join(unknown)}")
        for value, param in params:
            setattr(param, attribute, value)

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
        graph = self._exported_graph()
        graph.save(f"{path}-symbol.json", remove_amp_cast=remove_amp_cast)
        states = set(graph.list_auxiliary_states())
        params = self.collect_params()
        arrays = {
            f"{'aux' if name in states else 'arg'}:{name}": params[name]._reduce()
            for name in graph.list_inputs()
            if name in params
        }
        ndarray.save(f"{path}-{epoch:04d}.params", arrays)

    def _exported_graph(self):
        """The symbol of the outputs that a file has."""
        return self._cached_graph[1]

    def optimize_for(
        self, x, *args, backend=None, clear=False, static_alloc=False, static_shape=False,
        inline_limit=2, forward_bulk_size=None, backward_bulk_size=None, **kwargs
    ):  # fmt: skip
        """Graphs run on mxtape's own engine only: an MXNetError."""
        if not backend:
            raise ValueError("optimize_for: backend must be given")
        raise MXNetError(f"optimize_for: there is no backend {backend!r}")
