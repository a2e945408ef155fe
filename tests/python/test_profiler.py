"""mx.profiler: what is recorded, the table as MXNet prints it, the trace as browsers read it."""

import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import mxtape as mx
from mxtape import autograd, nd, profiler


@pytest.fixture
def trace(tmp_path):
    """The file of a profiler that records everything."""
    path = tmp_path / "trace.json"
    profiler.set_config(profile_all=True, aggregate_stats=True, filename=path)
    profiler.dumps(reset=True)
    profiler.dump()
    yield path
    profiler.set_state("stop")
    profiler.set_config(filename=path)
    profiler.dumps(reset=True)
    profiler.dump()


def recorded(call):
    """The totals of what a call does: {category: {name: numbers}}."""
    profiler.set_state("run")
    call()
    profiler.set_state("stop")
    found = json.loads(profiler.dumps(reset=True, format="json"))
    return {**found["Time"], **found["Memory"], **found.get("Value", {})}


def counts(totals, category="operator"):
    return {name: numbers["Count"] for name, numbers in totals.get(category, {}).items()}


def gradient():
    x = nd.array([[1.0, -2.0]])
    x.attach_grad()
    with autograd.record():
        y = nd.dot(x, nd.array([[1.0], [1.0]])).relu()
    y.backward()


def test_operators_and_gradients(trace):
    totals = recorded(gradient)
    assert counts(totals)["dot"] >= 2  # and those of its gradient
    assert counts(totals)["relu"] == 1
    assert counts(totals, "backward") == {"_backward_relu": 1, "_backward_dot": 1}
    for numbers in totals["operator"].values():
        assert 0 <= numbers["Min"] <= numbers["Avg"] <= numbers["Max"] <= numbers["Total"] + 1e-9
    assert counts(recorded(lambda: None)) == {}


def test_graphs(trace):
    x = mx.sym.Variable("x")
    executor = mx.sym.tanh(mx.sym.sin(x)).simple_bind(mx.cpu(), x=(3,))
    totals = recorded(lambda: (executor.forward(is_train=True), executor.backward(nd.ones(3))))
    assert {"sin", "tanh"} <= set(counts(totals))
    assert counts(totals, "backward") == {"_backward_sin": 1, "_backward_tanh": 1}


@pytest.mark.parametrize(
    ("symbolic", "imperative", "expected"),
    [(True, False, ["sin"]), (False, True, ["cos"]), (False, False, [])],
)
def test_what_is_recorded(trace, symbolic, imperative, expected):
    executor = mx.sym.sin(mx.sym.Variable("x")).simple_bind(mx.cpu(), x=(3,))
    profiler.set_config(
        profile_symbolic=symbolic,
        profile_imperative=imperative,
        profile_memory=False,
        aggregate_stats=True,
        filename=trace,
    )
    totals = recorded(lambda: (executor.forward(), nd.cos(nd.ones(3))))
    # An executor copies its results to its outputs.
    assert sorted(set(counts(totals)) - {"_copy"}) == expected
    assert "Device Storage" not in totals


def test_waiting_programs_have_the_names_of_their_operators(trace):
    x = nd.ones((512, 512))
    totals = recorded(lambda: nd.exp(nd.relu(x)).wait_to_read())
    assert counts(totals) == {"relu+exp": 1}
    totals = recorded(lambda: nd.exp(nd.relu(x)).sum().wait_to_read())
    assert counts(totals) == {"relu+exp+sum": 1}
    totals = recorded(lambda: nd.argmax(nd.relu(x), axis=1).wait_to_read())
    assert counts(totals) == {"relu": 1, "argmax": 1}


def test_time_inside_counts_once(trace):
    """An operator that computes what it waits for first."""
    x = nd.ones((1024, 1024))

    def call():
        for _ in range(3):
            nd.argmax(nd.exp(x), axis=1).wait_to_read()

    totals = recorded(call)
    profiler.dump()
    events = json.loads(trace.read_text())["traceEvents"]
    whole = sum(e["dur"] for e in events if e["name"] == "argmax") / 1e3
    parts = sum(numbers["Total"] for numbers in totals["operator"].values())
    assert parts == pytest.approx(whole, rel=1e-6)
    assert totals["operator"]["exp"]["Total"] > 0


