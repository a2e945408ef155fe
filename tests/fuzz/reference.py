"""A slow tape over NumPy, written to be plainly right: the fuzzer's programs are held against it.

Everything is computed in float64. A primitive is a forward function of NumPy arrays and a rule for
its gradients. A rule calls primitives through the namespace `m` that it is given: `RAW`, where
they are NumPy's functions, or `TAPED`, where they are recorded, so that gradients of any order
follow from the same rules.
"""

import heapq
import itertools
import math

import numpy as np


class Refused(Exception):
    """What the program asks for must raise an error."""


class Unsuitable(Exception):
    """What the program asks for has no definite answer; it should not ask."""


EPSILON = {"float64": 2.0**-53, "float32": 2.0**-24, "float16": 2.0**-11}


class State:
    """What the reference knows beside its arrays."""

    def __init__(self, copies=True, noise=None):
        self.recording = False
        self.numbers = itertools.count(1)
        # Saved values are copied where a program writes in place.
        self.copies = copies
        # A source of random numbers: every result is then off by a rounding error.
        self.noise = noise
        # The memory that was written to in place, as pairs of addresses, in order.
        self.writes = []
        # How many sweeps with create_graph what is recorded now comes from.
        self.sweep_order = 0

    def perturbed(self, values, dtype):
        if self.noise is None:
            return values
        error = EPSILON[dtype] * self.noise.uniform(-1, 1, np.shape(values))
        return values * (1 + error)


class Leaf:
    """A variable."""

    released, inputs = False, ()
    order = 0

    def __init__(self, state, req, like):
        self.number = next(state.numbers)
        self.req = req
        self.grad = np.zeros(like.data.shape)
        self.dtype = like.dtype
        # False once a sweep may or may not have written zeros.
        self.known = True


class Node:
    """A recorded call of a primitive."""

    # `unchecked`: nobody sees whether what was saved has changed.
    unchecked = released = False
    req = "none"

    def __init__(self, state, primitive, inputs, outputs, params, order):
        self.number = next(state.numbers)
        self.primitive, self.params = primitive, params
        # How many sweeps with create_graph its values come from.
        self.order = order
        self.inputs, self.dtypes = [], [array.dtype for array in outputs]
        for array in inputs:
            node = array.node
            recorded = node is not None and not node.released
            self.inputs.append((node, array.index) if recorded else None)
        self.saved = [array.data for array in inputs]
        self.results = [array.data for array in outputs]
        if state.copies:
            # What a write in place could change of what was saved.
            self.memory = self.saved + self.results
            self.wrote = len(state.writes)
            self.saved = [data.copy() for data in self.saved]
            self.results = [data.copy() for data in self.results]


class Array:
    """A handle: values, which other handles may share, and a place on the tape."""

    __slots__ = ("data", "dtype", "index", "node", "state")

    def __init__(self, state, data, dtype, node=None, index=0):
        # A function of NumPy gives a number for an array of no dimension: that has no memory.
        self.state, self.data, self.dtype = state, np.asarray(data), dtype
        self.node, self.index = node, index

    @property
    def shape(self):
        return self.data.shape

    @property
    def on_tape(self):
        return self.node is not None and not self.node.released

    def __add__(self, other):
        return TAPED.add(self, other)

    def __sub__(self, other):
        return TAPED.sub(self, other)

    def __rsub__(self, other):
        return TAPED.sub(self.constant(other), self)

    def __mul__(self, other):
        return TAPED.mul(self, other)

    def __truediv__(self, other):
        return TAPED.div(self, other)

    def __rtruediv__(self, other):
        return TAPED.div(self.constant(other), self)

    def __neg__(self):
        return TAPED.neg(self)

    __radd__, __rmul__ = __add__, __mul__
    __array_ufunc__ = None

    def constant(self, other):
        return Array(self.state, np.asarray(other, "float64"), self.dtype)


