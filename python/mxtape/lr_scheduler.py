"""Learning rates that depend on the number of updates: ``mx.lr_scheduler``.

A schedule is called with the number of updates made so far, and returns a learning rate. An
optimizer calls its own before each update.
"""

import logging
from math import cos, pi

from . import _missing

__all__ = [
    "CosineScheduler",
    "FactorScheduler",
    "LRScheduler",
    "MultiFactorScheduler",
    "PolyScheduler",
    "cos",
    "logging",
    "pi",
]


class LRScheduler:
    """Base of the schedules; a subclass defines ``__call__(num_update)``.

    Every schedule can begin with a warmup, in which the rate rises to `base_lr`.

    Parameters
    ----------
    base_lr : float, default 0.01
        The rate that the schedule starts from. An optimizer with a `learning_rate` sets it.
    warmup_steps : int, default 0
        Updates in the warmup.
    warmup_begin_lr : float, default 0
        Rate at update 0 of the warmup; not above `base_lr`.
    warmup_mode : {'linear', 'constant'}
        The rate rises in a straight line to `base_lr`, or stays at `warmup_begin_lr`.

    Raises
    ------
    ValueError
        `warmup_begin_lr` is above `base_lr`, `warmup_steps` is negative, or the mode is unknown.
    AssertionError
        `warmup_steps` is not an int.

    Examples
    --------
    >>> import mxtape as mx
    >>> class Halves(mx.lr_scheduler.LRScheduler):
    ...     def __call__(self, num_update):
    ...         return self.base_lr / 2**num_update
    >>> schedule = Halves(base_lr=0.8)
    >>> [schedule(n) for n in range(4)]
    [0.8, 0.4, 0.2, 0.1]
    """

    def __init__(self, base_lr=0.01, warmup_steps=0, warmup_begin_lr=0, warmup_mode="linear"):
        if not isinstance(warmup_steps, int):
            raise AssertionError(f"warmup_steps must be an int, got {warmup_steps!r}")
        if warmup_begin_lr > base_lr:
            raise ValueError(
                f"warmup_begin_lr must not be above base_lr, got {warmup_begin_lr} and {base_lr}"
            )
        if warmup_steps < 0:
            raise ValueError(f"warmup_steps must be 0 or more, got {warmup_steps}")
        if warmup_mode not in ("linear", "constant"):
            raise ValueError(f"warmup_mode must be 'linear' or 'constant', got {warmup_mode!r}")
        self.base_lr = base_lr
        self.warmup_steps = warmup_steps
        self.warmup_final_lr = base_lr
        self.warmup_begin_lr = warmup_begin_lr
        self.warmup_mode = warmup_mode

    def get_warmup_lr(self, num_update):
        """The rate of update `num_update` of the warmup, which must be less than `warmup_steps`.

        >>> import mxtape as mx
        >>> schedule = mx.lr_scheduler.LRScheduler(0.4, warmup_steps=4)
        >>> [schedule.get_warmup_lr(n) for n in range(4)]
        [0.0, 0.1, 0.2, 0.30000000000000004]
        """
        if num_update >= self.warmup_steps:
            raise AssertionError(
                f"update {num_update} is after the warmup of {self.warmup_steps} updates"
            )
        if self.warmup_mode == "constant":
            return self.warmup_begin_lr
        rise = (self.warmup_final_lr - self.warmup_begin_lr) * float(num_update)
        return self.warmup_begin_lr + rise / float(self.warmup_steps)

    def __call__(self, num_update):
        raise NotImplementedError(f"{type(self).__name__} does not define __call__(num_update)")


def _check_factor(factor):
    if factor > 1.0:
        raise ValueError(f"factor must be at most 1, so that the rate does not grow, got {factor}")


