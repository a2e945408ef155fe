"""ImageIter: batches of pictures from record files, or from files of their own."""

import logging
import os
import random
from typing import Any

import numpy as np

from .. import ndarray as nd
from .. import recordio
from ..base import MXNetError
from ..io import DataBatch, DataDesc, DataIter
from .augmenters import CreateAugmenter
from .image import imdecode

__all__ = ["ImageIter"]

_LABEL_DTYPES = ("int32", "float32", "int64", "float64")
_LAST = ("pad", "discard", "roll_over")


def _read_list(path, dtype):
    """What a list file says: labels and the names of files, by numbers, in its order."""
    found = {}
    with open(path) as lines:
        for number, line in enumerate(lines, 1):
            words = line.strip().split("\t")
            if words == [""]:
                continue
            try:
                found[int(words[0])] = (np.array(words[1:-1], dtype=dtype), words[-1])
            except ValueError as error:
                raise MXNetError(
                    f"{path}, line {number}: {line.strip()!r} is not a number, labels, and the "
                    "name of a file, with tabs between them"
                ) from error
    return found


def _listed(imglist, dtype):
    """The same of a list of programs: [label, or a list of labels, name of a file]."""
    found = {}
    for number, (*labels, name) in enumerate(imglist, 1):
        label = labels[0] if len(labels) == 1 else labels
        found[str(number)] = (np.array(label, dtype=dtype).reshape(-1), name)
    return found


