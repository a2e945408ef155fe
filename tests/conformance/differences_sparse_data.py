"""Where sparse arrays in Gluon, stores and iterators differ from MXNet 1.9.1 on purpose."""

import numpy as np
from difference import _list, array, numpy_array, raises
from harness import load_recording


def row_sparse(values, indices, shape):
    """A row_sparse result of float32."""
    return {
        "sparse": "row_sparse",
        "shape": list(shape),
        "data": array(values),
        "indices": array(indices, "int64"),
    }


def csr(values, dtype="float32"):
    """A csr result that has the elements of a matrix that are not 0."""
    values = np.asarray(values, dtype)
    rows, columns = np.nonzero(values)
    pointers = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(values)))])
    return {
        "sparse": "csr",
        "shape": list(values.shape),
        "data": array(values[rows, columns], dtype),
        "indices": array(columns, "int64"),
        "indptr": array(pointers, "int64"),
    }


_list(
    "MXNet reads rows out of range from memory that is not the array's",
    raises("MXNetError"),
    "sparse_gluon::rows_out_of_range",
)
_list(
    "MXNet reads rows out of range from memory that is not the array's",
    [raises("MXNetError"), row_sparse(np.zeros((0, 2)), [], (4, 2))],
    "sparse_kvstore::rows_out_of_range",
)
_list(
    "MXNet needs a Trainer to save a row_sparse parameter, which has all its rows without one",
    row_sparse(np.ones((4, 2)), range(4), (4, 2)),
    "sparse_gluon::p._reduce()",
)
_list(
    "MXNet needs a Trainer to save a row_sparse parameter, which has all its rows without one",
    None,
    "sparse_gluon::a_file_without_a_trainer",
)


_EMPTY = "sparse_io::test_utils t('rand_sparse_ndarray', (4, 2), s, density=0.5)"
_list(
    "MXNet's parts of an array without rows have one axis, and indices of float64",
    {
        "tuple": [
            row_sparse(np.zeros((0, 2)), [], (4, 2)),
            {"tuple": [numpy_array(np.zeros((0, 2))), numpy_array([], "int64")]},
        ]
    },
    _EMPTY,
)
_ROWS = np.array([[0.5488135, 0.71518934], [0.60276335, 0.5448832]])
_list(
    "MXNet makes an array with rows in the wrong order, which its operators do not expect",
    {
        "tuple": [
            row_sparse(_ROWS, [1, 3], (4, 2)),
            {"tuple": [numpy_array(_ROWS), numpy_array([1, 3], "int64")]},
        ]
    },
    "sparse_io::test_utils t('rand_sparse_ndarray', (4, 2), s, density=0.6, "
    "rsp_indices=np.array([3, 1]))",
)

# ---- iterators

DATA = np.array([[1, 0, 2], [0, 0, 0], [0, 3, 0], [4, 0, 0], [0, 5, 6]], "float32")


def _sparse(found):
    """The same batches with csr arrays in the place of dense matrices."""
    if isinstance(found, list):
        return [_sparse(part) for part in found]
    if isinstance(found, dict) and "array" in found and len(found["shape"]) == 2:
        return csr(np.reshape(found["values"], found["shape"]), found["array"])
    return found


for _line in (
    "it(csr, label=d, batch_size=2, last_batch_handle='discard')",
    "it(csr, label=d, batch_size=2, last_batch_handle='discard', shuffle=True)",
    "it(csr, label=d, batch_size=4, last_batch_handle='discard')",
    "it(d, label=csr, batch_size=2, last_batch_handle='discard')",
    "it({'a': csr, 'b': d}, batch_size=2, last_batch_handle='discard')",
    "it(csr.astype('float64'), batch_size=2, last_batch_handle='discard')",
):
    _list(
        "MXNet's NDArrayIter makes dense batches of csr arrays",
        _sparse(load_recording("sparse_io")[_line]),
        f"sparse_io::{_line}",
    )


def _description(name, shape, dtype="float32"):
    return {"tuple": [name, {"tuple": list(shape)}, {"dtype": dtype}, "NCHW"]}


def _batches(order, sizes):
    """Batches of two rows in this order; for each its epoch and its pad."""
    rows = iter(order)
    found: list = [[_description("data", (2, 3))], []]
    for epoch, pad in sizes:
        index = [next(rows), next(rows)]
        found.append([epoch, [csr(DATA[index])], [], pad, None])
    return found


_REASON = "MXNet's NDArrayIter of csr arrays only discards the last examples"
_list(
    _REASON,
    _batches([0, 1, 2, 3, 4, 0] * 2, [(0, 0), (0, 0), (0, 1), (1, 0), (1, 0), (1, 1)]),
    "sparse_io::it(csr, batch_size=2)",
)
_list(
    _REASON,
    _batches([0, 1, 2, 3, 4, 0, 1, 2, 3, 4], [(0, 0), (0, 0), (1, 1), (1, 0), (1, 0)]),
    "sparse_io::it(csr, batch_size=2, last_batch_handle='roll_over')",
)
_WHOLE = [[array(range(5))], [csr(DATA)], 0, None]
_list(
    _REASON,
    [
        [_description("data", (5,))],
        [_description("softmax_label", (5, 3))],
        [0, *_WHOLE],
        [1, *_WHOLE],
    ],
    "sparse_io::it(d, label=csr, batch_size=5)",
)
_LINES = np.array([[0.5, 0, 1.5], [0, 0, 0], [0.75, 2.5, 1.25], [0, 0, -1.25]])
_list(
    "MXNet's LibSVMIter knows float32 only",
    [
        [_description("data", (2, 3), "float64")],
        [_description("softmax_label", (2,), "float64")],
        [0, [csr(_LINES[:2], "float64")], [array([1, -2], "float64")], 0, [0, 1]],
        [0, [csr(_LINES[2:], "float64")], [array([-3, 4], "float64")], 0, [2, 3]],
    ],
    "sparse_io::LibSVMIter float64",
)
