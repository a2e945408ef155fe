"""Symbols with sparse variables: storage types of arguments, gradients and outputs; what runs."""

import json
import os
import tempfile

import numpy as np
from harness import attempt, case, data, values

NAMES = (
    "ElementWiseSum Embedding FullyConnected LinearRegressionOutput LogisticRegressionOutput "
    "MAERegressionOutput _contrib_round_ste _contrib_sign_ste abs adagrad_update adam_update "
    "add_n arccos arccosh arcsin arcsinh arctan arctanh broadcast_add broadcast_div "
    "broadcast_minus broadcast_mul broadcast_plus broadcast_sub cast_storage cbrt ceil clip "
    "concat cos cosh degrees dot elemwise_add elemwise_div elemwise_mul elemwise_sub exp expm1 "
    "fix floor ftrl_update gamma gammaln log log10 log1p log2 make_loss mean negative norm "
    "radians relu retain rint round rsqrt sgd_mom_update sgd_update sigmoid sign sin sinh slice "
    "sqrt square stop_gradient sum tan tanh trunc where zeros_like"
).split()


def csr(mx, shape=(4, 6), seed=0, dtype="float32"):
    """About half of the elements, ascending columns."""
    dense = data(shape, seed=seed) * (np.random.RandomState(seed).random_sample(shape) < 0.5)
    return mx.nd.array(dense, dtype=dtype).tostype("csr")


def rows(mx, shape=(6, 3), at=(0, 2, 3, 5), seed=1):
    """Some rows of an array."""
    values = data((len(at), *shape[1:]), seed=seed)
    return mx.nd.sparse.row_sparse_array((values, list(at)), shape=shape)


def stypes(arrays):
    return [None if a is None else a.stype for a in arrays]


def _setup(mx):
    sym, cpu = mx.sym, mx.cpu()
    sparse = sym.sparse
    x, y = sym.var("x", stype="csr"), sym.var("y", stype="csr")
    w, v = sym.var("w", stype="row_sparse"), sym.var("v", stype="row_sparse")
    d, e = sym.var("d"), sym.var("e")
    table = sym.var("table", stype="row_sparse")

    def inferred(symbol, req="write", **shapes):
        """Storage types of arguments, gradients and outputs, by simple_bind."""
        usual = {"x": (4, 6), "y": (4, 6), "w": (6, 3), "v": (6, 3), "d": (6, 3), "e": (4, 6)}
        shapes = {**usual, **shapes}
        names = symbol.list_arguments()
        shapes = {k: s for k, s in shapes.items() if k in names and s is not None}
        executor = symbol.simple_bind(cpu, req, **shapes)
        return {
            "arguments": dict(zip(names, stypes(executor.arg_arrays))),
            "gradients": dict(zip(names, stypes(executor.grad_arrays))),
            "outputs": stypes(executor.outputs),
        }

    arrays = {
        "x": csr(mx),
        "y": csr(mx, seed=5),
        "w": rows(mx),
        "v": rows(mx, at=(1, 2), seed=7),
        "d": mx.nd.array(data((6, 3), seed=3)),
        "e": mx.nd.array(data((4, 6), seed=4)),
    }

    def trained(symbol, req="write", times=1, given=(), **others):
        """Outputs and gradients for the arrays above, of an executor of simple_bind.

        `req` is a grad_req, or names the arguments that have a gradient.
        """
        named = {**arrays, **others}
        names = symbol.list_arguments()
        if isinstance(req, str) and req not in ("write", "add", "null"):
            req = dict.fromkeys(req.split(), "write")
        known = {k: a.shape for k, a in named.items() if k in names}
        types = {k: a.stype for k, a in named.items() if k in names}
        executor = symbol.simple_bind(cpu, req, stype_dict=types, **known)
        for name in names:
            named[name].copyto(executor.arg_dict[name])
        for _ in range(times):
            executor.forward(is_train=True)
            executor.backward(*given)
        return [executor.outputs, executor.grad_dict]

    def bound(types, symbol=None, **shapes):
        symbol = sparse.dot(x, w) if symbol is None else symbol
        return symbol.simple_bind(cpu, stype_dict=types, **(shapes or {"x": (4, 6), "w": (6, 3)}))

    def embedded(table, name, req="write", times=1, **options):
        ids = mx.nd.array([3, 0, 3])
        symbol = sym.Embedding(sym.var("ids"), table, input_dim=6, output_dim=3, **options)
        return trained(symbol, {name: req}, times, [tall[:3]], ids=ids)

    lengths = sym._internal._square_sum(w, axis=1, keepdims=True)
    matrix = mx.nd.array(data((3, 6)))
    labels = mx.nd.array(data((6, 3), seed=2)).tostype("csr")
    ids = mx.nd.array([0, 3])
    full = rows(mx, at=range(6))

    def attributes(symbol):
        return [symbol.attr_dict(), symbol.list_attr(), json.loads(symbol.tojson())]

    head = mx.nd.array(data((4, 3), seed=9))
    wide = mx.nd.array(data((4, 6), seed=9))
    tall = mx.nd.array(data((6, 3), seed=9))
    return {**locals(), "csr": csr, "rows": rows, "stypes": stypes, "data": data}


