"""Draws programs. Each statement is run by the reference before the next is drawn."""

import math
import random

import numpy as np

from functions import FUNCTIONS
from operators import OPERATORS
from programs import OUTSIDE, PAUSE, RECORD, Reference
from reference import Leaf, Unsuitable

NAMES = list(OPERATORS)
# An `out=` is given to these.
INTO = ["sin", "tanh", "square", "sigmoid", "identity", "relu"]
LIMIT = {"float64": 1e3, "float32": 1e3, "float16": 30.0}
REQS = ("write", "write", "write", "add", "null", None)
SHAPES = [(), (1,), (2,), (3,), (4,), (6,), (1, 1), (2, 3), (3, 2), (1, 4), (4, 1), (2, 2), (3, 3)]
SHAPES += [
    (2, 4),
    (2, 1, 3),
    (2, 3, 2),
    (1, 2, 2),
    (3, 1, 1),
    (2, 2, 2),
    (2, 1, 2, 1),
    (1, 2, 1, 3),
]
LARGEST = 200000
LARGE = [(70000,), (300, 240), (2, 200, 180)]


class Abandoned(Exception):
    """The program came to something that has no definite answer."""


class Program:
    def __init__(self, seed, waiting, statements, expected):
        self.seed, self.waiting = seed, waiting
        self.statements, self.expected = statements, expected

    @property
    def precision(self):
        """The coarsest dtype that occurs."""
        text = {s[4] for s in self.statements if s[0] == "array"}
        text |= {s[4] for s in self.statements if s[0] == "cast"}
        return min(text, key=lambda name: int(name[5:]))


