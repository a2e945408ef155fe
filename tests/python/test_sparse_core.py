"""The engine's part of sparse arrays: storage, calls, what goes through dense arrays."""

import gc
import sys
import warnings

import numpy as np
import pytest

import mxtape as mx
from mxtape import autograd, nd
from mxtape.base import MXNetError, StaleArrayWarning

VALUES = np.array([[0, 1.5, 0], [0, 0, 0], [-2, 0, 4]], dtype="float32")


@pytest.fixture(params=["csr", "row_sparse"])
def stype(request):
    return request.param


def sparse(stype, values=VALUES):
    return nd.array(values, dtype=values.dtype).tostype(stype)


def test_parts():
    csr, rows = sparse("csr"), sparse("row_sparse")
    assert csr.data.asnumpy().tolist() == [1.5, -2, 4]
    assert csr.indices.asnumpy().tolist() == [1, 0, 2]
    assert csr.indptr.asnumpy().tolist() == [0, 1, 1, 3]
    assert rows.indices.asnumpy().tolist() == [0, 2]
    assert rows.data.asnumpy().tolist() == [[0, 1.5, 0], [-2, 0, 4]]
    assert type(csr).__name__ == "CSRNDArray"
    assert type(rows).__name__ == "RowSparseNDArray"


@pytest.mark.parametrize(
    "dtype", ["float16", "float32", "float64", "uint8", "int8", "int32", "int64"]
)
def test_round_trips(stype, dtype):
    rng = np.random.RandomState(3)
    for rows, columns in ((0, 3), (3, 0), (1, 1), (70, 33), (600, 257)):
        values = (rng.randint(0, 9, (rows, columns)) * (rng.rand(rows, columns) < 0.2)).astype(
            dtype
        )
        values[rows // 3 : rows // 2] = 0
        x = sparse(stype, values)
        assert x.stype == stype
        assert x.dtype == values.dtype
        assert x.shape == values.shape
        assert np.array_equal(x.asnumpy(), values)
        other = x.tostype("csr" if stype == "row_sparse" else "row_sparse")
        assert np.array_equal(other.tostype("default").asnumpy(), values)


def test_rows_of_more_dimensions():
    values = np.zeros((5, 2, 3), "float32")
    values[3, 1, 2] = 7
    x = sparse("row_sparse", values)
    assert x.data.shape == (1, 2, 3)
    assert np.array_equal(x.asnumpy(), values)
    with pytest.raises(ValueError, match="csr array has 2 dimensions"):
        x.tostype("csr")


def test_other_values_than_numbers():
    values = np.array([[np.nan, -0.0], [0, np.inf]], "float32")
    csr = sparse("csr", values)
    assert csr.indices.asnumpy().tolist() == [0, 1]
    assert np.array_equal(csr.asnumpy(), values, equal_nan=True)


def test_parts_that_are_asked_for_are_copies(stype):
    x = sparse(stype)
    x.data[:] = 9
    x.indices[:] = 0
    assert np.array_equal(x.asnumpy(), VALUES)


def test_equal_columns_count_as_their_sum():
    x = nd.sparse.csr_matrix(([1.0, 2, 4, 8], [2, 0, 2, 1], [0, 3, 4]), shape=(2, 3))
    assert x.asnumpy().tolist() == [[2, 0, 5], [0, 8, 0]]


@pytest.mark.parametrize(
    ("parts", "match"),
    [
        (([1.0], [3], [0, 1]), r"indices\[0\] is 3, the array has 3 columns"),
        (([1.0], [-1], [0, 1]), r"indices\[0\] is -1"),
        (([1.0], [0], [0, 2]), "must end with the number of elements"),
        (([1.0], [0], [1, 1]), "must begin with 0"),
        (([1.0], [0], [0, 0, 1]), "indptr must be a vector of 2"),
        (([1.0, 2.0], [0], [0, 1]), r"data must have shape \(1,\)"),
    ],
)
def test_wrong_parts_of_csr(parts, match):
    with pytest.raises((MXNetError, ValueError), match=match):
        nd.sparse.csr_matrix(parts, shape=(1, 3))


def test_wrong_parts_of_row_sparse():
    for indices, match in (([1, 1], "ascend"), ([0, 3], "3 rows")):
        with pytest.raises(MXNetError, match=match):
            nd.sparse.row_sparse_array((np.ones((2, 2)), indices), shape=(3, 2))


def test_any_operator_is_right(stype):
    x, dense = sparse(stype), nd.array(VALUES)
    for f in (
        lambda x: nd.softmax(x),
        lambda x: x.reshape((9,)),
        lambda x: nd.concat(x, dense, dim=1),
        lambda x: nd.topk(x, k=2),
        lambda x: nd.batch_dot(x.expand_dims(0), dense.expand_dims(0)),
        lambda x: x.T,
    ):
        assert np.array_equal(f(x).asnumpy(), f(dense).asnumpy())


def test_the_gradient_goes_through(stype):
    x, dense = sparse(stype), nd.array(VALUES)
    x.attach_grad(stype="default")
    dense.attach_grad()
    for variable in (x, dense):
        with autograd.record():
            y = (nd.softmax(variable) ** 2).sum()
        y.backward()
    assert x.grad.stype == "default"
    assert np.array_equal(x.grad.asnumpy(), dense.grad.asnumpy())


def test_a_sparse_buffer_takes_what_is_there(stype):
    x = nd.array(VALUES)
    x.attach_grad(stype=stype)
    assert x.grad.stype == stype
    assert not x.grad.asnumpy().any()
    for grad_req, times in (("write", 1), ("add", 3)):
        x.attach_grad(grad_req, stype=stype)
        for _ in range(3):
            with autograd.record():
                y = (x * x).sum()
            y.backward()
        assert x.grad.stype == stype
        assert np.array_equal(x.grad.asnumpy(), VALUES * 2 * times)


def test_out(stype):
    x, out = sparse(stype), sparse(stype, np.ones((3, 3), "float32"))
    nd.elemwise_add(nd.array(VALUES), nd.array(VALUES), out=out)
    assert out.stype == stype
    assert np.array_equal(out.asnumpy(), VALUES * 2)
    with pytest.raises(MXNetError, match="out has shape"):
        nd.elemwise_add(x, x, out=sparse(stype, np.ones((2, 2), "float32")))
    dense = nd.ones((3, 3))
    nd.cast_storage(x, "default", out=dense)
    assert np.array_equal(dense.asnumpy(), VALUES)


def test_a_copy_does_not_follow(stype):
    x = sparse(stype)
    y = x.copy()
    nd.elemwise_add(x, x, out=x)
    assert np.array_equal(x.asnumpy(), VALUES * 2)
    assert np.array_equal(y.asnumpy(), VALUES)


def test_what_needs_memory_says_so(stype):
    with pytest.raises(MXNetError, match=f"{stype}; convert it with tostype"):
        nd.to_dlpack_for_read(sparse(stype))


def test_fallback_is_told_when_asked(stype, monkeypatch):
    x = sparse(stype)
    monkeypatch.setenv("MXNET_STORAGE_FALLBACK_LOG_VERBOSE", "1")
    with pytest.warns(RuntimeWarning, match=f"softmax of storage types {stype}"):
        nd.softmax(x)
    monkeypatch.setenv("MXNET_STORAGE_FALLBACK_LOG_VERBOSE", "0")
    nd.softmax(x)


def test_nothing_leaks(stype):
    def use():
        x = sparse(stype)
        x.attach_grad()
        with autograd.record():
            y = nd.softmax(x).sum()
        y.backward()
        return type(x)

    kind = use()
    gc.collect()
    nd.waitall()
    before = mx.runtime.memory_stats()["bytes_in_use"], sys.getrefcount(kind)
    for _ in range(50):
        use()
    gc.collect()
    assert (mx.runtime.memory_stats()["bytes_in_use"], sys.getrefcount(kind)) == before


def test_results_that_a_csr_array_cannot_hold_are_refused():
    x = sparse("csr")
    for operator in (nd.broadcast_mul, nd.broadcast_div):
        with pytest.raises(MXNetError, match=r"\(2, 3, 3\), a csr array has 2 dimensions"):
            operator(x, nd.ones((2, 3, 3)))


def test_results_whose_size_is_no_number_are_refused():
    with pytest.raises(MXNetError, match=r"dot.*more elements than memory can hold"):
        nd.dot(nd.sparse.zeros("csr", (0, 2**40)), nd.zeros((0, 2**24)), transpose_a=True)
    with pytest.raises(MXNetError, match=r"_backward_take_rows.*negative extent"):
        nd._internal._backward_take_rows(nd.ones((0, 2)), nd.zeros((0,)), shape=(-5, 2))


def test_lookups_of_rows_are_along_axis_0():
    head, indices = nd.ones((2, 2)), nd.array([0, 1])
    with pytest.raises(MXNetError, match="axis must be 0"):
        nd._internal._backward_take_rows(head, indices, shape=(2, 100), axis=1)
    with pytest.raises(MXNetError, match="axis must be 0"):
        nd._internal._take_rows(nd.ones((3, 4)), indices, axis=1)
    with pytest.raises(MXNetError, match="a must have rows"):
        nd._internal._take_rows(nd.ones((1,)).reshape(()), nd.zeros((0,)))


def test_an_operator_without_rows_gets_its_head_in_memory(stype, monkeypatch):
    """Once, and not by each operator that its gradient is made of."""
    x = nd.array(VALUES)
    x.attach_grad()
    with autograd.record():
        y = nd.softmax(x)
    monkeypatch.setenv("MXNET_STORAGE_FALLBACK_LOG_VERBOSE", "1")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        y.backward(sparse(stype))
    p = y.asnumpy()
    expected = p * (VALUES - (p * VALUES).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(x.grad.asnumpy(), expected, rtol=1e-5, atol=1e-6)


def test_an_update_of_some_rows_is_a_write():
    w = nd.array(VALUES)
    w.attach_grad()
    with autograd.record():
        y = (w * w).sum()
    nd.sgd_update(w, sparse("row_sparse"), lr=1, out=w)
    with pytest.warns(StaleArrayWarning):
        y.backward()
