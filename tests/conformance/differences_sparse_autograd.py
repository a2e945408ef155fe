"""Differences in gradients with sparse arrays: see difference.py.

Most results are those that MXNet gives for dense arrays, in the storage type asked for: they are
made of its recordings.
"""

import harness
import numpy as np
from difference import _list, array, gradient, raises

F = "sparse_autograd::"
RECORDED = harness.load_recording("sparse_autograd")
FORMS = ("default", "row_sparse", "csr")


def recorded(name, key):
    """A dense gradient among the recordings, as a NumPy array."""
    result = RECORDED[name]["dict"][key]
    return np.array(result["values"], result["array"]).reshape(result["shape"])


def in_form(values, form):
    """An array result in a storage type: what is not 0 is there."""
    dtype = values.dtype.name
    if form == "default":
        return array(values, dtype)
    if form == "row_sparse":
        indices = np.flatnonzero(np.any(values != 0, axis=tuple(range(1, values.ndim))))
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

_list(
    "MXNet's data and indices go beyond what is there, into memory that nobody has written",
    RECORDED["head default: square of csr"],
    F + "head csr: square of csr",
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

_TABLE = harness.data((8, 2), seed=6)
_COUNT = _ones / np.float32(1)
_list(
    "MXNet has no second derivative here",
    [array(2 * _TABLE * _COUNT), array(8 * _COUNT**2 * _TABLE)],
    F + "second order: Embedding",
    F + "second order: Embedding sparse_grad",
)
_W = harness.data((4, 3), seed=1)
_COLUMNS = np.array([3, 1, 4, 2], "float32")[:, None]
_list(
    "MXNet has no second derivative here",
    [array(2 * _W * _COLUMNS), array(8 * _COLUMNS**2 * _W)],
    F + "second order: dot",
)
_list(
    "MXNet has only dense gradients of an autograd.Function",
    None,
    "sparse_autograd_programs::Function of csr into csr",
)
__all__ = ["gradient"]
