"""Stores that several processes share: values, training, and what happens when one process ends."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import dist_program
import mxtape as mx

PROGRAM = Path(dist_program.__file__)
MPIRUN = shutil.which("mpirun", path=os.path.dirname(sys.executable)) or shutil.which("mpirun")


def mpirun(size, *arguments):
    pytest.importorskip("mpi4py", reason="several processes need mpi4py: pip install mxtape[mpi]")
    if MPIRUN is None:
        pytest.skip("several processes need mpirun: pip install mpich")
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join([str(Path(mx.__file__).parents[1]), str(PROGRAM.parent)]),
    }
    return subprocess.run(
        [MPIRUN, "-n", str(size), sys.executable, *map(str, arguments)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture(scope="module", params=[2, 4])
def found(request, tmp_path_factory):
    """What each process has found."""
    path = tmp_path_factory.mktemp("dist") / "found"
    done = mpirun(request.param, PROGRAM, "all", path)
    assert done.returncode == 0, done.stdout + done.stderr
    return [json.loads(Path(f"{path}.{rank}").read_text()) for rank in range(request.param)]


def test_ranks(found):
    assert [one["rank"] for one in found] == [
        [rank, len(found), "dist_sync"] for rank in range(len(found))
    ]


def test_sums(found):
    n, ranks = len(found), sum(range(len(found)))
    third = {dtype: [dtype, [n, 2 * n, ranks]] for dtype in "float16 bfloat16 float64".split()}
    expected = {
        "init is of rank 0": [5, 5],
        "two contexts": [n + ranks] * 2,
        **third,
        "int32": ["int32", [n, 2 * n, ranks]],
        "uint8": ["uint8", [n, 2 * n, ranks]],
        "pushpull": [[ranks, n], [[ranks] * 3] * 2],
        "broadcast": [0, n],
    }
    assert [one["values"] for one in found] == [expected] * n


def test_buckets(found):
    """Whole numbers, so that any order of adding gives the same."""
    expected = [0] * 16
    for rank in range(len(found)):
        rng = np.random.RandomState(rank)
        for _ in range(2):
            for k, n in enumerate((1, 0, 3, 700, 1, 64, 1024, 5000) * 2):
                expected[k] = expected[k] + rng.randint(-4, 5, n)
    expected = [array.tolist() for array in expected]
    assert [one["many"]["arrays"] == expected for one in found] == [True] * len(found)
    assert len({one["many"]["messages"] for one in found}) == 1


def rows_of(values):
    """What a row_sparse array of two columns has whose rows are these numbers, or None."""
    rows = [i for i, value in enumerate(values) if value is not None]
    return ["row_sparse", rows, [[values[i]] * 2 for i in rows]]


def test_rows(found):
    """The sum has the rows that any process has."""
    n, ranks = len(found), sum(range(len(found)))
    few = [1 + i if i < n else None for i in range(9)]
    few[7] = n
    every = [None] * 9
    every[2] = every[4] = ranks + n
    for one in found:
        rows = dict(one["rows"])
        bits = rows.pop("bits")
        assert bits == found[0]["rows"]["bits"]
        asked = [few[i] or 0 if i in (0, 2, 7, 8) else None for i in range(9)]
        all_asked = [every[i] or 0 if i in (0, 2, 7, 8) else None for i in range(9)]
        assert rows == {
            "init is of rank 0": rows_of([5] * 9),
            "init without rows": rows_of([None] * 9),
            "csr": np.eye(3).tolist(),
            **{key: rows_of(few) for key in ("few", "half", "dense")},
            **{f"rows of {key}": rows_of(asked) for key in ("few", "half", "dense")},
            "all": rows_of(every),
            "rows of all": rows_of(all_asked),
            "no rows": rows_of([None] * 9),
            "same": [0, 0, ranks, 0, n, 0, 0, 0, n / 2],
            "other": [0, 0, 2 * ranks, 0, 2 * n, 0, 0, 0, n],
            "large": ["row_sparse", [1, 1 << 39], [[1, 1], [n, n]]],
        }


def test_sums_of_rows_are_those_of_numpy(found):
    total = np.zeros((50, 3))
    for rank in range(len(found)):
        random = np.random.RandomState(rank)
        for _ in range(2):
            latest = np.zeros((50, 3))
            chosen = np.unique(random.randint(0, 50, 20))
            latest[chosen] = random.normal(size=(len(chosen), 3)).astype("float32")
        total += latest
    _, rows, values = found[0]["rows"]["bits"]
    assert rows == np.flatnonzero(total.any(axis=1)).tolist()
    np.testing.assert_allclose(values, total[rows], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    "kind",
    [
        "SparseEmbedding sgd",
        "SparseEmbedding adam",
        "Embedding sgd",
        "Embedding adam",
        "Embedding on the store",
    ],
)
def test_ten_sparse_steps(found, kind):
    """The same bits on all processes, and what one process makes of the whole batch."""
    weights = [one["sparse training"][kind] for one in found]
    assert all(other == weights[0] for other in weights)
    layer, *_, optimizer = kind.replace("on the store", "adam").split()
    alone = dist_program.sparse_weights("device", 0, 1, layer, optimizer)
    np.testing.assert_allclose(weights[0], alone, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("kind", ["both", "both during backward"])
def test_sparse_and_dense_gradients(found, kind):
    weights = [one["sparse training"][kind] for one in found]
    assert all(other == weights[0] for other in weights)
    for one, alone in zip(weights[0], dist_program.weights_of_both_kinds("device", 0, 1)):
        np.testing.assert_allclose(one, alone, rtol=2e-5, atol=2e-6)
    assert found[0]["sparse training"]["sums during backward"] == 20  # of two dense gradients


def test_two_bits(found):
    """What MXNet's workers send: of each process the whole thresholds, the rest with the next."""
    expected = np.zeros((4, 7), np.float32)
    for rank in range(len(found)):
        rng, rest = np.random.RandomState(rank), np.zeros(7, np.float32)
        for step in expected:
            rest = rest + rng.normal(size=7).astype("float32")
            sent = np.where(rest >= 0.5, 0.5, np.where(rest <= -0.5, -0.5, 0)).astype("float32")
            step += sent
            rest = rest - sent
    for one in found:
        assert one["two bits"] == expected.tolist()
        assert one["two bits, summed"] == expected.tolist()


