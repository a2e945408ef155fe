"""Module: what users of MXNet reported, and errors.

The trajectories themselves are compared with MXNet's in tests/conformance/cases/module.py.
"""

import collections
import logging
import warnings

import numpy as np
import pytest

import mxtape as mx
from module_support import (
    X,
    Y,
    assert_same_params,
    batch_of,
    bucket_batch,
    buckets,
    classifier,
    module_of,
    numpy_params,
    step,
    values,
)

# ---- other batches than those trained with


@pytest.mark.parametrize("count", [1, 3, 4, 9])
@pytest.mark.parametrize("labels", [True, False])
@pytest.mark.parametrize("bound_with_labels", [True, False])
def test_predictions_do_not_depend_on_the_batch(count, labels, bound_with_labels):
    if mx.__name__ == "mxnet" and not (labels and bound_with_labels):
        pytest.skip("MXNet does not shape a label that a batch lacks")
    whole = module_of(batch=20)
    whole.forward(batch_of(20), is_train=False)
    expected = whole.get_outputs()[0].asnumpy()
    module = module_of(labels=bound_with_labels)
    for first in (0, 7):
        module.forward(batch_of(count, first, labels), is_train=False)
        got = module.get_outputs()[0].asnumpy()
        np.testing.assert_allclose(got, expected[first : first + count], rtol=1e-6)
        assert module.output_shapes == [("softmax_output", (count, 3))]


def test_training_goes_on_after_batches_of_other_sizes():
    """As if the small batches had not been: shapes change, arrays of parameters do not."""
    plain, mixed = module_of(), module_of()
    for module in (plain, mixed):
        module.init_optimizer(optimizer_params={"learning_rate": 0.1, "momentum": 0.9})
    arrays = [a for (a,) in mixed._exec_group.param_arrays]
    for first in (0, 4, 8):
        step(plain, batch_of(first=first))
        step(mixed, batch_of(first=first))
        for count in (2, 11, 1):
            mixed.forward(batch_of(count), is_train=False)
            mixed.forward(batch_of(count, label=mx.__name__ == "mxnet"), is_train=False)
    assert_same_params(numpy_params(plain), numpy_params(mixed))
    now = [a for (a,) in mixed._exec_group.param_arrays]
    for old, new in zip(arrays, now):
        new[:] = 3
        assert (old.asnumpy() == 3).all()


@pytest.mark.differs("MXNet predicts an array in training mode in a module bound for training")
def test_an_array_is_predicted_as_data_is():
    module = module_of(classifier(dropout=0.5), batch=20)
    rows = mx.io.NDArrayIter(X, Y, 20)
    expected = module.predict(rows).asnumpy()
    for _ in range(3):
        np.testing.assert_array_equal(module.predict(X).asnumpy(), expected)
    assert len(module.predict(X, always_output_list=True)) == 1


@pytest.mark.differs("the arrays that MXNet's iter_predict gives are written by the next batch")
def test_what_is_predicted_stays_when_more_is_predicted():
    module = module_of()
    outputs = [out[0] for out, _, _ in module.iter_predict(mx.io.NDArrayIter(X, Y, 4))]
    merged = module.predict(mx.io.NDArrayIter(X, Y, 4)).asnumpy()
    np.testing.assert_array_equal(np.concatenate([o.asnumpy() for o in outputs]), merged)


def test_scores_of_padded_batches_count_the_padding():
    """As MXNet counts it: the last batch of 10 rows in batches of 4 has two of the first again."""
    module = module_of()
    hits = module.predict(mx.io.NDArrayIter(X[:10], Y[:10], 4)).asnumpy().argmax(1) == Y[:10]
    expected = np.concatenate([hits, hits[:2]]).mean()
    ((_, score),) = module.score(mx.io.NDArrayIter(X[:10], Y[:10], 4), "acc")
    assert score == pytest.approx(expected)


