"""What iterators give and what they have in common: DataDesc, DataBatch, DataIter."""

from collections import namedtuple
from typing import Any

import numpy as np

from .. import _borrowed

__all__ = ["DataBatch", "DataDesc", "DataIter", "ResizeIter"]


class DataDesc(namedtuple("DataDesc", ["name", "shape"])):
    """The name, shape, dtype and layout of an input; as a tuple, the name and the shape.

    Parameters
    ----------
    name : str
    shape : tuple of int
        Of a whole batch.
    dtype : dtype, default numpy.float32
    layout : str, default 'NCHW'
        A letter for each axis; N is the batch.

    Examples
    --------
    >>> import mxtape as mx
    >>> data = mx.io.DataDesc("data", (32, 3, 28, 28))
    >>> name, shape = data
    >>> shape, data.layout
    ((32, 3, 28, 28), 'NCHW')
    """

    dtype: Any
    layout: str

    def __new__(cls, name, shape, dtype=np.float32, layout="NCHW"):
        made = super().__new__(cls, name, shape)
        made.dtype = dtype
        made.layout = layout
        return made

    def __repr__(self):
        return f"DataDesc[{self.name},{self.shape},{self.dtype},{self.layout}]"

    @staticmethod
    def get_batch_axis(layout):
        """The axis of a layout that is the batch; 0 for None, -1 where there is no N.

        >>> import mxtape as mx
        >>> mx.io.DataDesc.get_batch_axis("TNC")
        1
        """
        return 0 if layout is None else layout.find("N")

    @staticmethod
    def get_list(shapes, types):
        """Descriptions from lists of (name, shape) and of (name, dtype).

        >>> import mxtape as mx
        >>> mx.io.DataDesc.get_list([("a", (2,))], [("a", "int32")])
        [DataDesc[a,(2,),int32,NCHW]]
        """
        if types is None:
            return [DataDesc(name, shape) for name, shape in shapes]
        types = dict(types)
        return [DataDesc(name, shape, types[name]) for name, shape in shapes]


class DataBatch:
    """A batch: what an iterator gives, and what a module's ``forward`` is given.

    Parameters
    ----------
    data : list of NDArray
        The inputs.
    label : list of NDArray, optional
    pad : int, optional
        The number of examples at the end that only fill the batch up.
    index : numpy.ndarray, optional
        The positions of the examples in the data set.
    bucket_key : int, optional
        Which network of a BucketingModule the batch is for.
    provide_data, provide_label : list of DataDesc, optional
        Names and shapes of `data` and `label`.

    Examples
    --------
    >>> import mxtape as mx
    >>> print(mx.io.DataBatch([mx.nd.ones((2, 3))]))
    DataBatch: data shapes: [(2, 3)] label shapes: None
    """

    def __init__(
        self,
        data,
        label=None,
        pad=None,
        index=None,
        bucket_key=None,
        provide_data=None,
        provide_label=None,
    ):
        for name, arrays in (("data", data), ("label", label)):
            if arrays is not None and not isinstance(arrays, (list, tuple)):
                raise AssertionError(f"{name} is a list of NDArray; got {type(arrays).__name__}")
        self.data, self.label = data, label
        self.provide_data, self.provide_label = provide_data, provide_label
        self.pad, self.index, self.bucket_key = pad, index, bucket_key

    def __str__(self):
        data = [x.shape for x in self.data or []]
        label = [x.shape for x in self.label] if self.label else None
        return f"{type(self).__name__}: data shapes: {data} label shapes: {label}"


