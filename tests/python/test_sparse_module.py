"""Modules with csr data and row_sparse weights, against the same modules with dense arrays."""

import numpy as np
import pytest

import mxtape as mx

COUNT, WIDTH, BATCH = 12, 10, 4


def _data(seed=0):
    rng = np.random.RandomState(seed)
    x = rng.uniform(-1, 1, (COUNT, WIDTH)) * (rng.random_sample((COUNT, WIDTH)) < 0.3)
    return x.astype("float32"), rng.randint(0, 2, COUNT).astype("float32")


def _network(data="csr", weight="row_sparse"):
    x = mx.sym.var("data", stype=data)
    w = mx.sym.var("weight", stype=weight, shape=(WIDTH, 2))
    scores = mx.sym.broadcast_add(mx.sym.sparse.dot(x, w), mx.sym.var("bias", shape=(2,)))
    return mx.sym.SoftmaxOutput(scores, name="softmax")


def _parameters(stype="row_sparse"):
    values = np.random.RandomState(3).uniform(-1, 1, (WIDTH, 2)).astype("float32")
    return {"weight": mx.nd.array(values).tostype(stype), "bias": mx.nd.array([0.5, -0.5])}


def _bound(symbol=None, params=None, **options):
    module = mx.mod.Module(_network() if symbol is None else symbol, **options)
    module.bind([("data", (BATCH, WIDTH))], [("softmax_label", (BATCH,))])
    module.init_params(arg_params=_parameters() if params is None else params)
    return module


def _batches(stype="csr", sizes=(BATCH,) * 3):
    (x, y), first = _data(), 0
    for size in sizes:
        part = slice(first, first + size)
        yield mx.io.DataBatch([mx.nd.array(x[part]).tostype(stype)], [mx.nd.array(y[part])])
        first += size


def _needed(batch):
    return {"weight": batch.data[0].indices}


def _trained(module, batches, store="object", optimizer="sgd", epochs=2, **options):
    options = {"learning_rate": 0.5, **options}
    module.init_optimizer(mx.kv.create("local") if store else None, optimizer, options)
    outputs = []
    for _ in range(epochs):
        for batch in batches():
            if store:
                module.prepare(batch, _needed)
            module.forward_backward(batch)
            outputs.append(module.get_outputs()[0].asnumpy())
            module.update()
    values, _ = module.get_params()
    return np.concatenate(outputs), {name: value.asnumpy() for name, value in values.items()}


def _assert_same(got, want):
    np.testing.assert_allclose(got[0], want[0], rtol=1e-5, atol=1e-6)
    for name in want[1]:
        np.testing.assert_allclose(got[1][name], want[1][name], rtol=1e-5, atol=1e-6)


def _dense(**options):
    module = _bound(_network("default", "default"), _parameters("default"))
    return _trained(module, lambda: _batches("default"), store=None, **options)


@pytest.mark.parametrize("store", ["object", None])
@pytest.mark.parametrize(
    ("optimizer", "options"),
    [
        ("sgd", {}),
        ("sgd", {"momentum": 0.9, "wd": 0.01, "lazy_update": False}),
        ("adam", {"learning_rate": 0.1, "wd": 0.01, "lazy_update": False}),
        ("adagrad", {"learning_rate": 0.1}),
    ],
)
def test_training_is_that_of_dense_arrays(store, optimizer, options):
    """Where all rows are moved, or those without a gradient stay where they are."""
    options = {"optimizer": optimizer, **options}
    _assert_same(_trained(_bound(), _batches, store, **options), _dense(**options))


def test_two_contexts_train_as_one():
    two = _bound(context=[mx.cpu(0), mx.cpu(1)])
    _assert_same(_trained(two, _batches), _trained(_bound(), _batches))


@pytest.mark.parametrize(("data", "weight"), [("csr", "default"), ("default", "row_sparse")])
def test_data_or_weights_may_be_dense(data, weight):
    module = _bound(_network(data, weight), _parameters(weight))
    _assert_same(_trained(module, _batches, store=None), _dense())


def test_batches_of_other_sizes():
    sizes = (4, 2, 4, 2)
    dense = _bound(_network("default", "default"), _parameters("default"))
    want = _trained(dense, lambda: _batches("default", sizes), store=None)
    _assert_same(_trained(_bound(), lambda: _batches("csr", sizes)), want)