def test_a_batch_may_hold_numpy_arrays():
    module = module_of()
    module.forward(mx.io.DataBatch([mx.nd.array(X[:4])], [mx.nd.array(Y[:4])]), is_train=False)
    expected = module.get_outputs()[0].asnumpy()
    if mx.__name__ == "mxtape":
        module.forward(mx.io.DataBatch([X[:4].astype("float64")], [Y[:4]]), is_train=False)
        np.testing.assert_array_equal(module.get_outputs()[0].asnumpy(), expected)


def test_a_batch_may_be_an_object_that_has_data_only():
    """The namedtuple of MXNet's tutorials on predicting."""
    batch_type = collections.namedtuple("Batch", ["data"])
    module = module_of(for_training=False)
    for count in (4, 7):
        module.forward(batch_of(count, label=False), is_train=False)
        expected = module.get_outputs()[0].asnumpy()
        module.forward(batch_type([mx.nd.array(X[:count])]), is_train=False)
        np.testing.assert_array_equal(module.get_outputs()[0].asnumpy(), expected)


def test_a_label_that_does_not_follow_from_the_data():
    """Its shape is as before but for the batch size, where a batch has no labels."""
    fc = mx.sym.FullyConnected(mx.sym.Variable("data"), num_hidden=3, name="fc")
    label = mx.sym.slice_axis(mx.sym.Variable("softmax_label"), axis=1, begin=0, end=1)
    symbol = mx.sym.broadcast_add(fc, label)
    module = mx.mod.Module(symbol)
    module.bind([("data", (4, 5))], [("softmax_label", (4, 2))], for_training=False)
    module.init_params(mx.init.One())
    if mx.__name__ == "mxtape":
        module.forward(batch_of(3, label=False), is_train=False)
        assert module.label_shapes[0].shape == (3, 2)
    batch = mx.io.DataBatch([mx.nd.array(X[:2])], [mx.nd.ones((2, 2))])
    module.forward(batch, is_train=False)
    expected = np.repeat(X[:2].sum(axis=1, keepdims=True) + 1, 3, axis=1)  # of the bias, 0
    np.testing.assert_allclose(module.get_outputs()[0].asnumpy(), expected, rtol=1e-5)


def test_data_may_come_in_another_order():
    a, b = mx.sym.Variable("a"), mx.sym.Variable("b")
    symbol = mx.sym.broadcast_sub(a, mx.sym.sum(b, axis=1, keepdims=True))
    module = mx.mod.Module(symbol, data_names=["a", "b"], label_names=None)
    module.bind([("b", (4, 5)), ("a", (4, 1))], for_training=False)
    module.init_params()
    for count in (4, 2):
        arrays = {"a": mx.nd.ones((count, 1)), "b": mx.nd.array(X[:count])}
        for names in (["b", "a"], ["a", "b"]):
            if count == 4 and names == ["a", "b"]:
                continue  # of the bound shapes, batches must come in the bound order
            batch = mx.io.DataBatch(
                [arrays[n] for n in names], provide_data=[(n, arrays[n].shape) for n in names]
            )
            module.forward(batch)
            expected = 1 - X[:count].sum(axis=1, keepdims=True)
            np.testing.assert_allclose(module.get_outputs()[0].asnumpy(), expected, rtol=1e-6)


# ---- binding again


@pytest.mark.differs("MXNet goes back to the parameters of before the training")
@pytest.mark.parametrize("count", [1, 2])
def test_force_rebind_keeps_what_was_learnt(count):
    module = module_of(classifier(norm=True), context=[mx.cpu(i) for i in range(count)])
    module.init_optimizer(optimizer_params={"learning_rate": 0.5})
    step(module, batch_of())
    expected = {
        name: arrays[0].asnumpy()
        for name, arrays in zip(module._param_names, module._exec_group.param_arrays)
    }
    module.bind([("data", (6, 5))], [("softmax_label", (6,))], force_rebind=True)
    got = numpy_params(module)
    assert_same_params(expected, {name: got[name] for name in expected})
    assert module.data_shapes[0].shape == (6, 5)
    step(module, batch_of(6))  # The optimizer is kept too.
    assert module._optimizer.num_update == 2


