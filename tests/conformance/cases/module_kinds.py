"""Buckets, modules in a row and in Python, checkpoints, callbacks, monitors, names and errors."""

import logging
import os
import re
import tempfile

import numpy as np
from harness import Raised, attempt, case, integers
from module_programs import (
    MOMENTUM,
    SGD,
    Lines,
    X,
    Y,
    batch_of,
    bound,
    network,
    normalized,
    numbers,
    parameters,
    params,
)


def _buckets(mx):
    def sym_gen(key):
        words = mx.sym.Embedding(mx.sym.Variable("data"), input_dim=10, output_dim=4, name="words")
        n = mx.sym.FullyConnected(mx.sym.sum(words, axis=1), num_hidden=6, name="fc")
        n = mx.sym.BatchNorm(n, name="bn", fix_gamma=False)
        n = mx.sym.FullyConnected(n, num_hidden=3, name="out")
        label = mx.sym.Variable("softmax_label")
        return mx.sym.SoftmaxOutput(n, label, name="softmax"), ("data",), ("softmax_label",)

    return sym_gen


def _bucket_batch(mx, key, count=4, seed=0):
    return mx.io.DataBatch(
        [mx.nd.array(integers((count, key), 0, 10, seed + key), dtype="float32")],
        [mx.nd.array(integers((count,), 0, 3, seed + key + 1), dtype="float32")],
        pad=0,
        bucket_key=key,
        provide_data=[mx.io.DataDesc("data", (count, key))],
        provide_label=[mx.io.DataDesc("softmax_label", (count,))],
    )


def _bucket_iterator(mx, keys):
    class Buckets(mx.io.DataIter):
        def __init__(self):
            super().__init__(4)
            self.default_bucket_key = 8
            self.provide_data = [mx.io.DataDesc("data", (4, 8))]
            self.provide_label = [mx.io.DataDesc("softmax_label", (4,))]
            self.reset()

        def reset(self):
            self.batches = [_bucket_batch(mx, k, seed=i) for i, k in enumerate(keys)]

        def next(self):
            if not self.batches:
                raise StopIteration
            return self.batches.pop(0)

    return Buckets()


def _bucketing(mx):
    sym_gen = _buckets(mx)
    module = mx.mod.BucketingModule(sym_gen, default_bucket_key=8)
    start = parameters(mx, sym_gen(8)[0], data=(4, 8))
    return module, {"arg_params": start[0], "aux_params": start[1]}


@case
def fit_with_buckets(mx):
    module, start = _bucketing(mx)
    with Lines() as lines:
        module.fit(
            _bucket_iterator(mx, [8, 5, 3, 5, 8]),
            _bucket_iterator(mx, [6, 8]),
            eval_metric="ce",
            num_epoch=3,
            optimizer_params=MOMENTUM,
            **start,
        )
    scores = numbers(module.score(_bucket_iterator(mx, [8, 4]), "ce"))
    outputs = module.predict(_bucket_iterator(mx, [8, 4]), merge_batches=False)
    return lines, params(mx, module), scores, outputs, sorted(module._buckets)


@case
def buckets_share_parameters(mx):
    module, start = _bucketing(mx)
    module.bind([("data", (4, 8))], [("softmax_label", (4,))])
    module.init_params(mx.init.Zero(), allow_missing=True, **start)
    module.init_optimizer(optimizer_params=SGD)
    seen = []
    for key, count in ((8, 4), (5, 4), (3, 4), (5, 6), (8, 4)):
        batch = _bucket_batch(mx, key, count)
        module.prepare(batch)
        module.forward(batch, is_train=True)
        module.backward()
        module.update()
        shapes = [desc.shape for desc in module.data_shapes + module.label_shapes]
        seen.append((module._curr_bucket_key, shapes, module.get_outputs()[0].copy()))
    counts = dict(module._buckets[8]._optimizer._index_update_count)
    means = [m._exec_group.execs[0].aux_dict["bn_moving_mean"] for m in module._buckets.values()]
    return seen, counts, means, params(mx, module)


