"""Numbers for tokens."""

import collections

__all__ = ["Vocabulary"]


class Vocabulary:
    """Numbers for tokens: 0 for the unknown one, then the reserved ones, then by frequency.

    Parameters
    ----------
    counter : collections.Counter, optional
        The tokens with their frequencies. Of equal ones, the smaller token goes first.
    most_freq_count : int, optional
        How many tokens of `counter` are taken at most; all by default.
    min_freq : int, default 1
        Rarer tokens are left out.
    unknown_token : hashable, default '<unk>'
        Stands for every token that is not in the vocabulary.
    reserved_tokens : list of hashable, optional
        Tokens that are in it whatever the counter says.

    Raises
    ------
    AssertionError
        For a `min_freq` below 1, reserved tokens twice or the unknown one among them, and a counter
        of another type.

    Examples
    --------
    >>> import mxtape as mx
    >>> from collections import Counter
    >>> counter = Counter("a rose is a rose".split())
    >>> words = mx.contrib.text.vocab.Vocabulary(counter, min_freq=2, reserved_tokens=["<pad>"])
    >>> words.idx_to_token, words.to_indices(["rose", "tulip"]), len(words)
    (['<unk>', '<pad>', 'a', 'rose'], [3, 0], 4)
    """

    def __init__(
        self,
        counter=None,
        most_freq_count=None,
        min_freq=1,
        unknown_token="<unk>",
        reserved_tokens=None,
    ):
        if min_freq < 1:
            raise AssertionError(f"Vocabulary: min_freq must be at least 1, got {min_freq}")
        special = [unknown_token, *(reserved_tokens or ())]
        if len(set(special)) < len(special):
            raise AssertionError(
                f"Vocabulary: reserved_tokens must be different from each other and from the "
                f"unknown token {unknown_token!r}, got {reserved_tokens!r}"
            )
        self._unknown_token = unknown_token
        self._reserved_tokens = None if reserved_tokens is None else list(reserved_tokens)
        self._idx_to_token = special
        self._token_to_idx = {token: i for i, token in enumerate(special)}
        if counter is not None:
            self._add_frequent(counter, most_freq_count, min_freq)

    def _add_frequent(self, counter, most_freq_count, min_freq):
        if not isinstance(counter, collections.Counter):
            raise AssertionError(f"Vocabulary: counter must be a Counter, got {type(counter)}")
        tokens = sorted(counter.items(), key=lambda item: (-item[1], item[0]))
        tokens = [t for t, freq in tokens if freq >= min_freq and t != self._unknown_token]
        limit = len(tokens) if most_freq_count is None or most_freq_count < 0 else most_freq_count
        # Reserved tokens do not count.
        for token in [t for t in tokens if t not in self._token_to_idx][:limit]:
            self._add(token)

    def _add(self, token):
        self._token_to_idx[token] = len(self._idx_to_token)
        self._idx_to_token.append(token)

    def __len__(self):
        return len(self._idx_to_token)

    @property
    def token_to_idx(self):
        """The numbers by token: a dict."""
        return self._token_to_idx

    @property
    def idx_to_token(self):
        """The tokens by number: a list."""
        return self._idx_to_token

    @property
    def unknown_token(self):
        """What stands for tokens that are not in the vocabulary."""
        return self._unknown_token

    @property
    def reserved_tokens(self):
        """The tokens that were given as reserved: a list, or None."""
        return self._reserved_tokens

    def to_indices(self, tokens):
        """The number of a token, or those of a list of tokens; 0 for unknown ones."""
        if isinstance(tokens, list):
            return [self._token_to_idx.get(token, 0) for token in tokens]
        return self._token_to_idx.get(tokens, 0)

    def to_tokens(self, indices):
        """The token of a number, or a list of the tokens of a list of numbers.

        Raises
        ------
        ValueError
            For a number that no token has.
        """
        if isinstance(indices, list):
            return [self.to_tokens(index) for index in indices]
        if not isinstance(indices, int) or not 0 <= indices < len(self):
            raise ValueError(
                f"to_tokens: {indices!r} is not the number of a token; there are {len(self)}"
            )
        return self._idx_to_token[indices]
