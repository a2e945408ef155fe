"""backward(): values over every shape of graph, gradient requests, head gradients, retaining."""

import numpy as np
import pytest

import mxtape as mx
from mxtape import autograd, nd
from mxtape.base import MXNetError
from support import assert_same, variable


def test_gradient_of_twice_the_square():
    x = variable([[1, 2], [3, 4]])
    with autograd.record():
        y = 2 * x * x
    y.backward()
    assert_same(x.grad, [[4, 8], [12, 16]])


def test_gradient_buffer_after_attach_grad():
    x = nd.ones((2, 3), dtype="float64")
    assert x.grad is None
    x.attach_grad()
    assert_same(x.grad, np.zeros((2, 3)))
    assert x.grad.dtype == np.float64
    assert x.grad.context == x.context


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_gradient_has_the_dtype_of_its_variable(dtype):
    x = variable([1, 2, 3], dtype=dtype)
    with autograd.record():
        y = (x * x).sum()
    y.backward()
    assert x.grad.dtype == np.dtype(dtype)
    assert_same(x.grad, [2, 4, 6])


def test_gradient_through_a_cast_comes_back_in_the_variables_dtype():
    x = variable([1, 2, 3], dtype="float32")
    with autograd.record():
        y = x.astype("float64") ** 2
    assert y.dtype == np.float64
    y.backward()
    assert x.grad.dtype == np.float32
    assert_same(x.grad, [2, 4, 6])


def test_control_flow_decides_the_graph():
    def double_until_large(a):
        b = a * 2
        while b.norm().asscalar() < 1000:
            b = b * 2
        if b.sum().asscalar() >= 0:
            return b[0]
        return b[1]

    for values in ([0.5, -0.25], [-3.0, 1.0]):
        x = variable(values)
        with autograd.record():
            y = double_until_large(x)
        y.backward()
        used = 0 if sum(values) >= 0 else 1
        expected = [0.0, 0.0]
        expected[used] = y.asscalar() / values[used]
        assert_same(x.grad, expected)


# The shape of the graph


def test_same_variable_used_many_times():
    x = variable([2.0, 3.0])
    with autograd.record():
        y = x
        for _ in range(50):
            y = y + x
        z = y * x * x
    z.backward()
    assert_same(x.grad, 51 * 3 * np.array([4.0, 9.0]))


def test_same_array_as_both_inputs():
    x = variable([3.0])
    for operator, derivative in [
        (nd.broadcast_add, 2.0),
        (nd.broadcast_sub, 0.0),
        (nd.broadcast_mul, 6.0),
        (nd.broadcast_div, 0.0),
        (nd.elemwise_mul, 6.0),
    ]:
        with autograd.record():
            y = operator(x, x)
        y.backward()
        assert_same(x.grad, [derivative])


def test_diamond_of_diamonds_counts_every_path():
    x = variable([1.0])
    with autograd.record():
        y = x
        for _ in range(20):
            y = y * 1 + y * 1
    y.backward()
    assert_same(x.grad, [2.0**20])


def test_uneven_diamond_waits_for_the_long_side():
    x = variable([1.5])
    with autograd.record():
        a = x * 2
        long_side = a
        for _ in range(30):
            long_side = long_side + 1
        y = a * long_side
    y.backward()
    # y = 2x (2x + 30)
    assert_same(x.grad, [8 * 1.5 + 60])


@pytest.mark.parametrize("used", [0, 1, 2])
def test_one_used_output_of_split(used):
    x = variable(np.arange(6).reshape(2, 3))
    with autograd.record():
        parts = nd.split(x, num_outputs=3, axis=1)
        y = parts[used] * 10
    y.backward()
    expected = np.zeros((2, 3))
    expected[:, used] = 10
    assert_same(x.grad, expected)


def test_outputs_of_split_used_unevenly():
    x = variable([[1, 2, 3, 4]])
    with autograd.record():
        parts = nd.split(x, num_outputs=4, axis=1)
        y = parts[3] * parts[1] + parts[3]
    y.backward()
    assert_same(x.grad, [[0, 4, 0, 3]])


def test_unused_results_do_not_count():
    x = variable([1.0, 2.0])
    with autograd.record():
        unused = nd.exp(x) * 100
        y = x * 3
        also_unused = y * 7
    y.backward()
    assert_same(x.grad, [3, 3])
    del unused, also_unused


