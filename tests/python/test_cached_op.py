"""CachedOp behaves as the same calls made one by one."""

import gc
import threading
import weakref

import numpy as np
import pytest

import mxtape as mx
from gradient_matrix import all_rows, as_arrays, draw, operator_inputs, output_weights, row_id
from mxtape import autograd, nd, sym
from mxtape.ndarray import register
from mxtape.symbol import register as composing


def live_bytes():
    return mx.runtime.memory_stats()["bytes_in_use"]


def as_list(result):
    return result if isinstance(result, list) else [result]


def inputs_of(symbol, **arrays):
    return [arrays[name] for name in symbol.list_inputs()]


def outcome(function, arrays, floating, weights, second, seed=11):
    """Values, first and second gradients of a function of arrays; what it changed in them."""
    arrays = [x.copy() for x in arrays]
    variables = [x for x, is_float in zip(arrays, floating) if is_float]
    for x in variables:
        x.attach_grad()
    mx.random.seed(seed)
    with autograd.record():
        outputs = as_list(function(*arrays))
        total = None
        for output, weight in zip(outputs, weights):
            term = (output * weight.astype(output.dtype).reshape(output.shape)).sum()
            total = term if total is None else total + term
        if second:
            firsts = autograd.grad(total, variables, create_graph=True)
            again = sum(((g * g).sum() for g in firsts), nd.zeros(1, dtype="float64"))
    results = [x.asnumpy() for x in outputs]
    if second:
        results += [g.asnumpy() for g in firsts]
        again.backward()
    else:
        total.backward()
    return results + [x.grad.asnumpy() for x in variables] + [x.asnumpy() for x in arrays]


ROWS = all_rows()


@pytest.mark.parametrize("part", range(8))
def test_every_operator(part):
    """Each row of the gradient matrix: the same values, first and second order."""
    failed = []
    for row in ROWS[part::8]:
        values, floating = draw(row)
        arrays = as_arrays(values)
        try:
            weights = output_weights(row, arrays)
            prepared = operator_inputs(row, arrays)
            names = [f"x{i}" for i in range(len(prepared))]
            symbol = composing.get(row.op)(*[sym.Variable(name) for name in names], **row.params)
            call = nd.CachedOp(symbol)
            order = symbol.list_inputs()
            assert sorted(order) == sorted(names)

            def replayed(*given, row=row, call=call, order=order):
                prepared = operator_inputs(row, list(given))
                return call(*[prepared[int(name[1:])] for name in order])

            def eager(*given, row=row):
                return register.get(row.op)(*operator_inputs(row, list(given)), **row.params)

            second = row.order > 1 and row.loss is None
            expected = outcome(eager, arrays, floating, weights, second)
            found = outcome(replayed, arrays, floating, weights, second)
            assert len(found) == len(expected)
            for k, (a, b) in enumerate(zip(found, expected)):
                # Gradients that arrive at one place may be added in another order.
                rtol = 0 if k < len(weights) else 1e-13
                scale = np.abs(b).max(initial=0) if b.dtype.kind == "f" else 0
                np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * scale)
        except Exception as error:
            failed.append(f"{row_id(row)}: {type(error).__name__}: {str(error)[:300]}")
    assert not failed, "\n".join(failed)


def layers():
    """A convolutional network in which everything is: dropout, running statistics, two heads."""
    data = sym.Variable("data")
    x = sym.Convolution(data, kernel=(3, 3), num_filter=4, pad=(1, 1), name="conv")
    x = sym.BatchNorm(x, name="bn", fix_gamma=False)
    x = sym.Activation(x, act_type="relu")
    x = sym.Pooling(x, kernel=(2, 2), stride=(2, 2), pool_type="max")
    x = sym.Dropout(x, p=0.4)
    x = sym.FullyConnected(x, num_hidden=3, name="fc")
    return sym.Group([sym.log_softmax(x), sym.sum(x, axis=1)])


