"""The Symbol class, variables and groups, and symbols from files."""

import os
import warnings

from .._loader import core as _core
from ..attribute import AttrScope
from ..base import MXNetError, NotImplementedForSymbol
from ..name import NameManager
from . import register
from .binding import Bindable
from .methods import OperatorMethods
from .operators import Arithmetic

_STORAGE_TYPES = ("default", "row_sparse", "csr")


def _for_arrays_only(name, alias=None):
    def method(self, *args, **kwargs):
        raise NotImplementedForSymbol(method, alias, *args)

    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"``NDArray.{name}``: a symbol has no values, so this raises."
    return method


class Symbol(Arithmetic, OperatorMethods, Bindable):
    """Some outputs of a graph of operators, and all that they are computed from.

    The functions of ``mx.sym`` make symbols from symbols, operators such as ``+`` too. A call
    replaces variables. What has a part in common shares its nodes.

    >>> import mxtape as mx
    >>> data = mx.sym.Variable("data")
    >>> net = mx.sym.FullyConnected(data, num_hidden=4, name="fc1")
    >>> net.list_arguments(), net.list_outputs()
    (['data', 'fc1_weight', 'fc1_bias'], ['fc1_output'])
    >>> net.infer_shape(data=(2, 3))
    ([(2, 3), (4, 3), (4,)], [(2, 4)], [])
    >>> net(data=mx.sym.exp(mx.sym.Variable("x"))).list_arguments()
    ['x', 'fc1_weight', 'fc1_bias']
    """

    __slots__ = ("_graph",)

    def __init__(self, handle):
        if handle is None:
            return  # MXNet's pickles begin so, and call __setstate__ then
        if not isinstance(handle, _core.Graph):
            raise TypeError(
                f"Symbol: expected a graph, got {handle!r}; Variable, load_json and the operators "
                "of mx.sym make symbols"
            )
        self._graph = handle

    def __getattr__(self, name):
        text = f"{type(self).__name__!r} object has no attribute {name!r}"
        if name == "_graph":
            text = "this Symbol has no graph; Variable, load_json and the operators make symbols"
        if name in ("shape", "dtype", "size", "ndim", "context", "ctx"):
            text += (
                ": only arrays have it, when the graph runs. A hybrid_forward that needs it cannot "
                "be hybridized; operators such as F.reshape(shape=(0, -1)), F.shape_array, "
                "F.zeros_like and F.slice_like do without"
            )
        raise AttributeError(text)

    @property
    def handle(self):
        """A number that stands for the symbol's graph."""
        return id(self._graph)

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
            raise TypeError(
                f"a symbol is indexed by an integer or a name, got {index!r}; that gives one of "
                "its outputs. F.slice, F.slice_axis and F.take cut arrays"
            )
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
        """Gives this symbol's node more attributes; every symbol with the node has them then."""
        for key, value in attributes.items():
            if not isinstance(value, str):
                raise ValueError(f"attribute {key} must be a string, got {value!r}")
        self._graph.set_attributes(attributes)

    def __call__(self, *args, **kwargs):
        """The symbol with variables replaced by other symbols, given under the variables' names.

        >>> import mxtape as mx
        >>> net = mx.sym.exp(mx.sym.Variable("x"), name="y")
        >>> net(x=mx.sym.Variable("z"), name="new").list_outputs()
        ['new_output']
        """
        composed = Symbol(self._graph)
        composed._compose(*args, **kwargs)
        return composed

    def _compose(self, *args, name=None, **symbols):
        """As a call, in place."""
        if args and symbols:
            raise TypeError(
                "compose: symbols are given by position or by keyword, not both at once"
            )
        if args:
            raise MXNetError(
                "compose: a graph's variables are replaced by keyword, as in net(data=symbol); "
                f"it has {', '.join(self.list_inputs())}"
            )
        for key, symbol in symbols.items():
            if not isinstance(symbol, Symbol):
                raise TypeError(f"compose: {key} must be a Symbol, got {type(symbol)}")
        self._graph = _core.compose_graph(self._graph, symbols, name or "")

    def infer_shape(self, *args, **kwargs):
        """Shapes of the arguments, the outputs and the auxiliary states.

        Parameters
        ----------
        *args : tuple of int or None
            Shapes of the arguments, in the order of :meth:`list_arguments`.
        **kwargs : tuple of int
            Shapes by name. An extent of 0 is unknown.

        Returns
        -------
        tuple of three lists of tuples of int
            Three times None, with a warning, when they do not follow from what is given.

        Raises
        ------
        MXNetError
            Shapes contradict each other, or a name is no argument's; the message names the node.

        >>> import mxtape as mx
        >>> x, y = mx.sym.Variable("x"), mx.sym.Variable("y")
        >>> (x + y).infer_shape(x=(0, 3), y=(2, 0))
        ([(2, 3), (2, 3)], [(2, 3)], [])
        """
        complete, *shapes = self._infer(_core.infer_shapes, _shape, args, kwargs)
        if complete:
            return tuple(shapes)
        unknown = [
            f"{name}: {shape}"
            for name, shape in zip(self.list_arguments(), shapes[0])
            if not shape or 0 in shape
        ]
        more = ", ..." if len(unknown) > 10 else ""
        warnings.warn(
            "infer_shape: not all shapes follow from what is given. Of these arguments they are "
            f"unknown (as 0 or ()): {', '.join(unknown[:10])}{more}",
            stacklevel=2,
        )
        return None, None, None

    def infer_shape_partial(self, *args, **kwargs):
        """As :meth:`infer_shape`, with what is known: 0 for an extent and () for a shape that is
        not.

        >>> import mxtape as mx
        >>> net = mx.sym.FullyConnected(mx.sym.Variable("data"), num_hidden=4, name="fc")
        >>> net.infer_shape_partial(data=(0, 3))
        ([(0, 3), (4, 3), (4,)], [(0, 4)], [])
        """
        return tuple(self._infer(_core.infer_shapes, _shape, args, kwargs)[1:])

    def infer_type(self, *args, **kwargs):
        """Data types of the arguments, the outputs and the auxiliary states.

        Parameters are the arguments' data types, as those of :meth:`infer_shape`.

        Returns
        -------
        tuple of three lists of numpy types
            Three times None when they do not follow from what is given.

        >>> import mxtape as mx
        >>> mx.sym.exp(mx.sym.Variable("x")).infer_type(x="float64")[1]
        [<class 'numpy.float64'>]
        """
        complete, *types = self._infer(_core.infer_dtypes, _dtype, args, kwargs)
        return tuple(types) if complete else (None, None, None)

    def infer_type_partial(self, *args, **kwargs):
        """As :meth:`infer_type`, with what is known: None for a type that is not."""
        return tuple(self._infer(_core.infer_dtypes, _dtype, args, kwargs)[1:])

    def infer_storage_type(self, *args, **kwargs):
        """Storage types of the arguments, the outputs and the auxiliary states.

        MXNet has this only inside :meth:`simple_bind`.

        Parameters
        ----------
        *args : str or None
            Storage types of the arguments, in the order of :meth:`list_arguments`: 'default',
            'row_sparse' or 'csr'. Where none is given the variable says it, see :func:`var`.
        **kwargs : str
            Storage types by name.

        Returns
        -------
        tuple of three lists of str

        Raises
        ------
        MXNetError
            A name is no argument's.
        ValueError
            A storage type is none of the three.

        >>> import mxtape as mx
        >>> w = mx.sym.var("w", stype="row_sparse")
        >>> mx.sym.Group([w * 2, w + 1]).infer_storage_type()
        (['row_sparse'], ['row_sparse', 'default'], [])
        """
        return self._infer(_core.infer_storage_types, _storage_type, args, kwargs)

    def _infer(self, infer, convert, args, kwargs):
        if args and kwargs:
            raise ValueError(
                "infer_shape and its like: arguments are given by position or by keyword, not both "
                "at once"
            )
        if args:
            names = self.list_arguments()
            if len(args) > len(names):
                raise MXNetError(f"{len(args)} arguments are given, the symbol has {len(names)}")
            kwargs = dict(zip(names, args))
        given = {name: convert(name, v) for name, v in kwargs.items() if v is not None}
        return infer(self._graph, given)

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
        return Symbol(self._graph.copied())

    def __deepcopy__(self, memo):
        return Symbol(self._graph.copied())

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
    as_np_ndarray = _for_arrays_only("as_np_ndarray")
    __bool__ = _for_arrays_only("__bool__", "bool")
    __nonzero__ = __bool__
    __iadd__ = _for_arrays_only("__iadd__", "+=")
    __isub__ = _for_arrays_only("__isub__", "-=")
    __imul__ = _for_arrays_only("__imul__", "*=")
    __itruediv__ = _for_arrays_only("__itruediv__", "/=")
    __idiv__ = __itruediv__

    def as_nd_ndarray(self):
        """The symbol itself."""
        return self

    def get_backend_symbol(self, backend):
        """Graphs run on mxtape's own engine only: an MXNetError."""
        raise MXNetError(f"get_backend_symbol: there is no backend {backend!r}")

    def optimize_for(
        self,
        backend,
        args=None,
        aux=None,
        ctx=None,
        shape_dict=None,
        type_dict=None,
        stype_dict=None,
        skip_infer=False,
        **kwargs,
    ):
        """Graphs run on mxtape's own engine only: an MXNetError."""
        raise MXNetError(f"optimize_for: there is no backend {backend!r}")


