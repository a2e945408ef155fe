"""Differences in arrays, the tape and the basic operators: see difference.py."""

import json

import harness
import numpy as np
from difference import _list, array, gradient, numpy_array, raises

_list(
    "MXNet's reshape operator does not check the size and reads past the end or aborts",
    raises("MXNetError"),
    "shape::nd.reshape(x, shape=(5,))",
    "shape::nd.reshape(x, shape=(-1, 5))",
    "shape::nd.reshape(x, shape=(25,))",
    "shape::nd.reshape(x, shape=(2, 3))",
    "shape::nd.reshape(x, shape=())",
    "shape::nd.reshape(x, shape=(1, -2))",
    "shape::x.reshape((-1, -1))",
)

_list(
    "MXNet's autograd.grad wants variables only",
    [[array([4, 8, 12])], raises("AssertionError")],
    "autograd::grad_wrt_an_intermediate",
)
_list(
    "MXNet's compute_gradient does not return the gradients, as its documentation says",
    [array([2, 40]), array([2, 4]), [array([2, 4])]],
    "autograd::contrib_backward_and_compute_gradient",
)

_list(
    "MXNet's random_randint divides by zero and kills the process when low equals high",
    raises("MXNetError"),
    "creation::random r.randint(5, 5, shape=(2,))",
)
_list(
    "MXNet's gradient of a negative advanced index writes before the start of the array",
    gradient(array([4]), v=array([0, 0, 0, 0, -0.25])),
    "indexing::grad v[[-1]]",
)
_CUBE = np.arange(24).reshape(2, 3, 4)
_list(
    "MXNet's assignment with a negative advanced index writes before the start of the array",
    array(np.concatenate([_CUBE[:1], np.full((1, 3, 4), 5)])),
    "indexing::x[[-1]] = 5",
)
_list(
    "MXNet's assignment with an advanced index out of range writes past the end of the array",
    raises("IndexError"),
    "indexing::x[[0, 2]] = 1",
)
_NORM = harness.data((2, 3, 2), -2, 2, seed=41).astype("float64")
_REASON = "MXNet's norm takes out_dtype and then fails for any other than the input's"
for _dtype in ("float16", "float64"):
    _two, _one = np.sqrt((_NORM**2).sum()), np.abs(_NORM).sum(axis=1)
    _list(_REASON, array([_two], _dtype), f"reduce::nd.norm(x, out_dtype='{_dtype}')")
    _list(_REASON, array(_one, _dtype), f"reduce::nd.norm(x, ord=1, axis=1, out_dtype='{_dtype}')")
for _dtype in ("int32", "int64", "int8"):
    _list(_REASON, array([np.sqrt(30)]), f"reduce::{_dtype} nd.norm(x, out_dtype='float32')")

# ---- indexing

_ROW = np.arange(24).reshape(2, 3, 4)
_REASON = "boolean arrays select in mxtape; MXNet's legacy mode refuses them"
_list(_REASON, array(_ROW[:1]), "indexing::x[m]")
_list(_REASON, array(_ROW[:, [0, 2]]), "indexing::x[:, nd.array([1, 0, 1], dtype='bool')]")
_list(_REASON, array(np.concatenate([np.ones((1, 3, 4)), _ROW[1:]])), "indexing::x[m] = 1")

# ---- creation

_list(
    "zero-size arrays work in mxtape; MXNet's legacy shapes take a zero for unknown",
    [
        array(np.zeros((0,))),
        array(np.zeros((2, 0))),
        array(np.zeros((0,))),
        {"tuple": [0, 2]},
        array(np.zeros((0,))),
        array(np.zeros((0, 3))),
        array(np.zeros((0, 3)), "float64"),
    ],
    "creation::zero_size",
)

# ---- autograd

_X, _Y = array([1, 2, 3]), array([2, 4, 6])
_list(
    "MXNet takes a head gradient of another shape or dtype and goes wrong later; mxtape refuses it",
    [raises("MXNetError"), array([0, 0, 0])],
    "autograd::head shape",
    "autograd::head more elements",
    "autograd::head reshaped",
    "autograd::head dtype",
    "autograd::head int",
)
_list(
    "MXNet counts a head that is listed twice once",
    [None, array([4, 4, 4])],
    "autograd::head same head twice",
)
for _label in (
    "add",
    "sub",
    "mul",
    "div",
    "mod",
    "set all",
    "set one",
    "set by list",
    "out=",
    "variable add",
    "variable set",
    "copyto",
    "of a view",
):
    _list(
        "MXNet raises after the array has changed; mxtape refuses before",
        [raises("MXNetError"), _X, _Y],
        f"autograd::in place under record: {_label}",
    )