@pytest.mark.differs("MXNet's bind of a bound BucketingModule asks for parameters again")
def test_force_rebind_of_buckets_keeps_what_was_learnt():
    module = buckets()
    module.init_optimizer(optimizer_params={"learning_rate": 0.5})
    step(module, bucket_batch(5))
    expected = numpy_params(module)
    module.bind([("data", (3, 8))], [("softmax_label", (3,))], force_rebind=True)
    assert_same_params(expected, numpy_params(module))
    step(module, bucket_batch(5, 3))
    assert module._curr_module._optimizer.num_update == 2


def test_a_second_bind_is_ignored_with_a_warning(caplog):
    module = module_of()
    with caplog.at_level(logging.WARNING):
        module.bind([("data", (9, 5))], [("softmax_label", (9,))])
    assert "Already bound" in caplog.text
    assert module.data_shapes[0].shape == (4, 5)


# ---- batch normalization


def test_batch_norm_is_the_same_through_nd_symbol_and_module():
    symbol = mx.sym.BatchNorm(mx.sym.Variable("data"), name="bn", fix_gamma=False, momentum=0.5)
    arg, aux = values(symbol, data=(4, 5))
    heads = mx.nd.array(X[10:14])

    x = mx.nd.array(X[:4])
    states = [aux[n].copy() for n in ("bn_moving_mean", "bn_moving_var")]
    gamma, beta = arg["bn_gamma"].copy(), arg["bn_beta"].copy()
    for array in (x, gamma, beta):
        array.attach_grad()
    with mx.autograd.record():
        out = mx.nd.BatchNorm(x, gamma, beta, *states, fix_gamma=False, momentum=0.5)
    out.backward(heads)
    results = {"nd": [out, x.grad, gamma.grad, beta.grad, *states]}

    executor = symbol.simple_bind(mx.cpu(), data=(4, 5))
    executor.copy_params_from(arg, aux)
    executor.forward(is_train=True, data=mx.nd.array(X[:4]))
    executor.backward(heads)
    grads = [executor.grad_dict[n] for n in ("data", "bn_gamma", "bn_beta")]
    means = [executor.aux_dict[n] for n in ("bn_moving_mean", "bn_moving_var")]
    results["symbol"] = [executor.outputs[0], *grads, *means]

    module = mx.mod.Module(symbol, label_names=None)
    module.bind([("data", (4, 5))], inputs_need_grad=True)
    module.init_params(arg_params=arg, aux_params=aux)
    module.forward(batch_of(label=False), is_train=True)
    module.backward([heads])
    module.init_optimizer()
    module.update()  # MXNet reads the running statistics only after this.
    states = [module.get_params()[1][n] for n in ("bn_moving_mean", "bn_moving_var")]
    grads = [module.get_input_grads()[0], *(g for (g,) in module._exec_group.grad_arrays)]
    results["module"] = [module.get_outputs()[0], *grads, *states]

    for name in ("symbol", "module"):
        for got, expected in zip(results[name], results["nd"]):
            np.testing.assert_allclose(got.asnumpy(), expected.asnumpy(), rtol=1e-5, atol=1e-6)


def test_running_statistics_are_used_and_not_moved_in_prediction():
    module = module_of(classifier(norm=True))
    module.init_optimizer()
    step(module, batch_of())
    before = numpy_params(module)
    for count in (4, 2):
        module.forward(batch_of(count, first=8), is_train=False)
    assert_same_params(before, numpy_params(module))


def test_running_statistics_are_those_of_all_buckets():
    one, many = buckets(), buckets()
    for module in (one, many):
        module.init_optimizer(optimizer_params={"learning_rate": 0.1, "momentum": 0.9})
    # The words of a bucket are summed up: the same words, with zeros behind, give the same.
    for length in (5, 3, 5):
        batch = bucket_batch(length)
        step(many, batch)
        padded = np.zeros((4, 8), "float32")
        padded[:, :length] = batch.data[0].asnumpy()
        step(one, bucket_batch(8, words=padded, labels=batch.label[0]))
    assert_same_params(numpy_params(one), numpy_params(many), rtol=1e-5)
    assert sorted(many._buckets) == [3, 5, 8]


