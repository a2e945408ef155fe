"""Loops and branches as symbols: ``foreach``, ``while_loop`` and ``cond`` of ``mx.sym.contrib``.

Each is one node, whose bodies are graphs of their own. A body is made once, by calling a Python
function with variables in the place of what changes from step to step.
"""

from collections import defaultdict

from .._loader import core as _core
from ..attribute import AttrScope
from ..name import NameManager
from . import register as _register
from .symbol import Group, Symbol, Variable

__all__ = ["cond", "foreach", "while_loop"]

# How many bodies of a name were made in this process.
_made: dict = defaultdict(int)


def _scope_name(name):
    """A name for the scope in which a body is made: it tells the body's nodes from others."""
    around = AttrScope.current.get(None).get("__subgraph_name__")
    if around:
        name = f"{around}${name}"
    number = _made[name]
    _made[name] += 1
    return f"{name}{number}"


def _flatten(nested, what):
    """The symbols of a nested list, and its form: None for one symbol, else a list of forms."""
    if isinstance(nested, Symbol):
        outputs = list(nested)
        if len(outputs) == 1:
            return outputs, None
        return outputs, [None] * len(outputs)
    if not isinstance(nested, (list, tuple)):
        raise AssertionError(
            f"{what} must be a Symbol or a (nested) list of them, got {type(nested).__name__}"
        )
    symbols: list = []
    forms = []
    for item in nested:
        inner, form = _flatten(item, what)
        symbols += inner
        forms.append(form)
    return symbols, forms


def _nest(symbols, form):
    """The inverse of :func:`_flatten`; `symbols` is an iterator."""
    if form is None:
        return next(symbols)
    return [_nest(symbols, inner) for inner in form]


def _placeholders(symbols):
    """Variables in the place of symbols, for the body."""
    return [Variable(f"{s.name}-{_core.output_index(s._graph)}") for s in symbols]


class _Body:
    """A body: its graph, and what its variables stand for."""

    def __init__(self, scope, placeholders, outputs, states=()):
        graph = Group(_copied(scope, outputs, states))._graph
        self.graph, variables = _core.cut_body(graph, scope, [p._graph for p in placeholders])
        # Of each variable: the number of the placeholder that it is or -1; the symbol outside.
        self.variables = [(number, Symbol(outside)) for number, outside in variables]

    def position(self, placeholder):
        """The number of the variable that is this placeholder; None where the body has it not."""
        numbers = [number for number, _ in self.variables]
        return numbers.index(placeholder) if placeholder in numbers else None


def _copied(scope, outputs, states):
    """The outputs and states of a body as nodes of its own, of which each is only one."""
    copy = _register.get("identity")
    names = {output.name for output in outputs}
    results = []
    for i, symbol in enumerate([*outputs, *states]):
        is_input = symbol.get_children() is None and symbol.list_inputs() == [symbol.name]
        is_outside = symbol.attr("__subgraph_name__") != scope
        is_output_too = i >= len(outputs) and symbol.name in names
        results.append(copy(symbol) if is_input or is_outside or is_output_too else symbol)
    return results


class _Inputs:
    """The inputs of a node whose bodies share them."""

    def __init__(self, loop_vars=()):
        self.loop_vars = loop_vars
        self.symbols: list = []
        self._numbers: dict = {}

    def locations(self, body):
        """The number of the input that each variable of a body is. They are told by their names."""
        found = []
        for number, outside in body.variables:
            symbol = outside if number < 0 else self.loop_vars[number]
            key = number if number >= 0 else symbol.list_outputs()[0]
            if key not in self._numbers:
                self._numbers[key] = len(self.symbols)
                self.symbols.append(symbol)
            found.append(self._numbers[key])
        return found


def _node(op, inputs, bodies, **parameters):
    """The outputs of a node, as a list of symbols."""
    graphs = [symbol._graph for symbol in inputs]
    parameters = {key: str(value) for key, value in parameters.items()}
    parameters["num_args"] = str(len(inputs) + len(bodies))
    name = NameManager.current.get(None, op)
    attributes = AttrScope.current.get(None)
    return list(
        Symbol(
            _core.compose_control_flow(
                op, name, graphs, parameters, attributes, [body.graph for body in bodies]
            )
        )
    )


