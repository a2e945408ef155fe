"""DLPack: memory shared with NumPy, PyTorch and whoever else has it."""

import ctypes
import gc

import numpy as np
import pytest

import mxtape as mx
from mxtape._loader import core

DTYPES = ("float32", "float64", "float16", "uint8", "int32", "int8", "int64")
# NumPy exchanges booleans from 1.25 on, and read-only arrays from 2.1 on.
NUMPY = tuple(int(part) for part in np.__version__.split(".")[:2])


@pytest.mark.parametrize("dtype", DTYPES)
def test_numpy_shares_our_memory(dtype):
    x = mx.nd.array([[1, 2, 3], [4, 5, 6]], dtype=dtype)
    shared = np.from_dlpack(x)
    assert shared.dtype == dtype
    assert shared.ctypes.data == core.address(x)
    x[1, 2] = 9
    assert shared[1, 2] == 9


@pytest.mark.parametrize("dtype", DTYPES)
def test_we_share_numpys_memory(dtype):
    source = np.array([[1, 2, 3], [4, 5, 6]], dtype=dtype)
    x = mx.nd.from_dlpack(source)
    assert np.dtype(x.dtype) == dtype
    assert core.address(x) == source.ctypes.data
    x[0, 0] = 7
    assert source[0, 0] == 7


@pytest.mark.skipif(NUMPY < (1, 25), reason="NumPy exchanges booleans from 1.25 on")
def test_booleans_are_shared():
    source = np.array([True, False])
    x = mx.nd.from_dlpack(source)
    assert x.dtype == np.bool_
    assert np.from_dlpack(x).tolist() == [True, False]


def test_bfloat16_is_shared():
    x = mx.nd.array([1, 2.5], dtype="bfloat16")
    y = mx.nd.from_dlpack(x)
    assert core.address(y) == core.address(x)
    assert y.astype("bfloat16", copy=False) is y
    assert y.tolist() == [1, 2.5]


def test_capsules_are_consumed_once():
    x = mx.nd.arange(6).reshape((2, 3))
    for make in (mx.nd.to_dlpack_for_read, mx.nd.to_dlpack_for_write):
        capsule = make(x)
        y = mx.nd.from_dlpack(capsule)
        y[:] = 7
        assert x.asnumpy().tolist() == [[7] * 3] * 2
        with pytest.raises(AssertionError, match="consumed"):
            mx.nd.from_dlpack(capsule)
    assert mx.nd.from_dlpack(x.to_dlpack_for_read()).shape == (2, 3)
    assert mx.nd.from_dlpack(x.to_dlpack_for_write()).shape == (2, 3)


def test_memory_outlives_its_first_owner():
    x = mx.nd.array(np.arange(100000.0))
    shared = np.from_dlpack(x)
    del x
    gc.collect()
    mx.nd.zeros((100000,))
    assert shared[-1] == 99999
    source = np.arange(100000.0)
    y = mx.nd.from_dlpack(source)
    del source
    gc.collect()
    np.zeros(100000)
    assert y[99999].asscalar() == 99999


def test_nothing_leaks():
    before = core.pool_stats()[0]
    for _ in range(100):
        x = mx.nd.ones((1000,))
        unused = x.to_dlpack_for_read()
        shared = np.from_dlpack(x)
        y = mx.nd.from_dlpack(x)
    del x, unused, shared, y
    gc.collect()
    assert core.pool_stats()[0] == before


def test_views_and_empty_arrays():
    x = mx.nd.arange(12).reshape((4, 3))
    assert np.from_dlpack(x[1:3]).tolist() == x.asnumpy()[1:3].tolist()
    assert np.from_dlpack(mx.nd.zeros((0, 3))).shape == (0, 3)
    assert mx.nd.from_dlpack(np.zeros((0, 3))).shape == (0, 3)
    assert mx.nd.from_dlpack(np.array(5.0)).shape == ()
    # Strides of extents of 1 do not matter.
    assert mx.nd.from_dlpack(np.zeros((4, 3))[:, :1].reshape(1, 4)[:, ::1].copy()).shape == (1, 4)


def test_the_protocol():
    x = mx.nd.ones((2,))
    assert x.__dlpack_device__() == (1, 0)
    copied = mx.nd.from_dlpack(x.__dlpack__(copy=True))
    copied[:] = 5
    assert x.asnumpy().tolist() == [1, 1]
    versioned = x.__dlpack__(max_version=(1, 0), dl_device=(1, 0))
    assert "dltensor_versioned" in repr(versioned)
    assert '"dltensor"' in repr(x.__dlpack__(max_version=(0, 8)))
    assert mx.nd.from_dlpack(versioned).shape == (2,)
    with pytest.raises(BufferError, match="stream"):
        x.__dlpack__(stream=1)
    with pytest.raises(BufferError, match="CPU"):
        x.__dlpack__(dl_device=(2, 0))


