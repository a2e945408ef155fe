"""Binding symbols to arrays: what ``bind``, ``simple_bind`` and ``eval`` of a Symbol do."""

from .. import ndarray
from .._loader import core as _core
from ..base import MXNetError
from ..context import Context, current_context
from ..ndarray import NDArray, zeros

_REQS = {"null": 0, "write": 1, "add": 3}


def _check_context(ctx):
    if not isinstance(ctx, Context):
        raise TypeError(f"bind: ctx must be a Context, got {ctx!r}")


def _arrays(what, given, names, optional=False):
    """The arrays in a list or dict in the order of `names`; None where one may be missing."""
    if isinstance(given, dict):
        if not optional:
            for name in names:
                if name not in given:
                    raise ValueError(f"bind: {what} has no array for {name!r}")
        arrays = [given.get(name) for name in names]
    elif isinstance(given, (list, tuple)):
        arrays = list(given)
        if len(arrays) != len(names):
            raise ValueError(
                f"bind: {len(arrays)} arrays in {what}, the symbol has {len(names)}: {names}"
            )
    else:
        raise TypeError(f"bind: {what} must be a list or a dict of NDArrays, got {given!r}")
    for name, item in zip(names, arrays):
        if not (isinstance(item, NDArray) or (optional and item is None)):
            raise TypeError(f"bind: {what} has no NDArray for {name!r} but {item!r}")
    return arrays


def grad_reqs(grad_req, names):
    """What ``grad_req`` says of each argument: "write", "add" or "null".

    A string is for all, a list has one for each, and a dict those that are not "null".
    """
    if isinstance(grad_req, str):
        reqs = [grad_req] * len(names)
    elif isinstance(grad_req, (list, tuple)):
        if len(grad_req) != len(names):
            raise ValueError(
                f"grad_req: {len(grad_req)} values, the symbol has {len(names)} arguments: {names}"
            )
        reqs = list(grad_req)
    elif isinstance(grad_req, dict):
        reqs = [grad_req.get(name, "null") for name in names]
    else:
        raise TypeError(f"grad_req must be a string, a list or a dict, got {grad_req!r}")
    for req in reqs:
        if req not in _REQS:
            raise ValueError(f"grad_req must be 'write', 'add' or 'null', got {req!r}")
    return reqs


def _names(symbol):
    return symbol.list_arguments(), symbol.list_auxiliary_states()


def _bound(symbol, ctx, args, args_grad, grad_req, aux_states, group2ctx):
    from ..executor import Executor  # most programs with symbols have none

    _check_context(ctx)
    names, states = _names(symbol)
    arg_arrays = _arrays("args", args, names)
    if args_grad is None:
        grad_arrays = [None] * len(names)
    else:
        grad_arrays = _arrays("args_grad", args_grad, names, optional=True)
    aux_arrays = _arrays("aux_states", [] if aux_states is None else aux_states, states)
    reqs = [_REQS[req] for req in grad_reqs(grad_req, names)]
    handle = _core.Executor(symbol._graph, arg_arrays, grad_arrays, reqs, aux_arrays)
    executor = Executor(handle, symbol, ctx, grad_req, group2ctx)
    executor.arg_arrays, executor.grad_arrays = arg_arrays, grad_arrays
    executor.aux_arrays = aux_arrays
    return executor


class _Pool:
    """Where arrays for a new executor come from: another one, memory by name, or new memory."""

    def __init__(self, ctx, shared_exec, shared_names, shared_buffer):
        self._ctx = ctx
        self._exec = shared_exec
        self._names = set(shared_names or ())
        self._buffer = shared_buffer

    def _zeros(self, shape, dtype, stype):
        if stype == "default":
            return zeros(shape, self._ctx, dtype=dtype)
        return ndarray.sparse.zeros(stype, shape, self._ctx, dtype)

    def _of_executor(self, known, name, shape, dtype, stype):
        found = getattr(self._exec, known).get(name) if self._exec is not None else None
        if found is None or (found.shape, found.dtype, found.stype) != (shape, dtype, stype):
            return None
        return found

    def argument(self, name, shape, dtype, stype):
        if name in self._names and self._exec is not None:
            found = self._of_executor("arg_dict", name, shape, dtype, stype)
            if found is None:
                raise MXNetError(
                    f"simple_bind: {name} has shape {shape}, dtype {dtype.__name__} and storage "
                    f"type {stype!r} here, and others in shared_exec, or is not there"
                )
            return found
        return self._of_buffer(name, shape, dtype, stype)

    def gradient(self, name, shape, dtype, stype):
        if name in self._names:
            found = self._of_executor("grad_dict", name, shape, dtype, stype)
            if found is not None:
                return found
        return self._zeros(shape, dtype, stype)

    def state(self, name, shape, dtype, stype):
        found = self._of_executor("aux_dict", name, shape, dtype, stype)
        return self._zeros(shape, dtype, stype) if found is None else found

    def _of_buffer(self, name, shape, dtype, stype):
        # A sparse array has no memory of its own before values come in.
        if self._buffer is None or stype != "default":
            return self._zeros(shape, dtype, stype)
        found = self._buffer.get(name)
        size = 1
        for extent in shape:
            size *= extent
        if found is not None and found.dtype == dtype and found.size >= size:
            if found.shape == shape:
                return found
            return found.reshape((-1,))[:size].reshape(shape)
        self._buffer[name] = made = self._zeros(shape, dtype, stype)
        return made


