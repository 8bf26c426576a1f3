"""Measures of forecasts and imputations: how near an ensemble of drawn values is to what happened.

The continuous ranked probability score of an ensemble x₁, ..., x_m and the true value y is, in its energy form,

    CRPS = 1/m Σ |x_i - y| - 1/2 E |x - x'|

in the units of the value: 0 for a certain and right forecast, and the absolute error for an ensemble of one. The mean
over all pairs of different members, the fair form, is unbiased for ensembles of any size; with the pairs (i, i) it is
the score of the ensemble's own distribution. A forecast beats the seasonal naive one, or it has learnt nothing.

T. Gneiting, A. Raftery, "Strictly Proper Scoring Rules, Prediction, and Estimation", 2007,
https://doi.org/10.1198/016214506000001437 (equation 21). C. Ferro, "Fair scores for ensemble forecasts", 2014,
https://doi.org/10.1002/qj.2270. R. Hyndman, G. Athanasopoulos, "Forecasting: Principles and Practice", 2021,
https://otexts.com/fpp3 (section 5.2, the seasonal naive method).
"""

import torch
from torch import Tensor

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)  # the ends of the 90 and 50 % intervals, and the median


def crps(ensemble: Tensor, truth: Tensor, fair: bool = True) -> Tensor:
    """The score of each cell: ensemble (m, *shape) and truth (*shape) -> (*shape), in the units of the values.

    Args:
        fair: take the pairs of different members only.

    Raises:
        ValueError: the shapes differ or the ensemble is empty.
    """
    if ensemble.shape[1:] != truth.shape or not len(ensemble):
        raise ValueError(f"an ensemble {tuple(ensemble.shape)} does not fit values {tuple(truth.shape)}")
    m = len(ensemble)
    error = (ensemble - truth).abs().mean(0)
    if m == 1:
        return error
    # Σ over pairs i < j of x_j - x_i, with the members in order, is Σ_i (2 i - m - 1) x_i.
    weights = 2 * torch.arange(1, m + 1, dtype=ensemble.dtype, device=ensemble.device) - m - 1
    pairs = (weights.view(-1, *[1] * truth.dim()) * ensemble.sort(0).values).sum(0)
    return error - pairs / (m * (m - 1) if fair else m * m)


def mae(forecast: Tensor, truth: Tensor) -> float:
    """The mean absolute error of forecast (*shape) against truth (*shape)."""
    return (forecast - truth).abs().double().mean().item()


def coverage(ensemble: Tensor, truth: Tensor, level: float = 0.9) -> float:
    """The share of the true values (*shape) within the central interval of `level` of an ensemble (m, *shape).

    It is `level` for a calibrated ensemble.

    Raises:
        ValueError: the level is not between 0 and 1, or the shapes differ.
    """
    if not 0 < level < 1:
        raise ValueError(f"the level of an interval lies between 0 and 1, got {level}")
    if ensemble.shape[1:] != truth.shape:
        raise ValueError(f"an ensemble {tuple(ensemble.shape)} does not fit values {tuple(truth.shape)}")
    low, high = fan(ensemble, ((1 - level) / 2, (1 + level) / 2))
    return ((truth >= low) & (truth <= high)).double().mean().item()


def fan(ensemble: Tensor, levels: tuple[float, ...]) -> Tensor:
    """The quantiles of an ensemble (m, *shape) at each cell, NaN being left out: (len(levels), *shape)."""
    shares = torch.tensor(levels, dtype=ensemble.dtype, device=ensemble.device)
    return ensemble.flatten(1).nanquantile(shares, dim=0).unflatten(1, ensemble.shape[1:])


def seasonal_naive(history: Tensor, steps: int, period: int = 1) -> Tensor:
    """Repeats the last `period` steps of history (..., T) for so many steps: (..., steps).

    With a period of one it repeats the last value.

    Raises:
        ValueError: the period is not positive, or the history is shorter.
    """
    if period < 1:
        raise ValueError(f"a period is a positive number of steps, got {period}")
    if history.shape[-1] < period:
        raise ValueError(f"the history of {history.shape[-1]} steps is shorter than a period of {period}")
    season = history[..., -period:]
    return season[..., torch.arange(steps, device=history.device) % period]
