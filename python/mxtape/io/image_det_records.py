"""ImageDetRecordIter: record files of pictures with boxes."""

import math

import numpy as np

from ..base import MXNetError
from .files import MXDataIter, integer
from .image_augment import (
    Normalizer,
    interpolation,
    padded,
    resized,
    shifted_hls,
    short_side,
)
from .image_records import READING, VALUES, Pictures, numbers, options

__all__ = ["ImageDetRecordIter"]


def _counts(value):
    return tuple(integer(n) for n in numbers(value))


_TABLE = {
    **READING,
    **VALUES,
    "label_width": (integer, -1),
    "label_pad_width": (integer, 0),
    "label_pad_value": (float, -1.0),
    "resize": (integer, -1),
    "rand_crop_prob": (float, 0.0),
    "num_crop_sampler": (integer, 1),
    **{
        f"{bound}_crop_{name}": (numbers, (default,))
        for name, low, high in (
            ("scales", 0.0, 1.0),
            ("aspect_ratios", 1.0, 1.0),
            ("overlaps", 0.0, 1.0),
            ("sample_coverages", 0.0, 1.0),
            ("object_coverages", 0.0, 1.0),
        )
        for bound, default in (("min", low), ("max", high))
    },
    "max_crop_trials": (_counts, (25,)),
    "crop_emit_mode": (str, "center"),
    "emit_overlap_thresh": (float, 0.3),
    "rand_pad_prob": (float, 0.0),
    "max_pad_scale": (float, 1.0),
    "max_random_hue": (integer, 0),
    "random_hue_prob": (float, 0.0),
    "max_random_saturation": (integer, 0),
    "random_saturation_prob": (float, 0.0),
    # Of lightness here, in whole numbers.
    "max_random_illumination": (integer, 0),
    "random_illumination_prob": (float, 0.0),
    "random_contrast_prob": (float, 0.0),
    "rand_mirror_prob": (float, 0.0),
    "fill_value": (integer, 127),
    "inter_method": (integer, 1),
    "resize_mode": (str, "force"),
}
_BOUNDED = ("overlaps", "sample_coverages", "object_coverages")


def _areas(boxes):
    return np.maximum(boxes[:, 2] - boxes[:, 0], 0) * np.maximum(boxes[:, 3] - boxes[:, 1], 0)


def _common(boxes, part):
    """The areas that boxes have in common with one rectangle."""
    return _areas(
        np.concatenate([np.maximum(boxes[:, :2], part[:2]), np.minimum(boxes[:, 2:], part[2:])], 1)
    )


