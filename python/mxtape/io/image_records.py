"""Iterators over record files of pictures, which other threads read, decode and augment."""

import ast
import logging
import os
import random
import threading
import warnings
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import numpy as np

from .. import _codec, recordio
from .. import ndarray as nd
from ..base import MXNetError
from .files import MXDataIter, flag, integer
from .image_augment import Normalizer, PictureAugmenter

__all__ = [
    "ImageRecordInt8Iter",
    "ImageRecordIter",
    "ImageRecordIter_v1",
    "ImageRecordUInt8Iter",
    "ImageRecordUInt8Iter_v1",
]


# ---- arguments, which may be text as well


def optional(value):
    return None if value in (None, "None") else float(value)


def numbers(value):
    found = ast.literal_eval(value) if isinstance(value, str) else value
    return tuple(found) if isinstance(found, (tuple, list)) else (found,)


def shape(value):
    found = tuple(integer(n) for n in numbers(value))
    if len(found) != 3 or min(found) < 1 or found[0] not in (1, 3, 4):
        raise ValueError("(channels, height, width), and channels are 1, 3 or 4")
    return found


def seed(value):
    return None if value in (None, "None") else integer(value)


# Of each argument its type and default, those of all iterators first.
READING = {
    "path_imgrec": (os.fspath, ""),
    "path_imglist": (os.fspath, ""),
    "path_imgidx": (os.fspath, ""),
    "data_shape": (shape, None),
    "batch_size": (integer, None),
    "label_width": (integer, 1),
    "shuffle": (flag, False),
    "seed": (integer, 0),
    "seed_aug": (seed, None),
    "shuffle_chunk_size": (integer, 0),
    "shuffle_chunk_seed": (integer, 0),
    "num_parts": (integer, 1),
    "part_index": (integer, 0),
    "round_batch": (flag, True),
    "preprocess_threads": (integer, 4),
    "prefetch_buffer": (integer, 4),
    "verbose": (flag, True),
    "dtype": (str, "None"),
    "data_name": (str, "data"),
    "label_name": (str, "softmax_label"),
    "ctx": (str, "cpu"),
    "device_id": (integer, 0),
    "aug_seq": (str, ""),
}
VALUES = {
    "mean_img": (os.fspath, ""),
    **{f"mean_{channel}": (float, 0.0) for channel in "rgba"},
    **{f"std_{channel}": (float, 1.0) for channel in "rgba"},
    "scale": (float, 1.0),
    "mirror": (flag, False),
    "rand_mirror": (flag, False),
    "max_random_contrast": (float, 0.0),
    "max_random_illumination": (float, 0.0),
}
AUGMENTING = {
    "resize": (integer, -1),
    "rand_crop": (flag, False),
    "random_resized_crop": (flag, False),
    "max_rotate_angle": (float, 0.0),
    "rotate": (float, -1.0),
    "max_aspect_ratio": (float, 0.0),
    "min_aspect_ratio": (optional, None),
    "max_shear_ratio": (float, 0.0),
    "max_crop_size": (integer, -1),
    "min_crop_size": (integer, -1),
    "max_random_scale": (float, 1.0),
    "min_random_scale": (float, 1.0),
    "max_random_area": (float, 1.0),
    "min_random_area": (float, 1.0),
    "max_img_size": (float, 1e10),
    "min_img_size": (float, 0.0),
    "brightness": (float, 0.0),
    "contrast": (float, 0.0),
    "saturation": (float, 0.0),
    "pca_noise": (float, 0.0),
    "random_h": (integer, 0),
    "random_s": (integer, 0),
    "random_l": (integer, 0),
    "fill_value": (integer, 255),
    "inter_method": (integer, 1),
    "pad": (integer, 0),
}


