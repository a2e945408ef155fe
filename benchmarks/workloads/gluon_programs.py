"""Training steps of networks as Gluon programs: a ResNet, a language model, a transformer layer.

The weights that are given are in the order of the layers. Those of normalizations begin with 1 and
0 in every library; the references, which do not train them, are compared after one step.
"""

import numpy as np

from . import numpy_tape as tape
from .declaration import MX, OfPeers, Program, Workload
from .support import double, generator, normal

RATE, MOMENTUM = 0.05, 0.9
LEARNT = ("weight", "bias")  # the ends of the names of what is given
ABSENT = dict.fromkeys(("jax", "autograd"), "has no layers")


def named(arrays):
    return {f"w{i:02d}": array for i, array in enumerate(arrays)}


def weights_of(given):
    return [given[name] for name in sorted(given) if name[0] == "w"]


def reference_of(loss_of):
    """Return the reference of a network whose loss_of(sizes, given, weights) is a Value."""

    def reference(sizes, given):
        given = double(given)
        weights = [tape.Value(w) for w in weights_of(given)]
        loss = loss_of(sizes, given, weights)
        tape.backward(loss)
        stepped = [w.array - RATE * w.gradient for w in weights]
        return {"loss": loss.array, **named(stepped)}

    return reference


def mx_of(network, data_of, loss_of, arranged=lambda sizes, weights, back: weights):
    """Return the program: network(mx, sizes) is a block, data_of(mx, given) what it is called with.

    loss_of(mx, outputs, given) is a block's output; arranged(sizes, weights, back) brings the
    weights into the block's order, and back.
    """

    def program(mx, sizes, given):
        net = network(mx, sizes)
        net.initialize()
        net.hybridize(static_alloc=True, static_shape=True)
        data, loss_block, target = data_of(mx, given), *loss_of(mx, given)
        loss_block.hybridize()
        net(*data)
        params = net.collect_params()
        learnt = [p for name, p in params.items() if name.endswith(LEARNT)]
        for p, w in zip(learnt, arranged(sizes, weights_of(given), False)):
            p.set_data(mx.nd.array(w))
        options = {"learning_rate": RATE, "momentum": MOMENTUM}
        trainer = mx.gluon.Trainer(params, "sgd", options)
        last = {}

        def step():
            with mx.autograd.record():
                loss = loss_block(net(*data), target).mean()
            loss.backward()
            trainer.step(1)
            mx.nd.waitall()
            last["loss"] = loss

        def answer():
            weights = arranged(sizes, [p.data().asnumpy() for p in learnt], True)
            return {"loss": last["loss"].asnumpy()[0], **named(weights)}

        return Program(step, answer)

    return program


def torch_of(network, data_of, loss_of):
    """Return the program: network(torch, sizes) is a module; its norms have the last weights."""

    def program(torch, sizes, given):
        net = network(torch, sizes)
        norms = (torch.nn.BatchNorm2d, torch.nn.LayerNorm)
        skipped = {id(p) for m in net.modules() if isinstance(m, norms) for p in m.parameters()}
        learnt = [p for p in net.parameters() if id(p) not in skipped]
        with torch.no_grad():
            for p, w in zip(learnt, weights_of(given)):
                p.copy_(torch.tensor(w))
        data, target = data_of(torch, given)
        optimizer = torch.optim.SGD(net.parameters(), lr=RATE, momentum=MOMENTUM, fused=True)
        last = {}

        def step():
            optimizer.zero_grad()
            loss = loss_of(torch, net(data), target)
            loss.backward()
            optimizer.step()
            last["loss"] = loss

        def answer():
            weights = [p.detach().numpy() for p in learnt]
            return {"loss": last["loss"].detach().numpy(), **named(weights)}

        return Program(step, answer)

    return program


def mx_cross_entropy(mx, given):
    return mx.gluon.loss.SoftmaxCrossEntropyLoss(), mx.nd.array(given["labels"])


def torch_cross_entropy(torch, scores, labels):
    return torch.nn.functional.cross_entropy(scores, labels)


