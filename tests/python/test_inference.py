"""Inference without arrays: what a call gives is known before there are any."""

import numpy as np
import pytest

import mxtape as mx
from gradient_matrix import all_rows, as_arrays, call, draw, operator_inputs, row_id
from mxtape import autograd, nd
from mxtape._loader import core

# The shape of the result depends on the values of an input.
OPEN = {"_contrib_boolean_mask"}


def specs(arrays):
    return [(x.shape, np.dtype(x.dtype).name) for x in arrays]


@pytest.mark.parametrize("recording", [False, True], ids=["eager", "recording"])
def test_inference_of_every_row_agrees_with_its_call(recording):
    """Every row of the gradient matrix, with the shapes and dtypes of its inputs only."""
    wrong = []
    for row in all_rows():
        values, _ = draw(row)
        given = operator_inputs(row, as_arrays(values))
        with autograd.record() if recording else autograd.train_mode():
            outputs = call(row, as_arrays(values))
        complete, known, found = core.infer_op(
            row.op, specs(given), row.params, training=True, recording=recording
        )
        expected = specs(outputs)
        if row.op in OPEN:
            assert not complete
            expected = [((None, *expected[0][0][1:]), expected[0][1])]
        elif not complete:
            wrong.append(f"{row_id(row)}: incomplete, {found}")
        if found[: len(expected)] != expected or known != specs(given):
            wrong.append(f"{row_id(row)}: inferred {found}, the call gave {expected}")
    assert wrong == []


# Layers by what inference fills in: the operator, its parameters, data's shape, and the other
# inputs' shapes, which are left out. The shapes are MXNet 1.9.1's.
LAYERS = [
    ("FullyConnected", {"num_hidden": 5}, (2, 3, 4), [(5, 12), (5,)]),
    ("FullyConnected", {"num_hidden": 5, "flatten": False}, (2, 3, 4), [(5, 4), (5,)]),
    ("FullyConnected", {"num_hidden": 5, "no_bias": True}, (2, 3), [(5, 3)]),
    ("Convolution", {"kernel": (3,), "num_filter": 6}, (2, 4, 9), [(6, 4, 3), (6,)]),
    (
        "Convolution",
        {"kernel": (3, 2), "num_filter": 6, "num_group": 2},
        (2, 4, 9, 8),
        [(6, 2, 3, 2), (6,)],
    ),
    (
        "Convolution",
        {"kernel": (1, 2, 3), "num_filter": 2, "no_bias": True},
        (1, 3, 4, 5, 6),
        [(2, 3, 1, 2, 3)],
    ),
    ("Convolution_v1", {"kernel": (3, 3), "num_filter": 6}, (2, 4, 9, 9), [(6, 4, 3, 3), (6,)]),
    ("Deconvolution", {"kernel": (3, 3), "num_filter": 6}, (2, 4, 5, 5), [(4, 6, 3, 3)]),
    (
        "Deconvolution",
        {"kernel": (2,), "num_filter": 6, "num_group": 2, "no_bias": False},
        (2, 4, 5),
        [(4, 3, 2), (6,)],
    ),
    (
        "_contrib_DeformableConvolution",
        {"kernel": (3, 3), "num_filter": 6, "num_deformable_group": 2},
        (2, 4, 9, 9),
        [(2, 36, 7, 7), (6, 4, 3, 3), (6,)],
    ),
    (
        "_contrib_ModulatedDeformableConvolution",
        {"kernel": (3, 3), "num_filter": 6},
        (2, 4, 9, 9),
        [(2, 18, 7, 7), (2, 9, 7, 7), (6, 4, 3, 3), (6,)],
    ),
    ("BatchNorm", {}, (2, 3, 4), [(3,)] * 4),
    ("BatchNorm", {"axis": -1}, (2, 3, 4), [(4,)] * 4),
    ("BatchNorm_v1", {}, (2, 3, 4, 4), [(3,)] * 4),
    ("_contrib_SyncBatchNorm", {"key": "a"}, (2, 3, 4), [(3,)] * 4),
    ("LayerNorm", {}, (2, 3, 4), [(4,), (4,)]),
    ("LayerNorm", {"axis": 1}, (2, 3, 4), [(3,), (3,)]),
    ("GroupNorm", {"num_groups": 2}, (2, 4, 3), [(2,), (2,)]),
    ("InstanceNorm", {}, (2, 3, 4), [(3,), (3,)]),
    ("Embedding", {"input_dim": 7, "output_dim": 5}, (2, 3), [(7, 5)]),
    (
        "RNN",
        {"mode": "lstm", "state_size": 4, "num_layers": 2, "bidirectional": True},
        (5, 2, 3),
        [(736,), (4, 2, 4), (4, 2, 4)],
    ),
    (
        "RNN",
        {"mode": "gru", "state_size": 4, "num_layers": 1, "use_sequence_length": True},
        (5, 2, 3),
        [(108,), (1, 2, 4), (2,)],
    ),
    ("LeakyReLU", {"act_type": "prelu"}, (2, 3, 4), [(3,)]),
    ("SoftmaxOutput", {}, (2, 3), [(2,)]),
    ("SoftmaxOutput", {}, (2, 3, 4), [(2, 3)]),
    ("SoftmaxOutput", {"multi_output": True}, (2, 3, 4), [(2, 4)]),
    ("SoftmaxOutput", {"multi_output": True}, (2, 3, 4, 5), [(2, 20)]),
    ("SoftmaxOutput", {"preserve_shape": True}, (2, 3, 4), [(2, 3)]),
    ("LinearRegressionOutput", {}, (2, 1), [(2,)]),
    ("LinearRegressionOutput", {}, (2, 3), [(2, 3)]),
    ("MAERegressionOutput", {}, (2, 3, 4), [(2, 3, 4)]),
    ("LogisticRegressionOutput", {}, (2,), [(2,)]),
    ("SVMOutput", {}, (2, 3), [(2,)]),
    ("softmax_cross_entropy", {}, (2, 3), [(2,)]),
    ("IdentityAttachKLSparseReg", {}, (2, 3), [(3,)]),
    ("elemwise_add", {}, (2, 3), [(2, 3)]),
    ("add_n", {}, (2, 3), [(2, 3), (2, 3)]),
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("op", "params", "data", "others"),
    LAYERS,
    ids=[f"{row[0]}-{i}" for i, row in enumerate(LAYERS)],
)
def test_what_is_left_out_is_filled_in(op, params, data, others, dtype):
    if op == "Embedding":
        params = {**params, "dtype": dtype}
    given = [(data, dtype)] + [(None, None)] * len(others)
    complete, inputs, outputs = core.infer_op(op, given, params, training=True, recording=False)
    assert complete
    assert [shape for shape, _ in inputs] == [data, *others]
    whole = core.infer_op(op, inputs, params, training=True, recording=False)
    assert whole == (True, inputs, outputs)
    for _, found in inputs[1:]:
        assert found == dtype


