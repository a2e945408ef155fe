"""Updates by row_sparse gradients: as dense ones, where lazy only in the rows that are there."""

import numpy as np
import pytest

import mxtape as mx
from mxtape import autograd, nd
from mxtape._loader import core
from support import assert_same

opt = mx.optimizer
SGD = {"wd": 0.25, "rescale_grad": 0.5, "clip_gradient": 0.25}
# By operator: how many states, its parameters, whether it is told to be lazy.
OPERATORS = {
    "sgd_update": (0, SGD, True),
    "sgd_mom_update": (1, {**SGD, "momentum": 0.5}, True),
    "adam_update": (2, SGD, True),
    "ftrl_update": (2, SGD, False),
    "_sparse_adagrad_update": (1, {"rescale_grad": 0.5, "clip_gradient": 0.25}, False),
}
SHAPES = [(7, 3), (40, 1), (1000,), (300, 130), (3, 20000), (5, 2, 3), (1, 7)]


def operator(name):
    return nd.sparse.adagrad_update if name == "_sparse_adagrad_update" else getattr(nd, name)


def random_rows(shape, seed, part=0.3):
    """Some rows, ascending: at least one, and the last of them half of the time."""
    rng = np.random.RandomState(seed)
    rows = np.flatnonzero(rng.uniform(size=shape[0]) < part)
    return np.unique(np.append(rows, rng.randint(shape[0])))


def problem(name, shape, dtype, seed=0):
    """A weight, its states, the rows of a gradient and the whole gradient."""
    rng = np.random.RandomState(seed)
    count = OPERATORS[name][0]
    weight, *states = (rng.uniform(0.25, 2, shape).astype(dtype) for _ in range(count + 1))
    rows = random_rows(shape, seed)
    grad = np.zeros(shape, dtype)
    grad[rows] = rng.uniform(-1, 1, (len(rows), *shape[1:]))
    return weight, states, rows, grad


def arrays(values, stype="default"):
    return [nd.array(value, dtype=str(value.dtype)).tostype(stype) for value in values]


def sparse(grad, rows):
    dtype = str(grad.dtype)
    return nd.sparse.row_sparse_array((grad[rows], rows), shape=grad.shape, dtype=dtype)


def updated(name, weight, grad, states, **options):
    """The weight and the states after one step, as NumPy arrays."""
    _, given, _ = OPERATORS[name]
    result = operator(name)(weight, grad, *states, out=weight, lr=0.5, **given, **options)
    assert result is weight
    return [x.asnumpy() for x in (weight, *states)]


def assert_close(found, expected, dtype, what=""):
    """Equal but for how products and sums are rounded, which differs with the places in a loop."""
    tolerance = {"float16": 2e-3, "float32": 1e-6, "float64": 1e-14}[dtype]
    np.testing.assert_allclose(found, expected, tolerance, tolerance, err_msg=what)


def lazily(name, lazy):
    return {"lazy_update": lazy} if OPERATORS[name][2] else {}


# ---- operators


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
@pytest.mark.parametrize("name", OPERATORS)
def test_lazy_updates_are_dense_ones_in_the_rows_that_are_there(name, dtype):
    """Of row_sparse weights and states; those of dense ones are lazy where they can be told to."""
    for seed, shape in enumerate(SHAPES):
        weight, states, rows, grad = problem(name, shape, dtype, seed)
        (w,), s = arrays([weight]), arrays(states)
        expected = updated(name, w, arrays([grad])[0], s)
        for stype in ("row_sparse", "default") if name != "ftrl_update" else ("row_sparse",):
            (w,), s = arrays([weight], stype), arrays(states, stype)
            found = updated(name, w, sparse(grad, rows), s, **lazily(name, True))
            assert {x.stype for x in (w, *s)} == {stype}
            for before, after, dense in zip([weight, *states], found, expected):
                others = np.setdiff1d(np.arange(shape[0]), rows)
                assert_close(after[rows], dense[rows], dtype, f"{shape} {stype}")
                np.testing.assert_array_equal(after[others], before[others], f"{shape} {stype}")


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
@pytest.mark.parametrize("name", [*(n for n in OPERATORS if OPERATORS[n][2]), "ftrl_update"])
def test_std_updates_are_dense_ones(name, dtype):
    """At the borders of pieces of work too."""
    for seed, shape in enumerate(SHAPES):
        weight, states, rows, grad = problem(name, shape, dtype, seed)
        (w,), s = arrays([weight]), arrays(states)
        expected = updated(name, w, arrays([grad])[0], s)
        kinds = [("default", "default"), ("row_sparse", "default"), ("row_sparse", "row_sparse")]
        for weight_stype, state_stype in kinds[:1] if name == "ftrl_update" else kinds:
            (w,), s = arrays([weight], weight_stype), arrays(states, state_stype)
            found = updated(name, w, sparse(grad, rows), s, **lazily(name, False))
            for after, dense in zip(found, expected):
                assert_close(after, dense, dtype, f"{shape} {weight_stype}")


