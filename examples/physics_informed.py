"""Solve a partial differential equation with a network: third derivatives, then a fourth of all.

    python examples/physics_informed.py             # 600 steps
    python examples/physics_informed.py --quick     # 100 steps, to see that everything works

The equation is that of Korteweg and de Vries for waves in shallow water, u_t + 6 u u_x + u_xxx = 0.
A network u(x, t) is shown the wave at t = 0, and its value and slope at the two ends. In between it
is told only that the equation must hold: `autograd.grad(..., create_graph=True)` gives u_t, u_x,
u_xx and u_xxx at 400 places, and `backward` the slope of what is left, for each weight. SciPy's
L-BFGS walks downhill.

The exact solution is known, a soliton: a single wave that moves and keeps its form. The program
prints how far the network is from it, where and when it was told nothing, and exits with status 1
if that is too much. It needs SciPy, which comes with scikit-learn.
"""

import argparse
import sys
import time

import numpy as np
from common import parse_arguments

from mxtape import autograd, nd

FULL_STEPS, FULL_ERROR = 600, 0.005  # of the wave's height, root mean square
QUICK_STEPS, QUICK_ERROR = 100, 0.05

SPEED = 2.0  # of the wave, whose height is half of that
ENDS, DURATION = (-4.0, 6.0), 1.0
UNITS = (2, 24, 24, 1)
PLACES = 400  # where the equation must hold


def soliton(x, t):
    """The exact solution, computed with nd operators, so that it too can be differentiated."""
    return SPEED / 2 / nd.square(nd.cosh(SPEED**0.5 / 2 * (x - SPEED * t)))


def column(values):
    """A float64 array of shape (n, 1) that can be differentiated with respect to."""
    array = nd.array(np.reshape(values, (-1, 1)), dtype="float64")
    array.attach_grad()
    return array


def derivatives(u, x, t):
    """Return u, u_x, u_xx, u_xxx and u_t at each place. Call it while recording."""
    value = u(x, t)
    first, time_derivative = autograd.grad(value, [x, t], create_graph=True)
    second = autograd.grad(first, x, create_graph=True)[0]
    third = autograd.grad(second, x, create_graph=True)[0]
    return value, first, second, third, time_derivative


def residual(u, x, t):
    """How far u is from the equation, of shape (n, 1)."""
    value, first, _, third, time_derivative = derivatives(u, x, t)
    return time_derivative + 6 * value * first + third


class Network:
    """A perceptron u(x, t) whose weights are slices of one float64 vector, for L-BFGS."""

    def __init__(self, random):
        self.shapes = [s for rows in zip(UNITS[1:], UNITS) for s in (rows, rows[:1])]
        parts = [
            random.normal(0, (2 / sum(s)) ** 0.5, s) if len(s) == 2 else np.zeros(s)
            for s in self.shapes
        ]
        self.theta = nd.array(np.concatenate([p.ravel() for p in parts]), dtype="float64")
        self.theta.attach_grad()

    def weights(self):
        ends = np.cumsum([0] + [int(np.prod(s)) for s in self.shapes])
        return [self.theta[a:b].reshape(s) for a, b, s in zip(ends, ends[1:], self.shapes)]

    def __call__(self, x, t):
        middle, half = sum(ENDS) / 2, (ENDS[1] - ENDS[0]) / 2
        y = nd.concat((x - middle) / half, 2 * t / DURATION - 1, dim=1)
        *hidden, last = zip(*[iter(self.weights())] * 2)
        for weight, bias in hidden:
            y = nd.tanh(nd.FullyConnected(y, weight, bias, num_hidden=weight.shape[0]))
        return nd.FullyConnected(y, last[0], last[1], num_hidden=1)


class Problem:
    """What the network is told, and the loss that says how far it is from that."""

    def __init__(self, random):
        (left, right), start = ENDS, np.linspace(*ENDS, 60)
        moments = np.linspace(0, DURATION, 20)
        self.inside = [column(random.uniform(*r, PLACES)) for r in (ENDS, (0, DURATION))]
        self.start = column(start), column(0 * start)
        self.ends = column(np.repeat([left, right], 20)), column(np.tile(moments, 2))
        with autograd.record():
            value = soliton(*self.ends)
            slope = autograd.grad(value, self.ends[0])[0]
        self.known = soliton(*self.start), value.detach(), slope

    def loss(self, u):
        start, value, slope = self.known
        ends = u(*self.ends)
        terms = [
            residual(u, *self.inside),
            10 * (u(*self.start) - start),
            10 * (ends - value),
            autograd.grad(ends, self.ends[0], create_graph=True)[0] - slope,
        ]
        return sum(nd.square(term).mean() for term in terms)


def solve(problem, network, steps, report):
    """Walk downhill with L-BFGS. Return how many losses and gradients that took."""
    from scipy.optimize import minimize

    losses = []

    def loss_and_gradient(theta):
        network.theta[:] = nd.array(theta, dtype="float64")
        with autograd.record():
            loss = problem.loss(network)
        loss.backward()
        losses.append(loss.asscalar())
        return losses[-1], network.theta.grad.asnumpy()

    options = {"maxiter": steps, "maxfun": 2 * steps, "maxcor": 50, "ftol": 0, "gtol": 1e-9}
    minimize(
        loss_and_gradient,
        network.theta.asnumpy(),
        jac=True,
        method="L-BFGS-B",
        options=options,
        callback=lambda _: report(losses[-1]),
    )
    return len(losses)


def error(u, moment):
    """Root mean square distance from the soliton at a moment, as a share of the wave's height."""
    x, t = column(np.linspace(*ENDS, 200)), column(np.full(200, moment))
    apart = u(x, t) - soliton(x, t)
    return nd.square(apart).mean().asscalar() ** 0.5 / (SPEED / 2)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments = parse_arguments(parser, "steps", "of L-BFGS", FULL_STEPS, QUICK_STEPS)
    random = np.random.RandomState(arguments.seed)
    problem, network = Problem(random), Network(random)
    done = 0

    def report(loss):
        nonlocal done
        done += 1
        if done % max(1, arguments.steps // 8) == 0:
            print(f"step {done:4}  loss {loss:.3e}", flush=True)

    began = time.perf_counter()
    count = solve(problem, network, arguments.steps, report)
    each = 1e3 * (time.perf_counter() - began) / count
    print(f"{count} losses and gradients of {network.theta.size} weights, {each:.1f} ms each")
    errors = [error(network, t) for t in (0.0, DURATION / 2, DURATION)]
    print("error at the start, half-way, at the end: ", ", ".join(f"{e:.2%}" for e in errors))
    still = error(lambda x, t: soliton(x, 0 * t), DURATION)
    print(f"at the end, of a wave that had stayed where it was: {still:.2%}")
    required = QUICK_ERROR if arguments.quick else FULL_ERROR
    if not max(errors) < required:
        print(f"that is more than the {required:.1%} that this run should reach")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
