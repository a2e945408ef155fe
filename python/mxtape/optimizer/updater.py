"""Applies an optimizer to parameters as their gradients come, and keeps their states."""

from ..ndarray import NDArray
from . import states as pickles
from .base import UPDATES


def _by_dtype(indices, weights, grads):
    """The three lists, or parts of them: weights of one dtype come together."""
    dtypes = [weight.dtype for weight in weights]
    if dtypes.count(dtypes[0]) == len(dtypes):
        return [(tuple(indices), list(weights), list(grads))]
    parts: dict = {}
    for dtype, *row in zip(dtypes, indices, weights, grads):
        parts.setdefault(dtype, []).append(row)
    columns = (zip(*rows) for rows in parts.values())
    return [(keys, list(some), list(some_grads)) for keys, some, some_grads in columns]


def map_arrays(function, state):
    """A state with what a function makes of its arrays: an array, or lists and tuples of such."""
    if isinstance(state, NDArray):
        return function(state)
    if isinstance(state, (tuple, list)):
        return type(state)(map_arrays(function, part) for part in state)
    return state


class Updater:
    """A function ``(index, grad, weight)`` that updates a weight and keeps its state.

    Made by :func:`get_updater`.

    Parameters
    ----------
    optimizer : Optimizer

    Attributes
    ----------
    optimizer : Optimizer
    states : dict
        By index, what the optimizer's `create_state_multi_precision` returned.
    aggregate_updates : bool
        Whether the optimizer updates several parameters at once.
    """

    def __init__(self, optimizer):
        self._set_optimizer(optimizer)
        self.states = {}
        self.states_synced = {}

    def _set_optimizer(self, optimizer):
        self.optimizer = optimizer
        self.aggregate_updates = optimizer.aggregate_num > 0

    def __call__(self, index, grad, weight):
        """Updates one parameter, or each of a list of them.

        Parameters
        ----------
        index : int or str, or list of such
        grad, weight : NDArray, or list of NDArray
            On the device of the first weight, whose counts of updates are its own.

        Raises
        ------
        IndexError
            The lists are not equally long.
        """
        indices, grads, weights = index, grad, weight
        if not isinstance(index, (list, tuple)):
            indices, grads, weights = [index], [grad], [weight]
        if not len(indices) == len(grads) == len(weights):
            raise IndexError(
                f"an update of {len(indices)} indices got {len(grads)} gradients and "
                f"{len(weights)} weights"
            )
        if not indices:
            return
        self.optimizer._set_current_context(weights[0].context.device_id)
        states, synced = self.states, self.states_synced
        for key, weight in zip(indices, weights):
            if key not in states or not synced[key]:
                self._prepare(key, weight)
        update = self.optimizer.update_multi_precision
        size = self._at_once(indices)
        if size == 0:
            for key, weight, grad in zip(indices, weights, grads):
                update(key, weight, grad, states[key])
            return
        for keys, some_weights, some_grads in _by_dtype(indices, weights, grads):
            for start in range(0, len(keys), size):
                part = slice(start, start + size)
                some = keys[part]
                update(some, some_weights[part], some_grads[part], [states[key] for key in some])

    def _at_once(self, indices):
        """How many parameters the optimizer is given at once; 0 for one by one."""
        optimizer = self.optimizer
        if not UPDATES.isdisjoint(vars(optimizer)):
            return optimizer.aggregate_num
        if optimizer.lr_scheduler is not None:
            # Where counts of updates differ, the rate depends on which come together.
            counts = optimizer._index_update_count
            if len({counts.get(key) for key in indices}) > 1:
                return optimizer.aggregate_num
        return max(optimizer.aggregate_num, optimizer._batch)

    def _prepare(self, key, weight):
        """Makes a parameter's state, or brings a loaded one to the weight's device."""
        if key not in self.states:
            state = self.optimizer.create_state_multi_precision(key, weight)
        else:
            state = self.sync_state_context(self.states[key], weight.context)
        self.states[key] = state
        self.states_synced[key] = True

    def sync_state_context(self, state, context):
        """`state` with its arrays on a device: an array, or lists and tuples of such.

        >>> import mxtape as mx
        >>> updater = mx.optimizer.get_updater(mx.optimizer.SGD())
        >>> updater.sync_state_context((None, mx.nd.ones((1,))), mx.cpu(1))[1].context
        cpu(1)
        """
        return map_arrays(lambda array: array.as_in_context(context), state)

    def set_states(self, states):
        """Goes on from states that :meth:`get_states` returned, here or in MXNet.

        With the optimizer among them, its settings, schedule and counts of updates are restored
        too, and `optimizer` is that one. Without it, counts begin as those of a new optimizer.

        Parameters
        ----------
        states : bytes
            A pickle: as of every pickle, do not load it from a source that you do not trust.

        Raises
        ------
        TypeError
            `states` is not bytes, or a pickle of something else.
        pickle.UnpicklingError
            They are not a pickle.
        """
        loaded, optimizer = pickles.loads(states)
        if optimizer is not None:
            self._set_optimizer(optimizer)
        self.states = loaded
        self.states_synced = dict.fromkeys(loaded, False)

    def get_states(self, dump_optimizer=False):
        """The states as bytes, which :meth:`set_states` reads, here and in MXNet 1.9.1.

        Parameters
        ----------
        dump_optimizer : bool, default False
            Write the optimizer too: its settings, schedule and counts of updates.

        >>> import mxtape as mx
        >>> first = mx.optimizer.get_updater(mx.optimizer.SGD(momentum=0.9))
        >>> first("weight", mx.nd.ones((2,)), mx.nd.zeros((2,)))
        >>> second = mx.optimizer.get_updater(mx.optimizer.SGD())
        >>> second.set_states(first.get_states(dump_optimizer=True))
        >>> second.optimizer.num_update, second.states["weight"].shape
        (1, (2,))
        """
        return pickles.dumps((self.states, self.optimizer) if dump_optimizer else self.states)


def get_updater(optimizer):
    """An :class:`Updater`: what a KVStore or a training loop calls with gradients.

    >>> from mxtape.optimizer import get_updater
    >>> import mxtape as mx
    >>> updater, w = get_updater(mx.optimizer.SGD(learning_rate=0.5)), mx.nd.array([1.0])
    >>> updater(0, mx.nd.array([1.0]), w)
    >>> w.asscalar().item()
    0.5
    """
    return Updater(optimizer)
