"""Optimizers for large batches: the step of each weight depends on its norm."""

from math import sqrt
from typing import Any

import numpy as np

from .. import ndarray as nd
from .._loader import core as _core
from .base import Optimizer, aggregation_size, register, zeros_of
from .sgd import MomentumOptimizer, arrays_of, as_lists, descend, interleaved


@register
class LARS(MomentumOptimizer):
    """LARS: gradient descent with a learning rate for each layer.

    ::

        rate = lr * eta * |weight| / (|g| + wd * |weight| + eps)
        momentum_state = momentum * momentum_state - rate * (clip(g) + wd * weight)
        weight = weight + momentum_state

    where ``g = rescale_grad * grad``. ``rate`` is ``lr`` where a norm is 0, and for parameters
    whose names, given by `param_idx2name`, end in ``gamma``, ``beta`` or ``bias``. Where names are
    given, only those that end in ``_weight`` have weight decay. From You, Gitman and Ginsburg,
    *Large Batch Training of Convolutional Networks*, 2017.

    Parameters
    ----------
    momentum : float, default 0.0
    lazy_update : bool, default True
        As of :class:`SGD`.
    eta : float, default 0.001
        Factor of the ratio of norms.
    eps : float, default 0
        Added to the denominator.
    momentum_correction : bool, default True
        Multiply the momentum by ``lr / previous lr``, so that what it holds of earlier steps keeps
        its weight when the rate changes.
    kwargs
        As of :class:`Optimizer`.

    Examples
    --------
    >>> import mxtape as mx
    >>> lars = mx.optimizer.LARS(learning_rate=0.5, eta=0.1)
    >>> w = mx.nd.array([3.0, 4.0])
    >>> lars.update(0, w, mx.nd.array([30.0, 40.0]), lars.create_state(0, w))
    >>> print(w.asnumpy().round(2))
    [2.85 3.8 ]
    """

    # The number of the update of which cur_lr is the rate.
    _rate_update = None

    def __init__(
        self,
        momentum=0.0,
        lazy_update=True,
        eta=0.001,
        eps=0,
        momentum_correction=True,
        **kwargs,
    ):
        super().__init__(momentum, **kwargs)
        self.momentum_correction = momentum_correction
        self.lazy_update = lazy_update
        self.aggregate_num = aggregation_size(4)
        self.eta, self.eps = eta, eps
        self.skip = 0
        self.last_lr = self.cur_lr = None

    def _decays(self, name):
        return name.endswith("_weight")

    def _is_scaled(self, index):
        return not self.idx2name.get(index, str(index)).endswith(("gamma", "beta", "bias"))

    def _corrected_momentum(self):
        """The momentum of this update, once for all parameters that it changes."""
        if self._rate_update != self.num_update or self.cur_lr is None:
            rate = self.learning_rate
            self.last_lr = rate if self.cur_lr is None else self.cur_lr
            self.cur_lr = rate
            self._rate_update = self.num_update
        if not self.momentum_correction or self.last_lr == 0:
            return self.momentum
        return self.momentum * (self.cur_lr / self.last_lr)

    def _update_impl(self, index, weight, grad, state, multi_precision=False):
        index, weight, grad, state = as_lists(index, weight, grad, state)
        self._update_count(index)
        momentum = self._corrected_momentum()
        lrs, wds = self._get_lrs(index), self._get_wds(index)
        states = arrays_of(state, multi_precision)
        steps: Any = ((self._descend_scaled, True), (descend, False))
        for step, is_scaled in steps:
            chosen = [i for i, key in enumerate(index) if self._is_scaled(key) is is_scaled]
            if chosen:
                rows = ([values[i] for i in chosen] for values in (weight, grad, states, lrs, wds))
                step(*rows, multi_precision, momentum, self._options(), self.lazy_update)

    def _scaled_rate(self, weight, grad, lr, wd):
        """The rate of one weight as a number; only the rows of sparse arrays are read."""
        arrays = [array if array.stype == "default" else array.data for array in (weight, grad)]
        norms = nd.multi_sum_sq(*arrays, num_arrays=2).sqrt().asnumpy().tolist()
        weight_norm, grad_norm = norms[0], norms[1] * self.rescale_grad
        if weight_norm == 0 or grad_norm == 0:
            return lr
        return lr * self.eta * weight_norm / (grad_norm + wd * weight_norm + self.eps)

    def _descend_scaled(
        self, weights, grads, states, lrs, wds, multi_precision, momentum, options, lazy
    ):
        """Steps whose rates are computed from norms, and stay in arrays: nothing waits for them."""
        if _core.any_sparse(weights, grads):
            lrs = [self._scaled_rate(*row) for row in zip(weights, grads, lrs, wds)]
            descend(weights, grads, states, lrs, wds, multi_precision, momentum, options, lazy=lazy)
            return
        count, where = len(weights), weights[0].context
        lrs = nd.array(lrs, ctx=where, dtype=np.float32)
        wds = nd.array(wds, ctx=where, dtype=np.float32)
        nd.multi_lars(
            lrs,
            nd.multi_sum_sq(*weights, num_arrays=count),
            nd.multi_sum_sq(*grads, num_arrays=count),
            wds,
            eta=self.eta,
            eps=self.eps,
            rescale_grad=self.rescale_grad,
            out=lrs,
        )
        if len(states[0]) > multi_precision:
            options["momentum"] = momentum
        step = _PRELOADED[multi_precision, len(states[0])]
        arrays = interleaved(weights, grads, states)
        step(*arrays, lrs, wds, num_weights=count, out=weights, **options)


