"""In-place writes: refused under record for arrays of the graph, allowed everywhere else."""

import numpy as np
import pytest

from mxtape import autograd, nd
from mxtape.base import MXNetError
from support import assert_same, variable


def add_one(a):
    a += 1


def subtract(a):
    a -= 1


def multiply(a):
    a *= 2


def divide(a):
    a /= 2


def modulo(a):
    a %= 2


def add_array(a):
    a += nd.ones(a.shape)


def assign_all(a):
    a[:] = 0


def assign_ellipsis(a):
    a[...] = 0


def assign_array(a):
    a[:] = nd.ones(a.shape)


def assign_numpy(a):
    a[:] = np.zeros(a.shape)


def assign_slice(a):
    a[0:1] = 5


def assign_element(a):
    a[1] = 5


def assign_advanced(a):
    a[[0, 1]] = 5


def write_out(a):
    nd.exp(nd.zeros(a.shape), out=a)


def copy_into(a):
    nd.zeros(a.shape).copyto(a)


WRITES = [
    add_one,
    subtract,
    multiply,
    divide,
    modulo,
    add_array,
    assign_all,
    assign_ellipsis,
    assign_array,
    assign_numpy,
    assign_slice,
    assign_element,
    assign_advanced,
    write_out,
    copy_into,
]


def name_of(function):
    return function.__name__


def refused_writes():
    unseen = pytest.mark.differs("MXNet does not notice a NumPy array copied in under record")
    return [
        pytest.param(write, id=write.__name__, marks=unseen if write is assign_numpy else ())
        for write in WRITES
    ]


each_refused_write = pytest.mark.parametrize("write", refused_writes())
each_write = pytest.mark.parametrize("write", WRITES, ids=name_of)
AFTER_THE_WRITE = pytest.mark.differs("MXNet raises its error after it has written")


@each_refused_write
def test_refused_on_a_variable(write):
    x = variable([1.0, 2.0, 3.0])
    with autograd.record():
        with pytest.raises(MXNetError):
            write(x)


@each_refused_write
def test_refused_on_a_recorded_array(write):
    x = variable([1.0, 2.0, 3.0])
    with autograd.record():
        y = x * x
        with pytest.raises(MXNetError):
            write(y)


@AFTER_THE_WRITE
@each_write
def test_refused_before_a_variable_changes(write):
    x = variable([1.0, 2.0, 3.0])
    with autograd.record():
        y = x * x
        with pytest.raises(MXNetError):
            write(x)
    assert_same(x, [1, 2, 3])
    y.backward()
    assert_same(x.grad, [2, 4, 6])


@AFTER_THE_WRITE
@each_write
def test_refused_before_a_recorded_array_changes(write):
    x = variable([1.0, 2.0, 3.0])
    with autograd.record():
        y = x * x
        z = nd.exp(y)
        with pytest.raises(MXNetError):
            write(y)
    assert_same(y, [1, 4, 9])
    z.backward()
    assert_same(x.grad, 2 * np.array([1, 2, 3]) * np.exp([1.0, 4.0, 9.0]))


@each_write
def test_allowed_on_an_unrecorded_array_under_record(write):
    plain, expected = nd.array([1.0, 2.0, 3.0]), nd.array([1.0, 2.0, 3.0])
    write(expected)
    with autograd.record():
        write(plain)
    assert_same(plain, expected.asnumpy())


@each_write
def test_allowed_outside_of_record(write):
    x, expected = variable([1.0, 2.0, 3.0]), nd.array([1.0, 2.0, 3.0])
    write(expected)
    write(x)
    assert_same(x, expected.asnumpy())
    with autograd.record():
        y = x * 3
    y.backward()
    assert_same(x.grad, [3, 3, 3])
    with autograd.record():
        y = x * 3
        with autograd.pause():
            write(y)


def test_refusal_says_what_to_do():
    x = variable([1.0, 2.0])
    with autograd.record():
        with pytest.raises(MXNetError, match="record"):
            x += 1


@AFTER_THE_WRITE
@pytest.mark.parametrize(
    "take",
    [lambda x: x[0:2], lambda x: x.reshape((3, 1)), lambda x: x[1]],
    ids=["slice", "reshape", "element"],
)
def test_refused_through_a_view(take):
    x = variable([1.0, 2.0, 3.0])
    with autograd.record():
        view = take(x)
        with pytest.raises(MXNetError):
            view[:] = 9
    assert_same(x, [1, 2, 3])


@AFTER_THE_WRITE
def test_adding_a_variable_into_a_plain_array_is_refused():
    x, total = variable([1.0, 2.0]), nd.zeros((2,))
    with autograd.record():
        with pytest.raises(MXNetError):
            total += x
    assert_same(total, [0, 0])


