"""Layers of ``gluon.contrib.nn``."""

import math
import warnings

from .... import ndarray
from ....util import get_gpu_count
from ...block import Block, HybridBlock
from ...nn import BatchNorm, HybridSequential, Sequential

__all__ = [
    "Concurrent",
    "HybridConcurrent",
    "Identity",
    "PixelShuffle1D",
    "PixelShuffle2D",
    "PixelShuffle3D",
    "SparseEmbedding",
    "SyncBatchNorm",
]


class Concurrent(Sequential):
    """Blocks side by side: all get the input, and their outputs are joined.

    Parameters
    ----------
    axis : int, default -1
        Where the outputs are joined.

    Examples
    --------
    >>> import mxtape as mx
    >>> both = mx.gluon.contrib.nn.Concurrent()
    >>> both.add(mx.gluon.nn.Activation("relu"), mx.gluon.contrib.nn.Identity())
    >>> both(mx.nd.array([[-1, 2]])).asnumpy().tolist()
    [[0.0, 2.0, -1.0, 2.0]]
    """

    def __init__(self, axis=-1, prefix=None, params=None):
        super().__init__(prefix=prefix, params=params)
        self.axis = axis

    def forward(self, x):
        """The outputs of all blocks, joined."""
        return ndarray.concat(*[block(x) for block in self._children.values()], dim=self.axis)


class HybridConcurrent(HybridSequential):
    """Hybrid blocks side by side; see :class:`Concurrent`.

    Examples
    --------
    >>> import mxtape as mx
    >>> both = mx.gluon.contrib.nn.HybridConcurrent(axis=1)
    >>> both.add(mx.gluon.nn.Activation("relu"), mx.gluon.contrib.nn.Identity())
    >>> both.hybridize()
    >>> both(mx.nd.array([[-1, 2]])).asnumpy().tolist()
    [[0.0, 2.0, -1.0, 2.0]]
    """

    def __init__(self, axis=-1, prefix=None, params=None):
        super().__init__(prefix=prefix, params=params)
        self.axis = axis

    def hybrid_forward(self, F, x):
        """The outputs of all blocks, joined."""
        return F.concat(*[block(x) for block in self._children.values()], dim=self.axis)


class Identity(HybridBlock):
    """Returns its input: for a branch of :class:`HybridConcurrent`, as a shortcut.

    Examples
    --------
    >>> import mxtape as mx
    >>> x = mx.nd.ones((2,))
    >>> mx.gluon.contrib.nn.Identity()(x) is x
    True
    """

    def hybrid_forward(self, F, x):
        """`x`."""
        return x


class SparseEmbedding(Block):
    """``gluon.nn.Embedding`` whose matrix is row_sparse, of which a step uses few rows.

    All rows are in the store of a ``Trainer``, which has to be made before the layer is called. A
    call fetches the rows that it needs, and the gradient has these rows. It is no HybridBlock.

    Parameters
    ----------
    input_dim, output_dim, dtype, weight_initializer
        As of ``gluon.nn.Embedding``.

    Examples
    --------
    >>> import mxtape as mx
    >>> layer = mx.gluon.contrib.nn.SparseEmbedding(10, 4)
    >>> layer.initialize()
    >>> trainer = mx.gluon.Trainer(layer.collect_params(), "sgd")
    >>> layer, layer(mx.nd.array([3, 7])).shape
    (SparseEmbedding(10 -> 4, float32), (2, 4))
    """

    def __init__(self, input_dim, output_dim, dtype="float32", weight_initializer=None, **kwargs):
        super().__init__(**kwargs)
        self._kwargs = {
            "input_dim": input_dim,
            "output_dim": output_dim,
            "dtype": dtype,
            "sparse_grad": True,
        }
        self.weight = self.params.get(
            "weight",
            shape=(input_dim, output_dim),
            dtype=dtype,
            init=weight_initializer,
            grad_stype="row_sparse",
            stype="row_sparse",
        )

    def forward(self, x):
        """The vectors of the numbers `x`."""
        weight = self.weight.row_sparse_data(x)
        return ndarray.Embedding(x, weight, name="fwd", **self._kwargs)

    def __repr__(self):
        sizes = "{input_dim} -> {output_dim}, {dtype}".format(**self._kwargs)
        return f"{type(self).__name__}({sizes})"


