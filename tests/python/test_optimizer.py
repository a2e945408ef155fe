"""mx.optimizer beyond what MXNet can show: dtypes, subclasses, resuming, pickles, bad input."""

import contextlib
import copy
import pickle

import numpy as np
import pytest

import mxtape as mx
from mxtape import nd
from support import assert_same, output_of

opt = mx.optimizer
NAMES = sorted(set(opt.Optimizer.opt_registry) - {"groupadagrad", "sgld"})
RANDOM = np.random.RandomState(3)
START = RANDOM.uniform(-2, 2, (2, 3))
GRADS = RANDOM.uniform(-1, 1, (4, 2, 3))


def follow(optimizer, dtype="float32", grads=GRADS, updater=None, weight=None):
    """The weight after a step for each gradient."""
    updater = updater or opt.get_updater(optimizer)
    weight = nd.array(START, dtype=dtype) if weight is None else weight
    for grad in grads:
        updater(0, nd.array(grad, dtype=dtype), weight)
    return weight


# ---- dtypes


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("dtype", "rtol"), [("float64", 1e-4), ("float16", 2e-2)])
def test_every_dtype_follows_float32(name, dtype, rtol):
    options = {"wd": 0.125, "learning_rate": 0.125}
    reference = follow(opt.create(name, **options))
    warned = pytest.warns(UserWarning, match="multi_precision=True")
    with warned if dtype == "float16" else contextlib.nullcontext():
        found = follow(opt.create(name, **options), dtype)
    assert found.dtype == np.dtype(dtype)
    assert_same(found, reference.asnumpy(), rtol=rtol, atol=rtol)


@pytest.mark.parametrize("name", NAMES)
def test_multi_precision_follows_float32(name):
    """The weight is the float32 copy's value in float16, however small the steps."""
    options = {"learning_rate": 1e-3, "multi_precision": True}
    updater = opt.get_updater(opt.create(name, **options))
    start = nd.array(START, dtype="float16")
    grads = [nd.array(g, dtype="float16").astype("float32").asnumpy() for g in GRADS]
    wide = start.astype("float32")
    follow(opt.create(name, **options), grads=grads, weight=wide)
    weight = follow(None, "float16", grads, updater, start)
    kept = [x for x in _arrays(updater.states[0]) if x.dtype == np.float32]
    assert kept, "no float32 copy"
    copy_of = min(kept, key=lambda x: float(np.abs(x.asnumpy() - wide.asnumpy()).max()))
    assert_same(copy_of, wide.asnumpy(), rtol=1e-4, atol=1e-5)
    assert_same(weight, copy_of.asnumpy().astype("float16"), rtol=0, atol=0)


def test_bfloat16_weights_move_in_small_steps():
    """Each step is too small for bfloat16. The states, saved and loaded, go on with the same."""
    updater = opt.get_updater(opt.create("sgd", learning_rate=1e-3, multi_precision=True))
    weight, grad = (nd.ones((2,)).astype("bfloat16") for _ in range(2))
    for step in range(20):
        updater(0, grad, weight)
        if step == 9:
            saved = updater.get_states(dump_optimizer=True)
            updater = opt.get_updater(opt.create("sgd"))
            updater.set_states(saved)
    assert weight.astype("float32").asnumpy() == pytest.approx(0.98, abs=2e-3)
    assert [x.dtype for x in _arrays(updater.states[0])] == [np.float32]


def test_states_in_bfloat16_are_saved():
    updater = opt.get_updater(opt.create("sgd", learning_rate=1, momentum=0.5))
    weight, grad = (nd.ones((2,)).astype("bfloat16") for _ in range(2))
    updater(0, grad, weight)
    again = opt.get_updater(opt.create("sgd"))
    again.set_states(updater.get_states())
    assert again.states[0].astype("float32").asnumpy().tolist() == [-1, -1]
    assert again.states[0].dtype == weight.dtype


def _arrays(state):
    if isinstance(state, (list, tuple)):
        return [array for part in state for array in _arrays(part)]
    return [] if state is None else [state]


