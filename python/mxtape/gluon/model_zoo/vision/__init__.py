"""Networks for images, as they were published: ``gluon.model_zoo.vision``.

A network has two parts: `features`, and `output`, which gives a score for each class. Its layers
and parameters are named as in MXNet, so that files of weights fit both.

>>> from mxtape.gluon.model_zoo import vision
>>> net = vision.mobilenet0_25(classes=10)
>>> net.output.weight.shape
(10, 0)
"""

from .... import _missing
from .alexnet import AlexNet, alexnet
from .densenet import DenseNet, densenet121, densenet161, densenet169, densenet201
from .inception import Inception3, inception_v3
from .mobilenet import (
    MobileNet,
    MobileNetV2,
    get_mobilenet,
    get_mobilenet_v2,
    mobilenet0_5,
    mobilenet0_25,
    mobilenet0_75,
    mobilenet1_0,
    mobilenet_v2_0_5,
    mobilenet_v2_0_25,
    mobilenet_v2_0_75,
    mobilenet_v2_1_0,
)
from .resnet import (
    BasicBlockV1,
    BasicBlockV2,
    BottleneckV1,
    BottleneckV2,
    ResNetV1,
    ResNetV2,
    get_resnet,
    resnet18_v1,
    resnet18_v2,
    resnet34_v1,
    resnet34_v2,
    resnet50_v1,
    resnet50_v2,
    resnet101_v1,
    resnet101_v2,
    resnet152_v1,
    resnet152_v2,
)
from .squeezenet import SqueezeNet, squeezenet1_0, squeezenet1_1
from .vgg import VGG, get_vgg, vgg11, vgg11_bn, vgg13, vgg13_bn, vgg16, vgg16_bn, vgg19, vgg19_bn

__all__ = [
    "VGG",
    "AlexNet",
    "BasicBlockV1",
    "BasicBlockV2",
    "BottleneckV1",
    "BottleneckV2",
    "DenseNet",
    "Inception3",
    "MobileNet",
    "MobileNetV2",
    "ResNetV1",
    "ResNetV2",
    "SqueezeNet",
    "alexnet",
    "densenet121",
    "densenet161",
    "densenet169",
    "densenet201",
    "get_mobilenet",
    "get_mobilenet_v2",
    "get_model",
    "get_resnet",
    "get_vgg",
    "inception_v3",
    "mobilenet0_5",
    "mobilenet0_25",
    "mobilenet0_75",
    "mobilenet1_0",
    "mobilenet_v2_0_5",
    "mobilenet_v2_0_25",
    "mobilenet_v2_0_75",
    "mobilenet_v2_1_0",
    "resnet18_v1",
    "resnet18_v2",
    "resnet34_v1",
    "resnet34_v2",
    "resnet50_v1",
    "resnet50_v2",
    "resnet101_v1",
    "resnet101_v2",
    "resnet152_v1",
    "resnet152_v2",
    "squeezenet1_0",
    "squeezenet1_1",
    "vgg11",
    "vgg11_bn",
    "vgg13",
    "vgg13_bn",
    "vgg16",
    "vgg16_bn",
    "vgg19",
    "vgg19_bn",
]

_FUNCTIONS: tuple = (
    alexnet,
    densenet121,
    densenet161,
    densenet169,
    densenet201,
    resnet18_v1,
    resnet34_v1,
    resnet50_v1,
    resnet101_v1,
    resnet152_v1,
    resnet18_v2,
    resnet34_v2,
    resnet50_v2,
    resnet101_v2,
    resnet152_v2,
    vgg11,
    vgg13,
    vgg16,
    vgg19,
    vgg11_bn,
    vgg13_bn,
    vgg16_bn,
    vgg19_bn,
)
# The networks by the names of their files, most of which are those of functions.
_NETWORKS = {
    **{function.__name__: function for function in _FUNCTIONS},
    "inceptionv3": inception_v3,
    "squeezenet1.0": squeezenet1_0,
    "squeezenet1.1": squeezenet1_1,
    "mobilenet1.0": mobilenet1_0,
    "mobilenet0.75": mobilenet0_75,
    "mobilenet0.5": mobilenet0_5,
    "mobilenet0.25": mobilenet0_25,
    "mobilenetv2_1.0": mobilenet_v2_1_0,
    "mobilenetv2_0.75": mobilenet_v2_0_75,
    "mobilenetv2_0.5": mobilenet_v2_0_5,
    "mobilenetv2_0.25": mobilenet_v2_0_25,
}


def get_model(name, **kwargs):
    """A network of the zoo by its name.

    Parameters
    ----------
    name : str
        Such as ``'resnet18_v1'``, ``'vgg16_bn'``, ``'mobilenetv2_1.0'``, ``'squeezenet1.1'``,
        ``'inceptionv3'``; small and capital letters are the same.
    pretrained : bool, optional
        Whether to load weights from a file. None is downloaded; False.
    ctx : Context, optional
        Where to put the weights that are loaded; the CPU.
    root : str, optional
        The folder in which `model_store.get_model_file` looks for the file: ``models`` under
        ``MXNET_HOME``, or under ``~/.mxnet``.
    classes : int, optional
        How many scores it gives; 1000.
    **kwargs
        Other arguments of the network, such as ``prefix='net_'``, or ``thumbnail=True`` for ResNet.

    Returns
    -------
    HybridBlock
        The network, without values unless `pretrained`: call ``initialize()``.

    Raises
    ------
    ValueError
        When there is no network of that name, or its file is damaged.
    FileNotFoundError
        When its file is not under `root`.

    Examples
    --------
    >>> from mxtape.gluon.model_zoo import vision
    >>> net = vision.get_model("resnet18_v1", classes=10, thumbnail=True)
    >>> net.output.weight.shape
    (10, 512)
    """
    if name.lower() not in _NETWORKS:
        raise ValueError(f"there is no network {name!r}; there are {', '.join(sorted(_NETWORKS))}")
    return _NETWORKS[name.lower()](**kwargs)


def __getattr__(name):
    _missing.refuse(__name__, name)
