"""The benchmark programs run on mxtape and write sane figures."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


def run(program, *arguments):
    return subprocess.run(
        [sys.executable, str(BENCHMARKS / program), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=120,
    )


def test_overhead(tmp_path):
    done = run("overhead.py", "--rounds", 2, "--json", tmp_path / "overhead.json")
    assert done.returncode == 0, done.stdout
    assert "torch is left out" in done.stdout
    figures = json.loads((tmp_path / "overhead.json").read_text())["mxtape"]
    for series in ("empty call", "unrecorded", "recorded"):
        assert len(figures[series]) == 2
        assert all(1 < ns < 1e6 for ns in figures[series])
    assert min(figures["empty call"]) < min(figures["recorded"])


def test_overhead_says_why_a_peer_cannot_run():
    done = run("overhead.py", "--rounds", 1, "--no-mxtape", "--torch-python", sys.executable)
    if done.returncode == 0:
        pytest.skip("this interpreter has PyTorch")
    assert "torch under" in done.stdout
    assert "No module named 'torch'" in done.stdout


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
def test_tape_chain(tmp_path):
    done = run("tape_chain.py", "--lengths", 1000, 3000, "--json", tmp_path / "chain.json")
    assert done.returncode == 0, done.stdout
    results = json.loads((tmp_path / "chain.json").read_text())
    assert [(r["kind"], r["length"]) for r in results] == [
        ("scalar", 1000),
        ("scalar", 3000),
        ("array", 1000),
        ("array", 3000),
    ]
    for result in results:
        assert "error" not in result
        assert result["forward_ns"] > 0
        assert result["backward_ns"] > 0


def test_convolution(tmp_path):
    layer = "3x3, one image"
    done = run("convolution.py", "--rounds", 2, "--layers", layer, "--json", tmp_path / "c.json")
    assert done.returncode == 0, done.stdout
    figures = json.loads((tmp_path / "c.json").read_text())["mxtape"][layer]
    assert all(len(figures[series]) == 2 for series in ("forward", "both"))
    assert 0 < min(figures["forward"]) < min(figures["both"])
