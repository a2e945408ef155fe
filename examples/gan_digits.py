"""Two Gluon networks play against each other: one draws digits, one tells them from scanned ones.

    python examples/gan_digits.py             # 60 epochs, then drawings
    python examples/gan_digits.py --quick     # 20 epochs, to see that everything works

The data are the 1,797 scanned digits of 8 x 8 pixels that come with scikit-learn. The generator
makes an image of random numbers. The discriminator learns to say which images are scans; the
generator, to make it say so of its own. Each has a trainer.

How good the drawings are is a distance between two clouds of images: of their means and of their
covariances (the Fréchet distance of normal distributions, here over pixels). It stands beside that
of images whose pixels are drawn independently, each as it is distributed in the scans. The program
exits with status 1 if the generator's images are not much closer than those.

Random numbers come from NumPy, so that the program can be run with MXNet as well and compared
(docs/examples.md).
"""

import argparse
import sys
import time

import numpy as np
from common import batches, load_digits, parse_arguments, show_digits, take_step

import mxtape as mx
from mxtape import autograd, gluon, nd
from mxtape.gluon import nn

FULL_EPOCHS, FULL_SHARE = 60, 0.6  # of the distance of independent pixels
QUICK_EPOCHS, QUICK_SHARE = 20, 0.95

BATCH = 64
NOISE, HIDDEN = 16, 128
ADAM = {"learning_rate": 1e-3, "beta1": 0.5}


def make_generator():
    """16 numbers -> 128 -> 128 -> 64 pixels in 0..1, normalized by the batch on the way."""
    network = nn.HybridSequential(prefix="generator_")
    with network.name_scope():
        for _ in range(2):
            network.add(nn.Dense(HIDDEN, use_bias=False), nn.BatchNorm(), nn.Activation("relu"))
        network.add(nn.Dense(64, activation="sigmoid"))
    return network


def make_discriminator():
    """64 pixels -> 128 -> 128 -> the logit of being a scan."""
    network = nn.HybridSequential(prefix="discriminator_")
    with network.name_scope():
        for _ in range(2):
            network.add(nn.Dense(HIDDEN), nn.LeakyReLU(0.2))
        network.add(nn.Dense(1))
    return network


class Game:
    """Both networks, their trainers, and the loss that they pull in two directions."""

    def __init__(self):
        self.generator, self.discriminator = make_generator(), make_discriminator()
        self.trainers = []
        for network in (self.generator, self.discriminator):
            network.initialize(mx.init.Xavier(magnitude=2))
            network.hybridize()
            self.trainers.append(gluon.Trainer(network.collect_params(), "adam", dict(ADAM)))
        self.loss = gluon.loss.SigmoidBinaryCrossEntropyLoss()

    def judged(self, images, as_scans):
        """The loss of the discriminator if all the images are scans, or if none is."""
        logits = self.discriminator(images)
        return self.loss(logits, nd.full(logits.shape, float(as_scans)))

    def play(self, scans, noise):
        """A step of each. Return both losses."""
        with autograd.train_mode():  # normalized by the batch, as when the generator learns
            drawn = self.generator(noise)
        second = take_step(
            self.trainers[1], lambda: self.judged(scans, True) + self.judged(drawn, False)
        )
        first = take_step(self.trainers[0], lambda: self.judged(self.generator(noise), True))
        return first.mean().asscalar(), second.mean().asscalar()


def frechet_distance(a, b):
    """Between the normal distributions with the means and covariances of two clouds of points."""
    difference = a.mean(axis=0) - b.mean(axis=0)
    first, second = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    values, vectors = np.linalg.eigh(first)
    root = vectors * np.sqrt(values.clip(0)) @ vectors.T
    common = np.sqrt(np.linalg.eigvalsh(root @ second @ root).clip(0)).sum()
    return difference @ difference + np.trace(first) + np.trace(second) - 2 * common


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments = parse_arguments(parser, "epochs", "passes over the data", FULL_EPOCHS, QUICK_EPOCHS)
    mx.random.seed(arguments.seed)
    random = np.random.RandomState(arguments.seed)
    scans = np.concatenate([images for images, _ in load_digits()])

    def noise(count):
        return nd.array(random.normal(0, 1, (count, NOISE)), dtype="float32")

    game = Game()
    began = time.perf_counter()
    for epoch in range(arguments.epochs):
        order = random.permutation(len(scans))
        for places in batches(len(scans) // BATCH * BATCH, BATCH):
            losses = game.play(nd.array(scans[order[places]]), noise(BATCH))
        if epoch % max(1, arguments.epochs // 8) == 0 or epoch + 1 == arguments.epochs:
            print(
                f"epoch {epoch + 1:3}/{arguments.epochs}  "
                f"generator {losses[0]:.4f}, discriminator {losses[1]:.4f}",
                flush=True,
            )
    seconds = time.perf_counter() - began

    drawn = game.generator(noise(len(scans))).asnumpy()
    show_digits(drawn[:6])
    shuffled = np.stack([random.permutation(pixel) for pixel in scans.T], axis=1)
    distance, apart = (frechet_distance(scans, images) for images in (drawn, shuffled))
    print(
        f"distance from the scans: {distance:.4f}, with independent pixels {apart:.4f}, "
        f"after {seconds:.1f} s"
    )
    share = QUICK_SHARE if arguments.quick else FULL_SHARE
    if not distance < share * apart:
        print(f"that is not less than {100 * share:.0f} % of it, as this run should reach")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
