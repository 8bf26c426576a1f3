"""`genlab sample run=RUN fill=FILE`: the empty cells of a table, drawn given the others of their row."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import torch

from genlab.data.columns.category import Category
from genlab.data.columns.schema import Schema
from genlab.data.frames import given, read
from genlab.data.frames.write import SEED, arrow, cells, opened
from genlab.errors import UserError
from genlab.runs.folder import Run

CHUNK = 20_000  # rows that are completed at a time
TRIES = 50  # that a missing word is drawn again


def fill(model: Any, source: str, target: Run) -> str:
    """Writes a table with its empty cells filled in; returns a line about it.

    Cells that are not empty and columns that the model does not know are kept as they are. Columns of the model that
    the file lacks are added.

    Raises:
        UserError: the model cannot do it, the file cannot be read, or the folder cannot be written.
    """
    if model.spec.table is None:
        raise UserError("fill: this model was not trained on a table (data=table)")
    if not hasattr(model, "complete"):
        raise UserError(f"fill: a {type(model).__name__} cannot draw cells given others; train model=autoregressive")
    schema: Schema = model.spec.table
    frame = read.read(source, header=schema.header)
    if not {column.name for column in schema.columns} & set(frame.table.column_names):
        raise UserError(f"fill: {frame.name} has none of the columns that this model knows")
    units, known = given.units(schema, frame, partly=True)
    fields = torch.tensor([i for i, column in enumerate(schema.columns) for _ in column.fields])
    drawn = []
    for part, seen in zip(units.split(CHUNK), known[:, fields].split(CHUNK), strict=True):
        x = model.spec.from_units(part).to(model.device)
        drawn.append(_filled(model, schema, x, seen.to(model.device)).cpu())
    path = target.folder / f"filled{frame.suffix or '.csv'}"
    try:
        target.folder.mkdir(parents=True, exist_ok=True)
        _write(path, schema, frame, torch.cat(drawn), known)
    except OSError as error:
        raise UserError(f"cannot write {error.filename or path}: {error.strerror}") from error
    learnt = torch.tensor([bool(column.width) for column in schema.columns])
    count, rows = int((~known[:, learnt]).sum()), int((~known[:, learnt]).any(1).sum())
    return f"{count:,} cells of {rows:,} rows filled in: {path}"


def _filled(model: Any, schema: Schema, x: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """Draws the unknown cells of rows x (B, width), none of them as missing; returns units (B, width)."""
    sizes = [field.size for field in schema.fields]
    flags = [i for i, field in enumerate(schema.fields) if field.labels == ("present", "missing")]
    parts, known = list(x.split(sizes, dim=1)), known.clone()
    for i in flags:  # an unknown number is present
        here = ~known[:, i]
        parts[i] = torch.where(here[:, None], torch.tensor([1.0, 0.0], device=x.device), parts[i])
        known[:, i] = True
    x = torch.cat(parts, dim=1)
    with torch.no_grad():
        units = model.spec.decode(model.complete(x, known))
        for _ in range(TRIES):  # a missing word is drawn again
            gone = torch.zeros(len(x), dtype=torch.bool, device=x.device)
            place = 0
            for column, part in schema.cut(units):
                if isinstance(column, Category) and column.missing in column.labels:
                    gone |= ~known[:, place] & (part.argmax(1) == column.labels.index(column.missing))
                place += len(column.fields)
            if not gone.any():
                break
            units[gone] = model.spec.decode(model.complete(x[gone], known[gone]))
    return units


def _write(path: Path, schema: Schema, frame: read.Frame, units: torch.Tensor, known: torch.Tensor) -> None:
    """Writes the frame's own columns, its empty cells replaced, and those that it lacks."""
    own = {name: frame.table.column(name) for name in frame.table.column_names}
    if path.suffix == ".parquet":
        import pyarrow
        import pyarrow.parquet

        made = arrow(schema, units)
        for column, seen in zip(schema.columns, known.numpy().T, strict=True):
            if column.width:
                cell = made.column(column.name)
                if column.name in own:
                    kept = own[column.name].cast(cell.type, safe=False)
                    cell = pyarrow.compute.if_else(pyarrow.array(seen), kept, cell)  # type: ignore[attr-defined]
                own[column.name] = cell
        pyarrow.parquet.write_table(pyarrow.table(own), path)
        return
    texts: dict[str, list[Any]] = {name: column.to_pylist() for name, column in own.items()}
    generator = torch.Generator().manual_seed(SEED)
    for (column, part), seen in zip(schema.cut(units), known.numpy().T, strict=True):
        if column.width:
            made = np.array(cells(column, part, generator), dtype=object)
            before = np.array(texts.get(column.name, made), dtype=object)
            texts[column.name] = np.where(seen, before, made).tolist()
    with opened(path, frame.encoding) as file:
        writer = csv.writer(file, delimiter=frame.delimiter, lineterminator="\n")
        if frame.header:
            writer.writerow(texts)
        writer.writerows(zip(*texts.values(), strict=True))
