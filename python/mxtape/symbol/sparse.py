"""Symbols of the operators that MXNet has for sparse storage: ``mx.sym.sparse``.

They are the functions of ``mx.sym`` under the same names, and those that only sparse arrays have.
"""

from ..ndarray.register import all_names as _all_names
from . import register as _register

_MXNETS = (
    "ElementWiseSum Embedding FullyConnected LinearRegressionOutput LogisticRegressionOutput "
    "MAERegressionOutput _contrib_round_ste _contrib_sign_ste abs adagrad_update adam_update add_n "
    "arccos arccosh arcsin arcsinh arctan arctanh broadcast_add broadcast_div broadcast_minus "
    "broadcast_mul broadcast_plus broadcast_sub cast_storage cbrt ceil clip concat cos cosh "
    "degrees dot elemwise_add elemwise_div elemwise_mul elemwise_sub exp expm1 fix floor "
    "ftrl_update gamma gammaln log log10 log1p log2 make_loss mean negative norm radians relu "
    "retain rint round rsqrt sgd_mom_update sgd_update sigmoid sign sin sinh slice sqrt square "
    "stop_gradient sum tan tanh trunc where zeros_like"
).split()


def _functions():
    known = set(_all_names())
    for name in _MXNETS:
        own = f"_sparse_{name}"
        if own in known:
            yield name, _register.get(own, name)
        elif name in known:
            yield name, _register.get(name)


globals().update(_functions())
__all__ = [name for name in _MXNETS if name in globals() and not name.startswith("_")]


def __getattr__(name):
    raise AttributeError(_register.explain_missing(__name__, name))
