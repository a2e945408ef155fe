"""The base of the optimizers: learning rates, weight decays, counts of updates, the registry."""

import os
import warnings
from typing import ClassVar

import numpy as np

from .._missing import guess, refuse_argument
from ..ndarray import clip, zeros
from ..ndarray.ndarray import _is_bfloat16
from ..util import is_np_array

_COUNTS = "_all_index_update_counts"
# What decides how parameters are updated, where a program replaces it.
UPDATES = {"update", "update_multi_precision", "_update_impl", "_update_count"}


def aggregation_size(default):
    """How many parameters a multi-tensor operator updates at once, by the environment."""
    return int(os.environ.get("MXNET_OPTIMIZER_AGGREGATION_SIZE", default))


def zeros_of(weight, dtype=None, stype="default", shape=None):
    """An optimizer's new state: zeros on the weight's device, by default of its shape and dtype."""
    shape, dtype = shape or weight.shape, dtype or weight.dtype
    if stype == "default":
        return zeros(shape, ctx=weight.context, dtype=dtype)
    from ..ndarray import sparse  # few programs have sparse arrays

    return sparse.zeros(stype, shape, ctx=weight.context, dtype=dtype)


def warn_of_float16(optimizer):
    """Says that float16 weights are about to be updated without float32 copies."""
    warnings.warn(
        f"{type(optimizer).__name__}: small steps are lost when float16 weights are updated in "
        "float16; multi_precision=True keeps float32 copies of them",
        UserWarning,
        stacklevel=3,
    )


