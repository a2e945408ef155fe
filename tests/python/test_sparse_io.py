"""Csr arrays in iterators and data sets, against the same with dense arrays."""

import numpy as np
import pytest

import mxtape as mx
from mxtape import gluon, io, nd

RANDOM = np.random.RandomState(3)
DENSE = (RANDOM.rand(11, 7) * (RANDOM.rand(11, 7) < 0.3)).astype("float32")


def parts(array):
    return [part.asnumpy().tolist() for part in (array.data, array.indices, array.indptr)]


def write(path, matrix, labels):
    with open(path, "w") as f:
        for label, row in zip(labels, matrix):
            pairs = " ".join(f"{j}:{value!r}" for j, value in enumerate(row) if value)
            f.write(f"{label} {pairs}\n")


@pytest.mark.parametrize("batch_size", [1, 4, 11, 20])
def test_libsvm_batches(tmp_path, batch_size):
    path = tmp_path / "rows.svm"
    write(path, DENSE.tolist(), range(11))
    batches = io.LibSVMIter(data_libsvm=path, data_shape=(7,), batch_size=batch_size)
    expected = io.NDArrayIter(DENSE, np.arange(11), batch_size)
    for batch, other in zip(batches, expected):
        assert batch.data[0].stype == "csr"
        assert parts(batch.data[0]) == parts(other.data[0].tostype("csr"))
        assert batch.label[0].asnumpy().tolist() == other.label[0].asnumpy().tolist()
        assert batch.pad == other.pad


def test_libsvm_of_many_lines(tmp_path):
    """More than are read at once; the line that is wrong is found."""
    path = tmp_path / "rows.svm"
    count = 9000
    lines = [f"{i % 3} {i % 50}:{i} 50:0.5" for i in range(count)]
    path.write_text("\n".join(lines))
    batches = io.LibSVMIter(data_libsvm=path, data_shape=(51,), batch_size=count)
    batch = batches.next()
    data, label = batch.data[0].asnumpy(), batch.label[0].asnumpy()
    assert (data[np.arange(count), np.arange(count) % 50] == np.arange(count)).all()
    assert (data[:, 50] == 0.5).all()
    assert (label == np.arange(count) % 3).all()
    lines[8000] = "1 51:2"
    path.write_text("\n".join(lines))
    with pytest.raises(mx.MXNetError, match="line 8001: position 51 of a row of 51"):
        io.LibSVMIter(data_libsvm=path, data_shape=(51,), batch_size=2)


@pytest.mark.parametrize("last", ["pad", "discard", "roll_over"])
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("batch_size", [2, 3, 11])
def test_batches_of_csr(last, shuffle, batch_size):
    found = []
    for stype in ("default", "csr"):
        np.random.seed(5)  # noqa: NPY002
        batches = io.NDArrayIter(
            nd.array(DENSE).tostype(stype),
            {"y": nd.arange(11), "z": nd.array(DENSE).tostype(stype)},
            batch_size,
            shuffle,
            last,
        )
        rows = []
        for _ in range(3):
            for batch in batches:
                arrays = batch.data + batch.label
                assert [x.stype for x in arrays] == [stype, "default", stype]
                rows.append([batch.pad, *(x.tostype("default").asnumpy().tolist() for x in arrays)])
            batches.reset()
        found.append(rows)
    assert found[0] == found[1]


def test_columns_may_be_more_than_memory(tmp_path):
    path, columns = tmp_path / "rows.svm", 1 << 40
    path.write_text(f"1 3:0.5 {columns - 1}:2\n2 0:1\n")
    batches = io.LibSVMIter(data_libsvm=path, data_shape=(columns,), batch_size=2)
    data = batches.next().data[0]
    assert data.shape == (2, columns)
    assert parts(data) == [[0.5, 2, 1], [3, columns - 1, 0], [0, 2, 3]]
    again = io.NDArrayIter(data, batch_size=1, shuffle=True, last_batch_handle="roll_over")
    assert sorted(batch.data[0].data.shape for batch in again) == [(1,), (2,)]


def test_workers_send_csr():
    def batchify(rows):
        return nd.concat(*rows, dim=0)

    data = gluon.data.ArrayDataset(nd.array(DENSE).tostype("csr"))
    for workers in (0, 1):
        loader = gluon.data.DataLoader(data, 4, batchify_fn=batchify, num_workers=workers)
        batches = list(loader)
        assert [batch.stype for batch in batches] == ["csr"] * 3
        whole = np.concatenate([batch.asnumpy() for batch in batches])
        assert (whole == DENSE).all()


def test_default_batches_are_dense():
    csr = nd.array(DENSE).tostype("csr")
    loader = gluon.data.DataLoader(gluon.data.ArrayDataset(csr, nd.arange(11)), 11)
    found = next(iter(loader))
    assert found[0].asnumpy()[:, 0].tolist() == DENSE.tolist()
    assert found[1].asnumpy().tolist() == list(range(11))
