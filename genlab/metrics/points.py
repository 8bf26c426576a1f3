"""All measures of points and of rows of tables, in the order of a report.

A number alone says little: two sets of real samples do not give 0 either. So a report takes these measures three times,
of the model's samples, of real training samples (the floor) and of noise, always against the same held-out samples.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor

from genlab.metrics.kolmogorov_smirnov import kolmogorov_smirnov
from genlab.metrics.measure import Measure
from genlab.metrics.mmd import mmd
from genlab.metrics.modes import mode_measures
from genlab.metrics.spread import spread
from genlab.metrics.wasserstein import sliced_w2, w2


class Modes(Protocol):
    """A known mixture of equal Gaussians."""

    modes: Tensor  # (K, D) means of the modes
    sigma: float  # standard deviation of every mode


AXES = "xyz"


def point_parts(
    fake: Tensor, real: Tensor, mixture: Modes | None = None
) -> dict[str, Callable[[], Mapping[str, float]]]:
    """Compares points fake (N, D) with held-out real ones (M, D) and, if it is known, with the data's mixture.

    Returns the measures in parts computed together; `attempt_all` records a failure under the part's key.
    `w2` and `mmd` use at most 2000 points, which takes about a second; the others use the same number from each cloud.
    Each part raises a ValueError if the clouds differ in dimension or have fewer than two points.
    """
    n, counts = min(len(fake), len(real)), f"{len(fake)} generated and {len(real)} real"
    fake, real = fake[:n], real[:n].to(fake)

    def clouds() -> tuple[Tensor, Tensor]:
        if fake.shape[1:] != real.shape[1:]:
            raise ValueError(f"clouds of different dimensions: {tuple(fake.shape)} and {tuple(real.shape)}")
        if n < 2:
            raise ValueError(f"needs at least two samples on each side; there are {counts}")
        return fake, real

    parts: dict[str, Callable[[], Mapping[str, float]]] = {
        "ks": lambda: axes(kolmogorov_smirnov(*clouds())),
        "spread": lambda: {"spread": spread(*clouds())},
        "sliced_w2": lambda: {"sliced_w2": sliced_w2(*clouds())},
        "w2": lambda: {"w2": w2(*clouds())},
        "mmd": lambda: {"mmd": mmd(*clouds())},
    }
    if mixture is not None:
        parts = {"modes": lambda: mode_measures(clouds()[0], mixture.modes, mixture.sigma)} | parts
    return parts


def axes(statistics: Sequence[float]) -> dict[str, float]:
    """Names a statistic of each dimension as measures: by axis for up to three dimensions, else the largest."""
    if len(statistics) > len(AXES):
        return {"ks_max": max(statistics)}
    return {f"ks_{name}": value for name, value in zip(AXES, statistics, strict=False)}


def gaussian_noise(real: Tensor, n: int, seed: int = 0) -> Tensor:
    """Draws Gaussian samples with the mean and covariance of real (M, D): (n, D). They give the column "noise".

    Raises:
        ValueError: fewer than two samples.
    """
    if len(real) < 2:
        raise ValueError("a covariance needs at least two samples")
    x = real.cpu().double()
    covariance = torch.atleast_2d(x.T.cov())
    values, vectors = torch.linalg.eigh(covariance)  # the root exists even if the covariance is singular
    z = torch.randn(n, x.shape[1], generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (x.mean(0) + (z * values.clamp(min=0).sqrt()) @ vectors.T).to(real)


MEASURES = (
    Measure("modes", "modes with at least a quarter of their fair share of samples", "max"),
    Measure("high_quality", "share of samples within 3σ of a mode; above 98.9 % modes are too narrow", "near 0.989"),
    Measure("mode_std", "standard deviation within a mode over the true one, for samples within 3σ", "near 1"),
    Measure("reverse_kl", "KL of the share of each mode from even shares", "min", "nats"),
    Measure("std_ratio_min", "smallest standard deviation within a mode over the true one", "near 1"),
    Measure("std_ratio_max", "largest standard deviation within a mode over the true one", "near 1"),
    Measure("ks_x", "Kolmogorov-Smirnov statistic along x", "min"),
    Measure("ks_y", "Kolmogorov-Smirnov statistic along y", "min"),
    Measure("ks_z", "Kolmogorov-Smirnov statistic along z", "min"),
    Measure("ks_max", "largest Kolmogorov-Smirnov statistic of all dimensions", "min"),
    Measure("spread", "total standard deviation over that of real samples", "near 1"),
    Measure("sliced_w2", "sliced Wasserstein-2 distance", "min", "data units"),
    Measure("w2", "exact Wasserstein-2 distance between at most 2000 samples on each side", "min", "data units"),
    Measure("mmd", "squared maximum mean discrepancy, unbiased: may fall below 0", "min"),
)
