"""A tape as text: a line for each step, with what repeats shown once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._report import bytes_text

if TYPE_CHECKING:
    from .inspection import Entry, Tape

_LONGEST_BLOCK = 64


def _in_reading_order(tape: Tape) -> list[Entry]:
    """Steps as recorded, each variable before the first step that uses it."""
    ordered: list[Entry] = []
    placed: set[int] = set()
    for entry in tape.in_order():
        if entry.kind == "variable":
            continue
        for edge in entry.edges:
            if edge.entry is None or edge.entry in placed:
                continue
            source = tape.entry(edge.entry)
            if source.kind == "variable":
                ordered.append(source)
                placed.add(edge.entry)
        ordered.append(entry)
        placed.add(entry.number)
    ordered += [entry for entry in tape.variables if entry.number not in placed]
    return ordered


def _cells(entry: Entry, places: dict[int, int], names: dict[int, str]) -> tuple[str, str, str]:
    sources = []
    for edge in entry.edges:
        if edge.entry is None:
            sources.append("const")
        else:
            output = f"[{edge.output}]" if edge.output else ""
            sources.append(f"{places[edge.entry]}{output}")
    notes = [", ".join(str(spec) if spec else "?" for spec in entry.outputs)]
    if entry.grad_req:
        notes.append(f"grad_req={entry.grad_req}")
    if entry.saved:
        waits = "".join(
            f", {state}" for state in sorted({s.state for s in entry.saved} - {"memory"})
        )
        notes.append(f"saves {bytes_text(entry.saved_bytes)}{waits}")
    if entry.line and entry.kind != "variable":
        notes.append(entry.line)
    return names.get(entry.number) or entry.describe(), " ".join(sources), "  ".join(notes)


def _repeats(signatures: list[int], start: int) -> tuple[int, int]:
    """The length of the block at `start` that repeats most, and how often it does after that."""
    best, times = 0, 0
    count = len(signatures)
    for length in range(1, min(_LONGEST_BLOCK, (count - start) // 2) + 1):
        at = start + length
        if signatures[at] != signatures[start]:
            continue
        block = signatures[start:at]
        while signatures[at : at + length] == block:
            at += length
        repeated = (at - start) // length - 1
        if repeated >= 2 and repeated * length > best * times:
            best, times = length, repeated
    return best, times


def listing(tape: Tape, names: dict[int, str]) -> str:
    """The text that ``print_graph`` prints; `names` are those of variables, by number."""
    entries = _in_reading_order(tape)
    places = {entry.number: i for i, entry in enumerate(entries, 1)}
    # Equal numbers for steps that do the same with inputs that are as far back.
    numbers: dict[object, int] = {}
    signatures: list[int] = []
    for i, entry in enumerate(entries, 1):
        back = [(i - places[e.entry] if e.entry is not None else 0, e.output) for e in entry.edges]
        same = (entry.describe(), tuple(back), tuple(entry.outputs), entry.grad_req, entry.line)
        signatures.append(numbers.setdefault(same, len(numbers)))
    rows: list[tuple[str, ...]] = []
    at = 0
    while at < len(entries):
        length, times = _repeats(signatures, at)
        for i in range(at, at + max(length, 1)):
            rows.append((str(i + 1), *_cells(entries[i], places, names)))
        at += max(length, 1)
        if times:
            last = at + length * times
            steps = f"these {length} steps" if length > 1 else "this step"
            rows.append(("", f"... {steps} {times} more times: {at + 1} to {last}"))
            at = last
    full = [row for row in rows if len(row) > 2]
    widths = [min(max(len(row[k]) for row in full), 64) for k in range(3)]
    lines = []
    for row in rows:
        if len(row) == 2:
            lines.append(" " * (widths[0] + 2) + row[1])
        else:
            aligned = [row[0].rjust(widths[0]), row[1].ljust(widths[1]), row[2].ljust(widths[2])]
            lines.append("  ".join([*aligned, row[3]]).rstrip())
    return "\n".join(lines)
