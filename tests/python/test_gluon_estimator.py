"""``gluon.contrib.estimator``, ``gluon.contrib.data``, ``contrib.io``."""

import logging
import os
import re
import zipfile

import numpy as np
import pytest

import mxtape as mx
from mxtape import gluon, nd
from mxtape.gluon.contrib import data as contrib_data
from mxtape.gluon.contrib import estimator as est


def batches():
    x = nd.array(np.arange(40).reshape(10, 4) / 40)
    y = nd.array([0, 1, 2, 0, 1, 2, 0, 1, 2, 0])
    return gluon.data.DataLoader(gluon.data.ArrayDataset(x, y), batch_size=4)


class Lines(logging.Handler):
    def __init__(self):
        super().__init__()
        self.lines = []

    def emit(self, record):
        self.lines.append(re.sub(r"\d+\.\d{3}s", "Xs", record.getMessage()))


LOSS = gluon.loss.SoftmaxCrossEntropyLoss()


def estimator(optimizer="sgd", net=None, rate=0.1, **options):
    """An estimator of a dense layer of ones, and the lines that it logs."""
    if net is None:
        net = gluon.nn.Dense(3, in_units=4)
        net.initialize(mx.init.One())
    trainer = gluon.Trainer(net.collect_params(), optimizer, {"learning_rate": rate})
    made = est.Estimator(net, LOSS, trainer=trainer, **options)
    lines = Lines()
    made.logger.handlers, made.logger.propagate = [lines], False
    return made, lines.lines


def test_logs_are_those_of_mxnet():
    made, lines = estimator()
    made.fit(batches(), val_data=batches(), epochs=2)
    # As MXNet 1.9.1 writes them.
    assert lines == [
        "Training begin: using optimizer SGD with current learning rate 0.1000 ",
        "Train for 2 epochs.",
        "[Epoch 0] Begin, current learning rate: 0.1000",
        "Validation Begin",
        "[Epoch 0] Finished in Xs, validation accuracy: 0.4000, "
        "validation softmaxcrossentropyloss: 1.0928",
        "[Epoch 0] Finished in Xs, training accuracy: 0.3000, "
        "training softmaxcrossentropyloss: 1.1036",
        "[Epoch 1] Begin, current learning rate: 0.1000",
        "Validation Begin",
        "[Epoch 0] Finished in Xs, validation accuracy: 0.4000, "
        "validation softmaxcrossentropyloss: 1.0904",
        "[Epoch 1] Finished in Xs, training accuracy: 0.4000, "
        "training softmaxcrossentropyloss: 1.0985",
        "Train finished using total 0s with 2 epochs. training accuracy: 0.4000, "
        "training softmaxcrossentropyloss: 1.0985",
    ]


def test_logs_of_batches():
    made, lines = estimator(train_metrics=mx.metric.Accuracy())
    handler = est.LoggingHandler(log_interval=2, metrics=made.train_metrics)
    made.fit(batches(), batches=4, event_handlers=[handler])
    assert lines[1:] == [
        "Train for 4 batches.",
        "[Epoch 0] Begin, current learning rate: 0.1000",
        "[Epoch 0][Batch 0][Samples 4] time/interval: Xs training accuracy: 0.5000",
        "[Epoch 0][Batch 2][Samples 10] time/interval: Xs training accuracy: 0.3000",
        "[Epoch 0] Finished in Xs, training accuracy: 0.3000",
        "[Epoch 1] Begin, current learning rate: 0.1000",
        "[Epoch 1][Batch 0][Samples 14] time/interval: Xs training accuracy: 0.5000",
        "[Epoch 1] Finished in Xs, training accuracy: 0.5000",
        "Train finished using total 0s with 2 epochs. training accuracy: 0.5000",
    ]


def test_handlers_are_called_by_priority():
    events = ("train_begin", "epoch_begin", "batch_begin", "batch_end", "epoch_end", "train_end")
    called = []

    def method(event):
        def call(self, estimator, *args, **kwargs):
            called.append((self.name, event, sorted(kwargs)))

        return call

    bases = (est.TrainBegin, est.EpochBegin, est.BatchBegin, est.BatchEnd, est.EpochEnd)
    All = type("All", (*bases, est.TrainEnd), {event: method(event) for event in events})
    first, second = All(), All()
    first.name, first.priority, second.name = "first", -5000, "second"
    made, _ = estimator()
    made.fit(batches(), batches=1, event_handlers=[second, first])
    given = {"batch_begin": ["batch"], "batch_end": ["batch", "label", "loss", "pred"]}
    assert called == [
        (name, event, given.get(event, [])) for event in events for name in ("first", "second")
    ]


def test_what_handlers_return_ends_the_training():
    class Stop(est.BatchEnd, est.EpochEnd):
        count = 0

        def batch_end(self, estimator, *args, **kwargs):
            self.count += 1
            return self.count == 2

        def epoch_end(self, estimator, *args, **kwargs):
            return self.count == 5

    made, lines = estimator()
    stop = Stop()
    made.fit(batches(), epochs=9, event_handlers=stop)
    assert stop.count == 5
    assert "with 2 epochs" in lines[-1]


