"""Curves as inline SVG: drawn to scale by the browser, in the page's own colours, readable aloud."""

import math
from collections.abc import Mapping, Sequence

from genlab.report.html import Markup, join, tag
from genlab.report.tables import number
from genlab.runs.history import Curve

WIDTH, HEIGHT = 400, 210
LEFT, RIGHT, TOP, BOTTOM = 52, 8, 10, 26  # room for the axes' numbers
POINTS = 240  # of one curve, at most
COLOURS = 8  # classes s0, s1, ... of the style sheet; curves beyond are dashed


def chart(title: str, curves: Mapping[str, Curve], colours: Mapping[str, int] | None = None) -> Markup:
    """A figure of curves over training steps, with a legend that gives each one's last value.

    Where a few values at the start would flatten all that follows, the axis leaves them out, and the caption says so.
    `colours`: of each curve, where the same name shall have the same one in every chart.
    """
    curves = {name: curve for name, curve in curves.items() if curve}
    if not curves:
        return Markup()
    index = {name: (colours or {}).get(name, i) for i, name in enumerate(curves)}
    low, high, beyond = limits([value for curve in curves.values() for _, value in curve])
    first = min(curve[0][0] for curve in curves.values())
    last = max(curve[-1][0] for curve in curves.values())

    def x(step: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (step - first) / max(last - first, 1)

    def y(value: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (high - min(max(value, low), high)) / (high - low)

    lines = [_line(name, [(x(s), y(v)) for s, v in thin(curve)], index[name]) for name, curve in curves.items()]
    words = "; ".join(f"{name} ends at {number(curve[-1][1])}" for name, curve in curves.items())
    svg = tag(
        "svg",
        tag("title", f"{title} over training steps {first:,} to {last:,}: {words}"),
        _axes(ticks(first, last, 4), ticks(low, high, 5), x, y),
        lines,
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        role="img",
    )
    legend = [
        tag("li", tag("i", class_=_style(index[name])), tag("span", name), tag("b", number(curve[-1][1])))
        for name, curve in curves.items()
    ]
    note = tag("p", f"{beyond} values lie beyond the axis", class_="note") if beyond else None
    return tag("figure", tag("figcaption", title), svg, tag("ul", legend, class_="legend"), note, class_="chart")


def limits(values: Sequence[float]) -> tuple[float, float, int]:
    """The value axis, and how many values lie beyond it: from 2 % to 98 % of them where the rest is far outside."""
    ordered = sorted(values)
    low, high = ordered[0], ordered[-1]
    inner = ordered[int(0.02 * (len(ordered) - 1))], ordered[math.ceil(0.98 * (len(ordered) - 1))]
    if high - low > 5 * (inner[1] - inner[0]) > 0:
        low, high = inner
    margin = 0.04 * (high - low) or 0.05 * abs(high) or 1.0
    low, high = low - margin, high + margin
    return low, high, sum(not low <= value <= high for value in values)


def ticks(low: float, high: float, count: int) -> list[float]:
    """About `count` round numbers in [low, high]: 1, 2 or 5 times a power of ten apart."""
    if not high > low:
        return [low]
    raw = (high - low) / count
    power = 10.0 ** math.floor(math.log10(raw))
    width = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw)
    return [k * width for k in range(math.ceil(low / width), math.floor(high / width) + 1)]


def thin(curve: Curve) -> Curve:
    """At most `POINTS` points that keep the curve's outline: the least and the greatest of each stretch."""
    if len(curve) <= POINTS:
        return curve
    size = math.ceil(len(curve) / (POINTS // 2))
    kept: Curve = []
    for start in range(0, len(curve), size):
        part = curve[start : start + size]
        kept += sorted({min(part, key=lambda p: p[1]), max(part, key=lambda p: p[1])})
    return kept


def _line(name: str, points: list[tuple[float, float]], colour: int) -> Markup:
    if len(points) == 1:
        return tag(
            "circle", tag("title", name), class_=_style(colour), cx=_short(points[0][0]), cy=_short(points[0][1]), r=3
        )
    path = " ".join(f"{_short(x)},{_short(y)}" for x, y in points)
    return tag("polyline", tag("title", name), class_=_style(colour), points=path)


def _axes(steps: list[float], values: list[float], x, y) -> Markup:
    parts = []
    for value in values:
        at = _short(y(value))
        parts.append(tag("line", x1=LEFT, x2=WIDTH - RIGHT, y1=at, y2=at))
        parts.append(tag("text", _tick(value, values), x=LEFT - 7, y=at, dy="0.35em", text_anchor="end"))
    for step in steps:
        anchor = "end" if x(step) > WIDTH - 30 else "middle"
        parts.append(tag("text", f"{step:,.0f}", x=_short(x(step)), y=HEIGHT - 9, text_anchor=anchor))
    return tag("g", join(parts), class_="axes", aria_hidden="true")


def _tick(value: float, values: list[float]) -> str:
    """As many decimals as tell neighbouring ticks apart."""
    gap = abs(values[1] - values[0]) if len(values) > 1 else abs(value) or 1.0
    if max(map(abs, values)) >= 1e6 or gap < 1e-5:
        return f"{value:.3g}"
    return f"{value:,.{max(0, -math.floor(math.log10(gap) + 1e-9))}f}"


def _style(colour: int) -> str:
    return f"s{colour % COLOURS}" + (" dashed" if colour >= COLOURS else "")


def _short(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
