"""Keeps large tables encoded on disk, so that they are read once and then mapped into memory.

A folder `genlab-cache/table-<file and options>-<size and time>` holds the packed rows, the classes, and a record with
everything else, which is written last: without it the folder does not count.
"""

import json
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from genlab.data.base import data_root, digest
from genlab.data.columns.schema import Schema
from genlab.data.files import note
from genlab.errors import UserError, brief
from genlab.machine import cache_root

FORMAT = 1  # of the encoding: raise it when the numbers of a column change
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


def cached(file: Path, options: object, make: Callable[[Path], Made]) -> Made:
    """Returns the encoded table of a file, from the cache if it is there, else as `make` makes it in a given folder.

    Args:
        options: everything besides the file that the encoding depends on, as plain values.
        make: writes the packed rows to ROWS in the folder; other files there are removed afterwards.

    Raises:
        UserError: the table cannot be read, or the cache cannot be written.
    """
    stat = file.stat()
    settings, source = digest(str(file), options, FORMAT), digest(stat.st_size, stat.st_mtime_ns)
    folders = [root / "genlab-cache" for root in dict.fromkeys((data_root(), cache_root()))]
    for folder in folders:
        if (made := _read(folder / f"table-{settings}-{source}")) is not None:
            return made
    for folder in folders:
        work = folder / f"{os.getpid()}.tmp"
        try:
            shutil.rmtree(work, ignore_errors=True)
            work.mkdir(parents=True)
            final = folder / f"table-{settings}-{source}"
            _write(work, make(work))
            for old in folder.glob(f"table-{settings}-*"):
                shutil.rmtree(old, ignore_errors=True)
            with suppress(OSError):  # another process was faster
                work.rename(final)
            if (made := _read(final)) is not None:
                size = sum(each.stat().st_size for each in final.iterdir())
                note(f"{file.name}: encoded rows kept in {final} ({size / 2**20:,.0f} MiB), mapped into memory")
                return made
            reason: OSError = OSError("the file could not be read again")
        except OSError as error:
            reason = error
        finally:
            shutil.rmtree(work, ignore_errors=True)
    raise UserError(f"data.path: cannot write the cache in {folders[-1]}: {reason.strerror or brief(reason)}")


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
        "fingerprint": made.fingerprint,
        "notes": made.notes,
    }
    (work / RECORD).write_text(json.dumps(record), encoding="utf-8")


def _read(folder: Path) -> Made | None:
    """Returns what a folder of the cache holds; None if it is missing, incomplete or damaged."""
    try:
        record: dict[str, Any] = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        x = torch.from_numpy(np.load(folder / ROWS, mmap_mode="c"))
        y = torch.from_numpy(np.load(folder / CLASSES)) if (folder / CLASSES).is_file() else None
        schema, sizes = Schema.of(record["schema"]), tuple(record["sizes"])
        if len(x) != sum(sizes) or x.shape[1] != len(schema.fields):
            return None
        labels, rest = tuple(record["labels"]), (record["fingerprint"], record["notes"])
        return Made(record["name"], schema, x, y, labels, sizes, *rest)
    except (OSError, ValueError, KeyError, TypeError, EOFError, UserError):
        return None
