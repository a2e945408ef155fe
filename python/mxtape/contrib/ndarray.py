"""``mx.contrib.nd``: what ``mx.nd.contrib`` has, under its older name."""

from ..ndarray import contrib as _contrib
from ..ndarray.contrib import *  # noqa: F403

__all__ = _contrib.__all__
