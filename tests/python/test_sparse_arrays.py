"""mx.nd.sparse: what conformance cases do not show. Safety, memory, files, SciPy."""

import copy
import gc
import pickle
import struct
import threading

import numpy as np
import pytest

import mxtape as mx
from mxtape import autograd, nd
from mxtape.base import MXNetError
from support import spoiled

S = nd.sparse
MATRIX = np.array([[0, 1, 0], [2, 0, 3], [0, 0, 0], [4, 0, 0]], "float32")
DTYPES = ("float16", "float32", "float64", "uint8", "int8", "int32", "int64", "bool", "bfloat16")


@pytest.fixture(params=["csr", "row_sparse"])
def stype(request):
    return request.param


def make(stype, values=MATRIX):
    return nd.array(values, dtype=values.dtype).tostype(stype)


def random_csr(rng, rows, columns, count, dtype="float32"):
    """Parts of a csr array whose columns neither ascend nor are there only once."""
    ends = np.sort(rng.randint(0, count + 1, rows - 1)) if rows > 1 else np.zeros(0, int)
    indptr = np.concatenate([[0], ends, [count]]).astype("int64")
    data = rng.randint(1, 5, count).astype(dtype)
    return data, rng.randint(0, columns, count), indptr


def dense_of(data, indices, indptr, shape):
    out = np.zeros(shape, data.dtype)
    for i in range(shape[0]):
        np.add.at(out[i], indices[indptr[i] : indptr[i + 1]], data[indptr[i] : indptr[i + 1]])
    return out


def parts(x):
    return [
        np.array(getattr(x, name).asnumpy())
        for name in ("data", "indices", "indptr")[: 2 + (x.stype == "csr")]
    ]


# ---- making


@pytest.mark.parametrize("seed", range(20))
def test_parts_and_coordinates_make_the_same_array(seed):
    rng = np.random.RandomState(seed)
    shape = rows, columns = rng.randint(1, 9), rng.randint(1, 9)
    count = rng.randint(0, 20)
    data, indices, indptr = random_csr(rng, rows, columns, count)
    want = dense_of(data, indices, indptr, shape)
    x = S.csr_matrix((data, indices, indptr), shape=shape)
    assert np.array_equal(x.asnumpy(), want)
    assert [p.tolist() for p in parts(x)] == [data.tolist(), indices.tolist(), indptr.tolist()]

    row = np.repeat(np.arange(rows), np.diff(indptr))
    order = rng.permutation(count)
    y = S.csr_matrix((data[order], (row[order], indices[order])), shape=shape)
    y.check_format()
    assert np.array_equal(y.asnumpy(), want)
    for begin in range(-rows - 1, rows + 2):
        for end in range(-rows - 1, rows + 2):
            assert np.array_equal(x[begin:end].asnumpy(), want[begin:end])


def test_rows_in_any_order_are_sorted():
    rng = np.random.RandomState(1)
    for _ in range(20):
        index = rng.permutation(12)[: rng.randint(1, 12)]
        data = rng.rand(len(index), 2, 3).astype("float32")
        want = np.zeros((12, 2, 3), "float32")
        want[index] = data
        x = S.row_sparse_array((data, index), shape=(12, 2, 3))
        assert x.indices.asnumpy().tolist() == sorted(index)
        assert np.array_equal(x.asnumpy(), want)


