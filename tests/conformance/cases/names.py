"""Names and attributes of symbols, NumPy's shapes, ignored keywords, registries, vocabularies."""

import os
import tempfile
import threading
import warnings
from collections import Counter

import numpy as np
from harness import attempt, case, values


def in_thread(function):
    results = []
    thread = threading.Thread(target=lambda: results.append(attempt(function)))
    thread.start()
    thread.join()
    return results[0]


# ---- mx.name, mx.AttrScope


@case
def name_manager(mx):
    names = mx.name.NameManager()
    return [
        names.get(*a) for a in (("a", "b"), (None, "fc"), (None, "fc"), ("", "fc"), (None, "Fc"))
    ]


@case
def name_prefix(mx):
    names = mx.name.Prefix("net_")
    return [names.get("a", "b"), names.get(None, "fc"), names.get(None, "fc")]


@case
def name_current(mx):
    manager, prefix = mx.name.NameManager, mx.name.Prefix("p_")
    outer = manager.current
    with prefix as inner:
        results = [inner is prefix, manager.current is prefix, prefix.current is prefix]
        results.append(in_thread(lambda: type(manager.current).__name__))
        with manager() as innermost:
            results.append(manager.current is innermost)
        results.append(manager.current is prefix)
    return [*results, manager.current is outer, in_thread(lambda: manager.current is outer)]


@case
def name_current_can_be_set(mx):
    manager = mx.name.NameManager
    outer, mine = manager.current, mx.name.Prefix("q_")
    manager.current = mine
    results = [manager.current is mine, manager.current.get(None, "fc")]
    manager.current = outer
    return [*results, manager.current is outer]


@case
def name_manager_derived(mx):
    class Mine(mx.name.NameManager):
        def get(self, name, hint):
            return "mine_" + super().get(name, hint)

    with Mine():
        return mx.name.NameManager.current.get(None, "fc")


@case
def name_after_an_error(mx):
    outer = mx.name.NameManager.current
    try:
        with mx.name.Prefix("p_"):
            raise ValueError
    except ValueError:
        return mx.name.NameManager.current is outer


@case
def attr_scope(mx):
    scope = mx.AttrScope(__group__="a", y="1")
    return [
        scope.get(None),
        scope.get({}),
        scope.get({"y": "2", "z": "3"}),
        mx.AttrScope().get(None),
    ]


@case
def attr_scope_wants_text(mx):
    return [attempt(mx.AttrScope, a=value) for value in (1, None, 2.0)]


@case
def attr_scope_nested(mx):
    current = lambda: mx.AttrScope.current.get(None)  # noqa: E731
    results = [current()]
    with mx.AttrScope(x="1", y="1") as outer:
        results.append(current())
        with mx.AttrScope(y="2", z="3") as inner:
            results += [current(), inner.get({"x": "4"}), in_thread(current)]
        results += [current(), mx.AttrScope.current is outer]
    return [*results, current(), mx.attribute.AttrScope is mx.AttrScope]


# ---- NumPy's shapes


@case
def np_shape_flag(mx):
    results = [mx.is_np_shape(), mx.set_np_shape(True), mx.set_np_shape(False), mx.is_np_shape()]
    with mx.np_shape(True) as _:
        results.append(mx.is_np_shape())
        with mx.np_shape(False):
            results.append(mx.is_np_shape())
        results += [mx.is_np_shape(), in_thread(mx.is_np_shape)]
    results += [mx.is_np_shape(), in_thread(lambda: mx.set_np_shape(True)), mx.is_np_shape()]
    results += [mx.util.use_np_shape(mx.is_np_shape)(), mx.is_np_shape(), mx.is_np_array()]
    return results


@case
def np_shape_bad_flags(mx):
    return [attempt(mx.set_np_shape, flag) for flag in (None, "a", 1.0)]


@case
def np_shape_set_np(mx):
    results = [attempt(mx.util.set_np, shape=False, array=True)]
    mx.util.set_np(shape=True, array=False)
    results.append(mx.is_np_shape())
    mx.util.reset_np()
    return [*results, mx.is_np_shape(), attempt(mx.use_np_shape, 3)]


