"""NDArrayIter: batches of arrays in memory."""

import numpy as np

from ..base import MXNetError
from .io import DataDesc, DataIter
from .utils import _init_data, joined, rows

__all__ = ["NDArrayIter"]

_LAST = ("pad", "discard", "roll_over")


class NDArrayIter(DataIter):
    """Batches of arrays.

    Parameters
    ----------
    data : NDArray, numpy.ndarray, SciPy matrix, h5py.Dataset, or a list or dict of these
        The inputs, examples along the first axis. NumPy arrays become float32, SciPy's sparse
        matrices csr arrays of float32. A dict names the inputs; those of a list are called after
        `data_name`. Batches of csr arrays are csr, those of row_sparse arrays dense.
    label : optional
        The labels, in the same forms.
    batch_size : int, default 1
    shuffle : bool, default False
        Take the examples in another order each epoch, by ``numpy.random``.
    last_batch_handle : {'pad', 'discard', 'roll_over'}, default 'pad'
        What becomes of the last examples, if they are fewer than a batch: they are filled up with
        the first ones (``batch.pad`` is how many), left out, or kept for the next epoch.
    data_name : str, default 'data'
    label_name : str, default 'softmax_label'
    layout : str, default 'NCHW'
        What ``provide_data`` and ``provide_label`` say of the axes.

    Attributes
    ----------
    provide_data, provide_label : list of DataDesc
    cursor : int
        The position of the batch's first example; negative where examples of the last epoch come
        before it.
    num_data : int
        The number of examples.
    idx : numpy.ndarray
        Their order in this epoch.

    Raises
    ------
    TypeError
        For data that arrays cannot be made of.
    ValueError
        For a batch size below 1, another `last_batch_handle`, or arrays that have fewer examples
        than the first.

    Examples
    --------
    >>> from mxtape.io import NDArrayIter
    >>> import mxtape as mx
    >>> batches = NDArrayIter({"x": mx.nd.arange(5)}, batch_size=2, last_batch_handle="roll_over")
    >>> for epoch in range(2):
    ...     print([batch.data[0].asnumpy().tolist() for batch in batches])
    ...     batches.reset()
    [[0.0, 1.0], [2.0, 3.0]]
    [[4.0, 0.0], [1.0, 2.0], [3.0, 4.0]]
    """

    def __init__(
        self,
        data,
        label=None,
        batch_size=1,
        shuffle=False,
        last_batch_handle="pad",
        data_name="data",
        label_name="softmax_label",
        layout="NCHW",
    ):
        if batch_size < 1:
            raise ValueError(f"batch_size is at least 1; got {batch_size}")
        if last_batch_handle not in _LAST:
            raise ValueError(f"last_batch_handle is one of {_LAST}; got {last_batch_handle!r}")
        super().__init__(batch_size)
        self.data = _init_data(data, allow_empty=False, default_name=data_name)
        self.label = _init_data(label, allow_empty=True, default_name=label_name)
        self.data_list = [array for _, array in self.data + self.label]
        self.num_source = len(self.data_list)
        self.num_data = self.data_list[0].shape[0]
        for name, array in self.data + self.label:
            if array.shape[0] < self.num_data:
                raise ValueError(
                    f"{name} has {array.shape[0]} examples, and {self.data[0][0]} {self.num_data}"
                )
        self.idx = np.arange(self.num_data)
        self._permutation = np.arange(self.num_data)
        self.shuffle = shuffle
        self.last_batch_handle = last_batch_handle
        self.layout = layout
        self.hard_reset()

    def _described(self, arrays):
        return [
            DataDesc(name, (self.batch_size, *x.shape[1:]), x.dtype, self.layout)
            for name, x in arrays
        ]

    @property
    def provide_data(self):
        """Names and shapes of the inputs."""
        return self._described(self.data)

    @property
    def provide_label(self):
        """Names and shapes of the labels."""
        return self._described(self.label)

    def hard_reset(self):
        """Goes back to the first example, and forgets those that were kept by 'roll_over'."""
        self._cache_data = self._cache_label = None
        self.cursor = -self.batch_size
        self._shuffle()

    def _shuffle(self):
        """After ``np.random.seed`` all epochs have MXNet's order, which permutes the last one."""
        if self.shuffle:
            np.random.shuffle(self._permutation)  # noqa: NPY002
            self.idx = self.idx[self._permutation]

    def reset(self):
        """Begins the next epoch, with the examples that 'roll_over' has kept."""
        if -self.batch_size < self.cursor < min(0, self.num_data - self.batch_size + 1):
            self._cache_data = self._cache_label = None  # the batch that was read last had them
        kept = 0 if self._cache_data is None else self._cache_data[0].shape[0]
        self.cursor = -self.batch_size - kept
        self._shuffle()

    def iter_next(self):
        self.cursor += self.batch_size
        if 0 <= self.cursor < self.batch_size:
            self._cache_data = self._cache_label = None  # they were in the batch before
        left = self.num_data - self.cursor
        if left >= self.batch_size or (left > 0 and self.last_batch_handle == "pad"):
            return True
        if left > 0 and self.last_batch_handle == "roll_over":
            data = self._taken(self.data, self._cache_data, self.num_data)
            self._cache_label = self._taken(self.label, self._cache_label, self.num_data)
            self._cache_data = data
        return False

    def _taken(self, arrays, kept, end):
        """The examples from the cursor to `end`, of each array; beyond the last come the first."""
        begin = max(self.cursor, 0)
        if self.shuffle or end > self.num_data:
            index = self.idx[np.arange(begin, end) % self.num_data]
        else:
            index = slice(begin, end)
        if self.cursor >= 0:
            return [rows(x, index) for _, x in arrays]
        return [joined([first, rows(x, index)]) for first, (_, x) in zip(kept, arrays)]

    def _batch(self, arrays, kept):
        if not -self.batch_size < self.cursor < self.num_data:
            raise MXNetError(
                f"there is no batch at {self.cursor} of {self.num_data} examples: iter_next() "
                "moves to the next one and says whether there is one"
            )
        return self._taken(arrays, kept, self.cursor + self.batch_size)

    def getdata(self):
        return self._batch(self.data, self._cache_data)

    def getlabel(self):
        return self._batch(self.label, self._cache_label)

    def getpad(self):
        if self.last_batch_handle == "pad":
            return max(self.cursor + self.batch_size - self.num_data, 0)
        return -self.cursor if -self.batch_size < self.cursor < 0 else 0
