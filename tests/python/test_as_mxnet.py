"""Programs that import mxnet run on mxtape."""

import subprocess
import sys

import pytest

from support import output_of, run_program

PROGRAM = """
import sys
import mxnet as mx
import mxnet.ndarray as long_name
from mxnet import nd, autograd
from mxnet.nd import NDArray
from mxnet.base import MXNetError
from mxnet.contrib import autograd as older
import mxnet.contrib.autograd

x = nd.array([1.0, 2.0])
x.attach_grad()
with autograd.record():
    y = (x * x).sum()
y.backward()
print(x.grad.asnumpy().tolist(), isinstance(x, NDArray), nd is long_name, mx.nd is nd)
print(MXNetError is mx.MXNetError, mxnet.contrib.autograd is older, sys.argv[1:], __name__)
"""
PRINTED = "[2.0, 4.0] True True True\nTrue True ['a', '--b'] __main__\n"


def run(*arguments, cwd=None):
    return subprocess.run(
        [sys.executable, "-m", "mxtape", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=cwd,
    )


def test_a_program_runs_unchanged(tmp_path):
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    done = run("run", str(path), "a", "--b")
    assert (done.stdout, done.returncode) == (PRINTED, 0), done.stderr


def test_a_module_and_what_lies_beside_the_program(tmp_path):
    helper = "import mxnet\nvalue = mxnet.nd.ones((2,)).sum().asscalar()\n"
    (tmp_path / "helper.py").write_text(helper)
    (tmp_path / "program.py").write_text("import helper\nprint(helper.value, helper.__file__)\n")
    for arguments in (("run", str(tmp_path / "program.py")), ("run", "-m", "program")):
        done = run(*arguments, cwd=tmp_path)
        assert done.stdout.split() == ["2.0", str(tmp_path / "helper.py")], done.stderr


def test_a_failing_program_fails_as_itself(tmp_path):
    path = tmp_path / "program.py"
    path.write_text("import mxnet as mx\nmx.nd.ones((2,)) + mx.nd.ones((3,))\n")
    done = run("run", str(path))
    assert done.returncode == 1
    assert "program.py" in done.stderr
    assert "MXNetError" in done.stderr
    path.write_text("raise SystemExit(7)")
    assert run("run", str(path)).returncode == 7


def test_tracebacks_begin_with_the_program(tmp_path):
    path = tmp_path / "program.py"
    path.write_text("import mxnet as mx\ndef f():\n    mx.nd.ones((2,)) + mx.nd.ones((3,))\nf()\n")
    plain = [f'File "{path}", line 4, in <module>', f'File "{path}", line 3, in f']
    for arguments in (("run", str(path)), ("run", "-m", "program")):
        lines = run(*arguments, cwd=tmp_path).stderr.splitlines()
        assert lines[0] == "Traceback (most recent call last):"
        assert [line.strip() for line in lines if "File" in line] == plain, lines
    for text, file_lines in (
        ("def f(:\n", [f'File "{path}", line 1']),
        ("import mxnet.absent\n", [f'File "{path}", line 1, in <module>']),
    ):
        path.write_text(text)
        lines = [line.strip() for line in run("run", str(path)).stderr.splitlines()]
        found = [line for line in lines if "program.py" in line]
        assert found == file_lines, lines
    path.write_text("import runpy\nrunpy.run_path('absent.py')\n")
    lines = run("run", str(path)).stderr.splitlines()
    assert f'File "{path}", line 2' in lines[1]
    path.write_text("import sys\nsys.excepthook = lambda *a: print('own', a[0].__name__)\n1 / 0\n")
    assert run("run", str(path)).stdout == "own ZeroDivisionError\n"


GPU_PROGRAM = """
import mxnet as mx
print(mx.nd.ones((2,), ctx=mx.gpu(1)).context, mx.context.num_gpus(), mx.Context("gpu").device_type)
with mx.gpu():
    print(mx.nd.array([1]).context, mx.nd.ones(1).as_in_context(mx.gpu(3)).context)
net = mx.gluon.nn.Dense(1)
net.initialize(ctx=[mx.gpu(0), mx.gpu(1)])
print(net.weight.list_ctx())
"""


def test_programs_for_gpus_run_on_the_cpu_when_asked(tmp_path):
    path = tmp_path / "program.py"
    path.write_text(GPU_PROGRAM)
    done = run("run", "--gpu-as-cpu", str(path))
    printed = "cpu(1) 1 cpu\ncpu(0) cpu(3)\n[cpu(0), cpu(1)]\n"
    assert (done.stdout, done.returncode) == (printed, 0), done.stderr
    done = run("run", str(path))
    assert "use mx.cpu()" in done.stderr.splitlines()[-1]
    done = run_program(
        "import mxtape; mxtape.install_as_mxnet()\n" + GPU_PROGRAM, {"MXTAPE_GPU_AS_CPU": "1"}
    )
    assert done.stdout == printed, done.stderr


def test_wrong_command_lines(tmp_path):
    assert "there is no file" in run("run", "absent.py").stderr
    notebook = tmp_path / "n.ipynb"
    notebook.write_text("{}")
    assert "install_as_mxnet() in its first cell" in run("run", str(notebook)).stderr
    assert run("run").returncode == 2
    assert run().returncode == 2
    assert run("--version").stdout.startswith("mxtape ")


def test_installing_in_a_program():
    assert (
        output_of(
            """
            import mxtape
            before = mxtape.autograd.__spec__
            mxtape.install_as_mxnet()
            mxtape.install_as_mxnet()
            import mxnet.autograd, mxnet, importlib
            print(mxnet.autograd is mxtape.autograd, mxtape.autograd.__spec__ is before)
            print(mxtape.__name__, mxtape.__spec__.name, mxnet.__name__)
            """
        )
        == "True True\nmxtape mxtape mxnet\n"
    )


# A dict of arrays, a variable and a context, by MXNet 1.9.1: pickle, zlib, base85.
PICKLED_BY_MXNET = (
    "c$|$>K}*9h6rS7I=0p(Gdnq0iWNb&p!(`sX9k!#4lCIGfy0j#zZj6G0-g4XXM|t<p=*c8)X4hQ|Y5KnJy}s|ugTB"
    ";1?rIgiQaBZLAB7Jfj%Ra%d53t2QnWB{5Y6GuwT@OWe1{RFAR0a*UWh@o+$0EjKp2Q!cfm2r3kN5kKdWygup^&pr"
    "lsSG!B>?&sCLX1wJD<@jyCmKj3|>5?ZJ4o<-l+GdxJNnQ7vgyOL0+GtwxS(C0zY0>C4?WV8e5%ms;iybs9Z0@DIe"
    "nD0&`i?|-iS!?o#9nKpuDqyIHuFuP^A_>D2wV2ha>g&+>I8E3F#*v2>u3gZ=D%eH0NB=Rt`FRgnCENiJxNk_5dY?"
    "6ebeQp_&pcz&)DsTab6RsOfG?mJ8qSH2_kIuS%HzyV0$Voaer<y;vdU?vn$kVloRC{6?aZXiYY3s{5PnfbGBC1sC"
    "bLpnnz3BEPX**T3Xig)-@tlL$&xWza%|RZm;OrIDpRw=Zr(lX5zKC()!R?ON&6y0foGA31DWAhIag)w3^)l51"
)


def test_what_mxnet_pickled_is_read():
    assert (
        output_of(
            f"""
            import base64, pickle, zlib
            import mxtape
            mxtape.install_as_mxnet()
            found = pickle.loads(zlib.decompress(base64.b85decode({PICKLED_BY_MXNET!r})))
            for name in ("half", "csr", "rows"):
                array = found[name]
                print(type(array).__name__, array.dtype.__name__, array.asnumpy().tolist())
            print(found["symbol"], found["context"])
            """
        )
        == "NDArray float16 [1.0, 2.0]\n"
        "CSRNDArray float32 [[0.0, 2.0], [3.0, 0.0]]\n"
        "RowSparseNDArray float32 [[0.0, 2.0], [3.0, 0.0]]\n"
        "<Symbol a> cpu(1)\n"
    )


def test_the_version_is_that_of_the_interface():
    program = """
        import mxtape
        own = mxtape.__version__
        mxtape.install_as_mxnet()
        import mxnet as mx
        from mxnet import __version__
        print(mx.__version__, __version__, mxtape.__version__ == own, mx.libinfo.__version__)
        print(sorted(set(dir(mxtape)) - set(dir(mx))), mx.test_utils is mxtape.test_utils)
        from mxnet.test_utils import *
        print(mx.__name__, mx.test_utils.mx.__version__)
        import importlib
        print(importlib.reload(mx) is mx, mx.nd is mxtape.nd)
    """
    assert output_of(program).splitlines() == [
        "1.9.1 1.9.1 True 1.9.1",
        "[] True",
        "mxnet 1.9.1",
        "True True",
    ]


def test_submodules_are_among_the_modules():
    """einops looks for mxnet.ndarray there, once it has found mxnet."""
    program = """
        import sys, mxtape
        mxtape.install_as_mxnet()
        print("mxnet" in sys.modules, "mxnet.ndarray" in sys.modules)
        import mxnet
        import mxnet.symbol
        names = ["ndarray", "autograd", "symbol", "context", "random", "ndarray.random"]
        print(all(sys.modules[f"mxnet.{n}"] is sys.modules[f"mxtape.{n}"] for n in names))
        print([n for n in sys.modules if n.startswith("mxnet._")], mxtape.nd.__spec__.name)
    """
    assert output_of(program).splitlines() == ["False False", "True", "[] mxtape.ndarray"]


CHILD = """
import multiprocessing, sys
import mxnet as mx

def square(x):
    import mxnet.ndarray
    return (mx.nd.array([x]) ** 2).asscalar(), mx.__version__, mxnet.ndarray is mx.nd

if __name__ == "__main__":
    with multiprocessing.get_context(sys.argv[1]).Pool(1) as pool:
        print(pool.map(square, [3]))
"""


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_processes_that_multiprocessing_starts_find_it(tmp_path, method):
    (tmp_path / "program.py").write_text(CHILD)
    expected = "[(9.0, '1.9.1', True)]\n"
    for arguments in (("run", str(tmp_path / "program.py")), ("run", "-m", "program")):
        done = run(*arguments, method, cwd=tmp_path)
        assert (done.stdout.replace("np.float32(9.0)", "9.0"), done.returncode) == (expected, 0), (
            done.stderr
        )


def test_a_child_finds_it_where_only_a_function_is_sent(tmp_path):
    """The main module, which a child runs again, does not install it."""
    (tmp_path / "work.py").write_text(CHILD.split("if __name__")[0])
    program = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
if __name__ == "__main__":
    import mxtape, multiprocessing
    mxtape.install_as_mxnet()
    from work import square
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        print(float(pool.map(square, [4])[0][0]))
"""
    (tmp_path / "program.py").write_text(program)
    done = subprocess.run(
        [sys.executable, str(tmp_path / "program.py")], capture_output=True, text=True, timeout=120
    )
    assert done.stdout == "16.0\n", done.stderr


@pytest.mark.parametrize("statement", ["import mxnet.absent", "from mxnet.absent.more import x"])
def test_what_is_not_there_says_so(statement):
    done = run_program(f"import mxtape; mxtape.install_as_mxnet(); {statement}")
    assert "ModuleNotFoundError: there is no 'absent' in mxtape" in done.stderr


def test_the_real_one_is_not_replaced():
    done = run_program(
        """
        import sys, types
        sys.modules["mxnet"] = types.ModuleType("mxnet")
        import mxtape
        mxtape.install_as_mxnet()
        """
    )
    assert "RuntimeError: install_as_mxnet: mxnet has been imported already" in done.stderr


def test_modules_of_modules_under_a_shorter_name():
    program = """
        import mxtape
        mxtape.install_as_mxnet()
        from mxnet.nd.random import uniform
        import mxnet.nd.contrib as contrib, mxnet.test_utils
        print(uniform is mxtape.nd.random.uniform, contrib is mxtape.nd.contrib)
        print(mxnet.test_utils is mxtape.test_utils)
        """
    assert output_of(program).split() == ["True"] * 3


def test_a_module_that_fails_to_import_says_why():
    done = run_program(
        """
        import sys
        import mxtape
        sys.modules["platform"] = None  # which mxtape.test_utils imports
        mxtape.install_as_mxnet()
        import mxnet.test_utils
        """
    )
    assert "not in mxtape" not in done.stderr
    assert "platform" in done.stderr.splitlines()[-1]