# ---- names and labels


@pytest.mark.differs("MXNet reads a label that the symbol lacks as an argument, and fails")
@pytest.mark.parametrize("label_names", [None, ["softmax_label"]])
def test_labels_that_the_symbol_does_not_use(label_names):
    features = mx.sym.FullyConnected(mx.sym.Variable("data"), num_hidden=3, name="fc")
    loss = mx.sym.MakeLoss(mx.sym.sum(mx.sym.square(features), axis=1), name="loss")
    rows = mx.io.NDArrayIter(X, Y, 4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = mx.mod.Module(loss, label_names=label_names)
        module.fit(rows, num_epoch=2, eval_metric="loss", optimizer_params={"learning_rate": 0.1})
        scorer = mx.mod.Module(features, label_names=label_names)
        scorer.bind(rows.provide_data, rows.provide_label, for_training=False)
    scorer.init_params(
        arg_params={"fc_weight": mx.nd.ones((3, 5)), "fc_bias": mx.nd.array([0, 1, 2])}
    )
    assert scorer.score(rows, "acc") == [("accuracy", pytest.approx(np.mean(Y == 2)))]


@pytest.mark.differs("MXNet trains on zeros when it was bound without labels, or reshaped so")
@pytest.mark.parametrize("count", [4, 6])
@pytest.mark.parametrize("contexts", [1, 2])
def test_training_uses_labels_that_the_module_was_not_bound_with(count, contexts):
    context = [mx.cpu(i) for i in range(contexts)]
    modules = [module_of(context=context), module_of(labels=False, context=context)]
    modules.append(module_of(batch=8, context=context))
    modules[2].reshape([("data", (4, 5))])
    assert modules[2].label_shapes[0].shape == (4,)
    for module in modules:
        module.init_optimizer(optimizer_params={"learning_rate": 0.5, "rescale_grad": 0.25})
        for first in (0, 8):
            step(module, batch_of(count, first))
    expected = numpy_params(modules[0])
    for module in modules[1:]:
        assert_same_params(expected, numpy_params(module))
        assert module.label_shapes[0].shape == (count,)


@pytest.mark.differs("MXNet's error is a bare StopIteration")
def test_an_empty_iterator():
    rows = mx.io.NDArrayIter(X, Y, 4)
    assert len(list(rows)) == 5
    with pytest.raises(ValueError, match="needs a reset"):
        mx.mod.Module(classifier()).fit(rows, num_epoch=1)


@pytest.mark.differs("MXNet refuses an empty list of label shapes")
def test_data_without_labels_train_an_autoencoder():
    data = mx.sym.Variable("data")
    n = mx.sym.FullyConnected(data, num_hidden=5, name="fc")
    loss = mx.sym.MakeLoss(mx.sym.mean(mx.sym.square(n - data), axis=1), name="loss")
    module = mx.mod.Module(loss, label_names=None)
    rows, losses = mx.io.NDArrayIter(X, None, 4), []
    module.fit(
        rows,
        eval_metric="loss",
        num_epoch=5,
        optimizer_params={"learning_rate": 1.0},
        epoch_end_callback=lambda *_: losses.append(module.score(rows, "loss")[0][1]),
    )
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.differs("MXNet does not say that a name is given twice")
@pytest.mark.parametrize("argument", ["data_names", "label_names", "fixed_param_names"])
def test_a_name_given_twice(argument):
    name = {"data_names": "data", "label_names": "softmax_label"}.get(argument, "fc1_bias")
    with pytest.raises(ValueError, match=f"{argument}=.*has the name '{name}' twice"):
        mx.mod.Module(classifier(), **{argument: [name, name]})


def test_unknown_names():
    for argument in ("data_names", "state_names", "fixed_param_names"):
        with pytest.raises(ValueError, match=f"(?s){argument}.*'nowhere'.*Did you mean one of"):
            mx.mod.Module(classifier(), **{argument: ["nowhere"]})
    with pytest.warns(UserWarning, match="(?s)label_names.*'nowhere'"):
        mx.mod.Module(classifier(), label_names=["nowhere"])


def test_two_nodes_of_one_name():
    n = mx.sym.Variable("data")
    for _ in range(2):
        n = mx.sym.FullyConnected(n, num_hidden=5, name="fc")
    module = mx.mod.Module(mx.sym.SoftmaxOutput(n, name="softmax"))
    with pytest.raises((ValueError, RuntimeError)) as caught:
        module.bind([("data", (4, 5))], [("softmax_label", (4,))])
    if mx.__name__ == "mxtape":
        assert "fc_weight" in str(caught.value)
    with pytest.raises(ValueError, match="fc_weight"):
        mx.model.FeedForward(n)


def test_two_nodes_share_a_weight():
    weight = mx.sym.Variable("w", shape=(5, 5))
    n = mx.sym.Variable("data")
    for name in ("a", "b"):
        n = mx.sym.FullyConnected(n, weight, num_hidden=5, no_bias=True, name=name)
    module = module_of(mx.sym.SoftmaxOutput(n, name="softmax"))
    assert module._param_names == ["w"]
    w = module.get_params()[0]["w"].asnumpy()
    module.forward(batch_of(), is_train=False)
    scores = X[:4] @ w.T @ w.T
    expected = np.exp(scores - scores.max(1, keepdims=True))
    expected /= expected.sum(1, keepdims=True)
    np.testing.assert_allclose(module.get_outputs()[0].asnumpy(), expected, rtol=1e-5)


@pytest.mark.differs("MXNet's errors do not say what was given")
def test_wrong_batches_say_what_was_given():
    module = module_of()
    x, y = mx.nd.array(X[:4]), mx.nd.array(Y[:4])
    for data, label, message in (
        ([x, x], [y], r"2 arrays of data.*data_names \['data'\]"),
        ([x], [y, y], r"2 labels.*\['softmax_label'\]"),
        ([x[:, :3]], [y], "fc1_weight"),
        ([x[:, :3]], None, "fc1_weight"),
        ([x], [y[:3]], "batch size.*softmax_label"),
    ):
        before = numpy_params(module)
        with pytest.raises((ValueError, AssertionError, RuntimeError), match=message):
            module.forward(mx.io.DataBatch(data, label), is_train=True)
        module.forward(batch_of(), is_train=False)
        assert_same_params(before, numpy_params(module))


@pytest.mark.differs("MXNet's errors do not say what was given")
@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda n: mx.mod.Module(n, label_names="ab"), TypeError, "label_names must be a list"),
        (lambda n: mx.mod.Module(n, context=3), TypeError, "context must be a Context"),
        (lambda n: mx.mod.Module(n, context=[]), TypeError, "context must be a Context"),
        (
            lambda n: mx.mod.Module(n).bind({"data": (4, 5)}),
            TypeError,
            "data_shapes must be a list",
        ),
        (lambda n: module_of(n).forward(mx.nd.ones((4, 5))), TypeError, "needs a DataBatch"),
        (lambda n: module_of(n).backward([mx.nd.ones((4, 3))] * 2), ValueError, "2 gradients for"),
    ],
)
def test_wrong_types_say_what_is_wanted(call, error, message):
    with pytest.raises(error, match=message):
        call(classifier())


