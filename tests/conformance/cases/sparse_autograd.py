"""Gradients of sparse arrays: which storage type each has, and its parts."""

import numpy as np
from harness import attempt, case, data, head_values

FORMS = ("default", "row_sparse", "csr")
A = np.array([[0, 1, 0, 2], [0, 0, 0, 0], [3, 0, 4, 0]], "float32")  # an empty row
ROWS = np.array([[0, 0, 0, 0], [1, -2, 3, 4], [0, 0, 0, 0]], "float32")
DENSE = data((3, 4), 0.5, 2.0, seed=3)
W = data((4, 3), seed=1)
V = data((3, 2), seed=2)
U = data((2, 3), seed=4)
T = data((2, 4), seed=5)


def make(mx, values, form="default"):
    """The values in the storage type, as a variable that has no gradient yet."""
    return mx.nd.array(values).tostype(form)


def head(mx, y, form="default"):
    return mx.nd.array(head_values(y.shape)).tostype(form)


def settled(mx, function):
    """What the function returns after all work has run, or its error."""

    def wait():
        made = function()
        mx.nd.waitall()
        return made

    return attempt(wait)


def swept(mx, function, arrays, grads, times=1, req="write", head_form="default"):
    """The type of the result, and the gradients of the arrays that `grads` gives a storage type."""
    for key, form in grads.items():
        arrays[key].attach_grad(req, stype=form)
    for _ in range(times):
        with mx.autograd.record():
            y = function(mx.nd, *arrays.values())
        y.backward(head(mx, y, head_form))
    return {"out": y.stype, **{key: arrays[key].grad for key in grads}}


# MXNet reads memory here that nobody has written.
UNSAFE = {
    "two lookups: w.grad row_sparse add",
    "a lookup in what was computed: w.grad row_sparse add",
    "a lookup after identity: w.grad row_sparse add",
    "head csr: square of csr",
    "grad: dot(a, b) of csr, wrt both",
    "grad: dot(a.T, b) of csr, wrt both",
    "grad: dot(b, a) of csr, wrt both",
}


def register(name, function):
    case(name=name, unsafe=name in UNSAFE)(lambda mx: function(mx))


# ---- attach_grad and mark_variables


def _attached(form, grad):
    def run(mx):
        x = make(mx, A, form)
        x.attach_grad(stype=grad)
        return [x.grad, type(x.grad).__name__, x.stype]

    return run


for _form in FORMS:
    for _grad in (None, *FORMS):
        register(f"attach_grad {_grad} of {_form}", _attached(_form, _grad))


@case
def attach_grad_unknown(mx):
    x = make(mx, A)
    return [
        attempt(x.attach_grad, stype="coo"),
        attempt(x.attach_grad, stype=1),
        attempt(make(mx, A.reshape(3, 2, 2)).attach_grad, stype="csr"),
        attempt(mx.nd.ones((3,)).attach_grad, stype="csr"),
        attempt(mx.nd.ones((3,)).attach_grad, stype="row_sparse"),
        attempt(mx.nd.ones((3,), dtype="int32").attach_grad, stype="row_sparse"),
    ]


@case
def attach_grad_empties_the_buffer(mx):
    w = make(mx, W)
    w.attach_grad(stype="row_sparse")
    with mx.autograd.record():
        y = mx.nd.dot(make(mx, A, "csr"), w)
    y.backward()
    before = w.grad.copy()
    w.attach_grad("add", stype="row_sparse")
    return [before, w.grad]


def _marked(form, req):
    def run(mx):
        w = make(mx, W)
        buffer = make(mx, np.ones_like(W), form)
        mx.autograd.mark_variables([w], [buffer], req)
        with mx.autograd.record():
            y = mx.nd.dot(make(mx, A * (A > 1), "csr"), w)
        y.backward(head(mx, y))
        return [w.grad, buffer]

    return run


for _form in FORMS:
    for _req in ("write", "add", "null"):
        register(f"mark_variables {_form} {_req}", _marked(_form, _req))


@case
def mark_variables_of_another_shape(mx):
    w = make(mx, W)
    return attempt(mx.autograd.mark_variables, [w], [mx.nd.sparse.zeros("row_sparse", (2, 3))])


# ---- dot

