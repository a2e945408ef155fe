"""Random programs over arrays of all storage types: values and gradients equal dense ones."""

import random

import numpy as np
import pytest

from mxtape import autograd, nd, sym
from mxtape.base import MXNetError

FORMS = ("default", "row_sparse", "csr")
# Functions of matrices of 4 x 4, for arrays and for symbols. Some have kernels for sparse arrays.
ONE = [
    lambda F, x: F.square(x),
    lambda F, x: F.sin(x),
    lambda F, x: F.tanh(x),
    lambda F, x: F.abs(x),
    lambda F, x: F.relu(x),
    lambda F, x: F.clip(x, a_min=-1.3, a_max=1.1),
    lambda F, x: F.identity(x),
    lambda F, x: F.BlockGrad(x) * x,
    lambda F, x: x * 2,
    lambda F, x: x / 3,
    lambda F, x: -x,
    lambda F, x: x + 1,
    lambda F, x: F.exp(x * 0.1),
    lambda F, x: F.softmax(x),
    lambda F, x: F.transpose(F.transpose(x)),
    lambda F, x: F.cast_storage(x, stype="csr"),
    lambda F, x: F.cast_storage(x, stype="row_sparse"),
    lambda F, x: F.cast_storage(x, stype="default"),
    lambda F, x: F.broadcast_mul(x, F.sum(x, axis=0, keepdims=True) * 0.1),
    lambda F, x: F.broadcast_add(x, F.mean(x, axis=1, keepdims=True)),
    lambda F, x: F.concat(
        F.slice(x, begin=(0,), end=(2,)), F.slice(x, begin=(2,), end=(4,)), dim=0
    ),
]
TWO = [
    lambda F, x, y: x + y,
    lambda F, x, y: x - y,
    lambda F, x, y: x * y,
    lambda F, x, y: x / (F.square(y) + 1),
    lambda F, x, y: F.elemwise_add(x, y),
    lambda F, x, y: F.elemwise_mul(x, y),
    lambda F, x, y: F.add_n(x, y, x),
    lambda F, x, y: F.broadcast_maximum(x, y),
    lambda F, x, y: F.where(x, y, x),
    lambda F, x, y: F.dot(x, y) * 0.5,
    lambda F, x, y: F.dot(x, y, transpose_a=True) * 0.5,
    lambda F, x, y: F.dot(x, y, transpose_b=True) * 0.5,
]


def program(rng):
    """Calls, each with the numbers of what it reads: arguments and earlier results."""
    steps = []
    for k in range(3, rng.randrange(5, 11)):
        function, count = rng.choice([(rng.choice(ONE), 1), (rng.choice(TWO), 2)])
        steps.append((function, [rng.randrange(k) for _ in range(count)]))
    return steps


def run(F, steps, arguments):
    values = list(arguments)
    for function, reads in steps:
        values.append(function(F, *[values[i] for i in reads]))
    return values[-1]


def replayed(steps):
    symbol = run(sym, steps, [sym.var(name) for name in "abc"])
    op = nd.CachedOp(symbol)
    order = ["abc".index(name) for name in symbol.list_inputs()]
    return lambda arrays: op(*[arrays[i] for i in order])


def matrix(rng):
    random = np.random.RandomState(rng.randrange(1 << 30))
    values = random.uniform(-1.5, 1.5, (4, 4))
    values[random.rand(4, 4) < 0.4] = 0
    values[rng.randrange(4)] = 0
    return values


def outcome(call, values, forms, grad_forms, head, second):
    """The result and the gradients of two passes that add to one buffer."""
    arrays = [nd.array(v, dtype="float64").tostype(form) for v, form in zip(values, forms)]
    for x, form in zip(arrays, grad_forms):
        x.attach_grad("add", stype=form)
    for _ in range(2):
        with autograd.record():
            y = call(arrays)
            if second:
                firsts = autograd.grad(y, arrays, head, create_graph=True)
                total = sum((g * g).sum() for g in firsts)
        if second:
            total.backward()
        else:
            y.backward(head)
    assert [x.grad.stype for x in arrays] == grad_forms
    return [y.asnumpy(), *[x.grad.asnumpy() for x in arrays]]


@pytest.mark.parametrize("part", range(8))
def test_sparse_equals_dense(part):
    dense, ran = ["default"] * 3, 0
    for seed in range(part, 320, 8):
        rng = random.Random(seed)
        steps, values, second = program(rng), [matrix(rng) for _ in range(3)], rng.random() < 0.4
        forms, grad_forms = ([rng.choice(FORMS) for _ in range(3)] for _ in range(2))
        head = nd.array(matrix(rng) + 0.5, dtype="float64")
        try:
            want = outcome(lambda x, s=steps: run(nd, s, x), values, dense, dense, head, second)
        except MXNetError:
            continue  # the result does not depend on some argument, or on none
        head = head.tostype(rng.choice(FORMS))
        for call in (lambda x, s=steps: run(nd, s, x), replayed(steps)):
            got = outcome(call, values, forms, grad_forms, head, second)
            for a, b in zip(got, want):
                np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-10, err_msg=f"seed {seed}")
        ran += 1
    assert ran > 15
