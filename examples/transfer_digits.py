"""Teach a network that has learnt one thing another, from very few samples.

    python examples/transfer_digits.py                  # 8 epochs; makes the file of weights itself
    python examples/transfer_digits.py --quick          # in 4 epochs
    python examples/transfer_digits.py --file FILE      # keep the file there, or use one that is

The data are scikit-learn's scanned digits. A small ResNet of the model zoo learns the digits from 0
to 4, and its weights are saved. Then comes what programs do with such a file: a network with the
file's features and a new last layer, which learns the digits from 5 to 9 from three samples of
each. First only the new layer does; then all do, the old ones more slowly. Where the network is one
of those that were published, `get_model(NAME, pretrained=True, root=FOLDER)` finds the file.

Beside it stands a network that starts from nothing. The program exits with status 1 if the file did
not help by enough.
"""

import argparse
import os
import sys
import tempfile

import numpy as np
from common import batches, load_digits, parse_arguments, train_epoch

import mxtape as mx
from mxtape import gluon, nd

FULL_EPOCHS, QUICK_EPOCHS = 8, 4
ACCURACY, GAIN = 0.7, 0.1  # on digits held out; over the network that starts from nothing

BATCH, SAMPLES, STEPS = 32, 3, 25
OLD, NEW = range(5), range(5, 10)
LOSS = gluon.loss.SoftmaxCrossEntropyLoss()


def make_network(classes):
    zoo = gluon.model_zoo.vision
    return zoo.ResNetV1(zoo.BasicBlockV1, [1, 1], [16, 16, 32], classes=classes, thumbnail=True)


def chosen(data, digits):
    """The images of some digits, and their labels counted from 0."""
    images, labels = data
    here = np.isin(labels, digits)
    return images[here].reshape((-1, 1, 8, 8)), labels[here] - digits[0]


def learn(network, parameters, data, epochs, rate, random):
    """Train some parameters of a network. Return the last loss."""
    images, labels = data
    trainer = gluon.Trainer(parameters, "adam", {"learning_rate": rate})
    for epoch in range(epochs):
        trainer.set_learning_rate(rate * (1 - epoch / epochs))
        order = random.permutation(len(labels))
        parts = (order[part] for part in batches(len(order), BATCH))
        loss = train_epoch(
            trainer,
            ((nd.array(images[part]), nd.array(labels[part])) for part in parts),
            lambda x, y: LOSS(network(x), y),
        )
    return loss


def accuracy(network, images, labels):
    return float((network(nd.array(images)).argmax(axis=1).asnumpy() == labels).mean())


def make_file(path, train, test, epochs, random):
    """Train a network for the first five digits, and save its weights."""
    network = make_network(len(OLD))
    network.initialize(mx.init.Xavier())
    network.hybridize()
    learn(network, network.collect_params(), chosen(train, OLD), epochs, 1e-3, random)
    network.save_parameters(path)
    found = accuracy(network, *chosen(test, OLD))
    print(f"made {path}: digits 0 to 4, held-out accuracy {100 * found:.1f} %")


def tuned(path, samples, random):
    """The network of the file with a new last layer, which learns first; then all layers do."""
    old = make_network(len(OLD))
    old.load_parameters(path)
    network = make_network(len(NEW))
    network.features = old.features
    network.output.initialize(mx.init.Xavier())
    network.features.collect_params().setattr("lr_mult", 0.3)
    network.hybridize()
    # What does not learn has no gradient, and running statistics stay as they are in prediction.
    features = network.features(nd.array(samples[0])).asnumpy()
    learn(
        network.output,
        network.output.collect_params(),
        (features, samples[1]),
        2 * STEPS,
        1e-2,
        random,
    )
    learn(network, network.collect_params(), samples, STEPS, 3e-3, random)
    return network


def from_nothing(samples, random):
    network = make_network(len(NEW))
    network.initialize(mx.init.Xavier())
    network.hybridize()
    learn(network, network.collect_params(), samples, STEPS, 3e-3, random)
    return network


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--file", help="the file of weights (a temporary one)")
    arguments = parse_arguments(parser, "epochs", "passes over the data", FULL_EPOCHS, QUICK_EPOCHS)
    mx.random.seed(arguments.seed)
    random = np.random.RandomState(arguments.seed)
    train, test = load_digits()
    images, labels = chosen(train, NEW)
    few = np.concatenate([np.flatnonzero(labels == label)[:SAMPLES] for label in range(len(NEW))])
    samples = images[few], labels[few]
    with tempfile.TemporaryDirectory() as folder:
        path = arguments.file or os.path.join(folder, "digits.params")
        if not os.path.exists(path):
            make_file(path, train, test, arguments.epochs, random)
        with_file = accuracy(tuned(path, samples, random), *chosen(test, NEW))
    without = accuracy(from_nothing(samples, random), *chosen(test, NEW))
    print(f"digits 5 to 9 from {len(few)} samples: held-out accuracy {100 * with_file:.1f} %")
    print(f"the same from nothing: {100 * without:.1f} %")
    if with_file < max(ACCURACY, without + GAIN):
        print(f"it should be {100 * ACCURACY:g} %, and {100 * GAIN:g} more than from nothing")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
