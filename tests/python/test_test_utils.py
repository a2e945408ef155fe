"""mx.test_utils: each function on what it should accept and on what it should refuse."""

import os
import re
import threading

import numpy as np
import pytest

import mxtape as mx
from mxtape import nd
from mxtape import test_utils as tu
from mxtape.base import MXNetError
from support import output_of, run_program

NAN, INF = np.nan, np.inf


@pytest.fixture(autouse=True)
def seeded():
    np.random.seed(3)  # noqa: NPY002


# --- tolerances


def test_default_tolerances():
    types = ["float16", "float32", "float64", "int32", "bool"]
    assert [tu.get_rtol(dtype=np.dtype(t)) for t in types] == [1e-2, 1e-4, 1e-5, 0, 0]
    assert [tu.get_atol(dtype=np.dtype(t)) for t in types] == [1e-1, 1e-3, 1e-20, 0, 0]
    assert [tu.default_numeric_eps()[np.dtype(t)] for t in types[:3]] == [2**-6, 2**-9, 2**-14]
    assert set(tu.default_rtols()) == set(tu.default_atols()) >= {np.dtype(t) for t in types}
    assert (tu.get_rtol(0), tu.get_atol(0), tu.get_etol(0.5), tu.get_etol()) == (0, 0, 0.5, 0)
    tu.default_rtols().clear()
    assert tu.get_rtol() == 1e-5


def test_the_wider_tolerance_of_two_arrays():
    half, single, integers = np.ones(1, "f2"), nd.ones((1,)), np.ones(1, "i4")
    assert tu.get_tols(half, single, None, None) == (1e-2, 1e-1)
    assert tu.get_tols(single, 1.0, None, None) == (1e-4, 1e-3)
    assert tu.get_tols(integers, integers, None, None) == (0, 0)
    assert tu.get_tols(integers.astype("i2"), 1, None, None) == (0, 0)
    assert tu.get_tols(half, half, 0.25, {np.dtype("f2"): 0.5}) == (0.25, 0.5)
    assert tu.get_tols(half, half, {np.dtype("f4"): 0.5}, None) == (1e-2, 1e-1)
    with pytest.raises(KeyError):
        tu.get_tols(np.ones(1, "c8"), 1.0, None, None)


# --- comparisons

# What is compared; whether it is equal; whether it is with equal_nan.
PAIRS = {
    "equal": ([1.0, 2], [1.0, 2], True, True),
    "close": ([1.0, 2], [1.0, 2 + 1e-9], True, True),
    "far": ([1.0, 2], [1.0, 3], False, False),
    "nan and nan": ([1.0, NAN], [1.0, NAN], False, True),
    "nan and number": ([1.0, NAN], [1.0, 2], False, False),
    "inf and inf": ([1.0, INF], [1.0, INF], True, True),
    "inf and -inf": ([1.0, INF], [1.0, -INF], False, False),
    "inf and number": ([1.0, INF], [1.0, 3], False, False),
    "number and inf": ([1.0, 3], [1.0, INF], False, False),
    "other shape": ([1.0, 1], [[1.0, 1], [1.0, 1]], True, True),
    "empty": ([], [], True, True),
    "tolerance of the second": ([100.0], [100.0011], False, False),
    "just inside": ([100.0011], [100.0015], True, True),
}


@pytest.mark.parametrize("name", PAIRS)
def test_comparing(name):
    a, b, equal, equal_with_nan = PAIRS[name]
    a, b = np.array(a), np.array(b)
    for nan, expected in ((False, equal), (True, equal_with_nan)):
        assert tu.almost_equal(a, b, equal_nan=nan) is expected
        arguments = {"rtol": 1e-5, "atol": 1e-20, "equal_nan": nan}
        for x, y in ((a, b), (nd.array(a, dtype="float64"), b), (a.tolist(), b)):
            if expected:
                tu.assert_almost_equal(x, y, **arguments)
                tu.assert_almost_equal_with_err(x, y, **arguments)
            else:
                with pytest.raises(AssertionError, match="a and b differ in 1 of"):
                    tu.assert_almost_equal(x, y, **arguments)
                with pytest.raises(AssertionError):
                    tu.assert_almost_equal_with_err(x, y, **arguments)


