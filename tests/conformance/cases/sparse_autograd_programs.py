"""Sparse arrays through Function, Custom, hybrid blocks, executors and modules."""

import numpy as np
from harness import attempt, case, data, head_values

A = np.array([[0, 1, 0, 2], [0, 0, 0, 0], [3, 0, 4, 0]], "float32")
ROWS = np.array([[0, 0, 0, 0], [1, -2, 3, 4], [0, 0, 0, 0]], "float32")
VALUES = {"default": A, "row_sparse": ROWS, "csr": A}
W = data((4, 3), seed=1)
TABLE = data((8, 2), seed=6)
IDS = np.array([[1, 5, 1], [3, 5, 5]], "float32")
FORMS = ("default", "row_sparse", "csr")


def make(mx, values, form="default"):
    return mx.nd.array(values).tostype(form)


def head(mx, y, form="default"):
    return mx.nd.array(head_values(y.shape)).tostype(form)


def register(name, function):
    case(name=name)(lambda mx: function(mx))


# ---- autograd.Function


def _function(forward_form, backward_form, input_form, grad_form):
    def run(mx):
        seen = []

        class Twice(mx.autograd.Function):
            def forward(self, x):
                seen.append(["forward", x.stype, type(x).__name__])
                self.save_for_backward(x)
                return (x * 2).tostype(forward_form)

            def backward(self, dy):
                (x,) = self.saved_tensors
                seen.append(["backward", dy.stype, x.stype])
                return (dy * 2).tostype(backward_form)

        x = make(mx, VALUES[input_form], input_form)
        x.attach_grad(stype=grad_form)
        with mx.autograd.record():
            y = Twice()(x)
        y.backward(head(mx, y))
        mx.nd.waitall()
        return [seen, y, x.grad]

    return run


# MXNet has only dense gradients here.
for _input in FORMS:
    for _forward in sorted({"default", _input}):
        register(
            f"Function of {_input} to {_forward}", _function(_forward, "default", _input, "default")
        )
register("Function of csr into csr", _function("csr", "default", "csr", "csr"))


@case
def function_of_two(mx):
    class Product(mx.autograd.Function):
        def forward(self, a, w):
            self.save_for_backward(a, w)
            return mx.nd.dot(a, w)

        def backward(self, dy):
            a, _ = self.saved_tensors
            return mx.nd.zeros(a.shape), mx.nd.dot(a, dy, transpose_a=True)

    a, w = make(mx, A, "csr"), make(mx, W)
    w.attach_grad()
    with mx.autograd.record():
        y = Product()(a, w)
    y.backward(head(mx, y))
    mx.nd.waitall()
    return [y, w.grad]


# ---- Custom


def _custom(mx, name, forward_form, infer, backward, log):
    """An operator that doubles its input, with a storage type of its own for what it returns."""

    class Twice(mx.operator.CustomOp):
        def forward(self, is_train, req, in_data, out_data, aux):
            log.append(["forward", in_data[0].stype, out_data[0].stype, type(in_data[0]).__name__])
            self.assign(out_data[0], req[0], (in_data[0] * 2).tostype(out_data[0].stype))

        def backward(self, req, out_grad, in_data, out_data, in_grad, aux):
            log.append(["backward", out_grad[0].stype, in_data[0].stype, in_grad[0].stype])
            self.assign(in_grad[0], req[0], (out_grad[0] * 2).tostype(in_grad[0].stype))

    @mx.operator.register(name)
    class TwiceProp(mx.operator.CustomOpProp):
        def __init__(self):
            super().__init__(need_top_grad=True)

        def list_arguments(self):
            return ["data"]

        def list_outputs(self):
            return ["out"]

        def infer_shape(self, in_shape):
            return in_shape, in_shape, []

        def create_operator(self, ctx, shapes, dtypes):
            return Twice()

        if infer:

            def infer_storage_type(self, in_stype):
                return [in_stype[0]], [forward_form or in_stype[0]], []

        if backward is not None:

            def infer_storage_type_backward(
                self, ograd_stype, in_stype, out_stype, igrad_stype, aux_stype
            ):
                return [
                    [backward] * len(ograd_stype),
                    list(in_stype),
                    list(out_stype),
                    [backward] * len(igrad_stype),
                    [],
                ]

    return name


