"""A layered layout of a graph without cycles, after Sugiyama, Tagawa and Toda (1981).

Each node gets a layer by its longest path. Wires over several layers get a point in each. The order
in a layer is by barycenters. Positions are as close to those of neighbours as the order and the
widths allow (isotonic regression).
"""

from __future__ import annotations

from typing import NamedTuple

_GAP = 16.0  # between boxes of a layer
_LAYER_GAP = 28.0
_MARGIN = 12.0
_ROUNDS = 12


class Layout(NamedTuple):
    """Where boxes and wires are, in pixels."""

    width: float
    height: float
    centers: dict[int, tuple[float, float]]
    wires: list[list[tuple[float, float]]]


class _Slot:
    """A box, or the point of a wire, in a layer."""

    __slots__ = ("above", "below", "height", "layer", "pull", "width", "x")

    def __init__(self, layer: int, width: float, height: float, pull: float = 1.0) -> None:
        self.layer = layer
        self.width = width
        self.height = height
        self.pull = pull  # on its neighbours
        self.x = 0.0
        self.above: list[_Slot] = []
        self.below: list[_Slot] = []

    def weight_of(self, other: _Slot) -> float:
        """How much it wants to be where a neighbour is: wires should be straight."""
        points = (not self.height) + (not other.height)
        return (1.0, 2.0, 8.0)[points] * other.pull


def _layers_of(keys: list[int], wires: list[tuple[int, int]], late: set[int]) -> dict[int, int]:
    """The layer of each node: behind all that it reads. `late` ones: just before their readers."""
    layer = dict.fromkeys(keys, 0)
    readers: dict[int, list[int]] = {key: [] for key in keys}
    reads: dict[int, list[int]] = {key: [] for key in keys}
    for source, target in wires:
        readers[source].append(target)
        reads[target].append(source)
    for key in keys:  # sources come before their readers
        layer[key] = max((layer[source] + 1 for source in reads[key]), default=0)
    for key in reversed(keys):
        if key in late and readers[key]:
            layer[key] = min(layer[target] for target in readers[key]) - 1
    return layer


def _closest(wanted: list[float], widths: list[float], weights: list[float]) -> list[float]:
    """Positions of boxes side by side with the least squares of distances to the wanted ones."""
    offsets = [0.0]
    for left, right in zip(widths, widths[1:]):
        offsets.append(offsets[-1] + (left + right) / 2 + _GAP)
    # Blocks of boxes that touch: their mean, their weight, how many.
    blocks: list[tuple[float, float, int]] = []
    for want, offset, weight in zip(wanted, offsets, weights):
        mean, total, count = want - offset, weight, 1
        while blocks and blocks[-1][0] > mean:
            other, other_total, other_count = blocks.pop()
            mean = (mean * total + other * other_total) / (total + other_total)
            total += other_total
            count += other_count
        blocks.append((mean, total, count))
    means = [mean for mean, _, count in blocks for _ in range(count)]
    return [mean + offset for mean, offset in zip(means, offsets)]


