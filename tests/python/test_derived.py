"""What is made from the registry: type stubs, as a type checker reads them, and a page."""

import importlib.util
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import mxtape as mx
from mxtape._loader import core
from mxtape.ndarray import register

ROOT = Path(__file__).resolve().parents[2]

PROGRAM = """
import mxtape as mx
from mxtape import autograd, gluon, nd

x = nd.array([[1, 2], [3, 4]])
x.attach_grad()
with autograd.record():
    y = nd.FullyConnected(x, nd.ones((3, 2)), no_bias=True, num_hidden=3)
    z = (nd.Activation(y, act_type="relu") * 2 + 1).sum(axis=(0, 1))
z.backward()
reveal_type(x)
reveal_type(y)
reveal_type(z[0] > 1)
reveal_type(x.shape)
reveal_type(x.transpose())


class Square(autograd.Function):
    def forward(self, x: nd.NDArray) -> nd.NDArray:
        self.save_for_backward(x)
        return x * x

    def backward(self, dy: nd.NDArray) -> nd.NDArray:
        (x,) = self.saved_tensors
        return 2 * x * dy


with autograd.record(), autograd.train_mode():
    a, b = nd.split(x, num_outputs=2, axis=1)
    y = Square()(a * b)
(g,) = autograd.grad(y, [x], retain_graph=True)
autograd.backward(y)
with autograd.pause():
    print(autograd.is_recording(), mx.cpu(), nd.topk(x).asnumpy())
reveal_type(g)
reveal_type(y)
reveal_type(nd.split(x, 2))

net = gluon.nn.HybridSequential()
net.add(gluon.nn.Dense(2, activation="relu"))
net.initialize(mx.init.Xavier())
trainer = gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": 0.1})
with autograd.record():
    loss = gluon.loss.L2Loss()(net(x), x)
loss.backward()
trainer.step(2)
"""
REVEALED = ["NDArray", "NDArray", "NDArray", "tuple[int, ...]", "NDArray"]
REVEALED += ["NDArray", "NDArray", "list[NDArray]"]

WRONG = {
    'nd.Activation(nd.ones((1,)), act_type="rilu")': "Literal",
    "nd.softmax(nd.ones((1,)), axis='x')": "SupportsIndex",
    "nd.softmax(3)": "NDArray",
    "nd.no_such_operator(3)": "no_such_operator",
    "nd.ones((1,)).softmaxx()": "softmaxx",
    "nd.softmax(nd.ones((1,)), nonsense=1)": "nonsense",
}


@pytest.fixture(scope="module")
def check(tmp_path_factory):
    """Runs mypy --strict over a program; gives what it prints."""
    if importlib.util.find_spec("mypy") is None:
        pytest.skip("mypy is in the lint group")
    folder = tmp_path_factory.mktemp("typed")

    def run(source):
        path = folder / "program.py"
        path.write_text(source)
        done = subprocess.run(
            [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", str(path)],
            capture_output=True,
            text=True,
            timeout=300,
            cwd=folder,
            # As an installed package, whose own errors are not of interest.
            env={"PYTHONPATH": str(Path(mx.__file__).parents[1]), "PATH": ""},
        )
        return done.stdout + done.stderr

    return run


@pytest.mark.parametrize("name", ["make_stubs.py", "make_operator_page.py"])
def test_what_is_made_from_the_registry_is_up_to_date(name):
    tool = ROOT / "tools" / name
    if not tool.exists():
        pytest.skip("needs the source tree")
    done = subprocess.run(
        [sys.executable, str(tool), "--check"], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr


def test_the_package_says_that_it_is_typed():
    folder = Path(mx.__file__).parent
    assert (folder / "py.typed").exists()
    assert (folder / "ndarray" / "__init__.pyi").exists()


def test_types_of_results(check):
    printed = check(PROGRAM)
    assert "error:" not in printed
    revealed = [line.split('"')[1] for line in printed.splitlines() if '"' in line]
    assert [kind.replace("mxtape.ndarray.", "") for kind in revealed] == REVEALED, printed


def test_wrong_calls_are_seen(check):
    printed = check("from mxtape import nd\n" + "\n".join(WRONG) + "\n").splitlines()
    for number, (call, word) in enumerate(WRONG.items(), 2):
        about = [line for line in printed if f"program.py:{number}: error" in line]
        assert any(word in line for line in about), (call, printed)


def test_signatures_show_the_defaults():
    nd = mx.nd
    for function, text in (
        (nd.softmax, "(data, length=None, axis=-1, temperature=None, dtype=None, use_length=False"),
        (nd.clip, "(data, a_min, a_max, out=None, name=None)"),
        (nd.concat, "(*data, num_args=None, dim=1, out=None, name=None)"),
        (nd.topk, "(data, axis=-1, k=1, ret_typ='indices', is_ascend=False, dtype='float32'"),
        (nd.FullyConnected, "(data, weight, bias=None, num_hidden=<required>, no_bias=False"),
        (mx.sym.clip, "(data=None, a_min=<required>, a_max=<required>, name=None"),
    ):
        assert str(inspect.signature(function)).startswith(text), inspect.signature(function)


def test_shown_defaults_are_the_defaults():
    """What a signature shows may be given."""
    x = mx.nd.array([[1, 2], [3, 4]])
    count = 0
    for name in register.all_names():
        operator = register.get(name)
        parameters = inspect.signature(operator).parameters.values()
        info = core.describe_op(operator.__name__)
        required = [p.name for p in parameters if p.default in (p.empty,)]
        if info["pointwise"] and required == [info["inputs"][0][0]]:
            given = {p.name: p.default for p in parameters if p.name in info_names(info)}
            outcome = [attempt(operator, x, **kwargs) for kwargs in ({}, given)]
            assert outcome[0] == outcome[1], (name, given)
            count += 1
    assert count > 30


def info_names(info):
    return {row[0] for row in info["params"]}


def attempt(operator, x, **kwargs):
    try:
        return str(operator(x, **kwargs))
    except mx.MXNetError as error:
        return type(error).__name__


def test_arrays_have_a_docstring():
    assert "attach_grad" in mx.nd.NDArray.__doc__
