"""Describes a measure to the reader: its name, its meaning, and which values are better."""

import math
from typing import NamedTuple

NEAR = "near "


class Measure(NamedTuple):
    """A number that describes samples, a model or a run."""

    name: str  # the name in tables; logged as "eval/<name>"
    text: str  # its meaning, in one line
    better: str  # "min" or "max"; "near 1": the nearer to 1, the better; "": no value is better
    unit: str = ""


def cost(value: float, better: str) -> float:
    """Returns a sort key that is lower for better values, as `Measure.better` defines it. "" counts as "min"."""
    if better.startswith(NEAR):
        return abs(value - float(better.removeprefix(NEAR)))
    return -value if better == "max" else value


def sign(better: str) -> str:
    """Returns the sign that tables show beside a measure: an arrow, or the best value."""
    if better.startswith(NEAR):
        return f"≈ {better.removeprefix(NEAR)}"
    return {"min": "↓", "max": "↑"}.get(better, "")


def known_word(better: object) -> str:
    """Returns `better`, as read from a run's file, if `cost` understands it, else ""."""
    if not isinstance(better, str) or better in ("min", "max", ""):
        return better if isinstance(better, str) else ""
    try:
        return better if better.startswith(NEAR) and math.isfinite(float(better.removeprefix(NEAR))) else ""
    except ValueError:
        return ""
