"""Sums in memory that the processes of a machine share: bits, turns, memory."""

import json
from pathlib import Path

import pytest

import dist_shared_program as program
import mxtape as mx
from test_dist import mpirun

PROGRAM = Path(program.__file__)
WAYS = [("one machine", 2), ("one machine", 4), ("two machines", 3), ("none", 2)]


@pytest.fixture(scope="module", params=WAYS, ids=lambda way: f"{way[0]} {way[1]}".replace(" ", "-"))
def way(request, tmp_path_factory):
    """How the processes add up, and what each of them has found."""
    how, size = request.param
    folder = tmp_path_factory.mktemp("dist")
    done = mpirun(size, PROGRAM, how, folder / "found")
    assert done.returncode == 0, done.stdout + done.stderr
    return how, [json.loads((folder / f"found.{rank}").read_text()) for rank in range(size)]


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
            total = mx.nd.array(program.in_order(how, arrays), dtype=kind).astype(dtype)
            total = total.astype("float32") if dtype == "bfloat16" else total
            key, expected = f"{dtype} {size}", program.digest(total.asnumpy())
            assert [one["sums"][key] for one in found] == [expected] * len(found), key


def sums_of_many(how, processes, count):
    """The digests of the sums of so many arrays, of the sizes in turn."""
    sizes = [program.SIZES[i % len(program.SIZES)] for i in range(count)]
    return [
        program.digest(
            program.in_order(
                how, [program.values("float32", n + i, rank)[:n] for rank in range(processes)]
            )
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


# By these, each process updates whole parameters.
WHOLE = ("nadam", "lamb", "longer", "mixed", "patched")


def test_updates(way):
    """Bits of values and states are those of one process, whoever updates which part."""
    how, found = way
    names = found[0]["updates"]
    for name in names:
        shown = [one["updates"][name] for one in found]
        assert [one["same"] for one in shown] == [[True] * len(program.UPDATED)] * len(found), name
        assert [one["states"] for one in shown] == [True] * len(found), name
        assert len({one["bits"] for one in shown}) == 1, name
        optimizer, dtype = name.split()
        whole = how == "none" or dtype == "float16" or optimizer in WHOLE
        placed = [0] * 6 if whole else [6, 6, 0, 6, 6, 6]
        assert [one["shares"] for one in shown] == [placed] * len(found), name


def test_keys_that_are_pushed_in_both_ways(way):
    _, found = way
    assert [one["both ways"] for one in found] == [[True] * len(program.UPDATED)] * len(found)


def test_what_stores_leave_behind(way):
    _, found = way
    value = 1 - 0.01 * len(found)
    two = value - 0.015 * len(found)
    for one in found:
        first, second, left = one["left behind"]
        assert first == pytest.approx([value, value, 0])
        assert second == pytest.approx([two, two, 0])
        assert left == 0


def test_counts_that_differ(way):
    """The rate does not depend on which sum comes first."""
    _, found = way
    assert len({tuple(one["counts"]) for one in found}) == 1


def test_an_error_in_an_update(way):
    """Nothing has been updated where it is raised, as in one process."""
    _, found = way
    n = len(found)
    first, last = 1 - 0.5 * n, 1 - 0.5 * n - 0.75 * n
    expected = [[first, first, 0], "no rate", [last, last, 0]]
    assert [one["error"] for one in found] == [expected] * n


def test_an_updater_that_fails(way):
    _, found = way
    n = len(found)
    expected = ["no update", [n, n, 0], "no update", [1, 1, 0]]
    assert [one["failing updater"] for one in found] == [expected] * n


def test_parameters_without_elements(way):
    _, found = way
    assert [one["no elements"] for one in found] == [[[0], [3, 0], [program.LARGE]]] * len(found)


def test_sums_that_no_step_asks_for_are_not_kept(way):
    _, found = way
    assert all(one["not asked for"] <= 4 for one in found)


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
    machines = program.machines(how, len(found))
    for rank, one in enumerate(found):
        size = machines.count(machines[rank]) if how != "none" else 0
        copy = 6 * 4 * program.LARGE  # bytes of the gradients of a process, and of its states
        turn = size * copy
        assert one["fork"]
        assert one["descriptors"] == size
        for found_memory, states in zip(one["memory"], (0, copy if size else 0)):
            assert found_memory["right"]
            # Of what is updated, a process's own part is not in its buckets.
            least = copy + states if states else turn
            assert least <= found_memory["most"] <= 2.2 * turn + 1.1 * states
            assert abs(found_memory["after"]) <= 0.02 * turn


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


def test_all_that_update_parts_are_tried():
    registry = mx.optimizer.Optimizer.opt_registry
    ours = {name for name, made in registry.items() if made.__module__.startswith("mxtape.")}
    parts = {name for name in ours if registry[name]._by_element}
    assert {"sgd", "adam"} <= parts <= program.OPTIMIZERS.keys()
