"""mxtape: the imperative interface of Apache MXNet 1.9.1 on a new engine.

>>> import mxtape as mx
>>> x = mx.nd.array([1.0, 2.0])
>>> x.attach_grad()
>>> with mx.autograd.record():
...     y = (x ** 2).sum()
>>> y.backward()
>>> x.grad.asnumpy().tolist()
[2.0, 4.0]
"""

import importlib as _importlib
import os as _os

from . import autograd, base, context, contrib, ndarray, operator, random, runtime, symbol
from . import ndarray as nd
from . import symbol as sym
from ._loader import core as _core
from ._version import __version__
from .as_mxnet import install_as_mxnet
from .base import MXNetError
from .context import Context, cpu, cpu_pinned, current_context, gpu, num_gpus

# It needs autograd, which needs ndarray.
ndarray.Custom = operator.Custom

_core.set_package_directory(_os.path.dirname(_os.path.abspath(__file__)) + _os.sep)
_core.set_stale_mode(_os.environ.get("MXTAPE_STALE", "warn"))

_NOT_YET = (
    "gluon",
    "np",
    "npx",
    "init",
    "initializer",
    "io",
    "image",
    "img",
    "kv",
    "kvstore",
    "lr_scheduler",
    "metric",
    "mod",
    "module",
    "model",
    "optimizer",
    "profiler",
    "recordio",
    "viz",
    "visualization",
    "callback",
    "executor",
    "monitor",
    "rnn",
    "engine",
    "util",
)


# Programs that do not use them do not wait for them.
_ON_FIRST_USE = ("test_utils",)


def __getattr__(name):
    if name in _ON_FIRST_USE:
        return _importlib.import_module(f".{name}", __name__)
    if name in _NOT_YET:
        raise AttributeError(f"mxtape.{name} is not in mxtape yet; see docs/differences.md")
    raise AttributeError(f"module 'mxtape' has no attribute {name!r}")


__all__ = [
    "Context",
    "MXNetError",
    "__version__",
    "autograd",
    "base",
    "context",
    "contrib",
    "cpu",
    "cpu_pinned",
    "current_context",
    "gpu",
    "install_as_mxnet",
    "nd",
    "ndarray",
    "num_gpus",
    "operator",
    "random",
    "runtime",
    "sym",
    "symbol",
]
