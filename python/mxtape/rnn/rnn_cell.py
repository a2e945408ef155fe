"""Cells of recurrent networks, which make symbols.

A cell makes the nodes of one step; ``unroll`` makes those of a sequence. Cells of the same name in
``mx.gluon.rnn`` are layers with arrays.
"""

from typing import Any

from .. import _borrowed, ndarray, symbol
from .. import initializer as init
from ..base import numeric_types
from ._base_cell import BaseRNNCell, RNNParams, _normalize_sequence
from ._conv_cell import BaseConvRNNCell, ConvGRUCell, ConvLSTMCell, ConvRNNCell

__all__ = [
    "BaseConvRNNCell",
    "BaseRNNCell",
    "BidirectionalCell",
    "ConvGRUCell",
    "ConvLSTMCell",
    "ConvRNNCell",
    "DropoutCell",
    "FusedRNNCell",
    "GRUCell",
    "LSTMCell",
    "ModifierCell",
    "RNNCell",
    "RNNParams",
    "ResidualCell",
    "SequentialRNNCell",
    "ZoneoutCell",
    "init",
    "ndarray",
    "numeric_types",
    "symbol",
]

__getattr__ = _borrowed.borrow(__name__, "functools warnings", {".base": "string_types"})


class _DenseCell(BaseRNNCell):
    """A cell whose gates are dense functions of the input (i2h) and of the last output (h2h)."""

    def __init__(self, num_hidden, prefix, params, bias_init=None):
        super().__init__(prefix=prefix, params=params)
        self._num_hidden = num_hidden
        self._iW = self.params.get("i2h_weight")
        self._iB = self.params.get("i2h_bias", **({} if bias_init is None else {"init": bias_init}))
        self._hW = self.params.get("h2h_weight")
        self._hB = self.params.get("h2h_bias")

    @property
    def state_info(self):
        return [{"shape": (0, self._num_hidden), "__layout__": "NC"}]

    def _begin_step(self):
        self._counter += 1
        return f"{self._prefix}t{self._counter}_"

    def _dense(self, inputs, state, name):
        """The two products, of the gates of all kinds side by side."""
        size = self._num_hidden * len(self._gate_names)
        i2h = symbol.FullyConnected(
            data=inputs, weight=self._iW, bias=self._iB, num_hidden=size, name=f"{name}i2h"
        )
        h2h = symbol.FullyConnected(
            data=state, weight=self._hW, bias=self._hB, num_hidden=size, name=f"{name}h2h"
        )
        return i2h, h2h


class RNNCell(_DenseCell):
    """The plain recurrent cell: ``h' = activation(W_i x + b_i + W_h h + b_h)``.

    Parameters
    ----------
    num_hidden : int
        The size of the output, and of the state `h`.
    activation : str or callable, default 'tanh'
        The name of an ``Activation``, or a function of a symbol.
    prefix : str, default 'rnn_'
    params : RNNParams, optional

    Examples
    --------
    >>> import mxtape as mx
    >>> cell = mx.rnn.RNNCell(10, activation="relu", prefix="a_")
    >>> output, states = cell(mx.sym.var("x"), cell.begin_state())
    >>> output.list_arguments()
    ['x', 'a_i2h_weight', 'a_i2h_bias', 'a_h2h_weight', 'a_h2h_bias']
    """

    def __init__(self, num_hidden, activation="tanh", prefix="rnn_", params=None):
        super().__init__(num_hidden, prefix, params)
        self._activation = activation

    @property
    def _gate_names(self):
        return ("",)

    def __call__(self, inputs, states):
        name = self._begin_step()
        i2h, h2h = self._dense(inputs, states[0], name)
        output = self._get_activation(i2h + h2h, self._activation, name=f"{name}out")
        return output, [output]


