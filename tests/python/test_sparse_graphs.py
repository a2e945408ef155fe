"""Graphs, hybrid blocks and executors with sparse arrays do what the same calls do."""

import numpy as np
import pytest

import mxtape as mx
from mxtape import autograd, gluon, nd, sym

FORMS = ("default", "row_sparse", "csr")
A = np.array([[0, 1, 0, 2], [0, 0, 0, 0], [3, 0, 4, 0]], "float32")
W = np.arange(12, dtype="float32").reshape(4, 3) / 4 - 1
TABLE = np.arange(16, dtype="float32").reshape(8, 2) / 8
IDS = np.array([[1, 5, 1], [3, 5, 5]], "float32")


def array(values, form="default"):
    return nd.array(values, dtype=values.dtype).tostype(form)


def long_chain(F, x, w):
    """Calls that a dense graph compiles, on both sides of calls that know sparse arrays."""
    y = F.dot(F.square(x) * 2, w)
    y = F.tanh(F.sin(y) * 2 + F.exp(-y))
    return y, F.square(F.cast_storage(y, "row_sparse")), x * 3


def casts_inside(F, x, w):
    """All that comes in may be dense."""
    s = F.cast_storage(x, "csr")
    y = F.dot(F.sin(s) * 2 + s, w)
    return F.sin(y) * F.cos(y), F.cast_storage(F.square(w), "row_sparse")


def no_kernels(F, x, w):
    """What goes through dense arrays."""
    return F.softmax(x), F.transpose(F.cos(x) + 1), F.broadcast_add(w, F.sum(w, axis=0, keepdims=1))


FUNCTIONS = (long_chain, casts_inside, no_kernels)


def outcome(call, forms, grad_forms, second):
    """Values, storage types and gradients; of the second order too."""
    arrays = [array(v, f) for v, f in zip((A, W), forms)]
    for x, form in zip(arrays, grad_forms):
        x.attach_grad(stype=form)
    with autograd.record():
        outputs = call(*arrays)
        total = sum((y * y).sum() for y in outputs)
        if second:
            grads = autograd.grad(total, arrays, create_graph=True)
            total = sum((g * g).sum() for g in grads)
    total.backward()
    return [(y.stype, y.asnumpy()) for y in outputs] + [
        (x.grad.stype, x.grad.asnumpy()) for x in arrays
    ]


def same(found, expected):
    assert [stype for stype, _ in found] == [stype for stype, _ in expected]
    for (_, a), (_, b) in zip(found, expected):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-5)


@pytest.mark.parametrize("second", [False, True])
@pytest.mark.parametrize("function", FUNCTIONS)
def test_cached_op(function, second):
    """One op is called with every mix of storage types in turn, more than once."""
    symbol = sym.Group(list(function(sym, sym.var("x"), sym.var("w"))))
    op = nd.CachedOp(symbol)
    order = symbol.list_inputs()

    def replayed(x, w):
        return op(*[{"x": x, "w": w}[name] for name in order])

    def eager(x, w):
        return function(nd, x, w)

    for _ in range(3):
        for forms in (
            ("default", "default"),
            ("csr", "default"),
            ("row_sparse", "default"),
            ("csr", "row_sparse"),
        ):
            for grad_forms in (("default", "row_sparse"), (None, "default")):
                same(
                    outcome(replayed, forms, grad_forms, second),
                    outcome(eager, forms, grad_forms, second),
                )


def test_cached_op_into_given_arrays():
    symbol = sym.square(sym.var("x"))
    op = nd.CachedOp(symbol)
    for form in ("csr", "row_sparse"):
        out = nd.sparse.zeros(form, A.shape)
        op(array(A, form), out=out)
        assert out.stype == form
        np.testing.assert_array_equal(out.asnumpy(), A * A)


def test_cached_op_without_recording():
    symbol = sym.Group(list(long_chain(sym, sym.var("x"), sym.var("w"))))
    op = nd.CachedOp(symbol)
    order = symbol.list_inputs()
    for form in ("default", "csr", "default", "row_sparse"):
        given = {"x": array(A, form), "w": array(W)}
        outputs = op(*[given[name] for name in order])
        for y, want in zip(outputs, long_chain(nd, given["x"], given["w"])):
            assert y.stype == want.stype
            np.testing.assert_allclose(y.asnumpy(), want.asnumpy(), rtol=1e-6)