class Primitive:
    def __init__(self, name, forward, vjp, moves=False, outputs=1):
        self.name, self.forward, self.vjp = name, forward, vjp
        # Whether arrays of numbers among the arguments are parameters.
        self.constants = name in ("put", "where")
        # Whether values are only moved: without rounding.
        self.moves, self.outputs = moves, outputs


# What counts as an array among a primitive's arguments.
NUMBERS = (float, np.ndarray, np.float64)
PRIMITIVES = {}


class Namespace:
    """Primitives by name, as attributes."""


RAW, TAPED = Namespace(), Namespace()


def primitive(name, forward, vjp, moves=False, outputs=1):
    made = PRIMITIVES[name] = Primitive(name, forward, vjp, moves, outputs)
    setattr(RAW, name, forward)
    setattr(TAPED, name, lambda *args: apply(made, args))


def apply(primitive, args):
    """Calls a primitive with arrays and, behind them, parameters."""
    first = args[0]
    state, dtype = first.state, first.dtype
    inputs, values, params = [], [], ()
    for i, arg in enumerate(args):
        if type(arg) is not Array:
            if primitive.constants or type(arg) not in NUMBERS:
                params = args[i:]
                break
            arg = first.constant(arg)
        inputs.append(arg)
        values.append(arg.data)
    made = primitive.forward(*values, *params)
    outputs = []
    for value in made if primitive.outputs > 1 else (made,):
        if type(value) is not np.ndarray:
            value = np.asarray(value)
        if state.noise is not None and not primitive.moves:
            value = state.perturbed(value, dtype)
        elif state.copies:
            value = value.copy()
        outputs.append(Array(state, value, dtype))
    if state.recording:
        hang(state, primitive, inputs, outputs, params)
    return outputs if primitive.outputs > 1 else outputs[0]


def hang(state, primitive, inputs, outputs, params):
    """Records a call, where it is to be recorded."""
    order = -1
    for array in inputs:
        node = array.node
        if node is not None and not node.released and node.order > order:
            order = node.order
    if order < 0 or not state.recording:
        return
    node = Node(state, primitive, inputs, outputs, params, max(order, state.sweep_order))
    for i, output in enumerate(outputs):
        output.node, output.index = node, i


def value(x):
    """The numbers of an array, which then count as constants."""
    return x.data if type(x) is Array else x


def shape_of(x):
    return value(x).shape


# ---- the sweep


def reachable(heads):
    """All nodes that the heads come from."""
    seen, stack = {}, [head.node for head in heads]
    while stack:
        node = stack.pop()
        if id(node) in seen:
            continue
        seen[id(node)] = node
        if not node.released:
            stack.extend(edge[0] for edge in node.inputs if edge is not None)
    return list(seen.values())


def leading_to(nodes, leaves):
    """Which nodes lead to one of the leaves."""
    leading = {id(leaf) for leaf in leaves}
    for node in sorted(nodes, key=lambda node: node.number):
        if any(edge is not None and id(edge[0]) in leading for edge in node.inputs):
            leading.add(id(node))
    return leading


def sweep(state, heads, head_grads, retain, create, leaves=None):
    """Gradients by the id of their leaf, as a dict of (leaf, values or Array)."""
    m = TAPED if create or state.noise is not None else RAW
    needed = None if leaves is None else leading_to(reachable(heads), leaves)
    pending, queue, found = {}, [], {}

    def add(edge, gradient):
        node, index = edge
        slots = pending.get(id(node))
        if slots is None:
            slots = pending[id(node)] = [None] * (
                1 if type(node) is Leaf else node.primitive.outputs
            )
            heapq.heappush(queue, (-node.number, node))
        slots[index] = gradient if slots[index] is None else slots[index] + gradient

    recording, order = state.recording, state.sweep_order
    state.recording = create
    if create:
        state.sweep_order = 1 + max(head.node.order for head in heads)
    try:
        for head, given in zip(heads, head_grads or [None] * len(heads)):
            if needed is not None and id(head.node) not in needed:
                continue
            if given is None:
                given = Array(state, np.ones(head.shape), head.dtype)
            add((head.node, head.index), given if m is TAPED else given.data)
        while queue:
            _, node = heapq.heappop(queue)
            gradients = pending.pop(id(node))
            if type(node) is Leaf:
                found[id(node)] = (node, gradients[0])
                continue
            if node.released:
                raise Refused("the graph has been freed")
            step(state, m, node, gradients, needed, add)
            if not retain:
                node.released = True
    finally:
        state.recording, state.sweep_order = recording, order
    return found


