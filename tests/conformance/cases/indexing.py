"""Basic and advanced indexing, assignment, and which results share memory."""

import numpy as np
from harness import array, case, data, gradients, values


def cube(mx):
    return {
        "x": mx.nd.arange(24).reshape((2, 3, 4)),
        "v": mx.nd.arange(5),
        "i": mx.nd.array([1, 0, 1], dtype="int32"),
        "f": mx.nd.array([1, 0]),
        "k": mx.nd.array([[0, 1], [1, 0]], dtype="int64"),
        "n": np.array([1, 0, 1]),
        "m": mx.nd.array([1, 0], dtype="bool"),
        "s": mx.nd.array(3),
    }


READS = """
x[0]
x[-1]
x[1, 2]
x[1, 2, 3]
x[-1, -1, -1]
x[0:1]
x[:]
x[::1]
x[1:]
x[:-1]
x[::-1]
x[0:2:2]
x[5:]
x[1:1]
x[2:1]
x[-9:9]
x[:, 1]
x[:, 1:3]
x[:, ::2]
x[:, ::-1]
x[:, :, 3:0:-2]
x[..., 0]
x[0, ..., 1:3]
x[...]
x[..., 1, :]
x[None]
x[:, None]
x[:, None, 1]
x[..., None]
x[None, ..., None]
x[1, None, :, None, 2]
x[()]
x[[0, 1]]
x[[1]]
x[[1, 0, 1]]
x[:, [0, 2]]
x[:, :, [3, 0]]
x[[0, 1], [2, 0]]
x[[0, 1], :, [2, 0]]
x[[[0, 1], [1, 0]]]
x[[0, 1], 1]
x[1, [0, 2]]
x[1, :, [0, 2]]
x[0:1, [0, 2]]
x[[0, 1], 0:2]
x[[0], [1], [2]]
x[i]
x[f]
x[k]
x[n]
x[:, n]
x[i, n]
x[:, i]
x[i, :, 1]
x[k, 1]
x[np.array([[0], [1]]), np.array([[0, 2]])]
x[None, [0, 1]]
x[[0, 1], None]
x[..., [0, 1]]
x[i, ..., 0]
x[np.int64(1)]
x[np.int32(1), np.int64(2)]
x[True]
x[(1, 2)]
x[slice(0, 1)]
x[slice(None), slice(1, 2)]
x[range(2)]
v[1]
v[1:3]
v[::2]
v[::-1]
v[-2:]
v[[0, 2]]
v[None]
v[:, None]
v[[True, False, True, False, True]]
x[(0, 1),]
s[()]
s[...]
"""
BAD_READS = """
x[2]
x[-3]
x[0, 3]
x[0, 0, 4]
x[0, 0, 0, 0]
x[:, :, :, 0]
x[..., ...]
x[1.5]
x['a']
x[None, None, 2]
x[[0, 2]]
x[[-3]]
x[:, [5]]
x[[0, 1], [0, 1, 2]]
x[[0.5]]
x[::0]
x['a':]
x[1.5:]
x[{}]
v[5]
v[-6]
v[0, 0]
s[0]
x[m]
x[:, nd.array([1, 0, 1], dtype='bool')]
x[x > 100]
"""
gradients(__name__, cube, READS, wrt="x v")
values(__name__, cube, BAD_READS + "x[[-1]]\nx[:, [-1, 0]]\nx[[-1, 0], [-2, 1]]\nv[[-1, -5]]")
# the gradient of a negative index, and an assignment out of range, write outside the array in MXNet
gradients(__name__, cube, "v[[-1]]", wrt="v", unsafe=True)

WRITES = [
    ("[:]", "5"),
    ("[:]", "2.5"),
    ("[...]", "7"),
    ("[0]", "1"),
    ("[-1]", "9"),
    ("[1, 2]", "3"),
    ("[1, 2, 3]", "4"),
    ("[0:1]", "2"),
    ("[:, 1]", "8"),
    ("[:, ::2]", "1"),
    ("[:, ::-1, 0]", "[5, 6, 7]"),
    ("[..., 0]", "-1"),
    ("[0]", "nd.ones((3, 4)) * 9"),
    ("[0]", "nd.ones((4,)) * 9"),
    ("[:]", "nd.ones((3, 4)) * 9"),
    ("[:]", "np.arange(24).reshape(2, 3, 4) * 2"),
    ("[:]", "x[::-1]"),
    ("[0]", "np.arange(12).reshape(3, 4) * 1.5"),
    ("[:, 1]", "np.arange(4)"),
    ("[1]", "[1, 2, 3, 4]"),
    ("[0, 0]", "(1, 2, 3, 4)"),
    ("[[0, 1]]", "5"),
    ("[[0]]", "nd.ones((1, 3, 4)) * 4"),
    ("[:, [0, 2]]", "6"),
    ("[[0, 1], [2, 0]]", "5"),
    ("[[0, 1], [2, 0]]", "nd.array([[1, 2, 3, 4], [5, 6, 7, 8]])"),
    ("[[1, 1]]", "nd.array([[[1]], [[2]]])"),
    ("[i]", "3"),
    ("[n, n]", "3"),
    ("[k, 1]", "-2"),
    ("[:, None]", "5"),
    ("[None]", "5"),
    ("[0]", "nd.array([3])"),
    ("[0]", "True"),
    ("[0]", "np.float64(2.5)"),
    ("[0, 0, 0]", "nd.array([3])"),
    ("[0, 0, 0:1]", "nd.array([3])"),
    ("[0:1, 0:2]", "nd.ones((2, 4))"),
    ("[0]", "nd.array([1, 2, 3, 4], dtype='int32')"),
    ("[0]", "nd.array([1.5, 2, 3, 4], dtype='float64')"),
    ("[()]", "3"),
    ("[1:1]", "3"),
    ("[5:]", "3"),
    ("[..., 1:3]", "nd.array([[1], [2], [3]])"),
    ("[:, 0]", "nd.array([[1], [2]])"),
    ("[0, :, 0]", "nd.array(2)"),
]
BAD_WRITES = [
    ("[0]", "nd.ones((2, 4))"),
    ("[0]", "np.ones((5,))"),
    ("[2]", "1"),
    ("[0, 3]", "1"),
    ("[0]", "'a'"),
    ("[0]", "None"),
    ("['a']", "1"),
    ("[1.5]", "1"),
    ("[[0, 1], [0, 1, 2]]", "1"),
    ("[0]", "[1, 2]"),
    ("[:]", "nd.ones((2, 3, 5))"),
    ("[0, 0, 0, 0]", "1"),
    ("[m]", "1"),
    ("[0]", "1j"),
    ("[0]", "nd.ones((1, 1, 3, 4))"),
]
UNSAFE_WRITES = [("[[-1]]", "5"), ("[[0, 2]]", "1")]
for index, value in WRITES + BAD_WRITES + UNSAFE_WRITES:

    @case(name=f"x{index} = {value}", unsafe=(index, value) in UNSAFE_WRITES)
    def assign(mx, index=index, value=value):
        env = {"nd": mx.nd, "np": np, **cube(mx)}
        env["x"] = env["x"].copy()
        exec(f"x{index} = {value}", env)
        return env["x"]

    if (index, value) in WRITES[:20]:

        @case(name=f"int32 x{index} = {value}")
        def assign_int(mx, index=index, value=value):
            env = {"nd": mx.nd, "np": np, **cube(mx)}
            env["x"] = env["x"].astype("int32")
            exec(f"x{index} = {value}", env)
            return env["x"]


