"""csr and row_sparse arrays: made, indexed, assigned to, copied, converted and saved."""

import os
import pickle
import tempfile

import numpy as np
from harness import attempt, case, values

MATRIX = np.array([[0, 1, 0], [2, 0, 3], [0, 0, 0], [4, 0, 0]], "float64")


def with_scipy(mx):
    import scipy.sparse as sp

    return {**sources(mx), "m": sp.csr_matrix(MATRIX)}


def sources(mx):
    nd = mx.nd
    cube = np.arange(24.0).reshape(4, 3, 2)
    cube[1] = 0
    return {
        "s": nd.sparse,
        "d": MATRIX,
        "d3": cube,
        "n": nd.array(MATRIX, dtype="float64"),
        "c": nd.sparse.csr_matrix(MATRIX),
        "r": nd.sparse.row_sparse_array(MATRIX),
        "c0": nd.sparse.csr_matrix((3, 4)),
        "r0": nd.sparse.row_sparse_array((3, 4)),
        "three": ([1, 2, 3], [0, 2, 1], [0, 1, 3]),
        "two": ([[1, 2], [3, 4]], [0, 2]),
    }


# ---- making

values(
    __name__,
    sources,
    """
    s.csr_matrix(d)
    s.csr_matrix(d.tolist())
    s.csr_matrix(nd.array(d))
    s.csr_matrix(n)
    s.csr_matrix(d, dtype='float32')
    s.csr_matrix(d, shape=(4, 3))
    s.csr_matrix(d, shape=(5, 3))
    s.csr_matrix(np.array(d, 'int64'))
    s.csr_matrix(np.array(d, 'complex64'))
    s.csr_matrix((3, 4))
    s.csr_matrix((3, 4), dtype='float64')
    s.csr_matrix((3, 4), shape=(3, 4))
    s.csr_matrix((3, 4), shape=(3, 5))
    s.csr_matrix((-1, 3))
    s.csr_matrix((2.5, 3))
    s.csr_matrix((1,))
    s.csr_matrix((1, 2, 3, 4))
    s.csr_matrix(three)
    s.csr_matrix(three, shape=(2, 4))
    s.csr_matrix(three, shape=(2, 4), dtype='int32')
    s.csr_matrix(three, shape=(3, 4))
    s.csr_matrix(three, shape=(2, 2))
    s.csr_matrix(three, shape=(2, 4, 5))
    s.csr_matrix(three, shape=8)
    s.csr_matrix(([1, 2, 3], [0, -2, 1], [0, 1, 3]), shape=(2, 4))
    s.csr_matrix(([1, 2, 3], [0, 2, 1], [0, 1, 4]), shape=(2, 4))
    s.csr_matrix(([1, 2, 3], [0, 2, 1], [0, 1, 2]), shape=(2, 4))
    s.csr_matrix(([1, 2, 3], [0, 2, 1], [1, 1, 3]), shape=(2, 4))
    s.csr_matrix(([1, 2, 3], [0, 2, 1], [0, 2, 1]), shape=(2, 4))
    s.csr_matrix(([1, 2, 3], [0, 2], [0, 1, 3]), shape=(2, 4))
    s.csr_matrix(([1, 2, 3], [2, 0, 0], [0, 2, 3]), shape=(2, 4))
    s.csr_matrix(([1, 2, 3], [1, 1, 0], [0, 2, 3]), shape=(2, 4))
    s.csr_matrix(([1, 0, 3], [0, 2, 1], [0, 2, 3]), shape=(2, 4))
    s.csr_matrix(([], [], [0, 0, 0]), shape=(2, 4))
    s.csr_matrix(([], [], [0, 0, 0]))
    s.csr_matrix(([[1], [2]], [0, 1], [0, 1, 2]), shape=(2, 4))
    s.csr_matrix((np.array([1, 2, 3]), np.array([0, 2, 1], 'int32'), np.array([0, 1, 3], 'int32')))
    s.csr_matrix((np.array([1., 2, 3]), np.array([0, 2, 1], 'float32'), [0, 1, 3]))
    s.csr_matrix((nd.array([1, 2], dtype='float16'), nd.array([0, 2]), nd.array([0, 1, 2])))
    s.csr_matrix((np.array([True, False]), [0, 1], [0, 1, 2]))
    s.csr_matrix(([True, False], [0, 1], [0, 1, 2]))
    s.csr_matrix(([1, 2, 3], ([0, 1, 1], [0, 2, 1])))
    s.csr_matrix(([1, 2, 3], ([0, 1, 1], [0, 2, 1])), shape=(2, 4))
    s.csr_matrix(([1, 2, 3], ([0, 1, 1], [0, 2, 1])), shape=(2, 4), dtype='float16')
    s.csr_matrix((np.array([1., 2, 3]), (np.array([1, 0, 1]), np.array([2, 2, 2]))), shape=(2, 4))
    s.csr_matrix(([1, 2, 3], ([0, 1, 7], [0, 2, 1])), shape=(2, 4))
    s.csr_matrix(([1, 2, 3], ([0, 1, -1], [0, 2, 1])), shape=(2, 4))
    s.csr_matrix(([1, 2, 3], ([0, 1, 1], [0, 2, 4])), shape=(2, 4))
    s.csr_matrix(([1, 2], ([0, 1, 1], [0, 2, 1])), shape=(2, 4))
    s.csr_matrix((nd.array([1, 2, 3]), (nd.array([0, 1, 1]), nd.array([0, 2, 1]))), shape=(2, 4))
    s.csr_matrix(c)
    s.csr_matrix(c, dtype='int32')
    s.csr_matrix(c, shape=(4, 3))
    s.csr_matrix(c, shape=(4, 5))
    s.csr_matrix(r)
    s.csr_matrix([1, 2, 3])
    s.csr_matrix(np.zeros((2, 2, 2)))
    s.csr_matrix(5)
    s.csr_matrix('abc')
    s.csr_matrix(None)
    s.row_sparse_array(d)
    s.row_sparse_array(d.tolist())
    s.row_sparse_array(d, dtype='float32')
    s.row_sparse_array(d, shape=(4, 3))
    s.row_sparse_array(d, shape=(5, 3))
    s.row_sparse_array(d3)
    s.row_sparse_array(np.array([0, 1, 0, 2]))
    s.row_sparse_array([0, 1, 0, 2])
    s.row_sparse_array(n, dtype='int32')
    s.row_sparse_array(r)
    s.row_sparse_array(r, dtype='int32')
    s.row_sparse_array(r, shape=(5, 3))
    s.row_sparse_array(c)
    s.row_sparse_array((4, 3))
    s.row_sparse_array((4, 3), dtype='float64')
    s.row_sparse_array((4, 3), shape=(4, 4))
    s.row_sparse_array((4, 3, 2))
    s.row_sparse_array((4, 3, 2, 5))
    s.row_sparse_array((4,))
    s.row_sparse_array(())
    s.row_sparse_array((-1, 3))
    s.row_sparse_array((4, (3,)))
    s.row_sparse_array(two)
    s.row_sparse_array(two, shape=(4, 2))
    s.row_sparse_array(two, shape=(2, 2))
    s.row_sparse_array(two, shape=(4, 3))
    s.row_sparse_array(two, shape=(4, 1))
    s.row_sparse_array(two, shape=(4, 2, 1))
    s.row_sparse_array(([[1, 2], [3, 4]], [2, 0]), shape=(4, 2))
    s.row_sparse_array(([[1, 2], [3, 4]], [2, 0]), shape=(4, 2)).asnumpy()
    s.row_sparse_array(([[1, 2], [3, 4]], [1, 1]), shape=(4, 2))
    s.row_sparse_array(([[1, 2], [3, 4]], [1, -1]), shape=(4, 2))
    s.row_sparse_array(([[1, 2], [3, 4]], [1, 9]), shape=(4, 2))
    s.row_sparse_array(([[1, 2], [3, 4]], [1]), shape=(4, 2))
    s.row_sparse_array(([[1, 2], [3, 4]], [1, 2, 3]), shape=(4, 2))
    s.row_sparse_array(([1, 2], [1, 2]), shape=(4,))
    s.row_sparse_array(([1, 2], [1, 2]))
    s.row_sparse_array((np.array([[1, 2]]), np.array([2], 'float32')), shape=(4, 2))
    s.row_sparse_array((np.array([[1., 2]]), np.array([2], 'int32')), shape=(4, 2), dtype='float16')
    s.row_sparse_array((nd.array([[1, 2]], dtype='float64'), nd.array([2])))
    s.row_sparse_array((nd.array([[[1, 2], [3, 4]]]), nd.array([1], dtype='int64')))
    s.row_sparse_array((3, [1, 2]))
    s.row_sparse_array(([3], 2))
    s.row_sparse_array(([], []), shape=(4, 2))
    s.row_sparse_array(([], []))
    s.row_sparse_array((np.zeros((0, 2)), []), shape=(4, 2))
    s.row_sparse_array((np.zeros((0, 2)), []))
    s.row_sparse_array(5)
    s.row_sparse_array(None)
    s.row_sparse_array('abc')
    s.array(r)
    s.array(c)
    s.array(r, dtype='int32')
    s.array(d)
    s.array([1, 2])
    s.array(n)
    nd.array(r)
    nd.array(c)
    nd.array(r, dtype='int32')
    s.zeros('csr', (2, 3))
    s.zeros('csr', (2, 3), dtype='float64')
    s.zeros('csr', (2, 3), mx.cpu(1)).context
    s.zeros('csr', (2, 3), foo=1)
    s.zeros('row_sparse', (2, 3))
    s.zeros('row_sparse', (2,))
    s.zeros('row_sparse', (2, 3, 4), dtype='int32')
    s.zeros('default', (2, 3))
    s.zeros('default', (2, 3), dtype='int32')
    s.zeros('banana', (2, 3))
    s.empty('csr', (2, 3))
    s.empty('row_sparse', (2, 3), dtype='float64')
    s.empty('row_sparse', 3)
    s.empty('banana', (2, 3))
    nd.zeros((2, 3), stype='csr')
    nd.zeros((2, 3), stype='row_sparse', dtype='int32')
    nd.zeros((2, 3), stype='banana')
    nd.empty((2, 3), stype='csr')
    nd.empty((2, 3), stype='row_sparse')
    nd.empty((2, 3), stype='banana')
    nd.ones((2, 3), stype='csr')
    """,
)

