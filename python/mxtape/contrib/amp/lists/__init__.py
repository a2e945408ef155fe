"""The operators by what mixed precision does with them, for each low precision."""

from . import symbol_bf16, symbol_fp16

__all__ = ["symbol_bf16", "symbol_fp16"]
