"""Metrics where they go beyond MXNet's, which tests/conformance/cases/metric.py records."""

import math
import pickle

import numpy as np
import pytest

import mxtape as mx
from mxtape import metric as M

P = np.array([[0.1, 0.2, 0.7], [0.5, 0.25, 0.25], [0.3, 0.4, 0.3], [0.2, 0.7, 0.1]], "float32")
Y = np.array([2, 0, 0, 1], "float32")
TWO = np.array([[0.1, 0.9], [0.6, 0.4], [0.2, 0.8], [0.7, 0.3]], "float32")
BITS = np.array([1, 0, 0, 1], "float32")
A = np.arange(8, dtype="float32").reshape(4, 2)
B = np.array([[1, 1], [0, 4], [4, 9], [6, 5]], "float32")

# A metric, labels and predictions, and the value.
EACH = [
    (M.Accuracy, {}, Y, P, 0.75),
    (M.TopKAccuracy, {"top_k": 2}, Y, P, 1.0),
    (M.F1, {}, BITS, TWO, 0.5),
    (M.F1, {"average": "micro"}, BITS, TWO, 0.5),
    (M.MCC, {}, BITS, TWO, 0.0),
    (M.PCC, {}, Y, P, 7 / 10.0),
    (M.Perplexity, {"ignore_label": None}, Y, P, math.exp(-np.log(0.7 * 0.5 * 0.3 * 0.7) / 4)),
    (M.CrossEntropy, {}, Y, P, -np.log(0.7 * 0.5 * 0.3 * 0.7) / 4),
    (M.NegativeLogLikelihood, {}, Y, P, -np.log(0.7 * 0.5 * 0.3 * 0.7) / 4),
    (M.MAE, {}, A, B, abs(A - B).mean()),
    (M.MSE, {}, A, B, ((A - B) ** 2).mean()),
    (M.RMSE, {}, A, B, math.sqrt(((A - B) ** 2).mean())),
    (M.PearsonCorrelation, {}, A, B, np.corrcoef(A.ravel(), B.ravel())[0, 1]),
    (M.PearsonCorrelation, {"average": "micro"}, A, B, np.corrcoef(A.ravel(), B.ravel())[0, 1]),
    (M.Loss, {}, Y, P, 1 / 3),
    (M.CustomMetric, {"feval": lambda y, p: p.max()}, Y, P, 0.7),
]
IDS = [f"{cls.__name__}-{'-'.join(map(str, kw.values()))[:12]}" for cls, kw, *_ in EACH]


