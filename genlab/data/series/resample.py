"""Series on an even grid of times: numbers are means within bins, words are the last of a bin."""

import numpy as np

from genlab.data.frames.kinds import Typed
from genlab.data.series.records import Records
from genlab.data.tables import LARGEST
from genlab.errors import UserError

MEANS = ("real", "integer", "date", "datetime")  # kinds of columns that have a mean


def resampled(records: Records, times: Typed, width: float, begin: float) -> tuple[Records, Typed]:
    """Takes the mean of the steps within each bin; bins without a step are missing.

    Args:
        times: (R,), rising within each series.
        width: of a bin, in the units of the times.
        begin: where some bin begins.

    Raises:
        UserError: there would be too many steps.
    """
    bins = np.floor((times.values - begin) / width).astype(np.int64)
    starts, lengths = records.starts, records.lengths
    first, last = bins[starts], bins[starts + lengths - 1]
    grid = last - first + 1  # (S,) bins of each series
    total = int(grid.sum())
    if total * max(len(records.found), 1) > LARGEST:
        raise UserError(f"data.resample makes {total:,} steps, too many to hold in memory; take wider bins")
    offsets = np.cumsum(grid) - grid
    places = bins - np.repeat(first - offsets, lengths)  # (R,) of each step among all bins
    row = np.zeros(total, np.int64)
    row[places[::-1]] = np.arange(len(bins))[::-1]  # the first step of each bin
    row = np.maximum.accumulate(row)
    found = [column._replace(**_binned(column, places, total)) for column in records.found]
    grid_times = (np.arange(total) - np.repeat(offsets - first, grid)) * width + begin
    filled = np.bincount(places, minlength=total) > 0
    line = f"{len(bins):,} steps became {total:,} even ones" + (
        f", {int((~filled).sum()):,} of them without a value" if not filled.all() else ""
    )
    return (
        records._replace(found=found, lengths=grid, place=lambda i: records.place(int(row[i]))).noted(line),
        times._replace(values=grid_times, options={**times.options, "decimals": _decimals(times, width)}),
    )


def _decimals(times: Typed, width: float) -> int | None:
    """The digits of the times of bins, of which the source's may be too few."""
    own = times.options.get("decimals")
    return own if own is None or round(width, own) == width else None


def _binned(column: Typed, places: np.ndarray, total: int) -> dict:
    """The values of a column in bins: (R,) -> (total,)."""
    known = ~np.isnan(column.values)
    if column.kind in MEANS:
        counts = np.bincount(places[known], minlength=total)
        sums = np.bincount(places[known], weights=column.values[known], minlength=total)
        values = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
        decimals = column.options.get("decimals")
        values = values if decimals is None else np.round(values, decimals)
    else:
        values = np.full(total, np.nan)
        values[places[known]] = column.values[known]  # of several, the last stays
    if column.kind in ("constant", "id"):
        values = np.nan_to_num(values)
    missing = "" if np.isnan(values).any() and column.missing is None else column.missing
    return {"values": values, "missing": missing}
