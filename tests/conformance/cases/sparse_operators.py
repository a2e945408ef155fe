"""Operators on csr and row_sparse arrays: the storage type of the result, and its parts."""

import numpy as np
from harness import attempt, case, head_like, is_array

A = [[0, 1, 0, 2], [0, 0, 0, 0], [3, 0, 0, -1.5]]
B = [[0, 1, 5, 0], [0, 0, 0, 0], [-3, 0, 0, 0]]
C = [[0, 0, 0, 0], [0, 7, 0, 0], [-3, 0, 0, 0]]
CUBE = [[[0, 1], [2, 0]], [[0, 0], [0, 0]], [[0, 0], [0, -3]]]


def arrays(mx):
    """a and b in the three storage types: dense d, e; csr c, f; row_sparse r, s."""
    nd = mx.nd
    d, e = nd.array(A), nd.array(B)
    cube = nd.array(CUBE)
    return {
        "d": d,
        "e": e,
        "c": d.tostype("csr"),
        "f": e.tostype("csr"),
        "r": d.tostype("row_sparse"),
        "s": e.tostype("row_sparse"),
        "t": nd.array(C).tostype("row_sparse"),
        "u": nd.array(C).tostype("csr"),
        "z": nd.sparse.zeros("csr", (3, 4)),
        "q": nd.sparse.zeros("row_sparse", (3, 4)),
        "v": nd.array([1, 2, 3, 4]),
        "w": nd.array([[1], [2], [4]]),
        "one": nd.array([2]),
        "three": nd.array([1, 0, 3]),
        "k": cube.tostype("row_sparse"),
        "m": nd.array(np.array(CUBE)[::-1].copy()).tostype("row_sparse"),
        "cube": cube,
        "c64": nd.array(A, dtype="float64").tostype("csr"),
        "r64": nd.array(A, dtype="float64").tostype("row_sparse"),
        "c16": nd.array(A, dtype="float16").tostype("csr"),
        # Elements that are there and are 0.
        "cz": nd.sparse.csr_matrix(([0, 1.0, 0], [0, 1, 3], [0, 1, 1, 3]), shape=(3, 4)),
        "rz": nd.sparse.row_sparse_array(([[0, 0, 0, 0], [1, 2, 3, 4]], [0, 1]), shape=(3, 4)),
        "inf": nd.array([[np.inf, 0, 0, np.nan], [0] * 4, [0, 1, 0, 0]]).tostype("csr"),
    }


def tidy(x):
    """``x`` with csr arrays in one order: MXNet leaves columns unsorted, with room at the end."""
    if isinstance(x, (list, tuple)):
        return [tidy(v) for v in x]
    if is_array(x) and x.stype == "csr":
        pointers = x.indptr.asnumpy()
        if not pointers.size:  # as MXNet leaves functions of arrays without elements
            pointers = np.zeros(x.shape[0] + 1, "int64")
        columns = x.indices.asnumpy()[: pointers[-1]]
        rows = np.repeat(np.arange(len(pointers) - 1), np.diff(pointers))
        order = np.lexsort((columns, rows))
        data = x.data.asnumpy()[: pointers[-1]]
        return ["csr", str(x.shape), data[order], columns[order], pointers]
    return x


def dense(x):
    return [x.stype, x.asnumpy()] if is_array(x) else x


def environment(mx):
    inputs = arrays(mx)
    env = {"mx": mx, "nd": mx.nd, "np": np, "internal": mx.nd._internal, "attempt": attempt}
    return {**env, **inputs}, inputs


DECLARED = set()


def values(lines):
    for line in lines:
        if line in DECLARED:  # lists overlap
            continue
        DECLARED.add(line)

        def run(mx, line=line):
            return tidy(eval(line, environment(mx)[0]))

        case(run, name=line)


def gradients(lines, of="d e c f r s t v w k m", prefix=""):
    """The values of gradients, and the storage types of the arrays' gradient buffers."""
    for line in lines:

        def run(mx, line=line):
            env, inputs = environment(mx)
            code = compile(line, line, "eval")
            wanted = {k: inputs[k] for k in of.split() if k in code.co_names}
            for x in wanted.values():
                x.attach_grad()
            with mx.autograd.record():
                y = eval(code, env)
            y.backward(head_like(mx, y))
            return {"out": tidy(y), "grad": {k: dense(x.grad) for k, x in wanted.items()}}

        case(run, name=f"grad {prefix}{line}")


