"""Losses: what a network's outputs are trained to make small. ``mx.gluon.loss``.

A loss is a block without parameters. It returns one number for each sample, the mean over the other
axes, unless its description says otherwise. Gradients are those of the sum over the batch, so
``trainer.step(batch_size)`` divides them by the number of samples.

The loss of each element is multiplied by `sample_weight`, an argument of the call that broadcasts
against it, then by `weight`; then the mean is taken. A sample weight of 0 ignores padding, which
still counts as an element of the mean.
"""

import math

from .. import _missing, ndarray
from ..base import MXNetError, numeric_types
from ..util import is_np_array  # noqa: F401 (programs find it here)
from .block import HybridBlock

__all__ = [
    "CTCLoss",
    "CosineEmbeddingLoss",
    "HingeLoss",
    "HuberLoss",
    "KLDivLoss",
    "L1Loss",
    "L2Loss",
    "LogisticLoss",
    "Loss",
    "PoissonNLLLoss",
    "SDMLLoss",
    "SigmoidBCELoss",
    "SigmoidBinaryCrossEntropyLoss",
    "SoftmaxCELoss",
    "SoftmaxCrossEntropyLoss",
    "SquaredHingeLoss",
    "TripletLoss",
]


def _apply_weighting(F, loss, weight=None, sample_weight=None):
    """`loss` times `sample_weight`, an array that broadcasts, and times `weight`, a number."""
    weighted = loss if sample_weight is None else F.broadcast_mul(loss, sample_weight)
    if weight is None:
        return weighted
    if not isinstance(weight, numeric_types):
        raise AssertionError(f"the weight of a loss must be a number; got {weight!r}")
    return weighted * weight


def _reshape_like(F, x, y):
    """`x` in the shape of `y`."""
    if F is not ndarray:
        return F.reshape_like(x, y)
    if x.shape == y.shape:
        return x
    try:
        return x.reshape(y.shape)
    except (MXNetError, ValueError) as error:
        raise type(error)(
            f"loss: pred has shape {y.shape} and label {x.shape}; expected as many elements in both"
        ) from error


class Loss(HybridBlock):
    """The base class of losses: derive from it and write ``hybrid_forward``.

    Parameters
    ----------
    weight : float or None
        What the loss is multiplied by.
    batch_axis : int
        The axis of the samples.

    Examples
    --------
    >>> import mxtape as mx
    >>> class Cubic(mx.gluon.loss.Loss):
    ...     def hybrid_forward(self, F, pred, label):
    ...         return F.abs(pred - label) ** 3 * self._weight
    >>> cubic = Cubic(weight=2, batch_axis=0)
    >>> cubic
    Cubic(batch_axis=0, w=2)
    >>> cubic(mx.nd.array([1, 2]), mx.nd.array([1, 0]))
    <BLANKLINE>
    [ 0. 16.]
    <NDArray 2 @cpu(0)>
    """

    def __init__(self, weight, batch_axis, **kwargs) -> None:
        super().__init__(**kwargs)
        self._batch_axis = batch_axis
        self._weight = weight

    def __repr__(self):
        return f"{type(self).__name__}(batch_axis={self._batch_axis}, w={self._weight})"

    def _of_samples(self, F, loss, sample_weight, weight=None):
        """The weighted mean for each sample; `weight` stands for the block's own."""
        weight = self._weight if weight is None else weight
        weighted = _apply_weighting(F, loss, weight, sample_weight)
        return F.mean(weighted, axis=self._batch_axis, exclude=True)


class L2Loss(Loss):
    """Half the squared error, ``(label - pred)^2 / 2``.

    Parameters
    ----------
    weight : float or None, default 1
    batch_axis : int, default 0

    Inputs
    ------
    pred : any shape
    label : as many elements as `pred`
    sample_weight : broadcasts against `pred`, optional

    Examples
    --------
    >>> import mxtape as mx
    >>> mx.gluon.loss.L2Loss()(mx.nd.array([[1, 2], [3, 4]]), mx.nd.array([[1, 0], [3, 4]]))
    <BLANKLINE>
    [1. 0.]
    <NDArray 2 @cpu(0)>
    """

    def __init__(self, weight=1.0, batch_axis=0, **kwargs) -> None:
        super().__init__(weight, batch_axis, **kwargs)

    def hybrid_forward(self, F, pred, label, sample_weight=None):
        error = F.square(_reshape_like(F, label, pred) - pred)
        half = 0.5 if self._weight is None else self._weight / 2
        return self._of_samples(F, error, sample_weight, weight=half)