def test_half_of_a_shape_is_completed():
    """A parameter of which one extent is known, as Gluon defers them."""
    complete, inputs, _ = core.infer_op(
        "FullyConnected",
        [((2, 3), "float32"), ((5, None), "float32"), (None, None)],
        {"num_hidden": 5},
        training=False,
        recording=False,
    )
    assert complete
    assert inputs[1:] == [((5, 3), "float32"), ((5,), "float32")]


def test_a_batch_size_that_is_not_known_stays_open():
    params = {"num_hidden": 5, "no_bias": True}
    complete, inputs, outputs = core.infer_op(
        "FullyConnected", [((None, 3), "float32"), (None, None)], params, False, False
    )
    assert not complete
    assert inputs == [((None, 3), "float32"), ((5, 3), "float32")]
    assert outputs == [((None, 5), "float32")]


def test_statistics_of_half_precision_are_float32():
    given = [((2, 3, 4), "float16")] + [(None, None)] * 4
    complete, inputs, outputs = core.infer_op("BatchNorm", given, {}, True, False)
    assert complete
    assert {dtype for _, dtype in inputs[1:]} == {"float32"}
    assert outputs[0] == ((2, 3, 4), "float16")


def test_shapes_flow_from_one_input_to_another():
    given = [((2, None), "float32"), ((None, 3), None)]
    assert core.infer_op("elemwise_mul", given, {}, False, False) == (
        True,
        [((2, 3), "float32")] * 2,
        [((2, 3), "float32")],
    )


def test_nothing_known_is_no_error():
    complete, inputs, outputs = core.infer_op(
        "Convolution", [(None, None)] * 3, {"kernel": (3, 3), "num_filter": 4}, False, False
    )
    assert not complete
    assert inputs == [(None, None)] * 3
    assert outputs == [(None, None)]


def test_contradictions_say_what_was_given():
    given = [((2, 3), "float32"), ((5, 4), "float32"), (None, None)]
    wrong = r"weight must have shape \(5, 3\).*given data \(2, 3\)"
    with pytest.raises(mx.MXNetError, match=wrong):
        core.infer_op("FullyConnected", given, {"num_hidden": 5}, False, False)
    given = [((2, None), "float32"), ((3, None), None)]
    wrong = r"elemwise_add: .*lhs \(2, \?\) float32, rhs \(3, \?\) float32"
    with pytest.raises(mx.MXNetError, match=wrong):
        core.infer_op("elemwise_add", given, {}, False, False)


def test_auxiliary_states_are_declared():
    assert core.describe_op("BatchNorm")["auxiliary"] == [3, 4]
    assert core.describe_op("IdentityAttachKLSparseReg")["auxiliary"] == [1]
    assert core.describe_op("LayerNorm")["auxiliary"] == []


def test_the_mode_is_that_of_the_recorded_call():
    """A node's gradient runs as its forward call ran, whatever mode the thread is in by then."""
    x = nd.array([1.0, 2.0, 3.0])
    x.attach_grad()
    params = {"p": 0.5}
    with autograd.record(train_mode=False):
        y = nd.Dropout(x, **params)
    with autograd.record(train_mode=True):
        nd.Dropout(x, **params)
    y.backward(train_mode=True)
    assert x.grad.asnumpy().tolist() == [1.0, 1.0, 1.0]


def test_the_size_of_a_result_tells_an_extent():
    w = mx.sym.var("w", shape=(12, 0))
    joined = mx.sym.reshape(w, shape=(-1,)) + mx.sym.var("b", shape=(36,))
    assert joined.infer_shape()[0] == [(12, 3), (36,)]
    # Of the parts of a layer's parameters, those that are not known are of one size.
    parts = [mx.sym.var(name, shape=shape) for name, shape in (("l", (4, 0)), ("r", (4, 0)))]
    parts = [mx.sym.reshape(part, shape=(-1,)) for part in (*parts, mx.sym.var("c", shape=(6,)))]
    vector = mx.sym._internal._rnn_param_concat(*parts, dim=0) + mx.sym.var("b", shape=(30,))
    assert vector.infer_shape()[0] == [(4, 3), (4, 3), (6,), (30,)]
    odd = mx.sym._internal._rnn_param_concat(*parts, dim=0) + mx.sym.var("b", shape=(29,))
    with pytest.warns(UserWarning, match="not all shapes follow"):
        assert odd.infer_shape()[0] is None
