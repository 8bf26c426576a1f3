"""Draws curves as inline SVG, in the page's own colours, with a description for screen readers."""

import math
from collections.abc import Mapping, Sequence

from genlab.report.html import Markup, join, one_line, swatch, tag
from genlab.report.styles import REST, numbered
from genlab.report.tables import number
from genlab.runs.history import Curve

WIDTH, HEIGHT = 400, 210
LEFT, RIGHT, TOP, BOTTOM = 52, 8, 10, 26  # room for the axes' numbers; more at the left for long ones
DIGIT = 8.5  # width of a digit in print, where they are largest
POINTS = 240  # of one curve, at most; a quarter of that where a chart has many curves
MANY = 16  # curves
SHORT = 10  # characters of a name; legends of longer names have one column


def chart(title: str, curves: Mapping[str, Curve], styles: Mapping[str, str] | None = None) -> Markup:
    """Returns a figure of curves over training steps, with a legend that gives the last value of each.

    Where a few values at the start would flatten all others, they lie beyond the axis, and a note counts them. Grey
    curves lie below the others and are counted instead of listed.

    Args:
        styles: of the curves, by name; by default each has the style of its place.
    """
    curves = {name: curve for name, curve in curves.items() if curve}
    if not curves:
        return Markup()
    style = {name: (styles or {}).get(name, numbered(i)) for i, name in enumerate(curves)}
    listed = [name for name in curves if style[name] != REST]
    grey = [name for name in curves if style[name] == REST]
    low, high, beyond = limits([value for curve in curves.values() for _, value in curve])
    first = min(curve[0][0] for curve in curves.values())
    last = max(curve[-1][0] for curve in curves.values())
    heights = ticks(low, high, 5)
    left = max(LEFT, math.ceil(10 + DIGIT * max(len(_tick(value, heights)) for value in heights)))

    def x(step: float) -> float:
        return left + (WIDTH - left - RIGHT) * (step - first) / max(last - first, 1)

    def y(value: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (high - min(max(value, low), high)) / (high - low)

    count = POINTS if len(curves) <= MANY else POINTS // 4
    lines = [
        _line(name, [(x(s), y(v)) for s, v in thin(curves[name], count)], style[name]) for name in (*grey, *listed)
    ]
    words = [f"{name} ends at {number(curves[name][-1][1])}" for name in listed]
    words += [f"{len(grey)} more runs in grey"] if grey else []
    svg = tag(
        "svg",
        tag("title", f"{title} over training steps {first:,} to {last:,}: {'; '.join(words)}"),
        _axes(ticks(first, last, 4), heights, left, x, y),
        lines,
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        role="img",
    )
    legend = [tag("li", swatch(style[name]), one_line(name), tag("b", number(curves[name][-1][1]))) for name in listed]
    kind = "legend" if all(len(name) <= SHORT for name in listed) else "legend long"
    notes = [f"{len(grey)} {'more ' if listed else ''}runs in grey"] if grey else []
    notes += [f"{beyond} values lie beyond the axis"] if beyond else []
    return tag(
        "figure",
        tag("figcaption", one_line(title)),
        svg,
        tag("ul", legend, class_=kind) if legend else None,
        tag("p", ", ".join(notes), class_="note") if notes else None,
        class_="chart",
    )


def limits(values: Sequence[float]) -> tuple[float, float, int]:
    """Returns the ends of the value axis, and how many values lie beyond them.

    The axis reaches from the 2 % to the 98 % quantile where the other values are far outside.
    """
    ordered = sorted(values)
    low, high = ordered[0], ordered[-1]
    inner = ordered[int(0.02 * (len(ordered) - 1))], ordered[math.ceil(0.98 * (len(ordered) - 1))]
    if high - low > 5 * (inner[1] - inner[0]) > 0:
        low, high = inner
    margin = 0.04 * (high - low) or 0.05 * abs(high) or 1.0
    low, high = low - margin, high + margin
    return low, high, sum(not low <= value <= high for value in values)


def ticks(low: float, high: float, count: int) -> list[float]:
    """Returns about `count` round numbers in [low, high]: 1, 2 or 5 times a power of ten apart."""
    if not high > low:
        return [low]
    raw = (high - low) / count
    power = 10.0 ** math.floor(math.log10(raw))
    width = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw)
    return [k * width for k in range(math.ceil(low / width), math.floor(high / width) + 1)]


def thin(curve: Curve, count: int = POINTS) -> Curve:
    """Returns at most `count` points that keep the curve's outline: the minimum and maximum of each stretch."""
    if len(curve) <= count:
        return curve
    size = math.ceil(len(curve) / (count // 2))
    kept: Curve = []
    for start in range(0, len(curve), size):
        part = curve[start : start + size]
        kept += sorted({min(part, key=lambda p: p[1]), max(part, key=lambda p: p[1])})
    return kept


def _line(name: str, points: list[tuple[float, float]], style: str) -> Markup:
    if len(points) == 1:
        x, y = map(_short, points[0])
        return tag("circle", tag("title", name), class_=style, cx=x, cy=y, r=3)
    path = " ".join(f"{_short(x)},{_short(y)}" for x, y in points)
    return tag("polyline", tag("title", name), class_=style, points=path)


def _axes(steps: list[float], values: list[float], left: int, x, y) -> Markup:
    parts = []
    for value in values:
        height = _short(y(value))
        parts.append(tag("line", x1=left, x2=WIDTH - RIGHT, y1=height, y2=height))
        parts.append(tag("text", _tick(value, values), x=left - 7, y=height, dy="0.35em", text_anchor="end"))
    for step in steps:
        anchor = "end" if x(step) > WIDTH - 30 else "middle"
        parts.append(tag("text", f"{step:,.0f}", x=_short(x(step)), y=HEIGHT - 9, text_anchor=anchor))
    return tag("g", join(parts), class_="axes", aria_hidden="true")


def _tick(value: float, values: list[float]) -> str:
    """Formats a tick with as many decimals as tell it from its neighbours."""
    gap = abs(values[1] - values[0]) if len(values) > 1 else abs(value) or 1.0
    if max(map(abs, values)) >= 1e6 or gap < 1e-5:
        return f"{value:.3g}"
    return f"{value:,.{max(0, -math.floor(math.log10(gap) + 1e-9))}f}"


def _short(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
