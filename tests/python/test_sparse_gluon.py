"""Row_sparse weights and gradients in Gluon and stores, against dense ones."""

import numpy as np
import pytest

import mxtape as mx
from mxtape import autograd, gluon, nd
from mxtape.gluon.contrib.nn import SparseEmbedding


def row_sparse(values):
    return nd.array(values).tostype("row_sparse")


def rows_of(weight, count=6):
    return weight.row_sparse_data(nd.arange(count)).asnumpy()


def trained(layer, optimizer="sgd", steps=4, **options):
    """The weights after steps whose batches use other rows each time."""
    layer.initialize(mx.init.Constant(0.5))
    trainer = gluon.Trainer(layer.collect_params(), optimizer, options or {"learning_rate": 0.3})
    random = np.random.RandomState(1)
    for _ in range(steps):
        ids = random.randint(0, 6, (2, 3))
        target = nd.array(random.normal(size=(2, 3, 2)))
        with autograd.record():
            loss = ((layer(nd.array(ids)) - target) ** 2).sum()
        loss.backward()
        trainer.step(6)
    weight = layer.weight
    return weight.data().asnumpy() if weight.stype == "default" else rows_of(weight)


@pytest.mark.parametrize(
    ("optimizer", "options"),
    [
        ("sgd", {"learning_rate": 0.3}),
        ("sgd", {"learning_rate": 0.3, "momentum": 0.9, "wd": 0.1, "lazy_update": False}),
        ("adam", {"learning_rate": 0.1, "lazy_update": False}),
        ("adagrad", {"learning_rate": 0.1}),
        ("rmsprop", {"learning_rate": 0.1}),
    ],
)
def test_sparse_training_is_dense_training(optimizer, options):
    dense = trained(gluon.nn.Embedding(6, 2), optimizer, **options)
    for layer in (gluon.nn.Embedding(6, 2, sparse_grad=True), SparseEmbedding(6, 2)):
        np.testing.assert_allclose(trained(layer, optimizer, **options), dense, rtol=1e-5)


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adagrad", "ftrl"])
@pytest.mark.parametrize("contexts", [1, 2])
def test_beside_dense_parameters(optimizer, contexts):
    """One optimizer moves parameters of both kinds, which it may take several at once."""
    found = []
    where = [mx.cpu(i) for i in range(contexts)]
    for sparse_grad in (False, True):
        net = gluon.nn.HybridSequential()
        net.add(
            gluon.nn.Embedding(6, 2, sparse_grad=sparse_grad),
            gluon.nn.Dense(3, in_units=2, flatten=False),
        )
        net.initialize(mx.init.Constant(0.1), ctx=where)
        params = [net[0].weight, net[1].weight, net[1].bias]
        options = {"learning_rate": 0.1}
        if optimizer in ("sgd", "adam"):
            options["lazy_update"] = False
        trainer = gluon.Trainer(params, optimizer, options)
        random = np.random.RandomState(2)
        for _ in range(3):
            with autograd.record():
                losses = [
                    (net(nd.array(random.randint(0, 6, 4), ctx=ctx)) ** 2).sum() for ctx in where
                ]
            autograd.backward(losses)
            trainer.step(4)
        found.append([p.data(ctx).asnumpy() for p in params for ctx in where])
    for dense, sparse in zip(*found):
        np.testing.assert_allclose(sparse, dense, rtol=1e-5, atol=1e-7)


def test_states_are_saved(tmp_path):
    found = []
    for load in (False, True):
        layer = SparseEmbedding(6, 2, prefix="e_")
        layer.initialize(mx.init.One())
        trainer = gluon.Trainer(layer.collect_params(), "adam", {"learning_rate": 0.5})
        for step in range(3):
            if load and step == 0:
                layer.load_parameters(str(tmp_path / "weights"))
                trainer.load_states(str(tmp_path / "states"))
                continue
            with autograd.record():
                loss = (layer(nd.array([1, 2 + step])) ** 2).sum()
            loss.backward()
            trainer.step(1)
            if step == 0:
                layer.save_parameters(str(tmp_path / "weights"))
                trainer.save_states(str(tmp_path / "states"))
        found.append(rows_of(layer.weight))
    assert (found[0] == found[1]).all()


