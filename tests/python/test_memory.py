"""Memory: what is held, what is asked for and not there, and what mx.runtime tells."""

import subprocess
import sys

import numpy as np
import pytest

import mxtape as mx
from mxtape import autograd, nd
from mxtape._loader import core
from mxtape.base import MXNetError, OutOfMemoryError
from support import output_of

ONLY_MXTAPE = pytest.mark.differs("MXNet has no mx.runtime.memory_stats and raises MXNetError")
pytestmark = ONLY_MXTAPE
MIB = 1 << 20


def in_use():
    return mx.runtime.memory_stats()["bytes_in_use"]


# What cannot be had

HUGE = 10**15
one = nd.ones((1,))

TOO_LARGE = {
    "zeros": lambda: nd.zeros((HUGE,)),
    "empty": lambda: nd.empty((HUGE,)),
    "full": lambda: nd.full((HUGE,), 3, dtype="float64"),
    "arange": lambda: nd.arange(0, HUGE),
    "random": lambda: nd.random.uniform(shape=(HUGE,)),
    "tile": lambda: nd.tile(one, (HUGE,)),
    "repeat": lambda: nd.repeat(one, HUGE),
    "one_hot": lambda: nd.one_hot(one, HUGE),
    "broadcast_to": lambda: one.broadcast_to((HUGE,)).asnumpy(),
    "waits": lambda: (one.broadcast_to((HUGE,)) * 2 + 1).wait_to_read(),
    "overflow": lambda: nd.zeros((2**31, 2**31, 4)),
    "eye": lambda: nd.eye(10**8),
}


@pytest.mark.parametrize("name", TOO_LARGE)
def test_what_cannot_be_had_is_a_memory_error(name):
    before = in_use()
    with pytest.raises(OutOfMemoryError, match="out of memory") as caught:
        TOO_LARGE[name]()
    assert isinstance(caught.value, MemoryError)
    assert isinstance(caught.value, MXNetError)
    text = str(caught.value)
    assert "bad_alloc" not in text
    assert any(character.isdigit() for character in text)
    assert in_use() == before


def test_the_error_says_how_much_and_for_what():
    with pytest.raises(
        MemoryError, match=r"^repeat: out of memory.* 4000000000000000 bytes.*\(1,\)"
    ):
        nd.repeat(one, HUGE)
    with pytest.raises(MemoryError, match="4000000000000000 bytes"):
        nd.zeros((HUGE,))


def test_an_operator_after_the_error_works():
    with pytest.raises(MemoryError):
        nd.repeat(one, HUGE)
    assert (nd.repeat(one, 3) + 1).asnumpy().tolist() == [2, 2, 2]


def test_backward_without_memory_is_a_memory_error():
    x = nd.ones((1,))
    x.attach_grad()
    with autograd.record():
        y = x * 2
    with pytest.raises(MemoryError):
        y.backward(nd.zeros((HUGE,)))
    y.backward()
    assert x.grad.asscalar() == 2


LIMITED = """
import resource, sys
import numpy as np
import mxtape as mx
from mxtape import autograd, nd

mx.runtime.set_num_threads(1)
n = 4 << 20
x = nd.ones((n,))
x.attach_grad()
x.wait_to_read(); x.grad.wait_to_read()
(nd.ones((n,)) * 2 + 1).wait_to_read()

def limited(extra, f):
    mx.runtime.empty_cache()
    used = int(open("/proc/self/statm").read().split()[0]) * 4096
    resource.setrlimit(resource.RLIMIT_AS, (used + extra, resource.RLIM_INFINITY))
    try:
        f()
        print("no error")
    except MemoryError as error:
        print(type(error).__name__, "bad_alloc" in str(error), str(error).split(";")[0])
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

MIB = 1 << 20
%s
print((x * 3)[0].asscalar())
"""

PROGRAMS = {
    "a program of calls that wait": """
y = nd.exp(x) * 2 + 1
limited(4 * MIB, y.wait_to_read)
y.wait_to_read()
""",
    "backward": """
with autograd.record():
    y = nd.exp(x) * x
y.wait_to_read()
limited(20 * MIB, lambda: y.backward(retain_graph=True))
y.backward()
""",
    "a file": """
import os, tempfile
path = os.path.join(tempfile.mkdtemp(), "x.params")
nd.save(path, [nd.ones((16 * MIB,))])
limited(30 * MIB, lambda: nd.load(path))
nd.load(path)
""",
    "working memory of a kernel": """
limited(5 * MIB, lambda: nd.sort(x, axis=None).wait_to_read())
""",
    "a copy for NumPy": """
limited(4 * MIB, x.asnumpy)
""",
}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs RLIMIT_AS and /proc")
@pytest.mark.parametrize("name", PROGRAMS)
def test_without_memory_in_the_middle(name):
    lines = output_of(LIMITED % PROGRAMS[name], {"MXTAPE_FUSE_ABOVE": "65536"}).splitlines()
    error, bad_alloc = lines[0].split()[:2]
    assert error in ("OutOfMemoryError", "_ArrayMemoryError", "MemoryError"), lines
    assert bad_alloc == "False"
    assert lines[-1] == "3.0"


