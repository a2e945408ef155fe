"""The operators that random programs call: as mxtape's text, and in the reference's primitives.

In a text `{a}` to `{d}` are the arrays and `{p}` to `{s}` the other arguments. `pick` chooses
both, from what the program has made so far; None says that nothing fits.
"""

import re

import numpy as np

from reference import value

OPERATORS = {}


class Operator:
    def __init__(self, name, text, formula, pick, outputs):
        self.name, self.text, self.formula, self.pick = name, text, formula, pick
        self.outputs = outputs
        names = sorted(set(re.findall(r"{(\w)}", text)))
        self.arrays = [n for n in names if n < "e"]
        self.others = [n for n in names if n >= "p"]
        self.body = re.sub(r"{(\w)}", r"\1", text)

    def compile(self, nd):
        arguments = ", ".join(self.arrays + self.others)
        return eval(f"lambda {arguments}: {self.body}", {"nd": nd})

    def write(self, arrays, others):
        names = dict(zip(self.arrays, arrays))
        names.update({n: repr(other) for n, other in zip(self.others, others)})
        return self.text.format(**names)


def operator(name, text, formula, pick, outputs=1):
    OPERATORS[name] = Operator(name, text, formula, pick, outputs)


# ---- what may be picked: functions of the generator `g`


def one(fits=None, others=None):
    def pick(g):
        x = g.any()
        if fits is not None and not fits(g.value(x)):
            return None
        return (x,), () if others is None else others(g, g.value(x))

    return pick


def two(fits=None, same=False):
    def pick(g):
        x = g.any()
        y = g.like(x) if same else g.beside(x)
        if y is None or (fits is not None and not fits(g.value(x), g.value(y))):
            return None
        return (x, y), ()

    return pick


def positive(x):
    return x.min() > 0.05


def not_zero(x):
    return np.abs(x).min() > 0.05


def clear(x):
    """Whether what is not 0 cannot become 0 by rounding."""
    size = np.abs(x)
    return ((size == 0) | (size > 1e-6)).all()


def apart(x, y):
    """Whether rounding cannot change how two compare, in float16 either."""
    return x is y or (np.abs(x - y) > 1e-6 + 0.01 * (np.abs(x) + np.abs(y))).all()


def off_integers(x):
    return clear(x - np.rint(x))


def inside(x):
    return np.abs(x).max() < 0.95


def small(x):
    return np.abs(x).max() < 5


def has_axes(x):
    return x.ndim > 0


def matrix(x):
    return x.ndim == 2


def an_axis(g, x):
    return g.below(x.ndim) - (x.ndim if g.chance(0.4) else 0)


# ---- functions of each element

POINTWISE = {
    "exp": small, "sin": None, "cos": None, "tanh": None, "sigmoid": None, "square": None,
    "abs": clear, "relu": clear, "arctan": None, "erf": None, "sinh": small, "cosh": small,
    "arcsinh": None, "log": positive, "sqrt": positive, "cbrt": not_zero, "expm1": small,
    "log1p": lambda x: x.min() > -0.9, "arcsin": inside, "arccos": inside, "arctanh": inside,
    "arccosh": lambda x: x.min() > 1.1, "tan": lambda x: np.abs(np.cos(x)).min() > 0.1,
    "sign": clear, "floor": off_integers, "ceil": off_integers, "trunc": off_integers,
}  # fmt: skip
for _name, _fits in POINTWISE.items():
    operator(
        _name,
        f"nd.{_name}({{a}})",
        lambda m, a, name=_name: getattr(m, name)(a),
        one(_fits),
    )

