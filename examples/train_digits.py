"""Train a two-layer network on handwritten digits, with `nd` and `autograd` only.

    python examples/train_digits.py               # 40 epochs, then a picture
    python examples/train_digits.py --quick       # a few epochs, to see that everything works

The data are the 1,797 scanned digits of 8 x 8 pixels that come with scikit-learn. A fifth of them
is held out: the network never learns from those, and the accuracy on them is what counts. The
program exits with status 1 if that accuracy stays below what the run should reach.

Besides mxtape it needs scikit-learn (for the scans) and matplotlib (for the picture).
"""

import argparse
import sys
import time
from pathlib import Path

from common import ProgressBar, accuracy_status, batches, load_digits, parse_arguments
from pictures import draw

import mxtape as mx
from mxtape import autograd, nd

FULL_EPOCHS, FULL_ACCURACY = 40, 0.97
QUICK_EPOCHS, QUICK_ACCURACY = 5, 0.90

BATCH = 64
HIDDEN = 256
LEARNING_RATE = 0.1
MOMENTUM = 0.9
WEIGHT_DECAY = 1e-4
DROPOUT = 0.3


class Network:
    """64 pixels -> 256 hidden units -> 10 scores, and the momentum that SGD keeps per weight."""

    def __init__(self):
        self.w1 = nd.random.normal(0, (2 / 64) ** 0.5, shape=(64, HIDDEN))
        self.b1 = nd.zeros((HIDDEN,))
        self.w2 = nd.random.normal(0, (2 / HIDDEN) ** 0.5, shape=(HIDDEN, 10))
        self.b2 = nd.zeros((10,))
        self.weights = [self.w1, self.b1, self.w2, self.b2]
        self.momenta = [nd.zeros_like(weight) for weight in self.weights]
        for weight in self.weights:
            weight.attach_grad()

    def __call__(self, images):
        hidden = nd.relu(nd.dot(images, self.w1) + self.b1)
        hidden = nd.Dropout(hidden, p=DROPOUT)  # active in training only
        return nd.dot(hidden, self.w2) + self.b2

    def step(self, learning_rate):
        """Move every weight against its gradient."""
        for weight, momentum in zip(self.weights, self.momenta):
            nd.sgd_mom_update(
                weight,
                weight.grad,
                momentum,
                lr=learning_rate,
                momentum=MOMENTUM,
                wd=WEIGHT_DECAY,
                out=weight,
            )


def cross_entropy(scores, labels):
    """Return the mean of -log p(label), shape (1,)."""
    return -nd.pick(nd.log_softmax(scores), labels).mean()


def train_epoch(network, images, labels, learning_rate):
    """Go once through the data in a new random order. Return the mean loss."""
    count = len(labels)
    order = nd.random.shuffle(nd.arange(count))
    images, labels = nd.take(images, order), nd.take(labels, order)
    total = 0.0
    for batch in batches(count, BATCH):
        with autograd.record():
            loss = cross_entropy(network(images[batch]), labels[batch])
        loss.backward()
        network.step(learning_rate)
        total += loss.asscalar() * (batch.stop - batch.start)
    return total / count


def evaluate(network, images, labels):
    """Return (loss, accuracy, predictions) on data that were not trained on."""
    scores = network(images)
    predictions = scores.argmax(axis=1)
    accuracy = (predictions == labels).mean().asscalar()
    return cross_entropy(scores, labels).asscalar(), accuracy, predictions


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--output",
        type=Path,
        default=Path(__file__).parent / "output" / "digits.png",
        help="where the picture goes (examples/output/digits.png)",
    )
    enough = f", and {100 * QUICK_ACCURACY:.0f} %% are enough"
    arguments = parse_arguments(
        parser, "epochs", "passes over the data", FULL_EPOCHS, QUICK_EPOCHS, enough
    )
    mx.random.seed(arguments.seed)
    train, test = (tuple(nd.array(a) for a in part) for part in load_digits())
    print(
        f"{len(train[1])} digits to learn from, {len(test[1])} held out, "
        f"{64 * HIDDEN + HIDDEN + HIDDEN * 10 + 10} weights"
    )

    network = Network()
    progress = ProgressBar(arguments.epochs)
    history = []
    began = time.perf_counter()
    for epoch in range(arguments.epochs):
        learning_rate = LEARNING_RATE * (1 - epoch / arguments.epochs)
        train_loss = train_epoch(network, train[0], train[1], learning_rate)
        test_loss, accuracy, predictions = evaluate(network, *test)
        history.append((train_loss, test_loss, accuracy))
        progress.update(epoch + 1, f"loss {train_loss:.4f}, held out {100 * accuracy:.2f} %")
    seconds = time.perf_counter() - began

    draw(arguments.output, history, FULL_ACCURACY, *(a.asnumpy() for a in (*test, predictions)))
    print(f"held-out accuracy {100 * accuracy:.2f} % after {seconds:.1f} s of training")
    print(f"picture: {arguments.output}")
    return accuracy_status(accuracy, QUICK_ACCURACY if arguments.quick else FULL_ACCURACY)


if __name__ == "__main__":
    sys.exit(main())
