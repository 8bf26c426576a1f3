"""All measures of points and of rows of tables, in the order of a report.

A number alone says little: two sets of real samples are not at 0 either. So a report calls `point_measures` thrice, on
the model's samples, on real training samples (the floor) and on noise, each time against the same held-out samples.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor

from genlab.metrics.attempts import Reasons, attempt_all
from genlab.metrics.kolmogorov_smirnov import kolmogorov_smirnov
from genlab.metrics.measure import Measure
from genlab.metrics.mmd import mmd
from genlab.metrics.modes import mode_measures
from genlab.metrics.spread import spread
from genlab.metrics.wasserstein import sliced_w2, w2


class Modes(Protocol):
    """What is known of a mixture of equal Gaussians."""

    modes: Tensor  # (K, D) the means
    sigma: float  # the standard deviation of every mode


AXES = "xyz"


def point_measures(
    fake: Tensor, real: Tensor, mixture: Modes | None = None, reasons: Reasons | None = None
) -> dict[str, float]:
    """Judge points fake (N, D) by held-out real ones (M, D), and by the mixture that these come from where it is known.

    Args:
        reasons: takes in, by name, why a measure cannot be had, and the others go on; None raises.

    Raises:
        ValueError: see `point_parts`.
    """
    return attempt_all(point_parts(fake, real, mixture), reasons)


def point_parts(
    fake: Tensor, real: Tensor, mixture: Modes | None = None
) -> dict[str, Callable[[], Mapping[str, float]]]:
    """The measures of points fake (N, D), those that are computed together as one, by the name of a reason.

    Of more than 2000 points, `w2` and `mmd` take 2000 (in about a second); the others take all, as many of each cloud.
    Each part raises a ValueError where the clouds differ in dimension, or have fewer than two points.
    """
    n, counts = min(len(fake), len(real)), f"{len(fake)} generated and {len(real)} real"
    fake, real = fake[:n], real[:n].to(fake)

    def two() -> tuple[Tensor, Tensor]:
        if fake.shape[1:] != real.shape[1:]:
            raise ValueError(f"no clouds of one dimension: {tuple(fake.shape)} and {tuple(real.shape)}")
        if n < 2:
            raise ValueError(f"needs two samples at least on each side; there are {counts}")
        return fake, real

    parts: dict[str, Callable[[], Mapping[str, float]]] = {
        "ks": lambda: axes(kolmogorov_smirnov(*two())),
        "spread": lambda: {"spread": spread(*two())},
        "sliced_w2": lambda: {"sliced_w2": sliced_w2(*two())},
        "w2": lambda: {"w2": w2(*two())},
        "mmd": lambda: {"mmd": mmd(*two())},
    }
    if mixture is not None:
        parts = {"modes": lambda: mode_measures(two()[0], mixture.modes, mixture.sigma)} | parts
    return parts


def axes(statistics: Sequence[float]) -> dict[str, float]:
    """One statistic for each dimension as measures: by the axis up to three dimensions, else the largest."""
    if len(statistics) > len(AXES):
        return {"ks_max": max(statistics)}
    return {f"ks_{name}": value for name, value in zip(AXES, statistics, strict=False)}


def gaussian_noise(real: Tensor, n: int, seed: int = 0) -> Tensor:
    """What a model that knows no more than mean and covariance of real (M, D) would draw: (n, D). The row "noise".

    Raises:
        ValueError: fewer than two samples.
    """
    if len(real) < 2:
        raise ValueError("a covariance needs two samples at least")
    x = real.cpu().double()
    covariance = torch.atleast_2d(x.T.cov())
    values, vectors = torch.linalg.eigh(covariance)  # its root exists even where the covariance is singular
    z = torch.randn(n, x.shape[1], generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (x.mean(0) + (z * values.clamp(min=0).sqrt()) @ vectors.T).to(real)


MEASURES = (
    Measure("modes", "modes with a quarter of their fair share of samples", "max"),
    Measure("high_quality", "share of samples within 3σ of a mode: more than 98.9 % is too narrow", "near 0.989"),
    Measure("mode_std", "standard deviation within a mode over the true one, of the samples within 3σ", "near 1"),
    Measure("reverse_kl", "KL of the share of each mode from even shares", "min", "nats"),
    Measure("std_ratio_min", "smallest standard deviation within a mode over the true one", "near 1"),
    Measure("std_ratio_max", "largest standard deviation within a mode over the true one", "near 1"),
    Measure("ks_x", "Kolmogorov-Smirnov statistic along x", "min"),
    Measure("ks_y", "Kolmogorov-Smirnov statistic along y", "min"),
    Measure("ks_z", "Kolmogorov-Smirnov statistic along z", "min"),
    Measure("ks_max", "largest Kolmogorov-Smirnov statistic of all dimensions", "min"),
    Measure("spread", "total standard deviation over that of real samples", "near 1"),
    Measure("sliced_w2", "sliced Wasserstein-2 distance", "min", "data units"),
    Measure("w2", "exact Wasserstein-2 distance between as many samples, 2000 at most", "min", "data units"),
    Measure("mmd", "squared maximum mean discrepancy, unbiased: may fall below 0", "min"),
)
