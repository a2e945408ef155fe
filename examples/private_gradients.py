"""Learn digits so that no single scan leaves a trace: per-example gradients, clipped, with noise.

    python examples/private_gradients.py             # 400 steps
    python examples/private_gradients.py --quick     # 100 steps, to see that everything works

This is DP-SGD. Each step draws scans at random, takes the gradient of every one, shortens those
that are longer than a bound, adds normal noise to their sum and moves the weights. `autograd.vmap`
applies a function that gives the gradients of one scan to all of them, without a loop. Each scan
then moves the weights by no more than the bound; with the noise it cannot be told from the weights
whether a scan was learnt from. How well, is epsilon: any event is at most exp(epsilon) times as
likely with a scan as without (but for a probability delta). It is counted from the moments of the
likelihood ratio (Renyi divergences of the sampled Gaussian mechanism, of whole orders).

The program compares vmap with gradients taken one scan at a time, and learns with noise and
without. It exits with status 1 if those differ, or if the accuracy on scans held out is too low.
"""

import argparse
import math
import sys
import time

import numpy as np
from common import accuracy_status, load_digits, parse_arguments

from mxtape import autograd, nd

FULL_STEPS, FULL_ACCURACY = 400, 0.92
QUICK_STEPS, QUICK_ACCURACY = 100, 0.85

HIDDEN = 32
BATCH = 128  # on average: each scan is drawn by itself
BOUND, NOISE, DELTA = 1.0, 2.0, 1e-4  # the noise's deviation is NOISE * BOUND
LEARNING_RATE = 1.0


class Network:
    """64 pixels -> 32 hidden units -> 10 scores, for one scan or several."""

    def __init__(self, random):
        shapes = [(HIDDEN, 64), (HIDDEN,), (10, HIDDEN), (10,)]
        self.weights = [nd.array(random.normal(0, 0.1, shape)) for shape in shapes]
        for weight in self.weights:
            weight.attach_grad()

    def __call__(self, images):
        w1, b1, w2, b2 = self.weights
        hidden = nd.tanh(nd.FullyConnected(images, w1, b1, num_hidden=HIDDEN))
        return nd.FullyConnected(hidden, w2, b2, num_hidden=10)

    def gradients(self, image, label):
        """The gradients of the loss of one scan, an image of shape (64,)."""
        with autograd.record():
            scores = nd.log_softmax(self(image.reshape((1, 64))))
            loss = -nd.pick(scores, label.reshape((1,)))
        return autograd.grad(loss, self.weights)

    def accuracy(self, images, labels):
        return (self(images).argmax(axis=1) == labels).mean().asscalar()


def one_by_one(function, images, labels):
    """What `autograd.vmap(function)` gives, by a loop."""
    results = [function(images[i], labels[i : i + 1]) for i in range(len(images))]
    return [nd.stack(*column) for column in zip(*results)]


def clipped_sum(gradients, bound):
    """Shorten the gradients of each scan to the bound, all weights together, and add them up.

    Return the sums, and how long the gradients were.
    """
    flat = [g.reshape((len(g), -1)) for g in gradients]
    lengths = nd.sqrt(nd.add_n(*(nd.square(g).sum(axis=1) for g in flat)))
    shares = nd.minimum(1, bound / nd.maximum(lengths, 1e-12)).reshape((1, -1))
    sums = [nd.dot(shares, g).reshape(like.shape[1:]) for g, like in zip(flat, gradients)]
    return sums, lengths


def learn(network, train, steps, noise, random):
    """Return the share of gradients that were longer than the bound."""
    of_each, count, clipped, drawn = autograd.vmap(network.gradients), len(train[0]), 0, 0
    for _ in range(steps):
        chosen = nd.array(np.flatnonzero(random.uniform(size=count) < BATCH / count))
        sums, lengths = clipped_sum(of_each(*(a.take(chosen) for a in train)), BOUND)
        for weight, total in zip(network.weights, sums):
            total = total + nd.array(random.normal(0, noise * BOUND, total.shape))
            weight[:] = weight - LEARNING_RATE / BATCH * total
        clipped, drawn = clipped + (lengths > BOUND).sum().asscalar(), drawn + len(chosen)
    return clipped / drawn


def renyi_divergence(order, share, noise):
    """That of a step's result with a scan from that without; each scan is drawn with the share.

    The moment of the ratio of both densities is a sum of binomial terms.
    """
    logs = [
        math.log(math.comb(order, k))
        + (order - k) * math.log1p(-share)
        + k * math.log(share)
        + k * (k - 1) / (2 * noise**2)
        for k in range(order + 1)
    ]
    return np.logaddexp.reduce(logs) / (order - 1)


def privacy(steps, share, noise, delta):
    """The smallest epsilon that the divergences of some order prove."""
    return min(
        steps * renyi_divergence(order, share, noise) + math.log(1 / delta) / (order - 1)
        for order in range(2, 200)
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments = parse_arguments(parser, "steps", "of gradient descent", FULL_STEPS, QUICK_STEPS)
    random = np.random.RandomState(arguments.seed)
    train, test = ([nd.array(a) for a in part] for part in load_digits())

    network, sample = Network(random), [a[:BATCH] for a in train]
    ways = (autograd.vmap(network.gradients), lambda *a: one_by_one(network.gradients, *a))
    results = []
    for name, way in zip(("vmap", "a loop"), ways):
        way(*sample)
        began = time.perf_counter()
        results.append([g.asnumpy() for g in way(*sample)])
        print(f"{1e3 * (time.perf_counter() - began):.2f} ms for {BATCH} gradients with {name}")
    apart = max(abs(a - b).max() / abs(b).max() for a, b in zip(*results))
    print(f"they differ by {apart:.1e}")
    if not apart < 1e-5:
        print("the gradients differ")
        return 1

    for noise in (0.0, NOISE):
        network = Network(random)
        clipped = learn(network, train, arguments.steps, noise, random)
        accuracy = network.accuracy(*test)
        epsilon = math.inf
        if noise:
            epsilon = privacy(arguments.steps, BATCH / len(train[0]), noise, DELTA)
        print(
            f"noise {noise:g}: held-out accuracy {100 * accuracy:.2f} %, epsilon {epsilon:.2f}, "
            f"{clipped:.0%} of the gradients shortened"
        )
    return accuracy_status(accuracy, QUICK_ACCURACY if arguments.quick else FULL_ACCURACY)


if __name__ == "__main__":
    sys.exit(main())
