"""The distribution function of one column of numbers, with steps where values repeat.

A number v becomes its rank u = F(v) in [0, 1] and then a normal score z = Φ⁻¹(u), so that any column looks normal to a
model; v = F⁻¹(Φ(z)) on the way back. F is piecewise linear between at most a few thousand knots. A value that many rows
share (an atom: the zeros of a zero-inflated column, a cap, a small integer) owns the interval of ranks [F(v-), F(v)].
Its rows are spread over that interval, and every rank in it decodes to exactly v.

Spreading is uniform dequantization in the space of ranks: L. Theis, A. van den Oord, M. Bethge, "A Note on the
Evaluation of Generative Models", 2016, https://arxiv.org/abs/1511.01844, section 3.1.
"""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

KNOTS = 1000  # values at even quantiles, and as many atoms at most
TAIL = 50  # lowest and highest values that are knots of their own, so that sparse tails keep their digits
ATOM = 5000  # a value is an atom if at least one row in so many has it, and two at least
INSIDE = 0.98  # the part of an atom's interval that is used: rounding must not lead out of it
TINY = torch.finfo(torch.float64).tiny
SMALLEST = 1e-7  # rank, so that normal scores lie within ±5.2


class Quantiles:
    """A distribution function with its inverse.

    Args:
        values: (K,) the knots, ascending.
        low, high: (K,) F just below each knot and at it; equal where the knot is no atom.
    """

    def __init__(self, values: list[float], low: list[float], high: list[float]) -> None:
        self.lists = [list(map(float, numbers)) for numbers in (values, low, high)]
        self.knots, self.low, self.high = (torch.tensor(numbers, dtype=torch.float64) for numbers in self.lists)
        self.edges = torch.stack([self.low, self.high], dim=1).flatten()  # (2 K,) ascending

    @classmethod
    def fit(cls, x: np.ndarray) -> "Quantiles":
        """The distribution function of finite numbers (N,), N >= 1."""
        values, counts = np.unique(x, return_counts=True)
        total, n = np.cumsum(counts), len(x)
        atom = counts >= max(2, n / ATOM)
        if atom.sum() > KNOTS:
            atom &= counts >= np.sort(counts)[-KNOTS]
        atom[[0, -1]] = True  # so that ranks 0 and 1 are the extremes
        even = np.searchsorted(total, np.linspace(0, n, KNOTS + 1))
        places = np.arange(len(values))
        kept = np.unique([*np.flatnonzero(atom), *even.clip(max=len(values) - 1), *places[:TAIL], *places[-TAIL:]])
        middle = total - counts / 2
        low, high = np.where(atom, total - counts, middle), np.where(atom, total, middle)
        return cls(values[kept].tolist(), (low[kept] / n).tolist(), (high[kept] / n).tolist())

    def ranks(self, v: Tensor, noise: Tensor | None = None) -> Tensor:
        """F(v) for values (B,) float64; values beyond the knots have the rank of the nearest extreme.

        Args:
            noise: (B,) in [0, 1), the place within the interval of an atom; None: its middle.
        """
        knots, low, high = (numbers.to(v.device) for numbers in (self.knots, self.low, self.high))
        v = v.clamp(knots[0], knots[-1])
        k = torch.searchsorted(knots, v, right=True).sub(1).clamp(0, len(knots) - 1)
        after = (k + 1).clamp(max=len(knots) - 1)
        share = (v - knots[k]) / (knots[after] - knots[k]).clamp(min=TINY)
        between = high[k] + share * (low[after] - high[k])
        place = 0.5 if noise is None else 0.5 + INSIDE * (noise - 0.5)
        return torch.where(v == knots[k], low[k] + place * (high[k] - low[k]), between)

    def at(self, u: Tensor) -> Tensor:
        """F⁻¹(u) for ranks (B,) float64."""
        knots, edges = self.knots.to(u.device), self.edges.to(u.device)
        i = torch.searchsorted(edges, u, right=True).clamp(1, len(edges) - 1)
        share = ((u - edges[i - 1]) / (edges[i] - edges[i - 1]).clamp(min=TINY)).clamp(0, 1)
        low, high = knots[(i - 1) // 2], knots[i // 2]
        return low + share * (high - low)

    def bins(self, count: int) -> Tensor:
        """Edges of intervals of ranks, from 0 to 1, about `count` of them: (K + 1,) float64.

        An atom that half an interval's rows or more share has an interval of its own; if there are at most `count`
        values, each has.
        """
        atoms = self.high - self.low
        alone = atoms > 0 if len(self.knots) <= count else atoms >= 0.5 / count
        marks = torch.cat([self.low[alone], self.high[alone], torch.tensor([0.0, 1.0], dtype=torch.float64)]).unique()
        own = set(self.low[alone].tolist())
        edges = [0.0]
        for start, stop in zip(marks[:-1].tolist(), marks[1:].tolist(), strict=True):
            pieces = 1 if start in own else math.ceil((stop - start) * count - 1e-9)
            edges += [start + (stop - start) * (i + 1) / pieces for i in range(pieces)]
        return torch.tensor(edges, dtype=torch.float64)

    def scores(self, v: Tensor, noise: Tensor | None = None) -> Tensor:
        """Normal scores Φ⁻¹(F(v)) of values (B,) float64."""
        return torch.special.ndtri(self.ranks(v, noise).clamp(SMALLEST, 1 - SMALLEST))

    def from_scores(self, z: Tensor) -> Tensor:
        """The values (B,) float64 of normal scores (B,)."""
        return self.at(torch.special.ndtr(z.double()))

    def state(self) -> list[Any]:
        """Returns the arguments of the constructor."""
        return self.lists
