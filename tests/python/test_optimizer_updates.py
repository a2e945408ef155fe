"""Optimizer updates: many arrays as one at a time, half precision, no out=, refusals, threads."""

import numpy as np
import pytest

from mxtape import nd
from mxtape.base import MXNetError
from mxtape.ndarray import contrib_optimizer as contrib
from support import output_of

RANDOM = np.random.RandomState(0)
SHAPES = [(3, 5), (40_000,), (2, 2, 2), (1,)]
LRS, WDS = (0.1, 0.2, 0.3, 0.4), (0.0, 0.1, 0.2, 0.3)


def draw(shape, dtype="float32", low=-2.0, high=2.0):
    return nd.array(RANDOM.uniform(low, high, shape), dtype=dtype)


def copies(lists):
    return [[x.copy() for x in arrays] for arrays in lists]


def assert_equal(actual, expected):
    for a, b in zip(actual, expected):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a.asnumpy(), b.asnumpy())


def lists_for(dtype, states, master):
    """Lists of weights, gradients, states, and the weights' float32 copies."""
    wide = "float32" if master else dtype
    lists = [[draw(s, dtype) for s in SHAPES] for _ in range(2)]
    lists += [[draw(s, wide, 0.1, 1) for s in SHAPES] for _ in range(states)]
    if master:
        lists.append([w.astype("float32") for w in lists[0]])
    return lists


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
@pytest.mark.parametrize("momentum", [False, True])
@pytest.mark.parametrize("master", [False, True])
@pytest.mark.parametrize("preloaded", [False, True])
def test_many_arrays_are_updated_as_each_alone(dtype, momentum, master, preloaded):
    name = "mp_" * master + "sgd_" + "mom_" * momentum + "update"
    options = {"rescale_grad": 0.5, "clip_gradient": 0.75}
    if momentum:
        options["momentum"] = 0.9
    lists = lists_for(dtype, int(momentum), master)
    alone = copies(lists)
    for i, group in enumerate(zip(*alone)):
        getattr(nd, name)(*group, out=group[0], lr=LRS[i], wd=WDS[i], **options)
    flat = [x for group in zip(*lists) for x in group]
    if preloaded:
        rates = [nd.array(LRS, dtype="float64"), nd.array(WDS, dtype="float64")]
        multi = getattr(nd, "preloaded_multi_" + name)
        result = multi(*flat, *rates, out=lists[0], num_weights=4, **options)
    else:
        multi = getattr(nd, "multi_" + name)
        result = multi(*flat, out=lists[0], lrs=LRS, wds=WDS, num_weights=4, **options)
    assert [r is w for r, w in zip(result, lists[0])] == [True] * 4
    for together, each in zip(lists, alone):
        assert_equal(together, each)


@pytest.mark.parametrize("master", [False, True])
def test_many_arrays_are_updated_by_adamw_as_each_alone(master):
    lists = lists_for("float16" if master else "float32", 2, master)
    alone = copies(lists)
    single = contrib.mp_adamw_update if master else contrib.adamw_update
    for i, group in enumerate(zip(*alone)):
        single(*group, 0.5, lr=LRS[i], wd=WDS[i], eta=0.5, out=group[0])
    multi = contrib.multi_mp_adamw_update if master else contrib.multi_adamw_update
    multi(*lists, 0.5, lrs=LRS, wds=WDS, etas=(0.5,) * 4, out=lists[0])
    for together, each in zip(lists, alone):
        assert_equal(together, each)


@pytest.mark.parametrize("bounds", [{}, {"lower_bound": 1.0, "upper_bound": 3.0}])
def test_many_arrays_are_updated_by_lamb_as_by_its_phases(bounds):
    lists = lists_for("float64", 2, False)
    alone = copies(lists)
    for i, (w, g, m, v) in enumerate(zip(*alone)):
        direction = nd.lamb_update_phase1(w, g, m, v, t=i + 1, wd=WDS[i], clip_gradient=0.5)
        r1, r2 = w.norm(), direction.norm()
        nd.lamb_update_phase2(w, direction, r1, r2, lr=LRS[i], out=w, **bounds)
    steps = (1, 2, 3, 4)
    contrib.multi_lamb_update(*lists, steps, LRS, WDS, out=lists[0], clip_gradient=0.5, **bounds)
    for together, each in zip(lists, alone):
        for a, b in zip(together, each):
            np.testing.assert_allclose(a.asnumpy(), b.asnumpy(), rtol=1e-12, atol=1e-12)