def layers_eager(data, arrays):
    get = arrays.__getitem__
    x = nd.Convolution(
        data, get("conv_weight"), get("conv_bias"), kernel=(3, 3), num_filter=4, pad=(1, 1)
    )
    x = nd.BatchNorm(
        x,
        get("bn_gamma"),
        get("bn_beta"),
        get("bn_moving_mean"),
        get("bn_moving_var"),
        fix_gamma=False,
    )
    x = nd.Activation(x, act_type="relu")
    x = nd.Pooling(x, kernel=(2, 2), stride=(2, 2), pool_type="max")
    x = nd.Dropout(x, p=0.4)
    x = nd.FullyConnected(x, get("fc_weight"), get("fc_bias"), num_hidden=3)
    return [nd.log_softmax(x), nd.sum(x, axis=1)]


def random_arrays(symbol, **shapes):
    arg_shapes, _, aux_shapes = symbol.infer_shape(**shapes)
    random = np.random.RandomState(5)
    names = symbol.list_arguments() + symbol.list_auxiliary_states()
    return {
        name: nd.array(random.uniform(0.1, 1, shape))
        for name, shape in zip(names, arg_shapes + aux_shapes)
    }


@pytest.mark.parametrize("train_mode", [True, False])
def test_a_network(train_mode):
    symbol = layers()
    given = random_arrays(symbol, data=(2, 3, 6, 6))
    call = nd.CachedOp(symbol)
    results = []
    for function in (
        lambda arrays: call(*inputs_of(symbol, **arrays)),
        lambda arrays: layers_eager(arrays["data"], arrays),
    ):
        arrays = {name: value.copy() for name, value in given.items()}
        for name in symbol.list_arguments():
            arrays[name].attach_grad()
        mx.random.seed(3)
        found = []
        for _ in range(2):
            with autograd.record(train_mode=train_mode):
                first, second = function(arrays)
                loss = (first * first).sum() + second.sum()
            loss.backward()
            found += [first, second, *[arrays[n].grad.copy() for n in symbol.list_arguments()]]
        results.append([x.asnumpy() for x in [*found, *arrays.values()]])
    for a, b in zip(*results):
        np.testing.assert_array_equal(a, b)


def test_outputs_that_are_inputs_and_unused():
    a, b = sym.Variable("a"), sym.Variable("b")
    product = a * b
    call = nd.CachedOp(sym.Group([a, product, product, b, sym.exp(b)]))
    x, y = nd.array([1, 2]), nd.array([3, 4])
    x.attach_grad()
    y.attach_grad()
    with autograd.record():
        first, second, again, _, _ = call(x, y)
        loss = first * 10 + second * again
    loss.backward()
    assert x.grad.asnumpy().tolist() == [10 + 2 * 1 * 9, 10 + 2 * 2 * 16]
    assert y.grad.asnumpy().tolist() == [2 * 3 * 1, 2 * 4 * 4]
    x[:] = 7
    assert call(x, y)[0].asnumpy().tolist() == [7, 7]


def test_one_array_given_twice():
    a, b = sym.Variable("a"), sym.Variable("b")
    call = nd.CachedOp(a * b + a)
    x = nd.array([1, 2])
    x.attach_grad()
    with autograd.record():
        y = call(x, x)
        (slope,) = autograd.grad(y, [x], create_graph=True)
    assert slope.asnumpy().tolist() == [3, 5]
    slope.backward()
    assert x.grad.asnumpy().tolist() == [2, 2]


def test_views_and_grad_reqs():
    call = nd.CachedOp(sym.Variable("a") * sym.Variable("b"))
    x, y = nd.array([[1, 2], [3, 4]]), nd.array([5, 6])
    x.attach_grad("add")
    y.attach_grad("null")
    for _ in range(2):
        with autograd.record():
            z = call(x[1], y)
        z.backward()
    assert x.grad.asnumpy().tolist() == [[0, 0], [10, 12]]
    assert call(x.reshape((-1,))[1:3], y).asnumpy().tolist() == [10, 18]