def test_what_it_is_made_of_is_copied():
    data, indices, indptr = nd.array([1, 2]), nd.array([0, 1], dtype="int64"), np.array([0, 2])
    x = S.csr_matrix((data, indices, indptr), shape=(1, 2))
    data[:] = 9
    indices[:] = 5
    indptr[:] = 7
    assert x.asnumpy().tolist() == [[1, 2]]
    rows = nd.array([1], dtype="int64")
    y = S.row_sparse_array((data.reshape((1, 2)), rows), shape=(2, 2))
    rows[:] = 8
    data[:] = 1
    assert y.asnumpy().tolist() == [[0, 0], [9, 9]]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: S.csr_matrix(([1.0], [0], [0, 1]), shape=(-1, 3)),
        lambda: S.csr_matrix(([1.0], [np.nan], [0, 1]), shape=(1, 3)),
        lambda: S.csr_matrix(([1.0], [2**62], [0, 1]), shape=(1, 3)),
        lambda: S.csr_matrix(([1.0], [0], [-1, 1]), shape=(1, 3)),
        lambda: S.csr_matrix(([1.0] * 3, [0, 1, 2], [0, 5, -2, 3]), shape=(3, 3)),
        lambda: S.csr_matrix(([1.0], ([0], [2**40])), shape=(1, 3)),
        lambda: S.csr_matrix(([1.0], ([[0]], [[0]])), shape=(1, 3)),
        lambda: S.csr_matrix((2**61, 2**61)),
        lambda: S.row_sparse_array((2**61, 2**61)),
        lambda: S.row_sparse_array(([[1.0]], [2**62])),
        lambda: S.row_sparse_array(([[1.0]], [np.nan]), shape=(3, 1)),
        lambda: S.row_sparse_array((1.0, [0]), shape=(3,)),
        lambda: S.zeros("csr", (3,)),
        lambda: S.zeros("csr", ()),
        lambda: S.zeros("row_sparse", ()),
        lambda: S.zeros("csr", (2, -3)),
        lambda: nd.array([1]).attach_grad(stype="csr"),
    ],
)
def test_bad_input_is_an_error(wrong):
    with pytest.raises((MXNetError, ValueError, TypeError, IndexError, MemoryError, OverflowError)):
        wrong()


def test_nothing_of_the_dense_size_is_made(stype, tmp_path):
    """Dense, these arrays would take 2**60 bytes."""
    if stype == "csr":
        x = S.csr_matrix(([1.0, 2.0], [2**40, 5], [0, 1, 2]), shape=(2, 2**57))
        assert x[0].indices.asscalar() == 2**40
        assert x[1:].data.asscalar() == 2
    else:
        x = S.row_sparse_array(([[1.0], [2.0]], [2**40, 5]), shape=(2**58, 1))
        assert x.indices.asnumpy().tolist() == [5, 2**40]
    others = [x.copy(), x.astype("float64"), pickle.loads(pickle.dumps(x)), S.array(x), x.detach()]
    others += loaded(tmp_path / "x", x)
    target = S.zeros(stype, x.shape, dtype="float16")
    target[:] = x
    for other in [*others, target, x.as_in_context(mx.cpu(1))]:
        assert other.shape == x.shape
        assert [p.tolist() for p in parts(other)] == [p.tolist() for p in parts(x)]
        other.check_format()
        other.wait_to_read()
        other.attach_grad()
        assert other.grad.stype == stype
        assert repr(other).startswith(f"\n<{type(x).__name__} ")
    with pytest.raises((MXNetError, MemoryError)):
        x.asnumpy()


def test_conversion_between_sparse_types_makes_no_dense_array():
    rng = np.random.RandomState(4)
    for _ in range(20):
        rows, columns = rng.randint(1, 9), rng.randint(1, 9)
        values = (rng.randint(1, 9, (rows, columns)) * (rng.rand(rows, columns) < 0.2)).astype("f")
        x, r = make("csr", values), make("row_sparse", values)
        for got, want in ((x.tostype("row_sparse"), r), (r.tostype("csr"), x)):
            assert [p.tolist() for p in parts(got)] == [p.tolist() for p in parts(want)]
    # An element that is there and is 0 does not make a row; equal columns are added up.
    x = S.csr_matrix(([0.0, 2, 3], [1, 0, 0], [0, 1, 1, 3]), shape=(3, 2))
    assert parts(x.tostype("row_sparse"))[1].tolist() == [2]
    assert x.tostype("row_sparse").asnumpy().tolist() == [[0, 0], [0, 0], [5, 0]]
    large = S.csr_matrix(([1.0, 2.0], ([2**20, 5], [1, 0])), shape=(2**20 + 2, 2**21))
    rows = large.tostype("row_sparse")
    assert rows.indices.asnumpy().tolist() == [5, 2**20]
    assert [p.tolist() for p in parts(rows.tostype("csr"))] == [p.tolist() for p in parts(large)]


# ---- copies, and writing


