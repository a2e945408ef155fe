"""NDArray: attributes, conversions, views, arithmetic, text, copies."""

import copy

import numpy as np
import pytest

import mxtape as mx
from mxtape import nd
from mxtape.base import MXNetError
from support import assert_same

DTYPES = ["float16", "float32", "float64", "uint8", "int8", "int32", "int64"]
NEW_HERE = pytest.mark.differs("NDArray of MXNet 1.9.1 does not have it")


def sample(shape=(2, 3), dtype="float32"):
    return nd.array(np.arange(1, np.prod(shape) + 1).reshape(shape), dtype=dtype)


# Attributes


def test_attributes():
    array = sample((2, 3, 4))
    assert array.shape == (2, 3, 4)
    assert isinstance(array.shape, tuple)
    assert all(type(axis) is int for axis in array.shape)
    assert (array.size, array.ndim, len(array)) == (24, 3, 2)
    assert array.dtype is np.float32
    assert array.stype == "default"
    assert array.writable is True
    assert array.context == array.ctx == mx.cpu()
    assert array.grad is None
    assert array.T.shape == (4, 3, 2)
    assert array.handle is not None


@pytest.mark.parametrize("name", ["shape", "dtype", "size", "ndim", "context", "T", "grad"])
def test_attribute_cannot_be_set(name):
    with pytest.raises(AttributeError):
        setattr(sample(), name, 3)


def test_unknown_attribute():
    with pytest.raises(AttributeError, match="no_such_thing"):
        _ = sample().no_such_thing
    with pytest.raises(AttributeError, match="no_such_operator"):
        _ = nd.no_such_operator


def test_transpose_reverses_the_axes_and_copies():
    array = sample((2, 3))
    transposed = array.T
    assert_same(transposed, [[1, 4], [2, 5], [3, 6]])
    transposed[:] = 0
    assert_same(array, [[1, 2, 3], [4, 5, 6]])


# Conversions


@pytest.mark.parametrize("dtype", DTYPES)
def test_asnumpy_copies(dtype):
    array = sample(dtype=dtype)
    values = array.asnumpy()
    assert values.dtype == np.dtype(dtype)
    assert values.flags.writeable
    values[:] = 0
    assert array.asnumpy().tolist() == [[1, 2, 3], [4, 5, 6]]


def test_asscalar():
    for array in (nd.array([2.5]), nd.array([[2.5]]), nd.array(2.5)):
        assert array.asscalar() == 2.5
    assert isinstance(nd.array([5], dtype="int32").asscalar(), (int, np.int32))
    with pytest.raises(ValueError, match="scalar"):
        sample().asscalar()


@NEW_HERE
def test_item():
    assert nd.array([2.5]).item() == 2.5
    assert type(nd.array([5], dtype="int32").item()) is int
    with pytest.raises(ValueError, match="one element"):
        sample().item()


@NEW_HERE
def test_numpy_converts_it():
    array = sample()
    assert np.asarray(array).tolist() == [[1, 2, 3], [4, 5, 6]]
    assert np.asarray(array).dtype == np.float32
    assert np.array(array, dtype="int64").dtype == np.int64
    assert np.add(np.ones((2, 3)), np.asarray(array)).sum() == 27
    assert array.__array__("float64").dtype == np.float64


@NEW_HERE
def test_one_element_converts_to_a_number():
    assert float(nd.array([2.5])) == 2.5
    assert int(nd.array([2.5])) == 2
    assert [10, 20, 30][nd.array([1], dtype="int32")] == 20
    for convert in (float, int):
        with pytest.raises((TypeError, ValueError)):
            convert(sample())
    with pytest.raises(TypeError):
        [10, 20][nd.array([1.0])]


def test_bool():
    assert nd.array([1.0])
    assert not nd.array([0.0])
    assert not nd.array([[0]], dtype="int32")
    assert nd.array([-0.5])
    with pytest.raises(ValueError, match="ambiguous"):
        bool(sample())


def test_len_and_iteration():
    array = sample((3, 2))
    assert len(array) == 3
    rows = list(array)
    assert [row.asnumpy().tolist() for row in rows] == [[1, 2], [3, 4], [5, 6]]
    assert [element.shape for element in nd.array([1, 2])] == [(1,), (1,)]
    _, _, third = array
    third[:] = 0
    assert array.asnumpy()[2].tolist() == [0, 0]
    assert [row.shape for row in reversed(sample((2, 5)))] == [(5,), (5,)]