def test_dcasgd_with_momentum():
    """MXNet raises for it: the formula of the docstring in NumPy."""
    lr, wd, lamda, momentum = 0.1, 0.2, 0.5, 0.9
    optimizer = opt.DCASGD(momentum=momentum, lamda=lamda, learning_rate=lr, wd=wd)
    w, previous, m = START.copy(), START.copy(), 0
    for g in GRADS:
        m = momentum * m - lr * (g + wd * w + lamda * g * g * (w - previous))
        previous, w = w, w + m
    assert_same(follow(optimizer), w)


def test_sgld_is_a_step_and_noise():
    optimizer = opt.SGLD(learning_rate=0.04, wd=0.5, rescale_grad=2.0, clip_gradient=1.0)
    weight, grad = nd.full((40_000,), 3), nd.full((40_000,), 5)
    mx.random.seed(4)
    optimizer.update(0, weight, grad, optimizer.create_state(0, weight))
    values = weight.asnumpy()
    assert abs(values.mean() - (3 - 0.02 * (1 + 0.5 * 3))) < 5e-3
    assert abs(values.std() - 0.2) < 5e-3


def test_group_adagrad_of_other_dtypes():
    for dtype in ("float16", "float64"):
        weight = nd.ones((2, 2), dtype=dtype)
        optimizer = opt.contrib.GroupAdaGrad(learning_rate=0.5)
        optimizer.update(0, weight, weight * 3, optimizer.create_state(0, weight))
        assert_same(weight, np.full((2, 2), 0.5), rtol=1e-3)


# ---- several parameters at once


@pytest.mark.parametrize("name", ["sgd", "lars", "lamb", "nag", "adam"])
@pytest.mark.parametrize("multi_precision", [False, True])
@pytest.mark.filterwarnings("ignore:.*multi_precision=True")
def test_lists_as_one_by_one(name, multi_precision):
    def weights():
        shapes = [(3,), (2, 2), (4,), (1,), (2,), (5,)]
        dtypes = ["float16", "float32"] * 3
        return [nd.full(s, 2 + i, dtype=d) for i, (s, d) in enumerate(zip(shapes, dtypes))]

    def updater():
        own = {"momentum": 0.5} if name in ("sgd", "lars", "nag") else {}
        own["multi_precision"] = multi_precision
        return opt.get_updater(opt.create(name, learning_rate=0.25, wd=0.5, **own))

    many, single = weights(), weights()
    first, second = updater(), updater()
    for _ in range(3):
        first(list(range(6)), [w * 0.5 for w in many], many)
        for i, w in enumerate(single):
            second(i, w * 0.5, w)
    for a, b in zip(many, single):
        assert_same(a, b.asnumpy(), rtol=1e-6)


def test_states_with_and_without_momentum_together():
    """As after states of a run without momentum are loaded into one with it."""
    optimizer = opt.SGD(momentum=0.5, learning_rate=0.5)
    weights = [nd.ones((2,)), nd.ones((2,))]
    states = [None, nd.ones((2,))]
    optimizer.update([0, 1], weights, [nd.ones((2,)), nd.ones((2,))], states)
    assert_same(weights[0], [0.5, 0.5])
    assert_same(weights[1], [1.0, 1.0])


def test_the_environment_says_how_many():
    program = """
        import mxtape as mx
        print(mx.optimizer.SGD().aggregate_num, mx.optimizer.LARS().aggregate_num)
        updater = mx.optimizer.get_updater(mx.optimizer.SGD(learning_rate=0.5))
        w = mx.nd.ones((1,))
        updater([0], [mx.nd.ones((1,))], [w])
        print(updater.aggregate_updates, w.asscalar())
    """
    assert output_of(program, {"MXNET_OPTIMIZER_AGGREGATION_SIZE": "0"}).split() == [
        "0", "0", "False", "0.5",
    ]  # fmt: skip


