"""Full training steps with SGD and momentum: a multilayer perceptron and LeNet."""

import numpy as np

from . import numpy_layers as layers
from .declaration import MX, OfPeers, Program, Workload
from .support import double, generator, mx_variable, normal, torch_variable

RATE, MOMENTUM = 0.05, 0.9
CHECKED_STEPS = 3
DATA = ("images", "labels")


def weights_of(given):
    return {name: array for name, array in given.items() if name not in DATA}


def reference_of(gradients_of):
    """Return the reference of a model whose gradients_of(weights, given) -> (loss, gradients)."""

    def reference(sizes, given):
        given = double(given)
        weights = weights_of(given)
        loss = layers.train(
            weights, lambda: gradients_of(weights, given), CHECKED_STEPS, RATE, MOMENTUM
        )
        return {"loss": np.array(loss), **weights}

    return reference


def mx_of(scores_of):
    """Return the program of a model whose scores_of(nd, images, weights) is its last layer."""

    def program(mx, sizes, given):
        nd = mx.nd
        images, labels = nd.array(given["images"]), nd.array(given["labels"])
        weights = {name: mx_variable(mx, w) for name, w in weights_of(given).items()}
        # What multi_sgd_mom_update takes: weight, gradient, momentum of each in turn.
        updated = [a for w in weights.values() for a in (w, w.grad, nd.zeros_like(w))]
        rates, decays = (RATE,) * len(weights), (0.0,) * len(weights)
        last = {}

        def step():
            with mx.autograd.record():
                scores = scores_of(nd, images, weights)
                loss = -nd.pick(nd.log_softmax(scores), labels).mean()
            loss.backward()
            nd.multi_sgd_mom_update(
                *updated,
                lrs=rates,
                wds=decays,
                momentum=MOMENTUM,
                num_weights=len(weights),
                out=list(weights.values()),
            )
            nd.waitall()
            last["loss"] = loss

        def answer():
            values = {name: w.asnumpy() for name, w in weights.items()}
            return {"loss": last["loss"].asnumpy()[0], **values}

        return Program(step, answer)

    return program


def torch_of(scores_of):
    """Return the program of a model whose scores_of(torch, images, weights) is its last layer."""

    def program(torch, sizes, given):
        images = torch.tensor(given["images"])
        labels = torch.tensor(given["labels"].astype("int64"))
        weights = {name: torch_variable(torch, w) for name, w in weights_of(given).items()}
        optimizer = torch.optim.SGD(weights.values(), lr=RATE, momentum=MOMENTUM, fused=True)
        cross_entropy, last = torch.nn.functional.cross_entropy, {}

        def step():
            optimizer.zero_grad()
            loss = cross_entropy(scores_of(torch, images, weights), labels)
            loss.backward()
            optimizer.step()
            last["loss"] = loss

        def answer():
            values = {name: w.detach().numpy() for name, w in weights.items()}
            return {"loss": last["loss"].detach().numpy(), **values}

        return Program(step, answer)

    return program


def jax_of(scores_of):
    """Return the program of a model whose scores_of(jax, images, weights) is its last layer."""

    def program(jax, sizes, given):
        images = jax.numpy.asarray(given["images"])
        labels = jax.numpy.asarray(given["labels"].astype("int32"))

        def loss_of(weights):
            log_share = jax.nn.log_softmax(scores_of(jax, images, weights))
            return -jax.numpy.take_along_axis(log_share, labels[:, None], 1).mean()

        def update(weights, velocity):
            loss, gradients = jax.value_and_grad(loss_of)(weights)
            velocity = {n: MOMENTUM * velocity[n] + gradients[n] for n in weights}
            weights = {n: w - RATE * velocity[n] for n, w in weights.items()}
            return loss, weights, velocity

        update = jax.jit(update, donate_argnums=(0, 1))
        weights = {n: jax.numpy.asarray(w) for n, w in weights_of(given).items()}
        last = {"state": (None, weights, {n: w * 0 for n, w in weights.items()})}

        def step():
            last["state"] = jax.block_until_ready(update(*last["state"][1:]))

        return Program(step, lambda: {"loss": last["state"][0], **last["state"][1]})

    return program


