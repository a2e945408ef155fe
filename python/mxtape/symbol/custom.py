"""Operators written in Python as symbols: ``mx.sym.Custom``."""

from .._loader import core as _core
from ..attribute import AttrScope
from ..base import MXNetError
from ..name import NameManager
from .symbol import Symbol, Variable

__all__ = ["Custom"]


def Custom(*args, op_type=None, name=None, attr=None, **kwargs):
    """A call of an operator that :func:`mxtape.operator.register` made known.

    The operator is made once for each executor, and again when shapes or dtypes change. A file that
    has such a node can be loaded where the operator is registered.

    Parameters
    ----------
    *args : Symbol
        The inputs in the order of ``list_arguments``, then the auxiliary states. They may be named
        instead. Variables are made for those that are missing.
    op_type : str
        The name that the operator was registered by.
    name : str, optional
        Name of the node; ``mx.name.NameManager`` makes one where it is not given.
    attr : dict of str to str, optional
        Attributes of the node.
    **kwargs
        Arguments of the operator's :class:`CustomOpProp`, which gets them as strings.

    Returns
    -------
    Symbol
        With as many outputs as the operator has.

    Raises
    ------
    MXNetError
        There is no such operator, or inputs are too many, unknown, or have several outputs.

    Examples
    --------
    >>> import mxtape as mx
    >>> class Square(mx.operator.CustomOp):
    ...     def forward(self, is_train, req, in_data, out_data, aux):
    ...         self.assign(out_data[0], req[0], in_data[0] * in_data[0])
    ...     def backward(self, req, out_grad, in_data, out_data, in_grad, aux):
    ...         self.assign(in_grad[0], req[0], 2 * in_data[0] * out_grad[0])
    >>> @mx.operator.register("docs_square")
    ... class SquareProp(mx.operator.CustomOpProp):
    ...     def create_operator(self, ctx, shapes, dtypes):
    ...         return Square()
    >>> square = mx.sym.Custom(mx.sym.var("x"), op_type="docs_square", name="square")
    >>> square.list_outputs(), square.infer_shape(x=(2, 3))[1]
    (['square_output'], [(2, 3)])
    >>> square.eval(x=mx.nd.array([1, 2, 3]))[0].asnumpy().tolist()
    [1.0, 4.0, 9.0]
    """
    from ..operator import _describe  # it needs symbols

    given = {key: value for key, value in kwargs.items() if isinstance(value, Symbol)}
    texts = {key: str(value) for key, value in kwargs.items() if key not in given}
    if op_type is not None:
        texts["op_type"] = str(op_type)
    arguments, _, states = _describe({k: v for k, v in texts.items() if not k.startswith("__")})
    names = [*arguments, *states]
    for position, value in zip(names, args):
        if position in given:
            raise TypeError(f"Custom({op_type}): got two values for argument {position}")
        given[position] = value
    unknown = [key for key in given if key not in names]
    if len(args) > len(names) or unknown:
        raise MXNetError(
            f"Custom({op_type}): the inputs are {', '.join(names)}"
            + (f"; unknown: {', '.join(unknown)}" if unknown else f"; got {len(args)}")
        )
    name = NameManager.current.get(name, "custom")
    attributes = {**AttrScope.current.get(attr), **texts}
    inputs = []
    for key in names:
        symbol = given.get(key)
        if symbol is None:
            symbol = Variable(f"{name}_{key}", attr=attributes)
        if not isinstance(symbol, Symbol) or len(symbol) != 1:
            raise MXNetError(
                f"Custom({op_type}): {key} must be a Symbol with one output, got {symbol!r}"
            )
        inputs.append(symbol._graph)
    return Symbol(_core.compose_custom(name, inputs, attributes))
