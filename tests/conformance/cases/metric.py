"""Metrics: what they say after updates, of many kinds of labels and predictions."""

import numpy as np
from harness import array, attempt, case, data, integers, values


def _softmax(scores):
    e = np.exp(scores.astype("float64"))
    return (e / e.sum(axis=-1, keepdims=True)).astype("float32")


def _plain(x):
    """Python's numbers for NumPy's: which of them a sum is depends on what was added."""
    if isinstance(x, (list, tuple)):
        return type(x)(_plain(item) for item in x)
    if isinstance(x, np.ndarray) and x.size == 1:
        return x.item()
    return x.item() if isinstance(x, np.generic) else x


def _state(metric):
    """All that a metric tells, as a case's result."""
    names = ("sum_metric", "num_inst", "global_sum_metric", "global_num_inst")
    return {
        "get": _plain(attempt(metric.get)),
        "global": _plain(attempt(metric.get_global)),
        "pairs": _plain(attempt(metric.get_name_value)),
        "sums": [float(getattr(metric, name, "nan")) for name in names],
    }


def _run(metric, *pairs):
    """The states after each update, after reset_local, one more update, and reset."""
    seen = []
    for labels, preds in pairs:
        seen.append(attempt(metric.update, labels, preds))
        seen.append(_state(metric))
    metric.reset_local()
    seen.append(_state(metric))
    seen.append(attempt(metric.update, *pairs[0]))
    seen.append(_state(metric))
    metric.reset()
    seen.append(_state(metric))
    return seen


def setup(mx):
    names = {"m": mx.metric, "run": _run, "state": _state, "plain": _plain}
    p = _softmax(data((6, 4), seed=1))
    q = _softmax(data((5, 4), seed=2))
    y = p.argmax(axis=1).astype("float32")
    y[::3] = [1, 3]
    pairs = {
        "p": p,
        "q": q,
        "y": y,
        "z": integers((5,), 0, 4, seed=4).astype("float32"),
        "p2": _softmax(data((6, 2), seed=5)),
        "q2": _softmax(data((5, 2), seed=6)),
        "y2": integers((6,), 0, 2, seed=7).astype("float32"),
        "z2": integers((5,), 0, 2, seed=8).astype("float32"),
        "r": data((6, 3), seed=9),
        "t": data((6, 3), seed=10),
        "v": data((6,), seed=11),
        "w": data((6,), seed=12),
        "one": np.array([3.0], "float32"),
        "other": np.array([5.0], "float32"),
        "pt": _softmax(data((2, 5, 4), seed=13)),
        "yt": integers((2, 5), 0, 4, seed=14).astype("float32"),
        "pc": _softmax(data((2, 5, 4), seed=13)).transpose(0, 2, 1).copy(),
    }
    arrays = {key: array(mx, value) for key, value in pairs.items()}
    arrays["yi"], arrays["y64"] = arrays["y"].astype("int32"), arrays["y"].astype("float64")
    arrays["p16"], arrays["p64"] = arrays["p"].astype("float16"), arrays["p"].astype("float64")
    arrays["classes"] = arrays["p"].argmax(axis=1)
    arrays["ycol"] = arrays["y"].reshape((6, 1))
    arrays["vcol"] = arrays["v"].reshape((6, 1))
    return {**names, **arrays}