class LSTMCell(_DenseCell):
    """Long short-term memory.

    With ``i, f, o`` the sigmoids, and ``g`` the tanh, of ``W_i x + b_i + W_h h + b_h``::

        c' = f * c + i * g
        h' = o * tanh(c')

    The states are `h` and `c`. The parts of a weight are in the order i, f, g (named ``_c``), o.

    Hochreiter and Schmidhuber, Long short-term memory, 1997; Gers et al., Learning to forget, 1999.

    Parameters
    ----------
    num_hidden : int
        The size of the output, and of each state.
    prefix : str, default 'lstm_'
    params : RNNParams, optional
    forget_bias : float, default 1.0
        What the part of ``i2h_bias`` that belongs to `f` is initialized with.

    Examples
    --------
    >>> import mxtape as mx
    >>> cell = mx.rnn.LSTMCell(10)
    >>> output, states = cell(mx.sym.var("x"), cell.begin_state())
    >>> output, states
    (<Symbol lstm_t0_out>, [<Symbol lstm_t0_out>, <Symbol lstm_t0_state>])
    """

    def __init__(self, num_hidden, prefix="lstm_", params=None, forget_bias=1.0):
        super().__init__(num_hidden, prefix, params, init.LSTMBias(forget_bias=forget_bias))

    @property
    def state_info(self):
        return [{"shape": (0, self._num_hidden), "__layout__": "NC"} for _ in range(2)]

    @property
    def _gate_names(self):
        return ["_i", "_f", "_c", "_o"]

    def __call__(self, inputs, states):
        name = self._begin_step()
        i2h, h2h = self._dense(inputs, states[0], name)
        output, memory = self._lstm_step(i2h + h2h, states[1], name)
        return output, [output, memory]


class GRUCell(_DenseCell):
    """A gated recurrent unit.

    With ``r, z`` the sigmoids of ``W_i x + b_i + W_h h + b_h``::

        n  = tanh(W_in x + b_in + r * (W_hn h + b_hn))
        h' = (1 - z) * n + z * h

    The parts of a weight are in the order r, z, n (named ``_o``).

    Cho et al., Learning phrase representations using RNN encoder-decoder, 2014.

    Parameters
    ----------
    num_hidden : int
        The size of the output, and of the state `h`.
    prefix : str, default 'gru_'
    params : RNNParams, optional
    """

    def __init__(self, num_hidden, prefix="gru_", params=None):
        super().__init__(num_hidden, prefix, params)

    @property
    def _gate_names(self):
        return ["_r", "_z", "_o"]

    def __call__(self, inputs, states):
        name = self._begin_step()
        # The products' names have another underscore; files have it.
        i2h, h2h = self._dense(inputs, states[0], f"{name}_")
        output = self._gru_step(i2h, h2h, states[0], name)
        return output, [output]


# The gates of each mode of the operator RNN, in its order.
_MODES = {
    "rnn_relu": [""],
    "rnn_tanh": [""],
    "lstm": ["_i", "_f", "_c", "_o"],
    "gru": ["_r", "_z", "_o"],
}