def sparse_head_gradients(lines):
    """Gradients for a head gradient of the storage type of the result."""
    for line in lines:

        def run(mx, line=line):
            env, inputs = environment(mx)
            code = compile(line, line, "eval")
            wanted = {k: inputs[k] for k in "d e c f r s".split() if k in code.co_names}
            for x in wanted.values():
                x.attach_grad()
            with mx.autograd.record():
                y = eval(code, env)
            y.backward(inputs[{"csr": "f", "row_sparse": "s", "default": "e"}[y.stype]])
            return {"out": tidy(y), "grad": {k: dense(x.grad) for k, x in wanted.items()}}

        case(run, name=f"head {line}")


def words(text):
    return text.split()


UNARY = words(
    "abs arccos arccosh arcsin arcsinh arctan arctanh BlockGrad cbrt ceil cos cosh degrees erf "
    "erfinv exp expm1 fix floor gamma gammaln hard_sigmoid identity log log10 log1p log2 "
    "logical_not make_loss negative ones_like radians rcbrt reciprocal relu rint round rsqrt "
    "shape_array sigmoid sign sin sinh size_array softmax log_softmax softmin softsign sqrt square "
    "stop_gradient tan tanh trunc zeros_like Flatten flatten transpose sort argsort max min prod "
    "sum mean nansum nanprod argmax argmin norm"
)
values(f"nd.{name}({x})" for name in UNARY for x in "cr")
values(f"nd.{name}({x})" for name in words("sin sqrt abs square relu identity") for x in "zqk")
values(f"nd.{name}({x})" for name in words("sin sqrt abs identity") for x in ("cz", "rz", "c64"))
values(f"{x}.{name}()" for name in words("abs sin square copy zeros_like sum") for x in "cr")
values(
    f"nd.sparse.{name}({x})"
    for name in words("abs arcsin sqrt sin tanh relu negative square sum mean norm")
    for x in "cr"
)

PAIRS = "cc rr cd dc rd dr cr rc".split()
BINARY = words("elemwise_add elemwise_sub elemwise_mul elemwise_div")
INTERNAL = words(
    "_grad_add _hypot _maximum _minimum _power _mod _equal _not_equal _greater _lesser_equal "
    "_logical_and _scatter_elemwise_div _identity_with_attr_like_rhs"
)
BROADCAST = words(
    "broadcast_add broadcast_sub broadcast_mul broadcast_div broadcast_maximum broadcast_power "
    "broadcast_equal broadcast_greater"
)
OTHER = {"c": "f", "r": "s", "d": "e"}
values(f"nd.{name}({p[0]}, {OTHER[p[1]]})" for name in BINARY + BROADCAST for p in PAIRS)
values(f"internal.{name}({p[0]}, {OTHER[p[1]]})" for name in INTERNAL for p in PAIRS)
values(
    f"{p[0]} {sign} {OTHER[p[1]]}"
    for sign in ("+", "-", "*", "/", "==", "<")
    for p in PAIRS
    if sign + p != "/cd"
)
values(
    f"{pair[0]} {sign} {pair[1]}"
    for sign in "+-*"
    for pair in ["cz", "zc", "zz", "rq", "qr", "qq", "rt", "tr", "cu", "uc", "km", "mk"]
)
values(["cz + c", "cz * c", "rz + r", "rz * r", "cz - cz", "inf + c", "inf * c", "inf * d"])
values(["k + cube", "cube + k", "k * cube", "k - cube", "c64 + c64", "r64 * r64", "c16 + c16"])
values(["attempt(lambda: c + c64)", "attempt(lambda: r * r64)", "attempt(lambda: c + z[0:2])"])
values(
    f"nd.sparse.{name}({x}, {y})"
    for name in words("add subtract multiply divide")
    for x, y in [("c", "f"), ("r", "s"), ("c", "e"), ("r", "e"), ("c", "2"), ("r", "2"), ("c", "v")]
)

SCALAR = words(
    "_plus_scalar _minus_scalar _rminus_scalar _mul_scalar _div_scalar _rdiv_scalar _mod_scalar "
    "_rmod_scalar _power_scalar _maximum_scalar _minimum_scalar _hypot_scalar _equal_scalar "
    "_not_equal_scalar _greater_scalar _greater_equal_scalar _lesser_scalar _lesser_equal_scalar "
    "_logical_and_scalar _logical_or_scalar _logical_xor_scalar _scatter_plus_scalar "
    "_scatter_minus_scalar smooth_l1"
)
values(
    f"{'nd' if name == 'smooth_l1' else 'internal'}.{name}({x}, scalar={scalar})"
    for name in SCALAR
    for x in "cr"
    for scalar in (0, 1, -2)
)
values(
    line.replace("x", x)
    for line in ("x * 2", "2 * x", "x / 2", "2 / x", "x + 0", "x - 0", "x + 2", "2 - x", "x ** 2")
    for x in "cr"
)
values(["c > 0", "c < 0", "c == 0", "c != 0", "r > 0", "r != 0", "-c", "-r", "abs(c)", "abs(r)"])

