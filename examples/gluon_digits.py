"""Train a small ResNet on handwritten digits with Gluon, as its users write programs.

    python examples/gluon_digits.py                      # 10 epochs, then a picture
    python examples/gluon_digits.py --quick              # 3 epochs, to see that everything works
    python examples/gluon_digits.py --dtype bfloat16     # the network's numbers have 16 bits
    python examples/gluon_digits.py --prefix /tmp/digits # keep a checkpoint of every epoch there
    python examples/gluon_digits.py --prefix /tmp/digits --resume 4 # go on after epoch 4

The data are the 1,797 scanned digits of 8 x 8 pixels that come with scikit-learn; a fifth of them
is held out. Every epoch the network sees them moved by up to a pixel. The blocks are those of the
model zoo's ResNet. A run that goes on from a checkpoint ends with the same bits as one that was
never interrupted: the last line has a digest of the weights. The program exits with status 1 if
the accuracy on what is held out stays below what the run should reach.

Besides mxtape it needs scikit-learn (for the scans) and matplotlib (for the picture).
"""

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
from common import (
    ProgressBar,
    accuracy_status,
    digest,
    load_digits,
    parse_arguments,
    require_resumable,
    train_epoch,
)
from pictures import draw

import mxtape as mx
from mxtape import gluon, nd

FULL_EPOCHS, FULL_ACCURACY = 10, 0.98
QUICK_EPOCHS, QUICK_ACCURACY = 3, 0.9

BATCH = 32
LEARNING_RATE, MOMENTUM, WEIGHT_DECAY = 0.05, 0.9, 1e-4
DTYPES = ("float32", "bfloat16", "float16")


def make_network(classes=10):
    """8 x 8 pixels -> 24 channels -> 4 x 4 with 48 channels -> their means -> scores."""
    zoo = gluon.model_zoo.vision
    return zoo.ResNetV1(zoo.BasicBlockV1, [1, 1], [24, 24, 48], classes=classes, thumbnail=True)


def moved(image):
    """The image of shape (1, 8, 8), moved by up to a pixel in both directions."""
    padded = np.pad(image, ((0, 0), (1, 1), (1, 1)))
    down, right = np.random.randint(0, 3, 2)  # noqa: NPY002 (the loader shuffles with it too)
    return padded[:, down : down + 8, right : right + 8]


def load_data():
    """What to learn from, as a loader of batches, and what is held out, as arrays."""
    train, test = ((x.reshape((-1, 1, 8, 8)), y) for x, y in load_digits())
    samples = gluon.data.ArrayDataset(*train).transform_first(moved)
    return gluon.data.DataLoader(samples, BATCH, shuffle=True, last_batch="discard"), test


class Training:
    """A network and what trains it, which checkpoints keep."""

    def __init__(self, epochs, steps, dtype):
        self.network, self.dtype, self.history = make_network(), dtype, []
        self.network.initialize(mx.init.Xavier(magnitude=2))
        self.network.cast(dtype)
        self.network.hybridize(static_alloc=True, static_shape=True)
        self.loss = gluon.loss.SoftmaxCrossEntropyLoss()
        schedule = mx.lr_scheduler.CosineScheduler(
            epochs * steps, base_lr=LEARNING_RATE, final_lr=0, warmup_steps=steps
        )
        options = {"learning_rate": LEARNING_RATE, "momentum": MOMENTUM, "wd": WEIGHT_DECAY}
        self.trainer = gluon.Trainer(
            self.network.collect_params(),
            "sgd",
            # Weights of 16 bits move in steps that they are too coarse for: SGD keeps finer ones.
            {**options, "lr_scheduler": schedule, "multi_precision": dtype != "float32"},
        )

    def scores(self, images):
        return self.network(images.astype(self.dtype)).astype("float32")

    def epoch(self, loader, test):
        train_loss = train_epoch(self.trainer, loader, lambda x, y: self.loss(self.scores(x), y))
        images, labels = (nd.array(a) for a in test)
        scores = self.scores(images)
        accuracy = float((scores.argmax(axis=1) == labels).mean().asscalar())
        test_loss = float(self.loss(scores, labels).mean().asscalar())
        self.history.append((train_loss, test_loss, accuracy))

    def save(self, prefix):
        path = f"{prefix}-{len(self.history):04}"
        self.network.save_parameters(path + ".params")
        self.trainer.save_states(path + ".states")
        Path(path + ".json").write_text(json.dumps(self.history), encoding="utf-8")

    def load(self, prefix, epoch):
        path = f"{prefix}-{epoch:04}"
        self.network.load_parameters(path + ".params")
        self.trainer.load_states(path + ".states")
        self.history = json.loads(Path(path + ".json").read_text(encoding="utf-8"))


def fit(arguments, loader, test):
    """Train, from the beginning or a checkpoint; save one after each epoch if there is a prefix."""
    training = Training(arguments.epochs, len(loader), arguments.dtype)
    if arguments.resume:
        training.load(arguments.prefix, arguments.resume)
    progress = ProgressBar(arguments.epochs)
    for epoch in range(arguments.resume, arguments.epochs):
        # From here on an epoch is the same, whether or not others were before it in this process.
        np.random.seed([arguments.seed, epoch])  # noqa: NPY002 (the loader shuffles with it)
        training.epoch(loader, test)
        if arguments.prefix:
            training.save(arguments.prefix)
        train_loss, _, accuracy = training.history[-1]
        progress.update(epoch + 1, f"loss {train_loss:.4f}, held out {100 * accuracy:.2f} %")
    return training


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dtype", choices=DTYPES, default="float32", help="of weights (float32)")
    parser.add_argument("--prefix", help="where to keep checkpoints (nowhere)")
    parser.add_argument("--resume", type=int, default=0, help="the epoch to go on after")
    parser.add_argument(
        "--output",
        type=Path,
        default=Path(__file__).parent / "output" / "gluon_digits.png",
        help="where the picture goes (examples/output/gluon_digits.png)",
    )
    enough = f", and {100 * QUICK_ACCURACY:.0f} %% are enough"
    arguments = parse_arguments(
        parser, "epochs", "passes over the data", FULL_EPOCHS, QUICK_EPOCHS, enough
    )
    require_resumable(parser, arguments)
    mx.random.seed(arguments.seed)
    loader, test = load_data()

    began = time.perf_counter()
    training = fit(arguments, loader, test)
    seconds = time.perf_counter() - began

    parameters = training.network.collect_params()
    accuracy = training.history[-1][-1]
    predictions = training.scores(nd.array(test[0])).argmax(axis=1).asnumpy()
    draw(arguments.output, training.history, FULL_ACCURACY, test[0], test[1], predictions)
    print(f"picture: {arguments.output}")
    print(f"held-out accuracy {100 * accuracy:.2f} % after {seconds:.1f} s of training")
    print(f"weights {digest(parameters)}")
    return accuracy_status(accuracy, QUICK_ACCURACY if arguments.quick else FULL_ACCURACY)


if __name__ == "__main__":
    sys.exit(main())