def test_copies_on_other_devices_have_counts_of_their_own():
    updater = opt.get_updater(opt.Adam(begin_num_update=5))
    for device in (0, 1, 1):
        weight = nd.ones((1,), ctx=mx.cpu(device))
        updater(0, nd.ones((1,), ctx=mx.cpu(device)), weight)
        updater.states_synced[0] = False  # what a program with a copy per device has per copy
    assert updater.optimizer._all_index_update_counts == {0: {0: 6}, 1: {0: 7}}
    assert updater.optimizer.num_update == 7
    assert updater.states[0][0].context == mx.cpu(1)


# ---- subclasses


def test_subclass_of_sgd_with_its_own_update():
    """MXNet never calls it: its SGD updates lists."""
    seen = []

    class Mine(opt.SGD):
        def update(self, index, weight, grad, state):
            seen.append(index)
            super().update(index, weight, 2 * grad, state)

    weights = [nd.ones((1,)) for _ in range(3)]
    updater = opt.get_updater(Mine(learning_rate=0.25))
    updater([0, 1, 2], [nd.ones((1,)) for _ in weights], weights)
    assert seen == [0, 1, 2]
    assert [w.asscalar() for w in weights] == [0.5] * 3


@pytest.mark.parametrize("base", [opt.SGD, opt.Adam])
def test_subclass_with_the_update_of_another_base(base):
    """It is given one parameter at a time too, and by processes the whole of it."""
    seen = []

    class Seeing:
        def update(self, index, weight, grad, state):
            seen.append(index)
            super().update(index, weight, grad, state)

    class Mine(Seeing, base):
        pass

    updater = opt.get_updater(Mine())
    updater([0, 1, 2], *([nd.ones((1,)) for _ in range(3)] for _ in range(2)))
    assert seen == [0, 1, 2]
    assert base._by_element
    assert not Mine._by_element


@pytest.mark.parametrize("base", [opt.SGD, opt.LARS, opt.LAMB, opt.NAG, opt.Adam, opt.Signum])
def test_subclass_with_its_own_rate(base):
    """``_get_lr`` and ``_get_wd`` count for every optimizer, and may call those of the base."""

    class Mine(base):
        def _get_lr(self, index):
            return 0.0 if index == 1 else super()._get_lr(index)

        def _get_wd(self, index):
            return super()._get_wd(index) + 0.5

    weights = [nd.ones((2,)) for _ in range(3)]
    optimizer = Mine(learning_rate=0.5)
    updater = opt.get_updater(optimizer)
    if optimizer.aggregate_num:
        updater([0, 1, 2], [w * 0.5 for w in weights], weights)
    else:
        for i, w in enumerate(weights):
            updater(i, w * 0.5, w)
    changed = [bool((w != 1).asnumpy().all()) for w in weights]
    assert changed == [True, False, True]
    assert optimizer._get_lrs([0, 1]) == [0.5, 0.0]
    assert optimizer._get_wds([0, 1]) == [0.5, 0.5]


def test_subclass_with_its_own_states():
    class Mine(opt.Optimizer):
        def create_state_multi_precision(self, index, weight):
            return {"steps": 0, "weight": weight.copy()}

        def update_multi_precision(self, index, weight, grad, state):
            self._update_count(index)
            state["steps"] += 1
            weight -= self._get_lr(index) * grad / state["steps"]

    updater = opt.get_updater(Mine(learning_rate=1.0))
    weight = nd.ones((1,))
    updater("w", nd.ones((1,)), weight)
    updater("w", nd.ones((1,)), weight)
    assert_same(weight, [-0.5])
    assert updater.optimizer._index_update_count == {"w": 2}


