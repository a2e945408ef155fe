"""mx.recordio: the bytes of files of records, and what files that are damaged do."""

import multiprocessing
import pickle
import struct
import threading

import numpy as np
import pytest

import mxtape as mx
from mxtape import recordio
from mxtape.base import MXNetError

MAGIC = bytes.fromhex("0a23d7ce")
RECORDS = [
    b"",
    b"x",
    b"abcd",
    MAGIC,
    MAGIC * 2,
    b"ab" + MAGIC,
    b"abcd" + MAGIC + b"efgh",
    b"abcd" + MAGIC + b"e",
    b"z" * 5 + MAGIC,
    MAGIC + b"q",
    b"1234" + MAGIC * 2 + b"56",
]
# What MXNet 1.9.1 has written for them.
WRITTEN = bytes.fromhex(
    "0a23d7ce000000000a23d7ce01000000780000000a23d7ce04000000616263640a23d7ce000000200a23d7ce00000060"
    "0a23d7ce000000200a23d7ce000000400a23d7ce000000600a23d7ce0600000061620a23d7ce00000a23d7ce04000020"
    "616263640a23d7ce04000060656667680a23d7ce04000020616263640a23d7ce01000060650000000a23d7ce09000000"
    "7a7a7a7a7a0a23d7ce0000000a23d7ce000000200a23d7ce01000060710000000a23d7ce04000020313233340a23d7ce"
    "000000400a23d7ce0200006035360000"
)


def written(path, records=RECORDS):
    with recordio.MXRecordIO(path, "w") as record:
        for data in records:
            record.write(data)
    return path


def indexed(tmp_path, count=20):
    paths = tmp_path / "a.idx", tmp_path / "a.rec"
    with recordio.MXIndexedRecordIO(*paths, "w") as record:
        for i in range(count):
            record.write_idx(2 * i, b"%d " % i * (i + 1))
    return paths


def test_bytes_are_those_of_mxnet(tmp_path):
    path = written(tmp_path / "a.rec")
    assert path.read_bytes() == WRITTEN
    record = recordio.MXRecordIO(str(path), "r")
    assert [record.read() for _ in range(13)] == [*RECORDS, None, None]
    record.reset()
    assert record.read() == b""
    record.close()
    record.close()


def test_any_bytes_come_back(tmp_path):
    draw = np.random.RandomState(0)
    words = [MAGIC, b"\n", b"\n#", b"abc", b"\0\0\0\0"]
    records = [b"".join(words[k] for k in draw.randint(0, 5, n)) for n in range(200)]
    with recordio.MXRecordIO(written(tmp_path / "a.rec", records), "r") as record:
        assert [record.read() for _ in records] == records
    offsets = recordio._offsets(tmp_path / "a.rec")
    assert len(offsets) == len(records)
    assert offsets[0] == 0


def part(kind, data, length=None):
    length = len(data) if length is None else length
    return MAGIC + struct.pack("<I", kind << 29 | length) + data


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (MAGIC, "the file ends after 4 bytes of a record's head"),
        (MAGIC + b"\1\0\0", "at byte 0, the file ends after 7 bytes"),
        (b"abcdefgh", "at byte 0, a record should begin with 0a23d7ce, not 61626364"),
        (part(0, b"abcd", 8), "a part of 8 bytes, and 4 are left"),
        (part(0, b"abcde"), "a part of 5 bytes, and 5 are left"),
        (part(0, b"abcd", (1 << 29) - 4), "a part of 536870908 bytes, and 4 are left"),
        (part(2, b"abcd") + part(0, b"efgh"), "goes on that has not begun"),
        (part(1, b"abcd") + part(0, b"efgh"), "at byte 12, a record begins inside another one"),
        (part(1, b"abcd"), "at byte 12, the file ends in the middle of a record"),
        (part(5, b"abcd"), "of kind 5"),
    ],
)
def test_damaged_files(tmp_path, data, message):
    path = tmp_path / "a.rec"
    path.write_bytes(data)
    with recordio.MXRecordIO(path, "r") as record, pytest.raises(MXNetError, match=message):
        record.read()
    with pytest.raises(MXNetError, match=r"a\.rec: no record file, or a damaged one"):
        recordio._offsets(path)


def test_what_cannot_be_opened(tmp_path):
    for flag in ("a", "rb", None):
        with pytest.raises(ValueError, match="flag is 'r' or 'w'"):
            recordio.MXRecordIO(tmp_path / "a.rec", flag)
    with pytest.raises(MXNetError, match=r"none\.rec: No such file"):
        recordio.MXRecordIO(tmp_path / "none.rec", "r")
    with pytest.raises(MXNetError, match="No such file"):
        recordio.MXRecordIO(tmp_path / "none" / "a.rec", "w")
    path = written(tmp_path / "a.rec")
    with pytest.raises(FileNotFoundError):
        recordio.MXIndexedRecordIO(tmp_path / "none.idx", path, "r")
    (tmp_path / "bad.idx").write_text("1\t0\nabc\n")
    with pytest.raises(ValueError, match=r"bad\.idx, line 2: 'abc' is not a key, a tab"):
        recordio.MXIndexedRecordIO(tmp_path / "bad.idx", path, "r")


