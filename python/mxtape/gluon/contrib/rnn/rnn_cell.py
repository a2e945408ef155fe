"""Dropout with one mask for all steps, LSTM with a projection, and unrolling by ``foreach``."""

from ...rnn._composed_cells import _check_has_steps
from ...rnn._sequence import _format_sequence, _mask_sequence_variable_length, _namespace
from ...rnn.rnn_cell import ModifierCell, _DenseCell

__all__ = ["LSTMPCell", "VariationalDropoutCell", "dynamic_unroll"]


class VariationalDropoutCell(ModifierCell):
    """Drops in training the same elements in all steps of a sequence.

    The masks of input, output and first state are drawn anew after ``reset()``, with which
    ``unroll`` begins.

    Gal and Ghahramani, A theoretically grounded application of dropout in recurrent neural
    networks, 2016.

    Parameters
    ----------
    base_cell : HybridRecurrentCell
        The cell around which it is put.
    drop_inputs, drop_states, drop_outputs : float, default 0
        The probability with which an element of the input, of the first state, or of the output is
        dropped.

    Examples
    --------
    >>> import mxtape as mx
    >>> lstm = mx.gluon.rnn.LSTMCell(10)
    >>> cell = mx.gluon.contrib.rnn.VariationalDropoutCell(lstm, drop_states=0.5)
    >>> cell.initialize()
    >>> outputs, states = cell.unroll(3, mx.nd.ones((4, 3, 5)), merge_outputs=True)
    >>> outputs.shape
    (4, 3, 10)
    """

    def __init__(self, base_cell, drop_inputs=0.0, drop_states=0.0, drop_outputs=0.0):
        if drop_states:
            _check_has_steps("VariationalDropoutCell with drop_states", base_cell)
        super().__init__(base_cell)
        self.drop_inputs, self.drop_states = drop_inputs, drop_states
        self.drop_outputs = drop_outputs

    def _alias(self):
        return "vardrop"

    def __repr__(self):
        return f"{type(self).__name__}(p_out = {self.drop_outputs}, p_state = {self.drop_states})"

    def reset(self):
        super().reset()
        self.drop_inputs_mask = self.drop_states_mask = self.drop_outputs_mask = None

    def _dropped(self, F, what, array):
        """`array` with the elements dropped that the mask for `what` drops."""
        rate = getattr(self, f"drop_{what}")
        if not rate:
            return array
        mask = getattr(self, f"drop_{what}_mask")
        # What was kept may be a symbol, of the time when this cell was traced.
        if mask is None or _namespace(mask) is not F:
            mask = F.Dropout(F.ones_like(array), p=rate)
            setattr(self, f"drop_{what}_mask", mask)
        return array * mask  # which names a symbol as in MXNet

    def hybrid_forward(self, F, inputs, states):
        if self.drop_states:
            states = [self._dropped(F, "states", states[0]), *states[1:]]
        inputs = self._dropped(F, "inputs", inputs)
        output, states = self._as_unmodified(self.base_cell, inputs, states)
        return self._dropped(F, "outputs", output), states

    def unroll(
        self,
        length,
        inputs,
        begin_state=None,
        layout="NTC",
        merge_outputs=None,
        valid_length=None,
    ):
        if self.drop_states:
            return super().unroll(
                length, inputs, begin_state, layout, merge_outputs, valid_length=valid_length
            )
        # The steps see their states as they are: masks of whole sequences do.
        self.reset()
        inputs, axis, F, _ = _format_sequence(length, inputs, layout, True)
        if self.drop_inputs:
            inputs = F.Dropout(inputs, p=self.drop_inputs, axes=(axis,))
        outputs, states = self._as_unmodified(
            self.base_cell.unroll,
            length,
            inputs,
            begin_state,
            layout,
            merge_outputs=True,
            valid_length=valid_length,
        )
        if self.drop_outputs:
            outputs = F.Dropout(outputs, p=self.drop_outputs, axes=(axis,))
        return _format_sequence(length, outputs, layout, merge_outputs)[0], states