class AdamW(opt.Optimizer):
    """As libraries on MXNet define it: it updates lists, and float16 weights by their copies."""

    def __init__(self, beta1=0.9, beta2=0.99, epsilon=1e-6, **kwargs):
        super().__init__(**kwargs)
        self.beta1, self.beta2, self.epsilon = beta1, beta2, epsilon
        self.aggregate_num = 2

    def create_state(self, index, weight):
        return tuple(nd.zeros(weight.shape, weight.context, dtype=weight.dtype) for _ in range(2))

    def update(self, index, weight, grad, state):
        self._update(index, weight, grad, *zip(*state))

    def update_multi_precision(self, index, weight, grad, state):
        if self.multi_precision and weight[0].dtype == np.float16:
            wide, means = zip(*state)
            self._update(index, weight, grad, *zip(*means), wide)
        else:
            self.update(index, weight, grad, state)

    def _update(self, indices, weights, grads, mean, var, *wide):
        assert len(indices) <= 2
        self._update_count(indices)
        options = {
            "beta1": self.beta1,
            "beta2": self.beta2,
            "epsilon": self.epsilon,
            "lrs": self._get_lrs(indices),
            "wds": self._get_wds(indices),
            "etas": [1.0] * len(indices),
            "rescale_grad": nd.array([self.rescale_grad]),
        }
        step = nd.contrib.multi_mp_adamw_update if wide else nd.contrib.multi_adamw_update
        step(weights, grads, mean, var, *wide, out=weights, **options)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_subclass_that_updates_lists(dtype):
    updater = opt.get_updater(AdamW(learning_rate=0.1, wd=0.5, multi_precision=True))
    weights = [nd.full((2,), i + 1, dtype=dtype) for i in range(3)]
    expected = [np.full(2, i + 1.0) for i in range(3)]
    m, v = [np.zeros(2)] * 3, [np.zeros(2)] * 3
    for _ in range(3):
        updater([0, 1, 2], [nd.full((2,), i - 0.5, dtype=dtype) for i in range(3)], weights)
        for i in range(3):
            g = i - 0.5
            m[i], v[i] = 0.9 * m[i] + 0.1 * g, 0.99 * v[i] + 0.01 * g * g
            w = expected[i]
            expected[i] = w - (0.1 * m[i] / (np.sqrt(v[i]) + 1e-6) + 0.5 * w)
    for weight, want in zip(weights, expected):
        assert_same(weight, want, rtol=1e-5 if dtype == "float32" else 5e-3)
    again = opt.get_updater(AdamW())
    again.set_states(updater.get_states(dump_optimizer=True))
    assert type(again.optimizer) is AdamW
    assert again.optimizer._index_update_count == {0: 3, 1: 3, 2: 3}


def test_registered_class_replaces_another_with_a_warning():
    class Mine1(opt.Optimizer):
        pass

    assert opt.register(Mine1) is Mine1
    other = type("Mine1", (opt.Optimizer,), {})
    with pytest.warns(UserWarning, match="in the place of"):
        opt.register(other)
    assert type(opt.create("MINE1")) is other
    opt.register(other)  # the same one again: no warning
    del opt.Optimizer.opt_registry["mine1"]


# ---- learning rates


def test_rate_before_the_first_step_and_from_a_later_update():
    """A run that goes on at update 100 has the schedule's rate of that update at once."""
    for begin, rate in ((0, 1.0), (4, 1.0), (5, 0.5), (100, 0.5**24)):
        schedule = mx.lr_scheduler.FactorScheduler(4, 0.5, base_lr=1.0)
        optimizer = opt.SGD(lr_scheduler=schedule, begin_num_update=begin)
        assert optimizer.learning_rate == pytest.approx(max(rate, 1e-8))
        assert optimizer.num_update == begin


@pytest.mark.parametrize("name", ["sgd", "adam", "nadam", "ftml", "lars"])
@pytest.mark.parametrize("stop", [1, 3])
def test_a_run_goes_on_from_its_states(name, stop):
    """Twice some steps are as all of them at once: weights, rate, counts, the schedule's place."""

    def new():
        schedule = mx.lr_scheduler.MultiFactorScheduler([2, 4], 0.5, base_lr=0.25)
        return opt.create(name, learning_rate=0.25, lr_scheduler=schedule, wd=0.1)

    grads = [*GRADS, *GRADS[::-1]]
    whole = opt.get_updater(new())
    reference = follow(None, grads=grads, updater=whole)
    first, second = opt.get_updater(new()), opt.get_updater(opt.Test())
    weight = follow(None, grads=grads[:stop], updater=first)
    second.set_states(first.get_states(dump_optimizer=True))
    assert second.optimizer.learning_rate == first.optimizer.learning_rate
    assert second.optimizer.num_update == stop
    weight = follow(None, grads=grads[stop:], updater=second, weight=weight)
    assert_same(weight, reference.asnumpy(), rtol=0, atol=0)
    assert second.optimizer.learning_rate == whole.optimizer.learning_rate == 0.0625


