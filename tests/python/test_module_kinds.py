"""BucketingModule, SequentialModule, FeedForward, modules in Python, monitors."""

import gc
import pickle
import weakref

import numpy as np
import pytest

import mxtape as mx
from module_support import (
    X,
    Y,
    assert_same_params,
    batch_of,
    bucket_batch,
    bucket_symbol,
    buckets,
    classifier,
    module_of,
    numpy_params,
    step,
    values,
)

# ---- buckets


def test_a_bucket_may_get_batches_of_other_sizes():
    module = buckets()
    for key, count in ((5, 4), (5, 2), (8, 7), (5, 4)):
        module.forward(bucket_batch(key, count), is_train=False)
        assert module.get_outputs()[0].shape == (count, 3)
        assert module.data_shapes[0].shape == (count, key)


def test_preparing_a_bucket_does_not_change_what_is_read():
    module = buckets()
    module.forward(bucket_batch(5), is_train=True)
    before = module.get_outputs()[0].asnumpy()
    module.prepare(bucket_batch(3))
    assert module._curr_bucket_key == 5
    np.testing.assert_array_equal(module.get_outputs()[0].asnumpy(), before)


def test_buckets_are_saved_and_loaded(tmp_path):
    module = buckets()
    module.forward(bucket_batch(5), is_train=False)
    expected = module.get_outputs()[0].asnumpy()
    module.save_checkpoint(str(tmp_path / "net"), 3)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["net-0003.params", "net-5-symbol.json", "net-8-symbol.json", "net.buckets"]
    loaded = mx.mod.BucketingModule.load(str(tmp_path / "net"), 3, bucket_symbol, 8)
    loaded.bind([("data", (4, 8))], [("softmax_label", (4,))], for_training=False)
    loaded.forward(bucket_batch(5), is_train=False)
    np.testing.assert_array_equal(loaded.get_outputs()[0].asnumpy(), expected)


@pytest.mark.differs("MXNet's load_dict without sym_gen fails")
def test_buckets_from_symbols():
    module = buckets()
    module.forward(bucket_batch(5), is_train=False)
    symbols = {8: bucket_symbol(8)[0], 5: bucket_symbol(5)}
    arg, aux = module.get_params()
    loaded = mx.mod.BucketingModule.load_dict(
        symbols, default_bucket_key=8, arg_params=arg, aux_params=aux
    )
    loaded.bind([("data", (4, 8))], [("softmax_label", (4,))])
    loaded.forward(bucket_batch(5), is_train=False)
    expected = module.get_outputs()[0].asnumpy()
    np.testing.assert_array_equal(loaded.get_outputs()[0].asnumpy(), expected)
    with pytest.raises(AssertionError, match="no bucket 3"):
        loaded.forward(bucket_batch(3))


def test_layers_without_names_are_the_same_in_every_bucket():
    def sym_gen(key):
        n = mx.sym.Embedding(mx.sym.Variable("data"), input_dim=9, output_dim=4)
        n = mx.sym.FullyConnected(mx.sym.sum(n, axis=1), num_hidden=3)
        return mx.sym.SoftmaxOutput(n, mx.sym.Variable("label")), ("data",), ("label",)

    mx.sym.FullyConnected(mx.sym.Variable("data"), num_hidden=3)
    module = mx.mod.BucketingModule(sym_gen, default_bucket_key=8)
    module.bind([("data", (4, 8))], [("label", (4,))])
    module.init_params(mx.init.One())
    for key in (5, 3):
        module.switch_bucket(key, [("data", (4, key))], [("label", (4,))])
        names = ["embedding0_weight", "fullyconnected0_weight", "fullyconnected0_bias"]
        assert module._curr_module._param_names == names


def test_a_bucket_with_parameters_of_its_own_is_refused():
    def sym_gen(key):
        n = mx.sym.Variable("data")
        if key == 2:
            n = mx.sym.FullyConnected(n, num_hidden=5, name="more")
        n = mx.sym.FullyConnected(n, num_hidden=3, name="fc")
        return mx.sym.SoftmaxOutput(n, name="softmax"), ("data",), ("softmax_label",)

    module = mx.mod.BucketingModule(sym_gen, default_bucket_key=1)
    module.bind([("data", (4, 5))], [("softmax_label", (4,))])
    module.init_params()
    shapes = [("data", (4, 5))], [("softmax_label", (4,))]
    with pytest.raises(RuntimeError):
        module.switch_bucket(2, *shapes)
    assert module._curr_bucket_key == 1


# ---- monitors


def test_a_monitor_goes_on_after_a_reshape():
    module, monitor = module_of(), mx.mon.Monitor(1, lambda x: x.sum(), "fc2_output")
    module.install_monitor(monitor)
    for count in (4, 2, 2, 4):
        monitor.tic()
        module.forward(batch_of(count), is_train=False)
        assert [name for _, name, _ in monitor.toc()] == ["fc2_output"]


def test_a_module_that_trained_is_freed_at_once():
    def train():
        module = mx.mod.Module(classifier(), context=[mx.cpu(0), mx.cpu(1)])
        rows = mx.io.NDArrayIter(X, Y, 4)
        module.fit(rows, rows, num_epoch=1, monitor=mx.mon.Monitor(2, pattern="fc1_output"))
        module.forward(batch_of(2), is_train=False)
        module.bind([("data", (6, 5))], [("softmax_label", (6,))], force_rebind=True)
        parts = [module, *module._exec_group.execs, module._kvstore, module._optimizer]
        return [weakref.ref(part) for part in parts]

    gc.collect()
    gc.disable()
    try:
        assert [ref() for ref in train()] == [None] * 5
    finally:
        gc.enable()


