"""Gradient descent, with momentum of several kinds."""

from itertools import chain
from math import sqrt
from typing import Any

import numpy as np

from .. import ndarray as nd
from .._loader import core as _core
from ..random import normal
from .base import Optimizer, aggregation_size, register, warn_of_float16, zeros_of


class MomentumOptimizer(Optimizer):
    """What SGD, NAG and LARS have in common: the momentum, and where float32 copies are kept.

    Their state is the momentum, None without one. With a float32 copy of the weight it is the pair
    of the momentum and the copy, which is the order of the ``mp_`` operators.
    """

    def __init__(self, momentum, **kwargs):
        super().__init__(**kwargs)
        self.momentum = momentum

    # Whether a row_sparse gradient changes only the rows that it has.
    lazy_update = False

    def create_state(self, index, weight):
        stype = weight.stype if self.lazy_update else "default"
        return zeros_of(weight, stype=stype) if self.momentum != 0.0 else None

    def create_state_multi_precision(self, index, weight):
        if self._is_wide(weight):
            wide = weight.astype(np.float32)
            return self.create_state(index, wide), wide
        if weight.dtype == np.float16:
            warn_of_float16(self)
        return self.create_state(index, weight)

    def update(self, index, weight, grad, state):
        self._update_impl(index, weight, grad, state, multi_precision=False)

    def update_multi_precision(self, index, weight, grad, state):
        first = weight[0] if isinstance(index, (list, tuple)) else weight
        if self._is_wide(first):
            self._update_impl(index, weight, grad, state, multi_precision=True)
        else:
            self.update(index, weight, grad, state)

    def _update_impl(self, index, weight, grad, state, multi_precision=False):
        raise NotImplementedError


def as_lists(index, *values):
    """The arguments of an update as lists: of one, where they are for one parameter."""
    if isinstance(index, (list, tuple)):
        return (index, *values)
    return ([index], *([value] for value in values))


def arrays_of(states, multi_precision):
    """Each state as the tuple of arrays that the update operators accept after the gradient."""
    if multi_precision:
        return [tuple(part for part in state if part is not None) for state in states]
    return [() if state is None else (state,) for state in states]


# By whether there is a float32 copy, and the number of arrays in the state.
_ONE: dict = {
    (False, 0): nd.sgd_update,
    (False, 1): nd.sgd_mom_update,
    (True, 1): nd.mp_sgd_update,
    (True, 2): nd.mp_sgd_mom_update,
}
_MANY: dict = {
    (False, 0): nd.multi_sgd_update,
    (False, 1): nd.multi_sgd_mom_update,
    (True, 1): nd.multi_mp_sgd_update,
    (True, 2): nd.multi_mp_sgd_mom_update,
}


def descend(weights, grads, states, lrs, wds, multi_precision, momentum, options, lazy=True):
    """Steps of gradient descent: of all weights by one operator where their states are alike."""
    sparse = (len(weights) > 1 or not lazy) and _core.any_sparse(weights, grads)
    if sparse and not lazy:
        options = {**options, "lazy_update": False}
    with_momentum = {**options, "momentum": momentum}
    if len(weights) > 1 and not sparse and len({len(arrays) for arrays in states}) == 1:
        arrays = interleaved(weights, grads, states)
        step = _MANY[multi_precision, len(states[0])]
        chosen = with_momentum if len(states[0]) > multi_precision else options
        step(*arrays, lrs=lrs, wds=wds, num_weights=len(weights), out=weights, **chosen)
        return
    for w, g, s, lr, wd in zip(weights, grads, states, lrs, wds):
        chosen = with_momentum if len(s) > multi_precision else options
        _ONE[multi_precision, len(s)](w, g, *s, out=w, lr=lr, wd=wd, **chosen)


def interleaved(weights, grads, states):
    """The arrays as operators on many weights accept them: all of the first weight come first."""
    return [*chain.from_iterable(zip(weights, grads, *zip(*states)))]


