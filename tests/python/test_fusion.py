"""Pointwise calls over large arrays wait and run together: nobody may be able to tell.

The other tests run with waiting switched on too: MXTAPE_FUSE_ABOVE=1 makes every pointwise call
wait, and the results have to be the same.
"""

import threading

import numpy as np
import pytest

import mxtape as mx
from mxtape import autograd, nd
from mxtape._loader import core


@pytest.fixture(autouse=True)
def every_call_waits():
    before = core.set_fusion_threshold(1)
    yield
    core.set_fusion_threshold(before)


def ramp(*shape):
    return nd.array(np.arange(np.prod(shape), dtype="float32").reshape(shape) / 7)


def add_number(x):
    x += 1


def assign_all(x):
    x[:] = 5


def assign_part(x):
    x[1:3] = 7


def assign_mask(x):
    x[np.arange(len(x)) % 2 == 0] = 7


def assign_numpy(x):
    x[:] = np.ones(x.shape, "float32")


def assign_through_view(x):
    x[2:5][:] = 9


def out_argument(x):
    nd.exp(x, out=x)


def out_argument_by_way_of_a_copy(x):
    nd.softmax(x, out=x)


def add_a_part_of_itself(x):
    x += x[3:4]


def split_into_itself(x):
    half = len(x) // 2
    nd.split(nd.reverse(x, axis=0), num_outputs=2, axis=0, out=[x[half:], x[:half]])


def copy_to(x):
    nd.zeros(x.shape).copyto(x)


def optimizer(x):
    nd.sgd_update(x, nd.ones(x.shape), lr=0.5, out=x)


def state_of_optimizer(x):
    nd.sgd_mom_update(nd.ones(x.shape), nd.ones(x.shape), x, lr=0.5, momentum=0.9)


def random_numbers(x):
    nd.random.uniform(0, 1, shape=x.shape, out=x)


def dlpack(x):
    array = np.from_dlpack(x)
    try:
        array += 1
    except ValueError:  # NumPy takes the memory as read-only
        nd.from_dlpack(x.to_dlpack_for_write())[:] = 3


WRITERS = [
    add_number,
    assign_all,
    assign_part,
    assign_mask,
    assign_numpy,
    assign_through_view,
    out_argument,
    out_argument_by_way_of_a_copy,
    add_a_part_of_itself,
    split_into_itself,
    copy_to,
    optimizer,
    state_of_optimizer,
    random_numbers,
    dlpack,
]


@pytest.mark.parametrize("write", WRITERS, ids=lambda f: f.__name__)
def test_what_waits_has_the_values_from_before_a_write(write):
    x = ramp(300)
    expected = x.asnumpy()
    y = x * 2 + 1
    part = x[2:9] * 3
    total = (x * 4).sum()
    write(x)
    assert not np.array_equal(x.asnumpy(), expected)
    np.testing.assert_allclose(total.asscalar(), 4 * expected.sum(), rtol=1e-6)
    np.testing.assert_allclose(y.asnumpy(), expected * 2 + 1, rtol=1e-6)
    np.testing.assert_allclose(part.asnumpy(), expected[2:9] * 3, rtol=1e-6)


@pytest.mark.parametrize("write", WRITERS, ids=lambda f: f.__name__)
def test_what_waits_can_itself_be_written_to(write):
    eager = ramp(12).asnumpy() * 2 + 1
    x = ramp(12) * 2 + 1
    mx.random.seed(3)
    write(x)
    reference = nd.array(eager)
    mx.random.seed(3)
    write(reference)
    np.testing.assert_allclose(x.asnumpy(), reference.asnumpy(), rtol=1e-6)


def test_running_statistics_are_read_before_they_change():
    x, gamma, beta, mean, var = ramp(4, 3), nd.ones(3), nd.zeros(3), nd.zeros(3), nd.ones(3)
    waiting = mean + 1, gamma * 2
    gamma[:] = 4
    with autograd.record():
        nd.BatchNorm(x, gamma, beta, mean, var, fix_gamma=True)
    assert (waiting[0].asnumpy() == 1).all()
    assert (waiting[1].asnumpy() == 2).all()
    assert (gamma.asnumpy() == 1).all()


def test_memory_of_others_is_read_at_once():
    owner = np.ones(8, "float32")
    x = nd.from_dlpack(owner) if hasattr(owner, "__dlpack__") else nd.from_numpy(owner)
    y = x + 1
    try:
        owner[:] = 5
    except ValueError:
        pytest.skip("the memory is read-only now")
    assert (y.asnumpy() == 2).all()


