"""autograd.Function: gradients written in Python."""

import gc
import weakref

import numpy as np
import pytest

from mxtape import autograd, nd
from mxtape.base import MXNetError
from support import assert_same, variable


class Sigmoid(autograd.Function):
    def forward(self, x):
        y = 1 / (1 + nd.exp(-x))
        self.save_for_backward(y)
        return y

    def backward(self, dy):
        (y,) = self.saved_tensors
        return dy * y * (1 - y)


class ProductAndSum(autograd.Function):
    def forward(self, a, b):
        self.save_for_backward(a, b)
        return a * b, a + b

    def backward(self, d_product, d_sum):
        a, b = self.saved_tensors
        return d_product * b + d_sum, d_product * a + d_sum


class Scale(autograd.Function):
    """x * 2 whose gradient is told to be `factor`, so that a test sees who computed it."""

    def __init__(self, factor=2):
        super().__init__()
        self.factor = factor

    def forward(self, x):
        return x * 2

    def backward(self, dy):
        return dy * self.factor


def test_one_input_one_output():
    x = variable([-1.0, 0.0, 2.0])
    with autograd.record():
        y = Sigmoid()(x)
    assert isinstance(y, nd.NDArray)
    y.backward()
    sigmoid = 1 / (1 + np.exp([1.0, 0.0, -2.0]))
    assert_same(y, sigmoid)
    assert_same(x.grad, sigmoid * (1 - sigmoid))


def test_several_inputs_and_outputs():
    a, b = variable([1.0, 2.0]), variable([3.0, 4.0])
    with autograd.record():
        product, total = ProductAndSum()(a, b)
        loss = product * 2 + total
    loss.backward()
    assert_same(a.grad, [7, 9])
    assert_same(b.grad, [3, 5])


def test_one_unused_output_gets_zeros():
    a, b = variable([1.0, 2.0]), variable([3.0, 4.0])
    with autograd.record():
        product, _ = ProductAndSum()(a, b)
    product.backward()
    assert_same(a.grad, [3, 4])
    assert_same(b.grad, [1, 2])


def test_same_array_for_both_inputs():
    a = variable([3.0])
    with autograd.record():
        product, total = ProductAndSum()(a, a)
        loss = product + total
    loss.backward()
    assert_same(a.grad, [8])


def test_its_own_gradient_is_used():
    x = variable([1.0, 2.0])
    with autograd.record():
        y = Scale(factor=100)(x) + x
    y.backward()
    assert_same(x.grad, [101, 101])


def test_inside_a_larger_graph():
    x = variable([0.5])
    with autograd.record():
        y = nd.exp(Scale()(nd.square(x))) * 3
    y.backward()
    assert_same(x.grad, [3 * np.exp(0.5) * 2])


def test_functions_stacked():
    x = variable([1.0])
    with autograd.record():
        y = x
        for _ in range(10):
            y = Scale()(y)
    y.backward()
    assert_same(y, [1024])
    assert_same(x.grad, [1024])


def test_constant_input_beside_a_variable():
    a, b = variable([1.0, 2.0]), nd.array([3.0, 4.0])
    with autograd.record():
        product, _ = ProductAndSum()(a, b)
    product.backward()
    assert_same(a.grad, [3, 4])
    assert b.grad is None


@pytest.mark.differs("MXNet writes a Function's input gradient over what `add` had gathered")
def test_gradient_request_add():
    x = variable([1.0, 2.0], grad_req="add")
    for run in range(1, 4):
        with autograd.record():
            y = Scale()(x)
        y.backward()
        assert_same(x.grad, [2 * run] * 2)


@pytest.mark.differs("MXNet writes a Function's input gradient over what `add` had gathered")
def test_gradient_request_add_for_several_inputs():
    a, b = variable([1.0, 2.0], grad_req="add"), variable([3.0, 4.0], grad_req="add")
    a.grad[:] = 100
    with autograd.record():
        product, total = ProductAndSum()(a, b)
        loss = product + total
    loss.backward()
    assert_same(a.grad, [104, 105])
    assert_same(b.grad, [2, 3])