REDUCE = "", "axis=0", "axis=1", "axis=-1", "axis=(0, 1)", "keepdims=True", "axis=0, keepdims=True"
REDUCE += "axis=1, keepdims=True", "axis=0, exclude=True", "axis=()"
values(
    f"nd.{name}({x}, {options})"
    for name in words("sum mean norm")
    for options in REDUCE
    for x in "crz"
    if not (name == "norm" and "exclude" in options)
)
values(["nd.norm(c, ord=1)", "nd.norm(r, ord=1)", "nd.norm(c, ord=1, axis=1)", "nd.sum(k, axis=1)"])
values(["nd.sum(q)", "nd.sum(c64)", "nd.sum(c16, axis=1)", "nd.sum(inf, axis=1)", "nd.sum(cz)"])
values(["c.sum(axis=1)", "r.sum(axis=0)", "c.mean()", "c.norm()", "r.norm()"])
values(["attempt(lambda: nd.sum(c, axis=2))", "attempt(lambda: nd.norm(c, axis=(0, 1, 2)))"])

values(
    f"nd.{name}({x}, {y})"
    for name in words("broadcast_mul broadcast_div broadcast_add broadcast_sub")
    for x in "crz"
    for y in ("v", "w", "one", "v.reshape((1, 4))", "one.reshape((1, 1))")
    if not (x == "z" and name in ("broadcast_add", "broadcast_sub"))
)
values(["nd.broadcast_mul(v, c)", "nd.broadcast_div(v, c)", "nd.broadcast_mul(w, r)"])
values(["attempt(lambda: nd.broadcast_mul(c, three))", "nd.broadcast_mul(inf, v)"])
values(["c * v", "c / v", "c + v", "c * w", "nd.broadcast_div(c, nd.zeros((4,)))"])

values(
    f"nd.where({x}, {y}, {z})"
    for x in ("c", "r", "d", "z", "cz")
    for y, z in (("d", "e"), ("c", "f"), ("r", "s"), ("c", "e"), ("d", "f"))
)
values(["nd.where(three, c, f)", "nd.sparse.where(c, d, e)"])
values(
    f"nd.add_n({line})"
    for line in (
        "r, s|r, s, t|c, f|c, f, e|r, s, e|e, r, s|c, e|r, e|r, c|c|r|r, q|q, q|k, m|cz, cz"
    ).split("|")
)
values(["nd.ElementWiseSum(r, s)", "nd.sparse.add_n(r, s)", "nd.sparse.ElementWiseSum(c, f)"])
values(
    f"nd.concat({line})"
    for line in (
        "c, f, dim=0|c, f, dim=1|c, z, f, dim=0|c, e, dim=0|r, s, dim=0|c, dim=0|z, z, dim=0|"
        "cz, c, dim=0|c, f, dim=-1|d, c, dim=0|c64, c64, dim=0"
    ).split("|")
)
values(["nd.sparse.concat(c, f, dim=0)", "nd.stack(c, f)", "nd.stack(r, s)"])
values(f"nd.clip({x}, {bounds})" for x in "crzq" for bounds in ("-1, 1", "0, 1", "-1, 0", "-9, 9"))
values(["c.clip(-1, 1)", "r.clip(0, 1)", "nd.clip(inf, -1, 1)", "nd.sparse.clip(c, -1, 1)"])
values(["nd.clip(c, 1, 2)", "nd.clip(r, -2, -1)"])

values(["nd.ones_like(c)", "nd.ones_like(r)", "c.ones_like()", "nd.sparse.zeros_like(c)"])
values(["internal._zeros(shape=(2, 3))", "nd.zeros((2, 3), stype='csr')"])
values(["nd.zeros((2, 3), stype='row_sparse')", "nd.zeros((2, 3), stype='default')"])