def step(state, m, node, gradients, needed, add):
    """Takes one node's gradients on to its inputs."""
    wanted = [
        edge is not None and (edge[0].req != "null" if needed is None else id(edge[0]) in needed)
        for edge in node.inputs
    ]
    if not any(wanted):
        return
    inputs, outputs = node.saved, node.results
    if m is TAPED:
        # A constant's dtype does not matter.
        inputs = [
            Array(state, data, saved_dtype(edge) if edge else node.dtypes[0], *(edge or (None,)))
            for data, edge in zip(inputs, node.inputs)
        ]
        outputs = [
            Array(state, data, dtype, node, i)
            for i, (data, dtype) in enumerate(zip(outputs, node.dtypes))
        ]
    if node.primitive.outputs == 1:
        gradients, outputs = gradients[0], outputs[0]
    else:
        for i, data in enumerate(node.results):
            if gradients[i] is None:
                zeros = np.zeros(data.shape)
                gradients[i] = Array(state, zeros, node.dtypes[i]) if m is TAPED else zeros
    results = node.primitive.vjp(m, gradients, inputs, outputs, *node.params)
    for edge, want, result in zip(node.inputs, wanted, results):
        if want and result is not None:
            if m is TAPED and result.dtype != saved_dtype(edge):
                result = TAPED.cast(result, saved_dtype(edge))
            add(edge, result)


def saved_dtype(edge):
    node, index = edge
    return node.dtype if type(node) is Leaf else node.dtypes[index]


# ---- primitives

_erf = np.frompyfunc(math.erf, 1, 1)


def erf(x):
    return np.asarray(_erf(x), "float64")


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def unary(name, forward, rule, moves=False):
    primitive(name, forward, lambda m, g, xs, y, *p: [rule(m, g, xs[0], y, *p)], moves)


unary("neg", np.negative, lambda m, g, x, y: -g, moves=True)
unary("exp", np.exp, lambda m, g, x, y: g * y)
unary("log", np.log, lambda m, g, x, y: g / x)
unary("expm1", np.expm1, lambda m, g, x, y: g * m.exp(x))
unary("log1p", np.log1p, lambda m, g, x, y: g / (x + 1.0))
unary("sin", np.sin, lambda m, g, x, y: g * m.cos(x))
unary("cos", np.cos, lambda m, g, x, y: -g * m.sin(x))
unary("tan", np.tan, lambda m, g, x, y: g / m.square(m.cos(x)))
unary("sinh", np.sinh, lambda m, g, x, y: g * m.cosh(x))
unary("cosh", np.cosh, lambda m, g, x, y: g * m.sinh(x))
unary("tanh", np.tanh, lambda m, g, x, y: g / m.square(m.cosh(x)))
unary("arcsin", np.arcsin, lambda m, g, x, y: g / m.sqrt(1.0 - m.square(x)))
unary("arccos", np.arccos, lambda m, g, x, y: -g / m.sqrt(1.0 - m.square(x)))
unary("arctan", np.arctan, lambda m, g, x, y: g / (m.square(x) + 1.0))
unary("arcsinh", np.arcsinh, lambda m, g, x, y: g / m.sqrt(m.square(x) + 1.0))
unary("arccosh", np.arccosh, lambda m, g, x, y: g / m.sqrt(m.square(x) - 1.0))
unary("arctanh", np.arctanh, lambda m, g, x, y: g / (1.0 - m.square(x)))
unary("square", np.square, lambda m, g, x, y: g * x * 2.0)
unary("sqrt", np.sqrt, lambda m, g, x, y: g / (y * 2.0))
unary("cbrt", np.cbrt, lambda m, g, x, y: g / (m.square(y) * 3.0))
unary("sigmoid", sigmoid, lambda m, g, x, y: g * y * m.sigmoid(-x))
unary("erf", erf, lambda m, g, x, y: g * m.exp(-m.square(x)) * (2 / math.sqrt(math.pi)))
unary("sign", np.sign, lambda m, g, x, y: m.zero(g))
unary("floor", np.floor, lambda m, g, x, y: m.zero(g))
unary("ceil", np.ceil, lambda m, g, x, y: m.zero(g))
unary("trunc", np.trunc, lambda m, g, x, y: m.zero(g))
unary("abs", np.abs, lambda m, g, x, y: g * np.sign(value(x)), moves=True)
unary("relu", lambda x: np.maximum(x, 0), lambda m, g, x, y: g * (value(x) > 0).astype("float64"))
# Constants that are still on the tape, as their operators are.
unary("zero", np.zeros_like, lambda m, g, x, y: m.zero(g))
unary("block", np.positive, lambda m, g, x, y: m.zero(g), moves=True)
unary("ones", np.positive, lambda m, g, x, y: np.ones_like(g) if m is RAW else m.one(g))
unary("one", np.ones_like, lambda m, g, x, y: m.zero(g))
unary("copy", np.copy, lambda m, g, x, y: g, moves=True)