class L1Loss(Loss):
    """The absolute error, ``|label - pred|``.

    Parameters and inputs are those of :class:`L2Loss`; `weight` is None by default.

    Examples
    --------
    >>> import mxtape as mx
    >>> mx.gluon.loss.L1Loss()(mx.nd.array([[1, 2], [3, 4]]), mx.nd.array([[1, 0], [3, 4]]))
    <BLANKLINE>
    [1. 0.]
    <NDArray 2 @cpu(0)>
    """

    def __init__(self, weight=None, batch_axis=0, **kwargs) -> None:
        super().__init__(weight, batch_axis, **kwargs)

    def hybrid_forward(self, F, pred, label, sample_weight=None):
        error = F.abs(_reshape_like(F, label, pred) - pred)
        return self._of_samples(F, error, sample_weight)


class HuberLoss(Loss):
    """The absolute error, smoothed at 0.

    ``|e| - rho / 2`` where the error ``e`` is larger than `rho`, else ``e^2 / (2 rho)``.

    Parameters
    ----------
    rho : float, default 1
        Where the square ends.
    weight : float, optional
    batch_axis : int, default 0

    Inputs are those of :class:`L2Loss`.

    Examples
    --------
    >>> import mxtape as mx
    >>> mx.gluon.loss.HuberLoss()(mx.nd.array([0, 3]), mx.nd.array([0.5, 0]))
    <BLANKLINE>
    [0.125 2.5  ]
    <NDArray 2 @cpu(0)>
    """

    def __init__(self, rho=1, weight=None, batch_axis=0, **kwargs) -> None:
        super().__init__(weight, batch_axis, **kwargs)
        self._rho = rho

    def hybrid_forward(self, F, pred, label, sample_weight=None):
        error = F.abs(_reshape_like(F, label, pred) - pred)
        straight = error - 0.5 * self._rho
        parabola = F.square(error) * (0.5 / self._rho)
        return self._of_samples(F, F.where(error > self._rho, straight, parabola), sample_weight)


class SigmoidBinaryCrossEntropyLoss(Loss):
    """Cross entropy of two classes, of which `label` is the probability of the first.

    With ``p = sigmoid(pred)``: ``-pos_weight * label * log(p) - (1 - label) * log(1 - p)``. It does
    not overflow.

    Parameters
    ----------
    from_sigmoid : bool, default False
        Whether `pred` is `p`. Without it the result is exact where `p` rounds to 0 or 1.
    weight : float, optional
    batch_axis : int, default 0

    Inputs
    ------
    pred : any shape
    label : as many elements as `pred`, in [0, 1]
    sample_weight, pos_weight : broadcast against `pred`, optional

    Examples
    --------
    >>> import mxtape as mx
    >>> loss = mx.gluon.loss.SigmoidBCELoss()
    >>> loss(mx.nd.array([0, 0, 50, -50]), mx.nd.array([1, 0.5, 1, 1])).asnumpy().round(3).tolist()
    [0.6930000185966492, 0.6930000185966492, 0.0, 50.0]
    """

    def __init__(self, from_sigmoid=False, weight=None, batch_axis=0, **kwargs) -> None:
        super().__init__(weight, batch_axis, **kwargs)
        self._from_sigmoid = from_sigmoid

    def hybrid_forward(self, F, pred, label, sample_weight=None, pos_weight=None):
        label = _reshape_like(F, label, pred)
        entropy = self._of_probabilities if self._from_sigmoid else self._of_scores
        return self._of_samples(F, entropy(F, pred, label, pos_weight), sample_weight)

    @staticmethod
    def _of_scores(F, score, label, pos_weight):
        # log(1 + exp(-|x|)): what remains when the part that could overflow is taken out.
        rest = F.Activation(-F.abs(score), act_type="softrelu")
        if pos_weight is None:
            return F.relu(score) - score * label + rest
        scale = 1 + F.broadcast_mul(pos_weight - 1, label)
        return score - score * label + scale * (rest + F.relu(-score))

    @staticmethod
    def _of_probabilities(F, p, label, pos_weight):
        tiny = 1e-12
        first = F.log(p + tiny) * label
        if pos_weight is not None:
            first = F.broadcast_mul(first, pos_weight)
        return -(first + F.log(1.0 - p + tiny) * (1.0 - label))