_S = 1 / (1 + np.exp(-np.array([1.0, 2.0, 3.0])))
_list(
    "autograd.Function ignores grad_req='add'",
    array(1 + 2 * _S * (1 - _S)),
    "autograd::function_grad_req_add",
)

_V = np.array([1, 2, -1, 0.5, 3, -2])  # the weights of the second-order cases


def _second(label, low, high, first, second):
    """The first gradient and the weighted second one of a function that acts on each element."""
    x = harness.data((6,), low, high, seed=151).astype("float64")
    _list(
        "MXNet 1.9.1 has no, or a wrong, second derivative here",
        [array(first(x)), array(second(x))],
        f"second_order::{label}",
    )


def _softmax(x):
    e = np.exp(x - x.max())
    return e / e.sum()


def _rows(x):
    return np.repeat(x.reshape(2, 3).sum(axis=1), 3)


_second("cube", -2, 2, lambda x: 3 * x**2, lambda x: 6 * x * _V)
_second("degrees", -2, 2, lambda x: np.full(6, 180 / np.pi), lambda x: 0 * x)
_second("negative", -2, 2, lambda x: np.full(6, -1.0), lambda x: 0 * x)
_second("divide", 0.5, 2, lambda x: -1 / x**2 + 1 / 3, lambda x: 2 / x**3 * _V)
_second("power", 0.5, 2, lambda x: 3 * x**2, lambda x: 6 * x * _V)
for _label in ("sum", "dot", "broadcast_mul", "transpose"):
    _second(_label, -2, 2, lambda x: 2 * x, lambda x: 2 * _V)
_second("clip", -2, 2, lambda x: 2 * x * (x * x <= 2), lambda x: 2 * _V * (x * x <= 2))
_second("FullyConnected", -2, 2, lambda x: 4 * _rows(x), lambda x: 4 * _rows(_V))
_second(
    "maximum",
    -2,
    2,
    lambda x: np.where(x * x >= x, 2 * x, 1.0),
    lambda x: np.where(x * x >= x, 2.0, 0.0) * _V,
)
_second(
    "log_softmax",
    -2,
    2,
    lambda x: 1 - 6 * _softmax(x),
    lambda x: -6 * (_softmax(x) * _V - _softmax(x) * (_softmax(x) @ _V)),
)
_second(
    "erf",
    -1,
    1,
    lambda x: 2 / np.sqrt(np.pi) * np.exp(-x * x),
    lambda x: -4 * x / np.sqrt(np.pi) * np.exp(-x * x) * _V,
)
_second("mean", -2, 2, lambda x: x / 3, lambda x: _V / 3)
_second(
    "softsign",
    -2,
    2,
    lambda x: 1 / (1 + abs(x)) ** 2,
    lambda x: -2 * np.sign(x) / (1 + abs(x)) ** 3 * _V,
)
_list(
    "MXNet 1.9.1 has no second derivative of gamma",
    [
        array([0.9978187, -0.0924755, 0.1320575, 1.064531, 0.5585974, 0.9978187]),
        array([1.3834702, 1.9191635, -0.7736341, 0.7319894, 2.7662435, -2.7669403]),
    ],
    "second_order::gamma",
)
_second(
    "arccosh", 1.2, 3, lambda x: (x * x - 1) ** -0.5, lambda x: -x * (x * x - 1) ** -1.5 * _V
)  # the sign is wrong
_second(
    "arcsinh", -2, 2, lambda x: (x * x + 1) ** -0.5, lambda x: -x * (x * x + 1) ** -1.5 * _V
)  # the sign is wrong
_list(
    "MXNet cannot differentiate the gradient of a sum a second time",
    [array([np.e + 1]), array([np.e])],
    "second_order::create_graph_tutorial",
)
_x, _h = np.array([1.0, 2, 3]), np.array([3.0, 4, 5])
_g = _h * np.cos(_x)
_list(
    "MXNet loses the dependence of a recorded gradient on its head gradients",
    [array(_g), array(-2 * _g * _h * np.sin(_x)), array(2 * _g * np.cos(_x))],
    "second_order::create_graph_with_head_gradients",
)
_x, _w = (harness.data((2, 3), seed=s).astype("float64") for s in (152, 153))
_list(
    "MXNet cannot differentiate the gradient of a product a second time",
    [array(2 * _w * _x), array(8 * _w * _x**2), array(8 * _w**2 * _x)],
    "second_order::gradient_penalty",
)

