"""vmap: the function over a batch equals the stack of the function on each example."""

import numpy as np
import pytest

import mxtape as mx
from gradient_matrix import all_rows, as_arrays, call, draw, objective, output_weights, row_id
from mxtape import autograd, nd
from mxtape._loader import core
from mxtape.autograd import vmap
from mxtape.base import MXNetError

BATCH = 3
# Their results depend on how many numbers were drawn before.
RANDOM = {name for name in core.op_names() if core.describe_op(name)["random"]}
ROWS = [
    row
    for row in all_rows()
    if core.has_batch_rule(row.op)
    and not row.stypes  # refused
    and row.op not in RANDOM
    and row.params.get("mode") != "raise"  # refused, below
]
# Gradients of the first two rows of each operator.
GRADIENT_ROWS = [
    row for i, row in enumerate(ROWS) if sum(other.op == row.op for other in ROWS[:i]) < 2
]


def examples_of(value, is_float):
    """Other values of the same kind for each example; whole numbers as they are."""
    if not is_float:
        return np.stack([value] * BATCH)
    flat = value.reshape(-1)
    return np.stack([np.roll(flat, shift).reshape(value.shape) for shift in range(BATCH)])


def subsets(floating):
    """Which inputs are mapped: all of them, and each alone."""
    count = len(floating)
    yield (True,) * count
    if count > 1:
        for i in range(count):
            yield tuple(k == i for k in range(count))


def compare(function, row, values, floating, mapped):
    batches = [
        examples_of(v, f) if m else v for v, f, m in zip(values, floating, mapped, strict=True)
    ]
    actual = vmap(function, in_axes=tuple(0 if m else None for m in mapped))(*as_arrays(batches))
    loop = []
    for k in range(BATCH):
        loop.append(function(*as_arrays([b[k] if m else b for b, m in zip(batches, mapped)])))
    for i, output in enumerate(actual):
        expected = np.stack([results[i].asnumpy() for results in loop])
        assert output.dtype == loop[0][i].dtype
        np.testing.assert_allclose(
            output.asnumpy(), expected, rtol=1e-9, atol=1e-11, err_msg=f"{mapped} output {i}"
        )


@pytest.mark.parametrize("row", ROWS, ids=row_id)
def test_values_equal_those_of_a_loop(row):
    values, floating = draw(row)
    for mapped in subsets(floating):
        compare(lambda *inputs: call(row, list(inputs)), row, values, floating, mapped)


@pytest.mark.parametrize("row", GRADIENT_ROWS, ids=row_id)
def test_gradients_equal_those_of_a_loop(row):
    if row.op == "BatchNorm" and not row.params.get("use_global_stats"):
        pytest.skip("is refused in training mode")
    values, floating = draw(row)
    weights = output_weights(row, as_arrays(values))

    def gradients(*inputs):
        variables = [x for x, is_float in zip(inputs, floating) if is_float]
        for x in variables:
            x.attach_grad()
        with autograd.record():
            total = objective(row, list(inputs), weights)
        return autograd.grad(total, variables)

    compare(gradients, row, values, floating, (True,) * len(floating))


# ---- axes and structures


def numbers(*shape, seed=1):
    return nd.array(np.random.RandomState(seed).standard_normal(shape), dtype="float64")


@pytest.mark.parametrize("in_axis", [0, 1, 2, -1])
@pytest.mark.parametrize("out_axis", [0, 1, -1])
def test_any_axis(in_axis, out_axis):
    x = numbers(2, 3, 4)
    result = vmap(lambda a: a.sum(axis=0), in_axes=in_axis, out_axes=out_axis)(x)
    expected = np.moveaxis(np.moveaxis(x.asnumpy(), in_axis, 0).sum(axis=1), 0, out_axis)
    np.testing.assert_allclose(result.asnumpy(), expected, rtol=1e-12)