def test_comparing_ndarrays():
    x, y = nd.array([1.0, 2.0]), nd.array([1.0, 2.1])
    assert tu.almost_equal(x, x.copy())
    assert not tu.almost_equal(x, y)
    tu.assert_almost_equal(x, y, rtol=0.1)
    tu.assert_almost_equal(x.astype("float16"), x + 0.05)  # the tolerance of float16
    with pytest.raises(AssertionError):
        tu.assert_almost_equal(x, x + 0.05)
    with pytest.raises(MXNetError, match=r"ours has shape \(2,\), b has shape \(2, 1\)"):
        tu.assert_almost_equal(x, x.reshape((2, 1)), names=("ours", "b"))
    tu.assert_almost_equal(x, x.asnumpy().reshape((1, 2)))


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int64", "bool"])
def test_integers_are_equal_or_not(dtype):
    x, y = np.array([0, 1], dtype), np.array([1, 1], dtype)
    tu.assert_almost_equal(x, x)
    with pytest.raises(AssertionError, match=r"differ in 1 of 2 elements"):
        tu.assert_almost_equal(x, y, mismatches=(1, 1), names=("x", "y"))
    with pytest.raises(AssertionError):
        tu.assert_almost_equal(y, x)


def test_large_integers():
    with pytest.raises(AssertionError):
        tu.assert_almost_equal(np.array([2**53]), np.array([2**53 + 1]))
    tu.assert_almost_equal(np.array([2**53 + 1]), np.array([2**53 + 1]))


def test_shapes_may_be_required_to_agree():
    a, b = np.ones((2,)), np.ones((2, 2))
    for call in (tu.almost_equal, tu.assert_almost_equal):
        with pytest.raises(AssertionError, match=r"the shapes differ: \(2,\) and \(2, 2\)"):
            call(a, b, use_broadcast=False)
        call(a, a, use_broadcast=False)
        with pytest.raises(ValueError, match="broadcast"):
            call(a, np.ones(3))


@pytest.mark.parametrize("value", [None, "text", [None]])
def test_only_numbers_are_compared(value):
    with pytest.raises(TypeError, match="numbers"):
        tu.almost_equal(value, np.ones(1))


def test_the_message_shows_the_worst():
    a = np.zeros((4, 5), "f4")
    b = a.copy()
    b[1, 2], b[3, 3], b[0, 0], b[2, 0] = 3, 1, -2, NAN
    with pytest.raises(AssertionError) as caught:
        tu.assert_almost_equal(a, b, names=("ours", "theirs"))
    lines = str(caught.value).splitlines()
    assert lines[0] == (
        "ours and theirs differ in 4 of 20 elements (20 %), with rtol=0.0001 and atol=0.001"
    )
    assert [re.search(r"\(\d, \d\)", line).group() for line in lines[1:5]] == [
        "(2, 0)",
        "(1, 2)",
        "(0, 0)",
        "(3, 3)",
    ]
    assert lines[2] == "  element (1, 2): ours=0.0, theirs=3.0; off by 3, 2308 times the tolerance"
    assert lines[5].startswith("ours = [[0.")
    with pytest.raises(AssertionError) as caught:
        tu.assert_almost_equal(a, b, mismatches=(2, 1))
    assert str(caught.value).count("element (") == 2
    with pytest.raises(AssertionError, match=r"worst element \(\): a=1, b=2; off by 1"):
        tu.assert_almost_equal(1, 2)
    with pytest.raises(AssertionError, match=r"differ in 10000 of 10000") as caught:
        tu.assert_almost_equal(np.zeros((100, 100)), np.ones((100, 100)))
    assert len(str(caught.value)) < 3000


def test_a_part_may_differ():
    a, b = np.zeros(10), np.zeros(10)
    b[:2] = 1
    tu.assert_almost_equal_with_err(a, b, etol=0.2)
    tu.assert_almost_equal_with_err(np.array([]), np.array([]), etol=0.2)
    with pytest.raises(AssertionError, match=r"differ in 2 of 10 .* 10 % may differ"):
        tu.assert_almost_equal_with_err(a, b, etol=0.1)
    with pytest.raises(AssertionError):
        tu.assert_almost_equal_with_err(a, b)


