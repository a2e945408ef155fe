"""Operators written in Python as nodes of symbols."""

import json

import numpy as np
import pytest

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


def test_names_shapes_and_types():
    symbol = scaled()
    assert symbol.list_arguments() == ["x", "c_shift"]
    assert symbol.list_auxiliary_states() == ["c_count"]
    assert symbol.list_outputs() == ["c_out", "c_calls"]
    assert symbol.infer_shape(x=(2, 3)) == ([(2, 3), (2,)], [(2, 3), (1,)], [(1,)])
    types = symbol.infer_type(x="float64", c_shift="float64")
    assert types == ([np.float64] * 2, [np.float64] * 2, [np.float64])
    assert symbol.infer_shape_partial()[0] == [(), ()]
    with mx.name.NameManager():
        assert sym.Custom(sym.var("x"), op_type="scale_of_a_symbol").name == "custom0"
    named = sym.Custom(shift=sym.var("b"), data=sym.var("a"), op_type="scale_of_a_symbol")
    assert named.list_arguments() == ["a", "b"]


class LikeItsLabelProp(mx.operator.CustomOpProp):
    def list_arguments(self):
        return ["data", "label"]

    def infer_shape(self, in_shape):
        return [in_shape[0], in_shape[0]], [in_shape[0]], [(1,)] * len(self.list_auxiliary_states())

    def create_operator(self, ctx, in_shapes, in_dtypes):
        class Product(mx.operator.CustomOp):
            def forward(self, is_train, req, in_data, out_data, aux):
                self.assign(out_data[0], req[0], in_data[0] * in_data[1])

        return Product()


@mx.operator.register("like_its_label_with_a_state")
class WithStateProp(LikeItsLabelProp):
    def list_auxiliary_states(self):
        return ["state"]


def test_shapes_when_a_later_input_is_known_first():
    """infer_shape, asked before the data is known, says [] for everything: nothing follows."""
    mx.operator.register("like_its_label")(LikeItsLabelProp)
    product = sym.Custom(sym.var("x"), sym.var("y"), op_type="like_its_label", name="c")
    assert product.infer_shape_partial(y=(2, 3)) == ([(), (2, 3)], [()], [])
    assert product.infer_shape(x=(2, 3)) == ([(2, 3), (2, 3)], [(2, 3)], [])
    with pytest.raises(mx.MXNetError, match="infer_shape expects"):
        product.infer_shape(x=(2, 3), y=(3, 2))


def test_shapes_behind_layers_of_a_hybridized_block():
    """The state's dtype is known before those of the layers: the operator is asked first."""

    class Net(mx.gluon.HybridBlock):
        def __init__(self):
            super().__init__()
            with self.name_scope():
                self.first = mx.gluon.nn.Dense(5, activation="relu")
                self.second = mx.gluon.nn.Dense(4)
                self.state = self.params.get(
                    "state", shape=(1,), init="zeros", grad_req="null", differentiable=False
                )

        def hybrid_forward(self, F, x, y, state):
            x = self.second(self.first(x))
            return F.Custom(x, y, state, op_type="like_its_label_with_a_state")

    net = Net()
    net.initialize()
    net.hybridize()
    x, y = nd.ones((2, 3)), nd.ones((2, 4))
    found = net(x, y)
    net.hybridize(False)
    assert_same(found, net(x, y))


def test_files():
    symbol = scaled(extra=(1, 2))
    node = json.loads(symbol.tojson())["nodes"][-1]
    assert node["op"] == "Custom"
    assert node["attrs"] == {"extra": "(1, 2)", "factor": "3", "op_type": "scale_of_a_symbol"}
    again = sym.load_json(symbol.tojson())
    assert again.tojson() == symbol.tojson()
    assert again.list_auxiliary_states() == ["c_count"]
    with pytest.raises(mx.MXNetError, match="'gone' is registered"):
        sym.load_json(symbol.tojson().replace("scale_of_a_symbol", "gone"))
    with pytest.raises(mx.MXNetError, match="inputs are given"):
        sym.load_json(symbol.tojson().replace("[[0, 0, 0], [1, 0, 0], ", "[[0, 0, 0], "))


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


def test_what_is_wrong_is_said():
    x = sym.var("x")
    for error, match, function in (
        (mx.MXNetError, "op_type is missing", lambda: sym.Custom(x)),
        (mx.MXNetError, "'nope' is registered", lambda: sym.Custom(x, op_type="nope")),
        (mx.MXNetError, "unknown: y", lambda: sym.Custom(y=x, op_type="scale_of_a_symbol")),
        (TypeError, "two values", lambda: sym.Custom(x, data=x, op_type="scale_of_a_symbol")),
        (mx.MXNetError, "one is needed", lambda: sym.Custom(scaled(), op_type="scale_of_a_symbol")),
        (
            mx.MXNetError,
            "infer_shape expects",
            lambda: scaled().infer_shape(x=(2, 3), c_shift=(3,)),
        ),
    ):
        with pytest.raises(error, match=match):
            function()