@pytest.mark.differs("MXNet's assertions have no text")
def test_calls_that_come_too_early_say_what_is_missing():
    module = mx.mod.Module(classifier())
    with pytest.raises(AssertionError, match=r"Module.bind\(\) first"):
        module.forward(batch_of())
    module.bind([("data", (4, 5))], [("softmax_label", (4,))])
    with pytest.raises(AssertionError, match=r"Module.init_params\(\)"):
        module.forward(batch_of())
    module.init_params()
    module.forward_backward(batch_of())
    with pytest.raises(AssertionError, match=r"Module.init_optimizer\(\) first"):
        module.update()


# ---- checkpoints, and going on


@pytest.mark.differs("MXNet has changed the parameters before it finds what is wrong")
def test_wrong_parameters_change_nothing():
    module = module_of()
    before = numpy_params(module)
    arg, aux = module.get_params()
    for bad, error in (
        ({n: v for n, v in arg.items() if n != "fc2_weight"}, RuntimeError),
        ({**arg, "fc2_weight": mx.nd.ones((4, 6))}, ValueError),
    ):
        changed = {n: v + 1 for n, v in bad.items()}
        for options in ({}, {"allow_missing": error is ValueError}):
            with pytest.raises(error, match="fc2_weight"):
                module.set_params(changed, aux, **options)
        with pytest.raises(error, match="fc2_weight"):
            module.init_params(mx.init.One(), changed, aux, force_init=True)
    assert_same_params(before, numpy_params(module))


