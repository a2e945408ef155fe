"""``mx.gluon.loss``: values and gradients, weights, labels of all kinds, layouts, errors."""

import numpy as np
from harness import array, attempt, case, data, gradients, integers, values


def regression(shape=(3, 4), dtype="float32"):
    """Scores `x`, targets `y`, and sample weights of several shapes."""

    def setup(mx):
        wide = (*shape[:1], *(1 for _ in shape[1:]))
        return {
            "L": mx.gluon.loss,
            "x": array(mx, data(shape, seed=721, dtype=dtype)),
            "y": array(mx, data(shape, seed=722, dtype=dtype)),
            "w": array(mx, data(wide, 0, 2, seed=723, dtype=dtype)),
            "ww": array(mx, data(shape, 0, 2, seed=724, dtype=dtype)),
        }

    return setup


gradients(
    __name__,
    regression(),
    """
    L.L2Loss()(x, y)
    L.L2Loss(weight=3, batch_axis=1)(x, y)
    L.L2Loss()(x, y.reshape((4, 3)))
    L.L2Loss()(x, y, w)
    L.L2Loss(weight=0.5)(x, y, ww)
    L.L2Loss()(x[0], y[0])
    L.L1Loss()(x, y)
    L.L1Loss(weight=2)(x, y, w)
    L.L1Loss(batch_axis=1)(x, y)
    L.HuberLoss()(x, y)
    L.HuberLoss(rho=0.5, weight=2)(x, y, w)
    L.HuberLoss(rho=2.5, batch_axis=1)(x, y, ww)
    """,
)
gradients(__name__, regression(dtype="float64"), "L.L2Loss()(x, y, w)", prefix="float64 ")
gradients(__name__, regression(dtype="float64"), "L.HuberLoss()(x, y)", prefix="float64 ")
gradients(
    __name__,
    regression((2, 3, 2)),
    """
    L.L2Loss()(x, y)
    L.L1Loss(batch_axis=1)(x, y)
    L.L2Loss()(x, y, w)
    """,
    prefix="3-d ",
)


def two_classes(dtype="float32"):
    """Scores `x` and probabilities `p`, targets `t`, signs `s`, and weights of the positives."""

    def setup(mx):
        signs = integers((3, 4), 0, 2, seed=731)
        return {
            "L": mx.gluon.loss,
            "x": array(mx, data((3, 4), -8, 8, seed=732, dtype=dtype)),
            "p": array(mx, data((3, 4), 0.1, 0.9, seed=733, dtype=dtype)),
            "t": array(mx, signs.astype(dtype)),
            "q": array(mx, data((3, 4), 0, 1, seed=734, dtype=dtype)),
            "s": array(mx, (2 * signs - 1).astype(dtype)),
            "w": array(mx, data((3, 1), 0, 2, seed=735, dtype=dtype)),
            "v": array(mx, data((1, 4), 0.5, 3, seed=736, dtype=dtype)),
        }

    return setup


TWO_CLASSES = """
    L.SigmoidBCELoss()(x, t)
    L.SigmoidBCELoss()(x, q.reshape((4, 3)))
    L.SigmoidBCELoss(weight=2, batch_axis=1)(x, q)
    L.SigmoidBCELoss()(x, t, w)
    L.SigmoidBCELoss()(x, t, w, v)
    L.SigmoidBCELoss()(x, q, None, v)
    L.SigmoidBCELoss(from_sigmoid=True)(p, t)
    L.SigmoidBCELoss(from_sigmoid=True, weight=2)(p, q, w)
    L.SigmoidBCELoss(from_sigmoid=True)(p, t, w, v)
    L.SigmoidBinaryCrossEntropyLoss()(x * 100, t)
    L.HingeLoss()(x, s)
    L.HingeLoss(margin=2.5, weight=2)(x, s, w)
    L.SquaredHingeLoss()(x, s)
    L.SquaredHingeLoss(margin=2.5, weight=2, batch_axis=1)(x, s)
    L.SquaredHingeLoss()(x, s.reshape((4, 3)), w)
    L.LogisticLoss()(x, s)
    L.LogisticLoss(weight=2, label_format='binary')(x, t, w)
    L.LogisticLoss()(x * 100, s)
"""
gradients(__name__, two_classes(), TWO_CLASSES, wrt="x p w")
gradients(
    __name__,
    two_classes("float64"),
    "L.SigmoidBCELoss()(x, t, w, v)\nL.LogisticLoss()(x, s)\nL.HingeLoss()(x, s)",
    prefix="float64 ",
)


