"""Transforms of pictures, as blocks: ``gluon.data.vision.transforms``.

Pictures are (height, width, channels), of uint8 or floats up to 255, until :class:`ToTensor` makes
them (channels, height, width), from 0 to 1. Transforms that say so accept batches of pictures too.

>>> import mxtape as mx
>>> from mxtape.gluon.data.vision import transforms
>>> train = transforms.Compose([
...     transforms.RandomResizedCrop(224),
...     transforms.RandomFlipLeftRight(),
...     transforms.ToTensor(),
...     transforms.Normalize(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)),
... ])
>>> train(mx.nd.zeros((300, 400, 3), dtype="uint8")).shape
(3, 224, 224)
"""

import random
from itertools import groupby

import numpy as np

from .... import _borrowed, image
from ....base import numeric_types
from ...block import Block, HybridBlock
from ...nn import HybridSequential, Lambda, Sequential

__all__ = [
    "Cast",
    "CenterCrop",
    "Compose",
    "CropResize",
    "Normalize",
    "RandomApply",
    "RandomBrightness",
    "RandomColorJitter",
    "RandomContrast",
    "RandomFlipLeftRight",
    "RandomFlipTopBottom",
    "RandomHue",
    "RandomLighting",
    "RandomResizedCrop",
    "RandomRotation",
    "RandomSaturation",
    "Resize",
    "Rotate",
    "ToTensor",
]


def _pair(size):
    """(width, height), where one number stands for both."""
    return (size, size) if isinstance(size, numeric_types) else size


# ---- transforms of transforms


class Compose(Sequential):
    """Transforms, one after the other.

    Several hybrid blocks in a row become one ``HybridSequential``.

    Parameters
    ----------
    transforms : list of Block
        Or of other functions of a picture, such as the augmenters of `mx.image`, which become
        ``Lambda`` blocks. None is left out.

    Examples
    --------
    >>> from mxtape.gluon.data.vision.transforms import Compose
    >>> from mxtape.gluon.data.vision.transforms import Resize
    >>> from mxtape.gluon.data.vision.transforms import ToTensor
    >>> import mxtape as mx
    >>> both = Compose([Resize(20), ToTensor()])
    >>> both(mx.nd.zeros((40, 60, 3))).shape
    (3, 20, 20)
    """

    def __init__(self, transforms):
        super().__init__()
        # Grouped as in MXNet: the names of blocks made later, and so saved files, depend on it.
        # Not hybridized: pictures have many shapes, and a graph would be made for each.
        for hybrid, group in groupby(transforms, lambda block: isinstance(block, HybridBlock)):
            blocks = [
                Lambda(block) if callable(block) and not isinstance(block, Block) else block
                for block in group
                if block is not None
            ]
            if hybrid and len(blocks) > 1:
                together = HybridSequential()
                together.add(*blocks)
                blocks = [together]
            self.add(*blocks)


class RandomApply(Sequential):
    """A transform, or a list of them, that is applied or not.

    Parameters
    ----------
    transforms : Block
        What makes one of a list is :class:`Compose`.
    p : float, default 0.5
        The probability that it is applied.
    """

    def __init__(self, transforms, p=0.5):
        super().__init__()
        self.transforms = (
            Compose(transforms) if isinstance(transforms, (list, tuple)) else transforms
        )
        self.p = p

    def forward(self, x, *args):
        if self.p < random.random():
            return x
        return self.transforms(x)


# ---- dtypes and values


class Cast(HybridBlock):
    """The picture as another dtype.

    Parameters
    ----------
    dtype : dtype, default 'float32'
    """

    def __init__(self, dtype="float32"):
        super().__init__()
        self._dtype = dtype

    def hybrid_forward(self, F, x):
        return F.cast(x, self._dtype)


class ToTensor(HybridBlock):
    """A picture of values up to 255 as float32 up to 1, with the channels first.

    (height, width, channels) becomes (channels, height, width); of a batch, (N, height, width,
    channels) becomes (N, channels, height, width).

    Examples
    --------
    >>> import mxtape as mx
    >>> mx.gluon.data.vision.transforms.ToTensor()(mx.nd.full((4, 6, 3), 255, dtype="uint8")).shape
    (3, 4, 6)
    """

    def hybrid_forward(self, F, x):
        return F.image.to_tensor(x)


class Normalize(HybridBlock):
    """What :class:`ToTensor` gives, minus a mean, divided by a standard deviation.

    Parameters
    ----------
    mean, std : float or tuple of float, default 0 and 1
        One number, or one for each channel.

    Examples
    --------
    >>> from mxtape.gluon.data.vision.transforms import Normalize
    >>> import mxtape as mx
    >>> mx.gluon.data.vision.transforms.Normalize(mean=(0, 1), std=(1, 2))
    Traceback (most recent call last):
    ...
    ValueError: Normalize: mean and std are one number, or 1 or 3; got (0, 1) and (1, 2)
    >>> Normalize(0.5, 0.25)(mx.nd.ones((3, 1, 1))).asnumpy().ravel().tolist()
    [2.0, 2.0, 2.0]
    """

    def __init__(self, mean=0.0, std=1.0):
        super().__init__()
        if any(np.size(values) not in (1, 3) for values in (mean, std)):
            raise ValueError(
                f"Normalize: mean and std are one number, or 1 or 3; got {mean} and {std}"
            )
        self._mean, self._std = mean, std

    def hybrid_forward(self, F, x):
        return F.image.normalize(x, self._mean, self._std)


