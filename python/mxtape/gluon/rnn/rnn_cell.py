"""Cells: one step of a recurrent network each, and what is made of them."""

from typing import Any

from ... import ndarray, symbol
from ...base import numeric_types, string_types
from .. import nn as _nn
from ..block import Block, HybridBlock
from ._sequence import (
    _format_sequence,
    _get_begin_state,
    _mask_sequence_variable_length,
    _namespace,
    _reverse_sequences,
    _split,
    _states_at,
    tensor_types,
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

# Activations that are operators of their own.
_FUNCTIONS = ("tanh", "relu", "sigmoid", "softsign")


class RecurrentCell(Block):
    """A step of a recurrent network: from an input and states to an output and new states.

    A subclass defines :meth:`state_info` and ``forward(inputs, states)``; one that can be hybridized
    derives from :class:`HybridRecurrentCell`.

    Parameters
    ----------
    prefix : str, optional
        What the names of parameters begin with. Default: the class's name and a number.
    params : ParameterDict, optional
        Where the parameters are. Cells that are given the same one share them.
    """

    def __init__(self, prefix=None, params=None):
        super().__init__(prefix=prefix, params=params)
        # Whether a modifier, such as ZoneoutCell, has taken this cell over.
        self._modified = False
        self.reset()

    def reset(self):
        """Forgets what the cell has kept of a sequence; :meth:`unroll` begins with it."""
        # The numbers of states made and of steps taken, for names.
        self._init_counter = self._counter = -1
        for child in self._children.values():
            if isinstance(child, RecurrentCell):
                child.reset()

    def state_info(self, batch_size=0):
        """Shape and layout of each state: a list of dicts."""
        raise NotImplementedError(f"{type(self).__name__} does not define state_info(batch_size)")

    def _check_not_modified(self):
        if self._modified:
            raise AssertionError(
                f"{type(self).__name__}: a modifier, such as ZoneoutCell, has been put around this "
                "cell; call the modifier instead"
            )

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

        Examples
        --------
        >>> import mxtape as mx
        >>> [state.shape for state in mx.gluon.rnn.LSTMCell(10).begin_state(batch_size=4)]
        [(4, 10), (4, 10)]
        """
        self._check_not_modified()
        states = []
        for info in self.state_info(batch_size):
            self._init_counter += 1
            name = f"{self._prefix}begin_state_{self._init_counter}"
            states.append(func(name=name, **{**(info or {}), **kwargs}))
        return states

    def unroll(
        self,
        length,
        inputs,
        begin_state=None,
        layout="NTC",
        merge_outputs=None,
        valid_length=None,
    ):
        """Runs the cell over a sequence.

        Parameters
        ----------
        length : int
            The number of steps.
        inputs : NDArray, Symbol, or a list of them
            The whole sequence, laid out as `layout` says; or a list of one array or symbol for each
            step.
        begin_state : list, optional
            The states before the first step. Default: :meth:`begin_state`.
        layout : str, default 'NTC'
            What the axes of the whole sequence are: N the batch, T time, C channels.
        merge_outputs : bool, optional
            True: the outputs are one array or symbol, laid out as `layout` says. False: a list, one
            for each step. Default: what is less work.
        valid_length : NDArray or Symbol, optional
            Of shape (batch,): the number of steps of each sample. Later outputs are 0, and the
            states are those after that step.

        Returns
        -------
        outputs : NDArray, Symbol, or a list of them
        states : list of NDArray or Symbol
            After the last step.

        Examples
        --------
        >>> import mxtape as mx
        >>> cell = mx.gluon.rnn.RNNCell(10)
        >>> cell.initialize()
        >>> outputs, states = cell.unroll(3, mx.nd.ones((4, 3, 5)), merge_outputs=True)
        >>> outputs.shape, states[0].shape
        ((4, 3, 10), (4, 10))
        """
        self.reset()
        steps, axis, F, batch_size = _format_sequence(length, inputs, layout, False)
        states = _get_begin_state(self, F, begin_state, steps, batch_size)
        outputs, history = [], [states]
        for step in steps:
            output, states = self(step, states)
            outputs.append(output)
            if valid_length is not None:
                history.append(states)
        if valid_length is not None:
            states = _states_at(F, history, valid_length)
            outputs = _mask_sequence_variable_length(
                F, outputs, len(steps), valid_length, axis, merge_outputs
            )
        return _format_sequence(None, outputs, layout, merge_outputs)[0], states

    def _get_activation(self, F, inputs, activation, **kwargs):
        """`inputs` through the activation of this name, through this block, or this function."""
        if isinstance(activation, string_types):
            if activation in _FUNCTIONS:
                return getattr(F, activation)(inputs, **kwargs)
            return F.Activation(inputs, act_type=activation, **kwargs)
        if isinstance(activation, _nn.LeakyReLU):
            return F.LeakyReLU(inputs, act_type="leaky", slope=activation._alpha, **kwargs)
        if isinstance(activation, Block):
            return activation(inputs)
        return activation(inputs, **kwargs)

    def forward(self, inputs, states):
        """One step.

        Parameters
        ----------
        inputs : NDArray or Symbol
            Of shape (batch, channels).
        states : list of NDArray or Symbol
            What the step before, or :meth:`begin_state`, returned.

        Returns
        -------
        output : NDArray or Symbol
        states : list of NDArray or Symbol
            For the next step.
        """
        self._counter += 1
        return super().forward(inputs, states)


class HybridRecurrentCell(RecurrentCell, HybridBlock):
    """A :class:`RecurrentCell` that can be hybridized.

    A subclass defines :meth:`state_info` and ``hybrid_forward(F, inputs, states, ...)``.
    """

    def __init__(self, prefix=None, params=None):
        super().__init__(prefix=prefix, params=params)

    def hybrid_forward(self, F, x, *args, **kwargs):
        raise NotImplementedError(f"{type(self).__name__} does not define hybrid_forward")


class _DenseCell(HybridRecurrentCell):
    """A cell whose gates are dense functions of the input (i2h) and of the last output (h2h)."""

    _gates = 1

    def __init__(self, hidden_size, input_size, initializers, prefix, params):
        super().__init__(prefix=prefix, params=params)
        self._hidden_size, self._input_size = hidden_size, input_size
        rows = self._gates * hidden_size
        shapes = [(rows, input_size), (rows, self._recurrent_size), (rows,), (rows,)]
        names = ["i2h_weight", "h2h_weight", "i2h_bias", "h2h_bias"]
        for name, shape, init in zip(names, shapes, initializers):
            parameter = self.params.get(name, shape=shape, init=init, allow_deferred_init=True)
            setattr(self, name, parameter)

    @property
    def _recurrent_size(self):
        """The size of the output that is fed back."""
        return self._hidden_size

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
    ):
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
    ):
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
        total = F.elemwise_add(i2h, h2h, name=f"{prefix}plus0")
        parts = F.SliceChannel(total, num_outputs=4, name=f"{prefix}slice")
        gate = self._recurrent_activation
        keep_new = self._get_activation(F, parts[0], gate, name=f"{prefix}i")
        keep_old = self._get_activation(F, parts[1], gate, name=f"{prefix}f")
        new = self._get_activation(F, parts[2], self._activation, name=f"{prefix}c")
        show = self._get_activation(F, parts[3], gate, name=f"{prefix}o")
        memory = F.elemwise_add(
            F.elemwise_mul(keep_old, states[1], name=f"{prefix}mul0"),
            F.elemwise_mul(keep_new, new, name=f"{prefix}mul1"),
            name=f"{prefix}state",
        )
        seen = self._get_activation(F, memory, self._activation, name=f"{prefix}activation0")
        output = F.elemwise_mul(show, seen, name=f"{prefix}out")
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
    ):
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
        last = states[0]
        i2h, h2h = self._dense(F, inputs, last, weights, prefix)
        from_input = F.SliceChannel(i2h, num_outputs=3, name=f"{prefix}i2h_slice")
        from_state = F.SliceChannel(h2h, num_outputs=3, name=f"{prefix}h2h_slice")

        def sigmoid(gate, name):
            total = F.elemwise_add(from_input[gate], from_state[gate], name=f"{prefix}plus{gate}")
            return F.Activation(total, act_type="sigmoid", name=f"{prefix}{name}_act")

        reset, update = sigmoid(0, "r"), sigmoid(1, "z")
        remembered = F.elemwise_mul(reset, from_state[2], name=f"{prefix}mul0")
        total = F.elemwise_add(from_input[2], remembered, name=f"{prefix}plus2")
        new = F.Activation(total, act_type="tanh", name=f"{prefix}h_act")
        ones = F.ones_like(update, name=f"{prefix}ones_like0")
        share = F.elemwise_sub(ones, update, name=f"{prefix}minus0")
        output = F.elemwise_add(
            F.elemwise_mul(share, new, name=f"{prefix}mul1"),
            F.elemwise_mul(update, last, name=f"{prefix}mul20"),
            name=f"{prefix}out",
        )
        return output, [output]


def _states_by_cell(cells, states):
    """What of a list of states is each cell's."""
    begin = 0
    for cell in cells:
        end = begin + len(cell.state_info())
        yield states[begin:end]
        begin = end


class _CellOfCells(RecurrentCell):
    """What cells that are made of cells have in common: their states are those of all of them."""

    def _parts(self):
        return list(self._children.values())

    def state_info(self, batch_size=0):
        return [info for cell in self._parts() for info in cell.state_info(batch_size)]

    def begin_state(self, **kwargs):  # type: ignore[override] # as in MXNet
        self._check_not_modified()
        return [state for cell in self._parts() for state in cell.begin_state(**kwargs)]


class _StackOfCells(_CellOfCells):
    """Cells one above the other."""

    def add(self, cell):
        """Puts a cell on top."""
        self.register_child(cell)

    def __len__(self):
        return len(self._children)

    def __getitem__(self, i):
        return self._parts()[i]

    def __repr__(self):
        lines = [f"({name}): {cell!r}" for name, cell in self._children.items()]
        return "\n".join([f"{type(self).__name__}(", *lines, ")"])

    def _step(self, inputs, states):
        cells, next_states = self._parts(), []
        if any(isinstance(cell, BidirectionalCell) for cell in cells):
            raise AssertionError(
                f"{type(self).__name__}: it has a BidirectionalCell, which has no single steps; use "
                "unroll"
            )
        for cell, own in zip(cells, _states_by_cell(cells, states)):
            inputs, own = cell(inputs, own)
            next_states.extend(own)
        return inputs, next_states

    def unroll(
        self,
        length,
        inputs,
        begin_state=None,
        layout="NTC",
        merge_outputs=None,
        valid_length=None,
    ):
        self.reset()
        _, _, F, batch_size = _format_sequence(length, inputs, layout, None)
        states = _get_begin_state(self, F, begin_state, inputs, batch_size)
        cells, next_states = self._parts(), []
        for cell, own in zip(cells, _states_by_cell(cells, states)):
            inputs, own = cell.unroll(
                length,
                inputs,
                begin_state=own,
                layout=layout,
                merge_outputs=merge_outputs if cell is cells[-1] else None,
                valid_length=valid_length,
            )
            next_states.extend(own)
        return inputs, next_states


class SequentialRNNCell(_StackOfCells):
    """Cells one above the other: the output of each is the input of the next.

    :class:`HybridSequentialRNNCell` can be hybridized.

    Parameters
    ----------
    prefix : str, optional
    params : ParameterDict, optional

    Examples
    --------
    >>> import mxtape as mx
    >>> stack = mx.gluon.rnn.SequentialRNNCell()
    >>> with stack.name_scope():
    ...     stack.add(mx.gluon.rnn.LSTMCell(20))
    ...     stack.add(mx.gluon.rnn.DropoutCell(0.2))
    ...     stack.add(mx.gluon.rnn.LSTMCell(10))
    >>> stack.initialize()
    >>> outputs, states = stack.unroll(3, mx.nd.ones((4, 3, 5)), merge_outputs=True)
    >>> outputs.shape, len(states)
    ((4, 3, 10), 4)
    """

    def __init__(self, prefix=None, params=None):
        super().__init__(prefix=prefix, params=params)

    def __call__(self, inputs, states):
        return super().__call__(inputs, states)

    def forward(self, inputs, states):
        self._counter += 1
        return self._step(inputs, states)

    def hybrid_forward(self, *args, **kwargs):
        raise NotImplementedError(
            "SequentialRNNCell cannot be hybridized; use HybridSequentialRNNCell"
        )


class HybridSequentialRNNCell(_StackOfCells, HybridRecurrentCell):
    """:class:`SequentialRNNCell` of cells that can be hybridized.

    Parameters
    ----------
    prefix : str, optional
    params : ParameterDict, optional
    """

    def __init__(self, prefix=None, params=None):
        super().__init__(prefix=prefix, params=params)

    def __call__(self, inputs, states):
        return super().__call__(inputs, states)

    def hybrid_forward(self, F, inputs, states):  # type: ignore[override]
        return self._step(inputs, states)


class DropoutCell(HybridRecurrentCell):
    """Drops elements of its input in training; it has no state.

    Parameters
    ----------
    rate : float
        The probability with which an element is dropped. 0: the input is passed on.
    axes : tuple of int, default ()
        Axes along which all elements are dropped, or none.
    prefix : str, optional
    params : ParameterDict, optional
    """

    def __init__(self, rate, axes=(), prefix=None, params=None):
        super().__init__(prefix=prefix, params=params)
        if not isinstance(rate, numeric_types):
            raise AssertionError(f"DropoutCell: rate must be a number, got {rate!r}")
        self._rate: Any = rate
        self._axes = axes

    def _alias(self):
        return "dropout"

    def __repr__(self):
        return f"{type(self).__name__}(rate={self._rate}, axes={self._axes})"

    def state_info(self, batch_size=0):
        return []

    def hybrid_forward(self, F, inputs, states):  # type: ignore[override]
        if self._rate > 0:
            inputs = F.Dropout(inputs, p=self._rate, axes=self._axes, name=f"t{self._counter}_fwd")
        return inputs, states

    def unroll(
        self,
        length,
        inputs,
        begin_state=None,
        layout="NTC",
        merge_outputs=None,
        valid_length=None,
    ):
        self.reset()
        inputs, _, F, _ = _format_sequence(length, inputs, layout, merge_outputs)
        if isinstance(inputs, tensor_types):
            return self.hybrid_forward(F, inputs, begin_state or [])
        return super().unroll(
            length,
            inputs,
            begin_state=begin_state,
            layout=layout,
            merge_outputs=merge_outputs,
        )


class ModifierCell(HybridRecurrentCell):
    """A cell that changes what another cell does. Its parameters and states are the other's.

    The other cell cannot be called directly from then on.

    Parameters
    ----------
    base_cell : HybridRecurrentCell
        The other cell.
    """

    def __init__(self, base_cell):
        base_cell._check_not_modified()
        super().__init__(prefix=base_cell.prefix + self._alias(), params=None)
        base_cell._modified = True
        self.base_cell = base_cell

    @property
    def params(self):
        """The other cell's parameters, a ``ParameterDict``."""
        return self.base_cell.params

    def __repr__(self):
        return f"{type(self).__name__}({self.base_cell!r})"

    def state_info(self, batch_size=0):
        return self.base_cell.state_info(batch_size)

    def _as_unmodified(self, method, *args, **kwargs):
        """Calls a method of the other cell, which lets nobody else call it."""
        self.base_cell._modified = False
        try:
            return method(*args, **kwargs)
        finally:
            self.base_cell._modified = True

    def begin_state(self, func=symbol.zeros, **kwargs):  # type: ignore[override] # as in MXNet
        """The other cell's states. They are symbols unless `func` makes arrays: ``mx.nd.zeros``."""
        self._check_not_modified()
        return self._as_unmodified(self.base_cell.begin_state, func=func, **kwargs)

    def hybrid_forward(self, F, inputs, states):  # type: ignore[override]
        raise NotImplementedError(f"{type(self).__name__} does not define hybrid_forward")


def _check_has_steps(modifier, cell):
    """Refuses cells that run a sequence as a whole, also within stacks of cells."""
    if isinstance(cell, BidirectionalCell):
        raise AssertionError(
            f"{modifier}: a BidirectionalCell has no single steps; put the modifier around the "
            "cells in it"
        )
    if isinstance(cell, _StackOfCells):
        for part in cell._parts():
            _check_has_steps(modifier, part)


class ZoneoutCell(ModifierCell):
    """Zoneout: in training, elements of outputs and states keep at random their last value.

    Krueger et al., Zoneout: regularizing RNNs by randomly preserving hidden activations, 2016.

    Parameters
    ----------
    base_cell : HybridRecurrentCell
        A cell that has steps.
    zoneout_outputs, zoneout_states : float, default 0
        The probability with which an element of an output, or of a state, keeps its last value.

    Examples
    --------
    >>> import mxtape as mx
    >>> cell = mx.gluon.rnn.ZoneoutCell(mx.gluon.rnn.LSTMCell(10), zoneout_states=0.1)
    >>> cell.initialize()
    >>> outputs, states = cell.unroll(2, mx.nd.ones((4, 2, 5)))
    """

    def __init__(self, base_cell, zoneout_outputs=0.0, zoneout_states=0.0):
        _check_has_steps("ZoneoutCell", base_cell)
        super().__init__(base_cell)
        self._zoneout_outputs, self._zoneout_states = zoneout_outputs, zoneout_states

    def _alias(self):
        return "zoneout"

    def __repr__(self):
        rates = f"p_out={self._zoneout_outputs}, p_state={self._zoneout_states}"
        return f"{type(self).__name__}({rates}, {self.base_cell!r})"

    def reset(self):
        super().reset()
        self._prev_output = None

    def hybrid_forward(self, F, inputs, states):  # type: ignore[override]
        output, next_states = self._as_unmodified(self.base_cell, inputs, states)

        def zone_out(probability, new, old):
            # Dropout makes the mask: 0 where the old value stays.
            mask = F.Dropout(F.ones_like(new), p=probability)
            return F.where(mask, new, old)

        if self._zoneout_outputs > 0:
            last = self._prev_output
            # What was kept may be a symbol, of the time when this cell was traced.
            if last is None or _namespace(last) is not F:
                last = F.zeros_like(output)
            output = zone_out(self._zoneout_outputs, output, last)
            self._prev_output = output
        if self._zoneout_states > 0:
            next_states = [
                zone_out(self._zoneout_states, new, old) for new, old in zip(next_states, states)
            ]
        return output, next_states


class ResidualCell(ModifierCell):
    """Adds the input to the output of another cell.

    He et al., Deep residual learning for image recognition, 2015.

    Parameters
    ----------
    base_cell : HybridRecurrentCell
        A cell whose output is as large as its input.

    Examples
    --------
    >>> import mxtape as mx
    >>> mx.gluon.rnn.ResidualCell(mx.gluon.rnn.GRUCell(5))
    ResidualCell(GRUCell(None -> 15))
    """

    def __init__(self, base_cell):
        super().__init__(base_cell)

    def hybrid_forward(self, F, inputs, states):  # type: ignore[override]
        output, states = self._as_unmodified(self.base_cell, inputs, states)
        return F.elemwise_add(output, inputs, name=f"t{self._counter}_fwd"), states

    def unroll(
        self,
        length,
        inputs,
        begin_state=None,
        layout="NTC",
        merge_outputs=None,
        valid_length=None,
    ):
        self.reset()
        outputs, states = self._as_unmodified(
            self.base_cell.unroll,
            length,
            inputs=inputs,
            begin_state=begin_state,
            layout=layout,
            merge_outputs=merge_outputs,
            valid_length=valid_length,
        )
        merged = isinstance(outputs, tensor_types)
        inputs, axis, F, _ = _format_sequence(length, inputs, layout, merged)
        if valid_length is not None:
            inputs = _mask_sequence_variable_length(F, inputs, length, valid_length, axis, merged)
        if merged:
            return F.elemwise_add(outputs, inputs), states
        return [F.elemwise_add(*pair) for pair in zip(outputs, inputs)], states


class BidirectionalCell(_CellOfCells, HybridRecurrentCell):
    """Two cells, of which one runs forward and the other backward; their outputs are joined.

    It has no single steps: only :meth:`unroll`. Its states are those of the first cell, then those
    of the second.

    Parameters
    ----------
    l_cell, r_cell : HybridRecurrentCell
        The cell that runs forward, and the one that runs backward.
    output_prefix : str, default 'bi_'
        What the names of the joined outputs begin with.

    Examples
    --------
    >>> import mxtape as mx
    >>> both = mx.gluon.rnn.BidirectionalCell(mx.gluon.rnn.GRUCell(10), mx.gluon.rnn.GRUCell(10))
    >>> both.initialize()
    >>> outputs, states = both.unroll(2, mx.nd.ones((4, 2, 5)), merge_outputs=True)
    >>> outputs.shape, len(states)
    ((4, 2, 20), 2)
    """

    def __init__(self, l_cell, r_cell, output_prefix="bi_"):
        super().__init__(prefix="", params=None)
        self.register_child(l_cell, "l_cell")
        self.register_child(r_cell, "r_cell")
        self._output_prefix = output_prefix

    def __repr__(self):
        forward, backward = self._parts()
        return f"{type(self).__name__}(forward={forward!r}, backward={backward!r})"

    def __call__(self, inputs, states):
        raise NotImplementedError("BidirectionalCell has no single steps; use unroll")

    def unroll(
        self,
        length,
        inputs,
        begin_state=None,
        layout="NTC",
        merge_outputs=None,
        valid_length=None,
    ):
        self.reset()
        steps, axis, F, batch_size = _format_sequence(length, inputs, layout, False)
        states = _get_begin_state(self, F, begin_state, steps, batch_size)
        cells = self._parts()
        directions = (steps, _reverse_sequences(steps, length, valid_length))
        results = [
            cell.unroll(
                length,
                inputs=sequence,
                begin_state=own,
                layout=layout,
                merge_outputs=merge_outputs,
                valid_length=valid_length,
            )
            for cell, sequence, own in zip(cells, directions, _states_by_cell(cells, states))
        ]
        (left, left_states), (right, right_states) = results
        if merge_outputs is None:
            merge_outputs = isinstance(left, tensor_types)
            left = _format_sequence(length, left, layout, merge_outputs)[0]
        right = _format_sequence(length, right, layout, False)[0]
        right = _reverse_sequences(right, length, valid_length)
        if merge_outputs:
            right = F.stack(*right, axis=axis)
            outputs = F.concat(left, right, dim=2, name=f"{self._output_prefix}out")
        else:
            outputs = [
                F.concat(*pair, dim=1, name=f"{self._output_prefix}t{step}")
                for step, pair in enumerate(zip(left, right))
            ]
        if valid_length is not None:
            outputs = _mask_sequence_variable_length(
                F, outputs, length, valid_length, axis, merge_outputs
            )
        return outputs, [*left_states, *right_states]
