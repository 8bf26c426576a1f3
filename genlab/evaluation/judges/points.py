"""Judges points and rows of tables: by distances between clouds, and by the mixture they come from if it is known."""

from typing import ClassVar

from torch import Tensor

from genlab.evaluation.judges.base import Judge, Parts, Values
from genlab.metrics.attempts import Reasons
from genlab.metrics.kolmogorov_smirnov import kolmogorov_smirnov
from genlab.metrics.points import gaussian_noise, point_parts


class PointJudge(Judge):
    """Judges samples (N, D), see `Judge`."""

    quick_samples = 5000
    quick_parts: ClassVar = {"sliced_w2": (), "spread": (), "modes": ()}

    def parts(self, samples: Tensor, labels: Tensor | None, reasons: Reasons | None) -> Parts:
        return point_parts(samples, self.real, self.data.truth)

    def noise(self, n: int) -> Tensor:
        """Points of the mean and covariance of the real ones: (n, D)."""
        return gaussian_noise(self.data.real(self.split, len(self.real)), n)

    def columns(self, samples: Tensor) -> Values:
        """The Kolmogorov-Smirnov statistic of each column of a table, the worst first; {} of anything else."""
        n = min(len(samples), len(self.real))
        if n < 2 or not self.data.spec.columns:
            return {}
        statistics = kolmogorov_smirnov(self.data.spec.standardise(samples)[:n], self.real[:n].to(samples.device))
        # Of a category that of the word that is farthest off.
        found = {field.name: max(each) for field, each in self.data.spec.cut(statistics)}
        return dict(sorted(found.items(), key=lambda pair: -pair[1]))
