"""Optimizer steps of ``mx.nd.contrib``: AdamW and LAMB, for one array and for lists of them.

States change in place; the weight does when it is given as `out`.
"""

from typing import Any

from .._loader import core as _core
from . import register
from .ndarray import full

NDArray = _core.NDArray


# AdaGrad with one history for each row.
group_adagrad_update = register.get("_contrib_group_adagrad_update")


def _rescale(rescale_grad):
    """The gradient's factor as the array that the operators accept."""
    return rescale_grad if isinstance(rescale_grad, NDArray) else full((1,), rescale_grad)


def adamw_update(
    weight,
    grad,
    mean,
    var,
    rescale_grad,
    lr,
    eta,
    beta1=0.9,
    beta2=0.999,
    epsilon=1e-08,
    wd=0,
    clip_gradient=-1,
    out=None,
    name=None,
    **kwargs,
):
    """A step of AdamW: Adam whose weight decay is apart from the gradient.

    Parameters
    ----------
    weight, grad, mean, var : NDArray
        The weight, its gradient, and the running means of it and of its square, which change.
    rescale_grad : float or NDArray
        What the gradient is multiplied by. The step is skipped when it is 0 or not finite, as
        after an overflow under a scaled loss.
    lr, eta : float
        Learning rate, and the schedule's factor of the whole step.
    beta1, beta2, epsilon : float
        Decay of the means, and what is added to the denominator.
    wd : float
        Weight decay: ``eta * wd * weight`` is subtracted.
    clip_gradient : float
        Limit of the rescaled gradient; negative for none.
    out : NDArray, optional
        Array to write the new weight to.

    >>> from mxtape.nd.contrib import adamw_update
    >>> from mxtape import nd
    >>> w, g = nd.array([1.0]), nd.array([0.5])
    >>> _ = adamw_update(w, g, nd.zeros((1,)), nd.zeros((1,)), 1.0, lr=0.1, eta=1, wd=0.5, out=w)
    >>> round(w.asscalar().item(), 3)
    0.184
    """
    return register.get("_adamw_update")(
        weight,
        grad,
        mean,
        var,
        _rescale(rescale_grad),
        lr=lr,
        eta=eta,
        beta1=beta1,
        beta2=beta2,
        epsilon=epsilon,
        wd=wd,
        clip_gradient=clip_gradient,
        out=out,
        name=name,
        **kwargs,
    )


def mp_adamw_update(
    weight,
    grad,
    mean,
    var,
    weight32,
    rescale_grad,
    lr,
    eta,
    beta1=0.9,
    beta2=0.999,
    epsilon=1e-08,
    wd=0,
    clip_gradient=-1,
    out=None,
    name=None,
    **kwargs,
):
    """:func:`adamw_update` computed on `weight32`, a float32 copy of the weight that changes too.

    >>> from mxtape.nd.contrib import mp_adamw_update
    >>> from mxtape import nd
    >>> w, g = nd.ones((1,), dtype="float16"), nd.ones((1,), dtype="float16")
    >>> wide = nd.ones((1,))
    >>> new = mp_adamw_update(w, g, nd.zeros((1,)), nd.zeros((1,)), wide, 1.0, lr=0.5, eta=0.5)
    >>> new.dtype.__name__, bool(wide.asscalar() < 1)
    ('float16', True)
    """
    return register.get("_mp_adamw_update")(
        weight,
        grad,
        mean,
        var,
        weight32,
        _rescale(rescale_grad),
        lr=lr,
        eta=eta,
        beta1=beta1,
        beta2=beta2,
        epsilon=epsilon,
        wd=wd,
        clip_gradient=clip_gradient,
        out=out,
        name=name,
        **kwargs,
    )


def _interleaved(*lists) -> Any:
    """[a0, b0, ..., a1, b1, ...] of the lists a, b, ..., which must be equally long."""
    if len({len(arrays) for arrays in lists}) > 1:
        raise ValueError(
            "the lists of arrays must be equally long, got lengths "
            + ", ".join(str(len(arrays)) for arrays in lists)
        )
    return [array for group in zip(*lists) for array in group]


