"""What several workloads need: numbers to start from, and variables."""

import numpy as np


def generator():
    """Return a generator whose numbers are the same in every version of NumPy."""
    return np.random.RandomState(1)


def normal(random, *shape, scale=1.0):
    """Return float32 numbers of a normal distribution."""
    return (scale * random.standard_normal(shape)).astype("float32")


def double(arrays):
    """Return the arrays with float32 as float64."""
    return {k: a.astype("float64") if a.dtype == "float32" else a for k, a in arrays.items()}


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def mx_variable(mx, values):
    array = mx.nd.array(values)
    array.attach_grad()
    return array


def torch_variable(torch, values):
    return torch.tensor(values, requires_grad=True)


def mx_gradients(variables):
    return {name: variable.grad.asnumpy() for name, variable in variables.items()}


def torch_gradients(variables):
    return {name: variable.grad.numpy() for name, variable in variables.items()}


def torch_clear(variables):
    """Forget gradients as optimizers do: the next backward then stores and does not add."""
    for variable in variables:
        variable.grad = None
