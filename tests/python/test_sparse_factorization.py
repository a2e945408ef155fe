"""examples/factorization_machine.py against the formulas, in NumPy and with dense arrays."""

import re
import subprocess
import sys

import numpy as np
import pytest

from test_examples import EXAMPLES, load, run, run_in_place

ROWS, COLUMNS, RANK = 6, 9, 3


@pytest.fixture
def program(monkeypatch):
    """The example, for a table of a few columns."""
    pytest.importorskip("sklearn")
    loaded = load("factorization_machine")
    monkeypatch.setattr(loaded, "COLUMNS", COLUMNS)
    monkeypatch.setattr(loaded, "BATCH", ROWS)
    return loaded


def _table(seed=0, used=COLUMNS):
    """Rows with about half of the first `used` columns, and answers."""
    from scipy.sparse import csr_matrix

    rng = np.random.RandomState(seed)
    x = rng.uniform(0.5, 2, (ROWS, COLUMNS)) * (rng.random_sample((ROWS, COLUMNS)) < 0.5)
    x[:, used:] = 0
    return csr_matrix(x.astype("float32")), rng.randint(0, 2, ROWS).astype("float32")


def _parameters(module):
    values, _ = module.get_params()
    return {name: value.asnumpy().astype("float64") for name, value in values.items()}


def _chances(x, p):
    """The chances by the definition: a sum over pairs of columns."""
    scores = p["bias"][0] + x @ p["linear_weight"][:, 0]
    v = p["factors_weight"]
    for i in range(COLUMNS):
        for j in range(i):
            scores = scores + (v[i] @ v[j]) * x[:, i] * x[:, j]
    return 1 / (1 + np.exp(-scores))


def _gradients(x, answers, p):
    """Those of the sum of the log losses."""
    errors = _chances(x, p) - answers
    v = p["factors_weight"]
    # d/dv_if of the pairs: x_i (sum_j v_jf x_j - v_if x_i).
    pairs = np.einsum("n,ni,nf->if", errors, x, x @ v) - ((errors @ (x * x))[:, None] * v)
    return {
        "bias": errors.sum(keepdims=True),
        "linear_weight": (x.T @ errors)[:, None],
        "factors_weight": pairs,
    }


def _use_large_weights(program, monkeypatch):
    """So that the pairs matter."""
    first = program.first_parameters

    def larger(rank, rng):
        return {name: value * 50 for name, value in first(rank, rng).items()}

    monkeypatch.setattr(program, "first_parameters", larger)


def test_chances_and_gradients_are_those_of_the_definition(program, monkeypatch):
    _use_large_weights(program, monkeypatch)
    module = program.bound_module(RANK, np.random.RandomState(1))
    rows, answers = _table()
    p, x = _parameters(module), rows.toarray().astype("float64")
    np.testing.assert_allclose(program.predict(module, rows), _chances(x, p), rtol=1e-5)
    module.forward_backward(program.load_batch(module, rows, answers))
    gradients = module._exec_group.execs[0].grad_dict
    assert gradients["factors_weight"].stype == gradients["linear_weight"].stype == "row_sparse"
    for name, want in _gradients(x, answers, p).items():
        got = gradients[name].asnumpy()
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5, err_msg=name)


def _lazy_adam(gradients, state, p, step, options, touched):
    """One step of Adam in float64, of the rows in `touched`; all of the bias."""
    rate = options["learning_rate"] * np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
    for name, gradient in gradients.items():
        rows = slice(None) if name == "bias" else touched
        decay = 0 if name == "bias" else options["wd"]
        g = gradient[rows] / ROWS + decay * p[name][rows]
        mean, variance = state.setdefault(name, (np.zeros_like(p[name]), np.zeros_like(p[name])))
        mean[rows] = 0.9 * mean[rows] + 0.1 * g
        variance[rows] = 0.999 * variance[rows] + 0.001 * g * g
        p[name][rows] -= rate * mean[rows] / (np.sqrt(variance[rows]) + 1e-8)


def test_training_is_that_of_dense_arrays_in_numpy(program, monkeypatch):
    _use_large_weights(program, monkeypatch)
    module = program.bound_module(RANK, np.random.RandomState(1))
    p, state = _parameters(module), {}
    options = {"learning_rate": program.LEARNING_RATE, "wd": program.WEIGHT_DECAY}
    first = {name: value.copy() for name, value in p.items()}
    for step in range(1, 6):
        rows, answers = _table(step, used=COLUMNS - 2)
        x = rows.toarray().astype("float64")
        program.train_epoch(module, rows, answers, np.arange(ROWS))
        touched = np.unique(rows.indices)
        _lazy_adam(_gradients(x, answers, p), state, p, step, options, touched)
    got = _parameters(module)
    for name, want in p.items():
        np.testing.assert_allclose(got[name], want, rtol=1e-4, atol=1e-5, err_msg=name)
        assert abs(want - first[name]).max() > 0.005
    # Columns that no row has keep their weights, to the bit.
    for name in ("linear_weight", "factors_weight"):
        np.testing.assert_array_equal(got[name][-2:], first[name][-2:])