def test_gradient_of_an_unused_variable_is_left_as_it_was():
    used, unused = variable([1.0, 2.0]), variable([1.0, 2.0])
    unused.grad[:] = 7
    with autograd.record():
        unused * 2
        y = used * 2
    y.backward()
    assert_same(used.grad, [2, 2])
    assert_same(unused.grad, [7, 7])


def test_variable_is_itself_a_head():
    x = variable([1.0, 2.0])
    x.backward()
    assert_same(x.grad, [1, 1])
    with autograd.record():
        y = x * 2
    autograd.backward([x, y], [nd.array([5, 5]), None])
    assert_same(x.grad, [7, 7])


@pytest.mark.differs("MXNet counts a head that is listed twice once")
def test_same_head_twice_counts_twice():
    x = variable([1.0, 2.0])
    with autograd.record():
        y = x * x
    autograd.backward([y, y])
    assert_same(x.grad, [4, 8])


def test_heads_that_depend_on_each_other():
    x = variable([2.0])
    with autograd.record():
        y = x * x
        z = y * 3
    autograd.backward([y, z], [nd.array([10.0]), nd.array([1.0])])
    assert_same(x.grad, [4 * 10 + 12])


def test_constants_get_no_gradient():
    x, constant = variable([1.0, 2.0]), nd.array([3.0, 4.0])
    with autograd.record():
        y = x * constant
    y.backward()
    assert constant.grad is None
    assert_same(x.grad, [3, 4])


def test_broadcast_gradient_is_summed_back():
    x, w = variable(np.ones((2, 1, 3))), variable(np.ones((4, 1)))
    with autograd.record():
        y = nd.broadcast_mul(x, w)
    assert y.shape == (2, 4, 3)
    y.backward()
    assert_same(x.grad, np.full((2, 1, 3), 4))
    assert_same(w.grad, np.full((4, 1), 6))


def test_operation_that_is_flat_gives_zeros():
    for flat in [lambda x: x > 1, nd.sign, nd.floor, lambda x: nd.argmax(x, axis=0)]:
        x = variable([1.0, 2.0])
        x.grad[:] = 9
        with autograd.record():
            y = flat(x)
        y.backward()
        assert_same(x.grad, [0, 0])


def test_graph_survives_its_python_names():
    x = variable([1.0, 2.0])
    with autograd.record():
        y = nd.exp(x * 2).sum() * nd.square(x).sum()
    expected_first = 2 * np.exp(2 * np.array([1.0, 2.0])) * 5
    expected_second = 2 * np.array([1.0, 2.0]) * np.exp([2.0, 4.0]).sum()
    y.backward()
    assert_same(x.grad, expected_first + expected_second)


def test_variable_may_be_dropped_before_backward():
    kept = variable([3.0])
    dropped = variable([4.0])
    with autograd.record():
        y = kept * dropped
    del dropped
    y.backward()
    assert_same(kept.grad, [4])


# Views


def test_slice_of_a_variable_under_record():
    x = variable([1, 2, 3, 4])
    with autograd.record():
        y = x[1:3]
        z = y * y
    z.backward()
    assert_same(x.grad, [0, 4, 6, 0])


def test_overlapping_slices_of_a_recorded_array():
    x = variable([1, 2, 3, 4])
    with autograd.record():
        a = x * 2
        y = a[0:3] * a[1:4]
    y.backward()
    assert_same(x.grad, [8, 4 * (1 + 3), 4 * (2 + 4), 12])


def test_reshape_of_a_recorded_array():
    x = variable([1, 2, 3, 4])
    with autograd.record():
        a = (x * 3).reshape((2, 2))
        y = nd.dot(a, nd.array([[1, 0], [10, 100]]))
    y.backward()
    assert_same(x.grad, 3 * np.array([1, 110, 1, 110]))


def test_integer_index_drops_the_axis():
    x = variable([[1, 2], [3, 4]])
    with autograd.record():
        y = x[1] * x[0]
    assert y.shape == (2,)
    y.backward()
    assert_same(x.grad, [[3, 4], [1, 2]])


