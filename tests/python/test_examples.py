"""The example programs run, and say so with their exit status when something is wrong."""

import importlib.util
import io
import math
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
        timeout=1200 if "MXTAPE_SANITIZED" in os.environ else 120,
        # Threads that wait do not spin: on a busy machine that takes ten times as long.
        env={**os.environ, "PYTHONIOENCODING": "utf-8", "OMP_WAIT_POLICY": "passive"},
    )


def load(program):
    """Import an example as a fresh module, with what the examples share."""
    if str(EXAMPLES) not in sys.path:
        sys.path.append(str(EXAMPLES))
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
    labels = sorted(train[1].tolist() + test[1].tolist())
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

    _, slope, hessian = process.gradient_and_hessian(model.loss, at(here))
    np.testing.assert_allclose(process.gradient(model.loss, at(here))[1], slope, rtol=1e-9)
    step = 1e-4 * np.eye(3)
    for i in range(3):
        above, below = (process.gradient(model.loss, at(here + s * step[i]))[1] for s in (1, -1))
        np.testing.assert_allclose(hessian[i], (above - below) / 2e-4, rtol=1e-5, atol=1e-4)


@pytest.fixture
def logistic():
    pytest.importorskip("sklearn")
    return load("custom_logistic")


@pytest.mark.parametrize(("method", "most"), [("newton", 12), ("chebyshev", 7)])
def test_a_custom_operator_is_minimised_with_higher_derivatives(logistic, method, most):
    done = run("custom_logistic.py", "--method", method)
    assert done.returncode == 0, done.stdout
    steps, loss = re.search(r"(\d+) steps, loss ([\d.]+)", done.stdout).groups()
    assert int(steps) <= most  # Newton's method needs 9, third derivatives save three
    assert f"scikit-learn's loss {loss[:-2]}" in done.stdout
    assert float(re.search(r"held-out accuracy ([\d.]+) %", done.stdout)[1]) > 95


def test_a_custom_operator_short_of_a_minimum_is_a_failure(logistic):
    done = run("custom_logistic.py", "--method", "gradient", "--steps", 20)
    assert done.returncode == 1, done.stdout
    assert "not a minimum after 20 steps" in done.stdout


def test_derivatives_of_the_custom_operator(logistic):
    import numpy as np

    data = logistic.load_tumours()[0]
    random = np.random.RandomState(0)
    here, direction = random.normal(0, 0.3, (2, data[0].shape[1]))

    def at(weights):
        weights = logistic.nd.array(weights, dtype="float64")
        weights.attach_grad()
        return weights

    def loss_at(weights):
        return logistic.objective(data, weights)

    _, slope, hessian = logistic.gradient_and_hessian(loss_at, at(here))
    np.testing.assert_allclose(logistic.gradient(loss_at, at(here))[1], slope, rtol=1e-12)
    third = logistic.third_derivative(data, at(here), direction)
    step = 1e-4 * direction
    values = [logistic.gradient_and_hessian(loss_at, at(here + s * step)) for s in (1, -1)]
    losses, slopes, hessians = zip(*values)
    np.testing.assert_allclose((losses[0] - losses[1]) / 2e-4, slope @ direction, rtol=1e-6)
    np.testing.assert_allclose((slopes[0] - slopes[1]) / 2e-4, hessian @ direction, rtol=1e-5)
    numeric = (hessians[0] - hessians[1]) @ direction / 2e-4
    np.testing.assert_allclose(numeric, third, rtol=1e-4, atol=1e-5 * abs(third).max())


@pytest.fixture
def convnet():
    pytest.importorskip("sklearn")
    return load("convnet_digits")


