"""What the tests of modules share: a network, its parameters, batches, buckets."""

import warnings

import numpy as np

import mxtape as mx

X = (np.arange(100).reshape(20, 5) * 37 % 41 / 20 - 1).astype("float32")
Y = (np.arange(20) % 3).astype("float32")


def classifier(hidden=6, dropout=None, norm=False):
    n = mx.sym.FullyConnected(mx.sym.Variable("data"), num_hidden=hidden, name="fc1")
    if norm:
        n = mx.sym.BatchNorm(n, name="bn", fix_gamma=False, momentum=0.5)
    n = mx.sym.Activation(n, act_type="relu", name="relu")
    if dropout:
        n = mx.sym.Dropout(n, p=dropout)
    n = mx.sym.FullyConnected(n, num_hidden=3, name="fc2")
    return mx.sym.SoftmaxOutput(n, mx.sym.Variable("softmax_label"), name="softmax")


def values(symbol, **shapes):
    """Parameters and auxiliary states that do not depend on chance."""
    args, _, states = symbol.infer_shape(**shapes)
    arg = {
        name: mx.nd.array(np.cos(np.arange(np.prod(shape)) + len(name)).reshape(shape))
        for name, shape in zip(symbol.list_arguments(), args)
        if name not in shapes and not name.endswith("label")
    }
    aux = {
        name: mx.nd.array(np.full(shape, name.endswith("var")))
        for name, shape in zip(symbol.list_auxiliary_states(), states)
    }
    return arg, aux


def module_of(symbol=None, batch=4, labels=True, for_training=True, **options):
    symbol = classifier() if symbol is None else symbol
    module = mx.mod.Module(symbol, **options)
    label_shapes = [("softmax_label", (batch,))] if labels else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module.bind([("data", (batch, 5))], label_shapes, for_training=for_training)
    module.init_params(mx.init.Zero(), *values(symbol, data=(batch, 5)), allow_missing=True)
    return module


def batch_of(count=4, first=0, label=True):
    rows = slice(first, first + count)
    return mx.io.DataBatch([mx.nd.array(X[rows])], [mx.nd.array(Y[rows])] if label else None)


def step(module, batch):
    module.forward_backward(batch)
    module.update()


def numpy_params(module):
    mx.nd.waitall()  # MXNet may read running statistics before they are written
    return {n: v.asnumpy() for part in module.get_params() for n, v in part.items()}


def assert_same_params(left, right, rtol=0.0):
    assert left.keys() == right.keys()
    for name, value in left.items():
        np.testing.assert_allclose(value, right[name], rtol=rtol, atol=rtol / 10, err_msg=name)


def bucket_symbol(key):
    data = mx.sym.Variable("data")
    words = mx.sym.Embedding(data, input_dim=9, output_dim=4, name="words")
    there = mx.sym.expand_dims(data > 0, axis=2)
    n = mx.sym.sum(mx.sym.broadcast_mul(words, there), axis=1)
    n = mx.sym.BatchNorm(n, name="bn", fix_gamma=False, momentum=0.5)
    n = mx.sym.FullyConnected(n, num_hidden=3, name="out")
    return mx.sym.SoftmaxOutput(n, name="softmax"), ("data",), ("softmax_label",)


def buckets(**options):
    module = mx.mod.BucketingModule(bucket_symbol, default_bucket_key=8, **options)
    module.bind([("data", (4, 8))], [("softmax_label", (4,))])
    module.init_params(mx.init.Zero(), *values(bucket_symbol(8)[0], data=(4, 8)))
    return module


def bucket_batch(key, count=4, words=None, labels=None):
    if words is None:
        words = (np.arange(count * key).reshape(count, key) * 5 + key) % 8 + 1
    labels = mx.nd.array(Y[:count]) if labels is None else labels
    return mx.io.DataBatch(
        [mx.nd.array(words)],
        [labels],
        pad=0,
        bucket_key=key,
        provide_data=[mx.io.DataDesc("data", (count, key))],
        provide_label=[mx.io.DataDesc("softmax_label", (count,))],
    )