def test_nested_structures():
    x, y, z = numbers(3, 2), numbers(2, 3, seed=2), numbers(2, seed=3)

    def f(given, scale, *, shift):
        return {
            "sum": given["x"] + given["pair"][0],
            "rest": (given["pair"][1] * scale, [shift, 5]),
        }

    mapped = vmap(
        f,
        in_axes=({"x": 0, "pair": (1, None)}, None),
        out_axes={"sum": 1, "rest": (0, [None, None])},
    )
    found = mapped({"x": x, "pair": (y, z)}, 2.0, shift=z)
    np.testing.assert_array_equal(found["sum"].asnumpy(), x.asnumpy().T + y.asnumpy())
    repeated, (shift, number) = found["rest"]
    np.testing.assert_array_equal(repeated.asnumpy(), np.stack([2 * z.asnumpy()] * 3))
    assert shift.shape == (2,)
    assert number == 5


def test_nested_vmap_is_an_outer_product():
    a, b = numbers(3), numbers(4, seed=2)
    outer = vmap(lambda x: vmap(lambda y: x * y)(b))(a)
    np.testing.assert_array_equal(outer.asnumpy(), np.outer(a.asnumpy(), b.asnumpy()))
    dots = vmap(vmap(nd.dot, in_axes=(None, 0)), in_axes=(0, None))(numbers(3, 5), numbers(4, 5))
    np.testing.assert_allclose(
        dots.asnumpy()[:, :, 0], numbers(3, 5).asnumpy() @ numbers(4, 5).asnumpy().T, rtol=1e-12
    )


@pytest.mark.parametrize(
    ("in_axes", "arguments", "message"),
    [
        (None, [(3, 2)], "no argument has a batch axis"),
        (2, [(3, 2)], "axis 2 for an array of shape"),
        (0, [(3, 2), (4, 2)], "must have one extent"),
        (0, [(0, 2)], "the batch is empty"),
        ((0, 0), [(3, 2)], "for 1 arguments"),
        ("x", [(3, 2)], "expected an integer or None"),
    ],
)
def test_axes_that_do_not_fit(in_axes, arguments, message):
    with pytest.raises(ValueError, match=message):
        vmap(lambda *x: x, in_axes=in_axes)(*[nd.zeros(shape) for shape in arguments])


# ---- what a mapped function may do


def test_views_and_indexing():
    x = numbers(3, 4, 5)
    views = {
        "row": lambda a: a[1],
        "last": lambda a: a[-1],
        "rows": lambda a: a[1:3],
        "element": lambda a: a[1, 2],
        "columns": lambda a: a[:, 1:3],
        "steps": lambda a: a[::2, ::-1],
        "list": lambda a: a[[2, 0, 0]],
        "mask": lambda a: a[nd.array([1, 0, 1, 0]).asnumpy() > 0],
        "transposed": lambda a: a.T,
        "reshaped": lambda a: a.reshape((-1, 2)),
        "view of a view": lambda a: a[1:].reshape((5, 3))[2],
        "summed rows": lambda a: sum(row * 2 for row in a),
        "new axis": lambda a: a.expand_dims(0, inplace=True),
        "copy": lambda a: a.copy().detach(),
        "astype": lambda a: a.astype("float32"),
    }
    for name, view in views.items():
        expected = np.stack([view(x[i]).asnumpy() for i in range(3)])
        np.testing.assert_allclose(vmap(view)(x).asnumpy(), expected, rtol=1e-12, err_msg=name)


def test_an_index_for_each_example():
    x, index = numbers(3, 4, 5), nd.array([[2, 0], [1, 1], [3, -1]], dtype="int64")
    expected = np.stack([a[i] for a, i in zip(x.asnumpy(), index.asnumpy())])
    np.testing.assert_array_equal(vmap(lambda a, i: a[i])(x, index).asnumpy(), expected)
    table = numbers(4, 5).asnumpy()
    found = vmap(lambda i: nd.array(table, dtype="float64")[i])(index).asnumpy()
    np.testing.assert_array_equal(found, table[index.asnumpy()])


def test_shape_length_and_text():
    def f(x):
        assert x.shape == (4, 5)
        assert len(x) == 4
        assert x.ndim == 2
        assert x.size == 20
        assert repr(x) == "<batched NDArray 4x5 @cpu(0)>"
        return x

    vmap(f)(numbers(3, 4, 5))