def test_input_also_used_elsewhere_sums():
    x = variable([1.0, 2.0])
    with autograd.record():
        y = Scale()(x) * Scale()(x) + x
    y.backward()
    assert_same(x.grad, [9, 17])


@pytest.mark.differs("MXNet gives zeros to the inputs of a Function that has a null input")
def test_request_null_beside_write():
    a, b = variable([1.0, 2.0], grad_req="null"), variable([3.0, 4.0])
    with autograd.record():
        product, _ = ProductAndSum()(a, b)
    product.backward()
    assert_same(b.grad, [1, 2])


def test_forward_and_backward_do_not_record():
    seen = []

    class Watch(autograd.Function):
        def forward(self, x):
            seen.append(("forward", autograd.is_recording()))
            return x * 2

        def backward(self, dy):
            seen.append(("backward", autograd.is_recording()))
            return dy * 2

    x = variable([1.0])
    with autograd.record():
        y = Watch()(x)
        assert autograd.is_recording()
    y.backward()
    nd.waitall()
    assert seen == [("forward", False), ("backward", False)]


def test_outside_of_record_only_computes():
    x = variable([1.0])
    y = Scale()(x)
    assert_same(y, [2])
    with pytest.raises(MXNetError):
        y.backward()


def test_retained_graph_calls_backward_again():
    x = variable([1.0])
    with autograd.record():
        y = Scale(factor=5)(x)
    y.backward(retain_graph=True)
    y.backward(nd.array([10.0]))
    assert_same(x.grad, [50])


def test_instance_is_called_once():
    function = Scale()
    x = variable([1.0])
    with autograd.record():
        function(x)
        with pytest.raises((AssertionError, MXNetError), match="once"):
            function(x)


def test_missing_methods():
    with pytest.raises(NotImplementedError):
        autograd.Function()(variable([1.0]))


ERROR_INSIDE = pytest.mark.differs(
    "MXNet prints the traceback, raises an error that names a C++ line alone, raises it again at "
    "exit, and leaves CPython's recursion counter wrong",
    run=False,
)


@ERROR_INSIDE
def test_exception_of_backward_is_told():
    class Broken(autograd.Function):
        def forward(self, x):
            return x * 2

        def backward(self, dy):
            raise ValueError("told by the test")

    x = variable([1.0])
    x.grad[:] = 7
    with autograd.record():
        y = Broken()(x)
    with pytest.raises((MXNetError, ValueError), match="told by the test"):
        y.backward()
    assert_same(x.grad, [7])


def broken_function(result):
    class Broken(autograd.Function):
        def forward(self, *inputs):
            return inputs[0] * 2

        def backward(self, dy):
            return result(dy)

    return Broken()


WRONG_RESULTS = {
    "too many": lambda dy: (dy, dy),
    "nothing": lambda dy: (),
    "none": lambda dy: None,
    "number": lambda dy: 3,
    "shape": lambda dy: nd.ones((3,)),
}


@ERROR_INSIDE
@pytest.mark.parametrize("kind", WRONG_RESULTS)
def test_wrong_result_of_backward_is_refused(kind):
    x = variable([1.0, 2.0])
    x.grad[:] = 7
    with autograd.record():
        y = broken_function(WRONG_RESULTS[kind])(x)
    with pytest.raises(MXNetError):
        y.backward()
    assert_same(x.grad, [7, 7])


@ERROR_INSIDE
def test_too_few_gradients_are_refused():
    a, b = variable([1.0]), variable([2.0])
    with autograd.record():
        y = broken_function(lambda dy: dy)(a, b)
    with pytest.raises(MXNetError):
        y.backward()
    assert_same(a.grad, [0])
    assert_same(b.grad, [0])


@ERROR_INSIDE
@pytest.mark.parametrize(
    ("kind", "words"),
    [("too many", ["Broken", "1", "2"]), ("shape", ["Broken", "(3,)", "(2,)"])],
)
def test_refusal_names_the_class_and_what_it_gave(kind, words):
    x = variable([1.0, 2.0])
    with autograd.record():
        y = broken_function(WRONG_RESULTS[kind])(x)
    with pytest.raises(MXNetError) as raised:
        y.backward()
    for word in words:
        assert word in str(raised.value), str(raised.value)


