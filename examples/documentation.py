"""The text that examples learn from, which comes with Python itself, and tables of what it says."""

import numpy as np


def load_documentation():
    """The text to learn from, and every tenth paragraph, which is held out.

    It is what `help("for")` and its kin show, the topics of `pydoc`, each paragraph once.
    """
    from pydoc_data.topics import topics

    paragraphs = dict.fromkeys(
        paragraph for name in sorted(topics) for paragraph in topics[name].split("\n\n")
    )
    texts = ["", ""]
    for i, paragraph in enumerate(paragraphs):
        plain = "".join(c for c in paragraph if c == "\n" or " " <= c <= "~")
        texts[i % 10 == 9] += plain + "\n\n"
    return texts


def table_loss(train, test, order, size):
    """Bits per symbol on `test` of a table of how often a symbol followed `order` others.

    A table starts from what the next shorter one says, as if seen twice.
    """

    def contexts(numbers, length):
        return sum(
            numbers[order - k : len(numbers) - k] * size ** (k - 1) for k in range(1, length + 1)
        )

    odds = np.full(len(test) - order, 1 / size)
    for length in range(order + 1):
        before, after = contexts(train, length), contexts(test, length)
        pairs = np.bincount(before * size + train[order:], minlength=size ** (length + 1))
        seen = np.bincount(np.zeros_like(train[order:]) + before, minlength=size**length)
        odds = (pairs[after * size + test[order:]] + 2 * odds) / (seen[after] + 2)
    return -np.log2(odds).mean()


def parallel_streams(numbers, count, length):
    """Cut a text into streams side by side, of shape (steps * length + 1, count)."""
    rows = (len(numbers) // count - 1) // length * length + 1
    cut = [numbers[i * (len(numbers) // count) :][:rows] for i in range(count)]
    return np.stack(cut, axis=1)