SigmoidBCELoss = SigmoidBinaryCrossEntropyLoss


class SoftmaxCrossEntropyLoss(Loss):
    """Cross entropy of classes, ``-log(softmax(pred)[label])``.

    Parameters
    ----------
    axis : int, default -1
        The axis of the classes.
    sparse_label : bool, default True
        Labels are numbers of classes; if not, probabilities of all classes.
    from_logits : bool, default False
        Whether `pred` is the logarithm of probabilities already.
    weight : float, optional
    batch_axis : int, default 0

    Inputs
    ------
    pred : any shape
    label : the shape of `pred` without `axis`; where not sparse, as many elements as `pred`
    sample_weight : broadcasts against `pred` with `axis` of one element, optional

    Examples
    --------
    >>> import mxtape as mx
    >>> scores = mx.nd.array([[0, 0], [0, 50], [50, 0]])
    >>> mx.gluon.loss.SoftmaxCELoss()(scores, mx.nd.array([1, 1, 1])).asnumpy().round(3).tolist()
    [0.6930000185966492, 0.0, 50.0]
    """

    def __init__(
        self,
        axis=-1,
        sparse_label=True,
        from_logits=False,
        weight=None,
        batch_axis=0,
        **kwargs,
    ) -> None:
        super().__init__(weight, batch_axis, **kwargs)
        self._axis, self._sparse_label = axis, sparse_label
        self._from_logits = from_logits

    def hybrid_forward(self, F, pred, label, sample_weight=None):
        logs = pred if self._from_logits else F.log_softmax(pred, self._axis)
        if self._sparse_label:
            if isinstance(label, ndarray.NDArray):
                self._check_classes(pred, label)
            chosen = F.pick(logs, label, axis=self._axis, keepdims=True)
        else:
            chosen = F.sum(logs * _reshape_like(F, label, logs), axis=self._axis, keepdims=True)
        return self._of_samples(F, -chosen, sample_weight)

    def _check_classes(self, pred, label):
        """Refuses labels that are not one class for each sample."""
        axis = self._axis % len(pred.shape)
        samples = pred.shape[:axis] + pred.shape[axis + 1 :]
        if label.size != math.prod(samples):
            hint = "; distributions need sparse_label=False" if label.shape == pred.shape else ""
            raise MXNetError(
                f"{type(self).__name__}: pred has shape {pred.shape} and label {label.shape}; "
                f"expected the numbers of classes, of shape {samples}{hint}"
            )


SoftmaxCELoss = SoftmaxCrossEntropyLoss


class KLDivLoss(Loss):
    """The Kullback-Leibler divergence of `pred` from `label`: ``label * (log(label) - log(p))``.

    The result is the sum for each sample, not the mean.

    Parameters
    ----------
    from_logits : bool, default True
        Whether `pred` is ``log(p)``; if not, the scores of a softmax.
    axis : int, default -1
        The axis of the softmax.
    weight : float, optional
    batch_axis : int, default 0

    Inputs
    ------
    pred : any shape
    label : probabilities, in the shape of `pred`
    sample_weight : broadcasts against `pred`, optional

    Examples
    --------
    >>> import mxtape as mx
    >>> same = mx.nd.array([[0.5, 0.5]])
    >>> mx.gluon.loss.KLDivLoss(from_logits=False)(mx.nd.array([[3, 3]]), same)
    <BLANKLINE>
    [0.]
    <NDArray 1 @cpu(0)>
    """

    def __init__(self, from_logits=True, axis=-1, weight=None, batch_axis=0, **kwargs) -> None:
        super().__init__(weight, batch_axis, **kwargs)
        self._axis = axis
        self._from_logits = from_logits

    def hybrid_forward(self, F, pred, label, sample_weight=None):
        logs = pred if self._from_logits else F.log_softmax(pred, self._axis)
        divergence = label * (F.log(label + 1e-12) - logs)
        weighted = _apply_weighting(F, divergence, self._weight, sample_weight)
        return F.sum(weighted, axis=self._batch_axis, exclude=True)