@case
def modules_in_a_row(mx):
    first = mx.sym.FullyConnected(mx.sym.Variable("data"), num_hidden=6, name="fc1")
    second = mx.sym.FullyConnected(mx.sym.Variable("data"), num_hidden=3, name="fc2")
    second = mx.sym.SoftmaxOutput(second, mx.sym.Variable("softmax_label"), name="softmax")
    row = mx.mod.SequentialModule()
    row.add(mx.mod.Module(first, label_names=None))
    row.add(mx.mod.Module(second), take_labels=True, auto_wiring=True)
    start = parameters(mx, network(mx), data=(4, 5))[0]
    rows = mx.io.NDArrayIter(X, Y, 4)
    with Lines() as lines:
        row.fit(
            rows,
            num_epoch=2,
            arg_params=start,
            aux_params={},
            optimizer_params=MOMENTUM,
            eval_metric="ce",
        )
    names = row.data_names, row.output_names, row.output_shapes
    return lines, params(mx, row), numbers(row.score(rows, "acc")), row.predict(rows), names


@case
def a_loss_in_python(mx):
    features = mx.sym.FullyConnected(mx.sym.Variable("data"), num_hidden=3, name="fc2")

    def gradient(scores, labels):
        scores = scores.asnumpy()
        e = np.exp(scores - scores.max(axis=1, keepdims=True))
        grad = e / e.sum(axis=1, keepdims=True)
        grad[np.arange(len(grad)), labels.asnumpy().astype("int64")] -= 1
        return grad.astype("float32")

    row = mx.mod.SequentialModule()
    row.add(mx.mod.Module(features, label_names=None))
    row.add(mx.mod.PythonLossModule(grad_func=gradient), take_labels=True, auto_wiring=True)
    row.bind([("data", (4, 5))], [("softmax_label", (4,))])
    row.init_params(mx.init.Zero(), parameters(mx, features, data=(4, 5))[0], {})
    row.init_optimizer(optimizer_params=SGD)
    for first in (0, 4, 8):
        row.forward(batch_of(mx, first=first), is_train=True)
        row.backward()
        row.update()
    return params(mx, row), row.get_outputs(), row.output_shapes


@case
def a_checkpoint_and_its_files(mx):
    with tempfile.TemporaryDirectory() as folder, Lines() as lines:
        prefix = os.path.join(folder, "net")
        module = bound(mx, normalized(mx))
        module.init_optimizer(optimizer_params=MOMENTUM)
        module.forward_backward(batch_of(mx))
        module.update()
        module.save_checkpoint(prefix, 3, save_optimizer_states=True)
        files = sorted(os.listdir(folder))
        symbol, arg, aux = mx.model.load_checkpoint(prefix, 3)
        again = mx.mod.Module.load(prefix, 3, load_optimizer_states=True)
        again.bind([("data", (4, 5))], [("softmax_label", (4,))])
        again.init_optimizer(optimizer_params=MOMENTUM)
        again.forward_backward(batch_of(mx, first=4))
        again.update()
        lines = [os.path.basename(line) for line in lines]
    names = symbol.list_arguments(), symbol.list_outputs()
    return files, lines, names, sorted(arg), dict(sorted(aux.items())), params(mx, again)


@case
def checkpoints_of_callbacks(mx):
    with tempfile.TemporaryDirectory() as folder, Lines():
        every = mx.callback.do_checkpoint(os.path.join(folder, "every"))
        second = mx.callback.do_checkpoint(os.path.join(folder, "second"), period=2)
        module = bound(mx)
        third = mx.callback.module_checkpoint(
            module, os.path.join(folder, "module"), period=3, save_optimizer_states=True
        )
        module.fit(
            mx.io.NDArrayIter(X[:4], Y[:4], 4),
            num_epoch=3,
            epoch_end_callback=[every, second, third],
        )
        return sorted(os.listdir(folder))


@case
def parameters_of_a_file(mx):
    with tempfile.TemporaryDirectory() as folder, Lines() as lines:
        for epoch, content in enumerate(
            (
                {"arg:a": mx.nd.ones(2), "aux:b": mx.nd.zeros(1)},
                {},
                {"nothing": mx.nd.ones(1)},
                {"arg:a:b": mx.nd.ones(1)},
            )
        ):
            mx.nd.save(os.path.join(folder, f"p-{epoch:04d}.params"), content)
        seen = [
            attempt(mx.model.load_params, os.path.join(folder, "p"), epoch) for epoch in range(5)
        ]
        return seen, len(lines)


