"""Optimizers: what changes weights by their gradients. ``mx.optimizer``.

>>> import mxtape as mx
>>> updater = mx.optimizer.get_updater(mx.optimizer.create("adam", learning_rate=0.5))
>>> w = mx.nd.array([1.0, 1.0])
>>> for _ in range(3):
...     updater("w", 2 * w, w)
>>> bool((abs(w) < 0.5).asnumpy().all())
True
"""

from .. import _missing
from . import contrib
from .optimizer import *  # noqa: F403
from .optimizer import __all__ as _names

__all__ = [name for name in _names if name != "NDArray"]
__all__ += ["contrib"]


def __getattr__(name):
    _missing.refuse(__name__, name)
