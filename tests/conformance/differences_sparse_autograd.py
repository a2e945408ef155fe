"""Differences in gradients with sparse arrays: see difference.py.

Most results are those that MXNet gives for dense arrays, in the storage type asked for: they are
made of its recordings.
"""

import harness
import numpy as np
from difference import _list, array, raises

F = "sparse_autograd::"
RECORDED = harness.load_recording("sparse_autograd")
FORMS = ("default", "row_sparse", "csr")


def recorded_values(result):
    return np.array([float(v) for v in result["values"]], "float32").reshape(result["shape"])


def recorded(name, key):
    """A dense gradient among the recordings, as a NumPy array."""
    return recorded_values(RECORDED[name]["dict"][key])


def in_form(values, form):
    """An array result in a storage type: what is not 0 is there."""
    dtype = values.dtype.name
    if form == "default":
        return array(values, dtype)
    if form == "row_sparse":
        indices = np.flatnonzero(np.any(values.reshape(len(values), -1) != 0, axis=1))
        parts = {"data": values[indices], "indices": indices}
    else:
        rows, indices = np.nonzero(values)
        indptr = np.searchsorted(rows, np.arange(len(values) + 1))
        parts = {"data": values[rows, indices], "indices": indices, "indptr": indptr}
    parts = {k: array(v, dtype if k == "data" else "int64") for k, v in parts.items()}
    return {"sparse": form, "shape": list(values.shape), **parts}


def swept(out, **grads):
    return {"dict": {"out": out, **grads}}


# ---- what MXNet refuses

KIND = "MXNet adds to no sparse buffer, or loses what was there"

for _form in ("row_sparse", "csr"):
    _values = np.array(RECORDED["mark_variables default add"][0]["values"], "float32")
    _both = [in_form(_values.reshape(4, 3), _form)] * 2
    _list(KIND, _both, F + f"mark_variables {_form} add")

for _text in ("take", "take wrap"):
    _sum = recorded(f"{_text}, default: w.grad default add", "w")
    for _weight in ("default", "row_sparse"):
        for _form in ("row_sparse", "csr"):
            _expected = swept("default", w=in_form(_sum, _form))
            _list(KIND, _expected, F + f"{_text}, {_weight}: w.grad {_form} add")

for _text in (
    "two lookups",
    "a lookup and a sum",
    "a sum and a lookup",
    "three kinds",
    "a lookup in what was computed",
    "a lookup after identity",
):
    _sum = recorded(f"{_text}: w.grad default add", "w")
    for _form in ("row_sparse", "csr"):
        _expected = swept("default", w=in_form(_sum, _form))
        _list(KIND, _expected, F + f"{_text}: w.grad {_form} add")

_three = 3 * recorded("dot(a, b), csr: b.grad default", "b")
_list(
    KIND,
    [swept("default", b=in_form(_three, form)) for form in ("default", "row_sparse")],
    F + "dot_twice_into_add",
)
_list(
    KIND,
    swept("default", b=in_form(_three * np.float32(2 / 3), "csr")),
    F + "dot_twice_into_add_csr",
)

for _text in ("Embedding", "Embedding sparse_grad", "sparse.Embedding", "contrib.SparseEmbedding"):
    for _weight in ("default", "row_sparse"):
        for _form in FORMS:
            for _req in ("write", "add"):
                _name = f"{_text}, {_weight}: w.grad {_form} {_req}"
                if "error" not in RECORDED[_name]:
                    continue
                _dense = recorded(f"Embedding, default: w.grad default {_req}", "w")
                _list(
                    "MXNet's gradient has one storage type, which sparse_grad says, and no other",
                    swept("default", w=in_form(_dense, _form)),
                    F + _name,
                )

_dense = recorded("Embedding, default: w.grad default write", "w")
_ones = np.array([0, 2, 0, 1, 0, 3, 0, 0], "float32")[:, None] * np.ones((1, 2), "float32")
_list(
    "MXNet's buffers with a storage type are float32, whatever the array is",
    [in_form(_ones.astype(dtype), "row_sparse") for dtype in ("float64", "float16")],
    F + "embedding_of_float64_and_float16",
)


def _lookups(*batches):
    """Sums of rows of ones, after each batch of ids."""
    total, seen = np.zeros((8, 2), "float32"), []
    for ids in batches:
        np.add.at(total, ids, 1)
        seen.append(in_form(total, "row_sparse"))
    return seen


_list(KIND, _lookups([7, 0, 0], [2], [0, 5]), F + "add_into_a_row_sparse_with_other_rows")