@pytest.mark.skipif(NUMPY < (2, 1), reason="NumPy tells read-only arrays from 2.1 on")
def test_read_only_tensors_are_copied():
    source = np.arange(3.0)
    source.flags.writeable = False
    x = mx.nd.from_dlpack(source)
    x[:] = 1
    assert source.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (np.zeros((3, 4)).T, "not dense row-major"),
        (np.zeros((4, 4))[:, :2], "not dense row-major"),
        (np.zeros(4)[::-1], "not dense row-major"),
        (np.zeros(3, dtype="uint16"), "uint16"),
        (np.zeros(3, dtype="complex64"), "complex64"),
    ],
)
def test_tensors_that_do_not_fit(tensor, message):
    with pytest.raises((mx.base.MXNetError, TypeError), match=message):
        mx.nd.from_dlpack(tensor)


@pytest.mark.parametrize("what", [None, 3, [1.0], "capsule"])
def test_other_things_are_no_tensors(what):
    with pytest.raises(AssertionError, match="expected an object with __dlpack__"):
        mx.nd.from_dlpack(what)


def test_another_device_is_refused():
    class Elsewhere:
        def __dlpack_device__(self):
            return (2, 0)

        def __dlpack__(self, **_):
            raise AssertionError("must not be asked")

    with pytest.raises(mx.base.MXNetError, match="only the CPU"):
        mx.nd.from_dlpack(Elsewhere())


def test_a_foreign_name_is_no_capsule():
    new = ctypes.pythonapi.PyCapsule_New
    new.restype = ctypes.py_object
    new.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
    name = b"something else"
    with pytest.raises(AssertionError, match="DLPack"):
        mx.nd.from_dlpack(new(1, name, None))


def test_a_write_through_a_capsule_counts_as_a_change():
    x = mx.nd.ones((2,))
    x.attach_grad()
    with mx.autograd.record():
        y = (x * x).sum()
    mx.nd.from_dlpack(x.to_dlpack_for_write())[:] = 3
    with pytest.warns(UserWarning, match="changed"):
        y.backward()


class DLTensor(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.c_void_p),
        ("byte_offset", ctypes.c_uint64),
        ("manager_ctx", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
    ]


def made_capsule(data, ndim, shape):
    """A capsule of float32 as another library may hand it over, and what it needs to live."""
    extents = (ctypes.c_int64 * len(shape))(*shape) if shape is not None else None
    tensor = DLTensor(data, 1, 0, ndim, 2, 32, 1, extents)
    new = ctypes.pythonapi.PyCapsule_New
    new.restype, new.argtypes = (
        ctypes.py_object,
        [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p],
    )
    return new(ctypes.addressof(tensor), b"dltensor", None), (tensor, extents)


@pytest.mark.parametrize(
    ("memory", "ndim", "shape", "message"),
    [
        (False, 1, [3], "no memory"),
        (False, 0, None, "no memory"),
        (True, 2**30, [1] * 4, "axes"),
        (True, 1001, [1] * 1001, "axes"),
        (True, -1, [1], "axes"),
        (True, 2, None, "no shape"),
        (True, 2, [2, -1], "from_dlpack"),
        (True, 2, [2**40, 2**40], "from_dlpack"),
    ],
)
def test_capsules_that_cannot_be_read_are_refused(memory, ndim, shape, message):
    values = np.arange(16, dtype="float32")
    capsule, keep = made_capsule(values.ctypes.data if memory else None, ndim, shape)
    for _ in range(2):  # it is not consumed
        with pytest.raises(mx.MXNetError, match=message):
            mx.nd.from_dlpack(capsule)
    assert keep


def test_capsules_at_the_border_are_read():
    values = np.arange(16, dtype="float32")
    capsule, keep = made_capsule(values.ctypes.data, 100, [1] * 98 + [2, 8])
    assert mx.nd.from_dlpack(capsule).shape == (1,) * 98 + (2, 8)
    capsule, keep = made_capsule(None, 2, [0, 8])
    assert mx.nd.from_dlpack(capsule).shape == (0, 8)
    capsule, keep = made_capsule(values.ctypes.data, 0, None)
    assert mx.nd.from_dlpack(capsule).asscalar() == 0
    assert keep
