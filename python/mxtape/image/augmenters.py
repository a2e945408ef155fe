"""Augmenters: functions of pictures that say what they are, for ImageIter and its like."""

import json
import random

import numpy as np

from .. import ndarray as nd
from .image import (
    _as_area,
    _get_interp_method,
    center_crop,
    color_normalize,
    imresize,
    random_crop,
    random_size_crop,
    resize_short,
)

__all__ = [
    "Augmenter",
    "BrightnessJitterAug",
    "CastAug",
    "CenterCropAug",
    "ColorJitterAug",
    "ColorNormalizeAug",
    "ContrastJitterAug",
    "CreateAugmenter",
    "ForceResizeAug",
    "HorizontalFlipAug",
    "HueJitterAug",
    "LightingAug",
    "RandomCropAug",
    "RandomGrayAug",
    "RandomOrderAug",
    "RandomSizedCropAug",
    "ResizeAug",
    "SaturationJitterAug",
    "SequentialAug",
]


def described(options):
    """Arguments as JSON can hold them: arrays as lists."""
    return {
        name: value.asnumpy().tolist()
        if isinstance(value, nd.NDArray)
        else value.tolist()
        if isinstance(value, np.ndarray)
        else value
        for name, value in options.items()
    }


class Augmenter:
    """The base of all augmenters: a picture goes in, a picture comes out.

    One of your own overrides ``__call__(self, src)``, where `src` is an NDArray of shape (height,
    width, channels).

    Parameters
    ----------
    **kwargs
        The arguments that :meth:`dumps` says it was made with.

    Examples
    --------
    >>> import mxtape as mx
    >>> class Invert(mx.image.Augmenter):
    ...     def __init__(self, top): super().__init__(top=top)
    ...     def __call__(self, src): return self._kwargs["top"] - src
    >>> Invert(255).dumps()
    '["invert", {"top": 255}]'
    """

    def __init__(self, **kwargs):
        self._kwargs = described(kwargs)

    def dumps(self):
        """The name and the arguments, as JSON."""
        return json.dumps([type(self).__name__.lower(), self._kwargs])

    def __call__(self, src):
        raise NotImplementedError(f"{type(self).__name__} does not define __call__")


class _Listed(Augmenter):
    def __init__(self, ts):
        super().__init__()
        self.ts = ts

    def _apply(self, src):
        for augmenter in self.ts:
            src = augmenter(src)
        return src

    def dumps(self):
        """The name, and what :meth:`dumps` of each part gives, as a list."""
        return [type(self).__name__.lower(), [t.dumps() for t in self.ts]]


class SequentialAug(_Listed):
    """Augmenters, one after the other.

    Parameters
    ----------
    ts : list of Augmenter
    """

    def __call__(self, src):
        return self._apply(src)


class RandomOrderAug(_Listed):
    """Augmenters, one after the other, each time in another order.

    Parameters
    ----------
    ts : list of Augmenter
    """

    def __call__(self, src):
        random.shuffle(self.ts)
        return self._apply(src)


# ---- sizes and crops


class ResizeAug(Augmenter):
    """:func:`resize_short`: the shorter side gets `size` pixels.

    Parameters
    ----------
    size : int
    interp : int, default 2
        As in :func:`resize_short`.

    Examples
    --------
    >>> import mxtape as mx
    >>> mx.image.ResizeAug(20)(mx.nd.zeros((40, 60, 3))).shape
    (20, 30, 3)
    """

    def __init__(self, size, interp=2):
        super().__init__(size=size, interp=interp)
        self.size, self.interp = size, interp

    def __call__(self, src):
        return resize_short(src, self.size, self.interp)


class _SizedAug(Augmenter):
    """An augmenter that has a size, (width, height), and an interpolation."""

    def __init__(self, size, interp=2):
        super().__init__(size=size, interp=interp)
        self.size, self.interp = size, interp


class ForceResizeAug(_SizedAug):
    """The picture in a size, whatever its shape was.

    Parameters
    ----------
    size : tuple of int
        The width and height.
    interp : int, default 2
        As in :func:`resize_short`.
    """

    def __call__(self, src):
        how = _get_interp_method(self.interp, (*src.shape[:2], self.size[1], self.size[0]))
        width, height = self.size
        return imresize(src, width, height, interp=how)


class RandomCropAug(_SizedAug):
    """:func:`random_crop`: a part of the picture, anywhere in it.

    Parameters
    ----------
    size : tuple of int
        The width and height.
    interp : int, default 2
        As in :func:`resize_short`.
    """

    def __call__(self, src):
        return random_crop(src, self.size, self.interp)[0]


class CenterCropAug(_SizedAug):
    """:func:`center_crop`: the middle of the picture.

    Parameters
    ----------
    size : tuple of int
        The width and height.
    interp : int, default 2
        As in :func:`resize_short`.
    """

    def __call__(self, src):
        return center_crop(src, self.size, self.interp)[0]