# ResNet-18, version 1: stages of two blocks of two convolutions.


def resnet_shapes(sizes):
    widths = sizes["widths"]
    shapes, before = [(widths[0], 3, 7, 7)], widths[0]
    for i, width in enumerate(widths[1:]):
        for block in range(2):
            shapes += [(width, before, 3, 3), (width, width, 3, 3)]
            if block == 0 and (i > 0 or width != before):
                shapes.append((width, before, 1, 1))
            before = width
    return shapes


def resnet_inputs(sizes):
    random, classes = generator(), sizes["classes"]
    images = normal(random, sizes["batch"], 3, sizes["pixels"], sizes["pixels"])
    weights = [normal(random, *s, scale=np.prod(s[1:]) ** -0.5) for s in resnet_shapes(sizes)]
    last = sizes["widths"][-1]
    weights += [normal(random, classes, last, scale=last**-0.5), normal(random, classes, scale=0.1)]
    labels = random.randint(0, classes, sizes["batch"]).astype("float32")
    return {"images": images, "labels": labels, **named(weights)}


def resnet_loss(sizes, given, weights):
    weights = iter(weights)

    def normalized(x, w, stride=1):
        return tape.normalize_batch(tape.convolve(x, w, stride, w.array.shape[-1] // 2))

    x = tape.largest(normalized(tape.Value(given["images"]), next(weights), 2).relu())
    for i, width in enumerate(sizes["widths"][1:]):
        for block in range(2):
            stride = 2 if i > 0 and block == 0 else 1
            y = normalized(normalized(x, next(weights), stride).relu(), next(weights))
            if stride > 1 or x.array.shape[1] != width:
                x = normalized(x, next(weights), stride)
            x = (x + y).relu()
    scores = tape.linear(x.mean((2, 3)), next(weights), next(weights))
    return tape.cross_entropy(scores, given["labels"].astype(int))


def resnet_mx(mx, sizes):
    vision = mx.gluon.model_zoo.vision
    widths = list(sizes["widths"])
    stages = [2] * (len(widths) - 1)
    return vision.ResNetV1(vision.BasicBlockV1, stages, widths, classes=sizes["classes"])


def resnet_torch(torch, sizes):
    nn = torch.nn

    def normalized(before, width, size, stride):
        conv = nn.Conv2d(before, width, size, stride, size // 2, bias=False)
        return nn.Sequential(conv, nn.BatchNorm2d(width))

    class Block(nn.Module):
        def __init__(self, before, width, stride):
            super().__init__()
            self.first = normalized(before, width, 3, stride)
            self.second = normalized(width, width, 3, 1)
            apart = stride > 1 or before != width
            self.shortcut = normalized(before, width, 1, stride) if apart else nn.Identity()

        def forward(self, x):
            y = self.second(torch.relu(self.first(x)))
            return torch.relu(y + self.shortcut(x))

    widths = sizes["widths"]
    parts = [normalized(3, widths[0], 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    for i, (before, width) in enumerate(zip(widths, widths[1:])):
        parts += [Block(before, width, 1 if i == 0 else 2), Block(width, width, 1)]
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], sizes["classes"])]
    return nn.Sequential(*parts, *head)


# A language model: words, two LSTM layers, scores of the next word. Arrays are (steps, batch).


def language_inputs(sizes):
    random, width, words = generator(), sizes["width"], sizes["words"]
    shape = (sizes["steps"], sizes["batch"])
    weights = [normal(random, words, width, scale=0.1)]
    for _ in range(2):
        weights += [normal(random, 4 * width, width, scale=width**-0.5) for _ in range(2)]
        weights += [normal(random, 4 * width, scale=0.1) for _ in range(2)]
    weights += [normal(random, words, width, scale=width**-0.5), normal(random, words, scale=0.1)]
    return {
        "text": random.randint(0, words, shape).astype("float32"),
        "labels": random.randint(0, words, shape[0] * shape[1]).astype("float32"),
        **named(weights),
    }


def language_loss(sizes, given, weights):
    width, weights = sizes["width"], iter(weights)
    x = next(weights)[given["text"].astype(int)]
    for _ in range(2):
        wx, wh, bx, bh = (next(weights) for _ in range(4))
        h = c = tape.Value(np.zeros((sizes["batch"], width)))
        outputs = []
        for t in range(sizes["steps"]):
            gates = tape.linear(x[t], wx, bx) + tape.linear(h, wh, bh)
            i, f, g, o = (gates[:, k * width : (k + 1) * width] for k in range(4))
            c = f.sigmoid().times(c) + i.sigmoid().times(g.tanh())
            h = o.sigmoid().times(c.tanh())
            outputs.append(h)
        x = tape.stack(outputs)
    scores = tape.linear(x.reshape(-1, width), next(weights), next(weights))
    return tape.cross_entropy(scores, given["labels"].astype(int))


def language_mx(mx, sizes):
    gluon, width = mx.gluon, sizes["width"]

    class Model(gluon.HybridBlock):
        def __init__(self):
            super().__init__()
            with self.name_scope():
                self.embed = gluon.nn.Embedding(sizes["words"], width)
                self.lstm = gluon.rnn.LSTM(width, 2, input_size=width)
                self.scores = gluon.nn.Dense(sizes["words"], in_units=width)

        def hybrid_forward(self, F, text):
            return self.scores(F.reshape(self.lstm(self.embed(text)), (-1, width)))

    return Model()


def language_torch(torch, sizes):
    nn, width = torch.nn, sizes["width"]

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = nn.Embedding(sizes["words"], width)
            self.lstm = nn.LSTM(width, width, 2)
            self.scores = nn.Linear(width, sizes["words"])

        def forward(self, text):
            return self.scores(self.lstm(self.embed(text))[0].reshape(-1, width))

    return Model()


# A transformer encoder layer, normalized after each part. Arrays are (steps, batch, width).


def transformer_inputs(sizes):
    random, width, hidden = generator(), sizes["width"], sizes["hidden"]
    shape = (sizes["steps"], sizes["batch"], width)
    weights = []
    for rows, across in ((3 * width, width), (width, width), (hidden, width), (width, hidden)):
        weights.append(normal(random, rows, across, scale=across**-0.5))
        weights.append(normal(random, rows, scale=0.1))
    return {"x": normal(random, *shape), "target": normal(random, *shape), **named(weights)}


def transformer_loss(sizes, given, weights):
    steps, batch, width = given["x"].shape
    heads = sizes["heads"]
    part, x = width // heads, tape.Value(given["x"])
    joined = tape.linear(x, weights[0], weights[1]).reshape(steps, batch, 3, heads, part)
    q, k, v = (joined[:, :, i].transpose(1, 2, 0, 3) for i in range(3))
    share = (q @ k.transpose(0, 1, 3, 2) * part**-0.5).softmax()
    mixed = (share @ v).transpose(2, 0, 1, 3).reshape(steps, batch, width)
    x = tape.normalize_layer(x + tape.linear(mixed, weights[2], weights[3]))
    y = tape.linear(tape.linear(x, weights[4], weights[5]).relu(), weights[6], weights[7])
    off = tape.normalize_layer(x + y) + tape.Value(-given["target"])
    return off.times(off).mean() * 0.5


def transformer_mx(mx, sizes):
    gluon, width, heads = mx.gluon, sizes["width"], sizes["heads"]

    class Layer(gluon.HybridBlock):
        def __init__(self):
            super().__init__()
            nn = gluon.nn
            with self.name_scope():
                self.joined = nn.Dense(3 * width, flatten=False, in_units=width)
                self.mixed = nn.Dense(width, flatten=False, in_units=width)
                self.wide = nn.Dense(
                    sizes["hidden"], flatten=False, activation="relu", in_units=width
                )
                self.narrow = nn.Dense(width, flatten=False, in_units=sizes["hidden"])
                self.norm1 = nn.LayerNorm(in_channels=width)
                self.norm2 = nn.LayerNorm(in_channels=width)

        def hybrid_forward(self, F, x):
            joined = self.joined(x)
            scores = F.contrib.interleaved_matmul_selfatt_qk(joined, heads=heads)
            share = F.softmax(scores)
            y = F.contrib.interleaved_matmul_selfatt_valatt(joined, share, heads=heads)
            x = self.norm1(x + self.mixed(y))
            return self.norm2(x + self.narrow(self.wide(x)))

    return Layer()


def by_heads(sizes, weights, back):
    """Queries, keys and values of each head together, as MXNet's operators have them."""
    width, heads = sizes["width"], sizes["heads"]
    order = np.arange(3 * width).reshape(3, heads, -1).transpose(1, 0, 2).ravel()
    order = np.argsort(order) if back else order
    return [weights[0][order], weights[1][order], *weights[2:]]


def transformer_torch(torch, sizes):
    width, heads, hidden = sizes["width"], sizes["heads"], sizes["hidden"]
    return torch.nn.TransformerEncoderLayer(width, heads, hidden, dropout=0.0)


GOALS = (OfPeers(1.0, ("torch", "mxnet")),)

WORKLOADS = {
    "resnet18": Workload(
        title="ResNet-18 in Gluon, batch 8 of 224 x 224, SGD momentum, full step",
        full={"batch": 8, "pixels": 224, "classes": 1000, "widths": (64, 64, 128, 256, 512)},
        small={"batch": 4, "pixels": 64, "classes": 5, "widths": (4, 4, 6, 8, 10)},
        inputs=resnet_inputs,
        reference=reference_of(resnet_loss),
        programs={
            MX: mx_of(
                resnet_mx, lambda mx, given: [mx.nd.array(given["images"])], mx_cross_entropy
            ),
            "torch": torch_of(
                resnet_torch,
                lambda torch, given: (
                    torch.tensor(given["images"]),
                    torch.tensor(given["labels"].astype("int64")),
                ),
                torch_cross_entropy,
            ),
        },
        absent=ABSENT,
        goals=GOALS,
        check_after=1,
        tolerance=1e-3,
    ),
    "lstm_model": Workload(
        title="Language model in Gluon, two LSTM layers of 650, 35 steps, batch 20, full step",
        full={"words": 10_000, "width": 650, "steps": 35, "batch": 20},
        small={"words": 11, "width": 6, "steps": 4, "batch": 3},
        inputs=language_inputs,
        reference=reference_of(language_loss),
        programs={
            MX: mx_of(
                language_mx, lambda mx, given: [mx.nd.array(given["text"])], mx_cross_entropy
            ),
            "torch": torch_of(
                language_torch,
                lambda torch, given: (
                    torch.tensor(given["text"].astype("int64")),
                    torch.tensor(given["labels"].astype("int64")),
                ),
                torch_cross_entropy,
            ),
        },
        absent=ABSENT,
        goals=GOALS,
        check_after=1,
    ),
    "transformer": Workload(
        title="Transformer encoder layer in Gluon, width 512, 128 steps, batch 8, full step",
        full={"width": 512, "heads": 8, "hidden": 2048, "steps": 128, "batch": 8},
        small={"width": 12, "heads": 3, "hidden": 10, "steps": 5, "batch": 2},
        inputs=transformer_inputs,
        reference=reference_of(transformer_loss),
        programs={
            MX: mx_of(
                transformer_mx,
                lambda mx, given: [mx.nd.array(given["x"])],
                lambda mx, given: (mx.gluon.loss.L2Loss(), mx.nd.array(given["target"])),
                by_heads,
            ),
            "torch": torch_of(
                transformer_torch,
                lambda torch, given: (torch.tensor(given["x"]), torch.tensor(given["target"])),
                lambda torch, y, target: torch.nn.functional.mse_loss(y, target) / 2,
            ),
        },
        absent=ABSENT,
        goals=GOALS,
        check_after=1,
    ),
}
