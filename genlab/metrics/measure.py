"""What a reader must know of a measure: its name, what it says, and which way is better."""

import math
from typing import NamedTuple

NEAR = "near "


class Measure(NamedTuple):
    """One number that can be told of samples, a model or a run."""

    name: str  # as in tables; logged as "eval/<name>"
    text: str  # what it says, in one line
    better: str  # "min": less; "max": more; "near 1": the nearer to that value; "": no value is better than another
    unit: str = ""


def cost(value: float, better: str) -> float:
    """A sort key: the lower, the better the value, by what `Measure.better` says. "" counts as "min"."""
    if better.startswith(NEAR):
        return abs(value - float(better.removeprefix(NEAR)))
    return -value if better == "max" else value


def sign(better: str) -> str:
    """What tables show beside a measure's name or value: an arrow, or the value that is best."""
    if better.startswith(NEAR):
        return f"≈ {better.removeprefix(NEAR)}"
    return {"min": "↓", "max": "↑"}.get(better, "")


def known_word(better: object) -> str:
    """`better` as read from a run's file if `cost` understands it, else ""."""
    if not isinstance(better, str) or better in ("min", "max", ""):
        return better if isinstance(better, str) else ""
    try:
        return better if better.startswith(NEAR) and math.isfinite(float(better.removeprefix(NEAR))) else ""
    except ValueError:
        return ""
