"""Boxes: overlap, suppression, encoding, matching, anchors and targets of detectors."""

from harness import array, case, data, gradients, values


def corners(shape, seed):
    """Boxes with x1 < x2 and y1 < y2, as corners in [0, 1]."""
    import numpy as np

    a = data((*shape, 2, 2), 0, 1, seed=seed)
    low, high = a.min(axis=-2), a.max(axis=-2) + np.float32(1 / 64)
    return np.concatenate([low, high], axis=-1).astype("float32")


def boxes(mx):
    a, b = corners((3,), 301), corners((2, 4), 302)
    odd = mx.nd.array([[0.5, 0.5, 0.5, 0.5], [0.75, 0.75, 0.25, 0.25], [0, 0, 1, 1]])
    return {
        "a": array(mx, a),
        "b": array(mx, b),
        "odd": odd,
        "d": array(mx, a.astype("float64")),
        "h": array(mx, a.astype("float16")),
        "i": (array(mx, a) * 64).astype("int32"),
    }


gradients(
    __name__,
    lambda mx: {"a": boxes(mx)["a"], "b": boxes(mx)["b"]},
    "nd.contrib.box_iou(a, b)\nnd.contrib.box_iou(a, b, format='center')\n"
    "nd.contrib.box_iou(lhs=b, rhs=a, format='corner')",
)
values(
    __name__,
    boxes,
    """
    nd.contrib.box_iou(a, a)
    nd.contrib.box_iou(a, a, 'center')
    nd.contrib.box_iou(a, odd)
    nd.contrib.box_iou(odd, odd)
    nd.contrib.box_iou(odd, odd, format='center')
    nd.contrib.box_iou(a[0], b)
    nd.contrib.box_iou(a[0], b[0, 0])
    nd.contrib.box_iou(d, d)
    nd.contrib.box_iou(h, h)
    nd.contrib.box_iou(i, i)
    nd.contrib.box_iou(a, d)
    nd.contrib.box_iou(a[:, :3], b)
    nd.contrib.box_iou(a, b, format='nonsense')
    nd.contrib.box_iou(a)
    """,
)


def scored(mx):
    """Rows of (class, score, corners): overlapping groups, ties, scores below a threshold."""
    import numpy as np

    rows = np.array(
        [
            [0, 0.5, 0.1, 0.1, 0.2, 0.2],
            [1, 0.4, 0.1, 0.1, 0.2, 0.2],
            [0, 0.3, 0.1, 0.1, 0.14, 0.14],
            [2, 0.6, 0.5, 0.5, 0.7, 0.8],
            [2, 0.7, 0.5, 0.5, 0.7, 0.75],
            [0, 0.0, 0.1, 0.1, 0.2, 0.2],
            [-1, 0.9, 0.3, 0.3, 0.9, 0.9],
            [0, -0.5, 0.0, 0.0, 0.9, 0.9],
            [0, 0.5, 0.12, 0.1, 0.2, 0.21],
        ],
        dtype="float32",
    )
    centers = rows[:, [0, 1, 2, 3, 4, 5]].copy()
    return {
        "x": array(mx, rows),
        "y": array(mx, np.stack([rows, rows[::-1]])),
        "c": array(mx, centers),
        "p": array(mx, rows[:, [2, 3, 4, 5, 1]].copy()),
    }