class RandomSizedCropAug(Augmenter):
    """:func:`random_size_crop`: a part of the picture, of any shape and size within bounds.

    Parameters
    ----------
    size : tuple of int
        The width and height.
    area : float or tuple of float
    ratio : tuple of float
        As in :func:`random_size_crop`.
    interp : int, default 2
        As in :func:`resize_short`.
    """

    def __init__(self, size, area, ratio, interp=2, **kwargs):
        super().__init__(size=size, area=area, ratio=ratio, interp=interp)
        self.area = _as_area(area, kwargs, type(self).__name__)
        self.size, self.ratio, self.interp = size, ratio, interp

    def __call__(self, src):
        return random_size_crop(src, self.size, self.area, self.ratio, self.interp)[0]


class HorizontalFlipAug(Augmenter):
    """The picture mirrored from left to right, or as it is.

    Parameters
    ----------
    p : float
        The probability that it is mirrored.
    """

    def __init__(self, p):
        super().__init__(p=p)
        self.p = p

    def __call__(self, src):
        return nd.flip(src, axis=1) if random.random() < self.p else src


class CastAug(Augmenter):
    """The picture as another dtype.

    Parameters
    ----------
    typ : dtype, default 'float32'
    """

    def __init__(self, typ="float32"):
        super().__init__(type=typ)
        self.typ = typ

    def __call__(self, src):
        return src.astype(self.typ)


# ---- colours: they write over the picture, which is floating

_GRAY = (0.299, 0.587, 0.114)


class BrightnessJitterAug(Augmenter):
    """The picture times a factor.

    Parameters
    ----------
    brightness : float
        The factor is within this of 1.
    """

    def __init__(self, brightness):
        super().__init__(brightness=brightness)
        self.brightness = brightness

    def __call__(self, src):
        src *= 1.0 + random.uniform(-self.brightness, self.brightness)
        return src


class ContrastJitterAug(Augmenter):
    """How far the pixels are from the mean gray of the picture, times a factor.

    Parameters
    ----------
    contrast : float
        The factor is within this of 1.
    """

    def __init__(self, contrast):
        super().__init__(contrast=contrast)
        self.contrast = contrast
        self.coef = nd.array([[_GRAY]])

    def __call__(self, src):
        factor = 1.0 + random.uniform(-self.contrast, self.contrast)
        pixels = src.shape[0] * src.shape[1]
        shift = (src * self.coef).sum() * ((1.0 - factor) / pixels)
        src *= factor
        src += shift
        return src


class SaturationJitterAug(Augmenter):
    """How far the colours are from gray, times a factor.

    Parameters
    ----------
    saturation : float
        The factor is within this of 1.
    """

    def __init__(self, saturation):
        super().__init__(saturation=saturation)
        self.saturation = saturation
        self.coef = nd.array([[_GRAY]])

    def __call__(self, src):
        factor = 1.0 + random.uniform(-self.saturation, self.saturation)
        gray = (src * self.coef).sum(axis=2, keepdims=True)
        src *= factor
        src += gray * (1.0 - factor)
        return src


class HueJitterAug(Augmenter):
    """The hues turned, in the plane of colours of NTSC's YIQ.

    Parameters
    ----------
    hue : float
        They turn by at most this part of half the circle.
    """

    def __init__(self, hue):
        super().__init__(hue=hue)
        self.hue = hue
        self.tyiq = np.array([_GRAY, [0.596, -0.274, -0.321], [0.211, -0.523, 0.311]])
        self.ityiq = np.array([[1.0, 0.956, 0.621], [1.0, -0.272, -0.647], [1.0, -1.107, 1.705]])

    def __call__(self, src):
        angle = random.uniform(-self.hue, self.hue) * np.pi
        cos, sin = np.cos(angle), np.sin(angle)
        turn = np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])
        return nd.dot(src, nd.array((self.ityiq @ turn @ self.tyiq).T))


class ColorJitterAug(RandomOrderAug):
    """Brightness, contrast and saturation changed, each time in another order.

    Parameters
    ----------
    brightness, contrast, saturation : float
        How much each is changed; 0: not at all.
    """

    def __init__(self, brightness, contrast, saturation):
        parts = (
            (BrightnessJitterAug, brightness),
            (ContrastJitterAug, contrast),
            (SaturationJitterAug, saturation),
        )
        super().__init__([kind(amount) for kind, amount in parts if amount > 0])


class LightingAug(Augmenter):
    """The picture plus principal components of the colours of photographs.

    Parameters
    ----------
    alphastd : float
        The standard deviation of how much of each is added.
    eigval : array of 3
    eigvec : array of 3 by 3
        The components, one in each column.
    """

    def __init__(self, alphastd, eigval, eigvec):
        super().__init__(alphastd=alphastd, eigval=eigval, eigvec=eigvec)
        self.alphastd = alphastd
        self.eigval, self.eigvec = eigval, eigvec

    def __call__(self, src):
        alpha = np.random.normal(0, self.alphastd, size=(3,))  # noqa: NPY002 (what programs seed)
        src += nd.array((self.eigvec * alpha) @ self.eigval)
        return src


