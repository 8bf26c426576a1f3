"""Tokens of a row: each column as one of finitely many values, which a net predicts by a softmax.

A word is a token. Numbers are cut at quantiles: rank u = F(v) in [0, 1] lies in one of about 100 bins, and a value that
many rows share (an atom) has a bin of its own. Within a bin u is uniform, so the density of a row's normal scores
z = Φ⁻¹(u) under a probability P of its tokens is exact,

    log p(z) = log P(tokens) + Σ_numbers [log N(z; 0, 1) - log width of the bin]

and so are samples: a token, then a uniform rank in its bin. Words count log P alone.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from genlab.data.columns.numeric import Numeric
from genlab.data.columns.quantiles import SMALLEST
from genlab.data.columns.schema import Schema


class Tokens(nn.Module):
    """The tokens of a table's fields.

    Args:
        bins: of a column of numbers, about.
    """

    def __init__(self, schema: Schema, bins: int) -> None:
        super().__init__()
        self.schema = schema
        self.widths = [field.size for field in schema.fields]
        self.sizes: list[int] = []  # the number of tokens of each field
        self.numbers: dict[int, Numeric] = {}  # by the place of the field
        self.label: list[int] = []  # the places of the label's fields
        for column in schema.columns:
            for i, field in enumerate(column.fields):
                place = len(self.sizes)
                if column.name == schema.label:
                    self.label.append(place)
                if isinstance(column, Numeric) and i == 0:
                    edges = column.quantiles.bins(bins)
                    self.numbers[place] = column
                    self.register_buffer(f"edges_{place}", edges, persistent=False)
                    self.sizes.append(len(edges) - 1)
                else:
                    self.sizes.append(field.size)

    def edges(self, place: int) -> Tensor:
        """The edges of a field's bins, ranks from 0 to 1: (K + 1,) float64."""
        return getattr(self, f"edges_{place}")

    def channels(self, place: int) -> slice:
        """The channels of a field in a row (B, D)."""
        start = sum(self.widths[:place])
        return slice(start, start + self.widths[place])

    def of(self, x: Tensor) -> Tensor:
        """The token of each field: (B, D) -> (B, F) int64."""
        tokens = []
        for place, part in enumerate(x.split(self.widths, dim=1)):
            if place in self.numbers:
                ranks = self.numbers[place].ranks(part)
                tokens.append(torch.searchsorted(self.edges(place)[1:-1], ranks, right=True))
            else:
                tokens.append(part.argmax(1))
        return torch.stack(tokens, dim=1)

    def draw(self, place: int, k: Tensor) -> Tensor:
        """Channels of one field with these tokens: (B,) -> (B, width) float32, ranks drawn evenly within their bins."""
        if place not in self.numbers:
            return torch.nn.functional.one_hot(k, self.widths[place]).float()
        low, high = self.edges(place)[:-1][k], self.edges(place)[1:][k]
        return self.numbers[place].from_ranks(low + (high - low) * torch.rand_like(low)).float()

    def scores(self, x: Tensor, known: Tensor) -> Tensor:
        """The normal scores of the numbers that are known, 0 for others: (B, D), (B, F) bool -> (B, numbers)."""
        found = [
            torch.where(known[:, place], self.numbers[place].score(part), 0.0)
            for place, part in enumerate(x.split(self.widths, dim=1))
            if place in self.numbers
        ]
        return torch.stack(found, dim=1) if found else x[:, :0]

    def moved(self, x: Tensor, noise: Tensor) -> Tensor:
        """Rows whose numbers have noise on their normal scores: 2 x (B, D) -> (B, D) float32."""
        parts = []
        for place, (part, own) in enumerate(
            zip(x.split(self.widths, dim=1), noise.split(self.widths, dim=1), strict=True)
        ):
            if place in self.numbers:
                score = self.numbers[place].score(part) + own[:, 0]
                part = self.numbers[place].from_ranks(torch.special.ndtr(score.double())).float()
            parts.append(part)
        return torch.cat(parts, dim=1)

    def log_density(self, x: Tensor, tokens: Tensor, skipped: Sequence[bool] = ()) -> Tensor:
        """log p(x | tokens) in nats, without the fields to skip: (B, D), (B, F), (F,) -> (B,) float32."""
        total = torch.zeros(len(x), dtype=torch.float64, device=x.device)
        for place, part in enumerate(x.split(self.widths, dim=1)):
            if place in self.numbers and not (skipped and skipped[place]):
                widths = self.edges(place).diff()[tokens[:, place]]
                ranks = self.numbers[place].ranks(part).clamp(SMALLEST, 1 - SMALLEST)
                z = torch.special.ndtri(ranks)
                total += -0.5 * z.square() - 0.5 * math.log(2 * math.pi) - widths.log()
        return total.float()
