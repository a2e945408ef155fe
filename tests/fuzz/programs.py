"""Programs as lists of statements, and what the reference says of them.

A statement is a tuple: its kind, the mode it runs in, and what the methods of `Reference` called
like the kinds read. Arrays have numbers. Values are multiples of 1/64, which every dtype holds.
"""

import math

import numpy as np

import reference as tape
from functions import FUNCTIONS
from operators import OPERATORS
from reference import RAW, TAPED, Array, Leaf, Refused, Unsuitable

OUTSIDE, RECORD, PAUSE = range(3)
TABLE = np.random.RandomState(0).randint(-128, 129, 300007) / 64


def literal(shape, offset, kind):
    """The values of an array statement: of any sign, or positive."""
    values = TABLE[offset : offset + math.prod(shape)].reshape(shape)
    return np.abs(values) + 0.25 if kind == "positive" else values


def shares(view):
    """Whether a basic index makes a view: its elements lie side by side."""
    return view.flags.c_contiguous


class Reference:
    """Runs statements one by one; `expected` then has, for each, what it must give:

    None, "error", "maybe" (it may end the program with an error), or (values, dtype).
    """

    def __init__(self, copies=True, noise=None):
        self.state = tape.State(copies, noise)
        self.slots, self.leaves = {}, []
        # Whether some sweep has not retained its graph.
        self.freed = False
        self.expected = []

    def run(self, statements):
        for statement in statements:
            self.execute(statement)
        return self.expected

    def execute(self, statement):
        kind, mode, *rest = statement
        self.state.recording = mode == RECORD
        self.was_stale, self.order = False, 0
        try:
            expected = getattr(self, kind)(*rest)
        except Refused:
            if self.was_stale or self.order:
                raise Unsuitable from None
            expected = "error"
        self.expected.append(expected)
        return expected

    def use(self, slot):
        """The array, if there is one and it may be computed with."""
        array = self.slots.get(slot)
        if array is None or array.index < 0:
            raise Unsuitable
        return array

    # ---- making arrays

    def array(self, out, shape, dtype, offset, kind, req):
        made = Array(self.state, np.array(literal(shape, offset, kind)), dtype)
        self.slots[out] = made
        if req is not None:
            self.hang_leaf(made, req)

    def hang_leaf(self, array, req):
        array.node, array.index = Leaf(self.state, req, array), 0
        self.leaves.append(array.node)

    def attach(self, slot, req):
        self.hang_leaf(self.use(slot), req)

    def call(self, formula, ins, others, outputs):
        arrays = [self.use(i) for i in ins]
        taped = self.state.noise is not None or (
            self.state.recording and any(array.on_tape for array in arrays)
        )
        if taped:
            made = formula(TAPED, *arrays, *others)
            made = list(made) if outputs > 1 else [made]
            for array in made:
                if array.on_tape and self.state.copies:
                    array.node.memory = [*array.node.memory, *[x.data for x in arrays]]
            return made
        values = formula(RAW, *[array.data for array in arrays], *others)
        keep = np.array if self.state.copies else np.asarray
        dtype = arrays[0].dtype
        return [
            Array(self.state, keep(value), dtype) for value in (values if outputs > 1 else [values])
        ]

    def op(self, outs, name, ins, others):
        operator = OPERATORS[name]
        made = self.call(operator.formula, ins, others, operator.outputs)
        self.slots.update(zip(outs, made))

    def function(self, outs, name, ins):
        _, (_, outputs), formula = FUNCTIONS[name]
        made = self.call(formula, ins, (), outputs)
        for array in made:
            if array.on_tape:
                array.node.unchecked = True
        self.slots.update(zip(outs, made))

    def cast(self, out, x, dtype):
        x = self.use(x)
        made = tape.cast(x, dtype)
        if self.state.copies:
            made.data = made.data.copy()
        self.slots[out] = made

    def view(self, out, x, how, argument):
        x = self.use(x)
        if how == "detach":
            self.slots[out] = Array(self.state, x.data, x.dtype)
            return
        if how == "all":
            self.slots[out] = x
            return
        if how == "element" and x.data.ndim == 1:
            argument = slice(argument, argument + 1)
        data = x.data.reshape(argument) if how == "reshape" else x.data[argument]
        if not shares(data):
            data = data.copy()
        made = Array(self.state, data, x.dtype)
        name = "reshape" if how == "reshape" else "index"
        tape.hang(self.state, tape.PRIMITIVES[name], [x], [made], (argument,))
        self.slots[out] = made

    def grad_handle(self, out, slot):
        leaf = self.use(slot).node
        if type(leaf) is not Leaf or not leaf.known:
            raise Unsuitable
        self.slots[out] = Array(self.state, leaf.grad, leaf.dtype)

    def drop(self, slot):
        self.slots.pop(slot)

    # ---- writing in place

    def check_writable(self, *arrays):
        if self.state.recording and any(array.on_tape for array in arrays):
            raise Refused("in a recorded graph")

    def wrote(self, data):
        if not self.state.copies:
            return
        start = data.__array_interface__["data"][0]
        self.state.writes.append((start, start + data.nbytes))

    def assign(self, target, key, source):
        """key: None for all, or the bounds of a slice of the leading axis."""
        target = self.use(target)
        self.check_writable(target)
        key = Ellipsis if key is None else slice(*key)
        part = target.data[key]
        if isinstance(source, float):
            part[...] = source
        else:
            source = self.use(source)
            if source.dtype != target.dtype or source.shape != part.shape:
                raise Unsuitable
            values = np.copy(source.data)
            if self.state.recording and source.on_tape:
                if np.shares_memory(source.data, target.data):
                    raise Unsuitable
                taken = TAPED.put(source, target.data.copy(), key)
                target.node, target.index = taken.node, 0
                taken.node.memory = [*taken.node.memory, target.data]
            part[...] = values
        self.wrote(part)

    def inplace(self, target, sign, source):
        target = self.use(target)
        if isinstance(source, float):
            self.check_writable(target)
            other = source
        else:
            source = self.use(source)
            self.check_writable(target, source)
            if source.shape != target.shape or source.dtype != target.dtype:
                raise Unsuitable
            other = source.data
        values = {"+": np.add, "-": np.subtract, "*": np.multiply}[sign](target.data, other)
        target.data[...] = self.state.perturbed(values, target.dtype)
        self.wrote(target.data)

    def out(self, target, name, ins, others):
        target = self.use(target)
        self.check_writable(target)
        inputs = [self.use(i) for i in ins]
        if any(np.may_share_memory(x.data, target.data) for x in inputs):
            raise Unsuitable
        (made,) = self.call(OPERATORS[name].formula, ins, others, 1)
        if made.shape != target.shape or made.dtype != target.dtype:
            raise Unsuitable
        target.data[...] = made.data
        self.wrote(target.data)
        if made.on_tape:
            target.node, target.index = made.node, made.index
            made.node.memory = [*made.node.memory, target.data]
            made.node.wrote = len(self.state.writes)

    # ---- differentiating

    def check_heads(self, heads, head_grads):
        for i, head in enumerate(heads):
            if not head.on_tape:
                raise Refused("not recorded")
            given = head_grads and head_grads[i]
            if given and (given.shape != head.shape or given.dtype != head.dtype):
                raise Refused("the head gradient does not fit")

    def reachable(self, heads):
        return tape.reachable([self.slots[i] for i in heads])

    def stale(self, nodes):
        """Whether something that a gradient may read was written to since."""
        found = False
        for node in nodes if self.state.writes else ():
            if type(node) is Leaf:
                continue
            for start, end in self.state.writes[node.wrote :]:
                for data in node.memory:
                    at = data.__array_interface__["data"][0]
                    if at < end and start < at + data.nbytes:
                        found = True
                        if node.unchecked:
                            raise Unsuitable
        return found

    def prepare(self, heads, head_grads):
        heads = [self.use(i) for i in heads]
        head_grads = head_grads and [None if i is None else self.use(i) for i in head_grads]
        self.check_heads(heads, head_grads)
        nodes = tape.reachable(heads)
        self.order = max(node.order for node in nodes)
        # What gradients of gradients read depends on how the rules are written.
        doubtful = self.order > 0 and (self.freed or bool(self.state.writes))
        self.was_stale = self.stale(nodes) or doubtful
        return heads, head_grads, nodes, self.order

    def backward(self, heads, head_grads, retain):
        heads, head_grads, _, order = self.prepare(heads, head_grads)
        try:
            found = tape.sweep(self.state, heads, head_grads, retain, False)
        finally:
            self.bury(order, retain)
        any_found = False
        for leaf, gradient in found.values():
            if leaf.req == "null":
                continue
            any_found = True
            gradient = tape.value(gradient)
            if leaf.req == "add":
                leaf.grad += gradient
            else:
                leaf.grad[...] = gradient
                leaf.known = True
                if order and not np.any(gradient):
                    self.forget(leaf)
            self.wrote(leaf.grad)
        if order:
            # Operators may pass zeros where the reference passes nothing, and the other way round.
            if not any_found:
                raise Unsuitable
            for leaf in self.leaves:
                if id(leaf) not in found and leaf.req == "write":
                    self.forget(leaf)
            if all(not np.any(tape.value(gradient)) for _, gradient in found.values()):
                return "maybe"
        elif not any_found:
            raise Refused("no variable was reached")
        return "maybe" if self.was_stale else None

    def forget(self, leaf):
        """Its gradient may or may not have been written with zeros."""
        leaf.known = False
        if self.state.copies and any(
            np.shares_memory(array.data, leaf.grad) for array in self.slots.values()
        ):
            raise Unsuitable

    def bury(self, order, retain):
        """What of gradients' own graphs a sweep frees depends on how the rules are written."""
        self.freed = self.freed or not retain
        for array in () if retain else self.slots.values():
            node = array.node
            if node is not None and type(node) is not Leaf and (order or node.order):
                array.index = -1

    def grad(self, outs, heads, variables, head_grads, retain, create):
        heads, head_grads, nodes, order = self.prepare(heads, head_grads)
        variables = [self.use(i) for i in variables]
        if create and not retain:
            raise Unsuitable
        for variable in variables:
            if type(variable.node) is not Leaf or variable.node.req == "null":
                raise Refused("not a variable")
        if any(node.released for node in nodes):
            raise Refused("freed")
        ids = {id(node) for node in nodes}
        if any(id(variable.node) not in ids for variable in variables):
            if order:
                raise Unsuitable
            raise Refused("does not depend on it")
        leaves = [variable.node for variable in variables]
        found = tape.sweep(self.state, heads, head_grads, retain, create, leaves)
        self.bury(order, retain)
        for out, variable in zip(outs, variables):
            _, gradient = found.get(id(variable.node), (None, None))
            if gradient is None:
                if order:
                    raise Unsuitable
                gradient = np.zeros(variable.shape)
            data = np.array(tape.value(gradient))
            made = Array(self.state, data, variable.dtype)
            if create:
                made = self.hang_gradient(made, gradient, variable)
            self.slots[out] = made
        if order and not all(np.any(self.slots[out].data) for out in outs):
            return "maybe"
        return "maybe" if self.was_stale else None

    def hang_gradient(self, made, gradient, variable):
        """A gradient that can be differentiated, if only to give 0."""
        recording, self.state.recording = self.state.recording, True
        if type(gradient) is Array and gradient.on_tape:
            hung = TAPED.copy(gradient)
        else:
            hung = TAPED.tie(made, variable)
        self.state.recording = recording
        hung.node.order = max(1, hung.node.order)
        return hung

    # ---- what is compared

    def look(self, slot):
        array = self.slots[slot]
        return (array.data.copy() if self.state.copies else array.data, array.dtype)

    def look_grad(self, slot):
        leaf = self.slots[slot].node
        if type(leaf) is not Leaf:
            raise Unsuitable
        return (leaf.grad.copy(), leaf.dtype) if leaf.known else None
