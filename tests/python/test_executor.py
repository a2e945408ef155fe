"""bind, simple_bind and the executors that they make. What is expected was asked of MXNet 1.9.1."""

import gc
import threading

import numpy as np
import pytest

import mxtape as mx
from gradient_matrix import all_rows, as_arrays, draw, operator_inputs
from mxtape import nd, sym
from mxtape.executor import Executor
from mxtape.symbol import register as composing


def product(**grads):
    """An executor of a * b, with its four arrays."""
    x, y = nd.array([1, 2, 3]), nd.array([4, 5, 6])
    gx, gy = nd.zeros(3), nd.zeros(3)
    symbol = sym.Variable("a") * sym.Variable("b")
    executor = symbol.bind(mx.cpu(), {"a": x, "b": y}, {"a": gx, "b": gy}, **grads)
    return executor, x, y, gx, gy


def values(arrays):
    return [None if a is None else a.asnumpy().tolist() for a in arrays]


def softmax_layer():
    data, label = sym.Variable("data"), sym.Variable("label")
    fc = sym.FullyConnected(data, num_hidden=3, name="fc")
    return fc, sym.SoftmaxOutput(fc, label, name="sm")


class TestForward:
    def test_outputs_are_the_same_arrays_each_time(self):
        executor, x, _, _, _ = product()
        assert executor.outputs[0].shape == (3,)
        before = executor.outputs[0]
        first = executor.forward()
        assert first is executor.outputs
        assert first[0] is before
        assert before.asnumpy().tolist() == [4, 10, 18]
        x[:] = 10
        executor.forward(is_train=True)
        assert before.asnumpy().tolist() == [40, 50, 60]
        assert executor.output_dict[executor._symbol.list_outputs()[0]] is before

    def test_keyword_arguments_are_copied_into_the_bound_arrays(self):
        executor, x, _, _, _ = product()
        assert values(executor.forward(a=nd.array([7, 8, 9]))) == [[28, 40, 54]]
        assert x.asnumpy().tolist() == [7, 8, 9]
        assert values(executor.forward(a=np.array([1, 1, 2.0]))) == [[4, 5, 12]]
        assert values(executor.forward(a=nd.array([1, 2, 3], dtype="float64"))) == [[4, 10, 18]]

    @pytest.mark.parametrize(
        ("error", "match", "given"),
        [
            (ValueError, "shape", {"a": nd.zeros(4)}),
            (TypeError, "zz", {"zz": nd.zeros(3)}),
            (ValueError, "NDArray", {"a": 3}),
        ],
    )
    def test_a_wrong_value_changes_nothing(self, error, match, given):
        executor, x, y, _, _ = product()
        with pytest.raises(error, match=match):
            executor.forward(b=nd.ones(3), **given)
        assert values([x, y]) == [[1, 2, 3], [4, 5, 6]]

    def test_an_output_that_is_an_argument_is_that_array(self):
        a, b = sym.Variable("a"), sym.Variable("b")
        x = nd.ones(2)
        executor = sym.Group([a, a + b, a + b]).bind(mx.cpu(), {"a": x, "b": x})
        outputs = executor.forward()
        x[:] = 5
        assert values(outputs) == [[5, 5], [2, 2], [2, 2]]

    def test_it_takes_no_part_in_autograd(self):
        executor, x, _, _, _ = product()
        x.attach_grad()
        with mx.autograd.record():
            y = executor.forward(is_train=True)[0]
            with pytest.raises(mx.MXNetError, match="not in a computational graph"):
                y.backward()

    def test_training_and_predicting(self):
        executor = sym.Dropout(sym.Variable("a"), p=0.5).bind(
            mx.cpu(), [nd.ones(1000)], [nd.zeros(1000)]
        )
        with mx.autograd.record():
            assert executor.forward()[0].asnumpy().tolist() == [1] * 1000
        kept = executor.forward(is_train=True)[0].asnumpy()
        assert set(kept) == {0, 2}
        for _ in range(2):
            executor.backward(nd.ones(1000))
            np.testing.assert_array_equal(executor.grad_arrays[0].asnumpy(), kept)
        executor.forward()
        executor.backward(nd.ones(1000))
        assert set(executor.grad_arrays[0].asnumpy()) == {1}

    def test_running_statistics(self):
        layer = sym.BatchNorm(sym.Variable("data"), name="bn", fix_gamma=False)
        executor = layer.simple_bind(mx.cpu(), data=(4, 2))
        executor.aux_dict["bn_moving_var"][:] = 1
        executor.arg_dict["bn_gamma"][:] = 1
        data = np.arange(8, dtype="float32").reshape(4, 2)
        executor.forward(is_train=False, data=data)
        assert values(executor.aux_arrays) == [[0, 0], [1, 1]]
        executor.forward(is_train=True)
        executor.backward(nd.ones((4, 2)))
        expected = [nd.zeros(2), nd.ones(2)]
        with mx.autograd.record():
            eager = nd.BatchNorm(
                nd.array(data), nd.ones(2), nd.zeros(2), *expected, fix_gamma=False
            )
        assert values(executor.aux_arrays) == values(expected)
        np.testing.assert_array_equal(executor.outputs[0].asnumpy(), eager.asnumpy())


