"""Writing series in the format of the file that a model learned from: its columns, times, arrays or dimensions."""

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from genlab.data.columns.category import Category
from genlab.data.columns.fixed import Constant
from genlab.data.columns.schema import Schema
from genlab.data.frames import write as rows
from genlab.data.frames.types import of_source
from genlab.data.series.source import Source
from genlab.data.series.ts_file import write_ts
from genlab.data.spec import Spec
from genlab.runs.files import replaced

if TYPE_CHECKING:
    import pyarrow

ARRAYS = (".npy", ".npz")
Chunk = tuple[Tensor, Tensor | None]  # series in units (B, C, T), and their classes (B,), if the model draws any


def suffix(spec: Spec) -> str:
    """The ending of a file of samples: the source's, or .csv for a frame."""
    schema, _ = format_of(spec)
    return schema.suffix if schema.suffix in (*ARRAYS, ".ts") else rows.suffix(schema)


def format_of(spec: Spec) -> tuple[Schema, Source]:
    """The schema of a step and the source of series from a file."""
    assert spec.steps is not None
    assert isinstance(spec.source, Source)
    return spec.steps, spec.source


def write(path: Path, spec: Spec, chunks: Iterable[Chunk]) -> int:
    """Writes series, chunk by chunk; returns their number.

    An older file of that name stays until all are written.

    Raises:
        OSError: the file cannot be written.
    """
    ways = {".parquet": _parquet, ".npy": _array, ".npz": _array, ".ts": _ts}
    with replaced(path) as begun:
        return ways.get(path.suffix, _text)(begun, spec, chunks)


def counter(source: Source) -> str:
    """The name of the column that numbers samples: the source's own, or `sample`."""
    name = source.id or "sample"
    while not source.id and name in source.names:
        name += "_"
    return name


def steps(units: Tensor) -> Tensor:
    """The steps of series as rows: (B, C, T) -> (B T, C)."""
    return units.cpu().transpose(1, 2).flatten(0, 1)


def arrow(
    spec: Spec, units: Tensor, y: Tensor | None, generator: torch.Generator | None = None, start: int = 0
) -> "pyarrow.Table":
    """Series in units (B, C, T) as a long table with the columns' types.

    Args:
        y: the class of each series (B,); None: the table has none.
        start: the number of series before these.
    """
    import pyarrow

    schema, source = format_of(spec)
    n, length = len(units), units.shape[2]
    table = rows.arrow(schema, steps(units), generator, start * length)
    made: dict[str, Any] = {name: table.column(name) for name in table.column_names}
    made[counter(source)] = pyarrow.array(np.arange(start + 1, start + n + 1).repeat(length))
    if source.clock is not None:
        own = Schema([source.clock.column])
        times = source.clock.column.units(np.tile(source.clock.times(length), n))
        made[source.time] = rows.arrow(own, times).column(0)
    if y is not None:
        made[source.label] = pyarrow.array([spec.class_name(k) for k in y.tolist() for _ in range(length)])
    return of_source(pyarrow.table({name: made[name] for name in columns(source, y is not None)}), schema.types)


def columns(source: Source, classed: bool) -> list[str]:
    """The columns of a table of samples in their order."""
    names = [name for name in source.names if classed or name != source.label]
    return names if source.id else [counter(source), *names]


def _text(path: Path, spec: Spec, chunks: Iterable[Chunk]) -> int:
    schema, source = format_of(spec)
    generator, count = torch.Generator().manual_seed(rows.SEED), 0
    with rows.opened(path, schema.encoding) as file:
        writer = csv.writer(file, delimiter=schema.delimiter, lineterminator="\n")
        for units, y in chunks:
            if schema.header and not count:
                writer.writerow(columns(source, y is not None))
            n, length = len(units), units.shape[2]
            cells: dict[str, Any] = {
                column.name: rows.cells(column, part, generator, count * length)
                for column, part in schema.cut(steps(units))
            }
            cells[counter(source)] = [str(count + i + 1) for i in range(n) for _ in range(length)]
            if source.clock is not None:
                cells[source.time] = source.clock.text(length) * n
            if y is not None:
                cells[source.label] = [spec.class_name(k) for k in y.tolist() for _ in range(length)]
            writer.writerows(zip(*(cells[name] for name in columns(source, y is not None)), strict=True))
            count += n
    return count


def _parquet(path: Path, spec: Spec, chunks: Iterable[Chunk]) -> int:
    def tables() -> Iterator["pyarrow.Table"]:
        generator, count = torch.Generator().manual_seed(rows.SEED), 0
        for units, y in chunks:
            yield arrow(spec, units, y, generator, count)
            count += len(units)

    return rows.write_tables(path, tables()) // spec.shape[1]


def array(spec: Spec, units: Tensor, generator: torch.Generator | None = None) -> np.ndarray:
    """Series in units (B, C, T) as an array of the source's channels and type, (B, T, channels); NaN where missing.

    Words that are no numbers are given by their places.
    """
    schema, source = format_of(spec)
    generator = generator or torch.Generator().manual_seed(rows.SEED)
    parts = []
    for column, part in schema.cut(steps(units)):
        if isinstance(column, Category | Constant):
            texts = column.text(part, generator)
            labels: tuple[str, ...] = getattr(column, "labels", ())
            places = {label: k for k, label in enumerate(labels)}
            parts.append(np.array([_number(text, column.missing, places) for text in texts]))
        else:
            parts.append(column.values(part).numpy())
    x = np.stack(parts, axis=1).reshape(len(units), units.shape[2], -1)
    kind = np.dtype(source.dtype or np.float64)
    return x if kind.kind in "iub" and np.isnan(x).any() else x.astype(kind)


def _number(text: Any, missing: str | None, places: dict[str, int]) -> float:
    if text is None or text == missing:
        return np.nan
    try:
        return float(text)
    except ValueError:
        return float(places.get(text, 0))


def _arrays(spec: Spec, chunks: Iterable[Chunk]) -> Iterator[tuple[np.ndarray, list[str]]]:
    """Arrays (B, T, C) with the names of their classes, [] without."""
    generator = torch.Generator().manual_seed(rows.SEED)
    for units, y in chunks:
        yield array(spec, units, generator), [] if y is None else [spec.class_name(k) for k in y.tolist()]


def _array(path: Path, spec: Spec, chunks: Iterable[Chunk]) -> int:
    _, source = format_of(spec)
    parts = list(_arrays(spec, chunks))
    x, labels = np.concatenate([part for part, _ in parts]), [label for _, own in parts for label in own]
    if path.suffix == ".npy":
        np.save(path, x)
        return len(x)
    classes = {source.label or "y": classes_of(labels)} if labels else {}
    np.savez_compressed(path, **{source.key or "x": x}, **classes)  # type: ignore[arg-type]
    return len(x)


def classes_of(labels: list[str]) -> np.ndarray:
    """The names of classes (N,), as numbers if all are whole numbers."""
    y = np.array(labels)
    return y.astype(np.int64) if all(label.removeprefix("-").isdigit() for label in labels) else y


def _ts(path: Path, spec: Spec, chunks: Iterable[Chunk]) -> int:
    _, source = format_of(spec)
    chunks = iter(chunks)
    first = next(chunks)
    names = spec.labels if first[1] is not None else ()

    def every() -> Iterator[Chunk]:
        yield first
        yield from chunks

    return write_ts(path, source.title, _arrays(spec, every()), names)
