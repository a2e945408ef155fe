"""VGG, after Simonyan and Zisserman's "Very deep convolutional networks"."""

from ....initializer import Xavier
from ... import nn
from ..model_store import MODELS
from ._classifier import CPU, Classifier, chain, create, relu, variant

__all__ = ["VGG", "get_vgg"]
__all__ += ["vgg11", "vgg11_bn", "vgg13", "vgg13_bn", "vgg16", "vgg16_bn", "vgg19", "vgg19_bn"]

_FILTERS = (64, 128, 256, 512, 512)
# By the number of layers with weights, how many convolutions each stage has.
_STAGES = {11: (1, 1, 2, 2, 2), 13: (2,) * 5, 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}


class VGG(Classifier):
    """Stages of convolutions of 3 x 3 pixels, each halved at its end, and three dense layers.

    Parameters
    ----------
    layers : list of int
        How many convolutions each stage has.
    filters : list of int
        The channels of each stage.
    classes : int, optional
        How many scores it gives; 1000.
    batch_norm : bool, optional
        Whether convolutions are normalized by the batch; False.
    **kwargs
        `prefix` and `params`, as of every block.

    Examples
    --------
    >>> from mxtape.gluon.model_zoo import vision
    >>> len(vision.VGG([1, 2], [8, 16]).features)
    12
    """

    def __init__(self, layers, filters, classes=1000, batch_norm=False, **kwargs) -> None:
        super().__init__(**kwargs)
        if len(layers) != len(filters):
            raise AssertionError(f"VGG: {len(layers)} stages of layers, {len(filters)} of filters")
        with self.name_scope():
            self.features = chain()
            for count, channels in zip(layers, filters):
                for _ in range(count):
                    start = Xavier(rnd_type="gaussian", factor_type="out", magnitude=2)
                    self.features.add(nn.Conv2D(channels, 3, 1, 1, weight_initializer=start))
                    self.features.add(*([nn.BatchNorm()] if batch_norm else []), relu())
                self.features.add(nn.MaxPool2D(2, 2))
            for _ in range(2):
                self.features.add(_dense(4096, activation="relu"), nn.Dropout(0.5))
            self.output = _dense(classes)


def _dense(units, **options):
    return nn.Dense(units, weight_initializer="normal", **options)


def get_vgg(num_layers, pretrained=False, ctx=CPU, root=MODELS, **kwargs):
    """A VGG of 11, 13, 16 or 19 layers; see `get_model` and `VGG` for the arguments.

    >>> from mxtape.gluon.model_zoo import vision
    >>> vision.get_vgg(11, classes=10).name[:3]
    'vgg'
    """
    name = f"vgg{num_layers}" + ("_bn" if kwargs.get("batch_norm") else "")
    layers = _STAGES[num_layers]
    return create(lambda: VGG(layers, _FILTERS, **kwargs), name, pretrained, ctx, root)


vgg11 = variant("vgg11", get_vgg, 11)
vgg13 = variant("vgg13", get_vgg, 13)
vgg16 = variant("vgg16", get_vgg, 16)
vgg19 = variant("vgg19", get_vgg, 19)
vgg11_bn = variant("vgg11_bn", get_vgg, 11, batch_norm=True)
vgg13_bn = variant("vgg13_bn", get_vgg, 13, batch_norm=True)
vgg16_bn = variant("vgg16_bn", get_vgg, 16, batch_norm=True)
vgg19_bn = variant("vgg19_bn", get_vgg, 19, batch_norm=True)