@pytest.mark.parametrize("stype", ["default", "row_sparse"])
def test_group_adagrad_is_the_dense_one(stype):
    for dtype in ("float32", "float64", "float16"):
        for seed, shape in enumerate([(7, 3), (40, 1), (300, 130), (3, 2, 4)]):
            weight, _, rows, grad = problem("sgd_update", shape, dtype, seed)
            history = np.random.RandomState(9).uniform(0.5, 1, (shape[0], 1)).astype(dtype)
            (w, h), (d,) = arrays([weight, history]), arrays([grad])
            options = {"lr": 0.5, "rescale_grad": 0.5, "clip_gradient": 0.25}
            nd.contrib.group_adagrad_update(w, d, h, out=w, **options)
            x, k = arrays([weight, history], stype)
            nd.contrib.group_adagrad_update(x, sparse(grad, rows), k, out=x, **options)
            assert_close(x.asnumpy(), w.asnumpy(), dtype)
            assert_close(k.asnumpy(), h.asnumpy(), dtype)


@pytest.fixture
def restored_threads():
    before = core.thread_count()
    yield
    core.set_thread_count(before)


@pytest.mark.usefixtures("restored_threads")
@pytest.mark.parametrize("lazy", [True, False])
@pytest.mark.parametrize("name", OPERATORS)
def test_threads_do_not_change_a_bit(name, lazy):
    for shape in ((3000, 33), (4, 30001), (100000,)):
        weight, states, rows, grad = problem(name, shape, "float32")
        results = []
        for count in (1, 2, 3):
            core.set_thread_count(count)
            (w,), s = arrays([weight]), arrays(states)
            results.append(updated(name, w, sparse(grad, rows), s, **lazily(name, lazy)))
        for other in results[1:]:
            for one, two in zip(results[0], other):
                np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("name", OPERATORS)
def test_without_rows_lazy_updates_change_nothing(name):
    if name == "ftrl_update":
        pytest.skip("Ftrl of dense weights is not lazy")
    weight, states, _, _ = problem(name, (6, 2), "float32")
    (w,), s = arrays([weight]), arrays(states)
    empty = nd.sparse.zeros("row_sparse", (6, 2))
    for before, after in zip([weight, *states], updated(name, w, empty, s)):
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("shape", [(0, 3), (3, 0)])
@pytest.mark.parametrize("lazy", [True, False])
def test_weights_without_elements(shape, lazy):
    w, m, v = (nd.zeros(shape) for _ in range(3))
    grad = nd.sparse.zeros("row_sparse", shape)
    nd.adam_update(w, grad, m, v, out=w, lr=1, lazy_update=lazy)
    assert w.shape == shape


def test_a_row_sparse_state_gets_the_rows_that_it_lacks():
    """It keeps those that it has."""
    weight, (mean, var), rows, grad = problem("adam_update", (6, 2), "float32", 1)
    had = [0, 5]
    kept = np.zeros_like(mean)
    kept[had] = mean[had]
    (w, m), (v,) = arrays([weight, kept]), arrays([var])
    expected = updated("adam_update", w, arrays([grad])[0], [m, v], lazy_update=False)
    (w, v), m = arrays([weight, var], "row_sparse"), sparse(kept, had)
    assert m.indices.asnumpy().tolist() == had
    found = updated("adam_update", w, sparse(grad, rows), [m, v], lazy_update=False)
    assert m.indices.asnumpy().tolist() == list(range(6))
    for one, two in zip(found, expected):
        assert_close(one, two, "float32")


