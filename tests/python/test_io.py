"""Iterators where MXNet's give errors, garbage or nothing: the rest is in cases/io.py."""

import copy
import gc
import gzip
import pickle
import struct
import threading
import weakref

import numpy as np
import pytest

import mxtape as mx
from mxtape import io
from support import output_of


def lists(iterator):
    return [batch.data[0].asnumpy().tolist() for batch in iterator]


# ---- NDArrayIter


@pytest.mark.parametrize("size", range(1, 40))
@pytest.mark.parametrize("n", [1, 3, 10])
@pytest.mark.parametrize("shuffle", [False, True])
def test_roll_over_loses_nothing(n, size, shuffle):
    """Also where two epochs and more do not fill a batch, which is an error in MXNet."""
    iterator = io.NDArrayIter(np.arange(n), np.arange(n) * 2, size, shuffle, "roll_over")
    seen = []
    epochs = 0
    while len(seen) < 3 * n or epochs < 3:
        for batch in iterator:
            data = batch.data[0].asnumpy()
            assert data.shape == (size,)
            assert batch.label[0].asnumpy().tolist() == (data * 2).tolist()
            seen += data.tolist()
        iterator.reset()
        epochs += 1
    # Each epoch has every example once, whatever batches it comes in.
    for begin in range(0, len(seen) - n + 1, n):
        assert sorted(seen[begin : begin + n]) == list(range(n))
    assert epochs * n - len(seen) < size + n


def test_roll_over_by_iter_next_and_getdata():
    iterator = io.NDArrayIter(np.arange(5), None, 2, last_batch_handle="roll_over")
    found = []
    for _ in range(3):
        while iterator.iter_next():
            found.append(iterator.getdata()[0].asnumpy().tolist())
        iterator.reset()
    assert found == [[0, 1], [2, 3], [4, 0], [1, 2], [3, 4], [0, 1], [2, 3]]


@pytest.mark.parametrize("read", [1, 2, 3])
def test_what_rolled_over_is_not_given_again(read):
    iterator = io.NDArrayIter(np.arange(7), None, 2, last_batch_handle="roll_over")
    list(iterator)
    iterator.reset()
    assert lists(next(iterator) for _ in range(read))[0] == [6, 0]
    iterator.reset()
    assert lists(iterator) == [[0, 1], [2, 3], [4, 5]]


def test_reset_again_keeps_what_rolled_over():
    iterator = io.NDArrayIter(np.arange(5), None, 2, last_batch_handle="roll_over")
    list(iterator)
    iterator.reset()
    iterator.reset()
    assert lists(iterator)[0] == [4, 0]
    iterator.hard_reset()
    assert lists(iterator)[0] == [0, 1]


@pytest.mark.parametrize("handle", ["pad", "discard", "roll_over"])
def test_nothing(handle):
    iterator = io.NDArrayIter(np.zeros((0, 3)), np.zeros(0), 4, True, handle)
    assert lists(iterator) == []
    iterator.reset()
    assert lists(iterator) == []
    assert iterator.provide_data[0].shape == (4, 3)


def test_pad_wraps_around_more_than_once():
    batch = io.NDArrayIter(np.arange(3), None, 8).next()
    assert (batch.data[0].asnumpy().tolist(), batch.pad) == ([0, 1, 2, 0, 1, 2, 0, 1], 5)


