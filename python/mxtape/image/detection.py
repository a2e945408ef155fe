"""Pictures with boxes: augmenters of both.

A label is an array of (number of boxes, 5 or more): a class, then the left, top, right and bottom
edge as parts of the picture's width and height, then what else there is of a box.
"""

import json
import math
import random
import warnings

import numpy as np

from .. import _borrowed
from .. import ndarray as nd
from ..base import numeric_types
from .augmenters import (
    Augmenter,
    CastAug,
    ForceResizeAug,
    ResizeAug,
    color_augmenters,
    described,
    normalizer,
)
from .image import copyMakeBorder, fixed_crop

__all__ = [
    "CreateDetAugmenter",
    "CreateMultiRandCropAugmenter",
    "DetAugmenter",
    "DetBorrowAug",
    "DetHorizontalFlipAug",
    "DetRandomCropAug",
    "DetRandomPadAug",
    "DetRandomSelectAug",
]


class DetAugmenter:
    """The base of augmenters of a picture and its boxes.

    One of your own overrides ``__call__(self, src, label)``, which returns both.

    Parameters
    ----------
    **kwargs
        The arguments that :meth:`dumps` says it was made with.
    """

    def __init__(self, **kwargs):
        self._kwargs = described(kwargs)

    def dumps(self):
        """The name and the arguments, as JSON."""
        return json.dumps([type(self).__name__.lower(), self._kwargs])

    def __call__(self, src, label):
        raise NotImplementedError(f"{type(self).__name__} does not define __call__")


class DetBorrowAug(DetAugmenter):
    """An augmenter of pictures, which leaves the boxes as they are.

    Parameters
    ----------
    augmenter : Augmenter

    Examples
    --------
    >>> import mxtape as mx
    >>> augmenter = mx.image.DetBorrowAug(mx.image.CastAug())
    >>> augmenter.dumps()
    ['detborrowaug', '["castaug", {"type": "float32"}]']
    """

    def __init__(self, augmenter):
        if not isinstance(augmenter, Augmenter):
            raise TypeError(f"DetBorrowAug: an Augmenter is needed; got {type(augmenter).__name__}")
        super().__init__(augmenter=augmenter.dumps())
        self.augmenter = augmenter

    def dumps(self):
        """The name, and what the augmenter's own :meth:`dumps` gives."""
        return [type(self).__name__.lower(), self.augmenter.dumps()]

    def __call__(self, src, label):
        return self.augmenter(src), label


class DetRandomSelectAug(DetAugmenter):
    """One of several augmenters, or none.

    Parameters
    ----------
    aug_list : list of DetAugmenter
    skip_prob : float, default 0
        The probability that it is none.
    """

    def __init__(self, aug_list, skip_prob=0):
        super().__init__(skip_prob=skip_prob)
        aug_list = list(aug_list) if isinstance(aug_list, (list, tuple)) else [aug_list]
        for augmenter in aug_list:
            if not isinstance(augmenter, DetAugmenter):
                raise ValueError(
                    f"DetRandomSelectAug: a DetAugmenter is needed; got {type(augmenter).__name__}"
                )
        self.aug_list = aug_list
        self.skip_prob = skip_prob if aug_list else 1

    def dumps(self):
        """The name, and what :meth:`dumps` of each augmenter gives."""
        return [type(self).__name__.lower(), [each.dumps() for each in self.aug_list]]

    def __call__(self, src, label):
        if random.random() < self.skip_prob:
            return src, label
        random.shuffle(self.aug_list)
        return self.aug_list[0](src, label)


class DetHorizontalFlipAug(DetAugmenter):
    """The picture and its boxes mirrored from left to right, or as they are.

    Parameters
    ----------
    p : float
        The probability that they are mirrored.
    """

    def __init__(self, p):
        super().__init__(p=p)
        self.p = p

    def __call__(self, src, label):
        if random.random() < self.p:
            src = nd.flip(src, axis=1)
            self._flip_label(label)
        return src, label

    def _flip_label(self, label):
        label[:, 1], label[:, 3] = 1.0 - label[:, 3], 1.0 - label[:, 1]


# ---- crops and borders


def _range(value):
    return (value, value) if isinstance(value, numeric_types) else value


def _areas(boxes):
    return np.maximum(0, boxes[:, 3] - boxes[:, 1]) * np.maximum(0, boxes[:, 2] - boxes[:, 0])


