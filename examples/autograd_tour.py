"""A tour of automatic differentiation with mxtape.

Run it:  python examples/autograd_tour.py

Read it from top to bottom: every stop is a few lines that you could have typed yourself. Each
result is printed beside the value that mathematics says it must have, and the program exits with
status 1 if a single one differs.
"""

import functools
import json
import sys
import textwrap

import numpy as np

import mxtape as mx
from mxtape import autograd, nd
from mxtape.base import MXNetError
from mxtape.contrib.autograd import grad_and_loss

wrong: list = []


def show(what, got, must_be):
    """Print `got` beside `must_be`, and remember `what` if they differ by more than 0.01 %."""
    got, must_be = to_numpy(got), to_numpy(must_be)
    if got.dtype.kind == "U" or must_be.dtype.kind == "U":
        same = got.tolist() == must_be.tolist()
    else:
        same = got.shape == must_be.shape and np.allclose(got, must_be, rtol=1e-4, atol=1e-6)
    if not same:
        wrong.append(what)
    verdict = "ok" if same else "WRONG"
    print(f"    {what:<42}{one_line(got):<32} must be {one_line(must_be):<32} {verdict}")


def to_numpy(value):
    return value.asnumpy() if isinstance(value, nd.NDArray) else np.asarray(value)


def one_line(value):
    """Write an array on one line, only the ends of a long one: [[1 2] [3 4]], [1 1 ... 1 1]."""
    number = functools.partial(np.format_float_positional, trim="-")
    text = np.array2string(
        value.astype("float32") if value.dtype.kind == "f" else value,
        threshold=8,
        edgeitems=3,
        max_line_width=1000,
        formatter={"float_kind": number, "int_kind": str, "str_kind": str},
    )
    return " ".join(text.split())


def show_refused(what, action):
    """Call `action`, which has to raise MXNetError, and print the message that it gives."""
    try:
        action()
    except MXNetError as error:
        show(what, "refused", "refused")
        print(textwrap.indent(textwrap.fill(str(error), 96), "      | "))
    else:
        show(what, "accepted", "refused")


def first_gradient():
    """Attach a gradient, record, go backward"""
    x = nd.array([[1, 2], [3, 4]])
    x.attach_grad()  # room for dy/dx, in x.grad
    with autograd.record():  # from here on, mxtape remembers what is computed
        y = 2 * x * x
    y.backward()  # dy/dx by the chain rule, from y back to x
    show("gradient of 2x² is 4x", x.grad, [[4, 8], [12, 16]])


def head_gradients():
    """Start backward from something else than ones"""
    x = nd.array([[1, 2], [3, 4]])
    x.attach_grad()
    with autograd.record():
        y = x * x
    y.backward(nd.array([[10, 1], [0.1, 0.01]]))  # d(loss)/dy, if the loss was computed elsewhere
    show("2x, each times its head gradient", x.grad, [[20, 4], [0.6, 0.08]])


def second_derivative():
    """Differentiate a derivative"""
    x = nd.array([1])
    x.attach_grad()
    with autograd.record():
        # elemwise_add and not `+`, so that MXNet 1.9.1, which cannot go twice through its
        # broadcasting `+`, runs this tour as well. mxtape does not mind.
        z = nd.elemwise_add(nd.exp(x), x)
        (dz_dx,) = autograd.grad(z, [x], create_graph=True, retain_graph=True)
    show("z = exp(x) + x at 1: dz/dx = e + 1", dz_dx, [3.7182817])
    dz_dx.backward()  # dz_dx was recorded too, so it has a gradient of its own
    show("its own derivative, e", x.grad, [2.7182817])


def hessian_vector_product():
    """A Hessian times a vector, without the Hessian"""
    x = nd.array([0.5, 1, -1])
    v = nd.array([1, -1, 2])
    x.attach_grad()
    with autograd.record():
        y = nd.exp(nd.square(x))
        (gradient,) = autograd.grad(y, [x], create_graph=True, retain_graph=True)
    gradient.backward(v)  # the gradient of (gradient · v) is H v
    # Here H happens to be diagonal, (2 + 4x²) exp(x²), so that we can check it by hand.
    show("H v for f(x) = Σ exp(x²)", x.grad, (2 + 4 * x * x) * nd.exp(x * x) * v)


def control_flow():
    """Loops and branches are just Python"""

    def f(a):
        b = a * 2
        while b.norm().asscalar() < 1000:
            b = b * 2
        return b[0] if b.sum().asscalar() >= 0 else b[1]

    # f only ever doubles its input and picks one element, so df/da is f(a) / a at that element.
    for start in ([0.3, 0.7], [0.25, -0.9]):
        a = nd.array(start)
        a.attach_grad()
        with autograd.record():
            c = f(a)
        c.backward()
        picked = 0 if sum(start) >= 0 else 1
        must_be = [0.0, 0.0]
        must_be[picked] = c.asscalar() / start[picked]
        show(f"gradient of f at {start}, f(a) / a", a.grad, must_be)


