"""Samples of series and graphs in the format of the source, written as they are drawn."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genlab.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from genlab.runs.folder import Run

CHUNK = 2000  # samples that are drawn, decoded and written at a time
SHOWN = 5000  # samples that are kept for the picture


def stream(model: Any, n: int, y: int | str | None, target: "Run") -> tuple[dict[str, "Tensor"], list[Path]]:
    """Draws n samples and writes them like the source; returns the first few in units, and the file.

    Raises:
        UserError: no such class, or a folder that cannot be written.
    """
    import torch

    from genlab.commands.classes import asked_for
    from genlab.data.formats import suffix, write
    from genlab.evaluation.abilities import samples

    labels, shown = asked_for(model, n, y), []

    def drawn() -> "Iterator[tuple[Tensor, Tensor | None]]":
        for start in range(0, n, CHUNK):
            own = None if labels is None else labels[start : start + CHUNK]
            with torch.no_grad():
                units = model.spec.decode(samples(model, min(CHUNK, n - start), own))
            if start < SHOWN:
                shown.append(units.cpu())
            yield units, own

    path = target.folder / f"samples{suffix(model.spec)}"
    try:
        target.folder.mkdir(parents=True, exist_ok=True)
        write(path, model.spec, drawn())
    except OSError as error:
        raise UserError(f"cannot write {error.filename or path}: {error.strerror}") from error
    first = {"samples": torch.cat(shown)[:SHOWN]}
    return first if labels is None else first | {"labels": labels[:SHOWN]}, [path]


def write_arrays(model: Any, arrays: dict[str, "Tensor"], target: "Run") -> list[Path]:
    """Writes samples in units that were drawn already: samples, originals and cycles, a file each."""
    from genlab.data.formats import suffix, write

    paths = []
    for name, drawn in arrays.items():
        if name != "labels":
            paths.append(target.folder / f"{name}{suffix(model.spec)}")
            write(paths[-1], model.spec, [(drawn, None)])
    return paths
