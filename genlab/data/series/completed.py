"""Writing series whose unknown cells were drawn, in the format of their file; known cells, ids and times stay."""

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genlab.data.files import note
from genlab.data.frames import write as rows
from genlab.data.series.partial import Partial
from genlab.data.series.source import Source
from genlab.data.series.ts_file import write_ts
from genlab.data.series.write import array, classes_of, counter, format_of
from genlab.data.spec import Spec
from genlab.runs.files import BEGUN, replaced


def write(path: Path, spec: Spec, series: Partial, units: list[Tensor]) -> None:
    """Writes completed series, S times (width, steps) in units; an older file of that name stays until all are written.

    Raises:
        OSError: the file cannot be written.
    """
    ways = {".parquet": _parquet, ".npy": _array, ".npz": _array, ".ts": _array}
    with replaced(path) as begun:
        ways.get(path.suffix, _text)(begun, spec, series, units)


def _names(source: Source, series: Partial) -> list[str]:
    """The columns of the table: those of the file in their order, and those of the source that it lacks but times."""
    own, apart = series.frame.table.column_names, (source.time, source.label, source.id)
    return [*own, *(name for name in source.names if name not in own and name not in apart)]


def _text(path: Path, spec: Spec, series: Partial, units: list[Tensor]) -> None:
    schema, source = format_of(spec)
    generator, made = torch.Generator().manual_seed(rows.SEED), {}
    place, known = series.rows, torch.cat(series.known, dim=1).numpy()
    table = series.frame.table
    for (column, part), seen in zip(schema.cut(torch.cat(units, dim=1).T), known, strict=True):
        made[column.name] = np.array(rows.cells(column, part, generator), dtype=object)
        if column.name in table.column_names:
            made[column.name] = np.where(seen & (place >= 0), _taken(table, column.name, place), made[column.name])
    made |= _apart(source, series, place, lambda times: source.clock.text_of(times) if source.clock else [])
    names = _names(source, series)
    for name in names:
        if name not in made:  # the model does not know it
            made[name] = np.where(place >= 0, _taken(table, name, place), "")
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=schema.delimiter, lineterminator="\n")
    if schema.header:
        writer.writerow(names)
    writer.writerows(zip(*(made[name] for name in names), strict=True))
    encoding = schema.encoding
    try:
        text.getvalue().encode(encoding)
    except UnicodeEncodeError:
        encoding = "utf-8"
        note(f"{path.name.removeprefix(BEGUN)}: written as UTF-8, since {schema.encoding} lacks some of its letters")
    with rows.opened(path, encoding) as file:
        file.write(text.getvalue())


def _apart(source: Source, series: Partial, place: np.ndarray, write_times: Any) -> dict[str, Any]:
    """The ids, times and classes of all steps; those of the steps that follow go on from the ones before."""
    table, found = series.frame.table, {}
    before = np.maximum.accumulate(np.where(place < 0, 0, place))  # of a step that follows, the last one of its series
    for name in (counter(source), source.label):
        if name and name in table.column_names:
            found[name] = _taken(table, name, before)
    if series.times is not None:
        new = np.array(write_times(series.times), dtype=object)
        found[source.time] = np.where(place >= 0, _taken(table, source.time, before), new)
    return found


def _taken(table: Any, name: str, place: np.ndarray) -> np.ndarray:
    """The cells of a column at these rows, anything at -1."""
    return np.array(table.column(name).to_pylist(), dtype=object)[place]


def _parquet(path: Path, spec: Spec, series: Partial, units: list[Tensor]) -> None:
    import pyarrow
    import pyarrow.parquet

    schema, source = format_of(spec)
    place, known = series.rows, torch.cat(series.known, dim=1).numpy()
    table, index = series.frame.table, pyarrow.array(place, mask=place < 0)
    drawn = rows.arrow(schema, torch.cat(units, dim=1).T)
    made: dict[str, Any] = {}
    for column, seen in zip(schema.columns, known, strict=True):
        made[column.name] = drawn.column(column.name)
        if column.name in table.column_names:
            own = table.column(column.name).take(index)
            if pyarrow.types.is_null(own.type):
                continue
            kept = pyarrow.array(seen & (place >= 0))
            new = drawn.column(column.name).cast(own.type, safe=False)
            made[column.name] = pyarrow.compute.if_else(kept, own, new)  # type: ignore[attr-defined]

    def times(values: np.ndarray) -> list[Any]:
        assert source.clock is not None
        own = rows.Schema([source.clock.column])
        return rows.arrow(own, source.clock.column.units(values)).column(0).to_pylist()

    for name, cells in _apart(source, series, place, times).items():
        made[name] = pyarrow.array(cells.tolist(), table.column(name).type)
    names = _names(source, series)
    for name in names:
        if name not in made:  # the model does not know it
            made[name] = table.column(name).take(index)
    pyarrow.parquet.write_table(pyarrow.table({name: made[name] for name in names}), path)


def _array(path: Path, spec: Spec, series: Partial, units: list[Tensor]) -> None:
    _, source = format_of(spec)
    parts = [array(spec, own[None]) for own in units]
    parts = _kept(spec, series, parts)
    if path.suffix == ".ts":
        equal = len({part.shape[1] for part in parts}) == 1
        labels = series.labels or [""] * len(parts)
        chunks = ((part, [label]) for part, label in zip(parts, labels, strict=True))
        write_ts(path, source.title, chunks, spec.labels if series.labels else (), equal)
    elif path.suffix == ".npy":
        np.save(path, np.concatenate(parts))
    else:
        classes = {source.label: classes_of(series.labels)} if series.labels else {}
        np.savez_compressed(path, **{source.key or "x": np.concatenate(parts)}, **classes)  # type: ignore[arg-type]


def _kept(spec: Spec, series: Partial, parts: list[np.ndarray]) -> list[np.ndarray]:
    """The series (1, T, C) of `parts` with all known numbers as they are in the file, in a type that holds both."""
    schema, source = format_of(spec)
    place, known = series.rows, torch.cat(series.known, dim=1).numpy()
    flat = np.concatenate([part[0] for part in parts])
    own = [series.frame.table.column(name).to_numpy(zero_copy_only=False) for name in source.names]
    kind = np.result_type(flat.dtype, *(column.dtype for column in own))
    flat = flat.astype(kind)
    seen = {column.name: mask for column, mask in zip(schema.columns, known, strict=True)}
    for i, (name, column) in enumerate(zip(source.names, own, strict=True)):
        rows_ = (place >= 0) & seen.get(name, np.ones(len(place), bool))
        flat[rows_, i] = column[place[rows_]]
    ends = np.cumsum([part.shape[1] for part in parts])[:-1]
    return [part[None] for part in np.split(flat, ends)]