DOTS = {
    "dot(a, b)": (W, lambda nd, a, b: nd.dot(a, b)),
    "dot(a.T, b)": (V, lambda nd, a, b: nd.dot(a, b, transpose_a=True)),
    "dot(a.T, b) default": (
        V,
        lambda nd, a, b: nd.dot(a, b, transpose_a=True, forward_stype="default"),
    ),
    "dot(a.T, b) row_sparse": (
        V,
        lambda nd, a, b: nd.dot(a, b, transpose_a=True, forward_stype="row_sparse"),
    ),
    "dot(b, a)": (U, lambda nd, a, b: nd.dot(b, a)),
    "dot(b, a.T)": (T, lambda nd, a, b: nd.dot(b, a, transpose_b=True)),
    "dot(b.T, a)": (V, lambda nd, a, b: nd.dot(b, a, transpose_a=True)),
    "dot(a, b.T)": (T, lambda nd, a, b: nd.dot(a, b, transpose_b=True)),
}


def _dot(function, other, form, other_form, grads):
    def run(mx):
        arrays = {"a": make(mx, A, form), "b": make(mx, other, other_form)}
        return swept(mx, function, arrays, grads)

    return run


for _text, (_other, _function) in DOTS.items():
    for _form in FORMS:
        for _grad in FORMS:
            _name = f"{_text}, {_form}: b.grad {_grad}"
            register(_name, _dot(_function, _other, _form, "default", {"b": _grad}))
            if _form != "default" or _grad == "default":
                _name = f"{_text}, {_form}: a.grad {_grad}"
                register(_name, _dot(_function, _other, _form, "default", {"a": _grad}))
    for _form in ("row_sparse", "csr"):
        for _other_form in ("row_sparse", "csr"):
            _name = f"{_text}, {_form} and {_other_form}"
            register(_name, _dot(_function, _other, _form, _other_form, {"a": None, "b": None}))


@case
def dot_of_a_csr_with_explicit_zeros(mx):
    a = mx.nd.sparse.csr_matrix(([0.0, 1.0, 0.0], [1, 2, 2], [0, 2, 2, 3]), shape=(3, 4))
    return swept(mx, lambda nd, a, b: nd.dot(a, b), {"a": a, "b": make(mx, W)}, {"b": "row_sparse"})


@case
def dot_of_an_empty_csr(mx):
    a = mx.nd.sparse.zeros("csr", (3, 4))
    return [
        swept(mx, lambda nd, a, b: nd.dot(a, b), {"a": a, "b": make(mx, W)}, {"b": form})
        for form in ("default", "row_sparse")
    ]


@case
def dot_of_a_csr_and_a_vector(mx):
    b = W[:, 0]
    return [
        settled(
            mx,
            lambda form=form: swept(
                mx,
                lambda nd, a, b: nd.dot(a, b),
                {"a": make(mx, A, "csr"), "b": make(mx, b)},
                {"b": form},
            ),
        )
        for form in ("default", "row_sparse")
    ]


@case
def dot_twice_into_add(mx):
    return [
        swept(
            mx,
            lambda nd, a, b: nd.dot(a, b),
            {"a": make(mx, A, "csr"), "b": make(mx, W)},
            {"b": form},
            times=3,
            req="add",
        )
        for form in ("default", "row_sparse")
    ]


@case
def dot_twice_into_add_csr(mx):
    return swept(
        mx,
        lambda nd, a, b: nd.dot(a, b),
        {"a": make(mx, A, "csr"), "b": make(mx, W)},
        {"b": "csr"},
        times=2,
        req="add",
    )


# ---- Embedding and take

IDS = np.array([[1, 5, 1], [3, 5, 5]], "float32")
TABLE = data((8, 2), seed=6)

LOOKUPS = {
    "Embedding": lambda nd, ids, w: nd.Embedding(ids, w, input_dim=8, output_dim=2),
    "Embedding sparse_grad": lambda nd, ids, w: nd.Embedding(
        ids, w, input_dim=8, output_dim=2, sparse_grad=True
    ),
    "sparse.Embedding": lambda nd, ids, w: nd.sparse.Embedding(
        ids, w, input_dim=8, output_dim=2, sparse_grad=True
    ),
    "contrib.SparseEmbedding": lambda nd, ids, w: nd.contrib.SparseEmbedding(
        ids, w, input_dim=8, output_dim=2
    ),
    "take": lambda nd, ids, w: nd.take(w, ids),
    "take wrap": lambda nd, ids, w: nd.take(w, ids + 6, mode="wrap"),
}


