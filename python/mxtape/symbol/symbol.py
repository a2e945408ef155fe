"""The Symbol class."""

from typing import Any, NamedTuple


class _SymbolNode(NamedTuple):
    op: str
    name: str
    attrs: list[tuple[str, str]]
    inputs: list[tuple[int, int]]
    outputs: int


class Symbol:
    """The graph behind some outputs, made by :func:`mxtape.autograd.get_symbol`.

    >>> import mxtape as mx
    >>> x = mx.nd.ones((2,))
    >>> x.attach_grad()
    >>> with mx.autograd.record():
    ...     y = mx.nd.exp(x) + x
    >>> symbol = mx.autograd.get_symbol(y)
    >>> symbol.list_arguments(), symbol.list_outputs()
    (['var0'], ['node_1_output'])
    """

    def __init__(self, nodes: list[_SymbolNode], heads: list[tuple[int, int]]):
        self._nodes = nodes
        self._heads = heads

    @classmethod
    def _from_trace(cls, nodes: list[Any], heads: list[tuple[int, int]]) -> "Symbol":
        return cls([_SymbolNode(*node) for node in nodes], heads)

    @property
    def name(self):
        """Name of the node of the only output; None for a group."""
        nodes = {node for node, _ in self._heads}
        return self._nodes[nodes.pop()].name if len(nodes) == 1 else None

    def _output_name(self, head):
        node = self._nodes[head[0]]
        if node.op == "null":
            return node.name
        return f"{node.name}_output{head[1] if node.outputs > 1 else ''}"

    def list_arguments(self):
        """Names of the variables and other arrays that the graph starts from."""
        return [node.name for node in self._nodes if node.op == "null"]

    def list_outputs(self):
        """Names of the outputs."""
        return [self._output_name(head) for head in self._heads]

    def list_auxiliary_states(self):
        """Names of the auxiliary states: none, as arrays are not told apart from them."""
        return []

    def list_inputs(self):
        """Names of the arguments and the auxiliary states."""
        return self.list_arguments()

    def get_internals(self):
        """A symbol whose outputs are those of every node."""
        heads = [(i, k) for i, node in enumerate(self._nodes) for k in range(node.outputs)]
        return Symbol(self._nodes, heads)

    def get_children(self):
        """A symbol of the inputs of the head node; None for a variable."""
        heads = {node for node, _ in self._heads}
        inputs = [entry for node in heads for entry in self._nodes[node].inputs]
        return Symbol(self._nodes, inputs)._pruned() if inputs else None

    def _pruned(self):
        """The same outputs, over the nodes that they need alone."""
        needed, stack = set(), [node for node, _ in self._heads]
        while stack:
            node = stack.pop()
            if node not in needed:
                needed.add(node)
                stack.extend(i for i, _ in self._nodes[node].inputs)
        number = {old: new for new, old in enumerate(sorted(needed))}
        nodes = [
            self._nodes[old]._replace(inputs=[(number[i], k) for i, k in self._nodes[old].inputs])
            for old in sorted(needed)
        ]
        return Symbol(nodes, [(number[i], k) for i, k in self._heads])

    def __len__(self):
        return len(self._heads)

    def __getitem__(self, index):
        if isinstance(index, str):
            names = self.list_outputs()
            if names.count(index) != 1:
                raise ValueError(f"there are {names.count(index)} outputs called {index!r}")
            index = names.index(index)
        if not isinstance(index, int):
            raise TypeError(f"a symbol is indexed by a number or a name, got {index!r}")
        if not -len(self._heads) <= index < len(self._heads):
            raise IndexError(f"output {index} of a symbol with {len(self._heads)} outputs")
        return Symbol(self._nodes, [self._heads[index]])._pruned()

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def attr(self, key):
        """The attribute `key` of the head node, as text; None when it has none."""
        return dict(self._nodes[self._heads[0][0]].attrs).get(key)

    def list_attr(self):
        """Attributes of the head node, by name."""
        return dict(self._nodes[self._heads[0][0]].attrs)

    def attr_dict(self):
        """Attributes of all nodes that have some, by the nodes' names."""
        return {node.name: dict(node.attrs) for node in self._nodes if node.attrs}

    def tojson(self):
        """The graph as MXNet's JSON text: operators and attributes under MXNet's names."""
        # Not at the top: few programs ask, and every program would wait for it.
        import json

        nodes = []
        row_ptr = [0]
        for node in self._nodes:
            entry: dict[str, Any] = {"op": node.op, "name": node.name}
            if node.attrs:
                entry["attrs"] = dict(node.attrs)
            entry["inputs"] = [[i, k, 0] for i, k in node.inputs]
            nodes.append(entry)
            row_ptr.append(row_ptr[-1] + node.outputs)
        graph = {
            "nodes": nodes,
            "arg_nodes": [i for i, node in enumerate(self._nodes) if node.op == "null"],
            "node_row_ptr": row_ptr,
            "heads": [[i, k, 0] for i, k in self._heads],
            "attrs": {"mxnet_version": ["int", 10901]},
        }
        return json.dumps(graph, indent=2)

    def __repr__(self):
        name = self.name
        if name is None or len(self._heads) > 1:
            names = ", ".join(self._nodes[node].name for node, _ in self._heads)
            return f"<Symbol group [{names}]>"
        return f"<Symbol {name}>"
