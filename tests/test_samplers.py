"""Samplers with the best net: the order of their steps, and how wide the modes of their samples are."""

import math
from itertools import pairwise

import pytest
import torch
from closed_forms import MEAN, STD, mixture_ddpm, mixture_flow_matching, mixture_score
from torch import Tensor

from genlab.data import gaussian2d
from genlab.metrics.modes import BEST, mode_coverage
from genlab.models import ddpm, flow_matching
from genlab.models.samplers import Level, dpmpp, exact_step, heun, noises
from genlab.models.schedules import alpha_bars


def levels(steps: int, top: float = 20.0, low: float = 0.05) -> list[Level]:
    """Returns levels of the variance-preserving path, with σ/α in geometric progression."""
    ratios = [top * (low / top) ** (i / steps) for i in range(steps + 1)]
    return [(1 / math.sqrt(1 + r**2), r / math.sqrt(1 + r**2)) for r in ratios]


def clean(x: Tensor, level: Level) -> Tensor:
    """Returns E[x_0 | x_t] of N(MEAN, STD²)."""
    alpha, sigma = level
    return MEAN + alpha * STD**2 / (alpha**2 * STD**2 + sigma**2) * (x - alpha * MEAN)


def end_of_the_ode(x: Tensor, start: Level, end: Level) -> Tensor:
    """Returns where the ODE carries x: its distance from α MEAN grows in proportion to the deviation of x_t."""
    deviations = [(alpha**2 * STD**2 + sigma**2).sqrt() for alpha, sigma in (start, end)]
    return end[0] * MEAN + deviations[1] / deviations[0] * (x - start[0] * MEAN)


def test_dpmpp_and_heun_are_of_second_order_and_ddim_of_first() -> None:
    """The error at the last level is quadratic in the step; for DDIM, which uses no earlier step, it is linear."""
    x = torch.randn(20, 2, generator=torch.Generator().manual_seed(0)).double()
    errors: dict[str, list[float]] = {"dpmpp": [], "heun": [], "ddim": []}
    for steps in (40, 80, 160):
        path = levels(steps)
        exact = end_of_the_ode(x, path[0], path[-1])
        seen: dict[int, Tensor] = {}

        def denoise(x_t: Tensor, i: int) -> Tensor:
            seen[i] = x_t  # noqa: B023
            return clean(x_t, path[i])  # noqa: B023

        dpmpp(denoise, x, path, 0.0, smooth=False)
        errors["dpmpp"].append((seen[steps] - exact).abs().max().item())
        heun(denoise, x, path, smooth=False)
        errors["heun"].append((seen[steps] - exact).abs().max().item())
        ddim = x
        for start, end in pairwise(path):
            ddim = exact_step(ddim, clean(ddim, start), start, end, 0.0)
        errors["ddim"].append((ddim - exact).abs().max().item())
    orders = {name: math.log2(e[1] / e[2]) for name, e in errors.items()}
    assert orders["dpmpp"] == pytest.approx(2, abs=0.15)
    assert orders["heun"] == pytest.approx(2, abs=0.15)
    assert orders["ddim"] == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_a_step_keeps_the_marginals(eta: float) -> None:
    """If x_0 is known, x_s is α_s x_0 plus noise of variance σ_s²; the factors are those of DDIM."""
    bars = alpha_bars("linear", 1000)
    for t, s in ((1000, 400), (400, 30), (3, 1)):
        start, end = ((bars[i].sqrt().item(), (1 - bars[i]).sqrt().item()) for i in (t, s))
        variance = eta**2 * ddpm.posterior(bars[s], bars[t])[2]  # eq. 12 and 16 of DDIM
        from_x, from_noise = bars[s].sqrt(), (1 - bars[s] - variance).sqrt()
        assert noises(start, end, eta)[1] ** 2 == pytest.approx(variance.item(), rel=1e-9)
        x_0, noise = torch.randn(4, 2).double(), torch.randn(4, 2).double()
        torch.manual_seed(0)
        stepped = exact_step(start[0] * x_0 + start[1] * noise, x_0, start, end, eta)
        torch.manual_seed(0)
        fresh = torch.randn_like(x_0)
        torch.testing.assert_close(stepped, from_x * x_0 + from_noise * noise + variance.sqrt() * fresh)
    x, velocity, t, end, s = torch.randn(4, 2).double(), torch.randn(4, 2).double(), 0.4, 0.7, 0.1
    torch.manual_seed(0)
    data = velocity + (1 - s) * (x - t * velocity)
    stepped = exact_step(x, data, (t, 1 - (1 - s) * t), (end, 1 - (1 - s) * end), eta)
    torch.manual_seed(0)
    torch.testing.assert_close(stepped, flow_matching.stochastic_step(x, velocity, torch.randn_like(x), t, end, s, eta))


