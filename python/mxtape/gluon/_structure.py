"""The file of ``Block.save``: the blocks of a network by their classes, and their graphs."""

import itertools
import json
from collections import OrderedDict

from .. import symbol


def _key(block, numbers):
    """What stands for a block in the file: its class and its number in the network."""
    return f"{type(block).__name__.lower()}{next(numbers)}"


def save_structure(block, filename):
    """Writes the blocks of a network to a JSON file."""
    numbers = itertools.count()
    with open(filename, "w") as file:
        json.dump({_key(block, numbers): _describe(block, numbers)}, file)


def _describe(block, numbers):
    entry = {"orig_name": block.name}
    graph = getattr(block, "_cached_graph", None)
    if graph:
        entry["in_format"], entry["out_format"] = block._in_format, block._out_format
        entry["inputs"] = [variable.tojson() for variable in graph[0]]
        entry["symbol"] = graph[1].tojson()
    if graph is not None:
        entry["hybridized"] = bool(graph)
    entry["children"] = {child.name: key for key, child in block._children.items()}
    for child in block._children.values():
        key = _key(child, numbers)  # its number comes before those of the blocks in it
        entry[key] = _describe(child, numbers)
    return entry


def load_structure(block, filename):
    """Gives the blocks of a network the names and the graphs that a file has."""
    with open(filename) as file:
        entries = json.load(file)
    found: list = []
    _match(block, entries, itertools.count(), filename, found)
    for part, entry in found:
        _restore(part, entry)


def _match(block, entries, numbers, filename, found):
    key = _key(block, numbers)
    if key not in entries:
        raise KeyError(f"{filename} has no {key}: it is of blocks of other classes")
    found.append((block, entries[key]))
    for child in block._children.values():
        _match(child, entries[key], numbers, filename, found)


def _restore(block, entry):
    old, block._name = block.name, entry["orig_name"]
    params = block._params._params
    renamed = [(block.name + key.removeprefix(old), param) for key, param in params.items()]
    block._params._params = OrderedDict(renamed)
    if entry.get("hybridized"):
        block._clear_cached_op()
        inputs = [symbol.load_json(text) for text in entry["inputs"]]
        block._cached_graph = inputs, symbol.load_json(entry["symbol"])
        block._in_format, block._out_format = entry["in_format"], entry["out_format"]
        block._active = True
