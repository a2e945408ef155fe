"""Gradients with sparse arrays: what they are with dense ones, in the storage type asked for."""

import gc

import numpy as np
import pytest

import mxtape as mx
from gradient_matrix import all_rows, draw, row_id, sparse_mask
from mxtape import autograd, nd
from mxtape.base import MXNetError
from mxtape.ndarray import register

ROWS = [row for row in all_rows() if row.stypes]
FORMS = ("default", "row_sparse", "csr")
A = np.array([[0, 1, 0, 2], [0, 0, 0, 0], [3, 0, 4, 0]], "float32")
W = np.arange(12, dtype="float32").reshape(4, 3) / 4 - 1
TABLE = np.arange(16, dtype="float32").reshape(8, 2) / 8
IDS = np.array([[1, 5, 1], [3, 5, 5]], "float32")


def csr(values=A):
    return nd.array(values, dtype=values.dtype).tostype("csr")


def variable(values, stype=None, grad_req="write", form="default"):
    x = nd.array(values, dtype=values.dtype).tostype(form)
    x.attach_grad(grad_req, stype=stype)
    return x


def put(target, values):
    """Other values in the same array."""
    nd.identity(nd.array(values, dtype=values.dtype).tostype(target.stype), out=target)


def look_up(ids, w, sparse_grad=True):
    rows, columns = w.shape
    ids = nd.array(ids)
    return nd.Embedding(ids, w, input_dim=rows, output_dim=columns, sparse_grad=sparse_grad)


def assert_equal(x, expected, stype):
    assert x.stype == stype
    np.testing.assert_allclose(x.asnumpy(), expected, rtol=1e-5, atol=1e-6)


# ---- every row of the gradient matrix with sparse inputs


def retained(x, rows):
    mask = np.zeros((len(x), 1))
    mask[rows.asnumpy().astype(int)] = 1
    return x * nd.array(mask, dtype=x.dtype)


# What dense arrays are given to where the operator refuses them.
DENSE = {
    "_square_sum": lambda x, **params: nd.sum(nd.square(x), **params),
    "_sparse_retain": retained,
    "dot": lambda a, b, forward_stype=None, **params: nd.dot(a, b, **params),
}


def weights_like(arrays):
    random = np.random.RandomState(7)
    return [nd.array(random.uniform(0.5, 1.5, y.shape), dtype="float64") for y in arrays]


def gradients(row, values, floating, stypes, grad_stypes, grad_req="write", times=1):
    """The results and the gradients, the arrays being variables in these storage types."""
    function = register.get(row.op)
    if not any(stype != "default" for stype in stypes):
        function = DENSE.get(row.op, function)
    arrays = []
    for value, stype in zip(values, stypes):
        arrays.append(nd.array(value, dtype=value.dtype).tostype(stype))
    variables = [x for x, is_float in zip(arrays, floating) if is_float]
    for x, stype in zip(variables, grad_stypes):
        x.attach_grad(grad_req, stype=stype)
    for _ in range(times):
        with autograd.record():
            y = function(*arrays, **row.params)
            ys = y if isinstance(y, list) else [y]
        weights = weights_like(ys)
        autograd.backward(ys, weights)
    return [y.asnumpy() for y in ys], [x.grad for x in variables]


def with_zeros(row):
    values, floating = draw(row)
    stypes = row.stypes or ("default",) * len(values)
    values = [
        v if s == "default" else v * sparse_mask(v.shape, s)
        for v, s in zip(values, stypes, strict=True)
    ]
    return values, floating


