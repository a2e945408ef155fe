"""Gradients through the kernels for sparse arrays: what is saved, and how large it is."""

import warnings

import numpy as np
import pytest

import mxtape as mx
from mxtape import autograd, gluon, nd
from mxtape.base import StaleArrayWarning
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
