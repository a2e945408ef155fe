"""The table that ``Block.summary`` prints."""

from math import prod

from ..ndarray import NDArray
from ..symbol import Symbol
from ._nested import leaves

_WIDTH = 80


def print_summary(block, inputs):
    """Runs one forward pass, and prints what the blocks inside return and how many numbers each
    has.
    """
    rows = [("Input", _shapes(inputs), 0)]
    counted: set = set()
    totals = {"all": 0, "trainable": 0, "shared": 0}
    handles: list = []

    def note(part, _, output):
        if any(isinstance(leaf, Symbol) for leaf in leaves(output)):
            return  # called to infer shapes
        count = 0
        for param in part._reg_params.values():
            size = prod(param.shape)
            count += size
            totals["all"] += size
            totals["trainable"] += 0 if param.grad_req == "null" else size
            totals["shared"] += size if param in counted else 0
            counted.add(param)
        rows.append((f"{type(part).__name__}-{len(rows)}", _shapes(output), count))

    try:
        block.apply(lambda part: _watch(part, note, handles))
        block(*inputs)
    finally:
        for handle in handles:
            handle.detach()
    _print(rows, totals)


def _watch(part, note, handles):
    from .nn import HybridSequential, Sequential

    if getattr(part, "_active", False):
        raise AssertionError(
            f"summary: {part.name} is hybridized, so the blocks in it are not called one by one; "
            "call summary before hybridize()"
        )
    if not isinstance(part, (Sequential, HybridSequential)):
        handles.append(part.register_forward_hook(note))


def _shapes(nested):
    """The shapes of a nested list of arrays, as text."""

    def shape_of(item):
        if isinstance(item, (list, tuple)):
            return [shape_of(inner) for inner in item]
        return item.shape if isinstance(item, NDArray) else item

    shapes = shape_of(nested)
    if isinstance(nested, tuple) and len(nested) == 1:
        return str(shapes[0])
    return str(shapes)[1:-1] if isinstance(nested, (list, tuple)) else str(shapes)


def _print(rows, totals):
    def line(*columns):
        print("{:>20}  {:>42} {:>15}".format(*columns))

    print("-" * _WIDTH)
    line("Layer (type)", "Output Shape", "Param #")
    print("=" * _WIDTH)
    for row in rows:
        line(*row)
    print("=" * _WIDTH)
    print("Parameters in forward computation graph, duplicate included")
    print(f"   Total params: {totals['all']}")
    print(f"   Trainable params: {totals['trainable']}")
    print(f"   Non-trainable params: {totals['all'] - totals['trainable']}")
    print(f"Shared params in forward computation graph: {totals['shared']}")
    print(f"Unique parameters in model: {totals['all'] - totals['shared']}")
    print("-" * _WIDTH)