def test_writing_in_place():
    def f(x, y):
        made = nd.zeros_like(x)
        made[1] = y
        made[0, 1:] = 7
        made += x
        row = made[2]
        row[:] = 1
        nd.exp(y, out=made[3])
        return made

    x, y = numbers(3, 4, 5), numbers(3, 5, seed=2)
    expected = np.stack([f(x[i].copy(), y[i].copy()).asnumpy() for i in range(3)])
    np.testing.assert_allclose(vmap(f)(x, y).asnumpy(), expected, rtol=1e-12)


def test_the_callers_arrays_stay_as_they_are():
    x = numbers(3, 4)
    before = x.asnumpy()

    def f(a):
        a += 1
        a[0] = 5
        return a

    vmap(f)(x)
    np.testing.assert_array_equal(x.asnumpy(), before)


@pytest.mark.parametrize(
    "read",
    [
        lambda x: x.asnumpy(),
        lambda x: x[0].asscalar(),
        lambda x: float(x[0]),
        lambda x: bool(x[0] > 0),
        lambda x: x.tolist(),
        lambda x: np.asarray(x),
        lambda x: nd.ones((4,))[x, x],
    ],
)
def test_values_cannot_be_read(read):
    with pytest.raises(MXNetError, match="vmap: inside the mapped function an array of shape"):
        vmap(read)(numbers(3, 4))


def test_writing_to_what_is_the_same_for_all():
    plain = nd.zeros((4,), dtype="float64")

    def assign(x):
        plain[:] = x

    def add(x):
        local = plain.copy()
        local += x

    for write in (assign, add):
        with pytest.raises(MXNetError, match="the same for all of them"):
            vmap(write)(numbers(3, 4))
    assert not plain.asnumpy().any()


def test_an_operator_without_a_rule_is_named():
    with pytest.raises(MXNetError, match="_shuffle: vmap has no rule"):
        vmap(nd.random.shuffle)(numbers(3, 4))


def test_what_a_rule_refuses():
    table, index = numbers(3, 4, 2), nd.zeros((3, 2))
    with pytest.raises(MXNetError, match=r"take: mode='raise' .* use 'clip' or 'wrap'"):
        vmap(lambda a, i: nd.take(a, i, mode="raise"))(table, index)
    scale = nd.ones((2,), dtype="float64")
    with autograd.train_mode(), pytest.raises(MXNetError, match="BatchNorm: it changes an input"):
        vmap(lambda a: nd.BatchNorm(a, scale, scale, scale.copy(), scale.copy()))(table)


def test_an_example_cannot_leave():
    kept = []
    vmap(lambda x: kept.append(x))(numbers(3, 4))
    with pytest.raises(MXNetError, match="a vmap that has ended"):
        kept[0] + 1


def test_an_error_inside_ends_the_level():
    with pytest.raises(ZeroDivisionError):
        vmap(lambda x: 1 / 0)(numbers(3, 4))
    assert vmap(lambda x: x + 1)(numbers(3, 4)).shape == (3, 4)


# ---- recording


def network(x, w, b):
    return nd.tanh(nd.FullyConnected(x.reshape((1, -1)), w, b, num_hidden=2)).sum()


def test_per_example_gradients_of_captured_variables():
    x, w, b = numbers(3, 5), numbers(2, 5, seed=2), numbers(2, seed=3)
    for variable in (w, b):
        variable.attach_grad()

    def gradients(example):
        with autograd.record():
            loss = network(example, w, b)
        return autograd.grad(loss, [w, b])

    loop = [gradients(x[i]) for i in range(3)]
    for i, found in enumerate(vmap(gradients)(x)):
        expected = np.stack([row[i].asnumpy() for row in loop])
        np.testing.assert_allclose(found.asnumpy(), expected, rtol=1e-10)
    assert not w.grad.asnumpy().any()