def test_states_only_begin_to_count_where_the_optimizer_says():
    first, second = opt.get_updater(opt.Adam()), opt.get_updater(opt.Adam(begin_num_update=4))
    reference = follow(None, grads=[*GRADS, *GRADS], updater=first)
    third = opt.get_updater(opt.Adam())
    weight = follow(None, updater=third)
    second.set_states(third.get_states())
    weight = follow(None, updater=second, weight=weight)
    assert_same(weight, reference.asnumpy(), rtol=0, atol=0)


def test_a_schedule_is_any_function():
    optimizer = opt.SGD(lr_scheduler=lambda updates: 0.5 / updates)
    updater, weight = opt.get_updater(optimizer), nd.array([0.0])
    for _ in range(2):
        updater(0, nd.array([1.0]), weight)
    assert weight.asscalar() == -0.75
    assert optimizer.learning_rate == 0.25


def test_rate_given_beside_a_schedule():
    schedule = mx.lr_scheduler.FactorScheduler(4, base_lr=1.0)
    with pytest.warns(UserWarning, match="learning_rate=0.5 replaces"):
        optimizer = opt.SGD(learning_rate=0.5, lr_scheduler=schedule)
    assert optimizer.learning_rate == 0.5
    with pytest.raises(UserWarning, match="lr_scheduler"):
        optimizer.set_learning_rate(1)
    assert optimizer.lr == 0.5


# ---- pickles


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("multi_precision", [False, True])
def test_states_of_every_optimizer_go_round(name, multi_precision):
    dtype = "float16" if multi_precision else "float32"
    updater = opt.get_updater(opt.create(name, multi_precision=multi_precision))
    weight = follow(None, dtype, updater=updater)
    again = opt.get_updater(opt.SGD())
    again.set_states(updater.get_states(dump_optimizer=True))
    assert type(again.optimizer) is type(updater.optimizer)
    assert again.aggregate_updates == updater.aggregate_updates
    for a, b in zip(_arrays(again.states[0]), _arrays(updater.states[0])):
        assert a.dtype == b.dtype
        assert_same(a, b.asnumpy(), rtol=0, atol=0)
    other = weight.copy()
    follow(None, dtype, updater=updater, weight=weight)
    follow(None, dtype, updater=again, weight=other)
    assert_same(other, weight.asnumpy(), rtol=0, atol=0)


def test_arrays_of_every_kind_go_round():
    shapes, dtypes = [(), (0, 2), (1,), (2, 1, 3)], ["float16", "float32", "float64", "int64"]
    states = {(s, d): [nd.ones(s, dtype=d), {"x": (nd.zeros(s, dtype=d), 3)}]
              for s in shapes for d in dtypes}  # fmt: skip
    updater = opt.get_updater(opt.SGD())
    updater.states = states
    again = opt.get_updater(opt.SGD())
    again.set_states(updater.get_states())
    for (shape, dtype), (ones, rest) in again.states.items():
        assert (ones.shape, ones.dtype) == (shape, np.dtype(dtype))
        assert (ones.asnumpy() == 1).all()
        assert rest["x"][0].shape == shape
        assert rest["x"][1] == 3


class Kept:
    """A state that a program defines."""

    def __init__(self, array):
        self.array, self.again = array, [array]


def test_arrays_in_objects_of_a_program_go_round():
    updater = opt.get_updater(opt.SGD())
    array = nd.ones((2,))
    updater.states = {0: Kept(array), 1: array, 2: {array.shape: {3: (array,)}}}
    updater.optimizer.kept = Kept(array)
    again = opt.get_updater(opt.SGD())
    again.set_states(updater.get_states(dump_optimizer=True))
    state = again.states[0]
    assert state.array is state.again[0] is again.states[1] is again.states[2][(2,)][3][0]
    assert again.optimizer.kept.array is state.array
    assert_same(state.array, [1, 1])


