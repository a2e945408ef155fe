"""The optimizers of mx.optimizer: trajectories, states, multipliers, counts and errors."""

import os
import pickle
import sys

from harness import HERE, array, attempt, case, data

# By optimizer, the settings that are its own; all of them with the common ones below.
OWN = {
    "sgd": {"plain": {}, "momentum": {"momentum": 0.9}},
    "ccsgd": {"momentum": {"momentum": 0.9}},
    "nag": {"plain": {}, "momentum": {"momentum": 0.9}},
    "adam": {"plain": {}, "betas": {"beta1": 0.5, "beta2": 0.75, "epsilon": 0.1}},
    "adagrad": {"plain": {}, "eps": {"eps": 0.1}},
    "rmsprop": {
        "plain": {},
        "gammas": {"gamma1": 0.5, "epsilon": 0.1, "clip_weights": 1.0},
        "centered": {"centered": True, "gamma1": 0.75, "gamma2": 0.5},
    },
    "adadelta": {"plain": {}, "rho": {"rho": 0.5, "epsilon": 0.1}},
    "ftrl": {"plain": {}, "lamda": {"lamda1": 0.5, "beta": 2}},
    "adamax": {"plain": {}, "betas": {"beta1": 0.5, "beta2": 0.75}},
    "nadam": {"plain": {}, "betas": {"beta1": 0.5, "beta2": 0.75, "schedule_decay": 0.1}},
    "ftml": {"plain": {}, "betas": {"beta1": 0.5, "beta2": 0.75, "epsilon": 0.1}},
    "signum": {"plain": {}, "no momentum": {"momentum": 0.0}, "wd_lh": {"wd_lh": 0.1}},
    "dcasgd": {"plain": {}, "momentum": {"momentum": 0.9, "lamda": 0.5}},
    "lars": {
        "plain": {"eta": 0.1},
        "momentum": {"momentum": 0.9, "eta": 0.1, "eps": 0.01},
        "no correction": {"momentum": 0.9, "eta": 0.1, "momentum_correction": False},
    },
    "lbsgd": {
        "plain": {},
        "linear": {"batch_scale": 2, "warmup_epochs": 1, "updates_per_epoch": 4},
        "momentum lars": {"batch_scale": 2, "warmup_strategy": "lars", "momentum": 0.9},
    },
    "lamb": {
        "plain": {},
        "bounds": {"lower_bound": 0.5, "upper_bound": 2.0, "bias_correction": False},
    },
    "test": {"plain": {}},
}
COMMON = {
    "": {},
    "decay": {"wd": 0.1},
    "clipped": {"wd": 0.1, "rescale_grad": 2.0, "clip_gradient": 0.75},
}
NAMES = {0: "fc_weight", 1: "fc_bias"}


def weights_of(mx, dtype):
    return [
        array(mx, data((2, 3), seed=7, dtype=dtype)),
        array(mx, data((3,), seed=8, dtype=dtype)),
    ]


def trajectory(mx, optimizer, dtype="float32", steps=4, weights=None):
    """Weights and states after some steps with gradients that differ in each step."""
    weights = weights or weights_of(mx, dtype)
    updater = mx.optimizer.get_updater(optimizer)
    for step in range(steps):
        keys = range(len(weights))
        grads = [
            array(mx, data(w.shape, seed=20 + 2 * step + i, dtype=dtype))
            for i, w in enumerate(weights)
        ]
        if optimizer.aggregate_num:
            updater(list(keys), grads, weights)
        else:
            for key in keys:
                updater(key, grads[key], weights[key])
    return [weights, updater.states, optimizer.num_update]


def register(name, label, arguments, dtype="float32", **options):
    @case(name=f"{dtype} {name} {label}", **options)
    def run(mx):
        optimizer = mx.optimizer.create(
            name, learning_rate=0.125, param_idx2name=NAMES, **arguments
        )
        return trajectory(mx, optimizer, dtype)


# With weights other than float32, their states or their momentum raise in MXNet.
ONLY_FLOAT32 = ("adagrad", "rmsprop", "adadelta", "ftrl")
FAILS = ("dcasgd momentum",)
HALF = {
    "lamb": {"rtol": 0.03, "why": "MXNet rounds 1 - beta2 to float16"},
    "lars": {"rtol": 1e-3, "why": "norms of float16 arrays"},
}