def _run_custom(name, input_form, grad_form, forward_form=None, infer=True, backward=None):
    def run(mx):
        log = []
        op = _custom(mx, f"sparse {name}", forward_form, infer, backward, log)
        x = make(mx, VALUES[input_form], input_form)
        x.attach_grad(stype=grad_form)
        with mx.autograd.record():
            y = mx.nd.Custom(x, op_type=op)
        y.backward(head(mx, y))
        mx.nd.waitall()
        return [log, y, x.grad]

    register(name, run)


for _input in FORMS:
    _run_custom(f"Custom without inference of {_input}", _input, None, infer=False)
    _run_custom(f"Custom of {_input}", _input, None)
    _run_custom(f"Custom of {_input}, dense gradient", _input, "default", backward="default")
    _run_custom(
        f"Custom of {_input} to default",
        _input,
        "default",
        forward_form="default",
        backward="default",
    )


@case
def storage_inference_of_props(mx):
    """What the methods of a plain CustomOpProp return and refuse."""

    class Plain(mx.operator.CustomOpProp):
        pass

    prop = Plain()
    return [
        attempt(prop.infer_storage_type, ["default"]),
        attempt(prop.infer_storage_type, ["csr"]),
        attempt(prop.infer_storage_type, ["row_sparse"]),
        attempt(
            prop.infer_storage_type_backward, ["default"], ["default"], ["default"], ["default"], []
        ),
        attempt(
            prop.infer_storage_type_backward, ["csr"], ["default"], ["default"], ["default"], []
        ),
        attempt(
            prop.infer_storage_type_backward,
            ["default"],
            ["csr"],
            ["default"],
            ["row_sparse"],
            ["default"],
        ),
        prop.declare_backward_dependency([0], [1], [2]),
    ]


@case
def assign_of_custom_operators(mx):
    op = mx.operator.CustomOp()
    seen = []
    for form in ("row_sparse", "csr"):
        target = mx.nd.sparse.zeros(form, A.shape)
        op.assign(target, "write", make(mx, VALUES[form], form))
        seen.append(target.copy())
        op.assign(target, "null", make(mx, VALUES[form] * 2, form))
        seen.append(target.copy())
        op.assign(target, "write", make(mx, VALUES[form]))
        seen.append(target.copy())
    return seen


# ---- hybrid blocks


def _product(mx, **options):
    class Product(mx.gluon.HybridBlock):
        def __init__(self):
            super().__init__()
            with self.name_scope():
                self.weight = self.params.get("weight", shape=W.shape, **options)

        def hybrid_forward(self, F, x, weight):
            return F.dot(x, weight)

    block = Product()
    block.initialize(mx.init.Constant(0.5))
    return block


@case
def hybrid_dot(mx):
    seen = []
    for hybrid in (False, True):
        for options in ({}, {"static_alloc": True}, {"static_alloc": True, "static_shape": True}):
            block = _product(mx)
            if hybrid:
                block.hybridize(**options)
            for form in ("csr", "default", "csr"):
                with mx.autograd.record():
                    y = block(make(mx, A, form))
                y.backward(head(mx, y))
                seen += [y, block.weight.grad()]
            if not hybrid:
                break
    return seen


@case
def hybrid_dot_with_a_row_sparse_gradient(mx):
    seen = []
    for hybrid in (False, True):
        block = _product(mx, grad_stype="row_sparse")
        if hybrid:
            block.hybridize()
        for _ in range(3):
            with mx.autograd.record():
                y = block(make(mx, A, "csr"))
            y.backward(head(mx, y))
            seen += [y.stype, block.weight.grad().stype, block.weight.grad()]
    return seen


@case
def hybrid_embedding(mx):
    seen = []
    for hybrid in (False, True):
        block = mx.gluon.nn.Embedding(8, 2, sparse_grad=True)
        block.initialize(mx.init.Constant(0.25))
        if hybrid:
            block.hybridize()
        for ids in (IDS, IDS + 1, IDS):
            with mx.autograd.record():
                y = block(mx.nd.array(ids))
            y.backward(head(mx, y))
            seen += [y, block.weight.grad()]
    return seen


@case
def hybrid_dense_layer_of_csr(mx):
    seen = []
    for hybrid in (False, True):
        block = mx.gluon.nn.Dense(2, in_units=4)
        block.initialize(mx.init.Constant(0.25))
        if hybrid:
            block.hybridize()
        for form in ("csr", "row_sparse"):
            with mx.autograd.record():
                y = block(make(mx, A, form))
            y.backward(head(mx, y))
            seen += [y, block.weight.grad()]
    return seen


