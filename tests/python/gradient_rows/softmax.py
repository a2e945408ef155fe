"""Softmax, its kin and the loss layers built on it."""

import numpy as np

from gradient_row import Row

SOFTMAX = [{}, {"axis": 0}, {"axis": 1, "temperature": 0.7}]
LENGTHS = np.array([[1, 4], [0, 3]], dtype="int64")
LABELS = np.array([2.0, 0.0, -1.0, 1.0])
PLACES = np.array([[0.0, 2.0], [-1.0, 1.0]])


def one_hot(mx, label, classes, axis):
    """Probability 1 at each label of -1 and up, along a new axis; -1 has none."""
    ids = label.asnumpy().astype(int)
    hot = (np.arange(classes) == ids[..., None]).astype("float64")
    return mx.nd.array(np.moveaxis(hot, -1, axis), dtype="float64")


def cross_entropy(scale=1.0, axis=-1, ignore=False, alpha=0.0, head=None):
    """What SoftmaxOutput's gradient is the gradient of."""

    def loss(mx, data, label):
        target = label
        if label.shape != data.shape:
            classes = data.shape[axis]
            target = one_hot(mx, label, classes, axis)
            target = target * (1 - alpha) + (1 - target) * (alpha / (classes - 1))
        logs = mx.nd.log_softmax(data, axis=axis)
        if not ignore:
            # A label that is no class takes nothing away: the gradient is the probabilities'.
            rest = 1 - target.sum(axis=axis, keepdims=True)
            lost = mx.nd.log(mx.nd.exp(data).sum(axis=axis, keepdims=True)) * rest
            return (lost.sum() - (target * logs).sum()) * scale
        return -(target * logs).sum() * scale

    return loss


def summing_to_1(axis):
    """A head and outputs of softmax along the axis: its gradient relies on their sum."""
    return lambda nd, head, x: [head, nd.softmax(x, axis=axis)]


def labelled(axis):
    """Outputs of softmax along the axis, and labels."""
    return lambda nd, x, labels: [nd.softmax(x, axis=axis), labels]


ROWS = [
    Row(op, [(2, 3, 4)], params)
    for op in ("softmax", "log_softmax", "softmin")
    for params in SOFTMAX
]
ROWS += [
    Row("softmax", [(2, 4, 2), LENGTHS], {"axis": 1, "use_length": True}),
    Row("_backward_softmax", [(3, 4), (3, 4)], {"axis": 1, "scale": 2.0}, prepare=summing_to_1(1)),
    Row("_backward_softmax", [(3, 4), (3, 4)], {"axis": 0, "scale": 1.0}, prepare=summing_to_1(0)),
    Row("_backward_log_softmax", [(3, 4), (3, 4)], {"axis": 1, "scale": 2.0}),
    Row("_backward_log_softmax", [(3, 4), (3, 4)], {"axis": 0, "scale": 1.0}),
    Row("SoftmaxActivation", [(2, 3, 4)]),
    Row("SoftmaxActivation", [(2, 3, 4)], {"mode": "channel"}),
    Row("softmax_cross_entropy", [(4, 3), np.array([2.0, 0.0, 1.0, 1.0])]),
    Row(
        "_backward_SoftmaxOutput",
        [(4, 3), LABELS],
        {"grad_scale": 2.0, "use_ignore": True},
        prepare=labelled(1),
    ),
    Row(
        "_backward_SoftmaxOutput",
        [(2, 3, 2), PLACES],
        {"multi_output": True, "normalization": "valid"},
        prepare=labelled(1),
    ),
    Row("SoftmaxOutput", [(4, 3), LABELS], {"grad_scale": 2.0}, loss=cross_entropy(2.0)),
    Row(
        "SoftmaxOutput",
        [(4, 3), LABELS],
        {"use_ignore": True, "normalization": "valid"},
        loss=cross_entropy(1 / 3, ignore=True),
    ),
    Row(
        "SoftmaxOutput",
        [(4, 3), LABELS],
        {"use_ignore": True, "normalization": "batch"},
        loss=cross_entropy(1 / 4, ignore=True),
    ),
    Row(
        "SoftmaxOutput",
        [(4, 3), np.array([2.0, 0.0, 1.0, 1.0])],
        {"smooth_alpha": 0.3},
        loss=cross_entropy(alpha=0.3),
    ),
    Row(
        "SoftmaxOutput",
        [(2, 3, 2), PLACES],
        {"multi_output": True, "use_ignore": True},
        loss=cross_entropy(1 / 2, 1, ignore=True),
    ),
    Row(
        "SoftmaxOutput",
        [(2, 2, 3), np.array([[0.0, 2.0], [1.0, 1.0]])],
        {"preserve_shape": True},
        loss=cross_entropy(),
    ),
    Row(
        "SoftmaxOutput",
        [(2, 3), np.array([[0.1, 0.2, 0.7], [0.3, 0.3, 0.4]])],
        {"grad_scale": 2.0},
        loss=cross_entropy(2.0),
    ),
]