def test_a_linear_model_has_no_factors(program):
    module = program.bound_module(0, np.random.RandomState(1))
    assert sorted(module.get_params()[0]) == ["bias", "linear_weight"]
    rows, _ = _table()
    p = _parameters(module)
    scores = rows.toarray() @ p["linear_weight"][:, 0]
    np.testing.assert_allclose(program.predict(module, rows), 1 / (1 + np.exp(-scores)), rtol=1e-5)


def test_categories_of_images():
    pytest.importorskip("sklearn")
    program = load("factorization_machine")
    rng = np.random.RandomState(0)
    images = rng.random_sample((3, 64))
    numbers = program.categories(images)
    assert numbers.shape == (3, 64 + 56 + 56 + 49 + 49 + 49)
    # One pixel is in its own field, 2 to 4 pairs, 2 to 4 of the diagonals, and 1 to 4 squares.
    other = images.copy()
    other[0, 27] = 1 - np.round(other[0, 27])
    other[1, 0] = 1 - np.round(other[1, 0])
    changed = (program.categories(other) != numbers).sum(axis=1)
    assert changed.tolist() == [1 + 4 + 4 + 4, 1 + 2 + 1 + 1, 0]
    assert len(np.unique(numbers % program.LEVELS**4)) > 100  # levels of fields do not mix
    rows = program.table(images)
    assert rows.shape == (3, program.COLUMNS)
    assert rows.sum(axis=1).tolist() == [[323]] * 3
    assert rows.has_canonical_format


def test_the_hash_spreads_categories():
    pytest.importorskip("sklearn")
    program = load("factorization_machine")
    numbers = np.arange(323 * program.LEVELS**4)
    counts = np.bincount(program.hashed(numbers), minlength=program.COLUMNS)
    mean = len(numbers) / program.COLUMNS
    assert len(counts) == program.COLUMNS
    assert counts.max() < 6 * mean


def test_a_quick_run():
    pytest.importorskip("sklearn")
    done = run("factorization_machine.py", "--quick")
    assert done.returncode == 0, done.stdout
    assert "1438 rows of 32768 columns, of which 7238 are used" in done.stdout
    losses = [float(loss) for loss in re.findall(r"epoch .*?  loss ([\d.]+)", done.stdout)]
    # As MXNet 1.9.1 has it.
    np.testing.assert_allclose(losses, [0.299268, 0.045092], rtol=0.01)
    accuracy = re.findall(r"accuracy ([\d.]+) %", done.stdout)
    assert float(accuracy[-1]) >= 93
    assert "Warning" not in done.stdout


def test_a_model_that_falls_short_is_a_failure(monkeypatch, capsys):
    pytest.importorskip("sklearn")
    assert run_in_place("factorization_machine", monkeypatch, "--rank", 0, "--epochs", 1) == 1
    assert "less than the 95 %" in capsys.readouterr().out


def test_ranks_that_are_refused(monkeypatch, capsys):
    pytest.importorskip("sklearn")
    with pytest.raises(SystemExit):
        run_in_place("factorization_machine", monkeypatch, "--rank", -1)
    assert "--rank must be at least 0, not -1" in capsys.readouterr().err


WIDE_TABLE = """
import numpy as np
import mxtape as mx
from mxtape import nd
import factorization_machine as program

program.COLUMNS = columns = 1_000_000
executor = program.machine(32).simple_bind(
    mx.cpu(),
    {"linear_weight": "write", "factors_weight": "write"},
    data=(3, columns),
    label=(3, 1),
)
used = np.array([7, 70_000, 700_000, 999_999])
x = np.ones(6, "float32"), used[[0, 1, 0, 2, 1, 3]], [0, 2, 4, 6]
executor.arg_dict["data"][:] = nd.sparse.csr_matrix(x, shape=(3, columns))
for name, width in (("linear_weight", 1), ("factors_weight", 32)):
    rows = np.ones((4, width), "float32"), used
    executor.arg_dict[name][:] = nd.sparse.row_sparse_array(rows, shape=(columns, width))
executor.forward(is_train=True)
executor.backward()
print(executor.grad_dict["factors_weight"].indices.asnumpy().tolist() == used.tolist())
print(mx.runtime.memory_stats()["peak_bytes_reserved"] >> 20)
"""


def test_weights_are_not_made_dense():
    """A table of a million columns, 128 MB if it were dense, of which a batch has four."""
    pytest.importorskip("sklearn")
    done = subprocess.run(
        [sys.executable, "-c", WIDE_TABLE],
        cwd=EXAMPLES,
        capture_output=True,
        encoding="utf-8",
        timeout=300,
    )
    right, megabytes = done.stdout.split()
    assert right == "True", done.stderr
    assert int(megabytes) < 16
