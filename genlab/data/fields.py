"""Fields say what the channels of a sample mean, and how raw values of each kind are encoded.

A sample is one float tensor, channels first. Its channels belong to fields, in order: coordinates and columns of a
table are real, colours are pixels, a category with K labels is one-hot in K channels. Code that depends on the meaning
of a number asks its field; `genlab.models.head` has what a model needs from the fields.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor

Kind = Literal["real", "pixel", "category", "present"]
Range = Literal["real", "symmetric", "unit", "binary"]  # all reals, [-1, 1], [0, 1], {0, 1} redrawn for each batch
LIMITS: Mapping[Range, tuple[float, float]] = {"symmetric": (-1.0, 1.0), "unit": (0.0, 1.0), "binary": (0.0, 1.0)}


class Field(NamedTuple):
    """Consecutive channels of a sample that have one meaning.

    A model sees a real as (value - mean) / deviation, a pixel in its range, a category as K one-hot channels, and 1 or
    0 for whether a step of a series or a node of a graph is there, which it is given instead of learning it.
    """

    name: str = ""  # name of a column; "" for coordinates and colours
    kind: Kind = "real"
    size: int = 1  # number of channels; the K labels of a category
    range: Range = "real"  # range of pixels
    mean: float = 0.0  # mean of a column over the training split
    deviation: float = 1.0
    part: str = ""  # of a graph: "node" or "edge", whose numbers these are
    labels: tuple[str, ...] = ()  # the labels of a category

    def cell(self, values: Sequence[float]) -> float | str:
        """Returns the table cell for decoded values (size,): the label of a category, or a number.

        A number is rounded to about a millionth of the deviation, which is what single precision holds.
        """
        if self.kind != "category":
            return round(values[0], 6 - math.floor(math.log10(self.deviation)))
        k = max(range(self.size), key=values.__getitem__)
        return self.labels[k] if self.labels else str(k)


class Group(NamedTuple):
    """Neighbouring fields that are encoded alike: reals, pixels of one range, or one category."""

    kind: Kind
    range: Range
    start: int  # first channel
    stop: int  # one past the last channel
    places: int = 1  # of a packed graph: the nodes or pairs that have such channels

    def of(self, x: Tensor) -> Tensor:
        """Returns the channels of this group from x (B, C, ...); of a packed graph, (B, K, places)."""
        part = x[:, self.start : self.stop]
        return part if self.places == 1 else part.unflatten(1, (-1, self.places))

    def back(self, part: Tensor) -> Tensor:
        """The inverse of `of`: the channels as they lie in x."""
        return part if self.places == 1 else part.flatten(1)


def numeric(name: str, mean: float, deviation: float) -> Field:
    """Returns the field of a column of numbers that is standardised by this mean and deviation."""
    return Field(name, mean=mean, deviation=deviation)


def fields_of(shape: Sequence[int], range: Range) -> tuple[Field, ...]:
    """Returns the one field of samples whose values are all reals or all pixels of one range."""
    return (Field("", "real" if range == "real" else "pixel", shape[0], range),)


def grouped(fields: Sequence[Field], places: Mapping[str, int] | None = None) -> Iterator[Group]:
    """Groups neighbouring fields that are encoded alike; every category is a group of its own.

    Args:
        places: of a packed graph: how many nodes and pairs there are; every field is then a group of its own.
    """
    if places:
        start = 0
        for field in fields:
            stop = start + field.size * places[field.part]
            yield Group(field.kind, field.range, start, stop, places[field.part])
            start = stop
        return
    start = 0
    group: Group | None = None
    for field in fields:
        stop = start + field.size
        if group and group[:2] == (field.kind, field.range) and field.kind != "category":
            group = group._replace(stop=stop)
        else:
            if group:
                yield group
            group = Group(field.kind, field.range, start, stop)
        start = stop
    if group:
        yield group


def one_hot(x: Tensor) -> Tensor:
    """Returns 1 at the largest channel of x (B, K, ...), 0 elsewhere."""
    return torch.zeros_like(x).scatter(1, x.argmax(1, keepdim=True), 1.0)


def encode(group: Group, raw: Tensor) -> Tensor:
    """Encodes raw values of a group, float32 (B, C, ...), as a model sees them; overwrites pixels in place."""
    if group.range == "symmetric":
        return raw.div_(127.5).sub_(1.0)
    if group.range == "unit":
        return raw.div_(255.0)
    if group.range == "binary":
        return (torch.rand_like(raw) < raw.div_(255.0)).float()
    return raw


def decode(group: Group, x: Tensor) -> Tensor:
    """Decodes what a model sees: clips pixels to [0, 1], makes categories one-hot, keeps reals."""
    if group.kind == "category":
        return one_hot(x)
    if group.kind in ("real", "present"):
        return x
    return (x.add(1.0).div(2.0) if group.range == "symmetric" else x).clamp(0.0, 1.0)


def from_unit(group: Group, x: Tensor) -> Tensor:
    """Maps pixels from [0, 1] to their range; keeps everything else."""
    if group.kind != "pixel":
        return x
    low, high = LIMITS[group.range]
    return low + (high - low) * x
