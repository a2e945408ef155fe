# ruff: noqa: F401 (what is imported here is what `mx.nd` offers)
"""Arrays and the operators on them: ``mx.nd``."""

from .._loader import core as _core
from . import op, register
from .cached_op import CachedOp
from .dlpack import from_dlpack, to_dlpack_for_read, to_dlpack_for_write
from .files import load, load_frombuffer, save
from .indexing import get_indexing_dispatch_code, indexing_key_expand_implicit_axes
from .ndarray import (
    _DTYPE_MX_TO_NP,
    _DTYPE_NP_TO_MX,
    _GRAD_REQ_MAP,
    NDArray,
    add,
    arange,
    array,
    concatenate,
    divide,
    empty,
    equal,
    eye,
    from_numpy,
    full,
    get_oshape_of_gather_nd_op,
    greater,
    greater_equal,
    histogram,
    lesser,
    lesser_equal,
    linspace,
    logical_and,
    logical_or,
    logical_xor,
    maximum,
    minimum,
    modulo,
    moveaxis,
    multiply,
    not_equal,
    onehot_encode,
    ones,
    power,
    split_v2,
    subtract,
    true_divide,
    waitall,
    zeros,
)
from .unsupported import imdecode

register.publish_operators(globals(), op.__dict__)

from . import _internal, contrib, image, linalg, methods, random  # noqa: E402

methods.install(NDArray)

__all__ = [name for name in globals() if not name.startswith("_")]


# Also what is imported when it is asked for.
__all__ += ["_DTYPE_MX_TO_NP", "_DTYPE_NP_TO_MX", "_GRAD_REQ_MAP", "Custom", "sparse"]


def __getattr__(name):
    if name == "sparse":  # few programs have sparse arrays
        from importlib import import_module

        return import_module(".sparse", __name__)
    raise AttributeError(register.explain_missing(__name__, name))


del _core
