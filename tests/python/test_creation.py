"""Making arrays: values, shapes, default dtypes, and what is refused."""

import numpy as np
import pytest

import mxtape as mx
from mxtape import nd
from mxtape.base import MXNetError
from support import assert_same, output_of

DTYPES = ["float16", "float32", "float64", "uint8", "int8", "int32", "int64", "bool"]
ZERO_SIZE = pytest.mark.differs("MXNet 1.9.1 has no zero-size arrays outside of np_shape")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("spell", [str, np.dtype, lambda name: np.dtype(name).type])
def test_every_dtype_and_every_spelling(dtype, spell):
    array = nd.array([0, 1, 1], dtype=spell(dtype))
    assert array.dtype == np.dtype(dtype)
    assert array.asnumpy().dtype == np.dtype(dtype)
    assert array.asnumpy().tolist() == [0, 1, 1]
    assert nd.zeros((2,), dtype=spell(dtype)).dtype == np.dtype(dtype)


@pytest.mark.parametrize(
    ("source", "dtype"),
    [
        ([1, 2], "float32"),
        ([1.5], "float32"),
        ((1, 2), "float32"),
        (range(3), "float32"),
        ([True], "float32"),
        (5, "float32"),
        (2.5, "float32"),
        (np.array([1, 2]), "float32"),
        (np.array([1.0]), "float32"),
        (np.array([1], dtype="uint8"), "float32"),
        (np.array([True]), "float32"),
        (np.float64(3), "float32"),
        ([np.float64(1)], "float32"),
        (nd.array([1], dtype="int8"), "int8"),
        (nd.array([1], dtype="float64"), "float64"),
    ],
    ids=lambda value: repr(value).replace("\n", " ")[:30],
)
def test_default_dtype_of_array(source, dtype):
    assert nd.array(source).dtype == np.dtype(dtype)


def test_array_copies_its_source():
    source = np.array([1.0, 2.0], dtype="float32")
    array = nd.array(source)
    source[:] = 9
    assert_same(array, [1, 2])
    again = nd.array(array)
    again[:] = 7
    assert_same(array, [1, 2])


def test_array_of_any_memory_order():
    values = np.arange(24, dtype="float32").reshape(2, 3, 4)
    for view in (values.T, values[:, ::2], values[::-1], np.asfortranarray(values)):
        assert_same(nd.array(view), view)


def test_array_of_another_byte_order():
    values = np.array([1.0, 2.0], dtype=">f4")
    assert_same(nd.array(values), [1, 2])


def test_array_converts_as_numpy_does():
    assert nd.array([2.7, -2.7], dtype="int32").asnumpy().tolist() == [2, -2]
    assert np.isinf(nd.array([1e30], dtype="float16").asnumpy()[0])


def test_array_shapes():
    assert nd.array(3).shape == ()
    assert nd.array([]).shape == (0,)
    assert nd.array([[1, 2], [3, 4], [5, 6]]).shape == (3, 2)
    assert nd.array(np.zeros((1, 2, 1, 3))).shape == (1, 2, 1, 3)


def test_array_of_eight_axes():
    values = np.arange(256, dtype="float32").reshape((2,) * 8)
    assert_same(nd.array(values), values)


@pytest.mark.parametrize("source", [[[1, 2], [3]], "text", [1, "a"], {1, 2}, object()])
def test_array_of_what_is_no_array(source):
    with pytest.raises((TypeError, ValueError)):
        nd.array(source)


@pytest.mark.differs("MXNet refuses a list of its own arrays")
def test_array_of_a_list_of_arrays():
    assert_same(nd.array([nd.ones((2,)), nd.zeros((2,))]), [[1, 1], [0, 0]])


@pytest.mark.parametrize(("make", "value"), [(nd.zeros, 0), (nd.ones, 1)])
def test_zeros_and_ones(make, value):
    for shape, expected in [(3, (3,)), ((2, 3), (2, 3)), ([2, 1], (2, 1)), (np.int64(4), (4,))]:
        array = make(shape)
        assert array.dtype == np.float32
        assert_same(array, np.full(expected, value))
    assert make((2,), dtype=None).dtype == np.float32
    assert make((2, 3), mx.cpu(0), "int32").dtype == np.int32
    assert make(shape=(2,), ctx=mx.cpu(), dtype="uint8").asnumpy().tolist() == [value, value]