class LSTMPCell(_DenseCell):
    """Long short-term memory whose output is projected to fewer channels.

    With ``i, f, o`` the sigmoids, and ``g`` the tanh, of ``W_i x + b_i + W_h h + b_h``::

        c' = f * c + i * g
        h' = W_r (o * tanh(c'))

    The states are `h` and `c`. The parts of a weight are in the order i, f, g, o.

    Sak et al., Long short-term memory based recurrent neural network architectures for large
    vocabulary speech recognition, 2014.

    Parameters
    ----------
    hidden_size : int
        The size of the state `c`.
    projection_size : int
        The size of the output, and of the state `h`.
    i2h_weight_initializer, h2h_weight_initializer, h2r_weight_initializer : optional
        An initializer, or its name. Default: what ``initialize`` is given.
    i2h_bias_initializer, h2h_bias_initializer : str or Initializer, default 'zeros'
    input_size : int, default 0
        The size of the input; 0: from the first call.
    prefix : str, optional
    params : ParameterDict, optional

    Examples
    --------
    >>> import mxtape as mx
    >>> cell = mx.gluon.contrib.rnn.LSTMPCell(10, 4)
    >>> cell.initialize()
    >>> output, states = cell(mx.nd.ones((2, 5)), cell.begin_state(batch_size=2))
    >>> output.shape, [state.shape for state in states]
    ((2, 4), [(2, 4), (2, 10)])
    """

    _gates = 4

    def __init__(
        self,
        hidden_size,
        projection_size,
        i2h_weight_initializer=None,
        h2h_weight_initializer=None,
        h2r_weight_initializer=None,
        i2h_bias_initializer="zeros",
        h2h_bias_initializer="zeros",
        input_size=0,
        prefix=None,
        params=None,
    ):
        self._projection_size = projection_size
        initializers = (
            i2h_weight_initializer,
            h2h_weight_initializer,
            h2r_weight_initializer,
            i2h_bias_initializer,
            h2h_bias_initializer,
        )
        super().__init__(hidden_size, input_size, initializers, prefix, params)

    def _parameter_shapes(self):
        rows, outputs = self._gates * self._hidden_size, self._projection_size
        return {
            "i2h_weight": (rows, self._input_size),
            "h2h_weight": (rows, outputs),
            "h2r_weight": (outputs, self._hidden_size),
            "i2h_bias": (rows,),
            "h2h_bias": (rows,),
        }

    def _alias(self):
        return "lstmp"

    def __repr__(self):
        return f"{type(self).__name__}({self._sizes()} -> {self._projection_size})"

    def state_info(self, batch_size=0):
        sizes = (self._projection_size, self._hidden_size)
        return [{"shape": (batch_size, size), "__layout__": "NC"} for size in sizes]

    def hybrid_forward(
        self,
        F,
        inputs,
        states,
        i2h_weight,
        h2h_weight,
        h2r_weight,
        i2h_bias,
        h2h_bias,
    ):
        prefix = f"t{self._counter}_"
        weights = (i2h_weight, h2h_weight, i2h_bias, h2h_bias)
        i2h, h2h = self._dense(F, inputs, states[0], weights, prefix)
        output, memory = self._lstm_step(F, i2h, h2h, states[1], prefix, name="hidden")
        projected = F.FullyConnected(
            data=output,
            weight=h2r_weight,
            num_hidden=self._projection_size,
            no_bias=True,
            name=f"{prefix}out",
        )
        return projected, [projected, memory]


def dynamic_unroll(
    cell, inputs, begin_state, drop_inputs=0, drop_outputs=0, layout="TNC", valid_length=None
):
    """Runs a cell over a sequence by ``contrib.foreach``: as a symbol, one node of any length.

    Parameters
    ----------
    cell : RecurrentCell
    inputs : NDArray or Symbol
        The whole sequence.
    begin_state : list of NDArray or Symbol
        The states before the first step.
    drop_inputs, drop_outputs : float, default 0
        The probability with which an element of the inputs or outputs is dropped in training, the
        same in all steps.
    layout : {'TNC', 'NTC'}, default 'TNC'
        What the axes of the sequence are: T time, N the batch, C channels.
    valid_length : NDArray or Symbol, optional
        Of shape (batch,): the number of steps of each sample. Later outputs are 0, and the states
        are those after that step.

    Returns
    -------
    outputs : NDArray or Symbol
    states : list of NDArray or Symbol

    Examples
    --------
    >>> import mxtape as mx
    >>> cell = mx.gluon.rnn.RNNCell(3, input_size=2)
    >>> cell.initialize()
    >>> unroll = mx.gluon.contrib.rnn.rnn_cell.dynamic_unroll
    >>> outputs, states = unroll(cell, mx.nd.ones((5, 4, 2)), cell.begin_state(batch_size=4))
    >>> outputs.shape
    (5, 4, 3)
    """
    inputs, axis, F, _ = _format_sequence(None, inputs, layout, True)
    if begin_state is None:
        raise AssertionError("dynamic_unroll: begin_state must be given")
    if axis != 0:
        inputs = F.swapaxes(inputs, dim1=0, dim2=axis)
    if drop_inputs:
        inputs = F.Dropout(inputs, p=drop_inputs, axes=(0,))
    states, count = list(begin_state), len(begin_state)

    def step(data, states):
        own = states[:count]
        output, following = cell(data, own)
        if valid_length is None:
            return output, following
        steps = states[count]
        ended = F.broadcast_greater_equal(steps, valid_length)
        kept = [F.where(ended, old, new) for old, new in zip(own, following)]
        return output, [*kept, steps + 1]

    if valid_length is not None:
        states = [*states, F.zeros((1,))]
    outputs, states = F.contrib.foreach(step, inputs, states)
    if drop_outputs:
        outputs = F.Dropout(outputs, p=drop_outputs, axes=(0,))
    if valid_length is not None:
        outputs = _mask_sequence_variable_length(F, outputs, None, valid_length, 0, True)
    if axis != 0:
        outputs = F.swapaxes(outputs, dim1=0, dim2=axis)
    return outputs, list(states)[:count]