class TestBackward:
    def test_without_forward_and_again(self):
        executor, _, _, gx, gy = product()
        executor.backward(nd.ones(3))
        assert values([gx, gy]) == [[4, 5, 6], [1, 2, 3]]
        executor.forward(is_train=True)
        executor.backward([nd.ones(3) * 2])
        assert values([gx, gy]) == [[8, 10, 12], [2, 4, 6]]
        executor.backward({executor._symbol.list_outputs()[0]: nd.ones(3)})
        assert values([gx, gy]) == [[4, 5, 6], [1, 2, 3]]
        executor.forward(is_train=False, a=nd.ones(3))
        executor.backward(nd.ones(3))
        assert values([gx, gy]) == [[4, 5, 6], [1, 1, 1]]

    def test_adds(self):
        executor, _, _, gx, gy = product(grad_req={"a": "add", "b": "write"})
        for _ in range(2):
            executor.forward(is_train=True)
            executor.backward(nd.ones(3))
        assert values([gx, gy]) == [[8, 10, 12], [1, 2, 3]]

    @pytest.mark.parametrize(
        ("grad_req", "expected"),
        [
            ("null", [[0] * 3, [0] * 3]),
            (["null", "write"], [[0] * 3, [1, 2, 3]]),
            ({"a": "write"}, [[4, 5, 6], [0] * 3]),
            (["add", "add"], [[4, 5, 6], [1, 2, 3]]),
        ],
    )
    def test_requests(self, grad_req, expected):
        executor, _, _, gx, gy = product(grad_req=grad_req)
        executor.forward(is_train=True)
        executor.backward(nd.ones(3))
        assert values([gx, gy]) == expected

    def test_arguments_that_no_output_needs(self):
        a, b = sym.Variable("a"), sym.Variable("b")
        for req, expected in (("write", [[2, 2], [0, 0]]), ("add", [[9, 9], [7, 7]])):
            executor = sym.Group([a * 2, sym.BlockGrad(b)]).bind(
                mx.cpu(), [nd.ones(2), nd.ones(2)], [nd.ones(2) * 7, nd.ones(2) * 7], req
            )
            executor.forward(is_train=True)
            executor.backward([nd.ones(2)])
            assert values(executor.grad_arrays) == expected

    def test_one_gradient_array_for_two_arguments(self):
        a, b = sym.Variable("a"), sym.Variable("b")
        x, g = nd.array([5, 5]), nd.zeros(2)
        for req, expected in (("add", [10, 10]), ("write", [5, 5])):
            executor = (a * b).bind(mx.cpu(), [x, x], [g, g], req)
            executor.forward(is_train=True)
            executor.backward(nd.ones(2))
            assert g.asnumpy().tolist() == expected

    def test_losses_need_no_head_gradient(self):
        fc, softmax = softmax_layer()
        executor = softmax.simple_bind(mx.cpu(), data=(2, 4), label=(2,))
        executor.arg_dict["fc_weight"][:] = np.arange(12).reshape(3, 4) / 10
        executor.arg_dict["data"][:] = 1
        expected = [-1.9343952, 0.32494286, 1.6094524]
        executor.forward(is_train=True)
        for heads in (None, nd.ones((2, 3)) * 5):
            executor.backward(heads)
            np.testing.assert_allclose(executor.grad_dict["fc_bias"].asnumpy(), expected, rtol=1e-6)
        group = sym.Group([softmax, sym.BlockGrad(fc), fc * 2])
        executor = group.simple_bind(mx.cpu(), data=(2, 4), label=(2,))
        executor.forward(is_train=True)
        with pytest.raises(mx.MXNetError, match=r"output 2 .*head gradient must be given"):
            executor.backward()
        executor.backward([None, None, nd.ones((2, 3))])
        np.testing.assert_allclose(
            executor.grad_dict["fc_bias"].asnumpy(), [2.6666667, 4.6666665, 4.6666665], rtol=1e-6
        )

    @pytest.mark.parametrize(
        "loss",
        [
            lambda x: sym.make_loss(x),
            lambda x: sym.MakeLoss(x, grad_scale=3),
            lambda x: sym.LinearRegressionOutput(x, sym.Variable("label")),
            lambda x: sym.LogisticRegressionOutput(x, sym.Variable("label")),
            lambda x: sym.MAERegressionOutput(x, sym.Variable("label")),
            lambda x: sym.SVMOutput(x, sym.Variable("label")),
            lambda x: sym.BlockGrad(x),
            lambda x: sym.zeros_like(x),
            lambda x: sym.argmax(x, axis=1),
            lambda x: sym.ceil(x),
        ],
    )
    def test_what_counts_as_a_loss(self, loss):
        symbol = loss(sym.Variable("x") * 1)
        rows = "SVM" in symbol.tojson()
        shapes = {"label": (2,) if rows else (2, 3)} if "label" in symbol.list_arguments() else {}
        executor = symbol.simple_bind(mx.cpu(), x=(2, 3), **shapes)
        executor.arg_dict["x"][:] = 0.25
        executor.forward(is_train=True)
        executor.backward()
        first = executor.grad_dict["x"].asnumpy()
        executor.backward(nd.ones(executor.outputs[0].shape) * 7)
        np.testing.assert_array_equal(executor.grad_dict["x"].asnumpy(), first)

    def test_what_does_not(self):
        x = sym.Variable("x")
        for symbol in (
            x,
            x + 1,
            sym.sum(x),
            sym.SoftmaxOutput(x, sym.Variable("label"), out_grad=True),
        ):
            executor = symbol.simple_bind(mx.cpu(), x=(2, 3))
            executor.forward(is_train=True)
            with pytest.raises(mx.MXNetError, match="head gradient"):
                executor.backward()

    @pytest.mark.parametrize(
        ("error", "heads"),
        [
            (mx.MXNetError, [nd.ones(4)]),
            (mx.MXNetError, [nd.ones(3), nd.ones(3)]),
            (TypeError, 3),
            (TypeError, np.ones(3)),
            (ValueError, {"no": nd.ones(3)}),
        ],
    )
    def test_wrong_head_gradients(self, error, heads):
        executor, _, _, gx, _ = product()
        executor.forward(is_train=True)
        with pytest.raises(error):
            executor.backward(heads)
        assert gx.asnumpy().tolist() == [0, 0, 0]


