"""Train a factorization machine on hashed, crossed features, with sparse arrays and lazy Adam.

    python examples/factorization_machine.py           # 9 epochs
    python examples/factorization_machine.py --quick   # 2 epochs, to see that everything works
    python examples/factorization_machine.py --rank 0  # a linear model: what the factors are for

The question is whether a scanned digit is odd. The data are the 1,797 scans of 8 x 8 pixels that
come with scikit-learn; a fifth of them is held out. The machine sees categories: each pixel with
its brightness, and pairs and squares of neighbours with the brightness of each ("crossed"). A hash
of a category chooses one of 32,768 columns. So a scan is a row of 323 ones, in csr storage.

A factorization machine (S. Rendle, 2010) has a weight w for each column and a vector v of `rank`
numbers. The score of a row x is b + sum_i w_i x_i + sum_{i<j} <v_i, v_j> x_i x_j. The last sum is
half of |sum_i x_i v_i|^2 - sum_i x_i^2 |v_i|^2, which takes as long as there are ones in the row.

The weights are row_sparse. So are their gradients, which have a row for each column that is in the
batch. A KVStore holds the weights and runs Adam; with `lazy_update` it moves those rows only.
`Module.prepare` fetches the rows that the next batch needs. The program exits with status 1 if the
accuracy on what is held out stays below what the run should reach.
"""

import argparse
import sys

import numpy as np
from common import accuracy_status, load_digits, parse_arguments
from scipy.sparse import csr_matrix

import mxtape as mx

FULL_EPOCHS, FULL_ACCURACY = 9, 0.95
QUICK_EPOCHS, QUICK_ACCURACY = 2, 0.93

COLUMNS = 1 << 15
LEVELS = 4  # of a pixel's brightness
RANK = 16
BATCH = 64
LEARNING_RATE, WEIGHT_DECAY = 0.003, 0.01


def crossed(*levels):
    """One number for the brightness of several pixels, for all images at once."""
    number = levels[0]
    for each in levels[1:]:
        number = number * LEVELS + each
    return number.reshape((len(number), -1))


def categories(images):
    """What is seen of images of shape (n, 64), in 0..1: numbers, of shape (n, 323)."""
    seen = np.minimum((images * LEVELS).astype("int64"), LEVELS - 1).reshape((-1, 8, 8))
    above, below = seen[:, :-1], seen[:, 1:]
    corners = above[:, :, :-1], above[:, :, 1:], below[:, :, :-1], below[:, :, 1:]
    fields = [
        crossed(seen),
        crossed(seen[:, :, :-1], seen[:, :, 1:]),
        crossed(above, below),
        crossed(corners[0], corners[3]),
        crossed(corners[1], corners[2]),
        crossed(*corners),
    ]
    numbers = np.concatenate(fields, axis=1)
    return np.arange(numbers.shape[1]) * LEVELS**4 + numbers


def hashed(numbers):
    """A column for each number: the middle bits of its product with 2^64 / golden ratio."""
    product = numbers.astype("uint64") * np.uint64(0x9E3779B97F4A7C15)
    return (product >> np.uint64(40)).astype("int64") % COLUMNS


def table(images):
    """Images as the rows of a SciPy csr matrix. Columns that two categories share are added up."""
    columns = hashed(categories(images))
    rows = np.repeat(np.arange(len(columns)), columns.shape[1])
    ones = np.ones(columns.size, "float32")
    return csr_matrix((ones, (rows, columns.ravel())), (len(columns), COLUMNS))


def load_rows():
    """Return (rows, answers) to learn from and (rows, answers) held out; 1 stands for odd."""
    return [(table(images), labels % 2) for images, labels in load_digits()]


def machine(rank):
    """The factorization machine as a symbol, with the logistic loss. Rank 0 is a linear model."""
    sparse = mx.sym.sparse
    x = mx.sym.var("data", stype="csr")
    linear = mx.sym.var("linear_weight", stype="row_sparse", shape=(COLUMNS, 1))
    score = sparse.dot(x, linear)
    if rank:
        factors = mx.sym.var("factors_weight", stype="row_sparse", shape=(COLUMNS, rank))
        sums = mx.sym.square(sparse.dot(x, factors))
        lengths = mx.sym._internal._square_sum(factors, axis=1, keepdims=True)
        pairs = mx.sym.sum(sums, axis=1, keepdims=True) - sparse.dot(sparse.square(x), lengths)
        score = score + 0.5 * pairs
    score = mx.sym.broadcast_add(score, mx.sym.var("bias", shape=(1,)))
    return mx.sym.LogisticRegressionOutput(score, mx.sym.var("label"), name="odd")


