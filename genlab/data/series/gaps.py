"""Missing values of series: filled in within each series, refused, or left to be learnt."""

import numpy as np

from genlab.data.columns.base import Column
from genlab.data.frames import learn
from genlab.data.frames.kinds import Typed
from genlab.data.series.records import Records
from genlab.errors import UserError

GAPS = ("interpolate", "keep", "refuse")
LINES = ("real", "integer", "date", "datetime")  # kinds of columns that are interpolated


def treated(records: Records, gaps: str) -> Records:
    """Treats missing values as data.gaps says.

    Interpolation is linear between the steps on both sides, and takes the nearest value at the ends; of words it takes
    the last one. Values are taken from the same series only.

    Raises:
        UserError: there are some and they are refused, or a series has no value at all of a column.
    """
    missing = {
        column.name: np.isnan(column.values) for column in records.found if column.kind not in ("id", "constant")
    }
    missing = {name: gone for name, gone in missing.items() if gone.any()}
    if not missing or gaps == "keep":
        return records
    if gaps == "refuse":
        name = min(missing, key=lambda name: int(missing[name].argmax()))
        more = sum(int(gone.sum()) for gone in missing.values()) - 1
        raise UserError(
            f"{records.place(int(missing[name].argmax()))}, column '{name}': the value is missing"
            f"{f' (and {more:,} more)' * (more > 0)}; data.gaps=interpolate fills gaps in, data.gaps=keep learns them"
        )
    found = [_filled(records, column) if column.name in missing else column for column in records.found]
    counts = [f"{int(gone.sum()):,} of '{name}'" for name, gone in missing.items()]
    shown = ", ".join(counts[:5]) + (f" and those of {len(counts) - 5} more columns" if len(counts) > 5 else "")
    return records._replace(found=found).noted(f"missing values filled in (data.gaps=interpolate): {shown}")


def _filled(records: Records, column: Typed) -> Typed:
    """A column without missing values.

    Raises:
        UserError: a series has no value.
    """
    values = column.values.copy()
    for name, start, length in zip(records.names, records.starts, records.lengths, strict=True):
        own = values[start : start + length]
        known = np.flatnonzero(~np.isnan(own))
        if len(known) == length:
            continue
        if not len(known):
            series = f"series '{name}'" if name else "the series"
            raise UserError(
                f"{records.place(int(start))}: {series} has no value of '{column.name}'; leave out the column or "
                f"the series, or learn missing values with data.gaps=keep"
            )
        if column.kind in LINES:
            own[:] = np.interp(np.arange(length), known, own[known])
        else:
            own[:] = own[known[(np.searchsorted(known, np.arange(length), side="right") - 1).clip(0)]]
    decimals = column.options.get("decimals")
    if column.kind in LINES and decimals is not None:
        values = np.round(values, decimals)
    return settled(column._replace(values=values, missing=None))


def settled(column: Typed) -> Typed:
    """A column as it is, or as a constant if it has a single value and none is missing."""
    values = column.values
    if column.kind in ("id", "constant") or np.isnan(values).any() or (values != values[0]).any():
        return column
    if column.kind in ("category", "boolean"):
        text = column.words[int(values[0])]
    else:
        fitted: Column = learn.fit(column._replace(missing=None), np.arange(len(values)), "standard", 1, 100)
        text = fitted.cells(values[:1])[0]  # type: ignore[attr-defined]
    return column._replace(kind="constant", words=(text,), missing=None)