def test_reading_and_writing_do_not_mix(tmp_path):
    with recordio.MXRecordIO(tmp_path / "a.rec", "w") as record:
        with pytest.raises(AssertionError, match="cannot be read"):
            record.read()
        with pytest.raises(TypeError, match="a record is bytes; got str"):
            record.write("text")
        with pytest.raises(TypeError, match="cannot be pickled"):
            pickle.dumps(record)
    with pytest.raises(MXNetError, match="is closed"):
        record.write(b"1")
    with recordio.MXRecordIO(tmp_path / "a.rec", "r") as record:
        with pytest.raises(AssertionError, match="cannot be written"):
            record.write(b"1")
    with pytest.raises(MXNetError, match="is closed"):
        record.read()


def test_an_index(tmp_path):
    index, path = indexed(tmp_path, 4)
    assert index.read_text() == "0\t0\n2\t12\n4\t24\n6\t40\n"
    record = recordio.MXIndexedRecordIO(str(index), str(path), "r")
    assert record.keys == [0, 2, 4, 6]
    assert record.idx == {0: 0, 2: 12, 4: 24, 6: 40}
    assert [record.read_idx(k) for k in (4, 0)] == [b"2 2 2 ", b"0 "]
    assert record.read() == b"1 1 "
    record.seek(6)
    assert record.read() == b"3 3 3 3 "
    with pytest.raises(KeyError):
        record.read_idx(5)
    with pytest.raises(AssertionError):
        record.tell()
    again = pickle.loads(pickle.dumps(record))
    assert again.read_idx(2) == b"1 1 "
    record.close()
    # As in MXNet.
    assert record.read_idx(2) == b"1 1 "
    assert recordio._offsets(path) == list(record.idx.values())
    assert recordio.MXIndexedRecordIO(index, path, "r", key_type=str).read_idx("4") == b"2 2 2 "
    index.write_text("1\t-5\n2\t3\n3\t100000\n")
    record.reset()
    for key, message in ((1, "at byte -5"), (2, "should begin with"), (3, "where the file ends")):
        with pytest.raises(MXNetError, match=message):
            record.read_idx(key)


def test_threads_read_an_index(tmp_path):
    index, path = indexed(tmp_path)
    record = recordio.MXIndexedRecordIO(index, path, "r")
    wrong = []

    def read():
        for i in np.random.RandomState().randint(0, 20, 500):
            data = record.read_idx(2 * i)
            if data != b"%d " % i * (i + 1):
                wrong.append(data)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def _in_child(queue, record, plain, out):
    answers = [record.read_idx(4), record.read()]
    for call in (plain.read, lambda: out.write(b"child")):
        try:
            answers.append(call())
        except RuntimeError as error:
            answers.append(str(error))
    plain.reset()
    queue.put([*answers, plain.read()])


def test_a_forked_process(tmp_path):
    index, path = indexed(tmp_path)
    record, plain = recordio.MXIndexedRecordIO(index, path, "r"), recordio.MXRecordIO(path, "r")
    out = recordio.MXRecordIO(tmp_path / "out.rec", "w")
    out.write(b"parent")
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    child = context.Process(target=_in_child, args=(queue, record, plain, out))
    child.start()
    read, after, refused, not_written, reset = queue.get()
    child.join()
    assert [read, after, reset] == [b"2 2 2 ", b"3 3 3 3 ", b"0 "]
    assert "was opened by another process" in refused
    assert "was opened by another process" in not_written
    assert [plain.read(), plain.read()] == [b"0 ", b"1 1 "]
    out.close()
    with recordio.MXRecordIO(tmp_path / "out.rec", "r") as written_by_parent:
        assert [written_by_parent.read() for _ in range(2)] == [b"parent", None]


@pytest.mark.parametrize(
    ("header", "packed"),
    [
        ((0, 1.5, 2, 3), "000000000000c03f02000000000000000300000000000000"),
        ((7, True, 1, 0), "000000000000803f01000000000000000000000000000000"),
        ((9, [], 0, 0), "00" * 24),
        (
            (5, np.array([[1.5], [2]]), 2, 3),
            "0200000000000000020000000000000003000000000000000000c03f00000040",
        ),
        ((0, np.array(3.0), 1, 0), "01000000000000000100000000000000000000000000000000004040"),
    ],
)
def test_pack(header, packed):
    record = recordio.pack(recordio.IRHeader(*header), b"data")
    assert record == bytes.fromhex(packed) + b"data"
    found, data = recordio.unpack(record)
    assert data == b"data"
    assert found[2:] == header[2:]
    label = np.asarray(header[1], "float32").ravel()
    np.testing.assert_array_equal(np.ravel(found.label), label if label.size else [0])
    assert found.flag == (0 if isinstance(header[1], (float, bool)) else label.size)


def test_pack_refuses():
    with pytest.raises(struct.error):
        recordio.pack(recordio.IRHeader(0, 1, -1, 0), b"")
    with pytest.raises(MXNetError, match="2 bytes; a header has 24"):
        recordio.unpack(b"12")
    record = recordio.pack(recordio.IRHeader(0, [1, 2, 3], 2, 3), b"")
    with pytest.raises(MXNetError, match="3 labels should follow the header, and there are 8"):
        recordio.unpack(record[:-4])
    assert recordio.unpack(recordio.pack((0, mx.nd.array([1, 2]), 0, 0), b""))[0].flag == 2
