"""What a model learns of a table: which columns, of which kinds, fitted on the training rows."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch import Tensor
from tqdm import tqdm

from genlab.data.columns import kinds
from genlab.data.columns.base import Column
from genlab.data.columns.schema import Schema
from genlab.data.files import note, pasted, several
from genlab.data.frames.kinds import Refusal, Typed, check_types, typed
from genlab.data.frames.read import Frame, check_names
from genlab.data.tables import INDEX
from genlab.errors import UserError, brief, choose


def select(frame: Frame, columns: Sequence[str] | None, exclude: Sequence[str], label: str | None) -> list[str]:
    """The names of the columns to learn, in the file's order.

    Raises:
        UserError: a column that does not exist, two of one name, or none is left.
    """
    names = frame.table.column_names
    check_names(frame.name, names)
    for option, given in (("columns", columns or ()), ("exclude", exclude), ("label", [label] if label else ())):
        for name in given:
            choose(f"data.{option}", str(name), names)
    chosen = [name for name in names if columns is None or name in columns]
    index = [name for name in chosen if INDEX.fullmatch(name)] if columns is None else []
    if index:
        note(f"{frame.name}: left out: {several(index)}, an index of the rows; data.columns=[...] keeps it")
    chosen = [name for name in chosen if name not in {*index, *exclude}]
    if label is not None and label not in chosen:
        raise UserError(f"data.label: column '{label}' is left out by data.columns or data.exclude")
    if not chosen:
        raise UserError(f"{frame.name}: no column is left to learn; its columns are {several(names, 20)}")
    if not frame.table.num_rows:
        raise UserError(f"{frame.name} has no rows")
    return chosen


def mapping(types: Mapping[str, Any] | str | None) -> Mapping[str, Any]:
    """What data.types says: a mapping, or one in YAML, in which a pattern of dates needs no quotes.

    Raises:
        UserError: it is no mapping.
    """
    if isinstance(types, str):
        try:
            types = yaml.load(re.sub(r"([{,][^:,]+:\s*)(%[^,}\]]*)", r"\1'\2'", types), yaml.BaseLoader)
        except yaml.YAMLError as error:
            raise UserError(f"data.types: {brief(error)}; write {{NAME: KIND, NAME: KIND}}") from error
    if not isinstance(types or {}, Mapping):
        raise UserError(f"data.types: {types!r} is not a mapping; write {{NAME: KIND, NAME: KIND}}")
    return types or {}  # type: ignore[return-value]


def read_columns(
    frame: Frame, names: Sequence[str], types: Mapping[str, Any], missing: Sequence[str], work: Path | None = None
) -> list[Typed]:
    """Reads the cells of all columns.

    Args:
        work: a folder for the values of a large table, which are then mapped into memory.

    Raises:
        UserError: some cannot be learnt: all of them in one message, with a line to paste.
    """
    check_types(types, frame.table.column_names)
    found, refused = [], {}
    for name in tqdm(names, f"columns of {frame.name}", disable=None if work else True):
        try:
            column = typed(name, frame.table.column(name), types.get(name), missing)
        except Refusal as error:
            refused[name] = error.at(frame)
            continue
        if work is not None:
            file = work / f"{len(found)}.npy"
            np.save(file, column.values)
            column = column._replace(values=np.load(file, mmap_mode="c"))
        found.append(column)
    if refused:
        reasons = [f"column '{name}' {why}" for name, why in refused.items()]
        raise UserError(
            f"{frame.name}: {several(reasons, 5, '; ', 'column')}; to leave out: "
            f'"data.exclude=[{",".join(map(pasted, refused))}]"'
        )
    return found


def classes(frame: Frame, found: Sequence[Typed], label: str | None) -> tuple[Tensor | None, tuple[str, ...]]:
    """The class of each row (N,) and the names of the classes, of a label of words; None and () otherwise."""
    column = next((each for each in found if each.name == label), None)
    if column is None or column.kind not in ("category", "boolean", "ordered"):
        return None, ()
    words = (
        (*column.words, column.missing)
        if np.isnan(column.values).any() and column.missing is not None
        else column.words
    )
    y = torch.from_numpy(np.nan_to_num(column.values, nan=len(column.words)).astype(np.int64))
    rarest = y.bincount(minlength=len(words))
    if (rarest == 0).any() or len(words) < 2:
        raise UserError(f"data.label: column '{label}' of {frame.name} has one value only")
    return y, words


def fit(column: Typed, train: np.ndarray, encoding: str, rare: int, most: int) -> Column:
    """Makes a column from its values in the training rows `train` (N,)."""
    kind = kinds.KINDS[column.kind]
    values = column.values[train]
    known = values[~np.isnan(values)]
    if column.kind == "constant" or (not len(known) and column.kind != "id"):
        kept = column.words[0] if column.words and (len(known) or column.missing is None) else column.missing or ""
        return kinds.Constant(column.name, kept, column.missing)
    if column.kind == "id":
        return kinds.Identifier(column.name, missing=column.missing, **column.options)
    if column.kind in ("category", "boolean"):
        words = column.words if column.missing is None else (*column.words, column.missing)
        counts = np.bincount(np.nan_to_num(values, nan=len(column.words)).astype(np.int64), minlength=len(words))
        return kind.fit(column.name, words, counts, rare, most, missing=column.missing)
    options = dict(column.options)
    if column.kind == "ordered":
        options["words"] = column.words
    return kind(column.name, **kind.arguments(known, encoding), missing=column.missing, **options)


def check_condition(table: Schema) -> None:
    """Checks that the given columns vary, and that others are left to learn.

    Raises:
        UserError: they do not, or none is.
    """
    learnt = [column.name for column in table.columns if column.width]
    for name in table.given:
        choose("data.condition", name, learnt)
    if table.given and set(table.given) >= set(learnt):
        raise UserError("data.condition: no column is left to learn")


def check_constraints(frame: Frame, table: Schema, found: Sequence[Typed]) -> None:
    """Checks that all rows fulfil the constraints.

    Raises:
        UserError: some do not; the message names the first by its line.
    """
    values = {column.name: torch.from_numpy(np.asarray(column.values, dtype=np.float64)) for column in found}
    for constraint in table.constraints:
        good = constraint.holds(values)
        if not good.all():
            first = int((~good).nonzero()[0])
            raise UserError(
                f"data.constraints: '{constraint.text}' does not hold in {int((~good).sum()):,} of {len(good):,} rows "
                f"of {frame.name}, first in {frame.line(first)}"
            )


def content(found: Sequence[Typed]) -> str:
    """A fingerprint of all cells."""
    hashed = hashlib.sha256()
    for column in found:
        hashed.update(repr((column.name, column.kind, column.words, column.missing)).encode())
        hashed.update(np.ascontiguousarray(column.values).tobytes())
    return hashed.hexdigest()


def overview(frame: Frame, found: Sequence[Typed], table: Schema, sizes: Sequence[int]) -> list[str]:
    """The table that is printed at the start: a line for each column."""
    n = frame.table.num_rows
    lines = [f"{frame.name}: {n:,} rows, {len(table.columns)} columns; data.types={{NAME: KIND}} overrides a kind"]
    width = min(max(len(column.name) for column in table.columns), 30)
    for column, read_ in zip(table.columns, found, strict=True):
        gone = int(np.isnan(read_.values).sum())
        lost = f"; missing in {100 * gone / n:.1f} %" if gone and column.fields else ""
        lost += f", as '{column.missing}'" if lost and column.missing else ""
        more = f"; {read_.note}" if read_.note else ""
        lines.append(f"  {column.name:<{width}}  {column.description()}{lost}{more}")
    return lines
