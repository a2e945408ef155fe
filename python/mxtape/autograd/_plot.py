"""A tape as a picture: SVG, placed by graphviz's dot or by a layered layout of our own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from typing import TYPE_CHECKING, NamedTuple

from ..base import MXNetError
from ._layered import Layout, place
from ._report import bytes_text

if TYPE_CHECKING:
    from .inspection import Entry, Tape

_MOST_STEPS = 3000
_FONT = "Helvetica, Arial, 'DejaVu Sans', sans-serif"
_LINE_HEIGHT = 15
# Of what a box is filled with and edged with. Text is dark in all of them, on any background.
_COLORS = {
    "operator": ("#dbe9fb", "#5b8bc9"),
    "variable": ("#fbe9c8", "#c99a3b"),
    "function": ("#e7dcf7", "#8d6bc4"),
    "graph": ("#d8f0e0", "#4fa071"),
    "checkpoint": ("#f9dcdc", "#c96a6a"),
    "other": ("#e8e8e8", "#8a8a8a"),
    "head": ("#ffffff", "#8a8f98"),
}
_WIRE = "#8a8f98"


class GraphPlot:
    """A picture of a tape, which notebooks show. Made by :func:`mxtape.autograd.plot_graph`.

    Attributes
    ----------
    svg : str
        The picture.
    """

    def __init__(self, svg: str, steps: int) -> None:
        self.svg = svg
        self._steps = steps

    def _repr_svg_(self) -> str:
        return self.svg

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the picture as an SVG file. ValueError for a name with another ending."""
        if not os.fspath(path).lower().endswith(".svg"):
            raise ValueError(f"save: the picture is SVG, and {os.fspath(path)!r} does not end so")
        with open(path, "w", encoding="utf-8") as file:
            file.write(self.svg)

    def __repr__(self) -> str:
        return f"<GraphPlot of {self._steps} steps>"


class Box(NamedTuple):
    """What is drawn of an entry: lines of text, the first of them bold."""

    key: int
    kind: str
    lines: list[str]
    title: str


class Wire(NamedTuple):
    """From a box to a box that reads it."""

    source: int
    target: int


def _short(text: str, most: int = 44) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _box(entry: Entry, names: dict[int, str]) -> Box:
    specs = ", ".join(str(spec) if spec else "?" for spec in entry.outputs)
    if entry.kind == "variable":
        name = names.get(entry.number, "variable")
        req = "" if entry.grad_req == "write" else f", {entry.grad_req}"
        return Box(entry.number, "variable", [_short(name), _short(specs + req)], repr(entry))
    given = ", ".join(f"{name}={value!r}" for name, value in entry.params.items())
    lines = [_short(entry.operator)]
    if given:
        lines.append(_short(given))
    lines.append(_short(specs))
    notes = []
    if entry.saved:
        notes.append(f"saves {bytes_text(entry.saved_bytes)}")
    if entry.line:
        notes.append(os.path.basename(entry.line))
    if notes:
        lines.append(_short(" · ".join(notes)))
    saved = "".join(f"\n{each}" for each in entry.saved)
    return Box(entry.number, entry.kind, lines, repr(entry) + saved)


def _boxes_and_wires(tape: Tape, names: dict[int, str]) -> tuple[list[Box], list[Wire]]:
    boxes = [_box(entry, names) for entry in tape.in_order()]
    wires: list[Wire] = []
    for entry in tape.in_order():
        sources = dict.fromkeys(e.entry for e in entry.edges if e.entry is not None)
        wires += [Wire(source, entry.number) for source in sources]
    for i, head in enumerate(tape.heads):
        if head.entry is None:
            continue
        label = "result" if len(tape.heads) == 1 else f"result {i}"
        boxes.append(Box(-1 - i, "head", [label], label))
        wires.append(Wire(head.entry, -1 - i))
    return boxes, wires


def _text(text: str) -> str:
    """XML text."""
    return (
        text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
    )


def _width(box: Box) -> float:
    # No font is asked: as wide as the letters are in common ones, and some room.
    widest = max(len(line) * (7.0 if i == 0 else 6.1) for i, line in enumerate(box.lines))
    return max(56.0, widest + 18)


def _height(box: Box) -> float:
    return _LINE_HEIGHT * len(box.lines) + 10


