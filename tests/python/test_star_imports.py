"""``from mxtape.<module> import *`` gives the names that MXNet 1.9.1's modules give."""

import importlib
import sys
from pathlib import Path

import pytest

import mxtape as mx
from support import output_of, run_program


def _listed():
    modules = {}
    for line in Path(__file__).with_name("star_imports.txt").read_text().splitlines():
        if line.startswith("#"):
            continue
        if not line.startswith(" "):
            module, _, line = line.partition(":")
            modules[module] = []
        modules[module] += line.split()
    return modules


LISTED = _listed()

# What is not there, by the reason. Each is an error that says so.
_SUBMODULES = (
    "api error ndarray_doc notebook np np_symbol npx numpy "
    "numpy_dispatch_protocol numpy_extension numpy_op_fallback numpy_op_signature onnx "
    "rtc symbol_doc th torch tvmop"
)
EXCEPTIONS = {
    "mxnet": {"is not built yet": _SUBMODULES},
    "mxnet.contrib": {"needs protobuf or quantized arrays": "onnx quant quantization"},
    "mxnet.ndarray": {
        "is not built yet": "numpy numpy_extension",
        "is a pointer of the C interface": "_new_empty_handle",
    },
    "mxnet.test_utils": {
        "needs np": "np_symbol",
    },
    "mxnet.symbol": {"is not built yet": "numpy numpy_extension"},
}


def _excepted(module):
    return {name for names in EXCEPTIONS.get(module, {}).values() for name in names.split()}


def _own(module):
    return "mxtape" + module[len("mxnet") :]


@pytest.mark.parametrize("module", LISTED)
def test_names_of(module):
    gained: dict = {}
    exec(f"from {_own(module)} import *", gained)
    expected = set(LISTED[module]) - _excepted(module)
    assert expected <= set(gained), sorted(expected - set(gained))


@pytest.mark.parametrize("module", EXCEPTIONS)
def test_what_is_not_there_says_so(module):
    """An exception that has come to be there is to leave the list."""
    found = importlib.import_module(_own(module))
    assert _excepted(module) <= set(LISTED[module])
    for name in _excepted(module):
        with pytest.raises(AttributeError, match=name):
            getattr(found, name)


@pytest.mark.parametrize(
    "module", ["mxtape", "mxtape.contrib", "mxtape.ndarray", "mxtape.test_utils"]
)
def test_errors_name_the_page(module):
    found = importlib.import_module(module)
    for name in _excepted("mxnet" + module[len("mxtape") :]):
        with pytest.raises(AttributeError, match=r"python -m mxtape differences"):
            getattr(found, name)


def test_all_lists_no_name_twice_and_none_that_is_missing():
    for module in LISTED:
        found = importlib.import_module(_own(module))
        assert len(set(found.__all__)) == len(found.__all__)
        for name in found.__all__:
            getattr(found, name)


def test_the_names_mean_what_they_mean_in_mxnet():
    gained: dict = {}
    exec("from mxtape.test_utils import *", gained)
    import numpy
    import numpy.testing

    assert gained["np"] is numpy
    assert gained["npt"] is numpy.testing
    assert gained["rnd"] is numpy.random
    assert gained["sys"] is sys
    assert gained["mx"].nd is mx.nd  # another test may have installed mxnet
    assert gained["array"] is mx.nd.array
    assert gained["Context"] is mx.Context
    gained = {}
    exec("from mxtape.autograd import *", gained)
    assert gained["array"].__module__ == "array"
    assert gained["NDArray"] is mx.nd.NDArray
    assert gained["c_int"].__module__ == "ctypes"
    assert mx.rnd is mx.random


def test_modules_that_may_be_absent_are_imported_on_first_use():
    program = """
        import sys
        sys.modules["requests"] = None
        from mxtape.test_utils import *
        print(type(requests).__name__, "scipy" in sys.modules)
        try:
            requests.get
        except ImportError as error:
            print("requests" in str(error))
        struct.pack
        sys.modules["scipy.stats"] = os
        print(ss.getcwd is os.getcwd)
    """
    assert output_of(program).split() == ["_Later", "False", "True", "True"]


