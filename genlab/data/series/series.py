"""Time series of your own: windows of typed columns from tables, arrays and the UEA archive."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from genlab.data.base import Dataset, Split, digest
from genlab.data.columns.codes import CODES
from genlab.data.columns.schema import Schema
from genlab.data.files import find, several
from genlab.data.frames import learn, read
from genlab.data.frames.types import types_of
from genlab.data.labels import classes
from genlab.data.series.arrays import read_array
from genlab.data.series.gaps import GAPS, treated
from genlab.data.series.records import Choice, Records, long_enough
from genlab.data.series.tables import read_table
from genlab.data.series.ts_file import read_ts
from genlab.data.series.windows import SPLITS, Part, Windows, parted
from genlab.data.spec import by_step
from genlab.data.table_rows import encode, numbers
from genlab.errors import UserError, choose, within

ARRAYS = (".npy", ".npz")
LARGEST = 1e30  # of a number
BOUNDED = ("quantile", "modes")  # codes that cannot stand for values beyond those of training


class Series(Dataset):
    """Time series of your own: data.path=FILE, .csv, .tsv, .parquet, .npy, .npz or .ts.

    A sample is a window of typed columns. Files are long tables (`id` and `time`), wide ones (a row for each step),
    arrays (N, T, C), or in the format of the UEA archive, see `ts_file`. Only the steps are stored, not the windows.

    Args:
        path: the file, or a frame of pandas, polars or Arrow.
        id: the column of a table that tells series apart; None: the table is one series.
        time: the column of times, which must rise in even steps; None: one called time or date,
            or of dates that rise, if any.
        key: the name of an array of an .npz file; None: the only one, or "x" with the classes "y" (N,), if present.
        label: the class of a series: a column, or an array of an .npz file. It is no channel.
        columns: those to learn; None: all but `exclude`, the id, the time and the label.
        exclude: columns to leave out.
        types: kinds of columns by name in the place of what is guessed, as for tables.
        missing: the texts that stand for a missing value, as for tables.
        window: steps of a sample; None: whole series, which must have one length.
        stride: steps from the start of one window to that of the next.
        split: "id" holds out whole series, "blocks" blocks of time, "random" windows, whose neighbours leak; "auto":
            id if there are three series, else blocks.
        blocks: blocks of time that all series are cut into.
        numeric: how a model sees numbers: "standard", "minmax" (training values fill [0, 1]), "quantile" (normal
            scores), "modes"; "auto": standard. Fitted on the training steps.
        gaps: missing values: "interpolate" (numbers linearly within a series, words as before), "keep" (learnt as a
            value), "refuse".
        resample: the width of bins of time, such as 1h, 5min, 1D, in which means are taken; None: steps must be even.
        rare, most: of words, as for tables.
        header, delimiter: of a text file, as for tables.
        validation, test: shares of the series, blocks or windows, one each at least.

    Raises:
        UserError: the file cannot be read, an option does not fit it, times do not rise evenly, or there are too few
            windows.
    """

    def __init__(
        self,
        path: Any,
        id: str | None = None,
        time: str | None = None,
        key: str | None = None,
        label: str | None = None,
        columns: Sequence[str] | None = None,
        exclude: Sequence[str] | None = None,
        types: Mapping[str, Any] | str | None = None,
        missing: Sequence[str] | None = None,
        window: int | None = 24,
        stride: int = 1,
        split: str = "auto",
        blocks: int = 50,
        numeric: str = "auto",
        gaps: str = "interpolate",
        resample: str | float | None = None,
        rare: int | None = None,
        most: int = 100,
        header: bool = True,
        delimiter: str | None = None,
        validation: float = 0.1,
        test: float = 0.1,
    ) -> None:
        choose("data.numeric", numeric, ("auto", *CODES))
        choose("data.gaps", gaps, GAPS)
        choose("data.split", split, SPLITS)
        within("data.window", 2 if window is None else window, 2)
        within("data.stride", stride, 1)
        within("data.blocks", blocks, 3)
        code = "standard" if numeric == "auto" else numeric
        choice = Choice(columns, exclude, types, missing)
        rule = None if resample is None else str(resample)
        records = _read(path, choice, id, time, key, label, rule, header, delimiter)
        _check_size(records)
        records = treated(long_enough(records, window), gaps)
        window = int(records.lengths[0]) if window is None else window
        y, labels = classes(Path(records.frame.name), records.labels, label or "class")
        plan = parted(records.lengths, y, split, window, stride, blocks, validation, test)
        targets = {name: None if y is None else y[part.series] for name, part in plan.parts.items()}
        _check_classes(targets["train"], labels, records)
        train = np.unique(plan.parts["train"].covered(window))
        rare = min(10, len(train) // 5000) if rare is None else rare
        fitted = [learn.fit(_bounded(column, code), train, code, rare, most) for column in records.found]
        frame = records.frame
        steps = Schema(
            *(fitted, frame.suffix, frame.delimiter, frame.encoding, "", frame.header, (), missing or (), ()),
            types_of(frame),
        )
        if not steps.width:
            raise UserError(f"{frame.name}: no channel is left to learn: all are constants or identifiers")
        source = records.source._replace(static=_static(records, steps))
        windows, self._values = _windows(plan.parts, records, steps, window)
        splits = {name: Split(cast(Tensor, windows[name]), targets[name]) for name in plan.parts}
        # Not the schema: it gains entries with time.
        places = [array for part in plan.parts.values() for array in (part.rows, part.starts)]
        parts = [hashlib.sha256(array.astype("<i8").tobytes()).hexdigest() for array in places]
        clock = source.clock and [source.clock.first, source.clock.step]
        what = (learn.content(records.found), records.lengths.tolist(), records.labels, clock, parts)
        fingerprint = digest(*what, window, code, rare, most)
        super().__init__(frame.name, splits, "real", len(labels), labels, fingerprint, steps=steps, source=source)
        overlap = split == "random" and stride < window
        self.notes = [*_overview(records, steps, window, stride, self.splits, plan.how), *_leak(overlap)]

    def real(self, split: str, n: int) -> Tensor:
        """Returns the first `n` windows of a split in units, with all digits of the file: (n, C, T) float64."""
        windows, steps = self.splits[split].x, self.spec.steps
        if not isinstance(windows, Windows) or steps is None:  # a part of the set, see `Pairs`
            return super().real(split, n)

        def units(rows: Tensor) -> Tensor:
            columns = zip(steps.columns, rows.unbind(1), strict=True)
            return torch.cat([column.units(values.numpy()) for column, values in columns], dim=1)

        exact = Windows(self._values[split], windows.starts[:n].cpu(), windows.length)
        return by_step(units, exact[:]).to(self.device)


def _read(
    path: Any,
    choice: Choice,
    id: str | None,
    time: str | None,
    key: str | None,
    label: str | None,
    resample: str | None,
    header: bool,
    delimiter: str | None,
) -> Records:
    """Reads a file of any supported kind.

    Raises:
        UserError: the file has another suffix or cannot be read, or an option does not apply to its kind.
    """
    try:
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise UserError("data=series needs pyarrow: pip install 'genlab[tables]'") from error
    suffix = Path(path).suffix.lower() if isinstance(path, str | Path) else ""
    if isinstance(path, str | Path) and suffix != ".gz":
        choose("data.path: the ending", suffix, (*read.SUFFIXES, *ARRAYS, ".ts"))
    array, ts = suffix in ARRAYS, suffix == ".ts"
    for option, given, fits in (
        ("id", id is not None, not (array or ts)),
        ("time", time is not None, not (array or ts)),
        ("resample", resample is not None, not (array or ts)),
        ("delimiter", delimiter is not None, not (array or ts)),
        ("key", key is not None, suffix == ".npz"),
        ("label", label is not None, suffix != ".npy" and not ts),
    ):
        if given and not fits:
            raise UserError(f"data.{option} does not apply to {suffix or 'this kind of'} files")
    if array:
        return read_array(find(str(path), "file"), key, label, choice)
    if ts:
        return read_ts(find(str(path), "file"), choice)
    return read_table(path, choice, id, time, label, resample, header, delimiter)


def _bounded(column: Any, code: str) -> Any:
    """A column that knows the extremes of all rows, so that held-out values beyond those of training are not cut."""
    known = column.values[~np.isnan(column.values)]
    if code in BOUNDED or column.kind not in ("real", "integer") or not len(known):
        return column
    return column._replace(options={**column.options, "bounds": [float(known.min()), float(known.max())]})


def _check_size(records: Records) -> None:
    """Checks that numbers fit into single precision.

    Raises:
        UserError: some do not.
    """
    for column in records.found:
        if column.kind == "real" and (huge := np.abs(np.nan_to_num(column.values)) > LARGEST).any():
            raise UserError(
                f"{records.place(int(huge.argmax()))}, column '{column.name}': {column.values[huge.argmax()]:g} is too "
                f"large for single precision; write the column in another unit"
            )


def _check_classes(y: Tensor | None, labels: Sequence[str], records: Records) -> None:
    """Checks that training has a window of each class.

    Raises:
        UserError: some class has none.
    """
    if y is None:
        return
    if len(labels) < 2:
        raise UserError(f"data.label: all series of {records.frame.name} are of the class '{labels[0]}'; leave it out")
    counts = y.bincount(minlength=len(labels))
    if lacking := [label for label, n in zip(labels, counts.tolist(), strict=True) if not n]:
        raise UserError(
            f"data.label: no training window of class {several([repr(name) for name in lacking])}: lower data.window "
            f"or hold out less, or leave the series of this class out"
        )


def _static(records: Records, steps: Schema) -> tuple[str, ...]:
    """The columns that are learnt but constant within each of several series."""
    if len(records.lengths) < 2:
        return ()
    found = []
    for column, read_ in zip(steps.columns, records.found, strict=True):
        values = np.nan_to_num(read_.values, nan=-np.inf)
        low = np.minimum.reduceat(values, records.starts)
        if column.width and (low == np.maximum.reduceat(values, records.starts)).all():
            found.append(column.name)
    return tuple(found)


def _windows(
    parts: Mapping[str, Part], records: Records, steps: Schema, window: int
) -> tuple[dict[str, Windows], dict[str, Tensor]]:
    """The encoded steps of each split with its windows, and the values of the steps (R, columns) in double precision.

    Splits that share all steps store them once.
    """
    shared = parts["train"].rows is parts["test"].rows
    pieces = [parts["train"].rows] if shared else [part.rows for part in parts.values()]
    order = np.concatenate(pieces)
    columns = zip(steps.columns, records.found, strict=True)
    exact = [numbers(column, read_, order).astype(np.float64) for column, read_ in columns]
    sizes = [len(piece) for piece in pieces]
    x = encode(steps, records.found, order).split(sizes)
    own = torch.from_numpy(np.stack(exact, axis=1)).split(sizes)
    places = {name: 0 if shared else i for i, name in enumerate(parts)}
    starts = {name: torch.from_numpy(part.starts) for name, part in parts.items()}
    windows = {name: Windows(x[i], starts[name], window) for name, i in places.items()}
    return windows, {name: own[i] for name, i in places.items()}


def _overview(
    records: Records, steps: Schema, window: int, stride: int, splits: Mapping[str, Split], how: str
) -> list[str]:
    """The lines that are printed at the start: what was read, each column, the windows."""
    n, many = len(records.lengths), int(records.lengths.sum())
    shortest, longest = int(records.lengths.min()), int(records.lengths.max())
    each = f"{shortest:,} to {longest:,} steps each" if shortest < longest else f"{longest:,} steps each"
    length = f"{many:,} steps" if n == 1 else each
    lines = [f"{records.frame.name}: {n:,} series, {length}; data.types={{NAME: KIND}} overrides a kind"]
    width = min(max(len(column.name) for column in steps.columns), 30)
    for column, read_ in zip(steps.columns, records.found, strict=True):
        gone = int(np.isnan(read_.values).sum())
        lost = f"; missing in {100 * gone / many:.1f} %" if gone and column.fields else ""
        lines.append(f"  {column.name:<{width}}  {column.description()}{lost}{f'; {read_.note}' if read_.note else ''}")
    words = {"train": "training"}
    counts = [f"{len(split.x):,} for {words.get(name, name)}" for name, split in splits.items()]
    every = "" if window == longest else ", one at every step" if stride == 1 else f", one at every {stride} steps"
    lines.append(f"windows of {window} steps{every}: {', '.join(counts)}; {how}")
    return [*lines, *records.notes]


def _leak(overlap: bool) -> list[str]:
    if not overlap:
        return []
    return [
        "data.split=random leaks: windows overlap, so held-out ones share steps with training ones and all measures "
        "look better than they are; it serves to compare with papers"
    ]