values(
    __name__,
    _setup,
    """
    attributes(x)
    attributes(w)
    attributes(sym.var('q', stype='default'))
    attributes(sym.var('q', stype=None))
    attributes(sym.var('q', stype='csr', shape=(3, 4), dtype='float64', lr_mult=2))
    attributes(sym.var('q', __storage_type__=2))
    attributes(sym.Variable('q', attr={'__storage_type__': '1'}))
    sym.var('q', stype='foo')
    sym.var('q', stype=1)
    attributes(sparse.dot(x, w))
    attributes(sparse.dot(x, d, transpose_a=True, forward_stype='row_sparse'))
    attributes(sparse.cast_storage(d, stype='row_sparse', name='cast'))
    attributes(sparse.retain(w, sym.var('ids')))
    attributes(sparse.Embedding(d, table, input_dim=9, output_dim=3, sparse_grad=True))
    attributes(sym.Embedding(d, input_dim=9, output_dim=3, sparse_grad=True, name='emb'))
    attributes(sym.contrib.SparseEmbedding(d, input_dim=9, output_dim=3, name='emb'))
    attributes(sym._internal._square_sum(w, axis=1, keepdims=True))
    attributes(sparse.FullyConnected(x, num_hidden=2, name='fc'))
    attributes(sparse.LinearRegressionOutput(x, sym.var('label'), name='out'))
    attributes(sparse.add_n(w, v, name='sum'))
    attributes(sparse.ElementWiseSum(w, v))
    attributes(sparse.stop_gradient(w))
    attributes(sparse.norm(w))
    attributes(sparse.concat(x, y, dim=0))
    attributes(sparse.clip(w, 0, 1))
    attributes(sparse.slice(x, begin=(1,), end=(3,)))
    attributes(sym.load_json(sparse.dot(x, w).tojson()))
    sym.load_json(sparse.dot(x, w).tojson()).tojson()
    sparse.dot(x, w).list_arguments()
    sparse.dot(x, w).infer_shape(x=(4, 6), w=(6, 3))
    sparse.dot(x, w).infer_type(x='float32')
    """,
    prefix="symbols ",
)

