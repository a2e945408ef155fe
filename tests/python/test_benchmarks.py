"""The benchmarks compute the right thing on mxtape; their tables say what was measured."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import mxtape

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="module", autouse=True)
def _importable():
    sys.path.insert(0, str(BENCHMARKS))
    yield
    sys.path.remove(str(BENCHMARKS))


def workloads():
    sys.path.insert(0, str(BENCHMARKS))
    try:
        return importlib.import_module("workloads").WORKLOADS
    finally:
        sys.path.remove(str(BENCHMARKS))


PROGRAMS = [name for name, workload in workloads().items() if hasattr(workload, "programs")]


def run(program, *arguments, **environment):
    return subprocess.run(
        [sys.executable, str(BENCHMARKS / program), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=120,
        env={**os.environ, **environment},
    )


@pytest.mark.parametrize("name", PROGRAMS)
def test_answer(name):
    worker = importlib.import_module("worker")
    workload = workloads()[name]
    given = workload.inputs(workload.small)
    right = workload.reference(workload.small, given)
    program = workload.program_for("mxtape")(mxtape, workload.small, given)
    for _ in range(workload.check_after or 2):  # twice: a step leaves nothing behind for the next
        program.step()
    right = {key: np.asarray(value, "float32") for key, value in right.items()}
    assert worker.difference(program.answer(), right) < workload.tolerance


def test_a_wrong_answer_is_noticed():
    worker = importlib.import_module("worker")
    right = {"y": np.array([3.0, 4.0], "float32")}
    assert worker.difference({"y": np.array([3.0, 4.5])}, right) == pytest.approx(0.1)
    assert worker.difference({"y": np.array([3.0, np.nan])}, right) == np.inf
    with pytest.raises(worker.WrongAnswer, match="shape"):
        worker.difference({"y": np.zeros(3)}, right)
    with pytest.raises(worker.WrongAnswer, match="not"):
        worker.difference({}, right)


needs_proc = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs /proc")


@needs_proc
def test_worker():
    done = run("worker.py", "chain", "mxtape", "--seconds", 0.01, "--set", "length=2000")
    assert done.returncode == 0, done.stdout
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["unit"] == "ms"
    assert 0 < result["least"] <= result["value"]
    assert result["off"] < 1e-2
    assert result["rss_peak"] >= result["rss_ready"]
    assert 0 <= result["others"] <= 1
    assert result["bytes_per_length"] >= 0


@needs_proc
def test_results(tmp_path):
    done = run(
        *("run.py", "--workloads", "small_ops", "call", "--libraries", "mxtape"),
        *("--rounds", 2, "--seconds", 0.01, "--small", "--output", tmp_path),
    )
    assert done.returncode == 0, done.stdout
    page = (tmp_path / "RESULTS.md").read_text(encoding="utf-8")
    assert "200 recorded operators" in page
    assert "Small sizes: these figures mean nothing" in page
    assert "not measured" in page  # no peer, so no ratio
    assert not (tmp_path / "RESULTS.svg").exists()


def figures(**of_torch):
    """Return a report's figures with 10 ms for mxtape."""
    report = importlib.import_module("report")
    results = {
        "small_ops": {
            ("mxtape", "plain"): [{"value": 10.0}, {"value": 9.0}, {"value": 30.0}],
            **{("torch", malloc): rounds for malloc, rounds in of_torch.items()},
        }
    }
    return report, report.Figures(results, [], {"jax": "could not be installed: no network"})


def test_ratios_are_to_the_better_of_a_peers_two_times():
    report, found = figures(plain=[{"value": 50.0}], keeping=[{"value": 20.0}])
    assert found.ratio("small_ops", "torch") == 0.5
    assert found.missed() == ["small_ops: ≤ 0.35 × torch, reached 0.50"]
    assert "20† (0.50)" in report.goals_tables(found)
    assert "**missed** 0.50" in report.goals_tables(found)
    _, found = figures(plain=[{"value": 50.0}], keeping=[{"value": 60.0}])
    assert found.missed() == []


def test_rounds_of_earlier_runs_count():
    add_rounds = importlib.import_module("run").add_rounds
    about = {"machine": "this", "threads": 2, "small": False, "rounds": 1}
    about |= {"commit": "b", "when": "10:00"}
    rounds = [{"library": "mxtape", "malloc": "plain", "rounds": [{"value": 1}, {"value": 2}]}]
    earlier = {
        "about": {**about, "rounds": 2, "commit": "a", "when": "9:00"},
        "limits": [{"gflops": 7}],
        "results": [{"workload": name, **rounds[0]} for name in ("mlp", "dot")],
    }
    limits, results = [{"gflops": 8}], {"mlp": {("mxtape", "plain"): [{"value": 3}]}}
    add_rounds(earlier, about, limits, results)
    assert (about["rounds"], about["commit"], about["when"]) == (3, "a, b", "9:00, 10:00")
    assert limits == [{"gflops": 7}, {"gflops": 8}]
    assert results["mlp"]["mxtape", "plain"] == [{"value": 1}, {"value": 2}, {"value": 3}]
    assert results["dot"]["mxtape", "plain"] == [{"value": 1}, {"value": 2}]
    with pytest.raises(SystemExit, match="threads 2: 1 now"):
        add_rounds(earlier, {**about, "threads": 1}, limits, results)


def test_disturbed_turns_are_counted():
    report, found = figures(plain=[{"value": 5.0, "others": 0.01}, {"value": 6.0, "others": 0.4}])
    assert "in 1 of 2 turns" in report.quiet(found)
    _, found = figures(plain=[{"value": 5.0, "others": 0.01}])
    assert report.quiet(found) == "Nothing else ran meanwhile."


def test_who_is_left_out_is_named_with_the_reason():
    report, found = figures(plain=[{"value": 1.0}, {"error": "wrong answer: off by 2"}])
    assert found.ratio("small_ops", "torch") is None
    reasons = report.reasons_list(found)
    assert "torch: `small_ops`: wrong answer: off by 2" in reasons
    assert "jax: `small_ops`: could not be installed: no network" in reasons


def test_chart():
    charts = importlib.import_module("charts")
    groups = {"one": {"torch": 4.0}, "two": {"torch": 0.5}}
    picture = charts.ratio_chart("Title", "below", groups, {"torch": "#123456"}, {})
    assert picture.startswith("<svg")
    assert picture.count("fill='#123456'") == 3  # the legend and two bars


@needs_proc
def test_scaling(tmp_path):
    done = run(
        *("scaling.py", "--only", "tape", "--largest", 1000, "--no-torch"),
        *("--seconds", 0.01, "--output", tmp_path),
    )
    assert done.returncode == 0, done.stdout
    page = (tmp_path / "SCALING.md").read_text(encoding="utf-8")
    assert "| ns per node | 100 | 1,000 |" in page
    assert (tmp_path / "scaling_tape.svg").read_text(encoding="utf-8").startswith("<svg")
