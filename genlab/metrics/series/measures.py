"""All measures of series, in the order of a report."""

from collections.abc import Callable, Mapping
from functools import cached_property

from torch import Tensor

from genlab.metrics.measure import Measure
from genlab.metrics.series import copies, dependence, scores
from genlab.metrics.series.rocket import Rocket
from genlab.metrics.series.signature import Signatures
from genlab.metrics.spread import spread
from genlab.metrics.tables.marginals import by_column
from genlab.metrics.tables.rows import Rows
from genlab.metrics.wasserstein import sliced_w2

CELLS = 500_000  # most cells of a channel whose distribution is compared


class Reference:
    """The real series that samples are compared with.

    Args:
        real: (M, C, T) held-out series, standardised by the training series.
        train: (N, C, T) training series, standardised.
        real_cells: (M, C', T) the cells of the same held-out series, as `channels.values` gives them.
        names, words: of the cells' channels, and how many words each has; 0 for numbers.
    """

    def __init__(
        self, real: Tensor, train: Tensor, real_cells: Tensor, names: tuple[str, ...], words: tuple[int, ...]
    ) -> None:
        self.real, self.train, self.cells = real, train, real_cells
        self.names, self.words = names, words

    def parts(self, fake: Tensor, fake_cells: Tensor) -> dict[str, Callable[[], Mapping[str, float]]]:
        """The measures of fake (K, C, T), standardised, by the name of a reason; those of one part come together."""
        n = min(len(fake), len(self.real))

        def both() -> tuple[Tensor, Tensor]:
            if n < 2:
                raise ValueError(f"needs two series at least on each side; there are {len(fake)} and {len(self.real)}")
            return fake[:n], self.real[:n].to(fake.device)

        return {
            "discriminative": lambda: scores.discriminative_score(*both(), steps=scores.STEPS),
            "predictive": lambda: scores.predictive_score(fake, self.real, steps=scores.STEPS),
            "rocket": lambda: self.rocket.distance(both()[0]),
            "signature": lambda: self.signatures.distance(both()[0]),
            "correlation": lambda: dependence.correlation_error(*both()),
            "autocorrelation": lambda: dependence.autocorrelation_error(*both()),
            "spectrum": lambda: dependence.spectrum_error(*both()),
            "marginals": lambda: marginal_measures(self.marginals(fake_cells)),
            "sliced_w2": lambda: {"sliced_w2": sliced_w2(*both())},
            "spread": lambda: {"spread": spread(*both())},
            "copies": lambda: copies.copies(fake, self.real, self.train),
        }

    @cached_property
    def rocket(self) -> Rocket:
        return Rocket(self.train, self.real)

    @cached_property
    def signatures(self) -> Signatures:
        return Signatures(self.train, self.real)

    def marginals(self, fake_cells: Tensor) -> dict[str, float]:
        """The distance of each channel's values, over all steps, from the real ones, worst first.

        Kolmogorov-Smirnov statistics of numbers, total variation of words.
        """
        n = min(len(fake_cells), len(self.cells), max(CELLS // self.cells.shape[2], 2))
        fake, real = (self.rows(x[:n]) for x in (fake_cells, self.cells))
        return by_column(fake, real)

    def rows(self, cells: Tensor) -> Rows:
        """The steps of all series (N, C, T) as rows of a table."""
        return Rows(cells.transpose(1, 2).flatten(0, 1).cpu().numpy(), self.names, self.words)


def marginal_measures(distances: Mapping[str, float]) -> dict[str, float]:
    """The mean of the channels' distances, and the largest."""
    return {"marginal_ks": sum(distances.values()) / len(distances), "marginal_worst": max(distances.values())}


# `train_distance` and `train_copies` are described in metrics/images.py; `nearer_to_train`, `exact_copies` with tables.
MEASURES = (
    Measure("discriminative_score", "|accuracy - 1/2| of a recurrent net that tells samples from real series", "min"),
    Measure(
        "predictive_score",
        "error on real series of a recurrent net trained on samples to predict the next step",
        "min",
        "channel deviations",
    ),
    Measure("rocket_frechet", "Fréchet distance of features of random convolutions", "min"),
    Measure("signature_distance", "distance between mean path signatures of level 3", "min", "deviations"),
    Measure("correlation_error", "mean difference of the correlations of all pairs of channels", "min"),
    Measure("autocorrelation_error", "mean difference of the autocorrelations of the channels", "min"),
    Measure("spectrum_error", "log-spectral distance, mean over the channels", "min", "dB"),
    Measure("marginal_ks", "distance of a channel's values over all steps, mean over the channels", "min"),
    Measure("marginal_worst", "the same of the worst channel", "min"),
    Measure("timegan_discriminative", "the papers' discriminative score, see protocol=timegan", "min"),
    Measure("timegan_predictive", "the papers' predictive score, see protocol=timegan", "min"),
    Measure(
        "forecast_crps",
        "CRPS of the last steps given those before; noise: the last season repeated",
        "min",
        "channel deviations",
    ),
    Measure("forecast_mae", "error of the median draw of the same", "min", "channel deviations"),
    Measure("forecast_coverage", "share of the true values within 90 % of the draws of the same, 0.9 at best", ""),
    Measure(
        "imputation_crps",
        "CRPS of steps in the middle given both sides; noise: a straight line",
        "min",
        "channel deviations",
    ),
    Measure("imputation_mae", "error of the median draw of the same", "min", "channel deviations"),
    Measure("imputation_coverage", "share of the true values within 90 % of the draws of the same, 0.9 at best", ""),
)