values(
    __name__,
    _setup,
    """
    inferred(sym.Group([x, w, d]))
    inferred(sparse.dot(x, w))
    inferred(sparse.dot(x, d))
    inferred(sym.dot(x, d))
    inferred(sym.dot(x, w))
    inferred(sparse.dot(x, d, transpose_a=True), d=(4, 3))
    inferred(sparse.dot(x, w, transpose_a=True), w=(4, 3))
    inferred(sparse.dot(x, d, transpose_a=True, forward_stype='row_sparse'), d=(4, 3))
    inferred(sparse.dot(x, d, forward_stype='row_sparse'))
    inferred(sparse.dot(x, d, forward_stype='default'))
    inferred(sparse.dot(x, d, transpose_b=True), d=(3, 6))
    inferred(sparse.dot(x, w, transpose_b=True), w=(3, 6))
    inferred(sparse.dot(e, y), e=(3, 4))
    inferred(sparse.dot(e, y, forward_stype='csr'), e=(3, 4))
    inferred(sparse.dot(e, y, transpose_b=True), e=(3, 6))
    inferred(sparse.dot(e, y, transpose_b=True, forward_stype='csr'), e=(3, 6))
    inferred(sparse.dot(x, sym.var('z')), z=(6,))
    inferred(sparse.dot(x, w), 'null')
    inferred(sparse.dot(x, w), 'add')
    inferred(sparse.dot(x, w), {'w': 'write'})
    inferred(sparse.dot(x, w), {'x': 'write'})
    inferred(sparse.elemwise_add(w, v))
    inferred(sparse.elemwise_add(w, d))
    inferred(sparse.elemwise_add(x, y))
    inferred(sparse.elemwise_add(x, e))
    inferred(sparse.elemwise_sub(w, v))
    inferred(sparse.elemwise_mul(w, v))
    inferred(sparse.elemwise_mul(w, d))
    inferred(sparse.elemwise_mul(x, y))
    inferred(sparse.elemwise_mul(x, e))
    inferred(sparse.elemwise_div(w, d))
    inferred(sparse.elemwise_div(w, v))
    inferred(w + v)
    inferred(w - d)
    inferred(w * v)
    inferred(w + 1)
    inferred(w * 2)
    inferred(x * 2)
    inferred(2 * x)
    inferred(x / 2)
    inferred(x + 2)
    inferred(x - 0)
    inferred(2 - x)
    inferred(x ** 2)
    inferred(-w)
    inferred(sparse.add_n(w, v))
    inferred(sparse.add_n(w, v, d))
    inferred(sparse.add_n(w, d))
    inferred(sparse.add_n(x, e))
    inferred(sparse.add_n(x, y))
    inferred(sparse.square(w))
    inferred(sparse.square(x))
    inferred(sparse.sqrt(x))
    inferred(sparse.abs(x))
    inferred(sparse.abs(w))
    inferred(sparse.sign(w))
    inferred(sparse.relu(w))
    inferred(sparse.sigmoid(w))
    inferred(sparse.sin(w))
    inferred(sparse.cos(w))
    inferred(sparse.exp(x))
    inferred(sparse.log1p(x))
    inferred(sparse.negative(x))
    inferred(sparse.zeros_like(x))
    inferred(sparse.zeros_like(w))
    inferred(sparse.stop_gradient(w))
    inferred(sparse.make_loss(w))
    inferred(sparse.make_loss(x))
    inferred(sym.identity(w))
    inferred(sparse.clip(w, 0, 1))
    inferred(sparse.clip(x, -1, 1))
    inferred(sparse.clip(w, 1, 2))
    inferred(sparse.sum(x, axis=1))
    inferred(sparse.sum(x, axis=0))
    inferred(sparse.sum(x))
    inferred(sparse.sum(x, axis=1, keepdims=True))
    inferred(sparse.sum(w, axis=1))
    inferred(sparse.mean(x, axis=1))
    inferred(sparse.norm(x))
    inferred(sparse.norm(w))
    inferred(sym._internal._square_sum(w, axis=1, keepdims=True))
    inferred(sym._internal._square_sum(w, axis=1))
    inferred(sym._internal._square_sum(w, axis=0))
    inferred(sym._internal._square_sum(d, axis=1))
    inferred(sparse.dot(sparse.square(x), lengths))
    inferred(sparse.cast_storage(d, stype='row_sparse'))
    inferred(sparse.cast_storage(w, stype='default'))
    inferred(sparse.cast_storage(x, stype='default'))
    inferred(sparse.cast_storage(e, stype='csr'))
    inferred(sparse.cast_storage(w, stype='row_sparse'))
    inferred(sparse.dot(sparse.cast_storage(e, stype='csr'), d))
    inferred(sparse.retain(w, sym.var('ids')), ids=(2,))
    inferred(sparse.slice(x, begin=(1,), end=(3,)))
    inferred(sparse.slice(x, begin=(1, 1), end=(3, 3)))
    inferred(sym.slice_axis(x, axis=0, begin=1, end=3))
    inferred(sparse.concat(x, y, dim=0))
    inferred(sparse.concat(x, y, dim=1))
    inferred(sparse.where(x, e, sym.var('z')), z=(4, 6))
    inferred(sparse.broadcast_add(x, sym.var('z')), z=(1, 6))
    inferred(sparse.broadcast_mul(x, sym.var('z')), z=(1, 6))
    inferred(sparse.broadcast_mul(x, sym.var('z')), z=(4, 1))
    inferred(sparse.broadcast_div(x, sym.var('z')), z=(1, 6))
    inferred(sparse.broadcast_sub(x, sym.var('z')), z=(1, 6))
    inferred(sym.broadcast_mul(w, sym.var('z')), z=(6, 1))
    inferred(sparse.Embedding(e, w, input_dim=6, output_dim=3, sparse_grad=True))
    inferred(sparse.Embedding(e, w, input_dim=6, output_dim=3))
    inferred(sparse.Embedding(e, d, input_dim=6, output_dim=3, sparse_grad=True))
    inferred(sym.Embedding(e, d, input_dim=6, output_dim=3, sparse_grad=True))
    inferred(sym.Embedding(e, d, input_dim=6, output_dim=3))
    inferred(sym.contrib.SparseEmbedding(e, w, input_dim=6, output_dim=3))
    inferred(sym.contrib.SparseEmbedding(e, d, input_dim=6, output_dim=3))
    inferred(sym.take(w, sym.var('ids')), ids=(2,))
    inferred(sparse.FullyConnected(x, num_hidden=2))
    inferred(sparse.FullyConnected(e, w, num_hidden=6, no_bias=True), e=(4, 3))
    inferred(sym.FullyConnected(sparse.dot(x, w), num_hidden=2))
    inferred(sparse.LinearRegressionOutput(d, sym.var('z', stype='csr')))
    inferred(sparse.LinearRegressionOutput(sparse.dot(x, w), sym.var('label')))
    inferred(sparse.LogisticRegressionOutput(sparse.dot(x, w), sym.var('z', stype='csr')))
    inferred(sparse.MAERegressionOutput(d, sym.var('z', stype='csr')))
    inferred(sym.SoftmaxOutput(sparse.dot(x, w), sym.var('label')))
    inferred(sym.softmax(x))
    inferred(sym.Reshape(x, shape=(6, 4)))
    inferred(sym.transpose(w))
    inferred(sym.Group([sparse.dot(x, w), w]))
    inferred(sym.Group([sparse.dot(x, w), sym.square(w), w * d]))
    inferred(sym.Group([sparse.dot(x, w), sparse.dot(y, w)]))
    inferred(sparse.dot(x, w + v))
    inferred(sparse.dot(x, w * 2))
    inferred(sparse.dot(x, sparse.square(w)))
    inferred(sym.broadcast_add(sparse.dot(x, w), sym.var('b')), b=(1, 3))
    inferred(sym.SliceChannel(x, num_outputs=2, axis=1))
    """,
    prefix="types ",
)

