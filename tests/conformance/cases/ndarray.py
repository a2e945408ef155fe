"""The NDArray itself: attributes, conversions, arithmetic, in-place work, printing, pickling."""

import copy
import pickle

import numpy as np
from harness import array, attempt, case, data, values


def mixed(mx):
    nd = mx.nd
    return {
        "f": nd.array([1.5, 2, -7]),
        "d": nd.array([1.5, 2, -7], dtype="float64"),
        "h": nd.array([1.5, 2, -7], dtype="float16"),
        "i": nd.array([1, 2, -7], dtype="int32"),
        "l": nd.array([1, 2, -7], dtype="int64"),
        "u": nd.array([1, 2, 250], dtype="uint8"),
        "b": nd.array([True, False, True], dtype="bool"),
        "m": array(mx, data((2, 3), seed=161)),
        "o": nd.array([2.5]),
        "s": nd.array(2.5),
        "e": nd.array([]),
        "n": np.ones(3, dtype="float32"),
    }


ATTRIBUTES = """
f.shape
m.shape
s.shape
f.dtype
b.dtype
h.dtype
m.size
s.size
e.size
m.ndim
s.ndim
f.context
f.ctx
f.stype
m.T
f.T
f.grad
len(f)
len(m)
len(s)
len(e)
f.writable if hasattr(f, 'writable') else True
f.asnumpy()
m.asnumpy()
s.asnumpy()
b.asnumpy()
o.asscalar()
s.asscalar()
i[0].asscalar()
b[0].asscalar()
f.asscalar()
type(i[0].asscalar())
type(o.asscalar())
f.item()
o.item()
bool(o)
bool(s)
bool(nd.array([0]))
bool(nd.array([np.nan]))
bool(f)
bool(e)
float(o)
int(o)
float(f)
i[o]
[10, 20, 30, 40][nd.array([1], dtype='int32')]
list(f)
list(m)
list(s)
[x.shape for x in m]
np.asarray(f)
np.array(m)
np.asarray(i).dtype
np.sum(f)
f.__array__().dtype if hasattr(f, '__array__') else 'absent'
isinstance(hash(f), int)
f.wait_to_read()
f.wait_to_write() if hasattr(f, 'wait_to_write') else None
f.copy() is f
f.copy()
f.astype('float32') is f
f.astype('float32', copy=False) is f
f.astype('float64', copy=False)
f.astype(np.int32)
f.as_in_context(mx.cpu()) is f
f.as_in_ctx(mx.cpu()) is f if hasattr(f, 'as_in_ctx') else 'absent'
f.tostype('default').stype
f.tostype('nonsense')
f.copyto(mx.cpu()).shape
f.copyto(f)
f.copyto(nd.zeros((3,)))
f.copyto(nd.zeros((3,), dtype='int32'))
f.copyto(nd.zeros((3,), dtype='float64'))
f.copyto(nd.zeros((1, 3)))
f.copyto(nd.zeros((4,)))
f.copyto(3)
f.nonsense
f.__array_priority__
type(f).__name__
repr(f)
str(f)
repr(m)
repr(i)
repr(b)
repr(u)
repr(s)
repr(o)
repr(d)
repr(nd.array([[[1]]]))
repr(nd.array([1e-8, 1e8]))
repr(nd.array([np.nan, np.inf, -np.inf]))
repr(nd.arange(2000).reshape((2, 1000)))
'{}'.format(f)
f.sum().asscalar()
f.max()
f.abs()
f.norm().asscalar()
f.slice_axis(axis=0, begin=0, end=2)
f.expand_dims(0).shape
f.flatten().shape
f.asnumpy().flags.writeable
f.detach().grad
f in [f]
f is f
nd.NDArray.__name__
isinstance(f, mx.nd.NDArray)
mx.nd.waitall()
nd.concatenate([m, m]).shape
mx.nd.array(f).dtype
nd.array(i, dtype='float32')
nd.true_divide(f, 2)
f.size == 3
f == f
f != f
f is not None
o > 2
s + 1
s + s
s * o
"""
values(__name__, mixed, ATTRIBUTES)