def test_pickles_do_not_need_mxnet_and_say_its_names():
    updater = opt.get_updater(
        opt.Adam(lr_scheduler=mx.lr_scheduler.PolyScheduler(5, base_lr=0.001))
    )
    follow(None, updater=updater)
    data = updater.get_states(dump_optimizer=True)
    assert b"mxnet.optimizer.optimizer" in data
    assert b"mxnet.lr_scheduler" in data
    assert b"mxtape" not in data


def test_optimizer_of_an_older_mxnet():
    """Files of MXNet before 1.3 have one table of counts, and no aggregate_num."""
    optimizer = opt.Adam()
    state = optimizer.__getstate__()
    for late in ("_all_index_update_counts", "aggregate_num", "allow_np_array"):
        del state[late]
    state["_index_update_count"] = {0: 7}
    old = opt.Adam.__new__(opt.Adam)
    old.__setstate__(state)
    updater = opt.get_updater(old)
    follow(None, grads=GRADS[:1], updater=updater)
    assert old._all_index_update_counts == {0: {0: 8}}


@pytest.mark.parametrize(
    ("states", "error"),
    [
        (b"", EOFError),
        (b"nonsense", pickle.UnpicklingError),
        ("text", TypeError),
        (pickle.dumps([1]), TypeError),
        (pickle.dumps(({}, 5)), TypeError),
        (pickle.dumps(5), TypeError),
        (b"cmxnet.optimizer.optimizer\nNonsense\n.", AttributeError),
        (b"cmxnet.nonsense\nNonsense\n.", ModuleNotFoundError),
        (b"cmxnet.ndarray.ndarray\nNDArray\n(NtR}(S'handle'\nS'abc'\nsub.", Exception),
    ],
)
def test_bad_states_change_nothing(states, error):
    updater = opt.get_updater(opt.SGD(momentum=0.5))
    weight = follow(None, updater=updater)
    before = (updater.optimizer, updater.states, updater.states_synced)
    with pytest.raises(error):
        updater.set_states(states)
    assert (updater.optimizer, updater.states, updater.states_synced) == before
    follow(None, updater=updater, weight=weight)


def test_truncated_states():
    updater = opt.get_updater(opt.Adam())
    follow(None, updater=updater)
    data = updater.get_states(dump_optimizer=True)
    for length in range(0, len(data) - 1, 7):
        with pytest.raises((EOFError, pickle.UnpicklingError, mx.MXNetError, TypeError)):
            opt.get_updater(opt.SGD()).set_states(data[:length])


def test_copies_of_an_optimizer():
    optimizer = opt.Adam(param_dict={0: object()})
    optimizer._update_count([0, 1])
    for again in (copy.deepcopy(optimizer), pickle.loads(pickle.dumps(optimizer))):
        again._update_count(0)
        assert again._index_update_count == {0: 2, 1: 1}
        assert again._index_update_count is again._all_index_update_counts[0]
        assert again.param_dict == {}
    assert optimizer._index_update_count == {0: 1, 1: 1}


# ---- test_utils


@pytest.mark.parametrize("name", NAMES)
def test_compare_optimizer(name):
    compare = mx.test_utils.compare_optimizer
    first, second, other = (opt.create(name, wd=wd, learning_rate=0.25) for wd in (0, 0, 0.5))
    compare(first, second, (2, 3), "float32")
    if first.aggregate_num:
        compare(first, second, [(2, 3), (4,)], "float32", ntensors=2)
    if name != "test":
        with pytest.raises(AssertionError, match="a and b differ"):
            compare(first, other, (500, 3), "float32")  # some signs differ too
    with pytest.raises(AssertionError, match="ntensors=2"):
        compare(first, second, (2, 3), "float32", ntensors=2)


# ---- bad input


def test_updates_that_do_not_fit_change_nothing():
    updater = opt.get_updater(opt.Adam())
    weight = nd.ones((2,))
    for grad in (nd.ones((3,)), nd.ones((2,), dtype="float64")):
        with pytest.raises(mx.MXNetError):
            updater(0, grad, weight)
    assert_same(weight, [1, 1])
    with pytest.raises(IndexError, match="2 indices got 1 gradients"):
        updater([0, 1], [weight], [weight])
    updater([], [], [])
    assert_same(weight, [1, 1])


