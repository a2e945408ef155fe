"""Gluon with row_sparse weights and gradients: parameters, trainers, layers, files, clipping."""

import os
import tempfile

from harness import attempt, case, values

ROWS = [[0, 0], [1, 2], [0, 0], [3, 4]]


def _parameter(mx, shape=(4, 2), init="ones", **options):
    made = mx.gluon.Parameter("w", shape=shape, **options)
    made.initialize(init=init)
    return made


def _setup(mx):
    row_sparse = _parameter(mx, stype="row_sparse")
    trained = _parameter(mx, stype="row_sparse", grad_stype="row_sparse")
    trainer = mx.gluon.Trainer([trained], "sgd", {"learning_rate": 0.5})
    return {
        "p": row_sparse,
        "t": trained,
        "trainer": trainer,
        "make": lambda **options: _parameter(mx, **options),
        "P": mx.gluon.Parameter,
        "T": lambda param, **options: (mx.gluon.Trainer([param], "sgd", **options), param)[1],
        "a": mx.nd.array,
        "then": lambda *found: found[-1],
    }


values(
    __name__,
    _setup,
    """
    p.data()
    p.list_data()
    p.grad()
    p.row_sparse_data(a([1, 3]))
    p.list_row_sparse_data(a([1, 3]))
    p._reduce()
    p.var().attr_dict()['w']['__storage_type__']
    p.list_ctx()[0].device_type
    t.grad()
    t.row_sparse_data(a([1, 3]))
    t.row_sparse_data(a([3, 1, 3]))
    t.row_sparse_data(a([[3, 1], [0, 0]]))
    t.row_sparse_data(a([3, 1], dtype='int64'))
    t.list_row_sparse_data(a([2]))
    t.row_sparse_data(a([]))
    t.data()
    t.list_data()
    t._reduce()
    t.zero_grad()
    then(t.set_data(nd.ones((4, 2)) * 7), t.row_sparse_data(a([1])))
    then(t.row_sparse_data(a([1])), t.set_data(nd.ones((4, 2)) * 7), t.row_sparse_data(a([2])))
    then(t.set_data(nd.ones((4, 2)).tostype('row_sparse') * 7), t.row_sparse_data(a([1])))
    then(p.set_data(nd.ones((4, 2)) * 7), T(p).row_sparse_data(a([1])))
    then(p.cast('float64'), T(p).row_sparse_data(a([1])))
    then(t.row_sparse_data(a([1])), [trainer._update_on_kvstore, trainer._kvstore is None])
    [trainer._contains_sparse_weight, trainer._contains_sparse_grad]
    T(p, update_on_kvstore=False).row_sparse_data(a([1]))
    T(p, kvstore=None).row_sparse_data(a([1]))
    T(p, kvstore='local').row_sparse_data(a([1]))
    T(p, kvstore=mx.kv.create()).row_sparse_data(a([1]))
    then(T(make(), kvstore=None).data())
    make(grad_stype='row_sparse').grad()
    make(grad_stype='csr').grad()
    make(grad_stype='row_sparse').row_sparse_data(a([1]))
    make(grad_stype='row_sparse', grad_req='null').grad()
    make(grad_stype='row_sparse', grad_req='add').grad()
    T(make(grad_stype='row_sparse'))._trainer._contains_sparse_grad
    T(make(grad_stype='row_sparse'))._trainer._contains_sparse_weight
    make(stype='csr')
    make(stype='row_sparse', shape=(2, 2, 3)).grad()
    T(make(stype='row_sparse', shape=(2, 2, 3))).row_sparse_data(a([1]))
    T(make(stype='row_sparse', dtype='float64')).row_sparse_data(a([1]))
    T(make(stype='row_sparse', init='zeros')).row_sparse_data(a([1]))
    T(make(stype='row_sparse', init=mx.init.Constant(3))).row_sparse_data(a([1]))
    T(make(stype='row_sparse', init=mx.init.Constant(0.5))).row_sparse_data(a([1]))
    P('w', stype='other')
    P('w', grad_stype='other')
    P('w', stype='row_sparse', shape=(2, 2)).row_sparse_data(a([1]))
    """,
)


