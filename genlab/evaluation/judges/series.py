"""Judges time series: recurrent nets, random convolutions, signatures, second moments, marginals, copies."""

from typing import ClassVar

import torch
from torch import Tensor

from genlab.evaluation.judges.base import Judge, Parts, Values
from genlab.metrics.attempts import Reasons
from genlab.metrics.series import channels, timegan
from genlab.metrics.series.measures import Reference
from genlab.metrics.series.noise import gaussian_series, shuffled

TRAIN = 20_000  # most training series that scale the channels and are searched for copies


class SeriesJudge(Judge):
    """A judge of series (N, C, T) in the channels' own units, see `Judge`.

    Channels are standardised by the training series; the quick form leaves out all that trains a net or searches
    neighbours.
    """

    held_out: ClassVar = ("copies",)  # training series are their own copies
    quick_samples = 1000
    quick_parts: ClassVar = {
        "spectrum": (),
        "autocorrelation": (),
        "correlation": (),
        "marginals": ("marginal_ks",),
        "sliced_w2": (),
        "spread": (),
    }

    def view(self, samples: Tensor) -> Tensor:
        return samples

    def prepare(self, net: object) -> None:
        spec = self.data.spec
        train, flags = channels.numbers(spec, self.data.real("train", self.quick_samples if self.quick else TRAIN))
        self.scale = channels.Scale.of(train, flags)
        named = channels.channels_of(spec)
        names, words = tuple(each.name for each in named), tuple(len(each.labels) for each in named)
        cells = channels.values(spec, self.real)
        self.reference = Reference(self.standardised(self.real), self.scale(train), cells, names, words)

    def standardised(self, samples: Tensor) -> Tensor:
        """Series in data units as numbers to compute with: (N, D, T) float32."""
        return self.scale(channels.numbers(self.data.spec, samples)[0])

    def parts(self, samples: Tensor, labels: Tensor | None, reasons: Reasons | None) -> Parts:
        parts: Parts = dict(self.reference.parts(self.standardised(samples), channels.values(self.data.spec, samples)))
        if not self.quick:
            del parts["spread"]
        return parts

    def noise(self, n: int) -> Tensor:
        """Returns Gaussian series with each channel's own autocovariance over the training series: (n, C, T).

        The channels are independent of one another; those of words and of missing cells are taken from training series
        drawn for each.
        """
        train, spec = self.data.real("train", TRAIN), self.data.spec
        # The width of each quantity, and how many of its channels are numbers.
        if spec.steps:
            widths = [(column.width, 0 if channels.labels(column) else 1) for column in spec.steps.columns]
        else:
            widths = [(field.size, 0 if field.kind == "category" else field.size) for field in spec.fields]
        found, start = [], 0
        for width, gaussian in widths:
            if not width:
                continue
            part = train[:, start : start + width]
            rows = shuffled(part, n, start)
            if gaussian:
                rows[:, :gaussian] = gaussian_series(part[:, :gaussian], n, start)
            found.append(rows)
            start += width
        return torch.cat(found, dim=1)

    def columns(self, samples: Tensor) -> Values:
        """Returns the distance of each channel from the real one, worst first."""
        return self.reference.marginals(channels.values(self.data.spec, samples))

    def protocol(self, samples: Tensor, repeats: int) -> tuple[Values, Values]:
        """Returns TimeGAN's two scores against the training series, and the same of the training series themselves."""
        train = self.data.real("train", len(self.data))
        real, fake = (channels.values(self.data.spec, x) for x in (train, samples))
        real, fake = timegan.unit_scale(real, fake)
        return timegan.scores(fake, real, repeats), timegan.scores(real, real, repeats)