def binary(name, forward, rule, moves=False):
    def vjp(m, g, xs, y):
        return [m.sum_to(r, shape_of(x)) for r, x in zip(rule(m, g, xs[0], xs[1], y), xs)]

    primitive(name, forward, vjp, moves)


def mask(condition):
    return condition.astype("float64")


binary("add", np.add, lambda m, g, a, b, y: (g, g))
binary("sub", np.subtract, lambda m, g, a, b, y: (g, -g))
binary("mul", np.multiply, lambda m, g, a, b, y: (g * b, g * a))
binary("div", np.true_divide, lambda m, g, a, b, y: (g / b, -g * y / b))
binary("power", np.power, lambda m, g, a, b, y: (g * b * m.power(a, b - 1.0), g * y * m.log(a)))
binary("hypot", np.hypot, lambda m, g, a, b, y: (g * a / y, g * b / y))
# Ties go to the first of the two.
binary(
    "maximum",
    np.maximum,
    lambda m, g, a, b, y: (g * mask(value(a) >= value(b)), g * mask(value(a) < value(b))),
    moves=True,
)
binary(
    "minimum",
    np.minimum,
    lambda m, g, a, b, y: (g * mask(value(a) <= value(b)), g * mask(value(a) > value(b))),
    moves=True,
)
binary("mod", np.mod, lambda m, g, a, b, y: (g, -g * np.floor(value(a) / value(b))))
for _name, _compare in {
    "eq": np.equal, "ne": np.not_equal, "gt": np.greater, "ge": np.greater_equal,
    "lt": np.less, "le": np.less_equal,
}.items():  # fmt: skip
    binary(
        _name,
        lambda a, b, compare=_compare: compare(a, b).astype("float64"),
        lambda m, g, a, b, y: (m.zero(g), m.zero(g)),
    )


def sum_to(x, shape):
    if x.shape == shape:
        return x
    lead = x.ndim - len(shape)
    axes = [*range(lead)]
    axes += [lead + i for i, n in enumerate(shape) if n == 1 and x.shape[lead + i] != 1]
    return np.add.reduce(x, axis=tuple(axes)).reshape(shape)


def stretched(x, shape):
    made = np.empty(shape)
    made[...] = x
    return made


unary("sum_to", sum_to, lambda m, g, x, y, shape: m.broadcast_to(g, shape_of(x)))
unary(
    "broadcast_to",
    lambda x, shape: stretched(x, shape),
    lambda m, g, x, y, shape: m.sum_to(g, shape_of(x)),
    moves=True,
)
unary(
    "reshape",
    lambda x, shape: x.reshape(shape),
    lambda m, g, x, y, shape: m.reshape(g, shape_of(x)),
    moves=True,
)
unary(
    "transpose",
    lambda x, axes: x.transpose(axes).copy(),
    lambda m, g, x, y, axes: m.transpose(g, tuple(int(i) for i in np.argsort(axes))),
    moves=True,
)


