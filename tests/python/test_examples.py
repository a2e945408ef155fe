"""The example programs run, and say so with their exit status when something is wrong."""

import importlib.util
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def run(program, *arguments):
    return subprocess.run(
        [sys.executable, str(EXAMPLES / program), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=120,
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
    )


def load(program):
    """Import an example as a fresh module."""
    spec = importlib.util.spec_from_file_location(f"example_{program}", EXAMPLES / f"{program}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def digits():
    pytest.importorskip("sklearn")
    pytest.importorskip("matplotlib")
    return load("train_digits")


def test_the_tour_finds_every_result_right():
    done = run("autograd_tour.py")
    assert done.returncode == 0, done.stdout
    assert "WRONG" not in done.stdout
    assert done.stdout.count("must be") > 25


@pytest.mark.parametrize("got", [[4.0, 8.1], [4.0], [float("nan"), 8.0], "refused"])
def test_the_tour_fails_on_a_wrong_result(got, capsys):
    tour = load("autograd_tour")

    def stop():
        """A wrong stop"""
        tour.show("a wrong result", got, [4.0, 8.0])

    tour.STOPS[:] = [stop]
    assert tour.main() == 1
    assert "WRONG" in capsys.readouterr().out


def test_the_tour_fails_when_something_is_not_refused(capsys):
    tour = load("autograd_tour")
    tour.show_refused("an action that works", lambda: None)
    assert tour.wrong == ["an action that works"]


def test_digits_quick_run(digits, tmp_path):
    picture = tmp_path / "new" / "digits.png"
    done = run("train_digits.py", "--quick", "--output", picture)
    assert done.returncode == 0, done.stdout
    accuracy = re.search(r"held-out accuracy ([\d.]+) % after ([\d.]+) s", done.stdout)
    assert float(accuracy[1]) >= 90
    assert "\r" not in done.stdout  # the redrawn bar is for terminals
    assert picture.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert picture.stat().st_size > 20_000


def test_digits_same_seed_same_run(digits, tmp_path):
    lines = [
        re.findall(
            r"epoch.*",
            run(
                "train_digits.py", "--quick", "--seed", 3, "--output", tmp_path / f"{i}.png"
            ).stdout,
        )
        for i in range(2)
    ]
    assert len(lines[0]) == 5
    assert lines[0] == lines[1]


def test_digits_short_of_the_goal_is_a_failure(digits, tmp_path):
    done = run("train_digits.py", "--epochs", 1, "--output", tmp_path / "digits.png")
    assert done.returncode == 1, done.stdout
    assert "less than the 97 %" in done.stdout


def test_digits_refuses_no_epochs(digits):
    done = run("train_digits.py", "--epochs", 0)
    assert done.returncode == 2
    assert "--epochs must be at least 1, not 0" in done.stdout


def test_digits_held_out_are_not_trained_on(digits):
    train, test = digits.load_digits()
    assert train[0].shape == (1438, 64)
    assert test[0].shape == (359, 64)
    labels = sorted(train[1].asnumpy().tolist() + test[1].asnumpy().tolist())
    from sklearn.datasets import load_digits

    assert labels == sorted(load_digits().target.tolist())


def test_progress_bar_redraws_on_a_terminal(digits):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    bar = digits.ProgressBar(4, stream=terminal, width=8)
    for done in range(1, 5):
        bar.update(done, "text")
    written = terminal.getvalue()
    assert written.count("\r") == 4
    assert written.count("\n") == 1
    assert written.endswith("\n")
    assert "epoch   2/4 ████░░░░ text" in written


@pytest.fixture
def process():
    pytest.importorskip("sklearn")
    return load("gaussian_process")


def test_newton_finds_the_minimum_of_the_gaussian_process(process):
    done = run("gaussian_process.py")
    assert done.returncode == 0, done.stdout
    steps, loss = re.search(r"(\d+) steps, loss ([\d.]+)", done.stdout).groups()
    assert int(steps) <= 15
    error, of_the_mean = re.search(r"error ([\d.]+) \(the mean's: ([\d.]+)\)", done.stdout).groups()
    assert float(error) < 0.95 * float(of_the_mean)
    assert f"scikit-learn's loss there: {loss}" in done.stdout


def test_a_gaussian_process_short_of_a_minimum_is_a_failure(process):
    done = run("gaussian_process.py", "--method", "gradient", "--steps", 3)
    assert done.returncode == 1, done.stdout
    assert "not a minimum after 3 steps" in done.stdout


def test_the_hessian_of_the_gaussian_process(process):
    import numpy as np

    model = process.GaussianProcess(*process.load_patients()[0])
    here = np.log([1.1, 2.0, 0.7])

    def at(theta):
        theta = process.nd.array(theta, dtype="float64")
        theta.attach_grad()
        return theta

    _, slope, hessian = process.gradient_and_hessian(model, at(here))
    np.testing.assert_allclose(process.gradient(model, at(here))[1], slope, rtol=1e-9)
    step = 1e-4 * np.eye(3)
    for i in range(3):
        above, below = (process.gradient(model, at(here + s * step[i]))[1] for s in (1, -1))
        np.testing.assert_allclose(hessian[i], (above - below) / 2e-4, rtol=1e-5, atol=1e-4)
