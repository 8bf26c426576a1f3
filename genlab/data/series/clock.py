"""The times of series: that they rise in even steps, and how samples go on with them."""

import re
from collections.abc import Callable, Sequence

import numpy as np

from genlab.data.columns.moment import DateTime
from genlab.data.frames import learn
from genlab.data.frames.kinds import Typed
from genlab.data.series.source import Clock
from genlab.errors import UserError

SECONDS = {"ms": 0.001, "s": 1, "min": 60, "h": 3600, "D": 86_400, "W": 604_800}  # units of data.resample
UNITS = {"D": 86_400.0, "s": 1.0, "ms": 1e-3, "us": 1e-6}  # of the values of dates, in seconds
MONDAY = 4  # the first one, in days since 1970
RULE = re.compile(r"(\d*\.?\d*(?:[eE][+-]?\d+)?)\s*([A-Za-z]*)")


def checked(
    time: Typed, lengths: np.ndarray, names: Sequence[str], place: Callable[[int], str], equal: bool = False
) -> None:
    """Checks that times (R,), series after series, rise within each.

    Args:
        place: describes a row: `line 7`.
        equal: whether a time may stand twice.

    Raises:
        UserError: a time is missing, falls, or stands twice.
    """
    if (gone := np.isnan(time.values)).any():
        raise UserError(f"{place(int(gone.argmax()))}, column '{time.name}': the time is missing")
    change = steps(time.values, lengths)
    bad = change < 0 if equal else change <= 0
    if not bad.any():
        return
    row = int(bad.argmax())
    series = names[int(np.searchsorted(np.cumsum(lengths), row, side="right"))]
    within = f" in series '{series}'" if series else ""
    cure = "" if series else "; if the file holds several series, name their column with data.id"
    if change[row] < 0:
        raise UserError(
            f"{place(row)}, column '{time.name}': the time falls{within}; sort the rows by time{cure}, or leave the "
            f"times out: data.exclude=[{time.name}]"
        )
    raise UserError(
        f"{place(row)}, column '{time.name}': the time of the step before stands twice{within}; remove one, or take "
        f"means with data.resample=RULE, such as 1h{cure}"
    )


def steps(times: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """The change from the step before, (R,); NaN at the first step of each series."""
    change = np.append(np.nan, np.diff(times))[: len(times)]
    change[(np.cumsum(lengths) - lengths)[lengths > 0]] = np.nan
    return change


def clock(time: Typed, lengths: np.ndarray, place: Callable[[int], str]) -> Clock:
    """Finds the step of times (R,), which is the same everywhere, and where samples go on.

    Samples begin where all series begin, if there are several and they begin at one time; else after the last step.

    Raises:
        UserError: the steps are uneven.
    """
    column = learn.fit(_unbounded(time), np.array([0, len(time.values) - 1]), "standard", 1, 100)
    unit = getattr(column, "unit", "")
    starts = np.cumsum(lengths) - lengths
    change = steps(time.values, lengths)
    known = change[~np.isnan(change)]
    if not len(known):
        return Clock(column, float(time.values[0]), 1.0)
    sizes, counts = np.unique(known, return_counts=True)
    step = float(sizes[counts.argmax()]) if unit else float(np.median(known))
    wrong = np.abs(change - step) > 1e-6 * step + 8 * np.spacing(np.abs(time.values).max())
    if not wrong.any():
        first = _begin(time.values, starts, step)
        return Clock(column, first, step)
    if isinstance(column, DateTime) and (found := _monthly(column, time.values, lengths)) is not None:
        return found
    row = int(wrong.argmax())
    unlike = f"{spell(float(change[row]), unit)} where most steps are {spell(step, unit)}"
    raise UserError(
        f"{place(row)}, column '{time.name}': the steps are uneven, {unlike}; take means on an even grid with "
        f"data.resample={rule(step, unit)}, or take the rows as even steps with data.exclude=[{time.name}]"
    )


def _unbounded(time: Typed) -> Typed:
    return time._replace(options={**time.options, "bounds": [-np.inf, np.inf]}, missing=None)


def _begin(times: np.ndarray, starts: np.ndarray, step: float) -> float:
    """The time of the first step of samples."""
    if len(starts) > 1 and (times[starts] == times[0]).all():
        return float(times[0])
    return float(times.max() + step)


def _monthly(column: DateTime, times: np.ndarray, lengths: np.ndarray) -> Clock | None:
    """The clock of times in steps of whole months, at one day of the month or its end; None if they are no such."""
    moments = times.astype(np.int64).astype(f"datetime64[{column.unit}]")
    months = moments.astype("datetime64[M]")
    change = steps(months.astype(np.int64).astype(float), lengths)
    known = change[~np.isnan(change)]
    if (known != known[0]).any() or known[0] < 1:
        return None
    since = (moments - months.astype(moments.dtype)).astype(np.int64)
    until = (moments - (months + 1).astype(moments.dtype)).astype(np.int64)
    for offset in (since, until):
        if (offset == offset[0]).all():
            starts = np.cumsum(lengths) - lengths
            first = _begin(months.astype(np.int64).astype(float), starts, float(known[0]))
            return Clock(column, first, float(known[0]), True, float(offset[0]))
    return None


def spell(step: float, unit: str) -> str:
    """A span of time in words: `2 h`."""
    if not unit:
        return f"{step:g}"
    seconds = step * UNITS[unit]
    name = next((name for name in ("D", "h", "min") if seconds >= SECONDS[name]), "s")
    return f"{seconds / SECONDS[name]:g} {name if name != 'D' else 'days' if seconds != SECONDS['D'] else 'day'}"


def rule(step: float, unit: str) -> str:
    """A value of data.resample for a span of time: `2h`."""
    if not unit:
        return f"{step:g}"
    seconds = step * UNITS[unit]
    name = next((name for name in ("W", "D", "h", "min", "s") if seconds % SECONDS[name] == 0), "ms")
    return f"{seconds / SECONDS[name]:g}{name}"


def parse(text: str, unit: str) -> tuple[float, float]:
    """Reads data.resample: the width of a bin and where one begins, in the units of the times.

    Args:
        unit: of dates: D, s, ms or us; "" for numbers.

    Raises:
        UserError: it is not a width that the times can have.
    """
    found = RULE.fullmatch(text.strip())
    number, name = (found[1], found[2]) if found else ("", "?")
    try:
        count = float(number or 1)
    except ValueError:
        count = 0.0
    if not unit:
        if name or count <= 0 or not number:
            raise UserError(f"data.resample: '{text}' is not a positive number, as the times are numbers, such as 0.5")
        return count, 0.0
    known = {each.lower(): each for each in SECONDS}
    if name.lower() not in known or count <= 0:
        raise UserError(
            f"data.resample: '{text}' is not a rule such as 5min, 1h or 1D; its units are {', '.join(SECONDS)}"
        )
    name = known[name.lower()]
    width = count * SECONDS[name] / UNITS[unit]
    if width < 1 or width != round(width):
        raise UserError(f"data.resample: '{text}' is finer than the times, which are whole {_plural(unit)}")
    return width, MONDAY * SECONDS["D"] / UNITS[unit] if name == "W" else 0.0


def _plural(unit: str) -> str:
    return {"D": "days", "s": "seconds", "ms": "milliseconds"}.get(unit, "microseconds")
