"""What a number in a report says of itself."""

from typing import Literal, NamedTuple


class Measure(NamedTuple):
    """A measure by name, in one line, and which way is better; "" where neither is, or where there is a target."""

    name: str
    text: str
    better: Literal["min", "max", ""] = ""
    unit: str = ""