class FusedRNNCell(BaseRNNCell):
    """Recurrent layers as one operator, ``RNN``, which runs the whole sequence.

    It has no single steps: only :meth:`unroll`. All weights are one vector, ``parameters``: of each
    layer and direction the weights ``i2h`` and ``h2h``, then of each the biases, the gates side by
    side. :meth:`unpack_weights` takes it apart and :meth:`pack_weights` puts it together.

    Parameters
    ----------
    num_hidden : int
        The size of the output of a direction.
    num_layers : int, default 1
    mode : {'lstm', 'gru', 'rnn_tanh', 'rnn_relu'}, default 'lstm'
    bidirectional : bool, default False
        Whether each layer runs in both directions; the output is twice as large then.
    dropout : float, default 0
        The probability with which elements between two layers are dropped in training.
    get_next_state : bool, default False
        Whether :meth:`unroll` returns the states after the last step; else it returns none.
    forget_bias : float, default 1.0
        What the biases of the forget gates of an LSTM are initialized with.
    prefix : str, optional
        Default: the mode and an underscore.
    params : RNNParams, optional

    Examples
    --------
    >>> import mxtape as mx
    >>> cell = mx.rnn.FusedRNNCell(10, num_layers=2, bidirectional=True)
    >>> outputs, states = cell.unroll(3, mx.sym.var("data"), layout="TNC")
    >>> outputs.infer_shape(data=(3, 32, 50))[1]
    [(3, 32, 20)]
    """

    def __init__(
        self,
        num_hidden,
        num_layers=1,
        mode="lstm",
        bidirectional=False,
        dropout=0.0,
        get_next_state=False,
        forget_bias=1.0,
        prefix=None,
        params=None,
    ):
        if mode not in _MODES:
            raise ValueError(f"FusedRNNCell: mode must be one of {', '.join(_MODES)}; got {mode!r}")
        super().__init__(prefix=f"{mode}_" if prefix is None else prefix, params=params)
        self._mode, self._num_hidden, self._num_layers = mode, num_hidden, num_layers
        self._directions = ["l", "r"] if bidirectional else ["l"]
        self._bidirectional, self._dropout = bidirectional, dropout
        self._forget_bias, self._get_next_state = forget_bias, get_next_state
        initializer = init.FusedRNN(
            None, num_hidden, num_layers, mode, bidirectional, forget_bias=forget_bias
        )
        self._parameter = self.params.get("parameters", init=initializer)

    @property
    def state_info(self):
        shape = (self._num_layers * len(self._directions), 0, self._num_hidden)
        states = 2 if self._mode == "lstm" else 1
        return [{"shape": shape, "__layout__": "LNC"} for _ in range(states)]

    @property
    def _gate_names(self):
        return _MODES[self._mode]

    @property
    def _num_gates(self):
        return len(self._gate_names)

    def _input_size(self, size):
        """The number of input channels of a cell whose vector of parameters has `size` elements."""
        directions, hidden = len(self._directions), self._num_hidden
        per_input = directions * self._num_gates * hidden
        deeper = (self._num_layers - 1) * (directions * hidden + hidden + 2)
        channels, rest = divmod(size, per_input)
        channels -= hidden + 2 + deeper
        if rest or channels < 1:
            raise ValueError(
                f"FusedRNNCell: {self._prefix}parameters has {size} elements, which is not the "
                f"size for mode {self._mode}, num_hidden {hidden}, {self._num_layers} layers and "
                f"{directions} direction(s), whatever the size of the input"
            )
        return channels

    def _layout(self, li, lh):
        """Name and shape of each part of the vector of parameters, in its order."""
        for part in ("weight", "bias"):
            for layer in range(self._num_layers):
                for direction in self._directions:
                    channels = li if layer == 0 else lh * len(self._directions)
                    for group, width in (("i2h", channels), ("h2h", lh)):
                        for gate in self._gate_names:
                            name = f"{self._prefix}{direction}{layer}_{group}{gate}_{part}"
                            yield name, (lh, width) if part == "weight" else (lh,)

    def _slice_weights(self, arr, li, lh):
        """Views of the parts of the vector `arr`, by name."""
        parts, begin = {}, 0
        for name, shape in self._layout(li, lh):
            end = begin + shape[0] * (shape[1] if len(shape) == 2 else 1)
            parts[name] = arr[begin:end].reshape(shape)
            begin = end
        return parts

    def unpack_weights(self, args):
        args = dict(args)
        vector = args.pop(f"{self._prefix}parameters")
        parts = self._slice_weights(vector, self._input_size(vector.size), self._num_hidden)
        args.update((name, part.copy()) for name, part in parts.items())
        return args

    def pack_weights(self, args):
        args = dict(args)
        first = args[f"{self._prefix}l0_i2h{self._gate_names[0]}_weight"]
        parts = []
        for name, shape in self._layout(first.shape[1], self._num_hidden):
            part = args.pop(name)
            if part.shape != shape:
                raise ValueError(f"pack_weights: {name} must have shape {shape}, got {part.shape}")
            parts.append(part.reshape((-1,)))
        args[f"{self._prefix}parameters"] = ndarray.concatenate(parts)
        return args

    def __call__(self, inputs, states):
        raise NotImplementedError("FusedRNNCell cannot be stepped. Please use unroll")

    def unroll(self, length, inputs, begin_state=None, layout="NTC", merge_outputs=None):
        self.reset()
        inputs, axis = _normalize_sequence(length, inputs, layout, True)
        if axis == 1:
            # Time comes first in the operator.
            inputs = symbol.swapaxes(inputs, dim1=0, dim2=1)
        elif axis != 0:
            raise AssertionError(f"FusedRNNCell: layout must be TNC or NTC, got {layout!r}")
        states = self.begin_state() if begin_state is None else begin_state
        names = ("state", "state_cell") if self._mode == "lstm" else ("state",)
        rnn = symbol.RNN(
            data=inputs,
            parameters=self._parameter,
            state_size=self._num_hidden,
            num_layers=self._num_layers,
            bidirectional=self._bidirectional,
            p=self._dropout,
            state_outputs=self._get_next_state,
            mode=self._mode,
            name=f"{self._prefix}rnn",
            attr={"__layout__": "LNC"} if self._get_next_state else None,
            **dict(zip(names, states)),
        )
        outputs, states = rnn, []
        if self._get_next_state:
            outputs, states = rnn[0], [rnn[1 + i] for i in range(len(names))]
        if axis:
            outputs = symbol.swapaxes(outputs, dim1=0, dim2=axis)
        return _normalize_sequence(length, outputs, layout, merge_outputs)[0], states

    def unfuse(self):
        """The same layers as cells that have steps.

        :meth:`unpack_weights` gives the weights that they need, once each cell has packed them.

        Returns
        -------
        SequentialRNNCell

        Examples
        --------
        >>> import mxtape as mx
        >>> fused = mx.rnn.FusedRNNCell(2, mode="gru", prefix="gru_")
        >>> cells = fused.unfuse()
        >>> vector = mx.nd.arange(2 * 3 * (5 + 2 + 2))
        >>> args = cells.pack_weights(fused.unpack_weights({"gru_parameters": vector}))
        >>> sorted(args)
        ['gru_l0_h2h_bias', 'gru_l0_h2h_weight', 'gru_l0_i2h_bias', 'gru_l0_i2h_weight']
        """
        stack = SequentialRNNCell()
        for layer in range(self._num_layers):
            cells = [
                self._unfused_cell(f"{self._prefix}{side}{layer}_") for side in self._directions
            ]
            if self._bidirectional:
                left, right = cells
                prefix = f"{self._prefix}bi_l{layer}_"
                stack.add(BidirectionalCell(left, right, output_prefix=prefix))
            else:
                stack.add(cells[0])
            if self._dropout > 0 and layer != self._num_layers - 1:
                stack.add(DropoutCell(self._dropout, prefix=f"{self._prefix}_dropout{layer}_"))
        return stack

    def _unfused_cell(self, prefix):
        if self._mode == "lstm":
            return LSTMCell(self._num_hidden, prefix=prefix, forget_bias=self._forget_bias)
        if self._mode == "gru":
            return GRUCell(self._num_hidden, prefix=prefix)
        return RNNCell(self._num_hidden, self._mode[len("rnn_") :], prefix=prefix)


