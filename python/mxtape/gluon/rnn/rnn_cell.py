"""Cells: one step of a recurrent network each, and what is made of them."""

from ..parameter import Parameter
from ._base_cell import HybridRecurrentCell, RecurrentCell
from ._composed_cells import (
    BidirectionalCell,
    DropoutCell,
    HybridSequentialRNNCell,
    ModifierCell,
    ResidualCell,
    SequentialRNNCell,
    ZoneoutCell,
)
from ._sequence import (  # noqa: F401 (programs use them)
    _format_sequence,
    _get_begin_state,
    _mask_sequence_variable_length,
    _reverse_sequences,
)

__all__ = [
    "BidirectionalCell",
    "DropoutCell",
    "GRUCell",
    "HybridRecurrentCell",
    "HybridSequentialRNNCell",
    "LSTMCell",
    "ModifierCell",
    "RNNCell",
    "RecurrentCell",
    "ResidualCell",
    "SequentialRNNCell",
    "ZoneoutCell",
]


class _DenseCell(HybridRecurrentCell):
    """A cell whose gates are dense functions of the input (i2h) and of the last output (h2h)."""

    _gates = 1
    i2h_weight: Parameter

    def __init__(self, hidden_size, input_size, initializers, prefix, params) -> None:
        super().__init__(prefix=prefix, params=params)
        self._hidden_size, self._input_size = hidden_size, input_size
        for (name, shape), init in zip(self._parameter_shapes().items(), initializers):
            parameter = self.params.get(name, shape=shape, init=init, allow_deferred_init=True)
            setattr(self, name, parameter)

    def _parameter_shapes(self):
        """The shapes of the parameters, in their order."""
        rows = self._gates * self._hidden_size
        return {
            "i2h_weight": (rows, self._input_size),
            "h2h_weight": (rows, self._hidden_size),
            "i2h_bias": (rows,),
            "h2h_bias": (rows,),
        }

    def state_info(self, batch_size=0):
        return [{"shape": (batch_size, self._hidden_size), "__layout__": "NC"}]

    def _sizes(self):
        rows, inputs = self.i2h_weight.shape
        return f"{inputs or None} -> {rows}"

    def __repr__(self):
        return f"{type(self).__name__}({self._sizes()})"

    def _dense(self, F, inputs, state, weights, prefix):
        """The two products, of all gates side by side."""
        i2h_weight, h2h_weight, i2h_bias, h2h_bias = weights
        size = self._gates * self._hidden_size
        i2h = F.FullyConnected(
            data=inputs, weight=i2h_weight, bias=i2h_bias, num_hidden=size, name=f"{prefix}i2h"
        )
        h2h = F.FullyConnected(
            data=state, weight=h2h_weight, bias=h2h_bias, num_hidden=size, name=f"{prefix}h2h"
        )
        return i2h, h2h


class RNNCell(_DenseCell):
    """The plain recurrent cell: ``h' = activation(W_i x + b_i + W_h h + b_h)``.

    Parameters
    ----------
    hidden_size : int
        The size of the output, and of the state `h`.
    activation : str or callable, default 'tanh'
        The name of an ``Activation``, a block, or a function.
    i2h_weight_initializer, h2h_weight_initializer : str or Initializer, optional
        Default: what ``initialize`` is given.
    i2h_bias_initializer, h2h_bias_initializer : str or Initializer, default 'zeros'
    input_size : int, default 0
        The size of the input; 0: from the first call.
    prefix : str, optional
    params : ParameterDict, optional

    Examples
    --------
    >>> import mxtape as mx
    >>> cell = mx.gluon.rnn.RNNCell(10, activation="relu", input_size=5)
    >>> cell
    RNNCell(5 -> 10, relu)
    >>> cell.initialize()
    >>> output, states = cell(mx.nd.ones((4, 5)), cell.begin_state(batch_size=4))
    >>> output.shape, len(states)
    ((4, 10), 1)
    """

    def __init__(
        self,
        hidden_size,
        activation="tanh",
        i2h_weight_initializer=None,
        h2h_weight_initializer=None,
        i2h_bias_initializer="zeros",
        h2h_bias_initializer="zeros",
        input_size=0,
        prefix=None,
        params=None,
    ) -> None:
        initializers = (
            i2h_weight_initializer,
            h2h_weight_initializer,
            i2h_bias_initializer,
            h2h_bias_initializer,
        )
        super().__init__(hidden_size, input_size, initializers, prefix, params)
        self._activation = activation

    def _alias(self):
        return "rnn"

    def __repr__(self):
        return f"{type(self).__name__}({self._sizes()}, {self._activation})"

    def hybrid_forward(self, F, inputs, states, i2h_weight, h2h_weight, i2h_bias, h2h_bias):
        prefix = f"t{self._counter}_"
        weights = (i2h_weight, h2h_weight, i2h_bias, h2h_bias)
        i2h, h2h = self._dense(F, inputs, states[0], weights, prefix)
        total = F.elemwise_add(i2h, h2h, name=f"{prefix}plus0")
        output = self._get_activation(F, total, self._activation, name=f"{prefix}out")
        return output, [output]