class TestBind:
    def test_keeps_the_arrays(self):
        executor, x, y, gx, gy = product()
        assert executor.arg_dict["a"] is x
        assert executor.arg_arrays[1] is y
        assert executor.grad_dict["b"] is gy
        assert executor.grad_arrays[0] is gx
        assert executor.aux_dict == {}
        assert executor.aux_arrays == []
        assert executor._symbol.list_arguments() == ["a", "b"]
        assert executor._ctx == mx.cpu()
        assert executor._grad_req == "write"

    def test_what_is_given(self):
        symbol = sym.Variable("a") * sym.Variable("b")
        x, y, g = nd.ones(3), nd.ones(3), nd.zeros(3)
        cpu = mx.cpu()
        assert symbol.bind(cpu, {"a": x, "b": y, "more": y}).forward()[0].shape == (3,)
        assert symbol.bind(cpu, [x, y], {"a": g}).grad_dict["b"] is None
        assert symbol.bind(cpu, [x, y], [None, g]).grad_dict["a"] is None
        for error, args in (
            (ValueError, ({"a": x},)),
            (ValueError, ([x],)),
            (TypeError, ({"a": x, "b": np.ones(3)},)),
            (TypeError, ([x, None],)),
            (mx.MXNetError, ([x, nd.ones(4)],)),
            (mx.MXNetError, ([x, y], [nd.zeros(4), g])),
            (mx.MXNetError, ([x, y], [nd.zeros(3, dtype="float64"), g])),
            (ValueError, ([x, y], [g, g], "foo")),
            (ValueError, ([x, y], [g, g], ["write"])),
            (TypeError, ([x, y], [g, g], 3)),
        ):
            with pytest.raises(error):
                symbol.bind(cpu, *args)
        with pytest.raises(TypeError, match="ctx"):
            symbol.bind("cpu", [x, y])

    def test_states_are_needed(self):
        layer = sym.BatchNorm(sym.Variable("data"), name="bn")
        args = [nd.ones((2, 3)), nd.ones(3), nd.ones(3)]
        mean, var = nd.zeros(3), nd.ones(3)
        for states in (None, {}, [mean], [mean, None]):
            with pytest.raises((ValueError, TypeError)):
                layer.bind(mx.cpu(), args, aux_states=states)
        executor = layer.bind(
            mx.cpu(), args, aux_states={"bn_moving_var": var, "bn_moving_mean": mean}
        )
        assert executor.aux_arrays[0] is mean

    def test_the_error_names_the_node(self):
        with pytest.raises(mx.MXNetError, match=r"elemwise_mul.*\(3,\).*\(4,\).*node prod"):
            sym.elemwise_mul(sym.Variable("a"), sym.Variable("b"), name="prod").bind(
                mx.cpu(), [nd.ones(3), nd.ones(4)]
            )

    def test_eval(self):
        a, b = sym.Variable("a"), sym.Variable("b")
        assert values((a + b).eval(a=nd.ones(2), b=nd.ones(2), ctx=mx.cpu())) == [[2, 2]]
        assert values(sym.Group([a, a + b]).eval(a=nd.ones(2), b=nd.ones(2), c=nd.ones(2))) == [
            [1, 1],
            [2, 2],
        ]
        with pytest.raises(ValueError, match="'b'"):
            (a + b).eval(a=nd.ones(2))
        with pytest.raises(mx.MXNetError, match="gradient"):
            (a + b).gradient(["a"])

    def test_two_arguments_of_one_name(self):
        symbol = sym.Variable("a") * sym.Variable("a")
        executor = symbol.bind(mx.cpu(), [nd.ones(2), nd.ones(2) * 3])
        assert values(executor.forward()) == [[3, 3]]
        with pytest.raises(ValueError, match="duplicate"):
            executor.arg_dict  # noqa: B018