def foreach(body, data, init_states, name="foreach"):
    """A loop over the slices of symbols along their first axis, passing states on.

    Parameters
    ----------
    body : callable
        ``body(slices, states)`` returns ``(outputs, new_states)``: each a Symbol or a (nested) list
        of them. It is called once, and uses all slices and states. Other symbols that it uses
        become inputs of the loop.
    data : Symbol or (nested) list of Symbol
        What is sliced.
    init_states : Symbol or (nested) list of Symbol
        The states of the first step. May be ``[]``.
    name : str, default 'foreach'
        What the name of the body's scope begins with.

    Returns
    -------
    tuple
        The outputs of all steps, stacked along a new first axis, and the last states.

    Raises
    ------
    AssertionError
        Something is no Symbol, the states change their form, or the body does not use a slice or a
        state.

    Examples
    --------
    >>> import mxtape as mx
    >>> data, start = mx.sym.var("data"), mx.sym.var("start")
    >>> outputs, last = mx.sym.contrib.foreach(lambda x, s: (x + s, x + s), data, start)
    >>> rows = mx.nd.array([[1], [2], [3]])
    >>> outputs.eval(data=rows, start=mx.nd.zeros((1,)))[0].asnumpy().tolist()
    [[1.0], [3.0], [6.0]]
    """
    rows, form = _flatten(data, "foreach: data")
    states, state_form = _flatten(init_states, "foreach: init_states")
    scope = _scope_name(name)
    with AttrScope(__subgraph_name__=scope):
        slices, inner_states = _placeholders(rows), _placeholders(states)
        outputs, new_states = body(_nest(iter(slices), form), _nest(iter(inner_states), state_form))
        outputs, output_form = _flatten(outputs, "foreach: the outputs of body")
        new_states, new_form = _flatten(new_states, "foreach: the states of body")
        if new_form != state_form:
            raise AssertionError("foreach: body must return states of the form that it was given")
        placeholders = [*slices, *inner_states]
        inner = _Body(scope, placeholders, outputs, new_states)
    positions = [inner.position(number) for number in range(len(placeholders))]
    if None in positions:
        unused = positions.index(None)
        kind = "slice" if unused < len(rows) else "state"
        raise AssertionError(f"foreach: body must use {kind} {placeholders[unused].name}")
    others = [i for i, (number, _) in enumerate(inner.variables) if number < 0]
    results = _node(
        "_foreach",
        [*rows, *states, *(inner.variables[i][1] for i in others)],
        [inner],
        num_outputs=len(outputs) + len(states),
        num_out_data=len(outputs),
        in_data_locs=positions[: len(rows)],
        in_state_locs=positions[len(rows) :],
        remain_locs=others,
    )
    count = len(outputs)
    return _nest(iter(results[:count]), output_form), _nest(iter(results[count:]), state_form)