def test_shuffled_epochs_have_all_examples_and_differ():
    iterator = io.NDArrayIter(np.arange(100), None, 10, shuffle=True)
    epochs = []
    for _ in range(3):
        epochs.append(np.concatenate(lists(iterator)))
        assert epochs[-1].tolist() == iterator.idx.tolist()
        iterator.reset()
    assert all(sorted(epoch) == list(range(100)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int32", "int64", "uint8"])
@pytest.mark.parametrize("shuffle", [False, True])
def test_dtypes_of_arrays_are_kept(dtype, shuffle):
    x = mx.nd.arange(10, dtype=dtype)
    iterator = io.NDArrayIter([x, x.reshape((10, 1))], x, 4, shuffle, "roll_over")
    for _ in range(2):
        for batch in iterator:
            for array, desc in zip(
                batch.data + batch.label, iterator.provide_data + iterator.provide_label
            ):
                assert array.dtype == np.dtype(dtype) == desc.dtype
                assert array.shape == desc.shape
        iterator.reset()


def test_whole_numbers_that_float32_does_not_hold():
    big = mx.nd.array([2**31 + 1, 2**31 + 3], dtype="int64")
    assert lists(io.NDArrayIter(big, None, 1, shuffle=False)) == [[2**31 + 1], [2**31 + 3]]


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"batch_size": 0}, ValueError, "at least 1"),
        ({"last_batch_handle": "other"}, ValueError, "one of .*got 'other'"),
        ({"label": np.arange(4)}, ValueError, "softmax_label has 4 examples, and data 10"),
        ({"label": 3}, TypeError, "softmax_label is an NDArray"),
        ({"label": [1, 2]}, TypeError, "one number"),
        ({"label": {"l": "text"}}, TypeError, "l: no array"),
    ],
)
def test_arguments_that_do_not_fit(arguments, error, text):
    with pytest.raises(error, match=text):
        io.NDArrayIter(np.arange(10), **arguments)


def test_more_labels_than_examples():
    batch = io.NDArrayIter(np.arange(3), np.arange(9), 2, last_batch_handle="discard").next()
    assert batch.label[0].asnumpy().tolist() == [0, 1]


class OnDisk:
    """As an h5py.Dataset: positions of rows have to increase."""

    def __init__(self, values):
        self.values = values
        self.shape, self.dtype = values.shape, values.dtype
        self.read: list = []

    def __getitem__(self, key):
        if not isinstance(key, slice):
            assert (np.diff(key) > 0).all()
        found = self.values[key]
        self.read.append(len(found))
        return found


@pytest.mark.parametrize("handle", ["pad", "discard", "roll_over"])
@pytest.mark.parametrize("shuffle", [False, True])
def test_data_sets_on_disk(handle, shuffle):
    values = np.arange(30.0).reshape(10, 3)
    disk = OnDisk(values)
    found = []
    for data in (disk, values):
        np.random.seed(1)  # noqa: NPY002
        iterator = io.NDArrayIter(data, np.arange(10), 4, shuffle, handle)
        epochs = []
        for _ in range(3):
            epochs.append(lists(iterator))
            iterator.reset()
        found.append((epochs, repr(iterator.provide_data)))
    assert found[0] == found[1]
    assert max(disk.read) <= 4


def test_a_subclass_that_moves_itself():
    class Every(io.NDArrayIter):
        def reset(self):
            self.cursor = -self.batch_size

        def next(self):
            if self.iter_next():
                return io.DataBatch(self.getdata(), self.getlabel(), pad=self.getpad())
            raise StopIteration

    iterator = Every(np.arange(5), None, 2)
    for _ in range(2):
        assert lists(iterator) == [[0, 1], [2, 3], [4, 0]]
        iterator.reset()


# ---- descriptions


def test_descriptions_are_copied_whole():
    desc = io.DataDesc("data", (2, 3), np.float16, "NTC")
    for again in (pickle.loads(pickle.dumps(desc)), copy.copy(desc), copy.deepcopy(desc)):
        assert again == ("data", (2, 3))
        assert (again.dtype, again.layout) == (np.float16, "NTC")


# ---- PrefetchingIter


class Numbers(io.DataIter):
    """Batches of one number; raises at `bad`."""

    def __init__(self, count=3, bad=None):
        super().__init__(1)
        self.provide_data = [("data", (1,))]
        self.provide_label = []
        self.count, self.bad, self.at = count, bad, 0

    def reset(self):
        self.at = 0

    def next(self):
        self.at += 1
        if self.at == self.bad:
            raise RuntimeError(f"no {self.at}")
        if self.at > self.count:
            raise StopIteration
        return io.DataBatch([mx.nd.array([self.at])], pad=0, bucket_key=self.at)


