"""Runs programs with mxtape and compares what they show with what the reference expects."""

import warnings

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

warnings.simplefilter("error", mx.base.StaleArrayWarning)


class Failure(Exception):
    """What mxtape did is not what the reference expects."""

    def __init__(self, at, kind, what):
        super().__init__(f"statement {at}: {kind}: {what}")
        self.at, self.kind, self.what = at, kind, f"{kind}: {what}"


class Stopped(Exception):
    """The program could end here: something that was saved has changed."""


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
    quick = QUICK[program.precision]
    before = core.set_fusion_threshold(1) if program.waiting else None
    try:
        for at, (statement, expected) in enumerate(zip(program.statements, program.expected)):
            records = statement[1] == RECORD
            if records is not recording:
                autograd.set_recording(records)
                recording = records
            try:
                shown = getattr(engine, statement[0])(*statement[2:])
            except mx.base.StaleArrayWarning as warning:
                if expected == "stale":
                    return
                raise Failure(at, "false alarm", warning) from None
            except mx.MXNetError as error:
                if expected == "error":
                    continue
                if expected == "unreached" and "reach" in str(error):
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
            if not np.dot(difference, difference) <= quick * quick * np.dot(right, right):
                suspicious(at, numbers, values, dtype)
    finally:
        if recording:
            autograd.set_recording(False)
        if before is not None:
            core.set_fusion_threshold(before)


class Judge:
    """Tells an error from rounding: the reference runs again with every result off by a rounding
    error, and what its values then differ by, many times over, is allowed."""

    def __init__(self, program):
        self.program, self.allowed = program, None

    def __call__(self, at, numbers, values, dtype):
        allowed = self.allow()
        if allowed is None:
            return
        error = np.abs(numbers.astype("float64") - values).max()
        largest = np.abs(values).max()
        epsilon = tape.EPSILON[self.program.precision]
        limit = SLACK * (allowed[at] + epsilon * max(largest, 1.0))
        if self.program.precision == "float16":
            limit += 1e-3 + 0.05 * largest
        if not error <= limit:
            text = f"off by {error:.3g} where {limit:.3g} is allowed for rounding"
            raise Failure(at, "values", text)

    def allow(self):
        """For each statement the largest difference; None where branches fell differently."""
        if self.allowed is None:
            self.allowed = [0.0] * len(self.program.statements)
            for seed in range(SAMPLES):
                noise = np.random.RandomState(seed)
                try:
                    with np.errstate(all="ignore"):
                        noisy = Reference(True, noise).run(self.program.statements)
                except (Unsuitable, FloatingPointError):
                    return None
                for at, (mine, other) in enumerate(zip(self.program.expected, noisy)):
                    if type(mine) is tuple and type(other) is tuple:
                        difference = np.abs(mine[0] - other[0]).max()
                        self.allowed[at] = max(self.allowed[at], float(difference))
        return self.allowed


def check(program):
    """Raises `Failure` where mxtape is wrong. Returns how often rounding had to be judged."""
    judge = Judge(program)
    run(program, judge)
    return judge.allowed is not None