def classes(dtype="float32"):
    """Scores `x` along the last axis, `m` along axis 1, and labels of both."""

    def setup(mx):
        chances = np.array([[0.5, 0.25, 0.25], [1, 0, 0], [0, 0.125, 0.875], [0.25, 0.25, 0.5]])
        logs = np.log([[0.5, 0.25, 0.25]] * 4)
        return {
            "L": mx.gluon.loss,
            "x": array(mx, data((4, 3), -4, 4, seed=741, dtype=dtype)),
            "m": array(mx, data((2, 3, 4), -4, 4, seed=742, dtype=dtype)),
            "l": mx.nd.array([0, 2, 1, 0], dtype=dtype),
            "i": mx.nd.array([0, 2, 1, 0], dtype="int32"),
            "far": mx.nd.array([-1, 2, 3, 0], dtype=dtype),
            "lm": array(mx, integers((2, 4), 0, 3, seed=743).astype(dtype)),
            "c": array(mx, chances.astype(dtype)),
            "g": array(mx, logs.astype(dtype)),
            "w": array(mx, data((4, 1), 0, 2, seed=744, dtype=dtype)),
            "wm": array(mx, data((2, 1, 4), 0, 2, seed=745, dtype=dtype)),
        }

    return setup


CLASSES = """
    L.SoftmaxCELoss()(x, l)
    L.SoftmaxCELoss()(x, i)
    L.SoftmaxCELoss()(x, l.reshape((4, 1)))
    L.SoftmaxCELoss()(x, far)
    L.SoftmaxCELoss()(x, l, w)
    L.SoftmaxCELoss(weight=2)(x, l, w)
    L.SoftmaxCELoss(sparse_label=False)(x, c)
    L.SoftmaxCELoss(sparse_label=False, weight=2)(x, c.reshape((3, 4)), w)
    L.SoftmaxCELoss(from_logits=True)(g, l)
    L.SoftmaxCELoss(from_logits=True, sparse_label=False)(g, c)
    L.SoftmaxCELoss(axis=1)(m, lm)
    L.SoftmaxCELoss(axis=1)(m, lm, wm)
    L.SoftmaxCELoss(axis=1, batch_axis=2)(m, lm)
    L.SoftmaxCELoss(axis=0, batch_axis=1)(x.T, l)
    L.KLDivLoss()(g, c)
    L.KLDivLoss(weight=2)(g, c, w)
    L.KLDivLoss(from_logits=False)(x, c)
    L.KLDivLoss(from_logits=False, axis=0, batch_axis=1)(x, c)
"""
gradients(__name__, classes(), CLASSES, wrt="x m g w wm")
gradients(
    __name__,
    classes("float64"),
    "L.SoftmaxCELoss()(x, l, w)\nL.KLDivLoss(from_logits=False)(x, c)",
    prefix="float64 ",
    wrt="x w",
)
values(
    __name__,
    classes(),
    """
    L.SoftmaxCELoss()(x, c)
    L.SoftmaxCELoss()(x, l, wm)
    L.SoftmaxCrossEntropyLoss()(x * 1000, l)
    L.SoftmaxCELoss()(x, l, w.reshape((4,)))
    L.SoftmaxCELoss()(x, l.astype('float64'))
    L.SoftmaxCELoss()(x, l.astype('int64'))
    L.SoftmaxCELoss()(x, l.astype('uint8'))
    L.SoftmaxCELoss()(x, l[:3])
    L.SoftmaxCELoss(sparse_label=False)(x, c[:3])
    L.SoftmaxCELoss(sparse_label=False)(x, c.astype('float64'))
    L.L2Loss()(x, i)
    L.L2Loss()(x, c.astype('float64'))
    L.L1Loss()(l, i)
    L.SigmoidBCELoss()(l, i)
    L.HingeLoss()(l, i)
    L.L2Loss()(x, c, 2)
    L.L2Loss(weight=np.float32(3))(x, c)
    L.L2Loss(weight=True)(x, c)
    L.L1Loss(weight=x)(x, c)
    """,
)