@case
def np_shape_of_a_class(mx):
    @mx.use_np_shape
    class Layer:
        size = 3

        def __init__(self):
            self.made = mx.is_np_shape()

        def called(self):
            return mx.is_np_shape()

        @property
        def asked(self):
            return mx.is_np_shape()

    layer = Layer()
    return [layer.made, layer.called(), layer.asked, layer.size, mx.is_np_shape()]


def np_arrays(mx):
    return {"v": mx.nd.array([1.0, 2.0, 3.0]), "m": mx.nd.array([[1.0, 2.0], [3.0, 4.0]])}


class Shaped:
    """Every expression of these is run with NumPy's shapes."""

    TEXT = """
    v[0]
    v[-1]
    v[np.int64(1)]
    v[0:1]
    v[1:1].shape
    [x.shape for x in v]
    [x.shape for x in m]
    m[0]
    m[0][1]
    m[0, 1]
    m[-1, -1]
    m[(0, 1)]
    m[0, 0:1]
    m[[0], [1]]
    m[0, [1]]
    m[..., 0]
    m[None, 0, 0].shape
    m[0, 0] + 1
    m[0, 0] * m
    m[0, 0].asscalar()
    v.sum()
    m.max()
    nd.dot(v, v)
    nd.zeros((0, 3)).shape
    nd.zeros(())
    nd.ones((2, 0)).shape
    nd.full((), 2)
    nd.array(3.0) + 1
    nd.exp(nd.zeros((0, 3))).shape
    nd.zeros((0, 3)).sum()
    nd.zeros((0, 3)).T.shape
    nd.concat(nd.zeros((0, 2)), m, dim=0)
    nd.take(m, nd.array(1.0))
    nd.take(m, nd.zeros((0,))).shape
    nd.stack(nd.array(1.0), nd.array(2.0))
    nd.expand_dims(nd.array(3.0), axis=0)
    nd.one_hot(nd.array(1.0), 3)
    nd.zeros((0, 4)).reshape((0, 2, 2)).shape
    nd.broadcast_to(nd.ones((1, 2)), shape=(0, 2)).shape
    nd.array(3.0)[()]
    m.reshape((0, -1))
    nd.random.uniform(shape=(0, 2)).shape
    nd.random.uniform(shape=()).shape
    """

    def __init__(self, line):
        self.line, self.__module__ = line, __name__

    def __call__(self, mx):
        with mx.np_shape(True):
            env = {"mx": mx, "nd": mx.nd, "np": np, **np_arrays(mx)}
            return eval(self.line, env)


for _line in filter(None, map(str.strip, Shaped.TEXT.splitlines())):
    case(Shaped(_line), name="np_shape: " + _line)


@case
def np_shape_gradient(mx):
    with mx.np_shape(True):
        m = mx.nd.array([[1.0, 2.0], [3.0, 4.0]])
        m.attach_grad()
        with mx.autograd.record():
            y = m[0, 0] * m[1][1]
        y.backward()
        return [y, m.grad]


@case
def np_shape_assigning(mx):
    with mx.np_shape(True):
        v, m = mx.nd.array([1.0, 2.0, 3.0]), mx.nd.array([[1.0, 2.0], [3.0, 4.0]])
        v[0], m[0, 0], m[1] = 7, v[1], v[0]
        return [v, m]


# ---- keywords that operators without parameters ignore

