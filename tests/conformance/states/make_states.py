"""Writes the files of this folder, states of optimizers after three steps.

python make_states.py mxnet     under MXNet 1.9.1
python make_states.py mxtape
"""

import importlib
import os
import sys

FOLDER = os.path.dirname(os.path.abspath(__file__))


def optimizers(mx):
    """By the file's name: the optimizer, the dtype of the weights, whether it is written too."""
    o = mx.optimizer
    schedule = mx.lr_scheduler.FactorScheduler(2, 0.5, base_lr=0.25)
    names = {0: "fc_weight", 1: "fc_bias"}
    return {
        "sgd": (o.SGD(momentum=0.5, learning_rate=0.25), "float32", False),
        "adam": (
            o.Adam(learning_rate=0.25, lr_scheduler=schedule, wd=0.125, param_idx2name=names),
            "float32",
            True,
        ),
        "nag": (o.NAG(momentum=0.5, learning_rate=0.25, multi_precision=True), "float16", True),
        "lbsgd": (o.LBSGD(learning_rate=0.25, batch_scale=2, wd=0.125), "float32", True),
        "rmsprop": (o.RMSProp(learning_rate=0.25, centered=True), "float32", True),
    }


def steps(mx, updater, dtype, numbers):
    """Weights that begin at known values, after the steps with these numbers."""
    weights = [mx.nd.array([1, 2, -1], dtype=dtype), mx.nd.array([[0.5]], dtype=dtype)]
    for number in numbers:
        for key, weight in enumerate(weights):
            updater(key, mx.nd.ones(weight.shape, dtype=dtype) * (0.25 * number - 0.5), weight)
    return weights


def sparse_optimizers(mx):
    """As :func:`optimizers`, with the storage types of the weights in the place of a dtype."""
    o, kinds = mx.optimizer, ("row_sparse", "default")
    return {
        "sparse_sgd": (o.SGD(momentum=0.5, learning_rate=0.25), kinds, False),
        "sparse_adam": (o.Adam(learning_rate=0.25, wd=0.125), kinds, True),
        "sparse_adagrad": (o.AdaGrad(learning_rate=0.25), kinds, True),
        "sparse_ftrl": (o.Ftrl(learning_rate=0.25), kinds, False),
    }


def sparse_steps(mx, updater, kinds, numbers):
    """Weights of these storage types after steps with row_sparse gradients."""
    weights = [mx.nd.arange(1, 9).reshape((4, 2)).tostype(kind) for kind in kinds]
    for number in numbers:
        rows = [number % 4, 3] if number % 4 < 3 else [3]
        values = [[0.25 * number - 0.375, 0.5]] * len(rows)
        grad = mx.nd.sparse.row_sparse_array((values, rows), shape=(4, 2))
        for key, weight in enumerate(weights):
            updater(key, grad, weight)
    return weights


if __name__ == "__main__":
    package = sys.argv[1]
    module = importlib.import_module(package)
    for table, make in ((optimizers, steps), (sparse_optimizers, sparse_steps)):
        for name, (optimizer, kind, whole) in table(module).items():
            updater = module.optimizer.get_updater(optimizer)
            make(module, updater, kind, range(3 if make is steps else 2))
            with open(os.path.join(FOLDER, f"{package}_{name}.states"), "wb") as file:
                file.write(updater.get_states(dump_optimizer=whole))
