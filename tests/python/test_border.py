"""What a program can do wrong, or unusually, at the border: no crash, no silent wrong answer."""

import numpy as np
import pytest

import mxtape as mx
from mxtape import autograd, nd
from support import assert_same, variable


def test_state_carried_over_a_backward_is_a_constant():
    w, h = variable([2.0]), nd.array([1.0])
    seen = []
    for _ in range(3):
        with autograd.record():
            h = h * w
            loss = h * w
        loss.backward()
        seen.append(float(w.grad.asscalar()))
    assert seen == [4.0, 8.0, 16.0]


def test_a_result_may_be_overwritten_once_its_graph_is_freed():
    x = variable([1.0, 2.0])
    with autograd.record():
        y = x * 2
    y.backward()
    with autograd.record():
        y[:] = 3
        y += 2
    assert_same(y, [5, 5])


def test_out_in_every_iteration():
    w, c, out = variable([1.0, 2.0]), nd.array([3.0, 3.0]), nd.zeros((2,))
    for _ in range(2):
        with autograd.record():
            nd.broadcast_mul(w, c, out=out)
        out.backward()
    assert_same(w.grad, [3, 3])


@pytest.mark.parametrize("out", [[], ()])
def test_an_empty_out_is_refused(out):
    with pytest.raises(TypeError, match="empty"):
        nd.exp(nd.ones((2,)), out=out)


@pytest.mark.parametrize(
    "method",
    [
        lambda x: nd.NDArray.detach(x),
        lambda x: nd.NDArray.asnumpy(x),
        lambda x: nd.NDArray.reshape(x, (1,)),
        lambda x: nd.NDArray.copy(x),
        lambda x: nd.NDArray.context.fget(x),
    ],
)
@pytest.mark.parametrize("other", [None, 5, [1.0]])
def test_methods_on_something_else_are_refused(method, other):
    with pytest.raises((TypeError, AssertionError, mx.MXNetError)):
        method(other)


def test_a_list_that_holds_itself_is_refused():
    endless = []
    endless.append(endless)
    with pytest.raises(AssertionError, match="Concat"):
        nd.concat(*endless)


class Scaled(autograd.Function):
    """The identity, whose gradient is made by writing into the head gradient."""

    def forward(self, x):
        return x * 1

    def backward(self, dy):
        dy[:] = dy * 10
        return dy


def test_a_function_may_write_into_its_head_gradient():
    x, w = variable([1.0, 1.0]), variable([1.0, 1.0])
    head = nd.ones((2,))
    with autograd.record():
        z = nd.identity(w) + Scaled()(x)
    z.backward(head)
    assert_same(x.grad, [10, 10])
    assert_same(w.grad, [1, 1])
    assert_same(head, [1, 1])


def test_gradients_in_borrowed_memory_are_not_added_to():
    memory = np.array([5.0, 5.0], np.float32)

    class Borrowed(autograd.Function):
        def forward(self, x):
            return x * 1

        def backward(self, dy):
            return nd.from_numpy(memory)

    x = variable([1.0, 1.0])
    with autograd.record():
        z = Borrowed()(x) + x * 3 + Borrowed()(x)
    z.backward()
    assert_same(x.grad, [13, 13])
    assert memory.tolist() == [5.0, 5.0]


def test_second_order_through_an_output_kept_as_an_attribute():
    class Sigmoid(autograd.Function):
        def forward(self, x):
            self.y = nd.sigmoid(x)
            return self.y

        def backward(self, dy):
            return dy * self.y * (1 - self.y)

    x = variable([0.5])
    with autograd.record():
        y = Sigmoid()(x)
        (dy,) = autograd.grad(y, [x], create_graph=True)
    dy.backward()
    s = 1 / (1 + np.exp(-0.5))
    assert_same(x.grad, [s * (1 - s) * (1 - 2 * s)])


def test_zero_extents_survive_views():
    assert nd.zeros((0, 3)).expand_dims(0, inplace=True).shape == (1, 0, 3)
    x, b = variable([1.0, 2.0]), nd.zeros((3, 2))
    with autograd.record():
        b[1:1] = x * 1
    assert_same(b, np.zeros((3, 2)))


def test_a_recorded_call_does_not_write_over_what_its_gradient_reads():
    z, x = nd.array([3.0]), variable([2.0])
    with autograd.record(), pytest.raises(mx.MXNetError, match="broadcast_mul"):
        nd.broadcast_mul(z, x, out=z)
    assert_same(z, [3])


def test_optional_inputs_by_position_and_by_name():
    x, h = nd.ones((3, 2, 4)), nd.zeros((1, 2, 2))
    lengths = nd.array([3, 2])
    options = {"state_size": 2, "num_layers": 1, "mode": "gru", "use_sequence_length": True}
    w = nd.ones((3 * 2 * (4 + 2) + 2 * 3 * 2,)) * 0.1
    by_name = nd.RNN(x, w, h, sequence_length=lengths, **options)
    # By position the arrays are those that the parameters ask for; None leaves one out.
    for arrays in [(x, w, h, lengths), (x, w, h, None, lengths)]:
        assert_same(nd.RNN(*arrays, **options), by_name.asnumpy())
    with pytest.raises(mx.MXNetError, match=r"state_cell was given|sequence_length is missing"):
        nd.RNN(x, w, h, state_cell=lengths, **options)
