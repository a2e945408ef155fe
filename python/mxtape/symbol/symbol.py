"""The Symbol class, and symbols from files."""

import os
from typing import NoReturn

from .._loader import core as _core
from ..base import MXNetError, NotImplementedForSymbol
from .binding import Bindable


def _for_arrays_only(name, alias=None):
    def method(self, *args, **kwargs):
        raise NotImplementedForSymbol(method, alias, *args)

    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"``NDArray.{name}``: a symbol has no values, so this raises."
    return method


class Symbol(Bindable):
    """Some outputs of a graph of operators, and all that they are computed from.

    Comes from :func:`mxtape.autograd.get_symbol` and :func:`load`. The graph does not change: what
    gives another symbol shares the nodes that both have.

    >>> import mxtape as mx
    >>> x = mx.nd.ones((2,))
    >>> x.attach_grad()
    >>> with mx.autograd.record():
    ...     y = mx.nd.exp(x) + x
    >>> symbol = mx.autograd.get_symbol(y)
    >>> symbol
    <Symbol node_1>
    >>> symbol.list_arguments(), symbol.list_outputs()
    (['var0'], ['node_1_output'])
    >>> symbol.get_internals()["node_0_output"]
    <Symbol node_0>
    """

    def __init__(self, graph):
        if not isinstance(graph, _core.Graph):
            raise TypeError(
                f"Symbol: expected a graph, got {graph!r}; load_json and get_symbol make symbols"
            )
        self._graph = graph

    @property
    def name(self):
        """Name of the node of the outputs; None for a group of several nodes' outputs."""
        return self._graph.name()

    def list_arguments(self):
        """Names of the variables that the outputs are computed from, without auxiliary states."""
        return self._graph.list_arguments()

    def list_auxiliary_states(self):
        """Names of the variables that operators change, such as running means."""
        return self._graph.list_auxiliary_states()

    def list_inputs(self):
        """Names of the arguments and the auxiliary states, in the order of the graph."""
        return self._graph.list_inputs()

    def list_outputs(self):
        """Names of the outputs."""
        return self._graph.list_outputs()

    def get_internals(self):
        """A symbol whose outputs are those of every node.

        ``symbol.get_internals()["fc1_output"]`` is the part of the graph that leads to ``fc1``.
        """
        return Symbol(self._graph.internals())

    def get_children(self):
        """A symbol of what the outputs' nodes take as inputs; None for a variable."""
        children = self._graph.children()
        return Symbol(children) if len(children) else None

    def __len__(self):
        return len(self._graph)

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index):
        """The output with this number or name; a group for a slice.

        Raises
        ------
        IndexError
            There is no output with this number.
        ValueError
            There is none with this name, or more than one.
        """
        if isinstance(index, slice):
            return Group([self[i] for i in range(*index.indices(len(self)))])
        if isinstance(index, str):
            names = self.list_outputs()
            if names.count(index) != 1:
                found = "several outputs are" if index in names else "no output is"
                raise ValueError(f"{self!r}: {found} called {index!r}")
            index = names.index(index)
        if not isinstance(index, int):
            raise TypeError(f"a symbol is indexed by an integer or a name, got {index!r}")
        count = len(self)
        if not -count <= index < count:
            raise IndexError(f"output {index} of a symbol with {count} outputs")
        return Symbol(self._graph.output(index % count))

    def attr(self, key):
        """The attribute `key` of the outputs' node, as text; None when it has none.

        Keys such as ``lr_mult`` are also found as ``__lr_mult__``, under which files have them.
        """
        return self._graph.attr(key)

    def list_attr(self, recursive=False):
        """Attributes of the first output's node, by key."""
        if recursive:
            raise DeprecationWarning("list_attr: recursive=True has gone; use attr_dict()")
        return self._graph.list_attr()

    def attr_dict(self):
        """Attributes of all nodes that have some, by the nodes' names."""
        return self._graph.attr_dict()

    def _set_attr(self, **attributes):
        """Gives this symbol's node more attributes; symbols made from it before keep theirs."""
        for key, value in attributes.items():
            if not isinstance(value, str):
                raise ValueError(f"attribute {key} must be a string, got {value!r}")
        self._graph = self._graph.with_attributes(attributes)

    def debug_str(self):
        """The graph as text: a paragraph for each node."""
        return self._graph.description()

    def tojson(self, remove_amp_cast=True):
        """The graph as JSON text, as MXNet 1.9.1 writes it.

        Parameters
        ----------
        remove_amp_cast : bool, default True
            Leave out the casts that automatic mixed precision put in.
        """
        return self._graph.tojson(bool(remove_amp_cast))

    def save(self, fname, remove_amp_cast=True):
        """Writes :meth:`tojson` to a file.

        >>> import os, tempfile
        >>> import mxtape as mx
        >>> symbol = mx.sym.load_json('{"nodes": [{"op": "null", "name": "x", "inputs": []}], '
        ...                           '"arg_nodes": [0], "heads": [[0, 0, 0]]}')
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = os.path.join(folder, "x.json")
        ...     symbol.save(path)
        ...     mx.sym.load(path).list_arguments()
        ['x']
        """
        text = self.tojson(remove_amp_cast).encode("utf-8", "surrogateescape")
        try:
            with open(_path(fname), "wb") as file:
                file.write(text)
        except OSError as error:
            raise MXNetError(f"save: cannot write {fname}: {error.strerror}") from error

    def __copy__(self):
        return Symbol(self._graph)

    def __deepcopy__(self, memo):
        return Symbol(self._graph)

    def __getstate__(self):
        return {"handle": self.tojson()}

    def __setstate__(self, state):
        self._graph = load_json(state["handle"])._graph

    def __repr__(self):
        if self.name is None:
            return f"<Symbol group [{', '.join(self._graph.output_nodes())}]>"
        return f"<Symbol {self.name}>"

    asnumpy = _for_arrays_only("asnumpy")
    asscalar = _for_arrays_only("asscalar")
    as_in_context = _for_arrays_only("as_in_context")
    backward = _for_arrays_only("backward")
    copy = _for_arrays_only("copy")
    detach = _for_arrays_only("detach")
    wait_to_read = _for_arrays_only("wait_to_read")
    __bool__ = _for_arrays_only("__bool__", "bool")

    def __getattr__(self, name: str) -> NoReturn:
        why = "" if name.startswith("_") else "; symbols cannot be composed or executed yet"
        raise AttributeError(f"'Symbol' object has no attribute '{name}'{why}")