values(
    __name__,
    _setup,
    """
    stypes(bound({'w': 'default'}).arg_arrays)
    stypes(bound({'x': 'default', 'w': 'default'}).arg_arrays)
    stypes(bound({'x': 'default', 'w': 'default'}).grad_arrays)
    stypes(bound({'w': 'row_sparse', 'q': 'csr'}).arg_arrays)
    stypes(bound({'d': 'csr'}, sparse.dot(d, e), d=(2, 6), e=(6, 4)).arg_arrays)
    stypes(bound({'d': 'csr', 'e': 'default'}, sparse.dot(d, e), d=(2, 6), e=(6, 4)).arg_arrays)
    stypes(bound({'d': 'csr', 'e': 'default'}, sparse.dot(d, e), d=(2, 6), e=(6, 4)).grad_arrays)
    sparse.dot(x, w).simple_bind(cpu, x=(4, 6), w=(6, 3)).arg_dict['w']
    sparse.dot(x, w).simple_bind(cpu, x=(4, 6), w=(6, 3)).grad_dict['w']
    sparse.dot(x, w).simple_bind(cpu, x=(4, 6), w=(6, 3)).forward()
    w.simple_bind(cpu, w=(6, 3)).forward()
    sparse.dot(x, w).simple_bind(cpu, type_dict={'x': 'float64'}, x=(4, 6), w=(6, 3)).arg_dict['w']
    """,
    prefix="simple_bind ",
)

