"""Columns of words in an order, such as low, medium, high: one channel that holds the rank."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from genlab.data.columns.numeric import Numeric


class Ordered(Numeric):
    """A column of ordered words: a word is its place among them, encoded as a number is.

    Args:
        words: from the lowest to the highest.
    """

    kind: ClassVar[str] = "ordered"

    def __init__(self, *args: Any, words: Sequence[str], **options: Any) -> None:
        super().__init__(*args, **options)
        self.words = tuple(words)

    def state(self) -> dict[str, Any]:
        return {**super().state(), "words": list(self.words)}

    def cells(self, v: np.ndarray) -> list[str]:
        return [self.words[int(value)] for value in v.tolist()]

    def description(self) -> str:
        return f"{super().description()}, {len(self.words)} words"