class TestSimpleBind:
    def test_shapes_follow(self):
        _, softmax = softmax_layer()
        executor = softmax.simple_bind(mx.cpu(), data=(2, 4))
        assert {k: v.shape for k, v in executor.arg_dict.items()} == {
            "data": (2, 4),
            "fc_weight": (3, 4),
            "fc_bias": (3,),
            "label": (2,),
        }
        assert set(values(executor.arg_arrays)[2]) == {0}
        assert all(g is not None for g in executor.grad_arrays)

    def test_dtypes_and_requests(self):
        symbol = sym.Variable("a") * sym.Variable("b")
        executor = symbol.simple_bind(mx.cpu(), a=(3,), type_dict={"a": "float64"}, unknown=(4,))
        assert executor.arg_dict["b"].dtype == np.float64
        assert executor.grad_dict["b"].dtype == np.float64
        for req in (["null", "add"], {"b": "add"}):
            grads = symbol.simple_bind(mx.cpu(), a=(3,), grad_req=req).grad_dict
            assert grads["a"] is None
            assert grads["b"].shape == (3,)
        assert symbol.simple_bind(mx.cpu(), a=(3,), grad_req="null").grad_arrays == [None, None]

    def test_errors_say_what_was_given(self):
        symbol = sym.Variable("a") * sym.Variable("b")
        with pytest.raises(RuntimeError, match="a, b"):
            symbol.simple_bind(mx.cpu())
        with pytest.raises(RuntimeError, match=r"b: \(4,\)"):
            symbol.simple_bind(mx.cpu(), a=(3,), b=(4,))
        with pytest.raises(ValueError, match="foo"):
            symbol.simple_bind(mx.cpu(), a=(3,), grad_req="foo")

    def test_shared_arrays(self):
        _, softmax = softmax_layer()
        memory = {}
        first = softmax.simple_bind(mx.cpu(), data=(8, 4), label=(8,), shared_buffer=memory)
        assert memory["data"] is first.arg_dict["data"]
        second = softmax.simple_bind(
            mx.cpu(),
            data=(2, 4),
            label=(2,),
            shared_exec=first,
            shared_arg_names=["fc_weight", "fc_bias"],
            shared_buffer=memory,
        )
        assert second.arg_dict["fc_weight"] is first.arg_dict["fc_weight"]
        assert second.grad_dict["fc_bias"] is first.grad_dict["fc_bias"]
        second.arg_dict["data"][:] = 3
        assert first.arg_dict["data"][1].asnumpy().tolist() == [3] * 4
        assert first.arg_dict["data"][2].asnumpy().tolist() == [0] * 4

    def test_open_shapes_of_operators_without_inputs(self):
        state = sym.zeros(shape=(0, 4))
        executor = (sym.Variable("x") + state).simple_bind(mx.cpu(), x=(2, 4))
        executor.arg_dict["x"][:] = 2
        assert values(executor.forward()) == [[[2] * 4] * 2]


