"""The tape as an open book: entries, memory, listings and pictures."""

import ctypes
import gc
import io
import itertools
import shutil
import xml.etree.ElementTree as ET

import numpy as np
import pytest

import mxtape as mx
from mxtape import autograd, gluon, nd
from mxtape.autograd import _layered
from mxtape.base import MXNetError

pytestmark = pytest.mark.differs("MXNet cannot show its tape")


def variable(*shape, req="write"):
    x = nd.array(np.random.default_rng(0).normal(size=shape), dtype="float32")
    x.attach_grad(grad_req=req)
    return x


def test_entries():
    x, w, c = variable(4, 3), variable(3, 5, req="add"), nd.ones((4, 5))
    with autograd.record():
        h = nd.dot(x, w) + c
        y = nd.exp(h).sum(axis=1, keepdims=True)
    tape = autograd.tape(y)
    assert [entry.operator for entry in tape] == [
        *("sum", "exp", "broadcast_add", "dot", "variable", "variable")
    ]
    numbers = [entry.number for entry in tape]
    assert numbers == sorted(numbers, reverse=True)
    assert [e.number for e in tape.in_order()] == numbers[::-1]
    total, exp, add, dot, second, first = tape
    assert total.params == {"axis": (1,), "keepdims": True}
    assert total.outputs == [((4, 1), "float32")]
    assert total.kind == "operator"
    assert total.grad_req is None
    assert [e.entry for e in dot.edges] == [first.number, second.number]
    assert [e.entry for e in add.edges] == [dot.number, None]
    assert [e.name for e in dot.edges] == ["lhs", "rhs"]
    assert dot.inputs == [((4, 3), "float32"), ((3, 5), "float32")]
    assert add.outputs == [((4, 5), "float32")]
    assert [(s.role, s.position, s.name, s.shape, s.nbytes, s.state) for s in dot.saved] == [
        ("input", 0, "lhs", (4, 3), 48, "memory"),
        ("input", 1, "rhs", (3, 5), 60, "memory"),
    ]
    assert [(s.role, s.position) for s in exp.saved] == [("output", 0)]
    assert [v.grad_req for v in tape.variables] == ["write", "add"]
    assert tape.entry(dot.number) is dot
    assert tape.find("exp") == [exp]
    assert tape.saved_bytes == 48 + 60 + 80
    assert tape.heads == [(total.number, 0, "")]
    with pytest.raises(KeyError):
        tape.entry(-1)


def test_lines():
    x = variable(3)
    with autograd.record():
        y = nd.exp(x)  # here
    with open(__file__, encoding="utf-8") as file:
        here = next(i for i, line in enumerate(file, 1) if line.endswith("nd.exp(x)  # here\n"))
    assert autograd.tape(y)[0].line == f"{__file__}:{here}"


def test_what_is_saved_twice_counts_once():
    x = variable(100)
    with autograd.record():
        y = x * x
        z = y * x
    tape = autograd.tape(z)
    assert [len(entry.saved) for entry in tape] == [2, 2, 0]
    assert [entry.saved_bytes for entry in tape] == [800, 400, 0]
    assert tape.saved_bytes == 800


def test_outputs_and_several_heads():
    x = variable(6)
    with autograd.record():
        first, second = nd.split(x, num_outputs=2, axis=0)
        y = first * 2
    tape = autograd.tape([y, second])
    split = tape.find("SliceChannel")[0]
    assert split.outputs == [((3,), "float32")] * 2
    assert [head[:2] for head in tape.heads] == [(tape[0].number, 0), (split.number, 1)]


def test_it_is_a_description_and_keeps_nothing():
    x = variable(100, 100)
    with autograd.record():
        y = nd.exp(nd.exp(x))
    before = mx.runtime.memory_stats()["bytes_in_use"]
    tape, text = autograd.tape(y), repr(autograd.tape(y))
    y.backward()
    assert repr(tape) == text
    assert len(tape) == 3
    del y
    assert mx.runtime.memory_stats()["bytes_in_use"] < before - 2 * 40_000


def test_a_long_chain_is_walked_without_recursion():
    x = variable(1)
    with autograd.record():
        y = x
        for _ in range(10_000):
            y = y + 1
    tape = autograd.tape(y)
    assert len(tape) == 10_001
    assert len(repr(tape).splitlines()) == 37
    report = autograd.memory_report(y)
    assert report.by_operator[0].steps == 10_000
    text = io.StringIO()
    autograd.print_graph(y, file=text)
    assert "this step 9999 more times: 3 to 10001" in text.getvalue()
    with pytest.raises(MXNetError, match="10001 steps, a picture may have 3000; print_graph"):
        autograd.plot_graph(y)