def test_view_taken_outside_of_record_is_a_constant():
    x = variable([1, 2, 3, 4])
    head, folded = x[1:3], x.reshape((2, 2))
    with autograd.record():
        y = head * head
        z = folded * folded
    for result in (y, z):
        with pytest.raises(MXNetError):
            result.backward()
    assert_same(x.grad, [0, 0, 0, 0])


@pytest.mark.parametrize(
    ("key", "weight"),
    [
        ((slice(None), 1), 1),
        ((slice(None), slice(None, None, 2)), 1),
        ([0, 0, 1], 1),
        (([0, 1], [1, 1]), 1),
        ((Ellipsis, -1), 1),
        (1, 1),
        ((1, 2), 1),
        ((None, slice(None)), 1),
    ],
)
def test_gradient_of_indexing_scatters(key, weight):
    values = np.arange(6, dtype="float32").reshape(2, 3)
    x = variable(values)
    with autograd.record():
        y = x[key] * weight
    y.backward()
    expected = np.zeros((2, 3))
    np.add.at(expected, key if not (isinstance(key, tuple) and None in key) else Ellipsis, weight)
    assert_same(x.grad, expected)


def test_iteration_and_transpose_under_record():
    x = variable([[1, 2], [3, 4]])
    with autograd.record():
        y = sum(row * (index + 1) for index, row in enumerate(x.T))
    y.backward()
    assert_same(x.grad, [[1, 2], [1, 2]])


# Cutting the graph


@pytest.mark.parametrize(
    "cut", [lambda a: a.detach(), nd.BlockGrad, nd.stop_gradient], ids=["detach", "Block", "stop"]
)
def test_cut_branch_is_a_constant(cut):
    x = variable([2.0, 3.0])
    with autograd.record():
        y = x * x
        z = cut(y) * x
    z.backward()
    assert_same(x.grad, [4, 9])


def test_detach_shares_memory_and_has_no_graph():
    x = variable([1.0, 2.0])
    with autograd.record():
        y = x * 2
        detached = y.detach()
    assert detached.grad is None
    detached[:] = 5
    assert_same(y, [5, 5])
    with pytest.raises(MXNetError):
        detached.backward()


def test_attach_grad_on_an_intermediate_cuts_there():
    x = variable([1.0, 2.0])
    with autograd.record():
        y = x * 2
        y.attach_grad()
        z = y * y
    z.backward()
    assert_same(y.grad, [4, 8])
    assert_same(x.grad, [0, 0])


def test_attach_grad_again_forgets_the_gradient_but_not_who_held_it():
    x = variable([1.0])
    with autograd.record():
        y = x * 2
    y.backward()
    old = x.grad
    x.attach_grad()
    assert_same(old, [2])
    assert_same(x.grad, [0])


def test_graph_recorded_before_attach_grad_does_not_fill_the_new_buffer():
    x = variable([2.0])
    with autograd.record():
        y = x * x
    x.attach_grad()
    y.backward()
    assert_same(x.grad, [0])


# Gradient requests


def test_write_replaces():
    x = variable([1.0, 2.0], grad_req="write")
    for factor in (3, 5):
        with autograd.record():
            y = x * factor + x
        y.backward()
        assert_same(x.grad, [factor + 1] * 2)


def test_add_accumulates_once_a_run():
    x = variable([1.0, 2.0], grad_req="add")
    for run in range(1, 4):
        with autograd.record():
            y = x * 2 + x
        y.backward()
        assert_same(x.grad, [3 * run] * 2)
    x.grad[:] = 0
    with autograd.record():
        y = x * 2
    y.backward()
    assert_same(x.grad, [2, 2])


def test_null_is_no_variable():
    x, w = variable([1.0, 2.0], grad_req="null"), variable([3.0, 4.0])
    with autograd.record():
        y = x * w
    y.backward()
    assert_same(w.grad, [1, 2])
    with autograd.record():
        z = x * 2
    with pytest.raises(MXNetError):
        z.backward()


def test_null_buffer_is_not_written():
    x, gradient = nd.array([1.0, 2.0]), nd.array([5.0, 6.0])
    autograd.mark_variables([x], [gradient], "null")
    w = variable([3.0, 4.0])
    with autograd.record():
        y = x * w
    y.backward()
    assert_same(gradient, [5, 6])


def test_requests_differ_within_one_graph():
    written, added = variable([1.0]), variable([2.0], grad_req="add")
    for _ in range(2):
        with autograd.record():
            y = written * added
        y.backward()
    assert_same(written.grad, [2])
    assert_same(added.grad, [2])


