"""`genlab sample run=RUN given=FILE`: the unknown cells of series, drawn given the known ones.

Gaps are filled in, and series are continued: by as many steps as they lack of the model's length, or by `horizon`. Of n
draws, the file `completed` has the median of each unknown cell, or the commonest word; `intervals.csv` has the bounds
between which 50 and 90 % of the draws lie.
"""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genlab.commands.classes import asked_for
from genlab.data.columns.base import Column
from genlab.data.columns.category import Category
from genlab.data.columns.numeric import Numeric
from genlab.data.columns.schema import Schema
from genlab.data.frames.given import outside
from genlab.data.series import completed
from genlab.data.series.partial import Partial, read_partial
from genlab.data.series.write import suffix
from genlab.errors import UserError
from genlab.metrics.series.forecasts import LEVELS, fan
from genlab.runs.folder import Run

CHUNK = 500  # windows that are drawn at a time


def continue_series(
    model: Any, source: str, n: int, horizon: int | None, y: int | str | None, target: Run
) -> tuple[str, np.ndarray | None]:
    """Writes the series of a file with their unknown cells drawn; returns a line about it and a picture of one.

    Args:
        n: draws of each unknown cell.
        y: the class of the series, for a conditional model, if the file has no classes.

    Raises:
        UserError: the model cannot do it, the file cannot be read, or the folder cannot be written.
    """
    spec = model.spec
    if spec.source is None or spec.steps is None:
        raise UserError("given: this model was not trained on series from a file (data=series)")
    if not model.completes_any:
        raise UserError(
            f"given: a {type(model).__name__} cannot be given steps; train model=ddpm, score or flow_matching"
        )
    if horizon is not None and not 1 <= horizon < spec.shape[1]:
        most = f"{spec.shape[1] - 1}, since the model draws {spec.shape[1]} steps"
        raise UserError(f"horizon: must be between 1 and {most}; got {horizon}")
    series = read_partial(source, spec, horizon)
    if not series.windows(spec.shape[1]):
        raise UserError(f"given: {series.name} has no empty cell; horizon=H continues its series by H steps")
    rows, known = torch.cat(series.units, dim=1).T, torch.cat(series.known, dim=1).T
    beyond = outside(spec.steps, rows, known, lambda step: series.frame.line(int(series.rows[step])))
    lines = [f"given: {series.name}: {text}; draws beside them may be far off" for text in beyond]
    draws = drawn(model, series, n, y)
    units = [_middle(spec.steps, own, series.units[i], series.known[i]) for i, own in enumerate(draws)]
    path, bounds = target.folder / f"completed{suffix(spec)}", target.folder / "intervals.csv"
    try:
        target.folder.mkdir(parents=True, exist_ok=True)
        count = _intervals(bounds, spec.steps, series, draws)
        completed.write(path, spec, series, units)
    except OSError as error:
        raise UserError(f"cannot write {error.filename or path}: {error.strerror}") from error
    cells = sum(int((~known).sum()) for known in series.known)
    what = f"{cells:,} cell{'s' * (cells != 1)} of {len(units):,} series drawn {n:,} times"
    line = f"{what}: {path}" + (f", {bounds}" if count else "")
    return "\n".join([*lines, line]), _picture(spec.steps, series, draws)


@torch.no_grad()
def drawn(model: Any, series: Partial, n: int, y: int | str | None = None) -> list[Tensor]:
    """Draws n times what is unknown of each series: S times (n, columns, steps), values as in `Column.values`."""
    spec, length = model.spec, model.spec.shape[1]
    schema: Schema = spec.steps
    found = [schema.values(units.T).T.expand(n, -1, -1).clone() for units in series.units]
    fields = torch.tensor([i for i, column in enumerate(schema.columns) for _ in range(column.width)])
    classes = asked_for(model, len(series.units), y)  # None if the model is not conditional
    if classes is not None and series.labels is not None:
        classes = torch.tensor([spec.labels.index(label) for label in series.labels])
    for i, first in series.windows(length):
        units, known = (_window(part, first, length) for part in (series.units[i], series.known[i]))
        x = spec.from_units(_near(schema, units)[None]).to(model.device)
        mask = known[fields].to(model.device)
        made = []
        for size in (min(CHUNK, n - k) for k in range(0, n, CHUNK)):
            own = () if classes is None else (classes[i].expand(size).to(model.device),)
            x_0 = model.complete(x.expand(size, -1, -1), mask.expand(size, -1, -1), *own)
            rows = spec.decode(x_0).cpu().transpose(1, 2).flatten(0, 1)
            made.append(schema.values(rows).unflatten(0, (size, length)).transpose(1, 2))
        here = slice(max(first, 0), first + length)
        values = torch.cat(made)[:, :, max(-first, 0) :]
        found[i][:, :, here] = torch.where(series.known[i][:, here], found[i][:, :, here], values)
    return [_held(spec, own, known) for own, known in zip(found, series.known, strict=True)]


