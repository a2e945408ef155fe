"""Learn to draw digits with a variational autoencoder, a Gluon network with two losses in one.

    python examples/vae_digits.py             # 40 epochs, then drawings
    python examples/vae_digits.py --quick     # 8 epochs, to see that everything works

The data are the 1,797 scanned digits of 8 x 8 pixels that come with scikit-learn, each pixel black
or white; a fifth of them is held out. The encoder says for each digit where in a space of 8
dimensions it lies, and how surely; the decoder draws a digit for a place. What is learnt from is a
bound of the likelihood: how well the drawing agrees with the scan, less how far the places are from
a normal distribution.

The bound on what is held out stands beside the likelihood of the best model without places, in
which every pixel is by itself. The program exits with status 1 if it does not beat that by enough.

The noise comes from NumPy, so that the program can be run with MXNet as well and compared
(docs/examples.md).
"""

import argparse
import sys
import time

import numpy as np
from common import batches, load_digits, parse_arguments, show_digits, train_epoch

import mxtape as mx
from mxtape import gluon, nd
from mxtape.gluon import nn

FULL_EPOCHS, FULL_GAIN = 40, 4.0  # nats per digit
QUICK_EPOCHS, QUICK_GAIN = 8, 1.0

BATCH = 64
PLACES, HIDDEN = 8, 128
LEARNING_RATE = 3e-3


class Autoencoder(gluon.HybridBlock):
    """64 pixels -> means and log variances of 8 numbers; 8 numbers -> logits of 64 pixels."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.encoder = nn.HybridSequential(prefix="encoder_")
            self.encoder.add(nn.Dense(HIDDEN, activation="tanh"), nn.Dense(2 * PLACES))
            self.decoder = nn.HybridSequential(prefix="decoder_")
            self.decoder.add(nn.Dense(HIDDEN, activation="tanh"), nn.Dense(64))

    def hybrid_forward(self, F, images, noise):
        mean, log_variance = F.split(self.encoder(images), num_outputs=2, axis=1)
        places = mean + F.exp(log_variance / 2) * noise
        return self.decoder(places), mean, log_variance


class Bound(gluon.loss.Loss):
    """The negative bound in nats, for each sample."""

    def __init__(self, weight=None, batch_axis=0, **kwargs):
        super().__init__(weight, batch_axis, **kwargs)
        self.pixels = gluon.loss.SigmoidBinaryCrossEntropyLoss()

    def hybrid_forward(self, F, logits, mean, log_variance, images):
        agreement = self.pixels(logits, images) * 64  # the loss is the mean over the pixels
        apart = F.exp(log_variance) + F.square(mean) - 1 - log_variance
        return agreement + F.sum(apart, axis=1) / 2


def noisy_batches(images, random):
    """Batches in a new order, each with the noise for its places."""
    order = random.permutation(len(images))
    for places in batches(len(images), BATCH):
        noise = random.normal(0, 1, (len(order[places]), PLACES))
        yield nd.array(images[order[places]]), nd.array(noise, dtype="float32")


def pixels_apart(train, test):
    """Nats per digit if the pixels are independent, each with its mean in the training data."""
    means = np.clip(train.mean(axis=0), 1e-3, 1 - 1e-3)
    return -(test * np.log(means) + (1 - test) * np.log(1 - means)).sum(axis=1).mean()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments = parse_arguments(parser, "epochs", "passes over the data", FULL_EPOCHS, QUICK_EPOCHS)
    mx.random.seed(arguments.seed)
    random = np.random.RandomState(arguments.seed)
    train, test = ((images > 0.5).astype("float32") for images, _ in load_digits())

    network, bound = Autoencoder(), Bound()
    network.initialize(mx.init.Xavier())
    network.hybridize()
    bound.hybridize()
    trainer = gluon.Trainer(network.collect_params(), "adam", {"learning_rate": LEARNING_RATE})

    def loss_of(images, noise):
        return bound(*network(images, noise), images)

    began = time.perf_counter()
    for epoch in range(arguments.epochs):
        trainer.set_learning_rate(LEARNING_RATE * (1 - epoch / arguments.epochs))
        loss = train_epoch(trainer, noisy_batches(train, random), loss_of)
        if epoch % max(1, arguments.epochs // 8) == 0 or epoch + 1 == arguments.epochs:
            print(f"epoch {epoch + 1:3}/{arguments.epochs}  {loss:.4f} nats", flush=True)
    seconds = time.perf_counter() - began

    noise = nd.array(random.normal(0, 1, (len(test), PLACES)), dtype="float32")
    nats = loss_of(nd.array(test), noise).mean().asscalar()
    show_digits(nd.sigmoid(network.decoder(noise[:6])).asnumpy())
    alone = pixels_apart(train, test)
    print(f"held out: {nats:.4f} nats, with independent pixels {alone:.4f}, after {seconds:.1f} s")
    gain = QUICK_GAIN if arguments.quick else FULL_GAIN
    if not nats < alone - gain:
        print(f"that is not {gain:g} less, as this run should reach")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
