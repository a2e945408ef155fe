"""What is made from the registry: type stubs, as a type checker reads them, and a page."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

import mxtape as mx

ROOT = Path(__file__).resolve().parents[2]

PROGRAM = """
import mxtape as mx
from mxtape import autograd, nd

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
"""
REVEALED = ["NDArray", "NDArray", "NDArray", "tuple[int, ...]", "NDArray"]

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
    """Runs mypy over a program; gives what it prints."""
    if importlib.util.find_spec("mypy") is None:
        pytest.skip("mypy is in the lint group")
    folder = tmp_path_factory.mktemp("typed")

    def run(source):
        path = folder / "program.py"
        path.write_text(source)
        done = subprocess.run(
            [sys.executable, "-m", "mypy", "--no-error-summary", str(path)],
            capture_output=True,
            text=True,
            timeout=300,
            cwd=folder,
            env={"MYPYPATH": str(Path(mx.__file__).parents[1]), "PATH": ""},
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
    revealed = [line.split('"')[1].split(".")[-1] for line in printed.splitlines() if '"' in line]
    expected = [kind.split(".")[-1] for kind in REVEALED]
    assert revealed == expected, printed


def test_wrong_calls_are_seen(check):
    printed = check("from mxtape import nd\n" + "\n".join(WRONG) + "\n").splitlines()
    for number, (call, word) in enumerate(WRONG.items(), 2):
        about = [line for line in printed if f"program.py:{number}: error" in line]
        assert any(word in line for line in about), (call, printed)