# By whether there is a float32 copy, and the number of arrays in the state.
_PRELOADED: dict = {
    (False, 0): nd.preloaded_multi_sgd_update,
    (False, 1): nd.preloaded_multi_sgd_mom_update,
    (True, 1): nd.preloaded_multi_mp_sgd_update,
    (True, 2): nd.preloaded_multi_mp_sgd_mom_update,
}


@register
class LBSGD(Optimizer):
    """Gradient descent for large batches that are made of several small ones.

    The gradients of `batch_scale` calls are added up. The call that completes a batch makes a step
    of :class:`SGD` by their mean, with the learning rate times a factor that grows to `batch_scale`
    during the warmup. With ``n`` the calls since epoch 0 and ``N = warmup_epochs *
    updates_per_epoch``, the factor is

    =============== ====================================================================
    ``'linear'``    ``1 + (batch_scale - 1) * n / N``
    ``'power2'``    ``1 + (batch_scale - 1) * (n / N) ** 2``
    ``'sqrt'``      ``1 + (batch_scale - 1) * sqrt(n / N)``
    another         1 until ``N``
    ``'lars'``      ``|weight| / sqrt(|g|**2 + wd * |weight|**2)``, from 0.01 to 100, always
    =============== ====================================================================

    See Goyal and others, *Accurate, Large Minibatch SGD*, 2017, for the warmup.

    Parameters
    ----------
    momentum : float, default 0.0
    multi_precision : bool, default False
    warmup_strategy : str, default 'linear'
    warmup_epochs : int, default 5
    batch_scale : int, default 1
        Small batches in a large one.
    updates_per_epoch : int, default 32
    begin_epoch : int, default 0
        The epoch that training starts from.
    num_epochs : int, default 60
        Kept, not used.
    kwargs
        As of :class:`Optimizer`.

    Examples
    --------
    >>> import mxtape as mx
    >>> lbsgd = mx.optimizer.LBSGD(learning_rate=0.5, batch_scale=2, warmup_epochs=0)
    >>> w = mx.nd.array([3.0])
    >>> for gradient in (1.0, 2.0):
    ...     lbsgd.update(0, w, mx.nd.array([gradient]), None)
    ...     print(w.asscalar())
    3.0
    1.5
    """

    def __init__(
        self,
        momentum=0.0,
        multi_precision=False,
        warmup_strategy="linear",
        warmup_epochs=5,
        batch_scale=1,
        updates_per_epoch=32,
        begin_epoch=0,
        num_epochs=60,
        **kwargs,
    ):
        super().__init__(multi_precision=multi_precision, **kwargs)
        self.momentum = momentum
        self.warmup_strategy, self.warmup_epochs = warmup_strategy, warmup_epochs
        self.batch_scale, self.updates_per_epoch = batch_scale, updates_per_epoch
        self.init_updates = begin_epoch * updates_per_epoch
        self.num_epochs = num_epochs
        self.lbmult = 1
        self.cumgrads: dict = {}
        self.adaptive = False
        self.admult = 1

    def create_state(self, index, weight):
        momentum = zeros_of(weight, self._is_wide(weight) and np.float32, weight.stype)
        momentum = momentum if self.momentum != 0.0 else None
        return (momentum, weight.astype(np.float32)) if self._is_wide(weight) else momentum

    def _factor(self, calls):
        """By what the learning rate is multiplied after so many calls."""
        warmup = self.warmup_epochs * self.updates_per_epoch
        if calls >= warmup:
            return float(self.batch_scale)
        done = float(calls) / warmup
        ways = {"linear": done, "power2": done * done, "sqrt": sqrt(done)}
        if warmup <= 1:
            return 1.0
        return 1.0 + (self.batch_scale - 1.0) * ways.get(self.warmup_strategy, 0.0)

    @staticmethod
    def _factor_of_norms(weight, grad, wd):
        weight_square, grad_square = (
            nd.sum(nd.square(array)).asscalar().item() for array in (weight, grad)
        )
        ratio = sqrt(weight_square / (grad_square + wd * weight_square + 1e-18))
        return min(max(ratio, 0.01), 100.0)

    def update(self, index, weight, grad, state):
        lr, wd = self._get_lr(index), self._get_wd(index)
        self._update_count(index)
        kept = self.cumgrads.setdefault(index, {"cum_grad": 0, "num_cums": self.init_updates})
        kept["num_cums"] += 1
        added = kept["cum_grad"]
        kept["cum_grad"] = grad + added if isinstance(added, nd.NDArray) else grad.copy()
        if kept["num_cums"] % self.batch_scale:
            return
        grad = kept["cum_grad"]
        if self.batch_scale != 1:
            grad = grad / self.batch_scale
        kept["cum_grad"] = 0
        if self.warmup_strategy == "lars":
            lr *= self._factor_of_norms(weight, grad, wd)
        else:
            lr *= self._factor(kept["num_cums"])
        multi_precision = isinstance(state, (list, tuple))
        arrays = arrays_of([state], multi_precision)
        options = self._options()
        descend([weight], [grad], arrays, [lr], [wd], multi_precision, self.momentum, options)