def test_writing_to_one_leaves_others_alone(stype):
    x = make(stype)
    others = [x.copy(), copy.copy(x), copy.deepcopy(x), x.tostype(stype), x.astype("float32")]
    others += [x.as_in_context(mx.cpu(1)), x.copyto(mx.cpu(2)), x.tostype("default")]
    if stype == "csr":
        others.append(x[0:4])
    x[:] = make(stype, 2 * np.eye(4, 3, dtype="float32"))
    for other in others:
        assert np.array_equal(other.asnumpy(), MATRIX)
    assert np.array_equal(x.asnumpy(), 2 * np.eye(4, 3))


def test_a_failed_assignment_changes_nothing(stype):
    x = make(stype)
    other = make("csr" if stype == "row_sparse" else "row_sparse")
    for value in (np.ones((2, 3)), nd.ones((4, 4)), other, "a", None, [1, 2]):
        with pytest.raises((MXNetError, TypeError, ValueError)):
            x[:] = value
    with pytest.raises(MXNetError, match=r"NDArray of shape \(4, 3\) .* of shape \(4, 4\)"):
        x[:] = nd.ones((4, 4))
    for key in (0, slice(0, 2), (0, 1), Ellipsis, slice(None, None, 2), [0]):
        with pytest.raises(ValueError, match=r"only x\[:\]"):
            x[key] = 1
    for target in (
        nd.ones((3, 3)),
        other,
        np.ones((4, 3)),
        make(stype, np.eye(3, dtype="float32")),
    ):
        with pytest.raises((MXNetError, TypeError)):
            x.copyto(target)
    assert np.array_equal(x.asnumpy(), MATRIX)
    assert np.array_equal(other.asnumpy(), MATRIX)


@pytest.mark.parametrize("dtype", DTYPES)
def test_types(stype, dtype):
    x = make(stype).astype(dtype)
    plain = nd.array(MATRIX).astype(dtype)
    assert x.stype == stype
    assert x.dtype == plain.dtype
    assert np.array_equal(x.astype("float32").asnumpy(), plain.astype("float32").asnumpy())
    target = S.zeros(stype, (4, 3), dtype=dtype)
    make(stype).copyto(target)
    assert np.array_equal(target.astype("float32").asnumpy(), plain.astype("float32").asnumpy())
    assert x.astype(x.dtype, copy=False) is x
    assert x.astype(x.dtype) is not x


def test_a_number_makes_all_rows_of_a_row_sparse_array():
    x = make("row_sparse")
    x[:] = 3
    assert x.indices.asnumpy().tolist() == [0, 1, 2, 3]
    assert np.array_equal(x.asnumpy(), np.full((4, 3), 3))
    x[:] = 0
    assert x.indices.shape == (4,)


def test_truth_and_numbers():
    assert [bool(S.csr_matrix([[v]])) for v in (5.0, 0.0)] == [True, False]
    assert float(S.csr_matrix([[5.0]])) == make("row_sparse", np.array([5.0])).asscalar() == 5
    for use in (bool, int, lambda x: x.asscalar()):
        with pytest.raises((ValueError, TypeError), match=r"elements|one element"):
            use(make("csr"))


def test_parts_may_be_sparse_themselves():
    one = S.csr_matrix([[1.0, 2.0], [0.0, 3.0]])
    x = S.row_sparse_array((one, [0, 2]), shape=(3, 2))
    assert x.asnumpy().tolist() == [[1, 2], [0, 0], [0, 3]]


def test_rows_are_iterated_over():
    assert np.array_equal(np.concatenate([row.asnumpy() for row in make("csr")]), MATRIX)
    with pytest.raises(ValueError, match="only index"):
        list(make("row_sparse"))


def test_rows_are_recorded():
    x = make("csr")
    x.attach_grad(stype="default")
    with autograd.record():
        y = (x[1:3] * 2).sum() + x[3].sum()
    y.backward()
    assert np.array_equal(x.grad.asnumpy(), [[0] * 3, [2] * 3, [2] * 3, [1] * 3])


def test_type_and_copy_are_recorded(stype):
    x = make(stype)
    x.attach_grad(stype="default")
    target = S.zeros(stype, (4, 3), dtype="float64")
    with autograd.record():
        y = x.astype("float64")
        x.copyto(target)
        z = (y * 3).sum() + target.sum()
    z.backward()
    assert np.array_equal(x.grad.asnumpy(), np.full((4, 3), 4))


