"""Reads .parquet files with pyarrow, an optional dependency, and reports errors by row and column."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from genlab.data.files import several
from genlab.data.labels import complete, name_of
from genlab.data.tables import LARGEST, PICK, Table, check_digits, finite, select
from genlab.errors import UserError, brief


def read_parquet(file: Path, columns: Sequence[str] | None = None, label: str | None = None, version: int = 2) -> Table:
    """Reads a .parquet file; see `read_csv`. From version 2 on, an index that pandas wrote is left out.

    Raises:
        UserError: pyarrow is missing, the file is damaged, a column is not finite numbers, or a label is missing.
    """
    try:
        from pyarrow import ArrowException, parquet, types
    except ImportError:
        raise UserError(f"{file.name}: .parquet files need pyarrow: pip install 'genlab[tables]'") from None
    try:
        source = parquet.ParquetFile(file)
        schema = source.schema_arrow
        chosen = select(file, schema.names, columns, label, version, _index(schema))
        if source.metadata.num_rows * len(chosen) > LARGEST:
            raise UserError(f"{file.name}: more than {LARGEST:,} numbers, too many to hold in memory")
        _check_kinds(file, schema, chosen, label if version > 1 else None)
        table = source.read([*chosen, *([label] if label is not None else [])])
        x = np.empty((table.num_rows, len(chosen)))
        for i, name in enumerate(chosen):
            x[:, i] = table.column(name).cast("float64", safe=False).to_numpy()  # nulls become NaN
        values = table.column(label).to_pylist() if label is not None else None
    except (ArrowException, OSError) as error:
        raise UserError(f"{file.name} cannot be read as parquet: {brief(error)}") from error
    finite(file, chosen, x)
    for i, name in enumerate(chosen if version > 1 else ()):
        kind = schema.field(name).type
        if types.is_integer(kind):
            check_digits(file, name, table.column(name).to_numpy(), x[:, i])
        elif types.is_decimal(kind) and kind.scale <= 0:
            integers = [int(value) for value in table.column(name).to_pylist()]
            check_digits(file, name, np.array(integers, object), x[:, i])
    read = Table(tuple(chosen), x)
    if values is None or label is None:
        return read
    if version == 1:
        return read._replace(labels=[str(value) for value in values])
    return read._replace(labels=complete(file, [name_of(value) for value in values], label, read.where))


def _index(schema: Any) -> list[str]:
    """Returns the columns that pandas declares as its index; it stores a plain range as metadata, not as a column."""
    try:
        columns = (schema.pandas_metadata or {}).get("index_columns", [])
        return [name for name in columns if isinstance(name, str)]
    except (ValueError, TypeError, AttributeError):  # metadata that another program wrote
        return []


def _check_kinds(file: Path, schema: Any, chosen: list[str], label: str | None) -> None:
    """Checks that columns are numbers and that the label has a type that can name classes.

    Raises:
        UserError: a column has another type.
    """
    from pyarrow import types

    def is_number(kind: Any) -> bool:
        tests = (types.is_integer, types.is_floating, types.is_boolean, types.is_decimal)
        return any(test(kind) for test in tests)

    if wrong := [name for name in chosen if not is_number(schema.field(name).type)]:
        described = [f"column '{name}' has type {schema.field(name).type}" for name in wrong]
        raise UserError(f"{file.name}: {several(described, what='column')}; columns must be numbers; {PICK}")
    if label is not None:
        kind = schema.field(label).type
        kind = kind.value_type if types.is_dictionary(kind) else kind
        text = types.is_string(kind) or types.is_large_string(kind) or str(kind) == "string_view"
        if not (is_number(kind) or text or types.is_date(kind) or types.is_null(kind)):
            raise UserError(
                f"data.label: column '{label}' has type {kind}; classes must be text, numbers, dates or booleans"
            )
