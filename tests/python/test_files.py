"""Files of arrays: MXNet's .params format, read and written."""

import os
import struct
import threading

import numpy as np
import pytest

import mxtape as mx
from support import spoiled

DATA = np.arange(6, dtype="float32").tobytes()

# Written by MXNet 1.9.1: nd.save(path, what).
RECORDED = {
    "one": (
        "120100000000000000000000000000000100000000000000c9fa93f9000000000200000002000000"
        "0000000003000000000000000100000000000000000000000000803f000000400000404000008040"
        "0000a0400000c0400000000000000000"
    ),
    "list": (
        "120100000000000000000000000000000200000000000000c9fa93f9000000000200000002000000"
        "0000000003000000000000000100000000000000000000000000803f000000400000404000008040"
        "0000a0400000c040c9fa93f900000000010000000200000000000000010000000000000004000000"
        "01000000020000000000000000000000"
    ),
    "dict": (
        "120100000000000000000000000000000200000000000000c9fa93f9000000000200000002000000"
        "0000000003000000000000000100000000000000000000000000803f000000400000404000008040"
        "0000a0400000c040c9fa93f900000000010000000200000000000000010000000000000003000000"
        "010002000000000000000300000000000000773a300200000000000000c3a9"
    ),
    "empty": ("1201000000000000000000000000000000000000000000000000000000000000"),
    "zero-size": (
        "120100000000000000000000000000000100000000000000c9fa93f9000000000200000000000000"
        "0000000002000000000000000100000000000000000000000000000000000000"
    ),
    "cpu(1)": (
        "120100000000000000000000000000000100000000000000c9fa93f9000000000100000001000000"
        "000000000100000001000000000000000000803f0000000000000000"
    ),
    "pinned": (
        "120100000000000000000000000000000100000000000000c9fa93f9000000000100000001000000"
        "000000000300000000000000000000000000803f0000000000000000"
    ),
    "float64": (
        "120100000000000000000000000000000100000000000000c9fa93f9000000000100000003000000"
        "00000000010000000000000001000000000000000000f03f00000000000000400000000000000840"
        "0000000000000000"
    ),
    "float16": (
        "120100000000000000000000000000000100000000000000c9fa93f9000000000100000003000000"
        "00000000010000000000000002000000003c004000420000000000000000"
    ),
    "uint8": (
        "120100000000000000000000000000000100000000000000c9fa93f9000000000100000003000000"
        "000000000100000000000000030000000102030000000000000000"
    ),
    "int8": (
        "120100000000000000000000000000000100000000000000c9fa93f9000000000100000003000000"
        "000000000100000000000000050000000102030000000000000000"
    ),
    "int64": (
        "120100000000000000000000000000000100000000000000c9fa93f9000000000100000003000000"
        "00000000010000000000000006000000010000000000000002000000000000000300000000000000"
        "0000000000000000"
    ),
}


def written():
    """The arrays that RECORDED holds."""
    a = mx.nd.array([[1, 2, 3], [4, 5, 6]])
    return {
        "one": a,
        "list": [a, mx.nd.array([1, 2], dtype="int32")],
        "dict": {"w:0": a, "é": mx.nd.array([1, 0], dtype="uint8")},
        "empty": [],
        "zero-size": mx.nd.zeros((0, 2)),
        "cpu(1)": mx.nd.ones((1,), ctx=mx.cpu(1)),
        "pinned": mx.nd.ones((1,), ctx=mx.cpu_pinned()),
        **{
            name: mx.nd.array([1, 2, 3], dtype=name)
            for name in ("float64", "float16", "uint8", "int8", "int64")
        },
    }


def a_list(*arrays, names=()):
    packed = struct.pack("<QQQ", 0x112, 0, len(arrays)) + b"".join(arrays)
    packed += struct.pack("<Q", len(names))
    return packed + b"".join(struct.pack("<Q", len(n)) + n for n in names)


def version2(*dims, flag=0, data=DATA, storage=0, device=1):
    shape = struct.pack(f"<I{len(dims)}q", len(dims), *dims)
    head = struct.pack("<Ii", 0xF993FAC9, storage)
    return head + shape + struct.pack("<iii", device, 0, flag) + data


VERSION1 = struct.pack("<IIqqiii", 0xF993FAC8, 2, 2, 3, 1, 0, 0) + DATA
OLDEST = struct.pack("<IIIiii", 2, 2, 3, 1, 0, 0) + DATA


