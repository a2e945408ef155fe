"""Examples of docstrings run where a reader pastes them: after two lines of imports."""

import contextlib
import doctest
import importlib
import io
import pkgutil
import warnings

import pytest

import mxtape as mx
from mxtape import autograd, nd
from mxtape.ndarray import register

FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
finder = doctest.DocTestFinder(exclude_empty=True)


def modules():
    yield "mxtape"
    for module in pkgutil.walk_packages(mx.__path__, "mxtape."):
        # MPI is a package of its own; what has no docstrings is compiled.
        if not module.name.endswith((".__main__", "._as_mxnet", ".mpi")) and "._core" not in (
            module.name
        ):
            yield module.name


def failures(tests):
    """What the examples print that they should not."""
    text = io.StringIO()
    for test in tests:
        test.globs = {"mx": mx, "nd": nd, "autograd": autograd, "__name__": "pasted"}
        runner = doctest.DocTestRunner(optionflags=FLAGS, verbose=False)
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            runner.run(test, out=text.write)
    return text.getvalue()


@pytest.mark.parametrize("name", list(modules()))
def test_examples_of_a_module(name, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # some write files
    assert not failures(finder.find(importlib.import_module(name), globs={}))


def test_examples_of_operators():
    """A quarter of them: test_operator_examples.py runs all."""
    names = sorted({register.canonical(name) for name in register.all_names()})[::4]
    parser = doctest.DocTestParser()
    tests = (parser.get_doctest(register.doc_of(name), {}, name, None, 0) for name in names)
    assert not failures(tests)
