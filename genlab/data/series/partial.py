"""Series of which some steps are known: files with gaps or to be continued, as a trained model reads them.

A series may have any length. It is covered with windows of the model's length, from its end backwards, so that a
continuation is drawn from the steps just before it; only windows with an unknown cell are drawn.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from genlab.data.files import find
from genlab.data.frames import given, read
from genlab.data.frames.kinds import MISSING, Refusal
from genlab.data.frames.read import Frame
from genlab.data.labels import name_of
from genlab.data.numpy_file import labels_of, load
from genlab.data.series.clock import spell, steps
from genlab.data.series.given import keys, named
from genlab.data.series.records import Choice
from genlab.data.series.source import Clock, Source
from genlab.data.series.tables import by_series
from genlab.data.series.ts_file import read_ts
from genlab.data.series.write import ARRAYS, counter, format_of
from genlab.data.spec import Spec
from genlab.errors import UserError, choose


class Partial(NamedTuple):
    """Series of any lengths, each with unknown cells, among them the steps that are to be drawn after its end."""

    name: str  # of the file
    frame: Frame  # its rows, series after series
    lengths: np.ndarray  # (S,) steps of each series in the file
    more: np.ndarray  # (S,) steps that follow
    names: tuple[str, ...]  # (S,); ("",) for the only series of a file without ids
    units: list[Tensor]  # S times (width, length + more) in units, anything where unknown
    known: list[Tensor]  # S times (columns, length + more) bool
    times: np.ndarray | None  # of all steps, those that follow included, in the clock's units
    labels: list[str] | None  # (S,) the class of each series

    @property
    def rows(self) -> np.ndarray:
        """The row of the file of each step of all series, -1 of those that follow: (Σ (length + more),)."""
        starts = np.cumsum(self.lengths) - self.lengths
        series = zip(starts.tolist(), self.lengths.tolist(), self.more.tolist(), strict=True)
        return np.concatenate([np.append(np.arange(a, a + n), np.full(more, -1)) for a, n, more in series])

    def windows(self, length: int) -> list[tuple[int, int]]:
        """The series and the first step of each window of `length` steps that has an unknown cell.

        A first step is negative if the series is shorter than a window.
        """
        found = []
        for i, known in enumerate(self.known):
            last = known.shape[1] - length
            firsts = {max(0, first) for first in range(last, -length, -length)} if last > 0 else {last}
            found += [(i, a) for a in sorted(firsts) if not known[:, max(a, 0) : a + length].all()]
        return found


def read_partial(path: str, spec: Spec, horizon: int | None = None) -> Partial:
    """Reads a file like the one that a model learned from.

    Args:
        horizon: steps that follow each series; None: as many as a series lacks of the model's length.

    Raises:
        UserError: the file cannot be read, has other columns, or its times do not rise evenly.
    """
    schema, source = format_of(spec)
    length = spec.shape[1]
    frame, lengths, names, labels = _rows(find(path, "file", "given"), spec, source, schema.header)
    if not frame.table.num_rows:
        raise UserError(f"given: {frame.name} has no steps")
    if not {column.name for column in schema.columns} & set(frame.table.column_names):
        raise UserError(f"given: {frame.name} has none of the columns that this model knows")
    flat, seen = given.units(schema, frame, partly=True)
    follow = np.maximum(length - lengths, 0) if horizon is None else np.full(len(lengths), horizon)
    units, known = [], []
    for part, mask, more in zip(flat.split(lengths.tolist()), seen.split(lengths.tolist()), follow, strict=True):
        units.append(torch.cat([part, part[-1:].expand(int(more), -1)]).T)
        known.append(torch.cat([mask, mask.new_zeros(int(more), mask.shape[1])]).T)
    times = None
    if source.clock is not None and source.time in frame.table.column_names:
        times = _times(frame, source.clock, source.time, schema.missing or MISSING, lengths, follow)
    fixed = torch.tensor([not column.width for column in schema.columns])
    known = [mask | fixed[:, None] for mask in known]
    for label in labels or ():
        choose("given: a class", str(label), spec.labels)
    return Partial(frame.name, frame, lengths, follow, names, units, known, times, labels)


Rows = tuple[Frame, np.ndarray, tuple[str, ...], list[str] | None]  # with the length, name and class of each series


def _rows(path: Path, spec: Spec, source: Source, header: bool) -> Rows:
    """Reads the rows of a file, series after series."""
    suffix = path.suffix.lower()
    if suffix == ".ts":
        records = read_ts(path, Choice())
        return records.frame, records.lengths, records.names, records.labels if spec.labels else None
    if suffix in ARRAYS:
        return _of_array(path, spec, source)
    frame = named(read.read(path, header=header, option="given"), source, header)
    read.check_names(frame.name, frame.table.column_names)
    id = counter(source)
    if id not in frame.table.column_names:
        if source.id:
            raise UserError(f"given: {frame.name} lacks the column '{id}', which tells series apart")
        return frame, np.array([frame.table.num_rows]), ("",), None
    order, lengths, names = by_series(frame, id)
    if (order != np.arange(len(order))).any():
        frame = frame._replace(table=frame.table.take(order), path=None)
    labels = None
    if spec.labels and source.label in frame.table.column_names:
        every = [name_of(cell) for cell in frame.table.column(source.label).to_pylist()]
        labels = [every[row] for row in (np.cumsum(lengths) - lengths).tolist()]
        of_row = np.repeat(np.arange(len(lengths)), lengths)
        for row, cell in enumerate(every):
            if cell not in spec.labels or cell != labels[of_row[row]]:
                why = f"'{cell}' differs within its series"
                if cell not in spec.labels:
                    why = "the class is missing" if cell is None else f"'{cell}' is none of {', '.join(spec.labels)}"
                raise UserError(f"given: {frame.name}: {frame.line(row)}, column '{source.label}': {why}")
    return frame, lengths, names, labels


def _of_array(path: Path, spec: Spec, source: Source) -> Rows:
    import pyarrow

    label = source.label if path.suffix.lower() == ".npz" and source.label in keys(path) else None
    x, y, _ = load(path, source.key or None, label)
    x = x.astype(np.uint8) if x.dtype.kind == "b" else x
    if x.ndim != 3 or x.shape[2] != len(source.names) or x.dtype.kind not in "fiub":
        raise UserError(f"given: {path.name} must hold numbers (N, T, {len(source.names)}); it has {x.dtype} {x.shape}")
    if x.dtype.kind == "f" and np.isinf(x).any():
        raise UserError(f"given: {path.name} has an infinite value; an unknown one is NaN")
    flat = x.reshape(-1, x.shape[2])
    columns: dict[str, Any] = {
        name: pyarrow.array(np.ascontiguousarray(flat[:, i]), from_pandas=True) for i, name in enumerate(source.names)
    }
    names = tuple(str(i + 1) for i in range(len(x)))
    labels = None if y is None or not spec.labels else labels_of(path, y, len(x))
    return Frame(path.name, pyarrow.table(columns), path.suffix.lower()), np.full(len(x), x.shape[1]), names, labels


def _times(
    frame: Frame, clock: Clock, name: str, missing: Sequence[str], lengths: np.ndarray, follow: np.ndarray
) -> np.ndarray:
    """The times of all steps, those that follow each series included, in the clock's units.

    Raises:
        UserError: a time is missing, or they do not rise in the steps of the training data.
    """
    try:
        values = given.read(clock.column, frame.table.column(name), missing)
    except Refusal as error:
        raise UserError(f"given: {frame.name}: column '{name}' {error}") from error
    place = f"given: {frame.name}: "
    if (gone := np.isnan(values)).any():
        raise UserError(f"{place}{frame.line(int(gone.argmax()))}, column '{name}': the time is missing")
    unit, change = getattr(clock.column, "unit", ""), steps(values, lengths)
    if (fallen := change < 0).any():
        raise UserError(
            f"{place}{frame.line(int(fallen.argmax()))}, column '{name}': the time falls; sort the rows by it"
        )
    even = np.concatenate([clock.since(float(own[0]), len(own)) for own in np.split(values, np.cumsum(lengths)[:-1])])
    near = 1e-6 * clock.step + 8 * np.spacing(np.abs(values).max())
    wrong = values != even if clock.months else np.abs(change - clock.step) > near
    if wrong.any():
        row = int(wrong.argmax())
        found = "the time does not follow" if clock.months else f"a step of {spell(float(change[row]), unit)}"
        learned = f"{clock.step:g} months" if clock.months else spell(clock.step, unit)
        raise UserError(
            f"{place}{frame.line(row)}, column '{name}': {found}, where the model learned steps of {learned}; write "
            f"steps that are not known as rows with empty cells"
        )
    series = zip(np.split(values, np.cumsum(lengths)[:-1]), follow.tolist(), strict=True)
    return np.concatenate([np.append(own, clock.after(float(own[-1]), more)) for own, more in series])
