"""SqueezeNet, after Iandola's "AlexNet-level accuracy with 50x fewer parameters"."""

from ... import nn
from ..model_store import MODELS
from ._classifier import CPU, Classifier, branches, chain, create, relu, variant

__all__ = ["SqueezeNet", "squeezenet1_0", "squeezenet1_1"]

# By version: channels and kernel of the first convolution, then groups of fires. A fire is given by
# the channels that it squeezes to; it expands to eight times as many. Groups end by pooling.
_VERSIONS = {
    "1.0": (96, 7, ((16, 16, 32), (32, 48, 48, 64), (64,))),
    "1.1": (64, 3, ((16, 16), (32, 32), (48, 48, 64, 64))),
}


def _convolution(channels, kernel):
    return chain(nn.Conv2D(channels, kernel, padding=kernel // 2), relu())


def _fire(squeezed):
    narrow = _convolution(squeezed, 1)  # made first: layers are named in the order of their making
    return chain(narrow, branches(_convolution(4 * squeezed, 1), _convolution(4 * squeezed, 3)))


class SqueezeNet(Classifier):
    """Convolutions of one pixel squeeze the channels, others of one and of 3 x 3 expand them.

    Images have 3 x 224 x 224 pixels, or at least 213 x 213 (version 1.1: 209 x 209).

    Parameters
    ----------
    version : str
        ``'1.0'`` or ``'1.1'``, which is as accurate and faster.
    classes : int, optional
        How many scores it gives; 1000.
    **kwargs
        `prefix` and `params`, as of every block.

    Examples
    --------
    >>> from mxtape.gluon.model_zoo import vision
    >>> vision.SqueezeNet("1.1", classes=10).name[:10]
    'squeezenet'
    """

    def __init__(self, version, classes=1000, **kwargs) -> None:
        super().__init__(**kwargs)
        if version not in _VERSIONS:
            raise AssertionError(f"SqueezeNet: version is one of {[*_VERSIONS]}, not {version!r}")
        channels, kernel, groups = _VERSIONS[version]
        with self.name_scope():
            self.features = chain(nn.Conv2D(channels, kernel, 2), relu(), _pool())
            for i, group in enumerate(groups):
                self.features.add(*([_pool()] if i else []))
                self.features.add(*map(_fire, group))
            self.features.add(nn.Dropout(0.5))
            self.output = chain(nn.Conv2D(classes, 1), relu(), nn.AvgPool2D(13), nn.Flatten())


def _pool():
    return nn.MaxPool2D(3, 2, ceil_mode=True)


def get_squeezenet(version, pretrained=False, ctx=CPU, root=MODELS, **kwargs):
    """A SqueezeNet of version ``'1.0'`` or ``'1.1'``; see `get_model` for the other arguments."""
    name = f"squeezenet{version}"
    return create(lambda: SqueezeNet(version, **kwargs), name, pretrained, ctx, root)


squeezenet1_0 = variant("squeezenet1_0", get_squeezenet, "1.0")
squeezenet1_1 = variant("squeezenet1_1", get_squeezenet, "1.1")
