"""Module: trajectories, predictions, batches of other sizes, gradients, contexts, states."""

from harness import Raised, attempt, case, data
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
    trained,
)


@case
def fit_sgd(mx):
    return trained(mx, network(mx), optimizer_params=SGD)


@case
def fit_defaults(mx):
    return trained(mx, network(mx))


@case
def fit_momentum_with_batch_norm(mx):
    return trained(mx, normalized(mx), epochs=3, optimizer_params=MOMENTUM)


@case
def fit_a_last_batch_that_is_padded(mx):
    return trained(mx, network(mx), count=18, optimizer_params=SGD)


@case
def fit_adam(mx):
    return trained(mx, network(mx), optimizer="adam", optimizer_params={"learning_rate": 0.05})


@case
def fit_with_an_optimizer(mx):
    optimizer = mx.optimizer.SGD(learning_rate=0.5, rescale_grad=0.25)
    return trained(mx, network(mx), optimizer=optimizer)


@case
def fit_with_a_schedule(mx):
    schedule = mx.lr_scheduler.FactorScheduler(step=3, factor=0.5)
    rates = {"learning_rate": 0.5, "lr_scheduler": schedule}
    return trained(mx, network(mx), optimizer_params=rates)


@case
def fit_from_an_epoch_on(mx):
    rates = {
        "learning_rate": 0.5,
        "lr_scheduler": mx.lr_scheduler.FactorScheduler(step=3, factor=0.5),
        "begin_num_update": 10,
    }
    return trained(mx, network(mx), begin=2, optimizer_params=rates)


@case
def fit_with_fixed_parameters(mx):
    return trained(
        mx, network(mx), optimizer_params=SGD, fixed_param_names=["fc1_weight", "fc1_bias"]
    )


@case
def fit_on_two_contexts(mx):
    contexts = [mx.cpu(0), mx.cpu(1)]
    return trained(mx, network(mx), context=contexts, optimizer_params=MOMENTUM)


@case
def fit_on_two_contexts_with_work_loads(mx):
    contexts = [mx.cpu(0), mx.cpu(1)]
    return trained(
        mx, network(mx), context=contexts, work_load_list=[1, 3], optimizer_params=MOMENTUM
    )


@case
def fit_on_two_contexts_without_a_store(mx):
    contexts = [mx.cpu(0), mx.cpu(1)]
    return trained(mx, network(mx), context=contexts, kvstore=None, optimizer_params=MOMENTUM)


@case
def fit_on_three_contexts_by_device(mx):
    contexts = [mx.cpu(i) for i in range(3)]
    return trained(mx, network(mx), context=contexts, kvstore="device", optimizer_params=SGD)


@case
def fit_calls_back(mx):
    seen = []

    def batch(param):
        seen.append(
            (
                type(param).__name__,
                param.epoch,
                param.nbatch,
                numbers(param.eval_metric.get_name_value()),
            )
        )

    def epoch(number, symbol, arg, aux):
        seen.append((number, symbol.name, sorted(arg), sorted(aux)))

    with Lines() as lines:
        module = mx.mod.Module(normalized(mx))
        start = parameters(mx, module.symbol, data=(4, 5))
        module.fit(
            mx.io.NDArrayIter(X[:8], Y[:8], 4),
            mx.io.NDArrayIter(X[:8], Y[:8], 4),
            arg_params=start[0],
            aux_params=start[1],
            num_epoch=2,
            batch_end_callback=[batch, mx.callback.Speedometer(4, 1)],
            epoch_end_callback=[epoch],
            eval_batch_end_callback=batch,
            eval_end_callback=[batch],
            validation_metric="ce",
        )
    return seen, lines


@case
def fit_gives_callbacks_its_variables(mx):
    """Names that programs read in ``param.locals``."""
    wanted = (
        "self epoch nbatch eval_metric data_batch train_data eval_data arg_params aux_params "
        "optimizer optimizer_params kvstore monitor initializer tic num_epoch begin_epoch"
    )
    seen = []
    module = bound(mx)
    data = mx.io.NDArrayIter(X[:4], Y[:4], 4)
    module.fit(
        data,
        num_epoch=1,
        batch_end_callback=lambda p: seen.append([w in p.locals for w in wanted.split()]),
    )
    wanted = "self epoch nbatch eval_metric eval_batch eval_data num_batch actual_num_batch"
    module.score(
        data,
        "acc",
        batch_end_callback=lambda p: seen.append([w in p.locals for w in wanted.split()]),
    )
    return seen


@case
def predict_without_padding(mx):
    module = bound(mx)
    rows = mx.io.NDArrayIter(X[:10], Y[:10], 4)
    return {
        "merged": module.predict(rows),
        "batches": module.predict(rows, merge_batches=False),
        "two": module.predict(rows, num_batch=2),
        "none": module.predict(rows, num_batch=0),
        "list": module.predict(rows, always_output_list=True),
        "pads": [(len(out), n, batch.pad) for out, n, batch in module.iter_predict(rows)],
    }


