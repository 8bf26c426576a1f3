"""The types of a source's columns, so that samples have them too: int32 stays int32, decimals stay decimals."""

import base64
from typing import TYPE_CHECKING

from genlab.data.frames.read import Frame

if TYPE_CHECKING:
    import pyarrow


def types_of(frame: Frame) -> str:
    """The types of a Parquet file's or a frame's columns as text for a checkpoint; "" for a text file."""
    if frame.suffix not in ("", ".parquet"):
        return ""
    return base64.b64encode(frame.table.schema.remove_metadata().serialize()).decode()


def schema_of(types: str) -> "pyarrow.Schema":
    """Reads what `types_of` returned."""
    import pyarrow

    return pyarrow.ipc.read_schema(pyarrow.py_buffer(base64.b64decode(types)))


def text_columns(types: str) -> set[str]:
    """The columns that hold text, which may be written like numbers or dates."""
    import pyarrow

    kinds = {field.name: field.type for field in schema_of(types)} if types else {}
    return {
        name for name, kind in kinds.items() if pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind)
    }


def of_source(table: "pyarrow.Table", types: str) -> "pyarrow.Table":
    """Casts the columns to those types; a column whose values do not fit its type stays as it is.

    Args:
        types: what `types_of` returned.
    """
    import pyarrow

    if not types:
        return table
    source = schema_of(types)
    columns = {}
    for name in table.column_names:
        columns[name] = table.column(name)
        if name in source.names:
            columns[name] = _cast(columns[name], source.field(name).type)
    return pyarrow.table(columns)


def _cast(column: "pyarrow.ChunkedArray", kind: "pyarrow.DataType") -> "pyarrow.ChunkedArray":
    import pyarrow

    try:
        if pyarrow.types.is_dictionary(kind):
            return _cast(column, kind.value_type).dictionary_encode().cast(kind)
        if pyarrow.types.is_decimal(kind) and pyarrow.types.is_floating(column.type):
            column = column.cast(pyarrow.decimal128(38, kind.scale))
        return column.cast(kind, safe=False)
    except pyarrow.ArrowException:
        return column