NMS = """
nd.contrib.box_nms({x})
nd.contrib.box_nms({x}, 0.5, 0.0, -1, 2, 1, 0)
nd.contrib.box_nms({x}, overlap_thresh=0.1, coord_start=2, score_index=1, id_index=0)
nd.contrib.box_nms({x}, overlap_thresh=0.1, score_index=1, id_index=0, force_suppress=True)
nd.contrib.box_nms({x}, overlap_thresh=0.1, coord_start=2, id_index=0, background_id=0)
nd.contrib.box_nms({x}, overlap_thresh=0.1, valid_thresh=0.45, id_index=0)
nd.contrib.box_nms({x}, valid_thresh=2.0)
nd.contrib.box_nms({x}, valid_thresh=-1.0, overlap_thresh=0.9)
nd.contrib.box_nms({x}, topk=3, overlap_thresh=0.1)
nd.contrib.box_nms({x}, topk=2, overlap_thresh=0.1, id_index=0)
nd.contrib.box_nms({x}, topk=0)
nd.contrib.box_nms({x}, overlap_thresh=0)
nd.contrib.box_nms({x}, overlap_thresh=1)
nd.contrib.box_nms({x}, overlap_thresh=0.1, in_format='center')
nd.contrib.box_nms({x}, overlap_thresh=0.1, out_format='center')
nd.contrib.box_nms({x}, overlap_thresh=0.1, in_format='center', out_format='corner', id_index=0)
nd.contrib.box_nms({x}, overlap_thresh=0.1, in_format='center', out_format='center')
nd.contrib.box_non_maximum_suppression({x}, overlap_thresh=0.1)
"""
for x in ("x", "y"):
    gradients(__name__, scored, NMS.format(x=x), wrt=x)
gradients(
    __name__,
    scored,
    "nd.contrib.box_nms(p, overlap_thresh=0.3, coord_start=0, score_index=4)",
    wrt="p",
)
values(
    __name__,
    scored,
    """
    nd.contrib.box_nms(x[0])
    nd.contrib.box_nms(x, coord_start=3)
    nd.contrib.box_nms(x, score_index=6)
    nd.contrib.box_nms(x, score_index=-1)
    nd.contrib.box_nms(x, coord_start=1)
    nd.contrib.box_nms(x, id_index=6)
    nd.contrib.box_nms(x, id_index=1)
    nd.contrib.box_nms(x, id_index=3)
    nd.contrib.box_nms(x.astype('float64'), 0.1)
    nd.contrib.box_nms(x.astype('float16'), 0.1)
    nd.contrib.box_nms(x.astype('int32'))
    nd.contrib.box_nms(x[:, :4])
    nd.contrib.box_nms(x, in_format='nonsense')
    nd.contrib.box_nms(y.reshape((1, 2, 9, 6)), 0.1)
    """,
)


def coded(mx):
    return {
        "samples": mx.nd.array([[0, 1, 1, -1], [1, 1, 0, 0.75]]),
        "matches": mx.nd.array([[0, 1, 1, 0], [1, 0, 0, 1]]),
        "anchors": array(mx, corners((2, 4), 311)),
        "refs": array(mx, corners((2, 2), 312)),
        "means": mx.nd.array([0.0, 0.1, -0.1, 0.2]),
        "stds": mx.nd.array([0.1, 0.1, 0.2, 0.25]),
        "t": array(mx, data((2, 4, 4), -1, 1, seed=313)),
        "one": array(mx, corners((1, 4), 314)),
    }


values(
    __name__,
    lambda mx: {"inputs": [x.astype("float64") for x in list(coded(mx).values())[:6]]},
    "nd.contrib.box_encode(*inputs)",
)
values(
    __name__,
    coded,
    """
    nd.contrib.box_encode(samples, matches, anchors, refs, means, stds)
    nd.contrib.box_encode(samples, matches, anchors, refs, means)
    nd.contrib.box_encode(samples, matches, anchors, refs, means[:3], stds)
    nd.contrib.box_encode(samples, matches[:1], anchors, refs, means, stds)
    nd.contrib.box_encode(samples[0], matches, anchors, refs, means, stds)
    nd.contrib.box_decode(t, one)
    nd.contrib.box_decode(t, one, 0.1, 0.1, 0.2, 0.2)
    nd.contrib.box_decode(t, one, 0.1, 0.1, 0.2, 0.2, clip=0.05)
    nd.contrib.box_decode(t, one, 0.1, 0.1, 0.2, 0.2, clip=-1, format='corner')
    nd.contrib.box_decode(t, one, std0=0.5, std2=2.0, clip=1.0, format='corner')
    nd.contrib.box_decode(t.astype('float64'), one.astype('float64'), clip=0.5)
    nd.contrib.box_decode(t, one[0])
    nd.contrib.box_decode(t, one[:, :3])
    nd.contrib.box_decode(t, one, format='nonsense')
    nd.contrib.box_decode(t[0], one)
    nd.contrib.box_decode(t, one.astype('float64'))
    """,
)
gradients(
    __name__,
    coded,
    "nd.contrib.box_decode(t, one, 0.1, 0.1, 0.2, 0.2)\n"
    "nd.contrib.box_encode(samples, matches, anchors, refs, means, stds)",
)