class DataIter:
    """The base of all iterators.

    One of your own derives from it, has the attributes ``provide_data`` and ``provide_label``
    (lists of :class:`DataDesc`), and overrides :meth:`reset`, and either :meth:`next` or
    :meth:`iter_next` with :meth:`getdata`, :meth:`getlabel`, :meth:`getpad` and :meth:`getindex`.

    Parameters
    ----------
    batch_size : int, default 0
        Kept as an attribute.

    Examples
    --------
    >>> import mxtape as mx
    >>> class Countdown(mx.io.DataIter):
    ...     def __init__(self):
    ...         super().__init__(batch_size=1)
    ...         self.reset()
    ...     def reset(self): self.left = 3
    ...     def iter_next(self):
    ...         self.left -= 1
    ...         return self.left >= 0
    ...     def getdata(self): return [mx.nd.array([self.left])]
    >>> [batch.data[0].asscalar().item() for batch in Countdown()]
    [2.0, 1.0, 0.0]
    """

    def __init__(self, batch_size=0):
        self.batch_size = batch_size

    def __iter__(self):
        return self

    def __next__(self):
        return self.next()

    def reset(self):
        """Goes back to the first batch."""

    def next(self):
        """The next :class:`DataBatch`; StopIteration after the last."""
        if not self.iter_next():
            raise StopIteration
        return DataBatch(
            data=self.getdata(), label=self.getlabel(), pad=self.getpad(), index=self.getindex()
        )

    def iter_next(self):
        """Moves to the next batch, if there is one, and says so."""

    def getdata(self):
        """The inputs of the batch that :meth:`iter_next` has moved to, a list of NDArray."""

    def getlabel(self):
        """Its labels, a list of NDArray."""

    def getindex(self):
        """The positions of its examples in the data set; None where they are not known."""

    def getpad(self):
        """The number of examples at its end that only fill it up."""


class BatchHolder(DataIter):
    """An iterator that has whole batches: what asks for a part of the current one gets it."""

    current_batch: Any = None

    def getdata(self):
        return self.current_batch.data

    def getpad(self):
        return self.current_batch.pad

    def getlabel(self):
        return self.current_batch.label

    def getindex(self):
        return self.current_batch.index


class ResizeIter(BatchHolder):
    """Another iterator with a number of batches of your own: cut off, or begun again.

    Parameters
    ----------
    data_iter : DataIter
    size : int
        The number of batches between two resets.
    reset_internal : bool, default True
        Whether :meth:`reset` resets `data_iter` too. Otherwise it goes on where it was.

    Examples
    --------
    >>> import mxtape as mx
    >>> five = mx.io.ResizeIter(mx.io.NDArrayIter(mx.nd.arange(4), batch_size=2), 5)
    >>> [batch.data[0][0].asscalar().item() for batch in five]
    [0.0, 2.0, 0.0, 2.0, 0.0]
    """

    def __init__(self, data_iter, size, reset_internal=True):
        super().__init__(data_iter.batch_size)
        self.data_iter = data_iter
        self.size = size
        self.reset_internal = reset_internal
        self.cur = 0
        self.provide_data, self.provide_label = data_iter.provide_data, data_iter.provide_label
        key = getattr(data_iter, "default_bucket_key", None)
        if key is not None:
            self.default_bucket_key = key

    def reset(self):
        if self.reset_internal:
            self.data_iter.reset()
        self.cur = 0

    def iter_next(self):
        if self.cur >= self.size:
            return False
        for first in (True, False):
            try:
                self.current_batch = self.data_iter.next()
            except StopIteration:
                if first:
                    self.data_iter.reset()
            else:
                self.cur += 1
                return True
        return False

    def next(self):
        # The batch itself, which may have a bucket_key.
        if not self.iter_next():
            raise StopIteration
        return self.current_batch


# What MXNet has in this module too; it imports this one.
__getattr__ = _borrowed.borrow(
    __name__,
    "",
    {
        ".io.arrays": "NDArrayIter",
        ".io.prefetching": "PrefetchingIter",
        ".io.files": "CSVIter MNISTIter MXDataIter",
        ".io.libsvm": "LibSVMIter",
        ".io.image_det_records": "ImageDetRecordIter",
        ".io.image_records": "ImageRecordInt8Iter ImageRecordIter ImageRecordIter_v1 "
        "ImageRecordUInt8Iter ImageRecordUInt8Iter_v1",
        ".io.utils": "_init_data _has_instance _getdata_by_idx",
    },
)
