"""Graphs with sparse arrays: storage types that are inferred, what executors compute with them."""

import numpy as np
import pytest

import mxtape as mx

X, W, D = (4, 6), (6, 3), (6, 3)


def _variables():
    sym = mx.sym
    return {
        "x": sym.var("x", stype="csr"),
        "w": sym.var("w", stype="row_sparse"),
        "v": sym.var("v", stype="row_sparse"),
        "d": sym.var("d"),
        "e": sym.var("e"),
        "ids": sym.var("ids"),
    }


def _arrays():
    rng = np.random.RandomState(0)

    def numbers(*shape):
        return rng.uniform(-2, 2, shape).round(2)

    def some_rows(shape, rows):
        values = np.zeros(shape)
        values[rows] = numbers(len(rows), *shape[1:])
        return values

    return {
        "x": numbers(*X) * (rng.random_sample(X) < 0.5),
        "w": some_rows(W, [0, 2, 3, 5]),
        "v": some_rows(W, [1, 2]),
        "d": numbers(*D),
        "e": numbers(*X),
        "ids": np.array([3.0, 0, 3]),
    }


EXPRESSIONS = """
sparse.dot(x, w)
sparse.dot(x, d)
sparse.dot(x, e, transpose_a=True)
sparse.dot(e, w)
w + v
w - v
w * v
w * d
w + d
x + e
x * e
w * 2
x / 2
w + 1
2 - x
-w
sparse.square(w)
sparse.square(x)
sparse.abs(x)
sparse.square(sparse.abs(w))
sparse.tanh(x)
sparse.exp(w)
sparse.cast_storage(d, stype='row_sparse')
sparse.cast_storage(d * 2, stype='csr')
sparse.cast_storage(w, stype='default')
sparse.dot(x, w + v)
sparse.dot(x, w * 2)
sparse.dot(x, sparse.square(w))
sparse.dot(sparse.cast_storage(e, stype='csr'), d)
sparse.add_n(w, v)
sparse.add_n(w, v, d)
sparse.sum(x, axis=1)
sparse.sum(w)
sparse.norm(w)
sparse.concat(x, x * 2, dim=0)
sparse.slice(x, begin=(1,), end=(3,))
sparse.clip(x, -1, 1)
sparse.where(x, e, e * 2)
sparse.Embedding(ids, w, input_dim=6, output_dim=3, sparse_grad=True)
sparse.Embedding(ids, d, input_dim=6, output_dim=3, sparse_grad=True)
sparse.Embedding(ids, w, input_dim=6, output_dim=3)
sparse.FullyConnected(x, e, no_bias=True, num_hidden=4)
sym.transpose(w)
sym.reshape(x, shape=(2, 12))
sym.softmax(x)
sym.broadcast_add(sparse.dot(x, w), sym.sum(d, axis=0, keepdims=True))
sym.Group([sparse.dot(x, w), w, w * d])
sym.Group([sparse.dot(x, w), sparse.dot(x * 2, w)])
sym.split(x, num_outputs=2, axis=1)
""".strip().splitlines()


def _composed(text):
    symbol = eval(text, {"sym": mx.sym, "sparse": mx.sym.sparse, **_variables()})
    arrays = {name: _arrays()[name] for name in symbol.list_arguments()}
    return symbol, arrays


def _trained(symbol, arrays, stypes):
    """The executor after a forward and a backward, in float64; the heads are 1, 2, 3, ..."""
    requests = {name: "null" if name == "ids" else "write" for name in arrays}
    executor = symbol.simple_bind(
        mx.cpu(),
        requests,
        dict.fromkeys(arrays, "float64"),
        stypes,
        **{name: value.shape for name, value in arrays.items()},
    )
    for name, value in arrays.items():
        executor.arg_dict[name][:] = mx.nd.array(value, dtype="float64")
    outputs = executor.forward(is_train=True)
    heads = [mx.nd.arange(1, y.size + 1, dtype="float64").reshape(y.shape or (1,)) for y in outputs]
    executor.backward(heads)
    return executor


def _inferred(symbol):
    arguments, outputs, _ = symbol.infer_storage_type()
    return dict(zip(symbol.list_arguments(), arguments)), outputs


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_a_graph_computes_what_it_computes_with_dense_arrays(text):
    symbol, arrays = _composed(text)
    types, outputs = _inferred(symbol)
    sparse = _trained(symbol, arrays, {})
    dense = _trained(symbol, arrays, dict.fromkeys(arrays, "default"))
    assert {name: array.stype for name, array in sparse.arg_dict.items()} == types
    assert [array.stype for array in sparse.outputs] == outputs
    for got, want in zip(sparse.outputs, dense.outputs):
        np.testing.assert_allclose(got.asnumpy(), want.asnumpy(), rtol=1e-12, atol=1e-14)
    for name, want in dense.grad_dict.items():
        if want is not None:
            got = sparse.grad_dict[name].asnumpy()
            np.testing.assert_allclose(got, want.asnumpy(), rtol=1e-12, atol=1e-14, err_msg=name)


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_outputs_are_stored_as_those_of_calls_on_arrays(text):
    symbol, arrays = _composed(text)
    types, outputs = _inferred(symbol)
    given = {k: mx.nd.array(v, dtype="float64").tostype(types[k]) for k, v in arrays.items()}
    made = eval(text, {"sym": _Calls, "sparse": mx.nd, **given})
    made = made if isinstance(made, (list, tuple)) else [made]
    assert [y.stype for y in made] == outputs


