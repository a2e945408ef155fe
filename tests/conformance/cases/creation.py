"""Creation functions: dtypes, ranges, sources, contexts; random draws by shape and dtype only."""

import numpy as np
from harness import Raised, attempt, case, values


def sources(mx):
    return {
        "f8": np.array([1.5, 2.5]),
        "f4": np.array([1.5, 2.5], dtype="float32"),
        "f2": np.array([1.5, 2.5], dtype="float16"),
        "i8": np.array([1, 2]),
        "i4": np.array([1, 2], dtype="int32"),
        "u1": np.array([1, 2], dtype="uint8"),
        "b1": np.array([True, False]),
        "c8": np.array([1j]),
        "t": np.arange(6.0).reshape(2, 3).T,
        "n": mx.nd.array([1, 2], dtype="int32"),
        "d": mx.nd.array([1, 2], dtype="float64"),
    }


values(
    __name__,
    sources,
    """
    nd.array(f8)
    nd.array(f4)
    nd.array(f2)
    nd.array(i8)
    nd.array(i4)
    nd.array(u1)
    nd.array(b1)
    nd.array(t)
    nd.array(n)
    nd.array(d)
    nd.array([1, 2])
    nd.array([1.5, 2])
    nd.array((1, 2))
    nd.array([True, False])
    nd.array([[1, 2], [3, 4]])
    nd.array([])
    nd.array([[]])
    nd.array(5)
    nd.array(5.5)
    nd.array(np.float64(2.5))
    nd.array(range(3))
    nd.array([[1, 2], [3]])
    nd.array('abc')
    nd.array(None)
    nd.array([None])
    nd.array([f8, f8])
    nd.array([np.float32(1), 2])
    nd.array(f8, dtype='float64')
    nd.array(f8, dtype=np.float64)
    nd.array(f8, dtype=np.dtype('int32'))
    nd.array([1.9, -1.9], dtype='int32')
    nd.array([1, 0, 2], dtype='bool')
    nd.array([1, 2], dtype=float)
    nd.array([1, 2], dtype=int)
    nd.array(d, dtype='float32')
    nd.array([1, 2], dtype='complex64')
    nd.array([1, 2], dtype='int16')
    nd.array([1, 2], dtype='uint32')
    nd.array([1, 2], ctx=mx.cpu())
    nd.array([1, 2], mx.cpu(1)).context
    nd.array([[[1]]])
    nd.zeros((2, 3))
    nd.zeros(3)
    nd.zeros((2,), dtype='int32')
    nd.zeros((2,), dtype='float64')
    nd.zeros((2,), dtype='bool')
    nd.zeros(shape=(1, 2), ctx=mx.cpu(), dtype='uint8')
    nd.zeros([2, 2])
    nd.zeros((2,), dtype='nonsense')
    nd.zeros((-1, 2))
    nd.zeros('a')
    nd.zeros()
    nd.ones((2, 3))
    nd.ones(2)
    nd.ones((2,), dtype='float16')
    nd.ones((2,), dtype='bool')
    nd.full((2, 2), 7)
    nd.full(2, 1.5)
    nd.full((2,), 1.5, dtype='int32')
    nd.full((2,), 3, dtype='float64')
    nd.full((2,), True)
    nd.full((2,), 300, dtype='uint8')
    [nd.empty((2, 3)).shape, nd.empty((2, 3)).dtype, nd.empty(4).shape]
    nd.empty(2, dtype='int64').dtype
    nd.arange(5)
    nd.arange(5, dtype='int32')
    nd.arange(2, 6)
    nd.arange(0, 1, 0.25)
    nd.arange(5, 0, -2)
    nd.arange(3, repeat=2)
    nd.arange(1, 4, 1, 3)
    nd.arange(0)
    nd.arange(3, 3)
    nd.arange(5, 2)
    nd.arange(0, 5, 0)
    nd.arange(2.5)
    nd.arange(0.5, 3)
    nd.arange(-3, 3, 1.5, dtype='float64')
    nd.arange(10, dtype='uint8')
    nd.arange(0, None)
    nd.arange(start=2, stop=8, step=3, dtype='int64')
    nd.arange(start=0, step=2, infer_range=True)
    nd.linspace(0, 1, 5)
    nd.linspace(0, 1, 4, endpoint=False)
    nd.linspace(1, 0, 3)
    nd.linspace(0, 10, 1)
    nd.linspace(2, 2, 3)
    nd.linspace(0, 4, 5, dtype='int32')
    nd.linspace(0, 1, 3, dtype='float64')
    nd.linspace(0, 1)
    nd.linspace(start=0, stop=2, num=3)
    nd.linspace(0, 1, -1)
    nd.eye(3)
    nd.eye(2, 3)
    nd.eye(3, k=1)
    nd.eye(3, k=-1)
    nd.eye(2, 4, 2)
    nd.eye(2, dtype='int32')
    nd.eye(0)
    nd.eye(3, 0)
    nd.eye(N=2, M=3, k=5)
    nd.zeros_like(n)
    nd.ones_like(n)
    nd.zeros_like(d)
    nd.ones_like(nd.array([1, 0], dtype='bool'))
    n.zeros_like()
    d.ones_like()
    nd.from_numpy(f8)
    nd.from_numpy(f4, zero_copy=False)
    nd.from_numpy(f2.copy())
    nd.from_numpy(i8)
    nd.from_numpy(b1)
    nd.from_numpy(t)
    nd.from_numpy(c8)
    nd.from_numpy([1, 2])
    nd.from_numpy(np.float64(3))
    nd.from_numpy(np.array(3.0))
    nd.from_numpy(np.arange(6.0)[::2])
    nd._internal._arange(start=0, stop=3)
    nd._internal._full(shape=(2,), value=3)
    nd._internal._zeros(shape=(2,))
    nd._internal._ones(shape=(2,), dtype='int32')
    nd._internal._eye(N=2)
    nd._internal._linspace(start=0, stop=1, num=3)
    nd.moveaxis(nd.zeros((2, 3)), 0, 1).shape
    nd.meshgrid(nd.arange(2), nd.arange(3)) if hasattr(nd, 'meshgrid') else 'absent'
    """,
)