# Of integers, which MXNet sums and divides in their own dtype at every step.
_REASON = "MXNet's mean sums in the input's dtype, which overflows"
_list(_REASON, array([100], "int8"), "reduce::width nd.mean(x)")
_list(_REASON, array([200], "uint8"), "reduce::width nd.mean(u)")
_list(_REASON, array([60000], "float16"), "reduce::width nd.mean(h)")
for _dtype in ("int32", "int64", "int8"):
    _REASON = "MXNet truncates within the norm of integers; mxtape truncates the result"
    _list(_REASON, array([5], _dtype), f"reduce::{_dtype} nd.norm(x)")
    _list(_REASON, array([5, 2], _dtype), f"reduce::{_dtype} nd.norm(x, axis=1)")

# ---- reductions


def _others(rows):
    """The product of the other elements of each row, for every element."""
    with np.errstate(all="ignore"):
        return np.array([[np.prod(np.delete(row, i)) for i in range(len(row))] for row in rows])


_REASON = "MXNet divides the product by the element, which fails at 0 and at what is not finite"
_TIES = np.array([[1.0, 3, 3, 0], [2, 2, 2, 2], [-1, -1, -5, -5]])
_HEAD = harness.head_values((3,))[:, None]
for _name in ("prod", "nanprod"):
    _list(
        _REASON,
        gradient(array(_TIES.prod(axis=1)), x=array(_HEAD * _others(_TIES))),
        f"reduce::grad ties nd.{_name}(x, axis=1)",
    )
_NANS = np.array([[1, np.nan, 2, -1], [np.nan] * 4, [np.inf, 1, -np.inf, 0]])
with np.errstate(all="ignore"):
    _list(
        _REASON,
        gradient(array(_NANS.prod(axis=1)), x=array(_HEAD * _others(_NANS))),
        "reduce::grad nan nd.prod(x, axis=1)",
    )
    _GRAD = np.where(np.isnan(_NANS), 0, _HEAD * _others(np.where(np.isnan(_NANS), 1, _NANS)))
    _list(
        _REASON,
        gradient(array(np.nanprod(_NANS, axis=1)), x=array(_GRAD)),
        "reduce::grad nan nd.nanprod(x, axis=1)",
    )
_list(
    "MXNet's norm of what holds an infinity is NaN",
    array([np.nan, np.nan, np.inf]),
    "reduce::nan nd.norm(x, axis=1)",
)
_REASON = "MXNet's gradient of the norm at the origin is NaN; mxtape gives 0, a subgradient"
_ZEROS = np.zeros((2, 2))
_list(_REASON, gradient(array([0]), x=array(_ZEROS)), "reduce::grad zeros nd.norm(x)")
_list(_REASON, gradient(array([0, 0]), x=array(_ZEROS)), "reduce::grad zeros nd.norm(x, axis=1)")

# ---- boolean arrays

_A, _B = np.array([True, False, True, False]), np.array([True, True, False, False])
_REASON = "boolean arrays compare in mxtape; MXNet has no kernel for them"
for _name, _compare in {
    "equal": np.equal,
    "not_equal": np.not_equal,
    "greater": np.greater,
    "greater_equal": np.greater_equal,
    "lesser": np.less,
    "lesser_equal": np.less_equal,
    "logical_and": np.logical_and,
    "logical_or": np.logical_or,
    "logical_xor": np.logical_xor,
}.items():
    _list(_REASON, array(_compare(_A, _B), "bool"), f"pointwise::bool nd.broadcast_{_name}(a, b)")
for _sign, _values in {
    "==": [1] * 3,
    "!=": [0] * 3,
    ">": [0] * 3,
    ">=": [1] * 3,
    "<": [0] * 3,
    "<=": [1] * 3,
}.items():
    _list(_REASON, array(_values, "bool"), f"ndarray::same b {_sign} b")
_list(_REASON, array([False, True], "bool"), "pointwise::bool nd.logical_not(x)")
_X3, _Y3 = (harness.data((3, 2), seed=s) for s in (31, 32))
_list(
    "a boolean condition selects in mxtape; MXNet has no kernel for it",
    array(np.where([[1, 0], [0, 1], [1, 1]], _X3, _Y3)),
    "pointwise::nd.where(cb, x, y)",
)
_BOOLS = harness.integers((2, 3), 0, 2, seed=55).astype(bool)
for _line, _values in {
    "nd.transpose(m)": _BOOLS.T,
    "nd.flip(m, axis=1)": _BOOLS[:, ::-1],
    "nd.concat(m, m, dim=0)": np.concatenate([_BOOLS, _BOOLS]),
    "nd.slice_axis(m, axis=1, begin=0, end=2)": _BOOLS[:, :2],
    "nd.broadcast_axis(m[:1], axis=0, size=2)": np.repeat(_BOOLS[:1], 2, axis=0),
    "nd.swapaxes(m, 0, 1)": _BOOLS.T,
}.items():
    _list(
        "mxtape moves booleans too; MXNet has no kernel for them",
        array(_values, "bool"),
        f"shape::bool {_line}",
    )