def test_ignoring_nan():
    tu.assert_almost_equal_ignore_nan(np.array([1, NAN, 5]), np.array([1, 3, NAN]))
    tu.assert_almost_equal_ignore_nan(nd.array([1, NAN]), [1, 2])
    tu.assert_almost_equal_ignore_nan(np.array([1, 2]), np.array([1, 2]))
    a = np.array([1, NAN])
    with pytest.raises(AssertionError):
        tu.assert_almost_equal_ignore_nan(a, np.array([2, NAN]))
    assert np.isnan(a[1])


def test_allclose_has_numpys_tolerances():
    tu.assert_allclose(np.array([1, NAN]), np.array([1 + 1e-8, NAN]))
    with pytest.raises(AssertionError):
        tu.assert_allclose(nd.array([1.0]), nd.array([1.00001]))


def test_same():
    x = nd.array([1.0, 2.0])
    assert tu.same(x, x.copy()) is True
    assert tu.same(x, np.array([1.0, 2.0])) is True
    assert tu.same(x, x + 1) is tu.same(x, x.reshape((2, 1))) is tu.same(x, None) is False


def test_same_array():
    x = nd.array([NAN, 2.0, 3.0])
    assert tu.same_array(x, x[:])
    assert tu.same_array(x, x.detach())
    for other in (x.copy(), x[1:], x.reshape((3, 1)), x[:2]):
        assert not tu.same_array(x, other)
    halves = nd.array([1.0, 2.0])
    assert not tu.same_array(halves[:1], halves[1:])


def test_tuples_of_arrays():
    x, y = nd.ones((2,)), nd.zeros((2,))
    tu.compare_ndarray_tuple((x, (y, None)), (x, (y, x)))
    tu.compare_ndarray_tuple([x], (x,))
    tu.compare_ndarray_tuple(None, x)
    tu.compare_ndarray_tuple((x,), (y,), rtol=0, atol=1)
    with pytest.raises(AssertionError):
        tu.compare_ndarray_tuple((x, (y,)), (x, (x,)))
    with pytest.raises(AssertionError, match="1 arrays in one, 2"):
        tu.compare_ndarray_tuple((x,), (x, y))


def test_assert_exception():
    tu.assert_exception(lambda a, b: a / b, ArithmeticError, 3, b=0)
    with pytest.raises(AssertionError, match="raised nothing"):
        tu.assert_exception(lambda: 1, ZeroDivisionError)
    with pytest.raises(ZeroDivisionError):
        tu.assert_exception(lambda: 1 / 0, ValueError)


# --- arrays


def test_the_default_context_belongs_to_the_thread():
    seen = []
    try:
        with mx.cpu(1):
            tu.set_default_context(mx.cpu(4))
            assert tu.default_context() == mx.cpu(4)
        assert tu.default_context() == mx.cpu(0)
        tu.set_default_context(mx.cpu(2))
        assert tu.rand_ndarray((1,)).context == nd.ones((1,)).context == mx.cpu(2)
        thread = threading.Thread(target=lambda: seen.append(tu.default_context()))
        thread.start()
        thread.join()
        with mx.cpu(3):
            assert tu.default_context() == mx.cpu(3)
        assert tu.default_context() == mx.cpu(2)
    finally:
        tu.set_default_context(mx.cpu(0))
    assert seen == [mx.cpu(0)]
    with pytest.raises(MXNetError, match=r"gpu\(0\)"):
        tu.set_default_context(mx.gpu(0))
    with pytest.raises(TypeError):
        tu.set_default_context("cpu")
    assert tu.default_context() == mx.cpu(0)


def test_random_arrays():
    one, two = tu.random_arrays((50, 40)), tu.random_arrays((2,), ())
    assert (one.shape, one.dtype, [a.shape for a in two]) == ((50, 40), "float32", [(2,), ()])
    assert abs(one.mean()) < 0.1
    assert abs(one.std() - 1) < 0.1
    assert tu.random_arrays() == tu.random_uniform_arrays() == []
    flat, other = tu.random_uniform_arrays((3,), 4, low=3, high=5, dtype="float64")
    assert (flat.dtype, other.shape) == ("float64", (4,))
    assert ((flat >= 3) & (flat < 5)).all()
    with pytest.raises(TypeError, match="bad"):
        tu.random_uniform_arrays((2,), bad=1)


