"""Helpers that more than one test file uses."""

import os
import subprocess
import sys
import textwrap

import numpy as np

import mxtape as mx


def variable(values, dtype="float32", grad_req="write"):
    """An array with a gradient buffer."""
    array = mx.nd.array(values, dtype=dtype)
    array.attach_grad(grad_req)
    return array


def assert_same(actual, expected, rtol=1e-5, atol=1e-6):
    """Same shape and same values; `actual` is an NDArray."""
    values = actual.asnumpy()
    expected = np.asarray(expected)
    assert values.shape == expected.shape, (values.shape, expected.shape)
    np.testing.assert_allclose(values, expected, rtol=rtol, atol=atol)


def spoiled(whole, random, values=(0, 1, 127, 128, 255)):
    """`whole` with one to four bytes changed, to any or to one of `values`, or left out."""
    changed = bytearray(whole)
    for _ in range(random.randint(1, 4)):
        at, kind = random.randint(len(changed)), random.randint(3)
        if kind == 0:
            changed[at] = random.randint(256)
        elif kind == 1:
            changed[at] = random.choice(values)
        else:
            changed[at : at + random.randint(9)] = b""
    return bytes(changed)


def run_program(source, env=None, timeout=120):
    """Run `source` in a fresh interpreter of the same environment; gives the finished process."""
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(source)],
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        timeout=timeout,
    )


def output_of(source, env=None, timeout=120):
    """What `source` prints; a program that fails makes the test fail with its error text."""
    done = run_program(source, env, timeout)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout
