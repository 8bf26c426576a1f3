"""Stands in for a judge of graphs: samples are not compared with real graphs, and reports say so."""

from typing import ClassVar

import torch
from torch import Tensor

from genlab.evaluation.judges.base import Judge, Parts
from genlab.metrics.attempts import Reasons


class GraphJudge(Judge):
    """A judge of packed graphs (N, P) that takes no measures; what needs no samples, such as bounds, is measured."""

    quick_samples = 100
    quick_parts: ClassVar = {}

    def parts(self, samples: Tensor, labels: Tensor | None, reasons: Reasons | None) -> Parts:
        if reasons is not None and not self.quick:
            reasons["samples against data"] = "there are no measures of graphs"
        return {}

    def noise(self, n: int) -> Tensor:
        """Returns graphs without nodes."""
        return torch.zeros(n, *self.data.spec.shape, device=self.data.device)