class _CellOfCells(BaseRNNCell):
    """What cells that are made of cells have in common."""

    def __init__(self, params):
        super().__init__(prefix="", params=params)
        self._override_cell_params = params is not None
        self._cells = []

    def _adopt(self, cell):
        """Takes over a cell's parameters."""
        if self._override_cell_params:
            if not cell._own_params:
                raise AssertionError(
                    f"Either specify params for {type(self).__name__} or child cells, not both."
                )
            cell.params._params.update(self.params._params)
        self.params._params.update(cell.params._params)
        self._cells.append(cell)

    @property
    def state_info(self):
        return [info for cell in self._cells for info in cell.state_info]

    def begin_state(self, **kwargs):  # type: ignore[override] # as in MXNet
        self._check_not_modified()
        return [state for cell in self._cells for state in cell.begin_state(**kwargs)]

    def unpack_weights(self, args):
        for cell in self._cells:
            args = cell.unpack_weights(args)
        return args

    def pack_weights(self, args):
        for cell in self._cells:
            args = cell.pack_weights(args)
        return args

    def _states_by_cell(self, states):
        """What of a list of states is each cell's."""
        begin = 0
        for cell in self._cells:
            end = begin + len(cell.state_info)
            yield states[begin:end]
            begin = end


class SequentialRNNCell(_CellOfCells):
    """Cells one above the other: the output of each is the input of the next.

    Examples
    --------
    >>> import mxtape as mx
    >>> stack = mx.rnn.SequentialRNNCell()
    >>> stack.add(mx.rnn.LSTMCell(20, prefix="lower_"))
    >>> stack.add(mx.rnn.DropoutCell(0.2))
    >>> stack.add(mx.rnn.LSTMCell(10, prefix="upper_"))
    >>> outputs, states = stack.unroll(3, mx.sym.var("data"), merge_outputs=True)
    >>> outputs.infer_shape(data=(32, 3, 50))[1]
    [(32, 3, 10)]
    """

    def __init__(self, params=None):
        super().__init__(params)

    def add(self, cell):
        """Puts a cell on top."""
        self._adopt(cell)

    def __call__(self, inputs, states):
        self._counter += 1
        next_states = []
        for cell, own in zip(self._cells, self._states_by_cell(states)):
            if isinstance(cell, BidirectionalCell):
                raise AssertionError("BidirectionalCell cannot be stepped. Please use unroll")
            inputs, own = cell(inputs, own)
            next_states.extend(own)
        return inputs, next_states

    def unroll(self, length, inputs, begin_state=None, layout="NTC", merge_outputs=None):
        self.reset()
        states = self.begin_state() if begin_state is None else begin_state
        next_states = []
        for cell, own in zip(self._cells, list(self._states_by_cell(states))):
            merge = merge_outputs if cell is self._cells[-1] else None
            inputs, own = cell.unroll(
                length, inputs, begin_state=own, layout=layout, merge_outputs=merge
            )
            next_states.extend(own)
        return inputs, next_states