@case
def feed_forward(mx):
    start = parameters(mx, network(mx), data=(6, 5))[0]
    model = mx.model.FeedForward(
        network(mx),
        num_epoch=2,
        arg_params=start,
        aux_params={},
        numpy_batch_size=6,
        **MOMENTUM,
    )
    rows = mx.io.NDArrayIter(X, Y, 6)
    seen = []
    with Lines() as lines:
        model.fit(
            rows,
            eval_data=mx.io.NDArrayIter(X[:8], Y[:8], 6),
            batch_end_callback=[
                mx.callback.Speedometer(6, 2),
                lambda p: seen.append((p.epoch, p.nbatch)),
            ],
        )
    predicted = model.predict(X), model.predict(rows, num_batch=2), model.predict(X[:3])
    given = [part.shape for part in model.predict(rows, return_data=True)]
    scores = float(model.score(rows)), float(model.score(rows, "ce", num_batch=1))
    return lines, seen, dict(sorted(model.arg_params.items())), predicted, given, scores


@case
def feed_forward_on_two_contexts(mx):
    start = parameters(mx, network(mx), data=(6, 5))[0]
    model = mx.model.FeedForward(
        network(mx),
        ctx=[mx.cpu(0), mx.cpu(1)],
        num_epoch=3,
        epoch_size=2,
        arg_params=start,
        aux_params={},
        optimizer=mx.optimizer.SGD(learning_rate=0.5, rescale_grad=1 / 6),
    )
    with Lines() as lines:
        model.fit(mx.io.NDArrayIter(X, Y, 6), work_load_list=[1, 2])
    return lines, dict(sorted(model.arg_params.items()))


@case
def feed_forward_goes_on(mx):
    with tempfile.TemporaryDirectory() as folder, Lines() as lines:
        prefix = os.path.join(folder, "net")
        start = parameters(mx, network(mx), data=(6, 5))[0]
        model = mx.model.FeedForward(
            network(mx), num_epoch=1, arg_params=start, aux_params={}, learning_rate=0.5
        )
        rows = mx.io.NDArrayIter(X, Y, 6)
        model.fit(rows)
        model.save(prefix)
        model.save(prefix, 7)
        files = sorted(os.listdir(folder))
        model = mx.model.FeedForward.load(prefix, 1, num_epoch=2, learning_rate=0.5)
        model.fit(rows)
        lines = [os.path.basename(line) for line in lines]
    return files, lines, model.begin_epoch, dict(sorted(model.arg_params.items()))


@case
def what_a_monitor_sees(mx):
    seen = []
    for options in (
        {"interval": 1, "pattern": r"(.*weight|.*output|data)$", "sort": True},
        {"interval": 2, "pattern": r"fc2_(output|bias)$"},
        {"interval": 1, "stat_func": lambda x: x.max(), "pattern": r"fc1_weight"},
        {"interval": 1, "stat_func": lambda x: [x[0:1, 0], x[0, 0:2]], "pattern": "fc1_weight"},
    ):
        monitor = mx.mon.Monitor(**options)
        module = bound(mx)
        module.install_monitor(monitor)
        for first in (0, 4, 8):
            monitor.tic()
            module.forward(batch_of(mx, first=first), is_train=False)
            seen.append(
                [
                    (step, name, [float(v) for v in re.findall(r"[-\d.e]+", text)])
                    for step, name, text in monitor.toc()
                ]
            )
    return seen


class _Metric:
    def get_name_value(self):
        return [("acc", 0.5), ("ce", 1.25)]

    def reset_local(self):
        logging.info("reset_local")


@case
def lines_of_callbacks(mx):
    param, metric = mx.model.BatchEndParam, _Metric()
    with Lines() as lines:
        for reset in (True, False):
            speed = mx.callback.Speedometer(4, 2, reset)
            for epoch in range(2):
                for batch in range(6):
                    speed(param(epoch, batch, metric, None))
        speed = mx.callback.Speedometer(4, frequent=1)
        for batch in (0, 1, 2, 1, 2):
            speed(param(0, batch, None, None))
        bar = mx.callback.ProgressBar(7, 10)
        for batch in range(8):
            bar(param(0, batch, metric, None))
        for reset in (True, False):
            log = mx.callback.log_train_metric(2, reset)
            for batch in range(4):
                log(param(1, batch, metric, None))
        log(param(1, 2, None, None))
        mx.callback.LogValidationMetricsCallback()(param(1, 2, metric, None))
        mx.callback.LogValidationMetricsCallback()(param(1, 2, None, None))
    return lines


