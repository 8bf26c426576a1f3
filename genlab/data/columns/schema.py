"""The schema of a table: its columns in order, their channels side by side, and the format of the source.

In memory and on disk a row is packed: one number for each field, which is the index of a word for a category. Batches
are expanded to what a model sees, one channel for each word.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from genlab.data.columns import kinds
from genlab.data.columns.base import Column
from genlab.data.columns.constraints import Constraint

CHUNK = 100_000  # rows that are encoded at a time, to bound the memory


class Schema:
    """The columns of a table and the format of its source.

    Args:
        columns: in the source's order.
        suffix: of the source's name: ".csv", ".tsv.gz", ".parquet", ...; "" for a frame.
        delimiter, encoding: of a text file.
        constraints: between the numbers of a row, see `Constraint`; samples fulfil them.
        missing: the texts that stand for missing values; () for the usual ones.
        header: whether a text file starts with the names of the columns.
        label: the column that is to be predicted from the others; "" for none.
        given: columns that models are given instead of learning them.
    """

    def __init__(
        self,
        columns: Sequence[Column],
        suffix: str = ".csv",
        delimiter: str = ",",
        encoding: str = "utf-8",
        label: str = "",
        header: bool = True,
        constraints: Sequence[str] = (),
        missing: Sequence[str] = (),
        given: Sequence[str] = (),
    ) -> None:
        self.columns, self.label, self.header = tuple(columns), label, header
        self.constraints = [Constraint(text, self.columns) for text in constraints]
        self.missing, self.given = list(missing), list(given)
        self.suffix, self.delimiter, self.encoding = suffix, delimiter, encoding
        self.fields = tuple(field for column in self.columns for field in column.fields)
        self.width = sum(field.size for field in self.fields)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Schema) and self.state() == other.state()

    def __hash__(self) -> int:
        return hash(self.columns)

    def __repr__(self) -> str:
        return f"Schema{self.columns}"

    def state(self) -> dict[str, Any]:
        """Returns plain values for a checkpoint; `of` reads them."""
        columns = [column.state() for column in self.columns]
        names = ("suffix", "delimiter", "encoding", "label", "header", "missing", "given")
        texts = [constraint.text for constraint in self.constraints]
        return {"columns": columns, "constraints": texts, **{name: getattr(self, name) for name in names}}

    @classmethod
    def of(cls, state: dict[str, Any]) -> "Schema":
        """Reads what `state` wrote.

        Raises:
            KeyError, TypeError, ValueError: the state is damaged.
        """
        return cls(**{**state, "columns": [kinds.of(column) for column in state["columns"]]})

    def column(self, name: str) -> Column:
        """The column of this name; a KeyError if there is none."""
        return {column.name: column for column in self.columns}[name]

    def cut(self, x: Tensor) -> Iterator[tuple[Column, Tensor]]:
        """Yields each column with its channels of x (B, width)."""
        yield from zip(self.columns, x.split([column.width for column in self.columns], dim=1), strict=True)

    def expand(self, packed: Tensor) -> Tensor:
        """Packed rows (B, fields) -> (B, width) float32, one channel for each word of a category."""
        parts = [
            one_hot(packed[:, i].long(), field.size).float()
            if field.kind == "category"
            else packed[:, i : i + 1].float()
            for i, field in enumerate(self.fields)
        ]
        return torch.cat(parts, dim=1)

    def pack(self, x: Tensor) -> Tensor:
        """The inverse of `expand`: (B, width) -> (B, fields)."""
        parts = x.split([field.size for field in self.fields], dim=1)
        packed = [
            part.argmax(1, keepdim=True).to(x) if field.kind == "category" else part
            for part, field in zip(parts, self.fields, strict=True)
        ]
        return torch.cat(packed, dim=1)

    def decode(self, x: Tensor) -> Tensor:
        """Converts what a model sees to the columns' own units: (B, width) -> (B, width) float64."""
        return self._each(lambda column, part: column.decode(part), x)

    def encode(self, units: Tensor) -> Tensor:
        """Converts the columns' own units to what a model sees: (B, width) -> (B, width) float32."""
        return self._each(lambda column, part: column.encode(part), units)

    def scores(self, units: Tensor) -> Tensor:
        """Converts units to numbers in which distances make sense: (B, width) -> (B, width) float32."""
        return self._each(lambda column, part: column.scores(part), units)

    def values(self, units: Tensor) -> Tensor:
        """One number for each column, NaN where it is missing: (B, width) -> (B, columns) float64."""
        return torch.stack([column.values(part) for column, part in self.cut(units)], dim=1)

    def named(self, units: Tensor) -> dict[str, Tensor]:
        """The values of each column by its name, see `Column.values`: (B, width) -> (B,) each."""
        return {column.name: column.values(part) for column, part in self.cut(units)}

    def fulfil(self, units: Tensor) -> tuple[Tensor, Tensor]:
        """Derives the columns that constraints define, and checks the rest.

        Rows in units (B, width) -> the same with derived columns, and which rows fulfil all constraints, (B,) bool.
        """
        values = self.named(units)
        for constraint in self.constraints:
            if constraint.derived:
                values[constraint.derived] = self._derived(constraint, values)
        if any(constraint.derived for constraint in self.constraints):
            made = {constraint.derived for constraint in self.constraints}
            units = torch.cat(
                [
                    column.units(values[column.name].cpu().numpy()).to(part) if column.name in made else part
                    for column, part in self.cut(units)
                ],
                dim=1,
            )
        return units, self._holds(values)

    def holds(self, units: Tensor) -> Tensor:
        """Which rows in units (B, width) fulfil all constraints as they are: (B,) bool."""
        return self._holds(self.named(units))

    def _holds(self, values: dict[str, Tensor]) -> Tensor:
        good = torch.ones_like(next(iter(values.values())), dtype=torch.bool)
        for constraint in self.constraints:
            good &= constraint.holds(values)
        return good

    def _derived(self, constraint: Constraint, values: dict[str, Tensor]) -> Tensor:
        """The column that a constraint defines, rounded; where it cannot be computed or is missing, as it was drawn."""
        assert constraint.derived is not None
        before, made = values[constraint.derived], constraint.derive(values)
        decimals = getattr(self.column(constraint.derived), "decimals", None)
        made = made if decimals is None else torch.round(made, decimals=decimals)
        return torch.where(made.isfinite() & ~before.isnan(), made, before)

    def _each(self, rule: Callable[[Column, Tensor], Tensor], x: Tensor) -> Tensor:
        return torch.cat([rule(column, part) for column, part in self.cut(x)], dim=1)