@case
def zero_size(mx):
    """Legacy shape semantics: which creation functions accept a zero."""
    nd = mx.nd
    programs = [
        lambda: nd.zeros((0,)),
        lambda: nd.ones((2, 0)),
        lambda: nd.full((0,), 1),
        lambda: nd.empty((0, 2)).shape,
        lambda: nd.array([]),
        lambda: nd.array(np.zeros((0, 3))),
        lambda: nd.from_numpy(np.zeros((0, 3))),
    ]
    return [attempt(p) for p in programs]


@case
def from_numpy_shares_memory(mx):
    a = np.array([1.0, 2.0, 3.0])
    x = mx.nd.from_numpy(a)
    writeable = bool(a.flags.writeable)
    x[1] = 7
    x.wait_to_read()
    return [a.copy(), x, writeable]


@case
def from_numpy_copy_is_apart(mx):
    a = np.array([1.0, 2.0, 3.0])
    x = mx.nd.from_numpy(a, zero_copy=False)
    writeable = bool(a.flags.writeable)
    x[1] = 7
    a[0] = 9
    return [a.copy(), x, writeable]


@case
def array_copies_its_source(mx):
    a = np.array([1, 2, 3], dtype="float32")
    x = mx.nd.array(a)
    y = mx.nd.array(x)
    a[0] = 9
    x[1] = 8
    return [x, y]


@case
def from_dlpack_and_back(mx):
    x = mx.nd.array([[1, 2], [3, 4]])
    y = mx.nd.from_dlpack(x.to_dlpack_for_read())
    z = mx.nd.from_dlpack(mx.nd.to_dlpack_for_write(x))
    z[0, 0] = 9
    z.wait_to_read()
    return [y, z, x]


@case
def contexts(mx):
    x = mx.nd.zeros((1,))
    with mx.Context("cpu", 0) as inside:
        current = mx.current_context()
    with mx.cpu(1):
        other = mx.nd.zeros((1,)).context
    return [
        x.context,
        x.ctx,
        mx.cpu(),
        mx.cpu(0) == mx.Context("cpu", 0),
        mx.cpu(0) == mx.cpu(1),
        mx.gpu(1),
        current,
        inside,
        other,
        mx.cpu_pinned(),
        mx.cpu().device_type,
        mx.cpu(3).device_id,
        mx.cpu().device_typeid,
        mx.gpu().device_typeid,
        repr(mx.gpu(2)),
        str(mx.cpu()),
        hash(mx.cpu(1)) == hash(mx.cpu(1)),
        mx.Context(mx.cpu(2)),
        mx.current_context(),
        mx.context.num_gpus(),
        attempt(mx.Context, "nonsense"),
        mx.cpu() == "cpu(0)",
        x.as_in_context(mx.cpu()) is x,
        x.as_in_context(mx.cpu(1)).context,
        x.copyto(mx.cpu(1)).context,
    ]


