"""Optimizers with row_sparse weights and gradients: trajectories, states, files of states."""

import os
import sys

import numpy as np
from harness import HERE, array, attempt, case, data

ROWS, COLUMNS = 5, 2
# The rows that the gradients of the steps have. In one step there are none.
STEPS = ((1, 3), (), (0, 1), (4,), (0, 1, 2, 3, 4))

# By optimizer, the settings of its own.
OWN = {
    "sgd": {"plain": {}, "momentum": {"momentum": 0.5}},
    "nag": {"plain": {}, "momentum": {"momentum": 0.5}},
    "adam": {"plain": {}},
    "adagrad": {"plain": {}, "eps": {"eps": 0.1}},
    "rmsprop": {"plain": {}, "centered": {"centered": True}},
    "adadelta": {"plain": {}},
    "ftrl": {"plain": {}, "lamda": {"lamda1": 0.25, "beta": 2}},
    "adamax": {"plain": {}},
    "nadam": {"plain": {}},
    "ftml": {"plain": {}},
    "signum": {"plain": {}, "no momentum": {"momentum": 0.0}, "wd_lh": {"wd_lh": 0.125}},
    "dcasgd": {"plain": {}},
    "lars": {"plain": {"eta": 0.1}, "momentum": {"eta": 0.1, "momentum": 0.5}},
    "lbsgd": {"plain": {}, "momentum": {"momentum": 0.5}},
    "lamb": {"plain": {}},
    "groupadagrad": {"plain": {}},
    "test": {"plain": {}},
}
LAZY = ("sgd", "adam", "lars")
COMMON = {"": {}, "clipped": {"wd": 0.125, "rescale_grad": 2.0, "clip_gradient": 0.75}}


def weight_of(mx, stype, seed=7, dtype="float32"):
    """A weight with all of its rows."""
    values = array(mx, data((ROWS, COLUMNS), seed=seed, dtype=dtype))
    return values.tostype(stype)


def gradient_of(mx, stype, rows, seed, dtype="float32"):
    """A gradient that is not zero in some rows."""
    rows = list(rows)
    values = data((ROWS, COLUMNS), seed=seed, dtype=dtype)
    if stype == "default":
        dense = np.zeros_like(values)
        dense[rows] = values[rows]
        return array(mx, dense)
    if not rows:
        return mx.nd.sparse.zeros("row_sparse", (ROWS, COLUMNS), dtype=dtype)
    return mx.nd.sparse.row_sparse_array((values[rows], rows), shape=(ROWS, COLUMNS), dtype=dtype)


def trajectory(mx, optimizer, weight, grad_stype, steps=STEPS, updater=None, dtype="float32"):
    updater = updater or mx.optimizer.get_updater(optimizer)
    for step, rows in enumerate(steps):
        updater(0, gradient_of(mx, grad_stype, rows, 20 + step, dtype), weight)
    return [weight.stype, weight, updater.states]


def register(name, label, arguments, weight_stype, grad_stype, dtype="float32", **options):
    grad_label = "no rows" if grad_stype == "empty" else grad_stype

    @case(name=f"{dtype} {name} {label}, {weight_stype} by {grad_label}", **options)
    def run(mx):
        optimizer = mx.optimizer.create(name, learning_rate=0.125, **arguments)
        weight = weight_of(mx, weight_stype, dtype=dtype)
        if grad_stype == "empty":
            return trajectory(mx, optimizer, weight, "row_sparse", [()] * 2, dtype=dtype)
        return trajectory(mx, optimizer, weight, grad_stype, dtype=dtype)


# MXNet has no AdaGrad or GroupAdaGrad of sparse gradients with weight decay.
NO_DECAY = ("adagrad", "groupadagrad")
PAIRS = (
    ("default", "row_sparse"),
    ("row_sparse", "row_sparse"),
    ("row_sparse", "default"),
    ("default", "empty"),
    ("row_sparse", "empty"),
)

# With weights other than float32, their states raise in MXNet.
ONLY_FLOAT32 = ("adagrad", "rmsprop", "adadelta", "ftrl", "groupadagrad", "test")
# In float16 MXNet rounds numbers on the way, or overflows.
FLOAT16_STATES = ("adam", "ftml", "lamb")