# ---- properties and methods

values(
    __name__,
    sources,
    """
    [type(x).__name__ for x in (c, r, c.data, r.indices)]
    [x.stype for x in (c, r, n, c.data)]
    [x.shape for x in (c, r, c0, r0)]
    [x.dtype for x in (c, r, c0, r0)]
    [x.ndim for x in (c, r)]
    [len(x) for x in (c, r)]
    [x.context for x in (c, r)]
    c.data
    c.indices
    c.indptr
    r.data
    r.indices
    c0.data
    r0.data
    r.indptr
    c.asnumpy()
    r.asnumpy()
    c0.asnumpy()
    r0.asnumpy()
    [c.grad, r.grad]
    c.T
    r.T
    repr(c)
    str(r)
    repr(s.zeros('row_sparse', (4, 3, 2)))
    c.asscalar()
    c.size
    bool(c)
    float(c)
    c.copy()
    r.copy()
    c.astype('int32')
    r.astype('float16')
    c.astype('bool')
    c.astype('banana')
    [c.astype('float64') is c, c.astype('float64', copy=False) is c, r.astype(r.dtype, False) is r]
    c.as_in_context(mx.cpu(0)) is c
    c.as_in_context(mx.cpu(1))
    r.as_in_context(mx.cpu(1)).context
    c.detach()
    r.detach()
    [x.wait_to_read() for x in (c, r)]
    [x.check_format() for x in (c, r, c0, r0)]
    [x.check_format(full_check=False) for x in (c, r)]
    s.csr_matrix(([1, 2, 3], [2, 0, 0], [0, 2, 3]), shape=(2, 4)).check_format()
    s.csr_matrix(([1, 2, 3], [2, 0, 0], [0, 2, 3]), shape=(2, 4)).check_format(False)
    s.csr_matrix(([1, 2, 3], [2, 0, 0], [0, 2, 3]), shape=(2, 4)).asnumpy()
    s.csr_matrix(([1, 2, 3], [2, 0, 0], [0, 2, 3]), shape=(2, 4)).copy()
    s.csr_matrix(([1, 2, 3], [2, 0, 0], [0, 2, 3]), shape=(2, 4))[0:1]
    s.csr_matrix(([1, 2, 3], [1, 1, 0], [0, 2, 3]), shape=(2, 4)).check_format()
    s.csr_matrix(([1, 2, 3], [1, 1, 0], [0, 2, 3]), shape=(2, 4)).asnumpy()
    s.csr_matrix(([1, 2, 3], [0, 9, 1], [0, 2, 3]), shape=(2, 4)).check_format()
    s.csr_matrix(([1, 2, 3], [0, 2, 1], [0, 2, 1]), shape=(2, 4)).check_format()
    s.row_sparse_array(([[1, 2], [3, 4]], [1, 9]), shape=(4, 2)).check_format()
    s.row_sparse_array(([[1, 2], [3, 4]], [1, 1]), shape=(4, 2)).check_format()
    c.reshape((3, 4))
    c.reshape(3, 4)
    r.reshape(-1)
    r.reshape(shape=(3, 4))
    c.as_nd_ndarray() is c
    hash(c) == hash(c)
    """,
)

