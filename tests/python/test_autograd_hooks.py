"""Hooks on gradients, complete variables and saved arrays; retain_grad; gradients of results."""

import gc
import os
import threading
import weakref

import numpy as np
import pytest

import mxtape as mx
from mxtape import autograd, gluon, nd
from mxtape.base import MXNetError, StaleArrayWarning


def variable(*values, dtype="float32"):
    x = nd.array(values, dtype=dtype)
    x.attach_grad()
    return x


def test_hooks_observe_and_replace_in_order():
    x = variable(1.0, 2.0)
    seen = []
    with autograd.record():
        h = x * x
        h.register_gradient_hook(lambda g: seen.append(g.asnumpy().tolist()))
        h.register_gradient_hook(lambda g: g * 10)
        h.register_gradient_hook(lambda g: seen.append(g.asnumpy().tolist()))
        y = 3 * h
    y.backward()
    assert seen == [[3.0, 3.0], [30.0, 30.0]]
    assert x.grad.asnumpy().tolist() == [60.0, 120.0]


def test_hook_on_a_variable_sees_the_sum_and_stays():
    x = variable(1.0)
    seen = []
    handle = x.register_gradient_hook(lambda g: seen.append(g.item()))
    for _ in range(2):
        with autograd.record():
            y = x * 2 + x * 3
        y.backward()
    assert seen == [5.0, 5.0]
    handle.remove()
    handle.remove()
    with autograd.record():
        y = x * 2
    y.backward()
    assert seen == [5.0, 5.0]


def test_handle_removes_at_the_end_of_a_block():
    x = variable(1.0)
    with x.register_gradient_hook(lambda g: g * 0):
        with autograd.record():
            y = x * 2
        y.backward()
        assert x.grad.item() == 0
    with autograd.record():
        y = x * 2
    y.backward()
    assert x.grad.item() == 2


def test_a_hook_may_remove_itself_and_add_others():
    x = variable(1.0)
    calls = []

    def once(grad):
        calls.append("once")
        handle.remove()
        x.register_gradient_hook(lambda g: calls.append("later"))

    handle = x.register_gradient_hook(once)
    for _ in range(2):
        with autograd.record():
            y = x * 2
        y.backward()
    assert calls == ["once", "later"]


def test_writing_into_the_gradient_replaces_it_and_nothing_else():
    x, y = variable(1.0, 2.0), variable(5.0, 6.0)

    def clip(grad):
        grad[:] = 7

    x.register_gradient_hook(clip)
    head = nd.ones((2,))
    with autograd.record():
        z = x + y  # both get the head gradient itself
    z.backward(head)
    assert x.grad.asnumpy().tolist() == [7, 7]
    assert y.grad.asnumpy().tolist() == [1, 1]
    assert head.asnumpy().tolist() == [1, 1]


def test_a_gradient_that_a_hook_keeps_stays_what_it_was():
    x = variable(1.0, 2.0)
    kept = []
    with autograd.record():
        h = nd.softmax(x)
        h.register_gradient_hook(kept.append)
        x.register_gradient_hook(kept.append)
        y = (h * nd.array([1.0, 5.0])).sum()
    y.backward()
    first = [a.asnumpy().copy() for a in kept]
    x.grad[:] = 100
    assert [a.tolist() for a in first] == [a.asnumpy().tolist() for a in kept]
    assert first[0].tolist() == [1.0, 5.0]


def test_only_the_output_that_has_the_hook():
    x = variable(1.0, 2.0, 3.0, 4.0)
    seen = []
    with autograd.record():
        a, b = nd.split(x, num_outputs=2, axis=0)
        b.register_gradient_hook(lambda g: seen.append(g.asnumpy().tolist()))
        y = a * 2 + b * 3
    y.backward()
    assert seen == [[3.0, 3.0]]


