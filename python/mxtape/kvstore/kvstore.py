"""KVStore: parameters by key, in this process; ``dist`` has those of several."""

import warnings

import numpy as np

from .. import autograd
from ..base import MXNetError
from ..ndarray import NDArray, add_n, sparse
from . import compression
from .base import KVStoreBase

__all__ = ["KVStore", "create"]

# All are the same here: they differ in where MXNet adds up what several GPUs push.
_TYPES = (
    "local",
    "device",
    "local_update_cpu",
    "local_allreduce_cpu",
    "local_allreduce_device",
)


def create(name="local"):
    """A new store.

    Parameters
    ----------
    name : str, default 'local'
        'local' or 'device', which are the same here; 'dist_sync', 'dist_device_sync' or
        'dist_sync_device', which are the same too: all processes that ``mpirun`` has started share
        one, and all create it; or the name of a class that :meth:`KVStoreBase.register` has
        registered.

    Returns
    -------
    KVStore
        Or an object of the registered class. Its ``rank`` and ``num_workers`` are the number of
        this process and how many there are.

    Raises
    ------
    TypeError
        When `name` is not a str.
    MXNetError
        For 'dist_sync' without mpi4py: ``pip install mxtape[mpi]``. For 'dist_async', for 'nccl',
        which is for GPUs, and for other names.

    Examples
    --------
    >>> import mxtape as mx
    >>> store = mx.kv.create("device")
    >>> store.type, store.rank, store.num_workers
    ('device', 0, 1)
    """
    if not isinstance(name, str):
        raise TypeError(f"the name of a store is a str; got {type(name).__name__}")
    name = name.lower()
    registered = KVStoreBase.kv_registry.get(name)
    if registered is not None:
        return registered()
    if "dist" in name:
        from . import dist  # MPI is for programs that ask for it

        return dist.create(name)
    if name == "nccl":
        raise MXNetError("kvstore 'nccl' is for GPUs, which are not supported: use 'device'")
    if name not in _TYPES:
        raise MXNetError(
            f"there is no kvstore {name!r}; there are {', '.join(_TYPES)}, and those that "
            f"KVStoreBase.register has registered: {', '.join(sorted(KVStoreBase.kv_registry))}"
        )
    return KVStore(name)


def _is_key(key):
    return isinstance(key, (str, int, np.integer))


def _arrays(value):
    found = [value] if isinstance(value, NDArray) else value
    if not isinstance(found, (list, tuple)) or not all(isinstance(x, NDArray) for x in found):
        raise TypeError(
            f"an NDArray, or a list of them, is needed for a key; got {type(value).__name__}"
        )
    return list(found)


def _by_key(key, value):
    """{key: list of NDArray} of one key and its arrays, or of lists of both."""
    if _is_key(key):
        return {key: _arrays(value)}
    if not isinstance(key, (list, tuple)) or not all(map(_is_key, key)):
        raise AssertionError(f"a key is a str or an int, or a list of these; got {key!r}")
    if len({isinstance(k, str) for k in key}) > 1:
        raise AssertionError(f"keys are all str or all int; got {list(key)}")
    if not isinstance(value, (list, tuple)) or len(value) != len(key):
        given = len(value) if isinstance(value, (list, tuple)) else type(value).__name__
        raise AssertionError(f"{len(key)} keys need a list of {len(key)} values; got {given}")
    found: dict = {}
    for one, arrays in zip(key, value):
        found.setdefault(one, []).extend(_arrays(arrays))
    return found


def _row_ids_by_key(key, by_key, row_ids):
    """{key: an NDArray of row numbers for each of its arrays}."""
    if isinstance(row_ids, NDArray):
        row_ids = [row_ids]
    elif not isinstance(row_ids, (list, tuple)):
        raise AssertionError(
            "row_sparse_pull: row_ids must be an NDArray or a list of them; got "
            f"{type(row_ids).__name__}"
        )
    row_ids = list(row_ids) if not _is_key(key) else [row_ids]
    keys = [key] if _is_key(key) else list(key)
    if len(row_ids) != len(keys):
        raise AssertionError(
            f"row_sparse_pull: {len(keys)} keys need as many row_ids; got {len(row_ids)}"
        )
    found: dict = {}
    for one, ids in zip(keys, row_ids):
        ids = [ids] if isinstance(ids, NDArray) else list(ids)
        if not all(isinstance(x, NDArray) for x in ids):
            raise AssertionError(
                f"row_sparse_pull: key {one!r}: row_ids must be NDArrays; got {ids!r}"
            )
        found.setdefault(one, []).extend(ids)
    for one, arrays in by_key.items():
        if len(found[one]) == 1:
            found[one] *= len(arrays)
        if len(found[one]) != len(arrays):
            raise AssertionError(
                f"row_sparse_pull: key {one!r}: {len(found[one])} row_ids for {len(arrays)} arrays"
            )
    return found


