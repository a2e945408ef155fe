"""Functions on pictures: decoding, sizes, crops, colours, turning.

A picture is an NDArray of shape (height, width, channels), of uint8 as it is decoded, with its
channels in the order red, green, blue.
"""

import math
import operator
import os
import random
import warnings
from typing import Any

import numpy as np

from .. import _borrowed, _codec
from .. import ndarray as nd
from ..base import MXNetError, numeric_types

__all__ = [
    "center_crop",
    "color_normalize",
    "copyMakeBorder",
    "fixed_crop",
    "imdecode",
    "imread",
    "imresize",
    "imrotate",
    "random_crop",
    "random_rotate",
    "random_size_crop",
    "resize_short",
    "scale_down",
]


# ---- decoding


def _array(pixels, out):
    if out is None:
        return nd.from_numpy(np.ascontiguousarray(pixels))
    if out.shape != pixels.shape:
        raise MXNetError(f"a picture of shape {pixels.shape} does not fit out of {out.shape}")
    out[:] = nd.array(pixels, dtype=out.dtype)
    return out


def _decoded(buf, flag, to_rgb, what):
    if flag not in (0, 1):
        raise MXNetError(f"{what}: flag is 1 for three channels or 0 for gray; got {flag!r}")
    pixels = _codec.decode(buf, flag, to_rgb, what)
    return pixels if pixels.ndim == 3 else pixels[:, :, None]


def imdecode(buf, flag=1, to_rgb=True, out=None):
    """A picture, of the bytes of a file.

    Parameters
    ----------
    buf : bytes, bytearray, or array of uint8
        JPEG, PNG, or another format that Pillow knows.
    flag : {1, 0}
        1: three channels. 0: gray, one channel.
    to_rgb : bool, default True
        Whether the channels are red, green, blue; else blue, green, red.
    out : NDArray, optional
        Where the picture is written.

    Returns
    -------
    NDArray
        Of shape (height, width, channels) and dtype uint8.

    Pillow is needed: ``pip install mxtape[image]``. The values of a JPEG may differ from MXNet's by
    one or two. Whether the camera was turned, which Exif says, does not matter, as in MXNet.

    Raises
    ------
    MXNetError
        When the bytes are not a picture, or end too early.

    Examples
    --------
    >>> import mxtape as mx
    >>> import numpy as np
    >>> from mxtape import recordio
    >>> picture = np.arange(12, dtype="uint8").reshape(2, 2, 3)
    >>> header, png = recordio.unpack(
    ...     recordio.pack_img(recordio.IRHeader(0, 0, 0, 0), picture, img_fmt=".png"))
    >>> mx.image.imdecode(png, to_rgb=False).asnumpy().ravel().tolist()
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]
    >>> mx.image.imdecode(png, flag=0).shape
    (2, 2, 1)
    """
    if not isinstance(buf, (bytes, bytearray, memoryview, np.ndarray, nd.NDArray)):
        raise ValueError(
            f"imdecode: buf is bytes, a bytearray, or an array of uint8; got {type(buf).__name__}"
        )
    if not len(buf):
        raise MXNetError("imdecode: buf is empty")
    return _array(_decoded(buf, flag, to_rgb, "imdecode"), out)


def imread(filename, flag=1, to_rgb=True, out=None):
    """A picture, of a file.

    Parameters
    ----------
    filename : str or os.PathLike
    flag, to_rgb, out
        As in :func:`imdecode`.

    Returns
    -------
    NDArray
        Of shape (height, width, channels) and dtype uint8.

    Raises
    ------
    MXNetError
        When the file cannot be read, or is not a picture.
    """
    path = os.fspath(filename)
    try:
        with open(path, "rb") as file:
            buf = file.read()
    except OSError as error:
        raise MXNetError(f"imread: {path}: {error.strerror}") from error
    return _array(_decoded(buf, flag, to_rgb, f"imread: {path}"), out)


# ---- sizes


