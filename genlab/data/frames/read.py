"""Reading tables: .csv, .tsv, .parquet, and frames of pandas, polars or Arrow.

Arrow's readers are used because they are fast, stream, and take quotes, line breaks in cells and compression as they
come. Text files are read as text: what a column holds is decided afterwards from all its cells (`kinds`), so that 01234
stays a code and samples can be written in the source's own format.
"""

import csv
import errno
import io
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from genlab.data.files import find, note, several
from genlab.data.frames import numbers
from genlab.errors import UserError, brief, choose

if TYPE_CHECKING:
    import pyarrow

TEXT = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".txt")
SUFFIXES = (*TEXT, ".parquet")
csv.field_size_limit(2**31 - 1)  # cells of text may be long
DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
LOOK = 200  # records that the delimiter is guessed from
MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}  # at the start of a file in another encoding


class Frame(NamedTuple):
    """A table as it was read."""

    name: str
    table: "pyarrow.Table"  # all text if it is of a text file
    suffix: str  # of the file; "" for a frame from Python
    delimiter: str = ","
    encoding: str = "utf-8"
    path: Path | None = None
    header: bool = True

    def line(self, row: int) -> str:
        """Returns where row `row`, counted from 0, is: `line 7` of a text file, else `row 7`."""
        if self.path is None or self.suffix == ".parquet":
            return f"row {row + 1}"
        with _open(self.path, self.encoding) as stream:
            reader = csv.reader(stream, delimiter=self.delimiter)
            records = (reader.line_num for record in reader if record)
            found = next(islice(records, row + self.header, None), None)
        return f"row {row + 1}" if found is None else f"line {found}"


def read(
    source: Any,
    delimiter: str | None = None,
    header: bool = True,
    work: Path | None = None,
    option: str = "data.path",
) -> Frame:
    """Reads a table from a file's path or a frame.

    Args:
        delimiter: between the cells of a text file, one character or "tab"; None: what fits.
        work: a folder for the cells of a large text file, which are then mapped into memory.
        option: that names the file, for messages.

    Raises:
        UserError: no such file, a file of another kind or that is damaged, a package that is needed and missing, or
            rows of different lengths.
    """
    try:
        import pyarrow
    except ImportError as error:
        raise UserError("data=table needs pyarrow: pip install 'genlab[tables]'") from error
    if not isinstance(source, str | Path):
        try:
            return Frame("table", _frame(source), "")
        except (pyarrow.ArrowException, ValueError, TypeError) as error:
            raise UserError(f"{option}: the frame cannot be read: {brief(error)}") from error
    delimiter = {"tab": "\t", "\\t": "\t"}.get(delimiter or "", delimiter)
    if delimiter is not None and len(delimiter) != 1:
        raise UserError(f"data.delimiter: must be one character, or tab; got '{delimiter}'")
    file = find(str(source), "file", option)
    suffix = "".join(file.suffixes[-2:]).lower() if file.suffix.lower() == ".gz" else file.suffix.lower()
    choose(f"{option}: the ending", suffix, SUFFIXES)
    try:
        if suffix == ".parquet":
            import pyarrow.parquet

            check_names(file.name, pyarrow.parquet.read_schema(file).names)
            return Frame(file.name, pyarrow.parquet.read_table(file), suffix, path=file)
        return _text(file, suffix, delimiter, header, work)
    except (pyarrow.ArrowException, OSError, EOFError, csv.Error) as error:
        if work is not None and isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise  # of the folder `work`
        raise UserError(f"{option}: cannot read {file.name}: {brief(error)}") from error


def check_names(file: str, names: Sequence[str]) -> None:
    """Checks that no two columns of a file have one name.

    Raises:
        UserError: some have.
    """
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(f"{file}: two columns are called {several([repr(n) for n in repeated])}; rename one")


def _frame(source: Any) -> "pyarrow.Table":
    import pyarrow

    if isinstance(source, pyarrow.Table):
        return source
    if type(source).__module__.partition(".")[0] == "pandas" and hasattr(source, "columns"):
        return pyarrow.Table.from_pandas(source, preserve_index=False)
    if hasattr(source, "__arrow_c_stream__"):
        return pyarrow.table(source)
    raise UserError(f"data.path: expected a path or a frame of pandas, polars or Arrow, got {type(source).__name__}")