def test_contexts(stype):
    x = make(stype).as_in_context(mx.cpu(1))
    assert {x.context, x.data.context, x.indices.context, x.copy().context} == {mx.cpu(1)}
    assert x.as_in_context(mx.cpu(1)) is x
    made = S.zeros(stype, (2, 3), mx.cpu(2))
    assert made.context == mx.cpu(2)
    assert nd.zeros((2, 3), mx.cpu(3), stype=stype).context == mx.cpu(3)


def test_what_needs_memory_is_a_clear_error(stype):
    x = make(stype)
    for use in (nd.to_dlpack_for_read, np.from_dlpack):
        with pytest.raises(MXNetError, match="tostype"):
            use(x)


def test_numpy_gets_a_dense_copy(stype):
    x = make(stype)
    assert np.array_equal(np.asarray(x), MATRIX)
    assert np.array_equal(nd.array([x, x]).asnumpy(), [MATRIX, MATRIX])
    y = nd.zeros((5, 3))
    y[1:] = x
    assert np.array_equal(y.asnumpy()[1:], MATRIX)


def test_pickles(stype):
    for dtype in DTYPES:
        x = make(stype).astype(dtype).as_in_context(mx.cpu(1))
        for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
            y = pickle.loads(pickle.dumps(x, protocol))
            assert (type(y), y.shape, y.dtype, y.context) == (type(x), x.shape, x.dtype, mx.cpu(1))
            assert np.array_equal(
                y.astype("float32").asnumpy(), MATRIX != 0 if dtype == "bool" else MATRIX
            )