def test_replacements_are_differentiable():
    x = variable(2.0, dtype="float64")
    x.register_gradient_hook(lambda g: g * g)
    with autograd.record():
        y = x**3
        (dy,) = autograd.grad(y, x, create_graph=True)  # (3 x^2)^2
    assert dy.item() == 144.0
    x.register_gradient_hook(lambda g: g * 0 + 1)  # of the second pass only the value counts
    (second,) = autograd.grad(dy, x)
    assert second.item() == 1.0
    z = variable(2.0, dtype="float64")
    with autograd.record():
        h = z * 1
        h.register_gradient_hook(lambda g: g * g)
        y = h**3
        (dz,) = autograd.grad(y, z, create_graph=True)
    (second,) = autograd.grad(dz, z)
    # The second pass goes through h too, whose hook squares 36 z^3.
    assert dz.item() == 144.0
    assert second.item() == (36 * 8.0) ** 2


@pytest.mark.parametrize(
    ("result", "kind", "text"),
    [
        (lambda g: nd.ones((3,)), MXNetError, r"shape \(3,\).*\(2,\)"),
        (lambda g: g.astype("float64"), MXNetError, "float64.*float32"),
        (lambda g: 3, TypeError, "None or an NDArray.*int"),
    ],
)
def test_results_that_do_not_fit(result, kind, text):
    x, other = variable(1.0, 2.0), variable(1.0, 1.0)
    other.grad[:] = 77
    with autograd.record():
        h = nd.exp(x)
        h.register_gradient_hook(result)
        y = h * other
    with pytest.raises(kind, match=text) as info:
        y.backward()
    assert "hook" in str(info.value)
    assert "lambda" in str(info.value)
    assert "exp" in str(info.value)
    assert f"{os.path.basename(__file__)}:" in str(info.value)
    assert other.grad.asnumpy().tolist() == [77, 77]


def test_a_hook_that_raises_ends_the_pass_with_a_note():
    x = variable(1.0)
    x.grad[:] = 5

    def broken(grad):
        raise ZeroDivisionError("mine")

    with autograd.record():
        h = x * 2
        h.register_gradient_hook(broken)
        y = h * 3
    with pytest.raises(ZeroDivisionError, match="mine") as info:
        y.backward()
    assert any("_mul_scalar" in note and ".py:" in note for note in info.value.__notes__)
    assert x.grad.item() == 5


def test_arrays_without_a_gradient_have_no_hooks():
    with pytest.raises(MXNetError, match=r"register_gradient_hook.*neither a variable"):
        nd.ones((2,)).register_gradient_hook(print)
    with pytest.raises(TypeError, match=r"callable.*int"):
        variable(1.0).register_gradient_hook(3)
    x = variable(1.0)
    with autograd.record():
        h = x * 2
    with pytest.raises(MXNetError, match="not a variable"):
        h.register_complete_hook(print)
    h.backward()
    with pytest.raises(MXNetError, match="freed"):
        h.register_gradient_hook(print)


def test_hooks_stay_when_a_variable_is_attached_again():
    x = variable(1.0)
    seen = []
    x.register_gradient_hook(lambda g: seen.append(g.item()))
    x.attach_grad("add")
    with autograd.record():
        y = x * 2
    y.backward()
    assert seen == [2.0]


def test_complete_hooks_run_while_the_pass_goes_on():
    first, second = variable(2.0), variable(3.0)
    order = []
    second.register_complete_hook(lambda g: order.append(("second", g.item())))
    first.register_complete_hook(lambda g: order.append(("first", g.item())))
    with autograd.record():
        h = first * 5
        h.register_gradient_hook(lambda g: order.append("h"))
        k = h * second
        k.register_gradient_hook(lambda g: order.append("k"))
        y = k + second * 2
    y.backward()
    assert order == ["k", ("second", 12.0), "h", ("first", 15.0)]
    assert second.grad.item() == 12.0


def test_complete_hooks_come_after_the_others_and_once():
    x = variable(1.0, 2.0)
    order = []
    x.register_complete_hook(lambda g: order.append(("complete", g.asnumpy().tolist())))
    x.register_gradient_hook(lambda g: g * 10)
    with autograd.record():
        a = x * 1
        y = a + nd.BlockGrad(x) + x[0:2] * 0
    y.backward()
    assert order == [("complete", [10.0, 10.0])]
    assert x.grad.asnumpy().tolist() == [10.0, 10.0]
    with autograd.record():
        y = x * 2
        autograd.grad(y, x, retain_graph=True)
    assert len(order) == 1


