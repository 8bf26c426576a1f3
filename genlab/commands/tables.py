"""Samples of typed tables as files in the source's format, written as they are drawn, so that memory stays bounded."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genlab.commands.classes import asked_for
from genlab.data.frames.write import suffix, write
from genlab.errors import UserError
from genlab.evaluation.abilities import samples
from genlab.runs.folder import Run

CHUNK = 20_000  # rows that are drawn, decoded and written at a time
SHOWN = 5000  # rows that are kept for the picture


def stream(model: Any, n: int, y: int | str | None, target: Run) -> tuple[dict[str, Tensor], list[Path]]:
    """Draws n rows and writes them; returns the first few in units, and the file.

    Raises:
        UserError: no such class, or the folder cannot be written.
    """
    labels = asked_for(model, n, y)
    shown: dict[str, Tensor] = {}
    schema = model.spec.table
    path = target.folder / f"samples{suffix(schema)}"

    def chunks() -> Iterator[Tensor]:
        for start in range(0, n, CHUNK):
            size = min(CHUNK, n - start)
            with torch.no_grad():
                x = samples(model, size, None if labels is None else labels[start : start + size])
            units = model.spec.decode(x)
            if not shown:
                shown["samples"] = units[:SHOWN]
                if labels is not None:
                    shown["labels"] = labels[:SHOWN]
            yield units

    try:
        target.folder.mkdir(parents=True, exist_ok=True)
        write(path, schema, chunks())
    except OSError as error:
        raise UserError(f"cannot write {error.filename or path}: {error.strerror}") from error
    return shown, [path]


def write_arrays(model: Any, arrays: dict[str, Tensor], target: Run) -> list[Path]:
    """Writes rows in units that were drawn already: samples, originals and cycles, a file each."""
    paths = []
    for name, units in arrays.items():
        if name != "labels":
            paths.append(target.folder / f"{name}{suffix(model.spec.table)}")
            write(paths[-1], model.spec.table, [units])
    return paths