def test_a_constant_output_is_not_on_the_tape():
    a, b = sym.Variable("a"), sym.Variable("b")
    call = nd.CachedOp(sym.Group([sym.exp(a), sym.exp(b)]))
    x = nd.array([0])
    x.attach_grad()
    with autograd.record():
        first, second = call(x, nd.array([0]))
        with pytest.raises(mx.MXNetError, match="not in a computational graph"):
            second.backward()
    first.backward()
    assert x.grad.asnumpy().tolist() == [1]
    with autograd.pause():
        with pytest.raises(mx.MXNetError, match="not in a computational graph"):
            call(x, x)[0].backward()


def test_first_and_second_order_together():
    """The sweep goes through the call and through what its first gradient recorded."""
    call = nd.CachedOp(sym.exp(sym.Variable("a") * 2))
    x = nd.array([0.5, 1.0])
    x.attach_grad()
    with autograd.record():
        y = call(x)
        (slope,) = autograd.grad(y, [x], create_graph=True)
        (bend,) = autograd.grad(slope, [x], create_graph=True)
        total = y + slope + bend
    total.backward()
    np.testing.assert_allclose(x.grad.asnumpy(), (2 + 4 + 8) * np.exp([1, 2]), rtol=1e-6)


def test_a_part_of_the_gradients():
    a, b = sym.Variable("a"), sym.Variable("b")
    call = nd.CachedOp(sym.exp(a) * sym.sin(b))
    x, y = nd.array([0.5]), nd.array([0.25])
    x.attach_grad()
    y.attach_grad()
    with autograd.record():
        z = call(x, y)
    (only,) = autograd.grad(z, [y], retain_graph=True)
    np.testing.assert_allclose(only.asnumpy(), np.exp(0.5) * np.cos(0.25), rtol=1e-6)
    z.backward()
    np.testing.assert_allclose(x.grad.asnumpy(), np.exp(0.5) * np.sin(0.25), rtol=1e-6)
    with pytest.raises(mx.MXNetError, match="freed"):
        z.backward()


def test_out():
    call = nd.CachedOp(sym.Variable("a") * sym.Variable("b"))
    x, y, out = nd.array([1, 2]), nd.array([3, 4]), nd.zeros(2)
    x.attach_grad()
    with autograd.record():
        assert call(x, y, out=out) is out
    out.backward()
    assert out.asnumpy().tolist() == [3, 8]
    assert x.grad.asnumpy().tolist() == [3, 4]
    results = [nd.zeros(2)]
    assert call(x, y, out=results) is results
    assert results[0].asnumpy().tolist() == [3, 8]
    assert call(out, y, out=out).asnumpy().tolist() == [9, 32]
    with pytest.raises(mx.MXNetError, match=r"\(4,\)"):
        call(x, y, out=nd.zeros(4))
    with autograd.record():
        with pytest.raises(mx.MXNetError, match="in place"):
            call(x, y, out=x)
    assert x.asnumpy().tolist() == [1, 2]


@pytest.mark.parametrize(
    ("error", "match", "call"),
    [
        (mx.MXNetError, "2 inputs", lambda op, x: op(x)),
        (mx.MXNetError, "2 inputs", lambda op, x: op(x, x, x)),
        (TypeError, "NDArray", lambda op, x: op(x, np.ones(2))),
        (TypeError, "NDArray", lambda op, x: op(x, None)),
        (TypeError, "foo", lambda op, x: op(x, x, foo=1)),
        (mx.MXNetError, "broadcast_mul.*node prod", lambda op, x: op(x, nd.ones(5))),
        (TypeError, "Symbol", lambda op, x: nd.CachedOp(3)),
        (mx.MXNetError, "foo", lambda op, x: nd.CachedOp(sym.Variable("a"), [("foo", 1)])),
        (
            mx.MXNetError,
            "static_alloc",
            lambda op, x: nd.CachedOp(sym.Variable("a"), [("static_shape", True)]),
        ),
    ],
)
def test_errors(error, match, call):
    op = nd.CachedOp(sym.broadcast_mul(sym.Variable("a"), sym.Variable("b"), name="prod"))
    with pytest.raises(error, match=match):
        call(op, nd.ones(2))