class TestReshape:
    def executor(self):
        _, softmax = softmax_layer()
        return softmax.simple_bind(mx.cpu(), data=(4, 5), label=(4,))

    def test_shares_memory(self):
        large = self.executor()
        small = large.reshape(data=(2, 5), label=(2,))
        small.arg_dict["fc_weight"][:] = 7
        small.arg_dict["data"][:] = 3
        assert set(large.arg_dict["fc_weight"].asnumpy().ravel()) == {7}
        assert values(large.arg_dict["data"][1:3]) == [[3] * 5, [0] * 5]
        assert small.grad_dict["data"].shape == (2, 5)
        assert small.forward()[0].shape == (2, 3)
        assert large.forward()[0].shape == (4, 3)

    def test_what_may_change(self):
        large = self.executor()
        for given in (
            {"data": (8, 5), "label": (8,)},
            {"data": (2, 5)},
            {"data": (4, 6)},
            {"unknown": (4, 5)},
        ):
            with pytest.raises(mx.MXNetError, match="reshape"):
                large.reshape(**given)
        more = large.reshape(allow_up_sizing=True, data=(8, 5), label=(8,))
        assert more.arg_dict["data"].shape == (8, 5)
        assert large.reshape(partial_shaping=True, data=(2, 5)).arg_dict["label"].shape == (2,)
        other = large.reshape(partial_shaping=True, allow_up_sizing=True, data=(4, 8))
        assert other.arg_dict["fc_weight"].shape == (3, 8)