@case
def gpu_cannot_be_used(mx):
    return [
        isinstance(attempt(mx.nd.zeros, (1,), ctx=mx.gpu()), Raised),
        attempt(mx.nd.array, [1], ctx=mx.gpu()),
    ]


# ---- random: shapes, dtypes, ranges and errors


def described(mx, program):
    x = program(mx)
    if hasattr(x, "wait_to_read"):
        x.wait_to_read()
    return [list(x.shape), x.dtype] if hasattr(x, "asnumpy") else x


RANDOM = """
r.uniform()
r.uniform(0, 1)
r.uniform(shape=3)
r.uniform(shape=(2, 3))
r.uniform(0, 1, (2, 3), 'float64')
r.uniform(shape=(2,), dtype='float16')
r.uniform(shape=(2,), dtype='int32')
r.uniform(low=-1, high=2, shape=(2,), ctx=mx.cpu())
r.uniform(nd.zeros((2,)), nd.ones((2,)))
r.uniform(nd.zeros((2,)), nd.ones((2,)), shape=(3,))
r.uniform(nd.zeros((2,)), 1)
r.uniform('a', 1)
r.uniform(shape=(-1,))
r.normal()
r.normal(0, 1, (2, 3))
r.normal(shape=(2,), dtype='float64')
r.normal(nd.zeros((2,)), nd.ones((2,)), shape=(3, 4))
r.normal(loc=1, scale=-1, shape=(2,))
r.randn(2, 3)
r.randn()
r.randn(2, loc=5, scale=2, dtype='float64')
r.randint(0, 5, shape=(2, 3))
r.randint(0, 5)
r.randint(-3, 4, (2,), 'int64')
r.randint(0, 5, shape=(2,), dtype='float32')
r.randint(5, 2, shape=(2,))
r.randint(5)
r.randint(0.5, 5, shape=(2,))
r.shuffle(nd.arange(6).reshape((3, 2)))
nd.random_uniform(shape=(2,))
nd.random_normal(loc=0, scale=1, shape=(2, 2))
nd.random_randint(low=0, high=4, shape=(2,))
nd.uniform(shape=(2,)) if hasattr(nd, 'uniform') else 'absent'
nd.shuffle(nd.arange(4))
nd.sample_uniform(nd.zeros((2,)), nd.ones((2,)), shape=(3,))
mx.random.seed(3)
mx.random.seed('a')
mx.random.seed(1.5)
mx.random.seed(1, ctx=mx.cpu())
mx.random.seed(1, ctx='all')
mx.random.uniform(0, 1, (2,))
mx.random.normal(0, 1, (2,))
mx.random.randint(0, 3, (2,))
mx.nd.random.uniform(shape=(2,), out=nd.zeros((2,)))
"""
EMPTY_RANGE = "r.randint(5, 5, shape=(2,))"  # a division by zero kills MXNet
for line in [*RANDOM.strip().splitlines(), EMPTY_RANGE]:

    def program(mx, line=line):
        return described(mx, lambda m: eval(line, {"mx": m, "nd": m.nd, "r": m.nd.random}))

    case(program, name=f"random {line}", unsafe=line == EMPTY_RANGE)


@case
def random_ranges_and_seeds(mx):
    r = mx.nd.random
    mx.random.seed(7)
    a = r.uniform(-1, 3, shape=(1000,)).asnumpy()
    b = r.randint(2, 5, shape=(1000,)).asnumpy()
    mx.random.seed(7)
    again = r.uniform(-1, 3, shape=(1000,)).asnumpy()
    n = r.normal(5, 2, shape=(20000,)).asnumpy()
    s = r.shuffle(mx.nd.arange(50)).asnumpy()
    return [
        bool((a >= -1).all() and (a < 3).all()),
        sorted(set(b.tolist())),
        bool((a == again).all()),
        bool(abs(n.mean() - 5) < 0.1),
        bool(abs(n.std() - 2) < 0.1),
        sorted(s.tolist()) == list(range(50)),
    ]


@case
def shuffle_moves_rows_and_returns_a_copy(mx):
    x = mx.nd.arange(6).reshape((3, 2))
    y = mx.nd.random.shuffle(x).asnumpy()
    return [x, bool((y[:, 1] - y[:, 0] == 1).all()), sorted(y[:, 0].tolist())]


@case
def random_gradient_is_none_of_its_business(mx):
    x = mx.nd.ones((3,))
    x.attach_grad()
    mx.random.seed(1)
    with mx.autograd.record():
        noise = mx.nd.random.uniform(shape=(3,))
        y = x * noise
    y.backward()
    return bool((x.grad.asnumpy() == noise.asnumpy()).all())