def test_several_contexts_train_as_one():
    weights = []
    for context in (mx.cpu(0), [mx.cpu(0), mx.cpu(1)]):
        net = gluon.nn.Dense(3, in_units=4)
        net.initialize(mx.init.One(), ctx=context)
        made, _ = estimator(net=net, context=context)
        made.fit(batches(), epochs=2)
        weights.append(net.weight.data(mx.cpu(0)).asnumpy())
    np.testing.assert_allclose(*weights, rtol=1e-5)


class Fake(mx.metric.EvalMetric):
    """A metric that has these values, one after each epoch."""

    def __init__(self, values):
        self.values, self.epoch = list(values), -1
        super().__init__("fake")

    def update(self, labels, preds):
        pass

    def get(self):
        return self.name, self.values[self.epoch]


class Tick(est.EpochEnd):
    priority = -9999

    def __init__(self, fake):
        self.fake = fake

    def epoch_end(self, estimator, *args, **kwargs):
        self.fake.epoch += 1


@pytest.mark.parametrize(
    ("values", "options", "epochs", "best"),
    [
        ([5, 4, 3, 3, 3, 3], {"patience": 1, "mode": "min"}, 4, 3),
        ([1, 2, 2, 2, 2, 2], {"mode": "max"}, 3, 2),
        ([5, 4.95, 4.9, 4.8], {"min_delta": 0.1, "mode": "min"}, 2, 5),
        ([5, 4, 3], {"baseline": 2, "patience": 1, "mode": "min"}, 1, 2),
        ([9, 8, 7, 6, 5, 4], {"mode": "min"}, 6, 4),
    ],
)
def test_early_stopping(values, options, epochs, best):
    fake = Fake(values)
    made, lines = estimator(train_metrics=fake)
    handler = est.EarlyStoppingHandler(fake, **options)
    made.fit(batches(), epochs=6, event_handlers=[handler, Tick(fake)])
    assert f"with {epochs} epochs" in lines[-1]
    assert handler.best == best
    assert any("does not improve" in line for line in lines) == (epochs < 6)


def names(folder):
    return sorted(name for name in os.listdir(folder) if name.endswith(".params"))


def test_checkpoints(tmp_path):
    fake = Fake([3, 4, 2, 1, 5])
    made, lines = estimator(train_metrics=fake)
    handler = est.CheckpointHandler(
        str(tmp_path), monitor=fake, save_best=True, mode="min", verbose=1, max_checkpoints=2
    )
    made.fit(batches(), epochs=5, event_handlers=[handler, Tick(fake)])
    kept = ["model-epoch3batch12.params", "model-epoch4batch15.params"]
    assert names(tmp_path) == ["model-best.params", *kept]
    assert sorted(os.listdir(tmp_path))[1] == "model-best.states"
    improved = [line for line in lines if "improved" in line]
    assert len(improved) == 3
    assert "fake improved from 2.00000 to 1.00000" in improved[-1]


def test_checkpoints_of_batches_and_graphs(tmp_path):
    net = gluon.nn.HybridSequential()
    net.add(gluon.nn.Dense(3))
    net.initialize()
    net.hybridize()
    made, _ = estimator(net=net)
    handler = est.CheckpointHandler(str(tmp_path), "net", batch_period=2, epoch_period=None)
    made.fit(batches(), epochs=2, event_handlers=handler)
    assert names(tmp_path) == [f"net-epoch{e}batch{b}.params" for e, b in ((0, 1), (1, 3), (1, 5))]
    prefix = str(tmp_path / "net")
    loaded = gluon.SymbolBlock.imports(f"{prefix}-symbol.json", ["data"])
    loaded.load_parameters(f"{prefix}-epoch1batch5.params", allow_missing=True, ignore_extra=True)


@pytest.mark.parametrize("period", [{}, {"epoch_period": None, "batch_period": 3}])
def test_a_resumed_training_ends_with_the_same_bits(tmp_path, period):
    kind, count = ("batches", 3) if period else ("epochs", 1)
    weights = []
    for parts in ([4], [2, 4]):
        folder = tmp_path / str(len(parts))
        for part in parts:
            made, lines = estimator("adam")
            handler = est.CheckpointHandler(
                str(folder), resume_from_checkpoint=len(parts) == 2, **period
            )
            made.fit(batches(), event_handlers=handler, **{kind: part * count})
        weights.append(made.net.weight.data().asnumpy())
    assert any("resumed from epoch 1" in line for line in lines)
    assert np.array_equal(*weights)
    assert names(tmp_path / "1") == names(tmp_path / "2")
    with pytest.raises(ValueError, match="already has all"):
        made.fit(batches(), event_handlers=handler, **{kind: count})


def test_which_values_are_better():
    with pytest.warns(UserWarning, match="when it is less"):
        assert est.EarlyStoppingHandler(mx.metric.RMSE()).monitor_op is np.less
    with pytest.warns(UserWarning, match="when it is greater"):
        assert est.EarlyStoppingHandler(mx.metric.F1()).monitor_op is np.greater


