"""Sums in memory that the processes of a machine share: bits, turns, memory."""

import functools
import json
from pathlib import Path

import numpy as np
import pytest

import dist_shared_program as program
import mxtape as mx
from test_dist import mpirun

PROGRAM = Path(program.__file__)
WAYS = [("one machine", 2), ("one machine", 4), ("two machines", 4), ("none", 2)]


@pytest.fixture(scope="module", params=WAYS, ids=lambda way: f"{way[0]} {way[1]}".replace(" ", "-"))
def way(request, tmp_path_factory):
    """How the processes add up, and what each of them has found."""
    how, size = request.param
    folder = tmp_path_factory.mktemp("dist")
    done = mpirun(size, PROGRAM, how, folder / "found")
    assert done.returncode == 0, done.stdout + done.stderr
    return how, [json.loads((folder / f"found.{rank}").read_text()) for rank in range(size)]


def in_order(how, arrays):
    """The sum in the order of ranks; of two machines, the sum of the sums of each."""
    if how == "two machines":
        half = len(arrays) // 2
        arrays = [in_order("", arrays[:half]), in_order("", arrays[half:])]
    return functools.reduce(np.add, arrays)


def test_bits(way):
    """Of all dtypes, and of sizes that the processes cannot share out evenly."""
    how, found = way
    assert [one["is shared"] for one in found] == [how != "none"] * len(found)
    for dtype in program.DTYPES:
        kind = "float32" if "float" in dtype and dtype != "float64" else dtype
        for size in program.SIZES:
            arrays = [
                program.values("float32" if dtype == "bfloat16" else dtype, size, rank)
                for rank in range(len(found))
            ]
            arrays = [mx.nd.array(a, dtype=dtype).astype(kind).asnumpy() for a in arrays]
            total = mx.nd.array(in_order(how, arrays), dtype=kind).astype(dtype)
            total = total.astype("float32") if dtype == "bfloat16" else total
            key, expected = f"{dtype} {size}", program.digest(total.asnumpy())
            assert [one["sums"][key] for one in found] == [expected] * len(found), key


def sums_of_many(how, processes, count):
    """The digests of the sums of so many arrays, of the sizes in turn."""
    sizes = [program.SIZES[i % len(program.SIZES)] for i in range(count)]
    return [
        program.digest(
            in_order(how, [program.values("float32", n + i, rank)[:n] for rank in range(processes)])
        )
        for i, n in enumerate(sizes)
    ]


def test_many_under_way(way):
    how, found = way
    expected = sums_of_many(how, len(found), 12)
    assert [one["under way"] for one in found] == [expected] * len(found)


def test_what_is_lent_is_not_copied_whole(way):
    how, found = way
    expected = sums_of_many(how, len(found), 16)
    assert [one["lent"] for one in found] == [[expected] * 2] * len(found)


def test_a_late_reader(way):
    _, found = way
    total, sevens = sum(range(1, len(found) + 1)), 7 * len(found)
    expected = [[total, total, 0], [sevens, sevens, 0]]
    assert [one["late"] for one in found] == [expected] * len(found)


def test_calls_that_cross(way):
    _, found = way
    assert [one["crossed"] for one in found] == [[[len(found), len(found), 0]]] * len(found)


def test_an_optimizer_that_writes_to_gradients(way):
    _, found = way
    value = -0.5 * 5 * len(found)
    assert [one["careless"] for one in found] == [[value, value, 0]] * len(found)


def test_memory(way):
    """It stays what two turns need, and goes with the store; no files stay open."""
    how, found = way
    size = {"one machine": len(found), "two machines": len(found) // 2, "none": 0}[how]
    turn = 6 * 4 * program.LARGE * size  # bytes of the buckets of a machine
    for one in found:
        assert one["fork"]
        assert one["memory"]["right"]
        assert turn <= one["memory"]["most"] <= 2.2 * turn
        assert abs(one["memory"]["after"]) <= 0.02 * turn
        assert one["descriptors"] == size


def test_optimizers_only_read_gradients():
    """Those of mxtape; processes have them read the same memory."""
    for name, made in sorted(mx.optimizer.Optimizer.opt_registry.items()):
        if not made.__module__.startswith("mxtape."):
            continue
        updater = mx.optimizer.get_updater(made())
        weights = [mx.nd.ones((3, 4)), mx.nd.ones((2, 1))]
        grads = [mx.nd.random.normal(shape=w.shape) for w in weights]
        before = [mx.base._core.state_of_memory(grad) for grad in grads]
        for _ in range(3):
            updater([0, 1], grads, weights)
        assert [mx.base._core.state_of_memory(grad) for grad in grads] == before, name
