"""grad(create_graph=True) and the gradient of what it returned."""

from harness import array, case, data, vector

SECOND_ORDER = {
    "exp": (lambda nd, x: nd.exp(x), (0.5, 2)),
    "log": (lambda nd, x: nd.log(x), (0.5, 2)),
    "sin": (lambda nd, x: nd.sin(x), (-2, 2)),
    "cos": (lambda nd, x: nd.cos(x), (-2, 2)),
    "tanh": (lambda nd, x: nd.tanh(x), (-2, 2)),
    "sigmoid": (lambda nd, x: nd.sigmoid(x), (-2, 2)),
    "square": (lambda nd, x: nd.square(x), (-2, 2)),
    "cube": (lambda nd, x: x * x * x, (-2, 2)),
    "tan": (lambda nd, x: nd.tan(x), (-1, 1)),
    "log2": (lambda nd, x: nd.log2(x), (0.5, 2)),
    "log10": (lambda nd, x: nd.log10(x), (0.5, 2)),
    "log1p": (lambda nd, x: nd.log1p(x), (0, 2)),
    "expm1": (lambda nd, x: nd.expm1(x), (-1, 1)),
    "reciprocal": (lambda nd, x: nd.reciprocal(x), (0.5, 2)),
    "relu": (lambda nd, x: nd.relu(x), (-2, 2)),
    "rsqrt": (lambda nd, x: nd.rsqrt(x), (0.5, 2)),
    "cbrt": (lambda nd, x: nd.cbrt(x), (0.5, 2)),
    "rcbrt": (lambda nd, x: nd.rcbrt(x), (0.5, 2)),
    "sinh": (lambda nd, x: nd.sinh(x), (-1, 1)),
    "cosh": (lambda nd, x: nd.cosh(x), (-1, 1)),
    "arcsin": (lambda nd, x: nd.arcsin(x), (-0.8, 0.8)),
    "arccos": (lambda nd, x: nd.arccos(x), (-0.8, 0.8)),
    "arctan": (lambda nd, x: nd.arctan(x), (-2, 2)),
    "arctanh": (lambda nd, x: nd.arctanh(x), (-0.8, 0.8)),
    "arccosh": (lambda nd, x: nd.arccosh(x), (1.2, 3)),
    "arcsinh": (lambda nd, x: nd.arcsinh(x), (-2, 2)),
    "sqrt": (lambda nd, x: nd.sqrt(x), (0.5, 2)),
    "abs": (lambda nd, x: nd.abs(x), (-2, 2)),
    "radians": (lambda nd, x: nd.radians(x), (-90, 90)),
    "degrees": (lambda nd, x: nd.degrees(x), (-2, 2)),
    "negative": (lambda nd, x: -x, (-2, 2)),
    "divide": (lambda nd, x: 1 / x + x / 3, (0.5, 2)),
    "power": (lambda nd, x: x**3, (0.5, 2)),
    "sum": (lambda nd, x: (x * x).sum(), (-2, 2)),
    "dot": (lambda nd, x: nd.dot(x, x), (-2, 2)),
    "clip": (lambda nd, x: nd.clip(x * x, 0, 2), (-2, 2)),
    "FullyConnected": (
        lambda nd, x: (
            nd.FullyConnected(x.reshape((2, 3)), nd.ones((2, 3)), no_bias=True, num_hidden=2) ** 2
        ),
        (-2, 2),
    ),
    "maximum": (lambda nd, x: nd.maximum(x * x, x), (-2, 2)),
    "log_softmax": (lambda nd, x: nd.log_softmax(x), (-2, 2)),
    "erf": (lambda nd, x: nd.erf(x), (-1, 1)),
    "broadcast_mul": (lambda nd, x: nd.broadcast_mul(x, x), (-2, 2)),
    "transpose": (lambda nd, x: nd.transpose(x.reshape((2, 3))) ** 2, (-2, 2)),
    "mean": (lambda nd, x: nd.mean(x * x), (-2, 2)),
    "softsign": (lambda nd, x: nd.softsign(x), (-2, 2)),
    "gamma": (lambda nd, x: nd.gamma(x), (1, 3)),
}
for label, (function, (low, high)) in SECOND_ORDER.items():

    @case(name=label)
    def second_order(mx, function=function, low=low, high=high):
        x = array(mx, data((6,), low, high, seed=151))
        x.attach_grad()
        with mx.autograd.record():
            y = function(mx.nd, x)
            first = mx.autograd.grad(y, x, create_graph=True, retain_graph=True)[0]
            z = first * mx.nd.array([1, 2, -1, 0.5, 3, -2])
        z.backward()
        return [first, x.grad]


@case
def create_graph_tutorial(mx):
    x = mx.nd.array([1.0])
    x.attach_grad()
    with mx.autograd.record():
        z = mx.nd.exp(x) + x
        dz = mx.autograd.grad(z, [x], create_graph=True, retain_graph=True)[0]
    dz.backward()
    return [dz, x.grad]


@case
def create_graph_with_head_gradients(mx):
    x, h = vector(mx), vector(mx, (3.0, 4.0, 5.0))
    with mx.autograd.record():
        y = mx.nd.sin(x)
        g = mx.autograd.grad(y, x, head_grads=h, create_graph=True)[0]
        z = g * g
    z.backward()
    return [g, x.grad, h.grad]


@case
def gradient_penalty(mx):
    x, w = array(mx, data((2, 3), seed=152)), array(mx, data((2, 3), seed=153))
    w.attach_grad()
    x.attach_grad()
    with mx.autograd.record():
        y = (x * w * x).sum()
        g = mx.autograd.grad(y, x, create_graph=True)[0]
        penalty = (g * g).sum()
    penalty.backward()
    return [g, w.grad, x.grad]