@case
def predict_several_outputs(mx):
    symbol = network(mx)
    both = mx.sym.Group([symbol, mx.sym.BlockGrad(symbol.get_internals()["fc1_output"])])
    module = bound(mx, both)
    rows = mx.io.NDArrayIter(X[:10], Y[:10], 4)
    return module.predict(rows), module.predict(rows, merge_batches=False), module.output_shapes


@case
def predict_an_array(mx):
    module = mx.mod.Module(network(mx))
    module.bind([("data", (4, 5))], for_training=False)
    module.init_params(mx.init.Zero(), *parameters(mx, module.symbol, data=(4, 5)), True)
    return [module.predict(x) for x in (X[:4], mx.nd.array(X[:4]))]


@case
def score_counts_padding(mx):
    module, rows = bound(mx), mx.io.NDArrayIter(X[:10], Y[:10], 4)
    return (
        numbers(module.score(rows, "acc")),
        numbers(module.score(rows, ["acc", "ce"])),
        numbers(module.score(rows, mx.metric.CrossEntropy(), num_batch=1)),
        numbers(module.score(rows, "ce", reset=False)),
    )


@case
def batches_of_other_sizes(mx):
    module, seen = bound(mx, normalized(mx)), []
    module.init_optimizer(optimizer_params=SGD)
    for count in (4, 3, 9, 1, 4, 2):
        module.forward(batch_of(mx, count, first=count), is_train=True)
        module.backward()
        module.update()
        shapes = [desc.shape for desc in module.data_shapes + module.label_shapes]
        seen.append((module.get_outputs()[0].copy(), shapes, module.output_shapes))
    return seen, params(mx, module)


@case
def a_batch_without_labels(mx):
    module = bound(mx)
    module.forward(batch_of(mx, labels=False), is_train=False)
    return module.get_outputs()


@case
def reshape_keeps_parameters(mx):
    module = bound(mx)
    module.reshape([("data", (7, 5))], [("softmax_label", (7,))])
    module.forward(batch_of(mx, 7), is_train=False)
    return module.get_outputs(), params(mx, module), module.output_shapes


@case
def gradients_of_inputs(mx):
    module = bound(mx, bind={"inputs_need_grad": True})
    module.forward_backward(batch_of(mx))
    grads = {n: g[0] for n, g in zip(module._param_names, module._exec_group.grad_arrays)}
    return module.get_input_grads(), module.get_input_grads(False), grads


@case
def gradients_that_add(mx):
    module = bound(mx, bind={"inputs_need_grad": True, "grad_req": "add"})
    module.forward_backward(batch_of(mx))
    module.forward_backward(batch_of(mx, first=4))
    return module.get_input_grads(), [g[0] for g in module._exec_group.grad_arrays]


@case
def requests_for_gradients(mx):
    seen = []
    for request in (
        "write",
        "add",
        "null",
        {"fc1_weight": "add"},
        {"data": "null", "fc2_bias": "null"},
        ["write", "add", "null", "write", "write", "null"],
        ("null",) * 6,
    ):
        module = bound(
            mx,
            fixed_param_names=["fc1_bias"],
            bind={"inputs_need_grad": True, "grad_req": request},
        )
        seen.append(dict(module._exec_group.grad_req))
        seen.append([g[0] is None for g in module._exec_group.grad_arrays])
    return seen


@case
def head_gradients(mx):
    features = mx.sym.FullyConnected(mx.sym.Variable("data"), num_hidden=2, name="fc")
    both = mx.sym.Group([features, mx.sym.square(features, name="square")])
    module = bound(mx, both, label_names=None, bind={"inputs_need_grad": True})
    module.forward(batch_of(mx, labels=False), is_train=True)
    heads = [mx.nd.array(data((4, 2), seed=s)) for s in (5, 6)]
    module.backward(heads)
    return module.get_outputs(), module.get_input_grads()


@case
def slices_on_contexts(mx):
    module = mx.mod.Module(
        network(mx), context=[mx.cpu(0), mx.cpu(1), mx.cpu(2)], work_load_list=[1, 3, 2]
    )
    module.bind([("data", (11, 5))], [("softmax_label", (11,))], inputs_need_grad=True)
    module.init_params(mx.init.Zero(), *parameters(mx, module.symbol, data=(11, 5)), True)
    module.forward_backward(batch_of(mx, 11))
    slices = [(s.start, s.stop) for s in module._exec_group.slices]
    shapes = [[part.shape for part in out] for out in module.get_outputs(False)]
    metric = mx.metric.create("ce")
    module.update_metric(metric, batch_of(mx, 11).label)
    return (
        slices,
        shapes,
        module.get_outputs(),
        module.get_input_grads(),
        numbers(metric.get_name_value()),
    )


@case
def batches_that_are_sliced_already(mx):
    module = bound(mx, batch=4, context=[mx.cpu(0), mx.cpu(1)])
    module.forward([batch_of(mx, 2), batch_of(mx, 2, first=2)], is_train=True)
    return module.get_outputs()