@pytest.mark.differs("MXNet leaves what is missing at zero, and does not say so")
def test_a_checkpoint_that_lacks_a_parameter(tmp_path):
    symbol = classifier()
    arg, aux = values(symbol, data=(4, 5))
    del arg["fc2_bias"]
    prefix = str(tmp_path / "net")
    mx.model.save_checkpoint(prefix, 1, symbol, arg, aux)
    module = mx.mod.Module.load(prefix, 1)
    with pytest.warns(UserWarning, match="no fc2_bias"):
        module.bind([("data", (4, 5))], [("softmax_label", (4,))])
    assert sorted(module.get_params()[0]) == sorted([*arg, "fc2_bias"])
    module.init_params(mx.init.One(), *module.get_params(), force_init=True, allow_missing=True)


def test_parameters_that_nobody_reads_say_nothing(tmp_path):
    symbol = classifier()
    arg, aux = values(symbol, data=(4, 5))
    prefix = str(tmp_path / "net")
    mx.model.save_checkpoint(prefix, 1, symbol, arg, aux)
    module = mx.mod.Module.load(prefix, 1, label_names=None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        module.bind([("data", (4, 5))], for_training=False)
    assert module.predict(mx.io.NDArrayIter(X, None, 4)).shape == (20, 3)


@pytest.mark.parametrize(
    ("optimizer", "options"),
    [("sgd", {"momentum": 0.9, "learning_rate": 0.2}), ("adam", {"learning_rate": 0.05})],
)
@pytest.mark.parametrize("contexts", [1, 2])
@pytest.mark.parametrize(
    "begin",
    [
        {"begin_num_update": 10},
        pytest.param({}, marks=pytest.mark.differs("MXNet's counts of updates begin at 0 again")),
    ],
)
def test_training_goes_on_where_it_was(tmp_path, optimizer, options, contexts, begin):
    """Learning rate, counts of updates and states: as if the training had not stopped."""

    def rates(**more):
        schedule = mx.lr_scheduler.FactorScheduler(step=4, factor=0.5)
        schedule.base_lr = options["learning_rate"]
        return {**options, "lr_scheduler": schedule, **more}

    def fit(module, **more):
        module.fit(
            mx.io.NDArrayIter(X, Y, 4),
            optimizer=optimizer,
            epoch_end_callback=mx.callback.module_checkpoint(
                module, str(tmp_path / "net"), save_optimizer_states=True
            ),
            **more,
        )
        return numpy_params(module), module._optimizer

    context = [mx.cpu(i) for i in range(contexts)]
    start = values(classifier(norm=True), data=(4, 5))
    whole = mx.mod.Module(classifier(norm=True), context=context)
    named = {"arg_params": start[0], "aux_params": start[1]}
    expected, before = fit(whole, num_epoch=4, optimizer_params=rates(), **named)
    again = mx.mod.Module.load(str(tmp_path / "net"), 2, True, context=context)
    got, after = fit(again, begin_epoch=2, num_epoch=4, optimizer_params=rates(**begin))
    assert after.num_update == before.num_update == 20
    assert after.learning_rate == before.learning_rate == options["learning_rate"] / 16
    assert_same_params(expected, got, rtol=1e-6)


@pytest.mark.parametrize("dumped", [False, True])
def test_states_without_counts_are_loaded(tmp_path, dumped):
    """As MXNet's modules write them, and as an updater does with its optimizer."""
    module, other = module_of(), module_of()
    for each in (module, other):
        each.init_optimizer(optimizer="adam", optimizer_params={"learning_rate": 0.05})
    step(module, batch_of())
    path = tmp_path / "adam.states"
    path.write_bytes(module._updater.get_states(dumped))
    other.load_optimizer_states(str(path))
    assert sorted(other._updater.states) == [0, 1, 2, 3]
    step(other, batch_of(first=4))
    assert other._updater.optimizer.num_update == (2 if dumped else 1)


def test_checkpoints_have_the_values_of_the_epoch(tmp_path):
    prefix = str(tmp_path / "net")
    module, seen = mx.mod.Module(classifier(norm=True)), []
    module.fit(
        mx.io.NDArrayIter(X, Y, 4),
        num_epoch=3,
        epoch_end_callback=[
            mx.callback.do_checkpoint(prefix),
            lambda epoch, *_: seen.append(numpy_params(module)),
        ],
    )
    for epoch, expected in enumerate(seen):
        symbol, arg, aux = mx.model.load_checkpoint(prefix, epoch + 1)
        got = {n: v.asnumpy() for part in (arg, aux) for n, v in part.items()}
        assert_same_params(expected, got)
        assert symbol.list_outputs() == ["softmax_output"]
    assert not np.array_equal(seen[0]["fc1_weight"], seen[2]["fc1_weight"])


# ---- several contexts


@pytest.mark.parametrize("store", ["local", "device"])
@pytest.mark.parametrize("loads", [[1, 1], [1, 2, 1]])
def test_contexts_give_what_one_gives(store, loads):
    def train(**options):
        module = mx.mod.Module(classifier(), **options)
        module.fit(
            mx.io.NDArrayIter(X, Y, 5),
            num_epoch=2,
            kvstore=store,
            arg_params=values(classifier(), data=(5, 5))[0],
            aux_params={},
            optimizer_params={"learning_rate": 0.2, "momentum": 0.9},
        )
        return numpy_params(module)

    several = train(context=[mx.cpu(i) for i in range(len(loads))], work_load_list=loads)
    assert_same_params(train(), several, rtol=1e-5)


def test_groups_of_contexts_are_accepted():
    contexts = [mx.cpu(0), mx.cpu(1)]
    for groups in ({"a": mx.cpu()}, {"a": [mx.cpu(0), mx.cpu(1)]}, [{"a": mx.cpu()}] * 2):
        module = module_of(context=contexts, group2ctxs=groups)
        step_free = module.forward(batch_of(), is_train=False)
        assert step_free is None
    with pytest.raises(AssertionError):
        module_of(context=contexts, group2ctxs=[{"a": mx.cpu()}])


@pytest.mark.differs("an inference executor of MXNet goes on with the weights that it saw first")
def test_a_module_that_shares_parameters_predicts_with_what_is_learnt():
    module = module_of(classifier(norm=True))
    module.init_optimizer(optimizer_params={"learning_rate": 0.5})
    other = mx.mod.Module(module.symbol)
    shapes = [("data", (2, 5))], [("softmax_label", (2,))]
    other.bind(*shapes, for_training=False, shared_module=module)
    for first in (0, 4, 8):
        step(module, batch_of(first=first))
        other.forward(batch_of(2, first), is_train=False)
        got = other.get_outputs()[0].asnumpy()
        module.forward(batch_of(4, first), is_train=False)
        np.testing.assert_allclose(got, module.get_outputs()[0].asnumpy()[:2], rtol=1e-6)
