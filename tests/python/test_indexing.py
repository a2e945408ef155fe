"""x[key] and x[key] = value against NumPy, over many keys; which results are views."""

import numpy as np
import pytest

import mxtape as mx
from mxtape import nd
from mxtape.base import MXNetError
from support import assert_same

SHAPE = (2, 3, 4)
full = slice(None)

# Keys that MXNet answers as NumPy does. True: the result shares memory with the array.
BASIC = [
    (0, True),
    (-1, True),
    (full, True),
    (slice(0, 1), True),
    (slice(1, None), True),
    (slice(-1, None), True),
    (slice(None, None, -1), False),
    ((0, 1), True),
    ((1, -1), True),
    ((full, 1), False),
    ((Ellipsis, 0), False),
    ((Ellipsis, slice(1, 3)), False),
    ((0, Ellipsis), True),
    (Ellipsis, True),
    ((full, slice(None, None, 2)), False),
    ((full, full, slice(3, None, -2)), False),
    ((full, slice(-10, 10)), True),
    (None, True),
    ((0, None, 1), True),
    ((None, Ellipsis), True),
    ((slice(-1, None), slice(-2, None)), True),
    ((slice(None, None, -1), slice(2, 0, -1)), False),
    ((1, full, -1), False),
    ((np.int64(1), np.int32(2)), True),
    ((full, 0, slice(1, 2)), False),
    ((1, slice(0, 1)), True),
    ((0, 0, slice(1, 3)), True),
    ((full, full, full), True),
    ((0, slice(0, 3), full), True),
]

ADVANCED = [
    [0, 1],
    [1, 1, 0],
    ([0, 1], [1, 2]),
    (full, [0, 2]),
    ([0, 1], full, [0, 3]),
    np.array([1, 0]),
    (full, np.array([[0, 1], [2, 0]])),
    (0, [0, 2], slice(None, None, 2)),
    ([0], [1], [2]),
    ([[0], [1]], [[0, 1]]),
    (slice(0, 2), [0, 0, 1]),
    (Ellipsis, [0, 1]),
    (1, [0, 1]),
    (np.array([0, 1], dtype="uint8"),),
    (full, full, [3, 0, 0]),
]

NEGATIVE_ADVANCED = [[-1, -2], (full, [-1, 0]), ([-1, 0], [-3, 2])]

EMPTY = [
    slice(5, 7),
    slice(1, 1),
    (full, slice(3, 1)),
    [],
    np.zeros((0,), dtype="int64"),
    (0, slice(2, 2)),
]

MASKS = [
    np.arange(24).reshape(SHAPE) % 5 == 0,
    np.array([True, False]),
    (full, np.array([True, False, True])),
    np.zeros(SHAPE, dtype=bool),
    np.ones(SHAPE, dtype=bool),
]

MXNET_EMPTY = pytest.mark.differs(
    "MXNet 1.9.1 has no zero-size arrays outside of np_shape", run=False
)
MXNET_NEGATIVE = pytest.mark.differs("MXNet writes outside of the array", run=False)
MXNET_MASK = pytest.mark.differs("MXNet takes True and False for the indices 1 and 0", run=False)


def ids(keys):
    return [str(index) + ":" + repr(key).replace("\n", "")[:60] for index, key in enumerate(keys)]


def pair(dtype="float32"):
    values = np.arange(24, dtype=dtype).reshape(SHAPE)
    return nd.array(values, dtype=dtype), values


def key_params(*groups):
    params = []
    for keys, marks in groups:
        for name, key in zip(ids(keys), keys):
            params.append(pytest.param(key, id=name, marks=marks))
    return params


BASIC_KEYS = [key for key, _ in BASIC]
every_key = pytest.mark.parametrize(
    "key",
    key_params(
        (BASIC_KEYS, ()),
        (ADVANCED, ()),
        (NEGATIVE_ADVANCED, MXNET_NEGATIVE),
        (EMPTY, MXNET_EMPTY),
        (MASKS, MXNET_MASK),
    ),
)


@every_key
@pytest.mark.parametrize("dtype", ["float32", "int32", "float64", "uint8"])
def test_reading_agrees_with_numpy(key, dtype):
    array, values = pair(dtype)
    result = array[key]
    assert result.dtype == array.dtype
    assert result.shape == values[key].shape
    np.testing.assert_array_equal(result.asnumpy(), values[key])


@every_key
def test_assigning_a_number_agrees_with_numpy(key):
    array, values = pair()
    array[key] = -7
    values[key] = -7
    np.testing.assert_array_equal(array.asnumpy(), values)


@every_key
@pytest.mark.parametrize(
    "wrap", [nd.array, np.asarray, lambda v: v.tolist()], ids=["nd", "numpy", "list"]
)
def test_assigning_an_array_agrees_with_numpy(key, wrap):
    array, values = pair()
    if not values[key].size and isinstance(wrap(values[key]), list):
        pytest.skip("a list without numbers has lost the shape: NumPy refuses it too")
    new = 100 + np.arange(values[key].size, dtype="float32").reshape(values[key].shape)
    array[key] = wrap(new)
    values[key] = new
    np.testing.assert_array_equal(array.asnumpy(), values)