def _text(file: Path, suffix: str, delimiter: str | None, header: bool, work: Path | None) -> Frame:
    """Reads a text file, as UTF-8 if it is that, else as Latin-1."""
    encodings = [_marked(file), "cp1252", "latin-1"]
    for encoding in encodings:
        try:
            records = _records(file, encoding)
            mark = delimiter or _delimiter(records, suffix)
            table = _table(file, encoding, mark, header, work)
        except UnicodeDecodeError:
            continue
        if encoding in encodings[1:]:
            note(f"{file.name}: not UTF-8, so it is read as Latin-1")
        return Frame(file.name, table, suffix, mark, encoding, file, header)
    raise UserError(f"{file.name} is not a text file")


def _compression(file: Path) -> str | None:
    return "gzip" if file.suffix.lower() == ".gz" else None


def _open(file: Path, encoding: str) -> io.TextIOBase:
    import pyarrow

    stream = pyarrow.input_stream(str(file), compression=_compression(file))
    return io.TextIOWrapper(io.BufferedReader(stream), encoding=encoding, newline="")  # type: ignore[arg-type]


def _marked(file: Path) -> str:
    """The encoding that the first bytes of a file announce."""
    with open(file, "rb") as stream:
        return MARKS.get(stream.read(2), "utf-8-sig")


def _records(file: Path, encoding: str) -> list[str]:
    """The first lines of a file.

    Raises:
        UserError: it is empty or not text.
    """
    with _open(file, encoding) as stream:
        lines = [line for line in islice(stream, LOOK) if line.strip()]
    if not lines:
        raise UserError(f"{file.name} is empty")
    if any("\x00" in line for line in lines):
        raise UserError(f"{file.name} is not a text file")
    return lines


def _delimiter(lines: list[str], suffix: str) -> str:
    """The delimiter that cuts all lines into equally many cells, the most of them if several do."""
    if suffix.startswith(".tsv"):
        return "\t"

    def cells(mark: str) -> tuple[bool, int]:
        counts = [len(row) for row in csv.reader(lines, delimiter=mark) if row]
        counts = counts[:-1] if len(lines) == LOOK and len(counts) > 1 else counts  # the last may be cut in a quote
        return len(set(counts)) == 1 and counts[0] > 1, counts[0]

    return max(DELIMITERS, key=cells)


def _table(file: Path, encoding: str, delimiter: str, header: bool, work: Path | None) -> "pyarrow.Table":
    """All cells as text, without spaces around them.

    Raises:
        UnicodeDecodeError: the file is not of this encoding.
        UserError: rows have different lengths.
    """
    import pyarrow
    import pyarrow.compute as pc
    from pyarrow import csv as reader

    with _open(file, encoding) as stream:
        lines = csv.reader(stream, delimiter=delimiter, skipinitialspace=True)
        first = next(row for row in lines if row)
        above = lines.line_num - "".join(first).count("\n")  # the line of the header
    if header and all(numbers.parse([cell.strip()]) for cell in first):
        raise UserError(f"{file.name}: line 1 is all numbers, where names belong; data.header=false if there are none")
    names = [cell.strip() for cell in first] if header else [f"column{i + 1}" for i in range(len(first))]
    wrong: list[tuple[int | None, int]] = []

    def remember(row: Any) -> str:
        wrong.append((row.number, row.actual_columns))
        return "skip"

    places = [str(i) for i in range(len(names))]
    options = (
        reader.ReadOptions(
            column_names=places,
            skip_rows=above - 1,
            skip_rows_after_names=int(header),
            encoding={"utf-8-sig": "utf-8"}.get(encoding, encoding),
            use_threads=False,  # only then are rows numbered
            block_size=None if work is None else 1 << 24,
        ),
        reader.ParseOptions(
            delimiter=delimiter,
            newlines_in_values=True,
            invalid_row_handler=remember,
            ignore_empty_lines=len(names) > 1,
        ),
        reader.ConvertOptions(column_types=dict.fromkeys(places, pyarrow.string()), strings_can_be_null=False),
    )
    try:
        if work is None:
            with pyarrow.input_stream(str(file), compression=_compression(file)) as stream:
                table = reader.read_csv(stream, *options)
        else:
            table = _streamed(file, options, work / "cells.arrow")
    except pyarrow.ArrowInvalid as error:
        if "UTF8" in str(error):
            raise UnicodeDecodeError("utf-8", b"", 0, 1, str(error)) from error
        if "Empty CSV" in str(error) or len(_records(file, encoding)) == int(header):
            raise UserError(f"{file.name} has a header and no rows") from error
        raise
    quotes = any(
        str(cell).startswith('"') and str(cell).endswith('"')
        for column in table.columns
        for cell in pc.call_function("utf8_trim_whitespace", [column.slice(0, LOOK)]).to_pylist()
    )
    if (wrong or quotes) and work is None and (rows := _spaced(file, encoding, delimiter, header, len(names))):
        return pyarrow.table(dict(zip(_unnamed(names), rows, strict=True)))
    if wrong:
        lines = [f"line {number} has {count}" for number, count in wrong]
        raise UserError(f"{file.name}: the header has {len(names)} cells, but {several(lines, 3, what='line')}")
    _check_quotes(file, encoding, delimiter)
    if quotes and work is not None:
        raise UserError(f"{file.name}: quotes that follow a space are read in smaller files only; remove such spaces")
    if work is not None:  # trimmed already
        return table.rename_columns(_unnamed(names))
    trimmed = [pc.call_function("utf8_trim_whitespace", [column]) for column in table.columns]
    return pyarrow.Table.from_arrays(trimmed, names=_unnamed(names))