values(
    __name__,
    _setup,
    """
    trained(sparse.dot(x, w), 'w', given=[head])
    trained(sparse.dot(x, w), 'x', given=[head])
    trained(sparse.dot(x, w), {'w': 'add'}, 2, given=[head])
    trained(sparse.dot(x, d), 'd', given=[head])
    trained(sparse.dot(x, d), {'d': 'add'}, 2, given=[head])
    trained(sparse.dot(x, d, transpose_a=True), 'd', given=[tall], d=head)
    trained(sparse.dot(x, d, True, forward_stype='row_sparse'), 'd', given=[tall], d=head)
    trained(w + v, given=[tall])
    trained(w + v, 'add', 2, given=[tall])
    trained(w * v, given=[tall])
    trained(w + d, given=[tall])
    trained(w * 2, given=[tall])
    trained(x * 2, given=[wide])
    trained(x * 2, given=[csr(mx, seed=8)])
    trained(w * 2, given=[rows(mx, at=(1, 4))])
    trained(sparse.square(w), given=[tall])
    trained(sparse.square(w), given=[rows(mx, at=(1, 2))])
    trained(sparse.square(x), given=[wide])
    trained(sparse.abs(w), 'add', 2, given=[tall])
    trained(sym.identity(w), given=[tall])
    trained(sparse.make_loss(w))
    trained(sparse.make_loss(sparse.square(w)))
    trained(sparse.make_loss(sparse.dot(x, w)), 'w')
    trained(sym.Group([w, sparse.dot(x, w)]), 'w', given=[[tall, head]])
    trained(sym.Group([sparse.dot(x, w), sparse.dot(y, w)]), 'w', given=[[head, head]])
    trained(sym.Group([sparse.dot(x, w), sparse.square(w)]), 'w', given=[[head, tall]])
    trained(lengths, given=[tall[:, :1]])
    trained(lengths, 'add', 2, given=[tall[:, :1]])
    trained(lengths, given=[rows(mx, (6, 1))])
    trained(sym._internal._square_sum(w, axis=1), given=[tall[:, 0]])
    trained(sym._internal._square_sum(w, axis=0), given=[tall[0]])
    trained(sparse.dot(sparse.square(x), lengths), 'w', given=[head[:, :1]])
    trained(sparse.dot(sparse.square(x), lengths), 'w', given=[head[:, :1]], w=full)
    trained(sparse.cast_storage(d, stype='row_sparse'), given=[tall])
    trained(sparse.cast_storage(w, stype='default'), given=[tall])
    trained(sparse.retain(w, sym.var('ids')), 'w', given=[tall], ids=ids)
    trained(sparse.retain(w, sym.var('ids')), 'null', ids=ids)
    embedded(w, 'w', sparse_grad=True)
    embedded(w, 'w')
    embedded(d, 'd', sparse_grad=True)
    embedded(d, 'd', 'add', 2, sparse_grad=True)
    embedded(d, 'd', 'add', 2)
    trained(sparse.LinearRegressionOutput(d, sym.var('z')), 'd', z=labels)
    trained(sparse.LogisticRegressionOutput(d, sym.var('z')), 'd', z=labels)
    trained(sparse.MAERegressionOutput(d, sym.var('z')), 'd', z=labels)
    trained(sparse.LogisticRegressionOutput(sparse.dot(x, w), sym.var('z')), 'w', z=head)
    trained(sym.SoftmaxOutput(sparse.dot(x, w), sym.var('z')), 'w', z=head[:, 0] > 0)
    trained(sym.broadcast_add(sparse.dot(x, w), sym.var('b')), 'w b', given=[head], b=head[:1])
    trained(sym.FullyConnected(x, d, no_bias=True, num_hidden=3), 'null', d=matrix)
    trained(sym.FullyConnected(x, d, no_bias=True, num_hidden=3), 'd', given=[head], d=matrix)
    trained(sym.tanh(x), given=[wide])
    trained(sym.exp(x), given=[wide])
    trained(sym.exp(w), given=[tall])
    trained(sym.transpose(w), given=[tall.T])
    trained(sparse.sum(x, axis=1), given=[wide[:, 0]])
    trained(sparse.sum(w, axis=1), given=[tall[:, 0]])
    trained(sparse.norm(w), given=[mx.nd.array([2])])
    trained(sparse.concat(x, y, dim=0), 'null')
    """,
    prefix="trained ",
)