class ImageIter(DataIter):
    """Batches of pictures, from a record file or from files of their own, in this thread.

    Parameters
    ----------
    batch_size : int
    data_shape : tuple of int
        (channels, height, width) of each picture; 3 channels.
    label_width : int, default 1
        The number of labels of each picture.
    path_imgrec : str, optional
        A record file.
    path_imglist : str, optional
        A list of files: in each line a number, labels, and a name, with tabs between them. With
        `path_imgrec`, the numbers are the keys of records.
    path_root : str, optional
        The folder that the names are in.
    path_imgidx : str, optional
        The index of the record file. Without one, records can neither be shuffled nor parted.
    shuffle : bool, default False
        Put the pictures in another order in each epoch.
    part_index, num_parts : int, default 0 and 1
        Give only one of several parts of the pictures. What is left over is in none.
    aug_list : list of Augmenter, optional
        What is done to each picture; by default what :func:`CreateAugmenter` makes of `kwargs`.
    imglist : list, optional
        Lists of a label, or a list of labels, and the name of a file.
    data_name, label_name : str, default 'data' and 'softmax_label'
    dtype : str, default 'float32'
        Of the labels: 'int32', 'int64', 'float32' or 'float64'.
    last_batch_handle : {'pad', 'discard', 'roll_over'}, default 'pad'
        What the last batch is, when there are too few pictures for it: filled up with the first
        ones, left out, or kept for the next epoch.

    One of `path_imgrec`, `path_imglist` and `imglist` is needed. :class:`mxtape.io.ImageRecordIter`
    decodes in other threads. A picture for which :meth:`check_valid_image` raises a RuntimeError is
    left out, with a line in the log for debugging: a subclass chooses pictures by it.

    Raises
    ------
    RuntimeError
        For a picture that cannot be decoded, with its name.
    ValueError
        For a picture that has another number of labels than `label_width`.

    Examples
    --------
    >>> import mxtape as mx
    >>> import os, tempfile
    >>> import numpy as np
    >>> from mxtape import recordio
    >>> folder = tempfile.TemporaryDirectory()
    >>> index, path = (os.path.join(folder.name, name) for name in ("a.idx", "a.rec"))
    >>> with recordio.MXIndexedRecordIO(index, path, "w") as record:
    ...     for i in range(3):
    ...         picture = np.full((8, 10, 3), 50 * i, "uint8")
    ...         header = recordio.IRHeader(0, i, i, 0)
    ...         record.write_idx(i, recordio.pack_img(header, picture, img_fmt=".png"))
    >>> for batch in mx.image.ImageIter(2, (3, 6, 6), path_imgrec=path, path_imgidx=index):
    ...     print(batch.data[0].shape, batch.label[0].asnumpy(), batch.pad)
    (2, 3, 6, 6) [0. 1.] 0
    (2, 3, 6, 6) [2. 0.] 1
    >>> folder.cleanup()
    """

    # What the last sample came from, for messages.
    _where = "a picture"

    def __init__(
        self,
        batch_size,
        data_shape,
        label_width=1,
        path_imgrec=None,
        path_imglist=None,
        path_root=None,
        path_imgidx=None,
        shuffle=False,
        part_index=0,
        num_parts=1,
        aug_list=None,
        imglist=None,
        data_name="data",
        label_name="softmax_label",
        dtype="float32",
        last_batch_handle="pad",
        **kwargs,
    ):
        super().__init__(batch_size)
        name = type(self).__name__
        if not (path_imgrec or path_imglist or isinstance(imglist, list)):
            raise AssertionError(f"{name}: path_imgrec, path_imglist or imglist is needed")
        if dtype not in _LABEL_DTYPES:
            raise AssertionError(f"{name}: labels are {', '.join(_LABEL_DTYPES)}; got {dtype!r}")
        if last_batch_handle not in _LAST:
            raise ValueError(
                f"{name}: last_batch_handle is one of {_LAST}; got {last_batch_handle!r}"
            )
        self.check_data_shape(data_shape)
        self.path_root, self.shuffle = path_root, shuffle
        self.data_shape, self.label_width = tuple(data_shape), label_width
        self.last_batch_handle, self._label_dtype = last_batch_handle, dtype
        self._open(path_imgrec, path_imgidx, path_imglist, imglist)
        self._take_part(part_index, num_parts)
        self.provide_data = [DataDesc(data_name, (batch_size, *self.data_shape))]
        labels = (batch_size,) if label_width == 1 else (batch_size, label_width)
        self.provide_label = [DataDesc(label_name, labels)]
        self.auglist = CreateAugmenter(data_shape, **kwargs) if aug_list is None else aug_list
        self._kept: list = []
        self.hard_reset()

    def _open(self, path_imgrec, path_imgidx, path_imglist, imglist):
        """Finds the pictures: `seq` has their keys, None where records come as they lie."""
        self.imgrec: Any = None
        self.imgidx: Any = None
        self.imglist: Any = None
        self.seq: Any = None
        if path_imglist:
            self.imglist = _read_list(path_imglist, self._label_dtype)
        elif isinstance(imglist, list):
            self.imglist = _listed(imglist, self._label_dtype)
        if not path_imgrec:
            self.seq = list(self.imglist)
            return
        if path_imgidx:
            self.imgrec = recordio.MXIndexedRecordIO(path_imgidx, path_imgrec, "r")
            self.imgidx = list(self.imgrec.keys)
        else:
            self.imgrec = recordio.MXRecordIO(path_imgrec, "r")
        self.seq = (
            self.imgidx if self.imglist is None or self.imgidx is None else list(self.imglist)
        )

    def _take_part(self, part_index, num_parts):
        name = type(self).__name__
        if self.seq is None and (self.shuffle or num_parts > 1):
            raise AssertionError(
                f"{name}: records are shuffled and parted by their index: path_imgidx is needed"
            )
        if not 0 <= part_index < num_parts:
            raise AssertionError(f"{name}: part_index {part_index} of {num_parts} parts")
        if self.seq is not None and num_parts > 1:
            count = len(self.seq) // num_parts
            self.seq = self.seq[part_index * count : (part_index + 1) * count]
        self.num_image: Any = None if self.seq is None else len(self.seq)

    # ---- epochs

    def reset(self):
        """Begins the next epoch."""
        if self.seq is not None and self.shuffle:
            random.shuffle(self.seq)
        if self.last_batch_handle != "roll_over" or not self._kept:
            self._rewind()
        self._allow_read = True

    def hard_reset(self):
        """Begins the next epoch, without what the last one has kept."""
        self._kept = []
        self.reset()

    def _rewind(self):
        if self.imgrec is not None and self.seq is None:
            self.imgrec.reset()
        self.cur = 0

    # ---- one picture

    def next_sample(self):
        """The label and the bytes of the next picture; StopIteration after the last.

        The label is what the record has, or an NDArray where lists have it.
        """
        if not self._allow_read:
            raise StopIteration
        if self.seq is None:
            record = self.imgrec.read()
            if record is None:
                raise StopIteration
            header, picture = recordio.unpack(record)
            self._where = f"record {self.cur}"
            self.cur += 1
            return header.label, picture
        if self.cur >= self.num_image:
            raise StopIteration
        key = self.seq[self.cur]
        self.cur += 1
        if self.imgrec is None:
            label, self._where = self.imglist[key]
            return nd.array(label, dtype=self._label_dtype), self.read_image(self._where)
        header, picture = recordio.unpack(self.imgrec.read_idx(key))
        self._where = f"record {key}"
        if self.imglist is None:
            return header.label, picture
        return nd.array(self.imglist[key][0], dtype=self._label_dtype), picture

    def read_image(self, fname):
        """The bytes of a file in the folder `path_root`."""
        with open(os.path.join(self.path_root or "", fname), "rb") as file:
            return file.read()

    def imdecode(self, s):
        """The picture of the bytes of a file; a RuntimeError names those that cannot be decoded."""
        try:
            return imdecode(s)
        except MXNetError as error:
            raise RuntimeError(
                f"{type(self).__name__}: broken picture, {self._where}: {error}"
            ) from error

    def check_data_shape(self, data_shape):
        """Raises a ValueError unless the shape is of three channels."""
        if len(data_shape) != 3:
            raise ValueError(f"data_shape is (channels, height, width); got {data_shape}")
        if data_shape[0] != 3:
            raise ValueError(f"{type(self).__name__} gives 3 channels; got data_shape {data_shape}")

    def check_valid_image(self, data):
        """Raises a RuntimeError for what is left out: a list that begins with no picture."""
        if not data[0].shape:
            raise RuntimeError("a picture has no shape")

    def augmentation_transform(self, data):
        """The picture after all augmenters."""
        for augmenter in self.auglist:
            data = augmenter(data)
        return data

    def postprocess_data(self, datum):
        """What goes into the batch: the channels first."""
        return nd.transpose(datum, axes=(2, 0, 1))

    def _sample(self):
        """The next picture, augmented, and its label, as NumPy arrays."""
        label, data = self._next_picture()
        data = self.postprocess_data(self.augmentation_transform(data))
        return self._checked(data.asnumpy()), np.asarray(label)

    def _next_picture(self):
        """The label and the picture of the next sample that :meth:`check_valid_image` accepts."""
        while True:
            label, s = self.next_sample()
            data = self.imdecode(s)
            if self._passes(self.check_valid_image, [data]):
                return label, data

    def _passes(self, check, what):
        """Whether a check accepts what is there of the last sample, which is else left out."""
        try:
            check(what)
        except RuntimeError as error:
            logging.debug("%s: %s is left out: %s", type(self).__name__, self._where, error)
            return False
        return True

    def _checked(self, pixels):
        if pixels.shape != self.data_shape:
            raise ValueError(
                f"{type(self).__name__}: a picture has shape {pixels.shape} after the augmenters, "
                f"and data_shape is {self.data_shape}"
            )
        return pixels

    # ---- batches

    def _filled(self, label):
        """The label as it is in a batch."""
        found = label.reshape(-1)
        if found.size != self.label_width:
            raise ValueError(
                f"{type(self).__name__}: label_width is {self.label_width}, and {self._where} has "
                f"{found.size} labels"
            )
        return found[0] if self.label_width == 1 else found

    def next(self):
        samples, kept, self._kept = list(self._kept), len(self._kept), []
        pad = self.batch_size - kept if kept else 0
        gained = None
        if kept:
            # Of the epoch before; the rest is of this one.
            self._rewind()
        while len(samples) < self.batch_size:
            try:
                data, label = self._sample()
            except StopIteration:
                if not samples or self.last_batch_handle == "discard" or not self._allow_read:
                    self._allow_read = False
                    raise
                if self.last_batch_handle == "roll_over":
                    self._kept, self._allow_read = samples, False
                    raise
                if len(samples) == gained:
                    raise RuntimeError(
                        f"{type(self).__name__}: no picture was accepted to fill the last batch up"
                    ) from None
                gained = len(samples)
                if not pad:
                    pad = self.batch_size - len(samples)
                self._rewind()
            else:
                samples.append((data, self._filled(label)))
        if pad and not kept:
            self._allow_read = False
        data, labels = (np.stack(parts) for parts in zip(*samples))
        return DataBatch(
            [nd.array(data.astype("float32", copy=False))],
            [nd.array(labels.astype("float32", copy=False))],
            pad=pad,
        )
