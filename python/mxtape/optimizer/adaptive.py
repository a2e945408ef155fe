"""Optimizers that adapt the step of each number in a weight to the gradients seen so far."""

from math import sqrt

from .. import ndarray as nd
from .base import Optimizer, register, zeros_of


def _zeros(weight, count, stype="default"):
    """A state of several arrays."""
    return tuple(zeros_of(weight, stype=stype) for _ in range(count))


@register
class Adam(Optimizer):
    """Adam: steps by the mean of the gradients over the root of the mean of their squares.

    ::

        g = clip(rescale_grad * grad + wd * weight)
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        weight = weight - lr * sqrt(1 - beta2**t) / (1 - beta1**t) * m / (sqrt(v) + epsilon)

    where ``t`` counts the updates from 1. From Kingma and Ba, *Adam: A Method for Stochastic
    Optimization*, ICLR 2015; `epsilon` is the paper's epsilon-hat.

    Parameters
    ----------
    learning_rate : float, default 0.001
    beta1, beta2 : float, default 0.9 and 0.999
        Decay of the two means.
    epsilon : float, default 1e-8
        Added to the denominator.
    lazy_update : bool, default True
        A row_sparse gradient changes only the rows that it has, of the weight and of the means.
        False: its other rows count as 0, so that all rows go on moving.
    kwargs
        As of :class:`Optimizer`.

    Examples
    --------
    >>> import mxtape as mx
    >>> adam = mx.optimizer.Adam(learning_rate=0.5)
    >>> w = mx.nd.array([1.0, 1.0])
    >>> adam.update(0, w, mx.nd.array([0.1, -9.0]), adam.create_state(0, w))
    >>> w.asnumpy().round(3).tolist()
    [0.5, 1.5]
    """

    _by_element = True
    _batch = 128  # an operator each; what comes before them is done for all at once

    def __init__(
        self,
        learning_rate=0.001,
        beta1=0.9,
        beta2=0.999,
        epsilon=1e-8,
        lazy_update=True,
        **kwargs,
    ):
        super().__init__(learning_rate=learning_rate, **kwargs)
        self.beta1, self.beta2 = beta1, beta2
        self.epsilon = epsilon
        self.lazy_update = lazy_update

    def create_state(self, index, weight):
        return _zeros(weight, 2, weight.stype if self.lazy_update else "default")

    def update(self, index, weight, grad, state):
        if not isinstance(index, (list, tuple)):
            index, weight, grad, state = [index], [weight], [grad], [state]
        self._update_count(index)
        lrs, wds = self._get_lrs(index), self._get_wds(index)
        counts = [self._index_update_count[key] for key in index]
        corrections = {t: sqrt(1.0 - self.beta2**t) / (1.0 - self.beta1**t) for t in set(counts)}
        options = self._options(beta1=self.beta1, beta2=self.beta2, epsilon=self.epsilon)
        if not self.lazy_update:
            options["lazy_update"] = False
        step = nd.adam_update
        for w, g, (mean, var), t, lr, wd in zip(weight, grad, state, counts, lrs, wds):
            step(w, g, mean, var, out=w, lr=lr * corrections[t], wd=wd, **options)


@register
class AdaGrad(Optimizer):
    """AdaGrad: steps over the root of the sum of all squared gradients.

    ::

        g = clip(rescale_grad * grad)
        history = history + g**2
        weight = weight - lr * (g / sqrt(history + eps) + wd * weight)

    Of a row_sparse gradient only the rows that it has are read and written, unless there is weight
    decay.

    From Duchi, Hazan and Singer, *Adaptive Subgradient Methods for Online Learning and Stochastic
    Optimization*, JMLR 2011.

    Parameters
    ----------
    eps : float, default 1e-7
        Added under the root.
    kwargs
        As of :class:`Optimizer`.

    Examples
    --------
    >>> import mxtape as mx
    >>> adagrad = mx.optimizer.AdaGrad(learning_rate=0.5)
    >>> w = mx.nd.array([1.0, 1.0])
    >>> adagrad.update(0, w, mx.nd.array([0.1, -9.0]), adagrad.create_state(0, w))
    >>> w.asnumpy().round(3).tolist()
    [0.5, 1.5]
    """

    _by_element = True

    def __init__(self, eps=1e-7, **kwargs):
        super().__init__(**kwargs)
        self.float_stable_eps = eps

    def create_state(self, index, weight):
        return zeros_of(weight, stype=weight.stype)

    def update(self, index, weight, grad, state):
        lr, wd = self._begin(index)
        if grad.stype == "row_sparse":
            options = self._options(lr=lr, wd=wd, epsilon=self.float_stable_eps)
            nd.sparse.adagrad_update(weight, grad, state, out=weight, **options)
            return
        g = self._clipped(grad * self.rescale_grad)
        state += g * g
        weight -= lr * (g / nd.sqrt(state + self.float_stable_eps) + wd * weight)


