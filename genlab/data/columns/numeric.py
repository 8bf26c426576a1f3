"""Columns of numbers, encoded as normal scores or standardised, rounded and clipped on the way back.

A missing number is a second field of two words, "present" and "missing", which is learnt like any category. The value
channel of a missing number holds independent noise, N(0, 1), so it says nothing and disturbs no density.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from genlab.data.columns.base import Column
from genlab.data.columns.quantiles import SMALLEST, Quantiles
from genlab.data.fields import Field, numeric

ENCODINGS = ("quantile", "standard")


class Numeric(Column):
    """A column of numbers.

    Args:
        quantiles: of its values in the training rows.
        decimals: digits after the point that its values have; None: as many as a double has.
        encoding: what a model sees: "quantile" for normal scores, "standard" for (v - mean) / deviation.
        mean, deviation: of the training rows.
    """

    def __init__(
        self,
        name: str,
        quantiles: Quantiles,
        decimals: int | None = None,
        encoding: str = "quantile",
        mean: float = 0.0,
        deviation: float = 1.0,
        missing: str | None = None,
    ) -> None:
        super().__init__(name, missing)
        self.quantiles, self.decimals, self.encoding = quantiles, decimals, encoding
        self.mean, self.deviation = mean, deviation

    @classmethod
    def arguments(cls, values: np.ndarray) -> dict[str, Any]:
        """What is fitted on the training values (N,), without the missing ones."""
        deviation = float(values.std())
        return {
            "quantiles": Quantiles.fit(values),
            "mean": float(values.mean()),
            "deviation": deviation if deviation > 0 else 1.0,
        }

    @property
    def fields(self) -> tuple[Field, ...]:
        value = numeric(self.name, 0.0, 1.0)
        if self.missing is None:
            return (value,)
        return value, Field(f"{self.name} missing", "category", 2, labels=("present", "missing"))

    @property
    def low(self) -> float:
        return self.quantiles.lists[0][0]

    @property
    def high(self) -> float:
        return self.quantiles.lists[0][-1]

    def state(self) -> dict[str, Any]:
        names = ("name", "decimals", "encoding", "mean", "deviation", "missing")
        return {"kind": self.kind, "quantiles": self.quantiles.state(), **{name: getattr(self, name) for name in names}}

    @classmethod
    def of(cls, state: dict[str, Any]) -> "Numeric":
        """Reads what `state` wrote."""
        return cls(**{**state, "quantiles": Quantiles(*state["quantiles"])})

    def encode(self, units: Tensor, noise: Tensor | None = None) -> Tensor:
        v = units[:, 0].double()
        if self.encoding == "standard":
            x = (v - self.mean) / self.deviation
        else:
            x = self.quantiles.scores(v, None if noise is None else noise[:, 0])
        if self.missing is not None:
            hidden = torch.zeros_like(x) if noise is None else torch.special.ndtri(noise[:, 1].double().clamp(1e-7))
            x = torch.where(units[:, 2] > 0.5, hidden, x)
        return torch.cat([x[:, None], units[:, 1:]], dim=1).float()

    def decode(self, x: Tensor) -> Tensor:
        z = x[:, 0].double()
        v = z * self.deviation + self.mean if self.encoding == "standard" else self.quantiles.from_scores(z)
        v = v.clamp(self.low, self.high)
        if self.decimals is not None:
            v = torch.round(v, decimals=self.decimals)
        flags = (
            torch.nn.functional.one_hot((x[:, 2:] > x[:, 1:2]).long()[:, 0], 2) if self.missing is not None else None
        )
        return v[:, None] if flags is None else torch.cat([v[:, None], flags.double()], dim=1)

    def ranks(self, x: Tensor) -> Tensor:
        """The ranks F(v) in [0, 1] of what a model sees: (B,) -> (B,) float64."""
        if self.encoding == "standard":
            return self.quantiles.ranks(x.double() * self.deviation + self.mean)
        return torch.special.ndtr(x.double())

    def from_ranks(self, u: Tensor) -> Tensor:
        """What a model sees of values of these ranks: (B,) float64 -> (B,) float64."""
        if self.encoding == "standard":
            return (self.quantiles.at(u) - self.mean) / self.deviation
        return torch.special.ndtri(u.clamp(SMALLEST, 1 - SMALLEST))

    def scores(self, units: Tensor) -> Tensor:
        z = self.quantiles.scores(units[:, 0].double())
        if self.missing is not None:
            z = torch.where(units[:, 2] > 0.5, 0.0, z)
        return torch.cat([z[:, None], units[:, 1:]], dim=1).float()

    def values(self, units: Tensor) -> Tensor:
        v = units[:, 0].double()
        return v if self.missing is None else torch.where(units[:, 2] > 0.5, torch.nan, v)

    def units(self, values: np.ndarray) -> Tensor:
        v = torch.from_numpy(np.array(values, dtype=np.float64))
        if self.missing is None:
            return v[:, None]
        gone = v.isnan()
        return torch.stack([v.nan_to_num(self.mean), (~gone).double(), gone.double()], dim=1)

    def text(self, units: Tensor, generator: torch.Generator) -> Sequence[Any]:
        cells = self.cells(units[:, 0].double().numpy())
        gone = np.zeros(len(cells), bool) if self.missing is None else units[:, 2].numpy() > 0.5
        return [self.missing if lost else cell for cell, lost in zip(cells, gone, strict=True)]

    def description(self) -> str:
        low, high = self.cells(np.array([self.low, self.high]))
        return f"{super().description()}, {low} to {high}"

    def cells(self, v: np.ndarray) -> list[str]:
        """The numbers (N,) as they stand in a file."""
        raise NotImplementedError


class Real(Numeric):
    """A column of reals.

    Args:
        fixed: whether the source always writes all decimals, 3.10 and not 3.1.
        point, group: the decimal sign, and what separates thousands, "" for nothing.
    """

    kind: ClassVar[str] = "real"

    def __init__(self, *args: Any, fixed: bool = False, point: str = ".", group: str = "", **options: Any) -> None:
        super().__init__(*args, **options)
        self.fixed, self.point, self.group = fixed, point, group

    def state(self) -> dict[str, Any]:
        return {**super().state(), "fixed": self.fixed, "point": self.point, "group": self.group}

    def cells(self, v: np.ndarray) -> list[str]:
        if self.fixed or self.group:
            words = [f"{value:,.{self.decimals or 0}f}" for value in v.tolist()]
        else:
            # Single precision holds seven digits of what a model drew; the rest would be noise.
            words = [shortest(value) for value in (v if self.decimals is not None else v.astype(np.float32))]
        if not self.fixed and self.group and self.decimals:
            words = [word.rstrip("0").rstrip(".") for word in words]
        return [word.translate(str.maketrans({",": self.group, ".": self.point})) for word in words]


class Integer(Real):
    """A column of whole numbers."""

    kind: ClassVar[str] = "integer"

    def cells(self, v: np.ndarray) -> list[str]:
        return super().cells(v) if self.group else [str(int(value)) for value in v.tolist()]


def shortest(value: np.floating) -> str:
    """The shortest decimal text that reads back as the same number."""
    if value != 0 and not 1e-4 <= abs(value) < 1e16:
        return str(value)
    return np.format_float_positional(value, trim="-")