def options(function, table, given):
    """The arguments by name, checked. Those of another name are a warning, as nothing uses them."""
    found: Any = SimpleNamespace(function=function)
    unknown = sorted(set(given) - set(table))
    if unknown:
        warnings.warn(f"{function} has no arguments {unknown}; they are ignored", stacklevel=4)
    for name, (kind, default) in table.items():
        value = given.get(name, default)
        if value is None and default is None and name in ("data_shape", "batch_size"):
            raise MXNetError(f"{function}: the argument {name} is missing")
        if name in given and not (value is None and default is None):
            try:
                value = kind(value)
            except (TypeError, ValueError, SyntaxError) as error:
                raise MXNetError(f"{function}: {name}={value!r}: {error}") from error
        setattr(found, name, value)
    if not found.path_imgrec:
        raise MXNetError(f"{function}: the argument path_imgrec is missing")
    for name in ("batch_size", "preprocess_threads", "prefetch_buffer", "num_parts"):
        if getattr(found, name) < 1:
            raise MXNetError(f"{function}: {name} is 1 or more; got {getattr(found, name)}")
    for name in ("path_imglist", "path_imgidx"):
        path = getattr(found, name)
        if path and not os.path.isfile(path):
            raise MXNetError(f"{function}: {name}: there is no file {path}")
    if not 0 <= found.part_index < found.num_parts:
        raise MXNetError(f"{function}: part_index {found.part_index} of {found.num_parts} parts")
    return found


# ---- where the records are


def _files(function, path):
    """The files of a path: itself, those with ``;`` between them, or those in a folder."""
    found = []
    for part in path.split(";"):
        if os.path.isdir(part):
            found += sorted(entry.path for entry in os.scandir(part) if entry.is_file())
        else:
            found.append(part)
    return found


