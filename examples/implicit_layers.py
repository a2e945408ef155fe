"""Layers that are said by an equation: a fixed point, and the minimum of a function.

    python examples/implicit_layers.py             # 60 epochs, and 30 steps
    python examples/implicit_layers.py --quick     # 8 epochs, and 30 steps

A deep equilibrium layer answers with z = tanh(z W + x U + b), found by iteration: a network of as
many layers as that takes, all with the same weights. An argmin layer answers with the weights that
minimise a loss: here a logistic regression of tumours, whose penalty for each kind of measurement
is the layer's input. Both are an `autograd.Function`. The implicit function theorem gives their
gradients at the answer, no matter how it was found, so nothing of the way to it is kept:

    z = f(z, p)              dp = v df/dp,  where  v = dz + v df/dz,  again found by iteration
    w = argmin g(w, p)       dp = -v d2g/dwdp,  where  v d2g/dw2 = dw,  solved with the Hessian

The program compares both with gradients through all iterations. Then a network with the first
layer learns digits, and the second finds the penalties for which the regression does best on
tumours that it did not learn from. It exits with status 1 if one of the three fails.
"""

import argparse
import sys

import numpy as np
from common import (
    Adam,
    accuracy_status,
    batches,
    load_digits,
    load_tumours,
    parse_arguments,
)

from mxtape import autograd, nd

FULL_EPOCHS, FULL_ACCURACY = 60, 0.96
QUICK_EPOCHS, QUICK_ACCURACY = 8, 0.90

HIDDEN, BATCH, LEARNING_RATE = 96, 64, 3e-3
TUNING_STEPS = 30


def iterate(f, z, tolerance, limit=500):
    """Apply f until no element moves by more than the tolerance's share of the largest."""
    for _ in range(limit):
        z, before = f(z), z
        if abs(z - before).max().asscalar() <= tolerance * abs(z).max().asscalar():
            return z
    raise ArithmeticError(f"no fixed point after {limit} iterations")


class FixedPoint(autograd.Function):
    """The z for which z = f(z, *inputs); f must contract."""

    def __init__(self, f, start, tolerance=1e-12):
        super().__init__()
        self.f, self.start, self.tolerance = f, start, tolerance

    def forward(self, *inputs):
        z = iterate(lambda z: self.f(z, *inputs), self.start, self.tolerance)
        self.save_for_backward(z, *inputs)
        return z

    def backward(self, slope):
        z, *inputs = self.saved_tensors
        z, *inputs = variables = [a.copy() for a in (z, *inputs)]
        for variable in variables:
            variable.attach_grad()
        with autograd.record():
            after = self.f(z, *inputs)

        def step(v):
            return slope + autograd.grad(after, z, v, retain_graph=True)[0]

        v = iterate(step, slope, self.tolerance)
        return autograd.grad(after, inputs, v)


def newton_step(g, w, p):
    """Where Newton's method goes from w to minimise g(w, p), and the Hessian at w; recorded."""
    with autograd.record():
        slope = autograd.grad(g(w, p), w, create_graph=True)[0]
        elements = [slope[i : i + 1] for i in range(len(slope))]
        hessian = nd.stack(*(autograd.grad(e, w, create_graph=True)[0] for e in elements))
        return w - solve(hessian, slope), hessian


def solve(matrix, vector):
    """matrix^-1 vector, for a symmetric positive matrix, by its Cholesky factor."""
    factor = nd.linalg.potrf(matrix)
    column = nd.linalg.trsm(factor, vector.reshape((-1, 1)))
    return nd.linalg.trsm(factor, column, transpose=True).reshape((-1,))


class Argmin(autograd.Function):
    """The w that minimises g(w, p), a convex function, found by Newton's method."""

    def __init__(self, g, start, steps=10):
        super().__init__()
        self.g, self.start, self.steps = g, start, steps

    def forward(self, p):
        p, w = p.detach(), self.start.copy()
        w.attach_grad()
        for _ in range(self.steps):
            w[:] = newton_step(self.g, w, p)[0]
        self.save_for_backward(w, p)
        return w

    def backward(self, slope):
        w, p = self.saved_tensors
        p.attach_grad()
        v = solve(newton_step(self.g, w, p)[1], slope)
        with autograd.record():
            first = autograd.grad(self.g(w, p), w, create_graph=True)[0]
        return -autograd.grad(first, p, v)[0]


class Equilibrium:
    """64 pixels -> a fixed point of 96 hidden units -> 10 scores."""

    def __init__(self, random, dtype="float32"):
        shapes = [(HIDDEN, HIDDEN), (64, HIDDEN), (HIDDEN,), (HIDDEN, 10), (10,)]
        self.weights = [
            nd.array(random.normal(0, 0.12, s) if len(s) == 2 else np.zeros(s), dtype=dtype)
            for s in shapes
        ]
        for weight in self.weights:
            weight.attach_grad()

    @staticmethod
    def step(z, w, x):
        return nd.tanh(nd.dot(z, w) + x)

    def __call__(self, images, find):
        v, u, b, w_out, b_out = self.weights
        # The columns of w have sums of 0.9: no step moves two z further than 0.9 of their distance.
        w = 0.9 * v / nd.abs(v).sum(axis=0, keepdims=True)
        z = find(
            self.step, nd.zeros((len(images), HIDDEN), dtype=v.dtype), w, nd.dot(images, u) + b
        )
        return nd.dot(z, w_out) + b_out

    def loss(self, images, labels, find):
        """Compute the loss, and the weights' gradients."""
        with autograd.record():
            loss = -nd.pick(nd.log_softmax(self(images, find)), labels).mean()
        loss.backward()
        return loss.asscalar()


