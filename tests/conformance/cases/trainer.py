"""gluon.Trainer: trajectories with every optimizer, schedules, stores, stale gradients, states."""

import os
import tempfile

from harness import array, attempt, case, data

OPTIMIZERS = {
    "sgd": {"momentum": 0.9, "wd": 0.1},
    "ccsgd": {},
    "nag": {"momentum": 0.9},
    "adam": {"wd": 0.1},
    "adagrad": {"wd": 0.1},
    "rmsprop": {"centered": True},
    "adadelta": {},
    "ftrl": {},
    "adamax": {},
    "nadam": {},
    "ftml": {},
    "signum": {"wd_lh": 0.1},
    "dcasgd": {},
    "lars": {"momentum": 0.9, "eta": 0.1},
    "lamb": {},
    "lbsgd": {"momentum": 0.9},
}


def parameters(mx, contexts=1, dtype="float32", **options):
    """Two parameters with values, on some contexts."""
    made = []
    for seed, (name, shape) in enumerate((("fc_weight", (2, 3)), ("fc_bias", (3,)))):
        p = mx.gluon.Parameter(name, shape=shape, dtype=dtype, **options)
        p.initialize(ctx=[mx.cpu(i) for i in range(contexts)])
        p.set_data(array(mx, data(shape, seed=seed, dtype=dtype)))
        made.append(p)
    return made


def backward(mx, params, seed, only=None):
    """Gradients that differ by parameter, context and seed, and depend on the parameters."""
    losses = []
    with mx.autograd.record():
        for i, p in enumerate(params):
            if only is None or i == only:
                for j, value in enumerate(p.list_data()):
                    x = data(p.shape, seed=seed + 10 * j + 100 * i, dtype=p.dtype)
                    x = array(mx, x).as_in_context(value.context)
                    losses.append((value * value * 0.25 + value * x).sum())
    mx.autograd.backward(losses)


def trained(mx, trainer, steps=3, batch_size=2, seed=0, **options):
    for step in range(steps):
        backward(mx, trainer._params, seed + step)
        trainer.step(batch_size, **options)
    return values(trainer)


def values(trainer):
    return [list(p.list_data()) for p in trainer._params]


def counts(trainer):
    return [trainer.optimizer.num_update, trainer.optimizer._all_index_update_counts]


CANCELS = {"rtol": 2e-3, "why": "z is a difference of numbers that are nearly equal"}

for name, own in OPTIMIZERS.items():
    tolerance = CANCELS if name == "ftml" else {}

    @case(name=f"{name} on one context", **tolerance)
    def one(mx, name=name, own=own):
        trainer = mx.gluon.Trainer(parameters(mx), name, {"learning_rate": 0.125, **own})
        return [*trained(mx, trainer), *counts(trainer), trainer.learning_rate]

    @case(name=f"{name} on two contexts", **tolerance)
    def two(mx, name=name, own=own):
        trainer = mx.gluon.Trainer(
            parameters(mx, 2), name, {"learning_rate": 0.125, **own}, update_on_kvstore=False
        )
        return [*trained(mx, trainer), *counts(trainer)]


for store in ("local", "device", None):
    for on_store in (None, True, False):
        if store is None and on_store:
            continue  # MXNet fails

        @case(name=f"two contexts, store {store}, update_on_kvstore {on_store}")
        def stores(mx, store=store, on_store=on_store):
            trainer = mx.gluon.Trainer(
                parameters(mx, 2), "adam", kvstore=store, update_on_kvstore=on_store
            )
            result = trained(mx, trainer)
            return [result, *counts(trainer), trainer._update_on_kvstore, len(trainer._updaters)]


@case
def compressed_gradients(mx):
    params = {"type": "2bit", "threshold": 0.5}
    trainer = mx.gluon.Trainer(parameters(mx, 2), "sgd", compression_params=params)
    return trained(mx, trainer)


@case
def a_store_is_given(mx):
    trainer = mx.gluon.Trainer(parameters(mx), "sgd", kvstore=mx.kv.create("local"))
    return [trained(mx, trainer), trainer._update_on_kvstore, trainer._distributed]


for kind in ("factor", "multi", "poly", "cosine"):

    @case(name=f"the schedule {kind}")
    def scheduled(mx, kind=kind):
        s = mx.lr_scheduler
        schedule = {
            "factor": lambda: s.FactorScheduler(2, 0.5, base_lr=0.5),
            "multi": lambda: s.MultiFactorScheduler([1, 3], 0.5, base_lr=0.5, warmup_steps=1),
            "poly": lambda: s.PolyScheduler(4, base_lr=0.5),
            "cosine": lambda: s.CosineScheduler(4, base_lr=0.5, final_lr=0.1, warmup_steps=2),
        }[kind]()
        trainer = mx.gluon.Trainer(parameters(mx), "sgd", {"lr_scheduler": schedule})
        result = []
        for step in range(5):
            result += [trained(mx, trainer, steps=1, seed=step), trainer.learning_rate]
        return [result, attempt(trainer.set_learning_rate, 0.5)]


@case
def multipliers(mx):
    params = parameters(mx)
    params[0].lr_mult, params[1].wd_mult = 0.5, 0.0
    trainer = mx.gluon.Trainer(params, "sgd", {"learning_rate": 0.5, "wd": 0.5})
    first = trained(mx, trainer)
    params[0].lr_mult = 0.0
    return [first, trained(mx, trainer)]


@case
def gradients_that_add_up(mx):
    params = parameters(mx, grad_req="add")
    trainer = mx.gluon.Trainer(params, "adam")
    result = []
    for step in range(3):
        for part in range(2):
            backward(mx, params, 7 * step + part)
        trainer.step(4)
        result += [values(trainer), [p.grad().copy() for p in params]]
        for p in params:
            p.zero_grad()
    return [result, counts(trainer)]