for name, table in OWN.items():
    for label, own in table.items():
        for common, arguments in COMMON.items():
            for lazy in (True, False) if name in LAZY else (None,):
                given = {**own, **arguments}
                if name in NO_DECAY:
                    given.pop("wd", None)
                text = f"{label} {common}".strip()
                if lazy is not None:
                    given["lazy_update"] = lazy
                    text += " lazy" if lazy else " std"
                for weight_stype, grad_stype in PAIRS:
                    if name != "test" or weight_stype == "default":  # Test fails in MXNet
                        register(name, text, given, weight_stype, grad_stype)
    for weight_stype, grad_stype in PAIRS[:1] if name == "test" else PAIRS[:3]:
        given = {**list(table.values())[-1], "rescale_grad": 0.5}
        if name not in ONLY_FLOAT32:
            wide = {"rtol": 1e-4, "why": "MXNet rounds some numbers to float32"}
            register(name, "", given, weight_stype, grad_stype, "float64", **wide)
        if name not in (*ONLY_FLOAT32, *FLOAT16_STATES):
            register(name, "", given, weight_stype, grad_stype, "float16")
        given = {**given, "multi_precision": True}
        wide = {"rtol": 1e-3, "why": "MXNet's ratio of norms is less exact"}
        wide = wide if name == "lamb" else {}
        register(name, "multi precision", given, weight_stype, grad_stype, "float16", **wide)


# ---- operators

# By operator, the number of its states and its parameters.
OPERATORS = {
    "sgd_update": (0, {"wd": 0.125}),
    "sgd_mom_update": (1, {"wd": 0.125, "momentum": 0.5}),
    "adam_update": (2, {"wd": 0.125}),
    "ftrl_update": (2, {"wd": 0.125}),
    "adagrad_update": (1, {"epsilon": 0.125}),
    "group_adagrad_update": (1, {"epsilon": 0.125}),
    "rmsprop_update": (1, {"wd": 0.125}),
    "signum_update": (1, {"wd": 0.125, "momentum": 0.5}),
    "signsgd_update": (0, {"wd": 0.125}),
    "ftml_update": (3, {"wd": 0.125, "t": 2}),
    "mp_sgd_update": (0, {"wd": 0.125}),
    "mp_sgd_mom_update": (1, {"wd": 0.125, "momentum": 0.5}),
}


def operator_of(mx, name):
    if name == "adagrad_update":
        return mx.nd.sparse.adagrad_update
    return getattr(mx.nd.contrib if name == "group_adagrad_update" else mx.nd, name)


def state_of(mx, stype, seed, columns):
    if stype == "empty":
        return mx.nd.sparse.zeros("row_sparse", (ROWS, columns))
    return array(mx, data((ROWS, columns), 0.25, 2, seed=seed)).tostype(stype)


def operator(name, weight_stype, grad_stype, state_stype, lazy, **options):
    label = {"empty": "no rows"}
    kinds = [label.get(stype, stype) for stype in (weight_stype, grad_stype, state_stype) if stype]
    lazily = "" if lazy is None else " lazy" if lazy else " std"

    @case(name=f"{name}{lazily} {' '.join(kinds)}", **options)
    def run(mx):
        count, given = OPERATORS[name]
        given = {"lr": 0.125, **given}
        if lazy is not None:
            given["lazy_update"] = lazy
        dtype = "float16" if name.startswith("mp_") else "float32"
        weight = weight_of(mx, weight_stype, dtype=dtype)
        rows = () if grad_stype == "empty" else (1, 3)
        kind = "row_sparse" if grad_stype == "empty" else grad_stype
        grad = gradient_of(mx, kind, rows, 20, dtype)
        columns = 1 if name == "group_adagrad_update" else COLUMNS
        states = [state_of(mx, state_stype, 30 + i, columns) for i in range(count)]
        if name.startswith("mp_"):
            states.append(weight.astype("float32"))
        result = operator_of(mx, name)(weight, grad, *states, out=weight, **given)
        return [result, states]


def combinations(name, count):
    """The storage types that MXNet has an update for, of weight, gradient and states."""
    kinds = ("default", "row_sparse", "empty")
    for weight in kinds[:2]:
        for grad in kinds:
            for state in kinds if count else (None,):
                if weight == grad == "default" or (not count and (weight, grad) == kinds[:2]):
                    continue
                sparse_grad = grad != "default"
                as_weight = (state == "default") == (weight == "default")
                if "adagrad" in name and not (sparse_grad and as_weight):
                    continue
                yield weight, grad, state


MAY_BE_LAZY = ("sgd_update", "sgd_mom_update", "adam_update")
for name, (count, _) in OPERATORS.items():
    for lazy in (True, False) if name in MAY_BE_LAZY else (None,):
        for weight_stype, grad_stype, state_stype in combinations(name, count):
            fails = name == "adam_update" and not lazy and state_stype == "empty"
            if not (fails and weight_stype == "row_sparse" and grad_stype != "default"):
                operator(name, weight_stype, grad_stype, state_stype, lazy)


