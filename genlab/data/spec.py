"""All that a model may know of the data before it sees any: the shape, what the channels mean, the classes."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from genlab.data.fields import LIMITS, Field, Group, Kind, Range, decode, encode, fields_of, from_unit, grouped, numeric

Layout = Literal["vector", "image"]  # (D,) or (C, H, W)


class Spec:
    """All that a model may know of the data before it sees any, and what its samples need to be read.

    Specs are equal where they describe samples of the same kind: `counts` are of one data set, and do not matter.

    Args:
        shape: of one sample: (D,) or (C, H, W).
        classes: number of labels; 0 where there are none.
        fields: what the channels mean; a range stands for one field of such values.
        labels: the names of the classes, where they have names.
        counts: training samples of each class; () where that is not known.

    Raises:
        ValueError: the fields do not fill axis 0.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        classes: int = 0,
        fields: tuple[Field, ...] | Range = "real",
        labels: tuple[str, ...] = (),
        counts: tuple[int, ...] = (),
    ) -> None:
        self.shape, self.classes, self.labels, self.counts = shape, classes, labels, counts
        self.fields = fields_of(shape, fields) if isinstance(fields, str) else tuple(fields)
        self.groups = tuple(grouped(self.fields))
        if (filled := sum(each.size for each in self.fields)) != shape[0]:
            raise ValueError(f"fields of {filled} channels for samples of shape {shape}")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Spec) and self._kind() == other._kind()

    def __hash__(self) -> int:
        return hash(self._kind())

    def __repr__(self) -> str:
        return f"Spec{(*self._kind(), self.counts)}"

    def _kind(self) -> tuple[Any, ...]:
        return self.shape, self.classes, self.fields, self.labels

    def counted(self, counts: Sequence[int]) -> "Spec":
        """The same, of a data set with these counts."""
        return Spec(self.shape, self.classes, self.fields, self.labels, tuple(counts))

    @property
    def layout(self) -> Layout:
        """How the axes are to be read."""
        return "image" if len(self.shape) == 3 else "vector"

    @property
    def columns(self) -> tuple[Field, ...]:
        """The fields of a table; () of anything else."""
        return self.fields if all(each.name for each in self.fields) else ()

    def cut(self, values: Sequence[float]) -> Iterator[tuple[Field, Sequence[float]]]:
        """Each field with its share of one value a channel."""
        start = 0
        for each in self.fields:
            yield each, values[start : start + each.size]
            start += each.size

    @property
    def scaled(self) -> bool:
        """Whether values have units of their own, as numeric columns have."""
        return any(each.kind == "real" and bool(each.name) for each in self.fields)

    @property
    def meaning(self) -> tuple[Any, ...]:
        """What two data sets must share for one model: the shape, and what each channel means; not names and scales."""
        words = tuple(each.labels for each in self.fields if each.kind == "category")
        return self.shape, self.groups, words

    @property
    def values(self) -> str:
        """What values a model sees, in words: real, symmetric, unit, binary, category, or several of them."""
        words = (each.range if each.kind == "pixel" else each.kind for each in self.fields)
        return " and ".join(dict.fromkeys(words))

    @property
    def limits(self) -> tuple[float, float]:
        """The lowest and the highest value of pixels.

        Raises:
            KeyError: the data are no pixels.
        """
        return LIMITS[self.groups[0].range]

    def only(self, kind: Kind) -> bool:
        """Whether all fields are of this kind."""
        return all(each.kind == kind for each in self.fields)

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

    def state(self) -> dict[str, Any]:
        """The spec as lists, numbers and words, for a checkpoint; `Spec.of` reads them. The counts are kept apart."""
        fields = [[*each[:-1], list(each.labels)] for each in self.fields]
        return {"shape": list(self.shape), "classes": self.classes, "fields": fields, "labels": list(self.labels)}

    @classmethod
    def of(cls, state: dict[str, Any] | list[Any], counts: Sequence[int] = ()) -> "Spec":
        """Read what `state` wrote, or the list that checkpoints of formats 1 and 2 have in its place.

        Raises:
            KeyError, TypeError, ValueError: it is damaged.
        """
        if isinstance(state, list):
            shape, classes, range, *table = state
            columns, labels = table or ([], [])  # the oldest have neither
            fields = tuple(numeric(*each) for each in columns) or fields_of(shape, range)
        else:
            shape, classes, labels = state["shape"], state["classes"], state["labels"]
            fields = tuple(Field(*each[:-1], labels=tuple(each[-1])) for each in state["fields"])
        for each in fields:
            if each.kind not in get_args(Kind) or each.range not in get_args(Range):
                raise ValueError(f"a field of kind {each.kind}, range {each.range}")
        return cls(tuple(shape), classes, fields, tuple(labels), tuple(counts))

    @property
    def log_scale(self) -> float:
        """Σ log deviation of the columns: log p(x) in data units is log p of the standardised x minus this, in nats."""
        return math.prod(self.shape[1:]) * sum(each.size * math.log(each.deviation) for each in self.fields)

    def encode(self, raw: Tensor) -> Tensor:
        """Raw samples -> float32 in the model's range. Binary draws each pixel from Bernoulli(pixel / 255)."""
        x = raw.float()
        if x is raw and not self.only("real"):
            x = x.clone()  # pixels are scaled in place
        return self.each(encode, x)

    def decode(self, x: Tensor) -> Tensor:
        """The model's range -> data units: images in [0, 1], clipped; columns in their units, fp64; points as is.

        Of a category the largest channel becomes 1, the others 0.
        """
        if self.only("real"):
            return self._in_units(x)
        return self.each(decode, self._in_units(x))

    def units(self, raw: Tensor) -> Tensor:
        """Raw samples -> data units, never binarized."""
        if self.only("real"):
            return self._in_units(raw)
        return self.each(lambda group, x: x / 255.0 if group.kind == "pixel" else x, self._in_units(raw.float()))

    def standardise(self, x: Tensor) -> Tensor:
        """Data units -> units in which distances make sense: columns as the model sees them, all else as it is.

        Unscaled, a column in thousands would drown one in thousandths.
        """
        if not self.scaled:
            return x
        mean, deviation = self._scale(x)
        return ((x - mean) / deviation).float()

    def from_units(self, x: Tensor) -> Tensor:
        """Data units -> the model's range, float32: what `decode` takes back."""
        return self.each(from_unit, self.standardise(x).float())

    def each(self, rule: Callable[[Group, Tensor], Tensor], x: Tensor) -> Tensor:
        """`rule` of the channels of each group."""
        if len(self.groups) == 1:
            return rule(self.groups[0], x)
        return torch.cat([rule(group, group.of(x)) for group in self.groups], dim=1)

    def _in_units(self, x: Tensor) -> Tensor:
        """Columns in their own units, all else as it is."""
        if not self.scaled:
            return x.float()
        mean, deviation = self._scale(x)
        return x.to(mean.dtype) * deviation + mean

    def _scale(self, like: Tensor) -> tuple[Tensor, Tensor]:
        exact = torch.float32 if like.device.type == "mps" else torch.float64  # which MPS does not have
        scales = [(each.mean, each.deviation) for each in self.fields for _ in range(each.size)]
        found = torch.tensor(scales, dtype=exact).view(-1, *[1] * (len(self.shape) - 1), 2).to(like.device)
        return found[..., 0], found[..., 1]