SAMPLERS = {
    "ddpm": mixture_ddpm,
    "ddpm, η 0": lambda mixture: mixture_ddpm(mixture, eta=0.0),
    "ddpm, heun": lambda mixture: mixture_ddpm(mixture, sampler="heun", sample_steps=50),
    "score": lambda mixture: mixture_score(mixture, sampler="dpmpp", sample_steps=50),
    "score, heun": lambda mixture: mixture_score(mixture, sampler="heun", sample_steps=25),
    "score, ode": mixture_score,
    "flow_matching": lambda mixture: mixture_flow_matching(mixture, solver="dpmpp", sample_steps=50),
    "flow_matching, heun": lambda mixture: mixture_flow_matching(mixture, solver="heun"),
    "flow_matching, ode": mixture_flow_matching,
}


@pytest.mark.parametrize("kind", ["two", "ring", "grid"])
@pytest.mark.parametrize("name", SAMPLERS)
def test_modes_are_as_wide_as_those_of_the_data(name: str, kind: str) -> None:
    torch.manual_seed(0)
    mixture = gaussian2d.mixture(kind)
    assert mixture is not None
    coverage = mode_coverage(SAMPLERS[name](mixture).sample(10_000), mixture.modes, mixture.sigma)
    assert coverage.covered == len(mixture.modes)
    assert coverage.mode_std == pytest.approx(1, abs=0.035 if "heun" in name else 0.025)
    assert coverage.high_quality == pytest.approx(BEST, abs=0.008)


def test_ddim_with_noise_draws_modes_that_are_too_narrow() -> None:
    """The fault that dpmpp mends: DDIM with η = 1 ends with the mean of x_0, and narrows the modes at every step."""
    torch.manual_seed(0)
    mixture = gaussian2d.mixture("ring")
    assert mixture is not None
    coverage = mode_coverage(mixture_ddpm(mixture, sampler="ddim").sample(5000), mixture.modes, mixture.sigma)
    assert coverage.mode_std < 0.8
    assert coverage.high_quality > BEST + 0.008


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_few_steps_leave_no_large_noise(steps: int) -> None:
    """Lines through a distant x̂_0 may carry some samples beyond the ring."""
    mixture = gaussian2d.mixture("ring")
    assert mixture is not None
    torch.manual_seed(0)
    for model in (
        mixture_ddpm(mixture, sample_steps=steps),
        mixture_score(mixture, sampler="dpmpp", sample_steps=steps),
        mixture_flow_matching(mixture, solver="dpmpp", sample_steps=steps),
    ):
        assert model.sample(500).norm(dim=1).max().item() < 2


def test_few_levels_of_noise_end_on_the_modes() -> None:
    """The last of 20 levels has σ = 0.07, five times the width of a mode; none of that noise may be left."""
    mixture = gaussian2d.mixture("ring")
    assert mixture is not None
    torch.manual_seed(0)
    x = mixture_ddpm(mixture, timesteps=20, sample_steps=20).sample(2000)
    coverage = mode_coverage(x, mixture.modes, mixture.sigma)
    assert coverage.covered == 8
    assert coverage.high_quality > 0.95