def test_backward_writes_into_the_same_buffer():
    x = variable([1.0, 2.0])
    held = x.grad
    for factor in (2, 3):
        with autograd.record():
            y = x * factor
        y.backward()
        assert_same(held, [factor] * 2)


# Head gradients


def test_head_gradient_scales():
    x = variable([1.0, 2.0])
    with autograd.record():
        y = x * x
    y.backward(nd.array([10.0, 0.5]))
    assert_same(x.grad, [20, 2])


def test_none_entries_are_ones():
    x = variable([1.0, 2.0])
    with autograd.record():
        y, z = x * 2, x * 3
    autograd.backward([y, z], [None, nd.array([10.0, 100.0])])
    assert_same(x.grad, [32, 302])


def test_bare_array_is_a_list_of_one():
    x = variable([1.0, 2.0])
    for heads, head_grads in [
        (lambda y: y, lambda h: h),
        (lambda y: [y], lambda h: h),
        (lambda y: y, lambda h: [h]),
        (lambda y: (y,), lambda h: (h,)),
    ]:
        with autograd.record():
            y = x * 2
        autograd.backward(heads(y), head_grads(nd.array([3.0, 4.0])))
        assert_same(x.grad, [6, 8])


def test_head_gradient_is_not_changed_nor_aliased():
    x = variable([1.0, 2.0])
    head = nd.array([3.0, 4.0])
    with autograd.record():
        y = x + 0
    y.backward(head)
    assert_same(x.grad, [3, 4])
    x.grad[:] = 100
    assert_same(head, [3, 4])
    head[:] = 50
    assert_same(x.grad, [100, 100])


def test_gradients_of_two_variables_never_share_memory():
    a, b = variable([1.0, 2.0]), variable([1.0, 2.0])
    with autograd.record():
        y = a + b
    y.backward()
    a.grad[:] = 9
    assert_same(b.grad, [1, 1])


# Retaining


def test_retained_graph_runs_again():
    x = variable([1.0, 2.0], grad_req="add")
    with autograd.record():
        y = nd.exp(x) * x
    expected = np.exp([1.0, 2.0]) * np.array([2.0, 3.0])
    for run in range(1, 4):
        y.backward(retain_graph=True)
        assert_same(x.grad, run * expected)
    y.backward()
    assert_same(x.grad, 4 * expected)


def test_backward_twice_is_an_error_that_says_what_to_do():
    x = variable([1.0, 2.0])
    with autograd.record():
        y = x * x
    y.backward()
    x.grad[:] = 77
    with pytest.raises(MXNetError, match="retain_graph"):
        y.backward()
    assert_same(x.grad, [77, 77])


def test_second_head_over_a_freed_part_is_an_error():
    x = variable([1.0, 2.0])
    with autograd.record():
        y = x * x
        z = y * 3
    y.backward()
    with pytest.raises(MXNetError):
        z.backward()


def test_separate_graphs_over_one_variable_are_independent():
    x, w = variable([2.0, 3.0]), variable([5.0, 7.0])
    with autograd.record():
        y, z = x * x, x * w
    y.backward()
    assert_same(x.grad, [4, 6])
    z.backward()
    assert_same(x.grad, [5, 7])
    assert_same(w.grad, [2, 3])


def test_train_mode_of_backward_does_not_leak():
    x = variable([1.0, 2.0])
    for train_mode in (True, False):
        with autograd.record():
            y = x * x
        y.backward(train_mode=train_mode)
        assert not autograd.is_training()
        assert not autograd.is_recording()
        assert_same(x.grad, [2, 4])


def test_backward_inside_record_does_not_record_itself():
    x = variable([1.0, 2.0])
    with autograd.record():
        y = x * x
        y.backward()
        assert autograd.is_recording()
    with pytest.raises(MXNetError):
        x.grad.backward()
    assert_same(x.grad, [2, 4])


def test_dropout_gradient_is_its_own_mask():
    mx.random.seed(11)
    x = variable(np.ones(500))
    with autograd.record():
        y = nd.Dropout(x, p=0.5)
    y.backward()
    assert set(y.asnumpy().tolist()) == {0.0, 2.0}
    assert_same(x.grad, y.asnumpy())