def test_the_rows_that_a_batch_needs_are_fetched():
    module = _bound()
    module.init_optimizer(mx.kv.create("local"))
    weight = module._exec_group.execs[0].arg_dict["weight"]
    assert weight.indices.asnumpy().tolist() == list(range(WIDTH))
    batch = next(_batches())
    module.prepare(batch, _needed)
    used = np.unique(batch.data[0].indices.asnumpy())
    assert weight.indices.asnumpy().tolist() == used.tolist()
    all_rows = _parameters()["weight"].asnumpy()
    np.testing.assert_array_equal(weight.data.asnumpy(), all_rows[used])
    # get_params has all of them.
    np.testing.assert_array_equal(module.get_params()[0]["weight"].asnumpy(), all_rows)


def test_row_ids_that_are_refused():
    module = _bound()
    module.init_optimizer(mx.kv.create("local"))
    weight = module._exec_group.execs[0].arg_dict["weight"]
    batch = next(_batches())
    for ids, error, message in (
        ([1], AssertionError, "must give a dict, not list"),
        ({"weight": mx.nd.array([0]), "foo": mx.nd.array([0])}, ValueError, "no parameter 'foo'"),
    ):
        with pytest.raises(error, match=message):
            module.prepare(batch, lambda _, ids=ids: ids)
    with pytest.warns(UserWarning, match="bias is not row-sparse"):
        module.prepare(batch, lambda _: {"bias": mx.nd.array([0])})
    assert weight.indices.shape == (WIDTH,)


def test_without_a_store_nothing_is_fetched():
    module = _bound()
    module.init_optimizer(None)
    with pytest.warns(UserWarning, match="sparse_row_id_fn has no effect"):
        module.prepare(next(_batches()), _needed)


@pytest.mark.parametrize("store", ["object", None])
def test_checkpoints_go_on_with_the_same_bits(tmp_path, store):
    options = {"optimizer": "adam", "learning_rate": 0.1, "lazy_update": True}
    whole = _trained(_bound(), _batches, store, epochs=4, **options)
    module = _bound()
    _trained(module, _batches, store, **options)
    prefix = str(tmp_path / "linear")
    module.save_checkpoint(prefix, 2, save_optimizer_states=True)
    _, values, _ = mx.model.load_checkpoint(prefix, 2)
    assert {name: value.stype for name, value in values.items()} == {
        "weight": "row_sparse",
        "bias": "default",
    }
    again = mx.mod.Module.load(prefix, 2, load_optimizer_states=True)
    again.bind([("data", (BATCH, WIDTH))], [("softmax_label", (BATCH,))])
    rest = _trained(again, _batches, store, **options)
    np.testing.assert_array_equal(rest[0], whole[0][len(rest[0]) :])
    for name, value in whole[1].items():
        np.testing.assert_array_equal(rest[1][name], value)


def test_rows_of_buckets():
    """Buckets share the table, and each batch fetches its rows."""

    def symbol_of(length):
        table = mx.sym.var("table_weight", stype="row_sparse", shape=(WIDTH, 2))
        vectors = mx.sym.sparse.Embedding(
            mx.sym.var("data"), table, input_dim=WIDTH, output_dim=2, sparse_grad=True
        )
        out = mx.sym.SoftmaxOutput(mx.sym.sum(vectors, axis=1), name="softmax")
        return out, ("data",), ("softmax_label",)

    values = np.random.RandomState(0).uniform(-1, 1, (WIDTH, 2)).astype("float32")
    module = mx.mod.BucketingModule(symbol_of, default_bucket_key=4)
    module.bind([("data", (2, 4))], [("softmax_label", (2,))])
    module.init_params(arg_params={"table_weight": mx.nd.array(values).tostype("row_sparse")})
    module.init_optimizer(mx.kv.create("local"), "sgd", {"learning_rate": 0.5})
    rng = np.random.RandomState(1)
    for length in (4, 2, 3, 2):
        words, labels = rng.randint(0, WIDTH, (2, length)), rng.randint(0, 2, 2)
        batch = mx.io.DataBatch(
            [mx.nd.array(words)],
            [mx.nd.array(labels)],
            bucket_key=length,
            provide_data=[("data", (2, length))],
            provide_label=[("softmax_label", (2,))],
        )
        module.prepare(batch, lambda b: {"table_weight": b.data[0].reshape((-1,))})
        module.forward_backward(batch)
        module.update()
        scores = np.exp(values[words].sum(axis=1))
        errors = scores / scores.sum(axis=1, keepdims=True) - np.eye(2)[labels]
        for row, error in zip(words, errors):
            np.subtract.at(values, row, (0.5 / 2 * error).astype("float32"))
        got = module.get_params()[0]["table_weight"]
        np.testing.assert_allclose(got.asnumpy(), values, rtol=1e-4, atol=1e-6)