class Optimizer:
    """Base of the optimizers; a subclass defines :meth:`create_state` and :meth:`update`.

    A parameter is known by its index, an int or a str. Its learning rate is ``learning_rate``, or
    what the schedule says, times the parameter's `lr_mult`; its weight decay is `wd` times its
    `wd_mult`. The multipliers are looked up in `param_dict` by index, then in `lr_mult` and
    `wd_mult` by index, then in those by the name that `param_idx2name` gives. Where names are
    given, those that do not end in ``_weight`` or ``_gamma`` have the `wd_mult` 0.

    Parameters
    ----------
    rescale_grad : float, default 1.0
        Every gradient is multiplied by this first: 1 / batch size, say.
    param_idx2name : dict, optional
        Names of the parameters by index.
    wd : float, default 0.0
        Weight decay, the factor of the L2 penalty's gradient.
    clip_gradient : float, optional
        After rescaling, gradients are limited to [-clip_gradient, clip_gradient].
    learning_rate : float, optional
        By default the schedule's `base_lr`, or 0.01 without a schedule. Given with a schedule, it
        replaces the `base_lr`.
    lr_scheduler : LRScheduler, or a function of an int, optional
        Gives the learning rate for a number of updates.
    sym : Symbol, optional
        Its variables' attributes ``__lr_mult__`` and ``__wd_mult__`` are used, by name.
    begin_num_update : int, default 0
        Updates that count as done before the first, for schedules and corrections of bias.
    multi_precision : bool, default False
        For float16 and bfloat16 weights: keep float32 copies in the state, and update those.
    param_dict : dict, optional
        By index, objects with `lr_mult` and `wd_mult`, as parameters of Gluon are.

    Attributes
    ----------
    num_update : int
        Updates of the parameter that has been updated most often.
    aggregate_num : int
        How many parameters an :class:`Updater` passes to :meth:`update` at once, in lists; 0 where
        they come one by one.

    Examples
    --------
    >>> import mxtape as mx
    >>> @mx.optimizer.register
    ... class Plain(mx.optimizer.Optimizer):
    ...     def create_state(self, index, weight):
    ...         return None
    ...
    ...     def update(self, index, weight, grad, state):
    ...         self._update_count(index)
    ...         lr, wd = self._get_lr(index), self._get_wd(index)
    ...         weight -= lr * (grad * self.rescale_grad + wd * weight)
    >>> w = mx.nd.array([1.0, 2.0])
    >>> updater = mx.optimizer.get_updater(mx.optimizer.create("plain", learning_rate=0.5))
    >>> updater(0, mx.nd.ones((2,)), w)
    >>> w.asnumpy().tolist()
    [0.5, 1.5]
    """

    opt_registry: ClassVar[dict] = {}

    # How many parameters an Updater passes at once where that is more than aggregate_num, which is
    # MXNet's. The results are the same.
    _batch = 0

    # Whether each element is updated by itself: processes then update parts of a parameter.
    _by_element = False

    def __init_subclass__(cls, **kwargs):
        """A subclass with another update is given what MXNet would give it."""
        super().__init_subclass__(**kwargs)
        for name in {"_batch", "_by_element"} - vars(cls).keys():
            known = next(base for base in cls.__mro__ if name in vars(base))
            # The update may also be that of another base.
            if any(getattr(cls, one, None) is not getattr(known, one, None) for one in UPDATES):
                setattr(cls, name, getattr(Optimizer, name))

    def __init__(
        self,
        rescale_grad=1.0,
        param_idx2name=None,
        wd=0.0,
        clip_gradient=None,
        learning_rate=None,
        lr_scheduler=None,
        sym=None,
        begin_num_update=0,
        multi_precision=False,
        param_dict=None,
        **unknown,
    ):
        if unknown:
            refuse_argument(type(self), next(iter(unknown)))
        if param_idx2name is None:
            param_idx2name = {}
        if not isinstance(param_idx2name, dict):
            raise AssertionError(
                "param_idx2name must be a dict of names by index, got "
                f"{type(param_idx2name).__name__}"
            )
        self.rescale_grad = rescale_grad
        self.lr_scheduler = lr_scheduler
        self.lr = self._first_rate(learning_rate)
        self.wd = wd
        self.lr_mult: dict = {}
        self.wd_mult: dict = {}
        self.begin_num_update = begin_num_update
        self.num_update = begin_num_update
        self._all_index_update_counts: dict = {0: {}}
        self._index_update_count: dict = self._all_index_update_counts[0]
        self.clip_gradient = clip_gradient
        self.multi_precision = multi_precision
        self.aggregate_num = 0
        self.idx2name = dict(param_idx2name)
        self.sym_info: tuple = () if sym is None else (sym.attr_dict(), sym.list_arguments())
        self.param_dict = param_dict or {}
        self.allow_np_array = is_np_array()
        self.set_lr_mult({})
        self.set_wd_mult({})

    def _first_rate(self, learning_rate):
        schedule = self.lr_scheduler
        if schedule is None:
            return 0.01 if learning_rate is None else learning_rate
        if learning_rate is None:
            return getattr(schedule, "base_lr", None)  # a schedule may be any function
        if schedule.base_lr != learning_rate:
            warnings.warn(
                f"learning_rate={learning_rate} replaces the base_lr of lr_scheduler, which is "
                f"{schedule.base_lr}",
                UserWarning,
                stacklevel=4,
            )
            schedule.base_lr = learning_rate
        return learning_rate

    @staticmethod
    def register(klass):
        """Makes an optimizer class known to :func:`create` by its name in lower case.

        A decorator; see :class:`Optimizer`. A class of the same name is replaced, with a warning.
        """
        if not isinstance(klass, type):
            raise AssertionError(f"register: expected an optimizer class, got {klass!r}")
        name = klass.__name__.lower()
        known = Optimizer.opt_registry.get(name, klass)
        if known is not klass:
            warnings.warn(
                f"the optimizer {klass.__module__}.{klass.__name__} is registered as {name!r} in "
                f"the place of {known.__module__}.{known.__name__}",
                UserWarning,
                stacklevel=2,
            )
        Optimizer.opt_registry[name] = klass
        return klass

    @staticmethod
    def create_optimizer(name, **kwargs):
        """An optimizer by its name, with the arguments of its class.

        Parameters
        ----------
        name : str
            In any case: 'sgd', 'Adam', ...

        Raises
        ------
        ValueError
            No optimizer has this name.

        >>> import mxtape as mx
        >>> mx.optimizer.Optimizer.create_optimizer("sgd", momentum=0.9).momentum
        0.9
        """
        if not isinstance(name, str):
            made = isinstance(name, type) and issubclass(name, Optimizer)
            hint = f"; did you mean {name.__name__.lower()!r}, or an object of it?" if made else ""
            raise TypeError(f"the name of an optimizer must be a str, got {name!r}{hint}")
        klass = Optimizer.opt_registry.get(name.lower())
        if klass is None:
            known = ", ".join(sorted(Optimizer.opt_registry))
            hint = guess(name.lower(), Optimizer.opt_registry)
            raise ValueError(f"there is no optimizer {name!r}; there are {known}{hint}")
        return klass(**kwargs)

    @property
    def learning_rate(self):
        """The learning rate before multipliers: the schedule's for `num_update`, or `lr`."""
        schedule = self.lr_scheduler
        return self.lr if schedule is None else schedule(self.num_update)

    def set_learning_rate(self, lr):
        """Sets the learning rate of an optimizer without a schedule.

        Raises
        ------
        UserWarning
            The optimizer has a schedule, which decides the rate.

        >>> import mxtape as mx
        >>> optimizer = mx.optimizer.Optimizer()
        >>> optimizer.set_learning_rate(0.5)
        >>> optimizer.learning_rate
        0.5
        """
        if self.lr_scheduler is not None:
            raise UserWarning(
                "set_learning_rate: the optimizer has an lr_scheduler, which decides the rate"
            )
        self.lr = lr

    def set_lr_scale(self, args_lrscale):
        """The older name of :meth:`set_lr_mult`; raises DeprecationWarning."""
        raise DeprecationWarning("set_lr_scale has gone; use set_lr_mult")

    def _multipliers_of_symbol(self, key):
        """By name, what the symbol's variables have under an attribute."""
        if not self.sym_info:
            return {}
        attributes, names = self.sym_info
        found = {name: attributes.get(name, {}).get(key) for name in names}
        return {name: float(value) for name, value in found.items() if value is not None}

    def set_lr_mult(self, args_lr_mult):
        """Sets multipliers of the learning rate, after those of the symbol's variables.

        Parameters
        ----------
        args_lr_mult : dict
            By index or by name. Earlier ones are forgotten.

        >>> from mxtape.optimizer import Optimizer
        >>> optimizer = Optimizer(learning_rate=0.5, param_idx2name={0: "fc_weight", 1: "fc_bias"})
        >>> optimizer.set_lr_mult({"fc_bias": 2})
        >>> optimizer._get_lr(0), optimizer._get_lr(1)
        (0.5, 1.0)
        """
        self.lr_mult = self._multipliers_of_symbol("__lr_mult__")
        self.lr_mult.update(args_lr_mult)

    def _decays(self, name):
        """Whether a parameter of this name has weight decay when nothing else is said."""
        return name.endswith(("_weight", "_gamma"))

    def set_wd_mult(self, args_wd_mult):
        """Sets multipliers of the weight decay, after those of names and of the symbol's variables.

        Parameters
        ----------
        args_wd_mult : dict
            By index or by name. Earlier ones are forgotten.

        >>> from mxtape.optimizer import Optimizer
        >>> optimizer = Optimizer(wd=0.5, param_idx2name={0: "fc_weight", 1: "fc_bias"})
        >>> optimizer.set_wd_mult({"fc_weight": 2})
        >>> optimizer._get_wd(0), optimizer._get_wd(1)
        (1.0, 0.0)
        """
        self.wd_mult = {name: 0.0 for name in self.idx2name.values() if not self._decays(name)}
        self.wd_mult.update(self._multipliers_of_symbol("__wd_mult__"))
        self.wd_mult.update(args_wd_mult)

    def _set_current_context(self, device_id):
        """Goes on with the counts of the parameters' copies on one device."""
        self._index_update_count = self._all_index_update_counts.setdefault(device_id, {})

    def _update_count(self, index):
        """Counts an update of a parameter, or of each of a list."""
        counts, begin, most = self._index_update_count, self.begin_num_update, self.num_update
        for key in index if isinstance(index, (list, tuple)) else (index,):
            count = counts[key] = counts.get(key, begin) + 1
            if count > most:
                most = count
        self.num_update = most

    def _multiplied(self, value, indices, attribute):
        """`value` times each parameter's `lr_mult` or `wd_mult`."""
        if value == 0:
            return [value] * len(indices)
        by_key, parameters, names = getattr(self, attribute), self.param_dict, self.idx2name
        result = []
        for index in indices:
            if index in parameters:
                factor = getattr(parameters[index], attribute)
            elif index in by_key:
                factor = by_key[index]
            else:
                factor = by_key.get(names[index], 1.0) if index in names else 1.0
            result.append(value * factor)
        return result

    # A subclass may define the method for one parameter or the one for a list, and call this
    # class's: each of them uses the other where it is the subclass's.
    def _get_lrs(self, indices):
        """Learning rates of the parameters in a list."""
        if type(self)._get_lr is not Optimizer._get_lr:
            return [self._get_lr(index) for index in indices]
        return self._multiplied(self.learning_rate, indices, "lr_mult")

    def _get_lr(self, index):
        """Learning rate of a parameter."""
        if type(self)._get_lrs is not Optimizer._get_lrs:
            return self._get_lrs([index])[0]
        return self._multiplied(self.learning_rate, [index], "lr_mult")[0]

    def _get_wds(self, indices):
        """Weight decays of the parameters in a list."""
        if type(self)._get_wd is not Optimizer._get_wd:
            return [self._get_wd(index) for index in indices]
        return self._multiplied(self.wd, indices, "wd_mult")

    def _get_wd(self, index):
        """Weight decay of a parameter."""
        if type(self)._get_wds is not Optimizer._get_wds:
            return self._get_wds([index])[0]
        return self._multiplied(self.wd, [index], "wd_mult")[0]

    def _begin(self, index):
        """Counts an update of one parameter; its learning rate and weight decay."""
        self._update_count(index)
        return self._get_lr(index), self._get_wd(index)

    def _options(self, **options):
        """Keywords for an operator that updates: what is given, rescaling and clipping."""
        options["rescale_grad"] = self.rescale_grad
        if self.clip_gradient:
            options["clip_gradient"] = self.clip_gradient
        return options

    def _clipped(self, grad):
        limit = self.clip_gradient
        return grad if limit is None else clip(grad, -limit, limit)

    def _is_wide(self, weight):
        """Whether a float32 copy of the weight is kept and updated."""
        narrow = weight.dtype == np.float16 or _is_bfloat16(weight.dtype)
        return self.multi_precision and narrow

    def create_state(self, index, weight):
        """What is kept between the updates of a parameter: None, an array, or a tuple of such."""

    def create_state_multi_precision(self, index, weight):
        """The state that :meth:`update_multi_precision` accepts.

        With `multi_precision`, and for a float16 or bfloat16 weight: a float32 copy of the weight,
        and :meth:`create_state` of that copy. Else :meth:`create_state` of the weight.
        """
        if self._is_wide(weight):
            wide = weight.astype(np.float32)
            return wide, self.create_state(index, wide)
        if weight.dtype == np.float16:
            warn_of_float16(self)
        return self.create_state(index, weight)

    def update(self, index, weight, grad, state):
        """Makes a step: changes the weight and the state in place.

        Parameters
        ----------
        index : int or str
        weight : NDArray
        grad : NDArray
            Its shape and dtype are the weight's. It may be row_sparse.
        state : any
            What :meth:`create_state` returned.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define update")

    def update_multi_precision(self, index, weight, grad, state):
        """:meth:`update`, on the float32 copy where :meth:`create_state_multi_precision` made one.

        The weight then gets the copy's values in its dtype.
        """
        if isinstance(index, (list, tuple)) and self._is_wide(weight[0]):
            for one in zip(index, weight, grad, state):
                self.update_multi_precision(*one)
            return
        if isinstance(index, (list, tuple)) or not self._is_wide(weight):
            self.update(index, weight, grad, state)
            return
        wide, inner = state
        self.update(index, wide, grad.astype(np.float32), inner)
        weight[:] = wide

    def __getstate__(self):
        """The optimizer without `param_dict`, whose parameters are the program's own."""
        state = self.__dict__.copy()
        state.pop("param_dict", None)
        return state

    def __setstate__(self, state):
        state = dict(state)
        if _COUNTS not in state:  # MXNet before 1.3 had one table of counts
            state[_COUNTS] = {0: state.get("_index_update_count", {})}
        state.setdefault("_index_update_count", state[_COUNTS].setdefault(0, {}))
        state.setdefault("aggregate_num", 0)
        state["param_dict"] = {}
        self.__dict__ = state


register = Optimizer.register
create = Optimizer.create_optimizer
