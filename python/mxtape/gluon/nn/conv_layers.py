"""Convolutions, their transposes, pooling and padding of images."""

from ...base import MXNetError, numeric_types
from ..block import HybridBlock
from .activations import Activation
from .pool_layers import (
    AvgPool1D,
    AvgPool2D,
    AvgPool3D,
    GlobalAvgPool1D,
    GlobalAvgPool2D,
    GlobalAvgPool3D,
    GlobalMaxPool1D,
    GlobalMaxPool2D,
    GlobalMaxPool3D,
    MaxPool1D,
    MaxPool2D,
    MaxPool3D,
    _check_layout,
    _extents,
    _Pooling,  # noqa: F401 (MXNet's module has it)
)

__all__ = [
    "AvgPool1D",
    "AvgPool2D",
    "AvgPool3D",
    "Conv1D",
    "Conv1DTranspose",
    "Conv2D",
    "Conv2DTranspose",
    "Conv3D",
    "Conv3DTranspose",
    "GlobalAvgPool1D",
    "GlobalAvgPool2D",
    "GlobalAvgPool3D",
    "GlobalMaxPool1D",
    "GlobalMaxPool2D",
    "GlobalMaxPool3D",
    "MaxPool1D",
    "MaxPool2D",
    "MaxPool3D",
    "ReflectionPad2D",
]


