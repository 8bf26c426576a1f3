"""Samples of typed tables as files in the source's format, written as they are drawn, so that memory stays bounded."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genlab.commands.classes import asked_for
from genlab.commands.conditions import Conditions, parse
from genlab.data.frames.write import suffix, write
from genlab.errors import UserError
from genlab.evaluation.abilities import samples
from genlab.runs.folder import Run

CHUNK = 20_000  # rows that are drawn, decoded and written at a time
SHOWN = 5000  # rows that are kept for the picture
RARE = 0.1  # share of rows that fulfil a condition, below which diffusion models inpaint
PATIENCE = 100  # rows drawn for each that is kept, before a condition is given up


def stream(
    model: Any, n: int, y: int | str | None, target: Run, where: Any = None
) -> tuple[dict[str, Tensor], list[Path]]:
    """Draws n rows and writes them; returns the first few in units, and the file.

    Args:
        where: conditions that all rows fulfil, see `conditions`; None for none.

    Raises:
        UserError: no such class, conditions that hardly any row fulfils, or a folder that cannot be written.
    """
    schema = model.spec.table
    path = target.folder / f"samples{suffix(schema)}"
    shown: dict[str, Tensor] = {}

    def kept(chunks: Iterator[Tensor]) -> Iterator[Tensor]:
        for units in chunks:
            shown.setdefault("samples", units[:SHOWN])
            yield units

    rows = drawn(model, n, y) if where is None else fulfilling(model, n, parse(where, schema), y)
    try:
        target.folder.mkdir(parents=True, exist_ok=True)
        write(path, schema, kept(rows))
    except OSError as error:
        raise UserError(f"cannot write {error.filename or path}: {error.strerror}") from error
    return shown, [path]


def drawn(model: Any, n: int, y: int | str | None) -> Iterator[Tensor]:
    """n rows in units, of the classes that `y` asks for, chunk by chunk."""
    if model.spec.table.constraints:
        yield from fulfilling(model, n, None, y)
        return
    labels = asked_for(model, n, y)
    for start in range(0, n, CHUNK):
        size = min(CHUNK, n - start)
        with torch.no_grad():
            yield model.spec.decode(samples(model, size, None if labels is None else labels[start : start + size]))


def fulfilling(model: Any, n: int, conditions: Conditions | None, y: int | str | None = None) -> Iterator[Tensor]:
    """n rows in units that fulfil conditions and the table's constraints, chunk by chunk.

    A model that completes rows is given the values that are fixed; what is left, comparisons and lists, and for other
    models everything, is drawn until it holds. Inpainting is approximate and slow, so models that can do no better use
    it only for conditions that few rows fulfil.

    Raises:
        UserError: hardly any row fulfils them.
    """
    found, tried, what = 0, 0, "data.constraints" if conditions is None else "where"
    fixed = to_give(model, conditions)
    waits = model.inpaints and bool(fixed) and fixed != set(model.spec.table.given)
    while found < n:
        size = min(CHUNK, max(2 * (n - found), 1000))
        if waits and tried and found < RARE * tried:
            print(f"where: {found:,} of {tried:,} rows fulfil it, so the rest is drawn by inpainting")
            waits = False
        proposed = propose(model, size, conditions, set() if waits else fixed, y)
        units, good = model.spec.table.fulfil(proposed)
        units = units[good & conditions.hold(units) if conditions else good][: n - found]
        found, tried = found + len(units), tried + size
        if len(units):
            yield units
        if found < n and tried >= PATIENCE * max(n, 1000):
            raise UserError(f"{what}: only {found:,} of {tried:,} rows fulfil them; loosen them or lower n")
    print(f"{what}: {tried:,} rows drawn for {n:,} that fulfil them")


def to_give(model: Any, conditions: Conditions | None) -> set[str]:
    """The columns with one allowed value that the model can be given; none if it must be given others as well."""
    equal = set(conditions.equal) if conditions else set()
    given = set(model.spec.table.given)
    fixed = equal if model.completes_any else equal & given
    return fixed if given <= fixed else set()


@torch.no_grad()
def propose(
    model: Any, size: int, conditions: Conditions | None, fixed: set[str], y: int | str | None = None
) -> Tensor:
    """Rows in units, drawn with the values of the columns `fixed`: (size, width)."""
    if not conditions or not fixed:
        return model.spec.decode(samples(model, size, asked_for(model, size, y)))
    units, known = conditions.rows(size, fixed)
    x = model.complete(model.spec.from_units(units).to(model.device), known.to(model.device))
    drawn_units = model.spec.decode(x)
    # A number may have changed in its last digits on the way through the encoding.
    return torch.where(known.to(x.device), units.to(drawn_units), drawn_units)


def write_arrays(model: Any, arrays: dict[str, Tensor], target: Run) -> list[Path]:
    """Writes rows in units that were drawn already: samples, originals and cycles, a file each."""
    paths = []
    for name, units in arrays.items():
        if name != "labels":
            paths.append(target.folder / f"{name}{suffix(model.spec.table)}")
            write(paths[-1], model.spec.table, [units])
    return paths