class CTCLoss(Loss):
    """Connectionist temporal classification: sequences whose labels have no times.

    The last class is the blank. The loss is the negative logarithm of the probability that the
    softmax of `pred` gives to all ways in which the label can be read.

    Graves et al., Connectionist temporal classification, 2006.

    Parameters
    ----------
    layout : {'NTC', 'TNC'}, default 'NTC'
        The axes of `pred`: N samples, T times, C classes.
    label_layout : {'NT', 'TN'}, default 'NT'
        The axes of `label`.
    weight : float, optional

    Inputs
    ------
    pred : scores, in `layout`
    label : numbers of classes, in `label_layout`; -1 after the end, unless `label_lengths` is given
    pred_lengths, label_lengths : (N,), optional
    sample_weight : broadcasts against (N,), optional

    Returns an array of shape (N,).

    Raises
    ------
    AssertionError
        For another layout.

    Examples
    --------
    >>> import mxtape as mx
    >>> mx.gluon.loss.CTCLoss()(mx.nd.zeros((1, 2, 3)), mx.nd.array([[1]]))  # 3 of 9 readings
    <BLANKLINE>
    [1.0986123]
    <NDArray 1 @cpu(0)>
    """

    def __init__(self, layout="NTC", label_layout="NT", weight=None, **kwargs) -> None:
        for given, allowed in ((layout, ("NTC", "TNC")), (label_layout, ("NT", "TN"))):
            if given not in allowed:
                raise AssertionError(f"CTCLoss: layout {given!r} is not one of {allowed}")
        super().__init__(weight, label_layout.find("N"), **kwargs)
        self._layout = layout
        self._label_layout = label_layout

    def hybrid_forward(
        self, F, pred, label, pred_lengths=None, label_lengths=None, sample_weight=None
    ):
        if self._layout == "NTC":
            pred = F.swapaxes(pred, 0, 1)
        if self._label_layout == "TN":
            label = F.swapaxes(label, 0, 1)
        lengths = [given for given in (pred_lengths, label_lengths) if given is not None]
        loss = F.CTCLoss(
            pred,
            label,
            *lengths,
            use_data_lengths=pred_lengths is not None,
            use_label_lengths=label_lengths is not None,
            blank_label="last",
        )
        return _apply_weighting(F, loss, self._weight, sample_weight)


class HingeLoss(Loss):
    """How far a sample is from the right side of the margin: ``max(0, margin - pred * label)``.

    Parameters
    ----------
    margin : float, default 1
    weight : float, optional
    batch_axis : int, default 0

    Inputs
    ------
    pred : any shape
    label : -1 or 1, as many elements as `pred`
    sample_weight : broadcasts against `pred`, optional

    Examples
    --------
    >>> import mxtape as mx
    >>> mx.gluon.loss.HingeLoss()(mx.nd.array([0.25, 3]), mx.nd.array([-1, 1]))
    <BLANKLINE>
    [1.25 0.  ]
    <NDArray 2 @cpu(0)>
    """

    def __init__(self, margin=1, weight=None, batch_axis=0, **kwargs) -> None:
        super().__init__(weight, batch_axis, **kwargs)
        self._margin = margin

    def hybrid_forward(self, F, pred, label, sample_weight=None):
        short = F.relu(self._margin - pred * _reshape_like(F, label, pred))
        return self._of_samples(F, short, sample_weight)


class SquaredHingeLoss(Loss):
    """The square of :class:`HingeLoss`, with its parameters and inputs.

    Examples
    --------
    >>> import mxtape as mx
    >>> mx.gluon.loss.SquaredHingeLoss()(mx.nd.array([1, 3]), mx.nd.array([-1, 1]))
    <BLANKLINE>
    [4. 0.]
    <NDArray 2 @cpu(0)>
    """

    def __init__(self, margin=1, weight=None, batch_axis=0, **kwargs) -> None:
        super().__init__(weight, batch_axis, **kwargs)
        self._margin = margin

    def hybrid_forward(self, F, pred, label, sample_weight=None):
        short = F.relu(self._margin - pred * _reshape_like(F, label, pred))
        return self._of_samples(F, F.square(short), sample_weight)


