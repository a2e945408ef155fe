"""ResNet, after He's "Deep residual learning" (version 1) and "Identity mappings" (version 2)."""

from typing import Any

from ... import nn
from ...block import HybridBlock
from ..model_store import MODELS
from ._classifier import CPU, Classifier, chain, create, normalized, relu, variant

__all__ = ["BasicBlockV1", "BasicBlockV2", "BottleneckV1", "BottleneckV2"]
__all__ += ["ResNetV1", "ResNetV2", "get_resnet"]
__all__ += ["resnet18_v1", "resnet34_v1", "resnet50_v1", "resnet101_v1", "resnet152_v1"]
__all__ += ["resnet18_v2", "resnet34_v2", "resnet50_v2", "resnet101_v2", "resnet152_v2"]


def _convolution(channels, kernel, stride=1, in_channels=0, use_bias=False):
    pad = kernel // 2
    return nn.Conv2D(channels, kernel, stride, pad, use_bias=use_bias, in_channels=in_channels)


class _BlockV1(HybridBlock):
    """Convolutions that are normalized, a sum with the input, and what is below zero cut off."""

    _convolutions: Any

    def __init__(self, channels, stride, downsample=False, in_channels=0, **kwargs) -> None:
        super().__init__(**kwargs)
        self.body = chain()
        for i, convolution in enumerate(self._convolutions(channels, stride, in_channels)):
            self.body.add(*([relu()] if i else []), convolution, nn.BatchNorm())
        if downsample:
            self.downsample = chain(_convolution(channels, 1, stride, in_channels), nn.BatchNorm())
        else:
            self.downsample = None

    def hybrid_forward(self, F, x):
        changed = self.body(x)
        beside = x if self.downsample is None else self.downsample(x)
        return F.Activation(self._sum(beside, changed), act_type="relu")

    @staticmethod
    def _sum(beside, changed):
        return beside + changed


class BasicBlockV1(_BlockV1):
    """Two convolutions of 3 x 3 pixels around which the input goes: ResNet's of up to 34 layers.

    Parameters
    ----------
    channels : int
        Channels of the result.
    stride : int
        By how many pixels the first convolution moves.
    downsample : bool, optional
        Whether a convolution of one pixel makes the input like the result; False.
    in_channels : int, optional
        Channels of the input; 0, which is to find out.

    Examples
    --------
    >>> import mxtape as mx
    >>> block = mx.gluon.model_zoo.vision.BasicBlockV1(8, 2, downsample=True)
    >>> block.initialize()
    >>> block(mx.nd.ones((1, 4, 6, 6))).shape
    (1, 8, 3, 3)
    """

    @staticmethod
    def _convolutions(channels, stride, in_channels):
        yield _convolution(channels, 3, stride, in_channels)
        yield _convolution(channels, 3, 1, channels)