def _lookup(function, form, grad, req, times):
    def run(mx):
        arrays = {"ids": mx.nd.array(IDS), "w": make(mx, TABLE, form)}
        return swept(mx, function, arrays, {"w": grad}, times=times, req=req)

    return run


for _text, _function in LOOKUPS.items():
    for _form in ("default", "row_sparse"):
        for _grad in FORMS:
            for _req, _times in (("write", 1), ("add", 2)):
                _name = f"{_text}, {_form}: w.grad {_grad} {_req}"
                register(_name, _lookup(_function, _form, _grad, _req, _times))


@case
def embedding_with_two_batches(mx):
    """Each sweep writes its own rows; none of the one before stays."""
    w = make(mx, TABLE)
    w.attach_grad(stype="row_sparse")
    seen = []
    for ids in ([7, 0, 0], [2]):
        with mx.autograd.record():
            y = mx.nd.Embedding(mx.nd.array(ids), w, input_dim=8, output_dim=2, sparse_grad=True)
        y.backward()
        seen.append(w.grad.copy())
    return seen


@case
def embedding_of_float64_and_float16(mx):
    seen = []
    for dtype in ("float64", "float16"):
        w = mx.nd.array(TABLE, dtype=dtype)
        w.attach_grad(stype="row_sparse")
        with mx.autograd.record():
            y = mx.nd.Embedding(
                mx.nd.array(IDS), w, input_dim=8, output_dim=2, sparse_grad=True, dtype=dtype
            )
        y.backward()
        seen.append(w.grad)
    return seen


# ---- elementwise

PAIRS = {
    "a + b": lambda nd, a, b: a + b,
    "a - b": lambda nd, a, b: a - b,
    "a * b": lambda nd, a, b: a * b,
    "a / b": lambda nd, a, b: a / b,
    "elemwise_add": lambda nd, a, b: nd.elemwise_add(a, b),
    "elemwise_sub": lambda nd, a, b: nd.elemwise_sub(a, b),
    "elemwise_mul": lambda nd, a, b: nd.elemwise_mul(a, b),
    "elemwise_div": lambda nd, a, b: nd.elemwise_div(a, b),
    "maximum": lambda nd, a, b: nd.maximum(a, b),
    "add_n": lambda nd, a, b: nd.add_n(a, b, a),
}
VALUES = {"default": DENSE, "row_sparse": ROWS, "csr": A}


def _pair(function, form, other, grads):
    def run(mx):
        arrays = {"a": make(mx, VALUES[form], form), "b": make(mx, VALUES[other] + 0, other)}
        return swept(mx, function, arrays, grads)

    return run


for _text, _function in PAIRS.items():
    for _form in FORMS:
        for _other in FORMS:
            if (_form, _other) != ("default", "default"):
                _name = f"{_text}, {_form} and {_other}"
                register(_name, _pair(_function, _form, _other, {"a": None, "b": None}))
for _form in FORMS:
    _name = f"elemwise_mul, default and {_form}: a.grad row_sparse"
    register(_name, _pair(PAIRS["elemwise_mul"], "default", _form, {"a": "row_sparse"}))