@case(unsafe=True)
def rows_out_of_range(mx):
    trained = _setup(mx)["t"]
    return attempt(trained.row_sparse_data, mx.nd.array([4]))


def _step(mx, net, optimizer, options, ids=(1, 3, 3), hybridize=False, steps=2, **trainer_options):
    """Gradients of a few steps, and the weights after them."""
    net.initialize(init="ones")
    if hybridize:
        net.hybridize()
    trainer = mx.gluon.Trainer(net.collect_params(), optimizer, options, **trainer_options)
    found = []
    for _ in range(steps):
        with mx.autograd.record():
            y = net(mx.nd.array(ids))
            loss = (y * y).sum()
        loss.backward()
        found.append(net.weight.grad())
        found[-1] = found[-1].copy()
        trainer.step(1)
    if net.weight._stype == "default":
        return [*found, net.weight.data()]
    return [*found, net.weight.row_sparse_data(mx.nd.arange(5))]


_OPTIMIZERS = {
    "sgd": {"learning_rate": 0.1},
    "momentum": {"learning_rate": 0.1, "momentum": 0.9, "wd": 0.1},
    "momentum not lazy": {"learning_rate": 0.1, "momentum": 0.9, "wd": 0.1, "lazy_update": False},
    "adam": {"learning_rate": 0.1},
    "adagrad": {"learning_rate": 0.1},
    "ftrl": {"learning_rate": 0.1},
    "rmsprop": {"learning_rate": 0.1},
}

for _name, _options in _OPTIMIZERS.items():
    _optimizer = "sgd" if "momentum" in _name else _name
    case(
        lambda mx, o=_optimizer, k=_options: _step(
            mx, mx.gluon.nn.Embedding(5, 2, sparse_grad=True), o, k
        ),
        name=f"Embedding {_name}",
    )
    case(
        lambda mx, o=_optimizer, k=_options: _step(
            mx, mx.gluon.contrib.nn.SparseEmbedding(5, 2), o, k
        ),
        name=f"SparseEmbedding {_name}",
    )

for _name, _options in {
    "hybridized": {"hybridize": True},
    "on a store": {"kvstore": "local", "update_on_kvstore": True},
    "matrix of ids": {"ids": ((1, 3), (3, 0))},
}.items():
    case(
        lambda mx, k=_options: _step(
            mx, mx.gluon.nn.Embedding(5, 2, sparse_grad=True), "sgd", {"learning_rate": 0.1}, **k
        ),
        name=f"Embedding {_name}",
    )
    case(
        lambda mx, k=_options: _step(
            mx, mx.gluon.contrib.nn.SparseEmbedding(5, 2), "sgd", {"learning_rate": 0.1}, **k
        ),
        name=f"SparseEmbedding {_name}",
    )


@case
def embeddings(mx):
    layer = mx.gluon.nn.Embedding(5, 2, sparse_grad=True)
    other = mx.gluon.contrib.nn.SparseEmbedding(5, 2, prefix="e_")
    other.initialize()
    return [
        layer.weight._grad_stype,
        layer.weight._stype,
        repr(layer),
        other.weight._grad_stype,
        other.weight._stype,
        repr(other),
        attempt(other, mx.nd.array([1])),
        isinstance(other, mx.gluon.HybridBlock),
        list(other.collect_params()),
    ]


def _two_contexts(mx, net, **options):
    contexts = [mx.cpu(0), mx.cpu(1)]
    net.initialize(init="ones", ctx=contexts)
    trainer = mx.gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": 0.1}, **options)
    with mx.autograd.record():
        losses = [
            (net(mx.nd.array(ids, ctx=ctx)) ** 2).sum()
            for ids, ctx in zip(([1, 3], [0, 3]), contexts)
        ]
    mx.autograd.backward(losses)
    trainer.step(1)
    found = [trainer._update_on_kvstore, net.weight.list_grad()]
    if net.weight._stype == "default":
        return [*found, net.weight.list_data()]
    return [*found, net.weight.list_row_sparse_data(mx.nd.arange(5))]


