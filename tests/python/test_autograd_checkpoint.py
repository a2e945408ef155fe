"""Checkpoints: what is computed again has the same values, gradients and random numbers."""

import subprocess
import sys
import textwrap
from collections import namedtuple

import numpy as np
import pytest

import mxtape as mx
from mxtape import autograd, gluon, nd
from mxtape.base import MXNetError, StaleArrayWarning

pytestmark = pytest.mark.differs("MXNet has no autograd.checkpoint")


def variable(*shape, seed=0, dtype="float64"):
    values = np.random.default_rng(seed).uniform(-1, 1, shape).astype(dtype)
    x = nd.array(values, dtype=dtype)
    x.attach_grad()
    return x


def gradients(compute, variables):
    with autograd.record():
        y = compute()
    y.backward()
    return [y.asnumpy()] + [v.grad.asnumpy().copy() for v in variables]


def assert_same(f, *variables, args=None, **kwargs):
    """`f` with and without a checkpoint has the same bits."""
    args = variables if args is None else args
    plain = gradients(lambda: f(*args, **kwargs), variables)
    again = gradients(lambda: autograd.checkpoint(f, *args, **kwargs), variables)
    for a, b in zip(plain, again):
        np.testing.assert_array_equal(a, b)


def layer(x, w):
    return nd.tanh(nd.dot(x, w)) * x


def test_gradients_are_those_without_a_checkpoint():
    assert_same(layer, variable(4, 3), variable(3, 3, seed=1))


def test_it_keeps_its_inputs_only():
    x, w = variable(4, 3), variable(3, 3, seed=1)
    with autograd.record():
        y = autograd.checkpoint(layer, x, w)
    steps = [entry for entry in autograd.tape(y) if entry.kind != "variable"]
    assert [entry.kind for entry in steps] == ["checkpoint"]
    assert steps[0].operator == "checkpoint of layer"
    assert steps[0].saved_bytes == x.size * 8 + w.size * 8


def test_nested_structures_and_keywords():
    Pair = namedtuple("Pair", "left right")

    def f(pair, options, *, scale, name):
        assert name == "n"
        assert isinstance(pair, Pair)
        both = pair.left * options["w"][0] + pair.right
        return {"sum": both * scale, "parts": [both, (pair.left * 2, None, "text")]}

    x, y, w = variable(3), variable(3, seed=1), variable(3, seed=2)

    def total(call):
        out = call(Pair(x, y), {"w": [w, 7]}, scale=3.0, name="n")
        assert out["parts"][1][1:] == (None, "text")
        return out["sum"] + out["parts"][0] * 2 + out["parts"][1][0]

    plain = gradients(lambda: total(f), [x, y, w])
    again = gradients(lambda: total(autograd.checkpoint(f)), [x, y, w])
    for a, b in zip(plain, again):
        np.testing.assert_array_equal(a, b)


def test_what_a_function_closes_over_gets_its_gradient():
    x, w = variable(3), variable(3, seed=1)
    with autograd.record():
        hidden = nd.exp(w)
        first, second = nd.split(nd.concat(w, hidden, dim=0), num_outputs=2, axis=0)
        y = autograd.checkpoint(lambda a: a * w * hidden * second * first, x)
    grads = autograd.grad(y, [x, w], retain_graph=True)
    y.backward()
    v, a = w.asnumpy(), x.asnumpy()
    np.testing.assert_allclose(grads[0].asnumpy(), v * v * np.exp(2 * v), rtol=1e-14)
    expected = a * (2 * v + 2 * v * v) * np.exp(2 * v)
    np.testing.assert_allclose(grads[1].asnumpy(), expected, rtol=1e-14)
    np.testing.assert_array_equal(grads[1].asnumpy(), w.grad.asnumpy())
    np.testing.assert_array_equal(grads[0].asnumpy(), x.grad.asnumpy())