def test_calls_that_wait():
    x = variable(100_000)
    with autograd.record():
        y = nd.exp(nd.sin(x))
    assert [s.state for s in autograd.tape(y)[0].saved] == ["waits"]
    y.wait_to_read()
    assert [s.state for s in autograd.tape(y)[0].saved] == ["memory"]


class Double(autograd.Function):
    def forward(self, x):
        self.kept = x * 3
        return x * 2

    def backward(self, dy):
        return dy * 2


def test_kinds():
    net = gluon.nn.HybridSequential()
    net.add(gluon.nn.Dense(4, activation="relu"))
    net.initialize()
    net(nd.ones((2, 3)))
    net.hybridize()
    x = variable(2, 3)
    with autograd.record():
        y = autograd.checkpoint(nd.exp, net(Double()(x)))
    checkpoint, graph, function = (e for e in autograd.tape(y) if e.kind != "variable")
    assert (checkpoint.kind, checkpoint.operator) == ("checkpoint", "checkpoint of exp")
    assert (graph.kind, graph.operator) == ("graph", "CachedOp")
    assert {s.role for s in graph.saved} == {"inside"}
    assert any(s.name.endswith("_weight") for s in graph.saved)
    assert (function.kind, function.operator) == ("function", "Double")
    assert function.inputs == [((2, 3), "float32")]


@pytest.mark.parametrize(
    "call", [autograd.tape, autograd.memory_report, autograd.print_graph, autograd.plot_graph]
)
def test_errors(call):
    x = variable(3)
    for y in (nd.ones((3,)), [nd.ones((1,))]):
        with pytest.raises(MXNetError, match=f"{call.__name__}: the array is not on the tape"):
            call(y)
    with autograd.record():
        y = x * 2
    y.backward()
    with pytest.raises(MXNetError, match="freed by a backward without retain_graph=True"):
        call(y)
    for wrong in (3, [], [3]):
        with pytest.raises(TypeError, match="expected an NDArray or a list of them"):
            call(wrong)


# ---- memory


def used():
    return mx.runtime.memory_stats()["bytes_in_use"]


def mlp(hybridize):
    net = gluon.nn.HybridSequential()
    net.add(gluon.nn.Dense(64, activation="relu"), gluon.nn.Dense(32, activation="tanh"))
    net.add(gluon.nn.Dropout(0.5), gluon.nn.Dense(10))
    net.initialize()
    x, labels = variable(64, 100), nd.zeros((64,))
    net(x)
    if hybridize:
        net.hybridize()
    loss = gluon.loss.SoftmaxCrossEntropyLoss()
    return lambda: loss(net(x), labels).mean()


def convolutions(hybridize):
    net = gluon.nn.HybridSequential()
    net.add(gluon.nn.Conv2D(8, 3), gluon.nn.BatchNorm(), gluon.nn.Activation("relu"))
    net.add(gluon.nn.MaxPool2D(), gluon.nn.Flatten(), gluon.nn.Dense(10))
    net.initialize()
    x = nd.array(np.random.default_rng(0).normal(size=(8, 3, 20, 20)))
    net(x)
    if hybridize:
        net.hybridize()
    return lambda: (net(x) ** 2).sum()


def waiting(read):
    x = variable(100_000)

    def compute():
        y = x
        for _ in range(20):
            y = nd.sin(y) * nd.exp(-y)
        y = y.sum()
        if read:
            y.wait_to_read()
        return y

    return compute


def function():
    x = variable(100, 100)
    return lambda: Double()(x * 2).sum()


def checkpointed():
    x = variable(100, 100)
    return lambda: autograd.checkpoint(lambda a: nd.sin(a) * a, x * 2).sum()


def unrolled():
    cell = gluon.rnn.LSTMCell(16)
    cell.initialize()
    x = variable(8, 10, 12)
    return lambda: cell.unroll(10, x, merge_outputs=True)[0].sum()


def second_order():
    x = variable(50, 50)

    def compute():
        y = nd.tanh(x) * x
        return autograd.grad(y, [x], create_graph=True)[0].sum()

    return compute


