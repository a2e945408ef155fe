"""Arrays nested in tuples, lists and dicts, as flat lists and back.

What is neither a container nor an array is part of the structure. ``gluon._nested`` does the same
for what hybrid blocks accept: lists only, with symbols in them.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from ..ndarray import NDArray


class _Leaf:
    """The place of an array in a structure."""

    def __repr__(self) -> str:
        return "array"


LEAF = _Leaf()


def flatten(tree: Any) -> tuple[list[NDArray], Any]:
    """The arrays of `tree` in order, and its structure: `tree` with a mark for each array.

    >>> from mxtape import nd
    >>> from mxtape.autograd._trees import flatten
    >>> arrays, structure = flatten({"w": nd.zeros((2,)), "rest": [nd.ones((1,)), 3]})
    >>> len(arrays), structure
    (2, {'w': array, 'rest': [array, 3]})
    """
    arrays: list[NDArray] = []
    return arrays, _structure(tree, arrays)


def _structure(tree: Any, arrays: list[NDArray]) -> Any:
    if isinstance(tree, NDArray):
        arrays.append(tree)
        return LEAF
    if isinstance(tree, dict):
        return like(tree, {key: _structure(item, arrays) for key, item in tree.items()})
    if isinstance(tree, (tuple, list)):
        return like(tree, [_structure(item, arrays) for item in tree])
    return tree


def like(tree: Any, items: Any) -> Any:
    """`items`, a dict or a list, as a container of the type of `tree`."""
    if isinstance(tree, dict):
        if type(tree) is dict:
            return items
        copy = tree.copy()
        copy.update(items)
        return copy
    return type(tree)(*items) if hasattr(tree, "_fields") else type(tree)(items)


def unflatten(structure: Any, values: Iterable[Any]) -> Any:
    """`structure` with the next of `values` for each mark.

    >>> from mxtape.autograd._trees import LEAF, unflatten
    >>> unflatten((LEAF, [LEAF, None]), [1, 2])
    (1, [2, None])
    """
    return _filled(structure, iter(values))


def _filled(structure: Any, values: Iterator[Any]) -> Any:
    if structure is LEAF:
        return next(values)
    if isinstance(structure, dict):
        return like(structure, {key: _filled(item, values) for key, item in structure.items()})
    if isinstance(structure, (tuple, list)):
        return like(structure, [_filled(item, values) for item in structure])
    return structure


def paths(structure: Any, name: str = "") -> list[str]:
    """How a program writes each array's place in the structure, which it calls `name`.

    >>> from mxtape.autograd._trees import LEAF, paths
    >>> paths({"w": LEAF, "rest": [LEAF, 3]}, "x")
    ["x['w']", "x['rest'][0]"]
    """
    if structure is LEAF:
        return [name]
    found: list[str] = []
    if isinstance(structure, dict):
        for key, item in structure.items():
            found += paths(item, f"{name}[{key!r}]")
    elif isinstance(structure, (tuple, list)):
        for i, item in enumerate(structure):
            found += paths(item, f"{name}[{i}]")
    return found
