"""Convolutions: a block of two with batch normalization, and single layers of many shapes."""

import numpy as np

from . import numpy_layers as layers
from .declaration import MX, OfPeers, Workload
from .gradients import jax_of, mx_of, torch_of
from .support import double, generator, normal

EPSILON = 1e-5
BLOCK_VARIABLES = ("x", "k0", "gamma0", "beta0", "k1", "gamma1", "beta1")
WITHOUT = {"autograd": "has no convolution"}


def block_inputs(sizes):
    random, c, n, size = generator(), sizes["channels"], sizes["images"], sizes["size"]
    given = {"x": normal(random, n, c, size, size), "head": normal(random, n, c, size, size)}
    for i in range(2):
        given[f"k{i}"] = normal(random, c, c, 3, 3, scale=(9 * c) ** -0.5)
        given[f"gamma{i}"] = 1 + normal(random, c, scale=0.1)
        given[f"beta{i}"] = normal(random, c, scale=0.1)
    return given


def block_reference(sizes, given):
    given = double(given)
    x, kept = given["x"], []
    for i in range(2):
        before = x
        y = layers.convolve(x, given[f"k{i}"], pad=1)
        y, of_norm = layers.normalize_batch(y, given[f"gamma{i}"], given[f"beta{i}"], EPSILON)
        x = np.maximum(y, 0)
        kept.append((before, of_norm))
    answer = {"y": x}
    dx = given["head"]
    for i in (1, 0):
        before, of_norm = kept[i]
        above = answer["y"] if i else kept[1][0]
        dy, answer[f"gamma{i}"], answer[f"beta{i}"] = layers.normalize_batch_backward(
            of_norm, given[f"gamma{i}"], dx * (above > 0)
        )
        dx, answer[f"k{i}"] = layers.convolve_backward(before, given[f"k{i}"], dy, pad=1)
    return {**answer, "x": dx}


def block_mx(nd, sizes, x, *weights):
    for k, gamma, beta in (weights[:3], weights[3:]):
        filters = k.shape[0]
        x = nd.Convolution(x, k, kernel=(3, 3), pad=(1, 1), num_filter=filters, no_bias=True)
        mean, variance = nd.zeros(filters), nd.ones(filters)
        x = nd.BatchNorm(x, gamma, beta, mean, variance, fix_gamma=False, eps=EPSILON)
        x = nd.relu(x)
    return x


def block_torch(torch, sizes, x, *weights):
    functional = torch.nn.functional
    for k, gamma, beta in (weights[:3], weights[3:]):
        filters = k.shape[0]
        mean, variance = torch.zeros(filters), torch.ones(filters)
        x = functional.conv2d(x, k, padding=1)
        x = functional.batch_norm(x, mean, variance, gamma, beta, training=True, eps=EPSILON)
        x = functional.relu(x, inplace=True)
    return x


def jax_convolution(jax, x, k, stride=1, pad=0, groups=1):
    return jax.lax.conv_general_dilated(
        x, k, (stride, stride), ((pad, pad), (pad, pad)), feature_group_count=groups
    )


def block_jax(jax, sizes, x, *weights):
    for k, gamma, beta in (weights[:3], weights[3:]):
        x = jax_convolution(jax, x, k, pad=1)
        mean, variance = x.mean((0, 2, 3), keepdims=True), x.var((0, 2, 3), keepdims=True)
        x = (x - mean) * (gamma[:, None, None] * jax.lax.rsqrt(variance + EPSILON))
        x = jax.nn.relu(x + beta[:, None, None])
    return x


# One layer without bias: images, channels, height and width, filters, kernel, stride, pad, groups.
LAYERS = {
    "3x3_64_64": (32, 64, 56, 64, 3, 1, 1, 1),
    "1x1_256_128": (16, 256, 28, 128, 1, 1, 0, 1),
    "7x7_by_2_3_64": (8, 3, 112, 64, 7, 2, 3, 1),
    "3x3_512_512": (16, 512, 7, 512, 3, 1, 1, 1),
    "3x3_96_groups": (16, 96, 28, 96, 3, 1, 1, 96),
    "3x3_one_image": (1, 64, 56, 64, 3, 1, 1, 1),
}


