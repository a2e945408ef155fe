"""Pooling and resizing beside conformance cases: values by definition, errors, edges."""

import itertools

import numpy as np
import pytest

import mxtape as mx
from mxtape import autograd, nd
from mxtape._loader import core
from mxtape.ndarray import register

resize = register.get("_contrib_BilinearResize2D")
adaptive = register.get("_contrib_AdaptiveAvgPooling2D")


def images(shape, seed=0, dtype="float32"):
    return nd.array(np.random.RandomState(seed).uniform(-2, 2, shape), dtype=dtype)


def reference(x, kernel, stride, pad, kind):
    """Pooling of (N, C, H, W) by its definition, padded with what changes nothing."""
    fill = -np.inf if kind == "max" else 0
    padded = np.pad(x, [(0, 0), (0, 0)] + [(p, p) for p in pad], constant_values=fill)
    outs = [(padded.shape[2 + d] - kernel[d]) // stride[d] + 1 for d in range(2)]
    out = np.empty((*x.shape[:2], *outs))
    for i, j in itertools.product(*map(range, outs)):
        top, left = i * stride[0], j * stride[1]
        window = padded[:, :, top : top + kernel[0], left : left + kernel[1]]
        out[:, :, i, j] = getattr(window, {"avg": "mean"}.get(kind, kind))(axis=(2, 3))
    return out


@pytest.mark.parametrize("kind", ["max", "avg", "sum"])
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize(
    ("shape", "kernel", "stride", "pad"),
    [
        ((2, 3, 20, 33), (3, 3), (2, 2), (1, 1)),
        ((2, 3, 20, 33), (2, 5), (1, 1), (1, 2)),
        ((2, 300, 7, 9), (2, 2), (3, 3), (0, 0)),
        ((1, 2, 40, 40), (20, 20), (1, 7), (0, 0)),
    ],
)
def test_values(shape, kernel, stride, pad, kind, layout):
    x = images(shape, dtype="float64")
    expected = reference(x.asnumpy(), kernel, stride, pad, kind)
    given = x if layout == "NCHW" else x.transpose((0, 2, 3, 1))
    params = {"kernel": kernel, "stride": stride, "pad": pad, "pool_type": kind, "layout": layout}
    recorded = nd.array(given, dtype="float64")
    recorded.attach_grad()
    with autograd.record():
        y = nd.Pooling(recorded, **params)
    for result in (nd.Pooling(given, **params), y):
        if layout == "NHWC":
            result = result.transpose((0, 3, 1, 2))
        np.testing.assert_allclose(result.asnumpy(), expected, rtol=1e-12, atol=1e-12)


def test_maxima_pass_nan_over_and_know_infinity():
    x = nd.array([[[[np.nan, 1, -np.inf, -np.inf], [2, 0, -np.inf, -np.inf]]]])
    for recording in (False, True):
        x.attach_grad()
        with autograd.record() if recording else autograd.pause():
            y = nd.Pooling(x, kernel=(2, 2), stride=(2, 2))
        np.testing.assert_array_equal(y.asnumpy().ravel(), [2, -np.inf])
    y.backward()
    np.testing.assert_array_equal(x.grad.asnumpy().ravel(), [0, 0, 1, 0, 1, 0, 0, 0])


@pytest.mark.parametrize("stride", [(2,), (2, 2, 2)])
def test_same_has_a_window_for_each_stride_begun(stride):
    """MXNet does so sometimes: it reads strides and padding of axes that are not there."""
    x = nd.array([[[0, 1, 2, 3, 4, 5, 0]]])
    y = nd.Pooling(x, kernel=(3,), stride=stride, pooling_convention="same")
    np.testing.assert_array_equal(y.asnumpy().ravel(), [2, 4, 5, 0])
    with pytest.raises(mx.MXNetError, match="along one axis"):
        nd.Pooling(images((1, 1, 4, 4)), kernel=(2, 2), pooling_convention="same")
    with pytest.raises(mx.MXNetError, match="does not support pad"):
        nd.Pooling(x, kernel=(3,), pad=(1,), pooling_convention="same")


def test_padding_never_wins_in_the_old_pooling():
    """MXNet's Pooling_v1 takes the padding for zeros when it looks for maxima."""
    x = nd.array([[[[-1, -2], [-3, -4]]]])
    y = nd.Pooling_v1(x, kernel=(2, 2), pad=(1, 1))
    np.testing.assert_array_equal(y.asnumpy()[0, 0], [[-1, -1, -2], [-1, -1, -2], [-3, -3, -4]])


def test_of_equal_maxima_the_first_has_the_gradient():
    x = nd.ones((1, 1, 2, 4))
    for op in (nd.Pooling, nd.Pooling_v1):
        x.attach_grad()
        with autograd.record():
            y = op(x, kernel=(2, 2), stride=(2, 2))
        y.backward()
        np.testing.assert_array_equal(x.grad.asnumpy()[0, 0], [[1, 0, 1, 0], [0, 0, 0, 0]])


@pytest.mark.parametrize("kind", ["max", "avg", "sum"])
def test_no_images(kind):
    x = nd.zeros((0, 3, 4, 4))
    x.attach_grad()
    with autograd.record():
        y = nd.Pooling(x, kernel=(2, 2), pool_type=kind)
    y.backward()
    assert (y.shape, x.grad.shape) == ((0, 3, 3, 3), (0, 3, 4, 4))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({}, "kernel must have 2 numbers"),
        ({"kernel": (2, 2), "stride": (1, 0)}, "stride must be at least 1"),
        ({"kernel": (2, 2), "pad": (0, -1)}, "pad must be at least 0"),
        ({"kernel": (2, 2), "pad": (2, 0)}, "pad must be less than kernel"),
        ({"kernel": (9, 2)}, "kernel 9 is larger than data"),
        ({"kernel": (2, 2), "layout": "NCW"}, "layout is for 1-d pooling"),
        ({"kernel": (2, 2), "pool_type": "lp"}, "p_value"),
    ],
)
def test_what_does_not_fit_is_named(params, message):
    with pytest.raises(mx.MXNetError, match=f"Pooling: .*{message}"):
        nd.Pooling(images((1, 2, 5, 5)), **params)