values(
    __name__,
    lambda mx: {
        "f": mx.nd.array([[0.25, -0.5]]),
        "g": mx.nd.array([[2.0, 4.0]]),
        "i": mx.nd.array([[1, 0]], dtype="int32"),
    },
    """
    nd.zeros_like(f, ctx=mx.cpu())
    nd.ones_like(f, ctx=mx.cpu())
    nd.ones_like(f, dtype='float16')
    nd.zeros_like(i, dtype=np.float64)
    nd.zeros_like(f, dtype='int32', ctx=mx.cpu())
    nd.ones_like(f, dtype='none of them')
    nd.exp(f, dtype='float64')
    nd.sqrt(g, ctx='cpu')
    nd.broadcast_add(f, g, dtype='int8')
    nd.elemwise_mul(f, g, ctx=None, dtype=None)
    nd.relu(f, dtype='int32')
    nd.where(i, f, g, dtype='float16')
    nd.shape_array(f, dtype='float32')
    nd.linalg.det(nd.array([[1, 2], [3, 4]]), dtype='float64')
    f.zeros_like(dtype='int8', ctx=mx.cpu())
    f.sigmoid(dtype='int8')
    nd.sum(f, ctx=mx.cpu())
    nd.concat(f, g, ctx=mx.cpu())
    nd.add_n(f, g, dtype='float16')
    nd.expand_dims(f, axis=0, dtype='float16')
    nd.dot(f, g, transpose_b=True, dtype='float16')
    """,
    prefix="keywords: ",
)


# ---- mx.base, mx.util, mx.engine

values(
    __name__,
    lambda mx: {"base": mx.base, "util": mx.util},
    """
    base._as_list(3)
    base._as_list([3])
    base._as_list((3,))
    base._as_list(None)
    base._as_list('ab')
    base.py_str(b'abc')
    base.mx_real_t is np.float32
    [isinstance(x, base.numeric_types) for x in (1, 1.0, np.float32(1), np.int8(1), True, 'a')]
    [isinstance(x, base.integer_types) for x in (1, 1.0, np.float32(1), np.int64(1), True, 'a')]
    isinstance('a', base.string_types)
    base.c_str('ab').value.decode()
    [x.decode() for x in base.c_str_array(['ab', 'c'])]
    list(base.c_array(base.mx_uint, [1, 2]))
    base.check_call(0)
    attempt(base.check_call, -1)
    [nd.ndarray.py_slice(1, 2), nd.ndarray.py_slice is slice][1]
    sorted((np.dtype(k).name, v) for k, v in nd._DTYPE_NP_TO_MX.items() if k and 0 <= v <= 7)
    nd._GRAD_REQ_MAP
    mx.libinfo.__version__
    len(mx.libinfo.find_lib_path())
    util.get_gpu_count()
    attempt(util.get_gpu_memory, 0)
    attempt(util.get_cuda_compute_capability, mx.cpu())
    util.getenv('NOBODY_SETS_THIS')
    [util.setenv('CONFORMANCE', '1'), util.getenv('CONFORMANCE'), util.setenv('CONFORMANCE', None)]
    [util.np_ufunc_legal_option('casting', x) for x in ('no', 'safe', 'never', True, None)]
    [util.np_ufunc_legal_option('order', x) for x in ('K', 'C', True, None, 1)]
    [util.np_ufunc_legal_option('dtype', x) for x in ('float32', np.int64, 'abc', None, 1, float)]
    [util.np_ufunc_legal_option('subok', x) for x in (True, False, 'C', None, 1)]
    [util.np_ufunc_legal_option(x, True) for x in ('where', 'axis', 'out', 'foo')]
    util.wrap_np_unary_func(lambda x, out=None: 2 * x)(3, where=True, order='K')
    attempt(util.wrap_np_unary_func(lambda x, out=None: 2 * x), 3, where=False)
    attempt(util.wrap_np_unary_func(lambda x, out=None: 2 * x), 3, foo=1)
    attempt(util.wrap_np_binary_func(lambda x, y, out=None: x * y), 3, 2, casting='safe')
    util.wrap_np_binary_func(lambda x, y, out=None: x * y)(3, 2, casting='same_kind')
    util.set_module('abc')(lambda: 1).__module__
    [mx.engine.set_bulk_size(10), mx.engine.set_bulk_size(0)][1]
    attempt(mx.engine.set_bulk_size, 'a')
    """,
)


@case
def engine_bulk(mx):
    before = mx.engine.set_bulk_size(7)
    with mx.engine.bulk(3):
        inside = mx.engine.set_bulk_size(3)
    return [inside, mx.engine.set_bulk_size(before)]


# ---- mx.registry


