"""Learn to write Python's documentation, word by word, with Gluon's LSTM.

    python examples/word_lstm.py             # 8 passes over the text, then a sample
    python examples/word_lstm.py --quick     # 1 pass, to see that everything works

The text comes with Python itself: the topics of `pydoc`, each paragraph once, every tenth held out.
Words that come up less than three times are one word, '<unk>'. Two layers of 128 cells read the
text in 20 places at once, 35 words a step, and say which word comes next. The states are kept from
one step to the next, but the gradient stops at the step's beginning; a gradient that is too long is
shortened. The matrix that turns words into numbers is the one that turns numbers into scores.

The loss is in bits per word, beside those of tables that count words and pairs of words. The
program exits with status 1 if the network does not do better than the table of pairs (--quick: of
words).
"""

import argparse
import math
import re
import sys
import time
from collections import Counter

import numpy as np
from common import parse_arguments, take_step
from documentation import load_documentation, parallel_streams, table_loss

import mxtape as mx
from mxtape import gluon, nd
from mxtape.gluon import nn, rnn

FULL_PASSES, QUICK_PASSES = 8, 1

STREAMS, LENGTH = 20, 35
WIDTH, LAYERS = 128, 2
DROPOUT = 0.2
LEARNING_RATE = 4e-3
LARGEST_NORM = 0.25  # of the whole gradient, for each word


def load_words():
    """The numbers of the words to learn from and of those held out, and the vocabulary."""
    texts = [re.findall(r"\w+|[^\w\s]|\n\n", text) for text in load_documentation()]
    vocabulary = mx.contrib.text.vocab.Vocabulary(Counter(texts[0]), min_freq=3)
    return *(np.array(vocabulary.to_indices(words)) for words in texts), vocabulary


class Network(gluon.HybridBlock):
    """Words -> 128 numbers each -> two layers of 128 cells -> scores of the words to come next."""

    def __init__(self, size, dropout, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.words = nn.Embedding(size, WIDTH, weight_initializer=mx.init.Uniform(0.1))
            self.dropout = nn.Dropout(dropout)
            self.cells = rnn.LSTM(WIDTH, LAYERS, dropout=dropout, input_size=WIDTH)
            self.scores = nn.Dense(size, flatten=False, in_units=WIDTH, params=self.words.params)

    def hybrid_forward(self, F, words, states):
        numbers, states = self.cells(self.dropout(self.words(words)), states)
        return self.scores(self.dropout(numbers)), states

    def start(self, count):
        """States that have read nothing."""
        return self.cells.begin_state(count)


def steps_of(numbers):
    """The words of each step and those that follow, both of shape (length, streams)."""
    text = nd.array(parallel_streams(numbers, STREAMS, LENGTH))
    for first in range(0, len(text) - 1, LENGTH):
        yield text[first : first + LENGTH], text[first + 1 : first + 1 + LENGTH]


class Reader:
    """A network that goes through a text, with its states and its loss for each word."""

    def __init__(self, network):
        self.network, self.states = network, network.start(STREAMS)
        self.loss = gluon.loss.SoftmaxCrossEntropyLoss(batch_axis=1)

    def __call__(self, words, following):
        self.states = [state.detach() for state in self.states]
        scores, self.states = self.network(words, self.states)
        return self.loss(scores, following)


def train_pass(network, trainer, numbers):
    """Go once through the text. Return the mean loss in bits."""
    reader, losses = Reader(network), []
    parameters = [p for p in network.collect_params().values() if p.grad_req != "null"]

    def shorten():
        gradients = [p.grad() for p in parameters]
        gluon.utils.clip_global_norm(gradients, LARGEST_NORM * STREAMS, check_isfinite=False)

    for step in steps_of(numbers):
        losses.append(take_step(trainer, reader, *step, before=shorten).mean())
    return nd.concat(*losses, dim=0).mean().asscalar() / math.log(2)


def evaluate(network, numbers):
    """Bits per word on text that was not learnt from."""
    reader = Reader(network)
    losses = [reader(*step).mean().asscalar() for step in steps_of(numbers)]
    return sum(losses) / len(losses) / math.log(2)


def write(network, vocabulary, prompt, count):
    """Let the network go on from the prompt: draw a word, read it, and so on."""
    states, reading = network.start(1), vocabulary.to_indices(prompt)
    numbers = list(reading)
    for _ in range(count):
        scores, states = network(nd.array(reading).reshape((-1, 1)), states)
        reading = nd.sample_multinomial(nd.softmax(scores[-1])).asnumpy().tolist()
        numbers += reading
    return " ".join(vocabulary.to_tokens(numbers)).replace(" \n\n ", "\n\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sample", type=int, default=80, help="words to write (80)")
    parser.add_argument("--dropout", type=float, default=DROPOUT, help=f"({DROPOUT})")
    arguments = parse_arguments(parser, "passes", "over the text", FULL_PASSES, QUICK_PASSES)
    mx.random.seed(arguments.seed)
    learnt, test, vocabulary = load_words()
    size = len(vocabulary)
    print(f"{len(learnt)} words to learn from, {len(test)} held out, {size} different")
    singles, pairs = (table_loss(learnt, test, order, size) for order in range(2))
    print(f"tables: words {singles:.3f}, pairs {pairs:.3f} bits")

    network = Network(size, arguments.dropout)
    network.initialize(mx.init.Xavier())
    network.hybridize()
    trainer = gluon.Trainer(network.collect_params(), "adam", {"learning_rate": LEARNING_RATE})
    began = time.perf_counter()
    for done in range(arguments.passes):
        trainer.set_learning_rate(LEARNING_RATE * (1 - done / arguments.passes))
        bits = train_pass(network, trainer, learnt)
        print(
            f"pass {done + 1}/{arguments.passes}  {bits:.4f} bits, "
            f"held out {evaluate(network, test):.4f}",
            flush=True,
        )
    seconds = time.perf_counter() - began
    if arguments.sample:
        print("-" * 72)
        print(write(network, vocabulary, ["The"], arguments.sample))
        print("-" * 72)
    bits = evaluate(network, test)
    print(f"held out: {bits:.4f} bits per word after {seconds:.1f} s of training")
    required = singles if arguments.quick else pairs
    if not bits < required:
        print(f"that is not less than the {required:.3f} that this run should reach")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