values(
    __name__,
    sources,
    """
    c.tostype('default')
    c.tostype('csr')
    c.tostype('row_sparse')
    c.tostype('banana')
    c.tostype('csr') is c
    r.tostype('default')
    r.tostype('row_sparse')
    r.tostype('csr')
    n.tostype('csr')
    n.tostype('row_sparse')
    n.tostype('default')
    n.tostype('banana')
    nd.array([1, 0]).tostype('csr')
    nd.array([1, 0]).tostype('row_sparse')
    nd.zeros((2, 3, 4)).tostype('row_sparse')
    nd.zeros((2, 3, 4)).tostype('csr')
    nd.array([[1, float('nan')], [-0.0, 0]]).tostype('csr')
    nd.array([[1, float('nan')], [-0.0, 0]]).tostype('row_sparse')
    s.cast_storage(n, 'csr')
    nd.cast_storage(c, 'default')
    nd.cast_storage(c, 'csr')
    nd.cast_storage(c, 'row_sparse')
    nd.cast_storage(r, 'csr')
    nd.cast_storage(r, stype='default')
    nd.cast_storage(r, 'banana')
    """,
)

# ---- to and from SciPy

values(
    __name__,
    with_scipy,
    """
    s.csr_matrix(m)
    s.csr_matrix(m, dtype='float32')
    s.csr_matrix(m, shape=(4, 3))
    s.csr_matrix(m, shape=(4, 4))
    s.row_sparse_array(m)
    s.array(m)
    s.array(m, dtype='float16')
    s.array(m.astype('int64'))
    s.array(m.astype('bool'))
    s.array(m.astype('complex64'))
    nd.array(m)
    nd.array(m, dtype='float32')
    nd.array(m[2:])
    nd.array(m, ctx=mx.cpu(1)).context
    c.asscipy().toarray()
    [c.asscipy().data, str(c.asscipy().dtype), c.asscipy().shape]
    [c.asscipy().indices, c.asscipy().indptr]
    c0.asscipy().toarray()
    r.asscipy()
    s.csr_matrix(([1, 2, 3], [2, 0, 0], [0, 2, 3]), shape=(2, 4)).asscipy().has_sorted_indices
    s.csr_matrix(([1, 2, 3], [1, 1, 0], [0, 2, 3]), shape=(2, 4)).asscipy().toarray()
    """,
    needs="scipy",
)