def test_a_statistic_that_is_no_array():
    module, monitor = module_of(), mx.mon.Monitor(1, lambda x: 3, "fc1_weight")
    module.install_monitor(monitor)
    monitor.tic()
    module.forward(batch_of(), is_train=False)
    with pytest.raises((TypeError, AssertionError)):
        monitor.toc()


# ---- FeedForward


@pytest.mark.differs("MXNet refuses evaluation batches of another size")
def test_feed_forward_with_arrays_and_pickles():
    symbol = classifier()
    model = mx.model.FeedForward(
        symbol, num_epoch=40, numpy_batch_size=10, learning_rate=0.5, momentum=0.9
    )
    model.fit(X, (X[:, 0] > 0) * 1.0, eval_data=(X[:5], np.zeros(5)))
    assert (model.predict(X).argmax(1) == (X[:, 0] > 0)).mean() > 0.9
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(X[:3]), model.predict(X[:3]))


@pytest.mark.differs("MXNet's FeedForward cannot bind the second bucket here")
def test_feed_forward_with_buckets():
    class Buckets(mx.io.DataIter):
        default_bucket_key = 8

        def __init__(self):
            super().__init__(4)
            self.provide_data = [mx.io.DataDesc("data", (4, 8))]
            self.provide_label = [mx.io.DataDesc("softmax_label", (4,))]
            self.reset()

        def reset(self):
            self.batches = [bucket_batch(key) for key in (8, 5, 8, 3)]

        def next(self):
            if not self.batches:
                raise StopIteration
            return self.batches.pop(0)

    arg, aux = values(bucket_symbol(8)[0], data=(4, 8))
    model = mx.model.FeedForward(
        lambda key: bucket_symbol(key)[0],
        num_epoch=2,
        arg_params=arg,
        aux_params=aux,
        learning_rate=0.1,
    )
    model.fit(Buckets(), eval_metric="ce")
    module = buckets()
    module.init_optimizer(optimizer_params={"learning_rate": 0.1})
    for _ in range(2):
        for batch in Buckets():
            step(module, batch)
    assert_same_params(
        {n: v.asnumpy() for n, v in [*model.arg_params.items(), *model.aux_params.items()]},
        numpy_params(module),
        rtol=1e-5,
    )


@pytest.mark.parametrize(
    ("x", "y", "error"),
    [
        (X, None, ValueError),
        (X, Y[:3], ValueError),
        (X, np.zeros((20, 2)), ValueError),
        (3, Y, TypeError),
    ],
)
def test_feed_forward_refuses_data_that_does_not_fit(x, y, error):
    with pytest.raises(error):
        mx.model.FeedForward(classifier(), num_epoch=1).fit(x, y)


# ---- modules in Python


def test_a_module_of_ones_own_is_trained_by_fit():
    """Only the methods that ``BaseModule`` asks for."""

    class Line(mx.mod.BaseModule):
        data_names, output_names = ["data"], ["line"]
        data_shapes = label_shapes = output_shapes = symbol = None

        def bind(self, data_shapes, **_):
            self.data_shapes = data_shapes
            self.binded = True

        def init_params(self, **_):
            self.params_initialized, self.slope = True, 0.0

        def init_optimizer(self, **_):
            self.optimizer_initialized = True

        def get_params(self):
            return {"slope": mx.nd.array([self.slope])}, {}

        def set_params(self, arg_params, aux_params):
            self.slope = float(arg_params["slope"].asscalar())

        def forward(self, data_batch, is_train=None):
            self.batch = data_batch
            self.out = self.slope * data_batch.data[0]

        def backward(self, out_grads=None):
            error = self.out - self.batch.label[0].reshape((-1, 1))
            self.grad = float((error * self.batch.data[0]).mean().asscalar())

        def update(self):
            self.slope -= 0.5 * self.grad

        def get_outputs(self, merge_multi_context=True):
            return [self.out]

        def update_metric(self, eval_metric, labels, pre_sliced=False):
            eval_metric.update(labels, [self.out])

    line = Line()
    rows = mx.io.NDArrayIter(X[:, :1], 2 * X[:, 0], 4)
    line.fit(rows, rows, eval_metric="mse", num_epoch=20)
    assert line.slope == pytest.approx(2, abs=1e-3)
    np.testing.assert_allclose(line.predict(rows).asnumpy(), 2 * X[:, :1], atol=1e-2)


@pytest.mark.differs("MXNet needs provide_data in each batch here")
def test_sequential_modules_take_batches_of_other_sizes():
    first = mx.sym.FullyConnected(mx.sym.Variable("data"), num_hidden=6, name="fc1")
    row = mx.mod.SequentialModule()
    row.add(mx.mod.Module(first, label_names=None))
    row.add(
        mx.mod.Module(
            mx.sym.SoftmaxOutput(
                mx.sym.FullyConnected(mx.sym.Variable("data"), num_hidden=3, name="fc2"),
                name="softmax",
            )
        ),
        take_labels=True,
        auto_wiring=True,
    )
    row.bind([("data", (4, 5))], [("softmax_label", (4,))])
    row.init_params(mx.init.One())
    for count in (4, 2, 7):
        batch = batch_of(count)
        row.forward(batch, is_train=False)
        assert row.get_outputs()[0].shape == (count, 3)
        assert batch.data[0].shape == (count, 5)  # The caller's batch is left as it was.
    assert sorted(row.get_params()[0]) == ["fc1_bias", "fc1_weight", "fc2_bias", "fc2_weight"]