def first_parameters(rank, rng):
    """Small random weights. All rows are there: Adam moves no others."""
    first = {"bias": mx.nd.zeros((1,))}
    for name, width in (("linear_weight", 1), ("factors_weight", rank)):
        if width:
            values = rng.normal(0, 0.01, (COLUMNS, width)).astype("float32")
            rows = (values, np.arange(COLUMNS))
            first[name] = mx.nd.sparse.row_sparse_array(rows, shape=(COLUMNS, width))
    return first


def bound_module(rank, rng):
    """A module for batches, whose parameters a store holds and moves."""
    module = mx.mod.Module(machine(rank), ["data"], ["label"])
    module.bind([("data", (BATCH, COLUMNS))], [("label", (BATCH, 1))])
    module.init_params(arg_params=first_parameters(rank, rng))
    options = {"learning_rate": LEARNING_RATE, "wd": WEIGHT_DECAY, "lazy_update": True}
    module.init_optimizer(mx.kv.create("local"), "adam", {**options, "rescale_grad": 1 / BATCH})
    return module


def load_batch(module, rows, answers):
    """Make a batch, and fetch the rows of the weights that it needs."""
    data = mx.nd.sparse.csr_matrix(rows)
    batch = mx.io.DataBatch([data], [mx.nd.array(answers.reshape((-1, 1)))])
    columns = mx.nd.array(np.unique(rows.indices), dtype="int64")
    names = [name for name in module.symbol.list_arguments() if name.endswith("_weight")]
    module.prepare(batch, sparse_row_id_fn=lambda _: dict.fromkeys(names, columns))
    return batch


def log_loss(chances, answers):
    """The mean of what the answers cost, in nats."""
    p = np.where(answers == 1, chances, 1 - chances)
    return float(-np.log(np.maximum(p, 1e-12)).mean())


def chances_of(module):
    return module.get_outputs()[0].asnumpy().ravel()


def train_epoch(module, rows, answers, order):
    """Take a step for each whole batch, in an order. Return the mean loss."""
    losses = []
    for part in order[: len(order) // BATCH * BATCH].reshape((-1, BATCH)):
        module.forward_backward(load_batch(module, rows[part], answers[part]))
        module.update()
        losses.append(log_loss(chances_of(module), answers[part]))
    return np.mean(losses)


def predict(module, rows):
    """The chances that rows are odd. The last batch is filled up with the first rows."""
    count, chances = rows.shape[0], []
    for start in range(0, count, BATCH):
        part = np.arange(start, start + BATCH) % count
        batch = load_batch(module, rows[part], np.zeros(BATCH, "float32"))
        module.forward(batch, is_train=False)
        chances.append(chances_of(module))
    return np.concatenate(chances)[:count]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--rank", type=int, default=RANK, help=f"numbers in the vector of a column ({RANK})"
    )
    enough = f", and {100 * QUICK_ACCURACY:.0f} %% are enough"
    arguments = parse_arguments(
        parser, "epochs", "passes over the data", FULL_EPOCHS, QUICK_EPOCHS, enough
    )
    if arguments.rank < 0:
        parser.error(f"--rank must be at least 0, not {arguments.rank}")
    (rows, answers), (held_out, truth) = load_rows()
    used = len(np.unique(rows.indices))
    print(f"{rows.shape[0]} rows of {COLUMNS} columns, of which {used} are used")
    rng = np.random.RandomState(arguments.seed)
    module = bound_module(arguments.rank, rng)
    for epoch in range(1, arguments.epochs + 1):
        loss = train_epoch(module, rows, answers, rng.permutation(rows.shape[0]))
        chances = predict(module, held_out)
        accuracy = float(((chances > 0.5) == truth).mean())
        print(
            f"epoch {epoch:2}/{arguments.epochs}  loss {loss:.6f}  "
            f"held out: loss {log_loss(chances, truth):.6f}, accuracy {100 * accuracy:.2f} %"
        )
    return accuracy_status(accuracy, QUICK_ACCURACY if arguments.quick else FULL_ACCURACY)


if __name__ == "__main__":
    sys.exit(main())