def test_only_variables_that_are_asked_for():
    x, w = variable(3), variable(3, seed=1)
    with autograd.record():
        y = autograd.checkpoint(lambda a: a * w, x)
    (grad,) = autograd.grad(y, [w])
    np.testing.assert_array_equal(grad.asnumpy(), x.asnumpy())
    assert not x.grad.asnumpy().any()


def test_inputs_off_the_tape_and_given_twice():
    x, constant = variable(3), nd.array([1.0, 2.0, 3.0], dtype="float64")
    assert_same(lambda a, b, c: a * b * c, x, args=(x, x, constant))


def test_results_that_are_inputs_or_constants():
    x = variable(3)
    constant = nd.ones((3,), dtype="float64")
    with autograd.record():
        same, fixed, three = autograd.checkpoint(lambda a: (a, constant, 3), x)
        y = same * 2 + fixed
    y.backward()
    assert three == 3
    assert x.grad.asnumpy().tolist() == [2, 2, 2]
    with autograd.record():
        (fixed,) = autograd.checkpoint(lambda a: [constant + 1], x)
    with pytest.raises(MXNetError, match="not in a computational graph"):
        fixed.backward()


def test_it_is_just_called_where_nothing_is_recorded():
    calls = []

    @autograd.checkpoint
    def f(x):
        calls.append(autograd.is_recording())
        return x + 1

    assert f(nd.zeros((1,))).item() == 1
    assert calls == [False]
    assert f.__name__ == "f"


@pytest.mark.parametrize("hybridize", [False, True])
def test_gluon_blocks(hybridize):
    net = gluon.nn.HybridSequential()
    net.add(gluon.nn.Dense(8, activation="relu"), gluon.nn.BatchNorm(), gluon.nn.Dense(2))
    net.initialize(mx.init.Xavier())
    x = nd.array(np.random.default_rng(0).normal(size=(5, 4)).astype("float32"))
    net(x)
    if hybridize:
        net.hybridize()
    params = [p for p in net.collect_params().values() if p.grad_req != "null"]
    stats = [p for p in net.collect_params().values() if p.grad_req == "null"]
    before = [p.data().asnumpy() for p in stats]
    found = []
    for call in (net, autograd.checkpoint(net)):
        for p, value in zip(stats, before):
            p.set_data(nd.array(value))
        with autograd.record():
            y = (call(x) ** 2).sum()
        y.backward()
        found.append([p.grad().asnumpy().copy() for p in params])
        found[-1] += [p.data().asnumpy().copy() for p in stats]
    for a, b in zip(*found):
        np.testing.assert_array_equal(a, b)
    assert any((a != b).any() for a, b in zip(before, found[1][-len(stats) :]))


def test_parameters_that_are_initialized_at_first_use():
    mx.random.seed(3)
    net = gluon.nn.Sequential()
    net.add(gluon.nn.Dense(16), gluon.nn.Dropout(0.5), gluon.nn.Dense(1))
    net.initialize(mx.init.Normal(1.0))
    x = nd.ones((1, 4))
    with autograd.record():
        y = autograd.checkpoint(net, x)
    y.backward()
    # y is the last weight times what dropout has left: the gradient has zeros where it dropped.
    weight = net[2].weight
    product = (weight.data() * weight.grad()).sum() + net[2].bias.data()[0]
    np.testing.assert_allclose(product.asnumpy(), y.asnumpy().reshape(1), rtol=1e-5)


def test_grad_req_add():
    w = variable(3)
    w.attach_grad(grad_req="add")
    for _ in range(2):
        with autograd.record():
            y = autograd.checkpoint(lambda a: a * a, w)
        y.backward()
    np.testing.assert_allclose(w.grad.asnumpy(), 4 * w.asnumpy())


