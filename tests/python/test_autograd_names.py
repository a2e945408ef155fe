"""Every name of the two autograd modules exists, with MXNet's parameters and defaults."""

import inspect

import pytest

import mxtape as mx
import mxtape.contrib.autograd as contrib_autograd
from mxtape import autograd

AUTOGRAD = {
    "backward": "(heads, head_grads=None, retain_graph=False, train_mode=True)",
    "get_symbol": "(x)",
    "grad": (
        "(heads, variables, head_grads=None, retain_graph=None, create_graph=False, "
        "train_mode=True)"
    ),
    "is_recording": "()",
    "is_training": "()",
    "mark_variables": "(variables, gradients, grad_reqs='write')",
    "pause": "(train_mode=False)",
    "predict_mode": "()",
    "record": "(train_mode=True)",
    "set_recording": "(is_recording)",
    "set_training": "(train_mode)",
    "train_mode": "()",
}

CONTRIB = {
    "backward": "(outputs, out_grads=None, retain_graph=False)",
    "compute_gradient": "(outputs)",
    "grad": "(func, argnum=None)",
    "grad_and_loss": "(func, argnum=None)",
    "mark_variables": "(variables, gradients, grad_reqs='write')",
    "set_is_training": "(is_train)",
    "test_section": "()",
    "train_section": "()",
}

FUNCTION_METHODS = {
    "__call__": "(self, *inputs)",
    "__init__": "(self)",
    "backward": "(self, *output_grads)",
    "forward": "(self, *inputs)",
    "save_for_backward": "(self, *args)",
}

TRAINING_STATE_SCOPE_METHODS = {
    "__enter__": "(self)",
    "__exit__": "(self, ptype, value, trace)",
    "__init__": "(self, enter_state)",
}

OLDER_NAMES_IN_AUTOGRAD = [
    "set_is_training",
    "set_is_recording",
    "compute_gradient",
    "grad_and_loss",
    "train_section",
    "test_section",
]


def signature_without_annotations(callable_object):
    signature = inspect.signature(callable_object)
    parameters = [
        parameter.replace(annotation=inspect.Parameter.empty)
        for parameter in signature.parameters.values()
    ]
    return str(signature.replace(parameters=parameters, return_annotation=inspect.Signature.empty))


@pytest.mark.parametrize("name", AUTOGRAD)
def test_autograd_signature(name):
    assert signature_without_annotations(getattr(autograd, name)) == AUTOGRAD[name]


@pytest.mark.parametrize("name", CONTRIB)
def test_contrib_autograd_signature(name):
    assert signature_without_annotations(getattr(contrib_autograd, name)) == CONTRIB[name]


def test_contrib_zeros_like_makes_zeros():
    array = mx.nd.array([1, 2], dtype="int32")
    zeros = contrib_autograd.zeros_like(array)
    assert zeros.dtype == array.dtype
    assert zeros.asnumpy().tolist() == [0, 0]


@pytest.mark.parametrize("name", FUNCTION_METHODS)
def test_function_method_signature(name):
    assert (
        signature_without_annotations(getattr(autograd.Function, name)) == (FUNCTION_METHODS[name])
    )


@pytest.mark.parametrize("name", TRAINING_STATE_SCOPE_METHODS)
def test_training_state_scope_signature(name):
    method = getattr(contrib_autograd.TrainingStateScope, name)
    assert signature_without_annotations(method) == TRAINING_STATE_SCOPE_METHODS[name]


@pytest.mark.differs("MXNet 1.9.1 keeps the older names in mxnet.contrib.autograd alone")
@pytest.mark.parametrize("name", OLDER_NAMES_IN_AUTOGRAD)
def test_older_name_is_in_autograd(name):
    assert callable(getattr(autograd, name))


@pytest.mark.parametrize("name", [*AUTOGRAD, "Function"])
def test_every_autograd_name_has_a_docstring(name):
    assert len(getattr(autograd, name).__doc__) > 20


def test_autograd_is_reachable_as_an_attribute():
    assert mx.autograd is autograd
    assert mx.contrib.autograd is contrib_autograd


def test_arguments_go_by_keyword():
    x = mx.nd.array([1.0, 2.0])
    gradient = mx.nd.zeros((2,))
    autograd.mark_variables(variables=[x], gradients=[gradient], grad_reqs="write")
    with autograd.record(train_mode=False):
        y = x * 3
    autograd.backward(
        heads=[y], head_grads=[mx.nd.array([1.0, 10.0])], retain_graph=True, train_mode=False
    )
    assert gradient.asnumpy().tolist() == [3.0, 30.0]
    y.backward(out_grad=mx.nd.array([2.0, 2.0]), retain_graph=True, train_mode=True)
    assert gradient.asnumpy().tolist() == [6.0, 6.0]
    (result,) = autograd.grad(
        heads=y,
        variables=[x],
        head_grads=mx.nd.ones((2,)),
        retain_graph=False,
        create_graph=False,
        train_mode=True,
    )
    assert result.asnumpy().tolist() == [3.0, 3.0]


def test_unknown_keyword_is_a_type_error():
    with pytest.raises(TypeError, match="keep_graph"):
        autograd.backward([mx.nd.ones((1,))], keep_graph=True)