# ---- indexing

values(
    __name__,
    sources,
    """
    c[0]
    c[-1]
    c[3]
    c[0:2]
    c[1:]
    c[:]
    c[:] is c
    c[1:1]
    c[3:1]
    c[2:100]
    c[-2:]
    c0[1:2]
    c[4]
    c[-5]
    c[np.int64(1)]
    c[::2]
    c[::-1]
    c[0, 1]
    c[0:2, 0:2]
    c[...]
    c[[0, 1]]
    c[np.array([0, 1])]
    c[nd.array([0, 1])]
    c[None]
    c['a']
    c[1.5]
    r[:]
    r[:] is r
    r[0]
    r[0:2]
    r[::2]
    r[0, 0]
    r[...]
    r[[0]]
    """,
)


def _after(line, text):
    """The result of an assignment: the arrays, each as MXNet would show it, or the error."""

    def run(mx):
        env = {"mx": mx, "nd": mx.nd, "np": np, **sources(mx)}
        exec(line, env)
        return eval(text, env)

    case(run, name=line)


for _line in """
    c[:] = 2
    c[:] = n
    c[:] = np.eye(4, 3)
    c[:] = np.ones((2, 3))
    c[:] = s.csr_matrix(np.eye(4, 3))
    c[:] = s.csr_matrix(np.eye(4, 3, dtype='float32'))
    c[:] = s.csr_matrix(np.eye(3, 3))
    c[:] = r
    c[:] = [[1, 2, 3]] * 4
    c[:] = 'a'
    c[:] = None
    c[:] = c
    c[...] = 2
    c[0] = 2
    c[0:2] = 2
    c[0:4] = n
    c[0:4:1] = 2
    c[0, 1] = 2
    c.data[:] = 9
    c.indices[:] = 0
    c.indptr[:] = 0
    r.copyto(c)
    n.copyto(c)
    s.csr_matrix(np.eye(4, 3)).copyto(c)
    s.csr_matrix(np.eye(4, 3, dtype='float32')).copyto(c)
    s.csr_matrix(np.eye(3, 3)).copyto(c)
    c.copyto(np.ones((4, 3)))
    c.copyto('a')
    """.strip().splitlines():
    _after(_line.strip(), "c")

