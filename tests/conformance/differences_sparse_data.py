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


def csr(values):
    """A csr result of float32 that has the elements of a matrix that are not 0."""
    values = np.asarray(values, "float32")
    rows, columns = np.nonzero(values)
    pointers = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(values)))])
    return {
        "sparse": "csr",
        "shape": list(values.shape),
        "data": array(values[rows, columns]),
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


def _with(case_id, change):
    """The recording of a case after ``change(recording)``, for what differs in a part of it."""
    family, name = case_id.split("::", 1)
    found = load_recording(family)[name]
    return change(found) or found


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
_ORDER = [2, 0, 1, 3, 4]  # of np.random.seed(0)


def _sparse(found):
    """The same batches with csr arrays in the place of dense matrices."""
    if isinstance(found, list):
        return [_sparse(part) for part in found]
    if isinstance(found, dict) and len(found.get("shape", ())) == 2:
        return csr(np.reshape(found["values"], found["shape"]))
    return found


_REASON = "MXNet's NDArrayIter makes dense batches of csr arrays"
for _line in (
    "it(csr, label=d, batch_size=2, last_batch_handle='discard')",
    "it(csr, label=d, batch_size=2, last_batch_handle='discard', shuffle=True)",
    "it(csr, label=d, batch_size=4, last_batch_handle='discard')",
    "it(d, label=csr, batch_size=2, last_batch_handle='discard')",
    "it({'a': csr, 'b': d}, batch_size=2, last_batch_handle='discard')",
):
    _list(_REASON, _with(f"sparse_io::{_line}", _sparse), f"sparse_io::{_line}")