@pytest.mark.parametrize("row", ROWS, ids=row_id)
def test_gradients_equal_dense_ones(row):
    """Variables that are sparse, gradient buffers of each storage type, written and added to."""
    values, floating = with_zeros(row)
    dense = ["default"] * len(values)
    outputs, expected = gradients(row, values, floating, dense, dense)
    expected = [g.asnumpy() for g in expected]
    shapes = [v.shape for v, is_float in zip(values, floating) if is_float]
    for form in (None, *FORMS):
        asked = ["default" if form == "csr" and len(s) != 2 else form for s in shapes]
        for grad_req, times in (("write", 2), ("add", 2)):
            got, found = gradients(row, values, floating, row.stypes, asked, grad_req, times)
            for y, want in zip(got, outputs, strict=True):
                np.testing.assert_allclose(y, want, rtol=1e-12, atol=1e-13)
            own = [s for s, is_float in zip(row.stypes, floating) if is_float]
            for g, want, stype, default in zip(found, expected, asked, own, strict=True):
                assert g.stype == (stype or default)
                want = want * (times if grad_req == "add" else 1)
                np.testing.assert_allclose(g.asnumpy(), want, rtol=1e-12, atol=1e-13)


# ---- buffers


def test_a_buffer_of_the_variable_s_own_storage_type():
    for form in FORMS:
        x = variable(A, form=form)
        assert x.grad.stype == form
        assert not x.grad.asnumpy().any()


def test_a_buffer_that_cannot_be():
    with pytest.raises(ValueError, match="2 dimensions"):
        nd.ones((3,)).attach_grad(stype="csr")
    with pytest.raises((MXNetError, ValueError), match="coo"):
        nd.ones((3,)).attach_grad(stype="coo")


def test_the_buffer_stays_the_same_object():
    """A program that holds x.grad sees each sweep there, and nothing of the sweep before."""
    w = variable(TABLE, "row_sparse")
    held = w.grad
    for ids in ([7, 0, 0], [2]):
        with autograd.record():
            y = look_up(ids, w)
        y.backward()
        assert held.indices.asnumpy().tolist() == sorted(set(ids))
    assert held.data.asnumpy().tolist() == [[1, 1]]


@pytest.mark.parametrize("form", FORMS)
def test_mark_variables(form):
    w, buffer = nd.array(W), nd.ones(W.shape).tostype(form)
    expected = A.T @ np.ones((3, 3))
    for req, want in (("write", expected), ("add", expected * 2), ("null", expected * 2)):
        autograd.mark_variables(w, buffer, req)
        other = variable(W)
        with autograd.record():
            y = nd.dot(csr(), w) + nd.dot(csr(), other)
        y.backward()
        assert_equal(w.grad, want, form)
        assert_equal(buffer, want, form)
    with pytest.raises(MXNetError, match="shape"):
        autograd.mark_variables(w, nd.sparse.zeros("row_sparse", (2, 3)))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("grad_req", ["write", "add"])
def test_sums_of_several_kinds(form, grad_req):
    """Gradients of both storage types that meet in one sweep, in any order."""
    lookup = lambda w: look_up(IDS, w).sum()  # noqa: E731
    dense = lambda w: (w * w).sum()  # noqa: E731
    product = lambda w: nd.dot(csr(np.eye(3, 8, dtype="float32")), w).sum()  # noqa: E731
    for parts in (
        (lookup, lookup),
        (lookup, dense),
        (dense, lookup),
        (lookup, product, dense),
        (product, dense, product, lookup),
        (product, lookup),
    ):
        found = []
        for stype in ("default", form):
            w = variable(TABLE, stype, grad_req)
            for _ in range(3):
                with autograd.record():
                    total = parts[0](w)
                    for part in parts[1:]:
                        total = total + part(w)
                total.backward()
            found.append(w.grad)
        assert_equal(found[1], found[0].asnumpy(), form)


def test_null():
    x, w = nd.array(A).tostype("csr"), variable(W)
    x.attach_grad("null")
    with autograd.record():
        y = nd.dot(x, w)
    y.backward()
    assert x.grad is None or not x.grad.asnumpy().any()
    assert_equal(w.grad, A.T @ np.ones((3, 3)), "default")


# ---- heads


@pytest.mark.parametrize("head_form", FORMS)
@pytest.mark.parametrize("form", FORMS)
def test_sparse_head_gradients(form, head_form):
    values = np.array([[1, 0, 0, 2], [0, 0, 0, 0], [0, 0, -3, 0]], "float32")
    for f in (
        lambda x: x * 3,
        nd.square,
        nd.sin,
        nd.cos,
        lambda x: x.tostype("default"),
        lambda x: nd.softmax(x),
        lambda x: x.T.T,
    ):
        found = []
        for kind, head_kind in (("default", "default"), (form, head_form)):
            x = variable(A, "default", form=kind)
            with autograd.record():
                y = f(x)
            y.backward(nd.array(values).tostype(head_kind))
            found.append(x.grad)
        assert_equal(found[1], found[0].asnumpy(), "default")


