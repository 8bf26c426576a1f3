"""Columns of words: one channel for each, rare words pooled in one.

A missing value is a word of its own. Words that fewer than `rare` training rows have, and those beyond the `most`
commonest, share one channel, because a few rows teach a model nothing about them; such a cell is written as one of the
pooled words, drawn in their shares among the training rows. Words of held-out rows that no training row has are read as
rare ones, or as the first word if none are pooled.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from genlab.data.columns.base import Column
from genlab.data.fields import Field

SHOWN = 40  # characters of a word in the overview
POOL = "(rare)"  # the label of the channel that rare words share


class Category(Column):
    """A column of words.

    Args:
        words: those with a channel each; a missing value is the word `missing`.
        rare, counts: the pooled words and how many training rows each has; () for none.
    """

    kind: ClassVar[str] = "category"

    def __init__(
        self,
        name: str,
        words: Sequence[str],
        rare: Sequence[str] = (),
        counts: Sequence[int] = (),
        missing: str | None = None,
    ) -> None:
        super().__init__(name, missing)
        self.words, self.rare, self.counts = tuple(words), tuple(rare), tuple(counts)

    @classmethod
    def fit(
        cls, name: str, words: Sequence[str], counts: np.ndarray, rare: int, most: int, **options: Any
    ) -> "Category":
        """A column from all its words (K,) and how many training rows have each (K,), one row at least."""
        kept = np.zeros(len(words), bool)
        kept[np.argsort(-counts, kind="stable")[:most]] = True
        kept &= counts >= rare
        if (~kept).sum() == 1 or not counts[~kept].sum() or not kept.any():
            kept = counts > 0
        common = [words[k] for k in np.flatnonzero(kept).tolist()]
        if not counts[~kept].sum():  # what is left out, if anything, is in no training row
            return cls(name, common, **options)
        pooled = np.flatnonzero(~kept).tolist()
        return cls(name, common, [words[k] for k in pooled], counts[pooled].tolist(), **options)

    @property
    def labels(self) -> tuple[str, ...]:
        """The label of each channel."""
        return (*self.words, POOL) if self.rare else self.words

    @property
    def fields(self) -> tuple[Field, ...]:
        return (Field(self.name, "category", len(self.labels), labels=self.labels),)

    def state(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "name": self.name,
            "words": list(self.words),
            "rare": list(self.rare),
            "counts": list(self.counts),
            "missing": self.missing,
        }

    def encode(self, units: Tensor, noise: Tensor | None = None) -> Tensor:
        return units.float()

    def decode(self, x: Tensor) -> Tensor:
        return one_hot(x.argmax(1), self.width).double()

    def values(self, units: Tensor) -> Tensor:
        return units.argmax(1).double()

    def units(self, values: np.ndarray) -> Tensor:
        return one_hot(torch.from_numpy(np.array(values, dtype=np.int64)), self.width).double()

    def index(self, words: Sequence[str]) -> np.ndarray:
        """Returns the channel of each word, that of the pool for rare words, -1 for words of no training row."""
        place = {word: k for k, word in enumerate(self.words)} | dict.fromkeys(self.rare, len(self.words))
        return np.array([place.get(word, -1) for word in words], dtype=np.int64)

    def text(self, units: Tensor, generator: torch.Generator) -> Sequence[Any]:
        k = units.argmax(1)
        texts = np.array(self.labels, dtype=object)[k.numpy()]
        pooled = (k == len(self.words)).numpy() & bool(self.rare)
        if pooled.any():
            shares = torch.tensor(self.counts, dtype=torch.float64)
            drawn = torch.multinomial(shares, int(pooled.sum()), replacement=True, generator=generator)
            texts[pooled] = np.array(self.rare, dtype=object)[drawn.numpy()]
        return texts.tolist()

    def description(self) -> str:
        pool = f", {len(self.rare)} rare ones pooled" if self.rare else ""
        words = [word for word in (*self.words, *self.rare) if word != self.missing]
        if len(words) == 2 and not self.rare:
            return f"{self.kind}, {words[0][:SHOWN]} or {words[1][:SHOWN]}"
        return f"{self.kind} of {len(words)} word{'s' * (len(words) != 1)}{pool}"


class Boolean(Category):
    """A column of two words, such as yes and no."""

    kind: ClassVar[str] = "boolean"