def test_threads_write_and_read(stype):
    rng = np.random.RandomState(0)
    values = [make(stype, (rng.rand(300, 200) < p).astype("float32")) for p in (0.01, 0.2, 0.5)]
    known = {v.asnumpy().tobytes() for v in values}
    x, odd = values[0].copy(), []

    def write():
        for i in range(150):
            x[:] = values[i % 3]

    def read():
        for _ in range(60):
            if x.asnumpy().tobytes() not in known or x.copy().asnumpy().tobytes() not in known:
                odd.append(1)

    threads = [threading.Thread(target=f) for f in (write, write, read, read)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not odd


def test_nothing_leaks(stype):
    x = make(stype)

    def use():
        for _ in range(50):
            y = x.copy()
            y[:] = x
            y = pickle.loads(pickle.dumps(y.astype("float64")))
            y.attach_grad()

    use()
    gc.collect()
    before = mx.runtime.memory_stats()["bytes_in_use"]
    use()
    gc.collect()
    assert mx.runtime.memory_stats()["bytes_in_use"] == before


# ---- files


def loaded(path, *arrays):
    nd.save(str(path), list(arrays))
    return nd.load(str(path))


@pytest.mark.parametrize("dtype", DTYPES)
def test_files_of_every_type(stype, dtype, tmp_path):
    x = make(stype).astype(dtype)
    empty = S.zeros(stype, (5, 2), dtype=dtype)
    dense = nd.ones((2,))
    y, e, d = loaded(tmp_path / "x", x, empty, dense)
    assert (y.stype, y.shape, y.dtype) == (stype, x.shape, x.dtype)
    assert (e.stype, e.shape, e.dtype) == (stype, empty.shape, x.dtype)
    assert np.array_equal(y.astype("float32").asnumpy(), x.astype("float32").asnumpy())
    assert e.indices.shape == (0,)
    assert d.asnumpy().tolist() == [1, 1]
    first = (tmp_path / "x").read_bytes()
    loaded(tmp_path / "x", y, e, d)
    assert (tmp_path / "x").read_bytes() == first


def shape_bytes(*dims):
    return struct.pack(f"<I{len(dims)}q", len(dims), *dims)


def record(storage, stored, shape, *vectors, flag=0, index_flag=6, counts=None, item="<f4"):
    """An array as MXNet 1.9.1 writes it; `vectors` are values, row pointers of csr, indices."""
    values, *others = vectors
    counts = counts or [len(v) for v in others]
    head = struct.pack("<Ii", 0xF993FAC9, storage) + shape_bytes(*stored) + shape_bytes(*shape)
    head += struct.pack("<iii", 1, 0, flag)
    for count in counts:
        head += struct.pack("<i", index_flag) + shape_bytes(count)
    return (
        head
        + np.array(values, item).tobytes()
        + b"".join(np.array(v, "<i8").tobytes() for v in others)
    )


def file_of(*arrays):
    return struct.pack("<QQQ", 0x112, 0, len(arrays)) + b"".join(arrays) + bytes(8)


def test_what_mxnet_leaves_over_in_a_file_is_not_read():
    """MXNet keeps and saves memory that it needed once, with anything in it."""
    (x,) = nd.load_frombuffer(
        file_of(record(2, (4,), (2, 3), [1, 2, 7, 7], [0, 1, 2], [0, 2, -9, 2**40]))
    )
    assert [p.tolist() for p in parts(x)] == [[1, 2], [0, 2], [0, 1, 2]]
    (y,) = nd.load_frombuffer(file_of(record(1, (3, 2), (5, 2), range(6), [4, 1])))
    assert y.indices.asnumpy().tolist() == [1, 4]
    assert y.data.asnumpy().tolist() == [[2, 3], [0, 1]]


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (record(2, (1,), (1, 3), [1], [0, 1], [3]), r"indices\[0\] is 3"),
        (record(2, (1,), (1, 3), [1], [0, 1], [-1]), r"indices\[0\] is -1"),
        (record(2, (1,), (1, 3), [1], [1, 1], [0]), "must begin with 0"),
        (record(2, (1,), (1, 3), [1], [0, -1], [0]), "-1 entries"),
        (record(2, (1,), (1, 3), [1], [0, 2], [0]), "2 entries"),
        (record(2, (2,), (2, 3), [1, 1], [0, 5, 2], [0, 1]), "must not descend"),
        (record(2, (1,), (2, 3), [1], [0, 1], [0]), "vector of 3"),
        (record(2, (1,), (3,), [1], [0, 1], [0]), "2 dimensions"),
        (record(2, (1, 1), (1, 3), [1], [0, 1], [0]), "data must have shape"),
        (record(2, (1,), (1, 3), [1], [0, 1], [0], index_flag=4), "data type number 4"),
        (record(2, (1,), (1, 2**62), [1], [0, 1], [0]), "more elements than memory"),
        (record(2, (2**60,), (1, 3), [1], [0, 1], [0]), "more elements|left of the file"),
        (record(2, (1,), (1, 3), [1], [0, 1], [0], counts=[2, 2**60]), "left of the file"),
        (record(1, (1, 2), (3, 2), [1, 1], [3]), "3 rows"),
        (record(1, (2, 2), (3, 2), [1] * 4, [1, 1]), "no row twice"),
        (record(1, (1, 2), (3, 2), [1, 1], [0, 1]), "2 entries"),
        (record(1, (1, 3), (3, 2), [1, 1, 1], [0]), "data must have shape"),
        (record(1, (), (3, 2), [1], [0]), "1 entries|data must have shape"),
        (record(1, (2,), (3, 2), [1, 1], [0, 1]), "data must have shape"),
    ],
)
def test_wrong_parts_in_a_file_are_errors(array, message):
    with pytest.raises((MXNetError, ValueError, MemoryError), match=message) as error:
        nd.load_frombuffer(file_of(array))
    assert "load: the buffer: array 0" in str(error.value)


def good_file(tmp_path):
    nd.save(
        str(tmp_path / "good"),
        [make("csr"), make("row_sparse"), S.zeros("csr", (2, 3)), S.zeros("row_sparse", (2, 3))],
    )
    return (tmp_path / "good").read_bytes()


def test_every_truncation_of_a_file_is_an_error(tmp_path):
    whole = good_file(tmp_path)
    assert len(nd.load_frombuffer(whole)) == 4
    for size in range(len(whole)):
        with pytest.raises(MXNetError, match="load: the buffer: "):
            nd.load_frombuffer(whole[:size])