GRAPHS = {
    "mlp": lambda: mlp(False),
    "hybridized mlp": lambda: mlp(True),
    "convolutions": lambda: convolutions(False),
    "hybridized convolutions": lambda: convolutions(True),
    "calls that wait": lambda: waiting(False),
    "calls that have waited": lambda: waiting(True),
    "Function": function,
    "checkpoint": checkpointed,
    "unrolled LSTM": unrolled,
    "second order": second_order,
}


@pytest.mark.parametrize("name", GRAPHS)
def test_the_report_agrees_with_the_memory_of_the_process(name):
    compute = GRAPHS[name]()
    for _ in range(2):  # the second time, programs and constants are there
        with autograd.record():
            y = compute()
    report = autograd.memory_report(y)
    gc.collect()
    before = used()
    del y
    freed = before - used()
    assert freed > 10_000 or name == "calls that wait"
    assert abs(report.arrays - freed) <= 0.01 * freed
    assert report.total == report.arrays + report.nodes
    for rows in (report.by_operator, report.by_line):
        assert sum(row.total for row in rows) == report.total
        assert sum(row.shared for row in rows) == report.shared


def test_what_the_program_holds_is_told_apart():
    x = variable(100, 100)
    with autograd.record():
        h = nd.exp(x)
        y = nd.exp(h)
    both = autograd.memory_report(y)
    assert both.shared >= 2 * 40_000  # the gradient of x, and h
    assert 40_000 <= both.arrays < 45_000
    del h
    alone = autograd.memory_report(y)
    assert 80_000 <= alone.arrays < 90_000


def test_a_functions_arrays_that_the_program_holds():
    x = variable(100, 100)
    double = Double()
    with autograd.record():
        y = double(x).sum()
    held = autograd.memory_report(y).arrays
    del double
    assert autograd.memory_report(y).arrays - held >= 40_000


def test_nodes_agree_with_the_memory_of_the_process():
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallinfo2"):
        pytest.skip("needs glibc 2.33")

    class Info(ctypes.Structure):
        _fields_ = [(name, ctypes.c_size_t) for name in "abcdefghij"]

    libc.mallinfo2.restype = Info
    x = variable(2)
    with autograd.record():
        y = x
        for _ in range(5_000):
            y = nd.tanh(y * 2) + x
    report = autograd.memory_report(y)
    row = {row.name: row for row in report.by_operator}
    assert row["tanh"].steps == 5_000
    gc.collect()
    in_use = libc.mallinfo2().h
    del y
    freed = in_use - libc.mallinfo2().h
    assert abs(report.nodes - freed) < 0.01 * freed


def test_the_report_as_text():
    x = variable(100, 100)
    with autograd.record():
        y = nd.exp(x).sum()
    report = autograd.memory_report(y)
    lines = str(report).splitlines()
    assert lines[0].startswith("The tape keeps 4")
    assert " kB" in lines[0]
    assert lines[3].split() == ["operator", "steps", "arrays", "nodes", "shared", "with", "program"]
    assert lines[5].split()[:2] == ["exp", "1"]
    assert f"{__file__}:" in str(report)
    assert repr(report) == f"<MemoryReport: {report.total} bytes in 3 steps>"


# ---- listings and pictures


def listing(y):
    text = io.StringIO()
    autograd.print_graph(y, file=text)
    return text.getvalue().splitlines()


def test_print_graph_shows_what_repeats_once():
    x, c = variable(3), nd.ones((3,))
    with autograd.record():
        y = x
        for _ in range(50):
            y = nd.tanh(y * c)
        y = y.sum()
    lines = listing(y)
    assert len(lines) == 5
    assert lines[0].split()[:2] == ["1", "variable"]
    assert lines[1].split()[:4] == ["2", "broadcast_mul", "1", "const"]
    assert lines[2].split()[:3] == ["3", "tanh", "2"]
    assert lines[3].strip() == "... these 2 steps 49 more times: 4 to 101"
    assert lines[4].split()[:3] == ["102", "sum", "101"]


