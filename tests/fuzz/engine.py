"""Runs programs with mxtape and compares what they show with what the reference expects."""

import numpy as np

import mxtape as mx
import reference as tape
from functions import FUNCTIONS
from mxtape import autograd, nd
from mxtape._loader import core
from operators import OPERATORS
from programs import RECORD, Reference, literal
from reference import Unsuitable

CALLS = {name: operator.compile(nd) for name, operator in OPERATORS.items()}
CLASSES: dict = {"autograd": autograd, "nd": nd}
for _text, *_ in FUNCTIONS.values():
    exec(_text, CLASSES)

# A norm of the difference, relative to that of the right values, that needs no second look.
QUICK = {"float64": 1e-9, "float32": 3e-5, "float16": 5e-2}
SAMPLES, SLACK = 16, 50.0


class Failure(Exception):
    """What mxtape did is not what the reference expects."""

    def __init__(self, at, kind, what):
        super().__init__(f"statement {at}: {kind}: {what}")
        self.at, self.kind, self.what = at, kind, f"{kind}: {what}"


class Engine:
    def __init__(self):
        self.slots = {}

    def array(self, out, shape, dtype, offset, kind, req):
        made = self.slots[out] = nd.array(literal(shape, offset, kind), dtype=dtype)
        if req is not None:
            made.attach_grad(req)

    def attach(self, slot, req):
        self.slots[slot].attach_grad(req)

    def op(self, outs, name, ins, others):
        slots = self.slots
        made = CALLS[name](*[slots[i] for i in ins], *others)
        if len(outs) == 1:
            slots[outs[0]] = made
        else:
            slots.update(zip(outs, made))

    def function(self, outs, name, ins):
        made = CLASSES[name]()(*[self.slots[i] for i in ins])
        self.slots.update(zip(outs, [made] if len(outs) == 1 else made))

    def cast(self, out, x, dtype):
        self.slots[out] = self.slots[x].astype(dtype)

    def view(self, out, x, how, argument):
        x = self.slots[x]
        if how == "detach":
            made = x.detach()
        elif how == "reshape":
            made = x.reshape(argument)
        else:
            made = x[argument]
        self.slots[out] = made

    def grad_handle(self, out, slot):
        self.slots[out] = self.slots[slot].grad

    def drop(self, slot):
        del self.slots[slot]

    def assign(self, target, key, source):
        source = source if type(source) is float else self.slots[source]
        self.slots[target][slice(*key) if key else slice(None)] = source

    def inplace(self, target, sign, source):
        source = source if type(source) is float else self.slots[source]
        array = self.slots[target]
        if sign == "+":
            array += source
        elif sign == "-":
            array -= source
        else:
            array *= source

    def out(self, target, name, ins, others):
        getattr(nd, name)(*[self.slots[i] for i in ins], *others, out=self.slots[target])

    def arrays(self, slots):
        return slots and [None if i is None else self.slots[i] for i in slots]

    def backward(self, heads, head_grads, retain):
        autograd.backward(self.arrays(heads), self.arrays(head_grads), retain)

    def grad(self, outs, heads, variables, head_grads, retain, create):
        made = autograd.grad(
            self.arrays(heads), self.arrays(variables), self.arrays(head_grads), retain, create
        )
        self.slots.update(zip(outs, made))

    def look(self, slot):
        return self.slots[slot]

    def look_grad(self, slot):
        return self.slots[slot].grad


def run(program, suspicious):
    """Runs a program; `suspicious(at, shown, expected, dtype)` judges values that look wrong."""
    engine, recording = Engine(), False
    quick, floor = QUICK[program.precision] ** 2, (16 * tape.EPSILON[program.precision]) ** 2
    before = core.set_fusion_threshold(1) if program.waiting else None
    core.set_stale_mode("error")
    try:
        for at, (statement, expected) in enumerate(zip(program.statements, program.expected)):
            records = statement[1] == RECORD
            if records is not recording:
                autograd.set_recording(records)
                recording = records
            try:
                shown = getattr(engine, statement[0])(*statement[2:])
            except mx.MXNetError as error:
                if "was changed in place since" in str(error):
                    if expected == "maybe":
                        return
                    raise Failure(at, "false alarm", error) from None
                if expected == "error":
                    continue
                if expected == "maybe" and "reach" in str(error):
                    return
                raise Failure(at, "error", error) from None
            if type(expected) is not tuple:
                if expected == "error":
                    raise Failure(at, "no error", "one was expected")
                continue
            values, dtype = expected
            numbers = shown.asnumpy()
            if numbers.shape != values.shape or numbers.dtype != dtype:
                raise Failure(at, "kind of array", f"{numbers.dtype}{numbers.shape}")
            difference = (numbers - values).ravel()
            right = values.ravel()
            if not np.dot(difference, difference) <= floor + quick * np.dot(right, right):
                suspicious(at, numbers, values, dtype)
    finally:
        core.set_stale_mode("warn")
        if recording:
            autograd.set_recording(False)
        if before is not None:
            core.set_fusion_threshold(before)


class Judge:
    """Tells an error from rounding: the reference runs again with every result off by a rounding
    error, and what its values then differ by, many times over, is allowed."""

    def __init__(self, program):
        self.program = program
        self.allowed = [0.0] * len(program.statements)
        self.samples = 0
        shown = [np.abs(e[0]).max() for e in program.expected if type(e) is tuple]
        self.scale = max(1.0, *shown)

    def __call__(self, at, numbers, values, dtype):
        error = np.abs(numbers.astype("float64") - values).max()
        largest = np.abs(values).max()
        precision = self.program.precision
        floor = tape.EPSILON[precision] * self.scale
        while not error <= (limit := SLACK * (self.allowed[at] + floor)):
            if precision == "float16" and error <= 1e-3 + 0.05 * largest:
                return
            if self.samples == SAMPLES:
                text = f"off by {error:.3g} where {limit:.3g} is allowed for rounding"
                raise Failure(at, "values", text)
            self.sample()

    def sample(self):
        noise = np.random.RandomState(self.samples)
        self.samples += 1
        try:
            with np.errstate(all="ignore"):
                noisy = Reference(True, noise).run(self.program.statements)
        except Unsuitable:  # branches fell differently
            self.allowed = [np.inf] * len(self.allowed)
            return
        for at, (mine, other) in enumerate(zip(self.program.expected, noisy)):
            if type(mine) is tuple and type(other) is tuple:
                difference = np.abs(mine[0] - other[0]).max()
                self.allowed[at] = max(self.allowed[at], float(difference))


def check(program):
    """Raises `Failure` where mxtape is wrong. Returns how often rounding had to be judged."""
    judges = []

    def judge(*what):
        if not judges:
            judges.append(Judge(program))
        judges[0](*what)

    run(program, judge)
    return bool(judges)
