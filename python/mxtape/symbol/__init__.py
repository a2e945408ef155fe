"""Symbols: the structure of a recorded computation."""

from .symbol import Symbol

__all__ = ["Symbol"]