class DropoutCell(BaseRNNCell):
    """Drops elements of its input in training; it has no state.

    Parameters
    ----------
    dropout : float
        The probability with which an element is dropped. 0: the input is passed on.
    prefix : str, default 'dropout_'
    params : RNNParams, optional
    """

    def __init__(self, dropout, prefix="dropout_", params=None):
        super().__init__(prefix, params)
        if not isinstance(dropout, numeric_types):
            raise AssertionError(f"dropout probability must be a number, got {dropout!r}")
        self.dropout: Any = dropout

    @property
    def state_info(self):
        return []

    def __call__(self, inputs, states):
        dropped = symbol.Dropout(data=inputs, p=self.dropout) if self.dropout > 0 else inputs
        return dropped, states

    def unroll(self, length, inputs, begin_state=None, layout="NTC", merge_outputs=None):
        self.reset()
        sequence, _ = _normalize_sequence(length, inputs, layout, merge_outputs)
        if isinstance(sequence, symbol.Symbol):
            return self(sequence, [])
        return super().unroll(
            length, sequence, begin_state=begin_state, layout=layout, merge_outputs=merge_outputs
        )


class ModifierCell(BaseRNNCell):
    """A cell that changes what another cell does. Its parameters and states are the other's.

    The other cell cannot be called directly from then on.

    Parameters
    ----------
    base_cell : BaseRNNCell
        The other cell.
    """

    def __init__(self, base_cell):
        super().__init__()
        self.base_cell = base_cell
        base_cell._modified = True

    @property
    def state_info(self):
        return self.base_cell.state_info

    @property
    def params(self):
        self._own_params = False
        return self.base_cell.params

    def begin_state(self, init_sym=symbol.zeros, **kwargs):  # type: ignore[override] # as in MXNet
        """The other cell's states. `init_sym`, also called `func`, makes their symbols."""
        self._check_not_modified()
        func = kwargs.pop("func", init_sym)
        return self._as_unmodified(self.base_cell.begin_state, func=func, **kwargs)

    def _as_unmodified(self, method, *args, **kwargs):
        """Calls a method of the other cell, which lets nobody else call it."""
        self.base_cell._modified = False
        try:
            return method(*args, **kwargs)
        finally:
            self.base_cell._modified = True

    def pack_weights(self, args):
        return self.base_cell.pack_weights(args)

    def unpack_weights(self, args):
        return self.base_cell.unpack_weights(args)

    def __call__(self, inputs, states):
        raise NotImplementedError(f"{type(self).__name__} does not define a step")


class ZoneoutCell(ModifierCell):
    """Zoneout: in training, elements of outputs and states keep at random their last value.

    Krueger et al., Zoneout: regularizing RNNs by randomly preserving hidden activations, 2016.

    Parameters
    ----------
    base_cell : BaseRNNCell
        A cell that has steps.
    zoneout_outputs, zoneout_states : float, default 0
        The probability with which an element of an output, or of a state, keeps its last value.

    Examples
    --------
    >>> import mxtape as mx
    >>> cell = mx.rnn.ZoneoutCell(mx.rnn.LSTMCell(10), zoneout_states=0.1)
    >>> outputs, states = cell.unroll(2, mx.sym.var("data"))
    """

    def __init__(self, base_cell, zoneout_outputs=0.0, zoneout_states=0.0):
        if isinstance(base_cell, FusedRNNCell):
            raise AssertionError("ZoneoutCell: a FusedRNNCell has no steps; give it fused.unfuse()")
        for cell in (base_cell, *getattr(base_cell, "_cells", ())):
            if isinstance(cell, BidirectionalCell):
                raise AssertionError(
                    "ZoneoutCell: a BidirectionalCell has no steps; put one around its two cells"
                )
        super().__init__(base_cell)
        self.zoneout_outputs, self.zoneout_states = zoneout_outputs, zoneout_states
        self.prev_output = None

    def reset(self):
        super().reset()
        self.prev_output = None

    def __call__(self, inputs, states):
        output, next_states = self.base_cell(inputs, states)
        last = symbol.zeros((0, 0)) if self.prev_output is None else self.prev_output
        output = self._zone_out(self.zoneout_outputs, output, last)
        self.prev_output = output
        next_states = [
            self._zone_out(self.zoneout_states, new, old) for new, old in zip(next_states, states)
        ]
        return output, next_states

    @staticmethod
    def _zone_out(probability, new, old):
        if probability == 0:
            return new
        # Dropout makes the mask: 0 where the old value stays.
        mask = symbol.Dropout(symbol.ones_like(new), p=probability)
        return symbol.where(mask, new, old)