@pytest.mark.parametrize("optimizer", ["adam", "nag"])
def test_convnet_quick_run(convnet, optimizer):
    """With convolutions that do not learn, the accuracy stays below 92 %."""
    done = run("convnet_digits.py", "--quick", "--optimizer", optimizer)
    assert done.returncode == 0, done.stdout
    assert float(re.search(r"held-out accuracy ([\d.]+) %", done.stdout)[1]) >= 95
    losses = [float(loss) for loss in re.findall(r"loss ([\d.]+)", done.stdout)]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.5


def test_convnet_short_of_the_goal_is_a_failure(convnet):
    done = run("convnet_digits.py", "--epochs", 1)
    assert done.returncode == 1, done.stdout
    assert "less than the 98.5 %" in done.stdout


def test_convnet_moves_scans_by_a_pixel_at_most(convnet):
    import numpy as np

    scans = np.arange(1.0, 641).reshape((10, 1, 8, 8))
    moved = convnet.moved(scans, np.random.RandomState(0))
    padded = np.pad(scans[:, 0], ((0, 0), (1, 1), (1, 1)))
    places = [(i, j) for i in range(3) for j in range(3)]
    for scan, now in zip(padded, moved[:, 0]):
        assert sum((scan[i : i + 8, j : j + 8] == now).all() for i, j in places) == 1


def test_char_lstm_quick_run():
    """A network that forgets what it read cannot do better than the table of pairs."""
    done = run("char_lstm.py", "--quick", "--sample", 60)
    assert done.returncode == 0, done.stdout
    tables = re.search(r"singles ([\d.]+), pairs ([\d.]+), triples ([\d.]+)", done.stdout)
    assert float(tables[1]) > float(tables[2]) > float(tables[3])
    bits = re.search(r"held out: ([\d.]+) bits per character", done.stdout)
    assert float(tables[3]) < float(bits[1]) < float(tables[2])
    sample = re.search(r"-{72}\n(.*)\n-{72}\n", done.stdout, re.DOTALL)[1]
    assert len(sample) == 64
    assert sample.startswith("The ")


def test_char_lstm_short_of_the_goal_is_a_failure():
    done = run("char_lstm.py", "--steps", 2, "--sample", 0)
    assert done.returncode == 1, done.stdout
    assert "is not less than" in done.stdout


def test_char_lstm_tables_of_counts():
    import numpy as np

    lstm = load("char_lstm")
    text = np.array([0, 1, 2] * 400)
    # All three equally often; each follows from the one before.
    assert lstm.table_loss(text, text, 0, 3) == pytest.approx(np.log2(3), abs=1e-3)
    assert lstm.table_loss(text, text, 1, 3) < 0.02