class _Calls:
    """``mx.nd`` with Group."""

    Group = staticmethod(list)

    def __getattr__(self, name):
        return getattr(mx.nd, name)


_Calls = _Calls()


def test_storage_types_are_given_or_written_on_the_variable():
    x, w = mx.sym.var("x", stype="csr"), mx.sym.var("w")
    symbol = mx.sym.Group([x * 2, w * 2])
    assert symbol.infer_storage_type() == (["csr", "default"], ["csr", "default"], [])
    given = symbol.infer_storage_type(w="row_sparse", x="default")
    assert given == (["default", "row_sparse"], ["default", "row_sparse"], [])
    assert symbol.infer_storage_type(None, "csr")[1] == ["csr", "csr"]
    executor = symbol.simple_bind(mx.cpu(), stype_dict={"w": "csr"}, x=(2, 2), w=(3, 3))
    assert [array.stype for array in executor.arg_arrays] == ["csr", "csr"]
    again = mx.sym.load_json(symbol.tojson())
    assert again.infer_storage_type() == symbol.infer_storage_type()


def test_storage_types_that_are_refused():
    x = mx.sym.var("x", stype="csr")
    with pytest.raises(KeyError, match="must be one of 'default', 'row_sparse', 'csr', got 'foo'"):
        mx.sym.var("x", stype="foo")
    with pytest.raises(ValueError, match=r"'x' must be one of .* got 'foo'"):
        x.infer_storage_type(x="foo")
    with pytest.raises(mx.MXNetError, match="no argument is called 'y'; there are x"):
        x.infer_storage_type(y="csr")
    with pytest.raises(ValueError, match="got 'foo'"):
        x.simple_bind(mx.cpu(), stype_dict={"x": "foo"}, x=(2, 2))
    with pytest.raises(mx.MXNetError, match=r"must be 0 .*, 1 .* or 2 .*, got '7'"):
        mx.sym.var("x", __storage_type__=7).infer_storage_type()
    with pytest.raises(ValueError, match="the shape must have 2 dimensions"):
        x.simple_bind(mx.cpu(), x=(2, 2, 2))


def test_a_shared_argument_of_another_storage_type_is_refused():
    w = mx.sym.var("w")
    first = w.simple_bind(mx.cpu(), w=(2, 2))
    with pytest.raises(mx.MXNetError, match="storage type 'row_sparse' here"):
        w.simple_bind(
            mx.cpu(),
            stype_dict={"w": "row_sparse"},
            shared_arg_names=["w"],
            shared_exec=first,
            w=(2, 2),
        )
    again = w.simple_bind(mx.cpu(), shared_arg_names=["w"], shared_exec=first, w=(2, 2))
    assert again.arg_dict["w"] is first.arg_dict["w"]


@pytest.mark.parametrize("stype", ["default", "row_sparse"])
@pytest.mark.parametrize("req", ["write", "add"])
def test_gradients_go_into_arrays_of_any_storage_type(stype, req):
    symbol = mx.sym.sparse.dot(mx.sym.var("x"), mx.sym.var("w"))
    arrays = _arrays()
    x = mx.nd.array(arrays["x"], dtype="float64").tostype("csr")
    w = mx.nd.array(arrays["w"], dtype="float64").tostype("row_sparse")
    before = mx.nd.array(arrays["v"], dtype="float64")
    grad = before.tostype(stype)
    executor = symbol.bind(mx.cpu(), [x, w], [None, grad], req)
    head = np.arange(12.0).reshape((4, 3))
    for _ in range(2):
        executor.forward(is_train=True)
        executor.backward(mx.nd.array(head, dtype="float64"))
    one = arrays["x"].T @ head
    want = one if req == "write" else arrays["v"] + 2 * one
    assert grad.stype == stype
    assert executor.grad_dict["w"] is grad
    np.testing.assert_allclose(grad.asnumpy(), want, rtol=1e-12, atol=1e-14)


def test_what_no_output_depends_on_gets_zeros():
    w, v = mx.sym.var("w", stype="row_sparse"), mx.sym.var("v", stype="row_sparse")
    symbol = mx.sym.Group([w * 2, mx.sym.BlockGrad(v)])
    executor = symbol.simple_bind(mx.cpu(), w=(3, 2), v=(3, 2))
    executor.grad_dict["v"][:] = mx.nd.ones((3, 2))
    executor.forward(is_train=True)
    executor.backward([mx.nd.ones((3, 2)), mx.nd.ones((3, 2))])
    assert executor.grad_dict["v"].stype == "row_sparse"
    assert executor.grad_dict["v"].asnumpy().tolist() == np.zeros((3, 2)).tolist()


