"""What the networks of the zoo are built with."""

from typing import Any

from ....context import cpu
from ... import nn
from ...block import HybridBlock
from ...contrib.nn import HybridConcurrent
from ..model_store import get_model_file

CPU = cpu()


class Classifier(HybridBlock):
    """A network in two parts: `features`, which may be used alone, and `output`, the scores."""

    features: Any
    output: Any

    def hybrid_forward(self, F, x):
        return self.output(self.features(x))


def chain(*layers, prefix=""):
    """Layers one after the other, which are named as the block is in which this is called."""
    whole = nn.HybridSequential(prefix=prefix)
    whole.add(*layers)
    return whole


def branches(*layers, prefix=""):
    """Layers side by side, joined along the channels; named as in `chain`."""
    whole = HybridConcurrent(axis=1, prefix=prefix)
    whole.add(*layers)
    return whole


def relu():
    return nn.Activation("relu")


def normalized(channels, kernel, stride=1, pad=0, groups=1, epsilon=1e-5, then=relu):
    """A convolution without bias, batch normalization, and what follows: three layers or two."""
    convolution = nn.Conv2D(channels, kernel, stride, pad, groups=groups, use_bias=False)
    layers = [convolution, nn.BatchNorm(epsilon=epsilon)]
    return layers if then is None else [*layers, then()]


def create(make, name, pretrained, ctx, root):
    """The network that `make` makes, with the weights from the zoo's file if `pretrained`."""
    path = get_model_file(name, root=root) if pretrained else None
    network = make()
    if path is not None:
        network.load_parameters(path, ctx=ctx)
    return network


def variant(name, make, *arguments, **options):
    """The function `name` of the zoo: `make` with some arguments given."""

    def network(**kwargs):
        return make(*arguments, **{**kwargs, **options})

    network.__name__ = network.__qualname__ = name
    network.__module__ = make.__module__
    given = ", ".join([*map(str, arguments), *(f"{key}={value}" for key, value in options.items())])
    network.__doc__ = f"""What `{make.__name__}({given}, **kwargs)` gives.

    Parameters
    ----------
    pretrained : bool, optional
        Whether to load weights from a file under `root`. None is downloaded: see
        `model_store.get_model_file`. False.
    ctx : Context, optional
        Where to put the weights that are loaded; the CPU.
    root : str, optional
        The folder with the files; ``models`` under ``MXNET_HOME``, or under ``~/.mxnet``.
    **kwargs
        Arguments of the network, such as ``classes=10`` or ``prefix='net_'``.
    """
    return network
