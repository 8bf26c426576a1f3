"""What a file of series looks like, so that samples can be written like it; it travels in checkpoints."""

from typing import Any, NamedTuple

import numpy as np

from genlab.data.columns import kinds
from genlab.data.columns.base import Column


class Clock(NamedTuple):
    """The times that samples are written with."""

    column: Column  # how the source writes them
    first: float  # time of the first step, in the column's units
    step: float  # between two steps
    months: bool = False  # whether `first` and `step` count months since 1970, and `offset` is added
    offset: float = 0.0  # since the start of the month; if negative, since its end

    def times(self, n: int) -> np.ndarray:
        """The times of n steps, in the column's units: (n,) float64."""
        return self._moments(self.first + self.step * np.arange(n))

    def after(self, last: float, n: int) -> np.ndarray:
        """The times of the n steps after one at the time `last`, all in the column's units: (n,) float64."""
        return self.since(last, n + 1)[1:]

    def since(self, first: float, n: int) -> np.ndarray:
        """The times of n steps, the first of which is at this time or, of months, in this month: (n,) float64."""
        if self.months:
            moment = np.array(first - self.offset).astype(np.int64).astype(f"datetime64[{self._unit}]")
            first = float(moment.astype("datetime64[M]").astype(np.int64)) - (self.offset < 0)
        return self._moments(first + self.step * np.arange(n))

    @property
    def _unit(self) -> str:
        return getattr(self.column, "unit", "D")

    def _moments(self, steps: np.ndarray) -> np.ndarray:
        if not self.months:
            return steps
        months = steps.astype(np.int64) + (self.offset < 0)
        return months.astype("datetime64[M]").astype(f"datetime64[{self._unit}]").astype(np.int64) + self.offset

    def text(self, n: int) -> list[str]:
        """The times of n steps as they stand in a file."""
        return self.text_of(self.times(n))

    def text_of(self, times: np.ndarray) -> list[str]:
        """Times (N,) as they stand in a file."""
        return self.column.cells(times)  # type: ignore[attr-defined]

    def state(self) -> dict[str, Any]:
        """Returns plain values for a checkpoint; `of` reads them."""
        return {**self._asdict(), "column": self.column.state()}

    @classmethod
    def of(cls, state: dict[str, Any]) -> "Clock":
        return cls(**{**state, "column": kinds.of(state["column"])})


class Source(NamedTuple):
    """The format of a file of series, besides what the schema of a step says.

    The suffix, the delimiter and the encoding are the schema's.
    """

    names: tuple[str, ...]  # all columns of a table in its order, with those of `id`, `time` and `label`
    id: str = ""  # the column that tells series apart; "" for none
    time: str = ""
    label: str = ""  # the column or array of classes
    clock: Clock | None = None  # the times of samples; None without times
    static: tuple[str, ...] = ()  # columns that are constant within each series
    key: str = ""  # of an array in a .npz file
    dtype: str = ""  # of an array
    title: str = ""  # of a .ts file

    def state(self) -> dict[str, Any]:
        """Returns plain values for a checkpoint; `of` reads them."""
        plain = {name: list(value) if isinstance(value, tuple) else value for name, value in self._asdict().items()}
        return {**plain, "clock": self.clock.state() if self.clock else None}

    @classmethod
    def of(cls, state: dict[str, Any]) -> "Source":
        """Reads what `state` wrote.

        Raises:
            KeyError, TypeError, ValueError: the state is damaged.
        """
        names, static = tuple(state["names"]), tuple(state["static"])
        clock = Clock.of(state["clock"]) if state["clock"] else None
        return cls(**{**state, "names": names, "static": static, "clock": clock})