def test_outputs_are_the_same_arrays_after_each_forward():
    w = mx.sym.var("w", stype="row_sparse")
    executor = mx.sym.Group([w, w * 2]).simple_bind(mx.cpu(), w=(3, 2))
    first = executor.forward()
    kept = [first[0], first[1]]
    executor.arg_dict["w"][:] = mx.nd.array([[0, 0], [1, 2], [0, 0]])
    executor.forward()
    assert kept[1].asnumpy().tolist() == [[0, 0], [2, 4], [0, 0]]
    assert kept[1].indices.asnumpy().tolist() == [1]
    assert kept[0].asnumpy().tolist() == [[0, 0], [1, 2], [0, 0]]


def test_an_output_keeps_its_values_when_the_argument_changes():
    """Parts are shared between arrays: a write to one is not seen by the other."""
    w = mx.sym.var("w", stype="row_sparse")
    executor = mx.sym.identity(w).simple_bind(mx.cpu(), w=(2, 2))
    executor.arg_dict["w"][:] = mx.nd.ones((2, 2))
    output = executor.forward()[0]
    executor.arg_dict["w"][:] = mx.nd.zeros((2, 2))
    assert output.asnumpy().tolist() == [[1, 1], [1, 1]]


def test_an_executor_takes_other_shapes():
    x, w = mx.sym.var("x", stype="csr"), mx.sym.var("w", stype="row_sparse")
    executor = mx.sym.sparse.dot(x, w).simple_bind(mx.cpu(), x=X, w=W)
    arrays = _arrays()
    executor.arg_dict["w"][:] = mx.nd.array(arrays["w"])
    for count in (2, 9):
        other = executor.reshape(allow_up_sizing=True, x=(count, 6))
        rows = np.resize(arrays["x"], (count, 6))
        other.arg_dict["x"][:] = mx.nd.array(rows)
        assert other.arg_dict["w"] is executor.arg_dict["w"]
        np.testing.assert_allclose(other.forward()[0].asnumpy(), rows @ arrays["w"], rtol=1e-5)


def test_a_monitor_sees_arrays_as_they_are_stored():
    seen = {}
    x, w = mx.sym.var("x", stype="csr"), mx.sym.var("w", stype="row_sparse")
    symbol = mx.sym.make_loss(mx.sym.sparse.dot(x, mx.sym.identity(w, name="same"), name="dot"))
    executor = symbol.simple_bind(mx.cpu(), x=X, w=W)
    executor.set_monitor_callback(lambda name, array: seen.update({name: array}), True)
    arrays = _arrays()
    for name in ("x", "w"):
        executor.arg_dict[name][:] = mx.nd.array(arrays[name])
    executor.forward(is_train=True)
    assert [seen[k].stype for k in ("x", "w", "same_output")] == ["csr", "row_sparse", "row_sparse"]
    np.testing.assert_allclose(seen["dot_output"].asnumpy(), arrays["x"] @ arrays["w"], rtol=1e-5)


def test_a_cached_op_is_differentiated_twice():
    x = mx.nd.array(_arrays()["x"], dtype="float64").tostype("csr")
    w = mx.nd.array(_arrays()["d"], dtype="float64")
    op = mx.nd.CachedOp(mx.sym.square(mx.sym.sparse.dot(mx.sym.var("x"), mx.sym.var("w"))))
    w.attach_grad()
    with mx.autograd.record():
        y = op(x, w).sum()
        first = mx.autograd.grad(y, [w], create_graph=True)[0]
        z = (first * first).sum()
    z.backward()
    a = _arrays()["x"]
    hessian = 2 * a.T @ a
    np.testing.assert_allclose(first.asnumpy(), hessian @ w.asnumpy(), rtol=1e-12)
    np.testing.assert_allclose(w.grad.asnumpy(), 2 * hessian @ hessian @ w.asnumpy(), rtol=1e-12)


def test_parameters_in_rows_are_not_for_hybrid_blocks():
    x, w = mx.sym.var("x"), mx.sym.var("w", stype="row_sparse")
    with pytest.raises(AssertionError, match="parameter 'w' is 'row_sparse'"):
        mx.gluon.SymbolBlock(mx.sym.sparse.dot(x, w), [x])
    block = mx.gluon.SymbolBlock(mx.sym.sparse.dot(x, mx.sym.var("d", shape=W)), [x])
    block.initialize(mx.init.One())
    got = block(mx.nd.array(_arrays()["x"]).tostype("csr")).asnumpy()
    np.testing.assert_allclose(got, _arrays()["x"] @ np.ones(W), rtol=1e-5)