@case
def parameters_without_gradients(mx):
    params = parameters(mx)
    trainer = mx.gluon.Trainer(params, "sgd", {"momentum": 0.5})
    params[0].grad_req = "null"
    first = trained(mx, trainer)
    params[0].grad_req = "write"
    return [first, trained(mx, trainer), counts(trainer), sorted(trainer._updaters[0].states)]


@case
def stale_gradients(mx):
    params = parameters(mx)
    trainer = mx.gluon.Trainer(params, "sgd", {"momentum": 0.5})
    result = [attempt(trainer.step, 1)]
    result += [trained(mx, trainer), attempt(trainer.step, 1), attempt(trainer.update, 1)]
    backward(mx, params, 5, only=1)
    result += [attempt(trainer.step, 1), values(trainer)]
    backward(mx, params, 5, only=1)
    trainer.step(1, ignore_stale_grad=True)
    return [result, values(trainer), counts(trainer), [p.data()._fresh_grad for p in params]]


for on_store in (True, False):

    @case(name=f"stale on two contexts, update_on_kvstore {on_store}")
    def stale_on_two(mx, on_store=on_store):
        params = parameters(mx, 2)
        trainer = mx.gluon.Trainer(params, "sgd", update_on_kvstore=on_store)
        first = attempt(trainer.step, 1)
        backward(mx, params, 5)
        trainer.step(1)
        flags = [x._fresh_grad for p in params for x in p.list_data()]
        params[1].list_data()[1]._fresh_grad = False
        return [first, flags, attempt(trainer.step, 1), attempt(trainer.step, 1, True)]


@case
def sums_and_updates_apart(mx):
    params = parameters(mx, 2)
    trainer = mx.gluon.Trainer(params, "sgd", {"momentum": 0.5}, update_on_kvstore=False)
    backward(mx, params, 3)
    trainer.allreduce_grads()
    grads = [g.copy() for p in params for g in p.list_grad()]
    trainer.update(4)
    on_store = mx.gluon.Trainer(params, "sgd")
    backward(mx, params, 3)
    refused = [attempt(on_store.allreduce_grads), attempt(on_store.update, 4)]
    return [grads, values(trainer), refused]


@case(rtol=1e-2, why="gradients are rounded to float16")
def half_precision(mx):
    options = {"learning_rate": 0.125, "momentum": 0.9, "multi_precision": True}
    trainer = mx.gluon.Trainer(parameters(mx, dtype="float16"), "sgd", options)
    return [trained(mx, trainer), trainer._updaters[0].states]


for source in (1, 2):
    for target in (1, 2):
        for on_store in (True, False):

            @case(name=f"states from {source} to {target} contexts, on the store {on_store}")
            def states(mx, source=source, target=target, on_store=on_store):
                def make(contexts, rate):
                    schedule = mx.lr_scheduler.FactorScheduler(2, 0.5, base_lr=rate)
                    store = "device" if contexts > 1 else None
                    on = on_store if contexts > 1 else None
                    own = {"lr_scheduler": schedule, "wd": 0.125}
                    params = parameters(mx, contexts)
                    return mx.gluon.Trainer(params, "adam", own, store, update_on_kvstore=on)

                with tempfile.TemporaryDirectory() as folder:
                    name = os.path.join(folder, "states")
                    first = make(source, 0.5)
                    trained(mx, first)
                    first.save_states(name)
                    second = make(target, 0.25)
                    second.load_states(name)
                loaded = [second.learning_rate, *counts(second)]
                return [loaded, trained(mx, second, seed=3), *counts(second)]


@case
def states_before_the_first_step(mx):
    with tempfile.TemporaryDirectory() as folder:
        name = os.path.join(folder, "states")
        first = mx.gluon.Trainer(parameters(mx), "adam", {"learning_rate": 0.5})
        first.save_states(name)
        second = mx.gluon.Trainer(parameters(mx), "adam")
        second.load_states(name)
        missing = attempt(second.load_states, os.path.join(folder, "nothing"))
    kind = type(second.optimizer).__name__
    return [kind, second.learning_rate, trained(mx, second), counts(second), missing]


@case
def parameters_in_a_dict(mx):
    params = parameters(mx)
    made = mx.gluon.Trainer({p.name: p for p in params}, "sgd")
    return [[p.name for p in made._params], made._param2idx, made._contexts, made._scale]


@case
def rescaling_of_the_optimizer(mx):
    trainer = mx.gluon.Trainer(parameters(mx), mx.optimizer.SGD(rescale_grad=0.5))
    result = trained(mx, trainer, batch_size=4)
    return [result, trainer._scale, trainer.optimizer.rescale_grad]


@case
def bad_arguments(mx):
    params = parameters(mx)
    on_two = parameters(mx, 2)
    waiting = mx.gluon.Parameter("w", shape=(0, 2), allow_deferred_init=True)
    unknown = mx.gluon.Parameter("u", shape=(2,))
    waiting.initialize()
    make = mx.gluon.Trainer
    return [
        attempt(make, "params", "sgd"),
        attempt(make, [1], "sgd"),
        attempt(make, params, "nothing"),
        attempt(make, params, mx.optimizer.SGD(), {"momentum": 0.5}),
        attempt(make, params, "sgd", {"nonsense": 1}),
        attempt(make, params + on_two, "sgd"),
        attempt(make, [unknown], "sgd"),
        attempt(make([waiting], "sgd").step, 1),
        attempt(make(params, "sgd").step, 0),
        attempt(make(params, "sgd", kvstore=3).step, 1),
        attempt(make(on_two, "sgd", kvstore="teststore", update_on_kvstore=True).step, 1),
    ]
