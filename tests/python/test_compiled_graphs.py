"""Pointwise calls of a graph that run as one: the same bits as calls made one by one.

Gradients run as one from the second sweep of a kind on, so every program here runs several times,
with other numbers each time.
"""

import threading

import numpy as np
import pytest

import mxtape as mx
from gradient_matrix import PARAMETERS, as_arrays, draw, pointwise_rows, row_id
from mxtape import autograd, nd, sym
from mxtape.ndarray import register
from mxtape.symbol import register as composing

RUNS = 4
ROWS = [row for row in pointwise_rows() if len(set(row.inputs)) == 1 and not row.prepare]


def run(function, arrays, heads=None, variables=None):
    """The bits of the values, and of the gradients."""
    variables = arrays if variables is None else variables
    for x in variables:
        x.attach_grad()
    with autograd.record():
        outputs = function(*arrays)
    outputs = outputs if isinstance(outputs, list) else [outputs]
    wanted = range(len(outputs)) if heads is None else heads
    autograd.backward([outputs[i] for i in wanted], [outputs[i] * 0.5 + 0.25 for i in wanted])
    return [x.asnumpy().tobytes() for x in outputs], [x.grad.asnumpy().tobytes() for x in variables]


def program(op, params, space, get, arrays):
    """A pointwise operator between others, with a result that is used twice."""
    inner = [x * 1.0 if i % 2 else x + 0.0 for i, x in enumerate(arrays)]
    y = get(op)(*inner, **params)
    return space.elemwise_add(space.elemwise_mul(y, y), y) - 1.5


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_pointwise_operator(dtype):
    failed = []
    random = np.random.RandomState(5)
    for row in ROWS:
        for params in PARAMETERS.get(row.op, [row.params]):
            values, _ = draw(row)
            names = [sym.Variable(f"x{i}") for i in range(len(values))]
            symbol = program(row.op, params, sym, composing.get, names)
            call = nd.CachedOp(symbol)
            order = [int(name[1:]) for name in symbol.list_inputs()]
            for k in range(RUNS):
                # Other numbers of the domain, and 0 and some that are far from it.
                drawn = [random.permutation(v.ravel()).reshape(v.shape) for v in values]
                if k == RUNS - 1:
                    for v in drawn:
                        v.ravel()[:4] = [0, -3e3, 4e4, 1e-30]
                arrays = [x.astype(dtype) for x in as_arrays(drawn)]
                expected = run(
                    lambda *given, row=row, params=params: program(
                        row.op, params, nd, register.get, given
                    ),
                    [x.copy() for x in arrays],
                )
                found = run(
                    lambda *given, call=call, order=order: call(*[given[i] for i in order]),
                    [x.copy() for x in arrays],
                )
                if found != expected:
                    failed.append(f"{row_id(row)} {params} in run {k}")
    assert not failed, "\n".join(failed)


UNARY = "exp tanh sigmoid relu square softsign log1p abs".split()
BINARY = "elemwise_add elemwise_mul elemwise_sub broadcast_maximum broadcast_hypot".split()


def random_steps(random):
    """A random program over three variables: steps of an operator and places, and the outputs."""
    steps = []
    for k in range(random.randint(4, 30)):
        known = 3 + k
        one_of = UNARY if random.rand() < 0.5 else BINARY
        count = 1 if one_of is UNARY else 2
        steps.append((one_of[random.randint(len(one_of))], random.randint(known, size=count)))
    outputs = [2 + len(steps), *random.randint(3, 3 + len(steps), size=random.randint(0, 4))]
    return steps, list(dict.fromkeys(outputs))


def follow(steps, outputs, space, values):
    values = list(values)
    for k, (op, places) in enumerate(steps):
        y = getattr(space, op)(*[values[i] for i in places])
        values.append(space.tanh(y * 0.5) if k % 3 == 0 else y)
        if k == len(steps) // 2:
            # What does not run with others is in the middle.
            values[-1] = space.reshape(space.cumsum(values[-1], axis=0), shape=(-1,))
    # So that x is in all of them.
    return [space.elemwise_sub(values[i], values[0]) for i in outputs]