def by_theorem(f, z, *inputs):
    return FixedPoint(f, z, 1e-13 if z.dtype == np.float64 else 1e-5)(*inputs)


def by_unrolling(f, z, *inputs):
    return iterate(lambda z: f(z, *inputs), z, 1e-13)


def learn_digits(network, epochs, random):
    """Return the accuracy on the digits held out."""
    train, test = ([nd.array(a) for a in part] for part in load_digits())
    adam = Adam(network.weights, LEARNING_RATE)
    for epoch in range(epochs):
        order = nd.array(random.permutation(len(train[0])))
        for part in batches(len(order), BATCH):
            images, labels = (a.take(order[part]) for a in train)
            loss = network.loss(images, labels, by_theorem)
            adam.step(1 - epoch / epochs)
        if (epoch + 1) % max(1, epochs // 5) == 0:
            print(f"epoch {epoch + 1:3}  loss of the last batch {loss:.4f}", flush=True)
    guesses = network(test[0], by_theorem).argmax(axis=1)
    return (guesses == test[1]).mean().asscalar()


class Tumours:
    """Two fifths to fit weights to, with penalties; two to choose those by; the rest held out."""

    def __init__(self):
        (features, signs), self.held_out = load_tumours()
        half = len(signs) // 2
        self.fit, self.choose = (features[:half], signs[:half]), (features[half:], signs[half:])
        self.penalties = nd.log(nd.array([0.1] * 3, dtype="float64"))  # their logarithms
        self.penalties.attach_grad()

    @staticmethod
    def loss(data, weights):
        """The mean negative log likelihood."""
        margins = data[1] * nd.dot(data[0], weights)
        return nd.Activation(-margins, act_type="softrelu").mean()

    def penalised(self, weights, p):
        """The same, and penalties for means, errors and extremes; the intercept goes free."""
        penalties = nd.repeat(nd.exp(p), repeats=10)
        return self.loss(self.fit, weights) + 0.5 * (penalties * nd.square(weights[:-1])).sum()

    def weights(self, unroll=False):
        """The weights that the penalties give, by Newton's method from zeros."""
        w = nd.zeros((31,), dtype="float64")
        w.attach_grad()
        if not unroll:
            return Argmin(self.penalised, w)(self.penalties)
        for _ in range(10):
            w, _ = newton_step(self.penalised, w, self.penalties)
        return w

    def choose_loss(self, unroll=False):
        """Compute the loss to choose by, and the penalties' gradient."""
        with autograd.record():
            loss = self.loss(self.choose, self.weights(unroll))
        loss.backward()
        return loss.asscalar()


def tune(tumours, steps):
    """Find the penalties with which the regression does best. Return whether that did it good."""
    adam, held_out = Adam([tumours.penalties], 0.3), []
    for step in range(steps + 1):
        loss = tumours.choose_loss()
        if step in (0, steps):
            held_out.append(tumours.loss(tumours.held_out, tumours.weights()).asscalar())
            shown = ", ".join(f"{p:.4f}" for p in nd.exp(tumours.penalties).asnumpy())
            print(f"penalties {shown}: loss {loss:.4f}, held out {held_out[-1]:.4f}")
        adam.step(1 - step / (steps + 1))
    return held_out[1] < held_out[0]


def compare(name, variables, loss):
    """Print how far both gradients are apart. Return whether they agree."""
    gradients = []
    for unroll in (False, True):
        loss(unroll)
        gradients.append(np.concatenate([v.grad.asnumpy().ravel() for v in variables]))
    apart = abs(gradients[0] - gradients[1]).max() / abs(gradients[1]).max()
    print(f"{name}: gradients by the theorem and through the iterations apart by {apart:.1e}")
    return apart < 1e-9


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments = parse_arguments(parser, "epochs", "over the digits", FULL_EPOCHS, QUICK_EPOCHS)
    random = np.random.RandomState(arguments.seed)

    network, tumours = Equilibrium(random, "float64"), Tumours()
    images, labels = (nd.array(part[:BATCH], dtype="float64") for part in load_digits()[0])

    def digits_loss(unroll):
        network.loss(images, labels, by_unrolling if unroll else by_theorem)

    agree = [
        compare("fixed point", network.weights, digits_loss),
        compare("minimum", [tumours.penalties], tumours.choose_loss),
    ]
    if not all(agree):
        print("the gradients differ")
        return 1
    if not tune(tumours, TUNING_STEPS):
        print("the penalties found do no good on what is held out")
        return 1
    accuracy = learn_digits(Equilibrium(random), arguments.epochs, random)
    print(f"digits: held-out accuracy {100 * accuracy:.2f} %")
    return accuracy_status(accuracy, QUICK_ACCURACY if arguments.quick else FULL_ACCURACY)


if __name__ == "__main__":
    sys.exit(main())