class LogisticLoss(Loss):
    """The logistic loss of two classes, ``log(1 + exp(-pred * label))`` for labels of -1 and 1.

    Parameters
    ----------
    weight : float, optional
    batch_axis : int, default 0
    label_format : {'signed', 'binary'}, default 'signed'
        Whether labels are -1 and 1, or 0 and 1.

    Inputs are those of :class:`HingeLoss`.

    Raises
    ------
    ValueError
        For another `label_format`.

    Examples
    --------
    >>> import mxtape as mx
    >>> loss = mx.gluon.loss.LogisticLoss()
    >>> loss(mx.nd.array([0, 50, -50]), mx.nd.array([1, 1, 1])).asnumpy().round(3).tolist()
    [0.6930000185966492, 0.0, 50.0]
    """

    def __init__(self, weight=None, batch_axis=0, label_format="signed", **kwargs) -> None:
        super().__init__(weight, batch_axis, **kwargs)
        if label_format not in ("signed", "binary"):
            raise ValueError(
                f"LogisticLoss: label_format must be 'signed' or 'binary'; got {label_format!r}"
            )
        self._label_format = label_format

    def hybrid_forward(self, F, pred, label, sample_weight=None):
        label = _reshape_like(F, label, pred)
        if self._label_format == "signed":
            label = (label + 1.0) / 2.0
        loss = SigmoidBinaryCrossEntropyLoss._of_scores(F, pred, label, None)
        return self._of_samples(F, loss, sample_weight)


class TripletLoss(Loss):
    """How much nearer `negative` is to `pred` than `positive`, beyond a margin.

    The loss is ``max(0, sum((positive - pred)^2 - (negative - pred)^2) + margin)``. The sum is over
    all axes but that of the batch.

    Parameters
    ----------
    margin : float, default 1
    weight : float, optional
    batch_axis : int, default 0

    Inputs
    ------
    pred : any shape
    positive, negative : as many elements as `pred`

    Returns an array of shape (N,).

    Examples
    --------
    >>> import mxtape as mx
    >>> anchor, near, far = mx.nd.array([[0, 0]]), mx.nd.array([[1, 0]]), mx.nd.array([[1, 1]])
    >>> mx.gluon.loss.TripletLoss(margin=3)(anchor, near, far)
    <BLANKLINE>
    [2.]
    <NDArray 1 @cpu(0)>
    """

    def __init__(self, margin=1, weight=None, batch_axis=0, **kwargs) -> None:
        super().__init__(weight, batch_axis, **kwargs)
        self._margin = margin

    def hybrid_forward(self, F, pred, positive, negative):
        near, far = (F.square(_reshape_like(F, x, pred) - pred) for x in (positive, negative))
        difference = F.sum(near - far, axis=self._batch_axis, exclude=True)
        return _apply_weighting(F, F.relu(difference + self._margin), self._weight)


class PoissonNLLLoss(Loss):
    """The negative logarithm of the Poisson distribution's density at `target`.

    Parameters
    ----------
    weight : float, optional
    from_logits : bool, default True
        Whether `pred` is the logarithm of the rate; if not, the rate.
    batch_axis : int, default 0
    compute_full : bool, default False
        Adds Stirling's approximation of ``log(target!)`` where the target is above 1.

    Inputs
    ------
    pred : any shape
    target : as many elements as `pred`
    sample_weight : broadcasts against `pred`, optional
    epsilon : float, default 1e-8
        Added to a rate of which the logarithm is taken.

    Returns the mean over all elements, the batch included.

    Examples
    --------
    >>> import mxtape as mx
    >>> mx.gluon.loss.PoissonNLLLoss()(mx.nd.array([0, 0]), mx.nd.array([1, 2]))
    <BLANKLINE>
    [1.]
    <NDArray 1 @cpu(0)>
    """

    def __init__(
        self, weight=None, from_logits=True, batch_axis=0, compute_full=False, **kwargs
    ) -> None:
        super().__init__(weight, batch_axis, **kwargs)
        self._compute_full = compute_full
        self._from_logits = from_logits

    def hybrid_forward(self, F, pred, target, sample_weight=None, epsilon=1e-08):
        rate = F.exp(pred) if self._from_logits else pred
        logarithm = pred if self._from_logits else F.log(pred + epsilon)
        target = _reshape_like(F, target, pred)
        loss = rate - target * logarithm
        if self._compute_full:
            large = F.maximum(target, 1)  # 0 * log(0) would be NaN
            factorial = large * F.log(large) - large + 0.5 * F.log(2 * math.pi * large)
            loss = loss + factorial * (target > 1)
        return F.mean(_apply_weighting(F, loss, self._weight, sample_weight))