@pytest.mark.parametrize("seed", range(30))
def test_random_programs(seed):
    random = np.random.RandomState(seed)
    steps, outputs = random_steps(random)
    dtype = random.choice(["float32", "float64"])
    size = int(random.choice([1, 2, 7, 511, 512, 513, 5000, 20000]))
    symbol = sym.Group(follow(steps, outputs, sym, [sym.Variable(name) for name in "xyz"]))
    order = ["xyz".index(name) for name in symbol.list_inputs()]
    call = nd.CachedOp(symbol)
    heads = sorted(set(random.randint(len(outputs), size=len(outputs))))
    for k in range(RUNS):
        arrays = [nd.array(random.uniform(-1, 1, size), dtype=dtype) for _ in range(3)]
        used = [i for i in order if i == 0 or random.rand() < 0.5] if k % 2 else order

        def one_by_one(*given):
            return follow(steps, outputs, nd, given)

        def as_one(*given):
            result = call(*[given[i] for i in order])
            return result if isinstance(result, list) else [result]

        def swept_first(*given):
            # Sums of gradients come in the order of the graph's sweep: that of a new graph.
            result = nd.CachedOp(symbol)(*[given[i] for i in order])
            return result if isinstance(result, list) else [result]

        results = []
        for function in (one_by_one, swept_first, as_one):
            copies = [x.copy() for x in arrays]
            results.append(run(function, copies, heads, [copies[i] for i in used]))
        assert results[0][0] == results[2][0]
        assert results[1] == results[2]


def chain():
    x, w = sym.Variable("x"), sym.Variable("w")
    return nd.CachedOp(sym.exp(sym.tanh(x * w) + x) * w)


def test_second_order_after_many_sweeps():
    call = chain()
    w = nd.array([0.5, 2])

    def second(function):
        x = nd.array([0.3, -0.2])
        x.attach_grad()
        with autograd.record():
            first = autograd.grad(function(x), x, create_graph=True)[0]
        first.backward()
        return first.asnumpy().tolist(), x.grad.asnumpy().tolist()

    for _ in range(3):
        run(call, [nd.array([0.1, 0.2]), w])
        found = second(lambda x: call(x, w))
    expected = second(lambda x: nd.exp(nd.tanh(x * w) + x) * w)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_a_graph_is_swept_again_while_it_is_retained():
    call = chain()
    x, w = nd.array([0.3, -0.2]), nd.array([0.5, 2])
    x.attach_grad()
    with autograd.record():
        y = call(x, w)
    grads = []
    for k in range(4):
        y.backward(retain_graph=k < 3)
        grads.append(x.grad.asnumpy().tobytes())
    assert len(set(grads)) == 1
    with pytest.raises(mx.MXNetError):
        y.backward()


def test_an_array_that_changed_is_still_reported():
    call = chain()
    x, w = nd.array([0.3, -0.2]), nd.array([0.5, 2])
    x.attach_grad()
    for k in range(4):
        with autograd.record():
            y = call(x, w)
        if k < 3:
            y.backward()
    w[:] = 3
    with pytest.warns(mx.base.StaleArrayWarning, match="changed in place"):
        y.backward()


def test_a_hook_sees_what_would_run_as_one():
    call = chain()
    x, w = nd.array([0.3, -0.2]), nd.array([0.5, 2])
    for _ in range(2):
        call(x, w)
    seen = []
    call._register_op_hook(lambda name, op, value: seen.append(op))
    call(x, w)
    assert seen == ["elemwise_mul", "tanh", "elemwise_add", "exp", "elemwise_mul"]


def test_threads_share_what_is_compiled():
    random = np.random.RandomState(3)
    given = [random.uniform(-1, 1, (2, 700)).astype("float32") for _ in range(12)]

    def work(call, results, order):
        for _ in range(4):
            for i in order:
                results.append((i, run(call, [nd.array(x) for x in given[i]])))

    expected: list = []
    work(lambda x, w: nd.exp(nd.tanh(x * w) + x) * w, expected, range(len(given)))
    wanted = dict(expected)
    call = chain()
    found: list = []
    threads = [
        threading.Thread(target=work, args=(call, found, random.permutation(len(given))))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4 * len(expected)
    assert all(result == wanted[i] for i, result in found)


def test_contexts_go_with_the_arrays():
    call = chain()
    for context in (mx.cpu(0), mx.cpu(1), mx.cpu(0)):
        x, w = nd.array([0.3], ctx=context), nd.array([0.5], ctx=context)
        assert call(x, w).context == context


def test_nothing_is_held_after_a_sweep():
    call = chain()

    def held():
        return mx.runtime.memory_stats()["bytes_in_use"]

    def once():
        run(call, [nd.ones(3000), nd.ones(3000)])

    for _ in range(3):
        once()
    before = held()
    for _ in range(20):
        once()
    assert held() == before