@pytest.mark.parametrize(
    "draw",
    [
        lambda: tu.random_arrays((3,)),
        lambda: tu.random_uniform_arrays((3,))[0],
        lambda: tu.rand_ndarray((3,)).asnumpy(),
        lambda: np.array(tu.rand_shape_nd(4, 1000)),
        lambda: np.array(tu.rand_coord_2d(0, 1000, 0, 1000)),
        lambda: np.array(tu.random_sample(range(1000), 3)),
        lambda: tu.new_matrix_with_real_eigvals_2d(3),
    ],
)
def test_numpys_seed_decides(draw):
    np.random.seed(5)  # noqa: NPY002
    first, second = draw(), draw()
    np.random.seed(5)  # noqa: NPY002
    assert np.array_equal(draw(), first)
    assert not np.array_equal(first, second)


def test_a_seed_gives_the_numbers_that_it_gives_in_mxnet():
    def seeded(draw):
        np.random.seed(5)  # noqa: NPY002
        return draw()

    normal = [0.4412275, -0.33087015, 2.430771]
    assert np.allclose(seeded(lambda: tu.rand_ndarray((3,)).asnumpy()), normal)
    assert np.allclose(seeded(lambda: tu.random_arrays((3,))), normal)
    uniform = seeded(lambda: tu.random_uniform_arrays((2,), (1,), low=-1, high=2))
    assert np.allclose(np.concatenate(uniform), [-0.33402050, 1.6121969, -0.37984252])
    assert seeded(lambda: tu.rand_shape_nd(4, 100)) == (100, 79, 62, 17)
    assert seeded(lambda: tu.rand_shape_2d(100, 100)) == (100, 79)
    assert seeded(lambda: tu.rand_coord_2d(0, 100, 0, 1000)) == (99, 206)
    assert seeded(lambda: tu.random_sample(list(range(10)), 4)) == [9, 5, 2, 4]


def test_random_sample():
    drawn = [tu.random_sample((1, 2, 3), 2) for _ in range(100)]
    assert {tuple(d) for d in drawn} == {(1, 2), (1, 3), (2, 1), (2, 3), (3, 1), (3, 2)}
    with pytest.raises(AssertionError):
        tu.random_sample([1, 2], 3)


def test_rand_ndarray():
    array = tu.rand_ndarray((2, 3), dtype="float16", ctx=mx.cpu(1))
    assert (array.shape, array.dtype, array.context) == ((2, 3), np.float16, mx.cpu(1))
    assert tu.rand_ndarray(()).shape == ()
    assert tu.rand_ndarray((0, 2)).shape == (0, 2)
    assert tu.rand_ndarray((2,), dtype="int32").dtype == np.int32
    assert tu.rand_ndarray((2, 2), "csr", density=0.5).stype == "csr"


def test_random_shapes():
    assert {tu.rand_shape_2d(2, 1) for _ in range(50)} == {(1, 1), (2, 1)}
    assert {tu.rand_shape_3d(1, 2, 1) for _ in range(50)} == {(1, 1, 1), (1, 2, 1)}
    assert {tu.rand_shape_nd(1, 2, True) for _ in range(50)} == {(0,), (1,), (2,)}
    assert {tu.rand_shape_2d(1, 0, True) for _ in range(50)} == {(0, 0), (1, 0)}
    assert tu.rand_shape_nd(0) == ()
    assert {tu.rand_coord_2d(1, 3, 5, 7) for _ in range(50)} == {(1, 5), (1, 6), (2, 5), (2, 6)}


def test_numbered_arrays():
    assert tu.create_vector(3, "float32").asnumpy().tolist() == [0, 1, 2]
    matrix = tu.create_2d_tensor(3, 2)
    assert (matrix.dtype, matrix.asnumpy().tolist()) == (np.int64, [[0, 0], [1, 1], [2, 2]])
    assert tu.get_identity_mat(3).asnumpy().tolist() == np.eye(3).tolist()
    assert tu.get_identity_mat_batch(2).asnumpy().tolist() == [np.eye(2).tolist()] * 2


@pytest.mark.parametrize("axis", [None, 0, -1, (0, 2), (-1, 0), [1], ()])
@pytest.mark.parametrize("keepdims", [False, True])
def test_np_reduce(axis, keepdims):
    values = np.arange(24.0).reshape(2, 3, 4)
    axes = tuple(axis) if isinstance(axis, list) else axis
    assert np.array_equal(
        tu.np_reduce(values, axis, keepdims, np.sum), values.sum(axis=axes, keepdims=keepdims)
    )


