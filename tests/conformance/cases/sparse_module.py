"""Module with csr data and row_sparse weights: linear models, factorizations, checkpoints."""

import os
import tempfile

import numpy as np
from harness import attempt, case, data, integers

COUNT, WIDTH, BATCH = 12, 10, 4


def _features(mx, count=COUNT, seed=0):
    """csr data of about three elements a row, and whether some sum of them is positive."""
    rng = np.random.RandomState(seed)
    x = data((count, WIDTH), seed=seed) * (rng.random_sample((count, WIDTH)) < 0.3)
    return x.astype("float32"), (x @ data((WIDTH,), seed=9) > 0).astype("float32")


def _csr(mx, x):
    return mx.nd.array(x).tostype("csr")


def _batches(mx, count=COUNT):
    x, y = _features(mx, count)
    for first in range(0, count, BATCH):
        part = slice(first, first + BATCH)
        yield mx.io.DataBatch([_csr(mx, x[part])], [mx.nd.array(y[part])])


def _linear(mx, stype="row_sparse"):
    """A linear classifier of csr data."""
    x = mx.sym.var("data", stype="csr")
    w = mx.sym.var("weight", stype=stype, shape=(WIDTH, 2), init=mx.init.Normal(0.01))
    bias = mx.sym.var("bias", shape=(2,), init=mx.init.Zero())
    scores = mx.sym.broadcast_add(mx.sym.sparse.dot(x, w), bias)
    return mx.sym.SoftmaxOutput(scores, mx.sym.var("softmax_label"), name="out")


def _regression(mx):
    x = mx.sym.var("data", stype="csr")
    w = mx.sym.var("weight", stype="row_sparse", shape=(WIDTH, 1))
    return mx.sym.LinearRegressionOutput(mx.sym.sparse.dot(x, w), mx.sym.var("label"), name="out")


def _machine(mx, rank=3):
    """A factorization machine."""
    x = mx.sym.var("data", stype="csr")
    w = mx.sym.var("w_weight", stype="row_sparse", shape=(WIDTH, 1))
    v = mx.sym.var("v_weight", stype="row_sparse", shape=(WIDTH, rank))
    bias = mx.sym.var("bias", shape=(1,))
    squares = mx.sym._internal._square_sum(v, axis=1, keepdims=True)
    alone = mx.sym.sparse.dot(mx.sym.sparse.square(x), squares)
    sums = mx.sym.sum(mx.sym.square(mx.sym.sparse.dot(x, v)), axis=1, keepdims=True)
    score = mx.sym.sparse.dot(x, w) + 0.5 * (sums - alone)
    score = mx.sym.reshape(mx.sym.broadcast_add(score, bias), shape=(-1,))
    return mx.sym.LogisticRegressionOutput(score, mx.sym.var("softmax_label"), name="out")


def _everywhere(mx, shape, seed=1):
    """A row_sparse array with every row."""
    values = data(shape, -0.5, 0.5, seed=seed) + np.float32(1 / 256)
    return mx.nd.sparse.row_sparse_array((values, np.arange(shape[0])), shape=shape)


def _parameters(mx, symbol):
    shapes = symbol.infer_shape(data=(BATCH, WIDTH))[0]
    made = {}
    for k, (name, shape) in enumerate(zip(symbol.list_arguments(), shapes)):
        if name.endswith("weight"):
            made[name] = _everywhere(mx, shape, seed=k)
        elif name == "bias":
            made[name] = mx.nd.array(data(shape, seed=k))
    return made


def _bound(mx, symbol, params=None, label="softmax_label", **options):
    module = mx.mod.Module(symbol, ["data"], [label], **options)
    shape = (BATCH, 1) if label == "label" else (BATCH,)
    module.bind([("data", (BATCH, WIDTH))], [(label, shape)])
    if params is not None:
        module.init_params(arg_params=params)
    return module


def _needed(names=("weight",)):
    def needed(batch):
        return dict.fromkeys(names, batch.data[0].indices)

    return needed


def _ordered(params):
    return dict(sorted(params.items()))


def _trained(mx, symbol, optimizer="sgd", store="object", epochs=2, names=("weight",), **options):
    """Outputs of each batch, then parameters."""
    module = _bound(mx, symbol, _parameters(mx, symbol))
    if store == "object":
        store = mx.kv.create("local")
    options = {"learning_rate": 0.5, **options}
    module.init_optimizer(kvstore=store, optimizer=optimizer, optimizer_params=options)
    outputs = []
    for _ in range(epochs):
        for batch in _batches(mx):
            if store is not None and not isinstance(store, str):
                module.prepare(batch, sparse_row_id_fn=_needed(names))
            module.forward_backward(batch)
            outputs.append(module.get_outputs()[0].asnumpy())
            module.update()
    return outputs, _ordered(module.get_params()[0])