def test_hostile_bytes_never_harm(tmp_path):
    """Bytes at random places of a good file: an error, or arrays whose parts are right."""
    whole = good_file(tmp_path)
    random = np.random.RandomState(7)
    outcomes = set()
    for _ in range(8000):
        try:
            arrays = nd.load_frombuffer(spoiled(whole, random, (0, 1, 2, 127, 128, 255)))
        except (MXNetError, ValueError, MemoryError):
            outcomes.add("error")
            continue
        outcomes.add("loaded")
        for x in arrays.values() if isinstance(arrays, dict) else arrays:
            if x.stype == "default":
                continue
            data, indices, *indptr = parts(x)
            assert data.nbytes + indices.nbytes <= 2 * len(whole)
            assert ((indices >= 0) & (indices < x.shape[x.stype == "csr"])).all()
            if indptr:
                assert indptr[0][0] == 0
                assert indptr[0][-1] == len(indices)
                assert (np.diff(indptr[0]) >= 0).all()
            if x.size < 10**6:
                x.asnumpy()
    assert outcomes == {"error", "loaded"}


# ---- SciPy


@pytest.fixture
def sp():
    return pytest.importorskip("scipy.sparse")


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64", "uint8", "bool"])
@pytest.mark.parametrize("form", ["csr", "csc", "coo", "lil", "dok", "bsr", "dia"])
def test_from_scipy_of_any_format(sp, form, dtype):
    m = sp.csr_matrix(MATRIX.astype(dtype)).asformat(form)
    for x in (nd.array(m), S.array(m), S.csr_matrix(m)):
        assert x.stype == "csr"
        assert x.dtype == m.dtype
        assert np.array_equal(x.asnumpy(), MATRIX.astype(dtype))
    assert np.array_equal(S.row_sparse_array(m).asnumpy(), MATRIX.astype(dtype))
    if hasattr(sp, "csr_array"):
        assert np.array_equal(S.array(sp.csr_array(MATRIX)).asnumpy(), MATRIX)


def test_to_scipy_and_back(sp):
    rng = np.random.RandomState(3)
    data, indices, indptr = random_csr(rng, 7, 5, 30)
    x = S.csr_matrix((data, indices, indptr), shape=(7, 5))
    m = x.asscipy()
    assert np.array_equal(m.toarray(), x.asnumpy())
    assert (m.data.flags.writeable, m.indices.flags.writeable, m.indptr.flags.writeable) == (
        True,
    ) * 3
    m.data[:] = 0
    m.sum_duplicates()
    m.indices[:] = 0
    assert np.array_equal(x.asnumpy(), dense_of(data, indices, indptr, (7, 5)))
    wide = S.csr_matrix(([1.0], [2**33], [0, 1]), shape=(1, 2**34)).asscipy()
    assert wide.indices.dtype == np.int64
    assert wide.indices.flags.writeable


def test_values_are_shared_with_scipy_where_asked(sp):
    m = sp.csr_matrix(MATRIX)
    address = m.data.ctypes.data
    x = S.from_scipy(m)
    assert nd.sparse._core.address(nd.sparse._core.sparse_parts(x)[0]) == address
    assert not m.data.flags.writeable
    assert np.array_equal(x.asnumpy(), MATRIX)
    y = x.asscipy(copy=False)
    assert y.data.ctypes.data == address
    assert not y.data.flags.writeable
    y.indices[:] = 77
    m.indices[:] = 77  # their own
    x *= 2
    assert np.array_equal(x.asnumpy(), 2 * MATRIX)
    assert y.data.tolist() == m.data.tolist() == [1, 2, 3, 4]
    assert S.from_scipy(sp.csr_matrix(MATRIX), zero_copy=False).shape == (4, 3)
    with pytest.raises(TypeError, match="csr"):
        S.from_scipy(sp.coo_matrix(MATRIX))
    with pytest.raises(ValueError, match="complex"):
        S.from_scipy(sp.csr_matrix(MATRIX * 1j))


def test_spare_room_in_a_matrix_of_scipy(sp):
    m = sp.csr_matrix((3, 4), dtype="float32")
    m.data, m.indices = np.full(6, 7, "float32"), np.full(6, 99, "int32")
    m.indptr = np.array([0, 1, 1, 2], "int32")
    m.indices[:2] = [3, 0]
    for x in (S.array(m), S.from_scipy(m)):
        assert x.asnumpy().tolist() == [[0, 0, 0, 7], [0] * 4, [7, 0, 0, 0]]


def test_indices_of_scipy_are_checked(sp):
    m = sp.csr_matrix(MATRIX)
    m.indices[0] = 100
    for use in (S.array, S.csr_matrix, nd.array, S.from_scipy):
        with pytest.raises(MXNetError, match="is 100, the array has 3 columns"):
            use(m)
