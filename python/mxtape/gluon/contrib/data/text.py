"""Texts for language models, from local files."""

import collections
import io
import os
import zipfile

import numpy as np

from .... import base, ndarray
from ....contrib.text.vocab import Vocabulary
from ...data.dataset import Dataset

__all__ = ["WikiText2", "WikiText103"]

_END = "<eos>"
_SEGMENTS = {"train": "train", "validation": "valid", "test": "test"}
_SMALL, _LARGE = (
    os.path.join(base.data_dir(), "datasets", name) for name in ("wikitext-2", "wikitext-103")
)


class _WikiText(Dataset):
    """A text as samples of `seq_len` words each, and as many words that follow them."""

    _namespace = ""

    def __init__(self, root, segment, vocab, seq_len):
        if segment not in _SEGMENTS:
            raise KeyError(
                f"{type(self).__name__}: segment must be one of {', '.join(_SEGMENTS)}; got "
                f"{segment!r}"
            )
        if seq_len < 1:
            raise ValueError(f"{type(self).__name__}: seq_len must be positive, got {seq_len}")
        self._root, self._segment = os.path.expanduser(root), segment
        self._seq_len, self._vocab = seq_len, vocab
        self._counter = None
        self._get_data()

    def _text(self):
        """The text, from a file in the folder or in the archive as it is published."""
        name = f"wiki.{_SEGMENTS[self._segment]}.tokens"
        places = [os.path.join(self._root, name), os.path.join(self._root, self._namespace, name)]
        for path in places:
            if os.path.exists(path):
                with open(path, encoding="utf-8") as file:
                    return file.read()
        archive = os.path.join(self._root, f"{self._namespace}-v1.zip")
        if not os.path.exists(archive):
            raise FileNotFoundError(
                f"{type(self).__name__}: there is neither {places[0]} nor {archive}. mxtape "
                "downloads nothing: put one of them there"
            )
        with zipfile.ZipFile(archive) as files:
            with files.open(f"{self._namespace}/{name}") as file:
                return io.TextIOWrapper(file, encoding="utf-8").read()

    def _get_data(self):
        lines = [line.split() for line in self._text().splitlines()]
        lines = [line for line in lines if line]
        self._counter = collections.Counter(token for line in lines for token in line)
        if self._vocab is None:
            self._vocab = Vocabulary(self._counter, reserved_tokens=[_END])
        words = [token for line in lines for token in (*line, _END)]
        numbers = np.array(self._vocab.to_indices(words), dtype="int32")
        samples = max(len(numbers) - 1, 0) // self._seq_len
        size = samples * self._seq_len
        shape = (samples, self._seq_len)
        self._data = ndarray.array(numbers[:size].reshape(shape), dtype="int32")
        self._label = ndarray.array(numbers[1 : size + 1].reshape(shape), dtype="int32")

    def __len__(self):
        return len(self._data)

    def __getitem__(self, idx):
        return self._data[idx], self._label[idx]

    @property
    def vocabulary(self):
        """The ``mx.contrib.text.vocab.Vocabulary`` that numbers the words."""
        return self._vocab

    @property
    def frequencies(self):
        """How often each word is in this text, a ``collections.Counter``."""
        return self._counter


class WikiText2(_WikiText):
    """WikiText-2, 2 million words of Wikipedia's articles: Merity et al., Pointer sentinel mixture
    models, 2016.

    An item is two int32 arrays of shape (seq_len,): the numbers of words, and of the words that
    follow each. ``<eos>`` ends each line.

    Parameters
    ----------
    root : str
        The folder of the files ``wiki.train.tokens``, ``wiki.valid.tokens``, ``wiki.test.tokens``,
        or of ``wikitext-2-v1.zip``, which has them. Nothing is downloaded.
        Default: ``datasets/wikitext-2`` in `mxtape.base.data_dir()`.
    segment : {'train', 'validation', 'test'}, default 'train'
    vocab : mx.contrib.text.vocab.Vocabulary, optional
        The numbers of the words. Default: made of this text.
    seq_len : int, default 35
        The number of words of an item.

    Raises
    ------
    FileNotFoundError
        When there is neither file; the message names them.
    """

    _namespace = "wikitext-2"

    def __init__(self, root=_SMALL, segment="train", vocab=None, seq_len=35):
        super().__init__(root, segment, vocab, seq_len)


class WikiText103(_WikiText):
    """WikiText-103, 103 million words: as :class:`WikiText2`, in ``datasets/wikitext-103``."""

    _namespace = "wikitext-103"

    def __init__(self, root=_LARGE, segment="train", vocab=None, seq_len=35):
        super().__init__(root, segment, vocab, seq_len)
