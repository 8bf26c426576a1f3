"""`genlab sample run=RUN fill=FILE`: the empty cells of a table, drawn given the others of their row."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import torch

from genlab.data.columns.category import Category
from genlab.data.columns.numeric import FLAG
from genlab.data.columns.schema import Schema
from genlab.data.files import quoted
from genlab.data.frames import given, read
from genlab.data.frames.write import SEED, arrow, cells, opened
from genlab.errors import UserError, did_you_mean
from genlab.runs.folder import Run

CHUNK = 20_000  # rows that are completed at a time
TRIES = 50  # that a missing cell is drawn again


def fill(model: Any, source: str, target: Run) -> str:
    """Writes a table with its empty cells filled in; returns a line about it.

    Cells that are not empty and columns that the model does not know are kept as they are. Columns of the model that
    the file lacks are added.

    Raises:
        UserError: the model cannot do it, the file cannot be read, or the folder cannot be written.
    """
    if model.spec.table is None:
        raise UserError("fill: this model was not trained on a table (data=table)")
    if not (model.completes_any or model.given):
        raise UserError(f"fill: a {type(model).__name__} cannot draw cells given others; train model=autoregressive")
    schema: Schema = model.spec.table
    frame = read.read(source, header=schema.header, option="fill")
    read.check_names(frame.name, frame.table.column_names)
    if not {column.name for column in schema.columns} & set(frame.table.column_names):
        raise UserError(f"fill: {frame.name} has none of the columns that this model knows")
    if not frame.table.num_rows:
        raise UserError(f"fill: {frame.name} has no rows")
    units, known = given.units(schema, frame, partly=True, strange=True)
    full = given.filled(schema, frame)
    beyond = given.outside(schema, units, known, frame.line)
    lines = [*_unused(schema, frame), *(f"fill: {frame.name}: {text}; the model sees the nearest" for text in beyond)]
    lines += _strange(schema, known, full)
    known = _usable(model, schema, frame, known)
    fields = torch.tensor([i for i, column in enumerate(schema.columns) for _ in column.fields])
    drawn = []
    for part, seen in zip(units.split(CHUNK), known[:, fields].split(CHUNK), strict=True):
        x = model.spec.from_units(part).to(model.device)
        drawn.append(_filled(model, schema, x, seen.to(model.device)).cpu())
    path = target.folder / f"filled{frame.suffix or '.csv'}"
    try:
        target.folder.mkdir(parents=True, exist_ok=True)
        _write(path, schema, frame, torch.cat(drawn), full)
    except OSError as error:
        raise UserError(f"cannot write {error.filename or path}: {error.strerror}") from error
    learnt = torch.tensor([bool(column.width) for column in schema.columns])
    count, rows = int((~full[:, learnt]).sum()), int((~full[:, learnt]).any(1).sum())
    if schema.constraints and (bad := ~schema.holds(torch.cat(drawn))).any():
        lines.append(
            f"fill: {int(bad.sum()):,} rows do not fulfil data.constraints with the cells that they have, first in "
            f"{frame.line(int(bad.nonzero()[0]))}"
        )
    return "\n".join([*lines, f"{count:,} cells of {rows:,} rows filled in: {path}"])


def _unused(schema: Schema, frame: read.Frame) -> list[str]:
    """A line for each column that the model does not know but that may be a misspelt one."""
    known = [column.name for column in schema.columns]
    lacking = [name for name in known if name not in frame.table.column_names]
    odd = [name for name in frame.table.column_names if name not in known]
    near = {name: hint for name in odd if (hint := did_you_mean(name, lacking))}
    return [f"fill: {frame.name}: column '{name}' is kept, but the model has none{near[name]}" for name in near]


def _strange(schema: Schema, known: torch.Tensor, full: torch.Tensor) -> list[str]:
    """A line for each column with words of no training row."""
    counts = (full & ~known).sum(0).tolist()
    columns = zip(schema.columns, counts, strict=True)
    return [f"fill: {n:,} cells of '{c.name}' have words of no training row; they are kept" for c, n in columns if n]


def _usable(model: Any, schema: Schema, frame: read.Frame, known: torch.Tensor) -> torch.Tensor:
    """Which cells (N, columns) the model can be given, of those that are known.

    Raises:
        UserError: a column of data.condition has an empty cell, or the model takes no others and some are filled.
    """
    given_columns = torch.tensor([column.name in schema.given for column in schema.columns])
    for i in given_columns.nonzero()[:, 0].tolist():
        if not known[:, i].all():
            place = frame.line(int((~known[:, i]).nonzero()[0]))
            name = schema.columns[i].name
            raise UserError(f"fill: {frame.name}: column '{name}' is empty in {place}; the model must be given it")
    if model.completes_any:
        return known
    learnt = torch.tensor([bool(column.width) for column in schema.columns]) & ~given_columns
    if extra := (known & learnt).any(0).nonzero()[:, 0].tolist():
        names = quoted([schema.columns[i].name for i in extra])
        raise UserError(
            f"fill: {frame.name}: a {type(model).__name__} can be given {quoted(schema.given)} only; empty {names}, or "
            f"train model=autoregressive"
        )
    return known


def _filled(model: Any, schema: Schema, x: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """Draws the unknown cells of rows x (B, width), none of them as missing; returns units (B, width).

    Args:
        known: (B, fields), which are known.
    """
    sizes = torch.tensor([field.size for field in schema.fields], device=x.device)
    unknown = ~known.repeat_interleave(sizes, dim=1)
    missing = _missing(schema).to(x.device)
    if model.completes_any:  # an unknown number is present: its flag is known
        flags = torch.tensor([field.labels == FLAG for field in schema.fields], device=x.device)
        present = (flags & ~known).repeat_interleave(sizes, dim=1)
        x = torch.where(present, (~missing).to(x), x)
        known = known | flags
    given_channels = known.repeat_interleave(sizes, dim=1)

    def drawn(rows: torch.Tensor) -> torch.Tensor:
        """Draws rows once, and computes the unknown cells that constraints define."""
        units = model.spec.decode(model.complete(x[rows], given_channels[rows]))
        return torch.where(unknown[rows], schema.fulfil(units)[0], units) if schema.constraints else units

    with torch.no_grad():
        units = drawn(torch.ones(len(x), dtype=torch.bool, device=x.device))
        for _ in range(TRIES):  # what was drawn as missing, or against the constraints, is drawn again
            bad = ((units > 0.5) & missing & unknown).any(1)
            if schema.constraints:
                bad |= ~schema.holds(units) & unknown.any(1)
            if not bad.any():
                break
            units[bad] = drawn(bad)
    return units


def _missing(schema: Schema) -> torch.Tensor:
    """Which channels stand for a missing cell: (width,) bool."""
    found = []
    for column in schema.columns:
        for field in column.fields:
            words = [column.missing] if isinstance(column, Category) else [FLAG[1]] if field.labels == FLAG else []
            found += [label in words for label in field.labels] if field.kind == "category" else [False] * field.size
    return torch.tensor(found)


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
