"""Networks as a table and as a picture: ``mx.viz``."""

import json
from collections.abc import Mapping
from math import prod

from . import _borrowed
from .symbol import Symbol

__all__ = ["Symbol", "plot_network", "print_summary"]

__getattr__ = _borrowed.borrow(__name__, "copy json re warnings")

_PARAMETER_ENDINGS = (
    "_weight",
    "_bias",
    "_beta",
    "_gamma",
    "_moving_var",
    "_moving_mean",
    "_running_var",
    "_running_mean",
    "_parameters",
)


class _Network:
    """The nodes of a symbol, and what is known of their outputs.

    ``nodes`` are dicts as in the symbol's JSON. ``shapes[i][k]`` is the shape of output `k` of node
    `i`, and ``dtypes`` the same; both are empty where nothing is known.
    """

    def __init__(self, symbol, shape, dtype):
        self.nodes = json.loads(symbol.tojson())["nodes"]
        self.states = set(symbol.list_auxiliary_states())
        internals = symbol.get_internals()
        self.shapes, self.dtypes = {}, {}
        if shape is not None:
            found = internals.infer_shape(**shape)[1]
            if found is None:
                raise ValueError("the shapes that are given do not tell those of all outputs")
            self.shapes = self._by_node(internals, found)
        if dtype is not None:
            found = internals.infer_type(**dtype)[1]
            if found is None:
                raise ValueError("the dtypes that are given do not tell those of all outputs")
            self.dtypes = self._by_node(internals, found)

    def _by_node(self, internals, found):
        """What was found for the outputs of all nodes, by the node's number."""
        owners = [output.name for output in internals]
        by_node, position = {}, 0
        for number, node in enumerate(self.nodes):
            begin = position
            # A node has one output that is seen at least; the next node may have its name.
            position += 1
            while position < len(owners) and owners[position] == node["name"]:
                if number + 1 < len(self.nodes) and self.nodes[number + 1]["name"] == node["name"]:
                    break
                position += 1
            by_node[number] = found[begin:position]
        return by_node

    def shape(self, number, output=0):
        """The shape of an output without the batch, as ``3x8x8``; empty if it is not known."""
        shapes = self.shapes.get(number, ())
        return "x".join(map(str, shapes[output][1:])) if output < len(shapes) else ""

    def dtype(self, number, output=0):
        dtypes = self.dtypes.get(number, ())
        return getattr(dtypes[output], "__name__", str(dtypes[output])) if dtypes else ""

    def is_variable(self, number):
        return self.nodes[number]["op"] == "null"


def _check_arguments(function, symbol, shape):
    if not isinstance(symbol, Symbol):
        is_block = callable(getattr(symbol, "collect_params", None))
        hint = "; of a Gluon network it is net(mx.sym.var('data'))" if is_block else ""
        raise TypeError(f"{function}: symbol must be a Symbol, got {type(symbol).__name__}{hint}")
    if shape is not None and not isinstance(shape, Mapping):
        names = ", ".join(f"{name!r}: ..." for name in symbol.list_inputs()[:1])
        raise TypeError(
            f"{function}: shape must be a dict by the names of inputs, as {{{names}}}; got "
            f"{shape!r}"
        )


