"""Tables of typed columns: categories, numbers, dates, missing cells; the columns are guessed and can be overridden.

Every column is encoded for a model and decoded exactly, see `genlab.data.columns`. What each column holds is printed at
the start.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import yaml
from torch import Tensor

from genlab.data.base import Dataset, Split, digest, mix
from genlab.data.columns import kinds
from genlab.data.columns.base import Column
from genlab.data.columns.category import Category
from genlab.data.columns.codes import CODES
from genlab.data.columns.schema import CHUNK, Schema
from genlab.data.files import note, pasted, several
from genlab.data.frames import read
from genlab.data.frames.kinds import MISSING, Refusal, Typed, check_types, typed
from genlab.data.splits import cut, plan
from genlab.data.tables import INDEX
from genlab.errors import UserError, brief, choose

NOISE = 0x7AB1E  # separates the random numbers that spread repeated values from those of training


class Table(Dataset):
    """A table of your own with columns of any types: data.path=FILE, .csv, .csv.gz, .tsv or .parquet.

    Rows are held out pseudo-randomly, the same ones in every run; with a label of categories class by class.

    Args:
        path: the file, or a frame of pandas, polars or Arrow.
        label: the column that is to be predicted from the others; it stays among the columns. Of a column of words, its
            words are the classes of conditional models.
        columns: those to learn; None: all but `exclude` and an index that pandas wrote.
        exclude: columns to leave out.
        types: kinds of columns by name, in the place of what is guessed: real, integer, category, boolean, datetime,
            date, ordered, constant, id, a pattern of dates such as "%d.%m.%y", or a list of words in their order; or
            such a mapping as YAML.
        missing: the texts that stand for a missing value; None: "", NA, N/A, NaN, null and ?.
        numeric: how a model sees numbers: "quantile" (normal scores), "standard", "modes" (of a mixture of normals), or
            "auto": quantile.
        rare: words that fewer training rows have share one channel; None: one in 5,000 rows, 10 at most.
        most: at most so many words of a column have a channel of their own.
        header: whether the first line of a text file has the names of the columns.
        delimiter: between cells; None: comma, semicolon, tab or bar, whichever fits.
        constraints: between the numbers of a row: "start < end", "total == a + b", "`unit price` > 0". Samples that do
            not fulfil them are drawn again; a column that an == defines is computed from the others.
        other: a second table of the same columns, for models of two domains. The columns are fitted on both.
        condition: columns that models are given instead of learning them: p(other columns | these).
        validation, test: shares of the rows, at least one each.

    Raises:
        UserError: the file cannot be read, an option does not fit it, or columns cannot be learnt: all of them in one
            message, with the option that leaves them out.
    """

    reads_other = True

    def __init__(
        self,
        path: Any,
        label: str | None = None,
        columns: Sequence[str] | None = None,
        exclude: Sequence[str] | None = None,
        types: Mapping[str, Any] | str | None = None,
        missing: Sequence[str] | None = None,
        numeric: str = "auto",
        rare: int | None = None,
        most: int = 100,
        header: bool = True,
        delimiter: str | None = None,
        constraints: Sequence[str] = (),
        condition: Sequence[str] | None = None,
        other: Any = None,
        validation: float = 0.1,
        test: float = 0.1,
    ) -> None:
        choose("data.numeric", numeric, ("auto", *CODES))
        encoding = "quantile" if numeric == "auto" else numeric
        frame = read.read(path, delimiter, header)
        rows = frame.table.num_rows  # of the first table
        if other is not None:
            frame = joined(frame, read.read(other, delimiter, header))
        names = select(frame, columns, exclude or (), label)
        found = read_columns(frame, names, mapping(types), MISSING if missing is None else [str(m) for m in missing])
        y, labels = classes(frame, found, label)
        places, sizes = plan(frame.table.num_rows, y, validation, test)
        order = places.numpy()
        rare = min(10, sizes[0] // 5000) if rare is None else rare
        fitted = [fit(column, order[: sizes[0]], encoding, rare, most) for column in found]
        table = Schema(
            fitted,
            frame.suffix,
            frame.delimiter,
            frame.encoding,
            label or "",
            frame.header,
            constraints or (),
            missing or (),
            condition or (),
        )
        check_condition(table)
        check_constraints(frame, table, found)
        if not table.width:
            raise UserError(f"{frame.name}: no column is left to learn: all are constants or identifiers")
        x = encode(table, found, order)
        what = (content(found), sizes, encoding, rare, most, label)  # not the schema: it gains entries with time
        y = None if y is None else y[places]
        splits, fingerprint = cut(x, y, sizes), digest(*what)
        self.other: Dataset | None = None
        if other is not None:
            splits, second = parted(splits, places < rows, sizes)
            self.other = Dataset(f"{other}", second, "real", len(labels), labels, digest(*what, "other"), table=table)
        super().__init__(frame.name, splits, "real", len(labels), labels, fingerprint, table=table)
        self.notes = overview(frame, found, table, sizes)


def joined(first: read.Frame, second: read.Frame) -> read.Frame:
    """Puts the rows of a second table below those of the first.

    Raises:
        UserError: it lacks columns of the first, or has others in their place.
    """
    import pyarrow

    names, own = first.table.column_names, second.table.column_names
    if set(names) != set(own):
        odd = sorted(set(names) ^ set(own))
        raise UserError(
            f"data.other: {first.name} and {second.name} must have the same columns; only one has '{odd[0]}'"
        )
    try:
        both = pyarrow.concat_tables([first.table, second.table.select(names)], promote_options="permissive")
    except pyarrow.ArrowException as error:
        raise UserError(f"data.other: {second.name} has columns of other types: {brief(error)}") from error
    return first._replace(table=both)


def parted(
    splits: Mapping[str, Split], first: Tensor, sizes: Sequence[int]
) -> tuple[dict[str, Split], dict[str, Split]]:
    """Parts the rows of all splits into those of the first table, (N,) bool in their order, and the others.

    Raises:
        UserError: a table has no rows in one of the splits.
    """
    sides: tuple[dict[str, Split], dict[str, Split]] = ({}, {})
    for (name, split), mine in zip(splits.items(), first.split(list(sizes)), strict=True):
        for side, rows in zip(sides, (mine, ~mine), strict=True):
            if not rows.any():
                raise UserError(f"data.other: one of the tables has too few rows for the {name} split")
            side[name] = Split(split.x[rows], None if split.y is None else split.y[rows])
    return sides


def select(frame: read.Frame, columns: Sequence[str] | None, exclude: Sequence[str], label: str | None) -> list[str]:
    """The names of the columns to learn, in the file's order.

    Raises:
        UserError: a column that does not exist, two of one name, or none is left.
    """
    names = frame.table.column_names
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(f"{frame.name}: two columns are called {several([repr(n) for n in repeated])}; rename one")
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
    frame: read.Frame, names: Sequence[str], types: Mapping[str, Any], missing: Sequence[str]
) -> list[Typed]:
    """Reads the cells of all columns.

    Raises:
        UserError: some cannot be learnt: all of them in one message, with a line to paste.
    """
    check_types(types, frame.table.column_names)
    found, refused = [], {}
    for name in names:
        try:
            found.append(typed(name, frame.table.column(name), types.get(name), missing))
        except Refusal as error:
            refused[name] = str(error)
    if refused:
        reasons = [f"column '{name}' {why}" for name, why in refused.items()]
        raise UserError(
            f"{frame.name}: {several(reasons, 5, '; ', 'column')}; to leave out: "
            f'"data.exclude=[{",".join(map(pasted, refused))}]"'
        )
    return found


def classes(frame: read.Frame, found: Sequence[Typed], label: str | None) -> tuple[Tensor | None, tuple[str, ...]]:
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
        numbers = column.values[~np.isnan(column.values)]
        return kinds.Identifier(
            column.name, int(numbers.min()) if len(numbers) and column.words == () and numbers.min() < 2**62 else 1
        )
    if column.kind in ("category", "boolean"):
        words = column.words if column.missing is None else (*column.words, column.missing)
        counts = np.bincount(np.nan_to_num(values, nan=len(column.words)).astype(np.int64), minlength=len(words))
        return kind.fit(column.name, words, counts, rare, most, missing=column.missing)
    options = dict(column.options)
    if column.kind == "ordered":
        options["words"] = column.words
    return kind(column.name, **kind.arguments(known, encoding), missing=column.missing, **options)


def check_constraints(frame: read.Frame, table: Schema, found: Sequence[Typed]) -> None:
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


def encode(table: Schema, found: Sequence[Typed], order: np.ndarray) -> Tensor:
    """The rows in this order, packed: (N, fields) float32."""
    x = torch.empty(len(order), len(table.fields))
    generator = torch.Generator().manual_seed(mix(NOISE))
    for start in range(0, len(order), CHUNK):
        part = order[start : start + CHUNK]
        encoded = []
        for column, read_ in zip(table.columns, found, strict=True):
            units = column.units(numbers(column, read_, part))
            encoded.append(column.encode(units, torch.rand(len(part), 2, generator=generator, dtype=torch.float64)))
        x[start : start + len(part)] = table.pack(torch.cat(encoded, dim=1))
    return x


def numbers(column: Column, read_: Typed, part: np.ndarray) -> np.ndarray:
    """The values of rows `part` (N,) as `Column.units` takes them."""
    values = read_.values[part]
    if not isinstance(column, Category):
        return values
    words = read_.words if read_.missing is None else (*read_.words, read_.missing)
    channels = column.index(words)
    channels[channels < 0] = column.width - 1 if column.rare else 0
    return channels[np.nan_to_num(values, nan=len(read_.words)).astype(np.int64)]


def content(found: Sequence[Typed]) -> str:
    """A fingerprint of all cells."""
    hashed = hashlib.sha256()
    for column in found:
        hashed.update(repr((column.name, column.kind, column.words, column.missing)).encode())
        hashed.update(np.ascontiguousarray(column.values).tobytes())
    return hashed.hexdigest()


def overview(frame: read.Frame, found: Sequence[Typed], table: Schema, sizes: Sequence[int]) -> list[str]:
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
