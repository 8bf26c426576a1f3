"""What a model may know about the data before it sees any: the shape, what the channels mean, the classes."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from genlab.data.columns.schema import Schema
from genlab.data.fields import LIMITS, Field, Group, Kind, Range, decode, encode, fields_of, from_unit, grouped, numeric
from genlab.data.packed import Packed, presence
from genlab.data.series.source import Source

Layout = Literal["vector", "sequence", "image", "graph"]  # (D,), (C, T), (C, H, W) or packed, see `packed`


class Spec:
    """What a model may know about the data before it sees any, and what is needed to interpret its samples.

    Specs are equal if they describe samples of the same kind; `counts` belong to one data set and are not compared.

    Args:
        shape: the shape of one sample: (D,), (C, T) or (C, H, W).
        classes: number of classes; 0 for none.
        fields: what the channels mean; a range stands for one field of such values.
        labels: the names of the classes, if they have names.
        counts: training samples of each class; () if unknown.
        table: the schema, if samples are rows of a table of typed columns; its fields replace `fields`.
        steps: the schema of one step, if samples are series of typed columns; its fields replace `fields`.
        nodes: of graphs, the largest number of nodes; the shape then follows from the fields, those of nodes first.
        source: of series from a file, what the file looks like.

    Raises:
        ValueError: the sizes of the fields do not add up to axis 0.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        classes: int = 0,
        fields: tuple[Field, ...] | Range = "real",
        labels: tuple[str, ...] = (),
        counts: tuple[int, ...] = (),
        table: Schema | None = None,
        steps: Schema | None = None,
        nodes: int = 0,
        source: Source | None = None,
    ) -> None:
        self.shape, self.classes, self.labels, self.counts = shape, classes, labels, counts
        self.table, self.steps = table, steps
        if schema := table or steps:
            fields = schema.fields
        self.fields = fields if isinstance(fields, tuple) else fields_of(shape, fields)
        self.nodes, self.source = nodes, source
        if nodes:
            channels = (sum(field.size for field in self.fields if field.part == part) for part in ("node", "edge"))
            self.shape = Packed(nodes, *channels)
        self.groups = tuple(grouped(self.fields, self.places))
        if (filled := sum(map(self.width, self.fields))) != self.shape[0]:
            raise ValueError(f"the fields have {filled} channels for samples of shape {shape}")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Spec) and self._kind() == other._kind()

    def __hash__(self) -> int:
        return hash(self._kind())

    def __repr__(self) -> str:
        return f"Spec{(*self._kind(), self.counts)}"

    def _kind(self) -> tuple[Any, ...]:
        return self.shape, self.classes, self.fields, self.labels, self.table, self.steps, self.nodes, self.source

    def counted(self, counts: Sequence[int]) -> "Spec":
        """Returns a copy with these counts."""
        parts = (self.table, self.steps, self.nodes, self.source)
        return Spec(self.shape, self.classes, self.fields, self.labels, tuple(counts), *parts)

    @property
    def layout(self) -> Layout:
        """How to interpret the axes."""
        if self.nodes:
            return "graph"
        layouts: dict[int, Layout] = {1: "vector", 2: "sequence", 3: "image"}
        return layouts[len(self.shape)]

    @property
    def columns(self) -> tuple[Field, ...]:
        """The fields of a table; () for anything else."""
        return self.fields if all(field.name for field in self.fields) and not self.nodes else ()

    def cut(self, values: Sequence[float]) -> Iterator[tuple[Field, Sequence[float]]]:
        """Yields each field with its slice of `values`, which has one value per channel."""
        start = 0
        for field in self.fields:
            stop = start + self.width(field)
            yield field, values[start:stop]
            start = stop

    @property
    def places(self) -> dict[str, int]:
        """Of a graph: how many nodes and pairs of nodes there are; {} for anything else."""
        return {"node": self.nodes, "edge": self.nodes * (self.nodes - 1) // 2} if self.nodes else {}

    def width(self, field: Field) -> int:
        """How many numbers along axis 0 a field has."""
        return field.size * self.places.get(field.part, 1)

    @property
    def given(self) -> tuple[bool, ...]:
        """For each channel, whether models are given it instead of learning it; () if they learn all."""
        if self.table and self.table.given:
            columns = [column for column in self.table.columns for _ in range(column.width)]
            return tuple(column.name in self.table.given for column in columns)
        if any(field.kind == "present" for field in self.fields):
            return tuple(field.kind == "present" for field in self.fields for _ in range(self.width(field)))
        return ()

    @property
    def context(self) -> int:
        """How many numbers of a sample models are given."""
        return sum(self.given) * math.prod(self.shape[1:])

    def presence(self, x: Tensor) -> Tensor | None:
        """Returns 1 for the numbers of x (B, *shape) that are there, 0 for others; None if all always are."""
        for group in self.groups:
            if group.kind == "present":
                here = group.of(x)
                return presence(here.flatten(1), self.shape) if isinstance(self.shape, Packed) else here.expand_as(x)
        return None

    def code(self, size: int) -> tuple[int, ...]:
        """Returns the shape of codes of `size` numbers: (size,), or (size, N) for graphs, one for each node.

        Codes of nodes keep the order of the nodes, so that nothing in a model depends on that order.
        """
        return (size, self.nodes) if self.nodes else (size,)

    @property
    def learnt(self) -> "Spec":
        """The spec of the channels that models learn, without the given ones."""
        if not (given := self.given):
            return self
        fields = tuple(field for field, flags in self.cut(given) if not flags[0])
        shape = (sum(map(self.width, fields)), *self.shape[1:])
        return Spec(shape, self.classes, fields, self.labels, self.counts, nodes=self.nodes)

    @property
    def scaled(self) -> bool:
        """Whether some values have their own units, as numeric columns do."""
        return not (self.table or self.steps) and any(
            field.kind == "real" and bool(field.name) for field in self.fields
        )

    @property
    def meaning(self) -> tuple[Any, ...]:
        """What data sets must share to serve one model: the shape and the meaning of each channel, but no scales."""
        words = tuple(field.labels for field in self.fields if field.kind == "category")
        return self.shape, self.groups, words

    @property
    def values(self) -> str:
        """The values that a model sees: real, symmetric, unit, binary, category, or several joined by "and"."""
        words = (field.range if field.kind == "pixel" else field.kind for field in self.fields)
        return " and ".join(dict.fromkeys(words))

    @property
    def limits(self) -> tuple[float, float]:
        """The lowest and the highest value of pixels.

        Raises:
            KeyError: the data are not pixels.
        """
        return LIMITS[self.groups[0].range]

    def only(self, kind: Kind) -> bool:
        """Returns whether all fields are of this kind."""
        return all(field.kind == kind for field in self.fields)

    @property
    def shares(self) -> tuple[float, ...]:
        """The share of each class among the training samples; equal shares if the counts are unknown."""
        total = sum(self.counts)
        return tuple(n / total for n in self.counts) if total else (1 / max(self.classes, 1),) * self.classes

    @property
    def even(self) -> bool:
        """Whether no class has more than twice the training samples of another."""
        return not self.counts or max(self.counts) <= 2 * min(self.counts)

    def class_name(self, k: int) -> str:
        return self.labels[k] if self.labels else str(k)

    def state(self) -> dict[str, Any]:
        """Returns the spec as lists, numbers and strings for a checkpoint, without the counts; `Spec.of` reads it."""
        fields = [[*field[:-1], list(field.labels)] for field in self.fields]
        state = {"shape": list(self.shape), "classes": self.classes, "fields": fields, "labels": list(self.labels)}
        schemas = {"table": self.table, "steps": self.steps}
        state |= {name: schema.state() for name, schema in schemas.items() if schema}
        state |= {"source": self.source.state()} if self.source else {}
        return state | {"nodes": self.nodes} if self.nodes else state

    @classmethod
    def of(cls, state: dict[str, Any] | list[Any], counts: Sequence[int] = ()) -> "Spec":
        """Reads what `state` wrote, or the list that checkpoints of formats 1 and 2 have instead.

        Raises:
            KeyError, TypeError, ValueError: the state is damaged.
        """
        if isinstance(state, list):
            shape, classes, range, *table = state
            columns, labels = table or ([], [])  # the oldest have neither
            fields = tuple(numeric(*column) for column in columns) or fields_of(shape, range)
        else:
            shape, classes, labels = state["shape"], state["classes"], state["labels"]
            fields = tuple(Field(*field[:-1], labels=tuple(field[-1])) for field in state["fields"])
        for field in fields:
            if field.kind not in get_args(Kind) or field.range not in get_args(Range):
                raise ValueError(f"unknown field of kind {field.kind}, range {field.range}")
        more: dict[str, Any] = {}
        if isinstance(state, dict):
            more = {name: Schema.of(state[name]) for name in ("table", "steps") if name in state}
            more["nodes"] = state.get("nodes", 0)
            more["source"] = Source.of(state["source"]) if "source" in state else None
        return cls(tuple(shape), classes, fields, tuple(labels), tuple(counts), **more)

    @property
    def log_scale(self) -> float:
        """Σ log deviation over the columns, in nats: log p in data units is log p of the standardised x minus this."""
        return math.prod(self.shape[1:]) * sum(field.size * math.log(field.deviation) for field in self.fields)

    def encode(self, raw: Tensor) -> Tensor:
        """Encodes raw samples as float32 in the model's range; "binary" draws pixels from Bernoulli(pixel / 255)."""
        if self.table:
            return self.table.expand(raw)
        if self.steps:
            return by_step(self.steps.expand, raw)
        x = raw.float()
        if x is raw and not self.only("real"):
            x = x.clone()  # pixels are scaled in place
        return self.each(encode, x)

    def decode(self, x: Tensor) -> Tensor:
        """Converts the model's range to data units: images clipped to [0, 1], columns in float64, points unchanged.

        The largest channel of a category becomes 1, the others 0. Static columns of series become constant.
        """
        if self.table:
            return self.table.decode(x)
        if self.steps:
            return by_step(self.steps.decode, self._held(x))
        if self.only("real"):
            return self._in_units(x)
        return self.each(decode, self._in_units(x))

    def units(self, raw: Tensor) -> Tensor:
        """Converts raw samples to data units, never binarized."""
        if self.table:
            return self.table.decode(self.table.expand(raw))
        if self.steps:
            return by_step(self.steps.decode, by_step(self.steps.expand, raw))
        if self.only("real"):
            return self._in_units(raw)
        return self.each(lambda group, x: x / 255.0 if group.kind == "pixel" else x, self._in_units(raw.float()))

    def standardise(self, x: Tensor) -> Tensor:
        """Converts data units to units in which distances make sense: standardises columns, keeps everything else.

        Without this, a column in the thousands would drown one in the thousandths.
        """
        if self.table:
            return self.table.scores(x)
        if self.steps:
            return by_step(self.steps.scores, x)
        if not self.scaled:
            return x
        mean, deviation = self._scale(x)
        return ((x - mean) / deviation).float()

    def from_units(self, x: Tensor) -> Tensor:
        """Converts data units to the model's range, float32; the inverse of `decode`."""
        if self.table:
            return self.table.encode(x)
        if self.steps:
            return by_step(self.steps.encode, x)
        return self.each(from_unit, self.standardise(x).float())

    def each(self, rule: Callable[[Group, Tensor], Tensor], x: Tensor) -> Tensor:
        """Applies `rule` to the channels of each group of x (B, C, ...)."""
        if len(self.groups) == 1 and not self.nodes:
            return rule(self.groups[0], x)
        return torch.cat([group.back(rule(group, group.of(x))) for group in self.groups], dim=1)

    def _held(self, x: Tensor) -> Tensor:
        """Replaces the static columns of series (B, C, T), which are constant in the data, by their mean over time."""
        if not (self.steps and self.source and self.source.static):
            return x
        held = [column.name in self.source.static for column in self.steps.columns for _ in range(column.width)]
        mask = torch.tensor(held, device=x.device)[:, None]
        return torch.where(mask, x.mean(2, keepdim=True), x)

    def _in_units(self, x: Tensor) -> Tensor:
        """Converts standardised columns to their own units, keeps everything else."""
        if not self.scaled:
            return x.float()
        mean, deviation = self._scale(x)
        return x.to(mean.dtype) * deviation + mean

    def _scale(self, like: Tensor) -> tuple[Tensor, Tensor]:
        exact = torch.float32 if like.device.type == "mps" else torch.float64  # MPS has no float64
        scales = [(field.mean, field.deviation) for field in self.fields for _ in range(field.size)]
        pairs = torch.tensor(scales, dtype=exact).view(-1, *[1] * (len(self.shape) - 1), 2).to(like.device)
        return pairs[..., 0], pairs[..., 1]


def by_step(rule: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Applies a rule for rows, (B, C) -> (B, D), to each step of series: (B, C, T) -> (B, D, T)."""
    rows = rule(x.transpose(1, 2).flatten(0, 1))
    return rows.unflatten(0, (len(x), x.shape[2])).transpose(1, 2)