for _form, _name in (("row_sparse", "csr"), ("csr", "row_sparse")):
    for _grad in {"default", "row_sparse", _form}:
        _dense = RECORDED[f"identity of {_form}: grad {_grad}"]["dict"]["x"]
        _list(
            "MXNet does not convert between the two sparse storage types",
            swept(_name, x=_dense),
            F + f"to {_name} of {_form}: grad {_grad}",
            *([F + f"tostype csr of {_form}: grad {_grad}"] if _name == "csr" else []),
        )
    for _head in FORMS:
        _dense = RECORDED[f"head {_head}: identity of {_form}"]["dict"]["x"]
        _list(
            "MXNet does not convert between the two sparse storage types",
            swept(_name, x=_dense),
            F + f"head {_head}: to {_name} of {_form}",
        )

for _form, _grads in (("default", ("row_sparse", "csr")), ("csr", ("row_sparse", "csr"))):
    _dense = recorded(f"FullyConnected of {_form}: grad default", "x")
    for _grad in _grads:
        _list(
            "MXNet's gradient is dense here and nothing else",
            swept("default", x=in_form(_dense, _grad)),
            F + f"FullyConnected of {_form}: grad {_grad}",
        )

# ---- where MXNet has other numbers

for _text in (
    "dot(a, b)",
    "dot(a.T, b)",
    "dot(a.T, b) default",
    "dot(a.T, b) row_sparse",
    "dot(b, a)",
    "dot(b, a.T)",
):
    _name = f"{_text}, csr: a.grad default"
    _list(
        "MXNet leaves the dense gradient of a csr array 0",
        swept(
            RECORDED[_name]["dict"]["out"],
            a=array(recorded(f"{_text}, default: a.grad default", "a")),
        ),
        F + _name,
    )

for _text in ("dot(a, b)", "dot(a.T, b)", "dot(b, a)"):
    _list(
        "MXNet returns memory that nobody has written for the csr array",
        [
            RECORDED[f"grad: {_text} of row_sparse, wrt both"][0],
            RECORDED[f"grad: {_text} of csr, wrt b"][0],
        ],
        F + f"grad: {_text} of csr, wrt both",
    )

# ---- sparse results that MXNet makes by way of dense arrays, and mxtape does not


def densified(result):
    """The values of a recorded sparse array."""
    data = np.array(result["data"]["values"], "float32").reshape(result["data"]["shape"])
    indices = result["indices"]["values"]
    values = np.zeros(result["shape"], "float32")
    if result["sparse"] == "csr":
        rows = np.repeat(np.arange(len(values)), np.diff(result["indptr"]["values"]))
        values[rows, indices] = data
    else:
        values[indices] = data
    return values


def values_of(result):
    return densified(result) if "sparse" in result else recorded_values(result)


A = np.array([[0, 1, 0, 2], [0, 0, 0, 0], [3, 0, 4, 0]], "float32")
HEAD = harness.head_values((3, 4)).astype("float32")


def like(values, pattern):
    """A csr result that has elements where `pattern` has, among them zeros."""
    made = in_form(np.where(pattern != 0, 1, 0).astype("float32"), "csr")
    return {**made, "data": array(values[pattern != 0])}


ZEROS = "MXNet drops the zeros of a gradient that is computed through dense arrays"
for _name in ("square of csr: grad csr", "relu of csr: grad csr", "abs of csr: grad csr"):
    _x = values_of(RECORDED[_name]["dict"]["x"])
    _list(ZEROS, swept("csr", x=like(_x, A)), F + _name)
_x = values_of(RECORDED["detach of csr: grad csr"]["dict"]["x"])
_list(ZEROS, swept("csr", x=like(_x, A)), F + "detach of csr: grad csr")
for _op in ("a * b", "elemwise_mul"):
    _both = RECORDED[f"{_op}, csr and csr"]["dict"]
    _grads = {key: like(values_of(_both[key]), A) for key in "ab"}
    _list(ZEROS, swept("csr", **_grads), F + f"{_op}, csr and csr")
_x = values_of(RECORDED["head default: square of csr"]["dict"]["x"])
_list(ZEROS, swept("csr", x=like(_x, A)), F + "head default: square of csr")
_list(
    "MXNet's data and indices go beyond what is there, into memory that nobody has written",
    swept("csr", x=like(_x, HEAD)),
    F + "head csr: square of csr",
)
_list(
    "a gradient that need not be dense is not", [like(2 * A * HEAD, A)], F + "grad: square of csr"
)
_list(
    "a gradient that need not be dense is not",
    [in_form(recorded_values(RECORDED["grad: square of row_sparse"][0]), "row_sparse")],
    F + "grad: square of row_sparse",
)
for _grad in ("row_sparse", "default"):
    _name = f"broadcast_mul of row_sparse: grad {_grad}"
    _list(
        "a product with zeros need not be dense",
        swept("row_sparse", x=RECORDED[_name]["dict"]["x"]),
        F + _name,
    )
