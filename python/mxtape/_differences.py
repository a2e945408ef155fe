"""The page of differences from MXNet: where it is, and what it says about a name."""

import os
import re
import textwrap
from typing import NamedTuple

_HERE = os.path.dirname(os.path.abspath(__file__))


class Entry(NamedTuple):
    """A paragraph of the page, or one row of a table: what is different in one way."""

    heading: str
    cells: tuple
    line: int

    @property
    def subject(self):
        """What the entry is about: a row's first cell, the text in bold that a paragraph has."""
        if len(self.cells) > 1:
            return self.cells[0]
        found = re.match(r"\*\*(.+?)\*\*", self.cells[0])
        return found.group(1) if found else ""

    def __str__(self):
        if len(self.cells) == 1:
            return re.sub(r"\*\*(?=\S)(.+?)(?<=\S)\*\*", r"\1", self.cells[0])
        return ": ".join(
            [self.cells[0], "; ".join(f"{a}: {b}" if a else b for a, b in self.named_cells)]
        )

    @property
    def before(self):
        """What MXNet does, where the entry is a row that compares."""
        return self.cells[1] if len(self.cells) > 2 else ""

    @property
    def named_cells(self):
        """The other cells of a row, with whose behaviour they are where two are compared."""
        names = ("MXNet", "mxtape", "case") if len(self.cells) > 2 else ("",)
        return list(zip(names, self.cells[1:]))


def path():
    """Where the page is: in the package, or beside it in a working tree."""
    for folder in (_HERE, os.path.dirname(os.path.dirname(_HERE))):
        found = os.path.join(folder, "docs", "differences.md")
        if os.path.exists(found):
            return found
    raise FileNotFoundError(f"no page of differences in {_HERE}: the installation is not whole")


def entries():
    """All entries of the page, in its order; without headings of tables, and without examples."""
    found: list[Entry] = []
    with open(path(), encoding="utf-8") as page:
        lines = page.read().splitlines()
    text: list[str] = []
    heading, start, fenced = "", 0, False
    for number, line in enumerate([*lines, ""], 1):
        if line.startswith("```"):
            fenced, line = not fenced, ""
        elif fenced:
            continue
        if line.startswith(("#", "|", "- ")) or not line.strip():
            if text:
                found.append(Entry(heading, (" ".join(text),), start))
            text = []
        if line.startswith("#"):
            heading = line.lstrip("# ")
        elif line.startswith("|"):
            cells = tuple(cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1])
            following = lines[number] if number < len(lines) else ""
            if not re.match(r"\|[-| ]+$", line) and not re.match(r"\|[-| ]+$", following):
                found.append(Entry(heading, cells, number))
        elif line.strip():
            start = start if text else number
            text.append(line.strip().removeprefix("- ") if not text else line.strip())
    return found


def about(words):
    """The entries in which all the words occur, whether in capitals or not."""
    wanted = [word.lower() for word in words]

    def has(entry):
        text = " ".join((entry.heading, *entry.cells)).lower()
        return all(re.search(rf"(?<![a-z]){re.escape(word)}", text) for word in wanted)

    return [entry for entry in entries() if has(entry)]


def tell(words):
    """Prints the page, or what it says about some words; returns whether there was anything."""
    if not words:
        with open(path(), encoding="utf-8") as page:
            print(page.read(), end="")
        return True
    found = about(words)
    heading = None
    for entry in found:
        if entry.heading != heading:
            print(f"{'' if heading is None else os.linesep}{entry.heading}")
            heading = entry.heading
        print(textwrap.fill(str(entry), 96, initial_indent="  - ", subsequent_indent="    "))
    if not found:
        print(f"the page does not speak of {' '.join(words)!r}: {path()}")
    return bool(found)