# Every class on labels and probabilities of its kind, twice, and as lists and bare arrays.
values(
    __name__,
    setup,
    """
    run(m.Accuracy(), ([y], [p]), ([z], [q]))
    run(m.Accuracy(), (y, p))
    run(m.Accuracy(), ([y], [classes]))
    run(m.Accuracy(), ([ycol], [p]))
    run(m.Accuracy(), ([y, z], [p, q]))
    run(m.Accuracy(), ([yi], [p]))
    run(m.Accuracy(), ([y64], [p64]))
    run(m.Accuracy(), ([yi], [p16]))
    run(m.Accuracy(), ([yt], [pc]))
    run(m.Accuracy(axis=2), ([yt], [pt]))
    run(m.Accuracy(axis=-1), ([yt], [pt]))
    run(m.Accuracy(axis=0), ([y], [p.T]))
    run(m.Accuracy(name='acc'), ([y], [p]))
    run(m.Accuracy(), ([y], [p, q]))
    run(m.Accuracy(), ([z], [p]))
    run(m.Accuracy(), ([p], [p]))
    run(m.Accuracy(), ([], []))
    run(m.Accuracy(), ([nd.array([1.7, 0.2])], [nd.array([1.2, 1])]))
    run(m.TopKAccuracy(), ([y], [p]))
    run(m.TopKAccuracy(top_k=2), ([y], [p]), ([z], [q]))
    run(m.TopKAccuracy(2), (y, p))
    run(m.TopKAccuracy(3), ([y, z], [p, q]))
    run(m.TopKAccuracy(top_k=2), ([yi], [p64]))
    run(m.TopKAccuracy(top_k=2), ([y], [p16]))
    run(m.TopKAccuracy(top_k=9), ([y], [p]))
    run(m.TopKAccuracy(top_k=2), ([yt], [pt]))
    run(m.TopKAccuracy(top_k=2), ([ycol], [p]))
    run(m.TopKAccuracy(top_k=2), ([z], [p]))
    run(m.F1(), ([y2], [p2]), ([z2], [q2]))
    run(m.F1(average='micro'), ([y2], [p2]), ([z2], [q2]))
    run(m.F1(), (y2, p2))
    run(m.F1(), ([y2, z2], [p2, q2]))
    run(m.F1(), ([y], [p]))
    run(m.F1(), ([y], [p2]))
    run(m.F1(), ([nd.zeros((3,))], [nd.array([[.9, .1]] * 3)]))
    run(m.F1(), ([nd.ones((3,))], [nd.array([[.1, .9]] * 3)]))
    run(m.F1(), ([nd.ones((3,))], [nd.array([[.9, .1]] * 3)]))
    run(m.F1(), ([z2], [p2]))
    run(m.MCC(), ([y2], [p2]), ([z2], [q2]))
    run(m.MCC(average='micro'), ([y2], [p2]), ([z2], [q2]))
    run(m.MCC(), (y2, p2))
    run(m.MCC(), ([y2, z2], [p2, q2]))
    run(m.MCC(), ([nd.zeros((3,))], [nd.array([[.9, .1]] * 3)]))
    run(m.MCC(), ([nd.ones((3,))], [nd.array([[.1, .9]] * 3)]))
    run(m.MCC(), ([nd.ones((3,))], [nd.array([[.9, .1]] * 3)]))
    run(m.MCC(), ([nd.array([0, 1, 1])], [nd.array([[.9, .1]] * 3)]))
    run(m.PCC(), ([y2], [p2]), ([z2], [q2]))
    run(m.PCC(), ([y], [p]), ([z], [q]))
    run(m.PCC(), ([y2], [p2]), ([z], [q]))
    run(m.PCC(), (y, p))
    run(m.PCC(), ([nd.zeros((3,))], [nd.array([[.9, .1]] * 3)]))
    run(m.PCC(), ([nd.ones((3,))], [nd.array([[.1, .9]] * 3)]))
    run(m.PCC(), ([y, z], [p, q]))
    run(m.PCC(), ([y], [classes]))
    run(m.Perplexity(None), ([y], [p]), ([z], [q]))
    run(m.Perplexity(ignore_label=None), (y, p))
    run(m.Perplexity(ignore_label=2), ([y], [p]), ([z], [q]))
    run(m.Perplexity(ignore_label=0, name='ppl'), ([yt], [pt.reshape((10, 4))]))
    run(m.Perplexity(None), ([ycol], [p]))
    run(m.Perplexity(None), ([y, z], [p, q]))
    run(m.Perplexity(None), ([yi], [p]))
    run(m.Perplexity(None), ([y], [p64]))
    run(m.Perplexity(None), ([y], [nd.zeros((6, 4))]))
    run(m.Perplexity(None), ([z], [p]))
    run(m.MAE(), ([r], [t]), ([t], [r * 2]))
    run(m.MAE(), (r, t))
    run(m.MAE(), ([v], [w]))
    run(m.MAE(), ([v], [vcol * 2]))
    run(m.MAE(), ([vcol], [w]))
    run(m.MAE(), ([r, v], [t, w]))
    run(m.MAE(), ([v], [r]))
    run(m.MAE(), ([one], [other]))
    run(m.MSE(), ([r], [t]), ([t], [r * 2]))
    run(m.MSE(), (r, t))
    run(m.MSE(), ([v], [w]))
    run(m.MSE(), ([v], [vcol * 2]))
    run(m.MSE(), ([r, v], [t, w]))
    run(m.MSE(), ([v], [r]))
    run(m.RMSE(), ([r], [t]), ([t], [r * 2]))
    run(m.RMSE(), (r, t))
    run(m.RMSE(), ([v], [w]))
    run(m.RMSE(), ([r, v], [t, w]))
    run(m.CrossEntropy(), ([y], [p]), ([z], [q]))
    run(m.CrossEntropy(eps=0.5), ([y], [p]))
    run(m.CrossEntropy(), (y, p))
    run(m.CrossEntropy(), ([ycol], [p]))
    run(m.CrossEntropy(), ([yi], [p64]))
    run(m.CrossEntropy(), ([z], [p]))
    run(m.CrossEntropy(), ([y], [nd.zeros((6, 4))]))
    run(m.CrossEntropy(), ([yt], [pt]))
    run(m.NegativeLogLikelihood(), ([y], [p]), ([z], [q]))
    run(m.NegativeLogLikelihood(eps=0.5), ([y], [p]))
    run(m.NegativeLogLikelihood(), (y, p))
    run(m.NegativeLogLikelihood(), ([ycol], [p]))
    run(m.NegativeLogLikelihood(), ([z], [p]))
    run(m.PearsonCorrelation(), ([v], [w]), ([w], [v * v]))
    run(m.PearsonCorrelation(), ([r], [t]), ([t], [r * r]))
    run(m.PearsonCorrelation(), (v, w))
    run(m.PearsonCorrelation(), ([v], [vcol]))
    run(m.PearsonCorrelation(), ([z], [w]))
    run(m.Loss(), ([y], [p]), ([z], [q]))
    run(m.Loss(), (y, p))
    run(m.Loss(), (None, [p]))
    run(m.Loss(), (None, p))
    run(m.Loss(), (0, [p, q]))
    run(m.Loss(), (None, [yi]))
    run(m.Loss(name='total'), (None, [one]))
    run(m.Torch(), (None, [p]))
    run(m.Caffe(), (None, [p]))
    run(m.CustomMetric(lambda label, pred: float(abs(label - pred).sum())), ([r], [t]))
    run(m.CustomMetric(lambda label, pred: (float(pred.sum()), 7)), ([r], [t]), ([t], [r]))
    run(m.CustomMetric(lambda label, pred: 1.5, name='mine'), ([r], [t]))
    run(m.CustomMetric(lambda label, pred: 1.5), (r, t))
    run(m.CustomMetric(lambda label, pred: 1.5), ([r], [t, t]))
    run(m.CustomMetric(lambda label, pred: 1.5, allow_extra_outputs=True), ([r], [t, t]))
    run(m.np(lambda label, pred: float((label == pred).mean())), ([y], [classes]))
    run(m.np(lambda label, pred: 2.0, name='two'), ([y], [classes]))
    run(m.np(lambda label, pred: 2.0, 'three', True), ([y], [classes, classes]))
    """,
)


