"""The tape as an open book: what was recorded, what it keeps in memory, and pictures of it."""

from __future__ import annotations

import ast
import functools
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO, overload

from .._loader import core
from ..base import MXNetError
from ..ndarray import NDArray
from ._report import bytes_text, memory_report

if TYPE_CHECKING:
    from ..gluon.parameter import Parameter
    from ._plot import GraphPlot

__all__ = ["memory_report", "plot_graph", "print_graph", "tape"]


class Spec(NamedTuple):
    """Shape and dtype of an array on the tape."""

    shape: tuple[int, ...]
    dtype: str

    def __str__(self) -> str:
        return f"{self.shape} {self.dtype}"


class Edge(NamedTuple):
    """From where an entry got an input: an output of another entry."""

    entry: int | None  # the number of the entry; None for a constant
    output: int
    name: str  # of the input


class Saved(NamedTuple):
    """An array that an entry keeps for its gradient."""

    role: str  # "input", "output", or "inside": of a graph's step
    position: int  # among the inputs or outputs
    name: str
    shape: tuple[int, ...]
    dtype: str
    nbytes: int
    storage: int  # arrays with one number share memory
    # "memory", "waits": to be computed, "packed": by hooks, "borrowed", or the storage type of a
    # sparse array, of which nbytes counts what is there
    state: str

    def __str__(self) -> str:
        name = f" {self.name}" if self.name else ""
        state = "" if self.state == "memory" else f", {self.state}"
        size = bytes_text(self.nbytes)
        return f"{self.role} {self.position}{name}: {self.shape} {self.dtype}, {size}{state}"