def scores(mx):
    return {
        "s": mx.nd.array([[0.5, 0.6], [0.1, 0.2], [0.3, 0.4]]),
        "r": array(mx, data((2, 4, 3), 0, 1, seed=321)),
    }


gradients(
    __name__,
    scores,
    """
    nd.contrib.bipartite_matching(s, threshold=1e-12, is_ascend=False)
    nd.contrib.bipartite_matching(s, is_ascend=True, threshold=0.55)
    """,
    wrt="s",
)
values(
    __name__,
    scores,
    """
    nd.contrib.bipartite_matching(s, False, 0.35)
    nd.contrib.bipartite_matching(s, threshold=0.1, topk=1)
    nd.contrib.bipartite_matching(s, threshold=0.1, topk=0)
    nd.contrib.bipartite_matching(s, threshold=0.1, topk=2)
    nd.contrib.bipartite_matching(s, threshold=0.15, is_ascend=True)
    nd.contrib.bipartite_matching(r, threshold=0.2)
    nd.contrib.bipartite_matching(r, threshold=0.2, topk=2)
    nd.contrib.bipartite_matching(r, threshold=0.9, is_ascend=True)
    nd.contrib.bipartite_matching(r.transpose((0, 2, 1)), threshold=0.1)
    nd.contrib.bipartite_matching(r.astype('float64'), threshold=0.2)
    nd.contrib.bipartite_matching(s[0], threshold=0.1)
    nd.contrib.bipartite_matching(s)
    nd.contrib.bipartite_matching(s.astype('int32'), threshold=0.1)
    """,
)

# ---- anchors, targets and detections


def feature(mx):
    return {"x": mx.nd.zeros((2, 3, 2, 3))}


values(
    __name__,
    feature,
    """
    nd.contrib.MultiBoxPrior(x)
    nd.contrib.MultiBoxPrior(x, sizes=(0.5, 0.25), ratios=(1, 2, 0.5))
    nd.contrib.MultiBoxPrior(x, (0.5, 0.25), (2, 3), True)
    nd.contrib.MultiBoxPrior(x, sizes=0.5, ratios=2.0)
    nd.contrib.MultiBoxPrior(x, sizes=(0.75,), ratios=(1,), steps=(0.5, 0.25), offsets=(0.25, 0.75))
    nd.contrib.MultiBoxPrior(x, sizes=(0.75, 1.5), clip=True, offsets=(0.0, 1.0))
    nd.contrib.MultiBoxPrior(x, sizes=())
    nd.contrib.MultiBoxPrior(x, ratios=())
    nd.contrib.MultiBoxPrior(x, steps=(0.5,))
    nd.contrib.MultiBoxPrior(x, offsets=(0.5,))
    nd.contrib.MultiBoxPrior(x, offsets=(0.5, 2.0))
    nd.contrib.MultiBoxPrior(x, sizes=(-1,))
    nd.contrib.MultiBoxPrior(x[0])
    nd.contrib.MultiBoxPrior(x, sizes=(0.5,), ratios=(0,))
    """,
)
gradients(__name__, feature, "nd.contrib.MultiBoxPrior(x, sizes=(0.5, 0.25))", wrt="x")