def _draw_box(box: Box, x: float, y: float) -> str:
    fill, stroke = _COLORS[box.kind]
    width, height = _width(box), _height(box)
    radius = height / 2 if box.kind in ("variable", "head") else 5
    parts = [
        f"<g><title>{_text(box.title)}</title>"
        f'<rect x="{x - width / 2:.1f}" y="{y - height / 2:.1f}" width="{width:.1f}" '
        f'height="{height:.1f}" rx="{radius:g}" fill="{fill}" stroke="{stroke}"/>'
    ]
    for i, line in enumerate(box.lines):
        base = y - height / 2 + 5 + _LINE_HEIGHT * (i + 0.75)
        style = 'font-weight="bold" font-size="12"' if i == 0 else 'font-size="11" fill="#333"'
        parts.append(f'<text x="{x:.1f}" y="{base:.1f}" {style}>{_text(line)}</text>')
    return "".join(parts) + "</g>"


def _draw_wire(points: list[tuple[float, float]]) -> str:
    (x, y), *others = points
    path = [f"M{x:.1f},{y:.1f}"]
    for to_x, to_y in others:
        middle = (y + to_y) / 2
        if abs(x - to_x) < 0.05:
            path.append(f"V{to_y:.1f}")
        else:
            path.append(f"C{x:.1f},{middle:.1f} {to_x:.1f},{middle:.1f} {to_x:.1f},{to_y:.1f}")
        x, y = to_x, to_y
    return f'<path d="{" ".join(path)}" marker-end="url(#mxtape-arrow)"/>'


def _draw(boxes: list[Box], layout: Layout) -> str:
    wires = "".join(_draw_wire(points) for points in layout.wires)
    drawn = "".join(_draw_box(box, *layout.centers[box.key]) for box in boxes)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{layout.width:.0f}" '
        f'height="{layout.height:.0f}" viewBox="0 0 {layout.width:.0f} {layout.height:.0f}">'
        '<defs><marker id="mxtape-arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        f'markerHeight="7" orient="auto"><path d="M0,0.5 L8,4 L0,7.5 z" fill="{_WIRE}"/></marker>'
        f'</defs><g fill="none" stroke="{_WIRE}" stroke-width="1.3">{wires}</g>'
        f'<g font-family="{_FONT}" text-anchor="middle" fill="#111">{drawn}</g></svg>'
    )


def _dot_source(boxes: list[Box], wires: list[Wire]) -> str:
    lines = [
        "digraph tape {",
        'graph [bgcolor="transparent", rankdir=TB, nodesep=0.25, ranksep=0.3];',
        'node [shape=box, style="filled,rounded", fontname="Helvetica", fontsize=10, margin=0.08];',
        f'edge [color="{_WIRE}", arrowsize=0.6];',
    ]
    for box in boxes:
        fill, stroke = _COLORS[box.kind]
        text = [f"<b>{_text(box.lines[0])}</b>", *map(_text, box.lines[1:])]
        shape = ", shape=ellipse" if box.kind in ("variable", "head") else ""
        lines.append(
            f'"{box.key}" [label=<{"<br/>".join(text)}>, fillcolor="{fill}", color="{stroke}", '
            f'fontcolor="#111111"{shape}];'
        )
    lines += [f'"{wire.source}" -> "{wire.target}";' for wire in wires]
    return "\n".join([*lines, "}"])


def _by_dot(boxes: list[Box], wires: list[Wire]) -> str:
    found = shutil.which("dot")
    if not found:
        raise MXNetError("plot_graph: engine='dot' needs graphviz, and dot is not in the PATH")
    done = subprocess.run(
        [found, "-Tsvg"], input=_dot_source(boxes, wires).encode(), capture_output=True, check=False
    )
    if done.returncode:
        raise MXNetError(f"plot_graph: dot failed: {done.stderr.decode(errors='replace').strip()}")
    svg = done.stdout.decode()
    return re.sub(r"^.*?(?=<svg)", "", svg, count=1, flags=re.DOTALL)


def plot(tape: Tape, engine: str | None, names: dict[int, str]) -> GraphPlot:
    """The picture that ``plot_graph`` returns; `names` are those of variables, by number."""
    if engine not in (None, "dot", "layered"):
        raise ValueError(f"plot_graph: engine must be 'dot' or 'layered', got {engine!r}")
    if len(tape) > _MOST_STEPS:
        raise MXNetError(
            f"plot_graph: the graph has {len(tape)} steps, a picture may have {_MOST_STEPS}; "
            "print_graph shows what repeats once"
        )
    boxes, wires = _boxes_and_wires(tape, names)
    if engine == "dot" or (engine is None and shutil.which("dot")):
        svg = _by_dot(boxes, wires)
    else:
        sizes = {box.key: (_width(box), _height(box)) for box in boxes}
        late = {box.key for box in boxes if box.kind == "variable"}
        svg = _draw(boxes, place(sizes, [(w.source, w.target) for w in wires], late))
    return GraphPlot(svg, len(tape))