def test_nested_checkpoints():
    @autograd.checkpoint
    def inner(x, w):
        return nd.sin(x * w) * nd.Dropout(x, p=0.3)

    def outer(x, w):
        for _ in range(3):
            x = inner(x, w) + x
        return x

    x, w = variable(40), variable(40, seed=1)
    plain = gradients(lambda: (mx.random.seed(1), outer(x, w))[1], [x, w])
    checked = gradients(lambda: (mx.random.seed(1), autograd.checkpoint(outer, x, w))[1], [x, w])
    for a, b in zip(plain, checked):
        np.testing.assert_array_equal(a, b)


def test_the_same_random_numbers_and_none_of_the_programs():
    x = variable(1000)

    def f(x):
        with autograd.pause():
            noise = nd.random.normal(shape=x.shape, dtype="float64")
        return nd.Dropout(x * noise, p=0.5) * nd.random.uniform(shape=x.shape, dtype="float64")

    def run(call):
        mx.random.seed(7)
        with autograd.record():
            y = call(x)
        between = nd.random.uniform(shape=(3,)).asnumpy()
        y.backward()
        return [
            y.asnumpy(),
            x.grad.asnumpy().copy(),
            between,
            nd.random.normal(shape=(3,)).asnumpy(),
        ]

    for a, b in zip(run(f), run(autograd.checkpoint(f))):
        np.testing.assert_array_equal(a, b)


def test_training_mode_is_that_of_the_first_call():
    x = variable(100)
    modes = []

    def f(x):
        modes.append((autograd.is_training(), autograd.is_recording()))
        return x * 1

    with autograd.record(train_mode=False):
        y = autograd.checkpoint(f, x)
    y.backward(train_mode=True)
    assert modes == [(False, True), (False, True)]
    assert not autograd.is_training()
    assert not autograd.is_recording()


def test_second_order():
    x, w = variable(4), variable(4, seed=1)

    def f(a):
        return nd.sin(a * w) * a

    found = []
    for call in (f, autograd.checkpoint(f), autograd.checkpoint(autograd.checkpoint(f))):
        with autograd.record():
            y = call(x)
            (dx,) = autograd.grad(y, [x], create_graph=True)
            (dxx,) = autograd.grad(dx, [x], create_graph=True)
        dxx.backward()
        found.append([dx.asnumpy(), dxx.asnumpy(), x.grad.asnumpy(), w.grad.asnumpy()])
    for other in found[1:]:
        for a, b in zip(found[0], other):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)


def test_a_gradient_inside_of_a_checkpoint():
    x, w = variable(3), variable(3, seed=1)

    def slope(x, w):
        u = nd.tanh(x * w)
        return autograd.grad(u, [x], create_graph=True)[0] ** 2

    assert_same(slope, x, w)


def test_transforms():
    x, w = variable(4), variable(4, seed=1)

    def f(a):
        return nd.sin(a * w) * a

    checked = autograd.checkpoint(f)
    v = nd.array([1.0, -1.0, 2.0, 0.5], dtype="float64")
    for transform in (
        lambda f: autograd.jvp(f, (x,), (v,))[1],
        lambda f: autograd.vjp(f, x)[1](v),
        lambda f: autograd.jacobian(f)(x),
        lambda f: autograd.hvp(lambda z: f(z).sum(), (x,), (v,)),
    ):
        a, b = transform(f), transform(checked)
        a, b = (each[0] if isinstance(each, (tuple, list)) else each for each in (a, b))
        np.testing.assert_allclose(a.asnumpy(), b.asnumpy(), rtol=1e-12, atol=1e-14)


def test_vmap():
    x, w = variable(5, 3), variable(3, 3, seed=1)

    def f(a):
        return (nd.tanh(nd.dot(w, a)) * a).sum()

    found = []
    for mapped in (
        autograd.vmap(f),
        autograd.vmap(autograd.checkpoint(f)),
        autograd.checkpoint(autograd.vmap(f)),
    ):
        with autograd.record():
            y = mapped(x)
        y.backward()
        found.append([y.asnumpy(), x.grad.asnumpy(), w.grad.asnumpy()])
    for other in found[1:]:
        for a, b in zip(found[0], other):
            np.testing.assert_allclose(a, b, rtol=1e-12)


