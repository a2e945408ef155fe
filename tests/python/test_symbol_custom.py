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
    with pytest.raises(mx.MXNetError, match="inputs given"):
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
        (mx.MXNetError, "one output", lambda: sym.Custom(scaled(), op_type="scale_of_a_symbol")),
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
