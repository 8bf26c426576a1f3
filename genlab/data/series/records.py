"""Series as they were read, whatever their file: the rows of one table of steps, series after series."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from genlab.data.frames import learn
from genlab.data.frames.kinds import MISSING, Typed
from genlab.data.frames.read import Frame
from genlab.data.series.source import Source
from genlab.errors import UserError


class Choice:
    """Which channels to learn, and as what: the options columns, exclude, types and missing of `Series`."""

    def __init__(
        self,
        columns: Sequence[str] | None = None,
        exclude: Sequence[str] | None = None,
        types: Mapping[str, Any] | str | None = None,
        missing: Sequence[str] | None = None,
    ) -> None:
        self.columns = None if columns is None else list(map(str, columns))
        self.exclude = list(map(str, exclude or ()))
        self.types = learn.mapping(types)
        self.missing = MISSING if missing is None else tuple(map(str, missing))


class Records(NamedTuple):
    """Series of typed columns."""

    frame: Frame  # the file: its name, format and cells
    found: list[Typed]  # the columns, values (R,) of all steps
    lengths: np.ndarray  # (S,) steps of each series
    names: tuple[str, ...]  # (S,) of the series; ("",) for the only one of a file without ids
    place: Callable[[int], str]  # describes step r of all R: `line 7`
    source: Source
    labels: list[str] | None = None  # (S,) the class of each series
    notes: tuple[str, ...] = ()  # lines for the user

    @property
    def starts(self) -> np.ndarray:
        """The first step of each series: (S,)."""
        return np.cumsum(self.lengths) - self.lengths

    @property
    def series(self) -> np.ndarray:
        """The series of each step: (R,)."""
        return np.repeat(np.arange(len(self.lengths)), self.lengths)

    def keep(self, rows: np.ndarray) -> "Records":
        """Keeps only some steps, (R,) bool; series without any are dropped."""
        places = np.flatnonzero(rows)
        lengths = np.bincount(self.series[rows], minlength=len(self.lengths))
        left = np.flatnonzero(lengths)
        return self._replace(
            found=[column._replace(values=column.values[places]) for column in self.found],
            lengths=lengths[left],
            names=tuple(self.names[i] for i in left),
            place=lambda row: self.place(int(places[row])),
            labels=None if self.labels is None else [self.labels[i] for i in left],
        )

    def noted(self, *lines: str) -> "Records":
        """Adds lines for the user."""
        return self._replace(notes=(*self.notes, *lines))


def long_enough(records: Records, window: int | None) -> Records:
    """Drops series that are shorter than a window.

    Args:
        window: steps; None: all series must have one length, which is taken.

    Raises:
        UserError: none is left, or their lengths differ.
    """
    lengths, name = records.lengths, records.frame.name
    if window is None:
        if (lengths != lengths[0]).any():
            raise UserError(
                f"data.window: the series of {name} have {lengths.min():,} to {lengths.max():,} steps; give the steps "
                f"of a window, {lengths.min()} at most to use all of them"
            )
        return records
    good = lengths >= window
    if not good.any():
        what = "the series has" if len(lengths) == 1 else "the longest series has"
        ids = f"; column '{records.source.id}' tells {len(lengths):,} series apart" if records.source.id else ""
        hints = records.notes if records.source.dtype else ()  # on the axes of an array
        steps = f"{_steps(int(lengths.max()))}, fewer than data.window={window}: lower it{ids}"
        raise UserError("; ".join((f"{name}: {what} {steps}", *hints)))
    if good.all():
        return records
    records = records.keep(np.repeat(good, lengths))
    return records.noted(f"{int((~good).sum()):,} of {len(good):,} series left out: shorter than data.window={window}")


def _steps(n: int) -> str:
    return f"{n:,} step{'s' * (n != 1)}"
