"""The repository's own checks: each must pass on what is right and fail on what is wrong."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / "tools"


def load(name):
    spec = importlib.util.spec_from_file_location(name, TOOLS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(name, *arguments):
    return subprocess.run(
        [sys.executable, str(TOOLS / f"{name}.py"), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


@pytest.fixture
def tree(tmp_path):
    """A source tree with one header in every folder of cpp/, each including the folder before."""
    for folder in load("check_includes").ALLOWED:
        (tmp_path / "cpp" / folder).mkdir(parents=True)
        (tmp_path / "cpp" / folder / "a.h").write_text("#pragma once\n#include <vector>\n")
    return tmp_path


def test_includes_that_point_one_way_pass(tree):
    (tree / "cpp/op/b.cpp").write_text('#include "op/a.h"\n#include "core/a.h"\n')
    (tree / "cpp/python/b.cpp").write_text('#include <Python.h>\n#include "io/a.h"\n')
    (tree / "cpp/ops/nn/b.cpp").write_text('#include "ops/linalg/a.h"\n#include "ops/nn/a.h"\n')
    result = run("check_includes", tree)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    ("folder", "include"),
    [
        ("core", '"runtime/a.h"'),
        ("core", '"autograd/a.h"'),
        ("runtime", '"autograd/a.h"'),
        ("autograd", '"runtime/a.h"'),
        ("autograd", '"op/a.h"'),
        ("op", '"ops/shared/a.h"'),
        ("ops/shared", '"ops/elementwise/a.h"'),
        ("ops/linalg", '"ops/conv/a.h"'),
        ("ops/vision", '"graph/a.h"'),
        ("graph", '"io/a.h"'),
        ("io", '"python/a.h"'),
    ],
)
def test_include_that_points_back_fails(tree, folder, include):
    (tree / "cpp" / folder / "b.cpp").write_text(f"int a;\n  #  include {include}\n")
    result = run("check_includes", tree)
    assert result.returncode == 1
    assert f"{folder}/b.cpp:2" in result.stdout
    assert include in result.stdout


@pytest.mark.parametrize(
    ("include", "says"),
    [
        ("<Python.h>", "only python/"),
        ("<pybind11/pybind11.h>", "only python/"),
        ("<core/a.h>", 'included as "core/a.h"'),
        ('"a.h"', "no such file under cpp/"),
        ('"core/../python/a.h"', "without .."),
    ],
)
def test_include_that_goes_round_the_order_fails(tree, include, says):
    (tree / "cpp/core/b.h").write_text(f"#include {include}\n")
    result = run("check_includes", tree)
    assert result.returncode == 1
    assert says in result.stdout


def test_unknown_folder_of_cpp_fails(tree):
    (tree / "cpp/extra").mkdir()
    (tree / "cpp/extra/a.h").write_text("#pragma once\n")
    result = run("check_includes", tree)
    assert result.returncode == 1
    assert "'extra'" in result.stdout


def test_tree_without_sources_fails(tmp_path):
    assert run("check_includes", tmp_path).returncode == 1


@pytest.mark.parametrize("folder", ["cpp/core", "python/mxtape", "tests/cpp"])
def test_file_length(tmp_path, folder):
    path = tmp_path / folder / "a.cpp"
    path.parent.mkdir(parents=True)
    path.write_text("int a;\n" * 800)
    assert run("check_file_length", tmp_path).returncode == 0
    path.write_text("int a;\n" * 801)
    result = run("check_file_length", tmp_path)
    assert result.returncode == 1
    assert "801 lines" in result.stdout


def test_requirements_are_those_of_pyproject():
    requirements = load("requirements").requirements
    lines = requirements(ROOT / "pyproject.toml", ["build", "test"])
    assert [line.split(">")[0] for line in lines] == [
        "numpy",
        "scikit-build-core",
        "pybind11",
        "cmeel-eigen",
        "onednn-devel-cpu-gomp",
        "pytest",
        "pytest-xdist",
        "psutil",
        "ml_dtypes",
        "mpmath",
        "graphviz",
        "Pillow",
        "scipy",
        "mpi4py",
        "mpich",
    ]
    with pytest.raises(KeyError, match="no group nonsense"):
        requirements(ROOT / "pyproject.toml", ["nonsense"])


def test_snippets_of_the_page_on_operators_are_formatted():
    programs = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    clang_format = shutil.which("clang-format", path=programs)
    if clang_format is None:
        pytest.skip("clang-format is not installed: it is in the group lint of pyproject.toml")
    page = (ROOT / "docs/adding-an-operator.md").read_text()
    snippets = re.findall(r"```cpp\n(.*?)```", page, re.DOTALL)
    assert len(snippets) >= 3
    for snippet in snippets:
        formatted = subprocess.run(
            [clang_format, f"--assume-filename={ROOT / 'cpp/ops/page.cpp'}"],
            input=snippet,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout
        assert snippet == formatted