class Records:
    """Records of files by their numbers; threads and forked processes may read at once."""

    def __init__(self, o):
        self.paths = _files(o.function, o.path_imgrec)
        if o.path_imgidx:
            with recordio.MXIndexedRecordIO(o.path_imgidx, self.paths[0], "r") as record:
                places = [(0, record.idx[key]) for key in record.keys]
            step = -(-len(places) // o.num_parts)
            places = places[o.part_index * step : (o.part_index + 1) * step]
        else:
            places = self._part_of_bytes(o)
        if not places:
            raise MXNetError(f"{o.function}: {o.path_imgrec}: there are no records in this part")
        self.places = places
        self.lock, self.files, self.pid = threading.Lock(), {}, os.getpid()

    def _part_of_bytes(self, o):
        """The records that begin in one of several parts with about the same number of bytes."""
        places, sizes = [], [0]
        for k, path in enumerate(self.paths):
            places += [(k, at) for at in recordio._offsets(path)]
            sizes.append(sizes[-1] + os.path.getsize(path.replace("file://", "", 1)))
        step = -(-sizes[-1] // o.num_parts)
        step += -step % 4
        begin, end = o.part_index * step, (o.part_index + 1) * step
        return [(k, at) for k, at in places if begin <= sizes[k] + at < end]

    def __len__(self):
        return len(self.places)

    def __getitem__(self, i):
        which, at = self.places[i]
        if self.pid != os.getpid():
            self.lock, self.files, self.pid = threading.Lock(), {}, os.getpid()
        with self.lock:
            file = self.files.get(which)
            if file is None:
                file = self.files[which] = recordio._opened(self.paths[which], "r")
            file.seek(at)
            record = recordio._read_record(file)
        if record is None:
            raise MXNetError(f"{self.paths[which]}: there is no record at byte {at}")
        return recordio.unpack(record)


class Order:
    """Which examples make a batch, one epoch after the other.

    The last batch is filled up. If `rounds`, with the first examples of the next epoch, which goes
    on behind them; else with what the batch before had in these places.
    """

    def __init__(self, count, batch_size, rounds, shuffles, number):
        self.count, self.batch_size, self.rounds = count, batch_size, rounds
        self.draw = np.random.RandomState(number % 2**32) if shuffles else None
        self.following = self._drawn()
        self.epoch, self.used = -1, 0
        self.reset()

    def _drawn(self):
        return np.arange(self.count) if self.draw is None else self.draw.permutation(self.count)

    def reset(self):
        """Begins the next epoch."""
        self.order, self.following = self.following[self.used :], self._drawn()
        self.epoch, self.cursor, self.used = self.epoch + 1, 0, 0
        self.last: Any = None

    def next(self):
        """The numbers of the examples and the pad; None after the last batch."""
        if self.cursor >= len(self.order):
            return None
        index = self.order[self.cursor : self.cursor + self.batch_size]
        self.cursor += self.batch_size
        pad = self.batch_size - len(index)
        if pad:
            repeats = self.last is not None and not self.rounds
            rest = self.last[len(index) :] if repeats else np.resize(self.following, pad)
            self.used = pad % self.count if self.rounds else 0
            index = np.concatenate([index, rest])
        self.last = index
        return index, pad


# ---- batches


class Pictures:
    """The examples of an MXDataIter, made by threads.

    Parameters
    ----------
    o : namespace
        The arguments.
    dtype : dtype
        Of the pictures in a batch.
    """

    def __init__(self, o, dtype):
        self.o, self.batch_size, self.dtype = o, o.batch_size, np.dtype(dtype)
        self.records = Records(o)
        self.labels = self._listed() if o.path_imglist else None
        self.order = Order(
            len(self.records),
            o.batch_size,
            o.round_batch,
            o.shuffle,
            o.seed + o.shuffle_chunk_seed,
        )
        self._prepare()
        self.label_shape = self._label_shape()
        self.waiting: deque = deque()
        self.batch: Any = None
        self.pool: Any = None
        self.pid = None
        if o.verbose:
            logging.info("%s: %d pictures from %s", o.function, len(self.records), o.path_imgrec)

    def _prepare(self):
        self.augment: Any = PictureAugmenter(self.o)
        self.normalize = Normalizer(self.o)
        if self.o.mean_img:
            self.normalize.mean = self._mean_image()
            self.normalize.has_mean = True

    def _listed(self):
        """Labels by the numbers of pictures."""
        from ..image.iterator import _read_list

        return {k: label for k, (label, _) in _read_list(self.o.path_imglist, "float32").items()}

    def _mean_image(self):
        """The mean picture of a file; where there is no file, it is computed and written."""
        path, wanted = self.o.mean_img, self.o.data_shape
        if not os.path.exists(path):
            logging.info("%s: computing the mean picture %s", self.o.function, path)
            total = np.zeros(wanted)
            for i in range(len(self.records)):
                draw = random.Random(i)
                pixels = self._decoded(*self.records[i])
                total += np.moveaxis(self.augment(pixels, draw), 2, 0)
            nd.save(path, {"mean_img": nd.array(total / len(self.records))})
        found: Any = nd.load(path)
        mean = (found["mean_img"] if isinstance(found, dict) else found[0]).asnumpy()
        if mean.shape != wanted:
            raise MXNetError(f"{self.o.function}: {path} is of shape {mean.shape}, not {wanted}")
        return mean.astype(np.float32)

    # ---- one example, in any thread

    def _label_of(self, header):
        if self.labels is None:
            return np.ravel(header.label)
        if header.id not in self.labels:
            raise MXNetError(f"{self.o.path_imglist}: there is no line for picture {header.id}")
        return self.labels[header.id]

    def _decoded(self, header, s):
        channels = self.o.data_shape[0]
        what = f"{self.o.function}, picture {header.id}"
        pixels = _codec.decode(s, {1: 0, 3: 1, 4: -1}[channels], True, what)
        pixels = pixels if pixels.ndim == 3 else pixels[:, :, None]
        if pixels.shape[2] != channels:
            raise MXNetError(f"{what}: {pixels.shape[2]} channels, and data_shape wants {channels}")
        return pixels

    def _make(self, data, labels, ids, row, example, draws):
        header, s = self.records[example]
        draw = random.Random(draws)
        ids[row] = header.id
        self._fill(data[row], labels[row : row + 1], header, s, draw)

    def _fill(self, out, label, header, s, draw):
        found = self._label_of(header)
        if self.labels is not None:
            found = found[: self.o.label_width]
        if found.size != self.o.label_width:
            raise MXNetError(
                f"{self.o.function}: picture {header.id} has {found.size} labels, and label_width "
                f"is {self.o.label_width}"
            )
        label[:] = found if self.o.label_width > 1 else found[0]
        self.normalize(self.augment(self._decoded(header, s), draw), out, draw)

    # ---- batches, in the thread that iterates

    def _label_shape(self):
        return (self.o.label_width,) if self.o.label_width > 1 else ()

    def described(self):
        """Shapes and dtypes of data and labels."""
        return (
            ((self.batch_size, *self.o.data_shape), self.dtype.type),
            ((self.batch_size, *self.label_shape), np.float32),
        )

    def _request(self):
        """Lets the threads make another batch, if there is one."""
        found = self.order.next()
        if found is None:
            return False
        index, pad = found
        data = np.empty((self.batch_size, *self.o.data_shape), self.dtype)
        labels = np.empty((self.batch_size, *self.label_shape), np.float32)
        ids = np.empty(self.batch_size, np.uint64)
        # What is drawn depends on the epoch and the place in it, not on threads.
        first = self.o.seed if self.o.seed_aug is None else self.o.seed_aug
        first = (first << 64) + (self.order.epoch << 40) + self.order.cursor
        tasks = [
            self.pool.submit(self._make, data, labels, ids, row, int(example), first + (row << 96))
            for row, example in enumerate(index)
        ]
        self.waiting.append((tasks, data, labels, ids, pad))
        return True

    def iter_next(self):
        if self.pid != os.getpid():
            if self.waiting:
                raise MXNetError(
                    f"{self.o.function}: this process was forked in the middle of an epoch; "
                    "call reset() first"
                )
            self.pid = os.getpid()
            self.pool = ThreadPoolExecutor(self.o.preprocess_threads, "mxtape-pictures")
        while len(self.waiting) <= self.o.prefetch_buffer and self._request():
            pass
        if not self.waiting:
            return False
        tasks, *batch = self.waiting.popleft()
        for task in tasks:
            task.result()
        self.batch = batch
        return True

    def reset(self):
        if self.waiting:
            # In the middle of an epoch: the next one is whole.
            self.order.used = 0
        for tasks, *_ in self.waiting:
            for task in tasks:
                task.cancel()
        self.waiting.clear()
        self.batch = None
        self.order.reset()

    def _now(self):
        if self.batch is None:
            raise MXNetError("there is no batch yet: iter_next() moves to the first one")
        return self.batch

    def getdata(self):
        # Not copied: the next batch has memory of its own.
        return nd.from_numpy(self._now()[0])

    def getlabel(self):
        return nd.array(self._now()[1])

    def getindex(self):
        return self._now()[2]

    @property
    def pad(self):
        return self._now()[3]


def _made(function, table, given, dtype):
    o = options(function, {**READING, **AUGMENTING, **VALUES, **table}, given)
    if o.dtype not in ("None", np.dtype(dtype).name):
        if function.startswith("ImageRecordIter") and o.dtype in ("uint8", "int8"):
            dtype = o.dtype
        else:
            raise MXNetError(f"{function}: dtype is float32, uint8 or int8; got {o.dtype}")
    return MXDataIter(Pictures(o, dtype), o.data_name, o.label_name)


def ImageRecordIter(*args, **kwargs):
    """Batches of pictures of a record file, which other threads read, decode and augment.

    Parameters
    ----------
    path_imgrec : str
        The record file; several, with ``;`` between them; or a folder of them.
    data_shape : tuple of int
        (channels, height, width) of a picture in a batch; 1, 3 or 4 channels.
    batch_size : int
    path_imglist : str, optional
        A list that has the labels, instead of the records: in each line the number of a picture,
        its labels, and a name, with tabs between them.
    path_imgidx : str, optional
        The index of the record file. It saves looking for the records when the iterator is made.
    label_width : int, default 1
        The number of labels of a picture.
    shuffle : bool, default False
        Put all pictures in another order in each epoch.
    seed, shuffle_chunk_seed : int, default 0
        What the order depends on.
    seed_aug : int, optional
        What the augmentation depends on; `seed` by default.
    num_parts, part_index : int, default 1 and 0
        Give only one of several parts of the pictures.
    round_batch : bool, default True
        Fill the last batch up with the first pictures of the next epoch, which goes on behind them;
        else with what the batch before had in these places.
    preprocess_threads : int, default 4
    prefetch_buffer : int, default 4
        How many batches are made ahead.
    dtype : {'float32', 'uint8', 'int8'}, optional
    data_name, label_name : str, default 'data' and 'softmax_label'
    resize : int, default -1
        The shorter side, before all else; -1: as it is.
    rand_crop : bool, default False
        Cut out of anywhere, not of the middle. A picture that is too small is enlarged.
    min_crop_size, max_crop_size : int, default -1
        Cut out a square of a random size, and resize it.
    random_resized_crop : bool, default False
        Cut out a random shape and area, and resize it: with `min_random_area` and
        `max_random_area`, parts of the picture, and the aspect ratios below.
    max_rotate_angle : float, default 0
        Turn by up to so many degrees.
    rotate : float, default -1
        Turn by so many degrees.
    max_aspect_ratio : float, default 0, and min_aspect_ratio : float, optional
        Change the aspect to within `max_aspect_ratio` of 1; or to between the two.
    max_shear_ratio : float, default 0
    min_random_scale, max_random_scale : float, default 1
    min_img_size, max_img_size : float, default 0 and 1e10
        Bounds of the size after scaling and turning.
    fill_value : int, default 255
        What is beyond the picture when it is turned or padded.
    pad : int, default 0
        How many pixels are added on each side.
    inter_method : int, default 1
        0: nearest. 1: linear. 2: cubic. 3: area. 4: Lanczos. 9: by the sizes. 10: at random.
    brightness, contrast, saturation : float, default 0
        Change each by a factor within so much of 1.
    pca_noise : float, default 0
        The standard deviation of how much of the principal components is added.
    random_h, random_s, random_l : int, default 0
        Shift hue (of 180), saturation and lightness (of 255) by up to so much.
    mirror, rand_mirror : bool, default False
        Mirror from left to right: all, or every second at random.
    mean_r, mean_g, mean_b, mean_a : float, default 0
        What is subtracted from each channel.
    mean_img : str, optional
        A file with the mean picture, which is subtracted instead. If there is none, it is computed
        and written.
    std_r, std_g, std_b, std_a : float, default 1
        What each channel is divided by.
    scale : float, default 1
        What the result is multiplied by.
    max_random_contrast, max_random_illumination : float, default 0
        Multiply by a factor within so much of 1, and add up to so much.
    verbose : bool, default True
        Log how many pictures there are.
    shuffle_chunk_size, ctx, device_id, aug_seq
        Accepted, and without effect.

    Returns
    -------
    MXDataIter
        Its batches' ``index`` has the numbers of the pictures, which the records have.

    Raises
    ------
    MXNetError
        When the file cannot be read, a picture cannot be decoded, or its labels are too few or too
        many.

    Examples
    --------
    >>> from mxtape.io import ImageRecordIter
    >>> import os, tempfile
    >>> import numpy as np
    >>> from mxtape import recordio
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = os.path.join(folder.name, "a.rec")
    >>> with recordio.MXRecordIO(path, "w") as record:
    ...     for i in range(3):
    ...         picture = np.full((8, 10, 3), 50 * i, "uint8")
    ...         header = recordio.IRHeader(0, i, i, 0)
    ...         record.write(recordio.pack_img(header, picture, img_fmt=".png"))
    >>> batches = ImageRecordIter(path_imgrec=path, data_shape=(3, 6, 6), batch_size=2, scale=0.5)
    >>> for batch in batches:
    ...     print(batch.data[0][:, 0, 0, 0].asnumpy(), batch.label[0].asnumpy(), batch.pad)
    [ 0. 25.] [0. 1.] 0
    [50.  0.] [2. 0.] 1
    >>> folder.cleanup()
    """
    return _made("ImageRecordIter", {}, kwargs, "float32")


def ImageRecordIter_v1(*args, **kwargs):
    """:func:`ImageRecordIter`, by its older name."""
    return _made("ImageRecordIter_v1", {}, kwargs, "float32")


def ImageRecordUInt8Iter(*args, **kwargs):
    """:func:`ImageRecordIter` with batches of uint8: nothing is subtracted or divided by."""
    return _made("ImageRecordUInt8Iter", {}, kwargs, "uint8")


def ImageRecordUInt8Iter_v1(*args, **kwargs):
    """:func:`ImageRecordUInt8Iter`, by its older name."""
    return _made("ImageRecordUInt8Iter_v1", {}, kwargs, "uint8")


def ImageRecordInt8Iter(*args, **kwargs):
    """:func:`ImageRecordIter` with batches of int8; what is beyond -128 and 127 is cut off."""
    return _made("ImageRecordInt8Iter", {}, kwargs, "int8")
