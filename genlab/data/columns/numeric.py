"""Columns of numbers, encoded by one of the codes of `codes`, rounded and clipped on the way back.

A missing number is a second field of two words, "present" and "missing", which is learnt like any category. The value
channel of a missing number holds independent noise, N(0, 1), so it says nothing and disturbs no density.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from genlab.data.columns.base import Column
from genlab.data.columns.codes import CODES, Code, from_ranks, ranks
from genlab.data.columns.quantiles import SMALLEST, Quantiles
from genlab.data.fields import Field

FLAG = ("present", "missing")  # the words of the field that says whether a number is missing


class Numeric(Column):
    """A column of numbers.

    In units, the first channel is the number and the other channels of its code are 0.

    Args:
        quantiles: of its values in the training rows.
        code: what a model sees of a number.
        decimals: digits after the point that its values have; None: as many as a double has.
        bounds: the lowest and the highest value that it may have; None: those of the training rows.
    """

    def __init__(
        self,
        name: str,
        quantiles: Quantiles,
        code: Code,
        decimals: int | None = None,
        missing: str | None = None,
        bounds: Sequence[float] | None = None,
    ) -> None:
        super().__init__(name, missing)
        self.quantiles, self.code, self.decimals = quantiles, code, decimals
        self.bounds = None if bounds is None else [float(bound) for bound in bounds]
        self.size = sum(field.size for field in code.fields(name))  # channels of the number; the flags follow

    @classmethod
    def arguments(cls, values: np.ndarray, encoding: str = "quantile") -> dict[str, Any]:
        """What is fitted on the training values (N,), without the missing ones."""
        quantiles = Quantiles.fit(values)
        return {"quantiles": quantiles, "code": CODES[encoding].fit(quantiles, values)}

    @property
    def fields(self) -> tuple[Field, ...]:
        number = self.code.fields(self.name)
        if self.missing is None:
            return number
        return *number, Field(f"{self.name} missing", "category", 2, labels=FLAG)

    @property
    def low(self) -> float:
        return self.bounds[0] if self.bounds else self.quantiles.lists[0][0]

    @property
    def high(self) -> float:
        return self.bounds[1] if self.bounds else self.quantiles.lists[0][-1]

    @property
    def middle(self) -> float:
        """The median, which stands where no value is known."""
        return self.quantiles.at(torch.tensor([0.5], dtype=torch.float64)).item()

    def state(self) -> dict[str, Any]:
        names = ("name", "decimals", "missing", *(["bounds"] if self.bounds else []))
        code = [self.code.name, *self.code.state()]
        plain = {name: getattr(self, name) for name in names}
        return {"kind": self.kind, "quantiles": self.quantiles.state(), "code": code, **plain}

    @classmethod
    def of(cls, state: dict[str, Any]) -> "Numeric":
        """Reads what `state` wrote."""
        quantiles = Quantiles(*state["quantiles"])
        name, *arguments = state["code"]
        return cls(**{**state, "quantiles": quantiles, "code": CODES[name](quantiles, *arguments)})

    def encode(self, units: Tensor, noise: Tensor | None = None) -> Tensor:
        x = self.code.encode(units[:, 0].double(), None if noise is None else noise[:, 0])
        if self.missing is not None:
            hidden = (
                torch.zeros_like(x[:, 0]) if noise is None else torch.special.ndtri(noise[:, 1].double().clamp(1e-7))
            )
            x = torch.cat([torch.where(self._gone(units), hidden, x[:, 0])[:, None], x[:, 1:]], dim=1)
        return torch.cat([x, units[:, self.size :]], dim=1).float()

    def decode(self, x: Tensor) -> Tensor:
        v = self.code.decode(x[:, : self.size]).clamp(self.low, self.high)
        if self.decimals is not None:
            v = torch.round(v, decimals=self.decimals) + 0.0  # no -0.0
        return self._in_units(v, x[:, self.size :].argmax(1) == 1 if self.missing is not None else None)

    def ranks(self, x: Tensor) -> Tensor:
        """The ranks F(v) in [0, 1] of what a model sees: (B, size) -> (B,) float64."""
        return ranks(self.quantiles, self.code, x)

    def score(self, x: Tensor) -> Tensor:
        """The normal scores Φ⁻¹(F(v)) of what a model sees: (B, size) -> (B,) float32."""
        if self.code.name == "quantile":
            return x[:, 0].float()
        return torch.special.ndtri(self.ranks(x).clamp(SMALLEST, 1 - SMALLEST)).float()

    def from_ranks(self, u: Tensor) -> Tensor:
        """What a model sees of values of these ranks: (B,) float64 -> (B, size) float64."""
        return from_ranks(self.quantiles, self.code, u)

    def scores(self, units: Tensor) -> Tensor:
        z = self.quantiles.scores(units[:, 0].double())
        if self.missing is None:
            return self._in_units(z).float()
        return self._in_units(torch.where(self._gone(units), 0.0, z), self._gone(units)).float()

    def values(self, units: Tensor) -> Tensor:
        v = units[:, 0].double()
        return v if self.missing is None else torch.where(self._gone(units), torch.nan, v)

    def units(self, values: np.ndarray) -> Tensor:
        v = torch.from_numpy(np.array(values, dtype=np.float64))
        return self._in_units(v.nan_to_num(self.middle), None if self.missing is None else v.isnan())

    def _gone(self, units: Tensor) -> Tensor:
        """Which numbers are missing: (B, width) -> (B,) bool."""
        return units[:, -1] > 0.5

    def _in_units(self, v: Tensor, gone: Tensor | None = None) -> Tensor:
        """Numbers (B,), and which are missing, as units (B, width) float64."""
        parts = [v[:, None], v.new_zeros(len(v), self.size - 1)]
        if gone is not None:
            parts.append(torch.stack([~gone, gone], dim=1).to(v))
        return torch.cat(parts, dim=1)

    def text(self, units: Tensor, generator: torch.Generator) -> Sequence[Any]:
        cells = self.cells(units[:, 0].double().numpy())
        gone = np.zeros(len(cells), bool) if self.missing is None else self._gone(units).numpy()
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
        prefix, suffix: a currency or percent sign before or after each number, "" for none.
    """

    kind: ClassVar[str] = "real"

    def __init__(
        self,
        *args: Any,
        fixed: bool = False,
        point: str = ".",
        group: str = "",
        prefix: str = "",
        suffix: str = "",
        **options: Any,
    ) -> None:
        super().__init__(*args, **options)
        self.fixed, self.point, self.group = fixed, point, group
        self.prefix, self.suffix = prefix, suffix

    def state(self) -> dict[str, Any]:
        names = ("fixed", "point", "group", *(name for name in ("prefix", "suffix") if getattr(self, name)))
        return {**super().state(), **{name: getattr(self, name) for name in names}}

    def cells(self, v: np.ndarray) -> list[str]:
        if self.decimals is not None and (self.fixed or self.group):
            words = [f"{value:,.{self.decimals}f}" for value in v.tolist()]
        else:
            if self.decimals is None:
                # Single precision holds seven digits of what a model drew; knots, and so the extremes, are exact.
                rough = np.array([float(f"{value:.8g}") for value in v.tolist()]).clip(self.low, self.high)
                v = np.where(np.isin(v, self.quantiles.knots.numpy()), v, rough)
            words = [shortest(value) for value in v]
        if not self.fixed and self.group and self.decimals:
            words = [word.rstrip("0").rstrip(".") for word in words]
        words = [word.translate(str.maketrans({",": self.group, ".": self.point})) for word in words]
        return self.affixed(words)

    def affixed(self, words: list[str]) -> list[str]:
        """Numbers with the signs around them: -3.50 becomes -$3.50."""
        if not (self.prefix or self.suffix):
            return words
        return [f"{'-' * word.startswith('-')}{self.prefix}{word.removeprefix('-')}{self.suffix}" for word in words]


class Integer(Real):
    """A column of whole numbers."""

    kind: ClassVar[str] = "integer"

    def cells(self, v: np.ndarray) -> list[str]:
        return super().cells(v) if self.group else self.affixed([str(round(value)) for value in v.tolist()])


def shortest(value: np.floating) -> str:
    """The shortest decimal text that reads back as the same number."""
    if value != 0 and not 1e-4 <= abs(value) < 1e16:
        return str(value)
    return np.format_float_positional(value, trim="-")