# Results that are kept


def temporary(size, value):
    """An array in memory, not one that waits."""
    return nd.full((size,), value)


@pytest.mark.parametrize("size", [1 << 18, 1 << 20, 5 << 20])
def test_results_that_are_kept_hold_little_more_than_themselves(size):
    array = 4 * size
    count = max(12, (240 << 20) // array)
    before = in_use()
    kept = []
    for i in range(count):
        total = temporary(size, i)
        for _ in range(7):
            total = total + temporary(size, 1)
        kept.append(total)
    del total
    held = in_use() - before
    # A block of the pool is up to a quarter larger than the array in it.
    assert held <= 1.26 * (count * array + 48 * MIB + 8 * array)
    assert [int(y[3].asscalar()) for y in kept] == [i + 7 for i in range(count)]


def test_a_large_sum_of_temporaries_holds_few():
    size = 4 << 20
    before = in_use()
    total = temporary(size, 0)
    for _ in range(7):
        total = total + temporary(size, 1)
    assert in_use() - before <= 6 * 1.26 * 4 * size
    assert total[5].asscalar() == 7


@pytest.fixture
def waiting():
    """Large calls wait, whatever the environment says."""
    before = core.set_fusion_threshold(1 << 16)
    yield
    core.set_fusion_threshold(before)


@pytest.mark.usefixtures("waiting")
def test_results_of_kept_arrays_go_on_waiting():
    """Nothing would be freed if they ran, and their own memory is not needed yet."""
    x = nd.ones((1 << 20,))
    x.wait_to_read()
    before = in_use()
    kept = [x * i + 1 for i in range(60)]
    assert in_use() - before < MIB
    assert [int(y[0].asscalar()) for y in kept] == list(range(1, 61))


# mx.runtime


def test_memory_stats_count_what_arrays_hold():
    mx.runtime.empty_cache()
    before = mx.runtime.memory_stats()
    assert before["bytes_cached"] == 0
    x = nd.ones((8 << 20,))
    x.wait_to_read()
    now = mx.runtime.memory_stats()
    held = now["bytes_in_use"] - before["bytes_in_use"]
    assert 32 * MIB <= held <= 40 * MIB
    assert now["bytes_reserved"] == now["bytes_in_use"] + now["bytes_cached"]
    assert now["peak_bytes_reserved"] >= now["bytes_reserved"]
    del x
    after = mx.runtime.memory_stats()
    assert after["bytes_in_use"] == before["bytes_in_use"]
    assert after["bytes_cached"] == held
    mx.runtime.empty_cache()
    assert mx.runtime.memory_stats()["bytes_cached"] == 0
    assert mx.runtime.memory_stats()["peak_bytes_reserved"] >= now["bytes_reserved"]


def test_the_peak_counts_what_has_been_freed():
    before = mx.runtime.memory_stats()["peak_bytes_reserved"]
    size = before // 4 + (64 << 20)
    nd.empty((size,))
    mx.runtime.empty_cache()
    assert mx.runtime.memory_stats()["peak_bytes_reserved"] >= 4 * size


def test_set_num_threads_gives_the_number_before():
    first = mx.runtime.set_num_threads(3)
    try:
        assert core.thread_count() == 3
        assert mx.runtime.set_num_threads(np.int64(2)) == 3
        assert mx.runtime.set_num_threads(1) == 2
    finally:
        mx.runtime.set_num_threads(first)


@pytest.mark.parametrize("wrong", [0, -1, 1025])
def test_set_num_threads_refuses_other_numbers(wrong):
    before = core.thread_count()
    with pytest.raises(ValueError, match=str(wrong)):
        mx.runtime.set_num_threads(wrong)
    assert core.thread_count() == before


@pytest.mark.parametrize("wrong", [True, 1.5, "2", None])
def test_set_num_threads_refuses_what_is_no_integer(wrong):
    with pytest.raises(TypeError):
        mx.runtime.set_num_threads(wrong)


FORK = """
import os
import mxtape as mx
x = mx.nd.ones((1000, 1000))
mx.nd.dot(x, x).wait_to_read()
child = os.fork()
if child == 0:
    status = 1
    try:
        mx.runtime.set_num_threads(2)
    except mx.base.MXNetError as error:
        status = 0 if "fork" in str(error) and mx.runtime.set_num_threads(1) == 1 else 2
    (x * 2 + 1).wait_to_read()
    os._exit(status)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_fork_keeps_to_one_thread():
    done = subprocess.run(
        [sys.executable, "-c", FORK], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.split() == ["0"], done.stderr
