"""Training and predicting with symbols: ``mx.module``, also ``mx.mod``.

A module binds a symbol to arrays, on one context or on several, and has all that training needs:
parameters, an optimizer, metrics. ``Module`` is the one that most programs use.
"""

from .. import _missing
from . import (
    base_module,
    bucketing_module,
    executor_group,
    module,
    python_module,
    sequential_module,
)
from .base_module import BaseModule
from .bucketing_module import BucketingModule
from .module import Module
from .python_module import PythonLossModule, PythonModule
from .sequential_module import SequentialModule

__all__ = [
    "BaseModule",
    "BucketingModule",
    "Module",
    "PythonLossModule",
    "PythonModule",
    "SequentialModule",
    "base_module",
    "bucketing_module",
    "executor_group",
    "module",
    "python_module",
    "sequential_module",
]


def __getattr__(name):
    _missing.refuse(__name__, name)
