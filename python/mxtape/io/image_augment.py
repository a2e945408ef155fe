"""What iterators over records of pictures do to each picture: sizes, crops, turning, colours.

A picture is a numpy.ndarray, (height, width, channels), of uint8. Random numbers come from a
random.Random of each picture, so that they do not depend on which thread has made it.
"""

import math

import numpy as np

from .. import _codec
from .. import ndarray as nd
from ..base import MXNetError

__all__: list = []


def resized(pixels, width, height, interp):
    """The picture in another size."""
    if pixels.shape[:2] == (height, width):
        return pixels
    return nd.image.resize(
        nd.array(pixels, dtype="uint8"), (width, height), False, interp
    ).asnumpy()


def interpolation(method, draw, before, after):
    """OpenCV's method; 9 chooses by the sizes, (height, width), and 10 at random."""
    if method == 9:
        if after[0] > before[0] and after[1] > before[1]:
            return 2
        return 3 if after[0] < before[0] and after[1] < before[1] else 1
    return draw.randint(0, 4) if method == 10 else method


def short_side(pixels, size):
    """The height and width when the shorter side has `size` pixels."""
    height, width = pixels.shape[:2]
    if height > width:
        return size * height // width, size
    return size, size * width // height


def padded(pixels, top, bottom, left, right, value):
    """The picture with a border of one value."""
    height, width, channels = pixels.shape
    made = np.full((top + height + bottom, left + width + right, channels), value, np.uint8)
    made[top : top + height, left : left + width] = pixels
    return made


def warped(pixels, matrix, size, interp, fill):
    """The picture seen through an affine map, given as rows for x and y, in (width, height)."""
    Image = _codec.pillow()
    forward = np.vstack([matrix, [0, 0, 1]])
    if abs(np.linalg.det(forward)) < 1e-9:
        raise MXNetError("ImageRecordIter: a picture would be turned into a line")
    # Beyond its edge there is `fill` to interpolate with.
    pixels = padded(pixels, 2, 2, 2, 2, fill)
    # Pillow wants the map from the result to the picture, and has pixels' middles at 1/2.
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    shift = np.array([[1, 0, 2], [0, 1, 2], [0, 0, 1]])
    back = shift @ half @ np.linalg.inv(forward) @ np.linalg.inv(half)
    how = (Image.NEAREST, Image.BILINEAR, Image.BICUBIC)[min(interp, 2)]
    gray = pixels.shape[2] == 1
    image = Image.fromarray(pixels[:, :, 0] if gray else pixels)
    colour = fill if gray else (fill,) * pixels.shape[2]
    turned = image.transform(size, Image.AFFINE, tuple(back[:2].ravel()), how, fillcolor=colour)
    return np.asarray(turned).reshape(size[1], size[0], -1)


# ---- colours


def jittered(pixels, draw, brightness, contrast, saturation):
    """Brightness, contrast and saturation changed by factors around 1, in any order."""
    changes = [
        (change, width)
        for change, width in (
            (nd.image.random_brightness, brightness),
            (nd.image.random_contrast, contrast),
            (nd.image.random_saturation, saturation),
        )
        if width > 0
    ]
    if not changes:
        return pixels
    draw.shuffle(changes)
    x = nd.array(pixels, dtype="uint8")
    for change, width in changes:
        factor = max(0.0, 1 + draw.uniform(-width, width))
        x = change(x, factor, factor)
    return x.asnumpy()


def relit(pixels, draw, deviation):
    """Principal components of the colours of photographs added."""
    if not deviation > 0:
        return pixels
    alpha = tuple(draw.gauss(0, deviation) for _ in range(3))
    return nd.image.adjust_lighting(nd.array(pixels, dtype="uint8"), alpha).asnumpy()