@functools.lru_cache(maxsize=1024)  # steps repeat
def _value(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


class Entry:
    """A step on the tape, or a variable. Made by :func:`tape`.

    Attributes
    ----------
    number : int
        Grows with time; each is given once in a process.
    operator : str
        The operator's name, or that of a ``Function``; ``'variable'`` for a variable.
    kind : str
        ``'operator'``, ``'variable'``, ``'function'``, ``'graph'`` (a hybridized block),
        ``'checkpoint'`` or ``'other'``.
    line : str
        ``'file.py:12'``: where it was recorded; ``''`` where that is not known.
    params : dict of str to object
        The parameters that were given.
    edges : list of Edge
        For each input, the entry that made it, or None.
    inputs, outputs : list of Spec or None
        Shapes and dtypes; None where they are not known.
    saved : list of Saved
        What it keeps for its gradient.
    grad_req : str or None
        ``'write'``, ``'add'`` or ``'null'`` of a variable.
    """

    __slots__ = (
        "edges",
        "grad_req",
        "inputs",
        "kind",
        "line",
        "number",
        "operator",
        "outputs",
        "params",
        "saved",
    )

    def __init__(self, told: tuple[Any, ...]) -> None:
        self.number: int = told[0]
        self.operator: str = told[1]
        self.kind: str = told[2]
        self.line: str = told[3]
        self.params: dict[str, Any] = {name: _value(text) for name, text in told[4].items()}
        self.edges = [Edge(*edge) for edge in told[5]]
        self.inputs = [spec and Spec(*spec) for spec in told[6]]
        self.outputs = [spec and Spec(*spec) for spec in told[7]]
        self.saved = [Saved(*each) for each in told[8]]
        self.grad_req: str | None = told[9]

    @property
    def saved_bytes(self) -> int:
        """Bytes of what it keeps, shared memory once."""
        sizes: dict[int, int] = {}
        for each in self.saved:
            sizes[each.storage] = max(each.nbytes, sizes.get(each.storage, 0))
        return sum(sizes.values())

    def describe(self) -> str:
        """``'relu(act_type='relu')'``: operator and parameters."""
        given = ", ".join(f"{name}={value!r}" for name, value in self.params.items())
        return f"{self.operator}({given})" if given else self.operator

    def __repr__(self) -> str:
        parts = [f"#{self.number} {self.describe()}"]
        if self.edges:
            parts.append("<- " + ", ".join(map(_edge_text, self.edges)))
        if self.outputs:
            parts.append(", ".join(str(spec) if spec else "?" for spec in self.outputs))
        if self.grad_req:
            parts.append(f"grad_req={self.grad_req!r}")
        if self.saved:
            parts.append(f"saves {bytes_text(self.saved_bytes)}")
        if self.line:
            parts.append(self.line)
        return "  ".join(parts)


def _edge_text(edge: Edge) -> str:
    if edge.entry is None:
        return "constant"
    return f"#{edge.entry}" + (f"[{edge.output}]" if edge.output else "")


class Tape(Sequence[Entry]):
    """The entries that some arrays depend on, the newest first. Made by :func:`tape`."""

    def __init__(self, entries: list[Entry], heads: list[Edge]) -> None:
        self._entries = entries
        self._by_number = {entry.number: entry for entry in entries}
        self.heads = heads

    def __len__(self) -> int:
        return len(self._entries)

    @overload
    def __getitem__(self, index: int) -> Entry: ...

    @overload
    def __getitem__(self, index: slice) -> list[Entry]: ...

    def __getitem__(self, index: int | slice) -> Entry | list[Entry]:
        return self._entries[index]

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)

    def in_order(self) -> Iterator[Entry]:
        """The entries in the order in which they were recorded."""
        return reversed(self._entries)

    def entry(self, number: int) -> Entry:
        """The entry with this number; KeyError when there is none."""
        return self._by_number[number]

    def find(self, operator: str) -> list[Entry]:
        """The entries of an operator, the newest first."""
        return [entry for entry in self if entry.operator == operator]

    @property
    def variables(self) -> list[Entry]:
        """The variables, in the order in which they were made."""
        return [entry for entry in self.in_order() if entry.kind == "variable"]

    @property
    def saved_bytes(self) -> int:
        """Bytes of the arrays that all entries keep, shared memory once."""
        sizes: dict[int, int] = {}
        for entry in self:
            for each in entry.saved:
                sizes[each.storage] = max(each.nbytes, sizes.get(each.storage, 0))
        return sum(sizes.values())

    def __repr__(self) -> str:
        variables = len(self.variables)
        steps = len(self) - variables
        title = (
            f"tape of {steps} step{'s' * (steps != 1)} and {variables} "
            f"variable{'s' * (variables != 1)}, which saves {bytes_text(self.saved_bytes)}"
        )
        shown = [repr(entry) for entry in self._entries[:40]]
        if len(self) > 40:
            shown = [*shown[:30], f"... {len(self) - 35} more ...", *map(repr, self[-5:])]
        return "\n".join([title, *("  " + line for line in shown)])


def heads_of(y: Any, what: str) -> list[NDArray]:
    """`y`, an array or a list of arrays, as a list; an error where none is on the tape."""
    heads = [y] if isinstance(y, NDArray) else y
    if not isinstance(heads, (list, tuple)) or not heads:
        raise TypeError(f"{what}: expected an NDArray or a list of them, got {y!r}")
    for head in heads:
        if not isinstance(head, NDArray):
            raise TypeError(f"{what}: expected an NDArray or a list of them, got {head!r} in it")
    if not any(core.on_tape(head) for head in heads):
        raise MXNetError(
            f"{what}: the array is not on the tape: it was computed outside autograd.record(), "
            "from no variable, or its graph was freed by a backward without retain_graph=True"
        )
    return list(heads)


def tape(y: NDArray | Sequence[NDArray]) -> Tape:
    """What was recorded on the way to `y`, as a list of entries.

    Parameters
    ----------
    y : NDArray or list of NDArray
        Arrays that were computed while recording.

    Returns
    -------
    Tape
        A sequence of :class:`Entry`, the newest first. It is a description: it keeps nothing of
        the graph, and does not change with it.

    Raises
    ------
    MXNetError
        `y` is not on the tape.

    >>> from mxtape import autograd, nd
    >>> x = nd.array([[1, 2, 3]])
    >>> x.attach_grad()
    >>> with autograd.record():
    ...     y = nd.exp(x).sum(axis=1)
    >>> for entry in autograd.tape(y).in_order():
    ...     print(entry.operator, entry.params, entry.outputs[0], entry.saved_bytes)
    variable {} (1, 3) float32 0
    exp {} (1, 3) float32 12
    sum {'axis': (1,)} (1,) float32 0
    """
    return _tape_of(y, "tape")


