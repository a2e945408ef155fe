"""Layers whose gradient is that of a loss, whatever flows into them."""

import numpy as np

from gradient_row import Row

LABELS = np.array([[0.3, -0.9, 1.4, 0.1], [1.1, 0.2, -0.4, 0.6], [0.0, 1.0, 0.5, -1.5]])
CLASSES = np.array([1.0, -1.0, 3.0])


def linear(mx, data, label):
    return 0.5 * (data - label) ** 2 / 4


def absolute(mx, data, label):
    return (data - label.reshape(data.shape)).abs() / 4


def logistic(mx, data, label):
    return 2.5 * (mx.nd.log(1 + mx.nd.exp(data)) - label * data) / 4


def hinge(margin, factor, squared):
    def loss(mx, data, label):
        hot = np.arange(data.shape[-1]) == label.asnumpy()[..., None]
        signs = mx.nd.array(np.where(hot, 1.0, -1.0), dtype="float64")
        cost = mx.nd.relu(margin - signs * data)
        return factor * (cost * cost if squared else cost)

    return loss


def sparse(mx, data, average):
    """The divergence whose gradient is added; in each sample as if the average were data."""
    target, momentum, penalty = 0.2, 0.75, 0.5
    mean = momentum * average + (1 - momentum) * data.mean(axis=0)
    divergence = -target * mx.nd.log(mean) - (1 - target) * mx.nd.log(1 - mean)
    return data.sum() + penalty * data.shape[0] / (1 - momentum) * divergence.sum()


ROWS = [
    Row("LinearRegressionOutput", [(3, 4), LABELS], loss=linear),
    Row("MAERegressionOutput", [(3, 4), LABELS.reshape(3, 2, 2)], loss=absolute),
    Row("LogisticRegressionOutput", [(3, 4), LABELS], {"grad_scale": 2.5}, loss=logistic),
    Row("SVMOutput", [(3, 4), CLASSES], loss=hinge(1.0, 1.0, True)),
    Row("SVMOutput", [(3, 4), CLASSES], {"use_linear": True}, loss=hinge(1.0, 1.0, False)),
    Row(
        "SVMOutput",
        [(2, 2, 3), np.array([[0.0, 2.0], [1.0, 1.0]])],
        {"margin": 0.5, "regularization_coefficient": 2.0},
        loss=hinge(0.5, 2.0, True),
    ),
    Row("MakeLoss", [(3, 4)], {"grad_scale": 3.0}, loss=lambda mx, x: 3 * x),
    Row(
        "MakeLoss",
        [(3, 4)],
        {"grad_scale": 3.0, "normalization": "batch"},
        loss=lambda mx, x: x,
    ),
    Row(
        "MakeLoss",
        [(3, 4)],
        {"normalization": "valid", "valid_thresh": -3.0},
        loss=lambda mx, x: x / 12,
    ),
    Row(
        "IdentityAttachKLSparseReg",
        [(3, 4), np.array([0.5, 0.2, 0.3, 0.7])],
        {"sparseness_target": 0.2, "momentum": 0.75, "penalty": 0.5},
        (0.1, 0.9),
        loss=sparse,
    ),
]
