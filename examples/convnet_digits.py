"""Train a convolutional network on handwritten digits, with `nd` and `autograd` only.

    python examples/convnet_digits.py                 # 12 epochs
    python examples/convnet_digits.py --quick         # 3 epochs, to see that everything works
    python examples/convnet_digits.py --optimizer nag # Nesterov's momentum instead of Adam

The data are the 1,797 scanned digits of 8 x 8 pixels that come with scikit-learn. A fifth of them
is held out: the network never learns from those, and the accuracy on them is what counts. The
program exits with status 1 if that accuracy stays below what the run should reach.

Three convolutions, each with its batch normalisation, look at the scan; the scan is moved by up to
a pixel each time that it is shown. Weights, order and moves come from NumPy, so that the program
can be run with MXNet as well and compared (docs/examples.md).
"""

import argparse
import math
import sys
import time

import numpy as np
from common import Adam, accuracy_status, batches, load_digits, parse_arguments

import mxtape as mx
from mxtape import autograd, nd

FULL_EPOCHS, FULL_ACCURACY = 12, 0.985
QUICK_EPOCHS, QUICK_ACCURACY = 3, 0.95

BATCH = 64
FILTERS = (32, 32, 64)
DROPOUT = 0.3
WEIGHT_DECAY = 1e-4
LEARNING_RATES = {"adam": 4e-3, "nag": 0.1}


def moved(images, random):
    """The images, each moved by -1, 0 or 1 pixels in both directions."""
    padded = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)))
    down, right = random.randint(0, 3, (2, len(images), 1, 1))
    rows, columns = np.arange(8)[:, None] + down, np.arange(8) + right
    return padded[np.arange(len(images))[:, None, None], 0, rows, columns][:, None]


class Convolution:
    """A convolution over 3 x 3 pixels, batch normalisation, and what is below zero cut off."""

    def __init__(self, channels, filters, random):
        deviation = math.sqrt(2 / (9 * channels))
        weight = random.normal(0, deviation, (filters, channels, 3, 3))
        self.weight = nd.array(weight, dtype="float32")
        self.gamma, self.beta = nd.ones((filters,)), nd.zeros((filters,))
        self.mean, self.variance = nd.zeros((filters,)), nd.ones((filters,))  # while it learns
        self.weights = [self.weight, self.gamma, self.beta]

    def __call__(self, x):
        filters = self.weight.shape[0]
        # The normalisation subtracts the mean: a bias would be lost in it.
        x = nd.Convolution(
            x, self.weight, num_filter=filters, kernel=(3, 3), pad=(1, 1), no_bias=True
        )
        # In training it normalises by the batch, and moves its mean and variance that way.
        x = nd.BatchNorm(x, self.gamma, self.beta, self.mean, self.variance, fix_gamma=False)
        return nd.Activation(x, act_type="relu")


class Network:
    """8 x 8 pixels -> 32 and 32 filters -> 4 x 4 -> 64 filters -> 2 x 2 -> 10 scores."""

    def __init__(self, random, dropout):
        self.dropout = dropout
        channels = (1, *FILTERS[:-1])
        self.layers = [Convolution(c, f, random) for c, f in zip(channels, FILTERS)]
        width = FILTERS[-1] * 4
        weight = random.normal(0, math.sqrt(1 / width), (10, width))
        self.weight, self.bias = nd.array(weight, dtype="float32"), nd.zeros((10,))
        self.weights = [w for layer in self.layers for w in layer.weights]
        self.weights += [self.weight, self.bias]
        for w in self.weights:
            w.attach_grad()

    def __call__(self, images):
        x = self.layers[1](self.layers[0](images))
        x = nd.Pooling(x, kernel=(2, 2), stride=(2, 2), pool_type="max")
        x = self.layers[2](x)
        x = nd.Pooling(x, kernel=(2, 2), stride=(2, 2), pool_type="avg")
        x = nd.Dropout(x, p=self.dropout)  # active in training only
        return nd.FullyConnected(x, self.weight, self.bias, num_hidden=10)


class Nesterov:
    def __init__(self, weights, learning_rate, weight_decay):
        self.weights = weights
        self.learning_rate, self.weight_decay = learning_rate, weight_decay
        self.momenta = [nd.zeros_like(w) for w in weights]

    def step(self, share):
        """Move every weight; `share` is what is left of the learning rate."""
        rate = self.learning_rate * share
        options = {"lr": rate, "momentum": 0.9, "wd": self.weight_decay}
        for w, momentum in zip(self.weights, self.momenta):
            nd.nag_mom_update(w, w.grad, momentum, **options, out=w)


OPTIMIZERS = {"adam": Adam, "nag": Nesterov}


def train_epoch(network, optimizer, data, share, random):
    """Go once through the data in a new random order. Return the mean loss."""
    images, labels = data
    order = random.permutation(len(labels))
    images, labels = moved(images[order], random), labels[order]
    total = 0.0
    for places in batches(len(labels), BATCH):
        batch = nd.array(images[places]), nd.array(labels[places])
        with autograd.record():
            # The loss is in the operator's gradient: that of -log p(label), mean over the batch.
            odds = nd.SoftmaxOutput(network(batch[0]), batch[1], normalization="batch")
        odds.backward()
        optimizer.step(share)
        total -= nd.log(nd.pick(odds, batch[1])).sum().asscalar()
    return total / len(labels)


def evaluate(network, images, labels):
    """Return (loss, accuracy) on data that were not trained on."""
    scores, labels = network(nd.array(images)), nd.array(labels)
    accuracy = (scores.argmax(axis=1) == labels).mean().asscalar()
    return nd.softmax_cross_entropy(scores, labels).asscalar() / len(labels), accuracy


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--optimizer", choices=tuple(OPTIMIZERS), default="adam")
    parser.add_argument("--dropout", type=float, default=DROPOUT, help=f"({DROPOUT})")
    enough = f", and {100 * QUICK_ACCURACY:.0f} %% are enough"
    arguments = parse_arguments(
        parser, "epochs", "passes over the data", FULL_EPOCHS, QUICK_EPOCHS, enough
    )
    mx.random.seed(arguments.seed)
    random = np.random.RandomState(arguments.seed)
    train, test = ((images.reshape((-1, 1, 8, 8)), labels) for images, labels in load_digits())
    network = Network(random, arguments.dropout)
    optimizer = OPTIMIZERS[arguments.optimizer](
        network.weights, LEARNING_RATES[arguments.optimizer], WEIGHT_DECAY
    )
    print(
        f"{len(train[1])} digits to learn from, {len(test[1])} held out, "
        f"{sum(w.size for w in network.weights)} weights, {arguments.optimizer}"
    )

    began = time.perf_counter()
    for epoch in range(arguments.epochs):
        share = 1 - epoch / arguments.epochs
        train_loss = train_epoch(network, optimizer, train, share, random)
        test_loss, accuracy = evaluate(network, *test)
        print(
            f"epoch {epoch + 1:3}/{arguments.epochs}  loss {train_loss:.5f}, "
            f"held out {test_loss:.5f}, {100 * accuracy:.2f} %",
            flush=True,
        )
    seconds = time.perf_counter() - began

    print(f"held-out accuracy {100 * accuracy:.2f} % after {seconds:.1f} s of training")
    return accuracy_status(accuracy, QUICK_ACCURACY if arguments.quick else FULL_ACCURACY)


if __name__ == "__main__":
    sys.exit(main())