def _as_array(value):
    return value if value is None or isinstance(value, nd.NDArray) else nd.array(value)


class ColorNormalizeAug(Augmenter):
    """:func:`color_normalize`: the picture minus a mean, divided by a standard deviation.

    Parameters
    ----------
    mean, std : array, or None
    """

    def __init__(self, mean, std):
        super().__init__(mean=mean, std=std)
        self.mean, self.std = _as_array(mean), _as_array(std)

    def __call__(self, src):
        return color_normalize(src, self.mean, self.std)


class RandomGrayAug(Augmenter):
    """The picture in gray, in three channels, or as it is.

    Parameters
    ----------
    p : float
        The probability that it is gray.
    """

    def __init__(self, p):
        super().__init__(p=p)
        self.p = p
        self.mat = nd.array([[0.21] * 3, [0.72] * 3, [0.07] * 3])

    def __call__(self, src):
        return nd.dot(src, self.mat) if random.random() < self.p else src


# ---- lists of them

IMAGENET_MEAN = (123.68, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)
# Of the colours of ImageNet.
_EIGVAL = (55.46, 4.794, 1.148)
_EIGVEC = ((-0.5675, 0.7192, 0.4009), (-0.5808, -0.0045, -0.8140), (-0.5836, -0.6948, 0.4203))


def color_augmenters(brightness, contrast, saturation, hue, pca_noise, rand_gray):
    """What changes colours, of the parts that are not 0."""
    made: list = []
    if brightness or contrast or saturation:
        made.append(ColorJitterAug(brightness, contrast, saturation))
    if hue:
        made.append(HueJitterAug(hue))
    if pca_noise > 0:
        made.append(LightingAug(pca_noise, np.array(_EIGVAL), np.array(_EIGVEC)))
    if rand_gray > 0:
        made.append(RandomGrayAug(rand_gray))
    return made


def normalizer(mean, std, dtype, function):
    """What takes the mean off: a list, empty where both are None. True is that of ImageNet."""
    found = []
    for name, value, usual in (("mean", mean, IMAGENET_MEAN), ("std", std, IMAGENET_STD)):
        if value is True:
            value = np.array(usual, dtype)
        elif isinstance(value, (tuple, list)):
            value = np.array(value)
        if value is not None and getattr(value, "shape", ())[:1] not in ((1,), (3,)):
            raise AssertionError(
                f"{function}: {name} is True, or an array of 1 or 3 numbers; got {value!r}"
            )
        found.append(value)
    return [ColorNormalizeAug(*found)] if any(value is not None for value in found) else []


def CreateAugmenter(
    data_shape,
    resize=0,
    rand_crop=False,
    rand_resize=False,
    rand_mirror=False,
    mean=None,
    std=None,
    brightness=0,
    contrast=0,
    saturation=0,
    hue=0,
    pca_noise=0,
    rand_gray=0,
    inter_method=2,
):
    """The list of augmenters that such arguments ask for.

    Parameters
    ----------
    data_shape : tuple of int
        (channels, height, width) of the result.
    resize : int, default 0
        The shorter side before the crop; 0: as it is.
    rand_crop : bool, default False
        Crop anywhere, not in the middle.
    rand_resize : bool, default False
        Crop shapes and sizes at random too; with `rand_crop`.
    rand_mirror : bool, default False
        Mirror every second picture, at random.
    mean, std : array of 3, or True, optional
        What is subtracted, and what is divided by; True: those of ImageNet.
    brightness, contrast, saturation, hue, pca_noise : float, default 0
        How much each is changed.
    rand_gray : float, default 0
        The probability that a picture is made gray.
    inter_method : int, default 2
        As in :func:`resize_short`.

    Returns
    -------
    list of Augmenter

    Examples
    --------
    >>> import mxtape as mx
    >>> for augmenter in mx.image.CreateAugmenter((3, 300, 300), resize=350, rand_mirror=True):
    ...     print(augmenter.dumps())
    ["resizeaug", {"size": 350, "interp": 2}]
    ["centercropaug", {"size": [300, 300], "interp": 2}]
    ["horizontalflipaug", {"p": 0.5}]
    ["castaug", {"type": "float32"}]
    """
    if rand_resize and not rand_crop:
        raise AssertionError("CreateAugmenter: rand_resize needs rand_crop")
    size = (data_shape[2], data_shape[1])
    made: list = [ResizeAug(resize, inter_method)] if resize > 0 else []
    if rand_resize:
        made.append(RandomSizedCropAug(size, 0.08, (3.0 / 4.0, 4.0 / 3.0), inter_method))
    else:
        made.append((RandomCropAug if rand_crop else CenterCropAug)(size, inter_method))
    if rand_mirror:
        made.append(HorizontalFlipAug(0.5))
    made.append(CastAug())
    made += color_augmenters(brightness, contrast, saturation, hue, pca_noise, rand_gray)
    return made + normalizer(mean, std, "float32", "CreateAugmenter")
