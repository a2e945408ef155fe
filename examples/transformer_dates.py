"""A transformer that learns to read dates as people write them, and writes them as ISO 8601 does.

    python examples/transformer_dates.py             # 800 steps, then some answers
    python examples/transformer_dates.py --quick     # 250 steps, to see that everything works

'Thu, 9 March 2006', '3/9/06' and 'Mar 9th, 2006' become '2006-03-09'. The encoder reads the
characters; the decoder writes, and each of its characters sees those before it and all that was
read. Both are Gluon blocks of attention, layer normalization and two dense layers, hybridized. The
dates of every tenth day are held out.

The program exits with status 1 if fewer of the dates held out are right, to the last character,
than the run should reach.

Random numbers come from NumPy, so that the program can be run with MXNet as well and compared
(docs/examples.md).
"""

import argparse
import datetime
import math
import sys
import time

import numpy as np
from common import accuracy_status, parse_arguments, take_step

import mxtape as mx
from mxtape import gluon, nd
from mxtape.gluon import nn

FULL_STEPS, FULL_ACCURACY = 800, 0.9
QUICK_STEPS, QUICK_ACCURACY = 250, 0.4

BATCH, WIDTH, HEADS, LAYERS = 32, 32, 2, 1
LEARNING_RATE, WARMUP = 5e-3, 50
STYLES = ("{a}, {d} {B} {Y}", "{d} {b} {Y}", "{b} {d}{th}, {Y}", "{m}/{d}/{y}", "{B} {d}, {Y}")
CHARACTERS = "\n ,-/0123456789" + "".join(chr(ord("a") + i) for i in range(26))
READ, WRITTEN = 30, 10  # the longest date read; the length of those written
FIRST_DAY, LAST_DAY = datetime.date(1970, 1, 1), datetime.date(2029, 12, 31)


def day_text(day, style):
    """A date as people write it, in lower case."""
    ending = "th" if 10 < day.day < 14 else {1: "st", 2: "nd", 3: "rd"}.get(day.day % 10, "th")
    parts = {c: day.strftime(f"%{c}") for c in "aBbYy"}
    return style.format(**parts, d=day.day, m=day.month, th=ending).lower()


def numbers(texts, length):
    """Texts as numbers of shape (n, length), filled up with zeros."""
    table = np.zeros(128, int)
    table[list(CHARACTERS.encode())] = range(len(CHARACTERS))
    whole = "".join(text.ljust(length, CHARACTERS[0]) for text in texts).encode()
    return table[np.frombuffer(whole, "uint8")].reshape((-1, length))


def load_dates():
    """(read, written) to learn from, one style for each day, and those held out, in all styles."""
    days = [FIRST_DAY + datetime.timedelta(i) for i in range((LAST_DAY - FIRST_DAY).days + 1)]
    parts = [day for i, day in enumerate(days) if i % 10], days[::10]
    pairs = [
        [(day_text(day, style), day.isoformat()) for day in part for style in STYLES]
        for part in parts
    ]
    return [
        (numbers([a for a, _ in part], READ), numbers([b for _, b in part], WRITTEN))
        for part in pairs
    ]