SINGLE = {
    "x * 3": lambda nd, x: x * 3,
    "x / 4": lambda nd, x: x / 4,
    "x + 3": lambda nd, x: x + 3,
    "3 - x": lambda nd, x: 3 - x,
    "x ** 2": lambda nd, x: x**2,
    "-x": lambda nd, x: -x,
    "square": lambda nd, x: nd.square(x),
    "sqrt": lambda nd, x: nd.sqrt(nd.abs(x)),
    "relu": lambda nd, x: nd.relu(x),
    "abs": lambda nd, x: nd.abs(x),
    "sign": lambda nd, x: nd.sign(x),
    "tanh": lambda nd, x: nd.tanh(x),
    "sin": lambda nd, x: nd.sin(x),
    "cos": lambda nd, x: nd.cos(x),
    "exp": lambda nd, x: nd.exp(x),
    "clip": lambda nd, x: nd.clip(x, -1, 2.5),
    "identity": lambda nd, x: nd.identity(x),
    "sum": lambda nd, x: nd.sum(x),
    "sum axis 0": lambda nd, x: nd.sum(x, axis=0),
    "sum axis 1": lambda nd, x: nd.sum(x, axis=1),
    "sum axis 1 keepdims": lambda nd, x: nd.sum(x, axis=1, keepdims=True),
    "mean": lambda nd, x: nd.mean(x),
    "mean axis 0": lambda nd, x: nd.mean(x, axis=0),
    "norm": lambda nd, x: nd.norm(x),
    "_square_sum": lambda nd, x: nd._internal._square_sum(x, axis=1, keepdims=True),
    "slice": lambda nd, x: nd.slice(x, begin=(1,), end=(3,)),
    "slice columns": lambda nd, x: nd.slice(x, begin=(1, 1), end=(3, 3)),
    "x[1:3]": lambda nd, x: x[1:3],
    "x[2]": lambda nd, x: x[2],
    "concat": lambda nd, x: nd.concat(x, x, dim=0),
    "reshape": lambda nd, x: nd.reshape(x, (4, 3)),
    "transpose": lambda nd, x: nd.transpose(x),
    "softmax": lambda nd, x: nd.softmax(x),
    "broadcast_mul": lambda nd, x: nd.broadcast_mul(x, nd.array([[1, 2, 3, 4]])),
    "broadcast_add": lambda nd, x: nd.broadcast_add(x, nd.array([[1, 2, 3, 4]])),
    "zeros_like": lambda nd, x: nd.zeros_like(x) + 0 * x,
    "BlockGrad": lambda nd, x: nd.BlockGrad(x) * x,
    "detach": lambda nd, x: x.detach() * x,
    "make_loss": lambda nd, x: nd.make_loss(x),
    "copy": lambda nd, x: x.copy(),
    "astype": lambda nd, x: nd.cast(x, "float64").astype("float32"),
    "to default": lambda nd, x: nd.cast_storage(x, "default"),
    "to row_sparse": lambda nd, x: nd.cast_storage(x, "row_sparse"),
    "to csr": lambda nd, x: nd.cast_storage(x, "csr"),
    "tostype default": lambda nd, x: x.tostype("default"),
    "tostype csr": lambda nd, x: x.tostype("csr"),
    "retain": lambda nd, x: nd.sparse.retain(x, nd.array([0, 1])),
    "where": lambda nd, x: nd.where(x, nd.ones((3, 4)) * x, x * 2),
    "FullyConnected": lambda nd, x: nd.FullyConnected(
        x, nd.ones((2, 4)), nd.ones((2,)), num_hidden=2
    ),
}


def _single(function, form, grad):
    def run(mx):
        return swept(mx, function, {"x": make(mx, VALUES[form], form)}, {"x": grad})

    return run


for _text, _function in SINGLE.items():
    for _form, _grads in (
        ("default", ("default", "row_sparse", "csr")),
        ("row_sparse", ("row_sparse", "default")),
        ("csr", ("csr", "default", "row_sparse")),
    ):
        for _grad in _grads:
            register(f"{_text} of {_form}: grad {_grad}", _single(_function, _form, _grad))


# ---- several gradients into one array

SUMS = {
    "two lookups": lambda nd, ids, w: (
        LOOKUPS["Embedding sparse_grad"](nd, ids, w)
        + LOOKUPS["Embedding sparse_grad"](nd, ids + 2, w)
    ),
    "a lookup and a sum": lambda nd, ids, w: (
        LOOKUPS["Embedding sparse_grad"](nd, ids, w).sum() + (w * w).sum()
    ),
    "a sum and a lookup": lambda nd, ids, w: (
        (w * w).sum() + LOOKUPS["Embedding sparse_grad"](nd, ids, w).sum()
    ),
    "three kinds": lambda nd, ids, w: (
        LOOKUPS["Embedding sparse_grad"](nd, ids, w).sum()
        + LOOKUPS["Embedding"](nd, ids, w).sum()
        + w.sum()
    ),
    "a lookup in what was computed": lambda nd, ids, w: LOOKUPS["Embedding sparse_grad"](
        nd, ids, w * 2
    ),
    "a lookup after identity": lambda nd, ids, w: LOOKUPS["Embedding sparse_grad"](
        nd, ids, nd.identity(w)
    ),
}