@register
class LAMB(Optimizer):
    """LAMB: Adam with a learning rate for each layer.

    ::

        g = clip(rescale_grad * grad)
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        m', v' = m / (1 - beta1**t), v / (1 - beta2**t)    with bias_correction, else m, v
        direction = m' / (sqrt(v') + epsilon) + wd * weight
        weight = weight - lr * |weight| / |direction| * direction

    where ``t`` counts the updates from 1, and the ratio is 1 where a norm is 0. From You and
    others, *Large Batch Optimization for Deep Learning: Training BERT in 76 minutes*, ICLR 2020.
    Up to 45 parameters (``MXNET_OPTIMIZER_AGGREGATION_SIZE``) are updated by one operator.

    Parameters
    ----------
    learning_rate : float, default 0.001
    beta1, beta2 : float, default 0.9 and 0.999
    epsilon : float, default 1e-6
    lower_bound, upper_bound : float, optional
        Limits of ``|weight|``.
    bias_correction : bool, default True
    kwargs
        As of :class:`Optimizer`.

    Examples
    --------
    >>> import mxtape as mx
    >>> lamb = mx.optimizer.LAMB(learning_rate=0.5)
    >>> w = mx.nd.array([3.0, 4.0])
    >>> lamb.update(0, w, mx.nd.array([0.1, -9.0]), lamb.create_state(0, w))
    >>> print(w.asnumpy().round(2))
    [1.23 5.77]
    """

    def __init__(
        self,
        learning_rate=0.001,
        beta1=0.9,
        beta2=0.999,
        epsilon=1e-6,
        lower_bound=None,
        upper_bound=None,
        bias_correction=True,
        **kwargs,
    ):
        super().__init__(learning_rate=learning_rate, **kwargs)
        self.beta1, self.beta2 = beta1, beta2
        self.epsilon = epsilon
        self.lower_bound, self.upper_bound = lower_bound, upper_bound
        self.bias_correction = bias_correction
        self.aggregate_num = max(1, min(45, aggregation_size(45)))

    def create_state(self, index, weight):
        return zeros_of(weight, stype=weight.stype), zeros_of(weight, stype=weight.stype)

    def _update_impl(self, index, weight, grad, state, multi_precision=False):
        index, weight, grad, state = as_lists(index, weight, grad, state)
        self._update_count(index)
        lrs, wds = self._get_lrs(index), self._get_wds(index)
        options = self._options(
            beta1=self.beta1,
            beta2=self.beta2,
            epsilon=self.epsilon,
            bias_correction=self.bias_correction,
        )
        for name in ("lower_bound", "upper_bound"):
            if getattr(self, name) is not None:
                options[name] = getattr(self, name)
        steps = tuple(self._index_update_count[key] for key in index)
        weights = list(weight)
        if multi_precision:
            wide = [copy for copy, _ in state]
            mean, var = map(list, zip(*(means for _, means in state)))
            nd.contrib.multi_mp_lamb_update(
                weights, grad, mean, var, wide, steps, lrs, wds, out=weights, **options
            )
        else:
            mean, var = map(list, zip(*state))
            nd.contrib.multi_lamb_update(
                weights, grad, mean, var, steps, lrs, wds, out=weights, **options
            )

    def update(self, index, weight, grad, state):
        self._update_impl(index, weight, grad, state, multi_precision=False)

    def update_multi_precision(self, index, weight, grad, state):
        first = weight[0] if isinstance(index, (list, tuple)) else weight
        if self._is_wide(first):
            self._update_impl(index, weight, grad, state, multi_precision=True)
        else:
            self.update(index, weight, grad, state)