@register
class RMSProp(Optimizer):
    """RMSProp: steps over the root of the running mean of squared gradients.

    With ``g = clip(rescale_grad * grad + wd * weight)``::

        n = gamma1 * n + (1 - gamma1) * g**2
        weight = weight - lr * g / sqrt(n + epsilon)

    by Tieleman and Hinton, lecture 6.5 of *Neural Networks for Machine Learning*, 2012. With
    ``centered=True``::

        n = gamma1 * n + (1 - gamma1) * g**2
        m = gamma1 * m + (1 - gamma1) * g
        delta = gamma2 * delta - lr * g / sqrt(n - m**2 + epsilon)
        weight = weight + delta

    by Graves, *Generating Sequences With Recurrent Neural Networks*, 2013, equations 38 to 45.

    Parameters
    ----------
    learning_rate : float, default 0.001
    gamma1 : float, default 0.9
        Decay of the means.
    gamma2 : float, default 0.9
        How much of the last step is kept, where `centered`.
    epsilon : float, default 1e-8
        Added under the root.
    centered : bool, default False
    clip_weights : float, optional
        After the step, weights are limited to [-clip_weights, clip_weights].
    kwargs
        As of :class:`Optimizer`.

    Examples
    --------
    >>> import mxtape as mx
    >>> rmsprop = mx.optimizer.RMSProp(learning_rate=0.5, gamma1=0.75)
    >>> w = mx.nd.array([1.0, 1.0])
    >>> rmsprop.update(0, w, mx.nd.array([0.1, -9.0]), rmsprop.create_state(0, w))
    >>> w.asnumpy().round(3).tolist()
    [0.0, 2.0]
    """

    _by_element = True

    def __init__(
        self,
        learning_rate=0.001,
        gamma1=0.9,
        gamma2=0.9,
        epsilon=1e-8,
        centered=False,
        clip_weights=None,
        **kwargs,
    ):
        super().__init__(learning_rate=learning_rate, **kwargs)
        self.gamma1, self.gamma2 = gamma1, gamma2
        self.centered, self.epsilon, self.clip_weights = centered, epsilon, clip_weights

    def create_state(self, index, weight):
        return _zeros(weight, 3 if self.centered else 1, weight.stype)

    def update(self, index, weight, grad, state):
        lr, wd = self._begin(index)
        options = self._options(lr=lr, wd=wd, gamma1=self.gamma1, epsilon=self.epsilon, out=weight)
        if self.clip_weights:
            options["clip_weights"] = self.clip_weights
        if self.centered:
            n, g, delta = state
            nd.rmspropalex_update(weight, grad, n, g, delta, gamma2=self.gamma2, **options)
        else:
            (n,) = state
            nd.rmsprop_update(weight, grad, n, **options)


@register
class AdaDelta(Optimizer):
    """AdaDelta: steps whose size is that of earlier steps, without a learning rate.

    ::

        g = clip(rescale_grad * grad)
        squares = rho * squares + (1 - rho) * g**2
        step = sqrt(steps + epsilon) / sqrt(squares + epsilon) * g
        steps = rho * steps + (1 - rho) * step**2
        weight = weight - step - wd * weight

    From Zeiler, *ADADELTA: An Adaptive Learning Rate Method*, 2012. `learning_rate` has no effect.

    Parameters
    ----------
    rho : float, default 0.9
        Decay of the two means.
    epsilon : float, default 1e-5
        Added under the roots.
    kwargs
        As of :class:`Optimizer`.

    Examples
    --------
    >>> import mxtape as mx
    >>> adadelta = mx.optimizer.AdaDelta(rho=0.75, epsilon=1e-2)
    >>> w = mx.nd.array([1.0])
    >>> adadelta.update(0, w, mx.nd.array([9.0]), adadelta.create_state(0, w))
    >>> print(w.asnumpy().round(2))
    [0.8]
    """

    _by_element = True

    def __init__(self, rho=0.90, epsilon=1e-5, **kwargs):
        super().__init__(**kwargs)
        self.rho = rho
        self.epsilon = epsilon

    def create_state(self, index, weight):
        return _zeros(weight, 2)

    def update(self, index, weight, grad, state):
        self._update_count(index)
        wd = self._get_wd(index)
        g = self._clipped(grad * self.rescale_grad)
        squares, steps = state
        squares *= self.rho
        squares += (1.0 - self.rho) * g * g
        step = nd.sqrt(steps + self.epsilon) / nd.sqrt(squares + self.epsilon) * g
        steps *= self.rho
        steps += (1.0 - self.rho) * step * step
        weight -= step + wd * weight


