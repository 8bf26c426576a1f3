"""Writing samples in the format of the table that a model learned from: its columns, types, decimals and delimiter."""

import csv
import gzip
import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from genlab.data.columns.base import Column
from genlab.data.columns.category import Category
from genlab.data.columns.fixed import Fixed, Identifier
from genlab.data.columns.moment import DateTime
from genlab.data.columns.numeric import Integer, Numeric
from genlab.data.columns.schema import Schema
from genlab.data.frames.types import of_source, text_columns
from genlab.runs.files import replaced

if TYPE_CHECKING:
    import pyarrow

SEED = 0x5A3  # of the words that stand for pooled rare ones


def suffix(schema: Schema) -> str:
    """The ending of a file of samples: the source's, or .csv for a frame."""
    return schema.suffix if schema.suffix in (".parquet", ".tsv", ".csv.gz", ".tsv.gz") else ".csv"


def write(path: Path, schema: Schema, chunks: Iterable[Tensor]) -> int:
    """Writes rows in units, chunk by chunk, each (B, width) float64; returns their number.

    An older file of that name stays until all rows are written.

    Raises:
        OSError: the file cannot be written.
    """
    generator = torch.Generator().manual_seed(SEED)
    with replaced(path) as begun:
        return (_parquet if path.suffix == ".parquet" else _text)(begun, schema, chunks, generator)


@contextmanager
def opened(path: Path, encoding: str) -> Iterator[io.TextIOBase]:
    """Opens a text file for writing, compressed if its name ends with .gz."""
    encoding = "utf-8" if encoding == "utf-8-sig" else encoding
    if path.suffix == ".gz":
        with gzip.open(path, "wt", encoding=encoding, newline="") as file:
            yield file
    else:
        with open(path, "w", encoding=encoding, newline="") as file:
            yield file


def _text(path: Path, schema: Schema, chunks: Iterable[Tensor], generator: torch.Generator) -> int:
    count = 0
    with opened(path, schema.encoding) as file:
        writer = csv.writer(file, delimiter=schema.delimiter, lineterminator="\n")
        if schema.header:
            writer.writerow([column.name for column in schema.columns])
        for units in chunks:
            texts = [cells(column, part, generator, count) for column, part in schema.cut(units.cpu())]
            writer.writerows(zip(*texts, strict=True))
            count += len(units)
    return count


def _parquet(path: Path, schema: Schema, chunks: Iterable[Tensor], generator: torch.Generator) -> int:
    def tables() -> Iterator["pyarrow.Table"]:
        count = 0
        for units in chunks:
            yield arrow(schema, units, generator, count)
            count += len(units)

    return write_tables(path, tables())


def write_tables(path: Path, tables: Iterable["pyarrow.Table"]) -> int:
    """Writes tables of the same columns one below the other as a Parquet file; returns the number of rows.

    Raises:
        OSError: the file cannot be written.
    """
    import pyarrow.parquet

    writer, count = None, 0
    try:
        for table in tables:
            writer = writer or pyarrow.parquet.ParquetWriter(path, table.schema)
            writer.write_table(table)
            count += table.num_rows
    finally:
        if writer is not None:
            writer.close()
    return count


def arrow(schema: Schema, units: Tensor, generator: torch.Generator | None = None, start: int = 0) -> "pyarrow.Table":
    """Rows in units (B, width) as an Arrow table with the columns' types.

    Args:
        start: the number of rows before these, for identifiers.
    """
    import pyarrow

    generator = generator or torch.Generator().manual_seed(SEED)
    texts = text_columns(schema.types)
    arrays = [
        pyarrow.array([None if cell == column.missing else cell for cell in cells(column, part, generator, start)])
        if column.name in texts
        else _array(column, part, generator, start)
        for column, part in schema.cut(units.cpu())
    ]
    return of_source(pyarrow.Table.from_arrays(arrays, names=[column.name for column in schema.columns]), schema.types)


def cells(column: Column, units: Tensor, generator: torch.Generator, start: int = 0) -> Any:
    """The texts of a column's cells; identifiers go on from row `start`."""
    if isinstance(column, Identifier):
        return [column.cell(start + i) for i in range(len(units))]
    return column.text(units, generator)


def _array(column: Column, units: Tensor, generator: torch.Generator, start: int) -> "pyarrow.Array":
    import pyarrow

    if isinstance(column, Category | Fixed) or not isinstance(column, Numeric) or column.kind == "ordered":
        texts = cells(column, units, generator, start)
        if isinstance(column, Identifier) and column.plain and column.start < 2**62:
            return pyarrow.array(map(int, texts), pyarrow.int64())
        words = [None if text == column.missing else text for text in texts]
        labels = {str(word).lower() for word in getattr(column, "labels", ()) if word != column.missing}
        if column.kind == "boolean" and labels <= {"true", "false"}:
            return pyarrow.array(
                [word.lower() == "true" if word is not None else None for word in words], pyarrow.bool_()
            )
        return pyarrow.array(words, pyarrow.string())
    values = column.values(units).numpy()
    gone = np.isnan(values)
    if isinstance(column, DateTime):
        moments = np.where(gone, np.datetime64("NaT"), column.moments(np.nan_to_num(values)))
        kind = pyarrow.date32() if column.unit == "D" else pyarrow.timestamp(column.unit, column.zone)
        return pyarrow.array(moments.astype(f"datetime64[{column.unit}]"), kind, mask=gone)
    if isinstance(column, Integer):
        return pyarrow.array(np.nan_to_num(values).astype(np.int64), pyarrow.int64(), mask=gone)
    return pyarrow.array(values, pyarrow.float64(), mask=gone)