class TestCopyParams:
    def test_copies(self):
        layer = sym.BatchNorm(sym.Variable("data"), name="bn")
        executor = layer.simple_bind(mx.cpu(), data=(2, 2))
        executor.copy_params_from(
            {"bn_gamma": nd.ones(2, dtype="float64") * 3}, {"bn_moving_var": nd.ones(2) * 9}
        )
        assert executor.arg_dict["bn_gamma"].asnumpy().tolist() == [3, 3]
        assert executor.aux_dict["bn_moving_var"].asnumpy().tolist() == [9, 9]
        executor.copy_params_from({"no": nd.ones(1)}, {"no": nd.ones(1)}, allow_extra_params=True)
        for error, args in (
            (ValueError, ({"bn_gamma": nd.zeros(2), "no": nd.ones(1)},)),
            (ValueError, ({"bn_gamma": nd.zeros(2)}, {"no": nd.ones(1)})),
            (mx.MXNetError, ({"bn_gamma": nd.zeros(3)},)),
        ):
            with pytest.raises(error):
                executor.copy_params_from(*args)
        assert executor.arg_dict["bn_gamma"].asnumpy().tolist() == [3, 3]


class TestMonitor:
    def test_names_and_values(self):
        _, softmax = softmax_layer()
        executor = softmax.simple_bind(mx.cpu(), data=(2, 4))
        seen = []
        executor.set_monitor_callback(lambda name, value: seen.append((name, value.shape)))
        executor.forward(is_train=True)
        executor.backward()
        assert seen == [
            ("fc_output", (2, 3)),
            ("sm_output", (2, 3)),
            ("sm_backward_output0", (2, 3)),
            ("fc_backward_output0", (2, 4)),
            ("fc_backward_output1", (3, 4)),
            ("fc_backward_output2", (3,)),
        ]
        seen.clear()
        executor.set_monitor_callback(lambda name, value: seen.append(name), monitor_all=True)
        executor.forward()
        assert " ".join(seen) == (
            "data fc_data fc_weight fc_weight fc_bias fc_bias fc_output sm_data label sm_label "
            "sm_output"
        )

        def refuse(name, value):
            raise KeyError(name)

        executor.set_monitor_callback(refuse)
        with pytest.raises(KeyError, match="fc_output"):
            executor.forward()
        executor.set_monitor_callback(None)
        executor.forward()
        with pytest.raises(TypeError):
            executor.set_monitor_callback(3)

    def test_debug_str(self):
        executor, *_ = product()
        assert "Op:elemwise_mul" in executor.debug_str()
        assert "MB allocated" in executor.debug_str()
        assert isinstance(executor, Executor)


def test_which_operators_need_a_head_gradient():
    """Those whose gradient is the same for every head gradient need none, and no others.

    Where it is 0 for these values, it may not be for others.
    """
    wrong = []
    for op, row in {row.op: row for row in all_rows()}.items():
        values, floating = draw(row)
        inputs = operator_inputs(row, as_arrays(values))
        names = [f"x{i}" for i in range(len(inputs))]
        symbol = composing.get(op)(*[sym.Variable(name) for name in names], **row.params)
        bound = dict(zip(names, inputs))
        states = {name: bound[name] for name in symbol.list_auxiliary_states()}
        wanted = floating if row.prepare is None else [True] * len(names)
        grads = {
            name: nd.zeros_like(array)
            for (name, array), is_wanted in zip(bound.items(), wanted)
            if is_wanted and name not in states and np.dtype(array.dtype).kind == "f"
        }
        executor = symbol.bind(mx.cpu(), bound, grads, aux_states=states)
        mx.random.seed(1)
        outputs = executor.forward(is_train=True)
        found = []
        for factor in (1, 3):
            executor.backward([nd.full(o.shape, factor, dtype=o.dtype) for o in outputs])
            found.append([g.asnumpy() for g in grads.values()])
        ignores = all(np.array_equal(a, b, equal_nan=True) for a, b in zip(*found))
        needs = False
        try:
            executor.backward()
        except mx.MXNetError as error:
            needs = "head gradient must be given" in str(error)
        zero = not any(g.any() for g in found[0])
        if needs == ignores and not (needs and zero):
            wrong.append(op)
    assert not wrong, wrong


