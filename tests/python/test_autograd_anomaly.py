"""detect_anomaly, the line in errors of backward, and what they say of heads off the tape."""

import os
import re
import threading

import numpy as np
import pytest

import mxtape as mx
from mxtape import autograd, gluon, nd
from mxtape.base import MXNetError

HERE = os.path.basename(__file__)


def variable(*values, dtype="float32"):
    x = nd.array(values, dtype=dtype)
    x.attach_grad()
    return x


def line_of(mark):
    with open(__file__) as file:
        (line,) = [i for i, text in enumerate(file, 1) if text.rstrip().endswith(f"# {mark}")]
    return f"{HERE}:{line}"


def failure(function, kind=MXNetError):
    with pytest.raises(kind) as info:
        function()
    return str(info.value)


def test_the_first_gradient_that_is_not_finite():
    x = variable(0.0, 4.0)
    x.grad[:] = 7
    with autograd.record():
        h = nd.sqrt(x)  # infinite slope
        y = (h * 2).sum()
    with autograd.detect_anomaly():
        text = failure(y.backward)
    assert "gradient for input 0 of sqrt" in text
    assert line_of("infinite slope") in text
    assert "shape (2,), float32, 0 of 2 are NaN, 1 are infinite" in text
    assert "[0.5, 0.5]" in text
    assert "inputs (2,) float32" in text
    assert x.grad.asnumpy().tolist() == [7, 7]


def test_nothing_is_looked_at_outside_the_block_or_in_other_threads():
    x = variable(0.0)
    with autograd.detect_anomaly():
        pass

    def work():
        z = variable(0.0)
        with autograd.record():
            y = nd.sqrt(z)
        y.backward()
        found.append(z.grad.item())

    found = []
    with autograd.detect_anomaly():
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert found == [np.inf]
    with autograd.record():
        y = nd.sqrt(x)
    y.backward()
    assert x.grad.item() == np.inf


def test_finite_passes_are_as_ever():
    x = variable(1.0, 4.0)
    with autograd.detect_anomaly(forward=True):
        with autograd.record():
            y = nd.sqrt(x) + nd.argmax(x, axis=0)
        y.backward()
    assert x.grad.asnumpy().tolist() == [0.5, 0.25]


def test_a_head_gradient_that_is_not_finite():
    x = variable(1.0)
    with autograd.record():
        y = nd.exp(x)
    with autograd.detect_anomaly():
        text = failure(lambda: y.backward(nd.array([np.nan])))
    assert "arrives at output 0 of exp" in text
    assert "head gradient" in text
    assert "1 of 1 are NaN, 0 are infinite, none is finite" in text


def test_grad_and_higher_order():
    x = variable(0.0, dtype="float64")
    with autograd.record(), autograd.detect_anomaly():
        y = nd.sqrt(x)
        text = failure(lambda: autograd.grad(y, x, create_graph=True))
    assert "sqrt" in text
    assert "float64" in text


def test_forward_values():
    x = variable(-1.0, 1.0)
    with autograd.detect_anomaly(forward=True), autograd.record():
        text = failure(lambda: nd.log(x) * 2)
    assert "output 0 of log" in text
    assert f"{HERE}:" in text
    assert "1 of 2 are NaN" in text
    assert "[0, 0]" in text
    bad = nd.array([np.inf, 1.0])
    with autograd.detect_anomaly(forward=True), autograd.record():
        text = failure(lambda: x * bad)
    assert "Input 1 was not finite before" in text
    with autograd.detect_anomaly(), autograd.record():
        nd.log(x)  # not asked for


def test_nested_blocks():
    x = variable(-1.0)
    with autograd.detect_anomaly(forward=True):
        with autograd.detect_anomaly():
            with autograd.record():
                failure(lambda: nd.log(x))
        with autograd.record():
            failure(lambda: nd.log(x))
    with autograd.record():
        nd.log(x)


def test_large_arrays_that_wait():
    x = nd.ones((300, 300))
    x[7, 7] = 0
    x.attach_grad()
    with autograd.record():
        y = nd.sqrt(x).sum()
    with autograd.detect_anomaly():
        text = failure(y.backward)
    assert "sqrt" in text
    assert "(300, 300)" in text
    assert "1 are infinite" in text


@pytest.mark.parametrize("forward", [False, True])
def test_hybrid_blocks(forward):
    class Root(gluon.HybridBlock):
        def hybrid_forward(self, F, x):
            return F.sqrt(F.relu(x) * 2) + F.exp(x) if not forward else F.log(x - 1) * 2

    net = Root()
    net.hybridize()
    x = variable(0.0, 1.0)
    with autograd.detect_anomaly(forward=forward), autograd.record():
        if forward:
            text = failure(lambda: net(x))
            assert "of log is not finite" in text
            return
        y = net(x).sum()
        text = failure(y.backward)
    assert "of sqrt is not finite" in text
    assert f"{HERE}:" in text


def test_while_the_profiler_runs(tmp_path):
    x = variable(0.0)
    mx.profiler.set_config(profile_all=True, filename=str(tmp_path / "profile.json"))
    with autograd.record():
        y = nd.sqrt(x)
    with autograd.detect_anomaly():
        mx.profiler.set_state("run")
        try:
            failure(lambda: y.backward(retain_graph=True))
        finally:
            mx.profiler.set_state("stop")
            mx.profiler.dumps(reset=True)
        failure(y.backward)


# ---- errors of backward


class Broken(autograd.Function):
    def __init__(self, how):
        super().__init__()
        self.how = how

    def forward(self, x):
        return x * 2

    def backward(self, dy):
        return self.how(dy)


