"""What all cells have in common: their states, unrolling, and the steps of LSTM and GRU."""

from ... import ndarray
from ...base import string_types
from .. import nn as _nn
from ..block import Block, HybridBlock
from ._sequence import (
    _format_sequence,
    _get_begin_state,
    _mask_sequence_variable_length,
    _states_at,
)

# Activations that are operators of their own.
_FUNCTIONS = ("tanh", "relu", "sigmoid", "softsign")


class RecurrentCell(Block):
    """A step of a recurrent network: from an input and states to an output and new states.

    A subclass defines :meth:`state_info` and ``forward(inputs, states)``. Cells that can be
    hybridized derive from :class:`HybridRecurrentCell`.

    Parameters
    ----------
    prefix : str, optional
        What the names of parameters begin with. Default: the class's name and a number.
    params : ParameterDict, optional
        Where the parameters are. Cells that are given the same one share them.
    """

    def __init__(self, prefix=None, params=None) -> None:
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

    def _lstm_step(
        self,
        F,
        i2h,
        h2h,
        memory,
        prefix,
        activation="tanh",
        gate_activation="sigmoid",
        name="out",
        **split,
    ):
        """The output and the memory after the step: see LSTMCell. `split` is for SliceChannel."""
        total = F.elemwise_add(i2h, h2h, name=f"{prefix}plus0")
        parts = F.SliceChannel(total, num_outputs=4, name=f"{prefix}slice", **split)
        keep_new = self._get_activation(F, parts[0], gate_activation, name=f"{prefix}i")
        keep_old = self._get_activation(F, parts[1], gate_activation, name=f"{prefix}f")
        new = self._get_activation(F, parts[2], activation, name=f"{prefix}c")
        show = self._get_activation(F, parts[3], gate_activation, name=f"{prefix}o")
        memory = F.elemwise_add(
            F.elemwise_mul(keep_old, memory, name=f"{prefix}mul0"),
            F.elemwise_mul(keep_new, new, name=f"{prefix}mul1"),
            name=f"{prefix}state",
        )
        if isinstance(activation, string_types):
            seen = F.Activation(memory, act_type=activation, name=f"{prefix}activation0")
        else:
            seen = self._get_activation(F, memory, activation, name=f"{prefix}activation0")
        return F.elemwise_mul(show, seen, name=f"{prefix}{name}"), memory

    def _gru_step(self, F, i2h, h2h, last, prefix, activation=None, **split):
        """The output, which is the next state: see GRUCell. `split` is for SliceChannel."""
        from_input = F.SliceChannel(i2h, num_outputs=3, name=f"{prefix}i2h_slice", **split)
        from_state = F.SliceChannel(h2h, num_outputs=3, name=f"{prefix}h2h_slice", **split)

        def sigmoid(gate, name):
            total = F.elemwise_add(from_input[gate], from_state[gate], name=f"{prefix}plus{gate}")
            return F.Activation(total, act_type="sigmoid", name=f"{prefix}{name}_act")

        reset, update = sigmoid(0, "r"), sigmoid(1, "z")
        remembered = F.elemwise_mul(reset, from_state[2], name=f"{prefix}mul0")
        total = F.elemwise_add(from_input[2], remembered, name=f"{prefix}plus2")
        if activation is None:
            new = F.Activation(total, act_type="tanh", name=f"{prefix}h_act")
        else:
            new = self._get_activation(F, total, activation, name=f"{prefix}h_act")
        ones = F.ones_like(update, name=f"{prefix}ones_like0")
        share = F.elemwise_sub(ones, update, name=f"{prefix}minus0")
        return F.elemwise_add(
            F.elemwise_mul(share, new, name=f"{prefix}mul1"),
            F.elemwise_mul(update, last, name=f"{prefix}mul20"),
            name=f"{prefix}out",
        )

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
        try:
            return super().forward(inputs, states)
        except Exception:
            self._check_states(states)
            raise

    def _check_states(self, states):
        """Raises a ValueError where the states are not as many as the cell has."""
        expected = len(self.state_info(0))
        given = len(states) if isinstance(states, (list, tuple)) else type(states).__name__
        if given != expected:
            raise ValueError(
                f"{self.name}: expected states as a list of {expected}, got {given}; "
                "begin_state(batch_size) makes those before the first step"
            )


class HybridRecurrentCell(RecurrentCell, HybridBlock):
    """A :class:`RecurrentCell` that can be hybridized.

    A subclass defines :meth:`state_info` and ``hybrid_forward(F, inputs, states, ...)``.
    """

    def __init__(self, prefix=None, params=None) -> None:
        super().__init__(prefix=prefix, params=params)

    def _get_graph(self, *args):
        # What cells have kept of a sequence is no part of the graph of a step.
        counter = self._counter
        self.reset()
        self._counter = counter
        return super()._get_graph(*args)

    def hybrid_forward(self, F, x, *args, **kwargs):
        raise NotImplementedError(f"{type(self).__name__} does not define hybrid_forward")