@ERROR_INSIDE
def test_engine_works_after_a_failed_backward():
    x = variable([1.0, 2.0])
    with autograd.record():
        y = broken_function(lambda dy: 3)(x)
    with pytest.raises(MXNetError):
        y.backward()
    assert not autograd.is_recording()
    with autograd.record():
        y = x * 4
    y.backward()
    assert_same(x.grad, [4, 4])


def test_function_never_run_backward_is_freed():
    function = Scale()
    alive = weakref.ref(function)
    x = variable([1.0])
    with autograd.record():
        y = function(x) + 1
    del function
    gc.collect()
    assert alive() is not None, "the graph must keep it"
    del y
    gc.collect()
    assert alive() is None


@pytest.mark.differs("MXNet keeps a Function that has run backward")
def test_function_is_freed_after_backward():
    function = Sigmoid()
    alive = weakref.ref(function)
    x = variable([1.0])
    with autograd.record():
        y = function(x)
    del function
    y.backward()
    del y
    nd.waitall()
    gc.collect()
    assert alive() is None


@pytest.mark.differs("MXNet refuses second order through a Function")
def test_second_order_goes_through_its_backward():
    class Cube(autograd.Function):
        def forward(self, x):
            self.save_for_backward(x)
            return x * x * x

        def backward(self, dy):
            (x,) = self.saved_tensors
            return dy * 3 * x * x

    x = variable([2.0])
    with autograd.record():
        y = Cube()(x)
        (first,) = autograd.grad(y, [x], create_graph=True)
    assert_same(first, [12])
    first.backward()
    assert_same(x.grad, [12])


class TimesExp(autograd.Function):
    """x * exp(x), in the ways that backward can come by exp(x)."""

    def forward(self, x):
        self.x = x
        return self.value(x)

    def value(self, x):
        return x * nd.exp(x)


class Saves(TimesExp):
    def forward(self, x):
        t = nd.exp(x)
        self.save_for_backward(x, t)
        return t * x

    def backward(self, dy):
        x, t = self.saved_tensors
        return dy * (x * t + t)


class Keeps(TimesExp):
    def forward(self, x):
        self.x, self.kept = x, {"t": nd.exp(x)}
        return self.x * self.kept["t"]

    def backward(self, dy):
        return dy * (self.x + 1) * self.kept["t"]


class Again(TimesExp):
    def backward(self, dy):
        return dy * (self.forward(self.x) + nd.exp(self.x))


class Sweeps(TimesExp):
    def backward(self, dy):
        x = self.x.detach()
        x.attach_grad()
        with autograd.record():
            y = self.value(x)
        y.backward(dy)
        return x.grad


class Grad(TimesExp):
    create_graph = False

    def backward(self, dy):
        with autograd.record():
            y = self.value(self.x)
        return autograd.grad(y, self.x, dy, create_graph=self.create_graph)[0]


class GradOfGrad(Grad):
    create_graph = True


def twice(function, how):
    x = variable([1.0])
    with autograd.record():
        (first,) = autograd.grad(function(x), [x], create_graph=True)
    assert_same(first, [2 * np.e])
    if how == "grad":
        return autograd.grad(first, [x])[0]
    first.backward()
    return x.grad


@pytest.mark.differs("MXNet refuses second order through a Function")
@pytest.mark.parametrize("how", ["grad", "backward"])
def test_second_order_through_what_backward_computes_again(how):
    for function in (Again, GradOfGrad):
        assert_same(twice(function(), how), [3 * np.e])


