"""Symbols of the operators that MXNet has for sparse storage: ``mx.sym.sparse``.

Arrays are dense in mxtape, so these are the functions of ``mx.sym`` under the same names.
"""

from . import register as _register

__all__ = (
    "ElementWiseSum Embedding FullyConnected LinearRegressionOutput LogisticRegressionOutput "
    "MAERegressionOutput abs adam_update add_n arccos arccosh arcsin arcsinh arctan arctanh "
    "broadcast_add broadcast_div broadcast_minus broadcast_mul broadcast_plus broadcast_sub "
    "cast_storage cbrt ceil clip concat cos cosh degrees dot elemwise_add elemwise_div "
    "elemwise_mul elemwise_sub exp expm1 fix floor ftrl_update gamma gammaln log log10 log1p log2 "
    "make_loss mean negative norm radians relu rint round rsqrt sgd_mom_update sgd_update sigmoid "
    "sign sin sinh slice sqrt square stop_gradient sum tan tanh trunc where zeros_like"
).split()
globals().update({name: _register.get(name) for name in __all__})


def __getattr__(name):
    raise AttributeError(_register.explain_missing(__name__, name))