class ResidualCell(ModifierCell):
    """Adds the input to the output of another cell.

    He et al., Deep residual learning for image recognition, 2015.

    Parameters
    ----------
    base_cell : BaseRNNCell
        A cell whose output is as large as its input.
    """

    def __init__(self, base_cell):
        super().__init__(base_cell)

    def __call__(self, inputs, states):
        output, states = self.base_cell(inputs, states)
        return self._add(output, inputs), states

    def unroll(self, length, inputs, begin_state=None, layout="NTC", merge_outputs=None):
        self.reset()
        outputs, states = self._as_unmodified(
            self.base_cell.unroll,
            length,
            inputs=inputs,
            begin_state=begin_state,
            layout=layout,
            merge_outputs=merge_outputs,
        )
        merged = isinstance(outputs, symbol.Symbol)
        inputs, _ = _normalize_sequence(length, inputs, layout, merged)
        if merged:
            return self._add(outputs, inputs), states
        return [self._add(*pair) for pair in zip(outputs, inputs)], states

    @staticmethod
    def _add(output, inputs):
        return symbol.elemwise_add(output, inputs, name=f"{output.name}_plus_residual")


class BidirectionalCell(_CellOfCells):
    """Two cells, of which one runs forward and the other backward; their outputs are joined.

    It has no single steps: only :meth:`unroll`. That returns the states as two lists.

    Parameters
    ----------
    l_cell, r_cell : BaseRNNCell
        The cell that runs forward, and the one that runs backward.
    params : RNNParams, optional
    output_prefix : str, default 'bi_'
        What the names of the joined outputs begin with.

    Examples
    --------
    >>> import mxtape as mx
    >>> both = mx.rnn.BidirectionalCell(
    ...     mx.rnn.GRUCell(10, prefix="left_"), mx.rnn.GRUCell(10, prefix="right_")
    ... )
    >>> outputs, states = both.unroll(2, mx.sym.var("data"))
    >>> outputs
    [<Symbol bi_t0>, <Symbol bi_t1>]
    >>> mx.sym.Group(outputs).infer_shape(data=(32, 2, 50))[1]
    [(32, 20), (32, 20)]
    """

    def __init__(self, l_cell, r_cell, params=None, output_prefix="bi_"):
        super().__init__(params)
        self._output_prefix = output_prefix
        self._adopt(l_cell)
        self._adopt(r_cell)

    def __call__(self, inputs, states):
        raise NotImplementedError("Bidirectional cannot be stepped. Please use unroll")

    def unroll(self, length, inputs, begin_state=None, layout="NTC", merge_outputs=None):
        self.reset()
        inputs, axis = _normalize_sequence(length, inputs, layout, False)
        states = self.begin_state() if begin_state is None else begin_state
        results = [
            cell.unroll(
                length, inputs=steps, begin_state=own, layout=layout, merge_outputs=merge_outputs
            )
            for cell, steps, own in zip(
                self._cells, (inputs, list(reversed(inputs))), self._states_by_cell(states)
            )
        ]
        left, right = (outputs for outputs, _ in results)
        states = [own for _, own in results]
        if merge_outputs is None:
            merge_outputs = all(isinstance(outputs, symbol.Symbol) for outputs in (left, right))
        if merge_outputs:
            right = symbol.reverse(right, axis=axis)
            return symbol.Concat(left, right, dim=2, name=f"{self._output_prefix}out"), states
        left, right = (self._as_list(outputs, length, axis) for outputs in (left, right))
        outputs = [
            symbol.Concat(*pair, dim=1, name=f"{self._output_prefix}t{step}")
            for step, pair in enumerate(zip(left, reversed(right)))
        ]
        return outputs, states

    @staticmethod
    def _as_list(outputs, length, axis):
        if not isinstance(outputs, symbol.Symbol):
            return outputs
        return list(symbol.SliceChannel(outputs, axis=axis, num_outputs=length, squeeze_axis=1))