@pytest.mark.differs("MXNet refuses second order through a Function")
@pytest.mark.parametrize("how", ["grad", "backward"])
def test_second_order_through_what_forward_kept_is_refused(how):
    for function in (Saves, Keeps):
        with pytest.raises(
            MXNetError, match=f"{function.__name__}.*which forward computed.*BlockG"
        ):
            twice(function(), how)
    for function in (Sweeps, Grad):
        with pytest.raises(MXNetError, match=f"{function.__name__}.*create_graph=True"):
            twice(function(), how)
    # None of this in a first gradient.
    for function in (Saves, Keeps, Again, Sweeps, Grad, GradOfGrad):
        x = variable([1.0])
        with autograd.record():
            y = function()(x)
        y.backward()
        assert_same(x.grad, [2 * np.e])


@pytest.mark.differs("MXNet refuses second order through a Function")
def test_second_order_with_constants_that_forward_kept():
    class Masked(autograd.Function):
        def forward(self, x):
            self.x, self.mask = x, x > 0
            return x * x * self.mask

        def backward(self, dy):
            return dy * 2 * self.x * nd.BlockGrad(self.mask)

    x = variable([-1.0, 2.0])
    with autograd.record():
        (first,) = autograd.grad(Masked()(x), [x], create_graph=True)
    first.backward()
    assert_same(x.grad, [0, 2])


class KeepsInputs(autograd.Function):
    """x * y, with attributes of common names."""

    def forward(self, x, y):
        self._inputs = self._saved = (x, y)
        self.save_for_backward(x, y)
        return x * y

    def backward(self, dy):
        x, y = self._inputs
        return dy * y, dy * x


def test_a_saved_input_that_is_marked_later_is_what_it_was():
    v = nd.array([0.6875], dtype="float64")
    v.attach_grad()
    with autograd.record():
        square = v * v
        cube = KeepsInputs()(square, v)
        square.attach_grad("add")
        (slope,) = autograd.grad([cube], [v], create_graph=True)
    (curvature,) = autograd.grad([slope], [v])
    np.testing.assert_allclose(curvature.asnumpy(), 6 * v.asnumpy())
    # It is a variable again.
    with autograd.record():
        loss = (square * 3).sum()
    loss.backward()
    assert square.grad.asnumpy() == 3


def test_a_constant_that_is_marked_later_stays_one():
    x, w = nd.array([2.0]), nd.array([5.0])
    x.attach_grad()
    with autograd.record():
        y = KeepsInputs()(x, w)
        w.attach_grad()
        (slope,) = autograd.grad([y], [x], create_graph=True)
        total = slope + x * 0
    total.backward()
    assert w.grad.asnumpy() == 0


class Scaled(autograd.Function):
    """Does not call the constructor of its base class."""

    def __init__(self, factor, wrap=lambda array: array):
        self.factor, self.wrap = factor, wrap

    def forward(self, x):
        return self.wrap(x * self.factor)

    def backward(self, dy):
        return dy * self.factor


def test_a_constructor_that_does_not_call_its_base():
    x = variable([1.0, 2.0])
    with autograd.record():
        y = Scaled(3)(x)
    y.backward()
    assert x.grad.asnumpy().tolist() == [3.0, 3.0]
    function = Scaled(3)
    with autograd.record():
        function(x)
    with pytest.raises(AssertionError, match="called once"):
        function(x)


@pytest.mark.parametrize(
    ("wrap", "words"),
    [
        (lambda a: a.asnumpy(), "an object of type numpy.ndarray; mx.nd.array"),
        (lambda a: [a, a.asnumpy()], "in a list an object of type numpy.ndarray; mx.nd.array"),
        (lambda a: None, "an object of type builtins.NoneType"),
        (lambda a: 3.0, "an object of type builtins.float"),
    ],
)
def test_forward_that_returns_no_array(wrap, words):
    x = variable([1.0, 2.0])
    for scope in (autograd.record(), autograd.pause()):
        with scope, pytest.raises(MXNetError) as error:
            Scaled(3, wrap)(x)
        assert "Scaled: forward must return an NDArray" in str(error.value)
        assert words in str(error.value)


def test_backward_that_returns_no_array():
    class Plain(Scaled):
        def backward(self, dy):
            return [dy.asnumpy()]

    x = variable([1.0, 2.0])
    with autograd.record():
        y = Plain(3)(x)
    with pytest.raises(MXNetError, match="Plain: backward must return an NDArray"):
        y.backward()