@case
def the_order_of_initialization(mx):
    order = []

    class Order(mx.init.Initializer):
        def __call__(self, desc, array):
            order.append((str(desc), desc.attrs.get("__lr_mult__")))

    weight = mx.sym.Variable("z_weight", lr_mult=2)
    n = mx.sym.FullyConnected(mx.sym.Variable("data"), weight, num_hidden=3, name="z")
    n = mx.sym.FullyConnected(mx.sym.BatchNorm(n, name="bn"), num_hidden=3, name="a")
    module = mx.mod.Module(mx.sym.SoftmaxOutput(n, name="softmax"))
    module.bind([("data", (4, 5))], [("softmax_label", (4,))])
    module.init_params(Order())
    return order, list(module._arg_params), list(module._aux_params)


@case
def names_and_shapes(mx):
    symbol = normalized(mx)
    module = mx.mod.Module(symbol, fixed_param_names=["fc1_bias"])
    before = module.data_names, module.label_names, module.output_names, module._param_names
    module.bind(mx.io.NDArrayIter(X, Y, 4).provide_data, [("softmax_label", (4,))])
    described = [
        (d.name, d.shape, str(np.dtype(d.dtype)), d.layout)
        for d in module.data_shapes + module.label_shapes
    ]
    group = module._exec_group
    return {
        "before": before,
        "described": described,
        "outputs": module.output_shapes,
        "names": (group.arg_names, group.param_names, group.aux_names, group.output_names),
        "fixed": module._fixed_param_names,
        "arrays": [[a.shape for a in arrays] for arrays in group.param_arrays + group.aux_arrays],
        "state": (module.binded, module.for_training, module.inputs_need_grad),
    }


@case
def too_early(mx):
    module = mx.mod.Module(network(mx))
    batch = batch_of(mx)
    calls = [
        lambda: module.data_shapes,
        lambda: module.output_shapes,
        lambda: module.get_params(),
        lambda: module.init_params(),
        lambda: module.init_optimizer(),
        lambda: module.forward(batch),
        lambda: module.backward(),
        lambda: module.update(),
        lambda: module.get_outputs(),
        lambda: module.score(mx.io.NDArrayIter(X, Y, 4), "acc"),
        lambda: module.fit(mx.io.NDArrayIter(X, Y, 4)),
    ]
    return [attempt(call) for call in calls]


@case
def wrong_names(mx):
    symbol = network(mx)

    def bind(data, label):
        mx.mod.Module(symbol).bind(data, label)

    return [
        attempt(mx.mod.Module, symbol, data_names=["dat"]),
        attempt(mx.mod.Module, symbol, state_names=["state"]),
        attempt(mx.mod.Module, symbol, fixed_param_names=["fc3_weight"]),
        attempt(mx.mod.Module, symbol, work_load_list=[1, 1]),
        attempt(bind, [("dat", (4, 5))], [("softmax_label", (4,))]),
        attempt(bind, [("data", (4, 5)), ("more", (4,))], [("softmax_label", (4,))]),
        attempt(bind, [("data", (4, 5))], [("softmax_label", (3,))]),
        attempt(mx.mod.Module(symbol).bind, [("data", (4, 5))], None, False, True),
        attempt(bound, mx, bind={"grad_req": ["write"]}),
        attempt(bound, mx, bind={"grad_req": 3}),
        attempt(mx.mod.BucketingModule, _buckets(mx)),
        attempt(mx.mod.SequentialModule().add, mx.mod.Module(symbol), take_label=True),
        attempt(mx.mod.SequentialModule().bind, [("data", (4, 5))]),
        attempt(mx.mod.PythonLossModule, data_names=["a", "b"]),
        attempt(mx.mod.PythonLossModule, grad_func=3),
        attempt(mx.mod.PythonLossModule().bind, [("dat", (4, 5))]),
    ]