FORMULAS = {
    "-x": ("-{a}", None, lambda m, a: -a),
    "reciprocal": ("nd.reciprocal({a})", not_zero, lambda m, a: 1.0 / a),
    "rsqrt": ("nd.rsqrt({a})", positive, lambda m, a: 1.0 / m.sqrt(a)),
    "rcbrt": ("nd.rcbrt({a})", not_zero, lambda m, a: 1.0 / m.cbrt(a)),
    "log2": ("nd.log2({a})", positive, lambda m, a: m.log(a) * (1 / np.log(2.0))),
    "log10": ("nd.log10({a})", positive, lambda m, a: m.log(a) * (1 / np.log(10.0))),
    "degrees": ("nd.degrees({a})", small, lambda m, a: a * (180 / np.pi)),
    "radians": ("nd.radians({a})", None, lambda m, a: a * (np.pi / 180)),
    "softsign": ("nd.softsign({a})", None, lambda m, a: a / (m.abs(a) + 1.0)),
    "softrelu": (
        "nd.Activation({a}, act_type='softrelu')",
        small,
        lambda m, a: m.log1p(m.exp(a)),
    ),
    "elu": (
        "nd.LeakyReLU({a}, act_type='elu', slope=0.5)",
        small,
        lambda m, a: m.where(a, m.expm1(a) * 0.5, value(a) > 0),
    ),
    "leaky": (
        "nd.LeakyReLU({a}, slope=0.25)",
        None,
        lambda m, a: m.where(a, a * 0.25, value(a) > 0),
    ),
    "gelu": (
        "nd.LeakyReLU({a}, act_type='gelu')",
        None,
        lambda m, a: a * (m.erf(a * np.sqrt(0.5)) + 1.0) * 0.5,
    ),
    "hard_sigmoid": (
        "nd.hard_sigmoid({a})",
        lambda x: np.abs(np.abs(x) - 2.5).min() > 1e-6,
        lambda m, a: m.relu(a * 0.2 + 0.5) - m.relu(a * 0.2 - 0.5),
    ),
    "smooth_l1": (
        "nd.smooth_l1({a}, scalar=1.0)",
        lambda x: np.abs(np.abs(x) - 1).min() > 1e-6,
        lambda m, a: m.where(m.square(a) * 0.5, m.abs(a) - 0.5, np.abs(value(a)) < 1),
    ),
    "identity": ("nd.identity({a})", None, lambda m, a: m.copy(a)),
    "copy": ("{a}.copy()", None, lambda m, a: m.copy(a)),
    "BlockGrad": ("nd.BlockGrad({a})", None, lambda m, a: m.block(a)),
    "make_loss": ("nd.make_loss({a})", None, lambda m, a: m.ones(a)),
    "x*x": ("{a} * {a}", None, lambda m, a: a * a),
}
for _name, (_text, _fits, _formula) in FORMULAS.items():
    operator(_name, _text, _formula, one(_fits))

BINARY = {
    "+": ("{a} + {b}", None, lambda m, a, b: m.add(a, b)),
    "-": ("{a} - {b}", None, lambda m, a, b: m.sub(a, b)),
    "*": ("{a} * {b}", None, lambda m, a, b: m.mul(a, b)),
    "/": ("{a} / {b}", lambda x, y: not_zero(y), lambda m, a, b: m.div(a, b)),
    "**": ("{a} ** {b}", lambda x, y: positive(x) and small(y), lambda m, a, b: m.power(a, b)),
    "%": (
        "{a} % {b}",
        lambda x, y: not_zero(y) and np.abs(x / y - np.rint(x / y)).min() > 1e-6,
        lambda m, a, b: m.mod(a, b),
    ),
    "hypot": (
        "nd.broadcast_hypot({a}, {b})",
        lambda x, y: np.hypot(x, y).min() > 0.05,
        lambda m, a, b: m.hypot(a, b),
    ),
    "maximum": (
        "nd.broadcast_maximum({a}, {b})",
        lambda x, y: clear(x - y),
        lambda m, a, b: m.maximum(a, b),
    ),
    "minimum": (
        "nd.broadcast_minimum({a}, {b})",
        lambda x, y: clear(x - y),
        lambda m, a, b: m.minimum(a, b),
    ),
    "==": ("{a} == {b}", apart, lambda m, a, b: m.eq(a, b)),
    "!=": ("{a} != {b}", apart, lambda m, a, b: m.ne(a, b)),
    ">": ("{a} > {b}", apart, lambda m, a, b: m.gt(a, b)),
    ">=": ("{a} >= {b}", apart, lambda m, a, b: m.ge(a, b)),
    "<": ("{a} < {b}", apart, lambda m, a, b: m.lt(a, b)),
    "<=": ("{a} <= {b}", apart, lambda m, a, b: m.le(a, b)),
}
for _name, (_text, _fits, _formula) in BINARY.items():
    operator(_name, _text, _formula, two(_fits))


def number(g, x):
    return (g.number(),)


def not_zero_number(g, x):
    return (g.number() or 1.5,)


SCALAR = {
    "+ s": ("{a} + {p}", None, number, lambda m, a, p: a + p),
    "s -": ("{p} - {a}", None, number, lambda m, a, p: p - a),
    "* s": ("{a} * {p}", None, number, lambda m, a, p: a * p),
    "/ s": ("{a} / {p}", None, not_zero_number, lambda m, a, p: a / p),
    "s /": ("{p} / {a}", not_zero, not_zero_number, lambda m, a, p: p / a),
    "maximum s": ("nd.maximum({a}, {p})", None, number, lambda m, a, p: m.maximum(a, a * 0.0 + p)),
    "** 2": ("{a} ** 2", None, None, lambda m, a: m.square(a)),
    "** 3": ("{a} ** 3", None, None, lambda m, a: a * m.square(a)),
    "** -1": ("{a} ** -1", not_zero, None, lambda m, a: 1.0 / a),
    "s **": ("2 ** {a}", small, None, lambda m, a: m.exp(a * np.log(2.0))),
}
for _name, (_text, _fits, _others, _formula) in SCALAR.items():
    operator(_name, _text, _formula, one(_fits, _others))


