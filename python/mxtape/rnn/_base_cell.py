"""What all cells of ``mx.rnn`` have in common: their parameters, states, and unrolling."""

from typing import Any

from .. import ndarray, symbol


class RNNParams:
    """The variables of one cell or of several that share their weights.

    Parameters
    ----------
    prefix : str, default ''
        What the names of the variables begin with.

    Examples
    --------
    Two cells with the same weights:

    >>> import mxtape as mx
    >>> shared = mx.rnn.RNNParams("shared_")
    >>> left = mx.rnn.RNNCell(10, prefix="shared_", params=shared)
    >>> right = mx.rnn.RNNCell(10, prefix="shared_", params=shared)
    >>> shared.get("i2h_weight") is shared.get("i2h_weight")
    True
    """

    def __init__(self, prefix=""):
        self._prefix = prefix
        self._params = {}

    def get(self, name, **kwargs):
        """The variable called `prefix` + `name`; it is made, from `kwargs`, on the first call."""
        whole = self._prefix + name
        variable = self._params.get(whole)
        if variable is None:
            variable = self._params[whole] = symbol.Variable(whole, **kwargs)
        return variable


class BaseRNNCell:
    """A step of a recurrent network: from an input and states to an output and new states.

    A subclass defines :attr:`state_info` and ``__call__``, and :attr:`_gate_names` where its
    weights are made of one part per gate.

    Parameters
    ----------
    prefix : str, default ''
        What the names of parameters and nodes begin with.
    params : RNNParams, optional
        Where the parameters are. Cells that are given the same object share them.
    """

    # Of cells whose weights are made of one part per gate.
    _num_hidden: int

    def __init__(self, prefix="", params=None):
        self._own_params = params is None
        self._prefix = prefix
        self._params = RNNParams(prefix) if params is None else params
        # Whether a modifier, such as ZoneoutCell, has taken this cell over.
        self._modified = False
        self.reset()

    def reset(self):
        """Numbers the steps and states from 0 again; :meth:`unroll` begins with it."""
        self._init_counter = -1
        self._counter = -1
        for cell in getattr(self, "_cells", ()):
            cell.reset()

    def __call__(self, inputs, states):
        """One step.

        Parameters
        ----------
        inputs : Symbol
            Of shape (batch, channels).
        states : list of Symbol
            What the step before, or :meth:`begin_state`, returned.

        Returns
        -------
        output : Symbol
        states : list of Symbol
            For the next step.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define a step")

    @property
    def params(self):
        """The cell's parameters, an :class:`RNNParams`."""
        self._own_params = False
        return self._params

    @property
    def state_info(self):
        """Shape (0 for the batch) and layout of each state: a list of dicts."""
        raise NotImplementedError(f"{type(self).__name__} does not define its states")

    @property
    def state_shape(self):
        """The shape of each state; the batch has extent 0."""
        return [info["shape"] for info in self.state_info]

    @property
    def _gate_names(self):
        """What the names of the gates' parts of a weight end with, in their order."""
        return ()

    def _check_not_modified(self):
        if self._modified:
            raise AssertionError(
                f"{type(self).__name__}: a modifier, such as ZoneoutCell, has been put around this "
                "cell; call the modifier instead"
            )

    def begin_state(self, func=symbol.zeros, **kwargs):
        """The states before the first step.

        Parameters
        ----------
        func : callable, default mx.sym.zeros
            Makes the symbol of each state. ``mx.sym.Variable`` makes states that are fed as data.
        kwargs
            More arguments for `func`.

        Returns
        -------
        list of Symbol
        """
        self._check_not_modified()
        states = []
        for info in self.state_info:
            self._init_counter += 1
            name = f"{self._prefix}begin_state_{self._init_counter}"
            states.append(func(name=name, **{**kwargs, **(info or {})}))
        return states

    def unpack_weights(self, args):
        """A copy of `args` in which each weight of this cell is split into its gates' parts.

        Parameters
        ----------
        args : dict of str to NDArray
            As in a checkpoint. What is not this cell's is kept as it is.

        Returns
        -------
        dict of str to NDArray

        Raises
        ------
        KeyError
            A weight of this cell is not in `args`.

        Examples
        --------
        >>> import mxtape as mx
        >>> cell = mx.rnn.GRUCell(2, prefix="g_")
        >>> args = {
        ...     "g_i2h_weight": mx.nd.ones((6, 5)),
        ...     "g_i2h_bias": mx.nd.ones((6,)),
        ...     "g_h2h_weight": mx.nd.ones((6, 2)),
        ...     "g_h2h_bias": mx.nd.ones((6,)),
        ... }
        >>> parts = cell.unpack_weights(args)
        >>> sorted(parts)[:3], parts["g_i2h_r_weight"].shape
        (['g_h2h_o_bias', 'g_h2h_o_weight', 'g_h2h_r_bias'], (2, 5))
        >>> sorted(cell.pack_weights(parts)) == sorted(args)
        True
        """
        args = dict(args)
        if not self._gate_names:
            return args
        size = self._num_hidden
        for group in ("i2h", "h2h"):
            whole = {part: args.pop(f"{self._prefix}{group}_{part}") for part in _PARTS}
            for number, gate in enumerate(self._gate_names):
                for part, array in whole.items():
                    rows = array[number * size : (number + 1) * size]
                    args[f"{self._prefix}{group}{gate}_{part}"] = rows.copy()
        return args

    def pack_weights(self, args):
        """The reverse of :meth:`unpack_weights`: a copy of `args` with the gates' parts joined."""
        args = dict(args)
        if not self._gate_names:
            return args
        for group in ("i2h", "h2h"):
            for part in _PARTS:
                rows = [
                    args.pop(f"{self._prefix}{group}{gate}_{part}") for gate in self._gate_names
                ]
                args[f"{self._prefix}{group}_{part}"] = ndarray.concatenate(rows)
        return args

    def unroll(self, length, inputs, begin_state=None, layout="NTC", merge_outputs=None):
        """A network of `length` steps.

        Parameters
        ----------
        length : int
            The number of steps.
        inputs : Symbol or list of Symbol
            One symbol of the whole sequence, laid out as `layout` says; or a list of one symbol of
            shape (batch, channels) for each step.
        begin_state : list of Symbol, optional
            The states before the first step. Default: :meth:`begin_state`.
        layout : str, default 'NTC'
            What the axes of the whole sequence are: N the batch, T time, C channels.
        merge_outputs : bool, optional
            True: the outputs are one symbol, laid out as `layout` says. False: a list, one for
            each step. Default: what is less work.

        Returns
        -------
        outputs : Symbol or list of Symbol
        states : list of Symbol
            After the last step.

        Examples
        --------
        >>> import mxtape as mx
        >>> cell = mx.rnn.RNNCell(10, prefix="rnn_")
        >>> outputs, states = cell.unroll(3, mx.sym.var("data"))
        >>> outputs
        [<Symbol rnn_t0_out>, <Symbol rnn_t1_out>, <Symbol rnn_t2_out>]
        >>> mx.sym.Group(outputs).infer_shape(data=(32, 3, 50))[1]
        [(32, 10), (32, 10), (32, 10)]
        """
        self.reset()
        inputs, _ = _normalize_sequence(length, inputs, layout, False)
        states = self.begin_state() if begin_state is None else begin_state
        outputs = []
        for step in inputs:
            output, states = self(step, states)
            outputs.append(output)
        outputs, _ = _normalize_sequence(length, outputs, layout, merge_outputs)
        return outputs, states

    def _get_activation(self, inputs, activation: Any, **kwargs):
        """`inputs` through the activation of this name, or through this function."""
        if not callable(activation):
            return symbol.Activation(inputs, act_type=activation, **kwargs)
        return activation(inputs, **kwargs)

    def _lstm_step(self, gates, memory, name, activation="tanh", **split):
        """The output and the memory after the step: see LSTMCell. `split` is for SliceChannel."""
        parts = symbol.SliceChannel(gates, num_outputs=4, name=f"{name}slice", **split)
        keep_new = symbol.Activation(parts[0], act_type="sigmoid", name=f"{name}i")
        keep_old = symbol.Activation(parts[1], act_type="sigmoid", name=f"{name}f")
        new = self._get_activation(parts[2], activation, name=f"{name}c")
        show = symbol.Activation(parts[3], act_type="sigmoid", name=f"{name}o")
        old = keep_old * memory
        memory = symbol.elemwise_add(old, keep_new * new, name=f"{name}state")
        seen = self._get_activation(memory, activation)
        return symbol.elemwise_mul(show, seen, name=f"{name}out"), memory

    def _gru_step(self, i2h, h2h, previous, name, activation="tanh"):
        """The output, which is the next state: see GRUCell."""
        i2h_r, i2h_z, i2h_new = symbol.SliceChannel(i2h, num_outputs=3, name=f"{name}_i2h_slice")
        h2h_r, h2h_z, h2h_new = symbol.SliceChannel(h2h, num_outputs=3, name=f"{name}_h2h_slice")
        reset = symbol.Activation(i2h_r + h2h_r, act_type="sigmoid", name=f"{name}_r_act")
        update = symbol.Activation(i2h_z + h2h_z, act_type="sigmoid", name=f"{name}_z_act")
        new = self._get_activation(i2h_new + reset * h2h_new, activation, name=f"{name}_h_act")
        new = (1.0 - update) * new
        return symbol.elemwise_add(new, update * previous, name=f"{name}out")


_PARTS = ("weight", "bias")


def _normalize_sequence(length, inputs, layout, merge):
    """A sequence as one symbol (`merge` is True), as a list (False), or as it is (None).

    Returns it, and the number of the axis of time.
    """
    if inputs is None:
        raise AssertionError("unroll: inputs is None; make variables for the inputs and give those")
    axis = layout.find("T")
    if axis < 0:
        raise ValueError(f"unroll: layout must have an axis of time, T; got {layout!r}")
    if isinstance(inputs, symbol.Symbol):
        if merge is False:
            outputs = len(inputs.list_outputs())
            if outputs != 1:
                raise AssertionError(
                    f"unroll: inputs is one symbol with {outputs} outputs. If they are the steps, "
                    "give list(inputs); to split a sequence, give a symbol with one output"
                )
            inputs = list(symbol.split(inputs, axis=axis, num_outputs=length, squeeze_axis=1))
        return inputs, axis
    if length is not None and len(inputs) != length:
        raise AssertionError(f"unroll: length is {length}, but inputs has {len(inputs)} symbols")
    if merge is True:
        steps = [symbol.expand_dims(step, axis=axis) for step in inputs]
        inputs = symbol.concat(*steps, dim=axis)
    return inputs, axis