for name, table in OWN.items():
    table = {label: own for label, own in table.items() if f"{name} {label}" not in FAILS}
    for label, own in table.items():
        for common, arguments in COMMON.items():
            register(name, f"{label} {common}".strip(), {**own, **arguments})
    own = {**list(table.values())[-1], "wd": 0.125, "rescale_grad": 0.5}
    if name not in ONLY_FLOAT32:
        wide = {"rtol": 1e-4, "why": "MXNet rounds some numbers to float32"}
        register(name, "", own, "float64", **wide)
        register(name, "", own, "float16", **(HALF.get(name, {}) if name == "lamb" else {}))
    wide = HALF.get(name, {}) if name == "lars" else {}
    register(name, "multi precision", {**own, "multi_precision": True}, "float16", **wide)


@case
def lars_corrects_the_momentum_of_all_parameters(mx):
    optimizer = mx.optimizer.LARS(
        momentum=0.5, eta=0.1, lr_scheduler=mx.lr_scheduler.FactorScheduler(1, 0.5, base_lr=0.5)
    )
    weights = [array(mx, data((3,), seed=i)) for i in range(6)]
    return trajectory(mx, optimizer, weights=weights)[:1]


@case
def group_adagrad(mx):
    optimizer = mx.optimizer.create("groupadagrad", learning_rate=0.125, rescale_grad=0.5)
    return trajectory(mx, optimizer, weights=weights_of(mx, "float32")[:1])


@case
def group_adagrad_clipped(mx):
    optimizer = mx.optimizer.contrib.GroupAdaGrad(eps=0.1, learning_rate=0.125, clip_gradient=0.5)
    return trajectory(mx, optimizer, weights=weights_of(mx, "float32")[:1])


def schedules(mx):
    scheduler = mx.lr_scheduler
    return {
        "factor": scheduler.FactorScheduler(2, 0.5, base_lr=0.25),
        "poly": scheduler.PolyScheduler(3, base_lr=0.25, warmup_steps=1),
        "warmup": scheduler.MultiFactorScheduler([2, 3], 0.5, base_lr=0.25, warmup_steps=2),
    }


for name in ("sgd", "nag", "adam", "rmsprop", "lars", "lbsgd", "lamb", "adamax", "signum"):
    for schedule in ("factor", "poly", "warmup"):

        @case(name=f"{name} with the schedule {schedule}")
        def scheduled(mx, name=name, schedule=schedule):
            own = {"eta": 0.1, "momentum": 0.9} if name == "lars" else {}
            optimizer = mx.optimizer.create(
                name, lr_scheduler=schedules(mx)[schedule], begin_num_update=1, **own
            )
            before = optimizer.learning_rate
            return [before, *trajectory(mx, optimizer), optimizer.learning_rate]


class Multipliers:
    """What is used of a Gluon parameter."""

    def __init__(self, lr_mult, wd_mult):
        self.lr_mult, self.wd_mult = lr_mult, wd_mult


def multiplied(name, build):
    @case(name=f"multipliers {name}")
    def run(mx):
        optimizer = build(mx.optimizer.SGD)
        lists = [optimizer._get_lrs([0, 1, 2, "x_gamma"]), optimizer._get_wds([0, 1, 2, "x_gamma"])]
        return [lists, optimizer._get_lr(1), optimizer._get_wd(1), optimizer.lr_mult,
                optimizer.wd_mult]  # fmt: skip


NAMED = {
    "learning_rate": 0.5,
    "wd": 0.25,
    "param_idx2name": {0: "fc_weight", 1: "fc_bias", 2: "bn_gamma"},
}


def mult(optimizer, lr, wd):
    optimizer.set_lr_mult(lr)
    optimizer.set_wd_mult(wd)
    return optimizer


multiplied("none", lambda sgd: sgd(learning_rate=0.5, wd=0.25))
multiplied("names", lambda sgd: sgd(**NAMED))
multiplied("by name", lambda sgd: mult(sgd(**NAMED), {"fc_bias": 3}, {"fc_weight": 2}))
multiplied("by index", lambda sgd: mult(sgd(**NAMED), {1: 3, "fc_bias": 5}, {1: 2, 2: 0}))
multiplied(
    "param_dict",
    lambda sgd: mult(sgd(**NAMED, param_dict={0: Multipliers(2, 3)}), {0: 7}, {0: 7}),
)
multiplied(
    "forgotten", lambda sgd: mult(mult(sgd(**NAMED), {1: 3}, {1: 3}), {0: 5}, {"fc_bias": 1})
)


def registry(name, program):
    @case(name=name)
    def run(mx):
        return program(mx, mx.optimizer)


def settled(optimizer, *names):
    return [getattr(optimizer, name) for name in names]