def _cut(boxes, left, top, right, bottom):
    """The parts of boxes that lie in a rectangle; empty where there is none."""
    edge = np.array([left, top, right, bottom], boxes.dtype)
    cut = np.concatenate(
        [np.maximum(boxes[:, :2], edge[:2]), np.minimum(boxes[:, 2:], edge[2:])], 1
    )
    cut[(cut[:, 0] >= cut[:, 2]) | (cut[:, 1] >= cut[:, 3])] = 0
    return cut


class _RangedAug(DetAugmenter):
    """What draws rectangles of shapes and areas within bounds."""

    def _take_ranges(self, aspect_ratio_range, area_range, possible):
        self.aspect_ratio_range, self.area_range = aspect_ratio_range, area_range
        ordered = area_range[0] <= area_range[1] and aspect_ratio_range[0] > 0
        ordered = ordered and aspect_ratio_range[0] <= aspect_ratio_range[1]
        self.enabled = bool(ordered and possible)
        if not self.enabled:
            warnings.warn(
                f"{type(self).__name__} does nothing: aspect_ratio_range is {aspect_ratio_range} "
                f"and area_range {area_range}",
                stacklevel=4,
            )

    def _heights(self, height, width):
        """A width divided by the height, at random, and the heights of the bounds' areas then."""
        ratio = random.uniform(*self.aspect_ratio_range)
        low, high = (round(math.sqrt(a * height * width / ratio)) for a in self.area_range)
        return ratio, low, high


class DetRandomCropAug(_RangedAug):
    """A part of the picture, with the boxes, or what is left of them.

    Parameters
    ----------
    min_object_covered : float, default 0.1
        Of each box that the part touches, more than this must lie in it.
    aspect_ratio_range : tuple of float, default (0.75, 1.33)
        The least and the largest width divided by height.
    area_range : tuple of float, default (0.05, 1.0)
        The least and the largest share of the picture.
    min_eject_coverage : float, default 0.3
        A box of which no more than this is left is dropped.
    max_attempts : int, default 50
        How many parts are tried; where none will do, nothing is cut.
    """

    def __init__(
        self,
        min_object_covered=0.1,
        aspect_ratio_range=(0.75, 1.33),
        area_range=(0.05, 1.0),
        min_eject_coverage=0.3,
        max_attempts=50,
    ):
        ratios, areas = _range(aspect_ratio_range), _range(area_range)
        super().__init__(
            min_object_covered=min_object_covered,
            aspect_ratio_range=ratios,
            area_range=areas,
            min_eject_coverage=min_eject_coverage,
            max_attempts=max_attempts,
        )
        self.min_object_covered = min_object_covered
        self.min_eject_coverage = min_eject_coverage
        self.max_attempts = max_attempts
        self._take_ranges(ratios, areas, areas[1] > 0)

    def __call__(self, src, label):
        found = self._random_crop_proposal(label, *src.shape[:2])
        if found is None:
            return src, label
        x, y, w, h, label = found
        return fixed_crop(src, x, y, w, h), label

    def _random_crop_proposal(self, label, height, width):
        """A rectangle and the boxes that are left in it; None where all attempts have failed."""
        if not self.enabled or height <= 0 or width <= 0:
            return None
        least, most = (share * height * width for share in self.area_range)
        for _ in range(self.max_attempts):
            ratio, h, highest = self._heights(height, width)
            if round(highest * ratio) > width:
                highest = int((width + 0.4999999) / ratio)
            highest = min(highest, height)
            h = random.randint(h, highest) if h < highest else highest
            w = round(h * ratio)
            # Rounding may have gone over a bound.
            if w * h < least:
                h += 1
                w = round(h * ratio)
            if w * h > most:
                h -= 1
                w = round(h * ratio)
            if not (least <= w * h <= most and 0 <= w <= width and 0 <= h <= height):
                continue
            y, x = random.randint(0, height - h), random.randint(0, width - w)
            if self._check_satisfy_constraints(label, x, y, x + w, y + h, width, height):
                left = self._update_labels(label, (x, y, w, h), height, width)
                if left is not None:
                    return x, y, w, h, left
        return None

    def _check_satisfy_constraints(self, label, xmin, ymin, xmax, ymax, width, height):
        """Whether enough lies in a rectangle of each box that it touches, and it touches one."""
        if (xmax - xmin) * (ymax - ymin) < 2:
            return False
        boxes = label[:, 1:5]
        boxes = boxes[_areas(boxes) * width * height > 2]
        cut = _cut(boxes, xmin / width, ymin / height, xmax / width, ymax / height)
        covered = _areas(cut) / _areas(boxes)
        covered = covered[covered > 0]
        return bool(covered.size) and covered.min() > self.min_object_covered

    def _update_labels(self, label, crop_box, height, width):
        """The boxes in a rectangle, as parts of it; None where none is left."""
        x, y, w, h = (
            crop_box[0] / width,
            crop_box[1] / height,
            crop_box[2] / width,
            crop_box[3] / height,
        )
        left = label.copy()
        left[:, (1, 3)] = np.clip((left[:, (1, 3)] - x) / w, 0, 1)
        left[:, (2, 4)] = np.clip((left[:, (2, 4)] - y) / h, 0, 1)
        # A box without an area is not kept.
        whole = np.maximum(_areas(label[:, 1:5]), np.finfo("float32").tiny)
        share = _areas(left[:, 1:5]) * w * h / whole
        kept = (left[:, 3] > left[:, 1]) & (left[:, 4] > left[:, 2])
        kept &= share > self.min_eject_coverage
        return left[kept] if kept.any() else None