@register
class SGD(MomentumOptimizer):
    """Stochastic gradient descent, with momentum where that is not 0.

    ::

        g = clip(rescale_grad * grad) + wd * weight
        momentum_state = momentum * momentum_state - lr * g
        weight = weight + momentum_state

    An :class:`Updater` has up to 32 parameters, or ``MXNET_OPTIMIZER_AGGREGATION_SIZE``, updated by
    one operator.

    Parameters
    ----------
    momentum : float, default 0.0
    lazy_update : bool, default True
        A row_sparse gradient changes only the rows that it has, of the weight and of the momentum:
        the others do not decay. False: its other rows count as 0.
    kwargs
        As of :class:`Optimizer`.

    Examples
    --------
    >>> import mxtape as mx
    >>> sgd = mx.optimizer.SGD(learning_rate=0.5, momentum=0.5)
    >>> w, g = mx.nd.array([1.0]), mx.nd.array([1.0])
    >>> state = sgd.create_state(0, w)
    >>> for _ in range(2):
    ...     sgd.update(0, w, g, state)
    >>> w.asscalar().item()
    -0.25
    """

    _by_element = True
    _batch = 32

    def __init__(self, momentum=0.0, lazy_update=True, **kwargs):
        super().__init__(momentum, **kwargs)
        self.lazy_update = lazy_update
        # A subclass's own update is given one parameter at a time.
        own_update = type(self).update is not MomentumOptimizer.update
        self.aggregate_num = 0 if own_update else aggregation_size(4)

    def _update_impl(self, index, weight, grad, state, multi_precision=False):
        index, weight, grad, state = as_lists(index, weight, grad, state)
        self._update_count(index)
        lrs, wds = self._get_lrs(index), self._get_wds(index)
        states = arrays_of(state, multi_precision)
        options, momentum, lazy = self._options(), self.momentum, self.lazy_update
        descend(weight, grad, states, lrs, wds, multi_precision, momentum, options, lazy)


@register
class ccSGD(SGD):
    """The older name of :class:`SGD`.

    >>> import mxtape as mx
    >>> mx.optimizer.ccSGD(momentum=0.9).momentum
    0.9
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)


@register
class NAG(MomentumOptimizer):
    """Nesterov's accelerated gradient.

    ::

        g = clip(rescale_grad * grad) + wd * weight
        momentum_state = momentum * momentum_state - lr * g
        weight = weight + momentum * momentum_state - lr * g

    From Nesterov, *A method of solving a convex programming problem with convergence rate
    O(1/k^2)*, 1983, in the form of Bengio, Boulanger-Lewandowski and Pascanu, *Advances in
    Optimizing Recurrent Networks*, 2012. Without momentum it is :class:`SGD`.

    Parameters
    ----------
    momentum : float, default 0.0
    kwargs
        As of :class:`Optimizer`.

    Examples
    --------
    >>> import mxtape as mx
    >>> nag = mx.optimizer.NAG(learning_rate=0.5, momentum=0.5)
    >>> w, g = mx.nd.array([1.0]), mx.nd.array([1.0])
    >>> nag.update(0, w, g, nag.create_state(0, w))
    >>> w.asscalar().item()
    0.25
    """

    _by_element = True

    def __init__(self, momentum=0.0, **kwargs):
        super().__init__(momentum, **kwargs)

    def _update_impl(self, index, weight, grad, state, multi_precision=False):
        lr, wd = self._begin(index)
        (arrays,) = arrays_of([state], multi_precision)
        if len(arrays) == multi_precision:
            options = self._options()
            descend([weight], [grad], [arrays], [lr], [wd], multi_precision, 0.0, options)
            return
        step: Any = nd.mp_nag_mom_update if multi_precision else nd.nag_mom_update
        options = self._options(lr=lr, wd=wd, momentum=self.momentum)
        step(weight, grad, *arrays, out=weight, **options)


@register
class SGLD(Optimizer):
    """Stochastic gradient Langevin dynamics: gradient descent with noise that samples a posterior.

    ::

        g = clip(rescale_grad * grad) + wd * weight
        weight = weight - lr / 2 * g + normal(mean 0, deviation sqrt(lr))

    From Welling and Teh, *Bayesian Learning via Stochastic Gradient Langevin Dynamics*, ICML 2011.

    Parameters
    ----------
    kwargs
        As of :class:`Optimizer`.

    Examples
    --------
    >>> import mxtape as mx
    >>> sgld = mx.optimizer.SGLD(learning_rate=0.01)
    >>> w = mx.nd.zeros((10000,))
    >>> sgld.update(0, w, mx.nd.zeros((10000,)), None)
    >>> bool(0.095 < w.asnumpy().std() < 0.105)
    True
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)

    def update(self, index, weight, grad, state):
        lr, wd = self._begin(index)
        g = self._clipped(grad * self.rescale_grad)
        noise = normal(0, sqrt(lr), shape=weight.shape, dtype=weight.dtype, ctx=weight.context)
        weight += noise - lr / 2 * (g + wd * weight)


