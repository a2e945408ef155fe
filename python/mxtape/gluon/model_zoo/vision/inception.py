"""Inception, version 3, after Szegedy's "Rethinking the Inception architecture"."""

from ... import nn
from ..model_store import MODELS
from ._classifier import CPU, Classifier, branches, chain, create, normalized

__all__ = ["Inception3", "inception_v3"]

_ROW, _COLUMN = (1, 7), (7, 1)


def _convolution(channels, kernel, stride=1, padded=True):
    """A convolution of (rows, columns) or a square; padded so that the image keeps its size."""
    sides = kernel if isinstance(kernel, tuple) else (kernel, kernel)
    pad = tuple(side // 2 if padded else 0 for side in sides)
    return chain(*normalized(channels, kernel, stride, pad, epsilon=0.001))


def _line(*layers):
    """Convolutions one after the other, each given as to `_convolution`, or a layer."""
    return chain(*(_convolution(*x) if isinstance(x, tuple) else x for x in layers))


def _averaged(channels):
    return _line(nn.AvgPool2D(3, 1, 1), (channels, 1))


def _fork(*line):
    """A line that ends in two convolutions side by side, of three columns and of three rows."""
    start = _line(*line)
    return chain(start, branches(_line((384, (1, 3))), _line((384, (3, 1)))))


# The branches of each kind of module, in the order in which their layers are named.


def _kind_a(pooled):
    yield _line((64, 1))
    yield _line((48, 1), (64, 5))
    yield _line((64, 1), (96, 3), (96, 3))
    yield _averaged(pooled)


def _kind_b():
    yield _line((384, 3, 2, False))
    yield _line((64, 1), (96, 3), (96, 3, 2, False))
    yield _line(nn.MaxPool2D(3, 2))


def _kind_c(channels):
    yield _line((192, 1))
    yield _line((channels, 1), (channels, _ROW), (192, _COLUMN))
    yield _line(
        (channels, 1), (channels, _COLUMN), (channels, _ROW), (channels, _COLUMN), (192, _ROW)
    )
    yield _averaged(192)


def _kind_d():
    yield _line((192, 1), (320, 3, 2, False))
    yield _line((192, 1), (192, _ROW), (192, _COLUMN), (192, 3, 2, False))
    yield _line(nn.MaxPool2D(3, 2))


def _kind_e():
    yield _line((320, 1))
    yield _fork((384, 1))
    yield _fork((448, 1), (384, 3))
    yield _averaged(192)


_MODULES = (
    ("A1_", _kind_a, 32),
    ("A2_", _kind_a, 64),
    ("A3_", _kind_a, 64),
    ("B_", _kind_b),
    ("C1_", _kind_c, 128),
    ("C2_", _kind_c, 160),
    ("C3_", _kind_c, 160),
    ("C4_", _kind_c, 192),
    ("D_", _kind_d),
    ("E1_", _kind_e),
    ("E2_", _kind_e),
)


class Inception3(Classifier):
    """Modules of branches with convolutions of different sizes, joined along the channels.

    Images have 3 x 299 x 299 pixels.

    Parameters
    ----------
    classes : int, optional
        How many scores it gives; 1000.
    **kwargs
        `prefix` and `params`, as of every block.

    Examples
    --------
    >>> from mxtape.gluon.model_zoo import vision
    >>> vision.Inception3(classes=10).name[:10]
    'inception3'
    """

    def __init__(self, classes=1000, **kwargs) -> None:
        super().__init__(**kwargs)
        with self.name_scope():
            self.features = chain(
                _convolution(32, 3, 2, padded=False),
                _convolution(32, 3, padded=False),
                _convolution(64, 3),
                nn.MaxPool2D(3, 2),
                _convolution(80, 1),
                _convolution(192, 3, padded=False),
                nn.MaxPool2D(3, 2),
            )
            for prefix, kind, *arguments in _MODULES:
                self.features.add(_module(prefix, kind, *arguments))
            self.features.add(nn.AvgPool2D(8), nn.Dropout(0.5))
            self.output = nn.Dense(classes)


def _module(prefix, kind, *arguments):
    module = branches(prefix=prefix)
    with module.name_scope():
        module.add(*kind(*arguments))
    return module


def inception_v3(pretrained=False, ctx=CPU, root=MODELS, **kwargs):
    """Inception, version 3; see `get_model` and `Inception3` for the arguments."""
    return create(lambda: Inception3(**kwargs), "inceptionv3", pretrained, ctx, root)