@case
def where_slices_begin(mx):
    from importlib import import_module

    split = import_module(mx.__name__ + ".executor_manager")._split_input_slice
    loads = (
        (10, [1, 1]),
        (10, [1, 2, 3]),
        (7, [1, 1, 1]),
        (9, [1, 1]),
        (3, [1, 1]),
        (5, [2, 1]),
        (10, [0.5, 0.25, 1]),
        (100, [3, 1, 7, 2]),
        (2, [1, 1, 1]),
    )
    return [
        s if isinstance(s, Raised) else [(part.start, part.stop) for part in s]
        for s in (attempt(split, *load) for load in loads)
    ]


@case
def states_of_a_module(mx):
    total = mx.sym.elemwise_add(mx.sym.Variable("data"), mx.sym.Variable("h"))
    symbol = mx.sym.FullyConnected(total, num_hidden=2, name="fc")
    module = mx.mod.Module(symbol, label_names=None, state_names=["h"])
    module.bind([("data", (4, 5))], for_training=False)
    arg, aux = parameters(mx, symbol, data=(4, 5), h=(4, 5))
    module.init_params(mx.init.Zero(), arg, aux, True)
    seen = []
    for options in ({"value": 2}, {"states": [[mx.nd.array(X[4:8])]]}):
        module.set_states(**options)
        module.forward(batch_of(mx, labels=False), is_train=False)
        seen.append((module.get_states(False)[0][0].copy(), module.get_outputs()[0].copy()))
    return seen


@case
def multipliers_of_variables(mx):
    """``lr_mult`` and ``wd_mult`` of a symbol's variables reach the optimizer."""
    weight = mx.sym.Variable("fc1_weight", lr_mult=0.0)
    bias = mx.sym.Variable("fc1_bias", lr_mult=2.0, wd_mult=3.0)
    n = mx.sym.FullyConnected(mx.sym.Variable("data"), weight, bias, num_hidden=6, name="fc1")
    n = mx.sym.Activation(n, act_type="tanh", name="tanh")
    with mx.AttrScope(lr_mult="0.5"):
        n = mx.sym.FullyConnected(n, num_hidden=3, name="fc2")
    n = mx.sym.SoftmaxOutput(n, mx.sym.Variable("softmax_label"), name="softmax")
    return trained(mx, n, optimizer_params=MOMENTUM)


@case
def two_networks_against_each_other(mx):
    """Gradients of one module's inputs train another; gradients are kept and added by hand."""
    made = mx.sym.FullyConnected(mx.sym.Variable("rand"), num_hidden=5, name="made")
    maker = mx.mod.Module(made, data_names=["rand"], label_names=None)
    maker.bind([("rand", (4, 5))], inputs_need_grad=True)
    maker.init_params(mx.init.Zero(), parameters(mx, made, rand=(4, 5))[0])
    score = mx.sym.FullyConnected(mx.sym.Variable("data"), num_hidden=1, name="score")
    score = mx.sym.LogisticRegressionOutput(score, mx.sym.Variable("label"), name="loss")
    judge = mx.mod.Module(score, label_names=["label"])
    judge.bind([("data", (4, 5))], [("label", (4, 1))], inputs_need_grad=True)
    judge.init_params(mx.init.Zero(), parameters(mx, score, data=(4, 5), label=(4, 1))[0])
    for module in (maker, judge):
        module.init_optimizer(optimizer_params=SGD)
    label = mx.nd.zeros((4, 1))
    for first in (0, 4, 8):
        real = mx.nd.array(X[first : first + 4])
        maker.forward(mx.io.DataBatch([mx.nd.array(X[first + 4 : first + 8])], None))
        fakes = maker.get_outputs()
        label[:] = 0
        judge.forward(mx.io.DataBatch(fakes, [label]), is_train=True)
        judge.backward()
        kept = [[g.copyto(g.context) for g in grads] for grads in judge._exec_group.grad_arrays]
        label[:] = 1
        judge.forward(mx.io.DataBatch([real], [label]), is_train=True)
        judge.backward()
        for now, before in zip(judge._exec_group.grad_arrays, kept):
            for gradient, other in zip(now, before):
                gradient += other
        judge.update()
        judge.forward(mx.io.DataBatch(fakes, [label]), is_train=True)
        judge.backward()
        maker.backward(judge.get_input_grads())
        maker.update()
    return params(mx, judge), params(mx, maker), judge.get_outputs(), maker.get_outputs()


@case
def features_of_an_inner_layer(mx):
    """The part of a trained network that ends at an inner output, with all its parameters."""
    whole = bound(mx, normalized(mx))
    features = whole.symbol.get_internals()["bn_output"]
    module = mx.mod.Module(features, label_names=None)
    module.bind([("data", (2, 5))], for_training=False)
    module.set_params(*whole.get_params())
    module.forward(batch_of(mx, 2, labels=False))
    again = mx.mod.Module(features, label_names=None)
    again.bind([("data", (2, 5))], for_training=False)
    again.set_params(*whole.get_params(), allow_missing=True, allow_extra=True)
    again.forward(batch_of(mx, 2, labels=False))
    return module.get_outputs(), again.get_outputs(), again.output_shapes