@case
def parameters_that_are_missing_or_more(mx):
    module = bound(mx, normalized(mx))
    arg, aux = (dict(sorted(given.items())) for given in module.get_params())
    arg = {name: value + 1 for name, value in arg.items()}
    few = {name: value for name, value in arg.items() if name != "fc2_bias"}
    more = {**arg, "more": mx.nd.ones(2)}
    seen = []
    for given, states, options in (
        (few, aux, {}),
        (arg, {}, {}),
        (few, aux, {"allow_missing": True}),
        (more, aux, {}),
        (more, aux, {"allow_missing": True}),
        (more, aux, {"allow_missing": True, "allow_extra": True}),
        (more, aux, {"allow_extra": True}),
        (arg, aux, {"force_init": False}),
        (None, None, {}),
    ):
        module.set_params(*({n: v * 0 for n, v in p.items()} for p in (arg, aux)))
        raised = attempt(module.set_params, given, states, **options)
        if isinstance(raised, Raised):  # MXNet has changed some parameters by then.
            seen.append(raised)
            continue
        now = sorted(module.get_params()[0].items())
        seen.append({name: float(value.sum().asscalar()) for name, value in now})
    seen.append(attempt(module.init_params, mx.init.One(), few, aux, force_init=True))
    module.init_params(mx.init.One(), few, aux, allow_missing=True, force_init=True)
    return seen, params(mx, module)


@case
def what_a_loaded_module_is_bound_with(mx):
    with tempfile.TemporaryDirectory() as folder, Lines():
        prefix = os.path.join(folder, "net")
        symbol = network(mx)
        arg, aux = parameters(mx, symbol, data=(4, 5))
        mx.model.save_checkpoint(prefix, 1, symbol, {**arg, "more": mx.nd.ones(2)}, aux)
        mx.model.save_checkpoint(prefix, 2, symbol, arg, aux)

        def load(epoch, **options):
            module = mx.mod.Module.load(prefix, epoch, **options)
            module.bind([("data", (4, 5))], for_training=False)
            module.forward(batch_of(mx, labels=False))
            return module.get_outputs()

        return [attempt(load, 1), load(2), load(2, label_names=None), attempt(load, 3)]


@case
def stores_of_modules(mx):
    seen = []
    for count in (1, 2):
        for name in ("local", "device", None):
            module = bound(mx, context=[mx.cpu(i) for i in range(count)])
            module.init_optimizer(kvstore=name)
            known = module._kvstore is None, module._update_on_kvstore, module._updater is None
            optimizer = module._optimizer
            seen.append((known, optimizer.rescale_grad, sorted(optimizer.idx2name.items())))
    given = bound(mx)
    given.init_optimizer(kvstore=mx.kv.create("local"))
    seen.append((given._kvstore is None, given._update_on_kvstore, given._updater is None))
    large = {"w": mx.nd.zeros((1024 * 1024 * 16 + 1,), dtype="uint8")}
    small = {"w": mx.nd.zeros((3,))}
    for name, count, arrays in (
        ("local", 1, small),
        ("local", 2, small),
        ("local", 2, large),
        ("device", 2, large),
        (None, 2, small),
    ):
        store, on_store = mx.model._create_kvstore(name, count, arrays)
        seen.append((store is None, on_store))
    seen.append(attempt(mx.model._create_kvstore, 3, 1, small))
    return seen


@case
def two_bindings_share_an_optimizer(mx):
    first, second = bound(mx), mx.mod.Module(network(mx))
    first.init_optimizer(optimizer_params=MOMENTUM)
    second.bind([("data", (3, 5))], [("softmax_label", (3,))], shared_module=first)
    for module, count in ((first, 4), (second, 3), (first, 4)):
        module.forward_backward(batch_of(mx, count, first=count))
        module.update()
    optimizers = first._optimizer is second._optimizer
    return optimizers, first._optimizer.num_update, params(mx, first), params(mx, second)


@case
def lists_of_descriptions(mx):
    base = mx.mod.base_module
    described = base._parse_data_desc(
        ["data"], ["label"], [mx.io.DataDesc("data", (4, 5), "int32", "NC")], [("label", (4,))]
    )
    return (
        [[(d.name, d.shape, str(np.dtype(d.dtype)), d.layout) for d in part] for part in described],
        base._parse_data_desc(["data"], [], [("data", (1, 2))], [])[1],
        base._parse_data_desc(["data"], [], [("data", (1, 2))], None)[1],
        attempt(base._parse_data_desc, ["data"], [], [("x", (1, 2))], None),
        base._as_list(3),
        base._as_list([3]),
        attempt(base._check_input_names, network(mx), ["dat"], "data_names", True),
    )