# ---- sizes and crops


class Resize(HybridBlock):
    """The picture, or a batch of them, in another size.

    Parameters
    ----------
    size : int or tuple of int
        The width and height; or one number for both.
    keep_ratio : bool, default False
        Whether one number is that of the shorter side, and the other follows.
    interpolation : int, default 1
        0: the nearest pixel. 1: linear. 2: cubic. 3: the mean of an area. 4: Lanczos, of 8 pixels.

    Examples
    --------
    >>> from mxtape.gluon.data.vision.transforms import Resize
    >>> import mxtape as mx
    >>> picture = mx.nd.zeros((40, 60, 3))
    >>> Resize((30, 20))(picture).shape, Resize(20, keep_ratio=True)(picture).shape
    ((20, 30, 3), (20, 30, 3))
    """

    def __init__(self, size, keep_ratio=False, interpolation=1):
        super().__init__()
        self._size, self._keep, self._interpolation = size, keep_ratio, interpolation

    def hybrid_forward(self, F, x):
        return F.image.resize(x, self._size, self._keep, self._interpolation)


class CropResize(HybridBlock):
    """A rectangle of the picture, or of each of a batch, in another size if one is given.

    Parameters
    ----------
    x, y : int
        The left column and the top row.
    width, height : int
    size : int or tuple of int, optional
        As in :class:`Resize`.
    interpolation : int, optional
        As in :class:`Resize`; 1 by default.

    Examples
    --------
    >>> from mxtape.gluon.data.vision.transforms import CropResize
    >>> import mxtape as mx
    >>> CropResize(10, 5, 30, 20, size=(15, 10))(mx.nd.zeros((40, 60, 3))).shape
    (10, 15, 3)
    """

    def __init__(self, x, y, width, height, size=None, interpolation=None):
        super().__init__()
        self._rectangle = (x, y, width, height)
        self._size = size
        self._interpolation = 1 if interpolation is None else interpolation

    def hybrid_forward(self, F, x):
        part = F.image.crop(x, *self._rectangle)
        if self._size:
            part = F.image.resize(part, self._size, False, self._interpolation)
        return part


class CenterCrop(Block):
    """The middle of the picture. One that is too small is enlarged.

    Parameters
    ----------
    size : int or tuple of int
        The width and height; or one number for both.
    interpolation : int, default 1
        As in :class:`Resize`; 9 chooses by the sizes, 10 at random.

    Examples
    --------
    >>> import mxtape as mx
    >>> mx.gluon.data.vision.transforms.CenterCrop((30, 20))(mx.nd.zeros((40, 60, 3))).shape
    (20, 30, 3)
    """

    def __init__(self, size, interpolation=1):
        super().__init__()
        self._size, self._interpolation = _pair(size), interpolation

    def forward(self, x):
        return image.center_crop(x, self._size, self._interpolation)[0]


class RandomResizedCrop(Block):
    """A part of the picture, of any shape and size within bounds, in one size.

    Parameters
    ----------
    size : int or tuple of int
        The width and height of the result; or one number for both.
    scale : tuple of float, default (0.08, 1.0)
        The least and the largest share of the picture that is cut out.
    ratio : tuple of float, default (3 / 4, 4 / 3)
        The least and the largest width divided by height.
    interpolation : int, default 1
        As in :class:`CenterCrop`.

    Examples
    --------
    >>> import mxtape as mx
    >>> mx.gluon.data.vision.transforms.RandomResizedCrop((30, 20))(mx.nd.zeros((40, 60, 3))).shape
    (20, 30, 3)
    """

    def __init__(self, size, scale=(0.08, 1.0), ratio=(3.0 / 4.0, 4.0 / 3.0), interpolation=1):
        super().__init__()
        self._size, self._scale, self._ratio = _pair(size), scale, ratio
        self._interpolation = interpolation

    def forward(self, x):
        size, scale, ratio = self._size, self._scale, self._ratio
        return image.random_size_crop(x, size, scale, ratio, self._interpolation)[0]


class RandomFlipLeftRight(HybridBlock):
    """The picture mirrored from left to right, or as it is, each as likely."""

    def hybrid_forward(self, F, x):
        return F.image.random_flip_left_right(x)


class RandomFlipTopBottom(HybridBlock):
    """The picture mirrored from top to bottom, or as it is, each as likely."""

    def hybrid_forward(self, F, x):
        return F.image.random_flip_top_bottom(x)


# ---- turning: of what ToTensor gives


def _check_tensor(block, x):
    if x.dtype != np.float32:
        raise TypeError(
            f"{type(block).__name__}: float32 with the channels first is needed, as ToTensor gives "
            f"it; got {np.dtype(x.dtype).name}"
        )