def test_memory(trace):
    kept = []
    totals = recorded(lambda: kept.extend(nd.sin(nd.ones((1000, 60))) for _ in range(4)))
    memory = totals["Device Storage"]["Memory: cpu/0"]
    assert memory["Max"] - memory["Min"] >= 3 * 240  # kB


def test_the_table(trace):
    """As MXNet prints it."""
    profiler.set_state("run")
    nd.sin(nd.ones(3))
    profiler.set_state("stop")
    lines = profiler.dumps().splitlines()
    assert lines[:3] == [
        "",
        "Profile Statistics:",
        "\tNote the difference in units for different entries.",
    ]
    at = lines.index("operator")
    assert lines[at + 1 : at + 4] == [
        "=================",
        "Name                          Total Count        Time (ms)    Min Time (ms)    "
        "Max Time (ms)    Avg Time (ms)",
        "----                          -----------        ---------    -------------    "
        "-------------    -------------",
    ]
    assert re.fullmatch(r"sin {22} {15}1( {11}\d\.\d{4}){4}", lines[at + 4])
    at = lines.index("Device Storage")
    assert lines[at + 2] == (
        "Name                          Total Count    Min Use  (kB)    Max Use  (kB)    "
        "Avg Use  (kB)"
    )


def test_order_and_reset(trace):
    profiler.set_state("run")
    for _ in range(3):
        nd.sin(nd.ones(3))
    nd.dot(nd.ones((300, 300)), nd.ones((300, 300)))
    profiler.set_state("stop")

    def names(**options):
        table = profiler.dumps(**options)
        return re.findall(r"^(sin|dot) ", table[table.index("operator\n") :], re.MULTILINE)

    assert names() == names(sort_by="avg") == names(sort_by="max") == ["dot", "sin"]
    assert names(sort_by="count") == names(sort_by="min", ascending=True) == ["sin", "dot"]
    profiler.dumps(reset=True)
    assert "sin" not in profiler.dumps()


def test_pause_and_stop(trace):
    profiler.set_state("run")
    profiler.pause()
    nd.sin(nd.ones(3))
    profiler.resume()
    nd.cos(nd.ones(3))
    profiler.set_state("stop")
    nd.tan(nd.ones(3))
    totals = json.loads(profiler.dumps(format="json"))["Time"]
    assert set(totals["operator"]) == {"cos"}
    profiler.set_config(filename=trace)
    assert len(profiler.dumps().splitlines()) == 3  # without aggregate_stats


def test_what_the_program_says(trace):
    domain = profiler.Domain("work")
    task, frame, event = domain.new_task("task"), domain.new_frame("frame"), profiler.Event("event")
    marker = domain.new_marker("marker")
    for one in (task, frame, event):
        one.start()
        one.stop()  # not recorded
    profiler.set_state("run")
    for one in (task, frame, event):
        one.stop()  # without a start
        one.start()
        one.stop()
    counter = domain.new_counter("counter", 5)
    counter += 2
    counter -= 1
    counter.increment()
    counter.decrement(3)
    marker.mark()
    marker.mark("global")
    profiler.set_state("stop")
    assert [str(x) for x in (domain, task, frame, event, counter)] == [
        *"work task frame event counter".split()
    ]
    table = profiler.dumps()
    for title in ("work\n", "work,frame\n", "work,instant_marker\n", "event\n", "Max Value"):
        assert title in table
    profiler.dump()
    events = json.loads(trace.read_text())["traceEvents"]
    assert [e["args"]["counter"] for e in events if e["ph"] == "C"] == [5, 7, 6, 7, 4]
    assert [e["s"] for e in events if e["ph"] == "i"] == ["p", "g"]
    assert [e["name"] for e in events if e["ph"] == "X"] == ["task", "frame", "event"]