class CosineEmbeddingLoss(Loss):
    """The cosine of two vectors is to be 1 where `label` is 1, and below `margin` where it is -1.

    The loss is ``1 - cos`` for labels of 1, ``max(0, cos - margin)`` for -1, and 0 for others.

    Parameters
    ----------
    weight : float, optional
    batch_axis : int, default 0
    margin : float in [-1, 1], default 0

    Inputs
    ------
    input1, input2 : (N, ..., size), vectors along the last axis
    label : -1 or 1, one for each vector
    sample_weight : broadcasts against the result, optional

    Returns an array of shape (N, 1), of all vectors one below the other.

    Examples
    --------
    >>> import mxtape as mx
    >>> x, y = mx.nd.array([[1, 0], [1, 0]]), mx.nd.array([[0, 2], [3, 3]])
    >>> mx.gluon.loss.CosineEmbeddingLoss()(x, y, mx.nd.array([1, -1])).asnumpy().round(2).tolist()
    [[1.0], [0.7099999785423279]]
    """

    def __init__(self, weight=None, batch_axis=0, margin=0, **kwargs) -> None:
        super().__init__(weight, batch_axis, **kwargs)
        self._margin = margin

    def hybrid_forward(self, F, input1, input2, label, sample_weight=None):
        cosine = self._cosine(F, _reshape_like(F, input1, input2), input2)
        label = F.reshape(label, (-1, 1))
        together = (1 - cosine) * (label == 1)
        apart = F.relu(cosine - self._margin) * (label == -1)
        return _apply_weighting(F, together + apart, self._weight, sample_weight)

    @staticmethod
    def _cosine(F, x, y):
        """The cosines along the last axis as a column; 0 for vectors of zeros."""
        column = (-1, 1)
        product = F.reshape(F.sum(x * y, axis=-1), column)
        x_length, y_length = (F.reshape(F.norm(v, axis=-1), column) for v in (x, y))
        lengths = x_length * y_length
        # A length of 0 counts as 1, so that gradients of such vectors are finite.
        return product / (F.maximum(lengths, 1e-12) + (lengths == 0))


class SDMLLoss(Loss):
    """Smoothed deep metric learning: ``x2[i]`` is to be nearer to ``x1[i]`` than others are.

    The loss is a Kullback-Leibler divergence: of the softmax of the negative squared distances
    between ``x1[i]`` and all ``x2[j]``, from a distribution that gives `i` the probability
    ``1 - smoothing_parameter`` and the rest to the others in equal parts.

    Bonadiman et al., Large Scale Question Paraphrase Retrieval with Smoothed Deep Metric Learning,
    2019.

    Parameters
    ----------
    smoothing_parameter : float, default 0.3
    weight : float, default 1
        Has no effect, as in MXNet.

    Inputs
    ------
    x1, x2 : (N, size)

    Returns an array of shape (N,).

    Raises
    ------
    AssertionError
        For arrays of different shapes.

    Examples
    --------
    >>> import mxtape as mx
    >>> x = mx.nd.array([[0, 0], [9, 9]])
    >>> mx.gluon.loss.SDMLLoss(smoothing_parameter=0)(x, x)
    <BLANKLINE>
    [0. 0.]
    <NDArray 2 @cpu(0)>
    """

    def __init__(self, smoothing_parameter=0.3, weight=1.0, batch_axis=0, **kwargs) -> None:
        super().__init__(weight, batch_axis, **kwargs)
        self.kl_loss = KLDivLoss(from_logits=True)
        self.smoothing_parameter = smoothing_parameter

    def hybrid_forward(self, F, x1, x2):
        if F is ndarray and x1.shape != x2.shape:
            raise AssertionError(f"SDMLLoss: x1 has shape {x1.shape}, x2 {x2.shape}")
        difference = F.broadcast_sub(F.expand_dims(x1, axis=1), F.expand_dims(x2, axis=0))
        distances = F.sum(F.square(difference), axis=2)
        wanted = self._smoothed(F, F.BlockGrad(distances))
        return self.kl_loss(F.log_softmax(-distances, axis=1), wanted)

    def _smoothed(self, F, distances):
        """The wanted probabilities: the diagonal's, and those of the others in equal parts."""
        ones = F.ones_like(distances)
        others = F.sum(ones, axis=1, keepdims=True) - 1
        rest = F.broadcast_div(ones * self.smoothing_parameter, others)
        # Counted in float32, in which 2,049 is not 2,048.
        counted = F.cast(F.slice_axis(distances, axis=1, begin=0, end=1), dtype="float32")
        number = F.contrib.arange_like(counted, axis=0)
        diagonal = F.broadcast_equal(F.expand_dims(number, axis=1), F.expand_dims(number, axis=0))
        return F.where(diagonal, ones * (1 - self.smoothing_parameter), rest)


def __getattr__(name):
    _missing.refuse(__name__, name)