def _bound(mx):
    """Arrays of every storage type for w of dot(x, w), and for its gradient."""
    sym, nd = mx.sym, mx.nd
    symbol = sym.sparse.dot(sym.var("x"), sym.var("w"))
    weight = {"row_sparse": rows(mx, at=range(6)), "some": rows(mx)}
    weight["default"] = weight["row_sparse"].tostype("default")
    head = nd.array(data((4, 3), seed=9))

    def grad(stype):
        if stype == "old":  # with rows in it
            return rows(mx, at=(0, 1), seed=6)
        return nd.zeros((6, 3), stype=stype)

    def trained(w, g, req="write", x=None, times=1):
        x = csr(mx) if x is None else x
        executor = symbol.bind(
            mx.cpu(), {"x": x, "w": weight[w]}, {"w": grad(g)}, {"w": req, "x": "null"}
        )
        for _ in range(times):
            executor.forward(is_train=True)
            executor.backward(head)
        return [executor.outputs, executor.grad_dict["w"]]

    def predicted(**arrays):
        return symbol.bind(mx.cpu(), arrays).forward()

    dense = csr(mx).tostype("default")
    return {**locals(), "csr": csr}


values(
    __name__,
    _bound,
    """
    trained('row_sparse', 'row_sparse')
    trained('some', 'row_sparse')
    trained('some', 'old')
    trained('some', 'old', 'add')
    trained('some', 'row_sparse', 'add', times=2)
    trained('row_sparse', 'default')
    trained('some', 'default', 'add', times=2)
    trained('default', 'row_sparse')
    trained('default', 'default')
    trained('default', 'default', 'add', times=2)
    trained('default', 'default', x=dense)
    trained('default', 'row_sparse', x=dense)
    trained('row_sparse', 'row_sparse', x=dense)
    trained('row_sparse', 'default', x=dense)
    predicted(x=csr(mx), w=weight['some'])
    predicted(x=csr(mx), w=weight['default'])
    predicted(x=dense, w=weight['some'])
    predicted(x=dense, w=weight['default'])
    symbol.eval(x=csr(mx), w=weight['some'])
    symbol.bind(mx.cpu(), [csr(mx), weight['some']], [csr(mx), None]).grad_arrays
    """,
    prefix="bind ",
)


