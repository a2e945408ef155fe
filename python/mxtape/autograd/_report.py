"""What the tape keeps in memory, by operator and by line."""

from __future__ import annotations

import collections
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

from .._loader import core
from ..ndarray import NDArray


def bytes_text(count: int) -> str:
    """``'1.5 MB'``: a number of bytes with a unit of 1,000."""
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 999.5 or unit == "GB":
            break
        size /= 1000
    return f"{size:.0f} {unit}" if unit == "B" or size >= 99.95 else f"{size:.1f} {unit}"


class Row(NamedTuple):
    """What steps of one kind keep."""

    name: str
    steps: int
    arrays: int  # bytes
    nodes: int  # bytes
    shared: int  # bytes that the program holds too

    @property
    def total(self) -> int:
        """Bytes that are free when the tape goes."""
        return self.arrays + self.nodes


class MemoryReport:
    """What the tape behind some arrays keeps in memory. Made by :func:`memory_report`.

    Attributes
    ----------
    total : int
        Bytes that are free when the arrays, and the tape with them, are dropped: `arrays` and
        `nodes`. Memory that several steps share counts once.
    arrays : int
        Bytes of arrays that nothing but the tape keeps. Each counts with its header and what is
        unused in its block, as in ``mx.runtime.memory_stats()``.
    nodes : int
        Bytes of the tape itself: steps, parameters, and calls that wait.
    result : int
        Of `arrays`: those of the arrays themselves that the report was asked for, where no step
        keeps them.
    shared : int
        Bytes of arrays that the tape keeps and the program too: parameters, their gradients, data.
    by_operator, by_line : list of Row
        The same, sorted: the largest first. Memory that steps share counts for the oldest.
    """

    def __init__(self, items: list[tuple[Any, ...]], entries: dict[int, tuple[str, str]]) -> None:
        self.arrays = self.nodes = self.result = self.shared = 0
        self._operators: dict[str, list[int]] = {}
        self._lines: dict[str, list[int]] = {}
        for operator, line in entries.values():
            self._cells(operator, line, 0, 1)
        for what, _, size, number, _, goes in items:
            is_node = what != "storage"
            if not goes:
                self.shared += 0 if is_node else size
                column = 0 if is_node else 3
            elif is_node:
                self.nodes += size
                column = 2
            else:
                self.arrays += size
                self.result += size if number is None else 0
                column = 1
            if not column:
                continue
            if number is None:
                operator = line = "(result)"
            else:
                operator, line = entries.get(number, ("(inside a graph)", "(inside a graph)"))
            self._cells(operator, line, column, size)

    def _cells(self, operator: str, line: str, column: int, amount: int) -> None:
        for table, key in ((self._operators, operator), (self._lines, line or "(unknown)")):
            table.setdefault(key, [0, 0, 0, 0])[column] += amount

    @property
    def total(self) -> int:
        return self.arrays + self.nodes

    @staticmethod
    def _rows(table: dict[str, list[int]]) -> list[Row]:
        rows = [Row(name, *cells) for name, cells in table.items()]
        return sorted(rows, key=lambda row: (-row.total, -row.shared, row.name))

    @property
    def by_operator(self) -> list[Row]:
        return self._rows(self._operators)

    @property
    def by_line(self) -> list[Row]:
        return self._rows(self._lines)

    def __str__(self) -> str:
        lines = [
            f"The tape keeps {bytes_text(self.total)}: {bytes_text(self.arrays)} of arrays and "
            f"{bytes_text(self.nodes)} of its own.",
            f"It also refers to {bytes_text(self.shared)} of arrays that the program holds.",
        ]
        for title, rows in (("operator", self.by_operator), ("line", self.by_line)):
            lines += ["", *_table(title, rows)]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<MemoryReport: {self.total} bytes in {sum(r.steps for r in self.by_line)} steps>"


def _table(title: str, rows: list[Row], most: int = 20) -> list[str]:
    head = (title, "steps", "arrays", "nodes", "shared with program")
    cells = [
        (row.name, str(row.steps), *map(bytes_text, (row.arrays, row.nodes, row.shared)))
        for row in rows[:most]
    ]
    widths = [max(map(len, column)) for column in zip(head, *cells)]
    lines = []
    for row in (head, *cells):
        first, *others = (
            cell.ljust(width) if not i else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths))
        )
        lines.append("  ".join([first, *others]).rstrip())
    lines.insert(1, "-" * max(map(len, lines)))
    if len(rows) > most:
        lines.append(f"... and {len(rows) - most} more")
    return lines


def _references(items: list[Any]) -> list[int]:
    return [sys.getrefcount(item) for item in items]


# What looking itself adds to the one of the list: it depends on the version of Python.
_OF_LOOKING = _references([object()])[0] - 1


def _only_held_by(function: Any) -> list[NDArray]:
    """The arrays that nothing but a Function on the tape keeps, if nothing else keeps that."""
    # The bound method and the list.
    if _references([function.__self__])[0] - _OF_LOOKING > 2:
        return []
    arrays = function.__self__._arrays()
    times = collections.Counter(map(id, arrays))
    found = {
        id(array): array
        for array, references in zip(arrays, _references(arrays))
        # In the function and in `arrays`.
        if references - _OF_LOOKING == 2 * times[id(array)]
    }
    return list(found.values())


def memory_report(y: NDArray | Sequence[NDArray]) -> MemoryReport:
    """What the tape behind `y` keeps in memory, by operator and by line of the program.

    Parameters
    ----------
    y : NDArray or list of NDArray
        Arrays that were computed while recording.

    Returns
    -------
    MemoryReport
        A table, when printed. ``total`` is the number of bytes that are free when `y` and its graph
        are dropped.

    Raises
    ------
    MXNetError
        `y` is not on the tape.

    >>> from mxtape import autograd, nd
    >>> x = nd.zeros((100, 100))
    >>> x.attach_grad()
    >>> with autograd.record():
    ...     y = nd.exp(x + 1).sum()
    >>> report = autograd.memory_report(y)
    >>> 40_000 < report.total < 42_000
    True
    >>> report.by_operator[0].name
    'exp'
    """
    from .inspection import heads_of

    heads = heads_of(y, "memory_report")
    told = core.tape_walk(heads)
    entries: dict[int, tuple[str, str]] = {}
    owned: dict[int, list[NDArray]] = {}
    while told:
        *entry, function = told.pop()
        variable = entry[2] == "variable"
        entries[entry[0]] = (entry[1], "(variables)" if variable else entry[3])
        if function is not None and (arrays := _only_held_by(function)):
            owned[entry[0]] = arrays
        del function
    del y
    return MemoryReport(core.tape_memory(heads, owned), entries)
