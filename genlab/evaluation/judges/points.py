"""Judges points and rows of tables by distances between clouds and, if the data is a known mixture, by its modes."""

from typing import ClassVar

from torch import Tensor

from genlab.evaluation.judges.base import Judge, Parts, Values
from genlab.metrics.attempts import Reasons
from genlab.metrics.kolmogorov_smirnov import kolmogorov_smirnov
from genlab.metrics.points import gaussian_noise, point_parts


class PointJudge(Judge):
    """A judge of samples (N, D), see `Judge`."""

    quick_samples = 5000
    quick_parts: ClassVar = {"sliced_w2": (), "spread": (), "modes": ()}

    def parts(self, samples: Tensor, labels: Tensor | None, reasons: Reasons | None) -> Parts:
        return point_parts(samples, self.real, self.data.truth)

    def noise(self, n: int) -> Tensor:
        """Returns Gaussian points with the mean and covariance of the real ones: (n, D)."""
        return gaussian_noise(self.data.real(self.split, len(self.real)), n)

    def columns(self, samples: Tensor) -> Values:
        """Returns the Kolmogorov-Smirnov statistic of each column of a table, worst first; {} for other data."""
        n = min(len(samples), len(self.real))
        if n < 2 or not self.data.spec.columns:
            return {}
        statistics = kolmogorov_smirnov(self.data.spec.standardise(samples)[:n], self.real[:n].to(samples.device))
        # A column of categories counts by its worst category.
        worst = {field.name: max(values) for field, values in self.data.spec.cut(statistics)}
        return dict(sorted(worst.items(), key=lambda pair: -pair[1]))