class BottleneckV1(_BlockV1):
    """A convolution of 3 x 3 pixels between two of one pixel, with a quarter of the channels.

    The parameters are those of `BasicBlockV1`. The convolutions of one pixel have a bias.

    Examples
    --------
    >>> import mxtape as mx
    >>> block = mx.gluon.model_zoo.vision.BottleneckV1(8, 2, downsample=True)
    >>> block.initialize()
    >>> block(mx.nd.ones((1, 4, 6, 6))).shape
    (1, 8, 3, 3)
    """

    @staticmethod
    def _convolutions(channels, stride, in_channels):
        yield _convolution(channels // 4, 1, stride, use_bias=True)
        yield _convolution(channels // 4, 3, 1, channels // 4)
        yield _convolution(channels, 1, use_bias=True)

    @staticmethod
    def _sum(beside, changed):
        return changed + beside  # in this order in MXNet's files of graphs


class _BlockV2(HybridBlock):
    """Each convolution comes after normalization and a cut; the sum with the input is not cut."""

    _convolutions: Any

    def __init__(self, channels, stride, downsample=False, in_channels=0, **kwargs) -> None:
        super().__init__(**kwargs)
        convolutions = list(self._convolutions(channels, stride, in_channels))
        for i, convolution in enumerate(convolutions, 1):
            setattr(self, f"bn{i}", nn.BatchNorm())
            setattr(self, f"conv{i}", convolution)
        self._count = len(convolutions)
        self.downsample = _convolution(channels, 1, stride, in_channels) if downsample else None

    def hybrid_forward(self, F, x):
        beside = x
        for i in range(1, self._count + 1):
            x = F.Activation(getattr(self, f"bn{i}")(x), act_type="relu")
            if i == 1 and self.downsample is not None:
                beside = self.downsample(x)
            x = getattr(self, f"conv{i}")(x)
        return x + beside


class BasicBlockV2(_BlockV2):
    """Two convolutions of 3 x 3 pixels around which the input goes, normalized before them.

    The parameters are those of `BasicBlockV1`.

    Examples
    --------
    >>> import mxtape as mx
    >>> block = mx.gluon.model_zoo.vision.BasicBlockV2(8, 2, downsample=True)
    >>> block.initialize()
    >>> block(mx.nd.ones((1, 4, 6, 6))).shape
    (1, 8, 3, 3)
    """

    @staticmethod
    def _convolutions(channels, stride, in_channels):
        yield _convolution(channels, 3, stride, in_channels)
        yield _convolution(channels, 3, 1, channels)


class BottleneckV2(_BlockV2):
    """A convolution of 3 x 3 pixels between two of one pixel, normalized before them.

    The parameters are those of `BasicBlockV1`.

    Examples
    --------
    >>> import mxtape as mx
    >>> block = mx.gluon.model_zoo.vision.BottleneckV2(8, 2, downsample=True)
    >>> block.initialize()
    >>> block(mx.nd.ones((1, 4, 6, 6))).shape
    (1, 8, 3, 3)
    """

    @staticmethod
    def _convolutions(channels, stride, in_channels):
        yield _convolution(channels // 4, 1)
        yield _convolution(channels // 4, 3, stride, channels // 4)
        yield _convolution(channels, 1)


class _ResNet(Classifier):
    """What both versions have in common: stages of blocks, each but the first halved."""

    _start: Any
    _end: Any

    def __init__(self, block, layers, channels, classes=1000, thumbnail=False, **kwargs) -> None:
        super().__init__(**kwargs)
        if len(channels) != len(layers) + 1:
            raise AssertionError(
                f"{type(self).__name__}: {len(layers)} stages need {len(layers) + 1} numbers of "
                f"channels, not {len(channels)}"
            )
        with self.name_scope():
            self.features = chain(*self._start(channels[0], thumbnail))
            for i, count in enumerate(layers):
                before, after = channels[i : i + 2]
                self.features.add(_stage(i + 1, block, count, before, after))
            self.features.add(*self._end())
            self.output = nn.Dense(classes, in_units=channels[-1])


def _stage(number, block, count, before, after):
    """Blocks, of which the first changes the number of channels, and halves all but stage 1."""
    stage = nn.HybridSequential(prefix=f"stage{number}_")
    with stage.name_scope():
        stage.add(block(after, 1 if number == 1 else 2, before != after, before, prefix=""))
        stage.add(*(block(after, 1, False, after, prefix="") for _ in range(count - 1)))
    return stage


class ResNetV1(_ResNet):
    """ResNet, version 1.

    Parameters
    ----------
    block : class
        What it is built of: `BasicBlockV1` or `BottleneckV1`.
    layers : list of int
        How many blocks each stage has.
    channels : list of int
        The channels of the first convolution, and of each stage.
    classes : int, optional
        How many scores it gives; 1000.
    thumbnail : bool, optional
        Whether images are small: the first convolution has 3 x 3 pixels then, and nothing is halved
        before the second stage. False.
    **kwargs
        `prefix` and `params`, as of every block.

    Examples
    --------
    >>> import mxtape as mx
    >>> vision = mx.gluon.model_zoo.vision
    >>> net = vision.ResNetV1(vision.BasicBlockV1, [1, 1], [4, 4, 8], classes=10, thumbnail=True)
    >>> net.initialize()
    >>> net(mx.nd.ones((2, 3, 8, 8))).shape
    (2, 10)
    """

    @staticmethod
    def _start(channels, thumbnail):
        if thumbnail:
            return [_convolution(channels, 3)]
        return [*normalized(channels, 7, 2, 3), nn.MaxPool2D(3, 2, 1)]

    @staticmethod
    def _end():
        return [nn.GlobalAvgPool2D()]


class ResNetV2(_ResNet):
    """ResNet, version 2: the parameters are those of `ResNetV1`, with blocks of version 2.

    The images are normalized by the batch first.

    Examples
    --------
    >>> import mxtape as mx
    >>> vision = mx.gluon.model_zoo.vision
    >>> net = vision.ResNetV2(vision.BasicBlockV2, [1, 1], [4, 4, 8], classes=10, thumbnail=True)
    >>> net.initialize()
    >>> net(mx.nd.ones((2, 3, 8, 8))).shape
    (2, 10)
    """

    @staticmethod
    def _start(channels, thumbnail):
        first = nn.BatchNorm(scale=False, center=False)
        return [first, *ResNetV1._start(channels, thumbnail)]

    @staticmethod
    def _end():
        return [nn.BatchNorm(), relu(), nn.GlobalAvgPool2D(), nn.Flatten()]


_SMALL, _LARGE = (64, 64, 128, 256, 512), (64, 256, 512, 1024, 2048)
# By the number of layers with weights: the kind of block, blocks of each stage, channels.
_KINDS = {
    18: ("basic", (2, 2, 2, 2), _SMALL),
    34: ("basic", (3, 4, 6, 3), _SMALL),
    50: ("bottleneck", (3, 4, 6, 3), _LARGE),
    101: ("bottleneck", (3, 4, 23, 3), _LARGE),
    152: ("bottleneck", (3, 8, 36, 3), _LARGE),
}
_VERSIONS: dict = {
    1: (ResNetV1, {"basic": BasicBlockV1, "bottleneck": BottleneckV1}),
    2: (ResNetV2, {"basic": BasicBlockV2, "bottleneck": BottleneckV2}),
}


def get_resnet(version, num_layers, pretrained=False, ctx=CPU, root=MODELS, **kwargs):
    """A ResNet of version 1 or 2 and 18, 34, 50, 101 or 152 layers.

    See `get_model` and `ResNetV1` for the other arguments.

    >>> from mxtape.gluon.model_zoo import vision
    >>> vision.get_resnet(1, 18, classes=10).name[:8]
    'resnetv1'
    """
    for given, known, what in ((version, _VERSIONS, "version"), (num_layers, _KINDS, "num_layers")):
        if given not in known:
            raise AssertionError(f"get_resnet: {what} is one of {list(known)}, not {given}")
    network, blocks = _VERSIONS[version]
    kind, layers, channels = _KINDS[num_layers]
    return create(
        lambda: network(blocks[kind], layers, channels, **kwargs),
        f"resnet{num_layers}_v{version}",
        pretrained,
        ctx,
        root,
    )


resnet18_v1 = variant("resnet18_v1", get_resnet, 1, 18)
resnet34_v1 = variant("resnet34_v1", get_resnet, 1, 34)
resnet50_v1 = variant("resnet50_v1", get_resnet, 1, 50)
resnet101_v1 = variant("resnet101_v1", get_resnet, 1, 101)
resnet152_v1 = variant("resnet152_v1", get_resnet, 1, 152)
resnet18_v2 = variant("resnet18_v2", get_resnet, 2, 18)
resnet34_v2 = variant("resnet34_v2", get_resnet, 2, 34)
resnet50_v2 = variant("resnet50_v2", get_resnet, 2, 50)
resnet101_v2 = variant("resnet101_v2", get_resnet, 2, 101)
resnet152_v2 = variant("resnet152_v2", get_resnet, 2, 152)