def test_heads_that_are_sparse():
    for form in ("row_sparse", "csr"):
        x = variable(A, form=form)
        with autograd.record():
            y = nd.identity(x)
        assert y.stype == form
        y.backward()
        assert_equal(x.grad, np.ones((3, 4)), form)
        x.backward(nd.zeros((3, 4)))
        assert_equal(x.grad, np.zeros((3, 4)), form)
        x.backward()
        assert_equal(x.grad, np.ones((3, 4)), form)
    with autograd.record():
        y = x * 2
    with pytest.raises(MXNetError, match=r"head 0 has shape \(3, 4\)"):
        y.backward(nd.sparse.zeros("csr", (4, 3)))


# ---- autograd.grad, second order


def test_what_grad_returns():
    """What arrives, in its storage type: the buffer's does not matter, and stays as it is."""
    x = variable(A, "default", form="csr")
    with autograd.record():
        y = nd.identity(x)
    head = csr(A * 2)
    (g,) = autograd.grad(y, [x], head, retain_graph=True)
    assert_equal(g, A * 2, "csr")
    put(g, A * 3)
    assert_equal(head, A * 2, "csr")
    (g,) = autograd.grad(y, [x])
    assert_equal(g, np.ones((3, 4)), "default")
    assert not x.grad.asnumpy().any()


def second(f, values, form):
    """The gradient of the sum of the squares of a gradient."""
    w = variable(values, form)
    with autograd.record():
        y = f(w)
        (g,) = autograd.grad(y, [w], create_graph=True)
        z = (g * g).sum()
    z.backward()
    return g.asnumpy(), w.grad


@pytest.mark.parametrize("form", FORMS)
def test_second_order(form):
    a, dense_a = csr(), nd.array(A)
    head = nd.array([[1.0, -2, 3], [0.5, 1, 1], [-1, 2, 0]])
    for sparse, dense, values in (
        (lambda w: nd.dot(a, w * w * w), lambda w: nd.dot(dense_a, w * w * w), W),
        (
            lambda w: nd.square(nd.dot(a, w)) * head,
            lambda w: nd.square(nd.dot(dense_a, w)) * head,
            W,
        ),
        (
            lambda w: nd.dot(a, nd.exp(nd.dot(a, w)), transpose_a=True),
            lambda w: nd.dot(dense_a, nd.exp(nd.dot(dense_a, w)), transpose_a=True),
            W,
        ),
        (
            lambda w: nd.square(look_up(IDS, w)) * 2,
            lambda w: nd.square(look_up(IDS, w, False)) * 2,
            TABLE,
        ),
        (lambda w: look_up(IDS, w * w * w), lambda w: look_up(IDS, w * w * w, False), TABLE),
    ):
        first, found = second(sparse, values, form)
        expected_first, expected = second(dense, values, "default")
        np.testing.assert_allclose(first, expected_first, rtol=1e-5, atol=1e-6)
        assert_equal(found, expected.asnumpy(), form)


def test_third_order_through_a_lookup():
    found = []
    for sparse_grad in (False, True):
        w = variable(TABLE.astype("float64"))
        with autograd.record():
            y = look_up(IDS, w, sparse_grad) ** 4
            for _ in range(2):
                (y,) = autograd.grad(y, [w], create_graph=True)
        y.backward()
        found.append(w.grad.asnumpy())
    np.testing.assert_allclose(found[1], found[0], rtol=1e-12)


# ---- Function and Custom


class Twice(autograd.Function):
    def __init__(self, forward_form, backward_form):
        super().__init__()
        self.forms = forward_form, backward_form

    def forward(self, x):
        self.save_for_backward(x)
        return (x * 2).tostype(self.forms[0])

    def backward(self, dy):
        assert dy.stype == "default"
        assert dy[:].shape == self.saved_tensors[0].shape
        return (dy * 2).tostype(self.forms[1])


