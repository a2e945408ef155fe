"""Containers, dense layers and functions as layers."""

import warnings

from ... import ndarray, symbol
from ..block import Block, HybridBlock
from .activations import Activation
from .dropout import Dropout
from .embedding import Embedding
from .norm_layers import (  # noqa: F401 (programs ask isinstance(layer, _BatchNorm))
    BatchNorm,
    BatchNormReLU,
    GroupNorm,
    InstanceNorm,
    LayerNorm,
    _BatchNorm,
)

__all__ = [
    "BatchNorm",
    "BatchNormReLU",
    "Dense",
    "Dropout",
    "Embedding",
    "Flatten",
    "GroupNorm",
    "HybridLambda",
    "HybridSequential",
    "InstanceNorm",
    "Lambda",
    "LayerNorm",
    "Sequential",
]


class Sequential(Block):
    """Blocks one after the other: the output of each is the input of the next.

    ``net[i]`` is a block, ``net[i:j]`` a Sequential of some of them, ``len(net)`` their number.

    Examples
    --------
    >>> import mxtape as mx
    >>> from mxtape.gluon import nn
    >>> net = nn.Sequential()
    >>> net.add(nn.Dense(4, activation="relu"), nn.Dense(2))
    >>> net.initialize()
    >>> net(mx.nd.ones((3, 5))).shape
    (3, 2)
    """

    def __init__(self, prefix=None, params=None) -> None:
        super().__init__(prefix=prefix, params=params)

    def add(self, *blocks) -> None:
        """Adds blocks at the end."""
        for block in blocks:
            self.register_child(block)

    def forward(self, x):
        """The output of the last block."""
        for block in self._children.values():
            x = block(x)
        return x

    def __repr__(self):
        return self._repr_of(self._children.items())

    def __getitem__(self, key):
        return _selected(self, key)

    def __len__(self):
        return len(self._children)

    def hybridize(self, active=True, **kwargs):
        """Has the hybrid blocks inside run as graphs, each as one of its own."""
        blocks = self._children.values()
        if blocks and all(isinstance(block, HybridBlock) for block in blocks):
            warnings.warn(
                f"all blocks in the Sequential {self.prefix!r} are HybridBlocks; a "
                "HybridSequential runs as one graph, which is faster",
                stacklevel=2,
            )
        super().hybridize(active, **kwargs)


class HybridSequential(HybridBlock):
    """Hybrid blocks one after the other; see :class:`Sequential`.

    Examples
    --------
    >>> import mxtape as mx
    >>> from mxtape.gluon import nn
    >>> net = nn.HybridSequential()
    >>> net.add(nn.Dense(4, activation="relu"), nn.Dense(2))
    >>> net.initialize()
    >>> net.hybridize()
    >>> net(mx.nd.ones((3, 5))).shape
    (3, 2)
    """

    def __init__(self, prefix=None, params=None) -> None:
        super().__init__(prefix=prefix, params=params)

    def add(self, *blocks) -> None:
        """Adds blocks at the end."""
        for block in blocks:
            self.register_child(block)

    def hybrid_forward(self, F, x):
        """The output of the last block."""
        for block in self._children.values():
            x = block(x)
        return x

    def __repr__(self):
        return self._repr_of(self._children.items())

    def __getitem__(self, key):
        return _selected(self, key)

    def __len__(self):
        return len(self._children)


def _selected(net, key):
    """Some block of a container, or a container of some of them."""
    blocks = list(net._children.values())[key]
    if not isinstance(blocks, list):
        return blocks
    part = type(net)(prefix=net._prefix)
    with part.name_scope():
        part.add(*blocks)
    return part