def test_char_lstm_streams_go_on_below():
    import numpy as np

    lstm = load("char_lstm")
    text, steps = lstm.streams(np.arange(10_000))
    text = text.asnumpy()
    assert text.shape == (steps * lstm.LENGTH + 1, lstm.STREAMS)
    assert (np.diff(text, axis=0) == 1).all()
    assert (text[0] == np.arange(lstm.STREAMS) * (10_000 // lstm.STREAMS)).all()


def test_char_lstm_states_are_carried():
    import numpy as np

    lstm = load("char_lstm")
    learnt, _, characters = lstm.load_text()
    read = []

    class Network(lstm.Network):
        def __call__(self, characters, states):
            scores, after = super().__call__(characters, states)
            read.append((states, after))
            return scores, after

    lstm.train(Network(len(characters), np.random.RandomState(0)), learnt, 3, lambda *_: None)
    assert not any(state.asnumpy().any() for state in read[0][0])
    for (_, before), (states, _) in zip(read, read[1:]):
        for carried, state in zip(before, states):
            assert state.asnumpy().tolist() == carried.asnumpy().tolist()
            assert state.asnumpy().any()


def test_module_digits_on_two_contexts_and_resumed_on_one(digits, tmp_path):
    prefix = tmp_path / "lenet"
    done = run("module_digits.py", "--quick", "--contexts", 2, "--prefix", prefix)
    assert done.returncode == 0, done.stdout
    assert float(re.search(r"held-out accuracy ([\d.]+) %", done.stdout)[1]) >= 90
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == sorted(
        ["lenet-symbol.json"]
        + [f"lenet-000{epoch}.{end}" for epoch in (1, 2, 3) for end in ("params", "states")]
    )
    losses = re.findall(r"Train-cross-entropy=([\d.]+)", done.stdout)
    done = run("module_digits.py", "--epochs", 4, "--prefix", prefix, "--resume", 3)
    assert done.returncode == 1, done.stdout  # four epochs are too few
    assert "less than the 97 %" in done.stdout
    losses += re.findall(r"Train-cross-entropy=([\d.]+)", done.stdout)
    assert len(losses) == 4
    assert losses == sorted(losses, key=float, reverse=True)


def test_an_old_model_is_evaluated_and_tuned(digits):
    done = run("load_old_model.py")
    assert done.returncode == 0, done.stdout
    percents = [float(text) for text in re.findall(r"([\d.]+) %", done.stdout)]
    assert percents[0] == 97.77  # what MXNet itself got with it
    assert percents[2] > 96


def test_an_old_model_is_summed_up():
    pytest.importorskip("mxtape.visualization")
    done = run("load_old_model.py", "--summary")
    assert done.returncode == 0, done.stdout
    assert "Total params: 7882" in done.stdout


def run_in_place(name, monkeypatch, *arguments):
    """An example's exit status, run in this process."""
    program = load(name)
    monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
    return program.main()


def test_gluon_digits_go_on_from_a_checkpoint_with_the_same_bits(
    digits, monkeypatch, tmp_path, capsys
):
    """The accuracy after two epochs is not the goal's, so the status is 1."""
    options = ["--epochs", 2, "--dtype", "bfloat16", "--prefix", tmp_path / "net", "--output"]
    assert run_in_place("gluon_digits", monkeypatch, *options, tmp_path / "whole.png") == 1
    whole = capsys.readouterr().out
    assert "less than the 98 %" in whole
    losses = [float(loss) for loss in re.findall(r"loss ([\d.]+)", whole)]
    assert losses[1] < 0.5 * losses[0]
    assert (tmp_path / "whole.png").stat().st_size > 20_000
    rest = run("gluon_digits.py", *options, tmp_path / "rest.png", "--resume", 1)
    assert len(re.findall(r"^epoch", rest.stdout, re.MULTILINE)) == 1
    for end in (r"epoch   2/2.*", r"weights \w{8}"):
        assert re.search(end, rest.stdout)[0] == re.search(end, whole)[0]


@pytest.mark.parametrize("program", ["vae_digits", "gan_digits"])
def test_networks_learn_to_draw_digits(program, digits, monkeypatch, capsys):
    """A network that does not learn is short of the goal: by 10 nats, by three distances."""
    assert run_in_place(program, monkeypatch, "--quick") == 0
    assert "@" in capsys.readouterr().out
    assert run_in_place(program, monkeypatch, "--epochs", 1) == 1
    assert "as this run should reach" in capsys.readouterr().out


def test_the_distance_of_two_clouds_of_images(digits):
    import numpy as np

    distance = load("gan_digits").frechet_distance
    random = np.random.RandomState(0)
    cloud = random.normal(0, 1, (500, 4)) @ random.normal(0, 1, (4, 4))
    assert distance(cloud, cloud) == pytest.approx(0, abs=1e-9)
    assert distance(cloud, cloud + 2) == pytest.approx(4 * 2**2)
    wide = cloud.mean(axis=0) + 3 * (cloud - cloud.mean(axis=0))
    assert distance(cloud, wide) == pytest.approx(4 * np.trace(np.cov(cloud, rowvar=False)))


@pytest.fixture
def words():
    """The example, with the first twelfth of the text to learn from."""
    program = load("word_lstm")
    learnt, test, vocabulary = program.load_words()
    return program, learnt[:7001], test, vocabulary


def test_words_follow_each_other(words):
    import mxtape as mx

    program, learnt, _, vocabulary = words
    mx.random.seed(0)
    network = program.Network(len(vocabulary), 0.0)
    network.initialize(mx.init.Xavier())
    network.hybridize()
    trainer = mx.gluon.Trainer(network.collect_params(), "adam", {"learning_rate": 4e-3})
    bits = [program.train_pass(network, trainer, learnt) for _ in range(3)]
    assert bits[0] > bits[1] > bits[2]
    assert bits[2] < math.log2(len(vocabulary)) - 2
    # The matrix of the words is that of the scores.
    assert network.scores.weight is network.words.weight
    text = program.write(network, vocabulary, ["The"], 5)
    assert text.startswith("The ")


def test_the_states_of_the_words_are_carried(words):
    import numpy as np

    import mxtape as mx

    program, learnt, _, vocabulary = words
    network = program.Network(len(vocabulary), 0.0)
    network.initialize(mx.init.Xavier())
    text = mx.nd.array(learnt[:12].reshape((12, 1)))
    whole, _ = network(text, network.start(1))
    first, states = network(text[:7], network.start(1))
    second, _ = network(text[7:], states)
    parts = mx.nd.concat(first, second, dim=0)
    np.testing.assert_allclose(parts.asnumpy(), whole.asnumpy(), rtol=1e-4, atol=1e-6)


@pytest.fixture
def dates():
    import mxtape as mx

    mx.random.seed(0)
    program = load("transformer_dates")
    program.FIRST_DAY = program.datetime.date(2015, 1, 1)
    network = program.Transformer()
    network.initialize(mx.init.Xavier())
    network.hybridize()
    return program, network


def test_dates_are_written_in_many_ways(dates):
    import datetime

    program, _ = dates
    day = datetime.date(2002, 3, 1)
    texts = [program.day_text(day, style) for style in program.STYLES]
    assert texts == ["fri, 1 march 2002", "1 mar 2002", "mar 1st, 2002", "3/1/02", "march 1, 2002"]
    (learnt, written), (test, _) = program.load_dates()
    assert written.shape == (len(learnt), program.WRITTEN)
    assert not {bytes(row) for row in test} & {bytes(row) for row in learnt}


def test_the_transformer_sees_what_it_should(dates):
    """Each character depends on those before it, on all that is read, not on what fills up."""
    import numpy as np

    program, network = dates
    nd = program.nd
    read, written = program.numbers(["1 mar 2002"], program.READ), np.arange(10.0).reshape((1, 10))

    def scores(read, written):
        return network(nd.array(read), nd.array(written)).asnumpy()[0]

    at_first = scores(read, written)
    other = written.copy()
    other[0, 6] = 30
    changed = abs(scores(read, other) - at_first).max(axis=1) > 1e-4
    assert changed.tolist() == [False] * 6 + [True] * 4
    another = read.copy()
    another[0, 0] = 9
    assert (abs(scores(another, written) - at_first).max(axis=1) > 1e-4).all()
    short = read[:, :10]  # without what fills up
    np.testing.assert_allclose(scores(short, written), at_first, rtol=1e-3, atol=1e-5)


def test_the_transformer_learns(dates, capsys):
    import numpy as np

    program, network = dates
    data = program.load_dates()[0]
    program.train(network, data, 50, np.random.RandomState(0))
    losses = [float(loss) for loss in re.findall(r"loss ([\d.]+)", capsys.readouterr().out)]
    assert losses[0] > 3
    assert losses[-1] < 1.3
    assert program.write(network, data[0][:3]).shape == (3, 10)


def test_transfer_learning_from_a_file(digits, monkeypatch, tmp_path, capsys):
    path = tmp_path / "digits.params"
    assert run_in_place("transfer_digits", monkeypatch, "--quick", "--file", path) == 0
    assert f"made {path}" in capsys.readouterr().out
    assert run_in_place("transfer_digits", monkeypatch, "--quick", "--file", path) == 0
    assert "made" not in capsys.readouterr().out


@pytest.fixture
def shapes():
    pytest.importorskip("PIL")
    pytest.importorskip("matplotlib")
    return load("detect_shapes")


def test_shapes_are_detected_in_a_quick_run(shapes, tmp_path):
    """A detector that has not learnt has an mAP of less than 5 %."""
    done = run("detect_shapes.py", "--quick", "--output", tmp_path / "shapes.png")
    assert done.returncode == 0, done.stdout
    assert float(re.search(r"held-out mAP ([\d.]+) %", done.stdout)[1]) >= 40
    losses = [float(loss) for loss in re.findall(r"loss ([\d.]+)", done.stdout)]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < losses[0] / 2
    assert (tmp_path / "shapes.png").stat().st_size > 20_000


def test_mean_average_precision_of_detections(shapes):
    import numpy as np

    first, second, far = (0, 0, 0.4, 0.4), (0.5, 0.5, 1, 1), (0.6, 0, 1, 0.3)
    labels = np.array([[(0, *first), (0, *second)], [(1, *first), [-1] * 5]])
    right = [np.array([(0, 0.9, *first), (0, 0.8, *second)]), np.array([(1, 0.7, *first)])]

    def precision(*rows):
        return shapes.mean_average_precision([np.array(r).reshape(-1, 6) for r in rows], labels)

    assert shapes.mean_average_precision(right, labels) == 1
    assert precision([], []) == 0
    assert precision([], right[1]) == 0.5  # one of the two classes
    # Found twice, at a place where nothing is, as another class: each is one mistake.
    twice = [(0, 0.9, *first), (0, 0.85, *first), (0, 0.8, *second)]
    assert precision(twice, []) == pytest.approx((1 + 2 / 3) / 2 / 2)
    assert precision([(0, 0.95, *far), *right[0]], []) == pytest.approx((2 / 3) / 2)
    assert precision([(1, 0.9, *first)], right[1]) == pytest.approx((1 / 2) / 2)
    # A mistake that is less sure than what is right costs nothing.
    assert precision([*right[0], (0, 0.1, *far)], right[1]) == 1


def test_shapes_lie_in_their_boxes(shapes):
    import numpy as np

    rng = np.random.RandomState(0)
    drawn = shapes.random_shapes(rng)
    picture = shapes.draw_picture(rng, drawn)
    bright = picture.min(axis=2) > 110
    middles = (np.arange(shapes.SIZE) + 0.5) / shapes.SIZE
    inside = np.zeros_like(bright)
    for _, _, (left, top, right, bottom) in drawn:
        columns = (middles > left - 0.02) & (middles < right + 0.02)
        part = np.outer((middles > top - 0.02) & (middles < bottom + 0.02), columns)
        assert 0.3 < bright[part].mean() < 1
        inside |= part
    assert not bright[~inside].any()


def test_records_of_shapes_are_read_as_they_were_drawn(shapes, tmp_path):
    import numpy as np

    prefix = tmp_path / "shapes"
    shapes.write_records(prefix, 5, 3)
    rng = np.random.RandomState(3)
    batch = next(shapes.read_records(prefix))
    assert batch.pad == shapes.BATCH - 5
    for i in range(5):
        drawn = shapes.random_shapes(rng)
        picture = batch.data[0][i].asnumpy().transpose(1, 2, 0) * shapes.SCALE + shapes.MEAN
        np.testing.assert_allclose(picture, shapes.draw_picture(rng, drawn), atol=1e-3)
        labels = batch.label[0][i].asnumpy()
        for row, (kind, _, box) in zip(labels, drawn):
            np.testing.assert_allclose(row, [kind, *box], rtol=1e-5)
        assert (labels[len(drawn) :] == -1).all()
