"""What the numbers of a sample mean: fields along its first axis, and how raw values of each kind are encoded.

A sample is one float tensor, channels first. Its channels belong to fields, in order: coordinates and columns of a
table are real, colours are pixels, a category of K words is K channels of which one is 1. Whatever depends on the
meaning of a number asks its field; `genlab.models.head` has what a model needs of them.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor

Kind = Literal["real", "pixel", "category"]
Range = Literal["real", "symmetric", "unit", "binary"]  # all reals, [-1, 1], [0, 1], {0, 1} drawn anew each batch
LIMITS: Mapping[Range, tuple[float, float]] = {"symmetric": (-1.0, 1.0), "unit": (0.0, 1.0), "binary": (0.0, 1.0)}


class Field(NamedTuple):
    """Consecutive channels of axis 0 of a sample that mean one thing.

    A model sees (value - mean) / deviation of a real, a pixel in its range, a category as K channels, one of them 1.
    """

    name: str = ""  # of a column; "" of coordinates and colours
    kind: Kind = "real"
    size: int = 1  # channels; of a category its K words
    range: Range = "real"  # of pixels
    mean: float = 0.0  # of a column, over the training split
    deviation: float = 1.0
    labels: tuple[str, ...] = ()  # the words of a category

    def cell(self, values: Sequence[float]) -> float | str:
        """What stands in a table for decoded values (size,): the word of a category, or a number.

        A number has the digits down to a millionth of the deviation, which is what single precision holds.
        """
        if self.kind != "category":
            return round(values[0], 6 - math.floor(math.log10(self.deviation)))
        k = max(range(self.size), key=values.__getitem__)
        return self.labels[k] if self.labels else str(k)


class Group(NamedTuple):
    """Neighbouring fields of one rule: reals, pixels of one range, or one category."""

    kind: Kind
    range: Range
    start: int  # channels start to stop - 1
    stop: int

    def of(self, x: Tensor) -> Tensor:
        """Its channels of x (B, C, ...)."""
        return x[:, self.start : self.stop]


def numeric(name: str, mean: float, deviation: float) -> Field:
    """A column of numbers that is standardised by these."""
    return Field(name, mean=mean, deviation=deviation)


def fields_of(shape: Sequence[int], range: Range) -> tuple[Field, ...]:
    """The field of samples whose values are all of one kind: reals as they are, or pixels of a range."""
    return (Field("", "real" if range == "real" else "pixel", shape[0], range),)


def grouped(fields: Sequence[Field]) -> Iterator[Group]:
    """Neighbouring fields of one rule as one group; every category is a group of its own."""
    start = 0
    kept: Group | None = None
    for each in fields:
        stop = start + each.size
        if kept and kept[:2] == (each.kind, each.range) and each.kind != "category":
            kept = kept._replace(stop=stop)
        else:
            if kept:
                yield kept
            kept = Group(each.kind, each.range, start, stop)
        start = stop
    if kept:
        yield kept


def one_hot(x: Tensor) -> Tensor:
    """1 at the largest channel of (B, K, ...), 0 elsewhere."""
    return torch.zeros_like(x).scatter(1, x.argmax(1, keepdim=True), 1.0)


def encode(group: Group, raw: Tensor) -> Tensor:
    """Raw values of a group, float32 (B, C, ...) -> what a model sees; pixels are overwritten."""
    if group.range == "symmetric":
        return raw.div_(127.5).sub_(1.0)
    if group.range == "unit":
        return raw.div_(255.0)
    if group.range == "binary":
        return (torch.rand_like(raw) < raw.div_(255.0)).float()
    return raw


def decode(group: Group, x: Tensor) -> Tensor:
    """What a model sees -> pixels in [0, 1], clipped; categories with 1 at their largest channel; reals as they are."""
    if group.kind == "category":
        return one_hot(x)
    if group.kind == "real":
        return x
    return (x.add(1.0).div(2.0) if group.range == "symmetric" else x).clamp(0.0, 1.0)


def from_unit(group: Group, x: Tensor) -> Tensor:
    """Pixels in [0, 1] -> their range; all else as it is."""
    if group.kind != "pixel":
        return x
    low, high = LIMITS[group.range]
    return low + (high - low) * x