def targets(mx):
    labels = [
        [[0, 0.1, 0.1, 0.4, 0.5], [2, 0.5, 0.4, 0.9, 0.95], [-1, -1, -1, -1, -1]],
        [[1, 0.6, 0.1, 0.8, 0.3], [-1, -1, -1, -1, -1], [-1, -1, -1, -1, -1]],
    ]
    anchors = mx.nd.contrib.MultiBoxPrior(
        mx.nd.zeros((1, 3, 3, 3)), sizes=(0.4, 0.25), ratios=(1, 2)
    )
    n = anchors.shape[1]
    empty = mx.nd.full((2, 3, 5), -1.0)
    return {
        "a": anchors,
        "l": mx.nd.array(labels),
        "none": empty,
        "p": array(mx, data((2, 4, n), -2, 2, seed=331)),
        "loc": array(mx, data((2, 4 * n), -1, 1, seed=332)),
        "q": mx.nd.softmax(array(mx, data((2, 4, n), -2, 2, seed=333)), axis=1),
    }


values(
    __name__,
    targets,
    """
    nd.contrib.MultiBoxTarget(a, l, p)
    nd.contrib.MultiBoxTarget(a, l, p, overlap_threshold=0.3)
    nd.contrib.MultiBoxTarget(a, l, p, overlap_threshold=0.9, ignore_label=-2)
    nd.contrib.MultiBoxTarget(a, l, p, overlap_threshold=-1)
    nd.contrib.MultiBoxTarget(a, l, p, negative_mining_ratio=3)
    nd.contrib.MultiBoxTarget(a, l, p, negative_mining_ratio=1, negative_mining_thresh=0.2)
    nd.contrib.MultiBoxTarget(a, l, p, negative_mining_ratio=2, minimum_negative_samples=7)
    nd.contrib.MultiBoxTarget(a, l, p, negative_mining_ratio=1, minimum_negative_samples=100)
    nd.contrib.MultiBoxTarget(a, l, p, variances=(0.2, 0.3, 0.4, 0.5))
    nd.contrib.MultiBoxTarget(a, none, p)
    nd.contrib.MultiBoxTarget(a, none, p, negative_mining_ratio=3)
    nd.contrib.MultiBoxTarget(a[0], l, p)
    nd.contrib.MultiBoxTarget(a, l[:, :, :4], p)
    nd.contrib.MultiBoxTarget(a, l, p[:, :, :5])
    nd.contrib.MultiBoxTarget(a, l, p, variances=(0.1, 0.2))
    nd.contrib.MultiBoxTarget(a[:, :, :3], l, p)
    nd.contrib.MultiBoxDetection(q, loc, a)
    nd.contrib.MultiBoxDetection(q, loc, a, clip=False)
    nd.contrib.MultiBoxDetection(q, loc, a, threshold=0.4)
    nd.contrib.MultiBoxDetection(q, loc, a, background_id=2)
    nd.contrib.MultiBoxDetection(q, loc, a, nms_threshold=0.1)
    nd.contrib.MultiBoxDetection(q, loc, a, nms_threshold=0.1, force_suppress=True)
    nd.contrib.MultiBoxDetection(q, loc, a, nms_threshold=0.2, nms_topk=5)
    nd.contrib.MultiBoxDetection(q, loc, a, nms_threshold=-1)
    nd.contrib.MultiBoxDetection(q, loc, a, threshold=2.0)
    nd.contrib.MultiBoxDetection(q, loc, a, variances=(0.2, 0.3, 0.4, 0.5))
    nd.contrib.MultiBoxDetection(q, loc[:, :8], a)
    nd.contrib.MultiBoxDetection(q, loc, a[0])
    nd.contrib.MultiBoxDetection(q[0], loc, a)
    nd.contrib.MultiBoxDetection(q, loc, a, variances=(0.1, 0.2))
    """,
)


@case
def targets_and_detections_have_no_gradient(mx):
    env = targets(mx)
    results = []
    # MXNet leaves the gradients of anchors and labels as they are.
    calls = [
        (mx.nd.contrib.MultiBoxTarget, "a l p", "p"),
        (mx.nd.contrib.MultiBoxDetection, "q loc a", "q loc a"),
    ]
    for op, names, wanted in calls:
        variables = [env[name] for name in wanted.split()]
        for x in variables:
            x.attach_grad()
            x.grad[:] = 7
        with mx.autograd.record():
            y = op(*(env[name] for name in names.split()))
        mx.autograd.backward(y)
        results.append([x.grad for x in variables])
    return results
