"""Executors, CachedOp and Custom nodes: what forward and backward leave in which arrays."""

import numpy as np
from harness import case, data, values


def _product(mx):
    a, b = mx.sym.Variable("a"), mx.sym.Variable("b")
    return mx.sym.elemwise_mul(a, b, name="mul")


def _setup(mx):
    nd, sym, cpu = mx.nd, mx.sym, mx.cpu()
    x, y = nd.array([1, 2, 3]), nd.array([4, 5, 6])
    gx, gy = nd.full((3,), 7), nd.full((3,), 7)
    s = _product(mx)
    e = s.bind(cpu, [x, y], [gx, gy])
    added = s.bind(cpu, [x, y], [gx, gy], "add")
    d, label = sym.Variable("data"), sym.Variable("label")
    fc = sym.FullyConnected(d, num_hidden=3, name="fc")
    net = sym.SoftmaxOutput(fc, label, name="sm")

    def bound(symbol, req="write", **kwargs):
        executor = symbol.simple_bind(cpu, req, **kwargs)
        for k, array in enumerate(executor.arg_arrays):
            array[:] = nd.array(data(array.shape, seed=k))
        return executor

    def trained(executor, *heads, times=1):
        executor.forward(is_train=True)
        for _ in range(times):
            executor.backward(*heads)
        return [executor.outputs, executor.grad_arrays]

    def shapes(executor):
        arrays = {**executor.arg_dict, **executor.aux_dict}
        return {name: (array.shape, np.dtype(array.dtype).name) for name, array in arrays.items()}

    def then(*_):
        return [e.outputs, x, y, gx, gy]

    def arrays(*_):
        return [x, y, gx, gy]

    one = nd.ones((3,))
    return locals()