_list(
    "mxtape moves booleans too; MXNet has no kernel for them",
    [array(_BOOLS[:1], "bool"), array(_BOOLS[1:], "bool")],
    "shape::bool nd.split(m, num_outputs=2, axis=0)",
)

# ---- gradients that MXNet lacks

_A, _B = (harness.data((2, 3), 0.25, 4, seed=s) for s in (21, 22))
_HEAD = array(harness.head_values((2, 3)))
_list(
    "MXNet's _grad_add has no gradient; in mxtape it is another name of elemwise_add",
    gradient(array(_A + _B), a=_HEAD, b=_HEAD),
    "pointwise::grad nd._internal._grad_add(a, b)",
)
_TABLE = harness.data((3, 4), seed=61)
for _label, _columns in (("i", [0, 2, 1]), ("w", [0, 3, 2])):
    _grad = np.zeros((3, 4))
    _grad[range(3), _columns] = harness.head_values((3,))
    _list(
        "MXNet's batch_take has no gradient",
        gradient(array(_TABLE[range(3), _columns]), x=array(_grad), c=array(np.zeros((2, 3, 4)))),
        f"index::grad nd.batch_take(x, {_label})",
    )

# ---- symbols


def _traced(*nodes):
    """The result of a case of get_symbol: each node its operator, inputs and attributes."""
    written, arguments = [], []
    for i, (op, inputs, attrs) in enumerate(nodes):
        if op in ("var", "null"):
            arguments.append(i)
        name = f"{op if op in ('var', 'null') else 'node_'}#{i}"
        node = {"inputs": [[k, 0, 0] for k in inputs], "name": name}
        node["op"] = "null" if op in ("var", "null") else op
        written.append({**node, **({"attrs": attrs} if attrs else {})})
    heads = [[len(nodes) - 1, 0, 0]]
    tree = {"nodes": written, "arg_nodes": arguments, "heads": heads}
    return [json.dumps(tree, sort_keys=True), len(arguments), 1, []]


_TWICE = {"scalar": "[2.0]"}
_list(
    "an input that takes no gradient, a condition or an index, is a constant in mxtape's graphs",
    _traced(("null", [], {}), ("var", [], {}), ("var", [], {}), ("where", [0, 1, 2], {})),
    "symbol::graph of where",
)
_list(
    "MXNet writes _copyto, which holds no dtype, for astype; mxtape writes the cast that it is",
    _traced(("var", [], {}), ("Cast", [0], {"dtype": "float64"})),
    "symbol::graph of cast",
)
_list(
    "the limits of a slice that an index records are numbers in mxtape, where MXNet leaves None",
    _traced(
        ("var", [], {}),
        ("slice", [0], {"begin": "[0.0, 1.0]", "end": "[2.0, 2.0]", "step": "[1.0, 1.0]"}),
        ("Reshape", [1], {"shape": "[2.0]"}),
        ("_mul_scalar", [2], _TWICE),
    ),
    "symbol::graph of column",
)
_list(
    "an index of the first axis alone is a take in mxtape, a gather_nd in MXNet",
    _traced(
        ("var", [], {}),
        ("null", [], {}),
        ("take", [0, 1], {"axis": "[0.0]", "mode": "clip"}),
        ("_mul_scalar", [2], _TWICE),
    ),
    "symbol::graph of advanced",
)

# ---- the NDArray itself

_F = [1.5, 2, -7]
_M = harness.data((2, 3), seed=161)
_REASON = "an mxtape array converts to a NumPy array; MXNet's becomes an array of objects"
_list(_REASON, numpy_array(_F), "ndarray::np.asarray(f)")
_list(_REASON, numpy_array(_M), "ndarray::np.array(m)")
_list(_REASON, {"dtype": "int32"}, "ndarray::np.asarray(i).dtype")
_list(
    _REASON,
    {"dtype": "float32"},
    "ndarray::f.__array__().dtype if hasattr(f, '__array__') else 'absent'",
)
_list("mxtape has NDArray.item", {"float": 2.5}, "ndarray::o.item()")
_list("mxtape has NDArray.item", raises("ValueError"), "ndarray::f.item()")
_list(
    "mxtape has NDArray.as_in_ctx",
    True,
    "ndarray::f.as_in_ctx(mx.cpu()) is f if hasattr(f, 'as_in_ctx') else 'absent'",
)
_REASON = (
    "MXNet's legacy shapes take () for unknown; operators on arrays of no dimension work in mxtape"
)
_list(_REASON, array(3.5), "ndarray::s + 1")
_list(_REASON, array(5.0), "ndarray::s + s")
_list(_REASON, array([6.25]), "ndarray::s * o")
_list(
    "MXNet ignores unknown keywords of operators without parameters; mxtape refuses them",
    [raises("MXNetError"), array([0, 0, 0]), array(_F), array([[0], [0]])],
    "ndarray::call: nd.exp(f, nonsense=1)",
)