NAMES = "f d h i l u b".split()
PAIRS = "\n".join(f"{x} {op} {y}" for x in NAMES for y in NAMES for op in ("+", "==") if x != y)
values(__name__, mixed, PAIRS, prefix="pair ")
SAME = "\n".join(
    f"{x} {op} {x}"
    for x in NAMES
    for op in ("+", "-", "*", "/", "%", "**", "==", "!=", ">", ">=", "<", "<=")
)
values(__name__, mixed, SAME, prefix="same ")
values(
    __name__,
    mixed,
    """
    f + n
    n + f
    n * f
    f - n
    f == n
    f + [1, 2, 3]
    f + None
    f + 'a'
    None + f
    f == None
    f != None
    f == 'a'
    f > None
    f == [1.5, 2, -7]
    f + 1j
    f + np.ones(3)
    f * np.float32(2)
    np.float32(2) * f
    np.float64(2) + f
    np.int64(2) - f
    f + nd.ones((4,))
    f + nd.ones((2, 3))
    m + f
    f + m
    f + nd.ones((3, 1))
    m + nd.ones((3, 2))
    f + o
    o + m
    f & f
    ~b
    b & b
    b | b
    f // 2
    f @ f
    divmod(f, 2)
    round(f)
    +f
    -f
    -i
    -u
    -b
    abs(f)
    abs(i)
    f << 1
    2 ** f
    f ** 2
    f ** f
    2 ** i
    i ** 2
    i ** -1
    i ** 0.5
    i / 2
    i / 2.5
    2 / i
    i * 1.5
    1.5 * i
    l + 2**40
    u + 300
    h * 1e5
    f * 1e39
    d * 1e39
    f == 2
    i == 2.0
    i == 2.5
    i > 1.9
    i + True
    f % 2
    2 % f
    i % 3
    3 % i
    i % -3
    f % 0
    nd.array([1, 0, -1]) / 0
    nd.add(f, f)
    nd.add(f, 1)
    nd.add(1, f)
    nd.add('a', f)
    nd.add(f, None)
    nd.add(n, f)
    nd.equal(f, 2)
    nd.power(f, 2)
    nd.maximum(f, i)
    nd.maximum(1, f)
    nd.minimum(f, 'a')
    nd.divide(f, 2)
    nd.modulo(f, 2)
    nd.subtract(1, f)
    """,
    prefix="rules ",
)

IN_PLACE = """
f += 1
f += 1.5
f -= 2
f *= 2
f /= 4
f %= 2
f **= 2
f //= 2
f += f
f -= f
f *= f
f /= f
f %= f
f += o
f += m
m += f
f += n
f += d
f += i
i += 1
i += 1.5
i -= 0.5
i *= 2.5
i /= 2
i /= 2.5
i %= 3
i += i
i += f
u += 10
u -= 2
b += 1
b += b
h *= 2
d /= 3
f += None
f += [1, 2, 3]
f += nd.ones((4,))
o += f
"""
for line in IN_PLACE.strip().splitlines():

    @case(name=f"in place: {line}")
    def in_place(mx, line=line):
        env = {"mx": mx, "nd": mx.nd, **mixed(mx)}
        name = line.split()[0]
        before = env[name]
        try:
            exec(line, env)
            env[name].wait_to_read()
            failed = None
        except Exception as error:
            failed = attempt(_raise, error)
        return [env[name], before, env[name] is before, failed]


def _raise(error):
    raise error


# ---- out= and name=

