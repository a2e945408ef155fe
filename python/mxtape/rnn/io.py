"""Sentences as numbers, in batches of sentences of similar length."""

import bisect
import random
import warnings

import numpy as np

from .. import ndarray
from ..io import DataBatch, DataDesc, DataIter

__all__ = [
    "BucketSentenceIter",
    "DataBatch",
    "DataDesc",
    "DataIter",
    "bisect",
    "encode_sentences",
    "ndarray",
    "np",
    "random",
]


def encode_sentences(
    sentences, vocab=None, invalid_label=-1, invalid_key="\n", start_label=0, unknown_token=None
):
    """Words as numbers.

    Parameters
    ----------
    sentences : list of list of str
        The words of each sentence.
    vocab : dict of str to int, optional
        The number of each word. Default: one is made, with a number for every word.
    invalid_label : int, default -1
        The number that means no word; no word gets it.
    invalid_key : str, default '\\\\n'
        What stands for it in a vocabulary that is made.
    start_label : int, default 0
        The first number that is given to a word.
    unknown_token : str, optional
        The word in `vocab` that stands for words that are not in it. It gets a number there if it
        has none.

    Returns
    -------
    sentences : list of list of int
    vocab : dict of str to int

    Raises
    ------
    AssertionError
        A word is not in `vocab`, and there is no `unknown_token`.

    Examples
    --------
    >>> import mxtape as mx
    >>> mx.rnn.encode_sentences([["a", "b"], ["b", "c"]], invalid_label=0, start_label=1)
    ([[1, 2], [2, 3]], {'\\n': 0, 'a': 1, 'b': 2, 'c': 3})
    """
    grows = vocab is None
    if grows:
        vocab = {invalid_key: invalid_label}
    taken = {invalid_label, *vocab.values()}
    following = start_label

    def add(word):
        nonlocal following
        while following in taken:
            following += 1
        taken.add(following)
        vocab[word] = following

    encoded = []
    for sentence in sentences:
        numbers = []
        for word in sentence:
            if word not in vocab and not grows:
                if unknown_token is None:
                    raise AssertionError(f"Unknown token {word}")
                word = unknown_token
            if word not in vocab:
                add(word)
            numbers.append(vocab[word])
        encoded.append(numbers)
    return encoded, vocab


class BucketSentenceIter(DataIter):
    """Batches of sentences for a language model, each batch of sentences of similar length.

    The label of a word is the word after it. A sentence is filled up with `invalid_label` to the
    length of the smallest bucket that it fits into; longer ones are left out. A bucket's sentences
    that do not fill a batch are left out too, others in each pass: :meth:`reset` shuffles them.

    Parameters
    ----------
    sentences : list of list of int
        As :func:`encode_sentences` returns them.
    batch_size : int
    buckets : list of int, optional
        Lengths. Default: every length that fills a batch.
    invalid_label : int, default -1
        The number that means no word.
    data_name, label_name : str, default 'data' and 'softmax_label'
    dtype : str, default 'float32'
        Of the arrays.
    layout : {'NT', 'TN'}, default 'NT'
        Whether arrays have shape (batch, time) or (time, batch).

    Examples
    --------
    >>> import mxtape as mx
    >>> data = mx.rnn.BucketSentenceIter([[1, 2, 3], [4, 5], [6, 7]], 2, buckets=[2, 4])
    >>> batch = next(data)
    >>> batch.bucket_key, batch.data[0].shape
    (2, (2, 2))
    """

    def __init__(
        self,
        sentences,
        batch_size,
        buckets=None,
        invalid_label=-1,
        data_name="data",
        label_name="softmax_label",
        dtype="float32",
        layout="NT",
    ):
        super().__init__()
        self.major_axis = layout.find("N")
        if self.major_axis not in (0, 1):
            raise ValueError(
                f"BucketSentenceIter: layout must begin with NT (batch, time) or TN; got {layout!r}"
            )
        if not buckets:
            lengths = np.bincount([len(sentence) for sentence in sentences])
            buckets = [length for length, count in enumerate(lengths) if count >= batch_size]
        if not buckets:
            raise ValueError(
                f"BucketSentenceIter: no bucket; none of {len(sentences)} sentences' lengths is "
                f"that of a batch of {batch_size}, so give buckets"
            )
        self.batch_size = batch_size
        self.buckets = sorted(buckets)
        self.data_name, self.label_name = data_name, label_name
        self.dtype, self.layout, self.invalid_label = dtype, layout, invalid_label
        self.nddata, self.ndlabel = [], []
        self.default_bucket_key = max(buckets)
        self.data = self._fill_buckets(sentences)
        self.provide_data, self.provide_label = (
            [self._describe(name, self._shape(self.default_bucket_key))]
            for name in (data_name, label_name)
        )
        self.idx = [
            (bucket, row)
            for bucket, rows in enumerate(self.data)
            for row in range(0, len(rows) - batch_size + 1, batch_size)
        ]
        self.curr_idx = 0
        self.reset()

    def _fill_buckets(self, sentences):
        rows: list = [[] for _ in self.buckets]
        left_out = 0
        for sentence in sentences:
            bucket = bisect.bisect_left(self.buckets, len(sentence))
            if bucket == len(self.buckets):
                left_out += 1
                continue
            row = np.full((self.buckets[bucket],), self.invalid_label, dtype=self.dtype)
            row[: len(sentence)] = sentence
            rows[bucket].append(row)
        if left_out:
            warnings.warn(
                f"BucketSentenceIter: {left_out} sentences are longer than the largest bucket, "
                f"{self.buckets[-1]}, and left out",
                stacklevel=3,
            )
        return [
            np.asarray(bucket, dtype=self.dtype).reshape((-1, length))
            for bucket, length in zip(rows, self.buckets)
        ]

    def _shape(self, length):
        return (self.batch_size, length) if self.major_axis == 0 else (length, self.batch_size)

    def _describe(self, name, shape):
        return DataDesc(name=name, shape=shape, layout=self.layout)

    def reset(self):
        self.curr_idx = 0
        random.shuffle(self.idx)
        for rows in self.data:
            np.random.shuffle(rows)  # noqa: NPY002 - np.random.seed() decides it, as in MXNet
        self.nddata, self.ndlabel = [], []
        for rows in self.data:
            label = np.full_like(rows, self.invalid_label)
            label[:, :-1] = rows[:, 1:]
            self.nddata.append(ndarray.array(rows, dtype=self.dtype))
            self.ndlabel.append(ndarray.array(label, dtype=self.dtype))

    def next(self):
        if self.curr_idx == len(self.idx):
            raise StopIteration
        bucket, row = self.idx[self.curr_idx]
        self.curr_idx += 1
        data, label = (
            arrays[bucket][row : row + self.batch_size] for arrays in (self.nddata, self.ndlabel)
        )
        if self.major_axis == 1:
            data, label = data.T, label.T
        return DataBatch(
            [data],
            [label],
            pad=0,
            bucket_key=self.buckets[bucket],
            provide_data=[self._describe(self.data_name, data.shape)],
            provide_label=[self._describe(self.label_name, label.shape)],
        )