def unindex(g, key, shape):
    made = np.zeros(shape)
    np.add.at(made, key, g)
    return made


unary(
    "index",
    lambda x, key: np.array(x[key], order="C"),
    lambda m, g, x, y, key: m.unindex(g, key, shape_of(x)),
    moves=True,
)
unary("unindex", unindex, lambda m, g, x, y, key, shape: m.index(g, key))


def keep_axes(shape, axes):
    return tuple(1 if i in axes else n for i, n in enumerate(shape))


# The axes stay, with one element each.
unary(
    "sum",
    lambda x, axes: np.add.reduce(x, axis=axes, keepdims=True),
    lambda m, g, x, y, axes: m.broadcast_to(g, shape_of(x)),
)
for _name, _extreme in {"max": np.maximum.reduce, "min": np.minimum.reduce}.items():
    unary(
        _name,
        lambda x, axes, extreme=_extreme: extreme(x, axis=axes, keepdims=True),
        lambda m, g, x, y, axes: m.broadcast_to(g, shape_of(x)) * mask(value(x) == value(y)),
        moves=True,
    )
unary(
    "cumsum",
    lambda x, axis: np.cumsum(x, axis=axis),
    lambda m, g, x, y, axis: m.flip(m.cumsum(m.flip(g, axis), axis), axis),
)
unary(
    "flip",
    lambda x, axis: np.flip(x, axis).copy(),
    lambda m, g, x, y, axis: m.flip(g, axis),
    moves=True,
)


def swap(x):
    return x.swapaxes(-1, -2).copy()


unary("swap", swap, lambda m, g, x, y: m.swap(g), moves=True)
primitive(
    "matmul",
    np.matmul,
    lambda m, g, xs, y: [m.matmul(g, m.swap(xs[1])), m.matmul(m.swap(xs[0]), g)],
)


def concat(*args):
    return np.concatenate(args[:-1], axis=args[-1])


def concat_vjp(m, g, xs, y, axis):
    results, start = [], 0
    for x in xs:
        shape = shape_of(x)
        key = (slice(None),) * axis + (slice(start, start + shape[axis]),)
        results.append(m.index(g, key))
        start += shape[axis]
    return results


primitive("concat", concat, concat_vjp, moves=True)
# The condition is no input of the tape's.
primitive(
    "where",
    lambda a, b, c: np.where(c, a, b),
    lambda m, g, xs, y, c: [g * mask(c), g * mask(~c)],
    moves=True,
)


def split_vjp(m, gs, xs, ys, axis):
    return [m.concat(*gs, axis % len(shape_of(xs[0])))]


primitive(
    "split2",
    lambda x, axis: [part.copy() for part in np.split(x, 2, axis)],
    split_vjp,
    moves=True,
    outputs=2,
)


def _cast(x, dtype):
    return x


primitive("cast", _cast, lambda m, g, xs, y, dtype: [g])


def cast(x, dtype):
    made = Array(x.state, x.state.perturbed(x.data, dtype), dtype)
    hang(x.state, PRIMITIVES["cast"], [x], [made], (dtype,))
    return made


TAPED.cast = cast
primitive("tie", lambda x, like: x, lambda m, g, xs, y: [g, m.zero(xs[1])], moves=True)


# Those of autograd.Functions.
unary("logistic", sigmoid, lambda m, g, x, y: g * y * (1.0 - y))
primitive(
    "sum_and_product",
    lambda a, b: [a + b, a * b],
    lambda m, gs, xs, ys: [gs[0] + gs[1] * xs[1], gs[0] + gs[1] * xs[0]],
    outputs=2,
)


def put(x, target, key):
    target[key] = x
    return target


# Into an array off the tape.
primitive("put", put, lambda m, g, xs, y, target, key: [m.index(g, (key,))], moves=True)
