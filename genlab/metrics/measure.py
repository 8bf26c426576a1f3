"""What a measure is called, what it says, and which way is better."""

from typing import Literal, NamedTuple


class Measure(NamedTuple):
    name: str
    text: str  # one line
    better: Literal["min", "max", ""] = ""
    unit: str = ""
