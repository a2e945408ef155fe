"""Operators written in Python: mx.operator and mx.nd.Custom."""

import gc
import weakref

import numpy as np
import pytest

import mxtape as mx
from support import assert_same, variable

nd, autograd = mx.nd, mx.autograd
log: list = []


class Product(mx.operator.CustomOp):
    """data * w, and data + w where a second output is asked for; counts its calls in a state."""

    def forward(self, is_train, req, in_data, out_data, aux):
        log.append(("forward", is_train, autograd.is_recording(), autograd.is_training()))
        if aux:
            aux[0][:] += 1
        self.assign(out_data[0], req[0], in_data[0] * in_data[1])
        if len(out_data) > 1:
            self.assign(out_data[1], req[1], in_data[0] + in_data[1])

    def backward(self, req, out_grad, in_data, out_data, in_grad, aux):
        log.append(("backward", req, [g.asnumpy().tolist() for g in out_grad]))
        log.append(("out", [y.asnumpy().tolist() for y in out_data]))
        extra = out_grad[1] if len(out_grad) > 1 else 0
        self.assign(in_grad[0], req[0], out_grad[0] * in_data[1] + extra)
        self.assign(in_grad[1], req[1], out_grad[0] * in_data[0] + extra)


@mx.operator.register("test_product")
class ProductProp(mx.operator.CustomOpProp):
    def __init__(self, note="0", outputs="1", states="0"):
        super().__init__()
        log.append(("init", note))
        self.outputs, self.states = int(outputs), int(states)

    def list_arguments(self):
        return ["data", "w"]

    def list_outputs(self):
        return [f"out{i}" for i in range(self.outputs)]

    def list_auxiliary_states(self):
        return ["count"] * self.states

    def infer_shape(self, in_shape):
        return in_shape, [in_shape[0]] * self.outputs, [in_shape[0]] * self.states

    def create_operator(self, ctx, in_shapes, in_dtypes):
        log.append(("create", ctx, in_shapes, in_dtypes))
        return Product()


@pytest.fixture(autouse=True)
def _fresh_log():
    log.clear()


def pair():
    return variable([1, 2]), variable([3, 4])


def test_a_call_goes_as_in_mxnet():
    x, w = nd.array([1, 2]), nd.array([3, 4])
    assert_same(nd.Custom(x, w, op_type="test_product", note=2.5), [3, 8])
    assert log == [
        ("init", "2.5"),
        ("create", mx.cpu(0), [[2], [2]], [np.float32, np.float32]),
        ("forward", False, False, False),
    ]
    both = nd.Custom(x, w, op_type="test_product", outputs=2)
    assert_same(both[1], [4, 6])
    count = nd.zeros((2,))
    nd.Custom(x, w, count, op_type="test_product", states=1)
    assert_same(count, [1, 1])
    assert_same(nd.Custom(w=w, data=x, op_type="test_product"), [3, 8])
    out = nd.zeros((2,))
    assert nd.Custom(x, w, op_type="test_product", out=out) is out
    assert_same(out, [3, 8])


def test_gradients():
    x, w = pair()
    with autograd.record():
        y = nd.Custom(x, w, op_type="test_product")
    y.backward(nd.array([1, 10]))
    assert_same(x.grad, [3, 40])
    assert_same(w.grad, [1, 20])
    assert log[2:] == [
        ("forward", True, False, True),
        ("backward", ["write", "write"], [[1.0, 10.0]]),
        ("out", [[3.0, 8.0]]),
    ]


def test_gradients_that_nobody_wants_or_that_add_up():
    x, w = variable([1, 2], grad_req="add"), nd.array([3, 4])
    for _ in range(2):
        with autograd.record():
            y = nd.Custom(x, w, op_type="test_product", outputs=2)[0]
        y.backward()
    assert_same(x.grad, [6, 8])
    backward = [entry for entry in log if entry[0] == "backward"]
    assert backward == [("backward", ["write", "null"], [[1.0, 1.0], [0.0, 0.0]])] * 2


