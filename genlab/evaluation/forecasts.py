"""Forecasts and imputations by a model that can be given some steps of a series, against what happened.

Of held-out windows the last steps are drawn given those before, and as many steps in the middle given both sides. The
figures stand beside those of naive methods: the last season repeated, and a straight line across the gap.
"""

from typing import Any

import torch
from torch import Tensor

from genlab.data.base import Dataset
from genlab.metrics.series import channels
from genlab.metrics.series.forecasts import coverage, crps, mae, seasonal_naive

WINDOWS = 50  # held-out windows that are forecast
DRAWS = 10  # of each
CHUNK = 250  # windows drawn at a time
TRAIN = 20_000  # most training windows that scale the channels

Values = dict[str, float]


def forecasts(family: Any, data: Dataset, split: str, horizon: int, season: int = 1) -> tuple[Values, Values]:
    """Measures the numbers of the unknown steps in units of their standard deviation over the training series.

    Args:
        family: a model whose `complete` takes any known values.
        horizon: steps that are unknown, fewer than a window has.
        season: steps after which the naive forecast repeats.

    Returns:
        The measures of the model, and those of the naive methods.
    """
    spec, length = data.spec, data.spec.shape[1]
    train, flags = channels.numbers(spec, data.real("train", TRAIN))
    scale = channels.Scale.of(train, flags)
    kept = (~flags).nonzero()[:, 0]

    def numbers(units: Tensor) -> Tensor:
        return scale(channels.numbers(spec, units.cpu())[0])[:, kept]

    units = data.real(split, WINDOWS)
    y = data.head(split, len(units)).get("y") if getattr(family, "conditional", False) else None
    truth, x = numbers(units), spec.from_units(units)
    found, naive = {}, {}
    first = (length - horizon) // 2
    for name, gap in (("forecast", slice(length - horizon, length)), ("imputation", slice(first, first + horizon))):
        if name == "imputation" and not family.completes_inside:
            continue
        known = torch.ones(length, dtype=torch.bool, device=x.device)
        known[gap] = False
        draws = torch.stack([numbers(spec.decode(_drawn(family, x, known, y))) for _ in range(DRAWS)])
        happened = truth[..., gap]
        guess = draws[..., gap]
        found |= _errors(name, guess, happened)
        if name == "forecast":
            simple = seasonal_naive(truth[..., : length - horizon], horizon, season)
        else:
            simple = _line(truth, gap)
        naive |= {key: value for key, value in _errors(name, simple[None], happened).items() if "coverage" not in key}
    return found, naive


@torch.no_grad()
def _drawn(family: Any, x: Tensor, known: Tensor, y: Tensor | None) -> Tensor:
    """Draws the unknown steps of windows in the model's range: (B, C, T), (T,) bool -> (B, C, T)."""
    parts = []
    for start in range(0, len(x), CHUNK):
        part = x[start : start + CHUNK]
        own = () if y is None else (y[start : start + CHUNK],)
        parts.append(family.complete(part, known.expand_as(part), *own))
    return torch.cat(parts)


def _errors(name: str, draws: Tensor, truth: Tensor) -> Values:
    return {
        f"{name}_crps": crps(draws, truth).mean().item(),
        f"{name}_mae": mae(draws.median(0).values, truth),
        f"{name}_coverage": coverage(draws, truth),
    }


def _line(truth: Tensor, gap: slice) -> Tensor:
    """A straight line across a gap of series (B, D, T): (B, D, steps)."""
    steps = gap.stop - gap.start
    before, after = truth[..., gap.start - 1, None], truth[..., gap.stop, None]
    return before + (after - before) * torch.arange(1, steps + 1) / (steps + 1)
