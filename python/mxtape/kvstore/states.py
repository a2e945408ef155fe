"""States of an optimizer of which a machine has one copy: each of its processes updates a part."""

from typing import Any

import numpy as np

from .. import autograd
from .. import optimizer as opt
from ..ndarray import NDArray
from ..optimizer.base import UPDATES
from ..optimizer.updater import map_arrays

__all__: list = []


def by_element(updater):
    """Whether an updater updates parts of arrays as it updates them whole."""
    if type(updater) is not opt.Updater:
        return False
    optimizer = updater.optimizer
    # A program may have put an update of its own into one of our classes.
    updates = [getattr(type(optimizer), name, opt.Optimizer) for name in UPDATES]
    ours = all(update.__module__.startswith(opt.__name__) for update in updates)
    return optimizer._by_element and ours and UPDATES.isdisjoint(vars(optimizer))


class SharedStates:
    """Updates parts of values, with states that lie in the memory of a machine.

    Parameters
    ----------
    world : World
    updater : Updater
        Its states become those in shared memory, whole: they can be saved by any process.
    """

    def __init__(self, world, updater):
        self._world, self._updater = world, updater
        self._of_parts = opt.get_updater(updater.optimizer)
        self._placed: dict = {}  # by key: the whole state, and its memory

    def missing(self, keys):
        """Those of the keys whose states do not lie in shared memory."""
        states = self._updater.states
        return {
            key
            for key in keys
            if key not in self._placed or states.get(key) is not self._placed[key][0]
        }

    def placed(self, keys):
        """Those of the keys whose states were put into shared memory."""
        return self._placed.keys() & set(keys)

    def place(self, keys, values):
        """Has the states of keys lie in shared memory. All processes do it at the same time.

        Returns
        -------
        bool
            False, and nothing is done, if a state is not of its value's shape.
        """
        states = self._updater.states
        absent = self.missing(keys)
        missing = [(key, value) for key, value in zip(keys, values) if key in absent]
        if not missing:
            return True
        for key, value in missing:
            self._updater._prepare(key, value)
        arrays = [(value, a) for key, value in missing for a in _arrays(states[key])]
        if any(a.stype != "default" or a.shape != value.shape for value, a in arrays):
            return False
        size = sum(_room(array) for _, array in arrays)
        names = " ".join(repr(key) for key, _ in missing)
        block: Any = self._world.common_block(size, f"states of {names}") if size else None
        used = 0

        def place(array):
            nonlocal used
            if not array.size:
                return array
            flat = block.array(used, array.size, np.dtype(array.dtype))
            placed = flat.reshape(array.shape)
            used += _room(array)
            self.part(array).copyto(self.part(placed))
            return placed

        for key, _ in missing:
            whole = states[key] = map_arrays(place, states[key])
            self._placed[key] = (whole, block)
            self._of_parts.states[key] = map_arrays(self.part, whole)
            self._of_parts.states_synced[key] = True
        return True

    def part(self, array):
        """The part of an array that is this process's."""
        begin, end = self._world.machine.part(0, array.size)
        return array.reshape(-1)[begin:end]

    def update(self, keys, values, parts):
        """Updates this process's parts of values, and writes them to `parts`.

        Parameters
        ----------
        keys : list
        values : list of NDArray
        parts : list of NDArray
            The same parts of the sums of gradients.
        """
        if self._of_parts.optimizer is not self._updater.optimizer:
            self._of_parts._set_optimizer(self._updater.optimizer)
        with autograd.pause():
            mine = [self.part(value) for value in values]
            try:
                self._of_parts(keys, parts, mine)
            finally:  # after an error, all have what has been updated until then
                for new, part in zip(mine, parts):
                    new.copyto(part)

    def copy_others(self, new, value):
        """Copies to a value what other processes have updated of it."""
        begin, end = self._world.machine.part(0, value.size)
        new, value = new.reshape(-1), value.reshape(-1)
        for part in (slice(0, begin), slice(end, value.size)):
            if part.start < part.stop:
                new[part].copyto(value[part])

    def take_out(self, keys):
        """Gives keys that are about to be updated whole states of this process's own."""
        for key in keys:
            if key in self._placed:
                whole, _ = self._placed.pop(key)
                del self._of_parts.states[key]
                if self._updater.states.get(key) is whole:
                    self._updater.states[key] = map_arrays(NDArray.copy, whole)


def _arrays(state):
    found: list = []
    map_arrays(found.append, state)
    return found


def _room(array):
    """Bytes that an array takes, such that the next one is aligned."""
    return -(-array.size * np.dtype(array.dtype).itemsize // 64) * 64