def sequences(mx):
    """Scores (N, T, C) of two sequences, labels that -1 ends, lengths."""
    return {
        "L": mx.gluon.loss,
        "x": array(mx, data((2, 6, 4), -2, 2, seed=751)),
        "l": mx.nd.array([[0, 1, 1], [2, -1, -1]]),
        "whole": mx.nd.array([[0, 1, 1], [2, 0, 0]]),
        "n": mx.nd.array([6, 4]),
        "k": mx.nd.array([3, 1]),
        "w": mx.nd.array([0.5, 2]),
    }


gradients(
    __name__,
    sequences,
    """
    L.CTCLoss()(x, l)
    L.CTCLoss(weight=2)(x, l)
    L.CTCLoss()(x, l, None, None, w)
    L.CTCLoss(layout='TNC')(x.swapaxes(0, 1), l)
    L.CTCLoss(label_layout='TN')(x, l.T)
    L.CTCLoss(layout='TNC', label_layout='TN')(x.swapaxes(0, 1), l.T)
    L.CTCLoss()(x, l, n)
    L.CTCLoss()(x, whole, n, k)
    L.CTCLoss()(x, whole, n, k, w)
    """,
    wrt="x w",
)


def vectors(dtype="float32"):
    """Vectors `a`, `b`, `c`; labels 1 and -1 and another; positive rates and counts."""

    def setup(mx):
        return {
            "L": mx.gluon.loss,
            "a": array(mx, data((3, 4), seed=761, dtype=dtype)),
            "b": array(mx, data((3, 4), seed=762, dtype=dtype)),
            "c": array(mx, data((3, 4), seed=763, dtype=dtype)),
            "s": mx.nd.array([1, -1, 0], dtype=dtype),
            "near": mx.nd.array([-1, -1, 1], dtype=dtype),
            "r": array(mx, data((3, 4), 0.25, 3, seed=764, dtype=dtype)),
            "n": array(mx, integers((3, 4), 1, 9, seed=765).astype(dtype)),
            "w": array(mx, data((3, 1), 0, 2, seed=766, dtype=dtype)),
        }

    return setup


gradients(
    __name__,
    vectors(),
    """
    L.TripletLoss()(a, b, c)
    L.TripletLoss(margin=4, weight=2)(a, b, c)
    L.TripletLoss(batch_axis=1)(a, b, c)
    L.TripletLoss()(a, b.reshape((4, 3)), c)
    L.CosineEmbeddingLoss()(a, b, s)
    L.CosineEmbeddingLoss()(a, c, near)
    L.CosineEmbeddingLoss(margin=0.25, weight=2)(a, b, near, w)
    L.CosineEmbeddingLoss(margin=-0.5)(a, b.reshape((4, 3)).reshape((3, 4)), near)
    L.PoissonNLLLoss()(a, n)
    L.PoissonNLLLoss(weight=2)(a, n.reshape((4, 3)), w)
    L.PoissonNLLLoss(from_logits=False)(r, n)
    L.PoissonNLLLoss(from_logits=False)(r, n, None, 0.5)
    """,
    wrt="a b c r w",
)
gradients(
    __name__,
    vectors(),
    """
    L.SDMLLoss()(a, b)
    L.SDMLLoss(smoothing_parameter=0.1, weight=2)(a, b)
    """,
    wrt="a b",
    rtol=2e-3,
    why="small differences of exponentials, which MXNet rounds more coarsely",
)
gradients(
    __name__,
    vectors("float64"),
    "L.TripletLoss()(a, b, c)\nL.PoissonNLLLoss()(a, n)",
    prefix="float64 ",
    wrt="a b c",
)
values(
    __name__,
    vectors(),
    """
    L.PoissonNLLLoss(from_logits=False, compute_full=True)(r, n)
    L.PoissonNLLLoss(compute_full=True)(a, n, w)
    L.SDMLLoss()(a, b[:2])
    L._apply_weighting(nd, a, 2.0, w)
    L._apply_weighting(nd, a)
    L._apply_weighting(nd, a, 'a')
    L._reshape_like(nd, a, b.T)
    L.CTCLoss(layout='NCT')
    L.CTCLoss(label_layout='X')
    L.LogisticLoss(label_format='x')
    L.Loss(1, 0)(a)
    L.L2Loss()(a, b, c[0, :2])
    L.L2Loss()(a)
    """,
)