# What metrics are called and made from.
def _described(metric):
    return {
        "name": metric.name,
        "text": str(metric),
        "config": metric.get_config(),
        "names": [metric.output_names, metric.label_names],
        "type": type(metric).__name__,
        "kwargs": metric._kwargs,
        "has_global": getattr(metric, "_has_global_stats", "absent"),
    }


def setup_create(mx):
    return {**setup(mx), "d": _described}


values(
    __name__,
    setup_create,
    """
    d(m.Accuracy())
    d(m.Accuracy(axis=2, name='a', output_names=['x'], label_names=['l']))
    d(m.TopKAccuracy(top_k=5))
    d(m.TopKAccuracy(3, name='q'))
    d(m.F1())
    d(m.MCC())
    d(m.PCC())
    d(m.Perplexity(3))
    d(m.MAE())
    d(m.MSE())
    d(m.RMSE())
    d(m.CrossEntropy())
    d(m.CrossEntropy(eps=0.25))
    d(m.NegativeLogLikelihood())
    d(m.PearsonCorrelation())
    d(m.Loss())
    d(m.Torch())
    d(m.Caffe())
    d(m.np(np.max, name='best'))
    d(m.np(np.max))
    d(m.CustomMetric(max))
    d(m.CustomMetric(max, name='named'))
    d(m.CustomMetric(lambda a, b: 1))
    d(m.create('acc'))
    d(m.create('accuracy'))
    d(m.create('ACC', axis=2))
    d(m.create('top_k_accuracy', top_k=3))
    d(m.create('top_k_acc'))
    d(m.create('topkaccuracy'))
    d(m.create('f1'))
    d(m.create('mcc'))
    d(m.create('pcc'))
    d(m.create('mae'))
    d(m.create('mse'))
    d(m.create('rmse'))
    d(m.create('ce'))
    d(m.create('cross-entropy'))
    d(m.create('crossentropy'))
    d(m.create('nll_loss'))
    d(m.create('nll-loss'))
    d(m.create('negativeloglikelihood'))
    d(m.create('pearsonr'))
    d(m.create('pearsoncorrelation'))
    d(m.create('perplexity', 3))
    d(m.create('perplexity'))
    d(m.create('loss'))
    d(m.create('torch'))
    d(m.create('caffe'))
    d(m.create('composite'))
    d(m.create('compositeevalmetric'))
    d(m.create('custommetric', max))
    d(m.create('evalmetric', 'some'))
    d(m.create('absent'))
    d(m.create(None))
    d(m.create(3))
    d(m.create(max))
    d(m.create(lambda label, pred: 1.0))
    d(m.create(m.MSE()))
    d(m.create(m.MSE))
    d(m.create(['acc', 'mse']))
    d(m.create(('acc', 'mse')))
    d(m.create(['acc', m.MSE(), lambda a, b: 1]))
    d(m.create([]))
    d(m.create({'metric': 'acc', 'axis': 2}))
    d(m.create('{"metric": "acc", "axis": 2}'))
    d(m.create('["acc", {"axis": 2}]'))
    d(m.EvalMetric('plain', a=3))
    m.EvalMetric('plain').update([y], [p])
    state(m.EvalMetric('plain'))
    d(m.CompositeEvalMetric())
    d(m.CompositeEvalMetric(['acc', 'mse']))
    d(m.CompositeEvalMetric([m.Accuracy()], name='both'))
    [type(x).__name__ for x in m.CompositeEvalMetric(['acc', 'mse']).metrics]
    type(m.CompositeEvalMetric(['acc', 'mse']).get_metric(1)).__name__
    m.CompositeEvalMetric(['acc', 'mse']).get_metric(-1).name
    """,
)