class Attention(gluon.HybridBlock):
    """Each query takes a mean of the values, weighted by how well their keys fit it."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.queries, self.keys, self.values, self.joined = (
                nn.Dense(WIDTH, flatten=False, in_units=WIDTH) for _ in range(4)
            )

    def hybrid_forward(self, F, x, memory, mask):
        def heads(numbers):  # (batch, length, width) -> (batch * heads, length, width / heads)
            numbers = F.transpose(F.reshape(numbers, shape=(0, 0, HEADS, -1)), axes=(0, 2, 1, 3))
            return F.reshape(numbers, shape=(-1, 0, 0), reverse=True)

        scores = F.batch_dot(
            heads(self.queries(x)) / math.sqrt(WIDTH // HEADS),
            heads(self.keys(memory)),
            transpose_b=True,
        )
        # The mask is 1 where a query may look, (batch, 1 or length, keys).
        blocked = F.repeat(1 - mask, repeats=HEADS, axis=0) * -1e9
        weights = F.softmax(F.broadcast_add(scores, blocked), axis=-1)
        found = F.batch_dot(weights, heads(self.values(memory)))
        found = F.reshape(found, shape=(-1, HEADS, 0, 0), reverse=True)
        return self.joined(F.reshape(F.transpose(found, axes=(0, 2, 1, 3)), shape=(0, 0, -1)))


class Layer(gluon.HybridBlock):
    """Attention to itself, to what was read where there is something, and two dense layers."""

    def __init__(self, reads, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.norms = nn.HybridSequential()
            self.norms.add(*(nn.LayerNorm(in_channels=WIDTH) for _ in range(3 if reads else 2)))
            self.itself = Attention()
            if reads:
                self.reading = Attention()
            self.dense = nn.HybridSequential()
            self.dense.add(
                nn.Dense(4 * WIDTH, activation="relu", flatten=False, in_units=WIDTH),
                nn.Dense(WIDTH, flatten=False, in_units=4 * WIDTH),
            )

    def hybrid_forward(self, F, x, mask, memory=None, memory_mask=None):
        normal = self.norms[0](x)
        x = x + self.itself(normal, normal, mask)
        if memory is not None:
            x = x + self.reading(self.norms[1](x), memory, memory_mask)
        return x + self.dense(self.norms[-1](x))


class Embedding(gluon.HybridBlock):
    """Characters as numbers, to which those of their places are added."""

    def __init__(self, length, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.characters = nn.Embedding(len(CHARACTERS), WIDTH)
            self.places = self.params.get("places", shape=(1, length, WIDTH))

    def hybrid_forward(self, F, x, places):
        x = self.characters(x)
        return F.broadcast_add(x, F.slice_like(places, x, axes=(1,)))


class Transformer(gluon.HybridBlock):
    """What was read and what is written so far -> scores of the characters that come next."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.embeddings = nn.HybridSequential()
            self.embeddings.add(Embedding(READ), Embedding(WRITTEN))
            self.encoder, self.decoder = nn.HybridSequential(), nn.HybridSequential()
            self.encoder.add(*(Layer(reads=False) for _ in range(LAYERS)))
            self.decoder.add(*(Layer(reads=True) for _ in range(LAYERS)))
            self.norms = nn.HybridSequential()
            self.norms.add(nn.LayerNorm(in_channels=WIDTH), nn.LayerNorm(in_channels=WIDTH))
            self.scores = nn.Dense(len(CHARACTERS), flatten=False, in_units=WIDTH)

    def hybrid_forward(self, F, read, written):
        there = F.expand_dims(read > 0, axis=1)  # what only fills up is not looked at
        memory = self.embeddings[0](read)
        for i in range(LAYERS):
            memory = self.encoder[i](memory, there)
        memory = self.norms[0](memory)
        places = F.contrib.arange_like(written, axis=1)
        before = F.broadcast_lesser_equal(F.expand_dims(places, 0), F.expand_dims(places, 1))
        before = F.broadcast_like(F.expand_dims(before, 0), written, lhs_axes=(0,), rhs_axes=(0,))
        x = self.embeddings[1](written)
        for i in range(LAYERS):
            x = self.decoder[i](x, before, memory, there)
        return self.scores(self.norms[1](x))


def shifted(written):
    """What the decoder sees as it writes each character: those before it."""
    return np.pad(written, ((0, 0), (1, 0)))[:, :-1]


def write(network, read):
    """The dates that the network writes, a character at a time, each the one of the best score."""
    read, written = nd.array(read), np.zeros((len(read), 0))
    for length in range(1, WRITTEN + 1):
        seen = nd.array(np.pad(written, ((0, 0), (1, 0))))
        best = network(read, seen)[:, length - 1].argmax(axis=1).asnumpy()
        written = np.concatenate([written, best[:, None]], axis=1)
    return written.astype(int)


def train(network, data, steps, random):
    """Take steps, with a rate that rises, then falls."""
    loss = gluon.loss.SoftmaxCrossEntropyLoss()
    trainer = gluon.Trainer(network.collect_params(), "adam", {"beta2": 0.98})
    for step in range(steps):
        rise, fall = (step + 1) / WARMUP, 1 - step / steps
        trainer.set_learning_rate(LEARNING_RATE * min(rise, fall))
        chosen = random.choice(len(data[0]), BATCH, replace=False)
        read, written = data[0][chosen], data[1][chosen]
        batch = (nd.array(a) for a in (read, shifted(written), written))
        losses = take_step(trainer, lambda x, before, y: loss(network(x, before), y), *batch)
        if step % max(1, steps // 10) == 0 or step + 1 == steps:
            print(f"step {step + 1:4}/{steps}  loss {losses.mean().asscalar():.5f}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments = parse_arguments(parser, "steps", "of learning", FULL_STEPS, QUICK_STEPS)
    mx.random.seed(arguments.seed)
    random = np.random.RandomState(arguments.seed)
    train_data, test = load_dates()
    print(f"{len(train_data[0])} dates to learn from, {len(test[0])} held out")

    network = Transformer()
    network.initialize(mx.init.Xavier())
    network.hybridize()
    began = time.perf_counter()
    train(network, train_data, arguments.steps, random)
    seconds = time.perf_counter() - began

    chosen = random.permutation(len(test[0]))[:1000]
    read, right = test[0][chosen], test[1][chosen]
    written = write(network, read)
    for line in range(6):
        question, answer = (
            "".join(CHARACTERS[i] for i in row[line]).strip() for row in (read, written)
        )
        print(f"  {question:>{READ}} -> {answer}")
    accuracy = float((written == right).all(axis=1).mean())
    print(f"held-out accuracy {100 * accuracy:.1f} % after {seconds:.1f} s of training")
    return accuracy_status(accuracy, QUICK_ACCURACY if arguments.quick else FULL_ACCURACY)


if __name__ == "__main__":
    sys.exit(main())
