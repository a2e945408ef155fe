"""mx.rnn: training, checkpoints that cross from fused cells to others, what is wrong is said."""

import warnings

import numpy as np
import pytest

import mxtape as mx
from support import assert_same

nd, rnn, sym = mx.nd, mx.rnn, mx.sym


def language_model(cell, words, invalid=0):
    """The symbol of a model of the next word, for a number of steps."""

    def make(length):
        cell.reset()
        embedded = sym.Embedding(sym.var("data"), input_dim=words, output_dim=8, name="embed")
        outputs, _ = cell.unroll(length, embedded, merge_outputs=True)
        flat = sym.Reshape(outputs, shape=(-1, 16))
        scores = sym.FullyConnected(flat, num_hidden=words, name="scores")
        label = sym.Reshape(sym.var("softmax_label"), shape=(-1,))
        return (
            sym.SoftmaxOutput(scores, label, name="softmax", use_ignore=True, ignore_label=invalid),
            ("data",),
            ("softmax_label",),
        )

    return make


@pytest.mark.parametrize("fused", [False, True])
def test_a_language_model_learns_in_buckets(fused):
    mx.random.seed(1)
    np.random.seed(2)  # noqa: NPY002 - it shuffles the buckets
    sentences = [
        [1 + (start + k) % 5 for k in range(length)] for start in range(5) for length in (3, 5)
    ]
    data = rnn.BucketSentenceIter(sentences * 8, 8, buckets=[3, 5], invalid_label=0)
    cell = rnn.FusedRNNCell(16) if fused else rnn.GRUCell(16)
    module = mx.mod.BucketingModule(
        language_model(cell, 6), default_bucket_key=data.default_bucket_key
    )
    metric = mx.metric.Perplexity(0)
    module.fit(
        data,
        eval_metric=metric,
        optimizer="adam",
        optimizer_params={"learning_rate": 0.05},
        initializer=mx.init.Xavier(),
        num_epoch=6,
    )
    assert metric.get()[1] < 1.3


def test_checkpoints_cross_from_a_fused_cell_to_its_parts(tmp_path):
    prefix = str(tmp_path / "model")
    fused = rnn.FusedRNNCell(3, num_layers=2, mode="gru", bidirectional=True, prefix="g_")
    outputs, _ = fused.unroll(2, sym.var("data"), merge_outputs=True)
    module = mx.mod.Module(outputs, label_names=None)
    module.bind([("data", (4, 2, 5))], for_training=False)
    module.init_params(mx.init.Uniform(0.5))
    args, states = module.get_params()
    save = rnn.do_rnn_checkpoint(fused, prefix, period=2)
    for epoch in range(3):
        save(epoch, outputs, args, states)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "model-0002.params",
        "model-symbol.json",
    ]
    again, loaded, _ = rnn.load_rnn_checkpoint(fused, prefix, 2)
    assert again.tojson() == outputs.tojson()
    assert_same(loaded["g_parameters"], args["g_parameters"].asnumpy())
    cells = fused.unfuse()
    _, parts, _ = rnn.load_rnn_checkpoint([cells], prefix, 2)
    data = nd.array(np.random.RandomState(0).randn(4, 2, 5))
    unfused, _ = cells.unroll(2, sym.var("data"), merge_outputs=True)
    module.forward(mx.io.DataBatch([data]), is_train=False)
    got = unfused.bind(mx.cpu(), {**parts, "data": data}).forward()[0]
    np.testing.assert_allclose(
        got.asnumpy(), module.get_outputs()[0].asnumpy(), rtol=1e-5, atol=1e-6
    )


def test_the_forget_gates_bias_is_initialized():
    for cell in (rnn.LSTMCell(2, forget_bias=3.0), rnn.FusedRNNCell(2, forget_bias=3.0).unfuse()):
        outputs, _ = cell.unroll(1, sym.var("data"), merge_outputs=True)
        module = mx.mod.Module(outputs, label_names=None)
        module.bind([("data", (4, 1, 5))], for_training=False)
        module.init_params(mx.init.Zero())
        args = cell.unpack_weights(module.get_params()[0])
        biases = {name: array for name, array in args.items() if name.endswith("i2h_f_bias")}
        assert len(biases) == 1
        for array in biases.values():
            assert_same(array, [3, 3])