def _shape(name, value):
    if not isinstance(value, tuple):
        raise TypeError(f"infer_shape: the shape of {name!r} must be a tuple, got {type(value)}")
    return value


def _dtype(name, value):
    return value


def _storage_type(name, value):
    if value not in _STORAGE_TYPES:
        raise ValueError(
            f"the storage type of {name!r} must be one of {', '.join(map(repr, _STORAGE_TYPES))}, "
            f"got {value!r}"
        )
    return value


def _path(fname):
    if not isinstance(fname, (str, os.PathLike)):
        raise TypeError(f"fname must be a string or a path, got {fname!r}")
    return os.fspath(fname)


def var(
    name,
    attr=None,
    shape=None,
    lr_mult=None,
    wd_mult=None,
    dtype=None,
    init=None,
    stype=None,
    **kwargs,
):
    """A variable: an argument of a graph.

    Parameters
    ----------
    name : str
        Its name.
    attr : dict of str to str, optional
        More attributes.
    shape : tuple of int, optional
        Its shape; extents of 0 are unknown. Inference uses it where no other is given.
    lr_mult, wd_mult : float, optional
        Factors for the learning rate and the weight decay of this parameter.
    dtype : str or numpy type, optional
        Its data type, used as the shape is.
    init : Initializer or str, optional
        How it begins.
    stype : {'default', 'row_sparse', 'csr'}, optional
        Its storage type, as the attribute ``__storage_type__``.
    **kwargs : str
        Attributes, under names as ``__key__``.

    >>> import mxtape as mx
    >>> x = mx.sym.var("x", shape=(2, 3), lr_mult=2)
    >>> x, x.attr("lr_mult"), x.infer_shape()
    (<Symbol x>, '2', ([(2, 3)], [(2, 3)], []))
    """
    if not isinstance(name, str):
        raise TypeError(f"Variable: name must be a string, got {name!r}")
    attributes = AttrScope.current.get(attr)
    for key, value in attributes.items():
        if not isinstance(value, str):
            raise ValueError(f"Variable: attribute {key} must be a string, got {value!r}")
    if shape is not None:
        attributes["__shape__"] = str(_plain_shape(shape))
    for key, value in (("__lr_mult__", lr_mult), ("__wd_mult__", wd_mult)):
        if value is not None:
            attributes[key] = str(value)
    if dtype is not None:
        attributes["__dtype__"] = str(_core.dtype_flag(dtype))
    if init is not None:
        attributes["__init__"] = init if isinstance(init, str) else init.dumps()
    if stype is not None:
        if stype not in _STORAGE_TYPES:
            raise KeyError(
                f"Variable: stype must be one of {', '.join(map(repr, _STORAGE_TYPES))}, "
                f"got {stype!r}"
            )
        attributes["__storage_type__"] = str(_STORAGE_TYPES.index(stype))
    for key, value in kwargs.items():
        if not (key.startswith("__") and key.endswith("__")):
            raise ValueError(
                f"Variable: unknown argument {key!r}; other attributes begin and end with two "
                "underscores, as __key__"
            )
        attributes[key] = str(value)
    return Symbol(_core.variable_graph(name, attributes))


Variable = var


def _plain_shape(shape):
    if isinstance(shape, (tuple, list)):
        return type(shape)([int(extent) for extent in shape])
    return int(shape)


def Group(symbols, create_fn=Symbol):
    """One symbol with the outputs of several, in their order.

    `create_fn` makes it of the graph.

    >>> import mxtape as mx
    >>> mx.sym.Group([mx.sym.Variable("a"), mx.sym.Variable("b")]).list_outputs()
    ['a', 'b']
    """
    if isinstance(symbols, Symbol):
        raise TypeError("Group: expected a list of symbols, got one symbol")
    symbols = list(symbols)
    if not symbols or not all(isinstance(symbol, Symbol) for symbol in symbols):
        raise TypeError("Group: expected a list of symbols, of at least one")
    return create_fn(_core.group_graphs([symbol._graph for symbol in symbols]))


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


_core.set_symbol_types(
    Symbol, NameManager._current, AttrScope._current, AttrScope, register.describe
)
