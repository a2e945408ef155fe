#!/usr/bin/env python3
"""Fails when an include in cpp/ points the wrong way between its folders.

    check_includes.py [ROOT]      ROOT holds cpp/ and tests/cpp/; the default is this repository

A quoted include is rooted at cpp/ ("core/shape.h") and may name only the folders that ALLOWED
gives for the including file's folder; in cpp/ops that is the room ("ops/linalg"). Python's headers
stay inside cpp/python.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

_TO_OP = {"core", "runtime", "autograd", "op"}

# The rooms of cpp/ops: each may include itself and those before it.
_ROOMS = (
    "shared elementwise reduce shape indexing random optimizer linalg conv sequence nn vision "
    "sparse"
).split()
_TO_OPS = _TO_OP | {f"ops/{room}" for room in _ROOMS}

ALLOWED = {
    "core": {"core"},
    "runtime": {"core", "runtime"},
    "autograd": {"core", "autograd"},
    "op": _TO_OP,
    **{
        f"ops/{room}": _TO_OP | {f"ops/{before}" for before in _ROOMS[: i + 1]}
        for i, room in enumerate(_ROOMS)
    },
    "graph": _TO_OPS | {"graph"},
    "io": _TO_OPS | {"graph", "io"},
    "python": _TO_OPS | {"graph", "io", "python"},
}

_INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
_PYTHON_HEADER = re.compile(r"^(Python\.h|pybind11/|numpy/)")


def check_file(path: Path, cpp: Path) -> list[str]:
    """Returns one complaint for each wrong include of the file at `path`."""
    folder = _folder(path.relative_to(cpp).parts)
    if folder not in ALLOWED:
        known = ", ".join(ALLOWED)
        return [f"{path}:1: folder {folder!r} is not in the order of cpp/ ({known})"]
    complaints = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        match = _INCLUDE.match(line)
        if not match:
            continue
        complaint = _complaint(match[1], match[2], folder, cpp)
        if complaint:
            complaints.append(f"{path}:{number}: {complaint}")
    return complaints


def _folder(parts: tuple[str, ...]) -> str:
    """Returns the folder that ALLOWED knows the file under: "core", "ops/linalg"."""
    return "/".join(parts[: 2 if parts[0] == "ops" else 1])


def _complaint(mark: str, name: str, folder: str, cpp: Path) -> str | None:
    parts = tuple(name.split("/"))
    target = _folder(parts)
    if mark == "<":
        if _PYTHON_HEADER.match(name) and folder != "python":
            return f"<{name}> in {folder}/: only python/ may include Python's headers"
        if target in ALLOWED and (cpp / name).is_file():
            return f'<{name}>: a header of the project is included as "{name}"'
        return None
    if ".." in parts:
        return f'"{name}": write the path from {cpp.name}/, without ..'
    if not (cpp / name).is_file():
        return f'"{name}": no such file under {cpp.name}/ (project includes are rooted there)'
    if target not in ALLOWED[folder]:
        order = ", ".join(sorted(ALLOWED[folder]))
        return f'"{name}": {folder}/ may include {order}; not {target}/'
    return None


def check_tree(root: Path) -> list[str]:
    """Returns the complaints for every C++ file below `root`/cpp."""
    cpp = root / "cpp"
    files = sorted(p for p in cpp.rglob("*") if p.suffix in (".h", ".cpp"))
    if not files:
        return [f"{cpp}: no C++ files"]
    return [complaint for path in files for complaint in check_file(path, cpp)]


def main(arguments: list[str]) -> int:
    root = Path(arguments[0]) if arguments else Path(__file__).resolve().parent.parent
    complaints = check_tree(root)
    print("\n".join(complaints) if complaints else "check_includes: every include points one way")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