@pytest.mark.parametrize(
    ("how", "kind", "text"),
    [
        (lambda dy: 1 / 0, ZeroDivisionError, "division"),
        (lambda dy: nd.ones((3, 3)) + nd.ones((2,)), MXNetError, "broadcast"),
        (lambda dy: nd.ones((5,)), MXNetError, r"\(5,\)"),
        (lambda dy: (dy, dy), MXNetError, "2 gradients"),
        (lambda dy: "text", MXNetError, "str"),
    ],
)
def test_functions(how, kind, text):
    x = variable(1.0, 2.0)
    with autograd.record():
        y = Broken(how)(nd.exp(x))  # a broken function
    with pytest.raises(kind, match=text) as info:
        y.backward()
    said = "\n".join([str(info.value), *getattr(info.value, "__notes__", [])])
    assert "Broken" in said
    assert line_of("a broken function") in said
    assert "(2,)" in said


@mx.operator.register("broken_in_backward")
class BrokenProp(mx.operator.CustomOpProp):
    def create_operator(self, ctx, shapes, dtypes):
        class Operator(mx.operator.CustomOp):
            def forward(self, is_train, req, in_data, out_data, aux):
                self.assign(out_data[0], req[0], in_data[0])

            def backward(self, req, out_grad, in_data, out_data, in_grad, aux):
                raise LookupError("mine")

        return Operator()


def test_custom_operators():
    x = variable(1.0, 2.0)
    with autograd.record():
        y = nd.Custom(x, op_type="broken_in_backward")  # a custom operator
    with pytest.raises(LookupError, match="mine") as info:
        y.backward()
    assert any(line_of("a custom operator") in note for note in info.value.__notes__)


def test_interrupts_get_no_notes():
    def interrupted(dy):
        raise KeyboardInterrupt

    x = variable(1.0)
    with autograd.record():
        y = Broken(interrupted)(x)
    with pytest.raises(KeyboardInterrupt) as info:
        y.backward()
    assert not getattr(info.value, "__notes__", [])


def test_operators_name_shapes_and_line():
    x = nd.ones((2, 3))
    x.attach_grad()
    with autograd.record():
        y = nd.fill_element_0index(x, nd.ones((2,)), nd.ones((2,)))  # no gradient
    text = failure(y.backward)
    assert "fill_element_0index has no gradient" in text
    assert "(2, 3) float32" in text
    assert line_of("no gradient") in text


# ---- heads that are off the tape


def test_update_outside_record():
    w = variable(1.0)
    with autograd.record():
        y = w * w
    y.backward()
    w = w - 0.1 * w.grad
    with autograd.record():
        y = w * w
    text = failure(y.backward)
    assert "head 0 of shape (1,) is not in a computational graph" in text
    assert "w[:] = w - lr * w.grad" in text
    assert "attach_grad()" in text


def test_no_attach_grad():
    x = nd.ones((2,))
    with autograd.record():
        y = (x * 2).sum()
    assert "nothing that it was computed from is a variable" in failure(y.backward)


def test_gradient_that_was_not_recorded():
    x = variable(2.0)
    with autograd.record():
        y = x**3
        (dy,) = autograd.grad(y, x, retain_graph=True)
        penalty = (dy * dy).sum()
    assert "create_graph=True" in failure(penalty.backward)
    assert "create_graph=True" in failure(dy.backward)
    y.backward()
    with autograd.record():
        z = x.grad * 2
    assert "create_graph=True" in failure(z.backward)


@pytest.mark.parametrize("paused", [False, True])
def test_computed_outside(paused):
    x = variable(2.0)
    if paused:
        with autograd.record(), autograd.pause():
            y = x * 2
    else:
        y = x * 2
    text = failure(y.backward)
    assert "autograd.pause()" in text
    assert "with autograd.record():" in text


def test_freed_graphs():
    x = variable(2.0)
    with autograd.record():
        h = x * 2
        y = h * h
    y.backward()
    assert "retain_graph=True" in failure(y.backward)
    with autograd.record():
        z = h * 3
    text = failure(z.backward)
    assert "freed" in text
    assert "record it all again" in text


def test_detached():
    x = variable(2.0)
    with autograd.record():
        y = x.detach()
        z = (y * 2)[0:1]
    for head in (y, z):
        text = failure(head.backward)
        assert "detach()" in text
        assert "attach_grad()" in text


def test_inputs_without_a_gradient():
    label = variable(0.0, 1.0)
    with autograd.record():
        y = nd.softmax(nd.ones((2, 3)), length=label.astype("int32"), use_length=True, axis=1)
        y = nd.softmax_cross_entropy(y, label)
    text = failure(y.backward)
    assert "by way of an input that has no gradient" in text


def test_grad_req_null():
    x = nd.ones((2,))
    x.attach_grad("null")
    with autograd.record():
        y = x * 2
    assert "grad_req='null'" in failure(y.backward)


def test_variables_of_grad():
    x = variable(2.0)
    constant = nd.ones((1,))
    with autograd.record():
        h = x * 2
        y = x * 3
    assert "not a variable" in failure(lambda: autograd.grad(y, constant))
    assert "none of them depends on it" in failure(lambda: autograd.grad(y, h))
    x.attach_grad()
    text = failure(lambda: autograd.grad(y, x))
    assert re.search(r"attach_grad\(\) makes a new\s+variable", text)


def test_compute_gradient_returns_the_gradients():
    b, a, unused = variable(5.0), variable(2.0), variable(1.0)
    with autograd.record():
        y = a * a * b
    found = autograd.compute_gradient([y])
    assert [g.item() for g in found] == [4.0, 20.0]
    assert unused.grad.item() == 0
