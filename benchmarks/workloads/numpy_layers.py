"""Layers and their gradients in plain NumPy, for the references. Images are (n, channels, h, w)."""

import numpy as np


def columns(image, size, stride, pad):
    """Return the patches of one image, (channels * size * size, rows * columns)."""
    padded = np.pad(image, ((0, 0), (pad, pad), (pad, pad)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size), axis=(1, 2))
    windows = windows[:, ::stride, ::stride].transpose(0, 3, 4, 1, 2)
    return windows.reshape(np.prod(windows.shape[:3]), -1)


def add_columns(patches, image_shape, size, stride, pad):
    """Return the image that is the sum of its patches: the adjoint of `columns`."""
    channels, height, width = image_shape
    padded = np.zeros((channels, height + 2 * pad, width + 2 * pad))
    rows = (height + 2 * pad - size) // stride + 1
    across = (width + 2 * pad - size) // stride + 1
    patches = patches.reshape(channels, size, size, rows, across)
    for i in range(size):
        for j in range(size):
            part = padded[:, i : i + stride * rows : stride, j : j + stride * across : stride]
            part += patches[:, i, j]
    return padded[:, pad : pad + height, pad : pad + width]


def convolve(x, w, stride=1, pad=0, groups=1):
    filters, size = len(w) // groups, w.shape[-1]
    rows = (x.shape[2] + 2 * pad - size) // stride + 1
    across = (x.shape[3] + 2 * pad - size) // stride + 1
    y = np.empty((len(x), len(w), rows, across))
    flat = w.reshape(groups, filters, -1)
    for n in range(len(x)):
        patches = columns(x[n], size, stride, pad).reshape(groups, flat.shape[2], -1)
        y[n] = (flat @ patches).reshape(y.shape[1:])
    return y


def convolve_backward(x, w, dy, stride=1, pad=0, groups=1):
    """Return the gradients of x and of w."""
    filters, size = len(w) // groups, w.shape[-1]
    dx, dw = np.empty_like(x), np.zeros((groups, filters, w[0].size))
    flat = w.reshape(groups, filters, -1)
    for n in range(len(x)):
        patches = columns(x[n], size, stride, pad).reshape(groups, flat.shape[2], -1)
        head = dy[n].reshape(groups, filters, -1)
        dw += head @ patches.transpose(0, 2, 1)
        spread = (flat.transpose(0, 2, 1) @ head).reshape(-1, head.shape[2])
        dx[n] = add_columns(spread, x.shape[1:], size, stride, pad)
    return dx, dw.reshape(w.shape)


def normalize_batch(x, gamma, beta, eps):
    """Return the result and what normalize_batch_backward needs."""
    mean = x.mean((0, 2, 3), keepdims=True)
    deviation = np.sqrt(x.var((0, 2, 3), keepdims=True) + eps)
    unit = (x - mean) / deviation
    return unit * gamma[:, None, None] + beta[:, None, None], (unit, deviation)


def normalize_batch_backward(kept, gamma, dy):
    """Return the gradients of x, gamma and beta."""
    unit, deviation = kept
    axes = (0, 2, 3)
    du = dy * gamma[:, None, None]
    centred = du - du.mean(axes, keepdims=True) - unit * (du * unit).mean(axes, keepdims=True)
    return centred / deviation, (dy * unit).sum(axes), dy.sum(axes)


def pool(x):
    """Return the maxima of 2 x 2 pixels, and where they are as a mask of x."""
    n, channels, height, width = x.shape
    blocks = x.reshape(n, channels, height // 2, 2, width // 2, 2)
    y = blocks.max((3, 5))
    return y, (blocks == y[:, :, :, None, :, None]).reshape(x.shape)


def pool_backward(mask, dy):
    return np.repeat(np.repeat(dy, 2, 2), 2, 3) * mask


def cross_entropy(scores, labels):
    """Return the mean loss and its gradient."""
    shifted = scores - scores.max(1, keepdims=True)
    log_share = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    rows = np.arange(len(labels))
    gradient = np.exp(log_share)
    gradient[rows, labels] -= 1
    return -log_share[rows, labels].mean(), gradient / len(labels)


def train(weights, step, count, rate, momentum):
    """Run SGD with momentum on `weights` in place; step() -> (loss, gradients). Return the loss."""
    velocity = {name: np.zeros_like(w) for name, w in weights.items()}
    for _ in range(count):
        loss, gradients = step()
        for name, w in weights.items():
            velocity[name] = momentum * velocity[name] + gradients[name]
            w -= rate * velocity[name]
    return loss
