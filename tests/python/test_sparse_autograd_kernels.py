"""Gradients through the kernels for sparse arrays: what is saved, and how large it is."""

import warnings

import numpy as np
import pytest

import mxtape as mx
from mxtape import autograd, gluon, nd
from mxtape.base import StaleArrayWarning
from support import output_of
from test_sparse_autograd import IDS, TABLE, A, W, assert_equal, csr, look_up, put, variable


def test_rows_that_no_gradient_has_are_not_there():
    w = variable(TABLE, "row_sparse", "add")
    for ids, rows in (([7, 0, 0], [0, 7]), ([2], [0, 2, 7]), ([0, 5], [0, 2, 5, 7])):
        with autograd.record():
            y = look_up(ids, w)
        y.backward()
        assert w.grad.indices.asnumpy().tolist() == rows
    assert w.grad.data.asnumpy()[:, 0].tolist() == [3, 1, 1, 1]


@pytest.mark.parametrize("form", ["row_sparse", "csr"])
def test_saved_arrays_hooks(form):
    packed = []

    def pack(array):
        packed.append(array.stype)
        return array.asnumpy(), array.stype

    def unpack(kept):
        values, stype = kept
        return nd.array(values, dtype=values.dtype).tostype(stype)

    found = []
    for hooks in (False, True):
        x, w = variable(A, "default", form=form), variable(W, "row_sparse")

        def run(x=x, w=w):
            with autograd.record():
                return nd.square(nd.dot(nd.square(x), w))

        if hooks:
            with autograd.saved_arrays_hooks(pack, unpack):
                y = run()
        else:
            y = run()
        y.backward()
        found.append((x.grad.asnumpy(), w.grad.asnumpy()))
    assert form in packed
    for a, b in zip(*found):
        np.testing.assert_array_equal(a, b)


def test_stale_arrays_are_reported():
    a, w = csr(), variable(W)
    with autograd.record():
        y = nd.dot(a, w)
    put(a, A * 2)
    with pytest.warns(StaleArrayWarning, match="dot"):
        y.backward()
    assert_equal(w.grad, 2 * A.T @ np.ones((3, 3)), "default")
    with autograd.record():
        y = nd.dot(a, w)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        y.backward()


def test_a_hybrid_embedding():
    found = []
    for hybrid in (False, True):
        block = gluon.nn.HybridSequential()
        block.add(gluon.nn.Embedding(8, 2, sparse_grad=True), gluon.nn.Dense(3, in_units=2))
        block.initialize(mx.init.Constant(0.25))
        if hybrid:
            block.hybridize()
        for ids in (IDS, IDS + 1, IDS):
            with autograd.record():
                y = block(nd.array(ids).reshape((6,)))
            y.backward()
            grad = block[0].weight.grad()
            found.append([grad.asnumpy(), y.asnumpy()])
            assert grad.stype == "row_sparse"
            assert grad.indices.asnumpy().tolist() == sorted(set(ids.ravel()))
    for a, b in zip(found[:3], found[3:]):
        for x, y in zip(a, b):
            np.testing.assert_allclose(x, y, rtol=1e-6)


def test_nothing_of_the_dense_size_is_allocated():
    """Lookups, products and gradients over a weight of 160 MB, of which three rows are there."""
    peak = output_of(
        """
        import numpy as np
        import mxtape as mx
        from mxtape import autograd, nd, sym

        N = 10**7
        ids = np.array([3, 10**6, N - 1])
        rows = np.arange(12, dtype="float32").reshape(3, 4)
        columns = [3, N - 1, 10**6, 3]
        csr = nd.sparse.csr_matrix((np.ones(4, "float32"), columns, [0, 2, 3, 4]), (3, N))
        op = nd.CachedOp(sym.dot(sym.var("x"), sym.var("w")))
        for grad_req in ("write", "add"):
            w = nd.sparse.row_sparse_array((rows, ids), shape=(N, 4))
            w.attach_grad(grad_req)
            for _ in range(2):
                with autograd.record():
                    y = nd.Embedding(
                        nd.array(ids[:2]), w, input_dim=N, output_dim=4, sparse_grad=True
                    )
                    z = nd.square(nd.dot(csr, w)).sum() + nd.square(y).sum() + op(csr, w).sum()
                z.backward()
            assert w.grad.indices.asnumpy().tolist() == ids.tolist()
            with autograd.record():
                y = autograd.checkpoint(lambda w: nd.square(nd.dot(csr, w)), w)
            (g,) = autograd.grad(y, [w])
            assert g.stype == "row_sparse"
        grad = nd.sparse.zeros("row_sparse", (N, 4))
        executor = sym.dot(sym.var("x"), sym.var("w")).bind(
            mx.cpu(), {"x": csr, "w": w}, {"w": grad}, {"x": "null", "w": "write"}
        )
        executor.forward(is_train=True)
        executor.backward(nd.ones((3, 4)))
        assert grad.indices.asnumpy().tolist() == ids.tolist()
        print(mx.runtime.memory_stats()["peak_bytes_reserved"])
        """
    )
    assert int(peak) < 1 << 24