def test_import_brings_in_none_of_them():
    program = """
        import sys, numpy
        before = set(sys.modules)
        import mxtape
        print(*set(sys.modules) - before)
    """
    late = {"ctypes", "bz2", "requests", "scipy", "traceback", "json", "logging", "zipfile"}
    late |= {
        f"mxtape.{name}" for name in ("test_utils", "contrib.text", "_c_types", "util", "name")
    }
    assert not late & set(output_of(program).split())


@pytest.mark.parametrize("package", ["mxtape", "mxnet"])
@pytest.mark.parametrize("name", ["np", "npx"])
def test_importing_a_module_that_is_not_built_explains_itself(package, name):
    before = "import mxtape; mxtape.install_as_mxnet(); " if package == "mxnet" else ""
    for statement in (
        f"from {package} import {name}",
        f"import {package}.{name}",
        f"import {package}.{name}.more",
        f"from {package}.{name} import *",
    ):
        error = run_program(before + statement).stderr.splitlines()[-1]
        assert f"mxtape.{name} is not in mxtape yet; see 'python -m mxtape differences" in error, (
            statement
        )
        assert "ModuleNotFoundError" in error
    caught = (
        before
        + f"\ntry:\n    from {package} import {name}\nexcept ImportError:\n    print('caught')"
    )
    assert output_of(caught) == "caught\n"


def test_parts_of_contrib_say_what_they_need():
    error = run_program("from mxtape.contrib import onnx").stderr.splitlines()[-1]
    assert "mxtape.contrib.onnx is not in mxtape yet: it needs protobuf" in error
    with pytest.raises(AttributeError, match="quantized arrays"):
        mx.contrib.quantization  # noqa: B018
    with pytest.raises(AttributeError, match=r"'mxtape\.contrib' has no attribute 'absent'"):
        mx.contrib.absent  # noqa: B018


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("import mxtape.sparse_thing", "there is no 'sparse_thing' in mxtape"),
        ("import mxtape.gluonn.nn", "no 'gluonn' in mxtape; did you mean 'gluon'?"),
        ("from mxtape import absent", "there is no 'absent' in mxtape"),
        ("from mxtape import optimiser", "did you mean 'optimizer'?"),
        ("from mxtape.gluon.nn import Dens", "no 'Dens' in mxtape.gluon.nn; did you mean 'Dense'?"),
        ("from mxnet.gluon import rnnn", "no 'rnnn' in mxtape.gluon; did you mean 'rnn'?"),
        ("from mxnet import quantised", "there is no 'quantised' in mxtape"),
        ("import mxnet.contrib.onnx", "mxtape.contrib.onnx is not in mxtape yet"),
        ("import mxtape; mxtape.nd.sofmax", "did you mean 'softmax' or 'Softmax'?"),
        ("import mxtape; mxtape.optimizr", "did you mean 'optimizer'?"),
    ],
)
def test_every_form_of_asking_for_what_is_not_there(statement, words):
    with pytest.raises((ImportError, AttributeError)) as error:
        install_and_run(statement)
    assert words in str(error.value)
    assert error.value.__cause__ is None


def install_and_run(statement):
    before = set(sys.modules), list(sys.meta_path), list(sys.path)
    mx.install_as_mxnet()
    try:
        exec(statement, {})
    finally:
        for name in set(sys.modules) - before[0]:
            if name.startswith("mxnet"):
                del sys.modules[name]
        sys.meta_path[:], sys.path[:] = before[1:]


def test_modules_can_be_imported_under_all_their_names():
    program = """
        import mxtape.nd, mxtape.sym, mxtape.viz
        from mxtape.nd import NDArray
        from mxtape.mod import Module
        spec = mxtape.ndarray.__spec__
        print(mxtape.nd is mxtape.ndarray, spec.name, NDArray is mxtape.nd.NDArray)
        print(mxtape.visualization.__name__, mxtape.module.Module is Module)
        random = mxtape.nd.random
        import mxtape.nd.random, mxtape.sym.contrib
        print(mxtape.nd.random is random is mxtape.ndarray.random, mxtape.sym.contrib.__name__)
    """
    assert output_of(program).splitlines() == [
        "True mxtape.ndarray True",
        "mxtape.visualization True",
        "True mxtape.symbol.contrib",
    ]
