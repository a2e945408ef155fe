"""Operators in Python as nodes of symbols: what they keep, training with them, second order."""

import numpy as np

import mxtape as mx
from support import assert_same, variable

nd, autograd, sym = mx.nd, mx.autograd, mx.sym


class Scale(mx.operator.CustomOp):
    made = 0

    def __init__(self, factor):
        super().__init__()
        self.factor = factor
        self.calls = 0
        Scale.made += 1

    def forward(self, is_train, req, in_data, out_data, aux):
        self.calls += 1
        aux[0][:] += 1
        self.assign(out_data[0], req[0], in_data[0] * self.factor + in_data[1].reshape((-1, 1)))
        self.assign(out_data[1], req[1], nd.full((1,), self.calls))

    def backward(self, req, out_grad, in_data, out_data, in_grad, aux):
        self.assign(in_grad[0], req[0], out_grad[0] * self.factor)
        self.assign(in_grad[1], req[1], out_grad[0].sum(axis=1))


@mx.operator.register("scale_of_a_symbol")
class ScaleProp(mx.operator.CustomOpProp):
    def __init__(self, factor="1", extra=""):
        super().__init__()
        self.factor = float(factor)

    def list_arguments(self):
        return ["data", "shift"]

    def list_outputs(self):
        return ["out", "calls"]

    def list_auxiliary_states(self):
        return ["count"]

    def infer_shape(self, in_shape):
        return [in_shape[0], (in_shape[0][0],)], [in_shape[0], (1,)], [(1,)]

    def create_operator(self, ctx, in_shapes, in_dtypes):
        return Scale(self.factor)


def scaled(**options):
    return sym.Custom(sym.var("x"), op_type="scale_of_a_symbol", name="c", factor=3, **options)


def test_an_executor_keeps_its_operator():
    symbol = scaled()
    executor = symbol.simple_bind(mx.cpu(), x=(2, 3))
    executor.arg_dict["x"][:] = 1
    executor.arg_dict["c_shift"][:] = nd.array([10, 20])
    Scale.made = 0
    for number in (1, 2):
        outputs = executor.forward(is_train=True)
        assert_same(outputs[0], [[13] * 3, [23] * 3])
        assert outputs[1].asscalar() == number
        executor.backward([nd.ones((2, 3)), nd.zeros((1,))])
    assert_same(executor.grad_dict["x"], np.full((2, 3), 3))
    assert_same(executor.grad_dict["c_shift"], [3, 3])
    assert executor.aux_dict["c_count"].asscalar() == 2
    assert Scale.made == 1


class Loss(mx.operator.CustomOp):
    def forward(self, is_train, req, in_data, out_data, aux):
        self.assign(out_data[0], req[0], nd.softmax(in_data[0]))

    def backward(self, req, out_grad, in_data, out_data, in_grad, aux):
        hot = nd.one_hot(in_data[1], out_data[0].shape[1])
        self.assign(in_grad[0], req[0], out_data[0] - hot)


@mx.operator.register("loss_of_a_symbol")
class LossProp(mx.operator.CustomOpProp):
    def __init__(self):
        super().__init__(need_top_grad=False)

    def list_arguments(self):
        return ["data", "label"]

    def infer_shape(self, in_shape):
        return [in_shape[0], (in_shape[0][0],)], [in_shape[0]], []

    def create_operator(self, ctx, in_shapes, in_dtypes):
        return Loss()


def test_a_module_trains_with_a_loss_in_python():
    mx.random.seed(3)
    values = np.random.RandomState(4).randn(200, 6).astype("float32")
    labels = values[:, :3].argmax(axis=1).astype("float32")
    net = sym.FullyConnected(sym.var("data"), num_hidden=3, name="fc")
    module = mx.mod.Module(sym.Custom(net, op_type="loss_of_a_symbol", name="softmax"))
    data = mx.io.NDArrayIter(values, labels, 20, label_name="softmax_label")
    module.fit(data, optimizer_params={"learning_rate": 0.5}, num_epoch=12)
    assert module.score(data, "acc")[0][1] > 0.9


def test_gradients_of_gradients():
    class Cube(mx.operator.CustomOp):
        def forward(self, is_train, req, in_data, out_data, aux):
            self.assign(out_data[0], req[0], in_data[0] ** 3)

        def backward(self, req, out_grad, in_data, out_data, in_grad, aux):
            self.assign(in_grad[0], req[0], 3 * in_data[0] ** 2 * out_grad[0])

    @mx.operator.register("cube_of_a_symbol")
    class CubeProp(mx.operator.CustomOpProp):
        def create_operator(self, ctx, in_shapes, in_dtypes):
            return Cube()

    call = nd.CachedOp(sym.exp(sym.Custom(sym.var("x"), op_type="cube_of_a_symbol")), ())
    x = variable([0.5, -1.0], dtype="float64")
    with autograd.record():
        grad = autograd.grad(call(x).sum(), [x], create_graph=True)[0].sum()
    grad.backward()
    values = np.array([0.5, -1.0])
    want = (6 * values + 9 * values**4) * np.exp(values**3)
    np.testing.assert_allclose(x.grad.asnumpy(), want, rtol=1e-12)