def test_out_of_a_recorded_operator_enters_the_graph():
    x, buffer = variable([1.0, 2.0]), nd.zeros((2,))
    with autograd.record():
        y = nd.exp(x, out=buffer)
        z = buffer * 2
    assert y is buffer
    z.backward()
    assert_same(x.grad, 2 * np.exp([1.0, 2.0]))


def test_assigning_a_recorded_array_enters_the_graph():
    x, buffer = variable([1.0, 2.0]), nd.zeros((2,))
    with autograd.record():
        buffer[:] = x * 3
        z = buffer * 2
    z.backward()
    assert_same(x.grad, [6, 6])


def test_result_of_backward_may_be_written():
    x = variable([1.0, 2.0])
    with autograd.record():
        y = x * 2
    y.backward()
    y += 1
    assert_same(y, [3, 5])
    x[:] = x - 0.1 * x.grad
    assert_same(x, [0.8, 1.8])


def test_training_loop_updates_in_place():
    w, target = variable([4.0, -3.0]), nd.array([1.0, 2.0])
    for _ in range(100):
        with autograd.record():
            loss = ((w - target) ** 2).sum()
        loss.backward()
        w -= 0.1 * w.grad
    assert_same(w, [1, 2], rtol=1e-4)


def test_updating_keeps_the_variable_and_its_identity():
    w = variable([4.0])
    before = w
    w *= 2
    assert w is before
    with autograd.record():
        y = w * 3
    y.backward()
    assert_same(before.grad, [3])


# ---- gradients that are written over the head gradient, where nobody else sees it

# Of x, gamma and beta; the last two have the extent of an axis, or are left out.
OVER_THE_HEAD = {
    "softmax": (lambda x: nd.softmax(x, axis=1), None),
    "softmax of float16": (
        lambda x: nd.softmax(x.astype("float16")).astype("float32"),
        None,
    ),
    "softmin": (lambda x: nd.softmin(x, axis=-1), None),
    "log_softmax": (lambda x: nd.log_softmax(x, axis=0), None),
    "LayerNorm": (nd.LayerNorm, 7),
    "LayerNorm along another axis": (lambda *a: nd.LayerNorm(*a, axis=1), 6),
    "GroupNorm": (lambda *a: nd.GroupNorm(*a, num_groups=3), 3),
    "BatchNorm": (lambda *a: nd.BatchNorm(*a, nd.zeros(6), nd.ones(6), fix_gamma=False), 6),
    "BatchNorm of columns": (
        lambda *a: nd.BatchNorm(*a, nd.zeros(7), nd.ones(7), fix_gamma=False, axis=-1),
        7,
    ),
}


@pytest.mark.parametrize("name", OVER_THE_HEAD)
def test_a_gradient_over_the_head_is_the_same(name):
    function, extent = OVER_THE_HEAD[name]
    random = np.random.RandomState(4)
    x = nd.array(random.uniform(-2, 2, (5, 6, 7)))
    w = nd.array(random.uniform(-2, 2, (5, 6, 7)))
    variables = [x] if extent is None else [x, nd.arange(1, extent + 1), nd.zeros(extent)]
    for variable_ in variables:
        variable_.attach_grad()
    with autograd.record():
        y = function(*variables)
        z = y * 1
    kept = w.asnumpy()
    y.backward(w, retain_graph=True)
    want = [v.grad.asnumpy().tobytes() for v in variables]
    assert w.asnumpy().tobytes() == kept.tobytes()
    # The head gradient of y is the sweep's own, and may be overwritten.
    z.backward(w)
    assert [v.grad.asnumpy().tobytes() for v in variables] == want
    assert w.asnumpy().tobytes() == kept.tobytes()


def test_a_gradient_over_the_head_has_left_the_heads_graph():
    v = nd.array([[2, 3, 4]])
    v.attach_grad()

    class Recorded(autograd.Function):
        def forward(self, y):
            return y * 1

        def backward(self, dy):
            with autograd.record():
                return dy * v

    x = nd.array([[1, 2, 4]])
    x.attach_grad()
    with autograd.record():
        z = Recorded()(nd.softmax(x))
    (dx,) = autograd.grad(z, [x])
    with pytest.raises(MXNetError, match="not in a computational graph"):
        dx.backward()
    assert_same(v.grad, [[0, 0, 0]])


def test_a_head_that_another_gradient_needs_is_not_overwritten():
    x, other = nd.array([[1, 2, 4]]), nd.array([[0, 0, 0]])
    x.attach_grad()
    other.attach_grad()
    with autograd.record():
        # Both of the sum's inputs receive the same gradient, softmax's first.
        z = (other + nd.softmax(x)) * nd.array([[1, 2, 3]])
    z.backward()
    np.testing.assert_array_equal(other.grad.asnumpy(), [[1, 2, 3]])