registry("create by name in any case", lambda mx, o: type(o.create("SgD", momentum=0.5)).__name__)
registry("create without such a name", lambda mx, o: o.create("nonsense"))
registry("create by a number", lambda mx, o: o.create(5))
registry("create with a wrong keyword", lambda mx, o: o.create("sgd", nonsense=1))
registry("param_idx2name as a list", lambda mx, o: o.SGD(param_idx2name=["a"]))
registry("names registered", lambda mx, o: sorted(o.Optimizer.opt_registry))
registry("the base has no update", lambda mx, o: o.Optimizer().update(0, 1, 2, 3))
registry("the base has no state", lambda mx, o: o.Optimizer().create_state(0, mx.nd.ones(1)))
registry("register an instance", lambda mx, o: o.register(5))
registry("set_lr_scale", lambda mx, o: o.SGD().set_lr_scale({}))
registry("learning_rate default", lambda mx, o: o.SGD().learning_rate)
registry("learning_rate set", lambda mx, o: (lambda s: [s.set_learning_rate(2), s.lr])(o.SGD(wd=1)))
registry(
    "learning_rate set with a schedule",
    lambda mx, o: o.SGD(lr_scheduler=schedules(mx)["factor"]).set_learning_rate(1),
)
registry(
    "learning_rate beside a schedule",
    lambda mx, o: (lambda s: [o.SGD(learning_rate=0.5, lr_scheduler=s).learning_rate, s.base_lr])(
        schedules(mx)["factor"]
    ),
)
registry(
    "learning_rate beside a polynomial",
    lambda mx, o: (lambda s: [o.SGD(learning_rate=0.5, lr_scheduler=s).learning_rate, s.base_lr])(
        schedules(mx)["poly"]
    ),
)
registry(
    "attributes",
    lambda mx, o: settled(
        o.SGD(begin_num_update=3, wd=0.5, clip_gradient=2.0, rescale_grad=0.5),
        *"lr wd num_update begin_num_update clip_gradient rescale_grad idx2name sym_info".split(),
        *"multi_precision aggregate_num param_dict lr_scheduler momentum lazy_update".split(),
        *"_index_update_count _all_index_update_counts".split(),
    ),
)
for lost in ("group_adagrad wd", "group_adagrad vector"):

    @case(name=lost)
    def refuses(mx, lost=lost):
        weight = mx.nd.ones((2,) if "vector" in lost else (2, 2))
        optimizer = mx.optimizer.contrib.GroupAdaGrad(wd=0.1 if "wd" in lost else 0)
        optimizer.update(0, weight, weight * 1, optimizer.create_state(0, weight))


# ---- counts


def counts(optimizer):
    return [optimizer.num_update, optimizer._index_update_count, optimizer._all_index_update_counts]


@case
def counts_begin(mx):
    optimizer = mx.optimizer.SGD(begin_num_update=10)
    before = counts(optimizer)
    optimizer._update_count(3)
    optimizer._update_count([3, "x"])
    return [str(before), str(counts(optimizer))]


@case
def counts_per_device(mx):
    optimizer = mx.optimizer.Adam(begin_num_update=2)
    optimizer._update_count(0)
    optimizer._set_current_context(1)
    optimizer._update_count(0)
    optimizer._update_count(0)
    optimizer._set_current_context(0)
    return str(counts(optimizer))


@case
def counts_after_pickling(mx):
    optimizer = mx.optimizer.Adam(begin_num_update=2, param_dict={0: Multipliers(2, 3)})
    optimizer._update_count([0, 1])
    again = pickle.loads(pickle.dumps(optimizer))
    again._update_count(0)
    return [str(counts(again)), again.param_dict, again.learning_rate]


def resumed(mx, dump_optimizer):
    """An optimizer that goes on from another's states after two of four steps."""

    def new():
        return mx.optimizer.Adam(lr_scheduler=schedules(mx)["factor"], wd=0.1)

    weights = weights_of(mx, "float32")
    first = mx.optimizer.get_updater(new())
    updater, rates = first, []
    for step in range(4):
        if step == 2:
            updater = mx.optimizer.get_updater(new())
            updater.set_states(first.get_states(dump_optimizer))
            rates.append([updater.optimizer.learning_rate, updater.optimizer.num_update])
        for key, weight in enumerate(weights):
            updater(key, array(mx, data(weight.shape, seed=40 + step)), weight)
        rates.append(updater.optimizer.learning_rate)
    return [weights, rates, updater.optimizer.num_update, updater.states]


@case
def resumed_with_the_optimizer(mx):
    return resumed(mx, True)


@case
def resumed_with_the_states_only(mx):
    return resumed(mx, False)


@case
def states_synced(mx):
    updater = mx.optimizer.get_updater(mx.optimizer.SGD(momentum=0.5))
    weight = mx.nd.ones((2,))
    updater(0, mx.nd.ones((2,)), weight)
    synced = [dict(updater.states_synced)]
    updater.set_states(updater.get_states())
    synced.append(dict(updater.states_synced))
    updater(0, mx.nd.ones((2,)), weight)
    return [synced, updater.states_synced, weight, updater.aggregate_updates]


