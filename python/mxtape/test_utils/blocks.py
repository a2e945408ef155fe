"""Gluon's blocks, eager and hybridized."""

from .. import autograd
from ..ndarray import NDArray
from ..random import uniform
from .comparison import assert_almost_equal

__all__ = ["check_gluon_hybridize_consistency"]


def _flat(outputs):
    if isinstance(outputs, (list, tuple)):
        return [array for part in outputs for array in _flat(part)]
    return [outputs]


def _ran(net, data, heads, test_grad):
    """What a block gives: outputs, gradients by name, and parameters that are states, by name."""
    arrays = [x.copy() for x in data]
    gradients: dict = {}
    if not test_grad:
        return _flat(net(*arrays)), {}, {}
    for x in arrays:
        x.attach_grad()
    with autograd.record():
        outputs = _flat(net(*arrays))
    if not heads:
        heads += [uniform(0.5, 1.5, shape=y.shape).astype(y.dtype) for y in outputs]
    autograd.backward(outputs, [head.as_in_context(y.context) for head, y in zip(heads, outputs)])
    gradients.update((f"input {i}", x.grad) for i, x in enumerate(arrays))
    states = {}
    for name, param in net.collect_params().items():
        if param.grad_req == "null":
            states[name] = param.data()
        else:
            gradients[name] = param.grad()
    return outputs, gradients, states


def check_gluon_hybridize_consistency(
    net_builder, data_l, numpy_func=None, test_grad=True, rtol=1e-4, atol=1e-4
):
    """Raises an ``AssertionError`` unless a block computes the same eager and hybridized.

    Compared are the outputs and, with `test_grad`, the gradients of inputs and parameters, and what
    the block changes, such as running means.

    Parameters
    ----------
    net_builder : callable
        ``net_builder(prefix=...)`` makes the HybridBlock. It is called twice.
    data_l : list of NDArray
        The inputs.
    numpy_func : callable, optional
        Gives from the inputs as NumPy arrays what the block's outputs must be.
    test_grad : bool, default True
        Compare gradients, in training mode.
    rtol, atol : float, default 1e-4
        Tolerance of :func:`assert_almost_equal`.

    Examples
    --------
    >>> import mxtape as mx
    >>> def build(prefix):
    ...     return mx.gluon.nn.Dense(4, activation="relu", prefix=prefix)
    >>> mx.test_utils.check_gluon_hybridize_consistency(build, [mx.nd.ones((2, 3))])
    """
    if not isinstance(data_l, (list, tuple)) or not all(isinstance(x, NDArray) for x in data_l):
        raise TypeError("check_gluon_hybridize_consistency: data_l must be a list of NDArray")
    heads: list = []
    runs, values = [], None
    for hybridize in (False, True):
        net = net_builder(prefix="net_")
        net.initialize()
        if hybridize:
            net.hybridize()
        with autograd.predict_mode():
            net(*data_l)  # parameters get their shapes
        params = net.collect_params()
        if values is None:
            values = {name: param.data().copy() for name, param in params.items()}
        for name, param in params.items():
            param.set_data(values[name])
        runs.append(_ran(net, data_l, heads, test_grad))
    eager, hybrid = runs
    for what, first, second in zip(("output", "gradient", "state"), eager, hybrid):
        if len(first) != len(second):
            raise AssertionError(f"{len(first)} {what}s eager, and {len(second)} hybridized")
        for key in first if isinstance(first, dict) else range(len(first)):
            names = (f"{what} {key}, eager", f"{what} {key}, hybridized")
            assert_almost_equal(first[key], second[key], rtol=rtol, atol=atol, names=names)
    if numpy_func is not None:
        expected = _flat(numpy_func(*(x.asnumpy() for x in data_l)))
        if len(expected) != len(eager[0]):
            raise AssertionError(f"{len(eager[0])} outputs, and {len(expected)} of numpy_func")
        for i, (found, wanted) in enumerate(zip(eager[0], expected)):
            names = (f"output {i}", "NumPy")
            assert_almost_equal(found, wanted, rtol=rtol, atol=atol, names=names)