values(
    __name__,
    _setup,
    """
    then(e.forward())
    then(e.forward(is_train=True), e.backward(one))
    then(e.forward(is_train=True), e.backward([one * 2]))
    then(e.forward(is_train=True), e.backward({'mul_output': one * 2}))
    then(e.forward(is_train=True), e.backward(one), e.backward(one * 3))
    arrays(e.backward(one))
    then(e.forward(is_train=False), e.backward(one))
    then(e.forward(is_train=True), x.__setitem__(slice(None), 9), e.backward(one))
    then(e.forward(a=nd.array([7, 8, 9])))
    then(e.forward(a=np.array([7, 8, 9.0])))
    then(e.forward(a=nd.array([7, 8, 9], dtype='float64')))
    then(e.forward(True, b=one), e.backward(one))
    e.forward(a=nd.zeros((4,)))
    e.forward(q=one)
    e.forward(a=3)
    e.backward(3)
    e.backward(np.ones(3))
    e.backward([nd.ones((4,))])
    arrays(added.forward(is_train=True), added.backward(one))
    arrays(added.forward(is_train=True), added.backward(one), added.backward(one))
    [list(e.arg_dict), list(e.grad_dict), list(e.aux_dict), list(e.output_dict)]
    [e.outputs is e.outputs, e.forward() is e.outputs, e.arg_dict['a'] is x, e.grad_arrays[1] is gy]
    s.bind(cpu, {'a': x, 'b': y, 'q': y}).forward()
    s.bind(cpu, {'a': x})
    s.bind(cpu, [x])
    s.bind(cpu, [x, None])
    s.bind(cpu, {'a': x, 'b': np.ones(3)})
    s.bind(cpu, [x, nd.ones((4,))])
    s.bind(cpu, [x, y], [gx, gy], 'foo')
    s.bind('cpu', [x, y])
    trained(s.bind(cpu, [x, y], [gx, gy], ['add', 'null']), one)
    trained(s.bind(cpu, [x, y], [gx, gy], {'b': 'add'}), one)
    trained(s.bind(cpu, [x, y], {'b': gy}), one)
    trained(s.bind(cpu, [x, x], [gx, gx], 'add'), one)
    trained(s.bind(cpu, [x, x], [gx, gx]), one)
    trained(sym.Group([a, s, s]).bind(cpu, [x, y], [gx, gy]), [one, one, one * 2])
    trained(sym.Group([a * 2, sym.BlockGrad(b)]).bind(cpu, [x, y], [gx, gy]), [one, one])
    trained(sym.Group([a * 2, sym.BlockGrad(b)]).bind(cpu, [x, y], [gx, gy], 'add'), [one, one])
    s.eval(a=x, b=y)
    sym.Group([a, s]).eval(a=x, b=y, q=x)
    s.eval(a=x)
    sym.zeros((2,)).eval()
    shapes(net.simple_bind(cpu, data=(2, 4)))
    shapes(net.simple_bind(cpu, data=(2, 4), label=(2,), q=(3,)))
    shapes(net.simple_bind(cpu, data=(2, 4), type_dict={'data': 'float64'}))
    shapes(sym.BatchNorm(d, name='bn').simple_bind(cpu, data=(2, 4)))
    shapes(sym.BatchNorm(d, name='bn').simple_bind(cpu, data=(2, 4), type_dict={'data': 'float16'}))
    shapes((d + sym.zeros(shape=(0, 4))).simple_bind(cpu, data=(2, 4)))
    [g is None for g in net.simple_bind(cpu, 'null', data=(2, 4)).grad_arrays]
    [g is None for g in bound(net, ['null', 'add', 'write', 'null'], data=(2, 4)).grad_arrays]
    [g is None for g in net.simple_bind(cpu, {'fc_bias': 'write'}, data=(2, 4)).grad_arrays]
    net.simple_bind(cpu)
    net.simple_bind(cpu, data=(2, 4), label=(3,))
    trained(bound(net, data=(2, 4)))
    trained(bound(net, data=(2, 4)), nd.ones((2, 3)) * 5)
    trained(bound(net, 'add', data=(2, 4)), times=2)
    trained(bound(fc, data=(2, 4)))
    trained(bound(fc, data=(2, 4)), nd.ones((2, 3)))
    trained(bound(sym.Group([net, sym.BlockGrad(fc)]), data=(2, 4)))
    trained(bound(sym.Group([net, fc]), data=(2, 4)))
    trained(bound(sym.make_loss(fc), data=(2, 4)))
    trained(bound(sym.MakeLoss(fc, grad_scale=3), data=(2, 4)))
    trained(bound(sym.LinearRegressionOutput(fc, sym.Variable('target')), data=(2, 4)))
    trained(bound(sym.LogisticRegressionOutput(fc, sym.Variable('target')), data=(2, 4)))
    trained(bound(sym.MAERegressionOutput(fc, sym.Variable('target')), data=(2, 4)))
    trained(bound(sym.SVMOutput(fc, label), data=(2, 4), label=(2,)))
    trained(bound(sym.ceil(fc), data=(2, 4)))
    trained(bound(sym.argmax(fc, axis=1), data=(2, 4)))
    trained(bound(sym.zeros_like(fc), data=(2, 4)))
    trained(bound(sym.sum(fc), data=(2, 4)))
    shapes(bound(net, data=(4, 4)).reshape(data=(2, 4), label=(2,)))
    bound(net, data=(4, 4)).reshape(data=(2, 4), label=(2,)).forward()
    bound(net, data=(4, 4)).reshape(data=(8, 4), label=(8,))
    shapes(bound(net, data=(4, 4)).reshape(allow_up_sizing=True, data=(8, 4), label=(8,)))
    bound(net, data=(4, 4)).reshape(data=(2, 4))
    shapes(bound(net, data=(4, 4)).reshape(partial_shaping=True, data=(2, 4)))
    shapes(bound(net, data=(4, 4)).reshape(partial_shaping=True, data=(4, 3)))
    bound(net, data=(4, 4)).reshape(q=(4, 4))
    e.copy_params_from({'a': one})
    arrays(e.copy_params_from({'a': nd.ones((3,), dtype='float64')}))
    e.copy_params_from({'q': one})
    e.copy_params_from({}, {'q': one})
    arrays(e.copy_params_from({'q': one, 'a': one}, {'q': one}, allow_extra_params=True))
    e.copy_params_from({'a': nd.ones((4,))})
    nd.CachedOp(s)(x, y)
    nd.CachedOp(sym.Group([a, s, s]))(x, y)
    nd.CachedOp(s)(x, y, out=gx) is gx
    nd.CachedOp(s)(x)
    nd.CachedOp(s)(x, y, y)
    nd.CachedOp(s)(x, nd.ones((4,)))
    nd.CachedOp(s)(x, y, foo=1)
    nd.CachedOp(s, [('static_alloc', True), ('static_shape', True)])(x, y)
    nd.CachedOp(s, [('static_shape', True)])
    nd.CachedOp(s, [('inline_limit', 2), ('data_indices', [0]), ('param_indices', [1])])(x, y)
    nd.CachedOp(s, [('foo', 1)])
    """,
)


@case
def shared_memory_of_reshape(mx):
    d = mx.sym.Variable("data")
    symbol = mx.sym.FullyConnected(d, num_hidden=2, name="fc")
    large = symbol.simple_bind(mx.cpu(), data=(4, 3))
    small = large.reshape(data=(2, 3))
    small.arg_dict["data"][:] = 3
    small.arg_dict["fc_weight"][:] = 7
    small.grad_dict["data"][:] = 5
    return [large.arg_arrays, large.grad_arrays]


@case
def outputs_are_written_over(mx):
    x = mx.nd.array([1, 2])
    executor = (mx.sym.Variable("a") * 2).bind(mx.cpu(), [x])
    first = executor.forward()[0]
    x[:] = 5
    executor.forward()
    return first