def test_a_lazy_update_leaves_other_rows():
    layer = gluon.nn.Embedding(6, 2, sparse_grad=True)
    layer.initialize(mx.init.One())
    trainer = gluon.Trainer(layer.collect_params(), "adam", {"learning_rate": 0.5, "wd": 0.1})
    for ids in ([1, 4, 4], [1]):
        with autograd.record():
            loss = layer(nd.array(ids)).sum()
        loss.backward()
        assert layer.weight.grad().stype == "row_sparse"
        assert layer.weight.grad().indices.asnumpy().tolist() == sorted(set(ids))
        trainer.step(1)
    changed = (layer.weight.data().asnumpy() != 1).all(axis=1)
    assert changed.tolist() == [False, True, False, False, True, False]


def test_gradients_add_up():
    layer = gluon.nn.Embedding(6, 2, sparse_grad=True)
    layer.initialize(mx.init.One())
    layer.weight.grad_req = "add"
    for ids in ([1, 4], [4, 5]):
        with autograd.record():
            loss = layer(nd.array(ids)).sum()
        loss.backward()
    grad = layer.weight.grad()
    assert grad.stype == "row_sparse"
    assert grad.asnumpy()[:, 0].tolist() == [0, 1, 0, 0, 2, 1]
    layer.weight.zero_grad()
    assert layer.weight.grad().indices.shape == (0,)


def test_contexts_have_rows_of_their_own():
    """A call on one context leaves the rows that another has recorded."""
    contexts = [mx.cpu(0), mx.cpu(1)]
    layer = SparseEmbedding(6, 2)
    layer.initialize(mx.init.One(), ctx=contexts)
    trainer = gluon.Trainer(layer.collect_params(), "sgd", {"learning_rate": 0.5})
    batches = [nd.array(ids, ctx=ctx) for ids, ctx in zip(([1, 3], [0, 5]), contexts)]
    with autograd.record():
        losses = [layer(ids).sum() for ids in batches]
    found = [array.indices.asnumpy().tolist() for array in layer.weight._list_arrays()]
    assert found == [[1, 3], [0, 5]]
    autograd.backward(losses)
    trainer.step(1)
    assert rows_of(layer.weight)[:, 0].tolist() == [0.5, 0.5, 1, 0.5, 1, 0.5]


def test_a_new_store_has_all_rows():
    sparse = gluon.Parameter("s", shape=(6, 2), init="ones", stype="row_sparse")
    dense = gluon.Parameter("d", shape=(2,), init="ones")
    for param in (sparse, dense):
        param.initialize()
    gluon.Trainer([sparse, dense], "sgd")
    sparse.row_sparse_data(nd.array([2]))
    dense.set_data(nd.zeros(2))  # the next step makes the store again
    assert (rows_of(sparse) == 1).all()


def test_another_trainer_has_all_rows():
    sparse = gluon.Parameter("s", shape=(6, 2), init="ones", stype="row_sparse")
    sparse.initialize()
    for _ in range(2):
        gluon.Trainer([sparse], "sgd")
        assert (sparse.row_sparse_data(nd.array([2])).asnumpy()[2] == 1).all()
    assert (rows_of(sparse) == 1).all()


def test_the_trainer_before_is_refused():
    sparse = gluon.Parameter("s", shape=(6, 2), init="ones", stype="row_sparse")
    sparse.initialize()
    before = gluon.Trainer([sparse], "sgd", {"learning_rate": 0.5})
    after = gluon.Trainer([sparse], "sgd", {"learning_rate": 0.5})

    def run(trainer):
        with autograd.record():
            loss = sparse.row_sparse_data(nd.array([2])).sum()
        loss.backward()
        trainer.step(1)

    run(after)
    kept = rows_of(sparse)
    with pytest.raises(RuntimeError, match=r"parameter s, .* a Trainer that was made later"):
        run(before)
    assert np.array_equal(rows_of(sparse), kept)
    run(after)
    assert not np.array_equal(rows_of(sparse), kept)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda p: p.row_sparse_data(nd.array([6])), mx.MXNetError, "6 is out of range"),
        (lambda p: p.row_sparse_data(nd.array([-1])), mx.MXNetError, "-1 is out of range"),
        (lambda p: p.row_sparse_data([1]), TypeError, "row_id must be an NDArray, got list"),
        (lambda p: p.row_sparse_data(nd.array([1], ctx=mx.cpu(1))), RuntimeError, "cpu.1."),
        (lambda p: p.data(), RuntimeError, r"use row_sparse_data\(row_id\)"),
    ],
)
def test_what_is_no_row(call, error, text):
    param = gluon.Parameter("p", shape=(6, 2), init="ones", stype="row_sparse")
    param.initialize()
    gluon.Trainer([param], "sgd")
    before = param.row_sparse_data(nd.array([1, 2])).asnumpy()
    with pytest.raises(error, match=text):
        call(param)
    assert (param._list_arrays()[0].asnumpy() == before).all()


