"""Recurrent cells whose gates are convolutions."""

import functools

from .. import symbol
from ._base_cell import BaseRNNCell

_LEAKY = functools.partial(symbol.LeakyReLU, act_type="leaky", slope=0.2)


class BaseConvRNNCell(BaseRNNCell):
    """A cell whose gates are convolutions of the input (i2h) and of the last output (h2h).

    Parameters
    ----------
    input_shape : tuple of int
        The shape of the input of one step, with the batch; its extent does not matter.
    num_hidden : int
        The number of channels of the output.
    h2h_kernel, h2h_dilate : tuple of int
        Of the convolution of the last output. The kernel is odd; padding keeps the shape.
    i2h_kernel, i2h_stride, i2h_pad, i2h_dilate : tuple of int
        Of the convolution of the input.
    i2h_weight_initializer, h2h_weight_initializer, i2h_bias_initializer, h2h_bias_initializer
        Initializers, or their names; None for the one that the model is initialized with.
    activation : str or callable
        The name of an ``Activation``, or a function of a symbol.
    prefix : str, default ''
    params : RNNParams, optional
    conv_layout : str, default 'NCHW'
        What the axes of `input_shape` are.
    """

    def __init__(
        self,
        input_shape,
        num_hidden,
        h2h_kernel,
        h2h_dilate,
        i2h_kernel,
        i2h_stride,
        i2h_pad,
        i2h_dilate,
        i2h_weight_initializer,
        h2h_weight_initializer,
        i2h_bias_initializer,
        h2h_bias_initializer,
        activation,
        prefix="",
        params=None,
        conv_layout="NCHW",
    ):
        super().__init__(prefix=prefix, params=params)
        if any(extent % 2 == 0 for extent in h2h_kernel):
            raise AssertionError(f"Only support odd number, get h2h_kernel= {h2h_kernel}")
        self._h2h_kernel = h2h_kernel
        self._h2h_dilate = h2h_dilate
        self._h2h_pad = tuple(
            dilate * (extent - 1) // 2 for extent, dilate in zip(h2h_kernel, h2h_dilate)
        )
        self._i2h_kernel, self._i2h_stride = i2h_kernel, i2h_stride
        self._i2h_pad, self._i2h_dilate = i2h_pad, i2h_dilate
        self._num_hidden, self._activation = num_hidden, activation
        self._input_shape, self._conv_layout = input_shape, conv_layout
        convolved = symbol.Convolution(
            data=symbol.Variable("data"), num_filter=num_hidden, **self._i2h_arguments
        )
        self._state_shape = (0, *convolved.infer_shape(data=input_shape)[1][0][1:])
        self._iW = self._parameter("i2h_weight", i2h_weight_initializer)
        self._hW = self._parameter("h2h_weight", h2h_weight_initializer)
        self._iB = self._parameter("i2h_bias", i2h_bias_initializer)
        self._hB = self._parameter("h2h_bias", h2h_bias_initializer)

    def _parameter(self, name, initializer):
        return self.params.get(name, **({} if initializer is None else {"init": initializer}))

    @property
    def _i2h_arguments(self):
        return {
            "kernel": self._i2h_kernel,
            "stride": self._i2h_stride,
            "pad": self._i2h_pad,
            "dilate": self._i2h_dilate,
            "layout": self._conv_layout,
        }

    @property
    def _num_gates(self):
        return len(self._gate_names)

    @property
    def state_info(self):
        return [{"shape": self._state_shape, "__layout__": self._conv_layout}]

    def _conv_forward(self, inputs, states, name):
        """The two convolutions, of the gates of all kinds side by side."""
        filters = self._num_hidden * self._num_gates
        i2h = symbol.Convolution(
            name=f"{name}i2h",
            data=inputs,
            weight=self._iW,
            bias=self._iB,
            num_filter=filters,
            **self._i2h_arguments,
        )
        h2h = symbol.Convolution(
            name=f"{name}h2h",
            data=states[0],
            weight=self._hW,
            bias=self._hB,
            num_filter=filters,
            kernel=self._h2h_kernel,
            stride=(1,) * len(self._h2h_kernel),
            pad=self._h2h_pad,
            dilate=self._h2h_dilate,
            layout=self._conv_layout,
        )
        return i2h, h2h

    def _begin_step(self, inputs, states):
        self._counter += 1
        name = f"{self._prefix}t{self._counter}_"
        return (name, *self._conv_forward(inputs, states, name))


def _constructor(default_prefix):
    """``__init__`` of the cells, which differ in the prefix."""

    def __init__(
        self,
        input_shape,
        num_hidden,
        h2h_kernel=(3, 3),
        h2h_dilate=(1, 1),
        i2h_kernel=(3, 3),
        i2h_stride=(1, 1),
        i2h_pad=(1, 1),
        i2h_dilate=(1, 1),
        i2h_weight_initializer=None,
        h2h_weight_initializer=None,
        i2h_bias_initializer="zeros",
        h2h_bias_initializer="zeros",
        activation=_LEAKY,
        prefix=default_prefix,
        params=None,
        conv_layout="NCHW",
    ):
        BaseConvRNNCell.__init__(
            self,
            input_shape,
            num_hidden,
            h2h_kernel,
            h2h_dilate,
            i2h_kernel,
            i2h_stride,
            i2h_pad,
            i2h_dilate,
            i2h_weight_initializer,
            h2h_weight_initializer,
            i2h_bias_initializer,
            h2h_bias_initializer,
            activation,
            prefix,
            params,
            conv_layout,
        )

    return __init__


class ConvRNNCell(BaseConvRNNCell):
    """:class:`RNNCell` with convolutions. Parameters: see :class:`BaseConvRNNCell`.

    Examples
    --------
    >>> import mxtape as mx
    >>> cell = mx.rnn.ConvRNNCell((1, 3, 16, 16), 8)
    >>> output, states = cell(mx.sym.var("x"), cell.begin_state())
    >>> output.infer_shape(x=(4, 3, 16, 16))[1]
    [(4, 8, 16, 16)]
    """

    __init__ = _constructor("ConvRNN_")

    @property
    def _gate_names(self):
        return ("",)

    def __call__(self, inputs, states):
        name, i2h, h2h = self._begin_step(inputs, states)
        output = self._get_activation(i2h + h2h, self._activation, name=f"{name}out")
        return output, [output]


class ConvLSTMCell(BaseConvRNNCell):
    """:class:`LSTMCell` with convolutions. Parameters: see :class:`BaseConvRNNCell`.

    Shi et al., Convolutional LSTM network: a machine learning approach for precipitation
    nowcasting, 2015.
    """

    __init__ = _constructor("ConvLSTM_")

    @property
    def _gate_names(self):
        return ["_i", "_f", "_c", "_o"]

    @property
    def state_info(self):
        return super().state_info * 2

    def __call__(self, inputs, states):
        name, i2h, h2h = self._begin_step(inputs, states)
        output, memory = self._lstm_step(i2h + h2h, states[1], name, self._activation, axis=1)
        return output, [output, memory]


class ConvGRUCell(BaseConvRNNCell):
    """:class:`GRUCell` with convolutions. Parameters: see :class:`BaseConvRNNCell`."""

    __init__ = _constructor("ConvGRU_")

    @property
    def _gate_names(self):
        return ["_r", "_z", "_o"]

    def __call__(self, inputs, states):
        name, i2h, h2h = self._begin_step(inputs, states)
        output = self._gru_step(i2h, h2h, states[0], name, self._activation)
        return output, [output]
