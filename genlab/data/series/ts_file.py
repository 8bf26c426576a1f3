"""Series in the text format of the UEA and UCR archives, .ts, read and written.

A header of lines that begin with @, then one series a line: numbers joined by commas, dimensions by colons, and the
class last. A missing number is `?`.

    @problemName Walks
    @classLabel true up down
    @data
    0.1,0.2,0.3:5,?,7:up

Read are series of any lengths, all dimensions of a series having one. Time stamps in brackets and numbers to predict
(`@targetLabel`) are refused. The format: A. Bagnall et al., "The UEA multivariate time series classification archive,
2018", 2018, https://arxiv.org/abs/1811.00075; https://www.timeseriesclassification.com.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from genlab.data.labels import MISSING
from genlab.data.series.arrays import of_arrays
from genlab.data.series.records import Choice, Records
from genlab.data.series.source import Source
from genlab.errors import UserError


def read_ts(file: Path, choice: Choice) -> Records:
    """Reads a .ts file; the classes are labels if its header says that it has some.

    Raises:
        UserError: it is damaged, or has time stamps, targets, or dimensions of unlike lengths; with the line.
    """
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file.name} cannot be read as a text file: {error}") from error
    header: dict[str, str] = {}
    arrays, labels, begun = [], [], False
    for number, line in enumerate(lines, start=1):
        text, where = line.strip(), f"{file.name}: line {number}"
        if not text or text.startswith("#"):
            continue
        if begun:
            array, label = _case(text, where, bool(_classes(header)))
            if arrays and array.shape[1] != arrays[0].shape[1]:
                raise UserError(f"{where} has {array.shape[1]} dimensions, the lines before have {arrays[0].shape[1]}")
            arrays.append(array)
            labels.append(label)
        elif text.lower() == "@data":
            begun = True
        elif text.startswith("@"):
            name, _, value = text[1:].partition(" ")
            header[name.lower()] = value.strip()
            _check(name, value, where)
        else:
            raise UserError(f"{where} is no header (@name value), and no line @data stands before it")
    if not arrays:
        raise UserError(f"{file.name} has no series" + ("" if begun else ": no line @data"))
    known = _classes(header)
    if known and (odd := next((label for label in labels if len(known) > 1 and label not in known[1:]), None)):
        raise UserError(f"{file.name}: the class '{odd}' is not among those of @classLabel: {', '.join(known[1:])}")
    source = Source((), label="class" if known else "", title=header.get("problemname", ""), dtype="float64")
    return of_arrays(file.name, ".ts", arrays, source, labels if known else None, choice)


def _classes(header: dict[str, str]) -> list[str]:
    """What stands after @classLabel: true and the classes; [] if there are none."""
    words = header.get("classlabel", "").split()
    return words if words and words[0].lower() == "true" else []


def _check(name: str, value: str, where: str) -> None:
    """Refuses what is not read.

    Raises:
        UserError: the header announces time stamps or targets.
    """
    if value.strip().lower().startswith("true"):
        if name.lower() == "timestamps":
            raise UserError(f"{where}: time stamps in .ts files are not read; use .csv with data.id and data.time")
        if name.lower() == "targetlabel":
            raise UserError(
                f"{where}: numbers to predict are not read; write @classLabel false and remove the last field"
            )


def _case(text: str, where: str, classed: bool) -> tuple[np.ndarray, str]:
    """Reads a line: an array (T, C), and the class, "" if there are none.

    Raises:
        UserError: a cell is no finite number, the class is missing, or dimensions have unlike lengths.
    """
    parts = text.split(":")
    label = parts.pop().strip() if classed else ""
    if "(" in text:
        raise UserError(f"{where}: time stamps in .ts files are not read; use .csv with data.id and data.time")
    if classed and (not parts or label.lower() in MISSING):
        raise UserError(f"{where}: the class is missing after the last colon")
    rows = []
    for i, part in enumerate(parts, start=1):
        cells = [cell.strip() for cell in part.split(",")]
        try:
            rows.append([np.nan if cell in ("?", "NaN", "nan") else float(cell) for cell in cells])
        except ValueError:
            bad = next(cell for cell in cells if not _number(cell))
            raise UserError(f"{where}, dimension {i}: '{bad}' is not a number; a missing one is '?'") from None
    lengths = {len(row) for row in rows}
    if len(lengths) > 1:
        raise UserError(
            f"{where}: its dimensions have {min(lengths)} to {max(lengths)} steps; all must have one length"
        )
    return np.array(rows, dtype=np.float64).T, label


def _number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return cell == "?"
    return True


def write_ts(
    path: Path,
    title: str,
    chunks: Iterable[tuple[np.ndarray, Sequence[str]]],
    classes: Sequence[str],
    equal: bool = True,
) -> int:
    """Writes series (n, T, C) with their classes, chunk by chunk; returns their number.

    Args:
        classes: the names of all classes; () for none.
        equal: whether all series have one length.

    Raises:
        OSError: the file cannot be written.
    """
    count = 0
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        for x, labels in chunks:
            if not count:
                gaps = str(bool(np.isnan(x).any())).lower()
                sizes = [f"@univariate {str(x.shape[2] == 1).lower()}", f"@dimensions {x.shape[2]}"]
                file.write(f"@problemName {title or 'samples'}\n@timeStamps false\n@missing {gaps}\n")
                lengths = ["@equalLength true", f"@seriesLength {x.shape[1]}"] if equal else ["@equalLength false"]
                file.write("\n".join([*sizes, *lengths]))
                file.write(f"\n@classLabel {' '.join(['true', *classes]) if classes else 'false'}\n@data\n")
            for i, series in enumerate(x):
                cells = [",".join("?" if np.isnan(v) else f"{v:.9g}" for v in channel) for channel in series.T]
                file.write(":".join([*cells, *([labels[i]] if classes else [])]) + "\n")
                count += 1
    return count