@case
def linear_classification(mx):
    return _trained(mx, _linear(mx))


@case
def linear_classification_without_a_store(mx):
    return _trained(mx, _linear(mx), store=None)


@case
def linear_classification_by_the_name_of_a_store(mx):
    return _trained(mx, _linear(mx), store="local")


@case
def linear_classification_with_dense_weights(mx):
    return _trained(mx, _linear(mx, "default"), store=None)


@case
def linear_classification_with_momentum(mx):
    return _trained(mx, _linear(mx), momentum=0.9, wd=0.01)


@case
def linear_classification_with_momentum_of_all_rows(mx):
    return _trained(mx, _linear(mx), momentum=0.9, wd=0.01, lazy_update=False)


@case
def linear_classification_with_lazy_adam(mx):
    return _trained(mx, _linear(mx), "adam", learning_rate=0.1, wd=0.01, lazy_update=True)


@case
def linear_classification_with_adam_of_all_rows(mx):
    return _trained(mx, _linear(mx), "adam", learning_rate=0.1, wd=0.01, lazy_update=False)


@case
def linear_classification_with_adagrad(mx):
    return _trained(mx, _linear(mx), "adagrad", learning_rate=0.2)


@case
def linear_classification_with_ftrl(mx):
    return _trained(mx, _linear(mx), "ftrl", learning_rate=0.2)


@case
def factorization_machine(mx):
    names = ("w_weight", "v_weight")
    return _trained(mx, _machine(mx), "adam", learning_rate=0.1, names=names, epochs=3)


@case
def factorization_machine_without_a_store(mx):
    return _trained(mx, _machine(mx), "adam", store=None, learning_rate=0.1, epochs=3)


@case
def factorization_machine_by_sgd(mx):
    return _trained(mx, _machine(mx), names=("w_weight", "v_weight"), wd=0.01, momentum=0.5)


@case
def types_of_what_is_bound(mx):
    module = _bound(mx, _machine(mx), _parameters(mx, _machine(mx)))
    executor = module._exec_group.execs[0]
    return {
        "arguments": {k: v.stype for k, v in executor.arg_dict.items()},
        "gradients": {k: v if v is None else v.stype for k, v in executor.grad_dict.items()},
        "parameters": {k: v.stype for k, v in module.get_params()[0].items()},
    }


def _factorization(mx, stype, sparse_grad):
    """Scores of users and items: products of embeddings."""

    def factors(name, count):
        table = mx.sym.var(f"{name}_weight", stype=stype)
        return mx.sym.sparse.Embedding(
            mx.sym.var(name), table, input_dim=count, output_dim=3, sparse_grad=sparse_grad
        )

    score = mx.sym.sum(factors("user", 7) * factors("item", 5), axis=1)
    return mx.sym.LinearRegressionOutput(score, mx.sym.var("score"), name="out")


def _factorized(mx, stype, sparse_grad, store, optimizer="sgd", **options):
    symbol = _factorization(mx, stype, sparse_grad)
    module = mx.mod.Module(symbol, ["user", "item"], ["score"])
    module.bind([("user", (BATCH,)), ("item", (BATCH,))], [("score", (BATCH,))])
    params = {"user_weight": _everywhere(mx, (7, 3), 1), "item_weight": _everywhere(mx, (5, 3), 2)}
    params = {name: value.tostype(stype) for name, value in params.items()}
    module.init_params(arg_params=params)
    store = mx.kv.create("local") if store else None
    module.init_optimizer(
        kvstore=store, optimizer=optimizer, optimizer_params={"learning_rate": 0.3, **options}
    )
    users, items = integers((COUNT,), 0, 7, seed=1), integers((COUNT,), 0, 5, seed=2)
    scores, outputs = data((COUNT,), seed=3), []
    for first in [*range(0, COUNT, BATCH)] * 2:
        part = slice(first, first + BATCH)
        batch = mx.io.DataBatch(
            [mx.nd.array(users[part]), mx.nd.array(items[part])], [mx.nd.array(scores[part])]
        )
        if store is not None and stype == "row_sparse":
            module.prepare(
                batch,
                sparse_row_id_fn=lambda b: {"user_weight": b.data[0], "item_weight": b.data[1]},
            )
        module.forward_backward(batch)
        outputs.append(module.get_outputs()[0].asnumpy())
        module.update()
    grads = module._exec_group.execs[0].grad_dict
    return [
        outputs,
        _ordered(module.get_params()[0]),
        {k: g.stype for k, g in grads.items() if g is not None},
    ]