class _Augmenter:
    """What is done to a picture and its boxes: (n, 4), as parts of its width and height."""

    def __init__(self, o):
        self.o = o
        if o.resize_mode not in ("force", "fit", "shrink"):
            raise MXNetError(f"{o.function}: resize_mode is force, fit or shrink")
        if o.crop_emit_mode not in ("center", "overlap"):
            raise MXNetError(f"{o.function}: crop_emit_mode is center or overlap")
        names = [name for name in _TABLE if name.startswith(("min_crop_", "max_crop_"))]
        for name in names:
            values = getattr(o, name)
            if len(values) not in (1, o.num_crop_sampler):
                raise MXNetError(
                    f"{o.function}: {name} has {len(values)} values, and there are "
                    f"{o.num_crop_sampler} samplers"
                )
        self.samplers = [
            {name: getattr(o, name)[k % len(getattr(o, name))] for name in names}
            for k in range(o.num_crop_sampler)
        ]

    def __call__(self, pixels, boxes, draw):
        """The picture, its boxes, and which of the boxes are left."""
        o = self.o
        kept = np.arange(len(boxes))
        if o.resize > 0:
            pixels = self._resized(pixels, draw, *short_side(pixels, o.resize))
        pixels = self._colours(pixels, draw)
        if draw.random() < o.rand_mirror_prob:
            pixels = pixels[:, ::-1]
            boxes = np.stack([1 - boxes[:, 2], boxes[:, 1], 1 - boxes[:, 0], boxes[:, 3]], axis=1)
        if o.max_pad_scale > 1 and draw.random() < o.rand_pad_prob:
            pixels, boxes = self._padded(pixels, boxes, draw)
        if draw.random() < o.rand_crop_prob:
            found = self._part(boxes, draw, pixels.shape[1] / pixels.shape[0])
            if found is not None:
                part, kept = found
                pixels, boxes = self._cropped(pixels, boxes[kept], part)
        return self._fitted(pixels, draw), boxes, kept

    def _resized(self, pixels, draw, height, width):
        how = interpolation(self.o.inter_method, draw, pixels.shape[:2], (height, width))
        return resized(pixels, width, height, how)

    def _colours(self, pixels, draw):
        o = self.o
        shifts = [
            draw.randint(-width, width) if width and draw.random() < probability else 0
            for width, probability in (
                (o.max_random_hue, o.random_hue_prob),
                (o.max_random_illumination, o.random_illumination_prob),
                (o.max_random_saturation, o.random_saturation_prob),
            )
        ]
        pixels = shifted_hls(pixels, *shifts)
        if o.max_random_contrast and draw.random() < o.random_contrast_prob:
            factor = 1 + draw.uniform(-o.max_random_contrast, o.max_random_contrast)
            pixels = np.clip(np.rint(pixels * np.float32(factor)), 0, 255).astype(np.uint8)
        return pixels

    def _padded(self, pixels, boxes, draw):
        scale = draw.uniform(1, self.o.max_pad_scale)
        height, width = pixels.shape[:2]
        h, w = int(height * scale), int(width * scale)
        top, left = draw.randint(0, h - height), draw.randint(0, w - width)
        value = self.o.fill_value
        pixels = padded(pixels, top, h - height - top, left, w - width - left, value)
        size, shift = np.array([width, height] * 2), np.array([left, top] * 2)
        return pixels, (boxes * size + shift) / np.array([w, h] * 2)

    def _part(self, boxes, draw, shape):
        """A rectangle, and the numbers of the boxes that are left in it; or None.

        `shape` is the picture's width, divided by its height.
        """
        samplers = list(enumerate(self.samplers))
        draw.shuffle(samplers)
        trials = self.o.max_crop_trials
        for k, sampler in samplers:
            for _ in range(trials[k % len(trials)]):
                part = self._drawn(sampler, draw, shape)
                if part is None or not self._allowed(sampler, boxes, part):
                    continue
                kept = self._left(boxes, part)
                if len(kept):
                    return part, kept
        return None

    def _drawn(self, sampler, draw, shape):
        scale = draw.uniform(sampler["min_crop_scales"], sampler["max_crop_scales"])
        if scale <= 0:
            return None
        # The ratio is of pixels. Within these bounds neither side is longer than the picture's.
        ratio = draw.uniform(
            max(sampler["min_crop_aspect_ratios"] / shape, scale**2),
            min(sampler["max_crop_aspect_ratios"] / shape, 1 / scale**2),
        )
        if ratio <= 0:
            return None
        w, h = min(1.0, scale * math.sqrt(ratio)), min(1.0, scale / math.sqrt(ratio))
        left, top = draw.uniform(0, 1 - w), draw.uniform(0, 1 - h)
        return np.array([left, top, left + w, top + h])

    @staticmethod
    def _allowed(sampler, boxes, part):
        """Whether one box has overlap and coverages within the sampler's bounds."""
        common, areas, area = _common(boxes, part), _areas(boxes), _areas(part[None])[0]
        tiny = np.finfo(np.float64).tiny
        shares = (
            common / np.maximum(areas + area - common, tiny),
            common / area,
            common / np.maximum(areas, tiny),
        )
        good = np.ones(len(boxes), bool)
        for name, share in zip(_BOUNDED, shares):
            low, high = sampler[f"min_crop_{name}"], sampler[f"max_crop_{name}"]
            if (low, high) != (0, 1):
                good &= (share >= low) & (share <= high)
        return bool(good.any())

    def _left(self, boxes, part):
        if self.o.crop_emit_mode == "center":
            middle = (boxes[:, :2] + boxes[:, 2:]) / 2
            inside = ((middle >= part[:2]) & (middle <= part[2:])).all(axis=1)
        else:
            share = _common(boxes, part) / np.maximum(_areas(boxes), np.finfo(np.float64).tiny)
            inside = share >= self.o.emit_overlap_thresh
        return np.flatnonzero(inside)

    @staticmethod
    def _cropped(pixels, boxes, part):
        height, width = pixels.shape[:2]
        left, top = int(part[0] * width), int(part[1] * height)
        size = part[2:] - part[:2]
        right, bottom = left + max(1, int(size[0] * width)), top + max(1, int(size[1] * height))
        moved = np.clip((boxes - np.tile(part[:2], 2)) / np.tile(size, 2), 0, 1)
        return pixels[top:bottom, left:right], moved

    def _fitted(self, pixels, draw):
        """The picture in the size of `data_shape`, or no larger with its shape kept."""
        height, width = self.o.data_shape[1:]
        if self.o.resize_mode == "force":
            return self._resized(pixels, draw, height, width)
        h, w = pixels.shape[:2]
        scale = min(height / h, width / w)
        if self.o.resize_mode == "fit" or scale < 1:
            h, w = max(1, min(height, int(h * scale))), max(1, min(width, int(w * scale)))
            pixels = self._resized(pixels, draw, h, w)
        return pixels