@pytest.mark.parametrize("form", FORMS)
def test_functions(form):
    for forward_form in {"default", form}:
        for backward_form in FORMS:
            for grad_form in FORMS:
                x = variable(A, grad_form, form=form)
                with autograd.record():
                    y = Twice(forward_form, backward_form)(x)
                    assert y.stype == forward_form
                    z = nd.square(y).sum()
                z.backward()
                assert_equal(x.grad, 8 * A, grad_form)


def test_a_function_before_a_lookup():
    w = variable(TABLE, "row_sparse")
    with autograd.record():
        y = look_up(IDS, Twice("default", "default")(w))
    y.backward()
    assert_equal(
        w.grad, np.array([0, 4, 0, 2, 0, 6, 0, 0])[:, None] * np.ones((1, 2)), "row_sparse"
    )


def custom(name, in_form, out_form, grad_form, log):
    class Square(mx.operator.CustomOp):
        def forward(self, is_train, req, in_data, out_data, aux):
            log.append(("forward", in_data[0].stype, out_data[0].stype))
            self.assign(out_data[0], req[0], nd.square(in_data[0]))

        def backward(self, req, out_grad, in_data, out_data, in_grad, aux):
            log.append(("backward", out_grad[0].stype, in_data[0].stype, in_grad[0].stype))
            self.assign(in_grad[0], req[0], out_grad[0] * in_data[0] * 2)

    @mx.operator.register(name)
    class SquareProp(mx.operator.CustomOpProp):
        def infer_storage_type(self, in_stype):
            return [in_form], [out_form], []

        def infer_storage_type_backward(self, ograd, in_stype, out_stype, igrad, aux):
            return [[out_form], in_stype, out_stype, [grad_form], aux]

        def create_operator(self, ctx, shapes, dtypes):
            return Square()

    return name


@pytest.mark.parametrize("form", FORMS)
def test_custom_operators(form):
    for out_form in {"default", form}:
        for grad_form in FORMS:
            log = []
            op = custom(f"square_{form}_{out_form}_{grad_form}", form, out_form, grad_form, log)
            x = variable(A, grad_form, form=form)
            with autograd.record():
                y = nd.Custom(x, op_type=op)
                z = (y * y).sum()
            z.backward()
            assert y.stype == out_form
            assert_equal(y, A * A, out_form)
            assert_equal(x.grad, 4 * A**3, grad_form)
            assert log == [("forward", form, out_form), ("backward", out_form, form, grad_form)]
            # The same in a graph.
            symbol = mx.sym.Custom(mx.sym.var("x"), op_type=op)
            executor = symbol.bind(mx.cpu(), {"x": x}, {"x": x.grad})
            assert_equal(executor.forward(is_train=True)[0], A * A, out_form)
            executor.backward(nd.ones(A.shape))
            assert_equal(executor.grad_dict["x"], 2 * A, grad_form)


def test_second_order_of_a_custom_operator():
    op = custom("square_twice", "csr", "csr", "csr", [])
    x = variable(A, "default", form="csr")
    with autograd.record():
        y = nd.Custom(x, op_type=op)
        (g,) = autograd.grad(y, [x], nd.array(A).tostype("csr"), create_graph=True)
        z = (g * g).sum()
    z.backward()
    assert_equal(x.grad, 8 * A**3, "default")