@case
def matrix_factorization(mx):
    return _factorized(mx, "row_sparse", True, True)


@case
def matrix_factorization_without_a_store(mx):
    return _factorized(mx, "row_sparse", True, False)


@case
def matrix_factorization_of_dense_weights(mx):
    return _factorized(mx, "default", True, False, momentum=0.9)


@case
def matrix_factorization_with_dense_gradients(mx):
    return _factorized(mx, "default", False, False, momentum=0.9)


@case
def matrix_factorization_by_lazy_adam(mx):
    return _factorized(mx, "row_sparse", True, True, "adam", lazy_update=True)


@case
def matrix_factorization_by_group_adagrad(mx):
    return _factorized(mx, "default", True, False, "groupadagrad")


@case
def initial_parameters(mx):
    """Which rows an initializer makes."""
    results = []
    for init in (mx.init.One(), mx.init.Zero(), mx.init.Constant(3)):
        x = mx.sym.var("data", stype="csr")
        w = mx.sym.var("weight", stype="row_sparse", shape=(WIDTH, 2), init=init)
        symbol = mx.sym.SoftmaxOutput(
            mx.sym.sparse.dot(x, w), mx.sym.var("softmax_label"), name="out"
        )
        module = _bound(mx, symbol)
        module.init_params()
        arrays = module._exec_group.execs[0].arg_dict
        results.append([module.get_params()[0]["weight"], arrays["weight"]])
    return results


@case
def initial_parameters_at_random(mx):
    x = mx.sym.var("data", stype="csr")
    w = mx.sym.var("weight", stype="row_sparse", shape=(WIDTH, 2), init=mx.init.Normal(0.1))
    symbol = mx.sym.SoftmaxOutput(mx.sym.sparse.dot(x, w), mx.sym.var("softmax_label"), name="out")
    module = _bound(mx, symbol)
    module.init_params()
    weight = module.get_params()[0]["weight"]
    return [weight.stype, weight.indices, bool((abs(weight.data.asnumpy()) > 0).all())]


@case
def parameters_of_other_storage_types(mx):
    """Dense values for a row_sparse weight, and the reverse."""
    symbol = _linear(mx)
    dense = {k: v.tostype("default") for k, v in _parameters(mx, symbol).items()}
    first = _bound(mx, symbol, dense).get_params()[0]
    other = _linear(mx, "default")
    second = attempt(lambda: _bound(mx, other, _parameters(mx, symbol)).get_params()[0])
    return [_ordered(first), _ordered(second) if isinstance(second, dict) else second]


@case
def parameters_with_some_rows(mx):
    symbol = _linear(mx)
    params = _parameters(mx, symbol)
    params["weight"] = mx.nd.sparse.retain(params["weight"], mx.nd.array([1, 4]))
    module = _bound(mx, symbol, params)
    batch = next(_batches(mx))
    module.forward(batch, is_train=False)
    return [module.get_params()[0]["weight"], module.get_outputs()]


@case
def set_params(mx):
    symbol = _linear(mx)
    module = _bound(mx, symbol, _parameters(mx, symbol))
    new = {"weight": _everywhere(mx, (WIDTH, 2), 8), "bias": mx.nd.ones((2,))}
    module.set_params(new, {})
    module.forward(next(_batches(mx)), is_train=False)
    return [_ordered(module.get_params()[0]), module.get_outputs()]


@case
def rows_that_were_not_fetched(mx):
    """Without `prepare` the executors' weights stay as they are."""
    symbol = _linear(mx)
    module = _bound(mx, symbol, _parameters(mx, symbol))
    module.init_optimizer(kvstore=mx.kv.create("local"), optimizer_params={"learning_rate": 0.5})
    outputs = []
    for batch in _batches(mx):
        module.forward_backward(batch)
        outputs.append(module.get_outputs()[0].asnumpy())
        module.update()
    return [outputs, _ordered(module.get_params()[0])]


@case
def the_rows_that_are_fetched(mx):
    symbol = _linear(mx)
    module = _bound(mx, symbol, _parameters(mx, symbol))
    module.init_optimizer(kvstore=mx.kv.create("local"), optimizer_params={"learning_rate": 0.5})
    batch = next(_batches(mx))
    weight = module._exec_group.execs[0].arg_dict["weight"]
    seen = [weight.copy()]
    module.prepare(batch, sparse_row_id_fn=_needed())
    seen.append(weight.copy())
    module.prepare(batch, sparse_row_id_fn=lambda b: {"weight": mx.nd.array([7, 1, 7, 3])})
    seen.append(weight.copy())
    module.prepare(batch)
    return [*seen, weight]


