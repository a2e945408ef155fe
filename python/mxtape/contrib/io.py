"""Loaders of Gluon as iterators for modules."""

from typing import Any

from ..io import DataDesc, DataIter
from ..ndarray import concat, zeros

__all__ = ["DataLoaderIter"]


class DataLoaderIter(DataIter):
    """A ``gluon.data.DataLoader`` of data and labels as an iterator, such as ``Module.fit`` reads.

    Parameters
    ----------
    loader : DataLoader
        Its batches are pairs of an array of data and one of labels.
    data_name : str, default 'data'
    label_name : str, default 'softmax_label'
    dtype : str or numpy type, default 'float32'
        What data and labels are cast to.

    A last batch that is smaller than the first is filled up with zeros, and ``getpad()`` says how
    many samples of it do not count.

    Examples
    --------
    >>> import mxtape as mx
    >>> data = mx.gluon.data.ArrayDataset(mx.nd.ones((5, 3)), mx.nd.arange(5))
    >>> batches = mx.contrib.io.DataLoaderIter(mx.gluon.data.DataLoader(data, batch_size=4))
    >>> [(batch.data[0].shape, batch.pad) for batch in batches]
    [((4, 3), 0), ((4, 3), 3)]
    """

    def __init__(self, loader, data_name="data", label_name="softmax_label", dtype="float32"):
        super().__init__()
        self._loader, self.dtype = loader, dtype
        data, label = next(iter(loader))
        self.batch_size = data.shape[0]
        self.provide_data = [DataDesc(data_name, data.shape, dtype)]
        self.provide_label = [DataDesc(label_name, label.shape, dtype)]
        self.reset()

    def reset(self):
        """Begins again with the first batch."""
        self._iter = iter(self._loader)
        self._current_batch: Any = None

    def iter_next(self):
        """Goes to the next batch; whether there is one."""
        self._current_batch = next(self._iter, None)
        return self._current_batch is not None

    def _whole(self, part):
        array = self._current_batch[part].astype(self.dtype)
        missing = self.getpad()
        if not missing:
            return [array]
        filling = zeros((missing, *array.shape[1:]), ctx=array.context, dtype=self.dtype)
        return [concat(array, filling, dim=0)]

    def getdata(self):
        """The batch's data, a list of one array."""
        return self._whole(0)

    def getlabel(self):
        """The batch's labels, a list of one array."""
        return self._whole(1)

    def getpad(self):
        """How many samples of the batch do not count."""
        return self.batch_size - self._current_batch[0].shape[0]

    def getindex(self):
        """None: a loader does not say which samples a batch has."""
        return