def test_predict_mode_reaches_the_operator():
    x, w = pair()
    with autograd.record(train_mode=False):
        nd.Custom(x, w, op_type="test_product")
    assert log[-1] == ("forward", False, False, False)


def test_second_order_through_assign():
    x, w = pair()
    with autograd.record():
        y = nd.Custom(x, w, op_type="test_product")
        (gx,) = autograd.grad((y * y).sum(), [x], create_graph=True)
    gx.backward()
    # y^2 = x^2 w^2: 2 x w^2, then 2 w^2 and 4 x w.
    assert_same(gx, [18, 64])
    assert_same(x.grad, [18, 32])
    assert_same(w.grad, [12, 32])


class Sigmoid(mx.operator.CustomOp):
    def forward(self, is_train, req, in_data, out_data, aux):
        self.assign(out_data[0], req[0], 1 / (1 + nd.exp(-in_data[0])))

    def backward(self, req, out_grad, in_data, out_data, in_grad, aux):
        y = out_data[0]
        self.assign(in_grad[0], req[0], out_grad[0] * y * (1 - y))


@mx.operator.register("test_sigmoid")
class SigmoidProp(mx.operator.CustomOpProp):
    def create_operator(self, ctx, in_shapes, in_dtypes):
        return Sigmoid()


def test_a_kept_output_is_a_function_of_the_inputs():
    grads = []
    for f in (lambda x: nd.Custom(x, op_type="test_sigmoid"), nd.sigmoid):
        x = variable([-1.0, 0.5, 2.0], dtype="float64")
        with autograd.record():
            (g,) = autograd.grad(f(x), [x], create_graph=True)
            (h,) = autograd.grad(g, [x], create_graph=True)
        h.backward()
        grads.append((g, h, x.grad))
    for own, engine in zip(*grads):
        assert_same(own, engine.asnumpy(), rtol=1e-12)


class NumpySoftmax(mx.operator.CustomOp):
    """A loss layer in NumPy, as many programs have it."""

    def forward(self, is_train, req, in_data, out_data, aux):
        x = in_data[0].asnumpy()
        y = np.exp(x - x.max(axis=1, keepdims=True))
        self.assign(out_data[0], req[0], nd.array(y / y.sum(axis=1, keepdims=True)))

    def backward(self, req, out_grad, in_data, out_data, in_grad, aux):
        y = out_data[0].asnumpy()
        y[np.arange(len(y)), in_data[1].asnumpy().astype(int)] -= 1
        self.assign(in_grad[0], req[0], nd.array(y))


@mx.operator.register("test_softmax")
class NumpySoftmaxProp(mx.operator.CustomOpProp):
    def __init__(self):
        super().__init__(need_top_grad=False)

    def list_arguments(self):
        return ["data", "label"]

    def infer_shape(self, in_shape):
        return [in_shape[0], (in_shape[0][0],)], [in_shape[0]]

    def create_operator(self, ctx, in_shapes, in_dtypes):
        return NumpySoftmax()


def test_a_loss_layer_in_numpy():
    values = np.random.RandomState(0).randn(4, 3)
    x, label = variable(values), nd.array([0, 2, 1, 1])
    with autograd.record():
        y = nd.Custom(x, label, op_type="test_softmax")
    y.backward()
    reference = variable(values)
    with autograd.record():
        z = nd.SoftmaxOutput(reference, label)
    z.backward()
    assert_same(y, z.asnumpy())
    assert_same(x.grad, reference.grad.asnumpy())


def test_other_dtypes():
    x = nd.array([1, 2], dtype="float64")
    assert nd.Custom(x, x, op_type="test_product").dtype == np.float64