class FactorScheduler(LRScheduler):
    """Multiplies the rate by `factor` after every `step` updates.

    ``base_lr * factor ** ((num_update - 1) // step)``, but not below `stop_factor_lr`. The object
    keeps its place: `base_lr` is the present rate, and does not rise again for an earlier update.

    Parameters
    ----------
    step : int
        Updates between two changes; 1 or more.
    factor : float, default 1
        At most 1.
    stop_factor_lr : float, default 1e-8
        Lowest rate.
    base_lr, warmup_steps, warmup_begin_lr, warmup_mode
        As of :class:`LRScheduler`.

    Raises
    ------
    ValueError
        `step` is less than 1, or `factor` is above 1.

    Examples
    --------
    >>> import mxtape as mx
    >>> schedule = mx.lr_scheduler.FactorScheduler(step=2, factor=0.5, base_lr=1.0)
    >>> [schedule(n) for n in range(6)]
    [1.0, 1.0, 1.0, 0.5, 0.5, 0.25]
    """

    def __init__(
        self,
        step,
        factor=1,
        stop_factor_lr=1e-8,
        base_lr=0.01,
        warmup_steps=0,
        warmup_begin_lr=0,
        warmup_mode="linear",
    ):
        super().__init__(base_lr, warmup_steps, warmup_begin_lr, warmup_mode)
        if step < 1:
            raise ValueError(f"step must be 1 or more, got {step}")
        _check_factor(factor)
        self.count = 0
        self.step, self.factor, self.stop_factor_lr = step, factor, stop_factor_lr

    def __call__(self, num_update):
        warming_up = num_update < self.warmup_steps
        if warming_up:
            return self.get_warmup_lr(num_update)
        while num_update > self.count + self.step:
            self.count += self.step
            self.base_lr = max(self.base_lr * self.factor, self.stop_factor_lr)
            logging.info("Update[%d]: the learning rate is now %0.5e", num_update, self.base_lr)
        return self.base_lr


class MultiFactorScheduler(LRScheduler):
    """Multiplies the rate by `factor` after each of the given numbers of updates.

    The object keeps its place, as that of :class:`FactorScheduler` does.

    Parameters
    ----------
    step : list of int
        Numbers of updates, rising, the first 1 or more.
    factor : float, default 1
        At most 1.
    base_lr, warmup_steps, warmup_begin_lr, warmup_mode
        As of :class:`LRScheduler`.

    Raises
    ------
    ValueError
        `step` does not rise or has a number below 1, or `factor` is above 1.
    AssertionError
        `step` is not a list, or is empty.

    Examples
    --------
    >>> import mxtape as mx
    >>> schedule = mx.lr_scheduler.MultiFactorScheduler([2, 3], factor=0.1, base_lr=1.0)
    >>> [round(schedule(n), 3) for n in range(6)]
    [1.0, 1.0, 1.0, 0.1, 0.01, 0.01]
    """

    def __init__(
        self,
        step,
        factor=1,
        base_lr=0.01,
        warmup_steps=0,
        warmup_begin_lr=0,
        warmup_mode="linear",
    ):
        super().__init__(base_lr, warmup_steps, warmup_begin_lr, warmup_mode)
        if not isinstance(step, list) or not step:
            raise AssertionError(f"step must be a list of at least one int, got {step!r}")
        if step[0] < 1:
            raise ValueError(f"the numbers in step must be 1 or more, got {step}")
        if any(later <= earlier for earlier, later in zip(step, step[1:])):
            raise ValueError(f"the numbers in step must rise, got {step}")
        _check_factor(factor)
        self.step, self.factor = step, factor
        self.cur_step_ind = 0
        self.count = 0

    def __call__(self, num_update):
        if num_update < self.warmup_steps:
            return self.get_warmup_lr(num_update)
        while self.cur_step_ind < len(self.step) and num_update > self.step[self.cur_step_ind]:
            self.count = self.step[self.cur_step_ind]
            self.cur_step_ind += 1
            self.base_lr *= self.factor
            logging.info("Update[%d]: the learning rate is now %0.5e", num_update, self.base_lr)
        return self.base_lr


