"""Operators in Python as programs wrote them before :class:`~mxtape.operator.CustomOp`."""

import warnings
from typing import ClassVar

from .ndarray import array as array_of

__all__ = ["NDArrayOp", "NumpyOp", "PythonOp"]


def _deprecated(cls):
    warnings.warn(f"{cls} is deprecated; use mx.operator.CustomOp", UserWarning, stacklevel=4)


class PythonOp:
    """Base class of the two kinds of operator below. New programs use CustomOp.

    Parameters
    ----------
    need_top_grad : bool, default True
        Whether ``backward`` reads the head gradients; a loss says False.
    """

    _ref_holder: ClassVar[list] = []

    def __init__(self, need_top_grad=True):
        self.info_ = None
        self.need_top_grad_ = need_top_grad
        _deprecated("PythonOp")

    def __call__(self, *args, **kwargs):
        """The symbol of :meth:`get_symbol`."""
        return self.get_symbol(*args, **kwargs)

    def get_symbol(self, *args, **kwargs):
        """A symbol of the operator applied to symbols. To be overridden."""
        raise NotImplementedError(f"{type(self).__name__} must override get_symbol")

    def forward(self, in_data, out_data):
        """Computes the outputs, in place; unless overridden, copies the first input."""
        out_data[0][:] = in_data[0]

    def backward(self, out_grad, in_data, out_data, in_grad):
        """Computes the gradients of the inputs, in place; unless overridden, 1 for the first."""
        in_grad[0][:] = 1.0

    def infer_shape(self, in_shape):
        """Shapes of the inputs and the outputs; unless overridden, the first input's."""
        return in_shape, [in_shape[0]]

    def list_outputs(self):
        """Names of the outputs; ``['output']`` unless overridden."""
        return ["output"]

    def list_arguments(self):
        """Names of the inputs; ``['data']`` unless overridden."""
        return ["data"]

    def need_top_grad(self):
        """Whether ``backward`` reads the head gradients."""
        return self.need_top_grad_


class NumpyOp(PythonOp):
    """An operator whose ``forward`` and ``backward`` work on NumPy arrays.

    Applied to symbols it gives a symbol, a node like that of ``mx.sym.Custom``. A file that has it
    can only be loaded in the process that made it.

    Examples
    --------
    >>> import warnings
    >>> import mxtape as mx
    >>> class Double(mx.operator.NumpyOp):
    ...     def forward(self, in_data, out_data):
    ...         out_data[0][:] = in_data[0] * 2
    ...     def backward(self, out_grad, in_data, out_data, in_grad):
    ...         in_grad[0][:] = out_grad[0] * 2
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore")
    ...     double = Double()
    >>> double(data=mx.sym.var("x"), name="twice").eval(x=mx.nd.array([1, 2]))[0].asnumpy().tolist()
    [2.0, 4.0]
    """

    def __init__(self, need_top_grad=True):
        super().__init__(need_top_grad)
        _deprecated("NumpyOp")

    def get_symbol(self, *args, **kwargs):
        """The operator applied to symbols; `name` names the node."""
        return _custom_symbol(self, True, args, kwargs)


class NDArrayOp(PythonOp):
    """An operator whose ``forward`` and ``backward`` work on NDArrays. Else as :class:`NumpyOp`."""

    def __init__(self, need_top_grad=True):
        super().__init__(need_top_grad)
        _deprecated("NDArrayOp")

    def get_symbol(self, *args, **kwargs):
        """The operator applied to symbols; `name` names the node."""
        return _custom_symbol(self, False, args, kwargs)

    def declare_backward_dependency(self, out_grad, in_data, out_data):
        """Which arrays ``backward`` reads, as a list of the numbers given."""
        return [*(out_grad if self.need_top_grad_ else ()), *in_data, *out_data]


def _custom_symbol(op, in_numpy, args, kwargs):
    """A node of the operator `op`, which is registered under a name of its own."""
    from . import symbol  # few programs have such operators

    if op.info_ is None:
        op.info_ = _register(op, in_numpy)
    return symbol.Custom(*args, op_type=op.info_, **kwargs)


def _register(op, in_numpy):
    from . import operator  # it imports this module

    class Adapter(operator.CustomOp):
        """Calls `op`, which keeps neither aux states nor reqs."""

        def _run(self, function, reqs, results, **given):
            name, targets = results
            if in_numpy:
                given = {key: [x.asnumpy() for x in arrays] for key, arrays in given.items()}
                made = [target.asnumpy() for target in targets]
            else:
                given = {key: list(arrays) for key, arrays in given.items()}
                made = list(targets)
            function(**given, **{name: made})
            if in_numpy:
                for target, req, values in zip(targets, reqs, made):
                    self.assign(target, req, array_of(values, dtype=target.dtype))

        def forward(self, is_train, req, in_data, out_data, aux):
            self._run(op.forward, req, ("out_data", out_data), in_data=in_data)

        def backward(self, req, out_grad, in_data, out_data, in_grad, aux):
            self._run(
                op.backward,
                req,
                ("in_grad", in_grad),
                out_grad=out_grad,
                in_data=in_data,
                out_data=out_data,
            )

    class Property(operator.CustomOpProp):
        def __init__(self):
            super().__init__(need_top_grad=op.need_top_grad())

        def list_arguments(self):
            return op.list_arguments()

        def list_outputs(self):
            return op.list_outputs()

        def infer_shape(self, in_shape):
            return (*op.infer_shape(in_shape), [])

        def create_operator(self, ctx, in_shapes, in_dtypes):
            return Adapter()

    PythonOp._ref_holder.append(op)
    name = f"{type(op).__name__}{len(PythonOp._ref_holder)}"
    operator.register(name)(Property)
    return name