def _infer(symbol, shapes, types, stypes, wanted):
    """Of the arguments and of the states: shape, dtype, storage type, that of the gradient.

    ``wanted`` says of each argument whether it has a gradient.
    """
    known = [*shapes.items(), *types.items(), *stypes.items()]
    given = "".join(f"\n{name}: {value}" for name, value in known)
    try:
        _, arguments, states = _core.infer_to_bind(symbol._graph, shapes, types, stypes, wanted)
    except MXNetError as error:
        raise MXNetError(f"simple_bind: {error}\nArguments given:{given}") from error
    names = symbol.list_arguments() + symbol.list_auxiliary_states()
    missing = [n for n, known in zip(names, arguments + states) if None in known[:2]]
    if missing:
        raise MXNetError(
            f"simple_bind: what is given does not determine the shapes of {', '.join(missing)}"
            f"\nArguments given:{given}"
        )
    return arguments, states


class Bindable:
    """The part of :class:`Symbol` that makes executors."""

    __slots__ = ()

    def bind(
        self,
        ctx,
        args,
        args_grad=None,
        grad_req="write",
        aux_states=None,
        group2ctx=None,
        shared_exec=None,
    ):
        """An executor that reads and writes given arrays.

        Parameters
        ----------
        ctx : Context
            Where the results are.
        args : list or dict of NDArray
            The arguments: in the order of :meth:`list_arguments`, or by name. A dict may have more.
        args_grad : list or dict of NDArray, optional
            Arrays for the arguments' gradients. Without one, an argument has no gradient.
        grad_req : str, list or dict, default 'write'
            What backward does with a gradient: 'write', 'add' or 'null', of all arguments, of each
            in their order, or by name. Names that a dict does not have count as 'null'.
        aux_states : list or dict of NDArray, optional
            The auxiliary states.
        group2ctx, shared_exec
            Accepted for compatibility: all memory is the CPU's, and results share what is free.

        Raises
        ------
        MXNetError
            The arrays do not fit the symbol; the message names the node.
        ValueError
            An array is missing, or ``grad_req`` is none of the three.
        TypeError
            Something else is given in place of an array.

        >>> import mxtape as mx
        >>> symbol = mx.sym.load_json('''{
        ...   "nodes": [
        ...     {"op": "null", "name": "x", "inputs": []},
        ...     {"op": "exp", "name": "y", "inputs": [[0, 0, 0]]}
        ...   ],
        ...   "arg_nodes": [0], "heads": [[1, 0, 0]]
        ... }''')
        >>> symbol.bind(mx.cpu(), {"x": mx.nd.zeros(2)}).forward()[0].asnumpy().tolist()
        [1.0, 1.0]
        """
        return _bound(self, ctx, args, args_grad, grad_req, aux_states, group2ctx)

    def simple_bind(
        self,
        ctx,
        grad_req="write",
        type_dict=None,
        stype_dict=None,
        group2ctx=None,
        shared_arg_names=None,
        shared_exec=None,
        shared_buffer=None,
        **kwargs,
    ):
        """An executor with new arrays of zeros, whose shapes follow from those that are given.

        Parameters
        ----------
        ctx : Context
            Where the arrays are.
        grad_req : str, list or dict, default 'write'
            As of :meth:`bind`. Arguments with 'null' get no array for a gradient.
        type_dict : dict of str to dtype, optional
            Dtypes of arguments; float32 where nothing determines one.
        stype_dict : dict of str to str, optional
            Storage types of arguments: 'default', 'row_sparse' or 'csr'. Where it does not say one,
            the variable does. A gradient is stored as the operators give it.
        shared_arg_names : list of str, optional
            Arguments whose arrays, and gradients, are those of `shared_exec`.
        shared_exec : Executor, optional
            An executor whose arrays are used: those of `shared_arg_names`, and auxiliary states of
            the same shapes.
        shared_buffer : dict of str to NDArray, optional
            Memory for the other arguments, by name. Arrays that are too small, or not there, are
            made and put there.
        group2ctx
            Accepted for compatibility: all arrays are the CPU's.
        **kwargs
            Shapes of arguments, by name; those that the symbol does not have are passed over. 0
            stands for an extent that is not known.

        Raises
        ------
        MXNetError
            The shapes contradict each other, or do not determine the others; the message says
            which.
        """
        _check_context(ctx)
        names, states = _names(self)
        reqs = grad_reqs(grad_req, names)
        known = {*names, *states}
        shapes, dtypes, stypes = (
            {name: value for name, value in (given or {}).items() if name in known}
            for given in (kwargs, type_dict, stype_dict)
        )
        wanted = [req != "null" for req in reqs]
        arguments, auxiliary = _infer(self, shapes, dtypes, stypes, wanted)
        pool = _Pool(ctx, shared_exec, shared_arg_names, shared_buffer)
        args, grads = [], []
        for name, (shape, dtype, stype, of_gradient), req in zip(names, arguments, reqs):
            args.append(pool.argument(name, shape, dtype, stype))
            grads.append(None if req == "null" else pool.gradient(name, shape, dtype, of_gradient))
        aux = [pool.state(name, *known[:3]) for name, known in zip(states, auxiliary)]
        return _bound(self, ctx, args, grads, grad_req, aux, group2ctx)

    def eval(self, ctx=None, **kwargs):
        """The outputs for given arguments: binds them, and calls forward.

        Parameters
        ----------
        ctx : Context, default current_context()
            Where the results are.
        **kwargs : NDArray
            The arguments, by name.
        """
        states = {name: kwargs[name] for name in _names(self)[1] if name in kwargs}
        ctx = current_context() if ctx is None else ctx
        return self.bind(ctx, kwargs, aux_states=states).forward()

    def gradient(self, wrt):
        """Raises: a symbol of the gradient is not supported, nor is it by MXNet 1.9.1.

        Bind the symbol and call :meth:`Executor.backward`.
        """
        raise MXNetError(
            "gradient: a symbol of the gradient is not supported, nor is it by MXNet 1.9.1; bind "
            "the symbol and call backward()"
        )