def test_what_the_operator_raises_comes_out():
    class Broken(mx.operator.CustomOp):
        def forward(self, is_train, req, in_data, out_data, aux):
            raise KeyError("of mine")

    @mx.operator.register("broken_in_a_symbol")
    class BrokenProp(mx.operator.CustomOpProp):
        def create_operator(self, ctx, in_shapes, in_dtypes):
            return Broken()

    symbol = sym.Custom(sym.var("x"), op_type="broken_in_a_symbol")
    with pytest.raises(KeyError, match="of mine"):
        symbol.eval(x=nd.ones((2,)))


class Count(mx.operator.CustomOp):
    def __init__(self, factor):
        self.factor = factor

    def forward(self, is_train, req, in_data, out_data, aux):
        self.assign(out_data[0], req[0], in_data[0] * self.factor)
        self.assign(out_data[1], req[1], in_data[1] + 1)
        aux[0][:] += 1

    def backward(self, req, out_grad, in_data, out_data, in_grad, aux):
        self.assign(in_grad[0], req[0], out_grad[0] * self.factor)
        self.assign(in_grad[1], req[1], 0)


@mx.operator.register("scale_and_count")
class CountProp(mx.operator.CustomOpProp):
    def __init__(self, k="2"):
        super().__init__(need_top_grad=True)
        self.factor = float(k)

    def list_arguments(self):
        return ["data", "label"]

    def list_outputs(self):
        return ["out", "lab"]

    def list_auxiliary_states(self):
        return ["count"]

    def infer_shape(self, in_shape):
        rows = (in_shape[0][0],)
        return [in_shape[0], rows], [in_shape[0], rows], [(1,)]

    def infer_type(self, in_type):
        return [in_type[0]] * 2, [in_type[0]] * 2, [in_type[0]]

    def create_operator(self, ctx, in_shapes, in_dtypes):
        return Count(self.factor)


@mx.operator.register("loss_of_seven")
class LossProp(mx.operator.CustomOpProp):
    def __init__(self):
        super().__init__(need_top_grad=False)

    def create_operator(self, ctx, in_shapes, in_dtypes):
        class Loss(mx.operator.CustomOp):
            def forward(self, is_train, req, in_data, out_data, aux):
                self.assign(out_data[0], req[0], in_data[0])

            def backward(self, req, out_grad, in_data, out_data, in_grad, aux):
                self.assign(in_grad[0], req[0], in_data[0] * 7)

        return Loss()


def counted(**kwargs):
    with mx.name.NameManager():
        return sym.Custom(sym.Variable("d"), op_type="scale_and_count", k=3, **kwargs)


def test_a_loss_needs_no_head_gradient():
    symbol = sym.Custom(sym.Variable("d"), op_type="loss_of_seven", name="L")
    assert symbol.list_outputs() == ["L_output"]
    executor = symbol.simple_bind(mx.cpu(), d=(2,))
    executor.arg_dict["d"][:] = 2
    executor.forward(is_train=True)
    executor.backward()
    assert executor.grad_dict["d"].asnumpy().tolist() == [14, 14]
    executor = counted().simple_bind(mx.cpu(), d=(2, 3))
    executor.forward(is_train=True)
    with pytest.raises(mx.MXNetError, match="head gradient"):
        executor.backward()


def test_a_cached_op():
    call = nd.CachedOp(counted()[0] + sym.Variable("e"))
    x, count = nd.ones((2, 3)), nd.zeros(1)
    x.attach_grad()
    with autograd.record():
        y = call(x, nd.ones(2), count, nd.ones((2, 3)))
        loss = (y * y).sum()
    loss.backward()
    assert x.grad.asnumpy().tolist() == [[2 * 4 * 3] * 3] * 2
    assert count.asnumpy().tolist() == [1]
    assert autograd.is_recording() is False


@pytest.mark.parametrize(
    ("error", "match", "make"),
    [
        (mx.MXNetError, "nope", lambda d: sym.Custom(d, op_type="nope")),
        (mx.MXNetError, "op_type", lambda d: sym.Custom(d)),
        (TypeError, "zz", lambda d: sym.Custom(d, op_type="scale_and_count", zz=3)),
        (mx.MXNetError, "at most 3", lambda d: sym.Custom(d, d, d, d, op_type="scale_and_count")),
        (mx.MXNetError, "zz", lambda d: sym.Custom(d, zz=d, op_type="scale_and_count")),
        (
            mx.MXNetError,
            "count is an auxiliary state",
            lambda d: sym.Custom(d, d, d * 2, op_type="scale_and_count"),
        ),
        (TypeError, "two values", lambda d: sym.Custom(d, data=d, op_type="scale_and_count")),
        (TypeError, "Symbols", lambda d: sym.Custom(nd.ones(2), op_type="scale_and_count")),
        (mx.MXNetError, "2 outputs", lambda d: sym.Custom(counted(), op_type="scale_and_count")),
        (
            mx.MXNetError,
            "custom",
            lambda d: counted().infer_shape(d=(2, 3), custom0_label=(5,)),
        ),
    ],
)
def test_errors(error, match, make):
    with pytest.raises(error, match=match):
        make(sym.Variable("d"))