def test_gradient_of_vmap():
    x, w, b = numbers(3, 5), numbers(2, 5, seed=2), numbers(2, seed=3)
    expected = []
    for mapped in (False, True):
        for variable in (x, w, b):
            variable.attach_grad()
        with autograd.record():
            if mapped:
                losses = vmap(lambda a: network(a, w * w, b))(x)
            else:
                losses = nd.stack(*[network(x[i], w * w, b) for i in range(3)])
            (losses * losses).sum().backward()
        expected.append([variable.grad.asnumpy() for variable in (x, w, b)])
    for loop, batch in zip(*expected):
        assert np.abs(loop).max() > 0
        np.testing.assert_allclose(batch, loop, rtol=1e-10)


def test_gradient_of_vmap_of_gradient():
    """The derivative of per-example gradients by a captured variable."""
    x, w, b = numbers(3, 5), numbers(2, 5, seed=2), numbers(2, seed=3)

    def along(example):
        with autograd.record():
            y = network(example, w, b)
            return autograd.grad(y, w, create_graph=True)[0]

    found = []
    for mapped in (False, True):
        for variable in (w, b):
            variable.attach_grad()
        with autograd.record():
            rows = vmap(along)(x) if mapped else nd.stack(*[along(x[i]) for i in range(3)])
            nd.square(rows).sum().backward()
        found.append([w.grad.asnumpy(), b.grad.asnumpy()])
    for loop, batch in zip(*found):
        assert np.abs(loop).max() > 0
        np.testing.assert_allclose(batch, loop, rtol=1e-10)


def test_backward_into_an_examples_own_buffer():
    def f(x):
        x.attach_grad()
        with autograd.record():
            y = nd.square(x).sum()
        y.backward()
        return x.grad

    x = numbers(3, 4)
    np.testing.assert_allclose(vmap(f)(x).asnumpy(), 2 * x.asnumpy(), rtol=1e-12)


def test_backward_into_a_buffer_made_outside():
    w = numbers(4)
    w.attach_grad()

    def f(x):
        with autograd.record():
            y = (x * w).sum()
        y.backward()

    with pytest.raises(MXNetError, match=r"Use autograd\.grad"):
        vmap(f)(numbers(3, 4))
    assert not w.grad.asnumpy().any()


def test_hessian_by_vmap_of_nested_gradients():
    x = numbers(4)

    def along(direction):
        point = x.copy()
        point.attach_grad()
        with autograd.record():
            y = (nd.sin(point) * nd.sum(point * point)).sum()
            first = autograd.grad(y, point, create_graph=True)[0]
            return autograd.grad((first * direction).sum(), point)[0]

    hessian = vmap(along)(nd.array(np.eye(4), dtype="float64")).asnumpy()
    loop = np.stack([along(row).asnumpy() for row in nd.array(np.eye(4), dtype="float64")])
    np.testing.assert_allclose(hessian, loop, rtol=1e-10)
    np.testing.assert_allclose(hessian, hessian.T, rtol=1e-10)


def test_training_mode_reaches_the_operators():
    def dropped(x):
        with autograd.train_mode():
            return nd.Dropout(x, p=0.5)

    found = vmap(dropped)(nd.ones((64, 64))).asnumpy()
    assert set(np.unique(found)) == {0.0, 2.0}
    assert len({row.tobytes() for row in found}) == 64  # other numbers for each example


def test_hybrid_blocks():
    net = mx.gluon.nn.HybridSequential()
    net.add(mx.gluon.nn.Dense(8, activation="relu", in_units=5), mx.gluon.nn.Dense(1, in_units=8))
    net.initialize()
    x = numbers(3, 5).astype("float32")
    weight = net[0].weight.data()

    def gradient(example):
        with autograd.record():
            y = net(example.reshape((1, -1))).sum()
        return autograd.grad(y, weight)[0]

    expected = np.stack([gradient(x[i]).asnumpy() for i in range(3)])
    for _ in range(2):
        np.testing.assert_allclose(vmap(gradient)(x).asnumpy(), expected, rtol=1e-5)
        net.hybridize()
