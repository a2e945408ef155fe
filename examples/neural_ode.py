"""Fit a differential equation to spirals, with gradients from the adjoint equation.

    python examples/neural_ode.py             # 400 steps
    python examples/neural_ode.py --quick     # 100 steps, to see that everything works

A network f gives the velocity dy/dt = f(y) of a point in the plane, and a Runge-Kutta solver the
path. 32 paths of a spiral that is known, with noise, are what it learns from.

There are two gradients of a path. Autograd can differentiate each step of the solver, and keeps all
that the steps computed. Or an `autograd.Function` keeps only where the path ended: its `backward`
solves a second equation back in time, with the path, for a(t) = dloss/dy(t) and dloss/dweights,

    da/dt = -a df/dy,    and along the path the integral of a df/dweights,

in which `autograd.grad(f, [y, *weights], a)` gives both products. The two gradients agree but for
the solver's error: with steps half as long, 16 times better. The program checks that, prints what
each costs, learns with the second, and exits with status 1 if the path that it predicts for a new
start is too far from the true one.
"""

import argparse
import sys
import time

import numpy as np
from common import Adam, parse_arguments

import mxtape as mx
from mxtape import autograd, nd

FULL_STEPS, FULL_ERROR = 400, 0.08
QUICK_STEPS, QUICK_ERROR = 100, 0.3

SPIRAL = ((-0.1, 2.0), (-2.0, -0.1))  # dy/dt = y^3 times this
HIDDEN = 32
PATHS, MOMENTS, SPACING = 32, 16, 0.1
FINE = 2  # solver's steps between two moments
NOISE = 0.02


class Field:
    """The velocity at each point of an array of shape (n, 2): a network of the cubes."""

    def __init__(self, random):
        shapes = [(HIDDEN, 2), (HIDDEN,), (2, HIDDEN), (2,)]
        self.weights = [nd.array(random.normal(0, 0.3, s), dtype="float64") for s in shapes]
        for weight in self.weights:
            weight.attach_grad()

    def __call__(self, y, weights):
        w1, b1, w2, b2 = weights
        hidden = nd.tanh(nd.FullyConnected(y * y * y, w1, b1, num_hidden=HIDDEN))
        return nd.FullyConnected(hidden, w2, b2, num_hidden=2)


def runge_kutta(velocity, state, step, count):
    """Take steps of the fourth order with a state that is a list of arrays. Return the last."""

    def moved(by, rates):
        return [s + by * r for s, r in zip(state, rates)]

    for _ in range(count):
        k1 = velocity(*state)
        k2 = velocity(*moved(step / 2, k1))
        k3 = velocity(*moved(step / 2, k2))
        k4 = velocity(*moved(step, k3))
        state = [
            s + (step / 6) * (a + 2 * (b + c) + d) for s, a, b, c, d in zip(state, k1, k2, k3, k4)
        ]
    return state


class Flow(autograd.Function):
    """Where y is after `count` steps, with the gradient from the adjoint equation."""

    def __init__(self, field, step, count):
        super().__init__()
        self.field, self.step, self.count = field, step, count

    def forward(self, y, *weights):
        (end,) = runge_kutta(lambda y: [self.field(y, weights)], [y], self.step, self.count)
        self.save_for_backward(end, *weights)
        return end

    def backward(self, slope):
        end, *weights = self.saved_tensors

        def velocity(y, slope, *_):
            y.attach_grad()
            with autograd.record():
                rate = self.field(y, weights)
            products = autograd.grad(rate, [y, *weights], slope)
            return [rate, *(-p for p in products)]

        state = [end, slope, *(nd.zeros_like(w) for w in weights)]
        return runge_kutta(velocity, state, -self.step, self.count)[1:]


def path(field, start, adjoint=True, moments=MOMENTS, fine=FINE):
    """Where the points are at each moment, of shape (moments, n, 2)."""
    step, places = SPACING / fine, [start]
    for _ in range(moments - 1):
        if adjoint:
            y = Flow(field, step, fine)(places[-1], *field.weights)
        else:
            (y,) = runge_kutta(lambda y: [field(y, field.weights)], places[-1:], step, fine)
        places.append(y)
    return nd.stack(*places)


def true_path(start):
    def velocity(y):
        return [nd.dot(y * y * y, nd.array(SPIRAL, dtype=y.dtype))]

    places = [start]
    for _ in range(MOMENTS - 1):
        places += runge_kutta(velocity, places[-1:], SPACING / 10, 10)
    return nd.stack(*places)


def random_starts(random, count):
    angles, radii = random.uniform(0, 2 * np.pi, count), random.uniform(0.6, 1.5, count)
    return nd.array(np.stack([radii * np.cos(angles), radii * np.sin(angles)], 1), dtype="float64")


def slope(field, start, seen, adjoint, fine=FINE):
    """Compute the weights' gradients of the mean square error.

    Return them, the loss, the bytes that are kept for backward, and seconds.
    """
    began, before = time.perf_counter(), mx.runtime.memory_stats()["bytes_in_use"]
    with autograd.record():
        loss = nd.square(path(field, start, adjoint, len(seen), fine) - seen).mean()
    kept = mx.runtime.memory_stats()["bytes_in_use"] - before
    loss.backward()
    gradient = np.concatenate([w.grad.asnumpy().ravel() for w in field.weights])
    return gradient, loss.asscalar(), kept, time.perf_counter() - began


def compare(field, start, seen):
    """Print what both gradients cost, and how far apart they are. Return whether as they should."""
    apart = []
    for fine in (1, 2, 4, 8):
        (adjoint, _, small, slow), (through, _, large, fast) = (
            slope(field, start, seen, adjoint, fine) for adjoint in (True, False)
        )
        apart.append(abs(adjoint - through).max() / abs(through).max())
        print(
            f"{fine} steps between moments: gradients apart by {apart[-1]:.1e}; adjoint keeps "
            f"{small / 1024:.0f} KiB, {1e3 * slow:.0f} ms; through the solver "
            f"{large / 1024:.0f} KiB, {1e3 * fast:.0f} ms"
        )
    return all(12 < a / b < 25 for a, b in zip(apart[1:], apart[2:]))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments = parse_arguments(parser, "steps", "of Adam", FULL_STEPS, QUICK_STEPS)
    random = np.random.RandomState(arguments.seed)
    field, start = Field(random), random_starts(random, PATHS)
    truth = true_path(start)
    seen = truth + nd.array(random.normal(0, NOISE, truth.shape), dtype="float64")
    agreed = compare(field, start, seen)

    adam = Adam(field.weights, learning_rate=0.05)
    for step in range(arguments.steps):
        _, loss, _, _ = slope(field, start, seen, adjoint=True)
        adam.step(1 - step / arguments.steps)
        if (step + 1) % max(1, arguments.steps // 8) == 0:
            print(f"step {step + 1:4}  root mean square error {loss**0.5:.4f}", flush=True)
    new = random_starts(random, PATHS)
    error = nd.square(path(field, new) - true_path(new)).mean().asscalar() ** 0.5
    print(f"paths from new starts: error {error:.4f}")
    required = QUICK_ERROR if arguments.quick else FULL_ERROR
    if not agreed:
        print("the gradients do not agree as the solver's order says")
        return 1
    if not error < required:
        print(f"that is more than the {required:g} that this run should reach")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