class Generator:
    def __init__(self, seed):
        self.seed, self.random = seed, random.Random(seed)
        chance = self.chance
        self.dtype = "float64"
        if chance(0.32):
            self.dtype = "float16" if chance(0.12) else "float32"
        self.size = min(40, 1 + int(-math.log(1 - self.random.random()) * 4))
        if self.dtype == "float16":
            self.size = min(self.size, 6)
        self.large = chance(0.001)
        if self.large:
            self.size = min(self.size, 12)
        self.writes, self.views = chance(0.3), chance(0.5)
        self.functions, self.casts = chance(0.2), chance(0.1)
        self.orders = chance(0.2)
        self.waiting = chance(0.5)
        self.reference = Reference(copies=self.writes)
        self.statements = []
        self.live, self.count = [], 0
        self.mode, self.now = OUTSIDE, self.dtype

    # ---- choices

    def chance(self, p):
        return self.random.random() < p

    def below(self, n):
        return int(self.random.random() * n)

    def choice(self, items):
        return items[int(self.random.random() * len(items))]

    def shuffle(self, items):
        self.random.shuffle(items)

    def number(self):
        return self.choice((0.5, 1.0, 2.0, -1.0, -0.5, 1.5, 3.0, 0.0, 0.25))

    def value(self, slot):
        return self.reference.slots[slot].data

    def usable(self, slot):
        array = self.reference.slots[slot]
        return array.index >= 0 and array.dtype == self.now

    def any(self):
        """A slot, more likely a late one; the arrays that go with it have its dtype."""
        live = self.live
        r = self.random.random()
        slot = live[int(len(live) * (1 - r * r))] if r else live[-1]
        if self.reference.slots[slot].index < 0:
            live.remove(slot)
            if not live:
                raise Abandoned
            return self.any()
        self.now = self.reference.slots[slot].dtype
        return slot

    def where_shape(self, fits):
        found = [s for s in self.live if self.usable(s) and fits(self.value(s).shape)]
        return self.choice(found) if found else None

    def of_shape(self, shape):
        return self.where_shape(lambda s: s == shape)

    def of_axes(self, n):
        return self.where_shape(lambda s: len(s) == n)

    def need(self, shape):
        """An array of this shape, a new one if there is none."""
        found = self.of_shape(shape)
        if found is not None and self.chance(0.8):
            return found
        dtype, self.dtype = self.dtype, self.now
        made = self.add_array(shape, self.choice(REQS))
        self.dtype = dtype
        return made

    def like(self, slot):
        return self.of_shape(self.value(slot).shape)

    def alike(self, n):
        x = self.any()
        return tuple([x] + [self.like(x) for _ in range(n - 1)]), ()

    def beside(self, slot):
        """An array that broadcasts with this one."""
        mine = self.value(slot).shape[::-1]

        def fits(shape):
            return all(n in (1, k) or k == 1 for n, k in zip(shape[::-1], mine))

        for _ in range(4):
            other = self.choice(self.live)
            if self.usable(other) and fits(self.value(other).shape):
                shapes = mine[::-1], self.value(other).shape
                if math.prod(np.broadcast_shapes(*shapes)) <= LARGEST:
                    return other
        return slot

    def wider(self, shape):
        if 1 not in shape or math.prod(shape) > 200:
            return None
        return tuple(2 + self.below(2) if n == 1 and self.chance(0.7) else n for n in shape)

    def shape_of_size(self, n):
        shapes = [(n,), (1, n), (n, 1)]
        for k in (2, 3):
            if n % k == 0:
                shapes += [(k, n // k), (n // k, k), (k, 1, n // k)]
        return self.choice(shapes)

    # ---- statements

    def new(self):
        self.count += 1
        return self.count

    def emit(self, *statement):
        """Appends a statement; False where the reference finds it unsuitable."""
        statement = (statement[0], self.mode, *statement[1:])
        try:
            self.reference.execute(statement)
        except Unsuitable:
            if statement[0] in ("backward", "grad"):
                raise Abandoned from None
            return False
        self.statements.append(statement)
        return True

    def withdraw(self, outs):
        self.statements.pop()
        self.reference.expected.pop()
        for out in outs:
            del self.reference.slots[out]

    def within_limits(self, slot):
        flat = self.value(slot).reshape(-1)
        limit = LIMIT[self.reference.slots[slot].dtype]
        return 0 < flat.size <= LARGEST and np.dot(flat, flat) < limit * limit

    def add_array(self, shape, req=None, kind=None):
        out = self.new()
        offset = self.below(1000 if self.large else 90000)
        kind = kind or ("positive" if self.chance(0.3) else "any")
        self.emit("array", out, shape, self.dtype, offset, kind, req)
        self.live.append(out)
        return out

    def add_op(self):
        for _ in range(6):
            name = self.choice(NAMES)
            if name == "make_loss" and self.orders:
                continue  # 1 whatever flows in: it matters whether anything does
            picked = OPERATORS[name].pick(self)
            if picked is None:
                continue
            ins, others = picked
            outs = tuple(self.new() for _ in range(OPERATORS[name].outputs))
            self.emit("op", outs, name, ins, others)
            if all(self.within_limits(out) for out in outs):
                self.live.extend(outs)
                return
            self.withdraw(outs)

    def add_function(self):
        name = self.choice(list(FUNCTIONS))
        _, (inputs, outputs), _ = FUNCTIONS[name]
        ins = self.alike(inputs)[0]
        outs = tuple(self.new() for _ in range(outputs))
        self.emit("function", outs, name, ins)
        if all(self.within_limits(out) for out in outs):
            self.live.extend(outs)
        else:
            self.withdraw(outs)

    def add_view(self):
        x = self.any()
        data, out = self.value(x), self.new()
        kind = self.below(4)
        n = data.shape[0] if data.ndim else 0
        if kind == 0 and n > 1:
            begin = self.below(n)
            end = begin + 1 + self.below(n - begin)
            whole = end - begin == n and self.chance(0.7)
            how = ("all", None) if whole else ("slice", slice(begin, end))
        elif kind == 1 and n:
            how = ("element", self.below(n))
        elif kind == 2 and n:
            shape = self.shape_of_size(data.size)
            if shape == data.shape:
                return
            how = ("reshape", shape)
        elif data.ndim == 2:
            row, column = self.below(n), self.below(data.shape[1])
            key = (slice(row, row + 1 + self.below(n - row)), slice(column, column + 1))
            if data[key].shape == data.shape:
                return
            how = ("key", key)
        else:
            how = ("detach", None)
        if self.emit("view", out, x, *how):
            self.live.append(out)

    def add_cast(self):
        x, out = self.any(), self.new()
        dtype = self.choice(("float64", "float32")) if self.dtype != "float16" else "float16"
        self.emit("cast", out, x, dtype)
        self.live.append(out)

    def add_write(self):
        target = self.any()
        data = self.value(target)
        kind = self.below(5)
        if kind == 0 and data.ndim:
            begin = self.below(data.shape[0])
            key = (begin, begin + 1 + self.below(data.shape[0] - begin))
            shape = data[slice(*key)].shape
            source = self.number() if self.chance(0.4) else self.of_shape(shape)
            if source is not None:
                self.emit("assign", target, key, source)
        elif kind < 2 and data.ndim:
            source = self.number() if self.chance(0.3) else self.like(target)
            self.emit("assign", target, None, source)
        elif kind < 4:
            source = self.number() if self.chance(0.5) else self.like(target)
            self.emit("inplace", target, self.choice("+-*"), source)
        else:
            x = self.like(target)
            self.emit("out", target, self.choice(INTO), (x,), ())
        if not self.within_limits(target):
            raise Abandoned

    def variables(self):
        return [slot for slot, array in self.reference.slots.items() if type(array.node) is Leaf]

    def heads(self):
        """Arrays on the tape, late ones; rarely one that is not."""
        slots = self.reference.slots
        known = [s for s in self.live if slots[s].index >= 0]
        recorded = [s for s in known if slots[s].on_tape]
        if not recorded or self.chance(0.01):
            return [self.choice(known)] if known and self.chance(0.1) else []
        n = 1 if self.chance(0.7) else 1 + self.below(3)
        return [recorded[-1 - self.below(min(len(recorded), 5))] for _ in range(n)]

    def head_grads(self, heads):
        if self.chance(0.6):
            return None
        given = []
        for head in heads:
            self.now = self.reference.slots[head].dtype
            given.append(None if self.chance(0.2) else self.like(head))
        return given

    def add_backward(self):
        heads = self.heads()
        if not heads:
            return
        retain = self.chance(0.5)
        self.emit("backward", heads, self.head_grads(heads), retain)
        if self.chance(0.5):
            self.look_at_gradients()
        if retain and self.chance(0.6):
            self.emit("backward", heads, self.head_grads(heads), self.chance(0.2))

    def add_grad(self, create):
        heads, slots = self.heads(), self.reference.slots
        wanted = [s for s in self.variables() if slots[s].node.req != "null" or self.chance(0.02)]
        if not heads or not wanted:
            return
        # Mostly variables that the heads depend on.
        if slots[heads[0]].on_tape and not self.chance(0.05):
            wanted = self.depended(heads, wanted)
            if not wanted:
                return
        self.shuffle(wanted)
        wanted = wanted[: 1 + self.below(2)]
        outs = tuple(self.new() for _ in wanted)
        self.emit(
            "grad", outs, heads, wanted, self.head_grads(heads), create or self.chance(0.3), create
        )
        if self.reference.expected[-1] == "error":
            return
        if all(self.within_limits(out) for out in outs):
            self.live.extend(outs)

    def depended(self, heads, variables):
        ids = {id(node) for node in self.reference.reachable(heads)}
        return [s for s in variables if id(self.reference.slots[s].node) in ids]

    def look_at_gradients(self):
        for slot in self.variables():
            self.emit("look_grad", slot)

    def section(self):
        """Something recorded, and what is done with it."""
        self.mode = RECORD
        for _ in range(self.size):
            r = self.random.random()
            if r < 0.84:
                self.add_op()
            elif r < 0.90:
                if self.views:
                    self.add_view()
            elif r < 0.94:
                self.mode = PAUSE if self.chance(0.3) else RECORD
            elif r < 0.96:
                if self.functions:
                    self.add_function()
            elif r < 0.98:
                if self.writes:
                    self.add_write()
            elif self.casts:
                self.add_cast()
            if self.functions and self.chance(0.06):
                self.add_function()
            if self.orders and self.mode == RECORD and self.chance(0.12):
                self.add_grad(True)
            elif self.chance(0.03):
                self.emit("look", self.any())
            elif self.chance(0.01):
                self.emit("attach", self.any(), self.choice(("write", "add")))
        if self.orders:
            self.mode = RECORD
            for _ in range(1 + self.below(3)):
                self.add_grad(True)
                self.add_op()
        self.mode = OUTSIDE if self.chance(0.8) else RECORD
        for _ in range(1 + self.below(2)):
            self.add_backward() if self.chance(0.75) else self.add_grad(False)
            if self.writes and self.chance(0.4):
                self.mode = OUTSIDE
                self.between()

    def between(self):
        r = self.random.random()
        if r < 0.5:
            self.add_write()
        elif r < 0.7:
            variables = self.variables()
            out = self.new()
            if variables and self.emit("grad_handle", out, self.choice(variables)):
                self.live.append(out)
        elif len(self.live) > 4:
            slot = self.live.pop(self.below(len(self.live)))
            if self.reference.slots[slot].index >= 0:
                self.emit("drop", slot)

    def program(self):
        shape = self.choice(LARGE if self.large else SHAPES)
        for i in range(2 + self.below(3)):
            if i and self.chance(0.5):
                if self.chance(0.5):
                    shape = shape[self.below(len(shape) + 1) :]
                elif not self.large:
                    shape = tuple(1 if self.chance(0.3) else n for n in shape)
            req = "write" if i == 0 else self.choice(REQS)
            self.add_array(shape, req)
        self.section()
        if self.chance(0.2):
            self.mode = OUTSIDE
            for _ in range(self.below(4)):
                self.between() if self.writes else self.add_op()
            self.section()
        self.mode = OUTSIDE
        self.look_at_gradients()
        slots = list(self.reference.slots)
        if self.chance(0.5):
            slots.reverse()
        for slot in slots:
            self.emit("look", slot)
        return Program(self.seed, self.waiting, self.statements, self.reference.expected)


def generate(seed):
    """The program of this seed, or None where it was abandoned."""
    with np.errstate(all="ignore"):
        try:
            return Generator(seed).program()
        except Abandoned:
            return None