OUT = """
nd.exp(f, out=t)
nd.broadcast_add(f, f, out=t)
nd.add(f, f)
nd.sum(m, axis=0, out=t)
nd.exp(f, out=f)
nd.clip(f, 0, 1, out=t)
nd.concat(o, o, o, dim=0, out=t)
nd.reshape(f, shape=(3,), out=t)
nd.exp(f, out=nd.zeros((4,)))
nd.exp(f, out=nd.zeros((3,), dtype='float64'))
nd.exp(f, out=nd.zeros((1, 3)))
nd.exp(f, out=3)
nd.exp(f, out=[t])
nd.exp(f, out=(t,))
nd.split(m, num_outputs=3, axis=1, out=[p, q, r])
nd.split(m, num_outputs=3, axis=1, out=[p, q])
nd.exp(f, name='mine')
nd.exp(f, nonsense=1)
nd.exp(data=f)
nd.exp()
nd.exp(f, f)
nd.exp(3)
nd.exp([1.0, 2.0])
nd.exp(n)
nd.exp('a')
nd.exp(None)
nd.sum(f, f)
nd.sum(m, '1')
nd.sum(m, axis='(0, 1)')
nd.sum(m, axis=np.int64(1))
nd.sum(m, keepdims='True', axis=1)
nd.sum(m, keepdims=1, axis=1)
nd.clip(f, '0', '1')
nd.broadcast_add(f)
nd.broadcast_add(lhs=f, rhs=f)
nd.broadcast_add(rhs=f, lhs=o)
nd.cast(f, dtype=np.float64)
nd.cast(f, dtype=np.dtype('int32'))
nd.cast(f, dtype=float)
nd.zeros_like(f, out=t)
nd.nonsense(f)
nd.relu(f, out=t) is t
nd.op.exp(f)
nd.maximum(f, 0, out=t)
"""
for line in OUT.strip().splitlines():

    @case(name=f"call: {line}")
    def call(mx, line=line):
        env = {"mx": mx, "nd": mx.nd, "np": np, **mixed(mx)}
        env["t"] = mx.nd.zeros((3,))
        for k in "pqr":
            env[k] = mx.nd.zeros((2, 1))
        result = attempt(eval, line, env)
        return [result, env["t"], env["f"], env["p"]]


# ---- copying and pickling


@case
def pickling(mx):
    result = []
    for dtype in ("float16", "float32", "float64", "uint8", "int8", "int32", "int64", "bool"):
        x = mx.nd.array([[1, 0], [3, 4]], dtype=dtype)
        y = pickle.loads(pickle.dumps(x))
        result.append([y, y.context])
    view = mx.nd.arange(6).reshape((2, 3))[1]
    return [result, pickle.loads(pickle.dumps(view)), pickle.loads(pickle.dumps(view, protocol=2))]


@case
def pickling_drops_the_gradient(mx):
    x = mx.nd.ones((2,))
    x.attach_grad()
    return pickle.loads(pickle.dumps(x)).grad


@case
def copying(mx):
    x = mx.nd.array([1, 2])
    y, z = copy.copy(x), copy.deepcopy(x)
    x[0] = 9
    return [y, z]


@case
def equality_and_containers(mx):
    x, y = mx.nd.array([1]), mx.nd.array([1])
    return [
        x in [y],
        mx.nd.array([2]) in [y],
        len({x, y}),
        attempt(lambda: mx.nd.array([1, 2]) in [mx.nd.array([1, 2])]),
    ]


@case
def iteration_gives_views(mx):
    x = mx.nd.zeros((2, 2))
    for row in x:
        row[:] = 5
    v = mx.nd.zeros((2,))
    for item in v:
        item += 3
    return [x, v]


@case
def save_and_load(mx):
    import os
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "a.params")
        mx.nd.save(path, {"x": mx.nd.array([1, 2]), "y": mx.nd.array([[3]], dtype="int32")})
        named = mx.nd.load(path)
        mx.nd.save(path, [mx.nd.array([1, 2])])
        listed = mx.nd.load(path)
        mx.nd.save(path, mx.nd.array([7]))
        return [
            {k: named[k] for k in sorted(named)},
            listed,
            mx.nd.load(path),
            attempt(mx.nd.load, os.path.join(folder, "none")),
        ]


@case
def reshape_after_slice_keeps_the_view(mx):
    x = mx.nd.arange(12).reshape((3, 4))
    y = x[1:3].reshape((-1,))[2:6].reshape((2, 2))
    y *= 10
    return [x, y]


@case
def setting_the_shape_and_dtype_is_refused(mx):
    x = mx.nd.ones((2,))
    return [
        attempt(setattr, x, "shape", (1, 2)),
        attempt(setattr, x, "dtype", "int32"),
        attempt(setattr, x, "grad", x),
    ]


@case
def deleting_an_item_is_refused(mx):
    x = mx.nd.ones((2,))
    return attempt(x.__delitem__, 0) if hasattr(x, "__delitem__") else "absent"
