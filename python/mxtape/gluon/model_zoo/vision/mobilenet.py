"""MobileNet, after Howard's "Efficient convolutional networks" and Sandler's "MobileNetV2"."""

from ... import nn
from ...block import HybridBlock
from ..model_store import MODELS
from ._classifier import CPU, Classifier, chain, create, normalized, variant

__all__ = ["MobileNet", "MobileNetV2", "get_mobilenet", "get_mobilenet_v2"]
__all__ += ["mobilenet0_5", "mobilenet0_25", "mobilenet0_75", "mobilenet1_0"]
__all__ += ["mobilenet_v2_0_5", "mobilenet_v2_0_25", "mobilenet_v2_0_75", "mobilenet_v2_1_0"]

# Channels and stride of the layers that come after the first convolution.
_SEPARABLE = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5]
_SEPARABLE += [(1024, 2), (1024, 1)]

# Of version 2: how much wider a bottleneck is inside, its channels, how many there are, the first
# one's stride.
_BOTTLENECKS = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


class RELU6(HybridBlock):
    """What is below 0 becomes 0, what is above 6 becomes 6.

    >>> import mxtape as mx
    >>> mx.gluon.model_zoo.vision.mobilenet.RELU6()(mx.nd.array([-1, 5, 7])).asnumpy().tolist()
    [0.0, 5.0, 6.0]
    """

    def hybrid_forward(self, F, x):
        return F.clip(x, 0, 6, name="relu6")


class LinearBottleneck(HybridBlock):
    """Wider by a convolution of one pixel, 3 x 3 pixels of each channel, and narrow again.

    Parameters
    ----------
    in_channels, channels : int
        Channels of the input and of the result.
    t : int
        How many times wider than the input it is inside.
    stride : int
        By how many pixels the second convolution moves. If it is 1 and the channels are as many,
        the input is added to the result.

    Examples
    --------
    >>> import mxtape as mx
    >>> block = mx.gluon.model_zoo.vision.mobilenet.LinearBottleneck(4, 8, 6, 2)
    >>> block.initialize()
    >>> block(mx.nd.ones((1, 4, 6, 6))).shape
    (1, 8, 3, 3)
    """

    def __init__(self, in_channels, channels, t, stride, **kwargs) -> None:
        super().__init__(**kwargs)
        self.use_shortcut = stride == 1 and in_channels == channels
        wide = in_channels * t
        with self.name_scope():
            self.out = chain(
                *normalized(wide, 1, then=RELU6),
                *normalized(wide, 3, stride, 1, groups=wide, then=RELU6),
                *normalized(channels, 1, then=None),
            )

    def hybrid_forward(self, F, x):
        out = self.out(x)
        return F.elemwise_add(out, x) if self.use_shortcut else out


class MobileNet(Classifier):
    """MobileNet, version 1: 3 x 3 pixels of each channel, then all channels of one pixel, in turns.

    Parameters
    ----------
    multiplier : float, optional
        By how much the numbers of channels are changed; 1.
    classes : int, optional
        How many scores it gives; 1000.
    **kwargs
        `prefix` and `params`, as of every block.

    Examples
    --------
    >>> from mxtape.gluon.model_zoo import vision
    >>> vision.MobileNet(0.25, classes=10).name[:9]
    'mobilenet'
    """

    def __init__(self, multiplier=1.0, classes=1000, **kwargs) -> None:
        super().__init__(**kwargs)
        with self.name_scope():
            before = int(32 * multiplier)
            self.features = chain(*normalized(before, 3, 2, 1))
            for channels, stride in _SEPARABLE:
                self.features.add(*normalized(before, 3, stride, 1, groups=before))
                before = int(channels * multiplier)
                self.features.add(*normalized(before, 1))
            self.features.add(nn.GlobalAvgPool2D(), nn.Flatten())
            self.output = nn.Dense(classes)


class MobileNetV2(Classifier):
    """MobileNet, version 2: bottlenecks that are wide inside, with a way around them.

    Parameters
    ----------
    multiplier : float, optional
        By how much the numbers of channels are changed; 1.
    classes : int, optional
        How many scores it gives; 1000.
    **kwargs
        `prefix` and `params`, as of every block.

    Examples
    --------
    >>> from mxtape.gluon.model_zoo import vision
    >>> vision.MobileNetV2(0.25, classes=10).name[:11]
    'mobilenetv2'
    """

    def __init__(self, multiplier=1.0, classes=1000, **kwargs) -> None:
        super().__init__(**kwargs)
        with self.name_scope():
            self.features = nn.HybridSequential(prefix="features_")
            with self.features.name_scope():
                before = int(32 * multiplier)
                self.features.add(*normalized(before, 3, 2, 1, then=RELU6))
                for wider, channels, count, stride in _BOTTLENECKS:
                    after = int(channels * multiplier)
                    for i in range(count):
                        block = LinearBottleneck(before, after, wider, 1 if i else stride)
                        self.features.add(block)
                        before = after
                last = int(1280 * multiplier) if multiplier > 1.0 else 1280
                self.features.add(*normalized(last, 1, then=RELU6), nn.GlobalAvgPool2D())
            self.output = nn.HybridSequential(prefix="output_")
            with self.output.name_scope():
                self.output.add(nn.Conv2D(classes, 1, use_bias=False, prefix="pred_"), nn.Flatten())


def _text(multiplier):
    """A multiplier as in the names of files: 1.0, 0.75, 0.5."""
    text = f"{multiplier:.2f}"
    return text[:-1] if text in ("1.00", "0.50") else text


def get_mobilenet(multiplier, pretrained=False, ctx=CPU, root=MODELS, **kwargs):
    """A MobileNet of version 1; see `get_model` and `MobileNet` for the arguments.

    >>> from mxtape.gluon.model_zoo import vision
    >>> vision.get_mobilenet(0.5, classes=10).name[:9]
    'mobilenet'
    """
    name = f"mobilenet{_text(multiplier)}"
    return create(lambda: MobileNet(multiplier, **kwargs), name, pretrained, ctx, root)


def get_mobilenet_v2(multiplier, pretrained=False, ctx=CPU, root=MODELS, **kwargs):
    """A MobileNet of version 2; see `get_model` and `MobileNetV2` for the arguments.

    >>> from mxtape.gluon.model_zoo import vision
    >>> vision.get_mobilenet_v2(0.5, classes=10).name[:11]
    'mobilenetv2'
    """
    name = f"mobilenetv2_{_text(multiplier)}"
    return create(lambda: MobileNetV2(multiplier, **kwargs), name, pretrained, ctx, root)


mobilenet1_0 = variant("mobilenet1_0", get_mobilenet, 1.0)
mobilenet0_75 = variant("mobilenet0_75", get_mobilenet, 0.75)
mobilenet0_5 = variant("mobilenet0_5", get_mobilenet, 0.5)
mobilenet0_25 = variant("mobilenet0_25", get_mobilenet, 0.25)
mobilenet_v2_1_0 = variant("mobilenet_v2_1_0", get_mobilenet_v2, 1.0)
mobilenet_v2_0_75 = variant("mobilenet_v2_0_75", get_mobilenet_v2, 0.75)
mobilenet_v2_0_5 = variant("mobilenet_v2_0_5", get_mobilenet_v2, 0.5)
mobilenet_v2_0_25 = variant("mobilenet_v2_0_25", get_mobilenet_v2, 0.25)