IN_PLACE = [
    "v[1] = 9",
    "v[1:3] = nd.array([7, 8])",
    "v[::2] = 1",
    "v[[0, 2]] = 5",
    "v[-1] += 4",
    "v[1:3] *= 2",
    "v[:] += v",
    "v[v] = 2",
]
for statement in IN_PLACE:

    @case(name=statement)
    def assign_vector(mx, statement=statement):
        env = {"nd": mx.nd, **cube(mx)}
        exec(statement, env)
        return env["v"]


# ---- who shares memory: write 100 through the result, look at the source

SHARES = """
x[0]
x[0, 1]
x[0, 1, 2]
x[0:1]
x[0:2]
x[1:]
x[:]
x[...]
x[()]
x[0, 1:3]
x[:, 1]
x[:, 0:2]
x[:, :, :]
x[0:1, 0:3]
x[0:1, 0:2]
x[0:2:2]
x[::-1]
x[None]
x[:, None]
x[0, None]
x[[0]]
x[[0, 1]]
x.reshape((6, 4))
x.reshape((-1,))
x.reshape((0, -1))
x.reshape((2, 3, 4))
x.detach()
x.copy()
x.T
x.transpose((0, 1, 2))
x.flatten()
x.expand_dims(0)
x.expand_dims(0, inplace=True)
x.flatten(inplace=True)
x[:1].squeeze(0, inplace=True)
x.squeeze()
x.astype('float32')
x.astype('float32', copy=False)
x.as_in_context(mx.cpu())
x.as_nd_ndarray()
x.swapaxes(0, 0)
x.broadcast_to((2, 3, 4))
x.slice_axis(axis=0, begin=0, end=1)
x.slice(begin=(0,), end=(1,))
x.split(num_outputs=2, axis=0)[0]
nd.identity(x)
nd.BlockGrad(x)
nd.reshape(x, shape=(6, 4))
x[1].reshape((4, 3))[2:3][0]
x.reshape((6, 4))[1:3]
x + 0
+x if hasattr(x, '__pos__') else x + 0
nd.concat(x, dim=0)
nd.add_n(x)
nd.clip(x, -1, 99)
x.reshape_like(x)
nd.cast(x, dtype='float32')
nd.Dropout(x)
"""
for line in SHARES.strip().splitlines():

    @case(name=f"shares: {line}")
    def shares(mx, line=line):
        env = {"mx": mx, "nd": mx.nd, **cube(mx)}
        x = env["x"] = env["x"].copy()
        y = eval(line, env)
        y[:] = 100
        through = int((x.asnumpy() == 100).sum())
        x[:] = 200
        return {
            "written through": through,
            "seen back": int((y.asnumpy() == 200).sum()),
            "size": y.size,
        }


@case
def views_after_the_source_is_gone(mx):
    x = mx.nd.arange(12).reshape((3, 4))
    y = x[1]
    del x
    y += 1
    return y


@case
def asnumpy_is_a_copy(mx):
    x = mx.nd.zeros((2,))
    a = x.asnumpy()
    a[0] = 5
    return [x, a]


@case
def gradient_through_views(mx):
    x = array(mx, data((3, 4), seed=141))
    x.attach_grad()
    with mx.autograd.record():
        y = x[1] * x[0:2].reshape((-1,))[2:6] + x[:, 1].sum() + x[2][3]
    y.backward(mx.nd.array([1, 2, 3, 4]))
    return [y, x.grad]


@case
def setting_a_view_of_a_recorded_variable(mx):
    x = mx.nd.ones((2, 3))
    x.attach_grad()
    x[0] = 5  # outside record: allowed
    with mx.autograd.record():
        y = (x * x).sum()
    y.backward()
    return x.grad
