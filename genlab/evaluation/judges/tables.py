"""Judges rows of typed tables: columns, pairs of columns, boosted trees, distances in normal scores, copies."""

from typing import ClassVar

import torch
from torch import Tensor

from genlab.evaluation.judges.base import Judge, Parts, Values
from genlab.metrics.attempts import Reasons
from genlab.metrics.tables.marginals import by_column
from genlab.metrics.tables.measures import table_parts
from genlab.metrics.tables.rows import Rows, same_length

TRAIN = 50_000  # most training rows that are searched for copies


class TableJudge(Judge):
    """A judge of rows (N, width) in the columns' own units, see `Judge`."""

    held_out: ClassVar = ("privacy", "out_of_range")  # training rows are their own copies
    quick_samples = 5000
    quick_parts: ClassVar = {"sliced_w2": (), "columns": (), "trends": ()}

    def prepare(self, net: object) -> None:
        self.schema = self.data.spec.table
        assert self.schema is not None
        self.rows = self.rows_of(self.real)
        self.scores = self.schema.scores(self.real)
        train = self.data.real("train", 1 if self.quick else TRAIN)
        self.train, self.train_scores = self.rows_of(train), self.schema.scores(train)

    def view(self, samples: Tensor) -> Tensor:
        return samples

    def rows_of(self, units: Tensor) -> Rows:
        """Rows in units as measures read them."""
        assert self.schema is not None
        learnt = [column for column in self.schema.columns if column.width]
        values = torch.stack([column.values(part) for column, part in self.schema.cut(units) if column.width], dim=1)
        names, labels = [column.name for column in learnt], [getattr(column, "labels", ()) for column in learnt]
        gone = [column.missing for column in learnt]
        absent = [own.index(word) if word in own else -1 for own, word in zip(labels, gone, strict=True)]
        return Rows(values.cpu().numpy(), tuple(names), tuple(map(len, labels)), tuple(absent))

    def parts(self, samples: Tensor, labels: Tensor | None, reasons: Reasons | None) -> Parts:
        assert self.schema is not None
        rows, scores = self.rows_of(samples), self.schema.scores(samples)
        # Training rows went through the encoding, so rows are compared with them for copies after the same.
        encoded = None if self.quick else self.rows_of(self.schema.decode(self.schema.encode(samples)))
        others = (scores, self.scores, self.train_scores)
        return table_parts(rows, self.rows, self.train, *others, self.schema.label, encoded)

    def noise(self, n: int) -> Tensor:
        """Returns rows whose columns are drawn independently of one another from the training rows: (n, width)."""
        assert self.schema is not None
        train = self.data.real("train", TRAIN)
        generator = torch.Generator().manual_seed(0)
        parts = [
            part[torch.randint(len(train), (n,), generator=generator).to(part.device)]
            for _, part in self.schema.cut(train)
        ]
        return torch.cat(parts, dim=1)

    def columns(self, samples: Tensor) -> Values:
        """Returns the distance of each column from the real one, worst first."""
        return by_column(*same_length(self.rows_of(samples), self.rows))
