"""Rows from outside as a trained model's columns read them: tables to score, to encode or to fill in."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from genlab.data.columns.base import Column
from genlab.data.columns.category import Category
from genlab.data.columns.moment import DateTime
from genlab.data.columns.ordered import Ordered
from genlab.data.columns.schema import Schema
from genlab.data.files import quoted, several
from genlab.data.frames import moments
from genlab.data.frames.kinds import MISSING, Cells, Refusal, is_text, typed
from genlab.data.frames.read import Frame
from genlab.errors import UserError, did_you_mean

if TYPE_CHECKING:
    import pyarrow


def units(schema: Schema, frame: Frame, partly: bool = False) -> tuple[Tensor, Tensor]:
    """The rows of a frame in units, (N, width), and which cells are known, (N, columns) bool.

    Columns that the schema does not have are ignored.

    Args:
        partly: whether columns may be absent, and cells empty although the training data had none missing.

    Raises:
        UserError: a column is absent, or has cells that its kind cannot read.
    """
    names, missing = frame.table.column_names, schema.missing or MISSING
    needed = [column.name for column in schema.columns if column.width]
    if (absent := [name for name in needed if name not in names]) and not partly:
        raise UserError(f"{frame.name}: lacks the columns {quoted(absent)}{did_you_mean(absent[0], names)}")
    rows, parts, known = frame.table.num_rows, [], []
    for column in schema.columns:
        values = np.full(rows, np.nan)
        if column.width and column.name in names:
            try:
                values = read(column, frame.table.column(column.name), missing)
            except Refusal as error:
                raise UserError(f"{frame.name}: column '{column.name}' {error}") from error
        empty = np.isnan(values)
        if empty.any() and column.width and column.missing is None and not partly:
            raise UserError(f"{frame.name}: column '{column.name}' lacks a value in {frame.line(int(empty.argmax()))}")
        known.append(~empty if column.width else np.ones(rows, bool))
        parts.append(column.units(_complete(column, values)))
    return torch.cat(parts, dim=1), torch.from_numpy(np.stack(known, axis=1))


def _complete(column: Column, values: np.ndarray) -> np.ndarray:
    """Values (N,) that `Column.units` takes: NaN only where the column has missing values."""
    if isinstance(column, Category):
        gone = max(int(column.index([column.missing])[0]), 0) if column.missing is not None else 0
        return np.nan_to_num(values, nan=gone)
    return values if column.missing is not None else np.nan_to_num(values, nan=getattr(column, "middle", 0.0))


def read(column: Column, cells: "pyarrow.ChunkedArray", missing: Sequence[str]) -> np.ndarray:
    """The values (N,) of a column's cells, NaN where one is missing.

    Raises:
        Refusal: a cell is of another kind.
    """
    import pyarrow

    if pyarrow.types.is_null(cells.type):
        return np.full(len(cells), np.nan)
    text = is_text(cells.type)
    if text and not Cells.of(cells, missing).texts:
        return np.full(len(cells), np.nan)
    if isinstance(column, Category):
        own = Cells.of(cells.cast(pyarrow.string()), missing)
        texts = own.texts
        if pyarrow.types.is_boolean(cells.type):  # Arrow writes true where the source has True, say
            spelled = {word.lower(): word for word in column.words}
            texts = [spelled.get(cell, cell) for cell in texts]
        places = column.index(texts).astype(float)
        if column.rare:  # words of no training row count as rare, as they do in the table's own held-out rows
            places[places < 0] = len(column.words)
        if (places < 0).any():
            bad = [cell for cell, place in zip(texts, places, strict=True) if place < 0]
            words = [*column.words, *column.rare]
            raise Refusal(f"has no word {quoted(bad)}; its words are {several(words, 12)}{did_you_mean(bad[0], words)}")
        return own.spread(places)
    if isinstance(column, DateTime) and text:
        own = Cells.of(cells, missing)
        found = moments.parse(own.texts, column.pattern)
        if found is None:
            raise Refusal(f"is not written like {column.pattern} throughout, as in '{own.texts[0]}'")
        return own.spread(found.values)
    asked: Any = list(column.words) if isinstance(column, Ordered) else column.kind
    found = typed(column.name, cells, None if isinstance(column, DateTime) else asked, missing)
    if isinstance(column, DateTime) and found.options.get("unit") != column.unit:
        moments_ = found.values.astype(f"datetime64[{found.options['unit']}]")
        return moments_.astype(f"datetime64[{column.unit}]").astype(np.int64).astype(float)
    return found.values