def shifted_hls(pixels, hue, lightness, saturation):
    """Hue (of 180), lightness and saturation (of 255) shifted. Gray pixels stay gray."""
    if pixels.shape[2] != 3 or not (hue or lightness or saturation):
        return pixels
    if hue:
        # It turns by a part of the circle, forward.
        turn = (hue / 180) % 1
        pixels = nd.image.random_hue(nd.array(pixels, dtype="uint8"), turn, turn).asnumpy()
    if not (lightness or saturation):
        return pixels
    # With the channels apart: NumPy is slow along an axis of three.
    x = np.ascontiguousarray(np.moveaxis(pixels, 2, 0)).astype(np.float32)
    x /= np.float32(255)
    high, low = np.maximum(np.maximum(x[0], x[1]), x[2]), np.minimum(np.minimum(x[0], x[1]), x[2])
    light, extent = (high + low) / 2, high - low
    share = extent / np.maximum(1 - np.abs(2 * light - 1), np.float32(1e-6))
    new_light = np.clip(light + np.float32(lightness / 255), 0, 1)
    share = np.clip(share + np.float32(saturation / 255), 0, 1)
    scale = share * (1 - np.abs(2 * new_light - 1)) / np.maximum(extent, np.float32(1e-6))
    x -= light
    x *= scale
    x += new_light
    x *= np.float32(255)
    x += np.float32(0.5)
    return np.moveaxis(np.clip(x, 0, 255).astype(np.uint8), 0, 2)


# ---- ImageRecordIter