for _line in """
    r[:] = 2
    r[:] = 0
    r[:] = n
    r[:] = np.eye(4, 3)
    r[:] = np.ones((2, 3))
    r[:] = s.row_sparse_array(np.eye(4, 3))
    r[:] = s.row_sparse_array(np.eye(4, 3, dtype='float32'))
    r[:] = s.row_sparse_array(np.eye(3, 3))
    r[:] = c
    r[:] = [[1, 2, 3]] * 4
    r[:] = r
    r[...] = 2
    r[0] = 2
    r[0:2] = 2
    r[0:4] = n
    r[0, 1] = 2
    r.data[:] = 9
    r.indices[:] = 0
    c.copyto(r)
    n.copyto(r)
    s.row_sparse_array(np.eye(4, 3)).copyto(r)
    s.row_sparse_array(np.eye(4, 3, dtype='float32')).copyto(r)
    s.row_sparse_array(np.eye(3, 3)).copyto(r)
    r.copyto(np.ones((4, 3)))
    """.strip().splitlines():
    _after(_line.strip(), "r")

for _line in """
    c.copyto(n)
    r.copyto(n)
    c[0:2].copyto(n)
    n[:] = c
    n[:] = r
    n[1] = r
    """.strip().splitlines():
    _after(_line.strip(), "n")

# In place; the values and the storage type, as MXNet leaves what it does not need in the parts.
for _line in """
    c += 1
    c += s.csr_matrix(np.eye(4, 3))
    c -= s.csr_matrix(np.eye(4, 3))
    c *= s.csr_matrix(np.ones((4, 3)))
    c += n
    c *= n
    c *= nd.ones((1, 3), dtype='float64')
    c *= 2
    c /= 2
    """.strip().splitlines():
    _after(_line.strip(), "[c.stype, c.asnumpy()]")

for _line in """
    r += 1
    r += s.row_sparse_array(np.eye(4, 3))
    r -= s.row_sparse_array(np.eye(4, 3))
    r *= s.row_sparse_array(np.ones((4, 3)))
    r += n
    r *= n
    r *= 2
    r /= 2
    """.strip().splitlines():
    _after(_line.strip(), "[r.stype, r.asnumpy()]")

for _line in """
    n += r
    n += c
    n -= c
    n *= r
    """.strip().splitlines():
    _after(_line.strip(), "n")


@case
def copyto_gives_its_target(mx):
    env = sources(mx)
    c, r, n = env["c"], env["r"], env["n"]
    other = mx.nd.sparse.zeros("csr", (4, 3), dtype="float64")
    moved = r.copyto(mx.cpu(1))
    return [c.copyto(other) is other, c.copyto(n) is n, moved, moved.context]


@case
def copies_have_memory_of_their_own(mx):
    env = sources(mx)
    c, r = env["c"], env["r"]
    copied = [c.copy(), r.copy(), c.astype("float64"), r.tostype("row_sparse"), c.tostype("csr")]
    r[:] = 0
    c[:] = mx.nd.sparse.csr_matrix(np.eye(4, 3))
    return [x.asnumpy() for x in copied]


