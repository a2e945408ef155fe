"""Random programs give the same numbers whether their pointwise calls wait or run at once.

A program draws chains of pointwise calls, losses made of them, sweeps over them, writes in place
and the moments at which somebody looks at a number. Run twice from one seed, only the waiting
differs.
"""

import random

import numpy as np
import pytest

from mxtape import autograd, nd
from mxtape._loader import core

SHAPES = [(600,), (31, 40), (5, 7, 30), (300, 1), (1, 300, 1, 2), (3000,), (257, 3)]
FUNCTIONS = ["tanh", "exp", "square", "sigmoid", "relu", "negative", "abs", "sin", "cos"]


class RandomProgram:
    """What the program has made so far, and what was seen of it."""

    def __init__(self, seed):
        self.choices, numbers = random.Random(seed), np.random.RandomState(seed)
        self.dtype = self.choices.choice(["float32", "float64"])
        shape = self.choices.choice(SHAPES)

        def array(of_shape=shape):
            return nd.array(numbers.uniform(-1.5, 1.5, of_shape), dtype=self.dtype)

        self.variables = [array(), array(), array((1,) * len(shape)), array(shape[-1:])]
        for variable in self.variables:
            variable.attach_grad(self.choices.choice(["write", "write", "add"]))
        self.constants = [array(), array(), nd.ones(shape, dtype=self.dtype)]
        self.kept, self.losses, self.seen = [], [], []

    def look_at(self, array):
        self.seen.append(array.asnumpy().copy())

    def chain(self):
        draw, known = self.choices, [self.variables[0], *self.choices.sample(self.variables, 2)]
        for _ in range(draw.randint(1, 8)):
            x, kind = draw.choice(known), draw.random()
            if kind < 0.4:
                made = getattr(nd, draw.choice(FUNCTIONS))(x)
            elif kind < 0.6:
                made = x * draw.choice([1, 0.5, 3])
            elif kind < 0.8:
                made = nd.broadcast_mul(x, draw.choice(known + self.constants))
            elif kind < 0.9:
                made = nd.broadcast_add(x, draw.choice(known))
            else:
                made = nd.broadcast_sub(x, draw.choice(self.constants))
            known.append(made)
        if draw.random() < 0.5:
            self.kept.append(draw.choice(known[3:]))
        return nd.broadcast_add(known[-1], self.variables[0])

    def loss(self, y):
        whole = tuple(range(y.ndim))
        made = self.choices.choice(
            [
                lambda: y.sum(),
                lambda: y.mean(),
                lambda: nd.sum(y, axis=whole, keepdims=True),
                lambda: y.sum() + y.mean(),
                lambda: (y * y).mean() * 3,
                lambda: y,
            ]
        )()
        self.losses.append(made)
        return made

    def meanwhile(self):
        """Write to something, or look at something."""
        draw, variable = self.choices, self.choices.choice(self.variables)

        def assign():
            draw.choice(self.variables + self.constants)[:] = draw.choice([0.5, -1, 1])

        def update():
            nd.sgd_update(variable, variable.grad, lr=0.1, out=variable)

        def subtract_gradient():
            nonlocal variable
            variable -= variable.grad * 0.1

        def write_gradient():
            variable.grad[:] = variable.grad + variable

        def overwrite():
            made = draw.choice(self.kept + self.losses)
            made *= 2

        def look():
            self.look_at(draw.choice(self.kept + self.losses + self.variables))

        actions = [assign, update, subtract_gradient, write_gradient, look, look, nd.waitall]
        if self.kept or self.losses:
            actions.append(overwrite)
        draw.choice(actions)()

    def sweep(self):
        draw = self.choices
        with autograd.record():
            heads = [self.loss(self.chain()) for _ in range(draw.randint(1, 2))]
            second_order = draw.random() < 0.3
            if second_order:
                x = self.variables[0]
                (g,) = autograd.grad(heads, [x], create_graph=True, retain_graph=True)
                heads = [self.loss(g * g)]
        if draw.random() < 0.4:
            self.meanwhile()
        given = None
        if draw.random() < 0.4:
            given = [nd.ones(h.shape, dtype=self.dtype) * draw.choice([1, 2]) for h in heads]
        again = draw.random() < 0.3
        autograd.backward(heads, given, retain_graph=again)
        if again:
            self.meanwhile()
            autograd.backward(heads, given)

    def run(self):
        for _ in range(self.choices.randint(1, 3)):
            self.sweep()
            for _ in range(self.choices.randint(0, 4)):
                self.meanwhile()
        arrays = self.variables + self.constants + self.kept + self.losses
        arrays += [variable.grad for variable in self.variables]
        self.choices.shuffle(arrays)
        for array in arrays:
            self.look_at(array)
        return self.seen


@pytest.mark.filterwarnings("ignore::mxtape.base.StaleArrayWarning")
@pytest.mark.parametrize("seed", range(150))
def test_nobody_can_tell_whether_calls_wait(seed):
    before = core.set_fusion_threshold(1)
    try:
        with np.errstate(all="ignore"):
            waiting = RandomProgram(seed).run()
            core.set_fusion_threshold(-1)
            at_once = RandomProgram(seed).run()
    finally:
        core.set_fusion_threshold(before)
    assert len(waiting) == len(at_once)
    for ours, theirs in zip(waiting, at_once):
        np.testing.assert_array_equal(ours, theirs)