class Rotate(Block):
    """What :class:`ToTensor` gives, turned against the clock, a batch too.

    Parameters
    ----------
    rotation_degrees : float
    zoom_in : bool, default False
        Enlarge so much that the result has no corners without a picture.
    zoom_out : bool, default False
        Shrink so much that all of the picture is seen.

    Examples
    --------
    >>> from mxtape.gluon.data.vision.transforms import Rotate
    >>> import mxtape as mx
    >>> Rotate(180)(mx.nd.arange(4).reshape((1, 2, 2))).asnumpy().round(3)[0].tolist()
    [[3.0, 2.0], [1.0, 0.0]]
    """

    def __init__(self, rotation_degrees, zoom_in=False, zoom_out=False):
        super().__init__()
        self._args = rotation_degrees, zoom_in, zoom_out

    def forward(self, x):
        _check_tensor(self, x)
        return image.imrotate(x, *self._args)


class RandomRotation(Block):
    """What :class:`ToTensor` gives, turned by an angle at random; in a batch, each by its own.

    Parameters
    ----------
    angle_limits : tuple of float
        The least and the largest angle, in degrees.
    zoom_in, zoom_out : bool, default False
        As in :class:`Rotate`.
    rotate_with_proba : float, default 1
        The probability that it is turned.
    """

    def __init__(self, angle_limits, zoom_in=False, zoom_out=False, rotate_with_proba=1.0):
        super().__init__()
        low, high = angle_limits
        if low >= high:
            raise ValueError(
                f"RandomRotation: angle_limits are the least and the largest; got {angle_limits}"
            )
        if not 0 <= rotate_with_proba <= 1:
            raise ValueError(
                f"RandomRotation: rotate_with_proba is from 0 to 1; got {rotate_with_proba}"
            )
        self._args = (low, high), zoom_in, zoom_out
        self._probability = rotate_with_proba

    def forward(self, x):
        # What programs seed.
        if np.random.random() > self._probability:  # noqa: NPY002
            return x
        _check_tensor(self, x)
        return image.random_rotate(x, *self._args)


# ---- colours


class _Factor(HybridBlock):
    """One that changes something by a factor within a number of 1."""

    def __init__(self, amount):
        super().__init__()
        self._range = max(0, 1 - amount), 1 + amount


class RandomBrightness(_Factor):
    """The picture times a factor.

    Parameters
    ----------
    brightness : float
        The factor is within this of 1, and not negative.
    """

    def __init__(self, brightness):
        super().__init__(brightness)

    def hybrid_forward(self, F, x):
        return F.image.random_brightness(x, *self._range)


class RandomContrast(_Factor):
    """How far the pixels are from the mean gray of the picture, times a factor.

    Parameters
    ----------
    contrast : float
        The factor is within this of 1, and not negative.
    """

    def __init__(self, contrast):
        super().__init__(contrast)

    def hybrid_forward(self, F, x):
        return F.image.random_contrast(x, *self._range)


class RandomSaturation(_Factor):
    """How far the colours are from gray, times a factor.

    Parameters
    ----------
    saturation : float
        The factor is within this of 1, and not negative.
    """

    def __init__(self, saturation):
        super().__init__(saturation)

    def hybrid_forward(self, F, x):
        return F.image.random_saturation(x, *self._range)


class RandomHue(_Factor):
    """The hues turned.

    Parameters
    ----------
    hue : float
        They turn by at most this part of the circle.
    """

    def __init__(self, hue):
        super().__init__(hue)

    def hybrid_forward(self, F, x):
        return F.image.random_hue(x, *self._range)


class RandomColorJitter(HybridBlock):
    """Brightness, contrast, saturation and hue changed, each time in another order.

    Parameters
    ----------
    brightness, contrast, saturation, hue : float, default 0
        How much each is changed, as in the transforms of one of them; 0: not at all.

    Examples
    --------
    >>> from mxtape.gluon.data.vision.transforms import RandomColorJitter
    >>> import mxtape as mx
    >>> RandomColorJitter(0.4, 0.4, 0.4)(mx.nd.zeros((40, 60, 3))).shape
    (40, 60, 3)
    """

    def __init__(self, brightness=0, contrast=0, saturation=0, hue=0):
        super().__init__()
        self._args = brightness, contrast, saturation, hue

    def hybrid_forward(self, F, x):
        return F.image.random_color_jitter(x, *self._args)


class RandomLighting(HybridBlock):
    """The picture plus principal components of the colours of photographs.

    Parameters
    ----------
    alpha : float
        The standard deviation of how much of each is added.
    """

    def __init__(self, alpha):
        super().__init__()
        self._alpha = alpha

    def hybrid_forward(self, F, x):
        return F.image.random_lighting(x, self._alpha)


# What MXNet has in this module too.
__getattr__ = _borrowed.borrow(
    __name__,
    "image=.image random warnings",
    {
        ".base": "numeric_types",
        ".gluon.block": "Block HybridBlock",
        ".gluon.nn": "HybridSequential Sequential",
        ".util": "is_np_array",
    },
)
