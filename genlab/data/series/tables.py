"""Series from tables: long ones, in which a column tells series apart, and wide ones, a row for each step."""

from typing import Any

import numpy as np

from genlab.data.files import pasted, quoted
from genlab.data.frames import learn, read
from genlab.data.frames.kinds import Refusal, Typed, typed
from genlab.data.frames.read import Frame, check_names
from genlab.data.labels import name_of
from genlab.data.series.clock import checked, clock, parse, steps
from genlab.data.series.records import Choice, Records
from genlab.data.series.resample import resampled
from genlab.data.series.source import Source
from genlab.errors import UserError, choose

TIMES = ("time", "date", "datetime", "timestamp")  # names of columns that are times in any case
STEPS = ("t", "step")  # and of those that are if they rise
INFINITE = ("inf", "+inf", "-inf", "infinity", "+infinity", "-infinity")


def read_table(
    path: Any,
    choice: Choice,
    id: str | None = None,
    time: str | None = None,
    label: str | None = None,
    resample: str | None = None,
    header: bool = True,
    delimiter: str | None = None,
) -> Records:
    """Reads series from a table; see `Series` for the options.

    Raises:
        UserError: a column does not exist or cannot be learnt, times do not rise in even steps, or a series has two
            classes.
    """
    frame = read.read(path, delimiter, header)
    names = frame.table.column_names
    check_names(frame.name, names)
    for option, name in (("id", id), ("time", time), ("label", label)):
        if name is not None:
            choose(f"data.{option}", name, names)
    if len(given := [name for name in (id, time, label) if name is not None]) > len(set(given)):
        raise UserError(f"data.id, data.time and data.label must be different columns, got {quoted(given)}")
    if label is not None and id is None:
        raise UserError(f"data.label: '{label}' is the class of a whole series, so data.id must tell the series apart")
    given = [name for name in given if name not in choice.exclude]
    time = time if time in given else None
    order, lengths, ids = by_series(frame, id)

    def place(row: int) -> str:
        return f"{frame.name}: {frame.line(int(order[row]))}"

    chosen = [name for name in learn.select(frame, choice.columns, choice.exclude, None) if name not in given]
    for name in chosen:
        _check_finite(frame, name, choice)
    found = [_ordered(column, order) for column in learn.read_columns(frame, chosen, choice.types, choice.missing)]
    notes = []
    if time is not None:
        times = _ordered(_times(frame, time, choice), order)
    elif (times := _guessed(frame, found, order, lengths, choice)) is not None:
        time = times.name
        found = [column for column in found if column.name != time]
        notes = [
            f"{frame.name}: column '{time}' holds the times; to take the rows as even steps: data.exclude=[{time}]"
        ]
    apart = [name for name in (id, time, label) if name is not None]
    if not found:
        raise UserError(f"{frame.name}: no channel is left besides {quoted(apart)}")
    labels = None if label is None else _labels(frame, label, order, lengths, ids, place)
    shown = {*apart, *(column.name for column in found)}
    source = Source(tuple(name for name in names if name in shown), id or "", time or "", label or "")
    records = Records(frame, found, lengths, ids, place, source, labels, tuple(notes))
    if times is None:
        if resample is not None:
            raise UserError("data.resample needs times: name their column with data.time")
        return records
    checked(times, lengths, ids, place, equal=resample is not None)
    if resample is not None:
        width, begin = parse(str(resample), str(times.options.get("unit", "")))
        records, times = resampled(records, times, width, begin)
    return records._replace(source=records.source._replace(clock=clock(times, records.lengths, records.place)))


def by_series(frame: Frame, id: str | None) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """The rows in the order of their series (R,), the length of each series and its name.

    Series are in the order in which they begin, and their rows as they are in the file.

    Raises:
        UserError: a row has no id.
    """
    rows = frame.table.num_rows
    if id is None:
        return np.arange(rows), np.array([rows]), ("",)
    column = _text(frame, id)
    codes = column.combine_chunks().dictionary_encode()
    words = codes.dictionary.to_pylist()
    place = codes.indices.fill_null(-1).to_numpy().astype(np.int64)
    gone = [i for i, word in enumerate(words) if not word]
    if (bad := (place < 0) | np.isin(place, gone)).any():
        raise UserError(f"{frame.name}: {frame.line(int(bad.argmax()))}, column '{id}': the id is missing")
    return place.argsort(kind="stable"), np.bincount(place, minlength=len(words)), tuple(words)


