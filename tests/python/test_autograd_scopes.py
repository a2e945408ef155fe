"""The recording and training flags: what each scope sets, nesting, and restoring."""

import pytest

import mxtape as mx
import mxtape.contrib.autograd as contrib_autograd
from mxtape import autograd


def state():
    return autograd.is_recording(), autograd.is_training()


def test_flags_are_off_at_first():
    assert state() == (False, False)
    assert isinstance(autograd.is_recording(), bool)
    assert isinstance(autograd.is_training(), bool)


@pytest.mark.parametrize(
    ("make_scope", "inside"),
    [
        (autograd.record, (True, True)),
        (lambda: autograd.record(train_mode=False), (True, False)),
        (lambda: autograd.record(False), (True, False)),
        (autograd.pause, (False, False)),
        (lambda: autograd.pause(train_mode=True), (False, True)),
        (autograd.train_mode, (False, True)),
        (autograd.predict_mode, (False, False)),
        (contrib_autograd.train_section, (True, True)),
        (contrib_autograd.test_section, (False, False)),
        (lambda: contrib_autograd.TrainingStateScope(True), (True, True)),
    ],
    ids=[
        "record",
        "record-predict",
        "record-positional",
        "pause",
        "pause-train",
        "train_mode",
        "predict_mode",
        "train_section",
        "test_section",
        "TrainingStateScope",
    ],
)
def test_scope_sets_and_restores(make_scope, inside):
    with make_scope():
        assert state() == inside
    assert state() == (False, False)


def test_scopes_inside_record():
    with autograd.record():
        with autograd.pause():
            assert state() == (False, False)
            with autograd.record(train_mode=False):
                assert state() == (True, False)
            assert state() == (False, False)
        assert state() == (True, True)
        with autograd.predict_mode():
            assert state() == (True, False)
            with autograd.train_mode():
                assert state() == (True, True)
            assert state() == (True, False)
        with contrib_autograd.test_section():
            assert state() == (False, False)
        assert state() == (True, True)
    assert state() == (False, False)


def test_scopes_nest_deeply():
    scopes = []
    for depth in range(200):
        scopes.append(autograd.record() if depth % 2 else autograd.pause())
        scopes[-1].__enter__()
    assert state() == (True, True)
    for depth in reversed(range(200)):
        scopes[depth].__exit__(None, None, None)
        expected = (False, False) if depth == 0 or depth % 2 else (True, True)
        assert state() == expected, depth


@pytest.mark.parametrize(
    "make_scope",
    [autograd.record, autograd.pause, autograd.train_mode, autograd.predict_mode],
)
@pytest.mark.parametrize("outer", [None, autograd.record, autograd.train_mode])
def test_exception_restores_and_passes(make_scope, outer):
    def raise_inside():
        with make_scope():
            raise KeyError("from inside")

    if outer is None:
        with pytest.raises(KeyError, match="from inside"):
            raise_inside()
    else:
        with outer():
            before = state()
            with pytest.raises(KeyError, match="from inside"):
                raise_inside()
            assert state() == before
    assert state() == (False, False)


@pytest.mark.differs("MXNet's train_section remembers only whether it was recording")
@pytest.mark.parametrize("outer", [autograd.train_mode, lambda: autograd.record(False)])
def test_train_section_restores_both_flags(outer):
    with outer():
        before = state()
        with contrib_autograd.train_section():
            assert state() == (True, True)
        assert state() == before


def test_failed_operator_inside_record_restores():
    with pytest.raises(mx.MXNetError):
        with autograd.record():
            mx.nd.dot(mx.nd.ones((2, 3)), mx.nd.ones((2, 3)))
    assert state() == (False, False)


def test_scope_object_can_be_used_again():
    scope = autograd.record()
    for _ in range(2):
        with scope:
            assert state() == (True, True)
        assert state() == (False, False)


@pytest.mark.differs("MXNet keeps one saved state a scope object, so recording stays on afterwards")
def test_one_scope_object_nested_in_itself():
    scope = autograd.record()
    with scope:
        with scope:
            assert state() == (True, True)
        assert state() == (True, True)
    after = state()
    autograd.set_recording(False)
    autograd.set_training(False)
    assert after == (False, False)


def test_setters_return_the_state_before():
    assert autograd.set_recording(True) is False
    assert autograd.set_recording(True) is True
    assert autograd.set_recording(False) is True
    assert autograd.set_training(True) is False
    assert autograd.set_training(False) is True
    assert state() == (False, False)


def test_set_is_training_sets_both():
    assert contrib_autograd.set_is_training(True) is False
    assert state() == (True, True)
    assert contrib_autograd.set_is_training(False) is True
    assert state() == (False, False)


@pytest.mark.differs("MXNet 1.9.1 has the older names in mxnet.contrib.autograd alone")
def test_older_setters_of_autograd():
    assert autograd.set_is_recording(True) is False
    assert autograd.is_recording()
    autograd.set_recording(False)
    with autograd.train_section():
        assert state() == (True, True)
        with autograd.test_section():
            assert state() == (False, False)
    assert state() == (False, False)


def test_nothing_is_recorded_under_pause():
    x = mx.nd.array([2.0])
    x.attach_grad()
    with autograd.record():
        with autograd.pause():
            constant = x * 10
        y = x * constant
    y.backward()
    assert x.grad.asnumpy().tolist() == [20.0]
    with pytest.raises(mx.MXNetError):
        constant.backward()


def test_dropout_follows_the_training_flag():
    mx.random.seed(3)
    x = mx.nd.ones((400,))

    def kept_as_is():
        return mx.nd.Dropout(x, p=0.5).asnumpy().tolist() == [1.0] * 400

    assert kept_as_is()
    with autograd.record(train_mode=False):
        assert kept_as_is()
    with autograd.record():
        assert not kept_as_is()
        with autograd.predict_mode():
            assert kept_as_is()
    with autograd.train_mode():
        assert not kept_as_is()


def test_scope_does_not_swallow_through_exit_value():
    scope = autograd.record()
    scope.__enter__()
    assert not scope.__exit__(KeyError, KeyError("x"), None)
    assert state() == (False, False)
