"""The tape at scale: a million nodes without recursion, and rounds that leave no memory behind.

Every program runs in its own process, because it measures that process's memory.
"""

import os

import pytest

from support import output_of

PREAMBLE = """
import gc
import mxtape as mx
from mxtape import autograd, nd

def resident():
    mx.nd.waitall()
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * 4096

def variable(values):
    x = nd.array(values)
    x.attach_grad()
    return x
"""

# The sanitizer keeps freed memory for a while, so that its misuse can be told.
QUARANTINE = pytest.mark.skipif(
    "MXTAPE_SANITIZED" in os.environ, reason="memory does not shrink under the address sanitizer"
)
ONLY_MXTAPE = pytest.mark.differs(
    "MXNet takes minutes for the longest chains and 839 bytes a node", run=False
)


@ONLY_MXTAPE
def test_million_node_chain():
    printed = output_of(
        PREAMBLE
        + """
x = variable([1.0])
with autograd.record():
    y = x
    for _ in range(1_000_000):
        y = y + 1e-6
y.backward()
print(x.grad.asscalar())
del y
gc.collect()
with autograd.record():
    z = x * 2
z.backward()
print(x.grad.asscalar())
"""
    )
    assert printed.split() == ["1.0", "2.0"]


def test_long_chain_that_saves_arrays():
    printed = output_of(
        PREAMBLE
        + """
x = variable([1.0])
one = nd.ones((1,))
with autograd.record():
    y = x
    for _ in range(300_000):
        y = y * one
y.backward()
print(x.grad.asscalar())
"""
    )
    assert printed.split() == ["1.0"]


def test_deep_graph_dropped_without_backward():
    printed = output_of(
        PREAMBLE
        + """
import threading
x = variable([1.0])

def record_and_drop():
    with autograd.record():
        y = x
        for _ in range(200_000):
            y = y * 1.0
    del y

record_and_drop()
threading.stack_size(256 * 1024)
thread = threading.Thread(target=record_and_drop)
thread.start()
thread.join()
print("freed")
"""
    )
    assert printed.split() == ["freed"]


@ONLY_MXTAPE
def test_deep_graph_in_a_small_stack():
    printed = output_of(
        PREAMBLE
        + """
import threading
x = variable([1.0])

def run():
    with autograd.record():
        y = x
        for _ in range(200_000):
            y = y + 1.0
    y.backward(retain_graph=True)
    (g,) = autograd.grad(y, [x], create_graph=True)
    print(x.grad.asscalar(), g.asscalar())

threading.stack_size(256 * 1024)
thread = threading.Thread(target=run)
thread.start()
thread.join()
"""
    )
    assert printed.split() == ["1.0", "1.0"]


@QUARANTINE
@ONLY_MXTAPE
def test_bytes_a_node():
    """y + 1 saves nothing, so what grows while `y` moves on is the nodes alone."""
    printed = output_of(
        PREAMBLE
        + """
x = variable([1.0])

def chain(length):
    with autograd.record():
        y = x
        for _ in range(length):
            y = y + 1.0
    return y

chain(1000)
gc.collect()
before = resident()
length = 500_000
y = chain(length)
print((resident() - before) / length)
"""
    )
    assert float(printed) <= 300


@ONLY_MXTAPE
def test_wide_graph():
    printed = output_of(
        PREAMBLE
        + """
x = variable([2.0])
with autograd.record():
    parts = [x * float(i) for i in range(50_000)]
    total = parts[0]
    for part in parts[1:]:
        total = total + part
total.backward()
print(x.grad.asscalar() / sum(range(50_000)))
"""
    )
    assert float(printed) == pytest.approx(1, rel=1e-3)


@ONLY_MXTAPE
def test_time_is_linear_in_the_length():
    """Ten times the chain takes about ten times as long; quadratic work would take a hundred."""
    printed = output_of(
        PREAMBLE
        + """
import time
x = variable([1.0])

def seconds(length):
    start = time.process_time()
    with autograd.record():
        y = x
        for _ in range(length):
            y = y + 1.0
    y.backward()
    del y
    return time.process_time() - start

seconds(1000)
short = min(seconds(20_000) for _ in range(3))
print(seconds(200_000) / short)
"""
    )
    assert float(printed) < 40


ROUNDS = {
    "backward": """
def one_round():
    with autograd.record():
        y = (nd.exp(x) * x + 1).sum()
    y.backward()
""",
    "dropped without backward": """
def one_round():
    with autograd.record():
        y = (nd.exp(x) * x + 1).sum()
""",
    "retained": """
def one_round():
    with autograd.record():
        y = (nd.exp(x) * x + 1).sum()
    y.backward(retain_graph=True)
    y.backward(retain_graph=True)
""",
    "create_graph": """
def one_round():
    with autograd.record():
        y = nd.sin(nd.sin(x))
        (g,) = autograd.grad(y, [x], create_graph=True)
    g.backward()
""",
    "create_graph dropped": """
def one_round():
    with autograd.record():
        y = nd.sin(nd.sin(x))
        (g,) = autograd.grad(y, [x], create_graph=True)
""",
    "Function": """
class Double(autograd.Function):
    def forward(self, a):
        self.save_for_backward(a)
        return a * 2
    def backward(self, da):
        return da * 2

def one_round():
    with autograd.record():
        y = Double()(x)
    y.backward()
""",
    "Function dropped": """
class Double(autograd.Function):
    def forward(self, a):
        self.save_for_backward(a)
        return a * 2
    def backward(self, da):
        return da * 2

def one_round():
    with autograd.record():
        y = Double()(x)
""",
    "error": """
def one_round():
    with autograd.record():
        y = nd.exp(x)
        try:
            nd.dot(y, nd.ones((7, 7)))
        except mx.MXNetError:
            pass
        else:
            raise AssertionError("the shapes do not fit")
""",
    "in-place refused": """
def one_round():
    with autograd.record():
        y = x * 2
        try:
            x[:] = 0
        except mx.MXNetError:
            pass
        else:
            raise AssertionError("x is in the graph")
""",
    "indexing": """
def one_round():
    with autograd.record():
        y = x[3:9] * x[[1, 2, 3, 4, 5, 6]]
    y.backward()
    x[1:3].asnumpy()
    x[0:2] = 1
""",
    "attach_grad": """
def one_round():
    x.attach_grad()
    with autograd.record():
        y = x * 2
        y.attach_grad()
        z = y * y
    z.backward()
""",
}

# Measured on MXNet 1.9.1: about 2.8 KB a round with a Function.
MXNET_GROWS = {"Function", "retained"}


@QUARANTINE
@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(
            kind,
            marks=pytest.mark.differs("MXNet's memory grows", run=False)
            if kind in MXNET_GROWS
            else (),
        )
        for kind in ROUNDS
    ],
)
def test_rounds_leave_memory_as_it_was(kind):
    printed = output_of(
        PREAMBLE
        + "x = variable([0.5] * 256)\n"
        + ROUNDS[kind]
        + """
for _ in range(100):
    one_round()
gc.collect()
before = resident()
for _ in range(10_000):
    one_round()
gc.collect()
print(resident() - before)
"""
    )
    # 10,000 rounds that each kept one 1 KiB array would show 10 MiB.
    assert int(printed) < 2 * 2**20