def test_an_error_comes_before_anything_changes():
    symbol = sym.BatchNorm(sym.Variable("data"), name="bn") + sym.Variable("more")
    call = nd.CachedOp(symbol)
    arrays = random_arrays(symbol, data=(4, 2), more=(4, 2))
    arrays["more"] = nd.ones((4, 3))
    before = arrays["bn_moving_mean"].asnumpy()
    with autograd.train_mode(), pytest.raises(mx.MXNetError, match=r"broadcast|shape"):
        call(*inputs_of(symbol, **arrays))
    assert (arrays["bn_moving_mean"].asnumpy() == before).all()


def test_flags_are_accepted():
    flags = [
        ("static_alloc", True),
        ("static_shape", True),
        ("inline_limit", 2),
        ("data_indices", [0]),
        ("param_indices", [1]),
    ]
    call = nd.CachedOp(sym.Variable("a") * sym.Variable("b"), flags)
    assert call(nd.ones(2), nd.ones(2)).asnumpy().tolist() == [1, 1]
    # Results are not written over by the next call.
    first = call(nd.ones(2), nd.ones(2) * 2)
    call(nd.ones(2), nd.ones(2) * 3)
    assert first.asnumpy().tolist() == [2, 2]


def test_shapes_and_dtypes_that_vary():
    call = nd.CachedOp(sym.sum(sym.Variable("a") * 2, axis=0))
    for size in range(1, 30):
        for dtype in ("float32", "float64"):
            x = nd.ones((size, 2), dtype=dtype)
            assert call(x).asnumpy().tolist() == [2 * size] * 2
            assert call(x).dtype == x.dtype


def test_a_shape_that_depends_on_values():
    a, b = sym.Variable("a"), sym.Variable("b")
    call = nd.CachedOp(sym.contrib.boolean_mask(a, b) * 3)
    x = nd.array([1, 2, 3])
    x.attach_grad()
    for mask, expected in (([1, 0, 1], [3, 0, 3]), ([0, 0, 1], [0, 0, 3])):
        with autograd.record():
            y = call(x, nd.array(mask))
        assert y.shape == (sum(mask),)
        y.backward()
        assert x.grad.asnumpy().tolist() == expected


def test_get_symbol_follows_the_calls_inside():
    call = nd.CachedOp(sym.exp(sym.Variable("a") * sym.Variable("b")))
    x = nd.array([0.5])
    x.attach_grad()
    with autograd.record():
        y = nd.sin(call(nd.cos(x), nd.ones(1)))
    symbol = autograd.get_symbol(y)
    assert [n["op"] for n in __import__("json").loads(symbol.tojson())["nodes"]].count("exp") == 1
    value = nd.CachedOp(symbol)(*[x if n == "var0" else nd.ones(1) for n in symbol.list_inputs()])
    np.testing.assert_array_equal(value.asnumpy(), y.asnumpy())


def test_a_changed_array_is_reported():
    call = nd.CachedOp(sym.exp(sym.Variable("a")) * sym.Variable("b"))
    x, w = nd.array([0.5]), nd.array([2])
    x.attach_grad()
    with autograd.record():
        y = call(x, w)
    w[:] = 3
    with pytest.warns(mx.base.StaleArrayWarning, match="changed in place"):
        y.backward()


def test_the_gradient_says_where():
    call = nd.CachedOp(sym.all_finite(sym.Variable("a"), name="fin"))
    x = nd.array([1, 2])
    x.attach_grad()
    with autograd.record():
        y = call(x)
    with pytest.raises(mx.MXNetError, match=r"all_finite.*test_cached_op\.py"):
        y.backward()


def test_a_hook_sees_every_result():
    call = nd.CachedOp(sym.exp(sym.Variable("a") * 2, name="e"))
    seen = []
    call._register_op_hook(lambda name, op, value: seen.append((name, op, value.shape)))
    call(nd.ones(3))
    assert [op for _, op, _ in seen] == ["_mul_scalar", "exp"]
    assert seen[1][0] == "e_output"
    with pytest.raises(TypeError):
        call._register_op_hook(3)