for _text, _function in SUMS.items():
    for _grad in FORMS:
        for _req, _times in (("write", 1), ("add", 2)):
            register(
                f"{_text}: w.grad {_grad} {_req}",
                _lookup(_function, "default", _grad, _req, _times),
            )


@case
def add_into_a_row_sparse_with_other_rows(mx):
    w = make(mx, TABLE)
    w.attach_grad("add", stype="row_sparse")
    seen = []
    for ids in ([7, 0, 0], [2], [0, 5]):
        with mx.autograd.record():
            y = mx.nd.Embedding(mx.nd.array(ids), w, input_dim=8, output_dim=2, sparse_grad=True)
        y.backward()
        seen.append(w.grad.copy())
    return seen


@case
def zeroing_a_gradient(mx):
    w = make(mx, TABLE)
    w.attach_grad(stype="row_sparse")
    with mx.autograd.record():
        y = LOOKUPS["Embedding sparse_grad"](mx.nd, mx.nd.array(IDS), w)
    y.backward()
    before = w.grad.copy()
    mx.nd.zeros_like(w.grad, out=w.grad)
    return [before, w.grad]


# ---- heads


def _headed(function, form, head_form):
    def run(mx):
        arrays = {"a": make(mx, A, form), "b": make(mx, W)}
        return swept(mx, function, arrays, {"b": "default"}, head_form=head_form)

    return run


for _form in FORMS:
    for _head in FORMS:
        register(f"head {_head}: dot(a, b) of {_form}", _headed(DOTS["dot(a, b)"][1], _form, _head))


def _headed_single(function, form, head_form):
    def run(mx):
        return swept(
            mx, function, {"x": make(mx, VALUES[form], form)}, {"x": None}, head_form=head_form
        )

    return run


for _text in (
    "x * 3",
    "square",
    "to default",
    "to csr",
    "to row_sparse",
    "sin",
    "reshape",
    "identity",
):
    for _form in FORMS:
        for _head in FORMS:
            register(
                f"head {_head}: {_text} of {_form}", _headed_single(SINGLE[_text], _form, _head)
            )


@case
def heads_without_gradients(mx):
    seen = []
    for form in ("row_sparse", "csr"):
        x = make(mx, VALUES[form], form)
        x.attach_grad()
        with mx.autograd.record():
            y = x * 3
        y.backward()
        seen += [y.stype, x.grad]
    return seen


@case
def a_variable_as_head(mx):
    seen = []
    for form in ("row_sparse", "csr"):
        x = make(mx, VALUES[form], form)
        x.attach_grad()
        x.backward()
        seen.append(x.grad.copy())
        x.backward(head(mx, x, form))
        seen.append(x.grad)
    return seen


@case
def several_heads(mx):
    x, w = make(mx, A, "csr"), make(mx, W)
    w.attach_grad(stype="row_sparse")
    with mx.autograd.record():
        first, second = mx.nd.dot(x, w), w * 2
    mx.autograd.backward([first, second], [head(mx, first, "row_sparse"), None])
    return w.grad


@case
def a_head_gradient_of_another_shape(mx):
    x = make(mx, A, "csr")
    x.attach_grad()
    with mx.autograd.record():
        y = x * 2
    return attempt(y.backward, mx.nd.sparse.zeros("csr", (4, 3)))


# ---- autograd.grad


def _grad(function, arrays, wanted, **options):
    def run(mx):
        made = {key: make(mx, values, form) for key, (values, form) in arrays.items()}
        for x in made.values():
            x.attach_grad()
        with mx.autograd.record():
            y = function(mx.nd, *made.values())
        return mx.autograd.grad(y, [made[k] for k in wanted], head(mx, y), **options)

    return run


for _form in ("row_sparse", "csr"):
    for _text in ("x * 3", "square", "sum axis 0", "sin", "cos", "to default", "identity"):
        register(
            f"grad: {_text} of {_form}",
            _grad(SINGLE[_text], {"x": (VALUES[_form], _form)}, ["x"]),
        )
    for _text in ("dot(a, b)", "dot(a.T, b)", "dot(b, a)"):
        register(
            f"grad: {_text} of {_form}, wrt b",
            _grad(DOTS[_text][1], {"a": (A, _form), "b": (DOTS[_text][0], "default")}, ["b"]),
        )
        register(
            f"grad: {_text} of {_form}, wrt both",
            _grad(DOTS[_text][1], {"a": (A, _form), "b": (DOTS[_text][0], "default")}, ["a", "b"]),
        )
