"""Layers: ``mx.gluon.nn``."""

from ..block import Block, HybridBlock, SymbolBlock
from . import activations, basic_layers
from .activations import Activation
from .basic_layers import Dense, Flatten, HybridLambda, HybridSequential, Lambda, Sequential

__all__ = [
    "Activation",
    "Block",
    "Dense",
    "Flatten",
    "HybridBlock",
    "HybridLambda",
    "HybridSequential",
    "Lambda",
    "Sequential",
    "SymbolBlock",
    "activations",
    "basic_layers",
]
