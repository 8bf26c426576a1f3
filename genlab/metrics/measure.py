"""What a reader must know of a measure: its name, what it says, and which way is better."""

from typing import Literal, NamedTuple


class Measure(NamedTuple):
    """One number that can be told of samples, a model or a run."""

    name: str  # as in tables; logged as "eval/<name>"
    text: str  # what it says, in one line
    better: Literal["min", "max", ""]  # less, more, or neither (it is to be near some value)
    unit: str = ""