def test_custom_operators_that_say_nothing_of_storage_types():
    class Copy(mx.operator.CustomOp):
        def forward(self, is_train, req, in_data, out_data, aux):
            self.assign(out_data[0], req[0], in_data[0])

        def backward(self, req, out_grad, in_data, out_data, in_grad, aux):
            self.assign(in_grad[0], req[0], out_grad[0])

    class Plain(mx.operator.CustomOpProp):
        def create_operator(self, ctx, shapes, dtypes):
            return Copy()

    class Forward(Plain):
        def infer_storage_type(self, in_stype):
            return in_stype, in_stype, []

    class Wrong(Plain):
        def infer_storage_type(self, in_stype):
            return ["default"], ["coo"], []

    for name, prop in (("plain", Plain), ("forward", Forward), ("wrong", Wrong)):
        mx.operator.register(f"sparse_{name}")(prop)
    x = variable(A, form="csr")
    with pytest.raises(MXNetError, match=r"data has storage type 'csr': override infer_storage_t"):
        nd.Custom(x, op_type="sparse_plain")
    with autograd.record():
        y = nd.Custom(x, op_type="sparse_forward")
    with pytest.raises(MXNetError, match=r"override infer_storage_type_backward\(\)"):
        y.backward()
    with pytest.raises(MXNetError, match="'coo'"):
        nd.Custom(x, op_type="sparse_wrong")
    # Dense inputs need neither, also where a sparse gradient arrives.
    w = variable(TABLE)
    with autograd.record():
        y = look_up(IDS, nd.Custom(w, op_type="sparse_plain"))
    y.backward()
    assert_equal(w.grad[:, 0], [0, 2, 0, 1, 0, 3, 0, 0], "default")
    with pytest.raises(AssertionError, match="override infer_storage_type"):
        Plain().infer_storage_type(["csr"])
    with pytest.raises(AssertionError, match="override infer_storage_type_backward"):
        Plain().infer_storage_type_backward(["default"], ["csr"], ["default"], ["default"], [])


# ---- the rest of autograd


def test_hooks_see_the_gradient_as_it_is():
    x, seen = variable(A, form="csr"), []

    def halve(g):
        seen.append(g.stype)
        put(g, A)  # no other gradient shares its memory
        return g * 0.5

    handle = x.register_gradient_hook(halve)
    with autograd.record():
        y = nd.identity(x)
    head = csr(A * 8)
    y.backward(head)
    handle.remove()
    assert seen == ["csr"]
    assert_equal(x.grad, A / 2, "csr")
    assert_equal(head, A * 8, "csr")


def test_retained_gradients():
    w = variable(TABLE)
    with autograd.record():
        y = w * 2
        y.retain_grad()
        z = look_up(IDS, y)
    z.backward()
    expected = np.array([0, 2, 0, 1, 0, 3, 0, 0])[:, None] * np.ones((1, 2))
    np.testing.assert_array_equal(y.grad.asnumpy(), expected)
    assert_equal(w.grad, 2 * expected, "default")
    x = variable(A, form="csr")
    with autograd.record():
        y = nd.identity(x)
        y.retain_grad()
        z = nd.square(y)
    z.backward()
    assert_equal(y.grad, 2 * A, "csr")


def test_writing_while_recording_is_refused():
    x = variable(A, form="csr")
    with autograd.record():
        y = nd.identity(x)
        for target in (x, y):
            with pytest.raises(MXNetError, match="while recording"):
                put(target, A * 2)
    assert_equal(x, A, "csr")
    assert_equal(y, A, "csr")


def test_detach():
    x = variable(A, form="csr")
    with autograd.record():
        y = nd.identity(x)
        z = y.detach()
    assert z.stype == "csr"
    assert z.grad is None
    with pytest.raises(MXNetError):
        z.backward()
    assert x.detach().grad is None
    assert x.grad is not None


def test_the_tape_as_data():
    x, w = variable(A, form="csr"), variable(W, "row_sparse")
    with autograd.record():
        y = nd.dot(nd.square(x), w).sum()
    names = [node.operator for node in autograd.tape(y)]
    assert "dot" in names
    assert "square" in names
    report = str(autograd.memory_report(y))
    assert "dot" in report
    autograd.print_graph(y)


def test_what_the_tape_holds_of_a_sparse_array_is_counted():
    rows = 1 << 16
    values = nd.sparse.row_sparse_array((np.ones((rows, 4), "float32"), np.arange(rows)), (rows, 4))
    values.attach_grad()
    with autograd.record():
        y = nd.square(nd.square(values)).sum()
    report = autograd.memory_report(y)
    # The square of the values, which the second square has saved.
    assert report.total >= rows * 4 * 4