for _name, _out in (("_square_sum", "row_sparse"), ("retain", "row_sparse")):
    _x = densified(RECORDED[f"{_name} of row_sparse: grad row_sparse"]["dict"]["x"])
    _list(
        "MXNet's gradient is row_sparse here and nothing else",
        swept(_out, x=array(_x)),
        F + f"{_name} of row_sparse: grad default",
    )

# A product with what is not there is 0, whatever the other factor is.
for _form, _grads in (("row_sparse", FORMS[:2]), ("csr", FORMS)):
    for _grad in _grads:
        _name = f"sqrt of {_form}: grad {_grad}"
        _x = np.nan_to_num(values_of(RECORDED[_name]["dict"]["x"]), nan=0.0)
        _x = like(_x, A) if (_form, _grad) == ("csr", "csr") else in_form(_x, _grad)
        _list(
            "MXNet has infinity times 0 for elements that are not there",
            swept(_form, x=_x),
            F + _name,
        )

# As everywhere, 0 where the head gradient is 0.
for _op in ("a / b", "elemwise_div"):
    for _pair in ("default and row_sparse", "row_sparse and row_sparse", "csr and row_sparse"):
        _name = f"{_op}, {_pair}"
        _grads = {}
        for _key, _form in zip("ab", _pair.split(" and ")):
            _x = values_of(RECORDED[_name]["dict"][_key])
            _x[HEAD == 0] = 0
            _grads[_key] = in_form(_x, _form)
        _list("MXNet has 0 / 0 where the head gradient is 0", swept("default", **_grads), F + _name)
_list(
    "MXNet asks for elemwise_div",
    {"dict": {**RECORDED["elemwise_div, csr and default"]["dict"], "out": "csr"}},
    F + "a / b, csr and default",
)

_b = A.T @ harness.head_values((3,)).astype("float32")
_list(
    "MXNet has no product of a csr array and a vector",
    [swept("default", b=in_form(_b, form)) for form in ("default", "row_sparse")],
    F + "dot_of_a_csr_and_a_vector",
)
for _grad in FORMS:
    _list(
        "the product of dense arrays is dense",
        raises("MXNetError"),
        F + f"dot(a.T, b) row_sparse, default: b.grad {_grad}",
    )
_list(
    "the product of dense arrays is dense",
    raises("MXNetError"),
    F + "dot(a.T, b) row_sparse, default: a.grad default",
)

# ---- what else

_list(
    "MXNet makes buffers that no array can have",
    [raises("ValueError"), raises("TypeError"), *[raises("ValueError")] * 2, None, None],
    F + "attach_grad_unknown",
)
_list(
    "MXNet accepts a buffer of another shape",
    raises("MXNetError"),
    F + "mark_variables_of_another_shape",
)

SECOND = "MXNet has no second derivative here"
_table = harness.data((8, 2), seed=6)
_first, _second = 2 * _table * _ones, 8 * _ones**2 * _table
_list(SECOND, [array(_first), array(_second)], F + "second order: Embedding")
_list(
    SECOND,
    [in_form(_first, "row_sparse"), array(_second)],
    F + "second order: Embedding sparse_grad",
)
_w, _columns = harness.data((4, 3), seed=1), np.array([3, 1, 4, 2], "float32")[:, None]
_list(
    SECOND,
    [in_form(2 * _w * _columns, "row_sparse"), array(8 * _columns**2 * _w)],
    F + "second order: dot",
)

_weights = RECORDED["null_requests"][1]
_list(
    "MXNet forgets the buffer of an array that has no gradient",
    [in_form(0 * A, "row_sparse"), _weights, in_form(0 * A, "csr"), _weights],
    F + "null_requests",
)

PROGRAMS = harness.load_recording("sparse_autograd_programs")
_log, _y, _x = PROGRAMS["Function of csr to csr"]
_list(
    "MXNet has only dense gradients of an autograd.Function",
    [_log, _y, in_form(recorded_values(_x), "csr")],
    "sparse_autograd_programs::Function of csr into csr",
)
_list(
    "MXNet mixes up the gradients of an autograd.Function of which some are not wanted",
    [
        PROGRAMS["function_of_two"][0],
        RECORDED["dot(a, b), csr: b.grad default"]["dict"]["b"],
    ],
    "sparse_autograd_programs::function_of_two",
)
