"""Keeps large tables encoded on disk, so that they are read once and then mapped into memory.

A folder `genlab-cache/table-<file and options>-<size and time>` holds the packed rows, the classes, and a record with
everything else, which is written last: without it the folder does not count.
"""

import json
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from genlab.data.base import cache_folders, digest
from genlab.data.columns.schema import Schema
from genlab.data.files import note
from genlab.errors import UserError, brief

FORMAT = 1  # of the encoding: raise it when the numbers of a column change
ABANDONED = 24 * 3600  # seconds after which an unfinished folder is removed
LARGE = 200_000_000  # bytes of a file that is kept encoded
ROWS, CLASSES, RECORD = "rows.npy", "classes.npy", "record.json"


class Made(NamedTuple):
    """A table that was read and encoded."""

    name: str
    schema: Schema
    x: Tensor  # (N, fields) packed rows: training first, then validation, then test
    y: Tensor | None  # (N,) classes
    labels: tuple[str, ...]
    sizes: tuple[int, ...]
    fingerprint: str
    notes: list[str]
    places: Tensor | None = None  # (N,) row numbers in the source
    first: int = 0  # rows of the first of two tables


def cached(file: Path, options: object, make: Callable[[Path], Made]) -> Made | None:
    """Returns the encoded table of a file, from the cache if it is there, else as `make` makes it in a given folder.

    None if no folder of the cache can be written; a note says why.

    Args:
        options: everything besides the file that the encoding depends on, as plain values.
        make: writes the packed rows to ROWS in the folder; other files there are removed afterwards.

    Raises:
        UserError: the table cannot be read.
    """
    stat = file.stat()
    settings, source = digest(str(file), options, FORMAT), digest(stat.st_size, stat.st_mtime_ns)
    folders = cache_folders()
    for folder in folders:
        if (made := _read(folder / f"table-{settings}-{source}")) is not None:
            return made
    reason = OSError("")
    for folder in folders:
        work = None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for old in folder.glob("table-*.tmp"):  # of processes that were killed
                if time.time() - old.stat().st_mtime > ABANDONED:
                    shutil.rmtree(old, ignore_errors=True)
            work = Path(tempfile.mkdtemp(".tmp", "table-", folder))
            final = folder / f"table-{settings}-{source}"
            _write(work, make(work))
            for old in folder.glob(f"table-{settings}-*"):  # of older versions of the file
                shutil.rmtree(old, ignore_errors=True)
            with suppress(OSError):  # another process was faster
                work.rename(final)
            if (made := _read(final)) is not None:
                size = sum(each.stat().st_size for each in final.iterdir())
                note(f"{file.name}: encoded rows kept in {final} ({size / 2**20:,.0f} MiB), mapped into memory")
                return made
            reason = OSError("the file could not be read again")
        except OSError as error:
            reason = error
        finally:
            if work is not None:
                shutil.rmtree(work, ignore_errors=True)
    note(f"{file.name}: kept in memory, because {folders[-1]} cannot be written: {reason.strerror or brief(reason)}")
    return None


def _write(work: Path, made: Made) -> None:
    if made.y is not None:
        np.save(work / CLASSES, made.y.numpy())
    for file in work.iterdir():
        if file.name not in (ROWS, CLASSES):
            file.unlink()
    record = {
        "name": made.name,
        "schema": made.schema.state(),
        "labels": list(made.labels),
        "sizes": list(made.sizes),
        "classes": made.y is not None,
        "fingerprint": made.fingerprint,
        "notes": made.notes,
    }
    (work / RECORD).write_text(json.dumps(record), encoding="utf-8")


def _read(folder: Path) -> Made | None:
    """Returns what a folder of the cache holds; None if it is missing, incomplete or damaged."""
    try:
        record: dict[str, Any] = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        x = torch.from_numpy(np.load(folder / ROWS, mmap_mode="c"))
        y = torch.from_numpy(np.load(folder / CLASSES)) if record["classes"] else None
        schema, sizes = Schema.of(record["schema"]), tuple(record["sizes"])
        if (
            x.dtype != torch.float32
            or x.shape != (sum(sizes), len(schema.fields))
            or (y is not None and len(y) != len(x))
        ):
            return None
        labels, rest = tuple(record["labels"]), (record["fingerprint"], record["notes"])
        return Made(record["name"], schema, x, y, labels, sizes, *rest)
    except (OSError, ValueError, KeyError, TypeError, EOFError, UserError):
        return None
