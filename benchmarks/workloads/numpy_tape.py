"""Reverse mode in plain NumPy, slow and short: gradients of networks for the references."""

import numpy as np

from . import numpy_layers as layers


class Value:
    """An array, and how its gradient goes on to what it was computed from."""

    def __init__(self, array, *parents):
        self.array = np.asarray(array)
        self.parents = parents  # pairs of a Value and the function from gradient to gradient
        self.gradient = 0

    def __add__(self, other):
        return _of_two(self, other, self.array + other.array, lambda g: g, lambda g: g)

    def __mul__(self, number):
        return Value(self.array * number, (self, lambda g: g * number))

    def times(self, other):
        a, b = self.array, other.array
        return _of_two(self, other, a * b, lambda g: g * b, lambda g: g * a)

    def __matmul__(self, other):
        a, b = self.array, other.array
        return _of_two(
            self,
            other,
            a @ b,
            lambda g: g @ b.swapaxes(-1, -2),
            lambda g: a.swapaxes(-1, -2) @ g,
        )

    def __getitem__(self, key):
        def spread(g):
            whole = np.zeros_like(self.array)
            np.add.at(whole, key, g)
            return whole

        return Value(self.array[key], (self, spread))

    def reshape(self, *shape):
        return Value(self.array.reshape(shape), (self, lambda g: g.reshape(self.array.shape)))

    def transpose(self, *axes):
        back = np.argsort(axes)
        return Value(self.array.transpose(axes), (self, lambda g: g.transpose(back)))

    def relu(self):
        return Value(np.maximum(self.array, 0), (self, lambda g: g * (self.array > 0)))

    def tanh(self):
        y = np.tanh(self.array)
        return Value(y, (self, lambda g: g * (1 - y * y)))

    def sigmoid(self):
        y = 1 / (1 + np.exp(-self.array))
        return Value(y, (self, lambda g: g * y * (1 - y)))

    def softmax(self):
        y = np.exp(self.array - self.array.max(-1, keepdims=True))
        y /= y.sum(-1, keepdims=True)
        return Value(y, (self, lambda g: y * (g - (g * y).sum(-1, keepdims=True))))

    def mean(self, axes=None):
        size = self.array.size / self.array.mean(axes).size
        shape = self.array.mean(axes, keepdims=True).shape
        return Value(
            self.array.mean(axes),
            (self, lambda g: np.broadcast_to(np.reshape(g, shape) / size, self.array.shape)),
        )


def _reduced(gradient, shape):
    """The sum over what broadcasting has added."""
    axes = tuple(range(gradient.ndim - len(shape)))
    gradient = gradient.sum(axes)
    axes = tuple(i for i, n in enumerate(shape) if n == 1 and gradient.shape[i] != 1)
    return gradient.sum(axes, keepdims=True)


def _of_two(a, b, array, to_a, to_b):
    return Value(
        array,
        (a, lambda g: _reduced(to_a(g), a.array.shape)),
        (b, lambda g: _reduced(to_b(g), b.array.shape)),
    )


def linear(x, w, b=None):
    y = x @ w.transpose(1, 0)
    return y if b is None else y + b


def stack(values):
    return Value(
        np.stack([v.array for v in values]),
        *((v, lambda g, i=i: g[i]) for i, v in enumerate(values)),
    )


def convolve(x, w, stride, pad):
    gradients = {}

    def gradient(g, i):
        if g is not gradients.get("of"):
            both = layers.convolve_backward(x.array, w.array, g, stride, pad)
            gradients.update(of=g, both=both)
        return gradients["both"][i]

    y = layers.convolve(x.array, w.array, stride, pad)
    return Value(y, (x, lambda g: gradient(g, 0)), (w, lambda g: gradient(g, 1)))


def normalize_batch(x, eps=1e-5):
    """With a gamma of 1 and a beta of 0, which are not learnt."""
    channels = x.array.shape[1]
    one = np.ones(channels)
    y, kept = layers.normalize_batch(x.array, one, np.zeros(channels), eps)
    return Value(y, (x, lambda g: layers.normalize_batch_backward(kept, one, g)[0]))


def normalize_layer(x, eps=1e-5):
    """Over the last axis, with a gamma of 1 and a beta of 0, which are not learnt."""
    deviation = np.sqrt(x.array.var(-1, keepdims=True) + eps)
    y = (x.array - x.array.mean(-1, keepdims=True)) / deviation

    def back(g):
        return (g - g.mean(-1, keepdims=True) - y * (g * y).mean(-1, keepdims=True)) / deviation

    return Value(y, (x, back))


def largest(x):
    """The maxima of 3 x 3 pixels with a stride of 2 and a border of 1; x is at least 0."""
    padded = np.pad(x.array, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))[:, :, ::2, ::2]
    flat = windows.reshape(*windows.shape[:4], 9)
    place = flat.argmax(-1)

    def back(g):
        whole = np.zeros_like(padded)
        i, j = np.divmod(place, 3)
        at = np.indices(place.shape)
        np.add.at(whole, (at[0], at[1], 2 * at[2] + i, 2 * at[3] + j), g)
        return whole[:, :, 1:-1, 1:-1]

    return Value(flat.max(-1), (x, back))


def cross_entropy(scores, labels):
    loss, gradient = layers.cross_entropy(scores.array, labels)
    return Value(loss, (scores, lambda g: g * gradient))


def backward(loss):
    """Put the gradients of a number into the `gradient` of all that it was computed from."""
    order, seen, todo = [], set(), [(loss, False)]
    while todo:
        value, done = todo.pop()
        if done:
            order.append(value)
        elif id(value) not in seen:
            seen.add(id(value))
            todo.append((value, True))
            todo.extend((parent, False) for parent, _ in value.parents)
    loss.gradient = np.ones_like(loss.array)
    for value in reversed(order):
        for parent, back in value.parents:
            parent.gradient = parent.gradient + back(value.gradient)
        if value.parents:
            value.gradient = 0