@case
def a_monitor_sees_names(mx):
    names = []

    def look(name, value):
        names.append(name if isinstance(name, str) else name.decode())

    symbol = mx.sym.SoftmaxOutput(
        mx.sym.FullyConnected(mx.sym.Variable("data"), num_hidden=3, name="fc"), name="sm"
    )
    executor = symbol.simple_bind(mx.cpu(), data=(2, 4))
    executor.set_monitor_callback(look)
    executor.forward()[0].wait_to_read()
    first, names[:] = list(names), []
    executor.set_monitor_callback(look, monitor_all=True)
    executor.forward()[0].wait_to_read()
    return [first, list(names)]


@case
def statistics_after_training(mx):
    layer = mx.sym.BatchNorm(mx.sym.Variable("data"), name="bn", fix_gamma=False)
    executor = layer.simple_bind(mx.cpu(), data=(4, 2))
    executor.arg_dict["data"][:] = mx.nd.array(data((4, 2)))
    executor.arg_dict["bn_gamma"][:] = 2
    results = []
    for _ in range(2):
        executor.forward(is_train=True)
        executor.backward(mx.nd.ones((4, 2)))
        # MXNet's backward changes the statistics without telling who waits for them.
        mx.nd.waitall()
        results += [x.asnumpy() for x in (*executor.aux_arrays, *executor.grad_arrays)]
    executor.forward()
    return [results, executor.outputs, executor.aux_arrays]


@case
def a_cached_op_in_training(mx):
    layer = mx.sym.BatchNorm(mx.sym.Variable("data"), name="bn", fix_gamma=False)
    call = mx.nd.CachedOp(mx.sym.tanh(layer))
    x = mx.nd.array(data((4, 2)))
    x.attach_grad()
    gamma, beta, mean, var = (mx.nd.full((2,), v) for v in (2, 1, 0, 1))
    gamma.attach_grad()
    for _ in range(2):
        with mx.autograd.record():
            y = call(x, gamma, beta, mean, var)
        y.backward()
        mx.nd.waitall()
    return [y, x.grad, gamma.grad, mean, var, call(x, gamma, beta, mean, var)]


def _register_scale(mx):
    log = []

    class Scale(mx.operator.CustomOp):
        def __init__(self, factor):
            self.factor = factor

        def forward(self, is_train, req, in_data, out_data, aux):
            log.append(f"forward {bool(is_train)}")
            self.assign(out_data[0], req[0], in_data[0] * self.factor)
            self.assign(out_data[1], req[1], in_data[1] + 1)
            aux[0][:] += 1

        def backward(self, req, out_grad, in_data, out_data, in_grad, aux):
            self.assign(in_grad[0], req[0], out_grad[0] * self.factor)
            self.assign(in_grad[1], req[1], 0)

    @mx.operator.register("conformance_scale")
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
            log.append(f"create {[list(shape) for shape in in_shapes]}")
            return Scale(self.factor)

    return log


@case
def custom_nodes(mx):
    log = _register_scale(mx)
    with mx.name.NameManager():
        symbol = mx.sym.Custom(mx.sym.Variable("d"), op_type="conformance_scale", k=3)
    described = [
        symbol.name,
        symbol.list_arguments(),
        symbol.list_auxiliary_states(),
        symbol.list_outputs(),
        symbol.tojson(),
        symbol.infer_shape(d=(2, 3)),
        [np.dtype(t).name for t in symbol.infer_type(d="float64")[0]],
    ]
    executor = symbol.simple_bind(mx.cpu(), d=(2, 3))
    executor.arg_dict["d"][:] = mx.nd.array(data((2, 3)))
    log.clear()
    executor.forward(is_train=True)
    executor.backward([mx.nd.ones((2, 3)), mx.nd.ones((2,))])
    executor.forward()
    executor.outputs[0].wait_to_read()
    calls = [line for line in log if line.startswith("forward")]
    return [described, executor.outputs, executor.grad_arrays, executor.aux_arrays, calls]


@case
def custom_losses(mx):
    class Loss(mx.operator.CustomOp):
        def forward(self, is_train, req, in_data, out_data, aux):
            self.assign(out_data[0], req[0], in_data[0])

        def backward(self, req, out_grad, in_data, out_data, in_grad, aux):
            self.assign(in_grad[0], req[0], in_data[0] * 7)

    @mx.operator.register("conformance_loss")
    class LossProp(mx.operator.CustomOpProp):
        def __init__(self):
            super().__init__(need_top_grad=False)

        def create_operator(self, ctx, in_shapes, in_dtypes):
            return Loss()

    symbol = mx.sym.Custom(mx.sym.Variable("d"), op_type="conformance_loss", name="L")
    executor = symbol.simple_bind(mx.cpu(), d=(2,))
    executor.arg_dict["d"][:] = 2
    executor.forward(is_train=True)
    executor.backward()
    return [symbol.list_outputs(), executor.outputs, executor.grad_arrays]
