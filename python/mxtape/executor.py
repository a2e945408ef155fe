"""Executors: symbols bound to arrays."""

from functools import reduce

import numpy as _np

from . import ndarray
from ._loader import core as _core
from .base import MXNetError
from .ndarray import NDArray, array, zeros

__all__ = ["Executor"]


def _named(names, arrays):
    """Arrays by name; an error when two have one name."""
    if len(set(names)) != len(names):
        raise ValueError(f"Executor: duplicate names: {names}")
    return dict(zip(names, arrays))


class Executor:
    """A symbol bound to arrays: :meth:`forward` computes its outputs, :meth:`backward` gradients.

    Made by :meth:`Symbol.bind` and :meth:`Symbol.simple_bind`. It reads the arguments and writes
    the outputs and gradients in the arrays that it is bound to, without autograd: what it computes
    is not in the graph of ``autograd.record()``.

    Attributes
    ----------
    arg_arrays, grad_arrays, aux_arrays : list
        The arguments, their gradients (None where there is none) and the auxiliary states, in the
        order of ``list_arguments()`` and ``list_auxiliary_states()``.
    outputs : list of NDArray
        The results of the last forward. The next one writes into the same arrays, unless a result
        has another shape then.

    Examples
    --------
    >>> import mxtape as mx
    >>> symbol = mx.sym.load_json('''{
    ...   "nodes": [
    ...     {"op": "null", "name": "x", "inputs": []},
    ...     {"op": "square", "name": "y", "inputs": [[0, 0, 0]]}
    ...   ],
    ...   "arg_nodes": [0], "heads": [[1, 0, 0]]
    ... }''')
    >>> x = mx.nd.array([1, 2])
    >>> executor = symbol.bind(mx.cpu(), {"x": x}, {"x": mx.nd.zeros(2)})
    >>> executor.forward(is_train=True)[0].asnumpy().tolist()
    [1.0, 4.0]
    >>> executor.backward(mx.nd.ones(2))
    >>> executor.grad_dict["x"].asnumpy().tolist()
    [2.0, 4.0]
    """

    def __init__(self, handle, symbol, ctx, grad_req, group2ctx):
        self.handle = handle
        self._symbol = symbol
        self._optimized_symbol = None
        self._ctx = ctx
        self._grad_req = grad_req
        self._group2ctx = group2ctx
        self._monitor_callback = None
        self._monitor_all = False
        self.arg_arrays = []
        self.grad_arrays = []
        self.aux_arrays = []
        self.outputs = handle.outputs()
        self._arg_dict = self._grad_dict = self._aux_dict = self._output_dict = None

    @property
    def arg_dict(self):
        """The arguments by name.

        Raises
        ------
        ValueError
            Two arguments have one name.
        """
        if self._arg_dict is None:
            self._arg_dict = _named(self._symbol.list_arguments(), self.arg_arrays)
        return self._arg_dict

    @property
    def grad_dict(self):
        """The arguments' gradients by the arguments' names; None for those without."""
        if self._grad_dict is None:
            self._grad_dict = _named(self._symbol.list_arguments(), self.grad_arrays)
        return self._grad_dict

    @property
    def aux_dict(self):
        """The auxiliary states by name."""
        if self._aux_dict is None:
            self._aux_dict = _named(self._symbol.list_auxiliary_states(), self.aux_arrays)
        return self._aux_dict

    @property
    def output_dict(self):
        """The outputs by name."""
        if self._output_dict is None:
            self._output_dict = _named(self._symbol.list_outputs(), self.outputs)
        return self._output_dict

    def forward(self, is_train=False, **kwargs):
        """Computes the outputs.

        Parameters
        ----------
        is_train : bool, default False
            Whether layers such as Dropout and BatchNorm run as in training, and whether what
            :meth:`backward` needs is kept.
        **kwargs
            Values for arguments, by name: NDArrays or NumPy arrays of the arguments' shapes. They
            are copied into the bound arrays.

        Returns
        -------
        list of NDArray
            :attr:`outputs`.

        Raises
        ------
        TypeError
            There is no argument of a name that is given.
        ValueError
            A value is no array, or its shape is not the argument's.
        """
        if kwargs:
            self._set_arguments(kwargs)
        self.handle.forward(bool(is_train), self._monitor_callback, self._monitor_all)
        outputs = self.handle.outputs()
        if any(
            old is None or old.shape != new.shape or not _core.shares_memory(old, new)
            for old, new in zip(self.outputs, outputs)
        ):
            self.outputs = outputs
            self._output_dict = None
        return self.outputs

    def _set_arguments(self, values):
        arguments = self.arg_dict
        for name, value in values.items():
            if not isinstance(value, (NDArray, _np.ndarray)):
                raise ValueError(
                    f"forward: the value of {name} must be an NDArray or a NumPy array, "
                    f"got {value!r}"
                )
            if name not in arguments:
                raise TypeError(f"forward: unknown argument {name}")
            if arguments[name].shape != value.shape:
                raise ValueError(
                    f"forward: argument {name} has shape {arguments[name].shape}, "
                    f"the value {value.shape}"
                )
        for name, value in values.items():
            arguments[name][:] = value

    def backward(self, out_grads=None, is_train=True):
        """Computes the gradients of the arguments and writes, or adds, them to ``grad_arrays``.

        Parameters
        ----------
        out_grads : NDArray, list or dict, optional
            Gradients of the outputs: of one output, of each in their order, or by the outputs'
            names. Losses such as SoftmaxOutput and make_loss need none, nor does what has no
            gradient; None in a list stands for one that is not given.
        is_train : bool, default True
            Accepted for compatibility.

        Raises
        ------
        MXNetError
            The gradient of an output that is no loss is not given, or has another shape.
        TypeError
            ``out_grads`` is something else.

        Notes
        -----
        The forward to which it belongs is the latest one with ``is_train=True``. After one without,
        or none, the graph is computed once more.
        """
        if isinstance(out_grads, NDArray):
            out_grads = [out_grads]
        elif isinstance(out_grads, dict):
            names = self._symbol.list_outputs()
            unknown = sorted(set(out_grads) - set(names))
            if unknown:
                raise ValueError(f"backward: there is no output {unknown[0]}; there are {names}")
            out_grads = [out_grads.get(name) for name in names]
        out_grads = () if out_grads is None else out_grads
        for grad in out_grads:
            if grad is not None and not isinstance(grad, NDArray):
                raise TypeError(f"backward: out_grads must be NDArrays, got {type(grad).__name__}")
        self.handle.backward(list(out_grads), self._monitor_callback)

    def set_monitor_callback(self, callback, monitor_all=False):
        """Has a function called with each result that :meth:`forward` and :meth:`backward` compute.

        Parameters
        ----------
        callback : callable or None
            Called with the result's name, such as ``"fc1_output"``, or ``"fc1_backward_output1"``
            for the gradient of the second input, and the NDArray. None ends it.
        monitor_all : bool, default False
            Whether it is called with the inputs of each node too.
        """
        if callback is not None and not callable(callback):
            raise TypeError(f"set_monitor_callback: {callback!r} cannot be called")
        self._monitor_callback = callback
        self._monitor_all = bool(monitor_all)

    def copy_params_from(self, arg_params, aux_params=None, allow_extra_params=False):
        """Copies values into arguments and auxiliary states.

        Parameters
        ----------
        arg_params, aux_params : dict of str to NDArray
            The values, by name; of any dtype.
        allow_extra_params : bool, default False
            Whether names that the symbol does not have are passed over.

        Raises
        ------
        ValueError
            There is no argument or state of a name that is given.
        MXNetError
            A value has another shape.
        """
        pairs = []
        for kind, known, given in (
            ("arguments", self.arg_dict, arg_params),
            ("auxiliary states", self.aux_dict, aux_params or {}),
        ):
            for name, value in given.items():
                if name not in known:
                    if allow_extra_params:
                        continue
                    raise ValueError(f"copy_params_from: {name!r} is not among the {kind}")
                value = value if isinstance(value, NDArray) else array(value)
                if value.shape != known[name].shape:
                    raise MXNetError(
                        f"copy_params_from: {name} has shape {known[name].shape}, "
                        f"the value {value.shape}"
                    )
                pairs.append((known[name], value))
        for target, value in pairs:
            target[:] = value

    def reshape(self, partial_shaping=False, allow_up_sizing=False, **kwargs):
        """An executor of the same symbol for arguments of other shapes.

        Arrays whose shape stays are shared with this executor. Those that become smaller share
        memory with it, if they are dense; sparse ones are new.

        Parameters
        ----------
        partial_shaping : bool, default False
            Whether shapes of arguments that are not given may change.
        allow_up_sizing : bool, default False
            Whether arrays may become larger: they are new ones then.
        **kwargs
            New shapes, by the names of arguments.

        Raises
        ------
        MXNetError
            A shape changes that may not.
        """
        names = self._symbol.list_arguments()
        unknown = sorted(set(kwargs) - set(names))
        if unknown:
            raise MXNetError(f"reshape: the symbol has no argument {unknown[0]}; it has {names}")
        # What does not follow from the new shapes stays as it is.
        open_shapes = {
            name: array.shape
            for name, array, shape in zip(
                names, self.arg_arrays, self._symbol.infer_shape_partial(**kwargs)[0]
            )
            if not shape or 0 in shape
        }
        arg_shapes, _, aux_shapes = self._symbol.infer_shape(**{**open_shapes, **kwargs})
        if arg_shapes is None:
            raise MXNetError(f"reshape: the shapes {kwargs} do not determine the others")

        def resized(old, shape, name):
            if old is None or old.shape == shape:
                return old
            if old.stype != "default":
                return ndarray.sparse.zeros(old.stype, shape, old.context, old.dtype)
            size = reduce(lambda a, b: a * b, shape, 1)
            if size <= old.size:
                return old.reshape((-1,))[:size].reshape(shape)
            if not allow_up_sizing:
                raise MXNetError(
                    f"reshape: {name} would become larger, {shape} where it is {old.shape}. Make "
                    "the largest executor first, or pass allow_up_sizing=True"
                )
            return zeros(shape, old.context, dtype=old.dtype)

        args, grads, states = [], [], []
        for name, shape, arg, grad in zip(names, arg_shapes, self.arg_arrays, self.grad_arrays):
            if name not in kwargs and shape != arg.shape and not partial_shaping:
                raise MXNetError(
                    f"reshape: the shape of {name}, which is not given, would change from "
                    f"{arg.shape} to {shape}; pass partial_shaping=True to allow that"
                )
            args.append(resized(arg, shape, name))
            grads.append(resized(grad, shape, name))
        for name, shape, state in zip(
            self._symbol.list_auxiliary_states(), aux_shapes, self.aux_arrays
        ):
            if shape != state.shape and not partial_shaping:
                raise MXNetError(
                    f"reshape: the shape of {name} would change from {state.shape} to {shape}; "
                    "pass partial_shaping=True to allow that"
                )
            states.append(resized(state, shape, name))
        return self._symbol.bind(
            self._ctx, args, grads, self._grad_req, states, group2ctx=self._group2ctx
        )

    def debug_str(self):
        """The graph as text, and how much memory its arrays take."""
        arrays = [*self.arg_arrays, *self.grad_arrays, *self.aux_arrays, *self.outputs]
        size = sum(x.size * _np.dtype(x.dtype).itemsize for x in arrays if x is not None)
        return f"{self._symbol.debug_str()}Total {size >> 20} MB allocated\n"