def _held(spec: Any, draws: Tensor, known: Tensor) -> Tensor:
    """Holds static columns constant within a series: at their known value, else at the last one drawn."""
    for k, column in enumerate(spec.steps.columns):
        if column.name in spec.source.static:
            step = int(known[k].nonzero()[0]) if known[k].any() else -1
            draws[:, k] = torch.where(known[k], draws[:, k], draws[:, k, step, None])
    return draws


def _near(schema: Schema, units: Tensor) -> Tensor:
    """Series in units (width, T) whose numbers lie within twice the range of training, as a model can see them."""
    parts = []
    for column, part in schema.cut(units.T):
        if isinstance(column, Numeric) and column.width:
            span = column.high - column.low
            first = part[:, :1].clamp(column.low - span / 2, column.high + span / 2)
            part = torch.cat([first, part[:, 1:]], dim=1)
        parts.append(part)
    return torch.cat(parts, dim=1).T


def _window(part: Tensor, first: int, length: int) -> Tensor:
    """The steps of a window of a part (C, M); before the first step of the series, its first one or False."""
    if first >= 0:
        return part[:, first : first + length]
    fill = part[:, :1].expand(-1, -first)
    return torch.cat([torch.zeros_like(fill) if part.dtype == torch.bool else fill, part], dim=1)


def _middle(schema: Schema, draws: Tensor, units: Tensor, known: Tensor) -> Tensor:
    """The series in units whose unknown cells are the median of the draws (n, columns, M), or the commonest word."""
    parts = []
    for column, own, values, mask in zip(schema.columns, schema.cut(units.T), draws.unbind(1), known, strict=True):
        if not column.width:
            continue
        middle = _commonest(column, values) if isinstance(column, Category) else fan(values, (0.5,))[0]
        made = column.units(_rounded(column, middle))
        parts.append(torch.where(mask[:, None], own[1], made.to(own[1])))
    return torch.cat(parts, dim=1).T


def _rounded(column: Column, values: Tensor) -> np.ndarray:
    """Values between those that were drawn, with the column's decimals."""
    decimals = getattr(column, "decimals", None)
    return values.numpy() if decimals is None else np.round(values.numpy(), decimals)


def _commonest(column: Category, values: Tensor) -> Tensor:
    """The commonest word of draws (n, M), a missing one only where all are missing: (M,)."""
    counts = torch.nn.functional.one_hot(values.long(), len(column.labels)).sum(0).float()
    if column.missing in column.labels:
        counts[:, column.labels.index(column.missing)] *= 1e-6
    return counts.argmax(1).double()


def _intervals(path: Path, schema: Schema, series: Partial, draws: list[Tensor]) -> int:
    """Writes the quantiles of each unknown number, in a row of its own; returns the number of rows."""
    numbers = [i for i, column in enumerate(schema.columns) if column.width and not isinstance(column, Category)]
    count = 0
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["series", "step", "column", *(f"{100 * level:g} %" for level in LEVELS)])
        for name, values, known in zip(series.names, draws, series.known, strict=True):
            bounds = fan(values, LEVELS)
            for i in numbers:
                column: Any = schema.columns[i]
                for step in (~known[i]).nonzero()[:, 0].tolist():
                    own = _rounded(column, bounds[:, i, step])
                    cells = column.cells(own) if np.isfinite(own).all() else [""] * len(LEVELS)
                    writer.writerow([name, step + 1, column.name, *cells])
                    count += 1
    return count


def _picture(schema: Schema, series: Partial, draws: list[Tensor]) -> np.ndarray | None:
    """Draws the first series that has unknown numbers, its last steps; None if none has."""
    from genlab.plots.forecasts import SHOWN, forecast

    numbers: list[Column] = [c for c in schema.columns if c.width and not isinstance(c, Category)]
    rows = [i for i, column in enumerate(schema.columns) if column in numbers]
    for values, known in zip(draws, series.known, strict=True):
        if rows and not (mask := known[rows][:, -SHOWN:]).all():
            ensemble = values[:, rows][:, :, -SHOWN:]
            truth = torch.where(mask, ensemble[0], torch.nan)
            at = range(known.shape[1] - mask.shape[1] + 1, known.shape[1] + 1)
            return forecast(truth, mask, ensemble, [column.name for column in numbers], at)
    return None