def test_shapes_follow_whatever_the_dtype_of_constants():
    start = [sym.ones((2, 3), dtype="float64")]
    outputs, _ = rnn.GRUCell(3).unroll(2, sym.var("x"), begin_state=start, merge_outputs=True)
    assert outputs.infer_shape(x=(2, 2, 4))[1] == [(2, 2, 3)]
    assert outputs.infer_type(x="float64")[1] == [np.float64]


def test_zoneout_keeps_values_in_training_only():
    cell = rnn.ZoneoutCell(rnn.RNNCell(50), 0.5, 0.5)
    outputs, _ = cell.unroll(2, sym.var("data"), merge_outputs=True)
    executor = outputs.simple_bind(mx.cpu(), data=(8, 2, 3))
    for array in executor.arg_dict.values():
        array[:] = nd.random.uniform(0.5, 1, shape=array.shape)
    plain = executor.forward(is_train=False)[0].asnumpy()
    trained = executor.forward(is_train=True)[0].asnumpy()
    kept = trained[:, 0] == 0
    assert 0.3 < kept.mean() < 0.7
    np.testing.assert_allclose(trained[:, 0][~kept], plain[:, 0][~kept], rtol=1e-6)
    assert (plain != 0).all()


def test_what_is_wrong_is_said():
    x = sym.var("x")
    for error, match, function in (
        (ValueError, "axis of time", lambda: rnn.RNNCell(2).unroll(2, x, layout="NC")),
        (AssertionError, "length is 3", lambda: rnn.RNNCell(2).unroll(3, [x, x])),
        (ValueError, "mode must be one of", lambda: rnn.FusedRNNCell(2, mode="elman")),
        (AssertionError, "TNC or NTC", lambda: rnn.FusedRNNCell(2).unroll(2, x, layout="NCT")),
        (
            ValueError,
            "11 elements",
            lambda: rnn.FusedRNNCell(2).unpack_weights({"lstm_parameters": nd.ones((11,))}),
        ),
        (ValueError, "begin with NT", lambda: rnn.BucketSentenceIter([[1]], 1, layout="CT")),
        (ValueError, "no bucket", lambda: rnn.BucketSentenceIter([[1]], 2)),
        (AssertionError, "Unknown token z", lambda: rnn.encode_sentences([["z"]], vocab={"a": 1})),
    ):
        with pytest.raises(error, match=match):
            function()
    with pytest.warns(UserWarning, match="2 sentences are longer"):
        rnn.BucketSentenceIter([[1], [1, 2], [1, 2, 3]], 1, buckets=[1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(DeprecationWarning, match="deprecated"):
            rnn.rnn_unroll(rnn.RNNCell(2), 2)


def test_without_graphviz_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "graphviz", None)
    with pytest.raises(ImportError, match="pip install graphviz"):
        mx.viz.plot_network(sym.var("x"))


def test_a_summary_without_shapes_and_one_that_is_incomplete(capsys):
    net = sym.FullyConnected(sym.var("data"), num_hidden=2, name="fc")
    mx.viz.print_summary(net)
    assert "Total params: unknown without shapes" in capsys.readouterr().out
    with pytest.warns(UserWarning, match="fc_weight"), pytest.raises(ValueError, match="of all"):
        mx.viz.print_summary(net, {"fc_bias": (2,)})


def test_nodes_of_one_name_are_drawn_apart():
    pytest.importorskip("graphviz")
    net = sym.FullyConnected(sym.var("data"), num_hidden=2, name="fc")
    net = sym.FullyConnected(net, num_hidden=3, name="fc")
    assert '"fc (2)" -> fc' in mx.viz.plot_network(net).source
