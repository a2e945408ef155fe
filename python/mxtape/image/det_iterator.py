"""ImageDetIter: batches of pictures with boxes."""

import logging
from typing import Any

import numpy as np

from .. import _codec
from .. import ndarray as nd
from ..base import numeric_types
from ..io import DataDesc
from .augmenters import IMAGENET_MEAN, IMAGENET_STD
from .detection import CreateDetAugmenter
from .iterator import ImageIter

__all__ = ["ImageDetIter"]


class ImageDetIter(ImageIter):
    """Batches of pictures with boxes, from a record file or from files of their own.

    Parameters
    ----------
    batch_size, data_shape, path_imgrec, path_imglist, path_root, path_imgidx, shuffle, imglist, \
part_index, num_parts, data_name, label_name, last_batch_handle
        As in :class:`ImageIter`. A picture's labels are: the number of numbers before the first
        box, which is at least 2; the number of numbers of each box, at least 5; what else there is
        before the boxes; and for each box its class, its left, top, right and bottom edge as parts
        of the width and height, and what else there is of it.
    aug_list : list of DetAugmenter, optional
        What is done to each picture and its boxes; by default what :func:`CreateDetAugmenter` makes
        of `kwargs`.

    A batch's labels have the shape (batch_size, largest number of boxes, width of a box); -1 stands
    for boxes that a picture does not have. When the iterator is made, all labels are read, to find
    that number. A picture that has no box with a class and an area after the augmenters is left
    out, as one that :meth:`check_valid_image` refuses.

    Raises
    ------
    RuntimeError
        For labels of another form, and for a picture without a box that has an area.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> from mxtape import image, recordio
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = os.path.join(folder.name, "a.rec")
    >>> with recordio.MXRecordIO(path, "w") as record:
    ...     label = [2, 5, 7, 0.25, 0.0, 0.75, 0.5]  # one box, of class 7
    ...     picture = np.zeros((8, 10, 3), "uint8")
    ...     record.write(recordio.pack_img(recordio.IRHeader(0, label, 0, 0), picture))
    >>> batch = image.ImageDetIter(1, (3, 16, 16), path_imgrec=path).next()
    >>> batch.data[0].shape, batch.label[0].asnumpy().tolist()
    ((1, 3, 16, 16), [[[7.0, 0.25, 0.0, 0.75, 0.5]]])
    >>> folder.cleanup()
    """

    label_shape: tuple = ()

    def __init__(
        self,
        batch_size,
        data_shape,
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
        label_name="label",
        last_batch_handle="pad",
        **kwargs,
    ):
        super().__init__(
            batch_size=batch_size,
            data_shape=data_shape,
            path_imgrec=path_imgrec,
            path_imglist=path_imglist,
            path_root=path_root,
            path_imgidx=path_imgidx,
            shuffle=shuffle,
            part_index=part_index,
            num_parts=num_parts,
            aug_list=CreateDetAugmenter(data_shape, **kwargs) if aug_list is None else aug_list,
            imglist=imglist,
            data_name=data_name,
            label_name=label_name,
            last_batch_handle=last_batch_handle,
        )
        self.label_shape = self._estimate_label_shape()
        self.provide_label = [DataDesc(label_name, (batch_size, *self.label_shape))]

    # ---- labels

    def _parse_label(self, label):
        """The boxes that have an area, of the numbers of a picture."""
        numbers = label.asnumpy() if isinstance(label, nd.NDArray) else np.asarray(label)
        numbers = numbers.ravel()
        if numbers.size < 7:
            raise RuntimeError(f"{self._name()}: {numbers.size} labels are fewer than one box has")
        head, width = int(numbers[0]), int(numbers[1])
        if head < 2 or width < 5 or (numbers.size - head) % width:
            raise RuntimeError(
                f"{self._name()}: {numbers.size} labels are not {head} (2 or more), and boxes of "
                f"{width} (5 or more) each"
            )
        boxes = numbers[head:].reshape(-1, width)
        boxes = boxes[(boxes[:, 3] > boxes[:, 1]) & (boxes[:, 4] > boxes[:, 2])]
        if not len(boxes):
            raise RuntimeError(f"{self._name()}: no box has an area")
        return boxes

    def _name(self):
        return f"{type(self).__name__}, {self._where}"

    def _estimate_label_shape(self):
        """The largest number of boxes of a picture, and the numbers of each."""
        count, width = 0, 5
        self.hard_reset()
        try:
            while True:
                boxes = self._parse_label(self.next_sample()[0])
                count, width = max(count, len(boxes)), max(width, boxes.shape[1])
        except StopIteration:
            self.hard_reset()
        return count, width

    def _check_valid_label(self, label):
        """Raises a RuntimeError unless it has a box that has a class and an area."""
        if label.ndim != 2 or label.shape[1] < 5:
            raise RuntimeError(f"a label is (boxes, 5 or more); got shape {label.shape}")
        valid = (label[:, 0] >= 0) & (label[:, 3] > label[:, 1]) & (label[:, 4] > label[:, 2])
        if not valid.any():
            raise RuntimeError("a label has no box with a class and an area")

    def check_label_shape(self, label_shape):
        """Raises a ValueError unless labels of the shape hold what this iterator has."""
        if len(label_shape) != 2:
            raise ValueError(f"label_shape is (boxes, numbers of a box); got {label_shape}")
        if label_shape[0] < self.label_shape[0]:
            raise ValueError(
                f"label_shape {label_shape} has room for fewer boxes than {self.label_shape[0]}"
            )
        if label_shape[1] != self.label_shape[1]:
            raise ValueError(f"label_shape {label_shape}: a box has {self.label_shape[1]} numbers")

    def reshape(self, data_shape=None, label_shape=None):
        """Changes the shape of the pictures or of the labels of the batches from here on.

        The augmenters stay as they are: they are to give pictures of that shape.
        """
        if data_shape is not None:
            self.check_data_shape(data_shape)
        if label_shape is not None:
            self.check_label_shape(label_shape)
            self.label_shape = tuple(label_shape)
            self.provide_label = [
                DataDesc(self.provide_label[0][0], (self.batch_size, *label_shape))
            ]
        if data_shape is not None:
            self.data_shape = tuple(data_shape)
            self.provide_data = [DataDesc(self.provide_data[0][0], (self.batch_size, *data_shape))]

    def sync_label_shape(self, it, verbose=False):
        """Makes the labels of this and of another iterator have the same shape, and returns `it`.

        Both get the larger number of boxes.
        """
        if not isinstance(it, ImageDetIter):
            raise AssertionError(f"an ImageDetIter is needed; got {type(it).__name__}")
        if it.label_shape[1] != self.label_shape[1]:
            raise AssertionError(
                f"boxes have {self.label_shape[1]} numbers here and {it.label_shape[1]} there"
            )
        shape = (max(self.label_shape[0], it.label_shape[0]), self.label_shape[1])
        if verbose and shape != self.label_shape:
            logging.info("labels get the shape %s", shape)
        self.reshape(label_shape=shape)
        it.reshape(label_shape=shape)
        return it

    # ---- pictures

    def augmentation_transform(self, data, label):  # type: ignore[override]
        """The picture and its boxes after all augmenters."""
        for augmenter in self.auglist:
            data, label = augmenter(data, label)
        return data, label

    def _augmented(self):
        """The next picture, (height, width, channels), and its boxes."""
        while True:
            label, data = self._next_picture()
            data, label = self.augmentation_transform(data, self._parse_label(label))
            if self._passes(self._check_valid_label, label):
                return data, label

    def _sample(self):
        data, label = self._augmented()
        return self._checked(self.postprocess_data(data).asnumpy()), label

    def _filled(self, label):
        filled = np.full(self.label_shape, -1, "float32")
        if label.shape[1] != self.label_shape[1] or len(label) > self.label_shape[0]:
            raise ValueError(
                f"{self._name()}: {len(label)} boxes of {label.shape[1]} numbers do not fit "
                f"label_shape {self.label_shape}"
            )
        filled[: len(label)] = label
        return filled

    # ---- looking at them

    def draw_next(
        self,
        color=None,
        thickness=2,
        mean=None,
        std=None,
        clip=True,
        waitKey=None,
        window_name="draw_next",
        id2labels=None,
    ):
        """The pictures of an epoch with their boxes drawn in, one after the other.

        Parameters
        ----------
        color : tuple of int, optional
            Of the boxes, red, green, blue; by default one for each class, at random.
        thickness : int, default 2
            Of lines, in pixels.
        mean, std : array, or True, optional
            What the augmenters took off and divided by; it is put back. True: that of ImageNet.
        clip : bool, default True
            Cut values off at 0 and 255.
        waitKey : int, optional
            Show each picture with OpenCV, which is then needed, and wait for so many milliseconds.
        window_name : str, default 'draw_next'
        id2labels : dict of int to str, optional
            Names of classes, to be written beside the boxes; Pillow is needed.

        Yields
        ------
        numpy.ndarray
            Of shape (height, width, 3) and dtype uint8: blue, green, red, as OpenCV has them.
        """
        colors: Any = {} if color is None else None
        usual: dict = {"mean": IMAGENET_MEAN, "std": IMAGENET_STD}
        back: dict = {}
        for name, value in (("mean", mean), ("std", std)):
            value = np.array(usual[name]) if value is True else value
            if value is not None and not isinstance(value, (np.ndarray, *numeric_types)):
                value = np.asarray(value)
            back[name] = value
        while True:
            try:
                data, label = self._augmented()
            except StopIteration:
                return
            pixels = data.asnumpy().astype("float64")
            if back["std"] is not None:
                pixels *= back["std"]
            if back["mean"] is not None:
                pixels += back["mean"]
            if clip:
                pixels = np.clip(pixels, 0, 255)
            pixels = np.rint(pixels).astype("uint8")
            for box in label:
                kind = int(box[0])
                if kind < 0:
                    continue
                drawn = color
                if colors is not None:
                    drawn = colors.setdefault(kind, np.random.randint(0, 256, 3))  # noqa: NPY002
                text = id2labels.get(kind) if id2labels else None
                pixels = _boxed(pixels, box[1:5], drawn, thickness, text)
            # As OpenCV wants it, and as in MXNet.
            pixels = np.ascontiguousarray(pixels[:, :, ::-1])
            if waitKey is not None:
                import cv2

                cv2.imshow(window_name, pixels)
                cv2.waitKey(waitKey)
            yield pixels


def _boxed(pixels, box, color, thickness, name):
    """The picture with a box, and its name, drawn in."""
    height, width = pixels.shape[:2]
    left, right = (int(np.clip(x * width, 0, width)) for x in box[[0, 2]])
    top, bottom = (int(np.clip(y * height, 0, height)) for y in box[[1, 3]])
    framed = pixels.copy()
    framed[top:bottom, left:right] = color
    inner = slice(top + thickness, bottom - thickness), slice(left + thickness, right - thickness)
    if inner[0].start < inner[0].stop and inner[1].start < inner[1].stop:
        framed[inner] = pixels[inner]
    if name is None:
        return framed
    Image = _codec.pillow()
    from PIL import ImageDraw

    drawn = Image.fromarray(framed)
    ImageDraw.Draw(drawn).text(
        (left + thickness + 2, top + thickness), str(name), fill=tuple(int(c) for c in color)
    )
    return np.array(drawn)
