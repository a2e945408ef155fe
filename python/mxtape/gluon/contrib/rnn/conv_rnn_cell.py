"""Recurrent cells whose gates are convolutions."""

from ....base import numeric_types
from ...parameter import Parameter
from ...rnn.rnn_cell import HybridRecurrentCell

__all__ = [
    "Conv1DGRUCell",
    "Conv1DLSTMCell",
    "Conv1DRNNCell",
    "Conv2DGRUCell",
    "Conv2DLSTMCell",
    "Conv2DRNNCell",
    "Conv3DGRUCell",
    "Conv3DLSTMCell",
    "Conv3DRNNCell",
]


def _extents(value, dims, name):
    """A number, or a tuple of one for each dimension, as a tuple."""
    if isinstance(value, numeric_types):
        return (value,) * dims
    if len(value) != dims:
        raise AssertionError(
            f"{name} must be one number or {dims}, one for each dimension; got {value}"
        )
    return tuple(value)


def _convolved(extents, kernel, pad, dilate):
    """The extents after a convolution with stride 1; 0, not known, stays."""
    return tuple(
        extent and extent + 2 * before - dilation * (size - 1)
        for extent, size, before, dilation in zip(extents, kernel, pad, dilate)
    )


class _BaseConvRNNCell(HybridRecurrentCell):
    """A cell whose gates are convolutions of the input (i2h) and of the last output (h2h).

    Parameters
    ----------
    input_shape : tuple of int
        The shape of the input of one step, without the batch.
    hidden_channels : int
        The number of channels of the output, and of each state.
    i2h_kernel, h2h_kernel : int or tuple of int
        Those of the last output are odd; padding keeps its shape.
    i2h_pad, i2h_dilate, h2h_dilate : int or tuple of int
    i2h_weight_initializer, h2h_weight_initializer : str or Initializer, optional
        Default: what ``initialize`` is given.
    i2h_bias_initializer, h2h_bias_initializer : str or Initializer, default 'zeros'
    conv_layout : str
        What the axes of a batch of inputs are: N the batch, C the channels.
    activation : str or callable, default 'tanh'
        The name of an ``Activation``, a block, or a function.
    prefix : str, optional
    params : ParameterDict, optional
    """

    _gate_names: tuple = ("",)
    i2h_weight: Parameter

    def __init__(
        self,
        input_shape,
        hidden_channels,
        i2h_kernel,
        h2h_kernel,
        i2h_pad,
        i2h_dilate,
        h2h_dilate,
        i2h_weight_initializer,
        h2h_weight_initializer,
        i2h_bias_initializer,
        h2h_bias_initializer,
        dims,
        conv_layout,
        activation,
        prefix=None,
        params=None,
    ):
        super().__init__(prefix=prefix, params=params)
        if len(input_shape) != dims + 1:
            raise AssertionError(
                f"{type(self).__name__}: input_shape must have {dims + 1} extents, without the "
                f"batch; got {tuple(input_shape)}"
            )
        self._hidden_channels, self._activation = hidden_channels, activation
        self._input_shape, self._conv_layout = tuple(input_shape), conv_layout
        self._i2h_kernel = _extents(i2h_kernel, dims, "i2h_kernel")
        self._h2h_kernel = _extents(h2h_kernel, dims, "h2h_kernel")
        if any(extent % 2 == 0 for extent in self._h2h_kernel):
            raise AssertionError(f"h2h_kernel must be odd, got {h2h_kernel}")
        self._i2h_pad = _extents(i2h_pad, dims, "i2h_pad")
        self._i2h_dilate = _extents(i2h_dilate, dims, "i2h_dilate")
        self._h2h_dilate = _extents(h2h_dilate, dims, "h2h_dilate")
        self._h2h_pad = tuple(
            dilate * (extent - 1) // 2 for extent, dilate in zip(self._h2h_kernel, self._h2h_dilate)
        )
        self._stride = (1,) * dims
        self._channel_axis = conv_layout.find("C")
        self._in_channels, self._state_shape = self._shapes()
        gates = self._num_gates * hidden_channels
        parameters = {
            "i2h_weight": (
                self._weight_shape(gates, self._in_channels, self._i2h_kernel),
                i2h_weight_initializer,
            ),
            "h2h_weight": (
                self._weight_shape(gates, hidden_channels, self._h2h_kernel),
                h2h_weight_initializer,
            ),
            "i2h_bias": ((gates,), i2h_bias_initializer),
            "h2h_bias": ((gates,), h2h_bias_initializer),
        }
        for name, (shape, init) in parameters.items():
            parameter = self.params.get(name, shape=shape, init=init, allow_deferred_init=True)
            setattr(self, name, parameter)

    @property
    def _num_gates(self):
        return len(self._gate_names)

    def _at_channels(self, channels, extents):
        """Channels and the other extents in the order of the layout, without the batch."""
        axis = self._channel_axis - 1
        return (*extents[:axis], channels, *extents[axis:])

    def _shapes(self):
        """The number of channels of the input, and the shape of a state without the batch."""
        extents = list(self._input_shape)
        channels = extents.pop(self._channel_axis - 1)
        extents = _convolved(extents, self._i2h_kernel, self._i2h_pad, self._i2h_dilate)
        return channels, self._at_channels(self._hidden_channels, extents)

    def _weight_shape(self, filters, channels, kernel):
        return (filters, *self._at_channels(channels, kernel))

    def __repr__(self):
        filters = self.i2h_weight.shape[0]
        sizes = f"{self._in_channels or None} -> {filters}"
        return f"{type(self).__name__}({sizes}, {self._activation}, {self._conv_layout})"

    def state_info(self, batch_size=0):
        return [{"shape": (batch_size, *self._state_shape), "__layout__": self._conv_layout}]

    def _conv_forward(self, F, inputs, states, i2h_weight, h2h_weight, i2h_bias, h2h_bias, prefix):
        """The two convolutions, of the gates of all kinds side by side."""
        filters = self._hidden_channels * self._num_gates
        i2h = F.Convolution(
            data=inputs,
            weight=i2h_weight,
            bias=i2h_bias,
            num_filter=filters,
            kernel=self._i2h_kernel,
            stride=self._stride,
            pad=self._i2h_pad,
            dilate=self._i2h_dilate,
            layout=self._conv_layout,
            name=f"{prefix}i2h",
        )
        h2h = F.Convolution(
            data=states[0],
            weight=h2h_weight,
            bias=h2h_bias,
            num_filter=filters,
            kernel=self._h2h_kernel,
            stride=self._stride,
            pad=self._h2h_pad,
            dilate=self._h2h_dilate,
            layout=self._conv_layout,
            name=f"{prefix}h2h",
        )
        return i2h, h2h

    def hybrid_forward(self, F, inputs, states, **weights):  # type: ignore[override]
        prefix = f"t{self._counter}_"
        i2h, h2h = self._conv_forward(F, inputs, states, prefix=prefix, **weights)
        return self._step(F, i2h, h2h, states, prefix)

    def _step(self, F, i2h, h2h, states, prefix):
        """The output and the next states, from the two convolutions."""
        raise NotImplementedError(f"{type(self).__name__} does not define a step")


