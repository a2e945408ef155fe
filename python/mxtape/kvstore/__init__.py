"""Stores of parameters that several contexts share: ``mx.kvstore``, also ``mx.kv``.

>>> import mxtape as mx
>>> store = mx.kv.create("local")
>>> store.init("w", mx.nd.zeros(2))
>>> store.push("w", [mx.nd.ones(2), mx.nd.ones(2)])
>>> w = mx.nd.empty(2)
>>> store.pull("w", out=w)
>>> w.asnumpy().tolist()
[2.0, 2.0]
"""

from .. import _missing
from . import base, kvstore, kvstore_server
from .base import KVStoreBase
from .kvstore import KVStore, create
from .kvstore_server import KVStoreServer

__all__ = [
    "KVStore",
    "KVStoreBase",
    "KVStoreServer",
    "base",
    "create",
    "kvstore",
    "kvstore_server",
]


def __getattr__(name):
    _missing.refuse(__name__, name)