def imresize(src, w, h, interp=1, out=None):
    """A picture in another size.

    Parameters
    ----------
    src : NDArray
        Of shape (height, width, channels).
    w, h : int
        The width and height of the result.
    interp : int, default 1
        0: the nearest pixel. 1: linear. 2: cubic. 3: the mean of an area. 4: Lanczos, of 8 pixels.
    out : NDArray, optional
        Where the result is written.

    Returns
    -------
    NDArray
        The same as OpenCV's ``resize``.

    Examples
    --------
    >>> import mxtape as mx
    >>> mx.image.imresize(mx.nd.array([[[0], [60]]]), w=4, h=1, interp=0).asnumpy().ravel().tolist()
    [0.0, 0.0, 60.0, 60.0]
    """
    if not isinstance(src, nd.NDArray):
        raise AssertionError(f"imresize: src is an NDArray; got {type(src).__name__}")
    if src.ndim != 3:
        raise MXNetError(f"imresize: src is (height, width, channels); got shape {src.shape}")
    return nd.image.resize(src, size=(w, h), interp=interp, out=out)


def _get_interp_method(interp, sizes=()):
    """The method of interpolation that 9 or 10 stand for, others as they are.

    `sizes` are the height and width before and after. 9: cubic to enlarge, areas to shrink, else
    linear. 10: one at random.
    """
    if interp == 9:
        if not sizes:
            return 2
        if len(sizes) != 4:
            raise AssertionError(f"sizes are the height and width before and after; got {sizes}")
        height, width, new_height, new_width = sizes
        if new_height > height and new_width > width:
            return 2
        return 3 if new_height < height and new_width < width else 1
    if interp == 10:
        return random.randint(0, 4)
    if interp not in (0, 1, 2, 3, 4):
        raise ValueError(f"interp is 0 to 4, 9 or 10; got {interp!r}")
    return interp


def scale_down(src_size, size):
    """A size to crop, made smaller, with its shape kept, until it fits a picture.

    Parameters
    ----------
    src_size : tuple of int
        The width and height of the picture.
    size : tuple of int
        The width and height that are wanted.

    Returns
    -------
    tuple of int

    Examples
    --------
    >>> import mxtape as mx
    >>> mx.image.scale_down((640, 480), (720, 120))
    (640, 106)
    """
    (width, height), (w, h) = src_size, size
    if h > height:
        w, h = w * height / h, height
    if w > width:
        w, h = width, h * width / w
    return int(w), int(h)


def resize_short(src, size, interp=2):
    """A picture in another size, with a shorter side of `size` pixels.

    Parameters
    ----------
    src : NDArray
        Of shape (height, width, channels).
    size : int
    interp : int, default 2
        As in :func:`imresize`; 9 chooses by the sizes, 10 at random.

    Returns
    -------
    NDArray

    Examples
    --------
    >>> import mxtape as mx
    >>> mx.image.resize_short(mx.nd.zeros((30, 50, 3)), 15).shape
    (15, 25, 3)
    """
    height, width = src.shape[:2]
    if height > width:
        new_height, new_width = size * height // width, size
    else:
        new_height, new_width = size, size * width // height
    how = _get_interp_method(interp, (height, width, new_height, new_width))
    return imresize(src, new_width, new_height, interp=how)


# ---- crops


def fixed_crop(src, x0, y0, w, h, size=None, interp=2):
    """A rectangle of a picture, in another size if one is given.

    Parameters
    ----------
    src : NDArray
        Of shape (height, width, channels).
    x0, y0 : int
        The left column and the top row.
    w, h : int
        The width and height.
    size : tuple of int, optional
        The width and height of the result.
    interp : int, default 2
        As in :func:`resize_short`.

    Returns
    -------
    NDArray

    Examples
    --------
    >>> from mxtape.image import fixed_crop
    >>> import mxtape as mx
    >>> fixed_crop(mx.nd.arange(12).reshape((3, 4, 1)), 1, 0, 2, 2).asnumpy()[:, :, 0].tolist()
    [[1.0, 2.0], [5.0, 6.0]]
    """
    if x0 < 0 or y0 < 0:
        raise MXNetError(f"fixed_crop: ({x0}, {y0}) lies outside of the picture")
    if len(src.shape) != 3:
        raise ValueError(f"crop: src is (height, width, channels); got shape {src.shape}")
    part = nd.slice(src, begin=(y0, x0, 0), end=(y0 + h, x0 + w, src.shape[2]))
    if size is None or tuple(size) == (w, h):
        return part
    width, height = size
    return imresize(part, width, height, interp=_get_interp_method(interp, (h, w, height, width)))


