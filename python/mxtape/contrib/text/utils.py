"""Counting of tokens."""

import collections
import re

__all__ = ["count_tokens_from_str"]


def count_tokens_from_str(
    source_str, token_delim=" ", seq_delim="\n", to_lower=False, counter_to_update=None
):
    """Counts the tokens of a text.

    Parameters
    ----------
    source_str : str
    token_delim, seq_delim : str, default ' ' and newline
        What stands between tokens, and between sequences of them: regular expressions.
    to_lower : bool, default False
        Whether the text is brought into lower case first.
    counter_to_update : collections.Counter, optional
        A counter to add to; it is returned.

    Returns
    -------
    collections.Counter

    Examples
    --------
    >>> import mxtape as mx
    >>> mx.contrib.text.utils.count_tokens_from_str("a rose is\\na Rose", to_lower=True)["rose"]
    2
    """
    text = source_str.lower() if to_lower else source_str
    counter = collections.Counter() if counter_to_update is None else counter_to_update
    counter.update(token for token in re.split(f"{token_delim}|{seq_delim}", text) if token)
    return counter