@pytest.mark.parametrize("name", list(RECORDED))
def test_files_are_those_of_mxnet_byte_for_byte(name, tmp_path):
    recorded = bytes.fromhex(RECORDED[name])
    path = tmp_path / "file.params"
    mx.nd.save(str(path), written()[name])
    assert path.read_bytes() == recorded

    path.write_bytes(recorded)
    expected = written()[name]
    if isinstance(expected, mx.nd.NDArray):
        expected = [expected]
    for loaded in (mx.nd.load(str(path)), mx.nd.load(path), mx.nd.load_frombuffer(recorded)):
        assert type(loaded) is type(expected)
        pairs = zip(loaded, expected)
        if isinstance(expected, dict):
            assert list(loaded) == list(expected)
            pairs = zip(loaded.values(), expected.values())
        for got, want in pairs:
            assert got.dtype == want.dtype
            assert got.context == mx.cpu(0)
            np.testing.assert_array_equal(got.asnumpy(), want.asnumpy())


def test_older_versions_of_the_format_are_read():
    want = np.frombuffer(DATA, dtype="float32").reshape(2, 3)
    for arrays in ([VERSION1], [OLDEST], [VERSION1, OLDEST], [version2(2, 3, device=2)]):
        for got in mx.nd.load_frombuffer(a_list(*arrays)):
            np.testing.assert_array_equal(got.asnumpy(), want)
    named = mx.nd.load_frombuffer(a_list(VERSION1, OLDEST, names=(b"a", b"b")))
    assert list(named) == ["a", "b"]


def test_a_shape_without_axes_travels(tmp_path):
    path = tmp_path / "scalar.params"
    mx.nd.save(path, [mx.nd.array(5), mx.nd.zeros((2,))])
    scalar, vector = mx.nd.load(path)
    assert scalar.shape == ()
    assert scalar.asscalar() == 5
    assert vector.shape == (2,)
    # As MXNet's version for NumPy shapes: the magic number and no axes.
    assert path.read_bytes()[24:36] == struct.pack("<Iii", 0xF993FACA, 0, 0)


def test_all_dtypes_come_back(tmp_path):
    arrays = {
        dtype: mx.nd.array([[0, 1], [2, 3]], dtype=dtype)
        for dtype in ("float32", "float64", "float16", "uint8", "int32", "int8", "int64", "bool")
    }
    mx.nd.save(tmp_path / "all", arrays)
    for dtype, got in mx.nd.load(tmp_path / "all").items():
        assert np.dtype(got.dtype) == dtype
        np.testing.assert_array_equal(got.asnumpy(), arrays[dtype].asnumpy())


# What MXNet 1.9.1 wrote for {"a": bfloat16 array, "b": ones((2,))}.
MXNET_BFLOAT16 = bytes.fromhex(
    "120100000000000000000000000000000200000000000000c9fa93f900000000010000000900000000000000"
    "01000000000000000c000000803f004049400100c07f807f803f813f7f7fc9fa93f900000000010000000200"
    "000000000000010000000000000000000000"
    "0000803f0000803f0200000000000000010000000000000061"
    "010000000000000062"
)


def test_bfloat16_of_mxnet():
    got = mx.nd.load_frombuffer(MXNET_BFLOAT16)
    values = [1.0, 2.0, 3.140625, 2.0**-133, np.nan, np.inf, 1.0, 1.0078125, 3.3895314e38]
    assert got["a"].astype("bfloat16", copy=False) is got["a"]
    np.testing.assert_array_equal(got["a"].astype("float32").asnumpy(), np.float32(values))
    assert got["b"].asnumpy().tolist() == [1, 1]


def test_bfloat16_is_written_as_mxnet_writes_it(tmp_path):
    path = tmp_path / "b.params"
    mx.nd.save(str(path), mx.nd.load_frombuffer(MXNET_BFLOAT16))
    assert path.read_bytes() == MXNET_BFLOAT16


def test_booleans_other_than_one_are_true():
    (got,) = mx.nd.load_frombuffer(a_list(version2(3, flag=7, data=b"\0\1\7")))
    assert got.asnumpy().view("uint8").tolist() == [0, 1, 1]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a .params file"),
        (b"hello world, this is no such file", "not a .params file"),
        (a_list(VERSION1)[:-12], "claims|truncated|ends"),
        (a_list(VERSION1)[:50], "truncated"),
        (struct.pack("<QQQ", 0x112, 0, 2**60) + bytes(100), "claims 1152921504606846976 arrays"),
        (a_list(version2(2**62, 8)), "larger than what is left"),
        (a_list(version2(2**40)), "larger than what is left"),
        (a_list(version2(2, -3)), "negative extent"),
        (a_list(struct.pack("<IiI", 0xF993FAC9, 0, 2**31) + bytes(64)), "claims 2147483648 axes"),
        (a_list(struct.pack("<IiI", 0xF993FAC9, 0, 900) + bytes(64)), "ends in the middle"),
        (a_list(struct.pack("<IiI", 0xF993FAC9, -1, 0) + bytes(64)), "array 0 has no shape"),
        (a_list(version2(2, 3, storage=3)), "storage type number 3"),
        (a_list(VERSION1, version2(2, 3, flag=9)), "array 1 has data type number 9"),
        (a_list(version2(2, 3, flag=-1)), "data type number -1"),
        (a_list(VERSION1, VERSION1, names=(b"a",)), "2 arrays and 1 names"),
        (a_list(VERSION1)[:-8] + struct.pack("<Qq", 1, -1), "ends in the middle"),
    ],
)
def test_what_is_no_such_file_is_a_clear_error(content, message, tmp_path):
    path = tmp_path / "bad.params"
    path.write_bytes(content)
    with pytest.raises(mx.base.MXNetError, match=message) as error:
        mx.nd.load(path)
    assert str(path) in str(error.value)
    with pytest.raises(mx.base.MXNetError, match=message):
        mx.nd.load_frombuffer(content)