def test_complete_hooks_must_return_none():
    x = variable(1.0)
    x.register_complete_hook(lambda g: g)
    with autograd.record():
        y = x * 2
    with pytest.raises(MXNetError, match="register_gradient_hook"):
        y.backward()


def test_complete_hook_where_some_paths_get_no_gradient():
    x = variable(1.0, 2.0)
    seen = []
    x.register_complete_hook(lambda g: seen.append(g.asnumpy().tolist()))
    with autograd.record():
        a, _ = nd.split(nd.exp(x * 0), num_outputs=2, axis=0)
        dead = nd.BlockGrad(nd.log(x))
        y = a.sum() + dead.sum() + (3 * x).sum()
    y.backward()
    assert seen == [[4.0 - 1.0, 3.0]]


def test_gluon_parameters_of_a_hybrid_block():
    net = gluon.nn.Dense(2, in_units=3)
    net.initialize()
    net.hybridize()
    seen = {}
    for name, parameter in net.collect_params().items():
        parameter.data().register_complete_hook(lambda g, name=name: seen.update({name: g.shape}))
    with autograd.record():
        loss = net(nd.ones((4, 3))).sum()
    loss.backward()
    assert sorted(seen.values()) == [(2,), (2, 3)]


def test_retain_grad_keeps_the_graph():
    x = variable(1.0, 2.0)
    for _ in range(2):
        with autograd.record():
            h = x * x
            h.retain_grad()
            y = 3 * h
        assert h.grad.asnumpy().tolist() == [0, 0]
        y.backward()
        assert h.grad.asnumpy().tolist() == [3, 3]
        assert x.grad.asnumpy().tolist() == [6, 12]


def test_retain_grad_adds_and_writes():
    x = variable(2.0)
    with autograd.record():
        added, written = x * 3, x * 4
        added.retain_grad("add")
        written.retain_grad()
        y = added * written
    for _ in range(3):
        y.backward(retain_graph=True)
    assert added.grad.item() == 24.0
    assert written.grad.item() == 6.0
    with pytest.raises(ValueError, match="'write' or 'add'"):
        added.retain_grad("null")
    x.retain_grad()  # a variable has one
    assert x.grad.item() == 2 * 2 * 12


