"""Helpers for tests: comparing arrays, checking gradients, random arrays, checking distributions.

>>> import mxtape as mx
>>> mx.test_utils.assert_almost_equal(mx.nd.ones((2,)) * 3, [3.0, 3.0])
"""

from .. import _borrowed, _missing
from .. import as_mxnet as _as_mxnet
from ..context import current_context
from ..ndarray import array
from ..util import get_cuda_compute_capability, getenv, setenv
from .arrays import (
    assign_each,
    assign_each2,
    collapse_sum_like,
    create_2d_tensor,
    create_vector,
    default_context,
    default_dtype,
    get_identity_mat,
    get_identity_mat_batch,
    new_matrix_with_real_eigvals_2d,
    new_matrix_with_real_eigvals_nd,
    new_orthonormal_matrix_2d,
    new_sym_matrix_with_real_eigvals_2d,
    new_sym_matrix_with_real_eigvals_nd,
    np_reduce,
    rand_coord_2d,
    rand_ndarray,
    rand_shape_2d,
    rand_shape_3d,
    rand_shape_nd,
    random_arrays,
    random_sample,
    random_uniform_arrays,
    set_default_context,
)
from .comparison import (
    almost_equal,
    assert_allclose,
    assert_almost_equal,
    assert_almost_equal_ignore_nan,
    assert_almost_equal_with_err,
    assert_exception,
    checkShapes,
    compare_ndarray_tuple,
    default_atols,
    default_numeric_eps,
    default_rtols,
    effective_dtype,
    get_atol,
    get_etol,
    get_rtol,
    get_tolerance,
    get_tols,
    locationError,
    same,
    same_array,
)
from .distributions import (
    chi_square_check,
    gen_buckets_probs_with_ppf,
    mean_check,
    var_check,
    verify_generator,
)
from .gradients import (
    check_numeric_gradient,
    check_speed,
    numeric_grad,
)
from .optimizers import compare_optimizer
from .process import (
    discard_stderr,
    environment,
    get_im2rec_path,
    has_tvm_ops,
    is_aarch64_run,
    is_cd_run,
    is_op_runnable,
    list_gpus,
    retry,
)
from .sparse import (
    create_sparse_array,
    create_sparse_array_zd,
    rand_sparse_ndarray,
    shuffle_csr_column_indices,
)
from .symbols import (
    check_consistency,
    check_symbolic_backward,
    check_symbolic_forward,
    same_symbol_structure,
    simple_forward,
)

__all__ = [
    "almost_equal",
    "array",
    "assert_allclose",
    "assert_almost_equal",
    "assert_almost_equal_ignore_nan",
    "assert_almost_equal_with_err",
    "assert_exception",
    "assign_each",
    "assign_each2",
    "checkShapes",
    "check_consistency",
    "check_numeric_gradient",
    "check_speed",
    "check_symbolic_backward",
    "check_symbolic_forward",
    "chi_square_check",
    "collapse_sum_like",
    "compare_ndarray_tuple",
    "compare_optimizer",
    "create_2d_tensor",
    "create_sparse_array",
    "create_sparse_array_zd",
    "create_vector",
    "current_context",
    "default_atols",
    "default_context",
    "default_dtype",
    "default_numeric_eps",
    "default_rtols",
    "discard_stderr",
    "effective_dtype",
    "environment",
    "gen_buckets_probs_with_ppf",
    "get_atol",
    "get_cuda_compute_capability",
    "get_etol",
    "get_identity_mat",
    "get_identity_mat_batch",
    "get_im2rec_path",
    "get_rtol",
    "get_tolerance",
    "get_tols",
    "getenv",
    "has_tvm_ops",
    "is_aarch64_run",
    "is_cd_run",
    "is_op_runnable",
    "list_gpus",
    "locationError",
    "mean_check",
    "new_matrix_with_real_eigvals_2d",
    "new_matrix_with_real_eigvals_nd",
    "new_orthonormal_matrix_2d",
    "new_sym_matrix_with_real_eigvals_2d",
    "new_sym_matrix_with_real_eigvals_nd",
    "np_reduce",
    "numeric_grad",
    "rand_coord_2d",
    "rand_ndarray",
    "rand_shape_2d",
    "rand_shape_3d",
    "rand_shape_nd",
    "rand_sparse_ndarray",
    "random_arrays",
    "random_sample",
    "random_uniform_arrays",
    "retry",
    "same",
    "same_array",
    "same_symbol_structure",
    "set_default_context",
    "setenv",
    "shuffle_csr_column_indices",
    "simple_forward",
    "var_check",
    "verify_generator",
]

# What MXNet's module has beside these, by what it would need.
_NEEDS = {
    "mx.np": "np_symbol",
}
_NOT_HERE = {name: need for need, names in _NEEDS.items() for name in names.split()}


def _explain(name):
    if name == "mx":
        # Not kept: a program may import mxnet later.
        return _as_mxnet.module()
    if name in _NOT_HERE:
        raise AttributeError(
            f"mxtape.test_utils.{name} is not in mxtape: it needs {_NOT_HERE[name]}; "
            f"{_missing.see(name)}"
        )
    return _missing.refuse(__name__, name)


__all__ += ["mx"]
__getattr__ = _borrowed.borrow(
    __name__,
    "bz2 errno gzip json logging np=numpy npt=numpy.testing numbers os platform rnd=numpy.random "
    "struct sys time traceback zipfile",
    {
        "collections": "OrderedDict",
        "contextlib": "contextmanager",
        ".context": "Context",
        ".test_utils.blocks": "check_gluon_hybridize_consistency",
        ".test_utils.data": "DummyIter",
        ".test_utils.files": "download download_model get_bz2_data get_cifar10 get_mnist "
        "get_mnist_iterator get_mnist_pkl get_mnist_ubyte get_zip_data",
        ".runtime": "Features",
        ".symbol": "Symbol",
        ".util": "use_np",
    },
    later="requests=requests ss=scipy.stats",
    explain=_explain,
)
