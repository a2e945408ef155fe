"""Learn weights from which a few gradient steps are enough: gradients through an inner optimizer.

    python examples/meta_learning.py             # 2000 steps
    python examples/meta_learning.py --quick     # 300 steps, to see that everything works

A task is a sinusoid of some amplitude and phase, and ten points of it to learn from. The inner
optimizer takes steps of gradient descent on those, each weight with its own learning rate. What
counts is the error after them, elsewhere on the sinusoid. The outer optimizer moves the starting
weights and the learning rates against the gradient of that: `create_graph=True` records the inner
gradients, so it passes through them and holds second derivatives (MAML, with learnt rates).

The tasks of a batch are learnt side by side: weights have a first axis of tasks, and the products
are `nd.batch_dot`. The program compares with the same network trained on all tasks together, from
which the same inner steps start, and exits with status 1 if learning to learn did not do better.
"""

import argparse
import sys
import time

import numpy as np
from common import Adam, parse_arguments

from mxtape import autograd, nd

FULL_STEPS, FULL_ERROR = 2000, 0.15  # the mean square error after the inner steps
QUICK_STEPS, QUICK_ERROR = 300, 1.0

TASKS, POINTS, HIDDEN = 16, 10, 40
INNER_STEPS, INNER_RATE, OUTER_RATE = 3, 0.02, 1e-2


def random_tasks(random, count=TASKS, points=POINTS, dtype="float32"):
    """Return ((x, y) to learn from, (x, y) to be tested with), each of shape (count, points, 1)."""
    amplitudes, phases = (
        random.uniform(0.1, 5, (count, 1, 1)),
        random.uniform(0, np.pi, (count, 1, 1)),
    )
    x = random.uniform(-5, 5, (2, count, points, 1))
    y = amplitudes * np.sin(x + phases)
    return [tuple(nd.array(a, dtype=dtype) for a in part) for part in zip(x, y)]


def initial_weights(random, dtype="float32"):
    """Weights of 1 -> 40 -> 40 -> 1, each with an axis in front that tasks have."""
    shapes = [(1, HIDDEN), (1, HIDDEN), (HIDDEN, HIDDEN), (1, HIDDEN), (HIDDEN, 1), (1, 1)]
    return [
        nd.array(random.normal(0, s[0] ** -0.5, (1, *s)) * (i % 2 == 0), dtype=dtype)
        for i, s in enumerate(shapes)
    ]


def predict(weights, x):
    """The network's answers; weights of shape (tasks, in, out), x of shape (tasks, points, 1)."""
    w1, b1, w2, b2, w3, b3 = weights
    y = nd.tanh(nd.broadcast_add(nd.batch_dot(x, w1), b1))
    y = nd.tanh(nd.broadcast_add(nd.batch_dot(y, w2), b2))
    return nd.broadcast_add(nd.batch_dot(y, w3), b3)


def errors(weights, data):
    """The mean square error of each task."""
    x, y = data
    return nd.square(predict(weights, x) - y).mean(axis=(1, 2))


def adapt(weights, rates, data, steps, second_order=True):
    """Take inner steps. The weights returned are functions of those given and of the rates."""
    with autograd.record():
        weights = [nd.broadcast_axis(w, axis=0, size=len(data[0])) for w in weights]
        for _ in range(steps):
            error = errors(weights, data).sum()
            slopes = autograd.grad(error, weights, create_graph=True)
            if not second_order:
                slopes = [nd.BlockGrad(slope) for slope in slopes]
            weights = [w - nd.broadcast_mul(r, s) for w, r, s in zip(weights, rates, slopes)]
    return weights


class Learner:
    """Starting weights, and a learning rate for each."""

    def __init__(self, random, dtype="float32"):
        self.weights = initial_weights(random, dtype)
        self.rates = [nd.full(w.shape, INNER_RATE, dtype=dtype) for w in self.weights]
        self.variables = [*self.weights, *self.rates]
        for variable in self.variables:
            variable.attach_grad()

    def loss(self, tasks, steps=INNER_STEPS, second_order=True):
        """Compute the error after the inner steps, and its gradients."""
        learn, test = tasks
        with autograd.record():
            loss = errors(adapt(self.weights, self.rates, learn, steps, second_order), test).mean()
        loss.backward()
        return loss.asscalar()

    def train(self, steps, random, inner_steps=INNER_STEPS):
        """With no inner steps, this is training on all tasks together."""
        adam = Adam(self.variables if inner_steps else self.weights, OUTER_RATE)
        total = 0
        for step in range(1, steps + 1):
            total += self.loss(random_tasks(random), inner_steps)
            adam.step(1 - step / (steps + 1))
            if step % max(1, steps // 5) == 0:
                print(f"step {step:5}  error {total / (steps // 5):.4f}", flush=True)
                total = 0

    def errors_after(self, tasks, counts=(0, 1, 2, INNER_STEPS)):
        learn, test = tasks
        return [
            errors(adapt(self.weights, self.rates, learn, count), test).mean().asscalar()
            for count in counts
        ]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments = parse_arguments(parser, "steps", "of the outer optimizer", FULL_STEPS, QUICK_STEPS)
    random = np.random.RandomState(arguments.seed)
    tests = random_tasks(random, 500)
    found = []
    for name, inner_steps in (("all tasks together", 0), ("learning to learn", INNER_STEPS)):
        print(name)
        learner, began = Learner(random), time.perf_counter()
        learner.train(arguments.steps, random, inner_steps)
        each = 1e3 * (time.perf_counter() - began) / arguments.steps
        found.append(learner.errors_after(tests))
        shown = ", ".join(f"{error:.4f}" for error in found[-1])
        print(f"{each:.2f} ms a step; new tasks after 0 to {INNER_STEPS} inner steps: {shown}")
    required = QUICK_ERROR if arguments.quick else FULL_ERROR
    if not found[1][-1] < min(required, found[0][-1] / 2):
        print(f"that is not below {required:g} and half of the other, as this run should reach")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
