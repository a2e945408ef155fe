"""Charts as SVG text: bars of ratios, and lines over two logarithmic axes."""

import math
from html import escape

COLOURS = ("#2a78c2", "#e07b28", "#3a9d5d", "#8a5fb8", "#c0392b", "#5d6d7e")
INK, GREY, GRID = "#1f2933", "#66727f", "#e3e7eb"
FONT = "font-family='Helvetica,Arial,sans-serif'"


class Drawing:
    """Collects shapes; text() places words, anchored at their start, middle or end."""

    def __init__(self, width, height, title, subtitle):
        self.width, self.height = width, height
        self.shapes = []
        self.text(24, 34, title, size=18, weight="bold")
        self.text(24, 56, subtitle, size=12, colour=GREY)

    def add(self, shape):
        self.shapes.append(shape)

    def text(self, x, y, words, size=12, anchor="start", colour=INK, weight="normal"):
        self.add(
            f"<text x='{x:.1f}' y='{y:.1f}' {FONT} font-size='{size}' font-weight='{weight}' "
            f"fill='{colour}' text-anchor='{anchor}'>{escape(words)}</text>"
        )

    def line(self, x1, y1, x2, y2, colour=GRID, width=1.0):
        self.add(
            f"<line x1='{x1:.1f}' y1='{y1:.1f}' x2='{x2:.1f}' y2='{y2:.1f}' "
            f"stroke='{colour}' stroke-width='{width}'/>"
        )

    def bar(self, x, y, width, height, colour):
        self.add(
            f"<rect x='{x:.1f}' y='{y:.1f}' width='{max(width, 0.5):.1f}' height='{height:.1f}' "
            f"rx='1.5' fill='{colour}'/>"
        )

    def legend(self, names, x, y):
        for name, colour in names.items():
            self.bar(x, y - 9, 12, 10, colour)
            self.text(x + 17, y, name)
            x += 34 + 7 * len(name)

    def svg(self):
        return "\n".join(
            [
                f"<svg xmlns='http://www.w3.org/2000/svg' width='{self.width}' "
                f"height='{self.height}' viewBox='0 0 {self.width} {self.height}'>",
                "<rect width='100%' height='100%' fill='white'/>",
                *self.shapes,
                "</svg>\n",
            ]
        )


def ratio_chart(title, subtitle, groups, colours, goals):
    """Return bars of ratios, from 1, for each group.

    Args:
        groups: {name: {series: ratio}}.
        colours: {series: colour}, in the order of the bars.
        goals: {(name, series): the ratio that is to be reached}, drawn as a mark.
    """
    left, right, top = 175, 70, 96
    thick, gap = 12, 16
    rows = {name: [s for s in colours if s in ratios] for name, ratios in groups.items()}
    height = top + sum(thick * len(series) + gap for series in rows.values()) + 40
    width = 900
    ratios = [r for by_series in groups.values() for r in by_series.values()]
    low = min([0.5, *(0.6 * r for r in ratios)])
    high = max([2.0, *(1.1 * r for r in ratios)])
    scale = (width - left - right) / (math.log(high) - math.log(low))

    def position(ratio):
        return left + scale * (math.log(ratio) - math.log(low))

    drawing = Drawing(width, height, title, subtitle)
    drawing.legend(colours, 24, 78)
    bottom = height - 34
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [m * 10.0**d for d in decades for m in (1, 2, 5)]
    for tick in ticks:
        if low <= tick <= high:
            drawing.line(position(tick), top - 6, position(tick), bottom)
            drawing.text(position(tick), bottom + 16, f"{tick:g}×", anchor="middle", colour=GREY)
    y = top
    for name, by_series in groups.items():
        middle = y + thick * len(rows[name]) / 2
        drawing.text(left - 12, middle + 4, name, anchor="end")
        for series in rows[name]:
            ratio = by_series[series]
            start, end = sorted((position(1), position(ratio)))
            drawing.bar(start, y + 1, end - start, thick - 2, colours[series])
            words = f"{ratio:.0f}" if ratio >= 100 else f"{ratio:.2g}"
            x, anchor = (end + 5, "start") if ratio >= 1 else (start - 5, "end")
            drawing.text(x, y + thick - 2.5, words, size=10, colour=GREY, anchor=anchor)
            goal = goals.get((name, series))
            if goal and low <= goal <= high:
                drawing.line(position(goal), y - 1, position(goal), y + thick + 1, INK, 2)
            y += thick
        y += gap
    drawing.line(position(1), top - 6, position(1), bottom, INK, 1.5)
    return drawing.svg()


def log_chart(title, subtitle, horizontal, vertical, series):
    """Return lines through points, both axes logarithmic.

    Args:
        horizontal, vertical: what the axes are.
        series: {name: [(x, y), ...]}, a name being "library what": the colour says what, the
            first library's lines are whole and the others' dashed.
    """
    width, height, left, right, top, bottom = 760, 520, 78, 170, 84, 56
    xs = [x for points in series.values() for x, _ in points]
    ys = [y for points in series.values() for _, y in points]
    x_low, x_high = math.floor(math.log10(min(xs))), math.ceil(math.log10(max(xs)))
    y_low, y_high = math.floor(math.log10(min(ys))), math.ceil(math.log10(max(ys)))
    drawing = Drawing(width, height, title, subtitle)

    def across(x):
        return left + (width - left - right) * (math.log10(x) - x_low) / (x_high - x_low)

    def up(y):
        return (
            height - bottom - (height - top - bottom) * (math.log10(y) - y_low) / (y_high - y_low)
        )

    def power(exponent):
        raised = str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
        return f"10{raised}"

    for exponent in range(x_low, x_high + 1):
        x = across(10.0**exponent)
        drawing.line(x, top, x, height - bottom)
        drawing.text(x, height - bottom + 18, power(exponent), anchor="middle", colour=GREY)
    for exponent in range(y_low, y_high + 1):
        y = up(10.0**exponent)
        drawing.line(left, y, width - right, y)
        drawing.text(left - 8, y + 4, power(exponent), anchor="end", colour=GREY)
    drawing.text((left + width - right) / 2, height - 14, horizontal, anchor="middle")
    drawing.text(24, top - 10, vertical, colour=GREY)

    ends = []
    split = {name: name.split(" ", 1) for name in series}
    kinds = list(dict.fromkeys(what for _, what in split.values()))
    first_library = next(iter(split.values()))[0]
    for name, points in series.items():
        library, what = split[name]
        colour = COLOURS[kinds.index(what) % len(COLOURS)]
        dashes = "" if library == first_library else " stroke-dasharray='5 4'"
        path = " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in points)
        drawing.add(
            f"<polyline points='{path}' fill='none' stroke='{colour}' stroke-width='2'{dashes}/>"
        )
        for x, y in points:
            drawing.add(f"<circle cx='{across(x):.1f}' cy='{up(y):.1f}' r='3' fill='{colour}'/>")
        ends.append((up(points[-1][1]), name, colour))
    # Names beside the lines' ends, moved apart where they would lie on one another.
    place = -math.inf
    for y, name, colour in sorted(ends):
        place = max(y + 4, place + 15)
        drawing.text(width - right + 10, place, name, colour=colour)
    return drawing.svg()
