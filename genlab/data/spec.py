"""All that a model may know of the data before it sees any: shape, classes, range, columns."""

import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

Range = Literal["real", "symmetric", "unit", "binary"]  # all reals, [-1, 1], [0, 1], {0, 1} drawn anew each batch


class Column(NamedTuple):
    """One column of a table. The model sees (value - mean) / deviation, both taken over the training split."""

    name: str
    mean: float
    deviation: float


class Spec(NamedTuple):
    """All that a model may know of the data before it sees any, and what its samples need to be read.

    Specs are equal where they describe samples of the same kind: `counts` are of one data set, and do not matter.
    """

    shape: tuple[int, ...]  # of one sample: (D,) or (C, H, W)
    classes: int = 0  # 0 where there are no labels
    range: Range = "real"
    columns: tuple[Column, ...] = ()  # of a table; () where points are what they are
    labels: tuple[str, ...] = ()  # the names of the classes, where they have names
    counts: tuple[int, ...] = ()  # training samples of each class; () where that is not known

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Spec) and tuple(self)[:-1] == tuple(other)[:-1]

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(tuple(self)[:-1])

    @property
    def is_image(self) -> bool:
        return len(self.shape) == 3

    @property
    def shares(self) -> tuple[float, ...]:
        """The share of each class among the training samples; even shares where the counts are not known."""
        total = sum(self.counts)
        return tuple(n / total for n in self.counts) if total else (1 / max(self.classes, 1),) * self.classes

    @property
    def even(self) -> bool:
        """Whether no class has more than twice the training samples of another."""
        return not self.counts or max(self.counts) <= 2 * min(self.counts)

    def class_name(self, k: int) -> str:
        return self.labels[k] if self.labels else str(k)

    def state(self) -> list[Any]:
        """The spec as lists, numbers and words, for a checkpoint; `Spec.of` reads them. The counts are kept apart."""
        columns = [list(column) for column in self.columns]
        return [list(self.shape), self.classes, self.range, columns, list(self.labels)]

    @classmethod
    def of(cls, state: list[Any], counts: Sequence[int] = ()) -> "Spec":
        shape, classes, range, *table = state
        columns, labels = table or ([], [])  # checkpoints of older runs have neither
        columns = tuple(Column(*each) for each in columns)
        return cls(tuple(shape), classes, range, columns, tuple(labels), tuple(counts))

    @property
    def log_scale(self) -> float:
        """Σ log deviation of the columns: log p(x) in data units is log p of the standardised x minus this, in nats."""
        return sum(math.log(column.deviation) for column in self.columns)

    def decode(self, x: Tensor) -> Tensor:
        """The model's range -> data units: images in [0, 1], clipped; columns in their units, fp64; points as is."""
        if self.columns:
            mean, deviation = self._scale(x)
            return x.to(mean.dtype) * deviation + mean
        x = x.float()
        if self.range == "real":
            return x
        return (x.add(1.0).div(2.0) if self.range == "symmetric" else x).clamp(0.0, 1.0)

    def standardise(self, x: Tensor) -> Tensor:
        """Data units -> units in which distances make sense: columns as the model sees them, all else as it is.

        Unscaled, a column in thousands would drown one in thousandths.
        """
        if not self.columns:
            return x
        mean, deviation = self._scale(x)
        return ((x - mean) / deviation).float()

    def _scale(self, like: Tensor) -> tuple[Tensor, Tensor]:
        exact = torch.float32 if like.device.type == "mps" else torch.float64  # which MPS does not have
        means, deviations = [c.mean for c in self.columns], [c.deviation for c in self.columns]
        return torch.tensor(means, dtype=exact).to(like.device), torch.tensor(deviations, dtype=exact).to(like.device)