@case
def sync_state_context(mx):
    updater = mx.optimizer.get_updater(mx.optimizer.SGD())
    moved = updater.sync_state_context((None, [mx.nd.ones((1,))], 3), mx.cpu(1))
    return [moved, moved[1][0].context]


@case
def set_states_of_nonsense(mx):
    updater = mx.optimizer.get_updater(mx.optimizer.SGD())
    return [attempt(updater.set_states, b"xx"), attempt(updater.set_states, "xx")]


@case
def updater_lists_that_differ(mx):
    updater = mx.optimizer.get_updater(mx.optimizer.Adam())
    one = mx.nd.ones((1,))
    return attempt(updater, [0, 1], [one], [one])


# ---- subclasses


@case
def subclass_of_optimizer(mx):
    class Mine(mx.optimizer.Optimizer):
        def __init__(self, power=2, **kwargs):
            super().__init__(**kwargs)
            self.power = power

        def create_state(self, index, weight):
            return mx.nd.zeros(weight.shape, weight.context, dtype=weight.dtype)

        def update(self, index, weight, grad, state):
            self._update_count(index)
            lr, wd = self._get_lr(index), self._get_wd(index)
            t = self._index_update_count[index]
            state[:] += grad * self.rescale_grad
            weight[:] -= lr * (state / t**self.power + wd * weight)

    mx.optimizer.register(Mine)
    wide = mx.optimizer.create("mine", learning_rate=0.25, multi_precision=True)
    return [
        trajectory(mx, mx.optimizer.create("mine", learning_rate=0.25, wd=0.5)),
        trajectory(mx, wide, "float16"),
    ]


@case
def subclass_of_sgd_with_its_own_rates(mx):
    class Mine(mx.optimizer.SGD):
        def _get_lrs(self, indices):
            return [lr * (1 + index) for lr, index in zip(super()._get_lrs(indices), indices)]

        def _get_wds(self, indices):
            return [0.5 for _ in indices]

    return [trajectory(mx, Mine(momentum=0.5)), Mine()._get_lr(3), Mine()._get_wd(3)]


@case
def subclass_of_adam_with_its_own_rate(mx):
    class Mine(mx.optimizer.Adam):
        def _get_lr(self, index):
            return super()._get_lr(index) * (1 + index)

        def _get_wd(self, index):
            return 0.5

        def _update_count(self, index):
            super()._update_count(index)
            super()._update_count(index)

    return trajectory(mx, Mine())


@case
def subclass_sees_lists(mx):
    seen = []

    class Mine(mx.optimizer.SGD):
        def update_multi_precision(self, index, weight, grad, state):
            seen.append(str([type(index).__name__, list(index), len(weight), len(state)]))
            super().update_multi_precision(index, weight, grad, state)

    updater = mx.optimizer.get_updater(Mine())
    ones = [mx.nd.ones((1,)) for _ in range(6)]
    wide = [mx.nd.ones((1,), dtype="float64") for _ in range(2)]
    updater(0, ones[0], ones[0] * 1)
    updater(list(range(6)), ones, [one * 1 for one in ones])
    updater([10, 0, 11], [wide[0], ones[0], wide[1]], [wide[0] * 1, ones[0] * 1, wide[1] * 1])
    return seen


# ---- states that either has written


def from_file(name, package):
    @case(name=f"states of {package} {name}")
    def goes_on(mx):
        sys.path.insert(0, os.path.join(HERE, "states"))
        import make_states

        with open(os.path.join(HERE, "states", f"{package}_{name}.states"), "rb") as file:
            states = file.read()
        new, dtype, _ = make_states.optimizers(mx)[name]
        updater = mx.optimizer.get_updater(new)
        updater.set_states(states)
        optimizer = updater.optimizer
        before = [type(optimizer).__name__, optimizer.learning_rate, str(counts(optimizer))]
        weights = make_states.steps(mx, updater, dtype, range(3, 7))
        return [before, weights, updater.states, str(counts(optimizer)), optimizer.learning_rate]


for name in ("sgd", "adam", "nag", "lbsgd", "rmsprop"):
    for package in ("mxnet", "mxtape"):
        from_file(name, package)


for name in ("sgd", "adam", "adagrad", "nadam"):

    @case(name=f"{name} clips at zero")
    def clips_at_zero(mx, name=name):
        return trajectory(mx, mx.optimizer.create(name, clip_gradient=0.0, wd=0.125))