for _text in ("Embedding", "Embedding sparse_grad", "sparse.Embedding"):
    register(
        f"grad: {_text}",
        _grad(LOOKUPS[_text], {"ids": (IDS, "default"), "w": (TABLE, "default")}, ["w"]),
    )
for _text in ("two lookups", "a lookup and a sum", "a lookup in what was computed"):
    register(
        f"grad: {_text}",
        _grad(SUMS[_text], {"ids": (IDS, "default"), "w": (TABLE, "default")}, ["w"]),
    )


@case
def grad_of_a_variable_with_a_row_sparse_buffer(mx):
    w = make(mx, TABLE)
    w.attach_grad(stype="row_sparse")
    seen = []
    for text in ("Embedding", "Embedding sparse_grad"):
        with mx.autograd.record():
            y = LOOKUPS[text](mx.nd, mx.nd.array(IDS), w)
        seen += [mx.autograd.grad(y, w), w.grad]
    return seen


def _second(text, mx):
    ids, w = mx.nd.array(IDS), make(mx, TABLE)
    w.attach_grad()
    with mx.autograd.record():
        y = LOOKUPS[text](mx.nd, ids, w * w)
        g = mx.autograd.grad(y, [w], create_graph=True, retain_graph=True)[0]
        z = (g * g).sum()
    z.backward()
    return [g, w.grad]


register("second order: Embedding", lambda mx: _second("Embedding", mx))
register("second order: Embedding sparse_grad", lambda mx: _second("Embedding sparse_grad", mx))


@case(name="second order: dot")
def second_order_dot(mx):
    a, w = make(mx, A, "csr"), make(mx, W)
    w.attach_grad()
    with mx.autograd.record():
        y = mx.nd.dot(a, w * w)
        g = mx.autograd.grad(y, [w], create_graph=True, retain_graph=True)[0]
        z = (g * g).sum()
    z.backward()
    return [g, w.grad]


# ---- other properties


@case
def null_requests(mx):
    seen = []
    for form in ("row_sparse", "csr"):
        x, w = make(mx, A, form), make(mx, W)
        x.attach_grad("null")
        w.attach_grad()
        with mx.autograd.record():
            y = mx.nd.dot(x, w)
        y.backward()
        seen += [x.grad, w.grad]
    return seen


@case
def detach(mx):
    x = make(mx, A, "csr")
    x.attach_grad()
    with mx.autograd.record():
        y = x * 2
        z = y.detach()
    return [z.stype, z, attempt(z.backward), z.grad, x.detach().grad]


@case
def writing_a_saved_array(mx):
    """What is written between the sweeps is what the gradient reads."""
    w, a = make(mx, W), make(mx, A, "csr")
    w.attach_grad()
    with mx.autograd.record():
        y = mx.nd.dot(a, w)
    a[:] = make(mx, A * 2, "csr")
    y.backward()
    return w.grad


@case
def writing_while_recording(mx):
    x = make(mx, A, "csr")
    x.attach_grad()
    with mx.autograd.record():
        y = x * 2
        seen = [attempt(y.__setitem__, slice(None), make(mx, A, "csr"))]
        seen.append(attempt(x.__setitem__, slice(None), make(mx, A, "csr")))
        seen.append(attempt(make(mx, A, "csr").copyto, y))
    return seen


@case
def two_sweeps(mx):
    w, a = make(mx, W), make(mx, A, "csr")
    w.attach_grad(stype="row_sparse")
    with mx.autograd.record():
        y = mx.nd.dot(a, w)
    y.backward(retain_graph=True)
    first = w.grad.copy()
    y.backward()
    return [first, w.grad, attempt(y.backward)]


@case
def grad_keeps_its_object(mx):
    w = make(mx, TABLE)
    w.attach_grad(stype="row_sparse")
    before = w.grad
    with mx.autograd.record():
        y = LOOKUPS["Embedding sparse_grad"](mx.nd, mx.nd.array(IDS), w)
    y.backward()
    return [before, w.grad]
