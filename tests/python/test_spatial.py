"""Sampling, regions and boxes: threads, odd input, what MXNet cannot be asked."""

import numpy as np
import pytest

import mxtape as mx
from mxtape import nd
from mxtape._loader import core
from mxtape.ndarray import register

ROI_ALIGN = register.get("_contrib_ROIAlign")
BOX_NMS = register.get("_contrib_box_nms")
BOX_ENCODE = register.get("_contrib_box_encode")
MULTIBOX_TARGET = register.get("_contrib_MultiBoxTarget")


def uniform(shape, low=-1.0, high=1.0, seed=0):
    return nd.array(np.random.RandomState(seed).uniform(low, high, shape))


def regions(count, seed=0):
    random = np.random.RandomState(seed)
    corner = random.uniform(-5, 30, (count, 2))
    size = random.uniform(1, 25, (count, 2))
    return nd.array(np.hstack([random.randint(0, 2, (count, 1)), corner, corner + size]))


def sampled():
    places = uniform((2, 2, 50, 60), -1.2, 1.2, seed=1)
    return [uniform((2, 16, 33, 41)), places], nd.BilinearSampler


def pooled():
    operator = lambda x, r: nd.ROIPooling(x, r, (7, 7), 1.0)  # noqa: E731
    return [uniform((2, 24, 33, 41)), regions(60)], operator


def aligned():
    operator = lambda x, r: ROI_ALIGN(x, r, (7, 7), 1.0)  # noqa: E731
    return [uniform((2, 24, 33, 41)), regions(60)], operator


def correlated():
    operator = lambda x, y: nd.Correlation(x, y, 3, 3, 1, 1, 4)  # noqa: E731
    return [uniform((2, 16, 15, 17)), uniform((2, 16, 15, 17), seed=1)], operator


@pytest.mark.parametrize("make", [sampled, pooled, aligned, correlated])
def test_results_do_not_depend_on_the_number_of_threads(make):
    inputs, operator = make()
    results = []
    for threads in (1, 4):
        before = core.thread_count()
        core.set_thread_count(threads)
        try:
            for x in inputs:
                x.attach_grad()
            with mx.autograd.record():
                y = operator(*inputs)
            y.backward(uniform(y.shape, seed=5))
            results.append([y.asnumpy(), *(x.grad.asnumpy() for x in inputs)])
        finally:
            core.set_thread_count(before)
    for a, b in zip(*results):
        np.testing.assert_array_equal(a, b)
    assert np.abs(results[0][1]).max() > 0


def test_a_spatial_transformer_is_a_grid_and_a_sampler():
    x, loc = uniform((2, 3, 6, 5)), uniform((2, 6), seed=1)
    grid = nd.GridGenerator(loc, "affine", (4, 7))
    whole = nd.SpatialTransformer(x, loc, (4, 7), "affine", "bilinear")
    np.testing.assert_array_equal(whole.asnumpy(), nd.BilinearSampler(x, grid).asnumpy())


def test_places_that_are_not_numbers_give_none():
    x = uniform((1, 2, 3, 4))
    grid = nd.array([[np.nan, 0, np.inf, 1e38], [0, np.nan, 0, -1e38]]).reshape((1, 2, 1, 4))
    values = nd.BilinearSampler(x, grid).asnumpy()
    assert np.isnan(values[..., :2]).all()
    assert (values[..., 2:] == 0).all()


def test_regions_of_any_coordinates_are_pooled():
    x = uniform((1, 8, 6, 7))
    odd = [np.nan, np.inf, -np.inf, 1e30, -1e30, 3.0]
    rois = nd.array([[0, a, b, c, a] for a in odd for b in odd for c in odd])
    for position_sensitive in (False, True):
        for kind in (False, True):
            y = ROI_ALIGN(x, rois, (2, 2), 1.0, 2, position_sensitive, kind)
            assert np.isfinite(y.asnumpy()).all()
    assert np.isfinite(nd.ROIPooling(x, rois, (2, 2), 1.0).asnumpy()).all()
    huge = nd.array([[0, -1e6, -1e6, 1e6, 1e6]])
    assert np.abs(ROI_ALIGN(x, huge, (1, 1), 1.0).asnumpy()).max() < 1e-6


def test_an_aligned_region_without_width_is_empty():
    x = nd.ones((1, 1, 5, 5))
    rois = nd.array([[0, 2, 2, 2, 4], [0, 3, 3, 1, 1]])
    assert ROI_ALIGN(x, rois, (1, 1), 1.0, aligned=True).asnumpy().ravel().tolist() == [0, 0]


def test_no_regions_and_no_images():
    rois = nd.zeros((0, 5))
    for op in (nd.ROIPooling, ROI_ALIGN):
        x = nd.ones((2, 3, 4, 5))
        x.attach_grad()
        with mx.autograd.record():
            y = op(x, rois, pooled_size=(2, 2), spatial_scale=1.0)
        assert y.shape == (0, 3, 2, 2)
        y.backward()
        assert (x.grad.asnumpy() == 0).all()
        assert op(nd.zeros((2, 0, 4, 5)), regions(3), (2, 2), 1.0).shape == (3, 0, 2, 2)
    with pytest.raises(mx.MXNetError, match=r"rois\[0, 0\] is nan"):
        ROI_ALIGN(nd.ones((1, 1, 2, 2)), nd.array([[np.nan, 0, 0, 1, 1]]), (1, 1), 1.0)
    assert nd.BilinearSampler(nd.zeros((0, 3, 4, 5)), nd.zeros((0, 2, 2, 2))).shape == (0, 3, 2, 2)
    assert BOX_NMS(nd.zeros((0, 6))).shape == (0, 6)