def _crop_at(src, place, size, interp):
    x0, y0, w, h = place
    return fixed_crop(src, x0, y0, w, h, size, interp), place


def center_crop(src, size, interp=2):
    """The middle of a picture. One that is too small is enlarged.

    Parameters
    ----------
    src : NDArray
        Of shape (height, width, channels).
    size : tuple of int
        The width and height of the result.
    interp : int, default 2
        As in :func:`resize_short`.

    Returns
    -------
    NDArray, tuple of int
        The result, and what was cut out: its left column, top row, width and height.

    Examples
    --------
    >>> import mxtape as mx
    >>> middle, place = mx.image.center_crop(mx.nd.zeros((30, 50, 3)), (20, 10))
    >>> middle.shape, place
    ((10, 20, 3), (15, 10, 20, 10))
    """
    height, width = src.shape[:2]
    w, h = scale_down((width, height), size)
    return _crop_at(src, ((width - w) // 2, (height - h) // 2, w, h), size, interp)


def random_crop(src, size, interp=2):
    """A part of a picture, anywhere in it. One that is too small is enlarged.

    Parameters, and what is returned, are those of :func:`center_crop`.

    Examples
    --------
    >>> import mxtape as mx
    >>> part, (x0, y0, w, h) = mx.image.random_crop(mx.nd.zeros((30, 50, 3)), (20, 10))
    >>> part.shape, 0 <= x0 <= 30, 0 <= y0 <= 20, w, h
    ((10, 20, 3), True, True, 20, 10)
    """
    height, width = src.shape[:2]
    w, h = scale_down((width, height), size)
    x0, y0 = random.randint(0, width - w), random.randint(0, height - h)
    return _crop_at(src, (x0, y0, w, h), size, interp)


def _as_area(area, options, function):
    """The share of a picture that is cut out, as a range; `options` may have its old name."""
    if "min_area" in options:
        warnings.warn("min_area is deprecated; use area", DeprecationWarning, stacklevel=3)
        area = options.pop("min_area")
    if options:
        raise AssertionError(f"{function} has no arguments {sorted(options)}")
    return area


def random_size_crop(src, size, area, ratio, interp=2, **kwargs):
    """A part of a picture, anywhere in it and of any shape and size within bounds.

    Parameters
    ----------
    src : NDArray
        Of shape (height, width, channels).
    size : tuple of int
        The width and height of the result.
    area : float or tuple of float
        The least and the largest share of the picture that is cut out; the least, up to 1.
    ratio : tuple of float
        The least and the largest width divided by height.
    interp : int, default 2
        As in :func:`resize_short`.

    Returns
    -------
    NDArray, tuple of int
        As in :func:`center_crop`, which is used where ten attempts have found nothing that fits.

    Examples
    --------
    >>> import mxtape as mx
    >>> part, (x0, y0, w, h) = mx.image.random_size_crop(
    ...     mx.nd.zeros((30, 50, 3)), (20, 10), area=(0.2, 0.5), ratio=(0.75, 1.333))
    >>> part.shape, 0.15 < w * h / 1500 < 0.55, 0.7 < w / h < 1.4
    ((10, 20, 3), True, True)
    """
    area = _as_area(area, kwargs, "random_size_crop")
    least, most = (float(area), 1.0) if isinstance(area, numeric_types) else area
    height, width = src.shape[:2]
    low, high = math.log(ratio[0]), math.log(ratio[1])
    for _ in range(10):
        pixels = random.uniform(least, most) * height * width
        shape = math.exp(random.uniform(low, high))
        w, h = round(math.sqrt(pixels * shape)), round(math.sqrt(pixels / shape))
        if w <= width and h <= height:
            x0, y0 = random.randint(0, width - w), random.randint(0, height - h)
            return _crop_at(src, (x0, y0, w, h), size, interp)
    return center_crop(src, size, interp)


# ---- colours and borders


def color_normalize(src, mean, std=None):
    """A picture minus `mean`, divided by `std`, written over it.

    Parameters
    ----------
    src : NDArray
        Of shape (height, width, channels), of a floating dtype.
    mean : NDArray or float, or None
    std : NDArray or float, optional

    Returns
    -------
    NDArray
        `src` itself.

    Examples
    --------
    >>> import mxtape as mx
    >>> picture = mx.nd.array([[[4, 6, 8]]])
    >>> mean, std = mx.nd.array([1, 2, 3]), mx.nd.array([1, 2, 5])
    >>> mx.image.color_normalize(picture, mean, std).asnumpy().tolist()
    [[[3.0, 2.0, 1.0]]]
    """
    for apply, numbers in ((operator.isub, mean), (operator.itruediv, std)):
        if numbers is not None:
            src = apply(src, numbers)
    return src


_BORDERS: Any = ("constant", "edge", "symmetric", "wrap", "reflect")


def copyMakeBorder(src, top, bot, left, right, type=0, value=0.0, values=(), out=None):
    """A picture with a border.

    Parameters
    ----------
    src : NDArray
        Of shape (height, width, channels).
    top, bot, left, right : int
        How many pixels are added.
    type : int, default 0
        0: `value`. 1: the pixel at the edge. 2: mirrored, with the edge twice. 3: what is at the
        other side. 4: mirrored, with the edge once.
    value : float, default 0
        Of the border, in all channels.
    values : tuple of float, optional
        Of the border, for each channel; it goes before `value`.
    out : NDArray, optional
        Where the result is written.

    Returns
    -------
    NDArray

    Examples
    --------
    >>> import mxtape as mx
    >>> picture = mx.nd.array([[[1], [2], [3]]])
    >>> mx.image.copyMakeBorder(picture, 0, 0, 2, 1, type=2).asnumpy().ravel().tolist()
    [2.0, 1.0, 1.0, 2.0, 3.0, 3.0]
    """
    widths = (int(top), int(bot)), (int(left), int(right)), (0, 0)
    if src.ndim != 3 or type not in range(5) or min(map(min, widths)) < 0:
        raise MXNetError(
            "copyMakeBorder: src is (height, width, channels), type is 0 to 4, and no side is "
            f"negative; got shape {src.shape}, type {type}, and {widths[:2]}"
        )
    pixels = src.asnumpy()
    if type == 0:
        border = np.zeros(src.shape[2], pixels.dtype)
        border[: len(values) or None] = values or value
        (above, below), (before, after), _ = widths
        height, width, channels = pixels.shape
        made = np.empty((above + height + below, before + width + after, channels), pixels.dtype)
        made[:] = border
        made[above : above + height, before : before + width] = pixels
    else:
        made = np.pad(pixels, widths, mode=_BORDERS[type])
    return _array(made, out)


# ---- turning


def imrotate(src, rotation_degrees, zoom_in=False, zoom_out=False):
    """Pictures turned around their middle, against the clock, interpolated linearly.

    Parameters
    ----------
    src : NDArray
        Of shape (channels, height, width), or (N, channels, height, width), of dtype float32.
    rotation_degrees : float, or NDArray of N
    zoom_in : bool, default False
        Enlarge so much that the result has no corners without a picture.
    zoom_out : bool, default False
        Shrink so much that all of the picture is seen.

    Returns
    -------
    NDArray
        Of the shape of `src`; 0 where there is no picture.

    Examples
    --------
    >>> import mxtape as mx
    >>> picture = mx.nd.arange(4).reshape((1, 2, 2))
    >>> mx.image.imrotate(picture, 90).asnumpy().round(3)[0].tolist()
    [[1.0, 3.0], [0.0, 2.0]]
    """
    if zoom_in and zoom_out:
        raise ValueError("imrotate: zoom_in and zoom_out exclude each other")
    if src.dtype != np.float32:
        raise TypeError(f"imrotate: pictures are float32; got {np.dtype(src.dtype).name}")
    if src.ndim not in (3, 4):
        raise ValueError(
            f"imrotate: src is (channels, height, width), or a batch of them; got {src.shape}"
        )
    several = isinstance(rotation_degrees, nd.NDArray)
    if several and src.ndim == 3:
        raise TypeError("imrotate: the angle for one picture is a number, not an array")
    batch = src if src.ndim == 4 else src.expand_dims(0)
    angles = rotation_degrees.asnumpy() if several else np.full(len(batch), rotation_degrees)
    if len(angles) != len(batch):
        raise ValueError(f"imrotate: {len(batch)} pictures and {len(angles)} angles")
    height, width = src.shape[-2:]
    grid = nd.array(_rotated_grid(height, width, np.radians(angles), zoom_in, zoom_out))
    turned = nd.BilinearSampler(batch, grid)
    return turned if src.ndim == 4 else turned[0]


def _rotated_grid(height, width, angles, zoom_in, zoom_out):
    """Where each pixel of the results lies in its picture: x and y from -1 to 1, (N, 2, H, W)."""
    sin, cos = np.sin(angles)[:, None, None], np.cos(angles)[:, None, None]
    # Pixels from the middle.
    y, x = np.meshgrid(
        np.arange(height) - (height - 1) / 2, np.arange(width) - (width - 1) / 2, indexing="ij"
    )
    zoom = 1.0
    if zoom_in or zoom_out:
        # The rectangle around the picture when it is turned, measured in pictures.
        across = np.abs(cos) + np.abs(sin) * height / width
        down = np.abs(cos) + np.abs(sin) * width / height
        zoom = np.maximum(across, down)
        zoom = 1 / zoom if zoom_in else zoom
    grid = np.stack([(x * cos - y * sin) * zoom, (x * sin + y * cos) * zoom], axis=1)
    half = np.array([max(width - 1, 1) / 2, max(height - 1, 1) / 2])
    return (grid / half[:, None, None]).astype("float32")


def random_rotate(src, angle_limits, zoom_in=False, zoom_out=False):
    """Pictures turned by an angle at random, one for each.

    Parameters
    ----------
    src : NDArray
        As in :func:`imrotate`.
    angle_limits : tuple of float
        The least and the largest angle, in degrees.
    zoom_in, zoom_out : bool, default False
        As in :func:`imrotate`.

    Returns
    -------
    NDArray
    """
    if src.ndim == 3:
        angle = np.random.uniform(*angle_limits)  # noqa: NPY002 (what programs seed)
    else:
        low, high = angle_limits
        angle = nd.array(np.random.uniform(low, high, size=len(src)))  # noqa: NPY002
    return imrotate(src, angle, zoom_in=zoom_in, zoom_out=zoom_out)


# What MXNet has in this module too; these modules import this one.
__getattr__ = _borrowed.borrow(
    __name__,
    "io=.io json logging np=numpy os random recordio=.recordio sys warnings",
    {
        ".base": "numeric_types",
        ".image.augmenters": "Augmenter BrightnessJitterAug CastAug CenterCropAug ColorJitterAug "
        "ColorNormalizeAug ContrastJitterAug CreateAugmenter ForceResizeAug HorizontalFlipAug "
        "HueJitterAug LightingAug RandomCropAug RandomGrayAug RandomOrderAug RandomSizedCropAug "
        "ResizeAug SaturationJitterAug SequentialAug",
        ".image.iterator": "ImageIter",
        ".util": "is_np_array",
        "numbers": "Number",
    },
    later="cv2=cv2",
)