THROUGH_DENSE = """
    nd.transpose(c)
    c.T
    nd.reshape(c, shape=(4, 3))
    nd.cast(c, 'float64')
    nd.cast(r, 'float16')
    c.astype('float64')
    nd.slice_axis(c, axis=0, begin=1, end=3)
    nd.expand_dims(c, axis=0)
    nd.one_hot(c, depth=3)
    nd.tile(c, reps=(2, 1))
    nd.repeat(c, repeats=2, axis=0)
    nd.reverse(c, axis=0)
    nd.LeakyReLU(c)
    nd.Activation(c, act_type='relu')
    nd.FullyConnected(c, nd.ones((5, 4)), nd.ones((5,)), num_hidden=5)
    nd.SoftmaxOutput(d, c.sum(axis=1))
    nd.pick(c, three)
    nd.topk(c, k=2)
    nd.maximum(c, f)
    nd.minimum(r, s)
    nd.maximum(c, 0)
"""
values(line.strip() for line in THROUGH_DENSE.strip().splitlines())
values(
    f"nd.{name}({x}, {y})"
    for name in words("LinearRegressionOutput LogisticRegressionOutput MAERegressionOutput")
    for x, y in ("df", "cf", "ce", "ds", "re")
)

values(["nd.contrib.getnnz(c)", "nd.contrib.getnnz(c, axis=1)", "nd.contrib.getnnz(z)"])
values(["nd.contrib.getnnz(cz)", "nd.contrib.getnnz(z, axis=1)"])
values(["attempt(lambda: nd.contrib.getnnz(c, axis=0))"])
values(["attempt(lambda: nd.contrib.getnnz(c, axis=-1))"])
values(["attempt(lambda: nd.contrib.getnnz(r))", "attempt(lambda: nd.contrib.getnnz(d))"])
values(["nd.contrib.edge_id(c, nd.array([0, 0, 2]), nd.array([1, 2, 3]))"])
values(["attempt(lambda: nd.contrib.edge_id(d, nd.array([0]), nd.array([1])))"])
values(["attempt(lambda: nd.contrib.edge_id(c, nd.array([0, 1]), nd.array([1])))"])
values(f"nd.contrib.quadratic({x}, a=1, b=2, c={last})" for x in "cr" for last in (0, 3))
values(["nd.contrib.div_sqrt_dim(c)", "nd.contrib.gradientmultiplier(c, scalar=2)"])
values(["nd.contrib.gradientmultiplier(r, scalar=2)"])

SMOOTH = words(
    "abs arcsinh arctan cbrt ceil cos degrees erf exp expm1 floor identity negative radians relu "
    "rint sigmoid sign sin sinh softsign square tan tanh zeros_like softmax sum mean norm BlockGrad"
)
gradients(f"nd.{name}({x})" for name in SMOOTH if name != "cbrt" for x in "cr")
gradients(
    f"nd.{name}({p[0]}, {OTHER[p[1]]})"
    for name in words("elemwise_add elemwise_sub elemwise_mul")
    for p in PAIRS
)
gradients(["nd.elemwise_div(c, d + 5)", "nd.elemwise_div(r, d + 5)", "c * c * c", "r * r * r"])
gradients(
    line.replace("x", x)
    for line in ("x * 2", "x / 2", "x + 0", "x + 1", "x - 1", "1 - x", "x ** 2", "x * x + x")
    for x in "cr"
)
gradients(
    f"nd.{name}({x}, axis={axis})"
    for name in words("sum mean norm")
    for axis in (0, 1)
    for x in "cr"
    if name != "norm"
)
gradients(
    f"nd.{name}(c, {y})"
    for name in words("broadcast_mul broadcast_div broadcast_add")
    for y in "vw"
)
gradients(["nd.add_n(r, s)", "nd.add_n(r, s, e)", "nd.add_n(c, f)", "k * m", "nd.add_n(k, m)"])
gradients(["nd.where(c, d, e)", "nd.where(z, d, e)", "nd.clip(c, -1.2, 1.2)"])
gradients(["nd.clip(r, -1.2, 1.2)", "nd.cast(r, 'float64')", "r.tostype('default')"])
gradients(["nd.contrib.quadratic(c, a=1, b=2, c=0)", "(c * c).sum()", "(r * r).sum(axis=1)"])
gradients(
    (
        f"nd.{name}(d, {y})"
        for name in words("LinearRegressionOutput LogisticRegressionOutput MAERegressionOutput")
        for y in "fs"
    ),
    of="d",
)
gradients(["nd.LinearRegressionOutput(c, f)"], of="c")
sparse_head_gradients(
    f"nd.{name}({x})" for name in words("abs relu identity square negative sin") for x in "cr"
)
sparse_head_gradients(["c + f", "r + s", "c * f", "r * s", "c * e", "r * e", "c - f", "r - s"])
sparse_head_gradients(["c * 2", "r / 2", "nd.clip(r, -1, 1)", "nd.add_n(r, s)"])