class Block(gluon.HybridBlock):
    def __init__(self, function, **options):
        super().__init__()
        self.function = function
        with self.name_scope():
            self.weight = self.params.get("weight", shape=W.shape, **options)

    def hybrid_forward(self, F, x, weight):
        return self.function(F, x, weight)


@pytest.mark.parametrize("options", [{}, {"static_alloc": True, "static_shape": True}])
@pytest.mark.parametrize("function", FUNCTIONS)
def test_hybrid_blocks(function, options):
    found = []
    for hybrid in (False, True):
        block = Block(function)
        block.initialize()
        block.weight.set_data(nd.array(W))
        if hybrid:
            block.hybridize(**options)
        for form in ("csr", "default", "row_sparse", "csr", "csr"):
            x = array(A, form)
            x.attach_grad(stype="default")
            with autograd.record():
                outputs = block(x)
                total = sum((y * y).sum() for y in outputs)
            total.backward()
            found.append(
                [(y.stype, y.asnumpy()) for y in outputs]
                + [("grad", g.asnumpy()) for g in (x.grad, block.weight.grad())]
            )
    half = len(found) // 2
    for a, b in zip(found[:half], found[half:]):
        same(a, b)


@pytest.mark.parametrize("grad_form", FORMS)
@pytest.mark.parametrize("form", FORMS)
def test_executors(form, grad_form):
    """With every storage type of an argument and of a gradient, written, added, and again."""
    outputs = long_chain(sym, sym.var("x"), sym.var("w"))
    symbol = sym.Group([sym.make_loss(outputs[0]), outputs[1], outputs[2]])
    heads = [nd.ones((3, 3)), nd.array(W[:3]), nd.array(A + 1)]
    for req in ("write", "add"):
        args = {"x": array(A, form), "w": array(W)}
        grads = {"x": array(np.ones_like(A), grad_form), "w": array(np.ones_like(W), grad_form)}
        executor = symbol.bind(mx.cpu(), args, grads, grad_req=req)
        x, w = array(A, form), array(W)
        x.attach_grad("add", stype="default")
        w.attach_grad("add")
        for step in range(2):
            outs = executor.forward(is_train=True)
            executor.backward(heads)
            if req == "write":
                x.attach_grad("add", stype="default")
                w.attach_grad("add")
            with autograd.record():
                expected = long_chain(nd, x, w)
            autograd.backward(list(expected), heads)
            for y, want in zip(outs, expected):
                assert y.stype == want.stype
                np.testing.assert_allclose(y.asnumpy(), want.asnumpy(), rtol=1e-6)
            for name, variable in (("x", x), ("w", w)):
                grad = executor.grad_dict[name]
                assert grad.stype == grad_form
                np.testing.assert_allclose(
                    grad.asnumpy(), variable.grad.asnumpy() + (req == "add"), rtol=2e-5, atol=1e-6
                )
            # Other values in the same arrays.
            for target in (args["x"], x):
                nd.identity(array(A * (2 + step), form), out=target)


def test_an_executor_of_a_lookup():
    ids, w = sym.var("ids"), sym.var("w")
    y = sym.Embedding(ids, w, input_dim=8, output_dim=2, sparse_grad=True)
    grads = {"w": nd.sparse.zeros("row_sparse", TABLE.shape)}
    executor = y.bind(
        mx.cpu(),
        {"ids": nd.array(IDS), "w": nd.array(TABLE)},
        grads,
        grad_req={"ids": "null", "w": "write"},
    )
    for values, rows in ((IDS, [1, 3, 5]), (IDS * 0 + 7, [7])):
        out = executor.forward(is_train=True, ids=nd.array(values))[0]
        executor.backward(nd.ones(out.shape))
        assert executor.grad_dict["w"].indices.asnumpy().tolist() == rows


def test_a_gradient_that_does_not_arrive():
    """An argument on which no output depends: zeros, in the gradient's storage type."""
    x, w = sym.var("x"), sym.var("w")
    symbol = sym.Group([sym.make_loss(x * 2), sym.BlockGrad(w)])
    grads = {k: array(np.ones_like(v), "row_sparse") for k, v in (("x", A), ("w", W))}
    executor = symbol.bind(mx.cpu(), {"x": nd.array(A), "w": nd.array(W)}, grads)
    executor.forward(is_train=True)
    executor.backward()
    assert executor.grad_dict["w"].indices.shape == (0,)
    np.testing.assert_array_equal(executor.grad_dict["x"].asnumpy(), np.full_like(A, 2))
