"""Words as numbers and vectors: counting, vocabularies, embeddings read from files."""

from . import embedding, utils, vocab

__all__ = ["embedding", "utils", "vocab"]