# ---- executors and symbols


def _executor(forms, grad_forms, req="write"):
    def run(mx):
        x = mx.sym.var("x", stype=forms[0])
        w = mx.sym.var("w", stype=forms[1])
        y = mx.sym.dot(x, w)
        args = {"x": make(mx, A, forms[0]), "w": make(mx, W, forms[1])}
        grads = {"w": make(mx, np.ones_like(W), grad_forms)}
        bound = y.bind(mx.cpu(), args, args_grad=grads, grad_req={"x": "null", "w": req})
        seen = []
        for _ in range(2):
            outputs = bound.forward(is_train=True)
            bound.backward(head(mx, outputs[0]))
            seen += [outputs[0], bound.grad_dict["w"].copy()]
        return seen

    return run


for _form in FORMS:
    for _grad in ("default", "row_sparse"):
        register(f"executor: dot of {_form} into {_grad}", _executor((_form, "default"), _grad))
register("executor: dot of csr and row_sparse", _executor(("csr", "row_sparse"), "row_sparse"))
register("executor: dot of csr added to default", _executor(("csr", "default"), "default", "add"))


@case
def executor_simple_bind(mx):
    x = mx.sym.var("x", stype="csr")
    w = mx.sym.var("w", stype="row_sparse", shape=(4, 3))
    bound = mx.sym.dot(x, w).simple_bind(mx.cpu(), x=(3, 4), grad_req={"x": "null", "w": "write"})
    before = [bound.arg_dict[k].stype for k in ("x", "w")] + [bound.grad_dict["w"].stype]
    bound.arg_dict["w"][:] = make(mx, W, "row_sparse")
    y = bound.forward(is_train=True, x=make(mx, A, "csr"))[0]
    bound.backward(head(mx, y))
    return [before, y, bound.grad_dict["w"]]


@case
def executor_of_an_embedding(mx):
    ids, w = mx.sym.var("ids"), mx.sym.var("w")
    y = mx.sym.Embedding(ids, w, input_dim=8, output_dim=2, sparse_grad=True)
    args = {"ids": mx.nd.array(IDS), "w": mx.nd.array(TABLE)}
    grads = {"w": mx.nd.sparse.zeros("row_sparse", TABLE.shape)}
    bound = y.bind(mx.cpu(), args, args_grad=grads, grad_req={"ids": "null", "w": "write"})
    out = bound.forward(is_train=True)[0]
    bound.backward(head(mx, out))
    return [out, bound.grad_dict["w"]]


@case
def executor_simple_bind_of_an_embedding(mx):
    ids, w = mx.sym.var("ids"), mx.sym.var("w")
    y = mx.sym.Embedding(ids, w, input_dim=8, output_dim=2, sparse_grad=True)
    bound = y.simple_bind(mx.cpu(), ids=IDS.shape, grad_req={"ids": "null", "w": "write"})
    bound.arg_dict["w"][:] = mx.nd.array(TABLE)
    out = bound.forward(is_train=True, ids=mx.nd.array(IDS))[0]
    bound.backward(head(mx, out))
    return [bound.arg_dict["w"].stype, bound.grad_dict["w"]]


@case
def factorization_machine_steps(mx):
    """A loss over csr features, two weights, three steps of plain gradients."""
    x = make(mx, A, "csr")
    label = mx.nd.array([1, 0, 1])
    w, v = make(mx, W[:, :1].copy(), "row_sparse"), make(mx, W, "row_sparse")
    for array in (w, v):
        array.attach_grad()
    seen = []
    for _ in range(3):
        with mx.autograd.record():
            linear = mx.nd.dot(x, w)
            square = mx.nd.square(mx.nd.dot(x, v))
            both = mx.nd.dot(mx.nd.square(x), mx.nd.square(v))
            score = linear.reshape((-1,)) + 0.5 * (square - both).sum(axis=1)
            loss = mx.nd.square(score - label).mean()
        loss.backward()
        seen += [loss, w.grad.copy(), v.grad.copy()]
        w[:] = (make_default(w) - 0.05 * make_default(w.grad)).tostype("row_sparse")
        v[:] = (make_default(v) - 0.05 * make_default(v.grad)).tostype("row_sparse")
    return seen


def make_default(x):
    return x.tostype("default")