def test_scalar_array_has_no_len():
    with pytest.raises(IndexError):
        len(nd.array(5))


def test_membership_goes_by_value():
    assert 5 in [5, sample()]


def test_waiting():
    array = sample()
    assert array.wait_to_read() is None
    assert mx.nd.waitall() is None


# Text


@pytest.mark.parametrize(
    ("array", "text"),
    [
        (nd.ones((2, 3)), "\n[[1. 1. 1.]\n [1. 1. 1.]]\n<NDArray 2x3 @cpu(0)>"),
        (nd.array([1, 2], dtype="int32"), "\n[1 2]\n<NDArray 2 @cpu(0)>"),
        (nd.array([2.5]), "\n[2.5]\n<NDArray 1 @cpu(0)>"),
        (nd.array(3), "\n3.0\n<NDArray  @cpu(0)>"),
        (nd.array([1.0], ctx=mx.cpu(2)), "\n[1.]\n<NDArray 1 @cpu(2)>"),
    ],
)
def test_repr(array, text):
    assert repr(array) == text
    assert str(array) == text
    assert f"{array}" == text


def test_repr_of_a_large_array_is_short():
    assert len(repr(nd.zeros((1000, 1000)))) < 1000


# Casting and copies


@pytest.mark.parametrize("source", DTYPES)
@pytest.mark.parametrize("target", DTYPES)
def test_astype(source, target):
    array = sample(dtype=source)
    result = array.astype(target)
    assert result is not array
    assert result.dtype == np.dtype(target)
    assert result.asnumpy().tolist() == [[1, 2, 3], [4, 5, 6]]


def test_astype_copy():
    array = sample()
    assert array.astype("float32", copy=False) is array
    assert array.astype(np.float32, copy=False) is array
    assert array.astype("float32") is not array
    assert array.astype("int32", copy=False).dtype == np.int32
    array.astype("float32")[:] = 0
    assert_same(array, [[1, 2, 3], [4, 5, 6]])


def test_astype_truncates_towards_zero():
    assert nd.array([2.9, -2.9, 0.5]).astype("int32").asnumpy().tolist() == [2, -2, 0]


@pytest.mark.parametrize("dtype", ["foo", "complex64", "U5"])
def test_astype_of_what_does_not_exist(dtype):
    with pytest.raises((TypeError, KeyError, ValueError)):
        sample().astype(dtype)


@pytest.mark.parametrize("make", [lambda a: a.copy(), copy.copy, copy.deepcopy, nd.array])
def test_copies_are_apart(make):
    array = sample()
    array.attach_grad()
    copied = make(array)
    assert copied.grad is None
    assert copied.dtype == array.dtype
    copied[:] = 0
    assert_same(array, [[1, 2, 3], [4, 5, 6]])


def test_deepcopy_of_a_view_has_its_own_memory():
    array = sample()
    copied = copy.deepcopy(array[1])
    assert_same(copied, [4, 5, 6])
    copied[:] = 0
    assert_same(array, [[1, 2, 3], [4, 5, 6]])


def test_copyto():
    array, target = sample(), nd.zeros((2, 3))
    assert array.copyto(target) is target
    assert_same(target, [[1, 2, 3], [4, 5, 6]])
    cast = nd.zeros((2, 3), dtype="int32")
    array.copyto(cast)
    assert cast.dtype == np.int32
    assert cast.asnumpy().tolist() == [[1, 2, 3], [4, 5, 6]]
    array.copyto(target[0:2])


def test_copyto_into_a_view():
    target = nd.zeros((3, 3))
    sample().copyto(target[1:])
    assert_same(target, [[0, 0, 0], [1, 2, 3], [4, 5, 6]])


def test_copyto_refuses():
    target = nd.zeros((3,))
    with pytest.raises((MXNetError, ValueError)):
        sample().copyto(target)
    assert_same(target, [0, 0, 0])
    with pytest.raises(TypeError):
        sample().copyto(3)