def loss(x, w):
    h = nd.tanh(x * w + 0.5) * nd.sigmoid(x) - 0.1 * x**2
    return (h - h.mean(axis=0, keepdims=True)).square().sum() + nd.broadcast_mul(h, w).mean()


def gradients(order):
    x, w = ramp(300, 5), nd.array([[0.1, 0.2, 0.3, 0.4, 0.5]])
    x = x / 100
    x.attach_grad()
    w.attach_grad()
    with autograd.record():
        y = loss(x, w)
        if order == 2:
            y = sum((g * g).sum() for g in autograd.grad([y], [x, w], create_graph=True))
    y.backward()
    return [a.asnumpy() for a in (y, x.grad, w.grad)]


@pytest.mark.parametrize("order", [1, 2])
def test_gradients_are_those_of_calls_that_do_not_wait(order):
    fused = gradients(order)
    core.set_fusion_threshold(-1)
    for a, b in zip(fused, gradients(order)):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-6)


def test_bits_do_not_depend_on_the_number_of_threads():
    assert [a.tobytes() for a in gradients(2)] == [a.tobytes() for a in gradients(2)]
    x = ramp(400, 1000)

    def compute():
        y = nd.exp(-x / 60000) * nd.sin(x)
        return y.sum(axis=0).asnumpy(), y.mean().asnumpy(), y.asnumpy()

    before = core.thread_count()
    try:
        results = []
        for threads in (1, 2, 5):
            core.set_thread_count(threads)
            results.append([a.tobytes() for a in compute()])
    finally:
        core.set_thread_count(before)
    assert results[0] == results[1] == results[2]


def one_number(x, kind):
    y = nd.tanh(1.5 * x + 0.25) * nd.sigmoid(x) - 0.125 * nd.square(x)
    return getattr(y, kind)(axis=tuple(range(x.ndim)) if kind == "mean" else None)


def step(a, kind, req, reads):
    """The number and the gradient of one sweep, of which `reads` says when they are looked at."""
    x = nd.array(a, dtype=a.dtype)
    x.attach_grad(req)
    x.grad[:] = 1
    with autograd.record():
        y = one_number(x, kind)
    if reads == "number first":
        y.wait_to_read()
    y.backward(nd.array([1 if reads == "all" else 3], dtype=a.dtype))
    if reads == "variable overwritten":
        x[:] = 5
    if reads == "all":
        nd.waitall()
    return y.asnumpy(), x.grad.asnumpy()