@case
def prepare_that_is_of_no_use(mx):
    symbol = _linear(mx)
    module = _bound(mx, symbol, _parameters(mx, symbol))
    batch = next(_batches(mx))
    results = [attempt(lambda: module.prepare(batch, sparse_row_id_fn=_needed()))]
    module.init_optimizer(kvstore=None)
    results.append(attempt(lambda: module.prepare(batch, sparse_row_id_fn=_needed())))
    module.init_optimizer(kvstore=mx.kv.create("local"), force_init=True)
    for ids in (
        {"bias": mx.nd.array([0])},
        {"weight": mx.nd.array([0])},
        {"weight": mx.nd.array([99])},
        {"foo": mx.nd.array([0])},
        [mx.nd.array([0])],
    ):
        results.append(attempt(lambda ids=ids: module.prepare(batch, lambda b: ids)))
    return results


@case
def fit_and_score(mx):
    x, y = _features(mx)
    batches = mx.io.NDArrayIter(_csr(mx, x), y, BATCH, last_batch_handle="discard")
    symbol = _linear(mx)
    module = mx.mod.Module(symbol)

    def needed(batch):  # MXNet's iterator gives dense batches
        columns = np.unique(np.nonzero(batch.data[0].asnumpy())[1])
        return {"weight": mx.nd.array(columns)}

    module.fit(
        batches,
        eval_metric=["acc", "ce"],
        arg_params=_parameters(mx, symbol),
        kvstore=mx.kv.create("local"),
        optimizer_params={"learning_rate": 0.5},
        num_epoch=3,
        sparse_row_id_fn=needed,
    )
    scores = module.score(batches, ["acc", "ce"], sparse_row_id_fn=needed)
    return [
        [(name, float(value)) for name, value in scores],
        module.predict(batches, sparse_row_id_fn=needed),
        [out[0].asnumpy() for out, _, _ in module.iter_predict(batches, sparse_row_id_fn=needed)],
        _ordered(module.get_params()[0]),
    ]


@case
def checkpoints(mx):
    symbol = _linear(mx)
    module = _bound(mx, symbol, _parameters(mx, symbol))
    module.init_optimizer(
        kvstore=mx.kv.create("local"), optimizer_params={"learning_rate": 0.5, "momentum": 0.9}
    )
    for batch in _batches(mx):
        module.prepare(batch, sparse_row_id_fn=_needed())
        module.forward_backward(batch)
        module.update()
    with tempfile.TemporaryDirectory() as folder:
        prefix = os.path.join(folder, "linear")
        module.save_checkpoint(prefix, 3, save_optimizer_states=True)
        files = sorted(os.listdir(folder))
        loaded = mx.model.load_checkpoint(prefix, 3)
        again = mx.mod.Module.load(prefix, 3, load_optimizer_states=True)
        again.bind([("data", (BATCH, WIDTH))], [("softmax_label", (BATCH,))])
        again.init_optimizer(
            kvstore=mx.kv.create("local"), optimizer_params={"learning_rate": 0.5, "momentum": 0.9}
        )
    for batch in _batches(mx):
        again.prepare(batch, sparse_row_id_fn=_needed())
        again.forward_backward(batch)
        again.update()
    return [files, _ordered(loaded[1]), loaded[2], _ordered(again.get_params()[0])]


@case
def buckets(mx):
    """Batches with a number of words each, of one embedding."""

    def symbol_of(length):
        words = mx.sym.var("data")
        table = mx.sym.var("table_weight", stype="row_sparse", shape=(WIDTH, 2))
        vectors = mx.sym.sparse.Embedding(
            words, table, input_dim=WIDTH, output_dim=2, sparse_grad=True
        )
        scores = mx.sym.sum(vectors, axis=1)
        out = mx.sym.SoftmaxOutput(scores, mx.sym.var("softmax_label"), name="out")
        return out, ("data",), ("softmax_label",)

    module = mx.mod.BucketingModule(symbol_of, default_bucket_key=4)
    module.bind([("data", (2, 4))], [("softmax_label", (2,))])
    module.init_params(arg_params={"table_weight": _everywhere(mx, (WIDTH, 2), 1)})
    module.init_optimizer(kvstore=mx.kv.create("local"), optimizer_params={"learning_rate": 0.5})
    outputs = []
    for k, length in enumerate((4, 2, 3, 4, 2)):
        batch = mx.io.DataBatch(
            [mx.nd.array(integers((2, length), 0, WIDTH, seed=k))],
            [mx.nd.array([k % 2, 1])],
            bucket_key=length,
            provide_data=[("data", (2, length))],
            provide_label=[("softmax_label", (2,))],
        )
        module.prepare(batch, sparse_row_id_fn=lambda b: {"table_weight": b.data[0].reshape((-1,))})
        module.forward_backward(batch)
        outputs.append(module.get_outputs()[0].asnumpy())
        module.update()
    return [outputs, module.get_params()[0]]