def test_collapse_sum_like():
    values = np.arange(24.0).reshape(2, 3, 4)
    for shape in ((3, 1), (4,), (1, 1, 4), (2, 3, 4), ()):
        x = np.zeros(shape)
        collapsed = tu.collapse_sum_like(values, shape)
        assert collapsed.shape == shape
        # The adjoint of broadcasting.
        assert np.isclose(
            (values * np.broadcast_to(x + 2, values.shape)).sum(), 2 * collapsed.sum()
        )
    assert tu.collapse_sum_like(nd.ones((2, 3)), (2, 1)).asnumpy().tolist() == [[3], [3]]
    assert tu.collapse_sum_like(np.ones((2, 0)), (2, 1)).tolist() == [[0], [0]]
    for shape in ((2, 3, 2), (2, 2, 3, 4), (0,)):
        with pytest.raises(AssertionError):
            tu.collapse_sum_like(values, shape)


def test_assigning_each():
    a, b = np.array([[1, 2]]), np.array([[3.0, 5.0]])
    assert tu.assign_each(a, lambda v: v / 2).tolist() == [[0.5, 1]]
    assert tu.assign_each(nd.array(a), lambda v: v + 1).tolist() == [[2, 3]]
    assert tu.assign_each2(a, b, lambda v, w: v * w).tolist() == [[3, 10]]
    assert tu.assign_each(np.zeros((0, 2)), abs).shape == (0, 2)
    for copied in (tu.assign_each(a, None), tu.assign_each2(a, b, None)):
        assert copied.tolist() == a.tolist()
        assert not np.shares_memory(copied, a)
    with pytest.raises(AssertionError):
        tu.assign_each2(a, b[0], max)


@pytest.mark.parametrize("n", [0, 1, 2, 7, 30])
def test_matrices(n):
    q = tu.new_orthonormal_matrix_2d(n)
    assert np.allclose(q @ q.T, np.eye(n))
    general, symmetric = (
        tu.new_matrix_with_real_eigvals_2d(n),
        tu.new_sym_matrix_with_real_eigvals_2d(n),
    )
    assert np.array_equal(symmetric, symmetric.T)
    for matrix in (general, symmetric):
        assert (matrix.shape, matrix.dtype) == ((n, n), "float64")
        values = np.linalg.eigvals(matrix)
        assert np.isreal(values).all()
        assert (np.abs(values) < 10).all()
    assert n < 2 or not np.allclose(general, general.T)


def test_many_matrices():
    for make in (tu.new_matrix_with_real_eigvals_nd, tu.new_sym_matrix_with_real_eigvals_nd):
        matrices = make((2, 3, 2, 2))
        assert matrices.shape == (2, 3, 2, 2)
        assert len({m.tobytes() for m in matrices.reshape(6, 4)}) == 6
        assert make((0, 2, 2)).shape == (0, 2, 2)
        for shape in ((2, 3), (2,)):
            with pytest.raises(ValueError, match="square"):
                make(shape)


# --- gradients


def test_numeric_grad():
    x, y = np.array([1.0, 2.0]), np.array([[3.0, 4.0]])
    by_name = tu.numeric_grad(lambda x, y: x * x * y, {"y": y, "x": x}, eps=1e-2)
    assert list(by_name) == ["y", "x"]
    tu.assert_almost_equal(by_name["x"], [6.0, 16.0], rtol=1e-3)
    tu.assert_almost_equal(by_name["y"], [[1.0, 4.0]], rtol=1e-3)
    assert by_name["x"].dtype == np.float32
    # The step is from half below to half above: an error of eps ** 2 / 4.
    cubic = tu.numeric_grad(lambda x: x**3, [nd.array(x)], eps=0.1, dtype="float64")
    tu.assert_almost_equal(cubic[0], np.array([3.0025, 12.0025]), rtol=1e-9)
    both = tu.numeric_grad(lambda x, y: [x.sum(), y * 2], [x, y], dtype="float64")
    tu.assert_almost_equal(both[0], [1.0, 1.0])
    tu.assert_almost_equal(both[1], [[2.0, 2.0]])
    indices = nd.array([1, 0, 1], dtype="int32")
    taken = tu.numeric_grad(nd.take, [x, indices], dtype="float64")
    tu.assert_almost_equal(taken[0], [1.0, 2.0])
    assert taken[1] is None