# ---- functions of arrays and numbers

values(
    __name__,
    sources,
    """
    s.add(1, 2)
    s.subtract(5, 2)
    s.multiply(2, 3)
    s.divide(6, 3)
    s.divide(2, c).asnumpy()
    s.divide(c, 2).asnumpy()
    s.multiply(c, 2).asnumpy()
    s.multiply(2, r).asnumpy()
    s.add(c, 1).asnumpy()
    s.add(1, r).asnumpy()
    s.subtract(2, c).asnumpy()
    s.subtract(c, 2).asnumpy()
    s.add(c, d)
    s.multiply(n, n)
    s.add(c, s.csr_matrix((3, 3), dtype='float64'))
    s.multiply(c, nd.ones((1, 3), dtype='float64')).asnumpy()
    s.divide(c, nd.ones((1, 3), dtype='float64') * 2).asnumpy()
    s.add(c, nd.ones((1, 3), dtype='float64'))
    [x.asnumpy() for x in (s.add(c, c), s.subtract(c, n), s.multiply(c, c), s.divide(c, c))]
    [x.asnumpy() for x in (s.add(r, r), s.subtract(r, n), s.multiply(r, r), s.divide(r, r))]
    s.add(c, r).asnumpy()
    """,
)

# ---- files and pickles


def saved(mx, data):
    """The bytes of the file."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "x.params")
        mx.nd.save(path, data)
        with open(path, "rb") as f:
            return f.read().hex()


for _name, _make in {
    "csr": "s.csr_matrix(d)",
    "csr float16": "s.csr_matrix(d, dtype='float16')",
    "csr int64": "s.csr_matrix(d, dtype='int64')",
    "csr bool": "s.csr_matrix((np.array([True, False]), [0, 1], [0, 1, 2]))",
    "csr of zeros": "s.zeros('csr', (2, 3))",
    "csr empty": "s.empty('csr', (2, 3))",
    "csr without elements": "s.csr_matrix(([], [], [0, 0, 0]), shape=(2, 4))",
    "csr without rows": "c[1:1]",
    "csr of an empty row": "c[2:3]",
    "csr not in order": "s.csr_matrix(([1, 2, 3], [2, 0, 0], [0, 2, 3]), shape=(2, 4))",
    "csr on cpu(1)": "s.csr_matrix(d, ctx=mx.cpu(1))",
    "row_sparse": "s.row_sparse_array(d)",
    "row_sparse int32": "s.row_sparse_array(d, dtype='int32')",
    "row_sparse 3-d": "s.row_sparse_array(d3)",
    "row_sparse 1-d": "s.row_sparse_array(np.array([0, 1.]))",
    "row_sparse of zeros": "s.zeros('row_sparse', (2, 3, 2))",
    "row_sparse without rows": "s.row_sparse_array((np.zeros((0, 2)), []), shape=(4, 2))",
    "row_sparse full": "s.row_sparse_array(d + 1)",
    "list": "[c, nd.ones((1,)), r]",
    "dict": "{'a': c, 'b': nd.ones((1,)), 'c': r}",
}.items():

    def _run(mx, make=_make):
        return saved(mx, eval(make, {"mx": mx, "nd": mx.nd, "np": np, **sources(mx)}))

    case(_run, name=f"saved {_name}")


@case
def saved_and_loaded(mx):
    env = sources(mx)
    data = {k: env[k] for k in ("c", "r", "n", "c0", "r0")}
    data["h"] = env["c"].astype("float16")
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "x.params")
        mx.nd.save(path, data)
        return mx.nd.load(path)


@case
def pickled(mx):
    env = sources(mx)
    return [pickle.loads(pickle.dumps(env[k])) for k in ("c", "r", "c0", "r0")]


@case
def gradients_are_of_the_storage_type_of_the_array(mx):
    env = sources(mx)
    c, r, n = env["c"], env["r"], mx.nd.array(MATRIX)
    c.attach_grad()
    r.attach_grad()
    n.attach_grad(stype="row_sparse")
    return [
        c.grad,
        r.grad,
        n.grad,
        attempt(n.attach_grad, stype="csr"),
        attempt(n.attach_grad, stype="x"),
    ]