def accumulate():
    """Add gradients up with grad_req='add'"""
    x = nd.array([1, 2, 3])
    x.attach_grad(grad_req="add")
    for _ in range(3):
        with autograd.record():
            y = x * x
        y.backward()
    show("three times 2x", x.grad, [6, 12, 18])
    x.grad[:] = 0  # 'add' never clears the gradient: that is your decision
    show("after x.grad[:] = 0", x.grad, [0, 0, 0])


def cut_the_graph():
    """Keep a value, drop its history"""
    x = nd.array([2, 3])
    x.attach_grad()
    with autograd.record():
        y = x * x
        z = y.detach() * x  # the same numbers as y, but a constant to backward
    z.backward()
    show("d/dx of constant(x²) * x is x²", x.grad, [4, 9])

    with autograd.record():
        z = nd.BlockGrad(x * x) * x  # the same cut as an operator
    z.backward()
    show("the same with BlockGrad", x.grad, [4, 9])

    with autograd.record():
        y = x * x
        with autograd.pause():  # not recorded at all
            factor = nd.exp(x * 0)
        z = y * factor
    z.backward()
    show("work under pause() is a constant too", x.grad, [4, 6])


def functions_to_gradients():
    """Turn a function into one that also returns its gradients"""

    def cost(a, b):
        return a * b + b

    a, b = nd.array([2]), nd.array([3])
    gradients, loss = grad_and_loss(cost)(a, b)
    show("ab + b at a=2, b=3", loss, [9])
    show("its gradients, b and a + 1", [g.asscalar() for g in gradients], [3, 3])
    gradients, _ = grad_and_loss(cost, argnum=1)(a, b)
    show("argnum=1: for b alone", [g.asscalar() for g in gradients], [3])


class Sigmoid(autograd.Function):
    """1 / (1 + exp(-x)) with a gradient of our own, which reuses the output."""

    def forward(self, x):
        y = 1 / (1 + nd.exp(-x))
        self.save_for_backward(y)
        return y

    def backward(self, dy):
        (y,) = self.saved_tensors
        return dy * y * (1 - y)


def custom_function():
    """Write your own differentiable function"""
    x = nd.array([-1, 0, 2])
    x.attach_grad()
    with autograd.record():
        y = Sigmoid()(x)
    y.backward()
    s = 1 / (1 + np.exp(-x.asnumpy()))
    show("Sigmoid()(x)", y, s)
    show("its gradient, s (1 - s)", x.grad, s * (1 - s))


def training_and_prediction():
    """Some operators behave differently in training"""
    mx.random.seed(7)
    x = nd.ones((1000,))
    x.attach_grad()
    with autograd.record():  # recording implies training, unless told otherwise
        y = nd.Dropout(x, p=0.5)
    y.backward()
    show("training: what is kept is doubled", sorted(set(y.asnumpy())), [0, 2])
    show("and the gradient has the same holes", x.grad, y)
    show("about half is kept", bool(400 < np.count_nonzero(y.asnumpy()) < 600), True)

    show("outside record(): unchanged", nd.Dropout(x, p=0.5), np.ones(1000))
    with autograd.record(train_mode=False):
        y = nd.Dropout(x, p=0.5)
    show("record(train_mode=False): unchanged", y, np.ones(1000))
    with autograd.train_mode():
        y = nd.Dropout(x, p=0.5)
    show("train_mode() without recording: drops", sorted(set(y.asnumpy())), [0, 2])
    with autograd.train_mode(), autograd.predict_mode():
        show("predict_mode() inside: unchanged", nd.Dropout(x, p=0.5), np.ones(1000))


def look_at_the_graph():
    """See what was recorded"""
    x = nd.array([1, 2])
    x.attach_grad()
    with autograd.record():
        y = nd.log(nd.square(x) + 3)
    symbol = autograd.get_symbol(y)
    nodes = json.loads(symbol.tojson())["nodes"]
    show(
        "the operators, oldest first",
        [node["op"] for node in nodes],
        ["null", "square", "_plus_scalar", "log"],
    )
    show("number of arguments (x)", len(symbol.list_arguments()), 1)
    show("number of outputs (y)", len(symbol.list_outputs()), 1)


def refusals():
    """What cannot be right is refused"""
    x = nd.array([1, 2])
    x.attach_grad()

    def overwrite():
        with autograd.record():
            y = x * x
            y[:] = 0

    show_refused("backward of an array never recorded", lambda: nd.ones((2,)).backward())
    show_refused("overwriting a recorded array", overwrite)
    show("x is as it was", x, [1, 2])


STOPS = [
    first_gradient,
    head_gradients,
    second_derivative,
    hessian_vector_product,
    control_flow,
    accumulate,
    cut_the_graph,
    functions_to_gradients,
    custom_function,
    training_and_prediction,
    look_at_the_graph,
    refusals,
]


def main():
    for number, stop in enumerate(STOPS, start=1):
        print(f"{number:2}. {stop.__doc__}")
        stop()
        print()
    if wrong:
        print(f"{len(wrong)} results are wrong: {'; '.join(wrong)}")
        return 1
    print("Every result is what it must be.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
