"""``python -m mxtape check``, and the page of differences that it and messages point to."""

import json
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import mxtape as mx
from mxtape import _check, _differences, _missing, autograd
from mxtape.ndarray import unsupported

EXAMPLES = Path(__file__).parents[2] / "examples"

# Each line with the kinds of findings in it and words of their names, in order.
PROGRAM = """
import mxnet as mx
import mxnet.ndarray as F, numpy as np
from mxnet import nd, autograd, gluon as g, np as mnp            # missing np
from mxnet.gluon import nn, Dens                                 # missing Dens
import mxnet.sparse_thing                                        # missing sparse_thing
import mxtape.np                                                 # missing mxtape.np
from mxnet.nd import *
from torch import nn as nn2, sofmax
try:
    from mxnet import npx
except ImportError:
    npx = None
a = nd.ones((2, 3))
b = mx.nd.sofmax(a) + F.tanh(a)                               # missing sofmax
c = nn2.Dens(a)
d = mx.nd.contrib.quantize(a)                                    # missing quantize
e = nd.RNN(a, use_sequence_length=True)                          # differs RNN
e = nd.contrib.arange_like(a, repeat=3)
short = mx.gluon.nn
layer = short.Dense(3, activaton="relu")                         # missing Dense
short = np
short.Absent                                                     # missing Absent
class Net(g.HybridBlock):
    def hybrid_forward(self, F, x):
        return F.unsqueeze(later.ones_lik(x))                    # missing unsqueeze ones_lik
    def forward(self, mx, nd):
        return mx.nothing + nd.nothing + (lambda F: F.nothing)(1)
later = mx.nd
a.tostype("csr")
a.attach_grad()
a.attach_grad(stype="csr")
a.as_np_ndarray()                                                # missing .as_np_ndarray
mx.cpu().no_such_thing
exp(a), zeros((2,))
nd.concatenate([a])                                              # differs concatenate
mx.contrib.onnx.export_model(a)                                  # missing onnx
g.nn.Dense.no_such_thing                                         # missing no_such_thing
import horovod.mxnet as hvd                                      # missing horovod.mxnet
from byteps import mxnet as bps, torch                           # missing byteps.mxnet
np.zeros((2,), dtype=np.absent, no_such=np.random.rand(2))       # missing absent
mx.kv.create("dist_async")                                       # missing create
mx.kv.create("dist_sync"), mx.kv.create("device")
g.Trainer({}, "sgd", {}, "dist_async")                           # missing Trainer
g.Trainer({}, "sgd", kvstore="device")
mnp.fit(kvstore="dist_async")                                    # missing .fit
mnp.fit(kvstore="local")
mx.gluon.model_zoo.vision.alexnet(pretrained=True)               # differs alexnet
mx.gluon.model_zoo.vision.vgg16(pretrained=False)
mx.gluon.data.vision.MNIST()                                     # differs MNIST
mx.base._LIB.MXGetLastError()                                    # missing _LIB
gpu = [mx.gpu(i) for i in range(mx.context.num_gpus())]          # differs gpu
"""


def found_in(source, tmp_path):
    path = tmp_path / "program.py"
    path.write_text(source)
    return _check.check_file(str(path))


def test_every_use_is_found_with_its_line(tmp_path):
    expected = {}
    for number, line in enumerate(PROGRAM.splitlines(), 1):
        if "  # " in line:
            kind, *names = line.partition("  # ")[2].split()
            expected[number] = (kind, names)
    found: dict = {}
    for f in found_in(PROGRAM, tmp_path):
        found.setdefault(f.line, []).append(f)
    assert sorted(found) == sorted(expected), found
    for number, (kind, names) in expected.items():
        assert {f.kind for f in found[number]} == {kind}, found[number]
        assert {f.name.rpartition(".")[2] for f in found[number]} == {
            name.rpartition(".")[2] for name in names
        }, found[number]


def test_what_a_finding_says(tmp_path):
    text = "import mxnet as mx\nx = mx.nd.sofmax(1)\nmx.gluon.nn.Dense(3, unit=2)\n"
    one, two = found_in(text, tmp_path)
    assert (one.line, one.column, one.name) == (2, 5, "mx.nd.sofmax")
    assert "did you mean 'softmax'" in one.message
    assert "there is no argument 'unit'; did you mean 'units'?" in two.message


def test_programs_of_python_2_are_said_to_be_such(tmp_path):
    (finding,) = found_in("import mxnet\n\nprint 'a'\n", tmp_path)
    assert (finding.kind, finding.line) == ("syntax", 3)
    assert "not a program of Python 3" in finding.message


