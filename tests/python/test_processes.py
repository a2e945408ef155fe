"""Processes: fork() at any time, multiprocessing in its three ways, pools, joblib."""

import concurrent.futures
import multiprocessing
import os
import signal
import threading
import time

import numpy as np
import pytest

import mxtape as mx
from mxtape import autograd, nd
from support import output_of, variable

METHODS = ["fork", "spawn", "forkserver"]
SANITIZED = bool(os.environ.get("MXTAPE_SANITIZED"))
TIMEOUT = 120

pytestmark = pytest.mark.skipif(mx.__name__ == "mxnet", reason="MXNet's own threads may hang")


def gradient(values):
    """What a worker computes: an array arrives by pickle and goes back so."""
    x = variable(np.asarray(values.asnumpy()))
    with autograd.record():
        y = nd.exp(nd.sin(x) * 2) * x  # waits where it is large
    y.backward()
    return x.grad, autograd.is_recording(), os.getpid()


def expected_gradient(values):
    inner = np.exp(2 * np.sin(values))
    return inner * (1 + 2 * np.cos(values) * values)


def check_results(results, values):
    for grad, recording, pid in results:
        assert pid != os.getpid()
        assert not recording
        np.testing.assert_allclose(grad.asnumpy(), expected_gradient(values), rtol=1e-4, atol=1e-5)


def after_threads():
    """Something that threads have computed: libgomp's and Python's have run."""

    def work():
        nd.dot(nd.ones((300, 300)), nd.ones((300, 300))).wait_to_read()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.mark.parametrize("method", METHODS)
def test_multiprocessing_pool(method):
    after_threads()
    values = np.linspace(0, 2, 100_000).astype("float32")
    waiting = nd.array(values) * 1  # computed when it is pickled
    with multiprocessing.get_context(method).Pool(2) as pool:
        results = pool.map_async(gradient, [waiting, waiting * 1]).get(TIMEOUT)
    check_results(results, values)


@pytest.mark.parametrize("method", METHODS)
def test_executor(method):
    after_threads()
    values = np.linspace(0, 2, 70_000).astype("float32")
    context = multiprocessing.get_context(method)
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as executor:
        futures = [executor.submit(gradient, nd.array(values)) for _ in range(3)]
        check_results([future.result(TIMEOUT) for future in futures], values)


def test_executor_of_threads():
    values = np.linspace(0, 2, 70_000).astype("float32")
    with concurrent.futures.ThreadPoolExecutor(3) as executor:
        for grad, recording, _ in executor.map(gradient, [nd.array(values)] * 6, timeout=TIMEOUT):
            assert not recording
            np.testing.assert_allclose(
                grad.asnumpy(), expected_gradient(values), rtol=1e-4, atol=1e-5
            )


def test_joblib():
    joblib = pytest.importorskip("joblib")
    values = np.linspace(0, 2, 70_000).astype("float32")
    results = joblib.Parallel(n_jobs=2, timeout=TIMEOUT)(
        joblib.delayed(gradient)(nd.array(values)) for _ in range(3)
    )
    check_results(results, values)


def in_child(work):
    """Runs work() in a forked child; its exit status, or a failure if it hangs."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    deadline = time.monotonic() + TIMEOUT
    while time.monotonic() < deadline:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.001)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    pytest.fail("the child hangs")


def test_a_child_computes_what_waits_in_its_parent():
    values = np.linspace(0, 2, 200_000).astype("float32")
    waiting = nd.exp(nd.sin(nd.array(values)))

    def work():
        np.testing.assert_allclose(waiting.asnumpy(), np.exp(np.sin(values)), rtol=1e-5)

    assert in_child(work) == 0
    work()


def test_a_fork_inside_record():
    x = variable(np.linspace(0, 1, 100_000))
    with autograd.record():
        y = nd.exp(x) * 2

        def work():
            assert autograd.is_recording()
            with autograd.record():
                z = (y * 3).sum()
            autograd.set_recording(False)
            z.backward()
            np.testing.assert_allclose(x.grad.asnumpy(), 6 * np.exp(x.asnumpy()), rtol=1e-5)

        assert in_child(work) == 0
        assert autograd.is_recording()
    y.backward()
    np.testing.assert_allclose(x.grad.asnumpy(), 2 * np.exp(x.asnumpy()), rtol=1e-5)


FORKS = """
import os, signal, sys, threading, time
import numpy as np
import mxtape as mx
from mxtape import autograd, nd

stop = threading.Event()
shared = nd.zeros((60000,))
shared.attach_grad("add")

def allocate():
    # Beyond what a thread keeps for itself: to the shared cache and back, without the
    # interpreter's lock.
    a = nd.ones((200, 400))
    while not stop.is_set():
        nd.dot(a, a, transpose_b=True)
        nd.transpose(a)

def draw():
    while not stop.is_set():
        nd.random.uniform(shape=(3,))
        mx.random.seed(3)

def convolve():
    k = 0
    weight = nd.ones((4, 4, 3, 3))
    while not stop.is_set():
        k = k % 200 + 1
        nd.Convolution(nd.ones((1, 4, 16 + k, 30)), weight, num_filter=4, kernel=(3, 3),
                       dilate=(2, 2), no_bias=True)

def wait():
    a = nd.ones((100000,))
    while not stop.is_set():
        nd.exp(a * 2).sum().wait_to_read()

def add():
    while not stop.is_set():
        with autograd.record():
            y = shared * 2
        y.backward()

def in_child():
    a = nd.ones((200, 400))
    assert nd.dot(a, a, transpose_b=True)[0, 0].asscalar() == 400
    nd.random.uniform(shape=(3,)).wait_to_read()
    nd.exp(nd.ones((100000,))).sum().wait_to_read()
    with autograd.record():
        y = shared * 2
    y.backward()
    nd.Convolution(nd.ones((1, 4, 16, 33)), nd.ones((4, 4, 3, 3)), num_filter=4, kernel=(3, 3),
                   dilate=(2, 2), no_bias=True).wait_to_read()

threads = [threading.Thread(target=WORK, daemon=True) for _ in range(2)]
for thread in threads:
    thread.start()
for k in range(FORKS):
    child = os.fork()
    if child == 0:
        code = 1
        try:
            in_child()
            code = 0
        finally:
            os._exit(code)
    deadline = time.monotonic() + 60
    while True:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            assert status == 0, status
            break
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            sys.exit(f"child {k} hangs")
        time.sleep(0.0005)
stop.set()
for thread in threads:
    thread.join()
print("ok")
"""


@pytest.mark.parametrize("work", ["allocate", "draw", "convolve", "wait", "add"])
def test_forks_while_other_threads_work(work):
    program = FORKS.replace("WORK", work).replace("range(FORKS)", "range(30)")
    assert output_of(program, timeout=TIMEOUT) == "ok\n"
