"""Layers that run a whole sequence as one operator, ``RNN``."""

from ... import ndarray, symbol
from ..block import HybridBlock
from ..parameter import Parameter
from . import rnn_cell
from ._sequence import tensor_types

__all__ = ["GRU", "LSTM", "RNN"]

# The gates of each mode of the operator, whose parts of a weight lie side by side.
_GATES = {"rnn_relu": 1, "rnn_tanh": 1, "lstm": 4, "gru": 3}


class _MadeStates(list):
    """States of zeros, in a call without states: those after the last step are not returned."""


class _RNNLayer(HybridBlock):
    """What the layers have in common: their weights, and the call of the operator.

    The weights of each layer and direction are parameters of their own, named as those of a cell:
    ``l0_i2h_weight`` is the first layer's forward direction, ``r0_i2h_weight`` its backward one.
    """

    l0_i2h_weight: Parameter
    _returns_states = True  # whether the last call did; a file has the same outputs

    def __init__(
        self,
        hidden_size,
        num_layers,
        layout,
        dropout,
        bidirectional,
        input_size,
        i2h_weight_initializer,
        h2h_weight_initializer,
        i2h_bias_initializer,
        h2h_bias_initializer,
        mode,
        projection_size,
        h2r_weight_initializer,
        lstm_state_clip_min,
        lstm_state_clip_max,
        lstm_state_clip_nan,
        dtype,
        use_sequence_length=False,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        if layout not in ("TNC", "NTC"):
            raise AssertionError(
                f"{type(self).__name__}: layout must be 'TNC' or 'NTC', got {layout!r}"
            )
        self._mode, self._gates, self._layout = mode, _GATES[mode], layout
        self._hidden_size, self._input_size = hidden_size, input_size
        self._num_layers, self._dropout = num_layers, dropout
        self._dir = 2 if bidirectional else 1
        self._projection_size = projection_size
        self._lstm_state_clip_min, self._lstm_state_clip_max = (
            lstm_state_clip_min,
            lstm_state_clip_max,
        )
        self._lstm_state_clip_nan = lstm_state_clip_nan
        self._i2h_bias_initializer = i2h_bias_initializer
        self._i2h_weight_initializer = i2h_weight_initializer
        self._h2h_bias_initializer = h2h_bias_initializer
        self._h2h_weight_initializer = h2h_weight_initializer
        self._h2r_weight_initializer = h2r_weight_initializer
        self._dtype, self._use_sequence_length = dtype, use_sequence_length
        for lane, inputs in self._lanes():
            for part, shape, init in self._parts_of_lane(inputs):
                self._register_param(f"{lane}_{part}", shape, init, dtype)

    @property
    def _output_size(self):
        """The size of the output of one direction."""
        return self._projection_size or self._hidden_size

    def _lanes(self):
        """The name of each layer's directions, and how many inputs it has."""
        inputs = self._input_size
        for layer in range(self._num_layers):
            for direction in ("l", "r")[: self._dir]:
                yield f"{direction}{layer}", inputs
            inputs = self._output_size * self._dir

    def _parts_of_lane(self, inputs):
        """Name, shape and initializer of each parameter of one direction of a layer."""
        rows, outputs = self._gates * self._hidden_size, self._output_size
        yield "i2h_weight", (rows, inputs), self._i2h_weight_initializer
        yield "h2h_weight", (rows, outputs), self._h2h_weight_initializer
        yield "i2h_bias", (rows,), self._i2h_bias_initializer
        yield "h2h_bias", (rows,), self._h2h_bias_initializer
        if self._projection_size:
            yield "h2r_weight", (outputs, self._hidden_size), self._h2r_weight_initializer

    def _register_param(self, name, shape, init, dtype):
        parameter = self.params.get(
            name, shape=shape, init=init, allow_deferred_init=True, dtype=dtype
        )
        setattr(self, name, parameter)

    def _vector_order(self):
        """The parameters' names in the order of the operator's vector: weights, then biases."""
        groups = ["i2h_weight", "h2h_weight"] + ["h2r_weight"] * bool(self._projection_size)
        for parts in (groups, ["i2h_bias", "h2h_bias"]):
            for lane, _ in self._lanes():
                for part in parts:
                    yield f"{lane}_{part}"

    def __repr__(self):
        rows, inputs = self.l0_i2h_weight.shape
        facts = [f"{inputs or None} -> {rows // self._gates}", self._layout]
        if self._num_layers != 1:
            facts.append(f"num_layers={self._num_layers}")
        if self._dropout != 0:
            facts.append(f"dropout={self._dropout}")
        if self._dir == 2:
            facts.append("bidirectional")
        return f"{type(self).__name__}({', '.join(facts)})"

    def _collect_params_with_prefix(self, prefix=""):
        # Files have the names that the cells of the unfused layers would have.
        if prefix:
            prefix += "."

        def in_files(name):
            lane, _, part = name.partition("_")
            cell = f"{lane[0]}_cell." if self._dir == 2 else ""
            return f"{prefix}_unfused.{lane[1:]}.{cell}{part}"

        return {in_files(name): parameter for name, parameter in self._reg_params.items()}

    def state_info(self, batch_size=0):
        """Shape, layout and dtype of each state: a list of dicts."""
        lanes = self._num_layers * self._dir
        sizes = [self._output_size] + [self._hidden_size] * (self._mode == "lstm")
        return [
            {"shape": (lanes, batch_size, size), "__layout__": "LNC", "dtype": self._dtype}
            for size in sizes
        ]

    def begin_state(self, batch_size=0, func=ndarray.zeros, **kwargs):
        """The states before the first step.

        Parameters
        ----------
        batch_size : int, default 0
        func : callable, default mx.nd.zeros
            Makes each state. ``mx.sym.zeros`` and ``mx.sym.Variable`` make symbols.
        kwargs
            More arguments for `func`, such as `ctx` and `dtype`.

        Returns
        -------
        list of NDArray or Symbol
            Of shape (layers * directions, batch, size). An LSTM has two.

        Examples
        --------
        >>> import mxtape as mx
        >>> lstm = mx.gluon.rnn.LSTM(10, num_layers=2, bidirectional=True)
        >>> [state.shape for state in lstm.begin_state(batch_size=3)]
        [(4, 3, 10), (4, 3, 10)]
        """
        return [
            func(name=f"{self.prefix}h0_{number}", **{**info, **kwargs})
            for number, info in enumerate(self.state_info(batch_size))
        ]

    def cast(self, dtype):
        super().cast(dtype)
        self._dtype = dtype

    def _unfuse(self):
        """The same layers as cells, which share the parameters.

        Returns
        -------
        HybridSequentialRNNCell

        Raises
        ------
        AssertionError
            For layers with a projection or with clipped states, for which there is no cell.

        Examples
        --------
        >>> import mxtape as mx
        >>> gru = mx.gluon.rnn.GRU(10, bidirectional=True, input_size=5)
        >>> gru._unfuse()
        HybridSequentialRNNCell(
        (0): BidirectionalCell(forward=GRUCell(5 -> 30), backward=GRUCell(5 -> 30))
        )
        """
        if self._projection_size:
            raise AssertionError("_unfuse: layers with a projection are not supported")
        if self._lstm_state_clip_min is not None or self._lstm_state_clip_max is not None:
            raise AssertionError("_unfuse: layers whose states are clipped are not supported")
        stack = rnn_cell.HybridSequentialRNNCell(prefix=self.prefix, params=self.params)
        with stack.name_scope():
            lanes = [self._unfused_cell(f"{lane}_", inputs) for lane, inputs in self._lanes()]
            for layer in range(self._num_layers):
                cells = lanes[layer * self._dir : (layer + 1) * self._dir]
                stack.add(rnn_cell.BidirectionalCell(*cells) if self._dir == 2 else cells[0])
                if self._dropout > 0 and layer != self._num_layers - 1:
                    stack.add(rnn_cell.DropoutCell(self._dropout))
        return stack

    def _unfused_cell(self, prefix, inputs):
        options = {
            "input_size": inputs,
            "i2h_weight_initializer": self._i2h_weight_initializer,
            "h2h_weight_initializer": self._h2h_weight_initializer,
            "i2h_bias_initializer": self._i2h_bias_initializer,
            "h2h_bias_initializer": self._h2h_bias_initializer,
            "prefix": prefix,
        }
        if self._mode == "lstm":
            return rnn_cell.LSTMCell(self._hidden_size, **options)
        if self._mode == "gru":
            return rnn_cell.GRUCell(self._hidden_size, **options)
        return rnn_cell.RNNCell(self._hidden_size, self._mode[len("rnn_") :], **options)

    def __call__(  # type: ignore[override] # as in MXNet
        self, inputs, states=None, sequence_length=None, **kwargs
    ):
        """Runs the layers over a sequence.

        Parameters
        ----------
        inputs : NDArray or Symbol
            Of shape (steps, batch, channels), or (batch, steps, channels) if `layout` is 'NTC'.
        states : list of NDArray or Symbol, optional
            The states before the first step, each of shape (layers * directions, batch, size).
            Default: zeros; then only the output is returned.
        sequence_length : NDArray or Symbol, optional
            Of shape (batch,): the number of steps of each sample. It needs
            ``use_sequence_length=True``; else it is ignored.

        Returns
        -------
        output : NDArray or Symbol
            Laid out as `inputs`.
        states : list of NDArray or Symbol
            After the last step; only where `states` was given.
        """
        if not isinstance(inputs, tensor_types):
            raise ValueError(
                f"{type(self).__name__}: inputs must be an NDArray or a Symbol, got "
                f"{type(inputs)}; mx.nd.array makes an array of a list or of NumPy's"
            )
        if states is None:
            states = _MadeStates(self._states_for(inputs))
        elif isinstance(states, tensor_types):
            states = [states]
        lengths: tuple = ()
        if self._use_sequence_length:
            if sequence_length is None:
                raise ValueError(
                    f"{type(self).__name__}: use_sequence_length is True, so sequence_length must "
                    "be given"
                )
            lengths = (sequence_length,)
        return super().__call__(inputs, states, *lengths, **kwargs)

    def forward(  # type: ignore[override] # the states are given
        self, inputs, states, *lengths, **kwargs
    ):
        output, next_states = super().forward(inputs, states, *lengths, **kwargs)
        returns_states = not isinstance(states, _MadeStates)
        if returns_states != self._returns_states:
            self._returns_states = returns_states
        return (output, next_states) if returns_states else output

    def _exported_graph(self):
        graph = super()._exported_graph()
        return graph if self._returns_states else graph[0]

    def _states_for(self, inputs):
        if isinstance(inputs, symbol.Symbol):
            return self.begin_state(0, func=symbol.zeros)
        batch_size = inputs.shape[self._layout.find("N")]
        return self.begin_state(batch_size, ctx=inputs.context, dtype=inputs.dtype)

    def hybrid_forward(  # type: ignore[override] # as in MXNet
        self, F, inputs, states, sequence_length=None, **kwargs
    ):
        if F is ndarray:
            expected = self.state_info(inputs.shape[self._layout.find("N")])
            for state, info in zip(states, expected):
                if state.shape != info["shape"]:
                    raise ValueError(
                        f"{type(self).__name__}: a state must have shape {info['shape']}, got "
                        f"{state.shape}"
                    )
        return self._forward_kernel(F, inputs, states, sequence_length, **kwargs)

    def _forward_kernel(self, F, inputs, states, sequence_length, **kwargs):
        if self._layout == "NTC":
            inputs = F.swapaxes(inputs, dim1=0, dim2=1)
        vectors = [kwargs[name].reshape(-1) for name in self._vector_order()]
        lengths = [] if sequence_length is None else [sequence_length]
        result = F.RNN(
            inputs,
            F._internal._rnn_param_concat(*vectors, dim=0),
            *states,
            *lengths,
            mode=self._mode,
            state_size=self._hidden_size,
            num_layers=self._num_layers,
            bidirectional=self._dir == 2,
            p=self._dropout,
            projection_size=self._projection_size,
            lstm_state_clip_min=self._lstm_state_clip_min,
            lstm_state_clip_max=self._lstm_state_clip_max,
            lstm_state_clip_nan=self._lstm_state_clip_nan,
            use_sequence_length=self._use_sequence_length,
            state_outputs=True,
        )
        output, next_states = result[0], [result[1 + i] for i in range(len(states))]
        if self._layout == "NTC":
            output = F.swapaxes(output, dim1=0, dim2=1)
        return output, next_states


class RNN(_RNNLayer):
    """Layers of the plain recurrent cell: see :class:`RNNCell`.

    Parameters
    ----------
    hidden_size : int
        The size of the output of a direction.
    num_layers : int, default 1
    activation : {'relu', 'tanh'}, default 'relu'
    layout : {'TNC', 'NTC'}, default 'TNC'
        What the axes of input and output are: T time, N the batch, C channels.
    dropout : float, default 0
        The probability with which elements between two layers are dropped in training.
    bidirectional : bool, default False
        Whether each layer runs in both directions; the output is twice as large then.
    i2h_weight_initializer, h2h_weight_initializer : str or Initializer, optional
        Default: what ``initialize`` is given.
    i2h_bias_initializer, h2h_bias_initializer : str or Initializer, default 'zeros'
    input_size : int, default 0
        The size of the input; 0: from the first call.
    dtype : str or numpy type, default 'float32'
    use_sequence_length : bool, default False
        Whether calls are given the number of steps of each sample.
    prefix : str, optional
    params : ParameterDict, optional

    Examples
    --------
    >>> import mxtape as mx
    >>> layer = mx.gluon.rnn.RNN(10, num_layers=2, activation="tanh")
    >>> layer.initialize()
    >>> layer(mx.nd.ones((6, 3, 5))).shape
    (6, 3, 10)
    """

    def __init__(
        self,
        hidden_size,
        num_layers=1,
        activation="relu",
        layout="TNC",
        dropout=0,
        bidirectional=False,
        i2h_weight_initializer=None,
        h2h_weight_initializer=None,
        i2h_bias_initializer="zeros",
        h2h_bias_initializer="zeros",
        input_size=0,
        dtype="float32",
        **kwargs,
    ) -> None:
        if f"rnn_{activation}" not in _GATES:
            raise ValueError(f"RNN: activation must be 'relu' or 'tanh', got {activation!r}")
        super().__init__(
            hidden_size,
            num_layers,
            layout,
            dropout,
            bidirectional,
            input_size,
            i2h_weight_initializer,
            h2h_weight_initializer,
            i2h_bias_initializer,
            h2h_bias_initializer,
            f"rnn_{activation}",
            None,
            None,
            None,
            None,
            False,
            dtype,
            **kwargs,
        )


class LSTM(_RNNLayer):
    """Layers of long short-term memory: see :class:`LSTMCell`.

    With `projection_size`, the output and the state `h` are ``W_r`` times the cell's output: Sak et
    al., Long short-term memory based recurrent neural network architectures for large vocabulary
    speech recognition, 2014.

    Parameters
    ----------
    hidden_size : int
        The size of the state `c`, and without a projection of `h` and the output of a direction.
    num_layers : int, default 1
    layout : {'TNC', 'NTC'}, default 'TNC'
        What the axes of input and output are: T time, N the batch, C channels.
    dropout : float, default 0
        The probability with which elements between two layers are dropped in training.
    bidirectional : bool, default False
        Whether each layer runs in both directions; the output is twice as large then.
    input_size : int, default 0
        The size of the input; 0: from the first call.
    i2h_weight_initializer, h2h_weight_initializer : str or Initializer, optional
        Default: what ``initialize`` is given.
    i2h_bias_initializer, h2h_bias_initializer : str or Initializer, default 'zeros'
    projection_size : int, optional
        The size of the output of a direction, and of the state `h`.
    h2r_weight_initializer : str or Initializer, optional
        Of the projection.
    state_clip_min, state_clip_max : float, optional
        The range to which the state `c` is clipped.
    state_clip_nan : bool, default False
        Whether NaN in the state `c` is clipped too.
    dtype : str or numpy type, default 'float32'
    use_sequence_length : bool, default False
        Whether calls are given the number of steps of each sample.
    prefix : str, optional
    params : ParameterDict, optional

    Examples
    --------
    >>> import mxtape as mx
    >>> layer = mx.gluon.rnn.LSTM(10, num_layers=2, layout="NTC", bidirectional=True)
    >>> layer.initialize()
    >>> x = mx.nd.ones((3, 6, 5))
    >>> output, states = layer(x, layer.begin_state(batch_size=3))
    >>> output.shape, [state.shape for state in states]
    ((3, 6, 20), [(4, 3, 10), (4, 3, 10)])
    """

    def __init__(
        self,
        hidden_size,
        num_layers=1,
        layout="TNC",
        dropout=0,
        bidirectional=False,
        input_size=0,
        i2h_weight_initializer=None,
        h2h_weight_initializer=None,
        i2h_bias_initializer="zeros",
        h2h_bias_initializer="zeros",
        projection_size=None,
        h2r_weight_initializer=None,
        state_clip_min=None,
        state_clip_max=None,
        state_clip_nan=False,
        dtype="float32",
        **kwargs,
    ) -> None:
        super().__init__(
            hidden_size,
            num_layers,
            layout,
            dropout,
            bidirectional,
            input_size,
            i2h_weight_initializer,
            h2h_weight_initializer,
            i2h_bias_initializer,
            h2h_bias_initializer,
            "lstm",
            projection_size,
            h2r_weight_initializer,
            state_clip_min,
            state_clip_max,
            state_clip_nan,
            dtype,
            **kwargs,
        )


class GRU(_RNNLayer):
    """Layers of gated recurrent units: see :class:`GRUCell`.

    Parameters
    ----------
    hidden_size : int
        The size of the output of a direction.
    num_layers : int, default 1
    layout : {'TNC', 'NTC'}, default 'TNC'
        What the axes of input and output are: T time, N the batch, C channels.
    dropout : float, default 0
        The probability with which elements between two layers are dropped in training.
    bidirectional : bool, default False
        Whether each layer runs in both directions; the output is twice as large then.
    input_size : int, default 0
        The size of the input; 0: from the first call.
    i2h_weight_initializer, h2h_weight_initializer : str or Initializer, optional
        Default: what ``initialize`` is given.
    i2h_bias_initializer, h2h_bias_initializer : str or Initializer, default 'zeros'
    dtype : str or numpy type, default 'float32'
    use_sequence_length : bool, default False
        Whether calls are given the number of steps of each sample.
    prefix : str, optional
    params : ParameterDict, optional

    Examples
    --------
    >>> import mxtape as mx
    >>> layer = mx.gluon.rnn.GRU(10)
    >>> layer.initialize()
    >>> layer(mx.nd.ones((6, 3, 5))).shape
    (6, 3, 10)
    """

    def __init__(
        self,
        hidden_size,
        num_layers=1,
        layout="TNC",
        dropout=0,
        bidirectional=False,
        input_size=0,
        i2h_weight_initializer=None,
        h2h_weight_initializer=None,
        i2h_bias_initializer="zeros",
        h2h_bias_initializer="zeros",
        dtype="float32",
        **kwargs,
    ) -> None:
        super().__init__(
            hidden_size,
            num_layers,
            layout,
            dropout,
            bidirectional,
            input_size,
            i2h_weight_initializer,
            h2h_weight_initializer,
            i2h_bias_initializer,
            h2h_bias_initializer,
            "gru",
            None,
            None,
            None,
            None,
            False,
            dtype,
            **kwargs,
        )