@case
def registry(mx):
    class Base:
        def __init__(self, *args, **kwargs):
            self.given = [list(args), kwargs]

    class One(Base):
        pass

    class Two(Base):
        pass

    registry = mx.registry
    register = registry.get_register_func(Base, "thing")
    alias = registry.get_alias_func(Base, "thing")
    create = registry.get_create_func(Base, "thing")
    results = [register(One) is One, alias("uno", "Eins")(One) is One]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        register(Two, "one")
        results.append([w.category.__name__ for w in caught])
    register(One, "One")
    results.append(sorted(registry.get_registry(Base)))

    def made(*args, **kwargs):
        thing = create(*args, **kwargs)
        return [type(thing).__name__, thing.given]

    for args, kwargs in (
        (("one",), {}),
        (("ONE", 1), {"b": 2}),
        (("eins",), {}),
        ((), {"thing": "uno", "x": 1}),
        (({"thing": "one", "x": 2},), {}),
        (('["one", {"x": 3}]',), {}),
        (('{"thing": "one", "x": 3}',), {}),
        (("nope",), {}),
        ((), {}),
        ((3,), {}),
        ((One(), 1), {}),
        (('["one", {}]', 1), {}),
    ):
        results.append(attempt(made, *args, **kwargs))
    one = One()
    return [*results, create(one) is one, attempt(register, int), attempt(alias("q"), int)]


# ---- PythonOp, NumpyOp, NDArrayOp