class _Summary:
    """The rows of :func:`print_summary`."""

    def __init__(self, network, given):
        self.network = network
        self.given = given
        # Variables whose elements are counted already.
        self.counted = set()
        self.labels = {
            entry[0]
            for node in network.nodes
            if node["op"].endswith("Output")
            for entry in node["inputs"][1:]
        }

    def is_data(self, number):
        """Whether a variable has a row of its own: it is neither a parameter nor a label."""
        name = self.network.nodes[number]["name"]
        if name in self.network.states:
            return False
        if number == 0 and not name.endswith(_PARAMETER_ENDINGS):
            return True
        if number in self.labels or name.endswith("label"):
            return False
        if self.given is None:
            return not name.endswith(_PARAMETER_ENDINGS)
        return name in self.given

    def is_parameter(self, number):
        name = self.network.nodes[number]["name"]
        return (
            self.network.is_variable(number)
            and not self.is_data(number)
            and number not in self.labels
            and not name.endswith("label")
            and name not in self.network.states
        )

    def count(self, inputs):
        """How many parameters are among these inputs that no row before has."""
        total = 0
        for number in {entry[0] for entry in inputs}:
            if self.is_parameter(number) and number not in self.counted:
                self.counted.add(number)
                total += prod(self.network.shapes[number][0])
        return total

    def rows(self):
        """The columns of each row, and the names of further inputs that stand below it."""
        nodes = self.network.nodes
        for number, node in enumerate(nodes):
            if node["op"] == "null" and not self.is_data(number):
                continue
            before = [
                nodes[entry[0]]["name"]
                for entry in node["inputs"]
                if not self.network.is_variable(entry[0]) or self.is_data(entry[0])
            ]
            parameters = self.count(node["inputs"]) if self.network.shapes else ""
            name = f"{node['name']}({node['op']})"
            columns = [name, self.network.shape(number), parameters, *before[:1]]
            yield columns, before[1:]


def print_summary(
    symbol,
    shape=None,
    line_length=120,
    positions=[0.44, 0.64, 0.74, 1.0],  # noqa: B006 - it is not changed
):
    """Prints a table of a network's layers: their outputs' shapes, parameters, and inputs.

    Parameters
    ----------
    symbol : Symbol
        The network.
    shape : dict of str to tuple, optional
        Shapes of the inputs. Without them no shapes and no numbers of parameters are printed.
    line_length : int, default 120
        The length of a line, in characters.
    positions : sequence of float, default [0.44, 0.64, 0.74, 1.0]
        Where the columns end: parts of the line, or characters if the last one is more than 1.

    Notes
    -----
    Shapes are printed without the batch, their first axis. Of a node with several outputs the first
    one is printed. A parameter that several layers share is counted at the first of them. Auxiliary
    states are not counted.

    Examples
    --------
    >>> import mxtape as mx
    >>> net = mx.sym.FullyConnected(mx.sym.var("data"), num_hidden=10, name="fc")
    >>> mx.viz.print_summary(net, {"data": (1, 5)}, line_length=80)
    ________________________________________________________________________________
    Layer (type)                       Output Shape    Param # Previous Layer
    ================================================================================
    data(null)                         5               0
    ________________________________________________________________________________
    fc(FullyConnected)                 10              60      data
    ================================================================================
    Total params: 60
    ________________________________________________________________________________
    """
    _check_arguments("print_summary", symbol, shape)
    network = _Network(symbol, shape, None)
    if positions[-1] <= 1:
        positions = [int(line_length * position) for position in positions]

    def line(columns):
        text = ""
        for column, end in zip(columns, positions):
            text = (text + str(column))[:end].ljust(end)
        return text

    rule, double_rule = "_" * line_length, "=" * line_length
    lines = [rule, line(["Layer (type)", "Output Shape", "Param #", "Previous Layer"]), double_rule]
    total = 0
    for columns, further in _Summary(network, shape).rows():
        lines.append(line([*columns, ""][:4]))
        lines += [line(["", "", "", name]) for name in further]
        lines.append(rule)
        total += columns[2] or 0
    lines[-1] = double_rule
    lines += [f"Total params: {total if network.shapes else 'unknown without shapes'}", rule]
    print("\n".join(lines))


# Fill colours (ColorBrewer's Set3) by operator.
_VARIABLE, _OTHER = "#8dd3c7", "#fccde5"
_COLORS = {
    "Convolution": "#fb8072",
    "FullyConnected": "#fb8072",
    "Activation": "#ffffb3",
    "LeakyReLU": "#ffffb3",
    "BatchNorm": "#bebada",
    "Pooling": "#80b1d3",
    "Concat": "#fdb462",
    "Flatten": "#fdb462",
    "Reshape": "#fdb462",
    "Softmax": "#b3de69",
}


def _extents(text):
    """``(3, 3)`` as ``3x3``."""
    return "x".join(text.strip("()[] ").replace(",", " ").split())


