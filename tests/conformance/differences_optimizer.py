"""Where the optimizers and schedules differ from MXNet 1.9.1 on purpose."""

import numpy as np
from difference import _list, array
from harness import data


def _lars(count=6, steps=4, momentum=0.5, eta=0.1, lr=0.5):
    """Weights after steps of LARS whose rate halves each time, with all momenta corrected."""
    weights = [data((3,), seed=i).astype("float64") for i in range(count)]
    momenta = [np.zeros(3) for _ in weights]
    for step in range(steps):
        correction = 0.5 if step else 1.0
        for i, weight in enumerate(weights):
            grad = data((3,), seed=20 + 2 * step + i).astype("float64")
            rate = lr * eta * np.linalg.norm(weight) / np.linalg.norm(grad)
            momenta[i] = momenta[i] * momentum * correction - rate * grad
            weights[i] = weight + momenta[i]
        lr /= 2
    return [[array(weight) for weight in weights]]


_list(
    "MXNet corrects the momentum of the first 4 parameters, those of the first operator call",
    _lars(),
    "optimizer_classes::lars_corrects_the_momentum_of_all_parameters",
)