def test_retained_gradients_are_not_written_by_a_pass_that_fails_or_by_grad():
    x = variable(2.0)
    with autograd.record():
        h = x * 3
        h.retain_grad()
        y = h * h
        autograd.grad(y, x, retain_graph=True)
    assert h.grad.item() == 0
    handle = x.register_gradient_hook(lambda g: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        y.backward(retain_graph=True)
    assert h.grad.item() == 0
    handle.remove()
    y.backward()
    assert h.grad.item() == 12


def test_gradients_of_results():
    x = variable(2.0, dtype="float64")
    with autograd.record():
        h = x * 5
        k = h * h
        y = k * h
        dk, dh, dx = autograd.grad(y, [k, h, x], create_graph=True)
    assert (dk.item(), dh.item(), dx.item()) == (10.0, 300.0, 1500.0)
    (again,) = autograd.grad(dh, h, retain_graph=True)  # 3 h^2
    assert again.item() == 60.0
    assert autograd.grad(y, y, retain_graph=True)[0].item() == 1.0
    a, b = autograd.grad(y, [x, k])
    assert (a.item(), b.item()) == (1500.0, 10.0)


def test_gradients_of_results_leave_what_is_before_them():
    x = variable(2.0)
    with autograd.record():
        h = x * x
        y = h * 3
    assert autograd.grad(y, h)[0].item() == 3.0
    h.backward()
    assert x.grad.item() == 4.0


def test_saved_arrays_go_through_the_hooks(tmp_path):
    x = variable(1.0, 2.0, 3.0)
    files = []

    def pack(array):
        files.append(tmp_path / f"{len(files)}.npy")
        np.save(files[-1], array.asnumpy())
        return files[-1]

    with autograd.saved_arrays_hooks(pack, lambda path: nd.array(np.load(path))):
        with autograd.record():
            y = nd.exp(x) * x
    assert len(files) == 2  # exp(x), which two operators save, and x
    y.backward(retain_graph=True)
    want = (np.exp([1, 2, 3]) * np.array([2, 3, 4])).astype("float32")
    np.testing.assert_allclose(x.grad.asnumpy(), want, rtol=1e-6)
    for path in files:
        np.save(path, np.zeros(3, "float32"))
    y.backward()
    assert x.grad.asnumpy().tolist() == [0, 0, 0]


def test_packed_memory_is_free():
    x = variable(*[1.0] * 1000)
    with autograd.saved_arrays_hooks(lambda a: a.astype("float16"), lambda p: p.astype("float32")):
        before = mx.runtime.memory_stats()["bytes_in_use"]
        with autograd.record():
            y = x
            for _ in range(50):
                y = nd.tanh(y)
        used = mx.runtime.memory_stats()["bytes_in_use"] - before
    assert used < 50 * 1000 * 3.5
    y.backward()
    x2 = variable(*[1.0] * 1000)
    with autograd.record():
        z = x2
        for _ in range(50):
            z = nd.tanh(z)
    z.backward()
    np.testing.assert_allclose(x.grad.asnumpy(), x2.grad.asnumpy(), rtol=2e-2)


def test_saved_arrays_of_higher_order():
    x = variable(0.5, 1.5, dtype="float64")
    with autograd.saved_arrays_hooks(lambda a: a.asnumpy(), lambda p: nd.array(p, dtype=p.dtype)):
        with autograd.record():
            y = nd.sin(x) * x
            (dy,) = autograd.grad(y, x, create_graph=True)
            dy.backward()
    v = x.asnumpy()
    np.testing.assert_allclose(x.grad.asnumpy(), 2 * np.cos(v) - v * np.sin(v), rtol=1e-12)


def test_unpacked_once_in_each_gradient():
    x = variable(2.0)
    calls = []

    def unpack(packed):
        calls.append(packed.item())
        return packed

    with autograd.saved_arrays_hooks(lambda a: a, unpack), autograd.record():
        y = nd.exp(x)
    y.backward()
    assert calls == [pytest.approx(np.exp(2))]


def test_unpack_must_fit():
    x = variable(2.0, 3.0)
    for unpack, kind, text in (
        (lambda p: nd.ones((3,)), MXNetError, r"\(3,\) float32.*\(2,\) float32"),
        (lambda p: p.astype("float64"), MXNetError, "float64.*float32"),
        (lambda p: None, TypeError, "NoneType"),
    ):
        with autograd.saved_arrays_hooks(lambda a: a, unpack), autograd.record():
            y = nd.exp(x)
        with pytest.raises(kind, match=text) as info:
            y.backward()
        assert "exp" in str(info.value)
        assert f"{os.path.basename(__file__)}:" in str(info.value)
    with pytest.raises(TypeError, match="pack must be callable"):
        autograd.saved_arrays_hooks(3, print)


def test_pack_that_raises_ends_the_call():
    def broken(array):
        raise RuntimeError("disk full")

    x = variable(2.0)
    with pytest.raises(RuntimeError, match="disk full"):
        with autograd.saved_arrays_hooks(broken, lambda p: p), autograd.record():
            nd.exp(x)
    with autograd.record():  # the block has ended
        y = nd.exp(x)
    y.backward()


def test_nested_blocks_and_threads():
    x = variable(2.0)
    seen = []

    def hooks(name):
        return autograd.saved_arrays_hooks(lambda a: (seen.append(name), a)[1], lambda p: p)

    def elsewhere():
        z = variable(1.0)
        with autograd.record():
            nd.exp(z).backward()

    with hooks("outer"):
        with hooks("inner"), autograd.record():
            nd.exp(x)
        with autograd.record():
            nd.exp(x)
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
    with autograd.record():
        nd.exp(x)
    assert seen == ["inner", "outer"]


def test_what_a_hybrid_block_saves_is_packed():
    net = gluon.nn.HybridSequential()
    net.add(gluon.nn.Dense(4, activation="tanh", in_units=3), gluon.nn.Dense(1, in_units=4))
    net.initialize()
    net.hybridize()
    data = nd.array(np.random.default_rng(0).normal(size=(5, 3)))
    grads = []
    packed = []
    for pack in (None, lambda a: (packed.append(a.shape), a.asnumpy())[1]):
        if pack is None:
            with autograd.record():
                loss = net(data).sum()
        else:
            with autograd.saved_arrays_hooks(pack, nd.array), autograd.record():
                loss = net(data).sum()
        loss.backward()
        grads.append([p.grad().asnumpy().copy() for p in net.collect_params().values()])
    assert (5, 4) in packed
    for a, b in zip(*grads):
        np.testing.assert_allclose(a, b, rtol=1e-6)


def test_a_packed_array_that_is_the_array_itself_still_warns():
    x = variable(2.0, 3.0)
    data = nd.array([1.0, 2.0])
    with autograd.saved_arrays_hooks(lambda a: a, lambda p: p), autograd.record():
        y = x * data
    data[:] = 5
    with pytest.warns(StaleArrayWarning, match="broadcast_mul|elemwise_mul"):
        y.backward()
    data = nd.array([1.0, 2.0])
    with autograd.saved_arrays_hooks(lambda a: a.copy(), lambda p: p), autograd.record():
        y = x * data
    data[:] = 5
    y.backward()  # a copy has not changed
    assert x.grad.asnumpy().tolist() == [1.0, 2.0]


class Token:
    pass


def test_hooks_go_with_what_they_are_on():
    token = Token()
    gone = weakref.ref(token)

    def hook(grad, token=token):
        return None

    x = variable(1.0)
    handle = x.register_gradient_hook(hook)
    del token, hook
    gc.collect()
    assert gone() is not None
    del x
    assert gone() is None
    handle.remove()


@pytest.mark.parametrize("how", ["backward", "removed", "dropped"])
def test_cycles_through_hooks_end(how):
    x = variable(1.0)
    token = Token()
    gone = weakref.ref(token)
    with autograd.record():
        h = x * 2
    if how == "dropped":
        handle = h.register_gradient_hook(lambda g, token=token: None)
    else:
        handle = h.register_gradient_hook(lambda g, token=token, h=h: None)
    token.handle = handle  # a handle keeps nothing
    del token
    if how == "backward":
        h.backward()
        del h, handle
    elif how == "removed":
        handle.remove()
        del handle
    else:
        del h, handle
    gc.collect()
    assert gone() is None


def test_packed_objects_go_with_the_graph():
    gone = []

    def pack(array):
        token = Token()
        token.array = array
        gone.append(weakref.ref(token))
        return token

    x = variable(1.0)
    with autograd.saved_arrays_hooks(pack, lambda t: t.array):
        with autograd.record():
            y = nd.exp(nd.sin(x))
    assert gone
    assert all(reference() is not None for reference in gone)
    y.backward()
    assert all(reference() is None for reference in gone)


def test_hooks_in_threads():
    x = variable(*[1.0] * 40000)  # kernels release the interpreter's lock
    counts = []
    x.register_gradient_hook(lambda g: counts.append(float(g.sum().item())))
    x.register_complete_hook(lambda g: None)

    def work():
        for _ in range(10):
            with autograd.record():
                h = nd.softmax(x * 2)
                h.register_gradient_hook(lambda g: g * 1)
                y = (h * 3 + x).sum()
            y.backward()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(counts) == 30


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_hooks_in_a_forked_child():
    x = variable(2.0)
    x.register_gradient_hook(lambda g: g * 10)
    with autograd.record():
        y = x * 3
    pid = os.fork()
    if pid == 0:
        y.backward()
        os._exit(0 if x.grad.item() == 30.0 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    y.backward()
    assert x.grad.item() == 30.0