def test_hooks_in_a_checkpoint():
    x = variable(3)
    seen = []

    def f(a):
        h = a * 3
        h.register_gradient_hook(lambda grad: seen.append(grad.asnumpy()))
        return h * 2

    with autograd.record():
        y = autograd.checkpoint(f, x)
    y.backward()
    assert [grad.tolist() for grad in seen] == [[2, 2, 2]]


def test_anomalies_in_a_checkpoint():
    x = variable(3)
    x[:] = -1
    with autograd.detect_anomaly(), autograd.record():
        y = autograd.checkpoint(lambda a: nd.sqrt(a), x)
        with pytest.raises(MXNetError, match="sqrt"):
            y.backward()


def test_retained_graphs_are_computed_again_each_time():
    x = variable(3)
    calls = []

    def f(a):
        calls.append(1)
        return a * a

    with autograd.record():
        y = autograd.checkpoint(f, x)
    y.backward(retain_graph=True)
    y.backward()
    assert len(calls) == 3
    with pytest.raises(MXNetError, match="freed"):
        y.backward()


def test_functions_in_checkpoints():
    class Square(autograd.Function):
        def forward(self, x):
            self.save_for_backward(x)
            return x * x

        def backward(self, dy):
            (x,) = self.saved_tensors
            return 2 * x * dy

    assert_same(lambda x: Square()(x) * x, variable(3))


def test_waiting_calls():
    x = nd.array(np.linspace(-1, 1, 100_000), dtype="float32")
    x.attach_grad()
    assert_same(lambda x: nd.exp(nd.sin(x) * x).sum(), x)


# ---- what goes wrong


def failing(first, second):
    """A function that does `first` when it is called, and `second` the next time."""
    todo = [first, second]
    return lambda x: todo.pop(0)(x)


def raise_value_error(x):
    raise ValueError("the file is gone")


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (raise_value_error, "ValueError: the file is gone"),
        (lambda x: nd.dot(x, nd.ones((9, 9))), "MXNetError: .*dot"),
        (lambda x: nd.concat(x, x, dim=0), r"it returned \(6,\) float64; the first time \(3,\)"),
        (lambda x: (x, x + 1), "it returned .* the first time"),
        (lambda x: nd.Dropout(x * x, p=0.5), "random numbers are drawn more often"),
    ],
)
def test_errors_name_the_checkpoint_and_the_line(second, message):
    x = variable(3)
    with autograd.record(train_mode=True):
        y = autograd.checkpoint(failing(lambda x: x * x, second), x)
    x.grad[:] = 5
    with pytest.raises(MXNetError, match=message) as caught:
        y.backward()
    assert "checkpoint of failing.<locals>.<lambda>" in str(caught.value)
    assert "test_autograd_checkpoint.py:" in str(caught.value)
    assert x.grad.asnumpy().tolist() == [5, 5, 5]
    if second is raise_value_error:
        assert isinstance(caught.value.__cause__, ValueError)
    assert not autograd.is_recording()


def test_fewer_random_numbers_are_an_error():
    x = variable(3)
    with autograd.record():
        y = autograd.checkpoint(failing(lambda x: nd.Dropout(x, p=0.5), lambda x: x * 1), x)
    with pytest.raises(MXNetError, match="drawn 0 times, the first time 1 times"):
        y.backward()


def test_other_variables_are_an_error():
    x, w = variable(3), variable(3, seed=1)
    with autograd.record():
        y = autograd.checkpoint(failing(lambda x: x * 2, lambda x: x * w), x)
    with pytest.raises(MXNetError, match=r"it depends on variable.* did not depend the first"):
        y.backward()


