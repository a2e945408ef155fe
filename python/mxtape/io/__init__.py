"""Iterators over batches of data: ``mx.io``.

>>> import mxtape as mx
>>> batches = mx.io.NDArrayIter(mx.nd.arange(5), label=mx.nd.arange(5), batch_size=2)
>>> [(batch.data[0].asnumpy().tolist(), batch.pad) for batch in batches]
[([0.0, 1.0], 0), ([2.0, 3.0], 0), ([4.0, 0.0], 1)]
"""

from .. import _missing
from . import io, utils
from .arrays import NDArrayIter
from .files import CSVIter, MNISTIter, MXDataIter
from .image_det_records import ImageDetRecordIter
from .image_records import (
    ImageRecordInt8Iter,
    ImageRecordIter,
    ImageRecordIter_v1,
    ImageRecordUInt8Iter,
    ImageRecordUInt8Iter_v1,
)
from .io import DataBatch, DataDesc, DataIter, ResizeIter
from .libsvm import LibSVMIter
from .prefetching import PrefetchingIter
from .utils import _getdata_by_idx, _has_instance, _init_data  # noqa: F401 (programs use them)

__all__ = [
    "CSVIter",
    "DataBatch",
    "DataDesc",
    "DataIter",
    "ImageDetRecordIter",
    "ImageRecordInt8Iter",
    "ImageRecordIter",
    "ImageRecordIter_v1",
    "ImageRecordUInt8Iter",
    "ImageRecordUInt8Iter_v1",
    "LibSVMIter",
    "MNISTIter",
    "MXDataIter",
    "NDArrayIter",
    "PrefetchingIter",
    "ResizeIter",
    "io",
    "utils",
]


def __getattr__(name):
    _missing.refuse(__name__, name)