# Operator: states, parameters.
STATES = {
    "nag_mom_update": (1, {"lr": 0.1, "momentum": 0.9}),
    "signsgd_update": (0, {"lr": 0.1}),
    "signum_update": (1, {"lr": 0.1, "momentum": 0.9, "wd_lh": 0.1}),
    "rmsprop_update": (1, {"lr": 0.1, "epsilon": 0.01}),
    "rmspropalex_update": (3, {"lr": 0.01, "epsilon": 4.0}),
    "ftrl_update": (2, {"lr": 0.1}),
    "ftml_update": (3, {"lr": 0.1, "t": 3}),
    "lamb_update_phase1": (2, {"t": 3}),
    "adam_update": (2, {"lr": 0.1}),
}


@pytest.mark.parametrize("name", STATES)
def test_half_precision_is_rounded_once(name):
    """float16 is computed in float32: as exact as its results and states can be."""
    states, params = STATES[name]
    arrays = [draw((500,), "float16") for _ in range(2)]
    arrays += [draw((500,), "float16", 0.5, 1) for _ in range(states)]
    exact = [x.astype("float64") for x in arrays]
    result = getattr(nd, name)(*arrays, wd=0.1, **params)
    expected = getattr(nd, name)(*exact, wd=0.1, **params)
    for half, double in zip([result, *arrays[2:]], [expected, *exact[2:]]):
        assert half.dtype == np.float16
        double = double.asnumpy()
        np.testing.assert_allclose(half.asnumpy(), double, rtol=1e-3, atol=1e-3 * abs(double).max())


@pytest.mark.parametrize("name", STATES)
def test_without_out_the_weight_stays(name):
    states, params = STATES[name]
    arrays = [draw((7,)) for _ in range(2)] + [draw((7,), low=0.5) for _ in range(states)]
    before = [x.asnumpy() for x in arrays]
    result = getattr(nd, name)(*arrays, wd=0.1, **params)
    np.testing.assert_array_equal(arrays[0].asnumpy(), before[0])
    np.testing.assert_array_equal(arrays[1].asnumpy(), before[1])
    assert all((x.asnumpy() != b).any() for x, b in zip(arrays[2:], before[2:]))
    assert (result.asnumpy() != before[0]).any()


def test_many_arrays_without_out_give_new_ones():
    ws, gs = [draw((2,)), draw((3,))], [draw((2,)), draw((3,))]
    before = [w.asnumpy() for w in ws]
    new = nd.multi_sgd_update(ws[0], gs[0], ws[1], gs[1], lrs=LRS[:2], wds=WDS[:2], num_weights=2)
    assert_equal(new, [nd.sgd_update(w, g, lr=r, wd=d) for w, g, r, d in zip(ws, gs, LRS, WDS)])
    for w, b in zip(ws, before):
        np.testing.assert_array_equal(w.asnumpy(), b)


def test_group_adagrad():
    w, g = draw((4, 3, 2)), draw((4, 3, 2))
    history = nd.array([[0.1], [0.2], [0.3], [0.0]])
    scaled = np.clip(2 * g.asnumpy(), -0.5, 0.5)
    mean = history.asnumpy()[:, 0] + (scaled**2).mean(axis=(1, 2))
    expected = w.asnumpy() - 0.1 * scaled / np.sqrt(mean + 0.01).reshape(4, 1, 1)
    options = {"lr": 0.1, "epsilon": 0.01, "rescale_grad": 2, "clip_gradient": 0.5}
    contrib.group_adagrad_update(w, g, history, out=w, **options)
    np.testing.assert_allclose(w.asnumpy(), expected, rtol=1e-5)
    np.testing.assert_allclose(history.asnumpy()[:, 0], mean, rtol=1e-6)


def test_group_adagrad_agrees_with_rows_recorded_from_mxnet():
    """MXNet 1.9.1 has the step for row_sparse gradients alone: its values for one that is full."""
    w = nd.array([[1, -2, 3], [2, 3, 4]])
    g, history = nd.array([[0.5, -4, 2], [1, 2, 3]]), nd.full((2, 1), 0.1)
    contrib.group_adagrad_update(w, g, history, lr=0.1, epsilon=0.01, out=w)
    expected = [[0.98090988, -1.84727931, 2.92363954], [1.95424509, 2.90849018, 3.86273527]]
    np.testing.assert_allclose(w.asnumpy(), expected, rtol=1e-6)
    np.testing.assert_allclose(history.asnumpy(), [[6.85], [4.7666664]], rtol=1e-6)