@pytest.mark.parametrize("reads", ["last", "number first", "variable overwritten", "all"])
@pytest.mark.parametrize("req", ["write", "add"])
@pytest.mark.parametrize("kind", ["sum", "mean"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_number_that_waits_for_its_gradient_is_the_same(dtype, kind, req, reads):
    a = np.random.RandomState(3).standard_normal((31, 2100)).astype(dtype)
    waiting = step(a, kind, req, reads)
    core.set_fusion_threshold(-1)
    for ours, theirs in zip(waiting, step(a, kind, req, reads)):
        np.testing.assert_array_equal(ours, theirs)


def test_a_number_and_its_gradient_have_the_same_bits_on_any_number_of_threads():
    a = np.random.RandomState(3).standard_normal((310, 2100)).astype("float32")
    before = core.thread_count()
    try:
        results = []
        for threads in (1, 2, 5):
            core.set_thread_count(threads)
            results.append([part.tobytes() for part in step(a, "sum", "write", "last")])
    finally:
        core.set_thread_count(before)
    assert results[0] == results[1] == results[2]


def test_numbers_that_nobody_looks_at_hold_few_arrays():
    array = 4 << 18
    before = core.pool_stats()[0]
    losses = []
    for i in range(50):
        x = nd.full(1 << 18, i)
        losses.append((x * 2 + 1).mean())
        assert core.pool_stats()[0] - before < 6 * array
    assert [y.asscalar() for y in losses] == [2 * i + 1 for i in range(50)]


def test_the_second_derivative_of_a_number_that_waits():
    def sweep():
        x = nd.array(np.linspace(-1, 1, 700), dtype="float64")
        x.attach_grad()
        with autograd.record():
            y = one_number(x, "sum")
            (g,) = autograd.grad([y], [x], create_graph=True)
            z = (g * g).sum()
        z.backward()
        return [part.asnumpy() for part in (y, g, z, x.grad)]

    waiting = sweep()
    core.set_fusion_threshold(-1)
    for ours, theirs in zip(waiting, sweep()):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)


def test_a_gradient_buffer_that_is_held_is_the_one_that_is_written():
    x = ramp(6)
    x.attach_grad()
    held = x.grad
    with autograd.record():
        y = x * x
    y.backward()
    np.testing.assert_allclose(held.asnumpy(), 2 * x.asnumpy())
    held[:] = 0
    assert (x.grad.asnumpy() == 0).all()


def test_the_gradient_buffer_may_be_read_by_the_graph():
    x, w = ramp(6), ramp(6)
    x.attach_grad()
    w.attach_grad()
    x.grad[:] = 3
    w.grad[:] = 2
    gx, gw = x.grad, w.grad
    with autograd.record():
        y = x * x.grad + w * x.grad + x * w.grad
    y.backward()
    assert (gx.asnumpy() == 5).all()
    assert (gw.asnumpy() == 3).all()


@pytest.mark.parametrize("req", ["write", "add"])
def test_two_sweeps(req):
    x = ramp(6)
    x.attach_grad(req)
    for _ in range(2):
        with autograd.record():
            y = nd.exp(x * 0.1)
        y.backward()
    factor = 2 if req == "add" else 1
    expected = factor * 0.1 * np.exp(0.1 * x.asnumpy())
    np.testing.assert_allclose(x.grad.asnumpy(), expected, rtol=1e-6)


def test_waitall_and_wait_to_read():
    x = nd.arange(5)
    y, z = x + 1, x + 2
    y.wait_to_read()
    nd.waitall()
    assert (z - y).asnumpy().tolist() == [1] * 5


def test_threads_that_share_what_waits():
    errors = []

    def work(shared, number):
        try:
            for _ in range(200):
                y = (shared * number).sum()
                assert abs(y.asscalar() - number * 499500 * 2 / 7) < 1e-3 * number * 150000
        except Exception as error:
            errors.append(error)

    for _ in range(5):
        shared = ramp(1000) * 2
        threads = [threading.Thread(target=work, args=(shared, n)) for n in range(1, 5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not errors


def test_a_loop_holds_few_arrays():
    array = 4 << 18
    total = nd.zeros(1 << 18)
    before = core.pool_stats()[0]
    for i in range(100):
        total = total + nd.full(1 << 18, i)
        assert core.pool_stats()[0] - before < 12 * array
    assert total[3].asscalar() == 4950


def gradients_with_a_write_between(dtype):
    """Gradients of two sweeps over one tape, the variable overwritten between them."""
    x = nd.array(np.linspace(-2, 2, 3000), dtype=dtype)
    x.attach_grad()
    with autograd.record():
        s = (nd.tanh(1.1 * x + 0.3) * nd.sigmoid(1.0 * x) - nd.relu(x) * nd.exp(-x)).sum()
    s.backward(retain_graph=True)
    first = x.grad.asnumpy()
    x[:] = 7
    s.backward()
    return first, x.grad.asnumpy()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_the_tape_alone_holds_is_as_it_was(dtype):
    waiting = gradients_with_a_write_between(dtype)
    np.testing.assert_array_equal(*waiting)
    core.set_fusion_threshold(-1)
    at_once = gradients_with_a_write_between(dtype)
    for ours, theirs in zip(waiting, at_once):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("shape", [(5, 1_000_003), (4_200_001,), (3, 1401, 1001)])
def test_results_beyond_the_cache(shape):
    """They are written past it, in pieces that need not start where a cache line does."""
    a = np.random.RandomState(0).uniform(-1, 1, shape).astype("float32")
    x = nd.array(a)
    y = nd.tanh(x) * 2 + x
    total = y.sum(axis=-1)
    expected = np.tanh(a) * 2 + a
    np.testing.assert_allclose(y.asnumpy(), expected, rtol=1e-5, atol=1e-6)
    sums = expected.sum(-1).ravel()
    np.testing.assert_allclose(total.asnumpy().ravel(), sums, rtol=1e-3, atol=1e-3)
    x.attach_grad()
    with autograd.record():
        s = (x * x).sum()
    s.backward()
    np.testing.assert_array_equal(x.grad.asnumpy(), 2 * a)