def test_names():
    net = gluon.nn.Dense(2, in_units=3)
    net.initialize()
    x = variable(4, 3)
    with autograd.record():
        y = net(x)
    text = io.StringIO()
    autograd.print_graph(y, file=text, names={**net.collect_params(), "x": x, "off": nd.ones(1)})
    names = [line.split()[1] for line in text.getvalue().splitlines()]
    assert names[:3] == ["x", f"{net.prefix}weight", f"{net.prefix}bias"]
    assert f"{net.prefix}bias" in autograd.plot_graph(y, "layered", net.collect_params()).svg
    with pytest.raises(TypeError, match="print_graph: names must be of arrays or parameters, 'x'"):
        autograd.print_graph(y, names={"x": 3})


def test_retained_gradients_are_the_tapes():
    x = variable(100, 100)
    with autograd.record():
        h = nd.exp(x)
        h.retain_grad()
        y = h.sum()
    del h
    report = autograd.memory_report(y)
    before = used()
    del y
    assert report.arrays == before - used()


def test_print_graph_does_not_hide_what_differs():
    x = variable(3)
    with autograd.record():
        y = x
        for i in range(6):
            y = nd.clip(y, 0, i)
    assert len(listing(y)) == 7


def deep_network():
    net = gluon.nn.Sequential()
    for _ in range(50):
        net.add(gluon.nn.Dense(8, activation="tanh"))
    net.initialize()
    with autograd.record():
        return net(nd.ones((2, 4))).sum()


def residual_network():
    net = gluon.model_zoo.vision.resnet18_v1(classes=4)
    net.initialize()
    with autograd.record():
        return net(nd.zeros((1, 3, 32, 32))).sum()


def boxes_of(svg):
    space = "{http://www.w3.org/2000/svg}"
    root = ET.fromstring(svg)
    found = []
    for group in root.iter(f"{space}g"):
        rect = group.find(f"{space}rect")
        if rect is None:
            continue
        x, y, width, height = (float(rect.get(k)) for k in ("x", "y", "width", "height"))
        found.append((x, y, x + width, y + height))
        for text in group.iter(f"{space}text"):
            half = len(text.text) * 6 / 2
            assert x <= float(text.get("x")) - half
            assert float(text.get("x")) + half <= x + width
    return root, found


@pytest.mark.parametrize("make", [deep_network, residual_network])
def test_pictures_have_no_boxes_over_each_other(make):
    y = make()
    tape = autograd.tape(y)
    root, boxes = boxes_of(autograd.plot_graph(y, engine="layered").svg)
    assert len(boxes) == len(tape) + 1
    for a, b in itertools.combinations(boxes, 2):
        assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
    width, height = float(root.get("width")), float(root.get("height"))
    assert all(x0 >= 0 and y0 >= 0 and x1 <= width and y1 <= height for x0, y0, x1, y1 in boxes)
    # A chain is drawn straight down.
    if make is deep_network:
        assert width < 600


def test_layers_go_down():
    wires = [(0, 2), (1, 2), (2, 3), (0, 4), (3, 4)]
    layout = _layered.place(dict.fromkeys(range(5), (50.0, 20.0)), wires, set())
    for source, target in wires:
        assert layout.centers[source][1] < layout.centers[target][1]
    for (source, target), points in zip(wires, layout.wires):
        assert [y for _, y in points] == sorted(y for _, y in points)
        assert points[0][1] == layout.centers[source][1] + 10
        assert points[-1][1] == layout.centers[target][1] - 10


def test_pictures(tmp_path):
    x = variable(3)
    with autograd.record():
        y = nd.exp(x) * 2
    plot = autograd.plot_graph(y, engine="layered", names={"<x & y>": x})
    assert "&lt;x &amp; y&gt;" in plot._repr_svg_()
    plot.save(tmp_path / "tape.svg")
    assert (tmp_path / "tape.svg").read_text(encoding="utf-8") == plot.svg
    with pytest.raises(ValueError, match="does not end so"):
        plot.save(tmp_path / "tape.png")
    with pytest.raises(ValueError, match="engine must be 'dot' or 'layered', got 'neato'"):
        autograd.plot_graph(y, engine="neato")


def test_dot(monkeypatch):
    x = variable(3)
    with autograd.record():
        y = nd.exp(x) * 2
    if shutil.which("dot"):
        svg = autograd.plot_graph(y, engine="dot", names={"a<b": x}).svg
        assert svg.startswith("<svg")
        assert "a&lt;b" in svg
        ET.fromstring(svg)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MXNetError, match="needs graphviz"):
        autograd.plot_graph(y, engine="dot")
    assert "mxtape-arrow" in autograd.plot_graph(y).svg