@every_key
def test_assigning_broadcasts(key):
    array, values = pair()
    if values[key].ndim == 0 or values[key].shape[-1] == 0:
        new = np.ones((1,), dtype="float32")
    else:
        new = np.arange(values[key].shape[-1], dtype="float32")
    array[key] = nd.array(new)
    values[key] = new
    np.testing.assert_array_equal(array.asnumpy(), values)


@pytest.mark.parametrize(("key", "is_view"), BASIC, ids=ids(BASIC_KEYS))
def test_contiguous_basic_indexing_is_a_view_and_the_rest_a_copy(key, is_view):
    array, _ = pair()
    array[key][:] = -5
    assert bool((array.asnumpy() == -5).any()) == is_view


@pytest.mark.parametrize("key", ADVANCED, ids=ids(ADVANCED))
def test_advanced_indexing_copies(key):
    array, values = pair()
    array[key][:] = -5
    np.testing.assert_array_equal(array.asnumpy(), values)


def test_change_of_the_array_shows_in_its_view():
    array, _ = pair()
    view, copy = array[1], array[:, 1]
    array[:] = 9
    assert (view.asnumpy() == 9).all()
    assert not (copy.asnumpy() == 9).any()


def test_view_keeps_the_memory_alive():
    def make():
        array, values = pair()
        return array[1], values[1]

    view, expected = make()
    scratch = [nd.zeros(SHAPE) for _ in range(50)]
    np.testing.assert_array_equal(view.asnumpy(), expected)
    assert len(scratch) == 50


def test_view_of_a_view():
    array, values = pair()
    array[1][1:3][0][2:][:] = -1
    values[1, 1, 2:] = -1
    np.testing.assert_array_equal(array.asnumpy(), values)


def test_full_index_gives_one_element_of_shape_one():
    array, values = pair()
    element = array[1, 2, 3]
    assert element.shape == (1,)
    assert element.asscalar() == values[1, 2, 3]
    assert nd.array([5.0, 6.0])[1].shape == (1,)


def test_integer_arrays_of_this_package_are_indices():
    array, values = pair()
    for dtype in ("int32", "int64", "float32", "uint8"):
        index = nd.array([1, 0, 1], dtype=dtype)
        np.testing.assert_array_equal(array[index].asnumpy(), values[[1, 0, 1]])
    np.testing.assert_array_equal(
        array[nd.array([0, 1]), nd.array([2, 1])].asnumpy(), values[[0, 1], [2, 1]]
    )


def test_comparison_result_is_float_and_so_an_index():
    """Kept from MXNet: x > 0 has the dtype of x, and float arrays index by their values."""
    array = nd.array([10.0, 20.0, 30.0])
    assert_same(array[array > 15], [10, 20, 20])


@pytest.mark.differs("MXNet refuses a boolean NDArray as a key")
def test_boolean_array_of_this_package_is_a_mask():
    array, values = pair()
    mask = values % 3 == 0
    np.testing.assert_array_equal(array[nd.array(mask, dtype="bool")].asnumpy(), values[mask])
    array[nd.array(mask, dtype="bool")] = -1
    values[mask] = -1
    np.testing.assert_array_equal(array.asnumpy(), values)


@pytest.mark.differs("MXNet takes True and False for the indices 1 and 0")
def test_mask_of_another_length_is_refused():
    with pytest.raises(IndexError):
        nd.ones((3,))[np.array([True, False])]


def test_repeated_index_in_an_assignment_keeps_the_last():
    array = nd.zeros((3,))
    array[[0, 0, 2]] = nd.array([1.0, 2.0, 3.0])
    assert_same(array, [2, 0, 3])


def test_assigning_casts_to_the_arrays_dtype():
    array = nd.zeros((3,), dtype="int32")
    array[0] = 2.9
    array[1:] = np.array([-1.9, 7.0])
    assert array.dtype == np.int32
    assert array.asnumpy().tolist() == [2, -1, 7]


def test_assigning_from_itself():
    array = nd.array([1.0, 2.0, 3.0, 4.0])
    array[:] = array[::-1]
    assert_same(array, [4, 3, 2, 1])
    array[0:2] = array[2:4]
    assert_same(array, [2, 1, 2, 1])


def test_augmented_assignment_to_an_item():
    array, values = pair()
    array[:, 1] += 10
    array[0] *= 2
    array[[0, 1], 0] -= 1
    values[:, 1] += 10
    values[0] *= 2
    values[[0, 1], 0] -= 1
    np.testing.assert_array_equal(array.asnumpy(), values)


