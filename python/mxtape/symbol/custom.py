"""Operators written in Python as symbols: ``mx.sym.Custom``."""

from .. import operator as _operator
from .._loader import core as _core
from ..attribute import AttrScope
from ..base import MXNetError
from ..name import NameManager
from .symbol import Symbol, Variable

__all__ = ["Custom"]


def _ordered(op_type, names, args, named):
    """The symbols of a call by the names of the inputs."""
    for value in args:
        if not isinstance(value, Symbol):
            raise TypeError(f"Custom({op_type}): arguments must be Symbols, got {value!r}")
    expected = f"at most {len(names)} symbols"
    inputs = _operator._inputs_by_name(op_type, names, args, named, expected, complete=False)
    for name, value in inputs.items():
        if len(value) != 1:
            raise MXNetError(
                f"Custom({op_type}): {name} is a symbol with {len(value)} outputs, one is needed"
            )
    return inputs


def Custom(*args, op_type=None, name=None, attr=None, **kwargs):
    """A node of an operator that is written in Python; see :func:`mxtape.operator.register`.

    Parameters
    ----------
    *args : Symbol
        The arguments and auxiliary states, in the order in which the operator lists them.
    op_type : str
        The name under which the operator is registered.
    name : str, optional
        The node's name.
    attr : dict of str to str, optional
        Further attributes.
    **kwargs
        Symbols by the names of the inputs; everything else is a parameter of the operator, and is
        given to it as text. Inputs that are not given become variables.

    Raises
    ------
    MXNetError
        No operator of this name is registered, or the symbols do not fit.

    Examples
    --------
    >>> import mxtape as mx
    >>> class Double(mx.operator.CustomOp):
    ...     def forward(self, is_train, req, in_data, out_data, aux):
    ...         self.assign(out_data[0], req[0], in_data[0] * 2)
    >>> @mx.operator.register("twice_as_a_symbol")
    ... class DoubleProp(mx.operator.CustomOpProp):
    ...     def create_operator(self, ctx, shapes, dtypes):
    ...         return Double()
    >>> twice = mx.sym.Custom(mx.sym.Variable("x"), op_type="twice_as_a_symbol", name="twice")
    >>> twice.list_outputs(), twice.eval(x=mx.nd.array([1, 2]))[0].asnumpy().tolist()
    (['twice_output'], [2.0, 4.0])
    """
    named = {key: value for key, value in kwargs.items() if isinstance(value, Symbol)}
    texts = {key: str(value) for key, value in kwargs.items() if key not in named}
    if op_type is not None:
        texts["op_type"] = str(op_type)
    arguments, states, _, _ = _operator._describe(texts)
    inputs = _ordered(op_type, arguments + states, args, named)
    name = NameManager.current.get(name, "custom")
    for missing in arguments + states:
        if missing not in inputs:
            inputs[missing] = Variable(f"{name}_{missing}")
            inputs[missing]._set_attr(**texts)
    graphs = [inputs[each]._graph for each in arguments + states]
    attributes = {**AttrScope.current.get(attr), **texts}
    return Symbol(_core.compose_custom(name, graphs, attributes))