@case
def names(mx):
    """``repr`` and names."""
    made = """
        L2Loss() L1Loss(weight=2) SigmoidBCELoss() SoftmaxCELoss(batch_axis=1) KLDivLoss() CTCLoss()
        CTCLoss(label_layout='TN',weight=2) HuberLoss() HingeLoss() SquaredHingeLoss(prefix='h_')
        LogisticLoss() TripletLoss() PoissonNLLLoss() CosineEmbeddingLoss() SDMLLoss() Loss(None,0)
    """
    return {
        line: [repr(loss), loss.name, loss.prefix, loss._weight, loss._batch_axis]
        for line in made.split()
        for loss in [eval(f"L.{line}", {"L": mx.gluon.loss})]
    }


@case
def derived(mx):
    """A loss of one's own, and an older one with another forward."""
    loss = mx.gluon.loss

    class Power(loss.Loss):
        def __init__(self, power, weight=None, batch_axis=0, **kwargs):
            super().__init__(weight, batch_axis, **kwargs)
            self._power = power

        def hybrid_forward(self, F, pred, label, sample_weight=None):
            label = loss._reshape_like(F, label, pred)
            error = F.abs(pred - label) ** self._power
            error = loss._apply_weighting(F, error, self._weight, sample_weight)
            return F.mean(error, axis=self._batch_axis, exclude=True)

    class Focal(loss.SoftmaxCELoss):
        def hybrid_forward(self, F, pred, label, sample_weight=None):
            plain = super().hybrid_forward(F, pred, label, sample_weight)
            return plain * (1 - F.exp(-plain)) ** 2

    inputs = classes()(mx)
    x, label = inputs["x"], inputs["l"]
    result = {}
    for made, target in ((Power(3, 0.5), x * 0.5), (Focal(axis=-1), label)):
        for hybrid in (False, True):
            made.hybridize(hybrid)
            x.attach_grad()
            with mx.autograd.record():
                y = made(x, target)
            y.backward()
            result[f"{made!r} {hybrid}"] = [y, x.grad.copy()]
    return result


@case
def symbols(mx):
    """Losses as graphs, evaluated."""
    inputs = classes()(mx)
    arrays = {"pred": inputs["x"], "label": inputs["l"], "w": inputs["w"]}
    variables = [mx.sym.var(name) for name in arrays]
    loss = mx.gluon.loss.SoftmaxCELoss()
    graph = loss(*variables)
    return [graph.list_arguments(), graph.eval(ctx=mx.cpu(), **arrays)]


@case
def wrong_inputs(mx):
    loss, ones = mx.gluon.loss, mx.nd.ones
    return [
        attempt(loss.SoftmaxCELoss(), ones((2, 3)), ones((3,))),
        attempt(loss.L2Loss(), ones((2, 3)), ones((2, 4))),
        attempt(loss.CTCLoss(), ones((2, 3)), ones((2, 3))),
        attempt(loss.TripletLoss(), ones((2, 3)), ones((2, 3)), ones((2, 2))),
    ]