@pytest.mark.parametrize(
    "key", [2, -3, (0, 3), (0, 0, 4), (0, 0, -5), (full, 3)], ids=lambda key: str(key)
)
def test_index_out_of_range(key):
    array, values = pair()
    with pytest.raises(IndexError, match="out of bounds"):
        array[key]
    with pytest.raises(IndexError, match="out of bounds"):
        array[key] = 1
    np.testing.assert_array_equal(array.asnumpy(), values)


@pytest.mark.differs("MXNet clips or crashes on an out-of-range index array", run=False)
@pytest.mark.parametrize("key", [[0, 2], [-3], (full, [0, 3]), np.array([5])])
def test_index_array_out_of_range(key):
    array, values = pair()
    with pytest.raises(IndexError, match="out of bounds"):
        array[key].asnumpy()
    with pytest.raises(IndexError, match="out of bounds"):
        array[key] = 1
    np.testing.assert_array_equal(array.asnumpy(), values)


def test_too_many_indices():
    with pytest.raises(IndexError, match="too many indices"):
        pair()[0][0, 0, 0, 0]


@pytest.mark.parametrize("key", ["name", 1.5, {1: 2}, (0, "name")])
def test_key_of_a_wrong_type(key):
    with pytest.raises((ValueError, TypeError, IndexError)):
        pair()[0][key]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (full, nd.ones((5,))),
        (0, nd.ones((3, 5))),
        ((full, 1), [1, 2, 3]),
        (slice(0, 1), np.ones((2, 3, 4))),
    ],
)
def test_value_that_does_not_broadcast(key, value):
    array, values = pair()
    with pytest.raises((ValueError, MXNetError)):
        array[key] = value
    np.testing.assert_array_equal(array.asnumpy(), values)


@pytest.mark.parametrize("value", ["text", {}, object()])
def test_value_of_a_wrong_type(value):
    array, values = pair()
    with pytest.raises((TypeError, ValueError)):
        array[:] = value
    np.testing.assert_array_equal(array.asnumpy(), values)


def test_zero_step_is_refused():
    with pytest.raises((ValueError, MXNetError)):
        pair()[0][::0]


@pytest.mark.differs("MXNet drops the last axis of a NumPy value, not the new one")
def test_assigning_numpy_through_a_trailing_new_axis():
    array, values = pair()
    new = values[None, ..., None] + 100
    array[None, ..., None] = new
    np.testing.assert_array_equal(array.asnumpy(), values + 100)


@pytest.mark.differs("MXNet 1.9.1 cannot write to a () array outside of np_shape")
def test_scalar_array():
    scalar = nd.array(5.0)
    assert scalar.shape == ()
    assert scalar.asscalar() == 5
    scalar[()] = 7
    assert scalar.asscalar() == 7


def test_take_of_random_slices_agrees_with_numpy():
    """Random keys: starts, stops and steps on both sides of every limit."""
    rng = np.random.default_rng(17)
    values = np.arange(5 * 6 * 7, dtype="float32").reshape(5, 6, 7)
    array = mx.nd.array(values)
    checked = 0
    for _ in range(400):
        key = tuple(
            int(rng.integers(-n, n))
            if rng.random() < 0.3
            else slice(
                *[None if rng.random() < 0.3 else int(rng.integers(-n - 2, n + 3)) for _ in "ab"],
                [None, 1, 2, -1, -2, 3][rng.integers(6)],
            )
            for n in values.shape[: rng.integers(1, 4)]
        )
        expected = values[key]
        if expected.size == 0:
            continue
        np.testing.assert_array_equal(
            array[key].asnumpy(), np.atleast_1d(expected), err_msg=str(key)
        )
        changed, expected_change = array.copy(), values.copy()
        changed[key] = -1
        expected_change[key] = -1
        np.testing.assert_array_equal(changed.asnumpy(), expected_change, err_msg=str(key))
        checked += 1
    assert checked > 200


def test_helpers_that_take_keys_apart():
    code = nd.get_indexing_dispatch_code
    for key in [(0, 1), (slice(None),), (None, 0), (), (True,), (np.int64(1),)]:
        assert code(key) == 0
    for key in [([0, 1],), (0, (1, 2)), (nd.array([0]),), (np.array([True, False]),), (range(2),)]:
        assert code(key) == 1
    with pytest.raises(AssertionError, match="must be a tuple"):
        code(0)
    for item in (1.5, "a", {}, Ellipsis):
        with pytest.raises(ValueError, match="not an index"):
            code((item,))
    expand, rest = nd.indexing_key_expand_implicit_axes, slice(None)
    for key, expanded in [
        (0, (0, rest, rest)),
        (Ellipsis, (rest, rest, rest)),
        ((None, 0), (None, 0, rest, rest)),
        ((Ellipsis, 0), (rest, rest, 0)),
        ((0, [1]), (0, [1], rest)),
    ]:
        assert expand(key, (2, 3, 4)) == (expanded, -1)
    with pytest.raises(IndexError, match="too many"):
        expand((0, 0), (2,))