def test_a_correlation_against_its_definition():
    x, y = uniform((1, 3, 6, 7)), uniform((1, 3, 6, 7), seed=1)
    z = nd.Correlation(x, y, kernel_size=3, max_displacement=2, stride2=2, pad_size=3).asnumpy()
    a, b = (np.pad(v.asnumpy()[0], ((0, 0), (3, 3), (3, 3))) for v in (x, y))
    expected = np.zeros(z.shape[1:])
    for d, (dy, dx) in enumerate((dy, dx) for dy in (-2, 0, 2) for dx in (-2, 0, 2)):
        for i in range(z.shape[2]):
            for j in range(z.shape[3]):
                p = a[:, i + 2 : i + 5, j + 2 : j + 5]
                q = b[:, i + 2 + dy : i + 5 + dy, j + 2 + dx : j + 5 + dx]
                expected[d, i, j] = (p * q).mean()
    np.testing.assert_allclose(z[0], expected, rtol=1e-5, atol=1e-6)


def test_boxes_that_survive_do_not_overlap():
    random = np.random.RandomState(3)
    corner = random.uniform(0, 1, (4, 300, 2))
    boxes = np.concatenate([corner, corner + random.uniform(0.01, 0.3, (4, 300, 2))], axis=2)
    rows = nd.array(np.concatenate([random.uniform(0, 1, (4, 300, 2)), boxes], axis=2))
    kept = BOX_NMS(rows, overlap_thresh=0.3, valid_thresh=0.1)
    iou = register.get("_contrib_box_iou")
    for table, source in zip(kept.asnumpy(), rows.asnumpy()):
        alive = table[table[:, 1] >= 0]
        assert 5 < len(alive) < 300
        assert (np.diff(alive[:, 1]) <= 0).all()
        between = iou(nd.array(alive[:, 2:]), nd.array(alive[:, 2:])).asnumpy()
        assert (between - np.eye(len(alive))).max() <= 0.3
        # What is gone overlaps something better.
        gone = np.array([r for r in source if r[1] > 0.1 and not (alive == r).all(axis=1).any()])
        against = iou(nd.array(gone[:, 2:]), nd.array(alive[:, 2:])).asnumpy()
        better = alive[None, :, 1] >= gone[:, None, 1]
        assert ((against > 0.3) & better).any(axis=1).all()


def test_scores_that_are_not_numbers_are_dropped():
    rows = nd.array([[0, np.nan, 0, 0, 1, 1], [0, 0.5, 0, 0, 1, 1], [0, np.inf, 2, 2, 3, 3]])
    assert BOX_NMS(rows).asnumpy()[:, 1].tolist() == [np.inf, 0.5, -1]


def test_matches_must_name_boxes_only_where_they_are_used():
    anchors = nd.array([[[0, 0, 1, 1], [0, 0, 2, 2]]])
    arguments = (anchors, anchors, nd.zeros((4,)), nd.ones((4,)))
    targets, masks = BOX_ENCODE(nd.array([[1, 0]]), nd.array([[1, -7]]), *arguments)
    assert masks.asnumpy().ravel().tolist() == [1, 1, 1, 1, 0, 0, 0, 0]
    expected = [0.5, 0.5, np.log(2), np.log(2), 0, 0, 0, 0]
    np.testing.assert_allclose(targets.asnumpy().ravel(), expected, rtol=1e-6)
    with pytest.raises(mx.MXNetError, match=r"matches\[0, 1\] is 2"):
        BOX_ENCODE(nd.array([[1, 1]]), nd.array([[1, 2]]), *arguments)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_targets_and_detections_in_every_floating_dtype(dtype):
    anchors = nd.array([[[0, 0, 0.5, 0.5], [0.5, 0.5, 1, 1]]], dtype=dtype)
    labels = nd.array([[[3, 0.5, 0.5, 1, 1]]], dtype=dtype)
    offsets, masks, classes = MULTIBOX_TARGET(anchors, labels, nd.zeros((1, 5, 2), dtype=dtype))
    assert classes.asnumpy().tolist() == [[0, 4]]
    assert masks.asnumpy().tolist() == [[0, 0, 0, 0, 1, 1, 1, 1]]
    assert (offsets.asnumpy() == 0).all()
    scores = nd.array([[[0.25, 0.125], [0.75, 0.875]]], dtype=dtype)
    found = register.get("_contrib_MultiBoxDetection")(scores, offsets, anchors)
    assert str(np.dtype(found.dtype)) == dtype
    expected = [[[0, 0.875, 0.5, 0.5, 1, 1], [0, 0.75, 0, 0, 0.5, 0.5]]]
    assert found.asnumpy().tolist() == expected