def test_a_weight_decay_for_each_kind_of_name():
    names = dict(enumerate("a_weight a_gamma a_bias a_beta a_moving_mean weight".split()))
    assert opt.SGD(wd=1.0, param_idx2name=names)._get_wds(range(6)) == [1.0, 1.0, 0, 0, 0, 0]
    assert opt.LARS(wd=1.0, param_idx2name=names)._get_wds(range(6)) == [1.0, 0, 0, 0, 0, 0]


def test_multipliers_of_a_symbol():
    nodes = (
        '{"nodes": [{"op": "null", "name": "w", "attrs": {"__lr_mult__": "2", "__wd_mult__": "3"},'
        ' "inputs": []}, {"op": "null", "name": "v", "inputs": []},'
        ' {"op": "elemwise_add", "name": "y", "inputs": [[0, 0, 0], [1, 0, 0]]}],'
        ' "arg_nodes": [0, 1], "heads": [[2, 0, 0]]}'
    )
    symbol = mx.sym.load_json(nodes)
    optimizer = opt.SGD(learning_rate=1.0, wd=1.0, sym=symbol, param_idx2name={0: "w", 1: "v"})
    assert (optimizer.lr_mult, optimizer.wd_mult) == ({"w": 2.0}, {"w": 3.0, "v": 0.0})
    assert optimizer._get_lrs([0, 1]) == [2.0, 1.0]
    optimizer.set_lr_mult({"v": 5.0})
    assert optimizer.lr_mult == {"w": 2.0, "v": 5.0}


def test_import_of_mxtape_does_not_wait_for_them():
    program = """
        import sys, mxtape as mx
        late = ("optimizer", "initializer", "lr_scheduler")
        print(any(f"mxtape.{name}" in sys.modules for name in late))
        print(mx.init is mx.initializer, mx.optimizer.optimizer.SGD is mx.optimizer.SGD)
    """
    assert output_of(program).split() == ["False", "True", "True"]


@pytest.mark.parametrize("schedule", [False, True])
@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_many_at_once_are_updated_as_one_after_the_other(name, schedule):
    """Also where their counts of updates, and so their rates of a schedule, differ."""
    results = []
    for subclass in (False, True):
        klass = {"sgd": mx.optimizer.SGD, "adam": mx.optimizer.Adam}[name]
        calls: list = []
        if subclass:  # one with its own update gets parameters one by one

            class Own(klass):
                def update(self, index, weight, grad, state, calls=calls):
                    assert not isinstance(index, (list, tuple))
                    calls.append(index)
                    super().update(index, weight, grad, state)

            klass = Own
        rates = mx.lr_scheduler.FactorScheduler(1, 0.5, base_lr=0.5) if schedule else None
        optimizer = klass(learning_rate=0.5, lr_scheduler=rates, wd=0.1, multi_precision=True)
        optimizer.aggregate_num = 0
        updater = mx.optimizer.get_updater(optimizer)
        narrow = "float16" if name == "adam" else "float64"
        dtypes = ["float32", narrow, "float64", "float32", narrow]
        weights = [mx.nd.ones((3,), dtype=dtype) * (i + 1) for i, dtype in enumerate(dtypes)]
        for step in range(3):
            some = [[0, 1, 2, 3, 4], [0, 2, 4], [1, 3, 0, 2, 4]][step]
            grads = [weights[i] * (0.5 + i) for i in some]
            updater(some, grads, [weights[i] for i in some])
        results.append([w.asnumpy().tolist() for w in weights])
        assert len(calls) == (13 if subclass else 0)
    assert results[0] == results[1]


def test_an_update_that_an_instance_has_gets_parameters_one_by_one():
    adam, seen = mx.optimizer.Adam(), []
    adam.update = lambda index, weight, grad, state: seen.append(index)
    weights = [mx.nd.ones((2,)) for _ in range(3)]
    mx.optimizer.get_updater(adam)([0, 1, 2], weights, weights)
    assert seen == [0, 1, 2]