GOOD = {
    "product": (lambda x, y: x * y, [(2, 3), (2, 3)]),
    "broadcast": (lambda x, y: nd.broadcast_mul(x, y), [(2, 1), (1, 3)]),
    "two outputs": (lambda x: [x * x, nd.sin(x)], [(3,)]),
    "an output of integers": (lambda x: (x * 3, nd.argmax(x, axis=0).astype("int32")), [(3,)]),
    "no axes": (lambda x: x * x, [()]),
    "empty": (lambda x: x * x, [(0, 2)]),
    "second order": (lambda x: _derivative(x), [(3,)]),
}


def _derivative(x):
    if x.grad is None:
        x.attach_grad()
    with mx.autograd.record():
        y = x**3
        return mx.autograd.grad(y, x, create_graph=True)[0]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", GOOD)
def test_a_right_gradient(name, dtype):
    function, shapes = GOOD[name]
    location = [np.random.uniform(-1, 1, shape) for shape in shapes]  # noqa: NPY002
    tu.check_numeric_gradient(function, location, dtype=dtype)


class _Wrong(mx.autograd.Function):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, x):
        self.save_for_backward(x)
        return x * x

    def backward(self, dy):
        (x,) = self.saved_tensors
        return self.factor * x * dy


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_wrong_gradient(dtype):
    location = {"data": np.array([1.0, -2.0])}
    tu.check_numeric_gradient(lambda data: _Wrong(2)(data), location, dtype=dtype)
    with pytest.raises(AssertionError, match="NUMERICAL_data and BACKWARD_data differ in 2 of 2"):
        tu.check_numeric_gradient(lambda data: _Wrong(2.01)(data), location, dtype=dtype)
    with pytest.raises(AssertionError):  # a gradient that is not there at all
        tu.check_numeric_gradient(lambda data: nd.BlockGrad(data) * 2, location, dtype=dtype)


def test_errors_that_would_cancel_are_found():
    class Swapped(mx.autograd.Function):
        def forward(self, x):
            return x * 3

        def backward(self, dy):
            return nd.reverse(dy * 3, axis=0)

    with pytest.raises(AssertionError):
        tu.check_numeric_gradient(lambda x: Swapped()(x), [np.array([1.0, 2.0])])


def test_arguments_to_check():
    x, y = np.array([1.0, 2.0]), np.array([3.0, 4.0])

    def half(x, y):
        return nd.BlockGrad(x) * y

    tu.check_numeric_gradient(half, [x, y], grad_nodes=["y"])
    tu.check_numeric_gradient(half, {"x": x, "y": y}, grad_nodes={"y": "add", "x": "null"})
    with pytest.raises(AssertionError, match="BACKWARD_x"):
        tu.check_numeric_gradient(half, [x, y])
    with pytest.raises(AssertionError, match="BACKWARD_x"):
        tu.check_numeric_gradient(half, [x, y], grad_nodes={"x": "add"})
    with pytest.raises(KeyError, match="'z' is none of x, y"):
        tu.check_numeric_gradient(half, [x, y], grad_nodes=["z"])
    with pytest.raises(ValueError, match="'never'"):
        tu.check_numeric_gradient(half, [x, y], grad_nodes={"x": "never"})
    # Indices stay integers, and names are made up where there are none.
    tu.check_numeric_gradient(lambda *a: nd.take(*a), [x, nd.array([1, 1], dtype="int32")])


def test_checking_within_record():
    x = nd.array([1.0, 2.0])
    x.attach_grad()
    with mx.autograd.record():
        y = x * x
        tu.check_numeric_gradient(lambda a: a * a * 3, [y])
        assert mx.autograd.is_recording()
    y.backward()
    assert x.grad.asnumpy().tolist() == [2, 4]
    assert y.grad is None


def test_auxiliary_arrays():
    def scaled(x, factor):
        result = x * factor.copy()
        with mx.autograd.pause():
            factor += 1  # as a moving average would be: each call must get a copy
        return result

    x, factor = np.array([1.0, 2.0]), nd.array([3.0])
    tu.check_numeric_gradient(scaled, [x], aux_states=[factor])
    tu.check_numeric_gradient(scaled, {"x": x}, aux_states={"factor": factor})
    assert factor.asscalar() == 3


