"""AlexNet, after Krizhevsky's "One weird trick for parallelizing convolutional neural networks"."""

from ... import nn
from ..model_store import MODELS
from ._classifier import CPU, Classifier, chain, create

__all__ = ["AlexNet", "alexnet"]

# Channels, kernel, stride, padding, and whether the largest of 3 x 3 follow.
_CONVOLUTIONS = (
    (64, 11, 4, 2, True),
    (192, 5, 1, 2, True),
    (384, 3, 1, 1, False),
    (256, 3, 1, 1, False),
    (256, 3, 1, 1, True),
)


class AlexNet(Classifier):
    """Five convolutions, three dense layers. Images have 3 x 224 x 224 pixels, or 63 x 63 at least.

    Parameters
    ----------
    classes : int, optional
        How many scores it gives; 1000.
    **kwargs
        `prefix` and `params`, as of every block.

    Examples
    --------
    >>> from mxtape.gluon.model_zoo import vision
    >>> vision.AlexNet(classes=10, prefix="net_").output.weight.shape
    (10, 0)
    """

    def __init__(self, classes=1000, **kwargs) -> None:
        super().__init__(**kwargs)
        with self.name_scope():
            self.features = chain()
            for channels, kernel, stride, pad, pooled in _CONVOLUTIONS:
                self.features.add(nn.Conv2D(channels, kernel, stride, pad, activation="relu"))
                if pooled:
                    self.features.add(nn.MaxPool2D(3, 2))
            self.features.add(nn.Flatten())
            for _ in range(2):
                self.features.add(nn.Dense(4096, activation="relu"), nn.Dropout(0.5))
            self.output = nn.Dense(classes)


def alexnet(pretrained=False, ctx=CPU, root=MODELS, **kwargs):
    """AlexNet; see `get_model` and `AlexNet` for the arguments."""
    return create(lambda: AlexNet(**kwargs), "alexnet", pretrained, ctx, root)