def test_nothing_leaks():
    symbol = layers()
    call = nd.CachedOp(symbol)
    arrays = random_arrays(symbol, data=(2, 3, 6, 6))
    for name in symbol.list_arguments():
        arrays[name].attach_grad()
    given = inputs_of(symbol, **arrays)

    def once(create_graph):
        with autograd.record():
            first, _ = call(*given)
            if create_graph:
                autograd.grad(first, [arrays["fc_weight"]], create_graph=True)
        first.backward()

    for create_graph in (False, True):
        once(create_graph)
        gc.collect()
        before = live_bytes()
        for _ in range(5):
            once(create_graph)
        gc.collect()
        assert live_bytes() <= before


def test_a_hook_that_holds_the_call_is_collected():
    call = nd.CachedOp(sym.exp(sym.Variable("a")))
    call._register_op_hook(lambda *_, call=call: None)
    alive = weakref.ref(call)
    del call
    gc.collect()
    assert alive() is None


def test_many_threads_give_the_same_bits():
    symbol = layers()
    call = nd.CachedOp(symbol)
    shared = random_arrays(symbol, data=(2, 3, 12, 12))
    results, errors = [], []

    def work():
        try:
            arrays = {name: value.copy() for name, value in shared.items()}
            arrays["fc_weight"].attach_grad()
            for _ in range(10):
                with autograd.record(train_mode=False):
                    y = call(*inputs_of(symbol, **arrays))[0]
                y.backward()
            results.append((y.asnumpy(), arrays["fc_weight"].grad.asnumpy()))
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert len(results) == 4
    for y, grad in results[1:]:
        np.testing.assert_array_equal(y, results[0][0])
        np.testing.assert_array_equal(grad, results[0][1])


UNARY = ["exp", "sin", "tanh", "sigmoid", "square", "relu", "negative"]
BINARY = ["broadcast_add", "broadcast_mul", "broadcast_sub", "broadcast_maximum"]


def random_graph(random):
    """A random program over three variables, as a function of a namespace and three values."""
    steps = []
    for k in range(random.randint(5, 25)):
        known = 3 + k
        if random.rand() < 0.4:
            steps.append((UNARY[random.randint(len(UNARY))], (random.randint(known),)))
        else:
            pair = (random.randint(known), random.randint(known))
            steps.append((BINARY[random.randint(len(BINARY))], pair))
    last = 3 + len(steps)
    heads = [last - 1, *[random.randint(last) for _ in range(random.randint(1, 4))]]

    def program(space, *values):
        values = list(values)
        for op, places in steps:
            result = getattr(space, op)(*[values[i] for i in places])
            values.append(space.broadcast_div(result, space.broadcast_add(space.square(result), b)))
        return [values[i] for i in heads]

    b = None

    def run(space, x, y, z, one):
        nonlocal b
        b = one
        return program(space, x, y, z)

    return run


@pytest.mark.parametrize("seed", range(40))
def test_random_graphs(seed):
    random = np.random.RandomState(seed)
    run = random_graph(random)
    names = ["x", "y", "z", "one"]
    symbol = sym.Group(run(sym, *[sym.Variable(name) for name in names]))
    call = nd.CachedOp(symbol)
    order = symbol.list_inputs()
    shapes = [(2, 3), (3,), (2, 1), (1,)]
    arrays = [nd.array(random.uniform(-1, 1, s), dtype="float64") for s in shapes[:3]]
    arrays.append(nd.ones(1, dtype="float64"))
    floating = [random.rand() < 0.7 for _ in range(3)] + [True]
    with autograd.pause(train_mode=True):
        outputs = run(nd, *arrays)
    weights = [nd.array(random.uniform(0.5, 1.5, o.shape), dtype="float64") for o in outputs]

    def replayed(*given):
        by_name = dict(zip(names, given))
        return as_list(call(*[by_name[name] for name in order]))

    used = [is_float and name in order for name, is_float in zip(names, floating)]
    if not any(used):
        return
    expected = outcome(lambda *given: run(nd, *given), arrays, used, weights, True)
    found = outcome(replayed, arrays, used, weights, True)
    for a, b in zip(found, expected):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)