def test_errors_of_the_thread_are_raised():
    iterator = io.PrefetchingIter(Numbers(3, bad=2))
    assert iterator.next().bucket_key == 1
    with pytest.raises(RuntimeError, match="no 2"):
        iterator.next()
    assert iterator.next().bucket_key == 3
    with pytest.raises(StopIteration):
        iterator.next()
    with pytest.raises(StopIteration):
        iterator.next()
    iterator.reset()
    assert iterator.next().bucket_key == 1


def test_errors_of_reset_are_raised():
    class Once(Numbers):
        def reset(self):
            raise RuntimeError("only once")

    iterator = io.PrefetchingIter(Once())
    with pytest.raises(RuntimeError, match="only once"):
        iterator.reset()


def test_reset_at_any_time():
    iterator = io.PrefetchingIter([Numbers(5), Numbers(5)])
    for taken in (0, 1, 5, 3, 2):
        for _, batch in zip(range(taken), iterator):
            assert [x.asscalar() for x in batch.data] == [batch.bucket_key] * 2
        iterator.reset()
        assert iterator.next().bucket_key == 1
        iterator.reset()
    assert len(list(iterator)) == 5


def test_iterators_of_different_lengths():
    iterator = io.PrefetchingIter([Numbers(2), Numbers(3)])
    with pytest.raises(AssertionError, match="different numbers of batches"):
        list(iterator)


def test_new_names_are_for_each_iterator():
    with pytest.raises(ValueError, match="1 iterators, and new names for 2"):
        io.PrefetchingIter(Numbers(), rename_data=[{}, {}])


def test_the_next_batch_is_made_meanwhile():
    made = threading.Event()

    class Slow(Numbers):
        def next(self):
            batch = super().next()
            if self.at == 2:
                made.set()
            return batch

    iterator = io.PrefetchingIter(Slow())
    iterator.next()
    assert made.wait(10)


def test_threads_end_with_the_iterator():
    before = set(threading.enumerate())
    iterator = io.PrefetchingIter([Numbers(), Numbers()])
    batch = iterator.next()
    threads = [thread for thread in threading.enumerate() if thread not in before]
    assert len(threads) == 2
    gone = weakref.ref(iterator)
    del iterator
    gc.collect()
    assert gone() is None
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
    assert batch.data[0].asscalar() == 1


def test_python_ends_while_batches_are_made():
    program = """
        import mxtape as mx
        x = mx.nd.ones((100, 1000))
        iterator = mx.io.PrefetchingIter(mx.io.NDArrayIter(x, None, 50, shuffle=True))
        print(iterator.next().data[0].shape)
        class Waits(mx.io.DataIter):
            provide_data, provide_label = [("data", (1,))], []
            def next(self):
                import time
                time.sleep(60)
        waits = mx.io.PrefetchingIter(Waits())
    """
    assert output_of(program).split() == ["(50,", "1000)"]


def test_batches_are_the_same_in_a_thread():
    x = np.random.RandomState(0).rand(50, 4)
    plain = io.NDArrayIter(x, None, 8)
    fetched = io.PrefetchingIter(io.NDArrayIter(x, None, 8))
    for _ in range(3):
        assert lists(plain) == lists(fetched)
        plain.reset()
        fetched.reset()


# ---- files