def _dense_only(by_key):
    """Without the sparse arrays of `by_key`, about which it warns."""
    left = [one for one, arrays in by_key.items() if any(x.stype != "default" for x in arrays)]
    if not left:
        return by_key
    warnings.warn(
        f"pull: the sparse arrays of the keys {left} stay as they are: row_sparse_pull fetches "
        "rows, ignore_sparse=False everything",
        stacklevel=4,
    )
    return {one: [x for x in arrays if x.stype == "default"] for one, arrays in by_key.items()}


class KVStore(KVStoreBase):
    """Parameters by key: what is pushed is added up, and what is pulled is a copy.

    :func:`create` makes one. A key is a str or an int. Where a method accepts a key and an array,
    it also accepts lists of both, and in the place of an array a list of them, one for each
    context.

    Without an updater the sum of what is pushed becomes the value, with its storage type.
    :meth:`set_optimizer` and :meth:`_set_updater` have the value updated by it instead.

    Values may be row_sparse, and what is pushed too: sums of row_sparse arrays are row_sparse.
    :meth:`row_sparse_pull` fetches some rows.

    ``priority`` is accepted, and without effect, in all methods.

    Parameters
    ----------
    handle : str
        The store's type.
    """

    def __init__(self, handle):
        self.handle = handle
        self._values: dict = {}
        self._updater = None
        self._updater_func = None
        self._compress = None

    def _known(self, method, by_key):
        """Checks that all keys are known and all arrays have the shapes of their values."""
        for key, arrays in by_key.items():
            if key not in self._values:
                raise MXNetError(f"{method}: there is no key {key!r}; init(key, value) makes it")
            for array in arrays:
                if array.shape != self._values[key].shape:
                    raise MXNetError(
                        f"{method}: the value of key {key!r} has shape {self._values[key].shape}, "
                        f"and the array {array.shape}"
                    )

    def init(self, key, value):
        """Sets the first value of keys, each of them once.

        Parameters
        ----------
        key : str, int, or list of these
        value : NDArray, or list of these

        Raises
        ------
        MXNetError
            When the store has a key already.

        Examples
        --------
        >>> import mxtape as mx
        >>> store = mx.kv.create()
        >>> store.init(["a", "b"], [mx.nd.ones(2), mx.nd.zeros((3, 4))])
        """
        by_key = _by_key(key, value)
        for one, arrays in by_key.items():
            if one in self._values:
                raise MXNetError(f"init: the key {one!r} has a value already; push() changes it")
            if len(arrays) != 1:
                raise MXNetError(
                    f"init: the key {one!r} must be given one value, got {len(arrays)}"
                )
        self._values.update((one, arrays[0].copy()) for one, arrays in by_key.items())

    def push(self, key, value, priority=0):
        """Adds up the arrays of each key, and gives the sum to the updater, if there is one.

        Parameters
        ----------
        key : str, int, or list of these
        value : NDArray, list of NDArray, or for a list of keys a list of these
        priority : int, optional

        Raises
        ------
        MXNetError
            When there is no such key, or an array has another shape.

        Examples
        --------
        >>> import mxtape as mx
        >>> store = mx.kv.create()
        >>> store.init(3, mx.nd.ones(2))
        >>> store.push(3, [mx.nd.ones(2) * 4, mx.nd.ones(2)])
        >>> out = mx.nd.empty(2)
        >>> store.pull(3, out)
        >>> out.asnumpy().tolist()
        [5.0, 5.0]
        """
        by_key = _by_key(key, value)
        self._known("push", by_key)
        self._check_pushed(by_key)
        with autograd.pause():
            self._push(by_key)

    def _lend(self, keys, values):
        """:meth:`push` of arrays that stay as they are until :meth:`pull` of the same keys."""
        self.push(keys, values)

    def _check_pushed(self, by_key):
        """Refuses storage types that are not added up."""
        for one, arrays in by_key.items():
            for array in arrays:
                if array.stype == "csr":
                    raise MXNetError(
                        f"push: key {one!r}: csr arrays are not added up; those of storage type "
                        "'default' and 'row_sparse' are"
                    )
                if self._compress is not None and array.stype != "default":
                    raise MXNetError(
                        f"push: key {one!r}: gradient compression is for dense arrays; got one of "
                        f"storage type {array.stype!r}"
                    )

    def _push(self, by_key):
        for one, arrays in by_key.items():
            if not arrays:
                continue
            stored = self._values[one]
            if self._compress is not None:
                arrays = self._compress(one, arrays)
            total = self._local_sum(one, arrays)
            if self._updater is not None:
                self._updater(one, total, stored)
            else:
                self._values[one] = total.copy() if total is arrays[0] else total

    def _local_sum(self, key, arrays):
        """The sum of arrays of this process, on the context of the key's value.

        An updater gets it in the dtype of the value, which may have been cast elsewhere since.
        """
        value = self._values[key]
        arrays = [array.as_in_context(value.ctx) for array in arrays]
        kinds = {array.dtype for array in arrays}
        if len(kinds) > 1 or (self._updater is not None and value.dtype not in kinds):
            arrays = [array.astype(value.dtype, copy=False) for array in arrays]
        return arrays[0] if len(arrays) == 1 else add_n(*arrays)

    def pull(self, key, out=None, priority=0, ignore_sparse=True):
        """Copies the values of keys to arrays.

        Parameters
        ----------
        key : str, int, or list of these
        out : NDArray, list of NDArray, or for a list of keys a list of these
            Their dtypes may be others than those of the values, and their storage types.
        priority : int, optional
        ignore_sparse : bool, default True
            Leave sparse arrays of `out` as they are, with a warning: their rows are fetched by
            :meth:`row_sparse_pull`.

        Raises
        ------
        MXNetError
            When there is no such key, or an array has another shape.
        """
        if out is None:
            raise AssertionError("pull: out is needed")
        by_key = _by_key(key, out)
        self._known("pull", by_key)
        if ignore_sparse:
            by_key = _dense_only(by_key)
        self._check_pulled(by_key)
        with autograd.pause():
            for one, arrays in by_key.items():
                for array in arrays:
                    self._values[one].copyto(array)

    def _check_pulled(self, by_key):
        """Refuses pairs of storage types that have no conversion."""
        for one, arrays in by_key.items():
            stored = self._values[one].stype
            for array in arrays:
                if array.stype != stored and "default" not in (array.stype, stored):
                    raise MXNetError(
                        f"pull: the value of key {one!r} is {stored}, and out {array.stype}"
                    )

    def pushpull(self, key, value, out=None, priority=0):
        """:meth:`push`, then :meth:`pull` to `out`, or to the arrays that were pushed.

        Examples
        --------
        >>> import mxtape as mx
        >>> store = mx.kv.create()
        >>> store.init("g", mx.nd.zeros(2))
        >>> grads = [mx.nd.ones(2), mx.nd.ones(2) * 2]
        >>> store.pushpull("g", grads)
        >>> [g.asnumpy().tolist() for g in grads]
        [[3.0, 3.0], [3.0, 3.0]]
        """
        out = value if out is None else out
        by_key = _by_key(key, out)
        self._known("pushpull", by_key)
        self.push(key, value, priority)
        self.pull(key, out, priority)

    def broadcast(self, key, value, out, priority=0):
        """:meth:`init`, then :meth:`pull` to `out`."""
        by_key = _by_key(key, out)
        for one, first in _by_key(key, value).items():
            for array in by_key[one]:
                if first and array.shape != first[0].shape:
                    raise MXNetError(
                        f"broadcast: the value of key {one!r} has shape {first[0].shape}, and an "
                        f"array of out {array.shape}"
                    )
        self.init(key, value)
        self.pull(key, out, priority)

    def row_sparse_pull(self, key, out=None, priority=0, row_ids=None):
        """Copies some rows of row_sparse values to arrays, which have these rows then, ascending.

        Rows that a value does not have are zeros. Of a value without any rows come none.

        Parameters
        ----------
        key : str, int, or list of these
        out : RowSparseNDArray, list of them, or for a list of keys a list of these
        priority : int, optional
        row_ids : NDArray, list of NDArray, or for a list of keys a list of these
            For each array of `out` the numbers of rows, of any shape and in any order; one may be
            there several times. A single NDArray is for all arrays.

        Raises
        ------
        MXNetError
            When there is no such key or row, an array has another shape, or a value or an array is
            not row_sparse.
        AssertionError
            Without `out` or `row_ids`, or when these are not as many as the arrays.

        Examples
        --------
        >>> import mxtape as mx
        >>> store = mx.kv.create()
        >>> store.init("w", mx.nd.ones((5, 2)).tostype("row_sparse"))
        >>> w = mx.nd.sparse.zeros("row_sparse", (5, 2))
        >>> store.row_sparse_pull("w", out=w, row_ids=mx.nd.array([4, 1, 4]))
        >>> w.indices.asnumpy().tolist(), w.data.asnumpy().tolist()
        ([1, 4], [[1.0, 1.0], [1.0, 1.0]])
        """
        pairs = self._rows_by_key(key, out, row_ids)
        with autograd.pause():
            # All that may fail is done before the first array is written.
            found = []
            for one, array, ids in pairs:
                rows = sparse.retain(self._values[one], ids.reshape((-1,)))
                found.append((array, rows.astype(array.dtype, copy=False)))
            for array, rows in found:
                rows.copyto(array)

    def _rows_by_key(self, key, out, row_ids):
        """(key, array, row ids) of all arrays, once all of them are right."""
        if out is None or row_ids is None:
            raise AssertionError("row_sparse_pull: out and row_ids are needed")
        by_key = _by_key(key, out)
        self._known("row_sparse_pull", by_key)
        ids_by_key = _row_ids_by_key(key, by_key, row_ids)
        pairs = []
        for one, arrays in by_key.items():
            kinds = [("the value", self._values[one].stype), *(("out", x.stype) for x in arrays)]
            for what, kind in kinds:
                if kind != "row_sparse":
                    raise MXNetError(
                        f"row_sparse_pull: key {one!r}: {what} must be row_sparse, and is {kind!r}"
                    )
            pairs += [(one, array, ids) for array, ids in zip(arrays, ids_by_key[one])]
        return pairs

    def set_gradient_compression(self, compression_params):
        """Has what is pushed rounded to two bits an element, for stores of type 'device'.

        An element becomes ``threshold`` where it is at least that, ``-threshold`` where it is at
        most that, else 0. What is left is added to the next push of the key. Here this saves
        nothing; it is there so that programs train as they do with it.

        Parameters
        ----------
        compression_params : dict
            ``{'type': '2bit', 'threshold': 0.5}``; the threshold is 0.5 by default.

        Raises
        ------
        MXNetError
            For another type of compression, a threshold that is not positive, or a store of type
            'local'.

        Examples
        --------
        >>> import mxtape as mx
        >>> store = mx.kv.create("device")
        >>> store.set_gradient_compression({"type": "2bit", "threshold": 0.5})
        >>> store.init("g", mx.nd.zeros(3))
        >>> g = mx.nd.array([0.3, 0.6, -0.1])
        >>> out = mx.nd.empty(3)
        >>> for _ in range(2):
        ...     store.pushpull("g", g, out=out)
        ...     print(out.asnumpy().tolist())
        [0.0, 0.5, 0.0]
        [0.5, 0.5, 0.0]
        """
        if "device" not in self.type:
            raise MXNetError(
                f"set_gradient_compression: a store of type {self.type!r} has none; 'device' has"
            )
        self._compress = compression.from_params(compression_params)

    def set_optimizer(self, optimizer):
        """Has the values updated by an optimizer when gradients are pushed.

        Parameters
        ----------
        optimizer : Optimizer

        Examples
        --------
        >>> import mxtape as mx
        >>> store = mx.kv.create()
        >>> store.init("w", mx.nd.ones(2))
        >>> store.set_optimizer(mx.optimizer.SGD(learning_rate=0.5))
        >>> store.push("w", mx.nd.ones(2))
        >>> w = mx.nd.empty(2)
        >>> store.pull("w", w)
        >>> w.asnumpy().tolist()
        [0.5, 0.5]
        """
        from .. import optimizer as opt

        if not isinstance(optimizer, opt.Optimizer):
            raise TypeError(f"set_optimizer: an Optimizer is needed; got {optimizer!r}")
        self._set_updater(opt.get_updater(optimizer))

    def _set_updater(self, updater):
        """Has the values updated by ``updater(key, pushed, value)``, which writes to `value`."""
        if not callable(updater):
            raise TypeError(f"an updater is called; got {updater!r}")
        self._updater = self._updater_func = updater

    @staticmethod
    def is_capable(capability):
        """Whether the store can do what `capability` names: 'optimizer' is all that is known."""
        if capability.lower() != KVStoreBase.OPTIMIZER:
            raise ValueError(f"there is no capability {capability!r}")
        return True

    def save_optimizer_states(self, fname, dump_optimizer=False):
        """Writes the states of the optimizer to a file.

        Parameters
        ----------
        fname : str
        dump_optimizer : bool, default False
            Write the optimizer too.
        """
        if self._updater is None:
            raise AssertionError("save_optimizer_states: the store has no optimizer")
        states = self._updater.get_states(dump_optimizer)
        with open(fname, "wb") as f:
            f.write(states)

    def load_optimizer_states(self, fname):
        """Reads the states of the optimizer from a file, which is a pickle: use files you trust.

        Parameters
        ----------
        fname : str
        """
        if self._updater is None:
            raise AssertionError("load_optimizer_states: the store has no optimizer")
        with open(fname, "rb") as f:
            self._updater.set_states(f.read())

    @property
    def type(self):
        """What the store was created as."""
        return self.handle

    @property
    def rank(self):
        """The number of this worker: 0."""
        return 0

    @property
    def num_workers(self):
        """The number of workers: 1."""
        return 1

    def _barrier(self):
        """Waits for all workers; there is one."""

    def _send_command_to_servers(self, head, body):
        """Sends a command to the servers; there are none."""
