"""What every store has, and the table of those that are registered."""

__all__ = ["KVStoreBase"]


class KVStoreBase:
    """The base of stores. One of your own derives from it and is registered.

    It has at least :meth:`broadcast`, :meth:`pushpull`, ``type``, ``rank`` and ``num_workers``.

    Examples
    --------
    >>> import mxtape as mx
    >>> @mx.kv.KVStoreBase.register
    ... class Counter(mx.kv.KVStoreBase):
    ...     def is_capable(self, capability): return False
    >>> type(mx.kv.create("counter")).__name__
    'Counter'
    """

    OPTIMIZER = "optimizer"  # a capability
    kv_registry: dict = {}  # by names in lower case  # noqa: RUF012

    @staticmethod
    def register(klass):
        """Makes a class known to :func:`create` under its name in lower case; a decorator."""
        KVStoreBase.kv_registry[klass.__name__.lower()] = klass
        return klass

    def _missing(self, what):
        raise NotImplementedError(f"{type(self).__name__} does not define {what}")

    def broadcast(self, key, value, out, priority=0):
        """Sets the value of a key, and copies it to all of `out`."""
        self._missing("broadcast")

    def pushpull(self, key, value, out=None, priority=0):
        """Adds up the arrays of a key, and copies the sum to all of `out`."""
        self._missing("pushpull")

    def set_optimizer(self, optimizer):
        """Has the store update its values by an optimizer."""
        self._missing("set_optimizer")

    @staticmethod
    def is_capable(capability):
        """Whether the store can do what `capability` names."""
        raise NotImplementedError(f"is_capable({capability!r}) is for the store to define")

    def save_optimizer_states(self, fname, dump_optimizer=False):
        """Writes the states of the optimizer to a file."""
        self._missing("save_optimizer_states")

    def load_optimizer_states(self, fname):
        """Reads the states of the optimizer from a file."""
        self._missing("load_optimizer_states")

    @property
    def type(self):
        """The store's name."""
        return self._missing("type")

    @property
    def rank(self):
        """The number of this worker, from 0."""
        return self._missing("rank")

    @property
    def num_workers(self):
        """The number of workers."""
        return self._missing("num_workers")


@KVStoreBase.register
class TestStore(KVStoreBase):
    """A store without keys, for tests of programs: sums and copies, and no optimizer."""

    __test__ = False  # pytest takes it for a test otherwise

    def broadcast(self, key, value, out, priority=0):
        for array in out if isinstance(out, (list, tuple)) else [out]:
            value.copyto(array)

    def pushpull(self, key, value, out=None, priority=0):
        arrays = value if isinstance(value, (list, tuple)) else [value]
        total = sum(array.as_in_context(arrays[0].ctx) for array in arrays)
        self.broadcast(key, total, value if out is None else out)

    @staticmethod
    def is_capable(capability):
        if capability.lower() != KVStoreBase.OPTIMIZER:
            raise ValueError(f"there is no capability {capability!r}")
        return False

    @property
    def type(self):
        return "teststore"

    @property
    def rank(self):
        return 0

    @property
    def num_workers(self):
        return 1