def test_as_nd_ndarray_and_tostype():
    array = sample()
    assert array.as_nd_ndarray() is array
    assert_same(array.tostype("default"), [[1, 2, 3], [4, 5, 6]])


# Reshaping


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((6, 4), (6, 4)),
        ((-1,), (24,)),
        ((0, -1), (2, 12)),
        ((-1, 0), (8, 3)),
        ((0, 0, -1), (2, 3, 4)),
        ((-2,), (2, 3, 4)),
        ((0, -2), (2, 3, 4)),
        ((-2, 1, 1), (2, 3, 4, 1, 1)),
        ((-3, 0), (6, 4)),
        ((0, -3), (2, 12)),
        ((-4, 1, 2, -2), (1, 2, 3, 4)),
        ((0, -4, -1, 3, 0), (2, 1, 3, 4)),
        ((2, -4, 3, -1, 4), (2, 3, 1, 4)),
        ((-3, -2), (6, 4)),
        ((4, 0, -1), (4, 3, 2)),
        ((1, -1, 1), (1, 24, 1)),
    ],
)
def test_reshape_codes(shape, expected):
    array = sample((2, 3, 4))
    values = array.asnumpy().reshape(expected)
    assert_same(array.reshape(shape), values)
    assert_same(array.reshape(*shape), values)
    assert_same(array.reshape(shape=shape), values)
    assert_same(array.reshape(list(shape)), values)
    assert_same(nd.reshape(array, shape=shape), values)


def test_reshape_reverse():
    array = sample((2, 3, 4))
    assert array.reshape((0, -1), reverse=True).shape == (3, 8)
    assert nd.reshape(array, shape=(-1, 0), reverse=True).shape == (6, 4)


@pytest.mark.parametrize("shape", [(4, 6), (0, -1), (-3, 0), (-4, 1, 2, -2), (-2,), (24,)])
def test_reshape_method_is_a_view(shape):
    array = sample((2, 3, 4))
    array.reshape(shape)[:] = 9
    assert (array.asnumpy() == 9).all()


def test_reshape_of_a_view_shares_too():
    array = sample((4, 3))
    array[1:3].reshape((3, 2))[2] = 0
    assert_same(array, [[1, 2, 3], [4, 5, 6], [7, 0, 0], [10, 11, 12]])


@pytest.mark.parametrize(
    "make",
    [
        lambda a: nd.reshape(a, shape=(6,)),
        lambda a: a.flatten(),
        lambda a: a.expand_dims(0),
        lambda a: a.reshape_like(nd.ones((6,))),
        lambda a: nd.squeeze(a.reshape((1, 2, 3))).copy(),
        lambda a: a.transpose(),
        lambda a: a.swapaxes(0, 1),
    ],
    ids=["nd.reshape", "flatten", "expand_dims", "reshape_like", "squeeze", "transpose", "swap"],
)
def test_operators_copy(make):
    array = sample()
    make(array)[:] = 9
    assert_same(array, [[1, 2, 3], [4, 5, 6]])


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda a: a.expand_dims(0, inplace=True), (1, 2, 3)),
        (lambda a: a.flatten(inplace=True), (2, 3)),
        (lambda a: a.reshape((1, 2, 3)).squeeze(0, inplace=True), (2, 3)),
    ],
    ids=["expand_dims", "flatten", "squeeze"],
)
def test_inplace_shape_methods_are_views(make, shape):
    array = sample()
    view = make(array)
    assert view.shape == shape
    view[:] = 9
    assert (array.asnumpy() == 9).all()


@pytest.mark.parametrize(
    "shape", [(4, 5), (), (-1, -1), (0, -1, 0, 0), (5, -1), (-4, 5, 2), (7,), (-5,)]
)
def test_reshape_that_does_not_fit(shape):
    array = sample()
    with pytest.raises((MXNetError, ValueError)):
        array.reshape(shape)
    assert array.shape == (2, 3)


def test_reshape_to_fewer_elements_is_refused():
    with pytest.raises((MXNetError, ValueError)):
        sample((2, 3, 4)).reshape((3, 4))


def test_reshape_needs_a_shape():
    with pytest.raises((AssertionError, TypeError)):
        sample().reshape()


# Arithmetic