def test_a_notebook_is_one_program_in_cells(tmp_path):
    cells = [
        ("markdown", "mx.nd.not_code"),
        ("code", "%matplotlib inline\nimport mxnet as mx\nif True:\n    !pip install x"),
        ("code", ["for i in (1, 2):\n", "    x = mx.nd.sofmax(i)\n", "x?"]),
        ("code", "%%bash\nls )"),
    ]
    notebook = {"cells": [{"cell_type": kind, "source": text} for kind, text in cells]}
    path = tmp_path / "n.ipynb"
    path.write_text(json.dumps(notebook))
    (finding,) = _check.check_file(str(path))
    assert (finding.file, finding.line, finding.kind) == (f"{path}[cell 2]", 2, "missing")
    notebook["cells"].append({"cell_type": "code", "source": "print 1"})
    path.write_text(json.dumps(notebook))
    (finding,) = _check.check_file(str(path))
    assert (finding.file, finding.kind) == (f"{path}[cell 4]", "syntax")
    path.write_text('{"worksheets": []}')
    assert _check.check_file(str(path))[0].kind == "syntax"
    assert f"{path}:1" in check("check", tmp_path).stdout


def test_the_examples_use_nothing_that_is_missing():
    rules = _check._rules()
    paths = map(str, EXAMPLES.glob("*.py"))
    findings = [f for path in paths for f in _check.check_file(path, rules)]
    assert [f for f in findings if f.kind != "differs"] == []
    assert any("running statistics" in f.message for f in findings)


def check(*arguments):
    command = [sys.executable, "-m", "mxtape", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_parts_that_cannot_be_imported_are_missing(tmp_path, monkeypatch):
    """A name that a module promises and whose file is not there."""
    monkeypatch.setitem(autograd._EXTRAS, "no_such_file", "promised")
    first, second = found_in(
        "from mxtape import autograd as a\na.promised()\na.absent()\n", tmp_path
    )
    assert (first.line, first.kind, second.line) == (2, "missing", 3)


def test_the_command(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "bad.py").write_text("from mxnet import np\nimport mxnet.np\n")
    (tmp_path / "good.py").write_text("from mxnet import nd\nnd.concatenate([nd.ones(2)])\n")
    (tmp_path / "other.py").write_text("import torch\ntorch.absent\n")
    done = check("check", tmp_path)
    assert done.returncode == 1
    assert f"{tmp_path}/folder/bad.py:1, 2: mxnet.np" in done.stdout
    assert "files: 3; missing: 2 uses; different: 1 uses" in done.stdout
    done = check("check", tmp_path / "good.py", tmp_path / "other.py", "--json")
    assert done.returncode == 0
    (finding,) = json.loads(done.stdout)
    assert (finding["kind"], finding["line"], finding["name"]) == ("differs", 2, "nd.concatenate")
    assert "there is no 'absent.py'" in check("check", "absent.py").stderr


# ---- the page


def test_the_page_is_there_and_can_be_searched():
    entries = _differences.entries()
    assert len(entries) > 300
    text = Path(_differences.path()).read_text(encoding="utf-8").splitlines()
    for entry in entries:
        assert entry.cells[0][:8] in text[entry.line - 1], entry
    assert any("SequenceLast" in str(entry) for entry in _differences.about(["sequencelast"]))
    done = check("differences")
    assert done.stdout.splitlines() == text
    assert "Not supported yet" in check("differences", "quantization").stdout
    done = check("differences", "nosuchword")
    assert (done.returncode, "nosuchword" in done.stdout) == (1, True)


def commands_in(text):
    return re.findall(r"python -m mxtape differences ?([^'\s]*)'", text)


def calls():
    """Everything whose message names the command."""
    modules = sorted(_missing._MODULES)
    yield from (lambda name=name: _missing.refuse("mxtape", name) for name in modules)
    names = ["quantize", "dgl_subgraph"]
    yield from (lambda name=name: unsupported.contrib(name)() for name in names)
    yield lambda: mx.base._LIB.MXNotifyShutdown
    yield lambda: mx.library.load(__file__)
    yield lambda: mx.test_utils.np_symbol
    yield lambda: mx.util.set_np()
    yield lambda: mx.nd.ones(2).as_np_ndarray()


@pytest.mark.parametrize("call", list(calls()))
def test_messages_name_a_command_that_answers(call):
    with pytest.raises((AttributeError, mx.MXNetError)) as error:
        call()
    (word,) = commands_in(str(error.value))
    assert _differences.about([word]), word


def test_no_message_points_to_a_file_that_is_not_shipped():
    package = Path(mx.__file__).parent
    for path in package.rglob("*.py"):
        assert "docs/differences.md" not in path.read_text(encoding="utf-8"), path


def test_an_installed_copy_has_the_page():
    """The page is beside the package in the working tree, in the package everywhere else."""
    text = textwrap.dedent((Path(__file__).parents[2] / "CMakeLists.txt").read_text())
    line = "install(FILES docs/differences.md DESTINATION mxtape/docs COMPONENT mxtape)"
    assert line in text
    assert Path(_differences.path()).name == "differences.md"
