"""Contexts: objects, the current one, and that there is no GPU."""

import threading

import pytest

import mxtape as mx
from mxtape import nd
from mxtape.base import MXNetError


def test_text_and_attributes():
    assert str(mx.cpu(0)) == repr(mx.cpu()) == "cpu(0)"
    assert str(mx.gpu(1)) == "gpu(1)"
    assert str(mx.cpu_pinned()) == "cpu_pinned(0)"
    assert (mx.cpu(3).device_type, mx.cpu(3).device_id) == ("cpu", 3)
    assert [mx.cpu().device_typeid, mx.gpu().device_typeid, mx.cpu_pinned().device_typeid] == [
        1,
        2,
        3,
    ]


def test_comparison_and_hash():
    assert mx.cpu() == mx.Context("cpu", 0) == mx.Context(mx.cpu(0))
    assert mx.gpu(1) == mx.gpu(1)
    assert mx.cpu(0) != mx.cpu(1)
    assert mx.cpu() != mx.gpu()
    assert mx.cpu() != "cpu(0)"
    assert {mx.cpu(): "a", mx.gpu(): "b"}[mx.cpu(0)] == "a"


def test_unknown_device():
    with pytest.raises((KeyError, ValueError), match="abacus"):
        mx.Context("abacus")


def test_current_context_nests_and_restores():
    assert mx.current_context() == mx.cpu(0)
    with mx.Context("cpu", 1):
        assert mx.current_context() == mx.cpu(1)
        assert nd.ones((1,)).context == mx.cpu(1)
        with mx.gpu(3):
            assert mx.current_context() == mx.gpu(3)
        assert mx.current_context() == mx.cpu(1)
    with pytest.raises(KeyError):
        with mx.cpu(2):
            raise KeyError
    assert mx.current_context() == mx.cpu(0)


@pytest.mark.differs("MXNet 1.9.1 stays on cpu(1) after the blocks", run=False)
def test_one_context_may_be_entered_again():
    context = mx.cpu(1)
    with context:
        with context:
            assert mx.current_context() == context
        assert mx.current_context() == context
    assert mx.current_context() == mx.cpu(0)


def test_threads_have_contexts_of_their_own():
    context, seen = mx.cpu(1), []

    def other():
        seen.append(mx.current_context())
        with context:
            seen.append(nd.ones((1,)).context)
        seen.append(mx.current_context())

    with mx.cpu(2), context:
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        assert mx.current_context() == context
    assert mx.current_context() == mx.cpu(0)
    assert seen == [mx.cpu(0), context, mx.cpu(0)]


def test_array_knows_its_context():
    assert nd.ones((1,)).context == nd.ones((1,)).ctx == mx.cpu(0)
    for context in (mx.cpu(5), mx.cpu_pinned()):
        array = nd.array([1.0, 2.0], ctx=context)
        assert array.context == context
        assert array.copy().context == context
        assert array[0:1].context == context


def test_result_is_where_its_inputs_are():
    array = nd.array([1.0, 2.0], ctx=mx.cpu(5))
    assert (array * 2).context == mx.cpu(5)
    assert (array + array).context == mx.cpu(5)


def test_as_in_context():
    array = nd.array([1.0, 2.0])
    assert array.as_in_context(mx.cpu(0)) is array
    moved = array.as_in_context(mx.cpu(1))
    assert moved.context == mx.cpu(1)
    moved[:] = 9
    assert array.asnumpy().tolist() == [1, 2]


def test_copyto_a_context():
    array = nd.array([1.0, 2.0])
    copied = array.copyto(mx.cpu(0))
    assert copied is not array
    copied[:] = 9
    assert array.asnumpy().tolist() == [1, 2]


def test_as_in_context_is_differentiable():
    x = nd.array([1.0, 2.0])
    x.attach_grad()
    with mx.autograd.record():
        y = x.as_in_context(mx.cpu(1)) * 3
    y.backward()
    assert x.grad.asnumpy().tolist() == [3, 3]


def test_there_is_no_gpu():
    assert mx.context.num_gpus() == 0


def use_scope():
    with mx.gpu():
        nd.ones((2,)).wait_to_read()


@pytest.mark.parametrize(
    "use",
    [
        lambda: nd.zeros((2,), ctx=mx.gpu()),
        lambda: nd.array([1, 2], ctx=mx.gpu(0)),
        lambda: nd.ones((2,)).as_in_context(mx.gpu()),
        lambda: nd.ones((2,)).copyto(mx.gpu(1)),
        lambda: nd.random.uniform(shape=(2,), ctx=mx.gpu()),
        lambda: mx.context.gpu_memory_info(),
        use_scope,
    ],
    ids=["zeros", "array", "as_in_context", "copyto", "random", "memory_info", "scope"],
)
def test_using_a_gpu_is_an_error(use):
    with pytest.raises(MXNetError, match=r"GPU|gpu|CUDA"):
        use()
    assert mx.current_context() == mx.cpu(0)


@pytest.mark.differs("NDArray of MXNet 1.9.1 has as_in_context alone")
def test_as_in_ctx():
    array = nd.array([1.0])
    assert array.as_in_ctx(mx.cpu(0)) is array
    assert array.as_in_ctx(mx.cpu(1)).ctx == mx.cpu(1)


def test_context_of_a_wrong_type():
    with pytest.raises((MXNetError, TypeError, ValueError, AttributeError)):
        nd.ones((2,), ctx="abacus").asnumpy()


def test_features():
    features = mx.runtime.Features()
    assert features.is_enabled("CPU_SSE") in (True, False)
    names = [feature.name for feature in mx.runtime.feature_list()]
    assert "OPENMP" in names
    assert not features.is_enabled("CUDA")
    with pytest.raises(RuntimeError):
        features.is_enabled("ABACUS")