def test_arrays_that_were_changed_since_warn():
    x, w = variable(3), variable(3, seed=1)
    with autograd.record():
        y = autograd.checkpoint(lambda a: a * w, x)
    w[:] = 0
    with pytest.warns(StaleArrayWarning, match="an array that it uses was saved"):
        y.backward(retain_graph=True)
    with autograd.record():
        y = autograd.checkpoint(lambda a: a * a, x)
    x[:] = 1
    with pytest.warns(StaleArrayWarning, match="array 0 of its inputs was saved") as warned:
        y.backward()
    assert len(warned) == 1


@pytest.mark.parametrize("hybridize", [False, True])
def test_parameters_that_were_changed_since_warn(hybridize):
    net = gluon.nn.Dense(2, in_units=3)
    net.initialize()
    if hybridize:
        net.hybridize()
    x = variable(4, 3, dtype="float32")
    with autograd.record():
        y = autograd.checkpoint(net, x)
    net.weight.data()[:] = 1
    with pytest.warns(StaleArrayWarning, match=r"checkpoint of dense.*an array that it uses"):
        y.backward()


def test_in_a_hybridized_block_it_is_just_called():
    class Net(gluon.HybridBlock):
        def hybrid_forward(self, F, x):
            return autograd.checkpoint(lambda a: F.tanh(a) * a, x)

    net = Net()
    x = variable(3)
    assert_same(net, x)
    net.hybridize()
    with autograd.record():
        y = net(x)
    assert autograd.tape(y)[0].kind == "graph"
    y.backward()
    v = np.tanh(x.asnumpy())
    np.testing.assert_allclose(x.grad.asnumpy(), v + x.asnumpy() * (1 - v * v), rtol=1e-12)


def test_bad_arguments():
    with pytest.raises(TypeError, match="expected a function or a block, got 3"):
        autograd.checkpoint(3, nd.ones((1,)))


# ---- memory


def test_nothing_is_left_over():
    def used():
        return mx.runtime.memory_stats()["bytes_in_use"]

    x = nd.ones((1000, 100))
    x.attach_grad()

    def step():
        with autograd.record():
            y = autograd.checkpoint(lambda a: nd.tanh(a) * a, x).sum()
        y.backward()

    step()
    before = used()
    for _ in range(3):
        step()
    assert used() <= before + 1000


PROGRAM = """
import sys
import mxtape as mx
from mxtape import autograd, nd

n, segment = int(sys.argv[1]), int(sys.argv[2])
x = nd.ones((64, 64))
w = nd.array([[0.99 * (i == j) for j in range(64)] for i in range(64)])
w.attach_grad()

def layers(x, count):
    for _ in range(count):
        x = nd.tanh(nd.dot(x, w))
    return x

before = mx.runtime.memory_stats()
with autograd.record():
    y = x
    for start in range(0, n, segment or n):
        count = min(segment or n, n - start)
        y = autograd.checkpoint(layers, y, count) if segment else layers(y, count)
y.backward()
print(mx.runtime.memory_stats()["peak_bytes_reserved"] - before["bytes_in_use"])
print(float(w.grad.sum().asscalar()))
"""


def test_a_chain_of_1000_layers_keeps_the_memory_of_their_square_root():
    def peak(n, segment):
        program = textwrap.dedent(PROGRAM)
        done = subprocess.run(
            [sys.executable, "-c", program, str(n), str(segment)],
            capture_output=True,
            text=True,
            check=True,
        )
        memory, gradient = done.stdout.split()
        return int(memory), float(gradient)

    array = 64 * 64 * 4
    whole, gradient = peak(1000, 0)
    assert whole > 1000 * array
    checked, same = peak(1000, 32)
    assert same == pytest.approx(gradient, rel=1e-5)
    # Inputs of 32 segments; results of 32 layers, two each; some gradients.
    assert checked < (32 + 2 * 32 + 20) * array * 1.25
    quarter, _ = peak(250, 16)
    assert checked < 2.3 * quarter