class _Conv(HybridBlock):
    """A convolution over as many axes as `kernel_size` has numbers.

    With ``op_name='Deconvolution'`` it is transposed.
    """

    def __init__(
        self,
        channels,
        kernel_size,
        strides,
        padding,
        dilation,
        groups,
        layout,
        in_channels=0,
        activation=None,
        use_bias=True,
        weight_initializer=None,
        bias_initializer="zeros",
        op_name="Convolution",
        adj=None,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        axes = len(kernel_size)
        strides, padding, dilation = (_extents(v, axes) for v in (strides, padding, dilation))
        self._channels = channels
        self._in_channels = in_channels
        self._op_name = op_name
        self._kwargs = {
            "kernel": kernel_size,
            "stride": strides,
            "dilate": dilation,
            "pad": padding,
            "num_filter": channels,
            "num_group": groups,
            "no_bias": not use_bias,
            "layout": layout,
        }
        if adj is not None:
            self._kwargs["adj"] = adj
        with self.name_scope():
            self.weight = self.params.get(
                "weight",
                shape=self._weight_shape(),
                init=weight_initializer,
                allow_deferred_init=True,
            )
            self.bias = None
            if use_bias:
                self.bias = self.params.get(
                    "bias", shape=(channels,), init=bias_initializer, allow_deferred_init=True
                )
            self.act = (
                None if activation is None else Activation(activation, prefix=activation + "_")
            )

    def _alias(self):
        return "conv"

    def _weight_shape(self):
        """Filters, the channels of a group, then the kernel; 0 for what is not known."""
        groups, kernel = self._kwargs["num_group"], tuple(self._kwargs["kernel"])
        _check_geometry(type(self).__name__, self._kwargs, self._in_channels)
        first, second = self._channels, self._in_channels
        if self._op_name == "Deconvolution":
            first, second = second, first
        shares = second // groups
        if self._kwargs["layout"].index("C") == 1:
            return (first, shares, *kernel)
        return (first, *kernel, shares)

    def __repr__(self):
        settings, shape = self._kwargs, self.weight.shape
        text = f"{shape[1] or None} -> {shape[0]}, {_geometry(settings, self.act)}"
        return f"{type(self).__name__}({text})"

    def hybrid_forward(self, F, x, weight, bias=None):
        arrays = (x, weight) if bias is None else (x, weight, bias)
        y = getattr(F, self._op_name)(*arrays, name="fwd", **self._kwargs)
        return y if self.act is None else self.act(y)


def _geometry(settings, activation):
    """A convolution's sizes for ``__repr__``; of most only what is not the default."""
    axes = len(settings["kernel"])
    shown: tuple = (
        ("padding", "pad", (0,) * axes),
        ("dilation", "dilate", (1,) * axes),
        ("groups", "num_group", 1),
    )
    parts = [f"kernel_size={settings['kernel']}", f"stride={settings['stride']}"]
    parts += [f"{name}={settings[key]}" for name, key, usual in shown if settings[key] != usual]
    if settings["no_bias"]:
        parts.append("bias=False")
    if activation is not None:
        parts.append(repr(activation))
    return ", ".join(parts)


def _check_geometry(layer, settings, in_channels):
    """Raises the MXNetError for sizes with which no call could work."""
    channels, groups = settings["num_filter"], settings["num_group"]
    for key in ("kernel", "stride", "dilate"):
        if not all(_is_size(extent) for extent in settings[key]):
            raise MXNetError(f"{layer}: {key} must be integers of 1 or more; got {settings[key]}")
    if not _is_size(channels) or not _is_size(groups):
        raise MXNetError(
            f"{layer}: channels and groups must be integers of 1 or more; got {channels}, {groups}"
        )
    if channels % groups or in_channels % groups:
        raise MXNetError(
            f"{layer}: groups must divide channels and in_channels; got {groups} groups of "
            f"{channels} channels, {in_channels} of the input"
        )


def _is_size(extent):
    return not isinstance(extent, bool) and hasattr(extent, "__index__") and extent >= 1


class _PlainConv(_Conv):
    """A layer of :class:`_Conv` for a number of axes that the class knows."""

    _axes = 2
    _layouts: tuple = ("NCHW", "NHWC")

    def __init__(self, channels, kernel_size, *geometry, **options) -> None:
        layout = geometry[-1]
        _check_layout(type(self).__name__, layout, self._layouts)
        kernel_size = _extents(kernel_size, self._axes, "kernel_size")
        super().__init__(channels, kernel_size, *geometry, **options)


class _TransposedConv(_PlainConv):
    """A transposed convolution; `outpad` is what is added to one side of the output."""

    def __init__(self, channels, kernel_size, output_padding, *geometry, **options) -> None:
        outpad = _extents(output_padding, self._axes, "output_padding")
        super().__init__(
            channels, kernel_size, *geometry, op_name="Deconvolution", adj=outpad, **options
        )
        self.outpad = outpad


class Conv1D(_PlainConv):
    """Convolution of sequences.

    The input is (N, in_channels, width), the output (N, channels, out_width), where
    ``out_width = (width + 2 * padding - dilation * (kernel_size - 1) - 1) // strides + 1``.

    Parameters
    ----------
    channels : int
        Of the output.
    kernel_size : int or tuple of 1 int
    strides, padding, dilation : int or tuple of 1 int, default 1, 0, 1
    groups : int, default 1
        Parts into which both sorts of channels are cut; each output sees one part of the input.
    layout : {'NCW'}
    activation : str, optional
        An activation that follows, as in :class:`Activation`.
    use_bias : bool, default True
    weight_initializer, bias_initializer : Initializer or str, default None, 'zeros'
    in_channels : int, default 0
        0: the first call tells.

    Raises
    ------
    AssertionError
        A kernel of another number of axes, or another layout.
    MXNetError
        Sizes that are not positive; groups that do not divide the channels.

    Examples
    --------
    >>> import mxtape as mx
    >>> layer = mx.gluon.nn.Conv1D(8, 3, padding=1, activation="relu")
    >>> layer.initialize()
    >>> layer(mx.nd.ones((2, 4, 10))).shape, layer.weight.shape
    ((2, 8, 10), (8, 4, 3))
    """

    _axes = 1
    _layouts = ("NCW",)

    def __init__(
        self,
        channels,
        kernel_size,
        strides=1,
        padding=0,
        dilation=1,
        groups=1,
        layout="NCW",
        activation=None,
        use_bias=True,
        weight_initializer=None,
        bias_initializer="zeros",
        in_channels=0,
        **kwargs,
    ) -> None:
        kwargs.update(activation=activation, use_bias=use_bias, in_channels=in_channels)
        kwargs.update(weight_initializer=weight_initializer, bias_initializer=bias_initializer)
        geometry = (strides, padding, dilation, groups, layout)
        super().__init__(channels, kernel_size, *geometry, **kwargs)


class Conv2D(_PlainConv):
    """Convolution of images.

    The input is (N, in_channels, height, width), the output (N, channels, out_height, out_width).
    The other parameters, sizes and errors are as of :class:`Conv1D`.

    Parameters
    ----------
    channels : int
    kernel_size, strides, padding, dilation : int or tuple of 2 ints
    layout : {'NCHW', 'NHWC'}
        Only NCHW can be computed; the first call with the other raises.

    Examples
    --------
    >>> import mxtape as mx
    >>> layer = mx.gluon.nn.Conv2D(8, kernel_size=3, strides=2, padding=1)
    >>> layer.initialize()
    >>> layer(mx.nd.ones((2, 4, 10, 10))).shape
    (2, 8, 5, 5)
    >>> layer
    Conv2D(4 -> 8, kernel_size=(3, 3), stride=(2, 2), padding=(1, 1))
    """

    def __init__(
        self,
        channels,
        kernel_size,
        strides=(1, 1),
        padding=(0, 0),
        dilation=(1, 1),
        groups=1,
        layout="NCHW",
        activation=None,
        use_bias=True,
        weight_initializer=None,
        bias_initializer="zeros",
        in_channels=0,
        **kwargs,
    ) -> None:
        kwargs.update(activation=activation, use_bias=use_bias, in_channels=in_channels)
        kwargs.update(weight_initializer=weight_initializer, bias_initializer=bias_initializer)
        geometry = (strides, padding, dilation, groups, layout)
        super().__init__(channels, kernel_size, *geometry, **kwargs)


class Conv3D(_PlainConv):
    """Convolution of volumes: (N, in_channels, depth, height, width).

    The parameters, sizes and errors are as of :class:`Conv1D`.

    Parameters
    ----------
    channels : int
    kernel_size, strides, padding, dilation : int or tuple of 3 ints
    layout : {'NCDHW', 'NDHWC'}
        Only NCDHW can be computed; the first call with the other raises.

    Examples
    --------
    >>> import mxtape as mx
    >>> layer = mx.gluon.nn.Conv3D(2, kernel_size=3)
    >>> layer.initialize()
    >>> layer(mx.nd.ones((1, 1, 5, 6, 7))).shape
    (1, 2, 3, 4, 5)
    """

    _axes = 3
    _layouts = ("NCDHW", "NDHWC")

    def __init__(
        self,
        channels,
        kernel_size,
        strides=(1, 1, 1),
        padding=(0, 0, 0),
        dilation=(1, 1, 1),
        groups=1,
        layout="NCDHW",
        activation=None,
        use_bias=True,
        weight_initializer=None,
        bias_initializer="zeros",
        in_channels=0,
        **kwargs,
    ) -> None:
        kwargs.update(activation=activation, use_bias=use_bias, in_channels=in_channels)
        kwargs.update(weight_initializer=weight_initializer, bias_initializer=bias_initializer)
        geometry = (strides, padding, dilation, groups, layout)
        super().__init__(channels, kernel_size, *geometry, **kwargs)


class Conv1DTranspose(_TransposedConv):
    """Transposed convolution of sequences, the gradient of :class:`Conv1D` for its input.

    The input is (N, in_channels, width), the output (N, channels, out_width), where ``out_width =
    (width - 1) * strides - 2 * padding + dilation * (kernel_size - 1) + output_padding + 1``.

    Parameters
    ----------
    channels : int
        Of the output.
    kernel_size : int or tuple of 1 int
    strides, padding : int or tuple of 1 int, default 1, 0
    output_padding : int or tuple of 1 int, default 0
        Added to the end of the output; less than the stride.
    dilation, groups, layout, activation, use_bias, in_channels
        As of :class:`Conv1D`, with its errors; so are the initializers.

    Examples
    --------
    >>> import mxtape as mx
    >>> layer = mx.gluon.nn.Conv1DTranspose(8, 3, strides=2, padding=1, output_padding=1)
    >>> layer.initialize()
    >>> layer(mx.nd.ones((2, 4, 10))).shape, layer.weight.shape
    ((2, 8, 20), (4, 8, 3))
    """

    _axes = 1
    _layouts = ("NCW",)

    def __init__(
        self,
        channels,
        kernel_size,
        strides=1,
        padding=0,
        output_padding=0,
        dilation=1,
        groups=1,
        layout="NCW",
        activation=None,
        use_bias=True,
        weight_initializer=None,
        bias_initializer="zeros",
        in_channels=0,
        **kwargs,
    ) -> None:
        kwargs.update(activation=activation, use_bias=use_bias, in_channels=in_channels)
        kwargs.update(weight_initializer=weight_initializer, bias_initializer=bias_initializer)
        geometry = (strides, padding, dilation, groups, layout)
        super().__init__(channels, kernel_size, output_padding, *geometry, **kwargs)


class Conv2DTranspose(_TransposedConv):
    """Transposed convolution of images, the gradient of :class:`Conv2D` for its input.

    The parameters are as of :class:`Conv1DTranspose`, with 2 numbers where that has 1.

    Parameters
    ----------
    channels : int
    kernel_size, strides, padding, output_padding, dilation : int or tuple of 2 ints
    layout : {'NCHW', 'NHWC'}
        Only NCHW can be computed; the first call with the other raises.

    Examples
    --------
    >>> import mxtape as mx
    >>> layer = mx.gluon.nn.Conv2DTranspose(8, 4, strides=2, padding=1)
    >>> layer.initialize()
    >>> layer(mx.nd.ones((2, 4, 5, 6))).shape
    (2, 8, 10, 12)
    """

    def __init__(
        self,
        channels,
        kernel_size,
        strides=(1, 1),
        padding=(0, 0),
        output_padding=(0, 0),
        dilation=(1, 1),
        groups=1,
        layout="NCHW",
        activation=None,
        use_bias=True,
        weight_initializer=None,
        bias_initializer="zeros",
        in_channels=0,
        **kwargs,
    ) -> None:
        kwargs.update(activation=activation, use_bias=use_bias, in_channels=in_channels)
        kwargs.update(weight_initializer=weight_initializer, bias_initializer=bias_initializer)
        geometry = (strides, padding, dilation, groups, layout)
        super().__init__(channels, kernel_size, output_padding, *geometry, **kwargs)


class Conv3DTranspose(_TransposedConv):
    """Transposed convolution of volumes, the gradient of :class:`Conv3D` for its input.

    The parameters are as of :class:`Conv1DTranspose`, with 3 numbers where that has 1.

    Parameters
    ----------
    channels : int
    kernel_size, strides, padding, output_padding, dilation : int or tuple of 3 ints
    layout : {'NCDHW', 'NDHWC'}
        Only NCDHW can be computed; the first call with the other raises.

    Examples
    --------
    >>> import mxtape as mx
    >>> layer = mx.gluon.nn.Conv3DTranspose(2, 3)
    >>> layer.initialize()
    >>> layer(mx.nd.ones((1, 1, 3, 4, 5))).shape
    (1, 2, 5, 6, 7)
    """

    _axes = 3
    _layouts = ("NCDHW", "NDHWC")

    def __init__(
        self,
        channels,
        kernel_size,
        strides=(1, 1, 1),
        padding=(0, 0, 0),
        output_padding=(0, 0, 0),
        dilation=(1, 1, 1),
        groups=1,
        layout="NCDHW",
        activation=None,
        use_bias=True,
        weight_initializer=None,
        bias_initializer="zeros",
        in_channels=0,
        **kwargs,
    ) -> None:
        kwargs.update(activation=activation, use_bias=use_bias, in_channels=in_channels)
        kwargs.update(weight_initializer=weight_initializer, bias_initializer=bias_initializer)
        geometry = (strides, padding, dilation, groups, layout)
        super().__init__(channels, kernel_size, output_padding, *geometry, **kwargs)


class ReflectionPad2D(HybridBlock):
    """Extends images by their reflection, without the border itself.

    Parameters
    ----------
    padding : int or tuple of 8 ints, default 0
        How many rows and columns on each side; or before and after each of the four axes, which
        must be 0 for the first two.

    Raises
    ------
    AssertionError
        For anything else.

    Examples
    --------
    >>> import mxtape as mx
    >>> layer = mx.gluon.nn.ReflectionPad2D(1)
    >>> layer(mx.nd.array([[[[1, 2], [3, 4]]]]))[0, 0].asnumpy().tolist()
    [[4.0, 3.0, 4.0, 3.0], [2.0, 1.0, 2.0, 1.0], [4.0, 3.0, 4.0, 3.0], [2.0, 1.0, 2.0, 1.0]]
    """

    def __init__(self, padding=0, **kwargs) -> None:
        super().__init__(**kwargs)
        if isinstance(padding, numeric_types):
            padding = (0,) * 4 + (padding,) * 4
        if not isinstance(padding, (tuple, list)) or len(padding) != 8:
            raise AssertionError(
                f"ReflectionPad2D: padding must be a number or 8 numbers; got {padding!r}"
            )
        self._padding = tuple(padding)

    def hybrid_forward(self, F, x):
        return F.pad(x, mode="reflect", pad_width=self._padding)
