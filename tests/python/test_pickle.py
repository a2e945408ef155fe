"""Pickling arrays."""

import io
import pickle

import numpy as np
import pytest

import mxtape as mx
from mxtape import nd
from support import assert_same, run_program

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "dtype", ["float16", "float32", "float64", "uint8", "int8", "int32", "int64"]
)
def test_round_trip(dtype, protocol):
    array = nd.array([[1, 2], [3, 4]], dtype=dtype)
    again = pickle.loads(pickle.dumps(array, protocol))
    assert type(again) is nd.NDArray
    assert again.dtype == array.dtype
    assert again.context == array.context
    assert again.asnumpy().tolist() == [[1, 2], [3, 4]]


def test_result_is_apart_and_writable():
    array = nd.array([1.0, 2.0])
    again = pickle.loads(pickle.dumps(array))
    again += 1
    assert_same(array, [1, 2])
    assert_same(again, [2, 3])
    again.attach_grad()
    with mx.autograd.record():
        y = again * 2
    y.backward()
    assert_same(again.grad, [2, 2])


def test_gradient_and_graph_stay_behind():
    x = nd.array([1.0])
    x.attach_grad()
    with mx.autograd.record():
        y = x * 2
    again_x, again_y = pickle.loads(pickle.dumps([x, y]))
    assert again_x.grad is None
    assert_same(again_y, [2])
    with pytest.raises(mx.MXNetError):
        again_y.backward()
    y.backward()
    assert_same(x.grad, [2])


def test_view_pickles_its_part_alone():
    large = nd.zeros((1000, 100))
    large[3] = 7
    data = pickle.dumps(large[3])
    assert len(data) < 2000
    assert_same(pickle.loads(data), np.full(100, 7))


@pytest.mark.parametrize("shape", [(), (1,), (2, 0), (2, 3, 4, 5)])
def test_shapes(shape):
    values = np.ones(shape, dtype="float32")
    assert pickle.loads(pickle.dumps(nd.array(values))).shape == shape


def test_scalars_and_nan_keep_their_bits():
    values = np.array([np.nan, np.inf, -0.0, 1e-45], dtype="float32")
    again = pickle.loads(pickle.dumps(nd.array(values))).asnumpy()
    assert again.tobytes() == values.tobytes()


def test_the_same_array_twice_stays_one():
    array = nd.array([1.0])
    first, second = pickle.loads(pickle.dumps([array, array]))
    assert first is second


def test_inside_containers():
    data = {"w": nd.array([1.0]), "more": [nd.array([2.0]), (nd.array([3.0]),)]}
    again = pickle.loads(pickle.dumps(data))
    assert_same(again["w"], [1])
    assert_same(again["more"][1][0], [3])


def test_contexts_pickle():
    for context in (mx.cpu(2), mx.gpu(1)):
        assert pickle.loads(pickle.dumps(context)) == context


def test_another_process_reads_it(tmp_path):
    path = tmp_path / "array.pickle"
    with open(path, "wb") as file:
        pickle.dump(nd.array([1.5, 2.5]), file)
    done = run_program(
        f"""
        import pickle
        import mxtape
        print(pickle.load(open({str(path)!r}, "rb")).asnumpy().tolist())
        """
    )
    assert done.stdout.split("\n")[0] == "[1.5, 2.5]", done.stderr


def test_damaged_data_is_an_error_not_a_crash():
    data = pickle.dumps(nd.array(np.arange(100)))
    with pytest.raises((EOFError, pickle.UnpicklingError)):
        pickle.load(io.BytesIO(data[: len(data) // 2]))