@register
class Ftrl(Optimizer):
    """FTRL-proximal: follow the regularized leader, whose weights may be 0 exactly.

    ::

        g = clip(rescale_grad * grad)
        z = z + g - (sqrt(n + g**2) - sqrt(n)) * weight / lr
        n = n + g**2
        weight = (sign(z) * lamda1 - z) / ((beta + sqrt(n)) / lr + wd)  where |z| > lamda1, else 0

    With a row_sparse weight and gradient only the rows of the gradient are read and written.

    From McMahan and others, *Ad Click Prediction: a View from the Trenches*, KDD 2013.

    Parameters
    ----------
    lamda1 : float, default 0.01
        L1 penalty; `wd` is the L2 penalty.
    learning_rate : float, default 0.1
    beta : float, default 1
        Makes the first steps smaller.
    kwargs
        As of :class:`Optimizer`.

    Examples
    --------
    >>> import mxtape as mx
    >>> ftrl = mx.optimizer.Ftrl(learning_rate=0.5, lamda1=0.5)
    >>> w = mx.nd.array([0.0, 0.0])
    >>> ftrl.update(0, w, mx.nd.array([0.25, 1.5]), ftrl.create_state(0, w))
    >>> print(w.asnumpy().round(3))
    [-0.  -0.2]
    """

    _by_element = True

    def __init__(self, lamda1=0.01, learning_rate=0.1, beta=1, **kwargs):
        super().__init__(learning_rate=learning_rate, **kwargs)
        self.lamda1 = lamda1
        self.beta = beta

    def create_state(self, index, weight):
        return _zeros(weight, 2, weight.stype)

    def update(self, index, weight, grad, state):
        lr, wd = self._begin(index)
        options = self._options(lr=lr, wd=wd, lamda1=self.lamda1, beta=self.beta)
        z, n = state
        nd.ftrl_update(weight, grad, z, n, out=weight, **options)


@register
class Adamax(Optimizer):
    """Adamax: Adam with the largest recent gradient in the place of the mean of squares.

    ::

        g = clip(rescale_grad * grad + wd * weight)
        m = beta1 * m + (1 - beta1) * g
        u = max(beta2 * u, |g|)
        weight = weight - lr / (1 - beta1**t) * m / u

    where ``t`` counts the updates from 1. From Kingma and Ba, *Adam: A Method for Stochastic
    Optimization*, ICLR 2015, section 7. A gradient of 0 before any other gives NaN.

    Parameters
    ----------
    learning_rate : float, default 0.002
    beta1, beta2 : float, default 0.9 and 0.999
    kwargs
        As of :class:`Optimizer`.

    Examples
    --------
    >>> import mxtape as mx
    >>> adamax = mx.optimizer.Adamax(learning_rate=0.5)
    >>> w = mx.nd.array([1.0, 1.0])
    >>> adamax.update(0, w, mx.nd.array([0.1, -9.0]), adamax.create_state(0, w))
    >>> w.asnumpy().round(3).tolist()
    [0.5, 1.5]
    """

    _by_element = True

    def __init__(self, learning_rate=0.002, beta1=0.9, beta2=0.999, **kwargs):
        super().__init__(learning_rate=learning_rate, **kwargs)
        self.beta1, self.beta2 = beta1, beta2

    def create_state(self, index, weight):
        return _zeros(weight, 2)

    def update(self, index, weight, grad, state):
        lr, wd = self._begin(index)
        lr /= 1.0 - self.beta1 ** self._index_update_count[index]
        g = self._clipped(grad * self.rescale_grad + wd * weight)
        mean, largest = state
        mean *= self.beta1
        mean += (1.0 - self.beta1) * g
        largest[:] = nd.maximum(self.beta2 * largest, nd.abs(g))
        weight -= lr * mean / largest


