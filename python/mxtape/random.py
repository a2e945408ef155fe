"""Random arrays: ``mx.random``, the same functions as ``mx.nd.random``."""

from .ndarray.random import *  # noqa: F403
from .ndarray.random import __all__  # noqa: F401