BINARY = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "%": lambda a, b: a % b,
    "**": lambda a, b: a**b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}
each_binary = pytest.mark.parametrize("sign", BINARY)


@each_binary
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_binary_of_arrays_and_numbers(sign, dtype):
    operator = BINARY[sign]
    left = np.array([[1.5, -2.0, 3.0], [2.0, 2.0, -4.5]], dtype=dtype)
    right = np.array([[2.0, 3.0, 3.0], [-1.0, 2.0, 2.0]], dtype=dtype)
    a, b = nd.array(left, dtype=dtype), nd.array(right, dtype=dtype)
    for result, expected in [
        (operator(a, b), operator(left, right)),
        (operator(a, 2), operator(left, 2)),
        (operator(a, 2.0), operator(left, 2)),
        (operator(2, b), operator(2, right)),
        (operator(a, np.float64(2)), operator(left, 2)),
    ]:
        assert result.dtype == np.dtype(dtype)
        assert_same(result, expected.astype(dtype))


@each_binary
def test_binary_broadcasts(sign):
    operator = BINARY[sign]
    left = np.arange(1, 7, dtype="float32").reshape(2, 1, 3)
    right = np.arange(1, 9, dtype="float32").reshape(8, 1)
    assert_same(operator(nd.array(left), nd.array(right)), operator(left, right).astype("float32"))


@pytest.mark.parametrize(
    ("compute", "expected"),
    [
        (lambda x: x / 2, [2, -2, 3]),
        (lambda x: 7 / x, [1, -1, 1]),
        (lambda x: x + 2.5, [7, -3, 9]),
        (lambda x: x * 2.7, [10, -10, 14]),
        (lambda x: x**2, [25, 25, 49]),
        (lambda x: -x, [-5, 5, -7]),
        (lambda x: abs(x), [5, 5, 7]),
        (lambda x: x == 5, [1, 0, 0]),
    ],
)
def test_whole_numbers_stay_whole(compute, expected):
    """Kept from MXNet: the number becomes the array's dtype first, and division truncates."""
    result = compute(nd.array([5, -5, 7], dtype="int32"))
    assert result.dtype == np.int32
    assert result.asnumpy().tolist() == expected


def test_unary():
    array = nd.array([5, -5, 7])
    assert_same(-array, [-5, 5, -7])
    assert_same(abs(array), [5, 5, 7])


def test_modulo_has_the_sign_of_the_divisor():
    array = nd.array([5.0, -5.0, 7.0])
    assert_same(array % 3, [2, 1, 1])
    assert_same(array % -3, [-1, -2, -2])
    assert_same(10 % array, [0, 0, 3])


def test_comparison_with_itself_and_hash():
    array = sample()
    assert (array == array).asnumpy().all()
    assert (array == array).dtype == np.float32
    assert hash(array) == hash(array)
    assert len({array, array, array.copy()}) == 2


INPLACE = {
    "+=": (lambda a, b: a.__iadd__(b), np.add),
    "-=": (lambda a, b: a.__isub__(b), np.subtract),
    "*=": (lambda a, b: a.__imul__(b), np.multiply),
    "/=": (lambda a, b: a.__itruediv__(b), np.true_divide),
    "%=": (lambda a, b: a.__imod__(b), np.mod),
}


@pytest.mark.parametrize("sign", INPLACE)
@pytest.mark.parametrize("other", [2, 2.5, "array", "row"])
def test_inplace_operators_keep_the_memory(sign, other):
    operator, reference = INPLACE[sign]
    array, values = sample(), sample().asnumpy()
    if other == "array":
        other = nd.array([[2, 3, 4], [5, 6, 7]])
    elif other == "row":
        other = nd.array([[2, 3, 4]])
    plain = other.asnumpy() if isinstance(other, nd.NDArray) else other
    view = array[0]
    assert operator(array, other) is array
    assert_same(array, reference(values, plain))
    assert_same(view, reference(values, plain)[0])


def test_inplace_cannot_grow():
    row = nd.ones((1, 3))
    with pytest.raises((MXNetError, ValueError)):
        row += nd.ones((2, 3))
    assert_same(row, [[1, 1, 1]])