class DetRandomPadAug(_RangedAug):
    """The picture somewhere in a larger one, which has one colour elsewhere.

    Parameters
    ----------
    aspect_ratio_range : tuple of float, default (0.75, 1.33)
        The least and the largest width divided by height.
    area_range : tuple of float, default (1.0, 3.0)
        The least and the largest area, in areas of the picture.
    max_attempts : int, default 50
        How many sizes are tried; where none will do, nothing is added.
    pad_val : tuple of float, or float, default (128, 128, 128)
        The colour.
    """

    def __init__(
        self,
        aspect_ratio_range=(0.75, 1.33),
        area_range=(1.0, 3.0),
        max_attempts=50,
        pad_val=(128, 128, 128),
    ):
        if not isinstance(pad_val, (list, tuple, *numeric_types)):
            raise AssertionError(f"DetRandomPadAug: pad_val is a colour; got {pad_val!r}")
        ratios, areas = _range(aspect_ratio_range), _range(area_range)
        super().__init__(
            aspect_ratio_range=ratios,
            area_range=areas,
            max_attempts=max_attempts,
            pad_val=pad_val,
        )
        self.pad_val, self.max_attempts = pad_val, max_attempts
        self._take_ranges(ratios, areas, areas[1] > 1.0)

    def __call__(self, src, label):
        height, width = src.shape[:2]
        found = self._random_pad_proposal(label, height, width)
        if found is None:
            return src, label
        x, y, w, h, label = found
        several = isinstance(self.pad_val, (list, tuple))
        colour = {"values" if several else "value": self.pad_val}
        return copyMakeBorder(src, y, h - y - height, x, w - x - width, **colour), label

    def _random_pad_proposal(self, label, height, width):
        """Where the picture lies in which size, and its boxes there; None where nothing fits."""
        if not self.enabled or height <= 0 or width <= 0:
            return None
        for _ in range(self.max_attempts):
            ratio, h, highest = self._heights(height, width)
            if round(h * ratio) < width:
                h = int((width + 0.499999) / ratio)
            h = max(h, height)
            h = random.randint(h, highest) if h < highest else highest
            w = round(h * ratio)
            if h - height < 2 or w - width < 2:
                continue
            y, x = random.randint(0, h - height), random.randint(0, w - width)
            return x, y, w, h, self._update_labels(label, (x, y, w, h), height, width)
        return None

    def _update_labels(self, label, pad_box, height, width):
        x, y, w, h = pad_box
        moved = label.copy()
        moved[:, (1, 3)] = (moved[:, (1, 3)] * width + x) / w
        moved[:, (2, 4)] = (moved[:, (2, 4)] * height + y) / h
        return moved


# ---- lists of them