def test_training_mode_is_what_was_asked_for():
    seen = set()

    def function(x):
        seen.add(mx.autograd.is_training())
        return x * 2

    for training in (True, False):
        seen.clear()
        tu.check_numeric_gradient(function, [np.ones(1)], use_forward_train=training)
        tu.numeric_grad(function, [np.ones(1)], use_forward_train=training)
        assert seen == {training}


def test_context_of_the_arrays():
    def function(x):
        assert x.context == mx.cpu(2)
        return x * 2

    tu.check_numeric_gradient(function, [nd.ones((1,))], ctx=mx.cpu(2))


def test_what_has_no_gradient_to_check():
    for check in (tu.check_numeric_gradient, tu.numeric_grad, tu.check_speed):
        with pytest.raises(TypeError, match="function of NDArrays"):
            check(3, [np.ones(2)])
    with pytest.raises(ValueError, match="int32"):
        tu.check_numeric_gradient(nd.sin, [np.ones(2)], dtype="int32")
    with pytest.raises(MXNetError, match="no array of floats"):
        tu.check_numeric_gradient(lambda x: x.astype("int32"), [np.ones(2)])
    with pytest.raises(MXNetError):
        tu.check_numeric_gradient(lambda x: nd.ones((2,)), [np.ones(2)])
    for result in (None, 3.0, np.ones(2), [None]):
        with pytest.raises(TypeError, match="must give NDArrays"):
            tu.check_numeric_gradient(lambda x, result=result: result, [np.ones(2)])
    with pytest.raises(ValueError, match=r"data: a step of 0.001953125 is none from 1000000.0 in"):
        tu.check_numeric_gradient(nd.sin, [np.array([1e6])])
    with pytest.raises(TypeError):
        tu.check_numeric_gradient(lambda x: x, {"y": np.ones(2)})


def test_check_speed():
    calls = []

    def function(x, y):
        calls.append((x.shape, x.grad is not None, mx.autograd.is_recording()))
        return x * y

    assert tu.check_speed(function, N=3, x=(2,), y=(2,)) > 0
    assert calls == [((2,), True, True)] * 4
    calls.clear()
    assert tu.check_speed(function, {"x": np.ones(3), "y": np.ones(3)}, typ="forward", N=1) > 0
    assert calls == [((3,), False, False)] * 2
    with pytest.raises(ValueError, match="'backward'"):
        tu.check_speed(function, N=1, typ="backward", x=(2,), y=(2,))


# --- the process


def test_environment_variables(monkeypatch):
    monkeypatch.setenv("MXTAPE_A", "before")
    monkeypatch.delenv("MXTAPE_B", raising=False)

    def values():
        return tu.getenv("MXTAPE_A"), os.environ.get("MXTAPE_B")

    with tu.environment("MXTAPE_B", "1"):
        assert values() == ("before", "1")

    def fail():
        seen.append(values())
        raise ZeroDivisionError

    seen = []
    with pytest.raises(ZeroDivisionError):
        with tu.environment({"MXTAPE_A": None, "MXTAPE_B": "2"}):
            fail()
    assert seen == [(None, "2")]
    assert values() == ("before", None)
    assert tu.environment("MXTAPE_B", "3")(values)() == ("before", "3")
    for arguments in (("MXTAPE_A",), ("MXTAPE_A", "1", "2"), ()):
        with pytest.raises(AssertionError):
            tu.environment(*arguments).__enter__()
    with pytest.raises(TypeError):
        with tu.environment({"MXTAPE_A": "5", "MXTAPE_B": 1}):
            pass
    assert values() == ("before", None)
    tu.setenv("MXTAPE_B", "4")
    tu.setenv("MXTAPE_A", None)
    assert values() == (None, "4")
    tu.setenv("MXTAPE_B", None)
    assert values() == (None, None)


def test_discarding_error_output():
    done = run_program(
        """
        import os, sys
        from mxtape.test_utils import discard_stderr
        print("first", file=sys.stderr)
        try:
            with discard_stderr():
                print("lost", file=sys.stderr)
                os.write(2, b"lost")
                raise KeyError
        except KeyError:
            print("last", file=sys.stderr)
        """
    )
    assert (done.returncode, done.stderr.split()) == (0, ["first", "last"])