class LSTMCell(_DenseCell):
    """Long short-term memory.

    With ``i, f, o`` the sigmoids, and ``g`` the tanh, of ``W_i x + b_i + W_h h + b_h``::

        c' = f * c + i * g
        h' = o * tanh(c')

    The states are `h` and `c`. The parts of a weight are in the order i, f, g, o.

    Hochreiter and Schmidhuber, Long short-term memory, 1997; Gers et al., Learning to forget, 1999.

    Parameters
    ----------
    hidden_size : int
        The size of the output, and of each state.
    i2h_weight_initializer, h2h_weight_initializer : str or Initializer, optional
        Default: what ``initialize`` is given.
    i2h_bias_initializer, h2h_bias_initializer : str or Initializer, default 'zeros'
    input_size : int, default 0
        The size of the input; 0: from the first call.
    prefix : str, optional
    params : ParameterDict, optional
    activation : str or callable, default 'tanh'
        In the place of tanh.
    recurrent_activation : str or callable, default 'sigmoid'
        In the place of the sigmoids.

    Examples
    --------
    >>> import mxtape as mx
    >>> cell = mx.gluon.rnn.LSTMCell(10)
    >>> cell.initialize()
    >>> output, states = cell(mx.nd.ones((4, 5)), cell.begin_state(batch_size=4))
    >>> output.shape, [state.shape for state in states]
    ((4, 10), [(4, 10), (4, 10)])
    """

    _gates = 4

    def __init__(
        self,
        hidden_size,
        i2h_weight_initializer=None,
        h2h_weight_initializer=None,
        i2h_bias_initializer="zeros",
        h2h_bias_initializer="zeros",
        input_size=0,
        prefix=None,
        params=None,
        activation="tanh",
        recurrent_activation="sigmoid",
    ) -> None:
        initializers = (
            i2h_weight_initializer,
            h2h_weight_initializer,
            i2h_bias_initializer,
            h2h_bias_initializer,
        )
        super().__init__(hidden_size, input_size, initializers, prefix, params)
        self._activation = activation
        self._recurrent_activation = recurrent_activation

    def _alias(self):
        return "lstm"

    def state_info(self, batch_size=0):
        return super().state_info(batch_size) * 2

    def hybrid_forward(self, F, inputs, states, i2h_weight, h2h_weight, i2h_bias, h2h_bias):
        prefix = f"t{self._counter}_"
        weights = (i2h_weight, h2h_weight, i2h_bias, h2h_bias)
        i2h, h2h = self._dense(F, inputs, states[0], weights, prefix)
        output, memory = self._lstm_step(
            F, i2h, h2h, states[1], prefix, self._activation, self._recurrent_activation
        )
        return output, [output, memory]


class GRUCell(_DenseCell):
    """A gated recurrent unit.

    With ``r, z`` the sigmoids of ``W_i x + b_i + W_h h + b_h``::

        n  = tanh(W_in x + b_in + r * (W_hn h + b_hn))
        h' = (1 - z) * n + z * h

    The parts of a weight are in the order r, z, n.

    Cho et al., Learning phrase representations using RNN encoder-decoder, 2014.

    Parameters
    ----------
    hidden_size : int
        The size of the output, and of the state `h`.
    i2h_weight_initializer, h2h_weight_initializer : str or Initializer, optional
        Default: what ``initialize`` is given.
    i2h_bias_initializer, h2h_bias_initializer : str or Initializer, default 'zeros'
    input_size : int, default 0
        The size of the input; 0: from the first call.
    prefix : str, optional
    params : ParameterDict, optional

    Examples
    --------
    >>> import mxtape as mx
    >>> mx.gluon.rnn.GRUCell(10).state_info(batch_size=4)
    [{'shape': (4, 10), '__layout__': 'NC'}]
    """

    _gates = 3

    def __init__(
        self,
        hidden_size,
        i2h_weight_initializer=None,
        h2h_weight_initializer=None,
        i2h_bias_initializer="zeros",
        h2h_bias_initializer="zeros",
        input_size=0,
        prefix=None,
        params=None,
    ) -> None:
        initializers = (
            i2h_weight_initializer,
            h2h_weight_initializer,
            i2h_bias_initializer,
            h2h_bias_initializer,
        )
        super().__init__(hidden_size, input_size, initializers, prefix, params)

    def _alias(self):
        return "gru"

    def hybrid_forward(self, F, inputs, states, i2h_weight, h2h_weight, i2h_bias, h2h_bias):
        prefix = f"t{self._counter}_"
        weights = (i2h_weight, h2h_weight, i2h_bias, h2h_bias)
        i2h, h2h = self._dense(F, inputs, states[0], weights, prefix)
        output = self._gru_step(F, i2h, h2h, states[0], prefix)
        return output, [output]
