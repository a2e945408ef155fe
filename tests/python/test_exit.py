"""The process ends, with 0, while a daemon thread is anywhere in the engine."""

import pytest

import mxtape as mx
from support import run_program

ON_ORACLE = mx.__name__ == "mxnet"
pytestmark = pytest.mark.skipif(ON_ORACLE, reason="it is about this engine's lock scopes")

PROGRAM = """
import os, tempfile, threading, time
import numpy as np
from mxtape import autograd, nd

started = threading.Event()

class Slow(autograd.Function):
    def forward(self, x):
        return x * 1
    def backward(self, dy):
        for _ in range(100000):
            dy = dy * 1
        return dy

def products():
    a = nd.ones((600, 600))
    while True:
        nd.dot(a, a)

def waiting():
    a = nd.ones((500000,))
    while True:
        nd.sin(nd.exp(a) * a).wait_to_read()

def gradients():
    a = nd.ones((300000,))
    a.attach_grad()
    while True:
        with autograd.record():
            y = nd.sin(a) * a
        y.backward()

def functions():
    a = nd.ones((3,))
    a.attach_grad()
    while True:
        with autograd.record():
            y = Slow()(a)
        y.backward()

def convolutions():
    data, weight = nd.ones((8, 16, 32, 32)), nd.ones((16, 16, 5, 5))
    while True:
        nd.Convolution(data, weight, num_filter=16, kernel=(5, 5), no_bias=True)

def files():
    a = nd.ones((1000000,))
    path = os.path.join(tempfile.gettempdir(), f"{threading.get_ident()}.params")
    while True:
        nd.save(path, [a])
        nd.load(path)

def assignments():
    a = nd.ones((1000000,))
    values = np.arange(1000000.0)
    while True:
        a[:] = values

def borrowed():
    # Dropped by a kernel that has given the interpreter's lock up, mostly.
    while True:
        nd.dot(nd.from_numpy(np.ones((400, 400), "float32")), nd.ones((400, 400)))

def small():
    a = nd.ones((3,))
    a.attach_grad()
    while True:
        with autograd.record():
            y = (a * 2 + np.float32(1)).sum()
        y.backward()

def run(work):
    started.set()
    work()

for _ in range(2):
    threading.Thread(target=run, args=(WORK,), daemon=True).start()
started.wait()
time.sleep(0.1)
"""

WORKS = [
    "products",
    "waiting",
    "gradients",
    "functions",
    "convolutions",
    "assignments",
    "borrowed",
    "small",
]


@pytest.mark.parametrize("work", WORKS)
def test_exit_while_a_daemon_thread_works(work):
    for _ in range(2):
        done = run_program(PROGRAM.replace("WORK", work), timeout=60)
        assert (done.returncode, done.stderr) == (0, "")


def test_exit_while_a_daemon_thread_reads_and_writes_files(tmp_path):
    done = run_program(PROGRAM.replace("WORK", "files"), {"TMPDIR": str(tmp_path)}, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_sys_exit_keeps_its_code():
    done = run_program(PROGRAM.replace("WORK", "waiting") + "\nraise SystemExit(7)\n", timeout=60)
    assert (done.returncode, done.stderr) == (7, "")