@pytest.mark.parametrize(("cls", "kwargs", "label", "pred", "value"), EACH, ids=IDS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_values_of_arrays_of_both_kinds(cls, kwargs, label, pred, value, dtype):
    label, pred = label.astype(dtype), pred.astype(dtype)
    tolerance = 2e-3 if dtype == "float16" else 1e-6
    nd = mx.nd.array(label, dtype=dtype), mx.nd.array(pred, dtype=dtype)
    for labels, preds in (
        ([nd[0]], [nd[1]]),
        (nd[0], nd[1]),
        ([label], [pred]),
        (label, pred),
        ([label], [nd[1]]),
        ([nd[0]], [pred]),
    ):
        metric = cls(**kwargs)
        assert math.isnan(metric.get()[1])
        metric.update(labels, preds)
        assert metric.get()[1] == pytest.approx(value, rel=tolerance)
        assert metric.get_global()[1] == metric.get()[1]


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint8", "float64"])
def test_labels_of_any_dtype(dtype):
    label = mx.nd.array(Y, dtype=dtype)
    for cls, kwargs, _, _, value in EACH[:9]:
        if cls in (M.Accuracy, M.TopKAccuracy, M.Perplexity, M.CrossEntropy, M.PCC):
            metric = cls(**kwargs)
            metric.update([label], [mx.nd.array(P)])
            assert metric.get()[1] == pytest.approx(value, rel=1e-6)


def test_unsigned_numbers_do_not_wrap_around():
    metric = M.MAE()
    metric.update([np.array([3], "uint8")], [np.array([5], "uint8")])
    assert metric.get() == ("mae", 2.0)
    metric = M.TopKAccuracy(2)
    metric.update([np.array([1])], [np.array([[0, 9, 5]], "uint8")])
    assert metric.get()[1] == 1.0


def test_sums_of_float16_are_not_limited_to_it():
    metric = M.Loss()
    metric.update(None, [mx.nd.full((1000,), 100, dtype="float16")])
    assert metric.get() == ("loss", 100.0)


@pytest.mark.parametrize("cls", [M.F1, M.MCC, M.PearsonCorrelation])
def test_averages(cls):
    with pytest.raises(ValueError, match="'macro' or 'micro'; got 'mean'"):
        cls(average="mean")
    assert cls(average="micro").get_config()["average"] == "micro"


@pytest.mark.parametrize("cls", [M.F1, M.MCC, M.PCC])
def test_metrics_of_all_examples_together(cls):
    whole, parts = (cls(**({} if cls is M.PCC else {"average": "micro"})) for _ in range(2))
    whole.update([BITS], [TWO])
    parts.update([BITS[:1]], [TWO[:1]])
    parts.update([BITS[1:]], [TWO[1:]])
    assert parts.get()[1] == pytest.approx(whole.get()[1])
    parts.reset_local()
    parts.update([BITS[1:]], [TWO[1:]])
    assert parts.get_global()[1] != parts.get()[1]


def test_correlation_of_all_elements_together():
    """MXNet's has no global number, and reset_local does not reset it."""
    rng = np.random.RandomState(0)
    x, y = rng.rand(2, 50) + 1e4
    metric = M.PearsonCorrelation(average="micro")
    for part in (slice(0, 7), slice(7, 7), slice(7, 50)):
        metric.update([x[part]], [y[part]])
    assert metric.get()[1] == pytest.approx(np.corrcoef(x, y)[0, 1])
    metric.reset_local()
    assert math.isnan(metric.get()[1])
    metric.update([x[:9]], [y[:9]])
    assert metric.get()[1] == pytest.approx(np.corrcoef(x[:9], y[:9])[0, 1])
    both = np.corrcoef(np.append(x, x[:9]), np.append(y, y[:9]))[0, 1]
    assert metric.get_global()[1] == pytest.approx(both)


def test_columns_of_labels_count_once():
    """MXNet broadcasts them against the predictions."""
    flat, column = M.F1(), M.F1()
    flat.update([BITS], [TWO])
    column.update([BITS[:, None]], [TWO])
    assert flat.get() == column.get()


def test_classes_for_top_k_accuracy():
    metric = M.TopKAccuracy(2)
    metric.update([mx.nd.array(Y)], [mx.nd.array([2, 0, 1, 1])])
    assert metric.get()[1] == metric.get_global()[1] == 0.75


def test_equal_scores():
    metric = M.TopKAccuracy(2)
    metric.update([mx.nd.array([0, 1, 2, 3])], [mx.nd.zeros((4, 4))])
    assert metric.get()[1] == 0.5


def test_labels_that_are_no_class_are_not_among_the_highest():
    metric = M.TopKAccuracy(2)
    scores = [[1, 2, 3], [1, 2, 3], [np.nan, 2, 3], [np.nan, 2, 3], [1, np.nan, np.nan]]
    metric.update([mx.nd.array([-1, 3, 0, 1, 0])], [mx.nd.array(scores)])
    assert metric.get()[1] == 2 / 5


def test_correlation_of_sequences_of_classes():
    label, pred = np.array([[0, 1, 1], [2, 2, 2]]), np.zeros((2, 3, 3))
    for place, predicted in zip(np.ndindex(2, 3), [0, 1, 1, 2, 0, 1]):
        pred[place[0], predicted, place[1]] = 1
    whole, flat = M.PCC(), M.PCC()
    whole.update([label], [pred])
    flat.update([label.reshape(-1)], [pred.transpose(0, 2, 1).reshape(-1, 3)])
    assert whole.get() == flat.get()


def test_perplexity_of_sequences():
    rng = np.random.RandomState(0)
    p, y = rng.rand(2, 5, 4).astype("float32"), rng.randint(0, 4, (2, 5)).astype("float32")
    results = []
    for axis, pred, label in (
        (-1, p.reshape(10, 4), y),
        (-1, p, y),
        (-1, p, y.ravel()),
        (1, p.transpose(0, 2, 1), y),
        (2, p, y),
    ):
        for kind in (np.array, mx.nd.array):
            metric = M.Perplexity(ignore_label=2, axis=axis)
            metric.update([kind(label)], [kind(pred)])
            results.append(metric.get()[1])
    assert results == pytest.approx([results[0]] * 10)
    assert M.Perplexity(1, axis=1).get_config()["axis"] == 1


def test_padding_that_is_no_class_is_ignored():
    metric = M.Perplexity(ignore_label=-1)
    metric.update([mx.nd.array([-1, 1])], [mx.nd.array([[0.5, 0.5], [0.75, 0.25]])])
    assert metric.get()[1] == pytest.approx(4.0)


@pytest.mark.parametrize(
    ("metric", "label", "pred", "error", "text"),
    [
        (M.Accuracy(axis=3), Y, P, ValueError, "no axis 3"),
        (M.F1(), BITS, TWO[:, 0], ValueError, "no axis 1"),
        (M.F1(), Y, P, ValueError, "two classes"),
        (M.PCC(), Y[:2], P, ValueError, "2 and 4"),
        (M.PCC(), Y - 1, P, ValueError, "not negative"),
        (M.CrossEntropy(), Y + 2, P, IndexError, "out of bounds"),
        (M.CrossEntropy(), Y, Y, AssertionError, r"\(4, classes\); got \(4,\)"),
        (M.TopKAccuracy(4), Y, P, ValueError, "highest 4 of 3"),
        (M.TopKAccuracy(2), Y, P[None], AssertionError, "one or two axes"),
        (M.MSE(), Y[:3], P, ValueError, "broadcast"),
    ],
)
def test_what_does_not_fit(metric, label, pred, error, text):
    for kind in (np.array, mx.nd.array):
        with pytest.raises(error, match=text):
            metric.update([kind(label)], [kind(pred)])
    assert math.isnan(metric.get()[1])


def test_a_metric_that_failed_has_counted_nothing():
    metric = M.F1(average="micro")
    with pytest.raises(ValueError, match="two classes"):
        metric.update([BITS, np.arange(4)], [TWO, TWO])
    assert math.isnan(metric.get()[1])


@pytest.mark.parametrize(("cls", "kwargs"), [each[:2] for each in EACH[:-1]], ids=IDS[:-1])
def test_a_batch_of_nothing_counts_nothing(cls, kwargs):
    metric, other = cls(**kwargs), cls(**kwargs)
    label, pred = (BITS, TWO) if cls in (M.F1, M.MCC) else (Y, P)
    if cls in (M.MAE, M.MSE, M.RMSE, M.PearsonCorrelation):
        label = pred
    metric.update([label], [pred])
    other.update([label], [pred])
    metric.update([label[:0]], [pred[:0]])
    assert metric.get() == other.get()


def test_the_configuration_makes_the_metric_again():
    for made in (
        M.TopKAccuracy(3),
        M.Accuracy(axis=2, name="a", output_names=["x"], label_names=["y"]),
        M.CrossEntropy(eps=0.5),
        M.Perplexity(4, axis=1),
        M.F1(average="micro"),
        M.CompositeEvalMetric(["acc", "mse"]),
    ):
        again = mx.metric.create(made.get_config())
        assert type(again) is type(made)
        assert again.get_config() == made.get_config()


def test_metric_that_is_not_there():
    with pytest.raises(ValueError, match="metric 2 of 2"):
        M.CompositeEvalMetric(["acc", "mse"]).get_metric(2)


def test_the_steps_of_a_correlation():
    """The numbers are MXNet 1.9.1's."""
    metric = M.PearsonCorrelation(average="micro")
    assert metric.update_variance(np.array([1.0, 2, 4]), 0, 0, 0) == pytest.approx(
        (3, 7 / 3, 14 / 3)
    )
    assert metric.update_variance(np.array([1.0, 2, 4]), 2, 1.5, 0.5) == pytest.approx((5, 2, 6))
    assert metric.update_variance(np.array([]), 1, 2, 3) == (1, 2, 3)
    metric.update([mx.nd.array([1, 2, 3])], [mx.nd.array([2, 4, 7])])
    metric.update([mx.nd.array([0, 5])], [mx.nd.array([1, 2])])
    assert metric.get()[1] == pytest.approx(0.31574007832427314)
    metric.update_cov(np.array([1.0, 2]), np.array([3.0, 5]))
    assert metric.get()[1] == pytest.approx(0.309207524979633)
    with pytest.raises(ValueError, match="the shapes of labels and predictions differ"):
        metric.update_cov(np.array([1.0]), np.array([3.0, 5]))
    assert metric.get()[1] == pytest.approx(0.309207524979633)
    metric.reset_micro()
    assert np.isnan(metric.get()[1])


def test_functions_without_a_name():
    class Callable:
        def __call__(self, label, pred):
            return 1.0

    assert mx.metric.create(Callable()).name == "Callable"
    assert mx.metric.np(Callable()).name == "Callable"


def test_metrics_are_pickled():
    metric = M.CompositeEvalMetric(["acc", M.F1(average="micro"), M.PCC()])
    metric.update([BITS], [TWO])
    assert pickle.loads(pickle.dumps(metric)).get() == metric.get()


def test_accuracy_does_not_change_what_it_is_given():
    label = np.array([1, 0], "int32")
    pred = np.array([1, 1], "int32")
    metric = M.Accuracy()
    metric.update([label], [pred])
    assert metric.get()[1] == 0.5
    assert (label.tolist(), pred.tolist()) == ([1, 0], [1, 1])


def test_the_module_is_the_one_of_mxnet():
    assert mx.metric.create("acc").get()[0] == "accuracy"
    exported: dict = {}
    exec("from mxtape.metric import *", exported)
    assert exported["numpy"] is np
    assert exported["numeric_types"] == mx.base.numeric_types
