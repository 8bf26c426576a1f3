"""The channels of series as measures and pictures read them: one number for each cell, or numbers to compute with.

Series in data units have one channel for each number and, if their steps are rows of typed columns, one for each word
of a category and two flags for a column with missing cells.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from genlab.data.columns.base import Column
from genlab.data.spec import Spec, by_step


class Channel(NamedTuple):
    """One quantity that is recorded at every step."""

    name: str
    labels: tuple[str, ...] = ()  # the words of a category; () for numbers


def channels_of(spec: Spec) -> list[Channel]:
    """Returns the channels by name; those without a name are called `channel 1`, `channel 2`, ..."""
    if spec.steps:
        return [Channel(column.name, labels(column)) for column in spec.steps.columns if column.width]
    found: list[Channel] = []
    for field in spec.fields:
        if field.kind == "category":
            words = field.labels or tuple(map(str, range(field.size)))
            found.append(Channel(field.name or f"channel {len(found) + 1}", words))
        elif field.name and field.size == 1:
            found.append(Channel(field.name))
        else:
            start = len(found)
            found += [Channel(f"{field.name or 'channel'} {start + i + 1}") for i in range(field.size)]
    return found


def labels(column: Column) -> tuple[str, ...]:
    """The words of a column of categories; () for a column of numbers."""
    return tuple(getattr(column, "labels", ()))


def values(spec: Spec, units: Tensor) -> Tensor:
    """One number for each cell: (N, *shape) in data units -> (N, C, T) float64.

    Words are given by their index; missing numbers are NaN.
    """
    if schema := spec.steps:

        def of_rows(rows: Tensor) -> Tensor:
            return torch.stack([column.values(part) for column, part in schema.cut(rows) if column.width], dim=1)

        return by_step(of_rows, units.double())
    parts = units.double().split([field.size for field in spec.fields], dim=1)
    return torch.cat(
        [
            part.argmax(1, keepdim=True).double() if field.kind == "category" else part
            for field, part in zip(spec.fields, parts, strict=True)
        ],
        dim=1,
    )


def numbers(spec: Spec, units: Tensor) -> tuple[Tensor, Tensor]:
    """Numbers to compute with: (N, *shape) in data units -> (N, D, T) float64, and which are flags, (D,) bool.

    Numbers stay as they are, a missing one is the column's median beside a channel that is 1 where it is missing, and
    each word of a category has a channel that is 1 where it stands.
    """
    if schema := spec.steps:

        def of_rows(rows: Tensor) -> Tensor:
            return torch.cat([dense(column, part) for column, part in schema.cut(rows) if column.width], dim=1)

        flags: list[bool] = []
        for column in schema.columns:
            if column.width:
                words = len(labels(column))
                flags += [True] * words or [False] + [True] * (column.missing is not None)
        return by_step(of_rows, units.double()), torch.tensor(flags)
    flags = [field.kind == "category" for field in spec.fields for _ in range(field.size)]
    return units.double(), torch.tensor(flags)


def dense(column: Column, part: Tensor) -> Tensor:
    """The numbers of one column: its channels in units (B, width) -> (B, D)."""
    if labels(column):
        return part
    number = column.values(part)[:, None]
    if column.missing is None:
        return number
    middle = float(getattr(column, "middle", 0.0))
    return torch.cat([number.nan_to_num(middle), number.isnan().to(number)], dim=1)


class Scale(NamedTuple):
    """Mean and standard deviation of each channel, (D, 1) float64; 0 and 1 for flags."""

    mean: Tensor
    deviation: Tensor

    @classmethod
    def of(cls, x: Tensor, flags: Tensor) -> "Scale":
        """Measures series x (N, D, T) over samples and steps; a constant channel gets the deviation 1."""
        flat = x.transpose(0, 1).flatten(1)
        mean, deviation = flat.mean(1), flat.std(1, correction=0)
        tiny = 1e-12 * mean.abs().clamp(min=1e-300)  # what rounding leaves of a constant channel
        deviation = torch.where(deviation > tiny, deviation, 1.0)
        flags = flags.to(x.device)
        return cls(torch.where(flags, 0.0, mean)[:, None], torch.where(flags, 1.0, deviation)[:, None])

    def __call__(self, x: Tensor) -> Tensor:
        """Standardises series (N, D, T): float32."""
        return ((x - self.mean.to(x.device)) / self.deviation.to(x.device)).float()