class PictureAugmenter:
    """What :func:`ImageRecordIter` does to a picture, by its arguments `o`."""

    def __init__(self, o):
        self.o = o
        scaled = (o.max_random_scale, o.min_random_scale) != (1, 1)
        limited = o.max_img_size < 1e9 or o.min_img_size > 0
        turned = o.max_rotate_angle > 0 or o.rotate > 0 or o.max_shear_ratio > 0
        shaped = o.max_aspect_ratio > 0 or o.min_aspect_ratio is not None
        self.warps = not o.random_resized_crop and (scaled or limited or turned or shaped)
        crops = (o.min_crop_size, o.max_crop_size)
        if crops != (-1, -1) and not 0 < crops[0] <= crops[1]:
            raise MXNetError(f"ImageRecordIter: min_crop_size and max_crop_size are {crops}")
        scales = (o.min_random_scale, o.max_random_scale)
        if min(scales) < 0:
            raise MXNetError(f"ImageRecordIter: min_random_scale and max_random_scale are {scales}")
        shifts = (o.random_h, o.random_s, o.random_l)
        if min(shifts) < 0:
            raise MXNetError(f"ImageRecordIter: random_h, random_s and random_l are {shifts}")
        if o.random_resized_crop:
            self._check_part()

    def _check_part(self):
        o = self.o
        aspects, areas = self._aspects(), (o.min_random_area, o.max_random_area)
        if not 0 < aspects[0] <= aspects[1]:
            raise MXNetError(f"ImageRecordIter: parts are to have aspect ratios of {aspects}")
        if not 0 <= areas[0] <= areas[1]:
            raise MXNetError(f"ImageRecordIter: min_random_area and max_random_area are {areas}")

    def __call__(self, pixels, draw):
        o = self.o
        if o.resize > 0:
            pixels = self._resized(pixels, draw, *short_side(pixels, o.resize))
        if self.warps:
            pixels = self._warped(pixels, draw)
        if o.pad > 0:
            pixels = padded(pixels, o.pad, o.pad, o.pad, o.pad, o.fill_value)
        pixels = self._cropped(pixels, draw)
        pixels = jittered(pixels, draw, o.brightness, o.contrast, o.saturation)
        pixels = relit(pixels, draw, o.pca_noise)
        shifts = [
            draw.randint(-width, width) if width else 0
            for width in (o.random_h, o.random_l, o.random_s)
        ]
        return shifted_hls(pixels, *shifts)

    def _resized(self, pixels, draw, height, width):
        how = interpolation(self.o.inter_method, draw, pixels.shape[:2], (height, width))
        return resized(pixels, width, height, how)

    def _warped(self, pixels, draw):
        o = self.o
        shear = draw.uniform(-o.max_shear_ratio, o.max_shear_ratio)
        angle = o.rotate if o.rotate > 0 else draw.uniform(-o.max_rotate_angle, o.max_rotate_angle)
        sin, cos = math.sin(math.radians(angle)), math.cos(math.radians(angle))
        # Of the smallest, a pixel is left.
        scale = max(1e-3, draw.uniform(o.min_random_scale, o.max_random_scale))
        ratio = draw.uniform(*self._aspects())
        # Of width and height, whose quotient is `ratio` and whose mean is `scale`.
        across = 2 * scale / (1 + ratio)
        down = ratio * across
        height, width = pixels.shape[:2]
        size = [
            int(max(1, o.min_img_size, min(o.max_img_size, scale * n))) for n in (width, height)
        ]
        matrix = np.array(
            [
                [across * cos - shear * sin * down, across * sin + shear * cos * down, 0.0],
                [-sin * down, cos * down, 0.0],
            ]
        )
        # The middle stays the middle.
        matrix[:, 2] = (np.array(size) - matrix[:, :2] @ (width, height)) / 2
        how = interpolation(o.inter_method, draw, (height, width), size[::-1])
        return warped(pixels, matrix, tuple(size), how, o.fill_value)

    def _aspects(self):
        o = self.o
        if o.min_aspect_ratio is None:
            return 1 - o.max_aspect_ratio, 1 + o.max_aspect_ratio
        return o.min_aspect_ratio, o.max_aspect_ratio

    def _cropped(self, pixels, draw):
        o = self.o
        height, width = o.data_shape[1:]
        if o.random_resized_crop:
            found = self._random_part(pixels.shape[:2], draw)
            if found is not None:
                x, y, w, h = found
                return self._resized(pixels[y : y + h, x : x + w], draw, height, width)
        if o.max_crop_size != -1 and not o.random_resized_crop:
            size = draw.randint(o.min_crop_size, o.max_crop_size)
            pixels = self._part(self._enlarged(pixels, draw, size, size), draw, size, size)
            return self._resized(pixels, draw, height, width)
        return self._part(self._enlarged(pixels, draw, height, width), draw, height, width)

    def _random_part(self, size, draw):
        """A rectangle of a random shape and area; None where ten attempts have failed."""
        o = self.o
        low, high = self._aspects()
        for _ in range(10):
            area = draw.uniform(o.min_random_area, o.max_random_area) * size[0] * size[1]
            ratio = draw.uniform(low, high)
            w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if draw.random() < 0.5:
                w, h = h, w
            if 0 < w <= size[1] and 0 < h <= size[0]:
                return draw.randint(0, size[1] - w), draw.randint(0, size[0] - h), w, h
        return None

    def _enlarged(self, pixels, draw, height, width):
        """The picture; in another size, with its shape kept, if it is too small."""
        h, w = pixels.shape[:2]
        if h < height:
            pixels = self._resized(pixels, draw, height, w * height // h)
        h, w = pixels.shape[:2]
        if w < width:
            pixels = self._resized(pixels, draw, h * width // w, width)
        return pixels

    def _part(self, pixels, draw, height, width):
        y, x = pixels.shape[0] - height, pixels.shape[1] - width
        if self.o.rand_crop:
            y, x = draw.randint(0, y), draw.randint(0, x)
        else:
            y, x = y // 2, x // 2
        return pixels[y : y + height, x : x + width]


class Normalizer:
    """Takes means off, multiplies, mirrors: a picture into its place in a batch.

    Without `relights`, nothing is added or multiplied at random.
    """

    def __init__(self, o, relights=True):
        self.o = o
        self.contrast = o.max_random_contrast if relights else 0.0
        self.light = o.max_random_illumination if relights else 0.0
        channels = o.data_shape[0]
        means = [o.mean_r, o.mean_g, o.mean_b, o.mean_a][:channels]
        stds = [o.std_r, o.std_g, o.std_b, o.std_a][:channels]
        self.mean = np.array(means, np.float32)[:, None, None]
        scales = [o.scale / (std or 1) for std in stds]
        self.scale = np.array(scales, np.float32)[:, None, None]
        self.has_mean, self.has_scale = any(means), any(scale != 1 for scale in scales)

    def __call__(self, pixels, out, draw):
        o = self.o
        mirror = o.mirror or (o.rand_mirror and draw.random() < 0.5)
        planes = np.moveaxis(pixels[:, ::-1] if mirror else pixels, 2, 0)
        contrast = 1 + draw.uniform(-self.contrast, self.contrast)
        light = draw.uniform(-self.light, self.light)
        if out.dtype == np.uint8:
            out[:] = planes
            return
        x = out if out.dtype == np.float32 else np.empty(out.shape, np.float32)
        if self.has_mean:
            np.subtract(planes, self.mean, out=x)
        else:
            x[:] = planes
        if contrast != 1:
            x *= np.float32(contrast)
        if light:
            x += np.float32(light)
        if self.has_scale:
            x *= self.scale
        if x is not out:
            # int8: what is beyond its range becomes its ends.
            out[:] = np.clip(np.trunc(x), -128, 127)