@case
def two_contexts(mx):
    return _two_contexts(mx, mx.gluon.nn.Embedding(5, 2, sparse_grad=True))


@case
def two_contexts_updated_here(mx):
    net = mx.gluon.nn.Embedding(5, 2, sparse_grad=True)
    return _two_contexts(mx, net, update_on_kvstore=False)


@case
def two_contexts_of_sparse_weights(mx):
    return _two_contexts(mx, mx.gluon.contrib.nn.SparseEmbedding(5, 2))


@case
def files(mx):
    sparse, dense = mx.gluon.contrib.nn.SparseEmbedding, mx.gluon.nn.Embedding
    found = []
    with tempfile.TemporaryDirectory() as folder:
        path, other = os.path.join(folder, "a"), os.path.join(folder, "b")

        def weight_of(net):
            if net.weight._stype == "default":
                return net.weight.data()
            mx.gluon.Trainer(net.collect_params(), "sgd")
            return net.weight.row_sparse_data(mx.nd.arange(5))

        net = sparse(5, 2, prefix="e_")
        net.initialize(init=mx.init.Constant(3))
        mx.gluon.Trainer(net.collect_params(), "sgd")
        net.save_parameters(path)
        net.collect_params().save(other)
        found += [mx.nd.load(path), mx.nd.load(other)]
        for make in (sparse, dense):
            for initialized in (False, True):
                loaded = make(5, 2)
                if initialized:
                    loaded.initialize(init="zeros")
                loaded.load_parameters(path)
                found.append(weight_of(loaded))
        net = dense(5, 2, sparse_grad=True)
        net.initialize(init=mx.init.Constant(3))
        net.save_parameters(path)
        found.append(mx.nd.load(path))
        for initialized in (False, True):
            loaded = sparse(5, 2)
            if initialized:
                loaded.initialize(init="zeros")
            loaded.load_parameters(path)
            found.append(weight_of(loaded))
    return found


@case
def a_file_without_a_trainer(mx):
    net = mx.gluon.contrib.nn.SparseEmbedding(5, 2)
    net.initialize(init=mx.init.Constant(3))
    with tempfile.TemporaryDirectory() as folder:
        return attempt(net.save_parameters, os.path.join(folder, "a"))


@case
def initializers_of_arrays(mx):
    found = []
    for init in ("zeros", "ones", mx.init.Constant(2)):
        array = mx.nd.sparse.zeros("row_sparse", (3, 2))
        made = mx.init.create(init) if isinstance(init, str) else init
        made(mx.init.InitDesc("w_weight"), array)
        found.append(array)
    return found


@case
def random_initializers_give_all_rows(mx):
    found = []
    for init in (mx.init.Uniform(), mx.init.Normal(), mx.init.Xavier(), mx.init.Orthogonal()):
        array = mx.nd.sparse.zeros("row_sparse", (3, 2))
        init(mx.init.InitDesc("w_weight"), array)
        found.append([array.stype, array.indices, array.shape])
    return found


def _arrays(mx):
    def sparse(stype):
        return mx.nd.array([[3, 0], [0, 0], [4, 0], [1, 1]]).tostype(stype)

    def clipped(arrays, *options):
        norm = mx.gluon.utils.clip_global_norm(arrays, 1.0, *options)
        return [norm, arrays]

    return {
        "s": sparse,
        "d": mx.nd.array([12.0]),
        "clip": clipped,
        "u": mx.gluon.utils,
        "two": [mx.cpu(0), mx.cpu(1)],
    }


values(
    __name__,
    _arrays,
    """
    clip([s('row_sparse')])
    clip([s('row_sparse'), d])
    clip([d, s('row_sparse')])
    clip([s('row_sparse'), d], False)
    clip([s('csr')])
    u.split_data(s('csr'), 2)
    u.split_data(s('csr'), 3, even_split=False)
    u.split_data(s('csr'), 2, batch_axis=1)
    u.split_data(s('row_sparse'), 2, batch_axis=1)
    u.split_and_load(s('csr'), two)
    u.split_and_load(s('csr'), two[:1])
    u.split_and_load(s('row_sparse'), two[:1])
    """,
    prefix="utils ",
)
