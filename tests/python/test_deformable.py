"""Deformable convolutions where no recording of MXNet's says what they are, and proposals."""

import numpy as np
import pytest

import mxtape as mx
from mxtape import autograd, nd


def random(*shape, low=-1.0, high=1.0, seed=0):
    return nd.array(np.random.RandomState(seed).uniform(low, high, shape), dtype="float64")


def value_and_gradients(function, *inputs):
    for x in inputs:
        x.attach_grad()
    with autograd.record():
        y = function(*inputs)
    y.backward(random(*y.shape, seed=9))
    return [y.asnumpy(), *(x.grad.asnumpy() for x in inputs)]


WINDOW = {"kernel": (3, 2), "stride": (2, 1), "dilate": (1, 2), "pad": (1, 1)}


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("groups", [1, 2])
def test_without_displacement_it_is_a_convolution(masked, groups):
    x, w, b = random(3, 4, 5, 6), random(6, 4 // groups, 3, 2, seed=1), random(6, seed=2)
    layer = {"num_filter": 6, "num_group": groups, **WINDOW}
    want = value_and_gradients(lambda *a: nd.Convolution(*a, **layer), x, w, b)
    height, width = want[0].shape[2:]
    offset = nd.zeros((3, 12, height, width), dtype="float64")
    mask = nd.ones((3, 6, height, width), dtype="float64")

    def deformable(x, w, b):
        if masked:
            return nd.contrib.ModulatedDeformableConvolution(x, offset, mask, w, b, **layer)
        return nd.contrib.DeformableConvolution(x, offset, w, b, **layer)

    for got, expected in zip(value_and_gradients(deformable, x, w, b), want):
        np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12)


def test_the_mask_multiplies_what_is_read():
    """A mask of one half is a weight of one half; zeros lie around the image."""
    x, w, offset = random(2, 3, 6, 6), random(2, 3, 2, 2, seed=1), random(2, 8, 5, 5, seed=2)
    half = nd.ones((2, 4, 5, 5), dtype="float64") / 2
    layer = {"kernel": (2, 2), "num_filter": 2, "no_bias": True}
    got = nd.contrib.ModulatedDeformableConvolution(x, offset, half, w, **layer)
    # With two zeros around the image itself, both operators read the same.
    framed = nd.pad(x, mode="constant", pad_width=(0, 0, 0, 0, 2, 2, 2, 2))
    wide = nd.pad(offset, mode="edge", pad_width=(0, 0, 0, 0, 2, 2, 2, 2))
    plain = nd.contrib.DeformableConvolution(framed, wide, w, **layer)[:, :, 2:-2, 2:-2]
    np.testing.assert_allclose(got.asnumpy(), plain.asnumpy() / 2, rtol=1e-12)


def test_many_images_are_cut_into_blocks():
    """The columns of all images at once would be too many."""
    x, w = random(5, 16, 64, 64), random(4, 16, 3, 3, seed=1)
    offset = random(5, 18, 64, 64, low=-2, high=2, seed=2)
    layer = {"kernel": (3, 3), "pad": (1, 1), "num_filter": 4, "no_bias": True}
    whole = nd.contrib.DeformableConvolution(x, offset, w, **layer).asnumpy()
    for n in range(5):
        one = nd.contrib.DeformableConvolution(x[n : n + 1], offset[n : n + 1], w, **layer)
        np.testing.assert_allclose(whole[n : n + 1], one.asnumpy(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("far", [float("nan"), float("inf"), -1e30, 1e30])
def test_places_that_are_nowhere_are_zero(far):
    x, w = nd.ones((1, 1, 3, 3)), nd.ones((1, 1, 1, 1))
    x.attach_grad()
    offset = nd.zeros((1, 2, 3, 3))
    offset[0, 0, 1, 1] = far
    offset.attach_grad()
    with autograd.record():
        y = nd.contrib.DeformableConvolution(
            x, offset, w, kernel=(1, 1), num_filter=1, no_bias=True
        )
    y.backward()
    want = np.ones((3, 3))
    want[1, 1] = 0
    np.testing.assert_array_equal(y.asnumpy()[0, 0], want)
    np.testing.assert_array_equal(x.grad.asnumpy()[0, 0], want)
    assert float(offset.grad[0, :, 1, 1].sum().asscalar()) == 0


def test_no_images():
    x, w, offset = nd.zeros((0, 2, 4, 4)), nd.ones((3, 2, 2, 2)), nd.zeros((0, 8, 3, 3))
    for a in (x, w, offset):
        a.attach_grad()
    with autograd.record():
        y = nd.contrib.DeformableConvolution(
            x, offset, w, kernel=(2, 2), num_filter=3, no_bias=True
        )
    y.backward()
    assert y.shape == (0, 3, 3, 3)
    assert x.grad.shape == x.shape
    np.testing.assert_array_equal(w.grad.asnumpy(), 0)


def test_proposals_of_scores_that_are_not_numbers_come_last():
    scores = nd.array([[0, 0, 0], [float("nan"), 0.25, 0.5]]).reshape((1, 2, 1, 3))
    _, values = nd.contrib.Proposal(
        scores,
        nd.zeros((1, 4, 1, 3)),
        nd.array([[16, 48, 1]]),
        rpn_post_nms_top_n=3,
        rpn_min_size=1,
        scales=(1,),
        ratios=(1,),
        output_score=True,
    )
    np.testing.assert_array_equal(values.asnumpy()[:, 0], [0.5, 0.25, np.nan])


def test_images_beyond_the_map_of_proposals():
    with pytest.raises(mx.MXNetError, match="the map covers 48 pixels"):
        nd.contrib.MultiProposal(
            nd.zeros((1, 2, 1, 3)),
            nd.zeros((1, 4, 1, 3)),
            nd.array([[16, 64, 1]]),
            scales=(1,),
            ratios=(1,),
        )
