"""Learn to write Python's documentation, character by character, with a recurrent network.

    python examples/char_lstm.py             # 600 steps, then a sample
    python examples/char_lstm.py --quick     # 120 steps, to see that everything works

The text comes with Python itself: what `help("for")` and its kin show, the topics of `pydoc`, each
paragraph once. A long short-term memory (`nd.RNN`) reads it in 32 places at once, 32 characters a
step, and says which character comes next; it keeps its state from one step to the next, but the
gradient stops at the step's beginning (truncated backpropagation through time).

Every tenth paragraph is held out. The loss is in bits per character, and stands beside those
of three tables of counts: single characters, pairs and triples. The program exits with status 1 if
the network does not do better than the table of triples (--quick: of pairs).

Weights come from NumPy, so that the program can be run with MXNet as well and compared
(docs/examples.md).
"""

import argparse
import math
import sys
import time

import numpy as np
from common import Adam, parse_arguments
from documentation import load_documentation, parallel_streams, table_loss

import mxtape as mx
from mxtape import autograd, nd

FULL_STEPS, QUICK_STEPS = 600, 120

STREAMS, LENGTH = 32, 32
EMBEDDING, HIDDEN, LAYERS = 32, 128, 1
LEARNING_RATE = 1e-2
LARGEST_NORM = 1.0  # of the whole gradient; a longer one is shortened
PROMPT = "The "


def load_text():
    """Return the text to learn from and the text held out, as arrays of numbers, and the characters
    that the numbers stand for."""
    texts = load_documentation()
    characters = np.unique(list("".join(texts)))
    learnt, held_out = (np.searchsorted(characters, list(text)) for text in texts)
    return learnt, held_out, characters


def streams(numbers):
    """Cut the text into parallel streams: (steps * LENGTH + 1, STREAMS), each going on below."""
    rows = parallel_streams(numbers, STREAMS, LENGTH)
    return nd.array(rows, dtype="float32"), len(rows) // LENGTH


class Network:
    """Characters -> 32 numbers each -> 128 cells -> the odds of each character to come next."""

    def __init__(self, size, random):
        self.size = size
        gates = 4 * HIDDEN
        inputs = [EMBEDDING] + [HIDDEN] * (LAYERS - 1)
        bound = 1 / math.sqrt(HIDDEN)
        # One vector for the operator: the layers' matrices, then their biases, two of each. The
        # gates are: input, forget, content, output. A cell starts by forgetting little.
        matrices = [random.uniform(-bound, bound, gates * (n + HIDDEN)) for n in inputs]
        forget = np.repeat([0.0, 1.0, 0.0, 0.0], HIDDEN)
        biases = [np.concatenate([forget, np.zeros(gates)]) for _ in inputs]
        self.parameters = nd.array(np.concatenate(matrices + biases), dtype="float32")
        self.embedding = nd.array(random.normal(0, 1, (size, EMBEDDING)), dtype="float32")
        self.weight = nd.array(random.uniform(-bound, bound, (size, HIDDEN)), dtype="float32")
        self.bias = nd.zeros((size,))
        self.weights = [self.parameters, self.embedding, self.weight, self.bias]
        for w in self.weights:
            w.attach_grad()

    def start(self, count):
        """Return hidden and cell states that have read nothing."""
        return [nd.zeros((LAYERS, count, HIDDEN)) for _ in range(2)]

    def __call__(self, characters, states):
        """Read (length, streams) characters. Return scores for each one's next, and the states."""
        x = nd.Embedding(characters, self.embedding, input_dim=self.size, output_dim=EMBEDDING)
        x, *states = nd.RNN(
            x,
            self.parameters,
            state=states[0],
            state_cell=states[1],
            mode="lstm",
            state_size=HIDDEN,
            num_layers=LAYERS,
            state_outputs=True,
        )
        scores = nd.FullyConnected(x, self.weight, self.bias, num_hidden=self.size, flatten=False)
        return scores.reshape((-1, self.size)), states


def gradient_norm(weights):
    return math.sqrt(sum(nd.square(w.grad).sum().asscalar() for w in weights))


def cross_entropy(scores, labels):
    """The mean of -log p(label), shape (1,)."""
    return nd.softmax_cross_entropy(scores, labels.reshape((-1,))) / labels.size


def train(network, numbers, steps, report):
    """Take `steps` steps through the text, from its beginning again at its end."""
    text, per_pass = streams(numbers)
    optimizer = Adam(network.weights, LEARNING_RATE)
    for step in range(steps):
        if step % per_pass == 0:
            states = network.start(STREAMS)
        first = step % per_pass * LENGTH
        states = [state.detach() for state in states]  # the gradient goes back no further
        with autograd.record():
            scores, states = network(text[first : first + LENGTH], states)
            loss = cross_entropy(scores, text[first + 1 : first + 1 + LENGTH])
        loss.backward()
        norm = gradient_norm(network.weights)
        optimizer.step(1 - step / steps, rescale_grad=min(1.0, LARGEST_NORM / norm))
        report(step + 1, loss.asscalar() / math.log(2), norm)


def evaluate(network, numbers):
    """Return bits per character on text that was not learnt from."""
    text, steps = streams(numbers)
    states = network.start(STREAMS)
    total = 0.0
    for first in range(0, steps * LENGTH, LENGTH):
        scores, states = network(text[first : first + LENGTH], states)
        total += cross_entropy(scores, text[first + 1 : first + 1 + LENGTH]).asscalar()
    return total / steps / math.log(2)


def write(network, characters, prompt, count):
    """Let the network go on from the prompt: draw a character, read it, and so on."""
    text = prompt
    states = network.start(1)
    reading = np.searchsorted(characters, list(prompt))
    for _ in range(count):
        scores, states = network(nd.array(reading.reshape((-1, 1))), states)
        drawn = nd.sample_multinomial(nd.softmax(scores[-1:]))
        reading = drawn.asnumpy()
        text += characters[reading[0]]
    return text


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sample", type=int, default=400, help="characters to write (400)")
    arguments = parse_arguments(parser, "steps", "of learning", FULL_STEPS, QUICK_STEPS)

    mx.random.seed(arguments.seed)
    learnt, test, characters = load_text()
    size = len(characters)
    network = Network(size, np.random.RandomState(arguments.seed))
    print(
        f"{len(learnt)} characters to learn from, {len(test)} held out, {size} different, "
        f"{sum(w.size for w in network.weights)} weights"
    )
    singles, pairs, triples = (table_loss(learnt, test, order, size) for order in range(3))
    print(f"tables: singles {singles:.3f}, pairs {pairs:.3f}, triples {triples:.3f} bits")

    every = max(1, arguments.steps // 10)

    def report(step, bits, norm):
        if step == 1 or step % every == 0:
            print(
                f"step {step:4}/{arguments.steps}  {bits:.4f} bits, gradient {norm:.4f}", flush=True
            )

    began = time.perf_counter()
    train(network, learnt, arguments.steps, report)
    seconds = time.perf_counter() - began
    bits = evaluate(network, test)
    if arguments.sample:
        print("-" * 72)
        print(write(network, characters, PROMPT, arguments.sample))
        print("-" * 72)
    print(f"held out: {bits:.4f} bits per character after {seconds:.1f} s of training")
    required = pairs if arguments.quick else triples
    if not bits < required:
        print(f"that is not less than the {required:.3f} that this run should reach")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