def test_each_estimator_has_a_logger_of_its_own(capsys):
    first, other = (est.Estimator(gluon.nn.Dense(3), LOSS, initializer="one") for _ in range(2))
    first.logger.setLevel("ERROR")
    first.logger.info("quiet")
    other.logger.info("heard once")
    assert capsys.readouterr().out == "heard once\n"


def test_default_metrics_trainer_and_initialization():
    net = gluon.nn.Dense(3, in_units=4)
    with pytest.warns(UserWarning, match="no trainer is given"):
        made = est.Estimator(net, gluon.loss.L1Loss(), initializer=mx.init.One())
    assert made.trainer.learning_rate == 0.001
    assert net.weight.data().sum().item() == 12
    assert [m.name for m in made.train_metrics] == ["training l1loss"]
    with pytest.warns(UserWarning, match="initializer is not used"):
        again = est.Estimator(net, LOSS, initializer=mx.init.Zero(), trainer=made.trainer)
    assert net.weight.data().sum().item() == 12
    assert [m.name for m in again.val_metrics] == [
        "validation accuracy",
        "validation softmaxcrossentropyloss",
    ]
    assert again.train_metrics[0] is not again.val_metrics[0]


def other_metric(made):
    return est.MetricHandler(mx.metric.Accuracy())


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda made: est.Estimator(made.net, "l1"), "loss must be"),
        (lambda made: est.Estimator(made.net, LOSS, train_metrics="acc"), "metrics must be"),
        (lambda made: est.Estimator(made.net, LOSS, trainer="sgd"), "trainer must be"),
        (lambda made: est.Estimator(made.net, LOSS, context="cpu"), "context must be"),
        (lambda made: made.fit(batches()), "epochs or batches"),
        (lambda made: made.fit(batches(), epochs=1, batches=1), "epochs or batches"),
        (lambda made: made.fit([1], epochs=1), "DataLoader"),
        (lambda made: made.fit(batches(), [1], epochs=1), "DataLoader"),
        (lambda made: made.fit(batches(), epochs=1, event_handlers=[1]), "EventHandler"),
        (lambda made: made.fit(batches(), None, 1, other_metric(made)), "refers to"),
        (lambda made: est.LoggingHandler(log_interval=1.5), "log_interval"),
        (lambda made: est.CheckpointHandler(".", save_best=True), "needs a monitor"),
    ],
)
def test_what_is_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call(estimator()[0])


# ---- gluon.contrib.data


def test_interval_sampler():
    whole = contrib_data.IntervalSampler(13, interval=3)
    assert list(whole) == [0, 3, 6, 9, 12, 1, 4, 7, 10, 2, 5, 8, 11]
    assert len(whole) == 13
    part = contrib_data.IntervalSampler(13, 3, rollover=False)
    assert list(part) == [0, 3, 6, 9, 12]
    assert len(part) == 5
    with pytest.raises(AssertionError, match="interval"):
        contrib_data.IntervalSampler(3, 5)


TEXT = " = Title = \n\n the quick <unk> fox \n jumps over the dog \n \n the end . \n" * 3


@pytest.mark.parametrize("archive", [False, True])
def test_wikitext(tmp_path, archive):
    if archive:
        with zipfile.ZipFile(tmp_path / "wikitext-2-v1.zip", "w") as files:
            files.writestr("wikitext-2/wiki.train.tokens", TEXT)
    else:
        (tmp_path / "wiki.train.tokens").write_text(TEXT)
    words = contrib_data.text.WikiText2(str(tmp_path), seq_len=5)
    # The numbers that MXNet gives for this text.
    assert len(words) == 10
    assert words[0][0].dtype == np.int32
    assert [part.asnumpy().tolist() for part in words[0]] == [[3, 5, 3, 1, 2], [5, 3, 1, 2, 11]]
    assert words.vocabulary.idx_to_token[:4] == ["<unk>", "<eos>", "the", "="]
    assert words.frequencies["the"] == 9
    batch = next(iter(gluon.data.DataLoader(words, batch_size=4)))
    assert batch[0].shape == (4, 5)
    with pytest.raises(FileNotFoundError, match=r"wiki\.valid\.tokens"):
        contrib_data.text.WikiText2(str(tmp_path / "none"), segment="validation")
    with pytest.raises(KeyError, match="segment"):
        contrib_data.text.WikiText103(str(tmp_path), segment="all")


def test_a_loader_trains_a_module():
    batch = next(mx.contrib.io.DataLoaderIter(batches(), "x", "y", dtype="float16"))
    assert batch.data[0].dtype == np.float16
    assert batch.label[0].shape == (4,)
    loader = mx.contrib.io.DataLoaderIter(batches())
    assert [batch.pad for batch in loader] == [0, 0, 2]
    net = mx.sym.FullyConnected(mx.sym.var("data"), num_hidden=3)
    loader.reset()
    module = mx.mod.Module(mx.sym.SoftmaxOutput(net, name="softmax"))
    module.fit(loader, num_epoch=2, initializer=mx.init.One())
    assert module.predict(loader).shape == (10, 3)