def CreateMultiRandCropAugmenter(
    min_object_covered=0.1,
    aspect_ratio_range=(0.75, 1.33),
    area_range=(0.05, 1.0),
    min_eject_coverage=0.3,
    max_attempts=50,
    skip_prob=0,
):
    """An augmenter that crops in one of several ways, each as likely as the others.

    Parameters
    ----------
    min_object_covered, aspect_ratio_range, area_range, min_eject_coverage, max_attempts
        As in :class:`DetRandomCropAug`, or lists of such, which have the same length.
    skip_prob : float, default 0
        The probability that nothing is cropped.

    Returns
    -------
    DetRandomSelectAug

    Examples
    --------
    >>> import mxtape as mx
    >>> crops = mx.image.CreateMultiRandCropAugmenter(min_object_covered=[0.1, 0.5, 0.9])
    >>> [crop.min_object_covered for crop in crops.aug_list]
    [0.1, 0.5, 0.9]
    """
    options = {
        "min_object_covered": min_object_covered,
        "aspect_ratio_range": aspect_ratio_range,
        "area_range": area_range,
        "min_eject_coverage": min_eject_coverage,
        "max_attempts": max_attempts,
    }
    lists = {name: value if isinstance(value, list) else [value] for name, value in options.items()}
    count = max(map(len, lists.values()))
    for name, values in lists.items():
        if len(values) not in (1, count):
            raise AssertionError(
                f"CreateMultiRandCropAugmenter: {name} has {len(values)} values, and another "
                f"argument {count}"
            )
    crops = [
        DetRandomCropAug(**{name: values[i % len(values)] for name, values in lists.items()})
        for i in range(count)
    ]
    return DetRandomSelectAug(crops, skip_prob=skip_prob)


def CreateDetAugmenter(
    data_shape,
    resize=0,
    rand_crop=0,
    rand_pad=0,
    rand_gray=0,
    rand_mirror=False,
    mean=None,
    std=None,
    brightness=0,
    contrast=0,
    saturation=0,
    pca_noise=0,
    hue=0,
    inter_method=2,
    min_object_covered=0.1,
    aspect_ratio_range=(0.75, 1.33),
    area_range=(0.05, 3.0),
    min_eject_coverage=0.3,
    max_attempts=50,
    pad_val=(127, 127, 127),
):
    """The list of augmenters of pictures with boxes that such arguments ask for.

    Parameters
    ----------
    data_shape : tuple of int
        (channels, height, width) of the result.
    rand_crop, rand_pad : float, default 0
        The probabilities that a picture is cropped, and that a border is added.
    min_object_covered, aspect_ratio_range, area_range, min_eject_coverage, max_attempts
        As in :class:`DetRandomCropAug`. Borders are added up to the largest area.
    pad_val : tuple of float, default (127, 127, 127)
        The colour of borders.
    resize, rand_mirror, mean, std, brightness, contrast, saturation, hue, pca_noise, rand_gray, \
inter_method
        As in :func:`CreateAugmenter`.

    Returns
    -------
    list of DetAugmenter

    Examples
    --------
    >>> import mxtape as mx
    >>> for augmenter in mx.image.CreateDetAugmenter((3, 300, 300), rand_mirror=True):
    ...     print(augmenter.dumps())
    ["dethorizontalflipaug", {"p": 0.5}]
    ['detborrowaug', '["forceresizeaug", {"size": [300, 300], "interp": 2}]']
    ['detborrowaug', '["castaug", {"type": "float32"}]']
    """
    made: list = [DetBorrowAug(ResizeAug(resize, inter_method))] if resize > 0 else []
    if rand_crop > 0:
        crops = CreateMultiRandCropAugmenter(
            min_object_covered,
            aspect_ratio_range,
            area_range,
            min_eject_coverage,
            max_attempts,
            skip_prob=1 - rand_crop,
        )
        made.append(crops)
    if rand_mirror:
        made.append(DetHorizontalFlipAug(0.5))
    if rand_pad > 0:
        areas = (1.0, _range(area_range)[1])
        pad = DetRandomPadAug(aspect_ratio_range, areas, max_attempts, pad_val)
        made.append(DetRandomSelectAug([pad], 1 - rand_pad))
    plain: list = [ForceResizeAug((data_shape[2], data_shape[1]), inter_method), CastAug()]
    plain += color_augmenters(brightness, contrast, saturation, hue, pca_noise, rand_gray)
    plain += normalizer(mean, std, "float64", "CreateDetAugmenter")
    return made + [DetBorrowAug(each) for each in plain]


# What MXNet has in this module too.
__getattr__ = _borrowed.borrow(
    __name__,
    "json logging np=numpy random recordio=.recordio warnings",
    {
        ".base": "numeric_types",
        ".image.augmenters": "Augmenter CastAug ColorJitterAug ColorNormalizeAug ForceResizeAug "
        "HueJitterAug LightingAug RandomGrayAug ResizeAug",
        ".image.det_iterator": "ImageDetIter",
        ".image.image": "copyMakeBorder fixed_crop",
        ".image.iterator": "ImageIter",
        ".io": "io",
        ".util": "is_np_array",
        "numbers": "Number",
    },
    later="cv2=cv2",
)
