"""Samplers that need only noise levels and a denoiser, shared by ddpm, score and flow matching.

A level is a pair (α, σ), and x_t = α x_0 + σ ε. A denoiser gives x̂_0 = E[x_0 | x_t]. With the ratio q = (σ_s/α_s) /
(σ_t/α_t) < 1 of two levels, s less noisy than t, the reverse diffusion is solved exactly for a x̂_0 that stays as it is
on the way:

    x_s = α_s x̂_0 + k/σ_t (x_t - α_t x̂_0) + σ_s η √(1-q²) ε,     k² = σ_s² (1 - η² (1-q²))

η = 0 is the ODE, η = 1 forgets as much of the old noise as it can; with x̂_0 of time t this is DDIM. But x̂_0 changes
on the way, and at η = 1 steps that do not see it draw modes too narrow: by a quarter, for 50 steps and modes as wide as
0.014 of the data. DPM-Solver++(2M) takes a line through the last two x̂_0 in λ = log(α/σ) instead, at no further call,

    x̂ = x̂_0(t) + h/2h' (x̂_0(t) - x̂_0(t')),     h = λ_s - λ_t,  h' = λ_t - λ_t',  t' the time before t

which makes the ODE second order, and with the best net the widths right to 2 %. Heun's method is second order at two
calls a step: in x̂ = x/α and ς = σ/α the ODE is dx̂/dς = (x̂ - x̂_0)/ς, and a step takes the mean of this slope at both of
its ends.

C. Lu et al., "DPM-Solver++: Fast Solver for Guided Sampling of Diffusion Probabilistic Models", 2022,
https://arxiv.org/abs/2211.01095 (algorithm 2; with noise: "SDE-DPM-Solver++(2M)", appendix).
J. Song, C. Meng, S. Ermon, "Denoising Diffusion Implicit Models", 2021, https://arxiv.org/abs/2010.02502.
T. Karras, M. Aittala, T. Aila, S. Laine, "Elucidating the Design Space of Diffusion-Based Generative Models", 2022,
https://arxiv.org/abs/2206.00364 (Heun's method, algorithm 1).
"""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor

SECOND_ORDER = ("dpmpp", "heun")
Level = tuple[float, float]  # α, σ
Denoise = Callable[[Tensor, int], Tensor]  # x_t and the place of its level -> x̂_0
LITTLE_NOISE = 0.02  # σ/α, where the data have deviation 1


def ratio(start: Level, end: Level) -> float:
    """q, the noise over the data at `end` relative to `start`: 0 from pure noise on, and to no noise."""
    return end[1] * start[0] / (end[0] * start[1])


def noises(start: Level, end: Level, eta: float) -> tuple[float, float]:
    """Factors of the noise in x_t and of fresh noise, from the level `start` to `end`: k and σ_s η √(1-q²)."""
    fresh = eta**2 * (1 - ratio(start, end) ** 2)
    return end[1] * math.sqrt(1 - fresh), end[1] * math.sqrt(fresh)


def exact_step(x: Tensor, clean: Tensor, start: Level, end: Level, eta: float, noise: Tensor | None = None) -> Tensor:
    """x_s from x_t (B, *shape) and x̂_0, from the level `start` to `end`.

    Args:
        noise: ε (B, *shape); None: drawn, where η > 0.
    """
    old, fresh = noises(start, end, eta)
    kept = end[0] * clean + old / start[1] * (x - start[0] * clean)
    return kept + fresh * (torch.randn_like(x) if noise is None else noise) if fresh else kept


def second_order(
    name: str, denoise: Denoise, x: Tensor, levels: Sequence[Level], eta: float, smooth: bool | Tensor
) -> Tensor:
    """Run the solver of that name, dpmpp or heun, from noise to data: (B, *shape) -> (B, *shape); see each."""
    return heun(denoise, x, levels, smooth) if name == "heun" else dpmpp(denoise, x, levels, eta, smooth)


def dpmpp(denoise: Denoise, x: Tensor, levels: Sequence[Level], eta: float, smooth: bool | Tensor) -> Tensor:
    """DPM-Solver++(2M) from noise to data, one call of the denoiser a step: (B, *shape) -> (B, *shape).

    Args:
        x: at the first level.
        levels: of falling noise; what comes out is x_0, whatever noise the last one has.
        eta: η in [0, 1]; 1 makes up for errors of a net that is not trained to the end.
        smooth: see `finish`.
    """
    before: tuple[Tensor, float] | None = None  # x̂_0 and h of the last step
    for i, (start, end) in enumerate(pairwise(levels)):
        guess = clean = denoise(x, i)
        q = ratio(start, end)
        h = -math.log(q) if q else math.inf  # from pure noise: the next step then takes no line, as h/h' is 0
        if before is not None:
            guess = clean + 0.5 * h / before[1] * (clean - before[0])
        x = exact_step(x, guess, start, end, eta)
        before = clean, h
    return finish(x, denoise(x, len(levels) - 1), levels[-1], smooth)


def heun(denoise: Denoise, x: Tensor, levels: Sequence[Level], smooth: bool | Tensor) -> Tensor:
    """Heun's method from noise to data, two calls of the denoiser a step: (B, *shape) -> (B, *shape).

    Args:
        denoise, x, levels, smooth: see `dpmpp`. From pure noise (α = 0) the first step is one of first order.
    """
    for i, (start, end) in enumerate(pairwise(levels)):
        clean = denoise(x, i)
        if not start[0]:
            x = exact_step(x, clean, start, end, 0.0)
            continue
        before, after = start[1] / start[0], end[1] / end[0]  # ς
        point = x / start[0]  # x̂
        slope = (point - clean) / before
        guess = point + (after - before) * slope
        other = (guess - denoise(end[0] * guess, i + 1)) / after
        x = end[0] * (point + 0.5 * (after - before) * (slope + other))
    return finish(x, denoise(x, len(levels) - 1), levels[-1], smooth)


def finish(x: Tensor, clean: Tensor, last: Level, smooth: bool | Tensor) -> Tensor:
    """x_0 from x_t and x̂_0 at the last level.

    Args:
        smooth: whether the data have a smooth density, as points have, and pixels of 256 values have not; where fields
            differ, which channels have (C, 1, ...). Below the scale on which it is smooth, E[ε|x_t] falls to 0 in
            proportion to the noise, and the ODE ends halfway between x_t/α and x̂_0. If not, or if the last level has
            more noise than `LITTLE_NOISE`, the result is x̂_0.
    """
    if smooth is False or last[1] > LITTLE_NOISE * last[0]:
        return clean
    halfway = 0.5 * (x / last[0] + clean)
    return torch.where(smooth.to(x.device), halfway, clean) if isinstance(smooth, Tensor) else halfway
