"""Blocks: layers and networks that own their parameters."""

from . import _nested
from ._base_block import Block
from ._base_block import _BlockScope as _BlockScope
from ._hybrid_block import HybridBlock
from ._nested import flatten as _flatten  # noqa: F401 (programs import it from here)
from ._symbol_block import SymbolBlock

__all__ = ["Block", "HybridBlock", "SymbolBlock"]


def _regroup(args, fmt):
    """The inverse of ``_flatten``: a flat list as nested lists of this form.

    >>> from mxtape.gluon.block import _regroup
    >>> _regroup([1, 2, 3], [0, [0, -1], 0])
    [1, [2, None], 3]
    """
    return _nested.regroup(iter(args), fmt)