def clip_limits(g, x):
    low, high = g.number(), g.number()
    return (min(low, high), max(low, high))


def clip(m, a, low, high):
    """The gradient passes at both limits."""
    x = value(a)
    inside = ((x >= low) & (x <= high)).astype("float64")
    return a * inside + ((x < low) * low + (x > high) * high)


operator("clip", "nd.clip({a}, {p}, {q})", clip, one(None, clip_limits))
operator(
    "add_n",
    "nd.add_n({a}, {b})",
    lambda m, a, b: m.add(a, b),
    two(same=True),
)

# ---- reductions


def axes_of(g, x):
    """None for all, one axis, or several; and whether the axes stay."""
    kind = g.below(4)
    if kind == 0 or x.ndim == 0:
        return (None, g.chance(0.3))
    if kind == 3 and x.ndim > 1:
        return ((0, x.ndim - 1), g.chance(0.5))
    return (an_axis(g, x), g.chance(0.5))


def plain_axes(ndim, axis):
    if axis is None:
        return tuple(range(ndim))
    return tuple(sorted(i % ndim for i in (axis if isinstance(axis, tuple) else (axis,))))


def reduced_shape(shape, axes, keepdims):
    if keepdims:
        return tuple(1 if i in axes else n for i, n in enumerate(shape))
    return tuple(n for i, n in enumerate(shape) if i not in axes) or (1,)


def reduction(formula):
    def made(m, a, axis, keepdims):
        axes = plain_axes(len(a.shape), axis)
        return m.reshape(formula(m, a, axes), reduced_shape(a.shape, axes, keepdims))

    return made


def count(shape, axes):
    return float(np.prod([shape[i] for i in axes], dtype=np.int64))


def mean(m, a, axes):
    return m.sum(a, axes) * (1.0 / count(a.shape, axes))


for _name, _formula in {
    "sum": lambda m, a, axes: m.sum(a, axes),
    "mean": mean,
    "max": lambda m, a, axes: m.max(a, axes),
    "min": lambda m, a, axes: m.min(a, axes),
    "norm": lambda m, a, axes: m.sqrt(m.sum(m.square(a), axes)),
}.items():
    operator(
        _name,
        f"nd.{_name}({{a}}, axis={{p}}, keepdims={{q}})",
        reduction(_formula),
        one(lambda x: x.ndim > 0 and np.abs(x).max() > 0.05, axes_of)
        if _name != "norm"
        else one(lambda x: x.ndim > 0 and not_zero(x), axes_of),
    )


def axis_only(g, x):
    return (an_axis(g, x),)


def softmax(m, a, axis):
    axes = (axis % len(a.shape),)
    raised = m.exp(a - m.max(a, axes))
    return raised / m.sum(raised, axes)


def log_softmax(m, a, axis):
    return m.log(softmax(m, a, axis))


operator("softmax", "nd.softmax({a}, axis={p})", softmax, one(has_axes, axis_only))
operator(
    "softmin",
    "nd.softmin({a}, axis={p})",
    lambda m, a, axis: softmax(m, -a, axis),
    one(has_axes, axis_only),
)
operator(
    "log_softmax",
    "nd.log_softmax({a}, axis={p})",
    log_softmax,
    one(lambda x: x.ndim > 0 and small(x), axis_only),
)
operator(
    "cumsum",
    "nd.cumsum({a}, axis={p})",
    lambda m, a, axis: m.cumsum(a, axis),
    one(has_axes, lambda g, x: (g.below(x.ndim),)),
)
operator(
    "L2Normalization",
    "nd.L2Normalization({a})",
    lambda m, a: a / m.sqrt(m.sum(m.square(a), plain_axes(len(a.shape), None)[1:]) + 1e-10),
    one(lambda x: x.ndim > 1 and not_zero(x)),
)


def layer_norm(m, a, gamma, beta):
    axes = (len(a.shape) - 1,)
    centred = a - mean(m, a, axes)
    deviation = m.sqrt(mean(m, m.square(centred), axes) + 0.01)
    return m.mul(centred / deviation, gamma) + beta


