"""Columns of dates and times: whole units of time since 1970, encoded as numbers are."""

from typing import Any, ClassVar

import numpy as np

from genlab.data.columns.numeric import Numeric


class DateTime(Numeric):
    """A column of dates with times.

    Args:
        pattern: how the source writes them, in the words of `strftime`.
        unit: of the values: "s", "ms" or "us" (and "D" for dates); a moment is a whole number of them.
        zone: the time zone that the source's type names, if any.
    """

    kind: ClassVar[str] = "datetime"

    def __init__(self, *args: Any, pattern: str, unit: str, zone: str | None = None, **options: Any) -> None:
        super().__init__(*args, **options)
        self.pattern, self.unit, self.zone = pattern, unit, zone

    def state(self) -> dict[str, Any]:
        return {**super().state(), "pattern": self.pattern, "unit": self.unit, "zone": self.zone}

    def moments(self, v: np.ndarray) -> np.ndarray:
        """Values (N,) as NumPy's moments."""
        return v.astype(np.int64).astype(f"datetime64[{self.unit}]")

    def cells(self, v: np.ndarray) -> list[str]:
        # Few moments differ in their first values; strftime is slow, so each is written once.
        moments, place = np.unique(self.moments(v).astype("datetime64[us]"), return_inverse=True)
        texts = [self.write(moment) for moment in moments.astype(object)]
        return [texts[i] for i in place.tolist()]

    def write(self, moment: Any) -> str:
        """A `datetime` in the source's format; fractions of a second with the digits of the unit."""
        if self.unit != "ms":
            return moment.strftime(self.pattern)
        return moment.strftime(self.pattern.replace("%f", f"{moment.microsecond // 1000:03d}"))


class Date(DateTime):
    """A column of days."""

    kind: ClassVar[str] = "date"