@pytest.mark.parametrize(
    ("options", "error"),
    [({"kvstore": None}, TypeError), ({"update_on_kvstore": False}, ValueError)],
)
def test_row_sparse_values_need_a_store(options, error):
    param = gluon.Parameter("p", shape=(6, 2), init="ones", stype="row_sparse")
    param.initialize()
    gluon.Trainer([param], "sgd", **options)
    with pytest.raises(error, match="'row_sparse'"):
        param.row_sparse_data(nd.array([1]))


def test_files_and_casts(tmp_path):
    layer = SparseEmbedding(6, 2)
    layer.initialize(mx.init.Zero())
    layer.weight.set_data(nd.array(np.arange(12).reshape(6, 2)))
    layer.save_parameters(str(tmp_path / "a"))
    for made in (SparseEmbedding(6, 2), gluon.nn.Embedding(6, 2, sparse_grad=True)):
        made.load_parameters(str(tmp_path / "a"))
        made.cast("float64")
        assert made.weight.grad().dtype == np.float64
        assert made.weight.grad().stype == "row_sparse"
        gluon.Trainer(made.collect_params(), "sgd")
        weight = made.weight.data() if made.weight.stype == "default" else made.weight._reduce()
        assert weight.dtype == np.float64
        assert weight.asnumpy().ravel().tolist() == list(range(12))


# More than there is memory for: what makes an array of that shape fails.
LARGE = (1 << 40, 4)


def large(rows, value):
    data = np.full((len(rows), LARGE[1]), value, "float32")
    return nd.sparse.row_sparse_array((data, rows), shape=LARGE)


def test_stores_make_nothing_of_the_whole_shape():
    store = mx.kv.create("device")
    store.init("a", nd.sparse.zeros("row_sparse", LARGE))
    store.push("a", [large([3, 1 << 39], 1), large([3, 9], 2)])
    out = nd.sparse.zeros("row_sparse", LARGE)
    store.row_sparse_pull("a", out=out, row_ids=nd.array([9, 3, 4], dtype="int64"))
    assert out.indices.asnumpy().tolist() == [3, 4, 9]
    assert out.data.asnumpy()[:, 0].tolist() == [3, 0, 2]
    store.pull("a", out=out, ignore_sparse=False)
    assert out.indices.asnumpy().tolist() == [3, 9, 1 << 39]
    seen = []
    store._set_updater(lambda key, total, value: seen.append((total, value)))
    store.push("a", [large([5], 1), large([6], 2)])
    assert [x.indices.asnumpy().tolist() for x in seen[0]] == [[5, 6], [3, 9, 1 << 39]]


def test_gradients_make_nothing_of_the_whole_shape():
    grads = [large([3, 1 << 39], 3), large([7], 4)]
    assert gluon.utils.clip_global_norm(grads, 1.0) == pytest.approx(np.sqrt(4 * (9 + 9 + 16)))
    assert grads[1].indices.asnumpy().tolist() == [7]


# ---- stores