@case
def composite(mx):
    env = setup(mx)
    metric = mx.metric.CompositeEvalMetric()
    metric.add("acc")
    metric.add(mx.metric.create("ce"))
    metric.add(mx.metric.F1())
    seen = _run(metric, ([env["y2"]], [env["p2"]]), ([env["z2"]], [env["q2"]]))
    return [seen, _plain(metric.get_global_name_value())]


@case
def composite_of_composites(mx):
    env = setup(mx)
    inner = mx.metric.CompositeEvalMetric(["acc", "ce"])
    metric = mx.metric.CompositeEvalMetric([inner, "loss"])
    metric.update([env["y2"]], [env["p2"]])
    return _plain([metric.get(), metric.get_name_value()])


@case
def update_dict(mx):
    """Outputs and labels by name: all of them, or those that the metric wants, in its order."""
    env = setup(mx)
    labels, preds = {"a": env["y"], "b": env["z"]}, {"s": env["p"], "t": env["q"]}
    seen = []
    for outputs, wanted in (
        (None, None),
        (["s"], ["a"]),
        (["t"], ["b"]),
        (["t", "s"], ["b", "a"]),
        (["s"], None),
        (None, ["a"]),
        (["absent"], ["a"]),
        (["s"], ["absent"]),
    ):
        metric = mx.metric.Accuracy(output_names=outputs, label_names=wanted)
        seen.append(attempt(metric.update_dict, dict(labels), dict(preds)))
        seen.append(_state(metric))
    return seen