class _Decay(LRScheduler):
    """A rate that falls from `base_lr` at the end of the warmup to `final_lr` at `max_update`.

    `share` of ``base_lr - final_lr`` is left after a part of the way, a number from 0 to 1.
    """

    def __init__(self, max_update, base_lr, final_lr, warmup_steps, warmup_begin_lr, warmup_mode):
        super().__init__(base_lr, warmup_steps, warmup_begin_lr, warmup_mode)
        if not isinstance(max_update, int):
            raise AssertionError(f"max_update must be an int, got {max_update!r}")
        if max_update < 1:
            raise ValueError(f"max_update must be 1 or more, got {max_update}")
        self.base_lr_orig = base_lr
        self.max_update = max_update
        self.final_lr = final_lr
        self.max_steps = max_update - warmup_steps

    def share(self, done):
        raise NotImplementedError

    def __call__(self, num_update):
        if num_update < self.warmup_steps:
            return self.get_warmup_lr(num_update)
        if num_update <= self.max_update and self.max_steps > 0:
            done = float(num_update - self.warmup_steps) / float(self.max_steps)
            self.base_lr = self.final_lr + (self.base_lr_orig - self.final_lr) * self.share(done)
        return self.base_lr


class PolyScheduler(_Decay):
    """A rate that falls along a polynomial.

    ``final_lr + (base_lr - final_lr) * (1 - n / max_steps) ** pwr``, where ``n`` counts the updates
    after the warmup and ``max_steps`` is ``max_update - warmup_steps``. After `max_update` the rate
    stays as it is.

    Parameters
    ----------
    max_update : int
        Number of updates, warmup included; 1 or more.
    base_lr : float, default 0.01
        Rate at the end of the warmup. A `learning_rate` given to the optimizer does not change the
        curve.
    pwr : int or float, default 2
        Power of the polynomial.
    final_lr : float, default 0
        Rate at `max_update`.
    warmup_steps, warmup_begin_lr, warmup_mode
        As of :class:`LRScheduler`.

    Raises
    ------
    ValueError
        `max_update` is less than 1.
    AssertionError
        `max_update` is not an int.

    Examples
    --------
    >>> import mxtape as mx
    >>> schedule = mx.lr_scheduler.PolyScheduler(max_update=4, base_lr=1.0)
    >>> [schedule(n) for n in range(6)]
    [1.0, 0.5625, 0.25, 0.0625, 0.0, 0.0]
    """

    def __init__(
        self,
        max_update,
        base_lr=0.01,
        pwr=2,
        final_lr=0,
        warmup_steps=0,
        warmup_begin_lr=0,
        warmup_mode="linear",
    ):
        super().__init__(max_update, base_lr, final_lr, warmup_steps, warmup_begin_lr, warmup_mode)
        self.power = pwr

    def share(self, done):
        """What is left of the way down the polynomial."""
        return pow(1 - done, self.power)


class CosineScheduler(_Decay):
    """A rate that falls along half a wave of the cosine.

    ``final_lr + (base_lr - final_lr) * (1 + cos(pi * n / max_steps)) / 2``, where ``n`` counts the
    updates after the warmup and ``max_steps`` is ``max_update - warmup_steps``. After `max_update`
    the rate stays as it is. The curve is that of Loshchilov and Hutter, *SGDR: Stochastic Gradient
    Descent with Warm Restarts*, ICLR 2017, without restarts.

    Parameters
    ----------
    max_update, base_lr, final_lr, warmup_steps, warmup_begin_lr, warmup_mode
        As of :class:`PolyScheduler`.

    Raises
    ------
    ValueError
        `max_update` is less than 1.
    AssertionError
        `max_update` is not an int.

    Examples
    --------
    >>> import mxtape as mx
    >>> schedule = mx.lr_scheduler.CosineScheduler(max_update=4, base_lr=1.0, final_lr=0.1)
    >>> [round(schedule(n), 3) for n in range(6)]
    [1.0, 0.868, 0.55, 0.232, 0.1, 0.1]
    """

    def __init__(
        self,
        max_update,
        base_lr=0.01,
        final_lr=0,
        warmup_steps=0,
        warmup_begin_lr=0,
        warmup_mode="linear",
    ):
        super().__init__(max_update, base_lr, final_lr, warmup_steps, warmup_begin_lr, warmup_mode)

    def share(self, done):
        """What is left of the way down the wave."""
        return (1 + cos(pi * done)) / 2


def __getattr__(name):
    _missing.refuse(__name__, name)