def test_full_and_empty():
    assert_same(nd.full((2, 2), 3.5), [[3.5, 3.5], [3.5, 3.5]])
    assert nd.full((2,), 3, dtype="int64").dtype == np.int64
    assert_same(nd.full((2, 2), nd.array([1, 2])), [[1, 2], [1, 2]])
    assert nd.empty((2, 3)).shape == (2, 3)
    assert nd.empty(4).dtype == np.float32
    assert nd.empty((2,), dtype="int8").dtype == np.int8


def test_like():
    source = nd.array([[1, 2]], dtype="int32")
    assert nd.zeros_like(source).asnumpy().tolist() == [[0, 0]]
    assert nd.ones_like(source).asnumpy().tolist() == [[1, 1]]
    assert nd.zeros_like(source).dtype == nd.ones_like(source).dtype == np.int32
    assert source.zeros_like().asnumpy().tolist() == [[0, 0]]
    assert source.ones_like().asnumpy().tolist() == [[1, 1]]


def test_zeros_are_zero_in_reused_memory():
    for _ in range(20):
        dirty = nd.full((1000,), 7)
        dirty.wait_to_read()
        del dirty
        assert not nd.zeros((1000,)).asnumpy().any()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((5,), [0, 1, 2, 3, 4]),
        ((2, 10, 3), [2, 5, 8]),
        ((5, 1, -2), [5, 3]),
        ((0, 1, 0.3), [0, 0.3, 0.6, 0.9]),
        ((1, 3), [1, 2]),
        ((-2, 2), [-2, -1, 0, 1]),
    ],
)
def test_arange(arguments, expected):
    array = nd.arange(*arguments)
    assert array.dtype == np.float32
    assert_same(array, expected)


def test_arange_options():
    assert_same(nd.arange(3, repeat=2), [0, 0, 1, 1, 2, 2])
    assert nd.arange(3, dtype="int8").dtype == np.int8
    assert nd.arange(start=1, stop=4, step=2, dtype="int32").asnumpy().tolist() == [1, 3]
    long = nd.arange(2**24, 2**24 + 4, dtype="int64")
    assert long.asnumpy().tolist() == [2**24, 2**24 + 1, 2**24 + 2, 2**24 + 3]


@pytest.mark.parametrize("arguments", [(3, 1), (0, 5, -1), (0, 5, 0)])
def test_arange_that_never_ends(arguments):
    with pytest.raises(MXNetError):
        nd.arange(*arguments)


def test_eye():
    assert_same(nd.eye(3), np.eye(3))
    assert_same(nd.eye(2, 3, 1), np.eye(2, 3, 1))
    assert_same(nd.eye(4, 3, -2), np.eye(4, 3, -2))
    assert_same(nd.eye(3, M=2), np.eye(3, 2))
    assert nd.eye(2, dtype="int32").dtype == np.int32


def test_linspace():
    assert_same(nd.linspace(0, 1, 5), np.linspace(0, 1, 5))
    assert_same(nd.linspace(0, 1, 5, endpoint=False), np.linspace(0, 1, 5, endpoint=False))
    assert_same(nd.linspace(3, -1, 3), [3, 1, -1])
    assert_same(nd.linspace(2, 9, 1), [2])
    assert nd.linspace(0, 10, 3, dtype="int32").asnumpy().tolist() == [0, 5, 10]


# from_numpy


def test_from_numpy_shares_memory():
    source = np.ones((2, 3), dtype="float32")
    array = nd.from_numpy(source, zero_copy=True)
    assert not source.flags.writeable
    array[:] = 3
    array.wait_to_read()
    assert source.tolist() == [[3, 3, 3]] * 2


def test_from_numpy_is_zero_copy_by_default():
    source = np.ones((2,), dtype="float32")
    nd.from_numpy(source)
    assert not source.flags.writeable


