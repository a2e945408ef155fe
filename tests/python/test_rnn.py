"""The fused recurrent layer beside one written out step by step, and what MXNet cannot show."""

import os
import subprocess
import sys

import numpy as np
import pytest

import mxtape as mx
from mxtape import autograd, nd

GATES = {"rnn_relu": 1, "rnn_tanh": 1, "gru": 3, "lstm": 4}
TOLERANCE = {"float64": 1e-12, "float32": 2e-5, "float16": 2e-2}


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


class Net:
    """Random inputs of a layer, and its outputs by NumPy."""

    def __init__(self, mode, steps=5, batch=3, inputs=4, hidden=5, layers=1, directions=1, **more):
        self.mode, self.hidden, self.layers, self.directions = mode, hidden, layers, directions
        self.project, self.clip = more.get("project"), more.get("clip")
        self.lengths = more.get("lengths")
        out, gates, lanes = self.project or hidden, GATES[mode] * hidden, layers * directions
        random = np.random.RandomState(5)
        self.x = random.uniform(-1, 1, (steps, batch, inputs))
        self.state = random.uniform(-1, 1, (lanes, batch, out))
        self.cell = random.uniform(-1, 1, (lanes, batch, hidden)) if mode == "lstm" else None
        self.weights, self.biases = [], []
        for layer in range(layers):
            width = out * directions if layer else inputs
            shapes = [(gates, width), (gates, out)] + [(out, hidden)] * bool(self.project)
            for _ in range(directions):
                self.weights.append([random.uniform(-0.5, 0.5, shape) for shape in shapes])
                self.biases.append([random.uniform(-0.5, 0.5, gates) for _ in range(2)])

    def arrays(self, dtype):
        flat = [w.ravel() for lane in self.weights + self.biases for w in lane]
        arrays = [self.x, np.concatenate(flat), self.state]
        if self.cell is not None:
            arrays.append(self.cell)
        return [nd.array(a, dtype=dtype) for a in arrays]

    def params(self):
        params = {"state_size": self.hidden, "num_layers": self.layers, "mode": self.mode}
        params["bidirectional"] = self.directions == 2
        if self.project:
            params["projection_size"] = self.project
        if self.clip:
            params["lstm_state_clip_min"], params["lstm_state_clip_max"] = self.clip
        if self.lengths is not None:
            params["use_sequence_length"] = True
        return params

    def run(self, dtype="float64", **params):
        arrays = self.arrays(dtype)
        if self.lengths is not None:
            arrays.append(nd.array(self.lengths, dtype="int32"))
        outputs = nd.RNN(*arrays, state_outputs=True, **self.params(), **params)
        return [output.asnumpy() for output in outputs]

    def step(self, lane, x, h, c):
        weights, (input_bias, hidden_bias) = self.weights[lane], self.biases[lane]
        a, b = x @ weights[0].T + input_bias, h @ weights[1].T + hidden_bias
        if self.mode == "lstm":
            i, f, g, o = np.split(a + b, 4, axis=1)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            if self.clip:
                c = np.clip(c, *self.clip)
            h = sigmoid(o) * np.tanh(c)
            return (h @ weights[2].T if self.project else h), c
        if self.mode == "gru":
            (ar, az, an), (br, bz, bn) = np.split(a, 3, axis=1), np.split(b, 3, axis=1)
            z = sigmoid(az + bz)
            return (1 - z) * np.tanh(an + sigmoid(ar + br) * bn) + z * h, c
        return (np.tanh(a + b) if self.mode == "rnn_tanh" else np.maximum(a + b, 0)), c

    def expected(self):
        x, states, cells = self.x, [], []
        for layer in range(self.layers):
            outputs = []
            for direction in range(self.directions):
                lane = layer * self.directions + direction
                h = self.state[lane]
                c = self.cell[lane] if self.cell is not None else np.zeros_like(h)
                y = np.zeros(x.shape[:2] + h.shape[1:])
                for t in range(len(x))[:: -1 if direction else 1]:
                    new_h, new_c = self.step(lane, x[t], h, c)
                    lengths = len(x) if self.lengths is None else np.array(self.lengths)
                    runs = np.broadcast_to(t < lengths, h.shape[0])[:, None]
                    y[t] = np.where(runs, new_h, 0)
                    h, c = np.where(runs, new_h, h), np.where(runs, new_c, c)
                outputs.append(y)
                states.append(h)
                cells.append(c)
            x = np.concatenate(outputs, axis=2)
        return [x, np.array(states)] + ([np.array(cells)] if self.cell is not None else [])