class Dense(HybridBlock):
    r"""A dense layer: :math:`y = \phi(x W^\top + b)`.

    Parameters
    ----------
    units : int
        Size of the output.
    activation : str, optional
        The function :math:`\phi`, as of ``mx.nd.Activation``; by default none.
    use_bias : bool, default True
        Whether there is a :math:`b`.
    flatten : bool, default True
        Whether all axes but the first are one. Otherwise the last axis is transformed.
    dtype : str or numpy type, default 'float32'
        Data type of the parameters.
    weight_initializer, bias_initializer : Initializer or str
        How the parameters begin; the bias with zeros.
    in_units : int, default 0
        Size of the input; 0 is found by the first call.
    **kwargs
        `prefix` and `params` of :class:`Block`.

    Shapes: the input is (batch, ...) with `flatten`, else (..., in_units); the output (batch,
    units), or (..., units).

    Examples
    --------
    >>> import mxtape as mx
    >>> layer = mx.gluon.nn.Dense(4, in_units=3, activation="relu")
    >>> layer
    Dense(3 -> 4, Activation(relu))
    >>> layer.initialize()
    >>> layer(mx.nd.ones((2, 3))).shape
    (2, 4)
    """

    def __init__(
        self,
        units,
        activation=None,
        use_bias=True,
        flatten=True,
        dtype="float32",
        weight_initializer=None,
        bias_initializer="zeros",
        in_units=0,
        **kwargs,
    ) -> None:
        if not isinstance(activation, (str, type(None))):
            raise TypeError(
                f"Dense: activation must be a name such as 'relu', got {activation!r}; the layer "
                "finds the size of its input itself, and in_units= says it"
            )
        super().__init__(**kwargs)
        self._flatten = flatten
        self._units = units
        self._in_units = in_units
        with self.name_scope():
            self.weight = self.params.get(
                "weight",
                shape=(units, in_units),
                init=weight_initializer,
                dtype=dtype,
                allow_deferred_init=True,
            )
            self.bias = None
            if use_bias:
                self.bias = self.params.get(
                    "bias",
                    shape=(units,),
                    init=bias_initializer,
                    dtype=dtype,
                    allow_deferred_init=True,
                )
            self.act = None
            if activation is not None:
                self.act = Activation(activation, prefix=activation + "_")

    def hybrid_forward(self, F, x, weight, bias=None):
        """The layer's output."""
        y = F.FullyConnected(
            x,
            weight,
            bias,
            no_bias=bias is None,
            num_hidden=self._units,
            flatten=self._flatten,
            name="fwd",
        )
        return y if self.act is None else self.act(y)

    def __repr__(self):
        units, in_units = self.weight.shape
        act = "linear" if self.act is None else self.act
        return f"{type(self).__name__}({in_units or None} -> {units}, {act})"


class Flatten(HybridBlock):
    """Makes one axis of all but the first.

    Shapes: the input is (batch, ...), the output (batch, the product of the others).

    Examples
    --------
    >>> import mxtape as mx
    >>> mx.gluon.nn.Flatten()(mx.nd.ones((2, 3, 4))).shape
    (2, 12)
    """

    def __init__(self, **kwargs) -> None:
        super().__init__(**kwargs)

    def hybrid_forward(self, F, x):
        """`x` with two axes."""
        return F.Flatten(x)

    def __repr__(self):
        return type(self).__name__


class Lambda(Block):
    """A function of arrays as a block.

    Parameters
    ----------
    function : str or callable
        A function's name in ``mx.nd``, or a function.
    prefix : str, optional
        As of :class:`Block`.

    Examples
    --------
    >>> import mxtape as mx
    >>> mx.gluon.nn.Lambda("relu")(mx.nd.array([-1, 2])).asnumpy().tolist()
    [0.0, 2.0]
    """

    def __init__(self, function, prefix=None) -> None:
        super().__init__(prefix=prefix)
        if isinstance(function, str):
            if not hasattr(ndarray, function):
                raise AssertionError(f"Lambda: there is no function mx.nd.{function}")
            self._func_impl = getattr(ndarray, function)
            self._func_name = function
        else:
            _check_callable(function)
            self._func_impl = function
            self._func_name = _name_of(function)

    def forward(self, *args):
        """What the function returns."""
        return self._func_impl(*args)

    def __repr__(self):
        return f"{type(self).__name__}({self._func_name})"


class HybridLambda(HybridBlock):
    """A function of arrays and symbols as a block.

    Parameters
    ----------
    function : str or callable
        A function's name in ``mx.nd`` and ``mx.sym``, or a function ``f(F, x, *args)``.
    prefix : str, optional
        As of :class:`Block`.

    Examples
    --------
    >>> import mxtape as mx
    >>> double = mx.gluon.nn.HybridLambda(lambda F, x: F.broadcast_add(x, x))
    >>> double.hybridize()
    >>> double(mx.nd.array([1, 2])).asnumpy().tolist()
    [2.0, 4.0]
    """

    def __init__(self, function, prefix=None) -> None:
        super().__init__(prefix=prefix)
        if isinstance(function, str):
            if not (hasattr(ndarray, function) and hasattr(symbol, function)):
                raise AssertionError(
                    f"HybridLambda: there is no function {function} in both mx.nd and mx.sym"
                )
            self._func = lambda F, *args: getattr(F, function)(*args)
            self._func_name = function
        else:
            _check_callable(function)
            self._func = function
            self._func_name = _name_of(function)

    def hybrid_forward(self, F, x, *args):
        """What the function returns."""
        return self._func(F, x, *args)

    def __repr__(self):
        return f"{type(self).__name__}({self._func_name})"


def _check_callable(function):
    if not callable(function):
        raise ValueError(
            f"a function or the name of one is needed, got {function!r} of type {type(function)}"
        )


def _name_of(function):
    return getattr(function, "__name__", type(function).__name__)