def test_positions_from_elsewhere_are_checked():
    """An internal operator that anybody can call reads and writes nothing out of bounds."""
    geometry = {"data_shape": (1, 1, 2, 2), "out_shape": (1, 1, 1, 2), "kernel": (2, 1)}
    geometry.update(stride=(1, 1), pad=(0, 0))
    wild = nd.array([[[[-7, 100]]]], dtype="int32")
    scattered = register.get("_backward_pool_max")(nd.ones((1, 1, 1, 2)), wild, **geometry)
    gathered = register.get("_pool_max_gather")(nd.ones((1, 1, 2, 2)), wild, **geometry)
    assert scattered.sum().asscalar() == gathered.sum().asscalar() == 0


def test_resizing_refuses_integers_and_nothing():
    with pytest.raises(mx.MXNetError, match="BilinearResize2D"):
        resize(nd.ones((1, 1, 2, 2), dtype="int32"), height=4, width=4)
    with pytest.raises(mx.MXNetError, match="nothing to interpolate"):
        resize(nd.zeros((1, 1, 0, 2)), height=4, width=4)
    with pytest.raises(mx.MXNetError, match="nothing to average"):
        adaptive(nd.zeros((1, 1, 0, 2)), output_size=2)


def test_upsampling_says_what_does_not_fit():
    x = images((1, 2, 2, 2))
    with pytest.raises(mx.MXNetError, match="cannot be enlarged to 4 x 4"):
        nd.UpSampling(x, images((1, 2, 3, 3)), scale=2, sample_type="nearest", num_args=2)
    weight = images((2, 1, 4, 4))
    with pytest.raises(mx.MXNetError, match="num_filter must be the number of channels, 2"):
        nd.UpSampling(x, weight, scale=2, sample_type="bilinear", num_args=2)


@pytest.fixture
def restored_threads():
    before = core.thread_count()
    yield
    core.set_thread_count(before)


@pytest.mark.usefixtures("restored_threads")
@pytest.mark.parametrize("params", [{}, {"pool_type": "avg"}, {"layout": "NHWC"}])
def test_threads_do_not_change_a_bit(params):
    results = []
    for count in (1, 2, 3):
        core.set_thread_count(count)
        x = images((4, 30, 40, 36))
        x.attach_grad()
        with autograd.record():
            y = nd.Pooling(x, kernel=(3, 3), stride=(2, 2), pad=(1, 1), **params)
            loss = (y * y).sum()
        loss.backward()
        results.append((y.asnumpy(), x.grad.asnumpy()))
    for y, grad in results[1:]:
        np.testing.assert_array_equal(y, results[0][0])
        np.testing.assert_array_equal(grad, results[0][1])