EARLY = [
    f"gluon during backward {name}{how}" for name in ("on", "off") for how in ("", " disturbed")
]
KINDS = ["sgd", "adam", "off the store", "gluon", "gluon off the store"]


@pytest.mark.parametrize("kind", KINDS + EARLY)
def test_ten_steps(found, kind):
    """The same bits on all processes, and what one process makes of the whole batch."""
    weights = [one["training"][kind] for one in found]
    assert all(other == weights[0] for other in weights)
    if kind in EARLY:
        # Of 4 gradients in 10 steps; the disturbed write to one of them in every step.
        assert weights[0].pop("taken") == (30 if "disturbed" in kind else 40)
    if kind.startswith("gluon"):
        alone = dist_program.gluon_weights("device", 0, 1, None, "disturbed" in kind)
    else:
        name = "sgd" if kind == "off the store" else kind
        alone = dist_program.module_weights("local", 0, 1, name)
    assert alone.keys() == weights[0].keys()
    for key in alone:
        np.testing.assert_allclose(weights[0][key], alone[key], rtol=2e-5, atol=2e-6)


def test_errors(found):
    expected = {
        "no such key": "push: there is no key 'none'",
        "bool": "arrays of dtype bool are not added up",
        "no key then": "push: there is no key 'a'",
        "bool pushed": "arrays of dtype bool are not added up",
        "value then": "[0.0, 0.0]",
        "threshold": "threshold 1.0', rank 1 has",
        "optimizer": "'lr': 0.1",
        "schedule": "lr_scheduler': 0.25",
    }
    for one in found:
        for name, text in expected.items():
            assert text in one["errors"][name]