def while_loop(cond, func, loop_vars, max_iterations=None, name="while_loop"):
    """A loop that goes on as long as a condition on its variables holds.

    Parameters
    ----------
    cond : callable
        ``cond(*loop_vars)`` returns a Symbol, of one element when it runs. It is called once.
    func : callable
        ``func(*loop_vars)`` returns ``(outputs, new_loop_vars)``. The outputs are a Symbol, a
        (nested) list of them or None. It is called once, and uses all variables.
    loop_vars : Symbol, or (nested) list of Symbol
        The variables of the first step; at least one.
    max_iterations : int
        The loop ends after so many steps, whatever the condition says.
    name : str, default 'while_loop'
        What the names of the bodies' scopes begin with.

    Returns
    -------
    tuple
        The outputs of all steps, stacked along a new first axis of extent max_iterations, in which
        the rows after the last step are zeros; and the last variables.

    Raises
    ------
    ValueError
        Without max_iterations or variables, when func does not use a variable or changes their
        number, or when the condition is no Symbol.
    AssertionError
        Something else is no Symbol.

    Examples
    --------
    >>> import mxtape as mx
    >>> outputs, last = mx.sym.contrib.while_loop(
    ...     lambda i: i < 3, lambda i: (i * 2, i + 1), mx.sym.var("i"), max_iterations=4
    ... )
    >>> outputs.eval(i=mx.nd.array([0]))[0].asnumpy().ravel().tolist()
    [0.0, 2.0, 4.0, 0.0]
    """
    if max_iterations is None:
        raise ValueError("while_loop: max_iterations must be given")
    try:
        max_iterations = int(max_iterations)
    except (TypeError, ValueError):
        raise ValueError(
            f"while_loop: max_iterations must be an integer, got {max_iterations!r}"
        ) from None
    variables, form = _flatten(loop_vars, "while_loop: loop_vars")
    if not variables:
        raise ValueError("while_loop: loop_vars must have at least one element")

    def call(function, placeholders):
        arguments = _nest(iter(placeholders), form)
        return function(*arguments) if form is not None else function(arguments)

    scope = _scope_name(f"{name}_cond")
    with AttrScope(__subgraph_name__=scope):
        placeholders = _placeholders(variables)
        result = call(cond, placeholders)
        if not isinstance(result, Symbol) or len(result) != 1:
            raise ValueError("while_loop: cond must return a Symbol with one output")
        condition = _Body(scope, placeholders, [result])
    scope = _scope_name(f"{name}_func")
    with AttrScope(__subgraph_name__=scope):
        placeholders = _placeholders(variables)
        outputs, new_variables = call(func, placeholders)
        outputs, output_form = _flatten(
            [] if outputs is None else outputs, "while_loop: the outputs of func"
        )
        new_variables, _ = _flatten(new_variables, "while_loop: the variables of func")
        if len(new_variables) != len(variables):
            raise ValueError(
                f"while_loop: func returned {len(new_variables)} variables, it was given "
                f"{len(variables)}"
            )
        step = _Body(scope, placeholders, outputs, new_variables)
    positions = [step.position(number) for number in range(len(variables))]
    if None in positions:
        raise ValueError(
            f"while_loop: func must use variable {variables[positions.index(None)].name}"
        )
    inputs = _Inputs(variables)
    cond_locations, func_locations = inputs.locations(condition), inputs.locations(step)
    results = _node(
        "_while_loop",
        inputs.symbols,
        [condition, step],
        max_iterations=max_iterations,
        num_outputs=len(outputs) + len(variables),
        num_out_data=len(outputs),
        cond_input_locs=cond_locations,
        func_input_locs=func_locations,
        func_var_locs=positions,
    )
    count = len(outputs)
    return _nest(iter(results[:count]), output_form), _nest(iter(results[count:]), form)


def cond(pred, then_func, else_func, name="cond"):
    """One of two graphs, by a condition.

    Parameters
    ----------
    pred : Symbol
        Of one element when it runs: whether it is the first.
    then_func, else_func : callable
        Functions without arguments that return a Symbol, or a (nested) list of them; both as many,
        of the same shapes and dtypes. Each is called once.
    name : str, default 'cond'
        What the names of the bodies' scopes begin with.

    Returns
    -------
    Symbol or list of Symbol
        The outputs of the graph that is chosen.

    Raises
    ------
    ValueError
        When pred is no Symbol with one output, or the functions return different numbers of them.
    AssertionError
        When a function returns something else than Symbols.

    Examples
    --------
    >>> import mxtape as mx
    >>> x = mx.sym.var("x")
    >>> larger = mx.sym.contrib.cond(x > 3, lambda: x * 10, lambda: x)
    >>> larger.eval(x=mx.nd.array([4]))[0].asscalar().item()
    40.0
    """
    if not isinstance(pred, (Symbol, list, tuple)):
        raise AssertionError(f"cond: pred must be a Symbol, got {type(pred).__name__}")
    if not isinstance(pred, Symbol) or len(pred) != 1:
        raise ValueError("cond: pred must be a Symbol with one output")
    scope = _scope_name(f"{name}_pred")
    with AttrScope(__subgraph_name__=scope):
        condition = _Body(scope, [], [pred])
    branches = []
    for function, which in ((then_func, "then"), (else_func, "else")):
        scope = _scope_name(f"{name}_{which}")
        with AttrScope(__subgraph_name__=scope):
            outputs, form = _flatten(function(), f"cond: what {which}_func returns")
            if not outputs:
                raise TypeError(f"cond: {which}_func must return at least one Symbol")
            branches.append((_Body(scope, [], outputs), len(outputs), form))
    (first, count, form), (second, other_count, _) = branches
    if count != other_count:
        raise ValueError(f"cond: then_func returns {count} outputs and else_func {other_count}")
    inputs = _Inputs()
    locations = [inputs.locations(body) for body in (condition, first, second)]
    results = _node(
        "_cond",
        inputs.symbols,
        [condition, first, second],
        num_outputs=count,
        cond_input_locs=locations[0],
        then_input_locs=locations[1],
        else_input_locs=locations[2],
    )
    return _nest(iter(results), form)