def _tape_of(y: NDArray | Sequence[NDArray], what: str) -> Tape:
    heads = heads_of(y, what)
    entries = [Entry(told) for told in core.tape_walk(heads)]
    places = [Edge(number, output, "") for number, output in map(core.tape_place, heads)]
    return Tape(entries, places)


def _numbers(names: Mapping[str, Any] | None, what: str) -> dict[int, str]:
    """The names of variables by the numbers of their entries."""
    if not names:
        return {}
    from ..gluon.parameter import Parameter

    found = {}
    for name, value in names.items():
        array = value.data() if isinstance(value, Parameter) else value
        if not isinstance(array, NDArray):
            raise TypeError(f"{what}: names must be of arrays or parameters, {name!r} is {value!r}")
        number, _ = core.tape_place(array)
        if number is not None:
            found[number] = name
    return found


def print_graph(
    y: NDArray | Sequence[NDArray],
    file: TextIO | None = None,
    names: Mapping[str, NDArray | Parameter] | None = None,
) -> None:
    """Prints what was recorded on the way to `y`, the oldest step first.

    Each step has a line: its number, operator and parameters, from which steps its inputs come,
    shape and dtype of the result, what it saves, and where it was recorded. Steps that repeat are
    shown once.

    Parameters
    ----------
    y : NDArray or list of NDArray
        Arrays that were computed while recording.
    file : file, default sys.stdout
        Where to write to.
    names : dict of str to NDArray or Parameter, optional
        Names for variables: ``{"w": w}``, or ``net.collect_params()``.

    Raises
    ------
    MXNetError
        `y` is not on the tape.

    >>> from mxtape import autograd, nd
    >>> x = nd.array([[1, 2, 3]])
    >>> x.attach_grad()
    >>> with autograd.record():
    ...     y = nd.exp(x).sum(axis=1)
    >>> autograd.print_graph(y, names={"x": x})  # doctest: +ELLIPSIS
    1  x                  (1, 3) float32  grad_req=write
    2  exp             1  (1, 3) float32  saves 12 B  ...
    3  sum(axis=(1,))  2  (1,) float32  ...
    """
    from ._listing import listing

    text = listing(_tape_of(y, "print_graph"), _numbers(names, "print_graph"))
    print(text, file=file or sys.stdout)


def plot_graph(
    y: NDArray | Sequence[NDArray],
    engine: str | None = None,
    names: Mapping[str, NDArray | Parameter] | None = None,
) -> GraphPlot:
    """A picture of what was recorded on the way to `y`.

    Parameters
    ----------
    y : NDArray or list of NDArray
        Arrays that were computed while recording.
    engine : {None, 'dot', 'layered'}
        What places the steps: graphviz's ``dot``, or mxtape itself. By default ``dot`` where it is
        installed.
    names : dict of str to NDArray or Parameter, optional
        Names for variables: ``{"w": w}``, or ``net.collect_params()``.

    Returns
    -------
    GraphPlot
        Shown by notebooks; ``save(path)`` writes it as SVG.

    Raises
    ------
    MXNetError
        `y` is not on the tape, or ``dot`` is not installed or fails.

    >>> from mxtape import autograd, nd
    >>> x = nd.array([[1, 2, 3]])
    >>> x.attach_grad()
    >>> with autograd.record():
    ...     y = nd.exp(x).sum(axis=1)
    >>> plot = autograd.plot_graph(y, engine="layered", names={"x": x})
    >>> plot
    <GraphPlot of 3 steps>
    >>> plot._repr_svg_().startswith("<svg")
    True
    """
    from ._plot import plot

    return plot(_tape_of(y, "plot_graph"), engine, _numbers(names, "plot_graph"))