_list(
    "the default shape of a draw, one number, is written as () too, with NumPy's shapes or without",
    {"tuple": [1]},
    "names::np_shape: nd.random.uniform(shape=()).shape",
)
_list(
    "MXNet has no row for a reserved token: the vectors belong to other tokens than they stand at",
    [
        ["<unk>", "<p>", "a", "b", "c"],
        3,
        array([[0, 0, 0], [0, 0, 0], [0.5, 0.25, 3], [1, 2, 3], [4, 5, 6]]),
        "<unk>",
        ["<p>"],
        5,
    ],
    "names::embedding: reserved_tokens",
)

# ---- shapes

_list(
    "MXNet does not look for repeated axes and returns memory that it never wrote",
    raises("MXNetError"),
    "shape::nd.transpose(x, axes=(0, 0, 1))",
)

# ---- the Python layer


_head = harness.head_values
_list(
    "MXNet puts a new axis that follows an index array in front of it; NumPy's order is kept here",
    gradient(array(_CUBE[:, None]), x=array(_head((2, 3, 4))), v=array(np.zeros(5))),
    "indexing::grad x[[0, 1], None]",
)
_list(
    "a slice that ends before it begins is empty, as in NumPy; MXNet refuses it",
    gradient(array(np.zeros((0, 3, 4))), x=array(np.zeros((2, 3, 4))), v=array(np.zeros(5))),
    "indexing::grad x[2:1]",
)
_list(
    "an array of no dimension can be read with [...]; then the case fails, as s is no variable",
    raises("MXNetError"),
    "indexing::grad s[...]",
)
_REASON = "an array of one element converts to a Python number"
_list(_REASON, {"float": 2.5}, "ndarray::float(o)")
_list(_REASON, 2, "ndarray::int(o)")
_list(_REASON, 20, "ndarray::[10, 20, 30, 40][nd.array([1], dtype='int32')]")
_list(
    "the type has both item slots: del x[0] is a TypeError where MXNet's is an AttributeError",
    raises("TypeError"),
    "ndarray::deleting_an_item_is_refused",
)
_X, _Y = (harness.data((2, 3, 4), seed=seed) for seed in (51, 52))
_REST = {"m": array(np.zeros((2, 3))), "v": array(np.zeros(4))}
_REASON = "MXNet's concatenate writes into a new array in place, which recording refuses"
for _axis, _text in ((0, ""), (1, ", axis=1")):
    _out = np.concatenate([_X, _Y], _axis)
    _to_x, _to_y = np.split(_head(_out.shape), 2, _axis)
    _list(
        _REASON,
        gradient(array(_out), x=array(_to_x), y=array(_to_y), **_REST),
        f"shape::grad nd.concatenate([x, y]{_text})",
    )
_list(
    _REASON,
    gradient(array(_X), x=array(_head(_X.shape)), y=array(np.zeros(_Y.shape)), **_REST),
    "shape::grad nd.concatenate([x], axis=1)",
)
_list(
    "MXNet's gradient of det at a singular matrix is zero; it is the cofactors",
    gradient(array([0]), x=array([[-1, 0.5], [0.5, -0.25]])),
    "lapack::grad rank 1 nd.linalg.det(x)",
)

_B = harness.data((3, 4), -2, 2, seed=901)
_list(
    "MXNet's transpose moves elements of four bytes: those of bfloat16 have two",
    array(_B.T),
    "bfloat16::(x.T).astype('float32')",
    "bfloat16::(x.transpose((1, 0))).astype('float32')",
)
_list(
    "MXNet's dot of bfloat16 arrays kills the process",
    array(_B @ harness.data((3, 4), 0.5, 2, seed=902).T),
    "bfloat16::(nd.dot(x, y.T)).astype('float32')",
)

_list(
    "MXNet rounds the index 2999 to float16's 3000",
    raises("MXNetError"),
    "reduce::nd.argmax(nd.arange(3000, dtype='float16'), axis=0)",
)