def network():
    x = sym.Convolution(sym.Variable("data"), kernel=(3, 3), num_filter=8, name="conv")
    x = sym.Activation(sym.BatchNorm(x, name="bn"), act_type="relu")
    x = sym.FullyConnected(x, num_hidden=5, name="fc")
    return sym.SoftmaxOutput(x, sym.Variable("label"), name="sm")


def trained(symbol, values, steps):
    """The outputs, gradients and states after some passes of an executor of its own."""
    executor = symbol.simple_bind(mx.cpu(), data=(4, 2, 8, 8), label=(4,), grad_req="add")
    executor.copy_params_from(values)
    for _ in range(steps):
        executor.forward(is_train=True)
        executor.backward()
    arrays = executor.outputs + executor.grad_arrays + executor.aux_arrays
    return [array.asnumpy() for array in arrays]


def test_many_executors_in_many_threads():
    symbol = network()
    random = np.random.RandomState(3)
    shapes, _, _ = symbol.infer_shape(data=(4, 2, 8, 8))
    values = {
        name: nd.array(random.uniform(0, 1, shape))
        for name, shape in zip(symbol.list_arguments(), shapes)
    }
    expected = trained(symbol, values, 5)
    results = []
    threads = [
        threading.Thread(target=lambda: results.append(trained(symbol, values, 5)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    for result in results:
        for a, b in zip(result, expected):
            np.testing.assert_array_equal(a, b)


def test_nothing_leaks():
    symbol = network()
    executor = symbol.simple_bind(mx.cpu(), data=(4, 2, 8, 8), label=(4,))

    def in_use():
        gc.collect()
        return mx.runtime.memory_stats()["bytes_in_use"]

    def once():
        executor.forward(is_train=True)
        executor.backward()
        executor.reshape(data=(2, 2, 8, 8), label=(2,)).forward()
        executor.forward()

    once()
    before = in_use()
    for _ in range(5):
        once()
    assert in_use() <= before
    # What a forward has kept for a gradient goes with the next one.
    executor.forward(is_train=True)
    kept = in_use()
    executor.forward()
    assert in_use() < kept


def test_a_call_that_changes_what_another_reads():
    """An optimizer's update inside a graph: the calls are recorded as they run."""
    weight, grad = sym.Variable("w"), sym.Variable("g")
    symbol = sym.signsgd_update(weight * 2, grad, lr=0.5) * sym.Variable("x")
    x = nd.array([3, 4])
    executor = symbol.bind(mx.cpu(), {"w": nd.ones(2), "g": nd.ones(2), "x": x}, {"x": nd.zeros(2)})
    assert values(executor.forward(is_train=True)) == [[4.5, 6]]
    executor.backward(nd.ones(2))
    assert executor.grad_dict["x"].asnumpy().tolist() == [1.5, 1.5]
    state = sym.Variable("m")
    update = sym.sgd_mom_update(weight, grad, state, lr=0.5, momentum=0.5)
    executor = (update * state * sym.Variable("x")).bind(
        mx.cpu(),
        {"w": nd.ones(2), "g": nd.ones(2), "x": x},
        {"x": nd.zeros(2)},
        aux_states={"m": nd.ones(2)},
    )
    (result,) = executor.forward(is_train=True)
    executor.backward(nd.ones(2))
    np.testing.assert_allclose(
        result.asnumpy(), executor.grad_dict["x"].asnumpy() * x.asnumpy(), rtol=1e-6
    )