# ---- errors


def refused(name):
    @case(name=f"{name} of a weight without all rows")
    def run(mx):
        count, given = OPERATORS[name]
        weight = gradient_of(mx, "row_sparse", (0, 2), 7)
        columns = 1 if name == "group_adagrad_update" else COLUMNS
        states = [state_of(mx, "row_sparse", 30 + i, columns) for i in range(count)]
        grad = gradient_of(mx, "row_sparse", (1, 3), 20)
        operator_of(mx, name)(weight, grad, *states, out=weight, lr=0.125, **given)
        return weight


for name in OPERATORS:
    if not name.startswith(("mp_", "rms", "sig", "ftml")):
        refused(name)


@case
def gradient_of_another_shape(mx):
    grad = mx.nd.sparse.row_sparse_array((np.ones((1, 2)), [1]), shape=(4, 2))
    weight = weight_of(mx, "default")
    return [attempt(mx.nd.sgd_update, weight, grad, lr=0.5, out=weight), weight]


@case
def result_in_a_new_array(mx):
    grad = gradient_of(mx, "row_sparse", (1, 3), 20)
    return mx.nd.sgd_update(weight_of(mx, "default"), grad, lr=0.5)


@case
def result_in_another_array(mx):
    grad = gradient_of(mx, "row_sparse", (1, 3), 20)
    out = mx.nd.ones((ROWS, COLUMNS))
    mx.nd.sgd_update(weight_of(mx, "default"), grad, lr=0.5, lazy_update=False, out=out)
    return out


# ---- updaters


@case
def updater_of_a_list(mx):
    """Dense and row_sparse weights in one call."""
    kinds = [("default", "default"), ("default", "row_sparse"), ("row_sparse", "row_sparse"),
             ("default", "default"), ("row_sparse", "default")]  # fmt: skip
    results = []
    for name, own in (("sgd", {"momentum": 0.5}), ("sgd", {}), ("lars", {"eta": 0.1})):
        updater = mx.optimizer.get_updater(mx.optimizer.create(name, learning_rate=0.125, **own))
        weights = [weight_of(mx, kind, seed=i) for i, (kind, _) in enumerate(kinds)]
        for step in range(2):
            grads = [gradient_of(mx, kind, (step, 3), 50 + step) for _, kind in kinds]
            updater(list(range(len(kinds))), grads, weights)
        results.append([weights, updater.states])
    return results


@case
def counts_grow_where_there_are_no_rows(mx):
    optimizer = mx.optimizer.Adam()
    trajectory(mx, optimizer, weight_of(mx, "default"), "row_sparse", [(), (), (1,)])
    return [optimizer.num_update, str(optimizer._index_update_count)]


@case
def states_of_csr_weights(mx):
    results = []
    for name, table in OWN.items():
        optimizer = mx.optimizer.create(name, **list(table.values())[-1])
        results.append([name, attempt(optimizer.create_state, 0, weight_of(mx, "csr"))])
    return results


@case
def states_of_row_sparse_weights(mx):
    results = []
    for name, table in OWN.items():
        for own in table.values():
            optimizer = mx.optimizer.create(name, multi_precision=True, **own)
            weight = weight_of(mx, "row_sparse")
            wide = weight_of(mx, "row_sparse", dtype="float16")
            results.append([name, optimizer.create_state(0, weight),
                            optimizer.create_state_multi_precision(0, wide)])  # fmt: skip
    return results


# ---- states that either has written


def from_file(name, package):
    @case(name=f"states of {package} {name}")
    def goes_on(mx):
        sys.path.insert(0, os.path.join(HERE, "states"))
        import make_states

        with open(os.path.join(HERE, "states", f"{package}_{name}.states"), "rb") as file:
            states = file.read()
        new, kinds, _ = make_states.sparse_optimizers(mx)[name]
        updater = mx.optimizer.get_updater(new)
        updater.set_states(states)
        loaded = [mx.nd.NDArray.__name__, type(updater.optimizer).__name__, updater.states]
        weights = make_states.sparse_steps(mx, updater, kinds, range(2, 5))
        return [loaded, weights, updater.states]


for name in ("sparse_sgd", "sparse_adam", "sparse_adagrad", "sparse_ftrl"):
    for package in ("mxnet", "mxtape"):
        from_file(name, package)