@register
class Nadam(Optimizer):
    """Nadam: Adam with Nesterov's momentum.

    With ``g = clip(rescale_grad * grad + wd * weight)`` and the decays of the step and of the next
    one, ``mu(t) = beta1 * (1 - 0.5 * 0.96 ** (t * schedule_decay))``::

        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        direction = (1 - mu(t)) * g / (1 - mu(1) ... mu(t))
                  + mu(t + 1) * m / (1 - mu(1) ... mu(t + 1))
        weight = weight - lr * direction / (sqrt(v / (1 - beta2**t)) + epsilon)

    From Dozat, *Incorporating Nesterov Momentum into Adam*, 2016. The product of decays is one
    number, ``m_schedule``, which every update of every parameter multiplies, as in MXNet.

    Parameters
    ----------
    learning_rate : float, default 0.001
    beta1, beta2 : float, default 0.9 and 0.999
        Decay of the two means.
    epsilon : float, default 1e-8
        Added to the denominator.
    schedule_decay : float, default 0.004
    kwargs
        As of :class:`Optimizer`.

    Examples
    --------
    >>> import mxtape as mx
    >>> nadam = mx.optimizer.Nadam(learning_rate=0.5)
    >>> w = mx.nd.array([1.0])
    >>> nadam.update(0, w, mx.nd.array([3.0]), nadam.create_state(0, w))
    >>> bool(w < 1)
    True
    """

    def __init__(
        self,
        learning_rate=0.001,
        beta1=0.9,
        beta2=0.999,
        epsilon=1e-8,
        schedule_decay=0.004,
        **kwargs,
    ):
        super().__init__(learning_rate=learning_rate, **kwargs)
        self.beta1, self.beta2 = beta1, beta2
        self.epsilon = epsilon
        self.schedule_decay = schedule_decay
        self.m_schedule = 1.0

    def create_state(self, index, weight):
        return _zeros(weight, 2)

    def _decay(self, t):
        return self.beta1 * (1.0 - 0.5 * 0.96 ** (t * self.schedule_decay))

    def update(self, index, weight, grad, state):
        lr, wd = self._begin(index)
        t = self._index_update_count[index]
        g = self._clipped(grad * self.rescale_grad + wd * weight)
        now, later = self._decay(t), self._decay(t + 1)
        self.m_schedule *= now
        mean, squares = state
        mean *= self.beta1
        mean += (1.0 - self.beta1) * g
        squares *= self.beta2
        squares += (1.0 - self.beta2) * g * g
        direction = (1.0 - now) / (1.0 - self.m_schedule) * g
        direction += later / (1.0 - self.m_schedule * later) * mean
        weight -= lr * direction / (nd.sqrt(squares / (1.0 - self.beta2**t)) + self.epsilon)


@register
class FTML(Optimizer):
    """FTML: follow the moving leader, between RMSProp and Adam.

    ::

        g = clip(rescale_grad * grad + wd * weight)
        v = beta2 * v + (1 - beta2) * g**2
        d' = (1 - beta1**t) / lr * (sqrt(v / (1 - beta2**t)) + epsilon)
        z = beta1 * z + (1 - beta1) * g - (d' - beta1 * d) * weight
        weight = -z / d'

    where ``t`` counts the updates from 1, and ``d'`` is kept as the next ``d``. From Zheng and
    Kwok, *Follow the Moving Leader in Deep Learning*, ICML 2017.

    Parameters
    ----------
    beta1, beta2 : float, default 0.6 and 0.999
    epsilon : float, default 1e-8
    kwargs
        As of :class:`Optimizer`.

    Examples
    --------
    >>> import mxtape as mx
    >>> ftml = mx.optimizer.FTML(learning_rate=0.5)
    >>> w = mx.nd.array([1.0, 1.0])
    >>> ftml.update(0, w, mx.nd.array([0.1, -9.0]), ftml.create_state(0, w))
    >>> w.asnumpy().round(3).tolist()
    [0.5, 1.5]
    """

    _by_element = True

    def __init__(self, beta1=0.6, beta2=0.999, epsilon=1e-8, **kwargs):
        super().__init__(**kwargs)
        self.beta1, self.beta2 = beta1, beta2
        self.epsilon = epsilon

    def create_state(self, index, weight):
        return _zeros(weight, 3)

    def update(self, index, weight, grad, state):
        lr, wd = self._begin(index)
        options = {"beta1": self.beta1, "beta2": self.beta2, "epsilon": self.epsilon}
        if self.clip_gradient:
            options["clip_grad"] = self.clip_gradient
        d, v, z = state
        nd.ftml_update(
            weight,
            grad,
            d,
            v,
            z,
            out=weight,
            lr=lr,
            wd=wd,
            t=self._index_update_count[index],
            rescale_grad=self.rescale_grad,
            **options,
        )