@pytest.fixture
def rows(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("".join(f"{i},{i}.5\n" for i in range(5)))
    return path


def test_csv_batches_larger_than_the_file(rows):
    iterator = io.CSVIter(data_csv=rows, data_shape=(2,), batch_size=12)
    assert [b.index.tolist() for b in iterator] == [[0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1]]
    assert iterator.getpad() == 7
    iterator.reset()
    assert iterator.next().index.tolist()[:3] == [2, 3, 4]
    rest = io.CSVIter(data_csv=rows, data_shape=(2,), batch_size=7, round_batch=False)
    assert [b.index.tolist() for b in rest] == [[0, 1, 2, 3, 4, 0, 1]]


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_csv_dtypes(rows, dtype):
    batch = io.CSVIter(data_csv=rows, data_shape=(2,), batch_size=2, dtype=dtype).next()
    assert batch.data[0].dtype == batch.label[0].dtype == np.dtype(dtype)
    assert batch.data[0].asnumpy().tolist() == [[0, 0.5], [1, 1.5]]


def test_csv_by_hand_and_the_first_batch_always(rows):
    iterator = io.CSVIter(data_csv=rows, data_shape=(2,), batch_size=2)
    with pytest.raises(mx.MXNetError, match="no batch yet"):
        iterator.getdata()
    assert iterator.iter_next()
    assert (iterator.getdata().shape, iterator.getlabel().shape) == ((2, 2), (2,))
    iterator.reset()
    iterator.debug_skip_load()
    assert {tuple(iterator.next().index) for _ in range(9)} == {(0, 1)}


def test_packed_files(rows, tmp_path):
    packed = tmp_path / "rows.csv.gz"
    packed.write_bytes(gzip.compress(rows.read_bytes()))
    plain, unpacked = (
        lists(io.CSVIter(data_csv=path, data_shape=(2,), batch_size=2)) for path in (rows, packed)
    )
    assert plain == unpacked


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("1,2\n3\n", "rows.csv"),
        ("1,x\n", "rows.csv"),
        ("1,2,3\n", r"3 numbers in a line; shape \(2,\) needs 2"),
    ],
)
def test_csv_that_is_not_right(tmp_path, content, text):
    path = tmp_path / "rows.csv"
    path.write_text(content)
    with pytest.raises(mx.MXNetError, match=text):
        io.CSVIter(data_csv=path, data_shape=(2,), batch_size=1)


def test_packed_files_that_are_not_right(tmp_path):
    path = tmp_path / "rows"
    for content in (b"\x1f\x8b\x00", b"\x1f\x8b\x08garbage", gzip.compress(b"1,2\n" * 99)[:-9]):
        path.write_bytes(content)
        for made in (
            lambda: io.CSVIter(data_csv=path, data_shape=(2,), batch_size=1),
            lambda: io.LibSVMIter(data_libsvm=path, data_shape=(2,), batch_size=1),
            lambda: io.MNISTIter(image=path, label=path),
        ):
            with pytest.raises(mx.MXNetError, match="Iter: "):
                made()


@pytest.mark.parametrize("shape", ["x", (), (0,), (2, -1), [[1]]])
def test_shapes_that_are_none(rows, shape):
    with pytest.raises(mx.MXNetError, match="data_shape is a tuple of positive int"):
        io.CSVIter(data_csv=rows, data_shape=shape, batch_size=1)


def test_csv_labels_of_another_number(rows, tmp_path):
    label = tmp_path / "label.csv"
    label.write_text("1\n2\n")
    with pytest.raises(mx.MXNetError, match=r"5 lines, and .* 2"):
        io.CSVIter(data_csv=rows, data_shape=(2,), label_csv=label, batch_size=1)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("", "is empty"),
        ("# nothing\n", "is empty"),
        ("1 0:1\n1 3:1\n", "line 2: position 3 of a row of 3"),
        ("1 -1:1\n", "line 1: position -1"),
        ("1 x\n", "line 1"),
        ("1 0:1:2\n", "line 1"),
        ("x 0:1\n", "line 1"),
        ("1 0:\n", "line 1: pairs of position:value are needed; got '0:'"),
        ("1 0 1:2\n", "line 1: pairs"),
        ("1 99999999999999999999:1\n", "line 1"),
        ("1 0.5:1\n", "line 1"),
    ],
)
def test_libsvm_that_is_not_right(tmp_path, content, text):
    path = tmp_path / "rows.svm"
    path.write_text(content)
    with pytest.raises(mx.MXNetError, match=text):
        io.LibSVMIter(data_libsvm=path, data_shape=(3,), batch_size=1)