# The perceptron: dense layers with relu between.


def mlp_inputs(sizes):
    random, widths = generator(), sizes["widths"]
    given = {
        "images": normal(random, sizes["batch"], widths[0]),
        "labels": random.randint(0, widths[-1], sizes["batch"]).astype("float32"),
    }
    for i, (before, after) in enumerate(zip(widths, widths[1:])):
        given[f"w{i}"] = normal(random, after, before, scale=before**-0.5)
        given[f"b{i}"] = normal(random, after, scale=0.01)
    return given


def mlp_gradients(weights, given):
    depth = len(weights) // 2
    x, kept = given["images"], []
    for i in range(depth):
        kept.append(x)
        x = x @ weights[f"w{i}"].T + weights[f"b{i}"]
        if i < depth - 1:
            x = np.maximum(x, 0)
    loss, dx = layers.cross_entropy(x, given["labels"].astype(int))
    gradients = {}
    for i in reversed(range(depth)):
        gradients[f"w{i}"], gradients[f"b{i}"] = dx.T @ kept[i], dx.sum(0)
        dx = dx @ weights[f"w{i}"] * (kept[i] > 0)
    return loss, gradients


def mlp_mx(nd, x, weights):
    depth = len(weights) // 2
    for i in range(depth):
        w, b = weights[f"w{i}"], weights[f"b{i}"]
        x = nd.FullyConnected(x, w, b, num_hidden=w.shape[0])
        if i < depth - 1:
            x = nd.relu(x)
    return x


def mlp_torch(torch, x, weights):
    depth, linear = len(weights) // 2, torch.nn.functional.linear
    for i in range(depth):
        x = linear(x, weights[f"w{i}"], weights[f"b{i}"])
        if i < depth - 1:
            x = torch.relu(x)
    return x


def mlp_jax(jax, x, weights):
    depth = len(weights) // 2
    for i in range(depth):
        x = x @ weights[f"w{i}"].T + weights[f"b{i}"]
        if i < depth - 1:
            x = jax.nn.relu(x)
    return x


def mlp_autograd(autograd, sizes, given):
    """MLP and optimizer in NumPy, differentiated by HIPS autograd."""
    np = autograd.numpy
    images, labels = given["images"], given["labels"].astype(int)
    weights = {name: w.copy() for name, w in weights_of(given).items()}
    velocity = {name: np.zeros_like(w) for name, w in weights.items()}
    rows, depth, last = np.arange(len(labels)), len(weights) // 2, {}

    def loss_of(weights):
        x = images
        for i in range(depth):
            x = np.dot(x, weights[f"w{i}"].T) + weights[f"b{i}"]
            if i < depth - 1:
                x = np.maximum(x, np.float32(0))
        x = x - np.max(x, axis=1, keepdims=True)
        log_share = x - np.log(np.sum(np.exp(x), axis=1, keepdims=True))
        return -np.mean(log_share[rows, labels])

    loss_and_gradients = autograd.value_and_grad(loss_of)

    def step():
        last["loss"], gradients = loss_and_gradients(weights)
        for name, w in weights.items():
            velocity[name] *= MOMENTUM
            velocity[name] += gradients[name]
            w -= RATE * velocity[name]

    return Program(step, lambda: {"loss": last["loss"], **weights})


# LeNet: two convolutions of 5 x 5, each with relu and the maxima of 2 x 2, and two dense layers.


def lenet_inputs(sizes):
    random, batch = generator(), sizes["batch"]
    return {
        "images": normal(random, batch, 1, 28, 28),
        "labels": random.randint(0, 10, batch).astype("float32"),
        "k0": normal(random, 20, 1, 5, 5, scale=0.2),
        "c0": normal(random, 20, scale=0.01),
        "k1": normal(random, 50, 20, 5, 5, scale=500**-0.5),
        "c1": normal(random, 50, scale=0.01),
        "w0": normal(random, 500, 800, scale=800**-0.5),
        "b0": normal(random, 500, scale=0.01),
        "w1": normal(random, 10, 500, scale=500**-0.5),
        "b1": normal(random, 10, scale=0.01),
    }