class _ConvRNNCell(_BaseConvRNNCell):
    def _alias(self):
        return "conv_rnn"

    def _step(self, F, i2h, h2h, states, prefix):
        output = self._get_activation(F, i2h + h2h, self._activation, name=f"{prefix}out")
        return output, [output]


class _ConvLSTMCell(_BaseConvRNNCell):
    _gate_names = ("_i", "_f", "_c", "_o")

    def _alias(self):
        return "conv_lstm"

    def state_info(self, batch_size=0):
        return super().state_info(batch_size) * 2

    def _step(self, F, i2h, h2h, states, prefix):
        output, memory = self._lstm_step(
            F, i2h, h2h, states[1], prefix, self._activation, axis=self._channel_axis
        )
        return output, [output, memory]


class _ConvGRUCell(_BaseConvRNNCell):
    _gate_names = ("_r", "_z", "_o")

    def _alias(self):
        return "conv_gru"

    def _step(self, F, i2h, h2h, states, prefix):
        output = self._gru_step(
            F, i2h, h2h, states[0], prefix, self._activation, axis=self._channel_axis
        )
        return output, [output]


def _constructor(name, dims, layout):
    """``__init__`` of the cell `name`, for `dims` dimensions."""

    def __init__(
        self,
        input_shape,
        hidden_channels,
        i2h_kernel,
        h2h_kernel,
        i2h_pad=(0,) * dims,
        i2h_dilate=(1,) * dims,
        h2h_dilate=(1,) * dims,
        i2h_weight_initializer=None,
        h2h_weight_initializer=None,
        i2h_bias_initializer="zeros",
        h2h_bias_initializer="zeros",
        conv_layout=layout,
        activation="tanh",
        prefix=None,
        params=None,
    ):
        _BaseConvRNNCell.__init__(
            self,
            input_shape,
            hidden_channels,
            i2h_kernel,
            h2h_kernel,
            i2h_pad,
            i2h_dilate,
            h2h_dilate,
            i2h_weight_initializer,
            h2h_weight_initializer,
            i2h_bias_initializer,
            h2h_bias_initializer,
            dims,
            conv_layout,
            activation,
            prefix,
            params,
        )

    __init__.__qualname__ = f"{name}.__init__"  # which a TypeError names
    return __init__


