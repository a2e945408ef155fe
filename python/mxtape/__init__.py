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

import os as _os

from . import (
    _borrowed,
    _missing,
    autograd,
    base,
    context,
    contrib,
    ndarray,
    operator,
    random,
    runtime,
)
from . import ndarray as nd
from . import random as rnd
from ._loader import core as _core
from ._version import __version__
from .as_mxnet import install_as_mxnet
from .base import MXNetError
from .context import Context, cpu, cpu_pinned, current_context, gpu, num_gpus

# It needs autograd, which needs ndarray.
ndarray.Custom = operator.Custom

_core.set_package_directory(_os.path.dirname(_os.path.abspath(__file__)) + _os.sep)
_core.set_stale_mode(_os.environ.get("MXTAPE_STALE", "warn"))

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
    "rnd",
    "runtime",
    "sym",
    "symbol",
]

# Programs that do not use them do not wait for them.
__getattr__ = _borrowed.borrow(
    __name__,
    "attribute=.attribute callback=.callback engine=.engine executor=.executor "
    "executor_manager=.executor_manager gluon=.gluon image=.image img=.image init=.initializer "
    "initializer=.initializer io=.io kv=.kvstore kvstore=.kvstore libinfo=.libinfo "
    "library=.library log=.log lr_scheduler=.lr_scheduler metric=.metric mod=.module model=.model "
    "module=.module mon=.monitor monitor=.monitor name=.name optimizer=.optimizer "
    "profiler=.profiler recordio=.recordio registry=.registry rnn=.rnn sym=.symbol symbol=.symbol "
    "test_utils=.test_utils util=.util visualization=.visualization viz=.visualization",
    {
        ".attribute": "AttrScope",
        ".util": "is_np_array is_np_shape np_array np_shape set_np_shape use_np use_np_array "
        "use_np_shape",
    },
)
_missing.install()
if _os.environ.get("MXNET_PROFILER_AUTOSTART", "0") not in ("", "0"):
    from . import profiler as profiler  # starts itself
