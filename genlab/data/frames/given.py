"""Rows from outside as a trained model's columns read them: tables to score, to encode or to fill in."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from genlab.data.columns.base import Column
from genlab.data.columns.category import Category
from genlab.data.columns.moment import DateTime
from genlab.data.columns.numeric import Numeric, Real
from genlab.data.columns.ordered import Ordered
from genlab.data.columns.schema import Schema
from genlab.data.files import quoted, several
from genlab.data.frames import moments, numbers
from genlab.data.frames.kinds import MISSING, Cells, Refusal, is_text, typed
from genlab.data.frames.read import Frame, check_names
from genlab.errors import UserError, did_you_mean

if TYPE_CHECKING:
    import pyarrow


def units(schema: Schema, frame: Frame, partly: bool = False, strange: bool = False) -> tuple[Tensor, Tensor]:
    """The rows of a frame in units, (N, width), and which cells are known, (N, columns) bool.

    Columns that the schema does not have are ignored.

    Args:
        partly: whether columns may be absent, and cells empty although the training data had none missing.
        strange: whether words that no training row has are allowed; they are not known, and stand as the first word.

    Raises:
        UserError: a column is absent or there twice, or has cells that its kind cannot read.
    """
    check_names(frame.name, frame.table.column_names)
    names, missing = frame.table.column_names, schema.missing or MISSING
    needed = [column.name for column in schema.columns if column.width]
    if (absent := [name for name in needed if name not in names]) and not partly:
        raise UserError(f"{frame.name}: lacks the columns {quoted(absent)}{did_you_mean(absent[0], names)}")
    rows, parts, known = frame.table.num_rows, [], []
    for column in schema.columns:
        values = np.full(rows, np.nan)
        if column.width and column.name in names:
            try:
                values = read(column, frame.table.column(column.name), missing, strange)
            except Refusal as error:
                raise UserError(f"{frame.name}: column '{column.name}' {error.at(frame)}") from error
        empty = np.isnan(values)
        odd = strange and isinstance(column, Category)
        if empty.any() and column.width and column.missing is None and not partly and not odd:
            raise UserError(f"{frame.name}: column '{column.name}' lacks a value in {frame.line(int(empty.argmax()))}")
        known.append(~empty if column.width else np.ones(rows, bool))
        parts.append(column.units(_complete(column, values)))
    return torch.cat(parts, dim=1), torch.from_numpy(np.stack(known, axis=1))


def filled(schema: Schema, frame: Frame) -> Tensor:
    """Which cells of a frame hold anything: (N, columns) bool; those of absent columns hold nothing, if learnt."""
    import pyarrow

    names, missing, found = frame.table.column_names, schema.missing or MISSING, []
    for column in schema.columns:
        full = np.full(frame.table.num_rows, not column.width)
        if column.width and column.name in names:
            cells = frame.table.column(column.name)
            text = is_text(cells.type)
            full = Cells.of(cells, missing).place >= 0 if text else cells.is_valid().to_numpy()
            if pyarrow.types.is_floating(cells.type):
                full = full & ~np.isnan(cells.to_numpy().astype(np.float64))
        found.append(full)
    return torch.from_numpy(np.stack(found, axis=1))


def outside(schema: Schema, units: Tensor, known: Tensor, place: Callable[[int], str]) -> list[str]:
    """Describes the known numbers beyond those of training, a text for each column that has any.

    Args:
        units: (N, width).
        known: (N, columns) bool.
        place: describes a row: `line 7`.
    """
    found = []
    for (column, part), seen in zip(schema.cut(units), known.T, strict=True):
        if isinstance(column, Numeric):
            values = column.values(part)
            bad = seen & ((values < column.low) | (values > column.high))
            if bad.any():
                low, high = column.cells(np.array([column.low, column.high]))
                found.append(
                    f"column '{column.name}' has {int(bad.sum()):,} values outside of {low} to {high} as in training, "
                    f"first in {place(int(bad.nonzero()[0]))}"
                )
    return found


def _complete(column: Column, values: np.ndarray) -> np.ndarray:
    """Values (N,) that `Column.units` takes: NaN only where the column has missing values."""
    if isinstance(column, Category):
        gone = max(int(column.index([column.missing])[0]), 0) if column.missing is not None else 0
        return np.nan_to_num(values, nan=gone)
    return values if column.missing is not None else np.nan_to_num(values, nan=getattr(column, "middle", 0.0))


def read(column: Column, cells: "pyarrow.ChunkedArray", missing: Sequence[str], strange: bool = False) -> np.ndarray:
    """The values (N,) of a column's cells, NaN where one is missing.

    Args:
        strange: whether words that no training row has are allowed; they are NaN too.

    Raises:
        Refusal: a cell is of another kind.
    """
    import pyarrow

    if pyarrow.types.is_null(cells.type):
        return np.full(len(cells), np.nan)
    if pyarrow.types.is_nested(cells.type):
        raise Refusal(f"holds values of type {cells.type}")
    text = is_text(cells.type)
    if text and not Cells.of(cells, missing).texts:
        return np.full(len(cells), np.nan)
    if isinstance(column, Category):
        own = Cells.of(cells.cast(pyarrow.string()), missing)
        texts = own.texts
        if pyarrow.types.is_boolean(cells.type):  # Arrow writes true where the source has True, say
            spelled = {word.lower(): word for word in column.words}
            texts = [spelled.get(cell, cell) for cell in texts]
        elif column.kind == "boolean":
            spelled = {word.lower(): word for word in column.words}
            texts = [cell if cell in column.words else spelled.get(cell.lower(), cell) for cell in texts]
        places = column.index(texts).astype(float)
        if column.rare:  # words of no training row count as rare, as they do in the table's own held-out rows
            places[places < 0] = len(column.words)
        if strange:
            places[places < 0] = np.nan
        elif (places < 0).any():
            bad = [cell for cell, place in zip(texts, places, strict=True) if place < 0]
            words = [*column.words, *column.rare]
            raise Refusal(f"has no word {quoted(bad)}; its words are {several(words, 12)}{did_you_mean(bad[0], words)}")
        return own.spread(places)
    if isinstance(column, DateTime) and text:
        own = Cells.of(cells, missing)
        found = moments.parse(own.texts, column.pattern)
        if found is None:
            bad = next(cell for cell in own.texts if moments.parse([cell], column.pattern) is None)
            raise Refusal(f"is written like {column.pattern}; {{place}} holds '{bad}'", own.row(bad))
        return own.spread(_in_unit(found.values, found.unit, column.unit))
    if isinstance(column, Real) and text and not isinstance(column, DateTime | Ordered):
        own = Cells.of(cells, missing)
        style = numbers.Style(column.point, column.group, column.prefix, column.suffix)
        if (known := numbers.parse_as(own.texts, style)) is not None:
            odd = known.values != np.round(known.values)  # 796.0 is whole: pandas writes integers beside gaps so
            if column.kind == "integer" and odd.any():
                bad = own.texts[int(odd.argmax())]
                raise Refusal(f"is a column of whole numbers; {{place}} holds '{bad}'", own.row(bad))
            return own.spread(known.values)
        if column.prefix or column.suffix or column.point != "." or column.group:
            bad = next(cell for cell in own.texts if numbers.parse_as([cell], style) is None)
            like = column.cells(np.array([column.high]))[0]
            raise Refusal(f"is written like {like}; {{place}} holds '{bad}'", own.row(bad))
    asked: Any = list(column.words) if isinstance(column, Ordered) else column.kind
    found = typed(column.name, cells, None if isinstance(column, DateTime) else asked, missing)
    if not isinstance(column, DateTime):
        return found.values
    if found.kind not in ("date", "datetime"):
        raise Refusal(f"holds {found.kind} values, not dates")
    return _in_unit(found.values, found.options["unit"], column.unit)


def _in_unit(values: np.ndarray, unit: str, other: str) -> np.ndarray:
    """Moments (N,) counted in one unit, counted in another, NaN where missing."""
    if unit == other:
        return values
    gone = np.isnan(values)
    moments_ = np.nan_to_num(values).astype(np.int64).astype(f"datetime64[{unit}]").astype(f"datetime64[{other}]")
    return np.where(gone, np.nan, moments_.astype(np.int64).astype(float))