@register
class DCASGD(Optimizer):
    """Gradient descent that corrects gradients which were computed with older weights.

    ::

        g = clip(rescale_grad * grad)
        g = g + wd * weight + lamda * g * g * (weight - previous_weight)
        momentum_state = momentum * momentum_state - lr * g
        previous_weight = weight
        weight = weight + momentum_state

    From Zheng and others, *Asynchronous Stochastic Gradient Descent with Delay Compensation*,
    ICML 2017.

    Parameters
    ----------
    momentum : float, default 0.0
    lamda : float, default 0.04
        Strength of the correction.
    kwargs
        As of :class:`Optimizer`.

    Examples
    --------
    >>> import mxtape as mx
    >>> dcasgd = mx.optimizer.DCASGD(learning_rate=0.5, lamda=1.0)
    >>> w, g = mx.nd.array([1.0]), mx.nd.array([1.0])
    >>> state = dcasgd.create_state(0, w)
    >>> for _ in range(2):
    ...     dcasgd.update(0, w, g, state)
    >>> w.asscalar().item()
    0.25
    """

    _by_element = True

    def __init__(self, momentum=0.0, lamda=0.04, **kwargs):
        super().__init__(**kwargs)
        self.momentum = momentum
        self.weight_previous: dict = {}
        self.lamda = lamda

    def create_state(self, index, weight):
        momentum = zeros_of(weight) if self.momentum != 0.0 else None
        return momentum, weight.copy()

    def update(self, index, weight, grad, state):
        lr, wd = self._begin(index)
        momentum, previous = state
        g = self._clipped(grad * self.rescale_grad)
        step = -lr * (g + wd * weight + self.lamda * g * g * (weight - previous))
        if momentum is not None:
            momentum *= self.momentum
            momentum += step
            step = momentum
        previous[:] = weight
        weight += step


@register
class Signum(Optimizer):
    """Steps of one size, in the direction of the sign of the momentum.

    ::

        g = clip(rescale_grad * grad) + wd * weight
        momentum_state = momentum * momentum_state - (1 - momentum) * g
        weight = (1 - lr * wd_lh) * weight + lr * sign(momentum_state)

    Without momentum, ``weight = (1 - lr * wd) * weight - lr * sign(grad)``. From Bernstein and
    others, *signSGD: Compressed Optimisation for Non-Convex Problems*, ICML 2018.

    Parameters
    ----------
    learning_rate : float, default 0.01
    momentum : float, default 0.9
    wd_lh : float, default 0.0
        Weight decay that is apart from the gradient.
    kwargs
        As of :class:`Optimizer`.

    Examples
    --------
    >>> import mxtape as mx
    >>> signum = mx.optimizer.Signum(learning_rate=0.5)
    >>> w = mx.nd.array([1.0, 1.0])
    >>> signum.update(0, w, mx.nd.array([0.1, -9.0]), signum.create_state(0, w))
    >>> w.asnumpy().tolist()
    [0.5, 1.5]
    """

    _by_element = True

    def __init__(self, learning_rate=0.01, momentum=0.9, wd_lh=0.0, **kwargs):
        super().__init__(learning_rate=learning_rate, **kwargs)
        self.momentum = momentum
        self.wd_lh = wd_lh

    def create_state(self, index, weight):
        return zeros_of(weight, stype=weight.stype) if self.momentum != 0.0 else None

    def update(self, index, weight, grad, state):
        lr, wd = self._begin(index)
        options = self._options(lr=lr, wd=wd, out=weight)
        if state is None:
            nd.signsgd_update(weight, grad, **options)
        else:
            options.update(momentum=self.momentum, wd_lh=self.wd_lh)
            nd.signum_update(weight, grad, state, **options)


@register
class Test(Optimizer):
    """Adds the gradient to the weight, for tests of what uses an optimizer.

    ``weight = weight + rescale_grad * grad``; the state is a copy of the weight.

    >>> import mxtape as mx
    >>> test, w = mx.optimizer.Test(rescale_grad=0.5), mx.nd.array([1.0])
    >>> test.update(0, w, mx.nd.array([4.0]), test.create_state(0, w))
    >>> w.asscalar().item()
    3.0
    """

    _by_element = True

    def __init__(self, **kwargs):
        super().__init__(**kwargs)

    def create_state(self, index, weight):
        return zeros_of(weight, np.float32)

    def update(self, index, weight, grad, state):
        weight += grad * self.rescale_grad
        state[:] = weight