@case
def python_ops(mx):
    results = []
    for cls in (mx.operator.PythonOp, mx.operator.NumpyOp, mx.operator.NDArrayOp):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            op, loss = cls(), cls(need_top_grad=False)
        ours = [w for w in caught if "deprecated" in str(w.message)]
        results.append([len(ours), op.need_top_grad(), loss.need_top_grad()])
        results.append([op.list_arguments(), op.list_outputs(), op.infer_shape([[2, 3], [4]])])
        x, y, g = mx.nd.ones((2,)) * 3, mx.nd.zeros((2,)), mx.nd.zeros((2,))
        results.append([op.forward([x], [y]), op.backward([x], [x], [y], [g]), y, g])
    results.append(op.declare_backward_dependency([1], [2, 3], [4]))
    results.append(loss.declare_backward_dependency([1], [2, 3], [4]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results.append(attempt(mx.operator.PythonOp()))
    return results


# ---- mx.contrib.text


def text(mx):
    from importlib import import_module

    return {
        "V": import_module(mx.__name__ + ".contrib.text").vocab.Vocabulary,
        "U": import_module(mx.__name__ + ".contrib.text").utils.count_tokens_from_str,
        "T": import_module(mx.__name__ + ".contrib.text").embedding,
        "c": Counter(["c", "b", "b", "a", "a", "a", "some_word$"]),
        "all": lambda v: [v.idx_to_token, v.unknown_token, v.reserved_tokens, len(v)],
        "Counter": Counter,
    }


values(
    __name__,
    text,
    """
    U(' Life is great ! \\n life is good . \\n')
    U(' Life is great ! \\n life is good . \\n', to_lower=True)
    U('a--b--c;;d', '--', ';;')
    U('a.b', '.')
    U('a||b', '||')
    U('')
    U('a b', counter_to_update=Counter({'a': 1}))
    all(V(c))
    V(c).token_to_idx
    all(V(c, min_freq=2))
    all(V(c, most_freq_count=2))
    all(V(c, most_freq_count=2, min_freq=3))
    all(V(c, most_freq_count=0))
    all(V(c, most_freq_count=-1))
    all(V(c, reserved_tokens=['<pad>', 'b']))
    all(V(c, most_freq_count=2, reserved_tokens=['b', '<p>']))
    all(V(c, unknown_token='a'))
    all(V(c, reserved_tokens=[]))
    all(V())
    all(V(Counter({'<unk>': 5, 'a': 1})))
    attempt(V, c, reserved_tokens=['<unk>'])
    attempt(V, c, reserved_tokens=['x', 'x'])
    attempt(V, c, min_freq=0)
    attempt(V, {'a': 1})
    [V(c).to_indices(x) for x in ('c', ['c', 'zz'], [], 3)]
    [V(c).to_tokens(x) for x in (1, [1, 2], [])]
    [attempt(V(c).to_tokens, x) for x in (100, [1, 100])]
    T.get_pretrained_file_names('glove')
    [sorted(T.get_pretrained_file_names('fasttext'))[i] for i in (0, 1, 100, -1)]
    len(T.get_pretrained_file_names('fasttext'))
    sorted(T.get_pretrained_file_names())
    attempt(T.get_pretrained_file_names, 'nope')
    attempt(T.create, 'nope')
    attempt(T.create, 'glove', pretrained_file_name='x.txt')
    """,
    prefix="text: ",
)

FILES = {
    "plain": "a 0.5 0.25 3\nb 1 2 3\nc 4 5 6\n",
    "unknown": "a 0.5 0.25 3\n<unk> 7 8 9\nb 1 2 3\na 9 9 9\n",
    "header": "2 3\na 0.5 0.25 3\nb 1 2 3\n",
    "uneven": "a 1 2 3\nb 1 2\n",
    "blank": "a 1 2\n\n",
    "words": "a x y\n",
}


class Embedded:
    """An embedding of one of the files, and what an expression over it gives."""

    def __init__(self, file, text, **kwargs):
        self.file, self.text, self.kwargs = file, text, kwargs
        self.__module__ = __name__

    def __call__(self, mx):
        env = text(mx)
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            path = os.path.join(folder, "vectors.txt")
            with open(path, "w") as file:
                file.write(FILES[self.file])
            env["e"] = env["T"].CustomEmbedding(path, **self.kwargs)
            env.update(
                mx=mx, nd=mx.nd, attempt=attempt, v=env["V"](env["c"], reserved_tokens=["<p>"])
            )
            return eval(self.text, env)


_WHOLE = "[e.idx_to_token, e.vec_len, e.idx_to_vec, e.unknown_token, e.reserved_tokens, len(e)]"
for _file in FILES:
    case(Embedded(_file, _WHOLE), name="embedding: " + _file)
case(Embedded("plain", _WHOLE, unknown_token="UNK"), name="embedding: unknown_token")
case(Embedded("unknown", _WHOLE, unknown_token="UNK"), name="embedding: other unknown_token")
case(Embedded("plain", _WHOLE, reserved_tokens=["<p>"]), name="embedding: reserved_tokens")
for _line in """
    e.get_vecs_by_tokens('a')
    e.get_vecs_by_tokens(['a', 'zz', 'B'])
    e.get_vecs_by_tokens(['A', 'B'], lower_case_backup=True)
    [e.update_token_vectors('a', nd.array([1, 1, 1])), e.idx_to_vec]
    [e.update_token_vectors(['a', 'b'], nd.ones((2, 3))), e.idx_to_vec]
    [e.update_token_vectors(['b'], nd.array([5, 5, 5])), e.idx_to_vec]
    [e.update_token_vectors('<unk>', nd.array([[5, 5, 5]])), e.idx_to_vec]
    attempt(e.update_token_vectors, 'zz', nd.array([1, 1, 1]))
    attempt(e.update_token_vectors, ['a', 'zz'], nd.ones((2, 3)))
    attempt(e.update_token_vectors, ['a', 'b'], nd.array([2, 2, 2]))
    attempt(e.update_token_vectors, 'a', nd.array([5, 5]))
    attempt(e.update_token_vectors, 'a', [5, 5, 5])
    (lambda x: [x.idx_to_token, x.vec_len, x.idx_to_vec])(T.CompositeEmbedding(v, [e, e]))
    (lambda x: [x.idx_to_token, x.vec_len, x.idx_to_vec])(T.CompositeEmbedding(v, e))
    attempt(T.CompositeEmbedding, v, [3])
    attempt(T.CompositeEmbedding, 3, e)
    """.strip().splitlines():
    case(Embedded("plain", _line.strip()), name="embedding: " + _line.strip())
