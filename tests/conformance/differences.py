"""All cases in which mxtape differs from MXNet 1.9.1 on purpose, by their ids."""

import differences_core  # noqa: F401 (fills the table)
import differences_layers  # noqa: F401
import differences_networks  # noqa: F401
import differences_optimizer  # noqa: F401
import differences_sparse_arrays  # noqa: F401
import differences_sparse_autograd  # noqa: F401
import differences_sparse_data  # noqa: F401
import differences_sparse_dot  # noqa: F401
import differences_sparse_graphs  # noqa: F401
import differences_sparse_operators  # noqa: F401
from difference import DIFFERENCES

__all__ = ["DIFFERENCES"]
