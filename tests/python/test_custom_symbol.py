"""Operators in Python as symbols. What is expected was asked of MXNet 1.9.1."""

import json

import numpy as np
import pytest

import mxtape as mx
from mxtape import autograd, nd, sym

LOG: list = []


class Scale(mx.operator.CustomOp):
    def __init__(self, factor):
        self.factor = factor
        LOG.append("created")

    def forward(self, is_train, req, in_data, out_data, aux):
        LOG.append(("forward", bool(is_train)))
        self.assign(out_data[0], req[0], in_data[0] * self.factor)
        self.assign(out_data[1], req[1], in_data[1] + 1)
        aux[0][:] += 1

    def backward(self, req, out_grad, in_data, out_data, in_grad, aux):
        self.assign(in_grad[0], req[0], out_grad[0] * self.factor)
        self.assign(in_grad[1], req[1], 0)


@mx.operator.register("scale_and_count")
class ScaleProp(mx.operator.CustomOpProp):
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
        LOG.append((str(ctx), [list(shape) for shape in in_shapes]))
        return Scale(self.factor)


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


def scaled(**kwargs):
    with mx.name.NameManager():
        return sym.Custom(sym.Variable("d"), op_type="scale_and_count", k=3, **kwargs)


def test_names_and_inference():
    symbol = scaled()
    assert symbol.name == "custom0"
    assert symbol.list_arguments() == ["d", "custom0_label"]
    assert symbol.list_auxiliary_states() == ["custom0_count"]
    assert symbol.list_outputs() == ["custom0_out", "custom0_lab"]
    assert symbol.list_attr() == {"k": "3", "op_type": "scale_and_count"}
    assert symbol.infer_shape(d=(2, 3)) == ([(2, 3), (2,)], [(2, 3), (2,)], [(1,)])
    assert symbol.infer_type(d="float64")[0] == [np.float64, np.float64]
    named = scaled(label=sym.Variable("l"), name="cc")
    assert named.list_arguments() == ["d", "l"]
    assert named.list_outputs() == ["cc_out", "cc_lab"]


def test_files():
    symbol = scaled()
    text = symbol.tojson()
    node = json.loads(text)["nodes"][-1]
    assert node["op"] == "Custom"
    assert node["attrs"] == {"k": "3", "op_type": "scale_and_count"}
    loaded = sym.load_json(text)
    assert loaded.tojson() == text
    assert loaded.list_outputs() == symbol.list_outputs()
    with pytest.raises(mx.MXNetError, match="nobody_knows"):
        sym.load_json(text.replace("scale_and_count", "nobody_knows"))
    with pytest.raises(mx.MXNetError, match="inputs are given"):
        sym.load_json(text.replace('"inputs": [[0, 0, 0], [1, 0, 0], [2, 0, 1]]', '"inputs": []'))


def test_an_executor():
    LOG.clear()
    executor = (scaled()[0] * 2).simple_bind(mx.cpu(), d=(2, 3))
    executor.arg_dict["d"][:] = 1
    executor.forward(is_train=True)
    assert executor.outputs[0].asnumpy().tolist() == [[6] * 3] * 2
    for _ in range(2):
        executor.backward(nd.ones((2, 3)))
        assert executor.grad_dict["d"].asnumpy().tolist() == [[6] * 3] * 2
        assert executor.grad_dict["custom0_label"].asnumpy().tolist() == [0, 0]
    executor.forward()
    assert executor.aux_dict["custom0_count"].asnumpy().tolist() == [2]
    # One operator for all calls.
    assert LOG == [
        ("cpu(0)", [[2, 3], [2], [1]]),
        "created",
        ("forward", True),
        ("forward", False),
    ]


def test_a_loss_needs_no_head_gradient():
    symbol = sym.Custom(sym.Variable("d"), op_type="loss_of_seven", name="L")
    assert symbol.list_outputs() == ["L_output"]
    executor = symbol.simple_bind(mx.cpu(), d=(2,))
    executor.arg_dict["d"][:] = 2
    executor.forward(is_train=True)
    executor.backward()
    assert executor.grad_dict["d"].asnumpy().tolist() == [14, 14]
    executor = scaled().simple_bind(mx.cpu(), d=(2, 3))
    executor.forward(is_train=True)
    with pytest.raises(mx.MXNetError, match="head gradient"):
        executor.backward()


def test_a_cached_op():
    call = nd.CachedOp(scaled()[0] + sym.Variable("e"))
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
        (mx.MXNetError, "2 outputs", lambda d: sym.Custom(scaled(), op_type="scale_and_count")),
        (
            mx.MXNetError,
            "custom",
            lambda d: scaled().infer_shape(d=(2, 3), custom0_label=(5,)),
        ),
    ],
)
def test_errors(error, match, make):
    with pytest.raises(error, match=match):
        make(sym.Variable("d"))


def test_an_exception_in_the_operator_comes_through():
    @mx.operator.register("fails_in_forward")
    class Prop(mx.operator.CustomOpProp):
        def create_operator(self, ctx, in_shapes, in_dtypes):
            class Fails(mx.operator.CustomOp):
                def forward(self, is_train, req, in_data, out_data, aux):
                    raise KeyError("the reason")

            return Fails()

    executor = sym.Custom(sym.Variable("d"), op_type="fails_in_forward").bind(
        mx.cpu(), [nd.ones(2)]
    )
    with pytest.raises(KeyError, match="the reason"):
        executor.forward()
