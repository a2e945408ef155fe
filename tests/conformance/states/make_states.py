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


if __name__ == "__main__":
    package = sys.argv[1]
    module = importlib.import_module(package)
    for name, (optimizer, dtype, whole) in optimizers(module).items():
        updater = module.optimizer.get_updater(optimizer)
        steps(module, updater, dtype, range(3))
        with open(os.path.join(FOLDER, f"{package}_{name}.states"), "wb") as file:
            file.write(updater.get_states(dump_optimizer=whole))