def layer_sizes(images, channels, size, filters, kernel, stride, pad, groups):
    return {
        "x": (images, channels, size, size),
        "w": (filters, channels // groups, kernel, kernel),
        "stride": stride,
        "pad": pad,
        "groups": groups,
    }


def layer_inputs(sizes):
    random = generator()
    given = {"x": normal(random, *sizes["x"]), "w": normal(random, *sizes["w"])}
    images, _, size, _ = sizes["x"]
    filters, _, _, kernel = sizes["w"]
    across = (size + 2 * sizes["pad"] - kernel) // sizes["stride"] + 1
    given["head"] = normal(random, images, filters, across, across)
    return given


def layer_reference(sizes, given):
    given = double(given)
    how = {name: sizes[name] for name in ("stride", "pad", "groups")}
    dx, dw = layers.convolve_backward(given["x"], given["w"], given["head"], **how)
    return {"y": layers.convolve(given["x"], given["w"], **how), "x": dx, "w": dw}


def layer_mx(nd, sizes, x, w):
    return nd.Convolution(
        x,
        w,
        kernel=w.shape[2:],
        num_filter=w.shape[0],
        stride=(sizes["stride"],) * 2,
        pad=(sizes["pad"],) * 2,
        num_group=sizes["groups"],
        no_bias=True,
    )


def layer_torch(torch, sizes, x, w):
    how = {"stride": sizes["stride"], "padding": sizes["pad"], "groups": sizes["groups"]}
    return torch.nn.functional.conv2d(x, w, **how)


def layer_jax(jax, sizes, x, w):
    return jax_convolution(jax, x, w, sizes["stride"], sizes["pad"], sizes["groups"])


def layer(name):
    images, channels, size, filters, kernel, stride, pad, groups = LAYERS[name]
    full = layer_sizes(*LAYERS[name])
    few = min(channels, 96), min(filters, 96)
    small = layer_sizes(min(images, 2), few[0], 9, few[1], kernel, stride, pad, groups)
    return Workload(
        title=f"convolution {kernel}×{kernel}, {channels} to {filters}"
        + (f" in {groups} groups" if groups > 1 else "")
        + (f" by {stride}" if stride > 1 else "")
        + f", {images}×{channels}×{size}×{size}, forward + backward",
        full=full,
        small=small,
        inputs=layer_inputs,
        reference=layer_reference,
        programs={
            MX: mx_of(layer_mx, "xw"),
            "torch": torch_of(layer_torch, "xw"),
            "jax": jax_of(layer_jax, "xw"),
        },
        absent=WITHOUT,
        tolerance=1e-3,
        # 2 operations for a multiply-add, in the result and in both gradients.
        flop=lambda s: 6.0 * np.prod(s["w"]) * s["x"][0] * (s["x"][2] // s["stride"]) ** 2,
    )


BLOCK = {
    "conv_block": Workload(
        title="two 3×3 convolutions 64→64 + BatchNorm + relu, 32×64×56×56, forward + backward",
        full={"images": 32, "channels": 64, "size": 56},
        small={"images": 2, "channels": 8, "size": 6},
        inputs=block_inputs,
        reference=block_reference,
        programs={
            MX: mx_of(block_mx, BLOCK_VARIABLES),
            "torch": torch_of(block_torch, BLOCK_VARIABLES),
            "jax": jax_of(block_jax, BLOCK_VARIABLES),
        },
        absent=WITHOUT,
        goals=(OfPeers(0.95, ("torch", "mxnet")),),
        tolerance=2e-3,
    )
}
LAYER_WORKLOADS = {f"layer_{name}": layer(name) for name in LAYERS}