def test_copies_of_what_changes_keep_their_values():
    weight, (mom,), rows, grad = problem("sgd_mom_update", (6, 2), "float32")
    w, m = arrays([weight, mom], "row_sparse")
    copies = w.copy(), m.copy()
    g = sparse(grad, rows)
    updated("sgd_mom_update", w, g, [m])
    np.testing.assert_array_equal(copies[0].asnumpy(), weight)
    np.testing.assert_array_equal(copies[1].asnumpy(), mom)
    np.testing.assert_array_equal(g.asnumpy(), grad)


@pytest.mark.parametrize("grad_stype", ["default", "row_sparse"])
@pytest.mark.parametrize("name", ["sgd_update", "signsgd_update"])
def test_variables_keep_their_gradients(name, grad_stype):
    """By kernels over rows, and through dense arrays."""
    w = nd.ones((3, 2)).tostype("row_sparse")
    w.attach_grad()
    getattr(nd, name)(w, nd.ones((3, 2)).tostype(grad_stype), out=w, lr=0.5)
    with autograd.record():
        y = w * w
    y.backward()
    np.testing.assert_array_equal(w.grad.asnumpy(), np.ones((3, 2)))


# ---- errors: nothing has changed then


def refused(match, name, weight, grad, states, error=mx.MXNetError, **options):
    before = [x.asnumpy() for x in (weight, *states)]
    kinds = [x.stype for x in (weight, *states)]
    with pytest.raises(error, match=match):
        operator(name)(weight, grad, *states, lr=0.5, **options)
    for x, value, kind in zip((weight, *states), before, kinds):
        assert x.stype == kind
        np.testing.assert_array_equal(x.asnumpy(), value)


@pytest.mark.parametrize("name", OPERATORS)
def test_a_row_sparse_weight_has_all_rows(name):
    weight, states, rows, grad = problem(name, (6, 2), "float32")
    partial = sparse(weight, [0, 2])
    states = arrays(states, "row_sparse")
    match = f"{name} of storage types .*must have all of its rows, and this one has 2 of 6"
    refused(match, name, partial, sparse(grad, rows), states, out=partial)


def test_the_weight_is_updated_in_place():
    weight, _, rows, grad = problem("sgd_update", (6, 2), "float32")
    (w,), g = arrays([weight]), sparse(grad, rows)
    refused("out must be the weight itself", "sgd_update", w, g, [])
    refused("out must be the weight itself", "sgd_update", w, g, [], out=nd.zeros((6, 2)))


def test_shapes_and_dtypes_that_do_not_fit():
    weight, (mom,), rows, grad = problem("sgd_mom_update", (6, 2), "float32")
    w, m = arrays([weight, mom])
    short = nd.sparse.zeros("row_sparse", (5, 2))
    refused("must have the shape", "sgd_mom_update", w, short, [m], out=w)
    wide = sparse(grad.astype("float64"), rows)
    refused("must have dtype", "sgd_mom_update", w, wide, [m], out=w)


# ---- optimizers

NAMES = sorted(set(opt.Optimizer.opt_registry) - {"sgld"})
LAZY = {"sgd", "ccsgd", "lars", "lbsgd", "adam", "nag"}  # in a plain call


def follow(optimizer, weight_stype, grad_stype, dtype="float32", steps=4):
    """The weight and the state after steps whose gradients have some rows."""
    rng = np.random.RandomState(4)
    weight = nd.array(rng.uniform(-2, 2, (6, 3)), dtype=dtype).tostype(weight_stype)
    updater = opt.get_updater(optimizer)
    for step in range(steps):
        grad = np.zeros((6, 3), dtype)
        rows = random_rows((6, 3), step)
        grad[rows] = rng.uniform(-1, 1, (len(rows), 3))
        array = sparse(grad, rows) if grad_stype == "row_sparse" else nd.array(grad, dtype=dtype)
        updater(0, array, weight)
    assert weight.stype == weight_stype
    return weight


