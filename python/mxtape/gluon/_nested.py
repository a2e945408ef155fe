"""Nested lists of arrays or symbols as flat lists, and back.

The form of a nested list is a list of forms. The form of an array is 0, as is that of a symbol with
one output; of a symbol with several outputs, their number; of None, -1.
"""

from ..ndarray import NDArray
from ..symbol import Symbol


def flatten(nested, what):
    """The arrays or symbols of a nested list in order, without Nones, and its form.

    >>> from mxtape.gluon._nested import flatten
    >>> import mxtape as mx
    >>> x = mx.nd.zeros((1,))
    >>> flatten([x, [x, None]], "input")[1]
    [0, [0, -1]]
    """
    if isinstance(nested, NDArray):
        return [nested], 0
    if isinstance(nested, Symbol):
        count = len(nested)
        return [nested], count if count > 1 else 0
    if nested is None:
        return [], -1
    if not isinstance(nested, (list, tuple)):
        raise ValueError(
            f"the {what} of a hybridized block must be an array, a symbol or a (nested) list of "
            f"them, got {nested!r} of type {type(nested)}"
        )
    flat: list = []
    forms = []
    for item in nested:
        items, form = flatten(item, what)
        flat += items
        forms.append(form)
    return flat, forms


def regroup(flat, form):
    """The inverse of :func:`flatten`; `flat` is an iterator over what was flattened.

    Of a symbol with several outputs there are as many items, which become a list.

    >>> from mxtape.gluon._nested import regroup
    >>> regroup(iter([1, 2, 3, 4]), [0, [2, 0], -1])
    [1, [[2, 3], 4], None]
    """
    if isinstance(form, list):
        return [regroup(flat, inner) for inner in form]
    if form < 0:
        return None
    if form > 0:
        return [next(flat) for _ in range(form)]
    return next(flat)


def same_form(form, other):
    """Whether two lists are nested in one way; Nones at their ends do not count.

    >>> from mxtape.gluon._nested import same_form
    >>> same_form([0, -1], [0]), same_form([0], [[0]])
    (True, False)
    """
    return form == other or _without_end(form) == _without_end(other)


def _without_end(forms):
    count = len(forms)
    while count and forms[count - 1] == -1:
        count -= 1
    return forms[:count]


def without_outputs(form):
    """The form of variables in the place of what has this form: each has one output."""
    return [without_outputs(inner) for inner in form] if isinstance(form, list) else min(form, 0)


def leaves(nested):
    """What is in a nested list and is no list."""
    if isinstance(nested, (list, tuple)):
        for item in nested:
            yield from leaves(item)
    else:
        yield nested