def test_from_numpy_can_copy():
    source = np.ones((2, 3), dtype="float32")
    array = nd.from_numpy(source, zero_copy=False)
    assert source.flags.writeable
    source[:] = 9
    assert_same(array, np.ones((2, 3)))


def test_from_numpy_keeps_the_source_alive():
    def make():
        return nd.from_numpy(np.arange(100000, dtype="float32"))

    array = make()
    scratch = [np.full(100000, 7.0, dtype="float32") for _ in range(5)]
    assert_same(array, np.arange(100000))
    assert len(scratch) == 5


@pytest.mark.parametrize("dtype", ["float64", "int32", "uint8", "int64"])
def test_from_numpy_keeps_the_dtype(dtype):
    assert nd.from_numpy(np.arange(3, dtype=dtype)).dtype == np.dtype(dtype)


def test_from_numpy_refuses_what_is_not_contiguous():
    with pytest.raises(ValueError, match="contiguous"):
        nd.from_numpy(np.ones((2, 3), dtype="float32").T)


def test_from_numpy_refuses_a_dtype_that_does_not_exist_here():
    with pytest.raises((ValueError, TypeError), match="complex64"):
        nd.from_numpy(np.ones((2,), dtype="complex64"))


# Zero-size arrays


@ZERO_SIZE
@pytest.mark.parametrize("shape", [(0,), (0, 3), (2, 0), (2, 0, 4)])
def test_zero_size_arrays(shape):
    values = np.zeros(shape, dtype="float32")
    for array in (nd.zeros(shape), nd.ones(shape), nd.full(shape, 3), nd.empty(shape)):
        assert array.shape == shape
        assert array.size == 0
        assert array.asnumpy().shape == shape
    array = nd.zeros(shape)
    for result, expected in [
        (array + 1, values + 1),
        (array * array, values),
        (nd.exp(array), values),
        (array.reshape((-1, 1)) if shape[0] == 0 else array.T, None),
        (array.copy(), values),
    ]:
        assert result.size == 0
        if expected is not None:
            assert result.shape == expected.shape
    assert str(shape[0]) in repr(array)


@ZERO_SIZE
def test_reductions_of_zero_size_arrays():
    empty = nd.zeros((0, 3))
    assert_same(empty.sum(axis=0), [0, 0, 0])
    assert_same(nd.prod(empty, axis=0), [1, 1, 1])
    assert empty.sum(axis=1).shape == (0,)
    assert_same(empty.sum(), [0])


@ZERO_SIZE
def test_dot_over_a_zero_axis_is_zero():
    assert_same(nd.dot(nd.zeros((2, 0)), nd.zeros((0, 3))), np.zeros((2, 3)))


@ZERO_SIZE
def test_concat_with_a_zero_size_array():
    assert_same(nd.concat(nd.zeros((0, 2)), nd.ones((1, 2)), dim=0), [[1, 1]])


@ZERO_SIZE
def test_gradient_through_a_zero_size_array():
    x = nd.array([1.0, 2.0, 3.0])
    x.attach_grad()
    with mx.autograd.record():
        y = x[1:1].sum() + (x * 2).sum()
    y.backward()
    assert_same(x.grad, [2, 2, 2])


@pytest.mark.parametrize("shape", [(-1, 2), "ab", (2.5,), (2, "a")])
def test_wrong_shape(shape):
    with pytest.raises((MXNetError, TypeError, ValueError)):
        nd.zeros(shape).asnumpy()


@pytest.mark.parametrize("dtype", ["foo", "complex64", object])
def test_wrong_dtype(dtype):
    for make in (nd.zeros, nd.ones, nd.empty):
        with pytest.raises((TypeError, KeyError, ValueError, MXNetError)):
            make((2,), dtype=dtype)


def test_too_large_an_array_is_an_error_not_a_crash():
    printed = output_of(
        """
        import mxtape as mx
        try:
            mx.nd.zeros((2**30, 2**30)).wait_to_read()
        except (mx.MXNetError, MemoryError) as error:
            print("refused")
        """
    )
    assert printed.split()[-1] == "refused"
