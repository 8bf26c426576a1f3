"""Tables of typed columns: categories, numbers, dates, missing cells; the columns are guessed and can be overridden.

Every column is encoded for a model and decoded exactly, see `genlab.data.columns`. What each column holds is printed at
the start. Large files are encoded once and then mapped into memory, see `table_cache`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genlab.data.base import Dataset, Split, digest
from genlab.data.columns.codes import CODES
from genlab.data.columns.schema import Schema
from genlab.data.files import find
from genlab.data.frames import learn, read
from genlab.data.frames.kinds import MISSING
from genlab.data.frames.types import types_of
from genlab.data.splits import cut, plan
from genlab.data.table_cache import LARGE, ROWS, Made, cached
from genlab.data.table_rows import encode, encode_to
from genlab.errors import UserError, brief, choose, within


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
        numeric: how a model sees numbers: "quantile" (normal scores), "standard", "minmax", "modes" (of a mixture of
            normals), or "auto": quantile.
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
        within("data.most", most, 1)
        within("data.rare", 0 if rare is None else rare, 0)
        asked = learn.mapping(types).items()
        options = {
            "label": label,
            "columns": columns and list(map(str, columns)),
            "exclude": exclude and list(map(str, exclude)),
            "types": {str(n): list(kind) if isinstance(kind, list | tuple) else kind for n, kind in asked},
            "missing": missing and list(map(str, missing)),
            "numeric": "quantile" if numeric == "auto" else numeric,
            "rare": rare,
            "most": most,
            "header": header,
            "delimiter": delimiter,
            "constraints": list(constraints or ()),
            "condition": list(condition or ()),
            "validation": validation,
            "test": test,
        }
        made = None
        if other is None and isinstance(path, str | Path) and (file := find(str(path), "file")).stat().st_size >= LARGE:
            made = cached(file, options, lambda work: make(file, work=work, **options))
        made = make(path, other, **options) if made is None else made
        splits = cut(made.x, made.y, made.sizes)
        self.other: Dataset | None = None
        classes, labels, schema = len(made.labels), made.labels, made.schema
        if other is not None and made.places is not None:
            splits, second = parted(splits, made.places < made.first, made.sizes)
            fingerprint = digest(made.fingerprint, "other")
            self.other = Dataset(f"{other}", second, "real", classes, labels, fingerprint, table=schema)
        super().__init__(made.name, splits, "real", classes, labels, made.fingerprint, table=schema)
        self.notes = made.notes


def make(
    path: Any,
    other: Any = None,
    *,
    label: str | None,
    columns: Sequence[str] | None,
    exclude: Sequence[str] | None,
    types: Mapping[str, Any],
    missing: Sequence[str] | None,
    numeric: str,
    rare: int | None,
    most: int,
    header: bool,
    delimiter: str | None,
    constraints: Sequence[str],
    condition: Sequence[str],
    validation: float,
    test: float,
    work: Path | None = None,
) -> Made:
    """Reads and encodes a table, or two, the second below the first; see `Table`.

    Args:
        work: a folder for the parts of a large table, which is read and encoded there piece by piece.
    """
    frame = read.read(path, delimiter, header, work)
    first = frame.table.num_rows
    if other is not None:
        frame = joined(frame, read.read(other, delimiter, header))
    names = learn.select(frame, columns, exclude or (), label)
    found = learn.read_columns(frame, names, types, MISSING if missing is None else missing, work)
    y, labels = learn.classes(frame, found, label)
    places, sizes = plan(frame.table.num_rows, y, validation, test)
    order = places.numpy()
    rare = min(10, sizes[0] // 5000) if rare is None else rare
    table = Schema(
        [learn.fit(column, order[: sizes[0]], numeric, rare, most) for column in found],
        frame.suffix,
        frame.delimiter,
        frame.encoding,
        label or "",
        frame.header,
        constraints,
        missing or (),
        condition,
        types_of(frame),
    )
    learn.check_condition(table)
    learn.check_constraints(frame, table, found)
    if not table.width:
        raise UserError(f"{frame.name}: no column is left to learn: all are constants or identifiers")
    if work is None:
        x = encode(table, found, order)
    else:
        encode_to(work / ROWS, table, found, order)
        x = torch.from_numpy(np.load(work / ROWS, mmap_mode="c"))
    # Not the schema: it gains entries with time.
    fingerprint = digest(learn.content(found), sizes, numeric, rare, most, label)
    notes = learn.overview(frame, found, table, sizes)
    y = None if y is None else y[places]
    return Made(frame.name, table, x, y, labels, sizes, fingerprint, notes, places, first)


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
