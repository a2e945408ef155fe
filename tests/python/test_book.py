"""Every snippet of the pages runs, and prints what the page says.

A page runs from top to bottom, with the names of its snippets kept. Blocks fenced as ``python``
are run:

- with ``>>>`` as doctests;
- without, as programs. What they print is compared with the block fenced as ``text`` that follows
  them, if one does.

A block after the comment ``<!-- not run: REASON -->`` is left out. ``>>>`` outside of a block is an
error: on a page it would be a quotation.
"""

import contextlib
import doctest
import functools
import io
import re
from pathlib import Path

import pytest

import mxtape as mx

ROOT = Path(__file__).resolve().parents[2]
PAGES = [*sorted((ROOT / "docs").rglob("*.md")), ROOT / "README.md"]
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
FENCE = re.compile(
    r"(?P<skip><!-- not run: [^\n]+ -->\n+)?"
    r"^(?P<indent> *)```python\n(?P<code>.*?)^ *```$"
    r"(?:\n+^ *```text\n(?P<printed>.*?)^ *```$)?",
    re.DOTALL | re.MULTILINE,
)


def examples_of(text, name):
    """The doctest examples of a page; a program is an example that calls `run_program`."""
    found, programs = [], []
    for match in FENCE.finditer(text):
        if match["skip"]:
            continue
        line = text.count("\n", 0, match.start("code"))
        code = re.sub(f"^{match['indent']}", "", match["code"], flags=re.MULTILINE)
        if ">>>" in code:
            for example in doctest.DocTestParser().get_examples(code, name):
                example.lineno += line
                found.append(example)
            continue
        # Lines before it keep the numbers that a traceback shows.
        programs.append((compile("\n" * line + code, name, "exec"), match["printed"] is None))
        call = f"run_program({len(programs) - 1})"
        found.append(doctest.Example(call, match["printed"] or "", lineno=line))
    return found, programs


def run_page(text, name):
    """Runs a page's snippets; returns how many, and a report of those that failed."""
    examples, programs = examples_of(text, name)
    test = doctest.DocTest(examples, {"__name__": "__main__"}, name, name, 0, text)

    def run_program(number):
        code, silent = programs[number]
        with contextlib.redirect_stdout(io.StringIO()) if silent else contextlib.nullcontext():
            exec(code, test.globs)

    test.globs["run_program"] = run_program
    report = io.StringIO()
    doctest.DocTestRunner(optionflags=FLAGS, verbose=False).run(test, out=report.write)
    return len(examples), report.getvalue()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_snippets_of(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = page.read_text(encoding="utf-8")
    outside = re.sub(r"^ *```.*?^ *```$", "", text, flags=re.DOTALL | re.MULTILINE)
    assert not re.search("^>>>", outside, re.MULTILINE), "put >>> into a block fenced as python"
    _, report = run_page(text, str(page))
    assert not report, report


def test_a_wrong_snippet_is_found():
    right = "```python\nx = 1\nprint(x)\n```\n\n```text\n1\n```\n\n```python\n>>> x + 1\n2\n```\n"
    assert run_page(right, "page") == (3 - 1, "")
    assert "Expected" in run_page(right.replace("2\n", "3\n"), "page")[1]
    assert "Expected" in run_page(right.replace("text\n1", "text\n7"), "page")[1]
    assert "line 2, in page" in run_page("```python\n>>> nothing\n```", "page")[1]
    skipped = "<!-- not run: a fragment -->\n```python\nnothing\n```\n"
    assert run_page(skipped, "page") == (0, "")


BOOK = [page for page in PAGES if page.parent.name == "docs"]
# Pages that name what is not supported, or operators that readers are to write.
LISTS = {"differences.md", "operators.md", "adding-an-operator.md", "conformance.md"}


NAME = re.compile(r"(?<![\w./])((?:mx|nd|autograd|gluon)(?:\.\w+)+)")


@pytest.mark.parametrize(
    "page", [p for p in BOOK if p.name not in LISTS], ids=lambda page: page.name
)
def test_names_in(page):
    # `nd.softmax`, `autograd.grad(y, x)`: what a page names exists.
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    homes = {"mx": mx, "nd": mx.nd, "autograd": mx.autograd, "gluon": mx.gluon}
    missing = []
    for line in text.splitlines():
        if "not supported" in line:
            continue
        cells = line.split("|")
        spans = re.findall("`([^`]+)`", "|".join(cells[2:]) if cells[0] == "" else line)
        for name in NAME.findall(" ".join(spans)):
            first, *parts = name.split(".")
            if parts[-1] in ("cpp", "h", "py"):
                continue
            try:
                functools.reduce(getattr, parts, homes[first])
            except AttributeError:
                missing.append(name)
    assert not missing


def test_the_table_of_environment_variables_is_whole():
    page = (ROOT / "docs/how-to.md").read_text(encoding="utf-8")
    table = page.split("## Environment variables")[1]
    call = re.compile(r"(?:environ(?:\.get)?[(\[]\s*|std::getenv\(|is_switched_on\()\"(\w+)")
    files = [*(ROOT / "python").rglob("*.py"), *(ROOT / "cpp").rglob("*.cpp")]
    read = {name for file in files for name in call.findall(file.read_text(encoding="utf-8"))}
    assert {"MXTAPE_ISA", "MXTAPE_WINOGRAD", "MXNET_HOME", "MXTAPE_FUSE_ABOVE"} <= read
    assert {name for name in read if f"`{name}`" not in table} == set()