@pytest.mark.parametrize("name", NAMES)
def test_every_optimizer_follows_its_dense_self(name):
    """Where it is not lazy."""
    own = {} if name == "groupadagrad" else {"wd": 0.25}
    if name in ("sgd", "ccsgd", "adam", "lars"):
        own["lazy_update"] = False
    elif name in ("lbsgd", "nag"):
        own["wd"] = 0  # nothing changes in the other rows then
    for dtype in ("float32", "float64"):
        dense = follow(opt.create(name, **own), "default", "default", dtype)
        kinds = [("default", "row_sparse"), ("row_sparse", "default")]
        if name != "ftrl":
            kinds.append(("row_sparse", "row_sparse"))
        for weight_stype, grad_stype in kinds:
            found = follow(opt.create(name, **own), weight_stype, grad_stype, dtype)
            assert_same(found, dense.asnumpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("own", [{}, {"momentum": 0.5}])
def test_a_list_of_dense_and_sparse_parameters(own):
    """Each is updated as if it came by itself."""
    kinds = [("default", "default"), ("default", "row_sparse"), ("row_sparse", "row_sparse")] * 2
    results = []
    for together in (True, False):
        updater = opt.get_updater(opt.SGD(wd=0.25, learning_rate=0.5, **own))
        rng = np.random.RandomState(1)
        weights = [nd.array(rng.uniform(-1, 1, (6, 3))).tostype(kind) for kind, _ in kinds]
        grads = []
        for i, (_, kind) in enumerate(kinds):
            rows = random_rows((6, 3), i)
            grad = np.zeros((6, 3), "float32")
            grad[rows] = rng.uniform(-1, 1, (len(rows), 3))
            grads.append(sparse(grad, rows) if kind == "row_sparse" else nd.array(grad))
        for _ in range(2):
            if together:
                updater(list(range(len(kinds))), grads, weights)
            else:
                for i, (grad, weight) in enumerate(zip(grads, weights)):
                    updater(i, grad, weight)
        results.append([x.asnumpy() for x in weights])
    for one, two in zip(*results):
        np.testing.assert_array_equal(one, two)


def test_states_are_pickled_with_their_storage_types():
    weight = nd.array(np.arange(12).reshape(6, 2)).tostype("row_sparse")
    grad = sparse(np.ones((6, 2), "float32"), [1, 4])
    first = opt.get_updater(opt.Adam())
    first(0, grad, weight)
    unused = opt.Adam().create_state(1, weight)
    first.states[1], first.states_synced[1] = unused, True
    second = opt.get_updater(opt.Adam())
    second.set_states(first.get_states(dump_optimizer=True))
    for key, state in first.states.items():
        for one, two in zip(state, second.states[key]):
            assert two.stype == "row_sparse"
            assert_same(two.indices, one.indices.asnumpy())
            assert_same(two.data, one.data.asnumpy())
    other = weight.copy()
    first(0, grad, weight)
    second(0, grad, other)
    np.testing.assert_array_equal(weight.asnumpy(), other.asnumpy())


# ---- memory


def test_a_lazy_step_allocates_nothing_of_the_size_of_the_weight():
    rows, width = 200_000, 64
    weight = nd.zeros((rows, width))
    grad = nd.sparse.row_sparse_array(
        (np.ones((50, width), "float32"), np.arange(0, rows, rows // 50)), shape=(rows, width)
    )
    for optimizer in (opt.Adam(), opt.SGD(momentum=0.5), opt.AdaGrad(), opt.contrib.GroupAdaGrad()):
        updater = opt.get_updater(optimizer)
        updater(0, grad, weight)
        mx.runtime.empty_cache()
        before = mx.runtime.memory_stats()["bytes_reserved"]
        updater(0, grad, weight)
        # What is given back stays in the cache.
        assert mx.runtime.memory_stats()["bytes_reserved"] - before < weight.size