class Conv1DRNNCell(_ConvRNNCell):
    """:class:`RNNCell` with convolutions of one dimension; `conv_layout` is 'NCW'.

    Parameters: see :class:`Conv2DLSTMCell`.
    """

    __init__ = _constructor("Conv1DRNNCell", 1, "NCW")


class Conv2DRNNCell(_ConvRNNCell):
    """:class:`RNNCell` with convolutions of two dimensions; `conv_layout` is 'NCHW'.

    Parameters: see :class:`Conv2DLSTMCell`.
    """

    __init__ = _constructor("Conv2DRNNCell", 2, "NCHW")


class Conv3DRNNCell(_ConvRNNCell):
    """:class:`RNNCell` with convolutions of three dimensions; `conv_layout` is 'NCDHW'.

    Parameters: see :class:`Conv2DLSTMCell`.
    """

    __init__ = _constructor("Conv3DRNNCell", 3, "NCDHW")


class Conv1DLSTMCell(_ConvLSTMCell):
    """:class:`LSTMCell` with convolutions of one dimension; `conv_layout` is 'NCW'.

    Parameters: see :class:`Conv2DLSTMCell`.
    """

    __init__ = _constructor("Conv1DLSTMCell", 1, "NCW")


class Conv2DLSTMCell(_ConvLSTMCell):
    """:class:`LSTMCell` with convolutions of two dimensions; `conv_layout` is 'NCHW'.

    Shi et al., Convolutional LSTM network: a machine learning approach for precipitation
    nowcasting, 2015.

    Parameters
    ----------
    input_shape : tuple of int
        The shape of the input of one step, without the batch.
    hidden_channels : int
        The number of channels of the output, and of each state.
    i2h_kernel, h2h_kernel : int or tuple of int
        Those of the last output are odd; padding keeps its shape.
    i2h_pad : int or tuple of int, default 0
    i2h_dilate, h2h_dilate : int or tuple of int, default 1
    i2h_weight_initializer, h2h_weight_initializer : str or Initializer, optional
        Default: what ``initialize`` is given.
    i2h_bias_initializer, h2h_bias_initializer : str or Initializer, default 'zeros'
    conv_layout : str
        What the axes of a batch of inputs are: N the batch, C the channels.
    activation : str or callable, default 'tanh'
        The name of an ``Activation``, a block, or a function.
    prefix : str, optional
    params : ParameterDict, optional

    Examples
    --------
    >>> import mxtape as mx
    >>> cell = mx.gluon.contrib.rnn.Conv2DLSTMCell((3, 16, 16), 8, 3, 3, i2h_pad=1)
    >>> cell.initialize()
    >>> outputs, states = cell.unroll(2, mx.nd.ones((4, 2, 3, 16, 16)), merge_outputs=True)
    >>> outputs.shape
    (4, 2, 8, 16, 16)
    """

    __init__ = _constructor("Conv2DLSTMCell", 2, "NCHW")


class Conv3DLSTMCell(_ConvLSTMCell):
    """:class:`LSTMCell` with convolutions of three dimensions; `conv_layout` is 'NCDHW'.

    Parameters: see :class:`Conv2DLSTMCell`.
    """

    __init__ = _constructor("Conv3DLSTMCell", 3, "NCDHW")


class Conv1DGRUCell(_ConvGRUCell):
    """:class:`GRUCell` with convolutions of one dimension; `conv_layout` is 'NCW'.

    Parameters: see :class:`Conv2DLSTMCell`.
    """

    __init__ = _constructor("Conv1DGRUCell", 1, "NCW")


class Conv2DGRUCell(_ConvGRUCell):
    """:class:`GRUCell` with convolutions of two dimensions; `conv_layout` is 'NCHW'.

    Parameters: see :class:`Conv2DLSTMCell`.
    """

    __init__ = _constructor("Conv2DGRUCell", 2, "NCHW")


class Conv3DGRUCell(_ConvGRUCell):
    """:class:`GRUCell` with convolutions of three dimensions; `conv_layout` is 'NCDHW'.

    Parameters: see :class:`Conv2DLSTMCell`.
    """

    __init__ = _constructor("Conv3DGRUCell", 3, "NCDHW")
