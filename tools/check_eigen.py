#!/usr/bin/env python3
"""Checks that the C++ core compiles with an Eigen release that systems ship.

    check_eigen.py [VERSION]      default 3.4.0: Debian 12, Ubuntu 22.04 and 24.04

The headers come from PyPI (cmeel-eigen). Every file of the core is checked with -fsyntax-only,
which instantiates its templates but generates no code: one minute on two cores. JOBS is the number
of compilers.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent


def _configure(version: str) -> Path:
    """A build tree that uses this version of Eigen."""
    work = _ROOT / "build" / f"eigen-{version}"
    pip = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    packages = work / "packages"
    package = f"cmeel-eigen=={version}.*"
    subprocess.run([*pip, "--no-deps", "--upgrade", "--target", packages, package], check=True)
    tree = work / "cmake"
    options = {
        "CMAKE_BUILD_TYPE": "Release",
        "CMAKE_EXPORT_COMPILE_COMMANDS": "ON",
        "Eigen3_DIR": packages / "cmeel.prefix/share/eigen3/cmake",
        "MXTAPE_PYTHON": "OFF",
        "MXTAPE_WERROR": "ON",
    }
    command = ["cmake", "-S", _ROOT, "-B", tree, "-G", "Ninja"]
    command += [f"-D{name}={value}" for name, value in options.items()]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    if f"Eigen {version}" not in output:
        sys.exit(f"check_eigen: CMake took another Eigen than {version}:\n{output}")
    return tree


def _check(command: dict[str, str]) -> str | None:
    """What the compiler says of one file; None when it compiles."""
    line = re.sub(r" -o \S+", " -fsyntax-only", command["command"])
    done = subprocess.run(
        line, shell=True, cwd=command["directory"], capture_output=True, text=True, check=False
    )
    return f"{command['file']}:\n{done.stderr}" if done.returncode else None


def main() -> int:
    version = sys.argv[1] if len(sys.argv) > 1 else "3.4.0"
    tree = _configure(version)
    commands = json.loads((tree / "compile_commands.json").read_text())
    headers = [c for c in commands if c["file"].endswith("cmake_pch.hxx.cxx")]
    sources = [c for c in commands if c not in headers]
    targets = [re.search(r" -o (\S+)", c["command"]).group(1) for c in headers]  # type: ignore[union-attr]
    subprocess.run(["ninja", "-C", tree, *targets], check=True, stdout=subprocess.DEVNULL)
    with ThreadPoolExecutor(int(os.environ.get("JOBS", os.cpu_count() or 2))) as pool:
        failures = [text for text in pool.map(_check, sources) if text]
    print(
        "\n".join(
            [
                *failures,
                f"check_eigen: Eigen {version}: {len(sources)} files checked, "
                f"{len(failures)} do not compile",
            ]
        )
    )
    return 1 if failures or not sources else 0


if __name__ == "__main__":
    sys.exit(main())