def pick_layer_norm(g):
    x = g.any()
    shape = g.value(x).shape
    return ((x, g.need(shape[-1:]), g.need(shape[-1:])), ()) if shape else None


operator("LayerNorm", "nd.LayerNorm({a}, {b}, {c}, eps=0.01)", layer_norm, pick_layer_norm)

# ---- products


def transposed(m, a, flag):
    return m.swap(a) if flag else a


def pick_product(axes):
    def pick(g):
        x = g.of_axes(axes)
        if x is None or g.value(x).size > 200:
            return None
        left, right = g.chance(0.4), g.chance(0.4)
        *batch, n, k = g.value(x).shape
        shape = [n if left else k, 1 + g.below(4)]
        return (x, g.need((*batch, *(shape[::-1] if right else shape)))), (left, right)

    return pick


operator(
    "dot",
    "nd.dot({a}, {b}, transpose_a={p}, transpose_b={q})",
    lambda m, a, b, p, q: m.matmul(transposed(m, a, p), transposed(m, b, q)),
    pick_product(2),
)


operator(
    "batch_dot",
    "nd.batch_dot({a}, {b}, transpose_a={p}, transpose_b={q})",
    lambda m, a, b, p, q: m.matmul(transposed(m, a, p), transposed(m, b, q)),
    pick_product(3),
)


def pick_dense(g):
    x = g.any()
    shape = g.value(x).shape
    if len(shape) < 2 or g.value(x).size > 200:
        return None
    units = 1 + g.below(4)
    w = g.need((units, int(np.prod(shape[1:]))))
    return (x, w, g.need((units,))), (units,)


def dense(m, x, w, b, units):
    flat = m.reshape(x, (x.shape[0], w.shape[1]))
    return m.matmul(flat, m.swap(w)) + b


operator("dense", "nd.FullyConnected({a}, {b}, {c}, num_hidden={p})", dense, pick_dense)

# ---- shapes


def other_shape(g, x):
    return (g.shape_of_size(x.size),)


operator(
    "reshape",
    "nd.reshape({a}, shape={p})",
    lambda m, a, shape: m.reshape(m.copy(a), shape),
    one(has_axes, other_shape),
)


def an_order(g, x):
    axes = list(range(x.ndim))
    g.shuffle(axes)
    return (tuple(axes),)


operator(
    "transpose",
    "nd.transpose({a}, axes={p})",
    lambda m, a, axes: m.transpose(a, axes),
    one(lambda x: x.ndim > 1, an_order),
)
operator(
    "expand_dims",
    "nd.expand_dims({a}, axis={p})",
    lambda m, a, axis: m.reshape(m.copy(a), (*a.shape[:axis], 1, *a.shape[axis:])),
    one(lambda x: 0 < x.ndim < 4, lambda g, x: (g.below(x.ndim + 1),)),
)
operator(
    "flatten",
    "nd.flatten({a})",
    lambda m, a: m.reshape(m.copy(a), (a.shape[0], int(np.prod(a.shape[1:])))),
    one(lambda x: x.ndim > 1),
)


def stretch(g, x):
    shape = g.wider(x.shape)
    return None if shape is None else (shape,)


def pick_stretch(g):
    x = g.any()
    shape = g.wider(g.value(x).shape)
    return None if shape is None else ((x,), (shape,))


operator(
    "broadcast_to",
    "nd.broadcast_to({a}, shape={p})",
    lambda m, a, shape: m.broadcast_to(a, shape),
    pick_stretch,
)


def pick_like(g):
    x = g.any()
    y = g.any()
    a, b = g.value(x).shape, g.value(y).shape
    if len(a) != len(b) or not a or any(n not in (1, k) for n, k in zip(a, b)):
        return None
    return (x, y), ()


operator(
    "broadcast_like",
    "nd.broadcast_like({a}, {b})",
    lambda m, a, b: m.tie(m.broadcast_to(a, b.shape), b),
    pick_like,
)


def part_of_axis(g, x):
    axis = an_axis(g, x)
    n = x.shape[axis]
    begin = g.below(n)
    return (axis, begin, begin + 1 + g.below(n - begin))


def key_along(ndim, axis, key):
    return (slice(None),) * (axis % ndim) + (key,)


operator(
    "slice_axis",
    "nd.slice_axis({a}, axis={p}, begin={q}, end={r})",
    lambda m, a, axis, begin, end: m.index(a, key_along(len(a.shape), axis, slice(begin, end))),
    one(has_axes, part_of_axis),
)