@pytest.fixture
def store():
    made = mx.kv.create()
    made.init(["a", "d"], [row_sparse(np.ones((4, 2))), nd.ones((4, 2))])
    return made


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda s, o: s.row_sparse_pull("a", o, row_ids=nd.array([4])), mx.MXNetError, "4 is out"),
        (
            lambda s, o: s.row_sparse_pull("a", [o, o], row_ids=[nd.array([1]), nd.array([-1])]),
            mx.MXNetError,
            "-1 is out",
        ),
        (
            lambda s, o: s.row_sparse_pull("a", [o, nd.ones((4, 2))], row_ids=nd.array([1])),
            mx.MXNetError,
            "out must be row_sparse, and is 'default'",
        ),
        (
            lambda s, o: s.row_sparse_pull("d", o, row_ids=nd.array([1])),
            mx.MXNetError,
            "the value must be row_sparse",
        ),
        (
            lambda s, o: s.row_sparse_pull("a", row_sparse([[1]]), row_ids=nd.array([0])),
            mx.MXNetError,
            r"has shape \(4, 2\), and the array \(1, 1\)",
        ),
        (lambda s, o: s.init("a", o), mx.MXNetError, "'a' has a value already"),
        (lambda s, o: s.init("n", [o, o]), mx.MXNetError, "must be given one value, got 2"),
        (lambda s, o: s.row_sparse_pull("a", o), AssertionError, "row_ids are needed"),
        (lambda s, o: s.push("a", nd.ones((4, 2)).tostype("csr")), mx.MXNetError, "csr arrays are"),
        (
            lambda s, o: s.pull(["d", "a"], [nd.ones((4, 2)), o.tostype("csr")], 0, False),
            mx.MXNetError,
            "is row_sparse, and out csr",
        ),
    ],
)
def test_what_does_not_fit_changes_nothing(store, call, error, text):
    out = row_sparse([[0, 0], [7, 7], [0, 0], [0, 0]])
    with pytest.raises(error, match=text):
        call(store, out)
    assert (out.indices.asnumpy().tolist(), out.data.asnumpy().tolist()) == ([1], [[7, 7]])
    whole = nd.zeros((4, 2))
    store.pull("a", whole)
    assert (whole.asnumpy() == 1).all()


def test_pull_warns_of_what_it_leaves(store):
    out = row_sparse(np.zeros((4, 2)))
    with pytest.warns(UserWarning, match=r"keys \['a'\] stay as they are: row_sparse_pull"):
        store.pull("a", out)
    assert out.indices.shape == (0,)


def test_compression_is_for_dense_arrays():
    store = mx.kv.create("device")
    store.set_gradient_compression({"type": "2bit"})
    store.init("a", row_sparse(np.ones((4, 2))))
    with pytest.raises(mx.MXNetError, match="compression is for dense arrays"):
        store.push("a", row_sparse(np.ones((4, 2))))


def test_sums_do_not_change_with_what_was_pushed(store):
    pushed = row_sparse([[0, 0], [5, 5], [0, 0], [0, 0]])
    store.push("a", pushed)
    pushed[:] = 0
    out = nd.zeros((4, 2))
    store.pull("a", out)
    assert out.asnumpy()[:, 0].tolist() == [0, 5, 0, 0]


# ---- helpers for tests


def test_gradients_of_other_storage_types_are_checked():
    ids, weight = nd.array([1, 3, 3]), np.ones((6, 2))
    options = {"input_dim": 6, "output_dim": 2, "sparse_grad": True}

    def look_up(w):
        return nd.Embedding(ids, w, **options) ** 2

    for request in ("write", "add"):
        mx.test_utils.check_numeric_gradient(
            look_up,
            [weight],
            dtype="float64",
            grad_nodes={"w": request},
            grad_stype_dict={"w": "row_sparse"},
        )
    symbol = mx.sym.Embedding(mx.sym.var("ids"), mx.sym.var("w"), **options)
    expected = np.zeros((6, 2))
    expected[1], expected[3] = 1, 2
    grads = mx.test_utils.check_symbolic_backward(
        symbol,
        {"ids": ids, "w": weight},
        [np.ones((3, 2))],
        {"w": expected},
        grad_req={"ids": "null", "w": "write"},
        grad_stypes={"w": "row_sparse"},
    )
    assert grads["w"].stype == "row_sparse"
    assert grads["w"].indices.asnumpy().tolist() == [1, 3]
    with pytest.raises(AssertionError, match="EXPECTED_w and BACKWARD_w differ"):
        mx.test_utils.check_symbolic_backward(
            symbol, {"ids": ids, "w": weight}, [np.ones((3, 2))], {"w": weight}, grad_req="write"
        )
