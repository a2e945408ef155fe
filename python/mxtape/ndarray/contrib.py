"""Operators that MXNet calls contributed: ``mx.nd.contrib``."""

import numpy as np

from ..context import current_context
from . import register as _register
from . import unsupported as _unsupported
from .contrib_optimizer import *  # noqa: F403
from .contrib_optimizer import __all__ as _optimizers
from .contrib_random import rand_zipfian
from .control_flow import cond, foreach, while_loop

_INF = float("inf")


def isnan(data):
    """1 where an element is not a number, else 0, in the array's dtype.

    >>> import mxtape as mx
    >>> mx.nd.contrib.isnan(mx.nd.array([1.0, float("nan")])).asnumpy().tolist()
    [0.0, 1.0]
    """
    return data != data


def isinf(data):
    """1 where an element is infinite, of either sign, else 0, in the array's dtype.

    >>> import mxtape as mx
    >>> mx.nd.contrib.isinf(mx.nd.array([1.0, -float("inf")])).asnumpy().tolist()
    [0.0, 1.0]
    """
    return data.abs() == _INF if issubclass(data.dtype, np.floating) else data != data


def isfinite(data):
    """1 where an element is neither infinite nor not a number, else 0, in the array's dtype.

    >>> import mxtape as mx
    >>> mx.nd.contrib.isfinite(mx.nd.array([1.0, float("inf"), float("nan")])).asnumpy().tolist()
    [1.0, 0.0, 0.0]
    """
    return (data - data) == 0


__all__ = [
    "cond",
    "current_context",
    "foreach",
    "isfinite",
    "isinf",
    "isnan",
    "rand_zipfian",
    "while_loop",
    *_optimizers,
    *_register.publish_prefixed(globals(), "_contrib_"),
]


uniform = _register.get("_random_uniform")
__all__ += ["uniform", *_unsupported.CONTRIB]


def __getattr__(name):
    if name in _unsupported.CONTRIB:
        return globals().setdefault(name, _unsupported.contrib(name))
    raise AttributeError(_register.explain_missing(__name__, name))


def __dir__():
    return sorted({*globals(), *__all__})