def _mean(values: list[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _order(layers: list[list[_Slot]]) -> None:
    """Sorts the layers by the barycenters of their neighbours, downward and upward in turn."""
    for layer in layers:
        for i, slot in enumerate(layer):
            slot.x = float(i)
    for turn in range(_ROUNDS):
        for layer in layers if turn % 2 == 0 else reversed(layers):
            centers = {}
            for slot in layer:
                near = slot.above if turn % 2 == 0 else slot.below
                centers[id(slot)] = _mean([other.x for other in near], slot.x)
            layer.sort(key=lambda slot: centers[id(slot)])
            for i, slot in enumerate(layer):
                slot.x = float(i)


def _spread(layers: list[list[_Slot]]) -> None:
    """Gives the slots their horizontal positions."""
    for layer in layers:
        at = 0.0
        for slot in layer:
            slot.x = at + slot.width / 2
            at += slot.width + _GAP
    for turn in range(2 * _ROUNDS):
        both = turn >= 2 * _ROUNDS - 4
        for layer in layers if turn % 2 == 0 else reversed(layers):
            wanted, weights = [], []
            for slot in layer:
                near = slot.above if turn % 2 == 0 else slot.below
                links = [
                    (slot.weight_of(o), o.x) for o in (slot.above + slot.below if both else near)
                ]
                weight = sum(link for link, _ in links)
                mean = sum(link * x for link, x in links) / weight if weight else slot.x
                wanted.append(mean)
                weights.append((weight or 0.1) * slot.pull)
            positions = _closest(wanted, [slot.width for slot in layer], weights)
            for slot, x in zip(layer, positions):
                slot.x = x


def place(
    sizes: dict[int, tuple[float, float]], wires: list[tuple[int, int]], late: set[int]
) -> Layout:
    """Places boxes of such widths and heights, from the top down.

    The boxes are in an order in which each comes after those that it reads. `late` ones may come
    further down, just before what reads them.
    """
    keys = list(sizes)
    layer_of = _layers_of(keys, wires, late)
    layers: list[list[_Slot]] = [[] for _ in range(max(layer_of.values(), default=-1) + 1)]
    slots = {}
    for key in keys:
        slots[key] = _Slot(layer_of[key], *sizes[key], pull=0.02 if key in late else 1.0)
        layers[layer_of[key]].append(slots[key])
    routes = []
    for source, target in wires:
        route = [slots[source]]
        for layer in range(layer_of[source] + 1, layer_of[target]):
            route.append(_Slot(layer, 6.0, 0.0))
            layers[layer].append(route[-1])
        route.append(slots[target])
        for upper, lower in zip(route, route[1:]):
            upper.below.append(lower)
            lower.above.append(upper)
        routes.append(route)
    _order(layers)
    _spread(layers)
    return _measured(sizes, slots, layers, routes)


def _measured(
    sizes: dict[int, tuple[float, float]],
    slots: dict[int, _Slot],
    layers: list[list[_Slot]],
    routes: list[list[_Slot]],
) -> Layout:
    """The layout in pixels from the upper left corner."""
    left = min((slot.x - slot.width / 2 for layer in layers for slot in layer), default=0.0)
    right = max((slot.x + slot.width / 2 for layer in layers for slot in layer), default=0.0)
    middles, heights = [], []
    at = _MARGIN
    for layer in layers:
        height = max(slot.height for slot in layer)
        middles.append(at + height / 2)
        heights.append(height)
        at += height + _LAYER_GAP
    centers = {key: (slots[key].x - left + _MARGIN, middles[slots[key].layer]) for key in sizes}
    leaving, arriving = _ports(routes)
    wires = []
    for number, route in enumerate(routes):
        points = []
        for i, slot in enumerate(route):
            x, y, half = slot.x - left + _MARGIN, middles[slot.layer], heights[slot.layer] / 2
            if i == 0:
                # Below the box, then straight to the end of its layer.
                x += leaving[number]
                points += [(x, y + slot.height / 2), (x, y + half)]
            elif i == len(route) - 1:
                x += arriving[number]
                points += [(x, y - half), (x, y - slot.height / 2)]
            else:
                points += [(x, y - half), (x, y + half)]
        wires.append(points)
    return Layout(right - left + 2 * _MARGIN, at - _LAYER_GAP + _MARGIN, centers, wires)


def _ports(routes: list[list[_Slot]]) -> tuple[list[float], list[float]]:
    """How far from the middle of a box each wire leaves and arrives: beside each other."""
    found = ([0.0] * len(routes), [0.0] * len(routes))
    for ports, end, next_to_end in ((found[0], 0, 1), (found[1], -1, -2)):
        wires_at: dict[int, list[int]] = {}
        for number, route in enumerate(routes):
            wires_at.setdefault(id(route[end]), []).append(number)
        for numbers in wires_at.values():
            numbers.sort(key=lambda number: routes[number][next_to_end].x)
            step = min(16.0, 0.7 * routes[numbers[0]][end].width / len(numbers))
            for i, number in enumerate(numbers):
                ports[number] = (i - (len(numbers) - 1) / 2) * step
    return found
