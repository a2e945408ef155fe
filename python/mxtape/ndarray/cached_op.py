"""CachedOp: a symbol that is called like an operator."""

from typing import Any

from .._loader import core as _core

__all__ = ["CachedOp"]

_Base: Any = _core.CachedOp


def _is_true(value):
    return value in (1, True, "1", "true", "True")


def _check_flags(flags):
    """Refuses flags that MXNet does not have, or that it does not allow together."""
    flags = {str(name): value for name, value in dict(flags).items()}
    for name, value in flags.items():
        if name in ("static_alloc", "static_shape", "is_dynamic"):
            if value not in (0, 1, "0", "1", "true", "True", "false", "False"):
                raise _core.MXNetError(f"CachedOp: {name} must be True or False, got {value!r}")
        elif name not in (
            "inline_limit",
            "forward_bulk_size",
            "backward_bulk_size",
            "data_indices",
            "param_indices",
            "subgraph",
        ):
            raise _core.MXNetError(f"CachedOp: there is no flag {name}")
    if _is_true(flags.get("static_shape", 0)) and not _is_true(flags.get("static_alloc", 0)):
        raise _core.MXNetError("CachedOp: static_shape needs static_alloc")


class CachedOp(_Base):
    """A symbol as a function of arrays, which runs without Python.

    Parameters
    ----------
    sym : Symbol
        The graph.
    flags : list of pairs, optional
        ``static_alloc``, ``static_shape``, ``inline_limit``, ``forward_bulk_size``,
        ``backward_bulk_size``, ``data_indices`` and ``param_indices`` are accepted, and change
        nothing.

    A call accepts an array for each of ``sym.list_inputs()``, in that order, and ``out``: an array,
    or a list of them, to write to. It returns an array, or a list when the symbol has several
    outputs. The operators run as if they were called one by one: in training or predict mode,
    recorded while recording (as one step of the graph), with running statistics that change.

    Raises
    ------
    MXNetError
        The symbol has an operator that cannot be run; a call has not as many arrays as the symbol
        has inputs, or arrays that do not fit. The message names the operator and its node.

    Examples
    --------
    >>> import mxtape as mx
    >>> x = mx.nd.array([1, 2])
    >>> x.attach_grad()
    >>> with mx.autograd.record():
    ...     symbol = mx.autograd.get_symbol(mx.nd.square(x))
    >>> square = mx.nd.CachedOp(symbol)
    >>> with mx.autograd.record():
    ...     y = square(x)
    >>> y.backward()
    >>> y.asnumpy().tolist(), x.grad.asnumpy().tolist()
    ([1.0, 4.0], [2.0, 4.0])
    """

    is_np_sym = False

    def __new__(cls, sym, flags=()):
        graph = getattr(sym, "_graph", None)
        if not isinstance(graph, _core.Graph):
            raise TypeError(f"CachedOp: sym must be a Symbol, got {sym!r}")
        _check_flags(flags)
        return super().__new__(cls, graph)

    def _register_op_hook(self, callback, monitor_all=False):
        """Has `callback` called with the name, the operator and the value of each result."""
        if not callable(callback):
            raise TypeError(f"_register_op_hook: {callback!r} cannot be called")
        self._set_hook(callback, bool(monitor_all))