def test_a_skipped_step_without_out_is_a_copy_of_the_weight():
    w, g, m, v = (draw((5,), low=0.5) for _ in range(4))
    before = m.asnumpy()
    result = contrib.adamw_update(w, g, m, v, float("nan"), lr=0.1, eta=1, wd=0.5)
    assert_equal([result], [w])
    np.testing.assert_array_equal(m.asnumpy(), before)


REFUSED = {
    "gradient's shape": lambda w, g: nd.nag_mom_update(w, g[:1], w, lr=0.1),
    "integers": lambda w, g: nd.signsgd_update(w.astype("int32"), g.astype("int32"), lr=0.1),
    "narrow copy": lambda w, g: nd.mp_sgd_update(w, g, w.astype("float16"), lr=0.1),
    "two factors": lambda w, g: contrib.adamw_update(w, g, w, g, nd.ones((2,)), lr=0.1, eta=1),
    "step 0": lambda w, g: nd.ftml_update(w, g, w, w, w, lr=0.1, t=0),
    "step 0 of lamb": lambda w, g: nd.lamb_update_phase1(w, g, w, w, wd=0, t=0),
    "step counts": lambda w, g: contrib.multi_lamb_update([w], [g], [w], [w], (1, 2), (1,), (1,)),
    "step 0 of many": lambda w, g: contrib.multi_lamb_update([w], [g], [w], [w], (0,), (1,), (1,)),
    "rates": lambda w, g: nd.multi_sgd_update(w, g, lrs=(1, 2), wds=(1,), num_weights=1),
    "arrays": lambda w, g: nd.multi_sgd_update(w, g, w, lrs=(1,), wds=(1,), num_weights=1),
    "no weights": lambda w, g: nd.multi_sgd_update(w, g, lrs=(), wds=(), num_weights=0),
    "history": lambda w, g: contrib.group_adagrad_update(w, g, w, lr=0.1),
    "preloaded": lambda w, g: nd.preloaded_multi_sgd_update(w, g, w, g, num_weights=1),
    "nothing": lambda w, g: nd.preloaded_multi_sgd_update(num_weights=1),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refused_before_anything_changes(what):
    w, g = draw((2, 3)), draw((2, 3))
    before = w.asnumpy()
    with pytest.raises(MXNetError, match="_update"):
        REFUSED[what](w, g)
    np.testing.assert_array_equal(w.asnumpy(), before)


def test_lists_of_different_lengths():
    with pytest.raises(ValueError, match="equally long"):
        contrib.multi_lamb_update([draw((2,))], [], [], [], (1,), (1,), (1,))


def test_zero_size_arrays():
    w = nd.zeros((0, 3))
    assert nd.mp_sgd_update(w, w, w, lr=0.1).shape == (0, 3)
    assert contrib.group_adagrad_update(w, w, nd.zeros((0,)), lr=0.1).shape == (0, 3)
    new = contrib.multi_lamb_update([w], [w], [w], [w], (1,), (1,), (1,))
    assert (new[0] if isinstance(new, list) else new).shape == (0, 3)


HASHES = """
import hashlib
import numpy as np
from mxtape import nd
from mxtape.ndarray import contrib_optimizer as contrib

rng = np.random.RandomState(0)
w, g, m, v = (nd.array(rng.uniform(0.5, 2, (3, 70_001))) for _ in range(4))
nd.rmspropalex_update(w, g, v + 9, m, v, lr=0.1, out=w)
nd.ftrl_update(w, g, m, v, lr=0.1, out=w)
contrib.multi_lamb_update([w], [g], [m], [v], (2,), (0.1,), (0.1,), out=[w])
contrib.group_adagrad_update(w, g, nd.ones((3,)), lr=0.1, out=w)
nd.multi_sgd_update(w, g, m, v, lrs=(0.1, 0.2), wds=(0.1, 0.2), num_weights=2, out=[w, m])
for array in (w, g, m, v):
    print(hashlib.sha256(array.asnumpy().tobytes()).hexdigest()[:16])
"""


def test_same_bits_for_any_number_of_threads():
    one, two, four = (output_of(HASHES, {"OMP_NUM_THREADS": str(n)}).split() for n in (1, 2, 4))
    assert len(set(one)) == 4
    assert one == two
    assert one == four