def multi_adamw_update(
    weights,
    grads,
    mean,
    var,
    rescale_grad,
    lrs,
    wds,
    etas,
    out=None,
    name=None,
    size=0,
    **kwargs,
):
    """:func:`adamw_update` of lists of arrays, with a rate, decay and factor for each.

    Parameters
    ----------
    weights, grads, mean, var : list of NDArray
        As of :func:`adamw_update`.
    rescale_grad : float or NDArray
        One factor for all gradients.
    lrs, wds, etas : tuple of float
        A number for each weight.
    out : list of NDArray, optional
        Arrays to write the new weights to.
    size : int
        Number of weights; 0 for the length of the list.

    >>> from mxtape.nd.contrib import multi_adamw_update
    >>> from mxtape import nd
    >>> ws, gs = [nd.ones((2,)), nd.ones((3,))], [nd.ones((2,)), nd.ones((3,))]
    >>> states = [[nd.zeros((2,)), nd.zeros((3,))] for _ in range(2)]
    >>> new = multi_adamw_update(ws, gs, *states, 1.0, lrs=(1, 1), wds=(0, 0), etas=(1, 1), out=ws)
    >>> [w.shape for w in new]
    [(2,), (3,)]
    """
    return register.get("_multi_adamw_update")(
        *_interleaved(weights, grads, mean, var),
        _rescale(rescale_grad),
        lrs=lrs,
        wds=wds,
        etas=etas,
        num_weights=size or len(weights),
        out=out,
        name=name,
        **kwargs,
    )


def multi_mp_adamw_update(
    weights,
    grads,
    mean,
    var,
    weights32,
    rescale_grad,
    lrs,
    wds,
    etas,
    out=None,
    name=None,
    size=0,
    **kwargs,
):
    """:func:`mp_adamw_update` of lists of arrays; see :func:`multi_adamw_update`.

    >>> import mxtape as mx
    >>> mx.nd.contrib.multi_mp_adamw_update([], [], [], [], [], 1.0, lrs=(), wds=(), etas=())
    Traceback (most recent call last):
        ...
    mxtape.base.MXNetError: ...
    """
    return register.get("_multi_mp_adamw_update")(
        *_interleaved(weights, grads, mean, var, weights32),
        _rescale(rescale_grad),
        lrs=lrs,
        wds=wds,
        etas=etas,
        num_weights=size or len(weights),
        out=out,
        name=name,
        **kwargs,
    )


def multi_lamb_update(
    weights, grads, mean, var, step_count, lrs, wds, out=None, num_tensors=0, **kwargs
):
    """A step of LAMB of lists of arrays: Adam's direction scaled by the ratio of norms.

    Parameters
    ----------
    weights, grads, mean, var : list of NDArray
        The weights, their gradients, and the running means of those and of their squares, which
        change.
    step_count : tuple of int
        Number of the step of each weight, from 1.
    lrs, wds : tuple of float
        Learning rate and weight decay of each weight.
    out : list of NDArray, optional
        Arrays to write the new weights to.
    num_tensors : int
        Number of weights; 0 for the length of the list.
    kwargs
        `beta1`, `beta2`, `epsilon`, `rescale_grad`, `lower_bound`, `upper_bound`,
        `clip_gradient`, `bias_correction`, as of the operator ``lamb_update_phase1``.

    >>> import mxtape as mx
    >>> from mxtape import nd
    >>> w, g, m, v = nd.ones((4,)), nd.ones((4,)), nd.zeros((4,)), nd.zeros((4,))
    >>> _ = mx.nd.contrib.multi_lamb_update([w], [g], [m], [v], (1,), lrs=(0.5,), wds=(0,), out=[w])
    >>> round(w[0].asscalar().item(), 3)
    0.5
    """
    return register.get("_multi_lamb_update")(
        *_interleaved(weights, grads, mean, var),
        learning_rates=lrs,
        wds=wds,
        step_count=step_count,
        num_tensors=num_tensors or len(weights),
        out=out,
        **kwargs,
    )


def multi_mp_lamb_update(
    weights, grads, mean, var, weights32, step_count, lrs, wds, out=None, num_tensors=0, **kwargs
):
    """:func:`multi_lamb_update` computed on `weights32`, float32 copies that change too.

    >>> from mxtape.nd.contrib import multi_mp_lamb_update
    >>> from mxtape import nd
    >>> w, g = nd.ones((4,), dtype="float16"), nd.ones((4,), dtype="float16")
    >>> m, v, wide = nd.zeros((4,)), nd.zeros((4,)), nd.ones((4,))
    >>> _ = multi_mp_lamb_update([w], [g], [m], [v], [wide], (1,), lrs=(0.5,), wds=(0,), out=[w])
    >>> round(wide[0].asscalar().item(), 3)
    0.5
    """
    return register.get("_multi_mp_lamb_update")(
        *_interleaved(weights, grads, mean, var, weights32),
        learning_rates=lrs,
        wds=wds,
        step_count=step_count,
        num_tensors=num_tensors or len(weights),
        out=out,
        **kwargs,
    )


__all__ = [
    "adamw_update",
    "group_adagrad_update",
    "mp_adamw_update",
    "multi_adamw_update",
    "multi_lamb_update",
    "multi_mp_adamw_update",
    "multi_mp_lamb_update",
]