def lenet_gradients(weights, given):
    x, kept = given["images"], []
    for i in range(2):
        before = x
        y = layers.convolve(x, weights[f"k{i}"]) + weights[f"c{i}"][:, None, None]
        x, largest = layers.pool(np.maximum(y, 0))
        kept.append((before, largest * (y > 0)))
    dense = {name: weights[name] for name in ("w0", "b0", "w1", "b1")}
    flat = x.reshape(len(x), -1)
    hidden = np.maximum(flat @ dense["w0"].T + dense["b0"], 0)
    loss, dy = layers.cross_entropy(
        hidden @ dense["w1"].T + dense["b1"], given["labels"].astype(int)
    )
    dh = dy @ dense["w1"] * (hidden > 0)
    gradients = {"w1": dy.T @ hidden, "b1": dy.sum(0), "w0": dh.T @ flat, "b0": dh.sum(0)}
    dx = (dh @ dense["w0"]).reshape(x.shape)
    for i in (1, 0):
        before, mask = kept[i]
        dy = layers.pool_backward(mask, dx)
        dx, gradients[f"k{i}"] = layers.convolve_backward(before, weights[f"k{i}"], dy)
        gradients[f"c{i}"] = dy.sum((0, 2, 3))
    return loss, gradients


def lenet_mx(nd, x, weights):
    for i, filters in enumerate((20, 50)):
        k, c = weights[f"k{i}"], weights[f"c{i}"]
        x = nd.relu(nd.Convolution(x, k, c, kernel=(5, 5), num_filter=filters))
        x = nd.Pooling(x, kernel=(2, 2), stride=(2, 2), pool_type="max")
    x = nd.relu(nd.FullyConnected(x, weights["w0"], weights["b0"], num_hidden=500))
    return nd.FullyConnected(x, weights["w1"], weights["b1"], num_hidden=10)


def lenet_torch(torch, x, weights):
    functional = torch.nn.functional
    for i in range(2):
        x = torch.relu(functional.conv2d(x, weights[f"k{i}"], weights[f"c{i}"]))
        x = functional.max_pool2d(x, 2)
    x = torch.relu(functional.linear(x.flatten(1), weights["w0"], weights["b0"]))
    return functional.linear(x, weights["w1"], weights["b1"])


def lenet_jax(jax, x, weights):
    lax = jax.lax
    for i in range(2):
        x = lax.conv(x, weights[f"k{i}"], (1, 1), "VALID") + weights[f"c{i}"][:, None, None]
        window = (1, 1, 2, 2)
        x = lax.reduce_window(jax.nn.relu(x), -np.inf, lax.max, window, window, "VALID")
    x = jax.nn.relu(x.reshape(len(x), -1) @ weights["w0"].T + weights["b0"])
    return x @ weights["w1"].T + weights["b1"]


WORKLOADS = {
    "mlp": Workload(
        title="MLP 784-512-256-10, batch 128, softmax cross-entropy, SGD momentum, full step",
        full={"batch": 128, "widths": (784, 512, 256, 10)},
        small={"batch": 8, "widths": (20, 12, 9, 4)},
        inputs=mlp_inputs,
        reference=reference_of(mlp_gradients),
        programs={
            MX: mx_of(mlp_mx),
            "torch": torch_of(mlp_torch),
            "jax": jax_of(mlp_jax),
            "autograd": mlp_autograd,
        },
        goals=(OfPeers(0.85, ("torch",)),),
        check_after=CHECKED_STEPS,
    ),
    "lenet": Workload(
        title="LeNet, batch 64, full step",
        full={"batch": 64},
        small={"batch": 4},
        inputs=lenet_inputs,
        reference=reference_of(lenet_gradients),
        programs={
            MX: mx_of(lenet_mx),
            "torch": torch_of(lenet_torch),
            "jax": jax_of(lenet_jax),
        },
        absent={"autograd": "has no convolution"},
        goals=(OfPeers(0.9, ("torch",)),),
        check_after=CHECKED_STEPS,
        tolerance=1e-3,
    ),
}