def test_checkpoint():
    def f(x, w):
        return nd.square(nd.dot(nd.square(x), w))

    found = []
    for run in (f, lambda x, w: autograd.checkpoint(f, x, w)):
        x, w = variable(A, "default", form="csr"), variable(W, "row_sparse")
        with autograd.record():
            y = run(x, w)
        y.backward()
        found.append([y.asnumpy(), x.grad.asnumpy(), w.grad.asnumpy()])
    for a, b in zip(*found):
        np.testing.assert_array_equal(a, b)


def test_anomalies_are_found():
    a, w = csr(), variable(W, "row_sparse")
    with autograd.detect_anomaly(), autograd.record():
        y = nd.dot(a, w)
        z = nd.sqrt(y - y.detach())
    with pytest.raises(MXNetError, match="sqrt"), autograd.detect_anomaly():
        z.backward()
    x = variable(A, form="csr")
    with pytest.raises(MXNetError, match="log"), autograd.detect_anomaly(forward=True):
        with autograd.record():
            nd.log(x)


def test_transforms_over_sparse_constants():
    a, dense, w, t = csr(), nd.array(A), nd.array(W), nd.array(W[::-1].copy())

    def f(w, a=a):
        return nd.tanh(nd.dot(a, w))

    def g(w):
        return f(w, dense)

    for x, y in zip(autograd.jvp(f, (w,), (t,)), autograd.jvp(g, (w,), (t,))):
        np.testing.assert_allclose(x.asnumpy(), y.asnumpy(), rtol=1e-6)
    out, pull = autograd.vjp(f, w)
    np.testing.assert_allclose(
        pull(nd.ones(out.shape))[0].asnumpy(),
        autograd.vjp(g, w)[1](nd.ones(out.shape))[0].asnumpy(),
    )
    np.testing.assert_allclose(
        autograd.jacobian(f)(w).asnumpy(), autograd.jacobian(g)(w).asnumpy(), rtol=1e-5, atol=1e-7
    )
    h = autograd.hessian(lambda w: nd.square(f(w)).sum())(w)
    k = autograd.hessian(lambda w: nd.square(g(w)).sum())(w)
    np.testing.assert_allclose(h.asnumpy(), k.asnumpy(), rtol=1e-4, atol=1e-5)


def test_grad_and_loss_of_sparse_arguments():
    w = nd.array(W)

    def f(x):
        return nd.square(nd.dot(nd.square(x), w)).sum()

    (found,), loss = autograd.grad_and_loss(f)(csr())
    (expected,), expected_loss = autograd.grad_and_loss(f)(nd.array(A))
    np.testing.assert_allclose(found.asnumpy(), expected.asnumpy(), rtol=1e-6)
    assert loss.item() == expected_loss.item()


def test_vmap():
    """Of sparse arrays it is refused; those that are the same in all examples may be there."""
    a, dense, batch = csr(), nd.array(A), nd.array(np.arange(60).reshape(5, 4, 3) % 7)
    with pytest.raises(MXNetError, match=r"shape \(3, 4\) has storage type csr"):
        autograd.vmap(lambda x: x * 2)(a)
    with pytest.raises(MXNetError, match="no batches of sparse arrays"):
        autograd.vmap(lambda x: x.tostype("row_sparse"))(batch)
    for f in (
        lambda w, a: nd.dot(a, w),
        lambda w, a: nd.elemwise_add(w.T, a),
        lambda w, a: nd.broadcast_mul(a, w.T[0:1]),
        lambda w, a: a,
        lambda w, a: nd.square(a).sum() + w,
    ):
        found = autograd.vmap(f, in_axes=(0, None))(batch, a)
        expected = np.stack([f(w, dense).asnumpy() for w in batch])
        assert_equal(found, expected, "default")


def test_nothing_leaks():
    def step():
        x, w = variable(A, form="csr"), variable(TABLE, "row_sparse")
        with autograd.record():
            y = nd.square(x).sum() + look_up(IDS, w).sum()
        y.backward()
        gc.collect()
        return mx.runtime.memory_stats()["bytes_in_use"]

    step()
    first = step()
    assert step() == first