def check_trace(path):
    """What the trace event format demands."""
    found = json.loads(Path(path).read_text())
    assert found["displayTimeUnit"] in ("ms", "ns")
    for event in found["traceEvents"]:
        assert isinstance(event["name"], str)
        assert isinstance(event["pid"], int)
        if event["ph"] == "M":
            assert event["name"] in ("process_name", "thread_name")
            assert isinstance(event["args"]["name"], str)
            continue
        assert isinstance(event["tid"], int)
        assert isinstance(event["cat"], str)
        assert event["ts"] > 1.5e15  # microseconds since 1970
        if event["ph"] == "X":
            assert event["dur"] >= 0
        elif event["ph"] == "C":
            assert all(isinstance(value, (int, float)) for value in event["args"].values())
        else:
            assert event["ph"] == "i"
            assert event["s"] in "gpt"
    return found["traceEvents"]


def test_the_trace(trace):
    profiler.set_state("run")
    gradient()
    profiler.set_state("stop")
    profiler.dump(finished=False)
    first = check_trace(trace)
    profiler.dump()
    assert check_trace(trace) == first
    profiler.dump()
    assert [e["ph"] for e in check_trace(trace)] == ["M"]
    # A gradient's operators stand inside it.
    (outer,) = [e for e in first if e["name"] == "_backward_dot"]
    inside = [
        e
        for e in first
        if e["name"] == "dot" and outer["ts"] <= e["ts"] <= outer["ts"] + outer["dur"]
    ]
    assert inside


def test_threads(trace):
    def work():
        for _ in range(200):
            nd.sin(nd.ones(3))

    def call():
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert counts(recorded(call)) == {"sin": 800}
    profiler.dump()
    assert len({e["tid"] for e in check_trace(trace) if e["ph"] == "X"}) == 4


def test_values_are_the_same(trace):
    x = nd.array(np.linspace(-2, 2, 1000).reshape(10, 100))
    before = nd.softmax(x * 3).asnumpy()
    profiler.set_state("run")
    assert (nd.softmax(x * 3).asnumpy() == before).all()


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: profiler.set_config(foo=1), mx.MXNetError, "no foo; there are profile_all, "),
        (lambda: profiler.set_state("x"), KeyError, "'run' or 'stop'; got 'x'"),
        (lambda: profiler.set_state("run", profile_process="server"), mx.MXNetError, "no servers"),
        (lambda: profiler.dump(profile_process="x"), mx.MXNetError, "'worker'"),
        (lambda: profiler.dumps(format="x"), AssertionError, "'table' or 'json'; got 'x'"),
        (lambda: profiler.dumps(sort_by="x"), AssertionError, "total, avg, min, max, count"),
        (lambda: profiler.Domain("d").new_marker("m").mark("x"), mx.MXNetError, "scope is one of"),
        (lambda: profiler.Counter(profiler.Domain("d"), "c", "s"), ValueError, "invalid literal"),
        (lambda: profiler.set_config(filename=3), TypeError, "os.PathLike"),
    ],
)
def test_errors(call, error, text):
    with pytest.raises(error, match=text):
        call()


def test_old_names(trace):
    with pytest.warns(DeprecationWarning, match="use profiler.set_config"):
        profiler.profiler_set_config("all", str(trace))
    with pytest.warns(DeprecationWarning, match="use profiler.set_state"):
        profiler.profiler_set_state("run")
    nd.sin(nd.ones(3))
    with pytest.warns(DeprecationWarning, match="set_config"):
        with pytest.raises(mx.MXNetError, match="profile_foo"):
            profiler.profiler_set_config("foo")
    with pytest.warns(DeprecationWarning, match=r"use profiler.dump$"):
        profiler.dump_profile()
    assert "sin" in [e["name"] for e in check_trace(trace)]


def test_autostart(tmp_path):
    """The trace is written at the end, and a child writes none of its own."""
    program = "import os, mxtape as mx; mx.nd.sin(mx.nd.ones(3))\nif os.fork(): os.wait()"
    environment = {
        **os.environ,
        "MXNET_PROFILER_AUTOSTART": "1",
        "PYTHONPATH": str(Path(mx.__file__).parents[1]),
    }
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=environment, check=True)
    events = check_trace(tmp_path / "profile.json")
    assert [e["name"] for e in events if e["ph"] == "X"] == ["sin"]
    assert os.listdir(tmp_path) == ["profile.json"]
