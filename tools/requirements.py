#!/usr/bin/env python3
"""Prints requirements that pyproject.toml states, one a line, for `pip install -r`.

    requirements.py build test      "build" is build-system.requires; other names are extras

So a developer environment needs no second list, and mxtape itself need not be built to install
what its extras ask for.
"""

from __future__ import annotations

import sys
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    # No TOML reader in the standard library yet; pip is there in every environment.
    from pip._vendor import tomli as tomllib


def requirements(pyproject: Path, groups: list[str]) -> list[str]:
    """Returns the run-time dependencies and those of the named groups, in the file's order.

    Raises:
        KeyError: for a group that pyproject.toml does not have.
    """
    table = tomllib.loads(pyproject.read_text(encoding="utf-8"))
    project = table["project"]
    known = {"build": table["build-system"]["requires"], **project["optional-dependencies"]}
    unknown = [group for group in groups if group not in known]
    if unknown:
        raise KeyError(f"no group {', '.join(unknown)} in {pyproject}; there are: {list(known)}")
    return [*project["dependencies"], *(line for group in groups for line in known[group])]


def main(arguments: list[str]) -> int:
    pyproject = Path(__file__).resolve().parent.parent / "pyproject.toml"
    print("\n".join(requirements(pyproject, arguments)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
