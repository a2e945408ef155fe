"""Symbols: graphs of operators, recorded or from files."""

from .symbol import Group, Symbol, load, load_json

__all__ = ["Group", "Symbol", "load", "load_json"]