def test_every_truncation_is_an_error():
    whole = a_list(version2(2, 3), VERSION1, OLDEST, names=(b"w", b"v1", b"old"))
    assert len(mx.nd.load_frombuffer(whole)) == 3
    for size in range(len(whole)):
        with pytest.raises(mx.base.MXNetError, match="load: the buffer: "):
            mx.nd.load_frombuffer(whole[:size])


def test_hostile_bytes_never_harm():
    """Bytes at random places of a good file: an error or arrays that the bytes can fill."""
    whole = a_list(
        version2(2, 3), VERSION1, OLDEST, version2(3, flag=7, data=b"\0\1\7"), names=[b"n"] * 4
    )
    random = np.random.RandomState(5)
    outcomes = set()
    for _ in range(20000):
        try:
            loaded = mx.nd.load_frombuffer(spoiled(whole, random))
        except mx.base.MXNetError:
            outcomes.add("error")
            continue
        outcomes.add("loaded")
        arrays = loaded.values() if isinstance(loaded, dict) else loaded
        assert sum(a.size * a.asnumpy().itemsize for a in arrays) <= 2 * len(whole)
    assert outcomes == {"error", "loaded"}


def test_a_file_that_cannot_be_read_or_written(tmp_path):
    with pytest.raises(mx.base.MXNetError, match="cannot be opened"):
        mx.nd.load(tmp_path / "absent")
    with pytest.raises(mx.base.MXNetError, match="directory"):
        mx.nd.load(tmp_path)
    with pytest.raises(mx.base.MXNetError, match="cannot be opened"):
        mx.nd.save(tmp_path / "absent" / "file", mx.nd.ones((1,)))
    if os.path.exists("/dev/full"):
        with pytest.raises(mx.base.MXNetError, match="cannot be written"):
            mx.nd.save("/dev/full", mx.nd.ones((100000,)))


def test_a_pipe_is_read(tmp_path):
    pipe = str(tmp_path / "pipe")
    os.mkfifo(pipe)
    content = a_list(version2(200, 1000, data=bytes(800000)), names=(b"big",))

    def feed():
        with open(pipe, "wb") as file:
            file.write(content)

    writer = threading.Thread(target=feed)
    writer.start()
    loaded = mx.nd.load(pipe)
    writer.join()
    assert loaded["big"].shape == (200, 1000)


def test_wrong_arguments_are_errors_and_write_nothing(tmp_path):
    path, a = tmp_path / "file", mx.nd.ones((1,))
    with pytest.raises(ValueError, match="got int"):
        mx.nd.save(path, 3)
    with pytest.raises(ValueError, match="got tuple"):
        mx.nd.save(path, (a,))
    with pytest.raises(TypeError, match="item 1 is not an NDArray but ndarray"):
        mx.nd.save(path, [a, np.ones(1)])
    with pytest.raises(TypeError, match="item 'b'"):
        mx.nd.save(path, {"a": a, "b": [a]})
    with pytest.raises(TypeError, match="names must be strings, got 1"):
        mx.nd.save(path, {1: a})
    with pytest.raises(TypeError, match="fname"):
        mx.nd.save(3, a)
    with pytest.raises(TypeError, match="fname"):
        mx.nd.load(3)
    with pytest.raises(TypeError, match="bytes"):
        mx.nd.load_frombuffer(bytearray(b"x"))
    assert not path.exists()


def test_views_are_saved_as_they_look(tmp_path):
    x = mx.nd.arange(12).reshape((4, 3))
    mx.nd.save(tmp_path / "view", x[1:3])
    np.testing.assert_array_equal(mx.nd.load(tmp_path / "view")[0].asnumpy(), x.asnumpy()[1:3])


def test_names_with_a_scheme(tmp_path):
    name = f"file://{tmp_path}/array"
    mx.nd.save(name, [mx.nd.ones((2,))])
    assert [path.name for path in tmp_path.iterdir()] == ["array"]
    assert mx.nd.load(name)[0].shape == mx.nd.load(str(tmp_path / "array"))[0].shape == (2,)
    with pytest.raises(mx.MXNetError, match="s3://bucket/array"):
        mx.nd.load("s3://bucket/array")