def _text(frame: Frame, name: str) -> Any:
    """A column as text."""
    import pyarrow

    column = frame.table.column(name)
    if pyarrow.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    return column.cast(pyarrow.string())


def _check_finite(frame: Frame, name: str, choice: Choice) -> None:
    """Checks that a column of numbers has no infinite one.

    Raises:
        UserError: it has; the message names the first by its line.
    """
    import pyarrow
    import pyarrow.compute as pc

    column = frame.table.column(name)
    if pyarrow.types.is_floating(column.type):
        bad = pc.call_function("is_inf", [column])
    elif pyarrow.types.is_string(column.type) and choice.types.get(name) not in ("category", "boolean"):
        words = pyarrow.array([word for word in INFINITE if word not in map(str.lower, choice.missing)])
        bad = pc.call_function("is_in", [pc.call_function("utf8_lower", [column])], pc.SetLookupOptions(words))
    else:
        return
    if not pc.call_function("any", [bad]).as_py():
        return
    row = bad.combine_chunks().fill_null(False).to_numpy(zero_copy_only=False).argmax()
    cell = column[int(row)].as_py()
    cure = (
        f"means a missing value: data.missing=['',{cell}]"
        if isinstance(cell, str)
        else "means a missing value, write null"
    )
    raise UserError(
        f"{frame.name}: {frame.line(int(row))}, column '{name}': {cell} is not a finite number; if it {cure}; to leave "
        f"the column out: data.exclude=[{pasted(name)}]"
    )


def _times(frame: Frame, name: str, choice: Choice) -> Typed:
    """The column of times.

    Raises:
        UserError: its cells are neither dates nor numbers.
    """
    asked = choice.types.get(name)
    for kind in (asked,) if asked else (None, "integer", "real", "datetime"):  # a guess may be a constant or an id
        try:
            found = typed(name, frame.table.column(name), kind, choice.missing)
        except Refusal as error:
            if asked:
                raise UserError(f"{frame.name}: column '{name}' {error}") from error
            continue
        if found.kind in ("date", "datetime", "integer", "real"):
            return found
    example = next(iter(_text(frame, name).slice(0, 1).to_pylist()), "")
    raise UserError(
        f"data.time: column '{name}' of {frame.name} holds neither numbers nor dates that can be read, such as "
        f"'{example}'; give their pattern: 'data.types={{{name}: \"%d.%m.%Y %H:%M\"}}'"
    )


def _guessed(frame: Frame, found: list[Typed], order: np.ndarray, lengths: np.ndarray, choice: Choice) -> Typed | None:
    """The column of times where data.time is not given; None if there is none.

    It is one of the usual name, or the first one that rises in every series, of dates or called `t` or `step`.
    """
    for column in found:
        word = column.name.lower()
        if column.kind not in ("date", "datetime") and word not in (*TIMES, *STEPS):
            continue
        try:
            times = _ordered(_times(frame, column.name, choice), order)
        except UserError:
            continue
        change = steps(times.values, lengths)
        if word in TIMES or ((change[~np.isnan(change)] > 0).all() and not np.isnan(times.values).any()):
            return times
    return None


def _ordered(column: Typed, order: np.ndarray) -> Typed:
    """A column with its rows in another order."""
    return column._replace(values=np.asarray(column.values)[order])


def _labels(
    frame: Frame, label: str, order: np.ndarray, lengths: np.ndarray, ids: tuple[str, ...], place: Any
) -> list[str]:
    """The class of each series.

    Raises:
        UserError: a class is missing, or differs within a series.
    """
    cells = [name_of(cell) for cell in _text(frame, label).to_pylist()]
    labels, row = [], 0
    for name, length in zip(ids, lengths.tolist(), strict=True):
        own = [cells[i] for i in order[row : row + length]]
        for i, cell in enumerate(own):
            if cell is None:
                raise UserError(f"{place(row + i)}, column '{label}': the class is missing")
            if cell != own[0]:
                raise UserError(
                    f"{place(row + i)}, column '{label}': series '{name}' has the classes '{own[0]}' and '{cell}'; a "
                    f"class belongs to a whole series; leave the column among the channels, without data.label"
                )
        labels.append(own[0])
        row += length
    return labels