def test_calls_that_cannot_be():
    x, w = nd.array([1, 2]), nd.array([3, 4])
    with pytest.raises(mx.MXNetError, match="op_type is missing"):
        nd.Custom(x, w)
    with pytest.raises(mx.MXNetError, match="no operator 'absent' is registered"):
        nd.Custom(x, w, op_type="absent")
    with pytest.raises(mx.MXNetError, match=r"expected 2 arrays \(data, w\), got 1; missing: w"):
        nd.Custom(x, op_type="test_product")
    with pytest.raises(mx.MXNetError, match="expected 2 arrays"):
        nd.Custom(x, w, w, op_type="test_product")
    with pytest.raises(mx.MXNetError, match="unknown: z"):
        nd.Custom(x, z=w, op_type="test_product")
    with pytest.raises(TypeError, match="two values for argument data"):
        nd.Custom(x, data=w, op_type="test_product")
    with pytest.raises(AssertionError, match="must be NDArrays, got 3"):
        nd.Custom(x, 3, op_type="test_product")
    with pytest.raises(TypeError, match="nonsense"):
        nd.Custom(x, w, op_type="test_product", nonsense=1)
    with pytest.raises(mx.MXNetError, match="label has shape"):
        nd.Custom(nd.zeros((2, 3)), nd.zeros((3,)), op_type="test_softmax")
    with pytest.raises(mx.MXNetError, match="out"):
        nd.Custom(x, w, op_type="test_product", out=[x, w])
    with pytest.raises(TypeError, match="subclass of CustomOpProp"):
        mx.operator.register("x")(int)
    with pytest.raises(ValueError, match="req must be"):
        mx.operator.CustomOp().assign(x, "put", w)


def test_what_a_method_raises_is_passed_on():
    class Failing(mx.operator.CustomOp):
        def forward(self, is_train, req, in_data, out_data, aux):
            raise ValueError("boom")

    @mx.operator.register("test_failing")
    class FailingProp(mx.operator.CustomOpProp):
        def create_operator(self, ctx, in_shapes, in_dtypes):
            return Failing()

    with pytest.raises(ValueError, match="boom"):
        nd.Custom(nd.ones((1,)), op_type="test_failing")


def test_the_defaults_of_a_prop():
    prop = mx.operator.CustomOpProp()
    assert prop.list_arguments() == ["data"]
    assert prop.list_outputs() == ["output"]
    assert prop.list_auxiliary_states() == []
    assert prop.infer_shape([[2, 3]]) == ([[2, 3]], ([2, 3],), ())
    assert prop.infer_type([np.float32]) == ([np.float32], [np.float32], [])
    assert prop.declare_backward_dependency([0], [1], [2]) == [0, 1, 2]
    assert prop.infer_storage_type(["default"]) == (["default"], ["default"], [])
    with pytest.raises(AssertionError, match=r"override infer_storage_type\(\) to accept it"):
        prop.infer_storage_type(["csr"])


def test_nothing_is_kept_alive():
    x, w = pair()
    alive = []
    for run_backward in (True, False):
        with autograd.record():
            y = nd.Custom(x, w, op_type="test_product")
            alive.append(weakref.ref(y))
        if run_backward:
            y.backward()
        del y
    gc.collect()
    assert [ref() for ref in alive] == [None, None]


def test_operators_are_listed_with_their_arguments():
    names = mx.operator.get_all_registered_operators()
    assert {"FullyConnected", "broadcast_add", "split"} <= set(names)
    arguments = mx.operator.get_operator_arguments("FullyConnected")
    assert arguments.narg == 6
    assert arguments.names == ["data", "weight", "bias", "num_hidden", "no_bias", "flatten"]
    assert arguments.types[0] == "NDArray-or-Symbol"
    assert arguments.types[3] == "int, required"
    assert mx.operator.get_operator_arguments("concat").types[0] == "NDArray-or-Symbol[]"
    with pytest.raises(mx.MXNetError, match="no operator called 'absent'"):
        mx.operator.get_operator_arguments("absent")


def test_what_forward_does_not_write_is_zero():
    class WritesNothing(mx.operator.CustomOp):
        def forward(self, is_train, req, in_data, out_data, aux):
            pass

    @mx.operator.register("writes_nothing")
    class WritesNothingProp(mx.operator.CustomOpProp):
        def create_operator(self, ctx, in_shapes, in_dtypes):
            return WritesNothing()

    for size in (3, 100000):
        (nd.ones((size,)) * 7).wait_to_read()  # memory that is given back, and would be used again
        result = nd.Custom(nd.ones((size,)), op_type="writes_nothing")
        assert not result.asnumpy().any()