@pytest.mark.parametrize("size", [2, 100_000])  # MPI adds up the one, the processes the other
@pytest.mark.parametrize(
    ("how", "text"),
    [
        ("killed", "signal 9"),
        ("raises", "mxtape: rank 1 ended with ValueError; all 2 processes end"),
        ("leaves", "mxtape: rank 1 has ended, and rank 0 waits for it: push of 'w' ("),
        ("interrupted", "KeyboardInterrupt on rank 0; its values may be others now"),
        ("differs", "the processes must make the same calls in the same order"),
        ("sparse", "the processes must make the same calls in the same order"),
    ],
)
def test_a_process_that_ends_ends_the_others(how, text, size):
    begin = time.monotonic()
    done = mpirun(2, PROGRAM, how, size)
    assert done.returncode != 0
    assert text.lower() in (done.stdout + done.stderr).lower()
    assert time.monotonic() - begin < 20


def test_the_example():
    pytest.importorskip("sklearn")
    done = mpirun(2, PROGRAM.parents[2] / "examples" / "train_mpi.py", "--quick")
    assert done.returncode == 0, done.stdout + done.stderr
    # mpirun may put lines of both processes into one.
    digests = re.findall(r"rank [01] of 2: weights ([0-9a-f]{16})", done.stdout)
    assert len(digests) == 2
    assert digests[0] == digests[1]


def test_another_launcher():
    """Without mpirun, MXNet's own environment is an error, not a training of each one alone."""
    pytest.importorskip("mpi4py")
    done = subprocess.run(
        [sys.executable, "-c", "import mxtape as mx; mx.kv.create('dist_sync')"],
        env={**os.environ, "DMLC_NUM_WORKER": "2", "PYTHONPATH": str(Path(mx.__file__).parents[1])},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "MXNetError: DMLC_NUM_WORKER is set" in done.stderr
    assert "mpirun -n WORKERS" in done.stderr


def test_one_process():
    """A program for several processes runs in one too."""
    pytest.importorskip("mpi4py")
    store = mx.kv.create("dist_sync")
    assert (store.rank, store.num_workers, store.type) == (0, 1, "dist_sync")
    store.init("w", mx.nd.ones(2))
    store.set_optimizer(mx.optimizer.SGD(learning_rate=0.5))
    store.push("w", mx.nd.ones(2))
    assert dist_program.pulled(store, "w").tolist() == [0.5, 0.5]
    with pytest.raises(TypeError, match="cannot be pickled"):
        store.__reduce__()


def test_a_trainers_weights_are_the_stores_values():
    """They are not copied back and forth; where they cannot be shared, they are copied."""
    pytest.importorskip("mpi4py")
    net = mx.gluon.nn.Dense(1, in_units=2, use_bias=False)
    net.initialize(mx.init.One())
    store = mx.kv.create("dist_sync")
    trainer = mx.gluon.Trainer(
        net.collect_params(), "sgd", {"learning_rate": 0.5}, kvstore=store, update_on_kvstore=True
    )

    def step():
        with mx.autograd.record():
            loss = net(mx.nd.array([[1.0, 2.0]]))
        loss.backward()
        trainer.step(1)
        weight = net.weight.data()
        values = weight.asnumpy().tolist()
        assert dist_program.pulled(store, 0, (1, 2)).tolist() == values
        return values, mx.base._core.shares_memory(store._values[0], weight)

    assert step() == ([[0.5, 0.0]], True)
    assert step() == ([[0.0, -1.0]], True)
    net.weight.data()[:] = 4
    assert step() == ([[3.5, 3.0]], True)
    net.weight._data = [mx.nd.zeros((1, 2))]  # as when a parameter gets another array
    net.weight.data().attach_grad()
    net.weight._grad = [net.weight.data().grad]
    assert step() == ([[3.0, 2.0]], False)