def _path(fname):
    if not isinstance(fname, (str, os.PathLike)):
        raise TypeError(f"fname must be a string or a path, got {fname!r}")
    return os.fspath(fname)


def Group(symbols):
    """One symbol with the outputs of several, in their order.

    >>> import mxtape as mx
    >>> x = mx.nd.ones((4,))
    >>> x.attach_grad()
    >>> with mx.autograd.record():
    ...     first, second = mx.nd.split(x, num_outputs=2, axis=0)
    >>> a, b = mx.autograd.get_symbol(first), mx.autograd.get_symbol(second)
    >>> mx.sym.Group([a, b]).list_outputs()
    ['node_0_output0', 'node_0_output1']
    """
    symbols = list(symbols)
    if not symbols or not all(isinstance(symbol, Symbol) for symbol in symbols):
        raise TypeError("Group: expected a list of symbols, of at least one")
    return Symbol(_core.group_graphs([symbol._graph for symbol in symbols]))


def load(fname):
    """The symbol in a file that :meth:`Symbol.save`, or MXNet from 0.11 to 1.9, wrote.

    Raises
    ------
    MXNetError
        The file cannot be read, or holds no graph of known operators; the message says where.
    """
    path = _path(fname)
    try:
        with open(path, "rb") as file:
            text = file.read()
    except OSError as error:
        raise MXNetError(f"load: cannot read {fname}: {error.strerror}") from error
    return Symbol(_core.load_graph(text, str(path)))


def load_json(json_str):
    """The symbol in a JSON text that :meth:`Symbol.tojson`, or MXNet from 0.11 to 1.9, made.

    >>> import mxtape as mx
    >>> symbol = mx.sym.load_json('''{
    ...   "nodes": [
    ...     {"op": "null", "name": "data", "inputs": []},
    ...     {"op": "Activation", "name": "act", "attrs": {"act_type": "relu"},
    ...      "inputs": [[0, 0, 0]]}
    ...   ],
    ...   "arg_nodes": [0], "heads": [[1, 0, 0]],
    ...   "attrs": {"mxnet_version": ["int", 10901]}
    ... }''')
    >>> symbol, symbol.attr("act_type")
    (<Symbol act>, 'relu')
    """
    if not isinstance(json_str, str):
        raise TypeError(f"load_json: expected a string, got {json_str!r}")
    return Symbol(_core.load_graph(json_str.encode("utf-8", "surrogateescape"), "load_json"))