@pytest.mark.parametrize(
    ("method", "result", "message"),
    [
        ("infer_shape", None, "infer_shape must return two or three lists, got None"),
        ("infer_shape", ([(2,)], None), "infer_shape must return two or three lists"),
        ("infer_shape", ([(2,)], [None]), "infer_shape returned None for a shape"),
        ("infer_shape", ([(2,)], [(-1,)]), r"infer_shape returned \(-1,\) for a shape"),
        ("infer_shape", ([(2,)], ["ab"]), "infer_shape returned 'ab' for a shape"),
        ("infer_shape", ([3], [(2,)]), "infer_shape returned 3 for a shape"),
        ("infer_type", None, "infer_type must return two or three lists, got None"),
        ("create_operator", None, "create_operator returned None, not a CustomOp"),
    ],
)
def test_props_that_return_nonsense(method, result, message):
    class Prop(mx.operator.CustomOpProp):
        pass

    setattr(Prop, method, lambda self, *args: result)
    mx.operator.register("nonsense")(Prop)
    with pytest.raises(mx.MXNetError, match=message):
        nd.Custom(nd.ones((2,)), op_type="nonsense")


class Puts(mx.operator.CustomOp):
    """Puts results into the lists, where assign would write into the arrays."""

    def forward(self, is_train, req, in_data, out_data, aux):
        out_data[0] = in_data[0] ** 2
        out_data[1] = in_data[0].asnumpy() + 1

    def backward(self, req, out_grad, in_data, out_data, in_grad, aux):
        in_grad[0] = out_grad[0] * 2 * in_data[0] + out_grad[1]


class PutsWrongShape(Puts):
    def forward(self, is_train, req, in_data, out_data, aux):
        out_data[0] = in_data[0].sum()


class OnlyForward(mx.operator.CustomOp):
    def forward(self, is_train, req, in_data, out_data, aux):
        self.assign(out_data[0], req[0], in_data[0])


class Nothing(mx.operator.CustomOp):
    pass


@mx.operator.register("test_puts")
class PutsProp(mx.operator.CustomOpProp):
    def __init__(self, kind):
        super().__init__()
        self.kind = kind

    def list_outputs(self):
        return ["square", "more"]

    def create_operator(self, ctx, in_shapes, in_dtypes):
        return globals()[self.kind]()


def test_what_is_put_into_the_lists_is_written():
    x = variable([1.0, 2.0])
    with autograd.record():
        square, more = nd.Custom(x, op_type="test_puts", kind="Puts")
        (g,) = autograd.grad(square.sum() + more.sum(), x, create_graph=True)
    g.backward()
    assert square.asnumpy().tolist() == [1.0, 4.0]
    assert more.asnumpy().tolist() == [2.0, 3.0]
    assert g.asnumpy().tolist() == [3.0, 5.0]
    assert x.grad.asnumpy().tolist() == [2.0, 2.0]
    with pytest.raises(mx.MXNetError, match=r"test_puts.*out_data\[0\] = value.*\(2,\).*\(1,\)"):
        nd.Custom(x, op_type="test_puts", kind="PutsWrongShape")


def test_methods_that_are_missing_are_named():
    x = variable([1.0, 2.0])
    with pytest.raises(mx.MXNetError, match="Nothing does not define forward"):
        nd.Custom(x, op_type="test_puts", kind="Nothing")
    with autograd.record():
        y, _ = nd.Custom(x, op_type="test_puts", kind="OnlyForward")
        constant, _ = nd.Custom(x.detach(), op_type="test_puts", kind="OnlyForward")
        z = x * constant
    with pytest.raises(mx.MXNetError, match="OnlyForward does not define backward"):
        y.backward()
    z.backward()
    assert x.grad.asnumpy().tolist() == [1.0, 2.0]
