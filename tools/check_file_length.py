#!/usr/bin/env python3
"""Fails when a source file is longer than a reader can hold: 800 lines.

check_file_length.py [ROOT]      the default is this repository
"""

from __future__ import annotations

import sys
from pathlib import Path

LIMIT = 800
FOLDERS = ("cpp", "python", "tests", "tools", "benchmarks", "examples")
SUFFIXES = (".h", ".cpp", ".py", ".pyi", ".sh")


def long_files(root: Path, limit: int = LIMIT) -> list[tuple[Path, int]]:
    """Returns each source file below `root` that has more than `limit` lines, with its length."""
    found = []
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in SUFFIXES and path.is_file():
                with path.open("rb") as file:
                    lines = sum(1 for _ in file)
                if lines > limit:
                    found.append((path, lines))
    return found


def main(arguments: list[str]) -> int:
    root = Path(arguments[0]) if arguments else Path(__file__).resolve().parent.parent
    found = long_files(root)
    for path, lines in found:
        print(f"{path}: {lines} lines; at most {LIMIT}, split it by subject")
    if not found:
        print(f"check_file_length: no source file is longer than {LIMIT} lines")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
