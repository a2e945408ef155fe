"""Cells that are made of cells: stacks, modifiers, both directions; and dropout between cells."""

from typing import Any

from ... import symbol
from ...base import numeric_types
from ._base_cell import HybridRecurrentCell, RecurrentCell
from ._sequence import (
    _format_sequence,
    _get_begin_state,
    _mask_sequence_variable_length,
    _namespace,
    _reverse_sequences,
    tensor_types,
)


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
                f"{type(self).__name__}: a BidirectionalCell in it has no single steps; use unroll"
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

    def __init__(self, prefix=None, params=None) -> None:
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

    def __init__(self, prefix=None, params=None) -> None:
        super().__init__(prefix=prefix, params=params)

    def __call__(self, inputs, states):
        return super().__call__(inputs, states)

    def hybrid_forward(self, F, inputs, states):
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

    def __init__(self, rate, axes=(), prefix=None, params=None) -> None:
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

    def hybrid_forward(self, F, inputs, states):
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

    def __init__(self, base_cell) -> None:
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

    def hybrid_forward(self, F, inputs, states):
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

    def __init__(self, base_cell, zoneout_outputs=0.0, zoneout_states=0.0) -> None:
        _check_has_steps("ZoneoutCell", base_cell)
        super().__init__(base_cell)
        self.zoneout_outputs, self.zoneout_states = zoneout_outputs, zoneout_states

    def _alias(self):
        return "zoneout"

    def __repr__(self):
        rates = f"p_out={self.zoneout_outputs}, p_state={self.zoneout_states}"
        return f"{type(self).__name__}({rates}, {self.base_cell!r})"

    def reset(self):
        super().reset()
        self._prev_output = None

    def hybrid_forward(self, F, inputs, states):
        output, next_states = self._as_unmodified(self.base_cell, inputs, states)

        def zone_out(probability, new, old):
            # Dropout makes the mask: 0 where the old value stays.
            mask = F.Dropout(F.ones_like(new), p=probability)
            return F.where(mask, new, old)

        if self.zoneout_outputs > 0:
            last = self._prev_output
            # What was kept may be a symbol, of the time when this cell was traced.
            if last is None or _namespace(last) is not F:
                last = F.zeros_like(output)
            output = zone_out(self.zoneout_outputs, output, last)
            self._prev_output = output
        if self.zoneout_states > 0:
            next_states = [
                zone_out(self.zoneout_states, new, old) for new, old in zip(next_states, states)
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

    def __init__(self, base_cell) -> None:
        super().__init__(base_cell)

    def hybrid_forward(self, F, inputs, states):
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

    def __init__(self, l_cell, r_cell, output_prefix="bi_") -> None:
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
