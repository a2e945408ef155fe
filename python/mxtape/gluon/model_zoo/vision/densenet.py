"""DenseNet, after Huang's "Densely connected convolutional networks"."""

from ... import nn
from ...contrib.nn import Identity
from ..model_store import MODELS
from ._classifier import CPU, Classifier, branches, chain, create, normalized, relu, variant

__all__ = ["DenseNet", "densenet121", "densenet161", "densenet169", "densenet201"]

# By the number of layers with weights: channels of the first convolution, channels that each layer
# adds, and layers of each block.
_KINDS = {
    121: (64, 32, (6, 12, 24, 16)),
    161: (96, 48, (6, 12, 36, 24)),
    169: (64, 32, (6, 12, 32, 32)),
    201: (64, 32, (6, 12, 48, 32)),
}


def _after_normalization(channels, kernel):
    """Batch normalization, what is below zero cut off, and a convolution without bias."""
    convolution = nn.Conv2D(channels, kernel, padding=kernel // 2, use_bias=False)
    return [nn.BatchNorm(), relu(), convolution]


def _layer(growth, bottleneck, dropout):
    """The input, and beside it `growth` channels that are computed from it."""
    added = chain(
        *_after_normalization(bottleneck * growth, 1),
        *_after_normalization(growth, 3),
        *([nn.Dropout(dropout)] if dropout else []),
    )
    return branches(Identity(), added)


class DenseNet(Classifier):
    """Blocks of layers, each of which reads all that come before it in its block.

    Images have 3 x 224 x 224 pixels, or 221 x 221 at least.

    Parameters
    ----------
    num_init_features : int
        Channels of the first convolution.
    growth_rate : int
        Channels that each layer adds.
    block_config : list of int
        How many layers each block has.
    bn_size : int, optional
        How many times `growth_rate` channels a layer has inside; 4.
    dropout : float, optional
        The share of what a layer adds that is left out in training; 0.
    classes : int, optional
        How many scores it gives; 1000.
    **kwargs
        `prefix` and `params`, as of every block.

    Examples
    --------
    >>> from mxtape.gluon.model_zoo import vision
    >>> len(vision.DenseNet(8, 4, [2, 2], classes=10).features[4])
    2
    """

    def __init__(
        self,
        num_init_features,
        growth_rate,
        block_config,
        bn_size=4,
        dropout=0,
        classes=1000,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        channels = num_init_features
        with self.name_scope():
            self.features = chain(*normalized(channels, 7, 2, 3), nn.MaxPool2D(3, 2, 1))
            for i, count in enumerate(block_config, 1):
                if i > 1:  # between blocks, both the channels and the pixels are halved
                    channels //= 2
                    self.features.add(chain(*_after_normalization(channels, 1), nn.AvgPool2D(2, 2)))
                block = nn.HybridSequential(prefix=f"stage{i}_")
                with block.name_scope():
                    block.add(*(_layer(growth_rate, bn_size, dropout) for _ in range(count)))
                self.features.add(block)
                channels += count * growth_rate
            self.features.add(nn.BatchNorm(), relu(), nn.AvgPool2D(7), nn.Flatten())
            self.output = nn.Dense(classes)


def get_densenet(num_layers, pretrained=False, ctx=CPU, root=MODELS, **kwargs):
    """A DenseNet of 121, 161, 169 or 201 layers; see `get_model` and `DenseNet`."""
    name = f"densenet{num_layers}"
    return create(lambda: DenseNet(*_KINDS[num_layers], **kwargs), name, pretrained, ctx, root)


densenet121 = variant("densenet121", get_densenet, 121)
densenet161 = variant("densenet161", get_densenet, 161)
densenet169 = variant("densenet169", get_densenet, 169)
densenet201 = variant("densenet201", get_densenet, 201)