@case
def labels_in_csr(mx):
    x = mx.sym.var("data")
    fc = mx.sym.FullyConnected(x, num_hidden=3, name="fc")
    symbol = mx.sym.LinearRegressionOutput(fc, mx.sym.var("label", stype="csr"), name="out")
    module = mx.mod.Module(symbol, ["data"], ["label"])
    module.bind([("data", (BATCH, 2))], [("label", (BATCH, 3))])
    params = {"fc_weight": mx.nd.array(data((3, 2))), "fc_bias": mx.nd.zeros((3,))}
    module.init_params(arg_params=params)
    module.init_optimizer(optimizer_params={"learning_rate": 0.5})
    label = data((BATCH, 3), seed=3) * (np.arange(12).reshape((BATCH, 3)) % 3 == 0)
    batch = mx.io.DataBatch([mx.nd.array(data((BATCH, 2), seed=4))], [_csr(mx, label)])
    for _ in range(3):
        module.forward_backward(batch)
        module.update()
    return [module.get_outputs(), _ordered(module.get_params()[0])]


@case
def dense_data_for_a_csr_input(mx):
    symbol = _linear(mx)
    module = _bound(mx, symbol, _parameters(mx, symbol))
    x, y = _features(mx)
    batch = mx.io.DataBatch([mx.nd.array(x[:BATCH])], [mx.nd.array(y[:BATCH])])
    module.forward(batch, is_train=False)
    return module.get_outputs()


@case
def csr_data_for_a_dense_input(mx):
    symbol = mx.sym.FullyConnected(mx.sym.var("data"), num_hidden=2, name="fc")
    module = mx.mod.Module(symbol, label_names=None)
    module.bind([("data", (BATCH, WIDTH))], for_training=False)
    module.init_params(
        arg_params={"fc_weight": mx.nd.array(data((2, WIDTH))), "fc_bias": mx.nd.zeros((2,))}
    )
    x, _ = _features(mx)
    module.forward(mx.io.DataBatch([_csr(mx, x[:BATCH])]))
    return module.get_outputs()


@case
def two_contexts(mx):
    symbol = _linear(mx)
    contexts = [mx.cpu(0), mx.cpu(1)]
    module = _bound(mx, symbol, _parameters(mx, symbol), context=contexts)
    module.init_optimizer(kvstore=mx.kv.create("local"), optimizer_params={"learning_rate": 0.5})
    outputs = []
    for batch in _batches(mx):
        module.prepare(batch, sparse_row_id_fn=_needed())
        module.forward_backward(batch)
        outputs.append(module.get_outputs()[0].asnumpy())
        module.update()
    return [outputs, _ordered(module.get_params()[0])]


@case
def a_batch_of_another_size(mx):
    symbol = _linear(mx)
    module = _bound(mx, symbol, _parameters(mx, symbol))
    x, y = _features(mx)
    module.forward(mx.io.DataBatch([_csr(mx, x[:2])], [mx.nd.array(y[:2])]), is_train=False)
    return module.get_outputs()


@case
def gradients_that_are_added(mx):
    symbol = _regression(mx)
    module = mx.mod.Module(symbol, ["data"], ["label"])
    module.bind([("data", (BATCH, WIDTH))], [("label", (BATCH, 1))], grad_req="add")
    module.init_params(arg_params={"weight": _everywhere(mx, (WIDTH, 1))})
    x, y = _features(mx)
    for part in (slice(0, 4), slice(4, 8)):
        batch = mx.io.DataBatch([_csr(mx, x[part])], [mx.nd.array(y[part].reshape((-1, 1)))])
        module.forward_backward(batch)
    return module._exec_group.execs[0].grad_dict["weight"]


@case
def inputs_need_gradients(mx):
    symbol = _linear(mx)
    module = mx.mod.Module(symbol)
    module.bind([("data", (BATCH, WIDTH))], [("softmax_label", (BATCH,))], inputs_need_grad=True)
    module.init_params(arg_params=_parameters(mx, symbol))
    module.forward_backward(next(_batches(mx)))
    return module.get_input_grads()