NETS = {
    "plain": {},
    "two layers, both ways": {"layers": 2, "directions": 2},
    "lengths": {"layers": 2, "directions": 2, "lengths": [2, 5, 0]},
    # More than one block of the batch, sizes that fill no vector register.
    "large": {"steps": 7, "batch": 37, "inputs": 19, "hidden": 33, "directions": 2},
}
LSTMS = {
    "clip": {"clip": (-0.1, 0.2)},
    "projection": {"project": 3, "layers": 2, "directions": 2},
    "larger projection": {"project": 9, "lengths": [5, 1, 3]},
}
CASES = [(mode, NETS[name]) for mode in GATES for name in NETS]
CASES += [("lstm", LSTMS[name]) for name in LSTMS]


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(("mode", "net"), CASES)
def test_values(mode, net, dtype):
    net = Net(mode, **net)
    for got, want in zip(net.run(dtype), net.expected()):
        assert got.dtype == np.dtype(dtype)
        np.testing.assert_allclose(got, want, rtol=0, atol=TOLERANCE[dtype] * abs(want).max())


def gradients(net, create_graph, which=None):
    """The gradients of a weighted sum of the outputs, by the kernel or by composed operators."""
    arrays = net.arrays("float64")
    for array in arrays:
        array.attach_grad()
    extra = [] if net.lengths is None else [nd.array(net.lengths, dtype="int32")]
    mx.random.seed(3)
    with autograd.record():
        outputs = nd.RNN(*arrays, *extra, state_outputs=True, p=0.4, **net.params())
        random = np.random.RandomState(6)
        heads = [nd.array(random.uniform(-1, 1, y.shape), dtype="float64") for y in outputs]
        if which is not None:
            outputs, heads = [outputs[which]], [heads[which]]
        found = autograd.grad(outputs, arrays, heads, create_graph=create_graph)
    return [g.asnumpy() for g in found]


@pytest.mark.parametrize(("mode", "net"), CASES)
def test_composed_gradient_is_the_kernels(mode, net):
    net = Net(mode, **net)
    for kernel, composed in zip(gradients(net, False), gradients(net, True)):
        np.testing.assert_allclose(kernel, composed, rtol=0, atol=1e-12 * abs(kernel).max())


@pytest.mark.parametrize("mode", GATES)
def test_heads_add_up(mode):
    """Outputs that receive no gradient count as zeros."""
    net = Net(mode, layers=2)
    parts = [gradients(net, False, which) for which in range(3 if mode == "lstm" else 2)]
    for whole, *rest in zip(gradients(net, False), *parts):
        np.testing.assert_allclose(sum(rest), whole, rtol=0, atol=1e-12)


def test_dropout_between_layers():
    net = Net("gru", layers=2, batch=50)
    arrays = net.arrays("float64")
    with autograd.train_mode():
        kept = nd.RNN(*arrays, **net.params())
        dropped = nd.RNN(*arrays, p=0.5, **net.params())
        mx.random.seed(1)
        again = [nd.RNN(*arrays, p=0.5, **net.params()) for _ in range(2)]
        mx.random.seed(1)
        same = nd.RNN(*arrays, p=0.5, **net.params())
    assert (kept.asnumpy() != dropped.asnumpy()).any()
    assert (again[0].asnumpy() != again[1].asnumpy()).any()
    np.testing.assert_array_equal(again[0].asnumpy(), same.asnumpy())
    np.testing.assert_array_equal(nd.RNN(*arrays, p=0.5, **net.params()).asnumpy(), kept.asnumpy())