class SyncBatchNorm(BatchNorm):
    """Batch normalization with the statistics of all devices.

    Every context here is the one CPU. Parts of a batch on several contexts are normalized each by
    itself, as ``gluon.nn.BatchNorm`` does.

    Parameters
    ----------
    in_channels : int, default 0
        0: the first call tells.
    num_devices : int, optional
        Accepted; by default, with a warning, the number of GPUs or 1.
    momentum, epsilon, center, scale, use_global_stats, ..._initializer
        As of ``gluon.nn.BatchNorm``. The axis of the channels is 1.

    Examples
    --------
    >>> import mxtape as mx
    >>> layer = mx.gluon.contrib.nn.SyncBatchNorm(num_devices=1)
    >>> layer.initialize()
    >>> with mx.autograd.record():
    ...     y = layer(mx.nd.array([[1], [3]]))
    >>> y.asnumpy().round(3).tolist()
    [[-1.0], [1.0]]
    """

    def __init__(
        self,
        in_channels=0,
        num_devices=None,
        momentum=0.9,
        epsilon=1e-5,
        center=True,
        scale=True,
        use_global_stats=False,
        beta_initializer="zeros",
        gamma_initializer="ones",
        running_mean_initializer="zeros",
        running_variance_initializer="ones",
        **kwargs,
    ):
        super().__init__(
            1,
            momentum,
            epsilon,
            center,
            scale,
            use_global_stats,
            beta_initializer,
            gamma_initializer,
            running_mean_initializer,
            running_variance_initializer,
            in_channels,
            **kwargs,
        )
        del self._kwargs["axis"]
        self._kwargs["ndev"] = self._get_num_devices() if num_devices is None else num_devices
        self._kwargs["key"] = self.prefix

    def _get_num_devices(self):
        warnings.warn(
            "SyncBatchNorm: num_devices is not given and is taken to be the number of GPUs, or 1",
            stacklevel=2,
        )
        return max(get_gpu_count(), 1)

    def hybrid_forward(self, F, x, gamma, beta, running_mean, running_var):
        """The normalized `x`."""
        statistics = (running_mean, running_var)
        return F.contrib.SyncBatchNorm(x, gamma, beta, *statistics, name="fwd", **self._kwargs)


def _factors(layer, factor, axes):
    """One factor for each axis."""
    try:
        return (int(factor),) * axes
    except TypeError:
        factors = tuple(int(extent) for extent in factor)
    if len(factors) != axes:
        raise AssertionError(f"{layer}: factor must be an int or {axes} ints; got {factor!r}")
    return factors


class PixelShuffle1D(HybridBlock):
    """Makes sequences longer with what is in their channels.

    (N, factor * C, W) becomes (N, C, factor * W).

    Shi et al., Real-Time Single Image and Video Super-Resolution, 2016.

    Parameters
    ----------
    factor : int

    Examples
    --------
    >>> import mxtape as mx
    >>> x = mx.nd.array([[[1, 2], [30, 40]]])
    >>> mx.gluon.contrib.nn.PixelShuffle1D(2)(x).asnumpy().tolist()
    [[[1.0, 30.0, 2.0, 40.0]]]
    """

    def __init__(self, factor):
        super().__init__()
        self._factor = int(factor)

    def __repr__(self):
        return f"{type(self).__name__}({self._factor})"

    def hybrid_forward(self, F, x):
        """`x` with fewer channels and more places."""
        apart = F.reshape(x, (0, -4, -1, self._factor, 0))  # N, C, factor, W
        return F.reshape(F.transpose(apart, (0, 1, 3, 2)), (0, 0, -3))


class PixelShuffle2D(HybridBlock):
    """Makes images larger with what is in their channels.

    (N, f0 * f1 * C, H, W) becomes (N, C, f0 * H, f1 * W); see :class:`PixelShuffle1D`.

    Parameters
    ----------
    factor : int or tuple of 2 ints
        For both axes, or for each.

    Examples
    --------
    >>> import mxtape as mx
    >>> x = mx.nd.array([[[[1]], [[2]], [[3]], [[4]]]])
    >>> mx.gluon.contrib.nn.PixelShuffle2D(2)(x).asnumpy().tolist()
    [[[[1.0, 2.0], [3.0, 4.0]]]]
    """

    def __init__(self, factor):
        super().__init__()
        self._factors = _factors("PixelShuffle2D", factor, 2)

    def __repr__(self):
        return f"{type(self).__name__}({self._factors})"

    def hybrid_forward(self, F, x):
        """`x` with fewer channels and more pixels."""
        f0, f1 = self._factors
        apart = F.reshape(x, (0, -4, -1, f0 * f1, 0, 0))
        apart = F.reshape(apart, (0, 0, -4, f0, f1, 0, 0))  # N, C, f0, f1, H, W
        return F.reshape(F.transpose(apart, (0, 1, 4, 2, 5, 3)), (0, 0, -3, -3))


class PixelShuffle3D(HybridBlock):
    """Makes volumes larger with what is in their channels.

    (N, f0 * f1 * f2 * C, D, H, W) becomes (N, C, f0 * D, f1 * H, f2 * W).

    Parameters
    ----------
    factor : int or tuple of 3 ints
        For all axes, or for each.

    Examples
    --------
    >>> import mxtape as mx
    >>> mx.gluon.contrib.nn.PixelShuffle3D((1, 2, 3))(mx.nd.ones((2, 6, 4, 5, 6))).shape
    (2, 1, 4, 10, 18)
    """

    def __init__(self, factor):
        super().__init__()
        self._factors = _factors("PixelShuffle3D", factor, 3)

    def __repr__(self):
        return f"{type(self).__name__}({self._factors})"

    def hybrid_forward(self, F, x):
        """`x` with fewer channels and more places."""
        # MXNet transposes six axes at most, so the factors move one by one: the axis of those that
        # are left goes behind the next extent, and its first factor joins that extent.
        left = math.prod(self._factors)
        x = F.reshape(x, (0, -4, -1, left, 0, 0, 0))
        for i, factor in enumerate(self._factors):
            before, after = (0,) * (2 + i), (0,) * (2 - i)
            x = F.swapaxes(x, 2 + i, 3 + i)
            if i < 2:
                left //= factor
                x = F.reshape(x, (*before, 0, -4, factor, left, *after))
                x = F.reshape(x, (*before, -3, 0, *after))
            else:
                x = F.reshape(x, (*before, -3))
        return x