def _label(node):
    """What stands in a node's box."""
    op, attributes = node["op"], node.get("attrs", {})
    if op == "Convolution":
        stride = _extents(attributes.get("stride", "")) or "1"
        return f"{op}\n{_extents(attributes['kernel'])}/{stride}, {attributes['num_filter']}"
    if op == "FullyConnected":
        return f"{op}\n{attributes['num_hidden']}"
    if op in ("Activation", "LeakyReLU"):
        return f"{op}\n{attributes.get('act_type', 'leaky')}"
    if op == "Pooling":
        stride = _extents(attributes.get("stride", "")) or "1"
        kernel = _extents(attributes.get("kernel", "")) or "global"
        return f"{op}\n{attributes.get('pool_type', 'max')}, {kernel}/{stride}"
    return node["name"]


def plot_network(
    symbol,
    title="plot",
    save_format="pdf",
    shape=None,
    dtype=None,
    node_attrs={},  # noqa: B006 - it is not changed
    hide_weights=True,
):
    """A picture of a network, by Graphviz.

    It needs the Python package ``graphviz``, and to render the picture the program ``dot``.

    Parameters
    ----------
    symbol : Symbol
        The network.
    title : str, default 'plot'
        The name of the graph, and of the file that ``render()`` writes.
    save_format : str, default 'pdf'
        The format of that file, such as ``'png'`` or ``'svg'``.
    shape : dict of str to tuple, optional
        Shapes of the inputs; with them the edges are labelled with shapes, without the batch.
    dtype : dict of str to dtype, optional
        Dtypes of the inputs; with them the edges are labelled with dtypes.
    node_attrs : dict of str to str, optional
        Attributes of all nodes, such as ``{"shape": "oval", "fixedsize": "false"}``.
    hide_weights : bool, default True
        Leave out weights, biases, and what batch normalization keeps.

    Returns
    -------
    graphviz.Digraph
        ``render()`` writes the picture to a file, ``view()`` shows it, ``source`` is the text.

    Raises
    ------
    ImportError
        The package ``graphviz`` is not installed.

    Examples
    --------
    ``mx.viz.plot_network(net, shape={"data": (1, 3, 224, 224)}, save_format="png").render("net")``
    """
    try:
        from graphviz import Digraph
    except ImportError as error:
        raise ImportError(
            "plot_network draws with Graphviz: install the Python package graphviz "
            "(pip install graphviz), and the program dot to render pictures"
        ) from error
    _check_arguments("plot_network", symbol, shape)
    if not isinstance(node_attrs, dict):
        raise TypeError(f"plot_network: node_attrs must be a dict, got {node_attrs!r}")
    network = _Network(symbol, shape, dtype)
    style = {
        "shape": "box",
        "fixedsize": "true",
        "width": "1.3",
        "height": "0.8034",
        "style": "filled",
        **node_attrs,
    }
    graph = Digraph(name=title, format=save_format)
    ids = _node_ids(network.nodes)
    weights = {
        number
        for number, node in enumerate(network.nodes)
        if node["op"] == "null" and node["name"].endswith(_PARAMETER_ENDINGS)
    }
    for number, node in enumerate(network.nodes):
        if number in weights:
            continue
        if node["op"] == "null":
            more = {**style, "shape": "oval", "fillcolor": _VARIABLE}
            if "shape" in node_attrs:
                more["shape"] = node_attrs["shape"]
        else:
            more = {**style, "fillcolor": _COLORS.get(node["op"], _OTHER)}
        graph.node(name=ids[number], label=_label(node), **more)
    for number, node in enumerate(network.nodes):
        for source, output, *_ in node["inputs"]:
            if hide_weights and source in weights:
                continue
            label = network.shape(source, output)
            if network.dtypes:
                label += f"({network.dtype(source, output)})"
            graph.edge(
                tail_name=ids[number],
                head_name=ids[source],
                label=label,
                dir="back",
                arrowtail="open",
            )
    return graph


def _node_ids(nodes):
    """Names of the nodes in the picture: their own; one that comes again gets a number too."""
    seen: dict = {}
    ids = []
    for node in nodes:
        name = node["name"]
        seen[name] = seen.get(name, 0) + 1
        ids.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return ids