def test_libsvm_parts_and_words(tmp_path):
    path = tmp_path / "rows.svm"
    path.write_text("1 qid:3 0:5 # text 1:2\n\n2 2:6\n3\n")
    iterator = io.LibSVMIter(
        data_libsvm=path, data_shape=(3,), batch_size=1, num_parts=2, part_index=1
    )
    assert lists(iterator) == [[[0, 0, 6]], [[0, 0, 0]]]
    first = io.LibSVMIter(data_libsvm=path, data_shape=(3,), batch_size=1, num_parts=2)
    assert lists(first) == [[[5, 0, 0]]]
    with pytest.raises(mx.MXNetError, match="part_index 2 of 2"):
        io.LibSVMIter(data_libsvm=path, data_shape=(3,), batch_size=1, num_parts=2, part_index=2)


@pytest.fixture
def mnist(tmp_path):
    image, label = tmp_path / "image", tmp_path / "label"
    image.write_bytes(struct.pack(">4I", 0x803, 10, 2, 3) + bytes(range(60)))
    label.write_bytes(struct.pack(">2I", 0x801, 10) + bytes(range(10)))
    return {"image": image, "label": label, "silent": True}


def test_mnist_shuffled(mnist):
    orders = []
    for seed in (0, 0, 1):
        iterator = io.MNISTIter(**mnist, batch_size=5, seed=seed)
        epochs = []
        for _ in range(2):
            batches = list(iterator)
            epochs.append(np.concatenate([b.label[0].asnumpy() for b in batches]).tolist())
            for batch in batches:
                first = batch.data[0].asnumpy()[:, 0, 0, 0] * 256
                assert first.tolist() == (batch.label[0].asnumpy() * 6).tolist()
            iterator.reset()
        assert epochs[0] == epochs[1]
        orders.append(epochs[0])
    assert orders[0] == orders[1] != orders[2]
    assert sorted(orders[2]) == list(range(10))


def test_mnist_positions_are_those_in_the_batches(mnist):
    """MXNet's are all 0."""
    iterator = io.MNISTIter(**mnist, batch_size=4, shuffle=False, dtype="float64", flat=True)
    assert [b.index.tolist() for b in iterator] == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert iterator.provide_data[0].dtype == np.float64


def test_mnist_that_is_not_right(mnist, tmp_path):
    def fails(text, **other):
        with pytest.raises(mx.MXNetError, match=text):
            io.MNISTIter(**{**mnist, **other})

    fails("fewer than a batch of 11", batch_size=11)
    fails("batch_size is at least 1", batch_size=0)
    fails("absent: No such file", image=tmp_path / "absent")
    fails("does not begin as a file of 3 axes", image=mnist["label"])
    cut = tmp_path / "cut"
    cut.write_bytes(mnist["image"].read_bytes()[:-1])
    fails(r"59 bytes for the shape \(10, 2, 3\)", image=cut)
    huge = tmp_path / "huge"
    huge.write_bytes(struct.pack(">4I", 0x803, 2**32 - 1, 2**32 - 1, 2**32 - 1))
    fails("0 bytes for the shape", image=huge)
    few = tmp_path / "few"
    few.write_bytes(struct.pack(">2I", 0x801, 9) + bytes(range(9)))
    fails("10 images and 9 labels", label=few)


def test_names_of_the_modules_inside():
    assert mx.io.io.NDArrayIter is mx.io.NDArrayIter
    assert mx.io.utils._init_data(np.ones((2, 1)), False, "data")[0][0] == "data"
    assert mx.io._has_instance([("a", mx.nd.ones(1))], mx.nd.NDArray)
    (found,) = mx.io._getdata_by_idx([("a", mx.nd.arange(4))], [3, 1])
    assert found[1].asnumpy().tolist() == [3, 1]