@case
def names(mx):
    return {name: hasattr(mx.sym.sparse, name) for name in NAMES}


@case
def data_of_other_sizes(mx):
    """csr data with more and with fewer elements, into one executor."""
    x, w = mx.sym.var("x", stype="csr"), mx.sym.var("w", stype="row_sparse")
    executor = mx.sym.make_loss(mx.sym.sparse.dot(x, w)).simple_bind(mx.cpu(), x=(4, 6), w=(6, 3))
    rows(mx).copyto(executor.arg_dict["w"])
    seen = []
    for seed in range(3):
        csr(mx, seed=seed).copyto(executor.arg_dict["x"])
        executor.forward(is_train=True)
        executor.backward()
        seen.append([executor.outputs[0].copy(), executor.grad_dict["w"].copy()])
    mx.nd.sparse.zeros("csr", (4, 6)).copyto(executor.arg_dict["x"])
    executor.forward(is_train=True)
    executor.backward()
    return [seen, executor.outputs, executor.grad_dict["w"]]


@case
def forward_is_given_arrays(mx):
    x, w = mx.sym.var("x", stype="csr"), mx.sym.var("w", stype="row_sparse")
    executor = mx.sym.sparse.dot(x, w).simple_bind(mx.cpu(), x=(4, 6), w=(6, 3))
    results = [executor.forward(x=csr(mx), w=rows(mx))[0].copy()]
    results.append(attempt(lambda: executor.forward(x=csr(mx).tostype("default"))[0].asnumpy()))
    results.append(attempt(lambda: executor.forward(x=csr(mx).asnumpy())[0].asnumpy()))
    return results


@case
def parameters_are_copied(mx):
    x, w = mx.sym.var("x", stype="csr"), mx.sym.var("w", stype="row_sparse")
    executor = mx.sym.sparse.dot(x, w).simple_bind(mx.cpu(), x=(4, 6), w=(6, 3))
    executor.copy_params_from({"w": rows(mx), "x": csr(mx)})
    first = [executor.arg_dict["w"].copy(), executor.forward()[0].copy()]
    executor.copy_params_from({"w": mx.nd.array(data((6, 3), seed=4))})
    return [first, executor.arg_dict["w"], executor.forward()[0]]


@case
def an_executor_takes_other_shapes(mx):
    x, w = mx.sym.var("x", stype="csr"), mx.sym.var("w", stype="row_sparse")
    executor = mx.sym.sparse.dot(x, w).simple_bind(mx.cpu(), x=(4, 6), w=(6, 3))
    rows(mx).copyto(executor.arg_dict["w"])
    other = executor.reshape(x=(2, 6), allow_up_sizing=True)
    csr(mx, (2, 6)).copyto(other.arg_dict["x"])
    return [other.forward(), other.arg_dict["x"].stype, other.arg_dict["w"].stype]


@case
def a_cached_op_of_sparse_arrays(mx):
    x, w = mx.sym.var("x"), mx.sym.var("w")
    op = mx.nd.CachedOp(mx.sym.Group([mx.sym.sparse.dot(x, w), w * 2]))
    weight = rows(mx)
    weight.attach_grad(stype="row_sparse")
    with mx.autograd.record():
        out, twice = op(csr(mx), weight)
    out.backward(mx.nd.array(data((4, 3), seed=9)))
    return [out, twice, weight.grad]


@case
def files_keep_storage_types(mx):
    x, w = mx.sym.var("x", stype="csr"), mx.sym.var("w", stype="row_sparse", lr_mult=2)
    symbol = mx.sym.sparse.dot(x, w, name="dot")
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "net.json")
        symbol.save(path)
        with open(path) as file:
            text = file.read()
        loaded = mx.sym.load(path)
    executor = loaded.simple_bind(mx.cpu(), x=(4, 6), w=(6, 3))
    return [
        text,
        loaded.tojson() == text,
        executor.arg_dict["w"].stype,
        executor.arg_dict["x"].stype,
    ]
