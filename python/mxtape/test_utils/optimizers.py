"""Comparing optimizers."""

from .arrays import rand_ndarray
from .comparison import assert_almost_equal, compare_ndarray_tuple


def compare_optimizer(
    opt1,
    opt2,
    shape,
    dtype,
    w_stype="default",
    g_stype="default",
    rtol=1e-4,
    atol=1e-5,
    compare_states=True,
    ntensors=1,
):
    """Raises an ``AssertionError`` unless two optimizers make the same step from a random weight.

    Parameters
    ----------
    opt1, opt2 : Optimizer
    shape : tuple of int, or list of such
        Of the weight. For a list of shapes, `opt1` updates all weights at once and `opt2` one after
        the other.
    dtype : str or numpy.dtype
    w_stype, g_stype : str
        Storage types of weight and gradient.
    rtol, atol : float
        Tolerance of :func:`assert_almost_equal`.
    compare_states : bool, default True
        Compare the states too, before the step and after it.
    ntensors : int, default 1
        How many shapes there are.

    Examples
    --------
    >>> import mxtape as mx
    >>> sgd = mx.optimizer.SGD(momentum=0.5)
    >>> mx.test_utils.compare_optimizer(sgd, mx.optimizer.ccSGD(momentum=0.5), (2, 3), "float32")
    >>> mx.test_utils.compare_optimizer(sgd, sgd, [(2, 3), (4,)], "float32", ntensors=2)
    """
    shapes = shape if isinstance(shape, list) else [shape]
    if len(shapes) != ntensors:
        raise AssertionError(
            f"compare_optimizer: a list of ntensors={ntensors} shapes is needed, got {shape}"
        )
    weights = [rand_ndarray(s, w_stype, dtype=dtype) for s in shapes]
    grads = [rand_ndarray(s, g_stype, dtype=dtype) for s in shapes]
    runs = []
    for optimizer in (opt1, opt2):
        copies = [weight.copy() for weight in weights]
        states = [optimizer.create_state_multi_precision(i, copy) for i, copy in enumerate(copies)]
        runs.append((optimizer, copies, states))

    def compare_all():
        (_, first, first_states), (_, second, second_states) = runs
        for i in range(len(shapes)):
            if compare_states:
                compare_ndarray_tuple(first_states[i], second_states[i], rtol, atol)
            assert_almost_equal(first[i], second[i], rtol=rtol, atol=atol)

    compare_all()
    for whole, (optimizer, copies, states) in zip((isinstance(shape, list), False), runs):
        gradients = [grad.copy() for grad in grads]
        if whole:
            optimizer.update_multi_precision(list(range(ntensors)), copies, gradients, states)
            continue
        for i in range(ntensors):
            optimizer.update_multi_precision(i, copies[i], gradients[i], states[i])
    compare_all()