def steps(g, x):
    begins, ends, strides = [], [], []
    for n in x.shape:
        step = 1 + g.below(2)
        begin = g.below(n)
        if g.chance(0.3):
            step, begin, end = -step, n - 1, None
        else:
            end = n if g.chance(0.5) else begin + 1 + g.below(n - begin)
        begins.append(begin)
        ends.append(end)
        strides.append(step)
    return (tuple(begins), tuple(ends), tuple(strides))


operator(
    "slice",
    "nd.slice({a}, begin={p}, end={q}, step={r})",
    lambda m, a, begin, end, step: m.index(a, tuple(map(slice, begin, end, step))),
    one(has_axes, steps),
)
operator(
    "flip",
    "nd.flip({a}, axis={p})",
    lambda m, a, axis: m.flip(a, axis),
    one(has_axes, lambda g, x: (g.below(x.ndim),)),
)


def pick_concat(g):
    x = g.any()
    shape = g.value(x).shape
    if not shape:
        return None
    axis = g.below(len(shape))
    y = g.where_shape(
        lambda s: (
            len(s) == len(shape)
            and all(i == axis or n == k for i, (n, k) in enumerate(zip(s, shape)))
        )
    )
    return None if y is None else ((x, y), (axis,))


operator(
    "concat",
    "nd.concat({a}, {b}, dim={p})",
    lambda m, a, b, axis: m.concat(a, b, axis),
    pick_concat,
)


def stack(m, a, b, axis):
    wider = (*a.shape[:axis], 1, *a.shape[axis:])
    return m.concat(m.reshape(a, wider), m.reshape(b, wider), axis)


def pick_stack(g):
    x = g.any()
    y = g.like(x)
    ndim = g.value(x).ndim
    return None if y is None or not 0 < ndim < 4 else ((x, y), (g.below(ndim + 1),))


operator("stack", "nd.stack({a}, {b}, axis={p})", stack, pick_stack)
operator(
    "tile",
    "nd.tile({a}, reps={p})",
    lambda m, a, reps: m.concat(*[a] * reps[-1], len(a.shape) - 1),
    one(lambda x: x.ndim > 0 and x.size < 200, lambda g, x: ((2 + g.below(2),),)),
)
operator(
    "repeat",
    "nd.repeat({a}, repeats={p}, axis={q})",
    lambda m, a, n, axis: m.index(
        a, key_along(len(a.shape), axis, np.repeat(np.arange(a.shape[axis]), n))
    ),
    one(lambda x: x.ndim > 0 and x.size < 200, lambda g, x: (2, g.below(x.ndim))),
)
operator(
    "split",
    "nd.split({a}, num_outputs=2, axis={p})",
    lambda m, a, axis: m.split2(a, axis),
    one(lambda x: x.ndim > 0 and x.shape[-1] % 2 == 0, lambda g, x: (g.choice((-1, x.ndim - 1)),)),
    outputs=2,
)

# ---- indexing


def some_rows(g, x):
    n = x.shape[0]
    return ([g.below(n) for _ in range(1 + g.below(3))],)


operator(
    "take",
    "nd.take({a}, nd.array({p}, dtype='int32'))",
    lambda m, a, rows: m.index(a, (np.array(rows),)),
    one(has_axes, some_rows),
)
operator(
    "Embedding",
    "nd.Embedding(nd.array({p}), {a}, input_dim={q}, output_dim={r})",
    lambda m, a, rows, n, k: m.index(a, (np.array(rows),)),
    one(matrix, lambda g, x: (*some_rows(g, x), *x.shape)),
)
operator(
    "pick",
    "nd.pick({a}, nd.array({p}), axis=-1)",
    lambda m, a, rows: m.index(a, (np.arange(a.shape[0]), np.array(rows))),
    one(matrix, lambda g, x: ([g.below(x.shape[1]) for _ in range(x.shape[0])],)),
)
operator(
    "gather_nd",
    "nd.gather_nd({a}, nd.array({p}, dtype='int64'))",
    lambda m, a, places: m.index(a, tuple(np.array(row) for row in places)),
    one(
        matrix,
        lambda g, x: ([[g.below(n) for _ in range(2)] for n in x.shape],),
    ),
)
operator(
    "diag",
    "nd.diag({a})",
    lambda m, a: m.index(a, (np.arange(min(a.shape)), np.arange(min(a.shape)))),
    one(matrix),
)


def pick_where(g):
    picked = g.alike(3)
    return picked if clear(g.value(picked[0][0])) else None


operator(
    "where",
    "nd.where({a}, {b}, {c})",
    lambda m, a, b, c: m.where(b, c, value(a) != 0),
    pick_where,
)
operator(
    "where >",
    "nd.where({a} > 0, {b}, {c})",
    lambda m, a, b, c: m.where(b, c, value(a) > 0),
    pick_where,
)