class _PicturesWithBoxes(Pictures):
    def _prepare(self):
        o = self.o
        self.augment = _Augmenter(o)
        # The augmenter has changed contrast and illumination.
        self.normalize = Normalizer(o, relights=False)
        if o.mean_img:
            self.normalize.mean, self.normalize.has_mean = self._mean_image(), True

    def _label_shape(self):
        """Room for the labels of every picture, which are all read."""
        o = self.o
        widest = max(len(self._checked(self.records[i][0])) for i in range(len(self.records)))
        if 0 < o.label_pad_width < widest:
            raise MXNetError(
                f"{o.function}: label_pad_width is {o.label_pad_width}, and a picture has {widest} "
                "labels"
            )
        return (4 + max(widest, o.label_pad_width),)

    def _checked(self, header):
        """The labels of a picture, if they are as they should be."""
        found, wanted = np.array(self._label_of(header), np.float32), self.o.label_width
        head, width = (int(n) for n in found[:2]) if found.size > 1 else (0, 0)
        what = f"{self.o.function}: picture {header.id} has {found.size} labels"
        if head < 2 or width < 5 or found.size <= head or (found.size - head) % width:
            raise MXNetError(f"{what}, not 2 or more numbers, and boxes of 5 or more each")
        if wanted > 0 and found.size != wanted:
            raise MXNetError(f"{what}, and label_width is {wanted}")
        return found

    def _fill(self, out, label, header, s, draw):
        o = self.o
        found = self._checked(header)
        head, width = int(found[0]), int(found[1])
        objects = found[head:].reshape(-1, width)
        boxes = objects[:, 1:5].astype(np.float64)
        pixels, boxes, kept = self.augment(self._decoded(header, s), boxes, draw)
        objects = objects[kept]
        objects[:, 1:5] = boxes
        height, wide = pixels.shape[:2]
        values = np.concatenate([found[:head], objects.ravel()])
        label[0, :4] = o.data_shape[0], height, wide, values.size
        label[0, 4:] = o.label_pad_value
        label[0, 4 : 4 + values.size] = values
        out[:] = 0
        self.normalize(pixels, out[:, :height, :wide], draw)


def ImageDetRecordIter(*args, **kwargs):
    """Batches of pictures with boxes of a record file, which other threads make.

    Parameters
    ----------
    path_imgrec, data_shape, batch_size, path_imglist, path_imgidx, shuffle, seed, num_parts, \
part_index, round_batch, preprocess_threads, prefetch_buffer, mean_r, std_r, scale, mean_img
        As in :func:`ImageRecordIter`, and so are arguments of other channels. A picture's labels
        are those of :class:`mxtape.image.ImageDetIter`.
    label_width : int, default -1
        The number of labels of every picture; -1: it differs.
    label_pad_width : int, default 0
        The number of labels that there is room for; by default that of the picture with the most.
    label_pad_value : float, default -1
        What stands for labels that a picture does not have.
    resize : int, default -1
        The shorter side, before all else.
    rand_crop_prob : float, default 0
        The probability that a part is cut out. `num_crop_sampler` samplers are tried in any order.
    min_crop_scales, max_crop_scales, min_crop_aspect_ratios, max_crop_aspect_ratios : tuple
        Of each sampler, the bounds of the part's size, which is the root of its share of the
        picture, and of its width divided by its height, in pixels.
    min_crop_overlaps, max_crop_overlaps : tuple
        Bounds of the intersection of the part with a box, divided by their union.
    min_crop_sample_coverages, max_crop_sample_coverages : tuple
        The same, divided by the part's area.
    min_crop_object_coverages, max_crop_object_coverages : tuple
        The same, divided by the box's area. One box must be within all these bounds.
    max_crop_trials : tuple of int, default (25,)
    crop_emit_mode : {'center', 'overlap'}, default 'center'
        A box is dropped when its middle lies outside; or when less than `emit_overlap_thresh` of
        it, 0.3 by default, is left.
    rand_pad_prob : float, default 0
        The probability that the picture is put into one up to `max_pad_scale` times as large, of
        the value `fill_value`, 127 by default.
    max_random_hue, max_random_saturation, max_random_illumination, max_random_contrast
        How much each is changed, with the probabilities `random_hue_prob` and so on.
    rand_mirror_prob : float, default 0
    inter_method : int, default 1
    resize_mode : {'force', 'fit', 'shrink'}, default 'force'
        The picture gets the size of `data_shape`; or the largest in it that keeps its shape; or
        that, unless it is smaller. What is left of its place in the batch is 0.

    Returns
    -------
    MXDataIter
        Its labels are, for each picture: the channels, height and width of the picture, the number
        of labels that follow, and these labels, the boxes changed with the picture.
    """
    o = options("ImageDetRecordIter", _TABLE, kwargs)
    return MXDataIter(_PicturesWithBoxes(o, "float32"), o.data_name, o.label_name)
