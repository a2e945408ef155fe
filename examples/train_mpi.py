"""Train a network on handwritten digits in several processes, on one machine or on many.

    mpirun -n 2 python examples/train_mpi.py             # 8 epochs, two processes
    mpirun -n 2 python examples/train_mpi.py --quick     # 2 epochs, to see that everything works
    python examples/train_mpi.py                         # the same training in one process

Every process has the whole network. Of each batch of 64 it computes its share, and the store adds
up the gradients of all: after each step the weights have the same bits everywhere, and but for
rounding they are those of one process. Each process prints a digest of its weights. The program
exits with status 1 if the accuracy on what is held out stays below what the run should reach.

It needs mpi4py and an MPI library (pip install mpi4py mpich), and scikit-learn for the scans. Give
each process its share of the cores: OMP_NUM_THREADS=1 for as many processes as there are cores.
"""

import argparse
import hashlib
import sys
import time

import numpy as np
from common import load_digits, parse_arguments

import mxtape as mx
from mxtape import autograd, gluon, nd

FULL_EPOCHS, FULL_ACCURACY = 8, 0.97
QUICK_EPOCHS, QUICK_ACCURACY = 2, 0.85

BATCH = 64  # of all processes together
LEARNING_RATE, MOMENTUM, WEIGHT_DECAY = 0.1, 0.9, 1e-4


def make_network(classes=10):
    """8 x 8 pixels -> 16 channels -> 4 x 4 -> 64 numbers -> scores."""
    net = gluon.nn.HybridSequential()
    net.add(
        gluon.nn.Conv2D(16, 3, padding=1, activation="relu"),
        gluon.nn.MaxPool2D(),
        gluon.nn.Dense(64, activation="relu"),
        gluon.nn.Dense(classes),
    )
    return net


def shares(count, epoch, seed, rank, size):
    """The rows of this process in each batch of an epoch; together they are the whole batch."""
    order = np.random.RandomState([seed, epoch]).permutation(count)
    for start in range(0, count - BATCH + 1, BATCH):
        yield order[start + rank : start + BATCH : size]


def train_epoch(net, trainer, images, labels, rows_of_batches):
    """One epoch of this process: the mean loss of its samples."""
    loss_of, total, count = gluon.loss.SoftmaxCrossEntropyLoss(), 0.0, 0
    for rows in rows_of_batches:
        x, y = nd.array(images[rows]), nd.array(labels[rows])
        with autograd.record():
            loss = loss_of(net(x), y)
        loss.backward()
        # Gradients are summed over the samples of all processes.
        trainer.step(BATCH)
        total, count = total + float(loss.sum().asscalar()), count + len(rows)
    return total / count


def digest(net):
    """A digest of all weights."""
    found = hashlib.sha256()
    for _, param in sorted(net.collect_params().items()):
        found.update(param.data().asnumpy().tobytes())
    return found.hexdigest()[:16]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    enough = f", and {100 * QUICK_ACCURACY:.0f} %% are enough"
    arguments = parse_arguments(
        parser, "epochs", "passes over the data", FULL_EPOCHS, QUICK_EPOCHS, enough
    )
    store = mx.kv.create("dist_sync")
    rank, size = store.rank, store.num_workers
    if BATCH % size:
        parser.error(f"{BATCH} samples are not shared out over {size} processes")

    (images, labels), (held_out, answers) = load_digits()
    images, held_out = (x.reshape((-1, 1, 8, 8)) for x in (images, held_out))
    mx.random.seed(arguments.seed)  # all processes begin with the same weights
    net = make_network()
    net.initialize(mx.init.Xavier())
    net.hybridize()
    trainer = gluon.Trainer(
        net.collect_params(),
        "sgd",
        {"learning_rate": LEARNING_RATE, "momentum": MOMENTUM, "wd": WEIGHT_DECAY},
        kvstore=store,
    )
    began = time.perf_counter()
    for epoch in range(arguments.epochs):
        rows = shares(len(images), epoch, arguments.seed, rank, size)
        loss = train_epoch(net, trainer, images, labels, rows)
        if rank == 0:
            print(f"epoch {epoch + 1}: loss {loss:.4f} in process 0", flush=True)
    seconds = time.perf_counter() - began

    accuracy = float((net(nd.array(held_out)).asnumpy().argmax(axis=1) == answers).mean())
    # In one piece: the processes write to the same terminal.
    print(f"rank {rank} of {size}: weights {digest(net)}\n", end="", flush=True)
    wanted = QUICK_ACCURACY if arguments.quick else FULL_ACCURACY
    if rank == 0:
        print(f"held-out accuracy {100 * accuracy:.1f} % after {seconds:.1f} s")
        if accuracy < wanted:
            print(f"That is less than {100 * wanted:.0f} %.")
    return int(accuracy < wanted)


if __name__ == "__main__":
    sys.exit(main())