def test_retrying():
    attempts = []

    @tu.retry(3)
    def flaky(needed, error=AssertionError):
        attempts.append(needed)
        if len(attempts) < needed:
            raise error
        return needed

    assert (flaky(3), len(attempts), flaky.__name__) == (3, 3, "flaky")
    attempts.clear()
    with pytest.raises(AssertionError):
        flaky(4)
    assert len(attempts) == 3
    attempts.clear()
    with pytest.raises(KeyError):
        flaky(2, error=KeyError)
    assert len(attempts) == 1
    with pytest.raises(AssertionError):
        tu.retry(0)


def test_what_the_machine_has():
    assert list(tu.list_gpus()) == []
    assert (tu.has_tvm_ops(), tu.is_op_runnable()) == (False, True)
    with tu.environment("CD_JOB", "1"):
        assert tu.is_cd_run()
    with tu.environment("CD_JOB", None):
        assert not tu.is_cd_run()
    with pytest.raises(ValueError, match=r"cpu\(0\)"):
        tu.get_cuda_compute_capability(mx.cpu())
    with pytest.raises(MXNetError, match=r"gpu\(0\)"):
        tu.get_cuda_compute_capability(mx.gpu())


# --- the module


def test_it_is_imported_when_it_is_used():
    program = """
        import sys
        import mxtape as mx
        print("mxtape.test_utils" in sys.modules)
        mx.test_utils.assert_almost_equal(mx.nd.ones((1,)), [1])
        print("test_utils" in vars(mx), "scipy" in sys.modules)
        mx.install_as_mxnet()
        from mxnet.test_utils import almost_equal
        print(almost_equal is mx.test_utils.almost_equal)
        """
    assert output_of(program).split() == ["False", "True", "False", "True"]


def test_what_is_missing_says_why():
    with pytest.raises(AttributeError, match=r"test_utils.np_symbol is not in mxtape: .*mx\.np"):
        tu.np_symbol  # noqa: B018
    assert "np_symbol" not in tu.__all__


def test_every_name_is_there():
    assert len(tu.__all__) == len(set(tu.__all__))
    for name in tu.__all__:
        assert getattr(tu, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        tu.nonsense  # noqa: B018


class _Scaled(mx.gluon.HybridBlock):
    """Multiplies by a parameter, and by something else where it is hybridized."""

    def __init__(self, hybrid=1.0, wrong_gradient=False, **kwargs):
        super().__init__(**kwargs)
        self.hybrid, self.wrong_gradient = hybrid, wrong_gradient
        with self.name_scope():
            self.scale = self.params.get("scale", shape=(2,))

    def hybrid_forward(self, F, x, scale):
        y = F.broadcast_mul(x, scale)
        if F is mx.sym:
            y = y * self.hybrid
            y = F.BlockGrad(y) + 0 * x if self.wrong_gradient else y
        return [y, x * 2]


def test_check_gluon_hybridize_consistency():
    check = mx.test_utils.check_gluon_hybridize_consistency
    x = [mx.nd.array([[1.0, 2.0], [3.0, 4.0]])]
    check(lambda prefix: _Scaled(prefix=prefix), x)
    check(lambda prefix: mx.gluon.nn.Flatten(prefix=prefix), x, numpy_func=lambda a: a)
    with pytest.raises(AssertionError, match="output 0"):
        check(lambda prefix: _Scaled(1.1, prefix=prefix), x, test_grad=False)
    with pytest.raises(AssertionError, match="gradient input 0"):
        check(lambda prefix: _Scaled(1.0, True, prefix=prefix), x)
    check(lambda prefix: _Scaled(1.0, True, prefix=prefix), x, test_grad=False)
    with pytest.raises(AssertionError, match="NumPy"):
        check(lambda prefix: mx.gluon.nn.Flatten(prefix=prefix), x, numpy_func=lambda a: a + 1)
    with pytest.raises(TypeError, match="list of NDArray"):
        check(lambda prefix: _Scaled(prefix=prefix), x[0])


def test_get_im2rec_path(tmp_path, monkeypatch):
    monkeypatch.delenv("MXNET_HOME", raising=False)
    with pytest.raises(OSError, match="MXNET_HOME, which is None"):
        mx.test_utils.get_im2rec_path()
    monkeypatch.setenv("COPY", str(tmp_path))
    with pytest.raises(OSError, match="COPY"):
        mx.test_utils.get_im2rec_path("COPY")
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "im2rec.py").touch()
    assert mx.test_utils.get_im2rec_path("COPY") == str(tmp_path / "tools" / "im2rec.py")