@pytest.mark.parametrize("other", ["text", None, [1, 2], np.ones((2, 3)), {}, object()])
def test_arithmetic_with_another_type(other):
    for operator in (BINARY["+"], BINARY["*"], BINARY["/"], BINARY["<"]):
        with pytest.raises(TypeError):
            operator(sample(), other)


def test_dtypes_do_not_mix():
    with pytest.raises(MXNetError):
        (sample() + sample(dtype="int32")).asnumpy()
    with pytest.raises(MXNetError):
        (sample() * sample(dtype="float64")).asnumpy()


@pytest.mark.differs("MXNet says `Incompatible attr in node`")
def test_mixing_dtypes_names_both():
    with pytest.raises(MXNetError) as raised:
        sample() + sample(dtype="int32")
    assert "float32" in str(raised.value)
    assert "int32" in str(raised.value)
    assert "add" in str(raised.value)


# Methods are the operators


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("sum", {"axis": 1}),
        ("sum", {}),
        ("mean", {"axis": 0, "keepdims": True}),
        ("max", {"axis": 1}),
        ("min", {}),
        ("prod", {"axis": 0}),
        ("norm", {}),
        ("argmax", {"axis": 1}),
        ("argmin", {"axis": 0}),
        ("exp", {}),
        ("log", {}),
        ("sqrt", {}),
        ("square", {}),
        ("sin", {}),
        ("tanh", {}),
        ("sigmoid", {}),
        ("relu", {}),
        ("abs", {}),
        ("clip", {"a_min": 2, "a_max": 4}),
        ("softmax", {"axis": 1}),
        ("log_softmax", {}),
        ("transpose", {}),
        ("expand_dims", {"axis": 1}),
        ("flip", {"axis": 0}),
        ("tile", {"reps": (2, 1)}),
        ("repeat", {"repeats": 2, "axis": 1}),
        ("round", {}),
        ("slice_axis", {"axis": 1, "begin": 0, "end": 2}),
        ("reciprocal", {}),
        ("sign", {}),
        ("slice", {"begin": (0, 1), "end": (2, 3)}),
        ("swapaxes", {"dim1": 0, "dim2": 1}),
        ("zeros_like", {}),
        ("ones_like", {}),
        ("nansum", {}),
        ("rsqrt", {}),
        ("floor", {}),
    ],
)
def test_method_agrees_with_the_function(name, arguments):
    array = sample() / 3
    method = getattr(array, name)(**arguments)
    function = getattr(nd, name)(array, **arguments)
    assert method.shape == function.shape
    assert method.dtype == function.dtype
    np.testing.assert_array_equal(method.asnumpy(), function.asnumpy())


def test_methods_that_take_arrays():
    array = sample()
    assert_same(array.take(nd.array([1, 0])), [[4, 5, 6], [1, 2, 3]])
    assert_same(array.pick(nd.array([0, 2])), [1, 6])
    assert_same(nd.array([0, 2]).one_hot(3), [[1, 0, 0], [0, 0, 1]])
    assert_same(nd.array([1, 2]).broadcast_to((2, 2)), [[1, 2], [1, 2]])
    assert_same(nd.array([[1], [2]]).broadcast_like(array), [[1, 1, 1], [2, 2, 2]])
    assert [part.shape for part in array.split(num_outputs=3, axis=1)] == [(2, 1)] * 3


def test_reduction_to_one_number_has_shape_one():
    assert sample().sum().shape == (1,)
    assert sample().max().shape == (1,)
    assert sample().norm().shape == (1,)


def test_helpers_of_the_module():
    assert_same(nd.maximum(nd.array([1, 2]), 1.5), [1.5, 2])
    assert_same(nd.minimum(1, nd.array([1, 2])), [1, 1])
    assert_same(nd.power(2, nd.array([1, 2])), [2, 4])
    assert nd.add(1, 2) == 3
    assert_same(nd.add(nd.array([1]), 2), [3])
    assert_same(nd.concatenate([nd.ones((1, 2)), nd.zeros((1, 2))]), [[1, 1], [0, 0]])
    assert nd.moveaxis(nd.ones((2, 3, 4)), 0, 2).shape == (3, 4, 2)
    assert mx.ndarray is not None
    assert mx.ndarray.NDArray is nd.NDArray