def test_dropout_of_everything():
    """With p=1 the second layer sees zeros."""
    net = Net("rnn_tanh", layers=2)
    with autograd.train_mode():
        got = nd.RNN(*net.arrays("float64"), p=1, **net.params()).asnumpy()
    net.weights[1][0][:] = 0
    np.testing.assert_allclose(got, net.expected()[0], atol=1e-12)


@pytest.mark.parametrize("keep", [False, True])
def test_nan_in_a_clipped_cell(keep):
    net = Net("lstm", clip=(-0.1, 0.2))
    net.cell[0, 1, 2] = np.nan
    cell = net.run(lstm_state_clip_nan=keep)[2]
    assert np.isnan(cell).any() == keep


THREADS = """
import sys
import numpy as np
from test_rnn import GATES, Net, gradients
import hashlib
digest = hashlib.sha256()
for mode in GATES:
    net = Net(mode, batch=37, hidden=33, layers=2, directions=2)
    for array in net.run("float32") + gradients(net, False):
        digest.update(array.tobytes())
print(digest.hexdigest())
"""


def test_threads_do_not_change_bits():
    digests = set()
    for threads in ("1", "2", "3"):
        env = {**os.environ, "OMP_NUM_THREADS": threads}
        env["PYTHONPATH"] = os.pathsep.join(sys.path)
        result = subprocess.run(
            [sys.executable, "-c", THREADS], env=env, capture_output=True, text=True, check=True
        )
        digests.add(result.stdout)
    assert len(digests) == 1


@pytest.mark.parametrize("mode", GATES)
def test_addresses_do_not_change_bits(mode):
    net = Net(mode, batch=37, hidden=33, layers=2, directions=2)
    first = net.run("float32")
    with autograd.record():
        recorded = net.run("float32")
    for again in (net.run("float32"), recorded):
        for a, b in zip(first, again):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("mode", GATES)
@pytest.mark.parametrize(("steps", "batch"), [(0, 2), (3, 0)])
@pytest.mark.parametrize("create_graph", [False, True])
def test_nothing_to_run(mode, steps, batch, create_graph):
    net = Net(mode, steps=steps, batch=batch)
    out, state = net.run()[:2]
    assert out.shape == (steps, batch, 5)
    np.testing.assert_array_equal(state, net.state)
    found = gradients(net, create_graph)
    assert [g.shape for g in found] == [a.shape for a in net.arrays("float64")]
    assert not found[0].any()
    assert not found[1].any()


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({"projection_size": 2}, "only mode 'lstm' has a projection"),
        ({"state_size": 0}, "state_size must be positive"),
        ({"num_layers": 0}, "num_layers must be positive"),
        ({"p": 2}, "p must be in"),
        ({"state_size": 4}, "parameters must have shape"),
        ({"bidirectional": True}, "parameters must have shape"),
    ],
)
def test_refuses(params, text):
    net = Net("gru")
    with pytest.raises(mx.MXNetError, match=text):
        nd.RNN(*net.arrays("float32"), **{**net.params(), **params})


@pytest.mark.parametrize("mode", ["gru", "lstm"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rows_have_the_same_bits_however_threads_share_them_out(mode, dtype):
    """Also where the rows that one thread gets are no whole number of tiles."""
    known = mx.runtime.set_num_threads(1)
    try:
        for batch in (7, 13, 20, 64):
            net = Net(mode, steps=3, batch=batch, inputs=9, hidden=21, layers=2, directions=2)
            results = []
            for threads in (1, 2, 3, 5):
                mx.runtime.set_num_threads(threads)
                arrays = net.arrays(dtype)
                for array in arrays:
                    array.attach_grad()
                with autograd.record():
                    y = nd.RNN(*arrays, **net.params())
                y.backward(y * 0.5 + 0.25)
                results.append([x.asnumpy().tobytes() for x in (y, *(a.grad for a in arrays))])
            assert all(result == results[0] for result in results)
    finally:
        mx.runtime.set_num_threads(known)
