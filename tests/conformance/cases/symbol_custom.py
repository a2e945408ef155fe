"""``mx.sym.Custom``: names, files, inference, executors."""

from harness import attempt, case, data


def define(mx):
    """Registers an operator of two arguments, two outputs and a state."""

    class Scale(mx.operator.CustomOp):
        def __init__(self, factor):
            super().__init__()
            self.factor = factor
            self.calls = 0

        def forward(self, is_train, req, in_data, out_data, aux):
            self.calls += 1
            if is_train:
                aux[0][:] += 1
            shift = in_data[1].reshape((-1, 1))
            self.assign(out_data[0], req[0], mx.nd.broadcast_add(in_data[0] * self.factor, shift))
            self.assign(out_data[1], req[1], mx.nd.ones((1,)) * self.calls)

        def backward(self, req, out_grad, in_data, out_data, in_grad, aux):
            self.assign(in_grad[0], req[0], out_grad[0] * self.factor)
            self.assign(in_grad[1], req[1], out_grad[0].sum(axis=1))

    @mx.operator.register("conformance_two_inputs")
    class ScaleProp(mx.operator.CustomOpProp):
        def __init__(self, factor="1", extra=""):
            super().__init__(need_top_grad=True)
            self.factor = float(factor)

        def list_arguments(self):
            return ["data", "shift"]

        def list_outputs(self):
            return ["out", "calls"]

        def list_auxiliary_states(self):
            return ["count"]

        def infer_shape(self, in_shape):
            return [in_shape[0], (in_shape[0][0],)], [in_shape[0], (1,)], [(1,)]

        def infer_type(self, in_type):
            return [in_type[0]] * 2, [in_type[0]] * 2, [in_type[0]]

        def create_operator(self, ctx, in_shapes, in_dtypes):
            return Scale(self.factor)

    return "conformance_two_inputs"


def describe(symbol):
    return {
        "json": symbol.tojson(),
        "inputs": symbol.list_inputs(),
        "states": symbol.list_auxiliary_states(),
        "outputs": symbol.list_outputs(),
        "name": symbol.name,
    }


@case
def names_and_files(mx):
    op = define(mx)
    x = mx.sym.var("x")
    with mx.name.NameManager():
        symbols = [
            mx.sym.Custom(x, op_type=op),
            mx.sym.Custom(data=x, op_type=op, name="named", factor=3),
            mx.sym.Custom(x, mx.sym.var("s"), op_type=op, extra=(1, 2)),
            mx.sym.Custom(shift=x, data=mx.sym.exp(mx.sym.var("y")), op_type=op, name="c"),
        ]
    read = [mx.sym.load_json(symbol.tojson()) for symbol in symbols]
    return [[describe(symbol) for symbol in symbols], [describe(symbol) for symbol in read]]


@case
def inference(mx):
    symbol = mx.sym.Custom(mx.sym.var("x"), op_type=define(mx), name="c")
    return [
        symbol.infer_shape(x=(2, 3)),
        [[str(t) for t in types] for types in symbol.infer_type(x="float32")],
        mx.sym.exp(symbol[0]).infer_shape(x=(4, 2)),
    ]


@case
def executor(mx):
    symbol = mx.sym.Custom(mx.sym.var("x"), op_type=define(mx), name="c", factor=2.5)
    symbol = mx.sym.Group([mx.sym.tanh(symbol[0]), symbol[1]])
    bound = symbol.simple_bind(mx.cpu(), x=(2, 3))
    bound.arg_dict["x"][:] = mx.nd.array(data((2, 3), -1, 1))
    bound.arg_dict["c_shift"][:] = mx.nd.array([0.5, -0.5])
    results = []
    for is_train in (True, False, True):
        outputs = [o.copy() for o in bound.forward(is_train=is_train)]
        if is_train:
            bound.backward([mx.nd.array(data((2, 3), seed=1)), mx.nd.ones((1,))])
        results.append([outputs, {k: v.copy() for k, v in bound.grad_dict.items()}])
    return results


@case
def errors(mx):
    x, op = mx.sym.var("x"), define(mx)
    text = mx.sym.Custom(x, op_type=op).tojson()
    return [
        attempt(mx.sym.Custom, x),
        attempt(mx.sym.Custom, x, op_type="conformance_gone"),
        attempt(mx.sym.load_json, text.replace("conformance_two_inputs", "conformance_gone")),
    ]
