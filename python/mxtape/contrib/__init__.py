"""Interfaces that MXNet kept under ``contrib``."""

from . import autograd

__all__ = ["autograd"]
