"""mx.initializer beyond what MXNet can show: logs, warnings, arguments, seeds, FusedRNN."""

import logging

import numpy as np
import pytest

import mxtape as mx
from mxtape import init, nd
from support import assert_same


def filled(initializer, shape, name="a_weight", dtype="float32"):
    x = nd.zeros(shape, dtype=dtype)
    initializer(init.InitDesc(name), x)
    return x


def test_verbosity(caplog):
    with caplog.at_level(logging.INFO):
        verbose = init.Constant(2).set_verbosity(True)
        filled(verbose, (4, 2))
        filled(verbose, (4,), "a_bias")
        verbose(init.InitDesc("x", {"__init__": "one"}), nd.zeros((2,)))
        filled(init.One().set_verbosity(True, lambda x: f"{x.size} numbers"), (3,), "a_gamma")
        filled(init.One(), (3,))
        filled(init.One().set_verbosity(False), (3,))
    assert [record.getMessage() for record in caplog.records] == [
        "Initialized a_weight as weight: 2.0",
        "Initialized a_bias as bias: 0.0",
        "Initialized x as one: 1.0",
        "Initialized a_gamma as gamma: 3 numbers",
    ]


def test_load_says_where_values_come_from(caplog, tmp_path):
    path = str(tmp_path / "saved.params")
    nd.save(path, {"arg:a_weight": nd.ones((2,))})
    load = init.Load(path, init.Zero(), verbose=True)
    with caplog.at_level(logging.INFO):
        for name in ("a_weight", "b_weight"):
            load(init.InitDesc(name), nd.zeros((2,)))
    assert [record.getMessage() for record in caplog.records] == [
        "Initialized a_weight by loading",
        "Initialized b_weight by default",
    ]


def test_plain_names_warn():
    x = nd.ones((2,))
    with pytest.warns(DeprecationWarning, match="InitDesc"):
        init.Zero()("a_weight", x)
    assert_same(x, [0, 0])


@pytest.mark.parametrize(
    "value", [3, 2.5, [1.0, 2.0], (1.0, 2.0), np.array([1.0, 2.0]), np.float32(2)]
)
def test_constants_of_any_kind_go_round(value):
    again = init.create(init.Constant(value).dumps())
    assert again == init.Constant(value)
    assert_same(filled(again, (3, 2)), np.broadcast_to(np.asarray(value), (3, 2)))


def test_dumps_twice():
    """MXNet's second dumps of an array fails."""
    constant = init.Constant(nd.array([1, 2]))
    assert constant.dumps() == constant.dumps() == '["constant", {"value": [1.0, 2.0]}]'
    assert constant == init.Constant([1.0, 2.0])


def test_equality():
    assert init.Uniform(0.1) == init.Uniform(0.1)
    assert init.Uniform(0.1) != init.Uniform(0.2)
    assert init.Xavier() != init.MSRAPrelu()
    assert init.Constant(1) != init.Uniform()
    assert (init.Zero() == "zero") is False


@pytest.mark.parametrize("shape", [(4, 9), (9, 4), (5, 5), (4, 2, 3, 3)])
@pytest.mark.parametrize("rand_type", ["uniform", "normal"])
def test_orthogonal(shape, rand_type):
    matrix = filled(init.Orthogonal(3.0, rand_type), shape).asnumpy().reshape(shape[0], -1)
    few = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    np.testing.assert_allclose(few @ few.T, 9 * np.eye(len(few)), atol=1e-4)


def test_orthogonal_of_an_unknown_kind():
    with pytest.raises(ValueError, match="rand_type"):
        filled(init.Orthogonal(rand_type="x"), (2, 2))


@pytest.mark.parametrize("kind", ["uniform", "gaussian"])
@pytest.mark.parametrize(("factor", "count"), [("in", 32 * 9), ("out", 16 * 9), ("avg", 24 * 9)])
def test_xavier(kind, factor, count):
    values = filled(init.Xavier(kind, factor, 2), (16, 32, 3, 3)).asnumpy()
    scale = np.sqrt(2 / count)
    deviation = scale if kind == "gaussian" else scale / np.sqrt(3)
    assert abs(values.std() / deviation - 1) < 0.05
    assert kind == "gaussian" or 0.98 * scale < np.abs(values).max() <= scale


def test_quantized_weights_are_whole_numbers():
    x = filled(init.Uniform(), (1000,), "a_weight_quantize", "int8").asnumpy()
    assert x.dtype == np.int8
    assert len(set(x.tolist())) > 100
    assert np.abs(x.astype(int)).max() <= 127


def test_names_that_say_nothing_change_nothing():
    x = nd.full((2,), 7)
    with pytest.raises(ValueError, match="'stage1_alpha'"):
        init.Xavier()(init.InitDesc("stage1_alpha"), x)
    with pytest.raises(ValueError, match="a_weight"):
        init.Mixed([".*bias"], [init.Zero()])(init.InitDesc("a_weight"), x)
    with pytest.raises(AssertionError, match=r"\(2,\).*\(3,\)"):
        init.Load({"a_weight": nd.ones((3,))})(init.InitDesc("a_weight"), x)
    assert_same(x, [7, 7])


def test_a_register_name_twice_warns():
    klass = type("Mine2", (init.Initializer,), {"_init_weight": lambda self, _, arr: None})
    assert init.register(klass) is klass
    with pytest.warns(UserWarning, match="in the place of"):
        init.register(type("Mine2", (init.Initializer,), {}))
    init.alias("mine2_too")(klass)
    assert type(init.create("Mine2_Too")) is klass


def test_desc():
    desc = init.InitDesc("fc_weight", {"__lr_mult__": "2"}, init.Zero())
    assert desc == "fc_weight"
    assert desc.attrs == {"__lr_mult__": "2"}
    assert desc.global_init == init.Zero()
    assert init.InitDesc("x").attrs == {}


def test_fused_rnn_by_its_name_or_its_text():
    """MXNet accepts neither the name nor, in create, the text of an init with arguments."""
    expected = init.FusedRNN(init.Uniform(0.1), 3, 1, "lstm", True, 2.0)
    given = init.FusedRNN(init.Uniform(0.1).dumps(), 3, 1, "lstm", True, 2.0)
    assert expected == given == init.create(expected.dumps())
    assert init.FusedRNN("zeros", 3, 1, "gru")._init == init.Zero()


def test_schedule_with_only_a_warmup():
    """MXNet divides by zero at its end."""
    schedule = mx.lr_scheduler.CosineScheduler(3, base_lr=0.5, warmup_steps=3)
    assert [round(schedule(n), 3) for n in range(5)] == [0.0, 0.167, 0.333, 0.5, 0.5]