def _streamed(file: Path, options: tuple[Any, Any, Any], target: Path) -> "pyarrow.Table":
    """Reads a text file block by block into a file of Arrow's, and maps that into memory."""
    import pyarrow
    import pyarrow.compute as pc
    from pyarrow import csv as reader
    from tqdm import tqdm

    with (
        open(file, "rb") as raw,
        tqdm(total=file.stat().st_size, desc=f"reading {file.name}", unit="B", unit_scale=True, disable=None) as bar,
    ):
        stream = pyarrow.input_stream(raw, compression=_compression(file))
        with reader.open_csv(stream, *options) as blocks, pyarrow.ipc.new_file(str(target), blocks.schema) as writer:
            for block in blocks:
                cells = [pc.call_function("utf8_trim_whitespace", [column]) for column in block.columns]
                writer.write_batch(pyarrow.RecordBatch.from_arrays(cells, schema=blocks.schema))
                bar.update(raw.tell() - bar.n)
    return pyarrow.ipc.open_file(pyarrow.memory_map(str(target))).read_all()


def _check_quotes(file: Path, encoding: str, delimiter: str) -> None:
    """Rejects a quote that is never closed: everything after it would be one cell."""
    import pyarrow

    with pyarrow.input_stream(str(file), compression=_compression(file)) as stream:
        quotes = 0
        while block := stream.read(1 << 24):
            quotes += block.count(b'"')
    if quotes % 2 == 0:
        return
    with _open(file, encoding) as stream:
        before = 0
        reader = csv.reader(stream, delimiter=delimiter, strict=True)
        try:
            for _ in reader:
                before = reader.line_num
        except csv.Error as error:
            raise UserError(f"{file.name}: line {before + 1} opens a quote that is never closed") from error


def _spaced(file: Path, encoding: str, delimiter: str, header: bool, width: int) -> list[list[str]] | None:
    """The columns of a file with spaces between delimiters and quotes, which Arrow reads as part of the cell.

    None if the file has none, or rows of different lengths even so.
    """
    with _open(file, encoding) as stream:
        rows = [row for row in csv.reader(stream, delimiter=delimiter, skipinitialspace=True) if row][int(header) :]
    if any(len(row) != width for row in rows):
        return None
    return [[cell.strip() for cell in column] for column in zip(*rows, strict=True)]


def _unnamed(names: Iterable[str]) -> list[str]:
    """Names for the columns that have none, as pandas gives them: Unnamed: 0."""
    return [name or f"Unnamed: {i}" for i, name in enumerate(names)]