@case
def composite_update_dict(mx):
    env = setup(mx)
    labels, preds = {"a": env["y"], "b": env["z"]}, {"s": env["p"], "t": env["q"]}
    seen = []
    for outputs, wanted in ((None, None), (["s"], ["a"]), (["absent"], ["a"])):
        metric = mx.metric.CompositeEvalMetric(
            [mx.metric.Accuracy(), mx.metric.CrossEntropy(output_names=["s"], label_names=["a"])],
            output_names=outputs,
            label_names=wanted,
        )
        seen.append(attempt(metric.update_dict, dict(labels), dict(preds)))
        seen.append(_plain(metric.get()))
    return seen


@case
def check_label_shapes(mx):
    env = setup(mx)
    check, y, z, p = mx.metric.check_label_shapes, env["y"], env["z"], env["p"]

    def listed(result):
        if not isinstance(result, tuple):
            return result
        return ["list" if isinstance(x, list) else type(x).__name__ for x in result]

    return [
        listed(attempt(check, *args, **kwargs))
        for args, kwargs in (
            (([y], [p]), {}),
            (([y], [p, p]), {}),
            ((y, p), {}),
            ((y, z), {}),
            ((y, y), {"shape": True}),
            ((y, p), {"shape": True}),
            ((y, p), {"wrap": True}),
            (([y], p), {"wrap": True}),
            (([y, y], p), {"wrap": True}),
            ((y, y), {"wrap": True, "shape": True}),
            ((y, z), {"wrap": True, "shape": True}),
        )
    ]


@case
def a_subclass_with_sums_of_its_own(mx):
    """What programs write: update adds to sum_metric and num_inst, as before 1.5."""

    class Half(mx.metric.EvalMetric):
        def __init__(self):
            super().__init__("half")

        def update(self, labels, preds):
            for label in labels:
                self.sum_metric += float(label.sum().asscalar()) / 2
                self.num_inst += label.shape[0]

    env = setup(mx)
    return _run(Half(), ([env["y"]], [env["p"]]), ([env["z"]], [env["q"]]))


@case
def a_subclass_with_several_numbers(mx):
    class Pair(mx.metric.EvalMetric):
        def __init__(self, num=2):
            self.num = num
            super().__init__("pair")

        def reset(self):
            self.num_inst = [0] * self.num
            self.sum_metric = [0.0] * self.num

        def update(self, labels, preds):
            for i in range(self.num):
                self.sum_metric[i] += i + 1.0
                self.num_inst[i] += 4

        def get(self):
            names = [f"{self.name}_{i}" for i in range(self.num)]
            return names, [s / n if n else -1.0 for s, n in zip(self.sum_metric, self.num_inst)]

    metric = Pair()
    metric.update(None, None)
    return [metric.get(), metric.get_name_value(), str(metric)]


@case
def registered(mx):
    @mx.metric.register
    @mx.metric.alias("ninth")
    class Eighth(mx.metric.EvalMetric):
        def __init__(self, name="eighth", **kwargs):
            super().__init__(name, **kwargs)

    return [type(mx.metric.create(name)).__name__ for name in ("eighth", "ninth", "NINTH")] + [
        _described(mx.metric.create("ninth", output_names=["a"], extra=4))
    ]
