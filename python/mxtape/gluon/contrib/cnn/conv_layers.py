"""Deformable convolutions."""

import math

from ...block import HybridBlock
from ...nn import Activation
from ...nn.conv_layers import _check_geometry, _geometry
from ...nn.pool_layers import _extents
from ...parameter import Parameter

__all__ = ["DeformableConvolution", "ModulatedDeformableConvolution"]


class _Deformable(HybridBlock):
    """Two convolutions: one tells the other where its kernel reads."""

    _numbers = 2  # that the first makes for each element of the kernel
    deformable_conv_weight: Parameter

    def _build(self, channels, kernel_size, geometry, groups, shares, layout, in_channels, more):
        """The settings of both convolutions, and the activation; `more` are the caller's others."""
        axes = len(kernel_size)
        strides, padding, dilation = (_extents(extents, axes) for extents in geometry)
        self._channels = channels
        self._in_channels = in_channels
        self._op_name = more["op_name"]
        common = {
            "kernel": kernel_size,
            "stride": strides,
            "dilate": dilation,
            "pad": padding,
        }
        reads = self._numbers * math.prod(kernel_size) * shares
        self._kwargs_offset = {
            **common,
            "num_filter": reads,
            "num_group": groups,
            "no_bias": not more["offset_use_bias"],
            "layout": layout,
        }
        self._kwargs_deformable_conv = {
            **common,
            "num_filter": channels,
            "num_group": groups,
            "num_deformable_group": shares,
            "no_bias": not more["use_bias"],
            "layout": layout,
        }
        adj = more["adj"]
        if adj:
            self._kwargs_offset["adj"] = self._kwargs_deformable_conv["adj"] = adj
        for settings in (self._kwargs_offset, self._kwargs_deformable_conv):
            _check_geometry(type(self).__name__, settings, in_channels)
        self.act = None
        if more["activation"] is not None:
            with self.name_scope():
                self.act = Activation(more["activation"], prefix=more["activation"] + "_")

    def _convolution(self, name, settings, weight_initializer, bias_initializer):
        """Parameters of one of the two convolutions, as attributes."""
        filters, kernel = settings["num_filter"], settings["kernel"]
        shape = (filters, self._in_channels // settings["num_group"], *kernel)
        weight = self.params.get(
            f"{name}weight", shape=shape, init=weight_initializer, allow_deferred_init=True
        )
        bias = None
        if not settings["no_bias"]:
            bias = self.params.get(
                f"{name}bias", shape=(filters,), init=bias_initializer, allow_deferred_init=True
            )
        setattr(self, f"{name}weight", weight)
        setattr(self, f"{name}bias", bias)

    def _offsets(self, F, x, weight, bias):
        arrays = (x, weight) if bias is None else (x, weight, bias)
        return F.Convolution(*arrays, cudnn_off=True, **self._kwargs_offset)

    def _deformed(self, F, arrays, bias):
        if bias is not None:
            arrays = (*arrays, bias)
        convolve = getattr(F.contrib, self._op_name)
        y = convolve(*arrays, name="fwd", **self._kwargs_deformable_conv)
        return y if self.act is None else self.act(y)


class DeformableConvolution(_Deformable):
    """Convolution of images whose kernel is displaced at every place, by learnt distances.

    An ordinary convolution of the input computes the displacements: rows and columns for each
    element of the kernel. With its initial zeros the layer is ``gluon.nn.Conv2D``.

    Dai et al., Deformable Convolutional Networks, 2017.

    Parameters
    ----------
    channels : int
    kernel_size : tuple of 2 ints, default (1, 1)
    strides, padding, dilation, groups, layout, use_bias, in_channels, activation
        As of ``gluon.nn.Conv2D``.
    num_deformable_group : int, default 1
        Parts of the channels that have displacements of their own.
    weight_initializer, bias_initializer : default None, 'zeros'
    offset_weight_initializer, offset_bias_initializer : default 'zeros'
    offset_use_bias : bool, default True
    op_name : str, default 'DeformableConvolution'
        The operator, in ``mx.nd.contrib``.

    Examples
    --------
    >>> import mxtape as mx
    >>> layer = mx.gluon.contrib.cnn.DeformableConvolution(4, kernel_size=(3, 3), padding=(1, 1))
    >>> layer.initialize()
    >>> layer(mx.nd.ones((2, 3, 8, 8))).shape, layer.offset_weight.shape
    ((2, 4, 8, 8), (18, 3, 3, 3))
    """

    def __init__(
        self,
        channels,
        kernel_size=(1, 1),
        strides=(1, 1),
        padding=(0, 0),
        dilation=(1, 1),
        groups=1,
        num_deformable_group=1,
        layout="NCHW",
        use_bias=True,
        in_channels=0,
        activation=None,
        weight_initializer=None,
        bias_initializer="zeros",
        offset_weight_initializer="zeros",
        offset_bias_initializer="zeros",
        offset_use_bias=True,
        op_name="DeformableConvolution",
        adj=None,
        prefix=None,
        params=None,
    ):
        super().__init__(prefix=prefix, params=params)
        more = {"op_name": op_name, "adj": adj, "activation": activation}
        more.update(use_bias=use_bias, offset_use_bias=offset_use_bias)
        geometry, shares = (strides, padding, dilation), num_deformable_group
        self._build(channels, kernel_size, geometry, groups, shares, layout, in_channels, more)
        own = (weight_initializer, bias_initializer)
        of_offsets = (offset_weight_initializer, offset_bias_initializer)
        self._convolution("offset_", self._kwargs_offset, *of_offsets)
        self._convolution("deformable_conv_", self._kwargs_deformable_conv, *own)

    def _alias(self):
        return "deformable_conv"

    def __repr__(self):
        settings, shape = self._kwargs_deformable_conv, self.deformable_conv_weight.shape
        text = f"{shape[1] or None} -> {shape[0]}, {_geometry(settings, self.act)}"
        return f"{type(self).__name__}({text})"

    def hybrid_forward(
        self,
        F,
        x,
        offset_weight,
        deformable_conv_weight,
        offset_bias=None,
        deformable_conv_bias=None,
    ):
        """The convolution of `x`."""
        offset = self._offsets(F, x, offset_weight, offset_bias)
        return self._deformed(F, (x, offset, deformable_conv_weight), deformable_conv_bias)


class ModulatedDeformableConvolution(_Deformable):
    """:class:`DeformableConvolution` that also weights what its kernel reads.

    The convolution of the displacements makes a third number for each element of the kernel, of
    which the weight is twice the sigmoid.

    Zhu et al., Deformable ConvNets v2, 2018.

    The parameters are those of :class:`DeformableConvolution`.

    Examples
    --------
    >>> import mxtape as mx
    >>> layer = mx.gluon.contrib.cnn.ModulatedDeformableConvolution(4, (3, 3), padding=(1, 1))
    >>> layer.initialize()
    >>> layer(mx.nd.ones((2, 3, 8, 8))).shape, layer.offset_weight.shape
    ((2, 4, 8, 8), (27, 3, 3, 3))
    """

    _numbers = 3

    def __init__(
        self,
        channels,
        kernel_size=(1, 1),
        strides=(1, 1),
        padding=(0, 0),
        dilation=(1, 1),
        groups=1,
        num_deformable_group=1,
        layout="NCHW",
        use_bias=True,
        in_channels=0,
        activation=None,
        weight_initializer=None,
        bias_initializer="zeros",
        offset_weight_initializer="zeros",
        offset_bias_initializer="zeros",
        offset_use_bias=True,
        op_name="ModulatedDeformableConvolution",
        adj=None,
        prefix=None,
        params=None,
    ):
        super().__init__(prefix=prefix, params=params)
        more = {"op_name": op_name, "adj": adj, "activation": activation}
        more.update(use_bias=use_bias, offset_use_bias=offset_use_bias)
        geometry, shares = (strides, padding, dilation), num_deformable_group
        self._build(channels, kernel_size, geometry, groups, shares, layout, in_channels, more)
        self.offset_split_index = 2 * math.prod(kernel_size) * shares
        own = (weight_initializer, bias_initializer)
        of_offsets = (offset_weight_initializer, offset_bias_initializer)
        self._convolution("deformable_conv_", self._kwargs_deformable_conv, *own)
        self._convolution("offset_", self._kwargs_offset, *of_offsets)

    def _alias(self):
        return "modulated_deformable_conv"

    def hybrid_forward(
        self,
        F,
        x,
        offset_weight,
        deformable_conv_weight,
        offset_bias=None,
        deformable_conv_bias=None,
    ):
        """The convolution of `x`."""
        both = self._offsets(F, x, offset_weight, offset_bias)
        offset = F.slice_axis(both, axis=1, begin=0, end=self.offset_split_index)
        mask = F.slice_axis(both, axis=1, begin=self.offset_split_index, end=None)
        mask = F.sigmoid(mask) * 2
        return self._deformed(F, (x, offset, mask, deformable_conv_weight), deformable_conv_bias)
