"""Pooling layers: the maximum or the mean of windows, or of whole channels."""

from ...base import numeric_types
from ..block import HybridBlock

__all__ = [
    "AvgPool1D",
    "AvgPool2D",
    "AvgPool3D",
    "GlobalAvgPool1D",
    "GlobalAvgPool2D",
    "GlobalAvgPool3D",
    "GlobalMaxPool1D",
    "GlobalMaxPool2D",
    "GlobalMaxPool3D",
    "MaxPool1D",
    "MaxPool2D",
    "MaxPool3D",
]

# By the number of axes of a window.
_LAYOUTS = {1: ("NCW", "NWC"), 2: ("NCHW", "NHWC"), 3: ("NCDHW", "NDHWC")}


def _extents(value, axes, checked=None):
    """One number for each axis, as a tuple; several numbers stay as they are.

    `checked` is the name to complain with where their number is wrong.
    """
    if isinstance(value, numeric_types):
        value = (value,) * axes
    if checked is not None and len(value) != axes:
        raise AssertionError(f"{checked} must be a number or {axes} numbers; got {value!r}")
    return value


def _check_layout(layer, layout, allowed):
    if layout not in allowed:
        raise AssertionError(f"{layer}: layout must be one of {allowed}; got {layout!r}")


class _Pooling(HybridBlock):
    """A layer of the operator Pooling over ``len(pool_size)`` axes."""

    def __init__(
        self,
        pool_size,
        strides,
        padding,
        ceil_mode,
        global_pool,
        pool_type,
        layout,
        count_include_pad=None,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        axes = len(pool_size)
        strides = pool_size if strides is None else _extents(strides, axes)
        self._kwargs = {
            "kernel": pool_size,
            "stride": strides,
            "pad": _extents(padding, axes),
            "global_pool": global_pool,
            "pool_type": pool_type,
            "layout": layout,
            "pooling_convention": "full" if ceil_mode else "valid",
        }
        if count_include_pad is not None:
            self._kwargs["count_include_pad"] = count_include_pad

    def _alias(self):
        return "pool"

    def __repr__(self):
        text = (
            "size={kernel}, stride={stride}, padding={pad}, ceil_mode={ceil_mode}, "
            "global_pool={global_pool}, pool_type={pool_type}, layout={layout}"
        )
        ceil_mode = self._kwargs["pooling_convention"] == "full"
        return f"{type(self).__name__}({text.format(ceil_mode=ceil_mode, **self._kwargs)})"

    def hybrid_forward(self, F, x):
        return F.Pooling(x, name="fwd", **self._kwargs)


class _Windows(_Pooling):
    """Pooling of windows, for the number of axes and the kind that the class knows."""

    _axes = 2
    _kind = "max"

    def __init__(
        self, pool_size, strides, padding, ceil_mode, layout, included=None, **kwargs
    ) -> None:
        _check_layout(type(self).__name__, layout, _LAYOUTS[self._axes])
        pool_size = _extents(pool_size, self._axes, "pool_size")
        what = (ceil_mode, False, self._kind, layout, included)
        super().__init__(pool_size, strides, padding, *what, **kwargs)


class _WholeChannels(_Pooling):
    """Pooling of whole channels, for the number of axes and the kind that the class knows."""

    _axes = 2
    _kind = "max"

    def __init__(self, layout, **kwargs) -> None:
        _check_layout(type(self).__name__, layout, _LAYOUTS[self._axes])
        what = (True, True, self._kind, layout)
        super().__init__((1,) * self._axes, None, 0, *what, **kwargs)


class MaxPool1D(_Windows):
    """The maximum of windows of sequences (N, channels, width).

    Parameters
    ----------
    pool_size : int or tuple of 1 int, default 2
    strides : int or tuple of 1 int, default pool_size
    padding : int or tuple of 1 int, default 0
        Elements beyond each end; they never are the maximum.
    layout : {'NCW', 'NWC'}
    ceil_mode : bool, default False
        Whether a window that is cut off at the end counts: the size of the output is rounded up.

    Raises
    ------
    AssertionError
        A size of another number of axes, or another layout.

    Examples
    --------
    >>> import mxtape as mx
    >>> x = mx.nd.array([[[1, 3, 2, 5, 4]]])
    >>> mx.gluon.nn.MaxPool1D()(x).asnumpy().tolist()
    [[[3.0, 5.0]]]
    >>> mx.gluon.nn.MaxPool1D(ceil_mode=True)(x).asnumpy().tolist()
    [[[3.0, 5.0, 4.0]]]
    """

    _axes = 1

    def __init__(
        self, pool_size=2, strides=None, padding=0, layout="NCW", ceil_mode=False, **kwargs
    ) -> None:
        super().__init__(pool_size, strides, padding, ceil_mode, layout, **kwargs)


class MaxPool2D(_Windows):
    """The maximum of windows of images (N, channels, height, width); see :class:`MaxPool1D`.

    Parameters
    ----------
    pool_size : int or tuple of 2 ints, default (2, 2)
    strides, padding : int or tuple of 2 ints, default pool_size, 0
    layout : {'NCHW', 'NHWC'}
    ceil_mode : bool, default False

    Examples
    --------
    >>> import mxtape as mx
    >>> layer = mx.gluon.nn.MaxPool2D(pool_size=3, strides=2, padding=1)
    >>> layer(mx.nd.ones((2, 4, 10, 11))).shape
    (2, 4, 5, 6)
    """

    def __init__(
        self, pool_size=(2, 2), strides=None, padding=0, layout="NCHW", ceil_mode=False, **kwargs
    ) -> None:
        super().__init__(pool_size, strides, padding, ceil_mode, layout, **kwargs)


class MaxPool3D(_Windows):
    """The maximum of windows of volumes (N, channels, depth, height, width).

    Parameters
    ----------
    pool_size : int or tuple of 3 ints, default (2, 2, 2)
    strides, padding : int or tuple of 3 ints, default pool_size, 0
    ceil_mode : bool, default False
    layout : {'NCDHW', 'NDHWC'}

    Examples
    --------
    >>> import mxtape as mx
    >>> mx.gluon.nn.MaxPool3D()(mx.nd.ones((2, 4, 4, 6, 8))).shape
    (2, 4, 2, 3, 4)
    """

    _axes = 3

    def __init__(
        self,
        pool_size=(2, 2, 2),
        strides=None,
        padding=0,
        ceil_mode=False,
        layout="NCDHW",
        **kwargs,
    ) -> None:
        super().__init__(pool_size, strides, padding, ceil_mode, layout, **kwargs)


class AvgPool1D(_Windows):
    """The mean of windows of sequences (N, channels, width).

    Parameters
    ----------
    pool_size, strides, padding, layout, ceil_mode
        As of :class:`MaxPool1D`.
    count_include_pad : bool, default True
        Whether padding counts as zeros; otherwise it does not count.

    Examples
    --------
    >>> import mxtape as mx
    >>> x = mx.nd.array([[[2, 4]]])
    >>> mx.gluon.nn.AvgPool1D(padding=1)(x).asnumpy().tolist()
    [[[1.0, 2.0]]]
    >>> mx.gluon.nn.AvgPool1D(padding=1, count_include_pad=False)(x).asnumpy().tolist()
    [[[2.0, 4.0]]]
    """

    _axes, _kind = 1, "avg"

    def __init__(
        self,
        pool_size=2,
        strides=None,
        padding=0,
        layout="NCW",
        ceil_mode=False,
        count_include_pad=True,
        **kwargs,
    ) -> None:
        included = count_include_pad
        super().__init__(pool_size, strides, padding, ceil_mode, layout, included, **kwargs)


class AvgPool2D(_Windows):
    """The mean of windows of images (N, channels, height, width); see :class:`AvgPool1D`.

    Parameters
    ----------
    pool_size : int or tuple of 2 ints, default (2, 2)
    strides, padding, ceil_mode, layout
        As of :class:`MaxPool2D`.
    count_include_pad : bool, default True

    Examples
    --------
    >>> import mxtape as mx
    >>> mx.gluon.nn.AvgPool2D()(mx.nd.array([[[[1, 2], [3, 6]]]])).asnumpy().tolist()
    [[[[3.0]]]]
    """

    _kind = "avg"

    def __init__(
        self,
        pool_size=(2, 2),
        strides=None,
        padding=0,
        ceil_mode=False,
        layout="NCHW",
        count_include_pad=True,
        **kwargs,
    ) -> None:
        included = count_include_pad
        super().__init__(pool_size, strides, padding, ceil_mode, layout, included, **kwargs)


class AvgPool3D(_Windows):
    """The mean of windows of volumes (N, channels, depth, height, width); see :class:`AvgPool1D`.

    Parameters
    ----------
    pool_size : int or tuple of 3 ints, default (2, 2, 2)
    strides, padding, ceil_mode, layout
        As of :class:`MaxPool3D`.
    count_include_pad : bool, default True

    Examples
    --------
    >>> import mxtape as mx
    >>> mx.gluon.nn.AvgPool3D()(mx.nd.ones((1, 1, 2, 2, 4))).shape
    (1, 1, 1, 1, 2)
    """

    _axes, _kind = 3, "avg"

    def __init__(
        self,
        pool_size=(2, 2, 2),
        strides=None,
        padding=0,
        ceil_mode=False,
        layout="NCDHW",
        count_include_pad=True,
        **kwargs,
    ) -> None:
        included = count_include_pad
        super().__init__(pool_size, strides, padding, ceil_mode, layout, included, **kwargs)


class GlobalMaxPool1D(_WholeChannels):
    """The maximum of each channel of a sequence, with extents of 1 in the place of the axes.

    Parameters
    ----------
    layout : {'NCW', 'NWC'}

    Examples
    --------
    >>> import mxtape as mx
    >>> mx.gluon.nn.GlobalMaxPool1D()(mx.nd.array([[[1, 2, 6]]])).asnumpy().tolist()
    [[[6.0]]]
    """

    _axes = 1

    def __init__(self, layout="NCW", **kwargs) -> None:
        super().__init__(layout, **kwargs)


class GlobalMaxPool2D(_WholeChannels):
    """The maximum of each channel of a image, with extents of 1 in the place of the axes.

    Parameters
    ----------
    layout : {'NCHW', 'NHWC'}

    Examples
    --------
    >>> import mxtape as mx
    >>> mx.gluon.nn.GlobalMaxPool2D()(mx.nd.array([[[[1, 2], [3, 6]]]])).asnumpy().tolist()
    [[[[6.0]]]]
    """

    def __init__(self, layout="NCHW", **kwargs) -> None:
        super().__init__(layout, **kwargs)


class GlobalMaxPool3D(_WholeChannels):
    """The maximum of each channel of a volume, with extents of 1 in the place of the axes.

    Parameters
    ----------
    layout : {'NCDHW', 'NDHWC'}

    Examples
    --------
    >>> import mxtape as mx
    >>> mx.gluon.nn.GlobalMaxPool3D()(mx.nd.array([[[[[1, 2], [3, 6]]]]])).asnumpy().tolist()
    [[[[[6.0]]]]]
    """

    _axes = 3

    def __init__(self, layout="NCDHW", **kwargs) -> None:
        super().__init__(layout, **kwargs)


class GlobalAvgPool1D(_WholeChannels):
    """The mean of each channel of a sequence, with extents of 1 in the place of the axes.

    Parameters
    ----------
    layout : {'NCW', 'NWC'}

    Examples
    --------
    >>> import mxtape as mx
    >>> mx.gluon.nn.GlobalAvgPool1D()(mx.nd.array([[[1, 2, 6]]])).asnumpy().tolist()
    [[[3.0]]]
    """

    _axes, _kind = 1, "avg"

    def __init__(self, layout="NCW", **kwargs) -> None:
        super().__init__(layout, **kwargs)


class GlobalAvgPool2D(_WholeChannels):
    """The mean of each channel of a image, with extents of 1 in the place of the axes.

    Parameters
    ----------
    layout : {'NCHW', 'NHWC'}

    Examples
    --------
    >>> import mxtape as mx
    >>> mx.gluon.nn.GlobalAvgPool2D()(mx.nd.array([[[[1, 2], [3, 6]]]])).asnumpy().tolist()
    [[[[3.0]]]]
    """

    _kind = "avg"

    def __init__(self, layout="NCHW", **kwargs) -> None:
        super().__init__(layout, **kwargs)


class GlobalAvgPool3D(_WholeChannels):
    """The mean of each channel of a volume, with extents of 1 in the place of the axes.

    Parameters
    ----------
    layout : {'NCDHW', 'NDHWC'}

    Examples
    --------
    >>> import mxtape as mx
    >>> mx.gluon.nn.GlobalAvgPool3D()(mx.nd.array([[[[[1, 2], [3, 6]]]]])).asnumpy().tolist()
    [[[[[3.0]]]]]
    """

    _axes, _kind = 3, "avg"

    def __init__(self, layout="NCDHW", **kwargs) -> None:
        super().__init__(layout, **kwargs)
